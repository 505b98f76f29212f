#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Require scim-user, scim-group and scim-role: who comes into a site.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;

binmode $_, ':encoding(UTF-8)' for map { Test::More->builder->$_ } qw(output failure_output);

my $roles = <<'EOT';
SCIMRole admin "Administrators*"
SCIMRole member "Team*" Staff
SCIMRole guest "Guests*"
EOT

my @names = ('babs', 'BABS', 'carl', 'dora', 'Straße', 'STRASSE', 'nobody');
my $s = Scim::Httpd->new(
    site_args(@names),
    conf => $roles
        . site('/any', 'Require scim-user')
        . site('/users', 'Require scim-user Babs "Carl" strasse')
        . site('/guides', 'Require scim-group "TOUR guides" "Other group"')
        . site('/cafe', 'Require scim-group "CAFÉ STRASSE"')
        . site('/outer', 'Require scim-group Outer')
        . site('/asked', 'Require scim-group "%{HTTP:X-Group}" "Never there"')
        . site('/asked-id', 'Require scim-group "id:%{HTTP:X-Group}"')
        . site('/asked-role', 'Require scim-role "%{HTTP:X-Role}"')
        . site('/asked-user', 'Require scim-user "%{HTTP:X-Name}"')
        . site('/member', 'Require scim-role member')
        . site('/admin', 'Require scim-role ADMIN guest')
        . site('/all', '<RequireAll>', 'Require scim-role member', 'Require scim-group "Tour Guides"', '</RequireAll>')
        . site('/either', 'Require scim-role admin', 'Require scim-group "Tour Guides"')
        . site('/not', '<RequireAll>', 'Require scim-user', 'Require not scim-group "Tour Guides"', '</RequireAll>')
        . site(
            '/none', '<RequireAll>', 'Require scim-user', '<RequireNone>',
            'Require scim-role member', 'Require scim-group "Tour Guides"', '</RequireNone>', '</RequireAll>'
        )
        . site('/local', '<RequireAny>', q{Require expr "%{HTTP:X-Name} == 'known'"}, 'Require scim-role admin', '</RequireAny>')
        . qq{<AuthzProviderAlias scim-group leaders '"Tour Guides"'>\n</AuthzProviderAlias>\n} . site('/alias', 'Require leaders')
        . site('/plain', 'AuthzSendForbiddenOnFailure Off', 'Require scim-user')
        . endpoint('/people') . site('/people/Me', 'Require scim-user carl')
        . endpoint('/wrong', 'Require scim-user') =~ s/Require valid-user\n//r
        . qq{Alias "/dir" htdocs\n<DirectoryMatch "/htdocs/inside">\n}
        . qq{AuthType Basic\nAuthName Dir\nAuthBasicProvider file\nAuthUserFile htdocs/people\n}
        . qq{AuthzSendForbiddenOnFailure On\nRequire scim-group "Tour Guides"\n</DirectoryMatch>\n},
);
refusals($s);

my %id;
sub new_user { my ($name, %more) = @_; return $id{$name} = made($s, '/Users', user($name, %more))->{id} }
sub new_group { my ($name, @ids) = @_; return $id{$name} = made($s, '/Groups', group($name, @ids))->{id} }
sub add_member { my ($name, $id) = @_; return changed($s, "/Groups/$id{$name}", ['add', 'members', [{ value => $id }]]) }
sub drop_member { my ($name, $id) = @_; return changed($s, "/Groups/$id{$name}", ['remove', qq{members[value eq "$id"]}]) }
sub set_active { my ($id, $to) = @_; return changed($s, "/Users/$id", ['replace', 'active', $to ? \1 : \0]) }

# Who of @names comes in; the others are refused.
sub who_enters
{
    my ($path, @who) = @_;
    my %got = map { $_ => enter($s, $path, $_) } @who;
    my ($odd) = grep { $got{$_} !~ /^(?:200|403)$/ } @who;
    die "$path: $odd is answered $got{$odd}\n" if defined $odd;
    return join ' ', grep { $got{$_} == 200 } @who;
}

