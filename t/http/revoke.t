#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What is taken back is gone with the next request, in every child and on every
# connection, while others keep the server busy; and what is replaced in good time
# is never missing.
#
# LONG: 40 rounds of taking back in place of 3, and 10,000 requests across rotations
# in place of 500.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{LONG} ? 40 : 3;
my $requests = $ENV{LONG} ? 10_000 : 500;
my $connections = 24;
my $opened = 0;

my %site = site_args('anna');
my $s = Scim::Httpd->new(
    start => 0,
    children => 2,
    modules => $site{modules},
    files => $site{files},
    conf => site('/in', 'Require scim-user') . site('/guides', 'Require scim-group Guides')
        . qq(CustomLog access_pids "%P %{X-Probe}i %>s" "expr=-n %{HTTP:X-Probe}"\n),
);
my ($code) = $s->scimctl('tenant', 'create', 'plan');
die "no second tenant\n" if $code;
$s->start;
my $anna = made($s, '/Users', user('anna'));
my $guides = made($s, '/Groups', group('Guides', $anna->{id}));
my $stop = $s->dir . '/stop';

# Runs $sub while three clients read and write.
sub under_load
{
    my ($sub) = @_;
    unlink $stop;
    my @results = parallel(4, sub {
        my ($i) = @_;
        delete $s->{http};
        if (!$i) {
            my @value = eval { $sub->() };
            my $failed = $@;
            open my $out, '>', $stop or die "$stop: $!\n";
            die $failed if $failed;
            return @value == 1 ? $value[0] : [@value];
        }
        my $n = 0;
        for (; !-e $stop; $n++) {
            my $r = $n % 3 ? $s->get('/Users?count=5') : $s->post('/Users', user("load-$$-$n"));
            die 'the load: ' . $r->status . ' ' . $r->content . "\n" if $r->status !~ /^20[01]$/;
        }
        return $n;
    });
    my ($result, @load) = @results;
    cmp_ok($_, '>', 0, "a client was answered $_ times meanwhile") for @load;
    return $result;
}

# One request on each, all sent before any answer is read; the statuses that came.
sub ask_all
{
    my ($probe, $path, $authorization, @open) = @_;
    for my $socket (@open) {
        syswrite $socket, "GET $path HTTP/1.1\r\nHost: x\r\nX-Probe: $probe\r\nAuthorization: $authorization\r\n\r\n";
    }
    my %seen;
    for my $socket (@open) {
        my ($got, $response) = ('');
        while (!($response = Scim::Httpd::Response->parse($got, 0))) {
            sysread($socket, $got, 65536, length $got) or die "the connection was closed: $got\n";
        }
        $seen{ $response->status }++;
    }
    return join ' ', map { "$_ x $seen{$_}" } sort keys %seen;
}

# The children that answered the requests of a probe, once they are all logged.
sub children_of
{
    my ($probe, $want) = @_;
    my @lines;
    for (1 .. 200) {
        @lines = grep { / \Q$probe\E / } split /\n/, slurp($s->dir . '/access_pids');
        last if @lines >= $want;
        sleep 0.02;
    }
    my %pids = map { (split / /)[0] => 1 } @lines;
    return scalar keys %pids;
}

# Connections that are kept open, as the pools of identity providers are, some with
# each of the children.
sub open_connections
{
    for my $try (1 .. 50) {
        my @open = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) || die "connect: $!\n" } 1 .. $connections;
        my $probe = "open-$$-" . ++$opened;
        ask_all($probe, '/scim/v2/ServiceProviderConfig', 'Bearer ' . $s->token, @open);
        return @open if children_of($probe, $connections) == 2;
    }
    die "one child has all connections\n";
}

sub scimctl_must
{
    my ($exit, $out, $err) = $s->scimctl(@_);
    die "scimctl @_: $err\n" if $exit;
    return $out;
}

my $all = "x $connections";

subtest 'C-314 a token that is revoked is refused by the next request' => sub {
    my $said = under_load(sub {
        my @said;
        for my $round (1 .. $rounds) {
            my $token = $s->new_token(connection => "leaked-$round");
            my @open = open_connections();
            my @statuses = ask_all('token-good', "/scim/v2/Users/$anna->{id}", "Bearer $token", @open);
            scimctl_must('token', 'revoke', '--tenant', 'default', '--connection', "leaked-$round");
            push @statuses, ask_all('token-revoked', "/scim/v2/Users/$anna->{id}", "Bearer $token", @open);
            push @said, "@statuses";
        }
        return join ', ', @said;
    });
    is($said, join(', ', ("200 $all 401 $all") x $rounds), "on all of $connections connections");
    is(children_of('token-revoked', $rounds * $connections), 2, 'in both children');
};

