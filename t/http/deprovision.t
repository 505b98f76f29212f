#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What the deletion of a group means for its members, names of groups that are
# refused, and the brake on mass deletion.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(time);

my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
my $ROLES = "SCIMRole admin \"Root*\"\nSCIMRole member \"Staff*\"\nSCIMRole guest Guests\n";
my $s;

sub bulk
{
    my (@operations) = @_;
    my $r = $s->post('/Bulk', { schemas => [$BULK], Operations => \@operations });
    die 'Bulk: ' . $r->status . ' ' . $r->content . "\n" if $r->status != 200;
    return @{ $r->json->{Operations} };
}

sub new_user { return made($s, '/Users', user(@_))->{id} }

sub new_group
{
    my ($name, @members) = @_;
    return made($s, '/Groups', group($name, @members))->{id};
}

# So many users and a group of them all.
sub crowd
{
    my ($name, $count) = @_;
    my @ids;
    while (@ids < $count) {
        my $rest = $count - @ids;
        my @operations = map { {
            method => 'POST',
            path => '/Users',
            bulkId => "$_",
            data => user("$name" . (@ids + $_))
        } } 1 .. ($rest < 500 ? $rest : 500);
        push @ids, map { $_->{location} =~ s{.*/}{}r } bulk(@operations);
    }
    return (new_group($name, @ids), @ids);
}

sub users
{
    my ($filter) = @_;
    return $s->get('/Users?count=0' . (defined $filter ? '&filter=' . esc($filter) : ''))->json->{totalResults};
}

sub gone { return $s->get("/Users/$_[0]")->status == 404 }

sub active
{
    my ($id) = @_;
    my $active = $s->get("/Users/$id")->json->{active};
    return !defined $active || $active ? 1 : 0;
}

# --- members are deleted -----------------------------------------------------

$s = Scim::Httpd->new(conf => $ROLES . "SCIMOnGroupDelete delete\nSCIMCustomGroups ignore");

subtest 'SCIMOnGroupDelete delete' => sub {
    my ($lost, $both, $inert) = map { new_user($_) } qw(lost both inert);
    my $group = new_group('Staff of Berlin', $lost, $both, $inert);
    my $guests = new_group('guests', $both);
    my $custom = new_group('Custom', $inert, $both);
    is($s->delete("/Groups/$group")->status, 204, 'the group goes');
    ok(gone($lost), 'who has no other role goes with it');
    ok(gone($inert), 'so does who is in a group without effect');
    ok(!gone($both), 'who has another role stays');
    is_deeply([map { $_->{value} } @{ $s->get("/Groups/$custom")->json->{members} }], [$both], 'in its groups, too');
    is($s->post('/Users', user('LOST'))->status, 201, 'the name is free');
    is($s->delete("/Groups/$custom")->status, 204, 'a group without a role goes');
    ok(!gone($both), 'and nobody with it');
    is($s->delete("/Groups/$guests")->status, 204, 'the last role goes');
    ok(gone($both), 'and the user');
};

subtest 'SCIMOnGroupDelete in a Bulk job' => sub {
    my $user = new_user('bulk');
    my $group = new_group('Staff', $user);
    my ($done) = bulk({ method => 'DELETE', path => "/Groups/$group" });
    is($done->{status}, 204, 'the group goes');
    ok(gone($user), 'its member too');
};

subtest 'a group of 700 members' => sub {
    my ($group, @users) = crowd('Staff', 700);
    my $saved = $users[-1];
    new_group('Root', $saved);
    my $before = users();
    my $start = time;
    is($s->delete("/Groups/$group")->status, 204, 'the group goes');
    my $took = time - $start;
    cmp_ok($took, '<', 30, sprintf 'in %.1f s', $took);
    is_error($s->get("/Groups/$group"), 404, undef, 'it is gone');
    is_deeply($s->get("/Users/$saved")->json->{groups}[0]{display}, 'Root', 'and nobody is in it');
    # A slow machine leaves some to be done behind the answer.
    select undef, undef, undef, 0.05 while users() > $before - 699 && time - $start < 60;
    is(users(), $before - 699, 'its members went');
    ok(!gone($saved), 'but the one with another role');
    is($s->delete("/Users/$saved")->status, 204, 'the test is over');
};

subtest 'what a request leaves is done behind its answer' => sub {
    my ($group, @users) = crowd('Staff', 700);
    my $before = users();
    my ($done) = bulk({ method => 'DELETE', path => "/Groups/$group" });
    is($done->{status}, 204, 'a job deletes the group');
    is($s->get('/Groups?filter=' . esc("members eq \"$users[0]\""))->json->{totalResults}, 0, 'nobody is in it from then on');
    # Nobody writes any more.
    my $until = time + 30;
    select undef, undef, undef, 0.05 while users() > $before - 700 && time < $until;
    is(users(), $before - 700, 'its members go behind the answer');
};

$s->log_clean;

# --- members are deactivated, and groups refused -----------------------------

$s = Scim::Httpd->new(conf => $ROLES . "SCIMOnGroupDelete deactivate\nSCIMCustomGroups refuse");

