#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Two servers on one store, each with a parent of its own: each sees what the other
# has written with its next request, of two that want the same one gets it, and
# neither a restart nor the sudden death of one harms the other or the store.
#
# LONG: 50 deaths of one in place of 2, and 300 races in place of 20.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Scim::Watch;
use Test::More;
use Time::HiRes qw(sleep time);

my $deaths = rounds(2, 50);
my $races = rounds(20, 300);

# A second one on the store of the first.
sub beside
{
    my ($one, %args) = @_;
    return Scim::Httpd->new(store => $one->store, token => $one->token, threads => 8, %args);
}

sub alone
{
    my ($s, $method, $path, $body) = @_;
    return $s->request($method, $path, $body, host => '127.0.0.1');
}

sub is_whole
{
    my ($s, $name) = @_;
    my ($code, $out, $err) = $s->scimctl('verify');
    return is($code, 0, $name) || diag($out, $err);
}

my $one = Scim::Httpd->new(threads => 8);
my $two = beside($one);

subtest 'each sees what the other has written' => sub {
    my @stale;
    for my $n (1 .. $races) {
        my ($writer, $reader) = $n % 2 ? ($one, $two) : ($two, $one);
        my $path = '/Users/' . made($writer, '/Users', user("seen-$n"))->{id};
        push @stale, "seen-$n is not found" if $reader->get('/Users?filter=' . esc(qq(userName eq "seen-$n")))->json->{totalResults} != 1;
        $reader->patch($path, ops(['replace', 'title', 'changed']));
        push @stale, "seen-$n is not changed" if ($writer->get($path)->json->{title} // '') ne 'changed';
        $reader->delete($path);
        push @stale, "seen-$n is not gone" if $writer->get($path)->status != 404;
    }
    is_deeply(\@stale, [], "C-060 C-061 with the next request, $races times");
};

subtest 'tokens are known to both' => sub {
    my $token = $one->new_token(connection => 'okta');
    my @ask = ('/Users?count=0', authorization => "Bearer $token");
    is_deeply([map { $_->get(@ask)->status } $one, $two], [200, 200], 'a new one');
    $two->scimctl(qw(token revoke --tenant default --connection okta));
    is_deeply([map { $_->get(@ask)->status } $one, $two], [401, 401], 'C-314 a revoked one');
};

subtest 'both want the same' => sub {
    my @answers = parallel(2, sub {
        my ($i) = @_;
        my $s = ($one, $two)[$i];
        return [map { alone($s, 'POST', '/Users', user("race-$_"))->status } 1 .. $races];
    });
    my %pairs;
    for my $n (0 .. $races - 1) {
        $pairs{ join ' ', sort map { $_->[$n] } @answers }++;
    }
    is_deeply(\%pairs, { '201 409' => $races }, 'C-033 a userName goes to one of them') or diag explain \%pairs;
    is($one->get('/Users?count=0')->json->{totalResults}, $races, 'C-114 and is there once');
};

subtest 'both change one group' => sub {
    my $group = made($one, '/Groups', group('both'))->{id};
    my @ids = map { $_->{id} } @{ $one->get("/Users?count=$races&attributes=id")->json->{Resources} };
    my @answers = parallel(2, sub {
        my ($i) = @_;
        my $s = ($one, $two)[$i];
        return [map { alone($s, 'PATCH', "/Groups/$group", ops(['add', 'members', [{ value => $ids[$_] }]]))->status }
            grep { $_ % 2 == $i } 0 .. $#ids];
    });
    is_deeply([grep { $_ != 204 } map { @$_ } @answers], [], 'C-188 no change of theirs is refused');
    is_deeply([sort map { $_->{value} } @{ $two->get("/Groups/$group")->json->{members} }], [sort @ids], 'C-188 nor lost');
};

# --- one of them goes --------------------------------------------------------

# The whole of it, at once.
sub kill_all
{
    my ($s) = @_;
    my @family = ($s->pid, $s->children);
    kill 'KILL', @family;
    waitpid delete $s->{pid}, 0;
    delete $s->{http};
}

sub write_until_over
{
    my ($s, $name) = @_;
    my (@made, $longest);
    $longest = 0;
    for (my $n = 1; !-e $s->dir . '/over'; $n++) {
        my $began = time;
        my $r = alone($s, 'POST', '/Users', user("$name-$n"));
        $longest = time - $began if time - $began > $longest;
        die "POST $name-$n: " . $r->status . ' ' . $r->content . "\n" if $r->status != 201;
        push @made, "$name-$n";
    }
    return { made => \@made, longest => $longest };
}

# What one writes until it is dead: acknowledged, and what was lost.
sub write_until_dead
{
    my ($s, $name) = @_;
    my @made;
    for (my $n = 1; ; $n++) {
        my $r = alone($s, 'POST', '/Users', user("$name-$n"));
        return { made => \@made, lost => "$name-$n" } if $r->status == 599 || $r->status == 0;
        push @made, "$name-$n";
    }
}

subtest 'one dies amid its writes, again and again' => sub {
    my ($made, $lost, $longest) = ([], [], 0);
    for my $round (1 .. $deaths) {
        unlink $one->dir . '/over';
        my ($alive, @dead) = parallel(3, sub {
            my ($i) = @_;
            return write_until_over($one, "alive-$round") if $i == 0;
            return write_until_dead($two, "dead-$round") if $i == 1;
            sleep 0.2 + rand 0.2;
            kill 'KILL', $two->pid, $two->children;
            sleep 0.3; # the other goes on
            open my $over, '>', $one->dir . '/over' or die "$!\n";
            return {};
        });
        kill_all($two);
        push @$made, map { @{ $_->{made} // [] } } $alive, @dead;
        push @$lost, grep { defined } map { $_->{lost} } @dead;
        $longest = $alive->{longest} if $alive->{longest} > $longest;
        $two->start;
    }
    cmp_ok($longest, '<', 5, sprintf 'C-030 the other writes on (no answer took longer than %.1f s)', $longest);
    my %there = map { $_->{userName} => 1 } map { @{ $two->get("/Users?count=1000&attributes=userName&startIndex=$_")->json->{Resources} } }
        map { 1 + 1000 * $_ } 0 .. 30;
    delete $there{"race-$_"} for 1 .. $races;
    cmp_ok(scalar @$made, '>', 3 * $deaths, 'both wrote');
    is_deeply([grep { !delete $there{$_} } @$made], [], 'C-030 what was acknowledged is there, by the dead one, too');
    delete @there{@$lost};
    is_deeply([keys %there], [], 'and nothing else');
    $two->allow_log(qr/AH00098: pid file .* overwritten/);
    is_whole($one, 'the store is whole');
};

subtest 'one restarts while the other writes' => sub {
    unlink $one->dir . '/over';
    delete $two->{http}; # for a connection that is kept a child of worker waits
    my ($wrote, $restarts) = parallel(2, sub {
        my ($i) = @_;
        return write_until_over($one, 'restarts') if !$i;
        my $done = grep { $two->$_ } ('graceful', 'restart') x rounds(2, 25);
        open my $over, '>', $one->dir . '/over' or die "$!\n";
        return { done => $done };
    });
    is($restarts->{done}, rounds(4, 50), 'restarts are done');
    cmp_ok(scalar @{ $wrote->{made} }, '>', 4, 'C-030 and the other answers all the while');
    is($_->get('/Users?filter=' . esc('userName sw "restarts-"') . '&count=0')->json->{totalResults}, scalar @{ $wrote->{made} },
        'C-114 both hold what it wrote') for $one, $two;
};

# --- unlike each other -------------------------------------------------------

# One that was opened for less than the other has made of it since.
subtest 'two that think of its size differently' => sub {
    lmdb_only('a size that it may grow to');
    my $small = beside($one, conf => 'SCIMStoreSize 4m');
    is($small->get('/Users?count=0')->status, 200, 'one opens it for 4 MB');
    my $body = user('large', title => 'x' x 200_000);
    my @status = map { $body->{userName} = "large-$_"; $one->post('/Users', JSON::PP::encode_json($body))->status } 1 .. 40;
    is_deeply([grep { $_ != 201 } @status], [], 'C-030 the other fills it beyond that');
    cmp_ok(-s $one->store . '/data.mdb', '>', 8_000_000, 'to more than twice as much');
    is($small->get('/Users?filter=' . esc('userName eq "large-40"') . '&attributes=userName')->json->{totalResults}, 1, 'C-114 the first reads all of it');
    my $r = $small->post('/Users', user('by-the-small-one'));
    ok($r->status == 201 || $r->status == 507, 'and writes, or says that it is full: ' . $r->status);
    is($one->post('/Users', user('after'))->status, 201, 'C-030 the other goes on');
    $small->allow_log(qr/SCIM1201: .*full/);
    $small->log_clean;
};

subtest 'one that only reads' => sub {
    my $reader = beside($one, conf => 'SCIMReadOnly On');
    my $path = '/Users/' . made($one, '/Users', user('read'))->{id};
    is($reader->get($path)->status, 200, 'C-060 sees what the other has just written');
    is_error($reader->delete($path), 503, undef, 'and changes nothing');
    is($two->delete($path)->status, 204, 'C-210 a third one does');
    is($reader->get($path)->status, 404, 'C-061 which it sees');
    $reader->log_clean;
};

# A policy is the store's: who starts last writes it, and says so.
subtest 'two of different policies' => sub {
    my $said = sub { return scalar grep { /scim:notice.* SCIM1311: SCIMStore .*: the policy of tenant default was another/ } $_[0]->error_log };
    my $third = beside($one, conf => 'SCIMUniqueGroupNames Off');
    is($said->($third), 1, 'the one that changes it says so');
    is_deeply([map { $one->post('/Groups', group('twice'))->status } 1, 2], [201, 201], 'C-058 it holds for the other at once');
    is($one->graceful, 1, 'the other restarts');
    is($said->($one), 1, 'which changes it back');
    is_error($third->post('/Groups', group('twice')), 409, 'uniqueness', 'C-058 for both');
    is($one->graceful, 1, 'once more');
    is($said->($one), 1, 'nothing to say');
    $third->log_clean;
};

$two->stop;
is($one->post('/Users', user('last'))->status, 201, 'C-030 once the other has ended, the first goes on');
$one->stop;
is_whole($one, 'the store is whole');
$two->log_clean;
$one->log_clean;
done_testing();
