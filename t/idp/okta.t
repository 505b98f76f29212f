#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Okta: an application of its network, which changes users by PATCH (6.5), a
# custom one, which changes them by PUT (6.6), and Okta's own suite of checks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Scim::Idp qw(:DEFAULT members_of);
use Test::More;
use Time::HiRes qw(time);

my %headers = (
    'accept' => 'application/scim+json',
    'accept-charset' => 'utf-8',
    'content-type' => 'application/scim+json; charset=utf-8',
    'user-agent' => 'Okta SCIM Client 1.0.0',
    'accept-encoding' => 'gzip,deflate',
);

my $test_user = <<'EOT';
{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},
 "emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US",
 "externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}
EOT

my $updated = <<'EOT';
{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"23a35c27-23d3-4c03-b4c5-6443c09e7173","userName":"test.user@okta.local",
 "name":{"givenName":"Another","middleName":"Excited","familyName":"User"},
 "emails":[{"primary":true,"value":"test.user@okta.local","type":"work","display":"test.user@okta.local"}],
 "active":true,"groups":[],"meta":{"resourceType":"User"}}
EOT

my $json = JSON::PP->new->utf8->canonical;

# What GET told, with changes merged in, as Okta sends it back.
sub merged
{
    my ($idp, %change) = @_;
    return $json->encode({ %{ $idp->get('/Users/{u1}')->json }, %change });
}

# --- users, common to both ---------------------------------------------------

sub connect_and_create
{
    my ($idp, $name) = @_;
    lists($idp->get('/Users?startIndex=1&count=2'), 0, "C-110 $name/1 the list of users");
    lists($idp->get('/Groups?startIndex=1&count=100'), 0, "C-110 $name/2 the list of groups");
    lists($idp->get('/Users?filter=userName%20eq%20%22test.user%40okta.local%22&startIndex=1&count=100'), 0, "C-101 $name/3 the user is not there");
    my $made = $idp->post('/Users', $test_user, raw => 1);
    answers($made, 201, {
        userName => 'test.user@okta.local', displayName => 'Test User', externalId => '00ujl29u0le5T6Aj10h7', active => true,
        password => undef, groups => undef,
    }, "C-030, C-032, C-050 $name/4 the user is created");
    unlike($made->content, qr/1mz050nq/, "C-050 $name/4 its password is not told");
    $idp->let(u1 => $made->json->{id}, created => $made->json->{meta}{created});
    is_error($idp->post('/Users', $test_user, raw => 1), 409, 'uniqueness', "C-033 $name/4 a second time is 409");
}

sub update_profile
{
    my ($idp, $name) = @_;
    my ($u1, $created) = @{ $idp->{known} }{qw(u1 created)};
    answers($idp->get('/Users/{u1}'), 200, { userName => 'test.user@okta.local' }, "C-060 $name/5 the user is read");
    my %profile = (
        name => { givenName => 'Another', middleName => 'Excited', familyName => 'User' },
        emails => [{ primary => true, value => 'test.user@okta.local', type => 'work', display => 'test.user@okta.local' }],
    );
    answers($idp->put('/Users/{u1}', $updated, raw => 1), 200, { %profile, id => $u1, displayName => undef, 'meta/created' => $created },
        "C-150, C-152, C-153 $name/5 the user is replaced, under its own id");
    answers($idp->put('/Users/{u1}', merged($idp, displayName => 'Another User'), raw => 1), 200,
        { %profile, id => $u1, displayName => 'Another User', 'meta/created' => $created },
        "C-150, C-152, C-157 $name/5 what the server told is taken back, with a change");
    $idp->let(m1 => $idp->made('/Users', '{"schemas":["{CU}"],"userName":"boss@okta.local","displayName":"The Boss"}'));
    my %enterprise = (department => 'IT', manager => { value => $idp->{known}{m1}, displayName => 'Boss' });
    answers($idp->put('/Users/{u1}', merged($idp, $ENTERPRISE => \%enterprise), raw => 1), 200,
        { '{EU}/department' => 'IT', '{EU}/manager/value' => $idp->{known}{m1}, schemas => [$USER, $ENTERPRISE] },
        "C-032, C-037 $name/6 enterprise attributes are taken, their URN or not");
}

