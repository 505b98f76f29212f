#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A server and its database, which comes late, goes, and comes again: no request is answered
# with another error than 503 and Retry-After, nothing is restarted, and what the start
# was to write is written when the database is there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

BEGIN { $ENV{SCIM_ENGINE} = 'lmdb' } # this test has a database of its own
use Scim::Httpd;
use Scim::Postgres;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'PostgreSQL is not installed (make check ENGINE=pgsql installs it)' if !Scim::Postgres->installed;

my $build = $ENV{SCIM_BUILD} || "$FindBin::Bin/../../build";
my $db = Scim::Postgres->new;
my $url = 'pgsql:' . $db->where;
my ($workers) = grep { defined } map { (getpwnam $_)[2] } qw(www-data apache httpd daemon nobody);
$db->give_passfile($> == 0 ? $workers : $>);

# Behind the harness's own SCIMStore, whose place it takes.
sub conf
{
    my (@lines) = @_;
    return join "\n", "LoadModule scim_pgsql_module $build/mod_scim_pgsql.so", "SCIMStore \"$url\"",
        "<Location /status>\nSetHandler scim-status\n</Location>", @lines, '';
}

sub scimctl
{
    my (@args) = @_;
    my $said = $db->dir . '/scimctl';
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', $said;
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec { "$build/scimctl" } "$build/scimctl", '--store', $url, @args;
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($? >> 8, slurp($said));
}

# Until the answer is the one; what comes before may be 503, and then says when to come again.
# The status that it ends with.
sub until_status
{
    my ($s, $wanted, $what) = @_;
    my $end = time + 30;
    my @wrong;
    while (1) {
        my $answer = $s->get('/Users?count=1');
        if ($answer->status == $wanted || time > $end) {
            is($answer->status, $wanted, $what);
            is_deeply(\@wrong, [], 'and until then 503 with Retry-After');
            return;
        }
        push @wrong, $answer->status if $answer->status != 503 || !$answer->header('retry-after');
        sleep 0.05;
    }
}

my $s = Scim::Httpd->new(conf => conf('SCIMRole admin Staff'), tenant => 'acme');
my $lmdb_token = $s->token;

subtest 'a server that starts before its database' => sub {
    $s->expect_log(qr/SCIM1302: SCIMStore \Q$url\E: .*the server goes on/, qr/SCIM1303: SCIMStore \Q$url\E: /);
    is_error($s->get('/Users'), 503, undef, 'answers 503');
    $db->start;
    until_status($s, 401, 'and knows, when the database is there, that it does not know the token');
    ok($s->wait_log(qr/SCIM1325: SCIMStore \Q$url\E: it is there now/, 5), 'which the log tells');
    my ($code, $said) = scimctl('init');
    is($code, 0, 'the tables are made by then') || diag($said);
    like($said, qr/is there already/, 'by the server');
    ($code, $said) = scimctl('policy');
    like($said, qr/^SCIMRole admin "?Staff"?$/m, 'and the policy is written') || diag($said);
};

