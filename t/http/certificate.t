#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A site that asks for client certificates, and lets in whom the directory has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;

my $dir = tempdir('scim-cert-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# A certificate that is its own issuer, and its key.
sub make_certificate
{
    my ($name) = @_;
    my $said = qx{openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \\
        -subj /CN=$name -addext basicConstraints=critical,CA:FALSE -keyout $dir/$name.key -out $dir/$name.crt 2>&1};
    die "openssl: $said\n" if $?;
}

make_certificate($_) for qw(localhost babs carl nobody);
system "cat $dir/babs.crt $dir/carl.crt $dir/nobody.crt > $dir/all.crt";

my $port = do {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no free port: $!\n";
    $socket->sockport;
};
my %args = site_args('/CN=babs', '/CN=nobody');
# What FakeBasicAuth says that the password is.
$args{files}{people} =~ s/:\{SHA\}\S+/:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=/g;

my $s = Scim::Httpd->new(
    %args,
    modules => [@{ $args{modules} }, qw(socache_shmcb ssl)],
    conf => <<"EOT" . site('/by-name', 'AuthType None', 'SSLUserName SSL_CLIENT_S_DN_CN', 'Require scim-user')
Listen 127.0.0.1:$port https
SSLSessionCache shmcb:run/tls(65536)
<VirtualHost 127.0.0.1:$port>
    ServerName localhost
    SSLEngine On
    SSLCertificateFile $dir/localhost.crt
    SSLCertificateKeyFile $dir/localhost.key
    SSLCACertificateFile $dir/all.crt
    SSLVerifyClient require
EOT
        . site('/group', 'AuthType None', 'SSLUserName SSL_CLIENT_S_DN_CN', 'Require scim-group Guides')
        . site('/fake', 'SSLOptions +FakeBasicAuth', 'SCIMUserAttribute externalId', 'Require scim-user')
        . "</VirtualHost>\n",
);
refusals($s);

# The status that a page has for whoever shows this certificate.
sub enter_as
{
    my ($path, $name) = @_;
    my @show = defined $name ? ("--cert $dir/$name.crt", "--key $dir/$name.key") : ();
    my $page = page($path);
    return qx{curl -s -k -o /dev/null -w '%{http_code}' @show https://127.0.0.1:$port$page};
}

my $babs = made($s, '/Users', user('babs', externalId => '/CN=babs'))->{id};
my $carl = made($s, '/Users', user('Carl'))->{id};
made($s, '/Groups', group('Guides', $babs));

is(enter_as('/by-name', 'babs'), 200, 'by the name in the certificate');
is(enter_as('/by-name', 'carl'), 200, 'without case');
is(enter_as('/by-name', 'nobody'), 403, 'not who is not provisioned');
is(enter_as('/by-name'), '000', 'nor who shows none, who gets no answer at all');
is(enter_as('/group', 'babs'), 200, 'by a group');
is(enter_as('/group', 'carl'), 403, 'not who is in none');
is(enter_as('/fake', 'babs'), 200, 'by FakeBasicAuth, the whole name of the certificate');
is(enter_as('/fake', 'nobody'), 403, 'not who is not provisioned');
changed($s, "/Users/$babs", ['replace', 'active', \0]);
is(enter_as($_, 'babs'), 403, "$_: disabled") for qw(/by-name /group /fake);
# What mod_authz_core says of who is refused where there is no AuthType.
$s->expect_log(qr/AH01630: client denied by server configuration/);
$s->log_clean;
done_testing();
