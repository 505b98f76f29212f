# SPDX-License-Identifier: Apache-2.0
package Scim::Idp;

=head1 NAME

Scim::Idp - an identity provider whose requests are replayed

=head1 SYNOPSIS

    my $entra = Scim::Idp->new($server, 'content-type' => 'application/scim+json; charset=utf-8');
    my $made = $entra->post('/Users', '{"schemas":["{CU}"],"userName":"babs@contoso.com"}');
    $entra->let(u1 => $made->json->{id});
    my $got = $entra->patch('/Users/{u1}', po('{"op":"Add","path":"{EU}:department","value":"R&D"}'));
    answers($got, 200, { '{EU}/department' => 'R&D' }, 'C-198 the department is there');

=head1 DESCRIPTION

A body is sent byte for byte as it is written, but for names in braces: {CU},
{CG} and {EU} are the URNs of User, Group and EnterpriseUser, and what let()
was given is filled in.  Paths are treated alike; raw => 1 sends a body as is.

=head2 new($server, %headers)

The headers go with each request, Content-Type only where there is a body.
The header "query" is none: its value is added to every query string.

=head2 Functions

    po(@operations)                       a PatchOp message of operations, each as JSON text
    answers($response, $status, \%want, $name)
                                          one test: the status, and of each path its value;
                                          undef: nothing is there.  A path is names and
                                          indexes with slashes between, {EU} among them.
    lists($response, $n, $name)           one test: a ListResponse of $n resources, all of them
    names($response, $attribute)          that attribute of each resource, sorted
    manager_is($idp, $response, $id, $name)
                                          two tests: that is the user's manager, with its $ref
    members_of($response)                 the ids of a group's members, sorted; both are
                                          exported where they are asked for
    true, false                           as JSON has them

=cut

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Scim::Httpd;
use Test::More ();

our @EXPORT = qw(po answers lists names true false);
our @EXPORT_OK = qw(manager_is members_of);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %urn = (CU => $USER, CG => $GROUP, EU => $ENTERPRISE);

sub true { return JSON::PP::true }
sub false { return JSON::PP::false }

sub new
{
    my ($class, $server, %headers) = @_;
    my $query = delete $headers{query};
    return bless { server => $server, headers => \%headers, query => $query, known => {%urn} }, $class;
}

sub let
{
    my ($self, %value) = @_;
    @{ $self->{known} }{ keys %value } = values %value;
    return;
}

sub _fill
{
    my ($known, $text) = @_;
    $text =~ s/\{(\w+)\}/$known->{$1} \/\/ die "nothing is known of {$1}\n"/ge;
    return $text;
}

sub request
{
    my ($self, $method, $path, $body, %headers) = @_;
    my %send = (%{ $self->{headers} }, %headers);
    $path = _fill($self->{known}, $path);
    if ($self->{query}) {
        # As a client does whose base URL has it: in front of its own parameters.
        $path =~ s/\?|\z/"?$self->{query}" . ($& ? '&' : '')/e;
    }
    delete $send{'content-type'} if !defined $body;
    my $raw = delete $send{raw};
    $body = _fill($self->{known}, $body) if defined $body && !$raw;
    return $self->{server}->request($method, $path, $body, %send);
}

sub get { my ($self, $path, %headers) = @_; return $self->request('GET', $path, undef, %headers) }
sub delete { my ($self, $path, %headers) = @_; return $self->request('DELETE', $path, undef, %headers) }
sub post { my ($self, @rest) = @_; return $self->request('POST', @rest) }
sub put { my ($self, @rest) = @_; return $self->request('PUT', @rest) }
sub patch { my ($self, @rest) = @_; return $self->request('PATCH', @rest) }

# The id of a resource that must come to be.
sub made
{
    my ($self, $path, $body) = @_;
    my $response = $self->post($path, $body);
    die "POST $path: " . $response->status . ' ' . $response->content . "\n" if $response->status != 201;
    return $response->json->{id};
}

# --- functions ---------------------------------------------------------------

sub po
{
    my (@operations) = @_;
    return qq({"schemas":["$PATCH_OP"],"Operations":[) . join(',', @operations) . ']}';
}

# What stands at a path of a decoded body.
sub _at
{
    my ($value, $path) = @_;
    for my $name (split m{/}, $path) {
        $value = ref $value eq 'HASH' ? $value->{ _fill(\%urn, $name) }
            : ref $value eq 'ARRAY' && $name =~ /^\d+$/ ? $value->[$name]
            : undef;
    }
    return $value;
}

sub _report
{
    my ($response, $name, @problems) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 2;
    return Test::More::ok(!@problems, $name)
        || Test::More::diag(join "\n", @problems, 'body: ' . $response->content);
}

# What every answer with a body must be.
sub _form_problems
{
    my ($response, $status) = @_;
    return 'the status is ' . $response->status . ", not $status" if $response->status != $status;
    my $type = $response->header('content-type') // 'nothing';
    if ($status == 204) {
        return 'a 204 has a body' if length $response->content;
        return $type eq 'nothing' ? () : "a 204 has Content-Type $type";
    }
    return "Content-Type is $type" if $type ne 'application/scim+json';
    return 'the body is no JSON object' if ref $response->json ne 'HASH';
    return 'there is a null in the body' if $response->content =~ /[:\[,]null[,\]\}]/;
    return;
}

sub answers
{
    my ($response, $status, $want, $name) = @_;
    my @problems = _form_problems($response, $status);
    for my $path (@problems ? () : sort keys %$want) {
        my ($got, $wanted) = (_at($response->json, $path), $want->{$path});
        my ($got_text, $want_text) = map { defined $_ ? $json->encode($_) : 'nothing' } $got, $wanted;
        push @problems, "$path is $got_text, not $want_text" if $got_text ne $want_text;
    }
    return _report($response, $name, @problems);
}

sub lists
{
    my ($response, $n, $name) = @_;
    my @problems = _form_problems($response, 200);
    if (!@problems) {
        my $body = $response->json;
        my $resources = $body->{Resources};
        push @problems, 'schemas is ' . $json->encode($body->{schemas}) if $json->encode($body->{schemas}) ne qq(["$LIST"]);
        # As text: numbers are to be no strings.
        for my $number ([totalResults => $n], [startIndex => 1], [itemsPerPage => $n]) {
            my ($key, $value) = @$number;
            push @problems, "$key is " . $json->encode($body->{$key}) . ", not $value"
                if $response->content !~ /"$key":$value\b/;
        }
        push @problems, 'Resources is ' . $json->encode($resources) if ref $resources ne 'ARRAY' || @$resources != $n;
    }
    return _report($response, $name, @problems);
}

sub names
{
    my ($response, $attribute) = @_;
    return [sort map { $_->{$attribute} // '' } @{ ($response->json || {})->{Resources} || [] }];
}

sub manager_is
{
    my ($idp, $response, $id, $name) = @_;
    my $base = $idp->{server}->base;
    my $ref = eval { $response->json->{$ENTERPRISE}{manager}{'$ref'} } // '';
    answers($response, 200, { '{EU}/manager/value' => $id }, $name);
    Test::More::is($ref, "$base/Users/$id", "$name, with its \$ref");
}

sub members_of
{
    my ($response) = @_;
    return [sort map { $_->{value} } @{ ($response->json || {})->{members} || [] }];
}

1;
