#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# SCIMConnection: whom another authentication than a token of ours lets in, and
# whom it does not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha1_base64);
use MIME::Base64 qw(encode_base64);
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;
use Time::HiRes qw(sleep);

my $NOBODY = '01900000-0000-7000-8000-000000000000';
my $UNKNOWN = 'mscim_' . 'a' x 43 . '0N9lHz'; # with the checksum that belongs to it

sub asking
{
    my ($base, @lines) = @_;
    return join "\n", qq(<Location "$base">), 'SCIMEngine On', @lines, "</Location>\n";
}

my @basic = ('AuthType Basic', 'AuthName IdP', 'AuthBasicProvider file', 'AuthUserFile htdocs/people');
my @login = (@basic, 'Require valid-user');
my @bearer = ('AuthType Bearer', 'AuthName SCIM', 'Require valid-user');
my $user = 'SCIMConnection %{REMOTE_USER}';
my $header = 'SCIMConnection %{HTTP:X-Client}';

my $tls = Scim::Tls->new;
$tls->certificate('entra', subject => '/O=Example/CN=entra');
$tls->certificate('odd', subject => '/CN=Ann Example');
$tls->certificate('nameless', subject => '/O=Example');
my $cert = 'SCIMConnection %{SSL_CLIENT_S_DN_CN}';
my $loose = Scim::Tls->new;
$loose->certificate('forged', subject => '/CN=entra', ca => 'somebody');

my $s = Scim::Httpd->new(
    start => 0,
    modules => [qw(authz_host auth_basic authn_file access_compat rewrite ssl socache_shmcb)],
    files => {
        people => join('', map { "$_:{SHA}" . sha1_base64("$_-pw") . "=\n" } 'okta', 'entra', 'o@b', 'anna'),
        'jump/.htaccess' => "RewriteEngine On\nRewriteRule ^(.*)\$ /\$1\n",
    },
    conf => join('',
        asking('/basic', @login, $user),
        asking('/read', @login, "$user read"),
        asking('/write', @login, "$user write"),
        asking('/both', @login, "$user read,write"),
        asking('/fixed', @login, 'SCIMConnection idp'),
        asking('/header', @login, $header),
        asking('/other', @login, $user, 'SCIMTenant other'),
        asking('/nowhere', @login, $user, 'SCIMTenant nobody'),
        asking('/expr', @login, $user, 'SCIMTenant %{HTTP:X-Tenant}'),
        asking('/granted', @basic, 'Require all granted', $user),
        asking('/granted-fixed', @basic, 'Require all granted', 'SCIMConnection idp'),
        asking('/satisfy', @login, 'Order allow,deny', 'Allow from all', 'Satisfy Any', 'SCIMConnection idp'),
        asking('/limited', @login, $user, 'SCIMRateLimit 1/min burst=2'),
        asking('/bearer', @bearer, $header),
        asking('/bearer-fixed', @bearer, 'SCIMConnection idp'),
        asking('/bearer-user', @bearer, $user),
        asking('/none', 'Require all granted', $header),
        asking('/none-fixed', 'Require all granted', 'SCIMConnection idp'),
        asking('/none-type', 'AuthType None', 'Require all granted', $header),
        asking('/none-satisfy', 'Order allow,deny', 'Allow from all', 'Satisfy Any', $header),
        asking('/secret', q(Require expr "%{HTTP:X-Secret} == 'sesame'"), $header),
        asking('/digest', 'AuthType Digest', 'AuthName SCIM', 'Require valid-user', $header),
        $tls->host('SSLVerifyClient optional',
            asking('/cert', 'Require ssl-verify-client', $cert),
            asking('/cert-granted', 'Require all granted', $cert),
            asking('/cert-fixed', 'Require all granted', 'SCIMConnection idp'),
            asking('/cert-bearer', @bearer, $cert),
            asking('/cert-named', 'SSLOptions +StdEnvVars', 'SSLUserName SSL_CLIENT_S_DN_O', 'Require user Example', $cert)),
        $loose->host('SSLVerifyClient optional_no_ca',
            asking('/cert', 'Require all granted', $cert),
            asking('/cert-fixed', 'Require all granted', 'SCIMConnection idp'),
            asking('/cert-bearer', @bearer, $cert),
            asking('/cert-named', 'SSLUserName SSL_CLIENT_S_DN_CN', 'Require valid-user', 'SCIMConnection %{REMOTE_USER}'))),
);
my ($code) = $s->scimctl('tenant', 'create', 'other');
die "no second tenant\n" if $code;
my $other = $s->new_token(tenant => 'other', connection => 'theirs');
my $reader = $s->new_token(connection => 'reader', scope => 'read');
$s->start;
my $made = made($s, '/Users', user('anna'));
my $path = "/Users/$made->{id}";

