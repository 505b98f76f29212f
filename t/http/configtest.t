#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# "apachectl configtest": of each wrong configuration it says the file and the line,
# the word that is wrong, and what to write instead; and it touches no file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA ();
use File::Find ();
use File::Temp ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

my $temp = File::Temp->newdir('scim-configtest-XXXXXX', TMPDIR => 1);

sub file_of
{
    my ($name, $text) = @_;
    open my $out, '>', "$temp/$name" or die "$temp/$name: $!\n";
    print $out $text;
    close $out or die "$temp/$name: $!\n";
    return "$temp/$name";
}

# --- what is wrong -----------------------------------------------------------

# Each: the directive as it stands in the configuration, the word that is wrong,
# and what the message says to write.
my @server = (
    ['SCIMStore sqlite:/x', 'sqlite:/x', 'write lmdb:/path/of/a/directory'],
    ['SCIMStore lmdb:', 'lmdb:', 'write lmdb:/path/of/a/directory'],
    ['SCIMStore lmdb:/', 'lmdb:/', 'write lmdb:/path/of/a/directory'],
    ['SCIMStore pgsql:', 'pgsql:', 'or pgsql: and how PostgreSQL is reached'],
    ['SCIMStore "pgsql:dbname=scim password=x"', 'SCIMStore', 'name a file with it by passfile='],
    ['SCIMStore', 'SCIMStore', 'takes one argument, where users and groups are kept: lmdb:/path/of/a/directory'],
    ['SCIMStore /a /b', 'SCIMStore', 'takes one argument'],
    ['SCIMStoreSize large', 'large', 'a number, with k, m, g or t behind it'],
    ['SCIMStoreSize 1000', '1000', 'at least 1048576 bytes'],
    ['SCIMStoreSize 64gb', '64gb', 'a number, with k, m, g or t behind it'],
    ['SCIMStoreConnections many', 'many', 'a whole number of at least 1 and at most 1000'],
    ['SCIMStoreConnections 0', '0', 'a whole number of at least 1 and at most 1000'],
    ['SCIMStoreConnections 1001', '1001', 'a whole number of at least 1 and at most 1000'],
    ['SCIMWriteTimeout soon', 'soon', 'a number, with ms, s, min or h behind it'],
    ['SCIMWriteTimeout 0', '0', 'a number, with ms, s, min or h behind it'],
    ['SCIMScanLimit -1', '-1', 'a whole number of at least 0'],
    ['SCIMScanLimit 10k', '10k', 'a whole number of at least 0'],
    ['SCIMReadOnly maybe', 'maybe', 'On or Off'],
    ['SCIMSchema /nowhere/schema.json', '/nowhere/schema.json', 'No such file or directory'],
    ["SCIMSchema $temp", $temp, 'a file of at most 1048576 bytes'],
    ['SCIMResourceType /nowhere/type.json', '/nowhere/type.json', 'No such file or directory'],
    ['SCIMUniqueGroupNames yes', 'yes', 'On or Off'],
    ['SCIMDanglingReferences deny', 'deny', 'refuse or allow'],
    ['SCIMRole "super admin" Staff', 'super admin', '1 to 64 of A-Z a-z 0-9 . _ -'],
    ['SCIMRole admin', 'SCIMRole', 'name a role, and the groups that give it'],
    ['SCIMRole admin *', '*', 'the name of a group, or its beginning with a * behind it'],
    ['SCIMRole admin Sta*ff', 'Sta*ff', 'the name of a group, or its beginning with a * behind it'],
    ['SCIMRole admin Staff STAFF', 'STAFF', 'gives the role admin already'],
    ["SCIMRole admin F\xfchrung", "F\\xfchrung", 'save the configuration as UTF-8'],
    ['SCIMCustomGroups reject', 'reject', 'accept, ignore or refuse'],
    ['SCIMOnGroupDelete disable', 'disable', 'keep, deactivate or delete'],
    ['SCIMDeleteLimit 500', '500', 'Off, nor a number of users in an hour (500/h), at most 1000000'],
    ['SCIMPasswordSync bcrypt', 'bcrypt', 'On or Off'],
    ['SCIMAuditLog |', '|', 'a file, nor a | with a program behind it'],
    ['SCIMTenant "a b"', 'a b', '1 to 64 of A-Z a-z 0-9 . _ -'],
    ['SCIMUserAttribute mail', 'mail', 'userName, externalId, emails.value or id'],
    ['SCIMExport yes', 'yes', 'On or Off'],
    ['SCIMEngine On', 'SCIMEngine', 'it belongs in the <Location> or <LocationMatch> of an endpoint'],
    ['<SCIMTenantPolicy "a b">', 'a b', '1 to 64 of A-Z a-z 0-9 . _ -', '</SCIMTenantPolicy>'],
    ['<SCIMTenantPolicy>', '""', 'is not the name of a tenant', '</SCIMTenantPolicy>'],
    ['<SCIMTenantPolicy a b>', '"b"', 'write a section for each', '</SCIMTenantPolicy>'],
    ['<SCIMTenantPolicy acme', '<SCIMTenantPolicy>', "missing closing '>'", '</SCIMTenantPolicy>'],
    ['<SCIMTenantPolicy acme>', '<SCIMTenantPolicy>', 'was not closed'],
    ['SCIMStoer lmdb:/x', 'SCIMStoer', 'perhaps misspelled'],
    ['SCIMCustomGroups ingore', 'ingore', 'did you mean ignore?'],
    ['SCIMOnGroupDelete deactive', 'deactive', 'did you mean deactivate?'],
    ['SCIMDanglingReferences refused', 'refused', 'did you mean refuse?'],
    ['SCIMUserAttribute username.', 'username.', 'did you mean userName?'],
    ['SCIMRole admin Staff Sales staff', 'staff', 'let one pattern give one role'],
    ["<Directory />\nSCIMEngine On\n</Directory>", 'SCIMEngine', 'is not allowed in <Directory>: it belongs in the <Location>'],
    ["<Files x>\nSCIMMaxBody 1m\n</Files>", 'SCIMMaxBody', 'is not allowed in <Files>: it belongs in the <Location>'],
    ["<DirectoryMatch ^/srv>\nSCIMRequireTLS Off\n</DirectoryMatch>", 'SCIMRequireTLS', 'is not allowed in <DirectoryMatch>: it belongs in the <Location>'],
    ["<Location /x>\n<Limit GET>\nSCIMRateLimit 1/s\n</Limit>\n</Location>", 'SCIMRateLimit', 'cannot occur within <Limit>'],
);
my @location = (
    ['SCIMEngine perhaps', 'perhaps', 'On or Off'],
    ['SCIMBasePath /x', 'SCIMBasePath', 'belongs in a <LocationMatch>'],
    ['SCIMBaseURL scim.example.com', 'scim.example.com', 'a URL (https://host/path)'],
    ['SCIMBaseURL https://x/?y', 'https://x/?y', 'a URL (https://host/path)'],
    ['SCIMTenant a/b', 'a/b', '1 to 64 of A-Z a-z 0-9 . _ -'],
    ['SCIMTenant %{nothing', '%{nothing', 'cannot parse expression'],
    ['SCIMProfile strict', 'strict', 'rfc or interop'],
    ['SCIMProfile interopp', 'interopp', 'did you mean interop?'],
    ['SCIMGroupPatchReturn minmal', 'minmal', 'did you mean minimal?'],
    ['SCIMGroupPatchReturn full', 'full', 'minimal or representation'],
    ['SCIMDefaultPageSize 0', '0', 'a whole number of at least 1'],
    ['SCIMMaxPageSize all', 'all', 'a whole number of at least 1'],
    ['SCIMMaxBody 100', '100', 'at least 1024 bytes'],
    ['SCIMCursorTimeout never', 'never', 'a number, with ms, s, min or h behind it'],
    ['SCIMBulk none', 'none', 'Off, nor a whole number of operations of at least 1'],
    ['SCIMBulk 500 4mb', '4mb', 'a number, with k, m, g or t behind it'],
    ['SCIMBulk Off 4m', '4m', 'to stand behind Off'],
    ['SCIMRequireIfMatch always', 'always', 'On or Off'],
    ['SCIMRequireTLS sometimes', 'sometimes', 'On, Off or expr=...'],
    ['SCIMRequireTLS expr=((', '((', 'cannot parse expression'],
    ['SCIMConnection "a b"', 'a b', '1 to 64 of A-Z a-z 0-9 . _ -'],
    ['SCIMConnection okta all', 'all', 'read, write or read,write'],
    ['SCIMRateLimit 100', '100', '(100/s, 600/min)'],
    ['SCIMRateLimit 100/s 200', '200', 'burst=NUMBER'],
    ['SCIMStore lmdb:/x', 'SCIMStore', 'not allowed in <Location> context'],
    ['<SCIMTenantPolicy acme>', '<SCIMTenantPolicy', 'not allowed in <Location> context', '</SCIMTenantPolicy>'],
    ['Require scim-group', 'scim-group', 'name a group, "Tour Guides", or id: and its id'],
    ['Require scim-role', 'scim-role', 'name a role that SCIMRole gives'],
);

