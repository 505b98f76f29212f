#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# README, and mod_scim/README, as texts: plain, of one width, with headings that
# are underlined; README's list of contents is that of its sections; sections
# and files that they name are there, functions too; and numbers under "Limits"
# are those of the code.
#
# A section's heading is underlined with "=", that of a part of one with "-".
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my @documents = qw(README mod_scim/README);
my $width = 92;

# "Limits" in README, and where the code has the number: a name that is defined.
my @limits = (
    [qr/JSON: levels +([\d,]+)/, 'include/scim/json.h', 'SCIM_JSON_MAX_DEPTH'],
    [qr/members of an object +([\d,]+)/, 'include/scim/json.h', 'SCIM_JSON_MAX_KEYS'],
    [qr/values in all +([\d,]+)/, 'include/scim/json.h', 'SCIM_JSON_MAX_ELEMENTS'],
    [qr/a filter +([\d,]+) bytes/, 'include/scim/filter.h', 'SCIM_FILTER_MAX_LENGTH'],
    [qr/terms of it +([\d,]+)/, 'include/scim/filter.h', 'SCIM_FILTER_MAX_TERMS'],
    [qr/levels of brackets +([\d,]+)/, 'include/scim/filter.h', 'SCIM_FILTER_MAX_DEPTH'],
    [qr/operations of a PATCH +([\d,]+)/, 'include/scim/patch.h', 'SCIM_PATCH_MAX_OPERATIONS'],
    [qr/values that they look at +([\d,]+)/, 'mod_scim/core/patch_apply.c', 'MAX_STEPS'],
    [qr/members that they look at +([\d,]+)/, 'mod_scim/store/member.c', 'MAX_STEPS'],
    [qr/what it writes in all +(\d+ MiB)/, 'mod_scim/store/resource.c', 'BATCH_MAX'],
    [qr/a resource, without members +(\d+ MiB)/, 'mod_scim/store/internal.h', 'RESOURCE_MAX'],
    [qr/a password +([\d,]+) bytes/, 'include/scim/validate.h', 'SCIM_PASSWORD_MAX'],
    [qr/names of tenants, connections +([\d,]+) of/, 'include/scim/tenant.h', 'SCIM_TENANT_NAME_MAX'],
    [qr/tokens of a tenant, on the +([\d,]+)/, 'mod_scim/httpd/connections.c', 'TOKENS_MAX'],
    [qr/patterns of a policy +([\d,]+)/, 'mod_scim/httpd/config.c', 'ROLE_PATTERNS_MAX'],
    [qr/ a pattern +([\d,]+) bytes/, 'mod_scim/httpd/config.c', 'ROLE_PATTERN_MAX'],
    [qr/a schema, a resource type +(\d+ MiB)/, 'mod_scim/httpd/config.c', 'DOCUMENT_MAX'],
    [qr/names of attributes +([\d,]+)/, 'mod_scim/core/registry.c', 'MAX_NAME'],
    [qr/URNs +([\d,]+)/, 'mod_scim/core/registry.c', 'MAX_URN'],
    [qr/readers at the same moment +([\d,]+)/, 'mod_scim/kv/lmdb.c', 'MAX_READERS'],
    [qr/of one process +([\d,]+)/, 'mod_scim/kv/lmdb.c', 'MAX_VIEWS'],
    [qr/in an order the first (\d+) bytes/, 'include/scim/sort.h', 'SCIM_SORT_MAX'],
    [qr/detail has at most ([\d,]+) bytes/, 'mod_scim/core/error.c', 'DETAIL_MAX'],
    [qr/line of the audit log ([\d,]+)/, 'mod_scim/httpd/audit.c', 'LINE_MAX_BYTES'],
);

sub lines_of
{
    my ($root, $path) = @_;
    return split /\n/, slurp("$root/$path"), -1;
}

# [title, line number, "=" or "-"] of each heading.
sub headings
{
    my (@lines) = @_;
    return map { [$lines[ $_ - 1 ], $_, substr $lines[$_], 0, 1] } grep { $lines[$_] =~ /^(?:={3,}|-{3,})$/ && $lines[ $_ - 1 ] =~ /\S/ } 1 .. $#lines;
}

