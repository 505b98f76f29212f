#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Bulk: the examples of RFC 7644 section 3.7, limits, and what is one commit.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
my $ANSWER = 'urn:ietf:params:scim:api:messages:2.0:BulkResponse';
my $NOBODY = '01900000-0000-7000-8000-000000000000';

my $s = Scim::Httpd->new(
    conf => endpoint('/small', 'SCIMBulk 3 2k') . endpoint('/off', 'SCIMBulk Off')
        . endpoint('/careful', 'SCIMRequireIfMatch On') . endpoint('/rfc', 'SCIMProfile rfc'),
);

sub job
{
    my ($operations, %more) = @_;
    return { schemas => [$BULK], Operations => $operations, %more };
}

# The entries of a job that is answered as a whole.
sub entries
{
    my ($body, $base) = @_;
    my $r = $s->post(($base ? $s->url($base) : '') . '/Bulk', $body);
    die 'Bulk: ' . $r->status . ' ' . $r->content . "\n" if $r->status != 200;
    is_deeply($r->json->{schemas}, [$ANSWER], 'a BulkResponse');
    return @{ $r->json->{Operations} };
}

sub post_op
{
    my ($path, $id, $data) = @_;
    return { method => 'POST', path => $path, bulkId => "$id", data => $data };
}

sub statuses { return join ' ', map { $_->{status} } @_ }

sub users { return $s->get('/Users?count=0')->json->{totalResults} }

sub member_ids
{
    my ($url) = @_;
    return map { $_->{value} } @{ $s->get($url)->json->{members} || [] };
}

sub id_of { return $_[0]{location} =~ s{.*/}{}r }

# --- the RFC's examples ------------------------------------------------------

subtest 'C-237 C-239 section 3.7.1: two groups that contain each other' => sub {
    my @done = entries(<<"EOT");
{ "schemas": ["$BULK"],
  "Operations": [
    { "method": "POST", "path": "/Groups", "bulkId": "qwerty",
      "data": { "schemas": ["$GROUP"], "displayName": "Group A",
                "members": [ { "type": "Group", "value": "bulkId:ytrewq" } ] } },
    { "method": "POST", "path": "/Groups", "bulkId": "ytrewq",
      "data": { "schemas": ["$GROUP"], "displayName": "Group B",
                "members": [ { "type": "Group", "value": "bulkId:qwerty" } ] } } ] }
EOT
    is(statuses(@done), '201 201', 'both are made');
    my $list = $s->get('/Groups?filter=' . esc('displayName sw "Group"'))->json;
    is($list->{totalResults}, 2, 'and found');
    my ($a, $b) = @{ $list->{Resources} };
    my $of = sub { [{ value => $_[0]{id}, '$ref' => $_[0]{meta}{location}, type => 'Group' }] };
    is_deeply($a->{members}, $of->($b), 'A contains B');
    is_deeply($b->{members}, $of->($a), 'B contains A');
    is($done[0]{location}, $a->{meta}{location}, 'its location is told');
};

subtest 'C-230 C-231 C-237 section 3.7.2: a user and a group around it' => sub {
    my @done = entries(<<"EOT");
{ "schemas": ["$BULK"],
  "Operations": [
    { "method": "POST", "path": "/Users", "bulkId": "qwerty",
      "data": { "schemas": ["$USER"], "userName": "Alice" } },
    { "method": "POST", "path": "/Groups", "bulkId": "ytrewq",
      "data": { "schemas": ["$GROUP"], "displayName": "Tour Guides",
                "members": [ { "type": "User", "value": "bulkId:qwerty" } ] } } ] }
EOT
    my ($alice, $guides) = map { $s->get($_->{location})->json } @done;
    is_deeply(\@done, [
        { location => $alice->{meta}{location}, method => 'POST', bulkId => 'qwerty', version => $alice->{meta}{version}, status => '201' },
        { location => $guides->{meta}{location}, method => 'POST', bulkId => 'ytrewq', version => $guides->{meta}{version}, status => '201' },
    ], 'the answer, whole');
    is_deeply($guides->{members}, [{ value => $alice->{id}, '$ref' => $alice->{meta}{location}, type => 'User' }], 'the member');
    is($s->delete($alice->{meta}{location})->status, 204, 'Alice goes again');
};

