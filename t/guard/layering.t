#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Dependencies point down: httpd -> service -> store -> kv, core below all; ctl
# uses service and what is below it.  Foreign libraries stay in their room.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

# The rooms, lowest first, and those that each may include.
my @rooms = qw(core kv store service httpd ctl);
my %below = (
    core => [qw(core)],
    kv => [qw(core kv)],
    store => [qw(core kv store)],
    service => [qw(core kv store service)],
    httpd => [qw(core kv store service httpd)],
    ctl => [qw(core kv store service ctl)],
);

my $httpd_header = qr{^(?:httpd|http_\w+|ap_\w+|util_\w+|mod_\w+|unixd|scoreboard|mpm_\w+|heartbeat)\.h$};
my %only_in = (
    'lmdb.h' => 'mod_scim/kv/lmdb.c',
    'libpq-fe.h' => 'mod_scim/kv/pgsql.h',
);

# [name, quoted or not, line number] for each #include of a file.
sub includes
{
    my ($path) = @_;
    my $text = strip_comments(slurp($path));
    my @found;
    while ($text =~ /^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]/mg) {
        push @found, [$2, $1 eq '"', line_of($text, $-[0])];
    }
    return @found;
}

# A header of the project as a path below $root, or nothing.
sub own_header
{
    my ($root, $from, $name) = @_;
    my ($dir) = $from =~ m{^(.*)/};
    for my $path ("$dir/$name", "include/$name", $name) {
        my $plain = $path;
        1 while $plain =~ s{[^/]+/\.\./}{};
        return $plain if -f "$root/$plain";
    }
    return;
}

# The room of a file.  include/scim/X.h belongs to the room that has X.c; one
# with types alone, which has no X.c, to the highest room whose headers it uses.
sub room_of
{
    my ($root, $path, %seen) = @_;
    return $1 if $path =~ m{^mod_scim/(\w+)/};
    return 'httpd' if $path eq 'include/mod_scim.h';
    my ($unit) = $path =~ m{^include/scim/(.+)\.h$} or return;
    for my $room (@rooms) {
        return $room if -f "$root/mod_scim/$room/$unit.c";
    }
    my $highest = 0;
    for my $include (includes("$root/$path")) {
        my $header = own_header($root, $path, $include->[0]);
        next if !$header || $seen{$header};
        my $room = room_of($root, $header, %seen, $path => 1) // next;
        my ($rank) = grep { $rooms[$_] eq $room } 0 .. $#rooms;
        $highest = $rank if $rank > $highest;
    }
    return $rooms[$highest];
}

sub check_file
{
    my ($root, $path) = @_;
    my $room = room_of($root, $path);
    if (!$room || !$below{$room}) {
        return "$path: is in no room; the rooms of mod_scim/ are @rooms";
    }
    my @problems;
    for my $include (includes("$root/$path")) {
        my ($name, $quoted, $line) = @$include;
        my $header = own_header($root, $path, $name);
        if ($header) {
            my $other = room_of($root, $header) // 'no room';
            if (!grep { $_ eq $other } @{ $below{$room} }) {
                push @problems, "$path:$line: $room may not include $name, which is in $other;"
                    . " $room may use @{ $below{$room} }";
            }
            next;
        }
        my ($base) = $name =~ m{([^/]+)$};
        if ($base =~ $httpd_header && $room ne 'httpd') {
            push @problems, "$path:$line: $name is a header of httpd, which only mod_scim/httpd may include";
        }
        if ($only_in{$base} && $only_in{$base} ne $path) {
            push @problems, "$path:$line: only $only_in{$base} may include $name";
        }
        if ($name =~ m{^scim/}) {
            push @problems, "$path:$line: there is no include/$name";
        }
    }
    return @problems;
}

# A unit that two rooms have leaves open whose include/scim/X.h is.
sub check_units
{
    my ($root) = @_;
    my @problems;
    for my $header (files($root, 'include/scim', qr/\.h$/)) {
        my ($unit) = $header =~ m{([^/]+)\.h$};
        my @has = grep { -f "$root/mod_scim/$_/$unit.c" } @rooms;
        if (@has > 1) {
            push @problems, "$header: is it that of " . join(' or ', map { "mod_scim/$_/$unit.c" } @has)
                . '? Give one of them another name';
        }
    }
    return @problems;
}

sub problems
{
    my ($root) = @_;
    my @sources = (files($root, 'mod_scim', qr/\.[ch]$/), files($root, 'include', qr/\.h$/));
    return 'there are no sources in mod_scim/' if !grep { /\.c$/ } @sources;
    return (check_units($root), map { check_file($root, $_) } @sources);
}

no_problems('every include points down, and foreign headers stay in their room', problems(root()));
done_testing();
