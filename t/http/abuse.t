#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Bodies and queries made to hurt: names given twice, filters without measure,
# numbers at the ends of their types, PATCH and Bulk that reach for what is not
# theirs.  Each is refused as a fault of the client's, soon, and changes nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(time);

my $SEARCH = 'urn:ietf:params:scim:api:messages:2.0:SearchRequest';
my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $slow = $ENV{SCIM_SAN} ? 10 : 1;

my $s = Scim::Httpd->new(conf => "SCIMScanLimit 40\n" . tenant_endpoints());
$s->scimctl(qw(tenant create other));
my @theirs = (authorization => 'Bearer ' . $s->new_token(tenant => 'other', connection => 'x'));
my $foreign = made($s, '/Users', user('foreign', title => 'T'), @theirs);
my @users = map { made($s, '/Users', user("user$_", title => 'T')) } 1 .. 50;
my $user = $users[0];
my $path = "/Users/$user->{id}";
my $group = made($s, '/Groups', group('Guides', $user->{id}));

# All that there is, in both tenants.
sub everything
{
    my $text = '';
    for my $as ([], \@theirs) {
        $text .= $s->get('/?count=1000', @$as)->content;
    }
    return $text;
}

sub bulk
{
    my (@operations) = @_;
    return { schemas => [$BULK], Operations => \@operations };
}

# --- names twice -------------------------------------------------------------

# A name and another that is the same: exactly, in other case, by an escape, by both.
sub twins
{
    my ($name) = @_;
    my ($escaped, $other) = map { sprintf '\u%04x%s', ord, substr $_, 1 } $name, uc $name;
    return (['exactly', $name, $name], ['in other case', $name, uc $name], ['by an escape', $name, $escaped], ['by an escape in other case', $name, $other],
        ['by escapes', $escaped, $escaped]);
}

subtest 'C-024 a name twice, wherever it stands' => sub {
    my $before = everything();
    my $head = qq("schemas":["$USER"]);
    my @inner = twins('value');
    for my $twin (twins('userName')) {
        my ($what, $pair, $inner) = ($twin->[0], map { qq("$_->[1]":"a","$_->[2]":"b") } $twin, shift @inner);
        my %at = (
            'POST' => ['POST', '/Users', "{$head,$pair}"],
            'POST, in an element' => ['POST', '/Users', qq({$head,"userName":"x","emails":[{$inner}]})],
            'POST, in an extension' => ['POST', '/Users', qq({$head,"userName":"x","$ENTERPRISE":{"manager":{$inner}}})],
            'POST, in what nobody knows' => ['POST', '/Users', qq({$head,"userName":"x","x":[[{"y":{$pair}}]]})],
            'PUT' => ['PUT', $path, "{$head,$pair}"],
            'PATCH, in a value' => ['PATCH', $path, qq({"schemas":["$PATCH_OP"],"Operations":[{"op":"add","value":{$pair}}]})],
            'PATCH, in an operation' => ['PATCH', $path, qq({"schemas":["$PATCH_OP"],"Operations":[{"op":"add","path":"title","value":"x",$pair}]})],
            'PATCH, in the message' => ['PATCH', $path, qq({"schemas":["$PATCH_OP"],$pair,"Operations":[{"op":"add","path":"title","value":"x"}]})],
            '.search' => ['POST', '/Users/.search', qq({"schemas":["$SEARCH"],$pair})],
            'Bulk, in data' => ['POST', '/Bulk', qq({"schemas":["$BULK"],"Operations":[{"method":"POST","path":"/Users","bulkId":"1","data":{$head,$pair}}]})],
            'Bulk, in one of two' => ['POST', '/Bulk', qq({"schemas":["$BULK"],"Operations":[{"method":"POST","path":"/Users","bulkId":"1",)
                    . qq("data":{$head,"userName":"good"}},{"method":"POST","path":"/Users","bulkId":"2","data":{$head,$pair}}]})],
            'Bulk, in an operation' => ['POST', '/Bulk', qq({"schemas":["$BULK"],"Operations":[{"method":"DELETE","path":"$path",$pair}]})],
        );
        is_error($s->request(@{ $at{$_} }), 400, 'invalidSyntax', "$what: $_") for sort keys %at;
    }
    is_error($s->post('/Bulk', qq({"schemas":["$BULK"],"Operations":[],"operations":[]})), 400, 'invalidSyntax', 'Operations of a job');
    is_error($s->patch($path, qq({"schemas":["$PATCH_OP"],"Operations":[{"op":"remove","path":"title","OP":"add"}]})), 400, 'invalidSyntax', 'op');
    is(everything(), $before, 'nothing has changed');
};

