#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Bodies: how much, how sent, and what is in them that should not be.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new(
    conf => "Timeout 1\n"
        . endpoint('/tight', 'SCIMMaxBody 4k')
        . endpoint('/httpd', 'LimitRequestBody 2048')
        . endpoint('/both', 'SCIMMaxBody 4k', 'LimitRequestBody 1000000'),
);
my $made = made($s, '/Users', user('bjensen'));
my $path = "/Users/$made->{id}";
my $token = $s->token;

sub total
{
    return $s->get('/Users?count=0')->json->{totalResults};
}

# A body of exactly so many bytes.
sub sized
{
    my ($bytes, $name) = @_;
    my $body = JSON::PP::encode_json(user($name, title => ''));
    my $fill = 'x' x ($bytes - length $body);
    return $body =~ s/"title":""/"title":"$fill"/r;
}

sub chunked
{
    my (@chunks) = @_;
    return join('', map { sprintf "%x\r\n%s\r\n", length $_, $_ } @chunks) . "0\r\n\r\n";
}

# A request by hand on a connection of its own; the last bytes may be missing.
sub by_hand
{
    my ($method, $url, $headers, $body, $half) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or die "no connection: $!\n";
    local $SIG{PIPE} = 'IGNORE';
    print $socket join "\r\n", "$method $url HTTP/1.1", 'Host: x', "Authorization: Bearer $token", 'Content-Type: application/scim+json',
        @$headers, '', $body;
    $socket->flush;
    shutdown $socket, 1 if $half;
    my $got = '';
    while (1) {
        my $n = sysread $socket, $got, 65536, length $got;
        my $r = Scim::Httpd::Response->parse($got, !$n);
        return wantarray ? ($r, $got) : $r if $r;
        return wantarray ? (undef, $got) : undef if !$n;
    }
}

subtest 'C-020 a body over the limit is 413' => sub {
    my $before = total();
    for my $endpoint (['/tight', 4096], ['/httpd', 2048], ['/both', 4096]) {
        my ($base, $limit) = @$endpoint;
        my $url = $s->url("$base/Users");
        my $small = sized($limit, "at the limit of $base");
        my $large = sized($limit + 1, 'too large');
        is($s->post($url, $small)->status, 201, "$base: $limit bytes are accepted");
        my $r = $s->post($url, $large);
        is_error($r, 413, undef, "$base: one more is not");
        like($r->json->{detail}, qr/\b$limit\b/, "$base: the limit is told");
        my @coding = ('Transfer-Encoding: chunked');
        is(by_hand('POST', "$base/Users", \@coding, chunked(sized($limit, "in chunks $base") =~ /(.{1,100})/gs))->status, 201,
            "$base: in chunks, at the limit");
        is_error(scalar by_hand('POST', "$base/Users", \@coding, chunked($large)), 413, undef, "$base: in one chunk");
        is_error(scalar by_hand('POST', "$base/Users", \@coding, chunked($large =~ /(.{1,100})/gs)), 413, undef, "$base: in many chunks");
        is_error($s->put($s->url("$base$path"), $large), 413, undef, "$base: PUT");
        is_error($s->patch($s->url("$base$path"), $large), 413, undef, "$base: PATCH");
        is_error($s->post($url, 'x' x 3_000_000), 413, undef, "$base: three megabytes");
        is_error(scalar by_hand('POST', "$base/Users", ['Content-Length: 99999999999'], ''), 413, undef, "$base: said to be 100 GB");
    }
    is(total(), $before + 6, 'nothing else was made');
    is_error($s->post('/Users', 'x' x (8 << 20) . 'x'), 413, undef, 'over 8 MiB, the default');
    is_error($s->post('/Users', 'x' x (8 << 20)), 400, 'invalidSyntax', '8 MiB are read');
};

