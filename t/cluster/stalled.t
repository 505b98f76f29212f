#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Patroni of the primary stands still while PostgreSQL goes on, as on a machine that hangs
# and that no watchdog resets: another becomes the primary, and there are two.  The one that
# nobody follows any more takes changes and cannot finish them; when its Patroni goes on, it
# ends with them.  None of these was acknowledged, and nothing else is lost.
#
# Nothing is said of what is read meanwhile: that may be old, and is what watchdogs are for.
#
# ROUNDS: how often (1; LONG: 10)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Cluster;
use Scim::Load;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{ROUNDS} || ($ENV{LONG} ? 10 : 1);
my $cluster = Scim::Cluster->new;
$cluster->allow_outages;
my $load = Scim::Load->new($cluster, reads => 0, old => 1);
my $both = 0;

# Until another has taken over, and for a while more.
sub two_primaries
{
    my ($primary) = @_;
    my $until = time + 60;
    sleep 0.2 while !$cluster->primary_elsewhere($primary) && time < $until;
    for (1 .. 25) {
        $both = 1 if $cluster->primaries == 2;
        sleep 0.2;
    }
}

$load->run(sub {
    for my $round (1 .. $rounds) {
        my $primary = $cluster->wait_whole;
        $load->wait_for(50);
        $cluster->stall_patroni($primary, 1);
        $load->mark('Patroni of the primary stalled');
        two_primaries($primary);
        $cluster->stall_patroni($primary, 0);
        $load->wait_for(20);
        $cluster->wait_whole;
    }
    $load->wait_for(50);
});
$load->tell;
ok($both, 'two took themselves for the primary');
is(scalar $load->outages, $rounds, 'clients went on');
is_deeply([$load->problems], [], 'what was acknowledged is there, and nothing else');
$cluster->log_clean;
done_testing();
