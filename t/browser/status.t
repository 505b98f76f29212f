#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The status page as a browser shows it: names that are markup, 10,000 failing objects, a
# phone's width, light and dark, and nothing that the browser complains of.
#
# With SCREENSHOTS=DIR it writes status-light.png, status-dark.png and status-phone.png there,
# of a server that has something to show, and tests nothing else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Browser;
use Scim::Httpd;
use Test::More;

my $OBJECTS = 10000;
my $clock = ($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build") . '/t/fault/clock.so';
my $MARKUP = q{"><script>document.title='taken'</script><img src=x onerror="document.title='taken'"><b>bold</b>};

my $s = Scim::Httpd->new(conf => "SCIMDeleteLimit 1/h\n<Location \"/scim-status\">\nSetHandler scim-status\n</Location>\n");

sub page { return $s->url("/scim-status?refresh=0" . (@_ ? "&$_[0]" : '')) }

sub failing
{
    my $got = $s->get($s->url('/scim-status?json'), authorization => undef)->json;
    return $got->{failing}{total};
}

sub user { my ($name, %more) = @_; return { schemas => [$USER], userName => $name, %more } }

# As bright as a colour is (WCAG 2.2), "rgb(r, g, b)".
sub luminance
{
    my ($colour) = @_;
    my @part = map { my $c = $_ / 255; $c <= 0.04045 ? $c / 12.92 : (($c + 0.055) / 1.055)**2.4 } $colour =~ /(\d+), (\d+), (\d+)/;
    return 0.2126 * $part[0] + 0.7152 * $part[1] + 0.0722 * $part[2];
}

sub contrast
{
    my ($one, $other) = sort { $b <=> $a } map { luminance($_) } @_;
    return ($one + 0.05) / ($other + 0.05);
}

# Each text's colour, with that of what is behind it.
my $COLOURS = <<'EOT';
const behind = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (c != 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; };
const seen = new Set();
for (const e of document.querySelectorAll('body, body *')) {
    if ([...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()))
        seen.add((e.closest('svg') ? getComputedStyle(e).fill : getComputedStyle(e).color) + '|' + behind(e));
}
return [...seen];
EOT

# --- what there is to see --------------------------------------------------------------------

sub make_directory
{
    my %as = map { $_ => { authorization => 'Bearer ' . $s->new_token(connection => $_) } } qw(entra okta jumpcloud);
    $s->scimctl('tenant', 'create', 'acme');
    my @acme = (authorization => 'Bearer ' . $s->new_token(tenant => 'acme', connection => 'onelogin', expires => '90d'));
    if (-e $clock && !$ENV{SCIM_SAN}) {
        local ($ENV{LD_PRELOAD}, $ENV{SCIM_CLOCK}) = ($clock, -360 * 86400);
        $s->new_token(connection => 'jumpcloud');
        $s->new_token(tenant => 'acme', connection => 'old');
    }
    my @entra = (%{ $as{entra} }, 'user-agent' => 'Microsoft-Entra');
    my @okta = (%{ $as{okta} }, 'user-agent' => 'Okta SCIM Client 1.0.0');
    my @ids = map { $s->post('/Users', user("user$_\@example.com", active => $_ % 4 ? JSON::PP::true : JSON::PP::false), @entra)->json->{id} } 1 .. 40;
    $s->post('/Groups', { schemas => [$GROUP], displayName => "Group $_" }, @entra) for 1 .. 6;
    $s->post('/Users', user("someone$_\@acme.example"), @acme) for 1 .. 9;
    $s->get("/Users/$_", @okta) for (@ids) x 8;
    $s->get('/Users?filter=' . esc("userName eq \"user$_\@example.com\""), @okta) for 1 .. 30;
    $s->get('/Users?count=20', @entra) for 1 .. 10;
    my $taken = { schemas => [$PATCH_OP], Operations => [{ op => 'replace', path => 'userName', value => 'user1@example.com' }] };
    $s->patch("/Users/$_", $taken, @entra) for @ids[3, 4, 4, 5];
    $s->post('/Users', { schemas => [$USER], externalId => 'x' }, @entra);
    $s->get('/Users?count=1', @entra);
    $s->delete("/Users/$ids[$_]", @acme) for 0 .. 1;
    $s->delete("/Users/$ids[$_]", @okta) for 7 .. 9;
    $s->get('/Users', authorization => 'Bearer mscim_' . 'a' x 43 . '0N9lHz') for 1 .. 3;
}

if (my $dir = $ENV{SCREENSHOTS}) {
    make_directory();
    my $b = Scim::Browser->new(width => 1200, height => 800);
    $b->go(page());
    $b->screenshot("$dir/status-light.png");
    $b->dark(1);
    $b->screenshot("$dir/status-dark.png");
    $b->dark(0);
    $b->size(360, 780, 1);
    $b->screenshot("$dir/status-phone.png");
    ok(-s "$dir/status-$_.png", "$dir/status-$_.png") for qw(light dark phone);
    $s->log_clean;
    done_testing();
    exit;
}

my $b = Scim::Browser->new;

subtest 'names that are markup' => sub {
    make_directory();
    $s->post('/Users', user($MARKUP)) for 1 .. 2;
    $b->wait_for(sub { failing() >= 3 });
    $b->go(page());
    is($b->title, 'SCIM status', 'the title stays');
    is($b->text('h1'), 'SCIM status', 'and the heading');
    is($b->count($_), 0, "there is no $_") for qw(script img b);
    like($b->text('#objects ~ table'), qr/\Q$MARKUP\E/, 'they are shown as they are');
    is_deeply([$b->complaints], [], 'the browser complains of nothing');
};

subtest 'light and dark' => sub {
    for my $dark (0, 1) {
        $b->dark($dark);
        $b->reload;
        my $ground = $b->run('return getComputedStyle(document.body).backgroundColor');
        ok($dark ? luminance($ground) < 0.1 : luminance($ground) > 0.9, $dark ? 'dark' : 'light');
        for my $pair (@{ $b->run($COLOURS) }) {
            my $contrast = contrast(split /\|/, $pair);
            cmp_ok($contrast, '>=', 4.5, "the contrast of $pair");
        }
        is_deeply([$b->complaints], [], 'the browser complains of nothing');
    }
    $b->dark(0);
};

subtest 'what can be read without seeing it' => sub {
    is($b->run('return document.documentElement.lang'), 'en', 'the language');
    is_deeply($b->run('return [...document.querySelectorAll("h1,h2,h3,h4")].map(e => +e.tagName[1])
        .filter((n, i, all) => n > (i ? all[i - 1] : 0) + 1)'), [], 'no level of headings is left out');
    is($b->run('return document.querySelectorAll("h1").length'), 1, 'one h1');
    is_deeply($b->run('return [...document.querySelectorAll("table")].filter(t => !t.caption || !t.caption.textContent.trim()).length'), 0,
        'each table has a caption');
    is($b->run('return [...document.querySelectorAll("svg")].filter(e => e.getAttribute("role") != "img" || !e.getAttribute("aria-label")).length'), 0,
        'each picture has words');
    is($b->run('return [...document.querySelectorAll("[id]")].filter((e, i, all) => all.some((o, j) => j < i && o.id == e.id)).length'), 0,
        'no id is there twice');
    is($b->run('return [...document.querySelectorAll("section")].filter(e => !document.getElementById(e.getAttribute("aria-labelledby"))).length'), 0,
        'each section has a name');
};

subtest 'on a phone' => sub {
    $b->size(360, 780, 1);
    $b->reload;
    is($b->overflow, 0, 'nothing is wider than the window');
    cmp_ok($b->run('return Math.min(...[...document.querySelectorAll("main > section > table > caption, tbody th, .problems li")]
        .filter(e => e.offsetParent && !e.closest("details")).map(e => e.offsetWidth))'), '>', 250, 'nor is anything pressed together');
    $b->run('for (const e of document.querySelectorAll("details")) e.open = true');
    is($b->overflow, 0, 'nor is what is folded up');
    $b->size(320, 600, 1);
    $b->reload;
    is($b->overflow, 0, 'nor on the smallest');
    $b->size(1200, 900, 0);
};

subtest 'it is read anew, until one stops it' => sub {
    $b->go($s->url('/scim-status?refresh=1'));
    my $time = $b->text('main > p time');
    ok($b->wait_for(sub { ($b->texts('main > p time'))[0] ne $time }, 20), 'it shows another time');
    $b->go($s->url('/scim-status'));
    $b->click('main > p a');
    like($b->url, qr/refresh=0/, 'stopped');
    is($b->count('meta[http-equiv]'), 0, 'it stays as it is');
    $b->click('main > p a');
    is($b->count('meta[http-equiv]'), 1, 'and starts again');
};

subtest '10,000 objects that fail' => sub {
    my $before = failing();
    parallel(2, sub {
        my ($half) = @_;
        delete $s->{http};
        $s->post('/Users', { schemas => [$USER], externalId => "external $half $_", displayName => $MARKUP }) for 1 .. $OBJECTS / 2;
        0;
    });
    ok($b->wait_for(sub { failing() == $before + $OBJECTS }), 'are all there') || diag(failing());
    $b->go(page());
    is($b->count('#objects ~ table tbody tr'), 100, '100 on a page');
    my $pages = 1;
    while ($b->count('a[rel=next]') && $pages < 5) {
        $b->click('a[rel=next]');
        $pages++;
    }
    like($b->text('nav'), qr/Page 5 of 10\d/, 'one after the other');
    like($b->url, qr/refresh=0/, 'which stay as they are');
    $b->go(page('page=101'));
    cmp_ok($b->count('#objects ~ table tbody tr'), '>=', 1, 'to the last');
    is($b->count('a[rel=next]'), 0, 'behind which there is none');
    $b->size(360, 780, 1);
    $b->reload;
    is($b->overflow, 0, 'on a phone, too');
    is_deeply([$b->complaints], [], 'the browser complains of nothing');
};

undef $b;
$s->log_clean;
done_testing();
