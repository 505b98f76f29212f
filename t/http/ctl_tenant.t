#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl beside a server: tenants are suspended and released, tokens rotate, and
# groups, users and policies are seen as authorization sees them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;
use Time::HiRes qw(sleep);

my $s;

# One call: exit code, stdout and stderr.
sub ctl { return $s->scimctl(@_) }

sub says
{
    my ($name, $want, $like_out, $like_err, @args) = @_;
    my ($code, $out, $err) = ctl(@args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($code == $want && $out =~ $like_out && $err =~ $like_err, $name)
        || diag("scimctl @args: exit code $code, not $want\nstdout: $out\nstderr: $err");
}

sub json
{
    my (@args) = @_;
    my ($code, $out, $err) = ctl('--json', @args);
    die "scimctl @args: exit code $code\n$err" if $code;
    return JSON::PP->new->utf8->decode($out);
}

my $nothing = qr/\A\z/;
my $ROLES = <<'EOT';
SCIMRole admin "Administrators*"
SCIMRole member "Team*" Staff "Say \"hi\""
SCIMCustomGroups ignore
SCIMOnGroupDelete delete
SCIMDeleteLimit 500/h
<SCIMTenantPolicy other>
    SCIMRole guest "Guests"
    SCIMCustomGroups refuse
    SCIMOnGroupDelete deactivate
    SCIMDeleteLimit Off
    SCIMPasswordSync On
    SCIMUniqueGroupNames Off
    SCIMDanglingReferences allow
</SCIMTenantPolicy>
EOT

$s = Scim::Httpd->new(
    site_args(qw(babs carl dora)),
    start => 0,
    conf => $ROLES . site('/any', 'Require scim-user') . site('/member', 'Require scim-role member') . site('/admin', 'Require scim-role admin'),
);
refusals($s);
ctl(qw(tenant create other));
my $other = $s->new_token(tenant => 'other');
$s->start;

my %id = map { $_ => made($s, '/Users', user($_, displayName => "The $_", externalId => "x-$_"))->{id} } qw(babs carl dora);
made($s, '/Groups', group('Team North', $id{babs}, $id{carl}));
my $outer = made($s, '/Groups', group('Staff'))->{id};
my $inner = made($s, '/Groups', group('Administrators of all', $id{dora}))->{id};
changed($s, "/Groups/$outer", ['add', 'members', [{ value => $inner }]]);
made($s, '/Groups', group('Chess club', $id{babs}));

subtest 'a suspended tenant' => sub {
    says('suspended', 0, qr/answered 403.*authorization by it goes on.*scimctl tenant resume default/s, $nothing, qw(tenant suspend default));
    for my $request (['GET', '/Users'], ['POST', '/Users', user('new')], ['DELETE', "/Users/$id{babs}"], ['GET', '/Schemas']) {
        my $r = $s->request(@$request);
        is_error($r, 403, undef, "$request->[0] $request->[1]");
        like($r->json->{detail}, qr/provisioning is not enabled for this organisation/i, 'says so');
    }
    is($s->get('/Users', authorization => "Bearer $other")->status, 200, 'other tenants are served');
    is_deeply([map { enter($s, $_, 'babs') } '/any', '/member', '/admin'], [200, 200, 403], 'authorization goes on');
    says('once more', 0, qr/already suspended/, $nothing, qw(tenant suspend default));
    is_deeply({ map { $_->{name} => $_->{state} } @{ json(qw(tenant list)) } }, { default => 'suspended', other => 'active' }, 'in the list');
    $s->graceful;
    is($s->get('/Users')->status, 403, 'a restart changes nothing');
    is(json(qw(tenant resume default))->{changed}, JSON::PP::true, 'resumed');
    is($s->get('/Users')->json->{totalResults}, 3, 'nothing is lost');
    says('once more', 0, qr/active already/, $nothing, qw(tenant resume default));
    says('a tenant that is not there', 3, $nothing, qr/no tenant "nix"/, qw(tenant suspend nix));
    says('no tenant', 1, $nothing, qr/a name is missing/, qw(tenant resume));
};

subtest 'groups' => sub {
    my %seen = map { $_->{name} => [@$_{qw(members role)}] } @{ json(qw(group list --tenant default)) };
    is_deeply(
        \%seen,
        {
            'Team North' => [2, 'member'],
            'Staff' => [1, 'member'],
            'Administrators of all' => [1, 'admin'],
            'Chess club' => [1, 'unsupported'],
        },
        'name, members and role'
    );
    says('as a table', 0, qr/\ANAME +MEMBERS  ROLE +ID\n.*^Chess club +1 +unsupported  [0-9a-f-]{36}$/ms, $nothing, qw(group list --tenant default));
    says('of none', 0, qr/no group/, $nothing, qw(group list --tenant other));
    says('of no tenant', 3, $nothing, qr/no tenant "nix"/, qw(group list --tenant nix));
    says('of nobody', 1, $nothing, qr/needs --tenant/, qw(group list));
    made($s, '/Groups', group("Gr\x{fc}\x{df}e \e[31m \x{9b}31m"));
    says('a name that would steer the terminal', 0, qr/Gr\xc3\xbc\xc3\x9fe \?\[31m \?31m/, $nothing, qw(group list --tenant default));
};

subtest 'more groups than one page' => sub {
    my $r = $s->post('/Bulk', {
        schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],
        Operations => [map { { method => 'POST', path => '/Groups', bulkId => "g$_", data => group("Many $_") } } 1 .. 500],
    }, authorization => "Bearer $other");
    is($r->status, 200, 'made') or diag($r->content);
    my @refused = grep { $_->{status} != 201 } @{ $r->json->{Operations} };
    is(scalar @refused, 500, 'refused, under the policy of that tenant');
    $r = $s->post('/Bulk', {
        schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],
        Operations => [map { { method => 'POST', path => '/Groups', bulkId => "g$_", data => group('Guests') } } 1 .. 500],
    }, authorization => "Bearer $other");
    $s->post('/Groups', group('GUESTS'), authorization => "Bearer $other") for 1 .. 2;
    my $list = json(qw(group list --tenant other));
    is(scalar @$list, 502, 'all are listed');
    is(scalar(grep { $_->{role} eq 'guest' } @$list), 502, 'with their role');
    my %ids = map { $_->{id} => 1 } @$list;
    is(scalar keys %ids, 502, 'each once');
};

