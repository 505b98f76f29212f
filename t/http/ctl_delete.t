#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# scimctl beside a server: users and groups are listed, shown and deleted as an endpoint
# does it, and a tenant with all that belongs to it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Scim::Body;
use Scim::Httpd;
use Scim::Site;
use Test::More;
use Time::HiRes qw(sleep time);

my $s;
my $build = abs_path($ENV{SCIM_BUILD} || "$FindBin::Bin/../../build");
my $nothing = qr/\A\z/;
my ($false, $true) = (JSON::PP::false, JSON::PP::true);

sub ctl { return $s->scimctl(@_) }

sub says
{
    my ($name, $want, $like_out, $like_err, @args) = @_;
    my ($code, $out, $err) = ctl(@args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($code == $want && $out =~ $like_out && $err =~ $like_err, $name)
        || diag("scimctl @args: exit code $code, not $want\nstdout: $out\nstderr: $err");
}

sub json
{
    my (@args) = @_;
    my ($code, $out, $err) = ctl('--json', @args);
    die "scimctl @args: exit code $code\n$err" if $code;
    return JSON::PP->new->utf8->decode($out);
}

# Users made in one request: their ids.
sub crowd
{
    my ($headers, @names) = @_;
    my $r = $s->post('/Bulk', {
        schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],
        Operations => [map { { method => 'POST', path => '/Users', bulkId => $_, data => user($_, externalId => "e$_") } } @names],
    }, @$headers);
    die 'no users: ' . $r->content . "\n" if grep { $_->{status} != 201 } @{ $r->json->{Operations} };
    return map { $_->{location} =~ m{([^/]+)\z} } @{ $r->json->{Operations} };
}

sub clean { return says('verify is content', 0, qr/Nothing is wrong/, $nothing, 'verify') }

my $audit = File::Temp->new;
$s = Scim::Httpd->new(
    site_args(qw(babs carl)),
    conf => "SCIMRole member \"Team*\"\nSCIMOnGroupDelete delete\nSCIMUniqueGroupNames Off\n" . site('/any', 'Require scim-user')
        . "<Location \"/status\">\nSetHandler scim-status\n</Location>\n",
);
refusals($s);
my @audit = ('--audit-log', $audit->filename);

my %id = map { $_ => made($s, '/Users', user($_, displayName => "The $_", externalId => "x-$_"))->{id} } qw(babs carl dora);
changed($s, "/Users/$id{carl}", ['replace', 'active', $false]);
my $team = made($s, '/Groups', group('Team North', $id{babs}, $id{carl}))->{id};
my $outer = made($s, '/Groups', group('Outer', $id{dora}, $team))->{id};

subtest 'users are listed' => sub {
    is_deeply(
        json(qw(user list --tenant default)),
        [map { { userName => $_, active => $_ eq 'carl' ? $false : $true, id => $id{$_}, externalId => "x-$_" } } qw(babs carl dora)],
        'all, in the order of creation'
    );
    is_deeply([map { $_->{userName} } @{ json(qw(user list --tenant default --count 2)) }], [qw(babs carl)], 'the first two');
    is_deeply(json(qw(user list --tenant default --count 0)), [], 'none');
    is_deeply([map { $_->{userName} } @{ json(qw(user list --tenant default --filter), 'active eq false or userName sw "D"') }], [qw(carl dora)], 'those that a filter matches');
    says('as a table', 0, qr/\AUSERNAME +STATE +ID +EXTERNAL ID\nbabs +active +$id{babs} +x-babs\ncarl +inactive +$id{carl}/, $nothing, qw(user list --tenant default));
    says('none of a filter', 0, qr/^No user of tenant default matches/, $nothing, qw(user list --tenant default --filter), 'userName eq "nix"');
    says('no filter', 1, $nothing, qr/--filter: .*userNam\b/, qw(user list --tenant default --filter), 'userNam eq "nix"');
    says('no number', 1, $nothing, qr/--count -1: write a number/, qw(user list --tenant default --count -1));
    says('no tenant', 1, $nothing, qr/user list needs --tenant/, qw(user list));
    says('a tenant that is not there', 3, $nothing, qr/no tenant "nix"/, qw(user list --tenant nix));
    says('a tenant without users', 0, qr/Tenant empty has no user/, $nothing, qw(user list --tenant empty)) if !(ctl(qw(tenant create empty)))[0];
    is_deeply(json(qw(user list --tenant empty)), [], 'none of them as JSON');
};

