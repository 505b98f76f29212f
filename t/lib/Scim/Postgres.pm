# SPDX-License-Identifier: Apache-2.0
package Scim::Postgres;

=head1 NAME

Scim::Postgres - a PostgreSQL server that a test starts and stops as it likes

=head1 SYNOPSIS

    plan skip_all => 'PostgreSQL is not installed' if !Scim::Postgres->installed;
    my $db = Scim::Postgres->new;    # a role and a database "scim"; it does not run
    my $s = Scim::Httpd->new(conf => 'SCIMStore "pgsql:' . $db->where . '"');
    $db->start;
    $db->stop;                       # what is under way is cut off

=head1 DESCRIPTION

A cluster of its own in a temporary directory, reached by a socket there and by
no network.

    Scim::Postgres->installed   whether there can be one
    start stop restart          stop cuts off what is under way
    where(%more)                the connection string of the database "scim", as the
                                role "scim"; dbname => 'x' takes another
    password                    of that role, as the file has it that where() names
    give_passfile($uid)         to the user of httpd's children, who alone may read it
    psql($sql)                  asks as the superuser; what it prints
    dir                         where the socket is, and "log"

The server ends with the test, however that ends.

=cut

use strict;
use warnings;

use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);

my $bin;

sub installed
{
    my ($dir) = map { chomp; $_ } qx(pg_config --bindir 2>/dev/null);
    my $release = sub { $_[0] =~ /(\d+)/ ? $1 : 0 };
    my @dirs = sort { $release->($b) <=> $release->($a) } glob '/usr/lib/postgresql/*/bin';
    ($bin) = grep { -x "$_/initdb" } $ENV{PG_BIN} // (), $dir // (), @dirs;
    return defined $bin;
}

sub _user
{
    my ($user) = grep { defined getpwnam $_ } qw(postgres nobody);
    return $user // die "there is neither a user postgres nor nobody\n";
}

# A server refuses to run as root.
sub _as
{
    my (@options) = @_;
    my @user = $> == 0 ? ('--reuid', _user(), '--regid', (getpwnam _user())[3], '--clear-groups') : ();
    return ('setpriv', @user, @options, '--');
}

sub _write
{
    my ($path, $mode, $text) = @_;
    open my $out, '>>', $path or die "$path: $!\n";
    chmod $mode, $path;
    print $out $text;
    close $out or die "$path: $!\n";
}

sub _run
{
    my ($self, @command) = @_;
    my $said = "$self->{dir}/said";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        chdir $self->{dir};
        open STDOUT, '>', $said;
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec { $command[0] } @command;
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $status = $?;
    open my $in, '<', $said or die "$said: $!\n";
    my $text = do { local $/; <$in> };
    return ($status, $text);
}

sub new
{
    my ($class, %arg) = @_;
    die "PostgreSQL is not installed\n" if !installed();
    my $self = bless { owner => $$, password => 'correct-horse-' . int rand 1e9 }, $class;
    # A socket's path must be short, and all users must reach it.
    $self->{temp} = File::Temp->newdir('scim-pg-XXXXXX', DIR => '/tmp');
    my $dir = $self->{dir} = $self->{temp}->dirname;
    chmod 0755, $dir;
    chown +(getpwnam _user())[2, 3], $dir if $> == 0;
    my ($status, $said) = $self->_run(_as(), "$bin/initdb", '-D', "$dir/data", '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync');
    die "initdb: $said\n" if $status;
    # Nothing of this outlives the test.
    _write("$dir/data/postgresql.conf", 0600, "listen_addresses = ''\nunix_socket_directories = '$dir'\nfsync = off\n");
    open my $hba, '>', "$dir/data/pg_hba.conf" or die "$dir/data/pg_hba.conf: $!\n";
    print $hba "local all postgres trust\nlocal all all scram-sha-256\n";
    close $hba;
    _write("$dir/passfile", 0600, "*:*:*:*:$self->{password}\n");
    $self->start;
    $self->psql("CREATE ROLE scim LOGIN PASSWORD '$self->{password}'");
    $self->psql('CREATE DATABASE scim OWNER scim');
    $self->stop;
    return $self;
}

sub dir { return $_[0]{dir} }
sub password { return $_[0]{password} }

# The file with the password is for this user, who runs httpd's children.
sub give_passfile
{
    my ($self, $uid) = @_;
    chown $uid, -1, "$self->{dir}/passfile" or die "$self->{dir}/passfile: $!\n";
}

# The connection string; further settings take the place of these.
sub where
{
    my ($self, %more) = @_;
    my %all = (host => $self->{dir}, dbname => 'scim', user => 'scim', passfile => "$self->{dir}/passfile", %more);
    return join ' ', map { "$_=$all{$_}" } sort keys %all;
}

sub psql
{
    my ($self, $sql) = @_;
    my ($status, $said) = $self->_run("$bin/psql", '-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', $self->{dir}, '-U', 'postgres', '-c', $sql, 'postgres');
    die "psql: $sql: $said\n" if $status;
    chomp $said;
    return $said;
}

sub _wait_for
{
    my ($self, $what) = @_;
    my $end = time + 60;
    until ($what->()) {
        die "PostgreSQL does not start\n" if time > $end || waitpid($self->{pid}, POSIX::WNOHANG()) != 0;
        sleep 0.05;
    }
}

sub start
{
    my ($self) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        chdir $self->{dir};
        POSIX::setpgid(0, 0);
        no warnings 'exec';
        # It ends with this process, whatever ends that.
        my @as = _as('--pdeathsig', 'QUIT');
        exec { $as[0] } @as, "$bin/postgres", '-D', "$self->{dir}/data";
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $self->_wait_for(sub { (($self->_run("$bin/pg_isready", '-q', '-h', $self->{dir}))[0]) == 0 });
}

sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'QUIT', $pid;
    waitpid $pid, 0;
}

sub restart
{
    my ($self) = @_;
    $self->stop;
    $self->start;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $!, $@);
    $self->stop if $self->{owner} == $$;
}

1;
