#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Two tenants, and hundreds: what belongs to another is answered as what exists
# nowhere, and where a tenant is named in the configuration, it is that one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $NOBODY = '01900000-0000-7000-8000-000000000000';
my $MANAGER = "$ENTERPRISE:manager";

my $s = Scim::Httpd->new(
    start => 0,
    tenant => 'a',
    conf => endpoint('/pinned', 'SCIMTenant a')
        . endpoint('/pinned/inner', 'SCIMTenant b')
        . endpoint('/if', q(<If "%{HTTP:X-Tenant} == 'b'">), 'SCIMTenant b', '</If>', q(<If "%{HTTP:X-Tenant} != 'b'">), 'SCIMTenant a', '</If>')
        # Sections of files, which an endpoint has none of.
        . join('', map { "<$_->[0] \"$_->[1]\">\nSCIMTenant b\n</$_->[0]>\n" } ['Directory', '/'], ['Files', '*'], ['FilesMatch', '.*'],
            ['DirectoryMatch', '.*']),
);
my ($code) = $s->scimctl('tenant', 'create', 'b');
die "no second tenant\n" if $code;
my %token = (a => $s->token, b => $s->new_token(tenant => 'b', connection => 'okta'));
$s->start;

sub as
{
    my ($tenant) = @_;
    return (authorization => "Bearer $token{$tenant}");
}

# What is there in both tenants; what of it a's are, b must not learn.
my %has;
for my $tenant (qw(a b)) {
    my $boss = made($s, '/Users', user('boss', externalId => 'x-boss'), as($tenant));
    my $anna = made($s, '/Users', user('anna', externalId => 'x-anna', $ENTERPRISE => { manager => { value => $boss->{id} } }), as($tenant));
    my $group = made($s, '/Groups', group('Guides', $anna->{id}), as($tenant));
    $has{$tenant} = { boss => $boss, user => $anna, group => $group };
}
my $theirs = $has{a}{user}{id};
my $their_group = $has{a}{group}{id};

my $fresh = 100; # of one length, as the answers are

# A user of b's of its own for a request that changes one.
sub new_user
{
    my ($path) = @_;
    return made($s, '/Users', user('new' . $fresh++), as('b'));
}

sub new_group
{
    return made($s, '/Groups', group('New ' . $fresh++), as('b'));
}

# One test: b asks about an id of a's, and about one that is nowhere, each time
# with whatever $prepare makes beforehand, and is answered the same.
sub is_absent
{
    my ($name, $status, $ask, $their_id, $prepare) = @_;
    my @answers = map {
        my $own = $prepare ? $prepare->() : {};
        my $r = $ask->($_, $own);
        [$r, answer($r, $_, grep { defined } $own->{id}, $own->{userName}, $own->{displayName})];
    } $their_id, $NOBODY;
    my $good = $answers[0][0]->status == $status && $answers[0][1] eq $answers[1][1];
    return ok($good, $name) || diag("wanted $status; of another tenant's:\n$answers[0][1]\nof nobody's:\n$answers[1][1]");
}

sub ask
{
    my ($method, $path, $body, @headers) = @_;
    return $s->request($method, $path, $body, as('b'), @headers);
}