# Those of which httpd learns only when it has read all of it.
my $bad_json = file_of('bad.json', "{\n  \"id\": \"urn:example:Bad\",\n  \"name\" 7\n}\n");
my $no_id = file_of('no-id.json', qq({"name": "Bad", "attributes": []}\n));
my $bad_type = file_of('bad-type.json', qq({"id": "urn:example:Bad", "name": "Bad", "attributes": [{"name": "size", "type": "int"}]}\n));
my @whole = (
    ["SCIMSchema $bad_json", 'bad.json', 'line 3'],
    ["SCIMSchema $no_id", 'no-id.json', 'has no "id"'],
    ["SCIMSchema $bad_type", 'bad-type.json', '"type" is "int", must be one of string, boolean'],
    ["<LocationMatch ^/x>\nSCIMEngine On\n</LocationMatch>", 'SCIMEngine On', 'add SCIMBasePath'],
    ["<VirtualHost *>\nSCIMReadOnly On\n</VirtualHost>", 'SCIMReadOnly', 'set it once, at server level'],
    ["<VirtualHost *>\nSCIMRole admin Staff\n</VirtualHost>", 'SCIMRole', 'set it once, at server level'],
);

# httpd -t, which must fail and say all of this.
sub is_explained
{
    my ($name, $where, $conf, @says) = @_;
    my ($code, $said) = Scim::Httpd->configtest($where => $conf);
    my @missing = grep { ref $_ ? $said !~ $_ : index($said, $_) < 0 } @says;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($code && !@missing, $name) || diag("exit code $code, not said: ", join(' | ', @missing), "\n$said");
}

