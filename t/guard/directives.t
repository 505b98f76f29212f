#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every directive of the command table stands in conf/scim.conf and has an entry
# in README's reference, and neither of them tells of one that is not there.
#
# In conf/scim.conf a directive that is shown but not in force stands behind "#"
# or, indented, behind "#" and more than one space; "# text" is text.  An entry
# of README is a line with nothing but the name, then lines that begin with
# Syntax:, Default: and Context:, and the description.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my $name = qr/<?SCIM[A-Z][A-Za-z]*/;

# name => where, of the command table; a section is "<SCIMName".
sub in_code
{
    my ($root) = @_;
    my %found;
    for my $path (files($root, 'mod_scim/httpd', qr/\.[ch]$/)) {
        my $text = strip_comments(slurp("$root/$path"));
        while ($text =~ /\bAP_INIT_\w+\s*\(\s*"($name)>?"/g) {
            $found{$1} = "$path:" . line_of($text, $-[0]);
        }
    }
    return %found;
}

sub in_conf
{
    my ($root, $path) = @_;
    my %found;
    my $number = 0;
    for my $line (split /\n/, slurp("$root/$path")) {
        $number++;
        $found{$1} //= "$path:$number" if $line =~ /^\s*(?:#(?: {2,}|\t)?)?($name)(?=\s|>|$)/;
    }
    return %found;
}

# name => { where, Syntax, Default, Context } of README's entries.
sub in_readme
{
    my ($root) = @_;
    my (%found, $entry);
    my $number = 0;
    for my $line (split /\n/, slurp("$root/README")) {
        $number++;
        if ($line =~ /^\s*(?:#+ +)?[`*]*($name)>?[`*]*\s*$/) {
            $entry = $found{$1} = { where => "README:$number" };
        } elsif ($entry && $line =~ /^\W*(Syntax|Default|Context)\W*:?\W+\S/) {
            $entry->{$1} = 1;
        }
    }
    return %found;
}

sub problems
{
    my ($root) = @_;
    my %code = in_code($root);
    return 'mod_scim/httpd has no command table with AP_INIT_...("SCIM...")' if !%code;
    for my $path (qw(conf/scim.conf README)) {
        return "there is no $path" if !-f "$root/$path";
    }
    my %conf = in_conf($root, 'conf/scim.conf');
    my %readme = in_readme($root);
    my @problems;
    for my $directive (sort keys %code) {
        if (!$conf{$directive}) {
            push @problems, "$code{$directive}: $directive is not in conf/scim.conf: show it there,"
                . ' with a # before it if it is not to be in force';
        }
        my $entry = $readme{$directive};
        if (!$entry) {
            push @problems, "$code{$directive}: $directive has no entry in README's directive reference";
            next;
        }
        for my $part (grep { !$entry->{$_} } qw(Syntax Default Context)) {
            push @problems, "$entry->{where}: the entry of $directive has no line $part:";
        }
    }
    my %examples = map { in_conf($root, $_) } files($root, 'conf/examples', qr/\.conf$/);
    for my $shown (\%conf, \%examples, { map { $_ => $readme{$_}{where} } keys %readme }) {
        push @problems, map { "$shown->{$_}: there is no directive $_" } grep { !$code{$_} } sort keys %$shown;
    }
    return @problems;
}

no_problems('the command table, conf/scim.conf and README tell of the same directives', problems(root()));
done_testing();
