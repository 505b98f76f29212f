#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# POST .search, of one resource type and of all (RFC 7644 section 3.4.3).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $SEARCH = 'urn:ietf:params:scim:api:messages:2.0:SearchRequest';

my $s = Scim::Httpd->new(conf => endpoint('/rfc', 'SCIMProfile rfc'));
my $anna = made($s, '/Users', user('anna', displayName => 'Smith, Anna', title => 'B', emails => [{ value => 'anna@x.org', type => 'work' }]));
my $bob = made($s, '/Users', user('bob', displayName => 'smithers', title => 'A'));
my $guides = made($s, '/Groups', group('Smith family', $anna->{id}));

sub request_of { return { schemas => [$SEARCH], @_ } }

sub found
{
    my ($path, %request) = @_;
    my $r = $s->post($path, request_of(%request));
    die "$path: " . $r->status . ' ' . $r->content . "\n" if $r->status != 200;
    return $r->json;
}

sub ids { return map { $_->{id} } @{ $_[0]{Resources} } }

subtest 'C-260 the example of section 3.4.3' => sub {
    my $r = $s->post('/.search', <<"EOT");
{ "schemas": ["$SEARCH"],
  "attributes": ["displayName", "userName"],
  "filter": "displayName sw \\"smith\\"",
  "startIndex": 1,
  "count": 10 }
EOT
    is($r->status, 200, 'found, not created');
    is($r->header('location'), undef, 'no Location');
    is_deeply($r->json, {
        schemas => [$LIST], totalResults => 3, startIndex => 1, itemsPerPage => 3,
        Resources => [
            { schemas => [$USER], id => $anna->{id}, userName => 'anna', displayName => 'Smith, Anna' },
            { schemas => [$USER], id => $bob->{id}, userName => 'bob', displayName => 'smithers' },
            { schemas => [$GROUP], id => $guides->{id}, displayName => 'Smith family' },
        ],
    }, 'the list');
};

subtest 'C-069 C-260 what GET answers' => sub {
    for my $case (['/Users', {}, ''], ['/Groups', {}, ''], ['/Users', { filter => 'title pr', sortBy => 'title' }, 'filter=title+pr&sortBy=title'],
        ['/Users', { startIndex => 2, count => 1 }, 'startIndex=2&count=1'], ['/Users', { count => 0 }, 'count=0'],
        ['/Users', { excludedAttributes => ['name', 'emails.type'] }, 'excludedAttributes=name,emails.type'],
        ['/Users', { sortBy => 'title', sortOrder => 'descending' }, 'sortBy=title&sortOrder=descending'],
        ['', {}, ''], ['', { filter => 'meta.resourceType eq "Group"' }, 'filter=' . esc('meta.resourceType eq "Group"')]) {
        my ($path, $request, $query) = @$case;
        is_deeply(found("$path/.search", %$request), $s->get(($path || '/') . "?$query")->json, "$path?$query");
    }
    is_deeply([ids(found('/Groups/.search', filter => qq(members[value eq "$anna->{id}"])))], [$guides->{id}], 'by a member');
};

subtest 'C-005 C-006 C-171 forms of the request' => sub {
    my $plain = $s->post('/Users/.search', { SCHEMAS => [uc $SEARCH], Filter => 'userName eq "anna"', foo => 7 }, 'content-type' => 'application/json');
    is_deeply([ids($plain->json)], [$anna->{id}], 'names in any case, application/json, and what nobody knows');
    is_deeply([ids(found('/Users/.search', filter => 'userName eq "anna"', cursor => undef, sortBy => undef, attributes => [], count => undef))],
        [$anna->{id}], 'null is nothing');
    is_error($s->post('/Users/.search', request_of(), 'content-type' => 'text/plain'), 415, undef, 'another type');
};

subtest 'C-261 without the schema of a SearchRequest' => sub {
    for my $body ({}, { filter => 'userName pr' }, { schemas => [] }, { schemas => [$LIST] }, { schemas => $SEARCH }) {
        for my $path ('/Users/.search', '/.search', $s->url('/rfc/Users/.search')) {
            is_error($s->post($path, $body), 400, 'invalidSyntax', $path);
        }
    }
    is_error($s->post('/Users/.search', $_), 400, 'invalidSyntax', "body $_") for '', '[]', '{', 'null';
};

