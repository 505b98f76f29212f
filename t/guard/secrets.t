#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# How long a wrong token or password takes to be refused tells nothing of the right
# one.  A token is looked up by its digest, with one read, and by nothing else; what
# is compared with a secret is compared by CRYPTO_memcmp.  In the files that handle
# secrets every other comparison stands in a list here, with what it compares.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Guard;
use Test::More;

# file => { the arguments of a comparison => what they are }
my %allowed = (
    'mod_scim/store/token.c' => {
        'text, PREFIX, PREFIX_LEN' => 'the prefix is public',
        'check, text + PREFIX_LEN + SECRET_LEN, CHECK_LEN' => 'a checksum of what was sent, with what was sent',
        'row->connection, r->row.connection' => 'names of connections',
        'APR_ARRAY_IDX(older, i, scim_older_token).identity.hint, hint' => 'hints, which are shown to the administrator',
        'row->connection, r->connection' => 'names of connections',
        'row->hint, r->hint' => 'hints',
        'text, "read", len' => 'a name of a scope', 'text, "write", len' => 'a name of a scope',
    },
    'mod_scim/store/secret.c' => {
        'fact->stored, stored' => 'two hashes that were both read from the store',
    },
    'mod_scim/httpd/auth.c' => {
        'name, "X-Forwarded", 11' => 'a name of a header', 'name, "Forwarded"' => 'a name of a header',
        'name, "X-Real-IP"' => 'a name of a header', 'name, "Via"' => 'a name of a header',
        'header, "Bearer ", 7' => 'the scheme',
        'name, identity->tenant.name' => 'a tenant of the configuration, with the token\'s',
        'type, "Bearer"' => 'AuthType', 'auth_type, "Bearer"' => 'AuthType',
    },
    'mod_scim/httpd/basic.c' => { 'r->ap_auth_type, "Basic"' => 'the name of what asked' },
);

my $comparison = qr/\b(?:str(?:n?case)?n?cmp|str(?:case)?str|mem(?:cmp|mem)|bcmp|ap_cstr_casecmpn?|apr_cstr_casecmpn?
    |ap_str(?:case)?cmp_match|scim_text_n?casecmp)\b/x;

# The comparisons of a text: [function, arguments in one line, offset].
sub comparisons
{
    my ($text) = @_;
    my @found;
    while ($text =~ /($comparison)\s*(\((?:[^()]++|(?2))*\))/g) {
        my ($function, $arguments, $at) = ($1, $2, $-[0]);
        $arguments =~ s/^\(|\)$//g;
        $arguments =~ s/\s+/ /g;
        push @found, [$function, $arguments, $at];
        pos($text) = $at + length $function; # one may stand within another
    }
    return @found;
}

# The body of a function, without comments; "" where there is none.
sub body_of
{
    my ($text, $name) = @_;
    return $text =~ /\b\Q$name\E\([^;{]*\)\s*(\{(?:[^{}]++|(?1))*\})/ ? $1 : '';
}

# What finds a token, beyond its form: its digest, then one read of the store.
sub lookup_problems
{
    my ($text) = @_;
    my $body = body_of($text, 'scim_token_find');
    my @steps = $body =~ /\b(scim_token_well_formed|token_key|store_get|scim_kv_\w+|each)\s*\(/g;
    my $key = body_of($text, 'token_key');
    my @problems;
    push @problems, "mod_scim/store/token.c: scim_token_find is to check the form, make the key and read once, in this order; it calls @steps"
        if "@steps" ne 'scim_token_well_formed token_key store_get';
    push @problems, 'mod_scim/store/token.c: token_key is to make the key of a digest of the whole token, and of nothing else'
        if $key !~ /digest\w*\([^;{]*\btoken, strlen\(token\)/i || $key !~ /scim_key_bytes\(key, digest, sizeof\(digest\)\)/
        || (() = $key =~ /scim_key_(?!begin)\w+\(/g) != 1;
    return @problems;
}

sub problems
{
    my ($root) = @_;
    my @problems;
    for my $path (sort keys %allowed) {
        my $text = strip_comments(slurp("$root/$path"));
        my %seen;
        for my $found (comparisons($text)) {
            my ($function, $arguments, $at) = @$found;
            $seen{$arguments} = 1;
            next if exists $allowed{$path}{$arguments};
            push @problems, "$path:" . line_of($text, $at) . ": $function($arguments) takes longer the more is equal: use CRYPTO_memcmp for"
                . ' what is secret, or say in t/guard/secrets.t what is compared';
        }
        push @problems, map { "t/guard/secrets.t: $path compares ($_) no longer" } grep { !$seen{$_} } sort keys %{ $allowed{$path} };
    }
    return (@problems, lookup_problems(strip_comments(slurp("$root/mod_scim/store/token.c"))));
}

no_problems('no secret is compared byte by byte', problems(root()));
done_testing();
