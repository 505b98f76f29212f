# SPDX-License-Identifier: Apache-2.0
package Scim::Cluster;

=head1 NAME

Scim::Cluster - three machines with httpd, PostgreSQL under Patroni, and etcd

=head1 SYNOPSIS

    use Scim::Cluster;
    use Test::More;

    my $c = Scim::Cluster->new;
    my $made = $c->node(2)->post('/Users', { ... });
    my $primary = $c->primary;
    $c->allow_outages;
    $c->kill_postgres($primary);
    $c->wait_whole;
    $c->log_clean;
    done_testing();

=head1 DESCRIPTION

Machines 1 to 3 are network namespaces, joined by a bridge in a namespace of the
test's own, so that nothing of it is seen outside; the test is where clients are.
Where no namespace can be made, for want of rights, they are addresses 127.x.y.11
to 13, and has_network is false: nothing can be cut then.

What runs there is configured by the files of conf/examples/patroni, in which
paths, and without namespaces addresses, are replaced.  All is in one temporary
directory; a process of its own ends by pid whatever runs there, and removes it,
when the test is over, however it ends.  The logs of a test that failed are kept in
cluster/NAME below the directory of the build.

Use it before Scim::Httpd: it says which engine that has.

=head2 new(%args): start it

    tokens     how many tokens of the one tenant (1)
    conf       configuration of each httpd at server level
    store      sub ($cluster, $m, $store): what SCIMStore of that machine is to be;
               PostgreSQL runs by then
    plain_hba  true: PostgreSQL takes connections of mod_scim without TLS, too

It returns once all three nodes answer and the primary has its standby.

=head2 Machines, by number

    machines                (1, 2, 3)
    address($m)             10.0.0.11 ...
    prefix                  10.0.0.; the test itself is at 1
    node($m)                its httpd, a Scim::Httpd
    primary                 where the primary is, undef while there is none
    primaries               all that take themselves for it
    primary_elsewhere($m)   one that is not that machine
    sync_standby            the standby that has everything
    kill_postgres($m)       kill -9 of the server and of each of its processes
    kill_patroni($m)        ... of Patroni
    start_patroni($m)
    stall_patroni($m, 1)    it is stopped where it stands (0: it goes on)
    kill_node($m)           kill -9 of its httpd
    restart_node($m)        starts it again
    cut($m, 'in'), 'out'    what the other two machines send is lost, or what is sent
                            to them; cut($m): both.  Clients still reach its httpd.
    heal($m)
    wait_whole($seconds)    until a primary has two standbys, one of them
                            synchronous, and each node can write
    patronictl(@args)       its output
    psql($m, $sql)          what the server there answers to the superuser
    allow_outages           the primary will be away, and the logs may say so
    log_clean               tests the log of each node

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Glob qw(bsd_glob);
use File::Path qw(make_path);
use File::Temp ();
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

my $root;
my $build;

# In a network of its own before anything else: the same program again.
BEGIN {
    $root = abs_path(dirname(__FILE__) . '/../../..');
    $build = abs_path($ENV{SCIM_BUILD} || "$root/build");
    $ENV{SCIM_ENGINE} = 'pgsql';
    if (!defined $ENV{SCIM_CLUSTER_NET}) {
        $ENV{SCIM_CLUSTER_NET} = $> == 0 && system('unshare -n true 2>/dev/null') == 0 ? 1 : 0;
        if ($ENV{SCIM_CLUSTER_NET}) {
            exec 'unshare', '-n', $^X, $0, @ARGV;
            die "unshare: $!\n";
        }
    }
}

use Scim::Httpd;
use Test::More ();

my $examples = "$root/conf/examples/patroni";
my $PATIENCE = $ENV{SCIM_SAN} ? 300 : 120;

# --- processes ---------------------------------------------------------------

sub _run
{
    my (@command) = @_;
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command or die "$command[0]: $!\n";
    my $said = do { local $/; <$out> } // '';
    close $out;
    return ($?, $said);
}

