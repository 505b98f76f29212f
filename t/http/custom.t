#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# An organisation's own schemas and resource types: the examples that are
# shipped, a type that has every kind of attribute, and what a broken document
# is told.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Copy qw(copy);
use File::Temp ();
use JSON::PP ();
use Scim::Httpd;
use Test::More;

my $EXAMPLES = "$FindBin::Bin/../../conf/examples";
my $DEVICE = 'urn:example:params:scim:schemas:core:2.0:Device';
my $ORGANISATION = 'urn:example:params:scim:schemas:extension:organisation:2.0:User';
my $PROBE = 'urn:example:params:scim:schemas:core:2.0:Probe';
my $SETUP = 'urn:example:params:scim:schemas:extension:setup:2.0:Probe';
my $SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:Schema';
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my $json = JSON::PP->new->utf8->canonical;

sub spew
{
    my ($path, $content) = @_;
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out ref $content ? $json->encode($content) : $content;
    close $out or die "$path: $!\n";
    return $path;
}

# --- documents of a type that has everything -----------------------------------

sub attribute
{
    my ($name, $type, %more) = @_;
    return { name => $name, type => $type, %more };
}

sub reference
{
    my ($name, $to, %more) = @_;
    my @subs = (attribute('value', 'string', caseExact => $yes), attribute('$ref', 'reference', referenceTypes => $to));
    return attribute($name, 'complex', subAttributes => \@subs, %more);
}

my %many = (multiValued => $yes);
my %asked = (returned => 'request');
my %probe = (
    id => $PROBE,
    name => 'Probe',
    attributes => [
        attribute('name', 'string', required => $yes),
        attribute('exact', 'string', caseExact => $yes),
        attribute('loose', 'string'),
        attribute('flag', 'boolean'),
        attribute('number', 'integer', uniqueness => 'global'),
        attribute('ratio', 'decimal'),
        attribute('when', 'dateTime', uniqueness => 'server'),
        attribute('blob', 'binary'),
        attribute('link', 'reference', referenceTypes => ['external']),
        attribute('words', 'string', %many),
        attribute('exactWords', 'string', caseExact => $yes, %many),
        attribute('numbers', 'integer', %many),
        attribute('ratios', 'decimal', %many),
        attribute('dates', 'dateTime', %many),
        attribute('flags', 'boolean', %many),
        attribute('hint', 'string', canonicalValues => ['one', 'two']),
        attribute('fixed', 'string', mutability => 'immutable'),
        attribute('given', 'string', mutability => 'readOnly'),
        attribute('shown', 'string', returned => 'always'),
        attribute('asked', 'string', %asked),
        attribute('veiled', 'string', returned => 'never'),
        attribute('secret', 'string', mutability => 'writeOnly', returned => 'never'),
        attribute('kit', 'complex', subAttributes => [
            attribute('label', 'string'),
            attribute('size', 'decimal'),
            attribute('serial', 'string', mutability => 'immutable'),
            attribute('plan', 'string', %asked),
            attribute('key', 'string', mutability => 'writeOnly', returned => 'never'),
        ]),
        attribute('parts', 'complex', %many, subAttributes => [
            attribute('value', 'string'),
            attribute('type', 'string'),
            attribute('primary', 'boolean'),
            attribute('weight', 'integer'),
            attribute('note', 'string', %asked),
        ]),
        reference('device', ['Device']),
        reference('peers', ['User', 'Probe'], %many),
    ],
);
my %setup = (
    id => $SETUP,
    name => 'Setup',
    attributes => [attribute('room', 'string', required => $yes), attribute('code', 'string', uniqueness => 'server'), attribute('map', 'string', %asked)],
);
my %probe_type = (name => 'Probe', endpoint => '/Probes', schema => $PROBE, schemaExtensions => [{ schema => $SETUP, required => $yes }]);

# --- the server: the examples as they are, and the probe ------------------------

sub location
{
    my ($base, $more) = @_;
    return "<Location \"$base\">\nSCIMEngine On\nAuthType Bearer\nAuthName SCIM\nRequire valid-user\n$more\n</Location>\n";
}

my $s = Scim::Httpd->new(
    start => 0,
    conf => slurp("$EXAMPLES/device.conf") . "SCIMSchema scim/probe.json\nSCIMSchema scim/setup.json\nSCIMResourceType scim/probe-type.json\n",
    locations => location('/scim/v2', '') . location('/rfc/v2', 'SCIMProfile rfc'),
);
my $dir = $s->dir . '/scim';
mkdir $dir or die "$dir: $!\n";
copy($_, $dir) or die "$_: $!\n" for glob "$EXAMPLES/*.json";
spew("$dir/probe.json", \%probe);
spew("$dir/setup.json", \%setup);
spew("$dir/probe-type.json", \%probe_type);
$s->start;

sub rfc { return $s->url("/rfc/v2$_[0]") }

sub device
{
    my (%more) = @_;
    return { schemas => [$DEVICE], %more };
}

sub probe
{
    my (%more) = @_;
    return { schemas => [$PROBE, $SETUP], name => 'p', $SETUP => { room => '1' }, %more };
}

sub patch_op
{
    return { schemas => [$PATCH_OP], Operations => [@_] };
}

sub op
{
    my ($op, $path, @value) = @_;
    return { op => $op, defined $path ? (path => $path) : (), @value ? (value => $value[0]) : () };
}

# Makes one, or dies with what the server said.
sub make
{
    my ($path, $body) = @_;
    my $r = $s->post($path, $body);
    $r->status == 201 or die "POST $path: " . $r->content . "\n";
    return $r->json;
}

sub found
{
    my ($path, $filter) = @_;
    my $r = $s->get("$path?filter=" . esc($filter));
    return $r->status == 200 ? join(' ', sort map { $_->{id} } @{ $r->json->{Resources} }) : $r->content;
}

# --- discovery ------------------------------------------------------------------

my %type = map { $_->{id} => $_ } @{ $s->get('/ResourceTypes')->json->{Resources} };
my %schema = map { $_->{id} => $_ } @{ $s->get('/Schemas')->json->{Resources} };

