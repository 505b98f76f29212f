#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# SCIMRateLimit: how many requests of one token are answered, in what time, and
# what the others are told.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $UNKNOWN = 'mscim_' . 'a' x 43 . '0N9lHz'; # with the checksum that belongs to it

# Where a test says "still", the next request is due in ten seconds or more, so
# that a slow machine does not make it wrong.
my $s = Scim::Httpd->new(
    conf => endpoint('/slow', 'SCIMRateLimit 3/min burst=5')
        . endpoint('/minute', 'SCIMRateLimit 6/min')
        . endpoint('/second', 'SCIMRateLimit 1/s burst=1')
        . endpoint('/shared', 'SCIMRateLimit 1/min burst=150')
        . endpoint('/flow', 'SCIMRateLimit 20/s burst=30')
        . "<Location /slow/off>\nSCIMRateLimit Off\n</Location>\n"
        . "<Location /minute/ResourceTypes>\n<If \"%{HTTP:X-Free} == 'yes'\">\nSCIMRateLimit Off\n</If>\n</Location>\n",
);

# The statuses of n requests to an endpoint, each with this token.
sub statuses
{
    my ($n, $base, $token) = @_;
    return join ' ', map { $s->get($s->url("$base/Users?count=0"), authorization => "Bearer $token")->status } 1 .. $n;
}

sub of { return join ' ', @_ }

# One test: a 429 that says when to come back, which is within so many seconds.
sub is_limited
{
    my ($r, $most, $name) = @_;
    is_error($r, 429, undef, $name);
    my $after = $r->header('retry-after') // '';
    ok($after =~ /^\d+$/ && $after >= 1 && $after <= $most, "$name: Retry-After") || diag("Retry-After: $after");
    return $after;
}

subtest 'C-018 a burst is admitted exactly, and no request more' => sub {
    my $token = $s->new_token(connection => 'exact');
    my @as = (authorization => "Bearer $token");
    is(statuses(7, '/slow', $token), of((200) x 5, (429) x 2), 'burst=5');
    my $r = $s->get($s->url('/slow/Users'), @as);
    my $after = is_limited($r, 20, 'the next');
    like($r->json->{detail}, qr/^More requests than .* of one client, 3 a minute and 5 at once: ask again in $after seconds$/, 'the detail');
    is_limited($s->get($s->url("/slow$_"), @as), 20, $_) for '/ServiceProviderConfig', '/Users/none', '/Nothing', '';
    is_limited($s->request($_, $s->url('/slow/Users'), undef, @as), 20, $_) for qw(DELETE OPTIONS);
    is($s->get($s->url('/slow/ServiceProviderConfig'), authorization => undef)->status, 200, 'who sends no token is not counted');
    is(statuses(12, '/minute', $token), of((200) x 6, (429) x 6), 'without a burst, it is that of the time; and elsewhere it is counted apart');
};

subtest 'C-018 each token has its own' => sub {
    my @tokens = map { $s->new_token(connection => 'same') } 1 .. 2;
    is(statuses(6, '/slow', $_), of((200) x 5, 429), 'whatever the other did') for @tokens;
};

subtest 'C-018 in time requests are admitted again' => sub {
    my $token = $s->new_token(connection => 'patient');
    my @as = (authorization => "Bearer $token");
    my $users = $s->url('/second/Users');
    is($s->get($users, @as)->status, 200, 'the first');
    is(is_limited($s->get($users, @as), 1, 'the second'), 1, 'to come back in a second');
    sleep 1.1;
    is($s->get($users, @as)->status, 200, 'in a second');
};

subtest 'C-018 what is refused for another reason costs nothing' => sub {
    my $token = $s->new_token(connection => 'spared');
    is(statuses(40, '/slow', $UNKNOWN), of((401) x 40), 'a token that is unknown is never more than that');
    is(statuses(6, '/slow', $token), of((200) x 5, 429), 'and takes nothing from others');
    is_error($s->get($s->url('/slow/Users'), authorization => undef), 401, undef, 'nor is the absence of one counted');
};

subtest 'C-018 nobody waits for the body of a request that is too many' => sub {
    my $token = $s->new_token(connection => 'writer');
    is(statuses(5, '/slow', $token), of((200) x 5), 'a burst');
    my $r = $s->raw("POST /slow/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n"
            . "Content-Type: application/scim+json\r\nContent-Length: 1000000\r\n\r\n{");
    is_limited($r, 20, 'answered before the body is there');
    is($r->header('connection'), 'close', 'and the connection ends');
};

