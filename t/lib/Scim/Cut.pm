# SPDX-License-Identifier: Apache-2.0
package Scim::Cut;

=head1 NAME

Scim::Cut - a proxy before a PostgreSQL server that cuts connections at COMMIT

=head1 SYNOPSIS

    my $cut = Scim::Cut->new(address => '10.0.0.1', to => '10.0.0.11', file => "$dir/cuts");
    # "host=10.0.0.1 port=@{[ $cut->port ]} sslmode=disable"
    $cut->let(1);    # from now on some are cut
    my %times = $cut->times;

=head1 DESCRIPTION

It reads what a client of libpq sends, message by message, and knows which prepared
statement is COMMIT and which writes a mark into scim_commit by itself.  By chance it does
one of these:

    lost     COMMIT reaches the server, and the client is cut off before the answer
    reset    both are cut off at once behind COMMIT, which the server may read or not
    unsent   both are cut off before COMMIT, with all before it sent
    mark     a mark that is written by itself reaches the server, but not its answer

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Scim::Httpd;

sub new
{
    my ($class, %arg) = @_;
    my $self = bless { chance => 0.5, %arg }, $class;
    $self->{listen} = IO::Socket::INET->new(Listen => 64, LocalAddr => $self->{address}, LocalPort => 0) or die "no port: $!\n";
    $self->{port} = $self->{listen}->sockport;
    $self->let(0);
    my $test = $$;
    my $pid = $self->{pid} = fork // die "fork: $!\n";
    return $self if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    srand 1;
    eval { $self->_serve($test); 1 } or print STDERR "# proxy: $@";
    POSIX::_exit(0);
}

sub port { return $_[0]{port} }

sub stop
{
    my ($self) = @_;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

sub let
{
    my ($self, $on) = @_;
    my $off = "$self->{file}.off";
    if ($on) {
        unlink $off;
    } else {
        open my $out, '>', $off or die "$off: $!\n";
    }
}

sub times
{
    my ($self) = @_;
    my %times;
    $times{$_}++ for split ' ', slurp($self->{file});
    return %times;
}

sub _note
{
    my ($self, $what) = @_;
    open my $out, '>>', $self->{file} or die "$self->{file}: $!\n";
    syswrite $out, "$what\n";
}

sub _serve
{
    my ($self, $test) = @_;
    my $select = $self->{select} = IO::Select->new($self->{listen});
    $self->{of} = {}; # by socket: [pair, whether it is the client's]
    while (getppid() == $test) {
        for my $socket ($select->can_read(1)) {
            if ($socket == $self->{listen}) {
                $self->_accept;
            } elsif (my $of = $self->{of}{$socket}) {
                $of->[1] ? $self->_from_client($of->[0]) : $self->_from_server($of->[0]);
            }
        }
    }
}

sub _accept
{
    my ($self) = @_;
    my $client = $self->{listen}->accept or return;
    my $server = IO::Socket::INET->new(PeerAddr => $self->{to}, PeerPort => 5432, Timeout => 5) or return;
    my $pair = { client => $client, server => $server, buffer => '', begun => 0, commit => {}, mark => {}, batch => '' };
    $self->{of}{$client} = [$pair, 1];
    $self->{of}{$server} = [$pair, 0];
    $self->{select}->add($client, $server);
}

sub _close
{
    my ($self, $pair, @ends) = @_;
    for my $socket (grep { $_ } map { delete $pair->{$_} } @ends ? @ends : qw(client server)) {
        $self->{select}->remove($socket);
        delete $self->{of}{$socket};
        close $socket;
    }
}

sub _pass
{
    my ($socket, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite $socket, $bytes;
        return 0 if !defined $n;
        substr $bytes, 0, $n, '';
    }
    return 1;
}

sub _from_server
{
    my ($self, $pair) = @_;
    my $n = sysread $pair->{server}, my $bytes, 1 << 16;
    # The answer that is not to arrive has been given.
    return $self->_close($pair) if !$n || !$pair->{client} || !_pass($pair->{client}, $bytes);
}

# What is done at the end of what is sent at once, or with COMMIT.
sub _choose
{
    my ($self, @kinds) = @_;
    return '' if rand() >= $self->{chance} || -e "$self->{file}.off";
    return $kinds[rand @kinds];
}

# The next message that is whole, or nothing; the first has no letter.
sub _message
{
    my ($pair) = @_;
    my $head = $pair->{begun} ? 1 : 0;
    return if length $pair->{buffer} < $head + 4;
    my $length = $head + unpack 'N', substr $pair->{buffer}, $head, 4;
    return if length $pair->{buffer} < $length;
    my $kind = $head ? substr $pair->{buffer}, 0, 1 : '';
    $pair->{begun} = 1;
    return ($kind, substr $pair->{buffer}, 0, $length, '');
}

sub _from_client
{
    my ($self, $pair) = @_;
    my $n = sysread $pair->{client}, $pair->{buffer}, 1 << 16, length $pair->{buffer};
    return $self->_close($pair) if !$n;
    my $send = '';
    while (my ($kind, $bytes) = _message($pair)) {
        my $what = $self->_look($pair, $kind, substr $bytes, $kind eq '' ? 4 : 5);
        $send .= $bytes if $what ne 'unsent';
        next if $what eq '';
        $self->_note($what);
        _pass($pair->{server}, $send);
        return $what eq 'lost' || $what eq 'mark' ? $self->_close($pair, 'client') : $self->_close($pair);
    }
    $self->_close($pair) if !_pass($pair->{server}, $send);
}

# What is done behind this message ("unsent": before it), or "".
sub _look
{
    my ($self, $pair, $kind, $body) = @_;
    if ($kind eq 'P') {
        my ($name, $query) = split /\0/, $body;
        $pair->{commit}{$name} = 1 if $query eq 'COMMIT';
        $pair->{mark}{$name} = 1 if $query =~ /^INSERT INTO scim_commit/;
    } elsif ($kind eq 'B') {
        my (undef, $name) = split /\0/, $body;
        if ($pair->{commit}{$name}) {
            my $what = $self->_choose(qw(lost reset unsent));
            return $what if $what eq 'unsent';
            $pair->{batch} = $what || 'whole';
        } elsif ($pair->{mark}{$name}) {
            $pair->{batch} = 'mark';
        }
    } elsif ($kind eq 'S') {
        my $batch = $pair->{batch};
        $pair->{batch} = '';
        return $batch eq 'mark' ? $self->_choose('mark') : $batch eq 'whole' ? '' : $batch;
    }
    return '';
}

1;
