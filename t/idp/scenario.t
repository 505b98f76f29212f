#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# An application whose customers bring their own identity provider, under
# conf/examples/organisation.conf: what its administrators are promised, for
# Microsoft Entra ID and for JumpCloud, seen from the identity provider and from
# the site that httpd protects.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Scim::Idp;
use Scim::Organisation;
use Test::More;
use Time::HiRes qw(sleep time);

my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
my $SCIMJSON = 'application/scim+json';

my $s = organisation(conf => "<SCIMTenantPolicy strict>\nSCIMRole member \"pipefy-members*\"\nSCIMRole guest \"pipefy-guests*\"\n"
        . "SCIMCustomGroups refuse\n</SCIMTenantPolicy>\n"
        . endpoint('/any'), start => 0);
$s->scimctl(qw(tenant create strict));
$s->start;

# The token and the text that scimctl prints for a connection.
sub connection
{
    my ($name, %option) = @_;
    my %all = (tenant => 'acme', %option);
    my ($code, $out, $err) = $s->scimctl(qw(token create --connection), $name, map { ("--$_", $all{$_}) } sort keys %all);
    die "scimctl token create: $code $err\n" if $code;
    my ($token) = $out =~ /^Secret Token:\s*(mscim_\w+)$/m or die "scimctl printed no Secret Token: $out\n";
    return ($token, $out . $err);
}

# A connection that is talked through.
sub client
{
    my ($token, $base) = @_;
    return Scim::Idp->new($s, authorization => "Bearer $token", 'content-type' => $SCIMJSON);
}

sub new_user
{
    my ($name, %more) = @_;
    return made($s, '/Users', user("$name\@acme.example", active => true, %more))->{id};
}

sub new_group
{
    my ($name, @ids) = @_;
    return made($s, '/Groups', group($name, @ids))->{id};
}

sub member_op
{
    my ($op, $id) = @_;
    return ops([$op, 'members', [{ value => $id }]]);
}

sub patched
{
    my ($path, $operations) = @_;
    my $r = $s->patch($path, $operations);
    return $r->status =~ /^20[04]$/ ? 1 : $r->content;
}

# --- Microsoft Entra ID --------------------------------------------------------

my $unknown = 'filter=userName+eq+%22cf4d78e8-6d3a-4b9e-9d0e-0d7a0c4d5b11%22';

subtest 'a connection is there only where an administrator made it' => sub {
    is_error($s->get("/Users?$unknown", authorization => undef), 401, undef, 'without a token');
    is_error($s->get("/Users?$unknown", authorization => 'Bearer mscim_' . 'a' x 49), 401, undef, 'with one that was made up');
    my ($code) = $s->scimctl(qw(token create --tenant nobody --connection entra));
    is($code, 3, 'nor is one made where there is no tenant');
};

my ($entra, $printed) = connection('entra');

subtest 'the token is printed with the words that the identity providers use' => sub {
    like($printed, qr/^Tenant URL:\s+@{[ quotemeta $s->base ]}$/m, 'Tenant URL');
    like($printed, qr/^Secret Token:\s+mscim_\w{49}$/m, 'Secret Token');
    my %words = (entra => [qr/Tenant URL/, qr/Secret Token/, qr/Provisioning/], jumpcloud => [qr/Base URL/, qr/Token Key/, qr/Identity Management/],
        okta => [qr/SCIM connector base URL/i, qr/HTTP Header/]);
    for my $provider (sort keys %words) {
        my (undef, $text) = connection("for-$provider", for => $provider);
        like($text, $_, "for $provider") for @{ $words{$provider} };
    }
};

subtest 'Test Connection tells that the credentials are good' => sub {
    my $idp = client($entra);
    lists($idp->get("/Users?$unknown"), 0, 'nobody of that name: an empty list');
    lists($idp->get("/Groups?excludedAttributes=members&$unknown" =~ s/userName/displayName/r), 0, 'nor a group');
};