sub _must_run
{
    my (@command) = @_;
    my ($status, $said) = _run(@command);
    die "@command:\n$said\n" if $status;
    return $said;
}

# What becomes a command on a machine, as the user of PostgreSQL.
sub _enter
{
    my ($self, $m) = @_;
    return $self->{net} ? ('nsenter', '-t', $self->{holder}[$m], '-n') : ();
}

sub _as_postgres
{
    my ($self) = @_;
    return $> == 0 ? ('setpriv', '--reuid', $self->{uid}, '--regid', $self->{gid}, '--clear-groups') : ();
}

# A process that runs until it is ended, with its own group and log.
sub _spawn
{
    my ($self, $log, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    POSIX::setsid();
    chdir $self->{dir};
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', "$self->{dir}/$log";
    open STDERR, '>&', \*STDOUT;
    exec { $command[0] } @command or print STDERR "$command[0]: $!\n";
    POSIX::_exit(127);
}

# All processes that are in the directory, or have been told of it.
sub _processes
{
    my ($dir) = @_;
    my @pids;
    for my $proc (bsd_glob '/proc/[0-9]*') {
        my $cwd = readlink("$proc/cwd") // '';
        my ($pid) = $proc =~ /(\d+)$/;
        push @pids, $pid if $pid != $$ && ("$cwd/" =~ m{^\Q$dir\E/} || slurp("$proc/cmdline") =~ m{\Q$dir\E[/\0]});
    }
    return @pids;
}

# A process apart that clears away when the test is gone.
sub _watch
{
    my ($self) = @_;
    my ($dir, $test) = ($self->{dir}, $$);
    my $pid = fork // die "fork: $!\n";
    return $self->{watch} = $pid if $pid;
    POSIX::setsid();
    $SIG{$_} = 'IGNORE' for qw(INT HUP PIPE);
    my $over = 0;
    $SIG{TERM} = sub { $over = 1 };
    chdir '/';
    sleep 0.2 while !$over && getppid() == $test;
    for (1 .. 50) {
        my @pids = _processes($dir) or last;
        kill 'KILL', @pids;
        sleep 0.1;
    }
    system 'rm', '-rf', $dir;
    POSIX::_exit(0);
}

sub _kill_now
{
    my (@pids) = @_;
    kill 'KILL', @pids;
    my $until = time + 10;
    # Whose parent is no more may stay what nobody waits for.
    while (grep { waitpid($_, WNOHANG); slurp("/proc/$_/stat") =~ /\) [^Z]/ } @pids) {
        die "processes @pids do not end\n" if time > $until;
        sleep 0.01;
    }
}

# Until $done; $what it is that is waited for.
sub _wait
{
    my ($self, $what, $seconds, $done) = @_;
    my $until = time + $seconds;
    while (1) {
        my $got = $done->();
        return $got if $got;
        die "$what: not within $seconds s\n" if time > $until;
        sleep 0.1;
    }
}

# --- machines ----------------------------------------------------------------

sub _make_network
{
    my ($self) = @_;
    $self->{prefix} = '10.0.0.';
    _must_run(qw(ip link set lo up));
    _must_run(qw(ip link add scim type bridge forward_delay 0));
    _must_run(qw(ip addr add 10.0.0.1/24 dev scim));
    _must_run(qw(ip link set scim up));
    for my $m ($self->machines) {
        my $own = readlink '/proc/self/ns/net';
        my $pid = $self->{holder}[$m] = $self->_spawn("network$m.log", qw(unshare -n sleep infinity));
        $self->_wait('a network namespace', 10, sub { my $there = readlink "/proc/$pid/ns/net"; $there && $there ne $own });
        _must_run(qw(ip link add), "m$m", qw(type veth peer name eth0 netns), $pid);
        _must_run(qw(ip link set), "m$m", qw(master scim up));
        my @in = $self->_enter($m);
        _must_run(@in, qw(ip link set lo up));
        _must_run(@in, qw(ip addr add), $self->address($m) . '/24', qw(dev eth0));
        _must_run(@in, qw(ip link set eth0 up));
    }
}

