# SPDX-License-Identifier: Apache-2.0
package Scim::Httpd;

=head1 NAME

Scim::Httpd - a real httpd with mod_scim in it, for one test

=head1 SYNOPSIS

    use FindBin;
    use lib "$FindBin::Bin/../lib";
    use Scim::Httpd;
    use Test::More;

    my $s = Scim::Httpd->new(conf => 'SCIMScanLimit 1000');
    my $made = $s->post('/Users', { schemas => [$USER], userName => 'bjensen' });
    is($made->status, 201, 'C-030 a user is created');
    my $again = $s->post('/Users', { schemas => [$USER], userName => 'BJENSEN' });
    is_error($again, 409, 'uniqueness', 'C-033 a userName in other case is taken');
    $s->log_clean;
    done_testing();

=head1 DESCRIPTION

Each object is a server of its own: a private ServerRoot in a temporary
directory, a free port of 127.0.0.1, a new store with one tenant and one token.
It is stopped and removed when the test ends, however it ends.  As root, httpd
runs its children as www-data; as a plain user, as that user.

The store is one of LMDB, or with SCIM_ENGINE=pgsql a schema of its own in the
database of SCIM_TEST_PGSQL (t/lib/pgsql).  What is of one engine alone says so
by lmdb_only.

What a server logs is part of what is tested: every test ends with log_clean,
and one that forgets it fails.

=head2 new(%args): start a server

    mpm        event, worker or prefork (SCIM_MPM, else event)
    conf       configuration at server level
    location   configuration inside <Location "/scim/v2">
    locations  configuration in place of that whole section
    base       the path of the endpoint (/scim/v2)
    modules    further modules of httpd to load, ['rewrite', ...]
    files      { 'a/b.txt' => 'content' }, below DocumentRoot
    tenant     the tenant that is made (default)
    store      the store() of another server, with the token in "token";
               nothing is made in it
    address    where it listens (127.0.0.1), and "port" there (a free one)
    enter      a command that becomes httpd somewhere else, such as in another
               network: ['nsenter', ...]
    children   number of child processes (2; prefork 40)
    threads    threads of each (40), but for prefork
    valgrind   true: one process, under valgrind; it cannot be restarted
    single     true: one process (httpd -X); it cannot be restarted
    fault      a Scim::Fault: calls that shall fail in its store
    start      false: everything is prepared, start() is called later

DocumentRoot holds hello.txt, and below the endpoint's path on-disk.txt beside
an .htaccess that is 500 for whoever looks at the disk there.

=head2 Requests

    $s->request($method, $path, $body, %headers)
    $s->get($path, %headers)   $s->delete($path, %headers)
    $s->post($path, $body, %headers)   put, patch
    $s->raw($bytes)   $s->raw_kept($bytes)

$path is below the endpoint ("/Users/1?attributes=userName"); a full URL, such
as a Location header or $s->url('/hello.txt'), is taken as it is.  A body that
is a reference is sent as JSON; a string is sent as these bytes.  The token and
Content-Type: application/scim+json are sent unless %headers has others; a
header with the value undef is not sent.  Requests share one connection that is
kept alive.  raw sends exactly these bytes over a connection of its own and
reads one answer; raw_kept does so over one that is kept for the next.

All return a Scim::Httpd::Response: status, reason, headers (names in lower
case), header($name), content (bytes), json (decoded, or undef).  A request
that got no answer has status 599 and says why in content.

=head2 The server

    url($path) base token tenant dir port pid
    store                     the directory of the store, or what says where it
                              is to another engine
    store_url                 the same with the engine before it, as SCIMStore and
                              scimctl take it
    children                  the pids of its child processes
    graceful, restart         returns when the new children are there; false
                              for graceful(wait => 0), which waits for no old one
    write_conf(%args)         new conf, location, locations for the next restart
    stop, start
    store_bytes               all that is in the store, in no order, and in its file
                              where it is one
    alter_store($from, $to)   writes other bytes of the same length in the place of
                              some, wherever they are in it; how often they were
    store_files               the paths of its files, where it has any
    spoil_store               the next restart finds no store, but a file or nothing
    mend_store                and the one after this the store again
    scimctl(@args)            exit code, stdout and stderr of scimctl
    new_token(%options)       new_token(tenant => 'b', connection => 'okta')
    configtest(%args)         Scim::Httpd->configtest(conf => ...): exit code and
                              output of httpd -t, without a server; dump => 1
                              for that of -D DUMP_SCIM, too.  $s->configtest(...)
                              is one with the directory and the store of $s
    error_log, access_log     the lines so far
    wait_log($re, $seconds)   waits for a line of the error log
    wait_access($re, $seconds)  ... of the access log, written once the answer is sent
    expect_log($re)           declares a line at level warn or above that must come
    allow_log($re)            ... that may come
    log_clean                 stops the server; the test that nothing else came:
                              no line of level warn or above, no crash, no report
                              of a sanitizer or valgrind, a clean exit

