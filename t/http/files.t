#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The files of the store: whose they are, who may read them, and that none of them
# leads out of its directory, whatever somebody left there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

my @worker = $> == 0 ? (getpwnam 'www-data')[2, 3] : ($>, $) + 0);
lmdb_only('its files');
plan skip_all => 'as root, httpd needs the user www-data here' if !defined $worker[0];

# "0600 UID GID" of what is there.
sub mode_of
{
    my ($path) = @_;
    my @stat = lstat $path or return "$path: $!";
    return sprintf '%04o %d %d', $stat[2] & 07777, @stat[4, 5];
}

sub own { return sprintf '%s %d %d', $_[0], @worker }

sub names_in
{
    my ($dir) = @_;
    opendir my $in, $dir or die "$dir: $!\n";
    return join ' ', sort grep { !/^\.\.?$/ } readdir $in;
}

# With the umask of somebody who gives all away, and of one who keeps all.
for my $mask (0000, 0077, 0022) {
    subtest sprintf('C-311 with umask %03o the files of the store are its owner\'s alone', $mask) => sub {
        my $before = umask $mask;
        my $s = Scim::Httpd->new(start => 0);
        my $made_by_ctl = join "\n", map { mode_of($s->store . "/$_") } qw(data.mdb lock.mdb);
        is($made_by_ctl, join("\n", (own('0600')) x 2), 'scimctl init makes them so');
        # The server makes its own, too, where there is a directory.
        unlink glob $s->store . '/*.mdb';
        $s->start;
        umask $before;
        is(mode_of($s->store), own('0700'), 'the directory');
        is(mode_of($s->store . "/$_"), own('0600'), "$_, which the server made") for qw(data.mdb lock.mdb);
        is(names_in($s->store), 'data.mdb lock.mdb', 'nothing else is there');
        my ($code) = $s->scimctl('tenant', 'create', 'default');
        is($code, 0, 'a tenant');
        my $token = $s->new_token;
        is($s->post('/Users', user('x'), authorization => "Bearer $token")->status, 201, 'it serves');
        $s->log_clean;
    };
}

subtest 'SCIMStore names a directory that is not there: it is made, for its owner alone' => sub {
    my $before = umask 0;
    my $s = Scim::Httpd->new(start => 0);
    unlink glob $s->store . '/*';
    rmdir $s->store or die "$!\n";
    if ($> != 0) {
        mkdir $s->store, 0700;
    }
    $s->start;
    umask $before;
    is(mode_of($s->store), own('0700'), 'the directory');
    is(mode_of($s->store . '/data.mdb'), own('0600'), 'the file');
    $s->log_clean;
};

subtest 'children run as the user that owns the store, and nothing is written elsewhere' => sub {
    my $s = Scim::Httpd->new;
    made($s, '/Users', user('bjensen'));
    for my $pid ($s->children) {
        my $status = slurp("/proc/$pid/status");
        like($status, qr/^Uid:\s+$worker[0]\s+$worker[0]\s+$worker[0]\s+$worker[0]$/m, "child $pid: the user");
        like($status, qr/^Gid:\s+$worker[1]\s+$worker[1]\s+$worker[1]\s+$worker[1]$/m, 'the group');
        like($status, qr/^CapEff:\s+0+$/m, 'no capabilities') if $> == 0;
        my @open = grep { defined } map { readlink } glob "/proc/$pid/fd/*";
        my @ours = grep { m{^/} && !m{^/dev/(?:null|urandom|zero|shm)|/(?:error_log|access_log|stderr|stdout)$|^/(?:proc|sys)/| \(deleted\)$} } @open;
        my $store = $s->store;
        is(scalar(grep { !m{^\Q$store\E/(?:data|lock)\.mdb$} } @ours), 0, 'no other file is open') || diag("@ours");
        # Of what is mapped, all that may be written to is the store's lock, and no memory is both written and run.
        my @maps = split /\n/, slurp("/proc/$pid/maps");
        is(scalar(grep { /^\S+ rwx/ } @maps), 0, 'nothing is mapped to be written and run');
        my @shared = grep { m{^\S+ .w.s \S+ \S+ \d+\s+/(?!dev/zero|SYSV)} && !/ \(deleted\)$/ } @maps;
        is(scalar(grep { !m{\Q$store\E/lock\.mdb$} } @shared), 0, 'no other file is mapped to be written') || diag("@shared");
    }
    $s->log_clean;
};