subtest 'C-018 the limit is of all processes together' => sub {
    my $token = $s->new_token(connection => 'many');
    my $began = time;
    my @counts = parallel(8, sub {
        delete $s->{http};
        my @all = map { $s->get($s->url('/shared/Users?count=0'), authorization => "Bearer $token")->status } 1 .. 40;
        return { map { my $one = $_; $one => scalar grep { $_ == $one } @all } @all };
    });
    my $most = 150 + int((time - $began) / 60) + 1;
    my %sum;
    for my $count (@counts) {
        $sum{$_} += $count->{$_} for keys %$count;
    }
    my $admitted = $sum{200} // 0;
    ok($admitted >= 150 && $admitted <= $most, "$admitted of 320 requests are admitted, and not one more") || diag(explain(\%sum));
    is($admitted + ($sum{429} // 0), 320, 'the others are told to wait');
};

subtest 'C-018 under load the rate is kept' => sub {
    my $token = $s->new_token(connection => 'flow');
    my $began = time;
    my @counts = parallel(4, sub {
        delete $s->{http};
        my $admitted = 0;
        while (time < $began + 2) {
            $admitted++ if $s->get($s->url('/flow/Users?count=0'), authorization => "Bearer $token")->status == 200;
            sleep 0.005;
        }
        return $admitted;
    });
    my $took = time - $began;
    my $admitted = eval { join '+', @counts };
    my $sum = 0;
    $sum += $_ for @counts;
    # Below it would be a client that did not come often enough.
    cmp_ok($sum, '<=', 30 + 20 * $took + 1, "$admitted in $took seconds are no more than a burst and the rate");
    cmp_ok($sum, '>', 30, 'but more than the burst');
};

subtest 'C-018 it is off unless it is asked for' => sub {
    is(statuses(60, '/scim/v2', $s->token), of((200) x 60), 'no limit');
    my $token = $s->new_token(connection => 'off');
    my @as = (authorization => "Bearer $token");
    is(statuses(6, '/slow', $token), of((200) x 5, 429), 'a limit');
    is_error($s->get($s->url('/slow/off'), @as), 404, undef, 'that a section within switches off');
    my $types = $s->url('/minute/ResourceTypes');
    is(join(' ', map { $s->get($types, @as)->status } 1 .. 7), of((200) x 6, 429), 'another limit');
    is($s->get($types, @as, 'x-free' => 'yes')->status, 200, 'that an <If> switches off');
};

subtest 'C-018 restarts forget nothing' => sub {
    my $token = $s->new_token(connection => 'again');
    my $fresh = $s->new_token(connection => 'fresh');
    my $began = time;
    is(statuses(6, '/slow', $token), of((200) x 5, 429), 'used up');
    for my $kind (qw(graceful restart)) {
        ok($s->$kind, $kind);
        # No more than what has come back meanwhile.
        my $admitted = () = statuses(5, '/slow', $token) =~ /200/g;
        cmp_ok($admitted, '<=', int((time - $began) / 20), "still, after $kind");
    }
    is(statuses(6, '/slow', $fresh), of((200) x 5, 429), 'another token has all of its own');
    # Another limit is another count.
    $s->write_conf(conf => endpoint('/slow', 'SCIMRateLimit 3/min burst=2'));
    ok($s->graceful, 'a new limit');
    is(statuses(3, '/slow', $token), of(200, 200, 429), 'counts anew');
};

subtest 'C-018 C-316 what the logs tell of it' => sub {
    my $token = $s->new_token(connection => 'logged');
    is(statuses(3, '/slow', $token), of(200, 200, 429), 'limited');
    ok($s->wait_access(qr/connection=logged.*" 429 |" 429 .*connection=logged/, 10), 'it is in the access log');
    my ($line) = grep { /connection=logged/ && /" 429 / } $s->access_log;
    like($line // '', qr/tenant=default connection=logged op=users\.list .* "More requests than /, 'the access log: who, what and why');
    my @lines = grep { /SCIM1502/ && /connection logged of tenant default/ } $s->error_log;
    is(scalar @lines, 1, 'the error log: one line');
    like($lines[0], qr/\[scim:info\].*asks more than 3 a minute/, 'at info, with the limit');
    is(scalar(grep { /\Q$token\E|mscim_/ } $s->error_log, $s->access_log), 0, 'no token');
};

# httpd -t must fail and say this.
sub refused
{
    my ($value, $says) = @_;
    my ($code, $output) = Scim::Httpd->configtest(location => "SCIMRateLimit $value");
    return ok($code != 0 && index($output, $says) >= 0, "SCIMRateLimit $value") || diag("exit code $code\n$output");
}

subtest 'C-018 a wrong limit is told before anything starts' => sub {
    my $rate = 'is not Off, nor a number of requests in a time (100/s, 600/min), at most 1000000';
    refused($_, $rate) for qw(fast 100 0/s -1/s 1.5/s 100/h 100/ /s 1000001/s 1k/s on);
    my $burst = 'is not burst=NUMBER, of at least 1 and at most 1000000';
    refused("10/s $_", $burst) for qw(200 burst=0 burst=-1 burst= burst=x burst=1000001 burst=9223372036854775807 burst=1k);
    refused('Off burst=5', 'to stand behind Off');
    my ($code, $output) = Scim::Httpd->configtest(
        location => join "\n", map { "SCIMRateLimit $_" } '100/s burst=200', '600/min', '1/s burst=1', '1000000/s burst=1000000', 'Off', 'off');
    is($code, 0, 'right ones') or diag $output;
};

$s->log_clean;

subtest 'C-018 with a process for each connection, too' => sub {
    my $began = time;
    my $many = Scim::Httpd->new(mpm => 'prefork', children => 8, location => 'SCIMRateLimit 3/min burst=20');
    my @admitted = parallel(8, sub {
        delete $many->{http};
        return scalar grep { $_ == 200 } map { $many->get('/Users?count=0')->status } 1 .. 8;
    });
    my $sum = 0;
    $sum += $_ for @admitted;
    ok($sum >= 20 && $sum <= 20 + (time - $began) / 20, "$sum of 64 requests are admitted") || diag("@admitted");
    $many->log_clean;
};

done_testing();