=head2 Functions

    is_error($response, $status, $scimType, $name)   one test: a SCIM error
    parallel($n, sub { my ($i) = @_; ... })          n processes at once; what
                              each sub returns (plain data), in order of $i
    esc($text)                escaped for a URL
    slurp($path)              the bytes of a file; "" where there is none
    lmdb_only($why, $n)       where the engine is another, passes over a test file or a
                              subtest, as the first thing in it, or with $n over so
                              many tests, the rest of a block named SKIP
    $USER $ENTERPRISE $GROUP $PATCH_OP $LIST $ERROR  URNs

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use Errno qw(EINTR);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Glob qw(bsd_glob);
use File::Path qw(make_path);
use File::Temp ();
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More ();
use Time::HiRes qw(sleep time);

our $USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
our $ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
our $GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group';
our $PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
our $LIST = 'urn:ietf:params:scim:api:messages:2.0:ListResponse';
our $ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error';
our @EXPORT = qw(is_error parallel esc slurp lmdb_only $USER $ENTERPRISE $GROUP $PATCH_OP $LIST $ERROR);

my $root = abs_path(dirname(__FILE__) . '/../../..');
my $build = abs_path($ENV{SCIM_BUILD} || "$root/build") || "$root/build";
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $engine = $ENV{SCIM_ENGINE} || 'lmdb';
my @servers; # of this process, for END

# HTTP::Tiny sends a body apart from its headers: without this it waits 40 ms
# in between for an acknowledgement that comes late.
{
    no warnings 'redefine';
    my $connect = \&HTTP::Tiny::Handle::connect;
    *HTTP::Tiny::Handle::connect = sub {
        my $handle = $connect->(@_);
        setsockopt $handle->{fh}, IPPROTO_TCP, TCP_NODELAY, 1;
        return $handle;
    };
}

# --- what this machine has ---------------------------------------------------

sub _output_of
{
    my (@command) = @_;
    no warnings 'exec';
    open my $out, '-|', @command or return '';
    my $text = do { local $/; <$out> } // '';
    close $out or return '';
    chomp $text;
    return $text;
}

sub _find_program
{
    my (@names) = @_;
    for my $dir (split(/:/, $ENV{PATH} || ''), '/usr/sbin', '/usr/local/sbin') {
        for my $name (@names) {
            return "$dir/$name" if -x "$dir/$name" && !-d "$dir/$name";
        }
    }
    return;
}

my ($httpd, $modules);

sub _find_httpd
{
    return if $httpd;
    my $apxs = $ENV{APXS} || _find_program(qw(apxs2 apxs)) || die "there is no apxs: t/lib/deps check\n";
    $modules = _output_of($apxs, '-q', 'LIBEXECDIR');
    my $program = _output_of($apxs, '-q', 'SBINDIR') . '/' . _output_of($apxs, '-q', 'PROGNAME');
    $httpd = -x $program ? $program : _find_program(qw(apache2 httpd));
    die "there is no httpd: t/lib/deps check\n" if !$httpd;
    die "$build/mod_scim.so is not there: run make first\n" if !-f "$build/mod_scim.so";
}

# The user and the group of the children when httpd is started by root.
sub _worker
{
    for my $name (qw(www-data apache httpd daemon nobody)) {
        my ($user, undef, $uid, $gid) = getpwnam $name;
        return ($user, scalar getgrgid($gid), $uid, $gid) if defined $user;
    }
    die "no user for httpd's children: www-data, apache, daemon and nobody are all unknown\n";
}

sub _free_port
{
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)
        or die "no free port: $!\n";
    return $socket->sockport;
}

# The sanitizers' library that the module needs loaded before everything else.
sub _preload
{
    my $ldd = _output_of('ldd', "$build/mod_scim.so");
    my ($library) = $ldd =~ m{lib(?:clang_rt\.)?[at]san\S* => (/\S+)};
    if (!$library && $ENV{SCIM_SAN} && $ENV{SCIM_SAN} =~ /address/) {
        $library = _output_of($ENV{CC} || 'gcc', '-print-file-name=libasan.so');
    }
    return $library;
}

# --- files -------------------------------------------------------------------

sub _write
{
    my ($path, $text) = @_;
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
}

