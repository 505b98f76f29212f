#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# t/lib/run, which is "make run": what it prints, what it keeps, how it ends.
use strict;
use warnings;
use FindBin;
use Cwd qw(abs_path);
use File::Glob qw(bsd_glob);
use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);

my $run = abs_path("$FindBin::Bin/../lib/run");
my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $root = $> == 0;
my $temp = File::Temp->newdir('scim-run-XXXXXX', TMPDIR => 1);
my $dir = abs_path($temp->dirname);
chmod 0755, $dir;
mkdir "$dir/tmp" or die "$dir/tmp: $!\n";
chmod 01777, "$dir/tmp";
# All that a run makes beside its STATE is found here.
$ENV{TMPDIR} = "$dir/tmp";

my %running; # pid => 1, for END

END {
    # $? is the test's own result.
    local $?;
    kill 'TERM', keys %running;
    waitpid $_, 0 for keys %running;
}
$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);

sub slurp
{
    my ($path) = @_;
    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub spew
{
    my ($path, $text) = @_;
    open my $out, '>', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
}

sub free_port
{
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)
        or die "no free port: $!\n";
    return $socket->sockport;
}

# Starts one with these variables, as another user where "as" names him: an
# object with pid, port and out, the path of what it prints.
my $count = 0;

sub start
{
    my (%env) = @_;
    my %self = (out => "$dir/out." . $count++, port => $env{PORT} // free_port());
    my @command = ($run);
    if (my $user = delete $env{as}) {
        my (undef, undef, $uid, $gid) = getpwnam $user;
        unshift @command, 'setpriv', '--reuid', $uid, '--regid', $gid, '--clear-groups';
    }
    $self{pid} = fork // die "fork: $!\n";
    if (!$self{pid}) {
        %ENV = (%ENV, O => $build, PORT => $self{port}, STATE => "$dir/state", CONF => '', %env);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $self{out};
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec @command;
        POSIX::_exit(127);
    }
    $running{ $self{pid} } = 1;
    return \%self;
}

# Whether text that matches came before it ended, or in time.
sub wait_for
{
    my ($self, $pattern) = @_;
    my $until = time + ($ENV{SCIM_SAN} ? 120 : 30);
    while (time < $until) {
        return 1 if slurp($self->{out}) =~ $pattern;
        last if exists $self->{code};
        if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
            ended($self, $?);
        }
        sleep 0.05;
    }
    return 0;
}

sub ended
{
    my ($self, $status) = @_;
    delete $running{ $self->{pid} };
    $self->{code} = $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# The exit code of one that ends, by a signal where one is given.
sub finish
{
    my ($self, $signal) = @_;
    return $self->{code} if exists $self->{code};
    kill $signal, $self->{pid} if $signal;
    my $until = time + 60;
    while (time < $until) {
        if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
            return ended($self, $?);
        }
        sleep 0.05;
    }
    return 'still runs';
}

# Processes with our directory in their command line: every httpd of a run.
sub left_over
{
    return grep { slurp($_) =~ m{\Q$dir\E/tmp/mod_scim-run} } bsd_glob '/proc/[0-9]*/cmdline';
}

sub ready
{
    my ($self) = @_;
    return wait_for($self, qr/^curl .*\n/m);
}

# What it printed on its lines: the URL, the token, the curl command.
sub printed
{
    my ($self) = @_;
    my $text = slurp($self->{out});
    return map { my @found = $text =~ /$_/g; \@found }
        (qr/^Tenant URL:   (\S+)$/m, qr/^Secret Token: (mscim_\S+)$/m, qr/^(curl .*)$/m);
}

sub curl
{
    my ($command) = @_;
    my $json = qx{$command --silent --max-time 30};
    return eval { JSON::PP::decode_json($json) } || { problem => $json };
}

# --- the first start ---------------------------------------------------------

my $server = start();
ok(ready($server), 'it starts') or BAIL_OUT(slurp($server->{out}));
my ($urls, $tokens, $curls) = printed($server);
my $url = "http://127.0.0.1:$server->{port}/scim/v2";
is_deeply($urls, [$url], 'it prints the Tenant URL, once');
is(scalar @$tokens, 1, 'it prints the Secret Token, once');
my ($token, $curl) = ($tokens->[0], $curls->[0]);
is_deeply([@{ curl($curl) }{qw(totalResults Resources)}], [0, []], 'the line with curl works as it is');
is(slurp("$dir/state/token"), "$token\n", 'the token is kept in STATE');
is(sprintf('%o', (stat "$dir/state/token")[2] & 07777), '600', 'and for nobody else');

my $user = '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bjensen"}';
my $made = curl("$curl -H 'Content-Type: application/scim+json' -d '$user'");
like($made->{id}, qr/\A[0-9a-f-]{36}\z/, 'a user is created');
ok(wait_for($server, qr/"POST \/scim\/v2\/Users" 201 .*tenant=default .*op=users\.create id=\Q$made->{id}\E changes=userName /),
    'the access log is shown as it comes, in the format that is shipped');
like(slurp($server->{out}), qr/resuming normal operations/, 'and so is the error log');

my $second = start(PORT => $server->{port}, STATE => "$dir/second");
is(finish($second), 1, 'a port that is taken ends it with 1');
like(slurp($second->{out}), qr/\Amake run: port $server->{port} .*PORT=\d+\n\z/, 'and with one line that says what to do');

