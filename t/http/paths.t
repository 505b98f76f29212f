#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Odd paths and odd requests: whatever stands below an endpoint is the
# endpoint's, answered in SCIM's words, and never a file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new;
my $made = made($s, '/Users', user('bjensen'));
my $path = "/Users/$made->{id}";
my $token = 'Authorization: Bearer ' . $s->token;

# A request by hand, to the path as it stands.
sub by_hand
{
    my ($line, @headers) = @_;
    return $s->raw(join "\r\n", $line, "Host: 127.0.0.1", 'Connection: close', @headers, '', '');
}

subtest 'C-011 empty segments and a slash at the end do not count' => sub {
    for my $url ("//Users/$made->{id}", "$path/", "/Users//$made->{id}", "///Users///$made->{id}///", "/./Users/./$made->{id}",
        "/Groups/../Users/$made->{id}", "/Users/x/%2e%2e/$made->{id}", "/%55sers/$made->{id}", "$path?", "$path/?x")
    {
        my $r = $s->get($url);
        is($r->status, 200, $url);
        is($r->json->{id}, $made->{id}, "$url: the user");
        is($r->header('content-location'), $made->{meta}{location}, "$url: where it really is");
    }
    is($s->get($_)->json->{totalResults}, 1, $_) for '/Users/', '//Users', '/Users//?count=1';
    is($s->get($s->url($_))->json->{totalResults}, 1, $_)
        for '/scim//v2/Users', '//scim/v2/Users', '/x/../scim/v2/Users', '/%73cim/v2/Users';
};

subtest 'C-011 what cannot be a path is 404 as well' => sub {
    for my $url ('/Users/a%2Fb', "/Users%2F$made->{id}", "$path%2f", '/Users/%00', "$path%00", "$path%00.txt", '/Users/..%2fGroups',
        '/Users/%5c', "/Users\\$made->{id}", '/Users;x', "$path;x", "$path;jsessionid=1", '/Users/%c0%af', '/Users/%ff', '/Users/%0a',
        "$path%20", '/Users%20', '/Users/%252F', '/Users/%252e%252e', '/Users/*', '/Users/:', "/Users/{id}", '/Users/%22',
        '/~user', '/.htaccess', '/Users/' . 'x' x 300, '/Users/' . 'x' x 4000, '/Users/' . 'x/' x 3000, '/' . 'x' x 7000)
    {
        my $r = $s->get($url);
        is_error($r, 404, undef, substr $url, 0, 40);
        cmp_ok(length $r->content, '<', 1500, 'the answer does not grow with the path');
    }
    is_error($s->get('/Users/a%2Fb', authorization => undef), 404, undef, 'without a token too: httpd refuses it first');
};

subtest 'C-008 a path that cannot be decoded is 400' => sub {
    $s->expect_log(qr/AH10244: invalid URI path/);
    is_error($s->get($_), 400, undef, $_) for '/Users/%zz', '/Users/%', '/Users/%1';
};

subtest 'C-021 a URL that is too long is 414' => sub {
    is_error($s->get('/Users/' . 'x' x 9000), 414, undef, 'a path');
    is_error($s->get('/Users?filter=' . 'x' x 9000), 414, undef, 'a query');
    is_error($s->get($path, 'x-long' => 'x' x 9000), 400, undef, 'a header');
    is_error($s->get($path, map { ("x-$_" => 'x') } 1 .. 200), 400, undef, 'too many headers');
};

subtest 'C-011 no file is served, and none is looked at' => sub {
    # An .htaccess is there that fails every request which comes near it.
    is_error($s->get('/on-disk.txt'), 404, undef, 'a file below the path');
    is_error($s->get('/on-disk.txt', authorization => undef), 401, undef, 'which is not told to everybody');
    is_error($s->get('/.htaccess'), 404, undef, '.htaccess');
    is_error($s->put('/on-disk.txt', user('x')), 404, undef, 'PUT');
    is($s->get($s->url('/hello.txt'))->content, "hello\n", 'files elsewhere are there');
    is($s->get('/../../hello.txt')->content, "hello\n", 'also by a path that leads out of the endpoint');
    for my $url ('/scim', '/scim/', '/scim/v2x', '/scim/v2x/Users', '/SCIM/v2/Users', '/scim/V2/Users', '/scim/v2%2FUsers',
        '/scim/v2%00/Users')
    {
        my $r = $s->get($s->url($url));
        like($r->status, qr/^40[34]$/, "$url is no endpoint");
        unlike($r->content, qr/$made->{id}/, "$url: nobody is told");
    }
};