subtest 'C-237 section 3.7.2: a reference in an extension' => sub {
    my @done = entries(<<"EOT");
{ "schemas": ["$BULK"],
  "Operations": [
    { "method": "POST", "path": "/Users", "bulkId": "qwerty",
      "data": { "schemas": ["$USER"], "userName": "Alice" } },
    { "method": "POST", "path": "/Users", "bulkId": "ytrewq",
      "data": { "schemas": ["$USER", "$ENTERPRISE"], "userName": "Bob",
                "$ENTERPRISE": { "employeeNumber": "11250", "manager": { "value": "bulkId:qwerty" } } } } ] }
EOT
    is(statuses(@done), '201 201', 'both are made');
    my $bob = $s->get($done[1]{location})->json;
    is($bob->{$ENTERPRISE}{manager}{value}, id_of($done[0]), 'the manager is Alice');
    ok(defined $bob->{$ENTERPRISE}{manager}{'$ref'}, 'with a $ref, as of a user that was there');
    is($s->delete($_->{location})->status, 204, 'they go again') for @done;
};

# The users of section 3.7.3, as they are before its job.
sub people
{
    my ($first, $nick, $last) = map { made($s, '/Users', user($_, nickName => 'N')) } qw(first nick last);
    return ($first, $nick, $last);
}

sub rfc_job
{
    my ($alice, $first, $nick, $last, %more) = @_;
    return job([
        post_op('/Users', 'qwerty', { schemas => ['urn:ietf:params:scim:api:messages:2.0:User'], userName => $alice }),
        { method => 'PUT', path => "/Users/$first->{id}", version => $first->{meta}{version},
            data => { schemas => [$USER], id => $first->{id}, userName => 'Bob' } },
        { method => 'PATCH', path => "/Users/$nick->{id}", version => $nick->{meta}{version},
            data => ops(['remove', 'nickName'], ['add', 'userName', 'Dave']) },
        { method => 'DELETE', path => "/Users/$last->{id}", version => $last->{meta}{version} },
    ], %more);
}

subtest 'C-230 C-231 C-242 section 3.7.3: add, update and remove' => sub {
    my ($first, $nick, $last) = people();
    my @done = entries(rfc_job('Alice', $first, $nick, $last, failOnErrors => 1));
    is(statuses(@done), '201 200 200 204', 'all succeed');
    my @now = map { $s->get($_->{location})->json } @done[0 .. 2];
    is_deeply([map { $_->{userName} } @now], [qw(Alice Bob Dave)], 'as was asked');
    ok(!exists $now[2]{nickName}, 'the nickName is gone');
    is_deeply([map { $_->{version} } @done[0 .. 2]], [map { $_->{meta}{version} } @now], 'their versions');
    is_deeply($done[3], { location => $last->{meta}{location}, method => 'DELETE', status => '204' }, 'a deletion tells no version');
    is_error($s->get($last->{meta}{location}), 404, undef, 'it is deleted');

    subtest 'C-232 C-234 the first fails' => sub {
        my @stopped = entries(rfc_job('Alice', $first, $nick, $last, failOnErrors => 1));
        is(scalar @stopped, 1, 'what follows is not told');
        is_deeply([sort keys %{ $stopped[0] }], [qw(bulkId method response status)], 'a POST that failed has no location');
        is($stopped[0]{status}, '409', 'its status');
        is($stopped[0]{response}{status}, '409', 'its response is an Error');
        is_deeply($stopped[0]{response}{schemas}, [$ERROR], 'with its schema');
    };
    subtest 'C-231 C-232 C-233 C-242 all fail' => sub {
        my @failed = entries(rfc_job('Alice', $first, $nick, $last));
        is(statuses(@failed), '409 412 412 404', 'the statuses');
        is_deeply([map { $_->{location} } @failed[1 .. 3]], [map { $_->{meta}{location} } $first, $nick, $last], 'locations');
        is_deeply([grep { !$_->{response}{detail} } @failed], [], 'each says why');
        is_deeply([map { $s->get($_->{location})->json } @done[0 .. 2]], \@now, 'nothing has changed');
    };
    $s->delete($_->{location}) for @done[0 .. 2];
};

# --- limits ------------------------------------------------------------------

