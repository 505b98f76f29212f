#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# PUT.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $NOBODY = '01900000-0000-7000-8000-000000000000';

my $s = Scim::Httpd->new(conf => endpoint('/rfc/v2', 'SCIMProfile rfc'));
my $rfc = $s->url('/rfc/v2');

my $made = made($s, '/Users', user(
    'bjensen',
    title => 'Guide',
    name => { givenName => 'Barbara', familyName => 'Jensen' },
    emails => [{ value => 'bjensen@example.com', type => 'work' }],
    $ENTERPRISE => { department => 'Tours', employeeNumber => '701984' },
));
my $path = "/Users/$made->{id}";
made($s, '/Users', user('jsmith'));

sub refused
{
    my ($url, $body, $status, $type, $name) = @_;
    my $before = $s->get($url)->content;
    is_error($s->put($url, $body), $status, $type, $name);
    is($s->get($url)->content, $before, "$name: nothing has changed");
}

# Changes whatever path leads to, so that the next PUT has something to change.
sub changed_first
{
    our $title //= 0;
    return changed($s, $path, ['replace', 'title', 'Guide ' . ++$title]);
}

subtest 'C-150 PUT replaces and tells the whole resource' => sub {
    my $r = $s->put($path, user('bjensen', displayName => 'Babs', emails => [{ value => 'b@example.org' }]));
    is($r->status, 200, 'the status');
    my $json = $r->json;
    is($json->{displayName}, 'Babs', 'what is new');
    is_deeply($json->{emails}, [{ value => 'b@example.org' }], 'what is other');
    is($r->header('etag'), $json->{meta}{version}, 'ETag');
    is($r->header('location'), $json->{meta}{location}, 'Location');
    is_deeply($s->get($path)->json, $json, 'it is so');
};

subtest 'C-151 PUT of an unknown id is 404 and makes nothing' => sub {
    my $before = $s->get('/Users?count=0')->json->{totalResults};
    is_error($s->put("/Users/$_", user('new')), 404, undef, $_) for $NOBODY, 'bjensen', uc $made->{id};
    is_error($s->put("/Users/$NOBODY", '{'), 404, undef, 'even with a broken body');
    is_error($s->put("/Groups/$made->{id}", group('x')), 404, undef, 'a user as a group');
    is($s->get('/Users?count=0')->json->{totalResults}, $before, 'nothing was made');
};

subtest 'C-152 what only the server may write is ignored' => sub {
    my $before = changed_first();
    my %theirs = (
        id => $NOBODY,
        meta => { created => '1999-01-01T00:00:00Z', version => 'W/"77"', resourceType => 'Group', location => 'x' },
        groups => [{ value => $NOBODY }],
    );
    for my $base ('', $rfc) {
        my $json = $s->put("$base$path", user('bjensen', %theirs, $ENTERPRISE => { manager => { displayName => 'x' } }))->json;
        is($json->{id}, $before->{id}, 'id');
        is($json->{meta}{created}, $before->{meta}{created}, 'meta.created');
        is($json->{meta}{resourceType}, 'User', 'meta.resourceType');
        isnt($json->{meta}{version}, 'W/"77"', 'meta.version');
        ok(!exists $json->{groups}, 'groups');
        ok(!exists $json->{$ENTERPRISE}, 'manager.displayName');
    }
    is($s->put($path, user('bjensen', id => 7, meta => [], groups => 'x'))->status, 200, 'even of a wrong type');
    is($s->put($path, $s->get($path)->json)->status, 200, 'so that what was read can be sent back');
};

subtest 'C-153 what is left out is cleared' => sub {
    my $set = user('bjensen', title => 'x', name => { givenName => 'a', familyName => 'b' }, active => \1, emails => [{ value => 'c' }]);
    is($s->put($path, $set)->status, 200, 'set');
    my $json = $s->put($path, user('bjensen', name => { givenName => 'a' }))->json;
    is_deeply([sort keys %$json], [qw(id meta name schemas userName)], 'attributes');
    is_deeply($json->{name}, { givenName => 'a' }, 'sub-attributes');
    $json = $s->put($path, user('bjensen', name => undef, emails => []))->json;
    is_deeply([sort keys %$json], [qw(id meta schemas userName)], 'null and [] as well');
    my $group = made($s, '/Groups', group('Cleared', $made->{id}));
    $json = $s->put("/Groups/$group->{id}", group('Cleared'))->json;
    ok(!exists $json->{members}, 'the members of a group');
    ok(!exists $s->get($path)->json->{groups}, 'and the groups of the member');
};

