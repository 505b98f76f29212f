#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl backup, restore and compact, beside a server and without: what is copied
# while clients write is whole, what is restored is as it was, and nothing is ever
# replaced by something worse.
#
# LONG: 20 backups of 20,000 users amid writes, not 3 of 1,000.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use Digest::SHA ();
use Fcntl;
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

lmdb_only('a file that a restore and compact replace');

my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $temp = File::Temp->newdir('scim-backup-XXXXXX', TMPDIR => 1);
my $dir = abs_path($temp->dirname);
my $root = $> == 0;
chmod 0755, $dir;

# Runs scimctl: exit code, stdout, stderr.
sub ctl
{
    my ($store, @args) = @_;
    my %fd = ref $args[-1] ? %{ pop @args } : ();
    my ($out, $err) = map { File::Temp->new(DIR => $dir) } 1, 2;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', $fd{in} // '/dev/null' or POSIX::_exit(126);
        open STDOUT, '>', $fd{out} // $out->filename or POSIX::_exit(126);
        open STDERR, '>', $err->filename or POSIX::_exit(126);
        exec { "$build/scimctl" } 'scimctl', '--store', "lmdb:$store", @args;
    }
    waitpid $pid, 0;
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    return ($code, slurp($out->filename), slurp($err->filename));
}

# One test: the exit code, and what stdout and stderr are like.
sub says
{
    my ($name, $want, $like_out, $like_err, @call) = @_;
    my ($code, $out, $err) = ctl(@call);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($code == $want && $out =~ $like_out && $err =~ $like_err, $name)
        or diag("scimctl @call: exit code $code, not $want\nstdout: $out\nstderr: $err");
    return $out;
}

my $nothing = qr/\A\z/;
my $placed = 0;

# A directory that the owner of a server's store may write to.
sub place_of
{
    my ($server) = @_;
    my $path = "$dir/place" . ++$placed;
    mkdir $path, 0700 or die "$path: $!\n";
    my ($uid, $gid) = (stat $server->store)[4, 5];
    chown $uid, $gid, $path if $root;
    return $path;
}

sub owner_of { return scalar getpwuid((stat $_[0])[4]) }
sub sum_of { return -e $_[0] ? Digest::SHA->new(256)->addfile($_[0])->hexdigest : '' }

sub write_file
{
    my ($path, $bytes) = @_;
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $bytes;
    close $out or die "$path: $!\n";
}

