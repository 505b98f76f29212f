# SPDX-License-Identifier: Apache-2.0
package Bench;

=head1 NAME

Bench - servers, stores and loads of the benchmark (t/bench/run)

=head2 Where everything is

    Bench::prepare($build)    a directory for all of it, removed at the end
    data                      its path
    owner($path)              gives it, and what is in it, to httpd's children

=head2 Servers

    my $s = Bench::Server->new($name, $store, $token, %args)

An httpd on 127.0.0.1 with mod_scim as conf/scim.conf has it: its LogFormat and
CustomLog, its advice for the MPM.  %args: mpm (in place of that advice), group
(whom /bench/scim-group/ is for), engine (pgsql, where $store is a connection string).

    put_file($name, $text)    a file below /bench/, /bench/default/ (sent with
                              EnableMMAP On), /bench/valid-user/ and
                              /bench/scim-group/; /bench/fixed sends user.json
    start($path)              how many seconds passed until $path was answered
    stop
    url, tls_url
    ask($path)                body of a GET below the endpoint, and how long it
                              took; it dies where the status is not 200
    anonymous                 the most of its children's RssAnon, in MB
    complaints                of the error log at level warn or above: the first line
                              of each kind

=head2 Load

    wrk($server, $kind, $clients, $seconds, %env)   what requests.lua tells:
                              rate (good answers a second), p50 and p99 (ms),
                              bytes (a second), requests
    wrk_begin, wrk_end        the same in two steps, for loads side by side
    troubles                  what was refused or broken, for the report

=cut

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Spec;
use File::Temp ();
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(data owner output_of command slurp spill drop_cache median wrk wrk_begin wrk_end troubles);

my $root = File::Spec->rel2abs(dirname(__FILE__) . '/../..');
my ($build, $data, @servers, %children, @troubles);
my $me = $$;

# --- files and programs ------------------------------------------------------

sub slurp
{
    my ($path) = @_;
    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub spill
{
    my ($path, $text) = @_;
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
    return $path;
}

sub output_of
{
    my (@command) = @_;
    open my $out, '-|', @command or die "$command[0]: $!\n";
    my $text = do { local $/; <$out> } // '';
    close $out or die "@command[0 .. ($#command > 2 ? 2 : $#command)] failed\n";
    chomp $text;
    return $text;
}

sub command
{
    my (@command) = @_;
    system(@command) == 0 or die "@command failed\n";
    return;
}

sub median
{
    my @sorted = sort { $a <=> $b } grep { defined } @_;
    return if !@sorted;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

# What came into the page cache by sequential writing makes later writes slow.
sub drop_cache
{
    my ($file) = @_;
    command('dd', 'status=none', "of=$file", 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0');
    return;
}

# --- the directory -----------------------------------------------------------

# The user of httpd's children when it is started by root.
sub _worker
{
    return if $> != 0;
    for my $name (qw(www-data apache httpd daemon nobody)) {
        my ($user, undef, $uid, $gid) = getpwnam $name;
        return ($user, scalar getgrgid($gid), $uid, $gid) if defined $user;
    }
    die "no user for httpd's children: www-data, apache, daemon and nobody are all unknown\n";
}

sub _worker_reaches
{
    my ($dir) = @_;
    my (undef, undef, $uid, $gid) = _worker() or return 1;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $) = "$gid $gid";
        $> = $uid;
        require POSIX;
        POSIX::_exit(-x $dir && opendir(my $handle, $dir) ? 0 : 1);
    }
    waitpid $pid, 0;
    return $? == 0;
}

sub prepare
{
    ($build) = @_;
    my @where = ("$build/bench-data", ($ENV{TMPDIR} || '/tmp') . "/mod_scim-bench-$$");
    for my $dir (@where) {
        remove_tree($dir);
        make_path($dir, { mode => 0755 });
        $data = $dir;
        return if _worker_reaches($dir);
        remove_tree($dir);
    }
    die "httpd's children can reach neither of @where: set TMPDIR\n";
}

sub data { return $data }

sub owner
{
    my ($path) = @_;
    my (undef, undef, $uid, $gid) = _worker() or return;
    chown $uid, $gid, $path, glob("$path/*");
    return;
}

END {
    if ($$ == $me) {
        my $status = $?;
        kill TERM => $_ for keys %children;
        $_->stop for @servers;
        remove_tree($data) if $data && !$ENV{KEEP};
        $? = $status;
    }
}

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);

# --- load --------------------------------------------------------------------

sub wrk_begin
{
    my ($server, $kind, $clients, $seconds, %env) = @_;
    my $what = join ' ', $kind, $env{PATH} || (), "at $clients clients";
    my $url = delete $env{url} || $server->{url};
    local @ENV{ map { "BENCH_$_" } keys %env } = values %env;
    local $ENV{BENCH_KIND} = $kind;
    local $ENV{BENCH_HOST} = $server->{host};
    local $ENV{BENCH_TOKEN} = $server->{token};
    local $ENV{BENCH_FIRST} = $env{FIRST} // 0;
    my $pid = open my $out, '-|', 'wrk', '-t1', "-c$clients", "-d${seconds}s", '--timeout', '30s',
        '-s', "$root/t/bench/requests.lua", $url or die "wrk: $!\n";
    $children{$pid} = 1;
    return { out => $out, pid => $pid, what => $what, server => $server };
}