sub each_attribute
{
    my ($sub, $attributes, $where) = @_;
    for my $one (@$attributes) {
        $sub->($one, "$where.$one->{name}");
        each_attribute($sub, $one->{subAttributes} || [], "$where.$one->{name}");
    }
}

subtest 'C-275 own resource types are listed, User is extended in its place' => sub {
    is(join(' ', map { $_->{id} } @{ $s->get('/ResourceTypes')->json->{Resources} }), 'User Group Device Probe', 'the types');
    my $meta = { resourceType => 'ResourceType', location => $s->base . '/ResourceTypes/Device' };
    is_deeply($type{Device}, { %{ $json->decode(slurp("$EXAMPLES/device-type.json")) }, meta => $meta }, 'Device as its file has it');
    is_deeply($s->get('/ResourceTypes/Device')->json, $type{Device}, 'alone');
    is($type{Probe}{id}, 'Probe', 'an id that the file left out');
    is_deeply([map { $_->{schema} } @{ $type{User}{schemaExtensions} }], [$ENTERPRISE, $ORGANISATION], "User's extensions");
    is($type{User}{endpoint}, '/Users', "User's endpoint");
};

subtest 'C-276 own schemas are published with all characteristics' => sub {
    is_deeply(
        $schema{$DEVICE},
        { %{ $json->decode(slurp("$EXAMPLES/device-schema.json")) }, meta => { resourceType => 'Schema', location => $s->base . "/Schemas/$DEVICE" } },
        'Device as its file has it'
    );
    is_deeply($schema{$PROBE}{schemas}, [$SCHEMA], 'schemas that the file left out');
    each_attribute(
        sub {
            my ($one, $where) = @_;
            my @missing = grep { !exists $one->{$_} } qw(name type multiValued required mutability returned);
            push @missing, grep { !exists $one->{$_} } qw(caseExact uniqueness) if $one->{type} =~ /^(?:string|reference|binary)$/;
            is("@missing", '', "$where lacks nothing");
        },
        $schema{$_}{attributes},
        $schema{$_}{name}
    ) for $PROBE, $SETUP, $ORGANISATION;
};

subtest 'C-277 the schemas of the types are published, and no others' => sub {
    my %named = map { $_->{schema} => 1, map({ $_->{schema} => 1 } @{ $_->{schemaExtensions} || [] }) } values %type;
    $named{"urn:ietf:params:scim:schemas:core:2.0:$_"} = 1 for qw(ServiceProviderConfig ResourceType Schema);
    is_deeply([sort keys %schema], [sort keys %named], 'the URNs');
    is($s->get("/Schemas/$_")->status, 200, $_) for sort keys %named;
};

subtest 'C-278 own attributes have what belongs to their type' => sub {
    each_attribute(
        sub {
            my ($one, $where) = @_;
            is(exists $one->{subAttributes}, $one->{type} eq 'complex', "$where: subAttributes");
            is(exists $one->{referenceTypes}, $one->{type} eq 'reference', "$where: referenceTypes");
            ok(!exists $one->{caseExact} && !exists $one->{uniqueness}, "$where: a complex attribute is neither") if $one->{type} eq 'complex';
            ok($one->{caseExact}, "$where: caseExact") if $one->{type} =~ /^(?:reference|binary)$/;
        },
        $schema{$_}{attributes},
        $schema{$_}{name}
    ) for $DEVICE, $PROBE, $SETUP, $ORGANISATION;
};

subtest 'C-281 own documents have no null' => sub {
    unlike($s->get($_)->content, qr/:null|\[null|,null/, $_) for '/Schemas', '/ResourceTypes', "/Schemas/$PROBE", '/ResourceTypes/Probe';
};

# --- the example: devices ---------------------------------------------------------

my $bob = make('/Users', { schemas => [$USER], userName => 'bob' });
my $laptop;

subtest 'C-280 all that Device declares is stored and returned' => sub {
    my %value = (
        serialNumber => 'SN-1',
        displayName => "Bob's laptop",
        model => 'X 200',
        kind => 'laptop',
        active => $yes,
        lastSeen => '2026-01-02T03:04:05Z',
        memory => 16384,
        supportPage => 'https://example.com/x200',
        certificate => 'AQID',
        tags => ['Blue', 'spare'],
        firmware => { vendor => 'Example', version => 2.5, installed => '2025-12-31T23:00:00Z' },
        interfaces => [{ value => '00:01', type => 'wifi', primary => $yes }, { value => '00:02', type => 'ethernet' }],
    );
    my $r = $s->post('/Devices', device(%value, owner => { value => $bob->{id} }, unlockCode => 'open sesame'));
    is($r->status, 201, 'it is made');
    $laptop = $r->json;
    is($r->header('location'), $s->base . "/Devices/$laptop->{id}", 'Location');
    is($laptop->{meta}{resourceType}, 'Device', 'meta.resourceType');
    is($laptop->{meta}{location}, $r->header('location'), 'meta.location');
    is_deeply($laptop->{schemas}, [$DEVICE], 'schemas');
    my %shown = (%value, owner => { value => $bob->{id}, '$ref' => $s->base . "/Users/$bob->{id}" });
    $shown{lastSeen} = $laptop->{lastSeen};
    like($laptop->{lastSeen}, qr/^2026-01-02T03:04:05(?:\.0+)?Z$/, 'a dateTime in its canonical form');
    $shown{firmware}{installed} = $laptop->{firmware}{installed};
    is_deeply($laptop->{$_}, $shown{$_}, $_) for sort keys %shown;
    like($r->content, qr/"version":2\.5[,}]/, 'a decimal is written as it was sent');
    unlike($r->content, qr/unlockCode|sesame/, 'what is writeOnly is not returned');
    is_deeply($s->get("/Devices/$laptop->{id}")->json, { map { $_ => $laptop->{$_} } grep { $_ ne 'certificate' } keys %$laptop },
        'read again, all but what is returned on request');
};

