#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Microsoft Entra ID: what its provisioning sends in default mode (6.1) and with
# the feature flag aadOptscim062020 (6.2), each as one sequence.  Numbers are the
# steps of these sequences.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT manager_is members_of);
use Test::More;

my %headers = ('content-type' => 'application/scim+json; charset=utf-8');
my $tenants = 0;

my $babs = '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"babs","userName":"babs@contoso.com","active":true,"displayName":"Babs Jensen","title":"Guide","emails":[{"primary":true,"type":"work","value":"babs@contoso.com"}],"meta":{"resourceType":"User"},"name":{"formatted":"Babs Jensen","familyName":"Jensen","givenName":"Babs"},"roles":[]}';

my $pipefy = '{"schemas":["{CG}","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159","displayName":"Pipefy-members","meta":{"resourceType":"Group"}}';

# Another user of the same shape.
sub another
{
    my ($name) = @_;
    return $babs =~ s/babs\b/$name/gr;
}

# --- 6.1, default mode -------------------------------------------------------

sub test_connection
{
    my ($idp) = @_;
    my $nobody = '/Users?filter=userName+eq+%22cf4d78e8-6d3a-4b9e-9d0e-0d7a0c4d5b11%22';
    lists($idp->get($nobody), 0, 'C-101 entra 6.1/1 the user of Test Connection is not there');
    lists($idp->get('/Groups?excludedAttributes=members&filter=displayName+eq+%22cf4d78e8-6d3a-4b9e-9d0e-0d7a0c4d5b11%22'),
        0, 'C-101 entra 6.1/2 nor is the group');
    is_error($idp->get($nobody, authorization => 'Bearer mscim_wrong'), 401, undef,
        'C-015 entra 6.1/3 a bad Secret Token is 401');
    lists($idp->get('/Users?aadOptscim062020&filter=userName+eq+%22x%22'), 0,
        'C-022 entra 6.1/4 the feature flag in the query is ignored');
}

sub create_user
{
    my ($idp) = @_;
    lists($idp->get('/Users?filter=userName+eq+%22babs%40contoso.com%22'), 0, 'C-101 entra 6.1/5 no user matches');
    my $made = $idp->post('/Users', $babs);
    my $id = $made->json->{id};
    $idp->let(u1 => $id);
    answers($made, 201, {
        externalId => 'babs', userName => 'babs@contoso.com', active => true, displayName => 'Babs Jensen', title => 'Guide',
        emails => [{ primary => true, type => 'work', value => 'babs@contoso.com' }],
        name => { formatted => 'Babs Jensen', familyName => 'Jensen', givenName => 'Babs' },
        roles => undef, 'meta/resourceType' => 'User', 'meta/location' => $idp->{server}->base . "/Users/$id",
        schemas => [$USER],
    }, 'C-030, C-032, C-038, C-048 entra 6.1/6 the user is created');
    is($made->header('location'), $made->json->{meta}{location}, 'C-030 entra 6.1/6 its Location is its meta.location');
    is_error($idp->post('/Users', $babs), 409, 'uniqueness', 'C-033 entra 6.1/7 a second time is 409');
    my $found = $idp->get('/Users?filter=userName+eq+%22BABS%40CONTOSO.COM%22');
    lists($found, 1, 'C-080 entra 6.1/8 the user is found in capitals');
    is($found->json->{Resources}[0]{id}, $id, 'C-080 entra 6.1/8 and is that user');
    # Two managers and two more members, for later steps.
    $idp->let($_ => $idp->made('/Users', another($_))) for qw(m1 m2 u2 u3);
}

