# SPDX-License-Identifier: Apache-2.0
package Scim::Load;

=head1 NAME

Scim::Load - clients that write to all nodes of a cluster, and remember all they were told

=head1 SYNOPSIS

    my $load = Scim::Load->new($cluster, clients => 6);
    $load->run(sub {
        $load->wait_for(100);
        $load->mark('the primary is killed');
        $cluster->kill_postgres($cluster->primary);
        ...
    });
    is_deeply([$load->problems], [], 'nothing is lost');

=head1 DESCRIPTION

Each client is a process, which sends each request to some node: it makes users,
changes and deletes them, puts them into a group of its own and into one of all, and
tries to be the first to get a name that all others want at the same moment.

It takes 503 with Retry-After for "later", and repeats then, elsewhere, what it cannot
know to be done; so it does where a node refuses connections, or an answer does not
come.  All else that is not what it asked for is a problem: the repetition of what had
been done is told by 409 or 404, and by what is there.

=head2 new($cluster, %args)

    clients    how many (6)
    nodes      those that they use (all)
    reads      the share of changes after which another node is asked at once (0.2)
    lost       true: requests may remain without an answer, since nodes are killed
    old        true: what is read may be old, so nothing is concluded from it: nobody
               deletes or races, what is not found is tried again, and a user whose
               making was refused may be there or not (with reads => 0)
    patience   seconds after which a change that was still refused is a problem (120)

=head2 Methods

    run($sub)         clients write until the sub returns
    wait_for($n)      ... waits until so many more changes are acknowledged
    mark($what)       ... remembers the time at which an outage begins
    problems          what differs from what clients were told, held against one node
                      and "scimctl verify"
    acknowledged      how many changes
    answers           "201: 100, 503: 3": how often each status was given
    outages           [what, seconds]: the longest time without any such change between
                      this mark and the next, where there was one at all
    tell              prints all of this as comments

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use List::Util qw(max sum0);
use POSIX qw(:sys_wait_h);
use Scim::Body;
use Scim::Httpd;
use Test::More ();
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical;

sub new
{
    my ($class, $cluster, %arg) = @_;
    my $self = bless {
        cluster => $cluster, clients => 6, nodes => [$cluster->machines], reads => 0.2, patience => 120, %arg, marks => [],
    }, $class;
    my $made = $cluster->node(1)->post('/Groups', group('everyone'));
    die 'no group: ' . $made->status . ' ' . $made->content . "\n" if $made->status != 201;
    $self->{everyone} = $made->json->{id};
    $self->{dir} = $cluster->dir . "/load-$self->{everyone}";
    mkdir $self->{dir} or die "$self->{dir}: $!\n";
    return $self;
}

sub run
{
    my ($self, $meanwhile) = @_;
    my @pids;
    my $begin = time;
    for my $number (1 .. $self->{clients}) {
        my $pid = fork // die "fork: $!\n";
        push(@pids, $pid), next if $pid;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';
        Scim::Load::Client->new($self, $number)->work;
        POSIX::_exit(0);
    }
    my $done = eval { $meanwhile->(); 1 };
    my $why = $@;
    $self->_write('over', '');
    waitpid $_, 0 for @pids;
    $self->{seconds} = time - $begin;
    $self->{journals} = [map { $json->decode(slurp("$self->{dir}/client-$_") || '{"problems":["a client has died"]}') } 1 .. $self->{clients}];
    die $why if !$done;
}

sub _write
{
    my ($self, $name, $text) = @_;
    open my $out, '>', "$self->{dir}/$name.new" or die "$name: $!\n";
    print $out $text;
    close $out;
    rename "$self->{dir}/$name.new", "$self->{dir}/$name";
}

sub is_over
{
    my ($self) = @_;
    return -e "$self->{dir}/over" || getppid() == 1;
}

# Each change that is acknowledged is a byte of a file.
sub wait_for
{
    my ($self, $count) = @_;
    my $enough = $count + (-s "$self->{dir}/done" || 0);
    my $until = time + $self->{patience};
    while ((-s "$self->{dir}/done" || 0) < $enough) {
        my ($ended) = grep { -e "$self->{dir}/client-$_" } 1 .. $self->{clients};
        die "client $ended has ended: ", @{ $json->decode(slurp("$self->{dir}/client-$ended"))->{problems} } if $ended;
        die "clients get nothing done within $self->{patience} s\n" if time > $until;
        sleep 0.05;
    }
}

