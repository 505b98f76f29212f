#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Conditional requests beside plain ETags: dates, the order in which HTTP has
# conditions judged (RFC 9110 section 13.2.2), and SCIMRequireIfMatch.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX qw(strftime);
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::Local qw(timegm);

my $NOBODY = '01900000-0000-7000-8000-000000000000';

my $s = Scim::Httpd->new(conf => endpoint('/careful', 'SCIMRequireIfMatch On'));
my $user = made($s, '/Users', user('anna'));
my $group = made($s, '/Groups', group('Guides'));
my ($path, $group_path) = ("/Users/$user->{id}", "/Groups/$group->{id}");

# When a resource was last modified, and so many seconds later, as HTTP writes it.
sub date_of
{
    my ($url, $later) = @_;
    my $told = $s->get($url)->json->{meta}{lastModified};
    my ($y, $m, $d, $H, $M, $S) = $told =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/ or die "lastModified: $told\n";
    return strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(timegm($S, $M, $H, $d, $m - 1, $y) + ($later // 0)));
}

sub etag_of { return $s->get($_[0])->header('etag') }

sub status_of { return $_[0]->status }

sub title { our $last //= 0; return user('anna', title => 'T' . ++$last) }

subtest 'C-226 If-Modified-Since on GET' => sub {
    for my $url ($path, $group_path) {
        my $r = $s->get($url, 'if-modified-since' => date_of($url));
        is($r->status . $r->content, '304', "$url: since its last change");
        is($r->header('etag'), etag_of($url), "$url: ETag is told");
        is(status_of($s->get($url, 'if-modified-since' => date_of($url, 3600))), 304, "$url: later");
        is(status_of($s->get($url, 'if-modified-since' => date_of($url, -1))), 200, "$url: before it");
        is(status_of($s->get($url, 'if-modified-since' => $_)), 200, "$url: no date: $_") for 'yesterday', '', '0', '2026-11-22T00:00:00Z';
        is(status_of($s->request('HEAD', $url, undef, 'if-modified-since' => date_of($url))), 304, "$url: HEAD");
    }
    is_error($s->get("/Users/$NOBODY", 'if-modified-since' => date_of($path)), 404, undef, 'what is not there');
    is(status_of($s->get('/Users', 'if-modified-since' => date_of($path, 9))), 200, 'a list has no date');
};

subtest 'C-226 If-Unmodified-Since on writes' => sub {
    my $before = $s->get($path)->content;
    my $early = date_of($path, -1);
    is_error($s->put($path, title(), 'if-unmodified-since' => $early), 412, undef, 'PUT');
    is_error($s->patch($path, ops(['remove', 'title']), 'if-unmodified-since' => $early), 412, undef, 'PATCH');
    is_error($s->delete($path, 'if-unmodified-since' => $early), 412, undef, 'DELETE');
    is_error($s->put($path, '{', 'if-unmodified-since' => $early), 412, undef, 'before the body is looked at');
    is_error($s->get($path, 'if-unmodified-since' => $early), 412, undef, 'and GET');
    is($s->get($path)->content, $before, 'nothing has changed');
    is(status_of($s->put($path, title(), 'if-unmodified-since' => date_of($path))), 200, 'since its last change');
    is(status_of($s->put($path, title(), 'if-unmodified-since' => 'never')), 200, 'no date');
    is_error($s->put("/Users/$NOBODY", title(), 'if-unmodified-since' => $early), 404, undef, 'an unknown id is 404 first');
};

subtest 'C-226 the order of conditions' => sub {
    my ($early, $now) = (date_of($path, -1), date_of($path));
    my $etag = etag_of($path);
    is(status_of($s->get($path, 'if-none-match' => 'W/"x"', 'if-modified-since' => $now)), 200, 'If-None-Match before If-Modified-Since');
    is(status_of($s->get($path, 'if-none-match' => $etag, 'if-modified-since' => $early)), 304, 'likewise');
    is(status_of($s->get($path, 'if-match' => $etag, 'if-unmodified-since' => $early)), 200, 'If-Match before If-Unmodified-Since');
    is_error($s->get($path, 'if-match' => 'W/"x"', 'if-none-match' => $etag), 412, undef, 'If-Match before If-None-Match');
    is(status_of($s->get($path, 'if-match' => $etag, 'if-none-match' => $etag)), 304, 'both');
    is_error($s->put($path, title(), 'if-match' => 'W/"x"', 'if-unmodified-since' => $now), 412, undef, 'PUT: If-Match counts');
    is(status_of($s->put($path, title(), 'if-match' => $etag, 'if-unmodified-since' => $early)), 200, 'PUT: alone');
    is(status_of($s->put($path, title(), 'if-modified-since' => date_of($path, 9))), 200, 'If-Modified-Since is for GET alone');
};

subtest 'C-226 If-None-Match on writes' => sub {
    my $before = $s->get($path)->content;
    for my $header ('*', etag_of($path), 'W/"x", ' . etag_of($path)) {
        is_error($s->put($path, title(), 'if-none-match' => $header), 412, undef, "PUT: $header");
        is_error($s->delete($path, 'if-none-match' => $header), 412, undef, "DELETE: $header");
    }
    is($s->get($path)->content, $before, 'nothing has changed');
    is(status_of($s->put($path, title(), 'if-none-match' => 'W/"x"')), 200, 'of another version');
    is(status_of($s->post('/Users', user('bob'), 'if-none-match' => '*')), 201, 'what is created is no version of anything');
};

subtest 'C-226 the date of a group is that of its members, too' => sub {
    my $made = date_of($group_path);
    sleep 1;
    changed($s, $group_path, ['add', 'members', [{ value => $user->{id} }]]);
    is(status_of($s->get($group_path, 'if-modified-since' => $made)), 200, 'changed since it was made');
    is_error($s->delete($group_path, 'if-unmodified-since' => $made), 412, undef, 'so it is not deleted');
};

subtest 'C-225 SCIMRequireIfMatch' => sub {
    my $before = $s->get($path)->content;
    my $there = sub { return $s->url("/careful$_[0]") };
    is_error($s->put($there->($path), title()), 428, undef, 'PUT');
    is_error($s->patch($there->($path), ops(['remove', 'title'])), 428, undef, 'PATCH');
    is_error($s->delete($there->($path)), 428, undef, 'DELETE');
    is_error($s->put($there->($path), title(), 'if-unmodified-since' => date_of($path)), 428, undef, 'a date is not enough');
    is_error($s->put($there->($path), '{'), 428, undef, 'whatever the body');
    is($s->get($path)->content, $before, 'nothing has changed');
    is(status_of($s->post($there->('/Users'), user('carl'))), 201, 'POST asks for none');
    is(status_of($s->get($there->($path))), 200, 'nor does GET');
    is_error($s->put($there->($path), title(), 'if-match' => 'W/"0"'), 412, undef, 'a stale one');
    is(status_of($s->put($there->($path), title(), 'if-match' => etag_of($path))), 200, 'the right one');
    is(status_of($s->delete($there->($path), 'if-match' => '*')), 204, 'any');
};

$s->log_clean;
done_testing();
