#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Microsoft Entra ID's first cycle: all assigned users, then the groups, then
# what refers to others, over several connections that are kept alive, while
# httpd restarts gracefully, twice.  Afterwards exactly what was sent is there.
#
# N: how many users (2000; 200 with sanitizers)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Httpd;
use Scim::Idp;
use Test::More;
use Time::HiRes qw(sleep time);

my $n = $ENV{N} || ($ENV{SCIM_SAN} ? 200 : 2000);
my $groups = 50;
my $connections = 6;
my $chunk = 20; # members in one PATCH
my $json = JSON::PP->new->utf8->canonical;
my $server = Scim::Httpd->new(base => '/scim');
my $progress = $server->dir . '/progress'; # one byte for each thing done

# --- what is to be there ---------------------------------------------------------

# A user as Entra's default mapping has it; ids come later.
sub user_of
{
    my ($i) = @_;
    my $name = sprintf 'user%05d', $i;
    return {
        schemas => [$USER, $ENTERPRISE], externalId => $name, userName => "$name\@contoso.com", active => JSON::PP::true,
        displayName => "Ann \x{d6}rn $i", title => "Guide $i", preferredLanguage => 'sv',
        name => { formatted => "Ann \x{d6}rn $i", familyName => "\x{d6}rn $i", givenName => 'Ann' },
        emails => [{ primary => JSON::PP::true, type => 'work', value => "ann.$i\@contoso.com" }],
        addresses => [{ type => 'work', streetAddress => "Street $i", locality => 'Joinville', region => 'SC', postalCode => "89$i", country => 'BR' }],
        phoneNumbers => [{ type => 'work', value => "+55 47 $i" }, { type => 'mobile', value => "+55 9 $i" }],
        $ENTERPRISE => { employeeNumber => "$i", department => 'D' . $i % 7 },
    };
}

# Every fifth user reports to one who is before it.
sub manager_of
{
    my ($i) = @_;
    return $i % 5 || !$i ? undef : int($i / 2);
}

# Each user is in two groups; the last group stays empty.
sub groups_of
{
    my ($i) = @_;
    my %in = map { $_ => 1 } $i % ($groups - 1), ($i * 7 + 1) % ($groups - 1);
    return sort { $a <=> $b } keys %in;
}

my @members; # of each group, numbers of users
for my $i (0 .. $n - 1) {
    push @{ $members[$_] }, $i for groups_of($i);
}

# --- the provisioning agent ------------------------------------------------------

package Agent;

use Scim::Httpd;
use Scim::Idp;
use Time::HiRes qw(time);

# cut: requests whose connection closed before a byte of an answer; lost: those
# of them that were carried out all the same; bad: what else went wrong.
sub new
{
    my ($class) = @_;
    my $idp = Scim::Idp->new($server, 'content-type' => 'application/scim+json; charset=utf-8', accept => 'application/scim+json');
    return bless { idp => $idp, requests => 0, cut => 0, lost => 0, bad => [], ids => {} }, $class;
}

sub done
{
    my ($self) = @_;
    open my $out, '>>', $progress or die "$progress: $!\n";
    syswrite $out, '.';
    close $out;
    return;
}

# HTTP::Tiny repeats, once, what may be repeated: GET, PUT and DELETE.
sub send
{
    my ($self, $method, $path, $body) = @_;
    $self->{requests}++;
    return $self->{idp}->request($method, $path, $body, raw => 1);
}

# A change, sent again where the connection was closed under it; $happened says
# whether it was carried out then, which it must not be.
sub change
{
    my ($self, $want, $happened, @request) = @_;
    for my $try (1 .. 5) {
        my $response = $self->send(@request);
        return $response if $response->status == $want;
        if ($response->status != 599) {
            push @{ $self->{bad} }, "$request[0] $request[1]: " . $response->status . ' ' . $response->content;
            return;
        }
        $self->{cut}++;
        $self->{lost}++ if $happened->();
    }
    push @{ $self->{bad} }, "$request[0] $request[1]: cut five times";
    return;
}

# How many resources match: the list must be an answer in any case.
sub matches
{
    my ($self, $path) = @_;
    my $response = $self->send('GET', $path);
    return $response->json->{totalResults} if $response->status == 200;
    push @{ $self->{bad} }, "GET $path: " . $response->status . ' ' . $response->content;
    return -1;
}

# Matches, and creates what is not there.
sub create
{
    my ($self, $key, $type, $filter, $body) = @_;
    my $match = "/$type?" . ($type eq 'Groups' ? 'excludedAttributes=members&' : '') . 'filter=' . $filter =~ s/ /+/gr =~ s/"/%22/gr =~ s/@/%40/gr;
    my $there = $self->matches($match);
    push @{ $self->{bad} }, "$match: $there of them are there" if $there != 0;
    my $made = $self->change(201, sub { $self->matches($match) != 0 }, 'POST', "/$type", $body);
    $self->{ids}{$key} = $made->json->{id} if $made;
    $self->done;
    return;
}

