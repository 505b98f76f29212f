#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A module exports one symbol, its module structure: httpd loads modules into
# one name space, where a second "filter_parse" would silently win or lose.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

# What compilers add on their own when they instrument.
my $instrumented = qr/^(?:_*(?:asan|odr_asan|ubsan|tsan|sancov|gcov|llvm)\w*|__odr_asan[\w.]*|__start_\w+|__stop_\w+)$/;

sub problems
{
    my ($module, $structure) = @_;
    return "$module is not there: run make first" if !-f $module;
    my @lines = qx{nm -D --defined-only -- '$module'};
    return "nm could not read $module" if $?;
    my @symbols = map { /(\S+)\s*$/ ? $1 : () } @lines;
    my @problems = map { "$module exports $_: make it static, or keep -fvisibility=hidden" }
        grep { $_ ne $structure && $_ !~ $instrumented } @symbols;
    if (!grep { $_ eq $structure } @symbols) {
        push @problems, "$module does not export $structure: httpd could not load it";
    }
    return @problems;
}

my $build = $ENV{SCIM_BUILD} || root() . '/build';
for my $name ('scim', 'scim_pgsql') {
    no_problems("mod_$name.so exports ${name}_module and nothing else", problems("$build/mod_$name.so", "${name}_module"));
}

# What the module of one engine needs is not to be needed by who has another.
my %foreign = ('mod_scim.so' => qr/libpq/, 'mod_scim_pgsql.so' => qr/lmdb|jansson/);
for my $module (sort keys %foreign) {
    no_problems("$module needs no library that another module has", grep { /NEEDED.*$foreign{$module}/ } qx{objdump -p -- '$build/$module'});
}
done_testing();
