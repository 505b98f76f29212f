#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# AuthBasicProvider scim: people log in with the passwords that were provisioned
# (SCIMPasswordSync), as long as they are active; and nothing tells a password.
use strict;
use warnings;
use utf8;
use Digest::SHA qw(sha1_base64);
use Encode qw(encode_utf8);
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64 qw(encode_base64);
use Scim::Body;
use Scim::Httpd;
use Test::More;

my ($TRUE, $FALSE) = (JSON::PP::true(), JSON::PP::false());
my @said; # every password that this test has sent

sub password
{
    my ($text) = @_;
    push @said, encode_utf8($text);
    return $text;
}

# A site that people log in to.
sub site
{
    my ($path, $provider, @directives) = @_;
    @directives = ('Require valid-user') if !@directives;
    my @lines = ('AuthType Basic', 'AuthName People', "AuthBasicProvider $provider", @directives);
    return join "\n", qq{<Location "$path">}, map({ "    $_" } @lines), "</Location>\n";
}

my %local = (local => 'of-the-file', anna => 'of-the-file', gone => 'of-the-file');
my @sites = qw(site guides both first mail nowhere other me);
my $s = Scim::Httpd->new(
    start => 0,
    modules => [qw(auth_basic authn_file)],
    files => {
        (map { ("$_/page.txt" => "$_\n") } @sites),
        people => join '', map { "$_:{SHA}" . sha1_base64($local{$_}) . "=\n" } sort keys %local,
    },
    conf => join "\n",
    'LogLevel scim:trace8 auth_basic:trace8 authn_core:trace8 authz_core:trace8 authn_file:trace8',
    'SCIMPasswordSync On',
    'SCIMAuditLog audit_log',
    '<SCIMTenantPolicy other>', '    SCIMPasswordSync Off', '</SCIMTenantPolicy>',
    endpoint('/pinned', 'SCIMTenant other'),
    site('/site', 'scim'),
    site('/guides', 'scim', 'Require scim-group Guides'),
    site('/both', 'scim file', 'AuthUserFile htdocs/people', 'Require valid-user'),
    site('/first', 'file scim', 'AuthUserFile htdocs/people', 'Require valid-user'),
    site('/mail', 'scim', 'SCIMUserAttribute emails.value', 'Require scim-user'),
    site('/nowhere', 'scim', 'SCIMTenant nobody', 'Require valid-user'),
    site('/other', 'scim', 'SCIMTenant other', 'Require valid-user'),
);
$s->scimctl(qw(tenant create other));
my @other = (authorization => 'Bearer ' . $s->new_token(tenant => 'other', connection => 'okta'));
$s->start;

sub as
{
    my ($name, $password) = @_;
    return (authorization => 'Basic ' . encode_base64(encode_utf8("$name:$password"), ''));
}

