#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Each header compiles by itself: whoever includes it needs to know no other.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my $root = root();
my $cc = $ENV{CC} || 'cc';
my $warn = '-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wstrict-prototypes -Wundef -Wno-unused-parameter -Werror';

sub output_of
{
    my ($command) = @_;
    my $out = qx{$command 2>/dev/null};
    chomp $out;
    return $? ? '' : $out;
}

my $libraries = output_of('pkg-config --cflags apr-1 apr-util-1 jansson');
my $httpd = output_of('apxs2 -q INCLUDEDIR || apxs -q INCLUDEDIR');

# What the compiler says of a file that holds nothing but one include, or nothing.
sub complaints
{
    my ($header, $flags) = @_;
    my $out = qx{echo '#include "$header"' | $cc -x c -fsyntax-only $warn -I'$root/include' $libraries $flags - 2>&1};
    return $? ? $out || "$cc failed" : ();
}

my @headers = files($root, 'include', qr/\.h$/);
ok(scalar @headers, 'there are headers in include/');
for my $path (@headers) {
    my ($header) = $path =~ m{^include/(.*)};
    no_problems("$header compiles alone", complaints($header, $header =~ m{^scim/} ? '' : "-isystem '$httpd'"));
}
done_testing();