subtest 'SCIMOnGroupDelete deactivate' => sub {
    my ($anna, $both, $off) = (new_user('anna'), new_user('both'), new_user('off', active => JSON::PP::false));
    my $group = new_group('Staff', $anna, $both, $off);
    new_group('Guests', $both);
    my $etag = $s->get("/Users/$off")->header('etag');
    is($s->delete("/Groups/$group")->status, 204, 'the group goes');
    is_deeply([map { active($_) } $anna, $both, $off], [0, 1, 0], 'who has no other role is active no more');
    is($s->get("/Users/$anna")->header('etag'), 'W/"2"', 'that is a change');
    is($s->get("/Users/$off")->header('etag'), $etag, 'and none of who was not active');
    is(users('active eq false'), 2, 'a filter sees it');
    my ($large, @users) = crowd('Staff', 300);
    is($s->delete("/Groups/$large")->status, 204, 'a large group goes');
    my $until = time + 60;
    select undef, undef, undef, 0.05 while users('active eq false') < 302 && time < $until;
    is(users('active eq false'), 302, 'likewise');
};

subtest 'SCIMCustomGroups refuse' => sub {
    my $r = $s->post('/Groups', group('Custom'));
    is_error($r, 400, 'invalidValue', 'a group that no role knows');
    like($r->json->{detail}, qr/Root\*.*Staff\*.*Guests/, 'the answer says what is accepted');
    my $id = new_group('staff two');
    is_error($s->put("/Groups/$id", group('Custom')), 400, 'invalidValue', 'a new name by PUT');
    is_error($s->patch("/Groups/$id", ops(['replace', 'displayName', 'Custom'])), 400, 'invalidValue', 'by PATCH');
    is($s->put("/Groups/$id", group('Root two'))->status, 200, 'another role is fine');
    is($s->get("/Groups/$id")->json->{displayName}, 'Root two', 'and is its name');
};

subtest 'a group keeps a name that is refused by now' => sub {
    my %conf = (conf => $ROLES);
    $s->write_conf(%conf);
    $s->restart;
    my $id = new_group('Custom');
    $s->write_conf(conf => $ROLES . 'SCIMCustomGroups refuse');
    $s->restart;
    my $user = new_user('late');
    is($s->put("/Groups/$id", group('Custom', $user))->status, 200, 'PUT');
    is($s->patch("/Groups/$id", ops(['replace', 'displayName', 'Custom']))->status, 204, 'PATCH');
    is_error($s->put("/Groups/$id", group('Customs')), 400, 'invalidValue', 'no other of that kind');
};

$s->log_clean;

# --- the brake ---------------------------------------------------------------

$s = Scim::Httpd->new(conf => $ROLES . "SCIMOnGroupDelete delete\nSCIMDeleteLimit 3/h");

subtest 'SCIMDeleteLimit' => sub {
    my @users = map { new_user("u$_") } 1 .. 8;
    my $group = new_group('Staff', @users[5 .. 7]);
    is($s->delete("/Users/$users[0]")->status, 204, 'one');
    is($s->patch("/Users/$users[1]", ops(['replace', 'active', JSON::PP::false]))->status, 200, 'two');
    my $refused = $s->delete("/Groups/$group");
    is_error($refused, 429, undef, 'a group of three is too much');
    like($refused->json->{detail}, qr/SCIMDeleteLimit.*scimctl tenant release default/, 'the answer says what to do');
    is($s->get("/Groups/$group")->status, 200, 'the group stays');
    is_error($s->delete("/Users/$users[2]"), 429, undef, 'from now on nobody is deleted');
    is_error($s->patch("/Users/$users[2]", ops(['replace', 'active', JSON::PP::false])), 429, undef, 'nor deactivated');
    my ($done) = bulk({ method => 'DELETE', path => "/Users/$users[2]" });
    is($done->{status}, 429, 'nor in a Bulk job');
    is($s->post('/Users', user('new'))->status, 201, 'all else goes on');
    $s->restart;
    is_error($s->delete("/Users/$users[2]"), 429, undef, 'a restart changes nothing');
    my ($code, $out, $err) = $s->scimctl(qw(tenant release default));
    is($code, 0, 'the administrator releases it') or diag("$out$err");
    is($s->delete("/Groups/$group")->status, 204, 'now the group goes');
    ok(gone($users[6]), 'and its members');
    is_error($s->delete("/Users/$users[2]"), 429, undef, 'they were three');
};

subtest 'SCIMDeleteLimit in a Bulk job' => sub {
    $s->scimctl(qw(tenant release default));
    my @users = map { new_user("b$_") } 1 .. 5;
    my @done = bulk(map { { method => 'DELETE', path => "/Users/$_" } } @users);
    is_deeply([map { $_->{status} } @done], [204, 204, 204, 429, 429], 'what is within the limit is done');
    is_error($s->delete("/Users/$users[4]"), 429, undef, 'and the brake is on');
};

$s->log_clean;
done_testing();
