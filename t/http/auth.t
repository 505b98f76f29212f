#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Who may: tokens, scopes, tenants, and configurations that forget to ask.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha1_base64);
use IO::Socket::INET;
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

my $NOBODY = '01900000-0000-7000-8000-000000000000';
my $UNKNOWN = 'mscim_' . 'a' x 43 . '0N9lHz'; # with the checksum that belongs to it

# An endpoint whose lines of authentication are these alone.
sub asking
{
    my ($base, @lines) = @_;
    return join "\n", qq(<Location "$base">), 'SCIMEngine On', @lines, "</Location>\n";
}

my @bearer = ('AuthType Bearer', 'AuthName SCIM');
my %careless = (
    '/granted' => [@bearer, 'Require all granted'],
    '/any' => [@bearer, '<RequireAny>', 'Require valid-user', 'Require all granted', '</RequireAny>'],
    '/nothing' => [],
    '/granted-only' => ['Require all granted'],
    '/no-type' => ['Require valid-user'],
    '/no-require' => [@bearer],
    '/digest' => ['AuthType Digest', 'AuthName SCIM', 'Require valid-user'],
    '/digest-granted' => ['AuthType Digest', 'AuthName SCIM', 'Require all granted'],
    '/none' => ['AuthType None', 'Require all granted'],
);

my $s = Scim::Httpd->new(
    start => 0,
    modules => [qw(authz_host auth_basic authn_file)],
    files => { people => 'bjensen:{SHA}' . sha1_base64('secret') . "=\n" },
    conf => join('', map { asking($_, @{ $careless{$_} }) } sort keys %careless)
        . asking('/denied', @bearer, '<RequireAll>', 'Require valid-user', 'Require ip 192.0.2.1', '</RequireAll>')
        . asking('/denied-all', @bearer, 'Require all denied')
        . asking('/connection', @bearer, 'Require user entra')
        . asking('/realm', 'AuthType Bearer', 'AuthName "Say \"friend\""', 'Require valid-user')
        . asking('/person', 'AuthType Basic', 'AuthName People', 'AuthUserFile htdocs/people', 'Require valid-user')
        . endpoint('/pinned', 'SCIMTenant other')
        . endpoint('/expression', 'SCIMTenant %{HTTP:X-Tenant}')
        . join('', map { qq(ErrorDocument $_ "own page $_"\n) } 400, 401, 403, 404, 405, 413, 500)
        . "ErrorDocument 415 /hello.txt\n",
);
my ($code) = $s->scimctl('tenant', 'create', 'other');
die "no second tenant\n" if $code;
my $expired = $s->new_token(connection => 'short', expires => '1s');
my $expired_at = time + 2;
my $reader = $s->new_token(connection => 'reader', scope => 'read');
my $writer = $s->new_token(connection => 'writer', scope => 'write');
my $other = $s->new_token(tenant => 'other', connection => 'theirs');
$s->start;
my $made = made($s, '/Users', user('bjensen'));
my $path = "/Users/$made->{id}";

sub bearer
{
    my ($token) = @_;
    return (authorization => "Bearer $token");
}

# One test: a 401 with this error in its challenge, or none.
sub is_challenge
{
    my ($r, $error, $name) = @_;
    is_error($r, 401, undef, $name);
    is($r->header('www-authenticate'), 'Bearer realm="SCIM"' . ($error ? ", error=\"$error\"" : ''), "$name: the challenge");
}

subtest 'C-014 without credentials everything is 401' => sub {
    for my $request (['GET', '/Users'], ['GET', $path], ['POST', '/Users', user('x')], ['PUT', $path, user('x')], ['PATCH', $path, ops()],
        ['DELETE', $path], ['GET', '/Nothing'], ['DELETE', '/Users'], ['GET', "/Users/$NOBODY"], ['POST', '/Users', '{'], ['GET', '/'],
        ['GET', '/Schemas'], ['POST', '/Bulk', {}])
    {
        my ($method, $url, $body) = @$request;
        is_challenge($s->request($method, $url, $body, authorization => undef), undef, "$method $url");
    }
    is($s->get($path)->status, 200, 'nothing has changed');
};

subtest 'C-015 a header that holds no bearer token is 401' => sub {
    my $token = $s->token;
    for my $header ('', 'Bearer', 'Bearer ', 'Bearer    ', "Basic dXNlcjpwYXNz", "Basic $token", $token, "Token $token", "Bearer=$token",
        "Bearer\t$token", "BearerX $token", 'Negotiate x', ', Bearer x', "\"Bearer $token\"", "Digest username=\"Bearer $token\"")
    {
        is_challenge($s->get($path, authorization => $header), undef, $header =~ s/\Q$token\E/TOKEN/r);
    }
};

