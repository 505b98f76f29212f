#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# OneLogin, PingFederate, authentik and Keycloak: what sets each of them apart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp;
use Test::More;

my $server = Scim::Httpd->new;

sub members_of
{
    my ($response) = @_;
    return [sort map { $_->{value} } @{ $response->json->{members} || [] }];
}

sub onelogin
{
    my $idp = Scim::Idp->new($server, 'content-type' => 'application/json');
    lists($idp->get('/Users?filter=userName+eq+%22onelogin-test-user01%22&'), 0, 'C-022, C-101 onelogin: an ampersand at the end of the query');
    my $made = $idp->post('/Users', '{"schemas":["urn:scim:schemas:core:2.0","urn:scim:schemas:extension:enterprise:2.0"],"userName":"a@b.c","name":{"givenName":"A","familyName":"B"},"emails":{"value":"a@b.c"},"active":true}');
    answers($made, 201, { schemas => [$USER], userName => 'a@b.c', emails => [{ value => 'a@b.c' }], name => { givenName => 'A', familyName => 'B' }, active => true },
        'C-005, C-035 onelogin: foreign URNs, emails as an object');
    $idp->let(u1 => $made->json->{id});
    answers($idp->put('/Users/{u1}?', '{"schemas":["urn:scim:schemas:core:2.0","urn:scim:schemas:extension:enterprise:2.0"],"userName":"a@b.c","name":{"givenName":"A","familyName":"C"},"emails":{"value":"a@b.c"},"active":true}'),
        200, { 'name/familyName' => 'C', emails => [{ value => 'a@b.c' }] }, 'C-150 onelogin: an empty query behind an id');
    lists($idp->get('/Groups'), 0, 'C-101 onelogin: the groups');
    answers($idp->delete('/Users/{u1}'), 204, {}, 'C-210 onelogin: the user is deleted');
}

sub pingfederate
{
    my $idp = Scim::Idp->new($server);
    is_error($idp->get('/Users/0'), 404, undef, 'C-061 pingfederate: its probe is a clean 404');
    lists($idp->get('/Users?filter=userName%20eq%20%22jsmith%22'), 0, 'C-101 pingfederate: the user is not there');
    $idp->let(u1 => $idp->made('/Users', '{"schemas":["{CU}"],"userName":"jsmith","emails":[{"type":"work","value":"j@x"}]}'));
    my $found = $idp->get('/Users?filter=emails%20eq%20%22j@x%22');
    lists($found, 1, 'C-093 pingfederate: emails without a sub-attribute');
    is_deeply(names($found, 'userName'), ['jsmith'], 'C-093 pingfederate: is compared by value');
    answers($idp->put('/Users/{u1}', '{"schemas":["{CU}"],"userName":"jsmith","emails":[{"type":"work","value":"j@y"}]}'), 200,
        { emails => [{ type => 'work', value => 'j@y' }] }, 'C-150 pingfederate: the user is replaced');
    $idp->let(g1 => $idp->made('/Groups', '{"schemas":["{CG}"],"displayName":"Ping"}'));
    is_deeply(names($idp->get('/Groups'), 'displayName'), ['Ping'], 'pingfederate: all groups, to match by name');
    answers($idp->patch('/Groups/{g1}', po('{"op":"add","path":"members","value":[{"value":"{u1}"}]}')), 204, {}, 'C-175 pingfederate: a member is added');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [$idp->{known}{u1}], 'C-175 pingfederate: and is there');
    $idp->delete($_) for '/Groups/{g1}', '/Users/{u1}';
}

sub authentik
{
    my $idp = Scim::Idp->new($server, 'content-type' => 'application/json');
    answers($idp->get('/ServiceProviderConfig'), 200, { 'patch/supported' => true, 'filter/supported' => true }, 'C-270 authentik: asks what is supported');
    my $user = '{"schemas":["{CU}"],"externalId":"uid-1","userName":"ak","name":{"formatted":"A K"},"active":true,"emails":[{"value":"ak@x","type":"other","primary":true}]}';
    $idp->let(u1 => $idp->made('/Users', $user));
    answers($idp->put('/Users/{u1}', $user), 200, { externalId => 'uid-1', 'emails/0/type' => 'other' }, 'C-150 authentik: users are always replaced');
    $idp->let(g1 => $idp->made('/Groups', '{"schemas":["{CG}"],"externalId":"pk","displayName":"F"}'));
    answers($idp->patch('/Groups/{g1}', '{"Operations":[{"op":"replace","value":{"schemas":["{CG}"],"id":"{g1}","externalId":"pk","displayName":"G"}}]}'), 204, {},
        'C-170, C-194 authentik: a PatchOp without schemas, a value that is a whole group');
    answers($idp->get('/Groups/{g1}'), 200, { displayName => 'G', externalId => 'pk' }, 'C-188 authentik: the group is renamed');
    answers($idp->patch('/Groups/{g1}', po('{"op":"add","path":"members","value":[{"value":"{u1}"}]}')), 204, {}, 'C-175 authentik: a member is added');
    answers($idp->patch('/Groups/{g1}', po('{"op":"remove","path":"members","value":[{"value":"{u1}"}]}')), 204, {}, 'C-186 authentik: and removed with a value');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [], 'C-186 authentik: none is left');
    my $page = $idp->get('/Groups?startIndex=2');
    answers($page, 200, { totalResults => 1, startIndex => 2, itemsPerPage => 0, Resources => [] }, 'C-115 authentik: a page behind the last one');
    $idp->delete($_) for '/Groups/{g1}', '/Users/{u1}';
}

sub keycloak
{
    my $idp = Scim::Idp->new($server);
    my $made = $idp->post($server->url('/scim/v2//Users'), '{"schemas":["{CU}"],"id":"0ff2dd41-8e83-4d22-9e5f-2d5a3f6f2b11","userName":"dmitry-test1","active":true,"name":{"givenName":"D","familyName":"T"},"emails":[{"primary":true,"value":"d@t"}]}');
    answers($made, 201, { userName => 'dmitry-test1' }, 'C-032 keycloak: two slashes, and an id of its own');
    isnt($made->json->{id}, '0ff2dd41-8e83-4d22-9e5f-2d5a3f6f2b11', 'C-031, C-032 keycloak: which is not the one');
    is($made->header('location'), $server->base . '/Users/' . $made->json->{id}, 'C-030 keycloak: Location has one slash');
    $idp->let(u1 => $made->json->{id});
    answers($idp->patch('/Users/{u1}', po('{"op":"replace","path":"active","value":"false"}')), 200, { active => false }, 'S-29 keycloak: active is a string');
    $idp->delete('/Users/{u1}');
}

onelogin();
pingfederate();
authentik();
keycloak();
lists(Scim::Idp->new($server)->get('/Users'), 0, 'C-210 nothing is left');
$server->log_clean;
done_testing();