subtest 'C-029 the absolute form of a request changes no URL' => sub {
    my $r = $s->raw("GET http://evil.example/scim/v2$path HTTP/1.1\r\nHost: evil.example\r\n$token\r\nConnection: close\r\n\r\n");
    is($r->status, 200, 'it is answered');
    is($r->json->{meta}{location}, $made->{meta}{location}, 'with our URL');
};

subtest 'C-012 odd methods' => sub {
    for my $method (qw(PROPFIND FOO get LOCK MKCOL COPY)) {
        my $r = by_hand("$method /scim/v2/Users HTTP/1.1", $token);
        is_error($r, 405, undef, $method);
        is($r->header('allow'), 'GET, HEAD, POST, OPTIONS', "$method: Allow");
        is_error(by_hand("$method /scim/v2/Users HTTP/1.1"), 401, undef, "$method without a token");
    }
    is_error(by_hand('FOO /scim/v2/Nothing HTTP/1.1', $token), 404, undef, 'of what is not there');
    for my $headers ([$token], []) {
        my $r = by_hand('TRACE /scim/v2/Users HTTP/1.1', @$headers, 'X-Secret: echo');
        is_error($r, 405, undef, 'TRACE');
        unlike($r->content, qr/echo|mscim_/, 'TRACE echoes nothing');
        is($r->header('allow'), 'GET, HEAD, POST, OPTIONS', 'TRACE: Allow');
    }
    my $r = $s->raw("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    is($r->status, 200, q{"OPTIONS *" is httpd's own});
    is_error($s->request('OPTIONS', '/Users', undef, authorization => undef), 401, undef, 'OPTIONS needs a token');
};

subtest 'C-026 HEAD without a token' => sub {
    my $r = $s->request('HEAD', '/Users', undef, authorization => undef);
    is($r->status . $r->content, '401', 'no body');
    is($r->header('content-type'), 'application/scim+json', 'the type');
    like($r->header('www-authenticate'), qr/^Bearer realm=/, 'the challenge');
};

subtest 'C-008 requests that are none' => sub {
    my $r = $s->raw("GET /scim/v2$path HTTP/1.0\r\n$token\r\n\r\n");
    is($r->status, 200, 'HTTP/1.0 is served');
    is($r->json->{id}, $made->{id}, 'as well');
    is($s->raw("GET /scim/v2$path HTTP/1.0\r\n\r\n")->status, 401, 'HTTP/1.0 without a token');
    is_error($s->raw("GET /scim/v2/Users HTTP/1.1\r\n$token\r\n\r\n"), 400, undef, 'no Host');
    is_error(by_hand('GET /scim/v2/Users HTTP/1.1', $token, 'nonsense'), 400, undef, 'a header that is none');
    is_error(by_hand('POST /scim/v2/Users HTTP/1.1', $token, 'Content-Length: x'), 400, undef, 'a length that is none');
    is_error(by_hand('GET /scim/v2/Users HTTP/1.1', $token, 'Transfer-Encoding: zip'), 400, undef, 'an unknown coding');
};

subtest 'C-060 a part of a body cannot be asked for' => sub {
    my $r = $s->get($path, range => 'bytes=0-9');
    is($r->status, 200, 'Range is ignored');
    is($r->json->{id}, $made->{id}, 'the body is whole');
    is($s->get($path, 'if-range' => 'W/"1"', range => 'bytes=5-')->status, 200, 'If-Range');
    is($s->post('/Users', user('range'), range => 'bytes=0-9')->status, 201, 'of a POST as well');
};

$s->log_clean;
done_testing();
