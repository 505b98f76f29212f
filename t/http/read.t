#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# GET: one resource, a part of it, lists and their pages.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new(
    start => 0,
    conf => endpoint('/small/v2', 'SCIMMaxPageSize 5') . endpoint('/short/v2', 'SCIMDefaultPageSize 3'),
);
my ($code) = $s->scimctl('tenant', 'create', 'other');
die "no second tenant\n" if $code;
my %other = (authorization => 'Bearer ' . $s->new_token(tenant => 'other'));
$s->start;

my $full = made($s, '/Users', user(
    'bjensen',
    externalId => 'bj',
    name => { formatted => 'Ms. Barbara J Jensen', familyName => 'Jensen', givenName => 'Barbara' },
    displayName => 'Babs',
    active => \1,
    password => 'x',
    emails => [
        { value => 'bjensen@example.com', type => 'work', primary => \1 },
        { value => 'babs@example.org', type => 'home' },
    ],
    $ENTERPRISE => { employeeNumber => '701984', department => 'Tours', manager => { value => '01900000-0000-7000-8000-000000000000' } },
));
my $path = "/Users/$full->{id}";
my $group = made($s, '/Groups', group('Tour Guides', $full->{id}));

# The resource after a projection, without what is always there.
sub part
{
    my ($query, $url) = @_;
    my $r = $s->get(($url // $path) . "?$query");
    return $r->status if $r->status != 200;
    my $json = $r->json;
    is(delete $json->{id}, $url ? $group->{id} : $full->{id}, "$query: id");
    ok(delete $json->{schemas}, "$query: schemas");
    return $json;
}

subtest 'C-060 GET tells the whole resource, and where it is' => sub {
    my $r = $s->get($path);
    is($r->status, 200, 'the status');
    my $json = $r->json;
    is(delete $json->{groups}[0]{value}, $group->{id}, 'groups are told');
    delete $json->{groups};
    is_deeply($json, $full, 'all else is as POST told it');
    is($r->header('etag'), $full->{meta}{version}, 'ETag');
    is($r->header('location'), $full->{meta}{location}, 'Location');
    is($r->header('content-location'), $full->{meta}{location}, 'Content-Location');
    is($s->get($full->{meta}{location})->json->{id}, $full->{id}, 'it is there that it is found');
};

subtest 'C-061 what is not there is 404' => sub {
    my $gone = made($s, '/Users', user('gone'));
    is($s->delete("/Users/$gone->{id}")->status, 204, 'one is deleted');
    my %ids = (
        'unknown' => '01900000-0000-7000-8000-000000000000',
        'deleted' => $gone->{id},
        'of the other type' => $group->{id},
        'in capitals' => uc $full->{id},
        'in braces' => "{$full->{id}}",
        'without dashes' => $full->{id} =~ tr/-//dr,
        'no id' => 'bjensen',
        'the externalId' => 'bj',
        'with a space' => "$full->{id}%20",
        'cut' => substr($full->{id}, 0, -1),
    );
    for my $what (sort keys %ids) {
        is_error($s->get("/Users/$ids{$what}"), 404, undef, $what);
    }
    is_error($s->get("/Groups/$full->{id}"), 404, undef, 'a user among groups');
    is_error($s->get($path, %other), 404, undef, q{another tenant's});
    my $never = '01900000-0000-7000-8000-000000000000';
    my ($others, $nobodys) = map { $s->get("/Users/$_", %other)->content =~ s/\Q$_\E//r } $full->{id}, $never;
    is($others, $nobodys, 'in the words of one that never was');
};

subtest 'C-062 attributes=userName gives that and no more' => sub {
    is_deeply(part('attributes=userName'), { userName => 'bjensen' }, 'beside id and schemas');
};

subtest 'C-063 attributes names what is told, in every way to name it' => sub {
    my %name = (name => { familyName => 'Jensen' });
    my $work = 'bjensen@example.com';
    is_deeply(part("attributes=$USER:userName"), { userName => 'bjensen' }, 'by URN');
    is_deeply(part('attributes=' . uc("$USER:username")), { userName => 'bjensen' }, 'by URN in capitals');
    is_deeply(part('attributes=USERNAME'), { userName => 'bjensen' }, 'in capitals');
    is_deeply(part('attributes=name'), { name => $full->{name} }, 'a complex one');
    is_deeply(part('attributes=name.familyName'), \%name, 'a sub-attribute');
    is_deeply(part("attributes=$USER:name.familyName"), \%name, 'a sub-attribute by URN');
    is_deeply(part('attributes=emails.value'), { emails => [{ value => $work }, { value => 'babs@example.org' }] }, 'of each element');
    is_deeply(part('attributes=emails'), { emails => $full->{emails} }, 'a multi-valued one');
    is_deeply(part("attributes=$ENTERPRISE"), { $ENTERPRISE => $full->{$ENTERPRISE} }, 'an extension');
    is_deeply(part("attributes=$ENTERPRISE:department"), { $ENTERPRISE => { department => 'Tours' } }, 'an attribute of it');
    is_deeply(part("attributes=$ENTERPRISE:manager.value"),
        { $ENTERPRISE => { manager => { value => $full->{$ENTERPRISE}{manager}{value} } } }, 'a sub-attribute of it');
    is_deeply(part("attributes=$ENTERPRISE:manager.displayName"), {}, 'one without a value');
    is_deeply(part('attributes=meta.location'), { meta => { location => $full->{meta}{location} } }, 'a part of meta');
    is_deeply(part('attributes=meta'), { meta => $full->{meta} }, 'meta');
    is_deeply(part('attributes=userName,name.familyName'), { userName => 'bjensen', %name }, 'two');
    is_deeply(part('attributes=userName%2C%20name.familyName'), { userName => 'bjensen', %name }, 'two, with a space');
    is_deeply(part('attributes=userName+,+name.familyName,'), { userName => 'bjensen', %name }, 'with more of them');
    is_deeply(part('attributes=id'), {}, 'id');
    is_deeply([keys %{ part('attributes=groups') }], ['groups'], 'groups');
    is_deeply([keys %{ part('attributes=members', "/Groups/$group->{id}") }], ['members'], 'members');
    is_deeply(part('attributes=members.value', "/Groups/$group->{id}"), { members => [{ value => $full->{id} }] }, 'a part of members');
};

subtest 'C-064 excludedAttributes names what is not told' => sub {
    my %left = %{ $s->get($path)->json };
    delete @left{qw(id schemas)};
    my $without = sub {
        my (@names) = @_;
        my %some = %left;
        delete @some{@names};
        return \%some;
    };
    is_deeply(part('excludedAttributes=emails'), $without->('emails'), 'an attribute');
    is_deeply(part('excludedAttributes=EMAILS,name'), $without->(qw(emails name)), 'two, in other case');
    is_deeply(part('excludedAttributes=groups'), $without->('groups'), 'groups');
    is_deeply(part("excludedAttributes=$ENTERPRISE"), $without->($ENTERPRISE), 'an extension');
    is_deeply(part('excludedAttributes=meta'), $without->('meta'), 'meta');
    my $name = part('excludedAttributes=name.familyName')->{name};
    is_deeply($name, { formatted => 'Ms. Barbara J Jensen', givenName => 'Barbara' }, 'a sub-attribute');
    is_deeply(part('excludedAttributes=id,schemas'), $without->(), 'id stays');
    ok(!exists part('excludedAttributes=members', "/Groups/$group->{id}")->{members}, 'members');
};

subtest 'C-065 a password is not told to those who ask' => sub {
    is_deeply(part('attributes=password'), {}, 'alone');
    is_deeply(part('attributes=userName,password'), { userName => 'bjensen' }, 'beside another');
};

subtest 'C-067 attributes and excludedAttributes exclude each other' => sub {
    for my $url ($path, '/Users') {
        is_error($s->get("$url?attributes=userName&excludedAttributes=name"), 400, 'invalidValue', $url);
    }
};

subtest 'C-068 an unknown name is ignored' => sub {
    is_deeply(part('attributes=userName,noSuchThing'), { userName => 'bjensen' }, 'beside another');
    is_deeply(part('attributes=noSuchThing'), {}, 'alone');
    is_deeply(part('attributes=name.noSuchThing'), {}, 'of a sub-attribute');
    is_deeply(part('attributes=urn:example:x:y'), {}, 'of a URN');
    is($s->get("$path?excludedAttributes=noSuchThing")->content, $s->get($path)->content, 'excluded');
};

subtest 'C-069 lists, PUT and PATCH give a part as well' => sub {
    my $keys = sub { return join ' ', sort keys %{ $_[0] } };
    my $list = $s->get('/Users?attributes=userName&filter=' . esc('userName eq "bjensen"'))->json;
    is($keys->($list->{Resources}[0]), 'id schemas userName', 'a list');
    $list = $s->get('/Groups?excludedAttributes=members,meta')->json;
    is($keys->($list->{Resources}[0]), 'displayName id schemas', 'a list with something left out');
    my $two = made($s, '/Users', user('part', title => 'x'));
    my $at = "/Users/$two->{id}";
    is($keys->($s->put("$at?attributes=userName", user('part', title => 'y'))->json), 'id schemas userName', 'PUT');
    is($keys->($s->patch("$at?attributes=title", ops(['add', 'title', 'z']))->json), 'id schemas title', 'PATCH');
    is($s->get($at)->json->{title}, 'z', 'all is stored');
};

subtest 'C-070 an empty list of attributes is none' => sub {
    is($s->get("$path?$_=")->content, $s->get($path)->content, $_) for qw(attributes excludedAttributes);
    is($s->get("$path?attributes=&excludedAttributes=emails")->status, 200, 'one empty, one not');
};

subtest 'C-109 a filter on one resource is ignored' => sub {
    is($s->get("$path?filter=" . esc('userName eq "nobody"'))->content, $s->get($path)->content, 'the filter');
    is_deeply(part('filter=x&attributes=userName'), { userName => 'bjensen' }, 'the projection is not');
};

# Pages of a directory of twelve.
made($s, '/Users', user(sprintf 'page%02d', $_)) for 1 .. 12 - $s->get('/Users?count=0')->json->{totalResults};
my $everyone = join ' ', map { $_->{userName} } @{ $s->get('/Users')->json->{Resources} };

# "totalResults startIndex itemsPerPage", and the names in the page.
sub page
{
    my ($query, $base) = @_;
    my $r = $s->get(($base // '') . "/Users?$query");
    return $r->status . ' ' . $r->content if $r->status != 200;
    my $json = $r->json;
    is_deeply($json->{schemas}, [$LIST], "$query: schemas");
    is($json->{itemsPerPage}, scalar @{ $json->{Resources} }, "$query: itemsPerPage is the number of Resources");
    like($r->content, qr/"totalResults":\d+,"startIndex":\d+,"itemsPerPage":\d+,/, "$query: the numbers are numbers");
    return ("$json->{totalResults} $json->{startIndex} $json->{itemsPerPage}", join ' ', map { $_->{userName} } @{ $json->{Resources} });
}

subtest 'C-101 a filter without a match is an empty list' => sub {
    my ($numbers, $names) = page('filter=' . esc('userName eq "nobody"'));
    is("$numbers:$names", '0 1 0:', 'a value that nobody has');
    ($numbers) = page('filter=' . esc('id eq "no-id"'));
    is($numbers, '0 1 0', 'an id that is none');
};

subtest 'C-110 startIndex below 1 is 1' => sub {
    for my $query ('', 'startIndex=1', 'startIndex=0', 'startIndex=-5', 'startIndex=-99999999999999999999') {
        my ($numbers, $names) = page($query);
        is($numbers, '12 1 12', "?$query");
        is($names, $everyone, "?$query: from the first");
    }
};

subtest 'C-111 count 0 or below gives the number alone' => sub {
    for my $query ('count=0', 'count=-1', 'count=-99999999999999999999', 'startIndex=5&count=0') {
        my ($numbers, $names) = page($query);
        like($numbers, qr/^12 [15] 0$/, $query);
        is($names, '', "$query: no resources");
    }
};

subtest 'C-112 count gives at most so many' => sub {
    my ($numbers, $names) = page('count=5');
    is($numbers, '12 1 5', 'of more');
    is($names, join(' ', (split / /, $everyone)[0 .. 4]), 'the first of them');
    ($numbers) = page('count=100');
    is($numbers, '12 1 12', 'of less');
    ($numbers) = page('count=5', $s->url('/small/v2'));
    is($numbers, '12 1 5', 'as many as SCIMMaxPageSize');
};

subtest 'C-113 a page says where it begins and how long it is' => sub {
    my ($numbers) = page('startIndex=11&count=5');
    is($numbers, '12 11 2', 'the last');
    ($numbers) = page('startIndex=3&count=5');
    is($numbers, '12 3 5', 'one in the middle');
};

subtest 'C-114 totalResults counts all, and the pages together are all' => sub {
    my @seen;
    for (my $start = 1; $start <= 12; $start += 5) {
        my ($numbers, $names) = page("startIndex=$start&count=5");
        like($numbers, qr/^12 /, "from $start");
        push @seen, $names;
    }
    is("@seen", $everyone, 'each once, in one order');
    my ($numbers) = page('count=2&filter=' . esc('userName sw "page"'));
    like($numbers, qr/^\d+ 1 2$/, 'with a filter');
    my ($matches) = split / /, $numbers;
    is($matches, scalar(grep { /^page/ } split / /, $everyone), 'those that match are counted');
};

subtest 'C-115 startIndex beyond the end gives an empty page' => sub {
    for my $start (13, 1000, 9223372036854775807) {
        my ($numbers, $names) = page("startIndex=$start");
        is("$numbers:$names", "12 $start 0:", "from $start");
    }
};

subtest 'C-116 count over SCIMMaxPageSize is capped' => sub {
    my ($numbers) = page('count=100', $s->url('/small/v2'));
    is($numbers, '12 1 5', 'to the limit');
};

subtest 'C-124 without count a page has SCIMDefaultPageSize' => sub {
    my ($numbers) = page('', $s->url('/short/v2'));
    is($numbers, '12 1 3', 'where it is said');
    ($numbers) = page('', $s->url('/small/v2'));
    is($numbers, '12 1 5', 'and never more than SCIMMaxPageSize');
};

subtest 'C-104 a filter compares what clients are shown' => sub {
    my $user = $s->post('/Users', { schemas => ['urn:ietf:params:scim:schemas:core:2.0:User'], userName => 'no-default' });
    is($user->status, 201, 'a user without active');
    ok(!exists $user->json->{active}, 'none is made up');
    for my $filter ('active eq true', 'active eq false', 'active pr') {
        my ($numbers) = page('filter=' . esc(qq(userName eq "no-default" and $filter)));
        like($numbers, qr/^0 /, "so $filter does not match");
    }
};

$s->log_clean;
done_testing();
