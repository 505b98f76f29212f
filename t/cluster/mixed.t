#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Three nodes, one store, nothing that fails: all clients write at all nodes at once, and
# want the same names; each is there once, and all that was acknowledged.
#
# SECONDS: how long (20; LONG: 600)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Cluster;
use Scim::Load;
use Test::More;
use Time::HiRes qw(sleep);

my $seconds = $ENV{SECONDS} || ($ENV{LONG} ? 600 : 20);
my $cluster = Scim::Cluster->new;
my $load = Scim::Load->new($cluster, clients => 9);
$load->run(sub { sleep $seconds });
$load->tell;
cmp_ok($load->acknowledged, '>', 5 * $seconds, 'clients wrote all the while');
is_deeply([$load->problems($_)], [], "what was acknowledged is there, and nothing else, at node $_") for $cluster->machines;
unlike($load->answers, qr/5\d\d/, 'nobody was refused');
$cluster->log_clean;
done_testing();
