# SPDX-License-Identifier: Apache-2.0
package Peers;

=head1 NAME

Peers - other servers that the benchmark can compare with

=head2 Functions

    Peers::scimmy($dir, $ids, $token)    a SCIM server on Node.js with these users
    Peers::slapd($dir, $users, $client)  OpenLDAP's with so many; $client is the
                                         program made from ldap.c

Both install under $dir what is not there: packages of npm, and of Debian, which
are unpacked there and change nothing of the system.  They return a peer, or die
where this machine has no such thing.

    url host token ids users        as a Bench::Server has them
    load($kind, $clients, $seconds) slapd: operations a second
    stop

=cut

use strict;
use warnings;

use Bench;
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Spec;
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my $here = File::Spec->rel2abs(dirname(__FILE__));
my @peers;

END { $_->stop for @peers }

# Runs a command in $dir; what it says is for a failure alone.
sub _quietly
{
    my ($dir, $command) = @_;
    my $said = `cd '$dir' && $command 2>&1`;
    die "$command: ", (split /\n/, $said)[-1] // $?, "\n" if $?;
    return;
}

sub _start
{
    my ($dir, $port, $peer, @command) = @_;
    my $self = bless { dir => $dir, url => "http://127.0.0.1:$port", host => "127.0.0.1:$port", %$peer }, __PACKAGE__;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        chdir $dir;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/output";
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!\n";
    }
    $self->{pid} = $pid;
    push @peers, $self;
    for (1 .. 300) {
        return $self if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port");
        last if waitpid($pid, 1) == $pid;
        sleep 0.1;
    }
    die "$command[0] did not start: ", slurp("$dir/output"), "\n";
}

sub scimmy
{
    my ($dir, $ids, $token) = @_;
    make_path($dir);
    if (!-d "$dir/node_modules/scimmy-routers") {
        _quietly($dir, 'npm install --no-audit --no-fund --prefix . scimmy@1.3.5 scimmy-routers@1.3.2 express@5');
    }
    my $port = Bench::Server::_free_port();
    my $count = () = slurp($ids) =~ /\n/g;
    return _start($dir, $port, { token => $token, ids => $ids, users => $count },
        'node', "$here/scimmy.mjs", $ids, $port, $token);
}

# --- slapd -------------------------------------------------------------------

sub _install_slapd
{
    my ($dir) = @_;
    return if -x "$dir/root/usr/sbin/slapd";
    make_path("$dir/root");
    _quietly($dir, 'apt-get download slapd libltdl7 libwrap0');
    _quietly($dir, "for deb in *.deb; do dpkg-deb -x \$deb root || exit 1; done");
    return;
}

sub _slapd_conf
{
    my ($dir) = @_;
    my $root = "$dir/root";
    my @schemas = map { "include $root/etc/ldap/schema/$_.schema\n" } qw(core cosine inetorgperson);
    return join '', @schemas, <<"EOT";
modulepath $root/usr/lib/ldap
moduleload back_mdb
loglevel 0
database mdb
maxsize 17179869184
suffix "dc=bench"
rootdn "cn=admin,dc=bench"
rootpw secret
directory $dir/db
index objectClass eq
index uid eq
index mail eq
index employeeNumber eq
EOT
}

# As fill.c has them.
sub _ldif
{
    my ($users) = @_;
    return join "\n", "dn: dc=bench\nobjectClass: dcObject\nobjectClass: organization\no: bench\ndc: bench\n",
        map { <<"EOT" } 0 .. $users - 1;
dn: uid=u$_,dc=bench
objectClass: inetOrgPerson
uid: u$_
cn: Dmitri Martin
sn: Martin
givenName: Dmitri
displayName: Dmitri Martin $_
title: Engineer
employeeType: Employee
preferredLanguage: en-US
mail: u$_\@mail.example.com
mail: u$_\@home.example.com
telephoneNumber: +1 555 0$_
street: 100 Universal City Plaza
l: Hollywood
st: CA
postalCode: 91608
employeeNumber: ext-$_
departmentNumber: Tour Operations
EOT
}

sub slapd
{
    my ($dir, $users, $client) = @_;
    _install_slapd($dir);
    my $port = Bench::Server::_free_port();
    my $slapd = "$dir/root/usr/sbin/slapd";
    local $ENV{LD_LIBRARY_PATH} = join ':', grep { -d }
        glob "$dir/root/usr/lib/*-linux-gnu $dir/root/lib/*-linux-gnu";
    remove_tree("$dir/db");
    make_path("$dir/db");
    spill("$dir/slapd.conf", _slapd_conf($dir));
    spill("$dir/users.ldif", _ldif($users));
    _quietly($dir, "$slapd -T add -q -f slapd.conf -l users.ldif");
    return _start($dir, $port, { client => $client, ldap => "ldap://127.0.0.1:$port", users => $users },
        $slapd, '-d', 0, '-f', "$dir/slapd.conf", '-h', "ldap://127.0.0.1:$port/");
}

sub load
{
    my ($self, $kind, $clients, $seconds) = @_;
    return output_of($self->{client}, $self->{ldap}, $kind, $clients, $seconds, $self->{users});
}

sub forget_log { return }

sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    my $status = $?;
    kill TERM => $pid;
    for (1 .. 100) {
        last if waitpid($pid, 1) != 0;
        sleep 0.05;
    }
    kill KILL => $pid if !waitpid $pid, 1;
    $? = $status;
    return;
}

1;
