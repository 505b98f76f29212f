#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The top level stays what it is: a newcomer sees the whole project in one look.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my %known = map { $_ => 1 } qw(mod_scim include t conf Makefile README LICENSE);

sub tracked
{
    my ($root) = @_;
    no warnings 'exec'; # where there is no git
    return if !-e "$root/.git";
    my @git = ('git', '-c', "safe.directory=$root", '-C', $root, 'ls-files', '-z');
    open my $out, '-|', @git or return;
    local $/ = "\0";
    my @files = <$out>;
    chomp @files;
    return close $out ? @files : ();
}

my @tracked = tracked(root());
plan skip_all => 'not in a git checkout, or nothing is tracked' if !@tracked;

my %top = map { s{/.*}{}sr => 1 } @tracked;
no_problems(
    'the top level holds nothing new',
    map { "$_ stands at the top level: it belongs into one of " . join(' ', sort keys %known) }
        grep { !$known{$_} && !/^\./ } sort keys %top
);
done_testing();