subtest 'C-020 a body that will be refused is not asked for' => sub {
    my @expect = ('Expect: 100-continue', 'Connection: close');
    my ($r, $bytes) = by_hand('POST', '/tight/Users', [@expect, 'Content-Length: 5000'], '');
    is_error($r, 413, undef, 'too large');
    unlike($bytes, qr/100 Continue/i, 'no "100 Continue"');
    ($r, $bytes) = by_hand('POST', '/scim/v2/Nothing', [@expect, 'Content-Length: 5000'], '');
    is_error($r, 404, undef, 'no such path');
    unlike($bytes, qr/100 Continue/i, 'no "100 Continue"');
    my $body = JSON::PP::encode_json(user('expected'));
    ($r, $bytes) = by_hand('POST', '/scim/v2/Users', [@expect, 'Content-Length: ' . length $body], $body);
    is($r->status, 201, 'a good one');
    is_error(scalar by_hand('POST', '/scim/v2/Users', ['Expect: wonders', 'Content-Length: 2'], '{}'), 417, undef, 'another expectation');
};

subtest 'C-009 no body is 400 invalidSyntax' => sub {
    my @length = ('Content-Length: 0');
    my @coding = ('Transfer-Encoding: chunked');
    for my $request (['POST', '/Users'], ['PUT', $path], ['PATCH', $path]) {
        my ($method, $url) = @$request;
        is_error(scalar by_hand($method, "/scim/v2$url", \@length, ''), 400, 'invalidSyntax', "$method of 0 bytes");
        is_error(scalar by_hand($method, "/scim/v2$url", [], ''), 400, 'invalidSyntax', "$method without a length");
        is_error(scalar by_hand($method, "/scim/v2$url", \@coding, chunked()), 400, 'invalidSyntax', "$method of no chunks");
        is_error($s->request($method, $url, " \r\n\t "), 400, 'invalidSyntax', "$method of spaces");
    }
};

subtest 'C-030 a body may come in chunks' => sub {
    my $body = JSON::PP::encode_json(user('chunks', title => 'x' x 20000));
    for my $size (1, 7, 8192, 60000) {
        my $one = $body =~ s/chunks/chunks $size/r;
        my $r = by_hand('POST', '/scim/v2/Users', ['Transfer-Encoding: chunked'], chunked($one =~ /(.{1,$size})/gs));
        is($r->status, 201, "of $size bytes");
        is(length $r->json->{title}, 20000, "of $size bytes: all of it is there");
    }
};

