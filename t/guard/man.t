#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The man pages of conf/man are made of what scimctl says of itself and of README's
# reference of directives (make man), tell of all commands, options, exit codes and
# directives, and are well formed.  The help of each command is whole, and fits a terminal.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use Scim::Guard;
use Test::More;

my $root = root();
my $scimctl = abs_path($ENV{SCIM_BUILD} || "$root/build") . '/scimctl';
BAIL_OUT("$scimctl is not there: run make first") if !-x $scimctl;

sub output_of
{
    open my $from, '-|', @_ or die "$_[0]: $!\n";
    local $/;
    my $text = <$from>;
    close $from;
    return $text // '';
}

# name => { options, synopsis } of all commands; "" has the options of every one.
my %commands = map { my ($name, $options, $synopsis) = split /\t/, $_, -1; $name => { options => [split ' ', $options], synopsis => $synopsis } }
    split /\n/, output_of($scimctl, '--complete');
cmp_ok(scalar keys %commands, '>', 25, 'scimctl tells of its commands');

# --- the pages -----------------------------------------------------------------

# As it is read: without the marks of roff.
sub shown
{
    my ($text) = @_;
    return $text =~ s/\\f[BRI]//gr =~ s/\\-/-/gr =~ s/\\e/\\/gr =~ s/\\&//gr;
}

sub directives
{
    my %found;
    for my $path (files($root, 'mod_scim/httpd', qr/\.[ch]$/)) {
        my $text = strip_comments(slurp("$root/$path"));
        $found{$1}++ while $text =~ /\bAP_INIT_\w+\s*\(\s*"(<?SCIM\w+>?)"/g;
    }
    return sort keys %found;
}

# What a page of commands lacks.
sub problems_of_scimctl
{
    my ($page) = @_;
    my @problems;
    my $text = shown($page);
    for my $name (grep { length } sort keys %commands) {
        my $words = length $commands{$name}{synopsis} ? " $commands{$name}{synopsis}" : '';
        push @problems, "scimctl.8 has no $name$words" if index($text, "\n.B $name$words\n") < 0;
    }
    for my $option (map { @{ $_->{options} } } values %commands) {
        my $name = $option =~ s/=$//r;
        push @problems, "scimctl.8 has no option $name" if $text !~ /^\.B (?:-\w, )?\Q$name\E(?: \S+)?$/m;
    }
    my ($codes) = $text =~ /^\.SH EXIT STATUS\n(.*?)^\.SH /ms;
    push @problems, grep { !defined $codes || $codes !~ /^\.B $_$/m } 0 .. 5;
    return @problems;
}

sub problems_of_module
{
    my ($page) = @_;
    my @problems;
    for my $directive (directives()) {
        my ($entry) = shown($page) =~ /^\.SS \Q$directive\E>?\n(.*?)(?=^\.S[SH] )/ms;
        push @problems, map { "mod_scim.5: $directive has no $_" } grep { ($entry // '') !~ /^$_: \S/m } qw(Syntax Default Context);
    }
    return @problems;
}

for (['scimctl.8', \&problems_of_scimctl, qr/^\.B token rotate/m], ['mod_scim.5', \&problems_of_module, qr/^\.SS SCIMRole$/m]) {
    my ($name, $problems, $entry) = @$_;
    my $page = slurp("$root/conf/man/$name");
    is($page, output_of("$root/conf/man/generate", $scimctl, $name), "conf/man/$name is what make man makes") or diag('run make man');
    no_problems("conf/man/$name tells of everything", $problems->($page));
    ok(scalar $problems->($page =~ s/$entry/.B other/r), 'and a page that does not is noticed');
}

SKIP: {
    skip 'mandoc is not installed', 1 if system 'command -v mandoc >/dev/null';
    is(output_of('sh', '-c', "cd '$root/conf/man' && mandoc -Tlint scimctl.8 mod_scim.5 2>&1"), '', 'mandoc finds nothing');
}
SKIP: {
    skip 'groff is not installed', 1 if system 'command -v groff >/dev/null';
    is(output_of('sh', '-c', "cd '$root/conf/man' && groff -ww -man -Tutf8 -z scimctl.8 mod_scim.5 2>&1"), '', 'nor does groff');
}

# --- help ----------------------------------------------------------------------

sub problems_of_help
{
    my ($name, $help) = @_;
    my @problems;
    my $flat = $help =~ s/\s+/ /gr;
    push @problems, 'it begins with no usage' if index($flat, "Usage: scimctl $name") != 0;
    push @problems, "its usage is not $commands{$name}{synopsis}" if index($flat, "scimctl $name " . ($commands{$name}{synopsis} || '')) < 0;
    for my $option (map { s/=$//r } @{ $commands{$name}{options} }, @{ $commands{''}{options} }) {
        push @problems, "it does not explain $option" if $help !~ /^  (?:-\w, )?\Q$option\E\b.* {2}\S/m;
    }
    push @problems, 'it has no example' if $help !~ /^Example:\n  scimctl \Q$name\E\b/m;
    push @problems, 'it has no exit codes' if $help !~ /^Exit codes:\n  0  done\n(?:.*\n)*  5  /m;
    push @problems, map { "this line is too long: $_" } grep { length > 79 } split /\n/, $help;
    return map { "scimctl $name --help: $_" } @problems;
}

no_problems('the help of each command is whole', map { problems_of_help($_, output_of($scimctl, split(/ /), '--help')) } grep { length } sort keys %commands);
ok(scalar problems_of_help('verify', "Usage: scimctl verify\n"), 'and one that is not is noticed');
my $overview = output_of($scimctl, 'help');
no_problems('the overview has all commands', map { "scimctl help does not name $_" } grep { length && $overview !~ /^  \Q$_\E  +\S/m } sort keys %commands);
no_problems('and fits a terminal', grep { length > 79 } split /\n/, $overview);

# --- completion ----------------------------------------------------------------

# What bash offers for the last of these words.
sub offered
{
    my (@words) = @_;
    local $ENV{SCRIPT} = "$root/conf/completion/scimctl";
    my $script = '. "$SCRIPT"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _scimctl; printf "%s\n" "${COMPREPLY[@]}"';
    return [grep { length } split /\n/, output_of('bash', '-c', $script, 'bash', $scimctl, @words)];
}

my %firsts = map { (split / /)[0] => 1 } grep { length } keys %commands;
is_deeply(offered(''), [sort 'help', keys %firsts], 'completion: commands');
is_deeply(offered('ten'), ['tenant'], 'one that is begun');
is_deeply([sort @{ offered('tenant', '') }], [sort map { /^tenant (.*)/ ? $1 : () } keys %commands], 'their second words');
is_deeply([sort @{ offered(qw(help token r)) }], [qw(revoke rotate)], 'behind help, too');
my @options = map { s/=$//r } @{ $commands{'token create'}{options} }, @{ $commands{''}{options} };
is_deeply([sort @{ offered(qw(--json --store lmdb : /nowhere token create --)) }], [sort @options], 'options');
is_deeply(offered(qw(token create --for j)), ['jumpcloud'], 'values');
is_deeply(offered(qw(token create --for = o)), ['okta'], 'behind =, too');
is_deeply(offered('backup', "$root/LICEN"), ["$root/LICENSE"], 'files');
is_deeply(offered(qw(migrate --trial lmdb : /nowhere lmdb :), "$root/mod_sc"), ["$root/mod_scim"], 'the directories of stores');
is_deeply(offered(qw(--store lmdb:/nowhere tenant suspend), ''), [], 'nothing where no store can be read');

done_testing();
