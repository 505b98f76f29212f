#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What several clients see of a few users and a group that all of them change at
# once can be told as one after the other: for each history of requests and answers
# there is an order, in which no request stands before one that was answered before
# it was sent, and in which each answer is what a simple model of a directory gives.
# (Linearizability; the search is that of Wing and Gong, with Lowe's memory of what
# was tried.)
#
# LONG=1: 10,000 histories, and 2,000 more amid kill -9 of children; else 500 and 60.
# HISTORIES, KILLED: so many of them.  SEED: what was printed, for the same requests
# again; what they meet depends on the machine.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max min sum0);
use Scim::Body;
use Scim::Httpd;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(sleep time);

my $DRIVERS = 2; # processes that send
my $AT_ONCE = 4; # histories that each has under way
my $KEPT = 8; # histories that use the same connections
my $histories = $ENV{HISTORIES} // ($ENV{LONG} ? 10_000 : $ENV{SCIM_SAN} ? 60 : 500);
my $killed = $ENV{KILLED} // ($ENV{LONG} ? 2000 : $ENV{SCIM_SAN} ? 12 : 60);
my $seed = $ENV{SEED} // int rand 1 << 31;

# --- the model ---------------------------------------------------------------

# A directory: id => "name title version" for each user, "group" => its version,
# "in ID" => 1 for each member of it.
#
# A request: kind, and what it is about (id, name, title, ids, version in If-Match).
# A step: what the answer must be, as text, and the directory after it.

sub holder
{
    my ($state, $name) = @_;
    my ($id) = grep { $state->{$_} =~ /^\Q$name\E / } keys %$state;
    return $id;
}

# As it is read.
sub told
{
    my ($state, $id) = @_;
    return "200 $state->{$id}" . ($state->{"in $id"} ? ' in' : '');
}

# The answer where there is nothing to be changed, or not this version of it.
sub refused
{
    my ($what, $op) = @_;
    return '404' if !defined $what;
    my ($version) = $what =~ /(\d+)$/;
    return defined $op->{version} && $op->{version} != $version ? '412' : undef;
}

sub write_user
{
    my ($state, $op, $name, $title) = @_;
    my $id = $op->{id};
    my $no = refused($state->{$id}, $op);
    return ($no, $state) if $no;
    my ($old_name, $old_title, $version) = split / /, $state->{$id};
    $name //= $old_name;
    $title //= $old_title;
    my $other = holder($state, $name);
    return ('409', $state) if defined $other && $other ne $id;
    my $same = $name eq $old_name && $title eq $old_title;
    my $now = join ' ', $name, $title, $same ? $version : $version + 1;
    return ("200 $now", $same ? $state : { %$state, $id => $now });
}

sub members_of
{
    my ($state) = @_;
    return sort map { /^in (.*)/ ? $1 : () } keys %$state;
}

sub write_members
{
    my ($state, $op, @wanted) = @_;
    my $no = refused($state->{group}, $op);
    return ($no, $state) if $no;
    return ('400', $state) if grep { !defined $state->{$_} } @wanted;
    my $was = join ' ', members_of($state);
    my %now = map { $_ => $state->{$_} } grep { !/^in / } keys %$state;
    $now{"in $_"} = 1 for @wanted;
    return ("204 $state->{group}", $state) if $was eq join ' ', members_of(\%now);
    $now{group}++;
    return ("204 $now{group}", \%now);
}