subtest 'C-280 all that Device declares can be filtered by' => sub {
    my $other = make('/Devices', device(serialNumber => 'SN-2'));
    my @match = (
        'serialNumber eq "sn-1"', 'displayName sw "bob"', 'model co "200"', 'kind eq "LAPTOP"', 'active eq true',
        'lastSeen eq "2026-01-02T04:04:05+01:00"', 'lastSeen gt "2026-01-01T00:00:00Z"', 'memory ge 16384', 'memory lt 16385',
        'supportPage ew "/x200"', 'certificate eq "AQID"', 'tags eq "blue"', 'tags[value eq "BLUE"]', 'tags co "pa"',
        'firmware.version gt 2.4', 'firmware.version eq 2.5', 'firmware.vendor eq "example"', 'firmware.installed lt "2026-01-01T00:00:00Z"',
        'interfaces[type eq "wifi" and value eq "00:01"]', 'interfaces.value eq "00:02"', 'interfaces[primary eq true]',
        "owner.value eq \"$bob->{id}\"", "owner eq \"$bob->{id}\"", "$DEVICE:serialNumber eq \"SN-1\"",
        'firmware pr', 'tags pr', 'not (memory pr) or memory gt 1 and active eq true and tags pr',
    );
    is(found('/Devices', "($_) and not (serialNumber eq \"SN-2\")"), $laptop->{id}, $_) for @match;
    is(found('/Devices', $_), '', $_)
        for 'supportPage eq "HTTPS://example.com/x200"', 'certificate eq "aqid"', 'interfaces[type eq "wifi" and value eq "00:02"]',
        'tags eq "gre"', 'memory gt 16384', 'serialNumber eq "SN-3"';
    is(found('/Devices', 'serialNumber pr'), join(' ', sort $laptop->{id}, $other->{id}), 'both have a serial number');
    is($s->delete("/Devices/$other->{id}")->status, 204, 'it is deleted');
    is_error($s->get("/Devices/$other->{id}"), 404, undef, 'and gone');
    is(found('/Devices', 'serialNumber eq "SN-2"'), '', 'from the index, too');
};

subtest 'C-103 filters on what is never returned are 403' => sub {
    is_error($s->get('/Devices?filter=' . esc('unlockCode eq "x"')), 403, 'sensitive', 'writeOnly');
    is_error($s->get('/Probes?filter=' . esc('veiled sw "x"')), 403, 'sensitive', 'returned never');
    is_error($s->get('/Probes?filter=' . esc('kit.key pr')), 403, 'sensitive', 'a sub-attribute');
};

subtest 'C-033 a value that the schema declares unique is taken once' => sub {
    my $r = $s->post('/Devices', device(serialNumber => 'sn-1'));
    is_error($r, 409, 'uniqueness', 'serialNumber in other case');
    like($r->json->{detail}, qr/serialNumber "sn-1" is already used by another Device/, 'the detail names it');
    my $free = make('/Devices', device(serialNumber => 'SN-9'));
    is($s->delete("/Devices/$free->{id}")->status, 204, 'deleted');
    my $again = make('/Devices', device(serialNumber => 'SN-9'));
    ok($again->{id} ne $free->{id}, 'its serial number is free again');

    make('/Users', { schemas => [$USER], userName => 'SN-9' });
    is($s->post('/Devices', device(serialNumber => 'bob'))->status, 201, "another attribute's values are other values");
    my $one = make('/Probes', probe(number => 7, when => '2026-01-01T00:00:00Z', $SETUP => { room => '1', code => 'C' }));
    is_error($s->post('/Probes', probe(number => 7)), 409, 'uniqueness', 'an integer');
    is_error($s->post('/Probes', probe(when => '2026-01-01T02:00:00+02:00')), 409, 'uniqueness', 'a dateTime in another zone');
    my $extension = $s->post('/Probes', probe($SETUP => { room => '2', code => 'c' }));
    is_error($extension, 409, 'uniqueness', 'an attribute of an extension');
    like($extension->json->{detail}, qr/\Q$SETUP\E:code "c"/, 'the detail names it with its URN');
    my $two = make('/Probes', probe(number => 8));
    is_error($s->patch("/Probes/$two->{id}", patch_op(op('replace', 'number', 7))), 409, 'uniqueness', 'by PATCH');
    is_error($s->put("/Probes/$two->{id}", probe(number => 7)), 409, 'uniqueness', 'by PUT');
    is(found('/Probes', 'number eq 7'), $one->{id}, 'the index finds an integer');
    is(found('/Probes', 'when eq "2025-12-31T23:00:00-01:00"'), $one->{id}, 'and a dateTime');
    is(found('/Probes', "$SETUP:code eq \"C\""), $one->{id}, 'and an attribute of an extension');
    is($s->patch("/Probes/$one->{id}", patch_op(op('remove', 'number')))->status, 200, 'taken back');
    is($s->patch("/Probes/$two->{id}", patch_op(op('replace', 'number', 7)))->status, 200, 'it is free');
    $s->delete("/Probes/$_->{id}") for $one, $two;
};

subtest 'C-059 of many at once one gets the value' => sub {
    my %seen;
    $seen{$_}++ for parallel(8, sub { return $s->post('/Devices', device(serialNumber => 'RACE'))->status });
    is_deeply(\%seen, { 201 => 1, 409 => 7 }, 'one of eight');
};

