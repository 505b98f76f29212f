#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Clients that send or read a byte now and then: others go on, nothing of the
# store is held for them, and mod_reqtimeout ends them.
#
# LONG=1: 4,000 of them for four minutes with Debian's values of mod_reqtimeout;
# else 200, and values of a tenth.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use List::Util qw(max);
use Scim::Body;
use Scim::Httpd;
use Socket qw(inet_aton pack_sockaddr_in PF_INET SOCK_STREAM SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(sleep time);

my $LONG = $ENV{LONG};
my $CLIENTS = $LONG ? 4000 : 200;
my $SECONDS = $LONG ? 240 : 4;
my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
# /etc/apache2/mods-available/reqtimeout.conf
my ($HEADER, $BODY) = $LONG ? (20, 10) : (2, 1);
my $reqtimeout = sprintf "RequestReadTimeout header=%d-%d,minrate=500\nRequestReadTimeout body=%d,minrate=500\n", $HEADER, 2 * $HEADER, $BODY;

my ($files) = slurp('/proc/self/limits') =~ /^Max open files\s+(\d+)/m;
plan skip_all => "no more than $files files may be open" if defined $files && $files < $CLIENTS + 200;

# Each slow client has a thread of httpd's to itself, whatever the module.
my $s = Scim::Httpd->new(
    mpm => 'event',
    modules => ['reqtimeout'],
    conf => "$reqtimeout\nListenBacklog 4096\n",
    children => 4,
    threads => int($CLIENTS / 4) + 25,
);
my $token = $s->token;

my @ids = map { made($s, '/Users', user("user$_"))->{id} } 1 .. 20;
# Behind the others, so that a page of those is small.
my $big = made($s, '/Users', user('big', title => 'x' x 1_000_000));
my $group = made($s, '/Groups', group('Guides', @ids));

my $authorization = "Host: x\r\nAuthorization: Bearer $token\r\n";
my $body = JSON::PP::encode_json(user('slow'));
my $job = JSON::PP::encode_json({ schemas => [$BULK], Operations => [] });

# What each kind has sent before it begins to be slow, and what it sends, a byte
# at a time, from then on.
my %kind = (
    header => ["GET /scim/v2/Users HTTP/1.1\r\n${authorization}X-Slow: ", 'x' x 100_000],
    body => ["POST /scim/v2/Users HTTP/1.1\r\n${authorization}Content-Length: 100000\r\n\r\n" . substr($body, 0, -1), ' ' x 100_000],
    chunks => ["PATCH /scim/v2/Groups/$group->{id} HTTP/1.1\r\n${authorization}Transfer-Encoding: chunked\r\n\r\n100000\r\n{", ' ' x 100_000],
    bulk => ["POST /scim/v2/Bulk HTTP/1.1\r\n${authorization}Content-Length: 100000\r\n\r\n" . substr($job, 0, -1), ' ' x 100_000],
    # Nothing of the answer is read: it does not fit between the two.
    read => ["GET /scim/v2/Users/$big->{id} HTTP/1.1\r\n${authorization}\r\n", ''],
);

sub open_slow
{
    my ($name) = @_;
    socket my $socket, PF_INET, SOCK_STREAM, 0 or die "no socket: $!\n";
    # It must be small before there is a connection.
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096 if $name eq 'read';
    connect $socket, pack_sockaddr_in($s->port, inet_aton('127.0.0.1')) or die "no connection: $!\n";
    $socket->blocking(0);
    syswrite $socket, $kind{$name}[0];
    return { socket => $socket, kind => $name, rest => $kind{$name}[1], since => time, got => '' };
}

# One more byte of each, and what has come back; false once it is over.
sub go_on
{
    my ($client) = @_;
    return 0 if $client->{over};
    my $socket = $client->{socket};
    if ($client->{kind} ne 'read') {
        my $n = sysread $socket, $client->{got}, 4096, length $client->{got};
        if ((defined $n && !$n) || (!defined $n && !$!{EAGAIN})) {
            $client->{over} = time - $client->{since};
            close $socket;
            return 0;
        }
        syswrite $socket, substr $client->{rest}, 0, 1, '';
    }
    return 1;
}

sub readers
{
    my ($code, $stat) = $s->scimctl('--json', 'stat');
    return $code ? "scimctl: $code" : JSON::PP::decode_json($stat)->{readers};
}

# How long a read and a write of another client take, in order.
sub times_of
{
    my ($rounds, $name) = @_;
    my (@times, @wrong);
    for my $n (1 .. $rounds) {
        for my $request (['GET', "/Users/$ids[$n % @ids]"], ['PATCH', "/Users/$ids[$n % @ids]", ops(['replace', 'title', "$name $n"])],
            ['GET', '/Users?count=10'])
        {
            my $start = time;
            my $r = $s->request(@$request);
            push @times, time - $start;
            push @wrong, "@$request[0, 1]: " . $r->status if $r->status != 200;
        }
    }
    is_deeply(\@wrong, [], "$name: every request of another client is answered");
    return sort { $a <=> $b } @times;
}

sub percentile { my ($part, @times) = @_; return $times[$part * $#times] }

# --- others go on ------------------------------------------------------------

my @before = times_of(30, 'before');
my (@clients, @during);
local $SIG{PIPE} = 'IGNORE';
for my $n (1 .. $CLIENTS) {
    push @clients, open_slow((sort keys %kind)[$n % keys %kind]);
}
my ($begin, $rounds) = (time, 0);
my @at_once;
while (time - $begin < $SECONDS) {
    my $alive = grep { go_on($_) } @clients;
    # The first time, those who read are still being answered.
    if ($rounds++ % 5 == 4) {
        push @during, times_of(5, "beside $alive slow clients");
        push @at_once, readers();
    }
    sleep($LONG ? 1 : 0.1);
    # Who was put out comes back, as long as it makes sense.
    if ($LONG) {
        @clients = map { $_->{over} && time - $begin < $SECONDS - 3 * $HEADER ? open_slow($_->{kind}) : $_ } @clients;
    }
}
@during = sort { $a <=> $b } @during;

subtest 'slow clients hold nothing of the store' => sub {
    cmp_ok(scalar @at_once, '>=', 3, 'it was looked at often enough');
    is(max(@at_once), 0, 'at no time had anybody a view of it open') or diag("@at_once");
};

subtest 'S-40 slow clients do not slow others' => sub {
    my ($was, $is) = (percentile(0.99, @before), percentile(0.99, @during));
    note(sprintf '%d slow clients: p99 %.1f ms, %.1f ms before; median %.1f ms, %.1f ms', $CLIENTS, $is * 1000, $was * 1000,
        percentile(0.5, @during) * 1000, percentile(0.5, @before) * 1000);
    # A machine that runs other tests has pauses of its own: of those the median knows nothing.
    cmp_ok(percentile(0.5, @during), '<', 2 * percentile(0.5, @before) + 0.02, 'half of their requests are as fast as before');
    cmp_ok($is, '<', 2 * $was + ($LONG ? 1 : 0.25), 'and almost all of them');
};

subtest 'mod_reqtimeout ends them' => sub {
    my %over;
    push @{ $over{ $_->{kind} } }, $_ for @clients;
    for my $name (sort grep { $_ ne 'read' } keys %kind) {
        my @still = grep { !$_->{over} } @{ $over{$name} };
        is(scalar @still, 0, "$name: all are over");
        my ($limit, $answer) = $name eq 'header' ? (2 * $HEADER, qr/^HTTP\S+ 408/) : ($BODY, qr/^HTTP\S+ 408/);
        my $last = max(map { $_->{over} // 0 } @{ $over{$name} });
        # They are looked at now and then only, and of many each waits for its turn.
        cmp_ok($last, '<', $limit + ($LONG ? 30 : 3), "$name: in time");
        my @other = grep { $_->{got} !~ $answer } @{ $over{$name} };
        is(scalar @other, 0, "$name: told that it did not arrive in time") or diag($other[0]{got});
    }
    my ($one) = grep { $_->{kind} eq 'body' } @clients;
    is_error(Scim::Httpd::Response->parse($one->{got}, 1), 408, undef, 'in the words of SCIM');
};

subtest 'a client that reads in the end has it all' => sub {
    my ($one) = grep { $_->{kind} eq 'read' && !$_->{over} } @clients;
    my ($text, $until, $socket) = ('', time + 30, $one->{socket});
    my $select = IO::Select->new($socket);
    my $r;
    while (!$r && time < $until) {
        $select->can_read(1) or next;
        my $n = sysread $socket, $text, 1 << 16, length $text;
        last if !defined $n && !$!{EAGAIN};
        $r = Scim::Httpd::Response->parse($text, defined $n && !$n);
    }
    is(length $r->json->{title}, 1_000_000, 'whole');
};

subtest 'nothing of what came slowly was done' => sub {
    close $_->{socket} for grep { !$_->{over} } @clients;
    is($s->get('/Users?filter=' . esc('userName eq "slow"'))->json->{totalResults}, 0, 'no user');
    is(scalar @{ $s->get("/Groups/$group->{id}")->json->{members} }, 20, 'no change');
    is(readers(), 0, 'no reader is left');
};

$s->log_clean;

# --- fewer threads than slow clients ------------------------------------------

subtest 'who takes every thread has them until mod_reqtimeout ends it' => sub {
    my $few = Scim::Httpd->new(
        mpm => 'event', children => 1, threads => 20, modules => ['reqtimeout'],
        conf => "RequestReadTimeout header=1-2,minrate=500 body=1,minrate=500\n",
    );
    my $port = $few->port;
    my @all = map {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "no connection: $!\n";
        print $socket "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " . $few->token . "\r\nContent-Length: 9999\r\n\r\n{";
        $socket->flush;
        $socket;
    } 1 .. 30;
    my $start = time;
    is($few->get('/Users?count=0')->status, 200, 'then another is answered');
    cmp_ok(time - $start, '<', 8, 'soon');
    close $_ for @all;
    $few->allow_log(qr/AH00484: server reached MaxRequestWorkers|AH10159: server is within MinSpareThreads/);
    $few->log_clean;
};

done_testing();