sub mark
{
    my ($self, $what) = @_;
    push @{ $self->{marks} }, [$what, time];
}

# --- what became of it -------------------------------------------------------

sub acknowledged { return sum0(map { scalar @{ $_->{done} || [] } } @{ $_[0]{journals} }) }

sub answers
{
    my ($self) = @_;
    my %times;
    for my $journal (@{ $self->{journals} }) {
        $times{$_} += $journal->{answers}{$_} for keys %{ $journal->{answers} || {} };
    }
    return join ', ', map { "$_: $times{$_}" } sort keys %times;
}

sub outages
{
    my ($self) = @_;
    my @ends = sort { $a <=> $b } map { $_->[1] } map { @{ $_->{done} || [] } } @{ $self->{journals} };
    my @marks = @{ $self->{marks} };
    my @outages;
    for my $i (0 .. $#marks) {
        my ($what, $from) = @{ $marks[$i] };
        my $to = $i < $#marks ? $marks[ $i + 1 ][1] : $ends[-1];
        my @times = ($from, grep { $_ > $from && $_ <= $to } @ends);
        push @outages, [$what, max(map { $times[$_] - $times[ $_ - 1 ] } 1 .. $#times)] if @times > 1;
    }
    return @outages;
}

sub median
{
    my @sorted = sort { $a <=> $b } @_;
    return @sorted ? $sorted[@sorted / 2] : 0;
}

sub tell
{
    my ($self) = @_;
    my @outages = $self->outages;
    Test::More::note(sprintf '%d clients, %.0f s: %d changes acknowledged; answers %s', $self->{clients}, $self->{seconds}, $self->acknowledged, $self->answers);
    my @waits = map { $_->[2] } map { @{ $_->{done} || [] } } @{ $self->{journals} };
    Test::More::note(sprintf 'a change took, with its repetitions: median %.0f ms, worst %.2f s', 1000 * median(@waits), max(@waits, 0));
    Test::More::note(sprintf '%s: %.2f s', @$_) for @outages;
    my @seconds = map { $_->[1] } @outages;
    Test::More::note(sprintf '%d outages: median %.2f s, worst %.2f s', scalar @seconds, median(@seconds), max @seconds) if @seconds;
}

sub _all
{
    my ($self, $node, $path) = @_;
    my %there;
    for (my $start = 1; ; $start += 500) {
        my $page = $node->get("$path?startIndex=$start&count=500");
        die "$path: " . $page->status . ' ' . $page->content . "\n" if $page->status != 200;
        my @resources = @{ $page->json->{Resources} || [] };
        $there{ $_->{id} } = $_ for @resources;
        return %there if !@resources;
    }
}

sub problems
{
    my ($self, $m) = @_;
    my $node = $self->{cluster}->node($m // 1);
    my %users = $self->_all($node, '/Users');
    my %groups = $self->_all($node, '/Groups');
    my (@problems, %everyone, %won, %raced, %names);
    for my $journal (@{ $self->{journals} }) {
        push @problems, @{ $journal->{problems} };
        $everyone{$_} = 1 for keys %{ $journal->{everyone} };
        $raced{$_} = 1 for keys %{ $journal->{raced} };
        push @{ $won{$_} }, $journal->{raced}{$_} for grep { $journal->{raced}{$_} } keys %{ $journal->{raced} };
    }
    $names{ lc $_->{userName} }++ for values %users;
    push @problems, map { "$names{$_} users are named $_" } grep { $names{$_} > 1 } keys %names;
    push @problems, map { @{ $won{$_} || [] } == 1 ? () : "$_ was given to " . @{ $won{$_} || [] } . ' clients' } sort keys %raced;
    for my $journal (@{ $self->{journals} }) {
        push @problems, $self->_differences($journal, \%users, \%everyone, $groups{ $journal->{group} // '' });
    }
    push @problems, _members('everyone', $groups{ $self->{everyone} }, \%everyone);
    my %maybe = map { $_ => 1 } map { @{ $_->{maybe} || [] } } @{ $self->{journals} };
    push @problems, map { "user $_->{userName} was never made" } grep { !$maybe{ $_->{userName} } } values %users;
    my ($code, $out, $err) = $node->scimctl('verify');
    push @problems, "scimctl verify: exit code $code\n$out$err" if $code;
    # What was wrong all over need not be said a thousand times.
    return @problems > 20 ? (@problems[0 .. 19], 'and ' . (@problems - 20) . ' more') : @problems;
}

# Takes the users that a client has told of out of %$users.
sub _differences
{
    my ($self, $journal, $users, $everyone, $group) = @_;
    my @problems;
    while (my ($id, $said) = each %{ $journal->{users} }) {
        my $user = delete $users->{$id} or push(@problems, "user $said->{name} ($id) is lost"), next;
        push @problems, map { "user $said->{name}: $_" } Scim::Load::Client::differs($user, $said);
        my @in = map { $_->{value} } @{ $user->{groups} || [] };
        my @said = (($journal->{members}{$id} ? $journal->{group} : ()), ($everyone->{$id} ? $self->{everyone} : ()));
        push @problems, "user $said->{name} is in groups @in, not @said" if join(' ', sort @in) ne join(' ', sort @said);
    }
    for my $id (@{ $journal->{gone} }) {
        push @problems, "user $id was deleted and is there" if delete $users->{$id};
    }
    return @problems, _members("the group of client $journal->{number}", $group, $journal->{members});
}

sub _members
{
    my ($what, $group, $want) = @_;
    return "$what is lost" if !$group;
    my %there = map { $_->{value} => 1 } @{ $group->{members} || [] };
    my @missing = grep { !$there{$_} } keys %$want;
    my @surplus = grep { !$want->{$_} } keys %there;
    return @missing || @surplus ? "$what lacks " . @missing . ' members and has ' . @surplus . ' that left' : ();
}

package Scim::Load::Client;

use Scim::Body;
use Scim::Httpd;
use Time::HiRes qw(sleep time);

# users: id => { name, step, version }; done: [begin of the last try, end, all it took]
sub new
{
    my ($class, $load, $number) = @_;
    srand $number;
    return bless {
        load => $load, number => $number, problems => [], answers => {}, done => [], users => {}, gone => [],
        members => {}, everyone => {}, raced => {}, made => 0, kept => {}, maybe => [],
    }, $class;
}

sub work
{
    my ($self) = @_;
    my $load = $self->{load};
    my $did = eval {
        $self->{group} = $self->create('/Groups', group("group $self->{number}"), 'displayName')->{id};
        $self->step while !$load->is_over;
        1;
    };
    push @{ $self->{problems} }, "client $self->{number}: $@" if !$did;
    delete @$self{qw(load kept)};
    $load->_write("client-$self->{number}", $json->encode({%$self}));
}

# --- requests ----------------------------------------------------------------

sub any_of { return $_[rand @_] }

# Status 598: there was no connection, so nothing was sent; 599: no answer.
sub send
{
    my ($self, $m, $method, $path, $body) = @_;
    my $node = $self->{load}{cluster}->node($m);
    my $socket = delete $self->{kept}{$m};
    # One that the server has closed meanwhile is of no use.
    undef $socket if $socket && IO::Select->new($socket)->can_read(0);
    $socket ||= IO::Socket::INET->new(PeerAddr => $node->{address}, PeerPort => $node->port, Timeout => 5);
    return Scim::Httpd::Response->new(status => 598, content => "no connection: $!") if !$socket;
    my $content = $body ? $json->encode($body) : '';
    my $head = "$method /scim/v2$path HTTP/1.1\r\nHost: $node->{address}\r\nAuthorization: Bearer @{[ $node->token ]}\r\n";
    $head .= "Content-Type: application/scim+json\r\nContent-Length: @{[ length $content ]}\r\n" if $body;
    syswrite $socket, "$head\r\n$content";
    my ($received, $select, $until) = ('', IO::Select->new($socket), time + 60);
    while (time < $until) {
        next if !$select->can_read(1);
        my $n = sysread $socket, $received, 1 << 16, length $received;
        my $response = Scim::Httpd::Response->parse($received, !$n);
        if ($response && $response->status) {
            $self->{kept}{$m} = $socket if $n && ($response->header('connection') // '') !~ /close/i;
            return $response;
        }
        last if !$n;
    }
    return Scim::Httpd::Response->new(status => 599, content => "no answer from node $m");
}

# What may be tried again: true; how it is said.
sub is_refused
{
    my ($self, $response) = @_;
    my $status = $response->status;
    $self->{answers}{$status}++;
    die "503 without Retry-After: " . $response->content . "\n" if $status == 503 && !$response->header('retry-after');
    return 0 if $status < 598 && $status != 503;
    die $response->content . "\n" if $status != 503 && !$self->{load}{lost};
    sleep 0.05 + rand 0.2;
    return 1;
}

# Of a change, when the last try was begun, and the first.
sub acknowledge
{
    my ($self, $begin, $first) = @_;
    push @{ $self->{done} }, [$begin, time, time - $first];
    open my $count, '>>', "$self->{load}{dir}/done";
    syswrite $count, '.';
}

# A change that is done in the end: what it returned, and how many tries may have done it
# before the last.  $settle says of an answer to a repetition that it had been done; it
# returns what is there then.
sub change
{
    my ($self, $want, $method, $path, $body, $settle) = @_;
    my ($first, $doubts) = (time, 0);
    while (1) {
        my $begin = time;
        my $response = $self->send(any_of(@{ $self->{load}{nodes} }), $method, $path, $body);
        if ($self->is_refused($response)) {
            $doubts++ if $response->status != 598;
            die "$method $path: refused for @{[ int(time - $first) ]} s: " . $response->content . "\n" if time > $first + $self->{load}{patience};
            next;
        }
        if ($self->{load}{old} && $response->status =~ /^40[049]$/) {
            sleep 0.1;
            next;
        }
        my $is = $response->status == $want ? $response->json // {} : $doubts && $settle ? $settle->($response) : undef;
        die "$method $path: " . $response->status . ' ' . $response->content . "\n" if !$is;
        $self->acknowledge($begin, $first);
        return ($is, $doubts);
    }
}

# How it is now, at a node that answers; nothing where it is not there.
sub look
{
    my ($self, $path, @nodes) = @_;
    my $until = time + $self->{load}{patience};
    while (time < $until) {
        my $response = $self->send(any_of(@nodes ? @nodes : @{ $self->{load}{nodes} }), 'GET', $path);
        next if $self->is_refused($response);
        return if $response->status == 404;
        die "GET $path: " . $response->status . ' ' . $response->content . "\n" if $response->status != 200;
        return $response->json;
    }
    die "GET $path: refused for $self->{load}{patience} s\n";
}

# --- what a client does ------------------------------------------------------

sub differs
{
    my ($user, $said) = @_;
    my ($version) = ($user->{meta}{version} // '') =~ /(\d+)/;
    my @problems;
    push @problems, "version $version, not $said->{version}" if $version != $said->{version};
    push @problems, "title $user->{title}, not v$said->{step}" if $user->{title} ne "v$said->{step}";
    return @problems;
}

sub version_of { return ($_[0]{meta}{version} // '') =~ /(\d+)/ ? $1 : die "there is no version\n" }

sub create
{
    my ($self, $path, $body, $name) = @_;
    my $filter = esc(qq($name eq "$body->{$name}"));
    my ($made) = $self->change(201, 'POST', $path, $body, sub {
        my ($response) = @_;
        return $response->status == 409 ? $self->look("$path?filter=$filter")->{Resources}[0] : undef;
    });
    return $made;
}

# Without a second try.
sub make_once
{
    my ($self) = @_;
    my $name = "c$self->{number}-" . ++$self->{made};
    my $begin = time;
    my $response = $self->send(any_of(@{ $self->{load}{nodes} }), 'POST', '/Users', user($name, title => 'v1'));
    return push @{ $self->{maybe} }, $name if $self->is_refused($response);
    die "POST of $name: " . $response->status . ' ' . $response->content . "\n" if $response->status != 201;
    my $user = $response->json;
    $self->{users}{ $user->{id} } = { name => $name, step => 1, version => version_of($user) };
    $self->acknowledge($begin, $begin);
}

sub any_user { return any_of(keys %{ $_[0]{users} }) }

sub make
{
    my ($self) = @_;
    my $name = "c$self->{number}-" . ++$self->{made};
    my $user = $self->create('/Users', user($name, title => 'v1'), 'userName');
    $self->{users}{ $user->{id} } = { name => $name, step => 1, version => version_of($user) };
    $self->read_elsewhere($user->{id});
}

sub advance
{
    my ($self, $method) = @_;
    my $id = $self->any_user // return;
    my $said = $self->{users}{$id};
    my $title = 'v' . ($said->{step} + 1);
    my $body = $method eq 'PUT' ? user($said->{name}, title => $title) : ops(['replace', 'title', $title]);
    my ($user, $doubts) = $self->change(200, $method, "/Users/$id", $body);
    my $version = version_of($user);
    die "$method of $said->{name}: version $version after $said->{version}, $doubts tries in doubt\n"
        if $version <= $said->{version} || $version > $said->{version} + 1 + $doubts;
    $self->{users}{$id} = { name => $said->{name}, step => $said->{step} + 1, version => $version };
    $self->read_elsewhere($id);
}

sub remove
{
    my ($self) = @_;
    # A name that all want is not for two, one after the other.
    my $id = any_of(grep { $self->{users}{$_}{name} !~ /^race/i } keys %{ $self->{users} }) // return;
    $self->change(204, 'DELETE', "/Users/$id", undef, sub { return $_[0]->status == 404 ? {} : undef });
    delete $self->{$_}{$id} for qw(users members everyone);
    push @{ $self->{gone} }, $id;
    $self->read_elsewhere($id);
}

sub join_or_leave
{
    my ($self, $group, $members) = @_;
    my @ids = grep { defined } $self->any_user, $self->any_user or return;
    my $joins = rand() < 0.6;
    my $op = [$joins ? 'add' : 'remove', 'members', [map { { value => $_ } } @ids]];
    $self->change(204, 'PATCH', "/Groups/$group", ops($op));
    if ($joins) {
        @$members{@ids} = (1) x @ids;
    } else {
        delete @$members{@ids};
    }
}

# All want the same name in the same third of a second.
sub race
{
    my ($self) = @_;
    my $name = 'race-' . int 3 * time;
    return if exists $self->{raced}{$name};
    my $who = "client $self->{number}";
    my $body = user($self->{number} % 2 ? $name : uc $name, title => 'v1', externalId => $who);
    $self->{raced}{$name} = 0;
    my $begin = time;
    while (1) {
        my $response = $self->send(any_of(@{ $self->{load}{nodes} }), 'POST', '/Users', $body);
        if ($self->is_refused($response)) {
            die "$name: refused for too long\n" if time > $begin + $self->{load}{patience};
            next;
        }
        my $user = $response->status == 201 ? $response->json : undef;
        if ($response->status == 409) {
            my $there = $self->look('/Users?filter=' . esc(qq(userName eq "$name")))->{Resources}[0] // die "$name is taken, and nobody has it\n";
            $user = $there if ($there->{externalId} // '') eq $who;
        } elsif (!$user) {
            die "POST of $name: " . $response->status . ' ' . $response->content . "\n";
        }
        return if !$user;
        $self->{raced}{$name} = $user->{id};
        $self->{users}{ $user->{id} } = { name => $user->{userName}, step => 1, version => version_of($user) };
        return;
    }
}

# What this client was told holds wherever it looks.
sub read_elsewhere
{
    my ($self, $id) = @_;
    return if rand() >= $self->{load}{reads};
    my ($said, $user) = ($self->{users}{$id}, $self->look("/Users/$id"));
    die "user $id was deleted, and is read elsewhere\n" if !$said && $user;
    die "user $said->{name} is not read elsewhere\n" if $said && !$user;
    my @problems = $said ? differs($user, $said) : ();
    die "user $said->{name} is read elsewhere: @problems\n" if @problems;
}

sub step
{
    my ($self) = @_;
    my ($die, $users) = (rand, scalar keys %{ $self->{users} });
    return $die < 0.3 ? $self->make_once : $die < 0.7 ? $self->advance('PATCH') : $self->join_or_leave($self->{group}, $self->{members})
        if $self->{load}{old};
    return $self->make if $users < 5;
    return $die < 0.08 ? $self->race
        : $die < 0.25 ? $self->make
        : $die < 0.50 ? $self->advance('PATCH')
        : $die < 0.60 ? $self->advance('PUT')
        : $die < 0.75 || $users > 60 ? $self->remove
        : $die < 0.88 ? $self->join_or_leave($self->{group}, $self->{members})
        : $self->join_or_leave($self->{load}{everyone}, $self->{everyone});
}

1;