sub as
{
    my ($name, %more) = @_;
    return (authorization => 'Basic ' . encode_base64("$name:$name-pw", ''), %more);
}

sub bearer
{
    my ($token, %more) = @_;
    return (authorization => "Bearer $token", %more);
}

my @nobody = (authorization => undef);

# What the access log tells of the request that was answered last: tenant,
# connection and operation.
sub logged
{
    my ($pattern) = @_;
    for (1 .. 500) {
        return 1 if grep { $_ =~ $pattern } ($s->access_log)[-1];
        sleep 0.01;
    }
    return !diag(($s->access_log)[-1]);
}

subtest 'C-014 a login that is mapped is a connection' => sub {
    my $r = $s->get($s->url("/basic$path"), as('okta'));
    is($r->status, 200, 'GET');
    is($r->json->{userName}, 'anna', 'of the tenant default');
    ok(logged(qr/ 200 .* tenant=default connection=okta op=users\.get id=\Q$made->{id}\E /), 'the access log tells which');
    is($s->post($s->url('/basic/Users'), user('bob'), as('okta'))->status, 201, 'POST');
    ok(logged(qr/ 201 .* tenant=default connection=okta op=users\.create /), 'the access log, too');
    is($s->get($s->url('/basic/Users'), as('entra'))->status, 200, 'another login');
    ok(logged(qr/connection=entra op=users\.list /), 'is another');
    is($s->get($s->url('/fixed/Users'), as('anna'))->status, 200, 'all logins as one');
    ok(logged(qr/connection=idp op=users\.list /), 'by its name');
    is($s->get($s->url('/other/Users'), as('okta'))->json->{totalResults}, 0, 'SCIMTenant says in which tenant');
    ok(logged(qr/tenant=other connection=okta /), 'that the access log names');
    is($s->get($s->url('/expr/Users'), as('okta'), 'x-tenant' => 'other')->json->{totalResults}, 0, 'an expression, too');
    is($s->get($s->url('/basic/ServiceProviderConfig'), $_ ? as('okta') : @nobody)->status, 200, 'discovery ' . ($_ ? 'with a login' : 'without'))
        for 0, 1;
};