sub visit
{
    my ($name, $password, $site) = @_;
    return $s->get($s->url('/' . ($site // 'site') . '/page.txt'), as($name, $password))->status;
}

# What each of the children says, and each of its threads might.
sub visit_all
{
    my (@who) = @_;
    my %seen = map { $_ => 1 } parallel(12, sub { visit(@who) });
    return join ' ', sort keys %seen;
}

# All that were ever stored: pages of before stay in the file for a while.
sub hashes
{
    my %seen = map { $_ => 1 } $s->store_bytes =~ /(\$2y\$10\$[.\/0-9A-Za-z]{53})/g;
    return %seen;
}

my $first = password('first Pa55-word');
my $anna = made($s, '/Users', user('Anna', password => $first, emails => [{ value => 'anna@x.example' }]));
my $path = "/Users/$anna->{id}";
made($s, '/Groups', group('Guides', $anna->{id}));

subtest 'a password lets its user in' => sub {
    is(visit('Anna', $first), 200, 'the right one');
    is(visit('aNNA', $first), 200, 'a userName has no case');
    is(visit('anna', $first, 'guides'), 200, 'Require scim-group');
    is(visit('anna@x.example', $first, 'mail'), 200, 'SCIMUserAttribute emails.value');
    is(visit('anna', $first, 'mail'), 401, 'not by the userName then');
    is(visit('anna', password('first pa55-word')), 401, 'another case');
    is(visit('anna', ''), 401, 'no password');
    is(visit('anna', "$first "), 401, 'more than the password');
    is(visit('nobody', $first), 401, 'nobody');
    is(visit('', ''), 401, 'nothing');
    is($s->get($s->url('/site/page.txt'), authorization => undef)->status, 401, 'no credentials');
    made($s, '/Users', user('none'));
    is(visit('none', ''), 401, 'a user without password, without password');
    is(visit('none', $first), 401, 'a user without password');
};

subtest 'C-310 passwords of any kind' => sub {
    my %kinds = (
        'not ASCII' => 'Grüße, 世界 🔑',
        'a colon' => 'a:b:c-with-colons',
        'long' => 'long-' . 'x' x 1019,
        'quotes' => q{"quoted" \\ 'secret'},
    );
    for my $kind (sort keys %kinds) {
        my $text = password($kinds{$kind});
        changed($s, $path, ['replace', 'password', $text]);
        is(visit('anna', $text), 200, $kind);
        is(visit('anna', substr $text, 0, -1), 401, "$kind: its beginning");
    }
    my $composed = password("caf\x{e9} br\x{fb}l\x{e9}");
    changed($s, $path, ['replace', 'password', $composed]);
    is(visit('anna', "cafe\x{301} bru\x{302}le\x{301}"), 200, 'as another keyboard composes it');
    is($s->get($s->url('/site/page.txt'), authorization => 'Basic ' . encode_base64("anna:caf\xe9 br\xfbl\xe9", ''))->status,
        401, 'in Latin-1');
    is_error($s->patch($path, ops(['replace', 'password', password('y' x 1025)])), 400, 'invalidValue', 'more than 1,024 bytes');
    is_error($s->put($path, user('Anna', password => password("bell\a-in-it"))), 400, 'invalidValue', 'a control character');
    is(visit('anna', $composed), 200, 'what was refused changes nothing');
};

subtest 'C-050 C-153 every way to change it' => sub {
    my ($n, $last) = (0, '');
    my $bulk = sub {
        my ($method, $data) = @_;
        my $operation = { method => $method, path => $path, data => $data };
        my $r = $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => [$operation] });
        is($r->json->{Operations}[0]{status}, '200', "Bulk $method");
        return $r;
    };
    my %ways = (
        'PUT' => sub { $s->put($path, user('Anna', password => $_[0])) },
        'PATCH with a path' => sub { $s->patch($path, ops(['replace', 'password', $_[0]])) },
        'PATCH add' => sub { $s->patch($path, ops(['add', 'password', $_[0]])) },
        'PATCH without a path, as Okta does' => sub { $s->patch($path, ops(['replace', undef, { password => $_[0] }])) },
        'Bulk PUT' => sub { $bulk->('PUT', user('Anna', password => $_[0])) },
        'Bulk PATCH' => sub { $bulk->('PATCH', ops(['replace', undef, { password => $_[0] }])) },
    );
    for my $way (sort keys %ways) {
        my $new = password('password-number-' . ++$n);
        my $etag = $s->get($path)->header('etag');
        my $r = $ways{$way}->($new);
        is($r->status, 200, $way);
        unlike($r->content, qr/password/i, "$way: the answer does not speak of it");
        isnt($s->get($path)->header('etag'), $etag, "$way: another ETag");
        is(visit_all('anna', $new), '200', "$way: the new one, in every process");
        is(visit('anna', $last), 401, "$way: not the old one");
        $last = $new;
    }
    my $r = $s->get($path);
    my ($etag, $modified) = ($r->header('etag'), $r->json->{meta}{lastModified});
    is($s->patch($path, ops(['replace', 'password', $last]))->header('etag'), $etag, 'the same again changes nothing');
    is($s->get($path)->json->{meta}{lastModified}, $modified, 'nor lastModified');
    $s->put($path, user('Anna', title => 'x'));
    is(visit('anna', $last), 200, 'a PUT without it keeps it');
    changed($s, $path, ['remove', 'password']);
    is(visit_all('anna', $last), '401', 'removed');
    isnt($s->get($path)->header('etag'), $etag, 'removed: another ETag');
    changed($s, $path, ['replace', 'password', $last]);
    is(visit('anna', $last), 200, 'and set again');
    is($s->put($path, user('Anna', password => undef))->status, 200, 'PUT with null');
    is(visit('anna', $last), 401, 'clears it');
};

subtest 'active comes first' => sub {
    my $word = password('while-active');
    changed($s, $path, ['replace', 'password', $word]);
    is(visit_all('anna', $word), '200', 'active');
    changed($s, $path, ['replace', 'active', $FALSE]);
    is(visit_all('anna', $word), '401', 'deactivated: refused in every process at once');
    is(visit('anna', 'of-the-file', 'both'), 401, 'nor does another provider let the user in');
    changed($s, $path, ['replace', 'active', $TRUE]);
    is(visit_all('anna', $word), '200', 'active again');
    changed($s, $path, ['replace', undef, { active => $FALSE, password => my $new = password('set-while-inactive') }]);
    is(visit('anna', $new), 401, 'a new password does not activate');
    changed($s, $path, ['replace', 'active', $TRUE]);
    is(visit('anna', $new), 200, 'and is there then');
};

subtest 'a user who is made again has no password of before' => sub {
    my $old = password('of-the-one-before');
    my $bob = made($s, '/Users', user('bob', password => $old));
    is(visit('bob', $old), 200, 'bob');
    is($s->delete("/Users/$bob->{id}")->status, 204, 'deleted');
    is(visit_all('bob', $old), '401', 'gone');
    made($s, '/Users', user('bob'));
    is(visit_all('bob', $old), '401', 'another of that name');
};

subtest 'beside other providers' => sub {
    my $word = password('of-the-directory');
    changed($s, $path, ['replace', 'password', $word]);
    is(visit('local', 'of-the-file', 'both'), 200, 'scim file: one who is in the file only');
    is(visit('anna', $word, 'both'), 200, 'scim file: the directory');
    is(visit('anna', 'of-the-file', 'both'), 401, 'scim file: a wrong password goes no further');
    is(visit('local', 'of-the-file', 'first'), 200, 'file scim: the file');
    is(visit('anna', 'of-the-file', 'first'), 200, 'file scim: the file comes first');
    my $zoe = password('of-zoe');
    made($s, '/Users', user('zoe', password => $zoe));
    is(visit('zoe', $zoe, 'first'), 200, 'file scim: one who is not in the file');
    is(visit('zoe', 'wrong', 'first'), 401, 'file scim: a wrong password');
};

subtest 'two who are one by that attribute' => sub {
    my $word = password('shared-address');
    made($s, '/Users', user($_, password => $word, emails => [{ value => 'team@x.example' }])) for qw(twin1 twin2);
    is(visit('team@x.example', $word, 'mail'), 401, 'neither');
    is(visit('twin1', $word), 200, 'by the userName there is one');
    $s->expect_log(qr/SCIM1415: emails\.value team\@x\.example .* several/);
};

subtest 'tenants' => sub {
    my $word = password('of-another-tenant');
    my %before = hashes();
    my $r = $s->post($s->url('/pinned/Users'), user('olga', password => $word), @other);
    is($r->status, 201, 'where passwords are dropped they are accepted');
    my %after = hashes();
    is_deeply([grep { !$before{$_} } keys %after], [], 'and not stored');
    ok(scalar keys %before, 'as others are');
    is(visit('olga', $word, 'other'), 401, 'nobody gets in');
    is(visit('olga', $word), 401, 'nor elsewhere');
    is(visit('zoe', 'of-zoe', 'other'), 401, 'nor somebody of elsewhere');
    is(visit('zoe', 'of-zoe', 'nowhere'), 401, 'a tenant that is none');
    $s->expect_log(qr/SCIM1414: .* tenant other/);
    $s->expect_log(qr/SCIM1413: .* "nobody"/, qr/SCIM1314: SCIMTenant nobody at line/);
};

subtest 'C-050 C-311 a password is told nowhere' => sub {
    my $word = password('hidden-in-errors');
    my $q = qq("$word");
    for my $bad ("password[value eq $q]", "password eq $q", "password.$q", "emails[password eq $q]", "urn:x:password[$q",
        "password$q", "password[$q") {
        my $r = $s->patch($path, ops(['replace', $bad, 'x']));
        is($r->status, 400, "path $bad: " . $r->json->{detail});
        unlike($r->content, qr/$word/, 'is not quoted');
    }
    for my $bad ("password eq $q", "password$q", "password eq$q", qq(password eq "$word), "userName eq 7 and password eq $q",
        "password[value eq $q]", "not (password eq $q)") {
        my $r = $s->get('/Users?filter=' . esc($bad));
        like($r->status, qr/^40[03]$/, "filter $bad: " . $r->json->{detail});
        unlike($r->content, qr/$word/, 'is not quoted');
    }
    for my $body (user('x', password => [$word]), user('x', password => { value => $word }), user('Anna', password => $word),
        qq({"schemas":["$USER"],"userName":"y","password":"$word"), qq({"password":"$word","PASSWORD":"$word"})) {
        my $r = $s->post('/Users', $body);
        like($r->status, qr/^4/, 'POST: ' . $r->json->{detail});
        unlike($r->content, qr/$word/, 'is not quoted');
    }
    is(visit('anna', password('typed-and-wrong')), 401, 'one that is wrong');
    ok($s->graceful, 'a restart');
    is(visit('anna', 'of-the-directory'), 200, 'outlived by the passwords');

    my %files = map { $_ => slurp("$_") } $s->dir . '/error_log', $s->dir . '/access_log', $s->dir . '/audit_log';
    $files{store} = $s->store_bytes;
    like($files{ $s->dir . '/error_log' }, qr/auth_basic|scim:/, 'there is an error log');
    like($files{ $s->dir . '/access_log' }, qr/users\.patch .* password /, 'the access log says what changed');
    like($files{ $s->dir . '/audit_log' }, qr/"password"/, 'and so does the audit log');
    like($files{store}, qr/\$2y\$10\$/, 'there are hashes in the store');
    for my $secret (@said, $s->token, $other[1] =~ s/Bearer //r) {
        my @found = grep { index($files{$_}, $secret) >= 0 } sort keys %files;
        is("@found", '', 'found nowhere: ' . substr $secret, 0, 20);
    }
};

subtest 'several in one Bulk job' => sub {
    my %new = map { $_ => password("bulk-password-of-$_") } qw(b1 b2 b3);
    my @operations = map { { method => 'POST', path => '/Users', bulkId => $_, data => user($_, password => $new{$_}) } } sort keys %new;
    my $before = () = slurp($s->dir . '/audit_log') =~ /users\.create/g;
    my $r = $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@operations });
    is(join(' ', map { $_->{status} } @{ $r->json->{Operations} }), '201 201 201', 'created');
    is(visit($_, $new{$_}), 200, "$_ gets in") for sort keys %new;
    is(visit('b1', $new{b2}), 401, 'by no other password');
    my $after = () = slurp($s->dir . '/audit_log') =~ /users\.create/g;
    is($after - $before, 3, 'one line each in the audit log');
    is(($s->scimctl('verify'))[0], 0, 'scimctl verify finds the store whole');
};

subtest 'a row that is damaged' => sub {
    my $word = password('damaged-in-the-file');
    my %before = hashes();
    made($s, '/Users', user('eve', password => $word));
    my %after = hashes();
    my ($row) = grep { !$before{$_} } keys %after;
    $s->alter_store($row, substr($row, 0, 40) . '!' . substr($row, 41));
    is(visit('eve', $word), 500, 'is an error, not an answer');
    is(visit('zoe', 'of-zoe'), 200, 'of that user only');
    $s->expect_log(qr/SCIM1411: .* cannot be read/);
};

$s->allow_log(qr/AH0161[478]/);
$s->log_clean;

# The same httpd without a store, which its configuration always has.
{
    no warnings 'redefine';
    my $write = \&Scim::Httpd::_write_httpd_conf;
    local *Scim::Httpd::_write_httpd_conf = sub {
        my ($self) = @_;
        $write->($self);
        my $text = slurp("$self->{dir}/httpd.conf") =~ s/^SCIMStore .*\n//mr;
        open my $out, '>:raw', "$self->{dir}/httpd.conf" or die "httpd.conf: $!\n";
        print $out $text;
        close $out or die "httpd.conf: $!\n";
    };
    $s = Scim::Httpd->new(
        modules => ['auth_basic'],
        files => { 'site/page.txt' => "site\n" },
        locations => site('/site', 'scim'),
    );
    is(visit('anna', 'x'), 500, 'without a SCIMStore nobody gets in');
    $s->expect_log(qr/SCIM1412: .* no SCIMStore/, qr/SCIM1319: AuthBasicProvider scim at line/);
    $s->log_clean;
}
done_testing();
