#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A server under a load that does not change holds no more at the end than at the
# beginning: memory, descriptors and mappings of each child and of the parent,
# slots of readers, pages of the store.  The samples are printed as a table.
#
# SOAK: seconds (10; with LONG 3600), of which the first third is a warm-up.  From
#       half an hour on the slope is a figure: less than 1 MB in an hour.
# SOAK_LOAD: how much of its time each of the two clients asks, in percent (50)
# SOAK_MPM: event, worker or prefork (event)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use List::Util qw(max min sum0);
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Scim::Turn;
use Scim::Watch;
use Test::More;
use Time::HiRes qw(sleep time);

lmdb_only('its file and its readers');

my $seconds = $ENV{SOAK} || rounds(10, 3600);
my $load = $ENV{SOAK_LOAD} || 50;
my $mpm = $ENV{SOAK_MPM} || 'event';
my $users = 300;
my $long = $seconds >= 1800;
my $every = max(0.4, $seconds / 60);

# kB that a child may have more after the warm-up, where the run is too short to
# tell a slope from the first use of a thread's memory; of rss pages of files, too,
# which the system may give back at any time.
my %more_at_most = (anon => 512, rss => 2048);

# --- clients -----------------------------------------------------------------

# Turns, each over connections of its own and with a look at a site behind it, and
# a pause so that so much of the time is theirs.
sub ask_until
{
    my ($s, $number, $until) = @_;
    my (%seen, $n);
    while (time < $until) {
        my $began = time;
        $seen{ join ' ', turn($s, "$number-" . ++$n), map { enter($s, '/in', $_) } 'user-1', 'nobody' }++;
        delete $s->{http};
        sleep((time - $began) * (100 / $load - 1));
    }
    return { answers => \%seen };
}

# --- what is watched ---------------------------------------------------------

sub stat_of
{
    my ($s) = @_;
    my ($code, $out, $err) = $s->scimctl('--json', 'stat');
    die "scimctl stat: $err" if $code;
    return JSON::PP::decode_json($out);
}