sub slurp
{
    my ($path) = @_;
    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub _load_modules
{
    my ($self) = @_;
    my @names = (
        "mpm_$self->{mpm}",
        qw(unixd authn_core authz_core authz_user log_config alias mime env setenvif headers),
        @{ $self->{modules} }
    );
    # What is not there as a file is part of this httpd.
    my @lines = map { "LoadModule ${_}_module $modules/mod_$_.so\n" } grep { -f "$modules/mod_$_.so" } @names;
    push @lines, "LoadModule scim_module $build/mod_scim.so\n";
    push @lines, "LoadModule scim_pgsql_module $build/mod_scim_pgsql.so\n" if $engine eq 'pgsql';
    return join '', @lines;
}

sub _mpm_conf
{
    my ($self) = @_;
    my $children = $self->{children};
    # Room for 64 requests at once: httpd logs an error when it has none left.
    if ($self->{mpm} eq 'prefork') {
        my $limit = $children + 40;
        return "StartServers $children\nMinSpareServers 1\nMaxSpareServers $limit\n"
            . "ServerLimit $limit\nMaxRequestWorkers $limit\n";
    }
    my $threads = $self->{threads};
    my $workers = $threads * $children;
    return "StartServers $children\nServerLimit $children\nThreadLimit $threads\nThreadsPerChild $threads\n"
        . "MaxRequestWorkers $workers\nMinSpareThreads 1\nMaxSpareThreads $workers\n";
}

# The LogFormat that is shipped is the one that is tested.
sub _log_format
{
    my $conf = slurp("$root/conf/scim.conf") =~ s/\\\n\s*//gr;
    my ($line) = $conf =~ /^\s*#?(LogFormat\s.*\sscim)\s*$/m;
    die "conf/scim.conf has no LogFormat named scim\n" if !$line;
    return $line;
}

sub _location
{
    my ($self) = @_;
    return $self->{locations} if defined $self->{locations};
    return <<"EOT";
<Location "$self->{base_path}">
    SCIMEngine On
    AuthType Bearer
    AuthName SCIM
    Require valid-user
    $self->{location}
</Location>
EOT
}

sub _write_httpd_conf
{
    my ($self) = @_;
    my $dir = $self->{dir};
    my $user = '';
    if ($> == 0) {
        my ($name, $group) = _worker();
        $user = "User $name\nGroup $group\n";
    }
    _write("$dir/httpd.conf", join '', <<"EOT", $user, $self->_mpm_conf, $self->_load_modules, <<"EOT", $self->{conf}, "\n", $self->_location);
ServerRoot "$dir"
DefaultRuntimeDir "$dir/run"
PidFile "$dir/run/httpd.pid"
Listen $self->{address}:$self->{port}
ServerName $self->{address}:$self->{port}
Timeout 60
KeepAlive On
KeepAliveTimeout 30
MaxKeepAliveRequests 0
LogLevel info
ErrorLog "$dir/error_log"
EOT
TypesConfig "$dir/mime.types"
DocumentRoot "$dir/htdocs"
<Directory "$dir/htdocs">
    AllowOverride All
    Require all granted
</Directory>
@{[ _log_format() ]}
CustomLog "$dir/access_log" scim
SCIMStore "@{[ $self->store_url ]}"
EOT
}

sub _make_files
{
    my ($self) = @_;
    my ($dir, $below) = ($self->{dir}, "$self->{dir}/htdocs$self->{base_path}");
    chmod 0755, $dir;
    make_path("$dir/run", "$dir/san", $below);
    chmod 01777, "$dir/san"; # the children write there
    my %files = (
        'hello.txt' => "hello\n",
        "$self->{base_path}/on-disk.txt" => "no URL leads here\n",
        "$self->{base_path}/.htaccess" => "NoSuchDirective\n",
        %{ $self->{files} },
    );
    for my $path (sort keys %files) {
        make_path(dirname("$dir/htdocs/$path"));
        _write("$dir/htdocs/$path", $files{$path});
    }
    _write("$dir/mime.types", "text/plain txt\ntext/html html\n");
}

# The directory of the store is all that is made here; scimctl, which drops to
# its owner, makes what is in it.
sub _make_directory
{
    my ($self) = @_;
    mkdir $self->{store} or die "$self->{store}: $!\n";
    chmod 0700, $self->{store};
    if ($> == 0) {
        my (undef, undef, $uid, $gid) = _worker();
        chown $uid, $gid, $self->{store} or die "$self->{store}: $!\n";
    }
}

# Where a server's store is: for LMDB a directory, which need not be there.
sub _place_store
{
    my ($self) = @_;
    return "$self->{dir}/store" if $engine eq 'lmdb';
    my $database = $ENV{SCIM_TEST_PGSQL} // die "SCIM_TEST_PGSQL is not set: t/lib/pgsql run ...\n";
    my ($random) = $self->{dir} =~ /(\w+)\z/;
    # A name that is the same in lower case: SQL makes no difference.
    return "$database options=-csearch_path=scim_" . unpack 'H*', $random;
}

sub _schema
{
    my ($self) = @_;
    return $self->{store} =~ /search_path=(\w+)\z/ ? $1 : die "$self->{store}: no schema\n";
}

sub _psql
{
    my (@statements) = @_;
    my @command = ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', map({ ('-c', $_) } @statements), $ENV{SCIM_TEST_PGSQL});
    local $ENV{PGOPTIONS} = '-c client_min_messages=warning -c lock_timeout=30s';
    system(@command) == 0 or die "psql: @statements: exit code $?\n";
}

my @schemas; # [pid, name], for END

sub _make_schema
{
    my ($self) = @_;
    my $name = $self->_schema;
    _psql("CREATE SCHEMA $name");
    push @schemas, [$$, $name];
}

sub _drop_schemas
{
    my @mine = map { $_->[1] } grep { $_->[0] == $$ } @schemas;
    @schemas = ();
    local ($?, $@, $!);
    eval { _psql(map { "DROP SCHEMA IF EXISTS $_, ${_}_away CASCADE" } @mine) if @mine; 1 } or print STDERR "# $@";
}

sub _make_store
{
    my ($self) = @_;
    $engine eq 'lmdb' ? $self->_make_directory : $self->_make_schema;
    $self->_must_scimctl('init');
    $self->_must_scimctl('tenant', 'create', $self->{tenant});
    $self->{token} = $self->new_token(connection => 'test');
}

# --- life --------------------------------------------------------------------

sub new
{
    my ($class, %arg) = @_;
    my $self = $class->_prepare(%arg);
    if (defined $arg{store}) {
        @$self{qw(store token)} = @arg{qw(store token)};
    } else {
        $self->_make_store;
    }
    push @servers, $self;
    $self->start if $arg{start} // 1;
    return $self;
}

# Everything but the store.
sub _prepare
{
    my ($class, %arg) = @_;
    _find_httpd();
    my $mpm = $arg{mpm} || $ENV{SCIM_MPM} || 'event';
    my $self = bless {
        owner => $$,
        mpm => $mpm,
        conf => $arg{conf} // '',
        location => $arg{location} // '',
        locations => $arg{locations},
        base_path => $arg{base} // '/scim/v2',
        modules => $arg{modules} || [],
        files => $arg{files} || {},
        tenant => $arg{tenant} // 'default',
        children => $arg{children} || ($mpm eq 'prefork' ? 40 : 2),
        threads => $arg{threads} || 40,
        valgrind => $arg{valgrind},
        single => $arg{single} || $arg{valgrind},
        fault => $arg{fault},
        address => $arg{address} // '127.0.0.1',
        enter => $arg{enter} || [],
        port => $arg{port} // _free_port(),
        expected => [],
        allowed => [],
        problems => [],
        judged => 1, # there is nothing to judge before it starts
    }, $class;
    $self->{temp} = File::Temp->newdir('scim-XXXXXX', TMPDIR => 1);
    $self->{dir} = abs_path($self->{temp}->dirname);
    $self->{store} = $self->_place_store;
    $self->_make_files;
    return $self;
}

# Becomes httpd; never returns.
sub _exec_httpd
{
    my ($self) = @_;
    my $dir = $self->{dir};
    my @command = ($httpd, '-d', $dir, '-f', "$dir/httpd.conf", '-DFOREGROUND');
    if ($self->{valgrind}) {
        unshift @command, qw(valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
            --keep-debuginfo=yes --num-callers=30 --vgdb=no), "--log-file=$dir/san/valgrind.%p";
    } elsif (my $preload = _preload()) {
        # httpd and its other modules are not instrumented and leave memory to
        # exit: leaks are what valgrind looks for.
        $ENV{LD_PRELOAD} = join ':', $preload, grep { -e } "$build/t/gates/atomics.so";
        $ENV{ASAN_OPTIONS} = "detect_leaks=0:detect_odr_violation=0:strict_string_checks=1:log_path=$dir/san/asan";
        $ENV{UBSAN_OPTIONS} = "print_stacktrace=1:log_path=$dir/san/ubsan";
        # A child of prefork ends within its signal handler, and frees what it has there.
        $ENV{TSAN_OPTIONS} = "report_signal_unsafe=0:suppressions=$root/t/gates/tsan.supp:log_path=$dir/san/tsan";
    }
    push @command, '-X' if $self->{single};
    $self->{fault}->enter($self->{store}) if $self->{fault};
    # When it stops, httpd signals its whole process group: give it one.
    POSIX::setsid();
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', "$dir/stderr";
    open STDERR, '>>', "$dir/stderr";
    no warnings 'exec';
    unshift @command, @{ $self->{enter} };
    exec { $command[0] } @command;
    POSIX::_exit(127);
}

sub start
{
    my ($self) = @_;
    $self->{judged} = 0;
    for my $try (1 .. 5) {
        $self->_write_httpd_conf;
        my $pid = fork // die "fork: $!\n";
        $self->_exec_httpd if !$pid;
        $self->{pid} = $pid;
        return $self if $self->_wait_ready;
        my $said = slurp("$self->{dir}/stderr") . slurp("$self->{dir}/error_log");
        if ($said !~ /Address already in use|could not bind/ || $try == 5) {
            $self->{judged} = 1;
            die "httpd did not start:\n$said\n";
        }
        # Somebody took the port since it was found free.
        $self->{port} = _free_port();
        unlink "$self->{dir}/stderr", "$self->{dir}/error_log";
    }
}

# The file with its pid is written once httpd listens.
sub _wait_ready
{
    my ($self) = @_;
    my $until = time + $self->_patience;
    while (time < $until) {
        if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
            delete $self->{pid};
            return 0;
        }
        if (-s "$self->{dir}/run/httpd.pid") {
            my $socket = IO::Socket::INET->new(PeerAddr => $self->{address}, PeerPort => $self->{port}, Timeout => 1);
            return 1 if $socket;
        }
        sleep 0.02;
    }
    return 0;
}