subtest 'a tenant that is suspended is refused by the next request, and resumed by the next' => sub {
    my $token = $s->new_token(tenant => 'plan', connection => 'okta');
    my $said = under_load(sub {
        my @open = open_connections();
        my @said;
        for my $round (1 .. $rounds) {
            scimctl_must('tenant', 'suspend', 'plan');
            push @said, ask_all('suspended', '/scim/v2/Users', "Bearer $token", @open);
            scimctl_must('tenant', 'resume', 'plan');
            push @said, ask_all('resumed', '/scim/v2/Users', "Bearer $token", @open);
        }
        return join ', ', @said;
    });
    is($said, join(', ', ("403 $all", "200 $all") x $rounds), "on all of $connections connections");
    is(children_of($_, $rounds * $connections), 2, "$_: in both children") for qw(suspended resumed);
};

# What is done to a user, and undone, and the site that is to notice.
my @ways = (
    ['deactivated', '/in', sub { $s->patch("/Users/$anna->{id}", ops(['replace', 'active', $_[0] ? \1 : \0]))->status }],
    ['out of the group', '/guides', sub { $s->patch("/Groups/$guides->{id}", ops([$_[0] ? 'add' : 'remove', 'members', [{ value => $anna->{id} }]]))->status }],
    ['of another name', '/in', sub { $s->patch("/Users/$anna->{id}", ops(['replace', 'userName', $_[0] ? 'anna' : 'other']))->status }],
);
for my $way (@ways) {
    my ($name, $site, $set) = @$way;
    subtest "a user who is $name is kept out by the next request" => sub {
        my $said = under_load(sub {
            my @open = open_connections();
            my @said;
            for my $round (1 .. $rounds) {
                for my $good (0, 1) {
                    my $status = $set->($good);
                    push @said, ($status =~ /^20[04]$/ ? 'done' : $status) . ': ' . ask_all("user-$good-" . $name =~ tr/ /-/r, page($site), (as('anna'))[1], @open);
                }
            }
            return join ', ', @said;
        });
        is($said, join(', ', ("done: 403 $all", "done: 200 $all") x $rounds), "on all of $connections connections");
        is(children_of('user-0-' . $name =~ tr/ /-/r, $rounds * $connections), 2, 'in both children');
    };
}

subtest "C-314 $requests requests while the token is replaced, and not one is refused" => sub {
    my $file = $s->dir . '/current';
    my $put = sub {
        open my $out, '>', "$file.new" or die "$file: $!\n";
        print $out $_[0];
        close $out;
        rename "$file.new", $file or die "$file: $!\n";
    };
    my $first = $s->new_token(connection => 'rotating');
    $put->($first);
    unlink $stop;
    my ($rotations, @counts) = parallel(3, sub {
        my ($i) = @_;
        delete $s->{http};
        if ($i) {
            my (%seen, %tokens);
            my $until = time + 60;
            for (my $n = 0; $n < $requests / 2 || (keys %tokens < 6 && time < $until); $n++) {
                my $token = slurp($file);
                $tokens{$token} = 1;
                $seen{ $s->get('/Users?count=1', authorization => "Bearer $token")->status }++;
                sleep 0.002;
            }
            open my $out, '>>', $stop or die "$stop: $!\n";
            syswrite $out, 'x';
            return join ' ', sort keys %seen;
        }
        my $n = 0;
        for (; length slurp($stop) < 2; $n++) {
            my ($token) = scimctl_must('token', 'rotate', '--tenant', 'default', '--connection', 'rotating') =~ /(mscim_\w{49})/;
            $put->($token);
            sleep 0.02;
        }
        return $n;
    });
    is("@counts", '200 200', "all are answered, across $rotations rotations");
    cmp_ok($rotations, '>', 4, 'it was replaced several times');
    is($s->get('/Users?count=1', authorization => "Bearer $first")->status, 200, 'the first is good until it is revoked');
    my $last = slurp($file);
    scimctl_must('token', 'revoke', '--tenant', 'default', '--connection', 'rotating', '--hint', substr $first, -4);
    is($s->get('/Users?count=1', authorization => "Bearer $first")->status, 401, 'and then not');
    is($s->get('/Users?count=1', authorization => "Bearer $last")->status, 200, 'as the last is');
};

refusals($s);
$s->log_clean;
done_testing();
