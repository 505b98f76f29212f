#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The module exports one symbol, its module structure: httpd loads modules into
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
    my ($module) = @_;
    return "$module is not there: run make first" if !-f $module;
    my @lines = qx{nm -D --defined-only -- '$module'};
    return "nm could not read $module" if $?;
    my @symbols = map { /(\S+)\s*$/ ? $1 : () } @lines;
    my @problems = map { "$module exports $_: make it static, or keep -fvisibility=hidden" }
        grep { $_ ne 'scim_module' && $_ !~ $instrumented } @symbols;
    if (!grep { $_ eq 'scim_module' } @symbols) {
        push @problems, "$module does not export scim_module: httpd could not load it";
    }
    return @problems;
}

my $build = $ENV{SCIM_BUILD} || root() . '/build';
no_problems('mod_scim.so exports scim_module and nothing else', problems("$build/mod_scim.so"));
done_testing();
