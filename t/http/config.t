#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The configuration: what is wrong in it is told before anything starts, and
# what is right in it holds where it stands.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;

# httpd -t must fail, naming the directive and saying all of this.
sub refused
{
    my ($name, $where, $text, @says) = @_;
    my ($code, $output) = Scim::Httpd->configtest($where => "$text\n");
    my @missing = grep { index($output, $_) < 0 } @says, 'Syntax error on line';
    return ok($code != 0 && !@missing, $name) || diag("exit code $code, not said: @missing\n$output");
}

sub accepted
{
    my ($name, %where) = @_;
    my ($code, $output) = Scim::Httpd->configtest(%where);
    return is($code, 0, $name) || diag($output);
}

subtest 'a wrong value names the directive and what it may be' => sub {
    my @flag = ('On or Off');
    my @size = ('a size of at least', 'with k, m, g or t behind it');
    my @server = (
        ['SCIMStore', 'store', 'lmdb:/path/of/a/directory'],
        ['SCIMStore', 'sqlite:/x', 'lmdb:/path/of/a/directory'],
        ['SCIMStore', 'lmdb:', 'lmdb:/path/of/a/directory'],
        ['SCIMStore', 'lmdb:/', 'lmdb:/path/of/a/directory'],
        (map { ['SCIMStoreSize', $_, @size] } 'large', '10', '-1g', '64gb', '1.5g', '99999999999g'),
        (map { ['SCIMWriteTimeout', $_, 'a time', 'ms, s, min or h'] } 'long', '0', '-1', '10q'),
        (map { ['SCIMScanLimit', $_, 'a whole number of at least 0'] } 'many', '-1', '1.5', '10k'),
        (map { ['SCIMReadOnly', $_, @flag] } 'maybe', '1'),
        ['SCIMUniqueGroupNames', 'yes', @flag],
        ['SCIMDanglingReferences', 'maybe', 'refuse or allow'],
        (map { ['SCIMRole', $_, 'is not the name of a role'] } 'a b" "x', 'a/b" "x', 'x' x 65 . '" "x'),
        (map { ['SCIMRole', qq(admin" "$_), 'the name of a group, or its beginning with a * behind it'] } '*', '**', 'a*b', 'x' x 201),
        ['SCIMRole', 'admin', 'name a role, and the groups that give it'],
        (map { ['SCIMRole', qq(admin" $_), 'the name of a group, or its beginning with a * behind it'] } '"" x "y', 'x "" "y'),
        ['SCIMRole', 'admin" Staff "STAFF', '"STAFF" gives the role admin already'],
        ['SCIMRole', "admin\" \"F\xfchrung*", 'is not UTF-8'],
        (map { ['SCIMCustomGroups', $_, 'accept, ignore or refuse'] } 'On', 'reject'),
        (map { ['SCIMOnGroupDelete', $_, 'keep, deactivate or delete'] } 'Off', 'disable'),
        (map { ['SCIMDeleteLimit', $_, 'Off, nor a number of users in an hour (500/h), at most 1000000'] } '500', '0/h', '-1/h', '500/d', '500/hour', '1000001/h'),
        ['SCIMPasswordSync', 'bcrypt', @flag],
        ['SCIMAuditLog', '|', 'a file, nor a | with a program behind it'],
    );
    my @location = (
        ['SCIMEngine', 'perhaps', @flag],
        (map { ['SCIMBaseURL', $_, 'a URL (https://host/path)'] } 'scim.example.com', '/scim', 'ftp://x', 'https://x/?y', 'https://x y', 'https://', 'https:///x'),
        (map { ['SCIMTenant', $_, 'the name of a tenant'] } 'a b', 'a/b', 'x' x 65),
        ['SCIMTenant', '%{nothing', 'cannot parse expression'],
        ['SCIMProfile', 'strict', 'rfc or interop'],
        ['SCIMGroupPatchReturn', 'full', 'minimal or representation'],
        (map { ['SCIMDefaultPageSize', $_, 'a whole number of at least 1'] } '0', '-1', 'x', '1k'),
        (map { ['SCIMMaxPageSize', $_, 'a whole number of at least 1'] } '0', 'x'),
        (map { ['SCIMMaxBody', $_, @size] } '0', '100', '8mb', 'x'),
        ['SCIMRequireTLS', 'sometimes', 'On, Off or expr='],
        ['SCIMRequireTLS', 'expr=((', 'cannot parse expression'],
    );
    refused("$_->[0] \"$_->[1]\"", 'conf', qq($_->[0] "$_->[1]"), @$_[0, 2 .. $#$_]) for @server;
    refused("$_->[0] \"$_->[1]\"", 'location', qq($_->[0] "$_->[1]"), @$_[0, 2 .. $#$_]) for @location;
    refused('SCIMTenant "a b" of the server', 'conf', 'SCIMTenant "a b"', 'SCIMTenant', 'the name of a tenant');
};

subtest 'a directive in the wrong place is told where it belongs' => sub {
    my @belongs = ('SCIMEngine', '<Location> or <LocationMatch>');
    refused('SCIMEngine at server level', 'conf', 'SCIMEngine On', 'SCIMEngine', 'not allowed outside of sections');
    refused('SCIMEngine in a Directory', 'conf', "<Directory /tmp>\nSCIMEngine On\n</Directory>", @belongs);
    refused('SCIMEngine in Files', 'conf', "<Files x>\nSCIMEngine On\n</Files>", @belongs);
    refused('SCIMEngine in an If', 'location', "<If \"true\">\nSCIMEngine On\n</If>", @belongs);
    refused('SCIMEngine in a Limit', 'location', "<Limit GET>\nSCIMEngine On\n</Limit>", 'SCIMEngine');
    refused('SCIMBasePath in a Location', 'location', 'SCIMBasePath /x', 'SCIMBasePath', 'belongs in a <LocationMatch>');
    refused('SCIMBasePath that is relative', 'conf', "<LocationMatch ^/x>\nSCIMEngine On\nSCIMBasePath x\n</LocationMatch>",
        'SCIMBasePath', 'a path that begins with /');
    refused('SCIMProfile at server level', 'conf', 'SCIMProfile rfc', 'SCIMProfile', 'not allowed outside of sections');
    refused('SCIMStore in a Location', 'location', 'SCIMStore lmdb:/x', 'SCIMStore', 'not allowed');
    refused('a tenant that cannot be', 'conf', "<SCIMTenantPolicy \"a b\">\n</SCIMTenantPolicy>",
        'SCIMTenantPolicy', 'is not the name of a tenant');
    refused('a policy in a policy', 'conf',
        "<SCIMTenantPolicy a>\n<SCIMTenantPolicy b>\n</SCIMTenantPolicy>\n</SCIMTenantPolicy>", '<SCIMTenantPolicy> cannot stand in <SCIMTenantPolicy>');
    refused("$_ in a policy", 'conf', "<SCIMTenantPolicy a>\nSCIMUniqueGroupNames Off\n$_\n</SCIMTenantPolicy>", (split / /)[0]
            . ' cannot stand in <SCIMTenantPolicy>; it holds SCIMRole, SCIMCustomGroups, SCIMOnGroupDelete, SCIMDeleteLimit, SCIMPasswordSync, SCIMUniqueGroupNames and SCIMDanglingReferences', 'Syntax error on line')
        for 'SCIMReadOnly On', 'SCIMTenant a', 'ServerAdmin x';
    refused('a policy of two tenants', 'conf', "<SCIMTenantPolicy a b>\n</SCIMTenantPolicy>", 'SCIMTenantPolicy', '"b" stands behind the name');
    refused('SCIMEngine at a path without a slash', 'conf', endpoint('scim/v3'), 'SCIMEngine', '<Location "scim/v3"> must begin with /');
    refused('SCIMEngine at a path with one at its end', 'conf', endpoint('/scim/v3/'), 'SCIMEngine',
        '<Location "/scim/v3/"> without the slash at the end');
    accepted('SCIMEngine at the root', conf => endpoint('/'));
    refused('a policy without an end', 'conf', '<SCIMTenantPolicy a', 'SCIMTenantPolicy', 'was not closed');
    refused('a policy in a Location', 'location', "<SCIMTenantPolicy a>\n</SCIMTenantPolicy>", 'SCIMTenantPolicy', 'not allowed');
    refused('a word too many', 'conf', 'SCIMReadOnly On Off', 'SCIMReadOnly', 'takes one argument');
};

# The server of the tests, but for its store.
package Storeless {
    our @ISA = ('Scim::Httpd');

    sub _write_httpd_conf
    {
        my ($self) = @_;
        $self->SUPER::_write_httpd_conf;
        my $path = $self->dir . '/httpd.conf';
        open my $in, '<', $path or die "$path: $!\n";
        my @lines = grep { !/^SCIMStore / } <$in>;
        open my $out, '>', $path or die "$path: $!\n";
        print $out @lines;
        close $out;
    }
}

subtest 'an endpoint needs a store' => sub {
    my ($code, $output) = Storeless->configtest;
    isnt($code, 0, 'without SCIMStore');
    like($output, qr/SCIM1301: SCIMEngine On at line \d+ of \S+ needs a store: add "SCIMStore lmdb:/, 'the remedy and the line');
    ($code) = Storeless->configtest(locations => '');
    is($code, 0, 'no endpoint, no store');
};

subtest 'so does what asks for users' => sub {
    my $told = sub {
        my ($line, $conf) = @_;
        my ($code, $output) = Storeless->configtest(locations => '', conf => $conf);
        isnt($code, 0, $line);
        like($output, qr/SCIM1309: \Q$line\E at line \d+ of \S+ needs a store: add "SCIMStore lmdb:/, 'the remedy and the line');
    };
    $told->("Require $_", "<Location /x>\nRequire $_ a\n</Location>") for qw(scim-user scim-group scim-role);
    $told->('Require scim-user', "<Directory />\n<RequireAny>\nRequire scim-user\n</RequireAny>\n</Directory>");
    $told->('SCIMExport On', "<Location /x>\nSCIMExport On\n</Location>");
    $told->('Require scim-role', "<VirtualHost *>\nServerName x\n<Location /x>\nRequire scim-role a\n</Location>\n</VirtualHost>");
    my ($code) = Storeless->configtest(locations => '', conf => "SCIMExport Off\nSCIMUserAttribute id\n");
    is($code, 0, 'what asks for nothing needs none');
    ($code) = Storeless->configtest(
        locations => '',
        conf => "<VirtualHost *>\nServerName x\n SCIMStore /x/y\n<Location /x>\nRequire scim-role a\n</Location>\n</VirtualHost>",
    );
    is($code, 0, 'one in the virtual host is enough for what stands there');
};

subtest 'an .htaccess that asks for users where there is no store' => sub {
    my %people = site_args('babs');
    my $htaccess = "AuthType Basic\nAuthName x\nAuthBasicProvider file\nAuthUserFile htdocs/people\nRequire scim-user\n";
    my $s = Storeless->new(%people, locations => '', files => { %{ $people{files} }, 'in/.htaccess' => $htaccess, 'in/page.txt' => "in\n" });
    is(enter($s, '/in', 'babs'), 500, 'lets nobody in');
    $s->expect_log(qr/scim:error.*SCIM1403: who a user is cannot be read from the store: there is no SCIMStore for this server/);
    $s->log_clean;
};

subtest 'servers that share a store open it alike' => sub {
    my $both = sub {
        my ($line) = @_;
        return Scim::Httpd->configtest(conf => "<VirtualHost *>\n$line\n</VirtualHost>\n");
    };
    for my $case (['SCIMStoreSize 1m', 'not set', '1048576'], ['SCIMWriteTimeout 20', '10000ms', '20000ms'],
        ['SCIMScanLimit 10', '1000000', '10'], ['SCIMReadOnly On', 'Off', 'On'])
    {
        my ($line, $server, $host) = @$case;
        my ($name) = split / /, $line;
        my ($code, $output) = $both->($line);
        ok($code != 0, $line);
        like($output, qr/SCIM1306: $name is $server at server level but $host in the virtual host at line \d+ of \S+, .*: set it once, at server level/,
            "$name: both values and the remedy");
    }
    my ($code) = $both->('SCIMWriteTimeout 10s');
    is($code, 0, 'the same value in other words');
    ($code) = $both->("SCIMStore lmdb:/elsewhere\nSCIMReadOnly On");
    is($code, 0, 'a store of its own');
};

subtest 'servers that share a store have one policy' => sub {
    my $both = sub {
        my ($server, $host) = @_;
        return Scim::Httpd->configtest(conf => "$server\n<VirtualHost *>\n$host\n</VirtualHost>\n");
    };
    my $section = sub { return "<SCIMTenantPolicy acme>\n$_[0]\n</SCIMTenantPolicy>" };
    for my $line ('SCIMRole a x', 'SCIMCustomGroups refuse', 'SCIMOnGroupDelete delete', 'SCIMDeleteLimit 5/h',
        'SCIMPasswordSync On', 'SCIMUniqueGroupNames Off', 'SCIMDanglingReferences allow')
    {
        my ($code, $output) = $both->('', $line);
        isnt($code, 0, "$line in a virtual host would not count");
        like($output, qr/SCIM1310: .* policy say in the virtual host at line \d+ of \S+ is not what they say at server level, .*: set it once, at server level/,
            'and it is said where it does');
        ($code, $output) = $both->('', $section->($line));
        isnt($code, 0, "nor in a section of it");
        like($output, qr/SCIM1310: .* policy say of tenant acme in the virtual host/, 'and for whom it stands there');
        ($code) = $both->("$line\n" . $section->($line), '');
        is($code, 0, 'at server level it is right');
        ($code) = $both->($line, "SCIMStore lmdb:/elsewhere\n$line\n");
        is($code, 0, 'and of a store of its own');
    }
    my ($code) = $both->("SCIMRole a x\n" . $section->('SCIMRole b y*'), "SCIMRole a X\n" . $section->('SCIMRole b y*'));
    isnt($code, 0, 'another pattern is another policy');
    ($code) = $both->("SCIMRole a x\n" . $section->('SCIMRole b y*'), "SCIMRole a x\n" . $section->('SCIMRole b y*'));
    is($code, 0, 'the same one twice is none');
};

subtest 'what is right is accepted, and no file is touched' => sub {
    my $dir = tempdir(CLEANUP => 1);
    accepted('all of the server',
        conf => <<"EOT",
SCIMStore lmdb:$dir/store
SCIMStoreSize 1G
SCIMWriteTimeout 500ms
SCIMScanLimit 0
SCIMReadOnly off
SCIMUniqueGroupNames ON
SCIMDanglingReferences Allow
SCIMTenant default
<SCIMTenantPolicy acme>
    SCIMUniqueGroupNames Off
    SCIMDanglingReferences refuse
</SCIMTenantPolicy>
EOT
        location => <<'EOT');
SCIMBaseURL https://scim.example.com:8443/people/
SCIMTenant "%{HTTP:X-Tenant}"
SCIMProfile RFC
SCIMGroupPatchReturn Representation
SCIMDefaultPageSize 1
SCIMMaxPageSize 10000
SCIMMaxBody 64K
SCIMRequireTLS "expr=%{HTTPS} == 'on'"
EOT
    ok(!-e "$dir/store", 'the store is not made by httpd -t');
    accepted('a path alone', conf => "SCIMStore $dir/store");
};

subtest 'a start without its store is refused' => sub {
    my $dir = tempdir(CLEANUP => 1);
    chmod 0755, $dir;
    my $start = sub {
        my ($store) = @_;
        my $s = Scim::Httpd->new(start => 0, conf => "SCIMStore lmdb:$store");
        eval { $s->start; $s->stop };
        return $@;
    };
    like($start->("$dir/a/b"), qr{SCIM1302: SCIMStore lmdb:\Q$dir\E/a/b: user .* cannot make the directory}, 'no directory for it');
    mkdir "$dir/garbage";
    open my $out, '>', "$dir/garbage/data.mdb" or die;
    print $out "garbage\n" x 4096;
    close $out;
    chmod 0777, "$dir/garbage";
    chmod 0666, "$dir/garbage/data.mdb";
    like($start->("$dir/garbage"), qr{SCIM1302: SCIMStore lmdb:\Q$dir\E/garbage: \S}, 'something else in its place');
};

# The first of its two readings of the configuration is what a terminal sees.
subtest 'whoever starts the server is told that it was refused' => sub {
    lmdb_only('a directory that cannot be made');
    plan(skip_all => 'a sanitizer needs a start of its own') if $ENV{SCIM_SAN};
    my $apxs = $ENV{APXS} || (grep { -x } map { ("$_/apxs2", "$_/apxs") } split /:/, $ENV{PATH})[0];
    chomp(my $httpd = join '/', map { my $part = `$apxs -q $_`; chomp $part; $part } qw(SBINDIR PROGNAME));
    my $s = Scim::Httpd->new(start => 0);
    $s->write_conf(store => $s->dir . '/a/b');
    isnt(system($httpd, '-d', $s->dir, '-f', $s->dir . '/httpd.conf', '-k', 'start'), 0, 'the exit code');
    is(scalar(grep { /SCIM1302: .*cannot make the directory/ } $s->error_log), 1, 'the log says why, once');
    ok(!-e $s->dir . '/run/httpd.pid', 'nothing runs');
};

my @here = ('SCIMEngine On', 'SCIMBasePath /x', 'SCIMBaseURL https://x', 'SCIMTenant x', 'SCIMProfile rfc', 'SCIMGroupPatchReturn minimal',
    'SCIMDefaultPageSize 1', 'SCIMMaxPageSize 1', 'SCIMMaxBody 1m', 'SCIMRequireTLS Off', 'SCIMStore lmdb:/x', 'SCIMReadOnly On');

my $s = Scim::Httpd->new(
    location => "SCIMMaxPageSize 5\nSCIMProfile rfc",
    conf => "<Location \"/scim/v2/Users\">\nSCIMDefaultPageSize 2\n</Location>\n"
        . endpoint('/switched')
        . "<Location \"/switched/Groups\">\nSCIMEngine Off\nAuthType None\nRequire all granted\n</Location>\n",
    files => { map { ("in$_/.htaccess" => "$here[$_]\n", "in$_/x.txt" => "x\n") } 0 .. $#here },
);
made($s, '/Users', user("user$_")) for 1 .. 3;

subtest 'no directive is for .htaccess' => sub {
    for my $i (0 .. $#here) {
        my ($name) = split / /, $here[$i];
        is($s->get($s->url("/in$i/x.txt"))->status, 500, $here[$i]);
        $s->expect_log(qr/\.htaccess: $name not allowed here/);
    }
};

subtest 'sections are merged, and what is not set is not off' => sub {
    my $list = $s->get('/Users')->json;
    is($list->{itemsPerPage}, 2, 'what the inner section sets');
    is($list->{Resources}[0]{meta}{location}, $s->base . "/Users/$list->{Resources}[0]{id}", 'the base is that of the endpoint');
    is($s->get('/ServiceProviderConfig')->json->{pagination}{maxPageSize}, 5, 'what the outer section sets');
    is_error($s->post('/Users', user('x', foo => 1)), 400, 'invalidSyntax', 'it holds in the inner one, too');
    is($s->get($s->url('/switched/Users'))->status, 200, 'beside one that is switched off');
    is($s->get($s->url('/switched/Groups'))->status, 404, 'SCIMEngine Off');
};

subtest 'SCIMReadOnly leaves what is there to be read' => sub {
    my $path = '/Users/' . $s->get('/Users')->json->{Resources}[0]{id};
    $s->write_conf(conf => 'SCIMReadOnly On', location => '');
    ok($s->graceful, 'restarted');
    is($s->get($path)->status, 200, 'GET');
    my @changes = (['POST', '/Users', user('x')], ['PUT', $path, user('x')], ['PATCH', $path, ops(['add', 'title', 'x'])],
        ['DELETE', $path]);
    for my $request (@changes) {
        my ($method, $url, $body) = @$request;
        my $r = $s->request($method, $url, $body);
        is_error($r, 503, undef, $method);
        like($r->header('retry-after') // '', qr/^\d+$/, "$method: Retry-After");
    }
    is($s->get('/Users')->json->{totalResults}, 3, 'nothing has changed');
};

subtest 'C-029 a virtual host has endpoints and names of its own' => sub {
    $s->write_conf(locations => '', conf => "<VirtualHost *>\nServerName people.example:8080\nSCIMTenant default\n"
            . endpoint('/people/v2') . "</VirtualHost>\n<VirtualHost *>\nServerName none.example\n</VirtualHost>\n");
    ok($s->graceful, 'restarted');
    my $url = $s->url('/people/v2/Users');
    my $one = $s->get($url, host => 'people.example')->json->{Resources}[0];
    is($one->{meta}{location}, "http://people.example:8080/people/v2/Users/$one->{id}", 'its name');
    is($s->get($url, host => 'none.example')->status, 404, 'another has none');
};

$s->log_clean;
done_testing();
