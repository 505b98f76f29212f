# SPDX-License-Identifier: Apache-2.0
package Scim::Watch;

=head1 NAME

Scim::Watch - what processes hold, and whether it grows

=head1 SYNOPSIS

    my $before = held($s->pid);
    ...
    is_deeply(held($s->pid)->{maps}, $before->{maps}, 'as many mappings');

=head2 Functions

    held($pid)          { rss, anon, fds, maps }: kB resident, of these kB that are
                        its own, descriptors, mappings; undef where there is no
                        such process
    open_files($pid)    what its descriptors lead to, sorted
    mapped_files($pid)  the files that it has mapped, each once, sorted
    readers($s, @pids)  those of the pids that stand in the table of readers that
                        LMDB keeps in the store
    own_ipc()           a place of its own for what this process and those that it
                        starts share by System V and POSIX; false where it may not
                        make one
    shared_objects()    how many semaphores, pieces of shared memory and message
                        queues there are in it, by kind
    slope(@points)      the median of the slopes between all pairs of [x, y]:
                        a step or a peak does not bend it
    rounds($short, $long)
                        the second with LONG in the environment

=cut

use strict;
use warnings;

use Exporter qw(import);
use File::Glob qw(bsd_glob);
use POSIX ();
use Scim::Httpd;

our @EXPORT = qw(held open_files mapped_files readers shared_objects own_ipc slope rounds);

sub held
{
    my ($pid) = @_;
    my $status = slurp("/proc/$pid/status");
    my ($rss) = $status =~ /^VmRSS:\s+(\d+) kB/m or return;
    my ($anon) = $status =~ /^RssAnon:\s+(\d+) kB/m;
    my $maps = () = slurp("/proc/$pid/maps") =~ /\n/g;
    return { rss => $rss, anon => $anon, fds => scalar open_files($pid), maps => $maps };
}

sub open_files
{
    my ($pid) = @_;
    my @links = grep { defined } map { readlink } bsd_glob "/proc/$pid/fd/*";
    return wantarray ? sort @links : scalar @links;
}

sub mapped_files
{
    my ($pid) = @_;
    my %file = map { $_ => 1 } slurp("/proc/$pid/maps") =~ m{ (/.*)$}mg;
    return sort keys %file;
}

sub readers
{
    my ($s, @pids) = @_;
    my %word = map { $_ => 1 } unpack 'L*', slurp($s->store . '/lock.mdb');
    return grep { $word{$_} } @pids;
}

sub shared_objects
{
    my %count = ('POSIX' => scalar(() = bsd_glob '/dev/shm/*'));
    for my $kind (qw(sem shm msg)) {
        my @lines = split /\n/, slurp("/proc/sysvipc/$kind");
        $count{"System V $kind"} = @lines ? @lines - 1 : 0;
    }
    return \%count;
}

# POSIX keeps them as files, which no IPC namespace hides: mounts of its own do.
sub own_ipc
{
    my ($newipc, $newns) = (0x08000000, 0x00020000);
    my $unshare = _unshare_number() // return 0;
    return syscall($unshare, $newipc | $newns) == 0
        && system('mount --make-rprivate / 2>/dev/null && mount -t tmpfs -o mode=1777 tmpfs /dev/shm 2>/dev/null') == 0;
}

sub _unshare_number
{
    my %number = (x86_64 => 272, aarch64 => 97, riscv64 => 97, i686 => 310, ppc64le => 282, s390x => 303);
    return $number{ (POSIX::uname())[4] };
}

sub slope
{
    my (@points) = @_;
    my @slopes;
    for my $i (0 .. $#points) {
        for my $j ($i + 1 .. $#points) {
            my $dx = $points[$j][0] - $points[$i][0];
            push @slopes, ($points[$j][1] - $points[$i][1]) / $dx if $dx;
        }
    }
    return 0 if !@slopes;
    @slopes = sort { $a <=> $b } @slopes;
    return $slopes[@slopes / 2];
}

sub rounds
{
    my ($short, $long) = @_;
    return $ENV{LONG} ? $long : $short;
}

1;