is(finish($server, 'TERM'), 0, 'TERM ends it with 0');
is_deeply([left_over()], [], 'no process is left');
is_deeply([bsd_glob "$dir/tmp/*"], [], 'and no file but those of STATE');
like(slurp($server->{out}), qr/caught SIGTERM, shutting down/, 'the log is shown to its end');

# --- the second start --------------------------------------------------------

mkdir "$dir/a b";
spew("$dir/a b/my.conf", <<'END');
SCIMReadOnly On
<Location "/scim/v2">
    SCIMMaxPageSize 7
</Location>
END
$server = start(PORT => $server->{port}, CONF => "$dir/a b/my.conf");
ok(ready($server), 'it starts again');
($urls, $tokens, $curls) = printed($server);
is_deeply([$urls, $tokens], [[$url], [$token]], 'with the same URL and the same token');
is(curl($curl)->{Resources}[0]{userName}, 'bjensen', 'the user is there');
is(curl("curl $url/ServiceProviderConfig")->{filter}{maxResults}, 7, 'CONF overrides what stands in the Location');
is(curl("$curls->[0] -H 'Content-Type: application/scim+json' -d '$user'")->{status}, '503', 'and sets what concerns the server');
kill 'KILL', map { /(\d+)/ ? $1 : () } grep { slurp($_) =~ /-DFOREGROUND/ } left_over();
is(finish($server), 1, 'killing httpd ends it with 1');
is_deeply([left_over()], [], 'and no process is left then either');

# --- what may be wrong -------------------------------------------------------

$server = start(STATE => "$dir/a b/state");
ok(ready($server), 'it starts with a space in STATE');
is(curl((printed($server))[2][0])->{totalResults}, 0, 'and works');
is(finish($server, 'TERM'), 0, 'and ends');

unlink bsd_glob "$dir/state/store/*";
$server = start();
ok(ready($server), 'it starts where the store was taken away');
(undef, $tokens, $curls) = printed($server);
isnt($tokens->[0], $token, 'with another token');
is(curl($curls->[0])->{totalResults}, 0, 'which works');
is(finish($server, 'HUP'), 0, 'HUP, a terminal that closes, ends it');

spew("$dir/bad.conf", "SCIMMaxBody many\n");
my $bad = start(CONF => "$dir/bad.conf");
is(finish($bad), 1, 'a configuration that is wrong ends it with 1');
like(slurp($bad->{out}), qr/Syntax error on line 1 of \Q$dir\E\/bad\.conf/, 'and with what httpd says of it');

$bad = start(CONF => "$dir/none.conf");
is(finish($bad), 1, 'so does a CONF that is not there');
$bad = start(PORT => '80x');
is(finish($bad), 1, 'and a PORT that is none');

SKIP: {
    skip 'only root can be other users', 12 if !$root;
    mkdir "$dir/home", 0700;
    my $hidden = start(STATE => "$dir/home/clone/build/state");
    ok(ready($hidden), 'as root, with a STATE that the workers cannot reach');
    my @said = slurp($hidden->{out}) =~ /^(User .* cannot reach \Q$dir\E\/home\/clone\/build\/state: .*)$/mg;
    is(scalar @said, 1, 'one line says so');
    my ($other) = "@said" =~ m{the store is kept in (\Q$dir\E/tmp/\S+)};
    ok(-s "$other/data.mdb", 'and where the store is');
    my $kept = "$dir/home/clone/build/state/token";
    is(slurp($kept), (printed($hidden))[1][0] . "\n", 'the token is where README says');
    is(sprintf('%o', (stat $kept)[2] & 07777), '600', 'and for nobody else');
    is(curl((printed($hidden))[2][0])->{totalResults}, 0, 'it works');
    finish($hidden, 'TERM');

    my $token_there = slurp($kept);
    $hidden = start(STATE => "$dir/home/clone/build/state");
    ready($hidden);
    is((printed($hidden))[1][0] . "\n", $token_there, 'the next time it is the same place');
    finish($hidden, 'TERM');

    my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
    mkdir "$dir/user", 0700;
    chown $uid, $gid, "$dir/user";
    SKIP: {
        skip 'the build is out of reach for another user', 5
            if system('setpriv', '--reuid', $uid, '--regid', $gid, '--clear-groups', 'test', '-r', "$build/mod_scim.so");
        my $plain = start(STATE => "$dir/user/state", as => 'nobody');
        ok(ready($plain), 'as a plain user, in a directory that is closed to others');
        is(curl((printed($plain))[2][0])->{totalResults}, 0, 'it works');
        is(finish($plain, 'TERM'), 0, 'and ends');

        my $roots = start(STATE => "$dir/state", as => 'nobody');
        is(finish($roots), 1, "a plain user's run on a STATE of root's ends with 1");
        like(slurp($roots->{out}), qr/^make run: cannot write to .* it belongs to root \(make run was run as root\); .*STATE=DIR$/m,
            'and says whose it is');
    }
}
is_deeply([left_over()], [], 'no process is left');
is_deeply([bsd_glob "$dir/tmp/mod_scim-run*"], [], 'no directory is left but those of STATE');
done_testing();