sub _make_certificates
{
    my ($self) = @_;
    my $ssl = "$self->{dir}/ssl";
    mkdir $ssl or die "$ssl: $!\n";
    my @new = qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes);
    _must_run(qw(openssl req -x509 -days 30 -subj /CN=scim-ca), @new, '-keyout', "$ssl/ca.key", '-out', "$ssl/ca.pem");
    for my $m ($self->machines) {
        # Without namespaces all connections come from 127.0.0.1.
        my $names = join ',', "DNS:scim$m", 'IP:' . $self->address($m), $self->{net} ? () : 'IP:127.0.0.1';
        open my $extension, '>', "$ssl/scim$m.ext" or die "$ssl: $!\n";
        print $extension "subjectAltName=$names\nextendedKeyUsage=serverAuth,clientAuth\n";
        close $extension;
        _must_run(qw(openssl req -subj), "/CN=scim$m", @new, '-keyout', "$ssl/scim$m.key", '-out', "$ssl/scim$m.csr");
        _must_run(qw(openssl x509 -req -days 30 -CAcreateserial), '-in', "$ssl/scim$m.csr", '-CA', "$ssl/ca.pem",
            '-CAkey', "$ssl/ca.key", '-extfile', "$ssl/scim$m.ext", '-out', "$ssl/scim$m.pem");
        chmod 0600, "$ssl/scim$m.key";
        chown $self->{uid}, $self->{gid}, "$ssl/scim$m.key" if $> == 0;
    }
}

