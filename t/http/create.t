#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# POST: what is made, what is refused, and what is tolerated.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $FOREIGN = 'http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group';
my $NOBODY = '01900000-0000-7000-8000-000000000000';

my $s = Scim::Httpd->new(
    start => 0,
    conf => endpoint('/rfc/v2', 'SCIMProfile rfc')
        . "<SCIMTenantPolicy easy>\nSCIMDanglingReferences allow\nSCIMUniqueGroupNames Off\n</SCIMTenantPolicy>\n",
);
my ($code) = $s->scimctl('tenant', 'create', 'easy');
die "no second tenant\n" if $code;
my %easy = (authorization => 'Bearer ' . $s->new_token(tenant => 'easy'));
$s->start;
my $rfc = $s->url('/rfc/v2');

sub total
{
    my ($endpoint) = @_;
    return $s->get("$endpoint?count=0")->json->{totalResults};
}

sub new_name
{
    our $last //= 0;
    return 'user' . ++$last;
}

# The resource as it is stored, or the error.
sub posted
{
    my ($body, $base) = @_;
    return $s->post(($base // '') . '/Users', $body)->json;
}

# Bodies, by what they try, that must all be refused in the same way at an endpoint and leave nothing.
sub all_refused
{
    my ($path, $status, $type, @bodies) = @_;
    my ($endpoint) = $path =~ m{(/Users|/Groups)$};
    my $before = total($endpoint);
    while (my ($what, $body) = splice @bodies, 0, 2) {
        is_error($s->post($path, $body), $status, $type, $what);
    }
    is(total($endpoint), $before, 'nothing was made');
}

subtest 'C-030 POST makes a resource and tells all of it' => sub {
    my $r = $s->post('/Users', user('bjensen', name => { familyName => 'Jensen' }, active => \1));
    is($r->status, 201, 'the status');
    my $json = $r->json;
    is($r->header('location'), $json->{meta}{location}, 'Location');
    is($json->{meta}{location}, $s->base . "/Users/$json->{id}", 'meta.location');
    is($r->header('etag'), $json->{meta}{version}, 'ETag');
    is_deeply([sort keys %$json], [qw(active id meta name schemas userName)], 'all that was sent, id and meta');
    is_deeply($s->get($json->{meta}{location})->json, $json, 'it is there, the same');
    my $group = $s->post('/Groups', group('Tour Guides', $json->{id}));
    is($group->status, 201, 'a group');
    is($group->header('location'), $s->base . '/Groups/' . $group->json->{id}, 'its Location');
    is_deeply($s->get($group->header('location'))->json, $group->json, 'it is there, the same');
};

subtest 'C-031 the server makes id and meta' => sub {
    my (%seen, $last);
    for my $i (1 .. 5) {
        for my $json (posted(user(new_name())), made($s, '/Groups', group("Group $i"))) {
            like($json->{id}, qr/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'id is a UUIDv7');
            ok(!$seen{ $json->{id} }++, 'id is new, whatever the type');
            ok(!defined $last || $last lt $json->{id}, 'ids grow');
            $last = $json->{id};
            is($json->{meta}{created}, $json->{meta}{lastModified}, 'created and lastModified');
            is($json->{meta}{resourceType}, $json->{userName} ? 'User' : 'Group', 'resourceType');
        }
    }
};

subtest 'C-032 what only the server may write is ignored' => sub {
    my $name = new_name();
    my $json = posted(user(
        $name,
        id => 'chosen',
        meta => {
            created => '1999-01-01T00:00:00Z',
            lastModified => '1999-01-01T00:00:00Z',
            location => 'https://evil.example/Users/1',
            resourceType => 'Group',
            version => 'W/"77"',
        },
        groups => [{ value => $NOBODY, display => 'Admins' }],
        $ENTERPRISE => { manager => { displayName => 'A Boss' }, department => 'x' },
    ));
    isnt($json->{id}, 'chosen', 'id');
    is($json->{meta}{resourceType}, 'User', 'meta.resourceType');
    is($json->{meta}{location}, $s->base . "/Users/$json->{id}", 'meta.location');
    isnt($json->{meta}{version}, 'W/"77"', 'meta.version');
    unlike($json->{meta}{created}, qr/^1999/, 'meta.created');
    ok(!exists $json->{groups}, 'groups');
    is_deeply($json->{$ENTERPRISE}, { department => 'x' }, 'manager.displayName');
    is($s->post("$rfc/Users", user(new_name(), id => 7, meta => 'x', groups => 1))->status, 201, 'rfc too, even of a wrong type');
};

subtest 'C-033 a userName is taken in every way to write it' => sub {
    made($s, '/Users', user("J\x{fc}rgen\@example.com"));
    all_refused('/Users', 409, 'uniqueness',
        'the same' => user("J\x{fc}rgen\@example.com"),
        'other case' => user("J\x{dc}RGEN\@EXAMPLE.com"),
        'decomposed' => user("Ju\x{308}rgen\@example.com"),
        'full width' => user("\x{ff2a}\x{fc}rgen\@example.com"),
        'all of it' => user("\x{ff2a}U\x{308}RGEN\@EXAMPLE.COM"),
    );
    is($s->post('/Users', user('Jurgen@example.com'))->status, 201, 'another letter is another name');
    is($s->post('/Users', user("J\x{fc}rgen\@example.com"), %easy)->status, 201, 'another tenant is another world');
};

subtest 'C-034 a user needs a userName' => sub {
    all_refused('/Users', 400, 'invalidValue',
        'none' => { schemas => [$USER] },
        'empty' => user(''),
        'null' => user(undef),
        'an empty list' => user([]),
    );
};

subtest 'C-035 schemas must be there and make sense' => sub {
    my $x = sub { return { schemas => $_[0], userName => 'schemas' } };
    all_refused('/Users', 400, 'invalidSyntax', 'none' => { userName => 'x' }, 'empty' => $x->([]));
    all_refused('/Users', 400, 'invalidValue',
        'one twice' => $x->([$USER, $USER]),
        'one twice, in other case' => $x->([$USER, uc $USER]),
        'an extension twice' => $x->([$USER, $ENTERPRISE, $ENTERPRISE]),
    );
    all_refused("$rfc/Users", 400, 'invalidValue',
        'rfc: an unknown one' => $x->([$USER, 'urn:example:unknown']),
        'rfc: unknown ones only' => $x->([$FOREIGN]),
        'rfc: that of a group' => $x->([$GROUP]),
        'rfc: an extension only' => $x->([$ENTERPRISE]),
        'rfc: one twice' => $x->([$USER, $USER]),
    );
    is_deeply(posted({ schemas => [$USER, $FOREIGN], userName => new_name() })->{schemas}, [$USER], 'interop: an unknown one');
    is_deeply(posted({ schemas => [$FOREIGN], userName => new_name() })->{schemas}, [$USER], 'interop: unknown ones only');
    my $group = made($s, '/Groups', { schemas => [$GROUP, $FOREIGN], displayName => 'From Entra' });
    is_deeply($group->{schemas}, [$GROUP], 'interop: what Entra sends with a group');
};

subtest 'C-036 the order of schemas does not matter' => sub {
    for my $base ('', $rfc) {
        my $json = posted({ schemas => [$ENTERPRISE, $USER], userName => new_name(), $ENTERPRISE => { department => 'x' } }, $base);
        is_deeply([sort @{ $json->{schemas} }], [sort $USER, $ENTERPRISE], 'both are told');
        is_deeply($json->{$ENTERPRISE}, { department => 'x' }, 'the extension');
    }
};

subtest 'C-037 attributes of an extension add its URN to schemas' => sub {
    for my $base ('', $rfc) {
        my $json = posted(user(new_name(), $ENTERPRISE => { employeeNumber => '701984' }), $base);
        is_deeply($json->{schemas}, [$USER, $ENTERPRISE], 'the URN');
        is_deeply($json->{$ENTERPRISE}, { employeeNumber => '701984' }, 'the attributes');
    }
};

subtest 'C-038 schemas tell of the extensions with data only' => sub {
    for my $base ('', $rfc) {
        my $both = [$USER, $ENTERPRISE];
        is_deeply(posted({ schemas => $both, userName => new_name() }, $base)->{schemas}, [$USER], 'not there');
        my $json = posted({ schemas => $both, userName => new_name(), $ENTERPRISE => {} }, $base);
        is_deeply($json->{schemas}, [$USER], 'empty');
        ok(!exists $json->{$ENTERPRISE}, 'and not told');
    }
};

subtest 'C-039 an attribute that no schema has is ignored, in rfc refused' => sub {
    my @bodies = (
        'at the top' => user(new_name(), foo => 1),
        'in a complex attribute' => user(new_name(), name => { givenName => 'x', foo => 1 }),
        'in an element' => user(new_name(), emails => [{ value => 'x@example.com', foo => 1 }]),
        'in an extension' => user(new_name(), $ENTERPRISE => { department => 'x', foo => 1 }),
        'an unknown extension' => user(new_name(), 'urn:example:unknown' => { foo => 1 }),
    );
    all_refused("$rfc/Users", 400, 'invalidSyntax', @bodies);
    while (my ($what, $body) = splice @bodies, 0, 2) {
        my $r = $s->post('/Users', $body);
        is($r->status, 201, "interop: $what");
        unlike($r->content, qr/foo/, "interop: $what: not kept");
    }
};

subtest 'C-040 a value of the wrong JSON type is refused' => sub {
    my @bodies = (
        'userName a number' => user(17),
        'userName a boolean' => user(\1),
        'userName an object' => user({ value => 'x' }),
        'userName a list' => user(['x']),
        'displayName a number' => user('x', displayName => 1),
        'active a number' => user('x', active => 1),
        'active a word' => user('x', active => 'yes'),
        'active an object' => user('x', active => {}),
        'name a string' => user('x', name => 'Barbara Jensen'),
        'name a list' => user('x', name => [{ givenName => 'x' }]),
        'givenName a boolean' => user('x', name => { givenName => \1 }),
        'emails a list of numbers' => user('x', emails => [1]),
        'emails a number' => user('x', emails => 1),
        'emails.value a number' => user('x', emails => [{ value => 1 }]),
        'emails.primary a word' => user('x', emails => [{ value => 'x', primary => 'maybe' }]),
        'the extension a string' => user('x', $ENTERPRISE => 'x'),
        'employeeNumber a number' => user('x', $ENTERPRISE => { employeeNumber => 701984 }),
        'externalId a number' => user('x', externalId => 1),
        'phoneNumbers a list in a list' => user('x', phoneNumbers => [[{ value => 'x' }]]),
    );
    all_refused("$rfc/Users", 400, 'invalidValue', @bodies);
    all_refused('/Users', 400, 'invalidValue', @bodies);
    all_refused('/Groups', 400, 'invalidValue',
        'members a string' => { %{ group('x') }, members => 'x' },
        'members a list of numbers' => { %{ group('x') }, members => [1] },
        'displayName a number' => group(1),
    );
    all_refused("$rfc/Users", 400, 'invalidValue',
        'rfc: "true" for a boolean' => user('x', active => 'true'),
        'rfc: an object for a list' => user('x', emails => { value => 'x' }),
        'rfc: strings for objects' => user('x', emails => ['x']),
        'rfc: a string for a list' => user('x', emails => 'x'),
    );
    for my $emails ({ value => 'x' }, ['x'], 'x') {
        is_deeply(posted(user(new_name(), emails => $emails))->{emails}, [{ value => 'x' }], 'interop: one value of many');
    }
    for my $word (qw(true True TRUE)) {
        is(posted(user(new_name(), active => $word))->{active}, JSON::PP::true, "interop: \"$word\" is true");
    }
    my $off = $s->post('/Users', user(new_name(), active => 'False'));
    like($off->content, qr/"active":false/, 'interop: "False" is false, and told as a boolean');
};

subtest 'C-042 times are told in UTC, with Z and one precision' => sub {
    my $meta = posted(user(new_name()))->{meta};
    like($meta->{$_}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, $_) for qw(created lastModified);
};

subtest 'C-043 a binary value is base64, and no more is asked of it' => sub {
    all_refused('/Users', 400, 'invalidValue',
        'no base64' => user('x', x509Certificates => [{ value => '!!!' }]),
        'one character' => user('x', x509Certificates => [{ value => 'A' }]),
    );
    for my $value ('TUlJQg==', 'TUlJQg', 'TUlJ') {
        my $json = posted(user(new_name(), x509Certificates => [{ value => $value }]));
        is($json->{x509Certificates}[0]{value}, $value, $value);
    }
};

subtest 'C-044 a reference is kept as it was sent' => sub {
    for my $url ('https://login.Example.com/BJensen?a=%C3%A4', '/Profiles/../bjensen', 'bjensen', 'HTTP://EXAMPLE.com/') {
        is(posted(user(new_name(), profileUrl => $url))->{profileUrl}, $url, $url);
    }
};

subtest 'C-045 no object in a sub-attribute' => sub {
    my @bodies = (
        'in name' => user('x', name => { givenName => { a => 1 } }),
        'in an element' => user('x', emails => [{ value => { a => 1 } }]),
        'a list' => user('x', emails => [{ value => ['x'] }]),
    );
    all_refused('/Users', 400, 'invalidValue', @bodies);
    all_refused("$rfc/Users", 400, 'invalidValue', @bodies);
};

sub primaries
{
    my ($json) = @_;
    return join ',', map { $_->{value} } grep { $_->{primary} } @{ $json->{emails} };
}

subtest 'C-046 one primary at most' => sub {
    my @both = (emails => [{ value => 'a', primary => \1 }, { value => 'b', primary => \1 }, { value => 'c', primary => \0 }]);
    is(primaries(posted(user(new_name(), @both))), 'b', 'interop: the last keeps it');
    all_refused("$rfc/Users", 400, 'invalidValue', 'rfc: refused' => user('x', @both));
    is(primaries(posted(user(new_name(), emails => [{ value => 'a', primary => \1 }, { value => 'b' }]), $rfc)), 'a', 'one is fine');
};

subtest 'C-047 the same value of the same type is stored once' => sub {
    my $json = posted(user(new_name(), emails => [
        { value => 'a@example.com', type => 'work' },
        { value => 'a@example.com', type => 'work' },
        { value => 'a@example.com', type => 'home' },
    ]));
    is_deeply([map { $_->{type} } @{ $json->{emails} }], [qw(work home)], 'in a body');
    my $group = made($s, '/Groups', group('Twice', $json->{id}, $json->{id}));
    is(scalar @{ $group->{members} }, 1, 'members too');
};

subtest 'C-048 null and [] are no value' => sub {
    for my $base ('', $rfc) {
        my $json = posted(user(new_name(), title => undef, emails => [], name => undef, nickName => 'x', $ENTERPRISE => undef), $base);
        is_deeply([sort keys %$json], [qw(id meta nickName schemas userName)], 'they are not told');
        my $found = $s->get('/Users?filter=' . esc(qq(id eq "$json->{id}" and (title pr or emails pr or name pr))))->json;
        is($found->{totalResults}, 0, 'nor found by pr');
        $found = $s->get('/Users?filter=' . esc(qq(id eq "$json->{id}" and nickName pr)))->json;
        is($found->{totalResults}, 1, 'what is there is');
    }
};

subtest 'C-049 "" is no value' => sub {
    my $json = posted(user(new_name(), title => '', name => { givenName => '', familyName => 'x' }));
    ok(!exists $json->{title}, 'of an attribute');
    is_deeply($json->{name}, { familyName => 'x' }, 'of a sub-attribute');
    all_refused('/Groups', 400, 'invalidValue', 'of a required one' => group(''));
};

subtest 'C-050 a password is taken and never seen again' => sub {
    my $secret = 'Pa55-word-nobody-else-has';
    my $r = $s->post('/Users', user('secretive', password => $secret));
    is($r->status, 201, 'POST');
    my $path = '/Users/' . $r->json->{id};
    for my $r (
        $r,
        $s->get($path),
        $s->get("$path?attributes=password"),
        $s->get('/Users?filter=' . esc('userName eq "secretive"')),
        $s->put($path, user('secretive', password => $secret)),
        $s->patch($path, ops(['replace', 'password', $secret])),
        $s->patch($path, ops(['replace', undef, { password => $secret, title => 'x' }])),
        $s->post('/Users', user('secretive', password => $secret)),
        $s->post('/Users', user(new_name(), password => { value => $secret })),
    ) {
        unlike($r->content . join(' ', values %{ $r->headers }), qr/Pa55|"password"/, 'no answer tells it: ' . $r->status);
    }
    unlike(join("\n", $s->error_log, $s->access_log), qr/Pa55/, 'no log');
    unlike($s->store_bytes, qr/\Q$secret\E/, 'nor does the store');
    like($s->store_bytes, qr/secretive/, 'where other values are found');
};

subtest 'C-051 a country is stored as two letters where it is known' => sub {
    my %stored = (
        'United States' => 'US', 'united states' => 'US', USA => 'US', Deutschland => 'Deutschland', Germany => 'DE', DEU => 'DE',
        DE => 'DE', Narnia => 'Narnia', Brazil => 'BR'
    );
    for my $sent (sort keys %stored) {
        my $json = posted(user(new_name(), addresses => [{ country => $sent, region => 'USA', type => 'work' }]));
        is($json->{addresses}[0]{country}, $stored{$sent}, $sent);
        is($json->{addresses}[0]{region}, 'USA', 'nothing else is changed');
    }
    my @verbatim = (locale => 'en_us', timezone => 'Mitteleuropa', preferredLanguage => 'EN', phoneNumbers => [{ value => '(0)1 2' }]);
    my $json = posted(user(new_name(), @verbatim));
    my %sent = @verbatim;
    is_deeply({ map { $_ => $json->{$_} } keys %sent }, \%sent, 'locale, timezone, language and phone are as they were sent');
};

subtest 'C-052 POST can ask for a part of the answer' => sub {
    my $r = $s->post('/Users?attributes=userName', user('part', title => 'x'));
    is($r->status, 201, 'the status');
    is_deeply([sort keys %{ $r->json }], [qw(id schemas userName)], 'the part');
    is($r->header('location'), $s->base . '/Users/' . $r->json->{id}, 'Location is there');
    ok($r->header('etag'), 'ETag is there');
    is($s->get($r->header('location'))->json->{title}, 'x', 'all is stored');
    is_error($s->post('/Users?attributes=id&excludedAttributes=name', user('both')), 400, 'invalidValue', 'both parameters');
    is($s->get('/Users?filter=' . esc('userName eq "both"'))->json->{totalResults}, 0, 'and nothing was made');
};

subtest 'C-053 values keep their case' => sub {
    my $json = posted(user("McDonald$$", title => 'dE', externalId => 'aB', emails => [{ value => 'A@B.c', type => 'Work' }]));
    is($json->{userName}, "McDonald$$", 'userName');
    is($json->{externalId}, 'aB', 'externalId');
    is($json->{title}, 'dE', 'title');
    is_deeply($json->{emails}, [{ value => 'A@B.c', type => 'Work' }], 'emails');
};

subtest 'C-054 core attributes may stand under their URN' => sub {
    my $json = posted({ schemas => [$USER], $USER => { userName => 'nested', name => { givenName => 'x' } }, title => 'y' });
    is($json->{userName}, 'nested', 'userName');
    is_deeply($json->{name}, { givenName => 'x' }, 'name');
    is($json->{title}, 'y', 'what stands at the top');
    ok(!exists $json->{$USER}, 'told at the top');
};

subtest 'C-056 an id that nobody has' => sub {
    all_refused('/Groups', 400, 'invalidValue',
        'as a member' => group('x', $NOBODY),
        'no id at all' => group('x', 'bjensen'),
        'beside one who is there' => group('x', posted(user(new_name()))->{id}, $NOBODY),
    );
    my $boss = { $ENTERPRISE => { manager => { value => $NOBODY } } };
    all_refused("$rfc/Users", 400, 'invalidValue', 'rfc: as the manager' => user('x', %$boss));
    my $json = posted(user(new_name(), %$boss));
    is_deeply($json->{$ENTERPRISE}, { manager => { value => $NOBODY } }, 'interop: the manager is kept, without $ref');
    my $made = $s->post('/Groups', group('Loose', $NOBODY), %easy);
    is($made->status, 201, 'SCIMDanglingReferences allow');
    is($made->json->{members}[0]{value}, $NOBODY, 'the member is stored');
    is($s->post("$rfc/Users", user('loose', %$boss), %easy)->status, 201, 'and a manager in rfc');
};

subtest 'C-056 a manager who is there has a $ref' => sub {
    my $boss = posted(user(new_name()));
    for my $base ('', $rfc) {
        for my $sent ({ value => $boss->{id} }, { value => $boss->{id}, '$ref' => "https://evil.example/Users/$NOBODY" }) {
            my $json = posted(user(new_name(), $ENTERPRISE => { manager => $sent }), $base);
            my $told = { value => $boss->{id}, '$ref' => ($base || $s->base) . "/Users/$boss->{id}" };
            is_deeply($json->{$ENTERPRISE}{manager}, $told, 'the $ref is ours');
        }
    }
};

subtest 'C-057 a group needs a displayName' => sub {
    all_refused('/Groups', 400, 'invalidValue', 'none' => { schemas => [$GROUP] }, 'null' => group(undef), 'empty' => group(''));
};

subtest 'C-058 a displayName of a group is taken' => sub {
    made($s, '/Groups', group("\x{c4}rzte"));
    all_refused('/Groups', 409, 'uniqueness',
        'the same' => group("\x{c4}rzte"), 'other case' => group("\x{e4}RZTE"), 'decomposed' => group("A\x{308}rzte"));
    is($s->post('/Groups', group('Same'), %easy)->status, 201, 'SCIMUniqueGroupNames Off: the first');
    is($s->post('/Groups', group('same'), %easy)->status, 201, 'and the second');
    is($s->get('/Groups?filter=' . esc('displayName eq "SAME"'), %easy)->json->{totalResults}, 2, 'both are found');
};

$s->log_clean;
done_testing();
