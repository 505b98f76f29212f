#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Long lists: their order, pages by index and by cursor (RFC 9865).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use List::Util qw(shuffle);
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

my $s = Scim::Httpd->new(
    conf => endpoint('/small', 'SCIMDefaultPageSize 4', 'SCIMMaxPageSize 10') . endpoint('/brief', 'SCIMCursorTimeout 3s'),
);

my @names = map { sprintf 'user%03d', $_ } 1 .. 25;
my %id;
$id{$_} = made($s, '/Users', user($_, title => substr($_, -1), $_ =~ /[05]$/ ? () : (nickName => uc reverse $_)))->{id} for shuffle @names;
# as they were created
my @made = sort { $id{$a} cmp $id{$b} } @names;

sub list
{
    my ($query, $base) = @_;
    my $r = $s->get(($base ? $s->url($base) : '') . "/Users?$query");
    die "$query: " . $r->status . ' ' . $r->content . "\n" if $r->status != 200;
    return $r->json;
}

sub names_of { return map { $_->{userName} } @{ $_[0]{Resources} } }

# All pages of a walk by cursor, as lists of names.
sub walk
{
    my ($query, $base) = @_;
    my @pages;
    for (my $cursor = ''; defined $cursor; ) {
        my $page = list("$query&cursor=$cursor", $base);
        push @pages, [names_of($page)];
        $cursor = $page->{nextCursor};
        die "no end of $query\n" if @pages > 100;
    }
    return @pages;
}

sub flat { return map { @$_ } @_ }

# --- order -------------------------------------------------------------------

subtest 'C-117 C-118 C-119 sortBy and sortOrder' => sub {
    is_deeply([names_of(list(''))], \@made, 'without it the order of creation');
    is_deeply([names_of(list('sortOrder=descending'))], \@made, 'sortOrder alone says nothing');
    is_deeply([names_of(list('sortBy=userName'))], \@names, 'ascending by default');
    is_deeply([names_of(list('sortBy=USERname&sortOrder=ASCENDING'))], \@names, 'in any case');
    is_deeply([names_of(list('sortBy=userName&sortOrder=descending'))], [reverse @names], 'descending');
    is_error($s->get('/Users?sortBy=userName&sortOrder=down'), 400, 'invalidValue', 'another order');
};

subtest 'C-120 C-121 C-123 what is missing, and what is equal' => sub {
    my @with = sort { reverse($a) cmp reverse($b) } grep { !/[05]$/ } @names;
    my @without = grep { /[05]$/ } @made;
    is_deeply([names_of(list('sortBy=nickName'))], [@with, @without], 'without a value: last');
    is_deeply([names_of(list('sortBy=nickName&sortOrder=descending'))], [@without, reverse @with], 'descending: first');
    my %order = map { $made[$_] => $_ } 0 .. $#made;
    my @tied = sort { substr($a, -1) cmp substr($b, -1) || $order{$a} <=> $order{$b} } @names;
    is_deeply([names_of(list('sortBy=title'))], \@tied, 'equal ones in the order of creation');
    is_deeply([names_of(list("sortBy=title&startIndex=8&count=5"))], [@tied[7 .. 11]], 'on every page');
    is_deeply([names_of(list("sortBy=$_"))], \@made, $_) for 'meta.created', 'id', "$USER:id";
    is_error($s->get("/Users?sortBy=$_"), 400, 'invalidValue', $_) for qw(name nothing password emails.nothing);
};

# --- pages by index ----------------------------------------------------------

subtest 'C-110 C-111 C-112 C-113 C-114 C-115 C-116 C-124 C-139 by index' => sub {
    for my $case (['startIndex=1&count=10', 1, 10], ['startIndex=21&count=10', 21, 5], ['startIndex=26', 26, 0],
        ['startIndex=0&count=3', 1, 3], ['startIndex=-7&count=3', 1, 3], ['count=0', 1, 0], ['count=-1', 1, 0],
        ['sortBy=id&startIndex=24', 24, 2], ['filter=' . esc('userName pr') . '&startIndex=20&count=2', 20, 2]) {
        my ($query, $start, $count) = @$case;
        my $list = list($query);
        is_deeply([@$list{qw(totalResults startIndex itemsPerPage)}], [25, $start, $count], $query);
        is_deeply([names_of($list)], [@made[$start - 1 .. $start + $count - 2]], "$query: resources");
        ok(!exists $list->{nextCursor} && !exists $list->{previousCursor}, "$query: no cursor");
    }
    is(list('', '/small')->{itemsPerPage}, 4, 'SCIMDefaultPageSize');
    is(list('count=11', '/small')->{itemsPerPage}, 10, 'SCIMMaxPageSize');
};