# The text of a file of the example, as it is on that machine.
sub _example
{
    my ($self, $file, $m) = @_;
    my ($dir, $ssl) = ("$self->{dir}/scim$m", "$self->{dir}/ssl");
    my $text = slurp("$examples/$file");
    die "$examples/$file is not there\n" if $text eq '';
    $text =~ s{^(.*)(# this machine)$}{ my ($line, $mark) = ($1, $2); $line =~ s/scim1/scim$m/; $line =~ s/10\.0\.0\.11/10.0.0.1$m/; $line . $mark }gem;
    my %path = (
        '/etc/ssl/certs/scim-ca.pem' => "$ssl/ca.pem",
        '/etc/ssl/certs/scim.pem' => "$ssl/scim$m.pem",
        '/etc/ssl/private/scim.key' => "$ssl/scim$m.key",
        '/var/lib/etcd/scim' => "$dir/etcd",
        '/var/lib/postgresql/15/scim' => "$dir/data",
        '/usr/lib/postgresql/15/bin' => $self->{bin},
        '/run/postgresql' => "$dir/run",
        '/etc/scim/pgpass' => "$self->{dir}/pgpass",
    );
    $text =~ s/\Q$_\E/$path{$_}/g for keys %path;
    if (!$self->{net}) {
        $text =~ s{10\.0\.0\.0/24}{127.0.0.0/8}g;
        $text =~ s/10\.0\.0\./$self->{prefix}/g;
    }
    # Who is not the user postgres cannot be it to a server.
    $text =~ s/\bpeer$/trust/mg if $self->{user} ne 'postgres';
    $text =~ s/^( *)- hostssl scim scim (.*)/$&\n$1- host scim scim $2/mg if $self->{plain_hba};
    return $text;
}

sub _make_machine
{
    my ($self, $m) = @_;
    my $dir = "$self->{dir}/scim$m";
    mkdir $dir;
    mkdir "$dir/run";
    chmod 0700, $dir;
    for my $file (qw(etcd.yml patroni.yml)) {
        open my $out, '>', "$dir/$file" or die "$dir/$file: $!\n";
        print $out $self->_example($file, $m);
        close $out;
    }
    if ($> == 0) {
        chown $self->{uid}, $self->{gid}, $_ for $dir, bsd_glob("$dir/*");
    }
    $self->{etcd}[$m] = $self->_spawn("etcd$m.log", $self->_enter($m), $self->_as_postgres, 'etcd', '--config-file', "$dir/etcd.yml");
    $self->start_patroni($m);
}

sub start_patroni
{
    my ($self, $m) = @_;
    my $dir = "$self->{dir}/scim$m";
    $self->{patroni}[$m] = $self->_spawn("patroni$m.log", $self->_enter($m), $self->_as_postgres, 'env', "HOME=$dir", 'patroni', "$dir/patroni.yml");
}

sub kill_patroni
{
    my ($self, $m) = @_;
    my $pid = $self->{patroni}[$m] // die "there is no Patroni on machine $m\n";
    $self->{patroni}[$m] = undef;
    _kill_now($pid);
}

sub stall_patroni
{
    my ($self, $m, $stalled) = @_;
    kill $stalled ? 'STOP' : 'CONT', $self->{patroni}[$m];
}

sub _postmaster
{
    my ($self, $m) = @_;
    my ($pid) = slurp("$self->{dir}/scim$m/data/postmaster.pid") =~ /^(\d+)$/m;
    return $pid;
}

sub kill_postgres
{
    my ($self, $m) = @_;
    my $pid = $self->_postmaster($m) // die "there is no PostgreSQL on machine $m\n";
    my @children = map { slurp($_) =~ /^(\d+) \(.*\) \S $pid /s ? $1 : () } bsd_glob '/proc/[0-9]*/stat';
    _kill_now($pid, @children);
}

# --- what each of them says --------------------------------------------------

sub psql
{
    my ($self, $m, $sql, @more) = @_;
    local $ENV{PGCONNECT_TIMEOUT} = 5;
    my ($status, $said) = _run($self->_as_postgres, "$self->{bin}/psql", qw(-XAtq -v ON_ERROR_STOP=1 -U postgres -h), "$self->{dir}/scim$m/run",
        @more, '-c', $sql, 'postgres');
    chomp $said;
    return $status ? undef : $said;
}

sub primaries
{
    my ($self) = @_;
    return grep { ($self->psql($_, 'SELECT pg_is_in_recovery()') // '') eq 'f' } $self->machines;
}

sub primary_elsewhere
{
    my ($self, $m) = @_;
    my ($other) = grep { $_ != $m } $self->primaries;
    return $other;
}

sub primary
{
    my ($self) = @_;
    my @primaries = $self->primaries;
    return @primaries == 1 ? $primaries[0] : undef;
}

# "scim2:sync scim3:async", or nothing while Patroni has named no standby yet.
sub _standbys
{
    my ($self, $m) = @_;
    return $self->psql($m, q{SELECT coalesce(string_agg(application_name || ':' || sync_state, ' ' ORDER BY application_name), '')
        FROM pg_stat_replication WHERE state = 'streaming' AND application_name LIKE 'scim_'
        AND current_setting('synchronous_standby_names') LIKE '%scim%'}) // '';
}

sub sync_standby
{
    my ($self) = @_;
    my $primary = $self->primary // return;
    return $self->_standbys($primary) =~ /scim(\d):sync/ ? $1 : undef;
}

sub _is_whole
{
    my ($self) = @_;
    my $primary = $self->primary // return 0;
    my $standbys = $self->_standbys($primary);
    return $standbys =~ /:sync/ && $standbys =~ / / ? $primary : 0;
}

sub wait_whole
{
    my ($self, $seconds) = @_;
    # PostgreSQL is told before etcd is: only then a standby may become primary.
    my $primary = $self->_wait('the cluster is whole', $seconds // $PATIENCE, sub {
        my $is = $self->_is_whole;
        return $is && $self->patronictl('list') =~ /Sync Standby/ && $is;
    });
    for my $m ($self->machines) {
        my $node = $self->{node}[$m] or next;
        $self->_wait("node $m writes", $seconds // $PATIENCE, sub {
            my $made = $node->post('/Groups', { schemas => [$GROUP], displayName => 'whole ' . ++$self->{asked} . " $$" });
            $made->status == 201 && $node->delete('/Groups/' . $made->json->{id})->status == 204;
        });
    }
    return $primary;
}

sub patronictl
{
    my ($self, @args) = @_;
    my ($status, $said) = _run($self->_as_postgres, 'patronictl', '-c', "$self->{dir}/scim1/patroni.yml", @args);
    die "patronictl @args:\n$said\n" if $status;
    return $said;
}

# --- the network -------------------------------------------------------------

sub _iptables
{
    my ($self, $m, @args) = @_;
    _must_run($self->_enter($m), 'iptables', '-w', @args);
}

sub cut
{
    my ($self, $m, $direction) = @_;
    die "nothing can be cut here\n" if !$self->{net};
    my $others = join ',', map { $self->address($_) } grep { $_ != $m } $self->machines;
    $self->_iptables($m, '-A', 'INPUT', '-s', $others, '-j', 'DROP') if ($direction // 'in') eq 'in';
    $self->_iptables($m, '-A', 'OUTPUT', '-d', $others, '-j', 'DROP') if ($direction // 'out') eq 'out';
}

sub heal
{
    my ($self, $m) = @_;
    $self->_iptables($m, '-F', $_) for qw(INPUT OUTPUT);
}

# --- httpd -------------------------------------------------------------------

sub _store
{
    my ($self, $m) = @_;
    my ($store) = $self->_example('scim.conf', $m) =~ /^SCIMStore "pgsql:([^"]+)"/m or die "$examples/scim.conf has no SCIMStore\n";
    return $self->{store} ? $self->{store}->($self, $m, $store) : $store;
}

sub _make_database
{
    my ($self, $primary) = @_;
    my $file = "$self->{dir}/database.sql";
    open my $sql, '>', $file or die "$file: $!\n";
    print $sql $self->_example('database.sql', $primary);
    close $sql;
    my ($password) = slurp($file) =~ /PASSWORD '([^']+)'/ or die "$examples/database.sql has no password\n";
    _must_run($self->_as_postgres, "$self->{bin}/psql", qw(-Xq -v ON_ERROR_STOP=1 -U postgres -d postgres -h), "$self->{dir}/scim$primary/run", '-f', $file);
    # A standby that has it not refuses whoever asks for it, who asks no other then.
    for my $m ($self->machines) {
        $self->_wait('the database is replicated', 30, sub { $self->psql($m, q{SELECT 1 FROM pg_database WHERE datname = 'scim'}) });
    }
    open my $pass, '>', "$self->{dir}/pgpass" or die "pgpass: $!\n";
    print $pass "*:*:scim:scim:$password\n";
    close $pass;
    chmod 0600, "$self->{dir}/pgpass";
    my (undef, undef, $uid, $gid) = Scim::Httpd::_worker();
    chown $uid, $gid, "$self->{dir}/pgpass" if $> == 0;
}

