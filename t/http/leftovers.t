#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Tokens and passwords are in no log, no file, no page, no argument and no
# environment, and no child at rest has one in its memory, so that a core of it has
# none: everything is used that knows a secret, well and badly, at LogLevel trace8,
# and then all of these are searched.
#
# LONG: everything five times in place of two.
#
# Over TLS the same holds, but for what mod_ssl decodes of a login.  Over HTTP/2 what
# is left is what came, as it came: headers in libnghttp2 and mod_http2, bodies in
# mod_http2.  Neither has a way to be told to wipe it.
#
# httpd's core logs the headers of requests at trace4 and above, the Authorization
# header too, and so does mod_log_forensic; they are left at info, and out.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Find ();
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;
use Time::HiRes qw(sleep);

# The first call of a function has the linker save the processor's registers on the
# stack, with the 64 bytes that were copied last.
$ENV{LD_BIND_NOW} = 1;
my $people = <<'EOT';
<Location "/in">
    AuthType Basic
    AuthName People
    AuthBasicProvider scim
    Require scim-user
</Location>
EOT
my $s = Scim::Httpd->new(
    start => 0,
    children => 2,
    modules => [qw(auth_basic authn_file status)],
    files => { 'in/page.txt' => "in\n" },
    conf => $people . <<'EOT' . endpoint('/pinned', 'SCIMTenant other') . endpoint('/small', 'SCIMMaxBody 1k', 'SCIMRateLimit 600/min burst=100'),
LogLevel info scim:trace8 auth_basic:trace8 authn_core:trace8 authn_file:trace8 authz_core:trace8 authz_user:trace8 status:trace8
SCIMPasswordSync On
SCIMAuditLog audit_log
ExtendedStatus On
<Location "/server-status">
    SetHandler server-status
</Location>
<Location "/provisioning">
    SetHandler scim-connections
    AuthType Basic
    AuthName Provisioning
    AuthBasicProvider scim
    SCIMTenant default
    Require scim-user
</Location>
EOT
);
die "no second tenant\n" if ($s->scimctl('tenant', 'create', 'other'))[0];

my (@tokens, @passwords);
my $n = 0;

# Passwords of one shape; what a name and a password are in a header is base64 of
# the password itself, as long as the name has a length that is divided by three.
sub password
{
    my ($kind) = @_;
    my $text = sprintf 'Pa55w0rd-%s-%s', join('', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. 24), $kind // 'x';
    push @passwords, $text;
    return $text;
}

sub name { return sprintf 'name-%03d', ++$n } # and a colon: nine bytes

sub token
{
    my (%option) = @_;
    push @tokens, $s->new_token(%option);
    return $tokens[-1];
}

# One like a token, that nobody was given.
sub wrong_token
{
    my ($like, $change) = @_;
    push @tokens, $change->($like);
    return $tokens[-1];
}

# One that the page of connections shows.
sub shown_token
{
    my ($who, $password, $connection) = @_;
    my ($url, @login) = ($s->url('/provisioning'), authorization => 'Basic ' . encode_base64("$who:$password", ''));
    my ($seal) = $s->get($url, @login)->content =~ /name="seal" value="(\w+)"/;
    my $r = $s->post($url, "seal=$seal&act=create&connection=$connection&provider=entra&scope=read&expires=30d", @login,
        'content-type' => 'application/x-www-form-urlencoded');
    return $r->content =~ /(mscim_\w{49})/ ? $1 : die $r->content . "\n";
}

sub bearer { return (authorization => "Bearer $_[0]") }

push @tokens, $s->token;
my $other = token(tenant => 'other', connection => 'theirs');
my $reader = token(connection => 'reader', scope => 'read');
my $short = token(connection => 'short', expires => '1s');
my $leaked = token(connection => 'leaked');
$s->start;

