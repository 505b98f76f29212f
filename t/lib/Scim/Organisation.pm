# SPDX-License-Identifier: Apache-2.0
package Scim::Organisation;

=head1 NAME

Scim::Organisation - a server under conf/examples/organisation.conf, as it is shipped

=head1 SYNOPSIS

    my $s = organisation(conf => 'SCIMScanLimit 1000');
    is(site($s, 'babs@example.com'), '200 member', 'a member is let in as one');
    is(site($s, 'babs@example.com', '/admin'), '403', 'and no further');

=head1 DESCRIPTION

The tenant is acme, as the file has it.  Who somebody is, at the site that the
file protects, is taken from what they say, with any password: what is tested is
who may come in.

=head2 Functions

    organisation(%args)      starts a server; %args as for Scim::Httpd->new
    site($s, $user, $path, %headers)
                             what the site answers a user, over a connection of
                             its own: the status and, where it let somebody in, the
                             role that the application is told ("-" for none)
    audit($s)                the lines of the audit log so far, decoded

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Scim::Httpd;

our @EXPORT = qw(organisation site audit);

my $example = abs_path(dirname(__FILE__) . '/../../../conf/examples/organisation.conf');

sub organisation
{
    my (%arg) = @_;
    my $more = delete $arg{conf} // '';
    my $modules = delete $arg{modules} // [];
    my $start = delete $arg{start} // 1;
    my $s = Scim::Httpd->new(
        tenant => 'acme',
        modules => [qw(auth_basic authn_anon), @$modules],
        files => { map { ("app/$_" => "the application\n") } qw(index.txt admin/index.txt) },
        locations => <<'EOL',
<Location "/app">
    AuthType Basic
    AuthName People
    AuthBasicProvider anon
    Anonymous *
    Anonymous_MustGiveEmail Off
    Header always set X-Seen "expr=%{HTTP:X-User} %{HTTP:X-Role} %{HTTP:X_User}%{HTTP:X_Role}"
</Location>
EOL
        %arg,
        start => 0,
    );
    $s->write_conf(conf => "Define SCIM_LOGS @{[ $s->dir ]}\nInclude $example\n$more");
    # So httpd tells of everybody who may not come in.
    $s->allow_log(qr{AH01631: user \S+: authorization failure for "/app/});
    $s->start if $start;
    return $s;
}

sub site
{
    my ($s, $user, $path, %headers) = @_;
    my $login = defined $user ? 'Basic ' . encode_base64("$user:x", '') : undef;
    my $r = $s->get($s->url('/app' . ($path // '') . '/index.txt'), authorization => $login, connection => 'close', %headers);
    return $r->status if $r->status != 200;
    my ($name, $role, $rest) = split / /, $r->header('x-seen') // '', 3;
    die "the application was told of \"$name\", not of $user\n" if lc $name ne lc $user;
    die "the application was told \"$rest\" besides\n" if length $rest;
    return '200 ' . (length $role ? $role : '-');
}

sub audit
{
    my ($s) = @_;
    open my $in, '<:raw', $s->dir . '/scim-audit.log' or return;
    my $json = JSON::PP->new->utf8;
    return map { $json->decode($_) } <$in>;
}

1;
