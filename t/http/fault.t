#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A system that fails under a running server: writes and syncs that fail, a disk
# that is full or read-only, children that are killed at one point of a commit
# or stopped in the middle of a read.  Clients are told, reads go on, one line of
# the log says what to do, and all goes on when the cause is gone.
#
# LONG=1: the whole size.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Errno qw(EIO ENOSPC EROFS);
use Scim::Body;
use Scim::Fault;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

lmdb_only('its files, on a system that fails');

my $long = $ENV{LONG};
my $name = 0;

sub next_user
{
    my (%more) = @_;
    return user('fault-' . ++$name, %more);
}

sub reads_go_on
{
    my ($server, $id, $what) = @_;
    my @status = map { $server->get($_)->status } "/Users/$id", '/Users?count=2';
    is_deeply(\@status, [200, 200], "C-060 $what: reads go on");
}

sub complaints
{
    my ($server) = @_;
    return grep { /SCIM1201/ } $server->error_log;
}

sub tells_once
{
    my ($server, $text, $what) = @_;
    my @lines = complaints($server);
    my $store = $server->store;
    is(scalar(@lines), 1, "$what: one line tells") or diag join "\n", @lines;
    like($lines[0] // '', $text, "$what: it says what");
    like($lines[0] // '', qr/user \S+ \(uid \d+\)/, "$what: it names the user");
    like($lines[0] // '', qr/\Q$store\E/, "$what: and the path");
    $server->expect_log(qr/SCIM1201/);
}

# --- faults that pass --------------------------------------------------------

sub passing
{
    my ($call, $err, $status, $text) = @_;
    my $fault = Scim::Fault->new;
    my $server = Scim::Httpd->new(fault => $fault);
    my $id = made($server, '/Users', next_user())->{id};
    my $body = next_user();
    $fault->arm($call, err => $err);
    is_error($server->post('/Users', $body), $status, undef, "a failed write ($call, $status) is told");
    is($fault->disarm, 1, 'it did fail');
    reads_go_on($server, $id, $call);
    is($server->post('/Users', $body)->status, 201, "C-030 $call: the same again succeeds");
    is($server->get('/Users?count=0')->json->{totalResults}, 2, "C-114 $call: nothing else is there");
    tells_once($server, $text, $call);
    $server->log_clean;
}

# What names the root cannot be written: LMDB uses the store no more, and every
# process that has it so must open it again.
sub panics
{
    my $fault = Scim::Fault->new;
    my $server = Scim::Httpd->new(fault => $fault);
    my $rounds = $long ? 50 : 5;
    my $id = made($server, '/Users', next_user())->{id};
    my $failed = 0;
    for my $round (1 .. $rounds) {
        $fault->arm('meta', err => EIO);
        my @seen = parallel(4, sub {
            my ($i) = @_;
            return [map { $_ % 2 ? $server->get("/Users/$id")->status : $server->post('/Users', user("p-$round-$i-$_"))->status } 1 .. 8];
        });
        my @bad = grep { !/^20[01]$/ } map { @$_ } @seen;
        $failed += @bad;
        is($fault->disarm, 1, 'a panic') if $round == 1;
        last if !ok(@bad <= 1, 'at most one request fails for a panic');
    }
    cmp_ok($failed, '<=', $rounds, "$rounds panics, $failed failed requests");
    is($server->get('/Users?count=0')->json->{totalResults}, 1 + $rounds * 16 - $failed, 'C-114 what was acknowledged is there');
    $server->allow_log(qr/SCIM1201/);
    $server->stop;
    is(($server->scimctl('verify'))[0], 0, 'the store is whole');
    $server->log_clean;
}

# --- faults that last --------------------------------------------------------

sub lasting
{
    my ($call, $err, $status, $text) = @_;
    my $fault = Scim::Fault->new;
    my $server = Scim::Httpd->new(fault => $fault);
    my $id = made($server, '/Users', next_user())->{id};
    $fault->arm($call, err => $err, times => 1_000_000);
    for my $n (1 .. 5) {
        my $response = $server->post('/Users', next_user());
        is_error($response, $status, undef, "as long as it lasts ($call, $status) changes fail");
        like($response->header('retry-after') // '', qr/^[1-9]\d*$/, 'with Retry-After') if $status == 503;
        reads_go_on($server, $id, "$call, $status");
    }
    is_error($server->delete("/Users/$id"), $status, undef, 'deletions too');
    cmp_ok($fault->disarm, '>=', 6, 'they did fail');
    my $start = time;
    is($server->post('/Users', next_user())->status, 201, "C-030 $call: it is over when the cause is");
    cmp_ok(time - $start, '<', 5, 'at once');
    tells_once($server, $text, "$call, $status");
    $server->log_clean;
}

# --- killed at a point of a commit -------------------------------------------

# The answer is lost; what then is there is known.
sub killed_at
{
    my ($server, $fault, $call, $act, $after) = @_;
    my $body = next_user();
    $fault->arm($call, act => $act);
    my $lost = $server->request('POST', '/Users', $body, host => '127.0.0.1');
    is($fault->disarm, 1, "$act at $call: a child is killed");
    ok($lost->status == 599 || $lost->status == 0, 'and the answer lost') or diag $lost->status;
    my $start = time;
    is($server->request('POST', '/Users', $body, host => '127.0.0.1')->status, $after, "$act at $call: sent again it is $after");
    cmp_ok(time - $start, '<', 2, 'by the next writer at once');
}

sub killed
{
    my $fault = Scim::Fault->new;
    my $server = Scim::Httpd->new(fault => $fault, children => 3);
    $server->allow_log(qr/children are killed successively/, qr/server is within MinSpareThreads/, qr/scoreboard is full/);
    my @points = (['pages', 'kill', 201], ['pages', 'kill late', 201], ['sync', 'kill', 201], ['sync', 'kill late', 201], ['meta', 'kill', 201], ['meta', 'kill late', 409]);
    my $rounds = $long ? 20 : 1;
    for my $round (1 .. $rounds) {
        killed_at($server, $fault, @$_) for @points;
    }
    is($server->get('/Users?count=0')->json->{totalResults}, $rounds * @points, 'C-114 each is there once');
    $server->stop;
    is(($server->scimctl('verify'))[0], 0, 'the store is whole');
    $server->log_clean;
}

# --- stopped in a read -------------------------------------------------------

my @wide = ('/Users?count=150&filter=' . esc(join ' or ', map { qq(title co "$_" and displayName co "v") } 'v', 1 .. 9), undef, host => '127.0.0.1');

# The users of a page agree with themselves, whenever they were read.
sub is_torn
{
    my ($response) = @_;
    return $response->status != 503 if $response->status != 200;
    my @values = $response->content =~ /"(?:title|displayName)":"(v[^"]*)"/g;
    my $torn = @values != 300;
    while (my ($one, $two) = splice @values, 0, 2) {
        $torn ||= $one ne $two;
    }
    return $torn;
}

sub read_until_over
{
    my ($server) = @_;
    my ($torn, $reads) = (0, 0);
    while (!-e $server->dir . '/over') {
        $torn++ if is_torn($server->request('GET', @wide));
        $reads++;
    }
    return { torn => $torn, reads => $reads };
}

# A view that is under way in some process.
sub views
{
    my ($server) = @_;
    my ($code, $out) = $server->scimctl('stat', '--json');
    return $out =~ /"readers": ?([1-9])/ ? 1 : 0;
}

# Stops a child in the middle of a read; not where none can be caught there.
sub stop_inside
{
    my ($server) = @_;
    my ($child) = $server->children;
    for (1 .. 100) {
        kill 'STOP', $child;
        sleep 0.002;
        return ($child, 1) if views($server);
        kill 'CONT', $child;
        sleep 0.002 + rand 0.01;
    }
    return ($child, 0);
}

# On connections of their own, which the other child takes.  Where the stopped
# one holds what writers wait for, they are told so.
sub write_while_stopped
{
    my ($server, $rounds, $writes, @ids) = @_;
    my %result = (inside => 0, done => 0);
    for my $round (1 .. $rounds) {
        my ($child, $inside) = stop_inside($server);
        $result{inside} += $inside;
        for my $n (1 .. $writes) {
            my $patch = ops(['replace', undef, { title => "v$round-$n", displayName => "v$round-$n" }]);
            my $status = $server->request('PATCH', '/Users/' . $ids[$n % @ids], $patch, host => '127.0.0.1')->status;
            die "PATCH: $status\n" if $status !~ /^(?:200|503)$/;
            last if $status == 503;
            $result{done}++;
        }
        kill 'CONT', $child;
    }
    open my $over, '>', $server->dir . '/over' or die "$!\n";
    return \%result;
}

sub stopped
{
    my $server = Scim::Httpd->new(children => 2, conf => 'SCIMWriteTimeout 1s');
    my @ids = map { made($server, '/Users', next_user(title => 'v0', displayName => 'v0'))->{id} } 1 .. 150;
    my ($rounds, $writes) = $long ? (20, 500) : (3, 30);
    my ($wrote, @read) = parallel(7, sub {
        my ($i) = @_;
        return $i ? read_until_over($server) : write_while_stopped($server, $rounds, $writes, @ids);
    });
    my ($torn, $reads) = (0, 0);
    $torn += $_->{torn}, $reads += $_->{reads} for @read;
    note "$reads reads, $wrote->{done} writes, in $wrote->{inside} of $rounds rounds inside a read";
    cmp_ok($wrote->{inside}, '>', 0, 'a child is stopped in the middle of a read');
    cmp_ok($wrote->{done}, '>', $writes, 'others write all the while');
    is($torn, 0, 'C-060 when it goes on, no answer is of two states');
    $server->allow_log(qr/SCIM1201: .*busy/);
    $server->log_clean;
}

# --- a file system that is full or read-only ---------------------------------

my @mounted;

# A file system of its own with the server's store on it, or nothing.
sub on_file_system
{
    my ($server, $size) = @_;
    my $path = $server->dir . '/mounted';
    my ($uid, $gid) = (stat $server->store)[4, 5];
    mkdir $path;
    return if $> != 0 || system("mount -t tmpfs -o size=$size,mode=0700,uid=$uid,gid=$gid none $path 2>/dev/null");
    push @mounted, $path;
    system('cp', '-p', $server->store . '/data.mdb', "$path/data.mdb") == 0 or die "cp: $?\n";
    $server->write_conf(store => $path);
    return $path;
}

END {
    my $result = $?;
    system("umount -l $_") for @mounted;
    $? = $result;
}

sub fill_file
{
    my ($path) = @_;
    open my $out, '>', $path or die "$path: $!\n";
    while (syswrite $out, 'x' x 4096) { }
    close $out;
}

# Statuses of requests, and the names of users that were made.
sub load_for
{
    my ($server, $i, $id, $seconds) = @_;
    my $until = time + $seconds;
    my (%seen, @names);
    for (my $n = 0; time < $until; $n++) {
        my $user = "load-$i-$n";
        my $status = $i % 2 ? $server->get("/Users/$id")->status : $server->post('/Users', user($user, title => 'x' x 3000))->status;
        push @names, $user if $status == 201;
        $seen{$status}++;
    }
    return { seen => \%seen, names => \@names };
}

sub missing
{
    my ($server, @names) = @_;
    return grep { $server->get('/Users?count=0&filter=' . esc(qq(userName eq "$_")))->json->{totalResults} != 1 } @names;
}

sub full_file_system
{
    my $server = Scim::Httpd->new(start => 0);
    my $path = on_file_system($server, '6m') or return skip_mount();
    $server->start;
    my $id = made($server, '/Users', user('first'))->{id};
    my (@names, $refused);
    for my $n (1 .. 500) {
        my $response = $server->post('/Users', user("full-$n", title => 'x' x 20_000));
        $refused = $response, last if $response->status != 201;
        push @names, "full-$n";
    }
    is_error($refused, 507, undef, 'a full disk is 507');
    cmp_ok(scalar @names, '>', 20, 'after some users');
    fill_file("$path/other");
    my (%seen, @made);
    for my $part (parallel(4, sub { return load_for($server, $_[0], $id, $long ? 20 : 2) })) {
        $seen{$_} += $part->{seen}{$_} for keys %{ $part->{seen} };
        push @made, @{ $part->{names} };
    }
    cmp_ok($seen{200}, '>', 50, 'C-060 all the while users are read');
    cmp_ok($seen{507}, '>', 5, 'and changes refused');
    is_deeply([grep { !/^(?:200|201|507)$/ } keys %seen], [], 'there is no other answer') or diag explain \%seen;
    unlink "$path/other";
    my $start = time;
    sleep 0.1 while $server->post('/Users', user('after', title => 'x' x 3000))->status != 201 && time < $start + 10;
    cmp_ok(time - $start, '<', 5, 'once there is space, changes are taken again');
    is_deeply([missing($server, 'first', 'after', @names, @made)], [], 'all that was acknowledged is there');
    tells_once($server, qr/disk is full; .*free some/, 'a full disk');
    $server->stop;
    is(($server->scimctl('verify'))[0], 0, 'the store is whole');
    $server->log_clean;
}

sub skip_mount
{
  SKIP: {
        skip 'this user may not mount a file system', 1;
    }
}

sub refused_at_start
{
    my ($server, $what, @patterns) = @_;
    my $store = $server->store;
    ok(!eval { $server->start; 1 }, "$what: the server does not start");
    my @lines = grep { /scim:emerg\]/ } $server->error_log;
    is(scalar(@lines), 1, "$what: one line says why") or diag join "\n", @lines;
    like($lines[0] // '', $_, "$what: $_") for qr/\Q$store\E/, @patterns;
}

sub read_only_file_system
{
    my $server = Scim::Httpd->new(start => 0);
    my $path = on_file_system($server, '6m') or return skip_mount();
    $server->start;
    my $id = made($server, '/Users', user('first'))->{id};
    $server->stop;
    system("mount -o remount,ro $path") == 0 or die "remount: $?\n";
    refused_at_start($server, 'a read-only file system', qr/mounted read-only/, qr/user \S+ \(uid \d+\)/, qr/mount it for writing/);
    $server->write_conf(conf => 'SCIMReadOnly On');
    $server->start;
    is($server->get("/Users/$id")->status, 200, 'C-060 with SCIMReadOnly it is read');
    my $refused = $server->post('/Users', user('second'));
    is_error($refused, 503, undef, 'and not written');
    like($refused->header('retry-after') // '', qr/^[1-9]\d*$/, 'with Retry-After');
    $server->expect_log(qr/SCIM1302/);
    $server->allow_log(qr/AH\d+: Configuration Failed/);
    $server->log_clean;
}

sub no_place
{
    my $server = Scim::Httpd->new(start => 0);
    $server->write_conf(store => $server->dir . '/none/store');
    refused_at_start($server, 'no directory', qr/cannot make the directory .*No such file/, qr/make it, with mode 0700, for user \S+/);
    $server->expect_log(qr/SCIM1302/);
    $server->allow_log(qr/AH\d+: Configuration Failed/);
    $server->log_clean;
}

passing('pages', EIO, 500, qr/Input\/output error; look at its disk/);
passing('sync', EIO, 500, qr/Input\/output error; look at its disk/);
passing('sync', ENOSPC, 507, qr/disk is full; .*free some/);
panics();
lasting('sync', EIO, 500, qr/Input\/output error; look at its disk/);
lasting('meta', EIO, 500, qr/Input\/output error; look at its disk/);
lasting('pages', ENOSPC, 507, qr/disk is full; .*free some/);
lasting('pages', EROFS, 503, qr/mounted read-only.*mount it for writing/);
killed();
stopped();
full_file_system();
read_only_file_system();
no_place();
done_testing();