subtest 'a user' => sub {
    is_deeply(
        json(qw(user show --tenant default BABS)),
        {
            userName => 'babs',
            id => $id{babs},
            state => 'active',
            displayName => 'The babs',
            email => undef,
            externalId => 'x-babs',
            roles => ['member'],
            groups => [{ name => 'Team North', direct => JSON::PP::true, role => 'member' }],
        },
        'as authorization sees it: without case, without groups that do not count'
    );
    my $dora = json(qw(user show --tenant default dora));
    is_deeply($dora->{roles}, ['admin', 'member'], 'roles in the order of the directives');
    is_deeply([map { [@$_{qw(name direct role)}] } @{ $dora->{groups} }],
        [['Administrators of all', JSON::PP::true, 'admin'], ['Staff', JSON::PP::false, 'member']], 'groups around groups');
    says('as text', 0, qr/^State: +active\n.*^Roles: +admin, member\nGroups: +Administrators of all: admin\n +Staff \(indirect\): member\n/ms,
        $nothing, qw(user show --tenant default dora));
    changed($s, "/Users/$id{carl}", ['replace', 'active', JSON::PP::false]);
    my $carl = json(qw(user show --tenant default carl));
    is_deeply([@$carl{qw(state roles groups)}], ['inactive', [], []], 'one that is not active has nothing that counts');
    says('as text', 0, qr/^State: +inactive: every Require refuses it.*^Roles: +none$/ms, $nothing, qw(user show --tenant default carl));
    is(enter($s, '/any', 'carl'), 403, 'as the sites see it');
    says('one who is not there', 3, $nothing, qr/no user of the userName "nix"/, qw(user show --tenant default nix));
    says('of another tenant', 3, $nothing, qr/no user/, qw(user show --tenant other babs));
};

