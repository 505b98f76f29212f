#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl beside a server that is at work: each does what it was asked to, what one
# has done the other knows at once, and the files of the store stay those of whom
# they were, though root runs scimctl.
#
# LONG: 10,000 commands in place of 160.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use List::Util qw(sum0);
use Scim::Body;
use Scim::Httpd;
use Scim::Turn;
use Scim::Watch;
use Test::More;

my $commands = rounds(160, 10_000);
my $callers = 2;
my $backups = File::Temp->newdir('scim-backup-XXXXXX', TMPDIR => 1);
chmod 0777, $backups; # scimctl writes there as the owner of the store

my $s = Scim::Httpd->new(threads => 8);

sub owners
{
    return { map { my ($mode, $uid, $gid) = (stat $_)[2, 4, 5]; ($_ => sprintf '%o %d %d', $mode, $uid, $gid) }
            grep { -e } $s->store, map { $s->store . "/$_" } qw(data.mdb lock.mdb) };
}

my $before = owners();
SKIP: {
    lmdb_only('whose files are whose', 2);
    is(keys %$before, 3, 'a store is a directory and two files');
    skip 'only root runs scimctl for another user', 1 if $> != 0;
    is(scalar(grep { /^\d+ 0 / } values %$before), 0, 'which are not those of root');
}

# --- those who call scimctl --------------------------------------------------

package Caller;

# Commands of one caller; each must succeed, and leave the owners as they were.
sub new
{
    my ($class, $server, $number) = @_;
    return bless { s => $server, number => $number, done => 0, problems => [], tenants => 0 }, $class;
}

sub problem
{
    my ($self, $text) = @_;
    push @{ $self->{problems} }, $text if @{ $self->{problems} } < 20;
}

sub run
{
    my ($self, @args) = @_;
    my ($code, $out, $err) = $self->{s}->scimctl(@args);
    $self->{done}++;
    $self->problem("scimctl @args: exit code $code: $err") if $code;
    my $now = main::owners();
    $self->problem("after scimctl @args: $_ is $now->{$_}, was $before->{$_}") for grep { $now->{$_} ne $before->{$_} } keys %$before;
    return $out;
}

# What a token is answered, over a connection of its own.
sub expect
{
    my ($self, $what, $token, $status) = @_;
    my $got = $self->{s}->request('GET', '/Users?count=1', undef, host => '127.0.0.1', authorization => "Bearer $token")->status;
    $self->problem("$what: the server answers $got, not $status") if $got != $status;
}

sub token_of
{
    my ($text) = @_;
    return ($text =~ /(mscim_\S+)/)[0] // 'none';
}

# The life of a token, and a look at everything.
sub turn
{
    my ($self, $n) = @_;
    if ($n % 20 == 1) {
        $self->{tenant} = "tenant-$self->{number}-" . ++$self->{tenants};
        $self->run(qw(tenant create), $self->{tenant});
    }
    my @of = ('--tenant', $self->{tenant}, '--connection', 'okta');
    my $first = token_of($self->run(qw(token create), @of));
    $self->expect('a new token', $first, 200);
    my $second = token_of($self->run(qw(token rotate --grace 1h), @of));
    $self->expect('a token in its grace', $first, 200);
    $self->expect('the one after it', $second, 200);
    $self->run(qw(tenant suspend), $self->{tenant});
    $self->expect('a token of a suspended tenant', $second, 403);
    $self->run(qw(tenant resume), $self->{tenant});
    $self->expect('a token of a tenant that is released', $second, 200);
    $self->run(qw(token list --tenant), $self->{tenant});
    $self->run(qw(token revoke), @of);
    $self->expect('a revoked token', $_, 401) for $first, $second;
    $self->run(@$_) for $n % 2 ? (['stat'], ['policy', '--tenant', 'default']) : (['sweep'], [qw(user show --tenant default user-1)]);
    $self->run(@$_) for $n % 10 == 3 ? (['verify'], [qw(group list --tenant default)], ['init']) : ();
    $self->run('backup', "$backups/$self->{number}-$n") if $n % 25 == 4;
}

package main;

sub call_until
{
    my ($number, $wanted) = @_;
    my $caller = Caller->new($s, $number);
    for (my $n = 1; $caller->{done} < $wanted; $n++) {
        $caller->turn($n);
    }
    open my $over, '>', $s->dir . "/over-$number" or die "$!\n";
    return { done => $caller->{done}, problems => $caller->{problems} };
}

# Turns until all callers are done, over a new connection each.
sub ask_until
{
    my ($number) = @_;
    my (%seen, $n);
    while (grep { !-e $s->dir . "/over-$_" } 1 .. $callers) {
        $seen{ turn($s, "$number-" . ++$n) }++;
        delete $s->{http};
    }
    return { seen => \%seen };
}

made($s, '/Users', user('user-1'));
delete $s->{http};
my @results = parallel(2 * $callers, sub {
    my ($i) = @_;
    return $i < $callers ? call_until($i + 1, $commands / $callers) : ask_until($i);
});
my (%seen, @problems);
for my $result (@results) {
    push @problems, @{ $result->{problems} // [] };
    $seen{$_} += $result->{seen}{$_} for keys %{ $result->{seen} // {} };
}
my $done = sum0(map { $_->{done} // 0 } @results);
cmp_ok($done, '>=', $commands, "$done commands were done");
is_deeply(\@problems, [], 'C-314 each did what it should, and the server knew at once');
is_deeply([keys %seen], [$TURN], 'and did not get in its way: ' . sum0(values %seen) . ' turns of 22 requests are answered as the others')
    or diag explain \%seen;
is($s->get('/Users?count=0')->json->{totalResults}, 1, 'C-114 what was there is there');

# --- and without the server --------------------------------------------------

$s->stop;
for my $command (['verify'], ($s->store_files ? ['compact'] : ()), ['stat'], [qw(tenant create after)], ['sweep']) {
    my ($code, $out, $err) = $s->scimctl(@$command);
    is($code, 0, "@$command, once the server has ended") or diag($out, $err);
    is_deeply(owners(), $before, 'leaves the owners as they were');
}
SKIP: {
    lmdb_only('lock.mdb', 2);
    unlink $s->store . '/lock.mdb' or die "lock.mdb: $!\n";
    is(($s->scimctl('stat'))[0], 0, 'without lock.mdb, which may be lost');
    is_deeply(owners(), $before, 'the new one is as the old one was');
}
my ($copy) = glob "$backups/1-*";
my ($code, $out, $err) = $s->scimctl('--store', 'lmdb:' . $s->dir . '/restored', 'restore', $copy, $> == 0 ? ('--owner', 'nobody') : ());
is($code, 0, 'a backup that was made meanwhile is restored') or diag($out, $err);
($code, $out, $err) = $s->scimctl('--store', 'lmdb:' . $s->dir . '/restored', 'verify');
is($code, 0, 'and whole') or diag($out, $err);
$s->start;
is($s->get('/Users?count=0')->json->{totalResults}, 1, 'C-114 the server serves it again');
$s->log_clean;
done_testing();