# Everything that knows a secret.  Run more than once: memory that is used again
# shows what was in it.
sub use_everything
{
    my ($s_name, $password) = (name(), password('set'));
    my $path = '/Users/' . made($s, '/Users', user($s_name, password => $password))->{id};
    my $login = sub {
        my ($name, $word) = @_;
        return $s->get($s->url('/in/page.txt'), authorization => 'Basic ' . encode_base64("$name:$word", ''))->status;
    };
    is($login->($s_name, $password), 200, 'a login');
    is($login->($s_name, password('wrong')), 401, 'a wrong one');
    is($login->('nobody-at', password('of nobody')), 401, 'one of nobody');
    push @tokens, shown_token($s_name, $password, "shown-$s_name");
    is($s->get('/Users?count=0', bearer($tokens[-1]))->status, 200, 'a token that was shown on a page');
    $s->put($path, user($s_name, password => password('put')));
    $s->patch($path, ops(['replace', 'password', password('patch')]));
    $s->patch($path, ops(['replace', undef, { password => password('no path') }]));
    $s->patch($path, ops(['add', 'password', password("not ASCII \x{e9}\x{4e16}")]));
    $s->post('/Bulk', { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'], Operations => [
        { method => 'POST', path => '/Users', bulkId => 'one', data => user(name(), password => password('bulk')) },
        { method => 'PATCH', path => $path, data => ops(['replace', 'password', password('bulk patch')]) },
    ] });
    # Badly: each is an error, which must not quote it.
    for my $body (
        user(name(), password => [password('in a list')]), user(name(), password => { value => password('in an object') }),
        user($s_name, password => password('of a name that is taken')), qq({"schemas":["$USER"],"userName":"x","password":"@{[ password('no end') ]}"),
        qq({"password":"@{[ password('twice') ]}","PASSWORD":"x"}), user(name(), password => password("control \a")), user(name(), Password => password('case')),
        qq([ "@{[ password('no object') ]}" ]), '{"a":' x 40 . '"' . password('deep') . '"', user(name(), passwort => password('unknown')),
        user(name(), nickName => [{ password => password('elsewhere') }]),
    ) {
        $s->post('/Users', $body);
        $s->put($path, $body);
        $s->post($s->url('/small/Users'), $body);
    }
    $s->post('/Users', user(name(), password => password('long') . 'x' x 2000));
    $s->patch($path, ops(['replace', 'password[value eq "' . password('path filter') . '"]', 'x']));
    $s->post('/Users/.search', { schemas => ['urn:ietf:params:scim:api:messages:2.0:SearchRequest'], filter => 'password eq "' . password('search') . '"' });
    $s->post('/Users', user(name(), password => password('text/plain')), 'content-type' => 'text/plain');
    $s->post('/Users', user(name(), password => password('reader')), bearer($reader));
    # Tokens, good and bad.
    my $token = $s->token;
    $s->get($_, bearer($reader)) for '/Users', $path, '/Schemas', '/Nothing';
    $s->get($s->url('/pinned/Users'), bearer($_)) for $other, $token;
    $s->get('/Users', bearer($_)) for $short, $leaked, wrong_token($token, sub { $_[0] =~ s/^mscim_\K(.)/$1 eq 'x' ? 'y' : 'x'/er }), wrong_token($token, sub { $_[0] . 'x' }),
        wrong_token($token, sub { substr $_[0], 0, -1 });
    $s->get('/Users', authorization => $_) for "Basic $token", "Token $token", $token, "Bearer\t$token", "Bearer \"$token\"", "Bearer $token, Bearer $token";
    $s->get("/Users/$_", bearer($token)) for 'none', 'x' x 300;
    $s->request($_, $path, undef, bearer($reader)) for qw(OPTIONS HEAD DELETE TRACE PROPFIND);
}

