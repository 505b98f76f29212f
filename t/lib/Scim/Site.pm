# SPDX-License-Identifier: Apache-2.0
package Scim::Site;

=head1 NAME

Scim::Site - sites that httpd protects by what was provisioned

=head1 SYNOPSIS

    my $s = Scim::Httpd->new(
        site_args('babs', 'carl'),
        conf => site('/guides', 'Require scim-group "Tour Guides"'),
    );
    is(enter($s, '/guides', 'babs'), 200, 'a guide comes in');

=head1 DESCRIPTION

A site has one page, which says "in".  Who they are, people say by Basic
authentication with the password "secret" (mod_auth_basic, mod_authn_file), or
to sites of AuthType Example by a header that t/example/mod_scim_example.c
believes.  Who is known and may not come in is answered 403
(AuthzSendForbiddenOnFailure On), who is not known 401.

=head2 Functions

    site_args(@names)          arguments for Scim::Httpd->new: modules, and a file with
                               the passwords of these
    site($path, @directives)   the section of a site, for "conf"
    example_conf()             builds the example module; for "conf", loads it
    example_site($path, @directives)
                               a site of AuthType Example
    page($path)                the URL's path of a site's page
    as($name)                  the headers that say who it is, by both ways; by
                               Basic only where $name is not ASCII
    enter($s, $path, $name, %headers)
                               the status that this page has for somebody; as nobody
                               where $name is undef
    refusals($s)               allows the lines that httpd logs for each refusal

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(sha1_base64);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp ();
use MIME::Base64 qw(encode_base64);
use Scim::Httpd;

our @EXPORT = qw(site_args site example_conf example_site page as enter refusals);

my $root = abs_path(dirname(__FILE__) . '/../../..');
my $example; # the directory that it is built in

# One file is the page of all sites.
sub page { return "$_[0]/page.txt" }

sub site_args
{
    my (@names) = @_;
    my $line = ':{SHA}' . sha1_base64('secret') . "=\n";
    return (
        modules => [qw(auth_basic authn_file)],
        files => { 'people' => join('', map { _bytes($_) . $line } @names), 'page.txt' => "in\n" },
    );
}

sub _bytes
{
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

sub _section
{
    my ($path, @lines) = @_;
    return _bytes(join "\n", qq{AliasMatch "^$path/page[.]txt\$" htdocs/page.txt}, qq{<Location "$path">},
        map({ "    $_" } 'AuthzSendForbiddenOnFailure On', @lines), "</Location>\n");
}

sub site
{
    my ($path, @directives) = @_;
    return _section($path, 'AuthType Basic', 'AuthName "A site"', 'AuthBasicProvider file', 'AuthUserFile htdocs/people',
        @directives);
}

sub example_site
{
    my ($path, @directives) = @_;
    return _section($path, 'AuthType Example', 'AuthName "A site"', @directives);
}

sub _output_of
{
    my ($command) = @_;
    my $out = qx{$command 2>/dev/null};
    chomp $out;
    return $out;
}

# It is compiled with nothing of this project in reach but the one header.
sub example_conf
{
    if (!$example) {
        my $build = abs_path($ENV{SCIM_BUILD} || "$root/build");
        my $dir = File::Temp->newdir('example-XXXXXX', DIR => $build);
        copy("$root/include/mod_scim.h", $dir) or die "mod_scim.h: $!\n";
        my $cc = $ENV{CC} || 'cc';
        my $httpd = $ENV{APXS} ? _output_of("$ENV{APXS} -q INCLUDEDIR") : _output_of('apxs2 -q INCLUDEDIR || apxs -q INCLUDEDIR');
        my $libraries = _output_of('pkg-config --cflags apr-1 apr-util-1');
        my $out = qx{$cc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Werror -g -fPIC -shared \\
            -I'$dir' -isystem '$httpd' $libraries -o '$dir/mod_scim_example.so' '$root/t/example/mod_scim_example.c' 2>&1};
        die "the example module does not compile:\n$out" if $?;
        $example = $dir;
    }
    return qq{LoadModule scim_example_module "$example/mod_scim_example.so"\n};
}

sub as
{
    my ($name) = @_;
    return (authorization => undef) if !defined $name;
    my $bytes = _bytes($name);
    # HTTP::Tiny sends nothing but ASCII in a header.
    return (authorization => 'Basic ' . encode_base64("$bytes:secret", ''), $bytes =~ /\A[ -~]*\z/ ? ('x-remote-user' => $bytes) : ());
}

sub enter
{
    my ($s, $path, $name, %headers) = @_;
    return $s->get($s->url(page($path)), as($name), %headers)->status;
}

sub refusals
{
    my ($s) = @_;
    $s->allow_log(qr/AH01631: user .*authorization failure for/);
}

1;
