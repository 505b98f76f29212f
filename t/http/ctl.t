#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl: its commands, exit codes, JSON, and what it does beside a server.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path getcwd);
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Scim::Httpd;
use Test::More;

my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $temp = File::Temp->newdir('scim-ctl-XXXXXX', TMPDIR => 1);
my $dir = $temp->dirname;
my $root = $> == 0;
# Whom root makes a store for; anybody else makes it for himself.
my $owner = $root ? 'nobody' : getpwuid $>;
chmod 0755, $dir;
delete $ENV{SCIM_STORE};

# Runs scimctl with the text for its stdin: exit code, stdout, stderr.
sub scimctl
{
    my ($stdin, @args) = @_;
    my ($in, $out, $err) = map { File::Temp->new } 1 .. 3;
    print $in $stdin;
    close $in;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', $in->filename;
        open STDOUT, '>', $out->filename;
        open STDERR, '>', $err->filename;
        no warnings 'exec';
        exec { "$build/scimctl" } 'scimctl', @args;
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    return ($code, slurp($out->filename), slurp($err->filename));
}

# One test: the exit code, and what stdout and stderr are like.
sub says
{
    my ($name, $want, $like_out, $like_err, $stdin, @args) = @_;
    my ($code, $out, $err) = scimctl($stdin, @args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($code == $want && $out =~ $like_out && $err =~ $like_err, $name)
        or diag("scimctl @args: exit code $code, not $want\nstdout: $out\nstderr: $err");
    return $out;
}

sub json
{
    my (@args) = @_;
    my ($code, $out, $err) = scimctl('', '--json', @args);
    return $code ? { error => $err } : JSON::PP->new->utf8->decode($out);
}

my $nothing = qr/\A\z/;
my @store = ('--store', "lmdb:$dir/store");

# --- without a store ---------------------------------------------------------

says('help', 0, qr/^  token revoke .*Exit codes:.*/ms, $nothing, '', '--help');
says('help of a command', 0, qr/\AUsage: scimctl token create --tenant T/, $nothing, '', qw(token create --help));
says('help of a noun', 0, qr/token check/, $nothing, '', qw(token --help));
says('help in front', 0, qr/\AUsage: scimctl token create --tenant T/, $nothing, '', qw(help token create));
says('help of nothing', 1, $nothing, qr/there is no command nix \(scimctl --help/, '', qw(help nix));
says('a command that was mistyped', 1, $nothing, qr/did you mean tenant\?/, '', qw(tenat create x));
says('its second word', 1, $nothing, qr/did you mean tenant create\?/, '', qw(tenant crate x));
says('its first word left out', 1, $nothing, qr/did you mean token rotate\?/, '', 'rotate');
says('an option that was mistyped', 1, $nothing, qr/did you mean --filter\?/, '', qw(user list --filtre x));
says('version', 0, qr/\Ascimctl of mod_scim \d+\.\d+\.\d+\S*, store format 3, Unicode \d/, $nothing, '', '--version');
says('no command', 1, $nothing, qr/which command/, '');
says('a command that is not there', 1, $nothing, qr/no command frobnicate/, '', 'frobnicate');
says('half a command', 1, $nothing, qr/tenant what/, '', 'tenant');
says('an option that is not there', 1, $nothing, qr/--frob/, '', qw(stat --frob));
says('an option of another command', 1, $nothing, qr/stat takes no option --tenant/, '', qw(stat --tenant a));
says('a word too many', 1, $nothing, qr/usage: scimctl tenant create NAME/, '', qw(tenant create a b));
says('a store that is not there', 2, $nothing, qr/scimctl init/, '', '--store', "lmdb:$dir/none", 'stat');
says('a url of nothing', 2, $nothing, qr/lmdb:/, '', qw(--store what:ever stat));

# --- init --------------------------------------------------------------------

SKIP: {
    skip 'only root makes stores for others', 2 if !$root;
    says('root says who owns a new store', 1, $nothing, qr/--owner www-data/, '', @store, 'init');
    ok(!-e "$dir/store", 'and nothing is made until then');
}
says('an owner that is not there', 1, $nothing, qr/no such user/, '', @store, qw(init --owner no.such.user));
says('init makes the store', 0, qr/is made/, $nothing, '', @store, 'init', '--owner', $owner);
is(sprintf('%o', (stat "$dir/store")[2] & 07777), '700', 'its directory is closed to others');
is_deeply(
    [map { scalar getpwuid((stat $_)[4]) } "$dir/store", "$dir/store/data.mdb", "$dir/store/lock.mdb"],
    [($owner) x 3],
    'directory and files belong to the owner'
);
mkdir "$dir/full" or die "$dir/full: $!\n";
open my $other, '>', "$dir/full/other.txt" or die "$dir/full/other.txt: $!\n";
says('init in a directory of other files', 4, $nothing, qr{\Ascimctl: \Q$dir\E/full holds other files; .* such as \Q$dir\E/full/scim$}m, '',
    '--store', "lmdb:$dir/full/", 'init', '--owner', $owner);
ok(!-e "$dir/full/data.mdb", 'makes nothing there');
says('init of a store that is there', 0, qr/is there already; nothing was changed/, $nothing, '', @store, 'init');
is_deeply(json(@store, 'init'), { store => "lmdb:$dir/store", made => JSON::PP::false }, 'init as JSON');
says('init in a directory that is not there', 2, $nothing, qr/first/, '', '--store', "$dir/no/store", 'init', '--owner', $owner);
SKIP: {
    skip 'only root makes stores for others', 3 if !$root;
    mkdir "$dir/roots" or die "$dir/roots: $!\n";
    says("init in root's directory, for nobody", 1, $nothing, qr/root owns .*--owner www-data/, '', '--store', "lmdb:$dir/roots", 'init');
    says("init in root's directory, for another", 4, $nothing, qr/belongs to root/, '', '--store', "lmdb:$dir/roots", 'init', '--owner', $owner);
    says('init for another owner than there is', 4, $nothing, qr/belongs to nobody/, '', @store, qw(init --owner daemon));
}

# --- tenants -----------------------------------------------------------------

says('no tenant yet', 0, qr/no tenant yet/, $nothing, '', @store, qw(tenant list));
says('a tenant is created', 0, qr/Tenant acme is created.*--tenant acme/s, $nothing, '', @store, qw(tenant create acme));
says('a tenant that is there', 4, $nothing, qr/already/, '', @store, qw(tenant create acme));
says('an impossible name', 1, $nothing, qr/A-Z a-z/, '', @store, 'tenant', 'create', 'a/b');
is(json(@store, qw(tenant create beta))->{name}, 'beta', 'a tenant as JSON; options stand where they like');
{
    local $ENV{SCIM_STORE} = "$dir/store";
    says('tenants, with the store of SCIM_STORE', 0, qr/\ANAME  STATE   BRAKE  CREATED\nacme  active  off    20\d\d-/, $nothing, '', qw(tenant list));
    is_deeply([map { $_->{name} } @{ json(qw(tenant list)) }], [qw(acme beta)], 'tenants as JSON');
}

{
    my $from = getcwd();
    chdir $dir or die "$dir: $!\n";
    is_deeply([map { $_->{name} } @{ json('--store', 'lmdb:./store', qw(tenant list)) }], [qw(acme beta)], 'a path from the current directory on');
    chdir $from or die "$from: $!\n";
}

# --- tokens ------------------------------------------------------------------

my $shown = says('C-314 a token is one line of stdout, once', 0, qr/\ASecret Token: mscim_[0-9A-Za-z]{49}\n\z/,
    qr/only time.*^It expires 20\d\d-.*--expires never.*Tenant URL is not known/ms, '',
    @store, qw(token create --tenant acme --connection entra));
my ($token) = $shown =~ /(mscim_\S+)/;
says('a token without a connection', 1, $nothing, qr/--connection/, '', @store, qw(token create --tenant acme));
says('a token of no tenant', 3, $nothing, qr/no tenant "nix".*tenant list/, '', @store, qw(token create --tenant nix --connection entra));
says('a scope of nothing', 1, $nothing, qr/--scope/, '', @store, qw(token create --tenant acme --connection c --scope all));
for my $wrong ('soon', '0d', '-1d', '1', '1y') {
    says("a life of $wrong", 1, $nothing, qr/--expires \Q$wrong\E is no time/, '', @store, qw(token create --tenant acme --connection c --expires), $wrong);
}
for my $long ('36601d', '999999999999d', '9' x 30 . 's') {
    says("a life of $long", 1, $nothing, qr/--expires $long is too long/, '', @store, qw(token create --tenant acme --connection c --expires), $long);
}
my $made = json(@store, qw(token create --tenant acme --connection okta --scope read --expires never));
like($made->{token}, qr/\Amscim_\w{49}\z/, 'a token as JSON');
is_deeply([@$made{qw(tenantUrl tenantUrls)}], [undef, []], 'without a URL, which no httpd has told');
is_deeply([@$made{qw(tenant connection scope expires hint)}], ['acme', 'okta', 'read', undef, substr($made->{token}, -4)],
    'and what it may and for how long');
json(@store, qw(token create --tenant beta --connection okta --expires 12h --scope), 'write,read');

says('C-314 tokens are listed without the tokens', 0,
    qr/\ACONNECTION  HINT  SCOPE       STATE  CREATED .*\nentra       @{[substr $token, -4]}  read,write  valid /, $nothing, '',
    @store, 'token', 'list', '--tenant', 'acme');
my $listed = json(@store, qw(token list --tenant acme));
is_deeply([sort map { "$_->{connection} $_->{scope} $_->{state}" } @$listed], ['entra read,write valid', 'okta read valid'],
    'tokens as JSON, of this tenant alone');
unlike(JSON::PP::encode_json($listed) . slurp("$dir/store/data.mdb"), qr/\Q$token\E/, 'C-311 C-314 no token stands in the list or in the store');

my @form = qw(token check --form);
says('the form of a token', 0, qr/right form/, $nothing, "$token\n", @form);
says('the form of the line of token create', 0, qr/right form/, $nothing, $shown, @form);
says('the form of all that token create prints', 0, qr/right form/, $nothing, "Tenant URL: https://a.example/scim\n$shown", @form);
says('the form of a token cut short', 4, $nothing, qr/no token/, substr($token, 0, -1), @form);
says('the form of a token mistyped', 4, $nothing, qr/no token/, $token =~ s/(.)\z/$1 eq 'x' ? 'y' : 'x'/er, @form);
says('the form of nothing', 4, $nothing, qr/no token/, '', @form);

# What the store says of a token: exit code and JSON.
sub checked
{
    my ($text) = @_;
    my ($code, $out) = scimctl($text, @store, qw(--json token check));
    return ($code, JSON::PP->new->utf8->decode($out));
}

says('C-314 check of a token', 0, qr/^State: +valid\nTenant: +acme\nConnection: +entra\nScope: +read,write\n.*^Expires: +20/ms, $nothing, $shown,
    @store, qw(token check));
my ($accepted, $said) = checked($token);
is_deeply([$accepted, @$said{qw(wellFormed accepted state tenant tenantState connection scope hint)}],
    [0, JSON::PP::true, JSON::PP::true, 'valid', 'acme', 'active', 'entra', 'read,write', substr($token, -4)], 'check of a token as JSON');
says('check needs a store', 2, $nothing, qr/scimctl init/, $token, '--store', "lmdb:$dir/none", qw(token check));
says('check of a token cut short', 4, $nothing, qr/no token/, substr($token, 0, -1), @store, qw(token check));
{
    # Of another store, hence of the right form.
    my $stranger = "lmdb:$dir/stranger";
    scimctl('', '--store', $stranger, 'init', '--owner', $owner);
    scimctl('', '--store', $stranger, qw(tenant create acme));
    my (undef, $theirs) = scimctl('', '--store', $stranger, qw(token create --tenant acme --connection entra));
    says('check of a token of another store', 3, $nothing, qr/does not know/, $theirs, @store, qw(token check));
    is_deeply((checked($theirs))[1], { wellFormed => JSON::PP::true, state => 'unknown', accepted => JSON::PP::false }, 'as JSON');
}
{
    my $brief = json(@store, qw(token create --tenant acme --connection brief --expires 1s));
    sleep 2;
    says('check of a token that has expired', 4, qr/^State: +expired$/m, qr/expired: scimctl token rotate --tenant acme --connection brief/,
        $brief->{token}, @store, qw(token check));
    says('a rotation of a connection whose token has expired', 0, qr/\ASecret Token: mscim_\w{49}\n\z/, qr/only time(?!.*older)/s, '',
        @store, qw(token rotate --tenant acme --connection brief));
    scimctl('', @store, qw(token revoke --tenant acme --connection brief));
}
scimctl('', @store, qw(tenant suspend acme));
says('check of a token of a suspended tenant', 4, qr/^State: +valid\nTenant: +acme \(suspended\)$/m, qr/403.*tenant resume acme/, $token,
    @store, qw(token check));
is_deeply([(checked($token))[1]->@{qw(accepted tenantState)}], [JSON::PP::false, 'suspended'], 'as JSON');
scimctl('', @store, qw(tenant resume acme));

# --- rotation ----------------------------------------------------------------

{
    my @entra = (@store, qw(token rotate --tenant acme --connection entra));
    my ($hint) = $token =~ /(....)\z/;
    says('a rotation of nothing', 3, $nothing, qr/no token yet: scimctl token create --tenant acme --connection none/, '',
        @store, qw(token rotate --tenant acme --connection none));
    says('a rotation of no tenant', 3, $nothing, qr/no tenant "nix"/, '', @store, qw(token rotate --tenant nix --connection entra));
    says('a rotation without a connection', 1, $nothing, qr/token rotate needs --tenant and --connection/, '', @store, qw(token rotate --tenant acme));
    says('a grace of nothing', 1, $nothing, qr/--grace soon is no time/, '', @entra, qw(--grace soon));
    my $next = says('C-314 a rotation', 0, qr/\ASecret Token: mscim_\w{49}\n\z/,
        qr/^The older token that ends in $hint is good until 20.*^    scimctl token revoke --tenant acme --connection entra --hint $hint$/ms, '', @entra);
    is_deeply([map { (checked($_))[0] } $token, $next], [0, 0], 'both are good');
    my $soon = POSIX::strftime('%Y-%m-%dT%H:%M', gmtime(time + 3600));
    my $third = json(@entra, qw(--grace 1h --expires 30d));
    my $soon_after = POSIX::strftime('%Y-%m-%dT%H:%M', gmtime(time + 3600));
    is_deeply([@$third{qw(connection scope)}], ['entra', 'read,write'], 'a rotation as JSON, with the scope of the others');
    my %expires = map { $_->{hint} => $_->{expires} } @{ json(@store, qw(token list --tenant acme)) };
    my ($second) = $next =~ /(....)\n/;
    is_deeply([map { $_ ge $soon && substr($_, 0, 16) le $soon_after ? 1 : $_ } @expires{ $hint, $second }], [1, 1], 'the others end with the grace');
    is(substr($expires{ $third->{hint} }, 0, 10), POSIX::strftime('%Y-%m-%d', gmtime(time + 30 * 86400)), 'the last with its time');
    scimctl('', @store, qw(token revoke --tenant acme --connection entra --hint), $_) for $second, $third->{hint};
    says('the steps for a provider', 0, qr/\ASecret Token:/, qr/SCIM connector base URL/, '', @entra, qw(--for okta));
    says('the steps for nobody', 1, $nothing, qr/--for sap: write entra, jumpcloud or okta/, '', @entra, qw(--for sap));
    my ($last) = grep { $_->{connection} eq 'entra' && $_->{hint} ne $hint } @{ json(@store, qw(token list --tenant acme)) };
    scimctl('', @store, qw(token revoke --tenant acme --connection entra --hint), $last->{hint});
}

says('revoke with another hint', 3, $nothing, qr/ends in ____/, '', @store, qw(token revoke --tenant acme --connection okta --hint ____));
says('revoke by the hint', 0, qr/1 token is revoked/, $nothing, '', @store, qw(token revoke --tenant acme --connection okta --hint), $made->{hint});
says('revoke by the token', 0, qr/1 token is revoked/, $nothing, $token, @store, qw(token revoke -i));
says('revoke once more', 3, $nothing, qr/does not know/, $token, @store, qw(token revoke -i));
says('revoke what is no token', 4, $nothing, qr/no token/, 'secret', @store, qw(token revoke --stdin));
says('revoke of two minds', 1, $nothing, qr/either -i or/, $token, @store, qw(token revoke -i --tenant acme));
is(scalar @{ json(@store, qw(token list --tenant beta)) }, 1, 'tokens of other tenants stay');

# A token that nobody could see is taken back.
{
    my $err = File::Temp->new;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', '/dev/full';
        open STDERR, '>', $err->filename;
        no warnings 'exec';
        exec { "$build/scimctl" } 'scimctl', @store, qw(token create --tenant acme --connection lost);
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    is($? >> 8, 5, 'a token that cannot be written');
    like(slurp($err->filename), qr/taken back/, 'is said to be gone');
    is_deeply(json(@store, qw(token list --tenant acme)), [], 'and is gone');
}
{
    scimctl('', @store, qw(token create --tenant acme --connection kept --expires never));
    my $before = json(@store, qw(token list --tenant acme));
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', '/dev/full';
        open STDERR, '>', '/dev/null';
        no warnings 'exec';
        exec { "$build/scimctl" } 'scimctl', @store, qw(token rotate --tenant acme --connection kept --grace 1s);
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    is($? >> 8, 5, 'a rotation that cannot be written');
    is_deeply(json(@store, qw(token list --tenant acme)), $before, 'is taken back, its grace too');
}

# --- stat --------------------------------------------------------------------

says('stat', 0, qr/^Tenants: +2\n.*^Used: +\d(?!.*May grow).*^Pending: +nothing\nBrakes on: +none\n/ms, $nothing, '', @store, 'stat');
my $stat = json(@store, 'stat');
is_deeply([@$stat{qw(format tenants readers pendingGroups pendingMembers brakes)}], [3, 2, 0, 0, 0, []], 'stat as JSON');
cmp_ok($stat->{used}, '>', 0, 'which counts bytes');

# --- beside a server ---------------------------------------------------------

my $s = Scim::Httpd->new;
my $live = $s->new_token(connection => 'entra');
my @as = (authorization => "Bearer $live");
# Each request over a connection of its own, so that every process is asked.
my $ask = sub { return $s->get('/Users', @as)->status };
is_deeply([parallel(8, $ask)], [(200) x 8], 'a token that is made while the server runs is known at once');
is(($s->scimctl(qw(token revoke --tenant default --connection entra)))[0], 0, 'it is revoked');
is_deeply([parallel(8, $ask)], [(401) x 8], 'C-314 C-015 no process takes it any more');
is_error($s->get('/Users', @as), 401, undef, 'C-015 the answer is an error of SCIM');
is($s->get('/Users')->status, 200, 'the other connection goes on');
my $short = $s->new_token(connection => 'short', expires => '1s');
is($s->get('/Users', authorization => "Bearer $short")->status, 200, 'a token of one second');
sleep 2;
my $late = $s->get('/Users', authorization => "Bearer $short");
is_error($late, 401, undef, 'C-015 C-314 two seconds later it has expired');
like($late->json->{detail}, qr/expired/, 'and the answer says so');
my $read = $s->new_token(connection => 'reader', scope => 'read');
is_error($s->post('/Users', { schemas => [$USER], userName => 'a' }, authorization => "Bearer $read"), 403, undef,
    'C-016 a token to read does not write');
cmp_ok(JSON::PP::decode_json(($s->scimctl('--json', 'stat'))[1])->{entries}, '>', 0, 'stat while the server runs');
$s->log_clean;
done_testing();
