#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# DELETE, and what goes with what is deleted.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new;

sub total
{
    my ($query) = @_;
    return $s->get($query)->json->{totalResults};
}

subtest 'C-210 what is deleted is gone for every method' => sub {
    for my $kind (['/Users', user('bjensen', externalId => 'bj', emails => [{ value => 'b@example.com' }])],
        ['/Groups', group('Tour Guides')])
    {
        my ($endpoint, $body) = @$kind;
        my $path = "$endpoint/" . made($s, $endpoint, $body)->{id};
        my $r = $s->delete($path);
        is($r->status . $r->content, '204', "$endpoint: DELETE");
        is($r->header($_), undef, "$endpoint: no $_") for qw(content-type etag location content-location);
        is_error($s->get($path), 404, undef, "$endpoint: GET");
        is_error($s->put($path, $body), 404, undef, "$endpoint: PUT");
        is_error($s->patch($path, ops(['replace', 'externalId', 'y'])), 404, undef, "$endpoint: PATCH");
        is_error($s->delete($path), 404, undef, "$endpoint: DELETE");
        is(total($endpoint), 0, "$endpoint: not in the list");
        is(total("$endpoint?count=0"), 0, "$endpoint: not in the number");
    }
    for my $filter ('userName eq "bjensen"', 'externalId eq "bj"', 'emails.value eq "b@example.com"', 'userName pr') {
        is(total('/Users?filter=' . esc($filter)), 0, "not found by $filter");
    }
};

subtest 'C-210 DELETE looks at neither body nor type' => sub {
    my $path = '/Users/' . made($s, '/Users', user('with a body'))->{id};
    my $r = $s->request('DELETE', $path, 'not json', 'content-type' => 'text/plain');
    is($r->status, 204, 'DELETE with a body');
    is_error($s->delete('/Users/none'), 404, undef, 'no id');
    is_error($s->delete('/Users/01900000-0000-7000-8000-000000000000'), 404, undef, 'an unknown one');
    my $group = made($s, '/Groups', group('Not a user'));
    is_error($s->delete("/Users/$group->{id}"), 404, undef, 'a group among users');
    is($s->get("/Groups/$group->{id}")->status, 200, 'which stays');
};

subtest 'C-211 the names of what was deleted are free' => sub {
    my $first = made($s, '/Users', user('again', externalId => 'x'));
    is($s->delete("/Users/$first->{id}")->status, 204, 'a user');
    my $second = made($s, '/Users', user('Again', externalId => 'x'));
    isnt($second->{id}, $first->{id}, 'a new id');
    is_error($s->get("/Users/$first->{id}"), 404, undef, 'the old one stays gone');
    my $group = made($s, '/Groups', group('Again'));
    is($s->delete("/Groups/$group->{id}")->status, 204, 'a group');
    is($s->post('/Groups', group('again'))->status, 201, 'its name is free');
};

subtest 'C-212 references to a deleted user go with it' => sub {
    my ($boss, $other) = map { made($s, '/Users', user($_)) } qw(boss other);
    my $worker = made($s, '/Users', user('worker', $ENTERPRISE => { manager => { value => $boss->{id} }, department => 'x' }));
    my $lonely = made($s, '/Users', user('lonely', $ENTERPRISE => { manager => { value => $boss->{id} } }));
    my $group = made($s, '/Groups', group('Both', $boss->{id}, $other->{id}));
    my $apart = made($s, '/Groups', group('Apart', $other->{id}));
    is($s->delete("/Users/$boss->{id}")->status, 204, 'DELETE');

    my $now = $s->get("/Groups/$group->{id}")->json;
    is_deeply([map { $_->{value} } @{ $now->{members} }], [$other->{id}], 'a member is gone from the group');
    isnt($now->{meta}{version}, $group->{meta}{version}, 'its version has moved');
    cmp_ok($now->{meta}{lastModified}, 'gt', $group->{meta}{lastModified}, 'its lastModified, too');
    is_deeply($s->get("/Groups/$apart->{id}")->json, $apart, 'another group has not changed');

    $now = $s->get("/Users/$worker->{id}")->json;
    is_deeply($now->{$ENTERPRISE}, { department => 'x' }, 'the manager is gone');
    isnt($now->{meta}{version}, $worker->{meta}{version}, 'the version has moved');
    $now = $s->get("/Users/$lonely->{id}")->json;
    is_deeply($now->{schemas}, [$USER], 'the extension goes with its last attribute');
    ok(!exists $now->{$ENTERPRISE}, 'all of it');
};

subtest 'C-213 the members of a deleted group stay' => sub {
    my $user = made($s, '/Users', user('stays'));
    my ($one, $two) = map { made($s, '/Groups', group($_, $user->{id})) } 'One', 'Two';
    my $outer = made($s, '/Groups', group('Around', $one->{id}, $two->{id}));
    is($s->delete("/Groups/$one->{id}")->status, 204, 'DELETE');
    my $now = $s->get("/Users/$user->{id}")->json;
    my @direct = map { $_->{value} } grep { $_->{type} eq 'direct' } @{ $now->{groups} };
    is_deeply(\@direct, [$two->{id}], 'its groups are those that are left');
    is($now->{meta}{version}, $user->{meta}{version}, 'the user itself has not changed');
    is_deeply([map { $_->{value} } @{ $s->get("/Groups/$outer->{id}")->json->{members} }], [$two->{id}],
        'a group around it has it no more');
};

$s->log_clean;
done_testing();
