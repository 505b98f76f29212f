#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl doctor: what is broken is named, with what to do about it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::IP;
use JSON::PP ();
use POSIX ();
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;
use Time::HiRes qw(sleep);

my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $temp = File::Temp->newdir('scim-doctor-XXXXXX', TMPDIR => 1);
my $dir = $temp->dirname;
chmod 0755, $dir;
my $owner = $> == 0 ? 'www-data' : getpwuid $>;
delete $ENV{SCIM_STORE};

# An apachectl that says what the test wants.
sub apachectl
{
    my (%says) = (t => 'Syntax OK', code => 0, M => " scim_module (shared)\n scim_pgsql_module (shared)\n ssl_module (shared)", user => $owner, @_);
    open my $fh, '>', "$dir/apachectl" or die "$dir/apachectl: $!\n";
    print $fh <<"END";
#!/bin/sh
case "\$*" in
-M) echo 'Loaded Modules:'; echo '$says{M}';;
-t) echo '$says{t}'; exit $says{code};;
*RUN_CFG) echo 'ServerRoot: "/etc/apache2"'; echo 'User: name="$says{user}" id=33';;
esac
END
    close $fh;
    chmod 0755, "$dir/apachectl";
}
apachectl();
$ENV{PATH} = "$dir:/usr/bin:/bin";

my $tls = Scim::Tls->new;
my $s = Scim::Httpd->new(modules => ['ssl', 'socache_shmcb'], start => 0);
my %others = (
    conf => $tls->host('', endpoint('/tls')) . "<Location \"/unauthenticated\">\nSCIMEngine On\n</Location>\n" . endpoint('/other', 'SCIMTenant other'),
);
$s->scimctl(qw(tenant create other));

# doctor with the text for its stdin: exit code, stdout, stderr.
sub doctor_of
{
    my ($store, $stdin, @args) = @_;
    my ($in, $out, $err) = map { File::Temp->new } 1 .. 3;
    print $in $stdin;
    close $in;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', $in->filename;
        open STDOUT, '>', $out->filename;
        open STDERR, '>', $err->filename;
        no warnings 'exec';
        exec { "$build/scimctl" } 'scimctl', '--store', $store =~ m{^/} ? "lmdb:$store" : "pgsql:$store", 'doctor', @args;
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($? >> 8, slurp($out->filename), slurp($err->filename));
}

sub doctor { return doctor_of($s->store, '', @_) }

# One test: doctor says so, at that level, with that remedy, and exits so.
sub finds
{
    my ($name, $level, $text, $remedy, $said) = @_;
    my ($code, $out) = @$said;
    my $expected = $level eq 'FAIL' ? 5 : $out =~ /^FAIL/m ? 5 : 0;
    my $found = $out =~ /^$level +[^\n]*$text[^\n]*\n +-> [^\n]*$remedy/m;
    ok($found && $code == $expected, $name) or diag "exit code $code\n$out";
}

# A server of one answer, where only httpd's behaviour is of no use.
my @pids;
sub answering
{
    my ($head, $body) = @_;
    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "no port: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        while (my $client = $listen->accept) {
            while (defined(my $line = <$client>)) {
                last if $line =~ /^\r?\n/;
            }
            print $client $head =~ s/\n/\r\n/gr, "Content-Length: ", length $body, "\r\nConnection: close\r\n\r\n", $body;
            close $client;
        }
        POSIX::_exit(0);
    }
    push @pids, $pid;
    return 'http://127.0.0.1:' . $listen->sockport . '/scim/v2';
}
END { my $code = $?; kill 'TERM', $_ for @pids; waitpid $_, 0 for @pids; $? = $code }

subtest 'before httpd has started' => sub {
    finds('no endpoint', 'warn', 'told of no endpoint', 'SCIMEngine On.*--url', [doctor(qw(--tenant other))]);
};
$s->start;

