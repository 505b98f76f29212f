#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A day of three companies, each with two identity providers: people join, move
# between groups that give roles, leave, come back and are renamed, groups are
# renamed and deleted, a token is rotated, and httpd restarts, all at once.  At
# each pause the store is what a simple model says, and in the end every change
# has its line in the audit log, and no line is without its change.
#
# SEED: of the random numbers, printed; N: steps in all (1800; 360 with sanitizers)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Scim::Httpd;
use Scim::Idp;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 1_000_000;
my $steps = $ENV{N} || ($ENV{SCIM_SAN} ? 360 : 1800);
my $people = 200; # in all companies, in the morning
my $json = JSON::PP->new->utf8->canonical;
diag('SEED=' . ($seed = int $seed));

# What becomes of the members of a group that gave a role.
my %on_delete = (acme => 'delete', globex => 'deactivate', initech => 'keep');
my %patterns = (admin => 'Pipefy-administrators', member => 'pipefy-members', guest => 'pipefy-guests');
my @roles = sort keys %patterns;

my $conf = join '', map({ qq(SCIMRole $_ "$patterns{$_}*"\n) } @roles), "SCIMCustomGroups ignore\nSCIMAuditLog audit.log\n",
    map { "<SCIMTenantPolicy $_>\n    SCIMOnGroupDelete $on_delete{$_}\n</SCIMTenantPolicy>\n" } sort keys %on_delete;

# The site of each company: a page for each role.  Who asks is believed.
sub site
{
    my ($tenant, $role) = @_;
    return <<"EOT";
<Location "/$tenant/$role">
    AuthType Basic
    AuthName site
    AuthBasicProvider anon
    Anonymous *
    Anonymous_MustGiveEmail Off
    AuthzSendForbiddenOnFailure On
    SCIMTenant $tenant
    Require scim-role $role
</Location>
EOT
}

my @pages = map { my $tenant = $_; map { [$tenant, $_] } @roles } sort keys %on_delete;
my $server = Scim::Httpd->new(
    start => 0, tenant => 'acme', modules => [qw(auth_basic authn_anon)], files => { map { ("$_->[0]/$_->[1]/page.txt" => "$_->[1]\n") } @pages },
    conf => join('', $conf, map { site(@$_) } @pages),
);
my $progress = $server->dir . '/progress'; # one byte for each step

# scimctl as its administrator calls it: what it does stands in the audit log.
sub scimctl
{
    my (@args) = @_;
    my ($code, $out, $err) = $server->scimctl(@args);
    die "scimctl @args: exit code $code\n$out$err" if $code;
    return $out;
}

# --- the model -------------------------------------------------------------------

# What a group of that name gives: patterns are prefixes, without case.
sub role_of
{
    my ($name) = @_;
    my ($role) = grep { lc(substr $name, 0, length $patterns{$_}) eq lc $patterns{$_} } @roles;
    return $role;
}

package Provider;

use Scim::Httpd;
use Scim::Idp;

# users: number => { id, userName, displayName, active }; groups: number =>
# { id, name, members => { number of a user => 1 } }; gone: names that nobody
# has any more; events: what the audit log must say of this provider, in order.
sub new
{
    my ($class, %arg) = @_;
    return bless {
        %arg, idp => Scim::Idp->new($server, 'content-type' => 'application/scim+json'), created => 0, users => {}, groups => {}, gone => [],
        events => [], problems => [], asked => 0, cut => 0,
    }, $class;
}

# What another process needs to go on: the model and what was found.
my @state = qw(created users groups gone events problems asked cut);

sub state
{
    my ($self) = @_;
    return { map { $_ => $self->{$_} } @state };
}

sub take_state
{
    my ($self, $state) = @_;
    @$self{@state} = @$state{@state};
    return;
}

sub problem
{
    my ($self, $text) = @_;
    push @{ $self->{problems} }, "$self->{tenant} $self->{form}: $text";
    return;
}

