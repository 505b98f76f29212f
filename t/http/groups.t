#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Groups: their members, and what members tell of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new;

# "direct:Name indirect:Name", by name.
sub groups_of
{
    my ($id) = @_;
    my $groups = $s->get("/Users/$id")->json->{groups} || [];
    return join ' ', sort map { "$_->{type}:$_->{display}" } @$groups;
}

sub members_of
{
    my ($id) = @_;
    return map { $_->{value} } @{ $s->get("/Groups/$id")->json->{members} || [] };
}

sub new_user
{
    our $last //= 0;
    return made($s, '/Users', user('user' . ++$last))->{id};
}

subtest 'C-214 a user tells its groups' => sub {
    my $id = new_user();
    ok(!exists $s->get("/Users/$id")->json->{groups}, 'none');
    my $group = made($s, '/Groups', group('Tour Guides', $id));
    my $other = made($s, '/Groups', group('Employees'));
    changed($s, "/Groups/$other->{id}", ['add', 'members', [{ value => $id }]]);
    my %told = map { $_->{display} => $_ } @{ $s->get("/Users/$id")->json->{groups} };
    is_deeply(\%told, {
        map {
            ($_->{displayName} => {
                value => $_->{id},
                '$ref' => $s->base . "/Groups/$_->{id}",
                display => $_->{displayName},
                type => 'direct',
            })
        } $group, $other
    }, 'two, with value, $ref, display and type');
    my $list = $s->get('/Users?filter=' . esc(qq(id eq "$id")))->json->{Resources}[0];
    is(scalar @{ $list->{groups} }, 2, 'in a list as well');

    is($s->put("/Users/$id", user('renamed', groups => []))->status, 200, 'PUT of the user');
    is(groups_of($id), 'direct:Employees direct:Tour Guides', 'does not touch them');
    changed($s, "/Groups/$other->{id}", ['replace', 'displayName', 'Staff']);
    is(groups_of($id), 'direct:Staff direct:Tour Guides', 'a new name of a group is told');
    is($s->put("/Groups/$group->{id}", group('Tour Guides'))->status, 200, 'PUT of a group without members');
    is(groups_of($id), 'direct:Staff', 'it is gone');
};

subtest 'C-215 groups in groups' => sub {
    my $id = new_user();
    my ($inner, $middle, $outer) = map { made($s, '/Groups', group($_))->{id} } qw(Inner Middle Outer);
    changed($s, "/Groups/$inner", ['add', 'members', [{ value => $id }]]);
    changed($s, "/Groups/$middle", ['add', 'members', [{ value => $inner }]]);
    changed($s, "/Groups/$outer", ['add', 'members', [{ value => $middle, type => 'Group' }]]);
    my ($member) = @{ $s->get("/Groups/$outer")->json->{members} };
    is_deeply($member, { value => $middle, type => 'Group', '$ref' => $s->base . "/Groups/$middle" }, 'the member is a group');
    is(groups_of($id), 'direct:Inner indirect:Middle indirect:Outer', 'direct and indirect');

    changed($s, "/Groups/$inner", ['add', 'members', [{ value => $outer }]]);
    is(groups_of($id), 'direct:Inner indirect:Middle indirect:Outer', 'in a circle each is told once');
    changed($s, "/Groups/$outer", ['add', 'members', [{ value => $id }]]);
    is(groups_of($id), 'direct:Inner direct:Outer indirect:Middle', 'direct goes before indirect');
    is($s->delete("/Groups/$middle")->status, 204, 'one of them is deleted');
    is(groups_of($id), 'direct:Inner direct:Outer', 'the circle is open');
};

subtest 'C-215 a group is no member of itself' => sub {
    my $group = made($s, '/Groups', group('Self'));
    my $path = "/Groups/$group->{id}";
    is_error($s->patch($path, ops(['add', 'members', [{ value => $group->{id} }]])), 400, 'invalidValue', 'PATCH');
    is_error($s->put($path, group('Self', $group->{id})), 400, 'invalidValue', 'PUT');
    is_deeply($s->get($path)->json, $group, 'nothing has changed');
};

subtest 'C-216 a member is told by value, $ref and type' => sub {
    my ($one, $two) = (new_user(), new_user());
    my $group = made($s, '/Groups', {
        %{ group('Shown') },
        members => [{ value => $one }, { value => $two, display => 'As Sent', type => 'User', '$ref' => "../Users/$two" }],
    });
    my %told = map { $_->{value} => $_ } @{ $s->get("/Groups/$group->{id}")->json->{members} };
    is_deeply($told{$one}, { value => $one, type => 'User', '$ref' => $s->base . "/Users/$one" }, 'without a display');
    is_deeply($told{$two}, { value => $two, type => 'User', '$ref' => $s->base . "/Users/$two", display => 'As Sent' },
        'with the display that was sent');
    changed($s, "/Users/$two", ['replace', 'displayName', 'Another']);
    is($s->get("/Groups/$group->{id}")->json->{members}[1]{display}, 'As Sent', 'it stays');
    my $lean = $s->get("/Groups/$group->{id}?excludedAttributes=members")->json;
    ok(!exists $lean->{members}, 'members need not be told');
};

subtest 'S-15 the same member twice is one member' => sub {
    my $id = new_user();
    my $group = made($s, '/Groups', group('Once', $id, $id));
    is_deeply([members_of($group->{id})], [$id], 'POST');
    is($s->put("/Groups/$group->{id}", group('Once', $id, $id, $id))->status, 200, 'PUT');
    is_deeply([members_of($group->{id})], [$id], 'one');
    changed($s, "/Groups/$group->{id}", ['add', 'members', [{ value => $id }, { value => $id }]]);
    is_deeply([members_of($group->{id})], [$id], 'PATCH');
};

subtest 'S-05 a group that is larger than any page is told whole' => sub {
    my @ids = map { new_user() } 1 .. 250;
    my $group = made($s, '/Groups', group('Large', @ids));
    is_deeply([members_of($group->{id})], \@ids, 'all of them, in the order of their ids');
    my $r = $s->put("/Groups/$group->{id}", group('Large', reverse @ids));
    is_deeply([map { $_->{value} } @{ $r->json->{members} }], \@ids, 'sent in another order');
    is($r->json->{meta}{version}, $group->{meta}{version}, 'which changes nothing');
};

subtest 'a filter on members finds the groups of a user' => sub {
    my ($in, $out) = (new_user(), new_user());
    my $group = made($s, '/Groups', group('Found', $in));
    my $total = sub { return $s->get('/Groups?excludedAttributes=members&filter=' . esc($_[0]))->json->{totalResults} };
    is($total->(qq(members.value eq "$in")), 1, 'members.value');
    is($total->(qq(members eq "$in")), 1, 'members');
    is($total->(qq(members[value eq "$in"])), 1, 'a value path');
    is($total->(qq(id eq "$group->{id}" and members eq "$in")), 1, 'what Entra asks');
    is($total->(qq(id eq "$group->{id}" and members eq "$out")), 0, 'of another');
};

$s->log_clean;
done_testing();
