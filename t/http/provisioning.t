#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The page on which an organisation's own administrators see to its connections:
# who may see it, what can be done there, and that nobody does it in their name.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Scim::Tls;
use Test::More;

my $EVIL = '"><script>alert(1)</script>';
my @people = ('super', 'other-super', 'plain', 'disabled', 'of-beta', $EVIL);
my %site = site_args(@people);

# A section with the page, people logged in by Basic.
sub page_at
{
    my ($path, @directives) = @_;
    return join "\n", qq{<Location "$path">}, map({ "    $_" } 'SetHandler scim-connections', 'AuthType Basic', 'AuthName Provisioning',
        'AuthBasicProvider file', 'AuthUserFile htdocs/people', 'AuthzSendForbiddenOnFailure On', @directives), "</Location>\n";
}

my $may = 'Require scim-role super-admin';
my $conf = join '', map { "$_\n" } 'LogLevel trace8', 'SCIMAuditLog audit_log', 'SCIMRole super-admin "Super administrators*"',
    page_at('/provisioning', 'SCIMTenant acme', $may),
    page_at('/beta', 'SCIMTenant beta', $may),
    page_at('/anyone', 'SCIMTenant acme', 'Require valid-user'),
    page_at('/anyone-beta', 'SCIMTenant beta', 'Require valid-user'),
    page_at('/no-tenant', 'Require valid-user'),
    page_at('/unknown-tenant', 'SCIMTenant nobody', 'Require valid-user'),
    page_at('/granted', 'SCIMTenant acme', 'Require all granted'),
    '<Location "/no-require">', 'SetHandler scim-connections', 'SCIMTenant acme', '</Location>',
    '<Location "/bearer">', 'SetHandler scim-connections', 'SCIMTenant acme', 'AuthType Bearer', 'AuthName x', 'Require valid-user', '</Location>',
    page_at('^/each/(?<TENANT>[^/]+)$', 'SCIMTenant %{env:MATCH_TENANT}', $may) =~ s/(<.?Location)/$1Match/gr,
    '<Location "/tls">', 'SetHandler scim-connections', 'SCIMTenant acme', 'Require all denied', '</Location>';
my $s = Scim::Httpd->new(start => 0, modules => $site{modules}, files => $site{files}, conf => $conf);
for my $tenant (qw(acme beta)) {
    my ($code) = $s->scimctl('tenant', 'create', $tenant);
    die "no tenant $tenant\n" if $code;
}
my %token = map { $_ => $s->new_token(tenant => $_, connection => 'setup') } qw(acme beta);
my %log_in = map { my ($name) = $_; $name => { as($name) } } @people;
$s->start;

sub as_tenant { return (authorization => "Bearer $token{$_[0]}") }
for my $tenant (qw(acme beta)) {
    my %ids = map { $_ => made($s, '/Users', user($_), as_tenant($tenant))->{id} } $tenant eq 'acme' ? grep { $_ ne 'of-beta' && $_ ne $EVIL } @people : 'of-beta';
    made($s, '/Groups', group('Super administrators', grep { defined } @ids{qw(super other-super disabled of-beta)}), as_tenant($tenant));
    $s->patch("/Users/$ids{disabled}", ops(['replace', 'active', JSON::PP::false]), as_tenant($tenant)) if $ids{disabled};
}

sub look
{
    my ($path, $who, %headers) = @_;
    return $s->get($s->url($path), $who ? %{ $log_in{$who} } : (authorization => undef), %headers);
}

sub seal_of
{
    my ($r) = @_;
    my ($seal) = $r->content =~ /name="seal" value="([0-9a-f]+)"/;
    return $seal // 'none';
}

sub encode_form
{
    my (@fields) = @_;
    my @pairs;
    while (my ($name, $value) = splice @fields, 0, 2) {
        push @pairs, esc($name) . '=' . esc($value);
    }
    return join '&', @pairs;
}

