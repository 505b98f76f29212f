#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The store as the server's administrator meets it: one that cannot be used, is
# read-only, full, or shared by virtual hosts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

lmdb_only('its file, its disk and its size');

sub read_file
{
    my ($path) = @_;
    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}

sub write_file
{
    my ($path, $bytes) = @_;
    # In place: its owner, its mode and those who have it open stay.
    open my $out, '+<:raw', $path or die "$path: $!\n";
    print $out $bytes;
    truncate $out, length $bytes;
    close $out or die "$path: $!\n";
}

# --- making stores bad -------------------------------------------------------

# XXH3-64 of 4 to 8 bytes.
sub xxh3
{
    my ($bytes, $seed) = @_;
    use integer;
    no warnings 'portable';
    my ($first, $last) = (unpack('V', $bytes), unpack('V', substr $bytes, -4));
    my $low = $seed & 0xffffffff;
    $seed ^= unpack('N', pack 'V', $low) << 32;
    my ($a, $b) = (0x1cad21f72c81017c, 0xdb979083e96dd4de); # of the algorithm's secret
    my $h = ($last + ($first << 32)) ^ (($a ^ $b) - $seed);
    my $shift = sub { my ($n, $by) = @_; no integer; return $n >> $by };
    my $rotate = sub { my ($n, $by) = @_; return ($n << $by) | $shift->($n, 64 - $by) };
    my $prime = 0x9fb21c651e98df25;
    $h ^= $rotate->($h, 49) ^ $rotate->($h, 24);
    $h *= $prime;
    $h ^= $shift->($h, 35) + length $bytes;
    $h *= $prime;
    return $h ^ $shift->($h, 28);
}

# The format of this mod_scim.
my ($format) = slurp("$FindBin::Bin/../../include/scim/store.h") =~ /SCIM_STORE_FORMAT (\d+)/
    or die "include/scim/store.h has no SCIM_STORE_FORMAT\n";

# A record of 4 to 8 bytes as mod_scim/store/FORMAT has it: key, seal, value.
sub record
{
    my ($key, $value) = @_;
    my $hash = xxh3($value, xxh3($key, 0));
    return map { $key . $_ . $value } pack('Q>', $hash), pack('Q<', $hash);
}

# Gives the record of that key another value.
sub change_record
{
    my ($store, $key, $was, $is) = @_;
    my $bytes = read_file("$store/data.mdb");
    my @old = record($key, $was);
    my @new = record($key, $is);
    my $done = 0;
    for my $i (0 .. $#old) {
        $done += $bytes =~ s/\Q$old[$i]\E/$new[$i]/g;
    }
    die "$store has no record $key of that value\n" if !$done;
    write_file("$store/data.mdb", $bytes);
}

# As another mod_scim would leave it.
sub make_format
{
    my ($store, $number) = @_;
    change_record($store, 'sformat', pack('N', $format), pack 'N', $number);
}

# As it would come from a system of another year.
sub make_unicode
{
    my ($store) = @_;
    my ($version) = read_file("$store/data.mdb") =~ /sunicode.{8}([\d.]{5,8}?)(?![\d.])/s or die "$store has no version of Unicode\n";
    change_record($store, 'sunicode', $version, $version =~ tr/1-8/2-9/r);
}

sub make_newer { make_format($_[0], $format + 1) }
sub make_older { make_format($_[0], $format - 1) }

# LMDB's, but of some other program.
sub make_foreign
{
    my ($store) = @_;
    my $bytes = read_file("$store/data.mdb");
    $bytes =~ s/sformat/sformbt/g or die "$store has no record of its format\n";
    write_file("$store/data.mdb", $bytes);
}

sub make_garbage
{
    my ($store) = @_;
    write_file("$store/data.mdb", "these are no pages\n" x 5000);
}

sub make_unreadable
{
    my ($store) = @_;
    if ($> == 0) {
        chown 0, 0, $store;
    } else {
        chmod 0, $store;
    }
}

# What a full disk, or a copy that was broken off, leaves.
sub make_short
{
    my ($store) = @_;
    truncate "$store/data.mdb", 8192 or die "$store/data.mdb: $!\n";
}

