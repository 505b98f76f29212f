#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# README's section "The error log" has an entry for every message that the code
# logs with a tag, and none for a message that is gone: the tag, the level and
# the words with which the message begins ("..." for what the code puts in), in
# one line; cause and remedy in lines below that are indented further.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my %level = (EMERG => 'emerg', ALERT => 'alert', CRIT => 'crit', ERR => 'error', WARNING => 'warn', NOTICE => 'notice', INFO => 'info', DEBUG => 'debug');

# tag => { where, levels, text } of the code.  Levels are those that stand before
# the tag in its statement: as many as an expression has, or none.
sub in_code
{
    my ($root) = @_;
    my %found;
    for my $path (files($root, 'mod_scim', qr/\.[ch]$/)) {
        my $text = strip_comments(slurp("$root/$path"));
        while ($text =~ /\bSCIMLOG\((\d+)\)((?:\s*"(?:\\.|[^"\\])*")*)/g) {
            my ($tag, $strings, $where) = ($1, $2, "$path:" . line_of($text, $-[0]));
            my ($before) = substr($text, 0, $-[0]) =~ /([^;{}]*)\z/;
            my @levels = map { $level{$_} // () } $before =~ /\bAPLOG_([A-Z]+)\b/g;
            my $format = join '', $strings =~ /"((?:\\.|[^"\\])*)"/g;
            $format =~ s/\\"/"/g;
            $format =~ s/%[-0-9.*]*(?:l*[a-zA-Z])/.../g;
            $found{$tag} = { where => $where, text => $format, levels => { map { $_ => 1 } @levels } };
        }
    }
    return %found;
}

# The lines of a section of README, each with its number.
sub section
{
    my ($root, $title) = @_;
    my @lines = split /\n/, slurp("$root/README");
    my ($first) = grep { $lines[$_] eq $title && ($lines[ $_ + 1 ] // '') =~ /^=+$/ } 0 .. $#lines;
    return if !defined $first;
    my ($last) = grep { $lines[ $_ + 1 ] =~ /^=+$/ } $first + 2 .. $#lines - 1;
    return map { [$_ + 1, $lines[$_]] } $first + 2 .. ($last // @lines) - 1;
}

# tag => { where, level, text, rest } of README.
sub in_readme
{
    my ($root) = @_;
    my (%found, $entry, @problems);
    for my $line (section($root, 'The error log')) {
        my ($number, $text) = @$line;
        if ($text =~ /^    SCIM(\d{4})\s+(\w+)\s+(\S.*?)\s*$/) {
            push @problems, "README:$number: SCIM$1 stands there twice" if $found{$1};
            $entry = $found{$1} = { where => "README:$number", level => $2, text => $3, rest => '' };
        } elsif ($text =~ /^    \s*SCIM\d/) {
            push @problems, "README:$number: an entry is a tag, a level, and the beginning of the message";
        } elsif ($entry && $text =~ /^ {8}/) {
            $entry->{rest} .= $text;
        }
    }
    return (\%found, @problems);
}

# README's "..." stand for what the code's do, and may cut off the end.
sub begins_with
{
    my ($text, $start) = @_;
    s/(?:\.\.\.\s*)+/... /g for $text, $start;
    $start =~ s/\s*\.\.\.\s*$//;
    return index($text, $start) == 0;
}

sub problems
{
    my ($root) = @_;
    my %code = in_code($root);
    my ($readme, @problems) = in_readme($root);
    return 'mod_scim/ logs nothing with SCIMLOG(...)' if !%code;
    return 'README has no section "The error log" with entries SCIM1234 LEVEL MESSAGE' if !%$readme;
    for my $tag (sort keys %code) {
        my ($c, $r) = ($code{$tag}, $readme->{$tag});
        if (!$r) {
            push @problems, "$c->{where}: SCIM$tag has no entry in README's section \"The error log\"";
            next;
        }
        push @problems, "$r->{where}: SCIM$tag has level " . join(' or ', sort keys %{ $c->{levels} }) . " in $c->{where}, not $r->{level}"
            if %{ $c->{levels} } && !$c->{levels}{ $r->{level} };
        push @problems, "$r->{where}: SCIM$tag says \"$c->{text}\" in $c->{where}" if !begins_with($c->{text}, $r->{text});
        push @problems, "$r->{where}: SCIM$tag has neither cause nor remedy" if $r->{rest} !~ /\w{3}/;
    }
    push @problems, map { "$readme->{$_}{where}: nothing logs SCIM$_" } grep { !$code{$_} } sort keys %$readme;
    return @problems;
}

no_problems('README explains each message of the error log', problems(root()));
done_testing();
