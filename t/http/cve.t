#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What others' SCIM servers, and modules of httpd, were broken by: each published
# fault is a test that would have found it here.
#
# Those that have no counterpart here, and so no test:
#   GHSA-j8v8-g9cx (better-auth: whoever was logged in rotated tokens without an
#     owner): tokens are made, rotated and revoked by scimctl, whom the file system
#     asks for the right; there is no request that does it.
#   CVE-2026-43640 (Bitwarden: the key read and rotated with a session alone): as
#     above; that tokens cannot be read is tested here.
#   CVE-2019-0211 (httpd: what a child wrote to shared memory was followed by the
#     parent): ours holds counters, which the parent never reads.
#   CVE-2026-24072, -44119, -59797 (httpd: expressions in .htaccess): no directive
#     is allowed there, see config.t.
#   CVE-2024-24814, CVE-2026-54789 (mod_auth_openidc: counts and parsers of cookies),
#     CVE-2021-32792 (its pages): cookies are not looked at, and there are no pages.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256 sha1_base64);
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64 encode_base64url);
use Scim::Body;
use Scim::Httpd;
use Scim::Routes;
use Scim::Site;
use Test::More;

my $UNKNOWN = 'mscim_' . 'a' x 43 . '0N9lHz'; # with the checksum that belongs to it
my $NOBODY = '01900000-0000-7000-8000-000000000000';

my %site = site_args('anna', 'boss');
my $s = Scim::Httpd->new(
    start => 0,
    modules => $site{modules},
    files => $site{files},
    conf => tenant_endpoints()
        . site('/in', 'Require scim-user')
        . site('/guides', 'Require scim-group Guides')
        . endpoint('/forgotten') =~ s/^.*(?:AuthType|AuthName|Require).*\n//mgr
        . endpoint('/granted') =~ s/Require valid-user/Require all granted/r
        . site('/login', 'Require valid-user') =~ s/AuthBasicProvider \w+/AuthBasicProvider scim/r,
);
my ($code) = $s->scimctl('tenant', 'create', 'other');
die "no second tenant\n" if $code;
my @other = (authorization => 'Bearer ' . $s->new_token(tenant => 'other', connection => 'theirs'));
$s->start;

my $anna = made($s, '/Users', user('anna', externalId => 'x-anna', emails => [{ value => 'anna@example.com', primary => \1 }]));
my $boss = made($s, '/Users', user('boss', externalId => '1', emails => [{ value => 'boss@example.com', primary => \1 }]));
my $guides = made($s, '/Groups', group('Guides', $anna->{id}));

# What anonymous requests must never be told.
my $told = qr/\Q$anna->{id}\E|x-anna|anna\@example|boss\@example/;

