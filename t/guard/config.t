#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every member of a configuration is created unset and merged.  The members
# stand in lists, "#define SCIM_DIR_CONFIG(X) X(type, name, unset, ...) ...",
# and each list is expanded to make the struct, to unset it and to merge it.  A
# member beside the list, for which picking one of two values is no merge, must
# be named in the functions that create and merge; what stands behind a comment
# that begins "not configured" is no configuration, and exempt.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

# What the macros that expand a list are called, and what they are for.
my @uses = (
    [qr/^(?!.*(?:UNSET|CREATE|MERGE)).*MEMBER/, 'MEMBER', 'declares the members of the struct'],
    [qr/UNSET|CREATE/, 'UNSET or CREATE', 'creates a configuration'],
    [qr/MERGE/, 'MERGE', 'merges two configurations'],
);
my $list = qr/SCIM_\w*CONFIG/;

# [path, text without comments and with continued lines joined, text as it is].
sub sources
{
    my ($root) = @_;
    my @sources;
    for my $path (files($root, 'mod_scim/httpd', qr/\.[ch]$/)) {
        my $text = slurp("$root/$path");
        push @sources, [$path, strip_comments($text) =~ s/\\\n/ /gr, $text];
    }
    return @sources;
}

# The bodies of the functions that expand $which by a macro like $pattern.
sub functions_expanding
{
    my ($which, $pattern, @sources) = @_;
    my @bodies;
    for my $source (@sources) {
        my $code = $source->[1] =~ s/^\s*#.*$//mgr;
        $code =~ s/"(?:\\.|[^"\\\n])*"/""/g;
        while ($code =~ /\)\s*(\{(?:[^{}]++|(?1))*\})/g) {
            my $body = $1;
            push @bodies, $body if $body =~ /\b$which\s*\(\s*(\w+)\s*\)/ && $1 =~ $pattern;
        }
    }
    return @bodies;
}

# The members of structs that a list makes which stand neither in the list nor
# in the functions that create and merge.
sub members_beside
{
    my ($path, $text, @sources) = @_;
    my @problems;
    while ($text =~ /\bstruct\b\s*(\w*)\s*(\{(?:[^{}]++|(?2))*\})/g) {
        my ($tag, $body) = ($1, $2);
        my ($which) = $body =~ /\b($list)\s*\(/ or next;
        $body =~ s{/\*\s*not configured\b.*}{}s;
        $body = strip_comments($body);
        $body =~ s/^\s*#.*$//mg;
        $body =~ s/\b$list\s*\(\s*\w+\s*\)//g;
        for my $member ($body =~ /([^;{}]*\w[^;{}]*;)/g) {
            $member =~ s/^\s+|\s+$//g;
            my ($name) = $member =~ /(\w+)\s*(?:\[[^]]*\]\s*)*;/;
            for my $use (grep { $_->[1] ne 'MEMBER' } @uses) {
                my ($pattern, undef, $why) = @$use;
                next if grep { /->\s*$name\b/ } functions_expanding($which, $pattern, @sources);
                push @problems, "$path: struct $tag: \"$member\" is not in $which, and what $why does not name it;"
                    . ' if it is no configuration, move it behind a comment /* not configured: ... */';
            }
        }
    }
    return @problems;
}

sub problems
{
    my ($root) = @_;
    my @sources = sources($root);
    my (%defined, %expanded, @problems);
    for my $source (@sources) {
        my ($path, $text, $whole) = @$source;
        while ($text =~ /^\s*#\s*define\s+($list)\s*\(\s*\w+\s*\)([^\n]*)/mg) {
            my ($which, $entries) = ($1, $2);
            $defined{$which} = $path;
            my %seen;
            while ($entries =~ /\bX\s*\(\s*([^,()]+?)\s*,\s*(\w+)/g) {
                push @problems, "$path: $which has $2 twice" if $seen{$2}++;
            }
            push @problems, "$path: $which lists nothing" if !%seen;
        }
        (my $code = $text) =~ s/^\s*#\s*define\s+$list\s*\([^\n]*//mg;
        push @{ $expanded{$1} }, $2 while $code =~ /\b($list)\s*\(\s*(\w+)\s*\)/g;
        push @problems, members_beside($path, $whole, @sources);
    }
    return 'mod_scim/httpd defines no list of configuration members: #define SCIM_..._CONFIG(X)' if !%defined;
    for my $which (sort keys %defined) {
        for my $use (@uses) {
            my ($pattern, $word, $why) = @$use;
            if (!grep { /$pattern/ } @{ $expanded{$which} || [] }) {
                push @problems, "$defined{$which}: $which is never expanded by a macro named like $word, which $why";
            }
        }
    }
    return @problems;
}

no_problems('every configuration member is created and merged', problems(root()));
done_testing();
