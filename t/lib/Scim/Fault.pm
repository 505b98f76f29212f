# SPDX-License-Identifier: Apache-2.0
package Scim::Fault;

=head1 NAME

Scim::Fault - calls of the system that fail, in a running server

=head1 SYNOPSIS

    my $fault = Scim::Fault->new;
    my $server = Scim::Httpd->new(fault => $fault);
    $fault->arm('sync', err => EIO);             # the next fdatasync in its store
    $fault->arm('pages', err => EIO, times => 1000, after => 2);
    $fault->arm('meta', act => 'kill late');     # the process ends after that write
    my $met = $fault->disarm;                    # all goes well again

=head1 DESCRIPTION

t/fault/shim.h says which calls and acts there are.  The plan is shared by all
processes of the server: the n-th call is the n-th of all of them.

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();

my %call = (open => 0, pages => 1, meta => 2, sync => 3, truncate => 4, map => 5, msync => 6, rename => 7, read => 8);
my %act = ('fail' => 0, 'fail late' => 1, 'fail once late' => 2, 'fail writing' => 3, 'short' => 4, 'kill' => 5, 'kill late' => 6, 'stop' => 7);
my ($met_at, $size) = (5 * 4, 17 * 4);

my $library = abs_path($ENV{SCIM_BUILD} || dirname(__FILE__) . '/../../../build') . '/t/fault/shim.so';

sub new
{
    my ($class) = @_;
    die "$library is not there: run make check, which builds it\n" if !-f $library;
    my $file = File::Temp->new;
    print $file "\0" x $size;
    $file->flush;
    chmod 0666, $file->filename; # the children of a server are another user
    return bless { file => $file }, $class;
}

# Of the process that becomes the server.
sub enter
{
    my ($self, $directory) = @_;
    $ENV{LD_PRELOAD} = join ' ', $ENV{LD_PRELOAD} // (), $library;
    $ENV{SCIM_FAULT_PLAN} = $self->{file}->filename;
    $ENV{SCIM_FAULT_DIR} = $directory;
}

sub _put
{
    my ($self, $at, @words) = @_;
    sysseek $self->{file}, $at, 0;
    my $bytes = pack 'l*', @words;
    syswrite($self->{file}, $bytes) == length $bytes or die "the plan: $!\n";
}

# The calls come last: until then nothing is due.
sub arm
{
    my ($self, $call, %arg) = @_;
    my $act = $act{ $arg{act} // 'fail' } // die "no act $arg{act}\n";
    $self->_put(0, 0);
    $self->_put(4, $arg{after} // 0, $arg{times} // 1, 0 + ($arg{err} // 0), $act, 0);
    $self->_put(0, 1 << ($call{$call} // die "no call $call\n"));
}

sub met
{
    my ($self) = @_;
    sysseek $self->{file}, $met_at, 0;
    sysread($self->{file}, my $bytes, 4) == 4 or die "the plan: $!\n";
    return unpack 'l', $bytes;
}

sub disarm
{
    my ($self) = @_;
    $self->_put(0, 0);
    return $self->met;
}

1;