subtest 'C-155 what is required must be sent' => sub {
    changed_first();
    my $group = made($s, '/Groups', group('Required'));
    for my $base ('', $rfc) {
        refused("$base$path", { schemas => [$USER], title => 'x' }, 400, 'invalidValue', 'no userName');
        refused("$base$path", user(''), 400, 'invalidValue', 'an empty one');
        refused("$base/Groups/$group->{id}", { schemas => [$GROUP] }, 400, 'invalidValue', 'no displayName');
        refused("$base$path", { userName => 'bjensen' }, 400, 'invalidSyntax', 'no schemas');
    }
};

subtest 'C-156 a userName that another has is 409' => sub {
    refused($path, user('jsmith'), 409, 'uniqueness', 'the same');
    refused($path, user('JSmith'), 409, 'uniqueness', 'in other case');
    my ($one, $two) = map { made($s, '/Groups', group("Unique $_")) } 1, 2;
    refused("/Groups/$two->{id}", group('unique 1'), 409, 'uniqueness', 'a displayName of a group');
    is($s->put($path, user('BJensen'))->json->{userName}, 'BJensen', 'its own in other case is fine');
    is($s->get('/Users?filter=' . esc('userName eq "bjensen"'))->json->{totalResults}, 1, 'and found');
    is($s->put($path, user('babs'))->json->{userName}, 'babs', 'and so is a free one');
    is($s->post('/Users', user('bjensen'))->status, 201, 'the old one is free then');
    is($s->put($path, user('babs2'))->status, 200, 'and again');
};

subtest 'C-157 a change moves lastModified and ETag, and leaves created' => sub {
    my $before = changed_first();
    my $r = $s->put($path, user('babs', title => 'changed'));
    my $after = $r->json->{meta};
    is($after->{created}, $before->{meta}{created}, 'created');
    cmp_ok($after->{lastModified}, 'gt', $before->{meta}{lastModified}, 'lastModified');
    isnt($after->{version}, $before->{meta}{version}, 'version');
    is($r->header('etag'), $after->{version}, 'ETag');
};

subtest 'C-158 PUT of what is there changes nothing' => sub {
    my $body = user('babs', title => 'same', emails => [{ value => 'a', type => 'work' }, { value => 'b' }],
        $ENTERPRISE => { department => 'x' });
    my $before = $s->put($path, $body)->content;
    is($s->put($path, $body)->content, $before, 'the same body');
    is($s->put($path, $s->get($path)->json)->content, $before, 'what was read');
    is($s->put("$rfc$path", { %$body, nickName => undef })->json->{meta}{version}, $s->get($path)->json->{meta}{version}, 'with a null');
    my $group = made($s, '/Groups', group('Same', $made->{id}));
    my $r = $s->put("/Groups/$group->{id}", group('Same', $made->{id}));
    is_deeply($r->json, $group, 'a group');
};

subtest 'C-159 an extension that is left out goes with its URN' => sub {
    my $json = $s->put($path, user('babs', $ENTERPRISE => { department => 'x' }))->json;
    is_deeply($json->{schemas}, [$USER, $ENTERPRISE], 'there');
    $json = $s->put($path, { schemas => [$USER, $ENTERPRISE], userName => 'babs' })->json;
    is_deeply($json->{schemas}, [$USER], 'gone');
    ok(!exists $json->{$ENTERPRISE}, 'with its data');
};

subtest 'C-160 a member cannot become another thing' => sub {
    my $inner = made($s, '/Groups', group('Inner'));
    my $group = made($s, '/Groups', group('Outer', $made->{id}, $inner->{id}));
    my $url = "/Groups/$group->{id}";
    my $with = sub { my $body = group('Outer'); $body->{members} = [@_]; return $body };
    for my $base ('', $rfc) {
        refused("$base$url", $with->({ value => $made->{id}, type => 'Group' }), 400, 'mutability', 'another type');
        my $users = $made->{meta}{location} =~ s{[^/]+$}{}r;
        for my $ref ($inner->{meta}{location}, "$users$inner->{id}", "../Groups/$made->{id}", "https://x.example/Users/$NOBODY") {
            refused("$base$url", $with->({ value => $made->{id}, '$ref' => $ref }), 400, 'mutability', "another \$ref: $ref");
        }
        for my $ref ("../Users/$made->{id}", "https://x.example/scim/Users/$made->{id}", 'whatever', '/', '') {
            my $same = $with->({ value => $made->{id}, '$ref' => $ref }, { value => $inner->{id} });
            is($s->put("$base$url", $same)->status, 200, "the same, or nothing to go by: \"$ref\"");
        }
        my $own = { value => $made->{id}, type => 'User', '$ref' => $made->{meta}{location} };
        is($s->put("$base$url", $with->($own, { value => $inner->{id} }))->status, 200, 'its own are fine');
    }
    is_deeply([map { $_->{value} } @{ $s->get($url)->json->{members} }], [sort $made->{id}, $inner->{id}], 'both are members');
    is($s->put($url, $s->get($url)->json)->status, 200, 'what was read can be sent back');
};

$s->log_clean;
done_testing();