subtest 'it serves' => sub {
    my ($code, $said) = scimctl('tenant', 'create', 'acme');
    is($code, 0, 'a tenant is made') || diag($said);
    ($code, $said) = scimctl('token', 'create', '--tenant', 'acme', '--connection', 'test');
    my ($token) = $said =~ /^Secret Token: (\S+)/m;
    ok($token, 'and a token') || diag($said);
    like($said, qr{^Tenant URL: http://\S+/scim/v2$}m, 'with the URL that the server has told of');
    $s->{token} = $token;
    is($s->post('/Users', { schemas => [$USER], userName => 'bjensen' })->status, 201, 'a user is made');
    is_error($s->post('/Users', { schemas => [$USER], userName => 'BJENSEN' }), 409, 'uniqueness', 'only once');
    ($code, $said) = scimctl('user', 'list', '--tenant', 'acme');
    like($said, qr/bjensen/, 'scimctl sees it');
    ($code, $said) = scimctl('verify');
    is($code, 0, 'and that all is whole') || diag($said);
    ($code, $said) = scimctl('stat');
    like($said, qr/^Entries: +[1-9]/m, 'and how much there is') || diag($said);
    ($code, $said) = scimctl('reindex');
    is($code, 0, 'with indexes as they should be') || diag($said);
    ($code, $said) = scimctl('doctor', '--no-token', '--url', $s->url('/scim/v2'));
    like($said, qr/^ok    store: \Q$url\E opens, format \d+\n(?:.*\n)*?ok    store: [\d.]+ \w+ are used$/m, 'doctor looks into it') || diag($said);
    # An apachectl that knows of one module only.
    open my $program, '>', $db->dir . '/apachectl' or die "apachectl: $!\n";
    print $program "#!/bin/sh\necho ' scim_module (shared)'\n";
    close $program;
    chmod 0755, $db->dir . '/apachectl';
    ($code, $said) = do { local $ENV{PATH} = $db->dir . ":$ENV{PATH}"; scimctl('doctor', '--no-token') };
    like($said, qr/^FAIL  httpd: mod_scim_pgsql is not loaded.*\n +-> a2enmod scim_pgsql/m, 'and looks for its module') || diag($said);
    my $page = $s->get($s->url('/status'), Authorization => undef);
    is($page->status, 200, 'the status page shows it');
    like($page->content, qr/\Q$url\E/, 'with where it is');
    unlike($page->content, qr/May grow to|of its file/, 'but no file, and no size');
    my $json = $s->get($s->url('/status?json'), Authorization => undef)->json;
    is($json->{store}{size}, undef, 'nor does it in JSON');
    is($s->get($s->url('/status?ready'))->status, 200, 'it is ready');
};

subtest 'a database that is restarted' => sub {
    # The first that meet the end of their session may be told so.
    $s->allow_log(qr/SCIM1201: .*\Q@{[ $db->dir ]}\E/);
    $db->restart;
    until_status($s, 200, 'is found again');
    is($s->patch('/Users/' . $s->get('/Users?filter=userName%20eq%20%22bjensen%22')->json->{Resources}[0]{id},
        { schemas => [$PATCH_OP], Operations => [{ op => 'replace', path => 'title', value => 'Guide' }] })->status, 200, 'and changed');
};

subtest 'a database that is away for a while' => sub {
    $db->stop;
    for (1 .. 5) {
        my $answer = $s->get('/Users');
        is_error($answer, 503, undef, 'a request is answered 503');
        like($answer->header('retry-after'), qr/^\d+$/, 'with Retry-After');
    }
    is($s->get($s->url('/status?ready'))->status, 503, 'a load balancer is told');
    $s->expect_log(qr/SCIM1704/);
    my ($code, $said) = scimctl('stat');
    is($code, 2, 'scimctl cannot open it');
    like($said, qr/\Q@{[ $db->dir ]}\E/, 'and says where it is to be');
    ($code, $said) = $s->configtest(conf => conf('SCIMRole admin Staff'));
    is($code, 0, 'configtest does not ask for it') || diag($said);
    $db->start;
    until_status($s, 200, 'it is served as soon as it is there');
};

subtest 'a restart while it is away' => sub {
    $db->stop;
    $s->write_conf(conf => conf('SCIMRole admin Chiefs', "<SCIMTenantPolicy acme>\nSCIMRole admin Bosses\n</SCIMTenantPolicy>",
        "<SCIMTenantPolicy nobody>\nSCIMRole admin Bosses\n</SCIMTenantPolicy>"));
    ok($s->graceful, 'is one all the same');
    $db->start;
    until_status($s, 200, 'and serves then');
    my ($code, $said) = scimctl('policy', '--tenant', 'acme');
    like($said, qr/Bosses/, 'the policy of the new configuration is written') || diag($said);
    ok($s->wait_log(qr/SCIM1311: SCIMStore \Q$url\E: the policy of tenant acme was another/, 5), 'which the log tells');
    $s->expect_log(qr/SCIM1308: <SCIMTenantPolicy nobody>/);
};

subtest 'a role that may make no tables' => sub {
    # Whom the database belongs to may; the tables that are there are its own still.
    $db->psql('ALTER DATABASE scim OWNER TO postgres');
    $s->stop;
    $s->start;
    is($s->get('/Users')->status, 200, 'needs none where they are there');
    my ($code, $said) = scimctl('init');
    is($code, 0, 'nor does scimctl init') || diag($said);
};

subtest 'so many connections' => sub {
    $s->stop;
    $s->write_conf(conf => conf('SCIMRole admin Staff', 'SCIMStoreConnections 2'), children => 1);
    $s->start;
    my @statuses = parallel(12, sub { $s->get('/Users?count=1')->status });
    is_deeply([grep { $_ != 200 } @statuses], [], 'more requests than connections are answered');
    my $count = $db->psql(q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'scim'));
    cmp_ok($count, '>=', 1, 'it is connected');
    cmp_ok($count, '<=', 2, 'not more often than SCIMStoreConnections says');
};

subtest 'a system with other tables of Unicode' => sub {
    plan skip_all => 'a sanitizer wants to be loaded first' if $ENV{SCIM_SAN};
    my $other = $db->dir . '/unicode.so';
    open my $cc, '|-', $ENV{CC} || 'cc', qw(-shared -fPIC -x c -o), $other, '-' or die "cc: $!\n";
    print $cc "const char *utf8proc_unicode_version(void) { return \"9.9.9\"; }\n";
    ok(close $cc, 'is made up');
    my $there = sub { local $ENV{LD_PRELOAD} = $other; return scimctl(@_) };
    my ($code, $said) = $there->('stat');
    is($code, 2, 'and does not open the store');
    like($said, qr/was written with the tables of Unicode/, 'saying why');
    ($code, $said) = $there->('reindex');
    is($code, 4, 'nor makes its indexes anew by itself');
    like($said, qr/stop httpd on all machines, then say scimctl reindex --force/, 'since nobody knows who has it open');
    ($code, $said) = $there->('reindex', '--force');
    is($code, 0, 'but for the word of the administrator') || diag($said);
    is(($there->('stat'))[0], 0, 'then it opens it');
    is((scimctl('stat'))[0], 2, 'and others do not');
    is((scimctl('reindex', '--force'))[0], 0, 'and back');
};

subtest 'who may not connect' => sub {
    my $wrong = 'pgsql:' . $db->where(user => 'nobody_at_all');
    my ($code, $said) = (scimctl('--store', $wrong, 'stat'));
    is($code, 2, 'scimctl is not let in');
    like($said, qr/nobody_at_all/, 'and says who was not');
    $wrong = 'pgsql:' . $db->where(dbname => 'nothing_there');
    ($code, $said) = (scimctl('--store', $wrong, 'stat'));
    is($code, 2, 'nor is there another database');
    like($said, qr/nothing_there/, 'and that is said');
    $db->psql('CREATE DATABASE empty OWNER scim');
    ($code, $said) = (scimctl('--store', 'pgsql:' . $db->where(dbname => 'empty'), 'stat'));
    is($code, 2, 'one that is empty is no store');
    like($said, qr/scimctl.*init/, 'before init');
};

subtest 'the password' => sub {
    my $password = $db->password;
    my @all = map { slurp($_) } map { "$_->[0]/$_->[1]" } [$s->dir, 'error_log'], [$s->dir, 'access_log'], [$s->dir, 'stderr'], [$db->dir, 'log'];
    ok(length $all[0] && length $all[3], 'there are logs');
    is(scalar(grep { /\Q$password\E/ } @all), 0, 'it is in none of them');
    my $page = join '', map { $s->get($s->url("/status$_"), Authorization => undef)->content } '', '?json', '?prometheus';
    like($page, qr/\Q@{[ $db->dir ]}\E/, 'the status page tells of the store');
    unlike($page, qr/\Q$password\E/, 'but not of it');
    my ($code, $dump) = $s->configtest(dump => 1, conf => conf());
    like($dump, qr/SCIMStore "?\Q$url\E/, 'and so does DUMP_SCIM') || diag($dump);
    unlike($dump, qr/\Q$password\E/, 'likewise');
};
$s->log_clean;
done_testing();
