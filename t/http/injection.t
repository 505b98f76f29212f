#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What clients send and others read: no text of theirs ends a line of a log,
# begins another, speaks to a terminal, or leaves its place in an answer.
#
# LONG=1: 100,000 random requests, else 1,000.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $REQUESTS = $ENV{LONG} ? 100_000 : 1000;
my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my $s = Scim::Httpd->new(
    modules => ['unique_id'],
    # After mod_unique_id, hence in the Location.
    location => 'SetEnvIf X-Request-Id "(.+)" UNIQUE_ID=$1',
    conf => "SCIMAuditLog audit_log\nLogLevel scim:trace8\n",
);
my $seed = $ENV{SEED} // 7644;
srand $seed;

my @evil = (
    "\n", "\r\n", "\r", "\t", "\0", "\x1b[2J\x1b]0;x\x07", "\x1b[31m", "\b\b\b", "\x7f", "\x9b31m", "\x{85}", "\x{2028}", "\x{2029}", "\x{202e}", "\x{feff}", "\x{1f600}",
    '"', '\\', '\\"', '\\n', "'", '","op":"forged","x":"', '"}' . "\n" . '{"op":"forged"}', '%s%n', '%{scim-op}n', ' op=forged id=forged ', '" 200 0 0 tenant=forged',
    '<script>alert(1)</script>', '&lt;', ']]>', '$(id)', '`id`', "\x{e9}", "\x{ffff}", 'forged', ' ', ',', '[', ']', '{', '}', ':', 'x' x 300,
    "\n[Sun Nov 22 00:00:00.000000 2026] [core:emerg] [pid 1] forged",
);

sub evil
{
    my ($most) = @_;
    return join '', map { $evil[rand @evil] } 1 .. 1 + int rand($most // 5);
}

# Evil that may stand in a header: httpd refuses control characters.
sub evil_header
{
    my ($name) = @_;
    my $text = evil();
    utf8::encode($text);
    return "$name: " . $text =~ s/[\x00-\x08\x0a-\x1f\x7f]//gr;
}

# By hand, for headers that no library would send.
sub ask
{
    my ($method, $path, $body) = @_;
    my $bytes = ref $body ? $json->encode($body) : $body // '';
    utf8::encode($bytes) if utf8::is_utf8($bytes);
    return $s->raw_kept(join "\r\n", "$method /scim/v2$path HTTP/1.1", 'Host: x', 'Authorization: Bearer ' . $s->token,
        map({ evil_header($_) } 'X-Request-Id', 'User-Agent', 'Referer'), defined $body ? ('Content-Length: ' . length $bytes) : (), '', $bytes);
}

# --- requests ----------------------------------------------------------------

my ($sent, $committed, @ids) = (0, 0);
my @problems;

# What there is to send: method, path, body, how many changes it makes if it
# succeeds.
my @kinds = (
    sub { return ('POST', '/Groups', group(evil())) },
    sub { return ('POST', '/Groups', { %{ group(evil()) }, externalId => evil(), evil() => evil() }) },
    sub { return ('POST', '/Users', user('u' . evil(2), displayName => evil(), title => evil(), emails => [{ value => evil(), type => evil(), evil() => 1 }])) },
    sub { return ('POST', '/Users', user('v' . rand, displayName => evil(), locale => evil(), $ENTERPRISE => { department => evil(), evil() => evil() })) },
    sub { return ('PATCH', "/Groups/$ids[rand @ids]", ops(['replace', 'displayName', evil()])) },
    sub { return ('PATCH', "/Groups/$ids[rand @ids]", ops(['replace', 'displayName', evil()], ['add', 'externalId', evil()], ['add', undef, { evil() => evil() }])) },
    sub { return ('PATCH', "/Groups/$ids[rand @ids]", ops([evil(), evil(), evil()])) },
    sub { return ('PATCH', "/Groups/$ids[rand @ids]", ops(['add', evil(), evil()])) },
    sub { return ('PATCH', "/Groups/$ids[rand @ids]", ops(['add', 'members', [{ value => evil() }]])) },
    sub { return ('GET', '/Users?filter=' . esc(evil())) },
    sub { return ('GET', '/Users?filter=' . esc('userName eq ' . $json->encode(evil()))) },
    sub { return ('GET', '/Users?attributes=' . esc(evil()) . '&sortBy=' . esc(evil())) },
    sub { return ('GET', '/Users/' . esc(evil())) },
    sub { return ('GET', '/' . esc(evil())) },
    sub { return ('DELETE', '/Groups/' . esc(evil())) },
    sub { return ('POST', '/Users', { schemas => [evil(), $USER], userName => evil(2) }) },
    sub { return ('POST', '/Users', $json->encode(evil()) =~ s/\}|\\/x/gr) },
    sub {
        my @operations = map { { method => 'POST', path => $_, bulkId => evil(), data => group(evil()) } } '/Groups', evil(), '/Groups';
        return ('POST', '/Bulk', { schemas => [$BULK], Operations => \@operations });
    },
);