new_user($_) for qw(babs carl dora Straße);
new_group('Tour Guides', $id{babs});
new_group('Café Straße', $id{babs}, $id{'Straße'});
new_group('Team North', $id{babs}, $id{carl});
new_group('Administrators', $id{dora});
new_group('Inner', $id{carl});
new_group('Middle', $id{Inner});
new_group('Outer', $id{Middle}, $id{dora});

subtest 'users' => sub {
    is(who_enters('/any', @names), 'babs BABS carl dora Straße STRASSE', 'any that is provisioned');
    is(who_enters('/users', @names), 'babs BABS carl Straße STRASSE', 'those that are named, without case');
    is(enter($s, '/any', undef), 401, 'nobody who does not say who it is');
    is($s->get($s->url(page('/any')), authorization => 'Basic YmFiczp3cm9uZw==')->status, 401, 'nor who has the wrong password');
    is(enter($s, '/plain', 'babs'), 200, 'without AuthzSendForbiddenOnFailure');
    is(enter($s, '/plain', 'nobody'), 401, 'who is refused is asked again, as httpd has it');
    is(enter($s, '/asked-user', 'carl', 'x-name' => 'CARL'), 200, 'one by an expression');
    is(enter($s, '/asked-user', 'carl', 'x-name' => 'babs'), 403, 'not another');
    is(enter($s, '/asked-user', 'carl'), 403, 'nobody by an empty one');
};
$s->expect_log(qr/AH01617: user babs: authentication failure/);

subtest 'groups' => sub {
    is(who_enters('/guides', @names), 'babs BABS', 'by name, without case');
    is(who_enters('/cafe', @names), 'babs BABS Straße STRASSE', 'by a name of other letters');
    is(who_enters('/outer', qw(babs carl dora)), 'carl dora', 'through other groups');
    add_member('Inner', $id{Outer});
    is(who_enters('/outer', qw(babs carl dora)), 'carl dora', 'round in a circle');
    is(enter($s, '/asked', 'babs', 'x-group' => 'tour guides'), 200, 'by an expression');
    is(enter($s, '/asked', 'babs', 'x-group' => 'Outer'), 403, 'that names another');
    is(enter($s, '/asked', 'babs', 'x-group' => "id:$id{'Tour Guides'}"), 403, 'that is no id, whatever it looks like');
    is(enter($s, '/asked', 'babs'), 403, 'that is empty');
    is(enter($s, '/asked-id', 'babs', 'x-group' => $id{'Tour Guides'}), 200, 'by id');
    is(enter($s, '/asked-id', 'babs', 'x-group' => $id{Outer}), 403, 'of another');
    is(enter($s, '/asked-id', 'babs', 'x-group' => $id{babs}), 403, 'of no group');
    is(enter($s, '/asked-id', 'babs', 'x-group' => 'Tour Guides'), 403, 'that is none');
};

subtest 'roles' => sub {
    is(who_enters('/member', qw(babs carl dora)), 'babs carl', 'by the group that gives it');
    is(who_enters('/admin', qw(babs carl dora)), 'dora', 'without case, any that is named');
    is(enter($s, '/asked-role', 'carl', 'x-role' => 'Member'), 200, 'by an expression');
    is(enter($s, '/asked-role', 'carl', 'x-role' => 'admin'), 403, 'that names another');
    is(enter($s, '/asked-role', 'carl'), 403, 'that is empty');
};