# What comes back for these bytes, while the connection stays open.
sub first_answer
{
    my ($bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port, Timeout => 5);
    print $socket $bytes;
    my $text = '';
    eval {
        local $SIG{ALRM} = sub { die "too slow\n" };
        alarm 10;
        1 while sysread $socket, $text, 65536, length $text;
        alarm 0;
    };
    alarm 0;
    my ($status) = $text =~ m{^HTTP/1.1 (\d+)};
    my ($body) = $text =~ /\r\n\r\n(.*)/s;
    return ($status // 'none', $body // '');
}

sub head_of
{
    my ($path, @more) = @_;
    return join '', map { "$_\r\n" } "POST $path HTTP/1.1", 'Host: localhost', 'Authorization: Bearer ' . $s->token,
        'Content-Type: application/scim+json', @more, '';
}

subtest 'C-241 section 3.7.4: a body that is too large' => sub {
    my ($status, $body) = first_answer(head_of('/scim/v2/Bulk', 'Content-Length: 4294967296'));
    is($status, 413, 'refused before a byte of it is sent');
    my $error = JSON::PP::decode_json($body);
    is($error->{status}, '413', 'an Error');
    like($error->{detail}, qr/4194304.*maxPayloadSize/, 'that names the limit');

    my $huge = user('x', title => 'x' x 3000);
    my $r = $s->post($s->url('/small/Bulk'), job([post_op('/Users', 1, $huge)]));
    is_error($r, 413, undef, 'sent');
    like($r->json->{detail}, qr/2048.*maxPayloadSize/, 'the limit of this endpoint');
    my $json = JSON::PP::encode_json(job([post_op('/Users', 1, $huge)]));
    ($status) = first_answer(head_of('/small/Bulk', 'Transfer-Encoding: chunked')
            . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $json, $json));
    is($status, 413, 'in chunks, whose length nobody told');
    is($s->post('/Users', $huge)->status, 201, 'no limit of other requests');
    is(statuses(entries(job([post_op('/Users', 1, user('y', title => 'y' x 3000))]))), '201', 'nor of another endpoint');
    is(users(), 2, 'what was refused is not there');
};

subtest 'C-241 more operations than maxOperations' => sub {
    my @four = map { post_op('/Users', $_, user("u$_")) } 1 .. 4;
    my $r = $s->post($s->url('/small/Bulk'), job(\@four));
    is_error($r, 413, undef, 'four of three');
    like($r->json->{detail}, qr/4 operations.*maxOperations \(3\)/, 'both numbers are told');
    is(users(), 2, 'none is done');
    is(statuses(entries(job([@four[0 .. 2]]), '/small')), '201 201 201', 'three are');
};

subtest 'C-013 C-241 C-270 SCIMBulk in the configuration' => sub {
    my $bulk = sub { $s->get($s->url("$_[0]/ServiceProviderConfig"))->json->{bulk} };
    my ($true, $false) = (JSON::PP::true(), JSON::PP::false());
    is_deeply($bulk->('/scim/v2'), { supported => $true, maxOperations => 500, maxPayloadSize => 4194304 }, 'by default');
    is_deeply($bulk->('/small'), { supported => $true, maxOperations => 3, maxPayloadSize => 2048 }, 'set');
    is_deeply($bulk->('/off'), { supported => $false, maxOperations => 0, maxPayloadSize => 0 }, 'Off');
    is_error($s->post($s->url('/off/Bulk'), job([])), 501, undef, 'Off');
    is_error($s->get('/Bulk'), 405, undef, 'GET');
};

# --- jobs --------------------------------------------------------------------

subtest 'C-246 C-248 frames' => sub {
    is_error($s->post('/Bulk', { Operations => [] }), 400, 'invalidSyntax', 'no schemas');
    is_error($s->post('/Bulk', { schemas => [$BULK] }), 400, 'invalidSyntax', 'no Operations');
    is_deeply([entries(job([]))], [], 'empty Operations');
    is_error($s->post('/Bulk', '['), 400, 'invalidSyntax', 'no JSON');
    is_error($s->post('/Bulk', job([]), 'content-type' => 'text/plain'), 415, undef, 'another type');
};