# A request that must be answered with that status.  One whose connection httpd
# closed while it restarts is sent again: had it been carried out, the second
# would be refused, or the audit log had one line too many.
sub ask
{
    my ($self, $want, $method, $path, $body) = @_;
    my $response;
    for my $try (1 .. 5) {
        $response = $self->{idp}->request($method, $path, $body, authorization => "Bearer $self->{token}");
        last if $response->status != 599;
        $self->{cut}++;
    }
    $self->problem("$method $path: " . $response->status . ' ' . $response->content) if $response->status != $want;
    return $response;
}

sub event
{
    my ($self, $op, $id, %more) = @_;
    push @{ $self->{events} }, { op => $op, id => $id, %more };
    return;
}

# One of them; always the same for the same random numbers.
sub one_of
{
    my (@all) = @_;
    return $all[rand @all];
}

sub users
{
    my ($self, $wanted) = @_;
    return sort { $a <=> $b } grep { !$wanted || $wanted->($self->{users}{$_}) } keys %{ $self->{users} };
}

sub groups
{
    my ($self, $wanted) = @_;
    return sort { $a <=> $b } grep { !$wanted || $wanted->($self->{groups}{$_}) } keys %{ $self->{groups} };
}

sub gives_role { return defined main::role_of($_[0]{name}) }

sub roles_of
{
    my ($self, $u) = @_;
    my %has;
    for my $group (grep { $_->{members}{$u} } values %{ $self->{groups} }) {
        my $role = main::role_of($group->{name});
        $has{$role} = 1 if defined $role;
    }
    return \%has;
}

sub number
{
    my ($self) = @_;
    return ++$self->{created};
}

# --- in the form of each provider -----------------------------------------------

sub user_json
{
    my ($self, $u) = @_;
    my $user = $self->{users}{$u};
    my %body = (
        schemas => [$USER], userName => $user->{userName}, displayName => $user->{displayName}, externalId => "ext-$u",
        active => $user->{active} ? JSON::PP::true : JSON::PP::false, name => { givenName => 'Given', familyName => "Family $u" },
        emails => [{ primary => JSON::PP::true, type => 'work', value => "mail$u\@$self->{tenant}.example" }],
    );
    my %more = (
        entra => { schemas => [$USER, $ENTERPRISE], meta => { resourceType => 'User' }, roles => [] },
        jumpcloud => { schemas => [$ENTERPRISE, $USER], addresses => [], phoneNumbers => [], $user->{id} ? (id => $user->{id}) : () },
        okta => { groups => [], password => '1mz050nq', locale => 'en-US' },
    );
    return $json->encode({ %body, %{ $more{ $self->{form} } } });
}

sub group_json
{
    my ($self, $g) = @_;
    my $group = $self->{groups}{$g};
    my @members = map { { value => $self->{users}{$_}{id} } } sort { $a <=> $b } keys %{ $group->{members} };
    return $json->encode({ schemas => [$GROUP], displayName => $group->{name}, id => $group->{id}, members => \@members });
}

# The user is as the model says now; $changed: what is another than before.
sub push_user
{
    my ($self, $u, @changed) = @_;
    my $user = $self->{users}{$u};
    my $path = "/Users/$user->{id}";
    my $active = $user->{active};
    if ($self->{form} eq 'entra') {
        my %value = (userName => qq("$user->{userName}"), displayName => qq("$user->{displayName}"), active => $active ? '"True"' : '"False"');
        $self->ask(200, 'PATCH', $path, po(map { qq({"op":"Replace","path":"$_","value":$value{$_}}) } @changed));
        $self->event('users.patch', $user->{id}, changed => [sort @changed]);
    } elsif ($self->{form} eq 'okta' && "@changed" eq 'active') {
        $self->ask(200, 'PATCH', $path, po('{"op":"replace","value":{"active":' . ($active ? 'true' : 'false') . '}}'));
        $self->event('users.patch', $user->{id}, changed => ['active']);
    } else {
        $self->ask(200, 'PUT', $path, $self->user_json($u));
        $self->event('users.replace', $user->{id}, changed => [sort @changed]);
    }
    return;
}

