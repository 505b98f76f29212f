#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What the access log tells of a request by the LogFormat that is shipped, and
# what no log tells.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

my $QUOTED = qr/"((?:[^"\\]|\\.)*)"/;
my $FIELDS = join ' ', map { "$_=(\\S+)" } qw(tenant connection op id changes count error);
my $LINE = qr/^\S+ \S+ \[[^\]]*\] $QUOTED (\d+) \d+ \d+ $FIELDS $QUOTED$/;

my $PASSWORD = 'Pa55-word-in-no-log';
my $s = Scim::Httpd->new(start => 0, conf => join '', "LogLevel scim:trace8\n", endpoint('/pinned', 'SCIMTenant other'), endpoint('/limited', 'SCIMRateLimit 1/min burst=1'));
my ($code) = $s->scimctl('tenant', 'create', 'other');
die "no second tenant\n" if $code;
my $outsider = $s->new_token(tenant => 'other', connection => 'outsider');
my $reader = $s->new_token(connection => 'reader', scope => 'read');
my $expired = $s->new_token(connection => 'old', expires => '1s');
my $expired_at = time + 2;
$s->start;

# The fields of the line that a request leaves: it is written once the answer is sent.
sub line_of
{
    my (@request) = @_;
    my $before = $s->access_log;
    my $r = $s->request(@request);
    my @lines;
    for (1 .. 500) {
        @lines = $s->access_log;
        last if @lines > $before;
        sleep 0.01;
    }
    is(scalar @lines, $before + 1, "@request[0, 1]: one line");
    my %field;
    @field{qw(request status tenant connection op id changes count error detail)} = $lines[-1] =~ $LINE or diag("no such line: $lines[-1]");
    is($field{status}, $r->status, "@request[0, 1]: its status");
    return ($r, %field);
}

# The fields that matter, in one text.
sub fields
{
    my (%field) = @_;
    return join ' ', @field{qw(tenant connection op id changes count error)};
}

sub reads
{
    my ($request, $want, $detail) = @_;
    my ($r, %field) = line_of(@$request);
    my $name = "$request->[0] $request->[1]";
    is(fields(%field), $want, "$name: the fields");
    if ($detail) {
        like($field{detail}, $detail, "$name: the detail");
    } else {
        is($field{detail}, '-', "$name: no detail");
    }
    return $r;
}

my ($path, $id);

subtest 'a success tells who did what to which' => sub {
    my ($r, %field) = line_of('POST', '/Users', user('bjensen', title => 'x', password => $PASSWORD, $ENTERPRISE => { department => 'x' }));
    $id = $r->json->{id};
    $path = "/Users/$id";
    is(fields(%field), "default test users.create $id $field{changes} - -", 'the fields');
    my %names = map { $_ => 1 } split /,/, $field{changes};
    ok($names{$_}, "changes: $_") for qw(userName title);
    ok(scalar(grep { /department|enterprise/ } keys %names), 'changes: the extension');
    is($field{request}, 'POST /scim/v2/Users', 'the path');
    reads(['GET', $path], "default test users.get $id - - -");
    reads(['HEAD', $path], "default test users.get $id - - -");
    reads(['GET', '/Users?filter=' . esc('userName eq "bjensen"')], 'default test users.list - - 1 -');
    reads(['GET', '/Users?count=0'], 'default test users.list - - 0 -');
    reads(['PATCH', $path, ops(['replace', 'nickName', 'n'])], "default test users.patch $id nickName - -");
    reads(['PATCH', $path, ops(['replace', 'nickName', 'n'])], "default test users.patch $id - - -");
    reads(['PUT', $path, user('bjensen', nickName => 'n', title => 'y', $ENTERPRISE => { department => 'x' })],
        "default test users.replace $id title - -");
    my ($group, %made) = line_of('POST', '/Groups', group('Tour Guides', $id));
    my $group_id = $group->json->{id};
    is(fields(%made), "default test groups.create $group_id displayName,members - -", 'a group');
    reads(['PATCH', "/Groups/$group_id", ops(['remove', "members[value eq \"$id\"]"])], "default test groups.patch $group_id members - -");
    reads(['DELETE', "/Groups/$group_id"], "default test groups.delete $group_id - 0 -");
    my ($schemas, %listed) = line_of('GET', '/Schemas');
    is(fields(%listed), 'default test schemas.list - - ' . $schemas->json->{totalResults} . ' -', 'GET /Schemas: the fields');
    reads(['GET', '/ResourceTypes/User'], 'default test resourcetypes.get - - - -');
    reads(['GET', '/ServiceProviderConfig', undef, authorization => undef], '- - config.get - - - -');
    reads(['GET', '/Users', undef, authorization => "Bearer $reader"], 'default reader users.list - - 1 -');
};