sub match_user
{
    my ($idp) = @_;
    answers($idp->get('/Users/{u1}'), 200, { userName => 'babs@contoso.com' }, 'C-060 entra 6.1/9 the user is read');
    reference_check($idp, 0, 'entra 6.1/9 m1 is not yet the manager');
    lists($idp->get('/Users?filter=emails%5Btype+eq+%22work%22%5D.value+eq+%22babs%40contoso.com%22'), 1,
        'C-092 entra 6.1/10 matched by work e-mail');
    lists($idp->get('/Users?filter=externalId+eq+%22babs%22'), 1, 'C-100 entra 6.1/10 matched by externalId');
    lists($idp->get('/Users?filter=userName+eq+%22babs%40contoso.com%22+and+externalId+eq+%22babs%22'), 1,
        'C-080 entra 6.1/10 matched by both');
}

sub reference_check
{
    my ($idp, $n, $name) = @_;
    lists($idp->get('/Users?filter=id+eq+%22{u1}%22+and+manager+eq+%22{m1}%22&attributes=id'), $n, "C-093 $name");
    # As editions of 2017 print it.
    lists($idp->get('/Users?filter=id+eq+{u1}+and+manager+eq+{m1}&attributes=id'), $n, "C-093 $name, without quotes");
}

sub member_check
{
    my ($idp, $n, $name) = @_;
    lists($idp->get('/Groups?filter=id+eq+%22{g1}%22+and+members+eq+%22{u1}%22&excludedAttributes=members'), $n, "C-093 $name");
}

sub update_user
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    answers($patch->('{"op":"Replace","path":"displayName","value":"Barbara Jensen"}'), 200,
        { displayName => 'Barbara Jensen', title => 'Guide' }, 'C-171, C-172, C-188 entra 6.1/11 displayName is replaced');
    answers($patch->('{"op":"Add","path":"nickName","value":"Babs"}'), 200,
        { nickName => 'Babs' }, 'C-171, C-175 entra 6.1/12 a nickName is added');
    answers($patch->('{"op":"Replace","path":"name.familyName","value":"Smith"}', '{"op":"Replace","path":"name.formatted","value":"Babs Smith"}'),
        200, { name => { formatted => 'Babs Smith', familyName => 'Smith', givenName => 'Babs' } },
        'C-174, C-188 entra 6.1/13 parts of the name are replaced, the others stay');
    answers($patch->('{"op":"Replace","path":"emails[type eq \"work\"].value","value":"b.smith@contoso.com"}'), 200,
        { emails => [{ primary => true, type => 'work', value => 'b.smith@contoso.com' }] },
        'C-188 entra 6.1/14 the work e-mail is replaced and stays the primary one');
    answers($patch->('{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1 555"}', '{"op":"Add","path":"phoneNumbers[type eq \"fax\"].value","value":"+1 556"}'),
        200, { phoneNumbers => [{ type => 'mobile', value => '+1 555' }, { type => 'fax', value => '+1 556' }] },
        'C-180 entra 6.1/15 phone numbers that were not there are made with their type');
    answers($patch->('{"op":"Add","path":"emails[type eq \"other\"].Value","value":"b@home.net"}', '{"op":"Add","path":"addresses[type eq \"other\"].Formatted","value":"Bldg 4"}'),
        200, { 'emails/1' => { type => 'other', value => 'b@home.net' }, addresses => [{ type => 'other', formatted => 'Bldg 4' }] },
        'C-180 entra 6.1/16 sub-attributes in capitals are known');
    answers($patch->('{"op":"Add","path":"addresses[type eq \"work\"].locality","value":"Joinville"}', '{"op":"Add","path":"addresses[type eq \"work\"].country","value":"BR"}', '{"op":"Add","path":"addresses[type eq \"work\"].postalCode","value":"89200"}'),
        200, { 'addresses/1' => { type => 'work', locality => 'Joinville', country => 'BR', postalCode => '89200' }, 'addresses/2' => undef },
        'C-174, C-180 entra 6.1/17 three parts make one address');
    answers($patch->('{"op":"Add","path":"{EU}:employeeNumber","value":"1001"}', '{"op":"Add","path":"{EU}:department","value":"R&D"}'),
        200, { '{EU}' => { employeeNumber => '1001', department => 'R&D' }, schemas => [$USER, $ENTERPRISE] },
        'C-198 entra 6.1/18 the extension is there, and its URN');
}