sub patch
{
    my ($self, $status, $path, $check, $operation) = @_;
    $self->change($status, sub { $self->matches($check) != 0 }, 'PATCH', $path, po($operation));
    $self->done;
    return;
}

sub report
{
    my ($self) = @_;
    return { map { $_ => $self->{$_} } qw(requests cut lost bad ids) };
}

package main;

# --- the cycle -------------------------------------------------------------------

# Runs a part of the cycle on all connections and httpd's restart beside them,
# once half of $things are done; what the agents report, together.
sub run
{
    my ($things, $restart, $work) = @_;
    open my $out, '>', $progress or die "$progress: $!\n";
    close $out;
    my $start = time;
    my @reports = parallel($connections + 1, sub {
        my ($i) = @_;
        if ($i == $connections) {
            return { restarted => $restart ? restart_at($things / 2) : 1 };
        }
        my $agent = Agent->new;
        $work->($agent, $i);
        return $agent->report;
    });
    my %all = (seconds => time - $start, restarted => (pop @reports)->{restarted}, bad => [], ids => {});
    for my $report (@reports) {
        $all{$_} += $report->{$_} for qw(requests cut lost);
        push @{ $all{bad} }, @{ $report->{bad} };
        %{ $all{ids} } = (%{ $all{ids} }, %{ $report->{ids} });
    }
    return \%all;
}

sub restart_at
{
    my ($when) = @_;
    my $until = time + 300;
    sleep 0.01 while (-s $progress || 0) < $when && time < $until;
    return $server->graceful(wait => 0) ? 1 : 0;
}

# The part of the cycle is good: four tests.
sub is_good
{
    my ($all, $name) = @_;
    is_deeply($all->{bad}, [], "entra cycle: $name: each request is answered as it must be, none with 5xx");
    ok($all->{restarted}, "entra cycle: $name: httpd restarted") if $name ne 'groups';
    is($all->{lost}, 0, "entra cycle: $name: no change was made whose answer was lost");
    my $rate = $all->{requests} / $all->{seconds};
    cmp_ok($rate, '>=', 25, "entra cycle: $name: 25 requests a second and more") if !$ENV{SCIM_SAN};
    diag(sprintf '%s: %d requests in %.1f s, %.0f a second, %d cut by the restart', $name, $all->{requests}, $all->{seconds}, $rate, $all->{cut});
}

my $users = run($n, 1, sub {
    my ($agent, $number) = @_;
    for my $i (grep { $_ % $connections == $number } 0 .. $n - 1) {
        my $user = user_of($i);
        my $body = $json->encode({ %$user, meta => { resourceType => 'User' }, roles => [] });
        $agent->create($i, 'Users', qq(userName eq "$user->{userName}"), $body);
    }
});
is_good($users, 'users');

sub group_of
{
    my ($g) = @_;
    return { schemas => [$GROUP], displayName => "Group $g", externalId => "group-$g" };
}

my $made = run($groups, 0, sub {
    my ($agent, $number) = @_;
    for my $g (grep { $_ % $connections == $number } 0 .. $groups - 1) {
        my $group = group_of($g);
        my $urn = 'http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group';
        my $body = $json->encode({ %$group, schemas => [$GROUP, $urn], meta => { resourceType => 'Group' } });
        $agent->create("g$g", 'Groups', qq(displayName eq "$group->{displayName}"), $body);
    }
});
is_good($made, 'groups');

my %id = (%{ $users->{ids} }, %{ $made->{ids} });
BAIL_OUT('not all users and groups were made') if keys %id != $n + $groups;

# References, as [status, path, whether it is so, operation]: one for each chunk of members and each manager.
my @references;
for my $g (0 .. $groups - 1) {
    my @all = @{ $members[$g] || [] };
    while (my @some = splice @all, 0, $chunk) {
        my $check = "/Groups?filter=id+eq+%22$id{\"g$g\"}%22+and+members+eq+%22$id{$some[0]}%22&excludedAttributes=members";
        my $value = join ',', map { qq({"\$ref":null,"value":"$id{$_}"}) } @some;
        push @references, [204, "/Groups/$id{\"g$g\"}", $check, qq({"op":"Add","path":"members","value":[$value]})];
    }
}
for my $i (grep { defined manager_of($_) } 0 .. $n - 1) {
    my $manager = $id{ manager_of($i) };
    my $check = "/Users?filter=id+eq+%22$id{$i}%22+and+manager+eq+%22$manager%22&attributes=id";
    push @references, [200, "/Users/$id{$i}", $check, qq({"op":"Add","path":"$ENTERPRISE:manager","value":"$manager"})];
}

# Of each, Entra looks first whether it is so already.
my $referred = run(scalar @references, 1, sub {
    my ($agent, $number) = @_;
    for my $k (grep { $_ % $connections == $number } 0 .. $#references) {
        my ($status, $path, $check, $operation) = @{ $references[$k] };
        push @{ $agent->{bad} }, "$check: it is so already" if $agent->matches($check) != 0;
        $agent->patch($status, $path, $check, $operation);
    }
});
is_good($referred, 'references');

