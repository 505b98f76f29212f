#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# include/mod_scim.h: what other modules may ask, and what they are told, by way
# of t/example/mod_scim_example.c.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;

sub whoami
{
    my ($path, @directives) = @_;
    return join "\n", qq{<Location "$path">}, 'AuthType Example', 'AuthName Who', 'Require valid-user', 'SetHandler scim-example',
        @directives, "</Location>\n";
}

my $policy = qq{SCIMRole admin "Administrators*"\nSCIMRole member "Team*"\n};
my $s = Scim::Httpd->new(
    conf => example_conf() . $policy . "SCIMOnGroupDelete deactivate\n"
        . whoami('/who')
        . whoami('/mail', 'SCIMUserAttribute emails.value')
        . whoami('/other', 'SCIMTenant other')
        . whoami('/nowhere', 'SCIMTenant nowhere'),
);
$s->scimctl(qw(tenant create other));

# The lines that the module answers, and the group it was asked about.
sub who
{
    my ($path, $name, $group) = @_;
    my $r = $s->get($s->url($path . (defined $group ? '?' . esc($group) : '')), as($name));
    return $r->status if $r->status != 200;
    my %line = map { split /: /, $_, 2 } split /\n/, $r->content;
    return \%line;
}

my $babs = made($s, '/Users', user('Babs', displayName => 'Babs Jensen', externalId => 'x-1',
    emails => [{ value => 'a@example.com' }, { value => 'babs@example.com', primary => \1 }]))->{id};
my $carl = made($s, '/Users', user('carl', emails => [{ value => 'a@example.com' }]))->{id};
my $team = made($s, '/Groups', group('Team North', $babs))->{id};
my $admins = made($s, '/Groups', group('Administrators', $team))->{id};

subtest 'scim_lookup' => sub {
    is_deeply(who('/who', 'BABS'), {
        id => $babs, userName => 'Babs', displayName => 'Babs Jensen', email => 'babs@example.com', externalId => 'x-1',
        active => 'yes', roles => 'admin member',
    }, 'who it is');
    is_deeply(who('/who', 'carl'), { id => $carl, userName => 'carl', email => 'a@example.com', active => 'yes', roles => '' },
        'no more than there is');
    is_deeply(who('/who', 'nobody'), { nobody => 'nobody', roles => '' }, 'an unknown user');
    is(who('/mail', 'BABS@example.com')->{id}, $babs, 'by SCIMUserAttribute');
    is_deeply(who('/mail', 'a@example.com'), { nobody => 'a@example.com', roles => '' }, 'not one of two');
    is_deeply(who($_, 'babs'), { nobody => 'babs', roles => '' }, "in the tenant of SCIMTenant: $_") for qw(/other /nowhere);
};

subtest 'scim_is_member' => sub {
    my $is = sub { my ($name, $group, $path) = @_; return who($path // '/who', $name, $group)->{"member of $group"} };
    is($is->('babs', 'TEAM north'), 1, 'by name, without case');
    is($is->('babs', 'Administrators'), 1, 'through another group');
    is($is->('babs', "id:$admins"), 1, 'by id');
    is($is->('babs', 'Team'), 0, 'no such group');
    is($is->('babs', ''), 0, 'no name');
    is($is->('babs', 'id:1'), 0, 'no id');
    is($is->('babs', "id:$carl"), 0, 'no group');
    is($is->('carl', 'Team North'), 0, 'not a member');
    is($is->('nobody', 'Team North'), 0, 'nobody');
    is($is->('babs', 'Team North', '/other'), 0, 'another tenant');
};

subtest 'one who is not active' => sub {
    changed($s, "/Users/$babs", ['replace', 'active', \0]);
    my $line = who('/who', 'babs', 'Team North');
    is_deeply([@$line{'id', 'active', 'roles', 'member of Team North'}], [$babs, 'no', '', 0], 'is known, and nothing more');
    changed($s, "/Users/$babs", ['replace', 'active', \1]);
    is(who('/who', 'babs')->{active}, 'yes', 'until it is again');
};

# What the module was told by what $do does: the lines of the log.
sub told
{
    my ($do) = @_;
    my $before = () = $s->error_log;
    $do->();
    my @log = $s->error_log;
    return map { /\] example: (.*)/ ? $1 : () } @log[$before .. $#log];
}

subtest 'the hook' => sub {
    my $id;
    is_deeply([told(sub { $id = made($s, '/Users', user('dora', title => 'Guide'))->{id} })], [
        "users.create $id",
        "User of tenant default, version 1, by test, names title,userName, because of nothing else",
    ], 'a user is made');
    my @told = told(sub { changed($s, "/Users/$id", ['replace', 'title', 'Leader']) });
    is($told[0], "users.patch $id", 'and changed');
    like($told[1], qr/^User of tenant default, version 2, by test, names title,/, 'in one attribute');
    is_deeply([told(sub { changed($s, "/Users/$id", ['replace', 'title', 'Leader']) })], [], 'a change that changes nothing is none');
    is_deeply([told(sub { $s->post('/Users', user('dora')) })], [], 'nor is one that is refused');
    is_deeply([told(sub { $s->get('/Users') })], [], 'nor is a question');
    @told = told(sub { $s->delete("/Users/$id") });
    is_deeply(\@told, ["users.delete $id", 'User of tenant default, version 0, by test, names nothing told, because of nothing else'],
        'and deleted');
};

subtest 'each change of a job, and what follows from one' => sub {
    my @operations = map { { method => 'POST', path => '/Users', bulkId => "b$_", data => user($_ == 2 ? 'carl' : "bulk$_") } } 1 .. 3;
    my @told = grep { /users\.create/ } told(sub {
        $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@operations });
    });
    is(scalar @told, 2, 'those of a job that were made');
    $s->delete("/Groups/$admins");
    @told = told(sub { $s->delete("/Groups/$team") });
    ok((grep { $_ eq "groups.delete $team" } @told), 'a group is deleted');
    ok((grep { /^users\.\w+ \Q$babs\E$/ } @told), 'and what it does to a member');
    ok((grep { /because of \Q$team\E$/ } @told), 'by its cause');
};

subtest 'a store that cannot be read' => sub {
    $s->spoil_store;
    $s->graceful;
    is(who('/who', 'babs'), 503, 'is no answer');
    $s->expect_log(qr/SCIM1302: /, qr/SCIM1303: /);
    # One was made later, the other never.
    $s->expect_log(map { qr/SCIM1314: SCIMTenant $_ at line/ } qw(other nowhere));
};

$s->log_clean;
done_testing();