subtest 'policies' => sub {
    my $of_default = <<'EOT';
SCIMRole admin "Administrators*"
SCIMRole member "Team*"
SCIMRole member "Staff"
SCIMRole member "Say \"hi\""
SCIMCustomGroups ignore
SCIMUniqueGroupNames On
SCIMOnGroupDelete delete
SCIMDeleteLimit 500/h
SCIMDanglingReferences refuse
SCIMPasswordSync Off
EOT
    my ($code, $out) = ctl(qw(policy --tenant default));
    is($code, 0, 'of a tenant');
    is($out =~ s/^#.*\n//mgr, $of_default, 'as directives');
    like($out, qr/httpd.*restart/s, 'which says where they come from');
    my ($all) = (ctl('policy'))[1];
    like($all, qr/\Q$of_default\E.*^# Tenant default: the same$/ms, 'of all: those to come');
    like($all, qr/^<SCIMTenantPolicy other>\n    SCIMRole guest "Guests"\n    SCIMCustomGroups refuse\n    SCIMUniqueGroupNames Off\n    SCIMOnGroupDelete deactivate\n    SCIMDeleteLimit Off\n    SCIMDanglingReferences allow\n    SCIMPasswordSync On\n<\/SCIMTenantPolicy>$/m,
        'of all: a tenant that has another');
    my ($good, $said) = Scim::Httpd->configtest(conf => $all);
    is($good, 0, 'httpd takes what is printed') or diag($said);
    is_deeply(
        json(qw(policy --tenant other)),
        {
            tenant => 'other',
            roles => [{ role => 'guest', pattern => 'Guests' }],
            customGroups => 'refuse',
            uniqueGroupNames => JSON::PP::false,
            onGroupDelete => 'deactivate',
            deleteLimit => undef,
            danglingReferences => JSON::PP::true,
            passwordSync => JSON::PP::true,
        },
        'as JSON'
    );
    is_deeply([map { $_->{tenant} } @{ json('policy') }], [undef, 'default', 'other'], 'all as JSON');
    says('of no tenant', 3, $nothing, qr/no tenant "nix"/, qw(policy --tenant nix));
};

subtest 'C-314 tokens rotate under load' => sub {
    my $old = $s->token;
    pipe my $from, my $to or die "pipe: $!\n";
    my $file = $s->dir . '/token-in-use';
    my $use = sub {
        open my $out, '>', "$file.new" or die "$file: $!\n";
        print $out $_[0];
        close $out;
        rename "$file.new", $file or die "$file: $!\n";
    };
    $use->($old);
    # The identity provider: asks without a pause with the token that it has.
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $from;
        my (%statuses, %tokens, $stop);
        local $SIG{USR2} = sub { $stop = 1 };
        while (!$stop) {
            open my $in, '<', $file or die "$file: $!\n";
            my $token = <$in>;
            $tokens{ substr $token, -4 }++;
            $statuses{ $s->get('/Users?count=1', authorization => "Bearer $token")->status }++;
        }
        print $to JSON::PP::encode_json([\%statuses, \%tokens]);
        close $to;
        POSIX::_exit(0);
    }
    close $to;
    sleep 0.3;
    my @tokens = ($old);
    for (1 .. 3) {
        my ($token) = (ctl(qw(token rotate --tenant default --connection test --grace 1h)))[1] =~ /^Secret Token: (\S+)/m;
        sleep 0.2;
        $use->($token);
        sleep 0.2;
        my ($code) = ctl(qw(token revoke --tenant default --connection test --hint), substr $tokens[-1], -4);
        is($code, 0, 'the one before it is revoked');
        push @tokens, $token;
        sleep 0.2;
    }
    kill 'USR2', $pid;
    my ($statuses, $used) = @{ JSON::PP::decode_json(do { local $/; <$from> }) };
    waitpid $pid, 0;
    is_deeply([keys %$statuses], [200], 'no request fails');
    is_deeply([sort keys %$used], [sort map { substr $_, -4 } @tokens], 'every token was used');
    is($s->get('/Users', authorization => "Bearer $old")->status, 401, 'the first one is done');
    $s->{token} = $tokens[-1];
    is($s->get('/Users')->status, 200, 'the last one is good');
};

$s->log_clean;

# --- the brake, and what is pending -------------------------------------------

$s = Scim::Httpd->new(conf => "SCIMRole member Staff\nSCIMOnGroupDelete delete\nSCIMDeleteLimit 2/h");
subtest 'the brake' => sub {
    my @users = map { made($s, '/Users', user("u$_"))->{id} } 1 .. 4;
    says('is off', 0, qr/^default  active  off /m, $nothing, qw(tenant list));
    says('and there is nothing to release', 0, qr/was not on/, $nothing, qw(tenant release default));
    is($s->delete("/Users/$_")->status, 204, 'deleted') for @users[0, 1];
    is_error($s->delete("/Users/$users[2]"), 429, undef, 'one too many');
    says('is on', 0, qr/^default  active  on /m, $nothing, qw(tenant list));
    says('and stat says so', 0, qr/^Brakes on: +default$/m, $nothing, 'stat');
    is_deeply(json('stat')->{brakes}, ['default'], 'as JSON');
    is(json(qw(tenant list))->[0]{brake}, JSON::PP::true, 'the list as JSON');
    is_deeply(json(qw(tenant release default)), { name => 'default', released => JSON::PP::true }, 'released');
    is($s->delete("/Users/$users[2]")->status, 204, 'it goes on');
    says('no tenant', 3, $nothing, qr/no tenant "nix"/, qw(tenant release nix));
    says('verify is content', 0, qr/Nothing is wrong/, $nothing, 'verify');
};
$s->log_clean;

done_testing();