sub sample
{
    my ($s, $began, @children) = @_;
    my $stat = stat_of($s);
    return {
        at => time - $began, children => [map { held($_) // die "child $_ is gone\n" } @children], parent => held($s->pid),
        readers => $stat->{readers}, entries => $stat->{entries}, pages => (-s $s->store . '/data.mdb') / 4096,
        used => $stat->{used} / 4096,
    };
}

sub watch_until
{
    my ($s, $began, $until) = @_;
    my @children = sort { $a <=> $b } $s->children;
    my @samples;
    while (time < $until) {
        push @samples, sample($s, $began, @children);
        sleep $every;
    }
    my @now = sort { $a <=> $b } $s->children;
    return { samples => \@samples, same => "@now" eq "@children" ? 1 : 0 };
}

sub table
{
    my (@samples) = @_;
    my $n = @{ $samples[0]{children} };
    my $step = max(1, int(@samples / 30));
    note join '  ', sprintf('%8s', 'seconds'), (map { sprintf '%-26s', "child $_: rss anon fds maps" } 1 .. $n),
        'parent: rss anon fds maps   ', 'readers  entries  pages  used';
    for my $sample (@samples[grep { $_ % $step == 0 || $_ == $#samples } 0 .. $#samples]) {
        note join '  ', sprintf('%8.1f', $sample->{at}),
            (map { sprintf '%7d %7d %4d %4d', @$_{qw(rss anon fds maps)} } @{ $sample->{children} }, $sample->{parent}),
            sprintf '%7d %8d %6d %5d', @$sample{qw(readers entries pages used)};
    }
}

# --- what must hold ----------------------------------------------------------

# Of what a process of each sample ($pick) holds: no more after the warm-up than
# before its end, but for memory, which grows in steps.
sub process_is_flat
{
    my ($name, $pick, $warm, @samples) = @_;
    my @late = map { [$_->{at}, $pick->($_)] } grep { $_->{at} > $warm } @samples;
    my @early = map { $pick->($_) } grep { $_->{at} <= $warm } @samples;
    for my $kind (qw(fds maps)) {
        my ($before, $after) = (max(map { $_->{$kind} } @early), max(map { $_->[1]{$kind} } @late));
        # A connection that is open at the time is a descriptor, and memory of a
        # thread that is used for the first time two mappings.
        cmp_ok($after, '<=', $before + ($kind eq 'fds' ? 4 : 16), "$name: $kind, $before and then $after");
        my $slope = 3600 * slope(map { [$_->[0], $_->[1]{$kind}] } @late);
        cmp_ok($slope, '<', 2, sprintf '%s: %s do not become more (%.2f an hour)', $name, $kind, $slope) if $long;
    }
    for my $kind (qw(rss anon)) {
        my $slope = 3600 * slope(map { [$_->[0], $_->[1]{$kind}] } @late);
        if ($long) {
            cmp_ok($slope, '<', 1024, sprintf '%s: %s grows by less than 1 MB in an hour (%.0f kB)', $name, $kind, $slope);
        } else {
            my $more = $late[-1][1]{$kind} - max(map { $_->{$kind} } @early);
            cmp_ok($more, '<', $more_at_most{$kind}, "$name: $kind is $more kB more, less than $more_at_most{$kind}");
        }
    }
}

sub store_is_flat
{
    my ($warm, @samples) = @_;
    my @late = grep { $_->{at} > $warm } @samples;
    my @early = grep { $_->{at} <= $warm } @samples;
    my ($before, $after) = map { max(map { $_->{pages} } @$_) } \@early, \@late;
    cmp_ok($after, '<=', 1.1 * $before, "the store's file has $before pages and then $after");
    # What a turn has under way, of each client, is all that comes and goes.
    my ($least, $most) = (min(map { $_->{entries} } @late), max(map { $_->{entries} } @late));
    cmp_ok($most - $least, '<=', 100, "rows: between $least and $most");
    cmp_ok(max(map { $_->{readers} } @samples), '<=', 8, 'nobody reads for longer than a request');
    my $slope = 3600 * slope(map { [$_->{at}, $_->{pages}] } @late);
    cmp_ok($slope, '<', 100, sprintf 'its file grows by %.1f pages an hour', $slope) if $long;
}

sub soak
{
    # Few threads, each of which has soon had its share; no child comes or goes.
    my %size = $mpm eq 'prefork' ? (children => 4) : (children => 2, threads => 8);
    my $s = Scim::Httpd->new(
        mpm => $mpm, %size, site_args('user-1', 'nobody'),
        conf => site('/in', 'Require scim-user') . ($mpm eq 'prefork' ? "MinSpareServers 4\n" : ''),
    );
    refusals($s);
    made($s, '/Users', user("user-$_", name => { familyName => "Family $_" })) for 1 .. $users;
    turn($s, "first-$_"), delete $s->{http} for 1 .. 20;
    delete $s->{http};
    my $began = time;
    my $until = $began + $seconds;
    my @results = parallel(3, sub {
        my ($i) = @_;
        return $i ? ask_until($s, $i, $until) : watch_until($s, $began, $until);
    });
    my $watched = shift @results;
    my @samples = @{ $watched->{samples} };
    table(@samples);
    my %seen;
    for my $answers (map { $_->{answers} } @results) {
        $seen{$_} += $answers->{$_} for keys %$answers;
    }
    is_deeply([keys %seen], ["$TURN 200 403"], 'each of ' . sum0(values %seen) . ' turns is answered as the others') or diag explain \%seen;
    is($watched->{same}, 1, 'by the same children');
    cmp_ok(scalar @samples, '>=', 12, 'there are samples enough');
    my $warm = $seconds / 3;
    process_is_flat('child ' . ($_ + 1), _child($_), $warm, @samples) for 0 .. $#{ $samples[0]{children} };
    process_is_flat('the parent', sub { $_[0]{parent} }, $warm, @samples);
    store_is_flat($warm, @samples);
    is($s->get('/Users?count=0')->json->{totalResults}, $users, 'what was there is there, and nothing else');
    $s->stop;
    my ($code, $out) = $s->scimctl('verify');
    is($code, 0, 'the store is whole') or diag($out);
    $s->log_clean;
}

sub _child
{
    my ($i) = @_;
    return sub { $_[0]{children}[$i] };
}

plan(skip_all => 'sanitizers hold memory of their own') if $ENV{SCIM_SAN};
soak();
done_testing();
