#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What was acknowledged stays: kill -9 of random children amid the writes of
# several clients.  Each client keeps a journal of what it was told; a change
# whose answer was lost may have happened or not, but never by half.
#
# ROUNDS: how many children are killed (50; 8 with sanitizers)
# WRITERS: how many clients write (4; with 64, dozens of changes share a commit)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{ROUNDS} || ($ENV{SCIM_SAN} ? 8 : 50);
my $writers = $ENV{WRITERS} || 4;
my $seconds = 20 + $rounds * ($writers > 16 ? 2 : 0.5); # after that no more are killed

# A user of version $v: what is written by one request must agree.
sub body_of
{
    my ($name, $v) = @_;
    return {
        schemas => [$USER, $ENTERPRISE], userName => $name, displayName => "v$v", title => "v$v",
        emails => [{ type => 'work', value => "v$v\@$name" }], $ENTERPRISE => { department => "v$v" },
    };
}

sub patch_to
{
    my ($v, $name) = @_;
    return { schemas => [$PATCH_OP], Operations => [
        { op => 'replace', path => 'displayName', value => "v$v" },
        { op => 'replace', path => 'emails[type eq "work"].value', value => "v$v\@$name" },
        { op => 'replace', value => { title => "v$v", "$ENTERPRISE:department" => "v$v" } },
    ] };
}

