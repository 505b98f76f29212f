#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Versions: ETag, If-None-Match, If-Match.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $NOBODY = '01900000-0000-7000-8000-000000000000';

my $s = Scim::Httpd->new;
my $made = made($s, '/Users', user('bjensen', title => 'x'));
my $path = "/Users/$made->{id}";
my $group_path = '/Groups/' . made($s, '/Groups', group('Tour Guides', $made->{id}))->{id};

sub etag_of
{
    my ($url) = @_;
    return $s->get($url)->header('etag');
}

# Something new to write each time.
sub next_title
{
    our $last //= 0;
    return 'Title ' . ++$last;
}

subtest 'C-220 every answer with a resource has its ETag' => sub {
    my $like = qr{^W/"[\x21\x23-\x7e]+"$};
    my $check = sub {
        my ($r, $name) = @_;
        like($r->header('etag'), $like, "$name: a weak ETag");
        is($r->header('etag'), $r->json->{meta}{version}, "$name: it is meta.version");
    };
    $check->($s->post('/Users', user('etag')), 'POST');
    $check->($s->get($path), 'GET');
    $check->($s->put($path, user('bjensen', title => next_title())), 'PUT');
    $check->($s->patch($path, ops(['add', 'title', next_title()])), 'PATCH');
    $check->($s->get($group_path), 'GET of a group');
    my $r = $s->patch($group_path, ops(['replace', 'externalId', next_title()]));
    is($r->status, 204, 'PATCH of a group');
    is($r->header('etag'), etag_of($group_path), 'its ETag');
    is($s->get("$path?attributes=userName")->header('etag'), etag_of($path), 'a projection does not change it');
    my ($listed) = @{ $s->get('/Users?filter=' . esc('userName eq "bjensen"'))->json->{Resources} };
    is($listed->{meta}{version}, etag_of($path), 'a list tells the same version');
};

subtest 'C-221 If-None-Match spares what the client has' => sub {
    for my $url ($path, $group_path) {
        my $etag = etag_of($url);
        my $bare = $etag =~ s{^W/}{}r;
        for my $header ($etag, qq(W/"0", $etag), "$etag , W/\"0\"", '*', $bare, qq("a,b",$etag)) {
            my $r = $s->get($url, 'if-none-match' => $header);
            is($r->status . $r->content, '304', $header);
            is($r->header('etag'), $etag, "$header: ETag is told");
            is($r->header('content-type'), undef, "$header: no type of no body");
        }
        for my $header ('W/"0"', 'W/"x", "y"', '""', 'nonsense', '', $bare =~ tr/"//dr, qq("$etag")) {
            is($s->get($url, 'if-none-match' => $header)->status, 200, "another: $header");
        }
    }
    my $before = etag_of($path);
    changed($s, $path, ['replace', 'title', next_title()]);
    is($s->get($path, 'if-none-match' => $before)->status, 200, 'after a change');
    is($s->request('HEAD', $path, undef, 'if-none-match' => etag_of($path))->status, 304, 'HEAD');
    is_error($s->get("/Users/$NOBODY", 'if-none-match' => '*'), 404, undef, 'what is not there');
    $before = etag_of($group_path);
    changed($s, $group_path, ['remove', 'members']);
    is($s->get($group_path, 'if-none-match' => $before)->status, 200, 'a change of members changes a group');
};

subtest 'C-222 a stale If-Match is 412 and changes nothing' => sub {
    for my $url ($path, $group_path) {
        my $body = $url eq $path ? user('bjensen', title => next_title()) : group('Other name');
        my $stale = etag_of($url);
        changed($s, $url, ['replace', 'externalId', next_title()]);
        my $before = $s->get($url)->content;
        for my $header ($stale, 'W/"0"', qq($stale, "x")) {
            is_error($s->put($url, $body, 'if-match' => $header), 412, undef, "PUT: $header");
            is_error($s->patch($url, ops(['remove', 'externalId']), 'if-match' => $header), 412, undef, "PATCH: $header");
            is_error($s->delete($url, 'if-match' => $header), 412, undef, "DELETE: $header");
        }
        is_error($s->put($url, '{', 'if-match' => $stale), 412, undef, 'before the body is looked at');
        is($s->get($url)->content, $before, 'nothing has changed');
    }
    my $stale = etag_of($group_path);
    changed($s, $group_path, ['add', 'members', [{ value => $made->{id} }]]);
    is_error($s->patch($group_path, ops(['remove', 'members']), 'if-match' => $stale), 412, undef, 'a change of members counts');
};

subtest 'C-223 a current If-Match is accepted, weak as it is' => sub {
    for my $url ($path, $group_path) {
        my $whole = $url eq $path ? sub { user('bjensen', externalId => $_[0]) } : sub { return { %{ group('G') }, externalId => $_[0] } };
        for my $form (sub { $_[0] }, sub { qq(W/"0", $_[0]) }, sub { "$_[0],W/\"0\"" }, sub { '*' }, sub { $_[0] =~ s{^W/}{}r }) {
            my $header = $form->(etag_of($url));
            is($s->put($url, $whole->(next_title()), 'if-match' => $header)->status, 200, "PUT: $header");
            $header = $form->(etag_of($url));
            my $r = $s->patch($url, ops(['replace', 'externalId', next_title()]), 'if-match' => $header);
            like($r->status, qr/^20[04]$/, "PATCH: $header");
        }
    }
    my $temporary = '/Users/' . made($s, '/Users', user('temporary'))->{id};
    is($s->delete($temporary, 'if-match' => etag_of($temporary))->status, 204, 'DELETE');
    my $etag = etag_of($path);
    my @status = map { $s->put($path, user('bjensen', title => "second $_"), 'if-match' => $etag)->status } 1, 2;
    is("@status", '200 412', 'of two who read the same version one wins');
};

subtest 'C-224 an unknown id is 404, whatever If-Match says' => sub {
    for my $header ('*', 'W/"1"') {
        is_error($s->put("/Users/$NOBODY", user('x'), 'if-match' => $header), 404, undef, "PUT: $header");
        is_error($s->patch("/Users/$NOBODY", ops(), 'if-match' => $header), 404, undef, "PATCH: $header");
        is_error($s->delete("/Users/$NOBODY", 'if-match' => $header), 404, undef, "DELETE: $header");
    }
};

subtest 'C-227 an If-Match that is malformed matches nothing' => sub {
    my $etag = etag_of($path);
    for my $header ('nonsense', $etag =~ tr/"//dr, qq("$etag"), 'W/', '""', "-$etag", "x $etag", '**') {
        is_error($s->put($path, user('bjensen', title => 'never'), 'if-match' => $header), 412, undef, $header);
    }
    is(etag_of($path), $etag, 'nothing has changed');
};

subtest 'C-228 a change of its groups leaves the version of a user' => sub {
    my $before = $s->get($path)->json;
    changed($s, $group_path, ['remove', 'members'], ['replace', 'displayName', next_title()]);
    changed($s, $group_path, ['add', 'members', [{ value => $made->{id} }]]);
    is_deeply($s->get($path)->json->{meta}, $before->{meta}, 'version and lastModified');
};

$s->log_clean;
done_testing();
