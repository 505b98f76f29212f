#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# HTTP as SCIM speaks it: media types, statuses, the Error body, parameters.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Encode qw(decode FB_CROAK);
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $SCIM = 'application/scim+json';

my $s = Scim::Httpd->new(
    conf => 'LimitRequestLine 20000' . "\n"
        . endpoint('/behind/v2', 'SCIMBaseURL https://idm.example.org/people/'),
    location => 'SCIMRequireTLS Off',
);
my $user = made($s, '/Users', user('bjensen', name => { givenName => "B\x{e4}rbel" }));
my $path = "/Users/$user->{id}";

sub total
{
    return $s->get('/Users?count=0')->json->{totalResults};
}

sub new_name
{
    our $last //= 0;
    return 'user' . ++$last;
}

# What of each kind there is to answer, as [method, path, body].
my @successes = (
    ['GET', $path],
    ['GET', '/Users'],
    ['GET', '/Groups?filter=displayName+eq+"x"'],
    ['POST', '/Users', user(new_name())],
    ['PUT', $path, user('bjensen', name => { givenName => "B\x{e4}rbel" })],
    ['PATCH', $path, ops(['replace', 'title', "F\x{fc}hrerin"])],
    ['GET', '/ServiceProviderConfig'],
    ['GET', '/Schemas'],
    ['GET', '/ResourceTypes/User'],
);
my @failures = (
    ['GET', '/Users/no-such-id', undef, 404],
    ['GET', '/Nothing', undef, 404],
    ['DELETE', '/Users', undef, 405],
    ['POST', '/Users', '{', 400, 'invalidSyntax'],
    ['POST', '/Users', user(''), 400, 'invalidValue'],
    ['POST', '/Users', user('bjensen'), 409, 'uniqueness'],
    ['PATCH', $path, ops(['add', 'nothing', 'x']), 400, 'invalidPath'],
    ['PATCH', $path, ops(['remove']), 400, 'noTarget'],
    ['PATCH', $path, ops(['replace', 'id', 'x']), 400, 'mutability'],
    ['GET', '/Users?filter=userName+is+"x"', undef, 400, 'invalidFilter'],
    ['GET', '/Users?count=many', undef, 400, 'invalidValue'],
    ['GET', '/Schemas?filter=id+pr', undef, 403],
    ['POST', '/Bulk', {}, 400, 'invalidSyntax'],
);

sub is_utf8
{
    my ($response) = @_;
    return defined eval { decode('UTF-8', my $copy = $response->content, FB_CROAK) };
}

subtest 'C-001 every body is UTF-8, labelled application/scim+json without a parameter' => sub {
    for my $request (@successes, @failures) {
        my ($method, $url, $body) = @$request;
        my $r = $s->request($method, $url, $body, accept => $SCIM);
        is($r->header('content-type'), $SCIM, "$method $url: " . $r->status);
        ok(is_utf8($r), "$method $url: UTF-8");
    }
    like($s->get($path)->content, qr/B\xc3\xa4rbel/, 'text is written as UTF-8, not as escapes');
};

