#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# PATCH.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $NOBODY = '01900000-0000-7000-8000-000000000000';
my $BOSS = { value => $NOBODY };

my $s = Scim::Httpd->new(
    conf => endpoint('/rfc/v2', 'SCIMProfile rfc') . endpoint('/whole/v2', 'SCIMGroupPatchReturn representation'));
my $rfc = $s->url('/rfc/v2');
my $nothing = '';

# A new user with these attributes; its path.
sub fresh
{
    my (%attributes) = @_;
    our $last //= 0;
    return '/Users/' . made($s, '/Users', user('user' . ++$last, %attributes))->{id};
}

# A group with so many new users; its path, and theirs ids in their order.
sub fresh_group
{
    my ($n) = @_;
    our $last_group //= 0;
    my @ids = map { fresh() =~ s{.*/}{}r } 1 .. $n;
    return ('/Groups/' . made($s, '/Groups', group('Group ' . ++$last_group, @ids))->{id}, @ids);
}

sub state_of
{
    my ($path) = @_;
    return $s->get($path)->content;
}

# What must be refused, and change nothing.
sub refused
{
    my ($url, $body, $type, $name, $status) = @_;
    my ($path) = $url =~ m{(/(?:Users|Groups)/[^/?]+)};
    my $before = state_of($path);
    is_error($s->patch($url, $body), $status // 400, $type, $name);
    is(state_of($path), $before, "$name: nothing has changed");
}

# What must succeed, and change nothing.
sub in_vain
{
    my ($url, $body, $name) = @_;
    my ($path) = $url =~ m{(/(?:Users|Groups)/[^/?]+)};
    my $before = state_of($path);
    my $status = $s->patch($url, $body)->status;
    like($status, qr/^20[04]$/, $name);
    is(state_of($path), $before, "$name: nothing has changed");
}

sub emails
{
    my ($json) = @_;
    return join ' ', map { ($_->{type} // '-') . ':' . ($_->{value} // '-') . ($_->{primary} ? '!' : '') } @{ $json->{emails} || [] };
}

sub members
{
    my ($path) = @_;
    return join ' ', map { $_->{value} } @{ $s->get($path)->json->{members} || [] };
}

subtest 'C-170 a PatchOp has Operations, each with an op' => sub {
    my $path = fresh(title => 'x');
    my %frame = (schemas => [$PATCH_OP]);
    for my $base ('', $rfc) {
        my %bad = (
            'no Operations' => {%frame},
            'Operations an object' => { %frame, Operations => { op => 'add', path => 'title', value => 'y' } },
            'Operations null' => { %frame, Operations => undef },
            'an operation that is a string' => { %frame, Operations => ['add'] },
            'no op' => { %frame, Operations => [{ path => 'title', value => 'y' }] },
            'op null' => { %frame, Operations => [{ op => undef, path => 'title', value => 'y' }] },
            'an unknown op' => { %frame, Operations => [{ op => 'move', path => 'title', value => 'y' }] },
            'op a number' => { %frame, Operations => [{ op => 1, path => 'title', value => 'y' }] },
            'a path that is no string' => { %frame, Operations => [{ op => 'add', path => ['title'], value => 'y' }] },
            'a resource' => user('x'),
        );
        refused("$base$path", $bad{$_}, 'invalidSyntax', ($base ? 'rfc: ' : '') . $_) for sort keys %bad;
    }
    my $op = [{ op => 'replace', path => 'title', value => 'y' }];
    refused("$rfc$path", { Operations => $op }, 'invalidSyntax', 'rfc: no schemas');
    refused("$rfc$path", { schemas => [], Operations => $op }, 'invalidSyntax', 'rfc: empty schemas');
    refused("$rfc$path", { schemas => [$USER], Operations => $op }, 'invalidSyntax', 'rfc: other schemas');
    refused("$rfc$path", ops(), 'invalidSyntax', 'rfc: no operations');
    in_vain($path, ops(), 'interop: no operations');
    is($s->patch($path, { Operations => $op })->json->{title}, 'y', 'interop: no schemas');
};

subtest 'C-171 op and the keys of an operation are taken in any case' => sub {
    for my $base ('', $rfc) {
        my $path = fresh();
        is($s->patch("$base$path", ops(['Add', 'title', 'a']))->json->{title}, 'a', 'Add');
        is($s->patch("$base$path", ops(['REPLACE', 'title', 'b']))->json->{title}, 'b', 'REPLACE');
        ok(!exists $s->patch("$base$path", ops(['rEMOVE', 'title']))->json->{title}, 'rEMOVE');
        my $r = $s->patch("$base$path", { Schemas => [$PATCH_OP], operations => [{ OP => 'Add', Path => 'Title', VALUE => 'c' }] });
        is($r->json->{title}, 'c', 'the keys');
    }
};

subtest 'C-172 a user is told whole, a group only to those who ask' => sub {
    my $path = fresh(nickName => 'n');
    my $r = $s->patch($path, ops(['add', 'title', 'x']));
    is($r->status, 200, 'a user');
    is_deeply($r->json, $s->get($path)->json, 'the whole resource');
    is($r->header('etag'), $r->json->{meta}{version}, 'with its ETag');
    $r = $s->patch("$path?attributes=title", ops(['replace', 'title', 'y']));
    is($r->status, 200, 'a part of a user');
    is_deeply([sort keys %{ $r->json }], [qw(id schemas title)], 'the part');

    my ($group, $id) = fresh_group(1);
    $r = $s->patch($group, ops(['remove', 'members']));
    is($r->status . $r->content, '204', 'a group');
    is($r->header('content-type'), undef, 'no type of no body');
    is($r->header('etag'), $s->get($group)->header('etag'), 'with its ETag');
    $r = $s->patch("$group?attributes=displayName", ops(['add', 'members', [{ value => $id }]]));
    is($r->status, 200, 'a part of a group');
    is_deeply([sort keys %{ $r->json }], [qw(displayName id schemas)], 'the part');
    $r = $s->patch("$group?excludedAttributes=members", ops(['replace', 'externalId', 'x']));
    is($r->status, 200, 'without members');
    ok(!exists $r->json->{members}, 'they are left out');
    $r = $s->patch($s->url("/whole/v2$group"), ops(['replace', 'externalId', 'y']));
    is($r->status, 200, 'SCIMGroupPatchReturn representation');
    is($r->json->{members}[0]{value}, $id, 'the whole group');
};

subtest 'C-173 all operations or none' => sub {
    my $path = fresh(title => 'x', emails => [{ value => 'a', type => 'work' }]);
    refused($path, ops(['replace', 'title', 'y'], ['remove', 'emails'], ['add', 'nothing', 1]), 'invalidPath', 'the third is bad');
    refused($path, ops(['replace', 'title', 'y'], ['replace', 'userName', '']), 'invalidValue', 'the second is bad');
    my ($group, $id) = fresh_group(1);
    refused($group, ops(['remove', 'members'], ['add', 'members', [{ value => $NOBODY }]]), 'invalidValue', 'members as well');
    is_deeply([map { $_->{value} } @{ $s->get("/Users/$id")->json->{groups} }], [$group =~ s{.*/}{}r], 'the member is in the group');
};

subtest 'C-174 an operation sees what those before it did' => sub {
    my $path = fresh();
    my $json = changed($s, $path,
        ['add', 'emails', [{ value => 'a', type => 'work' }]],
        ['replace', 'emails[type eq "work"].value', 'b'],
        ['add', 'emails', [{ value => 'c', type => 'home' }]],
        ['remove', 'emails[value eq "b"]'],
        ['add', 'title', 'x'],
        ['replace', 'title', 'y'],
    );
    is(emails($json), 'home:c', 'emails');
    is($json->{title}, 'y', 'title');
    my ($group, @ids) = fresh_group(2);
    changed($s, $group, ['remove', 'members'], ['add', 'members', [{ value => $ids[1] }]]);
    is(members($group), $ids[1], 'members');
    changed($s, $group, ['add', 'members', [{ value => $ids[0] }]], ['remove', "members[value eq \"$ids[1]\"]"]);
    is(members($group), $ids[0], 'members again');
};

subtest 'C-175 add sets, merges, appends' => sub {
    my $path = fresh(title => 'x', name => { givenName => 'a', familyName => 'b' }, emails => [{ value => 'a', type => 'work' }]);
    my $json = changed($s, $path,
        ['add', 'title', 'y'],
        ['add', 'name', { familyName => 'c', middleName => 'd' }],
        ['add', 'emails', [{ value => 'b', type => 'home' }]],
        ['add', 'nickName', 'n'],
        ['add', 'phoneNumbers', [{ value => '1' }]],
    );
    is($json->{title}, 'y', 'a single value is replaced');
    is_deeply($json->{name}, { givenName => 'a', familyName => 'c', middleName => 'd' }, 'a complex value is merged');
    is(emails($json), 'work:a home:b', 'values are appended');
    is($json->{nickName}, 'n', 'what was not there is made');
    is_deeply($json->{phoneNumbers}, [{ value => '1' }], 'a list too');
    is(emails(changed($s, $path, ['add', 'emails', { value => 'c' }])), 'work:a home:b -:c', 'one object is one element');
};

subtest 'C-176 add of what is there changes nothing' => sub {
    my $path = fresh(title => 'x', name => { givenName => 'a' }, emails => [{ value => 'a', type => 'work', primary => \1 }]);
    in_vain($path, ops(['add', 'title', 'x']), 'a single value');
    in_vain($path, ops(['add', 'name', { givenName => 'a' }]), 'a complex one');
    in_vain($path, ops(['add', 'emails', [{ value => 'a', type => 'work', primary => \1 }]]), 'an element');
    in_vain($path, ops(['add', 'emails[type eq "work"].value', 'a']), 'a part of an element');
    in_vain($path, ops(['add', undef, { title => 'x', emails => [{ value => 'a', type => 'work', primary => \1 }] }]), 'without a path');
    my ($group, @ids) = fresh_group(2);
    in_vain($group, ops(['add', 'members', [map { { value => $_ } } @ids]]), 'members');
    in_vain($group, ops(['add', 'displayName', $s->get($group)->json->{displayName}]), 'the name of a group');
};

subtest 'C-177 add and replace need a value' => sub {
    my $path = fresh(title => 'x');
    for my $op (qw(add replace)) {
        for my $base ('', $rfc) {
            refused("$base$path", ops([$op, 'title']), 'invalidValue', "$op with a path");
            refused("$base$path", ops([$op]), 'invalidValue', "$op without a path");
        }
    }
};

subtest 'C-178 add without a path adds each attribute' => sub {
    my $path = fresh(name => { givenName => 'a' }, emails => [{ value => 'a' }]);
    my $json = changed($s, $path, ['add', undef, {
        title => 'x',
        name => { familyName => 'b' },
        emails => [{ value => 'b' }],
        $ENTERPRISE => { department => 'Tours', manager => $BOSS },
    }]);
    is($json->{title}, 'x', 'a single value');
    is_deeply($json->{name}, { givenName => 'a', familyName => 'b' }, 'a complex one');
    is(emails($json), '-:a -:b', 'many');
    is_deeply($json->{$ENTERPRISE}, { department => 'Tours', manager => $BOSS }, 'an extension');
    is_deeply($json->{schemas}, [$USER, $ENTERPRISE], 'with its URN');
    refused($path, ops(['add', undef, $_]), 'invalidValue', 'a value that is no object') for 'x', 17, ['x'], [{ title => 'x' }];
    my ($group, @ids) = fresh_group(2);
    changed($s, $group, ['remove', 'members']);
    changed($s, $group, ['add', undef, { externalId => 'x', members => [{ value => $ids[0] }] }]);
    is(members($group), $ids[0], 'members');
};

subtest 'C-179 add to a sub-attribute leaves the others' => sub {
    my $path = fresh(name => { givenName => 'a', familyName => 'b' });
    my $json = changed($s, $path, ['add', 'name.middleName', 'c']);
    is_deeply($json->{name}, { givenName => 'a', familyName => 'b', middleName => 'c' }, 'name.middleName');
    $json = changed($s, $path, ['add', 'NAME.GivenName', 'd']);
    is($json->{name}{givenName}, 'd', 'in other case');
};

subtest 'C-180 add to an element that is not there makes it' => sub {
    for my $base ('', $rfc) {
        my $path = fresh();
        my $json = changed($s, "$base$path", ['add', 'emails[type eq "work"].value', 'a']);
        is_deeply($json->{emails}, [{ type => 'work', value => 'a' }], 'from one term');
        $json = changed($s, "$base$path", ['add', 'emails[type eq "home" and primary eq true].value', 'b']);
        is(emails($json), 'work:a home:b!', 'from two');
        $json = changed($s, "$base$path", ['add', 'addresses[type eq "work"].country', 'DE']);
        is_deeply($json->{addresses}, [{ type => 'work', country => 'DE' }], 'addresses');
        for my $filter ('type ne "other"', 'type eq "x" or type eq "y"', 'not (type pr)', 'type sw "o"') {
            next if $filter eq 'type ne "other"'; # there are such elements
            refused("$base$path", ops(['add', "emails[$filter].value", 'c']), 'noTarget', $filter);
        }
    }
};

subtest 'C-181 remove needs a path' => sub {
    my $path = fresh(title => 'x');
    for my $base ('', $rfc) {
        refused("$base$path", ops(['remove']), 'noTarget', 'none');
        refused("$base$path", ops(['remove', undef, { title => 'x' }]), 'noTarget', 'a value in its place');
    }
};

subtest 'C-182 remove of an attribute, a part, an element' => sub {
    for my $base ('', $rfc) {
        my $path = fresh(
            title => 'x',
            name => { givenName => 'a', familyName => 'b' },
            emails => [{ value => 'a', type => 'work', display => 'A' }, { value => 'b', type => 'home' }, { display => 'C', type => 'x' }],
            phoneNumbers => [{ type => 'fax' }],
        );
        my $json = changed($s, "$base$path", ['remove', 'title'], ['remove', 'name.givenName']);
        ok(!exists $json->{title}, 'an attribute');
        is_deeply($json->{name}, { familyName => 'b' }, 'a sub-attribute');
        $json = changed($s, "$base$path", ['remove', 'emails[type eq "work"].display']);
        is_deeply($json->{emails}[0], { value => 'a', type => 'work' }, 'a part of an element');
        $json = changed($s, "$base$path", ['remove', 'emails[type eq "home"]']);
        is(emails($json), 'work:a x:-', 'an element');
        $json = changed($s, "$base$path", ['remove', 'name.familyName'], ['remove', 'phoneNumbers[type eq "fax"].type']);
        ok(!exists $json->{name}, 'what has no parts is gone');
        ok(!exists $json->{phoneNumbers}, 'an element too, and a list without elements');
        $json = changed($s, "$base$path", ['remove', 'emails']);
        ok(!exists $json->{emails}, 'all elements');
        my ($group, @ids) = fresh_group(3);
        changed($s, "$base$group", ['remove', "members[value eq \"$ids[1]\"]"]);
        is(members($group), "$ids[0] $ids[2]", 'a member');
        changed($s, "$base$group", ['remove', 'members']);
        is(members($group), '', 'all members');
        ok(!exists $s->get($group)->json->{members}, 'they are not told');
    }
};

subtest 'C-183 what is required or not theirs cannot be removed' => sub {
    my $path = fresh();
    my ($group) = fresh_group(1);
    for my $base ('', $rfc) {
        refused("$base$path", ops(['remove', $_]), 'mutability', "of a user: $_")
            for qw(userName id meta meta.created groups schemas), "$ENTERPRISE:manager.displayName", "$USER:userName";
        refused("$base$group", ops(['remove', $_]), 'mutability', "of a group: $_") for qw(displayName id meta schemas);
    }
};

subtest 'C-184 remove of a member who is none changes nothing' => sub {
    my ($group, $id) = fresh_group(1);
    my $other = fresh() =~ s{.*/}{}r;
    for my $base ('', $rfc) {
        in_vain("$base$group", ops(['remove', "members[value eq \"$_\"]"]), $_) for $other, $NOBODY, 'no-id';
        in_vain("$base$group", ops(['remove', 'members', [{ value => $other }]]), 'by a list');
    }
};

subtest 'C-185 remove by another value path without a match' => sub {
    my $path = fresh(phoneNumbers => [{ value => '1', type => 'work' }], title => 'x');
    for my $target ('phoneNumbers[type eq "pager"]', 'phoneNumbers[type eq "pager"].value', 'emails[type eq "work"]') {
        in_vain($path, ops(['remove', $target]), "interop: $target");
        refused("$rfc$path", ops(['remove', $target]), 'noTarget', "rfc: $target");
    }
};

subtest 'C-186 remove of members with a value removes those' => sub {
    for my $base ('', $rfc) {
        my ($group, @ids) = fresh_group(5);
        changed($s, "$base$group", ['Remove', 'members', [{ value => $ids[1] }, { value => $ids[3] }]]);
        is(members($group), "@ids[0, 2, 4]", 'a list');
        changed($s, "$base$group", ['Remove', 'members', { value => $ids[0] }]);
        is(members($group), "@ids[2, 4]", 'an object');
        in_vain("$base$group", ops(['remove', 'members', []]), 'an empty list');
        changed($s, "$base$group", ['remove', 'members', [{ '$ref' => undef, value => $ids[4] }]]);
        is(members($group), $ids[2], 'what Entra sends');
        changed($s, "$base$group", ['add', 'members', [map { { value => $_ } } @ids]],
            map { ['remove', "members[value eq \"$_\"]"] } @ids[0, 1, 2]);
        is(members($group), "@ids[3, 4]", 'one by one');
        changed($s, "$base$group", ['Remove', 'members']);
        is(members($group), '', 'without a value: all');
    }
};

subtest 'C-187 remove of what is not there changes nothing' => sub {
    my $path = fresh(title => 'x');
    for my $base ('', $rfc) {
        in_vain("$base$path", ops(['remove', $_]), $_)
            for qw(nickName name name.givenName emails), "$ENTERPRISE:department", $ENTERPRISE, "$ENTERPRISE:manager";
    }
};

subtest 'C-188 replace of a value, of all, of those that a path picks' => sub {
    for my $base ('', $rfc) {
        my $path = fresh(
            title => 'x',
            name => { givenName => 'a', familyName => 'b' },
            emails => [{ value => 'a', type => 'work' }, { value => 'b', type => 'work' }, { value => 'c', type => 'home' }],
        );
        my $json = changed($s, "$base$path", ['replace', 'title', 'y'], ['replace', 'name', { familyName => 'c' }]);
        is($json->{title}, 'y', 'a single value');
        is_deeply($json->{name}, { givenName => 'a', familyName => 'c' }, 'a complex one keeps what is not named');
        $json = changed($s, "$base$path", ['replace', 'emails[type eq "work"].display', 'W']);
        is_deeply([map { $_->{display} } @{ $json->{emails} }], ['W', 'W', undef], 'a part of each that is picked');
        $json = changed($s, "$base$path", ['replace', 'emails[value eq "c"].value', 'd']);
        is(emails($json), 'work:a work:b home:d', 'one of them');
        $json = changed($s, "$base$path", ['replace', 'emails', [{ value => 'e' }]]);
        is(emails($json), '-:e', 'a whole list');
        $json = changed($s, "$base$path", ['replace', undef, { title => 'z', emails => [{ value => 'f' }] }]);
        is("$json->{title} " . emails($json), 'z -:f', 'without a path');
        my ($group, @ids) = fresh_group(3);
        changed($s, "$base$group", ['replace', 'members', [{ value => $ids[2] }]]);
        is(members($group), $ids[2], 'members');
        changed($s, "$base$group", ['replace', undef, { members => [{ value => $ids[0] }, { value => $ids[1] }] }]);
        is(members($group), "$ids[0] $ids[1]", 'members without a path');
    }
};

subtest 'C-189 replace of an element keeps what its filter says' => sub {
    for my $base ('', $rfc) {
        my $path = fresh(emails => [{ value => 'a', type => 'work', display => 'A' }, { value => 'b', type => 'home' }]);
        my $json = changed($s, "$base$path", ['replace', 'emails[type eq "work"]', { value => 'c' }]);
        is_deeply($json->{emails}, [{ value => 'c', type => 'work' }, { value => 'b', type => 'home' }], 'type stays, display is gone');
        $json = changed($s, "$base$path", ['replace', 'emails[type eq "home"]', { value => 'd', type => 'other' }]);
        is(emails($json), 'work:c other:d', 'what the value says goes first');
    }
};

subtest 'C-190 replace of what has no value adds it' => sub {
    for my $base ('', $rfc) {
        my $path = fresh();
        my $json = changed($s, "$base$path",
            ['replace', 'title', 'x'],
            ['replace', 'name.givenName', 'a'],
            ['replace', 'emails', [{ value => 'a' }]],
            ['replace', "$ENTERPRISE:department", 'Tours'],
        );
        is($json->{title}, 'x', 'a single value');
        is_deeply($json->{name}, { givenName => 'a' }, 'a part of a complex one');
        is(emails($json), '-:a', 'a list');
        is($json->{$ENTERPRISE}{department}, 'Tours', 'of an extension');
    }
};

subtest 'C-191 replace by a value path without a match' => sub {
    my $path = fresh(emails => [{ value => 'b', type => 'home' }]);
    for my $op (['replace', 'emails[type eq "work"].value', 'a'], ['replace', 'emails[type eq "work"]', { value => 'a' }]) {
        refused("$rfc$path", ops($op), 'noTarget', "rfc: $op->[1]");
        is(emails(changed($s, $path, $op)), 'home:b work:a', "interop: $op->[1] makes it");
        changed($s, $path, ['remove', 'emails[type eq "work"]']);
    }
    my $empty = fresh(title => 'x');
    refused("$rfc$empty", ops(['replace', 'emails[type eq "work"].value', 'a']), 'noTarget', 'rfc: no emails at all');
    is(emails(changed($s, $empty, ['replace', 'emails[type eq "work"].value', 'a'])), 'work:a', 'interop: no emails at all');
    refused($path, ops(['replace', 'emails[type sw "x"].value', 'a']), 'noTarget', 'a filter that names no value');
};

subtest 'C-192 replace without a path needs something to replace' => sub {
    my $path = fresh();
    refused("$_$path", ops(['replace', undef, {}]), 'invalidValue', 'an empty object') for '', $rfc;
};

subtest 'C-193 replace by null or [] removes' => sub {
    for my $base ('', $rfc) {
        my $path = fresh(title => 'x', name => { givenName => 'a', familyName => 'b' }, emails => [{ value => 'a' }], nickName => 'n');
        my $json = changed($s, "$base$path",
            ['replace', 'title', undef], ['replace', 'name.givenName', undef], ['replace', 'emails', []], ['replace', 'nickName', '']);
        is_deeply([sort keys %$json], [qw(id meta name schemas userName)], 'attributes');
        is_deeply($json->{name}, { familyName => 'b' }, 'a sub-attribute');
        $json = changed($s, "$base$path", ['replace', undef, { name => undef }]);
        ok(!exists $json->{name}, 'without a path');
        refused("$base$path", ops(['replace', 'userName', $_]), 'invalidValue', 'what is required') for undef, '', [];
        my ($group) = fresh_group(2);
        changed($s, "$base$group", ['replace', 'members', []]);
        is(members($group), '', 'members');
        refused("$base$group", ops(['replace', 'displayName', undef]), 'invalidValue', 'the name of a group');
    }
};

subtest 'C-194 what only the server may write cannot be a path' => sub {
    my $path = fresh(title => 'x');
    my ($group) = fresh_group(1);
    for my $base ('', $rfc) {
        for my $op (qw(add replace)) {
            refused("$base$path", ops([$op, $_, 'x']), 'mutability', "$op $_")
                for qw(id meta.created meta.location groups.value), "$ENTERPRISE:manager.displayName", "$USER:id", 'ID';
            refused("$base$path", ops([$op, 'groups', [{ value => $NOBODY }]]), 'mutability', "$op groups");
            refused("$base$path", ops([$op, 'meta', { created => 'x' }]), 'mutability', "$op meta");
        }
        refused("$base$path", ops(['remove', 'groups[value eq "x"]']), 'mutability', 'by a value path');
        my $json = changed($s, "$base$path",
            ['replace', undef, { id => $NOBODY, meta => { created => 'x' }, groups => [], title => "y$base" }]);
        is($json->{title}, "y$base", 'inside of a value it is ignored');
        is("/Users/$json->{id}", $path, 'id');
        in_vain("$base$path", ops(['replace', undef, { id => $NOBODY }]), 'alone');
        in_vain("$base$path", ops(['add', $ENTERPRISE, { manager => { displayName => 'x' } }]), 'manager.displayName in a value');
    }
};

subtest 'C-195 who a member is cannot change' => sub {
    my ($group, @ids) = fresh_group(2);
    my $other = fresh() =~ s{.*/}{}r;
    for my $base ('', $rfc) {
        refused("$base$group", ops(['replace', "members[value eq \"$ids[0]\"].value", $other]), 'mutability', 'value');
        refused("$base$group", ops(['replace', "members[value eq \"$ids[0]\"].type", 'Group']), 'mutability', 'type');
        in_vain("$base$group", ops(['replace', "members[value eq \"$ids[0]\"].value", $ids[0]]), 'the same value');
    }
};

subtest 'C-196 a path that is malformed' => sub {
    my $path = fresh(emails => [{ value => 'a' }]);
    my ($group) = fresh_group(1);
    for my $bad ('', ' ', '.', 'a..b', 'name.', '.name', 'name..givenName', 'emails[', 'emails]', 'emails[]', 'emails[type eq]',
        'emails[type eq "work"', 'emails[type eq "work"]]', 'emails[type eq "work"].', 'emails[type eq "work"]value', '[x]',
        '[type eq "work"]', 'emails[0]', 'emails[0].value', 'emails[type is "work"]', q{emails[type eq 'work']}, 'emails[nothing eq "x"]',
        'name.givenName.x', 'title x', 'emails[type eq "work"].value.x', "$USER:", 'urn:', 'emails[type eq "a"][type eq "b"]')
    {
        refused("$_$path", ops(['replace', $bad, 'x']), 'invalidPath', "\"$bad\"" . ($_ ? ' in rfc' : '')) for '', $rfc;
    }
    refused($path, ops(['remove', 'emails[type eq]']), 'invalidPath', 'remove');
    refused($group, ops(['remove', 'members[value eq]']), 'invalidPath', 'of members');
    refused($group, ops(['remove', 'members[value eq "x"']), 'invalidPath', 'of members, without its end');
};

subtest 'C-197 a path to an unknown attribute' => sub {
    my $path = fresh();
    for my $base ('', $rfc) {
        for my $unknown ('nothing', 'name.nothing', 'emails.nothing', 'emails[type eq "work"].nothing', "$ENTERPRISE:nothing",
            'urn:example:unknown:thing', "$USER:nothing", 'members', 'title.x')
        {
            refused("$base$path", ops(['add', $unknown, 'x']), 'invalidPath', "add $unknown");
            refused("$base$path", ops(['remove', $unknown]), 'invalidPath', "remove $unknown");
        }
    }
};

subtest 'C-198 attributes of an extension by their URN' => sub {
    for my $base ('', $rfc) {
        my $path = fresh();
        my $json = changed($s, "$base$path", ['add', "$ENTERPRISE:department", 'Tours']);
        is_deeply($json->{$ENTERPRISE}, { department => 'Tours' }, 'add');
        is_deeply($json->{schemas}, [$USER, $ENTERPRISE], 'with its URN');
        $json = changed($s, "$base$path", ['replace', uc "$ENTERPRISE:department", 'Sales'], ['add', "$ENTERPRISE:manager", $BOSS])
            if !$base;
        is_deeply($json->{$ENTERPRISE}, { department => 'Sales', manager => $BOSS }, 'in capitals; a complex one') if !$base;
        $json = changed($s, "$base$path", ['remove', "$ENTERPRISE:manager"], ['remove', "$ENTERPRISE:department"]);
        ok(!exists $json->{$ENTERPRISE}, 'the last is removed');
        is_deeply($json->{schemas}, [$USER], 'its URN is gone');
        $json = changed($s, "$base$path", ['replace', "$USER:title", 'x'], ['add', "$USER:name.givenName", 'g']);
        is("$json->{title} $json->{name}{givenName}", 'x g', 'core attributes by theirs');
    }
};

subtest 'C-199 an extension as a whole' => sub {
    for my $base ('', $rfc) {
        my $path = fresh();
        my $json = changed($s, "$base$path", ['add', $ENTERPRISE, { department => 'Tours', division => 'a' }]);
        is_deeply($json->{$ENTERPRISE}, { department => 'Tours', division => 'a' }, 'add makes it');
        $json = changed($s, "$base$path", ['add', $ENTERPRISE, { division => 'b' }]);
        is_deeply($json->{$ENTERPRISE}, { department => 'Tours', division => 'b' }, 'add merges');
        $json = changed($s, "$base$path", ['replace', $ENTERPRISE, { division => 'c', department => undef }]);
        is_deeply($json->{$ENTERPRISE}, { division => 'c' }, 'replace replaces what it names');
        $json = changed($s, "$base$path", ['remove', $ENTERPRISE]);
        ok(!exists $json->{$ENTERPRISE}, 'remove drops it');
        is_deeply($json->{schemas}, [$USER], 'with its URN');
    }
};

subtest 'C-200 primary moves' => sub {
    for my $base ('', $rfc) {
        my $path = fresh(emails => [{ value => 'a', type => 'work', primary => \1 }, { value => 'b', type => 'home' }]);
        my $now = sub { return emails(changed($s, "$base$path", @_)) };
        is($now->(['replace', 'emails[type eq "home"].primary', \1]), 'work:a home:b!', 'by a value path');
        is($now->(['add', 'emails', [{ value => 'c', type => 'other', primary => \1 }]]), 'work:a home:b other:c!', 'with a new element');
        is($now->(['replace', 'emails[type eq "work"]', { value => 'd', primary => \1 }]), 'work:d! home:b other:c', 'with an element');
        is($now->(['add', undef, { emails => [{ value => 'e', primary => \1 }] }]), 'work:d home:b other:c -:e!', 'without a path');
        is($now->(['add', 'emails[type eq "home"].primary', \1], ['add', 'emails[type eq "work"].primary', \1]),
            'work:d! home:b other:c -:e', 'twice in one request');
        is($now->(['replace', 'emails', [{ value => 'f', primary => \1 }, { value => 'g' }]]), '-:f! -:g', 'with all');
    }
    my $path = fresh(emails => [{ value => 'a', primary => \1 }]);
    my $two = [{ value => 'b', primary => \1 }, { value => 'c', primary => \1 }];
    refused("$rfc$path", ops(['add', 'emails', $two]), 'invalidValue', 'rfc: two in one value');
    is(emails(changed($s, $path, ['add', 'emails', $two])), '-:a -:b -:c!', 'interop: the last keeps it');
};

subtest 'C-201 a userName that another has' => sub {
    made($s, '/Users', user('taken'));
    my $path = fresh();
    refused($path, ops(['replace', 'userName', 'TAKEN']), 'uniqueness', 'by a path', 409);
    refused($path, ops(['replace', undef, { userName => 'taken' }]), 'uniqueness', 'without', 409);
    is(changed($s, $path, ['replace', 'userName', 'free'])->{userName}, 'free', 'a free one');
    is(changed($s, $path, ['replace', 'userName', 'FREE'])->{userName}, 'FREE', 'its own in other case');
    my ($one) = fresh_group(0);
    my ($two) = fresh_group(0);
    refused($two, ops(['replace', 'displayName', uc $s->get($one)->json->{displayName}]), 'uniqueness', 'the name of a group', 409);
};

subtest 'C-202 a value of the wrong type' => sub {
    my $path = fresh(title => 'x', emails => [{ value => 'a', type => 'work' }]);
    for my $base ('', $rfc) {
        refused("$base$path", ops($_), 'invalidValue', join ' ', @$_[0, 1]) for (
            ['replace', 'active', 'yes'],
            ['replace', 'active', 1],
            ['replace', 'title', 17],
            ['replace', 'title', { a => 1 }],
            ['replace', 'title', ['a', 'b']],
            ['replace', 'name', 'x'],
            ['replace', 'name.givenName', \1],
            ['add', 'emails', 17],
            ['add', 'emails', [{ value => 17 }]],
            ['replace', 'emails[type eq "work"].primary', 'yes'],
            ['add', 'x509Certificates', [{ value => '!!!' }]],
            ['add', $ENTERPRISE, 'x'],
        );
    }
    refused("$rfc$path", ops(['replace', 'active', 'True']), 'invalidValue', 'rfc: "True"');
    refused("$rfc$path", ops(['replace', 'emails[type eq "work"]', 'x']), 'invalidValue', 'rfc: a string for an element');
    is(changed($s, $path, ['replace', 'active', 'False'])->{active}, JSON::PP::false, 'interop: "False"');
    is(changed($s, $path, ['replace', undef, { active => 'TRUE' }])->{active}, JSON::PP::true, 'interop: "TRUE", without a path');
};

subtest 'C-203 keys of a value without a path may be paths' => sub {
    for my $base ('', $rfc) {
        my $path = fresh(name => { familyName => 'b' });
        my $json = changed($s, "$base$path", ['replace', undef, {
            'name.givenName' => 'a',
            'emails[type eq "work"].value' => 'w',
            "$ENTERPRISE:department" => 'Tours',
            "$USER:title" => 'x',
            'nickName' => 'n',
        }]) if !$base;
        $json = changed($s, "$base$path", ['add', undef, {
            'name.givenName' => 'a',
            'emails[type eq "work"].value' => 'w',
            "$ENTERPRISE:department" => 'Tours',
            "$USER:title" => 'x',
            'nickName' => 'n',
        }]) if $base;
        is_deeply($json->{name}, { givenName => 'a', familyName => 'b' }, 'a dot');
        is(emails($json), 'work:w', 'a value path');
        is_deeply($json->{$ENTERPRISE}, { department => 'Tours' }, 'the URN of an extension');
        is("$json->{title} $json->{nickName}", 'x n', 'the core URN, and a name');
    }
};

subtest 'C-204 PATCH of an unknown id is 404, whatever its body' => sub {
    for my $body (ops(['add', 'title', 'x']), '{', '[]', {}, ops(['add', 'nothing', 'x'])) {
        is_error($s->patch("/Users/$NOBODY", $body), 404, undef, 'an unknown one');
        is_error($s->patch('/Users/none', $body), 404, undef, 'no id');
    }
    my ($group) = fresh_group(0);
    is_error($s->patch($group =~ s/Groups/Users/r, '{'), 404, undef, 'a group as a user');
};

subtest 'C-206 fifty operations, a thousand members in one' => sub {
    my $path = fresh();
    my $json = changed($s, $path, map { ['add', 'emails', [{ value => "mail$_\@example.com" }]] } 1 .. 50);
    is(scalar @{ $json->{emails} }, 50, 'fifty operations');
    my ($group) = fresh_group(0);
    my @ids = map { $_->{id} } @{ $s->get('/Users?attributes=id&count=1000')->json->{Resources} };
    my $r = $s->patch($group, ops(['add', 'members', [map { { value => $ids[$_ % @ids] } } 1 .. 1000]]));
    is($r->status, 204, 'a thousand members in one operation');
    is(scalar(split / /, members($group)), scalar @ids, 'each once');
    is($s->patch($group, ops(map { ['remove', "members[value eq \"$_\"]"] } @ids[0 .. 49]))->status, 204, 'fifty to remove');
    is(scalar(split / /, members($group)), @ids - 50, 'they are removed');
    my $many = $s->patch($path, ops(map { ['replace', 'title', "title $_"] } 1 .. 10_001));
    is_error($many, 413, undef, 'more operations than anyone needs');
    like($many->json->{detail}, qr/\b10000\b/, 'the limit is told');
};

subtest 'C-207 a PATCH that changes nothing keeps the ETag' => sub {
    my $path = fresh(title => 'x');
    my $etag = $s->get($path)->header('etag');
    my $r = $s->patch($path, ops(['replace', 'title', 'x']), 'if-match' => $etag);
    is($r->status, 200, 'a user');
    is($r->header('etag'), $etag, 'the same ETag');
    my ($group, $id) = fresh_group(1);
    $etag = $s->get($group)->header('etag');
    $r = $s->patch($group, ops(['add', 'members', [{ value => $id }]]), 'if-match' => $etag);
    is($r->status, 204, 'a group');
    is($r->header('etag'), $etag, 'the same ETag');
};

$s->log_clean;
done_testing();
