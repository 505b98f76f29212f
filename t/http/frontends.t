#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What may stand between a client and the endpoint: a reverse proxy, one that ends TLS,
# HTTP/2, filters that compress, mod_ratelimit and others.  Through each of them the same
# is asked for, and must be answered as if nothing were there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;

my $json = JSON::PP->new->utf8->canonical;
my $tls = Scim::Tls->new;

# Ports of the proxies, and the one that they lead to.
my ($plain, $keyed, $backend) = do {
    my @sockets = map { IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no free port: $!\n" } 1 .. 3;
    map { $_->sockport } @sockets;
};

# What README has for a proxy that ends TLS, and for the endpoint behind it.
my ($front, $behind) = slurp("$FindBin::Bin/../../README") =~ m{^Behind a proxy\n=+\n.*?^( *<VirtualHost .*?</VirtualHost>\n).*?^( *<Location .*?</Location>\n)}ms
    or die "README has no \"Behind a proxy\" with both ends of it\n";

# ... with other names and addresses.
sub as_here
{
    my ($text, %other) = @_;
    for my $from (sort { length $b <=> length $a } keys %other) {
        $text =~ s/\Q$from\E/$other{$from}/g or die "README has no $from in:\n$text\n";
    }
    return $text;
}

my @compress = ('AddOutputFilterByType DEFLATE application/scim+json', 'SetInputFilter DEFLATE');

# One by TLS and HTTP/2, and one without.
sub proxies
{
    my %both = ('scim.example.com' => '127.0.0.1', 'http://10.0.0.9/scim/v2' => "http://127.0.0.1:$backend/behind");
    my $with = as_here($front, %both, '*:443' => "127.0.0.1:$keyed", 'SSLEngine On' => "Protocols h2 http/1.1\nSSLEngine On",
        '/etc/ssl/scim.example.com.pem' => "$tls->{dir}/server.pem", '/etc/ssl/private/scim.example.com.key' => "$tls->{dir}/server.key");
    my $without = as_here($front, %both, '*:443' => "127.0.0.1:$plain") =~ s/^ *SSL.*\n//mgr =~ s{(?=</Virt)}{ProxyPass /unsaid http://127.0.0.1:$backend/unsaid\n}r;
    return "Listen 127.0.0.1:$backend\nListen 127.0.0.1:$keyed\nListen 127.0.0.1:$plain\n$with$without";
}

my $s = Scim::Httpd->new(
    mpm => 'event', # mod_http2 does not do with prefork
    modules => [qw(ssl socache_shmcb http2 filter deflate brotli proxy proxy_http ratelimit reqtimeout request remoteip logio buffer)],
    conf => "Protocols h2c http/1.1\nRequestReadTimeout header=20-40,minrate=500 body=20,minrate=500\n"
        . as_here($behind, '"/scim/v2"' => '/behind', '10.0.0.5' => '127.0.0.1')
        . endpoint('/unsaid', '')
        . endpoint('/gzip', @compress)
        . endpoint('/brotli', 'AddOutputFilterByType BROTLI_COMPRESS application/scim+json')
        . endpoint('/limited', 'SetOutputFilter RATE_LIMIT', 'SetEnv rate-limit 4000')
        . endpoint('/small', 'LimitRequestBody 100000')
        . endpoint('/kept', 'KeptBodySize 1000000', 'SetInputFilter BUFFER')
        . $tls->host('Protocols h2 http/1.1', endpoint('/secure', @compress))
        . proxies(),
);

# A request by curl: its options first, then the method, the URL, and what else there is.
# Without options, by a connection that is kept.
sub ask
{
    my ($options, $method, $url, %arg) = @_;
    return ($s->request($method, $url, $arg{body}, %{ $arg{headers} || {} }), '1.1')[wantarray ? (0, 1) : 0] if !$options;
    my %headers = (authorization => 'Bearer ' . $s->token, %{ $arg{headers} || {} });
    my @command = ('curl', '-s', '-i', '--max-time', 60, '--cacert', "$tls->{dir}/server.pem", @$options);
    push @command, $method eq 'HEAD' ? '-I' : ('-X', $method);
    if (defined $arg{body}) {
        $headers{'content-type'} //= 'application/scim+json';
        push @command, '--data-binary', ref $arg{body} ? $json->encode($arg{body}) : $arg{body};
    }
    push @command, map { ('-H', "$_: $headers{$_}") } grep { defined $headers{$_} } sort keys %headers;
    open my $out, '-|', @command, $url or die "curl: $!\n";
    my $bytes = do { local $/; <$out> } // '';
    close $out;
    my $version = join ' ', $bytes =~ m{^HTTP/([0-9.]+) (?!1)\d}mg;
    # Of an upgrade, and of a 100, only what follows is the answer.  What was compressed
    # is as long as curl has made it.
    $bytes =~ s{\AHTTP/\S+ 1\d\d .*?\r\n\r\n}{}s;
    $bytes =~ s{^(?:content-length|transfer-encoding):[^\n]*\n}{}mgi if $method ne 'HEAD';
    my $response = Scim::Httpd::Response->parse($bytes, 1, $method eq 'HEAD')
        // Scim::Httpd::Response->new(status => 599, content => "no whole answer, but: $bytes");
    return wantarray ? ($response, $version) : $response;
}

my $members = 500; # whose group is sent in more than one piece
my @ids;

# Members for a group whose body is no small one.
sub make_members
{
    my @operations = map { { method => 'POST', path => '/Users', bulkId => "m$_", data => user("member-$_") } } 1 .. $members;
    while (my @part = splice @operations, 0, 300) {
        my $done = $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@part });
        push @ids, map { $_->{location} =~ m{([^/]+)$} } @{ $done->json->{Operations} };
    }
    is(scalar @ids, $members, 'there are members');
}

