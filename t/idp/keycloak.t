#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Keycloak, with either of its extensions: one sends an id of its own, two slashes
# and no externalId; the other sends patches with $ref and booleans as strings.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT members_of);
use Test::More;

my $server = Scim::Httpd->new;
my $idp = Scim::Idp->new($server);

# scim-for-keycloak, its base URL ended by a slash.
sub with_id_of_its_own
{
    my $own = '0ff2dd41-8e83-4d22-9e5f-2d5a3f6f2b11';
    my $made = $idp->post($server->url('/scim/v2//Users'), qq({"schemas":["{CU}"],"id":"$own","userName":"dmitry-test1","active":true,"name":{"givenName":"D","familyName":"T"},"emails":[{"primary":true,"value":"d\@t"}]}));
    answers($made, 201, { userName => 'dmitry-test1' }, 'C-032 keycloak: two slashes, and an id of its own');
    isnt($made->json->{id}, $own, 'C-031, C-032 keycloak: which is not the one');
    is($made->header('location'), $server->base . '/Users/' . $made->json->{id}, 'C-030 keycloak: Location has one slash');
    $idp->let(u1 => $made->json->{id});
    answers($idp->get($server->url('/scim/v2//Users/{u1}')), 200, { userName => 'dmitry-test1' }, 'C-060 keycloak: two slashes when it is read');
}

# keycloak-scim.
sub by_patch
{
    answers($idp->put('/Users/{u1}', '{"schemas":["{CU}"],"id":"{u1}","externalId":"f:1","userName":"dmitry-test1","displayName":"D T","active":"true","emails":[{"value":"d@t"}],"roles":[{"value":"admin"},{"value":"user"}]}'), 200,
        { externalId => 'f:1', active => true, roles => [{ value => 'admin' }, { value => 'user' }] }, 'C-150, S-29 keycloak: a user with roles');
    answers($idp->patch('/Users/{u1}', po('{"op":"replace","path":"active","value":"false"}')), 200, { active => false }, 'S-29 keycloak: active is a string');
    $idp->let(g1 => $idp->made('/Groups', '{"schemas":["{CG}"],"externalId":"g:1","displayName":"K"}'));
    my $patch = sub { return $idp->patch('/Groups/{g1}', po(@_)) };
    answers($patch->('{"op":"replace","path":"members","value":[{"value":"{u1}","$ref":"Users/{u1}"}]}', '{"op":"replace","path":"displayName","value":"K2"}', '{"op":"replace","path":"externalId","value":"g:2"}'),
        204, {}, 'C-188 keycloak: members with a relative $ref, name and externalId in one');
    my $group = $idp->get('/Groups/{g1}');
    answers($group, 200, { displayName => 'K2', externalId => 'g:2', 'members/0/$ref' => $server->base . "/Users/$idp->{known}{u1}" },
        'C-188, C-216 keycloak: all are there, the $ref absolute');
    is_deeply(members_of($group), [$idp->{known}{u1}], 'C-188 keycloak: and one member');
    answers($patch->('{"op":"remove","path":"members"}'), 204, {}, 'C-186 keycloak: members are removed when there are none');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [], 'C-186 keycloak: all of them');
}

with_id_of_its_own();
by_patch();
answers($idp->delete($_), 204, {}, "C-210 keycloak: DELETE $_") for '/Groups/{g1}', '/Users/{u1}';
$server->log_clean;
done_testing();