subtest 'C-015 a token that is unknown is 401 invalid_token' => sub {
    my $token = $s->token;
    my @tokens = ($UNKNOWN, 'x', 'mscim_', 'undefined', 'null', '*', "$token ", "$token.", "${token}x", substr($token, 0, -1), uc $token,
        $token =~ s/mscim_//r, $token =~ s/^mscim_\K(.)/$1 eq 'x' ? 'y' : 'x'/er, "$token,$token", "$token $token",
        "\"$token\"", "<$token>",
        'eyJhbGciOiJub25lIn0.e30.', "' or 1=1 --", 'x' x 7000, '..', '/../', "t=$token", ('mscim_' . '0' x 49));
    for my $one (@tokens) {
        next if $one =~ / $/; # httpd drops a space at the end
        is_challenge($s->get($path, bearer($one)), 'invalid_token', substr $one =~ s/\Q$token\E/TOKEN/gr, 0, 30);
    }
    is_challenge($s->get($path, bearer("\xe4\xf6"), host => 'x'), 'invalid_token', 'bytes that are no text');
    like($s->get($path, bearer($_))->json->{detail}, qr/no whole token/, 'a part of one, the detail') for substr($token, 0, -1), "\"$token\"";
    like($s->get($path, bearer($UNKNOWN))->json->{detail}, qr/not known/, 'a whole one, the detail');
    my $auth = "Authorization: Bearer $token\r\n";
    my $r = $s->raw("GET /scim/v2$path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$auth$auth\r\n");
    is_challenge($r, 'invalid_token', 'two headers, good as each is');
};

subtest 'C-015 the scheme is Bearer in any case' => sub {
    is($s->get($path, authorization => "$_" . $s->token)->status, 200, $_) for 'Bearer ', 'bearer ', 'BEARER ', 'Bearer  ';
};

subtest 'C-015 C-016 a token without the scope is 403 insufficient_scope, before all else' => sub {
    my $no = sub {
        my ($r, $name) = @_;
        is_error($r, 403, undef, $name);
        like($r->header('www-authenticate'), qr/^Bearer realm="SCIM", error="insufficient_scope"/, "$name: the challenge");
    };
    my @read = bearer($reader);
    is($s->get($_, @read)->status, 200, "GET $_") for $path, '/Users', '/Groups', '/Schemas', '/ServiceProviderConfig';
    is_error($s->get("/Users/$NOBODY", @read), 404, undef, 'reading what is not there');
    for my $body (user('new'), '{', '', user('bjensen')) {
        $no->($s->post('/Users', $body, @read), 'POST');
        $no->($s->put($path, $body, @read), 'PUT');
        $no->($s->put("/Users/$NOBODY", $body, @read), 'PUT of what is not there');
        $no->($s->patch($path, $body, @read), 'PATCH');
    }
    $no->($s->post('/Users', user('new'), @read, 'content-type' => 'text/plain'), 'POST of another type');
    $no->($s->put($path, user('x'), @read, 'if-match' => 'W/"0"'), 'PUT with a stale If-Match');
    $no->($s->delete($path, @read), 'DELETE');
    $no->($s->delete("/Users/$NOBODY", @read), 'DELETE of what is not there');
    $no->($s->get($_, bearer($writer)), "GET $_ by a writer") for $path, '/Users', "/Users/$NOBODY", '/Users?count=x';
    is($s->post('/Users', user('written'), bearer($writer))->status, 201, 'a writer writes');
    is_deeply($s->get($path)->json, $made, 'nothing has changed');
};

subtest 'C-015 an expired token is 401 invalid_token' => sub {
    sleep 0.1 while time < $expired_at;
    my $r = $s->get($path, bearer($expired));
    is_challenge($r, 'invalid_token', 'a request');
    like($r->json->{detail}, qr/expired/, 'the detail says so');
};

subtest 'C-015 C-314 a revoked token is refused from the next request on, in every process' => sub {
    my $token = $s->new_token(connection => 'leaked');
    my $staying = $s->new_token(connection => 'leaked2');
    my $request = "GET /scim/v2$path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n";
    my @open = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) } 1 .. 8;
    my $ask = sub {
        my ($socket) = @_;
        syswrite $socket, $request;
        my $got = '';
        my $response;
        while (!($response = Scim::Httpd::Response->parse($got, 0))) {
            sysread($socket, $got, 65536, length $got) or return 'closed';
        }
        return $response->status;
    };
    is(join(' ', map { $ask->($_) } @open), join(' ', (200) x 8), 'it is good on eight connections');
    my ($revoked) = $s->scimctl('token', 'revoke', '--tenant', 'default', '--connection', 'leaked');
    is($revoked, 0, 'revoked');
    is(join(' ', map { $ask->($_) } @open), join(' ', (401) x 8), 'on the same connections it is refused');
    is($s->get($path, bearer($staying))->status, 200, 'another is not');
};