sub is_untouched
{
    my ($one, $name) = @_;
    my $r = $s->get($one->{meta}{location});
    return is($r->status . ' ' . ($r->header('etag') // ''), "200 $one->{meta}{version}", $name // 'what was there is as it was');
}

# Forty ways to write a path that some part of a server may read as another does.
sub spellings
{
    my ($base, $path) = @_;
    my $hex = sub { join '', map { sprintf '%%%02x', ord } split //, $_[0] };
    my ($last) = $path =~ m{([^/]+)/?$};
    $last //= '';
    my $before = substr $path, 0, length($path) - length $last;
    my ($first, $rest) = $last =~ /^(.?)(.*)/;
    my ($scim, $v2) = ($base =~ m{^/(\w+)/(\w+)$});
    return (
        "$base$path/", "/$base$path", "$base/$path", "$base//$path//", "$base/.$path", "$base/x/..$path", "/./$scim/./$v2$path",
        "/x/../$scim/$v2$path", "/$scim/x/../$v2$path", "$base/%2e$path", "$base/x/%2e%2e$path", "$base/x/%2E%2E$path",
        "/x/%2e%2e/$scim/$v2$path", "/%2e/$scim/$v2$path", '/' . $hex->($scim) . "/$v2$path", "/$scim/" . $hex->($v2) . $path,
        $base . $before . $hex->($last), $base . $before . uc($hex->($last)), "$base$before" . $hex->($first) . $rest,
        $base . $path =~ s{/}{%2f}gr, $base . $path =~ s{/}{%2F}gr, "/$scim%2f$v2$path", "/$scim%2F$v2$path", "/%2f$scim/$v2$path",
        "$base$path%2f", "$base$path%00", "$base%00$path", "$base$path;x", "$base;x$path", "$base;/..$path", "$base$path?", "$base$path?/..;",
        "$base$path%3f", "$base$path%23", "$base$path%20", "$base$path.scim", "$base$path.json", "$base\\" . $path =~ s{^/}{}r, "$base%5c" . $path =~ s{^/}{}r,
        $base . $path =~ s{/}{%252f}gr, "$base/%252e%252e$path", "$base$before%u0055$rest", "$base/ServiceProviderConfig/..$path",
        "$base/ServiceProviderConfig/%2e%2e$path", "$base/ServiceProviderConfig%2f..$path", "$base/ServiceProviderConfig;$path",
        "$base/ServiceProviderConfig%3b/..$path", "/\U$scim\E/$v2$path", "$base/\U$last\E", "$base/%c0%af$path", "$base/%ef%bc%8f$path",
    );
}

subtest 'CVE-2026-32130 CVE-2026-15573 no spelling of a path goes around the token' => sub {
    my (%seen, %statuses, @wrong);
    my $asked = 0;
    for my $route (grep { !$_->{anonymous} } routes()) {
        my ($method, $path, $body) = ($route->{method}, $route->{pattern} =~ s/\{type\}/$route->{endpoint} \/\/ ''/er);
        $path =~ s/\{id\}/$route->{name} =~ m{Groups} ? $guides->{id} : $anna->{id}/e;
        $path =~ s/\{name\}/User/;
        $body = '{}' if $method =~ /^P/;
        my @paths = ("/scim/v2$path", spellings('/scim/v2', $path));
        for my $url (grep { !$seen{"$method $_"}++ } @paths) {
            for my $header (undef, "Bearer $UNKNOWN") {
                my $r = $s->request($method, $s->url($url), $body, authorization => $header);
                $asked++;
                $statuses{ $r->status }++;
                push @wrong, "$method $url: " . $r->status if $r->status !~ /^40[01345]$/ || $r->content =~ $told;
            }
        }
    }
    is(join("\n", @wrong), '', "$asked requests are refused");
    cmp_ok($asked, '>', 40 * 2 * 20, 'of all routes and in forty spellings');
    # So that it is the token that refuses: many of them are good with one.
    my $good = grep { $s->get($s->url($_))->status == 200 } spellings('/scim/v2', '/Users');
    cmp_ok($good, '>', 15, "$good of the spellings of /Users are answered to who has a token");
    cmp_ok($statuses{401}, '>', $asked / 4, 'and such are 401');
    is_untouched($_) for $anna, $boss, $guides;
    $s->allow_log(qr/AH10244: invalid URI path/);
};

subtest 'CVE-2025-4210 no operation is there for everybody' => sub {
    my @open = grep { my ($method, $path, $body) = request_to($s, $_); $s->request($method, $path, $body, authorization => undef)->status != 401 } routes();
    is(join(' ', map { $_->{name} } @open), 'GET /ServiceProviderConfig', 'but the one that RFC 7644 says is');
    my $r = $s->get('/ServiceProviderConfig', authorization => undef);
    unlike($r->content, qr/$told|mscim_|tenant/, 'which tells of nobody');
};

subtest 'CVE-2025-41115 no value that a client sends is an id of ours' => sub {
    my %ids = map { $_->{id} => 1 } $anna, $boss, $guides;
    my $n = 0;
    for my $value ('1', '0', '-1', '01', '1e0', 'admin', 'root', $anna->{id}, $boss->{id}, $guides->{id}, $NOBODY, 'Me', '.search') {
        for my $attribute (qw(externalId userName id)) {
            my $r = $s->post('/Users', { %{ user('minted' . ++$n) }, $attribute => $value });
            is($r->status, 201, "$attribute $value");
            my $id = $r->json->{id};
            ok(!$ids{$id}++, "$attribute $value: the id is new");
            isnt($id, $value, "$attribute $value: and not what was sent");
        }
    }
    for my $value (1, 0, -1, 1.5, \1, [1], { value => 1 }) {
        for my $attribute (qw(externalId userName)) {
            my $r = $s->post('/Users', { %{ user('minted' . ++$n) }, $attribute => $value });
            is_error($r, 400, 'invalidValue', "$attribute that is no text: " . (ref $value || $value));
        }
    }
    is_error($s->get("/Users/$_"), 404, undef, "GET /Users/$_") for qw(1 0 -1 admin boss x-anna), 'anna@example.com';
    is_error($s->patch("/Users/$_", ops(['replace', 'active', \0])), 404, undef, "PATCH /Users/$_") for qw(1 boss x-anna);
    is_untouched($_) for $anna, $boss, $guides;
};

subtest 'CVE-2022-1680 ciso-assistant-4658 tale-2036 nobody is adopted by an address' => sub {
    my $twin = made($s, '/Users', user('twin', emails => [{ value => 'boss@example.com' }]));
    isnt($twin->{id}, $boss->{id}, 'the same address makes another user');
    my $far = made($s, '/Users', user('boss', externalId => '1', emails => [{ value => 'boss@example.com' }]), @other);
    isnt($far->{id}, $boss->{id}, 'in another organisation, too, whatever else is the same');
    my @mail = ops(['replace', 'emails', [{ value => 'mine@example.net', primary => \1 }]]);
    is_error($s->patch("/Users/$boss->{id}", @mail, @other), 404, undef, 'who has the same address cannot change that of the other');
    is($s->patch("/Users/$far->{id}", @mail, @other)->status, 200, 'but its own');
    is($s->delete("/Users/$far->{id}", @other)->status, 204, 'and delete it');
    my $list = $s->get('/Users?filter=' . esc('emails.value eq "boss@example.com"'))->json;
    is($list->{totalResults}, 2, 'two are there who have the address');
    is(enter($s, '/in', 'twin', as('anna')), 200, 'who logs in is who httpd says');
    is_untouched($_) for $anna, $boss, $guides;
};

subtest 'CVE-2026-67330 a token is of one tenant, and uniqueness holds in every way to change' => sub {
    for my $name (qw(default DEFAULT Default default%20 default/ ./default)) {
        my $r = $s->get($s->url("/t/$name/v2/Users"), @other);
        isnt($r->status, 200, "/t/$name is not opened by a token of another");
        unlike($r->content, $told, "/t/$name tells nothing");
    }
    for my $query ('tenant=default', 'SCIMTenant=default', 'provider=default', 'connection=test', "access_token=@{[ $s->token ]}") {
        my $r = $s->get("/Users?$query&filter=" . esc('userName eq "anna"'), @other);
        is($r->json->{totalResults}, 0, 'nor by ' . $query =~ s/=.*//r . ' in the query');
        is($s->get("/Users?$query", authorization => undef)->status, 401, 'which is no token either');
    }
    for my $header (qw(x-tenant x-scim-tenant x-forwarded-user x-remote-user remote-user x-organization-id)) {
        my $r = $s->get('/Users', @other, $header => 'default');
        # What begins so says that a proxy stands in front, and that the transport is not known.
        is($r->status, $header =~ /^x-forwarded/ ? 403 : 200, "a header $header");
        unlike($r->content, $told, "a header $header tells nothing");
    }
    my $path = '/Users/' . made($s, '/Users', user('third'))->{id};
    my %ways = (
        PUT => sub { $s->put($path, user('BOSS')) },
        PATCH => sub { $s->patch($path, ops(['replace', 'userName', 'Boss'])) },
        'PATCH without a path' => sub { $s->patch($path, ops(['replace', undef, { userName => 'boss' }])) },
        'PATCH add' => sub { $s->patch($path, ops(['add', 'userName', 'boss'])) },
        'PATCH, the second of two' => sub { $s->patch($path, ops(['replace', 'userName', 'free'], ['replace', 'userName', 'boss'])) },
        'PATCH by the URN' => sub { $s->patch($path, ops(['replace', "$USER:userName", 'boss'])) },
        POST => sub { $s->post('/Users', user('boss')) },
    );
    is_error($ways{$_}->(), 409, 'uniqueness', "the userName of another: $_") for sort keys %ways;
    for my $operation ({ method => 'PUT', data => user('boss') }, { method => 'PATCH', data => ops(['replace', 'userName', 'boss']) }) {
        my $r = $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => [{ %$operation, path => $path }] });
        is($r->json->{Operations}[0]{status}, '409', "the userName of another: Bulk $operation->{method}");
    }
    is($s->get($path)->json->{userName}, 'third', 'it has the name that it had');
    is_untouched($_) for $anna, $boss, $guides;
};

# A token of the kind that is signed by whoever knows the key, which some server may believe.
sub jwt
{
    my ($header, $claims, $key) = @_;
    my $text = join '.', map { encode_base64url($_) } $header, $claims;
    return "$text." . (defined $key ? encode_base64url(hmac_sha256($text, $key)) : '');
}

subtest 'CVE-2026-46425 what lets a person in does not open SCIM' => sub {
    is(enter($s, '/in', 'anna'), 200, 'anna comes in');
    my ($basic) = (as('anna'))[1];
    my %shown = (
        'her login' => [authorization => $basic],
        'her login of a proxy' => ['proxy-authorization' => $basic],
        'her login in a cookie' => [cookie => "session=$basic; token=@{[ $s->token ]}"],
        'the token in a cookie' => [cookie => "Authorization=Bearer @{[ $s->token ]}"],
        'the token in another header' => ['x-authorization' => 'Bearer ' . $s->token, 'x-api-key' => $s->token],
        'the token of a proxy' => ['proxy-authorization' => 'Bearer ' . $s->token],
        'the token as a password' => [authorization => 'Basic ' . encode_base64('test:' . $s->token, '')],
        'the token as a name' => [authorization => 'Basic ' . encode_base64($s->token . ':', '')],
        'an unsigned JWT' => [authorization => 'Bearer ' . jwt('{"alg":"none"}', '{"sub":"anna","scope":"scim"}')],
        'a JWT of an empty key' => [authorization => 'Bearer ' . jwt('{"alg":"HS256"}', '{"sub":"anna"}', '')],
        'her id' => [authorization => "Bearer $anna->{id}"],
    );
    for my $kind (sort keys %shown) {
        for my $request (['GET', '/Users'], ['GET', "/Users/$anna->{id}"], ['POST', '/Users', user('intruder')], ['DELETE', "/Users/$boss->{id}"],
            ['GET', '/Me'], ['PATCH', '/Me', ops(['replace', 'title', 'x'])])
        {
            my ($method, $path, $body) = @$request;
            my $r = $s->request($method, $path, $body, authorization => undef, @{ $shown{$kind} });
            is_error($r, 401, undef, "$kind: $method $path");
        }
    }
    is_error($s->post('/Users', 'access_token=' . $s->token, authorization => undef, 'content-type' => 'application/x-www-form-urlencoded'),
        401, undef, 'the token in a form');
    my @reader = (authorization => 'Bearer ' . $s->new_token(connection => 'reader', scope => 'read'));
    is_error($s->post('/Users', user('intruder'), @reader), 403, undef, 'a token that may read does not write');
    is_error($s->post('/Users', user('intruder'), @reader, 'x-http-method-override' => 'GET'), 403, undef, 'by no other name of the method');
    is_error($s->get("/Users/$boss->{id}", authorization => undef, 'x-http-method-override' => 'OPTIONS'), 401, undef, 'which nobody has without one');
    is($s->get("/Users/$boss->{id}", @reader, 'x-http-method-override' => 'DELETE')->status, 200, 'a method is what the request line says');
    is_untouched($_) for $anna, $boss, $guides;
};

subtest 'CVE-2026-43640 gitlab-11640 gitlab-435096 a token is shown once, ends, and can be known as one' => sub {
    my ($exit, $out, $err) = $s->scimctl('token', 'create', '--tenant', 'default', '--connection', 'shown');
    my ($token) = $out =~ /(mscim_[0-9A-Za-z]{49})\b/;
    is($exit, 0, 'one is made');
    ok($token, 'of the form that scanners know') || diag($out);
    my @said = map { my ($code, @text) = $s->scimctl(@$_); @text } ['token', 'list', '--tenant', 'default'], ['--json', 'token', 'list', '--tenant', 'default'],
        ['tenant', 'list'], ['verify'], ['help'];
    is(scalar(grep { /\Q@{[ substr $token, 6, 43 ]}\E|mscim_[0-9A-Za-z]{10}/ } @said), 0, 'no command shows it again');
    my @answers = map { my ($method, $path, $body) = request_to($s, $_); $s->request($method, $path, $body)->content } routes();
    is(scalar(grep { /mscim_/ } @answers), 0, 'nor does any route');
    my ($row) = grep { /shown/ } split /\n/, $said[0];
    like($row, qr/\d{4}-\d\d-\d\d/, 'it ends by itself');
};

# Names that are members of every object in the languages that SCIM servers are
# mostly written in.
my @inner = qw(__proto__ constructor constructor.prototype prototype __defineGetter__ toString valueOf hasOwnProperty __class__ __init__ __dict__ __globals__
    __proto__.active __proto__.polluted constructor.name name.__proto__ name.constructor emails.__proto__ emails[0] emails.length emails[type.constructor]
    class classLoader.resources this self);

subtest 'CVE-2026-48170 CVE-2026-61834 paths of a PATCH name what the schema has, and nothing else' => sub {
    my $path = '/Users/' . made($s, '/Users', user('patched', name => { givenName => 'P' }, emails => [{ type => 'work', value => 'p@example.com' }]))->{id};
    my $before = $s->get($path)->json;
    my $harmless = sub {
        my ($r, $name) = @_;
        like($r->status, qr/^(?:20[04]|400)$/, "$name: " . $r->status);
        my $now = $s->get($path);
        is_deeply({ %{ $now->json }, meta => 0 }, { %$before, meta => 0 }, "$name: nothing has changed");
    };
    for my $name (@inner) {
        for my $value ('polluted', { polluted => \1, active => \0 }) {
            for my $op (qw(add replace remove)) {
                $harmless->($s->patch($path, ops([$op, $name, $op eq 'remove' ? () : $value])), "$op $name");
            }
            $harmless->($s->patch($path, ops(['add', undef, { $name => $value }])), "add without a path: $name");
        }
        $harmless->($s->patch($path, ops(['replace', "$USER:$name", 'x'])), "the URN and $name");
        $harmless->($s->patch($path, ops(['replace', "emails[$name eq \"x\"].value", 'x'])), "a filter of $name");
        like($s->get('/Users?filter=' . esc("$name eq \"x\""))->status, qr/^[24]00$/, "a filter: $name");
        like($s->get('/Users?sortBy=' . esc($name))->status, qr/^[24]00$/, "sortBy $name");
        is($s->get("$path?attributes=" . esc($name))->status, 200, "attributes: $name");
    }
    for my $name (qw(id meta meta.version meta.location schemas groups groups.value), "$ENTERPRISE:manager.displayName") {
        my $r = $s->patch($path, ops(['replace', $name, $name =~ /schemas|groups$/ ? ['x'] : 'x']));
        like($r->status, qr/^(?:20[04]|400)$/, "replace $name: " . $r->status);
        my $now = $s->get($path)->json;
        is_deeply([@$now{qw(id schemas)}, $now->{meta}{location}, $now->{groups}], [@$before{qw(id schemas)}, $before->{meta}{location}, undef], "replace $name: it stands");
    }
    is(ref $s->get("/Users/$anna->{id}")->json, 'HASH', 'others are what they were');
    is_untouched($_) for $anna, $boss, $guides;
};

subtest 'CVE-2026-9803 whatever an Authorization header is, it is 401' => sub {
    my $token = $s->token;
    my %zoo = (
        'the scheme alone' => 'Bearer', 'a space' => 'Bearer ', 'a tab' => "bearer\t$token", 'spaces only' => 'Bearer ' . ' ' x 100, 'a comma' => 'Bearer,',
        '8 KB' => 'Bearer ' . 'x' x 8000, 'no token68' => 'Bearer =', 'equals signs' => 'Bearer ' . '=' x 100, 'not ASCII' => "Bearer \xc3\xa9\xff\xfe",
        'quotes' => "Bearer \"$token\"", 'parameters' => "Bearer token=$token", 'two schemes' => "Basic x, Bearer $token", 'Basic' => 'Basic',
        'Basic of nothing' => 'Basic ', 'Basic, no base64' => 'Basic !!!!', 'Basic without a colon' => 'Basic ' . encode_base64('x', ''),
        'Digest' => 'Digest username="x"', 'Negotiate' => 'Negotiate TlRMTVNTUAAB', 'a control character' => "Bearer \x01$token", 'a colon' => ': x', 'a token that ends early' => "Bearer $token\\x00",
    );
    for my $kind (sort keys %zoo) {
        my $r = $s->get('/Users', authorization => $zoo{$kind}, host => 'x');
        $kind eq 'a control character' ? is($r->status, 400, "$kind, which httpd refuses") : is_error($r, 401, undef, $kind);
    }
    my $raw = sub { return $s->raw("GET /scim/v2/Users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$_[0]\r\n\r\n") };
    is_error($raw->("Authorization: Bearer $token\r\nAuthorization: Bearer $token"), 401, undef, 'twice');
    is_error($raw->("Authorization: Bearer $UNKNOWN\r\nAuthorization: Bearer $token"), 401, undef, 'a bad and a good one');
    is_error($raw->('Authorization:'), 401, undef, 'empty');
    is_error($raw->("Authorization: Bearer\r\n $UNKNOWN"), 401, undef, 'folded');
    is($raw->("Authorization: Bearer $token\0")->status, 400, 'a NUL, which httpd refuses');
    is_error($raw->('Authorization: Bearer ' . 'x' x 16_000), 400, undef, '16 KB, which httpd refuses');
};

subtest 'langfuse-16027 a password makes no login where none is asked for, and is told nowhere' => sub {
    my $word = 'Pass-word-of-nobody-7';
    my $r = $s->post('/Users', user('pass', password => $word));
    my $path = '/Users/' . $r->json->{id};
    my $plain = made($s, '/Users', user('plain'));
    is($r->status, 201, 'it is accepted');
    is($s->get($s->url('/login/page.txt'), authorization => 'Basic ' . encode_base64("pass:$word", ''))->status, 401, 'and no login');
    $s->expect_log(qr/SCIM1414: .* no passwords are kept for tenant default/, qr/SCIM1319: AuthBasicProvider scim at line/, qr/AH01618: user pass not found/);
    my @answers = ($r, $s->put($path, user('pass', password => $word)), $s->patch($path, ops(['replace', 'password', $word])),
        $s->get($path), $s->get("$path?attributes=password"), $s->get("$path?attributes=password,userName"), $s->get('/Users?count=1000'),
        $s->get('/Users?attributes=password'), $s->post('/Users/.search', { schemas => ['urn:ietf:params:scim:api:messages:2.0:SearchRequest'], attributes => ['password'] }));
    is(scalar(grep { $_->content =~ /\Q$word\E|"password"|\$2y\$/ } @answers), 0, 'no answer tells it');
    for my $filter (qq(password eq "$word"), qq(password sw "P"), 'password pr', qq(not (password eq "x"))) {
        like($s->get('/Users?filter=' . esc($filter))->status, qr/^40[03]$/, "a filter does not find it out: $filter");
    }
    like($s->get('/Users?sortBy=password')->status, qr/^40[03]$/, 'nor does an order');
    is($answers[3]->header('etag'), $s->patch($path, ops(['replace', 'password', "other $word"]))->header('etag'), 'nor the version');
    my @files = $s->store_bytes, map { slurp($_) } map { $s->dir . "/$_" } qw(error_log access_log);
    is(scalar(grep { /\Q$word\E/ } @files), 0, 'it is in no file');
};

subtest 'vouch-310 atlas-175 the tenant of the token goes with every look-up' => sub {
    for my $path ("/Users/$anna->{id}", "/Groups/$guides->{id}") {
        for my $request (['GET'], ['PUT', user('anna')], ['PATCH', ops(['replace', 'displayName', 'x'])], ['DELETE']) {
            my ($method, $body) = @$request;
            is_error($s->request($method, $path, $body, @other), 404, undef, "$method of another's by its id");
        }
    }
    is($s->get('/Users', @other)->json->{totalResults}, 0, 'a list is of its own');
    is_untouched($_) for $anna, $boss, $guides;
};

subtest 'scim-for-keycloak-8 what is not configured is closed' => sub {
    for my $header (undef, 'Bearer ' . $s->token, (as('anna'))[1]) {
        my $r = $s->get($s->url('/forgotten/Users'), authorization => $header);
        is_error($r, 500, undef, 'without AuthType and Require: nobody, with ' . ($header ? $header =~ s/ .*//r : 'nothing'));
        unlike($r->content, $told, 'and nothing is told');
    }
    $s->expect_log(qr/SCIM1103: the endpoint \/forgotten has no AuthType Bearer: add/, qr/SCIM1322: SCIMEngine On at line/);
    is_error($s->get($s->url('/granted/Users'), authorization => undef), 401, undef, 'Require all granted grants nothing');
};

subtest 'GHSA-9ghh who is disabled is out at once, in every process' => sub {
    my $path = "/Users/$anna->{id}";
    for my $site (qw(/in /guides)) {
        my $ask = sub { my %seen = map { $_ => 1 } parallel(12, sub { delete $s->{http}; enter($s, $site, 'anna') }); return join ' ', sort keys %seen };
        is($ask->(), '200', "$site: in");
        changed($s, $path, ['replace', 'active', \0]);
        is($ask->(), '403', "$site: disabled");
        changed($s, $path, ['replace', 'active', 'True']);
        is($ask->(), '200', "$site: and in again");
    }
    is($s->delete($path)->status, 204, 'deleted');
    is(enter($s, '/in', 'anna'), 403, 'is out, too');
    refusals($s);
};

subtest 'CVE-2026-59115 paths inside requests are as hostile as those outside' => sub {
    for my $path ('/Users/.../...//' . $boss->{id}, '/Users/../Users/' . $boss->{id}, '/../scim/v2/Users/' . $boss->{id}, '/Users/%2e%2e/Users/' . $boss->{id},
        '/Users/' . $boss->{id} . '/..', '//Users/..' . $boss->{id}, 'http://127.0.0.1/scim/v2/Users/' . $boss->{id} . '/x', '/Users/' . $boss->{id} . '%00',
        '/Users/' . $boss->{id} . "\0", '/Users/' . $boss->{id} . '?x', '/Users/' . $boss->{id} . '#x', '\\Users\\' . $boss->{id}, '/Users/' . $boss->{id} . ';x', '/Me', '/Bulk', '', '/')
    {
        my $r = $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],
                Operations => [{ method => 'DELETE', path => $path }, { method => 'PATCH', path => $path, data => ops(['replace', 'active', \0]) }] });
        my @statuses = $r->status == 200 ? map { $_->{status} } @{ $r->json->{Operations} } : $r->status;
        is(scalar(grep { !/^(?:40[0-9]|501)$/ } @statuses), 0, "Bulk: $path: @statuses");
    }
    is_untouched($boss);
};

subtest 'CVE-2026-33007 requests without a path of their own' => sub {
    for my $line ('OPTIONS *', 'GET *', 'CONNECT 127.0.0.1:1', 'GET http://127.0.0.1', 'GET http://127.0.0.1?x', 'OPTIONS http://127.0.0.1/scim/v2', 'GET scim/v2/Users', 'POST *') {
        for my $headers ('', 'Authorization: Bearer ' . $s->token . "\r\n") {
            my $r = $s->raw("$line HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$headers\r\n");
            like($r->status, qr/^(?:20[04]|40[0145])$/, "$line" . ($headers ? ' with a token' : '') . ': ' . $r->status);
            unlike($r->content, $told, "$line: tells nothing");
        }
    }
    $s->allow_log(qr/AH00126: Invalid URI|AH10244|AH02429/);
};

subtest 'CVE-2025-3891 a POST of nothing' => sub {
    for my $path ('/Users', '/Groups', '/Bulk', '/.search', '/Users/.search', '/Me') {
        for my $body (undef, '', ' ', "\0", 'null', '""', '0') {
            my $r = $s->post($path, $body, authorization => undef);
            is_error($r, 401, undef, "$path: without a token");
            $r = $s->post($path, $body);
            like($r->status, qr/^(?:400|403|404|501)$/, "$path: with one: " . $r->status);
        }
    }
};

subtest 'CVE-2024-42516 CVE-2023-38709 CVE-2026-33523 nothing of a client stands in a header of the answer' => sub {
    for my $value ("x\r\nX-Injected: yes", "x\nX-Injected: yes", 'x%0d%0aX-Injected:%20yes', "x\x{2028}X-Injected: yes") {
        for my $r ($s->post('/Users', user("h-$value", externalId => $value)), $s->get('/Users/' . esc($value)), $s->get('/Users?filter=' . esc(qq(userName eq "$value")))) {
            is($r->header('x-injected'), undef, 'no header is added');
            is(scalar(grep { /inject/i } map { ref $_ ? @$_ : $_ } values %{ $r->headers }), 0, 'nor stands in one');
        }
    }
};

$s->log_clean;
done_testing();
