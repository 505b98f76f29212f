# SPDX-License-Identifier: Apache-2.0
# What the tests of t/guard share: they read the project's own files and say
# which rule of its making is broken, where, and what to do about it.
#
# A guard's checking code is a sub that takes the root of a tree and returns
# one text per problem, so that it can be tried on a tree that is broken on
# purpose.
package Scim::Guard;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Find ();
use Test::More ();

our @EXPORT = qw(root slurp files strip_comments line_of no_problems);

# The root of the tree that this file stands in.
sub root
{
    return abs_path(dirname(__FILE__) . '/../../..');
}

sub slurp
{
    my ($path) = @_;
    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    my $text = <$in>;
    return $text // '';
}

# The files below $root/$dir whose name matches $pattern, relative to $root, sorted.
sub files
{
    my ($root, $dir, $pattern) = @_;
    my @found;
    return () if !-d "$root/$dir";
    File::Find::find(
        { no_chdir => 1, wanted => sub { push @found, $_ if -f $_ && /$pattern/ } },
        "$root/$dir"
    );
    return sort map { substr $_, length("$root/") } @found;
}

# C without its comments; what stands in strings stays, and so do line numbers.
sub strip_comments
{
    my ($text) = @_;
    $text =~ s{("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(/\*.*?\*/|//[^\n]*)}
              { defined $1 ? $1 : $2 =~ tr/\n//cdr }gse;
    return $text;
}

# The number of the line that holds byte $offset of $text.
sub line_of
{
    my ($text, $offset) = @_;
    return 1 + (substr($text, 0, $offset) =~ tr/\n//);
}

# One test: passes when there is no problem, else shows each.
sub no_problems
{
    my ($name, @problems) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@problems, $name) or Test::More::diag(join "\n", @problems);
}

1;
