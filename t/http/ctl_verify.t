#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl verify and sweep, beside a server and after it: the store is whole while
# it is written to, and damage is found.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
my $s;

sub verify
{
    my (@args) = @_;
    my ($code, $out, $err) = $s->scimctl('--json', 'verify', @args);
    my $said = eval { JSON::PP::decode_json($out) } or die "verify: exit code $code\n$out$err";
    return ($code, $said);
}

sub is_clean
{
    my ($name, @args) = @_;
    my ($code, $said) = verify(@args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([$code, $said->{findings}], [0, []], $name);
    return $said;
}

# So many users and a group of them all.
sub crowd
{
    my ($name, $count) = @_;
    my $r = $s->post('/Bulk', {
        schemas => [$BULK],
        Operations => [map { { method => 'POST', path => '/Users', bulkId => "$_", data => user("$name$_") } } 1 .. $count],
    });
    my @ids = map { $_->{location} =~ s{.*/}{}r } @{ $r->json->{Operations} };
    return (made($s, '/Groups', group($name, @ids))->{id}, @ids);
}

$s = Scim::Httpd->new(start => 0, conf => "SCIMRole member Staff*\nSCIMOnGroupDelete delete\n");
subtest 'a new store' => sub {
    my ($code, $out) = $s->scimctl('verify');
    is($code, 0, 'exit code 0');
    like($out, qr/\A\d+ entries are checked, 0 resources and 0 memberships among them\.\nNothing is wrong\.\n\z/, 'it says so');
};

$s->start;
$s->scimctl(qw(tenant create other));

subtest 'while identity providers write' => sub {
    my @done = parallel(4, sub {
        my ($i) = @_;
        if (!$i) {
            my @found;
            for (1 .. 12) {
                my ($code, $said) = verify();
                push @found, @{ $said->{findings} };
            }
            return \@found;
        }
        for my $n (1 .. 30) {
            my ($group, @ids) = crowd("Staff of $i/$n ", 3);
            changed($s, "/Groups/$group", ['remove', qq{members[value eq "$ids[0]"]}]);
            $s->put("/Users/$ids[1]", user("renamed $i/$n"));
            $s->delete("/Users/$ids[2]") if $n % 2;
            $s->delete("/Groups/$group") if $n % 3;
        }
        return [];
    });
    is_deeply(\@done, [[], [], [], []], 'nothing is found');
    my $sum = is_clean('nor afterwards');
    cmp_ok($sum->{resources}, '>', 30, 'of many resources');
    is_clean('of one tenant', qw(--tenant default));
    is(is_clean('of a tenant that has nothing', qw(--tenant other))->{resources}, 0, 'which is not much');
    is(($s->scimctl(qw(verify --tenant nix)))[0], 3, 'a tenant that is not there');
};

$s->stop;
is_clean('without a server');
$s->log_clean;

# --- what is pending ---------------------------------------------------------

my $POLICY = "SCIMRole member Staff\nSCIMOnGroupDelete delete\nMinSpareThreads 80\n";

# How httpd speaks of children that are killed.
sub allow_kills { $s->allow_log(qr/children are killed successively/, qr/server is within MinSpareThreads/, qr/scoreboard is full/) }

sub stat_of { return JSON::PP::decode_json(($s->scimctl(qw(--json stat)))[1]) }

# Deletes a group of so many thousand users, and kills those who do while their
# members are following it.
sub leave_pending
{
    my ($thousands) = @_;
    my @ids;
    push @ids, (crowd("crowd$_ ", 1000))[1 .. 1000] for 1 .. $thousands;
    my $group = made($s, '/Groups', group('Staff', @ids))->{id};
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $s->delete("/Groups/$group");
        POSIX::_exit(0);
    }
    my $until = time + 30;
    while (time < $until && !stat_of()->{pendingGroups}) {
    }
    kill 'KILL', $s->children;
    waitpid $pid, 0;
}

# Whether the server answers, now that its children are others.
sub answers
{
    my $until = time + 30;
    my $status = 0;
    $status = $s->get('/Users?count=0')->status while $status != 200 && time < $until;
    return $status == 200;
}

