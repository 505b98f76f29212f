#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# "apachectl -t -D DUMP_SCIM": what the configuration comes to.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Test::More;

my $examples = "$FindBin::Bin/../../conf/examples";

# Every directive has a value that is none of the defaults.
my $server = <<"EOT";
SCIMStoreSize 1536m
SCIMWriteTimeout 1500ms
SCIMScanLimit 5000
SCIMReadOnly On
SCIMAuditLog "|/usr/bin/logger -p secret.word"
SCIMSchema $examples/device-schema.json
SCIMResourceType $examples/device-type.json
SCIMRole admin "Staff *" "A \\"b\\""
SCIMRole member Everybody
SCIMCustomGroups ignore
SCIMOnGroupDelete deactivate
SCIMDeleteLimit 500/h
SCIMPasswordSync On
SCIMUniqueGroupNames Off
SCIMDanglingReferences allow
<SCIMTenantPolicy acme>
    SCIMOnGroupDelete delete
    SCIMRole guest Guests
</SCIMTenantPolicy>
EOT
my $location = <<'EOT';
SCIMBaseURL https://scim.example.com/scim
SCIMTenant acme
SCIMProfile rfc
SCIMGroupPatchReturn representation
SCIMDefaultPageSize 10
SCIMMaxPageSize 50
SCIMMaxBody 2m
SCIMCursorTimeout 10min
SCIMBulk 100 1m
SCIMRequireIfMatch On
SCIMRequireTLS "expr=! -R '10.0.0.5'"
SCIMConnection %{REMOTE_USER} read
SCIMRateLimit 100/s burst=200
SCIMUserAttribute externalId
SCIMExport On
EOT

sub dump_of
{
    my (%conf) = @_;
    my ($code, $said) = Scim::Httpd->configtest(dump => 1, %conf);
    is($code, 0, 'the configuration is right') or diag($said);
    $said =~ s/^.*^SCIM configuration:\n//ms or diag("no dump in: $said");
    return $said;
}

# The lines of what begins with that text, those that are further to the right.
sub part_of
{
    my ($dump, $begin) = @_;
    my ($indent, $rest) = $dump =~ /^( *)\Q$begin\E[^\n]*\n(.*)/ms or return "no $begin";
    my $part = '';
    for my $line (split /^/, $rest) {
        last if $line !~ /^$indent /;
        $part .= $line;
    }
    return $part;
}

sub has_lines
{
    my ($name, $part, @lines) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @missing = grep { $part !~ /^ +\Q$_\E *$/m } @lines;
    return ok(!@missing, $name) || diag('missing: ', join("\n", @missing), "\nin:\n$part");
}

# What follows a value that is not the default's.
sub changed
{
    return map { my ($line, $default) = @$_; qr/^ +\Q$line\E +\(default: \Q$default\E\)$/m } @_;
}

