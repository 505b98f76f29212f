#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A directory of many users and groups, and a group of many members: what an
# administrator and an identity provider do with it is answered in time, holds
# no memory, and stops nobody.
#
# SCALE: users (3,000; 1,200 with sanitizers).  SCALE=1000000 makes a million of
# them, 100,000 groups, and a group of 100,000; it needs a release build (make),
# 5 GB below TMPDIR and some minutes:
#     SCALE=1000000 SCIM_TEST_TIMEOUT=3600 t/lib/check t/http/scale.t
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP ();
use List::Util qw(max min sum0);
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;
use Time::HiRes qw(sleep time);

my $users = max($ENV{SCALE} || ($ENV{SCIM_SAN} ? 1200 : 3000), 1200);
my $groups = int($users / 10);
my $members = min(100_000, int($users * 0.6)); # of the large group
my $around = min(1000, int($users / 10)); # groups that one user is in
my $writers = 16;
my $slow = $ENV{SCIM_SAN} ? 10 : 1; # how much more time a sanitizer takes

# Seconds until an answer, at any size.
my %limit = (start => 2, request => 1, delete_group => 2);

my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
my $ROLE = "SCIMRole member \"Staff*\"\n";
my $SITE = site('/staff', 'Require scim-role member');
my $s = Scim::Httpd->new(site_args('u5'), conf => $ROLE . $SITE);
refusals($s);

# --- the directory -----------------------------------------------------------

sub user_text
{
    my ($n) = @_;
    return sprintf '{"schemas":["%s","%s"],"userName":"u%d","externalId":"e%d","displayName":"Barbara Jensen %d",'
        . '"name":{"givenName":"Barbara","familyName":"Jensen"},"title":"Guide","active":true,'
        . '"emails":[{"value":"u%d@example.com","type":"work","primary":true}],"%s":{"employeeNumber":"%d","department":"Tours"}}',
        $USER, $ENTERPRISE, ($n) x 4, $ENTERPRISE, $n;
}

sub members_text { return join ',', map { qq({"value":"$_"}) } @_ }