subtest 'C-313 a token of another tenant is as an unknown one' => sub {
    my $users = $s->url('/pinned/Users');
    my $unknown = $s->get($users, bearer($UNKNOWN));
    my $foreign = $s->get($users);
    is_challenge($unknown, 'invalid_token', 'unknown');
    is_challenge($foreign, 'invalid_token', 'of another tenant');
    is($foreign->content, $unknown->content, 'in the same words');
    is($s->get($users, bearer($other))->json->{totalResults}, 0, 'its own is good');
    is_challenge($s->get($s->url('/pinned/ServiceProviderConfig')), 'invalid_token', 'at the anonymous path, too');
    my $by_header = $s->url('/expression/Users');
    is($s->get($by_header, 'x-tenant' => 'default')->status, 200, 'an expression that names it');
    is_challenge($s->get($by_header, 'x-tenant' => $_), 'invalid_token', "an expression: $_")
        for 'other', '', 'nobody', 'DEFAULT', 'default/';
    is_challenge($s->get($by_header), 'invalid_token', 'an expression that gives nothing');
    is_error($s->get($path, bearer($other)), 404, undef, 'elsewhere it does not see the resource of the first');
};

subtest 'C-271 the anonymous path is for those without a token' => sub {
    my $url = '/ServiceProviderConfig';
    is($s->get($url, authorization => undef)->status, 200, 'none');
    is($s->get($url)->status, 200, 'a good one');
    is_challenge($s->get($url, bearer($UNKNOWN)), 'invalid_token', 'a bad one');
    is_challenge($s->get($url, bearer($expired)), 'invalid_token', 'an expired one');
    is_challenge($s->get($url, authorization => 'Basic eDp5'), undef, 'none, but something else');
    is_error($s->get($s->url("/denied$url"), authorization => undef), 403, undef, 'what the configuration denies stays denied');
    is_error($s->get($s->url("/denied-all$url"), authorization => undef), 403, undef, 'to all');
};

subtest 'C-014 a configuration that forgets to ask opens nothing' => sub {
    # The administrator is told that nobody asks, or that nobody can.
    $s->expect_log(qr/SCIM1322: SCIMEngine On at line \d+ of .*: nobody is asked for a token/);
    $s->expect_log(map({ qr/SCIM1103: the endpoint $_ has no AuthType Bearer: add/ } grep { !/granted$|any|no-require/ || /digest/ } sort keys %careless),
        qr/AH01627: AuthType configured with no corresponding authorization/);
    for my $base (sort keys %careless) {
        my $own = $base =~ m{^/(?:granted|any)$};
        for my $request (['GET', '/Users'], ['GET', $path], ['POST', '/Users', user('intruder')], ['DELETE', $path], ['GET', '/Schemas']) {
            my ($method, $url, $body) = @$request;
            for my $header (undef, "Bearer $UNKNOWN", 'Basic eDp5') {
                my $r = $s->request($method, $s->url("$base$url"), $body, authorization => $header);
                is_error($r, $own ? 401 : 500, undef, "$base: $method $url with " . ($header // 'nothing'));
            }
        }
    }
    is_challenge($s->get($s->url("$_/Users"), authorization => undef), undef, $_) for '/granted', '/any';
    is($s->get($s->url("$_$path"))->status, 200, "$_: a good token is good") for '/granted', '/any';
    is($s->get('/Users?filter=' . esc('userName eq "intruder"'))->json->{totalResults}, 0, 'nobody came in');
};

subtest 'C-014 the login of a person opens nothing' => sub {
    # bjensen:secret
    my @login = (authorization => 'Basic YmplbnNlbjpzZWNyZXQ=');
    my $refused = sub {
        my ($r, $name) = @_;
        is_error($r, 401, undef, $name);
        is($r->header('www-authenticate'), 'Bearer realm="People"', "$name: the challenge");
    };
    $refused->($s->get($s->url("/person$_"), @login), $_) for '/Users', $path, '/Schemas', '/Bulk';
    $refused->($s->post($s->url('/person/Users'), $_, @login), 'POST') for user('intruder'), '{';
    $refused->($s->delete($s->url("/person$path"), @login), 'DELETE');
    is_error($s->get($s->url('/person/Users'), authorization => undef), 401, undef, 'without it httpd asks');
};

subtest 'C-008 what httpd denies is told as SCIM, whatever ErrorDocument says' => sub {
    $s->expect_log(qr/AH01630: client denied by server configuration/, qr/AH01631: user test: authorization failure/);
    is_error($s->get($s->url('/denied/Users')), 403, undef, 'Require ip');
    is_error($s->get($s->url('/denied/Users'), authorization => undef), 403, undef, 'Require ip, without a token');
    is_error($s->get($s->url('/denied-all/Users')), 403, undef, 'Require all denied');
    is_error($s->get($s->url('/connection/Users')), 401, undef, 'Require user');
    is($s->get($s->url('/connection/Users'), bearer($s->new_token(connection => 'entra')))->status, 200, 'Require user: the connection');
    is_error($s->get('/Users/%2F'), 404, undef, 'not found');
    is_error($s->post('/Users', 'x', 'content-type' => 'text/plain'), 415, undef, 'another type');
    is_error($s->get('/Users', authorization => undef), 401, undef, 'no token');
    is($s->get($s->url('/none-such'))->content, 'own page 404', 'elsewhere it stands');
    my $challenge = $s->get($s->url('/realm/Users'), authorization => undef)->header('www-authenticate');
    is($challenge, 'Bearer realm="Say \"friend\""', 'a realm with quotes');
};

$s->log_clean;
done_testing();
