#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The primary's machine is cut off from the other two amid writes: both ways, or so that it
# hears nothing, or is not heard.  Clients still reach its httpd.  On its side nothing is
# acknowledged that the others do not get; when the network is whole again, nothing is lost
# and nothing there twice.
#
# ROUNDS: how often each of the three (1; LONG: 7)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Cluster;
use Scim::Httpd;
use Scim::Load;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{ROUNDS} || ($ENV{LONG} ? 7 : 1);
plan(skip_all => 'no network namespaces here: nothing can be cut') if !Scim::Cluster->has_network;
my $cluster = Scim::Cluster->new;
$cluster->allow_outages;
my $load = Scim::Load->new($cluster);
my %said = ('' => 'cut off', in => 'hears nothing', out => 'is not heard');
my (@told, @apart);

# What a client is told that has nobody but the machine that is cut off: no change is
# acknowledged there while no other machine can know of it.
sub ask_minority
{
    my ($m, $what, $until) = @_;
    my $n = 0;
    while (time < $until->()) {
        my $r = $cluster->node($m)->post('/Users', user("minority-$what-" . ++$n . '-' . int time));
        push @told, $r->status;
        push @apart, $r->json->{id} if $r->status == 201;
    }
}

sub round
{
    my ($direction) = @_;
    my $primary = $cluster->wait_whole;
    $load->wait_for(50);
    $cluster->cut($primary, $direction || undef);
    $load->mark("the primary's machine $said{$direction}");
    my $until = time + 60;
    ask_minority($primary, $direction || 'both', sub { $cluster->primary_elsewhere($primary) ? 0 : $until });
    $load->wait_for(20);
    my $other = $cluster->primary_elsewhere($primary) // 0;
    isnt($other, 0, "the primary's machine $said{$direction}: another has taken over") or return;
    is($cluster->node($primary)->get('/Users?count=1')->status, 503, 'there is nothing to be read on its side')
        if !$direction;
    $cluster->heal($primary);
    $cluster->wait_whole;
}

$load->run(sub {
    for my $n (1 .. $rounds) {
        round($_) for '', 'in', 'out';
    }
    $load->wait_for(50);
});
$load->tell;
my %times;
$times{$_}++ for @told;
note 'on the side of the primary that was cut off: ' . join ', ', map { "$_: $times{$_}" } sort keys %times;
is_deeply([grep { $_ ne '503' } keys %times], [], 'no change was acknowledged there');
is(scalar $load->outages, 3 * $rounds, 'clients went on each time');
# What was not acknowledged may be there or not, but not twice: this is the test's own.
for my $user (values %{ { $load->_all($cluster->node(1), '/Users') } }) {
    $cluster->node(1)->delete("/Users/$user->{id}") if $user->{userName} =~ /^minority-/;
}
is_deeply([$load->problems($_)], [], "what was acknowledged is there, and nothing else, at node $_") for $cluster->machines;
$cluster->log_clean;
done_testing();
