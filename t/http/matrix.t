#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Two tenants, every route, and everything of the one that a request to the other
# can carry: an id, an externalId, a member, a manager, a version, a cursor.  Each
# request is made twice, once with what is the other's and once with what is
# nobody's, and answered the same.
#
# LONG: whether the time of the answer tells the two apart, by 10,000 requests of
# each kind (Welch's t).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use List::Util qw(sum0);
use Scim::Body;
use Scim::Httpd;
use Scim::Routes;
use Test::More;
use Time::HiRes qw(time);

my $NOBODY = '01900000-0000-7000-8000-000000000000';
my $SEARCH = 'urn:ietf:params:scim:api:messages:2.0:SearchRequest';
my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';

my $s = Scim::Httpd->new(start => 0, tenant => 'a');
my ($code) = $s->scimctl('tenant', 'create', 'b');
die "no second tenant\n" if $code;
my @as_b = (authorization => 'Bearer ' . $s->new_token(tenant => 'b', connection => 'okta'));
$s->start;

# What is a's.
my $boss = made($s, '/Users', user('boss-of-a', externalId => 'external-of-a-boss'));
my $anna = made($s, '/Users', user('anna-of-a', externalId => 'external-of-a-anna', $ENTERPRISE => { manager => { value => $boss->{id} } }));
my $guides = made($s, '/Groups', group('Guides of a', $anna->{id}));
# Of a version that nothing of b's will have.
$anna = changed($s, "/Users/$anna->{id}", ['replace', 'nickName', "name $_"]) for 1 .. 20;
my $cursor = $s->get('/Users?count=1&cursor=')->json->{nextCursor};
# No answer to b may hold any of it, unless b sent it.
my @of_a = ($boss->{id}, $anna->{id}, $guides->{id}, 'boss-of-a', 'anna-of-a', 'external-of-a-boss', 'external-of-a-anna', 'Guides of a');

# b has as much, so that no answer is empty for want of anything.
made($s, '/Groups', group('Guides of b', made($s, '/Users', user('anna-of-b'), @as_b)->{id}), @as_b);