# Where "conf" and "location" begin in httpd.conf: the line that is told of one
# that is certainly wrong there.
sub first_line
{
    my ($where) = @_;
    my (undef, $said) = Scim::Httpd->configtest($where => "NoSuchDirective\n");
    my ($line) = $said =~ m{on line (\d+) of /\S+/httpd[.]conf:} or die "no line in: $said\n";
    return $line;
}

# What is told of is the fifth line from there on.
my $before = "# one\n# two\n# three\n# four\n";

for my $part (['conf', @server], ['location', @location]) {
    my ($where, @cases) = @$part;
    my $line = first_line($where) + 4;
    subtest "what is wrong in \"$where\"" => sub {
        for my $case (@cases) {
            my ($text, $word, $remedy, @end) = @$case;
            my $at = $line + ($text =~ /^(.*)\nSCIM/s ? $1 =~ tr/\n// + 1 : 0);
            is_explained($text, $where, join("\n", "$before$text", @end, ''), qr{line $at of /\S+/httpd[.]conf:}, $word, $remedy);
        }
    };
}

subtest 'what is wrong as a whole' => sub {
    for my $case (@whole) {
        my ($text, @says) = @$case;
        is_explained($text, 'conf', "$text\n", @says, qr{line \d+ of /\S+/httpd[.]conf});
    }
};

subtest 'of each directive there is a wrong one' => sub {
    my $code = join '', map { slurp($_) } glob "$FindBin::Bin/../../mod_scim/httpd/*.c";
    my @names = $code =~ /\bAP_INIT_\w+\s*\(\s*"(<?SCIM\w+)/g;
    cmp_ok(scalar @names, '>', 30, 'directives are found');
    my $wrong = join "\n", map { $_->[0] } grep { $_->[0] !~ /\n/ } @server, @location;
    is_deeply([grep { $wrong !~ /^\Q$_\E\b/m } @names], [], 'all are in the table');
    cmp_ok(@server + @location + @whole, '>=', 40, 'which is long enough');
};

# --- no file is touched ------------------------------------------------------

# Everything below a directory: inode, mode, owner, size, times of change to the
# nanosecond (as far as stat tells) and content.
sub state_of
{
    my ($dir) = @_;
    my %state;
    File::Find::find({ no_chdir => 1, wanted => sub {
        my @stat = Time::HiRes::lstat($_);
        my $content = -f _ ? Digest::SHA::sha1_hex(slurp($_)) : '';
        $state{$_} = join ' ', @stat[1, 2, 3, 4, 5, 7, 9, 10], $content;
    } }, $dir);
    return \%state;
}

# ... once the children of a server have nothing to do any more.
sub state_at_rest
{
    my ($dir) = @_;
    my ($last, $state) = ('', '');
    my $until = time + 10;
    do {
        $last = $state;
        sleep 0.2;
        my $now = state_of($dir);
        $state = join "\n", map { "$_ $now->{$_}" } sort keys %$now;
    } while $state ne $last && time < $until;
    return state_of($dir);
}

# httpd -t beside a server that runs, with its own configuration.
sub test_of
{
    my ($s) = @_;
    chomp(my $httpd = readlink '/proc/' . $s->pid . '/exe');
    my $said = qx{$httpd -d @{[$s->dir]} -f @{[$s->dir]}/httpd.conf -t 2>&1};
    return ($? >> 8, $said);
}

sub touches_nothing
{
    my ($name, $s) = @_;
    my $before = state_at_rest($s->dir);
    my ($code, $said) = test_of($s);
    my $after = state_of($s->dir);
    is($code, 0, "$name: the configuration is right") or diag($said);
    is_deeply($after, $before, "$name: no file is made, changed or opened for writing, no time of one is another");
}

subtest 'it touches no file' => sub {
    lmdb_only('its files');
    plan(skip_all => 'a sanitizer needs a start of its own') if $ENV{SCIM_SAN};
    my $examples = "$FindBin::Bin/../../conf/examples";
    my $s = Scim::Httpd->new(
        children => 2, threads => 8,
        location => 'SCIMRateLimit 10000/s',
        conf => "SCIMAuditLog audit.log\nSCIMRole admin Staff\nSCIMSchema $examples/device-schema.json\nSCIMResourceType $examples/device-type.json\n",
    );
    made($s, '/Users', user('bjensen'));
    $s->wait_access(qr/POST/);
    delete $s->{http};
    touches_nothing('beside a server that runs', $s);
    # Reading it as any program does would tell a later time.
    my $data = $s->store . '/data.mdb';
    utime time - 200000, time - 100000, $data or die "$data: $!\n";
    is((test_of($s))[0], 0, 'again');
    cmp_ok((stat $data)[8], '<', time - 100000, 'the store is not seen to be read');
    # Its policy is another, which a start would write to the store.
    $s->write_conf(conf => "SCIMAuditLog |/nowhere/program\nSCIMRole guest Guests\nSCIMOnGroupDelete delete\n");
    touches_nothing('with another configuration', $s);
    is($s->get('/Users')->json->{totalResults}, 1, 'C-114 the server goes on');
    my $store = $s->store;
    delete $s->{http};
    rename $store, "$store.away" or die "$store: $!\n";
    touches_nothing('without the store', $s);
    ok(!-e $store, 'which is not made');
    rename "$store.away", $store or die "$store: $!\n";
    $s->write_conf(conf => "SCIMStoreSize large\n");
    my $before = state_of($s->dir);
    isnt((test_of($s))[0], 0, 'one that is wrong');
    is_deeply(state_of($s->dir), $before, 'changes nothing, either');
    $s->log_clean;
};

# --- warnings ----------------------------------------------------------------

my $acme = Scim::Httpd->new(tenant => 'acme', start => 0);
my $other_store = Scim::Httpd->new(tenant => 'default', start => 0);
$other_store->scimctl('tenant', 'create', 'beta');

my $endpoint = "SCIMEngine On\nAuthType Bearer\nAuthName SCIM\nRequire valid-user\n";
my $open = 'Listen 0.0.0.0:' . ($acme->port + 1) . "\n"; # nothing listens there: it is never started

# The lines of warnings, of a configuration that is right.
sub warnings_of
{
    my ($name, $s, %conf) = @_;
    my ($code, $said) = $s->configtest(conf => '', location => '', locations => undef, modules => [], %conf);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($code, 0, "$name: the configuration is right") or diag($said);
    like($said, qr/^Syntax OK$/m, "$name: and said to be");
    return grep { !/^Syntax OK$/ } split /\n/, $said;
}

# Each: what stands there, and what one line of the warnings says, or none.
my @doubtful = (
    ['a tenant that is there', { location => 'SCIMTenant acme' }],
    ['a tenant that is not', { location => 'SCIMTenant acne' }, 'SCIM1314: SCIMTenant acne at line ', 'has no tenant of that name', '"scimctl tenant create acne"; did you mean acme?'],
    ['a tenant for a server', { conf => 'SCIMTenant x' }, 'SCIM1314: SCIMTenant x at line ', 'scimctl tenant create x"'],
    ['an expression', { location => 'SCIMTenant %{SERVER_NAME}' }],
    ['users of no tenant', { conf => "<Location /y>\nAuthType None\nRequire scim-user\n</Location>" }, 'SCIM1315: Require scim-user at line ', 'tenant default, which', 'add SCIMTenant (acme)'],
    ['users of one', { conf => "<Location /y>\nAuthType None\nSCIMTenant acme\nRequire scim-user\n</Location>" }],
    ['two sections of a tenant', { conf => "<SCIMTenantPolicy acme>\nSCIMRole a A\n</SCIMTenantPolicy>\n<SCIMTenantPolicy acme>\nSCIMRole b B\n</SCIMTenantPolicy>" },
        'SCIM1316: <SCIMTenantPolicy acme> at line ', 'no effect: the section at line ', 'make them one'],
    ['members of what gives no role', { conf => 'SCIMOnGroupDelete delete' }, 'SCIM1317: SCIMOnGroupDelete has no effect', 'no SCIMRole'],
    ['members of what gives no role to a tenant', { conf => "SCIMRole a A\n<SCIMTenantPolicy b>\nSCIMOnGroupDelete deactivate\n</SCIMTenantPolicy>" }],
    ['members of a tenant that has no roles', { conf => "SCIMOnGroupDelete delete\n<SCIMTenantPolicy b>\nSCIMUniqueGroupNames Off\n</SCIMTenantPolicy>" }],
    ['members of a tenant for which it is said', { conf => "<SCIMTenantPolicy b>\nSCIMOnGroupDelete delete\n</SCIMTenantPolicy>" }, 'SCIM1317: SCIMOnGroupDelete of tenant b has no effect'],
    ['members of what gives one', { conf => "SCIMRole a A\nSCIMOnGroupDelete delete" }],
    ['patterns within patterns', { conf => 'SCIMRole a "acme*" Staff' . "\n" . 'SCIMRole b "acme-x*" "acme-xy" "Staff*"' }],
    ['a role', { conf => "SCIMRole member M\n<Location /y>\nAuthType None\nSCIMTenant acme\nRequire scim-role Member %{SERVER_NAME}\n</Location>" }],
    ['a role of a tenant', { conf => "<SCIMTenantPolicy acme>\nSCIMRole member M\n</SCIMTenantPolicy>\n<Location /y>\nAuthType None\nSCIMTenant acme\nRequire scim-role member\n</Location>" }],
    ['a role that is none', { conf => "SCIMRole member M\n<Location /y>\nAuthType None\nSCIMTenant acme\n<RequireAll>\nRequire not scim-role memebr\nRequire all granted\n</RequireAll>\n</Location>" },
        'SCIM1318: Require scim-role at line ', 'no SCIMRole gives the role memebr', 'did you mean member?'],
    ['passwords that nobody keeps', { modules => ['auth_basic'], conf => "<Location /y>\nAuthType Basic\nAuthName y\nAuthBasicProvider scim\nSCIMTenant acme\nRequire scim-user\n</Location>" },
        'SCIM1319: AuthBasicProvider scim at line ', 'set SCIMPasswordSync On'],
    ['passwords', { modules => ['auth_basic'], conf => "SCIMPasswordSync On\n<Location /y>\nAuthType Basic\nAuthName y\nAuthBasicProvider scim\nSCIMTenant acme\nRequire scim-user\n</Location>" }],
    ['no TLS', { conf => $open }, 'SCIM1320: SCIMEngine On at line ', 'no TLS (SSLEngine on)', 'are answered 403', 'SCIMRequireTLS'],
    ['a proxy that ends TLS', { conf => $open, location => q(SCIMRequireTLS "expr=! -R '10.0.0.5'") }],
    ['TLS switched off', { conf => $open, location => 'SCIMRequireTLS Off' }],
    ['for this machine only', { conf => "Listen 127.0.0.2:18080\nListen [::1]:18080" }],
    ['TLS', { modules => ['ssl'], conf => "$open<VirtualHost *>\nServerName b\nSSLEngine on\n</VirtualHost>" }],
    ['TLS for all', { modules => ['ssl'], conf => "${open}SSLEngine on\n<VirtualHost *>\nServerName b\n</VirtualHost>" }],
    ['TLS beside who tells of it', { modules => ['ssl'], locations => '', conf => "$open<VirtualHost *:80>\nServerName a\n<Location /s>\n$endpoint</Location>\n</VirtualHost>\n"
        . "<VirtualHost *:443>\nServerName a\nSSLEngine on\n<Location /s>\n$endpoint</Location>\n</VirtualHost>" }],
    ['TLS for another', { modules => ['ssl'], locations => '', conf => "$open<VirtualHost *>\nServerName a\n<Location /s>\n$endpoint</Location>\n</VirtualHost>\n"
        . "<VirtualHost *:443>\nServerName b\nSSLEngine on\n<Location /t>\n$endpoint</Location>\n</VirtualHost>" }, 'SCIM1320: SCIMEngine On at line '],
    ['a URL without TLS', { conf => $open, location => "SCIMBaseURL http://scim.example.com/v2\nSCIMRequireTLS expr=true" }, 'SCIM1321: ', 'clients are told to come to http://scim.example.com/v2', 'https://'],
    ['nobody asks', { locations => "<Location /s>\nSCIMEngine On\n</Location>" }, 'SCIM1322: SCIMEngine On at line ', 'all requests are answered 500', 'add AuthType Bearer, AuthName SCIM and Require valid-user'],
    ['somebody asks elsewhere', { locations => "<Location /s>\nSCIMEngine On\n</Location>\n<Location />\nAuthType Bearer\nAuthName SCIM\nRequire valid-user\n</Location>" }],
    ['a certificate speaks', { modules => ['ssl'], locations => "<Location /s>\nSCIMEngine On\nSCIMTenant acme\nSCIMConnection %{SSL_CLIENT_S_DN_CN}\n</Location>" }],
    ['somebody asks by a condition', { locations => "<Location /s>\nSCIMEngine On\n<If true>\nAuthType Bearer\nAuthName SCIM\nRequire valid-user\n</If>\n</Location>" }],
    ['pages', { location => 'SCIMMaxPageSize 50' }],
    ['pages that are none', { location => "SCIMMaxPageSize 50\nSCIMDefaultPageSize 80" }, 'SCIM1323: SCIMEngine On at line ', 'SCIMDefaultPageSize is 80', 'the 50 of SCIMMaxPageSize'],
);

# Each line that is told of has what it is told of.
sub lines_are_right
{
    my ($name, $text) = @_;
    while ($text =~ /(\S+ \S+) at line (\d+) of (\S+?)[:,]? /g) {
        my ($what, $number, $file) = ($1, $2, $3);
        my $line = (split /\n/, slurp($file))[$number - 1] // 'none';
        like($line, $what =~ /section$/ ? qr/^\s*<SCIM/ : qr/^\s*@{[ quotemeta($what) =~ s{^Require\\ }{Require (?:not )?}r ]}/, "$name: line $number");
    }
}

subtest 'what is doubtful is told in words, and what is not is not' => sub {
    # Nobody is asked over the network which tenants there are.
    my @cases = grep { $acme->store_files || !grep { /has no tenant|scimctl tenant create|SCIM1315/ } @$_ } @doubtful;
    for my $case (@cases) {
        my ($name, $conf, @says) = @$case;
        my @lines = warnings_of($name, $acme, %$conf);
        is(scalar @lines, @says ? 1 : 0, "$name: so many warnings") or diag(join "\n", @lines);
        for my $part (@says) {
            like($lines[0], qr/\[scim:warn\].*\Q$part\E/, "$name: $part");
        }
        lines_are_right($name, "@lines");
    }
    my @lines = warnings_of('of another store', $acme, conf => 'SCIMStore "' . $other_store->store_url . '"', location => 'SCIMTenant beta');
    is_deeply(\@lines, [], 'each server has tenants of its own');
};

subtest 'a store that cannot be used' => sub {
    lmdb_only('what a file system shows of it');
    my $told = sub {
        my ($name, $url, @says) = @_;
        my @lines = warnings_of($name, $acme, conf => "SCIMStore $url", location => '');
        is(scalar @lines, @says ? 1 : 0, "$name: so many warnings") or diag(join "\n", @lines);
        like($lines[0], qr/\[scim:warn\].*SCIM1312: SCIMStore lmdb:.*\Q$_\E/, "$name: $_") for @says;
    };
    my $dir = $acme->dir;
    $told->('one that is made when httpd starts', "$dir/new");
    ok(!-e "$dir/new", 'and not before');
    $told->('a directory in none', "$dir/no/where", "there is no directory $dir/no, in which $dir/no/where is to be made", 'httpd would not start');
    $told->('a file', "$dir/httpd.conf", 'is not a directory');
    mkdir "$dir/wide" or die "$!\n";
    chown((stat $acme->store)[4, 5], "$dir/wide");
    chmod 0777, "$dir/wide";
    $told->('one that all may write to', "$dir/wide", "chmod 700 $dir/wide");
    symlink '/etc/passwd', "$dir/wide/data.mdb" or die "$!\n";
    chmod 0700, "$dir/wide";
    $told->('one of links', "$dir/wide", 'is a symbolic link');
    unlink "$dir/wide/data.mdb";
    $told->('an empty directory', "$dir/wide");
    if ($> == 0) {
        chown 0, 0, "$dir/wide";
        $told->('of another user', "$dir/wide", "may not write to $dir/wide", 'belongs to user root, uid 0, with mode 0700', 'must belong to that user');
        my $file = $acme->store . '/data.mdb';
        my ($uid, $gid) = (stat $file)[4, 5];
        chown 0, 0, $file;
        $told->('a file of another user', $acme->store, "may not write to $file", 'belongs to user root');
        chown $uid, $gid, $file;
    }
    $told->('one that is right', $acme->store);
    mkdir "$dir/small" or die "$!\n";
    SKIP: {
        skip 'this user may not mount a file system', 2
            if $> != 0 || system("mount -t tmpfs -o size=8m,mode=0700,uid=@{[ (stat $acme->store)[4] ]} none $dir/small 2>/dev/null");
        $told->('a disk with room', "$dir/small");
        system("head -c 8200000 /dev/zero >$dir/small/large");
        my @lines = warnings_of('a disk that is nearly full', $acme, conf => "SCIMStore $dir/small", location => '');
        system("umount -l $dir/small");
        like("@lines", qr/SCIM1313: SCIMStore lmdb:\S+: its file system has 0 MiB left/, 'a disk that is nearly full');
    }
};

subtest 'a start tells the same, once, in the error log' => sub {
    my $s = Scim::Httpd->new(tenant => 'acme', location => 'SCIMTenant nobody');
    $s->expect_log(qr/\[scim:warn\].*SCIM1314: SCIMTenant nobody at line/);
    is(scalar(grep { /SCIM1314/ } $s->error_log), 1, 'once');
    $s->scimctl('tenant', 'create', 'nobody');
    $s->graceful;
    is(scalar(grep { /SCIM1314/ } $s->error_log), 1, 'and no more when it is there');
    $s->log_clean;
};

done_testing();