subtest 'in sections of mod_authz_core' => sub {
    is(who_enters('/all', qw(babs carl dora)), 'babs', 'RequireAll');
    is(who_enters('/either', qw(babs carl dora)), 'babs dora', 'either of two lines');
    is(who_enters('/not', qw(babs carl dora nobody)), 'carl dora', 'Require not');
    is(who_enters('/none', qw(babs carl dora Straße nobody)), 'dora Straße', 'RequireNone');
    is(enter($s, '/local', undef, 'x-name' => 'known'), 200, 'RequireAny, for whom another line lets in');
    is(enter($s, '/local', undef), 401, 'for whom none does');
    is(who_enters('/alias', qw(babs carl dora)), 'babs', 'AuthzProviderAlias');
    is(enter($s, '/local', 'dora'), 200, 'for whom this one does');
};

subtest 'in a directory, and in an .htaccess' => sub {
    my $inside = $s->dir . '/htdocs/inside';
    my $there = $s->dir . '/htdocs/there';
    mkdir $_ or die "$_: $!" for $inside, $there;
    for my $file ("$inside/page.txt", "$there/page.txt", "$there/.htaccess") {
        open my $out, '>', $file or die "$file: $!";
        print $out $file =~ /htaccess/
            ? "AuthType Basic\nAuthName There\nAuthBasicProvider file\nAuthUserFile htdocs/people\n"
                . "AuthzSendForbiddenOnFailure On\nRequire scim-group id:$id{Inner}\n"
            : "in\n";
        close $out or die "$file: $!";
    }
    is(who_enters('/inside', qw(babs carl nobody)), 'babs', 'in <Directory>');
    is(who_enters('/dir/inside', qw(babs carl nobody)), 'babs', 'by another URL');
    is(who_enters('/there', qw(babs carl nobody)), 'carl', 'in .htaccess, by id');
};

subtest 'a change counts for the next request' => sub {
    set_active($id{babs}, 0);
    is(who_enters('/any', qw(babs carl)), 'carl', 'disabled');
    is(who_enters('/not', 'babs'), '', 'nor by being in no group any more');
    is(enter($s, '/guides', 'babs'), 403, 'in no group');
    is(enter($s, '/not', 'babs'), 403, 'nor in none');
    set_active($id{babs}, 1);
    is(enter($s, '/guides', 'babs'), 200, 'enabled');
    changed($s, "/Groups/$id{'Tour Guides'}", ['replace', 'displayName', 'Leaders']);
    is(enter($s, '/guides', 'babs'), 403, 'its group has another name');
    changed($s, "/Users/$id{babs}", ['replace', 'userName', 'barbara']);
    is(enter($s, '/any', 'babs'), 403, 'it has another name itself');
    is($s->delete("/Groups/$id{Middle}")->status, 204, 'a group between goes');
    is(who_enters('/outer', qw(carl dora)), 'dora', 'and what led through it');
    is($s->delete("/Users/$id{dora}")->status, 204, 'a user goes');
    is(enter($s, '/any', 'dora'), 403, 'and comes in no more');
    ($id{dora}) = new_user('dora');
    is(enter($s, '/any', 'dora'), 200, 'its successor does');
    is(who_enters('/admin', 'dora'), '', 'and has none of its roles');
};

subtest 'a tenant that is suspended goes on' => sub {
    is(($s->scimctl(qw(tenant suspend default)))[0], 0, 'suspended');
    is($s->get('/Users')->status, 403, 'its identity provider is refused');
    is(enter($s, '/any', 'carl'), 200, 'its users are not');
    is(($s->scimctl(qw(tenant resume default)))[0], 0, 'resumed');
};

subtest 'a person who asks an endpoint is one' => sub {
    is($s->get($s->url('/people/Me'), as('carl'))->json->{id}, $id{carl}, 'let in as anywhere');
    is($s->get($s->url('/people/Me'), as('babs'))->status, 403, 'or refused');
};

subtest 'who asks by a token is no user' => sub {
    is($s->get($s->url('/wrong/Users'))->status, 401, 'and refused');
    new_user('test');
    is($s->get($s->url('/wrong/Users'))->status, 401, 'even if a user has the name of its connection');
};
$s->expect_log(qr/SCIM1407: .*the connection test, and no user: write Require valid-user/);