sub wrk_end
{
    my ($load) = @_;
    my $text = do { local $/; readline $load->{out} } // '';
    close $load->{out};
    delete $children{ $load->{pid} };
    my ($line) = $text =~ /^BENCH (.*)/m or die "$load->{what}: wrk said:\n$text\n";
    my %got = $line =~ /(\w+)=(\d+)/g;
    my $seconds = $got{time} / 1e6;
    push @troubles, "$load->{what}: $got{refused} of $got{requests} requests were refused"
        if $got{refused};
    push @troubles, "$load->{what}: $got{broken} connections broke" if $got{broken};
    $load->{server}->forget_log;
    return {
        rate => ($got{requests} - $got{refused}) / $seconds,
        bytes => $got{bytes} / $seconds,
        requests => $got{requests},
        p50 => $got{p50} / 1e3,
        p99 => $got{p99} / 1e3,
    };
}

sub wrk { return wrk_end(wrk_begin(@_)) }

sub troubles { return @troubles }

package Bench::Server;

use Time::HiRes qw(sleep time);
use HTTP::Tiny;

sub _free_port
{
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)
        or die "no free port: $!\n";
    return $socket->sockport;
}

sub _find
{
    my (@names) = @_;
    for my $dir (split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin') {
        for my $name (@names) {
            return "$dir/$name" if -x "$dir/$name" && !-d "$dir/$name";
        }
    }
    die "there is no $names[0]: t/lib/deps bench\n";
}

sub new
{
    my ($class, $name, $store, $token, %args) = @_;
    my $dir = Bench::data() . "/$name";
    my ($port, $tls_port) = (_free_port(), _free_port());
    my $self = bless {
        dir => $dir, store => $store, token => $token, port => $port, tls_port => $tls_port,
        host => "127.0.0.1:$port", url => "http://127.0.0.1:$port",
        tls_url => "https://127.0.0.1:$tls_port",
        agent => HTTP::Tiny->new(timeout => 120), %args
    }, $class;
    Bench::make_path("$dir/htdocs/bench/default");
    push @servers, $self;
    return $self;
}

sub _load_modules
{
    my ($self) = @_;
    my $apxs = $ENV{APXS} || _find(qw(apxs2 apxs));
    my $modules = Bench::output_of($apxs, '-q', 'LIBEXECDIR');
    my @names = qw(mpm_event unixd authn_core authz_core authz_user auth_basic log_config mime
        socache_shmcb ssl);
    # What is not there as a file is part of this httpd.
    my @lines = map { "LoadModule ${_}_module $modules/mod_$_.so\n" }
        grep { -f "$modules/mod_$_.so" } @names;
    push @lines, "LoadModule scim_pgsql_module $build/mod_scim_pgsql.so\n" if $self->{engine};
    return join '', @lines, "LoadModule scim_module $build/mod_scim.so\n",
        "LoadModule bench_module $build/t/bench/mod_bench.so\n";
}

# What conf/scim.conf ships, with "#" before it or not.  The log is of what the
# references answer as well.
sub _shipped
{
    my ($self) = @_;
    my $conf = Bench::slurp("$root/conf/scim.conf") =~ s/^(\s*)#(?=\S)/$1/mgr;
    my ($format) = $conf =~ /^\s*(LogFormat .*)$/m or die "conf/scim.conf has no LogFormat\n";
    my ($log) = $conf =~ /^\s*(CustomLog .*)$/m or die "conf/scim.conf has no CustomLog\n";
    my ($mpm) = $conf =~ m{^<IfModule mpm_event_module>\n(.*?)^</IfModule>}ms
        or die "conf/scim.conf has no advice for the event MPM\n";
    $mpm =~ s/^#//mg;
    $log =~ s{\S+/scim\.log}{"$self->{dir}/access_log"};
    $log =~ s{\^/scim/v2}{^/(?:scim/v2|bench)} or die "conf/scim.conf's CustomLog is of other paths\n";
    return "$format\n$log\n" . ($self->{mpm} || $mpm) . "MaxKeepAliveRequests 0\n";
}

sub _certificate
{
    my ($self) = @_;
    my $dir = $self->{dir};
    return if -f "$dir/cert.pem";
    Bench::command('openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', "$dir/key.pem");
    Bench::command('openssl', 'req', '-x509', '-key', "$dir/key.pem", '-days', 2, '-subj', '/CN=127.0.0.1',
        '-addext', 'basicConstraints=CA:FALSE', '-out', "$dir/cert.pem");
    return;
}