subtest 'defaults' => sub {
    my $dump = dump_of();
    my $main = part_of($dump, 'main server 127.0.0.1, without TLS');
    has_lines('of a server', $main, 'SCIMStoreSize 64g', 'SCIMWriteTimeout 10s', 'SCIMScanLimit 1000000', 'SCIMReadOnly Off', 'policy of all tenants');
    like($main, qr{^ +SCIMStore (?:lmdb:/\S+/store|"pgsql:host=\S+ .*")$}m, 'the store');
    has_lines('of a policy', part_of($main, 'policy of all tenants'), 'SCIMCustomGroups accept', 'SCIMOnGroupDelete keep', 'SCIMDeleteLimit Off',
        'SCIMPasswordSync Off', 'SCIMUniqueGroupNames On', 'SCIMDanglingReferences refuse');
    my $endpoint = part_of($main, 'endpoint <Location "/scim/v2">');
    has_lines('of an endpoint', $endpoint, 'AuthType Bearer', 'Require valid-user', 'SCIMRequireTLS On', 'SCIMRateLimit Off', 'SCIMProfile interop', 'SCIMMaxBody 8m',
        'SCIMBulk 500 4m', 'SCIMDefaultPageSize 100', 'SCIMMaxPageSize 1000', 'SCIMCursorTimeout 1h', 'SCIMGroupPatchReturn minimal', 'SCIMRequireIfMatch Off',
        'SCIMUserAttribute userName', 'SCIMExport Off');
    like($endpoint, qr{^ +Tenant URL: http://127[.]0[.]0[.]1:\d+/scim/v2$}m, 'its Tenant URL');
    like($dump, qr{endpoint <Location "/scim/v2"> \(/\S+/httpd[.]conf:\d+\)$}m, 'and where it is');
    unlike($dump, qr/default:|SCIMTenant|SCIMConnection|SCIMAuditLog/, 'nothing is said of what is not set');
};

my $all = dump_of(conf => $server, location => $location);

subtest 'what is set' => sub {
    my $main = part_of($all, 'main server');
    like($main, $_, "$_") for changed(['SCIMStoreSize 1536m', '64g'], ['SCIMWriteTimeout 1500ms', '10s'], ['SCIMScanLimit 5000', '1000000'], ['SCIMReadOnly On', 'Off']);
    has_lines('what has no default', $main, 'SCIMAuditLog "|/usr/bin/logger ..."');
    like($main, qr{^ +SCIMSchema at line \d+ of /\S+: \S+/device-schema[.]json$}m, 'a schema');
    unlike($all, qr/secret/, 'what a program is given is not told');
    my $others = part_of($main, 'policy of other tenants');
    has_lines('roles', $others, 'SCIMRole admin "Staff *"', 'SCIMRole admin "A \\"b\\""', 'SCIMRole member "Everybody"');
    like($others, $_, "$_") for changed(['SCIMCustomGroups ignore', 'accept'], ['SCIMOnGroupDelete deactivate', 'keep'], ['SCIMDeleteLimit 500/h', 'Off'],
        ['SCIMPasswordSync On', 'Off'], ['SCIMUniqueGroupNames Off', 'On'], ['SCIMDanglingReferences allow', 'refuse']);
    my $acme = part_of($main, 'policy of tenant acme (');
    like($acme, $_, "$_") for changed(['SCIMOnGroupDelete delete', 'keep'], ['SCIMPasswordSync On', 'Off']);
    has_lines('roles of its own', $acme, 'SCIMRole guest "Guests"');
    unlike($acme, qr/admin/, 'and no others');
    my $endpoint = part_of($main, 'endpoint <Location "/scim/v2">');
    has_lines('what has no default', $endpoint, 'Tenant URL: https://scim.example.com/scim', 'SCIMBaseURL https://scim.example.com/scim', 'SCIMTenant acme', 'SCIMConnection %{REMOTE_USER} read');
    like($endpoint, $_, "$_") for changed([q(SCIMRequireTLS "expr=! -R '10.0.0.5'"), 'On'], ['SCIMRateLimit 100/s burst=200', 'Off'], ['SCIMProfile rfc', 'interop'],
        ['SCIMMaxBody 2m', '8m'], ['SCIMBulk 100 1m', '500 4m'], ['SCIMDefaultPageSize 10', '100'], ['SCIMMaxPageSize 50', '1000'], ['SCIMCursorTimeout 10min', '1h'],
        ['SCIMGroupPatchReturn representation', 'minimal'], ['SCIMRequireIfMatch On', 'Off'], ['SCIMUserAttribute externalId', 'userName'], ['SCIMExport On', 'Off']);
};

subtest 'every directive is told of' => sub {
    my $match = dump_of(locations => "<LocationMatch ^/t/(?<T>[^/]+)(?=/|\$)>\nSCIMEngine On\nSCIMBasePath /t/%{env:MATCH_T}\nSCIMTenant %{env:MATCH_T}\nAuthType Bearer\nAuthName x\n"
        . "<RequireAny>\nRequire valid-user\n</RequireAny>\n</LocationMatch>\n");
    has_lines('a pattern', part_of($match, 'endpoint <LocationMatch ^/t/(?<T>[^/]+)(?=/|$)>'), 'SCIMBasePath /t/%{env:MATCH_T}', '<RequireAny>', 'Require valid-user', '</RequireAny>');
    like($match, qr{Tenant URL: http://127[.]0[.]0[.]1:\d+/t/\{tenant\}$}m, 'has a URL for each tenant');
    my $code = slurp("$FindBin::Bin/../../mod_scim/httpd/config.c");
    # A section that holds a policy, and what makes an endpoint one, have words of their own.
    my @names = grep { !/^<|^SCIMEngine$/ } $code =~ /\bAP_INIT_\w+\s*\(\s*"(<?SCIM\w+)/g;
    cmp_ok(scalar @names, '>', 28, 'directives are found');
    is_deeply([grep { "$all$match" !~ m{^ +\Q$_\E }m } @names], [], 'all are in a dump');
};

subtest 'servers, and what asks who somebody is' => sub {
    my $dump = dump_of(modules => ['ssl'], conf => <<'EOT');
SCIMRole admin Staff
<VirtualHost *:8443>
    ServerName a.example.com
    SSLEngine on
</VirtualHost>
<VirtualHost *:8080>
    ServerName b.example.com
    SCIMTenant beta
    <Location /site>
        AuthType None
        <RequireAll>
            Require scim-role admin
            Require all granted
        </RequireAll>
    </Location>
    <Location /scim/v2>
        SCIMMaxBody 1m
    </Location>
    <Location /scim>
        AuthType None
    </Location>
</VirtualHost>
EOT
    my $first = part_of($dump, 'virtual host a.example.com:8443 (');
    like($dump, qr{^virtual host a[.]example[.]com:8443 \(/\S+/httpd[.]conf:\d+\), TLS$}m, 'a server, and where it is');
    has_lines('one that has nothing of its own', $first, 'as the main server', 'Tenant URL: https://a.example.com:8443/scim/v2');
    unlike($first, qr/SCIMStore/, 'is not told again');
    my $second = part_of($dump, 'virtual host b.example.com:8080 (');
    has_lines('one that has', $second, 'SCIMTenant beta', 'Tenant URL: http://b.example.com:8080/scim/v2');
    like($second, qr{^ +Require scim-role admin \(/\S+:\d+\), <Location /site>, tenant beta$}m, 'who asks');
    like(part_of($second, 'endpoint <Location "/scim/v2">'), $_, "sections of the same URL are one: $_") for changed(['SCIMMaxBody 1m', '8m']);
    has_lines('in the order of httpd', part_of($second, 'endpoint <Location "/scim/v2">'), 'AuthType is not set', 'SCIMTenant beta');
};

subtest 'nothing is told where nobody asked' => sub {
    my ($code, $said) = Scim::Httpd->configtest(conf => $server);
    is($code, 0, 'httpd -t');
    unlike($said, qr/SCIM configuration/, 'has no dump');
};

done_testing();