subtest 'Test Connection tells what is wrong, and helps nobody to guess' => sub {
    my ($short) = connection('short', expires => '1s');
    my ($gone) = connection('gone');
    $s->scimctl(qw(token revoke --tenant acme --connection gone));
    my ($foreign) = connection('foreign', tenant => 'strict');
    sleep 1.1;
    my %detail;
    for my $case ([wrong => $entra =~ s/.$/./r], [unknown => 'mscim_' . '0' x 49], [revoked => $gone], [foreign => $foreign], [expired => $short]) {
        my ($name, $token) = @$case;
        my $r = client($token)->get("/Users?$unknown");
        is_error($r, 401, undef, $name);
        $detail{$name} = ($r->json || {})->{detail} // '';
        unlike($detail{$name}, qr/acme|strict|\Q$token\E/, "$name: it names no tenant and no token");
    }
    like($detail{wrong}, qr/no whole token/, 'a token that was cut short');
    like($detail{revoked}, qr/Secret Token/, 'one that is revoked');
    is($detail{foreign}, $detail{revoked}, 'another tenant is as unknown');
    like($detail{expired}, qr/expired/, 'one that has expired');
};

subtest 'S-14 a suspended organisation: provisioning is off, nothing is lost' => sub {
    my $id = new_user('stays');
    my $group = new_group('pipefy-members-stays', $id);
    is(site($s, 'stays@acme.example'), '200 member', 'somebody is in');
    my ($code) = $s->scimctl(qw(tenant suspend acme));
    is($code, 0, 'suspended');
    my $r = client($entra)->get("/Users?$unknown");
    is_error($r, 403, undef, 'the identity provider is refused');
    like($r->json->{detail}, qr/[Pp]rovisioning is not enabled for this organisation/, 'and told why');
    is_error($s->post('/Users', user('new@acme.example')), 403, undef, 'for changes, too');
    is(site($s, 'stays@acme.example'), '200 member', 'who was in before is in');
    ($code) = $s->scimctl(qw(tenant resume acme));
    is($code, 0, 'resumed');
    is($s->get("/Users/$id")->status, 200, 'everything is there');
    is(client($entra)->get("/Users?$unknown")->status, 200, 'the same token is good again');
    $s->delete("/Users/$id");
    $s->delete("/Groups/$group");
};

subtest 'an initial cycle runs to its end, faster than Entra sends it' => sub {
    my ($users, $groups) = (300, 12);
    my $began = time;
    my %status;
    my @ids = map {
        my $r = $s->post('/Users', user("cycle$_\@acme.example", active => true, externalId => "x$_", name => { givenName => 'C', familyName => "$_" }));
        $status{ $r->status }++;
        $r->json->{id};
    } 1 .. $users;
    for my $g (1 .. $groups) {
        my $r = $s->post('/Groups', group("Cycle $g"));
        $status{ $r->status }++;
        my @members = map { $ids[$_] } grep { $_ % $groups == $g - 1 } 0 .. $#ids;
        $status{ $s->patch('/Groups/' . $r->json->{id}, ops(['add', 'members', [map { { value => $_ } } @members]]))->status }++;
    }
    my $rate = ($users + 2 * $groups) / (time - $began);
    is_deeply(\%status, { 201 => $users + $groups, 204 => $groups }, 'nothing fails, nothing is throttled');
    cmp_ok($rate, '>', 25, 'more than 25 requests a second');
    is($s->get('/Groups?count=0&filter=' . esc('displayName sw "Cycle "'))->json->{totalResults}, $groups, 'all groups are there');
    is($s->get("/Users/$ids[4]")->json->{groups}[0]{display}, 'Cycle 5', 'and their members');
    my @operations = map { { method => 'DELETE', path => "/Users/$_" } } @ids;
    is($s->post('/Bulk', { schemas => [$BULK], Operations => \@operations })->status, 200, 'and gone again');
};

subtest 'members and what they may are managed in one place' => sub {
    my $idp = client($entra);
    $idp->let(u => new_user('managed'), g => new_group('Pipefy-Members'));
    my $name = 'managed@acme.example';
    is(site($s, undef), 401, 'who does not log in is asked to');
    is(site($s, 'nobody@acme.example'), 403, 'whom nobody provisioned stays out');
    is(site($s, $name), 403, 'so does who is in none of the groups');
    answers($idp->patch('/Groups/{g}', po('{"op":"Add","path":"members","value":[{"$ref":null,"value":"{u}"}]}')), 204, {}, 'added to the members');
    is(site($s, $name), '200 member', 'is let in as a member');
    is(site($s, uc $name), '200 member', 'in whatever case');
    is(site($s, $name, '/admin'), 403, 'but not where administrators are');
    answers($idp->patch('/Users/{u}', po('{"op":"Replace","path":"userName","value":"renamed@acme.example"}')), 200, {}, 'edited');
    is(site($s, $name), 403, 'the old name is nobody');
    is(site($s, 'renamed@acme.example'), '200 member', 'the new one is the member');
    answers($idp->patch('/Users/{u}', po('{"op":"Replace","path":"active","value":"False"}')), 200, { active => false }, 'disabled');
    is(site($s, 'renamed@acme.example'), 403, 'is out with the next request');
    answers($idp->patch('/Users/{u}', po('{"op":"Replace","path":"active","value":"True"}')), 200, { active => true }, 'enabled again');
    is(site($s, 'renamed@acme.example'), '200 member', 'is in as before');
    answers($idp->delete('/Users/{u}'), 204, {}, 'deleted');
    is(site($s, 'renamed@acme.example'), 403, 'is out');
    answers($idp->delete('/Groups/{g}'), 204, {}, 'and the group');
};