sub _make_nodes
{
    my ($self) = @_;
    local $ENV{TMPDIR} = $self->{dir};
    local $ENV{SCIM_TEST_PGSQL} = $self->_store(1); # where it would make stores of its own
    # Room for new children beside old ones that still close their connections.
    my %common = (conf => "ServerLimit 8\n$self->{conf}", location => 'SCIMRequireTLS Off', port => 8080, start => 0, token => '', children => 2, threads => 25);
    for my $m ($self->machines) {
        $self->{node}[$m] = Scim::Httpd->new(%common, store => $self->_store($m), address => $self->address($m), enter => [$self->_enter($m)]);
    }
    my $first = $self->node(1);
    $first->_must_scimctl('init');
    $first->_must_scimctl('tenant', 'create', $first->tenant);
    my $token = $first->new_token(connection => 'test');
    for my $m ($self->machines) {
        my $node = $self->node($m);
        $node->{token} = $token;
        $node->start;
    }
}

sub kill_node
{
    my ($self, $m) = @_;
    my $node = $self->node($m);
    my $pid = delete $node->{pid};
    # The parent first: it would replace its children.
    _kill_now($pid);
    my $dir = $node->dir;
    _kill_now(grep { slurp("/proc/$_/cmdline") =~ m{\0-d\0\Q$dir\E\0} } _processes($dir));
}