# --- 6.5, PATCH --------------------------------------------------------------

sub change_user_by_patch
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    answers($patch->('{"op":"replace","value":{"active":false}}'), 200, { active => false }, 'C-172, C-188 okta 6.5/7 the user is disabled');
    my $found = $idp->get('/Users?filter=userName%20eq%20%22TEST.USER%40okta.local%22&startIndex=1&count=100');
    lists($found, 1, 'C-080 okta 6.5/10 the inactive user is found, in capitals');
    answers($found, 200, { 'Resources/0/active' => false }, 'okta 6.5/10 as inactive');
    answers($patch->('{"op":"replace","value":{"active":true}}'), 200, { active => true }, 'C-172, C-188 okta 6.5/8 the user is enabled');
    my $password = $patch->('{"op":"replace","value":{"password":"N3w!"}}');
    answers($password, 200, { active => true, password => undef }, 'C-050 okta 6.5/9 a password is taken');
    unlike($password->content, qr/N3w!/, 'C-050 okta 6.5/9 and not told');
    answers($idp->put('/Users/{u1}', merged($idp, active => true), raw => 1), 200, { active => true }, 'C-150 okta 6.5/10 assigned again by PUT');
}

sub push_group
{
    my ($idp) = @_;
    $idp->let(u2 => $idp->made('/Users', '{"schemas":["{CU}"],"userName":"second@okta.local"}'));
    lists($idp->get('/Groups?filter=displayName%20eq%20%22Test%20SCIMv2%22&startIndex=1&count=100'), 0, 'C-101 okta 6.5/11 the group is not there');
    my $made = $idp->post('/Groups', '{"schemas":["{CG}"],"displayName":"Test SCIMv2","members":[]}');
    answers($made, 201, { displayName => 'Test SCIMv2' }, 'C-030, C-048 okta 6.5/12 the group is created');
    $idp->let(g1 => $made->json->{id});
    answers($idp->patch('/Groups/{g1}', po('{"op":"replace","value":{"id":"{g1}","displayName":"Test SCIMv2"}}')), 204, {},
        'C-194 okta 6.5/13 an id in a value is ignored');
    answers($idp->get('/Groups/{g1}'), 200, { meta => $made->json->{meta} }, 'S-21 okta 6.5/13 and nothing is changed');
}

sub push_members
{
    my ($idp) = @_;
    my ($u1, $u2) = @{ $idp->{known} }{qw(u1 u2)};
    my $patch = sub { return $idp->patch('/Groups/{g1}', po(@_)) };
    my $members = sub { return members_of($idp->get('/Groups/{g1}')) };
    answers($patch->('{"op":"add","path":"members","value":[{"value":"{u1}","display":"test.user@okta.local"}]}'), 204, {}, 'C-175 okta 6.5/14 a member is added');
    my $group = $idp->get('/Groups/{g1}');
    is_deeply($group->json->{members}, [{ value => $u1, display => 'test.user@okta.local', type => 'User', '$ref' => $idp->{server}->base . "/Users/$u1" }],
        'C-216 okta 6.5/14 with the display that was sent');
    answers($patch->('{"op":"remove","path":"members[value eq \"{u1}\"]"}', '{"op":"add","path":"members","value":[{"value":"{u2}","display":"x"}]}'), 204, {},
        'C-174, C-182 okta 6.5/15 one is removed and one added');
    is_deeply($members->(), [$u2], 'C-174, C-182 okta 6.5/15 the one is there');
    answers($patch->('{"op":"replace","path":"members","value":[{"value":"{u1}","display":"a"},{"value":"{u2}","display":"b"}]}'), 204, {}, 'C-188 okta 6.5/16 members are set');
    is_deeply($members->(), [sort $u1, $u2], 'C-188 okta 6.5/16 both are there');
    answers($patch->('{"op":"replace","path":"members","value":[]}'), 204, {}, 'C-193 okta 6.5/17 set to none');
    is_deeply($members->(), [], 'C-193 okta 6.5/17 and none is there');
}

