#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The audit log: a line for each change and for nothing else, whatever is
# changed, however it is named, whoever writes at the same time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;
my $PASSWORD = 'Pa55-word-in-no-log';
my $WIDE = 'urn:example:params:scim:schemas:core:2.0:Wide';
# After mod_unique_id, hence in the Location.
my $ANY_REQUEST_ID = 'SetEnvIf X-Request-Id "(.+)" UNIQUE_ID=$1';
my $files = File::Temp->newdir('scim-audit-XXXXXX', TMPDIR => 1);
chmod 0755, $files->dirname;

sub spew
{
    my ($name, $text) = @_;
    my $path = $files->dirname . "/$name";
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out ref $text ? $json->encode($text) : $text;
    close $out or die "$path: $!\n";
    return $path;
}

# The lines of a log, decoded; each must be what every line has to be.
sub lines_of
{
    my ($path) = @_;
    my $text = slurp($path);
    my (@lines, @wrong);
    push @wrong, 'no line end at the end' if length $text && $text !~ /\n\z/;
    for my $line (split /\n/, $text) {
        my $decoded = eval { $json->decode($line) };
        push @wrong, "no JSON: $line" if ref $decoded ne 'HASH';
        push @wrong, 'too long: ' . length $line if length($line) + 1 >= 4096;
        push @wrong, "not plain ASCII: $line" if $line =~ /[^\x20-\x7e]/;
        push @wrong, "secret: $line" if $line =~ /\Q$PASSWORD\E|mscim_/;
        push @lines, $decoded;
    }
    is_deeply(\@wrong, [], 'every line is one whole JSON object without secrets') if @wrong;
    return @lines;
}

# What a line tells of its change: op, type, changed names in order, status.
sub told
{
    my ($line) = @_;
    return join ' ', @$line{qw(op type)}, $line->{changed} ? join(',', sort @{ $line->{changed} }) : '-', $line->{status};
}

my $s = Scim::Httpd->new(
    start => 0,
    modules => ['unique_id'],
    conf => join(
        "\n", 'SCIMAuditLog audit_log', 'SCIMRole member "members*"',
        '<SCIMTenantPolicy strict>', 'SCIMOnGroupDelete delete', '</SCIMTenantPolicy>',
        '<SCIMTenantPolicy soft>', 'SCIMOnGroupDelete deactivate', '</SCIMTenantPolicy>'
    ),
    location => $ANY_REQUEST_ID,
);
for my $tenant (qw(strict soft)) {
    my ($code) = $s->scimctl('tenant', 'create', $tenant);
    die "no tenant $tenant\n" if $code;
}
my $reader = $s->new_token(connection => 'reader', scope => 'read');
my %token = map { $_ => $s->new_token(tenant => $_, connection => "to-$_") } qw(strict soft);
$s->start;
my $log = $s->dir . '/audit_log';
my $seen = 0;

