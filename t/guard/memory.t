#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# No result of what needs memory goes unseen.  Jansson's functions answer want of memory
# as they answer a fault in their arguments, and some leave a part out in silence; so
# they are called in one place, which looks at the result, and everybody else calls
# that.  What malloc() and its kin return goes through scim_heap_checked().  Nobody
# replaces Jansson's allocator: the other modules of httpd use it too.
use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my %checker = map { $_ => 1 } qw(mod_scim/core/json_make.c include/scim/json.h);

# What of Jansson 2.14 needs memory.  json_array_set() and json_object_del() do not, nor
# does what takes apart, compares or drops.
my $jansson = qr/\bjson_(?:
    (?:object|array|string|stringn|integer|real)(?:_nocheck)? | v?sprintf | (?:deep_)?copy | v?(?:un)?pack(?:_ex)?
    | object_(?:setn?|update)\w* | array_(?:append|insert|extend)\w* | string_setn?(?:_nocheck)?
    | load\w+ | dump\w+ )\b/x;

# file => { what it calls nevertheless => why }
my %excused = (
    'mod_scim/core/json.c' =>
        { json_loadb => 'says which fault there is in a text that our parser has refused' },
);

my $allocation = qr/\b(?:[mc]alloc|realloc(?:array)?|aligned_alloc|memalign|strn?dup)\b/;

sub jansson_problems
{
    my ($path, $text) = @_;
    my @problems;
    while ($text =~ /($jansson)/g) {
        my ($function, $line) = ($1, line_of($text, $-[0]));
        next if $checker{$path} || $excused{$path}{$function};
        push @problems, "$path:$line: $function may fail for want of memory, and nobody would know: scim/json.h has what to call";
    }
    return @problems;
}

sub problems_of
{
    my ($path, $text) = @_;
    my @problems = jansson_problems($path, $text);
    push @problems, "$path:" . line_of($text, $-[0]) . ': Jansson\'s allocator is not ours to replace'
        while $text =~ /\bjson_set_alloc_funcs/g;
    push @problems, "$path:" . line_of($text, $-[0]) . ': a "*" takes want of memory for want of a value'
        while $text =~ /\bscim_json_pack\s*\(\s*"[^"]*\*/g;
    while ($text =~ /(scim_heap_checked\(\s*)?($allocation)\s*\(/g) {
        push @problems, "$path:" . line_of($text, $-[0]) . ": $2 wants scim_heap_checked() around it" if !$1;
    }
    return @problems;
}

sub problems
{
    my ($root) = @_;
    my @files = (files($root, 'mod_scim', qr/\.[ch]$/), files($root, 'include', qr/\.h$/));
    return 'there is nothing to look at' if !@files;
    return map { problems_of($_, strip_comments(slurp("$root/$_"))) } @files;
}

no_problems('whatever needs memory is asked whether it had it', problems(root()));

# The guard itself.
my $broken = tempdir(CLEANUP => 1);
make_path("$broken/mod_scim/core", "$broken/include/scim");
my %seen = (
    'json_object_set_new(object, "a", b);' => qr/json_object_set_new may fail/,
    'need(json, "a", json_array);' => qr/json_array may fail/,
    'json_array_set(array, 0, value); json_object_get(a, "b"); json_is_string(c); scim_json_set(o, "a", v);' => undef,
    'json_set_alloc_funcs(a, b);' => qr/not ours to replace/,
    'scim_json_pack("{s:s*}", "a", b);' => qr/"\*" takes/,
    'char *a = malloc(1);' => qr/malloc wants/,
    'char *a = strdup(b);' => qr/strdup wants/,
    'char *a = scim_heap_checked(realloc(b, 2));' => undef,
    '/* malloc(1), json_pack() */' => undef,
);
for my $code (sort keys %seen) {
    open my $out, '>', "$broken/mod_scim/core/a.c" or die $!;
    print $out "$code\n";
    close $out or die $!;
    my @found = problems($broken);
    $seen{$code} ? like("@found", $seen{$code}, "seen: $code") : is("@found", '', "let through: $code");
}
done_testing();
