#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl migrate: a store in another place is the same store, and none before all of it is
# there, whatever happens on the way.  With PostgreSQL it goes there and back, and a backup
# is restored into a database.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use File::Temp ();
use IO::Handle;
use JSON::PP ();
use POSIX ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $temp = File::Temp->newdir('scim-migrate-XXXXXX', TMPDIR => 1);
my $dir = abs_path($temp->dirname);
my $database = ($ENV{SCIM_ENGINE} || 'lmdb') eq 'pgsql' ? $ENV{SCIM_TEST_PGSQL} : undef;
my $root = $> == 0;
chmod 0755, $dir;

# A process of scimctl, whose stdout and stderr are files.
sub begin
{
    my (@args) = @_;
    my ($out, $err) = map { File::Temp->new(DIR => $dir) } 1, 2;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out->filename;
        open STDERR, '>', $err->filename;
        no warnings 'exec';
        exec { "$build/scimctl" } 'scimctl', @args;
        POSIX::_exit(127);
    }
    return { pid => $pid, out => $out, err => $err };
}

# Its exit code (128 and the number of a signal), stdout and stderr.
sub ended
{
    my ($process) = @_;
    waitpid $process->{pid}, 0;
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    return ($code, map { slurp($process->{$_}->filename) } qw(out err));
}

sub ctl { return ended(begin(@_)) }

my $nothing = qr/\A\z/;

# One test: the exit code, and what stdout and stderr are like.
sub says
{
    my ($name, $want, $like_out, $like_err, @args) = @_;
    my ($code, $out, $err) = ctl(@args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($code == $want && $out =~ $like_out && $err =~ $like_err, $name)
        or diag("scimctl @args: exit code $code, not $want\nstdout: $out\nstderr: $err");
    return $out;
}

# --- places --------------------------------------------------------------------

my ($placed, @schemas) = (0);

sub sql
{
    my ($statement) = @_;
    open my $from, '-|', 'psql', '-Xqtc', "SET client_min_messages = warning; $statement", $database or die "psql: $!\n";
    local $/;
    my $said = <$from>;
    close $from or die "psql: $statement: $?\n";
    return $said;
}

END {
    local ($?, $@, $!);
    eval { sql("DROP SCHEMA $_ CASCADE") } for @schemas;
}

# The url of an empty place: of a directory that is not there yet, or of a new schema.
sub new_place
{
    my ($engine) = @_;
    $placed++;
    return "lmdb:$dir/place$placed" if $engine eq 'lmdb';
    my $schema = "scim_migrate_${$}_$placed";
    sql("CREATE SCHEMA $schema");
    push @schemas, $schema;
    return "pgsql:$database options=-csearch_path=$schema";
}

my $engine = defined $database ? 'pgsql' : 'lmdb';
# Where a directory is made by root, it is told for whom.
my @owner;

# Whether the place is half filled at this moment.
sub is_begun
{
    my ($url) = @_;
    return -s "$1/new.tmp/data.mdb" && !-e "$1/data.mdb" if $url =~ /^lmdb:(.*)/;
    my ($schema) = $url =~ /search_path=(\w+)/;
    return if sql("SELECT to_regclass('$schema.scim_kv') IS NOT NULL") !~ /t/;
    my ($rows, $mark) = split /\|/, sql("SELECT count(*), count(*) FILTER (WHERE k = '!') FROM $schema.scim_kv");
    return $mark && $rows > 1;
}

# All rows of a store, by a backup without its time and digest.
sub bytes_of
{
    my ($url) = @_;
    my ($code, $out, $err) = ctl('--store', $url, 'backup', '-');
    die "scimctl --store $url backup: $code $err\n" if $code;
    $out =~ s/\A(.*?\n.*?)"made":"[^"]*"/$1/s or die "no backup: " . substr($out, 0, 100) . "\n";
    return substr $out, 0, -32;
}