subtest 'headers of a client are none of its role' => sub {
    my $id = new_user('forger');
    my $group = new_group('pipefy-guests', $id);
    is(site($s, 'forger@acme.example', '', 'x-role' => 'admin', 'x_role' => 'admin', 'x-user' => 'root', 'x_user' => 'root'), '200 guest',
        'the application is told what the directory says');
    $s->delete("/Users/$id");
    $s->delete("/Groups/$group");
};

# --- JumpCloud -------------------------------------------------------------------

my ($jumpcloud) = connection('jumpcloud');

subtest 'Test Connection and Activate, again and again' => sub {
    my $idp = client($jumpcloud);
    unlike($s->base, qr{/$}, 'the Base URL ends in no slash');
    for my $run (1 .. 2) {
        my $user = $idp->post('/Users', '{"schemas":["{CU}"],"userName":"test@acme.example","active":true,"emails":[{"value":"test@acme.example"}]}');
        answers($user, 201, {}, "run $run: a test user is made");
        $idp->let(u => $user->json->{id});
        answers($idp->put('/Users/{u}', '{"schemas":["{CU}"],"userName":"test@acme.example","active":true,"emails":null}'), 200, {}, "run $run: updated");
        my $group = $idp->post('/Groups', '{"schemas":["{CG}"],"displayName":"testgroup","members":[{"value":"{u}"}]}');
        answers($group, 201, {}, "run $run: a test group, which is none of the three, is made");
        $idp->let(g => $group->json->{id});
        is(site($s, 'test@acme.example'), 403, "run $run: and lets nobody in");
        answers($idp->put('/Groups/{g}', '{"schemas":["{CG}"],"displayName":"testgroup 2","members":null}'), 200, {}, "run $run: updated");
        my @order = $run == 1 ? ('/Users/{u}', '/Groups/{g}') : ('/Groups/{g}', '/Users/{u}');
        answers($idp->delete($_), 204, {}, "run $run: $_ is deleted") for @order;
    }
};