sub manage_user
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    my ($m1, $m2) = @{ $idp->{known} }{qw(m1 m2)};
    manager_is($idp, $patch->('{"op":"Add","path":"{EU}:manager","value":"{m1}"}'), $m1,
        'S-26 entra 6.1/19 a manager given as a string is an object');
    reference_check($idp, 1, 'entra 6.1/9 m1 is the manager now');
    $patch->('{"op":"Replace","path":"{EU}:manager","value":""}');
    manager_is($idp, $patch->('{"op":"Add","path":"manager","value":[{"$ref":"http://localhost/scim/Users/{m1}","value":"{m1}"}]}'), $m1,
        'S-26 entra 6.1/20 a manager given as an array, in the old way, is the same');
    manager_is($idp, $patch->('{"op":"Replace","path":"{EU}:manager","value":"{m2}"}'), $m2, 'S-26 entra 6.1/21 the manager is replaced');
    answers($patch->('{"op":"Replace","path":"{EU}:manager","value":""}'), 200, { '{EU}/manager' => undef, '{EU}/department' => 'R&D' },
        'S-26 entra 6.1/22 an empty string clears the manager');
    $patch->('{"op":"Replace","path":"{EU}:manager","value":"{m2}"}');
    answers($patch->('{"op":"Replace","path":"{EU}:manager","value":{"value":""}}'), 200, { '{EU}/manager' => undef },
        'S-26 entra 6.1/22 so does an object with an empty value');
}

sub give_roles
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    answers($patch->('{"op":"Add","path":"roles","value":[{"value":"{\"id\":\"06b0\",\"value\":\"25\",\"displayName\":\"Role1234\"}"}]}'), 200,
        { roles => [{ value => '{"id":"06b0","value":"25","displayName":"Role1234"}' }] },
        'C-175 entra 6.1/23 a role that is JSON text is kept as it is');
    answers($patch->('{"op":"Replace","path":"roles","value":[]}'), 200, { roles => undef }, 'C-193 entra 6.1/24 roles are cleared');
    answers($patch->('{"op":"Add","path":"roles[primary eq \"True\"].value","value":"admin"}', '{"op":"Add","path":"roles[primary eq \"True\"].display","value":"Admin"}'), 200,
        { roles => [{ primary => true, value => 'admin', display => 'Admin' }] },
        'C-180 entra 6.1/24 roles[primary eq "True"] is one role');
    answers($patch->('{"op":"replace","path":"roles","value":[{"primary":false,"type":"WindowsAzureActiveDirectoryRole","display":"User","value":"User"}]}'), 200,
        { roles => [{ primary => false, type => 'WindowsAzureActiveDirectoryRole', display => 'User', value => 'User' }] },
        'C-188 entra 6.1/25 the assertive form leaves exactly what it sends');
}

sub refuse_and_clear
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    is_error($patch->('{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User:tag","value":"701984"}'), 400, 'invalidPath',
        'C-197 entra 6.1/26 an extension that is not configured is 400');
    answers($patch->('{"op":"replace","path":"title","value":""}'), 200, { title => undef }, 'C-049 entra 6.1/27 an empty string clears the title');
    answers($patch->('{"op":"replace","path":"nickName","value":null}'), 200, { nickName => undef }, 'C-193 entra 6.1/27 null clears the nickName');
}

sub rename_user
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    answers($patch->('{"op":"Replace","path":"userName","value":"bsmith@contoso.com"}'), 200, { userName => 'bsmith@contoso.com' },
        'C-188 entra 6.1/28 the user is renamed');
    lists($idp->get('/Users?filter=userName+eq+%22babs%40contoso.com%22'), 0, 'C-101 entra 6.1/28 the old name is gone');
    lists($idp->get('/Users?filter=userName+eq+%22bsmith%40contoso.com%22'), 1, 'C-080 entra 6.1/28 the new one is found');
    is_error($patch->('{"op":"Replace","path":"userName","value":"u2@contoso.com"}'), 409, 'uniqueness', 'C-201 entra 6.1/28 a taken name is 409');
}

