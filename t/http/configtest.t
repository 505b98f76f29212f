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
    ['SCIMStore', 'SCIMStore', 'takes one argument, where users and groups are kept: lmdb:/path/of/a/directory'],
    ['SCIMStore /a /b', 'SCIMStore', 'takes one argument'],
    ['SCIMStoreSize large', 'large', 'a number, with k, m, g or t behind it'],
    ['SCIMStoreSize 1000', '1000', 'at least 1048576 bytes'],
    ['SCIMStoreSize 64gb', '64gb', 'a number, with k, m, g or t behind it'],
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
);
my @location = (
    ['SCIMEngine perhaps', 'perhaps', 'On or Off'],
    ['SCIMBasePath /x', 'SCIMBasePath', 'belongs in a <LocationMatch>'],
    ['SCIMBaseURL scim.example.com', 'scim.example.com', 'a URL (https://host/path)'],
    ['SCIMBaseURL https://x/?y', 'https://x/?y', 'a URL (https://host/path)'],
    ['SCIMTenant a/b', 'a/b', '1 to 64 of A-Z a-z 0-9 . _ -'],
    ['SCIMTenant %{nothing', '%{nothing', 'cannot parse expression'],
    ['SCIMProfile strict', 'strict', 'rfc or interop'],
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
            is_explained($text, $where, join("\n", "$before$text", @end, ''), qr{line $line of /\S+/httpd[.]conf:}, $word, $remedy);
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
    my $wrong = join "\n", map { $_->[0] } @server, @location;
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

done_testing();
