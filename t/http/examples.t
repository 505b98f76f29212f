#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The files of conf/examples: each is a configuration as it stands, and
# protect-site.conf, the one that no other test runs under, does what it says,
# with a backend of its own behind it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Scim::Body;
use Scim::Httpd;
use Scim::Tls;
use Test::More;

my $EXAMPLES = "$FindBin::Bin/../../conf/examples";
my @modules = qw(auth_basic proxy proxy_http);

subtest 'each file is a configuration' => sub {
    my %files = ('../logs/none' => '', map { m{([^/]+)$}; ("../scim/$1" => slurp($_)) } glob "$EXAMPLES/*.json");
    my @examples = glob "$EXAMPLES/*.conf";
    # What they say is to stand at server level.
    my $elsewhere = qq{SCIMPasswordSync On\nSCIMRole super-admin "Super administrators"};
    cmp_ok(scalar @examples, '>', 2, 'there are some');
    for my $file (@examples) {
        my ($name) = $file =~ m{([^/]+)$};
        for my $define ('', 'Define SITE_OPENIDC') {
            my ($code, $out) = Scim::Httpd->configtest(
                conf => "Define APACHE_LOG_DIR logs\n$elsewhere\n$define\nInclude $file\n", locations => '', modules => \@modules, files => \%files);
            is($code, 0, $name . ($define && " with $define")) or diag($out);
            unlike($out, qr/not defined|:warn\]/, 'and nothing is missing');
        }
    }
};

# A site under protect-site.conf, at /site, whose backend is at /backend of the
# same server and tells what it was sent.  $openidc: people log in by what stands
# for mod_auth_openidc.
sub site
{
    my ($openidc, @more) = @_;
    my $s = Scim::Httpd->new(
        start => 0,
        modules => [@modules, $openidc ? 'lua' : ()],
        files => { map { ("backend/$_" => "behind\n") } qw(index.txt admin/index.txt) },
    );
    open my $out, '>', $s->dir . '/login.lua' or die "login.lua: $!\n";
    # What mod_auth_openidc does, as far as others see it.
    print $out <<'EOL';
function login(r)
    local login = r.headers_in["X-Login"]
    if login == nil then return 401 end
    r.user = login
    return apache2.OK
end
EOL
    close $out;
    my @login = ('Define SITE_OPENIDC', '<Location "/site">', "    LuaHookCheckUserID @{[ $s->dir ]}/login.lua login", '</Location>');
    $s->write_conf(conf => join "\n", "Define SITE_BACKEND @{[ $s->url('/backend') ]}", $openidc ? @login : (), "Include $EXAMPLES/protect-site.conf",
        '<Location "/backend">',
        '    Header always set X-Seen "expr=user=%{HTTP:X-User} groups=%{HTTP:X-Groups} forged=%{HTTP:X_User}%{HTTP:X_Groups} login=%{HTTP:Authorization}"',
        '</Location>', @more);
    return $s->start;
}

my $yes = JSON::PP::true;

subtest 'passwords that the identity provider sent' => sub {
    my $s = site(0, 'SCIMPasswordSync On');
    my $anna = made($s, '/Users', user('anna@example.com', active => $yes, password => 'correct horse'));
    my $bert = made($s, '/Users', user('bert@example.com', active => $yes, password => 'battery staple'));
    made($s, '/Groups', group('Site administrators', $anna->{id}));
    made($s, '/Groups', group('A, B & 100%', $bert->{id}));
    my $as = sub {
        my ($who, $path, %headers) = @_;
        return $s->get($s->url("/site$path"), authorization => defined $who ? 'Basic ' . encode_base64($who, '') : undef, %headers);
    };
    my ($one, $other) = ('anna@example.com:correct horse', 'bert@example.com:battery staple');
    my $r = $as->(undef, '/index.txt');
    is($r->status, 401, 'without a login: 401');
    like($r->header('www-authenticate'), qr/^Basic realm="The site"/, 'which asks for one');
    is($as->('anna@example.com:wrong', '/index.txt')->status, 401, 'a wrong password: 401');
    is($as->('nobody@example.com:correct horse', '/index.txt')->status, 401, 'nobody: 401');
    $r = $as->($one, '/index.txt');
    is($r->status . $r->content, "200behind\n", 'a user reaches the backend');
    is($r->header('x-seen'), 'user=anna@example.com groups=Site administrators forged= login=', 'which is told who it is, and no password');
    $r = $as->($other, '/index.txt', 'x-user' => 'anna@example.com', 'x_user' => 'anna@example.com', 'x-groups' => 'Site administrators', 'x_groups' => 'x');
    is($r->header('x-seen'), 'user=bert@example.com groups=A%2C B & 100%25 forged= login=', 'whatever a client says');
    is($as->($one, '/admin/index.txt')->status, 200, 'a member of the group is let further in');
    is($as->($other, '/admin/index.txt')->status, 401, 'another is asked for another login');
    changed($s, "/Users/$anna->{id}", ['replace', 'active', JSON::PP::false]);
    is($as->($one, '/index.txt')->status, 401, 'who is disabled is out with the next request');
    $s->delete("/Users/$bert->{id}");
    is($as->($other, '/index.txt')->status, 401, 'so is who is deleted');
    $s->allow_log(qr/AH0161[78]|AH01631/);
    $s->log_clean;
};