subtest 'the log says why' => sub {
    my @log = $s->error_log;
    ok((grep { /scim:info.*SCIM1405: no user of tenant default has the userName nobody/ } @log), 'nobody');
    ok((grep { /scim:info.*SCIM1402: user babs of tenant default is not active/ } @log), 'not active');
    enter($s, '/none', 'nobody');
    my @after = $s->error_log;
    is(scalar(grep { /SCIM14/ } @after[@log .. $#after]), 1, 'once for a request, however many lines ask');
};

$s->log_clean;

# --- every process -----------------------------------------------------------

# Each connection that is kept alive is one process's.
$s = Scim::Httpd->new(
    site_args(qw(babs)),
    mpm => 'prefork',
    children => 4,
    conf => $roles . site('/any', 'Require scim-user') . site('/member', 'Require scim-role member')
        . site('/admin', 'Require scim-role admin'),
);
refusals($s);
my @connections = map { HTTP::Tiny->new(keep_alive => 1, timeout => 60) } 1 .. 10;
my %as = as('babs');

# What all of them are answered, which must be the same.
sub everywhere
{
    my ($path) = @_;
    my $url = $s->url(page($path));
    my %got = map { $_->get($url, { headers => \%as })->{status} => 1 } @connections;
    return join ' ', sort keys %got;
}

subtest 'every process refuses at once' => sub {
    new_user('babs');
    new_group('Team', $id{babs});
    new_group('Administrators');
    is(everywhere('/any'), 200, 'a user comes in');
    cmp_ok(scalar(() = $s->children), '>=', 10, 'by a process of its own each time');
    for my $round (1 .. 3) {
        set_active($id{babs}, 0);
        is(everywhere('/any'), 403, 'disabled');
        set_active($id{babs}, 1);
        is(everywhere('/any'), 200, 'enabled');
    }
    is(everywhere('/member') . everywhere('/admin'), '200403', 'a member');
};

subtest 'a move between groups is a change of role' => sub {
    my $bulk = sub {
        my ($from, $to) = @_;
        my @operations = (
            { method => 'PATCH', path => "/Groups/$id{$from}", data => ops(['remove', qq{members[value eq "$id{babs}"]}]) },
            { method => 'PATCH', path => "/Groups/$id{$to}", data => ops(['add', 'members', [{ value => $id{babs} }]]) },
        );
        my $r = $s->post('/Bulk',
            { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => \@operations });
        return join ' ', map { $_->{status} } @{ $r->json->{Operations} };
    };
    like($bulk->('Team', 'Administrators'), qr/^20\d 20\d$/, 'in one request');
    is(everywhere('/member') . everywhere('/admin'), '403200', 'an administrator');
    like($bulk->('Administrators', 'Team'), qr/^20\d 20\d$/, 'and back');
    is(everywhere('/member') . everywhere('/admin'), '200403', 'a member');
    add_member('Administrators', $id{babs});
    is(everywhere('/member') . everywhere('/admin'), '200200', 'added here first');
    drop_member('Team', $id{babs});
    is(everywhere('/member') . everywhere('/admin'), '403200', 'then removed there');
    drop_member('Administrators', $id{babs});
    is(everywhere('/member') . everywhere('/admin'), '403403', 'removed first');
    is(everywhere('/any'), 200, 'it is a user all the same');
    add_member('Team', $id{babs});
    is(everywhere('/member') . everywhere('/admin'), '200403', 'then added');
    is($s->delete("/Users/$id{babs}")->status, 204, 'deleted');
    is(everywhere('/any') . everywhere('/member'), '403403', 'it is nobody');
};
$s->log_clean;

# --- who r->user is ----------------------------------------------------------

$s = Scim::Httpd->new(
    site_args('carl'),
    conf => example_conf()
        . example_site('/by-name', 'SCIMUserAttribute userName', 'Require scim-user')
        . example_site('/by-mail', 'SCIMUserAttribute emails.value', 'Require scim-user')
        . example_site('/by-external', 'SCIMUserAttribute externalId', 'Require scim-user')
        . example_site('/by-id', 'SCIMUserAttribute id', 'Require scim-user')
        . example_site('/named', 'SCIMUserAttribute emails.value', 'Require scim-user Babs')
        . example_site('/grouped', 'SCIMUserAttribute id', 'Require scim-group Guides')
        . example_site('/other', 'SCIMTenant other', 'Require scim-user')
        . example_site('/asked', 'SCIMTenant "%{HTTP:X-Tenant}"', 'Require scim-user')
        . qq{AliasMatch "^/of/[^/]+/page[.]txt\$" htdocs/page.txt\n<LocationMatch "^/of/(?<TENANT>[^/]+)/">\n}
        . qq{AuthType Example\nAuthName Of\nAuthzSendForbiddenOnFailure On\n}
        . qq{SCIMTenant "%{env:MATCH_TENANT}"\nRequire scim-user\n</LocationMatch>\n},
);
refusals($s);
$s->scimctl(qw(tenant create other));
my %other = (authorization => 'Bearer ' . $s->new_token(tenant => 'other', connection => 'okta'));
new_user('babs', externalId => 'Ext-1', emails => [{ value => 'Babs@example.com', type => 'work' }]);
new_group('Guides', $id{babs});
my $olga = made($s, '/Users', user('olga'), %other)->{id};

subtest 'SCIMUserAttribute' => sub {
    my %good = (name => 'BABS', mail => 'BABS@Example.com', external => 'Ext-1', id => $id{babs});
    for my $by (sort keys %good) {
        is(enter($s, "/by-$by", $good{$by}), 200, "by $by: who it is");
        for my $other (grep { $_ ne $by } sort keys %good) {
            is(enter($s, "/by-$by", $good{$other}), 403, "by $by: not by $other");
        }
    }
    is(enter($s, '/by-external', 'ext-1'), 403, 'an externalId is compared with case');
    is(enter($s, '/by-id', uc $id{babs}), 403, 'so is an id');
    is(enter($s, '/named', 'babs@example.com'), 200, 'Require scim-user names a userName');
    changed($s, "/Users/$id{babs}", ['replace', 'userName', 'barbara']);
    is(enter($s, '/named', 'babs@example.com'), 403, 'of now');
    is(enter($s, '/grouped', $id{babs}), 200, 'a group of one that is known by id');
};

subtest 'an address that two have lets neither in' => sub {
    new_user('twin', active => \0, emails => [{ value => 'babs@EXAMPLE.com' }]);
    is(enter($s, '/by-mail', 'babs@example.com'), 403, 'refused');
    is(enter($s, '/by-name', 'barbara'), 200, 'by its name it comes in');
    $s->expect_log(qr/scim:warn.*SCIM1401: more than one user of tenant default has the emails\.value/);
    $s->delete("/Users/$id{twin}");
    is(enter($s, '/by-mail', 'babs@example.com'), 200, 'until one is gone');
};

subtest 'SCIMTenant' => sub {
    $s->expect_log(qr/scim:warn.*SCIM1314: SCIMTenant other at line/); # it was made later
    is(enter($s, '/by-name', 'olga'), 403, 'a user of another tenant is none of this');
    is(enter($s, '/other', 'olga'), 200, 'but of its own');
    is(enter($s, '/other', 'barbara'), 403, 'and none of this is one of that');
    is(enter($s, '/asked', 'olga', 'x-tenant' => 'other'), 200, 'by an expression');
    is(enter($s, '/asked', 'olga', 'x-tenant' => 'default'), 403, 'that names another');
    is(enter($s, '/asked', 'olga', 'x-tenant' => 'nowhere'), 403, 'that is unknown');
    is(enter($s, '/asked', 'olga', 'x-tenant' => '../other'), 403, 'that is no name');
    is(enter($s, '/asked', 'olga'), 403, 'that is empty');
    is(enter($s, '/of/other', 'olga'), 200, 'by what a LocationMatch found');
    is(enter($s, '/of/default', 'olga'), 403, 'in another tenant');
    is(enter($s, '/of/nowhere', 'olga'), 403, 'in none');
    ok($s->wait_log(qr/scim:info.*SCIM1404: there is no tenant "nowhere": user olga/), 'the log says that there is none');
};
$s->log_clean;

# --- groups that nobody knows ------------------------------------------------

$s = Scim::Httpd->new(
    site_args('babs'),
    conf => "$roles\nSCIMCustomGroups ignore\n"
        . site('/custom', 'Require scim-group Custom')
        . site('/team', 'Require scim-group Team')
        . site('/around', 'Require scim-group Administrators')
        . site('/any', 'Require scim-user'),
);
refusals($s);
subtest 'SCIMCustomGroups ignore: they have no effect' => sub {
    new_user('babs');
    new_group('Custom', $id{babs});
    new_group('Team', $id{babs});
    new_group('Administrators', $id{Custom});
    is(enter($s, '/custom', 'babs'), 403, 'not by themselves');
    is(enter($s, '/around', 'babs'), 403, 'nor is there a way through them');
    is(enter($s, '/team', 'babs'), 200, 'the others have theirs');
    $s->write_conf(conf => $s->{conf} =~ s/ignore/accept/r);
    $s->graceful;
    is(enter($s, '/custom', 'babs') . enter($s, '/around', 'babs'), '200200', 'accepted, they have theirs too');
};

subtest 'a store that cannot be read lets nobody in' => sub {
    $s->spoil_store;
    $s->graceful;
    is(enter($s, '/any', 'babs'), 500, 'not even who is known');
    is(enter($s, '/any', undef), 401, 'nobody is asked for a name first');
    is($s->get($s->url('/hello.txt'))->status, 200, 'the rest of the server goes on');
    $s->expect_log(qr/SCIM1302: .*the server goes on/, qr/SCIM1303: /, qr/scim:error.*SCIM1403: who a user is cannot be read/);
    $s->mend_store;
    $s->graceful;
    is(enter($s, '/any', 'babs'), 200, 'until it is back');
};
$s->log_clean;

# --- the configuration -------------------------------------------------------

sub refused
{
    my ($name, $line, @says) = @_;
    my ($code, $output) = Scim::Httpd->configtest(conf => "<Location /x>\n$line\n</Location>\n");
    my @missing = grep { index($output, $_) < 0 } @says;
    return ok($code != 0 && !@missing, $name) || diag("exit code $code, not said: @missing\n$output");
}

subtest 'what is wrong is told by configtest' => sub {
    refused('no group', 'Require scim-group', 'Syntax error on line', 'Require scim-group: name a group');
    refused('no role', 'Require scim-role', 'Require scim-role: name a role');
    refused('an empty name', 'Require scim-group A ""', '"" names nobody');
    refused('an empty user', 'Require scim-user ""', '"" names nobody');
    refused('a name in Latin-1', qq(Require not scim-group "F\xfchrung"), 'is not UTF-8');
    refused('no id', 'Require scim-group id:123', '"id:123" is not the id of a group', 'lower case');
    refused('an id in upper case', 'Require scim-group id:0197A1B2-C3D4-7E5F-8A6B-0123456789AB', 'is not the id of a group');
    refused('no name of a role', 'Require scim-role "a b"', '"a b" is not the name of a role');
    refused('a broken expression', 'Require scim-group "%{HTTP:X"', 'Require scim-group', 'is no expression');
    refused('a wrong SCIMUserAttribute', 'SCIMUserAttribute mail', 'userName, externalId, emails.value or id');
};

done_testing();