subtest 'C-314 a new token is put in place of the old one without a failed request' => sub {
    my ($old) = connection('rotated');
    my ($code, $out) = $s->scimctl(qw(token rotate --tenant acme --connection rotated));
    is($code, 0, 'rotated');
    my ($new) = $out =~ /^Secret Token:\s*(mscim_\w+)$/m;
    isnt($new // $old, $old, 'another token');
    is(client($_)->get("/Users?$unknown")->status, 200, 'both are good') for $old, $new;
    ($code) = $s->scimctl(qw(token revoke --tenant acme --connection rotated --hint), substr $old, -4);
    is($code, 0, 'the old one goes when it is told to');
    is_error(client($old)->get("/Users?$unknown"), 401, undef, 'and is refused');
    is(client($new)->get("/Users?$unknown")->status, 200, 'the new one stays');
};

subtest 'three groups give three roles, in whatever case and with whatever ending' => sub {
    my $id = new_user('roles');
    my %role = (
        'pipefy-guests' => 'guest', 'PIPEFY-GUESTS' => 'guest', 'Pipefy-guests-12' => 'guest', 'pipefy-members' => 'member',
        'Pipefy-Members Sao Paulo' => 'member', 'Pipefy-administrators' => 'admin', 'pipefy-ADMINISTRATORS-OrgId' => 'admin',
    );
    for my $name (sort keys %role) {
        my $group = new_group($name, $id);
        is(site($s, 'roles@acme.example'), "200 $role{$name}", "$name: $role{$name}");
        patched("/Groups/$group", member_op('remove', $id));
        is(site($s, 'roles@acme.example'), 403, "$name: and no more");
        $s->delete("/Groups/$group");
    }
    $s->delete("/Users/$id");
};

subtest 'other groups are stored and have no effect' => sub {
    my $id = new_user('custom');
    for my $name ('Marketing', 'pipefy-member', 'my pipefy-members', 'admin') {
        my $group = new_group($name, $id);
        is($s->get("/Groups/$group")->json->{members}[0]{value}, $id, "$name: is there");
        is(site($s, 'custom@acme.example'), 403, "$name: gives nothing");
        $s->delete("/Groups/$group");
        is($s->get("/Users/$id")->json->{active}, true, "$name: its deletion does nothing to its member");
    }
    my $outer = new_group('pipefy-administrators');
    my $inner = new_group('Inside', $id);
    patched("/Groups/$outer", member_op('add', $inner));
    is(site($s, 'custom@acme.example'), 403, 'a group without effect carries nothing through it');
    $s->delete("/Groups/$_") for $inner, $outer;
    $s->delete("/Users/$id");
};

subtest 'or are refused, with a text that says which are not' => sub {
    my ($token) = connection('jumpcloud', tenant => 'strict');
    my @strict = (authorization => "Bearer $token");
    my $url = $s->url('/any/Groups');
    my $r = $s->post($url, group('Marketing'), @strict);
    is_error($r, 400, 'invalidValue', 'refused');
    like($r->json->{detail}, qr/pipefy-members\*.*pipefy-guests\*/, 'the detail lists them');
    is($s->post($url, group('Pipefy-Members'), @strict)->status, 201, 'one of them is taken');
};

subtest 'what is changed holds for the next request, whichever process it reaches' => sub {
    my $id = new_user('quick');
    my $group = new_group('pipefy-members-quick');
    my @wrong;
    for my $round (1 .. 15) {
        for my $step (['add', '200 member'], ['remove', 403]) {
            my ($op, $want) = @$step;
            patched("/Groups/$group", member_op($op, $id));
            push @wrong, "round $round, $op: $_" for grep { $_ ne $want } map { site($s, 'quick@acme.example') } 1 .. 3;
        }
    }
    is_deeply(\@wrong, [], 'fifteen times in and out');
    $s->delete("/Users/$id");
    $s->delete("/Groups/$group");
};

subtest 'a user that is deleted is removed from the organisation' => sub {
    my $id = new_user('leaver');
    my $group = new_group('pipefy-members-leaver', $id);
    is(site($s, 'leaver@acme.example'), '200 member', 'is in');
    is($s->delete("/Users/$id")->status, 204, 'deleted');
    is(site($s, 'leaver@acme.example'), 403, 'is out');
    is_error($s->get("/Users/$id"), 404, undef, 'and gone');
    ok(!exists $s->get("/Groups/$group")->json->{members}, 'from its group, too');
    my $again = new_user('leaver');
    is(site($s, 'leaver@acme.example'), 403, 'who comes back begins anew');
    $s->delete("/Users/$again");
    $s->delete("/Groups/$group");
};

subtest 'a group that is deleted takes its users with it' => sub {
    my %id = map { $_ => new_user($_) } qw(only both guest nested);
    my $doomed = new_group('pipefy-members-doomed', @id{qw(only both)});
    my $other = new_group('pipefy-guests-other', @id{qw(both guest)});
    my $inside = new_group('pipefy-nested', $id{nested});
    patched("/Groups/$doomed", member_op('add', $inside));
    is($s->delete("/Groups/$doomed")->status, 204, 'a group that gave a role is deleted');
    is(site($s, 'only@acme.example'), 403, 'who had no other role is out');
    is_error($s->get("/Users/$id{only}"), 404, undef, 'and gone');
    is(site($s, 'both@acme.example'), '200 guest', 'who has another keeps it');
    is(site($s, 'guest@acme.example'), '200 guest', 'others are as before');
    is($s->get("/Users/$id{nested}")->status, 200, 'who was in a group inside it stays');
    my ($change) = grep { ($_->{id} // '') eq $id{only} && $_->{op} eq 'users.delete' } audit($s);
    is($change->{cause}, $doomed, 'the audit says what it followed from');
    $s->delete("/Groups/$_") for $other, $inside;
    is($s->get("/Users/$id{guest}")->status, 404, 'with the other group its users go');
    $s->delete("/Users/$id{nested}");
};

subtest 'however many they are, at once' => sub {
    my $count = 450;
    my @operations = map { { method => 'POST', path => '/Users', bulkId => "b$_", data => user("many$_\@acme.example", active => true) } } 1 .. $count;
    push @operations, { method => 'POST', path => '/Groups', bulkId => 'g', data => group('pipefy-members-many', map { "bulkId:b$_" } 1 .. $count) };
    my @done = @{ $s->post('/Bulk', { schemas => [$BULK], Operations => \@operations })->json->{Operations} };
    my ($group) = $done[-1]{location} =~ m{([^/]+)$};
    is($done[-1]{status}, 201, 'a group of many');
    is(site($s, "many$_\@acme.example"), '200 member', "number $_ is in") for 1, $count;
    is($s->delete("/Groups/$group")->status, 204, 'is deleted');
    is_deeply([grep { site($s, "many$_\@acme.example") ne '403' } 1, 2, 100, 200, 201, 300, $count - 1, $count], [], 'and nobody of it is in');
    my ($left, $until) = ($count, time + 20);
    while ($left && time < $until) {
        $left = $s->get('/Users?count=0&filter=' . esc('userName sw "many"'))->json->{totalResults};
        $s->scimctl('sweep') if $left;
    }
    is($left, 0, 'nor there any more');
    my ($code, $out, $err) = $s->scimctl('verify');
    is($code, 0, 'and the store is whole') or diag("$out$err");
};

subtest 'who moves from one group to another has the other role' => sub {
    my $id = new_user('mover');
    my $name = 'mover@acme.example';
    my $members = new_group('pipefy-members-move', $id);
    my $admins = new_group('Pipefy-administrators-move');
    is(site($s, $name), '200 member', 'a member');
    is(patched("/Groups/$admins", member_op('add', $id)), 1, 'added first');
    is(site($s, $name, '/admin'), '200 admin', 'is an administrator');
    is(patched("/Groups/$members", member_op('remove', $id)), 1, 'then removed');
    is(site($s, $name), '200 admin', 'is one still');
    is(patched("/Groups/$admins", member_op('remove', $id)), 1, 'back: removed first');
    is(site($s, $name), 403, 'has no role then');
    is(patched("/Groups/$members", member_op('add', $id)), 1, 'then added');
    is(site($s, $name), '200 member', 'is a member, and no more');
    is(site($s, $name, '/admin'), 403, 'and no administrator');
    my @both = (['remove', 'members', [{ value => $id }]], ['add', 'members', [{ value => $id }]]);
    is(patched("/Groups/$members", ops(@$_)), 1, 'removed and added in one PATCH, in either order') for [@both], [reverse @both];
    is(site($s, $name), 403, 'the last word counts');
    is(patched("/Groups/$members", ops($both[1])), 1, 'and added');
    is(site($s, $name), '200 member', 'again');

    # Both changes in one request: there is no moment without a role.
    my $bulk = sub {
        my ($from, $to, $first) = @_;
        my @moves = map { { method => 'PATCH', path => "/Groups/$_->[0]", data => member_op($_->[1], $id) } } [$from, 'remove'], [$to, 'add'];
        return { schemas => [$BULK], Operations => $first eq 'add' ? [reverse @moves] : \@moves };
    };
    my $flag = $s->dir . '/moved';
    my ($moves, @seen) = parallel(3, sub {
        my ($i) = @_;
        my (%seen, $failed);
        if ($i == 0) {
            for my $round (1 .. 20) {
                for my $first (qw(add remove)) {
                    for my $way ([$members, $admins], [$admins, $members]) {
                        my @status = map { $_->{status} } @{ $s->post('/Bulk', $bulk->(@$way, $first))->json->{Operations} };
                        $failed++ if "@status" !~ /^20[04] 20[04]$/;
                    }
                }
            }
            open my $out, '>', $flag or die "$flag: $!\n";
            return { failed => $failed // 0 };
        }
        my $until = time + 60;
        do { $seen{ site($s, $name) }++ } until -e $flag || time > $until;
        return \%seen;
    });
    is_deeply($moves, { failed => 0 }, 'moved to and fro in one request');
    is_deeply([sort map { keys %$_ } @seen], [('200 admin') x 2, ('200 member') x 2], 'never without access in between, and seen as both')
        or diag explain \@seen;
    is(site($s, $name), '200 member', 'a member in the end');
    $s->delete("/Groups/$_") for $members, $admins;
    is($s->get("/Users/$id")->status, 404, 'and gone with the last group');
};

$s->log_clean;
done_testing();