sub group_text
{
    my ($name, @ids) = @_;
    return qq({"schemas":["$GROUP"],"displayName":"$name","members":[) . members_text(@ids) . ']}';
}

# A group of all staff: of what is left of one request's size, by PATCH.
sub create_large
{
    my ($name) = @_;
    my $at_once = 60_000;
    my @left = staff();
    my $r = $s->post('/Groups?excludedAttributes=members', group_text($name, splice @left, 0, $at_once));
    die 'POST: ' . $r->status . ' ' . $r->content . "\n" if $r->status != 201;
    my $path = '/Groups/' . $r->json->{id};
    while (my @some = splice @left, 0, $at_once) {
        $r = $s->patch($path, ops(['add', 'members', [map { { value => $_ } } @some]]));
        die 'PATCH: ' . $r->status . ' ' . $r->content . "\n" if $r->status != 204;
    }
    return $path;
}

# Makes what $text says of each number; the ids.
sub create_many
{
    my ($path, $text, @numbers) = @_;
    my @ids;
    while (my @some = splice @numbers, 0, 500) {
        my $operations = join ',', map { qq({"method":"POST","path":"$path","bulkId":"$_","data":) . $text->($_) . '}' } @some;
        my $r = $s->post('/Bulk', qq({"schemas":["$BULK"],"Operations":[$operations]}));
        my @made = $r->content =~ m{"location":"[^"]+/([^"/]+)"}g;
        die 'Bulk: ' . $r->status . ' ' . substr($r->content, 0, 500) . "\n" if @made != @some || $r->content =~ /"status":"[^2]/;
        push @ids, @made;
    }
    return @ids;
}

# By two at a time.
sub share
{
    my ($i, $from, $to) = @_;
    my $half = int(($from + $to) / 2);
    return $i ? $half .. $to - 1 : $from .. $half - 1;
}

sub seconds
{
    my ($do) = @_;
    my $start = time;
    my $result = $do->();
    return (time - $start, $result);
}

# A request that is answered so, in time.
sub quick
{
    my ($status, $name, @request) = @_;
    my $method = shift @request;
    my ($took, $r) = seconds(sub { $s->$method(@request) });
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($r->status, $status, $name) or diag substr($r->content, 0, 500);
    cmp_ok($took, '<', $limit{request} * $slow, sprintf '%s: %.1f ms', $name, $took * 1000);
    return $r;
}

# Private memory of the fattest child, in MB.
sub memory
{
    return max(map { slurp("/proc/$_/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 / 1024 : 0 } $s->children);
}

sub store_stat
{
    my ($code, $out, $err) = $s->scimctl('--json', 'stat');
    die "scimctl stat: $out$err" if $code;
    return JSON::PP::decode_json($out);
}

# What each start is measured by.
sub first_answer
{
    $s->stop;
    my ($took, $r) = seconds(sub { $s->start; $s->get('/Users?count=0') });
    return ($took, $r->status, memory());
}

my ($empty_start, undef, $empty_memory) = first_answer();
my $fill = time;
my $kept = $members + 200; # those whose ids are told
my @ids = map { @$_ } parallel(2, sub { [create_many('/Users', \&user_text, share($_[0], 0, $kept))] });
parallel(2, sub { my @made = create_many('/Users', \&user_text, share($_[0], $kept, $users)); return scalar @made });
parallel(2, sub { create_many('/Groups', sub { group_text("group $_[0]", @ids[map { ($_[0] * 3 + $_) % 1000 } 0 .. 2]) }, share($_[0], 0, $groups)); return 1 });
note sprintf '%d users and %d groups made in %.0f s', $users, $groups, time - $fill;
# Two who write beside each other take turns: the first half is not the first.
my %name_of = map { $ids[$_] => "u$_" } 0 .. $#ids;
my @staff = @ids[0 .. $members - 1];
sub staff { return @staff }
my @others = @ids[$members .. $#ids];

# --- start, lists ------------------------------------------------------------

subtest 'start' => sub {
    my ($took, $status, $memory) = first_answer();
    is($status, 200, 'the first answer');
    cmp_ok($took, '<', $limit{start} * $slow, sprintf '%.0f ms after the start; %.0f ms with an empty store', $took * 1000, $empty_start * 1000);
    SKIP: {
        skip 'a sanitizer has memory of its own', 1 if $ENV{SCIM_SAN};
        cmp_ok($memory, '<', $empty_memory + 2, sprintf 'by a child of %.1f MB; %.1f MB with an empty store', $memory, $empty_memory);
    }
};

subtest 'lists' => sub {
    my $list = quick(200, 'the first page', 'get', '/Users?count=100')->json;
    is($list->{totalResults}, $users, 'all are counted');
    my $deep = int($users * 0.9);
    is(quick(200, 'a deep page', 'get', "/Users?startIndex=$deep&count=100")->json->{itemsPerPage}, 100, 'has as many users');
    is(quick(200, 'the middle', 'get', '/Users?count=100&startIndex=' . int($users / 2))->json->{itemsPerPage}, 100, 'has as many users');
    my $cursor = quick(200, 'a page by cursor', 'get', '/Users?cursor&count=100')->json->{nextCursor};
    is(quick(200, 'the next', 'get', "/Users?count=100&cursor=$cursor")->json->{itemsPerPage}, 100, 'has as many users');
    my $found = quick(200, 'userName eq', 'get', '/Users?filter=' . esc('userName eq "U7"'))->json;
    is_deeply([map { $_->{userName} } @{ $found->{Resources} }], ['u7'], 'finds the one');
    is(quick(200, 'a name of a group', 'get', '/Groups?filter=' . esc('displayName eq "Group 11"'))->json->{totalResults}, 1, 'finds it');
    is(quick(200, 'groups', 'get', '/Groups?count=0')->json->{totalResults}, $groups, 'are counted');
};

subtest 'single changes' => sub {
    my $id = quick(201, 'create', 'post', '/Users', user_text($users))->json->{id};
    quick(200, 'patch', 'patch', "/Users/$id", ops(['replace', 'title', 'Head Guide']));
    quick(204, 'delete', 'delete', "/Users/$id");
};

# --- the large group ---------------------------------------------------------

my ($took, $group) = seconds(sub { create_large('Everybody') });
note sprintf 'a group of %d members made in %.1f s', $members, $took;

subtest 'members' => sub {
    my $add = ops(['add', 'members', [{ value => $others[0] }]]);
    quick(204, 'one more', 'patch', $group, $add);
    is($s->get("/Users/$others[0]")->json->{groups}[0]{display}, 'Everybody', 'is in it');
    quick(204, 'one less', 'patch', $group, ops(['remove', qq(members[value eq "$others[0]"])]));
    my $without = quick(200, 'S-03 without members', 'get', "$group?excludedAttributes=members");
    # As many as one request may name.
    my @most = @staff[1 .. min($#staff, 99_000)];
    my ($took, $r) = seconds(sub { $s->put("$group?excludedAttributes=members", group_text('Everybody', @most, $others[0])) });
    is($r->status, 200, 'all but the first, and another') or diag substr($r->content, 0, 500);
    note sprintf '%d members replaced in %.1f s', $members, $took;
    isnt($r->header('etag'), $without->header('etag'), 'is another version');
    my $in = quick(200, 'who is in it', 'get', '/Groups?excludedAttributes=members&filter=' . esc(qq(members eq "$others[0]")));
    is($in->json->{totalResults}, 1, 'the other came');
    is(scalar(grep { $_->{display} eq 'Everybody' } @{ $s->get("/Users/$staff[0]")->json->{groups} || [] }), 0, 'the one went');
    is(scalar(grep { $_->{display} eq 'Everybody' } @{ $s->get("/Users/$staff[1]")->json->{groups} || [] }), 1, 'the others stayed');
};

# So many members in the bytes of an answer that is read and forgotten.
sub count_members
{
    my ($path) = @_;
    my $socket = ask_for($path);
    my ($count, $rest) = (0, '');
    while (sysread $socket, my $bytes, 1 << 16) {
        $rest .= $bytes =~ s/\r\n[0-9a-f]+\r\n//gr;
        $count += () = $rest =~ /"\$ref":/g;
        $rest = substr $rest, max(0, length($rest) - 6);
        $rest =~ s/.*"\$ref"://s;
    }
    return $count;
}

sub ask_for
{
    my ($path, %option) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!\n";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096 if $option{slow};
    connect $socket, pack_sockaddr_in($s->port, inet_aton('127.0.0.1')) or die "connect: $!\n";
    print $socket "GET $path HTTP/1.1\r\nHost: 127.0.0.1:" . $s->port . "\r\nConnection: close\r\nAuthorization: Bearer " . $s->token . "\r\n\r\n";
    $socket->flush;
    return $socket;
}

subtest 'S-05 reading all members' => sub {
    my $before = memory();
    my @counts = parallel(8, sub { count_members("/scim/v2$group") });
    # A $ref may be cut by the chunks it comes in: nearly all are seen.
    cmp_ok(min(@counts), '>', $members * 0.97, 'eight clients read them');
    cmp_ok(max(@counts), '<=', $members, 'each once');
    my $listed = count_members('/scim/v2/Groups?startIndex=' . $groups);
    cmp_ok($listed, '>', $members * 0.97, 'one reads them in a list');
    SKIP: {
        skip 'a sanitizer has memory of its own', 1 if $ENV{SCIM_SAN};
        cmp_ok(memory() - $before, '<', 24, sprintf 'which takes no memory: a child had %.1f MB, and has %.1f MB', $before, memory());
    }
};

# Each of some clients changes a user of its own so often; the milliseconds that
# each change took.
sub write_all
{
    my ($times) = @_;
    my @took = parallel(4, sub {
        my ($i) = @_;
        my @took;
        for my $n (1 .. $times / 4) {
            my ($seconds, $r) = seconds(sub { $s->patch("/Users/$others[1 + $i]", ops(['replace', 'title', "$n"])) });
            die $r->status . ' ' . $r->content . "\n" if $r->status != 200;
            push @took, $seconds * 1000;
        }
        return \@took;
    });
    return sort { $a <=> $b } map { @$_ } @took;
}

# Pages that nobody can use again because somebody may still read them make the
# file grow.
subtest 'a client that reads slowly' => sub {
    lmdb_only('a file that grows with what is still read');
    my $times = $ENV{SCIM_SAN} ? 200 : 2000;
    my $file = $s->store . '/data.mdb';
    write_all($times);
    my $size = -s $file;
    write_all($times);
    my $growth = (-s $file) - $size;
    my $socket = ask_for("/scim/v2$group", slow => 1);
    sysread $socket, my $bytes, 1024;
    like($bytes, qr{^HTTP/1.1 200 }, 'it has begun to read');
    $size = -s $file;
    write_all($times);
    my $beside = (-s $file) - $size;
    sysread $socket, $bytes, 1024;
    is(length $bytes, 1024, 'and goes on');
    is(store_stat()->{readers}, 0, 'the store has no reader meanwhile');
    cmp_ok($beside, '<=', $growth + (2 << 20), sprintf 'writing %d times adds %d kB to the file; %d kB without it', $times, $beside >> 10, $growth >> 10);
    close $socket;
};

# --- a user in many groups ---------------------------------------------------

subtest "a user in $around groups" => sub {
    my $id = made($s, '/Users', user('popular'))->{id};
    my @in = create_many('/Groups', sub { group_text("around $_[0]", $id, $others[0]) }, 1 .. $around);
    my $version = sub { $s->get("/Groups/$_[0]?attributes=meta.version")->json->{meta}{version} };
    my @before = map { $version->($_) } @in[0, -1];
    quick(204, 'is deleted', 'delete', "/Users/$id");
    my @after = map { $version->($_) } @in[0, -1];
    isnt($after[$_], $before[$_], 'the group has another version') for 0, 1;
    is_deeply([map { $_->{value} } @{ $s->get("/Groups/$in[-1]")->json->{members} }], [$others[0]], 'and one member less');
};

# --- the large group is deleted ----------------------------------------------

# The milliseconds of each change that one of many clients makes of its user
# until the file "over" is there.
sub write_until_over
{
    my ($i) = @_;
    my @took;
    for (my $n = 0; !-e $s->dir . '/over'; $n++) {
        my ($seconds, $r) = seconds(sub { $s->patch("/Users/$others[10 + $i]", ops(['replace', 'title', "$n"])) });
        die $r->status . ' ' . $r->content . "\n" if $r->status != 200;
        push @took, $seconds * 1000;
    }
    return \@took;
}

# What holds when the deletion is answered, and how long it took until all was
# done.
sub delete_beside
{
    my ($path, $member) = @_;
    sleep 1;
    my ($took, $r) = seconds(sub { $s->delete($path) });
    my %found = (status => $r->status, took => $took, inside => enter($s, '/staff', $name_of{$member}));
    my $user = $s->get("/Users/$member");
    $found{groups} = join ' ', grep { /^Staff/ } map { $_->{display} } @{ $user->status == 200 && $user->json->{groups} || [] };
    $found{again} = $s->get($path)->status;
    my $until = time + 600;
    sleep 0.2 while store_stat()->{pendingGroups} && time < $until;
    $found{all} = time - $until + 600;
    open my $over, '>', $s->dir . '/over' or die "$!\n";
    return \%found;
}

sub outcome
{
    my ($id) = @_;
    my $r = $s->get("/Users/$id");
    return $r->status == 200 ? $r->json->{active} ? 'active' : 'inactive' : $r->status;
}

my %left = (keep => 'active', deactivate => 'inactive', delete => 404);
for my $policy (qw(keep deactivate delete)) {
    subtest "a large group is deleted, SCIMOnGroupDelete $policy" => sub {
        unlink $s->dir . '/over';
        $s->write_conf(conf => "$ROLE${SITE}SCIMOnGroupDelete $policy\n");
        $s->restart;
        my $path = create_large("Staff $policy");
        my ($saved) = $staff[$members / 2];
        $s->post('/Groups', group('Staff of one', $saved)) if $policy eq 'delete';
        my $member = (grep { $name_of{$_} eq 'u5' } @staff)[0];
        is(enter($s, '/staff', 'u5'), 200, 'a member may come in') if $policy ne 'delete';
        my ($found, @took) = parallel($writers + 1, sub { $_[0] ? write_until_over($_[0] - 1) : delete_beside($path, $member) });
        is($found->{status}, 204, 'the deletion is answered');
        cmp_ok($found->{took}, '<', $limit{delete_group} * $slow, sprintf 'after %.0f ms', $found->{took} * 1000);
        is($found->{inside}, 403, 'no member may come in any more');
        is("$found->{groups} $found->{again}", ' 404', 'nobody is in it, nor is it there');
        is_deeply([map { outcome($_) } @staff[1, -1]], [($left{$policy}) x 2], 'what the policy says is done to all');
        is(outcome($saved), 'inactive', 'but not to who has another role') if $policy eq 'delete';
        is(store_stat()->{pendingGroups}, 0, 'nothing is left');
        my @all = sort { $a <=> $b } map { @$_ } @took;
        note sprintf 'answered in %.0f ms, done in %.1f s; %d changes by %d others: median %.1f ms, p99 %.1f ms, longest %.1f ms',
            $found->{took} * 1000, $found->{all}, scalar @all, $writers, $all[@all / 2], $all[@all * 0.99], $all[-1];
        cmp_ok(scalar @all, '>', $writers, 'others wrote all the while');
    };
}

is($s->get('/Users?count=0')->json->{totalResults}, $users - $members + 1, 'the others are there');
note sprintf 'memory of a child: %.1f MB; the files: %d MB', memory(), sum0(map { -s } $s->store_files) >> 20;
$s->stop;
my ($code, $out, $err) = $s->scimctl('verify');
is($code, 0, 'the store is whole, and nothing in it leads nowhere') or diag substr("$out$err", 0, 2000);
$s->log_clean;
done_testing();