sub disable_user
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    answers($patch->('{"op":"Replace","path":"active","value":"False"}'), 200, { active => false }, 'S-29 entra 6.1/29 "False" disables the user');
    answers($idp->get('/Users/{u1}'), 200, { active => false }, 'C-060 entra 6.1/30 the disabled user is read');
    my $found = $idp->get('/Users?filter=userName+eq+%22bsmith%40contoso.com%22');
    lists($found, 1, 'entra 6.1/30 the disabled user is listed');
    answers($found, 200, { 'Resources/0/active' => false }, 'entra 6.1/30 as disabled');
    my $enabled = $patch->('{"op":"Replace","path":"active","value":"True"}');
    answers($enabled, 200, { active => true }, 'S-29 entra 6.1/31 "True" enables the user');
    my $same = $idp->patch('/Users/{u1}', po());
    answers($same, 200, { meta => $enabled->json->{meta}, active => true }, 'C-170 entra 6.1/32 no operations change nothing');
}

sub create_group
{
    my ($idp) = @_;
    lists($idp->get('/Groups?excludedAttributes=members&filter=displayName+eq+%22Pipefy-members%22'), 0, 'C-101 entra 6.1/33 no group matches');
    my $made = $idp->post('/Groups', $pipefy);
    $idp->let(g1 => $made->json->{id});
    answers($made, 201, {
        schemas => [$GROUP], externalId => '8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159', displayName => 'Pipefy-members', 'meta/resourceType' => 'Group',
    }, 'C-030, C-035 entra 6.1/34 the group is created, the foreign URN ignored');
    is_error($idp->post('/Groups', $pipefy), 409, 'uniqueness', 'C-058 entra 6.1/34 a second time is 409');
    answers($idp->get('/Groups/{g1}?excludedAttributes=members'), 200, { displayName => 'Pipefy-members', members => undef },
        'C-064 entra 6.1/35 the group is read without members');
    member_check($idp, 0, 'entra 6.1/9 u1 is not yet a member');
}

sub change_members
{
    my ($idp) = @_;
    my ($u1, $u2, $u3, $g1) = @{ $idp->{known} }{qw(u1 u2 u3 g1)};
    my $patch = sub { return $idp->patch('/Groups/{g1}', po(@_)) };
    my $members = sub { return members_of($idp->get('/Groups/{g1}')) };
    my $add = '{"op":"Add","path":"members","value":[{"$ref":null,"value":"{u1}"}]}';
    answers($patch->($add), 204, {}, 'C-172, C-175 entra 6.1/36 a member is added');
    answers($patch->($add), 204, {}, 'C-176 entra 6.1/36 a second time is 204 too');
    is_deeply($members->(), [$u1], 'C-176 entra 6.1/36 and it is one member');
    answers($patch->('{"op":"Add","path":"members","value":[{"$ref":null,"value":"{u2}"},{"$ref":null,"value":"{u3}"}]}'), 204, {},
        'C-175 entra 6.1/36 two are added at once');
    my $group = $idp->get('/Groups/{g1}');
    is_deeply(members_of($group), [sort $u1, $u2, $u3], 'C-216 entra 6.1/37 three members are there');
    my ($first) = grep { $_->{value} eq $u1 } @{ $group->json->{members} };
    is_deeply($first, { value => $u1, '$ref' => $idp->{server}->base . "/Users/$u1", type => 'User' }, 'C-216 entra 6.1/37 with $ref and type');
    answers($idp->get('/Users/{u1}'), 200, {
        groups => [{ value => $g1, '$ref' => $idp->{server}->base . "/Groups/$g1", display => 'Pipefy-members', type => 'direct' }],
    }, 'C-214 entra 6.1/37 the user tells of its group');
    member_check($idp, 1, 'entra 6.1/9 u1 is a member now');
    my $remove = '{"op":"Remove","path":"members","value":[{"$ref":null,"value":"{u1}"}]}';
    answers($patch->($remove), 204, {}, 'C-186, S-16 entra 6.1/38 one member is removed');
    is_deeply($members->(), [sort $u2, $u3], 'C-186, S-16 entra 6.1/38 and the others stay');
    answers($patch->($remove), 204, {}, 'C-184 entra 6.1/38 a second time is 204 too');
    is_deeply($members->(), [sort $u2, $u3], 'C-184 entra 6.1/38 and changes nothing');
    member_check($idp, 0, 'entra 6.1/9 u1 is a member no more');
}

