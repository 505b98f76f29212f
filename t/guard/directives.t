#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every directive of the command table stands in conf/scim.conf and has an entry
# in README's reference, and neither of them tells of one that is not there.
#
# In conf/scim.conf a directive that is shown but not in force stands behind "#"
# or, indented, behind "#" and more than one space; "# text" is text.  An entry
# of README is a line with nothing but the name, then lines that begin with
# Description:, Syntax:, Default: and Context:, and what there is to say; the
# context is that of the table.  Entries are in the order of the alphabet; before them
# stands a list by subjects, with all of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my $name = qr/<?SCIM[A-Z][A-Za-z]*/;

# What README's Context must have, and must not: the table takes a directive of an
# endpoint at server level, too, to refuse it there with words of its own.
my %context = (
    RSRC_CONF => [qr/\bserver config\b/, qr/Location/],
    BOTH => [qr/\bserver config\b.*Location/, undef],
    endpoint => [qr/Location/, qr/\bserver config\b/],
);

# name => { where, kind } of the command table; a section is "<SCIMName".
sub in_code
{
    my ($root) = @_;
    my %found;
    for my $path (files($root, 'mod_scim/httpd', qr/\.[ch]$/)) {
        my $text = strip_comments(slurp("$root/$path"));
        while ($text =~ /\bAP_INIT_\w+\s*\(\s*"($name)>?"\s*,(.*?)\b(RSRC_CONF|ACCESS_CONF|BOTH)\b/gs) {
            my ($directive, $handler, $kind) = ($1, $2, $3);
            $found{$directive} = { where => "$path:" . line_of($text, $-[0]), kind => $handler =~ /\bof_endpoint/ ? 'endpoint' : $kind };
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
            $entry = $found{$1} = { where => "README:$number", line => $number };
        } elsif ($entry && $line =~ /^\W*(Description|Syntax|Default|Context)\W*:?\W+(\S.*)/) {
            $entry->{$1} = $2;
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
            push @problems, "$code{$directive}{where}: $directive is not in conf/scim.conf: show it there,"
                . ' with a # before it if it is not to be in force';
        }
        my $entry = $readme{$directive};
        if (!$entry) {
            push @problems, "$code{$directive}{where}: $directive has no entry in README's directive reference";
            next;
        }
        for my $part (grep { !$entry->{$_} } qw(Description Syntax Default Context)) {
            push @problems, "$entry->{where}: the entry of $directive has no line $part:";
        }
        my ($must, $must_not) = @{ $context{ $code{$directive}{kind} } || [] };
        push @problems, "$entry->{where}: the context of $directive is not that of $code{$directive}{where}"
            if ($must && ($entry->{Context} // '') !~ $must) || ($must_not && ($entry->{Context} // '') =~ $must_not);
    }
    my ($subjects) = slurp("$root/README") =~ /^Directives\n=+\n(.*?)^<?SCIM\w+>?$/ms;
    push @problems, map { "README: $_ is not in the list of what directives are about" }
        grep { ($subjects // '') !~ /\Q$_\E\b/ } sort keys %readme;
    my @order = sort { $readme{$a}{line} <=> $readme{$b}{line} } keys %readme;
    for my $i (1 .. $#order) {
        my ($before, $here) = @order[ $i - 1, $i ];
        push @problems, "$readme{$here}{where}: $here comes before $before in the alphabet"
            if lc($here =~ tr/<//dr) lt lc($before =~ tr/<//dr);
    }
    my %examples = map { in_conf($root, $_) } files($root, 'conf/examples', qr/\.conf$/);
    for my $shown (\%conf, \%examples, { map { $_ => $readme{$_}{where} } keys %readme }) {
        push @problems, map { "$shown->{$_}: there is no directive $_" } grep { !$code{$_} } sort keys %$shown;
    }
    return @problems;
}

no_problems('the command table, conf/scim.conf and README tell of the same directives', problems(root()));
done_testing();