# What somebody put in the place of a file of the store.
my %planted = (
    'a symbolic link to a file' => sub { symlink $_[1], $_[0] },
    'a symbolic link to nothing' => sub { symlink "$_[1].not-there", $_[0] },
    'a hard link' => sub { link $_[1], $_[0] },
    'a directory' => sub { mkdir $_[0] },
    'a pipe' => sub { system('mkfifo', $_[0]) == 0 },
);
my %says = (
    'a symbolic link to a file' => 'is a symbolic link', 'a symbolic link to nothing' => 'is a symbolic link', 'a hard link' => 'has another name elsewhere, a hard link',
    'a directory' => 'is no file', 'a pipe' => 'is no file',
);

for my $file (qw(data.mdb lock.mdb)) {
    for my $kind (sort keys %planted) {
        subtest "$kind for $file is refused, and what it leads to left alone" => sub {
            my $s = Scim::Httpd->new(start => 0);
            my ($path, $victim) = ($s->store . "/$file", $s->dir . '/victim');
            open my $out, '>:raw', $victim or die "$victim: $!\n";
            print $out 'somebody else\'s';
            close $out;
            chown @worker, $victim if $> == 0; # the worst: the children could write to it
            unlink $path;
            $planted{$kind}->($path, $victim) or die "$kind: $!\n";
            chown @worker, $path if $> == 0 && $kind =~ /directory|pipe/;
            my $others = sub { join ' ', grep { !/^(?:stderr|error_log|access_log|httpd[.]conf)$/ } split / /, names_in($s->dir) };
            my $before = $others->();
            ok(!eval { $s->start; 1 }, 'the server does not start');
            like($@, qr/SCIM1302.*\Q$path\E \Q$says{$kind}\E/, 'and says which file, and why');
            for my $command (['tenant', 'list'], ['tenant', 'create', 'x'], ['init'], ['verify']) {
                my ($code, undef, $err) = $s->scimctl(@$command);
                isnt($code, 0, "scimctl @$command");
                like($err, qr/\Q$path\E \Q$says{$kind}\E/, "scimctl @$command says it, too");
            }
            is(slurp($victim), 'somebody else\'s', 'what it leads to is as it was');
            ok(!-e "$victim.not-there", 'and what was not there is not');
            is($others->(), $before, 'nothing is made beside the store');
            $s->allow_log(qr/./);
            $s->log_clean('it is stopped');
        };
    }
}

subtest 'links that come while the server runs are refused to the next who opens' => sub {
    my $s = Scim::Httpd->new;
    my $made = made($s, '/Users', user('bjensen'));
    my $data = $s->store . '/data.mdb';
    link $data, $s->dir . '/second' or die "link: $!\n";
    is($s->get("/Users/$made->{id}")->status, 200, 'those who have it open go on');
    my ($code, undef, $err) = $s->scimctl('tenant', 'list');
    isnt($code, 0, 'scimctl does not open it');
    like($err, qr/data\.mdb has another name elsewhere, a hard link/, 'and says why');
    unlink $s->dir . '/second';
    is(($s->scimctl('tenant', 'list'))[0], 0, 'without the second name it does');
    link $data, "$data.old" or die "link: $!\n";
    is(($s->scimctl('tenant', 'list'))[0], 0, 'and with one in its own directory, as scimctl compact may leave it');
    $s->allow_log(qr/SCIM1303/); # a child that began meanwhile
    $s->log_clean;
};

subtest 'a directory that is led to by a link is a directory, one that others may write to is none' => sub {
    my $s = Scim::Httpd->new(start => 0);
    my $real = $s->store;
    rename $real, "$real-moved" or die "$!\n";
    symlink "$real-moved", $real or die "$!\n";
    $s->start;
    is($s->post('/Users', user('x'))->status, 201, 'it serves');
    $s->stop;
    for my $mode (0770, 0702, 0777, 01777) {
        chmod $mode, "$real-moved";
        ok(!eval { $s->start; 1 }, sprintf 'mode %04o: the server does not start', $mode);
        like($@, qr/others may write to/, 'and says why');
    }
    chmod 0700, "$real-moved";
    $s->allow_log(qr/SCIM1302|AH0001[06]/);
    $s->log_clean;
};

done_testing();