# Where a userName changes, some set-ups end one user and make another.
sub assign_again
{
    my ($idp) = @_;
    my $patch = sub { return $idp->patch('/Users/{u1}', po(@_)) };
    $idp->patch('/Groups/{g1}', po('{"op":"add","path":"members","value":[{"value":"{u1}"}]}'));
    $patch->('{"op":"replace","value":{"active":false}}');
    is_error($idp->post('/Users', $test_user, raw => 1), 409, 'uniqueness', 'S-11 okta: who is inactive is there, and is not made again');
    answers($patch->('{"op":"replace","value":{"active":true}}'), 200, { active => true, 'groups/0/value' => $idp->{known}{g1} },
        'S-11 okta: who is active again is in the groups of before');
    is_deeply(members_of($idp->get('/Groups/{g1}')), [$idp->{known}{u1}], 'S-11 okta: and the group says so');
    $idp->put('/Users/{u1}', merged($idp, externalId => '00ujl29u0le5T6Aj10h7'), raw => 1);
    my $other = $idp->post('/Users', $test_user =~ s/"userName":"test/"userName":"renamed/r, raw => 1);
    answers($other, 201, { externalId => '00ujl29u0le5T6Aj10h7', 'emails/0/value' => 'test.user@okta.local' },
        'S-12, S-13 okta: another user may have the externalId and the address of one');
    isnt($other->json->{id}, $idp->{known}{u1}, 'S-12 okta: and is not that one');
    lists($idp->get('/Users?filter=externalId%20eq%20%2200ujl29u0le5T6Aj10h7%22&startIndex=1&count=100'), 2, 'S-13 okta: both are found by it');
    lists($idp->get('/Users?filter=externalId%20eq%20%2200UJL29U0LE5T6AJ10H7%22'), 0, 'C-100, S-13 okta: but not in another case');
    $idp->delete('/Users/' . $other->json->{id});
    $idp->patch('/Groups/{g1}', po('{"op":"replace","path":"members","value":[]}'));
}

sub end_group
{
    my ($idp) = @_;
    answers($idp->patch('/Groups/{g1}', po('{"op":"replace","value":{"id":"{g1}","displayName":"Test SCIMv3"}}')), 204, {}, 'C-188 okta 6.5/18 the group is renamed');
    answers($idp->get('/Groups/{g1}'), 200, { displayName => 'Test SCIMv3' }, 'C-060 okta 6.5/19 and read');
    lists($idp->get('/Groups?startIndex=1&count=100'), 1, 'C-110 okta: groups are imported');
    answers($idp->delete('/Groups/{g1}'), 204, {}, 'C-210 okta 6.5/20 the group is deleted');
    is_error($idp->get('/Groups/{g1}'), 404, undef, 'C-061 okta 6.5/20 and is gone');
}

sub import_users
{
    my ($idp) = @_;
    my $there = $idp->get('/Users?count=0')->json->{totalResults};
    # Four at a time: what is tested is the reading.
    parallel(4, sub {
        my ($n) = @_;
        $idp->made('/Users', qq({"schemas":["{CU}"],"userName":"import$_\@okta.local"})) for grep { $_ % 4 == $n } $there + 1 .. 250;
        return 1;
    });
    my (@counts, %seen);
    for my $start (1, 101, 201) {
        my $page = $idp->get("/Users?startIndex=$start&count=100")->json;
        push @counts, [$page->{startIndex}, $page->{totalResults}, $page->{itemsPerPage}];
        $seen{ $_->{id} }++ for @{ $page->{Resources} };
    }
    is_deeply(\@counts, [[1, 250, 100], [101, 250, 100], [201, 250, 50]], 'C-112, C-113, C-114, S-37 okta 6.5/21 250 users are imported in three pages');
    is(scalar(keys %seen), 250, 'C-113 okta 6.5/21 each once');
}

