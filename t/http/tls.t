#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# SCIMRequireTLS: who may speak plain HTTP.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new(
    conf => endpoint('/on', 'SCIMRequireTLS On')
        . endpoint('/off', 'SCIMRequireTLS Off')
        . endpoint('/expr', 'SCIMRequireTLS "expr=%{HTTP:X-Forwarded-Proto} != \'https\'"')
        . endpoint('/never', 'SCIMRequireTLS expr=false')
        . endpoint('/always', 'SCIMRequireTLS expr=true')
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

# mod_ssl is there wherever httpd is, and an endpoint behind TLS needs no leave.
subtest 'C-017 a section within may ask for more' => sub {
    my $r = $s->get($s->url('/off/inner/Users'), 'x-forwarded-for' => '192.0.2.1');
    is_error($r, 403, undef, 'On within Off');
};

$s->log_clean;
done_testing();
