#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# PingFederate's SCIM provisioner: a probe that is to be 404, users by PUT, found by
# userName or by an e-mail address without sub-attribute, groups by PATCH, found
# in the list of all.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT members_of);
use Test::More;

my $server = Scim::Httpd->new;
my $idp = Scim::Idp->new($server);

sub person
{
    my ($address, $active) = @_;
    return qq({"schemas":["{CU}"],"userName":"jsmith","active":$active,"emails":[{"type":"work","value":"$address"}]});
}

# Sent before every operation.
sub probe
{
    my ($when) = @_;
    is_error($idp->get('/Users/0'), 404, undef, "C-061 pingfederate: its probe $when is a clean 404");
}

sub provision_user
{
    probe('before a user is made');
    lists($idp->get('/Users?filter=userName%20eq%20%22jsmith%22'), 0, 'C-101 pingfederate: the user is not there');
    $idp->let(u1 => $idp->made('/Users', person('j@x', 'true')));
    my $found = $idp->get('/Users?filter=emails%20eq%20%22j@x%22');
    lists($found, 1, 'C-093 pingfederate: emails without a sub-attribute');
    is_deeply(names($found, 'userName'), ['jsmith'], 'C-093 pingfederate: is compared by value');
    lists($idp->get('/Users?filter=emails%20eq%20%22J@X%22'), 1, 'C-093 pingfederate: without case');
    lists($idp->get('/Users?filter=emails%20eq%20%22work%22'), 0, 'C-093 pingfederate: and by nothing else');
    probe('before a user is replaced');
    answers($idp->put('/Users/{u1}', person('j@y', 'true')), 200, { emails => [{ type => 'work', value => 'j@y' }] }, 'C-150 pingfederate: the user is replaced');
    lists($idp->get('/Users?filter=emails%20eq%20%22j@x%22'), 0, 'C-093 pingfederate: the old address finds nobody');
    answers($idp->put('/Users/{u1}', person('j@y', 'false')), 200, { active => false }, 'C-150 pingfederate: the user is disabled');
    answers($idp->put('/Users/{u1}', person('j@y', 'true')), 200, { active => true }, 'C-150 pingfederate: and enabled');
}

sub provision_group
{
    $idp->let(g1 => $idp->made('/Groups', '{"schemas":["{CG}"],"displayName":"Ping"}'));
    is_deeply(names($idp->get('/Groups'), 'displayName'), ['Ping'], 'pingfederate: all groups, to match by name');
    my $patch = sub { return $idp->patch('/Groups/{g1}', po(@_)) };
    answers($patch->('{"op":"add","path":"members","value":[{"value":"{u1}"}]}'), 204, {}, 'C-175 pingfederate: a member is added');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [$idp->{known}{u1}], 'C-175 pingfederate: and is there');
    answers($patch->('{"op":"remove","path":"members","value":[{"value":"{u1}"}]}'), 204, {}, 'C-186 pingfederate: the member is removed');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [], 'C-186 pingfederate: and is gone');
    answers($idp->put('/Groups/{g1}', '{"schemas":["{CG}"],"displayName":"Ping 2","members":[{"value":"{u1}"}]}'), 200,
        { displayName => 'Ping 2', 'members/0/value' => $idp->{known}{u1} }, 'C-150 pingfederate: the group is replaced');
    answers($idp->delete('/Groups/{g1}'), 204, {}, 'C-210 pingfederate: the group is deleted');
}

provision_user();
provision_group();
probe('before a user is deleted');
answers($idp->delete('/Users/{u1}'), 204, {}, 'C-210 pingfederate: the user is deleted');
$server->log_clean;
done_testing();
