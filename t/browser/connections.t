#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The page of an organisation's connections, in a browser, by the keyboard alone.
#
# SHOTS: a directory that gets a picture of each page.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Browser;
use Scim::Httpd;
use Scim::Site;
use Test::More;

my %site = site_args('super');
my $s = Scim::Httpd->new(
    modules => $site{modules}, files => $site{files},
    conf => <<'EOT');
SCIMRole super-admin "Super administrators*"
<Location "/provisioning">
    SetHandler scim-connections
    AuthType Basic
    AuthName Provisioning
    AuthBasicProvider file
    AuthUserFile htdocs/people
    SCIMTenant default
    Require scim-role super-admin
</Location>
EOT
my $super = made($s, '/Users', user('super'));
made($s, '/Groups', group('Super administrators', $super->{id}));
my $b = Scim::Browser->new(headers => { Authorization => { as('super') }->{authorization} });
my $page = $s->url('/provisioning');

sub shot
{
    my ($name) = @_;
    $b->screenshot("$ENV{SHOTS}/$name.png") if $ENV{SHOTS};
}

sub tokens
{
    my ($code, $out, $err) = $s->scimctl('--json', 'token', 'list', '--tenant', 'default');
    die $err if $code;
    return map { $_->{connection} } @{ JSON::PP::decode_json($out) };
}

# What has the focus: its text, or the name of a field.
sub focus
{
    return $b->run('const e = document.activeElement; return e.tagName === "BODY" ? "" : e.getAttribute("aria-label") || e.name || e.textContent.trim()');
}

# Goes from one thing to the next until one of that name has the focus, which can be seen.
sub tab_to
{
    my ($name) = @_;
    for (1 .. 40) {
        $b->press('Tab');
        next if focus() !~ /$name/;
        return $b->run('const s = getComputedStyle(document.activeElement); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2');
    }
    die "the keyboard does not reach $name\n";
}

# Presses what has the focus, and waits for a page with such a heading.
sub follow
{
    my ($heading) = @_;
    $b->press('Enter');
    my $there = $b->wait_for(sub { (eval { $b->text('h1') } // '') =~ /$heading/ });
    return ok($there, "a page \"$heading\"") || diag($b->source);
}

sub whole
{
    my ($name) = @_;
    subtest "$name: each field has a label, nothing is complained of" => sub {
        is($b->count('h1'), 1, 'one heading of the page');
        is($b->run(<<'EOJ'), 0, 'each field has a label');
return [...document.querySelectorAll("input:not([type=hidden]),select")].filter(e => !e.labels.length).length
EOJ
        is($b->run('return document.querySelectorAll("script").length'), 0, 'no script');
        is_deeply([$b->complaints], [], 'the browser complains of nothing');
    };
}

my $token;

subtest 'a connection is made' => sub {
    $b->go($page);
    is($b->text('h1'), 'Connections of default', 'the page');
    whole('the list');
    shot('list');
    ok(tab_to('^connection$'), 'the name, whose focus is seen');
    $b->press('entra-1');
    ok(tab_to('^provider$'), 'the identity provider');
    $b->press('J');
    ok(tab_to('^scope$'), 'the scope');
    ok(tab_to('^expires$'), 'the end');
    ok(tab_to('Make its token'), 'the button');
    follow('The token of entra-1');
    $token = $b->text('#token');
    like($token, qr/^mscim_\w{49}$/, 'shows a token');
    is($s->get('/Users', authorization => "Bearer $token")->status, 200, 'which works');
    like(join(' ', $b->texts('ol')), qr/Test User Email/, 'and where JumpCloud wants it');
    whole('the token');
    shot('token');
};

subtest 'a token is shown once' => sub {
    my @before = tokens();
    eval { $b->reload };
    unlike($b->source, qr/mscim_/, 'not when the page is loaded again');
    like($b->text('[role=alert]'), qr/^This form was sent already/, 'which sends the form again');
    is_deeply([tokens()], \@before, 'which makes none');
    $b->go($page);
    unlike($b->source, qr/mscim_/, 'not in the list');
    eval { $b->back };
    unlike($b->source, qr/\Q$token\E/, 'not behind the button that goes back');
    is_deeply([tokens()], \@before, 'which makes none either');
    is_deeply([grep { !/409/ } $b->complaints], [], 'the browser complains of the status alone');
};

subtest 'it is rotated' => sub {
    $b->go($page);
    ok(tab_to('Rotate entra-1'), 'the link');
    follow('Another token for entra-1');
    whole('the question');
    shot('rotate');
    tab_to('^grace$');
    $b->press('Down');
    tab_to('Make another token');
    follow('The token of entra-1');
    isnt($b->text('#token'), $token, 'another token');
    is($s->get('/Users', authorization => "Bearer $_")->status, 200, 'both work') for $token, $b->text('#token');
    like($b->source, qr/is good until/, 'it says how long the older one is good');
    shot('rotated');
};

subtest 'it is revoked' => sub {
    tab_to('Revoke entra-1');
    follow('Revoke entra-1');
    is($s->get('/Users', authorization => "Bearer $token")->status, 200, 'a question, as yet');
    whole('the question');
    shot('revoke');
    tab_to('Back to the connections');
    follow('Connections of default');
    tab_to('Revoke entra-1, the token that ends in ' . substr $token, -4);
    follow('Revoke entra-1');
    tab_to('Revoke this token');
    follow('Connections of default');
    like($b->text('[role=status]'), qr/entra-1 has no token that ends in \Q@{[ substr $token, -4 ]}\E any more/, 'it says so');
    is($s->get('/Users', authorization => "Bearer $token")->status, 401, 'it is revoked');
    is((grep { $_ eq 'entra-1' } tokens()), 1, 'and nothing else');
    shot('revoked');
};

subtest 'what is wrong is said' => sub {
    # The browser itself lets no such name pass.
    $b->run('document.querySelector("[name=connection]").removeAttribute("pattern")');
    $b->type('[name=connection]', '<b>x</b>');
    $b->click('button');
    like($b->text('[role=alert]'), qr/^Not done: A connection's name is/, 'in words');
    is($b->attribute('[name=connection]', 'value'), '<b>x</b>', 'and what was typed in is there');
    is(focus(), 'connection', 'with the focus on it');
    is($b->count('b'), 0, 'as text');
    is_deeply([grep { !/400/ } $b->complaints], [], 'the browser complains of the status alone');
    shot('wrong');
};

subtest 'on a phone, and in the dark' => sub {
    $b->size(360, 780, 1);
    my $longest = 'x' x 64;
    $s->new_token(connection => $longest);
    $b->go($page);
    is($b->overflow, 0, 'the list is as wide as the phone');
    shot('phone');
    $b->type('[name=connection]', 'phone');
    $b->click('button');
    like($b->text('h1'), qr/The token of phone/, 'a connection is made');
    is($b->overflow, 0, 'nor is the token wider');
    shot('phone-token');
    $b->go("$page?rotate=$longest");
    is($b->overflow, 0, 'nor a question');
    $b->go("$page?revoke=$longest");
    is($b->overflow, 0, 'nor another');
    $b->size(1200, 900, 0);
    $b->dark(1);
    $b->go($page);
    is($b->run('return getComputedStyle(document.body).backgroundColor'), 'rgb(13, 17, 23)', 'dark where that is preferred');
    shot('dark');
};

$s->expect_log(qr/SCIM1702: .*connection entra-1/);
$s->log_clean;
done_testing();