subtest 'C-154, C-195 an immutable attribute is set once' => sub {
    my $path = "/Devices/$laptop->{id}";
    is_error($s->patch($path, patch_op(op('replace', 'serialNumber', 'SN-5'))), 400, 'mutability', 'changed by PATCH');
    is_error($s->patch($path, patch_op(op('remove', 'serialNumber'))), 400, 'mutability', 'removed');
    is_error($s->put($path, device(serialNumber => 'SN-5')), 400, 'mutability', 'changed by PUT');
    is($s->patch($path, patch_op(op('replace', 'serialNumber', 'SN-1')))->status, 200, 'the value it has');
    my $kept = $s->put($path, device(displayName => 'x'));
    is($kept->status, 200, 'left out by PUT');
    is($kept->json->{serialNumber}, 'SN-1', 'it is kept');
    my $p = make('/Probes', probe());
    is($s->patch("/Probes/$p->{id}", patch_op(op('add', 'fixed', 'a')))->json->{fixed}, 'a', 'set where it was unset');
    is_error($s->patch("/Probes/$p->{id}", patch_op(op('add', 'fixed', 'b'))), 400, 'mutability', 'then not again');
    is($s->patch("/Probes/$p->{id}", patch_op(op('add', 'kit.serial', 'k')))->json->{kit}{serial}, 'k', 'a sub-attribute');
    is_error($s->patch("/Probes/$p->{id}", patch_op(op('replace', 'kit', { serial => 'l' }))), 400, 'mutability', 'nor that');
    $s->delete("/Probes/$p->{id}");
};

subtest 'C-212 a reference is cleared when its target is deleted' => sub {
    my $user = make('/Users', { schemas => [$USER], userName => 'carol' });
    my $d = make('/Devices', device(serialNumber => 'REF', owner => { value => $user->{id} }));
    is($d->{owner}{'$ref'}, $s->base . "/Users/$user->{id}", '$ref leads to it');
    my $p = make('/Probes', probe(device => { value => $d->{id} }, peers => [{ value => $user->{id} }, { value => $bob->{id} }]));
    is($p->{device}{'$ref'}, $s->base . "/Devices/$d->{id}", 'a reference between own types');
    is($s->delete("/Users/$user->{id}")->status, 204, 'the user is deleted');
    my $after = $s->get("/Devices/$d->{id}");
    is($after->json->{owner}, undef, 'no owner');
    ok($after->header('etag') ne $d->{meta}{version}, 'another version');
    is_deeply([map { $_->{value} } @{ $s->get("/Probes/$p->{id}")->json->{peers} }], [$bob->{id}], 'of several, the others stay');
    is($s->delete("/Devices/$d->{id}")->status, 204, 'the device is deleted');
    is($s->get("/Probes/$p->{id}")->json->{device}, undef, 'no device');
    $s->delete("/Probes/$p->{id}");
};

subtest 'C-056 a reference leads to what its referenceTypes name' => sub {
    is_error($s->post(rfc('/Devices'), device(serialNumber => 'N1', owner => { value => 'nobody' })), 400, 'invalidValue', 'to nothing');
    is_error($s->post(rfc('/Devices'), device(serialNumber => 'N2', owner => { value => $laptop->{id} })), 400, 'invalidValue', 'to a device');
};

subtest 'C-125 a search of everything finds own types' => sub {
    my $r = $s->get('/?filter=' . esc('meta.resourceType eq "Device" and serialNumber eq "SN-1"'));
    is(join(' ', map { $_->{id} } @{ $r->json->{Resources} }), $laptop->{id}, 'by an attribute of theirs');
};

# --- the example: the organisation's extension of User ------------------------------

subtest 'C-198, C-199 the extension on User, from POST to its end' => sub {
    my %extension = (costCode => 'K-17', badgeNumber => 'B100', clearance => 3, skills => ['Perl', 'first aid']);
    my $made = make('/Users', { schemas => [$USER, $ORGANISATION], userName => 'dora', $ORGANISATION => { %extension, hireDate => '2020-05-01T00:00:00Z' } });
    my $path = "/Users/$made->{id}";
    is_deeply([sort @{ $made->{schemas} }], [sort $USER, $ORGANISATION], 'schemas');
    is_deeply($made->{$ORGANISATION}{$_}, $extension{$_}, $_) for sort keys %extension;
    is_deeply($s->get($path)->json, $made, 'read again');
    is(found('/Users', "$ORGANISATION:$_"), $made->{id}, $_)
        for 'badgeNumber eq "b100"', 'costCode eq "K-17"', 'clearance gt 2', 'skills eq "perl"', 'skills[value sw "first"]', 'hireDate lt "2021-01-01T00:00:00Z"';
    is(found('/Users', "$ORGANISATION:costCode eq \"k-17\""), '', 'a caseExact value in other case');
    is_error($s->post('/Users', { schemas => [$USER], userName => 'eve', $ORGANISATION => { badgeNumber => 'b100' } }), 409, 'uniqueness', 'the badge is taken');

    my $enterprise = make('/Users', { schemas => [$USER, $ENTERPRISE], userName => 'eve', $ENTERPRISE => { department => 'IT' } });
    is($enterprise->{$ENTERPRISE}{department}, 'IT', 'the other extension is there');
    my $r = $s->patch($path, patch_op(op('add', "$ENTERPRISE:department", 'HR'), op('add', "$ORGANISATION:skills", ['Welsh']), op('replace', "$ORGANISATION:clearance", 4)));
    is($r->status, 200, 'PATCH');
    is_deeply([@{ $r->json->{schemas} }], [$USER, $ENTERPRISE, $ORGANISATION], 'both extensions');
    is_deeply($r->json->{$ORGANISATION}{skills}, ['Perl', 'first aid', 'Welsh'], 'a value more');
    is($r->json->{$ORGANISATION}{clearance}, 4, 'another value');
    $r = $s->get("$path?attributes=$ORGANISATION:badgeNumber");
    is_deeply($r->json->{$ORGANISATION}, { badgeNumber => 'B100' }, 'projected');
    is_deeply([grep { !/^(?:id|schemas)$/ } keys %{ $r->json }], [$ORGANISATION], 'and nothing else');
    my $sorted = $s->get('/Users?filter=' . esc('userName eq "dora" or userName eq "eve"') . "&sortBy=$ORGANISATION:clearance&sortOrder=descending");
    is(join(' ', map { $_->{userName} } @{ $sorted->json->{Resources} }), 'eve dora', 'sorted by it');
    is_error($s->patch($path, patch_op(op('replace', "$ORGANISATION:clearance", 'high'))), 400, 'invalidValue', 'a wrong type');
    is_error($s->patch($path, patch_op(op('replace', "$ORGANISATION:badge", 'x'))), 400, 'invalidPath', 'an unknown attribute');
    $r = $s->patch($path, patch_op(op('remove', $ORGANISATION)));
    is_deeply($r->json->{schemas}, [$USER, $ENTERPRISE], 'the whole extension removed');
    is($r->json->{$ORGANISATION}, undef, 'it is gone');
    is($s->patch("/Users/$enterprise->{id}", patch_op(op('add', "$ORGANISATION:badgeNumber", 'B100')))->status, 200, 'its badge is free');
    $s->delete("/Users/$_->{id}") for $made, $enterprise;
};