# --- what is there ---------------------------------------------------------------

sub base_url { return $server->base }

# A user as it must be read.
sub expected_user
{
    my ($i) = @_;
    my %user = (%{ user_of($i) }, id => $id{$i});
    my $manager = manager_of($i);
    if (defined $manager) {
        $user{$ENTERPRISE}{manager} = { value => $id{$manager}, '$ref' => base_url() . "/Users/$id{$manager}" };
    }
    $user{groups} = [map {
        { value => $id{"g$_"}, '$ref' => base_url() . "/Groups/" . $id{"g$_"}, display => "Group $_", type => 'direct' }
    } groups_of($i)];
    return \%user;
}

# As text that two equal resources have in common: groups in one order, without meta.
sub text_of
{
    my ($resource) = @_;
    my %copy = %$resource;
    delete $copy{meta};
    $copy{$_} = [sort { $a->{value} cmp $b->{value} } @{ $copy{$_} }] for grep { $copy{$_} } qw(groups members);
    return $json->encode(\%copy);
}

# All users in pages; $next: the query of the page behind one, or nothing.
sub walk
{
    my ($query, $next) = @_;
    my @all;
    while ($query) {
        my $page = $server->get("/Users?$query")->json;
        push @all, @{ $page->{Resources} };
        $query = $next->($page);
    }
    return @all;
}

sub compare_users
{
    my ($name, @found) = @_;
    my %text = map { $_->{id} => text_of($_) } @found;
    is(scalar @found, $n, "entra cycle: $name: as many users as were sent");
    my @wrong = grep { ($text{ $id{$_} } // '') ne text_of(expected_user($_)) } 0 .. $n - 1;
    is(scalar @wrong, 0, "entra cycle: $name: each user is what was sent, with its manager and groups")
        || diag('found: ', $text{ $id{ $wrong[0] } } // 'nothing', "\nsent:  ", text_of(expected_user($wrong[0])));
}

compare_users('C-113, S-05 by index', walk('startIndex=1&count=300', sub {
    my ($page) = @_;
    my $start = $page->{startIndex} + $page->{itemsPerPage};
    return $page->{itemsPerPage} && $start <= $page->{totalResults} ? "startIndex=$start&count=300" : undef;
}));
compare_users('C-131, S-07 by cursor', walk('cursor&count=300', sub {
    my ($page) = @_;
    return $page->{nextCursor} ? "cursor=$page->{nextCursor}&count=300" : undef;
}));

my $list = $server->get('/Groups?count=1000')->json;
is($list->{totalResults}, $groups, 'entra cycle: as many groups as were sent');
my %group = map { $_->{id} => text_of($_) } @{ $list->{Resources} };
for my $g (0 .. $groups - 1) {
    my @in = map { { value => $id{$_}, '$ref' => base_url() . "/Users/$id{$_}", type => 'User' } } @{ $members[$g] || [] };
    my %want = (%{ group_of($g) }, id => $id{"g$g"}, @in ? (members => \@in) : ());
    is($group{ $id{"g$g"} }, text_of(\%want), "entra cycle: group $g has the members that were sent");
}

$server->log_clean;

# --- an endpoint that is slower than its client --------------------------------

# Who is told 429 waits as long as he is told, and comes to his end.
sub provision_slowly
{
    my ($number) = @_;
    my %seen = (made => 0, refused => 0, bad => []);
    for my $i (1 .. 25) {
        for my $try (1 .. 20) {
            my $response = $server->post('/Users', { schemas => [$USER], userName => "slow$number.$i" });
            if ($response->status == 201) {
                $seen{made}++;
                last;
            }
            my $pause = $response->header('retry-after') // '';
            my $json = $response->json || {};
            if ($response->status != 429 || $pause !~ /^[1-9]\d?$/ || ($json->{status} // '') ne '429') {
                push @{ $seen{bad} }, $response->status . " Retry-After: $pause " . $response->content;
                last;
            }
            $seen{refused}++;
            sleep $pause;
        }
    }
    return \%seen;
}

$server = Scim::Httpd->new(location => 'SCIMRateLimit 40/s burst=20');
my ($accepted, $refused, @bad) = (0, 0);
for my $seen (parallel(4, \&provision_slowly)) {
    $accepted += $seen->{made};
    $refused += $seen->{refused};
    push @bad, @{ $seen->{bad} };
}
is_deeply(\@bad, [], 'C-018, S-07 entra cycle: too many requests are 429 with Retry-After and an Error body');
is($accepted, 100, 'C-018, S-07 entra cycle: all users are made by a client that waits');
cmp_ok($refused, '>', 0, 'C-018, S-07 entra cycle: some requests were refused');
sleep 1;
is($server->get('/Users?count=0')->json->{totalResults}, 100, 'C-018, S-07 entra cycle: and what was refused was not done');
$server->log_clean;
done_testing();
