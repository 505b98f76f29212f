#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A log tag names one place for good: administrators search for it.  The number
# of a line that is gone stays in a comment, /* retired: 1004 1017 */.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

sub problems
{
    my ($root) = @_;
    my (%used, %retired, @problems);
    my @sources = files($root, 'mod_scim', qr/\.[ch]$/);
    for my $path (@sources) {
        my $text = slurp("$root/$path");
        while ($text =~ m{/\*\s*retired:([\d\s,*]+)\*/}g) {
            $retired{$_} = $path for $1 =~ /\d+/g;
        }
        my $code = strip_comments($text);
        while ($code =~ /\bSCIMLOG\s*\(\s*(\w+)\s*\)/g) {
            my ($number, $where) = ($1, "$path:" . line_of($code, $-[0]));
            next if substr($code, 0, $-[0]) =~ /#\s*define\s+$/;
            if ($number !~ /^\d{4}$/) {
                push @problems, "$where: SCIMLOG($number): a tag has four digits";
            }
            push @{ $used{$number} }, $where;
        }
    }
    my ($last) = sort { $b <=> $a } grep { /^\d+$/ } keys %used, keys %retired;
    for my $number (sort keys %used) {
        if (@{ $used{$number} } > 1) {
            push @problems, "SCIMLOG($number) stands at @{ $used{$number} }: one place each; the next free number is "
                . ($last + 1);
        }
        if ($retired{$number}) {
            push @problems, "$used{$number}[0]: SCIMLOG($number) is retired in $retired{$number}; the next free number is "
                . ($last + 1);
        }
    }
    push @problems, 'mod_scim/ logs nothing with SCIMLOG(...)' if !%used;
    return @problems;
}

no_problems('log tags are unique and never used again', problems(root()));
done_testing();