# Adds the user to a group or takes it away; it was otherwise before.
sub push_member
{
    my ($self, $g, $u, $in) = @_;
    my ($group, $id) = ($self->{groups}{$g}, $self->{users}{$u}{id});
    my $path = "/Groups/$group->{id}";
    if ($in) {
        $group->{members}{$u} = 1;
    } else {
        delete $group->{members}{$u};
    }
    if ($self->{form} eq 'jumpcloud') {
        $self->ask(200, 'PUT', $path, $self->group_json($g));
        $self->event('groups.replace', $group->{id}, changed => ['members']);
        return;
    }
    my $operation =
          $self->{form} eq 'entra' ? sprintf('{"op":"%s","path":"members","value":[{"$ref":null,"value":"%s"}]}', $in ? 'Add' : 'Remove', $id)
        : $in ? qq({"op":"add","path":"members","value":[{"value":"$id","display":"$self->{users}{$u}{userName}"}]})
        : qq({"op":"remove","path":"members[value eq \\"$id\\"]"});
    $self->ask(204, 'PATCH', $path, po($operation));
    $self->event('groups.patch', $group->{id}, changed => ['members']);
    return;
}

sub push_name
{
    my ($self, $g) = @_;
    my $group = $self->{groups}{$g};
    my $path = "/Groups/$group->{id}";
    if ($self->{form} eq 'jumpcloud') {
        $self->ask(200, 'PUT', $path, $self->group_json($g));
    } elsif ($self->{form} eq 'entra') {
        $self->ask(204, 'PATCH', $path, po(qq({"op":"Replace","path":"displayName","value":"$group->{name}"})));
    } else {
        $self->ask(204, 'PATCH', $path, po(qq({"op":"replace","value":{"id":"$group->{id}","displayName":"$group->{name}"}})));
    }
    $self->event($self->{form} eq 'jumpcloud' ? 'groups.replace' : 'groups.patch', $group->{id}, changed => ['displayName']);
    return;
}

# --- what happens in a day -------------------------------------------------------