my %model = (
    create => sub {
        my ($state, $op) = @_;
        return ('409', $state) if defined holder($state, $op->{name});
        # Of one whose answer was lost the id is told by who finds it.
        my $id = $op->{made} // '?' . ($op->{number} // '');
        return ("201 $op->{name} $op->{title} 1", { %$state, $id => "$op->{name} $op->{title} 1" });
    },
    read => sub { my ($state, $op) = @_; return (defined $state->{ $op->{id} } ? told($state, $op->{id}) : '404', $state) },
    reread => sub { # with If-None-Match
        my ($state, $op) = @_;
        my $no = refused($state->{ $op->{id} }, $op) // '';
        return ($no eq '404' ? '404' : $no ? told($state, $op->{id}) : '304', $state);
    },
    find => sub {
        my ($state, $op) = @_;
        my $id = holder($state, $op->{name}) // return ('200 nobody', $state);
        if ($id =~ /^\?/ && $op->{found}) {
            my %known = %$state;
            $known{ $op->{found} } = delete $known{$id};
            ($state, $id) = (\%known, $op->{found});
        }
        return ("$id " . told($state, $id), $state);
    },
    put => sub { my ($state, $op) = @_; return write_user($state, $op, $op->{name}, $op->{title}) },
    patch => sub { my ($state, $op) = @_; return write_user($state, $op, undef, $op->{title}) },
    rename => sub { my ($state, $op) = @_; return write_user($state, $op, $op->{name}, undef) },
    delete => sub {
        my ($state, $op) = @_;
        my $no = refused($state->{ $op->{id} }, $op);
        return ($no, $state) if $no;
        my %now = %$state;
        delete $now{ $op->{id} };
        $now{group}++ if delete $now{"in $op->{id}"};
        return ('204', \%now);
    },
    join => sub { my ($state, $op) = @_; return write_members($state, $op, $op->{id}, members_of($state)) },
    leave => sub { my ($state, $op) = @_; return write_members($state, $op, grep { $_ ne $op->{id} } members_of($state)) },
    set => sub { my ($state, $op) = @_; return write_members($state, $op, @{ $op->{ids} }) },
    members => sub {
        my ($state) = @_;
        return (defined $state->{group} ? join(' ', 200, $state->{group}, members_of($state)) : '404', $state);
    },
    drop => sub {
        my ($state, $op) = @_;
        my $no = refused($state->{group}, $op);
        return ($no, $state) if $no;
        return ('204', { map { $_ => $state->{$_} } grep { !/^(?:group$|in )/ } keys %$state });
    },
);

# --- the search --------------------------------------------------------------

