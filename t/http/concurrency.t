#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Many at once, in several processes of httpd.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $s = Scim::Httpd->new;

# How often each answer was given: "1x201 31x409".
sub tally
{
    my %times;
    $times{$_}++ for @_;
    return join ' ', map { "$times{$_}x$_" } sort keys %times;
}

subtest 'C-059 S-09 one of 32 who want a userName gets it' => sub {
    for my $round (1 .. 3) {
        my @name = ("race$round", "RACE$round");
        my @answers = parallel(32, sub { my $r = $s->post('/Users', user($name[$_[0] % 2])); return [$r->status, $r->json->{scimType}] });
        is(tally(map { $_->[0] } @answers), '1x201 31x409', 'one 201, 31 times 409');
        is(tally(map { $_->[1] // 'none' } @answers), '1xnone 31xuniqueness', 'for uniqueness');
        is($s->get('/Users?filter=' . esc("userName eq \"race$round\""))->json->{totalResults}, 1, 'one user');
    }
};

subtest 'C-058 one of 16 who want a name for a group gets it' => sub {
    is(tally(parallel(16, sub { $s->post('/Groups', group('Race'))->status })), '1x201 15x409', 'one 201, 15 times 409');
    is($s->get('/Groups?filter=' . esc('displayName eq "race"'))->json->{totalResults}, 1, 'one group');
};

subtest 'S-08 C-184 64 who add a member each make 64 members' => sub {
    my @ids = map { made($s, '/Users', user("member$_"))->{id} } 1 .. 64;
    my $group = '/Groups/' . made($s, '/Groups', group('All'))->{id};
    my @status = parallel(64, sub { $s->patch($group, ops(['add', 'members', [{ value => $ids[$_[0]] }]]))->status });
    is(tally(@status), '64x204', 'each is done');
    is_deeply([map { $_->{value} } @{ $s->get($group)->json->{members} }], [sort @ids], 'all are there');
    @status = parallel(64, sub {
        my ($i) = @_;
        my $op = $i % 2 ? ['remove', "members[value eq \"$ids[$i]\"]"] : ['add', 'members', [{ value => $ids[$i] }]];
        return $s->patch($group, ops($op))->status;
    });
    is(tally(@status), '64x204', 'half are removed, half added again');
    is(scalar @{ $s->get($group)->json->{members} }, 32, 'half of them are left');
    my %told = map { $_->{id} => scalar @{ $_->{groups} || [] } } @{ $s->get('/Users?count=1000')->json->{Resources} };
    is(join(' ', map { $told{$_} } @ids), join(' ', (1, 0) x 32), 'the users say the same');
};

subtest 'S-08 C-173 changes of one user at once are all made' => sub {
    my $path = '/Users/' . made($s, '/Users', user('busy'))->{id};
    my @status = parallel(32, sub { $s->patch($path, ops(['add', 'emails', [{ value => "mail$_[0]\@example.com" }]]))->status });
    is(tally(@status), '32x200', 'each is done');
    my $json = $s->get($path)->json;
    is(join(' ', sort map { $_->{value} } @{ $json->{emails} }), join(' ', sort map { "mail$_\@example.com" } 0 .. 31), 'none is lost');
    is($json->{meta}{version}, 'W/"33"', 'each is a version');
};

subtest 'C-222 S-10 of 16 who know one version one writes' => sub {
    my $path = '/Users/' . made($s, '/Users', user('guarded'))->{id};
    my $etag = $s->get($path)->header('etag');
    my @status = parallel(16, sub { $s->put($path, user('guarded', title => "writer $_[0]"), 'if-match' => $etag)->status });
    is(tally(@status), '1x200 15x412', 'PUT');
    is(tally(parallel(16, sub { $s->delete($path)->status })), '1x204 15x404', 'of 16 who delete it one does');
};

subtest 'C-212 members who are deleted while they are added leave no trace' => sub {
    my @ids = map { made($s, '/Users', user("fleeting$_"))->{id} } 1 .. 16;
    my $group = '/Groups/' . made($s, '/Groups', group('Fleeting'))->{id};
    my @status = parallel(32, sub {
        my ($i) = @_;
        my $id = $ids[$i >> 1];
        return $i % 2 ? $s->delete("/Users/$id")->status : $s->patch($group, ops(['add', 'members', [{ value => $id }]]))->status;
    });
    is(scalar(grep { $_ !~ /^(?:204|400)$/ } @status), 0, 'added, refused or deleted: ' . tally(@status));
    ok(!exists $s->get($group)->json->{members}, 'nobody is left in the group');
};

subtest 'reads go on while others write' => sub {
    my @answers = parallel(16, sub {
        my ($i) = @_;
        my @bad;
        for my $n (1 .. 10) {
            my $r = $i % 4 ? $s->get('/Users?count=50') : $s->post('/Users', user("mixed $i $n"));
            push @bad, $r->status . ' ' . $r->content if $r->status != ($i % 4 ? 200 : 201) || !$r->json;
        }
        return join "\n", @bad;
    });
    is(join('', @answers), '', 'all are answered');
    my $list = $s->get('/Users?count=1000')->json;
    is($list->{totalResults}, scalar @{ $list->{Resources} }, 'the number is that of those who are there');
};

$s->log_clean;
done_testing();