# Who is not there is looked up first, then made, then put into a group.
sub join_up
{
    my ($self) = @_;
    my $u = $self->number;
    my %user = (userName => "person$u.$self->{form}\@$self->{tenant}.example", displayName => "Person $u", active => 1);
    $self->{users}{$u} = \%user;
    my $found = $self->ask(200, 'GET', '/Users?filter=userName%20eq%20%22' . esc($user{userName}) . '%22');
    $self->problem("$user{userName} is there already") if ($found->json->{totalResults} // 1) != 0;
    my $made = $self->ask(201, 'POST', '/Users', $self->user_json($u));
    $user{id} = $made->json->{id};
    $self->event('users.create', $user{id});
    my $g = one_of($self->groups(\&gives_role));
    $self->push_member($g, $u, 1) if defined $g;
    return;
}

# From one group that gives a role to another, in either order.
sub move
{
    my ($self) = @_;
    my @from = $self->groups(sub { gives_role($_[0]) && %{ $_[0]{members} } });
    my $from = one_of(@from) // return;
    my $u = one_of(sort { $a <=> $b } keys %{ $self->{groups}{$from}{members} });
    my $to = one_of($self->groups(sub { gives_role($_[0]) && !$_[0]{members}{$u} })) // return;
    my @changes = ([$from, $u, 0], [$to, $u, 1]);
    @changes = reverse @changes if rand() < 0.5;
    $self->push_member(@$_) for @changes;
    $self->look($u);
    return;
}

# Into any group, or out of it, for reasons of its own.
sub shuffle
{
    my ($self) = @_;
    my $g = one_of($self->groups) // return;
    my $u = one_of($self->users) // return;
    $self->push_member($g, $u, !$self->{groups}{$g}{members}{$u});
    return;
}

sub switch
{
    my ($self, $to) = @_;
    my $u = one_of($self->users(sub { !$_[0]{active} == !!$to })) // return;
    $self->{users}{$u}{active} = $to;
    $self->push_user($u, 'active');
    $self->look($u);
    return;
}

sub forget
{
    my ($self, $u) = @_;
    my $user = delete $self->{users}{$u};
    delete $_->{members}{$u} for values %{ $self->{groups} };
    push @{ $self->{gone} }, $user->{userName};
    return $user;
}

# Okta never deletes; Entra disables first.
sub leave
{
    my ($self) = @_;
    return $self->switch(0) if $self->{form} eq 'okta';
    my $u = one_of($self->users) // return;
    my $user = $self->{users}{$u};
    if ($self->{form} eq 'entra' && $user->{active}) {
        $user->{active} = 0;
        $self->push_user($u, 'active');
    }
    $self->ask(204, 'DELETE', "/Users/$user->{id}");
    $self->event('users.delete', $user->{id});
    $self->forget($u);
    return;
}

sub rename_user
{
    my ($self) = @_;
    my $u = one_of($self->users) // return;
    my $user = $self->{users}{$u};
    my $n = $self->number;
    push @{ $self->{gone} }, $user->{userName};
    @$user{qw(userName displayName)} = ("renamed$n.$self->{form}\@$self->{tenant}.example", "Renamed $n");
    $self->push_user($u, 'userName', 'displayName');
    $self->look($u);
    return;
}

# A name that nobody has; in capitals or not.
sub new_name
{
    my ($self, @kinds) = @_;
    my $kind = one_of(@kinds);
    my $first = defined $patterns{$kind} ? one_of($patterns{$kind}, uc $patterns{$kind}) : 'Book club';
    return "$first $self->{form} " . $self->number;
}

sub rename_group
{
    my ($self) = @_;
    my $g = one_of($self->groups) // return;
    $self->{groups}{$g}{name} = $self->new_name(@roles, 'other');
    $self->push_name($g);
    return;
}

sub make_group
{
    my ($self, $kind) = @_;
    my $g = $self->number;
    my %group = (name => $self->new_name($kind // (@roles, 'other')), members => {});
    my $made = $self->ask(201, 'POST', '/Groups', $json->encode({ schemas => [$GROUP], displayName => $group{name}, $self->{form} eq 'okta' ? (members => []) : () }));
    $group{id} = $made->json->{id};
    $self->{groups}{$g} = \%group;
    $self->event('groups.create', $group{id});
    return;
}

# Members who have no role left are what the company's policy makes of them.
sub drop_group
{
    my ($self, $g) = @_;
    $g //= one_of($self->groups) // return;
    my $group = $self->{groups}{$g};
    $self->ask(204, 'DELETE', "/Groups/$group->{id}");
    $self->event('groups.delete', $group->{id});
    delete $self->{groups}{$g};
    my @left = grep { !%{ $self->roles_of($_) } } sort { $a <=> $b } keys %{ $group->{members} };
    for my $u (gives_role($group) ? @left : ()) {
        my $user = $self->{users}{$u};
        if ($on_delete{ $self->{tenant} } eq 'delete') {
            $self->event('users.delete', $user->{id}, cause => $group->{id});
            $self->forget($u);
        } elsif ($on_delete{ $self->{tenant} } eq 'deactivate' && $user->{active}) {
            $user->{active} = 0;
            $self->event('users.patch', $user->{id}, cause => $group->{id}, changed => ['active']);
        }
    }
    $self->look($_) for grep { $self->{users}{$_} } @left[0 .. ($#left < 2 ? $#left : 2)];
    my @give = $self->groups(\&gives_role);
    $self->make_group(one_of(@roles)) if @give < 3;
    return;
}

# The largest group that gives a role.
sub drop_largest
{
    my ($self) = @_;
    my ($g) = sort { keys %{ $self->{groups}{$b}{members} } <=> keys %{ $self->{groups}{$a}{members} } } $self->groups(\&gives_role);
    $self->drop_group($g) if defined $g;
    return;
}

# Neither changes anything: a second user of a name, a change to what is so.
sub nothing
{
    my ($self) = @_;
    my $u = one_of($self->users) // return;
    my $user = $self->{users}{$u};
    $self->ask(409, 'POST', '/Users', $json->encode({ schemas => [$USER], userName => uc $user->{userName} }));
    $self->ask(200, 'PATCH', "/Users/$user->{id}", po('{"op":"replace","path":"active","value":' . ($user->{active} ? 'true' : 'false') . '}'));
    my $g = one_of($self->groups(sub { %{ $_[0]{members} } })) // return;
    my $in = one_of(sort { $a <=> $b } keys %{ $self->{groups}{$g}{members} });
    $self->ask(204, 'PATCH', "/Groups/$self->{groups}{$g}{id}", po(qq({"op":"add","path":"members","value":[{"value":"$self->{users}{$in}{id}"}]})));
    return;
}

# --- who gets in -----------------------------------------------------------------

sub may
{
    my ($self, $name, $role) = @_;
    my $basic = MIME::Base64::encode_base64("$name:x", '');
    for my $try (1 .. 5) {
        my $response = $server->get($server->url("/$self->{tenant}/$role/page.txt"), authorization => "Basic $basic");
        next if $response->status == 599;
        $self->problem("$name at the page of $role: " . $response->status) if $response->status !~ /^(?:200|403)$/;
        return $response->status == 200 ? 1 : 0;
    }
    return -1;
}

# The very next request sees what the last one changed.
sub look
{
    my ($self, $u) = @_;
    my $user = $self->{users}{$u};
    my $has = $user->{active} ? $self->roles_of($u) : {};
    for my $role (@roles) {
        $self->{asked}++;
        my $want = $has->{$role} ? 1 : 0;
        my $got = $self->may($user->{userName}, $role);
        $self->problem("$user->{userName} at the page of $role: $got, not $want") if $got != $want;
    }
    return;
}

sub look_at_someone
{
    my ($self) = @_;
    my $u = one_of($self->users);
    $self->look($u) if defined $u;
    my $name = one_of(@{ $self->{gone} });
    if (defined $name) {
        $self->{asked}++;
        $self->problem("$name, which nobody is called, gets in") if $self->may($name, one_of(@roles)) != 0;
    }
    return;
}

my @happens = (
    ([join_up => sub { $_[0]->join_up }]) x 12, ([move => sub { $_[0]->move }]) x 18, ([shuffle => sub { $_[0]->shuffle }]) x 8,
    ([deactivate => sub { $_[0]->switch(0) }]) x 9, ([activate => sub { $_[0]->switch(1) }]) x 8, ([leave => sub { $_[0]->leave }]) x 6,
    ([rename_user => sub { $_[0]->rename_user }]) x 8, ([rename_group => sub { $_[0]->rename_group }]) x 5,
    ([make_group => sub { $_[0]->make_group }]) x 3, ([drop_group => sub { $_[0]->drop_group }]) x 4, ([nothing => sub { $_[0]->nothing }]) x 5,
    ([look => sub { $_[0]->look_at_someone }]) x 14,
);

sub step
{
    my ($self) = @_;
    $self->read_token;
    one_of(@happens)->[1]->($self);
    return;
}

# A token that was rotated is typed in as soon as it is known.
sub token_file
{
    my ($self) = @_;
    return $server->dir . "/token-$self->{tenant}-$self->{form}";
}

sub read_token
{
    my ($self) = @_;
    open my $in, '<', $self->token_file or return;
    my $token = <$in>;
    $self->{token} = $token if defined $token && length $token == length $self->{token};
    close $in;
    return;
}

package main;

# --- a part of the day -----------------------------------------------------------

my @providers;
scimctl('tenant', 'create', $_) for qw(globex initech);
for my $pair ([acme => 'entra'], [acme => 'jumpcloud'], [globex => 'entra'], [globex => 'okta'], [initech => 'jumpcloud'], [initech => 'okta']) {
    my ($tenant, $form) = @$pair;
    my $token = $server->new_token(tenant => $tenant, connection => $form);
    push @providers, Provider->new(tenant => $tenant, form => $form, token => $token);
}
$server->start;

# All providers at once, each on a connection of its own, and what the
# administrator does amid that; returns what that comes to.
sub part
{
    my ($number, $work, $administer) = @_;
    open my $out, '>', $progress or die "$progress: $!\n";
    close $out;
    my @states = parallel(@providers + 1, sub {
        my ($i) = @_;
        srand($seed * 1000 + $number * 10 + $i);
        return { result => $administer ? $administer->() : undef } if $i == @providers;
        $work->($providers[$i], $i);
        return $providers[$i]->state;
    });
    my $result = (pop @states)->{result};
    $providers[$_]->take_state($states[$_]) for 0 .. $#providers;
    return $result;
}

sub step_done
{
    open my $out, '>>', $progress or die "$progress: $!\n";
    syswrite $out, '.';
    close $out;
    return;
}

# Until so many steps are done.
sub wait_for
{
    my ($count) = @_;
    my $until = time + 120;
    sleep 0.005 while (-s $progress || 0) < $count && time < $until;
    return;
}

my $per_part = int($steps / 3 / @providers);

sub busy
{
    my ($provider) = @_;
    for (1 .. $per_part) {
        $provider->step;
        step_done();
    }
    return;
}

# --- is it so? -------------------------------------------------------------------

sub all_of
{
    my ($token, $type) = @_;
    my (@all, $cursor);
    do {
        my $page = $server->get("/$type?count=50&cursor" . (defined $cursor ? "=$cursor" : ''), authorization => "Bearer $token")->json;
        push @all, @{ $page->{Resources} };
        $cursor = $page->{nextCursor};
    } while (defined $cursor);
    return @all;
}

# Both models of a company as SCIM shows them: id => what matters, as text.
sub expected
{
    my ($tenant) = @_;
    my (%users, %groups);
    for my $provider (grep { $_->{tenant} eq $tenant } @providers) {
        my %in;
        for my $g ($provider->groups) {
            my $group = $provider->{groups}{$g};
            my @members = map { $provider->{users}{$_}{id} } keys %{ $group->{members} };
            push @{ $in{$_} }, $group->{id} for @members;
            $groups{ $group->{id} } = $json->encode([$group->{name}, sort @members]);
        }
        for my $u ($provider->users) {
            my $user = $provider->{users}{$u};
            my @values = (@$user{qw(userName displayName)}, "ext-$u", "mail$u\@$tenant.example", "Family $u", $user->{active} ? 'active' : 'inactive');
            $users{ $user->{id} } = $json->encode([@values, sort @{ $in{ $user->{id} } || [] }]);
        }
    }
    return (\%users, \%groups);
}

sub found
{
    my ($token) = @_;
    my %users = map {
        my $user = $_;
        my @values = (@$user{qw(userName displayName externalId)}, $user->{emails}[0]{value}, $user->{name}{familyName}, $user->{active} ? 'active' : 'inactive');
        ($user->{id} => $json->encode([@values, sort map { $_->{value} } @{ $user->{groups} || [] }]));
    } all_of($token, 'Users');
    my %groups = map { ($_->{id} => $json->encode([$_->{displayName}, sort map { $_->{value} } @{ $_->{members} || [] }])) } all_of($token, 'Groups');
    return (\%users, \%groups);
}

sub pause
{
    my ($when) = @_;
    is_deeply([map { @{ $_->{problems} } } @providers], [], "day, $when: each request is answered as the model says, each decision is right");
    $_->{problems} = [] for @providers;
    for my $tenant (sort keys %on_delete) {
        my ($provider) = grep { $_->{tenant} eq $tenant } @providers;
        my ($users, $groups) = expected($tenant);
        my ($there, $there_groups) = found($provider->{token});
        is_deeply($there, $users, "S-11, S-13, S-43 day, $when: the users of $tenant");
        is_deeply($there_groups, $groups, "S-08, S-43 day, $when: the groups of $tenant");
    }
    my ($code, $out, $err) = $server->scimctl('verify');
    is($code, 0, "day, $when: the store is whole") || diag($out, $err);
    return;
}

# --- the day ---------------------------------------------------------------------

part(0, sub {
    my ($provider, $i) = @_;
    $provider->make_group($_) for @roles, 'other';
    $provider->join_up for 1 .. int($people / @providers) + ($i < $people % @providers ? 1 : 0);
});
is(scalar(map { $_->users } @providers), $people, "day, morning: $people people are there");
pause('morning');

# A token is rotated amid the work; the provider types the new one in when it
# has it, and nothing fails.
my $rotated = $providers[0];
my $old = $rotated->{token};
my @audited = ('--audit-log', $server->dir . '/audit.log');
part(1, \&busy, sub {
    wait_for($per_part * @providers / 3);
    my $out = scimctl(@audited, 'token', 'rotate', '--tenant', $rotated->{tenant}, '--connection', $rotated->{form});
    my ($new) = $out =~ /^Secret Token:\s*(mscim_\S+)/m or die "no Secret Token:\n$out";
    open my $file, '>', $rotated->token_file or die $rotated->token_file . ": $!\n";
    print $file $new;
    close $file or die $rotated->token_file . ": $!\n";
    return 1;
});
$rotated->read_token;
isnt($rotated->{token}, $old, 'day, noon: the token is another');
is($server->get('/Users?count=0', authorization => "Bearer $old")->status, 200, 'day, noon: the old one is good as well');
scimctl(@audited, 'token', 'revoke', '--tenant', $rotated->{tenant}, '--connection', $rotated->{form}, '--hint', substr($old, -4));
is_error($server->get('/Users?count=0', authorization => "Bearer $old"), 401, undef, 'C-314 day, noon: until it is revoked');
pause('noon');

ok(part(2, \&busy, sub {
    wait_for($per_part * @providers / 2);
    return $server->graceful(wait => 0) ? 1 : 0;
}), 'day, afternoon: httpd restarted amid the work');
pause('afternoon');

part(3, sub {
    my ($provider) = @_;
    busy($provider);
    $provider->drop_largest;
});
pause('evening');

# --- who changed what ------------------------------------------------------------

# Consequences of one deletion come in any order.
sub sorted
{
    my (@events) = @_;
    my @out;
    while (my $event = shift @events) {
        my @block = ($event);
        push @block, shift @events while $event->{cause} && @events && ($events[0]{cause} // '') eq $event->{cause};
        push @out, sort { $a->{id} cmp $b->{id} } @block;
    }
    return @out;
}

# An event as text; what else a created resource has is not looked at.
sub text_of
{
    my ($event) = @_;
    my $changed = $event->{op} =~ /\.(?:create|delete)$/ ? '' : join ',', sort @{ $event->{changed} || [] };
    return join ' ', $event->{op}, $event->{id}, $changed || '-', $event->{cause} ? "because of $event->{cause}" : ();
}

my (%lines, @acts, @broken);
open my $log, '<', $server->dir . '/audit.log' or die "audit.log: $!\n";
while (my $line = <$log>) {
    my $event = eval { $json->decode($line) };
    if (!$event || length $line > 4096 || !defined $event->{time} || !defined $event->{client}) {
        push @broken, $line;
    } elsif ($event->{client} eq 'scimctl') {
        push @acts, "$event->{op} " . ($event->{tenant} // '') . ' ' . ($event->{connection} // '');
    } else {
        push @{ $lines{"$event->{tenant} $event->{connection}"} }, $event;
    }
}
close $log;
is_deeply(\@broken, [], 'day: each line of the audit log is JSON and says when and who');
is_deeply(\@acts, ['token.rotate acme entra', 'token.revoke acme entra'], 'day: what the administrator did has its lines');
for my $provider (@providers) {
    my $name = "$provider->{tenant} $provider->{form}";
    my @told = map { text_of($_) } sorted(@{ delete $lines{$name} || [] });
    my @made = map { text_of($_) } sorted(@{ $provider->{events} });
    is(scalar(@told), scalar(@made), "day: the changes of $name have a line each");
    is_deeply(\@told, \@made, "day: and these are the changes that $name made, in their order");
}
is_deeply([keys %lines], [], 'day: nobody else changed anything');

my %sum = map { $_ => 0 } qw(asked cut);
my %followed = map { $_ => 0 } keys %on_delete;
for my $provider (@providers) {
    $sum{$_} += $provider->{$_} for keys %sum;
    $followed{ $provider->{tenant} } += grep { $_->{cause} } @{ $provider->{events} };
}
ok($followed{$_}, "day: deletions of groups had consequences in $_") for grep { $on_delete{$_} ne 'keep' } sort keys %on_delete;
diag(sprintf '%d changes, %d of them by deletions of groups, %d decisions, %d requests cut by the restart',
    scalar(map { @{ $_->{events} } } @providers), $followed{acme} + $followed{globex}, $sum{asked}, $sum{cut});

$server->allow_log(qr/AH01631: user \S+: authorization failure/);
$server->log_clean;
done_testing();
