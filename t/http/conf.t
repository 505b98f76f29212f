#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# conf/scim.conf, the configuration that is shipped: as it stands, and with all
# that is shown in it in force.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Httpd;
use Test::More;

sub shipped
{
    open my $in, '<', "$FindBin::Bin/../../conf/scim.conf" or die "conf/scim.conf: $!\n";
    local $/;
    return <$in>;
}

# What is shown begins with "#" and no space; text, the MPM's section and the
# log of a Debian server stay as they are.
sub in_force
{
    my $text = shipped();
    my ($before, $mpm) = $text =~ /\A(.*)^# --- The MPM (.*)\z/ms or die "conf/scim.conf has no part on the MPM\n";
    $before =~ s/^(\s*)#(?=[<A-Z])(?!CustomLog)/$1/mg;
    $before =~ s/^#   (?=SCIM)/    /mg;
    $before =~ s{scim/(device-\w+\.json)}{$FindBin::Bin/../../conf/examples/$1}g;
    return $before;
}

my ($code, $out) = Scim::Httpd->configtest(conf => shipped());
is($code, 0, 'as it is shipped it is a configuration') or diag($out);

my $all = in_force();
unlike($all, qr/^\s*#<?SCIM/m, 'every directive that it shows can be put in force');
($code, $out) = Scim::Httpd->configtest(conf => $all, locations => '', modules => ['auth_basic']);
is($code, 0, 'with all of it in force it is one, too') or diag($out);

my ($log) = shipped() =~ /^#(CustomLog .*)$/m;
my $s = Scim::Httpd->new(conf => shipped() . "\n" . ($log =~ s/\$\{APACHE_LOG_DIR\}/logs/r), start => 0);
mkdir $s->dir . '/logs';
$s->start;
$s->get('/Users?filter=' . esc('userName eq "secret@example.com"'));
$s->get($s->url('/hello.txt'));
$s->stop;
open my $in, '<', $s->dir . '/logs/scim.log' or die $s->dir . "/logs/scim.log: $!\n";
my @lines = <$in>;
is(scalar @lines, 1, 'its CustomLog writes what concerns the endpoint, and nothing else');
like($lines[0], qr{"GET /scim/v2/Users" 200 \d+ \d+ tenant=default connection=test op=users\.list id=- changes=- count=0 error=- "-"$},
    'with the notes');
unlike($lines[0], qr/secret/, 'C-316 a filter is not in the log');
$s->log_clean;
done_testing();