sub form_problems
{
    my ($root, $path) = @_;
    my @lines = lines_of($root, $path);
    my @problems;
    for my $i (0 .. $#lines) {
        my ($line, $where) = ($lines[$i], "$path:" . ($i + 1));
        # An example that is one long word has no place to be broken at.
        push @problems, "$where: longer than $width columns" if length $line > $width && $line !~ /^\s{4,}\S+(?:\s+\S+)?$/;
        push @problems, "$where: blanks at its end" if $line =~ /\s$/;
        push @problems, "$where: no tabs" if $line =~ /\t/;
        push @problems, "$where: not plain ASCII" if $line =~ /[^\x20-\x7e]/;
        push @problems, "$where: no Markdown: $line" if $line =~ /^(?:#{1,6} |```|[-*] |\|)|\*\*\w|\]\(http/;
    }
    for my $heading (headings(@lines)) {
        my ($title, $number, $kind) = @$heading;
        push @problems, "$path:$number: \"$title\" is not underlined as far as it goes" if length $title != length $lines[$number];
        push @problems, "$path:$number: a section has two empty lines before it"
            if $kind eq '=' && $number > 1 && join("\n", @lines[ $number - 3, $number - 2 ]) ne "\n";
    }
    return @problems;
}

# The titles below "Contents", without what stands behind two blanks.
sub contents
{
    my (@lines) = @_;
    my ($first) = grep { $lines[$_] eq 'Contents' && $lines[ $_ + 1 ] =~ /^=+$/ } 0 .. $#lines - 1;
    return if !defined $first;
    my @titles;
    for my $line (@lines[ $first + 2 .. $#lines ]) {
        last if $line =~ /^\S/;
        push @titles, $1 if $line =~ /^    (\S.*?)(?:  .*)?$/;
    }
    return @titles;
}

sub contents_problems
{
    my ($root) = @_;
    my @lines = lines_of($root, 'README');
    my @there = map { $_->[0] } grep { $_->[2] eq '=' } headings(@lines);
    my @listed = contents(@lines) or return 'README has no list "Contents"';
    # What comes before the list, and the list, need not be in it.
    shift @there while @there && $there[0] ne 'Contents';
    shift @there;
    my @problems;
    for my $i (0 .. (@there > @listed ? $#there : $#listed)) {
        my ($is, $says) = ($there[$i] // 'nothing', $listed[$i] // 'nothing');
        next if $is eq $says;
        push @problems, "README: the next section is \"$is\", and the list of contents says \"$says\"";
        last;
    }
    return @problems;
}

# see "Title", under "Title", "Title" has, "Title" tells: titles that are quoted.
sub reference_problems
{
    my ($root, $path) = @_;
    my %there = map { $_->[0] => 1 } map { headings(lines_of($root, $_)) } @documents;
    my $text = slurp("$root/$path") =~ s/\n\s*/ /gr;
    my @problems;
    while ($text =~ /\b(?:[Ss]ee|under|of|in|those of) "([A-Z][^"]*?)"|"([A-Z][^"]*)" (?:has|tells|says what)\b/g) {
        my $title = $1 // $2;
        next if $title =~ /^Require /; # a line of httpd's
        push @problems, "$path: there is no section \"$title\"" if !$there{$title};
    }
    return @problems;
}

sub file_problems
{
    my ($root, $path) = @_;
    my $text = slurp("$root/$path");
    my @problems;
    while ($text =~ m{(?<![\w/.:~\$-])((?:core|kv|store|service|httpd|ctl|include|conf|t|mod_scim)/[\w./-]*\w)}g) {
        my ($name, $line) = ($1, line_of($text, $-[0]));
        # README's "store/data.mdb" and the like are of somebody's server.
        next if $name =~ /NAME/ || ($path eq 'README' && $name !~ m{^(?:include|conf|t|mod_scim)/});
        push @problems, "$path:$line: there is no $name" if !grep { -e "$root/$_" } $name, "mod_scim/$name";
    }
    return @problems;
}

sub function_problems
{
    my ($root, $path) = @_;
    my $code = join "\n", map { strip_comments(slurp("$root/$_")) } map { files($root, $_, qr/\.[ch]$/) } qw(mod_scim include);
    my $text = slurp("$root/$path");
    my %seen;
    return map { "$path: there is no function $_()" } grep { $code !~ /\b\Q$_\E\s*\(/ } grep { !$seen{$_}++ } $text =~ /\b(\w+)\(\)/g;
}

# "32 MiB", "2,000,000" or "8192" as a number; a product of numbers, as the code has it.
sub number
{
    my ($text) = @_;
    return $1 << 20 if $text =~ /^(\d+) MiB$/;
    my $product = 1;
    $product *= $_ for split /\s*\*\s*/, $text =~ tr/,()//dr;
    return $product;
}

sub limit_problems
{
    my ($root) = @_;
    my ($section) = slurp("$root/README") =~ /^Limits\n=+\n(.*?)\n\n\n/ms or return 'README has no section "Limits"';
    my @problems;
    for my $limit (@limits) {
        my ($pattern, $path, $name) = @$limit;
        my ($code) = slurp("$root/$path") =~ /#\s*define\s+$name\s+([\d\s*()]+?)\s*(?:\/\*.*)?$/m;
        my ($said) = $section =~ $pattern;
        if (!defined $code || !defined $said) {
            push @problems, defined $code ? "README says nothing of $name ($pattern)" : "$path defines no $name";
        } elsif (number($code) != number($said)) {
            push @problems, "README says $said where $path has $name $code";
        }
    }
    return @problems;
}

for my $path (@documents) {
    no_problems("$path is a plain text", form_problems(root(), $path));
    no_problems("$path names sections that are there", reference_problems(root(), $path));
    no_problems("$path names files that are there", file_problems(root(), $path));
}
no_problems('mod_scim/README names functions that are there', function_problems(root(), 'mod_scim/README'));
no_problems('README\'s list of contents', contents_problems(root()));
no_problems('README\'s limits', limit_problems(root()));
done_testing();
