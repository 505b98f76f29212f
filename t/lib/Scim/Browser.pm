# SPDX-License-Identifier: Apache-2.0
package Scim::Browser;

=head1 NAME

Scim::Browser - a real browser, without a window, for one test

=head1 SYNOPSIS

    use FindBin;
    use lib "$FindBin::Bin/../lib";
    use Scim::Browser;
    use Scim::Httpd;
    use Test::More;

    my $s = Scim::Httpd->new(...);
    my $b = Scim::Browser->new;
    $b->go($s->url('/scim-status'));
    is($b->text('h1'), 'SCIM status', 'it has a heading');
    $b->click('form button');
    is_deeply([$b->complaints], [], 'the browser complains of nothing');
    $s->log_clean;
    done_testing();

=head1 DESCRIPTION

Each object is a browser of its own, with an empty profile: Chromium without a window,
steered by chromedriver over the WebDriver protocol (W3C).  It ends with the test, however
that ends.  It can reach 127.0.0.1 alone.

A call that fails, as one for an element that is not there, ends the test with what the
browser says of it.

=head2 new(%args)

    width, height   of the window's content, in CSS pixels (1200 x 900)
    phone           true: as a phone of 360 x 780 shows it, with two pixels to one
    dark            true: the user prefers a dark scheme
    headers         { Authorization => 'Basic ...' }: sent with each request

=head2 Pages

    go($url)            loads a page, returns when it has loaded
    reload, back
    url, title, source
    wait_for(sub {...}, $seconds)   until the sub is true; false where it never was (10 s)

=head2 What is in the page.  $css is a selector.

    count($css)         how many there are
    text($css)          the text of the first as it is shown; texts($css) of all
    attribute($css, $name)   of the first
    click($css)         of the first; follows links and sends forms, and waits for the
                        page that comes of it
    type($css, $text)   into the first, in place of what stands there
    press(@keys)        on the keyboard, where the focus is: Tab, Shift+Tab, Enter, Space, Down,
                        or text, a letter at a time
    run($script, @arguments)   JavaScript, the body of a function; what it returns
    overflow            CSS pixels by which the page is wider than the window: 0 is right
    complaints          what the console holds since the last call: errors, warnings and
                        violations of the Content-Security-Policy
    headers(%headers)   others, from the next page on; none without arguments
    dark($on)           prefers a dark scheme, or a light one
    size($width, $height, $phone)
    screenshot($path)   the whole page, a PNG

=cut

use strict;
use warnings;

use File::Glob qw(bsd_glob);
use File::Temp ();
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $element = 'element-6066-11e4-a52e-4f735466cecf'; # a constant of the protocol
my %drivers; # pid => directory, of this process

# --- processes ---------------------------------------------------------------

sub _find_program
{
    my (@names) = @_;
    for my $dir (split(/:/, $ENV{PATH} || ''), '/usr/lib/chromium') {
        for my $name (@names) {
            return "$dir/$name" if -x "$dir/$name" && !-d "$dir/$name";
        }
    }
    die "there is no $names[0]: t/lib/deps browser\n";
}

sub _slurp
{
    my ($path) = @_;
    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar(<$in>) // '';
}

# A process and all that it has started.
sub _family
{
    my ($pid) = @_;
    my @stats = map { _slurp($_) } bsd_glob '/proc/[0-9]*/stat';
    my @family = ($pid);
    for (my $i = 0; $i < @family; $i++) {
        my $parent = $family[$i];
        push @family, map { /^(\d+) \(.*\) \S $parent /s ? $1 : () } @stats;
    }
    return @family;
}

sub _end_driver
{
    my ($pid) = @_;
    my @family = _family($pid);
    kill 'TERM', $pid;
    my $until = time + 5;
    sleep 0.02 while waitpid($pid, WNOHANG) == 0 && time < $until;
    kill 'KILL', @family;
    waitpid $pid, 0;
    delete $drivers{$pid};
}

END {
    local ($?, $@, $!);
    _end_driver($_) for keys %drivers;
}

