#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# JumpCloud's Custom SCIM Identity Management: activation, then the life of users
# and groups, as one sequence, under conf/examples/organisation.conf.  Bodies of
# users are JumpCloud's own; where no public source shows what it sends, all
# forms that are known are replayed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT members_of);
use Scim::Organisation;
use Test::More;

my $create = <<'EOT';
{"active":true,
 "addresses":[{"country":"US","locality":"locality","postalCode":"80027","primary":true,"region":"region","streetAddress":"street-address","type":"work"}],
 "displayName":"displayname","emails":[{"primary":true,"type":"work","value":"testuser@example.io"}],
 "externalId":"66e2d689590450d073d2df3b","locale":"en-US","name":{"familyName":"lastname","givenName":"firstname"},
 "phoneNumbers":[{"primary":true,"type":"work","value":"tel:+1-555-555-5555"}],"preferredLanguage":"en-US",
 "schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
 "userName":"testuser@example.io"}
EOT

my $update = <<'EOT';
{"active":true,"emails":null,"id":"5107a4e4-0b11-4e77-8dcf-c8c6978d40ac","name":{"familyName":"lastname","givenName":"firstname"},
 "schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"testuser@example.io"}
EOT

my $replace = <<'EOT';
{"active":true,"addresses":[],"displayName":"John Doe","emails":[{"primary":true,"type":"work","value":"john.doe@example.io"}],
 "externalId":"664447f5c0c418f2d05e5318","id":"d500eedc-4dbc-494e-978a-56da891f179a","locale":"en-US",
 "name":{"familyName":"Doe","givenName":"John"},"phoneNumbers":[],
 "photos":[{"value":"https://img.example.com/2a27d237-db8c-4f82-84fb-5824dfaedc87.png"}],"preferredLanguage":"en-US",
 "schemas":["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User","urn:ietf:params:scim:schemas:core:2.0:User"],
 "title":"Captain","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"C-Suite"},"userName":"john.doe@example.com"}
EOT

# --- Test Connection and Activate --------------------------------------------

sub test_user
{
    my ($idp, $run) = @_;
    for my $look_up ('filter=userName%20eq%20%22testuser%40example.io%22', 'filter=userName+eq+%22testuser@example.io%22', 'count=1') {
        lists($idp->get("/Users?$look_up"), 0, "C-101 jumpcloud 6.4/1 $run: nobody is found by $look_up");
    }
    my $made = $idp->post('/Users', $create, raw => 1);
    answers($made, 201, {
        externalId => '66e2d689590450d073d2df3b', userName => 'testuser@example.io', active => true, schemas => [$USER],
        'addresses/0/country' => 'US', 'phoneNumbers/0/value' => 'tel:+1-555-555-5555', locale => 'en-US',
    }, "C-030, C-038 jumpcloud 6.4/2 $run: the test user is created");
    like($made->content, qr/"id":"[0-9a-f-]+"/, "C-031 jumpcloud 6.4/2 $run: its id is a string");
    $idp->let(u1 => $made->json->{id});
    is_error($idp->post('/Users', $create, raw => 1), 409, 'uniqueness', "C-033 jumpcloud 6.4/9 $run: once more is 409");
    answers($idp->put('/Users/{u1}', $update, raw => 1), 200, {
        id => $idp->{known}{u1}, active => true, emails => undef, addresses => undef, externalId => undef,
        name => { familyName => 'lastname', givenName => 'firstname' },
    }, "C-150, C-152, C-153, S-36 jumpcloud 6.4/3 $run: null is no value");
    answers($idp->put('/Users/{u1}', $update =~ s/"active":true/"active":false/r, raw => 1), 200, { active => false },
        "C-150 jumpcloud 6.4/4 $run: the test user is deactivated");
}

sub test_group
{
    my ($idp, $run, $members) = @_;
    my $made = $idp->post('/Groups', qq({"displayName":"testgroup",$members"schemas":["{CG}"]}));
    answers($made, 201, { displayName => 'testgroup' }, "C-030, C-048 jumpcloud 6.4/6 $run: the test group is created");
    is_deeply(members_of($made), $members =~ /u1/ ? [$idp->{known}{u1}] : [], "C-216 jumpcloud 6.4/6 $run: with its members");
    $idp->let(g1 => $made->json->{id});
    answers($idp->put('/Groups/{g1}', '{"displayName":"testgroup-updated","id":"{g1}","members":null,"schemas":["{CG}"]}'), 200,
        { displayName => 'testgroup-updated', members => undef }, "C-150, S-36 jumpcloud 6.4/7 $run: the test group is updated");
}

sub delete_user
{
    my ($idp, $run) = @_;
    answers($idp->delete('/Users/{u1}'), 204, {}, "C-210 jumpcloud 6.4/5 $run: the test user is deleted");
    is_error($idp->get('/Users/{u1}'), 404, undef, "C-061 jumpcloud 6.4/5 $run: and is gone");
}

sub delete_group
{
    my ($idp, $run) = @_;
    answers($idp->delete('/Groups/{g1}'), 204, {}, "C-210 jumpcloud 6.4/8 $run: the test group is deleted");
    is_error($idp->get('/Groups/{g1}'), 404, undef, "C-061 jumpcloud 6.4/8 $run: and is gone");
}

# Run again and again with the same address, as the button is.  In which order
# the two are deleted is not known.
sub activate
{
    my ($idp, $run, $members, $last) = @_;
    test_user($idp, $run);
    delete_user($idp, $run) if $last eq 'before';
    test_group($idp, $run, $last eq 'before' ? $members =~ s/\[.*\]/[]/r : $members);
    delete_user($idp, $run) if $last eq 'between';
    delete_group($idp, $run);
    delete_user($idp, $run) if $last eq 'after';
}

# --- users -------------------------------------------------------------------

sub bind_user
{
    my ($idp) = @_;
    my $body = $create =~ s/testuser\@example\.io/john.doe\@example.io/gr;
    lists($idp->get('/Users?filter=userName%20eq%20%22john.doe%40example.io%22'), 0, 'C-101 jumpcloud 6.4/10 the user is not there');
    my $made = $idp->post('/Users', $body =~ s/"schemas"/"nickName":"Joe","schemas"/r, raw => 1);
    answers($made, 201, { userName => 'john.doe@example.io', nickName => 'Joe' }, 'C-030 jumpcloud 6.4/10 and is created');
    $idp->let(u1 => $made->json->{id});
    my $put = $idp->put('/Users/{u1}', $replace, raw => 1);
    answers($put, 200, {
        id => $made->json->{id}, userName => 'john.doe@example.com', displayName => 'John Doe', title => 'Captain', schemas => [$USER, $ENTERPRISE],
        addresses => undef, phoneNumbers => undef, nickName => undef, '{EU}' => { department => 'C-Suite' },
        photos => [{ value => 'https://img.example.com/2a27d237-db8c-4f82-84fb-5824dfaedc87.png' }],
        externalId => '664447f5c0c418f2d05e5318', 'meta/created' => $made->json->{meta}{created},
    }, 'C-036, C-150, C-152, C-153, C-157 jumpcloud 6.4/11 the user is replaced; what is not sent is cleared');
    answers($idp->put('/Users/{u1}', $replace =~ s/john\.doe\@example\.com/jdoe\@example.com/r, raw => 1), 200,
        { userName => 'jdoe@example.com' }, 'C-150 jumpcloud 6.4/12 the user is renamed');
    $idp->made('/Users', '{"schemas":["{CU}"],"userName":"taken@example.com"}');
    is_error($idp->put('/Users/{u1}', $replace =~ s/john\.doe\@example\.com/taken\@example.com/r, raw => 1), 409, 'uniqueness',
        'C-156 jumpcloud 6.4/12 a taken name is 409');
    answers($idp->get('/Users/{u1}'), 200, { userName => 'jdoe@example.com' }, 'C-156 jumpcloud 6.4/12 and changes nothing');
}

sub suspend_user
{
    my ($idp) = @_;
    my $active = $replace =~ s/john\.doe\@example\.com/jdoe\@example.com/r;
    my $inactive = $active =~ s/"active":true/"active":false/r;
    answers($idp->put('/Users/{u1}', $inactive, raw => 1), 200, { active => false }, 'C-150 jumpcloud 6.4/13 suspended by PUT');
    my $found = $idp->get('/Users?filter=userName%20eq%20%22jdoe%40example.com%22');
    lists($found, 1, 'jumpcloud 6.4/14 the inactive user is found');
    answers($found, 200, { 'Resources/0/active' => false }, 'jumpcloud 6.4/14 as inactive');
    answers($idp->put('/Users/{u1}', $active, raw => 1), 200, { active => true }, 'C-150 jumpcloud 6.4/14 bound again');
    answers($idp->patch('/Users/{u1}', po('{"op":"replace","path":"active","value":false}')), 200, { active => false },
        'C-188 jumpcloud 6.4/13 suspended by PATCH');
    answers($idp->patch('/Users/{u1}', po('{"op":"replace","value":{"active":true}}')), 200, { active => true },
        'C-188 jumpcloud 6.4/13 and bound again, without a path');
}

# --- groups ------------------------------------------------------------------

sub bind_group
{
    my ($idp) = @_;
    $idp->let($_ => $idp->made('/Users', qq({"schemas":["{CU}"],"userName":"$_\@example.io"}))) for qw(u2 u3);
    my ($u1, $u2) = @{ $idp->{known} }{qw(u1 u2)};
    my $look_up = '/Groups?filter=displayName%20eq%20%22Pipefy-members%22';
    lists($idp->get($look_up), 0, 'C-101 jumpcloud 6.4/15 the group is not there');
    lists($idp->get('/Groups'), 0, 'C-101 jumpcloud 6.4/15 nor in the list of all');
    my $made = $idp->post('/Groups', '{"displayName":"Pipefy-members","externalId":"6644480bc0c418f2d05e5401","members":[{"value":"{u1}"},{"value":"{u2}"}],"schemas":["{CG}"]}');
    answers($made, 201, { displayName => 'Pipefy-members', externalId => '6644480bc0c418f2d05e5401' }, 'C-030 jumpcloud 6.4/15 it is created');
    is_deeply(members_of($made), [sort $u1, $u2], 'C-216 jumpcloud 6.4/15 with two members');
    $idp->let(g1 => $made->json->{id});
    my $found = $idp->get($look_up);
    lists($found, 1, 'C-080 jumpcloud 6.4/15 the next time it is found');
    is($found->json->{Resources}[0]{id}, $made->json->{id}, 'C-080 jumpcloud 6.4/15 to be taken over');
}

sub replace_group
{
    my ($idp) = @_;
    my $u1 = $idp->{known}{u1};
    my $put = $idp->put('/Groups/{g1}', '{"displayName":"Pipefy-members","id":"{g1}","members":[{"value":"{u1}"}],"schemas":["{CG}"]}');
    answers($put, 200, { displayName => 'Pipefy-members', externalId => undef }, 'C-150, C-153 jumpcloud 6.4/16 members are changed by PUT');
    is_deeply(members_of($put), [$u1], 'C-150 jumpcloud 6.4/16 and are told');
    $put = $idp->put('/Groups/{g1}', '{"displayName":"Pipefy-members-new","id":"{g1}","members":[{"value":"{u1}"}],"schemas":["{CG}"]}');
    answers($put, 200, { displayName => 'Pipefy-members-new' }, 'C-150 jumpcloud 6.4/17 the group is renamed by PUT');
    is_deeply(members_of($put), [$u1], 'C-150 jumpcloud 6.4/17 and keeps its members');
}

sub patch_group
{
    my ($idp) = @_;
    my ($u1, $u3) = @{ $idp->{known} }{qw(u1 u3)};
    my $both = [sort $u1, $u3];
    my @steps = (
        ['C-175 jumpcloud 6.4/18 a member is added', '{"op":"add","path":"members","value":[{"value":"{u3}"}]}', $both],
        ['C-176 jumpcloud 6.4/18 added again', '{"op":"add","path":"members","value":[{"value":"{u3}"}]}', $both],
        ['C-186 jumpcloud 6.4/18 removed by a value', '{"op":"remove","path":"members","value":[{"value":"{u3}"}]}', [$u1]],
        ['C-180 jumpcloud 6.4/18 added by a value path', '{"op":"add","path":"members[value eq \"{u3}\"]"}', $both],
        ['C-182 jumpcloud 6.4/18 removed by a value path', '{"op":"remove","path":"members[value eq \"{u3}\"]"}', [$u1]],
        ['C-184 jumpcloud 6.4/18 removed again', '{"op":"remove","path":"members[value eq \"{u3}\"]"}', [$u1]],
        ['C-188 jumpcloud 6.4/18 the group renamed', '{"op":"replace","path":"displayName","value":"X"}', [$u1]],
    );
    for my $step (@steps) {
        my ($name, $operation, $members) = @$step;
        answers($idp->patch('/Groups/{g1}', po($operation)), 204, {}, $name);
        is_deeply(members_of($idp->get('/Groups/{g1}')), $members, "$name: the members are right");
    }
    answers($idp->get('/Groups/{g1}'), 200, { displayName => 'X' }, 'C-188 jumpcloud 6.4/18 the name is there');
}

sub unbind
{
    my ($idp) = @_;
    answers($idp->delete('/Groups/{g1}'), 204, {}, 'C-210 jumpcloud 6.4/20 a group that gave no role is deleted');
    answers($idp->get('/Users/{u1}'), 200, { active => true, groups => undef }, 'C-213 jumpcloud 6.4/20 its member stays');
    answers($idp->delete('/Users/{u1}'), 204, {}, 'C-210 jumpcloud 6.4/21 the user is deleted');
    $idp->delete('/Users/{u2}');
    $idp->delete('/Users/{u3}');
}

# --- the organisation --------------------------------------------------------

sub role_group
{
    my ($idp, $name, @members) = @_;
    my $list = join ',', map { qq({"value":"{$_}"}) } @members;
    return $idp->made('/Groups', qq({"displayName":"$name","members":[$list],"schemas":["{CG}"]}));
}

# A group that gave a role is deleted: who had no other one is removed.
sub delete_role_group
{
    my ($idp) = @_;
    my $server = $idp->{server};
    $idp->let($_ => $idp->made('/Users', qq({"schemas":["{CU}"],"userName":"$_\@example.io","active":true}))) for qw(u1 u2);
    $idp->let(members => role_group($idp, 'Pipefy-members', qw(u1 u2)), guests => role_group($idp, 'pipefy-guests', 'u2'));
    is(site($server, 'u1@example.io'), '200 member', 'jumpcloud: a member is let in');
    is(site($server, 'u2@example.io'), '200 member', 'jumpcloud: as what its first role is');
    answers($idp->delete('/Groups/{members}'), 204, {}, 'jumpcloud: its group is deleted');
    is(site($server, 'u1@example.io'), 403, 'jumpcloud: the member is out');
    is_error($idp->get('/Users/{u1}'), 404, undef, 'jumpcloud: and removed from the organisation');
    is(site($server, 'u2@example.io'), '200 guest', 'jumpcloud: who is a guest, too, is one still');
    answers($idp->delete('/Groups/{guests}'), 204, {}, 'jumpcloud: the last group is deleted');
    is_error($idp->get('/Users/{u2}'), 404, undef, 'jumpcloud: and with it its guest');
    lists($idp->get('/Users'), 0, 'jumpcloud: nobody is left');
}

# By PATCH of either group in either order, and by PUT.
sub move_user
{
    my ($idp) = @_;
    my $server = $idp->{server};
    my $sees = sub {
        my ($want, $name) = @_;
        is(site($server, 'mover@example.io'), $want, "jumpcloud: $name");
    };
    $idp->let(u => $idp->made('/Users', '{"schemas":["{CU}"],"userName":"mover@example.io","active":true}'));
    $idp->let(members => role_group($idp, 'pipefy-members', 'u'), admins => role_group($idp, 'Pipefy-administrators'));
    my ($add, $remove) = map { po(qq({"op":"$_","path":"members","value":[{"value":"{u}"}]})) } qw(add remove);
    $sees->('200 member', 'a member');
    answers($idp->patch('/Groups/{members}', $remove), 204, {}, 'jumpcloud: removed first');
    answers($idp->patch('/Groups/{admins}', $add), 204, {}, 'jumpcloud: then added');
    $sees->('200 admin', 'is an administrator');
    answers($idp->patch('/Groups/{members}', $add), 204, {}, 'jumpcloud: added first');
    $sees->('200 admin', 'is both, and the first role is the greater one');
    answers($idp->patch('/Groups/{admins}', po('{"op":"remove","path":"members[value eq \"{u}\"]"}')), 204, {}, 'jumpcloud: then removed');
    $sees->('200 member', 'is a member again');
    answers($idp->put('/Groups/{admins}', '{"displayName":"Pipefy-administrators","members":[{"value":"{u}"}],"schemas":["{CG}"]}'), 200, {}, 'jumpcloud: added by PUT');
    answers($idp->put('/Groups/{members}', '{"displayName":"pipefy-members","members":null,"schemas":["{CG}"]}'), 200, {}, 'jumpcloud: removed by PUT');
    $sees->('200 admin', 'is an administrator');
    answers($idp->patch('/Groups/{members}', po(map { qq({"op":"$_","path":"members","value":[{"value":"{u}"}]}) } qw(remove add))), 204, {}, 'jumpcloud: removed and added in one');
    answers($idp->patch('/Groups/{admins}', po(map { qq({"op":"$_","path":"members","value":[{"value":"{u}"}]}) } qw(add remove))), 204, {}, 'jumpcloud: added and removed in one');
    $sees->('200 member', 'is a member');
    answers($idp->delete("/Groups/{$_}"), 204, {}, "jumpcloud: $_ is deleted") for qw(admins members);
    $sees->(403, 'and nobody is in');
}

my $server = organisation();
my %members = ('a group with a member' => '"members":[{"value":"{u1}"}],', 'without members' => '', 'with null members' => '"members":null,', 'with no members' => '"members":[],');
for my $type ('application/scim+json', 'application/json') {
    for my $run (sort keys %members) {
        activate(Scim::Idp->new($server, 'content-type' => $type), "$run, $type", $members{$run}, 'after');
    }
}
for my $last (qw(before between after)) {
    activate(Scim::Idp->new($server, 'content-type' => 'application/json'), "$_ time, the user deleted $last the group", $members{'a group with a member'}, $last)
        for qw(first second);
}
my $idp = Scim::Idp->new($server);
bind_user($idp);
suspend_user($idp);
bind_group($idp);
replace_group($idp);
patch_group($idp);
unbind($idp);
$idp->delete('/Users/' . $_->{id}) for @{ $idp->get('/Users')->json->{Resources} };
delete_role_group($idp);
move_user($idp);

$server->log_clean;
done_testing();