sub type_for
{
    my ($accept, $url) = @_;
    my $r = $s->get($url // $path, accept => $accept);
    return $r->status . ' ' . $r->header('content-type');
}

subtest 'C-002 application/json is for those who ask for it alone' => sub {
    is(type_for('application/json'), '200 application/json', 'asked for');
    is(type_for('application/json; charset=utf-8'), '200 application/json', 'with a parameter');
    is(type_for('APPLICATION/JSON'), '200 application/json', 'in capitals');
    is(type_for('text/html, application/json;q=0.5'), '200 application/json', 'beside what is not to be had');
    is(type_for('application/json', '/Users/none'), '404 application/json', 'an error too');
    is(type_for("application/json, $SCIM"), "200 $SCIM", 'beside scim+json');
    is(type_for("$SCIM;q=0.1, application/json;q=0.9"), "200 $SCIM", 'beside scim+json of less weight');
    is(type_for('application/json, */*;q=0.1'), "200 $SCIM", 'beside a wildcard');
    is($s->get($path, accept => 'application/json')->content, $s->get($path)->content, 'the body is the same');
};

subtest 'C-003 no Accept is refused' => sub {
    for my $accept (undef, '', '*/*', 'application/*', "$SCIM;q=0.5", "$SCIM; q=0", '*/*;q=0', '*/*; q=0.001',
        'application/*;q=0.3,*/*;q=0.1', 'nonsense', ';;,', '/', "$SCIM;version=2")
    {
        is(type_for($accept), "200 $SCIM", $accept // 'none');
    }
};

subtest 'C-004 an Accept without JSON is ignored' => sub {
    is(type_for('text/html'), "200 $SCIM", 'text/html');
    is(type_for('text/html,application/xhtml+xml'), "200 $SCIM", 'two types');
    is(type_for('text/html', '/Users/none'), "404 $SCIM", 'an error is no HTML either');
    is(type_for('image/*'), "200 $SCIM", 'image/*');
};

subtest 'C-005 JSON is JSON with any charset, in any case' => sub {
    for my $type (
        'application/json',
        'application/json;charset=utf-8',
        'application/json ; charset=UTF-8',
        $SCIM,
        "$SCIM; charset=UTF-8",
        "$SCIM;charset=utf-8;v=1",
        'Application/SCIM+JSON',
    ) {
        is($s->post('/Users', user(new_name()), 'content-type' => $type)->status, 201, $type);
    }
    is($s->patch($path, ops(['replace', 'title', 'x']), 'content-type' => 'application/json')->status, 200, 'PATCH');
};

subtest 'C-006 a body of another type is 415, one without a type is JSON' => sub {
    my $before = total();
    for my $type (
        'text/plain', 'application/xml', 'text/json', 'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x', 'application/jsonp', 'application/problem+json', 'json', '*/*'
    ) {
        is_error($s->post('/Users', user(new_name()), 'content-type' => $type), 415, undef, $type);
    }
    is_error($s->put($path, user('x'), 'content-type' => 'text/plain'), 415, undef, 'PUT');
    is_error($s->patch($path, ops(), 'content-type' => 'text/plain'), 415, undef, 'PATCH');
    is(total(), $before, 'nothing was made');
    is($s->post('/Users', user(new_name()), 'content-type' => undef)->status, 201, 'no type');
    is($s->post('/Users', user(new_name()), 'content-type' => '', host => 'x')->status, 201, 'an empty type');
    is($s->get($path, 'content-type' => 'text/plain')->status, 200, 'the type of no body does not matter');
};

subtest 'C-008 an error says its status twice, in the body as a string' => sub {
    for my $request (@failures) {
        my ($method, $url, $body, $status, $type) = @$request;
        is_error($s->request($method, $url, $body), $status, $type, "$method $url: $status");
    }
    is_error($s->get($path, authorization => undef), 401, undef, 'no token');
    is_error($s->get("$path/%2F"), 404, undef, "what httpd refuses itself");
    is_error($s->delete($path, 'if-match' => 'W/"999"'), 412, undef, 'a stale version');
};

sub nested
{
    my ($depth) = @_;
    my $inside = $depth - 1;
    return '{"schemas":["' . $USER . '"],"userName":"deep","x":' . '[' x $inside . ']' x $inside . '}';
}

subtest 'C-009 what is no JSON is 400 invalidSyntax' => sub {
    my $before = total();
    my $name = sub { '{"schemas":["' . $USER . '"],"userName":"' . $_[0] . '"}' };
    my %bad = (
        'cut' => substr($name->('x'), 0, -1),
        'cut in a string' => substr($name->('xyz'), 0, -4),
        'no value' => '{"userName":}',
        'a comma too many' => '{"userName":"x",}',
        'single quotes' => "{'userName':'x'}",
        'a comment' => '{"userName":"x"/* y */}',
        'NaN' => '{"userName":NaN}',
        'something behind it' => $name->('x') . ' x',
        'two objects' => $name->('x') . $name->('y'),
        'a BOM' => "\xef\xbb\xbf" . $name->('x'),
        'UTF-16' => join("\0", split(//, $name->('x'))) . "\0",
        'a NUL in it' => $name->("x\0y"),
        'a NUL behind it' => $name->('x') . "\0",
        'an escaped NUL' => $name->('x\u0000y'),
        'a line end in a string' => $name->("x\ny"),
        'Latin-1' => $name->("J\xf6rg"),
        'an overlong form' => $name->("\xc0\xaf"),
        'a surrogate as UTF-8' => $name->("\xed\xa0\x80"),
        'beyond Unicode' => $name->("\xf4\x90\x80\x80"),
        'a lone surrogate' => $name->('\ud800'),
        'a pair the wrong way round' => $name->('\udc00\ud800'),
        'a bad escape' => $name->('\x41'),
        'spaces' => '   ',
        '33 levels' => nested(33),
        '100,000 levels' => '[' x 100_000,
        '100,000 objects' => '{"a":' x 100_000,
    );
    for my $what (sort keys %bad) {
        is_error($s->post('/Users', $bad{$what}), 400, 'invalidSyntax', "POST: $what");
    }
    for my $what ('cut', 'a BOM', 'a lone surrogate', 'Latin-1', '33 levels') {
        is_error($s->put($path, $bad{$what}), 400, 'invalidSyntax', "PUT: $what");
        is_error($s->patch($path, $bad{$what}), 400, 'invalidSyntax', "PATCH: $what");
    }
    is($s->post('/Users', nested(32))->status, 201, '32 levels are not too many');
    is($s->post('/Users', $name->('\ud83d\ude00'))->json->{userName}, "\x{1F600}", 'a pair of surrogates is one character');
    is(total(), $before + 2, 'nothing else was made');
};

subtest 'C-010 JSON that is no object is 400 invalidSyntax' => sub {
    for my $body ('[]', '[{"schemas":["' . $USER . '"],"userName":"x"}]', '"x"', '17', 'null', 'true') {
        is_error($s->post('/Users', $body), 400, 'invalidSyntax', "POST $body");
        is_error($s->put($path, $body), 400, 'invalidSyntax', "PUT $body");
        is_error($s->patch($path, $body), 400, 'invalidSyntax', "PATCH $body");
    }
};

subtest 'C-011 a path that is no endpoint is 404' => sub {
    for my $url ('/Foo', '/Foo/1', '/Users/a/b', "$path/name", '/users', '/USERS', '/User', '/Me/x', '/Schemas/a/b',
        '/ServiceProviderConfig/x', '/ServiceProviderConfigs', '/.search/x', '/Users.json', '/Users/.search/x')
    {
        is_error($s->get($url), 404, undef, "GET $url");
        is_error($s->post($url, user('x')), 404, undef, "POST $url");
    }
    like($s->get('/users')->json->{detail}, qr{/Users.*case}, 'the detail names those that there are');
};

subtest 'C-012 a method that a path does not take is 405, with those that it takes' => sub {
    my %takes = (
        '/Users' => 'GET, HEAD, POST, OPTIONS',
        '/Groups' => 'GET, HEAD, POST, OPTIONS',
        $path => 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS',
        '/ServiceProviderConfig' => 'GET, HEAD, OPTIONS',
        '/Schemas' => 'GET, HEAD, OPTIONS',
        "/Schemas/$USER" => 'GET, HEAD, OPTIONS',
        '/ResourceTypes' => 'GET, HEAD, OPTIONS',
        '/ResourceTypes/User' => 'GET, HEAD, OPTIONS',
    );
    for my $url (sort keys %takes) {
        for my $method (qw(POST PUT PATCH DELETE)) {
            next if $takes{$url} =~ /\b$method\b/;
            my $r = $s->request($method, $url, $method eq 'DELETE' ? undef : user('x'));
            is_error($r, 405, undef, "$method $url");
            is($r->header('allow'), $takes{$url}, "$method $url: Allow");
        }
    }
    is_error($s->get('/Users/.search'), 405, undef, 'GET of .search');
};

subtest 'C-013 what is not supported is 501' => sub {
    is_error($s->request($_, '/Me', $_ =~ /^P/ ? {} : undef), 501, undef, "$_ /Me") for qw(GET POST PUT PATCH DELETE);
};

subtest 'C-019 a version is part of the path that the Location names' => sub {
    is($s->get($s->url("/scim/$_/Users"))->status, 404, $_) for qw(v1 v3 v2.0 V2 v22);
    is($s->get($s->url('/behind/v2/Users'))->status, 200, 'another Location');
};

subtest 'C-021 a filter over 8 KiB is 400, a longer URL 414' => sub {
    is_error($s->get('/Users?filter=userName+eq+"' . 'x' x 9000 . '"'), 400, 'invalidFilter', 'the filter');
    is_error($s->get('/Users?filter=userName+eq+"' . 'x' x 21000 . '"'), 414, undef, 'the URL');
};

subtest 'C-022 an unknown query parameter is ignored' => sub {
    for my $query ('foo=bar', 'foo', '', '&', '&&foo=bar&', '=', '=x', 'aadOptscim062020', 'foo=%zz', 'foo=%00', 'filters=x',
        'foo=1&foo=2', 'api-version=2.0')
    {
        is($s->get("/Users?$query")->status, 200, "list: ?$query");
        is($s->get("$path?$query")->status, 200, "one: ?$query");
    }
    is($s->post('/Users?aadOptscim062020', user(new_name()))->status, 201, 'POST');
    is($s->patch("$path?aadOptscim062020", ops())->status, 200, 'PATCH');
};

subtest 'C-023 a parameter of the wrong kind, or twice, is 400 invalidValue' => sub {
    for my $query ('count=abc', 'count=1.5', 'startIndex=1.5', 'startIndex=one', 'count=1e3', 'count=0x10', 'count=+', 'count=--1',
        'count=1&count=2', 'COUNT=1&count=1', 'startIndex=1&startindex=1', 'filter=id+pr&filter=id+pr',
        'attributes=id&attributes=id', 'attributes=%zz', 'filter=%ff', 'filter=%', 'count=1%00')
    {
        is_error($s->get("/Users?$query"), 400, 'invalidValue', $query);
    }
    is($s->get("/Users?$_")->status, 200, $_)
        for 'count=99999999999999999999', 'startIndex=99999999999999999999', 'count=-99999999999999999999', 'COUNT=1';
};

subtest 'C-024 a name twice in one object is 400 invalidSyntax' => sub {
    my $before = total();
    for my $members (
        '"userName":"a","userName":"a"',
        '"userName":"a","USERNAME":"b"',
        '"userName":"a","Schemas":[]',
        '"userName":"a","name":{"givenName":"b","givenname":"c"}',
        '"userName":"a","emails":[{"value":"b","VALUE":"c"}]',
        '"userName":"a","foo":1,"FOO":2',
    ) {
        is_error($s->post('/Users', qq({"schemas":["$USER"],$members})), 400, 'invalidSyntax', $members);
    }
    is(total(), $before, 'nothing was made');
};

subtest 'C-025 names of attributes are taken in any case and answered in theirs' => sub {
    my $r = $s->post('/Users', {
        SCHEMAS => [uc $USER],
        USERNAME => 'capitals',
        Name => { GIVENNAME => 'b' },
        eMails => [{ VALUE => 'b@example.com', Type => 'work' }],
        uc $ENTERPRISE => { DEPARTMENT => 'x' },
    });
    is($r->status, 201, 'POST');
    my $json = $r->json;
    is_deeply([sort keys %$json], [sort qw(schemas id userName name emails meta), $ENTERPRISE], 'the names');
    is_deeply($json->{schemas}, [$USER, $ENTERPRISE], 'the schemas');
    is_deeply($json->{name}, { givenName => 'b' }, 'sub-attributes');
    is_deeply($json->{emails}, [{ value => 'b@example.com', type => 'work' }], 'sub-attributes of elements');
    is_deeply($json->{$ENTERPRISE}, { department => 'x' }, 'an extension');
};

subtest 'C-026 HEAD gives what GET gives, without the body' => sub {
    for my $url ($path, '/Users', '/ServiceProviderConfig', '/Schemas', '/Users/none', '/Nothing', '/Users?count=x') {
        my $get = $s->get($url);
        my $head = $s->request('HEAD', $url);
        is($head->status, $get->status, "HEAD $url");
        is($head->content, '', "HEAD $url: no body");
        for my $name (qw(content-type content-length etag location content-location allow)) {
            is($head->header($name), $get->header($name), "HEAD $url: $name");
        }
    }
    ok($s->request('HEAD', $path)->header('content-length') > 100, 'the length is that of the body');
};

subtest 'C-027 OPTIONS tells the methods of a path' => sub {
    my %takes = (
        '/Users' => 'GET, HEAD, POST, OPTIONS',
        $path => 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS',
        '/Schemas' => 'GET, HEAD, OPTIONS',
        '/Bulk' => 'POST, OPTIONS',
    );
    for my $url (sort keys %takes) {
        my $r = $s->request('OPTIONS', $url);
        is($r->status . ' ' . $r->content, '204 ', "OPTIONS $url");
        is($r->header('allow'), $takes{$url}, "OPTIONS $url: Allow");
    }
    is_error($s->request('OPTIONS', '/Nothing'), 404, undef, 'OPTIONS of what is not there');
};

subtest 'C-028 Content-Location is meta.location' => sub {
    my $group = made($s, '/Groups', group('Tour Guides'));
    for my $request (
        ['GET', $path],
        ['GET', "$path?attributes=meta.location"],
        ['POST', '/Users', user(new_name())],
        ['PUT', $path, user('bjensen')],
        ['PATCH', $path, ops(['add', 'title', 'x'])],
        ['GET', "/Groups/$group->{id}"],
        ['PUT', "/Groups/$group->{id}", group('Tour Guides')],
        ['GET', '/ServiceProviderConfig'],
        ['GET', '/ResourceTypes/Group'],
        ['GET', "/Schemas/$GROUP"],
    ) {
        my ($method, $url, $body) = @$request;
        my $r = $s->request($method, $url, $body);
        is($r->header('content-location'), $r->json->{meta}{location}, "$method $url");
    }
};

sub urls_in
{
    my ($text) = @_;
    my %seen = map { $_ => 1 } $text =~ m{"(https?://[^/"]+)/[^"]*/(?:Users|Groups|Schemas|ResourceTypes)/}g;
    return join ' ', sort keys %seen;
}

subtest 'C-029 URLs come from the configuration, never from the request' => sub {
    my $own = 'http://127.0.0.1:' . $s->port;
    made($s, '/Groups', group('Forged', $user->{id}));
    for my $forged (
        [host => 'evil.example'],
        [host => 'evil.example:1', 'x-forwarded-host' => 'evil.example', 'x-forwarded-proto' => 'https'],
        [forwarded => 'host=evil.example;proto=https'],
    ) {
        for my $url ($path, '/Users', '/Groups', '/Schemas') {
            my $r = $s->get($url, @$forged);
            is(urls_in($r->content), $own, "@$forged: $url");
            unlike(join(' ', values %{ $r->headers }), qr/evil/, "@$forged: headers of $url");
        }
        my $r = $s->post('/Users', user(new_name()), @$forged);
        is($r->header('location'), "$own/scim/v2/Users/" . $r->json->{id}, "@$forged: Location");
    }
    my $r = $s->get($s->url("/behind/v2$path"), host => 'evil.example');
    is($r->json->{meta}{location}, "https://idm.example.org/people$path", 'SCIMBaseURL');
    is($r->header('content-location'), "https://idm.example.org/people$path", 'SCIMBaseURL in a header');
    $s->write_conf(conf => 'ServerName https://idm.example.org:8443');
    ok($s->graceful, 'restarted');
    is($s->get($path)->json->{meta}{location}, "https://idm.example.org:8443/scim/v2$path", 'ServerName with a scheme');
};

$s->log_clean;
done_testing();
