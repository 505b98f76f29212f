#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every route, as the table has it, refuses whoever has no right to it, in the
# same way: a route that is added is tried here without a word of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Scim::Routes;
use Test::More;
use Time::HiRes qw(sleep);

my $UNKNOWN = 'mscim_' . 'a' x 43 . '0N9lHz'; # with the checksum that belongs to it

my $s = Scim::Httpd->new(start => 0, conf => endpoint('/pinned', 'SCIMTenant other'));
for my $tenant (qw(other asleep)) {
    my ($code) = $s->scimctl('tenant', 'create', $tenant);
    die "no tenant $tenant\n" if $code;
}
my %token = (
    good => $s->token,
    reader => $s->new_token(connection => 'reader', scope => 'read'),
    writer => $s->new_token(connection => 'writer', scope => 'write'),
    expired => $s->new_token(connection => 'short', expires => '1s'),
    revoked => $s->new_token(connection => 'leaked'),
    asleep => $s->new_token(tenant => 'asleep'),
    early => early_token(),
);
my $expired_at = time + 2;
$s->scimctl('token', 'revoke', '--tenant', 'default', '--connection', 'leaked');
$s->scimctl('tenant', 'suspend', 'asleep');
$s->start;
sleep 0.1 while time < $expired_at;

my @routes = routes();

# A token that will be good tomorrow: scimctl makes none.
sub early_token
{
    my $program = ($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build") . '/t/unit/test_token.t';
    my $token = qx{$program --early '@{[ $s->store_url ]}' default};
    die "$program --early made no token: make check builds it\n" if $token !~ s/^(mscim_\w{49})\n\z/$1/;
    return $token;
}

# What there is of users and groups, and how it is.
sub state_of_all
{
    return join "\n", map { my $endpoint = $_; map { "$_->{id} $_->{meta}{version}" }
            @{ $s->get("/$endpoint?count=1000")->json->{Resources} } } qw(Users Groups);
}

# Each route asked in this way; $judge is given the answer and the name.
sub each_route
{
    my ($headers, $judge, %where) = @_;
    my @requests = map { [$_, request_to($s, $_)] } grep { !$where{scope} || $_->{scope} eq $where{scope} } @routes;
    my $before = state_of_all();
    for my $request (@requests) {
        my ($route, $method, $path, $body) = @$request;
        my $url = $s->url(($where{base} // '/scim/v2') . $path);
        $judge->($s->request($method, $url, $body, @$headers), $route->{name}, $route);
    }
    is(state_of_all(), $before, 'nothing has changed');
}

# A 401 with this error in its challenge, or none; anonymous: but where nobody
# need say who asks.
sub refused
{
    my ($error) = @_;
    return sub {
        my ($r, $name) = @_;
        is_error($r, 401, undef, $name);
        is($r->header('www-authenticate'), 'Bearer realm="SCIM"' . ($error ? ", error=\"$error\"" : ''), "$name: the challenge");
    };
}

subtest 'every route is reached by a token that has the right' => sub {
    for my $route (@routes) {
        my ($method, $path, $body) = request_to($s, $route);
        my $r = $s->request($method, $path, $body);
        my $want = $route->{person} ? qr/^(?:403|404|501)$/ : qr/^20[014]$/; # a connection is no person
        like($r->status, $want, $route->{name}) || diag($r->content);
        ok(defined $s->wait_access(qr{"\Q$method\E /scim/v2\Q$path\E" \d+ .*op=\S*\Q$route->{op}\E }), "$route->{name}: is that route");
    }
};

subtest 'C-014 C-271 no credentials: every route but the anonymous one is 401' => sub {
    is(scalar(grep { $_->{anonymous} } @routes), 1, 'one is anonymous');
    each_route([authorization => undef], sub {
        my ($r, $name, $route) = @_;
        return is($r->status, 200, "$name is for everybody") if $route->{anonymous};
        refused()->($r, $name);
    });
};

my %malformed = (
    'nothing behind it' => 'Bearer', 'a space behind it' => 'Bearer ', 'a tab' => "Bearer\t$token{good}", 'no scheme' => $token{good},
    'another scheme' => "Token $token{good}", 'empty' => '', 'Basic' => "Basic $token{good}",
);
for my $kind (sort keys %malformed) {
    subtest "C-015 malformed credentials, $kind: every route is 401" => sub {
        each_route([authorization => $malformed{$kind}], refused());
    };
}

my %invalid = (
    'unknown' => $UNKNOWN, 'cut short' => substr($token{good}, 0, -1), 'with more behind it' => "$token{good}x", 'expired' => $token{expired},
    'revoked' => $token{revoked}, 'not valid before tomorrow' => $token{early}, 'twice' => "$token{good}, Bearer $token{good}",
);
for my $kind (sort keys %invalid) {
    subtest "C-015 a token that is $kind: every route is 401 invalid_token" => sub {
        each_route([authorization => "Bearer $invalid{$kind}"], refused('invalid_token'));
    };
}

subtest 'C-313 a token of another tenant: every route is 401, as of an unknown one' => sub {
    my %said;
    each_route([authorization => "Bearer $token{good}"], sub {
        my ($r, $name) = @_;
        refused('invalid_token')->($r, $name);
        $said{$name} = answer($r, 'x');
    }, base => '/pinned');
    each_route([authorization => "Bearer $UNKNOWN"], sub { is(answer($_[0], 'x'), $said{ $_[1] }, "$_[1]: in the same words") }, base => '/pinned');
};

for my $who (['reader', 'write'], ['writer', 'read']) {
    my ($name, $scope) = @$who;
    subtest "C-015 C-016 a token without the scope $scope: every route that needs it is 403" => sub {
        each_route([authorization => "Bearer $token{$name}"], sub {
            my ($r, $name, $route) = @_;
            return is($r->status, 200, "$name is for everybody") if $route->{anonymous};
            is_error($r, 403, undef, $name);
            like($r->header('www-authenticate'), qr/error="insufficient_scope"/, "$name: the challenge");
        }, scope => $scope);
    };
}

subtest 'a suspended tenant: every route is 403, and says why' => sub {
    each_route([authorization => "Bearer $token{asleep}"], sub {
        my ($r, $name) = @_;
        is_error($r, 403, undef, $name);
        like($r->content, qr/not enabled for this organisation/, "$name: the detail");
    });
};

subtest 'C-012 C-014 other methods at the paths of all routes' => sub {
    my %seen;
    for my $route (grep { !$seen{ $_->{name} =~ s/\S+ //r }++ } @routes) {
        my (undef, $path) = request_to($s, $route);
        my $url = $path || '/';
        for my $method (qw(OPTIONS TRACE PROPFIND FOO)) {
            for my $header (undef, "Bearer $UNKNOWN") {
                my $r = $s->request($method, $url, undef, authorization => $header);
                is_error($r, $method eq 'TRACE' ? 405 : 401, undef, "$method $url " . ($header ? 'with an unknown token' : 'with none'));
            }
        }
    }
};

$s->log_clean;
done_testing();