# The lines that came since the last call: they are written before the answer
# is sent.
sub new_lines
{
    my @lines = lines_of($log);
    my @new = @lines[$seen .. $#lines];
    $seen = @lines;
    return @new;
}

# One test: the lines that a request made.
sub tells
{
    my ($r, $want, $name) = @_;
    my @lines = new_lines();
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([map { told($_) } @lines], $want, $name) or diag($r->status . ' ' . $r->content);
    return @lines;
}

my ($path, $id);

subtest 'each change is a line' => sub {
    my $before = time;
    my $r = $s->post('/Users', user('bjensen', title => 'x', password => $PASSWORD, $ENTERPRISE => { department => 'x' }));
    my ($line) = tells($r, ["users.create User title,$ENTERPRISE:department,userName 201"], 'a user is created');
    $id = $r->json->{id};
    $path = "/Users/$id";
    is($line->{tenant}, 'default', 'tenant');
    is($line->{connection}, 'test', 'connection');
    is($line->{client}, '127.0.0.1', 'client');
    is($line->{id}, $id, 'id');
    is('W/"' . $line->{version} . '"', $r->json->{meta}{version}, 'version');
    like($line->{request}, qr/^[\w@-]{20,}$/, 'request, of mod_unique_id');
    like($line->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'time');
    my ($text) = split /\n/, slurp($log);
    is(join(' ', $text =~ /"(\w+)":/g), 'time tenant connection client request op type id version changed status', 'the order of the fields');

    $r = $s->patch($path, ops(['replace', 'nickName', 'n'], ['remove', 'title']));
    my ($next) = tells($r, ['users.patch User nickName,title 200'], 'a user is patched');
    isnt($next->{request}, $line->{request}, 'another request');
    is('W/"' . $next->{version} . '"', $r->json->{meta}{version}, 'the version that it left');
    tells($s->put($path, user('bjensen', nickName => 'm')), ["users.replace User nickName,$ENTERPRISE:department 200"], 'a user is replaced');
    $r = $s->post('/Groups', group('Tour Guides', $id));
    tells($r, ['groups.create Group displayName,members 201'], 'a group is created');
    my $group = '/Groups/' . $r->json->{id};
    tells($s->patch($group, ops(['remove', "members[value eq \"$id\"]"])), ['groups.patch Group members 204'], 'its members');
    my ($deleted) = tells($s->delete($group), ['groups.delete Group - 204'], 'it is deleted');
    is($deleted->{id}, $r->json->{id}, 'its id');
    ok(!exists $deleted->{version}, 'no version');
};

subtest 'what changes nothing is no line' => sub {
    tells($s->get($path), [], 'a read');
    tells($s->get('/Users'), [], 'a list');
    tells($s->patch($path, ops(['replace', 'nickName', 'm'])), [], 'the same again');
    tells($s->put($path, user('bjensen', nickName => 'm')), [], 'the same by PUT');
    tells($s->post('/Users', user('bjensen')), [], 'a conflict');
    tells($s->post('/Users', '{'), [], 'no JSON');
    tells($s->patch($path, ops(['replace', 'nickName', 'o']), 'if-match' => 'W/"0"'), [], 'another version');
    tells($s->delete('/Users/01900000-0000-7000-8000-000000000000'), [], 'an unknown id');
    tells($s->delete($path, authorization => "Bearer $reader"), [], 'a token that may not');
    tells($s->delete($path, authorization => undef), [], 'no token');
    tells($s->delete($path, authorization => "Bearer $token{soft}"), [], "another tenant's token");
    tells($s->post('/Bulk', { schemas => [] }), [], 'no bulk job');
};

# The operations of a job: method, path, data.
sub bulk
{
    my $n = 0;
    my @operations = map { { method => $_->[0], path => $_->[1], bulkId => 'b' . ++$n, $_->[2] ? (data => $_->[2]) : () } } @_;
    return { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@operations };
}

subtest 'a Bulk job has a line for each of its changes' => sub {
    my @lines = tells(
        $s->post('/Bulk', bulk(
            ['POST', '/Users', user('alice')],
            ['POST', '/Users', user('bjensen')],
            ['POST', '/Groups', { schemas => [$GROUP], displayName => 'bulk', members => [{ value => 'bulkId:b1' }] }],
            ['PATCH', $path, ops(['replace', 'nickName', 'm'])],
            ['PATCH', $path, ops(['replace', 'nickName', 'b'])],
            ['DELETE', '/Users/bulkId:b1'],
        )),
        [
            'users.create User userName 200', 'groups.create Group displayName,members 200',
            'users.patch User nickName 200', 'users.delete User - 200',
        ],
        'in its order, without what failed and what changed nothing'
    );
    my %requests = map { $_->{request} => 1 } @lines;
    is(scalar keys %requests, 1, 'of one request');
    is($lines[0]{id}, $lines[3]{id}, 'the one that is deleted is the one that was created');
    my $r = $s->post('/Bulk', bulk(map { ['POST', '/Users', user("bulk-$_")] } 1 .. 200));
    tells($r, [('users.create User userName 200') x 200], '200 of them');
};

subtest 'a deleted group tells what became of its members' => sub {
    my %want = (strict => 'users.delete User - 204', soft => 'users.patch User active 204');
    for my $tenant (sort keys %want) {
        my %as = (authorization => "Bearer $token{$tenant}");
        my @ids = map { made($s, '/Users', user("u$_"), %as)->{id} } 1 .. 5;
        my $group = made($s, '/Groups', group('members', @ids), %as)->{id};
        new_lines();
        my ($first, @lines) =
            tells($s->delete("/Groups/$group", %as), ['groups.delete Group - 204', ($want{$tenant}) x 5], "$tenant: group and members");
        ok(!exists $first->{cause}, 'the group has no cause');
        is_deeply([sort map { $_->{id} } @lines], [sort @ids], 'each of them');
        is_deeply([map { $_->{cause} } @lines], [($group) x 5], 'the cause is the group');
        is($_->{connection}, "to-$tenant", 'the connection') for $lines[0];
        my $access;
        for (1 .. 500) { # it is written once the answer is sent
            ($access) = grep { /groups\.delete/ && /$group/ } $s->access_log;
            last if $access;
            sleep 0.01;
        }
        like($access, qr/ count=5 /, 'the access log has their number');
    }
    my %as = (authorization => "Bearer $token{strict}");
    my @ids = map { made($s, '/Users', user("w$_"), %as)->{id} } 1 .. 3;
    my $group = made($s, '/Groups', group('members', @ids), %as)->{id};
    new_lines();
    my @lines = tells(
        $s->post('/Bulk', bulk(['DELETE', "/Groups/$group"], ['POST', '/Users', user('w1')]), %as),
        ['groups.delete Group - 200', ('users.delete User - 200') x 3, 'users.create User userName 200'],
        'in a Bulk job, before what comes behind it'
    );
    is($lines[1]{cause}, $group, 'the cause is the group');
};

# A group "members large" of so many users: its path, and the ids of the users.
sub large_group
{
    my ($count, %as) = @_;
    my @ids;
    while (@ids < $count) {
        my @users = map { ['POST', '/Users', user("large-$_")] } @ids + 1 .. @ids + 400;
        push @ids, map { $_->{location} =~ m{([^/]+)$} } @{ $s->post('/Bulk', bulk(@users), %as)->json->{Operations} };
    }
    return ('/Groups/' . made($s, '/Groups', group('members large', @ids), %as)->{id}, @ids);
}

# So many lines, in time: those of what is done behind an answer come after it.
sub wait_lines
{
    my ($count) = @_;
    my ($until, @lines) = (time + 30);
    while (@lines < $count && time < $until) {
        push @lines, new_lines();
        select undef, undef, undef, 0.02;
    }
    return @lines;
}

sub wrong_lines
{
    my ($cause, $connection, @lines) = @_;
    return grep { "$cause" ne "/Groups/$_->{cause}" || told($_) ne 'users.delete User - 200' || $_->{tenant} ne 'strict' || ($_->{connection} // '') ne $connection } @lines;
}

my %strict = (authorization => "Bearer $token{strict}");

subtest 'what a deletion leaves is told behind its answer' => sub {
    my ($group, @ids) = large_group(800, %strict);
    new_lines();
    is($s->post('/Bulk', bulk(['DELETE', $group]), %strict)->status, 200, 'a job deletes a large group');
    my ($own, @lines) = wait_lines(801);
    is(told($own), 'groups.delete Group - 200', 'first its own line');
    is_deeply([wrong_lines($group, 'to-strict', @lines)], [], 'then one for each user');
    is_deeply([sort map { $_->{id} } @lines], [sort @ids], 'each has one');
    is(scalar(grep { $_->{request} ne $own->{request} } @lines), 0, 'of the same request');
};

# The children are killed behind the answer: how many members are left then.
sub cut_short
{
    my ($group) = @_;
    $s->post('/Bulk', bulk(['DELETE', $group]), %strict);
    kill 'KILL', $s->children;
    my ($until, $status) = (time + 30, 0);
    $status = $s->get('/Users?count=0')->status while $status != 200 && time < $until;
    new_lines();
    return $json->decode(($s->scimctl('--json', 'stat'))[1])->{pendingMembers};
}

$s->allow_log(qr/exit signal Killed/);
subtest 'and what a process leaves, by whoever goes on with it' => sub {
    my ($group, $left);
    for (1 .. 5) {
        ($group) = large_group(2000, %strict);
        $left = cut_short($group) and last;
    }
    cmp_ok($left, '>', 0, 'a process ends in between');
    is(($s->patch($path, ops(['replace', 'nickName', 'm']), 'if-match' => 'W/"0"'))->status, 412, 'a failure goes on with nothing');
    is($s->patch($path, ops(['replace', 'nickName', 's']))->status, 200, "another tenant's change does");
    my ($own, @lines) = wait_lines(1 + $left);
    is(told($own) . $own->{connection}, 'users.patch User nickName 200test', 'the change is of its connection');
    is(scalar @lines, $left, 'a line for each user');
    is_deeply([wrong_lines($group, '', @lines)], [], 'of its own tenant, and of no connection');
};

subtest 'scimctl sweep' => sub {
    my ($group, $left);
    for (1 .. 5) {
        ($group) = large_group(2000, %strict);
        $left = cut_short($group) and last;
    }
    my $file = $files->dirname . '/sweep_log';
    my ($code, undef, $err) = $s->scimctl('--audit-log', $file, 'sweep');
    is($code, 0, 'takes what is left') or diag($err);
    my @lines = lines_of($file);
    is((pop @lines)->{op}, 'sweep', 'it tells of the sweep');
    is_deeply([grep { "@$_{qw(op type tenant client)} /Groups/$_->{cause}" ne "users.delete User strict scimctl $group" } @lines], [], 'and of each user');
    is(scalar @lines, $left, 'who was left');
};

subtest 'nothing that a client sends breaks a line' => sub {
    my $evil = qq(a"},\n{"op":"forged"}\r\n\e[31m\x{2028}\x{202e}\x{9b}\\);
    my %headers = ('user-agent' => 'a"}{"op":"forged"', 'x-request-id' => qq(b"},{"op":"forged"\\) . "\xff" . 'x' x 3000);
    # With a Host header of its own, a request is sent as it is, invalid bytes and all.
    my %raw = (host => '127.0.0.1:' . $s->port, %headers);
    my $r = $s->post('/Groups', group($evil), %raw);
    my ($line) = tells($r, ['groups.create Group displayName 201'], 'a group of a hostile name');
    like($line->{request}, qr/^b"\},\{"op":"forged"\\\?x+$/, 'a hostile request id is text');
    cmp_ok(length $line->{request}, '<', 100, 'and short');
    $r = $s->patch('/Groups/' . $r->json->{id}, ops(['replace', 'displayName', "$evil$evil"], ['add', 'externalId', $evil]), %raw);
    ($line) = tells($r, ['groups.patch Group displayName,externalId 204'], 'a rename');
    $r = $s->post('/Users', user('eve', displayName => $evil, $evil => $evil, emails => [{ value => $evil, type => $evil }]), %raw);
    is($r->status, 201, 'attributes of hostile names');
    my @lines = new_lines();
    is_deeply([map { $_->{op} } @lines], ['users.create'], 'one line');
    unlike($_, qr/forged|\W/, "changed: $_") for @{ $lines[0]{changed} };
};

subtest 'eight writers at once' => sub {
    my @made = parallel(8, sub {
        my ($i) = @_;
        my $count = 0;
        for my $n (1 .. 15) {
            my $r = $s->post('/Users', user("p$i-$n"));
            next if $r->status != 201;
            $count++;
            $count++ if $s->patch('/Users/' . $r->json->{id}, ops(['add', 'title', 'x']))->status == 200;
            # A name that others have too: one of them succeeds.
            $count++ if $s->post('/Users', user("same-$n"))->status == 201;
        }
        return $count;
    });
    my $changes = 0;
    $changes += $_ for @made;
    is($changes, 8 * 30 + 15, 'all that can succeed does');
    is(scalar new_lines(), $changes, 'as many lines');
};

subtest 'rotation: the file is moved away, httpd restarted gracefully' => sub {
    my $count = lines_of($log);
    rename $log, "$log.1" or die "$log: $!\n";
    ok($s->patch($path, ops(['replace', 'nickName', 'r1']))->status == 200, 'a change before the restart');
    is(scalar lines_of("$log.1"), $count + 1, 'is in the old file');
    ok($s->graceful, 'the restart');
    ok($s->patch($path, ops(['replace', 'nickName', 'r2']))->status == 200, 'a change behind it');
    is(scalar lines_of("$log.1"), $count + 1, 'is not in the old file');
    is_deeply([map { told($_) } lines_of($log)], ['users.patch User nickName 200'], 'but in the new one');
    unlike(slurp("$log.1"), qr/\Q$_\E/, 'no token in it') for map { substr $_, 6 } $s->token, $reader, values %token;
};

$s->log_clean;

# A type whose resources have more attributes than a line can name.
my %wide = (schemas => [$WIDE], map { sprintf('attributeOfTheWideType%03d', $_) => 'x' } 1 .. 200);
my @documents = (
    'SCIMSchema ' . spew('wide.json', {
        schemas => ['urn:ietf:params:scim:schemas:core:2.0:Schema'],
        id => $WIDE, name => 'Wide',
        attributes => [map { { name => $_, type => 'string' } } sort grep { $_ ne 'schemas' } keys %wide],
    }),
    'SCIMResourceType ' . spew('wide-type.json', {
        schemas => ['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],
        id => 'Wide', name => 'Wide', endpoint => '/Wides', schema => $WIDE,
    }),
);

subtest 'a line is never longer than 4 KiB' => sub {
    my $w = Scim::Httpd->new(conf => join("\n", 'SCIMAuditLog audit_log', @documents), location => $ANY_REQUEST_ID);
    my %few = (schemas => [$WIDE], attributeOfTheWideType001 => 'x');
    is($w->post('/Wides', \%wide, host => 'any.example', 'x-request-id' => "\xc3\xa9" x 1000)->status, 201, '200 attributes of long names');
    is($w->post('/Wides', \%few)->status, 201, 'one attribute');
    my ($line, $next) = lines_of($w->dir . '/audit_log');
    is($line->{op}, 'wides.create', 'op');
    ok($line->{truncated}, 'it says that names are missing');
    cmp_ok(scalar @{ $line->{changed} }, '>', 80, 'but not many more than must');
    is($line->{status}, 201, 'all else is there');
    is($line->{request}, "\x{e9}" x 48, 'the request id is cut between characters');
    ok(!exists $next->{truncated}, 'an ordinary one says nothing of it');
    $w->log_clean;
};

subtest 'a program' => sub {
    my $out = $files->dirname . '/piped';
    my $script = spew('pipe.sh', "exec cat >>'$out'\n");
    my $p = Scim::Httpd->new(conf => qq(SCIMAuditLog "|/bin/sh $script"));
    my $wait = sub {
        my ($count) = @_;
        for (1 .. 500) {
            last if (slurp($out) =~ tr/\n//) >= $count;
            sleep 0.02;
        }
        return lines_of($out);
    };
    my $made = made($p, '/Users', user('piped'));
    my @lines = $wait->(1);
    is_deeply([map { $_->{id} } @lines], [$made->{id}], 'a line goes to the program');
    $p->post('/Bulk', bulk(map { ['POST', '/Users', user("piped-$_")] } 1 .. 200));
    is(scalar $wait->(201), 201, 'those of a Bulk job, too');
    parallel(8, sub { my ($i) = @_; $p->post('/Bulk', bulk(map { ['POST', '/Users', user("at-once-$i-$_")] } 1 .. 30)) && 1 });
    is(scalar $wait->(441), 441, 'and those of eight jobs at once');
    $p->allow_log(qr/long lost child/); # of the program that ends with the old children
    ok($p->graceful, 'a graceful restart');
    made($p, '/Users', user('later'));
    is(scalar $wait->(442), 442, 'then a new one');
    # One that ends is started again.
    my @programs = grep { slurp("/proc/$_/cmdline") =~ /^cat\0/ } $p->children;
    is(scalar @programs, 1, 'one program');
    $p->expect_log(qr/piped log program/);
    kill 'TERM', @programs;
    ok($p->wait_log(qr/piped log program/, 20), 'httpd sees that it ended');
    made($p, '/Users', user('last'));
    is(scalar $wait->(443), 443, 'and starts it again');
    $p->log_clean;
};

subtest 'two virtual hosts with one file' => sub {
    my $v = Scim::Httpd->new(start => 0);
    my $file = $v->dir . '/shared_log';
    my %named = (one => 'shared_log', two => $file);
    $v->write_conf(conf => join "\n", 'SCIMAuditLog main_log', map { ("<VirtualHost *>", "ServerName $_.example", "SCIMAuditLog $named{$_}", "</VirtualHost>") } sort keys %named);
    $v->start;
    for my $host (sort keys %named) {
        is($v->post('/Users', user($host), host => "$host.example")->status, 201, "$host: a change");
    }
    is(scalar lines_of($file), 2, 'both are in the file');
    is(slurp($v->dir . '/main_log'), '', 'and not in that of the server, which is for others');
    for my $child ($v->children) {
        my @open = grep { (readlink $_ // '') eq $file } glob "/proc/$child/fd/*";
        is(scalar @open, 1, 'a child has it open once');
    }
    $v->log_clean;
};

subtest 'a virtual host that has none, beside one that has' => sub {
    my $v = Scim::Httpd->new(
        conf => <<'EOC',
<VirtualHost *:*>
    ServerName told.example
    SCIMAuditLog told_log
</VirtualHost>
<VirtualHost *:*>
    ServerName silent.example
</VirtualHost>
EOC
    );
    my $warned = qr/SCIM1603: SCIMAuditLog told_log: another server has endpoints of the same store and no SCIMAuditLog/;
    $v->expect_log($warned);
    is(scalar(grep { /$warned/ } $v->error_log), 2, 'the start warns, of the server itself and of that virtual host');
    $v->log_clean;
};

subtest 'a log that cannot be written' => sub {
    my $full = Scim::Httpd->new(conf => 'SCIMAuditLog /dev/full');
    $full->expect_log(qr{SCIM1602: SCIMAuditLog /dev/full: .*bulk by connection test of tenant default, changes: 3});
    $full->expect_log(qr{SCIM1602: .*users\.create});
    is($full->post('/Users', user('a'))->status, 201, 'the answer stays as it is');
    is($full->post('/Bulk', bulk(map { ['POST', '/Users', user("b$_")] } 1 .. 3))->status, 200, 'that of a job, too');
    is(scalar(grep { /SCIM1602/ } $full->error_log), 2, 'one error line for each request');
    $full->log_clean;
};

# --- scimctl -------------------------------------------------------------------

# The acts of scimctl: "tenant.create acme - " is op, tenant, connection, hint.
sub acts
{
    my @keys = qw(op tenant connection hint);
    return map {
        my $line = $_;
        join ' ', map { $line->{$_} // '-' } @keys;
    } @_;
}

subtest "scimctl's own acts" => sub {
    my $c = Scim::Httpd->new(start => 0, tenant => 'first');
    my $file = $c->dir . '/ctl_log';
    local $ENV{SCIM_AUDIT_LOG} = $file;
    local $ENV{SUDO_USER} = 'alice';
    my $run = sub {
        my ($want, @args) = @_;
        my ($code, $out, $err) = $c->scimctl(@args);
        local $Test::Builder::Level = $Test::Builder::Level + 1;
        is($code, $want, "@args: exit code") or diag($out . $err);
        return ($out, $err);
    };
    $run->(0, qw(tenant create acme));
    my ($text) = $run->(0, qw(token create --tenant acme --connection okta));
    my ($secret) = $text =~ /(mscim_\S+)/;
    my $hint = substr $secret, -4;
    $run->(0, qw(tenant suspend acme));
    $run->(0, qw(tenant suspend acme));
    $run->(0, qw(tenant resume acme));
    $run->(0, qw(token revoke --tenant acme --connection okta --hint), $hint);
    $run->(3, qw(token revoke --tenant acme --connection okta));
    $run->(4, qw(tenant create acme));
    $run->(0, qw(tenant list));
    $run->(0, qw(token list --tenant acme));
    my @lines = lines_of($file);
    is_deeply(
        [acts(@lines)],
        [
            'tenant.create acme - -', "token.create acme okta $hint", 'tenant.suspend acme - -',
            'tenant.resume acme - -', "token.revoke acme okta $hint",
        ],
        'what changed something is a line'
    );
    # Anybody can say that sudo called him; of root it is believed.
    is($_->{user}, $> == 0 ? 'alice' : scalar getpwuid $>, "$_->{op}: the user") for @lines;
    is($_->{client}, 'scimctl', "$_->{op}: the client") for @lines;
    is((stat $file)[2] & 07777, 0640 & ~umask, 'the mode of the file');
    is((stat $file)[4], $>, 'its owner');
    delete local $ENV{SUDO_USER};
    $run->(0, '--audit-log', "$file.2", qw(tenant create other));
    my ($line) = lines_of("$file.2");
    is($line->{op}, 'tenant.create', '--audit-log names another file');
    is($line->{user}, scalar getpwuid $>, 'without sudo, the user is who runs it');
    local $ENV{SUDO_USER} = qq(a"}\n\e[1m\xff);
    $run->(0, '--audit-log', "$file.3", qw(tenant create more));
    is(scalar lines_of("$file.3"), 1, 'a hostile name stays in its line');

    my ($before) = $run->(0, qw(--json tenant list));
    symlink $file, "$file.link" or die "$file.link: $!\n";
    symlink "$file.new", "$file.dangling" or die "$file.dangling: $!\n";
    POSIX::mkfifo("$file.fifo", 0600) or die "$file.fifo: $!\n";
    my %refused = (
        "$file.link" => qr/cannot open the audit log \Q$file\E.link: it is a symbolic link; nothing was done/,
        "$file.dangling" => qr/it is a symbolic link/,
        "$file.fifo" => qr/audit log \Q$file\E.fifo/,
        '/no/such/directory/log' => qr/No such file or directory; nothing was done/,
        $c->dir => qr/directory; nothing was done/,
        '/dev/null' => qr/no plain file; nothing was done/,
    );
    for my $path (sort keys %refused) {
        my (undef, $err) = $run->(5, '--audit-log', $path, qw(tenant create never));
        like($err, $refused{$path}, "$path: why");
    }
    ok(!-e "$file.new", 'nothing is made behind a link');
    my ($after) = $run->(0, qw(--json tenant list));
    is($after, $before, 'nothing was done');
    delete local $ENV{SCIM_AUDIT_LOG};
    $run->(0, qw(tenant create unseen));
    is(scalar lines_of($file), 5, 'no log was asked for');
    unlike(join('', map { slurp($_) } grep { -f } glob "$file*"), qr/\Q${\substr $secret, 6, 20}\E/, 'no token in any');
    $c->log_clean;
};

subtest 'a log that cannot be opened refuses the start' => sub {
    for my $case (['/no/such/directory/audit_log', qr/\(2\)No such file/], ['|/no/such/program', qr/cannot start/]) {
        my ($name, $why) = @$case;
        my $server = eval { Scim::Httpd->new(conf => qq(SCIMAuditLog "$name")) };
        ok(!$server, "$name: no start");
        like($@, qr/SCIM1601: SCIMAuditLog \Q$name\E/, 'the error log says which');
        like($@, $why, 'and why');
    }
};

done_testing();
