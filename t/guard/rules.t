#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# t/rules.tsv and the tests speak of the same rules: a rule marked done is named
# by a test, a test names no rule that is not there, and one that is open says
# what it waits for.
#
# "t/guard/rules.t --print" prints how far the rules are kept ("make rules").
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my $id = qr/[A-Z]-?\d+/;
# Whatever begins so in the name of a test is a rule: of the protocol, or what
# users of SCIM servers suffered from.
my %family = (C => 1, S => 1);

# [ { id, level, source, rule, state, section, line } ... ], and the problems of the list itself.
sub read_rules
{
    my ($root) = @_;
    my (@rules, @problems, %seen);
    my $section = '';
    my $number = 0;
    for my $line (split /\n/, slurp("$root/t/rules.tsv")) {
        $number++;
        my $where = "t/rules.tsv:$number";
        if ($line =~ /^#/) {
            $section = $1 if $line =~ /^## +(.*)/;
            next;
        }
        my @columns = split /\t/, $line, -1;
        if (@columns != 5) {
            push @problems, "$where: has " . @columns . ' columns, not id, level, source, rule, state';
            next;
        }
        my %rule = (section => $section, line => $number);
        @rule{qw(id level source rule state)} = @columns;
        next if $rule{id} eq 'id';
        push @problems, "$where: $rule{id} is no id" if $rule{id} !~ /^[A-Z]-\d{2,3}$/;
        push @problems, "$where: $rule{id} stands on line $seen{$rule{id}} already" if $seen{ $rule{id} };
        push @problems, "$where: $rule{id}: level \"$rule{level}\" is none of M, S, O, D" if $rule{level} !~ /^[MSOD]$/;
        push @problems, "$where: $rule{id}: state \"$rule{state}\" is neither open nor done"
            if $rule{state} !~ /^(?:open|done)$/;
        push @problems, "$where: $rule{id} is open: end the rule with \"; open: \" and the reason"
            if ($rule{state} eq 'open') != ($rule{rule} =~ /; open: \S/);
        push @problems, "$where: $rule{id}: no source or no rule" if $rule{source} !~ /\S/ || $rule{rule} !~ /\S/;
        $seen{ $rule{id} } = $number;
        push @rules, \%rule;
    }
    return (\@rules, @problems);
}

# The string literals of a test program that begin as names of tests do: those
# of tests, and of the rows of tables that tests run through.
sub names_in
{
    my ($path, $text) = @_;
    my $pattern = $path =~ /\.c$/ ? qr/"($id\b(?:\\.|[^"\\])*)"/ : qr/["'{(]($id\b[^"'\n]*)/;
    my @names;
    while ($text =~ /$pattern/g) {
        push @names, [$1, line_of($text, $-[1])];
    }
    return @names;
}

# id => where, of all ids that stand at the beginning of the name of a test.
sub ids_in_tests
{
    my ($root) = @_;
    my %named;
    for my $path (
        files($root, 't/unit', qr/\.c$/),
        map { files($root, "t/$_", qr/\.t$/) } qw(http idp guard)
    ) {
        for my $name (names_in($path, slurp("$root/$path"))) {
            my ($text, $line) = @$name;
            while ($text =~ /\G($id)\b[,:\s]*/gc) {
                $named{$1} //= "$path:$line";
            }
        }
    }
    return %named;
}

sub problems
{
    my ($root) = @_;
    my ($rules, @problems) = read_rules($root);
    return 't/rules.tsv holds no rules' if !@$rules;
    my %known = map { $_->{id} => $_ } @$rules;
    my %named = ids_in_tests($root);
    for my $id (sort keys %named) {
        if ($family{ substr $id, 0, 1 } && !$known{$id}) {
            push @problems, "$named{$id}: names the rule $id, which t/rules.tsv does not have";
        }
    }
    for my $rule (grep { $_->{state} eq 'done' } @$rules) {
        if (!$named{ $rule->{id} }) {
            push @problems, "t/rules.tsv:$rule->{line}: $rule->{id} is marked done, but no test's name begins with it";
        }
    }
    return @problems;
}

sub print_state
{
    my ($rules) = @_;
    my (@sections, %of);
    for my $rule (@$rules) {
        push @sections, $rule->{section} if !$of{ $rule->{section} };
        push @{ $of{ $rule->{section} }{ $rule->{state} } }, $rule->{id};
    }
    my %total;
    for my $section (@sections) {
        my %count = map { $_ => scalar @{ $of{$section}{$_} || [] } } qw(done open);
        $total{$_} += $count{$_} for keys %count;
        printf "%-38s %3d done %3d open  %s\n", $section, @count{qw(done open)}, join ' ', @{ $of{$section}{open} || [] };
    }
    printf "%-38s %3d done %3d open\n", 'all', @total{qw(done open)};
}

if (@ARGV && $ARGV[0] eq '--print') {
    my ($rules) = read_rules(root());
    print_state($rules);
    exit 0;
}

no_problems('t/rules.tsv and the tests name the same rules', problems(root()));
done_testing();