# Sends a form, filled in on a page just looked at unless there is a seal in it.
sub submit
{
    my ($path, $who, $fields, %headers) = @_;
    my %fields = %$fields;
    $fields{seal} //= seal_of(look($path, $who)) if !exists $fields{seal};
    delete $fields{seal} if !defined $fields{seal};
    return $s->post($s->url($path), encode_form(map { $_ => $fields{$_} } sort keys %fields), %{ $log_in{$who} },
        'content-type' => 'application/x-www-form-urlencoded', %headers);
}

sub new_connection
{
    my ($name, %more) = @_;
    return { act => 'create', connection => $name, provider => 'entra', scope => 'read,write', expires => '365d', %more };
}

my $audited = 0;

# The lines that the audit log got since.
sub audit
{
    my @lines = grep { ($_->{op} // '') =~ /^token/ } map { JSON::PP::decode_json($_) } split /\n/, slurp($s->dir . '/audit_log');
    my @new = @lines[$audited .. $#lines];
    $audited = @lines;
    return @new;
}

# "connection hint scope", of the store itself.
sub tokens
{
    my ($tenant) = @_;
    my ($code, $out, $err) = $s->scimctl('--json', 'token', 'list', '--tenant', $tenant);
    die $err if $code;
    return @{ JSON::PP::decode_json($out) };
}

sub count_of { return scalar tokens($_[0]) }

# One test: refused, in words, and nothing has changed.
sub refused
{
    my ($r, $status, $words, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @problems;
    push @problems, 'the status is ' . $r->status if $r->status != $status;
    push @problems, 'the words are ' . $r->content if $r->content !~ $words;
    push @problems, 'it is no page of ours' if ($r->header('content-security-policy') // '') !~ /default-src 'none'/;
    push @problems, 'there is a token in it' if $r->content =~ /mscim_/;
    return ok(!@problems, $name) || diag(join "\n", @problems);
}

my @shown; # tokens

sub shown
{
    my ($r) = @_;
    my ($token) = $r->content =~ /(mscim_\w{49})/;
    push @shown, $token // ();
    return $token // '';
}

subtest 'who may' => sub {
    is(look('/provisioning', undef)->status, 401, 'who is not logged in is asked to');
    is(look('/provisioning', 'super')->status, 200, 'a super administrator may');
    is(look('/provisioning', $_)->status, 403, "$_ may not") for 'plain', 'disabled', 'of-beta', $EVIL;
    is(look('/beta', 'of-beta')->status, 200, "another tenant's may, of that tenant");
    is(look('/beta', 'super')->status, 403, 'and nobody else');
    is(look("/each/$$_[0]", $$_[1])->status, $$_[2], "$$_[1] at the page of $$_[0] in a LocationMatch")
        for ['acme', 'super', 200], ['acme', 'of-beta', 403], ['beta', 'super', 403], ['beta', 'of-beta', 200], ['other', 'super', 403];
    like(look('/each/beta', 'of-beta')->content, qr/<h1>Connections of beta</, 'which is that of its tenant');
    for my $tenant (qw(acme beta)) {
        for my $path ('/provisioning', '/anyone', '/bearer', '/granted', '/no-require') {
            my $r = $s->get($s->url($path), as_tenant($tenant));
            like($r->status, qr/^40[13]$/, "a token of $tenant does not open $path");
        }
        my $r = $s->post($s->url('/bearer'), encode_form(%{ new_connection('x') }), as_tenant($tenant), 'content-type' => 'application/x-www-form-urlencoded');
        refused($r, 403, qr/not set up/, 'nor does it change anything');
    }
    for my $method (qw(PUT DELETE PATCH OPTIONS PROPFIND)) {
        my $r = $s->request($method, $s->url('/provisioning'), undef, %{ $log_in{super} });
        refused($r, 405, qr/takes GET, HEAD and POST/, $method);
        is($r->header('allow'), 'GET, HEAD, POST', 'Allow');
    }
    my $r = $s->request('HEAD', $s->url('/provisioning'), undef, %{ $log_in{super} });
    is($r->status . $r->content, '200', 'HEAD');
};

subtest 'a configuration that lets anybody in lets nobody in' => sub {
    refused(look('/no-require', undef), 403, qr/not set up/, 'without AuthType and Require');
    refused(look('/no-require', 'super'), 403, qr/not set up/, 'whatever is sent');
    refused(look('/granted', 'super'), 403, qr/not set up/, 'Require all granted');
    refused(look('/bearer', 'super'), 403, qr/not set up/, 'AuthType Bearer');
    $s->expect_log(qr/SCIM1801: SetHandler scim-connections: nobody was asked to log in, so nobody may see .*Require scim-role super-admin/);
    $s->expect_log(qr/SCIM1801: .*nobody can log in, so nobody may see/);
    is(scalar(grep { /SCIM1801.*was asked/ } $s->error_log), 1, 'which the error log says once a minute');
    refused(look('/no-tenant', 'super'), 500, qr/does not know whose/, 'without SCIMTenant');
    $s->expect_log(qr/SCIM1803: SetHandler scim-connections: no SCIMTenant says whose/);
    refused(look('/unknown-tenant', 'super'), 404, qr/no organisation of this name/, 'a tenant that is not there');
    $s->expect_log(qr/SCIM1802: .*there is no tenant "nobody".*scimctl tenant create/);
    refused(look('/tls', undef, 'x-forwarded-for' => '192.0.2.1'), 403, qr/over HTTPS only/, 'plain HTTP, before anybody is asked');
};

subtest 'headers' => sub {
    my $r = look('/provisioning', 'super');
    is($r->header('cache-control'), 'no-store', 'nobody keeps it');
    like($r->header('content-security-policy'), qr/default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/, 'no script, no frame');
    unlike($r->content, qr{<script|<link|<img|\son\w+=|\bsrc=|https?://(?!127\.0\.0\.1)}i, 'nothing from elsewhere in it');
    is($r->header('x-content-type-options'), 'nosniff', 'nosniff');
    like($r->content, qr{<html lang="en">.*<h1>Connections of acme</h1>.*<caption>.*<th scope="col">.*<label>}s, 'headings, a caption, labels');
    is(scalar(() = $r->content =~ /<h1/g), 1, 'one h1');
    like($r->content, qr{<th scope="row">setup</th>.*<code>\Q@{[ substr $token{acme}, -4 ]}\E</code>.*read and write.*valid}s, 'the connection');
    unlike($r->content, qr/\Q@{[ substr $token{beta}, -4 ]}\E/, "not another tenant's");
};

subtest 'a life' => sub {
    my $r = submit('/provisioning', 'super', new_connection('jumpcloud-1', provider => 'jumpcloud', scope => 'read', expires => '90d'));
    is($r->status, 200, 'a connection is made');
    is($r->header('cache-control'), 'no-store', 'in an answer that nobody keeps');
    my $token = shown($r);
    like($r->content, qr{<dt>Tenant URL</dt><dd><code class="whole">\Q@{[ $s->base ]}\E</code></dd>\s*<dt>Secret Token</dt><dd><code class="whole" id="token">mscim_\w{49}</code>}, 'Tenant URL and Secret Token');
    is(scalar(() = $r->content =~ /mscim_/g), 1, 'once');
    like($r->content, qr{tab Identity Management:.*<dt>Base URL</dt><dd>the Tenant URL above, without a slash at its end</dd>.*<dt>Token Key</dt>.*deactivate the integration}s, 'where to type them in');
    is($s->get('/Users', authorization => "Bearer $token")->status, 200, 'the token works');
    is($s->post('/Users', user('x'), authorization => "Bearer $token")->status, 403, 'within its scope');
    my ($listed) = grep { $_->{connection} eq 'jumpcloud-1' } tokens('acme');
    is($listed->{hint}, substr($token, -4), 'it is in the store');
    is($listed->{scope}, 'read', 'with its scope');
    my ($year, $month, $day) = (gmtime(time + 90 * 86400))[5, 4, 3];
    like($listed->{expires}, qr/^@{[ sprintf '%04d-%02d-%02d', $year + 1900, $month + 1, $day ]}/, 'and its end');
    my ($line) = audit();
    is_deeply([@$line{qw(op tenant connection client user hint)}], ['token.create', 'acme', 'jumpcloud-1', '127.0.0.1', 'super', substr $token, -4], 'the audit log tells of it');
    ok($s->wait_access(qr{"POST /provisioning" 200 .* tenant=acme connection=jumpcloud-1 op=token.create }), 'so does the access log');
    unlike(look('/provisioning', 'super')->content, qr/mscim_/, 'the token is shown nowhere again');

    $r = look('/provisioning?rotate=jumpcloud-1', 'super');
    is($r->status, 200, 'a page to rotate it');
    $r = submit('/provisioning', 'super', { act => 'rotate', connection => 'jumpcloud-1', provider => '', expires => 'never', grace => '7d', seal => seal_of($r) });
    is($r->status, 200, 'it is rotated');
    my $next = shown($r);
    isnt($next, $token, 'another token');
    like($r->content, qr{<dt>Expires</dt><dd>never</dd>.*ends in <code>\Q@{[ substr $token, -4 ]}\E</code> is good until <time}s, 'and what becomes of the old one');
    unlike($r->content, qr/Identity Management/, 'no steps for another provider');
    is($s->get('/Users', authorization => "Bearer $_")->status, 200, 'both work') for $token, $next;
    is($s->post('/Users', user('x'), authorization => "Bearer $next")->status, 403, 'the scope is the same');
    ($line) = audit();
    is_deeply([@$line{qw(op connection user hint)}], ['token.rotate', 'jumpcloud-1', 'super', substr $next, -4], 'the audit log tells of it');

    my $hint = substr $token, -4;
    $r = look("/provisioning?revoke=jumpcloud-1&hint=$hint", 'super');
    like($r->content, qr{cannot be had back.*name="hint" value="$hint".*Revoke this token}s, 'a question before it is revoked');
    is($s->get('/Users', authorization => "Bearer $token")->status, 200, 'which does nothing yet');
    $r = submit('/provisioning', 'other-super', { act => 'revoke', connection => 'jumpcloud-1', hint => $hint });
    is($r->status, 303, 'it is revoked');
    is($r->header('location'), "?revoked=jumpcloud-1&hint=$hint", 'and the list shown');
    like(look('/provisioning' . $r->header('location'), 'super')->content, qr{role="status">Connection jumpcloud-1 has no token that ends in <code>$hint</code> any more}, 'which says so');
    is($s->get('/Users', authorization => "Bearer $token")->status, 401, 'it works no more');
    is($s->get('/Users', authorization => "Bearer $next")->status, 200, 'the other one does');
    ($line) = audit();
    is_deeply([@$line{qw(op connection user hint)}], ['token.revoke', 'jumpcloud-1', 'other-super', $hint], 'the audit log tells who did it');
    unlike(look('/provisioning?revoked=jumpcloud-1', 'super')->content, qr/role="status"/, 'a link that says what is not so is not believed');

    $r = submit('/provisioning', 'super', { act => 'revoke', connection => 'jumpcloud-1' });
    is($r->header('location'), '?revoked=jumpcloud-1', 'the whole connection');
    is($s->get('/Users', authorization => "Bearer $next")->status, 401, 'no token of it works');
    ($line) = audit();
    is($line->{hint}, undef, 'the audit log tells of all of them');
    refused(submit('/provisioning', 'super', { act => 'revoke', connection => 'jumpcloud-1' }), 404, qr/no such token/, 'once more: not there');
    refused(look('/provisioning?rotate=jumpcloud-1', 'super'), 404, qr/no such token/, 'nothing to rotate');
    refused(submit('/provisioning', 'super', { act => 'revoke', connection => 'setup', hint => substr $token{beta}, -4 }), 404, qr/no such token/, "another tenant's token is not there");
    is($s->get('/Users', as_tenant('beta'))->status, 200, 'and stays');
    is_deeply([audit()], [], 'nothing done, nothing told');
};

subtest 'forms that others have made' => sub {
    my $before = count_of('acme');
    my $form = new_connection('forged');
    my $not_given = qr/not one that you were given/;
    refused(submit('/provisioning', 'super', { %$form, seal => undef }), 403, $not_given, 'without a seal');
    refused(submit('/provisioning', 'super', { %$form, seal => '' }), 403, $not_given, 'an empty one');
    refused(submit('/provisioning', 'super', { %$form, seal => 'x' x 112 }), 403, $not_given, 'nonsense');
    my $seal = seal_of(look('/provisioning', 'super'));
    (my $altered = $seal) =~ tr/0-9a-f/1-9a-f0/;
    refused(submit('/provisioning', 'super', { %$form, seal => $altered }), 403, $not_given, 'an altered one');
    refused(submit('/provisioning', 'super', { %$form, seal => uc $seal }), 403, $not_given, 'in other letters') if uc $seal ne $seal;
    refused(submit('/provisioning', 'other-super', { %$form, seal => $seal }), 403, $not_given, "another user's");
    refused(submit('/anyone-beta', 'super', { %$form, seal => $seal }), 403, $not_given, "another tenant's");
    for my $site (qw(cross-site same-site)) {
        refused(submit('/provisioning', 'super', { %$form, seal => $seal }, 'sec-fetch-site' => $site), 403, qr/from another site/, "Sec-Fetch-Site: $site");
    }
    for my $origin ('https://evil.example.com', 'null', 'http://127.0.0.1', 'http://127.0.0.1:' . ($s->port + 1), 'http://127.0.0.1:' . $s->port . '.evil.example.com') {
        refused(submit('/provisioning', 'super', { %$form, seal => $seal }, origin => $origin), 403, qr/from another site/, "Origin: $origin");
    }
    is(count_of('acme'), $before, 'nothing was made');
    is_deeply([audit()], [], 'nothing told');
    my $own = submit('/provisioning', 'super', { %$form, seal => $seal }, origin => 'http://127.0.0.1:' . $s->port);
    is($own->status, 200, 'the same form from here is taken');
    shown($own);
    refused(submit('/provisioning', 'super', { %$form, seal => $seal }), 409, qr/sent already/, 'once');
    my $fetched = submit('/provisioning', 'super', { act => 'revoke', connection => 'forged' }, 'sec-fetch-site' => 'same-origin', origin => 'null');
    is($fetched->status, 303, 'what the browser knows to be from here');
    audit();
};

subtest 'what is no form of the page' => sub {
    my $before = count_of('acme');
    my %type = ('content-type' => 'application/x-www-form-urlencoded');
    my $send = sub {
        my ($body, %headers) = @_;
        return $s->post($s->url('/provisioning'), $body, %{ $log_in{super} }, %type, %headers);
    };
    my $seal = sub { seal_of(look('/provisioning', 'super')) };
    my $good = encode_form(%{ new_connection('x') });
    refused($send->("$good&seal=" . $seal->(), 'content-type' => $_), 415, qr/sent as application/, 'as ' . ($_ // 'nothing'))
        for 'text/plain', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded2', undef;
    refused($send->($_ . '&seal=' . $seal->()), 400, qr/no form of this page/, $_)
        for "$good&extra=1", "$good&scope=read", 'act', "$good&x%zz=1", "connection=a%00b&act=create", "connection=a%0ab&act=create", "act=create&connection=%ff", "=1";
    refused($send->($good =~ s/read%2Cwrite/admin/r . '&seal=' . $seal->()), 400, qr/none of what can be chosen/, 'a scope that there is not');
    refused($send->($good =~ s/365d/36500d/r . '&seal=' . $seal->()), 400, qr/none of what can be chosen/, 'a life that there is not');
    refused($send->($good =~ s/entra/evil/r . '&seal=' . $seal->()), 400, qr/none of what can be chosen/, 'a provider that there is not');
    refused($send->('act=delete&seal=' . $seal->()), 400, qr/none of what can be chosen/, 'an act that there is not');
    refused($send->(''), 403, qr/not one that you were given/, 'nothing at all');
    refused($send->('x' x 65537), 413, qr/larger than any form/, 'more than 64 KiB');
    refused($s->raw(join "\r\n", 'POST /provisioning HTTP/1.1', 'Host: x', "Authorization: $log_in{super}{authorization}", 'Content-Type: application/x-www-form-urlencoded',
        'Transfer-Encoding: chunked', 'Connection: close', '', map({ ('4000', 'y' x 16384) } 1 .. 8), '0', '', ''), 413, qr/larger than any form/, 'in chunks of unknown length');
    refused($send->($good . '&seal=' . ('y' x 65000)), 403, qr/not one that you were given/, 'as much as is read');
    refused(look('/provisioning?x=1', 'super'), 400, qr/no form of this page/, 'a query that is none of its');
    is(count_of('acme'), $before, 'nothing was made');
    is_deeply([audit()], [], 'nothing told');
};

subtest 'names' => sub {
    my $before = count_of('acme');
    for my $name ('', ' ', 'a b', 'a/b', "caf\x{e9}", 'x' x 65, '../x', '<b>x</b>', $EVIL, q{' onfocus='alert(1)}, '&lt;script&gt;', "\x{202e}abc", 'javascript:alert(1)//%3Cscript%3E') {
        my $r = submit('/provisioning', 'super', new_connection($name));
        my $shown = $name =~ s/[^ -~]/?/gr;
        is($r->status, 400, "refused: $shown");
        unlike($r->content, qr/<script|<b>|' onfocus|value="[^"]*"[^">]*script/, 'and shown as text');
    }
    my $r = submit('/provisioning', 'super', new_connection('a b', provider => 'okta', scope => 'write'));
    like($r->content, qr{role="alert">.*A connection&#39;s name is.*aria-invalid="true".*value="a b".*value="okta" selected.*value="write" selected}s, 'what was typed in is there still')
        or diag($r->content);
    $r = submit('/provisioning', 'super', new_connection('setup'));
    is($r->status, 409, 'a name that is taken');
    like($r->content, qr/a connection of this name already/, 'in words');
    is(count_of('acme'), $before, 'nothing was made');
    for my $path ('?rotate=', '?revoke=', '?revoked=', '?revoke=setup&hint=') {
        unlike(look('/anyone' . $path . esc($EVIL), 'super')->content, qr/<script/, "markup behind $path");
    }
    $r = look('/anyone', $EVIL);
    like($r->content, qr/logged in as &quot;&gt;&lt;script&gt;alert\(1\)&lt;\/script&gt;\./, 'a user whose name is markup');
    unlike($r->content, qr/<script/, 'is a name');
    $r = submit('/anyone', $EVIL, new_connection('by-evil'));
    shown($r);
    is($r->status, 200, 'whose forms are its own');
    is((audit())[-1]{user}, $EVIL, 'and whom the audit log names');
};

subtest 'a form that was made before a restart' => sub {
    my $seal = seal_of(look('/provisioning', 'super'));
    my $used = seal_of(look('/provisioning', 'super'));
    shown(submit('/provisioning', 'super', new_connection('before', seal => $used)));
    $s->graceful;
    shown(submit('/provisioning', 'super', new_connection('after', seal => $seal)));
    is($s->get('/Users', authorization => "Bearer $shown[-1]")->status, 200, 'serves after it');
    refused(submit('/provisioning', 'super', new_connection('again', seal => $used)), 409, qr/sent already/, 'one that has served does not');
    is((grep { $_->{connection} =~ /^(?:before|after|again)$/ } tokens('acme')), 2, 'two tokens were made');
    $seal = seal_of(look('/provisioning', 'super'));
    $s->stop;
    $s->start;
    refused(submit('/provisioning', 'super', new_connection('late', seal => $seal)), 403, qr/started anew/, 'after a stop it does not, and is told why');
};

subtest 'as many as are reasonable' => sub {
    my $r;
    my $many = 200 - count_of('acme');
    $s->new_token(tenant => 'acme', connection => "many-$_") for 1 .. $many;
    $r = submit('/provisioning', 'super', new_connection('one-more'));
    is($r->status, 409, 'one more is refused');
    like($r->content, qr/There are 200 tokens already/, 'in words');
    $r = submit('/provisioning', 'super', { act => 'rotate', connection => 'setup', provider => '', expires => '90d', grace => 'never' });
    is($r->status, 409, 'so is a rotation');
    is(submit('/provisioning', 'super', { act => 'revoke', connection => 'many-1' })->status, 303, 'but for what is revoked');
} if $ENV{LONG};

subtest 'a suspended organisation' => sub {
    $s->scimctl('tenant', 'suspend', 'acme');
    my $r = look('/provisioning', 'super');
    like($r->content, qr/Suspended\..*Provisioning is turned off for this organisation/s, 'is shown to be');
    $s->scimctl('tenant', 'resume', 'acme');
    unlike(look('/provisioning', 'super')->content, qr/Suspended/, 'and no more');
};

subtest 'a store that takes no changes' => sub {
    my $seal = seal_of(look('/provisioning', 'super'));
    my $before = count_of('acme');
    $s->write_conf(conf => "SCIMReadOnly On\n$conf");
    $s->graceful;
    my $r = look('/provisioning', 'super');
    like($r->content, qr/Read-only\..*<button disabled>/s, 'says so');
    $r = submit('/provisioning', 'super', new_connection('x', seal => $seal));
    refused($r, 503, qr/takes no changes at the moment/, 'and refuses them');
    ok($r->header('retry-after'), 'for now');
    is(count_of('acme'), $before, 'nothing was made');
    $s->write_conf(conf => $conf);
};

subtest 'no store' => sub {
    $s->spoil_store;
    $s->graceful;
    my $r = look('/anyone', 'super');
    refused($r, 503, qr/directory is not available/, 'is told');
    $s->expect_log(qr/SCIM1302/);
    $s->allow_log(qr/SCIM130|SCIM1403/);
    $s->mend_store;
    $s->graceful;
    is(look('/provisioning', 'super')->status, 200, 'until it is there again');
};

subtest 'no secret stays anywhere' => sub {
    cmp_ok(scalar @shown, '>', 4, 'some tokens were shown');
    $s->stop;
    my %text = map { $_ => slurp($_) } map { $s->dir . "/$_" } qw(error_log access_log audit_log stderr);
    $text{store} = $s->store_bytes;
    # What a client sends, httpd itself logs at this level.
    s/^.*\[http:trace4\].* Authorization: .*\n//mg for values %text;
    for my $file (sort keys %text) {
        my ($name) = $file =~ m{([^/]+)$};
        my ($found) = grep { index($text{$file}, $_) >= 0 } @shown;
        is($found, undef, "in $name") or diag(grep { /\Q$found\E/ } split /^/, $text{$file});
    }
    like($text{ $s->dir . '/error_log' }, qr/:trace[3-8]\]/, 'though all that there is was logged');
};

$s->expect_log(qr/SCIM1314: SCIMTenant nobody/, qr/SCIM1807: SetHandler scim-connections at line \d+ of .*: no SCIMTenant/, qr/SCIM1702: .*connection jumpcloud-1/);
$s->allow_log(qr/AH01631: user|AH01614: client used wrong|AH01630: client denied/);
$s->log_clean;

subtest 'configtest' => sub {
    my $page = page_at('/page/', $may);
    my $all = '<Location "/">' . "\nSCIMTenant default\n</Location>\n";
    for my $case (
        ['without SCIMTenant', 1, $page], ['in its section', 0, page_at('/page', 'SCIMTenant default', $may)], ['in one around', 0, $all . $page],
        ['at server level', 0, "SCIMTenant default\n$page"], ['in one beside', 1, $page . page_at('/pages', 'SCIMTenant default', $may)],
        ['in a virtual host', 0, "<VirtualHost 127.0.0.1:1>\nSCIMTenant default\n$page</VirtualHost>"],
        ['in another virtual host', 1, "<VirtualHost 127.0.0.1:1>\nSCIMTenant default\n</VirtualHost>\n<VirtualHost 127.0.0.1:2>\n$page</VirtualHost>"],
    ) {
        my ($name, $told, $text) = @$case;
        my ($code, $out) = Scim::Httpd->configtest(modules => $site{modules}, files => $site{files}, conf => "SCIMRole super-admin x\n$text");
        is($code . ($out =~ /SCIM1807: SetHandler scim-connections at line \d+/ ? ' told' : ''), $told ? '0 told' : '0', $name) or diag($out);
    }
};

subtest 'conf/examples/connections.conf' => sub {
    my $t = Scim::Httpd->new(modules => $site{modules}, tenant => 'acme', conf => join "\n", 'SCIMAuditLog audit_log', 'SCIMPasswordSync On',
        'SCIMRole super-admin "Super administrators"', 'Define APACHE_LOG_DIR .', "Include $FindBin::Bin/../../conf/examples/connections.conf");
    my $anna = made($t, '/Users', user('anna', active => JSON::PP::true, password => 'secret'));
    made($t, '/Users', user('bert', active => JSON::PP::true, password => 'secret'));
    made($t, '/Groups', group('Super administrators', $anna->{id}));
    my $page = $t->url('/provisioning');
    my $r = $t->get($page, as('anna'));
    is($r->status, 200, 'a super administrator may');
    is($t->get($page, as('bert'))->status, 401, 'another user may not');
    $r = $t->post($page, encode_form(%{ new_connection('entra') }, seal => seal_of($r)), as('anna'), 'content-type' => 'application/x-www-form-urlencoded');
    is($r->status, 200, 'a connection is made');
    is($t->get('/Users', authorization => 'Bearer ' . shown($r))->status, 200, 'its token works');
    like(slurp($t->dir . '/audit_log'), qr/"user":"anna".*"op":"token[.]create"/, 'the audit log tells of it');
    my $line = Scim::Httpd::_wait_line(sub { split /\n/, slurp($t->dir . '/scim.log') }, qr/op=token[.]create/);
    like($line, qr{"POST /provisioning" 200 .* connection=entra }, 'so does a log of its own');
    $t->allow_log(qr/AH01631/);
    $t->log_clean;
};

subtest 'where the endpoint is another httpd' => sub {
    my $t = Scim::Httpd->new(modules => $site{modules}, files => $site{files}, locations => '', conf => page_at('/provisioning', 'SCIMTenant default', 'Require valid-user'));
    my ($url, @in) = ($t->url('/provisioning'), %{ $log_in{plain} });
    my $seal = seal_of($t->get($url, @in));
    my $send = sub { return $t->post($url, encode_form(%{ new_connection($_[0]) }, seal => $seal), @in, 'content-type' => 'application/x-www-form-urlencoded') };
    is($send->('one')->status, 200, 'tokens are made there, too');
    is($send->('two')->status, 409, 'and a form serves once');
    $t->log_clean;
};

subtest 'over TLS' => sub {
    my $tls = Scim::Tls->new;
    my $t = Scim::Httpd->new(modules => [@{ $site{modules} }, 'ssl', 'socache_shmcb'], files => $site{files}, start => 0,
        conf => 'SCIMRole super-admin "Super*"' . "\n" . $tls->host('SSLVerifyClient optional', '<Location "/cert">', 'SetHandler scim-connections',
        'SSLUserName SSL_CLIENT_S_DN_CN', 'SCIMTenant default', 'Require scim-role super-admin', '</Location>', '<Location "/any-cert">',
        'SetHandler scim-connections', 'SSLUserName SSL_CLIENT_S_DN_CN', 'SCIMTenant default', 'Require all granted', '</Location>'));
    $tls->certificate($_, subject => "/CN=$_") for qw(anna bert);
    $t->start;
    my $anna = made($t, '/Users', user('anna'));
    made($t, '/Users', user('bert'));
    made($t, '/Groups', group('Super', $anna->{id}));
    my $get = sub { $tls->get($t, $_[0], cert => $_[1], headers => { authorization => undef }) };
    my $r = $get->('/cert', 'anna');
    is($r->status, 200, 'a super administrator with a certificate');
    like($r->content, qr/logged in as anna\./, 'by its name');
    is($get->('/cert', 'bert')->status, 403, 'another one');
    is($get->('/any-cert', 'anna')->status, 403, 'a certificate does not make up for Require');
    $t->expect_log(qr/SCIM1801: .*Require lets in whoever asks, so nobody may see/);
    $t->allow_log(qr/AH0163[01]/);
    $t->log_clean;
};

done_testing();