sub _patience
{
    my ($self) = @_;
    return $self->{valgrind} || $ENV{SCIM_SAN} ? 120 : 30;
}

# Ends the connection that is kept alive and lets httpd see it: mpm_event, told
# to stop while a thread closes a connection, may crash all by itself.
sub _hang_up
{
    my ($self) = @_;
    my $http = delete $self->{http} or return;
    undef $http;
    sleep 0.1;
}

sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    $self->_hang_up;
    my @family = ($pid, _children_of($pid));
    kill 'TERM', $pid;
    my $until = time + $self->_patience;
    my $got;
    while (($got = waitpid $pid, WNOHANG) == 0) {
        if (time > $until) {
            push @{ $self->{problems} }, sprintf 'httpd did not stop within %d s', $self->_patience;
            kill 'KILL', @family;
            waitpid $pid, 0;
            return;
        }
        sleep 0.02;
    }
    if ($got == $pid && $? != 0) {
        push @{ $self->{problems} }, sprintf 'httpd ended with %s %d', $? & 127 ? ('signal', $? & 127) : ('exit code', $? >> 8);
    }
}

sub restart
{
    my ($self) = @_;
    return $self->_restart('HUP', 1);
}

sub graceful
{
    my ($self, %arg) = @_;
    return $self->_restart('USR1', $arg{wait} // 1);
}

sub _restart
{
    my ($self, $signal, $wait) = @_;
    die "httpd is one process, which does not restart\n" if $self->{single};
    $self->_hang_up;
    my @old = $self->children;
    my $generation = grep { /resuming normal operations/ } $self->error_log;
    kill $signal, $self->{pid};
    my $until = time + $self->_patience;
    while (time < $until) {
        my $seen = grep { /resuming normal operations/ } $self->error_log;
        my %now = map { $_ => 1 } $self->children;
        return 1 if $seen > $generation && (!$wait || !grep { $now{$_} } @old);
        if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
            delete $self->{pid};
            push @{ $self->{problems} }, 'httpd ended when it was to restart';
            return 0;
        }
        sleep 0.02;
    }
    push @{ $self->{problems} }, 'httpd did not restart in time';
    return 0;
}

