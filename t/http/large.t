#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Bodies without an end, and small ones that unfold to such: refused at the
# limit, at no cost in memory or time.
#
# LONG=1 streams 1 GiB, else 64 MiB.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Compress::Zlib ();
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(time);

my $LIMIT = 1 << 20;
my $STREAM = $ENV{LONG} ? 1 << 30 : 64 << 20;

my $s = Scim::Httpd->new(
    children => 1,
    mpm => 'event', # one process whose memory can be told
    modules => [qw(deflate filter)],
    conf => endpoint('/gzip', 'SCIMMaxBody 1m', 'SetInputFilter DEFLATE') . endpoint('/bulk', 'SCIMBulk 10 1m'),
    location => 'SCIMMaxBody 1m',
);
my $token = $s->token;
my $child;

# KiB that it holds.
sub memory
{
    my ($kib) = slurp("/proc/$child/status") =~ /^VmRSS:\s+(\d+)/m;
    return $kib;
}

sub head
{
    my ($path, @headers) = @_;
    return join "\r\n", "POST $path HTTP/1.1", 'Host: x', "Authorization: Bearer $token", 'Content-Type: application/scim+json', @headers, '', '';
}

# Sends what begins with head and goes on with piece for so many bytes, also when
# the answer has come and the other side wants no more, until that closes.  The
# answer, the most memory that was held, and how much was sent.
sub stream
{
    my ($head, $piece, $bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 10) or die "no connection: $!\n";
    local $SIG{PIPE} = 'IGNORE';
    my ($got, $out, $most, $sent, $looks, $open) = ('', $head, 0, 0, 0, 1);
    $socket->blocking(0);
    my $select = IO::Select->new($socket);
    my $until = time + 120;
    while (time < $until) {
        $out .= $piece if $open && length $out < 65536;
        my ($readable, $writable) = IO::Select->select($select, $open ? $select : undef, undef, 1);
        if ($writable && @$writable) {
            my $n = syswrite $socket, $out, 1 << 20;
            last if !defined $n && !$!{EAGAIN};
            $sent += $n // 0;
            substr $out, 0, $n // 0, '';
            if ($sent >= $bytes) {
                shutdown $socket, 1;
                $open = 0;
            }
        }
        if ($readable && @$readable) {
            my $n = sysread $socket, $got, 65536, length $got;
            last if !$n && !$!{EAGAIN} && !$open;
        }
        if ($looks++ % 50 == 0) {
            my $now = memory();
            $most = $now if $now > $most;
        }
    }
    return (Scim::Httpd::Response->parse($got, 1), $most, $sent);
}

my $sanitized = $ENV{SCIM_SAN};
my $space = ' ' x 65536;
my @chunked = ('Transfer-Encoding: chunked');
my $chunk = sprintf "%x\r\n%s\r\n", length $space, $space;
# As much as is allowed is read first, so that there is memory for it.
for (1 .. 40) {
    $s->post('/Users', ' ' x $LIMIT)->status == 400 or die "a body within the limit is not looked at\n";
}
($child) = $s->children;
my $before = memory() || die "the memory of the child is not told\n";

