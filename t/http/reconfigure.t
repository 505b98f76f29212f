#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A graceful restart with another configuration: endpoints are added, removed, given
# to another tenant and moved while children of before still answer.  What those
# have begun they end as it was begun; the next request is of the new configuration.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

my $s = Scim::Httpd->new(tenant => 'a', start => 0, locations => '', children => 2, threads => 8, conf => 'ServerLimit 128');
my %token = (a => $s->token);
for my $tenant (qw(b c)) {
    my ($code, undef, $err) = $s->scimctl('tenant', 'create', $tenant);
    die $err if $code;
    $token{$tenant} = $s->new_token(tenant => $tenant, connection => 'okta');
}

# The configuration with an endpoint at each path, pinned to its tenant.
sub conf_of
{
    my (%tenant) = @_;
    return "ServerLimit 128\n" . join '', map { endpoint($_, $tenant{$_} ? "SCIMTenant $tenant{$_}" : ()) } sort keys %tenant;
}

# A POST of which a child has read the head: what sends the rest, once a child of
# another generation has the new configuration, and returns the response.
sub begun
{
    my ($tenant, $path, $body) = @_;
    my $text = JSON::PP::encode_json($body);
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or die "connect: $!\n";
    syswrite $socket, join '', "POST $path HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer $token{$tenant}\r\n",
        "Content-Type: application/scim+json\r\nContent-Length: ", length $text, "\r\n\r\n", substr $text, 0, 10;
    sleep 0.2; # until a child has it
    return sub {
        syswrite $socket, substr $text, 10;
        local $/;
        return Scim::Httpd::Response->parse(scalar(<$socket>) // '', 1);
    };
}

# Of the children of before one, which has something to do, is there still.
sub reconfigure
{
    my ($name, %arg) = @_;
    my @old = $s->children;
    $s->write_conf(%arg);
    is($s->graceful(wait => 0), 1, "$name: restarted");
    my $until = time + 20;
    my $left;
    do {
        sleep 0.02;
        my %now = map { $_ => 1 } $s->children;
        $left = grep { $now{$_} } @old;
    } while $left > 1 && time < $until;
    is($left, 1, "$name: a child of before has something to do still");
}

# On a connection of its own, hence by a new child.
sub ask
{
    my ($tenant, $method, $path, $body) = @_;
    return $s->request($method, $s->url($path), $body, host => '127.0.0.1', authorization => "Bearer $token{$tenant}");
}

sub status { return ask(@_)->status }

sub names_of
{
    my ($tenant, $path) = @_;
    my $list = ask($tenant, 'GET', "$path/Users?attributes=userName")->json;
    return join ' ', sort map { $_->{userName} } @{ $list->{Resources} };
}

$s->write_conf(conf => conf_of('/one' => 'a', '/two' => 'b'));
$s->start;

subtest 'one is added' => sub {
    my $rest = begun('a', '/one/Users', user('amid-added'));
    is(status('c', 'GET', '/three/Users'), 404, 'it is not there');
    reconfigure('added', conf => conf_of('/one' => 'a', '/two' => 'b', '/three' => 'c'));
    is(status('c', 'GET', '/three/Users'), 200, 'it is there');
    is(status($_, 'GET', '/three/Users'), 401, "C-313 with nothing for a token of $_") for qw(a b);
    is($rest->()->status, 201, 'C-030 what was begun before is done');
    is(names_of('a', '/one'), 'amid-added', 'where it was begun');
    is(names_of('c', '/three'), '', 'and nowhere else');
};

subtest 'one is removed' => sub {
    my $rest = begun('b', '/two/Users', user('amid-removed'));
    reconfigure('removed', conf => conf_of('/one' => 'a', '/three' => 'c'));
    is(status('b', 'GET', '/two/Users'), 404, 'it is not there');
    is(status('b', 'GET', "/$_/Users"), 401, "C-313 nor is its tenant at /$_") for qw(one three);
    is($rest->()->status, 201, 'C-030 what was begun before is done');
    is(status('b', 'GET', '/two/Users'), 404, 'which brings nothing back');
};

subtest 'one is given to another tenant' => sub {
    my $rest = begun('a', '/one/Users', user('amid-renamed'));
    reconfigure('renamed', conf => conf_of('/one' => 'b', '/three' => 'c'));
    is(status('a', 'GET', '/one/Users'), 401, 'C-313 a token of before is none');
    is(names_of('b', '/one'), 'amid-removed', 'that of the other tenant finds what is its own');
    my $made = $rest->();
    is($made->status, 201, 'C-030 what was begun before is done');
    is(names_of('b', '/one'), 'amid-removed', 'C-312 and not for the other tenant');
    is(status('b', 'GET', '/one/Users/' . $made->json->{id}), 404, 'C-061 which cannot see it');
};

subtest 'one is moved' => sub {
    reconfigure_back();
    my $rest = begun('a', '/one/Users', user('amid-moved'));
    reconfigure('moved', conf => conf_of('/elsewhere/v2' => 'a', '/three' => 'c'));
    is(status('a', 'GET', '/one/Users'), 404, 'it is not where it was');
    my $made = $rest->();
    is($made->status, 201, 'C-030 what was begun before is done');
    like($made->header('location'), qr{/one/Users/}, 'C-029 under the address that it was sent to');
    is(names_of('a', '/elsewhere/v2'), 'amid-added amid-moved amid-renamed', 'C-114 all is where it is now');
    my $path = '/elsewhere/v2/Users/' . $made->json->{id};
    like(ask('a', 'GET', $path)->json->{meta}{location}, qr{\Q$path\E\z}, 'C-029 and says so');
};

sub reconfigure_back
{
    $s->write_conf(conf => conf_of('/one' => 'a', '/three' => 'c'));
    $s->graceful;
}

# A policy is in the store, where every child reads it as a request begins.
subtest 'a policy is changed' => sub {
    my $with = sub { return conf_of('/one' => 'a') . "SCIMUniqueGroupNames $_[0]\n" };
    $s->write_conf(conf => $with->('Off'));
    $s->graceful;
    is(status('a', 'POST', '/one/Groups', group('same')), 201, 'a group');
    is(status('a', 'POST', '/one/Groups', group('same')), 201, 'C-058 names may be equal');
    my $rest = begun('a', '/one/Groups', group('same'));
    reconfigure('policy', conf => $with->('On'));
    is(status('a', 'POST', '/one/Groups', group('same')), 409, 'C-058 they may not');
    is($rest->()->status, 201, 'C-058 but for what was begun when they might');
};

subtest 'the store is another' => sub {
    my $other = Scim::Httpd->new(start => 0, tenant => 'a');
    my $store = $s->store;
    my $rest = begun('a', '/one/Users', user('amid-store'));
    reconfigure('store', store => $other->store, conf => conf_of('/one' => 'a'));
    is(status('a', 'GET', '/one/Users'), 401, 'C-015 it knows no token of before');
    is($s->get($s->url('/one/Users'), authorization => 'Bearer ' . $other->token)->json->{totalResults}, 0, 'C-114 and holds nothing yet');
    is($rest->()->status, 201, 'C-030 what was begun before is done');
    is($s->get($s->url('/one/Users'), authorization => 'Bearer ' . $other->token)->json->{totalResults}, 0, 'C-114 not in the other store');
    delete $s->{http};
    $s->write_conf(store => $store);
    $s->graceful;
    is(names_of('a', '/one'), 'amid-added amid-moved amid-renamed amid-store', 'C-114 but in that which it was begun with');
};

# Suspension, which scimctl does, needs no restart; a tenant that is made is there
# for an endpoint that names it by an expression.
subtest 'a tenant is made while children serve' => sub {
    $s->write_conf(conf => "ServerLimit 128\n" . tenant_endpoints());
    $s->graceful;
    is(status('a', 'GET', '/t/new/v2/Users'), 401, 'C-015 before');
    $s->scimctl(qw(tenant create new));
    $token{new} = $s->new_token(tenant => 'new');
    is(status('new', 'GET', '/t/new/v2/Users'), 200, 'C-060 after');
    is(status('new', 'GET', '/t/a/v2/Users'), 401, 'C-313 at its own address alone');
    $s->scimctl(qw(tenant suspend new));
    is(status('new', 'GET', '/t/new/v2/Users'), 403, 'suspended');
    is(status('a', 'GET', '/t/a/v2/Users'), 200, 'the others are not');
};

$s->stop;
is(($s->scimctl('verify'))[0], 0, 'the store is whole');
$s->log_clean;
done_testing();