sub spoil_store
{
    my ($self) = @_;
    my $store = $self->{store};
    return _psql("ALTER SCHEMA @{[ $self->_schema ]} RENAME TO @{[ $self->_schema ]}_away") if $engine eq 'pgsql';
    rename $store, "$store.away" or die "$store: $!\n";
    _write($store, '');
}

sub mend_store
{
    my ($self) = @_;
    my $store = $self->{store};
    return _psql("ALTER SCHEMA @{[ $self->_schema ]}_away RENAME TO @{[ $self->_schema ]}") if $engine eq 'pgsql';
    unlink $store;
    rename "$store.away", $store or die "$store: $!\n";
}

sub store_files
{
    my ($self) = @_;
    return $engine eq 'lmdb' ? bsd_glob("$self->{store}/*") : ();
}

sub store_bytes
{
    my ($self) = @_;
    return join '', map { slurp($_) } $self->store_files if $engine eq 'lmdb';
    my $hex = _output_of('psql', '-XAtq', '-c', "SELECT encode(k || v, 'hex') FROM @{[ $self->_schema ]}.scim_kv", $ENV{SCIM_TEST_PGSQL});
    return pack 'H*', $hex =~ s/\n//gr;
}

sub alter_store
{
    my ($self, $from, $to) = @_;
    my $count = () = $self->store_bytes =~ /\Q$from\E/g;
    if ($engine eq 'pgsql') {
        my ($old, $new) = map { "'\\x" . unpack('H*', $_) . "'::bytea" } $from, $to;
        my $table = $self->_schema . '.scim_kv';
        _psql(map { "UPDATE $table SET v = overlay(v PLACING $new FROM position($old IN v)) WHERE position($old IN v) > 0" } 1 .. $count);
        return $count;
    }
    # In place: those who have it open read it.
    open my $file, '+<:raw', "$self->{store}/data.mdb" or die "$self->{store}: $!\n";
    my $bytes = do { local $/; <$file> };
    while ($bytes =~ /\Q$from\E/g) {
        seek $file, $-[0], 0;
        print $file $to;
    }
    close $file or die "$self->{store}: $!\n";
    return $count;
}

sub write_conf
{
    my ($self, %arg) = @_;
    @$self{ keys %arg } = values %arg;
    $self->_write_httpd_conf;
}

sub configtest
{
    my ($class, %arg) = @_;
    my $dump = delete $arg{dump};
    my $self = ref $class ? $class : $class->_prepare(%arg);
    my $said = "$self->{dir}/said";
    $self->write_conf(%arg);
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        if (my $preload = _preload()) {
            $ENV{LD_PRELOAD} = $preload;
            $ENV{ASAN_OPTIONS} = 'detect_leaks=0:detect_odr_violation=0';
        }
        open STDOUT, '>', $said;
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec { $httpd } $httpd, '-d', $self->{dir}, '-f', "$self->{dir}/httpd.conf", '-t', $dump ? ('-D', 'DUMP_SCIM') : ();
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($? >> 8, slurp($said));
}