# What is the other's, and what of the same shape is nobody's.
my %pair = (
    user => [$anna->{id}, $NOBODY],
    manager => [$boss->{id}, $NOBODY],
    group => [$guides->{id}, $NOBODY],
    external => ['external-of-a-anna', 'external-of-nobody'],
    name => ['anna-of-a', 'nobody-at-all'],
    etag => [$anna->{meta}{version}, $anna->{meta}{version} =~ s/\d+(?=")/99/r],
    cursor => [$cursor, $cursor =~ s/(.)\z/$1 eq 'A' ? 'B' : 'A'/er],
);

my $fresh = 1000; # of one length, as the answers are

sub filter_of { return 'filter=' . esc($_[0]) }

# Where a request to a route can carry something of another's: a list of
# [what it is, kind, a sub that is given the value and the request (path, body,
# headers) as the route grants it, and changes it].
sub carriers
{
    my ($route) = @_;
    my @found;
    my $carry = sub { push @found, [@_] };
    my $query = sub {
        my ($name, $kind, $text) = @_;
        $carry->($name, $kind, sub {
            my ($value, $request) = @_;
            $request->{path} .= '?' . $text->($value);
        });
    };
    if ($route->{pattern} =~ /\{id\}/) {
        my $id = sub { $_[1]{path} = id_path($route, $_[0]) };
        $carry->('the id of a user', user => $id);
        $carry->('the id of a group', group => $id);
        $carry->('the externalId for an id', external => $id);
        $carry->('the userName for an id', name => $id);
        for my $header (qw(if-match if-none-match)) {
            for my $value ($pair{etag}[0], '*') {
                $carry->("the id with $header $value", user => sub { $id->(@_); $_[1]{headers}{$header} = $value });
            }
        }
    }
    for my $kind (qw(user group)) {
        $query->("filter by id of a $kind", $kind, sub { filter_of(qq(id eq "$_[0]")) });
    }
    $query->('filter by externalId', external => sub { filter_of(qq(externalId eq "$_[0]")) });
    $query->('filter by userName', name => sub { filter_of(qq(userName eq "$_[0]")) });
    $query->('filter by the beginning of a userName', name => sub { filter_of(qq(userName sw "$_[0]")) });
    $query->('filter by member', user => sub { filter_of(qq(members.value eq "$_[0]")) });
    $query->('filter by group', group => sub { filter_of(qq(groups.value eq "$_[0]")) });
    $query->('filter by manager', manager => sub { filter_of(qq($ENTERPRISE:manager.value eq "$_[0]")) });
    $query->('filter by version', etag => sub { filter_of('meta.version eq "' . $_[0] =~ s/"/\\"/gr . '"') });
    $query->('cursor', cursor => sub { 'count=1&cursor=' . esc($_[0]) });
    $carry->("$_ of the other", etag => eval "sub { \$_[1]{headers}{'$_'} = \$_[0] }") for qw(if-match if-none-match);
    if ($route->{method} =~ /^(?:POST|PUT|PATCH)$/) {
        push @found, body_carriers($route);
    }
    return @found;
}

# Likewise in a body.
sub body_carriers
{
    my ($route) = @_;
    my ($what) = $route->{op} =~ /(\w+)$/;
    my @found;
    my $carry = sub { push @found, [@_] };
    if ($what eq 'search') {
        my %filters = (
            user => 'id eq "%s"', group => 'groups.value eq "%s"', external => 'externalId eq "%s"', name => 'userName eq "%s"',
            manager => "$ENTERPRISE:manager.value eq \"%s\"",
        );
        for my $kind (sort keys %filters) {
            $carry->("a search by $kind", $kind, sub { $_[1]{body} = { schemas => [$SEARCH], filter => sprintf $filters{$kind}, $_[0] } });
        }
        $carry->('a search by cursor', cursor => sub { $_[1]{body} = { schemas => [$SEARCH], count => 1, cursor => $_[0] } });
    } elsif ($what eq 'bulk') {
        my $job = sub {
            my ($name, $kind, $operation) = @_;
            $carry->("a job: $name", $kind, sub { $_[1]{body} = { schemas => [$BULK], Operations => [$operation->($_[0])] } });
        };
        for my $type (['user', 'Users', user('taken-over')], ['group', 'Groups', group('Taken over')]) {
            my ($kind, $endpoint, $body) = @$type;
            $job->("PUT of a $kind", $kind, sub { return { method => 'PUT', path => "/$endpoint/$_[0]", data => $body } });
            $job->("PATCH of a $kind", $kind, sub {
                return { method => 'PATCH', path => "/$endpoint/$_[0]", data => ops(['replace', 'displayName', 'x']) };
            });
            $job->("DELETE of a $kind", $kind, sub { return { method => 'DELETE', path => "/$endpoint/$_[0]" } });
        }
        $job->('DELETE with the version', user => sub {
            return { method => 'DELETE', path => "/Users/$_[0]", version => $anna->{meta}{version} };
        });
        $job->('a member', user => sub { return { method => 'POST', path => '/Groups', bulkId => 'g', data => group('Job', $_[0]) } });
        $job->('a member by bulkId', user => sub {
            return { method => 'POST', path => '/Groups', bulkId => 'g', data => group('Job', "bulkId:$_[0]") };
        });
        $job->('the id for a bulkId', user => sub {
            return { method => 'POST', path => '/Groups', bulkId => $_[0], data => group('Job ' . $fresh++) };
        });
        $job->('a manager', manager => sub {
            return { method => 'POST', path => '/Users', bulkId => 'u',
                data => user('job' . $fresh++, $ENTERPRISE => { manager => { value => $_[0] } }) };
        });
    } elsif ($route->{method} eq 'PATCH') {
        my %operations = (
            'adds a member' => [user => sub { ['add', 'members', [{ value => $_[0] }]] }],
            'adds a group as a member' => [group => sub { ['add', 'members', [{ value => $_[0] }]] }],
            'removes a member' => [user => sub { ['remove', qq(members[value eq "$_[0]"])] }],
            'replaces the members' => [user => sub { ['replace', 'members', [{ value => $_[0] }]] }],
            'sets a manager' => [manager => sub { ['add', "$ENTERPRISE:manager", { value => $_[0] }] }],
            'sets a manager, by its name' => [manager => sub { ['replace', "$ENTERPRISE:manager.value", $_[0]] }],
            'joins a group' => [group => sub { ['add', 'groups', [{ value => $_[0] }]] }],
            'sets the id' => [user => sub { ['replace', 'id', $_[0]] }],
            'sets the externalId' => [external => sub { ['replace', 'externalId', $_[0]] }],
            'sets the userName' => [name => sub { ['replace', 'userName', $_[0]] }],
        );
        for my $name (sort keys %operations) {
            my ($kind, $operation) = @{ $operations{$name} };
            $carry->($name, $kind, sub { $_[1]{body} = ops($operation->($_[0])) });
        }
    } else {
        my $member = sub {
            my ($name, $kind, $with) = @_;
            $carry->("a body with $name", $kind, sub {
                my ($value, $request) = @_;
                my %more = $with->($value);
                $request->{body} = { %{ $request->{body} }, %more };
            });
        };
        $member->('its id', user => sub { return (id => $_[0]) });
        $member->('its externalId', external => sub { return (externalId => $_[0]) });
        $member->('it as a member', user => sub { return (members => [{ value => $_[0] }]) });
        $member->('a group as a member', group => sub { return (members => [{ value => $_[0] }]) });
        $member->('a member of a bulkId', user => sub { return (members => [{ value => "bulkId:$_[0]" }]) });
        $member->('its group', group => sub { return (groups => [{ value => $_[0] }]) });
        $member->('its manager', manager => sub { return ($ENTERPRISE => { manager => { value => $_[0] } }) });
    }
    return @found;
}

# The answer to a request of b's, without what is of this one time: the id that
# was sent, all others (they are b's own), and names made for it.
sub anonymous
{
    my ($r, $value, $request) = @_;
    my $text = answer($r, $value, grep { defined } map { $request->{body}{$_} } qw(userName displayName));
    $text =~ s/\Q@{[ esc($value) ]}\E/ID/g;
    $text =~ s/\Q@{[ $value =~ s{"}{\\"}gr ]}\E/ID/g;
    $text =~ s/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/UUID/g;
    $text =~ s/(of-a-route-|Job |job|changed )\d+/$1N/g;
    $text =~ s/^(content-length: ).*/$1N/mg if $value ne $NOBODY && length($value) != 36;
    return $text;
}

# Who only reads comes first: what b writes down of a's is b's.
for my $route (sort { $a->{scope} cmp $b->{scope} } routes()) {
    subtest "C-061 C-312 $route->{name}" => sub {
        for my $carrier (carriers($route)) {
            my ($name, $kind, $put) = @$carrier;
            my (@answers, @told);
            for my $value (@{ $pair{$kind} }) {
                my ($method, $path, $body) = request_to($s, $route, @as_b);
                my %request = (path => $path, body => $body, headers => {@as_b});
                $put->($value, \%request);
                my $r = $s->request($method, @request{qw(path body)}, %{ $request{headers} });
                push @answers, anonymous($r, $value, \%request);
                push @told, grep { $_ ne $value && index($r->content, $_) >= 0 } @of_a if $name !~ /userName/;
                is($r->status =~ /^5/ && $r->status != 501 ? $r->status : '', '', "$name: no fault of ours");
            }
            is($answers[0], $answers[1], "$name: as what is nobody's");
            is("@told", '', "$name: nothing of it is told");
        }
    };
}

subtest 'C-312 and nothing of it has changed' => sub {
    for my $one ($boss, $anna, $guides) {
        my $now = $s->get($one->{meta}{location});
        is($now->header('etag'), $one->{meta}{version}, $one->{displayName} // $one->{userName});
    }
    my $anna_now = $s->get("/Users/$anna->{id}")->json;
    is(scalar @{ $anna_now->{groups} }, 1, 'she is in no other group');
};

# t of two samples without the slowest tenth of each, which the machine makes.
sub welch
{
    my (@samples) = map { my @sorted = sort { $a <=> $b } @$_; [@sorted[0 .. int(@sorted * 0.9) - 1]] } @_;
    my @mean = map { sum0(@$_) / @$_ } @samples;
    my @error = map { my $i = $_; sum0(map { ($_ - $mean[$i])**2 } @{ $samples[$i] }) / (@{ $samples[$i] } - 1) / @{ $samples[$i] } } 0, 1;
    return (($mean[0] - $mean[1]) / sqrt($error[0] + $error[1]), ($mean[0] - $mean[1]) * 1e6);
}

if ($ENV{LONG}) {
    subtest 'C-312 the time of an answer does not tell either' => sub {
        my @asks = (
            ['GET', sub { "/Users/$_[0]" }], ['DELETE', sub { "/Users/$_[0]" }], ['GET', sub { '/Users?' . filter_of(qq(id eq "$_[0]")) }],
            ['PATCH', sub { "/Users/$_[0]" }, ops(['replace', 'title', 'x'])],
        );
        for my $ask (@asks) {
            my ($method, $path, $body) = @$ask;
            # An id that was never in the store, as near to the other's as can be.
            my @ids = ($anna->{id}, $anna->{id} =~ s/(.)\z/$1 eq '0' ? '1' : '0'/er);
            my ($t, $apart);
            # A machine that does something else meanwhile may show a difference once.
            for my $try (1 .. 3) {
                my @times = ([], []);
                for (1 .. 10_000) {
                    for my $which (rand() < 0.5 ? (0, 1) : (1, 0)) {
                        my $began = time;
                        $s->request($method, $path->($ids[$which]), $body, @as_b);
                        push @{ $times[$which] }, time - $began;
                    }
                }
                ($t, $apart) = welch(@times);
                last if abs $t < 4.5;
            }
            ok(abs $t < 4.5, sprintf '%s %s: t = %.2f, %.2f us apart', $method, $path->('ID'), $t, $apart);
            note sprintf '%s %s: t = %.2f, %.2f us apart', $method, $path->('ID'), $t, $apart;
        }
    };
}

$s->log_clean;
done_testing();