$s = Scim::Httpd->new(conf => $POLICY, location => 'SCIMBulk 2000 8m');
allow_kills();
subtest 'sweep' => sub {
    my ($code, $out) = $s->scimctl('sweep');
    is($code, 0, 'of nothing');
    like($out, qr/Nothing was pending/, 'says so');
    leave_pending(6);
    my $stat = stat_of();
    is($stat->{pendingGroups}, 1, 'a group is pending');
    cmp_ok($stat->{pendingMembers}, '>', 0, 'and members of it');
    like(($s->scimctl('stat'))[1], qr/^Pending: +$stat->{pendingMembers} members of 1 deleted group \(scimctl sweep\)$/m, 'as text');
    is(is_clean('that is no damage')->{pending}, 1, 'but pending');
    like(($s->scimctl('verify'))[1], qr/^1 deleted group is still to be followed by its members \(scimctl sweep\)\.$/m, 'as text');
    my $swept = JSON::PP::decode_json(($s->scimctl(qw(--json sweep)))[1]);
    is_deeply($swept, { groups => 1, usersDeleted => $stat->{pendingMembers}, usersDeactivated => 0 }, 'it is swept');
    is_deeply([@{ stat_of() }{qw(pendingGroups pendingMembers)}], [0, 0], 'nothing is left');
    is(is_clean('and the store is whole')->{resources}, 6, 'but for six groups');
    ok(answers(), 'the server goes on');
    is($s->get('/Users?count=0')->json->{totalResults}, 0, 'as the server sees it');
};
$s->log_clean;

# scimctl, which knows no schemas of the organisation, must not delete their resources.
subtest 'a store with types of the organisation' => sub {
    my $dir = "$FindBin::Bin/../../conf/examples";
    $s = Scim::Httpd->new(
        conf => "${POLICY}SCIMSchema $dir/device-schema.json\nSCIMResourceType $dir/device-type.json\n",
        location => 'SCIMBulk 2000 8m'
    );
    allow_kills();
    my $user = made($s, '/Users', user('owner'))->{id};
    my $types = $s->get('/ResourceTypes')->json->{Resources};
    my ($type) = grep { $_->{name} !~ /^(?:User|Group)$/ } @$types;
    my $r = $s->post($type->{endpoint}, { schemas => [$type->{schema}], serialNumber => 'x1', displayName => 'Mine', owner => { value => $user } });
    is($r->status, 201, 'one is made') or diag($r->content);
    my $sum = is_clean('it is whole');
    cmp_ok($sum->{notChecked}, '>', 0, 'what it cannot know is not checked');
    like(($s->scimctl('verify'))[1], qr/own schemas/, 'as text');
    leave_pending(6);
    my ($code, $out, $err) = $s->scimctl('sweep');
    is($code, 4, 'scimctl leaves to httpd what is pending');
    like($err, qr/own schemas.*httpd does this/, 'and says so');
    ok(answers(), 'the server goes on');
    made($s, '/Users', user('later'));
    my $until = time + 60;
    select undef, undef, undef, 0.05 while stat_of()->{pendingGroups} && time < $until;
    is(stat_of()->{pendingGroups}, 0, 'httpd does it behind its next write');
    is(is_clean('and all is whole')->{pending}, 0, 'and nothing pending');
    $s->log_clean;
};

# --- damage ------------------------------------------------------------------

subtest 'an altered byte' => sub {
    $s = Scim::Httpd->new;
    my $id = made($s, '/Users', user('victim', title => 'Title to be altered'))->{id};
    made($s, '/Users', user('neighbour'));
    $s->stop;
    cmp_ok($s->alter_store('Title to be altered', 'Title that is other'), '>', 0, 'on the disk');
    my ($code, $said) = verify();
    is($code, 5, 'exit code 5');
    is_deeply(
        $said->{findings},
        [{ table => 'resource', tenant => 'default', type => 'User', id => $id, attribute => undef,
                what => 'the value was altered: its seal does not hold' }],
        'it is found, and nothing else'
    );
    ok(!$said->{clean}, 'not clean');
    my ($text) = ($s->scimctl('verify'))[1];
    like($text, qr/^resource: tenant default, User, $id: the value was altered.*^1 thing is wrong\.$/ms, 'as text');
    is(($s->scimctl(qw(verify --tenant default)))[0], 5, 'of its tenant');
    $s->log_clean;
};

done_testing();
