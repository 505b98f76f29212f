#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A loop of requests of every kind leaves no memory behind: by what a child of
# the server holds and, with SCIM_VALGRIND, by what valgrind finds at its end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Turn;
use Scim::Watch;
use Test::More;

# One child with few threads, each of which has soon had its share.
sub growth
{
    my $server = Scim::Httpd->new(mpm => 'worker', children => 1, conf => "ThreadsPerChild 4\nMaxRequestWorkers 4\nMaxSpareThreads 4");
    my ($child) = $server->children;
    my %answers = map { turn($server, "warm-$_") => 1 } 1 .. 60;
    my $before = held($child)->{anon};
    $answers{ turn($server, $_) } = 1 for 1 .. 90;
    my $after = held($child)->{anon};
    is_deeply([keys %answers], [$TURN], 'each turn is answered as the others');
    is_deeply([$server->children], [$child], 'all by one child');
    note "from $before kB to $after kB in 2,000 requests";
    cmp_ok($after - $before, '<', 1024, '2,000 requests later it holds less than 1 MB more');
    $server->log_clean;
}

# log_clean sees what valgrind wrote.
sub under_valgrind
{
    my $server = Scim::Httpd->new(valgrind => 1);
    my %answers = map { turn($server, $_) => 1 } 1 .. 12;
    is_deeply([keys %answers], [$TURN], 'each turn is answered as the others, under valgrind');
    $server->log_clean('valgrind finds nothing lost, and no wrong access');
}

SKIP: {
    # They keep what was freed.
    skip 'sanitizers hold memory of their own', 4 if $ENV{SCIM_SAN};
    growth();
}
SKIP: {
    skip 'make check VALGRIND=1 looks for leaks', 2 if !$ENV{SCIM_VALGRIND};
    under_valgrind();
}
done_testing();
