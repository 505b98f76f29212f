#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# SCIMRequireTLS: who may speak plain HTTP.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;

# Servers are all at 127.0.0.1, and so is who asks them, unless it says
# otherwise: this one is a proxy that is trusted.
my $PROXY = '127.0.0.2';
my $by_proxy = "expr=! (%{HTTP:X-Forwarded-Proto} == 'https' && %{CONN_REMOTE_ADDR} == '$PROXY')";
my $tls = Scim::Tls->new;

my $s = Scim::Httpd->new(
    modules => [qw(ssl socache_shmcb)],
    conf => endpoint('/on', 'SCIMRequireTLS On')
        . endpoint('/off', 'SCIMRequireTLS Off')
        . endpoint('/expr', 'SCIMRequireTLS "expr=%{HTTP:X-Forwarded-Proto} != \'https\'"')
        . endpoint('/never', 'SCIMRequireTLS expr=false')
        . endpoint('/always', 'SCIMRequireTLS expr=true')
        . endpoint('/proxied', qq(SCIMRequireTLS "$by_proxy"))
        . endpoint('/if', 'SCIMRequireTLS Off', q(<If "%{HTTP:X-Forwarded-Proto} != 'https'">), 'SCIMRequireTLS On', '</If>')
        . $tls->host(endpoint('/secure', 'SCIMRequireTLS On'), endpoint('/expr', 'SCIMRequireTLS expr=true'))
        . "<Location /off/inner>\nSCIMRequireTLS On\n</Location>\n",
);

sub get_at
{
    my ($base, %headers) = @_;
    return $s->get($s->url("$base/Users"), %headers);
}

subtest 'C-017 plain HTTP from this machine is served, unless it was forwarded' => sub {
    for my $base ('/scim/v2', '/on', '/always') {
        is(get_at($base)->status, 200, "$base: from this machine");
        for my $header (
            ['x-forwarded-for' => '192.0.2.1'],
            ['X-Forwarded-For' => '127.0.0.1'],
            ['x-forwarded-proto' => 'https'],
            ['x-forwarded-host' => 'scim.example.com'],
            ['forwarded' => 'for=192.0.2.1;proto=https'],
        ) {
            is_error(get_at($base, @$header), 403, undef, "$base: @$header");
        }
    }
};

subtest 'C-017 it is refused before all else' => sub {
    my @forwarded = ('x-forwarded-for' => '192.0.2.1');
    like(get_at('/on', @forwarded)->json->{detail}, qr/https.*SCIMRequireTLS/, 'the detail says what to do');
    is_error(get_at('/on', @forwarded, authorization => undef), 403, undef, 'without a token');
    is_error($s->get('/ServiceProviderConfig', @forwarded, authorization => undef), 403, undef, 'where no token is asked for');
    is_error($s->get('/Nothing', @forwarded), 403, undef, 'what is not there');
    is_error($s->post('/Users', '{', @forwarded), 403, undef, 'a bad body');
    is(get_at('/scim/v2')->json->{totalResults}, 0, 'nothing was made');
};

subtest 'C-017 SCIMRequireTLS Off asks for nothing' => sub {
    is(get_at('/off')->status, 200, 'from this machine');
    is(get_at('/off', 'x-forwarded-for' => '192.0.2.1')->status, 200, 'forwarded');
    is(get_at('/off', authorization => undef)->status, 401, 'but a token');
};

subtest 'C-017 an expression says when TLS is required' => sub {
    is(get_at('/expr', 'x-forwarded-proto' => 'https')->status, 200, 'not for what a proxy took by TLS');
    is_error(get_at('/expr', 'x-forwarded-proto' => 'http'), 403, undef, 'but for what it took without');
    is(get_at('/expr')->status, 200, 'from this machine it is not asked for');
    is(get_at('/never', 'x-forwarded-for' => '192.0.2.1')->status, 200, 'never');
};