sub add_in_parallel
{
    my ($idp) = @_;
    my @ids = map { $idp->made('/Users', another("p$_")) } 1 .. 10;
    my $before = members_of($idp->get('/Groups/{g1}'));
    my @status = parallel(10, sub {
        my ($i) = @_;
        return $idp->patch('/Groups/{g1}', po(qq({"op":"Add","path":"members","value":[{"\$ref":null,"value":"$ids[$i]"}]})))->status;
    });
    is_deeply(\@status, [(204) x 10], 'S-08 entra 6.1/39 ten additions at once are all 204');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [sort @$before, @ids], 'S-08 entra 6.1/39 and no member is lost');
}

sub rename_and_delete_group
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Groups/{g1}', po(@_)) };
    answers($patch->('{"op":"Replace","path":"displayName","value":"Pipefy-members-2"}'), 204, {}, 'C-172 entra 6.1/40 the group is renamed');
    answers($patch->('{"op":"Replace","path":"externalId","value":"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900160"}'), 204, {}, 'C-172 entra 6.1/40 so is its externalId');
    answers($idp->get('/Groups/{g1}?excludedAttributes=members'), 200,
        { displayName => 'Pipefy-members-2', externalId => '8aa1a0c0-c4c3-4bc0-b4a5-2ef676900160' }, 'C-188 entra 6.1/40 both are there');
    my $users = $idp->get('/Users?count=0')->json->{totalResults};
    answers($idp->delete('/Groups/{g1}'), 204, {}, 'C-210 entra 6.1/41 the group is deleted');
    is_error($idp->get('/Groups/{g1}'), 404, undef, 'C-210 entra 6.1/41 and is gone');
    is($idp->get('/Users?count=0')->json->{totalResults}, $users, 'C-213 entra 6.1/41 its members stay');
    answers($idp->get('/Users/{u2}'), 200, { active => true, groups => undef }, 'C-213 entra 6.1/41 and no more tell of it');
}

sub delete_user
{
    my ($idp) = @_;
    answers($idp->patch('/Users/{u1}', po('{"op":"Replace","path":"active","value":"False"}')), 200, { active => false },
        'S-29 entra 6.1/42 the user is unassigned');
    answers($idp->delete('/Users/{u1}'), 204, {}, 'C-210 entra 6.1/42 the user is deleted');
    is_error($idp->delete('/Users/{u1}'), 404, undef, 'C-210 entra 6.1/42 a second time is 404');
    is_error($idp->get('/Users/{u1}'), 404, undef, 'C-061 entra 6.1/42 and it is read no more');
    my $again = $idp->post('/Users', $babs);
    answers($again, 201, { userName => 'babs@contoso.com' }, 'C-211 entra 6.1/42 it can be created again');
    isnt($again->json->{id}, $idp->{known}{u1}, 'C-211 entra 6.1/42 with another id');
}

sub discover_accounts
{
    my ($idp) = @_;
    my (%seen, %total);
    my @pages = map { $idp->get("/Users?startIndex=$_&count=5")->json } 1, 6, 11;
    is_deeply([map { $_->{startIndex} } @pages], [1, 6, 11], 'C-113 entra 6.1/43 startIndex is told');
    $seen{$_}++ for map { $_->{id} } map { @{ $_->{Resources} } } @pages;
    $total{ $_->{totalResults} } = 1 for @pages;
    is_deeply([keys %total], [15], 'C-114 entra 6.1/43 totalResults is always the same');
    is(scalar(keys %seen), 15, 'C-113 entra 6.1/43 the pages do not overlap');
}

