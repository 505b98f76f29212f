#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# authentik: asks what is supported, always replaces users, changes groups by a
# PATCH that may lack schemas, members one by one, and compares what is then there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT members_of);
use Test::More;

my $server = Scim::Httpd->new;
my $idp = Scim::Idp->new($server, 'content-type' => 'application/json');

my $user = '{"schemas":["{CU}"],"externalId":"uid-1","userName":"ak","name":{"formatted":"A K"},"active":true,"emails":[{"value":"ak@x","type":"other","primary":true}]}';
my $group = '{"schemas":["{CG}"],"externalId":"pk","displayName":"F"}';

sub provision_users
{
    answers($idp->get('/ServiceProviderConfig', authorization => undef), 200, { 'patch/supported' => true, 'filter/supported' => true, 'bulk/maxOperations' => 500 },
        'C-270, S-46 authentik: asks what is supported');
    $idp->let(u1 => $idp->made('/Users', $user));
    answers($idp->put('/Users/{u1}', $user), 200, { externalId => 'uid-1', 'emails/0/type' => 'other' }, 'C-150 authentik: users are always replaced');
    $idp->let(u2 => $idp->made('/Users', $user =~ s/uid-1/uid-2/r =~ s/"ak"/"ak2"/r));
    is_error($idp->put('/Users/5b50642d-79fc-4410-9e90-4c077cdd1a59', $user), 404, undef, 'C-151 authentik: one that is gone is 404, and is made anew');
    is_deeply(names($idp->get('/Users'), 'userName'), ['ak', 'ak2'], 'authentik: discovers the users');
    answers($idp->get('/Users?startIndex=3'), 200, { totalResults => 2, startIndex => 3, itemsPerPage => 0, Resources => [] },
        'C-115 authentik: to a page behind the last one');
}

sub provision_group
{
    $idp->let(g1 => $idp->made('/Groups', $group));
    is_error($idp->post('/Groups', $group), 409, 'uniqueness', 'C-058 authentik: a group that is there is 409');
    lists($idp->get('/Groups?filter=displayName%20eq%20%22F%22'), 1, 'C-080 authentik: and is looked up by its name');
    answers($idp->patch('/Groups/{g1}', '{"Operations":[{"op":"replace","value":{"schemas":["{CG}"],"id":"{g1}","externalId":"pk","displayName":"G"}}]}'), 204, {},
        'C-170, C-194 authentik: a PatchOp without schemas, a value that is a whole group');
    answers($idp->get('/Groups/{g1}'), 200, { displayName => 'G', externalId => 'pk' }, 'C-188 authentik: the group is renamed');
    answers($idp->get('/Groups?startIndex=2'), 200, { totalResults => 1, startIndex => 2, itemsPerPage => 0, Resources => [] },
        'C-115 authentik: a page behind the last one');
}

sub change_members
{
    my ($u1, $u2) = @{ $idp->{known} }{qw(u1 u2)};
    my $patch = sub { return $idp->patch('/Groups/{g1}', po(@_)) };
    my $members = sub { return members_of($idp->get('/Groups/{g1}')) };
    answers($patch->('{"op":"add","path":"members","value":[{"value":"{u1}"}]}', '{"op":"add","path":"members","value":[{"value":"{u2}"}]}'), 204, {},
        'C-175 authentik: members are added, one by an operation');
    is_deeply($members->(), [sort $u1, $u2], 'C-175 authentik: both are there to be compared');
    answers($patch->('{"op":"remove","path":"members","value":[{"value":"{u1}"}]}'), 204, {}, 'C-186, S-16 authentik: one is removed with a value');
    is_deeply($members->(), [$u2], 'C-186, S-16 authentik: the other is left');
    answers($patch->('{"op":"remove","path":"members","value":[{"value":"{u2}","type":"User"}]}'), 204, {}, 'C-186 authentik: as webex wants it, with a type');
    is_deeply($members->(), [], 'C-186 authentik: none is left');
    # Where it is told that PATCH is not supported.
    answers($idp->put('/Groups/{g1}', '{"schemas":["{CG}"],"id":"{g1}","externalId":"pk","displayName":"G","members":[{"value":"{u1}"}]}'), 200,
        { 'members/0/value' => $u1, 'members/1' => undef }, 'C-150 authentik: a group is replaced with its members');
}

provision_users();
provision_group();
change_members();
answers($idp->delete($_), 204, {}, "C-210 authentik: DELETE $_") for '/Groups/{g1}', '/Users/{u1}';
$server->log_clean;
done_testing();
