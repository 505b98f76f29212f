#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What the Debian packages and "make newcomer" take from elsewhere is there: the
# packages that a build needs, the files that are installed, the version, and the
# sections of README whose commands are carried out.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

my $root = root();
my $debian = "$root/conf/debian";

# Of every Debian; debhelper-compat stands for debhelper.
my %always = map { $_ => 1 } qw(gcc libc6-dev make build-essential dpkg-dev debhelper);

sub build_depends
{
    my ($list) = slurp("$debian/control") =~ /^Build-Depends:(.*?)^\S/ms;
    return map { /([\w.+-]+)/ ? ($1 => 1) : () } split /,/, $list;
}

# The words of a variable of t/lib/deps, what it refers to among them.
sub needed
{
    my ($name) = @_;
    my ($words) = slurp("$root/t/lib/deps") =~ /^$name="([^"]*)"/m or die "t/lib/deps has no $name\n";
    return map { /^\$(\w+)/ ? needed($1) : $_ } split ' ', $words;
}

my %there = build_depends();
no_problems('a build of the packages asks for what "make deps" installs',
    map { "$_ is not in Build-Depends of conf/debian/control" } grep { !$always{$_} && !$there{$_} } needed('deb'));

my @load = grep { /\S/ } split /\n/, slurp("$root/conf/scim.load");
is(scalar @load, 1, 'scim.load has one line');
like($load[0], qr{^LoadModule scim_module /usr/lib/apache2/modules/mod_scim\.so$}, 'which loads the module');

my @engine = grep { /\S/ } split /\n/, slurp("$root/conf/scim_pgsql.load");
is_deeply(\@engine, ['# Depends: scim', 'LoadModule scim_pgsql_module /usr/lib/apache2/modules/mod_scim_pgsql.so'],
    'scim_pgsql.load loads the module of the engine, after the other');
my %parts = map { /^Package: (\S+)\n(.*?)(?:\n\n|\z)/s ? ($1 => $2) : () } split /(?<=\n)(?=Package:)/, slurp("$debian/control");
like($parts{'libapache2-mod-scim-pgsql'}, qr/^Depends:.*libapache2-mod-scim \(= \$\{binary:Version\}\)/m, 'its package is for the one of the same version');
for my $package (sort grep { !/-dev$/ } keys %parts) {
    my ($name) = $package =~ /^libapache2-mod-(.+)/;
    like(slurp("$debian/$package.apache2"), qr{^mod conf/\Q@{[ $name =~ tr/-/_/r ]}\E\.load$}m, "$package enables its module");
    like(slurp("$debian/$package.install"), qr{^usr/lib/apache2/modules/mod_\Q@{[ $name =~ tr/-/_/r ]}\E\.so$}m, 'and has it');
}

my @listed = map { [$_, map { (split)[-1] } grep { /\S/ } split /\n/, slurp($_)] } glob "$debian/*.{apache2,docs,examples}";
cmp_ok(scalar @listed, '>', 3, 'files are listed for the packages');
no_problems('and are there',
    map { my ($list, @files) = @$_; map { "$list: there is no $_" } grep { my @found = glob "$root/$_"; !grep { -e } @found } @files } @listed);

like(slurp("$root/include/scim/version.h"), qr/^#define SCIM_VERSION "\d+\.\d+\.\d+"$/m, 'the version is as the Makefile reads it');
like(slurp("$debian/changelog.in"), qr/\A\S+ \(\@VERSION\@\) .*\@DATE\@$/ms, 'and goes into the changelog');

for my $script (glob "$debian/*.{postinst,postrm} $debian/tests/provision") {
    is(system('sh', '-n', $script), 0, (split m{/}, $script)[-1] . ' is a shell script');
}

# As t/newcomer/run has them.
for my $section ('Two commands', 'A first user', 'By a package', 'By make install', 'The endpoint', 'Backups', 'Going back') {
    my $script = qx{"$root/t/newcomer/readme" "$section"};
    is($?, 0, qq(README has a section "$section"));
    like($script, qr/^commands <<'END_OF_STEP'\n\w/m, 'with commands in it');
}
my $file = qx{"$root/t/newcomer/readme" "The endpoint"};
like($file, qr/^file '\/etc\/apache2\/sites-available\/scim\.conf' <<.*?^SCIMStore .*?SCIMEngine On.*?^END_OF_STEP/ms, 'and the file of the endpoint');

for my $script (glob "$root/t/newcomer/*") {
    next if $script =~ /readme$/;
    is(system('bash', '-n', $script), 0, (split m{/}, $script)[-1] . ' is a script for bash');
}
done_testing();
