#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What an administrator does while clients write: each httpd is restarted gracefully and
# then for good, each PostgreSQL is restarted, another becomes the primary.  Whoever is
# told to come again does, and nothing fails then.
#
# ROUNDS: how often all of that (1; LONG: 10)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Cluster;
use Scim::Load;
use Test::More;

my $rounds = $ENV{ROUNDS} || ($ENV{LONG} ? 10 : 1);
my $cluster = Scim::Cluster->new;
# A connection that is kept alive may be closed while a request is on its way.
$cluster->allow_outages;
my $load = Scim::Load->new($cluster, lost => 1);

sub roll_httpd
{
    for my $m ($cluster->machines) {
        $load->wait_for(20);
        $load->mark("httpd restarted gracefully on machine $m");
        ok($cluster->node($m)->graceful, "node $m has restarted gracefully");
        $load->wait_for(20);
        $load->mark("httpd stopped and started on machine $m");
        $cluster->node($m)->stop;
        $cluster->node($m)->start;
    }
}

# The primary last, by making another the primary first.
sub roll_postgres
{
    my $primary = $cluster->wait_whole;
    for my $m (grep { $_ != $primary } $cluster->machines) {
        $load->wait_for(20);
        $load->mark("PostgreSQL restarted, a standby");
        $cluster->patronictl('restart', '--force', 'scim', "scim$m");
        $cluster->wait_whole;
    }
    my $next = $cluster->sync_standby;
    $load->mark('another made the primary');
    $cluster->patronictl('switchover', '--force', '--candidate', "scim$next", 'scim');
    is($cluster->wait_whole, $next, 'another is the primary');
    $load->mark('PostgreSQL restarted, the former primary');
    $cluster->patronictl('restart', '--force', 'scim', "scim$primary");
    $cluster->wait_whole;
    $load->wait_for(20);
    $load->mark('PostgreSQL restarted, the primary');
    $cluster->patronictl('restart', '--force', 'scim', "scim$next");
    $cluster->wait_whole;
}

$load->run(sub {
    for my $round (1 .. $rounds) {
        roll_httpd();
        roll_postgres();
    }
    $load->wait_for(50);
});
$load->tell;
is(scalar $load->outages, 11 * $rounds, 'clients went on each time');
is_deeply([$load->problems], [], 'nothing failed after a retry, and all that was acknowledged is there');
$cluster->log_clean;
done_testing();