sub default_mode
{
    my ($idp) = @_;
    test_connection($idp);
    older_forms($idp);
    application_roles($idp);
    create_user($idp);
    match_user($idp);
    update_user($idp);
    manage_user($idp);
    give_roles($idp);
    refuse_and_clear($idp);
    rename_user($idp);
    disable_user($idp);
    create_group($idp);
    change_members($idp);
    add_in_parallel($idp);
    rename_and_delete_group($idp);
    delete_user($idp);
    discover_accounts($idp);
}

# --- 6.2, with the flag ------------------------------------------------------

sub flag_mode
{
    my ($idp) = @_;
    $idp->let(u1 => $idp->made('/Users', another('flag1')), u2 => $idp->made('/Users', another('flag2')));
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    my $many = $patch->('{"op":"replace","path":"emails[type eq \"work\"].value","value":"TestMhvaes@test.microsoft.com"}', '{"op":"replace","value":{"displayName":"Bjfe","name.givenName":"Kkom","name.familyName":"Unua","{EU}:employeeNumber":"Aklq"}}');
    answers($many, 200, {
        displayName => 'Bjfe', name => { formatted => 'Babs Jensen', givenName => 'Kkom', familyName => 'Unua' },
        emails => [{ primary => true, type => 'work', value => 'TestMhvaes@test.microsoft.com' }],
        '{EU}' => { employeeNumber => 'Aklq' }, 'name.givenName' => undef, 'name.familyName' => undef,
    }, 'C-203, S-22 entra 6.2/1 keys that are paths are applied to what they name');
    answers($patch->('{"op":"add","path":"nickName","value":"Babs"}'), 200, { nickName => 'Babs' }, 'C-175 entra 6.2/2 a nickName is added');
    answers($patch->('{"op":"replace","path":"active","value":false}'), 200, { active => false }, 'C-188 entra 6.2/3 the user is disabled');
    answers($patch->('{"op":"replace","path":"active","value":true}'), 200, { active => true }, 'C-188 entra 6.2/3 and enabled');
    $idp->let(g1 => $idp->made('/Groups', $pipefy));
    $idp->patch('/Groups/{g1}', po('{"op":"add","path":"members","value":[{"value":"{u1}"},{"value":"{u2}"}]}'));
    answers($idp->patch('/Groups/{g1}', po('{"op":"remove","path":"members[value eq \"{u2}\"]"}')), 204, {}, 'C-182, S-17 entra 6.2/4 a member is removed by its path');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [$idp->{known}{u1}], 'C-182, S-17 entra 6.2/4 and the other stays');
    $patch->('{"op":"add","path":"{EU}:department","value":"R&D"}');
    answers($patch->('{"op":"replace","value":{"title":"","name.formatted":"","{EU}:department":""}}'), 200,
        { title => undef, name => { givenName => 'Kkom', familyName => 'Unua' }, '{EU}' => { employeeNumber => 'Aklq' } },
        'C-049, C-203 entra 6.2/5 empty strings clear what they are given for');
    answers($idp->delete('/Groups/{g1}'), 204, {}, 'C-210 entra 6.2 the group is deleted');
}

# --- forms of other editions of Microsoft's documentation ----------------------

