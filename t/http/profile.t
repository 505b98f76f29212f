#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The same requests under SCIMProfile interop, which is the default, and rfc:
# what the one tolerates and the other does not, and what neither changes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $NOBODY = '01900000-0000-7000-8000-000000000000';
my $UNKNOWN = 'urn:example:unknown:1.0';
my ($true, $false) = (JSON::PP::true(), JSON::PP::false());

my $s = Scim::Httpd->new(conf => endpoint('/rfc', 'SCIMProfile rfc') . endpoint('/interop', 'SCIMProfile interop')
    . endpoint('/whole', 'SCIMGroupPatchReturn representation'));
my %base = (rfc => $s->url('/rfc'), interop => $s->base);

sub names { our $last //= 0; return 'name' . ++$last }

# A fresh user, and its path.
sub fresh
{
    my (%more) = @_;
    my $made = made($s, '/Users', user(names(), %more));
    return ("/Users/$made->{id}", $made);
}

sub error_of { return join ' ', $_[0]->status, $_[0]->json->{scimType} // '' }

# What both profiles answer to one request: sub { my ($base) = @_; ... }
sub in_both
{
    my ($ask, $rfc, $interop, $name) = @_;
    for my $profile (qw(rfc interop)) {
        my $expected = $profile eq 'rfc' ? $rfc : $interop;
        my $r = $ask->($base{$profile});
        if ($expected =~ /^(\d+) (\w+)$/) {
            is_error($r, $1, $2, "$profile: $name");
        } else {
            is($r->status, $expected, "$profile: $name") or diag($r->content);
        }
    }
}

# Of a body that is to be created.
sub creates
{
    my ($more, $rfc, $interop, $name) = @_;
    in_both(sub { $s->post("$_[0]/Users", user(names(), %$more)) }, $rfc, $interop, $name);
}

# Of operations on a user that is made for them.
sub patches
{
    my ($start, $operations, $rfc, $interop, $name) = @_;
    in_both(sub { my ($path) = fresh(%$start); $s->patch("$_[0]$path", ops(@$operations)) }, $rfc, $interop, $name);
}

sub both
{
    my ($expected) = @_;
    return ($expected, $expected);
}

subtest 'C-172 what PATCH answers' => sub {
    patches({}, [['add', 'title', 'x']], both(200), 'a user');
    my $id = made($s, '/Groups', group('Patched'))->{id};
    my $patch = sub { $s->patch("$_[0]/Groups/$id$_[1]", ops(['replace', 'externalId', names()])) };
    in_both(sub { $patch->($_[0], '') }, both(204), 'a group');
    in_both(sub { $patch->($_[0], '?excludedAttributes=members') }, both(200), 'a group with a projection');
    is($patch->($s->url('/whole'), '')->status, 200, 'SCIMGroupPatchReturn representation');
};

subtest 'C-056 references to nothing' => sub {
    my $manager = { $ENTERPRISE => { manager => { value => $NOBODY } } };
    creates($manager, '400 invalidValue', 201, 'an unknown manager');
    patches({}, [['add', "$ENTERPRISE:manager", { value => $NOBODY }]], '400 invalidValue', 200, 'by PATCH');
    my $made = made($s, '/Users', user(names(), %$manager));
    is_deeply($made->{$ENTERPRISE}{manager}, { value => $NOBODY }, 'stored as it was sent, without $ref');
    in_both(sub { $s->post("$_[0]/Groups", group(names(), $NOBODY)) }, both('400 invalidValue'), 'an unknown member');
};

subtest 'C-039 attributes that nobody declared' => sub {
    creates({ foo => 1 }, '400 invalidSyntax', 201, 'in a body');
    creates({ name => { foo => 1 } }, '400 invalidSyntax', 201, 'in a complex value');
    patches({}, [['add', undef, { foo => 1, title => 'x' }]], '400 invalidSyntax', 200, 'in a value of PATCH');
    patches({}, [['add', 'foo', 1]], both('400 invalidPath'), 'in a path');
    ok(!exists made($s, '/Users', user(names(), foo => 1))->{foo}, 'ignored, not kept');
};

subtest 'C-035 C-036 C-037 schemas' => sub {
    creates({ schemas => [$USER, $UNKNOWN] }, '400 invalidValue', 201, 'an unknown URN');
    creates({ schemas => [$UNKNOWN] }, '400 invalidValue', 201, 'no other');
    creates({ schemas => [$USER, $USER] }, both('400 invalidValue'), 'one twice');
    creates({ schemas => [] }, both('400 invalidSyntax'), 'none');
    in_both(sub { $s->post("$_[0]/Users", { userName => names() }) }, both('400 invalidSyntax'), 'not there');
    for my $base (values %base) {
        my $made = made($s, "$base/Users", user(names(), $ENTERPRISE => { department => 'D' }));
        is_deeply($made->{schemas}, [$USER, $ENTERPRISE], 'an extension without its URN: added');
        $made = made($s, "$base/Users", { %{ user(names(), $ENTERPRISE => { department => 'D' }) }, schemas => [$ENTERPRISE, $USER] });
        is_deeply($made->{schemas}, [$USER, $ENTERPRISE], 'in another order');
    }
};

subtest 'C-170 C-243 the frame of a PatchOp' => sub {
    in_both(sub { my ($path) = fresh(); $s->patch("$_[0]$path", { Operations => ops(['add', 'title', 'x'])->{Operations} }) },
        '400 invalidSyntax', 200, 'no schemas');
    patches({}, [], '400 invalidSyntax', 200, 'empty Operations');
    in_both(sub { my ($path) = fresh(); $s->patch("$_[0]$path", { schemas => [$PATCH_OP] }) }, both('400 invalidSyntax'), 'no Operations');
};

subtest 'C-040 C-202 booleans' => sub {
    creates({ active => $_ }, '400 invalidValue', 201, "a string $_") for qw(true False TRUE);
    creates({ active => $_ }, both('400 invalidValue'), "another $_") for qw(yes 1 0), 'on', ' true';
    patches({}, [['replace', 'active', 'False']], '400 invalidValue', 200, 'by PATCH');
    is(made($s, '/Users', user(names(), active => 'False'))->{active}, $false, 'stored as a boolean');
    my $found = sub { $s->get("$_[0]/Users?filter=" . esc('active eq "true"')) };
    in_both($found, '400 invalidFilter', 200, 'C-108 in a filter');
};

subtest 'C-048 C-049 C-193 nothing' => sub {
    for my $none ('', undef) {
        creates({ title => $none }, both(201), 'for an optional attribute');
        in_both(sub { $s->post("$_[0]/Users", { schemas => [$USER], userName => $none }) }, both('400 invalidValue'), 'for a required one');
        patches({ title => 'x' }, [['replace', 'title', $none]], both(200), 'by PATCH');
        patches({}, [['replace', 'userName', $none]], both('400 invalidValue'), 'of a required one');
    }
    for my $base (values %base) {
        my $made = made($s, "$base/Users", user(names(), title => '', nickName => undef, emails => []));
        is_deeply([grep { exists $made->{$_} } qw(title nickName emails)], [], 'all unassigned');
    }
};

subtest 'C-043 C-051 values that are kept, or not' => sub {
    for my $base (values %base) {
        my $made = made($s, "$base/Users", user(names(), locale => 'EN-us', timezone => 'Nowhere', preferredLanguage => 'xx;q=2',
            phoneNumbers => [{ value => '0049 (30) 1' }], addresses => [{ country => 'Germany' }, { country => 'usa' }, { country => 'Atlantis' }]));
        is_deeply([@$made{qw(locale timezone preferredLanguage)}, $made->{phoneNumbers}[0]{value}], ['EN-us', 'Nowhere', 'xx;q=2', '0049 (30) 1'],
            'as they were sent');
        is_deeply([map { $_->{country} } @{ $made->{addresses} }], [qw(DE US Atlantis)], 'countries that are known have two letters');
    }
    creates({ x509Certificates => [{ value => 'AAEC' }] }, both(201), 'base64');
    creates({ x509Certificates => [{ value => '!!!' }] }, both('400 invalidValue'), 'no base64');
};

subtest 'C-046 C-200 two that are primary' => sub {
    my @two = ({ value => 'a@x', primary => $true }, { value => 'b@x', primary => $true });
    creates({ emails => \@two }, '400 invalidValue', 201, 'in a body');
    patches({}, [['add', 'emails', \@two]], '400 invalidValue', 200, 'in a value of PATCH');
    patches({ emails => [$two[0]] }, [['add', 'emails', [$two[1]]]], both(200), 'one after the other');
    my $made = made($s, '/Users', user(names(), emails => \@two));
    is_deeply([map { $_->{value} } grep { $_->{primary} } @{ $made->{emails} }], ['b@x'], 'the last keeps it');
};

subtest 'C-058 C-067 what is refused by both' => sub {
    made($s, '/Groups', group('Staff'));
    in_both(sub { $s->post("$_[0]/Groups", group('STAFF')) }, both('409 uniqueness'), 'a name of a group that is taken');
    in_both(sub { $s->get("$_[0]/Users?attributes=a&excludedAttributes=b") }, both('400 invalidValue'), 'two projections');
    patches({}, [['replace', undef, {}]], both('400 invalidValue'), 'C-192 a replacement by nothing');
    patches({}, [['replace', 'id', 'x']], both('400 mutability'), 'C-194 readOnly in a path');
    patches({}, [['replace', undef, { id => 'x', title => 'y', groups => [], meta => {} }]], both(200), 'in a value it is ignored');
    patches({}, [['remove', 'schemas', [$USER]]], both('400 mutability'), 'C-205 the core schema');
    patches({}, [['remove', qq(schemas[value eq "$UNKNOWN"])]], both('400 mutability'), 'C-205 an unknown one');
    patches({ $ENTERPRISE => { department => 'D' } }, [['remove', qq(schemas[value eq "$ENTERPRISE"])]], both(200), 'C-205 an extension');
};

subtest 'C-184 C-185 C-191 C-180 value paths that match nothing' => sub {
    my $id = made($s, '/Groups', group('Empty'))->{id};
    in_both(sub { $s->patch("$_[0]/Groups/$id", ops(['remove', qq(members[value eq "$NOBODY"])])) }, both(204), 'remove of a member');
    my $other = 'emails[type eq "other"]';
    patches({}, [['remove', $other]], '400 noTarget', 200, 'remove');
    patches({}, [['replace', "$other.value", 'a@x']], '400 noTarget', 200, 'replace of a part');
    patches({}, [['add', "$other.value", 'a@x']], both(200), 'add of a part');
    patches({}, [['replace', 'emails[type ne "other"].value', 'a@x']], both('400 noTarget'), 'a filter that describes nothing');
    my ($path) = fresh();
    is_deeply(changed($s, $path, ['replace', "$other.value", 'a@x'])->{emails}, [{ type => 'other', value => 'a@x' }], 'made of what the filter says');
};

subtest 'C-160 members are what they are' => sub {
    my (undef, $one) = fresh();
    my (undef, $two) = fresh();
    my $made = made($s, '/Groups', group('Members', $one->{id}));
    my $put = sub {
        my (%more) = @_;
        return sub { $s->put("$_[0]/Groups/$made->{id}", { %{ group('Members') }, members => [{ value => $one->{id}, %more }] }) };
    };
    in_both($put->(type => 'Group'), both('400 mutability'), 'another type');
    in_both($put->('$ref' => $two->{meta}{location}), both('400 mutability'), 'another $ref');
    in_both($put->(type => 'User', '$ref' => "../Users/$one->{id}"), both(200), 'its own');
    is($s->get("/Groups/$made->{id}")->json->{meta}{version}, $made->{meta}{version}, 'nothing has changed');
};

subtest 'C-220 C-223 C-224 C-228 versions' => sub {
    my ($path, $made) = fresh();
    in_both(sub { $s->patch("$_[0]$path", ops(['add', 'title', names()]), 'if-match' => $s->get($path)->header('etag') =~ s{^W/}{}r) },
        both(200), 'compared weakly');
    in_both(sub { $s->delete("$_[0]/Users/$NOBODY", 'if-match' => 'W/"1"') }, both('404'), 'an unknown id is 404 first');
    my $before = $s->get($path)->json->{meta};
    my $group = made($s, '/Groups', group('Versions'));
    my $after = changed($s, "/Groups/$group->{id}", ['add', 'members', [{ value => $made->{id} }]]);
    is_deeply($s->get($path)->json->{meta}, $before, 'a user is what it was when its groups change');
    isnt($after->{meta}{version}, $group->{meta}{version}, 'a group is not');
};

subtest 'C-001 C-002 C-004 media types' => sub {
    for my $base (values %base) {
        for my $case (['text/html', 'application/scim+json'], ['*/*', 'application/scim+json'], ['application/json', 'application/json'],
            ['application/json, application/scim+json', 'application/scim+json']) {
            my $r = $s->get("$base/Users?count=1", accept => $case->[0]);
            is($r->status . ' ' . $r->header('content-type'), "200 $case->[1]", $case->[0]);
        }
    }
};

subtest 'C-116 C-124 C-135 C-241 C-271 limits and discovery' => sub {
    in_both(sub { $s->get("$_[0]/Users?count=1001") }, both(200), 'count over the limit, by index');
    in_both(sub { $s->get("$_[0]/Users?count=1001&cursor") }, both('400 invalidCount'), 'by cursor');
    in_both(sub { $s->get("$_[0]/ServiceProviderConfig", authorization => undef) }, both(200), 'the configuration without a token');
    in_both(sub { $s->get("$_[0]/Schemas", authorization => undef) }, both('401'), 'nothing else');
    for my $base (values %base) {
        my $config = $s->get("$base/ServiceProviderConfig")->json;
        is_deeply([@{ $config->{pagination} }{qw(defaultPageSize maxPageSize)}], [100, 1000], 'pages');
        is_deeply([@{ $config->{bulk} }{qw(maxOperations maxPayloadSize)}], [500, 4 << 20], 'Bulk');
        for my $urn ($USER, $GROUP) {
            my @names = map { $_->{name} } @{ $s->get("$base/Schemas/$urn")->json->{attributes} };
            is(scalar(grep { $_ eq 'externalId' } @names), 1, "externalId is listed in $urn");
        }
    }
};

subtest 'C-007 an id with the suffix .scim' => sub {
    my ($path, $made) = fresh();
    in_both(sub { $s->get("$_[0]$path.scim") }, both(200), 'GET');
    is_deeply($s->get("$path.scim")->json, $made, 'as without it');
    in_both(sub { $s->get("$_[0]$path.json") }, both(404), 'no other');
};

subtest 'C-054 core attributes below their own URN' => sub {
    for my $base (values %base) {
        my $name = names();
        my $made = made($s, "$base/Users", { schemas => [$USER], $USER => { userName => $name, title => 'x' } });
        is_deeply([@$made{qw(userName title)}], [$name, 'x'], 'as if they stood at the top');
        ok(!exists $made->{$USER}, 'where they are answered');
    }
};

subtest 'C-171 C-186 C-203 what clients send in PATCH' => sub {
    patches({}, [['Replace', 'title', 'x']], both(200), 'Replace');
    patches({}, [['add', undef, { 'name.givenName' => 'G', "$ENTERPRISE:department" => 'D' }]], both(200), 'keys that are paths');
    my (undef, $one) = fresh();
    my (undef, $two) = fresh();
    for my $base (values %base) {
        my $id = made($s, '/Groups', group(names(), $one->{id}, $two->{id}))->{id};
        is($s->patch("$base/Groups/$id", ops(['remove', 'members', [{ value => $one->{id} }]]))->status, 204, 'members to remove as a value');
        is_deeply([map { $_->{value} } @{ $s->get("/Groups/$id")->json->{members} }], [$two->{id}], 'those go and no others');
    }
};

subtest 'C-039 C-046 C-202 values that are not where they belong' => sub {
    my (undef, $one) = fresh();
    my $manager = sub { return { $ENTERPRISE => { manager => $_[0] } } };
    creates($manager->($one->{id}), '400 invalidValue', 201, 'S-26 a manager as text');
    creates($manager->([{ value => $one->{id} }]), '400 invalidValue', 201, 'in a list');
    creates({ emails => { value => 'a@x' } }, '400 invalidValue', 201, 'one value, no list');
    creates({ emails => ['a@x'] }, '400 invalidValue', 201, 'a text as an element');
    creates({ emails => [undef, '', { value => 'a@x' }] }, both(201), 'elements that are nothing');
    creates({ roles => [{ value => 'x', displayName => 'X' }] }, '400 invalidSyntax', 201, 'displayName for display');
    creates({ department => 'D' }, '400 invalidSyntax', 201, 'an attribute of an extension without its URN');
    creates({ 'name.givenName' => 'G' }, '400 invalidSyntax', 201, 'a path for a name');
    my $made = made($s, '/Users', user(names(), department => 'D', 'name.givenName' => 'G', emails => ['a@x'], $ENTERPRISE => { manager => $one->{id} }));
    is_deeply([@$made{qw(name emails)}, $made->{$ENTERPRISE}{department}, $made->{$ENTERPRISE}{manager}{value}],
        [{ givenName => 'G' }, [{ value => 'a@x' }], 'D', $one->{id}], 'each is stored where it belongs');
    my $groups = sub { my ($member) = @_; return sub { $s->post("$_[0]/Groups", { %{ group(names()) }, members => [$member] }) } };
    in_both($groups->({ '$ref' => "../Users/$one->{id}" }), '400 invalidValue', 201, 'a member with $ref alone');
    in_both($groups->({ value => $one->{id}, displayName => 'X' }), '400 invalidSyntax', 201, 'a member with displayName');
    patches({}, [['add', 'department', 'D']], both(200), 'a path without its URN');
    patches({}, [['add', undef, { department => 'D' }]], '400 invalidSyntax', 200, 'a name in a value without it');
    in_both(sub { my ($path) = fresh(); $s->patch("$_[0]$path", { schemas => [$PATCH_OP, $UNKNOWN], Operations => ops(['add', 'title', 'x'])->{Operations} }) },
        '400 invalidSyntax', 200, 'a PatchOp of two URNs');
};

subtest 'C-186 members and lists by value' => sub {
    my @ids = map { (fresh())[1]{id} } 1 .. 2;
    my $left = sub {
        my ($base, @operation) = @_;
        my $id = made($s, '/Groups', group(names(), $ids[0]))->{id};
        my $status = $s->patch("$base/Groups/$id", ops(\@operation))->status;
        return join ' ', $status, scalar @{ $s->get("/Groups/$id")->json->{members} || [] };
    };
    my $other = qq(members[value eq "$ids[1]"]);
    is($left->($base{interop}, 'add', $other), '204 2', 'interop: an add that names its member in the path');
    is($left->($base{rfc}, 'add', $other), '400 1', 'rfc: no value');
    is($left->($base{interop}, 'replace', $other, { value => $ids[1] }), '204 2', 'interop: a replace of one who is none adds');
    is($left->($base{rfc}, 'replace', $other, { value => $ids[1] }), '204 1', 'rfc: it does not');
    for my $profile (qw(interop rfc)) {
        is($left->($base{$profile}, 'remove', $other), '204 1', "$profile: a remove of one who is none");
        is($left->($base{$profile}, 'remove', 'members', []), '204 1', "$profile: a remove of none");
    }
    my @two = map { { value => $_ } } qw(a@x b@x);
    my $emails = sub { return changed($s, "$_[0]" . (fresh(emails => \@two))[0], ['remove', 'emails', [$two[0]]])->{emails} };
    is_deeply($emails->($base{interop}), [$two[1]], 'interop: of a list those go that are named');
    is($emails->($base{rfc}), undef, 'rfc: all go');
};

subtest 'C-092 C-108 C-098 what is asked for' => sub {
    my $name = names();
    made($s, '/Users', user($name, externalId => '701984', emails => [{ type => 'work', value => 'q@x' }], $ENTERPRISE => { department => 'Q' }));
    my %found = (
        "userName eq $name" => '400 invalidFilter', 'externalId eq 701984' => '400 invalidFilter', 'department eq "Q"' => '400 invalidFilter',
        'emails[type eq "work"].value eq "q@x"' => 1, 'emails eq "q@x"' => 1,
    );
    for my $filter (sort keys %found) {
        my $ask = sub { $s->get("$_[0]/Users?filter=" . esc($filter)) };
        is($ask->($base{interop})->json->{totalResults}, 1, "interop: $filter");
        my $r = $ask->($base{rfc});
        is($r->status == 200 ? $r->json->{totalResults} : error_of($r), $found{$filter}, "rfc: $filter");
    }
    in_both(sub { $s->get("$_[0]/Users?filter=" . esc("userName eq '$name'")) }, both('400 invalidFilter'), 'single quotes');
    in_both(sub { $s->get("$_[0]/Users?attributes=" . esc('emails[type eq "work"].value')) }, both(200), 'a value filter in attributes');
    for my $path ('//Users', '/Users/', '/serviceConfiguration', '/Users?&COUNT=0&') {
        in_both(sub { $s->get("$_[0]$path") }, both(200), $path);
    }
};

subtest 'the default is interop' => sub {
    is($s->post($s->url('/interop/Users'), user(names(), foo => 1))->status, 201, 'named');
    is($s->post('/Users', user(names(), foo => 1))->status, 201, 'not named');
};

$s->log_clean;

subtest 'C-056 C-058 what a tenant may allow itself' => sub {
    my $lax = Scim::Httpd->new(conf => "SCIMDanglingReferences allow\nSCIMUniqueGroupNames Off\n" . endpoint('/rfc', 'SCIMProfile rfc'));
    for my $base ($lax->base, $lax->url('/rfc')) {
        my $made = made($lax, "$base/Groups", group('Same', $NOBODY));
        is_deeply($made->{members}, [{ value => $NOBODY }], 'an unknown member, in a group whose name is taken');
        $made = made($lax, "$base/Users", user(names(), $ENTERPRISE => { manager => { value => $NOBODY } }));
        is_deeply($made->{$ENTERPRISE}{manager}, { value => $NOBODY }, 'an unknown manager');
    }
    $lax->log_clean;
};

done_testing();