for my $signal (qw(INT TERM HUP PIPE)) {
    $SIG{$signal} //= sub { exit 130 };
}

# Chromedriver looks for a free port by itself, and says which.
sub _start_driver
{
    my ($self) = @_;
    my $dir = $self->{temp}->dirname;
    my $program = _find_program('chromedriver');
    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        %drivers = ();
        POSIX::setsid();
        @ENV{qw(HOME TMPDIR XDG_CONFIG_HOME XDG_CACHE_HOME)} = ($dir) x 4;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/driver";
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec { $program } $program, '--port=0';
        POSIX::_exit(127);
    }
    $drivers{ $self->{pid} } = $dir;
    my $port;
    $self->wait_for(sub { ($port) = _slurp("$dir/driver") =~ /on port (\d+)\./ }, 60)
        or die "chromedriver did not start:\n" . _slurp("$dir/driver");
    $self->{driver} = "http://127.0.0.1:$port";
}

# --- the protocol ------------------------------------------------------------

sub _send
{
    my ($self, $method, $path, $body) = @_;
    my $got = $self->{http}->request($method, "$self->{driver}$path",
        { headers => { 'content-type' => 'application/json' }, defined $body ? (content => $json->encode($body)) : () });
    my $answer = eval { $json->decode($got->{content}) };
    my $value = ref $answer eq 'HASH' ? $answer->{value} : undef;
    if (!$got->{success}) {
        my $why = ref $value eq 'HASH' ? $value->{message} : $got->{content};
        die "the browser: $method $path: " . ($why =~ s/\n.*//sr) . "\n";
    }
    return $value;
}

sub _ask
{
    my ($self, $method, $path, $body) = @_;
    return $self->_send($method, "/session/$self->{session}$path", $method eq 'POST' ? $body // {} : undef);
}

sub _devtools
{
    my ($self, $command, %params) = @_;
    return $self->_ask('POST', '/goog/cdp/execute', { cmd => $command, params => \%params });
}

sub new
{
    my ($class, %arg) = @_;
    my $self = bless {
        temp => File::Temp->newdir('scim-browser-XXXXXX', TMPDIR => 1),
        http => HTTP::Tiny->new(timeout => 120, proxy => undef, http_proxy => undef, https_proxy => undef),
    }, $class;
    $self->_start_driver;
    my @arguments = (
        qw(--headless=new --disable-gpu --disable-dev-shm-usage --hide-scrollbars --no-first-run
            --disable-background-networking --disable-component-update --disable-sync),
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
        '--user-data-dir=' . $self->{temp}->dirname . '/profile',
        $> == 0 ? '--no-sandbox' : (), # which it refuses to have as root
    );
    my $made = $self->_send('POST', '/session', {
        capabilities => {
            alwaysMatch => {
                browserName => 'chrome',
                'goog:chromeOptions' => { binary => _find_program(qw(chromium chromium-browser google-chrome)), args => \@arguments },
                'goog:loggingPrefs' => { browser => 'ALL' },
            },
        },
    });
    $self->{session} = $made->{sessionId};
    $self->size($arg{phone} ? (360, 780, 1) : ($arg{width} // 1200, $arg{height} // 900, 0));
    $self->dark($arg{dark});
    $self->headers(%{ $arg{headers} }) if $arg{headers};
    return $self;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $@, $!);
    my $pid = $self->{pid};
    return if !$pid || !$drivers{$pid};
    eval { $self->_send('DELETE', "/session/$self->{session}") } if $self->{session};
    _end_driver($pid);
}

# --- pages -------------------------------------------------------------------

sub go { my ($self, $url) = @_; return $self->_ask('POST', '/url', { url => $url }) }
sub reload { my ($self) = @_; return $self->_ask('POST', '/refresh') }
sub back { my ($self) = @_; return $self->_ask('POST', '/back') }
sub url { my ($self) = @_; return $self->_ask('GET', '/url') }
sub title { my ($self) = @_; return $self->_ask('GET', '/title') }
sub source { my ($self) = @_; return $self->_ask('GET', '/source') }

sub wait_for
{
    my ($self, $condition, $seconds) = @_;
    my $until = time + ($seconds // 10);
    while (1) {
        return 1 if $condition->();
        return 0 if time > $until;
        sleep 0.05;
    }
}

sub _first
{
    my ($self, $css) = @_;
    return $self->_ask('POST', '/element', { using => 'css selector', value => $css })->{$element};
}

sub _all
{
    my ($self, $css) = @_;
    return map { $_->{$element} } @{ $self->_ask('POST', '/elements', { using => 'css selector', value => $css }) };
}

sub count { my ($self, $css) = @_; return scalar(my @all = $self->_all($css)) }
sub click { my ($self, $css) = @_; return $self->_ask('POST', '/element/' . $self->_first($css) . '/click') }

# In one step: a page that is read anew by itself has other elements in the next.
sub texts
{
    my ($self, $css) = @_;
    return @{ $self->run('return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())', $css) };
}

sub text
{
    my ($self, $css) = @_;
    my ($text) = $self->texts($css);
    return $text // die "the browser: there is no $css\n";
}

sub attribute
{
    my ($self, $css, $name) = @_;
    return $self->_ask('GET', '/element/' . $self->_first($css) . "/attribute/$name");
}

sub type
{
    my ($self, $css, $text) = @_;
    my $id = $self->_first($css);
    $self->_ask('POST', "/element/$id/clear");
    return $self->_ask('POST', "/element/$id/value", { text => $text });
}

my %key = (Tab => "\x{E004}", Enter => "\x{E007}", Down => "\x{E015}", Space => ' ');

sub press
{
    my ($self, @keys) = @_;
    my @actions;
    for my $name (@keys) {
        my $shift = $name =~ /^Shift\+(.+)/ ? "\x{E008}" : undef;
        my $plain = $shift ? $1 : $name;
        push @actions, { type => 'keyDown', value => $shift } if $shift;
        push @actions, map { ({ type => 'keyDown', value => $_ }, { type => 'keyUp', value => $_ }) } $key{$plain} // split //, $plain;
        push @actions, { type => 'keyUp', value => $shift } if $shift;
    }
    return $self->_ask('POST', '/actions', { actions => [{ type => 'key', id => 'keyboard', actions => \@actions }] });
}

sub run
{
    my ($self, $script, @arguments) = @_;
    return $self->_ask('POST', '/execute/sync', { script => $script, args => \@arguments });
}

sub overflow
{
    my ($self) = @_;
    return $self->run('return document.documentElement.scrollWidth - document.documentElement.clientWidth') // 0;
}

sub complaints
{
    my ($self) = @_;
    my $entries = $self->_ask('POST', '/se/log', { type => 'browser' });
    return map { "$_->{level} $_->{source}: $_->{message}" } grep { $_->{level} =~ /SEVERE|WARNING/ } @$entries;
}

sub headers
{
    my ($self, %headers) = @_;
    $self->_devtools('Network.enable');
    return $self->_devtools('Network.setExtraHTTPHeaders', headers => \%headers);
}

sub dark
{
    my ($self, $on) = @_;
    return $self->_devtools('Emulation.setEmulatedMedia',
        features => [{ name => 'prefers-color-scheme', value => $on ? 'dark' : 'light' }]);
}

sub size
{
    my ($self, $width, $height, $phone) = @_;
    return $self->_devtools('Emulation.setDeviceMetricsOverride',
        width => $width, height => $height, deviceScaleFactor => $phone ? 2 : 1, mobile => $phone ? JSON::PP::true : JSON::PP::false);
}

sub screenshot
{
    my ($self, $path) = @_;
    my $shot = $self->_devtools('Page.captureScreenshot', format => 'png', captureBeyondViewport => JSON::PP::true);
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out decode_base64($shot->{data});
    close $out or die "$path: $!\n";
}

1;