subtest 'a failure tells why' => sub {
    reads(['GET', '/Users', undef, authorization => undef], '- - users.list - - - -', qr/bearer token/);
    reads(['GET', $path, undef, authorization => 'Bearer mscim_nobody'], '- - users.get - - - -', qr/no whole token/);
    reads(['GET', $s->url('/pinned/Users')], '- - users.list - - - -', qr/not known/);
    reads(['DELETE', $path, undef, authorization => "Bearer $reader"], "default reader users.delete $id - - -", qr/reader may not change/);
    reads(['GET', '/Users/none'], 'default test users.get - - - -', qr/no User with the id/);
    my $nobody = '01900000-0000-7000-8000-000000000000';
    reads(['DELETE', "/Users/$nobody"], "default test users.delete $nobody - - -", qr/\S/);
    reads(['POST', '/Users', user('BJensen')], 'default test users.create - - - uniqueness', qr/userName/);
    reads(['POST', '/Users', '{'], 'default test users.create - - - invalidSyntax', qr/JSON/);
    reads(['POST', '/Users', user('x'), 'content-type' => 'text/plain'], 'default test users.create - - - -', qr{text/plain});
    reads(['PATCH', $path, ops(['replace', 'id', 'x'])], "default test users.patch $id - - mutability", qr/Operations\[0\]/);
    reads(['PUT', $path, user('x'), 'if-match' => 'W/"0"'], "default test users.replace $id - - -", qr/\S/);
    reads(['GET', '/Users?filter=nonsense'], 'default test users.list - - - invalidFilter', qr/\S/);
    reads(['GET', '/Nothing'], 'default test unknown - - - -', qr/no such SCIM endpoint/);
    reads(['DELETE', '/Users'], 'default test unknown - - - -', qr/does not take that method/);
    reads(['POST', '/Bulk', {}], 'default test bulk - - - invalidSyntax', qr/BulkRequest/);
    reads(['GET', '/Users/a%2Fb'], '- - unknown - - - -', qr/encoded slash/);
    reads(['GET', '/Users/' . 'x' x 9000], '- - unknown - - - -', qr/longer/);
    reads(['TRACE', '/Users'], '- - unknown - - - -', qr/TRACE/);
    sleep 0.1 while time < $expired_at;
    reads(['GET', $path, undef, authorization => "Bearer $expired"], "default old users.get - - - -", qr/expired/);
    reads(['GET', '/Users', undef, 'x-forwarded-for' => '192.0.2.1'], '- - users.list - - - -', qr/HTTPS only/);
    my ($suspended) = $s->scimctl('tenant', 'suspend', 'other');
    is($suspended, 0, 'a tenant is suspended');
    reads(['GET', '/Users', undef, authorization => "Bearer $outsider"], 'other outsider users.list - - - -', qr/not enabled/);
    my $limited = $s->url('/limited/Users');
    reads(['GET', "$limited?count=0"], 'default test users.list - - 0 -');
    is(reads(['POST', $limited, user('limited')], 'default test users.create - - - -', qr/^More requests/)->status, 429, 'the limit is reached');
    my ($last) = line_of('GET', $path);
    is($last->json->{nickName}, 'n', 'nothing has changed');
};

subtest 'a line stays one line' => sub {
    my ($r, %field) = line_of('GET', '/Users/a%0Ab%22c');
    is($r->status, 404, 'a path with a line end and a quote');
    ($r, %field) = line_of('POST', '/Users', user('a" error=none "b'));
    is($r->status, 201, 'a name with quotes');
    ($r, %field) = line_of('POST', '/Users', user('a" error=none "b'));
    is($field{error}, 'uniqueness', 'the detail that names it does not break the line');
};

subtest 'C-050 C-311 no log tells a token or a password' => sub {
    $s->put($path, user('bjensen', password => $PASSWORD));
    $s->patch($path, ops(['add', 'password', $PASSWORD]));
    $s->patch($path, ops(['add', undef, { password => $PASSWORD }]));
    $s->post('/Users', user('x', password => [$PASSWORD]));
    $s->post('/Users', qq({"schemas":["$USER"],"userName":"y","password":"$PASSWORD"));
    $s->get('/Users?filter=' . esc(qq(password eq "$PASSWORD")));
    $s->get('/Users', authorization => "Basic $PASSWORD");
    $s->get('/Users', authorization => "Bearer $PASSWORD");
    ok($s->graceful, 'a restart, too');
    $s->get('/Users');
    my @logs = ([$s->error_log], [$s->access_log]);
    for my $secret ($PASSWORD, $s->token, $reader, $expired, $outsider) {
        my $part = substr $secret, 6;
        is(scalar(grep { index($_, $part) >= 0 } map { @$_ } @logs), 0, 'a secret in the logs: ' . substr $secret, 0, 8);
    }
    ok(scalar(grep { /users\.create/ } @{ $logs[1] }), 'the access log is the one that was read');
};

$s->log_clean;
done_testing();