sub restart_node
{
    my ($self, $m) = @_;
    my $node = $self->node($m);
    unlink $node->dir . '/run/httpd.pid';
    $node->start;
}

# --- life --------------------------------------------------------------------

my @clusters; # of this process, for END

sub _find_user
{
    my ($self) = @_;
    my @is = $> == 0 ? getpwnam 'postgres' : getpwuid $>;
    die "there is no user postgres: t/lib/deps cluster\n" if !@is;
    @$self{qw(user uid gid)} = @is[0, 2, 3];
    my $newest = 0;
    for my $bin (bsd_glob '/usr/lib/postgresql/*/bin') {
        my ($version) = $bin =~ m{/(\d+)/bin$};
        ($newest, $self->{bin}) = ($version, $bin) if $version && $version > $newest && -x "$bin/initdb";
    }
    die "there is no PostgreSQL: t/lib/deps cluster\n" if !$newest;
}

sub new
{
    my ($class, %arg) = @_;
    my $self = bless { conf => '', %arg, owner => $$, net => $ENV{SCIM_CLUSTER_NET} }, $class;
    Scim::Httpd::_find_httpd(); # or nothing need be started
    $self->_find_user;
    $self->{dir} = abs_path(File::Temp::tempdir('scim-cluster-XXXXXX', TMPDIR => 1));
    chmod 01777, $self->{dir};
    delete @ENV{ grep { /^PG/ || /^PATRONI/ || /^ETCD/ } keys %ENV };
    $ENV{HOME} = $self->{dir}; # where libpq looks for certificates, whoever it is
    $self->_watch;
    push @clusters, $self;
    if ($self->{net}) {
        $self->_make_network;
    } else {
        # Of the test's own, by chance.
        $self->{prefix} = sprintf '127.%d.%d.', 10 + rand 200, rand 255;
    }
    $self->_make_certificates;
    $self->_make_machine($_) for $self->machines;
    my $primary = $self->_wait('PostgreSQL is replicated', $PATIENCE, sub {
        waitpid($_, WNOHANG) and die "etcd or Patroni ended\n" for map { @{ $self->{$_} }[ $self->machines ] } qw(etcd patroni);
        $self->_is_whole;
    });
    $self->_make_database($primary);
    $self->_make_nodes;
    $self->wait_whole;
    return $self;
}

sub machines { return (1 .. 3) }
sub address { return "$_[0]{prefix}1$_[1]" }
sub node { return $_[0]{node}[ $_[1] ] }
sub prefix { return $_[0]{prefix} }
sub has_network { return $ENV{SCIM_CLUSTER_NET} }
sub dir { return $_[0]{dir} }

sub allow_outages
{
    my ($self) = @_;
    $self->node($_)->allow_log(qr/SCIM1201: .*: the store (?:is busy|takes no writes)/) for $self->machines;
}

sub log_clean
{
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->node($_)->log_clean("the error log of node $_ holds what was expected and nothing else") for $self->machines;
}

sub _keep_logs
{
    my ($self) = @_;
    my $place = "$build/cluster/" . basename($0, '.t');
    make_path($place);
    copy($_, $place) for bsd_glob "$self->{dir}/*.log";
    for my $m (grep { $self->{node}[$_] } $self->machines) {
        copy("$self->{node}[$m]{dir}/error_log", "$place/httpd$m.log");
    }
    Test::More::diag("the logs are in $place");
}

END {
    my $failed = $? || !Test::More->builder->is_passing;
    local ($?, $@, $!);
    my @mine = grep { $_->{owner} == $$ } @clusters;
    for my $cluster (@mine) {
        eval { $cluster->_keep_logs } if $failed;
        for my $node (grep { $_ } @{ $cluster->{node} || [] }) {
            eval { $node->stop };
        }
        kill 'TERM', $cluster->{watch};
        waitpid $cluster->{watch}, 0;
    }
}

1;
