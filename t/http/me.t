#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# /Me (RFC 7644 section 3.11): for a person whom httpd authenticates.
use strict;
use warnings;
use Digest::SHA qw(sha1_base64);
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64 qw(encode_base64);
use Scim::Body;
use Scim::Httpd;
use Test::More;

my %password = (anna => 'a-pw', bob => 'b-pw', gone => 'g-pw', nobody => 'n-pw', 'O"x' => 'o-pw');

# Basic authentication for paths below one that asks for tokens.
sub basic
{
    my ($path, @directives) = @_;
    return join "\n", qq{<Location "$path">}, 'AuthType Basic', 'AuthName "People"', 'AuthBasicProvider file',
        'AuthUserFile htdocs/people', 'Require valid-user', @directives, "</Location>\n";
}

my $s = Scim::Httpd->new(
    start => 0,
    modules => [qw(auth_basic authn_file)],
    files => { people => join '', map { "$_:{SHA}" . sha1_base64($password{$_}) . "=\n" } sort keys %password },
    conf => endpoint('/people', 'SCIMTenant globex') . endpoint('/all'),
    location => '',
    locations => endpoint('/scim/v2') . basic('/scim/v2/Me') . basic('/people/Me') . basic('/all'),
);
$s->scimctl(qw(tenant create globex));
$s->start;
my @globex = (authorization => 'Bearer ' . $s->new_token(tenant => 'globex', connection => 'okta'));

sub as
{
    my ($name, $password) = @_;
    return (authorization => 'Basic ' . encode_base64("$name:" . ($password // $password{$name}), ''));
}

my $anna = made($s, '/Users', user('Anna', displayName => 'A', active => JSON::PP::true()));
my $bob = made($s, '/Users', user('bob'));
made($s, '/Users', user('gone', active => JSON::PP::false()));
my $group = made($s, '/Groups', group('Guides', $anna->{id}));

subtest 'C-265 a person reads itself' => sub {
    my $r = $s->get('/Me', as('anna'));
    my $read = $s->get("/Users/$anna->{id}");
    is($r->status, 200, 'the user of that name, in any case');
    is($r->content, $read->content, 'as it is read by its id');
    is($r->header('location'), $anna->{meta}{location}, 'Location is the permanent one');
    is($r->header('content-location'), $anna->{meta}{location}, 'Content-Location, too');
    is($r->header('etag'), $read->header('etag'), 'ETag');
    is($r->json->{groups}[0]{display}, 'Guides', 'with its groups');
    is($s->get('/Me', as('bob'))->json->{id}, $bob->{id}, 'another, another');
    is($s->request('HEAD', '/Me', undef, as('bob'))->status, 200, 'HEAD');
};

subtest 'C-069 C-221 C-265 projections and conditions' => sub {
    is_deeply($s->get('/Me?attributes=userName', as('anna'))->json, { schemas => [$USER], id => $anna->{id}, userName => 'Anna' }, 'attributes');
    my $etag = $s->get('/Me', as('anna'))->header('etag');
    is($s->get('/Me', as('anna'), 'if-none-match' => $etag)->status, 304, 'If-None-Match');
    is($s->get('/Me', as('anna'), 'if-none-match' => 'W/"x"')->status, 200, 'of another version');
};

subtest 'C-265 who is not there' => sub {
    is_error($s->get('/Me', as($_)), 404, undef, $_) for qw(gone nobody), 'O"x';
    is_error($s->get($s->url('/people/Me'), as('anna')), 404, undef, 'in another directory');
    my $other = made($s, $s->url('/people/Users'), user('anna'), @globex);
    is($s->get($s->url('/people/Me'), as('anna'))->json->{id}, $other->{id}, 'each directory has its own');
};

subtest 'C-265 a person changes nothing' => sub {
    my $before = $s->get("/Users/$anna->{id}")->content;
    is_error($s->post('/Me', user('other'), as('anna')), 403, undef, 'POST');
    is_error($s->put('/Me', user('other'), as('anna')), 403, undef, 'PUT');
    is_error($s->patch('/Me', ops(['replace', 'active', JSON::PP::false()]), as('anna')), 403, undef, 'PATCH');
    is_error($s->delete('/Me', as('anna')), 403, undef, 'DELETE');
    is($s->get("/Users/$anna->{id}")->content, $before, 'all is as it was');
};

subtest 'C-014 C-265 nobody, or the wrong password' => sub {
    for my $headers ([authorization => undef], [as('anna', 'wrong')], [as('unknown', 'x')], []) {
        my $r = $s->get('/Me', @$headers);
        is_error($r, 401, undef, 'refused');
        like($r->header('www-authenticate'), qr/^Basic realm="People"/, 'by what httpd asks for here');
    }
};

subtest 'C-014 C-265 a person reaches nothing else' => sub {
    for my $path ('/Users', "/Users/$anna->{id}", '/Groups', '/Schemas', '/ResourceTypes', '/?count=1', '/Foo') {
        is_error($s->get($path, as('anna')), 401, undef, "where a token is asked for: $path");
        is_error($s->get($s->url("/all$path"), as('anna')), 401, undef, "where httpd lets persons in: $path");
    }
    is_error($s->post($s->url('/all/Users'), user('x'), as('anna')), 401, undef, 'POST');
    is_error($s->post($s->url('/all/Bulk'), {}, as('anna')), 401, undef, 'Bulk');
    is_error($s->post($s->url('/all/.search'), {}, as('anna')), 401, undef, '.search');
    is_error($s->delete($s->url("/all/Users/$bob->{id}"), as('anna')), 401, undef, 'DELETE');
    is($s->get("/Users/$bob->{id}")->status, 200, 'nothing is gone');
    is($s->get($s->url('/all/Me'), as('anna'))->json->{id}, $anna->{id}, 'but itself');
};

subtest 'C-265 a token is no person' => sub {
    my $me = $s->url('/people/Me');
    is_error($s->get($me, @globex), 401, undef, 'where a password is asked for');
    $s->write_conf(locations => endpoint('/scim/v2') . basic('/all'));
    $s->graceful;
    for my $method (qw(GET POST PUT PATCH DELETE)) {
        is_error($s->request($method, '/Me', $method =~ /^P/ ? {} : undef), 501, undef, "$method with a token");
    }
    is_error($s->get('/Me', authorization => undef), 401, undef, 'without one');
};

subtest 'notes' => sub {
    $s->get($s->url('/all/Me'), as('anna'));
    ok($s->wait_access(qr/op=me\.get id=\Q$anna->{id}\E /), 'the operation, and the id');
};

# httpd tells of passwords that are wrong.
$s->allow_log(qr/AH0161[478]/);
$s->log_clean;
done_testing();
