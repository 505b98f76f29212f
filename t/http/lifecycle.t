#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The server starts, restarts and stops, under every MPM and amid writes: no
# request fails that a client is not told of, and nothing that was acknowledged
# is gone afterwards.  graceful.t and stop.t do so again and again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use IO::Socket::INET;
use Scim::Body;
use Scim::Httpd;
use Scim::Watch;
use Test::More;
use Time::HiRes qw(sleep time);

# On a connection of its own, without which a client would try again by itself.
sub alone
{
    my ($server, $method, $path, $body) = @_;
    return $server->request($method, $path, $body, host => '127.0.0.1');
}

sub names_of_all
{
    my ($server) = @_;
    my (@names, $page);
    do {
        $page = $server->get('/Users?count=1000&attributes=userName&startIndex=' . (@names + 1))->json;
        push @names, map { $_->{userName} } @{ $page->{Resources} };
    } while @{ $page->{Resources} };
    is(scalar @names, $page->{totalResults}, 'C-114 all of them are read');
    return sort @names;
}

# --- graceful stop -----------------------------------------------------------

# A request whose body is half sent, and what sends the rest and reads the answer.
sub half_sent
{
    my ($server, $name) = @_;
    my $body = qq({"schemas":["$USER"],"userName":"$name"});
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->port) or die "$!\n";
    print $socket "POST /scim/v2/Users HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " . $server->token
        . "\r\nContent-Type: application/scim+json\r\nContent-Length: " . length($body) . "\r\n\r\n" . substr $body, 0, 10;
    $socket->flush;
    return sub {
        print $socket substr $body, 10;
        $socket->flush;
        local $/ = "\r\n";
        return scalar(<$socket>) // 'no answer';
    };
}

sub has_ended
{
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/stat" or return 1;
    return <$in> =~ /\) Z /;
}

sub graceful_stop
{
    my $server = Scim::Httpd->new;
    my $rest = half_sent($server, 'during');
    sleep 0.3; # until a child has it
    kill 'WINCH', $server->pid;
    sleep 0.3;
    ok(!has_ended($server->pid), 'graceful-stop waits for a request that is under way');
    like($rest->(), qr{^HTTP/1\.1 201 }, 'C-030 which is answered');
    my $until = time + 20;
    sleep 0.05 while !has_ended($server->pid) && time < $until;
    ok(has_ended($server->pid), 'then the server ends');
    $server->stop;
    $server->start;
    is_deeply([names_of_all($server)], ['during'], 'started again, it has the user and knows the token');
    $server->log_clean;
}

# --- MPMs --------------------------------------------------------------------

sub serves
{
    my ($server, $mpm) = @_;
    my $made = $server->post('/Users', user('bjensen'));
    is($made->status, 201, "C-030 $mpm: a user is created");
    my $path = '/Users/' . $made->json->{id};
    is($server->get($path)->content, $made->content, "C-060 $mpm: and read");
    is(changed($server, $path, ['replace', 'title', 'Guide'])->{title}, 'Guide', "C-188 $mpm: and changed");
    is_deeply([names_of_all($server)], ['bjensen'], "C-114 $mpm: and listed");
}

# Names of users that were created, and of those of whom nobody knows, until
# the server is gone.
sub write_until_gone
{
    my ($server, $number) = @_;
    my (@made, @lost);
    my $until = time + 20;
    while (time < $until) {
        my $name = sprintf 'term-%d-%d', $number, @made + @lost;
        my $response = alone($server, 'POST', '/Users', user($name));
        return { made => \@made, lost => [@lost, $name] } if $response->status == 599 || $response->status == 0;
        die "POST $name: " . $response->status . ' ' . $response->content . "\n" if $response->status != 201;
        push @made, $name;
    }
    die "the server is still there\n";
}

sub stop_at_rest
{
    my ($server, $mpm) = @_;
    my @children = $server->children;
    SKIP: {
        lmdb_only('what its readers leave in its file', 2);
        isnt(scalar(readers($server, @children)), 0, "$mpm: children have the store open");
        $server->stop;
        is_deeply([readers($server, @children)], [], "$mpm: stopped, they have closed it");
    }
    $server->stop;
    $server->start;
    is_deeply([names_of_all($server)], ['bjensen'], "$mpm: started again, they serve the same");
}

