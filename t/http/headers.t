#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Headers as nobody should send them: each that the module reads, with what may
# be in it and what may not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

# With TLS asked for, an X-Forwarded header alone would be refused.
my $s = Scim::Httpd->new(modules => ['unique_id'], location => 'SCIMRequireTLS Off');
my $user = made($s, '/Users', user('bjensen', title => 'Guide'));
my $path = "/Users/$user->{id}";
my $token = $s->token;
my $patch = JSON::PP::encode_json(ops(['replace', 'title', 'Guide']));

# The names of headers in the module's own text, and of those that httpd reads
# for it.
sub names
{
    my %names = map { $_ => 1 } qw(Host Content-Length Transfer-Encoding Expect Connection Cookie User-Agent Referer X-Request-Id Trailer TE Upgrade);
    for my $file (glob "$FindBin::Bin/../../mod_scim/httpd/*.c") {
        my $text = slurp($file);
        $names{$_} = 1 for $text =~ /(?:headers_in|header_time\(r|rheaders), *"([A-Z][\w-]+)"/g;
        $names{$_} = 1 for $text =~ /ap_cstr_casecmpn?\(name, "([A-Z][\w-]+)"/g;
    }
    return sort keys %names;
}

my %value = (
    'nothing' => '', 'spaces' => "  \t ", 'NUL' => "a\0b", 'CR' => "a\rInjected: x", 'LF' => "a\nInjected: x", 'CR LF' => "a\r\nInjected: x",
    'CR CR LF' => "a\r\r\nInjected: x", 'a folded line' => "a\r\n b", 'a line folded with a tab' => "a\r\n\tb", 'a fold at the start' => "\r\n a",
    'SOH' => "a\x01b", 'ESC' => "a\x1b[31mb", 'DEL' => "a\x7fb", 'high bytes' => "\x80\xff\xc3", 'UTF-8' => "\xc3\xa9\xe2\x80\xa8",
    'quotes' => q("a\\"b'), 'an open quote' => '"a', 'a backslash at the end' => '"a\\', 'commas' => ',' x 50, 'semicolons' => ';' x 50,
    'equal signs' => '=;=,=', 'a star' => '*', 'stars' => '*, **, W/*', 'percent' => '%00%0d%0aInjected:%20x', 'a format' => '%s%n%x' x 20,
    'JSON' => '{"a":["b"]}', 'markup' => '<script>alert(1)</script>', 'a list of 1,000' => join(',', map { qq(W/"$_") } 1 .. 1000), '8,000 bytes' => 'x' x 8000,
    'a number' => '99999999999999999999', 'a negative number' => '-1', 'a date' => 'Sun, 99 Foo 9999 99:99:99 GMT', 'q-values' => 'a/b;q=9,*/*;q=-1,;q=x',
    'utf-7' => '+ADw-script+AD4-',
);

sub send_with
{
    my ($request, $header) = @_;
    my ($method, $url, $body) = @$request;
    my @lines = ("$method /scim/v2$url HTTP/1.1", 'Host: 127.0.0.1', "Authorization: Bearer $token", 'Connection: close',
        defined $body ? ('Content-Type: application/scim+json', 'Content-Length: ' . length $body) : ());
    my ($name) = $header =~ /^([^:]*):/;
    @lines = ($lines[0], (grep { $name eq '' || !/^\Q$name\E:/i } @lines[1 .. $#lines]), $header);
    return $s->raw(join("\r\n", @lines, '', '') . ($body // ''));
}

# What is wrong with an answer, or nothing.
sub wrong
{
    my ($r, $name) = @_;
    my $status = $r->status;
    return "status $status" if $status !~ /^[234]/ && !($status == 501 && $name eq 'Transfer-Encoding');
    return "header $_" if ($_) = grep { /inject/i } keys %{ $r->headers };
    return 'a header with a control character' if grep { /[\x00-\x08\x0a-\x1f\x7f]/ } map { ref $_ ? @$_ : $_ } values %{ $r->headers };
    return 'markup' if $r->content =~ /<script>/ && $r->header('content-type') !~ /json/;
    return 'no JSON: ' . $r->content if length $r->content && ref $r->json ne 'HASH';
    return "httpd's page" if $status >= 400 && ($r->json->{schemas}[0] // '') ne $ERROR;
    return 'a body of ' . length $r->content if $status >= 400 && length $r->content > 1300;
    return "in without a token" if $name eq 'Authorization' && $status < 400;
    return;
}

subtest 'S-40 C-008 every header with everything' => sub {
    my @names = names();
    ok((grep { $_ eq 'If-Match' } @names) && (grep { $_ eq 'Via' } @names), 'the names are found') or diag("@names");
    my (@wrong, %seen);
    for my $name (@names) {
        for my $what (sort keys %value) {
            my @requests = (['GET', $path]);
            push @requests, ['PATCH', $path, $patch] if $name =~ /^(?:If|Content|Accept|Auth)/;
            for my $request (@requests) {
                my $r = send_with($request, "$name: $value{$what}");
                my $why = wrong($r, $name);
                push @wrong, "$$request[0] $name, $what: $why" if $why;
                $seen{ $r->status }++;
            }
        }
    }
    is_deeply(\@wrong, [], join ', ', map { "$_ $seen{$_}" } sort keys %seen);
    is($s->get($path)->json->{title}, 'Guide', 'nothing has changed');
};

# What must be refused in any header, since it is none (RFC 9110 section 5.5).
subtest 'C-008 what is no header is 400' => sub {
    for my $name ('Authorization', 'Content-Type', 'Accept', 'If-Match', 'If-None-Match', 'X-Any') {
        for my $what ('NUL', 'CR', 'SOH', 'ESC', 'DEL') {
            is_error(send_with(['GET', $path], "$name: $value{$what}"), 400, undef, "$name: $what");
        }
    }
    is_error(send_with(['GET', $path], $_), 400, undef, 'a name that is none')
        for 'X Y: a', "X\x01: a", 'X : a', ': a', "X\xe9: a", '"X": a', 'X(Y): a';
};

subtest 'C-015 a token that something is wrong with' => sub {
    my $good = "Bearer $token";
    for my $value ('Bearer', 'Bearer ', "Bearer\t$token", "Bearer $token x", "Bearer $token, Bearer $token", "Bearer $token,", "Bearer \"$token\"",
        "Bearer $token=", "Bearer =$token", "$token", "Basic $token", "Bearer Bearer $token", "Token $token", "Bearer $token\xe9", "Bearer " . uc $token,
        'Bearer ' . substr($token, 0, -1), "Bearer ${token}0", 'Bearer ' . 'x' x 8000, "Bearer %6dscim_" . substr($token, 6), "Negotiate $token",
        "\"Bearer\" $token", "Bearer\xa0$token", "Bearer $token;", "Bearer $token#", "Bearer realm=\"x\", token=\"$token\"")
    {
        is_error(send_with(['GET', $path], "Authorization: $value"), 401, undef, substr $value =~ s/\Q$token\E/TOKEN/gr, 0, 60);
    }
    is_error(send_with(['GET', $path], "Authorization: $good\r\nAuthorization: $good"), 401, undef, 'two headers');
    is_error(send_with(['GET', $path], "Authorization: Basic eDp5\r\nAuthorization: $good"), 401, undef, 'two, of which the second is good');
    is(send_with(['GET', $path], "Authorization: $_")->status, 200, "good: $_" =~ s/\Q$token\E/TOKEN/r)
        for "bearer $token", "BEARER   $token", "   $good   ", "Bearer\r\n $token";
    is_error(send_with(['GET', $path], "Authorization: x\r\n$_: $good"), 401, undef, "$_ is not looked at")
        for 'Proxy-Authorization', 'X-Authorization', 'Cookie', 'X-Forwarded-Authorization', 'Authentication';
    is_error($s->get("$path?access_token=$token", authorization => undef), 401, undef, 'nor is a parameter');
};

subtest 'C-012 no header changes the method, the path or who asks' => sub {
    my $before = $s->get($path)->content;
    for my $name (qw(X-HTTP-Method-Override X-HTTP-Method X-Method-Override X-Original-Method)) {
        for my $method (qw(DELETE PUT PATCH POST)) {
            is($s->get($path, $name => $method)->content, $before, "$name: $method on GET");
        }
        is_error($s->post('/Users', user('bjensen'), $name => 'GET'), 409, 'uniqueness', "$name: GET on POST");
        is_error($s->post($path, user('x'), $name => 'PATCH'), 405, undef, "$name: PATCH on POST");
    }
    is($s->get($path, $_ => '/ServiceProviderConfig')->content, $before, $_)
        for qw(X-Original-URL X-Rewrite-URL X-Forwarded-Path X-Forwarded-Uri Content-Location Destination);
    is($s->get("$path?_method=DELETE")->content, $before, 'nor does a parameter');
    is_error($s->get($path, authorization => undef, $_ => 'admin'), 401, undef, $_) for qw(Remote-User X-Remote-User X-Forwarded-User From X-Scim-Tenant);
};

subtest 'C-223 C-227 If-Match in all its forms' => sub {
    my $etag = $s->get($path)->header('etag');
    my $strong = $etag =~ s{^W/}{}r;
    my %status = (
        $etag => 200, $strong => 200, '*' => 200, " $etag " => 200, "W/\"x\", $etag" => 200, "$etag, W/\"x\"" => 200, ",,$etag,," => 200,
        join(',', map { qq("$_") } 'a' .. 'zz') . ",$strong" => 200, "W/\"x\"\r\nIf-Match: $etag" => 200, "W/\"x\",\r\n $etag" => 200,
        'W/"x"' => 412, '""' => 412, 'W/' => 412, 'w/' . $strong => 412, "'" . ($strong =~ tr/"//dr) . "'" => 412, "\"$strong\"" => 412,
        "*, $etag" => 412, '"*"' => 412, 'W/*' => 412, $strong =~ tr/"//dr => 412, '"' . 'x' x 7000 . '"' => 412, "\xff" => 412,
    );
    for my $value (sort keys %status) {
        is(send_with(['PATCH', $path, $patch], "If-Match: $value")->status, $status{$value}, 'If-Match: ' . substr $value, 0, 40);
    }
    is(send_with(['PATCH', $path, $patch], 'If-Match:')->status, 412, 'an empty one matches nothing');
};

subtest 'C-008 HTTP/1.0, and what is no HTTP' => sub {
    my $head = "Authorization: Bearer $token\r\n";
    my $r = $s->raw("GET /scim/v2$path HTTP/1.0\r\n$head\r\n");
    is($r->json->{id}, $user->{id}, 'GET by HTTP/1.0');
    $r = $s->raw("PATCH /scim/v2$path HTTP/1.0\r\n${head}Content-Length: @{[ length $patch ]}\r\n\r\n$patch");
    is($r->status, 200, 'PATCH by HTTP/1.0');
    is_error($s->raw("PATCH /scim/v2$path HTTP/1.0\r\n$head\r\n"), 400, 'invalidSyntax', 'which cannot do without a length');
    # What version a number beyond 1.1 is, httpd decides.
    for my $version ('1.2', '1.10', '2.0', '9.9') {
        $r = $s->raw("GET /scim/v2/Users HTTP/$version\r\nHost: x\r\nConnection: close\r\n\r\n");
        like($r->status, qr/^(?:400|401|505)$/, "HTTP/$version without a token");
    }
    for my $line ('GET /scim/v2/Users HTTP/', 'GET /scim/v2/Users HTTX/1.1',
        'GET /scim/v2/Users http/1.1', 'GET /scim/v2/Users', 'GET  /scim/v2/Users HTTP/1.1', "GET\t/scim/v2/Users HTTP/1.1", 'GET', "\0\0\0", '',
        "GE\0T /scim/v2/Users HTTP/1.1", 'G' x 9000 . ' /scim/v2/Users HTTP/1.1', '{"schemas":[]}')
    {
        $r = $s->raw("$line\r\nHost: x\r\n${head}Connection: close\r\n\r\n");
        like($r->status, qr/^(?:0|400|405|414|501|505|599)$/, 'no request: ' . substr $line, 0, 40) or diag($r->content);
        unlike($r->content, qr/bjensen/, 'and nobody is told');
    }
};

$s->allow_log(qr/AH\d+: .*/);
$s->log_clean;
done_testing();
