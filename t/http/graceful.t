#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Graceful restarts, which are the commonest event in a server's life (logrotate
# does one a day): under load no request fails but on a connection that lay idle,
# as with any httpd; at rest nothing is left behind in the parent; and children of
# older generations answer what they have begun, though the parent has unloaded
# and loaded the module many times since.
#
# LONG: 100 restarts under load in place of 6, 500 at rest in place of 15, 200 with
#       old children that still have something to do in place of 3.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use List::Util qw(max sum0);
use Scim::Body;
use Scim::Httpd;
use Scim::Watch;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(sleep time);

my $under_load = rounds(6, 100);
my $at_rest = rounds(15, 500);
my $with_old = rounds(3, 200);

# httpd with everything of the tests' server but this module.
package Stock {
    our @ISA = ('Scim::Httpd');

    sub _load_modules
    {
        my ($self) = @_;
        return join '', grep { !/scim_module/ } $self->SUPER::_load_modules =~ /(.*\n)/g;
    }

    sub _location { return '' }

    sub _write_httpd_conf
    {
        my ($self) = @_;
        $self->SUPER::_write_httpd_conf;
        my $path = $self->dir . '/httpd.conf';
        my @lines = grep { !/^SCIM/ } slurp($path) =~ /(.*\n?)/g;
        open my $out, '>', $path or die "$path: $!\n";
        print $out @lines;
        close $out or die "$path: $!\n";
    }

    sub slurp { return Scim::Httpd::slurp(@_) }
}

package main;

# --- clients -----------------------------------------------------------------