# What an answer must be, whatever the request was.
sub judge
{
    my ($r, $what) = @_;
    my $content = $r->content;
    my $decoded = $r->json;
    my $wrong =
          $r->status !~ /^[24]\d\d$/ ? 'the status'
        : $content =~ /[\x00-\x1f]/ ? 'a control character in the body'
        : length $content && ref $decoded ne 'HASH' ? 'no JSON'
        : (grep { /[^\x20-\x7e]/ } map { ref $_ ? @$_ : $_ } values %{ $r->headers }) ? 'a header'
        : $r->status >= 400 && length($decoded->{detail} // '') > 1024 ? 'a long detail'
        : $r->status >= 400 && $content =~ m{/tmp/|\Q$FindBin::Bin\E|\w+\.c[:"]|0x[0-9a-f]{6}} ? 'inner workings'
        : ($r->header('location') // '') !~ m{^(?:\Q@{[ $s->base ]}\E/(?:Users|Groups)/[0-9a-f-]{36})?$} ? 'the Location'
        : undef;
    push @problems, "$wrong: $what: " . $r->status . ' ' . substr $content, 0, 300 if $wrong;
    return $decoded;
}

# How many changes an answer tells of.
sub changes
{
    my ($method, $path, $r, $json) = @_;
    return scalar grep { $_->{status} =~ /^2/ } @{ $json->{Operations} || [] } if $path eq '/Bulk';
    return $method ne 'GET' && $r->status =~ /^20[014]$/ ? 1 : 0;
}

push @ids, made($s, '/Groups', group("start $_"))->{id} for 1 .. 3;
$committed = $sent = 3;
my %versions; # of groups that PATCHes were sent to: one that changes nothing is no line
subtest 'S-40 C-318 every answer is one JSON object, and tells of nothing inside' => sub {
    my %seen;
    for my $n (1 .. $REQUESTS) {
        my ($method, $path, $body) = $kinds[rand @kinds]->();
        my $r = ask($method, $path, $body);
        $sent++;
        $seen{ $r->status }++;
        my $told = judge($r, "$method $path " . (ref $body ? $json->encode($body) : $body // ''));
        my $count = changes($method, $path, $r, $told);
        if ($method eq 'PATCH' && $count) {
            my $etag = $r->header('etag');
            $count = 0 if ($versions{$path} // 'W/"1"') eq $etag;
            $versions{$path} = $etag;
        }
        $committed += $count;
    }
    is_deeply([@problems[0 .. ($#problems > 9 ? 9 : $#problems)]], [], join ', ', map { "$_ $seen{$_}" } sort keys %seen);
    cmp_ok($seen{201}, '>', $REQUESTS / 10, 'many succeed');
    cmp_ok($seen{400}, '>', $REQUESTS / 10, 'many do not');
};

# --- logs --------------------------------------------------------------------

# Both are written when the answer is sent, or before.
$s->wait_access(qr/./);
$s->stop;

subtest 'each change is one line of the audit log' => sub {
    my $text = slurp($s->dir . '/audit_log');
    my @lines = split /\n/, $text;
    my (@wrong, %fields);
    for my $line (@lines) {
        my $decoded = eval { $json->decode($line) };
        my $told = ref $decoded eq 'HASH' ? join ' ', map { $_ // '' } @$decoded{qw(tenant connection client type)}, $decoded->{op} // '' : 'no JSON';
        push @wrong, $line
            if $told !~ /^default test 127\.0\.0\.1 (?:User users|Group groups)\.(?:create|patch)$/ || $line =~ /[^\x20-\x7e]/ || length $line > 4094
            || ($decoded->{id} // '') !~ /^[0-9a-f-]{36}$/ || grep { !/^[\w:.]+$/ } @{ $decoded->{changed} || [] };
        $fields{$_} = 1 for keys %{ $decoded || {} };
    }
    is_deeply(\@wrong, [], 'each is one JSON object of plain ASCII, which tells what was done');
    is(scalar @lines, $committed, "as many as there were changes (SEED=$seed)");
    is_deeply([sort keys %fields], [sort qw(time tenant connection client request op type id version changed status)], 'with no field that is not ours');
    cmp_ok((grep { $json->decode($_)->{request} =~ /[^\w@-]/ } @lines), '>', $REQUESTS / 20, 'and what the client called its request is a text in it');
    like($text, qr/\n\z/, 'the last one ends');
};

subtest 'C-316 each request is one line of the access log' => sub {
    my @lines = split /\n/, slurp($s->dir . '/access_log');
    my $quoted = qr/(?:[^"\\]|\\.)*/;
    my $word = qr/[\w.,:@+-]+/;
    my $form = qr{^127\.0\.0\.1 127\.0\.0\.1 \[[^\]]+\] "[A-Z]+ /scim/v2$quoted" \d{3} (?:\d+|-) \d+ tenant=(?:default|-) connection=(?:test|-) op=$word id=$word changes=$word count=$word error=$word "$quoted"$};
    my @wrong = grep { $_ !~ $form || /[^\x20-\x7e]/ } @lines;
    is_deeply([@wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]], [], 'in the form that it has always');
    is(scalar @lines, $sent, 'and as many as there were requests');
    cmp_ok((grep { /"[^"]*forged/ } @lines), '>', 1, 'what was to be forged stands between quotes');
};

subtest 'the error log has lines of httpd only' => sub {
    my @lines = split /\n/, slurp($s->dir . '/error_log');
    my @wrong = grep { !/^\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d [\d:.]+ \d{4}\] \[\w*:\w+\] \[pid \d+:tid \d+\] / || /[\x00-\x1f\x7f]/ || /^\[Sun Nov 22 00:00:00\.0+ / } @lines;
    is_deeply([@wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]], [], 'whatever the level');
};

# --- answers -----------------------------------------------------------------

$s->start;

subtest 'C-029 S-40 what is told back is told as JSON' => sub {
    my $markup = q(<img src=x onerror="alert('1')">&"\\/) . "\x{2028}\x{202e}\n\t";
    my $r = $s->post('/Users', user('markup', displayName => $markup, externalId => '../../x"', nickName => 'https://evil.example/'));
    is($r->json->{displayName}, $markup, 'an attribute');
    is($r->header('content-type'), 'application/scim+json', 'which no browser takes for a page');
    is($r->header('location'), $s->base . '/Users/' . $r->json->{id}, 'Location is the base and the id');
    is($r->json->{meta}{location}, $r->header('location'), 'so is meta.location');
    for my $request (
        ['GET', '/Users?filter=' . esc("\"$markup\" eq 1")], ['GET', '/Users?filter=' . esc("x$markup pr")], ['GET', '/Users?sortBy=' . esc($markup)],
        ['GET', '/Users/' . esc($markup)], ['PATCH', "/Users/" . $r->json->{id}, ops(['add', $markup, 'x'])], ['PATCH', "/Users/" . $r->json->{id}, ops([$markup, 'title', 'x'])],
        ['POST', '/Users', user('y', active => $markup)], ['GET', "/Users?count=" . esc($markup)],
        ['POST', '/Groups', group('y', $markup)],
        ['GET', '/Users?filter=' . esc('x' x 5000 . ' pr')], ['PATCH', "/Users/" . $r->json->{id}, ops(['add', "\x{1f600}" x 3000, 'x'])], ['GET', '/Users/' . 'y' x 5000],
        ['POST', '/Users', user('y', active => 'x' x 100_000)],
    ) {
        my $error = $s->request(@$request);
        is_error($error, $error->status =~ /^40[04]$/ ? $error->status : 400, ($error->json || {})->{scimType}, "$$request[0] " . substr $$request[1], 0, 40);
        my $detail = ($error->json || {})->{detail} // '';
        utf8::encode($detail);
        cmp_ok(length $detail, '<=', 1024, 'a detail of bounded length');
        unlike($error->content, qr/[\x00-\x1f]/, 'nothing raw');
    }
};

subtest 'names of tenants and connections are words' => sub {
    for my $name ("a\nb", "a b", 'a"b', "a\x1b[1m", "\x{e9}", '', 'a/b', '../x', 'x' x 300, '%n') {
        my $bytes = $name;
        utf8::encode($bytes);
        my ($code) = $s->scimctl('tenant', 'create', $bytes);
        isnt($code, 0, 'a tenant: ' . $json->encode($name));
        ($code) = $s->scimctl('token', 'create', '--tenant', 'default', '--connection', $bytes);
        isnt($code, 0, 'a connection: ' . $json->encode($name));
    }
};

$s->log_clean;
done_testing();
