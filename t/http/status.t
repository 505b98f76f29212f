#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# SetHandler scim-status: who may see it, its forms, what it counts, and what is left of it
# when the store is down; the section of mod_status.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use Errno qw(EROFS);
use JSON::PP ();
use Scim::Fault;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $UNKNOWN = 'mscim_' . 'a' x 43 . '0N9lHz'; # with the checksum that belongs to it
my $MARKUP = q{"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;};
my @anybody = (authorization => undef);

my $s = Scim::Httpd->new(
    modules => [qw(status remoteip authz_host)],
    files => { 'files/.htaccess' => "SetHandler scim-status\n", 'files/a.txt' => "a\n" },
    conf => <<'EOT',
LogLevel scim:trace8
RemoteIPHeader X-Client
RemoteIPInternalProxy 127.0.0.1
<Location "/scim-status">
    SetHandler scim-status
</Location>
<Location "/open-status">
    SetHandler scim-status
    Require all granted
</Location>
<Location "/user-status">
    SetHandler scim-status
    Require ip 192.0.2.7
</Location>
<Location "/server-status">
    SetHandler server-status
</Location>
EOT
);

sub status
{
    my ($query, @headers) = @_;
    return $s->get($s->url("/scim-status$query"), @anybody, @headers);
}

sub json { return status('?json')->json }

# The one connection of that name.
sub connection
{
    my ($name) = @_;
    my ($found) = grep { $_->{connection} eq $name } @{ json()->{connections} };
    return $found;
}

# A request is counted when its answer is sent: until the condition holds.
sub soon
{
    my ($condition) = @_;
    my $until = time + 10;
    while (time < $until) {
        my $value = $condition->();
        return $value if $value;
        sleep 0.02;
    }
    return;
}

# --- an own reader of Prometheus' text format, as strict as its description ------------------

# { name{labels} => value }, { family => type }, and what is wrong with it.
sub read_prometheus
{
    my ($text) = @_;
    my (%value, %type, %help, %done, @wrong);
    my $family = '';
    push @wrong, 'the last line has no end' if $text !~ /\n\z/;
    for my $line (split /\n/, $text) {
        if ($line =~ /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)$/) {
            my ($what, $name, $rest) = ($1, $2, $3);
            my $of = $what eq 'HELP' ? \%help : \%type;
            push @wrong, "twice: $line" if exists $of->{$name};
            push @wrong, "of another family in between: $line" if $done{$name};
            push @wrong, "no type: $line" if $what eq 'TYPE' && $rest !~ /^(?:counter|gauge|histogram|summary|untyped)$/;
            $of->{$name} = $rest;
            $done{$family} = 1 if $family ne $name;
            $family = $name;
            next;
        }
        my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"/;
        if ($line !~ /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{($label(?:,$label)*)\})? ([-+]?(?:\d+(?:\.\d+)?|Inf)|NaN)$/) {
            push @wrong, "no sample: $line";
            next;
        }
        my ($name, $labels, $number) = ($1, $2 // '', $3);
        my $base = ($type{$family} // '') eq 'histogram' ? $name =~ s/_(?:bucket|sum|count)$//r : $name;
        push @wrong, "not of $family: $line" if $base ne $family;
        push @wrong, "without a type: $line" if !$type{$family} || !$help{$family};
        push @wrong, "a counter's name ends in _total: $line" if ($type{$family} // '') eq 'counter' && $name !~ /_total$/;
        push @wrong, "twice: $line" if exists $value{"$name\{$labels\}"};
        my %seen;
        push @wrong, "a label twice: $line" if grep { $seen{$_}++ } $labels =~ /([a-zA-Z_]\w*)="/g;
        $value{"$name\{$labels\}"} = $number;
    }
    return (\%value, \%type, [@wrong, wrong_histograms(\%value)]);
}

# Buckets are cumulative, the last is +Inf and equals the count.
sub wrong_histograms
{
    my ($value) = @_;
    my (%buckets, @wrong);
    for my $key (keys %$value) {
        my ($name, $labels, $le) = $key =~ /^(\w+)_bucket\{(.*),le="([^"]+)"\}$/ or next;
        push @{ $buckets{$name}{$labels} }, [$le, $value->{$key}];
    }
    for my $name (keys %buckets) {
        for my $labels (keys %{ $buckets{$name} }) {
            my @all = sort { ($a->[0] eq '+Inf') <=> ($b->[0] eq '+Inf') || $a->[0] <=> $b->[0] } @{ $buckets{$name}{$labels} };
            my $last = 0;
            for my $bucket (@all) {
                push @wrong, "$name {$labels} le=$bucket->[0] is less than the one before" if $bucket->[1] < $last;
                $last = $bucket->[1];
            }
            push @wrong, "$name {$labels} has no +Inf" if $all[-1][0] ne '+Inf';
            push @wrong, "$name {$labels}: its count is another" if ($value->{"${name}_count{$labels}"} // -1) != $last;
            push @wrong, "$name {$labels} has no sum" if !defined $value->{"${name}_sum{$labels}"};
        }
    }
    return @wrong;
}

subtest 'what is wrong with a text of metrics is found' => sub {
    my $good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\\\"\"} 1\n";
    is_deeply((read_prometheus($good))[2], [], 'nothing');
    for my $bad ($good =~ s/\n\z//r, $good =~ s/ 1$/ one/mr, $good =~ s/c\\"/c"/r, "${good}a_total{b=\"c\\\"\"} 2\n",
        $good =~ s/a_total/a/gr, $good =~ s/# TYPE.*\n//r, "${good}b 1\n",
        "# HELP h H.\n# TYPE h histogram\nh_bucket{x=\"\",le=\"1\"} 3\nh_bucket{x=\"\",le=\"+Inf\"} 2\nh_sum{x=\"\"} 1\nh_count{x=\"\"} 2\n") {
        isnt(scalar @{ (read_prometheus($bad))[2] }, 0, 'what is wrong is found') || diag($bad);
    }
};

# --- who may ---------------------------------------------------------------------------------

subtest 'who may see it' => sub {
    my $far = '203.0.113.5';
    is(status('')->status, 200, 'without a Require, this machine');
    is(status('', 'x-client' => $far)->status, 403, 'and no other');
    is(status('?ready', 'x-client' => $far)->status, 403, 'in no form');
    is(status('', $_ => $far)->status, 403, "nor whom a proxy on this machine speaks for, by $_")
        for qw(x-forwarded-for x-forwarded-host forwarded x-real-ip via);
    my $token = status('?json', authorization => 'Bearer ' . $s->token, 'x-client' => $far);
    is($token->status, 403, 'with a token of SCIM neither');
    is($s->get($s->url('/open-status'), @anybody, 'x-client' => $far)->status, 200, 'Require all granted: everybody');
    is($s->get($s->url('/user-status'), @anybody, 'x-client' => '192.0.2.7')->status, 200, 'Require ip: whom it names');
    is($s->get($s->url('/user-status'), @anybody)->status, 403, 'and not this machine, then');
    is($s->get($s->url('/files/a.txt'), @anybody)->status, 200, 'by an .htaccess: this machine');
    is($s->get($s->url('/files/a.txt'), @anybody, 'x-client' => $far)->status, 403, 'whatever its rules for files are');
    is($s->request($_, $s->url('/scim-status'), undef, @anybody)->status, 405, "$_ is not allowed") for qw(POST PUT DELETE PATCH);
    my $head = $s->request('HEAD', $s->url('/scim-status'), undef, @anybody);
    is($head->status, 200, 'HEAD is');
    is($head->content, '', 'and has no content');
    like($s->wait_log(qr/SCIM1703/), qr/Require/, 'the log says how others may');
    $s->expect_log(qr/AH01630/);
};

# --- what it counts --------------------------------------------------------------------------

my ($bad, $id);

subtest 'what connections ask is counted' => sub {
    is(connection('test')->{health}, 'not seen yet', 'a token that nobody used yet');
    $id = $s->post('/Users', { schemas => [$USER], userName => 'bjensen', active => JSON::PP::false })->json->{id};
    $s->post('/Users', { schemas => [$USER], userName => "user$_" }, 'user-agent' => 'Okta SCIM Client 1.0.0') for 1 .. 3;
    $s->get("/Users/$id") for 1 .. 4;
    $s->get('/Users?count=1');
    $s->get('/Users/none');
    is(soon(sub { (connection('test')->{requests} // 0) == 10 }), 1, 'ten requests');
    my $c = connection('test');
    is_deeply($c->{operations}, { 'users.create' => { 201 => 4 }, 'users.get' => { 200 => 4, 404 => 1 }, 'users.list' => { 200 => 1 } },
        'by operation and status');
    is($c->{health}, 'works', 'it works: what is not there was only looked for');
    is($c->{failures}, 0, 'no failure');
    is($c->{lastError}, undef, 'no error');
    cmp_ok($c->{lastSuccess}, 'ge', $c->{firstRequest}, 'when it was answered well');
    is(scalar @{ $c->{tokens} }, 1, 'its token');
    is($c->{tokens}[0]{hint}, substr($s->token, -4), 'by its last four characters');
    my $now = json();
    is_deeply([@{ $now->{tenants}[0] }{qw(name users inactive groups)}], ['default', 4, 1, 0], 'users, inactive ones, groups');
    ok($now->{tenants}[0]{inactiveIsAll}, 'all of them were looked at');
    is($now->{latency}{write}{requests}, 4, 'changes are timed');
    is($now->{latency}{read}{requests}, 5, 'and reads');
    is($now->{latency}{list}{requests}, 1, 'and lists');
    my $sum = 0;
    $sum += $_->{requests} for @{ $now->{latency}{read}{buckets} };
    is($sum, 5, 'each in a bucket');
};

subtest 'an object fails until it succeeds' => sub {
    my $patch = { schemas => [$PATCH_OP], Operations => [{ op => 'replace', path => 'userName', value => 'user1' }] };
    $s->patch("/Users/$id", $patch) for 1 .. 3;
    $s->post('/Users', { schemas => [$USER], userName => 'user2', externalId => 'e2' }) for 1 .. 2;
    ok(soon(sub { json()->{failing}{total} == 2 && connection('test')->{failures} == 5 }), 'two objects fail');
    my ($changed) = grep { $_->{lastError}{id} } @{ json()->{failing}{objects} };
    is($changed->{lastError}{id}, $id, 'one by its id');
    is($changed->{tries}, 3, 'three times');
    is_deeply([@{ $changed->{lastError} }{qw(op status scimType)}], ['users.patch', 409, 'uniqueness'], 'with its error');
    like($changed->{lastError}{remedy}, qr/rename/, 'and a remedy');
    my ($created) = grep { !$_->{lastError}{id} } @{ json()->{failing}{objects} };
    is($created->{tries}, 2, 'a creation is told when it is tried again');
    like($created->{lastError}{detail}, qr/user2/, 'and by its detail');
    $bad = connection('test');
    is($bad->{health}, 'fails', 'the connection fails');
    is($bad->{level}, 'bad', 'which is bad');
    ok((grep { $_->{what} =~ /test of tenant default fails/ } @{ json()->{problems} }), 'and a problem');

    $s->patch("/Users/$id", { schemas => [$PATCH_OP], Operations => [{ op => 'replace', path => 'userName', value => 'free' }] });
    $s->post('/Users', { schemas => [$USER], userName => 'user22', externalId => 'e2' });
    ok(soon(sub { json()->{failing}{total} == 0 }), 'and none, when both have succeeded');
    is(connection('test')->{health}, 'works, with errors', 'the connection works again');
};

subtest 'who is refused' => sub {
    $s->get('/Users', authorization => undef);
    $s->get('/Users', authorization => "Bearer $UNKNOWN");
    $s->get('/Users', authorization => 'Bearer mscim_short');
    my $token = $s->new_token(connection => 'brief', expires => '1s');
    my $until = time + 20;
    sleep 0.2 while $s->get('/Users', authorization => "Bearer $token")->status != 401 && time < $until;
    ok(soon(sub { json()->{refused}{expired}{requests} > 0 }), 'by one that has expired');
    my $refused = json()->{refused};
    is($refused->{$_}{requests}, 1, $_) for qw(no_token unknown malformed);
    is($refused->{unknown}{address}, '127.0.0.1', 'with the address');
    is(connection('brief')->{lastError}{status}, 401, 'whose it was is known of one that has expired');
    ok((grep { $_->{what} =~ /brief of tenant default: the token that ends in .* expired/ } @{ json()->{problems} }), 'a problem');
    ok((grep { $_->{what} =~ /at 127\.0\.0\.1 asks with a token that is not known/ } @{ json()->{problems} }), 'and another');
};

SKIP: {
    my $clock = "$build/t/fault/clock.so";
    skip 'a sanitizer wants to be loaded first', 1 if $ENV{SCIM_SAN};
    skip "$clock is not there: make check builds it", 1 if !-e $clock;
    subtest 'tokens that end soon' => sub {
        my %token;
        for my $days (360, 362, 364.5, 300) {
            local $ENV{LD_PRELOAD} = $clock;
            local $ENV{SCIM_CLOCK} = -$days * 86400;
            $token{$days} = $s->new_token(connection => "made-$days-days-ago");
        }
        $s->get('/Users?count=0', authorization => "Bearer $token{$_}") for sort(keys %token), sort keys %token;
        my %problem = map { $_->{what} =~ /^Connection made-([\d.]+)-/ ? ($1, $_) : () } @{ json()->{problems} };
        is_deeply([sort keys %problem], [360, 362, 364.5], 'those of the last 30 days are problems');
        is_deeply([map { $problem{$_}{level} } sort keys %problem], ['warn', 'warn', 'bad'], 'that of the last day a bad one');
        like($problem{360}{what}, qr/expires in 4 days\.$/, 'when');
        like($problem{360}{remedy}, qr/^scimctl token rotate --tenant default --connection made-360-days-ago,/, 'and what to do');
        ok(soon(sub { 3 == grep { /SCIM1702/ } $s->error_log }), 'the log warns of each of them once');
        my ($line) = grep { /SCIM1702.*made-362-/ } $s->error_log;
        my $hint = substr $token{362}, -4;
        like($line, qr/the token that ends in $hint, .* within 7 days, at 20/, 'and says which');
        $s->expect_log(qr/SCIM1702/);
    };
}

subtest 'all children count in one place, and a restart keeps it' => sub {
    my $before = connection('test')->{requests};
    my $each = 20;
    parallel(4, sub { delete $s->{http}; $s->get('/Users?count=0') for 1 .. $each; 0 });
    ok(soon(sub { connection('test')->{requests} == $before + 4 * $each }), 'those of all children');
    my $since = json()->{since};
    my $counted = connection('test');
    $s->graceful;
    is(json()->{since}, $since, 'after a graceful restart counting goes on');
    is_deeply(connection('test')->{operations}, $counted->{operations}, 'from where it was');
    $s->get('/Users?count=0');
    ok(soon(sub { connection('test')->{requests} == $counted->{requests} + 1 }), 'and counts');
    $s->restart;
    is(connection('test')->{requests}, $counted->{requests} + 1, 'after a restart, too');
};

# --- forms -----------------------------------------------------------------------------------

subtest 'the page' => sub {
    $s->post('/Users', { schemas => [$USER], userName => $MARKUP }) for 1 .. 2;
    $s->post('/Groups', { schemas => [$GROUP], displayName => "\x{202e}\x{61c}evil\x{7}" }) for 1 .. 2;
    ok(soon(sub { json()->{failing}{total} == 2 }), 'names that are markup fail');
    my $r = status('');
    is($r->header('content-type'), 'text/html; charset=utf-8', 'is HTML');
    is($r->header('cache-control'), 'no-store', 'is kept by nobody');
    like($r->header('content-security-policy'), qr/^default-src 'none'; style-src 'sha256-[\w+\/=]{44}';/, 'may run nothing');
    my $html = $r->content;
    unlike($html, qr/<script|<img|onerror='/i, 'what is markup in a name is none in the page');
    like($html, qr/&lt;script&gt;alert\(1\)&lt;/, 'but text');
    unlike($html, qr/\xe2\x80\xae|\xd8\x9c|\x07/, 'and nothing steers a terminal or the direction of writing');
    unlike($html, qr/<[^>]*\s(?:style|on\w+)=|javascript:|https?:/i, 'no style, no script, nothing from elsewhere');
    like($html, qr/<html lang="en">/, 'has a language');
    like($html, qr/<meta http-equiv="refresh" content="30">/, 'is read anew');
    unlike(status('?refresh=0')->content, qr/http-equiv="refresh"/, 'or not');
    like(status('?refresh=5')->content, qr/http-equiv="refresh" content="5"/, 'or after as long as one likes');
    is(() = $html =~ /<table/g, () = $html =~ /<caption/g, 'each table has a caption');
    unlike($html, qr/<th(?!ead| scope=| scope)/, 'each head of a row or column says of which');
    is(() = $html =~ /<svg/g, () = $html =~ /<svg[^>]* role="img" aria-label="[^"]+"/g, 'each picture has words');
    my %open;
    while ($html =~ m{<(/?)([a-z][a-z0-9]*)\b[^>]*>}g) {
        $open{$2} += $1 ? -1 : 1 if $2 !~ /^(?:meta|br)$/;
    }
    is_deeply([grep { $open{$_} } sort keys %open], [], 'each element is ended');
    unlike($html, qr/mscim_\w{9}/, 'there is no token in it');
    is(status("?page=$_")->status, 200, "page=$_") for 0, 1, 2, 99999999999999999999, '-1', 'x', '';
};

subtest 'for Prometheus' => sub {
    my $r = status('?prometheus');
    is($r->header('content-type'), 'text/plain; version=0.0.4; charset=utf-8', 'its type');
    my ($value, $type, $wrong) = read_prometheus($r->content);
    is_deeply($wrong, [], 'it is what the format says');
    is($type->{scim_request_duration_seconds}, 'histogram', 'latencies are a histogram');
    is($value->{'scim_users{tenant="default"}'}, 6, 'users');
    is($value->{'scim_store_up{}'}, 1, 'the store is up');
    cmp_ok($value->{'scim_requests_total{tenant="default",connection="test",op="users.list",status="200"}'}, '>=', 80, 'requests');
    cmp_ok($value->{'scim_authentication_failures_total{reason="unknown"}'}, '==', 1, 'who was refused');
    cmp_ok($value->{'scim_token_expiry_timestamp_seconds{tenant="default",connection="test"}'}, '>', time + 300 * 86400, 'when tokens end');
    SKIP: {
        my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};
        skip 'there is no promtool', 1 if !$promtool;
        my $file = $s->dir . '/metrics';
        open my $out, '>', $file or die "$file: $!\n";
        print $out $r->content;
        close $out;
        is(qx{$promtool check metrics < $file 2>&1}, '', 'promtool has nothing to say');
    }
};

subtest 'the section of mod_status' => sub {
    my $auto = $s->get($s->url('/server-status?auto'), @anybody)->content;
    my %line = map { /^(SCIM\w+): (\d+)$/ ? ($1, $2) : () } split /\n/, $auto;
    cmp_ok($line{SCIMRequests}, '>', 100, 'SCIMRequests');
    cmp_ok($line{SCIMConnections}, '>=', 2, 'SCIMConnections');
    is($line{SCIMObjectsFailing}, 2, 'SCIMObjectsFailing');
    is($line{SCIMStoreUp}, 1, 'SCIMStoreUp');
    like($s->get($s->url('/server-status'), @anybody)->content, qr{<h2>SCIM</h2>}, 'in HTML, too');
};

subtest 'while the store is down' => sub {
    my $ready = status('?ready');
    is_deeply([$ready->status, $ready->content, $ready->header('content-type')], [200, "ready\n", 'text/plain; charset=utf-8'], 'ready before');
    $s->spoil_store;
    $s->expect_log(qr/SCIM1302/, qr/SCIM1303/, qr/SCIM1704/);
    $s->graceful;
    $ready = status('?ready');
    is_deeply([$ready->status, $ready->content], [503, "not ready\n"], 'not then');
    is(status('')->status, 200, 'the page is there');
    like(status('')->content, qr/Nothing can be read/, 'and says so');
    is(json()->{store}{down}, 'the store could not be opened; the error log says why', 'JSON, too');
    my ($value, undef, $wrong) = read_prometheus(status('?prometheus')->content);
    is($value->{'scim_store_up{}'}, 0, 'and Prometheus');
    is_deeply($wrong, [], 'in its format');
    cmp_ok(connection('test')->{requests}, '>', 100, 'what was counted is there');
    is_error($s->get('/Users'), 503, undef, 'SCIM requests are 503');
    like($s->get($s->url('/server-status?auto'), @anybody)->content, qr/^SCIMStoreUp: 0$/m, 'mod_status, too');
    $s->mend_store;
    $s->graceful;
    is(status('?ready')->status, 200, 'ready again');
};

subtest 'read-only is ready, too' => sub {
    $s->write_conf(conf => $s->{conf} . "SCIMReadOnly On\n");
    $s->graceful;
    is(status('?ready')->status, 200, '?ready');
    ok((grep { $_->{what} =~ /SCIMReadOnly/ } @{ json()->{problems} }), 'and the page says that it is');
};

$s->stop;
my @secret = grep { /mscim_\w{9}/ } $s->error_log, $s->access_log;
is_deeply(\@secret, [], 'no token is in a log at any level');
$s->log_clean;

subtest 'without mod_status, and without an endpoint' => sub {
    my $bare = Scim::Httpd->new(conf => "<Location /s>\nSetHandler scim-status\n</Location>\n", locations => '');
    my $r = $bare->get($bare->url('/s?json'), @anybody);
    is($r->status, 200, 'it is there');
    is($r->json->{since}, undef, 'without an endpoint nothing is counted');
    is($r->json->{tenants}[0]{name}, 'default', 'but the store is looked at');
    $bare->log_clean;
};

my $LOCATION = "<Location /s>\nSetHandler scim-status\n</Location>\n";

subtest 'ready, while changes cannot be stored' => sub {
    lmdb_only('a disk that fails');
    my $fault = Scim::Fault->new;
    my $ill = Scim::Httpd->new(conf => $LOCATION, fault => $fault, children => 1);
    my $ready = sub { $ill->get($ill->url('/s?ready'), @anybody)->status };
    my $user = { schemas => [$USER], userName => 'somebody' };
    is($ready->(), 200, 'ready');
    $fault->arm('sync', err => EROFS, times => 1000);
    is($ill->post('/Users', $user)->status, 503, 'a change fails');
    is($ready->(), 503, 'not ready');
    is($ready->(), 503, 'and again');
    my $page = $ill->get($ill->url('/s'), @anybody)->content;
    like($page, qr/The last change could not be stored: /, 'the page says why');
    cmp_ok($fault->disarm, '>=', 3, 'asking tried to write');
    is($ready->(), 200, 'ready again, before anybody made a change');
    unlike($ill->get($ill->url('/s'), @anybody)->content, qr/could not be stored/, 'nor says the page anything');
    is($ill->post('/Users', $user)->status, 201, 'which is made');
    $ill->expect_log(qr/SCIM1201/, qr/SCIM1704/);
    $ill->log_clean;
};

subtest 'ready, while the store is full' => sub {
    lmdb_only('a size that it may grow to');
    my $small = Scim::Httpd->new(conf => "SCIMStoreSize 2m\n$LOCATION", children => 1);
    my $ready = sub { $small->get($small->url('/s?ready'), @anybody)->status };
    my $n = 0;
    my $fill = sub { my ($size) = @_; return $small->post('/Users', { schemas => [$USER], userName => 'u' . ++$n, title => 'x' x $size })->status };
    my $last;
    1 while ($last = $fill->(9000)) == 201 && $n < 1000;
    is($last, 507, 'large changes find no room any more');
    like($small->get($small->url('/s'), @anybody)->content, qr/The store is full|More than 80 % of the store/, 'which the page tells of');
    1 while ($last = $fill->(10)) == 201 && $n < 2000;
    is($last, 507, 'nor do small ones');
    is($ready->(), 503, 'not ready');
    ok($small->get($small->url('/s?json'), @anybody)->json->{store}{full}, 'it is full');
    $small->delete('/Users/' . $_->{id}) for @{ $small->get('/Users?count=10')->json->{Resources} };
    is($ready->(), 200, 'ready again, when there is room');
    $small->expect_log(qr/SCIM1201/, qr/SCIM1704/);
    $small->log_clean;
};

done_testing();
