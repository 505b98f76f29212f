#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What httpd and its other modules do to requests below an endpoint, and what
# a store that is not there does.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new(
    modules => [qw(rewrite authz_host)],
    conf => <<'EOT' . endpoint('/late'),
RewriteEngine On
RewriteRule ^/scim/v2/Forbidden - [F]
RewriteRule ^/scim/v2/Gone - [G]
RewriteRule ^/scim/v2/Locked - [R=423]
RewriteRule ^/scim/v2/Moved https://other.example/scim [R=302,L]
RewriteRule ^/alias/(.*) /scim/v2/$1 [PT]
RewriteRule ^/scim/v2/health$ /hello.txt [PT]
<Location "/scim/v2/Elsewhere">
    Redirect 301 https://other.example/scim
</Location>
<Location "/scim/v2/Unavailable">
    Redirect 503
</Location>
Header always set X-Always here
EOT
);
my $made = made($s, '/Users', user('bjensen'));
my $path = "/Users/$made->{id}";

subtest 'C-008 errors of other modules are told as SCIM, with their status' => sub {
    is_error($s->get('/Forbidden'), 403, undef, 'forbidden');
    is_error($s->get('/Gone'), 410, undef, 'gone, a status that SCIM does not know');
    is_error($s->get('/Locked'), 423, undef, 'locked, likewise');
    is_error($s->get('/Unavailable'), 503, undef, 'not available');
    my $head = $s->request('HEAD', '/Gone');
    is($head->status . $head->header('content-type') . $head->content, '410application/scim+json', 'HEAD');
};

subtest 'C-003 an error that httpd raises is labelled as asked for, too' => sub {
    is($s->get('/Gone', accept => 'application/json')->header('content-type'), 'application/json', 'application/json');
    is($s->get('/Gone', accept => 'text/html')->header('content-type'), 'application/scim+json', 'text/html');
};

subtest 'a redirection is one' => sub {
    for my $url ('/Moved', '/Elsewhere') {
        my $r = $s->get($url);
        like($r->status, qr/^30[12]$/, "$url: the status");
        is($r->header('location'), 'https://other.example/scim', "$url: where to");
        unlike($r->content, qr/urn:ietf/, "$url: no error");
    }
};

subtest 'C-029 a path that is rewritten leads into the endpoint, or out of it' => sub {
    my $r = $s->get($s->url("/alias$path"));
    is($r->status, 200, 'the status');
    is($r->json->{meta}{location}, $made->{meta}{location}, 'with its own URL');
    is_error($s->get($s->url("/alias$path"), authorization => undef), 401, undef, 'and its own rights');
    is_error($s->get($s->url('/alias/on-disk.txt')), 404, undef, 'no file is served');
    is($s->get('/health', authorization => undef)->content, "hello\n", 'what is rewritten to a file is that file');
};

subtest 'headers of the configuration are on every answer' => sub {
    is($s->get($_)->header('x-always'), 'here', $_) for $path, '/Users/none', '/Users/%2F', '/Gone', '/Users/' . 'x' x 9000;
    is($s->get($path, authorization => undef)->header('x-always'), 'here', 'no token');
};

subtest 'C-008 a store that is gone at a restart is 503 until it is back' => sub {
    my ($store, $url) = ($s->store, $s->store_url);
    $s->spoil_store;
    ok($s->graceful, 'the server goes on');
    $s->expect_log(qr/SCIM1302: SCIMStore \Q$url\E: .*the server goes on/, qr/SCIM1303: SCIMStore \Q$url\E: .*answered 503/);
    for my $request (['GET', '/Users'], ['GET', $path], ['POST', '/Users', user('x')], ['POST', '/Users', '{'], ['DELETE', $path],
        ['GET', '/Schemas'])
    {
        my ($method, $url, $body) = @$request;
        my $r = $s->request($method, $url, $body);
        is_error($r, 503, undef, "$method $url");
        like($r->header('retry-after') // '', qr/^\d+$/, "$method $url: Retry-After");
        unlike($r->content, qr/\Q$store\E/, "$method $url: no path is told");
    }
    is_error($s->get('/Users', authorization => undef), 401, undef, 'no token is 401 all the same');
    is($s->get('/ServiceProviderConfig', authorization => undef)->status, 200, 'what needs no store is there');
    is($s->get($s->url('/hello.txt'))->content, "hello\n", 'and so is the rest of the site');
    $s->mend_store;
    ok($s->graceful, 'another restart');
    is($s->get($path)->status, 200, 'it is back');
};

$s->log_clean;
done_testing();