for my $case (
    ['chunks', head('/scim/v2/Users', @chunked), $chunk],
    ['one chunk', head('/scim/v2/Users', @chunked) . sprintf("%x\r\n", $STREAM), $space],
    ['a length', head('/scim/v2/Users', "Content-Length: $STREAM"), $space],
    ['a Bulk job in chunks', head('/bulk/Bulk', @chunked), $chunk],
    ['PATCH in chunks', head('/scim/v2/Users/none', @chunked) =~ s/^POST/PATCH/r, $chunk],
    ['a body that nobody asks for', head('/scim/v2/Users?count=0', @chunked) =~ s/^POST/GET/r, $chunk],
    ['a body of nobody', head('/scim/v2/Users', @chunked) =~ s/^Authorization.*?\r\n//mr, $chunk],
) {
    my ($name, $head, $piece) = @$case;
    subtest "C-020 $name without end" => sub {
        my $start = time;
        my ($r, $most, $sent) = stream($head, $piece, $STREAM);
        if ($name =~ /nobody asks/) {
            is($r->status, 200, 'is not looked at') if $r;
        } elsif ($name =~ /of nobody/) {
            is_error($r, 401, undef, 'is refused with its request');
        } else {
            is_error($r, 413, undef, 'is refused');
        }
        note(sprintf '%s: %d KiB more, %d sent, %.1f s', $name, $most - $before, $sent, time - $start);
        SKIP: {
            skip 'a sanitizer keeps what was freed', 1 if $sanitized;
            cmp_ok($most - $before, '<', 4096, "KiB more than before ($before), of $sent bytes that went out");
        }
        is($s->get('/Users?count=0')->status, 200, 'the server goes on');
    };
}

# --- compressed --------------------------------------------------------------

sub gzip_post
{
    my ($bytes, @headers) = @_;
    return $s->post($s->url('/gzip/Users'), $bytes, 'content-encoding' => 'gzip', @headers);
}

# Ten megabytes that are ten gigabytes: one block of zeros, again and again.  What
# would come behind them is left out, since nobody may come so far.
sub bomb
{
    my ($unfolded, $begin) = @_;
    my $zip = Compress::Zlib::deflateInit(-WindowBits => 31, -Level => 9);
    my ($text) = $zip->deflate($begin);
    $text .= $zip->flush(Compress::Zlib::Z_FULL_FLUSH());
    my $block = $zip->deflate(' ' x $LIMIT) . $zip->flush(Compress::Zlib::Z_FULL_FLUSH());
    return $text . $block x ($unfolded / $LIMIT);
}

subtest 'C-020 a compressed body counts as what it unfolds to' => sub {
    # Text that does not shrink to a hundredth of itself: that, mod_deflate refuses.
    srand 7;
    my $noise = join '', map { chr 33 + int rand 90 } 1 .. $LIMIT / 2;
    $noise =~ tr{"\\}{xy};
    my $body = JSON::PP::encode_json(user('zipped', title => $noise));
    my $exact = $body . ' ' x ($LIMIT - length $body);
    my $r = gzip_post(Compress::Zlib::memGzip($exact));
    is($r->status, 201, 'at the limit') or diag($r->content);
    is($r->json->{title}, $noise, 'whole');
    is_error(gzip_post(Compress::Zlib::memGzip("$exact ")), 413, undef, 'a byte over it');
    like(gzip_post(substr(Compress::Zlib::memGzip($exact), 0, 500))->status, qr/^400$/, 'cut');
    like(gzip_post('this is no gzip')->status, qr/^400$/, 'none');
    like(gzip_post(Compress::Zlib::memGzip($exact) =~ s/.{8}\z/        /sr)->status, qr/^400$/, 'with a wrong sum');
    is_error($s->post('/Users', Compress::Zlib::memGzip('{}'), 'content-encoding' => 'gzip'), 400, 'invalidSyntax', 'where nothing unfolds it');
    my $found = $s->get('/Users?filter=' . esc('userName eq "zipped"'));
    is($found->json->{totalResults}, 1, 'nothing else was made');
};

subtest 'C-020 bombs' => sub {
    my $begin = qq({"schemas":["$USER"],"userName":"bomb",);
    my $filled = memory();
    for my $unfolded (2 << 20, 64 << 20, 10 << 30) {
        my $bytes = bomb($unfolded, $begin);
        my $start = time;
        my $r = gzip_post($bytes);
        like($r->status, qr/^(?:400|413)$/, length($bytes) . " bytes that are $unfolded: refused");
        is_error($r, $r->status, undef, 'in the words of SCIM');
        cmp_ok(time - $start, '<', $sanitized ? 20 : 4, 'soon');
        SKIP: {
            skip 'a sanitizer keeps what was freed', 1 if $sanitized;
            cmp_ok(memory() - $filled, '<', 4096, 'KiB more than before');
        }
    }
    my $twice = Compress::Zlib::memGzip(bomb(64 << 20, $begin));
    like(gzip_post($twice)->status, qr/^400$/, 'one in another is unfolded once: no JSON');
    is(gzip_post(Compress::Zlib::memGzip(JSON::PP::encode_json(user('after'))))->status, 201, 'and a good one is taken');
};

# What mod_deflate says of bodies that unfold to very much, are cut, none, or wrong.
$s->expect_log(map { qr/\[deflate:\w+\].*$_/ } 'AH02649', 'AH02481', 'AH01387', 'AH01394');
$s->log_clean;
done_testing();