subtest 'single sign-on in front' => sub {
    my $s = site(1);
    my $anna = made($s, '/Users', user('anna@example.com', active => $yes));
    made($s, '/Users', user('bert@example.com', active => $yes));
    made($s, '/Groups', group('Site administrators', $anna->{id}));
    my $as = sub {
        my ($who, $path) = @_;
        return $s->get($s->url("/site$path"), authorization => undef, 'x-login' => $who);
    };
    is($as->(undef, '/index.txt')->status, 401, 'who is not logged in is asked to');
    is($as->('anna@example.com', '/index.txt')->header('x-seen'), 'user=anna@example.com groups=Site administrators forged= login=', 'a user reaches the backend');
    is($as->('bert@example.com', '/index.txt')->header('x-seen'), 'user=bert@example.com groups= forged= login=', 'so does one without groups');
    is($as->('anna@example.com', '/admin/index.txt')->status, 200, 'a member of the group is let further in');
    is($as->('bert@example.com', '/admin/index.txt')->status, 403, 'another is told that it may not');
    is($as->('mallory@example.com', '/index.txt')->status, 403, 'so is who has a login and was never provisioned');
    changed($s, "/Users/$anna->{id}", ['replace', 'active', JSON::PP::false]);
    is($as->('anna@example.com', '/index.txt')->status, 403, 'and who is disabled');
    $s->allow_log(qr/AH01631/);
    $s->log_clean;
};

# README's third way, for which there is no file.
subtest 'client certificates' => sub {
    my $tls = Scim::Tls->new;
    $tls->certificate($_, subject => "/CN=somebody/emailAddress=$_\@example.com") for qw(anna bert mallory);
    $tls->certificate('nameless', subject => '/CN=somebody');
    my $s = Scim::Httpd->new(
        modules => [qw(ssl socache_shmcb)],
        files => { 'site/index.txt' => "inside\n" },
        conf => $tls->host('SSLVerifyClient require', '<Location "/site">', 'SSLUserName SSL_CLIENT_S_DN_Email', 'SCIMUserAttribute emails.value',
            'SCIMTenant default', 'Require scim-user', '</Location>'),
    );
    my %id = map { $_ => made($s, '/Users', user($_, active => $yes, emails => [{ value => "$_\@example.com" }]))->{id} } qw(anna bert);
    my $status = sub { return $tls->get($s, '/site/index.txt', cert => $_[0], headers => { authorization => undef })->status };
    is($status->('anna'), 200, 'whose address is that of a user is let in');
    is($status->('mallory'), 403, 'who was never provisioned is not');
    is($status->('nameless'), 500, 'for one without an address httpd knows nobody to ask about');
    is($status->(undef), 0, 'and without a certificate there is no answer');
    changed($s, "/Users/$id{bert}", ['replace', 'active', JSON::PP::false]);
    is($status->('bert'), 403, 'nor who is disabled');
    $s->expect_log(qr/AH01630: client denied by server configuration/, qr/AH02227: Failed to set r->user/, qr/AH00027: No authentication done/);
    $s->log_clean;
};

# README's way for a busy site: the password is checked when people log in.
subtest 'a form' => sub {
    my @form = ('AuthType form', 'AuthName Site', 'AuthFormProvider scim', 'AuthFormSitePassphrase sesame',
        'Session On', 'SessionCookieName session path=/', 'SessionCryptoPassphrase secret', 'AuthzSendForbiddenOnFailure On', 'Require scim-user');
    my $s = Scim::Httpd->new(
        modules => [qw(request session session_cookie session_crypto auth_form)],
        files => { 'site/index.txt' => "inside\n" },
        conf => join "\n", 'SCIMPasswordSync On', '<Location "/site">', @form, '</Location>',
            '<Location "/site/login">', 'SetHandler form-login-handler', 'AuthFormLoginSuccessLocation /site/index.txt', '</Location>',
    );
    my $anna = made($s, '/Users', user('anna', active => $yes, password => 'correct horse'));
    my $login = sub {
        return $s->post($s->url('/site/login'), "httpd_username=anna&httpd_password=$_[0]", authorization => undef,
            'content-type' => 'application/x-www-form-urlencoded');
    };
    my $status = sub { return $s->get($s->url('/site/index.txt'), authorization => undef, @_)->status };
    is($status->(), 401, 'nobody is logged in');
    is($login->('wrong')->status, 401, 'a wrong password');
    my $in = $login->('correct+horse');
    is($in->status, 302, 'the right one');
    my @session = (cookie => $in->header('set-cookie') =~ s/;.*//r);
    is($status->(@session), 200, 'the session lets in');
    changed($s, "/Users/$anna->{id}", ['replace', 'password', 'another']);
    is($status->(@session), 200, 'and looks at no password');
    changed($s, "/Users/$anna->{id}", ['replace', 'active', JSON::PP::false]);
    is($status->(@session), 403, 'but Require looks at the user');
    $s->allow_log(qr/AH01807|AH01631/);
    $s->log_clean;
};

done_testing();