sub is_same
{
    my ($url, $bytes, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(bytes_of($url) eq $bytes, $name);
}

# --- a store -------------------------------------------------------------------

my $s = Scim::Httpd->new(location => 'SCIMBulk 2000 16m');
@owner = ('--owner', scalar getpwuid((stat '/proc/' . ($s->children)[0])[4])) if $root;

# So much that it takes several transactions.
sub fill_up
{
    my ($server) = @_;
    my @made;
    for my $part (1 .. 12) {
        my @operations = map { { method => 'POST', path => '/Users', bulkId => "$_", data => user("user$part-$_", title => 'T' x 6000) } } 1 .. 100;
        my $r = $server->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@operations });
        my @locations = map { $_->{location} // () } @{ $r->json->{Operations} || [] };
        die 'Bulk: ' . $r->status . ' ' . substr($r->content, 0, 300) . "\n" if @locations != 100;
        push @made, map { s{.*/}{}r } @locations;
    }
    return @made;
}

my @ids = fill_up($s);
my $group = made($s, '/Groups', group('Staff', @ids[0 .. 99]))->{id};
my $from = $s->store_url;

sub page_of
{
    my ($server) = @_;
    return $server->get('/Users?cursor=&count=10')->json->{nextCursor};
}

sub answers_of
{
    my ($server) = @_;
    my @paths = ("/Groups/$group", map({ "/Users/$_" } @ids[0 .. 9]), '/Users?count=500&startIndex=700', '/Groups');
    return { map { my $r = $server->get($_); $_ => [$r->status, $r->header('etag'), $r->content =~ s{http://127\.0\.0\.1:\d+}{BASE}gr] } @paths };
}

subtest 'a trial, while the server runs' => sub {
    my $to = new_place('lmdb');
    says('is made', 0, qr/\A\d+ entries, [\d.]+ MiB, are in \Q$to\E, and compared\.\nWhat is written to \Q$from\E from now on is not in it: it is to try out\.\n\z/,
        $nothing, 'migrate', '--trial', @owner, $from, $to);
    is_same($to, bytes_of($from), 'the same, byte by byte');
    says('is a store', 0, qr/Nothing is wrong/, $nothing, '--store', $to, 'verify');
    made($s, '/Users', user('later'));
    says('which what is written then is not in', 3, $nothing, qr/no user/, '--store', $to, qw(user show --tenant default later));
};

subtest 'a server has it open' => sub {
    plan skip_all => 'who has a database open is not to be known' if $database;
    my $to = new_place('lmdb');
    says('nothing is moved', 4, $nothing, qr/is open in another process \(\d+\).*--trial makes a copy/, 'migrate', @owner, $from, $to);
    is_deeply([grep { !/lock\.mdb/ } glob((substr $to, 5) . '/*')], [], 'and nothing is left');
};

subtest 'a server writes meanwhile' => sub {
    plan skip_all => 'a store in a directory is claimed' if !$database;
    my $to = new_place('pgsql');
    my @done = parallel(2, sub {
        my ($i) = @_;
        if (!$i) {
            my @said = ctl('migrate', $from, $to);
            open my $over, '>', "$dir/over";
            return \@said;
        }
        my $n = 0;
        $s->post('/Users', user('meanwhile' . $n++))->status == 201 or die "no user\n" while !-e "$dir/over";
        return $n;
    });
    my ($code, $out, $err) = @{ $done[0] };
    cmp_ok($done[1], '>', 3, 'users are created all the time');
    ok($code == 4 && $out eq '' && $err =~ /a server has written to .* meanwhile.*stop httpd on all machines/, 'nothing is moved')
        or diag("exit code $code\n$out$err");
    says('and no store is there', 2, $nothing, qr/is being filled by scimctl migrate or restore, or was/, '--store', $to, 'stat');
};

my $answers = answers_of($s);
my $cursor = page_of($s);
$s->stop;
my $bytes = bytes_of($from);

subtest 'a store moves' => sub {
    my $to = new_place($engine);
    my $out = says('to another place', 0, qr/\A\d+ entries, [\d.]+ MiB, are in \Q$to\E, and compared\.\nNext: name it in SCIMStore, and start httpd\.\n\Q$from\E is as it was/,
        $nothing, 'migrate', $from, $to);
    is_same($to, $bytes, 'the same, byte by byte');
    is_same($from, $bytes, 'and the other is as it was');
    if (!$database) {
        my $path = substr $to, 5;
        is(sprintf('%o %o', map { (stat)[2] & 07777 } $path, "$path/data.mdb"), '700 600', 'closed to others');
        is(join(' ', map { (stat)[4] } $path, "$path/data.mdb"), join(' ', ((stat $s->store)[4]) x 2), 'it belongs to whom the other does');
        is_deeply([sort map { s{.*/}{}r } glob "$path/*"], [qw(data.mdb lock.mdb)], 'nothing else is left');
    }
    my $r = Scim::Httpd->new(store => $to =~ s/^\w+://r, token => $s->token);
    is_deeply(answers_of($r), $answers, 'it is served: ids, versions, members');
    my $next = $r->get('/Users?count=10&cursor=' . esc($cursor))->json->{Resources};
    is_deeply([map { $_->{id} } @{ $next || [] }], [@ids[10 .. 19]], 'a cursor goes on where it was');
    made($r, '/Users', user('new'));
    $r->log_clean;
    says('it is whole', 0, qr/Nothing is wrong/, $nothing, '--store', $to, 'verify');
};

subtest 'there and back' => sub {
    plan skip_all => 'of PostgreSQL alone' if !$database;
    my ($file, $again) = (new_place('lmdb'), new_place('pgsql'));
    says('from the database', 0, qr/and compared\..*; what a server that was not stopped/s, $nothing, 'migrate', @owner, $from, $file);
    is_same($file, $bytes, 'the same, byte by byte');
    says('and into another', 0, qr/and compared/, $nothing, 'migrate', $file, $again);
    is_same($again, $bytes, 'the same, byte by byte');
};

subtest 'what is refused' => sub {
    my $to = new_place($engine);
    says('a place for others', 0, qr/compared/, $nothing, 'migrate', $from, $to);
    says('where a store is', 4, $nothing, qr/\Q$to\E is not empty/, 'migrate', $from, $to);
    is_same($to, $bytes, 'which stays');
    my $file = new_place('lmdb');
    says('an empty store', 0, qr/is made/, $nothing, '--store', $file, 'init', @owner);
    says('likewise', 4, $nothing, qr/\Q$file\E is not empty/, 'migrate', $from, $file);
    says('the same twice', 1, $nothing, qr/are the same store/, 'migrate', $from, $from);
    my $path = substr $file, 5;
    symlink $path, "$dir/link";
    says('by another name', 1, $nothing, qr/are the same store/, 'migrate', $_, "$dir/link") for $path, "$dir/../" . ($dir =~ s{.*/}{}r) . '/' . ($path =~ s{.*/}{}r);
    says('what is not there', 2, $nothing, qr/no directory \Q$dir\E\/no, hence no store/, 'migrate', "$dir/no", new_place('lmdb'));
    is_deeply([-e "$dir/place$placed" || ()], [], 'for which nothing is made');
    my $empty = new_place('lmdb');
    mkdir substr($empty, 5), 0700;
    says('no store', 2, $nothing, qr/\S/, 'migrate', $empty, new_place('lmdb'), @owner);
    says('one store', 1, $nothing, qr/usage: scimctl migrate/, 'migrate', $from);
    says('three', 1, $nothing, qr/too many words/, 'migrate', $from, $to, $to);
    says('--store', 1, $nothing, qr/names both/, '--store', $from, 'migrate', $from, $to);
    says('an engine that there is not', 2, $nothing, qr/names no store/, 'migrate', $from, 'mysql:dbname=scim');
    for my $secret ('pgsql:host=db password=sesame', 'pgsql:postgresql://scim:sesame@db/scim') {
        my @pairs = ([$from, $secret], [$secret, $from]);
        says('a password', 1, $nothing, qr/\Ascimctl: (?:FROM|TO): there is a password in it.*passfile=(?!.*sesame)/s, 'migrate', @$_) for @pairs;
    }
};

subtest 'as JSON, and in the audit log' => sub {
    my $to = new_place($engine);
    my ($code, $out) = ctl('--json', '--audit-log', "$dir/audit", 'migrate', $from, $to);
    my $said = JSON::PP::decode_json($out);
    my $stat = JSON::PP::decode_json((ctl('--json', '--store', $to, 'stat'))[1]);
    is_deeply([$code, @$said{qw(from to entries)}, $said->{trial} ? 1 : 0], [0, $from, $to, $stat->{entries}, 0], 'it says what it did');
    ctl('--audit-log', "$dir/audit", 'migrate', $from, $to);
    is_deeply([map { JSON::PP::decode_json($_)->{op} } split /\n/, slurp("$dir/audit")], ['store.migrate'], 'a line for what was done');
};

# --- broken off ----------------------------------------------------------------

# What is written to a database waits near its end for as long as this is held: else the last
# commit could be on its way when its sender is killed.
sub hold
{
    my ($url) = @_;
    return if $url !~ /search_path=(\w+)/;
    my $schema = $1;
    sql("CREATE TABLE $schema.scim_kv (k bytea PRIMARY KEY, v bytea NOT NULL)");
    sql("CREATE FUNCTION $schema.halt() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.k = ''stenants'' THEN PERFORM pg_advisory_xact_lock($$); END IF; RETURN NEW; END'");
    sql("CREATE TRIGGER halt BEFORE INSERT ON $schema.scim_kv FOR EACH ROW EXECUTE FUNCTION $schema.halt()");
    open my $held, '|-', 'psql', '-Xqt', '-o', '/dev/null', $database or die "psql: $!\n";
    $held->autoflush;
    print $held "SELECT pg_advisory_lock($$);\n";
    sleep 0.01 while sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $$ AND granted") == 0;
    return $held;
}

for my $signal (qw(KILL INT)) {
    subtest "it is broken off by SIG$signal" => sub {
        my ($broken, $to) = (0);
        for (my $round = 0; $round < 30 && !$broken; $round++) {
            $to = new_place($engine);
            my $held = hold($to);
            my $process = begin('migrate', $from, $to);
            sleep 0.001 while !is_begun($to) && slurp("/proc/$process->{pid}/stat") !~ /\) Z /;
            kill $signal, $process->{pid};
            my ($code) = ended($process);
            $broken = $code > 128 && is_begun($to);
            close $held if $held;
        }
        ok($broken, 'before its end');
        my $no_store = $database ? qr/is being filled by scimctl migrate or restore, or was when that was broken off/ : qr/no store|never initialised/;
        says('no store is there', 2, $nothing, $no_store, '--store', $to, 'stat');
        says('nor is one made of it', 2, $nothing, $no_store, '--store', $to, 'init') if $database;
        says('the same command again', 0, qr/compared/, $nothing, 'migrate', $from, $to);
        is_same($to, $bytes, 'the same, byte by byte');
        is_deeply([sort map { s{.*/}{}r } glob +(substr $to, 5) . '/*'], [qw(data.mdb lock.mdb)], 'nothing else is left') if !$database;
    };
}

subtest 'what is written is read again' => sub {
    plan skip_all => 'of PostgreSQL alone' if !$database;
    my $to = new_place('pgsql');
    my ($schema) = $to =~ /search_path=(\w+)/;
    # A database that does not keep all that it is given.
    sql("CREATE TABLE $schema.scim_kv (k bytea PRIMARY KEY, v bytea NOT NULL)");
    sql("CREATE FUNCTION $schema.lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.k = ''stenants'' THEN RETURN NULL; END IF; RETURN NEW; END'");
    sql("CREATE TRIGGER lose BEFORE INSERT ON $schema.scim_kv FOR EACH ROW EXECUTE FUNCTION $schema.lose()");
    says('what is lost is found out', 5, $nothing, qr/has not what was written to it/, 'migrate', $from, $to);
    says('and no store is there', 2, $nothing, qr/is being filled/, '--store', $to, 'stat');
    sql("DROP TRIGGER lose ON $schema.scim_kv");
    says('the same command again', 0, qr/compared/, $nothing, 'migrate', $from, $to);
    is_same($to, $bytes, 'the same, byte by byte');
};

# --- backups of a store that is in no directory ---------------------------------

subtest 'a backup and a database' => sub {
    plan skip_all => 'of PostgreSQL alone' if !$database;
    my $backup = "$dir/backup";
    says('is made of it', 0, qr/entries are copied/, $nothing, '--store', $from, 'backup', $backup);
    my $to = new_place('pgsql');
    says('is restored into an empty one', 0, qr/\A\d+ entries of 20\S+ \S+Z are restored, and whole\.\n\z/, $nothing, '--store', $to, 'restore', $backup);
    is_same($to, $bytes, 'the same, byte by byte');
    says('into one that is not', 4, $nothing, qr/is not empty, and a store is not replaced there: make a new database/, '--store', $to, 'restore', $backup);
    is_same($to, $bytes, 'which stays');
    my $cut = substr slurp($backup), 0, -1;
    open my $out, '>:raw', $backup or die "$backup: $!\n";
    print $out $cut;
    close $out or die "$backup: $!\n";
    my $half = new_place('pgsql');
    says('one that is cut short', 4, $nothing, qr/cut short or altered/, '--store', $half, 'restore', $backup);
    says('is no store', 2, $nothing, qr/is being filled/, '--store', $half, 'stat');
    says('and gives way to what is whole', 0, qr/compared/, $nothing, 'migrate', $from, $half);
    is_same($half, $bytes, 'the same, byte by byte');
    says('there is no file to compact', 4, $nothing, qr/compact is for a store in a directory/, '--store', $to, 'compact');
    says('nor one to salvage into', 4, $nothing, qr/--salvage is for a store in a directory.*scimctl migrate/, '--store', new_place('pgsql'), 'restore', '--salvage', $backup);
};

# --- damage ----------------------------------------------------------------------

# One byte of a user's title in the only place that has it.
sub spoil
{
    my ($url) = @_;
    if ($url =~ /search_path=(\w+)/) {
        sql("UPDATE $1.scim_kv SET v = set_byte(v, 60, get_byte(v, 60) # 1) WHERE k = (SELECT k FROM $1.scim_kv WHERE k >= 'r' ORDER BY k LIMIT 1)");
        return;
    }
    my $path = substr($url, 5) . '/data.mdb';
    my $all = slurp($path);
    (my $id = $ids[500]) =~ s/-//g;
    my $at = index $all, pack('a N n H32', 'r', 1, 1, $id);
    die "no record of $ids[500]\n" if $at < 0;
    # Its value stands in pages of its own, which begin with their title.
    $at = index $all, 'T' x 100, 0;
    open my $file, '+<:raw', $path or die "$path: $!\n";
    seek $file, $at + 50, 0;
    print $file 'U';
    close $file or die "$path: $!\n";
}

subtest 'a damaged store' => sub {
    my ($bad, $to) = (new_place($engine), new_place($engine));
    says('to be', 0, qr/compared/, $nothing, 'migrate', $from, $bad);
    spoil($bad);
    says('is damaged', 5, qr/the value was altered/, $nothing, '--store', $bad, 'verify');
    says('is not moved', 5, $nothing, qr/the store is damaged.*scimctl verify/, 'migrate', $bad, $to);
    says('and nothing is there', 2, $nothing, qr/\S/, '--store', $to, 'stat');
    says('a whole one is', 0, qr/compared/, $nothing, 'migrate', $from, $to);
    is_same($to, $bytes, 'the same, byte by byte');
};

$s->start;
is($s->get("/Users/$ids[0]")->status, 200, 'the first store is served as ever');
$s->log_clean;
done_testing();