my $number = 0;

# A user's life, and that of a large group, through one front end.
sub lives_through
{
    my ($name, $options, $url, %want) = @_;
    my $ask = sub { return scalar ask($options, $_[0], $url . $_[1], @_[2 .. $#_]) };
    subtest "C-030 C-060 C-188 C-150 $name" => sub {
        my $user = 'front-' . ++$number;
        my ($made, $version) = ask($options, 'POST', "$url/Users", body => user($user));
        is($made->status, 201, 'a user is created') or return diag($made->content);
        is($version, $want{version} // '1.1', 'by that version of HTTP');
        my $path = '/Users/' . $made->json->{id};
        is($made->header('location'), ($want{base} // $url) . $path, 'Location is the URL as clients have it');
        is($made->json->{meta}{location}, $made->header('location'), 'and meta.location');

        my $read = $ask->('GET', $path);
        my $etag = $read->header('etag');
        is($read->status, 200, 'it is read');
        is_deeply($read->json, $made->json, 'as it was made');
        is($ask->('HEAD', $path)->status, 200, 'HEAD');
        like($etag, qr{^W/"1$want{suffix}"$}, "its ETag is $etag") if defined $want{suffix};
        is($ask->('GET', $path, headers => { 'if-none-match' => $etag })->status, 304, 'C-150 If-None-Match');

        my $patch = { schemas => [$PATCH_OP], Operations => [{ op => 'replace', path => 'title', value => "\x{e9}t\x{e9}" }] };
        my $changed = $ask->('PATCH', $path, body => $patch, headers => { 'if-match' => $etag });
        is($changed->status, 200, 'C-150 PATCH with the ETag that was told');
        is($changed->json->{title}, "\x{e9}t\x{e9}", 'changes it');
        is_error($ask->('PUT', $path, body => user($user), headers => { 'if-match' => $etag }), 412, undef, 'C-150 that is past then');
        is($ask->('PUT', $path, body => user($user), headers => { 'if-match' => $changed->header('etag') })->status, 200, 'PUT with the next');
        is($ask->('GET', '/Users?filter=' . esc(qq(userName eq "$user")))->json->{totalResults}, 1, 'a filter with blanks and quotes');
        is($ask->('POST', '/Users/.search', body => { schemas => ['urn:ietf:params:scim:api:messages:2.0:SearchRequest'], filter => qq(userName eq "$user") })->json->{totalResults}, 1, 'and in a body');

        my $group = { schemas => [$GROUP], displayName => "group-$number", members => [map { { value => $_ } } @ids] };
        my $large = $ask->('POST', '/Groups', body => $group);
        is($large->status, 201, 'a large group is created') or diag($large->content);
        $path = '/Groups/' . $large->json->{id};
        my $whole = $ask->('GET', $path);
        is(scalar @{ $whole->json->{members} || [] }, $members, 'and read, whole');
        my $taken = { schemas => [$PATCH_OP], Operations => [{ op => 'remove', path => qq(members[value eq "$ids[0]"]) }] };
        is($ask->('PATCH', $path, body => $taken, headers => { 'if-match' => $whole->header('etag') })->status, 204, 'C-150 PATCH of it with its ETag');
        is($ask->('DELETE', $path, body => '{}')->status, 204, 'DELETE with a body');

        is_error($ask->('GET', $path), 404, undef, 'an error is one of SCIM');
        my $nobody = $ask->('GET', '/Users', headers => { authorization => undef });
        is_error($nobody, 401, undef, 'without a token');
        like($nobody->header('www-authenticate'), qr/^Bearer /, 'with the challenge');
        is($ask->('DELETE', '/Users/' . $made->json->{id})->status, 204, 'and it is gone');
    };
}

make_members();
my $direct = $s->url;
my $secure = $tls->url('');
lives_through('HTTP/1.1', undef, "$direct/scim/v2", suffix => '');
lives_through('HTTP/2 over TLS, compressed', ['--http2', '--compressed'], "$secure/secure", version => '2', suffix => '-gzip');
lives_through('mod_deflate', ['-H', 'Accept-Encoding: gzip', '--compressed'], "$direct/gzip", suffix => '-gzip');
lives_through('mod_brotli', ['-H', 'Accept-Encoding: br', '--compressed'], "$direct/brotli", suffix => '-br');
lives_through('mod_ratelimit', undef, "$direct/limited", suffix => '');
lives_through('mod_request and mod_buffer', undef, "$direct/kept", suffix => '');
lives_through('a reverse proxy', undef, "http://127.0.0.1:$plain/scim/v2", base => 'https://scim.example.com/scim/v2', suffix => '');
lives_through('one that speaks HTTP/2 over TLS', ['--http2'], "https://127.0.0.1:$keyed/scim/v2", base => 'https://scim.example.com/scim/v2', version => '2', suffix => '');

# Only a request without a body can ask for it, and curl takes only a small answer with it.
subtest 'C-060 HTTP/2 by upgrade, and at once' => sub {
    my $made = made($s, '/Users', user('upgraded'));
    my ($r, $version) = ask(['--http2'], 'GET', "$direct/scim/v2/Users/$made->{id}");
    is($version, '2', 'of a plain connection');
    is_deeply($r->json, $made, 'with the answer');
    ($r, $version) = ask(['--http2-prior-knowledge'], 'PUT', "$direct/scim/v2/Users/$made->{id}", body => user('upgraded', title => 'x'));
    is($version . ' ' . $r->status, '2 200', 'and without one, PUT');
    ($r, $version) = ask(['--http2'], 'DELETE', "$direct/scim/v2/Users/$made->{id}");
    is($version . ' ' . $r->status, '2 204', 'DELETE');
};

subtest 'C-017 a proxy of which nothing is said is no TLS' => sub {
    is_error(scalar ask([], 'GET', "http://127.0.0.1:$plain/unsaid/Users"), 403, undef, 'forwarded');
    is_error(scalar ask([], 'GET', "$direct/behind/Users", headers => { 'x-forwarded-proto' => 'http' }), 403, undef, 'by HTTP before the proxy');
};

subtest 'C-270 LimitRequestBody is what clients are told of' => sub {
    is($s->get("$direct/small/ServiceProviderConfig")->json->{bulk}{maxPayloadSize}, 100000, 'where it is smaller than SCIMBulk has it');
    is($s->get('/ServiceProviderConfig')->json->{bulk}{maxPayloadSize}, 4 << 20, 'and SCIMBulk where it is not');
};

$s->log_clean;
done_testing();
