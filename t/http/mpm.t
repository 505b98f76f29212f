#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Processes and threads in other numbers than the usual, under every MPM: children
# that end after some connections, many threads, many processes.  No request fails,
# who ends leaves no slot of a reader behind, and who comes opens the store.
#
# LONG: each setting by itself and thousands of connections, in place of all
# settings in one server and some dozens.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Scim::Watch;
use Test::More;
use Time::HiRes qw(sleep);

# Name => connections of a child, threads of it, processes.
my %settings = %{ rounds(
    { 'all at once' => [10, 64, 8] },
    { 'MaxConnectionsPerChild 100' => [100, 25, 2], 'ThreadsPerChild 64' => [0, 64, 2], 'ServerLimit 16' => [0, 8, 16], 'all at once' => [100, 64, 16] },
) };
my $connections = rounds(15, 400); # of each client
my $clients = rounds(6, 12);

# Each over a connection of its own; other statuses than these two are a failure.
sub ask
{
    my ($s, $number) = @_;
    my %seen;
    for my $n (1 .. $connections) {
        my $r = $n % 3
            ? $s->request('GET', '/Users?count=3', undef, host => '127.0.0.1')
            : $s->request('POST', '/Users', user("user-$number-$n"), host => '127.0.0.1');
        $seen{ $r->status }++;
    }
    return \%seen;
}

# All pids that were children of the server until the file appears.
sub children_until_over
{
    my ($s) = @_;
    my %pids;
    until (-e $s->dir . '/over') {
        $pids{$_} = 1 for $s->children;
        sleep 0.02;
    }
    return { map { $_ => 1 } keys %pids };
}

sub serves
{
    my ($mpm, $name, $per_child, $threads, $processes) = @_;
    my $conf = "MaxConnectionsPerChild $per_child\n" . ($mpm eq 'prefork' ? "MinSpareServers $processes\n" : '');
    my $s = Scim::Httpd->new(mpm => $mpm, children => $processes, threads => $threads, conf => $conf);
    # What httpd says of children that come one at a time, or all end at once.
    $s->allow_log(qr/server seems busy/, qr/server is within MinSpareThreads/, qr/server reached MaxRequestWorkers/, qr/AH03490: scoreboard is full/);
    my @results = parallel($clients + 1, sub {
        my ($i) = @_;
        return children_until_over($s) if $i == $clients;
        my $seen = ask($s, $i);
        sleep 0.3 if $i == 0; # the others are done meanwhile, or nearly
        if ($i == 0) {
            open my $over, '>', $s->dir . '/over' or die "$!\n";
        }
        return $seen;
    });
    my $pids = pop @results;
    my %seen;
    for my $seen (@results) {
        $seen{$_} += $seen->{$_} for keys %$seen;
    }
    my $made = $clients * int($connections / 3);
    is_deeply(\%seen, { 200 => $clients * $connections - $made, 201 => $made }, "C-030 $mpm, $name: each request is answered") or diag explain \%seen;
    is($s->get('/Users?count=0')->json->{totalResults}, $made, "C-114 $mpm, $name: all of them are there");
    my @now = $s->children;
    my %gone = %$pids;
    delete @gone{@now};
    note "$mpm, $name: " . keys(%$pids) . ' children, of which ' . keys(%gone) . ' have ended';
    if ($per_child) {
        cmp_ok(scalar keys %gone, '>=', 2, "$mpm, $name: children end, and others come");
    } else {
        cmp_ok(scalar readers($s, @now), '>=', 2, "$mpm, $name: several have the store open");
    }
    is_deeply([readers($s, keys %gone)], [], "$mpm, $name: those that have ended leave no slot behind");
    $s->stop;
    my ($code, $out) = $s->scimctl('verify');
    is($code, 0, "$mpm, $name: the store is whole") or diag($out);
    $s->log_clean;
}

for my $mpm (qw(event worker prefork)) {
    for my $name (sort keys %settings) {
        my ($per_child, $threads, $processes) = @{ $settings{$name} };
        next if $mpm eq 'prefork' && $name eq 'ThreadsPerChild 64';
        serves($mpm, $name, $per_child, $threads, $processes);
    }
}
done_testing();