subtest 'more users than a page' => sub {
    my @many = (authorization => 'Bearer ' . $s->new_token(tenant => 'empty'));
    crowd(\@many, map { sprintf 'u%04d', $_ } @$_) for [1 .. 300], [301 .. 600];
    is_deeply([map { $_->{userName} } @{ json(qw(user list --tenant empty)) }], [map { sprintf 'u%04d', $_ } 1 .. 600], 'each once, in order');
    is(scalar @{ json(qw(user list --tenant empty --count 510)) }, 510, 'as many as are asked for');
    is(scalar @{ json(qw(user list --tenant empty --filter), 'userName ew "7"') }, 60, 'by a filter that no index serves');
};

subtest 'one user' => sub {
    is(json(qw(user show --tenant default), "id:$id{babs}")->{userName}, 'babs', 'by its id');
    my $shown = json(qw(user show --tenant default --resource BABS));
    is_deeply($shown, $s->get("/Users/$id{babs}")->json, 'as GET shows it');
    says('of no such id', 3, $nothing, qr/no user of the id "7"/, qw(user show --tenant default id:7));
    says('a group is no user', 3, $nothing, qr/no user of the id/, qw(user show --tenant default), "id:$team");
    says('a name that is no text', 3, $nothing, qr/no user/, qw(user show --tenant default), "\xff\"");
};

