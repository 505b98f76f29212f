#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The connection to the primary is cut at COMMIT, again and again: behind it, so that its
# answer is lost, just before it, and so that nobody knows; and also where the node asks
# another time what became of it.  What was acknowledged is done, once; what was not, is
# done once or not at all.
#
# ROUNDS: changes that each client makes (100; LONG: 1000)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Cluster;
use Scim::Cut;
use Scim::Httpd;
use Test::More;

my $rounds = $ENV{ROUNDS} || ($ENV{LONG} ? 1000 : 100);
my $clients = 4;
my $cut;

# The proxy is there before the first httpd is, and knows the primary.
my $cluster = Scim::Cluster->new(plain_hba => 1, store => sub {
    my ($cluster, $m, $store) = @_;
    return $store if $m != 1;
    $cut ||= Scim::Cut->new(address => $cluster->prefix . 1, to => $cluster->address($cluster->primary), file => $cluster->dir . '/cuts');
    $store =~ s/host=\S+/"host=" . $cluster->prefix . "1 port=" . $cut->port/e;
    $store =~ s/sslmode=\S+ sslrootcert=\S+/sslmode=disable/;
    return $store;
});
$cluster->allow_outages;
my ($through, $beside) = ($cluster->node(1), $cluster->node(2));

# Each change adds a value that no other has, and so cannot be done twice unnoticed.
sub change_often
{
    my ($client) = @_;
    my $user = made($beside, '/Users', user("client$client"));
    my ($version, %said, @problems) = (1);
    my %times = (acknowledged => 0, refused => 0, 'refused, but done' => 0);
    for my $n (1 .. $rounds) {
        my $mail = "m$n\@example.com";
        my $r = $through->patch("/Users/$user->{id}", ops(['add', 'emails', [{ value => $mail }]]));
        my $now = $beside->get("/Users/$user->{id}")->json;
        my ($is) = $now->{meta}{version} =~ /(\d+)/;
        my $there = grep { $_->{value} eq $mail } @{ $now->{emails} || [] };
        push @problems, "$mail: status " . $r->status . ' ' . $r->content if $r->status !~ /^(?:200|503)$/;
        push @problems, "$mail: acknowledged, and there $there times" if $r->status == 200 && $there != 1;
        push @problems, "$mail: version $is after $version, and there $there times" if $is != $version + $there;
        $times{$r->status == 200 ? 'acknowledged' : $there ? 'refused, but done' : 'refused'}++;
        $version = $is;
    }
    return { times => \%times, problems => \@problems };
}

$cut->let(1);
my @results = parallel($clients, \&change_often);
$cut->let(0);
my %cuts = $cut->times;
my %times;
for my $result (@results) {
    $times{$_} += $result->{times}{$_} for keys %{ $result->{times} };
}
note 'cut: ', join ', ', map { "$_ $cuts{$_}" } sort keys %cuts;
note 'changes: ', join ', ', map { "$_ $times{$_}" } sort keys %times;
cmp_ok($cuts{$_} // 0, '>=', $rounds / 20, "connections were cut: $_") for qw(lost reset unsent mark);
cmp_ok($times{acknowledged}, '>', $clients * $rounds / 2, 'most changes were acknowledged all the same');
is_deeply([map { @{ $_->{problems} } } @results], [], 'each was done once, or told to come again');
my ($code, $out, $err) = $beside->scimctl('verify');
is($code, 0, 'the store is whole') or diag $out, $err;
$cluster->log_clean;
$cut->stop;
done_testing();