subtest 'all is well' => sub {
    my ($code, $out, $err) = doctor(qw(--tenant default));
    is($code, 0, 'exit code 0') or diag $out;
    like($out, qr/^ok +httpd: \S+apachectl -t finds nothing wrong$/m, 'the configuration');
    SKIP: {
        lmdb_only('files', 1);
        like($out, qr/^ok +store files: \Q@{[$s->store]}\E belongs to $owner$/m, 'the files');
    }
    like($out, qr/^ok +store: \d+ entries are checked, and whole$/m, 'the store');
    like($out, qr/^ok +tenant default: 1 token is good$/m, 'tokens');
    like($out, qr{^ok +\Q@{[$s->base]}\E: with a token /Users\?count=1 is answered in \d+ ms$}m, 'a request with a token');
    like($out, qr{^ok +\Q@{[$s->base]}\E: without a token nobody gets in$}m, 'and without');
    like($out, qr{^warn +\Q@{[$s->base]}\E: it is http://}m, 'which is worth a word');
    like($out, qr/^Tenant URL: \Q@{[$s->base]}\E$/m, 'the URL');
    like($err, qr/Microsoft Entra.*Tenant URL.*JumpCloud.*Token Key.*Okta.*SCIM connector base URL/s, 'and where to type it in');
    unlike(($s->scimctl(qw(token list --tenant default)))[1], qr/doctor/, 'its token is gone');
    unlike("$out$err", qr/mscim_/, 'and was not shown');
    my ($plain) = (doctor(qw(--tenant default --no-token)))[1];
    like($plain, qr/no request is sent with a token/, '--no-token: none is made');
    unlike($plain, qr/with a token \/Users/, 'nor sent');
    my $json = JSON::PP::decode_json((doctor(qw(--tenant default --json)))[1]);
    is($json->{result}, 'warn', 'as JSON');
    ok((grep { $_->{level} eq 'ok' && $_->{text} =~ /with a token/ } @{ $json->{checks} }), 'likewise');
    is_deeply([grep { $_ eq $s->base } @{ $json->{tenantUrls} }], [$s->base], 'with the URLs');
    my $log = "$dir/audit.log";
    $s->scimctl('--audit-log', $log, qw(doctor --tenant default));
    is_deeply([slurp($log) =~ /"op":"(token\.\w+)"/g], [qw(token.create token.revoke)], 'the audit log tells of the token');
    is(($s->scimctl(qw(doctor -i --no-token)))[0], 1, 'one or the other');
};

$s->allow_log(qr/AH01873/); # mod_ssl is there before there is a host that has it
$s->write_conf(%others);
$s->restart;

subtest 'httpd' => sub {
    apachectl(t => 'AH00526: Syntax error on line 3 of x.conf', code => 1);
    finds('its configuration', 'FAIL', 'Syntax error on line 3 of x.conf', 'mend', [doctor(qw(--no-token))]);
    apachectl(M => ' ssl_module (shared)');
    finds('the module', 'FAIL', 'mod_scim is not loaded', 'a2enmod scim', [doctor(qw(--no-token))]);
    apachectl(M => " scim_module (shared)\n scim_pgsql_module (shared)");
    finds('mod_ssl', 'warn', 'mod_ssl is not loaded', 'a2enmod ssl', [doctor(qw(--no-token))]);
    SKIP: {
        lmdb_only('whose its files are', 1);
        apachectl(user => 'daemon');
        finds('its User', 'FAIL', "belongs to $owner, and httpd's User is daemon", 'chown -R daemon:', [doctor(qw(--no-token))]);
    }
    unlink "$dir/apachectl";
    local $ENV{PATH} = $dir;
    my $out = (doctor(qw(--no-token)))[1];
    like($out, qr/^(?:warn +httpd: there is neither|\w+ +httpd: \S*bin)/m, 'where it is not in PATH');
    apachectl();
};

subtest 'files' => sub {
    my $store = "$dir/store";
    my @no = ('', '--no-token');
    finds('no directory', 'FAIL', "$store: No such file", "scimctl init --owner $owner", [doctor_of($store, @no)]);
    finds('which is no fault where only a URL is asked for', 'warn', 'only the URL is looked at', 'where httpd runs', [doctor_of($store, @no, '--url', $s->base)]);
    mkdir $store, 0700;
    chown((getpwnam $owner)[2, 3], $store);
    finds('no store in it', 'FAIL', 'holds no store', 'scimctl init.*mounted', [doctor_of($store, @no)]);
    system("$build/scimctl", '--store', "lmdb:$store", 'init') == 0 or die "scimctl init\n";
    finds('no tenant', 'warn', 'there is none yet', 'scimctl tenant create', [doctor_of($store, @no)]);
    chmod 0755, $store;
    finds('a directory that is open to all', 'FAIL', "$store has mode 0755", "chmod 700 $store", [doctor_of($store, @no)]);
    chmod 0700, $store;
    chmod 0640, "$store/data.mdb";
    finds('a file', 'warn', 'data.mdb has mode 0640', 'chmod 600', [doctor_of($store, @no)]);
    chmod 0600, "$store/data.mdb";
    open my $fh, '>', "$store/data.mdb.old";
    close $fh;
    finds('what a restore left', 'warn', 'data.mdb.old is there', 'remove it', [doctor_of($store, @no)]);
    link "$store/data.mdb", "$store/other";
    finds('another name', 'FAIL', 'has another name', 'under one name', [doctor_of($store, @no)]);
    unlink "$store/other";
    rename "$store/data.mdb", "$store/real" and symlink 'real', "$store/data.mdb";
    finds('a link', 'FAIL', 'is a symbolic link', 'the file itself', [doctor_of($store, @no)]);
};

subtest 'tenants and tokens' => sub {
    $s->scimctl(qw(tenant create quiet));
    finds('none', 'warn', 'tenant quiet: no token is good', 'scimctl token create --tenant quiet', [doctor(qw(--tenant quiet --no-token))]);
    $s->new_token(tenant => 'quiet', connection => 'soon', expires => '5d');
    finds('one that expires soon', 'warn', 'soon that ends in \w{4} expires', 'token rotate --tenant quiet --connection soon', [doctor(qw(--tenant quiet --no-token))]);
    $s->new_token(tenant => 'quiet', connection => 'late', expires => '1s');
    sleep 0.1 until ($s->scimctl(qw(token list --tenant quiet)))[1] =~ /late.*expired/;
    finds('one that has', 'warn', 'late that ends in \w{4} expired', 'token rotate.*--hint', [doctor(qw(--tenant quiet --no-token))]);
    $s->scimctl(qw(tenant suspend quiet));
    finds('suspended', 'warn', 'it is suspended', 'scimctl tenant resume quiet', [doctor(qw(--tenant quiet --no-token))]);
    finds('as the endpoint says, too', 'FAIL', 'answered 403: .*not enabled', 'scimctl tenant resume', [doctor(qw(--tenant quiet), '--url', $s->base)]);
    is((doctor(qw(--tenant nobody --no-token)))[0], 5, 'one that is not there');
};

subtest 'endpoints of httpd' => sub {
    finds('another path', 'FAIL', 'answered 404, and not by mod_scim', '<Location>', [doctor('--url', $s->url('/nothing'))]);
    $s->allow_log(qr/SCIM\d{4}.*AuthType|AuthType/);
    finds('no AuthType', 'FAIL', 'answered 500: ', 'AuthType Bearer', [doctor('--url', $s->url('/unauthenticated'))]);
    finds('another tenant', 'FAIL', 'answered 401: .*not known here', 'another store.*SCIMTenant', [doctor(qw(--tenant default --url), $s->url('/other'))]);
    my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    my $port = $free->sockport;
    close $free;
    finds('nobody there', 'FAIL', 'no answer: ', 'is httpd running', [doctor('--url', "http://127.0.0.1:$port/scim/v2")]);
    finds('no such name', 'FAIL', 'no answer: .*host', 'public DNS', [doctor('--url', 'https://scim.invalid/scim/v2')]);
    my @said = doctor_of($s->store, $s->token, '-i', '--url', $s->base);
    is($said[0], 0, 'a token from stdin') or diag $said[1];
    like($said[1], qr{with a token /Users}, 'is sent');
    finds('a part of one', 'FAIL', 'no whole token', 'copy it again', [doctor_of($s->store, substr($s->token, 0, 30), '-i', '--url', $s->base)]);
    my $revoked = $s->new_token(connection => 'gone');
    $s->scimctl(qw(token revoke --tenant default --connection gone));
    finds('one that was revoked', 'FAIL', 'answered 401: ', 'scimctl token check', [doctor_of($s->store, $revoked, '-i', '--url', $s->base)]);
};

subtest 'certificates' => sub {
    my $url = $tls->{port};
    finds('one that nobody vouches for', 'FAIL', 'self-signed', 'public authority', [doctor('--url', "https://127.0.0.1:$url/tls")]);
    like((doctor('--url', "https://127.0.0.1:$url/tls"))[1], qr/no token is sent to a server whose certificate/, 'which is told no token');
    SKIP: {
        # What is no loopback address by its looks leads here all the same.
        my $other = '[::ffff:127.0.0.1]:' . $s->port;
        skip 'there is no IPv6', 1 if !IO::Socket::IP->new(PeerAddr => $other);
        my ($said) = (doctor(qw(--tenant default --url), "http://$other/scim/v2"))[1];
        like($said, qr/no token is sent over plain HTTP/, 'nor is one in the clear');
        unlike($said, qr/with a token/, 'at all');
    }
    local $ENV{SSL_CERT_FILE} = "$tls->{dir}/server.pem";
    my ($code, $out) = doctor(qw(--tenant default --url), "https://127.0.0.1:$url/tls");
    like($out, qr/: the certificate is good for \d+ more days?$/m, 'a good one') or diag $out;
    like($out, qr{^ok +https:.*with a token /Users}m, 'which is told one');
    finds('of another name', 'FAIL', 'certificate is for another name', 'for the name in the URL', [doctor('--url', "https://localhost:$url/tls")]);
    finds('no TLS at all', 'FAIL', 'no answer: ', 'SSLEngine On', [doctor('--url', $s->base =~ s/^http/https/r)]);
};

subtest 'others that answer' => sub {
    my $error = JSON::PP::encode_json($s->get('/Users', authorization => undef)->json);
    my $page = "<html>It works!</html>";
    finds('a redirect', 'FAIL', 'redirect to https://scim.example.com/', 'follow no redirect', [doctor('--url', answering("HTTP/1.1 301 Moved\nLocation: https://scim.example.com/x\n", ''))]);
    finds('a page', 'FAIL', 'answered 200 with text/html', 'another site', [doctor('--url', answering("HTTP/1.1 200 OK\nContent-Type: text/html\n", $page))]);
    finds('a login', 'FAIL', 'answered 401, but not by mod_scim', 'proxy or a login', [doctor('--url', answering("HTTP/1.1 401 No\nWWW-Authenticate: Basic\nContent-Type: text/html\n", $page))]);
    finds('another service', 'FAIL', 'is no ServiceProviderConfig', 'another service', [doctor('--url', answering("HTTP/1.1 200 OK\nContent-Type: application/json\n", '{"a":1}'))]);
    finds('an error', 'FAIL', 'answered 503: busy', 'error log', [doctor('--url', answering("HTTP/1.1 503 No\nContent-Type: application/scim+json\n", '{"detail":"busy"}'))]);
    finds('a clock', 'warn', "the server's clock is \\d+ seconds behind", 'keep time', [doctor('--url', answering("HTTP/1.1 200 OK\nDate: Sat, 01 Nov 2025 00:00:00 GMT\nContent-Type: application/scim+json\n", '{}'))]);
    my $config = JSON::PP::encode_json($s->get('/ServiceProviderConfig')->json);
    finds('one who lets anybody in', 'FAIL', 'answered to anybody', 'SCIMConnection', [doctor('--url', answering("HTTP/1.1 200 OK\nContent-Type: application/scim+json\n", $config))]);
};

subtest 'a header that is taken away' => sub {
    # A proxy in front: all of what it is sent goes on, but for Authorization.
    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "no port: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        while (my $client = $listen->accept) {
            my $request = '';
            while (defined(my $line = <$client>)) {
                $request .= $line =~ /^Authorization:/i ? '' : $line;
                last if $line =~ /^\r?\n/;
            }
            my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port);
            print $server $request =~ s/\r\n\r\n\z/\r\nConnection: close\r\n\r\n/r;
            print $client $_ while <$server>;
            close $client;
        }
        POSIX::_exit(0);
    }
    push @pids, $pid;
    finds('is told', 'FAIL', 'answered 401: .*asks for a bearer token', 'takes the header Authorization away', [doctor(qw(--tenant default --url), 'http://127.0.0.1:' . $listen->sockport . $s->base =~ s{^http://[^/]+}{}r)]);
};

$s->log_clean;
done_testing();