sub text_of
{
    my ($s, $method, $url, $body) = @_;
    my $path = $url =~ s{^http://[^/]+}{}r;
    my $send = defined $body ? JSON::PP::encode_json($body) : '';
    my @length = defined $body ? ("Content-Type: application/scim+json\r\n", 'Content-Length: ' . length($send) . "\r\n") : ();
    return join '', "$method $path HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ", $s->token, "\r\n", @length, "\r\n", $send;
}

# One request on the connection in $kept, which is made where there is none: the
# status; "idle" where it had been used before and ended without a byte of an
# answer, as one may that lies idle; or else what went wrong.
sub ask_kept
{
    my ($s, $kept, $text) = @_;
    my $used = defined $$kept;
    $$kept ||= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or return "no connection: $!";
    local $SIG{PIPE} = 'IGNORE';
    syswrite $$kept, $text;
    my $received = '';
    while (1) {
        my $n = sysread $$kept, $received, 1 << 16, length $received;
        my $response = Scim::Httpd::Response->parse($received, !$n, 0);
        if ($n && $response) {
            undef $$kept if ($response->header('connection') // '') =~ /close/i;
            return $response->status;
        }
        next if $n;
        undef $$kept;
        return $used && $received eq '' ? 'idle' : "cut off after $used: $received";
    }
}

my %client = (
    # A connection for each request, of which none may fail.
    fresh => sub {
        my ($s, $name, $seen, $n) = @_;
        my $r = $n % 2
            ? $s->request('POST', '/Users', user("$name-$n"), host => '127.0.0.1')
            : $s->request('GET', '/Users?count=10', undef, host => '127.0.0.1');
        $seen->{ $r->status }++;
        return $r->status == 201 ? "$name-$n" : ();
    },
    kept => sub {
        my ($s, $name, $seen, $n, $kept) = @_;
        my $status = ask_kept($s, $kept, text_of($s, 'GET', $s->base . '/Users?count=10'));
        $seen->{$status}++;
        return;
    },
    writing => sub {
        my ($s, $name, $seen, $n, $kept) = @_;
        my $status = ask_kept($s, $kept, text_of($s, 'POST', $s->base . '/Users', user("$name-$n")));
        $seen->{$status}++;
        return $status eq '201' ? "$name-$n" : ();
    },
    static => sub {
        my ($s, $name, $seen, $n, $kept) = @_;
        $seen->{ ask_kept($s, $kept, text_of($s, 'GET', $s->url('/hello.txt'))) }++;
        return;
    },
);

# Asks until the restarts are over: what it was answered, and the names of users
# that it made.
sub ask_until_over
{
    my ($s, $kind, $number) = @_;
    my (%seen, @made, $kept);
    for (my $n = 1; !-e $s->dir . '/over'; $n++) {
        push @made, $client{$kind}->($s, "$kind-$number", \%seen, $n, \$kept);
    }
    return { kind => $kind, seen => \%seen, made => \@made };
}

sub restart_times
{
    my ($s, $times) = @_;
    my $done = 0;
    for (1 .. $times) {
        sleep 0.03 + rand 0.1;
        $done += $s->graceful(wait => 0) ? 1 : 0;
    }
    sleep 0.1;
    open my $over, '>', $s->dir . '/over' or die "$!\n";
    return { done => $done };
}

# Restarts amid clients of these kinds: for each kind what it was answered, and
# all names of users that were made.
sub restart_amid
{
    my ($s, $times, @kinds) = @_;
    my @results = parallel(@kinds + 1, sub {
        my ($i) = @_;
        return $i < @kinds ? ask_until_over($s, $kinds[$i], $i) : restart_times($s, $times);
    });
    is(pop(@results)->{done}, $times, "$times graceful restarts are done");
    my (%seen, @made);
    for my $result (@results) {
        $seen{ $result->{kind} }{$_} += $result->{seen}{$_} for keys %{ $result->{seen} };
        push @made, @{ $result->{made} };
    }
    return (\%seen, @made);
}

sub names_of_all
{
    my ($s) = @_;
    my (@names, $page);
    do {
        $page = $s->get('/Users?count=1000&attributes=userName&startIndex=' . (@names + 1))->json;
        push @names, map { $_->{userName} } @{ $page->{Resources} };
    } while @{ $page->{Resources} };
    return @names;
}

# Room for generations that live side by side.
my $room = "ServerLimit 128\n";

subtest 'restarts under load' => sub {
    my $s = Scim::Httpd->new(conf => $room);
    my ($seen, @made) = restart_amid($s, $under_load, qw(fresh fresh kept writing static));
    my $stock = Stock->new(conf => $room);
    my ($by_stock) = restart_amid($stock, $under_load, qw(static static static static static));
    note explain { scim => $seen, stock => $by_stock };
    is_deeply([sort keys %{ $seen->{fresh} }], [200, 201], 'C-030 no request fails on a connection of its own');
    cmp_ok(sum0(values %{ $seen->{fresh} }), '>', 2 * $under_load, 'and there were some');
    my %idle = map { $_ => delete $seen->{$_}{idle} // 0 } qw(kept writing static);
    my $of_stock = (delete $by_stock->{static}{idle} // 0) / 5;
    is_deeply([map { keys %{ $seen->{$_} } } qw(kept writing static)], [200, 201, 200], 'C-030 nor does one on a connection that is kept,');
    for my $kind (qw(kept writing)) {
        # So many connections there are to be closed at a restart.
        cmp_ok($idle{$kind}, '<=', $under_load, "$kind: but for those that lay idle ($idle{$kind})");
        # A client whose answers take longer has less time to lie idle; the rest is chance.
        cmp_ok($idle{$kind}, '<=', 1.2 * $of_stock + 3 + 3 * sqrt $of_stock, sprintf '%s: no more than of stock httpd (%.1f)', $kind, $of_stock);
    }
    is_deeply([sort(names_of_all($s))], [sort @made], 'C-030 what was acknowledged is there, and nothing of what was not');
    $stock->log_clean;
    $s->log_clean;
};

# --- at rest -----------------------------------------------------------------

my $alone; # with what it shares by System V and POSIX

# What a parent holds, and what the system holds for it.
sub holds
{
    my ($s) = @_;
    my %held = %{ held($s->pid) };
    return { %held, $alone ? %{ shared_objects() } : (), files => join ' ', map { s/\[\d+\]//r } open_files($s->pid) };
}

sub is_flat
{
    my ($name, $s, $times, $between) = @_;
    my (%old, @points, $before);
    for my $n (1 .. $times) {
        $old{$_} = 1 for $s->children;
        $s->graceful or last;
        $between->($n);
        delete $s->{http};
        # The first ones take what all later ones use again.
        $before = holds($s) if $n == int($times / 5) + 1;
        push @points, [$n, held($s->pid)->{anon}] if $before;
    }
    my $after = holds($s);
    is($after->{$_}, $before->{$_}, "$name: $_, $after->{$_} after $times restarts") for grep { !/^(?:rss|anon|files)$/ } sort keys %$after;
    is($after->{files}, $before->{files}, "$name: what is open");
    my $slope = slope(@points);
    cmp_ok($slope, '<', 1, sprintf '%s: memory of the parent grows by %.2f kB a restart', $name, $slope);
    my $more = $after->{anon} - $before->{anon};
    cmp_ok($more, '<', 256, "$name: by $more kB in all");
    is_deeply([grep { m{/store/} } open_files($s->pid), mapped_files($s->pid)], [], "$name: no file of the store is open in the parent");
    delete @old{ $s->children };
    is_deeply([readers($s, keys %old)], [], "$name: no slot of a reader is left of " . keys(%old) . ' children that ended');
}

subtest 'restarts at rest' => sub {
    plan(skip_all => 'sanitizers hold memory of their own') if $ENV{SCIM_SAN};
    $alone = own_ipc();
    my $s = Scim::Httpd->new(children => 1, threads => 8, location => 'SCIMRateLimit 100000/s');
    my $nothing = sub { };
    my $little = sub { $s->get('/Users?count=1'); $s->post('/Users', user("light-$_[0]")) };
    is_flat('idle', $s, $at_rest, $nothing);
    is_flat('under light load', $s, $at_rest, $little);
    is($s->get('/Users?count=0')->json->{totalResults}, $at_rest, 'C-030 it serves as before');
    note 'only who may make namespaces sees what it shares by System V and POSIX' if !$alone;
    $s->log_clean;
};

# --- old generations ---------------------------------------------------------

# A request that a child has read the head of: what sends the rest and returns
# the status.
sub half_sent
{
    my ($s, $name) = @_;
    my ($head, $body) = split /(?<=\r\n\r\n)/, text_of($s, 'POST', $s->base . '/Users', user($name));
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or die "connect: $!\n";
    syswrite $socket, $head . substr $body, 0, 10;
    return sub {
        syswrite $socket, substr $body, 10;
        return status_of($socket);
    };
}

# A list whose answer is far larger than what lies between the ends of a
# connection: what reads it all.
sub half_read
{
    my ($s) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or die "connect: $!\n";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 1 << 18;
    syswrite $socket, text_of($s, 'GET', $s->base . '/Users?count=1000');
    sysread $socket, my $first, 100;
    return sub { return status_of($socket, $first) };
}

sub status_of
{
    my ($socket, $received) = @_;
    $received //= '';
    my $until = time + 60;
    my $readable = IO::Select->new($socket);
    my $whole = 0; # bytes, once its head is there
    while ($readable->can_read(max(0, $until - time))) {
        sysread($socket, $received, 1 << 18, length $received) or last;
        if (!$whole && $received =~ /\A(.*?\r\n\r\n)/s) {
            $whole = length($1) + (($1 =~ /^Content-Length: (\d+)/mi)[0] // die "no Content-Length: $1\n");
        }
        return ($received =~ m{\AHTTP/1.1 (\d+)})[0] if $whole && length $received >= $whole;
    }
    return 'no whole answer, but: ' . substr $received, 0, 200;
}

# Each restart finds a request under way in each of two ways; four generations
# live at a time.
subtest 'children of older generations' => sub {
    my $s = Scim::Httpd->new(children => 2, threads => 8, conf => $room);
    # Neither encoded nor decoded here: JSON::PP takes its time for so much.
    $s->post('/Users', qq({"schemas":["$USER"],"userName":"large-$_","title":") . 'x' x 400_000 . '"}') for 1 .. 20;
    my (@under_way, %seen, %generations);
    my $mine = sub { $seen{ shift(@under_way)->() }++ };
    for my $n (1 .. $with_old) {
        push @under_way, half_sent($s, "old-$n"), half_read($s);
        sleep 0.05; # until a child has them
        $s->graceful(wait => 0);
        $s->get('/Users?count=1')->status == 200 or $seen{'a new child does not answer'}++;
        delete $s->{http};
        $generations{ scalar $s->children }++;
        $mine->() while @under_way > 6;
    }
    $mine->() while @under_way;
    is_deeply(\%seen, { 200 => $with_old, 201 => $with_old }, 'C-030 what a child has begun it answers') or diag explain \%seen;
    cmp_ok(max(keys %generations), '>', 2, 'while others have taken its place');
    is($s->get('/Users?count=0')->json->{totalResults}, 20 + $with_old, 'C-030 and what it wrote is there');
    $s->stop;
    is(($s->scimctl('verify'))[0], 0, 'the store is whole');
    $s->log_clean('no child crashed, whether the module was unloaded or not');
};

done_testing();