# All resources as their JSON, by id.
sub all_of
{
    my ($server, $endpoint) = @_;
    my %all;
    for (my $start = 1; ; $start += 500) {
        my $page = $server->get("$endpoint?startIndex=$start&count=500")->json;
        $all{ $_->{id} } = $_ for @{ $page->{Resources} || [] };
        last if !@{ $page->{Resources} || [] };
    }
    # The port is another.
    my $text = JSON::PP->new->canonical->encode(\%all);
    return JSON::PP::decode_json($text =~ s{http://127\.0\.0\.1:\d+}{BASE}gr);
}

# A server on a store that was restored.
sub serve
{
    my ($store, $of) = @_;
    return Scim::Httpd->new(store => $store, token => $of->token);
}

# --- backup ------------------------------------------------------------------

my $s = Scim::Httpd->new(location => 'SCIMBulk 2000 8m');
my @ids = map { made($s, '/Users', user("user$_", title => 'T' x 300, emails => [{ value => "u$_\@example.com" }]))->{id} } 1 .. 30;
my $group = made($s, '/Groups', group('Staff', @ids[0 .. 9]))->{id};
my $revoked = $s->new_token(connection => 'old');
$s->scimctl(qw(token revoke --tenant default --connection old));
my $place = place_of($s);

subtest 'a backup' => sub {
    my $out = says('while the server runs', 0, qr/\A\d+ entries are copied, [\d.]+ KiB\.\n\z/, $nothing, $s->store, 'backup', "$place/a");
    is(sprintf('%o', (stat "$place/a")[2] & 07777), '600', 'is closed to others');
    is(owner_of("$place/a"), owner_of($s->store), 'and belongs to the owner of the store');
    like(slurp("$place/a"), qr/\Amod_scim backup 1\n\{"format":\d+,"unicode":"[\d.]+","instance":"[0-9a-f]{32}","made":"20[-\d]+T[:.\d]+Z"\}\n/,
        'says what it is');
    unlike(slurp("$place/a"), qr/\Q@{[$s->token]}\E/, 'C-311 has no token');
    is_deeply([glob "$place/*"], ["$place/a"], 'nothing else is left');
    my ($code, $json) = ctl($s->store, '--json', 'backup', "$place/a");
    my $sum = JSON::PP::decode_json($json);
    is($code, 0, 'one that is there is replaced');
    is($sum->{bytes}, -s "$place/a", 'JSON tells its size');
    is($sum->{entries}, JSON::PP::decode_json((ctl($s->store, '--json', 'stat'))[1])->{entries}, 'and its entries');
    says('to stdout', 0, $nothing, qr/entries are copied/, $s->store, 'backup', '-', { out => "$place/b" });
    is(-s "$place/b", -s "$place/a", 'is the same');
    says('to a directory', 4, $nothing, qr/no plain file/, $s->store, 'backup', $place);
    says('in a directory that is not there', 5, $nothing, qr/cannot write/, $s->store, 'backup', "$dir/no/such");
    says('to a full disk', 5, $nothing, qr/cannot be written: No space left/, $s->store, 'backup', '-', { out => '/dev/full' });
    SKIP: {
        skip 'only root is kept out of its own directories', 1 if !$root;
        says('where the owner of the store may not write', 5, $nothing, qr/writes as the owner of the store.*backup - > FILE/, $s->store, 'backup', "$dir/x");
    }
    says('without a file', 1, $nothing, qr/usage: scimctl backup FILE\|-/, $s->store, 'backup');
};

# The numbers of two ioctls of Linux.
use constant { TIOCSPTLCK => 0x40045431, TIOCGPTN => 0x80045430 };

subtest 'a terminal' => sub {
    my ($number, $locked) = (pack('i', 0)) x 2;
    my $pty;
    sysopen($pty, '/dev/ptmx', O_RDWR | O_NOCTTY) && ioctl($pty, TIOCSPTLCK, $locked) && ioctl($pty, TIOCGPTN, $number)
        or plan skip_all => "no pseudo-terminals here: $!";
    my $tty = '/dev/pts/' . unpack 'i', $number;
    says('takes no backup', 1, $nothing, qr/not for a terminal/, $s->store, 'backup', '-', { out => $tty });
    says('and gives none', 1, $nothing, qr/does not come from a terminal/, "$dir/none", 'restore', '-', { in => $tty });
};

subtest 'a backup that is broken off' => sub {
    my $left = 0;
    for my $n (1 .. 12) {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            open STDOUT, '>', '/dev/null';
            exec { "$build/scimctl" } 'scimctl', '--store', $s->store_url, 'backup', "$place/broken";
        }
        sleep $n * 0.001;
        kill 'TERM', $pid;
        waitpid $pid, 0;
        $left += grep { !m{/(?:a|b|broken)\z} } glob "$place/*";
        next if !-e "$place/broken";
        my ($code) = ctl(place_of($s), 'restore', "$place/broken");
        is($code, 0, "after $n ms there is a whole one");
        unlink "$place/broken";
    }
    is($left, 0, 'leaves no part of it');
};

# --- restore -----------------------------------------------------------------

subtest 'a new machine, and only the file' => sub {
    my %etags = map { $_ => $s->get($_)->header('etag') } "/Groups/$group", map { "/Users/$_" } @ids;
    my $page = $s->get('/Users?cursor=&count=10')->json;
    my ($users, $groups) = map { all_of($s, $_) } '/Users', '/Groups';
    says('a backup', 0, qr/copied/, $nothing, $s->store, 'backup', "$place/drill");
    write_file("$dir/drill", slurp("$place/drill"));
    made($s, '/Users', user('later'));
    my @owner = $root ? ('--owner', owner_of($s->store)) : ();
    my $new = "$dir/new-machine";
    says('is restored where there is nothing', 0, qr/\A\d+ entries of 20\S+ \S+Z are restored, and whole\.\n\z/, $nothing, $new, 'restore', @owner, "$dir/drill");
    is(sprintf('%o %o', map { (stat)[2] & 07777 } $new, "$new/data.mdb"), '700 600', 'closed to others');
    is(owner_of("$new/data.mdb"), owner_of($s->store), 'as the owner');
    says('it is whole', 0, qr/Nothing is wrong/, $nothing, $new, 'verify');
    my $r = serve($new, $s);
    is_deeply(all_of($r, '/Users'), $users, 'the users are the same, ids and versions and all');
    is_deeply(all_of($r, '/Groups'), $groups, 'and so are the groups');
    is_deeply({ map { $_ => $r->get($_)->header('etag') } keys %etags }, \%etags, 'ETags are as before');
    is($r->get("/Users/$ids[0]", 'if-none-match' => $etags{"/Users/$ids[0]"})->status, 304, 'and still hold');
    is($r->get('/Users', authorization => "Bearer $revoked")->status, 401, 'a revoked token stays revoked');
    my $next = $r->get('/Users?count=10&cursor=' . esc($page->{nextCursor}));
    is_deeply([map { $_->{id} } @{ $next->json->{Resources} }], [@ids[10 .. 19]], 'a cursor goes on where it was')
        or diag $next->content;
    is($r->get('/Users?filter=' . esc('userName eq "later"'))->json->{totalResults}, 0, 'what came later is not there');
    made($r, '/Users', user('later'));
    is((ctl($new, 'verify'))[0], 0, 'and it lives on');
    $r->log_clean;
};

subtest 'over a store' => sub {
    my $to = place_of($s);
    says('from stdin', 0, qr/restored/, $nothing, $to, 'restore', '-', { in => "$place/a" });
    ok(!-e "$to/data.mdb.old", 'there was none');
    my $sum = sum_of("$to/data.mdb");
    my $out = says('over one that is there', 0, qr/The store that was there is \Q$to\E\/data\.mdb\.old now/, $nothing, $to, 'restore', "$place/a");
    is(sum_of("$to/data.mdb.old"), $sum, 'which is kept');
    is_deeply([sort map { s{.*/}{}r } glob "$to/*"], [qw(data.mdb data.mdb.old lock.mdb)], 'and nothing else is left');
    my ($code, $json) = ctl($to, '--json', 'restore', "$place/a");
    is(JSON::PP::decode_json($json)->{kept}, "$to/data.mdb.old", 'as JSON');
};

subtest 'what is refused' => sub {
    my $to = place_of($s);
    my $good = slurp("$place/a");
    says('a store to begin with', 0, qr/restored/, $nothing, $to, 'restore', "$place/a");
    my $sum = sum_of("$to/data.mdb");
    my %bad = (
        'one byte altered' => [substr($good, 0, 2000) . (substr($good, 2000, 1) ^ "\1") . substr($good, 2001), qr/cut short or altered/],
        'cut short' => [substr($good, 0, -1), qr/cut short or altered/],
        'half of it' => [substr($good, 0, length($good) / 2), qr/cut short or altered/],
        'nothing' => ['', qr/no backup of mod_scim/],
        'something else' => ["PK\3\4" x 100, qr/no backup of mod_scim/],
        'of a later version' => [$good =~ s/backup 1/backup 9/r, qr/version 9.*install the version/],
        'of another format' => [$good =~ s/"format":\d+/"format":99/r, qr/format 99.*install the version/],
        'more than it' => ["$good ", qr/behind its end/],
    );
    for my $kind (sort keys %bad) {
        write_file("$dir/bad", $bad{$kind}[0]);
        says($kind, 4, $nothing, $bad{$kind}[1], $to, 'restore', "$dir/bad");
        is(sum_of("$to/data.mdb"), $sum, "$kind: the store stays as it was");
        ok(!-e "$to/new.tmp" && !-e "$to/data.mdb.old", "$kind: and nothing is left");
    }
    says('a file that is not there', 3, $nothing, qr/cannot open/, $to, 'restore', "$dir/nix");
    says('a directory that is not there', 2, $nothing, qr/first/, "$dir/no/store", 'restore', '--owner', owner_of($s->store), "$place/a") if $root;
    unlink "$dir/bad";
};

subtest 'a server has it open' => sub {
    my $ino = (stat $s->store . '/data.mdb')[1];
    my $in_use = qr/is open in another process \(\d+\), such as a server's: stop it first/;
    says('restore is refused', 4, $nothing, $in_use, $s->store, 'restore', "$place/a");
    says('with --force too', 4, $nothing, $in_use, $s->store, 'restore', '--force', "$place/a");
    says('and compact', 4, $nothing, $in_use, $s->store, 'compact');
    is((stat $s->store . '/data.mdb')[1], $ino, 'nothing was replaced');
    is($s->get('/Users?count=0')->status, 200, 'the server goes on');
};

# --- compact -----------------------------------------------------------------

subtest 'compact' => sub {
    my $bulk = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
    my @made;
    for my $part (1 .. 3) {
        my $r = $s->post('/Bulk', { schemas => [$bulk],
            Operations => [map { { method => 'POST', path => '/Users', bulkId => "$_", data => user("bulk$part-$_", title => 'x' x 500) } } 1 .. 1000] });
        push @made, map { $_->{location} =~ s{.*/}{}r } @{ $r->json->{Operations} };
    }
    while (my @part = splice @made, 0, 1000) {
        $s->post('/Bulk', { schemas => [$bulk], Operations => [map { { method => 'DELETE', path => "/Users/$_" } } @part] });
    }
    my $users = all_of($s, '/Users');
    my $etag = $s->get("/Groups/$group")->header('etag');
    $s->stop;
    my $before = -s $s->store . '/data.mdb';
    says('makes the file smaller', 0, qr/\AThe store's file has [\d.]+ [KM]iB, before [\d.]+ MiB\.\n\z/, $nothing, $s->store, 'compact');
    cmp_ok(-s $s->store . '/data.mdb', '<', $before / 4, 'much smaller');
    is(owner_of($s->store . '/data.mdb'), owner_of($s->store), 'for the same owner');
    ok(!-e $s->store . '/data.mdb.old' && !-e $s->store . '/new.tmp', 'and leaves nothing');
    says('it is whole', 0, qr/Nothing is wrong/, $nothing, $s->store, 'verify');
    my ($code, $json) = ctl($s->store, '--json', 'compact');
    my $sum = JSON::PP::decode_json($json);
    ok($sum->{after} && $sum->{before} <= 2 * $sum->{after}, 'as JSON') or diag $json;
    $s->start;
    is_deeply(all_of($s, '/Users'), $users, 'it holds the same');
    is($s->get("/Groups/$group")->header('etag'), $etag, 'of the same version');
    says('compact of nothing', 2, $nothing, qr/no store/, place_of($s), 'compact');
};
$s->log_clean;

# --- damage ------------------------------------------------------------------

subtest 'a damaged store' => sub {
    my $to = place_of($s);
    ctl($to, 'restore', "$place/drill");
    my $bytes = slurp("$to/data.mdb");
    (my $id = $ids[0]) =~ s/-//g;
    # In the record alone, whose key has the id behind the number of its type.
    my $at = index $bytes, pack('a N n H32', 'r', 1, 1, $id);
    cmp_ok($at, '>', 0, 'has the record of a user');
    substr($bytes, $at + 23 + 60, 1) ^= "\1";
    open my $file, '+<:raw', "$to/data.mdb" or die "$to/data.mdb: $!\n";
    print $file $bytes;
    close $file;
    says('is told by verify', 5, qr/^resource: tenant default, User, $ids[0]: the value was altered/m, $nothing, $to, 'verify');
    write_file("$dir/keep", 'the last good one');
    my $keep = place_of($s);
    ctl($to, 'backup', "$keep/b");
    says('is not backed up', 5, $nothing, qr/keep the backups that there are/, $to, 'backup', "$keep/b");
    is_deeply([glob "$keep/*"], [], 'nor in part');
    says('nor compacted', 5, $nothing, qr/damaged/, $to, 'compact');
    says('what is whole is kept', 5,
        qr/^resource: tenant number 1, $ids[0]: lost: .*^member: tenant number 1, $ids[0]: dropped: the member is lost.*^\d+ entries are kept as they were, \d+ are made anew from them; 2 things are told of\.$/ms,
        $nothing, $to, 'restore', '--salvage', "$to/data.mdb");
    says('and whole', 0, qr/Nothing is wrong/, $nothing, $to, 'verify');
    says('the damaged one is still there', 5, qr/\A\{.*"lost" *: *2\b/s, $nothing, $to, '--json', 'restore', '--salvage', "$to/data.mdb.old");
    my $r = serve($to, $s);
    is($r->get("/Users/$ids[0]")->status, 404, 'the user is gone');
    my $members = $r->get("/Groups/$group")->json->{members};
    is_deeply([sort map { $_->{value} } @$members], [sort @ids[1 .. 9]], 'from its group too');
    my $again = made($r, '/Users', user('user1'));
    is($again->{userName}, 'user1', 'and can be made again');
    $r->log_clean;
};

subtest 'damaged pages' => sub {
    my $to = place_of($s);
    ctl($to, 'restore', "$place/drill");
    open my $file, '+<:raw', "$to/data.mdb" or die "$to/data.mdb: $!\n";
    my $pages = (-s $file) / 4096;
    seek $file, 4096 * int($pages / 2), 0;
    print $file "\0" x 4096;
    close $file;
    says('are told by verify', 5, qr/^file: page \d+: .*restore a backup/ms, $nothing, $to, 'verify');
    my ($code, $json) = ctl($to, '--json', 'verify');
    my $said = JSON::PP::decode_json($json);
    ok($code == 5 && !$said->{clean} && $said->{findings}[0]{table} eq 'file', 'as JSON') or diag $json;
    says('salvage', 5, qr/^file: page \d+: .*entries are kept/ms, $nothing, $to, 'restore', '--salvage', "$to/data.mdb");
    says('leaves a whole store', 0, qr/Nothing is wrong/, $nothing, $to, 'verify');
    says('a good backup over it', 0, qr/restored, and whole/, $nothing, $to, 'restore', "$place/drill");
    says('of what is no store', 4, $nothing, qr/nothing of a store/, $to, 'restore', '--salvage', "$place/drill");
};

subtest 'the audit log' => sub {
    my $to = place_of($s);
    ctl($to, '--audit-log', "$dir/audit", 'restore', "$place/drill");
    ctl($to, '--audit-log', "$dir/audit", 'restore', "$dir/nix");
    ctl($to, '--audit-log', "$dir/audit", 'restore', '--salvage', "$to/data.mdb");
    my @lines = map { JSON::PP::decode_json($_)->{op} } split /\n/, slurp("$dir/audit");
    is_deeply(\@lines, [qw(store.restore store.salvage)], 'tells of what was restored');
};

# --- amid writes -------------------------------------------------------------

# A user of version $v: what is written by one request must agree.
sub body_of
{
    my ($name, $v) = @_;
    return user($name, displayName => "v$v", title => "v$v", emails => [{ type => 'work', value => "v$v\@$name" }]);
}

# Creates, changes and joins users, at a rate; when each request began and how
# long it took.
sub write_on
{
    my ($server, $number, $rate) = @_;
    my @times;
    my $group = made($server, '/Groups', group("group $number"))->{id};
    my $begun = time;
    for (my $n = 1; !-e $server->dir . '/over'; $n++) {
        my $name = "w$number-$n";
        my $id;
        for my $step (1 .. 3) {
            my $since = time;
            my $r = $step == 1 ? $server->post('/Users', body_of($name, 1))
                : $step == 2 ? $server->put("/Users/$id", body_of($name, 2))
                : $server->patch("/Groups/$group", ops(['add', 'members', [{ value => $id }]]));
            die "step $step: " . $r->status . ' ' . $r->content . "\n" if $r->status !~ /^20/;
            push @times, [$since, time - $since];
            $id = $r->json->{id} if $step == 1;
            my $due = $begun + @times / $rate;
            sleep $due - time if $due > time;
        }
    }
    return \@times;
}

sub back_up
{
    my ($server, $to, $times) = @_;
    my @backups;
    for my $n (1 .. $times) {
        sleep 0.5;
        my $before = $server->get('/Users?count=0')->json->{totalResults};
        my $begun = time;
        my ($code, $out, $err) = ctl($server->store, '--json', 'backup', "$to/$n");
        push @backups, { code => $code, err => $err, begun => $begun, ended => time, before => $before,
            after => $server->get('/Users?count=0')->json->{totalResults}, grown => $code ? 0 : JSON::PP::decode_json($out)->{grown} };
    }
    sleep 0.5;
    write_file($server->dir . '/over', '');
    return \@backups;
}

sub p99
{
    my (@times) = sort { $a <=> $b } @_;
    return @times ? sprintf '%.1f ms', 1000 * $times[int(0.99 * $#times)] : 'none';
}

# What is not of one state: a user of two versions, one that is there without
# those before it, or a member that is not.
sub problems_in
{
    my ($server, $backup) = @_;
    my $users = all_of($server, '/Users');
    my (%of, @problems);
    for my $user (values %$users) {
        my @said = ($user->{displayName}, $user->{title}, $user->{emails}[0]{value} =~ s/\@.*//r);
        push @problems, "$user->{userName} is @said" if grep { $_ ne $said[0] } @said;
        my ($writer, $n) = $user->{userName} =~ /^w(\d+)-(\d+)$/ or next;
        $of{$writer}{$n} = $user;
    }
    for my $writer (keys %of) {
        my $count = keys %{ $of{$writer} };
        push @problems, "writer $writer: $count users, not those before each" if grep { !$of{$writer}{$_} } 1 .. $count;
        for my $n (1 .. $count - 1) {
            my $user = $of{$writer}{$n};
            push @problems, "$user->{userName} is $user->{title}, in " . @{ $user->{groups} || [] } . ' groups'
                if $user->{title} ne 'v2' || @{ $user->{groups} || [] } != 1;
        }
    }
    my $total = keys %$users;
    push @problems, "$total users, between $backup->{before} and $backup->{after}" if $total < $backup->{before} || $total > $backup->{after};
    return @problems;
}

# So many thousand users, so that a backup takes its time.
sub fill_up
{
    my ($server, $thousands) = @_;
    for my $part (1 .. $thousands) {
        my @operations = map { { method => 'POST', path => '/Users', bulkId => "$_", data => body_of("crowd$part-$_", 1) } } 1 .. 1000;
        $server->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@operations });
    }
}

subtest 'while clients write' => sub {
    my $times = $ENV{LONG} ? 20 : 3;
    my $server = Scim::Httpd->new(location => 'SCIMBulk 2000 8m');
    fill_up($server, $ENV{LONG} ? 20 : 1);
    my $to = place_of($server);
    my @done = parallel(5, sub {
        my ($i) = @_;
        return $i < 4 ? write_on($server, $i, 50) : back_up($server, $to, $times);
    });
    my @backups = @{ pop @done };
    my @writes = map { @$_ } @done;
    my $span = 0.001 + $backups[-1]{ended} - $backups[0]{begun};
    my $within = sub { my ($t) = @_; return grep { $t->[0] + $t->[1] > $_->{begun} && $t->[0] < $_->{ended} } @backups };
    note sprintf '%d writes, %.0f a second; p99 %s without, %s during a backup; grown at most %d KiB', scalar @writes,
        @writes / ($span + 1), p99(map { $_->[1] } grep { !$within->($_) } @writes), p99(map { $_->[1] } grep { $within->($_) } @writes),
        (sort { $b <=> $a } map { $_->{grown} } @backups)[0] / 1024;
    cmp_ok(scalar @writes, '>', 100, 'many changes were made');
    is_deeply([map { "$_->{code} $_->{err}" } @backups], [('0 ') x $times], 'all backups were made');
    for my $n (1 .. $times) {
        my $store = place_of($server);
        is((ctl($store, 'restore', "$to/$n"))[0], 0, "backup $n is restored");
        says('and whole', 0, qr/Nothing is wrong/, $nothing, $store, 'verify');
        my $r = serve($store, $server);
        is_deeply([problems_in($r, $backups[$n - 1])], [], 'and served: one state, no more and no less');
        made($r, '/Users', user('afterwards'));
        $r->log_clean;
    }
    $server->log_clean;
};

done_testing();