# An import by cursor while every second user is deleted, four at a time.
sub import_amid_deletions
{
    my ($idp) = @_;
    my @all = map { $_->{id} } @{ $idp->get('/Users?count=1000')->json->{Resources} };
    my %stays = map { $all[$_] => 1 } grep { $_ % 2 } 0 .. $#all;
    my ($walks) = parallel(5, sub {
        my ($n) = @_;
        if ($n) {
            $idp->delete("/Users/$all[$_]") for grep { $_ % 2 == 0 && ($_ / 2) % 4 == $n - 1 } 0 .. $#all;
            return [];
        }
        return [map { [walk_by_cursor($idp)] } 1 .. 5];
    });
    my @wrong = map { my %seen; $seen{$_}++ for @$_; grep { ($seen{$_} // 0) != 1 } keys %stays } @$walks;
    my @twice = map { my %seen; grep { $seen{$_}++ } @$_ } @$walks;
    is_deeply([scalar @$walks, \@wrong, \@twice], [5, [], []], 'C-144, S-38 okta: who stays is in each walk once, and nobody twice');
    is_deeply([sort(walk_by_cursor($idp))], [sort keys %stays], 'S-38 okta: in the end just those are there');
}

sub walk_by_cursor
{
    my ($idp) = @_;
    my (@ids, $cursor);
    do {
        my $page = $idp->get('/Users?count=10&attributes=userName&cursor' . (defined $cursor ? "=$cursor" : ''))->json;
        push @ids, map { $_->{id} } @{ $page->{Resources} };
        $cursor = $page->{nextCursor};
    } while (defined $cursor);
    return @ids;
}

# --- 6.5/22, the suite that Okta publishes -----------------------------------

sub spec_suite
{
    my ($idp) = @_;
    my $get = sub { return $idp->get($_[0], 'user-agent' => 'OKTA SCIM Integration', accept => 'application/scim+json; charset=utf-8') };
    my $first = $get->('/Users?count=1&startIndex=1');
    my $user = $first->json->{Resources}[0];
    like($first->content, qr/"totalResults":\d+,"startIndex":1,"itemsPerPage":1\b/, 'C-113 okta 6.5/22.1 the numbers are numbers');
    ok(!(grep { !defined } $user->{id}, $user->{name}{familyName}, $user->{name}{givenName}, $user->{userName}, $user->{active}, $user->{emails}[0]{value}),
        'C-060 okta 6.5/22.1 the first user is complete');
    answers($get->("/Users/$user->{id}"), 200, { %$user }, 'C-060 okta 6.5/22.2 and the same when it is read alone');
    lists($get->('/Users?filter=userName%20eq%20%22invalid@okta.local%22'), 0, 'C-101 okta 6.5/22.3 an unknown userName');
    is_error($get->('/Users/010101001010101011001010101011'), 404, undef, 'C-061 okta 6.5/22.4 an unknown id');
    lists($get->('/Users?filter=userName%20eq%20%22runscope300@atko.com%22'), 0, 'C-101 okta 6.5/22.5 an e-mail address nobody has');
    my $body = '{"schemas":["{CU}"],"userName":"runscope300@atko.com","name":{"givenName":"Runscope","familyName":"Test"},"emails":[{"primary":true,"value":"runscope300@atko.com","type":"work"}],"displayName":"Runscope Test","active":true}';
    my $post = sub { return $idp->post('/Users', $body, 'content-type' => 'application/json', accept => 'application/scim+json; charset=utf-8') };
    my $made = $post->();
    answers($made, 201, { active => true, userName => 'runscope300@atko.com', 'name/givenName' => 'Runscope', 'name/familyName' => 'Test', schemas => [$USER] },
        'C-005, C-030 okta 6.5/22.6 a user is created');
    answers($get->('/Users/' . $made->json->{id}), 200, { %{ $made->json } }, 'C-060 okta 6.5/22.7 and read, equal');
    is_error($post->(), 409, 'uniqueness', 'C-033 okta 6.5/22.8 a second time is 409');
    lists($get->('/Users?filter=userName%20eq%20%22RUNSCOPE300@ATKO.COM%22'), 1, 'C-080 okta 6.5/22.9 it is found in capitals');
    my $start = time;
    is($get->('/Groups')->status, 200, 'okta 6.5/22.10 groups are listed');
    cmp_ok(time - $start, '<', 0.6, 'okta 6.5/22.10 in 600 ms') if !$ENV{SCIM_SAN};
    is_error($idp->get('/Users', authorization => 'non-token'), 401, undef, 'C-014 okta 6.5/22.11 something that is no token');
    is_error($get->('/Users/00919288221112222'), 404, undef, 'C-061 okta 6.5/22.12 an id that is none of ours');
}

sub network_application
{
    my $server = Scim::Httpd->new;
    my $idp = Scim::Idp->new($server, %headers);
    connect_and_create($idp, 'okta 6.5');
    update_profile($idp, 'okta 6.5');
    change_user_by_patch($idp);
    push_group($idp);
    push_members($idp);
    assign_again($idp);
    end_group($idp);
    import_users($idp);
    spec_suite($idp);
    import_amid_deletions($idp);
    $server->log_clean;
}

# --- 6.6, PUT ----------------------------------------------------------------

sub change_user_by_put
{
    my ($idp) = @_;
    answers($idp->put('/Users/{u1}', merged($idp, active => false), raw => 1), 200, { active => false, '{EU}/department' => 'IT' },
        'C-150 okta 6.6/7 the user is disabled');
    answers($idp->put('/Users/{u1}', merged($idp, active => true), raw => 1), 200, { active => true, '{EU}/department' => 'IT' },
        'C-150 okta 6.6/8 the user is enabled');
}

sub change_group_by_put
{
    my ($idp) = @_;
    $idp->let(g1 => $idp->made('/Groups', '{"schemas":["{CG}"],"displayName":"Test SCIMv2","members":[]}'));
    my $put = $idp->put('/Groups/{g1}', '{"schemas":["{CG}"],"displayName":"Test SCIMv2","members":[{"value":"{u1}","display":"test.user@okta.local"}]}');
    answers($put, 200, { displayName => 'Test SCIMv2', 'members/0/value' => $idp->{known}{u1}, 'members/0/display' => 'test.user@okta.local', 'members/1' => undef },
        'C-150, C-216 okta 6.6/9 a member is put');
    answers($idp->put('/Groups/{g1}', '{"schemas":["{CG}"],"displayName":"Test SCIMv2","members":[]}'), 200, { members => undef }, 'C-150 okta 6.6/9 and taken away');
    answers($idp->put('/Groups/{g1}', '{"schemas":["{CG}"],"displayName":"Test SCIMv3","members":[]}'), 200, { displayName => 'Test SCIMv3' }, 'C-150 okta 6.6/9 the group is renamed');
    answers($idp->delete('/Groups/{g1}'), 204, {}, 'C-210 okta 6.6/10 the group is deleted');
}

sub custom_application
{
    my $server = Scim::Httpd->new;
    my $idp = Scim::Idp->new($server, %headers);
    connect_and_create($idp, 'okta 6.6');
    update_profile($idp, 'okta 6.6');
    change_user_by_put($idp);
    change_group_by_put($idp);
    $server->log_clean;
}

network_application();
custom_application();
done_testing();
