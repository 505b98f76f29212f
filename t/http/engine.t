#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A store that is elsewhere, as far as that needs nobody there: what configtest and scimctl
# say of its url, a password in it that nobody repeats, and a server that starts though the
# database is away, and says so once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

BEGIN { $ENV{SCIM_ENGINE} = 'lmdb' } # the module of the other engine is loaded here, or not
use File::Temp ();
use IO::Socket::UNIX;
use IPC::Open3 qw(open3);
use Scim::Httpd;
use Symbol qw(gensym);
use Test::More;
use Time::HiRes qw(sleep time);

my $build = $ENV{SCIM_BUILD} || "$FindBin::Bin/../../build";
my $load = "LoadModule scim_pgsql_module $build/mod_scim_pgsql.so\n";
my $nowhere = File::Temp->newdir('scim-XXXXXX', TMPDIR => 1);
my $away = "pgsql:host=$nowhere dbname=scim";

# The secret is one that nobody else has.
my $secret = 'hunter' . int rand 1e9;
my @secrets = (
    "pgsql:dbname=scim password=$secret",
    "pgsql:dbname=scim password  =  '$secret'",
    "pgsql:dbname=scim sslpassword=$secret",
    "pgsql:postgresql://scim:$secret\@db.example.com/scim",
    "pgsql:postgres://scim:$secret\@db.example.com",
    "pgsql:postgresql://db.example.com/scim?user=scim&password=$secret",
    "pgsql:postgresql://db.example.com/scim?p%61ssword=$secret",
    "postgresql://scim:$secret\@db.example.com/scim",
);

sub tested
{
    my (%arg) = @_;
    return Scim::Httpd->configtest(%arg);
}