# Each request has a number for when it was sent, and one for when it was answered;
# got is undef where the answer was lost, so that it came to pass at any time after
# it was sent, or never.  The most that could be brought into an order: all, if it is
# all that was answered.
sub longest_order
{
    my ($state, @ops) = @_;
    @ops = sort { $a->{sent} <=> $b->{sent} } @ops;
    my $answered = sum0(map { defined $ops[$_]{got} ? 1 << $_ : 0 } 0 .. $#ops);
    my (%tried, @longest);
    my $search;
    $search = sub {
        my ($done, $now, @order) = @_;
        @longest = @order if @order > @longest;
        return 1 if ($done & $answered) == $answered;
        return 0 if $tried{ join ' ', $done, map { "$_=$now->{$_}" } sort keys %$now }++;
        my @left = grep { !($done >> $_ & 1) } 0 .. $#ops;
        my $first = min(map { $ops[$_]{answered} // 9**9**9 } @left);
        for my $i (grep { $ops[$_]{sent} < $first } @left) {
            my $op = $ops[$i];
            my ($must, $then) = $model{ $op->{kind} }->($now, $op);
            next if defined $op->{got} && $op->{got} ne $must;
            return 1 if $search->($done | 1 << $i, $then, @order, $op);
        }
        return 0;
    };
    my $found = $search->(0, $state);
    undef $search; # which refers to itself
    return ($found, @longest);
}

sub line_of
{
    my ($op) = @_;
    my @about = map { defined $op->{$_} ? ref $op->{$_} ? "$_=@{$op->{$_}}" : "$_=$op->{$_}" : () } qw(id name title ids version made);
    return sprintf '%4d-%-4s client %d: %s %s -> %s', $op->{sent}, $op->{answered} // '', $op->{client} // 0, $op->{kind}, "@about", $op->{got} // 'no answer';
}

# Nothing, or why there is no order.
sub judge
{
    my ($state, @ops) = @_;
    my ($found, @order) = longest_order($state, @ops);
    return if $found;
    my %in = map { $_ => 1 } @order;
    my @rest = grep { !$in{$_} } sort { $a->{sent} <=> $b->{sent} } @ops;
    return join "\n", 'no order of all; the longest of some:', map({ line_of($_) } @order), 'and left:', map { line_of($_) } @rest;
}

# --- histories by hand -------------------------------------------------------

# h([sent, answered, kind, { what it is about }, answer], ...)
sub h
{
    return map { my ($sent, $answered, $kind, $about, $got) = @$_; +{ sent => $sent, answered => $answered, kind => $kind, got => $got, %$about } } @_;
}

my %one = (group => 1, u => 'a t 1');

subtest 'S-08 histories that have an order, and such that have none' => sub {
    my @good = (
        ['a read beside a write sees it', [1, 4, patch => { id => 'u', title => 'x' }, '200 a x 2'], [2, 3, read => { id => 'u' }, '200 a x 2']],
        ['or does not', [1, 4, patch => { id => 'u', title => 'x' }, '200 a x 2'], [2, 3, read => { id => 'u' }, '200 a t 1']],
        ['two writes at once, the later one first', [1, 4, patch => { id => 'u', title => 'x' }, '200 a x 3'], [2, 3, patch => { id => 'u', title => 'y' }, '200 a y 2']],
        ['a write without an answer was done', [1, undef, patch => { id => 'u', title => 'x' }, undef], [5, 6, read => { id => 'u' }, '200 a x 2']],
        ['or not', [1, undef, patch => { id => 'u', title => 'x' }, undef], [5, 6, read => { id => 'u' }, '200 a t 1']],
        ['or later', [1, undef, patch => { id => 'u', title => 'x' }, undef], [5, 6, read => { id => 'u' }, '200 a t 1'], [7, 8, read => { id => 'u' }, '200 a x 2']],
        ['a creation without an answer is found', [1, undef, create => { name => 'b', title => 'x', number => 1 }, undef],
            [3, 4, find => { name => 'b', found => 'v' }, 'v 200 b x 1'], [5, 6, delete => { id => 'v' }, '204']],
        ['one of two has a name', [1, 4, create => { name => 'b', title => 'x', made => 'v' }, '201 b x 1'], [2, 3, create => { name => 'b', title => 'y' }, '409']],
        ['a name that becomes free', [1, 6, create => { name => 'a', title => 'x', made => 'v' }, '201 a x 1'], [2, 3, delete => { id => 'u' }, '204']],
        ['who is deleted is in no group', [1, 2, join => { id => 'u' }, '204 2'], [3, 8, delete => { id => 'u' }, '204'], [4, 5, members => {}, '200 2 u'], [6, 7, members => {}, '200 3']],
    );
    my @bad = (
        ['what was written is not read', [1, 2, patch => { id => 'u', title => 'x' }, '200 a x 2'], [3, 4, read => { id => 'u' }, '200 a t 1']],
        ['what was read is gone again', [1, 6, patch => { id => 'u', title => 'x' }, '200 a x 2'], [2, 3, read => { id => 'u' }, '200 a x 2'], [4, 5, read => { id => 'u' }, '200 a t 1']],
        ['what nobody wrote', [1, 4, patch => { id => 'u', title => 'x' }, '200 a x 2'], [2, 3, read => { id => 'u' }, '200 a y 2']],
        ['two with one version', [1, 4, patch => { id => 'u', title => 'x', version => 1 }, '200 a x 2'], [2, 3, patch => { id => 'u', title => 'y', version => 1 }, '200 a y 2']],
        ['neither with it', [1, 4, patch => { id => 'u', title => 'x', version => 1 }, '412'], [2, 3, patch => { id => 'u', title => 'y', version => 1 }, '412']],
        ['a change that is lost', [1, 4, patch => { id => 'u', title => 'x' }, '200 a x 2'], [2, 3, rename => { id => 'u', name => 'b' }, '200 b t 2']],
        ['two of one name', [1, 4, create => { name => 'b', title => 'x', made => 'v' }, '201 b x 1'], [2, 3, create => { name => 'b', title => 'y', made => 'w' }, '201 b y 1']],
        ['a name that nobody has', [1, 2, create => { name => 'b', title => 'x' }, '409']],
        ['deleted twice', [1, 4, delete => { id => 'u' }, '204'], [2, 3, delete => { id => 'u' }, '204']],
        ['deleted, and there', [1, 2, delete => { id => 'u' }, '204'], [3, 4, find => { name => 'a', found => 'u' }, 'u 200 a t 1']],
        ['two who see it in two orders', [1, 10, patch => { id => 'u', title => 'x' }, '200 a x 2'], [2, 11, join => { id => 'u' }, '204 2'],
            [3, 4, read => { id => 'u' }, '200 a x 2'], [5, 6, members => {}, '200 1'], [7, 8, read => { id => 'u' }, '200 a t 1 in']],
        ['the group says one thing, the user another', [1, 2, join => { id => 'u' }, '204 2'], [3, 4, read => { id => 'u' }, '200 a t 1']],
        ['a member who is deleted', [1, 4, join => { id => 'u' }, '204 2'], [2, 3, delete => { id => 'u' }, '204'], [5, 6, members => {}, '200 2 u']],
        ['two replacements that mix', [1, 4, set => { ids => ['u'] }, '204 2'], [2, 3, set => { ids => [] }, '204 2']],
        ['a write without an answer that was done and undone', [1, undef, patch => { id => 'u', title => 'x' }, undef],
            [5, 6, read => { id => 'u' }, '200 a x 2'], [7, 8, read => { id => 'u' }, '200 a t 1']],
    );
    for my $history (@good) {
        my ($name, @ops) = @$history;
        is(judge(\%one, h(@ops)), undef, $name);
    }
    for my $history (@bad) {
        my ($name, @ops) = @$history;
        like(judge(\%one, h(@ops)), qr/^no order of all/, "none: $name");
    }
};

# --- clients -----------------------------------------------------------------

my $s = Scim::Httpd->new(children => 4, threads => 64);

sub connection
{
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or die "connect: $!\n";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    return $socket;
}

sub quoted { return join ',', map { qq({"value":"$_"}) } @_ }

sub patch_of { return qq({"schemas":["$PATCH_OP"],"Operations":[{$_[0]}]}) }

sub user_of { my ($op) = @_; return qq({"schemas":["$USER"],"userName":"$op->{name}","title":"$op->{title}"}) }

# Method, path and body; the group is that of the history.
my %request = (
    create => sub { my ($op) = @_; return ('POST', '/Users', user_of($op)) },
    read => sub { my ($op) = @_; return ('GET', "/Users/$op->{id}") },
    reread => sub { my ($op) = @_; return ('GET', "/Users/$op->{id}") },
    find => sub { my ($op) = @_; return ('GET', '/Users?filter=' . esc(qq(userName eq "$op->{name}"))) },
    put => sub { my ($op) = @_; return ('PUT', "/Users/$op->{id}", user_of($op)) },
    patch => sub { my ($op) = @_; return ('PATCH', "/Users/$op->{id}", patch_of(qq("op":"replace","path":"title","value":"$op->{title}"))) },
    rename => sub { my ($op) = @_; return ('PATCH', "/Users/$op->{id}", patch_of(qq("op":"replace","path":"userName","value":"$op->{name}"))) },
    delete => sub { my ($op) = @_; return ('DELETE', "/Users/$op->{id}") },
    join => sub { my ($op, $group) = @_; return ('PATCH', "/Groups/$group", patch_of(qq("op":"add","path":"members","value":[) . quoted($op->{id}) . ']')) },
    leave => sub { my ($op, $group) = @_; return ('PATCH', "/Groups/$group", patch_of(qq("op":"remove","path":"members[value eq \\"$op->{id}\\"]"))) },
    set => sub { my ($op, $group) = @_; return ('PATCH', "/Groups/$group", patch_of(qq("op":"replace","path":"members","value":[) . quoted(@{ $op->{ids} }) . ']')) },
    members => sub { my ($op, $group) = @_; return ('GET', "/Groups/$group") },
    drop => sub { my ($op, $group) = @_; return ('DELETE', "/Groups/$group") },
);

sub bytes_of
{
    my ($op, $group) = @_;
    my ($method, $path, $body) = $request{ $op->{kind} }->($op, $group);
    my $match = $op->{kind} eq 'reread' ? 'If-None-Match' : 'If-Match';
    return join "\r\n", "$method /scim/v2$path HTTP/1.1", 'Host: x', 'Authorization: Bearer ' . $s->token, defined $op->{version} ? qq($match: W/"$op->{version}") : (),
        defined $body ? ('Content-Type: application/scim+json', 'Content-Length: ' . length $body) : (), '', $body // '';
}

# What a body tells of a user: who it is, and the rest as the model has it.
sub user_in
{
    my ($text) = @_;
    my @parts = map { $text =~ $_ ? $1 : 'nothing' } qr/"userName":"([^"]*)"/, qr/"title":"([^"]*)"/, qr{"version":"W/\\"(\d+)\\""};
    my ($id) = $text =~ /"id":"([^"]*)"/;
    return ($id, "@parts", $text =~ /"groups":/ ? ' in' : '');
}

# Puts an answer into the words of the model.
sub note_answer
{
    my ($op, $r) = @_;
    my $status = $r->status;
    my ($etag) = ($r->header('etag') // '') =~ m{^W/"(\d+)"$};
    $op->{got} = $status;
    if ($op->{kind} eq 'members' && $status eq '200') {
        my ($list) = $r->content =~ /"members":\[(.*?)\]/;
        $op->{got} = join ' ', 200, $etag, sort(($list // '') =~ /"value":"([^"]*)"/g);
    } elsif ($op->{kind} =~ /^(?:join|leave|set)$/ && $status eq '204') {
        $op->{got} = "204 $etag";
    } elsif ($op->{kind} eq 'find' && $status eq '200') {
        my ($id, $user, $in) = user_in($r->content);
        $op->{found} = $id;
        $op->{got} = defined $id ? "$id 200 $user$in" : $r->content =~ /"totalResults":0[,}]/ ? '200 nobody' : '200 ' . $r->content;
    } elsif ($status =~ /^20[01]$/) {
        my ($id, $user, $in) = user_in($r->content);
        # What a change answers tells of groups what was so a moment later.
        $op->{got} = "$status $user" . ($op->{kind} =~ /read/ ? $in : '');
        $op->{made} = $id if $op->{kind} eq 'create';
        $op->{got} .= ' of another' if $op->{kind} ne 'create' && $id ne $op->{id};
        $op->{got} .= " etag $etag" if $user !~ / $etag$/;
    }
}

# What all clients of a history know: users that they heard of, and the versions
# that they heard last.
sub learn
{
    my ($history, $op) = @_;
    my $got = $op->{got} // return;
    my $id = $op->{made} // $op->{found} // $op->{id};
    push @{ $history->{ids} }, $id if defined $id && $id !~ /^\?/ && !grep { $_ eq $id } @{ $history->{ids} };
    if ($op->{kind} =~ /^(?:join|leave|set|members)$/) {
        $history->{version}{group} = $1 if $got =~ /^20\d (\d+)/;
    } elsif (defined $id && $got =~ / (\d+)(?: in)?$/) {
        $history->{version}{$id} = $1;
    }
}

my @often = (
    create => 14, read => 14, find => 8, put => 10, patch => 14, rename => 8, delete => 7, join => 9, leave => 5, set => 4, members => 9, reread => 3, drop => 0.3,
);

sub choose_kind
{
    my ($history) = @_;
    return rand() < 0.7 ? 'create' : 'find' if !@{ $history->{ids} };
    my %weight = @often;
    my $at = rand sum0(values %weight);
    for (my $i = 0; $i < @often; $i += 2) {
        return $often[$i] if ($at -= $often[ $i + 1 ]) < 0;
    }
    return 'read';
}

my $titles = 0;

sub choose
{
    my ($history) = @_;
    my $kind = choose_kind($history);
    my @ids = @{ $history->{ids} };
    my $op = { kind => $kind, number => ++$titles };
    $op->{id} = $ids[rand @ids] if $kind =~ /^(?:read|reread|put|patch|rename|delete|join|leave)$/;
    $op->{name} = $history->{names}[rand @{ $history->{names} }] if $kind =~ /^(?:create|find|put|rename)$/;
    # One that is there already, now and then.
    $op->{title} = rand() < 0.1 ? 't' : "t$titles" if $kind =~ /^(?:create|put|patch)$/;
    $op->{ids} = [grep { rand() < 0.5 } @ids] if $kind eq 'set';
    if ($kind eq 'reread' || ($kind =~ /^(?:put|patch|rename|delete|join|leave|set)$/ && rand() < 0.4)) {
        my $known = $history->{version}{ $kind =~ /^(?:join|leave|set)$/ ? 'group' : $op->{id} } // 1;
        $op->{version} = rand() < 0.9 ? $known : max(1, $known - 1);
    }
    return $op;
}

# --- a driver ----------------------------------------------------------------

my $clock = 0; # of this process, which sends and hears one thing at a time

sub begin_history
{
    my ($slot, $number) = @_;
    if (!$slot->{left}--) {
        $slot->{sockets} = [];
        $slot->{left} = $KEPT - 1;
    }
    my @names = map { "n$number-$_" } qw(a b);
    my $clients = 3 + int rand 3;
    my $group = $slot->{group}->();
    my $history = { names => \@names, group => $group, ids => [], version => {}, ops => [] };
    $history->{clients} = [map { +{ number => $_, todo => 4 + int rand 5, history => $history, slot => $slot } } 0 .. $clients - 1];
    $history->{busy} = $clients;
    return $history;
}

sub send_next
{
    my ($client) = @_;
    my ($history, $slot) = @$client{qw(history slot)};
    my $op = choose($history);
    my $socket = $slot->{sockets}[ $client->{number} ] ||= connection();
    @$op{qw(client sent)} = ($client->{number}, ++$clock);
    push @{ $history->{ops} }, $op;
    @$client{qw(op got todo)} = ($op, '', $client->{todo} - 1);
    syswrite $socket, bytes_of($op, $history->{group});
    return $socket;
}

# Whether there is an answer, or will be none.
sub hear
{
    my ($client) = @_;
    my $op = $client->{op};
    my $socket = $client->{slot}{sockets}[ $client->{number} ];
    my $n = sysread $socket, $client->{got}, 1 << 16, length $client->{got};
    my $r = length $client->{got} ? Scim::Httpd::Response->parse($client->{got}, !$n) : undef;
    $r = undef if $r && !$r->status;
    return 0 if $n && !$r;
    # httpd ends the connection of a request that it calls bad.
    $client->{slot}{sockets}[ $client->{number} ] = undef if !$r || ($r->header('connection') // '') eq 'close';
    if ($r) {
        $op->{answered} = ++$clock;
        note_answer($op, $r);
        learn($client->{history}, $op);
    }
    return 1;
}

# How many pairs of changes and reads were under way at once.
sub overlaps
{
    my @ops = sort { $a->{sent} <=> $b->{sent} } @_;
    my $pairs = 0;
    for my $i (0 .. $#ops) {
        $pairs += grep { $_->{sent} < ($ops[$i]{answered} // 9**9**9) } @ops[$i + 1 .. $#ops];
    }
    return $pairs;
}

# A group for each history, made before anything is done with it; other drivers' are
# of other names.
sub groups
{
    my ($driver) = @_;
    my $made = 0;
    return sub {
        for (1 .. 100) {
            my $r = $s->post('/Groups', group("g$driver-" . $made++));
            return $r->json->{id} if $r->status eq '201';
            sleep 0.05; # a child that is killed
        }
        die "no group can be made\n";
    };
}

# Runs so many histories, and judges each; what was wrong, and what there was.
sub drive
{
    my ($driver, $count) = @_;
    local $SIG{PIPE} = 'IGNORE';
    srand $seed + $driver;
    delete $s->{http};
    my (@wrong, %sum);
    my ($begun, $select, %client_of) = (0, IO::Select->new);
    my $group = groups($driver);
    my $go_on = sub {
        my $socket = send_next($_[0]);
        $client_of{ fileno $socket } = $_[0];
        $select->add($socket);
    };
    my $begin = sub {
        my $history = begin_history($_[0], "$driver-" . ++$begun);
        $go_on->($_) for @{ $history->{clients} };
    };
    my $end = sub {
        my ($history) = @_;
        my @ops = @{ $history->{ops} };
        $sum{ $_->{kind} . ' ' . (($_->{got} // 'lost') =~ /\b(\d{3}|lost)\b/)[0] }++ for @ops;
        $sum{requests} += @ops;
        $sum{overlaps} += overlaps(@ops);
        $sum{histories}++;
        my $why = judge({ group => 1 }, @ops);
        push @wrong, "$history->{names}[0]: $why" if $why && @wrong < 3;
    };
    $begin->({ left => 0, group => $group }) for 1 .. min($AT_ONCE, $count);
    while ($select->count) {
        my @ready = $select->can_read(60) or die "no answer in a minute\n";
        # All answers that are there first: what is sent then was sent after them.
        my @heard = grep { hear($_) } map { $client_of{ fileno $_ } } @ready;
        for my $client (@heard) {
            my $socket = (grep { $client_of{ fileno $_ } == $client } @ready)[0];
            $select->remove($socket);
            my $history = $client->{history};
            if ($client->{todo}) {
                $go_on->($client);
            } elsif (!--$history->{busy}) {
                $end->($history);
                $begin->($client->{slot}) if $begun < $count;
            }
        }
    }
    return { wrong => \@wrong, sum => \%sum };
}

# How drivers did together.
sub judge_drivers
{
    my ($name, $count, @results) = @_;
    my %sum;
    for my $result (@results) {
        $sum{$_} += $result->{sum}{$_} for keys %{ $result->{sum} };
    }
    note "$name (SEED=$seed): ", join ', ', map { "$_: $sum{$_}" } sort keys %sum;
    is(join("\n\n", map { @{ $_->{wrong} } } @results), '', "$name: each of $count histories has an order (SEED=$seed)");
    is($sum{histories}, $count, 'so many there were');
    return \%sum;
}

sub share { my ($count, $driver) = @_; return int($count / $DRIVERS) + ($driver < $count % $DRIVERS) }

subtest 'S-08 S-09 S-10 what many did at once can be told one after the other' => sub {
    plan skip_all => 'none are wanted' if !$histories;
    my $sum = judge_drivers('undisturbed', $histories, parallel($DRIVERS, sub { return drive($_[0], share($histories, $_[0])) }));
    cmp_ok($sum->{overlaps}, '>', $sum->{requests}, 'each request met more than one other');
    is(join(' ', grep { /(?:lost|5\d\d|429)$/ } keys %$sum), '', 'all are answered, and none with an error of the server');
    my @seen = grep { $sum->{$_} } ('create 201', 'create 409', 'put 200', 'put 412', 'put 409', 'rename 409', 'patch 412', 'patch 404', 'delete 204', 'join 204', 'join 412', 'set 204');
    cmp_ok(scalar @seen, '>=', $histories < 100 ? 8 : 12, "winners and losers: @seen");
};

subtest 'S-08 and what they did amid kill -9 of children, too' => sub {
    plan skip_all => 'none are wanted' if !$killed;
    my $done = File::Temp->new;
    my @results = parallel($DRIVERS + 1, sub {
        my ($driver) = @_;
        if ($driver < $DRIVERS) {
            my $result = drive($DRIVERS + $driver, share($killed, $driver));
            syswrite $done, 'x'; # one offset, which all share
            return $result;
        }
        my $kills = 0;
        while (-s $done->filename < $DRIVERS) {
            my @children = $s->children;
            # Some are left, or nobody connects.
            $kills += kill 'KILL', $children[rand @children] if @children > 2;
            sleep 0.1 + rand 0.3;
        }
        return $kills;
    });
    my $kills = pop @results;
    my $sum = judge_drivers("$kills kills", $killed, @results);
    cmp_ok($kills, '>', 0, 'children were killed');
    my @lost = grep { /lost$/ } keys %$sum;
    cmp_ok(sum0(@$sum{@lost}), '>', 0, 'answers were lost') if $killed >= 100;
    is(join(' ', grep { /5\d\d$/ } keys %$sum), '', 'what was answered was no error of the server');
};

$s->allow_log(qr/AH00052: child pid \d+ exit signal Killed/);
$s->log_clean;
done_testing();