subtest 'C-061 ids of another tenant are as ids of nothing' => sub {
    for my $type (['Users', $theirs, user('mine')], ['Groups', $their_group, group('Mine')]) {
        my ($endpoint, $id, $body) = @$type;
        my $etag = $s->get("/$endpoint/$id")->header('etag');
        my $path = sub { return "/$endpoint/$_[0]" };
        for my $query ('', '?attributes=displayName', '?excludedAttributes=members', '?attributes=') {
            is_absent("GET /$endpoint/ID$query", 404, sub { ask('GET', $path->($_[0]) . $query) }, $id);
        }
        is_absent("HEAD /$endpoint/ID", 404, sub { ask('HEAD', $path->($_[0])) }, $id);
        is_absent("PUT /$endpoint/ID", 404, sub { ask('PUT', $path->($_[0]), $body) }, $id);
        is_absent("PUT /$endpoint/ID that is not valid", 404, sub { ask('PUT', $path->($_[0]), { schemas => $body->{schemas} }) }, $id);
        is_absent("PATCH /$endpoint/ID", 404, sub { ask('PATCH', $path->($_[0]), ops(['replace', 'displayName', 'x'])) }, $id);
        is_absent("DELETE /$endpoint/ID", 404, sub { ask('DELETE', $path->($_[0])) }, $id);
        is_absent("POST /$endpoint/ID", 405, sub { ask('POST', $path->($_[0]), $body) }, $id);
        is_absent("OPTIONS /$endpoint/ID", 204, sub { ask('OPTIONS', $path->($_[0])) }, $id);
        for my $match ($etag, '*', 'W/"0"') {
            is_absent("If-None-Match: $match", 404, sub { ask('GET', $path->($_[0]), undef, 'if-none-match' => $match) }, $id);
            for my $request (['PUT', $body], ['PATCH', ops(['replace', 'displayName', 'x'])], ['DELETE']) {
                my ($method, $send) = @$request;
                is_absent("$method /$endpoint/ID with If-Match: $match", 404, sub { ask($method, $path->($_[0]), $send, 'if-match' => $match) }, $id);
            }
        }
    }
};

subtest 'C-312 filters find nothing of it' => sub {
    for my $type (['Users', $theirs], ['Groups', $their_group]) {
        my ($endpoint, $id) = @$type;
        for my $filter ('id eq "ID"', 'id sw "ID"', 'not (id ne "ID")', 'id eq "ID" or id eq "x"', 'meta.location co "ID"') {
            my $with = sub { return $filter =~ s/ID/$_[0]/r };
            is_absent("$endpoint: $filter", 200, sub { ask('GET', "/$endpoint?filter=" . esc($with->(@_))) }, $id);
            is_absent(".search: $filter", 200, sub { ask('POST', "/$endpoint/.search",
                { schemas => ['urn:ietf:params:scim:api:messages:2.0:SearchRequest'], filter => $with->(@_) }) }, $id);
        }
    }
    is_absent('members of groups', 200, sub { ask('GET', '/Groups?filter=' . esc(qq(members.value eq "$_[0]"))) }, $theirs);
    is_absent('members[...] of groups', 200, sub { ask('GET', '/Groups?filter=' . esc(qq(members[value eq "$_[0]"]))) }, $theirs);
    is_absent('groups of users', 200, sub { ask('GET', '/Users?filter=' . esc(qq(groups.value eq "$_[0]"))) }, $their_group);
    is_absent('managers of users', 200, sub { ask('GET', '/Users?filter=' . esc(qq($MANAGER.value eq "$_[0]"))) }, $has{a}{boss}{id});
    for my $path ('/Users', '/Groups', '/') {
        my $text = ask('GET', $path)->content;
        ok(index($text, $_->{id}) < 0, "$path lists none of them") for values %{ $has{a} };
    }
};

subtest 'C-312 references to it are as references to nothing' => sub {
    is_absent('a new group with it as a member', 400, sub { ask('POST', '/Groups', group('With', $_[0])) }, $theirs);
    is_absent('a new group with a group', 400, sub { ask('POST', '/Groups', group('With', $_[0])) }, $their_group);
    is_absent('PUT of a group', 400, sub { ask('PUT', "/Groups/$_[1]{id}", group($_[1]{displayName}, $_[0])) }, $theirs, \&new_group);
    is_absent('PATCH adds a member', 400, sub { ask('PATCH', "/Groups/$_[1]{id}", ops(['add', 'members', [{ value => $_[0] }]])) }, $theirs, \&new_group);
    for my $op (['remove', 'members[value eq "ID"]'], ['remove', 'members', [{ value => 'ID' }]]) {
        my ($name, $path, @value) = @$op;
        my $with = sub {
            my ($id) = @_;
            return ops([$name, $path =~ s/ID/$id/r, map { [{ value => $id }] } @value]);
        };
        my $own = sub { new_group() };
        my $status = ask('PATCH', '/Groups/' . new_group()->{id}, $with->($NOBODY))->status;
        is_absent("PATCH removes a member, $path: $status", $status, sub { ask('PATCH', "/Groups/$_[1]{id}", $with->($_[0])) }, $theirs, $own);
    }
    my $manager = sub { return ops(['add', $MANAGER, { value => $_[0] }]) };
    my $status = ask('PATCH', '/Users/' . new_user()->{id}, $manager->($NOBODY))->status;
    is_absent("PATCH sets a manager: $status", $status, sub { ask('PATCH', "/Users/$_[1]{id}", $manager->($_[0])) }, $has{a}{boss}{id}, \&new_user);
    my $put = sub { return user($_[1]{userName}, $ENTERPRISE => { manager => { value => $_[0] } }) };
    is_absent('PUT sets a manager', $status, sub { ask('PUT', "/Users/$_[1]{id}", $put->(@_)) }, $has{a}{boss}{id}, \&new_user);
};

