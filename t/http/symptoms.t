#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What users of SCIM servers complain of, where no other test shows the answer:
# each subtest is one of the rules S-.. of t/rules.tsv.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my $json = JSON::PP->new->utf8->canonical;
my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';

my $s = Scim::Httpd->new(conf => endpoint('/small', 'SCIMDefaultPageSize 3', 'SCIMMaxPageSize 4') . endpoint('/rfc', 'SCIMProfile rfc'));

sub query
{
    my ($filter, $type) = @_;
    return $s->get('/' . ($type // 'Users') . '?filter=' . esc($filter));
}

# The userNames, or names, that a filter finds.
sub found
{
    my ($filter, $type) = @_;
    my $r = query($filter, $type);
    return $r->content if $r->status != 200;
    return join ' ', sort map { $_->{userName} // $_->{displayName} } @{ $r->json->{Resources} };
}

sub all_pages
{
    my ($url, $by) = @_;
    my ($at, @names) = $by eq 'index' ? 1 : '';
    for (1 .. 20) {
        my $page = $s->get($s->url("$url?" . ($by eq 'index' ? 'startIndex' : 'cursor') . '=' . esc($at)))->json;
        push @names, map { $_->{userName} } @{ $page->{Resources} };
        $at = $by eq 'index' ? $at + $page->{itemsPerPage} : $page->{nextCursor} // '';
        last if $by eq 'index' ? $at > $page->{totalResults} : $at eq '';
    }
    return join ' ', sort @names;
}

subtest 'S-06 S-07 a list without count is a page, and all the rest is within reach' => sub {
    my @all = map { "page$_" } 1 .. 9;
    my @ids = map { made($s, '/Users', user($_))->{id} } @all;
    my $first = $s->get($s->url('/small/Users'))->json;
    is(scalar @{ $first->{Resources} }, 3, 'as many as SCIMDefaultPageSize says');
    is($first->{totalResults}, 9, 'of all that there are');
    is(scalar @{ $s->get($s->url('/small/Users?count=1000000'))->json->{Resources} }, 4, 'however many are asked for');
    is(all_pages('/small/Users', $_), "@all", "page for page, by $_") for qw(index cursor);
    $s->delete("/Users/$_") for @ids;
};

subtest 'S-11 what is deleted is free, what is not active is there' => sub {
    my $made = made($s, '/Users', user('leaver', externalId => 'e1'));
    my $group = made($s, '/Groups', group('Leavers', $made->{id}));
    is($s->delete("/Users/$made->{id}")->status, 204, 'deleted');
    is($s->delete("/Groups/$group->{id}")->status, 204, 'and its group');
    my $again = made($s, '/Users', user('leaver', externalId => 'e1'));
    isnt($again->{id}, $made->{id}, 'made again, as another user');
    made($s, '/Groups', group('Leavers'));
    changed($s, "/Users/$again->{id}", ['replace', 'active', $no]);
    my $r = query('userName eq "leaver"');
    is($r->json->{totalResults}, 1, 'one that is not active is found');
    is($r->json->{Resources}[0]{active}, $no, 'as what it is');
    is_error($s->post('/Users', user('leaver')), 409, 'uniqueness', 'and keeps its name');
    is(changed($s, "/Users/$again->{id}", ['replace', 'active', $yes])->{active}, $yes, 'until it is active again');
};

subtest 'S-12 an address makes nobody somebody else' => sub {
    my @email = (emails => [{ value => 'shared@example.com', primary => $yes }]);
    my $one = made($s, '/Users', user('first', @email));
    my $two = made($s, '/Users', user('second', @email));
    isnt($two->{id}, $one->{id}, 'a second user with that address is another user');
    is($s->get("/Users/$one->{id}")->json->{userName}, 'first', 'and the first stays what it is');
    is(found('emails.value eq "shared@example.com"'), 'first second', 'a filter finds both');
};

subtest 'S-13 externalId is kept as it was sent' => sub {
    for my $id ('00uABC', '12345', '0007', ' x ', "z\x{e9}ro") {
        my $made = made($s, '/Users', user("ext-$id", externalId => $id));
        is($made->{externalId}, $id, "as it was: $id");
        unlike($made->{id}, qr/\Q$id\E/, 'it is no id');
        is_error($s->get('/Users/' . esc($id)), 404, undef, 'nor read by as if it were');
    }
    is(found('externalId eq "00uABC"'), 'ext-00uABC', 'found');
    is(found('externalId eq "00uabc"'), '', 'and not in other case');
    is($s->put('/Users/' . query('externalId eq "12345"')->json->{Resources}[0]{id}, user('ext-12345', externalId => '54321'))->json->{externalId},
        '54321', 'and replaced');
    my ($code) = $s->scimctl(qw(tenant create elsewhere));
    is($code, 0, 'another tenant');
    my @theirs = (authorization => 'Bearer ' . $s->new_token(tenant => 'elsewhere', connection => 'x'));
    is($s->post('/Users', user('ext-00uABC', externalId => '00uABC'), @theirs)->status, 201, 'has the same one for its own');
};

subtest 'S-31 S-34 operators in capitals, and no way around the tenant' => sub {
    made($s, '/Users', user('anna', title => 'Guide', nickName => 'A'));
    made($s, '/Users', user('bert', title => 'Guide', nickName => 'B'));
    made($s, '/Groups', group('anna'));
    is(found('title eq "Guide" AND nickName eq "A"'), 'anna', 'AND');
    is(found('nickName eq "A" OR nickName eq "B"'), 'anna bert', 'OR');
    is(found('title EQ "Guide" And NOT (nickName Eq "A")'), 'bert', 'NOT, and operators that compare');
    my $all = $s->get('/Users')->json->{totalResults};
    for my $filter ('id pr or userName pr', 'userName eq "x" or not (userName eq "x")', 'meta.resourceType eq "Group" or id pr') {
        my $r = query($filter);
        is($r->json->{totalResults}, $all, "no more than there are: $filter");
        is((grep { $_->{meta}{resourceType} ne 'User' } @{ $r->json->{Resources} }), 0, 'and no groups');
    }
};

subtest 'S-33 a value is text, whatever stands in it' => sub {
    my @names = ("O'Malley", 'say "hi"', 'back\\slash', '*', '%', 'a)(b', '") or (userName pr', "x' or '1'='1", '$ne', '\\u0041', '(|(uid=*))');
    made($s, '/Users', user("v$_", nickName => $names[$_])) for 0 .. $#names;
    for my $i (0 .. $#names) {
        my $value = $json->allow_nonref->encode($names[$i]);
        is(found("nickName eq $value"), "v$i", "found, and nothing else: $names[$i]");
        is(found("nickName co $value and nickName ew $value and nickName sw $value"), "v$i", 'by other operators, too');
    }
    is_error(query("nickName eq 'x'"), 400, 'invalidFilter', 'quotes that are none');
    is_error(query('nickName eq "x\\"'), 400, 'invalidFilter', 'a string that does not end');
};

# Requests as nobody should send them, from a seed that is always the same.
sub nonsense
{
    my @atoms = ('null', 'true', '-1', '1e999', '""', '"\\ud800"', '{}', '[]', '[[]]', '{"value":{}}', '"x"', '{"schemas":5}', '[null]', '"\\u0000"');
    my @keys = qw(userName active emails name members schemas Operations op path value id meta groups displayName);
    my $pick = sub { $_[ int rand @_ ] };
    my $object = sub { '{' . join(',', map { '"' . $pick->(@keys) . '":' . $pick->(@atoms) } 1 .. 1 + int rand 5) . '}' };
    my $body = rand() < 0.5 ? $object->() : qq({"schemas":["$PATCH_OP"],"Operations":[) . $object->() . ']}';
    $body = substr $body, 0, int rand length $body if rand() < 0.2;
    my @paths = ('/Users', '/Groups', '/Users/none', '/Groups/none', '/Bulk', '/.search', '/Users/.search', '/Nothing', '/', '/Schemas', '/Me');
    my @queries = ('', '?filter=((', '?count=x', '?attributes=]', '?sortBy=', '?startIndex=-9', '?cursor=x', '?filter=%00', '?filter=id%20eq%20');
    return ($pick->(qw(GET POST PUT PATCH DELETE)), $pick->(@paths) . $pick->(@queries), $body);
}

subtest 'S-40 nonsense is told so, as SCIM says it' => sub {
    srand 7643;
    my (%seen, @bad);
    for my $try (1 .. 400) {
        my ($method, $path, $body) = nonsense();
        my $r = $s->request($method, $path, $body);
        $seen{ $r->status }++;
        next if $r->status < 400;
        my $told = ref $r->json eq 'HASH' && ($r->json->{schemas}[0] // '') eq $ERROR && $r->content =~ /"status":"@{[ $r->status ]}"/;
        push @bad, "$method $path $body: " . $r->status . ' ' . $r->content if !$told || ($r->status >= 500 && $r->status != 501);
    }
    is_deeply(\@bad, [], 'every answer is good, or a SCIM error that is none of the server');
    ok($seen{400} && $seen{404} && $seen{405}, 'and they were of several kinds');
    is($s->get('/Users?count=0')->status, 200, 'the server is well');
};

subtest 'S-41 one media type out, all that mean JSON in' => sub {
    my $n = 0;
    for my $type (undef, 'application/json', 'application/scim+json', 'application/JSON; charset=UTF-8', 'application/scim+json;charset=utf-8;x=y') {
        my $r = $s->post('/Users', user('media' . $n++), 'content-type' => $type);
        is($r->status, 201, 'sent as ' . ($type // 'nothing'));
        is($r->header('content-type'), 'application/scim+json', 'and answered');
    }
    for my $accept (undef, '*/*', 'application/*', 'application/scim+json; charset=utf-8', 'text/html, */*;q=0.1', 'text/html') {
        my $r = $s->get('/Users?count=1', accept => $accept);
        is($r->status . ' ' . $r->header('content-type'), '200 application/scim+json', 'asked for as ' . ($accept // 'nothing'));
    }
};

subtest 'S-43 a deletion leaves nothing behind that names what is gone' => sub {
    my ($boss, $worker) = map { made($s, '/Users', user($_)) } qw(boss worker);
    changed($s, "/Users/$worker->{id}", ['add', "$ENTERPRISE:manager", { value => $boss->{id} }]);
    my $inner = made($s, '/Groups', group('Inner', $boss->{id}, $worker->{id}));
    my $outer = made($s, '/Groups', group('Outer', $inner->{id}));
    is($s->delete("/Users/$boss->{id}")->status, 204, 'a user is deleted');
    is_deeply([map { $_->{value} } @{ $s->get("/Groups/$inner->{id}")->json->{members} }], [$worker->{id}], 'its group has it no more');
    ok(!exists $s->get("/Users/$worker->{id}")->json->{$ENTERPRISE}{manager}, 'nor is it a manager');
    is_deeply([sort map { $_->{display} } @{ $s->get("/Users/$worker->{id}")->json->{groups} }], ['Inner', 'Outer'], 'a user knows its groups');
    is($s->delete("/Groups/$inner->{id}")->status, 204, 'a group is deleted');
    ok(!exists $s->get("/Users/$worker->{id}")->json->{groups}, 'and the user is in none');
    ok(!exists $s->get("/Groups/$outer->{id}")->json->{members}, 'and the group around it is empty');
};

subtest 'S-44 a bulk job is answered in its order, in the form of the RFC' => sub {
    my @operations = (
        { method => 'POST', path => '/Users', bulkId => 'b1', data => user('bulk1') },
        { method => 'POST', path => '/Users', bulkId => 'b2', data => user('bulk1') },
        { method => 'POST', path => '/Groups', bulkId => 'b3', data => group('Bulk', 'bulkId:b1') },
        { method => 'DELETE', path => '/Users/none' },
    );
    my $r = $s->post('/Bulk', { schemas => [$BULK], Operations => \@operations });
    my @done = @{ $r->json->{Operations} };
    is($r->status, 200, 'the job is done');
    is_deeply([map { $_->{method} . ($_->{bulkId} // '') } @done], ['POSTb1', 'POSTb2', 'POSTb3', 'DELETE'], 'in its order');
    like($r->content, qr/"status":"201".*"status":"409".*"status":"201".*"status":"404"/, 'each with its status, a string');
    is_deeply([map { exists $_->{response} ? 1 : 0 } @done], [0, 1, 0, 1], 'with a response where it failed');
    is($done[1]{response}{status} . $done[1]{response}{schemas}[0], "409$ERROR", 'which is an error, not text of it');
    like($done[2]{location}, qr{^http://127\.0\.0\.1:\d+/scim/v2/Groups/[0-9a-f-]+$}, 'and a location where it did not');
};

subtest 'S-45 no URL is made of what a client calls the server' => sub {
    my $made = $s->post('/Users', user('hosted'), host => 'evil.example', 'x-forwarded-host' => 'evil.example');
    is($made->status, 403, 'through a proxy nobody comes without TLS');
    $made = $s->post('/Users', user('hosted'), host => 'evil.example');
    is($made->status, 201, 'a Host header of another name');
    unlike($made->content . $made->header('location'), qr/evil/, 'is in no answer');
    is($made->header('location'), $made->json->{meta}{location}, 'whose URLs are one');
    unlike($s->get('/ServiceProviderConfig', host => 'evil.example')->content, qr/evil/, 'nor in discovery');
};

subtest 'S-46 discovery is whole' => sub {
    my @nobody = (authorization => undef);
    my $config = $s->get('/ServiceProviderConfig', @nobody);
    is($config->status, 200, 'ServiceProviderConfig is for anybody');
    is($config->json->{$_}{supported}, $yes, "which has $_") for qw(patch bulk filter sort etag);
    cmp_ok($config->json->{filter}{maxResults}, '>', 0, 'with limits that are some');
    cmp_ok($config->json->{bulk}{$_}, '>', 0, "and $_") for qw(maxOperations maxPayloadSize);
    for my $path ('/Schemas', '/ResourceTypes') {
        is($s->get($path, @nobody)->status, 401, "$path asks for a token");
        my $r = $s->get($path);
        is_deeply($r->json->{schemas}, [$LIST], "$path is a list");
        is($r->json->{totalResults}, scalar @{ $r->json->{Resources} }, 'of all that there are');
        unlike($r->content, qr/\bnull\b(?!")/, 'without null');
    }
    is_deeply([sort map { $_->{id} } @{ $s->get('/ResourceTypes')->json->{Resources} }], ['Group', 'User'], 'the types');
};

subtest 'S-47 no token is no token, and none is in a log' => sub {
    my $token = $s->token;
    is_error($s->get('/Users', authorization => $_), 401, undef, defined $_ ? "\"$_\"" : 'no header')
        for undef, '', 'Bearer', 'Bearer ', 'Bearer null', 'Bearer undefined', 'Basic Og==';
    is_error($s->get("/Users?access_token=$token", authorization => undef), 401, undef, 'in the URL it is none');
    is($s->get('/Users?count=1')->status, 200, 'the token itself is');
    my $secret = substr $token, 6, 43;
    is((grep { /$secret/ } $s->access_log, $s->error_log), 0, 'it is in no log');
};

subtest 'S-48 groups inside groups, and around themselves' => sub {
    my $user = made($s, '/Users', user('nested'));
    my $b = made($s, '/Groups', group('Circle B', $user->{id}));
    my $a = made($s, '/Groups', group('Circle A', $b->{id}));
    changed($s, "/Groups/$b->{id}", ['add', 'members', [{ value => $a->{id} }]]);
    my %type = map { $_->{value} => $_->{type} } @{ $s->get("/Groups/$b->{id}")->json->{members} };
    is_deeply(\%type, { $user->{id} => 'User', $a->{id} => 'Group' }, 'members say what they are');
    my %groups = map { $_->{display} => $_->{type} } @{ $s->get("/Users/$user->{id}")->json->{groups} };
    is_deeply(\%groups, { 'Circle B' => 'direct', 'Circle A' => 'indirect' }, 'groups say how near they are');
    is($s->delete("/Groups/$a->{id}")->status, 204, 'the circle is opened');
    is_deeply([map { $_->{display} } @{ $s->get("/Users/$user->{id}")->json->{groups} }], ['Circle B'], 'and one is left');
};

$s->log_clean;
done_testing();
