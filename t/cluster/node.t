#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# An httpd is killed (-9) amid writes, with all its children, and comes back: nothing that
# it acknowledged is lost, nothing is done by half or twice, and the others go on.
#
# ROUNDS: how often (6; LONG: 60)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Cluster;
use Scim::Load;
use Test::More;

my $rounds = $ENV{ROUNDS} || ($ENV{LONG} ? 60 : 6);
my $cluster = Scim::Cluster->new;
my $load = Scim::Load->new($cluster, lost => 1);
$load->run(sub {
    for my $round (1 .. $rounds) {
        my $m = 1 + $round % 3;
        $load->wait_for(50);
        $cluster->kill_node($m);
        $load->mark("httpd killed on machine $m");
        $load->wait_for(50);
        $cluster->restart_node($m);
    }
    $load->wait_for(50);
});
$load->tell;
my @outages = $load->outages;
is(scalar @outages, $rounds, 'nodes were killed as often as they should be');
is_deeply([grep { $_->[1] > 5 } @outages], [], 'and each time the others went on');
is_deeply([$load->problems], [], 'what was acknowledged is there, and nothing else');
$cluster->log_clean;
done_testing();