# --- every kind of attribute ---------------------------------------------------------

my %all = (
    exact => 'Aa', loose => 'Bb', flag => $no, number => 12, ratio => 1.1, blob => 'AAEC', link => 'https://example.com/A',
    words => ['One', 'two'], exactWords => ['X', 'x'], numbers => [3, 1], ratios => [0.1, 2], flags => [$yes], hint => 'three',
    kit => { label => 'K', size => 0.25, serial => 'S' }, parts => [{ value => 'v', type => 't', primary => $yes, weight => 2 }],
);

subtest 'C-280 each kind of attribute is stored, returned and read the same' => sub {
    my $r = $s->post('/Probes', probe(%all, when => '2026-03-01T12:00:00+01:00', dates => ['2026-01-01T00:00:00Z', '2026-01-01T01:00:00+01:00'], given => 'ignored'));
    is($r->status, 201, 'it is made') or diag $r->content;
    my $made = $r->json;
    is_deeply($made->{$_}, $all{$_}, $_) for sort keys %all;
    like($made->{when}, qr/^2026-03-01T11:00:00(?:\.0+)?Z$/, 'a dateTime in UTC');
    is(scalar @{ $made->{dates} }, 1, 'dates that are one are stored once');
    ok(!exists $made->{given}, 'a readOnly value is ignored');
    like($r->content, qr/"ratio":1\.1,/, 'a decimal as it was sent');
    like($r->content, qr/"ratios":\[0\.1,2\]/, 'decimals in a list');
    is_deeply($s->get("/Probes/$made->{id}")->json, $made, 'read again');
    is($s->get("/Probes/$made->{id}")->header('etag'), $r->header('etag'), 'the same version');
    my $put = $s->put("/Probes/$made->{id}", $made);
    is($put->status, 200, 'sent back as it was read');
    is($put->header('etag'), $r->header('etag'), 'C-158 nothing changed');
    $s->delete("/Probes/$made->{id}");
};

subtest 'C-039, C-197 what is not declared is not accepted' => sub {
    is_error($s->post(rfc('/Probes'), probe(colour => 'red')), 400, 'invalidSyntax', 'an attribute');
    is_error($s->post(rfc('/Probes'), probe(kit => { colour => 'red' })), 400, 'invalidSyntax', 'a sub-attribute');
    is_error($s->post(rfc('/Probes'), probe($SETUP => { room => '1', colour => 'red' })), 400, 'invalidSyntax', "an extension's");
    is_error($s->post(rfc('/Probes'), probe($ENTERPRISE => { department => 'x' })), 400, 'invalidSyntax', "another type's extension");
    is_error($s->get('/Probes?filter=' . esc('colour pr')), 400, 'invalidFilter', 'in a filter');
    is_error($s->get('/Devices?filter=' . esc("$ORGANISATION:skills pr")), 400, 'invalidFilter', "another type's in a filter");
    my $p = make('/Probes', probe());
    is_error($s->patch("/Probes/$p->{id}", patch_op(op('add', 'colour', 'red'))), 400, 'invalidPath', 'in a path');
    ok(!exists make('/Probes', probe(colour => 'red'))->{colour}, 'in the interop profile it is ignored');
};

subtest 'C-040, C-041, C-042, C-043 values of the wrong type' => sub {
    my %wrong = (
        exact => [7, $yes, {}, ['a']], flag => ['perhaps', 1], number => ['7', 1.5, $yes], ratio => ['1.1', $yes], when => ['2026-01-01', 'soon', 7],
        blob => ['!!!', 7], link => [7], words => [{ a => 1 }, [7]], numbers => [['1'], [1.5]], kit => ['k', 7, { size => 'big' }],
        parts => [[7], [{ weight => 'x' }]], dates => [['2026']], flags => [['x']],
    );
    for my $name (sort keys %wrong) {
        for my $value (@{ $wrong{$name} }) {
            is_error($s->post('/Probes', probe($name => $value)), 400, 'invalidValue', "$name: " . $json->allow_nonref->encode($value));
        }
    }
    for my $number (qw(1.0 1e3 9223372036854775808)) {
        my $body = $json->encode(probe()) =~ s/"name":/"number":$number,"name":/r;
        is_error($s->post('/Probes', $body), 400, $number =~ /8$/ ? 'invalidSyntax' : 'invalidValue', "number: $number");
    }
    is_error($s->post('/Probes', probe($SETUP => { room => 7 })), 400, 'invalidValue', "an extension's");
    is_error($s->post('/Probes', { schemas => [$PROBE, $SETUP], $SETUP => { room => '1' } }), 400, 'invalidValue', 'C-034 a required attribute missing');
    is_error($s->post('/Probes', probe($SETUP => { code => 'x' })), 400, 'invalidValue', "C-034 an extension's");
};

subtest 'C-055 an extension that the type requires' => sub {
    my $r = $s->post('/Probes', { schemas => [$PROBE], name => 'p' });
    is_error($r, 400, 'invalidValue', 'left out of a POST');
    like($r->json->{detail}, qr/\Q$SETUP\E/, 'the detail names it');
    my $p = make('/Probes', probe());
    is_error($s->put("/Probes/$p->{id}", { schemas => [$PROBE], name => 'p' }), 400, 'invalidValue', 'left out of a PUT');
    is_error($s->patch("/Probes/$p->{id}", patch_op(op('remove', $SETUP))), 400, 'invalidValue', 'removed by PATCH');
    is_deeply($s->get("/Probes/$p->{id}")->json->{$SETUP}, { room => '1' }, 'it is still there');
};

