#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A loop of requests of every kind leaves no memory behind: by what a child of
# the server holds and, with SCIM_VALGRIND, by what valgrind finds at its end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

# 16 requests: a life of a user and a group, and what is refused.  Returns the
# statuses.
sub turn
{
    my ($server, $n) = @_;
    my @status;
    my $do = sub {
        my ($method, @request) = @_;
        my $response = $server->$method(@request);
        push @status, $response->status;
        return $response;
    };
    my $user = $do->('post', '/Users', user("leak-$n", name => { familyName => 'Jensen' }, emails => [{ type => 'work', value => "leak-$n\@example.com" }]))->json;
    my $group = $do->('post', '/Groups', group("leak $n", $user->{id}))->json;
    my $path = "/Users/$user->{id}";
    $do->('get', $path);
    $do->('get', '/Users?filter=' . esc(qq(emails[type eq "work"].value eq "leak-$n\@example.com" and name.familyName sw "J")) . '&attributes=userName,emails');
    $do->('get', '/Groups?count=1&excludedAttributes=members');
    $do->('patch', $path, ops(['replace', 'emails[type eq "work"].value', 'x@example.com'], ['add', undef, { title => 'Guide' }]));
    $do->('put', $path, user("leak-$n", displayName => 'Barbara'));
    $do->('patch', "/Groups/$group->{id}", ops(['remove', qq(members[value eq "$user->{id}"])]));
    $do->('get', '/Schemas');
    $do->('post', '/Users', user("leak-$n"));
    $do->('post', '/Users', '{"schemas":[');
    $do->('get', '/Users?filter=' . esc('userName ex "x"'));
    $do->('get', '/Users/0');
    $do->('get', $path, authorization => 'Bearer mscim_wrong');
    $do->('delete', "/Groups/$group->{id}");
    $do->('delete', $path);
    return "@status";
}

my $expected = '201 201 200 200 200 200 200 204 200 409 400 400 404 401 204 204';

# Memory of its own that a process holds, in kB.
sub memory_of
{
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!\n";
    my ($size) = map { /^RssAnon:\s+(\d+) kB/ } <$in>;
    return $size;
}

# One child with few threads, each of which has soon had its share.
sub growth
{
    my $server = Scim::Httpd->new(mpm => 'worker', children => 1, conf => "ThreadsPerChild 4\nMaxRequestWorkers 4\nMaxSpareThreads 4");
    my ($child) = $server->children;
    my %answers = map { turn($server, "warm-$_") => 1 } 1 .. 60;
    my $before = memory_of($child);
    $answers{ turn($server, $_) } = 1 for 1 .. 125;
    my $after = memory_of($child);
    is_deeply([keys %answers], [$expected], 'each turn is answered as the others');
    is_deeply([$server->children], [$child], 'all by one child');
    note "from $before kB to $after kB in 2,000 requests";
    cmp_ok($after - $before, '<', 1024, '2,000 requests later it holds less than 1 MB more');
    $server->log_clean;
}

# log_clean sees what valgrind wrote.
sub under_valgrind
{
    my $server = Scim::Httpd->new(valgrind => 1);
    my %answers = map { turn($server, $_) => 1 } 1 .. 12;
    is_deeply([keys %answers], [$expected], 'each turn is answered as the others, under valgrind');
    $server->log_clean('valgrind finds nothing lost, and no wrong access');
}

SKIP: {
    # They keep what was freed.
    skip 'sanitizers hold memory of their own', 4 if $ENV{SCIM_SAN};
    growth();
}
SKIP: {
    skip 'make check VALGRIND=1 looks for leaks', 2 if !$ENV{SCIM_VALGRIND};
    under_valgrind();
}
done_testing();
