# SPDX-License-Identifier: Apache-2.0
package Scim::Turn;

=head1 NAME

Scim::Turn - requests of every kind that leave the store as it was

=head1 SYNOPSIS

    my %answers = map { turn($s, $_) => 1 } 1 .. 100;
    is_deeply([keys %answers], [$TURN], 'each turn is answered as the others');

=head2 Functions

    turn($s, $name)   22 requests: a life of a user and a group, lists and
                      searches among them, a bulk job, and what is refused;
                      the statuses, separated by spaces
    $TURN             what they are when all is well

The name is the user's and the group's: of turns at the same time each needs its
own.

=cut

use strict;
use warnings;

use Exporter qw(import);
use Scim::Body;
use Scim::Httpd;

our @EXPORT = qw(turn $TURN);
our $TURN = '201 201 200 200 200 200 204 200 204 200 200 200 200 200 409 400 400 404 401 415 204 204';

my $SEARCH = 'urn:ietf:params:scim:api:messages:2.0:SearchRequest';
my $BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest';

sub turn
{
    my ($s, $name) = @_;
    $name = "turn-$name"; # no number, which JSON would tell from a string
    my @status;
    my $do = sub {
        my ($method, @request) = @_;
        my $response = $s->$method(@request);
        push @status, $response->status;
        return $response;
    };
    my $mail = "$name\@example.com";
    my $user = $do->('post', '/Users', user($name, name => { familyName => 'Jensen' }, emails => [{ type => 'work', value => $mail }]))->json;
    my $group = $do->('post', '/Groups', group("group $name", $user->{id}))->json;
    my ($path, $of_group) = ("/Users/$user->{id}", "/Groups/$group->{id}");
    $do->('get', $path);
    $do->('get', '/Users?filter=' . esc(qq(emails[type eq "work"].value eq "$mail" and name.familyName sw "J")) . '&attributes=userName,emails');
    $do->('get', '/Groups?count=1&excludedAttributes=members');
    $do->('patch', $path, ops(['replace', 'emails[type eq "work"].value', 'x@example.com'], ['add', undef, { title => 'Guide' }]));
    $do->('patch', $of_group, ops(['remove', qq(members[value eq "$user->{id}"])]));
    $do->('put', $path, user($name, displayName => 'Barbara'));
    $do->('patch', $of_group, ops(['add', 'members', [{ value => $user->{id} }]]));
    $do->('post', '/Users/.search', { schemas => [$SEARCH], filter => qq(userName eq "$name"), sortBy => 'userName', count => 5 });
    $do->('get', '/Users?count=20&cursor=');
    $do->('post', '/Bulk', { schemas => [$BULK], Operations => [
        { method => 'POST', path => '/Users', bulkId => 'u', data => user("bulk-$name") },
        { method => 'PATCH', path => $of_group, data => ops(['add', 'members', [{ value => 'bulkId:u' }]]) },
        { method => 'DELETE', path => '/Users/bulkId:u' },
    ] });
    $do->('get', '/Schemas');
    $do->('get', '/Users?startIndex=2&count=3&sortBy=name.familyName');
    $do->('post', '/Users', user($name));
    $do->('post', '/Users', '{"schemas":[');
    $do->('get', '/Users?filter=' . esc('userName ex "x"'));
    $do->('get', '/Users/0');
    $do->('get', $path, authorization => 'Bearer mscim_wrong');
    $do->('post', '/Users', '<xml/>', 'content-type' => 'text/xml');
    $do->('delete', $of_group);
    $do->('delete', $path);
    return "@status";
}

1;