sub _write_conf
{
    my ($self) = @_;
    my $dir = $self->{dir};
    my ($user, $group) = Bench::_worker();
    my $who = defined $user ? "User $user\nGroup $group\n" : '';
    my $members = $self->{group} || 'none';
    Bench::spill("$dir/httpd.conf", join '', <<"EOT", $who, $self->_load_modules, $self->_shipped, <<"EOT");
ServerRoot "$dir"
DefaultRuntimeDir "$dir"
PidFile "$dir/httpd.pid"
Listen 127.0.0.1:$self->{port}
Listen 127.0.0.1:$self->{tls_port} https
ServerName $self->{host}
ErrorLog "$dir/error_log"
EOT
TypesConfig /dev/null
DocumentRoot "$dir/htdocs"
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
<Directory "$dir/htdocs">
    EnableMMAP Off
    Require all granted
</Directory>
<Directory "$dir/htdocs/bench/default">
    EnableMMAP On
</Directory>
SSLSessionCache shmcb:$dir/ssl_cache(512000)
<VirtualHost 127.0.0.1:$self->{tls_port}>
    ServerName 127.0.0.1:$self->{tls_port}
    SSLEngine on
    SSLCertificateFile "$dir/cert.pem"
    SSLCertificateKeyFile "$dir/key.pem"
</VirtualHost>

SCIMStore "@{[ $self->{engine} || 'lmdb' ]}:$self->{store}"
SCIMScanLimit 10000000
<Location "/scim/v2">
    SCIMEngine On
    AuthType Bearer
    AuthName SCIM
    Require valid-user
</Location>

BenchBody "$dir/htdocs/bench/user.json"
<Location "/bench/fixed">
    SetHandler bench-body
</Location>
<LocationMatch "^/bench/(valid-user|scim-group)/">
    AuthType Basic
    AuthName bench
    AuthBasicProvider bench
    SCIMTenant bench
</LocationMatch>
<Location "/bench/valid-user">
    Require valid-user
</Location>
<Location "/bench/scim-group">
    Require scim-group $members
</Location>
EOT
    return;
}

# The file that references send: below each of the names that lead to it.
sub put_file
{
    my ($self, $name, $text) = @_;
    for my $below ('', 'default/', 'valid-user/', 'scim-group/') {
        Bench::make_path("$self->{dir}/htdocs/bench/$below");
        Bench::spill("$self->{dir}/htdocs/bench/$below$name", $text);
    }
    return;
}

sub _httpd { return _find(qw(apache2 httpd)) }

# How many seconds pass until a user is answered.
sub start
{
    my ($self, $path) = @_;
    my $dir = $self->{dir};
    $self->put_file('user.json', '{}') if !-f "$dir/htdocs/bench/user.json";
    $self->_certificate;
    $self->_write_conf;
    my @command = (_httpd(), '-d', $dir, '-f', "$dir/httpd.conf", '-DFOREGROUND');
    my $began = time;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/output";
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!\n";
    }
    $self->{pid} = $pid;
    return $self->_await($path || '/ServiceProviderConfig', $began);
}

sub _await
{
    my ($self, $path, $began) = @_;
    while (time - $began < 30) {
        return time - $began if $self->_get($path)->{status} == 200;
        if (waitpid($self->{pid}, 1) == $self->{pid}) { # WNOHANG
            delete $self->{pid};
            last;
        }
        sleep 0.001;
    }
    die "httpd did not start:\n", Bench::slurp("$self->{dir}/output"), Bench::slurp("$self->{dir}/error_log");
}

sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill TERM => $pid;
    for (1 .. 200) {
        return if waitpid($pid, 1) != 0;
        sleep 0.05;
    }
    kill KILL => $pid, $self->_children($pid);
    waitpid $pid, 0;
    return;
}

sub _get
{
    my ($self, $path) = @_;
    return $self->{agent}->get("$self->{url}/scim/v2$path",
        { headers => { Authorization => "Bearer $self->{token}" } });
}

sub ask
{
    my ($self, $path) = @_;
    my $began = time;
    my $response = $self->_get($path);
    my $took = time - $began;
    die "GET $path: $response->{status} $response->{content}\n" if $response->{status} != 200;
    return wantarray ? ($response->{content}, $took) : $response->{content};
}

sub _children
{
    my ($self, $pid) = @_;
    return split ' ', Bench::slurp("/proc/$pid/task/$pid/children");
}

sub anonymous
{
    my ($self) = @_;
    my @sizes = map { Bench::slurp("/proc/$_/status") =~ /^RssAnon:\s+(\d+)/m ? $1 / 1024 : 0 }
        $self->_children($self->{pid});
    return (sort { $b <=> $a } @sizes)[0];
}

sub forget_log
{
    my ($self) = @_;
    truncate "$self->{dir}/access_log", 0;
    return;
}

# The first line of each kind.
sub complaints
{
    my ($self) = @_;
    my (%count, @first);
    for my $line (grep { /:(?:emerg|alert|crit|error|warn)\]/ } split /\n/, Bench::slurp("$self->{dir}/error_log")) {
        my ($tag) = $line =~ /\b((?:AH|SCIM)\d+)/;
        push @first, [$tag // '', $line] if !$count{ $tag // '' }++;
    }
    return map { "$_->[1]" . ($count{ $_->[0] } > 1 ? " ($count{$_->[0]} of these)" : '') } @first;
}

1;