subtest 'one group' => sub {
    is_deeply(
        do { my $g = json(qw(group show --tenant default), 'team NORTH'); delete @$g{qw(created lastModified)}; $g },
        {
            name => 'Team North', id => $team, externalId => undef, role => 'member', membersCount => 2,
            members => [map { { name => $_, type => 'user', id => $id{$_} } } qw(babs carl)],
        },
        'by its name, with its members'
    );
    is_deeply([map { @$_{qw(name type)} } @{ json(qw(group show --tenant default), "id:$outer")->{members} }],
        [qw(dora user), 'Team North', 'group'], 'by its id');
    says('not all members', 0, qr/^Members: +2\n.*^babs .*\.\.\. and 1 more \(--count 2/ms, $nothing, qw(group show --tenant default --count 1), 'Team North');
    is_deeply(json(qw(group show --tenant default --resource), 'Team North'), $s->get("/Groups/$team")->json, 'as GET shows it');
    made($s, '/Groups', group('Twin')) for 1 .. 2;
    says('of two of a name', 4, $nothing, qr/more than one group.*\n    id:[0-9a-f-]{36}\n    id:/, qw(group show --tenant default twin));
    says('of none', 3, $nothing, qr/no group of the displayName "nix"/, qw(group show --tenant default nix));
};

subtest 'a user is deleted' => sub {
    says('none of the name', 3, $nothing, qr/no user/, qw(user delete --tenant default nix));
    says('done', 0, qr/^The user dora \($id{dora}\) is deleted/, $nothing, @audit, qw(user delete --tenant default Dora));
    is($s->get("/Users/$id{dora}")->status, 404, 'gone');
    is_deeply([map { $_->{value} } @{ $s->get("/Groups/$outer")->json->{members} }], [$team], 'from its groups, too');
    made($s, '/Users', user('dora'));
    clean();
};

subtest 'a group is deleted' => sub {
    made($s, '/Groups', group('Team South', crowd([], map { "s$_" } 1 .. 150)));
    my $done = json(@audit, qw(group delete --tenant default), 'Team South');
    is($done->{usersDeleted}, 150, 'and its members, as the policy says, to the end');
    is(json('stat')->{pendingGroups}, 0, 'nothing is pending');
    is_deeply(json(qw(user list --tenant default --filter), 'userName sw "s"'), [], 'they are gone');
    is(json(qw(group delete --tenant default), "id:$team")->{usersDeleted}, 2, 'by its id');
    clean();
};

subtest 'indexes are made anew' => sub {
    says('where all is right', 0, qr/^\d+ entries are looked at: indexes and counters are as they should be\.$/, $nothing, 'reindex');
    my $made = json(qw(reindex --tenant default));
    is_deeply([@$made{qw(put removed counters notChecked findings)}], [0, 0, 0, 0, []], 'of one tenant, as JSON');
    cmp_ok($made->{entries}, '>', 10, 'its entries are looked at');
    says('of none', 3, $nothing, qr/no tenant "nix"/, qw(reindex --tenant nix));
};

subtest 'the audit log' => sub {
    my @lines = map { JSON::PP::decode_json($_) } split /\n/, do { local (@ARGV, $/) = $audit->filename; <> };
    is_deeply([@{ $lines[0] }{qw(op type id client tenant)}], ['users.delete', 'User', $id{dora}, 'scimctl', 'default'], 'a user');
    is($lines[1]{op}, 'groups.delete', 'a group');
    is(scalar(grep { $_->{op} eq 'users.delete' && ($_->{cause} // '') eq $lines[1]{id} } @lines), 150, 'and its members');
};

# --- tenants ------------------------------------------------------------------

# scimctl on a terminal where a line is typed: exit code, and what is shown.
sub on_terminal
{
    my ($typed, @args) = @_;
    my ($in, $out) = (File::Temp->new, File::Temp->new);
    print $in "$typed\n";
    close $in;
    system qq(script -qec "$build/scimctl --store ') . $s->store_url . qq(' @args" /dev/null < ) . $in->filename . ' > ' . $out->filename;
    return ($? >> 8, slurp($out->filename));
}

subtest 'a tenant is deleted' => sub {
    ctl(qw(tenant create old));
    my $old = $s->new_token(tenant => 'old');
    my @old = (authorization => "Bearer $old");
    is($s->post('/Users', user('babs'), @old)->status, 201, 'it has a user');
    says('one that is not there', 3, $nothing, qr/no tenant "nix"/, qw(tenant delete --force nix));
    says('not without a word', 4, $nothing, qr/has 1 users and 0 groups.*add --force/, qw(tenant delete old));
    my ($code, $said) = on_terminal('odl', qw(tenant delete old));
    is($code, 4, 'nor with a wrong one') or diag($said);
    like($said, qr/Tenant old, its 1 users.*nothing was deleted/s, 'which is told');
    is($s->get('/Users', @old)->json->{totalResults}, 1, 'it is there');
    ($code, $said) = on_terminal('old', qw(tenant delete old));
    is($code, 0, 'its name deletes it') or diag($said);
    is_error($s->get('/Users', @old), 401, undef, 'its token is unknown');
    is($s->get('/Users')->status, 200, 'others are served');
    is_deeply([sort map { $_->{name} } @{ json(qw(tenant list)) }], [qw(default empty)], 'it is in no list');
    clean();
    is(json(@audit, qw(tenant delete --force empty))->{tokens}, 1, 'without being asked');
    my @ops = map { JSON::PP::decode_json($_) } split /\n/, do { local (@ARGV, $/) = $audit->filename; <> };
    is_deeply([map { @$_{qw(op tenant)} } @ops[-2, -1]], [qw(tenant.delete empty tenant.deleted empty)], 'the audit log has when it began, and when it was done');
    says('its name is free', 0, qr/is created/, $nothing, qw(tenant create old));
    is_deeply(json(qw(user list --tenant old)), [], 'and has nothing of the one before');
};

# While a tenant is deleted under its identity provider: no answer is a fault of the
# server's, and what is begun after the mark finds nobody.
subtest 'under load, and broken off' => sub {
    ctl(qw(tenant create big));
    my $token = $s->new_token(tenant => 'big');
    my @big = (authorization => "Bearer $token");
    crowd(\@big, map { "u$_" } @$_) for [1 .. 400], [401 .. 800], [801 .. 1200];
    my @ids = map { $_->{id} } @{ $s->get('/Users?count=1000&attributes=id', @big)->json->{Resources} };
    made($s, '/Groups', group('Team', @ids), @big);
    # An identity provider, until its token is unknown.
    my $use = sub {
        my ($n) = @_;
        my ($end, %seen) = (time + 30);
        while (!$seen{401} && time < $end) {
            $seen{ $_->status }++ for (
                $s->get('/Users?filter=' . esc('externalId eq "eu7"'), @big),
                $s->get('/Users?count=50&sortBy=userName', @big),
                $s->get("/Users/$ids[$n]", @big),
                $s->post('/Users', user("new$n-" . rand), @big),
                $s->patch("/Users/$ids[ $n + 10 ]", ops(['replace', 'title', 'T' . rand]), @big),
                $s->delete("/Users/$ids[ $n + 20 + int rand 700 ]", @big),
            );
        }
        return \%seen;
    };
    # Killed when it has begun, then again and again, later each time, until one comes to
    # its end.
    my ($log, $err) = (File::Temp->new, File::Temp->new);
    my $kill = sub {
        my ($kills, $after, $verified, @said, @shown) = (0, 0.01, '');
        sleep 0.3;
        while (1) {
            my $pid = fork // die "fork: $!\n";
            if (!$pid) {
                open STDOUT, '>', '/dev/null';
                open STDERR, '>', $err->filename;
                exec "$build/scimctl", '--store', $s->store_url, '--audit-log', $log->filename, qw(tenant delete --force big);
            }
            my $ended = 0;
            if ($kills) {
                sleep($after *= 1.5);
            } else {
                sleep 0.001 while !-s $log->filename && !($ended = waitpid $pid, POSIX::WNOHANG);
            }
            if (!$ended) {
                kill 'KILL', $pid;
                waitpid $pid, 0;
            }
            my ($exit, $signal) = ($? >> 8, $? & 127);
            last if !$?;
            # One that was killed behind its last commit had come to its end.
            last if $kills && $exit == 3;
            if ($signal != POSIX::SIGKILL) {
                push @said, "exit code $exit, signal $signal: " . slurp($err->filename);
                # The store may be too busy for it, and no more than that.
                next if $said[-1] =~ /The directory is busy/ && @said < 10;
                return { ended => join '', @said };
            }
            $kills++;
            my ($code, $out) = ctl('verify');
            return { verify => $out } if $code;
            $verified .= $out;
            push @shown, grep { $_->{deleting} } @{ $s->get($s->url('/status?json'))->json->{tenants} };
        }
        return { kills => $kills, verified => $verified, busy => join('', @said), shown => \@shown };
    };
    my @results = parallel(4, sub { $_[0] == 3 ? $kill->() : $use->($_[0]) });
    my $killer = pop @results;
    note($killer->{busy}) if $killer->{busy};
    is($killer->{ended}, undef, 'nothing but a signal ended it');
    is($killer->{verify}, undef, 'verify was content all the time');
    cmp_ok($killer->{kills} // 0, '>', 0, 'it was broken off');
    like($killer->{verified} // '', qr/entries belong to tenants that are being deleted/, 'which verify tells');
    is($killer->{shown}[0]{name}, 'big', 'and the status page');
    my %seen;
    for my $one (@results) {
        $seen{$_} += $one->{$_} for keys %$one;
    }
    is_deeply([grep { $_ !~ /^(?:200|201|204|401|404)$/ } keys %seen], [], 'no request met a fault') or diag(explain(\%seen));
    ok($seen{200} && $seen{401}, 'before and after');
    clean();
    is_deeply([map { $_->{name} } @{ json(qw(tenant list)) }], [qw(default old)], "others are there");
};

$s->log_clean;
done_testing();
