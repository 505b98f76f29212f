#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Ways around the endpoint's own judgement that somebody once found.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64 qw(encode_base64);
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $people = join "\n", 'AuthBasicProvider anon', 'Anonymous *', 'Anonymous_MustGiveEmail Off', 'Anonymous_LogEmail Off',
    'AuthzSendForbiddenOnFailure On', 'SCIMUserAttribute externalId', 'Require scim-user';
my $s = Scim::Httpd->new(
    modules => [qw(access_compat status rewrite remoteip auth_basic authn_anon)],
    conf => endpoint('/any', "Satisfy Any\nSCIMRequireTLS On")
        . endpoint('/people') =~ s/AuthType Bearer/AuthType Basic/r =~ s/Require valid-user/$people/r
        . "<Location />\nSetHandler server-status\n</Location>\n"
        . "RewriteEngine On\n" . 'RewriteRule whoami$ /scim/v2/Me' . "\n"
        . "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n",
);

subtest 'C-017 Satisfy Any does not overrule SCIMRequireTLS' => sub {
    my $r = $s->post($s->url('/any/Users'), { schemas => ['urn:ietf:params:scim:schemas:core:2.0:User'], userName => 'any' },
        'x-forwarded-proto' => 'http');
    is_error($r, 403, undef, 'the answer');
    is($s->get('/Users?filter=userName+eq+%22any%22')->json->{totalResults}, 0, 'nothing was made');
};

subtest 'C-017 what mod_remoteip believes is a forwarding header all the same' => sub {
    is_error($s->get('/Users', 'x-forwarded-for' => '192.0.2.1'), 403, undef, $_) for 'X-Forwarded-For';
    is_error($s->get('/Users', $_ => 'x'), 403, undef, $_) for 'x-forwarded-port', 'x-real-ip', 'via';
};

subtest 'C-011 an inherited SetHandler does not take the endpoint' => sub {
    is_error($s->get('/Nothing'), 404, undef, 'an error is SCIM');
    is($s->get('/Users')->header('content-type'), 'application/scim+json', 'so is a list');
};

subtest 'C-265 a connection is no person, by no redirect' => sub {
    $s->post('/Users', { schemas => ['urn:ietf:params:scim:schemas:core:2.0:User'], userName => 'test' });
    my $r = $s->get($s->url('/scim/v2/whoami'));
    isnt($r->status, 200, 'nobody is shown');
    unlike($r->content, qr/"userName"/, 'not a word');
};

subtest 'C-265 who is let in as one user is shown no other' => sub {
    my @as = (authorization => 'Basic ' . encode_base64('victim:any', ''));
    my ($schema, $me) = ('urn:ietf:params:scim:schemas:core:2.0:User', $s->url('/people/Me'));
    $s->post('/Users', { schemas => [$schema], userName => 'victim', nickName => 'secret' });
    is_error($s->get($me, @as), 403, undef, 'it is the externalId of nobody');
    $s->post('/Users', { schemas => [$schema], userName => 'other', externalId => 'victim' });
    is($s->get($me, @as)->json->{userName}, 'other', 'it is the externalId of another');
};

subtest 'scimctl with closed descriptors leaves the store alone' => sub {
    my $ctl = ($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build") . '/scimctl';
    my $store = "'@{[ $s->store_url ]}'";
    system("$ctl --store $store tenant list <&- >&- 2>&-");
    system("$ctl --store $store token create --tenant default --connection unseen <&- >&- 2>&-");
    my $list = `$ctl --store $store tenant list`;
    is($?, 0, 'it opens');
    like($list, qr/\bdefault\b/, 'and holds what it held');
    is($s->get('/Users')->status, 200, 'the server goes on');
    unlike($s->store_bytes, qr/mscim_[0-9A-Za-z]{49}/, 'no token is in it');
};

$s->allow_log(qr{AH01631: user victim: authorization failure for "/people/Me"});
$s->log_clean;
done_testing();