subtest 'C-066 what is returned on request comes when named, or when it was written' => sub {
    my $r = $s->post('/Probes', probe(asked => 'a', kit => { label => 'k', plan => 'p' }, parts => [{ value => 'v', note => 'n' }], $SETUP => { room => '1', map => 'm' }));
    is($r->status, 201, 'POST');
    my $made = $r->json;
    my $path = "/Probes/$made->{id}";
    is($made->{asked}, 'a', 'written by a POST');
    is_deeply($made->{kit}, { label => 'k', plan => 'p' }, 'a sub-attribute');
    is_deeply($made->{parts}, [{ value => 'v', note => 'n' }], 'of elements');
    is_deeply($made->{$SETUP}, { room => '1', map => 'm' }, "an extension's");
    my $read = $s->get($path)->json;
    ok(!exists $read->{asked}, 'absent by default');
    is_deeply($read->{kit}, { label => 'k' }, 'a sub-attribute');
    is_deeply($read->{parts}, [{ value => 'v' }], 'of elements');
    is_deeply($read->{$SETUP}, { room => '1' }, "an extension's");
    my ($listed) = grep { $_->{id} eq $made->{id} } @{ $s->get('/Probes')->json->{Resources} };
    is_deeply($listed, $read, 'in lists, too');
    $read = $s->get("$path?attributes=asked,kit.plan,$SETUP:map")->json;
    is_deeply([@$read{'asked', 'kit', $SETUP}], ['a', { plan => 'p' }, { map => 'm' }], 'named');
    is($read->{shown}, undef, 'what is returned always has no value here');

    $r = $s->patch($path, patch_op(op('replace', 'loose', 'x')));
    ok(!exists $r->json->{asked}, 'a PATCH of something else');
    $r = $s->patch($path, patch_op(op('replace', 'asked', 'b')));
    is($r->json->{asked}, 'b', 'written by a PATCH');
    ok(!exists $r->json->{kit}{plan}, 'what it did not write is not');
    is($s->patch($path, patch_op(op('replace', 'asked', 'b')))->json->{asked}, 'b', 'written with the value that it has');
    is($s->patch($path, patch_op(op('replace', undef, { kit => { plan => 'q' } })))->json->{kit}{plan}, 'q', 'without a path');
    is($s->patch($path, patch_op(op('replace', 'parts[value eq "v"].note', 'o')))->json->{parts}[0]{note}, 'o', 'by a value path');
    is($s->patch($path, patch_op(op('add', $SETUP, { map => 'n' })))->json->{$SETUP}{map}, 'n', "an extension's");
    $r = $s->patch("$path?attributes=loose", patch_op(op('replace', 'asked', 'c')));
    ok(!exists $r->json->{asked}, 'not where attributes names others');
    ok(!exists $s->patch("$path?excludedAttributes=asked", patch_op(op('replace', 'asked', 'd')))->json->{asked}, 'nor where it is excluded');
    is($s->patch("$path?excludedAttributes=loose", patch_op(op('replace', 'asked', 'e')))->json->{asked}, 'e', 'but where others are');

    $r = $s->put($path, probe(asked => 'f'));
    is($r->json->{asked}, 'f', 'written by a PUT');
    ok(!exists $s->put($path, probe())->json->{asked}, 'not written');
    is($s->get("$path?attributes=asked")->json->{asked}, undef, 'C-153 and so cleared');
};

subtest 'C-065 what is never returned is not, whoever asks' => sub {
    my $r = $s->post('/Probes', probe(veiled => 'v1', secret => 's1', kit => { label => 'k', key => 's2' }));
    my $path = '/Probes/' . $r->json->{id};
    unlike($_->content, qr/veiled|secret|"key"|"s1"|"s2"|"v1"/, $_->status . ' has none of them')
        for $r, $s->get($path), $s->get("$path?attributes=veiled,secret,kit.key"), $s->get('/Probes'),
        $s->patch($path, patch_op(op('replace', 'secret', 's1'))), $s->put($path, probe(veiled => 'v1', secret => 's1', kit => { key => 's2' }));
    is_error($s->get("/Probes?sortBy=$_"), 400, 'invalidValue', "sorted by $_") for qw(veiled secret kit.key);
};

subtest 'C-153 a PUT that leaves out what is writeOnly keeps it' => sub {
    my $made = make('/Probes', probe(secret => 's', kit => { key => 'k' }));
    my $path = "/Probes/$made->{id}";
    my $version = sub { return $s->get($path)->header('etag') };
    my $before = $version->();
    is($s->put($path, probe())->status, 200, 'without it');
    is($version->(), $before, 'nothing changed');
    is($s->put($path, probe(secret => 's', kit => { key => 'k' }))->status, 200, 'with the values that it has');
    is($version->(), $before, 'nothing changed');
    is($s->put($path, probe(secret => undef))->status, 200, 'with null');
    isnt($version->(), $before, 'it is cleared');
    $before = $version->();
    is($s->patch($path, patch_op(op('remove', 'kit.key')))->status, 200, 'removed by PATCH');
    isnt($version->(), $before, 'it is gone');
    $before = $version->();
    is($s->put($path, probe(secret => 't'))->status, 200, 'another');
    isnt($version->(), $before, 'it is set');
};

subtest 'C-064 what is returned always stays' => sub {
    my $p = make('/Probes', probe(shown => 's', loose => 'l'));
    is($s->get("/Probes/$p->{id}?attributes=loose")->json->{shown}, 's', 'beside attributes');
    is($s->get("/Probes/$p->{id}?excludedAttributes=shown")->json->{shown}, 's', 'excluded');
};

