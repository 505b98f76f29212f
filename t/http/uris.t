#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every route by every way to write its path, over HTTP/1.1 and HTTP/2: nobody
# gets past the token by spelling, and whoever has one reads or changes nothing
# but what the path names.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Scim::Routes;
use Test::More;

my $CONFIG = 'urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig';

my $s = Scim::Httpd->new(
    mpm => 'event', # the one for mod_http2
    modules => ['http2'],
    conf => "<IfModule http2_module>\nProtocols h2c http/1.1\n</IfModule>\n" . tenant_endpoints(),
);
my $user = made($s, '/Users', user('nobody-reads-me', title => 'Guide'));
my $group = made($s, '/Groups', group('Nobody sees us', $user->{id}));
my $secret = qr/nobody-reads-me|Nobody sees us|\Q$user->{id}\E|\Q$group->{id}\E/;
my %body = (
    POST => JSON::PP::encode_json(user('made-by-nobody')),
    PUT => JSON::PP::encode_json(user('nobody-reads-me', title => 'changed')),
    PATCH => JSON::PP::encode_json(ops(['replace', 'title', 'changed'])),
);

# [method, path] of every route.
sub requests
{
    my %id = (Users => $user->{id}, Groups => $group->{id});
    return map { [$_->{method}, id_path($_, $id{ $_->{endpoint} // 'Users' }) =~ s/\{name\}/User/r] } routes();
}

# Ways to write /scim/v2$path.
sub spellings
{
    my ($path) = @_;
    my $whole = "/scim/v2$path";
    my ($last) = $path =~ m{([^/]*)$};
    my $encode = sub { join '', map { sprintf '%%%02x', ord } split //, $_[0] };
    my @all = (
        $whole, "$whole/", "$whole//", "/$whole", "//$whole", $whole =~ s{/}{//}gr, "/.$whole", "/x/..$whole", "/hello.txt/..$whole",
        "/scim/./v2$path", "/scim/v2/.$path", "/scim/v2/x/..$path", "/scim/v2/../v2$path", "/scim/v3/../v2$path", "/../..$whole",
        "/%2e$whole", "/x/%2e%2e$whole", "/x/.%2E$whole", "/scim/v2/ServiceProviderConfig/..$path",
        "/scim/v2/ServiceProviderConfig/%2e%2e$path", "/scim/v2/ServiceProviderConfig/%2E.$path", "/scim/v2/ServiceProviderConfig%2f..$path",
        "/scim/v2/ServiceProviderConfig%2f%2e%2e$path", "/scim/v2/ServiceProviderConfig/..;$path", "/scim/v2/ServiceProviderConfig;$path",
        "/scim/v2/ServiceProviderConfig%00$path", "/scim/v2/ServiceProviderConfig$path", "/scim/v2/serviceProviderConfig/..$path",
        "/scim%2fv2$path", "/scim/v2%2f" . substr($path . '/', 1), $whole =~ s{/}{%2F}gr, $whole =~ s{/}{%5c}gr, $whole =~ s{/}{\\}gr,
        $whole =~ s{/([^/]*)$}{/%2e/$1}r, "$whole;x", "$whole;x=1", "$whole%3bx", "$whole;/", "/scim/v2;x$path", "/scim;v2=x/v2$path",
        "$whole%00", "$whole%00.json", "$whole.json", "$whole.scim", "$whole%u002f", $whole =~ s{/}{%u002f}gr, "$whole%c0%af",
        $whole =~ s{/}{%c0%af}gr, $whole =~ s{/}{%252f}gr, "$whole%20", "%20$whole", "$whole%09", "$whole%0d%0aAuthorization:%20x", "$whole%23",
        "$whole%3f", "$whole?", "$whole?x=y&x", "$whole?/../ServiceProviderConfig", "$whole?;%00", uc $whole, lc $whole, ucfirst $whole,
        $encode->($whole), '/' . $encode->(substr $whole, 1), '/' . join('/', map { $encode->($_) } split m{/}, substr $whole, 1),
        '/scim/v2/' . $encode->(substr "$path/", 1), "/scim/v2$path" =~ s/s/%73/gr, "/scim/v2$path" =~ s/s/%2573/gr, "/SCIM/v2$path", "/scim/V2$path",
        "/scim/v2%20$path", "/scim/v2./$path", "/scim/v2/*$path", "$whole/*", "$whole~", "$whole/" . 'x' x 4000, "$whole/" . './' x 2000,
        '/x/../' x 1000 . "scim/v2$path", "$whole?" . 'x' x 4000, "http://127.0.0.1$whole", "HTTP://127.0.0.1:1$whole", "https://evil.example$whole",
        "http://user:pass\@evil.example$whole", "/t/default/v2$path", "/t/default/v2/$last", "/t/%64efault/v2$path", "/t/default%2fv2$path",
        "/t/default/v2%00$path", "/t/x/../default/v2$path", "/t/DEFAULT/v2$path", "/T/default/v2$path", "/t//default/v2$path",
    );
    return @all;
}

# --- HTTP/1.1 ----------------------------------------------------------------

sub ask
{
    my ($method, $target, @headers) = @_;
    return $s->raw_kept(join "\r\n", "$method $target HTTP/1.1", 'Host: 127.0.0.1', @headers,
        $body{$method} ? ('Content-Type: application/scim+json', 'Content-Length: ' . length $body{$method}) : (), '', $body{$method} // '');
}

# Why an answer to nobody is wrong; undef where it is right.
sub told_nobody
{
    my ($r) = @_;
    my $status = $r->status;
    return "told to nobody: " . $r->content if $r->content =~ $secret;
    return if $status =~ /^4\d\d$/;
    # The one thing that anybody may read.
    return if $status == 200 && ref $r->json eq 'HASH' && ($r->json->{schemas}[0] // '') eq $CONFIG;
    return "$status " . substr $r->content, 0, 200;
}

my @all = map { my $route = $_; map { [$route->[0], $_] } spellings($route->[1]) } requests();
my %nobody = (
    'no token' => [],
    'a token of nobody' => ['Authorization: Bearer mscim_' . 'x' x 49],
    'a person' => ['Authorization: Basic dXNlcjpwYXNz'],
);

subtest 'C-011 C-014 nobody gets in, however the path is written' => sub {
    cmp_ok(scalar @all, '>', 2000, 'there are enough');
    for my $who (sort keys %nobody) {
        my @wrong;
        my %seen;
        for my $request (@all) {
            my $r = ask(@$request, @{ $nobody{$who} });
            my $why = told_nobody($r);
            push @wrong, substr("@$request", 0, 100) . ": $why" if $why;
            $seen{ $r->status }++;
        }
        is_deeply(\@wrong, [], "$who: " . join ', ', map { "$_ $seen{$_}" } sort keys %seen);
        cmp_ok($seen{401}, '>', 1000, "$who: most are 401");
    }
    is($s->get("/Users/$user->{id}")->json->{title}, 'Guide', 'nothing has changed');
    is($s->get('/Users?count=0')->json->{totalResults}, 1, 'nobody was made');
};

# --- with a token ------------------------------------------------------------

subtest 'C-011 S-40 a path leads to what it names, or nowhere' => sub {
    my (@wrong, %seen);
    my $location = { "/Users/$user->{id}" => $user->{meta}{location}, "/Groups/$group->{id}" => $group->{meta}{location} };
    for my $path (sort keys %$location) {
        for my $spelling (spellings($path)) {
            my $r = ask('GET', $spelling, 'Authorization: Bearer ' . $s->token);
            $seen{ $r->status }++;
            if ($r->status == 200) {
                my $json = $r->json;
                my $there = ($json->{meta}{location} // '') =~ s{/t/default/v2/}{/scim/v2/}r;
                # A list, or the configuration, is what a shorter path names.
                push @wrong, "$spelling: is " . substr $r->content, 0, 200
                    if $there ne $location->{$path} && ($json->{schemas}[0] // '') !~ /ListResponse|ServiceProviderConfig/;
            } elsif ($r->status !~ /^4\d\d$/) {
                push @wrong, "$spelling: " . $r->status;
            }
            push @wrong, "$spelling: an answer of " . length $r->content if $r->status >= 400 && length $r->content > 1500;
            push @wrong, "$spelling: $1" if $r->status >= 400 && $r->content =~ m{(/tmp/[^"]*|/home[^"]*|\w+\.c\b)};
        }
    }
    is_deeply(\@wrong, [], 'all of them');
    cmp_ok($seen{200}, '>', 30, 'some lead there');
    cmp_ok($seen{404}, '>', 30, 'some do not');
};

subtest 'C-008 request targets that are no paths' => sub {
    for my $token ([], ['Authorization: Bearer ' . $s->token]) {
        for my $target ('*', 'scim/v2/Users', 'Users', 'http://', 'http:///scim/v2/Users', 'http:/scim/v2/Users', 'x:/scim/v2/Users', '127.0.0.1:80', '?',
            '?/scim/v2/Users', '#', ':', '@', '%2fscim%2fv2%2fUsers', '//', '/', '///scim', "/scim/v2/Users HTTP/1.1 x", "/scim/v2/Us\ters",
            "/scim/v2/Users\x01", "/scim/v2/Users\x80", "/scim/v2/Users\x7f", "/scim/v2/Users?\x01", "/scim/v2/\"><script>", '')
        {
            for my $method (qw(GET OPTIONS CONNECT DELETE)) {
                my $r = ask($method, $target, @$token, 'Connection: close');
                like($r->status, @$token ? qr/^[24]\d\d$/ : qr/^(?:4\d\d|200|204)$/, "$method $target");
                unlike($r->content, $secret, "$method $target: nobody is told") if !@$token;
            }
        }
    }
    is($s->get("/Users/$user->{id}")->json->{title}, 'Guide', 'nothing has changed');
};

# --- HTTP/2 ------------------------------------------------------------------

sub curl
{
    my ($config) = @_;
    my $file = File::Temp->new;
    print $file $config;
    close $file;
    my $out = qx{curl --http2-prior-knowledge --path-as-is --globoff --silent --show-error --max-time 120 --config $file 2>&1};
    return $out;
}

sub curl_config
{
    my (@requests) = @_;
    my $n = 0;
    return join "next\n", map {
        my ($method, $target, @headers) = @$_;
        my $with = $body{$method} && grep { /mscim_/ } @headers; # who has a token sends a body
        $n++;
        join '', qq(url = "$target"\n), qq(request = "$method"\n), map({ qq(header = ") . s/"/\\"/gr . qq("\n) } @headers),
            $with ? (qq(header = "Content-Type: application/scim+json"\n), 'data = "' . $body{$method} =~ s/"/\\"/gr . qq("\n)) : (),
            qq(write-out = "\\n==$n %{http_version} %{http_code}\\n"\n),
    } @requests;
}

SKIP: {
    my $probe = curl(curl_config(['GET', $s->url('/scim/v2/ServiceProviderConfig')]));
    skip 'no HTTP/2 here (mod_http2, or curl with it)', 1 if $probe !~ /^==1 2 200$/m;

    subtest 'C-011 C-014 nobody gets in by HTTP/2' => sub {
        # What curl can send: no absolute form, nothing that is no URL.
        my @urls = grep { $_->[1] =~ m{^/} && $_->[1] !~ /[\\ "]/ } @all;
        # Without a body: curl calls it a failure when the answer is there before that is sent.
        my @requests = map { [$_->[0], $s->url($_->[1]), @{ $nobody{ $_->[1] =~ /%/ ? 'no token' : 'a person' } }] } @urls;
        my $out = curl(curl_config(@requests));
        my (%seen, @wrong);
        my $before = 0;
        while ($out =~ /^==(\d+) (\S+) (\d+)$/mg) {
            my ($n, $version, $status) = ($1, $2, $3);
            my $answer = Scim::Httpd::Response->new(status => $status, content => substr $out, $before, $-[0] - 1 - $before);
            $before = $+[0] + 1;
            my $why = $version ne '2' ? "HTTP/$version" : told_nobody($answer);
            push @wrong, substr("@{ $requests[$n - 1] }", 0, 100) . ": $why" if $why;
            $seen{$status}++;
        }
        my $answers = 0;
        $answers += $_ for values %seen;
        is($answers, scalar @requests, 'all are answered');
        is_deeply(\@wrong, [], join ', ', map { "$_ $seen{$_}" } sort keys %seen);
        is($s->get("/Users/$user->{id}")->json->{title}, 'Guide', 'nothing has changed');
        is($s->get('/Users?count=0')->json->{totalResults}, 1, 'nobody was made');
    };

    subtest 'C-030 C-060 C-172 a life by HTTP/2' => sub {
        my @token = 'Authorization: Bearer ' . $s->token;
        my $out = curl(curl_config(['POST', $s->url('/scim/v2/Users'), @token]));
        my ($made) = $out =~ /^(\{.*\})$/m;
        my $location = JSON::PP::decode_json($made)->{meta}{location};
        like($out, qr/^==1 2 201$/m, 'created');
        my @steps = (
            ['GET', $location, @token], ['PATCH', $location, @token], ['GET', $location, @token, 'If-None-Match: *'],
            ['GET', $location, @token, 'If-Match: W/"9"'], ['DELETE', $location, @token], ['GET', $location, @token],
        );
        $out = curl(curl_config(@steps));
        is(join(' ', $out =~ /^==\d+ 2 (\d+)$/mg), '200 200 304 412 204 404', 'read, changed, not modified, refused, deleted, gone');
    };
}

$s->allow_log(qr/AH10244: invalid URI path/, qr/AH0\d+: .*(?:invalid|malformed|unsupported|scheme)/i, qr/SCIM1002: /);
$s->log_clean;
done_testing();