sub bulk
{
    my (@operations) = @_;
    return ask('POST', '/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@operations });
}

subtest 'C-312 nor does a bulk job reach it' => sub {
    my %job = (
        PATCH => sub { return { method => 'PATCH', path => "/Users/$_[0]", data => ops(['replace', 'title', 'x']) } },
        PUT => sub { return { method => 'PUT', path => "/Users/$_[0]", data => user('mine') } },
        DELETE => sub { return { method => 'DELETE', path => "/Users/$_[0]" } },
        'DELETE with a version' => sub { return { method => 'DELETE', path => "/Users/$_[0]", version => $has{a}{user}{meta}{version} } },
        'a member' => sub { return { method => 'POST', path => '/Groups', bulkId => 'g', data => group('Bulk', $_[0]) } },
    );
    for my $name (sort keys %job) {
        is_absent($name, 200, sub { bulk($job{$name}->($_[0])) }, $theirs);
    }
    # What a job has named is over with it, in the same tenant and in another.
    my $r = $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],
            Operations => [{ method => 'POST', path => '/Users', bulkId => 'theirs', data => user('bulk') }] });
    is($r->json->{Operations}[0]{status}, '201', 'a user that a job of a made');
    my @answers = map {
        my $name = $_;
        answer(bulk({ method => 'POST', path => '/Groups', bulkId => 'g', data => group('Bulk', "bulkId:$name") }), $name);
    } qw(theirs nobody);
    is($answers[0], $answers[1], 'its name is nobody\'s in another');
    like($answers[0], qr/"status":"4\d\d"/, 'and refused');
};

subtest 'C-137 a cursor of another tenant is none' => sub {
    my $walk = '/Users?count=1&cursor=';
    my %cursor = map { $_ => $s->get($walk, as($_))->json->{nextCursor} } qw(a b);
    ok($cursor{a} && $cursor{b}, 'both have one');
    is(ask('GET', $walk . esc($cursor{b}))->status, 200, 'its own is good');
    my $theirs_now = ask('GET', $walk . esc($cursor{a}));
    is_error($theirs_now, 400, 'invalidCursor', 'the other is refused');
    my @same = map { answer($_, 'x') } ask('GET', $walk . esc('x' x length $cursor{a})), ask('GET', '/Groups?count=1&cursor=' . esc($cursor{b}));
    is(answer($theirs_now, 'x'), $_, 'as one that was made up, and as one of another query') for @same;
};

subtest 'C-312 names that another tenant uses are free' => sub {
    is(ask('POST', '/Users', user('bulk', externalId => 'x-theirs'))->status, 201, 'userName');
    is(ask('GET', '/Users?filter=' . esc('externalId eq "x-anna"'))->json->{Resources}[0]{id}, $has{b}{user}{id}, 'externalId finds its own');
    is(ask('GET', '/Groups?filter=' . esc('displayName eq "Guides"'))->json->{Resources}[0]{id}, $has{b}{group}{id}, 'displayName, too');
};

subtest 'C-312 nothing of it has changed' => sub {
    for my $what (sort keys %{ $has{a} }) {
        my $one = $has{a}{$what};
        is($s->get($one->{meta}{location})->json->{meta}{version}, $one->{meta}{version}, $what);
    }
};