# --- pages by cursor ---------------------------------------------------------

subtest 'C-130 C-131 C-132 C-138 C-142 by cursor' => sub {
    for my $case (['count=10', @made], ['count=25', @made], ['count=24', @made], ['count=1', @made], ['count=7&sortBy=userName', @names],
        ['count=6&sortBy=userName&sortOrder=descending', reverse @names], ['count=4&attributes=userName', @made],
        ['count=2&filter=' . esc('userName ew "5"'), grep { /5$/ } @made]) {
        my ($query, @expected) = @$case;
        my @pages = walk($query);
        my ($count) = $query =~ /count=(\d+)/;
        is_deeply([flat(@pages)], \@expected, $query);
        is(scalar @pages, int((@expected + $count - 1) / $count), "$query: no page too many");
    }
    my $first = list('cursor&count=10');
    like($first->{nextCursor}, qr/\A[A-Za-z0-9._~-]+\z/, 'of unreserved characters');
    is($first->{totalResults}, 25, 'totalResults');
    ok(!exists $first->{$_}, "no $_") for qw(previousCursor startIndex);
    ok(!exists list('cursor')->{nextCursor}, 'what is all on one page has no next');
    is_deeply([flat(walk('', '/small'))], \@made, 'by pages of the default size');
};

subtest 'C-133 C-136 C-137 a cursor is for one walk of one directory' => sub {
    my $query = 'count=5&filter=' . esc('userName pr');
    my $cursor = list("$query&cursor")->{nextCursor};
    is(scalar names_of(list("$query&cursor=$cursor")), 5, 'it can be used');
    is(scalar names_of(list("$query&cursor=$cursor")), 5, 'and once more');
    my %refused = (
        forged => "$query&cursor=abc", truncated => "$query&cursor=" . substr($cursor, 0, -1),
        longer => "$query&cursor=${cursor}A", changed => "$query&cursor=" . $cursor =~ s/(.)$/$1 eq 'A' ? 'B' : 'A'/er,
        filter => "count=5&cursor=$cursor", sort => "$query&sortBy=id&cursor=$cursor",
        projection => "$query&excludedAttributes=name&cursor=$cursor",
    );
    my %said;
    for my $name (sort keys %refused) {
        my $r = $s->get("/Users?$refused{$name}");
        is_error($r, 400, 'invalidCursor', $name);
        $said{ $r->content } = 1;
    }
    my $r = $s->get("/Groups?count=5&filter=" . esc('displayName pr') . "&cursor=$cursor");
    is_error($r, 400, 'invalidCursor', 'another endpoint');
    $said{ $r->content } = 1;

    $s->scimctl(qw(tenant create globex));
    my @theirs = (authorization => 'Bearer ' . $s->new_token(tenant => 'globex', connection => 'okta'));
    made($s, '/Users', user("theirs$_"), @theirs) for 1 .. 8;
    $r = $s->get("/Users?$query&cursor=$cursor", @theirs);
    is_error($r, 400, 'invalidCursor', 'another directory');
    $said{ $r->content } = 1;
    is(scalar keys %said, 1, 'in the same words for all');

    my $again = $s->get("/Users?$query&cursor=$cursor", authorization => 'Bearer ' . $s->new_token(connection => 'second'));
    is(scalar names_of($again->json), 5, 'another connection of the same directory goes on');
};

subtest 'C-134 SCIMCursorTimeout' => sub {
    my $cursor = list('count=5&cursor', '/brief')->{nextCursor};
    is(scalar names_of(list("count=5&cursor=$cursor", '/brief')), 5, 'in time');
    sleep 3.2;
    is_error($s->get($s->url("/brief/Users?count=5&cursor=$cursor")), 400, 'expiredCursor', 'too late');
    my $config = sub { $s->get($s->url("$_[0]/ServiceProviderConfig"))->json->{pagination} };
    is($config->('/brief')->{cursorTimeout}, 3, 'it is announced');
    is($config->('/scim/v2')->{cursorTimeout}, 3600, 'an hour by default');
    is_deeply([@{ $config->('/small') }{qw(defaultPageSize maxPageSize)}], [4, 10], 'C-143 so are the pages');
};

