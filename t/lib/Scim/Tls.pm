# SPDX-License-Identifier: Apache-2.0
package Scim::Tls;

=head1 NAME

Scim::Tls - certificates, and requests over TLS, for tests

=head1 SYNOPSIS

    my $tls = Scim::Tls->new;
    my $s = Scim::Httpd->new(modules => ['ssl', 'socache_shmcb'], conf => $tls->host('SSLVerifyClient optional', endpoint('/x')));
    my $r = $tls->get($s, '/x/Users', cert => 'entra', headers => { authorization => undef });

=head1 DESCRIPTION

A directory with a server's certificate, a CA and certificates of clients, made
by openssl, and a port for a virtual host.  Requests are made by curl, each over a
connection of its own.

    host(@lines)        a virtual host with TLS on a port of its own: first what
                        stands in it, as text
    certificate($name, subject => '/CN=x', ca => 'ca')
                        makes the certificate of a client; the server trusts
                        no CA but "ca"
    request($server, $method, $path, body => ..., cert => $name, headers => {...})
                        a Scim::Httpd::Response.  The server's token is sent
                        unless headers say otherwise.
    get($server, $path, ...)

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use Scim::Httpd;

sub _openssl
{
    my ($self, @command) = @_;
    my $dir = $self->{dir};
    my $said = `cd '$dir' && openssl @command 2>&1`;
    die "openssl @command:\n$said\n" if $?;
}

sub new
{
    my ($class) = @_;
    my $temp = File::Temp->newdir('scim-tls-XXXXXX', TMPDIR => 1);
    my $self = bless { temp => $temp, dir => abs_path($temp->dirname) }, $class;
    chmod 0755, $self->{dir};
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no free port: $!\n";
    $self->{port} = $socket->sockport;
    $self->_self_signed('ca', '/CN=ca');
    $self->_self_signed('server', '/CN=127.0.0.1', '-extensions v3_req -addext subjectAltName=IP:127.0.0.1');
    return $self;
}

# EC keys, which are made at once.
my $key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

sub _self_signed
{
    my ($self, $name, $subject, $more) = @_;
    $self->_openssl("req -x509 $key -days 30 -subj '$subject' @{[ $more // '' ]} -keyout $name.key -out $name.pem");
}

sub certificate
{
    my ($self, $name, %arg) = @_;
    my $ca = $arg{ca} // 'ca';
    $self->_self_signed($ca, "/CN=$ca") if !-f "$self->{dir}/$ca.pem";
    $self->_openssl("req $key -subj '$arg{subject}' -keyout $name.key -out $name.csr");
    $self->_openssl("x509 -req -in $name.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days 30 -out $name.pem");
}

sub host
{
    my ($self, @lines) = @_;
    my ($dir, $port) = @$self{qw(dir port)};
    return join "\n", "Listen 127.0.0.1:$port", "SSLSessionCache shmcb:$dir/sessions", "<VirtualHost 127.0.0.1:$port>", "ServerName 127.0.0.1:$port", 'SSLEngine on',
        "SSLCertificateFile $dir/server.pem", "SSLCertificateKeyFile $dir/server.key", "SSLCACertificateFile $dir/ca.pem",
        @lines, "</VirtualHost>\n";
}

sub url
{
    my ($self, $path) = @_;
    return "https://127.0.0.1:$self->{port}$path";
}

sub request
{
    my ($self, $server, $method, $path, %arg) = @_;
    my $dir = $self->{dir};
    my %headers = (authorization => 'Bearer ' . $server->token, %{ $arg{headers} || {} });
    my @command = ('curl', '-s', '-i', '--http1.1', '--cacert', "$dir/server.pem", '-X', $method, '--max-time', 60);
    push @command, '--cert', "$dir/$arg{cert}.pem", '--key', "$dir/$arg{cert}.key" if $arg{cert};
    if (defined $arg{body}) {
        $headers{'content-type'} //= 'application/scim+json';
        push @command, '--data-binary', JSON::PP->new->utf8->canonical->encode($arg{body});
    }
    push @command, map { ('-H', "$_: $headers{$_}") } grep { defined $headers{$_} } sort keys %headers;
    open my $out, '-|', @command, $self->url($path) or die "curl: $!\n";
    my $bytes = do { local $/; <$out> } // '';
    close $out;
    return Scim::Httpd::Response->parse($bytes, 1) // Scim::Httpd::Response->new(status => 599, content => "no whole answer, but: $bytes");
}

sub get
{
    my ($self, $server, $path, %arg) = @_;
    return $self->request($server, 'GET', $path, %arg);
}

1;