subtest 'C-017 a section within may ask for more' => sub {
    my $r = $s->get($s->url('/off/inner/Users'), 'x-forwarded-for' => '192.0.2.1');
    is_error($r, 403, undef, 'On within Off');
    is_error(get_at('/if', 'x-forwarded-for' => '192.0.2.1'), 403, undef, 'an <If> that holds');
    is(get_at('/if', 'x-forwarded-proto' => 'https')->status, 200, 'one that does not');
};

subtest 'C-017 TLS is TLS, whatever else is said' => sub {
    for my $base (qw(/secure /expr)) {
        is($tls->get($s, "$base/Users")->status, 200, "$base: over TLS");
        for my $header (['x-forwarded-for' => '192.0.2.1'], ['x-forwarded-proto' => 'http'], [forwarded => 'for=192.0.2.1;proto=http']) {
            is($tls->get($s, "$base/Users", headers => {@$header})->status, 200, "$base: @$header");
        }
    }
    my $id = made($s, '/Users', user('by-tls'))->{id};
    my $location = $tls->get($s, "/secure/Users/$id")->json->{meta}{location};
    is($location, $tls->url("/secure/Users/$id"), 'and URLs are https');
};

# As a client or a proxy that comes from that address.
sub get_from
{
    my ($server, $address, $base, %headers) = @_;
    my $http = HTTP::Tiny->new(local_address => $address, proxy => undef, http_proxy => undef);
    my $got = $http->get($server->url("$base/Users"), { headers => { authorization => 'Bearer ' . $server->token, %headers } });
    return Scim::Httpd::Response->new(%$got);
}

my @https = ('x-forwarded-proto' => 'https');
my @http = ('x-forwarded-proto' => 'http');

subtest 'C-017 what a proxy says counts where the configuration says which' => sub {
    is(get_from($s, $PROXY, '/proxied', @https)->status, 200, 'the proxy that is named');
    is(get_from($s, $PROXY, '/proxied', @https, 'x-forwarded-for' => '192.0.2.1')->status, 200, 'and whom it speaks for');
    is_error(get_from($s, $PROXY, '/proxied', @http), 403, undef, 'what it took without TLS');
    is_error(get_from($s, $PROXY, '/proxied', 'x-forwarded-proto' => 'https, http'), 403, undef, 'what it is not sure of');
    is_error(get_from($s, $_, '/proxied', @https), 403, undef, "the same words from $_") for '127.0.0.1', '127.0.0.3';
    for my $base (qw(/scim/v2 /on /always)) {
        is_error(get_from($s, $_, $base, @https), 403, undef, "$base believes nobody: $_") for $PROXY, '127.0.0.1';
    }
};

$s->log_clean;

# mod_remoteip takes the header away that it believes, and says who the client
# behind the proxy is: that is no reason to take the client for this machine.
subtest 'C-017 behind mod_remoteip' => sub {
    my $behind = Scim::Httpd->new(
        modules => ['remoteip'],
        conf => "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy $PROXY\n" . endpoint('/proxied', qq(SCIMRequireTLS "$by_proxy")),
    );
    my @client = ('x-forwarded-for' => '192.0.2.1');
    is_error(get_from($behind, $PROXY, '/scim/v2', @client), 403, undef, 'a client behind the proxy');
    is_error(get_from($behind, $PROXY, '/scim/v2', @client, @https), 403, undef, 'that says it speaks TLS');
    is_error(get_from($behind, $PROXY, '/scim/v2', 'x-forwarded-for' => "127.0.0.1, $_"), 403, undef, "one that claims to be this machine: $_")
        for '192.0.2.1', '127.0.0.5';
    is(get_from($behind, $PROXY, '/proxied', @client, @https)->status, 200, 'an expression that asks for the peer of the socket');
    is_error(get_from($behind, $PROXY, '/proxied', @client, @http), 403, undef, 'without TLS before the proxy');
    is_error(get_from($behind, '127.0.0.1', '/proxied', @client, @https), 403, undef, 'from somebody else');
    is_error(get_from($behind, '127.0.0.1', '/proxied', 'x-forwarded-for' => $PROXY, @https), 403, undef, 'that claims to be the proxy');
    is(get_from($behind, '127.0.0.1', '/scim/v2')->status, 200, 'this machine itself');
    $behind->log_clean;
};

done_testing();
