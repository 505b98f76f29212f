#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Groups with many members are told while they are read: no length beforehand,
# the same JSON in the end, and nothing held open for a client that is slow.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP ();
use Scim::Httpd;
use Test::More;

my $MEMBERS = 3000;
my $s = Scim::Httpd->new(children => 1);
my $bulk = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';

sub make_users
{
    my @ids;
    for my $first (map { $_ * 500 } 0 .. $MEMBERS / 500 - 1) {
        my @operations = map { {
            method => 'POST', path => '/Users', bulkId => "b$_", data => { schemas => [$USER], userName => "user$_" },
        } } $first .. $first + 499;
        my $done = $s->post('/Bulk', { schemas => [$bulk], Operations => \@operations })->json;
        push @ids, map { $_->{location} =~ m{/Users/(.*)} } @{ $done->{Operations} };
    }
    return @ids;
}

my @ids = make_users();
is(scalar @ids, $MEMBERS, 'there are users');
my @members = map { { value => $ids[$_], display => "\"$_\" \x{e4}" } } 0 .. $#ids;
my $made = $s->post('/Groups', { schemas => [$GROUP], displayName => 'all', members => \@members });
is($made->status, 201, 'S-05 a group of many is created');
is(scalar @{ $made->json->{members} }, $MEMBERS, 'S-05 and answered with all of them');
my $group = "/Groups/$made->{json}{id}";

my $got = $s->get($group);
is($got->status, 200, 'C-060 it is read');
is($got->header('content-length'), undef, 'S-02 without a length');
is($got->header('etag'), $made->header('etag'), 'C-061 with its version');
is_deeply([map { $_->{value} } @{ $got->json->{members} }], [sort @ids], 'S-05 every member is told, once');
my %display = map { $_->{value} => $_->{display} } @{ $got->json->{members} };
is_deeply(\%display, { map { $_->{value} => $_->{display} } @members }, 'with the display that was sent');
my $one = $got->json->{members}[0];
is($one->{type}, 'User', 'its type');
is($one->{'$ref'}, $s->base . "/Users/$one->{value}", 'and its URL');
is($got->json->{meta}{resourceType}, 'Group', 'meta is there');
is_deeply([sort keys %{ $got->json }], [qw(displayName id members meta schemas)], 'and nothing else');

my $head = $s->request('HEAD', $group);
is($head->status, 200, 'HEAD');
is($head->header('etag'), $got->header('etag'), 'has the same version');

my $without = $s->get("$group?excludedAttributes=members");
ok($without->header('content-length') < 1000, 'S-03 without members it is short');
ok(!exists $without->json->{members}, 'S-03 and has none');
my $only = $s->get("$group?attributes=members.value")->json;
is_deeply($only, { id => $made->json->{id}, schemas => [$GROUP], members => [map { { value => $_ } } sort @ids] },
    'C-065 one sub-attribute of every member');
is_deeply([sort keys %{ $s->get("$group?attributes=displayName")->json }], [qw(displayName id schemas)], 'C-065 none of them');
is($s->get($group, 'If-None-Match' => $got->header('etag'))->status, 304, 'C-221 not modified');

# A client that reads nothing keeps no view of the store open.
my $slow = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Proto => 'tcp');
setsockopt $slow, SOL_SOCKET, SO_RCVBUF, 4096;
print $slow "GET " . $s->base . "$group HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " . $s->token . "\r\n\r\n";
select undef, undef, undef, 0.3;
my (undef, $stat) = $s->scimctl('--json', 'stat');
is(JSON::PP::decode_json($stat)->{readers}, 0, 'a slow client holds no view')
    or diag $stat;
close $slow;
is($s->get("$group?excludedAttributes=members")->status, 200, 'nor does one that goes away disturb anybody');

# A member far behind whose bytes were altered: what is sent until then is no
# JSON, and nobody can take it for the whole.
cmp_ok($s->alter_store('"' . ($MEMBERS - 1) . '" ', '"x' . substr($MEMBERS - 1, 1) . '" '), '>', 0, 'a member is altered');
my $cut = $s->raw("GET /scim/v2$group HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " . $s->token . "\r\n\r\n");
ok($cut->content =~ /"value"/ && $cut->content !~ /\]\}\r\n/, 'C-064 a damaged member ends the connection, not the JSON');
ok($cut->content !~ /\r\n0\r\n\r\n\z/, 'C-064 nor the chunks it came in');
ok(defined $s->wait_log(qr/SCIM1205/), 'and the error log says so');
is($s->get("$group?excludedAttributes=members")->status, 200, 'the group itself can be read');
$s->expect_log(qr/SCIM1205: a body broke off: reading members/);

$s->log_clean;
done_testing();
