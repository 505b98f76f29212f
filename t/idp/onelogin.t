#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# OneLogin, with a SCIM JSON template as its documentation has it: foreign URNs,
# e-mail as an object, an empty query behind an id; users by PUT, groups by PATCH.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT members_of);
use Test::More;

my $server = Scim::Httpd->new;
my $idp = Scim::Idp->new($server, 'content-type' => 'application/json', accept => 'application/json, application/scim+json');

# The template, filled in for somebody.
sub template
{
    my ($name, $family, $active) = @_;
    return qq({"schemas":["urn:scim:schemas:core:2.0","urn:scim:schemas:extension:enterprise:2.0"],"userName":"$name",)
        . qq("name":{"givenName":"A","familyName":"$family"},"emails":{"value":"$name"},"active":$active});
}

sub enable
{
    my $nobody = $idp->get('/Users?filter=userName+eq+%22onelogin-test-user01%22&');
    lists($nobody, 0, 'C-022, C-101 onelogin: an ampersand at the end of the query');
    lists($idp->get('/Users'), 0, 'C-101 onelogin: the users');
    lists($idp->get('/Groups'), 0, 'C-101 onelogin: the groups');
    is_error($idp->get('/Users', authorization => 'Bearer'), 401, undef, 'C-015, S-47 onelogin: an empty token');
}

sub provision_user
{
    my $made = $idp->post('/Users', template('a@b.c', 'B', 'true'));
    answers($made, 201, { schemas => [$USER], userName => 'a@b.c', emails => [{ value => 'a@b.c' }], name => { givenName => 'A', familyName => 'B' }, active => true },
        'C-005, C-035 onelogin: foreign URNs, emails as an object');
    $idp->let(u1 => $made->json->{id});
    lists($idp->get('/Users?filter=userName+eq+%22a%40b.c%22&'), 1, 'C-080 onelogin: the next time the user is found');
    answers($idp->get('/Users/{u1}?'), 200, { userName => 'a@b.c' }, 'C-060 onelogin: the user is read');
    answers($idp->put('/Users/{u1}?', template('a@b.c', 'C', 'true')), 200,
        { 'name/familyName' => 'C', emails => [{ value => 'a@b.c' }], id => $idp->{known}{u1} }, 'C-150 onelogin: an empty query behind an id');
    answers($idp->put('/Users/{u1}?', template('a@b.c', 'C', 'false')), 200, { active => false }, 'C-150 onelogin: the user is suspended');
    answers($idp->put('/Users/{u1}?', template('a@b.c', 'C', 'true')), 200, { active => true }, 'C-150 onelogin: and taken back');
}

sub provision_group
{
    my $u1 = $idp->{known}{u1};
    my $made = $idp->post('/Groups', '{"schemas":["{CG}"],"displayName":"Sales"}');
    answers($made, 201, { displayName => 'Sales' }, 'C-030 onelogin: a group is created');
    $idp->let(g1 => $made->json->{id});
    answers($idp->patch('/Groups/{g1}', po('{"op":"add","path":"members","value":[{"value":"{u1}"}]}')), 204, {}, 'C-175 onelogin: a member is added');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [$u1], 'C-175 onelogin: and is there');
    answers($idp->patch('/Groups/{g1}', po('{"op":"remove","path":"members[value eq \"{u1}\"]"}')), 204, {}, 'C-182 onelogin: the member is removed');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [], 'C-182 onelogin: and is gone');
    is_deeply(names($idp->get('/Groups'), 'displayName'), ['Sales'], 'onelogin: entitlements are refreshed from the list of groups');
}

enable();
provision_user();
provision_group();
answers($idp->delete('/Users/{u1}'), 204, {}, 'C-210 onelogin: the user is deleted');
is_error($idp->get('/Users/{u1}'), 404, undef, 'C-061 onelogin: and is gone');
$server->log_clean;
done_testing();