# Another store than the harness has.
sub scimctl
{
    my ($env, @args) = @_;
    local %ENV = (%ENV, %$env);
    my $err = gensym;
    my $pid = open3(my $in, my $out, $err, "$build/scimctl", @args);
    close $in;
    my ($said, $complained) = map { local $/; <$_> // '' } $out, $err;
    waitpid $pid, 0;
    return ($? >> 8, $said, $complained);
}

subtest 'the module of the engine' => sub {
    my ($code, $said) = tested(conf => "SCIMStore \"$away\"\n");
    isnt($code, 0, 'without it nothing starts');
    like($said, qr/SCIM1324: SCIMStore at line \d+ of \S+: ".*" is a store on PostgreSQL, .*a2enmod scim_pgsql/, 'and configtest says what is missing');
    ($code, $said) = tested(conf => "SCIMStore \"$away\"\n$load");
    is($code, 0, 'with it, it does, wherever its line stands') || diag($said);
    unlike($said, qr/SCIM\d/, 'and configtest asks nobody whether the database is there');
    ($code, $said) = tested(conf => "${load}SCIMStore \"$away\"\n<VirtualHost *>\nSCIMStore \"pgsql:hots=x\"\n</VirtualHost>\n");
    isnt($code, 0, 'a connection string that is none');
    like($said, qr/SCIM1324: SCIMStore at line \d+ of \S+: .*connection string/, 'is refused, with where it stands');
};

subtest 'a password' => sub {
    for my $url (@secrets) {
        my ($code, $said) = tested(conf => "${load}SCIMStore \"$url\"\n");
        isnt($code, 0, "$url: configtest refuses it");
        like($said, qr/on line \d+ of .*passfile=.*PGPASSFILE.*sslcert=.*peer/s, 'and says where it belongs');
        unlike($said, qr/$secret/, 'without repeating it');
        for my $given ([{}, '--store', $url], [{ SCIM_STORE => $url }]) {
            my ($env, @store) = @$given;
            my ($exit, $out, $err) = scimctl($env, @store, 'stat');
            is($exit, 1, 'scimctl refuses it');
            like($err, qr/passfile=/, 'and says so, too');
            unlike("$out$err", qr/$secret/, 'without repeating it');
        }
    }
    my ($code, $said) = tested(conf => "${load}SCIMStore \"pgsql:host=x passfile=/p user=password dbname=a\@b:c/d\"\n");
    is($code, 0, 'what only looks like one is none') || diag($said);
    ($code, $said) = tested(conf => "SCIMStore \"lmdb:/tmp/password=x://a:b\@c\"\n");
    is($code, 0, 'nor is the path of a directory') || diag($said);
};

subtest 'scimctl, where nobody is' => sub {
    for my $command (['stat'], ['verify'], ['init'], ['tenant', 'list']) {
        my ($exit, $out, $err) = scimctl({}, '--store', $away, @$command);
        is($exit, 2, "@$command: the store cannot be opened") || diag($out, $err);
        like($err, qr/^scimctl: .*\Q$nowhere\E/, 'and the line names where it is to be');
    }
    my ($exit, $out, $err) = scimctl({}, '--store', $away, 'init', '--owner', 'root');
    is($exit, 1, 'nobody owns a store that has no directory');
    like($err, qr/--owner is for a store in a directory/, 'and that is said');
    ($exit, $out, $err) = scimctl({}, '--store', $away, 'compact');
    is($exit, 4, 'nor is there a file to compact') || diag($err);
    like($err, qr/VACUUM/, 'which PostgreSQL does itself');
    ($exit, $out, $err) = scimctl({}, '--store', $away, 'doctor', '--no-token');
    is($exit, 5, 'doctor fails') || diag($out, $err);
    like($out, qr/^FAIL  store: .*cannot be opened/m, 'of the store');
    unlike($out, qr/disk|store files/, 'and looks for no files');
};

subtest 'a server whose database is away' => sub {
    my $s = Scim::Httpd->new(
        conf => "${load}SCIMStore \"$away\"\n<Location /status>\nSetHandler scim-status\n</Location>",
    );
    $s->expect_log(qr/SCIM1302: SCIMStore \Q$away\E: .*\Q$nowhere\E.*the server goes on, SCIM requests are answered 503 until it is there/,
        qr/SCIM1303: SCIMStore \Q$away\E: .*until it is there/, qr/SCIM1704/);
    # So long that it is tried several times.
    my ($end, @others) = time + 2.5;
    do {
        my $answer = $s->get('/Users');
        push @others, $answer->status if $answer->status != 503 || ($answer->header('retry-after') // '') !~ /^\d+$/;
        sleep 0.1;
    } while (time < $end);
    is_deeply(\@others, [], 'requests are answered 503, with Retry-After');
    is_error($s->get('/Users'), 503, undef, 'in the words of SCIM');
    is($s->get($s->url('/hello.txt'))->status, 200, 'other sites are served');
    is($s->get('/ServiceProviderConfig', Authorization => undef)->status, 200, 'and what needs no store is');
    is($s->get($s->url('/status?ready'))->status, 503, 'a load balancer is told');
    for my $tag (1302, 1303) {
        my $lines = grep { /SCIM$tag/ } $s->error_log;
        is($lines, 1, "SCIM$tag is logged once");
    }
    $s->graceful;
    is($s->get('/Users')->status, 503, 'a graceful restart goes on, too');
    $s->log_clean;
};
subtest 'a database that says nothing' => sub {
    my $silent = File::Temp->newdir('scim-XXXXXX', TMPDIR => 1);
    chmod 0755, $silent;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$silent/.s.PGSQL.5432", Listen => 100) or die "$silent: $!\n";
    chmod 0777, "$silent/.s.PGSQL.5432";
    # Time enough to see who waits for it.
    my $s = Scim::Httpd->new(conf => "${load}SCIMStore \"pgsql:host=$silent dbname=scim connect_timeout=2\"\n", children => 1);
    $s->expect_log(qr/SCIM1302/, qr/SCIM1303/);
    is($s->get('/Users')->status, 503, 'the first request waits for it, and is answered 503');
    my @slow;
    for (1 .. 20) {
        my @all = parallel(4, sub {
            my $since = time;
            return [$s->get('/Users')->status, time - $since];
        });
        is_deeply([grep { $_->[0] != 503 } @all], [], 'others are, too');
        @slow = grep { $_->[1] > 1 } @all;
        last if @slow;
        sleep 0.1;
    }
    is(scalar @slow, 1, 'one of them tries again, and the rest do not wait for that');
    $s->log_clean;
};
done_testing();
