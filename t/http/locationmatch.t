#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# One LocationMatch for all tenants, each at a URL of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new(
    start => 0,
    tenant => 'a',
    locations => tenant_endpoints() . <<'EOT',
<Location ~ "^/loose/">
    SCIMEngine On
    SCIMBasePath /elsewhere
    AuthType Bearer
    AuthName SCIM
    Require valid-user
</Location>
<Location "/fixed">
    SCIMEngine On
    AuthType Bearer
    AuthName SCIM
    Require valid-user
</Location>
EOT
);
my ($code) = $s->scimctl('tenant', 'create', 'b');
die "no second tenant\n" if $code;
my %token = (a => $s->token, b => $s->new_token(tenant => 'b'));
$s->start;

# A request to one tenant's endpoint with its token, or another's.
sub ask
{
    my ($method, $tenant, $path, $body, $whose) = @_;
    my $token = $token{ $whose // $tenant };
    return $s->request($method, $s->url("/t/$tenant/v2$path"), $body, authorization => "Bearer $token");
}

my %made = map { $_ => ask('POST', $_, '/Users', user('bjensen', externalId => 'x', title => "of $_"))->json } qw(a b);

subtest 'C-312 the same names in two tenants' => sub {
    isnt($made{a}{id}, $made{b}{id}, 'two users');
    for my $tenant (qw(a b)) {
        my $list = ask('GET', $tenant, '/Users?filter=' . esc('userName eq "BJENSEN" and externalId eq "x"'))->json;
        is($list->{totalResults}, 1, "$tenant: its own is found");
        is($list->{Resources}[0]{title}, "of $tenant", "$tenant: and no other");
        is(ask('GET', $tenant, '/Users')->json->{totalResults}, 1, "$tenant: nor listed");
        is(ask('POST', $tenant, '/Groups', group('Tour Guides', $made{$tenant}{id}))->status, 201, "$tenant: a group");
        is_error(ask('POST', $tenant, '/Users', user('bjensen')), 409, 'uniqueness', "$tenant: taken");
    }
};

subtest 'C-029 URLs are those of the tenant' => sub {
    for my $tenant (qw(a b)) {
        my $base = $s->url("/t/$tenant/v2");
        is($made{$tenant}{meta}{location}, "$base/Users/$made{$tenant}{id}", "$tenant: meta.location");
        my $group = ask('GET', $tenant, '/Groups')->json->{Resources}[0];
        is($group->{members}[0]{'$ref'}, "$base/Users/$made{$tenant}{id}", "$tenant: \$ref");
        is(ask('GET', $tenant, '/ServiceProviderConfig')->json->{meta}{location}, "$base/ServiceProviderConfig", "$tenant: discovery");
        is($s->get($made{$tenant}{meta}{location}, authorization => "Bearer $token{$tenant}")->status, 200, "$tenant: they lead there");
    }
};

subtest 'C-061 the ids of another tenant are unknown' => sub {
    my $theirs = "/Users/$made{b}{id}";
    is_error(ask('GET', 'a', $theirs), 404, undef, 'GET');
    is_error(ask('PUT', 'a', $theirs, user('mine')), 404, undef, 'PUT');
    is_error(ask('PATCH', 'a', $theirs, ops(['replace', 'title', 'mine'])), 404, undef, 'PATCH');
    is_error(ask('DELETE', 'a', $theirs), 404, undef, 'DELETE');
    is_error(ask('POST', 'a', '/Groups', group('Theirs', $made{b}{id})), 400, 'invalidValue', 'as a member');
    my $r = ask('PATCH', 'a', "/Users/$made{a}{id}", ops(['add', "$ENTERPRISE:manager", { value => $made{b}{id} }]));
    ok(!exists $r->json->{$ENTERPRISE}{manager}{'$ref'}, 'as a manager it leads nowhere');
    is(ask('GET', 'b', $theirs)->json->{title}, 'of b', 'nothing has changed');
    is(ask('GET', 'a', '/Users?filter=' . esc(qq(id eq "$made{b}{id}")))->json->{totalResults}, 0, 'nor is it found');
};

subtest 'C-313 a token opens its own tenant alone' => sub {
    for my $path ('/Users', "/Users/$made{b}{id}", '/Schemas', '/ServiceProviderConfig') {
        my $r = ask('GET', 'b', $path, undef, 'a');
        is_error($r, 401, undef, "GET $path");
        like($r->header('www-authenticate'), qr/error="invalid_token"/, "GET $path: as an unknown one");
    }
    is_error(ask('POST', 'b', '/Users', user('intruder'), 'a'), 401, undef, 'POST');
    is_error(ask('DELETE', 'b', "/Users/$made{b}{id}", undef, 'a'), 401, undef, 'DELETE');
    is_error(ask('GET', $_, '/Users', undef, 'a'), 401, undef, "a tenant that is none: $_")
        for 'c', 'A', 'a.', 'a%20', '%61x', '-', 'x' x 200;
    is(ask('GET', '%61', '/Users', undef, 'a')->status, 200, 'an escaped letter is that letter');
    is($s->get($s->url('/t/c/v2/ServiceProviderConfig'), authorization => undef)->status, 200, 'what is anonymous tells of no tenant');
    my $r = $s->get($s->url('/fixed/Users'), authorization => "Bearer $token{b}");
    is($r->json->{totalResults}, 1, 'without SCIMTenant the token says which');
};

subtest 'C-011 odd paths at such an endpoint' => sub {
    is_error(ask('GET', 'a', $_), 404, undef, $_) for '/Nothing', '/Users/a%2Fb', '/Users/%00', '/Users/none';
    is(ask('GET', 'a', $_)->status, 200, $_) for '/Users/', '//Users', '/x/../Users';
    is(ask('GET', 'a', '')->status, 200, 'the base');
    is($s->get($s->url($_))->status, 404, "$_ is no endpoint") for '/t/a/v2x/Users', '/t//v2/Users', '/t/a/b/v2/Users', '/t/a/v3/Users';
    is_error(ask('GET', 'a', '/Users/' . 'x' x 9000), 414, undef, 'a URL that is too long');
    is_error(ask('GET', 'a', '/Users/%zz'), 400, undef, 'one that cannot be decoded');
    $s->expect_log(qr/AH10244: invalid URI path/);
};

subtest 'C-011 a SCIMBasePath that does not fit serves nothing' => sub {
    my $r = $s->get($s->url('/loose/Users'));
    is($r->status, 404, 'there is nothing');
    unlike($r->content, qr/bjensen/, 'nobody is told');
    $s->expect_log(qr/SCIM1002: .*SCIMBasePath/);
};

# httpd -t must fail and say this.
sub refused
{
    my ($name, $locations, $says) = @_;
    my ($status, $output) = Scim::Httpd->configtest(locations => $locations);
    return ok($status != 0 && $output =~ $says, $name) || diag("exit code $status\n$output");
}

subtest 'C-011 a pattern needs a SCIMBasePath, wherever it stands' => sub {
    my $says = qr/SCIM1307: SCIMEngine On at line \d+ of \S+ is in a <LocationMatch>, .*: add SCIMBasePath/;
    refused('LocationMatch', "<LocationMatch ^/x>\nSCIMEngine On\n</LocationMatch>\n", $says);
    refused('Location ~', "<Location ~ ^/x>\nSCIMEngine On\n</Location>\n", $says);
    refused('beside one that has it', "<LocationMatch ^/x>\nSCIMEngine On\nSCIMBasePath /x\n</LocationMatch>\n"
            . "<LocationMatch ^/y>\nSCIMEngine On\n</LocationMatch>\n", $says);
    refused('wildcards', "<Location /t/*/v2>\nSCIMEngine On\n</Location>\n", qr/has wildcards: make it a <LocationMatch>/);
    my ($status, $output) = Scim::Httpd->configtest(locations => "<LocationMatch ^/x>\nSCIMBasePath /x\nSCIMEngine On\n</LocationMatch>\n"
            . "<LocationMatch ^/y>\nSCIMEngine On\nSCIMEngine Off\n</LocationMatch>\n");
    is($status, 0, 'before SCIMEngine, and none where that is switched off again') or diag $output;
};

$s->log_clean;
done_testing();