subtest 'C-014 who is not logged in is asked to, by what asks there' => sub {
    for my $base (qw(/basic /read /fixed /header /other /nowhere /granted /granted-fixed)) {
        for my $headers ([@nobody], [as('okta', authorization => 'Basic b2t0YTp3cm9uZw==')], [bearer($s->token)], ['x-client' => 'okta', @nobody]) {
            for my $request (['GET', '/Users'], ['DELETE', $path], ['POST', '/Users', user('intruder')]) {
                my ($method, $url, $body) = @$request;
                my $r = $s->request($method, $s->url("$base$url"), $body, @$headers);
                is_error($r, 401, undef, "$method $base$url");
                like($r->header('www-authenticate') // '', qr/^Basic realm="IdP"/, "$method $base$url: the challenge");
            }
        }
    }
    $s->allow_log(qr/AH0161[478]/); # httpd tells of wrong passwords
    is($s->get($s->url("$_$path"), as('okta'))->status, 200, "$_: with it, all is well") for qw(/granted /granted-fixed);
};

subtest 'C-014 where access is enough for httpd, it is not for SCIM' => sub {
    for my $base (qw(/satisfy /none-satisfy)) {
        for my $headers ([@nobody], ['x-client' => 'okta', @nobody], [as('okta')], [bearer($s->token)]) {
            is_error($s->get($s->url("$base/Users"), @$headers), 401, undef, "$base: Satisfy Any");
            is_error($s->delete($s->url("$base$path"), @$headers), 401, undef, "$base: DELETE");
        }
    }
};

subtest 'C-015 C-016 what the connection may' => sub {
    my $refused = sub {
        my ($r, $may, $name) = @_;
        is_error($r, 403, undef, $name);
        like($r->json->{detail}, qr/connection okta may not $may this directory/, "$name: the detail");
        is($r->header('www-authenticate'), undef, "$name: no other token would do");
    };
    is($s->get($s->url("/read$path"), as('okta'))->status, 200, 'read: GET');
    $refused->($s->post($s->url('/read/Users'), $_, as('okta')), 'change', 'read: POST') for user('x'), '{';
    $refused->($s->put($s->url("/read$path"), user('x'), as('okta')), 'change', 'read: PUT');
    $refused->($s->patch($s->url("/read$path"), ops(['add', 'title', 'x']), as('okta')), 'change', 'read: PATCH');
    $refused->($s->delete($s->url("/read$path"), as('okta')), 'change', 'read: DELETE');
    is($s->post($s->url('/write/Users'), user('written'), as('okta'))->status, 201, 'write: POST');
    $refused->($s->get($s->url("/write$path"), as('okta')), 'read', 'write: GET');
    is($s->patch($s->url("/both$path"), ops(['add', 'title', 'x']), as('okta'))->status, 200, 'read,write: PATCH');
    is($s->get($s->url("/both$path"), as('okta'))->json->{title}, 'x', 'read,write: GET');
};

subtest 'C-014 a login that is mapped to nobody' => sub {
    for my $request (['GET', '/Users'], ['GET', $path], ['GET', '/Nothing'], ['OPTIONS', '/Users'], ['POST', '/Users', '{'], ['DELETE', $path]) {
        my ($method, $url, $body) = @$request;
        my $r = $s->request($method, $s->url("/header$url"), $body, as('okta'));
        is_error($r, 403, undef, "$method $url");
        like($r->json->{detail}, qr/login "okta" is mapped to no connection.*SCIMConnection/, "$method $url: the detail");
    }
    is($s->get($s->url('/header/ServiceProviderConfig'), as('okta'))->status, 200, 'sees what all see');
    is($s->get($s->url('/header/Me'), as('anna'))->json->{id}, $made->{id}, 'and itself');
    is_error($s->get($s->url('/header/Me'), as('anna', 'x-client' => 'okta')), 501, undef, 'a connection is no person');
};

subtest 'C-014 names that no connection can have' => sub {
    for my $name ('a b', 'o@b', 'a/b', '"', "\xc3\xa4", "\xe4", 'x' x 65, '../x', 'a,b', '%00') {
        my @raw = $name =~ /[^ -~]/ ? (host => 'x') : (); # HTTP::Tiny sends no such bytes
        my $r = $s->get($s->url('/header/Users'), as('okta', 'x-client' => $name), @raw);
        is_error($r, 403, undef, $name);
        like($r->json->{detail}, qr/the name of a connection is 1 to 64 of/, "$name: the detail");
    }
    is_error($s->get($s->url('/basic/Users'), as('o@b')), 403, undef, 'a login with an @');
    is($s->get($s->url('/header/Users'), as('okta', 'x-client' => $_))->status, 200, $_) for 'a.b-c_d', 'x' x 64, '0';
};

subtest 'C-014 a tenant that is not there' => sub {
    my $r = $s->get($s->url('/nowhere/Users'), as('okta'));
    is_error($r, 403, undef, 'named');
    like($r->json->{detail}, qr/no tenant "nobody" .*SCIMTenant.*scimctl tenant create/, 'the detail says what to do');
    is_error($s->get($s->url('/expr/Users'), as('okta', 'x-tenant' => $_)), 403, undef, "by an expression: $_") for '', 'OTHER', 'a b', '*', 'x' x 300;
    is_error($s->get($s->url('/expr/Users'), as('okta')), 403, undef, 'by an expression that gives nothing');
};

subtest 'C-014 C-015 beside tokens: who sends credentials is judged by them' => sub {
    my $users = $s->url('/bearer/Users');
    is($s->get($users, 'x-client' => 'okta', @nobody)->status, 200, 'without any the request is mapped');
    ok(logged(qr/tenant=default connection=okta op=users\.list/), 'to that connection');
    is($s->get($users)->status, 200, 'a token');
    ok(logged(qr/tenant=default connection=test op=users\.list/), 'is its own');
    is($s->get($users, bearer($s->token, 'x-client' => 'okta'))->status, 200, 'with both');
    ok(logged(qr/connection=test op=users\.list/), 'it is the token');
    is_error($s->post($users, user('x'), bearer($reader, 'x-client' => 'okta')), 403, undef, 'and what that may');
    is($s->get($users, bearer($other, 'x-client' => 'okta'))->json->{totalResults}, 0, 'in its tenant');
    for my $headers ([bearer($UNKNOWN)], [as('okta')], [authorization => 'Bearer'], [authorization => ''], [bearer($s->token . 'x')]) {
        is_error($s->get($users, @$headers, 'x-client' => 'okta'), 401, undef, "what is no token is no reason to look elsewhere: $headers->[1]");
    }
    for my $base (qw(/bearer /bearer-fixed /bearer-user)) {
        my $r = $s->get($s->url("$base/Users"), @nobody);
        is_error($r, 401, undef, "$base: nothing that names anybody");
        is($r->header('www-authenticate'), 'Bearer realm="SCIM"', "$base: the challenge");
        is($s->get($s->url("$base/Users"))->status, 200, "$base: a token");
    }
    is($s->get($s->url('/bearer/ServiceProviderConfig'), @nobody)->status, 200, 'discovery needs nothing');
};

subtest 'C-014 where nothing else asks, the expression does' => sub {
    for my $base (qw(/none /none-type)) {
        is($s->get($s->url("$base/Users"), 'x-client' => 'okta', @nobody)->status, 200, "$base: a name");
        ok(logged(qr/connection=okta op=users\.list/), "$base: the access log");
        is_error($s->get($s->url("$base/Users"), @$_), 401, undef, "$base: none") for [@nobody], [], [as('okta')];
        is_error($s->get($s->url("$base/Users"), 'x-client' => 'a b', @nobody), 403, undef, "$base: one that cannot be");
    }
    is_error($s->get($s->url('/none-fixed/Users'), @$_), 401, undef, 'one name for the whole world is none') for [@nobody], [], ['x-client' => 'okta', @nobody];
    my @named = ('x-client' => 'okta', @nobody);
    is($s->get($s->url('/secret/Users'), @named, 'x-secret' => 'sesame')->status, 200, 'Require expr');
    is_error($s->get($s->url('/secret/Users'), @named), 403, undef, 'Require expr that does not hold');
    $s->expect_log(qr{AH01630: client denied by server configuration: scim:/secret/Users});
    is_error($s->get($s->url('/digest/Users'), @named), 500, undef, 'an AuthType that nobody serves');
    $s->expect_log(qr{SCIM1103: the endpoint /digest has no AuthType Bearer}, qr{SCIM1314: SCIMTenant nobody at line});
};

subtest 'C-014 a redirect inside the server is asked as well' => sub {
    is($s->get($s->url('/jump/basic/Users'), as('okta'))->status, 200, 'with a login');
    is_error($s->get($s->url('/jump/basic/Users'), @nobody), 401, undef, 'without one');
    is_error($s->get($s->url('/jump/none-fixed/Users'), @nobody), 401, undef, 'where nobody asks');
};

subtest 'C-018 the rate of a connection is its own' => sub {
    my $ask = sub {
        my ($name) = @_;
        return join ' ', map { $s->get($s->url('/limited/Users?count=0'), as($name))->status } 1 .. 3;
    };
    is($ask->($_), '200 200 429', $_) for 'okta', 'entra';
    my $r = $s->raw("POST /limited/Users HTTP/1.1\r\nHost: x\r\nAuthorization: " . (as('okta'))[1]
            . "\r\nContent-Type: application/scim+json\r\nContent-Length: 1000000\r\n\r\n{");
    is_error($r, 429, undef, 'answered before the body is there');
    like($r->header('retry-after') // '', qr/^\d+$/, 'Retry-After');
    is($r->header('connection'), 'close', 'and the connection ends');
};

sub cert_get
{
    my ($name, $url, $host, @headers) = @_;
    return ($host // $tls)->get($s, $url, cert => $name, headers => { authorization => undef, @headers });
}

subtest 'C-014 a client certificate' => sub {
    for my $base (qw(/cert /cert-granted /cert-bearer)) {
        my $r = cert_get('entra', "$base$path");
        is($r->status, 200, "$base: the certificate says who");
        is($r->json->{userName}, 'anna', "$base: the user");
        ok(logged(qr/tenant=default connection=entra op=users\.get/), "$base: the access log");
        is_error(cert_get('odd', "$base/Users"), 403, undef, "$base: a name that no connection can have");
        is_error(cert_get('nameless', "$base/Users"), 401, undef, "$base: no name");
        is_error(cert_get(undef, "$base/Users"), $base eq '/cert' ? 403 : 401, undef, "$base: no certificate");
    }
    $s->expect_log(qr{AH01630: client denied by server configuration: scim:/cert/Users});
    is($tls->request($s, 'POST', '/cert/Users', cert => 'entra', headers => { authorization => undef }, body => user('by-cert'))->status, 201, 'POST');
    is(cert_get('odd', '/cert-fixed/Users')->status, 200, 'one name for all who have a certificate');
    is_error(cert_get(undef, '/cert-fixed/Users'), 401, undef, 'and for nobody else');
    is($tls->get($s, '/cert-bearer/Users')->status, 200, 'a token in its place');
    ok(logged(qr/connection=test op=users\.list/), 'is its own');
    is_error($tls->get($s, '/cert-bearer/Users', cert => 'entra', headers => { authorization => "Bearer $UNKNOWN" }), 401, undef, 'a bad one');
    is(cert_get('entra', '/cert-named/Users')->status, 200, 'the user that httpd names stays whom it is');
};

subtest 'C-014 a client certificate that nobody has verified is nobody' => sub {
    for my $base (qw(/cert /cert-fixed /cert-bearer /cert-named)) {
        my $r = cert_get('forged', "$base/Users", $loose);
        is_error($r, 401, undef, "$base: signed by somebody else");
        unlike($r->content, qr/anna/, "$base: it learns nothing");
    }
    is(cert_get(undef, '/cert-fixed/Users', $loose)->status, 401, 'nor is none');
};

subtest 'C-014 a tenant that is suspended' => sub {
    my ($suspended, undef, $err) = $s->scimctl('tenant', 'suspend', 'other');
    is($suspended, 0, 'suspended') or diag($err);
    my $mapped = $s->get($s->url('/other/Users'), as('okta'));
    is_error($mapped, 403, undef, 'a login');
    ok(logged(qr/ 403 .*tenant=other connection=okta /), 'the access log');
    my $by_token = $s->get('/Users', bearer($other));
    is_error($by_token, 403, undef, 'a token');
    is($mapped->content, $by_token->content, 'in the same words');
    is($s->get($s->url('/basic/Users'), as('okta'))->status, 200, 'another tenant is not');
    my ($resumed) = $s->scimctl('tenant', 'resume', 'other');
    is($resumed, 0, 'resumed');
    is($s->get($s->url('/other/Users'), as('okta'))->status, 200, 'and all is as it was');
};

subtest 'C-014 nothing was changed by those who may not' => sub {
    is($s->get($path)->status, 200, 'the user is there');
    is($s->get('/Users?filter=' . esc('userName eq "intruder"'))->json->{totalResults}, 0, 'and no other');
};

# httpd -t must fail and say this.
sub refused
{
    my ($value, @says) = @_;
    my ($status, $output) = Scim::Httpd->configtest(location => "SCIMConnection $value");
    my @missing = grep { index($output, $_) < 0 } @says;
    return ok($status != 0 && !@missing, "SCIMConnection $value") || diag("exit code $status, not said: @missing\n$output");
}

subtest 'a wrong SCIMConnection is told before anything starts' => sub {
    refused($_, 'the name of a connection (1 to 64 of A-Z a-z 0-9 . _ -)') for '"a b"', 'o@b', 'x' x 65, 'a/b';
    refused('%{nothing', 'cannot parse expression');
    refused("okta $_", 'is not read, write or read,write') for 'all', 'readwrite', 'write,read', 'rw';
    refused('okta read write', 'SCIMConnection takes 1-2 arguments');
    my ($status, $output) = Scim::Httpd->configtest(location => join "\n", map { "SCIMConnection $_" } 'okta', '%{REMOTE_USER} read',
        'x WRITE', '"%{REMOTE_USER}-x" read,write');
    is($status, 0, 'right ones') or diag $output;
    ($status, $output) = Scim::Httpd->configtest(conf => 'SCIMConnection okta');
    ok($status != 0 && $output =~ /SCIMConnection is not allowed outside of sections: it belongs in the <Location>/, 'it belongs to a Location');
};

$s->log_clean;
done_testing();