subtest 'C-030 chunks with extensions and trailers' => sub {
    my $body = JSON::PP::encode_json(user('trailers'));
    my ($one, $two) = (substr($body, 0, 10), substr $body, 10);
    my $chunk = sub { my ($text, $extension) = @_; return sprintf "%x%s\r\n%s\r\n", length $text, $extension, $text };
    my $r = by_hand('POST', '/scim/v2/Users', ['Transfer-Encoding: chunked', 'Trailer: X-Checksum'],
        $chunk->($one, ';name=value') . $chunk->($two, ';a="b;c";d') . "0;last\r\nX-Checksum: 1\r\nAuthorization: Bearer x\r\nContent-Length: 5\r\n\r\n");
    is($r->status, 201, 'are a body');
    is($r->json->{userName}, 'trailers', 'which is whole');
    $r = by_hand('POST', '/scim/v2/Users', ['Transfer-Encoding: chunked'],
        $chunk->($body =~ s/trailers/upper/r, '') =~ s/^([0-9a-f]+)/000\U$1/r . "0\r\n\r\n");
    is($r->status, 201, 'a size with zeros in front, in capitals');
    # A trailer is no header: it brings neither a token nor a condition.
    $r = $s->raw("POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            . $chunk->($body =~ s/trailers/nobody/r, '') . "0\r\nAuthorization: Bearer $token\r\n\r\n");
    is_error($r, 401, undef, 'a token in a trailer is none');
    $r = by_hand('PATCH', "/scim/v2$path", ['Transfer-Encoding: chunked'],
        $chunk->(JSON::PP::encode_json(ops(['remove', 'title'])), '') . "0\r\nIf-Match: W/\"0\"\r\n\r\n");
    is($r->status, 200, 'nor is a condition');
    is_error(scalar by_hand('POST', '/scim/v2/Users', ['Transfer-Encoding: chunked'], $chunk->($body, ';' . 'x' x 9000) . "0\r\n\r\n"),
        413, undef, 'an extension of 9,000 bytes');
};

# What the next request on the same connection is taken for.
subtest 'C-009 bodies that lie about their length' => sub {
    my $before = total();
    my $body = JSON::PP::encode_json(user('lie'));
    my $hidden = "GET /scim/v2/Users/smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    my $length = length $body;
    my %bad = (
        'two lengths' => [["Content-Length: $length", 'Content-Length: 5'], $body],
        'a list of lengths' => [["Content-Length: $length, 5"], $body],
        'a negative length' => [['Content-Length: -1'], $body],
        'a length with a sign' => [["Content-Length: +$length"], $body],
        'a length in hexadecimal' => [[sprintf 'Content-Length: 0x%x', $length], $body],
        'a length with a fraction' => [["Content-Length: $length.0"], $body],
        'a length beyond 64 bits' => [['Content-Length: 99999999999999999999'], $body],
        'no length after its name' => [['Content-Length:'], $body],
        'a size beyond 64 bits' => [['Transfer-Encoding: chunked'], "ffffffffffffffffff\r\n$body\r\n0\r\n\r\n"],
        'a negative size' => [['Transfer-Encoding: chunked'], "-5\r\n$body\r\n0\r\n\r\n"],
        'a size with a prefix' => [['Transfer-Encoding: chunked'], sprintf "0x%x\r\n%s\r\n0\r\n\r\n", $length, $body],
        'a chunk that is longer than its size' => [['Transfer-Encoding: chunked'], sprintf "%x\r\n%s\r\n0\r\n\r\n", $length - 3, $body],
        'chunked, and then something else' => [['Transfer-Encoding: chunked, gzip'], chunked($body)],
        'something else' => [['Transfer-Encoding: identity'], $body],
        'a coding with a control character' => [["Transfer-Encoding: \x0bchunked"], chunked($body)],
    );
    for my $what (sort keys %bad) {
        my ($headers, $bytes) = @{ $bad{$what} };
        my ($r, $all) = by_hand('POST', '/scim/v2/Users', $headers, $bytes . $hidden, 1);
        like($r->status, qr/^(?:400|411|413|501)$/, "$what: refused") or diag($all);
        unlike($all, qr/smuggled/, "$what: what follows is no request");
    }
    is(total(), $before, 'nothing was made');

    # A length beside chunks, and chunks twice: the chunks count, or nothing, and
    # the connection ends with the answer.
    my ($r, $all);
    for my $beside ('Content-Length: 5', 'Transfer-Encoding: chunked') {
        ($r, $all) = by_hand('POST', '/scim/v2/Users', [$beside, 'Transfer-Encoding: chunked'], chunked($body =~ s/lie/$beside/r) . $hidden, 1);
        like($r->status, qr/^(?:201|400)$/, "$beside beside chunks");
        unlike($all, qr/smuggled/, "$beside: what follows is no request");
    }
    # Shorter than what is sent: the rest begins the next request, and is none.
    ($r, $all) = by_hand('POST', '/scim/v2/Users', ['Content-Length: ' . ($length - 3)], $body =~ s/lie/low/r, 1);
    is_error($r, 400, 'invalidSyntax', 'a length that is too short');
    is(() = $all =~ /"201"|^HTTP\S+ 20/mg, 0, 'and nothing comes of the rest');
};

subtest 'C-009 a body that ends early makes nothing' => sub {
    my $before = total();
    my $body = JSON::PP::encode_json(user('cut'));
    my $r = by_hand('POST', '/scim/v2/Users', ['Content-Length: ' . (1 + length $body)], $body, 1);
    is_error($r, 400, undef, 'shorter than its length') if $r;
    $r = by_hand('POST', '/scim/v2/Users', ['Transfer-Encoding: chunked'], substr(chunked($body), 0, -5), 1);
    is_error($r, 400, undef, 'without its last chunk') if $r;
    $r = by_hand('POST', '/scim/v2/Users', ['Transfer-Encoding: chunked'], "zz\r\n$body\r\n0\r\n\r\n");
    is_error($r, 400, undef, 'a size that is none');
    $r = by_hand('PATCH', "/scim/v2$path", ['Content-Length: 1000'], '{"schemas":');
    is_error($r, 408, undef, 'one that does not go on');
    is(total(), $before, 'nothing was made');
    is($s->get($path)->json->{meta}{version}, $made->{meta}{version}, 'nothing has changed');
};

subtest 'a body where none is asked for is ignored' => sub {
    # All on one connection: what is left of a body must not be the next request.
    for my $method (qw(GET DELETE)) {
        for my $body ('{', '{"schemas":[]}', "GET /scim/v2/Nothing HTTP/1.1\r\nHost: x\r\n\r\n", 'x' x 100_000) {
            my $url = $method eq 'GET' ? $path : '/Users/' . made($s, '/Users', user("gone $method" . length $body))->{id};
            is($s->request($method, $url, $body)->status, $method eq 'GET' ? 200 : 204, "$method with " . length($body) . ' bytes');
        }
    }
    is($s->get('/Users', 'content-length' => 0)->status, 200, 'GET of 0 bytes');
};

subtest 'C-009 what is hostile in a body is refused' => sub {
    my $before = total();
    my $head = qq({"schemas":["$USER"],"userName":"hostile");
    my %bad = (
        'a million brackets' => ['[' x 1_000_000, 'invalidSyntax'],
        'a million objects' => ['{"a":' x 500_000, 'invalidSyntax'],
        'depth in an attribute' => [$head . ',"name":' . '{"givenName":' x 40 . '1' . '}' x 41, 'invalidSyntax'],
        'depth in what is unknown' => [$head . ',"x":' . '[' x 40 . ']' x 40 . '}', 'invalidSyntax'],
        'a hundred thousand names' => [$head . join('', map { qq(,"a$_":1) } 1 .. 100_000) . '}', 'invalidSyntax'],
        'a name twice' => [$head . ',"userName":"y"}', 'invalidSyntax'],
        'a name twice, escaped' => [$head . ',"user\u004eame":"y"}', 'invalidSyntax'],
        'a name with a NUL' => [$head . ',"a\u0000b":"y"}', 'invalidSyntax'],
        'bad UTF-8 in a name' => [$head . ",\"\xff\":1}", 'invalidSyntax'],
        'a BOM' => ["\xef\xbb\xbf$head}", 'invalidSyntax'],
    );
    for my $what (sort keys %bad) {
        my ($body, $type) = @{ $bad{$what} };
        is_error($s->post('/Users', $body), 400, $type, $what);
    }
    is_error($s->post('/Users', $head . ',"title":' . $_ . '}'), 400, 'invalidValue', "a number: $_")
        for '1', '-1', '1.5', '1e3';
    is_error($s->post('/Users', $head . ",\"title\":$_}"), 400, 'invalidSyntax', "a number beyond all numbers: $_")
        for '1e999', '1' x 30, '01', '+1', '1.', '0x10';
    is(total(), $before, 'nothing was made');
    my $r = $s->post('/Users', user('long', title => "\x{1F600}" x 100_000));
    is($r->status, 201, 'a long text is none of it');
    is(length $r->json->{title}, 100_000, 'it is there');
};

$s->log_clean;
done_testing();