subtest 'C-111 C-135 C-140 count and cursor' => sub {
    my $cursor = list('count=5&cursor')->{nextCursor};
    is_error($s->get("/Users?count=6&cursor=$cursor"), 400, 'invalidCount', 'another count');
    is_error($s->get("/Users?cursor=$cursor"), 400, 'invalidCount', 'no count');
    is_error($s->get('/Users?count=1001&cursor'), 400, 'invalidCount', 'over SCIMMaxPageSize');
    is_error($s->get($s->url('/small/Users?count=11&cursor')), 400, 'invalidCount', 'there, too');
    is_error($s->get("/Users?startIndex=1&cursor"), 400, 'invalidValue', 'with startIndex');
    is_error($s->get("/Users?count=5&cursor=$cursor&cursor=$cursor"), 400, 'invalidValue', 'twice');
    my $none = list('count=-1&cursor');
    is_deeply([@$none{qw(totalResults itemsPerPage)}], [25, 0], 'a negative count is 0, and tells the total');
};

subtest 'C-131 a cursor outlives a restart' => sub {
    my $first = list('count=20&cursor');
    $s->graceful;
    is_deeply([names_of(list("count=20&cursor=$first->{nextCursor}"))], [@made[20 .. 24]], 'of the server, not of a process');
};

subtest 'C-144 nothing is skipped or told twice while others write' => sub {
    for my $query ('count=3', 'count=3&sortBy=userName', 'count=3&filter=' . esc('userName sw "user0"')) {
        # Some delete and create, before and behind where the walk stands.
        my @results = parallel(3, sub {
            my ($n) = @_;
            return [flat(walk($query))] if !$n;
            for my $i (1 .. 20) {
                my $new = $s->post('/Users', user(($n == 1 ? 'aaa' : 'user0zz') . "-$n-$i"))->json;
                $s->delete("/Users/$new->{id}");
            }
            return [];
        });
        my %told;
        $told{$_}++ for @{ $results[0] };
        is_deeply([grep { ($told{$_} // 0) != 1 } @names], [], $query);
    }
};

subtest 'C-125 C-131 the root' => sub {
    made($s, '/Groups', group($_)) for 'Group A', 'Group B';
    my $r = $s->get('/?count=0');
    is($r->json->{totalResults}, 27, 'all are counted');
    my @seen;
    for (my $cursor = ''; defined $cursor; ) {
        my $page = $s->get("/?count=10&cursor=$cursor")->json;
        push @seen, map { $_->{userName} // $_->{displayName} } @{ $page->{Resources} };
        $cursor = $page->{nextCursor};
    }
    is_deeply(\@seen, [@made, 'Group A', 'Group B'], 'and told once, types in turn');
    my $sorted = $s->get('/?sortBy=displayName&count=3')->json;
    is_deeply([map { $_->{displayName} // $_->{userName} } @{ $sorted->{Resources} }], ['Group A', 'Group B', $made[0]],
        'by an attribute that users do not have');
    for my $case (['meta.resourceType eq "Group"', 2], ['meta.resourceType eq "User" or displayName eq "group b"', 26],
        ['userName eq "user007"', 1], ['not (userName pr)', 2], ['displayName sw "Group" and title pr', 0]) {
        is($s->get('/?filter=' . esc($case->[0]))->json->{totalResults}, $case->[1], $case->[0]);
    }
    my ($group) = @{ $s->get('/?filter=' . esc('displayName eq "Group A"'))->json->{Resources} };
    is($group->{meta}{resourceType}, 'Group', 'meta.resourceType');
    is($group->{meta}{location}, $s->base . "/Groups/$group->{id}", 'meta.location');
    is_error($s->get('/?filter=' . esc('nothing eq "x"')), 400, 'invalidFilter', 'an attribute of no type');
};

$s->log_clean;
done_testing();