subtest 'C-313 the tenant of an endpoint is that of its Location' => sub {
    my $status = sub {
        my ($tenant, $url, @headers) = @_;
        return $s->get($s->url($url), as($tenant), @headers)->status;
    };
    is($status->($_, '/scim/v2/Users'), 200, "without SCIMTenant there, a token of $_, whatever sections of files say") for qw(a b);
    is($status->('a', '/pinned/Users'), 200, 'SCIMTenant a: a token of a');
    is($status->('b', '/pinned/Users'), 401, 'SCIMTenant a: a token of b');
    is($status->('b', '/pinned/inner/Users'), 200, 'SCIMTenant b within it: a token of b');
    is($status->('a', '/pinned/inner/Users'), 401, 'SCIMTenant b within it: a token of a');
    is($status->('a', '/if/Users'), 200, 'in an <If> that holds: a token of a');
    is($status->('b', '/if/Users'), 401, 'in an <If> that holds: a token of b');
    is($status->('b', '/if/Users', 'x-tenant' => 'b'), 200, 'in another: a token of b');
    is($status->('a', '/if/Users', 'x-tenant' => 'b'), 401, 'in another: a token of a');
};

$s->log_clean;

my $MANY = 300;

subtest 'C-312 C-313 C-016 many tenants in one store' => sub {
    my $many = Scim::Httpd->new(
        start => 0,
        tenant => 't0',
        conf => tenant_endpoints(),
    );
    my @tokens = ($many->token);
    for my $i (1 .. $MANY - 1) {
        my ($status, undef, $err) = $many->scimctl('tenant', 'create', "t$i");
        die "tenant t$i: $err" if $status;
        push @tokens, $many->new_token(tenant => "t$i");
    }
    my $began = time;
    $many->start;
    my $took = time - $began;
    cmp_ok($took, '<', 20, sprintf 'the server starts (%.1f s)', $took);
    my $to = sub {
        my ($i, $method, $path, $body, $whose) = @_;
        return $many->request($method, $many->url("/t/t$i/v2$path"), $body, authorization => "Bearer $tokens[$whose // $i]");
    };
    my @made = map { $to->($_, 'POST', '/Users', user('anna', title => "of t$_"))->json->{id} } 0 .. $MANY - 1;
    is(scalar(grep { defined } @made), $MANY, 'each has a user of the same name');
    my @wrong = grep {
        my $list = $to->($_, 'GET', '/Users')->json;
        $list->{totalResults} != 1 || $list->{Resources}[0]{title} ne "of t$_" || $list->{Resources}[0]{id} ne $made[$_];
    } 0 .. $MANY - 1;
    is("@wrong", '', 'and sees its own, and no other');
    @wrong = grep { $to->($_, 'GET', '/Users', undef, ($_ + 1) % $MANY)->status != 401 } 0 .. $MANY - 1;
    is("@wrong", '', 'at its own address alone');
    @wrong = grep { $to->($_, 'GET', "/Users/$made[($_ + 1) % $MANY]")->status != 404 } 0 .. $MANY - 1;
    is("@wrong", '', 'its neighbour\'s is nowhere');
    my $last = $MANY - 1;
    my %special = (reader => $many->new_token(tenant => "t$last", connection => 'reader', scope => 'read'),
        expired => $many->new_token(tenant => "t$last", connection => 'old', expires => '1s'));
    my $users = $many->url("/t/t$last/v2/Users");
    is_error($many->post($users, user('x'), authorization => "Bearer $special{reader}"), 403, undef, 'a token that may only read');
    is($many->get($users, authorization => "Bearer $special{reader}")->json->{totalResults}, 1, 'reads');
    sleep 2.1;
    my $r = $many->get($users, authorization => "Bearer $special{expired}");
    is_error($r, 401, undef, 'an expired one');
    like($r->header('www-authenticate'), qr/invalid_token/, 'is told so');
    $began = time;
    ok($many->graceful, 'a graceful restart');
    cmp_ok(time - $began, '<', 20, 'is quick as well');
    is($to->(7, 'GET', '/Users')->json->{Resources}[0]{title}, 'of t7', 'and all is as it was');
    $many->log_clean;
};

done_testing();
