#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What is written at one node is read at another at once: by its id, by a filter, in a list,
# as a member and as a group of its member; and what is deleted at one is gone at the others.
#
# ROUNDS: of each of three clients (60; LONG: 3000)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Cluster;
use Scim::Body;
use Scim::Httpd;
use Scim::Load;
use Test::More;
use Time::HiRes qw(time);

my $rounds = $ENV{ROUNDS} || ($ENV{LONG} ? 3000 : 60);
my $cluster = Scim::Cluster->new;
my @seconds;

sub expect
{
    my ($problems, $what, $got, $want) = @_;
    push @$problems, "$what: " . ($got // 'nothing') . ", not $want" if ($got // 'nothing') ne $want;
}

sub one_round
{
    my ($problems, $name, $group, $writes, $reads, $last) = @_;
    my $check = sub { expect($problems, "$name: $_[0]", @_[1, 2]) };
    my $filter = '/Users?filter=' . esc(qq(userName eq "$name"));
    my $begin = time;
    my $made = made($writes, '/Users', user($name, title => 'one'));
    my $path = "/Users/$made->{id}";
    push @seconds, time - $begin;

    $check->('by id', $reads->get($path)->status, 200);
    $check->('by its name', $last->get($filter)->json->{totalResults}, 1);
    $check->('its name is taken', $reads->post('/Users', user(uc $name))->status, 409);
    changed($reads, $path, ['replace', 'title', 'two']);
    $check->('changed', $last->get($path)->json->{title}, 'two');
    $check->('not as it was', $writes->get($path, 'if-none-match' => 'W/"1"')->status, 200);
    $check->('unchanged', $writes->get($path, 'if-none-match' => 'W/"2"')->status, 304);

    $writes->patch("/Groups/$group", ops(['add', 'members', [{ value => $made->{id} }]]));
    $check->('a member', scalar(grep { $_->{value} eq $made->{id} } @{ $reads->get("/Groups/$group")->json->{members} || [] }), 1);
    $check->('its group', $last->get($path)->json->{groups}[0]{value}, $group);

    $check->('deleted', $last->delete($path)->status, 204);
    $check->('gone', $writes->get($path)->status, 404);
    $check->('gone by its name', $reads->get($filter)->json->{totalResults}, 0);
    $check->('no member', scalar(grep { $_->{value} eq $made->{id} } @{ $reads->get("/Groups/$group")->json->{members} || [] }), 0);
}

my @results = parallel(3, sub {
    my ($client) = @_;
    my @nodes = map { $cluster->node($_) } $cluster->machines;
    my $group = made($nodes[0], '/Groups', group("group $client"))->{id};
    my @problems;
    for my $n (1 .. $rounds) {
        one_round(\@problems, "c$client-$n", $group, @nodes[map { ($client + $n + $_) % 3 } 0 .. 2]);
    }
    return { problems => \@problems, seconds => \@seconds };
});
@seconds = map { @{ $_->{seconds} } } @results;
note sprintf '%d rounds of 15 requests; a user was made in %.1f ms (median), %.1f ms at most', scalar @seconds,
    1000 * Scim::Load::median(@seconds), 1000 * (sort { $b <=> $a } @seconds)[0];
is(scalar @seconds, 3 * $rounds, 'all rounds were made');
is_deeply([map { @{ $_->{problems} } } @results], [], 'each node reads what another wrote');
$cluster->log_clean;
done_testing();
