# SPDX-License-Identifier: Apache-2.0
# What tests write again and again: bodies, and further endpoints.
package Scim::Body;

use strict;
use warnings;

use Exporter qw(import);
use Scim::Httpd;

our @EXPORT = qw(user group ops made changed answer endpoint tenant_endpoints);

# user('bjensen', title => 'Guide')
sub user
{
    my ($user_name, %more) = @_;
    return { schemas => [$USER], userName => $user_name, %more };
}

# group('Tour Guides', $id, ...): its members by their ids
sub group
{
    my ($name, @ids) = @_;
    return { schemas => [$GROUP], displayName => $name, @ids ? (members => [map { { value => $_ } } @ids]) : () };
}

# ops(['add', 'title', 'Guide'], ['remove', 'nickName'], ['replace', undef, { ... }]):
# op, path, value; what is left out is not sent
sub ops
{
    my @operations = map {
        my ($op, $path, @value) = @$_;
        my %operation = (op => $op, defined $path ? (path => $path) : (), @value ? (value => $value[0]) : ());
        \%operation;
    } @_;
    return { schemas => [$PATCH_OP], Operations => \@operations };
}

# The JSON of a resource that must come to be.
sub made
{
    my ($server, $path, $body, %headers) = @_;
    my $response = $server->post($path, $body, %headers);
    die "POST $path: " . $response->status . ' ' . $response->content . "\n" if $response->status != 201;
    return $response->json;
}

# The JSON of a resource after a PATCH of these operations, which must succeed.
sub changed
{
    my ($server, $path, @operations) = @_;
    my $response = $server->patch($path, ops(@operations));
    die "PATCH $path: " . $response->status . ' ' . $response->content . "\n" if $response->status !~ /^20[04]$/;
    return $response->json // $server->get($path)->json;
}

# An answer, its status, headers and body, with what differs from one time to
# the next taken out: the id that was asked about, and those of what was asked.
sub answer
{
    my ($r, $id, @own) = @_;
    my %headers = map { $_ => $r->header($_) } grep { !/^(?:date|keep-alive)$/ } keys %{ $r->headers };
    my $text = join "\n", $r->status, map({ "$_: $headers{$_}" } sort keys %headers), '', $r->content;
    $text =~ s/\Q$id\E/ID/g;
    $text =~ s/\Q$_\E/OWN/g for @own;
    $text =~ s/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/TIME/g;
    $text =~ s/W\/\\?"[^"\\]*\\?"/VERSION/g;
    $text =~ s/^(last-modified: ).*/$1TIME/mg;
    return $text;
}

# The section of a further endpoint, to stand in "conf" beside the one that
# Scim::Httpd makes.
sub endpoint
{
    my ($base, @directives) = @_;
    my @lines = ('SCIMEngine On', 'AuthType Bearer', 'AuthName SCIM', 'Require valid-user', @directives);
    return join "\n", qq{<Location "$base">}, map({ "    $_" } @lines), "</Location>\n";
}

# An endpoint for each tenant, by its name: /t/NAME/v2
sub tenant_endpoints
{
    return <<'EOT';
<LocationMatch "^/t/(?<TENANT>[^/]+)/v2(?=/|$)">
    SCIMEngine On
    SCIMBasePath /t/%{env:MATCH_TENANT}/v2
    SCIMTenant %{env:MATCH_TENANT}
    AuthType Bearer
    AuthName SCIM
    Require valid-user
</LocationMatch>
EOT
}

1;