# A connection that is broken off amid a body.
sub break_off
{
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or die "connect: $!\n";
    print $socket "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer @{[ $s->token ]}\r\nContent-Type: application/scim+json\r\n"
        . "Content-Length: 1000\r\n\r\n" . qq({"schemas":["$USER"],"password":"@{[ password('broken off') ]}");
    $socket->flush;
    sleep 0.1;
    close $socket;
}

sleep 2.1;
use_everything() for 1 .. ($ENV{LONG} ? 5 : 2);
break_off();
my ($rotated) = ($s->scimctl('token', 'rotate', '--tenant', 'default', '--connection', 'leaked'))[1] =~ /(mscim_\w{49})/;
push @tokens, $rotated;
is($s->get('/Users?count=0', bearer($rotated))->status, 200, 'a token that came by rotation');
is(($s->scimctl('token', 'revoke', '--tenant', 'default', '--connection', 'leaked'))[0], 0, 'and is revoked');
is($s->get('/Users?count=0', bearer($rotated))->status, 401, 'and refused');
# The last that each thread does, which nothing comes after.
my ($who, $word, $wrong) = (name(), password('last'), password('last and wrong'));
made($s, '/Users', user($who, password => $word));
my @last = parallel(24, sub {
    delete $s->{http};
    return $s->get($s->url('/in/page.txt'), authorization => 'Basic ' . encode_base64("$who:" . ($_[0] % 2 ? $word : $wrong), ''))->status;
});
is(join(' ', @last), join(' ', (401, 200) x 12), 'logins at the end');
push @tokens, parallel(8, sub {
    delete $s->{http};
    return shown_token($who, $word, "last-$_[0]");
});
my @pages = map { $s->get($s->url("/server-status$_"))->content } '', '?auto', '?notable';
like($pages[0], qr{/scim/v2|/in/page}, 'the status page tells of requests');

# What a secret looks like where it lies around: the middle of it, as it is, as a
# header has it, and as text of 32 bits a character.
sub needles
{
    my %needle;
    for my $token (@tokens) {
        $needle{ substr $token, 16, 20 } = 'the token ' . substr $token, 0, 10;
    }
    for my $password (@passwords) {
        my $part = substr $password, 9, 18;
        my $kind = $password =~ s/[^ -~]/?/gr;
        $needle{$part} = "the password $kind";
        $needle{ substr encode_base64($part, ''), 0, 24 } = "the password $kind in base64";
        $needle{ join '', map { "$_\0\0\0" } split //, substr $part, 0, 10 } = "the password $kind in 32 bits";
    }
    return %needle;
}

my %needle = needles();
my $any = join '|', map { quotemeta } sort keys %needle;
$any = qr/$any/;

sub found_in
{
    my ($bytes) = @_;
    my %found;
    while ($bytes =~ /($any)/g) {
        $found{ $needle{$1} }++;
        if ($ENV{SHOW}) {
            my $around = substr $bytes, $-[0] > 60 ? $-[0] - 60 : 0, 160;
            diag($around =~ s/[^ -~]/./gr);
        }
    }
    return map { "$_ ($found{$_})" } sort keys %found;
}

subtest 'the search finds what is there' => sub {
    is(scalar found_in("x$tokens[0]x"), 1, 'a token');
    is(scalar found_in("x$passwords[0]x"), 1, 'a password');
    is(scalar found_in(encode_base64("name-001:$passwords[0]", '')), 1, 'one in a header');
    is(scalar found_in(join '', map { pack 'V', ord } split //, $passwords[0]), 1, 'one in 32 bits a character');
    cmp_ok(scalar keys %needle, '>', 100, 'there are many to be found');
};

subtest 'C-311 C-050 no file that the server has or writes holds a secret' => sub {
    my %files;
    File::Find::find({ no_chdir => 1, wanted => sub { $files{$_} = 1 if -f $_ } }, $s->dir);
    for my $name (qw(error_log access_log audit_log), map { s/.*\///r } $s->store_files) {
        is(scalar(grep { m{/\Q$name\E$} } keys %files), 1, "$name is among them");
    }
    is(join("\n", found_in($s->store_bytes)), '', 'nor does the store');
    for my $file (sort keys %files) {
        is(join("\n", found_in(slurp($file))), '', $file =~ s/.*\///r);
    }
    ok((grep { /\[authz_core:debug\].*granted/ } $s->error_log), 'the log is as talkative as can be');
};

subtest 'C-311 nor does the status page, an argument or the environment' => sub {
    is(join("\n", found_in(join "\n", @pages)), '', 'the status page');
    for my $pid ($s->pid, $s->children) {
        is(join("\n", found_in(slurp("/proc/$pid/$_"))), '', "$_ of process $pid") for qw(environ cmdline);
    }
};

# The memory of a process that a core of it would have: what is its own.
sub memory_of
{
    my ($pid) = @_;
    open my $mem, '<:raw', "/proc/$pid/mem" or return;
    my $all = '';
    my ($from, $to, $wanted);
    no warnings 'portable'; # of numbers of 64 bits
    for my $line (split /\n/, slurp("/proc/$pid/smaps")) {
        if ($line =~ /^([0-9a-f]+)-([0-9a-f]+) (r\S+) \S+ \S+ \d+\s*(.*)/) {
            ($from, $to) = (hex $1, hex $2);
            $wanted = $4 !~ m{^\[v(?:var|dso|syscall)|\.mdb$};
        } elsif ($line =~ /^Rss:\s+([1-9]\d*) kB/ && $wanted) {
            sysseek $mem, $from, 0;
            # Stacks are all but empty.
            while ($from < $to && (my $got = sysread $mem, my $part, $to - $from < 1 << 16 ? $to - $from : 1 << 16)) {
                $from += $got;
                $all .= $part if $part =~ /[^\0]/;
            }
        }
    }
    return $all;
}

subtest 'C-311 nor does a child at rest, or a core of it' => sub {
    plan skip_all => 'a sanitizer keeps what was freed, to tell of its use' if $ENV{SCIM_SAN};
    $s->_hang_up;
    for my $pid ($s->pid, $s->children) {
        my ($memory, @found);
        # Until the last connections are closed.
        my $until = time + 20;
        do {
            sleep 1;
            $memory = memory_of($pid);
            @found = defined $memory ? found_in($memory) : ();
        } while @found && time < $until;
        SKIP: {
            skip "the memory of process $pid cannot be read here: $!", 1 if !defined $memory;
            like($memory, qr/mod_scim/, 'it is the memory that was read');
            is(join("\n", @found), '', "process $pid, " . int(length($memory) / 1024 / 1024) . ' MiB');
        }
    }
};

$s->allow_log(qr/AH0161[478]|SCIM1502/);
$s->log_clean;

# --- TLS and HTTP/2 ----------------------------------------------------------

my $tls = Scim::Tls->new;
my $t = Scim::Httpd->new(
    start => 0, children => 2, threads => 10,
    modules => [qw(auth_basic ssl socache_shmcb http2)],
    files => { 'in/page.txt' => "in\n" },
    conf => $people . <<'EOT' . $tls->host('Protocols h2 http/1.1', endpoint('/scim/v2')),
Protocols h2c http/1.1
SCIMPasswordSync On
EOT
);

# The status and the version of HTTP of an answer that curl got to a request by
# itself, on a connection of its own.
sub by_curl
{
    my ($how, $method, $url, $authorization, $body, @more) = @_;
    my @command = ('curl', '-s', '-k', '-o', '/dev/null', '-w', '%{http_code} %{http_version}', '--max-time', 30, $how, '-X', $method, '-H', "Authorization: $authorization");
    push @command, '-H', 'Content-Type: application/scim+json', '--data-binary', JSON::PP->new->utf8->canonical->encode($body) if $body;
    open my $out, '-|', @command, @more, $url or die "curl: $!\n";
    my $said = do { local $/; <$out> } // '';
    close $out;
    return $said;
}

# All that a client that is served does with its secrets.
sub use_secrets
{
    my ($how, $base, $version) = @_;
    my $bearer = "Bearer $tokens[0]";
    my @bodies;
    my $send = sub {
        my ($name, $want, $method, $path, @rest) = @_;
        is(by_curl($how, $method, "$base/scim/v2$path", $bearer, @rest), "$want $version", $name);
    };
    $send->('a list', 200, 'GET', '/Users?count=1');
    $send->('a creation', 201, 'POST', '/Users', user(name(), password => password('created')));
    $send->('a body in chunks', 201, 'POST', '/Users', user(name(), password => password('chunks')), '-H', 'Transfer-Encoding: chunked') if $version eq '1.1';
    $send->('a body that comes later', 201, 'POST', '/Users', user(name(), password => password('later')), '-H', 'Expect: 100-continue');
    # canonical: attributes are in the order of their names
    $send->('a long body, and then', 201, 'POST', '/Users', user(name(), password => password('at the end'), displayName => 'x' x $_)) for 3000, 7000, 20_000, 70_000;
    $send->('a long body behind it', 201, 'POST', '/Users', user(name(), password => password('at the beginning'), title => 'x' x $_)) for 3000, 7000, 20_000, 70_000;
    $send->('an error', 400, 'POST', '/Users', user(name(), password => password('error'), active => 'perhaps'));
    push @tokens, $bearer =~ s/^Bearer (mscim_)(.)/$1 . ($2 eq 'x' ? 'y' : 'x')/er;
    is(by_curl($how, 'GET', "$base/scim/v2/Users", "Bearer $tokens[-1]"), "401 $version", 'a wrong token');
    my ($who, $word) = (name(), password('login'));
    $send->('somebody', 201, 'POST', '/Users', user($who, password => $word));
    is(by_curl($how, 'GET', "$base/in/page.txt", 'Basic ' . encode_base64("$who:" . ($_ ? $word : password('wrong login')), '')), ($_ ? 200 : 401) . " $version", 'a login') for 0, 1;
}

# Each secret that is found, with what stands before it.
sub hits
{
    my ($memory, %needle) = @_;
    my $any = join '|', map { quotemeta } sort keys %needle;
    my @hits;
    while ($memory =~ /($any)/g) {
        my $from = $-[0] > 64 ? $-[0] - 64 : 0;
        push @hits, [$needle{$1}, substr $memory, $from, $-[0] - $from];
    }
    return @hits;
}

# Whether it is a header or a body as it came, or the rest of one that was freed and
# of which the beginning was used again.
sub is_as_it_came
{
    my ($what, $before) = @_;
    return $before =~ /earer mscim_\w{10}\z/ || $before !~ /mscim_\w{10}\z/ if $what =~ /token/;
    return $what =~ /base64$/ || ($what !~ /32 bits$/ && ($before =~ /":"Pa55w0rd-\z/ || $before !~ /Pa55w0rd-\z/));
}

# What mod_ssl decodes of a login, to see that it is none that it makes itself of a
# client's certificate (SSLOptions +FakeBasicAuth).
sub is_decoded_login
{
    my ($what, $before) = @_;
    return $what =~ /login$/ && $before =~ /name-\d{3}:Pa55w0rd-\z/;
}

for my $way (
    ['TLS', '--http1.1', $tls->url(''), '1.1', \&is_decoded_login],
    ['HTTP/2 over TLS', '--http2', $tls->url(''), '2', sub { is_as_it_came(@_) || is_decoded_login(@_) }],
    ['HTTP/2', '--http2-prior-knowledge', undef, '2', \&is_as_it_came],
) {
    my ($name, $how, $base, $version, $known) = @$way;
    subtest "C-311 nor does a child at rest after $name, of what is ours" => sub {
        plan skip_all => 'a sanitizer keeps what was freed, to tell of its use' if $ENV{SCIM_SAN};
        (@tokens, @passwords) = ();
        push @tokens, $t->new_token(connection => "over $version" =~ tr/ ./--/r . length $name);
        $t->start;
        $base //= $t->url;
        my $said = by_curl($how, 'GET', "$base/scim/v2/Users", "Bearer $tokens[-1]");
        if ($said !~ / $version$/) {
            $t->stop;
            plan skip_all => "curl or httpd knows no HTTP/$version ($said)";
        }
        use_secrets($how, $base, $version) for 1 .. ($ENV{LONG} ? 5 : 1);
        sleep 1.2;
        my ($left, @ours) = (0);
        for my $pid ($t->children) {
            my $memory = memory_of($pid);
            SKIP: {
                skip "the memory of process $pid cannot be read here: $!", 1 if !defined $memory;
                like($memory, qr/mod_scim/, 'it is the memory that was read');
            }
            for my $hit (hits($memory // '', needles())) {
                my ($what, $before) = @$hit;
                $left++;
                push @ours, "$what, behind " . $before =~ s/[^ -~]/./gr if !$known->($what, $before);
            }
        }
        is(join("\n", @ours), '', 'no secret but what is known to be left');
        note "$left that are known";
        $t->stop;
    };
}

subtest 'what is known to be left is told from what is not' => sub {
    ok(is_as_it_came('the token mscim_abcd', 'Authorization: Bearer mscim_abcdefghij'), 'a header');
    ok(!is_as_it_came('the token mscim_abcd', "\0mscim_abcdefghij"), 'a token by itself');
    ok(is_as_it_came('the password x', '{"password":"Pa55w0rd-'), 'a body');
    ok(!is_as_it_came('the password x', "\0Pa55w0rd-"), 'a password by itself');
    ok(!is_as_it_came('the password x in 32 bits', "\0" x 16), 'and one in 32 bits');
    ok(is_decoded_login('the password login', "\0name-001:Pa55w0rd-"), 'a login that is decoded');
    ok(!is_decoded_login('the password created', "\0name-001:Pa55w0rd-"), 'which no other password is');
};

$t->allow_log(qr/AH0161[478]/, qr/AH10034: The mpm module/);
$t->log_clean;
done_testing();