# --- queries -----------------------------------------------------------------

# By GET where it fits into a URL, and by .search.
sub queried
{
    my ($filter) = @_;
    my @answers = $s->post('/Users/.search', { schemas => [$SEARCH], filter => $filter });
    push @answers, $s->get('/Users?filter=' . esc($filter)) if length esc($filter) < 7000;
    return @answers;
}

subtest 'C-105 C-098 filters without measure' => sub {
    my %filter = (
        '100 KB of text' => 'userName eq "' . 'x' x 100_000 . '"', '10,000 terms' => join(' or ', ('userName eq "x"') x 10_000),
        '500 parentheses' => '(' x 500 . 'userName pr' . ')' x 500, '10,000 times not' => 'not (' x 10_000 . 'userName pr' . ')' x 10_000,
        '1,000 times not' => 'not (' x 1000 . 'userName pr' . ')' x 1000, 'parentheses that close' => ')' x 2000, 'brackets' => 'emails[' x 1000,
        'an attribute of 100 KB' => 'x' x 100_000 . ' pr', 'a path of 4,000 parts' => 'a.' x 4000 . 'b pr', 'an operator of 5,000' => 'userName ' . 'e' x 5000 . ' "x"',
        'a number of 5,000 digits' => 'active eq ' . '1' x 5000, 'spaces' => ' ' x 5000, 'backslashes' => 'userName eq "' . '\\' x 4001,
        'an escaped NUL' => 'userName eq "a\u0000b"', 'a lone surrogate' => 'userName eq "\ud800"',
        'no attribute' => 'nothing.at.all pr', 'no sub-attribute' => 'userName.x eq "y"', 'a value path in a value path' => 'emails[type[x pr]]',
        'two filters' => 'userName pr userName pr', 'a statement behind it' => 'userName pr; DROP TABLE users', 'a comment' => 'userName pr -- ',
        'another quote' => "userName eq 'x' or 'a'='a'", 'LDAP' => '(|(uid=*)(uid=*))',
        'an object' => '{"$ne":null}', 'a template' => '${7*7} eq "x"', 'a variable' => '%{env:PATH} eq "x"', 'a regular expression' => 'userName =~ /(a+)+$/',
        'a path up' => '../../Groups pr', 'a URL' => 'http://evil.example/ pr', 'an internal name' => '__proto__ pr', 'a hash' => 'passwordHash pr',
    );
    for my $what (sort keys %filter) {
        my $start = time;
        my @answers = queried($filter{$what});
        cmp_ok(time - $start, '<', $slow, "$what: at once");
        for my $r (@answers) {
            is_error($r, 400, 'invalidFilter', $what);
            cmp_ok(length(($r->json || {})->{detail} // ''), '<=', 1024, "$what: a detail of bounded length");
        }
    }
    my ($sent, $got) = queried("userName eq \"a\0b\"");
    is_error($sent, 400, 'invalidSyntax', 'a NUL in a body');
    is_error($got, 400, 'invalidValue', 'a NUL in a URL');
    # What stands without quotes is text, where it is taken at all.
    for my $text ('`id`', '*', 'user*', '$HOME', "'user1'") {
        my ($r) = queried("userName eq $text");
        ok($r->status == 400 || $r->json->{totalResults} == 0, "$text finds nobody");
    }
};

subtest 'C-106 S-33 what is looked at is bounded, and what is found is what was asked for' => sub {
    is_error($_, 400, 'tooMany', 'all of title') for queried('title co "x"'), queried('not (userName eq "user1")'), queried('title eq "T" or id pr');
    is_error($s->get('/Users?sortBy=title'), 400, 'tooMany', 'a sort');
    my $terms = join ' or ', map { qq(title co "$_") } 1 .. 190;
    is_error($_, 400, 'tooMany', '190 terms') for queried($terms);
    is($_->json->{totalResults}, 1, 'an index leads there') for queried(qq(userName eq "user7" and (title eq "T" or $terms)));
    for my $value ('*', '%', '_', 'user*', 'user1" or userName eq "user2', "user1' or '1'='1", 'user1\\', 'user1)', '\u0075ser1 ', 'user1%00', "user1\n", '$user1', '{"$gt":""}', '.*') {
        is($_->json->{totalResults}, 0, 'no user is called ' . $json->encode($value)) for queried('userName eq ' . $json->encode($value));
    }
    is($_->json->{totalResults}, 1, 'but one is called so by escapes') for queried('userName eq "\u0075\u0073er1"');
};

subtest 'C-110 C-111 C-116 numbers of pages' => sub {
    my @huge = qw(2147483647 2147483648 4294967296 9223372036854775807 9223372036854775808 18446744073709551616 99999999999999999999999999);
    for my $url ('/Users', '/Groups', '/') {
        for my $start ('0', '-0', '-1', map { ($_, "-$_") } @huge) {
            for my $count ('', '&count=0', '&count=-1', "&count=$huge[3]", "&count=-$huge[5]", '&count=1000') {
                my $r = $s->get("$url?startIndex=$start$count");
                my $list = $r->json || {};
                my $good = $r->status == 200 && @{ $list->{Resources} || [] } == $list->{itemsPerPage}
                    && ($start =~ /^[1-9]/ || $count =~ /=(?:0|-)/ ? $list->{itemsPerPage} == 0 : $list->{startIndex} == 1 && $list->{itemsPerPage} > 0);
                ok($good, "$url startIndex=$start$count") or diag($r->status . ' ' . substr $r->content, 0, 300);
            }
        }
        for my $bad ('1e3', '""', '', '0x1', '1.0', '+1', '1%20', '%2B1', 'NaN', '[1]', '%EF%BC%91', '1%00', '1;2', '1,2') {
            is_error($s->get("$url?$_=$bad"), 400, 'invalidValue', "$url $_=$bad") for qw(startIndex count);
        }
    }
    for my $number (qw(2147483648 9223372036854775807 -9223372036854775808)) {
        my $r = $s->post('/Users/.search', qq({"schemas":["$SEARCH"],"startIndex":$number,"count":$number}));
        is($r->status, 200, ".search: $number");
    }
    is_error($s->post('/Users/.search', qq({"schemas":["$SEARCH"],"count":$_})), 400, 'invalidSyntax', ".search: $_")
        for '9223372036854775808', '1' x 5000, '1e400', '01';
    is_error($s->post('/Users/.search', qq({"schemas":["$SEARCH"],"count":$_})), 400, 'invalidValue', ".search: $_") for '1e3', '"1"', '1.0', '[1]', 'true';
    is_error($s->get("/Users?$_"), 400, 'invalidValue', $_)
        for 'count=1&count=1', 'startIndex=1&STARTINDEX=2', 'attributes=userName&excludedAttributes=title', 'sortBy=nothing', 'sortBy=userName&sortBy=title',
        'sortBy=userName&sortOrder=up', 'sortBy=..%2fx', 'sortBy=' . 'x' x 5000;
    # Whom to leave out is no way to what is never told.
    is($s->get("/Users?attributes=$_&count=1")->status, 200, "attributes=$_") for '__proto__', 'x' x 5000, join(',', ('userName') x 500), 'password', ',,,';
};

# --- PATCH -------------------------------------------------------------------

subtest 'C-173 C-206 S-19 PATCH, whole or not at all' => sub {
    my $before = $s->get($path);
    my @good = map { ['replace', 'title', "T$_"] } 1 .. 200;
    for my $at (0, 1, 100, 199, 200) {
        for my $bad (['add', 'nothing', 'x'], ['replace', 'id', 'x'], ['remove'], ['explode', 'title'], ['add', 'active', 'perhaps'], ['replace', 'userName', 'user2'],
            ['remove', 'userName'], ['replace', 'emails[type eq', 'x'])
        {
            my $r = $s->patch($path, ops(@good[0 .. $at - 1], $bad, @good[$at .. $#good]));
            like($r->status, qr/^4(?:00|09)$/, "@$bad[0, 1] at $at") if defined $bad->[1];
            is($r->status, 400, "remove without a path at $at") if !defined $bad->[1];
        }
    }
    my $now = $s->get($path);
    is($now->content, $before->content, 'nothing has changed');
    is($now->header('etag'), $before->header('etag'), 'the version neither');

    my $start = time;
    is_error($s->patch($path, ops((['replace', 'title', 'x']) x 10_001)), 413, undef, '10,001 operations');
    my $r = $s->patch($path, ops((['replace', 'title', 'T'], ['add', 'title', 'T'], ['replace', undef, { title => 'T' }], ['remove', 'nickName']) x 2500));
    is($r->status, 200, '10,000 operations');
    is($s->get($path)->header('etag'), $before->header('etag'), 'that come to nothing leave the version alone');
    cmp_ok(time - $start, '<', 5 * $slow, 'soon');
};

subtest 'C-194 C-196 C-197 PATCH paths that reach for what is not there' => sub {
    my $before = everything();
    my @inner = ('__proto__', '__proto__.polluted', 'constructor', 'constructor.prototype', 'toString', 'hasOwnProperty', '.', '..', '../title', '/title', 'title/',
        '/Users/' . $users[1]{id} . '/title', "$path:title", 'title.x', 'name.givenName.x', 'emails[', 'emails[]', 'emails[value', 'emails[value eq]', 'emails[value eq "x"',
        'emails[value eq "x"].', 'emails[value eq "x"].nothing', 'emails[value eq "x"]]', 'emails[value eq "x"].value.x', 'emails[0]', 'emails[*]', 'emails.0', '$', '$ref', '*',
        'members', 'members[value eq "x"]', 'urn:', 'urn:x', "$USER:", "$USER:nothing", "$USER:emails[", "$ENTERPRISE:", "$ENTERPRISE:manager.nothing", "$ENTERPRISE:userName",
        "$GROUP:members", ' ', 'title ', ' title', "title\0", "title\n", "ti\ttle", 'title eq "x"', 'not (title pr)', '[title eq "x"]', 'title[value eq "x"]', 'x' x 5000, 'a.' x 5000,
        '(' x 5000, 'emails[' . '(' x 5000, 'emails[' . 'not (' x 5000, 'emails[' . join(' or ', ('value eq "x"') x 5000) . ']');
    for my $inner (@inner) {
        for my $op (qw(add replace remove)) {
            my $r = $s->patch($path, ops([$op, $inner, $op eq 'remove' ? () : 'x']));
            like($r->status, qr/^400$/, "$op " . $json->encode(substr $inner, 0, 40)) or diag($r->content);
            cmp_ok(length(($r->json || {})->{detail} // ''), '<=', 1024, 'a detail of bounded length');
        }
    }
    for my $name ('id', 'meta', 'meta.version', 'meta.location', 'groups', 'groups.value', 'groups[value eq "x"]', "$USER:id", 'META', "$USER:groups") {
        is_error($s->patch($path, ops(['replace', $name, 'x'])), 400, 'mutability', "replace $name");
        is_error($s->patch($path, ops(['add', $name, { value => $group->{id} }])), 400, 'mutability', "add $name");
        is_error($s->patch($path, ops(['remove', $name])), 400, 'mutability', "remove $name");
    }
    is($s->patch($path, ops(['add', undef, { $_ => { title => 'x', isAdmin => 1, value => 'x' } }]))->status, 200, "a value of $_ is not there")
        for '__proto__', 'constructor', 'meta', 'groups', 'prototype';
    is(everything(), $before, 'nothing has changed');
};

# --- Bulk --------------------------------------------------------------------

subtest 'C-236 C-245 C-312 paths of operations that reach elsewhere' => sub {
    my $before = everything();
    my ($mine, $other) = ($users[1]{id}, $foreign->{id});
    my $port = $s->port;
    my @create = ('/../Users', '/Users/..', '/Users/../Users', '/./Users', '/Users/.', '/../../Users', '/..', '.', '..', '', '/', '//', ' /Users', '/Users ', "/Users\n", '/Users?x',
        '/Users#x', '/Users;x', '/Users%2f', '/%55sers', '/users', '/USERS', '\\Users', '/Users\\', 'http://evil.example/scim/v2/Users', "http://127.0.0.1:1/scim/v2/Users",
        "https://127.0.0.1:$port/scim/v2/Users", "http://127.0.0.1:$port/Users", "http://127.0.0.1:$port/t/other/v2/Users", "http://127.0.0.1:$port\@evil.example/Users",
        '//evil.example/scim/v2/Users', '/t/other/v2/Users', '/scim/v2/../../t/other/v2/Users', '/scim/v2x/Users', '/scim/v2', '/v2', '/v2/v2/Users', '/v3/Users', '/Bulk', '/v2/Bulk',
        '/Bulk/', '/.search', '/Users/.search', '/Me', '/ServiceProviderConfig', '/Schemas', '/ResourceTypes/User', '/Users/bulkId:a', '/bulkId:a', 'bulkId:a', 'file:///etc/passwd',
        'javascript:alert(1)', '/Users/' . 'x' x 5000, '/' x 5000 . 'Nothing', '/Users/' x 1000);
    my @operations = map { { method => 'POST', path => $create[$_], bulkId => "p$_", data => user("created $_") } } 0 .. $#create;
    my @one = ("/Users/$other", "/t/other/v2/Users/$other", "http://127.0.0.1:$port/t/other/v2/Users/$other", "/scim/v2/../../t/other/v2/Users/$other", "/Users/../Users/$mine",
        "/Users/./$mine", "/Users/$mine/.", "/Users/$mine/..", "/Groups/$mine", "/Users/$group->{id}", "/Users/$mine?x", "/Users/$mine#x", "/Users/$mine;x", "/Users/$mine%00", "/Users/ $mine",
        "/Users%2f$mine", "/Users/%" . sprintf('%02x', ord $mine) . substr($mine, 1), "/Users/\"$mine\"", "/Users/bulkId:", '/Users/bulkId:none', "/Users/bulkId:$mine", '/Users/*', '/Users/',
        "/users/$mine", "http://evil.example/scim/v2/Users/$mine", "/Users/$mine/title", "/Me", "/Users/$mine\0");
    for my $target (@one) {
        push @operations, { method => 'DELETE', path => $target }, { method => 'PUT', path => $target, data => user('taken') },
            { method => 'PATCH', path => $target, data => ops(['replace', 'title', 'taken']) };
    }
    my (@did, $n);
    while (my @some = splice @operations, 0, 200) {
        # A NUL is no JSON of ours; such a path fails with its job.
        my @clean = grep { $_->{path} !~ /\0/ } @some;
        my $r = $s->post('/Bulk', bulk(@clean));
        is($r->status, 200, 'a job') or diag($r->content);
        my @done = @{ $r->json->{Operations} };
        is(scalar @done, scalar @clean, 'each is answered');
        for my $i (0 .. $#done) {
            push @did, "$clean[$i]{method} $clean[$i]{path}: $done[$i]{status}" if $done[$i]{status} !~ /^4(?:0\d|1[0-9])$/;
            my $detail = ($done[$i]{response} || {})->{detail} // '';
            push @did, "$clean[$i]{method} $clean[$i]{path}: a detail of " . length $detail if length $detail > 1024 || $detail eq '';
        }
    }
    is_deeply(\@did, [], 'none is done');
    is(everything(), $before, 'nothing has changed');
};

subtest 'C-234 C-235 C-239 C-241 jobs that are odd' => sub {
    my $before = everything();
    my $post = sub { my ($id, $name) = @_; return { method => 'POST', path => '/Users', bulkId => $id, data => user($name) } };
    for my $errors ('"1"', '1.5', '-1', 'true', '[]', '{}', '9223372036854775808', '1e2') {
        my $r = $s->post('/Bulk', qq({"schemas":["$BULK"],"failOnErrors":$errors,"Operations":[{"method":"GET","path":"/Users"}]}));
        like($r->status, qr/^(?:200|400)$/, "failOnErrors: $errors");
    }
    for my $operation ('null', '1', '"x"', '[]', '{}', 'true', '{"method":1}', '{"method":"POST","path":1,"bulkId":"1","data":{}}', '{"method":"POST","path":"/Users","bulkId":1,"data":{}}',
        '{"method":"POST","path":"/Users","bulkId":"1","data":[]}', '{"method":"POST","path":"/Users","bulkId":"1","data":"x"}', '{"method":"POST\u0020","path":"/Users","bulkId":"1","data":{}}',
        '{"method":"TRACE","path":"/Users"}', '{"method":"DELETE","path":"/Users/x","version":1}', '{"method":"DELETE","path":null}')
    {
        my $r = $s->post('/Bulk', qq({"schemas":["$BULK"],"Operations":[$operation]}));
        my $status = $r->status == 200 ? $r->json->{Operations}[0]{status} : $r->status;
        like($status, qr/^4\d\d$/, "an operation that is $operation");
    }
    my @wide = $s->post('/Bulk', bulk(map { $post->('bulkId:x"\\' . $_ . 'y' x 5000, '') } 1 .. 400));
    is($wide[0]->status, 200, 'long bulkIds of what fails');
    cmp_ok(length $wide[0]->content, '<', 400 * (5000 + 2000), 'no detail grows with them');
    is_error($s->post('/Bulk', bulk(map { $post->("b$_", "over$_") } 1 .. 501)), 413, undef, 'one operation too many');
    # A circle of references among users that all fail, and one of 400 that hangs together.
    my $circle = bulk(map { { method => 'POST', path => '/Groups', bulkId => "g$_", data => group("circle $_", 'bulkId:g' . ($_ % 400 + 1), $_ == 200 ? 'bulkId:none' : ()) } } 1 .. 400);
    my $start = time;
    my $r = $s->post('/Bulk', $circle);
    is(scalar(grep { $_->{status} =~ /^2/ } @{ $r->json->{Operations} }), 0, 'a circle that one reference breaks comes to nothing');
    cmp_ok(time - $start, '<', 10 * $slow, 'soon');
    is(everything(), $before, 'nothing has changed');
    pop @{ $circle->{Operations}[199]{data}{members} };
    $start = time;
    $r = $s->post('/Bulk', $circle);
    is(scalar(grep { $_->{status} eq '201' } @{ $r->json->{Operations} }), 400, 'a circle of 400 is made');
    is($s->get($r->json->{Operations}[0]{location})->json->{members}[0]{value}, $r->json->{Operations}[1]{location} =~ s{.*/}{}r, 'as it was asked for');
    cmp_ok(time - $start, '<', 10 * $slow, 'soon');
};

$s->log_clean;
done_testing();
