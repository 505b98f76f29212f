#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What Microsoft tests SCIM servers with: its SCIM validator (6.3 is the sequence
# of its core, the numbers and letters those of its single tests), the tests of
# its gallery, and the Postman collection of its reference code.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT manager_is members_of);
use Test::More;

my %headers = ('content-type' => 'application/scim+json; charset=utf-8');
my $nobody = '5b50642d-79fc-4410-9e90-4c077cdd1a59';

# --- the SCIM validator --------------------------------------------------------

my $shaniya = <<'EOT';
{"userName":"shaniya@bauch.co.uk","active":true,"displayName":"BDFAIMDWZXYA","title":"HZEYUQROKTXF",
 "emails":[{"type":"work","value":"camille@hermannokuneva.ca","primary":true}],"preferredLanguage":"cy-GB",
 "name":{"givenName":"Sadye","familyName":"Keaton","formatted":"Matt","middleName":"Marcelo","honorificPrefix":"Caleigh","honorificSuffix":"Catalina"},
 "addresses":[{"type":"work","formatted":"GWRTLPBWYNPV","streetAddress":"845 Anastacio Radial","locality":"GIZRDTXXWJZC","region":"JSKIBHIRPFHK","postalCode":"zl48 3xh","primary":true,"country":"Belize"}],
 "phoneNumbers":[{"type":"work","value":"56-357-7743","primary":true},{"type":"mobile","value":"56-357-7743"},{"type":"fax","value":"56-357-7743"}],
 "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"JPOIXPDDDMKH","department":"KDELNISIUEDX","costCenter":"PCTBWQQHYLIH","organization":"CJVPTEPRUCKO","division":"JBYUDRIYLEDA","manager":{"value":"GZFDHGRKQLCG"}},
 "roles":[{"primary":"True","display":"RAJBJMKHJSNI","value":"OGCIACGFVVRR","type":"IJAQSLXCMJPC"}],
 "userType":"ITYVRPWVQBNN","nickName":"ALLEWIPTSPGW","locale":"PUWGYNUKSGVE","timezone":"America/Indiana/Knox","profileUrl":"RVSZJGLGMDLF",
 "schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]}
EOT

my $verbose = <<'EOT';
{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[
{"op":"add","path":"active","value":true},{"op":"add","path":"displayName","value":"RJEX"},{"op":"add","path":"title","value":"AQRB"},
{"op":"add","path":"emails[type eq \"work\"].value","value":"b@blick.name"},{"op":"add","path":"emails[type eq \"work\"].primary","value":true},
{"op":"add","path":"preferredLanguage","value":"pa"},{"op":"add","path":"name.givenName","value":"T"},{"op":"add","path":"name.familyName","value":"B"},{"op":"add","path":"name.formatted","value":"F"},{"op":"add","path":"name.middleName","value":"M"},{"op":"add","path":"name.honorificPrefix","value":"P"},{"op":"add","path":"name.honorificSuffix","value":"S"},
{"op":"add","path":"addresses[type eq \"work\"].formatted","value":"f"},{"op":"add","path":"addresses[type eq \"work\"].streetAddress","value":"s"},{"op":"add","path":"addresses[type eq \"work\"].locality","value":"l"},{"op":"add","path":"addresses[type eq \"work\"].region","value":"r"},{"op":"add","path":"addresses[type eq \"work\"].postalCode","value":"p"},{"op":"add","path":"addresses[type eq \"work\"].primary","value":true},{"op":"add","path":"addresses[type eq \"work\"].country","value":"Belize"},
{"op":"add","path":"phoneNumbers[type eq \"work\"].value","value":"1"},{"op":"add","path":"phoneNumbers[type eq \"work\"].primary","value":true},{"op":"add","path":"phoneNumbers[type eq \"mobile\"].value","value":"2"},{"op":"add","path":"phoneNumbers[type eq \"fax\"].value","value":"3"},
{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber","value":"L"},{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"d"},{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter","value":"c"},{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization","value":"o"},{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division","value":"v"},
{"op":"add","path":"roles[primary eq \"True\"].display","value":"TQ"},{"op":"add","path":"roles[primary eq \"True\"].value","value":"UO"},{"op":"add","path":"roles[primary eq \"True\"].type","value":"VG"},
{"op":"add","path":"userType","value":"Z"},{"op":"add","path":"nickName","value":"n"},{"op":"add","path":"locale","value":"x"},{"op":"add","path":"timezone","value":"America/Guayaquil"},{"op":"add","path":"profileUrl","value":"RVSZ"}]}
EOT

# What is then there; country by C-051.
my %verbose_result = (
    active => true, displayName => 'RJEX', title => 'AQRB', preferredLanguage => 'pa', userType => 'Z', nickName => 'n', locale => 'x',
    timezone => 'America/Guayaquil', profileUrl => 'RVSZ',
    emails => [{ type => 'work', value => 'b@blick.name', primary => true }],
    name => { givenName => 'T', familyName => 'B', formatted => 'F', middleName => 'M', honorificPrefix => 'P', honorificSuffix => 'S' },
    addresses => [{ type => 'work', formatted => 'f', streetAddress => 's', locality => 'l', region => 'r', postalCode => 'p', primary => true, country => 'BZ' }],
    phoneNumbers => [{ type => 'work', value => '1', primary => true }, { type => 'mobile', value => '2' }, { type => 'fax', value => '3' }],
    '{EU}/employeeNumber' => 'L', '{EU}/department' => 'd', '{EU}/costCenter' => 'c', '{EU}/organization' => 'o', '{EU}/division' => 'v',
    roles => [{ primary => true, display => 'TQ', value => 'UO', type => 'VG' }],
);

sub validate_users
{
    my ($idp) = @_;
    my $made = $idp->post('/Users', $shaniya, raw => 1);
    answers($made, 201, {}, 'S-29 entra 6.3/1, validator 1 a full user is created');
    $idp->let(u1 => $made->json->{id});
    my %sent = %{ JSON::PP->new->utf8->decode($shaniya) };
    $sent{roles}[0]{primary} = true;
    $sent{addresses}[0]{country} = 'BZ';
    my $found = $idp->get('/Users?filter=userName+eq+%22shaniya%40bauch.co.uk%22');
    lists($found, 1, 'C-080 entra 6.3/1, validator 1 it is found');
    answers($found, 200, { map { ($_ eq $ENTERPRISE ? 'Resources/0/{EU}' : "Resources/0/$_") => $sent{$_} } keys %sent },
        'C-040, C-051, C-053, C-056 entra 6.3/1, validator 1 with every value that was sent');

    my $second = $idp->post('/Users', '{"userName":"eleanore@boyercorwin.biz","schemas":["{CU}"]}');
    answers($second, 201, { userName => 'eleanore@boyercorwin.biz' }, 'C-030 entra 6.3/2 a minimal user is created');
    my $id = $second->json->{id};
    answers($idp->patch("/Users/$id", $verbose, raw => 1), 200, \%verbose_result, 'C-180, C-198 entra 6.3/2, validator 9 36 additions make each value once');
    answers($idp->patch('/Users/{u1}', $verbose =~ s/"op":"add"/"op":"replace"/gr, raw => 1), 200, \%verbose_result,
        'C-188, C-191 entra 6.3/3, validator 6 36 replacements of a full user, too');
    answers($idp->get('/Users/{u1}'), 200, { %verbose_result, '{EU}/manager/value' => 'GZFDHGRKQLCG' }, 'C-060 entra 6.3/3 and stay');
}

sub validate_manager
{
    my ($idp) = @_;
    my ($m1, $m2) = @{ $idp->{known} }{qw(m1 m2)};
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    answers($patch->('{"op":"replace","value":{"userName":"new@x"}}'), 200, { userName => 'new@x' }, 'C-203 entra 6.3/4, validator 7 userName is replaced without a path');
    manager_is($idp, $patch->('{"op":"add","path":"{EU}:manager","value":"{m1}"}'), $m1, 'S-26 entra 6.3/5, validator 10 a manager is added as a string');
    manager_is($idp, $patch->('{"op":"replace","path":"{EU}:manager","value":"{m2}"}'), $m2, 'S-26 entra 6.3/5, validator 11 replaced as a string');
    answers($patch->('{"op":"replace","path":"{EU}:manager","value":""}'), 200, { '{EU}/manager' => undef }, 'S-26 entra 6.3/5, validator 12 removed as a string');
    manager_is($idp, $patch->('{"op":"add","path":"{EU}:manager","value":{"value":"{m1}"}}'), $m1, 'C-175 entra 6.3/5, validator 10 added as an object');
    manager_is($idp, $patch->('{"op":"replace","path":"{EU}:manager","value":{"value":"{m2}"}}'), $m2, 'C-188 entra 6.3/5, validator 11 replaced as an object');
    answers($patch->('{"op":"replace","path":"{EU}:manager","value":{"value":""}}'), 200, { '{EU}/manager' => undef }, 'S-26 entra 6.3/5, validator 12 removed as an object');
    answers($patch->('{"op":"remove","path":"preferredLanguage"}', '{"op":"add","path":"externalId","value":"e1"}', '{"op":"replace","path":"displayName","value":"D"}'), 200,
        { preferredLanguage => undef, externalId => 'e1', displayName => 'D' }, 'C-174, C-182 entra 6.3/6, validator a three attributes in one request');
    answers($patch->('{"op":"remove","path":"externalId"}', '{"op":"add","path":"externalId","value":"e2"}', '{"op":"replace","path":"externalId","value":"e3"}'), 200,
        { externalId => 'e3' }, 'C-174, S-20 entra 6.3/7, validator b one attribute three times: the last wins');
}

sub validate_groups
{
    my ($idp) = @_;
    my ($u1, $u2) = @{ $idp->{known} }{qw(u1 u2)};
    my $nush = '{"displayName":"NUSH","externalId":"6d1c4e0a-9c1e-4f6f-8a60-0d5b1d9a3c11","schemas":["{CG}"]}';
    my $made = $idp->post('/Groups', $nush);
    $idp->let(g1 => $made->json->{id});
    my $patch = sub { return $idp->patch('/Groups/{g1}', po(@_)) };
    my $members = sub { return members_of($idp->get('/Groups/{g1}')) };
    answers($made, 201, { displayName => 'NUSH', externalId => '6d1c4e0a-9c1e-4f6f-8a60-0d5b1d9a3c11' }, 'C-030 entra 6.3/8, validator 19 a group is created');
    is_error($idp->post('/Groups', $nush), 409, 'uniqueness', 'C-058 entra 6.3/8, validator 20 a second time is 409');
    answers($patch->('{"op":"replace","value":{"externalId":"663f0f0e-8f5f-4f0c-a5ad-5a7c5f1b9e22"}}'), 204, {}, 'C-172 entra 6.3/8, validator 21 its externalId is replaced');
    answers($patch->('{"op":"replace","value":{"displayName":"WUZP"}}'), 204, {}, 'C-172 entra 6.3/8, validator 22 so is its name');
    answers($idp->get('/Groups/{g1}'), 200, { displayName => 'WUZP', externalId => '663f0f0e-8f5f-4f0c-a5ad-5a7c5f1b9e22' }, 'C-188 entra 6.3/8 both are there');
    answers($patch->('{"op":"replace","path":"members","value":[{"value":"{u1}"},{"value":"{u2}"}]}'), 204, {}, 'C-188 entra 6.3/8, validator 23 members are set');
    is_deeply($members->(), [sort $u1, $u2], 'C-188 entra 6.3/8 two are there');
    answers($patch->('{"op":"remove","path":"members[value eq \"{u1}\"]"}'), 204, {}, 'C-182 entra 6.3/8, validator 24 one is removed');
    is_deeply($members->(), [$u2], 'C-182 entra 6.3/8 the other stays');
    answers($patch->('{"op":"add","path":"members","value":[{"value":"{u1}"}]}', '{"op":"remove","path":"members[value eq \"{u1}\"]"}'), 204, {},
        'C-174 entra 6.3/8, validator e one is added and removed');
    is_deeply($members->(), [$u2], 'C-174 entra 6.3/8 and is not there');
}

sub validate_deletion
{
    my ($idp) = @_;
    for my $type (qw(Users Groups)) {
        is_error($idp->delete("/$type/$nobody"), 404, undef, "C-061 entra 6.3/9, validator c, f an unknown id below /$type is 404");
        my $one = $type eq 'Users' ? 'u1' : 'g1';
        answers($idp->delete("/$type/{$one}"), 204, {}, "C-210 entra 6.3/9 one of /$type is deleted");
        is_error($idp->delete("/$type/{$one}"), 404, undef, "C-210 entra 6.3/9, validator d, g a second time is 404");
    }
}

# Each test of the validator begins anew; those that the sequence above has not.
sub validate_matching
{
    my ($idp) = @_;
    my $body = '{"userName":"Arlo@Bauch.co.uk","displayName":"ARLO","schemas":["{CU}"]}';
    my $id = $idp->made('/Users', $body);
    is_error($idp->post('/Users', $body), 409, 'uniqueness', 'C-033 validator 2 a user who is there is 409');
    my $found = $idp->get('/Users?filter=userName+eq+%22Arlo%40Bauch.co.uk%22');
    lists($found, 1, 'C-080 validator 3 a user is found');
    answers($found, 200, { 'Resources/0/id' => $id, 'Resources/0/schemas' => [$USER], 'Resources/0/meta/resourceType' => 'User' },
        'C-113 validator 3 with id, schemas and meta');
    lists($idp->get("/Users?filter=userName+eq+%22$nobody%22"), 0, 'C-101 validator 4 one who is not there is not found');
    lists($idp->get('/Users?filter=userName+eq+%22aRLO%40bAUCH.CO.UK%22'), 1, 'S-30 validator 5 in different case');
    answers($idp->patch("/Users/$id", po('{"op":"replace","path":"active","value":false}')), 200, { active => false }, 'C-188 validator 8 a user is disabled');
    answers($idp->get("/Users/$id"), 200, { active => false }, 'C-060 validator 8 and is read as disabled');
    answers($idp->delete("/Users/$id"), 204, {}, 'C-210 validator 13 a user is deleted');
    is_error($idp->get("/Users/$id"), 404, undef, 'C-210 validator 13 and is gone');
    # It renames users and creates the old names again.
    isnt($idp->made('/Users', $body), $id, 'C-211, S-11 validator: the name is free at once');
}

sub validate_group_matching
{
    my ($idp) = @_;
    my $id = $idp->made('/Groups', '{"displayName":"GroupName","externalId":"6d1c","schemas":["{CG}"],"members":[{"value":"{u2}"}]}');
    my $by = sub { my ($filter, $more) = @_; return $idp->get('/Groups?' . ($more // '') . "filter=$filter") };
    my %bare = ('Resources/0/id' => $id, 'Resources/0/members' => undef, 'Resources/0/displayName' => 'GroupName');
    answers($idp->get("/Groups/$id?excludedAttributes=members"), 200, { displayName => 'GroupName', members => undef }, 'C-064 validator 14 a group is read without members');
    answers($by->('displayName+eq+%22GroupName%22', 'excludedAttributes=members&'), 200, { %bare, totalResults => 1 }, 'C-064, S-03 validator 15 and found without them');
    answers($by->('displayName+eq+%22GroupName%22'), 200, { totalResults => 1, 'Resources/0/members/0/value' => $idp->{known}{u2} }, 'C-216 validator 16 or with them');
    answers($by->('externalId+eq+%226d1c%22', 'excludedAttributes=members&'), 200, { %bare, totalResults => 1 }, 'C-100, S-13 validator 16 by externalId, too');
    lists($by->("displayName+eq+%22$nobody%22"), 0, 'C-101 validator 17 a group that is not there is not found');
    lists($by->('displayName+eq+%22gROUPnAME%22'), 1, 'S-30 validator 18 in different case');
    answers($idp->delete("/Groups/$id"), 204, {}, 'C-210 validator 25 a group is deleted');
    is_error($idp->get("/Groups/$id"), 404, undef, 'C-210 validator 25 and is gone');
}

sub validator
{
    my ($server) = @_;
    my $idp = Scim::Idp->new($server, %headers);
    $idp->let($_ => $idp->made('/Users', qq({"schemas":["{CU}"],"userName":"$_\@contoso.com"}))) for qw(m1 m2 u2);
    validate_users($idp);
    validate_manager($idp);
    validate_matching($idp);
    validate_groups($idp);
    validate_group_matching($idp);
    validate_deletion($idp);
}

# --- the gallery's tests ---------------------------------------------------------

sub discover
{
    my ($idp) = @_;
    my $schemas = $idp->get('/Schemas');
    is($schemas->status, 200, 'C-272 gallery: the schemas are told');
    my %named = map { $_->{id} => $_ } @{ $schemas->json->{Resources} };
    ok($named{$_}, "C-277 gallery: $_ is among them") for $USER, $GROUP, $ENTERPRISE;
    unlike($schemas->content, qr/:null\b/, 'C-281 gallery: no null is in them');
    is($idp->get("/$_?count=1")->status, 200, "gallery: one of /$_") for qw(Users Groups);
    lists($idp->get('/Users?filter=userName%20eq%20%22nonexistent_xyz%22'), 0, 'C-101 gallery: one who is not there');
}

# Every path that can be cleared, what it is given, and where that stands.
my @cleared = (
    ['displayName', 'x'], ['title', 'x'], ['nickName', 'x'], ['userType', 'x'], ['preferredLanguage', 'pa'], ['locale', 'pa'],
    ['timezone', 'UTC'], ['profileUrl', 'u'], ['externalId', 'x'],
    (map { ["name.$_", 'x', "name/$_"] } qw(givenName familyName formatted middleName honorificPrefix honorificSuffix)),
    ['emails[type eq \"work\"].value', 'a@b', 'emails/0/value'],
    ['phoneNumbers[type eq \"mobile\"].value', '1', 'phoneNumbers/0/value'],
    (map { ["addresses[type eq \\\"work\\\"].$_", 'x', "addresses/0/$_"] } qw(formatted streetAddress locality region postalCode)),
    (map { ["{EU}:$_", 'x', "{EU}/$_"] } qw(employeeNumber department costCenter organization division)),
);

# SCIM_Null_Update: each attribute by "" and by null, then all in one.
sub update_to_null
{
    my ($idp) = @_;
    $idp->let(n => $idp->made('/Users', '{"schemas":["{CU}"],"userName":"null@contoso.com"}'));
    my $patch = sub { return $idp->patch('/Users/{n}', po(@_)) };
    for my $row (@cleared) {
        my ($path, $value, $at) = @$row;
        for my $nothing ('""', 'null') {
            answers($patch->(qq({"op":"add","path":"$path","value":"$value"})), 200, { $at // $path => $value }, "C-175 gallery: $path is set");
            answers($patch->(qq({"op":"replace","path":"$path","value":$nothing})), 200, { $at // $path => undef }, "C-193, S-36 gallery: $path is cleared by $nothing");
        }
    }
    # The form that is not verbose: what has a filter in its path comes by itself.
    for my $nothing ('""', 'null') {
        $patch->(map { qq({"op":"add","path":"$_->[0]","value":"$_->[1]"}) } @cleared);
        my @plain = map { qq("$_->[0]":$nothing) } grep { $_->[0] !~ /\[/ } @cleared;
        my @filtered = map { qq({"op":"replace","path":"$_->[0]","value":$nothing}) } grep { $_->[0] =~ /\[/ } @cleared;
        my %gone = map { ($_->[2] // $_->[0]) => undef } @cleared;
        answers($patch->('{"op":"replace","value":{' . join(',', @plain) . '}}', @filtered), 200, { %gone, userName => 'null@contoso.com' },
            "C-203, S-22 gallery: all are cleared by $nothing at once");
    }
}

sub page_through
{
    my ($idp) = @_;
    $idp->made('/Users', qq({"schemas":["{CU}"],"userName":"page$_\@contoso.com"})) for 1 .. 11;
    my $total = $idp->get('/Users?count=0')->json->{totalResults};
    my ($start, %seen) = (1);
    while ($start <= $total) {
        my $page = $idp->get("/Users?startIndex=$start&count=5")->json;
        is($page->{startIndex}, $start, "C-113 gallery: the page at $start says so");
        $seen{ $_->{id} }++ for @{ $page->{Resources} };
        $start += 5;
    }
    is_deeply([scalar(keys %seen), grep { $_ != 1 } values %seen], [$total], 'C-114, S-37 gallery: each user is on one page');
}

sub gallery
{
    my ($server) = @_;
    my $idp = Scim::Idp->new($server, %headers, accept => 'application/scim+json');
    discover($idp);
    update_to_null($idp);
    page_through($idp);
}

# --- the Postman collection ------------------------------------------------------

# A user of its first half; more: further members.
sub postman_user
{
    my ($name, $display, $formatted, $address, $more) = @_;
    my ($given, $family) = split / /, $formatted;
    return qq({"userName":"$name","active":true,"displayName":"$display","schemas":["{EU}","{CU}"],"externalId":"22fbc523-6032-4c5f-939d-5d4850cf3e52",)
        . qq("name":{"formatted":"$formatted","familyName":"$family","givenName":"$given"},)
        . qq("emails":[{"Primary":true,"type":"work","value":"$address"},{"Primary":false,"type":"home","value":"testinghome\@bob.com"}])
        . ($more // '') . '}';
}

# One of its second half, as a JSON text to be altered.
sub garbage_user
{
    my ($name, $family) = @_;
    return qq({"userName":"$name","active":true,"addresses":[)
        . '{"country":"Bermuda","formatted":"9132 Jennifer Way Suite 040\nSouth Nancy, MI 55645","locality":"West Mercedes","postalCode":"99265","region":"Montana","streetAddress":"4939 Hess Fork","type":"work","primary":false},'
        . '{"country":null,"formatted":"18522 Lisa Unions\nEast Gregory, CT 52311","locality":null,"postalCode":null,"region":null,"streetAddress":null,"type":"other","primary":false}],'
        . '"displayName":"Kimberly Baker","emails":[{"type":"work","primary":true,"value":"anna33@gmail.com"},{"type":"work","primary":false,"value":"anna33@example.com"}],'
        . '"meta":{"created":"2019-09-18T18:15:26.5788954+00:00","lastModified":"2019-09-18T18:15:26.5788976+00:00","resourceType":"User"},'
        . qq("name":{"formatted":"Daniel Mcgee","familyName":"$family","givenName":"Darl","honorificPrefix":null,"honorificSuffix":null},)
        . '"phoneNumbers":[{"type":"fax","primary":false,"value":"312-320-0500"},{"type":"mobile","primary":false,"value":"312-320-1707"},{"type":"work","primary":true,"value":"312-320-0932"}],'
        . '"preferredLanguage":"xh","roles":[],"title":"Site engineer","externalId":"22fbc523-6032-4c5f-939d-5d4850cf3e52","schemas":["{CU}"]}';
}

sub postman_endpoints
{
    my ($idp) = @_;
    lists($idp->get($_), 0, "postman: $_") for '/Users', '/Groups';
    is($idp->get('/ResourceTypes')->json->{Resources}[0]{endpoint}, '/Users', 'C-272 postman: the first resource type is that of users');
    answers($idp->get('/serviceConfiguration'), 200, { 'patch/supported' => true, 'meta/location' => $idp->{server}->base . '/ServiceProviderConfig' },
        'C-270 postman: the configuration under another name');
    is_error($idp->get('/serviceConfiguration', authorization => undef), 401, undef, 'C-271 postman: which asks for a token');
    like($idp->get('/Schemas')->content, qr/User Account/, 'postman: the schema of users says what it is');
}

sub postman_users
{
    my ($idp) = @_;
    my $first = $idp->post('/Users', postman_user('UserName123', 'BobIsAmazing', 'Ryan Leenay', 'testing@bob.com'));
    answers($first, 201, { 'emails/0/primary' => true, 'emails/1/primary' => false }, 'C-025 postman: a user, names in capitals');
    my $second = $idp->post('/Users', postman_user('UserName222', 'lennay', 'Adrew Ryan', 'testing@bob2.com', ',"{EU}":{"Department":"bob","Manager":{"Value":"SuzzyQ"}}'));
    answers($second, 201, { '{EU}' => { department => 'bob', manager => { value => 'SuzzyQ' } } }, 'C-025, C-056 postman: an enterprise user whose manager is unknown');
    $idp->let(id1 => $first->json->{id}, id2 => $second->json->{id});
    answers($idp->get("/Users/{$_}"), 200, { id => $idp->{known}{$_} }, "C-060 postman: $_ is read") for qw(id1 id2);
    my $named = $idp->get('/Users?attributes=userName,emails');
    lists($named, 2, 'C-062 postman: userName and emails of all');
    like($named->content, qr/$idp->{known}{id1}/, 'C-062 postman: with their ids');
    my $found = $idp->get('/Users/?filter=DisplayName+eq+%22BobIsAmazing%22');
    lists($found, 1, 'C-025 postman: a slash in front of the query, an attribute in capitals');
    is($found->json->{Resources}[0]{id}, $idp->{known}{id1}, 'C-025 postman: finds the user');
    answers($idp->patch('/Users/{id1}', po('{"op":"replace","path":"userName","value":"ryan3"}')), 200, { userName => 'ryan3' }, 'C-188 postman: a user is renamed');
    my $put = postman_user('UserNameReplace2', 'BobIsAmazing', 'Ryan Leenay', 'testing@bobREPLACE.com', ',"id":"{id2}"') =~ s/"formatted":"[^"]*"/"formatted":"NewName"/r;
    answers($idp->put('/Users/{id2}', $put), 200, { 'name/formatted' => 'NewName' }, 'C-150 postman: another is replaced');
    answers($idp->get('/Users/{id2}'), 200, { 'name/formatted' => 'NewName', '{EU}' => undef }, 'C-159 postman: and is so');
    answers($idp->delete("/Users/{$_}"), 204, {}, "C-210 postman: $_ is deleted") for qw(id1 id2);
}

sub postman_groups
{
    my ($idp) = @_;
    $idp->let("id$_" => $idp->made('/Users', postman_user("UserName$_$_$_", 'lennay', 'Adrew Ryan', "testing\@bob$_.com"))) for 3, 4;
    my $group = sub { return qq({"externalId":"22fbc523-6032-4c5f-939d-5d4850cf3e52","schemas":["{CG}"],"displayName":"$_[0]","members":[$_[1]]}) };
    $idp->let(g1 => $idp->made('/Groups', $group->('Group1DisplayName', '')));
    my $with = $idp->post('/Groups', $group->('GroupDisplayName2', '{"value":"{id3}","display":"VP"}'));
    answers($with, 201, { 'members/0/display' => 'VP', 'members/0/value' => $idp->{known}{id3} }, 'C-216 postman: a group with a member');
    lists($idp->get('/Groups'), 2, 'postman: groups with one externalId for all');
    $idp->let(g2 => $with->json->{id}, g3 => $idp->made('/Groups', $group->('GroupDisplayName3', '')));
    answers($idp->put('/Groups/{g3}', '{"schemas":["{CG}"],"id":"{g3}","displayName":"putName","members":[{"value":"{id3}","display":"VP"},{"value":"{id4}","display":"SenorVP"}]}'), 200,
        { displayName => 'putName' }, 'C-150 postman: a group is replaced');
    is_deeply(members_of($idp->get('/Groups/{g3}')), [sort @{ $idp->{known} }{qw(id3 id4)}], 'C-150 postman: and has both members');
    my $add = po('{"name":"addMember","op":"add","path":"members","value":[{"displayName":"new User","value":"{id4}"}]}');
    answers($idp->patch('/Groups/{g1}', $add), 204, {}, 'C-170 postman: keys that nobody knows in an operation and in a member');
    answers($idp->patch('/Groups/{g1}', po('{"op":"remove","path":"members[value eq \"{id4}\"]"}')), 204, {}, 'C-182 postman: the member is removed');
    answers($idp->get('/Groups/{g1}'), 200, { members => undef }, 'C-182 postman: and is gone');
    $idp->patch('/Groups/{g1}', $add);
    like($idp->get('/Groups/{g1}')->content, qr/"new User"/, 'postman: what a member was called is told');
    answers($idp->patch('/Groups/{g1}', po('{"op":"remove","path":"members"}')), 204, {}, 'C-186 postman: all are removed');
    unlike($idp->get('/Groups/{g1}')->content, qr/new User/, 'C-186 postman: and are gone');
    answers($idp->delete($_), 204, {}, "C-210 postman: DELETE $_") for '/Users/{id3}', '/Users/{id4}', map { "/Groups/{$_}" } qw(g1 g2 g3);
}

sub postman_projection
{
    my ($idp) = @_;
    $idp->let(id1 => $idp->made('/Users', postman_user('UserName111', 'BobIsAmazing', 'Ryan Leenay', 'emailName357')));
    for my $term ('type+eq+%22work%22', 'value+eq+%22emailName357%22') {
        my $got = $idp->get("/Users?attributes=emails%5B$term%5D");
        lists($got, 1, "postman: a filter in attributes, $term");
        answers($got, 200, { 'Resources/0/emails/0/value' => 'emailName357', 'Resources/0/userName' => undef }, 'C-063 postman: is the attribute');
    }
    $idp->delete('/Users/{id1}');
}

# "User tests with garbage"; leaves five users.
sub postman_garbage
{
    my ($idp) = @_;
    my $omalley = garbage_user('OMalley', 'OMalley');
    my $made = $idp->post('/Users', $omalley);
    answers($made, 201, {
        userName => 'OMalley', active => true, roles => undef, 'addresses/1' => { formatted => "18522 Lisa Unions\nEast Gregory, CT 52311", type => 'other', primary => false },
        name => { formatted => 'Daniel Mcgee', familyName => 'OMalley', givenName => 'Darl' },
    }, 'C-032, C-048, S-36 postman: meta and nulls in parts of a user');
    unlike($made->json->{meta}{created}, qr/^2019/, 'C-032 postman: the time is not the one sent');
    $idp->let(u1 => $made->json->{id});
    answers($idp->post('/Users', garbage_user('emp1', 'Employee') =~ s/"active":true/"active":"True"/r), 201,
        { active => true, 'emails/1' => { type => 'work', primary => false, value => 'anna33@example.com' } }, 'S-29 postman: "True", and two addresses of one type');
    is(($idp->get('/Users')->json || {})->{totalResults}, 2, 'postman: two users');
    $idp->made('/Users', garbage_user($_, 'Employee')) for qw(emp2 emp3);
    is_error($idp->post('/Users', garbage_user('x', 'Employee') =~ s/"userName":"x",//r), 400, 'invalidValue', 'C-034 postman: no userName');
    is_error($idp->post('/Users', garbage_user('y', 'Employee') =~ s/"active":true,/"active":true/r), 400, 'invalidSyntax', 'C-009, S-40 postman: broken JSON');
    is_error($idp->post('/Users', garbage_user('emp3', 'Employee')), 409, 'uniqueness', 'C-033 postman: a userName that is there');
    is_error($idp->put('/Users/{u1}', $omalley =~ s/"userName"/"userame"/r), 400, 'invalidValue', 'C-155 postman: PUT without userName');
    answers($idp->put('/Users/{u1}', $omalley =~ s/"addresses"/"adreses"/r), 200, { addresses => undef, adreses => undef }, 'C-039 postman: PUT with a misspelt attribute');
    $idp->made('/Users', garbage_user('enterprise', 'Employee') =~ s/"displayName"/"{EU}":{"Department":"some department"},"displayName"/r);
    # It wants 204; 200 and the user is what all other clients want.
    answers($idp->patch('/Users/{u1}', po('{"op":"Replace","path":"userName","value":"newusername"}')), 200, { userName => 'newusername' }, 'C-171, C-172 postman: Replace userName');
    answers($idp->patch('/Users/{u1}', po('{"op":"Replace","path":"active","value":false}')), 200, { active => false }, 'C-171, C-172 postman: Replace active');
    answers($idp->get('/Users/{u1}'), 200, { userName => 'newusername', active => false }, 'C-188 postman: both are so');
    answers($idp->put('/Users/{u1}', $omalley =~ s/"active":true/"active":false/r =~ s/Bermuda/Germany/r), 200, { userName => 'OMalley', active => false, 'addresses/0/country' => 'DE' },
        'C-051, C-150 postman: PUT of the whole user');
}

sub postman_queries
{
    my ($idp) = @_;
    answers($idp->get('/Users?startIndex=1&count=2'), 200, { totalResults => 5, itemsPerPage => 2 }, 'C-114, S-37 postman: two of five');
    lists($idp->get('/Users?attributes=userName,emails'), 5, 'C-062 postman: parts of five');
    my %found = (
        'name.FamilyName eq Employee and (emails.Value co example.com or emails.Value co example.org)' => 4,
        'userName sw O' => 1,
        'meta.Created gt 2015-10-10T14:38:21.8617979-07:00' => 5,
    );
    for my $filter (sort keys %found) {
        lists($idp->get('/Users?filter=' . $filter =~ s/ /%20/gr), $found{$filter}, "C-025 postman: without quotes: $filter");
    }
    # The collection that is named "SCIM Inbound".
    my $created = $idp->get('/Users/{u1}')->json->{meta}{created};
    lists($idp->get('/Users?count=1') && $idp->get('/Users?filter=id%20eq%20%22{u1}%22'), 1, 'C-100 postman: by id');
    lists($idp->get("/Users?filter=active%20eq%20true%20and%20(meta.lastModified%20ge%20%22$created%22%20and%20meta.lastModified%20le%20%222999-01-01T00:00:00Z%22)&count=5&startIndex=1"), 4,
        'C-081 postman: those who are active, by their last change');
}

# "Group tests with garbage": a member who is nobody.
sub postman_strangers
{
    my ($idp, $allowed) = @_;
    $idp->let(g1 => $idp->made('/Groups', '{"displayName":"Group 1","externalId":"015489ea-9410-4306-b583-9f002b2446f7","schemas":["{CG}"]}'));
    my $add = sub { return $idp->patch('/Groups/{g1}', qq({"id":"{g1}","Operations":[{"op":"add","path":"members","value":"$_[0]"}],"schemas":["$PATCH_OP"]})) };
    my $uuid = '2819c223-7f76-453a-919d-413861904646';
    if ($allowed) {
        answers($add->('string id 1'), 204, {}, 'C-056 postman: an unknown member is taken where that is allowed');
        answers($idp->get('/Groups/{g1}'), 200, { members => [{ value => 'string id 1' }] }, 'C-056 postman: and told as it was sent');
        lists($idp->get('/Groups?filter=members%20eq%20%22string%20id%201%22'), 1, 'C-056 postman: and found');
        answers($idp->patch('/Groups/{g1}', po('{"op":"remove","path":"members","value":[{"value":"string id 1"}]}')), 204, {}, 'C-182 postman: and removed');
        answers($add->($uuid), 204, {}, 'C-056 postman: so is one with an id that nobody has');
        answers($idp->get('/Groups/{g1}'), 200, { members => [{ value => $uuid }] }, 'C-056 postman: and told as it was sent');
        answers($idp->patch('/Groups/{g1}', po(qq({"op":"remove","path":"members[value eq \\"$uuid\\"]"}))), 204, {}, 'C-182 postman: and removed');
    } else {
        is_error($add->($_), 400, 'invalidValue', "C-056 postman: the unknown member $_ is refused") for 'string id 1', $uuid;
    }
    answers($idp->get('/Groups/{g1}'), 200, { members => undef }, 'C-056 postman: nobody is there');
    answers($idp->get('/Groups/{g1}?excludedAttributes=members'), 200, { members => undef }, 'C-064 postman: the group without members');
    answers($idp->put('/Groups/{g1}', '{"id":"{g1}","displayName":"Tiffany Ortiz","externalId":"6c6b54c2-fa81-4234-ad4f-420ec6808049","schemas":["{CG}"]}'), 200,
        { displayName => 'Tiffany Ortiz', members => undef }, 'C-153 postman: PUT without members');
    answers($idp->delete('/Groups/{g1}'), 204, {}, 'C-210 postman: the group is deleted');
}

sub postman
{
    my ($server, $tenant, $allowed) = @_;
    my $token = $server->new_token(tenant => $tenant);
    my $idp = Scim::Idp->new($server, 'content-type' => 'application/json', authorization => "Bearer $token");
    postman_endpoints($idp);
    postman_users($idp);
    postman_groups($idp);
    postman_projection($idp);
    postman_garbage($idp);
    postman_queries($idp);
    postman_strangers($idp, $allowed);
    $idp->delete("/Users/$_->{id}") for @{ $idp->get('/Users')->json->{Resources} };
    for my $list ('/Users?attributes=userName', '/Groups') {
        lists($idp->get($list), 0, "C-101 postman: $list is an empty list in the end");
    }
}

my $server = Scim::Httpd->new(base => '/scim', start => 0, conf => "<SCIMTenantPolicy lenient>\nSCIMDanglingReferences allow\n</SCIMTenantPolicy>");
$server->scimctl('tenant', 'create', $_) for qw(strict lenient);
$server->start;
validator($server);
gallery($server);
postman($server, 'strict', 0);
postman($server, 'lenient', 1);
$server->log_clean;
done_testing();