sub terminate_amid_writes
{
    my ($server, $mpm) = @_;
    my $before = $server->access_log;
    my @results = parallel(5, sub {
        my ($i) = @_;
        return write_until_gone($server, $i) if $i < 4;
        my $until = time + 20;
        sleep 0.05 while $server->access_log < $before + 8 && time < $until;
        return kill 'TERM', $server->pid;
    });
    pop @results;
    $server->stop;
    $server->start;
    my %there = map { $_ => 1 } names_of_all($server);
    delete $there{bjensen};
    my @made = map { @{ $_->{made} } } @results;
    cmp_ok(scalar(@made), '>', 3, "$mpm: users are created until a SIGTERM");
    is_deeply([grep { !delete $there{$_} } @made], [], "C-030 $mpm: those that were acknowledged are there");
    delete @there{ map { @{ $_->{lost} } } @results };
    is_deeply([keys %there], [], "$mpm: and none that was never sent");
}

sub under_mpm
{
    my ($mpm) = @_;
    my $server = Scim::Httpd->new(mpm => $mpm, $mpm eq 'prefork' ? (children => 6) : ());
    serves($server, $mpm);
    is($server->graceful, 1, "$mpm: restarts gracefully");
    is_deeply([names_of_all($server)], ['bjensen'], "$mpm: and serves the same");
    stop_at_rest($server, $mpm);
    # event can crash as it frees what its own threads still use; stop.t has it under LONG.
    terminate_amid_writes($server, $mpm) if $mpm ne 'event';
    $server->log_clean;
}

# --- who owns what -----------------------------------------------------------

sub mode_and_owner
{
    my ($path) = @_;
    my ($mode, $uid) = (stat $path)[2, 4];
    return sprintf '%04o %s', $mode & 07777, scalar getpwuid $uid;
}

sub user_of
{
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return 'nobody';
    my ($uid) = map { /^Uid:\s+(\d+)/ } <$in>;
    return scalar getpwuid $uid;
}

# The directory is one that httpd makes itself.
sub ownership
{
    my $parent = File::Temp->newdir('scim-XXXXXX', TMPDIR => 1);
    chmod 0755, $parent;
    my $server = Scim::Httpd->new(store => "$parent/store", token => 'none', start => 0);
    $server->start;
    $server->get($server->url('/hello.txt')); # once it answers there are children,
    my $until = time + 10;
    sleep 0.02 while time < $until && grep { user_of($_) eq 'root' } $server->children; # which begin as root
    my ($worker) = map { user_of($_) } $server->children;
    isnt($worker, 'root', 'children do not run as root');
    is(mode_and_owner($server->store), "0700 $worker", 'the store is made, for them alone');
    is_deeply([map { mode_and_owner($server->store . "/$_") } qw(data.mdb lock.mdb)], [("0600 $worker") x 2], 'so are its files');
    is_error($server->get('/Users'), 401, undef, 'C-015 it has no tokens yet');
    $server->scimctl('tenant', 'create', 'default');
    my $token = $server->new_token;
    is($server->post('/Users', user('bjensen'), authorization => "Bearer $token")->status, 201, 'C-030 one that scimctl makes is good at once');
    is_deeply([map { mode_and_owner($server->store . "/$_") } qw(data.mdb lock.mdb)], [("0600 $worker") x 2], 'and scimctl leaves the files to them');
    $server->log_clean;
}

# --- policies ----------------------------------------------------------------

sub policies
{
    my $server = Scim::Httpd->new(start => 0, conf => <<'EOT');
<SCIMTenantPolicy acme>
    SCIMUniqueGroupNames Off
</SCIMTenantPolicy>
<SCIMTenantPolicy default>
    SCIMUniqueGroupNames Off
</SCIMTenantPolicy>
EOT
    my $warnings = sub { return grep { /SCIM1308/ } $server->error_log };
    $server->start;
    my @said = $warnings->();
    is(scalar(@said), 1, 'a policy that has no tenant is told of once') or diag join "\n", @said;
    like($said[0], qr/SCIM1308: <SCIMTenantPolicy acme>: \S+:.* has no tenant .* restart after "scimctl tenant create acme"/, 'with the remedy');
    ok(scalar(grep { /SCIM1300: SCIMStore .*: ready/ } $server->error_log), 'the log says that the store is ready');
    is($server->post('/Groups', group('same'))->status, 201, 'C-058 the policy of a tenant');
    is($server->post('/Groups', group('same'))->status, 201, 'C-058 that is there holds');
    $server->scimctl('tenant', 'create', 'acme');
    $server->graceful;
    is(scalar($warnings->()), 1, 'once it has its tenant, nothing is said');
    $server->expect_log(qr/SCIM1308/);
    $server->log_clean;
}

graceful_stop();
under_mpm($_) for qw(event worker prefork);
SKIP: {
    lmdb_only('whose files are whose', 6);
    ownership();
}
policies();
done_testing();