# Of each page with rows of the store the places of these: far behind the end of the
# file.  Such a page is found by its rows only.
sub make_wild
{
    my ($store) = @_;
    open my $file, '+<:raw', "$store/data.mdb" or die "$store/data.mdb: $!\n";
    my $bytes = do { local $/; <$file> };
    for (my $at = 2 * 4096; $at < length $bytes; $at += 4096) {
        next if unpack('S', substr $bytes, $at + 10, 2) != 2 || substr($bytes, $at, 4096) !~ /default/;
        my $end = unpack 'S', substr $bytes, $at + 12, 2;
        substr($bytes, $_, 2) = pack 'S', 0xfffe for map { $at + 2 * $_ } 8 .. $end / 2 - 1;
    }
    seek $file, 0, 0;
    print $file $bytes;
    close $file or die "$store/data.mdb: $!\n";
}

sub make_empty
{
    my ($store) = @_;
    write_file("$store/data.mdb", '');
}

sub make_link
{
    my ($store) = @_;
    rename "$store/data.mdb", "$store/elsewhere" or die "$store: $!\n";
    symlink 'elsewhere', "$store/data.mdb" or die "$store: $!\n";
}

# As scimctl would leave it that was run by root and stayed root.
sub make_locks_of_root
{
    my ($store) = @_;
    chown 0, 0, "$store/lock.mdb" or die "$store/lock.mdb: $!\n";
}

# What is done to the store, and what the log then says to do.
my %bad = (
    'another user\'s' => [\&make_unreadable, $> == 0 ? qr{must belong to that user; \S+ belongs to user root \(uid 0\)} : qr{must belong to that user}],
    'of another program' => [\&make_foreign, qr/name another path/],
    'no pages of LMDB' => [\&make_garbage, qr/backup/],
    'of a newer format' => [\&make_newer, qr/format @{[ $format + 1 ]}\b.*install/],
    'of an older format' => [\&make_older, qr/format @{[ $format - 1 ]}\b.*move it away/],
    'of other tables of Unicode' => [\&make_unicode, qr/tables of Unicode \d.*"scimctl --store \S+ reindex"/],
    'cut short' => [\&make_short, qr{/data\.mdb is cut short\b.*restore a backup \(scimctl restore\), as user}],
    'empty' => [\&make_empty, qr/is empty\b.*restore it from a backup, or remove it/],
    'a link' => [\&make_link, qr/is a symbolic link\b.*put the file itself there/],
    $> == 0 ? ('with root\'s locks' => [\&make_locks_of_root, qr{user \S+ \(uid \d+\) may not open .*; \S+/lock\.mdb belongs to user root \(uid 0\)}]) : (),
);

# --- and what the server then does -------------------------------------------

sub refused_at_start
{
    my ($kind) = @_;
    my ($spoil, $remedy) = @{ $bad{$kind} };
    my $server = Scim::Httpd->new(start => 0);
    my $store = $server->store;
    $spoil->($store);
    my $before = $> == 0 || $kind !~ /user/ ? Digest::SHA->new(256)->addfile("$store/data.mdb")->hexdigest : '';
    ok(!eval { $server->start; 1 }, "$kind: the server does not start");
    my @lines = grep { /scim:emerg\]/ } $server->error_log;
    is(scalar(@lines), 1, "$kind: one line says why") or diag join "\n", @lines;
    like($lines[0], qr/SCIM1302: .*\Q$store\E/, "$kind: it names the path");
    like($lines[0], $remedy, "$kind: and the remedy");
    chmod 0700, $store;
    is(Digest::SHA->new(256)->addfile("$store/data.mdb")->hexdigest, $before, "$kind: the store is left as it was") if $before;
    $server->expect_log(qr/SCIM1302/);
    $server->allow_log(qr/AH\d+: Configuration Failed/);
    $server->log_clean;
}

# Another store, of a server of its own that never runs.
sub bad_store
{
    my ($kind) = @_;
    my $other = Scim::Httpd->new(start => 0);
    $bad{$kind}[0]->($other->store);
    return $other;
}

sub survived_at_restart
{
    my $server = Scim::Httpd->new;
    my $good = $server->store;
    my $made = made($server, '/Users', user('bjensen'));
    for my $kind (sort keys %bad) {
        my $other = bad_store($kind);
        $server->write_conf(store => $other->store);
        is($server->graceful, 1, "$kind: a graceful restart is done");
        is($server->get($server->url('/hello.txt'))->status, 200, "$kind: other content is served");
        for my $response ($server->get('/Users'), $server->post('/Users', user('x'))) {
            is_error($response, 503, undef, "$kind: SCIM is answered 503");
            like($response->header('retry-after') // '', qr/^[1-9]\d*$/, "$kind: with Retry-After");
        }
        my $store = $other->store;
        ok($server->wait_log(qr/:emerg\].*SCIM1302: .*\Q$store\E.*503/), "$kind: the log says why, and what that means");
        chmod 0700, $store; # for it to be removed
    }
    $server->write_conf(store => $good);
    is($server->graceful, 1, 'with its store back');
    is($server->get("/Users/$made->{id}")->status, 200, 'C-060 the server serves it again');
    $server->expect_log(qr/SCIM1302/, qr/SCIM1303/);
    $server->log_clean;
}

