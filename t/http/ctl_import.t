#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl export and import: what goes out comes in, by the rules of a POST.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use Encode qw(encode_utf8);
use File::Temp ();
use IO::Handle ();
use JSON::PP ();
use POSIX ();
use Scim::Body;
use Scim::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

my $long = $ENV{LONG};
my $json = JSON::PP->new->utf8->canonical;
my $temp = File::Temp->newdir('scim-import-XXXXXX', TMPDIR => 1);
my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $dir = $temp->dirname;
chmod 0777, $dir;

my $s = Scim::Httpd->new(
    modules => ['auth_basic'],
    conf => "<SCIMTenantPolicy secret>\nSCIMPasswordSync On\n</SCIMTenantPolicy>\n"
        . "<SCIMTenantPolicy roles>\nSCIMRole admin Admins\nSCIMCustomGroups refuse\n</SCIMTenantPolicy>\n"
        . qq(<Location "/hello.txt">\nAuthType Basic\nAuthName x\nAuthBasicProvider scim\nSCIMTenant secret\nRequire scim-user\n</Location>\n),
    start => 0,
);
$s->scimctl('tenant', 'create', $_) for qw(a b c csv secret big roles update readme);
$s->start;
my %token;

sub token { my ($tenant) = @_; return $token{$tenant} //= $s->new_token(tenant => $tenant) }
sub as { my ($tenant) = @_; return (authorization => 'Bearer ' . token($tenant)) }

sub file
{
    my ($name, @lines) = @_;
    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print $fh map { ref $_ ? $json->encode($_) . "\n" : encode_utf8($_) } @lines;
    close $fh;
    return "$dir/$name";
}

# Imports: the exit code, the summary, stderr.
sub import_file
{
    my ($tenant, @args) = @_;
    my ($code, $out, $err) = $s->scimctl('--json', 'import', '--tenant', $tenant, @args);
    return ($code, eval { $json->decode($out) } || {}, $err);
}

sub export
{
    my ($tenant, @args) = @_;
    my ($code, $out, $err) = $s->scimctl('export', '--tenant', $tenant, @args);
    die "export: exit code $code\n$err" if $code;
    return wantarray ? ($out, $err) : $out;
}

sub lines { return map { $json->decode($_) } split /\n/, $_[0] }

# Without what is new with each import: ids by names, and no meta.
sub comparable
{
    my @all = lines($_[0]);
    my %name = map { $_->{id} => $_->{userName} // "group $_->{displayName}" } @all;
    for my $r (@all) {
        delete $r->{meta};
        my $manager = $r->{$ENTERPRISE} && $r->{$ENTERPRISE}{manager};
        for my $ref (@{ $r->{members} || [] }, @{ $r->{groups} || [] }, $manager ? $manager : ()) {
            $ref->{value} = $name{ $ref->{value} } // $ref->{value};
            delete $ref->{'$ref'};
        }
        $_ && ($_ = [sort { $a->{value} cmp $b->{value} } @$_]) for @$r{grep { exists $r->{$_} } qw(members groups)};
        $r->{id} = $name{ $r->{id} };
    }
    return \@all;
}

sub people
{
    return (
        { schemas => [$GROUP], id => 'g-all', displayName => 'All', members => [{ value => 'g-guides', type => 'Group' }, { value => 'u2', display => 'Bea "B" Ö' }] },
        { schemas => [$USER, $ENTERPRISE], id => 'u1', userName => 'anna@example.com', externalId => 'x1', active => JSON::PP::true,
            name => { givenName => 'Änna', familyName => 'O"Neil' }, emails => [{ value => 'anna@example.com', type => 'work', primary => JSON::PP::true }],
            $ENTERPRISE => { department => 'R&D', manager => { value => 'u2' } } },
        { schemas => [$USER], id => 'u2', userName => 'bea@example.com', externalId => 'x2', active => JSON::PP::false },
        { schemas => [$USER, $ENTERPRISE], id => 'u3', userName => 'carl@example.com', $ENTERPRISE => { manager => { value => 'u1' } } },
        { schemas => [$GROUP], id => 'g-guides', displayName => 'Tour Guides', externalId => 'y1', members => [{ value => 'u1' }, { value => 'u3', type => 'User' }] },
        { schemas => [$GROUP], id => 'g-none', displayName => 'Nobody' },
    );
}

subtest 'JSON in any order' => sub {
    my ($code, $sum, $err) = import_file('a', file('people', people()));
    is($code, 0, 'done') or diag $err;
    is_deeply([@$sum{qw(read users groups created refused linked unknown)}], [6, 3, 3, 6, 0, 6, 0], 'what was done');
    my %user = map { $_->{userName} => $_ } @{ $s->get('/Users', as('a'))->json->{Resources} };
    my %group = map { $_->{displayName} => $_ } @{ $s->get('/Groups', as('a'))->json->{Resources} };
    is($user{'anna@example.com'}{$ENTERPRISE}{manager}{value}, $user{'bea@example.com'}{id}, 'a manager who comes later');
    is($user{'carl@example.com'}{$ENTERPRISE}{manager}{value}, $user{'anna@example.com'}{id}, 'one who came before');
    like($user{'carl@example.com'}{$ENTERPRISE}{manager}{'$ref'}, qr{/Users/\Q$user{'anna@example.com'}{id}\E$}, 'with an address');
    is_deeply({ map { $_->{value} => $_->{type} } @{ $group{All}{members} } }, { $group{'Tour Guides'}{id} => 'Group', $user{'bea@example.com'}{id} => 'User' }, 'members, a group among them');
    is_deeply([sort map { "$_->{display} $_->{type}" } @{ $user{'anna@example.com'}{groups} }], ['All indirect', 'Tour Guides direct'], 'nested');
    is($user{'bea@example.com'}{active}, JSON::PP::false, 'values are kept');
    is(($s->scimctl('verify'))[0], 0, 'the store is whole');
};

subtest 'round trip' => sub {
    my ($out, $err) = export('a');
    is(scalar export('a'), $out, 'the same bytes again');
    like($err, qr/3 users and 3 groups.*Passwords are not/s, 'what it is, and is not');
    is_deeply([map { $_->{meta}{resourceType} } lines($out)], [qw(User User User Group Group Group)], 'users, then groups');
    for my $r (lines($out)) {
        is_deeply($s->get("/$r->{meta}{resourceType}s/$r->{id}", as('a'))->json, $r, "as GET shows it: $r->{meta}{location}");
    }
    is_deeply([map { $_->{meta}{resourceType} } lines(scalar export('a', '--type', 'groups'))], [qw(Group Group Group)], 'groups alone');

    my $file = "$dir/out.ndjson";
    is_deeply([($s->scimctl('export', '--tenant', 'a', $file))[0, 1]], [0, ''], 'into a file');
    is(slurp($file), $out, 'the same');
    is((stat $file)[2] & 0777, 0600, 'for nobody else');

    is((import_file('b', $file))[0], 0, 'into another tenant');
    is_deeply(comparable(scalar export('b')), comparable($out), 'equal, but for ids and meta');
    is((import_file('c', '--keep-ids', $file))[0], 0, 'with its ids');
    my ($kept, $was) = map { join '', map { delete $_->{meta}; s/\\//g for (); $json->encode($_) . "\n" } lines($_) } scalar export('c'), $out;
    is($kept, $was, 'equal, but for meta');
    is(($s->scimctl('verify'))[0], 0, 'the store is whole');

    my ($code, $sum, $text) = import_file('c', '--keep-ids', file('foreign', { schemas => [$USER], id => 'u1', userName => 'x' }, { schemas => [$USER], id => 'ffffffff-ffff-7fff-bfff-ffffffffffff', userName => 'y' },
        { schemas => [$USER], userName => 'z' }, { schemas => [$USER], id => (lines($out))[0]{id}, userName => 'someone@else' }, { schemas => [$GROUP], id => (lines($out))[1]{id}, displayName => 'w' }, { schemas => [$USER], id => '01a20319-0ed3-7bd2-840a-99a9092659f9', userName => 'ANNA@example.com' }));
    is($code, 4, 'an id that cannot be kept is refused');
    is_deeply([map { $_->{line} } lines($text)], [1, 2, 3, 5, 6], 'those of others, of the future, none, of another type, of one who is there');
    is($sum->{skipped}, 1, 'but one that is there is the one that is meant');
};

subtest 'what is refused' => sub {
    my $file = file('bad', { schemas => [$USER], userName => 'dora' }, "\n", "{ no json\n", { schemas => [$USER] }, { schemas => ['urn:x'], userName => 'x' },
        { schemas => [$USER], userName => 'DORA' }, { schemas => [$GROUP], displayName => 'Lost', members => [{ value => 'nobody-of-this-name' }, { value => 'dora' }] },
        { schemas => [$USER, $ENTERPRISE], userName => 'emil', $ENTERPRISE => { manager => { value => 'who' } } }, { schemas => [$USER], userName => "fritz\e[31m", active => 'perhaps' }, '{"schemas":["' . $USER . '"],"userName":"last"}');
    my $before = export('a');
    my ($code, $sum, $err) = import_file('a', '--dry-run', $file);
    is($code, 4, 'a dry run says so');
    is(scalar export('a'), $before, 'and does nothing');
    my @dry = map { $_->{line} } lines($err);

    ($code, my $out, $err) = $s->scimctl('import', '--tenant', 'a', '--errors', "$dir/errors", $file);
    is($code, 4, 'exit code 4');
    is($err, '', 'nothing on stderr');
    my $told = slurp("$dir/errors");
    is_deeply([$told =~ /^line (\d+): /mg], [3, 4, 5, 6, 9, 7, 8], 'the lines, in the order in which they are seen');
    is_deeply(\@dry, [3, 4, 5, 6, 9, 7, 8], 'those of the dry run');
    like($told, qr/^line 4: .*userName/m, 'the reason is that of a POST');
    like($told, qr/^line 6: userName: line 1 of this file has the same$/m, 'a line that comes twice');
    like($told, qr/^line 7: members: .*"nobody-of-this-name".*left out$/m, 'a member that nobody is');
    like($told, qr/^line 8: manager: .*"who".*as it stands$/m, 'a manager, likewise');
    unlike($told, qr/\e/, 'nothing that steers a terminal');
    like($out, qr/^9 read: 3 users and 1 group\n.*^ +4  created\n.*^ +5  refused\n.*^ +1  members and managers set\n.*^ +2  members and managers that are not/ms, 'the summary');
    my ($lost) = grep { $_->{displayName} eq 'Lost' } lines(scalar export('a', '--type', 'Groups'));
    is(scalar @{ $lost->{members} }, 1, 'the other member, named by userName, is in');
    is($s->get('/Users?filter=' . esc('userName eq "last"'), as('a'))->json->{totalResults}, 1, 'a last line without its end');

    ($code, undef, $err) = $s->scimctl('import', '--tenant', 'a', file('list', { schemas => [$LIST], Resources => [] }));
    like($err, qr/line 1: .*jq -c '\.Resources\[\]'/, 'the answer to a query');
    ($code, undef, $err) = $s->scimctl('import', '--tenant', 'a', file('pretty', JSON::PP->new->pretty->encode({ schemas => [$USER], userName => 'x' })));
    like($err, qr/line 1: .*one whole JSON object: jq -c/, 'a document of many lines');
    ($code, $sum, $err) = import_file('a', file('nul', "\0\0\0\0\n", "\0" . $json->encode({ schemas => [$USER], userName => 'nul' }) . "\n"));
    is_deeply([$code, $sum->{refused}, $err =~ /"line":(\d+)/g], [4, 2, 1, 2], 'what is behind a NUL is not passed over in silence');
    is(($s->scimctl('import', '--tenant', 'roles', file('role', { schemas => [$GROUP], displayName => 'admins' }, { schemas => [$GROUP], displayName => 'Others' })))[2] =~ s/:.*//sr, 'line 2', 'the policy of the tenant holds');
};

subtest 'again' => sub {
    my $file = file('again', people());
    my ($code, $sum) = import_file('update', $file);
    my $before = export('update');
    ($code, $sum) = import_file('update', $file);
    is_deeply([$code, @$sum{qw(created skipped)}], [0, 0, 6], 'who is there is left as is');
    is(scalar export('update'), $before, 'nothing has changed');
    ($code, $sum) = import_file('update', '--update', $file);
    is_deeply([$code, @$sum{qw(created replaced unchanged)}], [0, 0, 0, 6], 'or is replaced by the same');
    is(scalar export('update'), $before, 'nothing has changed');

    my @people = people();
    $people[1]{title} = 'Chief';
    $people[2]{userName} = 'beatrix@example.com';
    delete $people[3]{$ENTERPRISE};
    $people[4]{members} = [{ value => 'u2' }, { value => 'u3' }];
    $people[5]{members} = ['u1'];
    ($code, $sum) = import_file('update', '--update', file('changed', @people));
    is_deeply([$code, @$sum{qw(created replaced unchanged)}], [0, 0, 3, 3], 'or by another');
    my %was = map { $_->{userName} // $_->{displayName} => $_ } lines($before);
    my %is = map { $_->{userName} // $_->{displayName} => $_ } lines(scalar export('update'));
    is($is{'anna@example.com'}{title}, 'Chief', 'a value');
    is($is{'beatrix@example.com'}{id}, $was{'bea@example.com'}{id}, 'a user of another name, known by externalId');
    ok(!$is{'carl@example.com'}{$ENTERPRISE}, 'a manager who is one no more');
    is_deeply([sort map { $_->{value} } @{ $is{'Tour Guides'}{members} }], [sort $is{'beatrix@example.com'}{id}, $is{'carl@example.com'}{id}], 'a member is new, another gone');
    is($is{Nobody}{members}[0]{value}, $is{'anna@example.com'}{id}, 'a member that is an id alone');
    is(($s->scimctl('verify'))[0], 0, 'the store is whole');
};

subtest 'CSV' => sub {
    my $csv = qq(\x{feff}Login;"First Name [Required]";Last Name;E-Mail Address;Mobile;Enabled;Dept;Manager;Shoe\n)
        . qq(gina\@example.com;Gina;"Groß; ""die""\nzweite";gina\@example.com;+49 1;yes;Sales;hugo\@example.com;42\n)
        . qq(;;;;;;;;\n)
        . qq(hugo\@example.com;Hugo;Höss;hugo\@example.com;;no;;;\n)
        . qq(ida\@example.com;Ida;"I"x;;;;;;\n)
        . qq(jan\@example.com;;;;;maybe;;;\n);
    my ($code, $sum, $err) = import_file('csv', '--csv', file('people.csv', $csv));
    is($code, 4, 'what is wrong is refused');
    like($err, qr/^scimctl: not used: "Shoe"/m, 'a column that is not known');
    is_deeply([$err =~ /"line":(\d+)/g], [6, 7], 'lines are those of the file');
    is_deeply([@$sum{qw(created refused linked)}], [2, 2, 1], 'the others are there');
    my ($gina, $hugo) = lines(scalar export('csv'));
    is_deeply([@$gina{qw(userName active)}, @{ $gina->{name} }{qw(givenName familyName)}], ['gina@example.com', JSON::PP::true, 'Gina', "Groß; \"die\"\nzweite"], 'values');
    is_deeply([map { "$_->{type} $_->{value}" } @{ $gina->{emails} }, @{ $gina->{phoneNumbers} }], ['work gina@example.com', 'mobile +49 1'], 'elements');
    is_deeply([$gina->{$ENTERPRISE}{department}, $gina->{$ENTERPRISE}{manager}{value}], ['Sales', $hugo->{id}], 'a manager by userName');
    is($hugo->{active}, JSON::PP::false, 'no is false');

    my @map = ('--map', 'Mitarbeiter=userName', '--map', 'a=emails[type eq "work"].value', '--map', 'b=emails[type eq "home"].value', '--map', 'c=emails[type eq "home"].display', '--map', "nr=$ENTERPRISE:employeeNumber", '--map', 'name=-');
    ($code, $sum, $err) = import_file('csv', '--csv', @map, file('map.csv', "Mitarbeiter,a,b,c,nr,name\nkim,w\@x,h\@x,Home,7,Kim\n"));
    is($code, 0, '--map') or diag $err;
    my ($kim) = grep { $_->{userName} eq 'kim' } lines(scalar export('csv'));
    is_deeply([sort { $a->{type} cmp $b->{type} } @{ $kim->{emails} }], [{ type => 'home', value => 'h@x', display => 'Home' }, { type => 'work', value => 'w@x' }], 'columns of one element are put together');
    is_deeply([$kim->{$ENTERPRISE}{employeeNumber}, $kim->{name}], ['7', undef], 'an extension; and what is left out');

    $err = (import_file('csv', '--csv', '--dry-run', file('head.csv', qq(userName,"First\nName","x\e[31m\x{9b}y"\nzoe,Zoe,1\n))))[2];
    like($err, qr/^scimctl: not used: "x \[31m  y"/m, 'names of columns steer no terminal');
    like($err, qr/^  First Name +is name\.givenName$/m, 'and may be of two lines');

    my $wrong = sub {
        my ($text, $re, $expected, @args) = @_;
        my ($exit, undef, $said) = import_file('csv', '--csv', @args, file('wrong.csv', $text));
        is_deeply([$exit, $said =~ $re ? 'told' : $said], [$expected, 'told'], "$re");
    };
    $wrong->("Name,Mail\nx,y\n", qr/no column is userName.*--map "COLUMN=userName".*"Name", "Mail"/, 1);
    $wrong->("userName,Login\nx,y\n", qr/"userName" and "Login" are the same attribute.*--map "Login=-"/, 1);
    $wrong->("userName\nx\n", qr/there is no such column/, 1, '--map', 'Nam=title');
    $wrong->("userName,x\nx,y\n", qr/--map "x=meta\.created".*cannot be written/, 1, '--map', 'x=meta.created');
    $wrong->("userName,Password\nx,y\n", qr/"Password" holds passwords, and SCIMPasswordSync is Off.*--map "Password=-"/, 4);
    $wrong->("userName,title\nx,a,b\n", qr/"line":2.*names 2 columns/, 4);
    $wrong->("userName,title\n\"x,a\n", qr/"line":2.*quote is missing/, 4);
    $wrong->('', qr/first line is to hold the names/, 4);
    open my $fh, '>', "$dir/latin.csv";
    print $fh "userName,title\nx,caf\xe9\n";
    close $fh;
    like((import_file('csv', '--csv', "$dir/latin.csv"))[2], qr/"line":2.*not UTF-8/, 'another encoding');
    like((import_file('csv', '--csv', '--dry-run', file('dry.csv', "Login,Mail\nx,y\@z\n")))[2], qr/Login +is userName\n +Mail +is \{"type":"work"\} emails\.value\n/, 'a dry run shows what the columns are');
};

subtest 'the example of README' => sub {
    my $readme = slurp("$FindBin::Bin/../../README");
    my ($csv) = $readme =~ /From people\.csv:\n\n((?:    .*\n)+)/ or die "README has no people.csv\n";
    my ($command) = $readme =~ /^    scimctl import --tenant acme (--csv .*) people\.csv$/m or die "README imports no people.csv\n";
    my @args = map { s/^"|"$//gr } $command =~ /"[^"]*"|\S+/g;
    my ($code, $sum, $err) = import_file('readme', @args, file('people.csv', $csv =~ s/^    //gmr));
    is_deeply([$code, @$sum{qw(created linked)}, $err], [0, 2, 1, ''], 'is done as it stands');
    my ($barbara, $mike) = lines(scalar export('readme'));
    is_deeply([@$mike{qw(nickName active)}, $mike->{$ENTERPRISE}{manager}{value}, $barbara->{phoneNumbers}[0]{type}], ['8', JSON::PP::false, $barbara->{id}, 'mobile'], 'with all columns');
};

subtest 'passwords' => sub {
    my ($code, $sum) = import_file('a', file('password', { schemas => [$USER], userName => 'lea', password => 'correct horse' }));
    is_deeply([$code, $sum->{passwordsDropped}], [0, 1], 'are dropped where they are not kept');
    ($code, $sum) = import_file('secret', '--csv', file('password.csv', "Login,Password\nlea,correct horse\n"));
    is_deeply([$code, $sum->{created}, $sum->{passwordsDropped}], [0, 1, 0], 'and else are taken');
    is($s->get($s->url('/hello.txt'), authorization => 'Basic bGVhOmNvcnJlY3QgaG9yc2U=')->status, 200, 'who has one gets in by it');
    unlike(scalar export('secret'), qr/horse|\$2[aby]\$|password/, 'an export has none');
};

subtest 'a large group' => sub {
    my $n = $long ? 100_000 : 2500;
    my $users = file('users', map { { schemas => [$USER], id => "u$_", userName => "user$_", emails => [{ value => "user$_\@example.com" }] } } 1 .. $n);
    my $group = { schemas => [$GROUP], displayName => 'Everybody', members => [map { { value => "u$_", '$ref' => "https://old/Users/u$_", display => "User $_" } } 1 .. $n] };
    open my $fh, '>>', $users;
    print $fh $json->encode($group), "\n";
    close $fh;
    my ($code, $sum, $err) = import_file('big', $users);
    is_deeply([$code, @$sum{qw(created linked)}], [0, $n + 1, $n], 'comes in') or diag $err;
    my $out = export('big');
    my @all = lines($out);
    is(scalar @all, $n + 1, 'and goes out');
    is(scalar @{ $all[-1]{members} }, $n, 'with all members');
    is_deeply([sort map { $_->{display} } @{ $all[-1]{members} }], [sort map { "User $_" } 1 .. $n], 'each of them');
    is(scalar export('big'), $out, 'in the same bytes');
    pop @{ $group->{members} };
    ($code, $sum) = import_file('big', '--update', file('fewer', map({ { schemas => [$USER], id => "u$_", userName => "user$_", emails => [{ value => "user$_\@example.com" }] } } 1 .. $n), $group));
    my ($last) = (lines(scalar export('big', '--type', 'Groups')))[-1];
    is(scalar @{ $last->{members} }, $n - 1, 'one of them goes');
    is(($s->scimctl('verify', '--tenant', 'big'))[0], 0, 'the store is whole');
};

# scimctl on a pipe: the pid, and the pipe.
sub piped
{
    my ($mode, @args) = @_;
    my $said = File::Temp->new;
    my $pid = open(my $pipe, $mode) // die "fork: $!\n";
    if (!$pid) {
        open STDERR, '>&', $said;
        open STDOUT, '>', '/dev/null' if $mode eq '|-';
        exec "$build/scimctl", "--store", $s->store_url, @args or POSIX::_exit(127);
    }
    return ($pipe, $said);
}

# What is read, and written, in many transactions is of one tenant all the time, though
# another one gets its name.
subtest 'a tenant that is made anew meanwhile' => sub {
    my $anew = sub {
        my ($name) = @_;
        is(($s->scimctl('tenant', @$_))[0], 0, "@$_") for ['delete', '--force', $name], ['create', $name];
    };
    my ($pipe, $said) = piped('-|', 'export', '--tenant', 'big');
    like(scalar <$pipe>, qr/^\{.*user1\b/, 'an export has begun');
    $anew->('big');
    my $lines = () = <$pipe>;
    cmp_ok($lines, '<', 2499, 'and does not come to its end');
    close $pipe;
    is($? >> 8, 3, 'which it says');
    like(slurp($said->filename), qr/"big" was deleted meanwhile/, 'in words');

    ($pipe, $said) = piped('|-', 'import', '--tenant', 'b', '-');
    $pipe->autoflush;
    my $users = sub {
        print $pipe map { $json->encode({ schemas => [$USER], userName => "anew$_" }) . "\n" } @_;
    };
    my $count = sub { scalar(() = ($s->scimctl(qw(user list --tenant b --filter), 'userName sw "anew"'))[1] =~ /^anew/mg) };
    $users->(1 .. 1200);
    my $end = time + 60;
    sleep 0.05 while !$count->() && time < $end;
    cmp_ok($count->(), '>', 0, 'an import has begun');
    $anew->('b');
    $users->(1201 .. 2400);
    close $pipe;
    is($? >> 8, 3, 'it says so, too');
    like(slurp($said->filename), qr/"b" was deleted meanwhile.*it ended before its time/s, 'in words');
    is($count->(), 0, 'the new tenant has nothing of it');
    $s->scimctl('import', '--tenant', 'b', file('people', people()));
};

subtest 'the audit log' => sub {
    my $log = "$dir/audit.log";
    $s->scimctl('--audit-log', $log, 'import', '--tenant', 'b', file('audit', { schemas => [$USER], id => 'm', userName => 'mo' }, { schemas => [$GROUP], displayName => 'Mo', members => [{ value => 'm' }] }));
    is_deeply([map { "$_->{op} $_->{type} $_->{tenant} $_->{client} " . join ',', sort @{ $_->{changed} } } lines(slurp($log))],
        ['users.create User b scimctl userName', 'groups.create Group b scimctl displayName', 'groups.patch Group b scimctl members'], 'a line for each change');
    ok(!grep { /"mo"|"Mo"/ } slurp($log), 'without values');
};

subtest 'the command line' => sub {
    is_deeply([map { ($s->scimctl(@$_))[0] } ['export'], ['import', '/dev/null'], ['import', '--tenant', 'a'], ['export', '--tenant', 'a', 'x', 'y'], ['export', '--tenant', 'a', '--type', 'Devices'], ['import', '--tenant', 'a', '--map', 'x=y', '/dev/null']], [1, 1, 1, 1, 1, 1], 'is wrong');
    is_deeply([map { ($s->scimctl(@$_))[0] } ['export', '--tenant', 'no'], ['import', '--tenant', 'no', '/dev/null'], ['import', '--tenant', 'a', "$dir/none"]], [3, 3, 3], 'names what is not there');
    is((import_file('a', '-'))[0], 0, 'nothing at all on stdin');
    is(($s->scimctl('export', '--tenant', 'a', "$dir/no/such"))[0], 5, 'a file that cannot be');
};

subtest 'schemas of the organisation' => sub {
    my $examples = "$FindBin::Bin/../../conf/examples";
    my $own = 'urn:example:params:scim:schemas:extension:organisation:2.0:User';
    my $o = Scim::Httpd->new(conf => qq(SCIMSchema "$examples/organisation-extension.json"\nSCIMResourceType "$examples/organisation-user-type.json"\n));
    my $made = $o->post('/Users', { schemas => [$USER, $own], userName => 'nina', $own => { badgeNumber => 'B-7' } });
    is($made->json->{$own}{badgeNumber}, 'B-7', 'what is of one') or diag $made->content;
    my ($code, $out, $err) = $o->scimctl(qw(export --tenant default));
    is_deeply([$code, map { $_->{userName}, $_->{schemas}, $_->{$own} } lines($out)], [0, 'nina', [$USER], undef], 'is left out of an export');
    like($err, qr/not known|does\s+not know.*\Q$own\E/s, 'which says so');
    ($code, $out, $err) = $o->scimctl(qw(import --tenant default --update), file('own', { schemas => [$USER], userName => 'nina' }));
    is($code, 4, 'and is not taken from those who have it');
    like($err, qr/of the organisation's own/, 'which is told');
    ($code, $out, $err) = $o->scimctl(qw(import --tenant default), file('own2', map { { schemas => [$USER, $own], userName => "own$_", $own => { badgeNumber => "B-$_" } } } 1, 2));
    is($code, 0, 'those who come are taken without');
    is(scalar(() = $err =~ /line 1: left out is what belongs to \Q$own\E/g), 1, 'which is told once');
    $o->log_clean;
};

$s->log_clean;
done_testing();
