#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The examples of README, as they are printed: commands are run in their order
# against a server and a store of their own, and configuration is given to
# httpd; the virtual host of "A server in earnest" is what that server runs.
#
# Each block (lines indented by four blanks and more) stands in @blocks with what
# is done with it.  A block that does not is a failure: say there how it is run,
# or why it is not.  Names of the machine are exchanged for those of the test, by
# %places; nothing else is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use File::Path qw(make_path);
use File::Temp ();
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;

lmdb_only('the commands of README, which make one');

my $root = abs_path("$FindBin::Bin/../..");
my $build = abs_path($ENV{SCIM_BUILD} || "$root/build");
my $as_root = $> == 0;

# --- the blocks --------------------------------------------------------------

# What is done with a block:
#   run      its lines are commands, run by bash one after the other
#   steps    a list of numbered steps, each a command with words about it
#   conf     configuration: httpd -t takes it.  "in" is what stands around it, "before"
#            what is needed before it
#   file     what a file of that name has, for the commands that come after it
#   host     the virtual host, which the server is started with
#   table    words in columns: nothing of it is typed
#   usage    commands of scimctl: each is one, by its own help
#   directives   the reference, beside t/guard/directives.t: its defaults are those that
#              hold where nothing is said, and its examples are taken by httpd -t
#   metrics  names of metrics: the status page has them
#   not_run  typed by people, but not by this test: the reason
# Commands end with 0; "out" matches what they say together.  "without" leaves out
# lines, "because" says why.
my @blocks = (
    ['Contents' => qr//, table => 1],
    ['Two commands' => qr/^make run/, not_run => 'make run is t/http/run.t, make check runs this'],
    ['A first user' => qr/^TOKEN=/, run => 1, out => qr/"userName":"bjensen\@example\.com"/],
    ['A first user' => qr/^\{"schemas"/, table => 1],
    ['A first user' => qr/^curl -G/, run => 1, out => qr/"totalResults":1\b.*"bjensen\@example\.com"/],
    ['A first user' => qr{^build/scimctl}, run => 1, out => qr/^Secret Token: mscim_/m],
    ['A server in earnest' => qr/^make deb/, not_run => 'builds and installs packages: make newcomer, make deb'],
    ['A server in earnest' => qr/^apt-get install/, not_run => 'installs on the machine: make newcomer'],
    ['A server in earnest' => qr/^SCIMStore/, host => 1],
    ['A server in earnest' => qr/^a2enmod ssl/, run => 1, out => qr{^Tenant URL: https://scim\.example\.com/scim/v2\n.*^Secret Token: mscim_}ms],
    ['A server in earnest' => qr/^TOKEN=mscim_/, run => 1, out => qr/"totalResults":0\b/, then => \&provision],
    ['Debian packages' => qr/^libapache2-mod-scim /, table => 1],
    ['Debian packages' => qr/debconf-set-selections/, not_run => 'the database of a package: make deb'],
    ['Connecting an identity provider' => qr/^scimctl token create/, run => 1, only => qr/^scimctl/, out => qr{^Tenant URL: https://scim\.example\.com/scim/v2\n.*^Secret Token: mscim_}ms],
    ['Connecting an identity provider' => qr/^(?:Tenant URL|API Type|SCIM connector)/, not_run => 'typed into the pages of an identity provider'],
    ['Connecting an identity provider' => qr/^"GET/, table => 1],
    ['Connecting an identity provider' => qr/^scimctl doctor/, not_run => 'asks the endpoint by its public name: t/http/ctl_doctor.t'],
    ['Connecting an identity provider' => qr/^FAIL/, table => 1],
    ['Connecting an identity provider' => qr/^no line in the access log/, table => 1],
    ['Roles, and what deprovisioning means' => qr/^SCIMRole/, conf => 1],
    ['Roles, and what deprovisioning means' => qr/^active=false/, table => 1],
    ['Roles, and what deprovisioning means' => qr/^scimctl tenant release/, run => 1],
    ['Protect a site with provisioned groups' => qr/^Require/, conf => 1, in => '<Location "/site">', each => qr/^(Require .*?)(?:   .*)?$/],
    ['Protect a site with provisioned groups' => qr/AuthBasicProvider/, conf => 1, modules => ['auth_basic']],
    ['Protect a site with provisioned groups' => qr/^OIDC/, conf => 1, modules => [qw(proxy proxy_http)], without => qr/^\s*(?:OIDC|AuthType openid)/,
        because => 'mod_auth_openidc wants an identity provider; t/http/examples.t has a stand-in for it'],
    ['Protect a site with provisioned groups' => qr/SSLUserName/, conf => 1, tls => 1],
    ['Protect a site with provisioned groups' => qr/^401/, table => 1],
    ['An organisation\'s whole configuration' => qr/^a2enmod/, run => 1],
    ['An organisation\'s whole configuration' => qr/^Define/, conf => 1, modules => [qw(proxy proxy_http)]],
    ['Tenants and connections' => qr/^scimctl tenant suspend/, run => 1],
    ['Tenants and connections' => qr/^1\.  scimctl token rotate/, steps => 1],
    ['Tenants and connections' => qr/SSLVerifyClient optional/, conf => 1, tls => 1],
    ['The organisation\'s own administrators' => qr/^SCIMRole super-admin/, conf => 1],
    ['The organisation\'s own administrators' => qr/^<LocationMatch/, conf => 1, without => qr/^\s*\.\.\.$/, because => 'the lines before stand there'],
    ['The organisation\'s own administrators' => qr/^(?:A new connection|401)/, table => 1],
    ['The organisation\'s own administrators' => qr/^\{"time"/, table => 1],
    ['Moving users in and out' => qr/^scimctl export/, run => 1, out => qr/^ +1  there already/m],
    ['Moving users in and out' => qr/^line \d/, table => 1],
    ['Moving users in and out' => qr/^Login,/, file => 'people.csv'],
    ['Moving users in and out' => qr/^scimctl import .*--csv/, run => 1, out => qr/^2 read: .*^ +1  created$/ms],
    ['Behind a proxy' => qr/ProxyPass/, conf => 1, modules => [qw(ssl socache_shmcb proxy proxy_http)]],
    ['Behind a proxy' => qr/SCIMBaseURL/, conf => 1],
    ['Behind a proxy' => qr/^AddOutputFilterByType/, conf => 1, modules => [qw(filter deflate)]],
    ['Checking the configuration' => qr/^apachectl configtest/, run => 1, out => qr/Syntax OK/],
    ['Checking the configuration' => qr/^a SCIMTenant of which/, table => 1],
    ['Checking the configuration' => qr/^apachectl -t/, run => 1,
        out => qr{^virtual host scim\.example\.com:\d+ \(.*\), TLS\n(?:.*\n)*?    SCIMStore lmdb:(?:.*\n)*?    endpoint <Location "/scim/v2"> .*\n        Tenant URL: https://scim\.example\.com/scim/v2$}m],
    ['Checking the configuration' => qr/^virtual host/, table => 1],
    ['The status page' => qr/^<Location/, conf => 1, modules => ['authz_host']],
    ['The status page' => qr{^/scim-status }, table => 1],
    ['The status page' => qr/^Connections /, table => 1],
    ['The status page' => qr/^scrape_configs/, not_run => 'for Prometheus; the metrics are t/http/status.t'],
    ['The status page' => qr/^scim_store_up/, metrics => 1],
    ['The status page' => qr/^backend scim/, not_run => 'for a load balancer; ?ready is t/http/status.t'],
    ['Several machines: the store on PostgreSQL' => qr/^\s*LMDB /, table => 1],
    ['Several machines: the store on PostgreSQL' => qr/^LoadModule/, not_run => 'loads what is installed; t/http/engine.t loads it'],
    ['Several machines: the store on PostgreSQL' => qr/^CREATE ROLE/, not_run => 'for the superuser of a database: t/http/pgsql.t'],
    ['Several machines: the store on PostgreSQL' => qr/^\*:\*:scim/, not_run => 'a file for libpq: t/http/pgsql.t'],
    ['Several machines: the store on PostgreSQL' => qr/^SCIMStore/, conf => 1, before => "LoadModule scim_pgsql_module $build/mod_scim_pgsql.so\n"],
    ['Several machines: the store on PostgreSQL' => qr/^export SCIM_STORE/, not_run => 'asks a database: t/http/pgsql.t'],
    ['Several machines: the store on PostgreSQL' => qr/^(?:synchronous_commit|the configuration) /, table => 1],
    ['Directives' => qr/^the store/, table => 1],
    ['Directives' => qr/^Description:/, directives => 1],
    ['The access log' => qr/^scim-tenant/, table => 1],
    ['The audit log' => qr/^\{"time"/, table => 1],
    ['The error log' => qr/^LogLevel/, conf => 1],
    ['The error log' => qr/^SCIM\d/, table => 1],
    ['Answers that are errors' => qr/^400/, table => 1],
    ['Limits' => qr//, table => 1],
    ['Beyond the RFCs' => qr//, table => 1],
    ['scimctl' => qr/^scimctl \[/, usage => 1],
    ['scimctl' => qr/^exit code/, table => 1],
    ['Operations' => qr/^scimctl migrate|createdb/m, not_run => 'asks a database: t/http/ctl_migrate.t'],
    ['Operations' => qr/^scimctl stat/, run => 1, out => qr/^Used: .*^Pending: .*^Brakes on: /ms],
    ['Operations' => qr/^scimctl doctor/, not_run => 'asks the endpoint by its public name: t/http/ctl_doctor.t'],
    ['Operations' => qr/^install -d/, run => 1, without => qr/\bage\b/, because => 'age is a program of one\'s own choice'],
    ['Operations' => qr/^systemctl stop.*scimctl restore/s, run => 1, out => qr/are restored, and whole/],
    ['Operations' => qr/^1\.  scimctl --store/, steps => 1],
    ['Operations' => qr/^scimctl verify/, run => 1, out => qr/Nothing is wrong/],
    ['Operations' => qr/^scimctl reindex/, run => 1, stopped => 1],
    ['Operations' => qr/^scimctl restore --salvage/, run => 1, stopped => 1, out => qr/entries are kept as they were/],
    ['Operations' => qr/^git pull/, not_run => 'of a clone that is behind, and installs on the machine'],
    ['Operations' => qr/^scimctl token revoke/, run => 1, out => qr/revoked/],
    ['Operations' => qr/^1\.  In Entra/, not_run => 'done in the pages of Entra'],
    ['Operations' => qr/^systemctl stop.*mv /s, run => 1, moved => 1],
    ['Operations' => qr/^a user  /, table => 1],
    ['Operations' => qr/^\S+audit\.log \{/, not_run => 'a file of logrotate; SCIMAuditLog and graceful are t/http/audit.t'],
    ['Operations' => qr/^there is no directory/, table => 1],
    ['Security model' => qr//, table => 1],
    ['Reading the code' => qr{^mod_scim/}, table => 1],
    ['Tests' => qr/^make check/, not_run => 'it runs this test'],
);

# { section, line, lines, text } of each block.
sub blocks_of
{
    my (@lines) = @_;
    my (@blocks, $block);
    my $section = '';
    for my $i (0 .. $#lines) {
        $section = $lines[$i] if $lines[$i] =~ /\S/ && ($lines[ $i + 1 ] // '') =~ /^=+$/;
        if ($lines[$i] =~ /^ {4}(.*)/) {
            push @blocks, $block = { section => $section, line => $i + 1, lines => [] } if !$block;
            push @{ $block->{lines} }, ('') x ($i - $block->{line} + 1 - @{ $block->{lines} }), $1;
        } elsif ($lines[$i] =~ /\S/) {
            undef $block;
        }
    }
    $_->{text} = join "\n", @{ $_->{lines} } for @blocks;
    return @blocks;
}

# --- the machine that the examples mean --------------------------------------

my $temp = File::Temp->newdir('scim-readme-XXXXXX', TMPDIR => 1);
my $dir = abs_path($temp->dirname);
chmod 0755, $dir;
my $tls = Scim::Tls->new;
my $s = Scim::Httpd->new(start => 0, modules => [qw(ssl socache_shmcb)], locations => '');
my $store = $s->store;

my @places = (
    [qr{lmdb:\$PWD/build/state/store} => "lmdb:$store"],
    [qr{http://127\.0\.0\.1:8080} => sub { $s->url }],
    [qr{/var/lib/apache2/scim\b} => $store],
    [qr{/var/backups\b} => "$dir/backups"],
    [qr{/srv/scim\b} => "$dir/srv"],
    [qr{/etc/apache2\b} => "$dir/etc"],
    [qr{/etc/ssl/\S+\.key\b} => "$tls->{dir}/server.key"],
    [qr{/etc/ssl/(?:people|programs)\.pem\b} => "$tls->{dir}/ca.pem"],
    [qr{/etc/ssl/\S+\.pem\b} => "$tls->{dir}/server.pem"],
    [qr{(<VirtualHost )\*:443} => sub { "$1*:$tls->{port}" }],
    [qr{ServerName scim\.example\.com$}m => 'ServerName https://scim.example.com:443'],
    [qr{\$\{APACHE_LOG_DIR\}} => $s->dir],
    [qr{\bconf/examples/} => "$root/conf/examples/"],
    [qr{01a20074-\.\.\.} => '01a20074-7ce9-7293-97be-1285721f7a9c'],
    [qr{scim-2026-11-22} => 'scim-20*'], # the one that was made before
    $as_root ? () : [qr{ (?:--owner|-o) www-data} => ''],
);

sub placed
{
    my ($text) = @_;
    for my $place (@places) {
        my ($pattern, $by) = @$place;
        ref $by ? $text =~ s/$pattern/$by->()/ge : $text =~ s/$pattern/$by/g;
    }
    return $text;
}

sub write_file
{
    my ($path, $text, $mode) = @_;
    open my $out, '>', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
    chmod $mode // 0644, $path;
}

make_path(map { "$dir/$_" } qw(bin build/state etc backups));
# The store's owner writes there.
chmod 0755, "$dir/backups";
symlink "$build/scimctl", "$dir/bin/scimctl" or die "$dir/bin/scimctl: $!\n";
symlink "$build/scimctl", "$dir/build/scimctl" or die "$dir/build/scimctl: $!\n";
# The examples' own host names lead to the server of the test.
write_file("$dir/.curlrc", "silent\ninsecure\nconnect-to = \"scim.example.com:443:127.0.0.1:$tls->{port}\"\n");
# What Debian's programs do to a machine is not for a test to do.
write_file("$dir/bin/$_", "#!/bin/sh\n", 0755) for qw(a2enmod a2ensite a2enconf);
$ENV{PATH} = "$dir/bin:$ENV{PATH}";
$ENV{HOME} = $dir;
$ENV{SCIM_STORE} = "lmdb:$store";

# --- running -----------------------------------------------------------------

my %said; # variables that earlier blocks have set
my $token; # the last that was printed

# What the service manager does: 1 where it was done.
sub service
{
    my ($word) = @_;
    return !!eval { $s->stop; 1 } if $word eq 'stop';
    return !!eval { $s->start } if $word eq 'start';
    return $s->pid ? $s->restart : !!eval { $s->start } if $word eq 'restart';
    return $s->graceful if $word eq 'reload';
    return 0;
}

# One command line: its exit code, and what it said.
sub command
{
    my ($line) = @_;
    if ($line =~ /^\s*systemctl (\w+) apache2\s*(?:#.*)?$/) {
        return (service($1) ? 0 : 1, '');
    }
    if ($line =~ /^\s*apachectl (configtest|-t -D DUMP_SCIM)\s*$/) {
        return $s->configtest(dump => $1 ne 'configtest');
    }
    my $before = join '', map { "$_=$said{$_}\n" } sort keys %said;
    my $out = "$dir/out";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        chdir $dir;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec 'bash', '-c', $before . $line;
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $code = $? >> 8;
    $said{$1} = $2 if $line =~ /^\s*(\w+)=(\S.*?)\s*(?:#.*)?$/;
    return ($code, slurp($out));
}

# A line that goes on in the next is one, in quotes too; "&&" parts two.
sub command_lines
{
    my ($text) = @_;
    my (@commands, $line);
    for my $next (split /\n/, $text) {
        $line = defined $line ? "$line\n$next" : $next;
        my $quotes = () = ($line =~ s/\\.//gsr) =~ /'/g;
        next if $line =~ /\\$/ || $quotes % 2;
        push @commands, split / && (?=systemctl|apachectl)|(?<=configtest) && /, $line;
        undef $line;
    }
    push @commands, $line if defined $line;
    return grep { /^\s*[^#\s]/ } @commands;
}

# Runs what a block prints, and judges the last of it.
sub run_all
{
    my ($block, %how) = @_;
    my @commands = grep { !($how{without} && /$how{without}/) && (!$how{only} || /$how{only}/) } command_lines($block->{text});
    my $all = '';
    for my $line (@commands) {
        my $placed = placed($line);
        $placed =~ s/mscim_\.\.\./$token/ if $token;
        my ($code, $out) = command($placed);
        is($code, 0, "README:$block->{line}: $line") or diag($out);
        $all .= $out;
        $token = $1 if $out =~ /^Secret Token: (mscim_\S+)/m;
    }
    ok(scalar @commands, "README:$block->{line} has commands" . ($how{without} ? "; not all are run: $how{because}" : ''));
    like($all, $how{out}, 'says what it is to') if $how{out};
    return $all;
}

sub run_block
{
    my ($block, %how) = @_;
    $s->stop if $how{stopped};
    run_all($block, %how);
    if ($how{moved}) {
        # What the comment in it says.
        $s->stop;
        $s->{store} = $store = "$dir/srv";
        $ENV{SCIM_STORE} = "lmdb:$store";
        $s->write_conf(conf => $s->{conf} =~ s/^SCIMStore .*/SCIMStore lmdb:$store/mr);
    }
    $s->start if $how{stopped} || $how{moved};
    $how{then}->() if $how{then};
}

# What the identity provider of "acme" does once it is connected.
sub provision
{
    my $body = JSON::PP->new->canonical->encode(user('bjensen@example.com'));
    my (undef, $out) = command("curl -H 'Authorization: Bearer $token' -H 'Content-Type: application/scim+json' -d '$body' https://scim.example.com/scim/v2/Users");
    like($out, qr{"location":"https://scim\.example\.com/scim/v2/Users/}, 'a user comes by TLS, and has a URL of the name that README gives');
}

# Steps are lines that begin with a number; what is typed is in those that begin
# with a program.
sub run_steps
{
    my ($block) = @_;
    my @commands = $block->{text} =~ /^\d\.  ((?:scimctl|rm) (?:.*\\\n\s*)?.*)$/mg;
    ok(scalar @commands, "README:$block->{line} has steps with commands");
    for my $line (@commands) {
        my $placed = placed($line);
        # The last four characters of the token before, which step 1 has told.
        $placed =~ s/XXXX/$said{hint}/ if $said{hint};
        my ($code, $out) = command($placed);
        is($code, 0, "README:$block->{line}: $line") or diag($out);
        $said{hint} = $1 if $out =~ /--hint (\S{4})\b/ || $out =~ /ends in (\S{4})\b/;
    }
}

# --- configuration -----------------------------------------------------------

sub configtest
{
    my ($name, $text, %how) = @_;
    my @modules = (@{ $how{modules} || [] }, $how{tls} ? qw(ssl socache_shmcb) : ());
    my $conf = "Define APACHE_LOG_DIR logs\n";
    $conf .= $how{before} // '';
    $conf .= $how{tls} ? $tls->host($text) : $how{in} ? "$how{in}\n$text\n" . ($how{in} =~ s/<(\w+).*/<\/$1>/r) . "\n" : $text;
    my ($code, $out) = Scim::Httpd->configtest(conf => $conf, locations => '', modules => \@modules, files => { '../logs/none' => '' });
    is($code, 0, $name) or diag("$conf\n$out");
}

sub check_conf
{
    my ($block, %how) = @_;
    my @lines = grep { !($how{without} && /$how{without}/) } @{ $block->{lines} };
    my @parts = $how{each} ? map { /$how{each}/ ? $1 : die "README:$block->{line}: $_\n" } @lines : join "\n", @lines;
    configtest("README:$block->{line}: $_", placed($_), %how) for @parts;
}

# The virtual host is what the server of this test runs with from then on.
sub start_host
{
    my ($block) = @_;
    my $text = placed($block->{text});
    my ($format) = slurp("$root/conf/scim.conf") =~ /^(LogFormat .*?scim)$/ms;
    ok($text =~ /^SCIMStore lmdb:\Q$store\E$/m, 'the store is named at server level');
    $s->write_conf(conf => "Listen 127.0.0.1:$tls->{port}\nSSLSessionCache shmcb:$tls->{dir}/sessions\n$format\n$text\n"
        . "<Location \"/scim-status\">\nSetHandler scim-status\n</Location>\n");
    ok(eval { $s->start }, "README:$block->{line}: the server starts") or diag($@);
}

sub write_plain_host
{
    $s->write_conf(conf => endpoint('/scim/v2'));
    $s->start;
    write_file("$dir/build/state/token", $s->token . "\n");
}

sub check_metrics
{
    my ($block) = @_;
    my %seen;
    my $there = $s->get($s->url('/scim-status?prometheus'))->content;
    for my $name (grep { !$seen{$_}++ } $block->{text} =~ /\b(scim_\w+)/g) {
        like($there, qr/^$name[ {]/m, "README:$block->{line}: $name");
    }
}

# The defaults of the reference, each where its context says that it may stand.
sub check_directives
{
    my (@entries) = @_;
    my (%at, %seen);
    for my $block (@entries) {
        my ($default) = $block->{text} =~ /^Default: +(SCIM\w+ .+)$/m or next;
        my ($context) = $block->{text} =~ /^Context: +(.+)$/m;
        my ($syntax) = $block->{text} =~ /^Syntax: +<?(SCIM\w+)/m;
        is(($default =~ /^(\w+)/)[0], $syntax, "README:$block->{line}: Default is of $syntax");
        push @{ $at{ $context =~ /server config/ ? 'server' : 'location' } }, $default;
        $seen{$syntax}++;
    }
    cmp_ok(scalar keys %seen, '>', 15, 'directives have defaults');
    for my $block (@entries) {
        # What is indented further and begins as configuration does is an example.
        my $example = join "\n", map { /^ {4}(.*)/ ? $1 : () } @{ $block->{lines} };
        next if $example !~ /^(?:<|SCIM[A-Z][a-z])/;
        configtest("README:$block->{line}: $example", $example, $example =~ /^</ ? () : (in => '<Location "/other">'));
        $seen{example}++;
    }
    ok($seen{example}, 'and some an example');
    my ($code, $dump) = Scim::Httpd->configtest(dump => 1);
    for my $default (grep { !/^SCIMEngine / } map { @$_ } values %at) {
        like($dump, qr/^\s+\Q$default\E$/m, "where nothing is said it is $default");
    }
    configtest('README: defaults', join("\n", @{ $at{server} }, '<Location "/other">', @{ $at{location} }, '</Location>'));
}

# Whether scimctl has a command of these words, or of the first of them.
sub has_command
{
    my (@words) = @_;
    my ($code) = $s->scimctl(@words, '--help');
    ($code) = $s->scimctl($words[0], '--help') if $code && @words > 1;
    return $code == 0;
}

# Commands that text names: `scimctl tenant release`.
sub check_named
{
    my ($text) = @_;
    my %named;
    $named{$1}++ while $text =~ /[`"]scimctl ([a-z]+(?: [a-z]+)?)\b(?![=\/])/g;
    cmp_ok(scalar keys %named, '>', 5, 'text names commands');
    ok(has_command(split / /), "README names scimctl $_") for sort keys %named;
}

# Each line of the reference that begins a command names one that scimctl has.
sub check_usage
{
    my ($block) = @_;
    my @commands = map { /^([a-z]+(?: [a-z]+)?)(?= |$)/ ? $1 : () } grep { /^[a-z]/ && !/^scimctl/ } @{ $block->{lines} };
    cmp_ok(scalar @commands, '>', 15, 'README lists commands of scimctl');
    for my $words (@commands) {
        # "verify checks ...": the second word is of the description.
        ok(has_command(split / /, $words), "README:$block->{line}: scimctl $words");
    }
}

# --- all of it ---------------------------------------------------------------

sub find_entry
{
    my ($block) = @_;
    return grep { $_->[0] eq $block->{section} && $block->{text} =~ $_->[1] } @blocks;
}

my $typed = qr/^\s*(?:\d\.\s+)?(?:\$ )?(?:scimctl|make|curl|apt-get|a2en\w+|systemctl|apachectl|cp|mv|rm|install|git|sudo|openssl) (?![=-]> )/m;

my @readme = split /\n/, slurp("$root/README");
my @all = blocks_of(@readme);
cmp_ok(scalar @all, '>', 60, 'README has examples');

my (@directives, %used);
write_plain_host();
for my $block (@all) {
    my @entries = find_entry($block);
    if (!@entries) {
        fail("README:$block->{line}: a block in \"$block->{section}\" that nobody runs: say in \@blocks how it is run, or why it is not");
        diag($block->{text});
        next;
    }
    my ($section, $pattern, %how) = @{ $entries[0] };
    $used{"$section $pattern"} = 1;
    subtest "README:$block->{line}: $section" => sub {
        if ($how{run}) {
            run_block($block, %how);
        } elsif ($how{steps}) {
            run_steps($block);
        } elsif ($how{conf}) {
            check_conf($block, %how);
        } elsif ($how{file}) {
            write_file("$dir/$how{file}", "$block->{text}\n");
            ok(-s "$dir/$how{file}", "README:$block->{line} is in $how{file}");
        } elsif ($how{host}) {
            $s->stop;
            start_host($block);
        } elsif ($how{usage}) {
            check_usage($block);
        } elsif ($how{directives}) {
            push @directives, $block;
            pass('for later');
        } elsif ($how{metrics}) {
            check_metrics($block);
        } elsif ($how{table}) {
            unlike($block->{text}, $typed, 'nothing in it is typed');
        } else {
            ok($how{not_run}, "not run: $how{not_run}");
        }
    };
}
subtest 'commands in text' => sub { check_named(join "\n", @readme) };
subtest 'the reference of directives' => sub { check_directives(@directives) };
is_deeply([map { "$_->[0]: $_->[1]" } grep { !$used{"$_->[0] $_->[1]"} } @blocks], [], 'no entry of @blocks is left over');
is(($s->scimctl('verify'))[0], 0, 'the store that all of it was done to is whole');
$s->allow_log(qr/AH01909|AH01873/); # of certificates and sessions that are good enough here
$s->log_clean;
done_testing();
