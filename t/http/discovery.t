#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What the server tells of itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Scim::Body;
use Scim::Httpd;
use Test::More;

my $URN = 'urn:ietf:params:scim:schemas:core:2.0';

my $s = Scim::Httpd->new(location => "SCIMDefaultPageSize 2\nSCIMMaxPageSize 50");
my $config = $s->get('/ServiceProviderConfig')->json;
my %schema = map { $_->{id} => $_ } @{ $s->get('/Schemas')->json->{Resources} };
my %type = map { $_->{id} => $_ } @{ $s->get('/ResourceTypes')->json->{Resources} };

# Calls sub with each attribute and sub-attribute and where it stands.
sub each_attribute
{
    my ($sub, $attributes, $where) = @_;
    for my $attribute (@$attributes) {
        $sub->($attribute, "$where.$attribute->{name}");
        each_attribute($sub, $attribute->{subAttributes} || [], "$where.$attribute->{name}");
    }
}

sub attribute
{
    my ($urn, @names) = @_;
    my $attributes = $schema{$urn}{attributes};
    my $found;
    for my $name (@names) {
        ($found) = grep { $_->{name} eq $name } @$attributes;
        $attributes = $found->{subAttributes};
    }
    return $found;
}

subtest 'C-270 ServiceProviderConfig is one object with all that is required' => sub {
    my $r = $s->get('/ServiceProviderConfig');
    is($r->status, 200, 'the status');
    is_deeply($config->{schemas}, ["$URN:ServiceProviderConfig"], 'schemas');
    for my $feature (qw(patch bulk filter changePassword sort etag)) {
        like($r->content, qr/"$feature":\{"supported":(?:true|false)/, "$feature.supported is a boolean");
    }
    like($r->content, qr/"$_":\d+/, "$_ is a number") for qw(maxOperations maxPayloadSize maxResults);
    is($config->{filter}{maxResults}, 50, 'maxResults is SCIMMaxPageSize');
    ok($config->{$_}{supported}, "$_ is supported") for qw(patch filter etag);
    ok(@{ $config->{authenticationSchemes} }, 'authenticationSchemes');
    is($config->{authenticationSchemes}[0]{$_} // '', { type => 'oauthbearertoken' }->{$_}, $_) for 'type';
    ok($config->{authenticationSchemes}[0]{$_}, "authenticationSchemes.$_") for qw(name description);
    is_deeply($config->{meta}, { resourceType => 'ServiceProviderConfig', location => $s->base . '/ServiceProviderConfig' }, 'meta');
    is_error($s->get('/ServiceProviderConfig/x'), 404, undef, 'nothing is below it');
};

subtest 'C-143 ServiceProviderConfig tells how lists are paged' => sub {
    like($s->get('/ServiceProviderConfig')->content, qr/"pagination":\{"cursor":(?:true|false),"index":true/, 'booleans');
    is($config->{pagination}{defaultPaginationMethod}, 'index', 'the method');
    is($config->{pagination}{defaultPageSize}, 2, 'SCIMDefaultPageSize');
    is($config->{pagination}{maxPageSize}, 50, 'SCIMMaxPageSize');
};

subtest 'C-271 ServiceProviderConfig needs no token, all else does' => sub {
    my $r = $s->get('/ServiceProviderConfig', authorization => undef);
    is($r->status, 200, 'the status');
    is_deeply($r->json, $config, 'the same');
    is($s->request('HEAD', '/ServiceProviderConfig', undef, authorization => undef)->status, 200, 'HEAD');
    is_error($s->get($_, authorization => undef), 401, undef, $_)
        for qw(/Schemas /ResourceTypes /ResourceTypes/User /Users /ServiceProviderConfig/x / /Nothing);
    is_error($s->post('/ServiceProviderConfig', {}, authorization => undef), 401, undef, 'POST of it');
};

subtest 'C-272 lists of discovery are whole' => sub {
    for my $query ('', '?count=1', '?startIndex=2', '?sortBy=id&sortOrder=descending', '?attributes=id', '?excludedAttributes=name') {
        for my $path (qw(/Schemas /ResourceTypes)) {
            my $list = $s->get("$path$query")->json;
            is_deeply($list->{schemas}, [$LIST], "$path$query: schemas");
            is($list->{startIndex}, 1, "$path$query: startIndex");
            my %entries = map { $_->{id} => $_ } @{ $list->{Resources} };
            is_deeply(\%entries, $path eq '/Schemas' ? \%schema : \%type, "$path$query: the entries");
            is($list->{totalResults}, keys %entries, "$path$query: totalResults");
            is($list->{itemsPerPage}, keys %entries, "$path$query: itemsPerPage");
        }
    }
};

subtest 'C-273 a filter on discovery is 403' => sub {
    my $query = '?filter=' . esc('id eq "User"');
    is_error($s->get("$_$query"), 403, undef, $_)
        for '/Schemas', '/ResourceTypes', '/ServiceProviderConfig', "/Schemas/$USER", '/ResourceTypes/User';
};

subtest 'C-274 one schema, one resource type' => sub {
    for my $urn (sort keys %schema) {
        my $r = $s->get("/Schemas/$urn");
        is_deeply($r->json, $schema{$urn}, $urn);
        is($r->header('content-location'), $schema{$urn}{meta}{location}, "$urn: where it is");
        is_deeply($s->get('/Schemas/' . uc $urn)->json, $schema{$urn}, "$urn in capitals");
        is_deeply($s->get('/Schemas/' . esc($urn))->json, $schema{$urn}, "$urn escaped");
        is_deeply($s->get($schema{$urn}{meta}{location})->json, $schema{$urn}, "$urn: meta.location leads to it");
    }
    for my $name (sort keys %type) {
        is_deeply($s->get("/ResourceTypes/$name")->json, $type{$name}, $name);
        is_deeply($s->get($type{$name}{meta}{location})->json, $type{$name}, "$name: meta.location leads to it");
    }
    is_error($s->get($_), 404, undef, $_) for '/Schemas/urn:example:none', '/Schemas/User', '/ResourceTypes/None', '/ResourceTypes/Users';
};

subtest 'C-275 a resource type' => sub {
    is(join(' ', sort keys %type), 'Group User', 'the types');
    my %endpoint = (User => '/Users', Group => '/Groups');
    for my $name (sort keys %type) {
        my $one = $type{$name};
        is_deeply($one->{schemas}, ["$URN:ResourceType"], "$name: schemas");
        is($one->{name}, $name, "$name: name");
        is($one->{endpoint}, $endpoint{$name}, "$name: endpoint");
        is($one->{schema}, "$URN:$name", "$name: schema");
        is_deeply($one->{meta}, { resourceType => 'ResourceType', location => $s->base . "/ResourceTypes/$name" }, "$name: meta");
    }
    is_deeply($type{User}{schemaExtensions}, [{ schema => $ENTERPRISE, required => JSON::PP::false }], 'extensions of User');
};

subtest 'C-276 a schema tells all of each attribute' => sub {
    my %words = (
        type => qr/^(?:string|boolean|decimal|integer|dateTime|reference|binary|complex)$/,
        mutability => qr/^(?:readOnly|readWrite|immutable|writeOnly)$/,
        returned => qr/^(?:always|never|default|request)$/,
        uniqueness => qr/^(?:none|server|global)$/,
    );
    for my $urn (sort keys %schema) {
        my $one = $schema{$urn};
        is_deeply($one->{schemas}, ["$URN:Schema"], "$urn: schemas");
        ok($one->{name} && $one->{description}, "$urn: name and description");
        is_deeply($one->{meta}, { resourceType => 'Schema', location => $s->base . "/Schemas/$urn" }, "$urn: meta");
        my @bad;
        each_attribute(sub {
            my ($attribute, $where) = @_;
            push @bad, "$where: no name" if ($attribute->{name} // '') !~ /^[\$A-Za-z][\w\$-]*$/;
            push @bad, "$where: no description" if ($attribute->{description} // '') !~ /\S/;
            for my $word (sort keys %words) {
                next if $word eq 'uniqueness' && $attribute->{type} =~ /^(?:complex|boolean)$/ && !defined $attribute->{uniqueness};
                push @bad, "$where: $word" if ($attribute->{$word} // '') !~ $words{$word};
            }
            push @bad, "$where: $_" for grep { !JSON::PP::is_bool($attribute->{$_}) } qw(multiValued required);
        }, $one->{attributes}, $urn);
        is(join("\n", @bad), '', "$urn: every attribute");
    }
};

subtest 'C-277 every schema that is used is there, messages are not' => sub {
    for my $one (values %type) {
        ok($schema{$_}, "$one->{name}: $_") for $one->{schema}, map { $_->{schema} } @{ $one->{schemaExtensions} || [] };
    }
    is(scalar(grep { /:api:messages:/ } keys %schema), 0, 'no messages');
    is_error($s->get("/Schemas/$_"), 404, undef, $_) for $LIST, $PATCH_OP, $ERROR;
};

subtest 'C-278 complex attributes and references are what they may be' => sub {
    my (@bad, $complex, $references);
    for my $urn (sort keys %schema) {
        each_attribute(sub {
            my ($attribute, $where) = @_;
            my $subs = $attribute->{subAttributes};
            my $is_complex = $attribute->{type} eq 'complex';
            $complex++ if $is_complex;
            $references++ if $attribute->{type} eq 'reference';
            push @bad, "$where: complex without subAttributes" if $is_complex && !($subs && @$subs);
            push @bad, "$where: subAttributes of what is not complex" if !$is_complex && $subs;
            push @bad, "$where: caseExact of a complex attribute" if $is_complex && $attribute->{caseExact};
            push @bad, "$where: uniqueness of a complex attribute" if $is_complex && ($attribute->{uniqueness} // 'none') ne 'none';
            push @bad, "$where: a reference to nothing" if $attribute->{type} eq 'reference' && !@{ $attribute->{referenceTypes} || [] };
            push @bad, "$where: referenceTypes of no reference" if $attribute->{type} ne 'reference' && $attribute->{referenceTypes};
            # Only the schema of schemas describes attributes of attributes.
            push @bad, "$where: complex in a complex one"
                if $urn ne "$URN:Schema" && $is_complex && grep { $_->{type} eq 'complex' } @$subs;
        }, $schema{$urn}{attributes}, $urn);
    }
    is(join("\n", @bad), '', 'all attributes');
    ok($complex && $references, "there were $complex complex ones and $references references");
};

subtest 'C-279 what the errata say' => sub {
    ok(attribute($GROUP, 'displayName')->{required}, '5368: displayName of a group is required');
    is_deeply(attribute($USER, 'groups', '$ref')->{referenceTypes}, ['Group'], '8471: groups.$ref leads to groups');
    ok(attribute($ENTERPRISE, 'manager', 'value')->{caseExact}, '8472: manager.value is caseExact');
    ok(attribute($GROUP, 'members', 'display'), '6011: members.display is there');
    for my $urn (sort keys %schema) {
        each_attribute(sub {
            my ($attribute, $where) = @_;
            ok($attribute->{caseExact}, "6001: $where is caseExact") if $attribute->{type} eq 'reference';
        }, $schema{$urn}{attributes}, $urn);
    }
    if ($schema{"$URN:ResourceType"}) {
        ok(attribute("$URN:ResourceType", 'schemaExtensions')->{multiValued}, '7522: schemaExtensions is multi-valued');
        ok(attribute("$URN:ResourceType", 'endpoint')->{caseExact}, '8475: endpoint is caseExact');
    }
    if ($schema{"$URN:Schema"}) {
        my $types = attribute("$URN:Schema", 'attributes', 'type')->{canonicalValues};
        ok(scalar(grep { $_ eq 'binary' } @$types), '5606, 8435: binary is a type');
    }
};

# A value of the attribute's type that is stored as it is.
sub example
{
    my ($attribute) = @_;
    my $type = $attribute->{type};
    return $attribute->{name} =~ /^country$/ ? 'DE' : 'x' if $type eq 'string';
    return JSON::PP::true if $type eq 'boolean';
    return 'https://example.com/x' if $type eq 'reference';
    return 'TUlJ' if $type eq 'binary';
    return '2026-01-02T03:04:05.000000Z' if $type eq 'dateTime';
    return 7 if $type eq 'integer';
    my %value = map { $_->{name} => example($_) } grep { $_->{mutability} eq 'readWrite' } @{ $attribute->{subAttributes} };
    return \%value;
}

subtest 'C-280 what the schemas of a user declare is stored, told and found' => sub {
    for my $urn ($USER, $ENTERPRISE) {
        for my $attribute (grep { $_->{mutability} eq 'readWrite' } @{ $schema{$urn}{attributes} }) {
            my $name = $attribute->{name};
            next if $name eq 'userName' || $name eq 'manager';
            my $value = example($attribute);
            $value = [$value] if $attribute->{multiValued};
            my $body = $urn eq $USER ? { $name => $value } : { $urn => { $name => $value } };
            my $made = made($s, '/Users', user("has $name", %$body));
            is_deeply($urn eq $USER ? $made->{$name} : $made->{$urn}{$name}, $value, "$name is stored and told");
            my $filter = qq(id eq "$made->{id}" and $urn:$name pr);
            is($s->get('/Users?filter=' . esc($filter))->json->{totalResults}, 1, "$name is found");
        }
    }
};

subtest 'C-281 no null in what discovery tells' => sub {
    unlike($s->get($_)->content, qr/[:,\[]null\b/, $_) for qw(/ServiceProviderConfig /ResourceTypes /Schemas);
};

subtest 'C-282 discovery has ETags' => sub {
    for my $path (qw(/ServiceProviderConfig /ResourceTypes /ResourceTypes/User /Schemas)) {
        my $first = $s->get($path);
        my $etag = $first->header('etag');
        like($etag, qr{^W/"\d+"$}, "$path: an ETag");
        my $again = $s->get($path, 'if-none-match' => $etag);
        is($again->status, 304, "$path: not modified");
        is($again->content, '', "$path: nothing is sent");
        is($again->header('etag'), $etag, "$path: the ETag is told again");
        is($s->get($path, 'if-none-match' => 'W/"1"')->content, $first->content, "$path: another ETag");
    }
};

$s->log_clean;
done_testing();
