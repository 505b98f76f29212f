#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# How often a request waits for the database, counted on the wire: with a store on another
# machine that is what it costs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'it is about stores on PostgreSQL: make check ENGINE=pgsql' if ($ENV{SCIM_ENGINE} || '') ne 'pgsql';

# --- a socket before that of the database, which counts ------------------------

my $dir = File::Temp->newdir('scim-trips-XXXXXX', TMPDIR => 1);
chmod 0755, "$dir";
my $counted = "$dir/counted";
my ($database) = $ENV{SCIM_TEST_PGSQL} =~ /host=(\S+)/;

# What a client says, message by message; a trip is what is said up to a Sync, but for the
# end of a transaction that only read: nobody waits for that.
sub listen_to
{
    my ($talk, $bytes) = @_;
    $talk->{heard} .= $bytes;
    my $trips = 0;
    while (length $talk->{heard} >= ($talk->{begun} ? 5 : 4)) {
        my $at = $talk->{begun} ? 1 : 0; # what comes first has no type
        my $length = $at + unpack 'N', substr $talk->{heard}, $at, 4;
        last if length $talk->{heard} < $length;
        my $message = substr $talk->{heard}, 0, $length, '';
        my $type = $talk->{begun} ? substr $message, 0, 1 : '';
        $talk->{begun} = 1;
        if ($type eq 'P') {
            my ($name, $text) = unpack 'Z* Z*', substr $message, 5;
            $talk->{ends}{$name} = $text eq 'ROLLBACK';
        } elsif ($type eq 'B') {
            my (undef, $name) = unpack 'Z* Z*', substr $message, 5;
            $talk->{asks} ||= !$talk->{ends}{$name};
        } elsif ($type eq 'S') {
            $trips += $talk->{asks} ? 1 : 0;
            $talk->{asks} = 0;
        }
    }
    return $trips;
}

sub pass_on
{
    my ($listen, $out) = @_;
    my $all = IO::Select->new($listen);
    my %talks; # by socket
    while (1) {
        for my $from ($all->can_read) {
            if ($from == $listen) {
                my $client = $listen->accept or next;
                my $server = IO::Socket::UNIX->new(Peer => "$database/.s.PGSQL.5432") or next;
                $talks{$client} = { to => $server, heard => '', ends => {} };
                $talks{$server} = { to => $client };
                $all->add($client, $server);
                next;
            }
            my $talk = $talks{$from};
            if (!sysread $from, my $bytes, 65536) {
                $all->remove($from, $talk->{to});
                shutdown $_, 2 for $from, $talk->{to};
            } else {
                my $trips = defined $talk->{heard} ? listen_to($talk, $bytes) : 0;
                syswrite $out, 'x' x $trips if $trips;
                while (length $bytes) {
                    my $sent = syswrite $talk->{to}, $bytes or last;
                    substr $bytes, 0, $sent, '';
                }
            }
        }
    }
}

my $listen = IO::Socket::UNIX->new(Listen => 64, Local => "$dir/.s.PGSQL.5432") or die "$dir: $!\n";
chmod 0777, "$dir/.s.PGSQL.5432";
open my $out, '>>', $counted or die "$counted: $!\n";
my $test = $$;
my $proxy = fork // die "fork: $!\n";
if (!$proxy) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    pass_on($listen, $out);
    POSIX::_exit(0);
}
close $listen;
END { kill 'KILL', $proxy if $proxy && $$ == $test }

# --- requests ---------------------------------------------------------------------

$ENV{SCIM_TEST_PGSQL} =~ s/host=\S+/host=$dir/;
my $s = Scim::Httpd->new(children => 1);

# What is done behind the answer, once in a while, is no part of it: the least of a few.
sub trips
{
    my ($rounds, $request) = @_;
    my $least;
    for my $round (1 .. $rounds) {
        my $before = -s $counted // 0;
        my $answer = $request->($round);
        die 'status ' . $answer->status . ': ' . $answer->content . "\n" if $answer->status > 299;
        my $trips = (-s $counted) - $before;
        $least = $trips if !defined $least || $trips < $least;
    }
    return $least;
}

my @users;
sub create
{
    my $answer = $s->post('/Users', { schemas => [$USER], userName => 'u' . @users, externalId => 'x' . @users,
        emails => [{ value => 'u' . @users . '@example.com' }] });
    push @users, $answer->json->{id};
    return $answer;
}

create() for 1 .. 30;
my @groups = map {
    $s->post('/Groups', { schemas => [$GROUP], displayName => "g$_", members => [map { { value => $_ } } @users[0 .. 29]] })->json->{id}
} 1 .. 3;

sub patch
{
    my ($path, @operations) = @_;
    return $s->patch($path, { schemas => [$PATCH_OP], Operations => [@operations] });
}

my %trips = (
    'a user with groups' => trips(5, sub { $s->get("/Users/$users[ $_[0] ]") }),
    'a group with its members' => trips(5, sub { $s->get("/Groups/$groups[0]") }),
    'a filter by userName' => trips(5, sub { $s->get("/Users?filter=userName%20eq%20%22u$_[0]%22") }),
    'a page of 30 users with groups' => trips(5, sub { $s->get('/Users?count=30') }),
    'a new user' => trips(5, \&create),
    'a change of a user, and its answer' => trips(5, sub {
        patch("/Users/$users[ $_[0] ]", { op => 'replace', path => 'title', value => "t$_[0]" })
    }),
    'a member added' => trips(5, sub { patch("/Groups/$groups[1]", { op => 'add', path => 'members', value => [{ value => $users[ 29 + $_[0] ] }] }) }),
    'a member removed' => trips(5, sub { patch("/Groups/$groups[1]", { op => 'remove', path => "members[value eq \"$users[ $_[0] ]\"]" }) }),
    'a user deleted' => trips(3, sub { $s->delete("/Users/$users[ 30 + $_[0] ]") }),
);
my %most = (
    'a user with groups' => 3,
    'a group with its members' => 3,
    'a filter by userName' => 4,
    'a page of 30 users with groups' => 4,
    'a new user' => 4,
    'a change of a user, and its answer' => 6,
    'a member added' => 5,
    'a member removed' => 5,
    'a user deleted' => 7,
);
for my $what (sort keys %most) {
    note "$what: $trips{$what}";
    cmp_ok($trips{$what}, '<=', $most{$what}, "$what: no more than $most{$what} trips");
    cmp_ok($trips{$what}, '>', 1, 'and they are counted');
}
$s->log_clean;
done_testing();