# The version that a user is of, or what is wrong with it.
sub version_of
{
    my ($user) = @_;
    my ($v) = ($user->{displayName} // '') =~ /^v(\d+)$/ or return "user $user->{id} has no version";
    my @said = ($user->{title}, $user->{emails}[0]{value}, $user->{$ENTERPRISE}{department});
    my @want = ("v$v", "v$v\@$user->{userName}", "v$v");
    return $v if "@{[map { $_ // 'nothing' } @said]}" eq "@want";
    return "user $user->{id} is in part: @{[map { $_ // 'nothing' } $user->{displayName}, @said]}";
}

package Writer;

use Scim::Httpd;
use Time::HiRes qw(sleep);

# users: id => [name, version]; gone: ids; members: id => 1
sub new
{
    my ($class, $server, $number) = @_;
    my $self = bless { server => $server, number => $number, made => 0, acknowledged => 0, lost => 0, users => {}, gone => [], members => {} }, $class;
    my $group = $self->send('POST', '/Groups', { schemas => [$GROUP], displayName => "group $number" });
    $self->{group} = $group->json->{id} // die 'no group: ' . $group->content . "\n";
    return $self;
}

# On a connection of its own: a client that keeps one repeats by itself what
# got no answer.
sub send
{
    my ($self, $method, $path, $body) = @_;
    return $self->{server}->request($method, $path, $body, host => '127.0.0.1');
}

# Whether there is no answer, or not a whole one.
sub is_lost
{
    my ($response) = @_;
    return $response->status == 599 || $response->status == 0;
}

# The answer to a change, or nothing where it was lost.
sub change
{
    my ($self, $want, @request) = @_;
    my $response = $self->send(@request);
    if (is_lost($response)) {
        $self->{lost}++;
        return;
    }
    die "$request[0] $request[1]: " . $response->status . ' ' . $response->content . "\n" if $response->status != $want;
    $self->{acknowledged}++;
    return $response;
}

# How it is now.  A process that is killed while LMDB writes its last page has
# committed, but readers see that only when the next one writes: write first.
sub look
{
    my ($self, $path) = @_;
    for (1 .. 200) {
        my $op = { op => 'replace', path => 'externalId', value => 'touched ' . ++$self->{touched} };
        my $response = $self->send('PATCH', "/Groups/$self->{group}", { schemas => [$PATCH_OP], Operations => [$op] });
        $response = $self->send('GET', $path) if $response->status == 204;
        return $response if $response->status == 200 || $response->status == 404;
        die "looking at $path: " . $response->status . ' ' . $response->content . "\n" if !is_lost($response);
        sleep 0.05;
    }
    die "looking at $path: no answer in 10 s\n";
}

sub any_user
{
    my ($self) = @_;
    my @ids = keys %{ $self->{users} };
    return $ids[rand @ids];
}

sub create
{
    my ($self) = @_;
    my $name = sprintf 'w%d-%d', $self->{number}, ++$self->{made};
    my $made = $self->change(201, 'POST', '/Users', main::body_of($name, 1));
    my $user = $made ? $made->json : $self->look('/Users?filter=' . esc(qq(userName eq "$name")))->json->{Resources}[0];
    return if !$user;
    my $v = main::version_of($user);
    die "$v\n" if $v ne '1';
    $self->{users}{ $user->{id} } = [$name, 1];
}

# A change from one version to the next.
sub advance
{
    my ($self, $method) = @_;
    my $id = $self->any_user // return;
    my ($name, $v) = @{ $self->{users}{$id} };
    my $body = $method eq 'PUT' ? main::body_of($name, $v + 1) : main::patch_to($v + 1, $name);
    my $done = $self->change(200, $method, "/Users/$id", $body);
    my $now = main::version_of(($done || $self->look("/Users/$id"))->json);
    die "$now\n" if $now !~ /^\d+$/;
    die "$method of $id: v$now where v" . ($v + 1) . ' was ' . ($done ? 'acknowledged' : 'sent') . "\n"
        if $now != $v + 1 && ($done || $now != $v);
    $self->{users}{$id}[1] = $now;
}

sub remove
{
    my ($self) = @_;
    return if keys %{ $self->{users} } < 5;
    my $id = $self->any_user;
    if (!$self->change(204, 'DELETE', "/Users/$id") && $self->look("/Users/$id")->status == 200) {
        return;
    }
    push @{ $self->{gone} }, $id;
    delete $self->{users}{$id};
    delete $self->{members}{$id};
}

# Two members at once, or none.
sub join_or_leave
{
    my ($self) = @_;
    my @ids = grep { defined } $self->any_user, $self->any_user or return;
    my $joins = rand() < 0.6;
    my %after = %{ $self->{members} };
    if ($joins) {
        @after{@ids} = (1) x @ids;
    } else {
        delete @after{@ids};
    }
    my $op = { op => $joins ? 'add' : 'remove', path => 'members', value => [map { { value => $_ } } @ids] };
    if (!$self->change(204, 'PATCH', "/Groups/$self->{group}", { schemas => [$PATCH_OP], Operations => [$op] })) {
        my $there = main::members_in($self->look("/Groups/$self->{group}")->json);
        my ($old, $new) = map { join ' ', sort keys %$_ } $self->{members}, \%after;
        die "members in part: $there, not $old, nor $new\n" if $there ne $old && $there ne $new;
        return if $there eq $old;
    }
    $self->{members} = \%after;
}

sub step
{
    my ($self) = @_;
    my $die = rand;
    return $die < 0.30 && keys %{ $self->{users} } < 40 ? $self->create
        : $die < 0.50 ? $self->advance('PATCH')
        : $die < 0.65 ? $self->advance('PUT')
        : $die < 0.80 ? $self->remove
        : $self->join_or_leave;
}

package main;

sub members_in
{
    my ($group) = @_;
    return join ' ', sort map { $_->{value} } @{ $group->{members} || [] };
}

# Kills; how many it killed.  The file tells the writers that it is over.
sub kill_children
{
    my ($server) = @_;
    my $until = time + $seconds;
    my $killed = 0;
    while ($killed < $rounds && time < $until) {
        sleep 0.1 + rand 0.2;
        my @children = $server->children;
        $killed += kill 'KILL', $children[rand @children] if @children;
    }
    sleep 0.3;
    open my $over, '>', $server->dir . '/over' or die "$!\n";
    return { killed => $killed };
}

sub write_amid_kills
{
    my ($server, $writer) = @_;
    srand $writer->{number};
    $writer->step while !-e $server->dir . '/over';
    delete $writer->{server};
    return {%$writer};
}

# What the journals of all writers say, held against the store.
sub differences
{
    my ($server, @journals) = @_;
    my (%there, @problems);
    for (my $start = 1; ; $start += 500) {
        my $page = $server->get("/Users?startIndex=$start&count=500")->json;
        $there{ $_->{id} } = $_ for @{ $page->{Resources} };
        push @problems, "totalResults $page->{totalResults}, but " . keys(%there) . ' users' if !@{ $page->{Resources} } && $page->{totalResults} != keys %there;
        last if !@{ $page->{Resources} };
    }
    for my $journal (@journals) {
        while (my ($id, $said) = each %{ $journal->{users} }) {
            my $user = delete $there{$id} or push(@problems, "user $said->[0] is lost"), next;
            my $v = version_of($user);
            push @problems, "user $said->[0]: $v, not $said->[1]" if $v ne $said->[1];
            my $groups = join ' ', map { $_->{value} } @{ $user->{groups} || [] };
            push @problems, "user $said->[0] is in \"$groups\"" if $groups ne ($journal->{members}{$id} ? $journal->{group} : '');
        }
        for my $id (@{ $journal->{gone} }) {
            push @problems, "user $id was deleted and is there" if delete $there{$id} || $server->get("/Users/$id")->status != 404;
        }
        my $members = members_in($server->get("/Groups/$journal->{group}")->json);
        push @problems, "group $journal->{group} has members $members" if $members ne join ' ', sort keys %{ $journal->{members} };
    }
    push @problems, map { "user $_->{userName} was never made" } values %there;
    return @problems;
}

# Children that were killed are to be replaced at once, not when load asks for
# it: as many spare ones as there are.
my $spare = ($ENV{SCIM_MPM} // '') eq 'prefork' ? 'MinSpareServers 4' : 'MinSpareThreads 160';
my $server = Scim::Httpd->new(children => 4, conf => $spare);
# How httpd speaks of that.
$server->allow_log(qr/children are killed successively/, qr/server is within MinSpareThreads/, qr/scoreboard is full/);
# Their groups are there before the first kill, however slow the server is.
my @writers = map { Writer->new($server, $_) } 0 .. $writers - 1;
my @journals = parallel($writers + 1, sub {
    my ($i) = @_;
    return $i < $writers ? write_amid_kills($server, $writers[$i]) : kill_children($server);
});
my $killed = pop(@journals)->{killed};
my ($acknowledged, $lost) = (0, 0);
$acknowledged += $_->{acknowledged}, $lost += $_->{lost} for @journals;
note "$killed children killed, $acknowledged changes acknowledged, $lost answers lost";
is($killed, $rounds, 'children were killed as often as they should be') or diag "the machine is slow: $killed of $rounds in $seconds s";
cmp_ok($acknowledged, '>', 2 * $killed, 'clients wrote all the while');
cmp_ok($lost, '>', 0, 'and lost answers');

is_deeply([differences($server, @journals)], [], 'what was acknowledged is there, and nothing else');
is($server->post('/Users', { schemas => [$USER], userName => 'afterwards' })->status, 201, 'the server goes on');
$server->delete($_) for map { "/Users/$_->{id}" } @{ $server->get('/Users?filter=' . esc('userName eq "afterwards"'))->json->{Resources} };
$server->stop;
my ($code, $out, $err) = $server->scimctl('stat');
is($code, 0, 'the store opens') or diag $out, $err;
($code, $out, $err) = $server->scimctl('verify');
is($code, 0, 'and is whole') or diag $out, $err;
$server->start;
is_deeply([differences($server, @journals)], [], 'and holds the same after a restart');
$server->log_clean;
done_testing();
