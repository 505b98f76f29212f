#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The server is stopped and restarted the hard way and the gentle one, amid writes,
# again and again: what was acknowledged is there, what a graceful stop left
# unanswered was not done, nothing is done by half, and no process crashes.
#
# LONG: 50 rounds of each in place of 2.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Scim::Watch;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = rounds(2, 50);
my $writers = 4;
my $base = $ENV{SCIM_MPM} || 'event';

# Where httpd is not to be gentle: event shuts the sockets and frees the pools of
# threads that are ending requests, and so ends one process in some hundred with
# SIGSEGV.  The two others do not.
my $hard = $base eq 'event' ? 'worker' : $base;
my $crash_of_event = qr/AH00052: child pid \d+ exit signal Segmentation fault/;

# On a connection of its own, without which a client would try again by itself.
sub alone
{
    my ($s, $method, $path, $body) = @_;
    return $s->request($method, $path, $body, host => '127.0.0.1');
}

sub is_lost
{
    my ($response) = @_;
    return $response->status == 599 || $response->status == 0;
}

# A user of whom all parts say the same; whether they do.
sub whole_user
{
    my ($name) = @_;
    return user($name, displayName => $name, externalId => $name, emails => [{ type => 'work', value => "$name\@example.com" }]);
}

sub is_whole
{
    my ($user) = @_;
    my $name = $user->{userName};
    return join("\n", map { $_ // 'nothing' } @$user{qw(displayName externalId)}, $user->{emails}[0]{value}) eq "$name\n$name\n$name\@example.com";
}

# Writes until $over says so: what was acknowledged, and what was not answered.
# Any other answer than 201 fails the test.
sub write_until
{
    my ($s, $name, $over) = @_;
    my %names = (made => [], lost => []);
    for (my $n = 1; ; $n++) {
        my $r = alone($s, 'POST', '/Users', whole_user("$name-$n"));
        push @{ $names{ is_lost($r) ? 'lost' : 'made' } }, "$name-$n";
        die "POST $name-$n: " . $r->status . ' ' . $r->content . "\n" if !is_lost($r) && $r->status != 201;
        last if $over->(\%names);
    }
    return \%names;
}

# Users of the server, by userName; those that are there by half are told.
sub users_of
{
    my ($s) = @_;
    my (%users, @half, $page);
    my $n = 1;
    do {
        $page = $s->get("/Users?count=1000&startIndex=$n")->json;
        for my $user (@{ $page->{Resources} }) {
            $users{ $user->{userName} } = $user;
            push @half, $user->{userName} if !is_whole($user);
        }
        $n += @{ $page->{Resources} };
    } while @{ $page->{Resources} };
    is($n - 1, $page->{totalResults}, 'C-114 all of them are read');
    is_deeply(\@half, [], 'each user is whole');
    return \%users;
}

sub is_valid
{
    my ($s, $name) = @_;
    my ($code, $out, $err) = $s->scimctl('verify');
    return is($code, 0, "$name: the store is whole") || diag($out, $err);
}

# --- stopped amid writes -----------------------------------------------------

sub has_ended
{
    my ($pid) = @_;
    return slurp("/proc/$pid/stat") !~ /\) [^Z] /;
}

# One round: started, written to by several, told to end; until it has.
sub one_stop
{
    my ($s, $signal, $round) = @_;
    $s->start;
    my $pid = $s->pid;
    my $before = $s->access_log;
    my @names = parallel($writers + 1, sub {
        my ($i) = @_;
        return write_until($s, "$signal-$round-$i", sub { @{ $_[0]{lost} } }) if $i < $writers;
        my $until = time + 20;
        sleep 0.02 while $s->access_log < $before + 8 && time < $until;
        sleep rand 0.1;
        return kill $signal, $pid;
    });
    pop @names;
    my $until = time + 30;
    sleep 0.02 while !has_ended($pid) && time < $until;
    ok(has_ended($pid), "$signal: the server ends") if !has_ended($pid);
    $s->stop;
    return @names;
}

sub stopped_by
{
    my ($mpm, $signal, $times) = @_;
    my $s = Scim::Httpd->new(start => 0, mpm => $mpm, $mpm eq 'prefork' ? (children => 6) : (threads => 8));
    my @names = map { one_stop($s, $signal, $_) } 1 .. $times;
    my ($made, $lost) = map { my $what = $_; [map { @{ $_->{$what} } } @names] } qw(made lost);
    is_valid($s, "$mpm, $signal");
    $s->start;
    my $users = users_of($s);
    cmp_ok(scalar @$made, '>', 2 * $times, "$mpm, $signal: users were made in each of $times rounds");
    is_deeply([grep { !delete $users->{$_} } @$made], [], "C-030 $mpm, $signal: what was acknowledged is there");
    my @done = grep { delete $users->{$_} } @$lost;
    if ($signal eq 'WINCH') {
        is_deeply(\@done, [], "C-030 $mpm, $signal: what was not answered was not done");
    } else {
        note "$mpm, $signal: of " . @$lost . ' that were not answered, ' . @done . ' were done';
    }
    is_deeply([keys %$users], [], "$mpm, $signal: there is nothing else");
    $s->allow_log($crash_of_event) if $mpm eq 'event' && $signal eq 'TERM';
    $s->log_clean;
}

subtest 'a graceful stop amid writes' => sub { stopped_by($base, 'WINCH', $rounds) };
subtest 'a stop amid writes' => sub {
    # Of prefork lifecycle.t has one round.
    stopped_by($_, 'TERM', $_ eq $hard ? $rounds : 15) for rounds([$hard], [qw(event worker prefork)])->@*;
};

# --- restarted the hard way --------------------------------------------------

sub restart_times
{
    my ($s, $times) = @_;
    my $done = 0;
    for (1 .. $times) {
        sleep 0.05 + rand 0.1;
        $done += $s->restart ? 1 : 0;
    }
    open my $over, '>', $s->dir . '/over' or die "$!\n";
    return { done => $done };
}

subtest 'restarts that are not graceful' => sub {
    my $s = Scim::Httpd->new(mpm => $hard, threads => 8);
    my @names = parallel(3, sub {
        my ($i) = @_;
        return $i ? write_until($s, "hard-$i", sub { -e $s->dir . '/over' }) : restart_times($s, 2 * $rounds);
    });
    is(shift(@names)->{done}, 2 * $rounds, 'are done');
    my $users = users_of($s);
    my @made = map { @{ $_->{made} } } @names;
    is_deeply([grep { !delete $users->{$_} } @made], [], 'C-030 what was acknowledged is there');
    cmp_ok(scalar @made, '>', 2 * $rounds, 'and there was some');
    delete @$users{ map { @{ $_->{lost} } } @names };
    is_deeply([keys %$users], [], 'and nothing that was never asked for');
    $s->stop;
    is_valid($s, 'hard restarts');
    $s->log_clean;
};

# Until it serves again, after signals whose number of restarts is not known: two
# that come at once may be one to httpd.
sub serves_again
{
    my ($s) = @_;
    my $until = time + 20;
    my $r;
    do {
        sleep 0.1;
        delete $s->{http};
        $r = alone($s, 'GET', '/Users?count=0');
    } while $r->status != 200 && time < $until;
    return $r->status;
}

subtest 'restarted twice at once' => sub {
    my $s = Scim::Httpd->new(
        modules => ['status'], threads => 8, location => 'SCIMRateLimit 100000/s',
        conf => "<Location \"/status\">\nSetHandler server-status\n</Location>",
    );
    made($s, '/Users', user('bjensen'));
    my $times = 0;
    for my $signals (rounds([['HUP', 'HUP'], ['USR1', 'HUP']], [(['HUP', 'HUP'], ['USR1', 'USR1'], ['USR1', 'HUP'], ['HUP', 'USR1']) x 5])->@*) {
        $s->_hang_up;
        for my $signal (@$signals) {
            kill $signal, $s->pid;
            sleep 0.01 * ($times++ % 5);
        }
        is(serves_again($s), 200, "@$signals: it serves");
        my $status = $s->get($s->url('/status?auto'));
        like($status->content, qr/^Scoreboard: /m, "@$signals: its status page, too");
        is($s->get('/Users')->json->{totalResults}, 1, 'C-114 and holds what it held');
    }
    # A child of a generation that was not there for long is told to end as it begins.
    $s->allow_log(qr/AH00045: child process \d+ still did not exit, sending a SIGTERM/);
    $s->log_clean;
};

# --- one process, which unloads what its own threads run ----------------------

subtest 'one process is stopped amid requests' => sub {
    for my $round (1 .. rounds(1, 20)) {
        my $s = Scim::Httpd->new(mpm => $hard, single => 1, threads => 8);
        my $pid = $s->pid;
        my @names = parallel(4, sub {
            my ($i) = @_;
            return write_until($s, "single-$i", sub { @{ $_[0]{lost} } }) if $i < 3;
            my $until = time + 20;
            sleep 0.05 while alone($s, 'GET', '/Users?count=0')->json->{totalResults} < 3 && time < $until;
            return kill 'TERM', $pid;
        });
        pop @names;
        cmp_ok(scalar(map { @{ $_->{made} } } @names), '>', 2, 'it served');
        $s->stop;
        is_valid($s, "round $round");
        $s->log_clean('it ends without a crash');
    }
};

# --- without its store -------------------------------------------------------

# What a restart finds in its place: nothing, as where a file system is not mounted.
subtest 'the store is gone at a restart' => sub {
    lmdb_only('a directory that is made anew');
    for my $how (rounds(['graceful'], [qw(graceful restart)])->@*) {
        my $s = Scim::Httpd->new(threads => 8);
        my $store = $s->store;
        made($s, '/Users', user('bjensen'));
        rename $store, "$store.away" or die "$store: $!\n";
        is($s->get('/Users')->json->{totalResults}, 1, "$how: until then it is served from what is open");
        is($s->$how, 1, "$how: done");
        is_error($s->get('/Users'), 401, undef, "C-015 $how: a new store, which knows no token");
        is($s->get($s->url('/hello.txt'))->status, 200, "$how: all else is served");
        is(sprintf('%o', (stat $store)[2] & 07777), '700', "$how: it is closed to others");
        rename $store, "$store.new" or die "$store: $!\n";
        rename "$store.away", $store or die "$store: $!\n";
        is($s->$how, 1, "$how: with its store back");
        is($s->get('/Users')->json->{totalResults}, 1, "C-114 $how: it holds what it held");
        # A child that was to be one more when there was none.
        $s->allow_log(qr{SCIM1303: SCIMStore \S+: });
        $s->log_clean;
    }
};

done_testing();