sub _children_of
{
    my ($parent) = @_;
    my @pids;
    for my $stat (bsd_glob '/proc/[0-9]*/stat') {
        # The name in parentheses may hold anything, parentheses too.
        push @pids, $1 if slurp($stat) =~ /^(\d+) \(.*\) [^Z] $parent /s;
    }
    return @pids;
}

sub children
{
    my ($self) = @_;
    return $self->{pid} ? _children_of($self->{pid}) : ();
}

sub _stop_all
{
    # $? is the test's own result: stopping must not change it.
    local ($?, $@, $!);
    for my $server (grep { $_->{owner} == $$ } @servers) {
        eval { $server->stop };
    }
    return grep { $_->{owner} == $$ && !$_->{judged} } @servers;
}

# Ended by a signal (timeout, Ctrl-C, a reader of its output that went away) a
# test must end by exit, for END to run.
for my $signal (qw(INT TERM HUP PIPE)) {
    $SIG{$signal} //= sub { exit 130 };
}

END {
    if (_stop_all() && $? == 0) {
        Test::More::diag('this test never called log_clean');
        $? = 1;
    }
    @servers = ();
    _drop_schemas();
}

# --- plain attributes --------------------------------------------------------

sub url
{
    my ($self, $path) = @_;
    return "http://$self->{address}:$self->{port}" . ($path // '');
}

sub base
{
    my ($self) = @_;
    return $self->url($self->{base_path});
}

sub token { return $_[0]{token} }
sub tenant { return $_[0]{tenant} }
sub store { return $_[0]{store} }
sub store_url { return "$engine:$_[0]{store}" }
sub dir { return $_[0]{dir} }
sub port { return $_[0]{port} }
sub pid { return $_[0]{pid} }

# --- scimctl -----------------------------------------------------------------

sub scimctl
{
    my ($self, @args) = @_;
    my $out = File::Temp->new;
    my $err = File::Temp->new;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $out;
        open STDERR, '>&', $err;
        no warnings 'exec';
        exec { "$build/scimctl" } "$build/scimctl", '--store', $self->store_url, @args;
        print STDERR "$build/scimctl: $!\n";
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    return ($code, slurp($out->filename), slurp($err->filename));
}

sub _must_scimctl
{
    my ($self, @args) = @_;
    my ($code, $out, $err) = $self->scimctl(@args);
    die "scimctl @args: exit code $code\n$out$err" if $code;
    return $out;
}

sub new_token
{
    my ($self, %option) = @_;
    my %all = (tenant => $self->{tenant}, connection => 'test', %option);
    my $out = $self->_must_scimctl('token', 'create', map { ("--$_", $all{$_}) } sort keys %all);
    my ($token) = $out =~ /^Secret Token:\s*(mscim_\S+)/m or die "scimctl printed no Secret Token:\n$out";
    return $token;
}

# --- requests ----------------------------------------------------------------

sub esc
{
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub get { my ($self, $path, @headers) = @_; return $self->request('GET', $path, undef, @headers) }
sub delete { my ($self, $path, @headers) = @_; return $self->request('DELETE', $path, undef, @headers) }
sub post { my ($self, $path, $body, @headers) = @_; return $self->request('POST', $path, $body, @headers) }
sub put { my ($self, $path, $body, @headers) = @_; return $self->request('PUT', $path, $body, @headers) }
sub patch { my ($self, $path, $body, @headers) = @_; return $self->request('PATCH', $path, $body, @headers) }

sub request
{
    my ($self, $method, $path, $body, %headers) = @_;
    my %send = (authorization => "Bearer $self->{token}");
    $send{'content-type'} = 'application/scim+json' if defined $body;
    $send{ lc $_ } = $headers{$_} for keys %headers;
    if (defined $body) {
        $body = ref $body ? $json->encode($body) : $body;
        utf8::encode($body) if utf8::is_utf8($body);
    }
    my $url = $path =~ m{^http://} ? $path : $self->base . $path;
    # HTTP::Tiny sends no Host but its own, always a type with a body, and
    # does not look for an answer while it writes.
    my $untyped = defined $body && !defined $send{'content-type'};
    delete $send{$_} for grep { !defined $send{$_} } keys %send;
    if ($untyped || exists $send{host} || (defined $body && length $body > 1 << 20)) {
        return $self->_request_raw($method, $url, $body, %send);
    }
    $self->{http} ||= HTTP::Tiny->new(
        agent => 'scim-test', keep_alive => 1, max_redirect => 0, timeout => 90,
        proxy => undef, http_proxy => undef, https_proxy => undef,
    );
    my $got = $self->{http}->request($method, $url, { headers => \%send, defined $body ? (content => $body) : () });
    return Scim::Httpd::Response->new(%$got);
}

sub _request_raw
{
    my ($self, $method, $url, $body, %send) = @_;
    my ($path) = $url =~ m{^http://[^/]+(/.*)?$};
    my %head = (host => "$self->{address}:$self->{port}", connection => 'close', %send);
    $head{'content-length'} = length $body if defined $body;
    my $text = join '', "$method ", $path // '/', " HTTP/1.1\r\n", map({ "$_: $head{$_}\r\n" } sort keys %head), "\r\n";
    return $self->raw($text . ($body // ''));
}

sub raw
{
    my ($self, $bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $self->{address}, PeerPort => $self->{port}, Timeout => 10)
        or return Scim::Httpd::Response->new(status => 599, content => "no connection: $!");
    my $head_only = $bytes =~ /^HEAD /;
    local $SIG{PIPE} = 'IGNORE';
    $socket->blocking(0);
    my $select = IO::Select->new($socket);
    my $until = time + 90;
    my $received = '';
    while (time < $until) {
        my ($readable, $writable) = IO::Select->select($select, length $bytes ? $select : undef, undef, 1);
        if ($writable && @$writable && length $bytes) {
            my $n = syswrite $socket, $bytes, 1 << 16;
            # The server may have answered and closed: read on.
            $bytes = defined $n ? substr($bytes, $n) : $!{EAGAIN} || $!{EINTR} ? $bytes : '';
        }
        if ($readable && @$readable) {
            my $n = sysread $socket, $received, 1 << 16, length $received;
            next if !defined $n && ($!{EAGAIN} || $!{EINTR});
            my $response = Scim::Httpd::Response->parse($received, !$n, $head_only);
            return $response if $response;
            last if !$n;
        }
    }
    return Scim::Httpd::Response->new(status => 599, content => "no whole answer, but: $received");
}

# Small requests only: all is sent before the answer is read.
sub raw_kept
{
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    # A connection that was kept may have been closed meanwhile: one more try.
    for my $kept ($self->{kept}, undef) {
        my $socket = $kept || IO::Socket::INET->new(PeerAddr => $self->{address}, PeerPort => $self->{port}, Timeout => 10) or last;
        delete $self->{kept};
        syswrite $socket, $bytes;
        my $received = '';
        while (1) {
            my $n = sysread $socket, $received, 1 << 16, length $received;
            my $response = Scim::Httpd::Response->parse($received, !$n, $bytes =~ /^HEAD /);
            if ($response && $response->status) {
                $self->{kept} = $socket if $n && ($response->header('connection') // '') !~ /close/i;
                return $response;
            }
            last if !$n;
        }
    }
    return Scim::Httpd::Response->new(status => 599, content => 'no answer');
}

# --- logs --------------------------------------------------------------------

sub _lines
{
    my ($self, $name) = @_;
    return split /\n/, slurp("$self->{dir}/$name");
}

sub error_log
{
    my ($self) = @_;
    return ($self->_lines('stderr'), $self->_lines('error_log'));
}

sub access_log
{
    my ($self) = @_;
    return $self->_lines('access_log');
}

sub wait_log
{
    my ($self, $pattern, $seconds) = @_;
    return _wait_line(sub { $self->error_log }, $pattern, $seconds);
}

sub wait_access
{
    my ($self, $pattern, $seconds) = @_;
    return _wait_line(sub { $self->access_log }, $pattern, $seconds);
}

# The first line that matches, or undef: in a list, too, so that a test that was
# given nothing has nothing in its place.
sub _wait_line
{
    my ($lines, $pattern, $seconds) = @_;
    my $until = time + ($seconds // 10);
    my $found;
    while (!defined $found && time < $until) {
        ($found) = grep { $_ =~ $pattern } $lines->();
        sleep 0.02 if !defined $found;
    }
    return $found;
}

sub expect_log
{
    my ($self, @patterns) = @_;
    push @{ $self->{expected} }, @patterns;
}

sub allow_log
{
    my ($self, @patterns) = @_;
    push @{ $self->{allowed} }, @patterns;
}

# A line that must not stand in the log undeclared.  What has not the form of
# httpd's lines was written to stderr by something that broke.
sub _is_bad
{
    my ($line) = @_;
    return 0 if $line eq '';
    return $line !~ /^\[/
        || $line =~ /^\[[^\]]+\] \[\w*:(?:warn|error|crit|alert|emerg)\]/
        || $line =~ /exit signal|[Aa]ssertion|Sanitizer|runtime error:/;
}

sub log_clean
{
    my ($self, $name) = @_;
    $self->stop;
    $self->{judged} = 1;
    my @problems = @{ $self->{problems} };
    my @lines = $self->error_log;
    for my $line (grep { _is_bad($_) } @lines) {
        push @problems, $line if !grep { $line =~ $_ } @{ $self->{expected} }, @{ $self->{allowed} };
    }
    for my $pattern (@{ $self->{expected} }) {
        push @problems, "the log has no line that matches $pattern" if !grep { $_ =~ $pattern } @lines;
    }
    for my $report (bsd_glob "$self->{dir}/san/*") {
        my $text = slurp($report);
        push @problems, $text if $text =~ /\S/;
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::ok(!@problems, $name // 'the error log holds what was expected and nothing else')
        || Test::More::diag(join "\n", @problems);
}

# --- functions ---------------------------------------------------------------

sub is_error
{
    my ($response, $status, $type, $name) = @_;
    my @problems;
    my $check = sub {
        my ($what, $got, $want) = @_;
        $got //= 'nothing';
        $want //= 'nothing';
        push @problems, "$what is $got, not $want" if $got ne $want;
    };
    my $body = $response->json;
    $check->('the HTTP status', $response->status, $status);
    $check->('Content-Type', $response->header('content-type'), 'application/scim+json');
    if (ref $body eq 'HASH') {
        $check->('schemas', $json->encode($body->{schemas}), $json->encode([$ERROR]));
        $check->('status', $json->encode($body->{status}), qq{"$status"});
        $check->('scimType', $body->{scimType}, $type);
        push @problems, 'there is no detail' if !defined $body->{detail} || ref $body->{detail} || $body->{detail} !~ /\S/;
    } else {
        push @problems, 'the body is no JSON object';
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::ok(!@problems, $name)
        || Test::More::diag(join "\n", @problems, 'body: ' . $response->content);
}

sub lmdb_only
{
    my ($why, $count) = @_;
    return if $engine eq 'lmdb';
    Test::More::skip("of LMDB alone: $why", $count) if $count;
    Test::More::plan(skip_all => "of LMDB alone: $why");
}

# All processes are made first and let go together.
sub parallel
{
    my ($n, $sub) = @_;
    pipe my $gate, my $start or die "pipe: $!\n";
    my @runs;
    for my $i (0 .. $n - 1) {
        pipe my $from, my $to or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $start;
            close $from;
            sysread $gate, my $byte, 1; # until the parent closes its end
            my @result = eval { (1, $sub->($i)) };
            @result = (0, "$@") if !@result;
            print $to $json->encode(\@result);
            close $to;
            POSIX::_exit(0);
        }
        close $to;
        push @runs, [$pid, $from];
    }
    close $gate;
    close $start;
    my (@results, @failed);
    for my $i (0 .. $#runs) {
        my ($pid, $from) = @{ $runs[$i] };
        my $text = do { local $/; <$from> };
        waitpid $pid, 0;
        my ($good, @value) = $text ? @{ $json->decode($text) } : (0, "ended with status $?");
        push @failed, "parallel: process $i: $value[0]" if !$good;
        push @results, @value > 1 ? \@value : $value[0];
    }
    die join("\n", @failed), "\n" if @failed;
    return @results;
}

package Scim::Httpd::Response;

sub new
{
    my ($class, %part) = @_;
    return bless { reason => '', headers => {}, content => '', %part }, $class;
}

sub status { return $_[0]{status} }
sub reason { return $_[0]{reason} }
sub headers { return $_[0]{headers} }
sub content { return $_[0]{content} // '' }

sub header
{
    my ($self, $name) = @_;
    my $value = $self->{headers}{ lc $name };
    return ref $value ? join(', ', @$value) : $value;
}

sub json
{
    my ($self) = @_;
    if (!exists $self->{json}) {
        $self->{json} = eval { $json->decode($self->content) };
    }
    return $self->{json};
}

# The first final answer in bytes as they came, or nothing while it is not
# whole; $eof: no more will come.
sub parse
{
    my ($class, $bytes, $eof, $head_only) = @_;
    if ($bytes !~ m{^HTTP/}) {
        return $eof ? $class->new(status => 0, content => $bytes) : undef;
    }
    my ($head, $rest) = $bytes =~ /\A(.*?)\r?\n\r?\n(.*)\z/s or return;
    my ($first, @lines) = split /\r?\n/, $head;
    my ($status, $reason) = $first =~ m{^HTTP/\S+ (\d+) ?(.*)} or return;
    return $class->parse($rest, $eof, $head_only) if $status =~ /^1/ && $status != 101;
    my %headers;
    for my $line (@lines) {
        my ($name, $value) = $line =~ /^([^:]+):\s*(.*?)\s*$/ or next;
        $name = lc $name;
        $headers{$name} = exists $headers{$name}
            ? [ref $headers{$name} ? @{ $headers{$name} } : $headers{$name}, $value]
            : $value;
    }
    my $length = $headers{'content-length'};
    my $content;
    if ($head_only || $status == 204 || $status == 304) {
        $content = '';
    } elsif (($headers{'transfer-encoding'} // '') =~ /chunked/i) {
        $content = _unchunk($rest);
    } elsif (defined $length) {
        $content = substr $rest, 0, $length if length $rest >= $length;
    } elsif ($eof) {
        $content = $rest;
    }
    return if !defined $content;
    return $class->new(status => $status, reason => $reason, headers => \%headers, content => $content);
}

sub _unchunk
{
    my ($bytes) = @_;
    my $content = '';
    while ($bytes =~ s/\A([0-9A-Fa-f]+)[^\n]*\n//) {
        my $n = hex $1;
        return $content if !$n;
        return if length $bytes < $n + 2;
        $content .= substr $bytes, 0, $n, '';
        $bytes =~ s/\A\r?\n//;
    }
    return;
}

1;
