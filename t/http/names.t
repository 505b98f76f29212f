#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Names in every script: which of them are one, which are two (t/data/names.tsv),
# and which characters come back as they were sent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(time);

my $s = Scim::Httpd->new;
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# Each row: verdict, a name, another, what it shows.
sub pairs
{
    my $unescape = sub { return $_[0] =~ s/\\u([0-9a-f]{4})|\\U([0-9a-f]{8})/chr hex($1 \/\/ $2)/ger };
    my @rows = grep { !/^#/ } split /\n/, slurp("$FindBin::Bin/../data/names.tsv");
    return map { my @field = split /\t/; [$field[0], $unescape->($field[1]), $unescape->($field[2]), $field[5]] } @rows;
}

# So that the pairs do not meet each other: the letters of a number, which no
# row has before or behind it.
sub marked
{
    my ($row, $name) = @_;
    return "pair$row:$name:end";
}

sub found
{
    my ($name) = @_;
    my $r = $s->get('/Users?count=9&filter=' . esc('userName eq ' . $json->encode($name)));
    return $r->status == 200 ? $r->json->{totalResults} : $r->status;
}

subtest 'C-033 C-310 S-30 pairs of names' => sub {
    my @pairs = pairs();
    cmp_ok(scalar @pairs, '>=', 50, 'there are enough');
    for my $i (0 .. $#pairs) {
        my ($verdict, $one, $other, $what) = @{ $pairs[$i] };
        my ($first, $second) = map { marked($i, $_) } $one, $other;
        $s->post('/Users', user($first))->status == 201 or fail("$what: the first"), next;
        if ($verdict eq 'same') {
            is(found($second), 1, "$what: a filter finds it by the other name");
            is_error($s->post('/Users', user($second)), 409, 'uniqueness', "$what: taken");
        } else {
            is(found($second), 0, "$what: a filter does not find it by the other name");
            my $r = $s->post('/Users', user($second));
            is($r->status, 201, "$what: not taken");
            is($r->json->{userName}, $second, "$what: kept as it was sent");
        }
    }
};

subtest 'C-033 a name cannot be changed to a twin of another either' => sub {
    my $first = made($s, '/Users', user("Zo\x{eb}"));
    my $path = '/Users/' . made($s, '/Users', user('chloe'))->{id};
    for my $twin ("zoe\x{308}", "ZO\x{cb}", "\x{ff3a}o\x{eb}") {
        is_error($s->put($path, user($twin)), 409, 'uniqueness', 'PUT');
        is_error($s->patch($path, ops(['replace', 'userName', $twin])), 409, 'uniqueness', 'PATCH');
        is_error($s->patch($path, ops(['replace', undef, { userName => $twin }])), 409, 'uniqueness', 'PATCH without a path');
    }
    my $own = "/Users/$first->{id}";
    is($s->patch($own, ops(['replace', 'userName', "ZOE\x{308}"]))->json->{userName}, "ZOE\x{308}", 'but its own to a twin of it');
    is_error($s->post('/Users', user("zo\x{eb}")), 409, 'uniqueness', 'which is taken as well');
};

# Bytes of a body as they are; what is no UTF-8 cannot be written in another way.
sub body_of
{
    my ($bytes) = @_;
    return qq({"schemas":["$USER"],"userName":"zoo","title":"$bytes"});
}

subtest 'C-009 bytes that are no UTF-8' => sub {
    my %bad = (
        'a byte alone' => "\x80", 'an end too many' => "a\xc3\xa9\xa9", 'a beginning alone' => "\xc3", 'cut in three' => "\xe2\x82",
        'cut in four' => "\xf0\x9f\x98", 'overlong slash' => "\xc0\xaf", 'overlong NUL' => "\xc0\x80", 'overlong in three' => "\xe0\x80\xaf",
        'overlong in four' => "\xf0\x80\x80\xaf", 'high surrogate' => "\xed\xa0\x80", 'low surrogate' => "\xed\xbf\xbf",
        'a pair of them (CESU-8)' => "\xed\xa0\xbd\xed\xb8\x80", 'U+110000' => "\xf4\x90\x80\x80", 'five bytes' => "\xf8\x88\x80\x80\x80",
        'six bytes' => "\xfc\x84\x80\x80\x80\x80", 'FE' => "\xfe", 'FF' => "\xff", 'NUL' => "\0", 'Latin-1' => "Z\xfcrich",
        'escaped NUL' => '\u0000', 'escaped high surrogate' => '\ud83d', 'escaped low surrogate' => '\ude00',
        'escaped pair the wrong way' => '\ude00\ud83d', 'a pair broken off' => '\ud83d\u0041',
    );
    for my $what (sort keys %bad) {
        is_error($s->post('/Users', body_of($bad{$what})), 400, 'invalidSyntax', $what);
        is_error($s->post('/Users', qq({"schemas":["$USER"],"userName":"zoo","$bad{$what}":1})), 400, 'invalidSyntax', "$what, in a name");
    }
    is(found('zoo'), 0, 'nothing was made');
};

subtest 'S-40 characters that are rare come back as they were sent' => sub {
    my %text = (
        'noncharacters' => "\x{fffe}\x{ffff}\x{fdd0}\x{1fffe}\x{10ffff}", 'unassigned' => "\x{378}\x{e0080}", 'private' => "\x{e000}\x{f0000}",
        'a byte order mark' => "\x{feff}a\x{feff}", 'four bytes' => "\x{1f600}\x{20000}", 'right to left' => "\x{5d0}\x{627}\x{202e}abc\x{202c}",
        'ten thousand marks' => 'a' . "\x{301}\x{323}" x 5000, 'lines' => "\x{85}\x{2028}\x{2029}\n\r\t", 'controls' => "\x{1}\x{1b}\x{7f}\x{9b}",
        'quotes' => q("\\/'`<>&), 'zero width' => "\x{200b}\x{200d}\x{2060}", 'tags' => "\x{e0001}\x{e0061}", 'not composed' => "e\x{301}\x{c5}A\x{30a}",
    );
    for my $what (sort keys %text) {
        my $r = $s->post('/Users', user("rare $what", title => $text{$what}));
        is($r->status, 201, $what);
        is($s->get('/Users/' . $r->json->{id})->json->{title}, $text{$what}, "$what: the same");
    }
};

subtest 'C-310 a name of ten thousand marks is a name, in no time' => sub {
    my $name = 'marks' . "\x{301}\x{323}" x 5000;
    my $twin = 'MARKS' . "\x{323}\x{301}" x 5000;
    my $before = time;
    is($s->post('/Users', user($name))->status, 201, 'taken');
    # Marks of two classes are in canonical order by class, whatever the order they came in.
    is_error($s->post('/Users', user('marks' . "\x{323}" x 5000 . "\x{301}" x 5000)), 409, 'uniqueness', 'in canonical order: the same');
    is_error($s->post('/Users', user($twin)), 409, 'uniqueness', 'in another: the same');
    is($s->post('/Users', user($name . "\x{301}"))->status, 201, 'one more is another');
    cmp_ok(time - $before, '<', 5, 'soon');
    for my $bad ("a\x{202e}b", "a\x{2066}b", "a\x{1}", "a\x{7f}", "a\x{85}", "a\nb", "a\tb") {
        is_error($s->post('/Users', user($bad)), 400, 'invalidValue', sprintf 'U+%04X', ord substr $bad, 1);
    }
};

$s->log_clean;
done_testing();
