#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The Tenant URL that scimctl prints with a token: what httpd serves, as it wrote
# it down when it started.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;

# The URLs of a token for a tenant.
sub urls
{
    my ($s, $tenant) = @_;
    my ($code, $out, $err) = $s->scimctl(qw(token create --connection c --tenant), $tenant);
    die "token create: exit code $code\n$err" if $code;
    my ($lines) = $out =~ /\A(.*)^Secret Token: mscim_\w{49}\n\z/ms or die "token create printed\n$out";
    my @lines = split /\n/, $lines;
    die "token create printed\n$out" if grep { !/^Tenant URL: / } @lines;
    return [map { s/^Tenant URL: //r } @lines];
}

my $LOCATION_MATCH = tenant_endpoints();

my $s = Scim::Httpd->new(start => 0);
$s->scimctl(qw(tenant create acme));

subtest 'before httpd has started' => sub {
    is_deeply(urls($s, 'acme'), [], 'no URL');
    my ($code, $out, $err) = $s->scimctl(qw(token create --tenant acme --connection c --for entra));
    like($err, qr/Tenant URL is not known.*SCIMBaseURL.*Microsoft Entra admin center.*Tenant URL .*Secret Token .*Test Connection/s, 'it says where to find it');
};

$s->start;
subtest 'one endpoint' => sub {
    is_deeply(urls($s, 'acme'), [$s->base], 'its URL');
    is($s->get($s->base . '/Users')->status, 200, 'which is one');
    my $json = JSON::PP::decode_json(($s->scimctl(qw(--json token create --tenant acme --connection c)))[1]);
    is_deeply([@$json{qw(tenantUrl tenantUrls)}], [$s->base, [$s->base]], 'as JSON');
    my ($code, $out, $err) = $s->scimctl(qw(token rotate --tenant acme --connection c --for jumpcloud));
    like($out, qr/\ATenant URL: \Q@{[$s->base]}\E\nSecret Token: mscim_\w{49}\n\z/, 'with the next token, too');
    like($err, qr/JumpCloud.*Base URL .*Token Key .*Test User Email .*Activate/s, 'and the steps');
};

subtest 'many endpoints' => sub {
    $s->expect_log(qr/SCIM1314: SCIMTenant beta at line /);
    $s->write_conf(
        conf => endpoint('/only', 'SCIMTenant acme')
            . endpoint('/beta only', 'SCIMTenant beta')
            . endpoint('/by-host', 'SCIMTenant %{SERVER_NAME}')
            . endpoint('/proxied', 'SCIMBaseURL https://scim.example.com/x/')
            . endpoint('/terminal', "SCIMBaseURL https://scim.example.com/\e[31m")
            . endpoint('/off', 'SCIMEngine Off')
            . $LOCATION_MATCH
            . ($LOCATION_MATCH =~ s{/t/}{/u/}gr =~ s/SCIMTenant .*\n//r)
            . ($LOCATION_MATCH =~ s{/t/}{/w/}gr =~ s/SCIMTenant .*/SCIMTenant acme/r)
            . ($LOCATION_MATCH =~ s{SCIMBasePath .*}{SCIMBasePath /fixed/}r =~ s{/t/[^\n]*v2}{/fixed}r),
    );
    $s->restart;
    my $all = [map { $_ =~ /^http/ ? $_ : $s->url($_) } '/only', '/by-host', 'https://scim.example.com/x', '/t/acme/v2', '/fixed', '/scim/v2'];
    is_deeply([sort @{ urls($s, 'acme') }], [sort @$all], 'those that take the tenant and that can be told');
    $s->scimctl(qw(tenant create beta));
    is_deeply([grep { m{/t/|only} } @{ urls($s, 'beta') }], [$s->url('/beta%20only'), $s->url('/t/beta/v2')], 'those of another tenant');
    like(($s->scimctl(qw(token create --tenant beta --connection c)))[2], qr/Any of the Tenant URLs/, 'which one is said to be a choice');
};

subtest 'SCIMTenant at server level' => sub {
    $s->write_conf(conf => 'SCIMTenant acme');
    $s->graceful;
    is_deeply(urls($s, 'acme'), [$s->base], 'that tenant');
    is_deeply(urls($s, 'beta'), [], 'no other');
};

subtest 'a ServerName with its scheme' => sub {
    $s->write_conf(conf => 'ServerName https://scim.example.com:443');
    $s->restart;
    is_deeply(urls($s, 'acme'), ['https://scim.example.com/scim/v2'], 'without the port of https');
    $s->write_conf(conf => 'ServerName https://scim.example.com:8443');
    $s->restart;
    is_deeply(urls($s, 'acme'), ['https://scim.example.com:8443/scim/v2'], 'with another port');
    $s->write_conf(conf => 'ServerName scim.example.com:443');
    $s->restart;
    is_deeply(urls($s, 'acme'), ['https://scim.example.com/scim/v2'], 'the port of https');
};

subtest 'TLS' => sub {
    my $tls = Scim::Tls->new;
    my $more = endpoint('/more');
    $s->write_conf(modules => ['ssl', 'socache_shmcb'], conf => $tls->host($more));
    $s->restart;
    is_deeply([sort @{ urls($s, 'acme') }], [map { $tls->url($_) } '/more', '/scim/v2'], 'HTTPS where there is both');
    is($tls->get($s, '/scim/v2/Users')->status, 200, 'which is one');
};

subtest 'read-only servers' => sub {
    $s->write_conf(modules => [], conf => 'SCIMReadOnly On', locations => endpoint('/other'));
    $s->restart;
    is_deeply([map { m{/other} } @{ urls($s, 'acme') }], [], 'write nothing down');
};

subtest 'an endpoint at the root' => sub {
    $s->write_conf(conf => '', locations => endpoint('/'));
    $s->restart;
    is_deeply(urls($s, 'acme'), [$s->url], 'has no slash at its end');
};

$s->log_clean;
done_testing();
