#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# SCIMExport: what applications are told of a user, and of nobody else.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;

my %variable = (
    id => 'SCIM_ID', user => 'SCIM_USERNAME', name => 'SCIM_DISPLAYNAME', mail => 'SCIM_EMAIL',
    groups => 'SCIM_GROUPS', roles => 'SCIM_ROLES', role => 'SCIM_ROLE',
);
# An application that a proxy stands before: it answers with the headers that it was sent.
my $backend = Scim::Httpd->new(conf => 'Header echo "^X-App-"');

sub proxied
{
    my ($path, @directives) = @_;
    my @headers = map { qq{RequestHeader set X-App-$_ "%{$variable{$_}}e" env=$variable{$_}} } sort keys %variable;
    return site($path, 'ProxyPass "' . $backend->url('/hello.txt') . '"', @headers, @directives);
}

my %args = site_args(qw(babs carl dora nobody));
$args{files}{'cgi/env'} = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv | grep '^SCIM_' | sort\n";
$args{files}{'ssi/whole.shtml'} = qq{[<!--#echo var="SCIM_ROLES" -->] <!--#include virtual="part.shtml" -->\n};
$args{files}{'ssi/part.shtml'} = qq{(<!--#echo var="SCIM_ROLES" -->)\n};
my $mpm = $ENV{SCIM_MPM} || 'event';
my $s = Scim::Httpd->new(
    %args,
    modules => [@{ $args{modules} }, qw(proxy proxy_http rewrite include), $mpm eq 'prefork' ? 'cgi' : 'cgid'],
    start => 0,
    conf => <<'EOT'
SCIMRole admin "Administrators*"
SCIMRole member "Team*" Staff
ScriptAlias "/cgi" htdocs/cgi
AddOutputFilter INCLUDES .shtml
SetEnvIf X-Forge "(.+)" SCIM_ID=$1 SCIM_USERNAME=$1 SCIM_DISPLAYNAME=$1 SCIM_EMAIL=$1 SCIM_GROUPS=$1 SCIM_ROLES=$1 SCIM_ROLE=$1
LogFormat "%U %u %{SCIM_ROLE}e" roles
CustomLog roles.log roles
EOT
        . proxied('/app', 'SCIMExport On', 'Require scim-user')
        . proxied('/open', 'SCIMExport On', 'Require valid-user')
        . proxied('/off', 'Require scim-user')
        . proxied('/off/again', 'SCIMExport On', 'Require scim-user')
        . proxied('/other', 'SCIMExport On', 'SCIMTenant other', 'Require valid-user')
        . site('/cgi', 'SCIMExport On', 'Require scim-user')
        . site('/ssi', 'SCIMExport On', 'Require scim-user', 'Options +Includes', 'RewriteEngine On',
            'RewriteRule old$ /ssi/whole.shtml [L]')
        . site('/rules', 'SCIMExport On', 'Require scim-user', 'RewriteEngine On',
            'RewriteCond "%{ENV:SCIM_ROLE}" "=admin"', 'RewriteRule ^ /for-admins [R=302,L]')
        . "<Location /scim/v2>\nSCIMExport On\n</Location>\n",
);
chmod 0755, $s->dir . '/htdocs/cgi/env' or die "cgi/env: $!\n";
$s->start;
refusals($s);

sub ask
{
    my ($path, $name, %headers) = @_;
    return $s->get($s->url($path), as($name), %headers);
}

# What the application was told, by the names of the headers.
sub told
{
    my ($path, $name, %headers) = @_;
    my $r = ask($path, $name, %headers);
    die "$path: " . $r->status . "\n" if $r->status != 200;
    my %got = map { defined $r->header("x-app-$_") ? ($_ => $r->header("x-app-$_")) : () } keys %variable;
    return \%got;
}

sub roles_log
{
    open my $in, '<', $s->dir . '/roles.log' or die "roles.log: $!\n";
    local $/;
    return scalar <$in>;
}

my %id = map { $_->{userName} => $_->{id} } (
    made($s, '/Users', user('Babs', displayName => 'Babs Jensén',
        emails => [{ value => 'b@example.com' }, { value => 'babs@example.com', primary => \1 }])),
    made($s, '/Users', user('carl')),
    made($s, '/Users', user('dora', displayName => "Dora\tthe\nsecond")),
);
made($s, '/Groups', group('Team North', $id{Babs}));
my $inner = made($s, '/Groups', group('50%, or more', $id{Babs}, $id{dora}));
my $admins = made($s, '/Groups', group('Administrators', $inner->{id}));

subtest 'an application behind a proxy' => sub {
    my $name = 'Babs Jensén';
    utf8::encode($name);
    is_deeply(told('/app', 'babs'), {
        id => $id{Babs}, user => 'Babs', name => $name, mail => 'babs@example.com',
        groups => 'Team North,50%25%2C or more,Administrators', roles => 'admin,member', role => 'admin',
    }, 'is told all there is');
    is_deeply(told('/app', 'carl'), { id => $id{carl}, user => 'carl', groups => '', roles => '' }, 'and no more than there is');
    is(told('/app', 'dora')->{name}, 'Dora the second', 'control characters are blanks');
    is_deeply(told('/off', 'babs'), {}, 'nothing without SCIMExport');
    is(told('/off/again', 'babs')->{role}, 'admin', 'but in a section within');
};

subtest 'what a client says counts for nothing' => sub {
    is_deeply(told('/app', 'carl', 'x-forge' => 'root'), { id => $id{carl}, user => 'carl', groups => '', roles => '' }, 'of a user');
    is_deeply(told('/open', 'nobody', 'x-forge' => 'root'), {}, 'of nobody');
    is(told('/off', 'carl', 'x-forge' => 'root')->{role}, 'root', 'which it would otherwise');
};

subtest 'nobody is told of' => sub {
    is_deeply(told('/open', 'nobody'), {}, 'who is unknown');
    is_deeply(told('/other', 'babs'), {}, 'who is unknown in the tenant');
    changed($s, "/Users/$id{Babs}", ['replace', 'active', \0]);
    is_deeply(told('/open', 'babs'), {}, 'who is not active');
    is(ask('/app', 'babs')->status, 403, 'nor let in');
    changed($s, "/Users/$id{Babs}", ['replace', 'active', \1]);
    is(told('/open', 'babs')->{role}, 'admin', 'but at the next request after');
};

subtest 'names that a list cannot hold' => sub {
    changed($s, "/Groups/$inner->{id}", ['replace', 'displayName', "a,b%c\nd\te\x7f"]);
    is(told('/app', 'dora')->{groups}, 'a%2Cb%25c%0Ad%09e%7F,Administrators', 'are escaped');
};

subtest 'CGI' => sub {
    is(ask('/cgi/env', 'dora', 'x-forge' => 'root')->content, <<"EOT", 'has them in its environment');
SCIM_DISPLAYNAME=Dora the second
SCIM_GROUPS=a%2Cb%25c%0Ad%09e%7F,Administrators
SCIM_ID=$id{dora}
SCIM_ROLE=admin
SCIM_ROLES=admin
SCIM_USERNAME=dora
EOT
};

subtest 'rules, and requests within requests' => sub {
    is(ask('/rules/page.txt', 'babs')->header('location'), $s->url('/for-admins'), 'mod_rewrite sees the role');
    is(ask('/rules/page.txt', 'carl')->status, 200, 'and of others none');
    is(ask('/ssi/whole.shtml', 'babs')->content, "[admin,member] (admin,member)\n\n", 'subrequests have them');
    is(ask('/ssi/old', 'babs')->content, "[admin,member] (admin,member)\n\n", 'and what is redirected internally');
};

subtest 'the log' => sub {
    like(roles_log(), qr{^/app babs admin$}m, 'has the role');
    like(roles_log(), qr{^/app carl -$}m, 'or none');
};

subtest 'a connection is no user' => sub {
    made($s, '/Users', user('test'));
    is($s->get('/Users', 'x-forge' => 'root')->status, 200, 'its endpoint answers');
    like(roles_log(), qr{^/scim/v2/Users test -\n\z}m, 'and exports nothing');
};

subtest 'a store that cannot be read' => sub {
    $s->spoil_store;
    $s->graceful;
    is_deeply(told('/open', 'babs', 'x-forge' => 'root'), {}, 'tells of nobody');
    # It was made later.
    $s->expect_log(qr/SCIM1314: SCIMTenant other at line/);
    $s->expect_log(qr/SCIM1302: /, qr/SCIM1303: /, qr/scim:error.*SCIM1403: who a user is cannot be read/);
};

$_->log_clean for $s, $backend;
done_testing();