subtest 'C-194 readOnly attributes' => sub {
    my $p = make('/Probes', probe());
    is_error($s->patch("/Probes/$p->{id}", patch_op(op('add', 'given', 'x'))), 400, 'mutability', 'in a path');
    my $r = $s->patch("/Probes/$p->{id}", patch_op(op('add', undef, { given => 'x', loose => 'y' })));
    is($r->json->{loose}, 'y', 'in a value without a path: the others are taken');
    ok(!exists $r->json->{given}, 'and it is ignored');
};

subtest 'C-209 value paths over simple values' => sub {
    my $p = make('/Probes', probe(words => ['a', 'B', 'c'], exactWords => ['a', 'A'], numbers => [1, 2, 3], dates => ['2026-01-01T00:00:00Z']));
    my $path = "/Probes/$p->{id}";
    my $patch = sub { return $s->patch($path, patch_op(@_))->json };
    is_deeply($patch->(op('remove', 'words[value eq "b"]'))->{words}, ['a', 'c'], 'removed, without case');
    is_deeply($patch->(op('remove', 'exactWords[value eq "A"]'))->{exactWords}, ['a'], 'removed, with case');
    is_deeply($patch->(op('replace', 'words[value eq "a"]', 'z'))->{words}, ['z', 'c'], 'replaced');
    is_deeply($patch->(op('remove', 'numbers[value gt 1]'))->{numbers}, [1], 'numbers');
    is($patch->(op('remove', 'dates[value eq "2026-01-01T01:00:00+01:00"]'))->{dates}, undef, 'dates; none is left');
    is_deeply($patch->(op('add', 'words', 'c'), op('add', 'words', ['C', 'd']))->{words}, ['z', 'c', 'd'], 'C-176 added once');
    is_deeply($patch->(op('add', 'numbers', [1, 5]))->{numbers}, [1, 5], 'numbers are added once');
    is_error($s->patch(rfc($path), patch_op(op('remove', 'words[value eq "none"]'))), 400, 'noTarget', 'C-185 none matches');
    is_error($s->patch($path, patch_op(op('remove', 'words[type eq "x"]'))), 400, 'invalidPath', 'they have no sub-attributes');
    is_error($s->patch($path, patch_op(op('add', 'numbers', ['x']))), 400, 'invalidValue', 'C-202 a value of the wrong type');
};

subtest 'C-175, C-188, C-200 PATCH of complex attributes' => sub {
    my $p = make('/Probes', probe(kit => { label => 'a', size => 1.5 }, parts => [{ value => 'x', type => 't', primary => $yes }]));
    my $patch = sub { return $s->patch("/Probes/$p->{id}", patch_op(@_))->json };
    is_deeply($patch->(op('replace', 'kit', { size => 2.25 }))->{kit}, { label => 'a', size => 2.25 }, 'what is not named stays');
    is_deeply($patch->(op('remove', 'kit.label'))->{kit}, { size => 2.25 }, 'a sub-attribute removed');
    is($patch->(op('remove', 'kit.size'))->{kit}, undef, 'the last one too');
    my $parts = $patch->(op('add', 'parts', [{ value => 'y', primary => $yes }]))->{parts};
    is_deeply([map { $_->{primary} ? $_->{value} : () } @$parts], ['y'], 'one is primary');
    is_deeply($patch->(op('replace', 'parts[value eq "x"].weight', 4))->{parts}[0]{weight}, 4, 'by a value path');
    is(scalar @{ $patch->(op('remove', 'parts[value eq "y"]'))->{parts} }, 1, 'an element removed');
};

subtest 'C-080, C-081, C-082, C-083 filters over each kind' => sub {
    my $a = make('/Probes', probe(%all, name => 'one', number => 101, when => '2026-05-01T10:00:00Z', dates => ['2026-05-02T00:00:00Z']));
    my $id = $a->{id};
    is(found('/Probes', "id eq \"$id\" and $_"), $id, $_)
        for 'exact eq "Aa"', 'loose eq "bB"', 'flag eq false', 'number gt 100', 'ratio gt 1.09', 'ratio eq 1.1', 'ratio lt 2',
        'when ge "2026-05-01T12:00:00+02:00"', 'blob eq "AAEC"', 'link sw "https:"', 'words eq "one"', 'exactWords eq "x"', 'numbers eq 3',
        'ratios lt 0.2', 'dates gt "2026-05-01T00:00:00Z"', 'flags eq true', 'hint eq "THREE"', 'kit.size le 0.25', 'parts[weight ge 2 and type eq "T"]', 'numbers[value gt 2]';
    is(found('/Probes', "id eq \"$id\" and $_"), '', $_)
        for 'exact eq "aa"', 'flag eq true', 'number lt 101', 'ratio eq 1.10001', 'exactWords eq "y"', 'numbers eq 2', 'words eq "o"', 'kit.size gt 0.25';
    is_error($s->get('/Probes?filter=' . esc($_)), 400, 'invalidFilter', $_) for 'flag gt true', 'blob lt "AAEC"', 'number co "1"', 'kit eq "K"', 'number eq "x"', 'when gt "soon"';
    $s->delete("/Probes/$id");
};

subtest 'C-119, C-120, C-121 sorted by each kind' => sub {
    my @made = (
        make('/Probes', probe(name => 's1', exact => 'b', loose => 'B', number => 10, ratio => 2, when => '2026-01-01T00:30:00Z', words => ['m'], kit => { size => 0.5 })),
        make('/Probes', probe(name => 's2', exact => 'B', loose => 'a', number => 9, ratio => 10.5, when => '2026-01-01T02:00:00+02:00', words => ['a', 'z'], kit => { size => 0.25 })),
        make('/Probes', probe(name => 's3')),
    );
    for my $case (['exact', '213'], ['loose', '213'], ['number', '213'], ['ratio', '123'], ['when', '213'], ['words', '213'], ['kit.size', '213'], ["$PROBE:loose", '213'], ["$SETUP:room", '123']) {
        my ($by, $order) = @$case;
        my $list = $s->get('/Probes?filter=' . esc('name sw "s"') . "&sortBy=$by")->json;
        is(join('', map { $_->{name} =~ /(\d)/ } @{ $list->{Resources} }), $order, $by);
        my $down = $s->get('/Probes?filter=' . esc('name sw "s"') . "&sortBy=$by&sortOrder=descending")->json;
        is($down->{Resources}[0]{name}, 's3', "$by descending: without a value first") if $by !~ /room/;
    }
    $s->delete("/Probes/$_->{id}") for @made;
};