# One that kills who reads it.
sub wild_at_restart
{
    my $server = Scim::Httpd->new;
    my $other = Scim::Httpd->new(start => 0);
    make_wild($other->store);
    $server->write_conf(store => $other->store);
    is($server->graceful, 1, 'rows that lead out of the file: a graceful restart is done');
    is($server->get($server->url('/hello.txt'))->status, 200, 'rows that lead out of the file: other content is served');
    is_error($server->get('/Users'), 503, undef, 'rows that lead out of the file: SCIM is answered 503');
    $server->expect_log(qr/SCIM1302: .*killed by signal/);
    $server->log_clean;
}

# A generation of children that was left behind by an upgrade reads on, and
# does not write.
sub upgraded_under_way
{
    my $server = Scim::Httpd->new(mpm => 'event', children => 1);
    my $made = made($server, '/Users', user('bjensen'));
    make_newer($server->store);
    my $refused = $server->post('/Users', user('late'));
    is_error($refused, 503, undef, 'a store that was upgraded under way takes no writes of ours');
    like($refused->header('retry-after') // '', qr/^[1-9]\d*$/, 'with Retry-After');
    is($server->get("/Users/$made->{id}")->status, 200, 'C-060 and is read on');
    $server->expect_log(qr/SCIM1201/);
    $server->log_clean;
}

# A system with newer tables of Unicode: the remedy that the log names, and that
# for a store which is damaged as well.
sub other_unicode
{
    my ($words, $code_of_it, $says) = @_;
    my $server = Scim::Httpd->new;
    my $group = made($server, '/Groups', group("Stra\x{df}e", made($server, '/Users', user('BJENSEN'))->{id}));
    $server->stop;
    make_unicode($server->store);
    my ($code, $out, $err) = $server->scimctl(map { s/STORE/$server->store/er } @$words);
    is($code, $code_of_it, "C-310 other tables of Unicode: $words->[0]") or diag($err);
    like($out, $says, 'says what it did');
    $server->start;
    is($server->get('/Users?filter=' . esc('userName eq "bjensen"'))->json->{totalResults}, 1, 'indexes are there');
    is_deeply($server->get("/Groups/$group->{id}")->json, $group, 'and all else is as it was');
    is(($server->scimctl('verify'))[0], 0, 'and whole');
    $server->log_clean;
}

sub read_only
{
    my $server = Scim::Httpd->new;
    my $user = made($server, '/Users', user('bjensen'));
    my $path = "/Users/$user->{id}";
    $server->write_conf(conf => 'SCIMReadOnly On');
    is($server->graceful, 1, 'SCIMReadOnly On');
    my %write = (
        POST => $server->post('/Users', user('another')),
        PUT => $server->put($path, user('bjensen', title => 'Guide')),
        PATCH => $server->patch($path, ops(['add', 'title', 'Guide'])),
        DELETE => $server->delete($path),
    );
    for my $method (sort keys %write) {
        is_error($write{$method}, 503, undef, "SCIMReadOnly: $method is 503");
        like($write{$method}->header('retry-after') // '', qr/^[1-9]\d*$/, "SCIMReadOnly: $method has Retry-After");
    }
    is_deeply($server->get($path)->json, $user, 'C-060 SCIMReadOnly: reads go on, nothing is changed');
    is($server->get('/Users')->json->{totalResults}, 1, 'C-114 SCIMReadOnly: lists too');
    $server->write_conf(conf => '');
    $server->graceful;
    is($server->delete($path)->status, 204, 'C-210 SCIMReadOnly Off: writes go on');
    $server->log_clean;
}

# --- virtual hosts -----------------------------------------------------------

sub virtual_host
{
    my ($name, $store) = @_;
    return <<"EOT";
<VirtualHost *:*>
    ServerName $name
    ServerAlias alias.$name
    SCIMStore lmdb:$store
    <Location "/scim/v2">
        SCIMEngine On
        AuthType Bearer
        AuthName SCIM
        Require valid-user
    </Location>
</VirtualHost>
EOT
}

sub shared_by_virtual_hosts
{
    my $server = Scim::Httpd->new(start => 0, locations => '', children => 1);
    my $link = $server->dir . '/link';
    symlink $server->store, $link or die "$link: $!\n";
    $server->write_conf(conf => virtual_host('a.example.com', $server->store) . virtual_host('b.example.com', $link));
    $server->start;
    my ($a, $b) = map { { host => "$_.example.com" } } qw(a b);
    my $made = $server->post('/Users', user('bjensen'), %$a);
    my $path = '/Users/' . $made->json->{id};
    is($made->status, 201, 'C-030 two hosts, one store: made by the one');
    is($made->header('location'), 'http://a.example.com:' . $server->port . "/scim/v2$path", 'C-029 with that host in its Location');
    my $read = $server->get($path, %$b);
    is($read->status, 200, 'C-060 read by the other, whose path of it is another');
    is($read->json->{meta}{location}, 'http://b.example.com:' . $server->port . "/scim/v2$path", 'C-029 with its own host');
    is($server->get($path, host => 'alias.b.example.com')->json->{meta}{location}, $read->json->{meta}{location}, 'C-029 by whatever name it is called');
    my @status = parallel(8, sub {
        my ($i) = @_;
        return $server->post('/Users', user("p$i"), %{ $i % 2 ? $a : $b })->status;
    });
    is_deeply(\@status, [(201) x 8], 'C-030 both write at the same time');
    is($server->get('/Users', %$b)->json->{totalResults}, 9, 'C-114 into one store');
    is($server->graceful, 1, 'C-030 and restart gracefully');
    is($server->delete($path, %$b)->status, 204, 'C-210 deleted by the other');
    is($server->get($path, %$a)->status, 404, 'C-061 it is gone from the one');
    $server->log_clean;
}

# --- a full store ------------------------------------------------------------

sub fill
{
    my ($server) = @_;
    my @ids;
    for my $n (1 .. 200) {
        my $response = $server->post('/Users', user("full-$n", title => 'x' x 60_000));
        return ($response, @ids) if $response->status != 201;
        push @ids, $response->json->{id};
    }
    die "2 MiB hold 200 users of 60 kB\n";
}

sub full
{
    my $server = Scim::Httpd->new(conf => 'SCIMStoreSize 2m');
    my ($refused, @ids) = fill($server);
    is_error($refused, 507, undef, 'a full store is 507');
    cmp_ok(scalar(@ids), '>', 10, 'after some users');
    is($server->get("/Users/$ids[0]")->status, 200, 'C-060 a full store is read');
    is($server->get('/Users?count=0')->json->{totalResults}, scalar @ids, 'C-114 and holds what it held');
    my @status = parallel(4, sub { return $server->post('/Users', user("more-$_[0]", title => 'x' x 60_000))->status });
    is_deeply(\@status, [(507) x 4], 'several at once are 507, each');
    my @deleted = map { $server->delete("/Users/$_")->status } @ids[0 .. $#ids / 2];
    is_deeply(\@deleted, [(204) x @deleted], 'C-210 deletions are done');
    is($server->post('/Users', user('after', title => 'x' x 60_000))->status, 201, 'C-030 and make room');
    is_deeply([map { $server->delete("/Users/$_")->status } @ids[@deleted .. $#ids]], [(204) x (@ids - @deleted)], 'C-210 all can be deleted');
    is($server->get('/Users')->json->{totalResults}, 1, 'C-114 one is left');
    $server->expect_log(qr/SCIM1201: .*full/);
    $server->log_clean;
}

refused_at_start($_) for sort keys %bad;
survived_at_restart();
# A sanitizer takes the signal for a fault of ours.
if (!$ENV{SCIM_SAN}) {
    local $bad{'rows that lead out of the file'} = [\&make_wild, qr/killed by signal \d+ \(.*\); data\.mdb may be damaged: restore a backup/];
    refused_at_start('rows that lead out of the file');
    wild_at_restart();
}
upgraded_under_way();
other_unicode(['reindex'], 0, qr/./);
other_unicode(['restore', '--salvage', 'STORE/data.mdb'], 5, qr/^system: unicode: another: the indexes are made anew.* 1 thing is told of\.$/ms);
read_only();
shared_by_virtual_hosts();
full();
done_testing();
