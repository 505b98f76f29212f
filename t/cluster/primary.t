#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The primary is killed (-9) amid writes, again and again: PostgreSQL alone, as in a crash;
# then with Patroni, as where a machine dies, which comes back when another has taken over.
# No acknowledged change is lost, and clients are told nothing but to come again.
#
# ROUNDS: how often (3; LONG: 20)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Cluster;
use Scim::Load;
use Test::More;

my $rounds = $ENV{ROUNDS} || ($ENV{LONG} ? 20 : 3);
my $cluster = Scim::Cluster->new;
$cluster->allow_outages;
my $load = Scim::Load->new($cluster);
my ($kills, $moved) = (0, 0);

sub kill_primary
{
    my ($machine_dies) = @_;
    my $primary = $cluster->primary;
    $cluster->kill_patroni($primary) if $machine_dies;
    $cluster->kill_postgres($primary);
    $load->mark($machine_dies ? 'PostgreSQL and Patroni killed' : 'PostgreSQL killed');
    $load->wait_for(20);
    my $next = $cluster->primary // 0;
    $kills++;
    $moved++ if $next && $next != $primary;
    $cluster->start_patroni($primary) if $machine_dies;
    $cluster->wait_whole;
}

$load->run(sub {
    for my $round (1 .. $rounds) {
        $load->wait_for(100);
        kill_primary($round % 2 == 0);
    }
    $load->wait_for(100);
});
$load->tell;
is($kills, $rounds, 'the primary was killed as often as it should be');
is($moved, $rounds, 'another took over each time');
my @outages = $load->outages;
is(scalar @outages, $rounds, 'and clients went on each time');
# Patroni's ttl is 20 s; the rest is for a machine that has more to do.
is_deeply([grep { $_->[1] > 45 } @outages], [], 'before long');
is_deeply([$load->problems], [], 'what was acknowledged is there, and nothing else');
$cluster->log_clean;
done_testing();