subtest 'C-235 C-236 C-240 C-245 operations one by one' => sub {
    my $before = users();
    my @done = entries(job([
        { method => 'post', path => '/v2/Users', bulkId => 'a', data => user('a') },
        post_op('/Users', 'a', user('b')),
        { method => 'POST', path => '/Users', data => user('b') },
        { method => 'GET', path => '/Users' },
        post_op('/Foo', 'f', {}),
        post_op('/Bulk', 'g', {}),
        post_op('/Groups', 'h', group('h', 'bulkId:nobody')),
        post_op('/Groups', 'i', group('i', 'bulkId:j')),
        post_op('/Groups', 'j', group('j', 'bulkId:i', 'bulkId:bad')),
        post_op('/Users', 'bad', user('A')),
        { method => 'DELETE', path => $s->base . '/Users/bulkId:a' },
    ]));
    is(statuses(@done), '201 400 400 400 404 400 400 400 400 409 204', 'statuses, what relied on the last failure too');
    is(users(), $before, 'nothing stays');
};

subtest 'C-225 C-242 SCIMRequireIfMatch asks for versions' => sub {
    my $one = made($s, '/Users', user('versioned'));
    my $delete = { method => 'DELETE', path => "/Users/$one->{id}" };
    is(statuses(entries(job([$delete, { %$delete, version => 'W/"0"' }, { %$delete, version => $one->{meta}{version} }]), '/careful')),
        '428 412 204', 'none, a stale one, the right one');
};

subtest 'C-243 a PATCH without its schemas' => sub {
    my $one = made($s, '/Users', user('patched'));
    my $patch = { method => 'PATCH', path => "/Users/$one->{id}", data => { Operations => ops(['add', 'title', 'x'])->{Operations} } };
    is(statuses(entries(job([$patch]))), '200', 'interop');
    is(statuses(entries(job([$patch]), '/rfc')), '400', 'rfc');
};

subtest 'C-014 C-016 C-247 who may' => sub {
    is_error($s->post('/Bulk', job([]), authorization => undef), 401, undef, 'nobody');
    my $reader = $s->new_token(connection => 'reader', scope => 'read');
    is_error($s->post('/Bulk', job([post_op('/Users', 1, user('x1'))]), authorization => "Bearer $reader"), 403, undef,
        'a token that may only read');
};

subtest 'C-244 500 operations, and jobs at the same time' => sub {
    my $before = users();
    my @done = entries(job([map { post_op('/Users', "u$_", user("many$_")) } 1 .. 500]));
    is(scalar(grep { $_->{status} eq '201' } @done), 500, 'all are made');
    is(users(), $before + 500, 'and counted');
    my @ids = map { id_of($_) } @done;
    is_deeply([sort @ids], \@ids, 'their ids are in the order of the job');

    # Each job makes a group of users of its own, and one that only one job can make.
    my @jobs = parallel(6, sub {
        my ($n) = @_;
        my @operations = map { post_op('/Users', "u$_", user("job$n-$_")) } 1 .. 20;
        push @operations, post_op('/Groups', 'g', group("Job $n", map { "bulkId:u$_" } 1 .. 20));
        push @operations, post_op('/Users', 'same', user('contended'));
        my $r = $s->post('/Bulk', job(\@operations));
        return [$r->status, statuses(@{ ($r->json || {})->{Operations} || [] })];
    });
    my $won = join ' ', ('201') x 22;
    my $lost = join ' ', ('201') x 21, '409';
    is(scalar(grep { $_->[0] == 200 && $_->[1] eq $won } @jobs), 1, 'one has won');
    is(scalar(grep { $_->[0] == 200 && $_->[1] eq $lost } @jobs), 5, 'the others lost that operation alone');
    is(users(), $before + 500 + 6 * 20 + 1, 'nothing is lost');
    for my $n (0 .. 5) {
        my ($group) = @{ $s->get('/Groups?filter=' . esc(qq(displayName eq "Job $n")))->json->{Resources} };
        is(scalar @{ $group->{members} }, 20, "the group of job $n is whole");
    }
};

subtest 'notes' => sub {
    entries(job([map { post_op('/Users', $_, user("noted$_")) } 1 .. 7]));
    ok($s->wait_access(qr/op=bulk id=- changes=- count=7 error=-/), 'the operation, and how many it held');
};

subtest 'C-244 a store that takes no writes' => sub {
    my $before = users();
    $s->write_conf(conf => 'SCIMReadOnly On');
    $s->graceful;
    my $r = $s->post('/Bulk', job([post_op('/Users', 1, user('late'))]));
    is_error($r, 503, undef, 'SCIMReadOnly');
    ok($r->header('retry-after'), 'Retry-After');
    is(users(), $before, 'nothing is written');
};

$s->log_clean;
done_testing();