subtest 'C-237 bulkId stands in references of own types' => sub {
    my $r = $s->post('/Bulk', {
        schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],
        Operations => [
            { method => 'POST', path => '/Devices', bulkId => 'd', data => device(serialNumber => 'BULK', owner => { value => 'bulkId:u' }) },
            { method => 'POST', path => '/Users', bulkId => 'u', data => { schemas => [$USER], userName => 'bulk' } },
        ],
    });
    is_deeply([map { $_->{status} } @{ $r->json->{Operations} }], ['201', '201'], 'both are made');
    my $d = $s->get($r->json->{Operations}[0]{location})->json;
    is($s->base . "/Users/$d->{owner}{value}", $r->json->{Operations}[1]{location}, 'the owner is the user');
};

subtest 'own types outlive a graceful restart' => sub {
    ok($s->graceful, 'restarted');
    is($s->get("/Devices/$laptop->{id}")->json->{serialNumber}, 'SN-1', 'the device is there');
    is_error($s->post('/Devices', device(serialNumber => 'SN-1')), 409, 'uniqueness', 'its serial number is taken');
};

$s->log_clean;

# --- what broken documents are told ---------------------------------------------------

my $broken = File::Temp->newdir('scim-XXXXXX', TMPDIR => 1);
my $count = 0;

sub schema_with { return { id => 'urn:x:A', name => 'A', attributes => [@_] } }
sub type_with { return { name => 'A', endpoint => '/As', schema => 'urn:x:A', @_ } }

# The directives for documents, which are files of that content.
sub directives
{
    my (%documents) = @_;
    return join '', map { "$_ " . spew("$broken/" . ++$count . '.json', $documents{$_}) . "\n" } sort keys %documents;
}

sub fails
{
    my ($name, $what, $conf) = @_;
    my ($code, $out) = Scim::Httpd->configtest(conf => $conf);
    isnt($code, 0, "$name: refused");
    like($out, $what, "$name: in words");
}

subtest 'C-276, C-278 configtest tells what is wrong in a document, and where' => sub {
    my $good = schema_with({ name => 'a' });
    my %cases = (
        'no JSON' => [qr/\d+\.json: .*line 2, ?column/i, SCIMSchema => "{\n  \"id\" \"urn:x:A\"}", SCIMResourceType => type_with()],
        'an unknown type' => [qr/\d+\.json: a: "type" is "text", must be one of string/, SCIMSchema => schema_with({ name => 'a', type => 'text' }), SCIMResourceType => type_with()],
        'a misspelt characteristic' => [qr/attributes\[0\]: "caseexact" is none of/, SCIMSchema => schema_with({ name => 'a', caseexact => $yes }), SCIMResourceType => type_with()],
        'a bad name' => [qr/attributes\[0\]: "a b" is no name of an attribute/, SCIMSchema => schema_with({ name => 'a b' }), SCIMResourceType => type_with()],
        'a common attribute' => [qr/meta: every resource has this attribute/, SCIMSchema => schema_with({ name => 'meta' }), SCIMResourceType => type_with()],
        'a unique list' => [qr/a: "uniqueness" must be "none"/, SCIMSchema => schema_with({ name => 'a', multiValued => $yes, uniqueness => 'server' }), SCIMResourceType => type_with()],
        'no schema of that URN' => [qr/A: there is no schema urn:x:B/, SCIMSchema => $good, SCIMResourceType => type_with(schema => 'urn:x:B')],
        'an endpoint of the service' => [qr{"endpoint" is "/Me", which is the service's own}, SCIMSchema => $good, SCIMResourceType => type_with(endpoint => '/Me')],
        'an endpoint in use' => [qr{"endpoint" is "/Groups", which is that of Group}, SCIMSchema => $good, SCIMResourceType => type_with(endpoint => '/Groups')],
        'a User elsewhere' => [qr/User: is built in: its "endpoint" must stay/, SCIMResourceType => type_with(name => 'User', endpoint => '/People', schema => $USER)],
        'a schema of no type' => [qr/no resource type has it/, SCIMSchema => $good],
        'a bad URN' => [qr/"id" is "A", must be a URN/, SCIMSchema => { %$good, id => 'A' }, SCIMResourceType => type_with(schema => 'A')],
        'the wrong directive' => [qr/resource type: "schemas" must list/, SCIMResourceType => { %$good, schemas => [$SCHEMA] }],
    );
    for my $name (sort keys %cases) {
        my ($what, %documents) = @{ $cases{$name} };
        fails($name, $what, directives(%documents));
    }
    my ($code, $out) = Scim::Httpd->configtest(conf => directives(SCIMSchema => $good, SCIMResourceType => type_with()));
    is($code, 0, 'a good one passes') or diag $out;
};

subtest 'configtest tells of files that cannot be read, and of places' => sub {
    fails('no such file', qr/SCIMSchema: cannot open .*no-such\.json/, "SCIMSchema no-such.json\n");
    fails('a directory', qr/SCIMResourceType: "\Q$broken\E" is not a file/, "SCIMResourceType $broken\n");
    fails('too large', qr/is not a file of at most/, 'SCIMSchema ' . spew("$broken/large.json", ' ' x (1 << 20) . '{}') . "\n");
    fails('in a virtual host', qr/SCIMSchema cannot occur within <VirtualHost>/, "<VirtualHost *>\nSCIMSchema x.json\n</VirtualHost>\n");
    fails('in a Location', qr/SCIMResourceType not allowed in <Location>/, "<Location /x>\nSCIMResourceType x.json\n</Location>\n");
};

done_testing();