# Nulls, a URN that is misspelt, and literals without quotes.
sub older_forms
{
    my ($idp) = @_;
    my $joy = '{"schemas":["{CU}","urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],"externalId":"jyoung","userName":"jyoung@testuser.com","active":true,"addresses":null,"displayName":"Joy Young","emails":[{"type":"work","value":"jyoung@Contoso.com","primary":true}],"meta":{"resourceType":"User"},"name":{"familyName":"Young","givenName":"Joy"},"phoneNumbers":null,"preferredLanguage":null,"title":null,"department":null,"manager":null}';
    my $made = $idp->post('/Users', $joy);
    answers($made, 201, { userName => 'jyoung@testuser.com', schemas => [$USER], addresses => undef, manager => undef, 'emails/0/value' => 'jyoung@Contoso.com' },
        'C-035, C-048, S-36 entra: nulls and a misspelt URN');
    lists($idp->get('/Users?filter=externalId+eq+jyoung'), 1, 'C-100 entra: externalId without quotes');
    $idp->let(joy => $made->json->{id});
    my $boss = $idp->post('/Users', '{"schemas":["{CU}","{EU}"],"userName":"reports@testuser.com","{EU}":{"manager":"{joy}"}}');
    answers($boss, 201, { '{EU}/manager/value' => $idp->{known}{joy} }, 'S-26 entra: a manager in a new user is a string');
    $idp->delete("/Users/$_") for $idp->{known}{joy}, $boss->json->{id};
}

# SingleAppRoleAssignment and AppRoleAssignmentsComplex.
sub application_roles
{
    my ($idp) = @_;
    my $admin = '{"primary":false,"type":"WindowsAzureActiveDirectoryRole","display":"Admin","value":"Admin"}';
    my $user = $admin =~ s/Admin/User/gr;
    my $of = sub { return qq({"schemas":["{CU}"],"userName":"$_[0]\@contoso.com","roles":[$_[1]]}) };
    my $single = $idp->post('/Users', $of->('single', '{"primary":true,"type":"WindowsAzureActiveDirectoryRole","value":"Admin"}'));
    answers($single, 201, { roles => [{ primary => true, type => 'WindowsAzureActiveDirectoryRole', value => 'Admin' }] }, 'C-030 entra: one role');
    my $complex = $idp->post('/Users', $of->('complex', $admin));
    answers($complex, 201, { 'roles/0/display' => 'Admin', 'roles/1' => undef }, 'C-030 entra: roles as objects');
    my $added = $idp->patch('/Users/' . $complex->json->{id}, po(qq({"op":"Add","path":"roles","value":[$admin,$user]})));
    answers($added, 200, { 'roles/0/value' => 'Admin', 'roles/1/value' => 'User', 'roles/2' => undef }, 'C-175, C-176 entra: roles add up, each once');
    $idp->delete('/Users/' . $_->json->{id}) for $single, $complex;
}

# An attribute of the organisation's own, its URN in no "schemas" (6.1/26).
sub own_extension
{
    my $examples = "$FindBin::Bin/../../conf/examples";
    my $urn = 'urn:example:params:scim:schemas:extension:organisation:2.0:User';
    my $server = Scim::Httpd->new(base => '/scim', conf => "SCIMSchema $examples/organisation-extension.json\nSCIMResourceType $examples/organisation-user-type.json\n");
    my $idp = Scim::Idp->new($server, %headers);
    $idp->let(u1 => $idp->made('/Users', $babs));
    my $answer = $idp->patch('/Users/{u1}', po(qq({"op":"Add","path":"$urn:costCode","value":"701984"})));
    answers($answer, 200, { schemas => [$USER, $urn], "$urn/costCode" => '701984' }, 'C-198, S-25 entra 6.1/26 an extension that is configured is stored');
    $server->log_clean;
}

# Each mode in a directory of its own, and each with the flag in the Tenant URL
# and without: what it is called by changes nothing.
my $server = Scim::Httpd->new(base => '/scim');
for my $query ('', 'aadOptscim062020') {
    for my $mode (\&default_mode, \&flag_mode) {
        my $tenant = 'contoso' . ++$tenants;
        my ($code) = $server->scimctl('tenant', 'create', $tenant);
        die "scimctl tenant create: $code\n" if $code;
        my $token = $server->new_token(tenant => $tenant, connection => 'entra');
        $mode->(Scim::Idp->new($server, %headers, authorization => "Bearer $token", query => $query));
    }
}
$server->log_clean;
own_extension();
done_testing();
