# SPDX-License-Identifier: Apache-2.0
package Scim::Routes;

=head1 NAME

Scim::Routes - every route of the service, for what is to hold of every route

=head1 SYNOPSIS

    for my $route (routes()) {
        my ($method, $path, $body) = request_to($s, $route);
        is_error($s->request($method, $path, $body, authorization => undef), 401, undef, $route->{name});
    }

=head1 DESCRIPTION

The rows are those of the table in mod_scim/service/route.c, which
"test_route.t --table" prints: a route that comes to stand there is in every
test that goes by this list, without a word in the test.

=head2 Functions

    routes()                 { method, pattern, scope, anonymous, person, offline,
                             op, endpoint, name } for each row; a row of {type}
                             comes once for Users and once for Groups
    request_to($s, $route, %headers)
                             method, path and body of a request that the route
                             grants; what it needs (the resource of an {id}) is
                             made before, with these headers
    id_path($route, $id)     the path of a route of an {id}, for this one

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use Scim::Body;
use Scim::Httpd;

our @EXPORT = qw(routes request_to id_path);

my $build = $ENV{SCIM_BUILD} || abs_path(dirname(__FILE__) . '/../../..') . '/build';
my @columns = qw(method pattern scope anonymous person offline op);
my $fresh = 0;

sub routes
{
    my $program = "$build/t/unit/test_route.t";
    open my $table, '-|', $program, '--table' or die "$program: $!; make check builds it\n";
    my @routes;
    while (my $line = <$table>) {
        chomp $line;
        my %route;
        @route{@columns} = split /\t/, $line;
        for my $endpoint ($route{pattern} =~ /\{type\}/ ? qw(Users Groups) : undef) {
            my $path = $route{pattern} =~ s/\{type\}/$endpoint/r;
            push @routes, { %route, endpoint => $endpoint, name => "$route{method} " . ($path || '/') };
        }
    }
    close $table or die "$program --table ended with status $?\n";
    die "$program --table prints no routes\n" if @routes < 20;
    return @routes;
}

sub id_path
{
    my ($route, $id) = @_;
    return $route->{pattern} =~ s/\{type\}/$route->{endpoint}/r =~ s/\{id\}/$id/r;
}

# A resource that no request has named before.
sub _new
{
    my ($endpoint) = @_;
    my $name = sprintf 'of-a-route-%05d', ++$fresh;
    return ($endpoint // 'Users') eq 'Groups' ? group($name) : user($name);
}

sub _body
{
    my ($route) = @_;
    my ($method, $what) = ($route->{method}, $route->{op} =~ s/.*\.//r);
    return if $method eq 'GET' || $method eq 'DELETE';
    return { schemas => ['urn:ietf:params:scim:api:messages:2.0:SearchRequest'], count => 1 } if $what eq 'search';
    return ops(['replace', 'displayName', 'changed ' . ++$fresh]) if $method eq 'PATCH';
    return _new($route->{endpoint}) if $what ne 'bulk';
    return { schemas => ['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],
        Operations => [{ method => 'POST', path => '/Users', bulkId => 'one', data => _new('Users') }] };
}

sub request_to
{
    my ($s, $route, %headers) = @_;
    my $id = $route->{pattern} =~ /\{id\}/ ? made($s, "/$route->{endpoint}", _new($route->{endpoint}), %headers)->{id} : '';
    my $name = $route->{pattern} =~ m{^/Schemas} ? $USER : 'User';
    my $path = $route->{pattern} =~ s/\{name\}/$name/r;
    return ($route->{method}, id_path({ %$route, pattern => $path }, $id), _body($route));
}

1;