subtest 'C-098 C-103 C-122 C-262 members of the wrong kind' => sub {
    my @cases = (
        [{ attributes => 'userName,displayName' }, 'invalidValue'], [{ attributes => [1] }, 'invalidValue'],
        [{ excludedAttributes => {} }, 'invalidValue'], [{ attributes => ['a'], excludedAttributes => ['b'] }, 'invalidValue'],
        [{ filter => 1 }, 'invalidValue'], [{ filter => '' }, 'invalidFilter'], [{ filter => 'userName foo "x"' }, 'invalidFilter'],
        [{ count => '10' }, 'invalidValue'], [{ count => 1.5 }, 'invalidValue'], [{ startIndex => [] }, 'invalidValue'],
        [{ sortBy => ['title'] }, 'invalidValue'], [{ sortBy => 'nothing' }, 'invalidValue'], [{ sortOrder => 'up' }, 'invalidValue'],
        [{ cursor => 1 }, 'invalidValue'], [{ cursor => 'x' }, 'invalidCursor'],
    );
    is_error($s->post('/Users/.search', request_of(%{ $_->[0] })), 400, $_->[1], join ' ', %{ $_->[0] }) for @cases;
    is_error($s->post('/Users/.search', request_of(filter => 'password eq "x"')), 403, 'sensitive', 'password');
};

subtest 'C-141 by cursor' => sub {
    my $page = found('/Users/.search', cursor => '', count => 1);
    is_deeply([ids($page)], [$anna->{id}], 'the first page');
    my $next = found('/Users/.search', cursor => $page->{nextCursor}, count => 1);
    is_deeply([ids($next)], [$bob->{id}], 'the second');
    ok(!exists $next->{nextCursor}, 'which is the last');
    is_error($s->post('/Users/.search', request_of(cursor => $page->{nextCursor}, count => 2)), 400, 'invalidCount', 'another count');
    is_error($s->post('/Groups/.search', request_of(cursor => $page->{nextCursor}, count => 1)), 400, 'invalidCursor', 'another endpoint');
};

subtest 'C-263 the query string is ignored' => sub {
    my $r = $s->post('/Users/.search?filter=nonsense&count=abc&cursor=x&startIndex=9&attributes=a&excludedAttributes=b',
        request_of(filter => 'userName eq "bob"'));
    is_deeply([ids($r->json)], [$bob->{id}], 'whatever it holds');
};

subtest 'C-264 no other method' => sub {
    for my $path ('/Users/.search', '/.search', '/Groups/.search') {
        for my $method (qw(GET PUT PATCH DELETE)) {
            my $r = $s->request($method, $path, $method =~ /^P/ ? {} : undef);
            is_error($r, 405, undef, "$method $path");
            is($r->header('allow'), 'POST, OPTIONS', "$method $path: Allow");
        }
    }
    is_error($s->post('/Foo/.search', request_of()), 404, undef, 'an unknown endpoint');
};

subtest 'C-014 C-016 who may' => sub {
    is_error($s->post('/.search', request_of(), authorization => undef), 401, undef, 'nobody');
    my @reader = (authorization => 'Bearer ' . $s->new_token(connection => 'reader', scope => 'read'));
    is($s->post('/.search', request_of(), @reader)->status, 200, 'who may only read');
    my @writer = (authorization => 'Bearer ' . $s->new_token(connection => 'writer', scope => 'write'));
    is_error($s->post('/.search', request_of(), @writer), 403, undef, 'who may only write');
};

subtest 'C-316 notes: what was asked stays out of the log' => sub {
    found('/Users/.search', filter => 'userName eq "anna"', count => 1);
    ok($s->wait_access(qr/op=users\.search id=- changes=- count=1 /), 'the operation');
    found('/.search', count => 2);
    ok($s->wait_access(qr/op=root\.search id=- changes=- count=2 /), 'at the root');
    is(scalar(grep { /anna|userName eq/ } $s->access_log), 0, 'no filter');
};

$s->log_clean;
done_testing();
