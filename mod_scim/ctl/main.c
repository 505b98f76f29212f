/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl, the administrator's command: the command line, the table of
 * commands, help.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>

#include "scim/heap.h"
#include "scim/tenant.h"
#include "scim/text.h"
#include "scim/version.h"

#include "ctl.h"

#define BIT CTL_BIT

const ctl_command ctl_commands[] = {
    {"init", NULL, CTL_CREATE, BIT(CTL_OWNER), "[--owner USER]", 0,
     "make the store, and its directory",
     "Makes the store where there is none, and the last component of its path,\n"
     "with mode 0700; of a store on PostgreSQL the tables.  One that is there already\n"
     "stays as it is.  httpd does the same when it starts.",
     "init --owner www-data", ctl_init},
    {"stat", NULL, CTL_READ, 0, "", 0, "what the store holds and how full it is",
     "Shows the store's format, its number of tenants and entries, the space it\n"
     "uses, and how many views of it are open in all processes; how many members of\n"
     "deleted groups are still to follow them (sweep); and the tenants whose brake on\n"
     "mass deletion is on (tenant release).",
     "stat", ctl_stat},
    {"verify", NULL, CTL_ITSELF, BIT(CTL_TENANT), "[--tenant T]", 0,
     "check that nothing in the store is damaged",
     "Reads the whole store, or all that belongs to one tenant, while httpd writes:\n"
     "the pages of the file, the checksum of every value, that records, indexes,\n"
     "references and memberships agree with each other, and that all counters are right.\n"
     "What belongs to schemas and resource types of the organisation, which scimctl does\n"
     "not know, is counted as not checked.  Exit code 5 where anything is found.",
     "verify", ctl_verify},
    {"reindex", NULL, CTL_REBUILD, BIT(CTL_TENANT) | BIT(CTL_FORCE), "[--tenant T] [--force]",
     0, "make indexes and counters anew from what is stored",
     "Puts each entry of an index that is missing, takes each away that no user or group\n"
     "has, and sets counters right, of all tenants or of one: what verify finds wrong with\n"
     "these is right again.  httpd may run; what is right is not touched.  Only where the\n"
     "system has got other tables of Unicode than those that made the indexes, which httpd\n"
     "says when it starts, is httpd to be stopped first; of a store on PostgreSQL, on all\n"
     "machines, as --force confirms.  What belongs to the organisation's own schemas is left\n"
     "as it is.  Exit code 5 where a damaged user or group is met (restore a backup), or two\n"
     "have what must be unique: delete one of them, and do this again.",
     "reindex", ctl_reindex},
    {"sweep", NULL, CTL_WRITE, 0, "", 0, "finish the deletion of large groups now",
     "The members of a large group that was deleted follow it in steps, as\n"
     "SCIMOnGroupDelete says, made by httpd behind its answers.  This does all that is\n"
     "left.  Authorization treats them as swept already.",
     "sweep", ctl_sweep},
    {"backup", NULL, CTL_READ, 0, "FILE|-", 1, "copy the store to a file, while httpd runs",
     "Writes one state of the store to a file, or with - to stdout: complete, and under a\n"
     "checksum, or not at all.  The file appears under its name when it is whole (mode\n"
     "0600); one that is there is replaced.  It holds what the store holds: users, and the\n"
     "hashes of tokens and passwords.  Until it is done the store keeps what is changed\n"
     "meanwhile beside what it was: where it would double so, the backup is given up.\n"
     "A store that is damaged is not copied: exit code 5.",
     "backup /var/backups/scim/scim-2026-11-22", ctl_backup},
    {"restore", NULL, CTL_RESTORE, BIT(CTL_OWNER) | BIT(CTL_FORCE) | BIT(CTL_SALVAGE),
     "[--owner USER] [--force] FILE|- | --salvage DATA.MDB", 1,
     "make the store anew from a backup",
     "Makes a new store from a backup (- is stdin) beside the one that is there, verifies\n"
     "it, and only then puts it in its place; the old one stays as data.mdb.old.  No\n"
     "server may have the store open: stop httpd first.  A backup that is cut short or\n"
     "altered is refused, and so is, but for --force, one in which verify finds anything.\n"
     "Tokens, ids, versions and cursors are as they were.  A store in a database is not\n"
     "replaced: restore into an empty one, and name that in SCIMStore when it is done.\n"
     "With --salvage the file is the data.mdb of a damaged store, such as this one's own:\n"
     "what is whole in it is kept, and what is lost is told.  Exit code 5 where anything\n"
     "is, though all the rest is in place.",
     "restore /var/backups/scim/scim-2026-11-22", ctl_restore},
    {"compact", NULL, CTL_ITSELF, 0, "", 0, "make the store's file as small as it can be",
     "A store's file never shrinks: room that deletions leave is used again.  This writes\n"
     "it anew, beside the old one, which it then replaces.  No server may have the store\n"
     "open: stop httpd first.",
     "compact", ctl_compact},
    {"migrate", NULL, CTL_MOVE, BIT(CTL_OWNER) | BIT(CTL_TRIAL),
     "[--owner USER] [--trial] FROM TO", 2, "move the store to another place or engine",
     "Fills TO with all that is in FROM, and compares both; each is named as --store names\n"
     "one, such as lmdb:/var/lib/apache2/scim or \"pgsql:host=db dbname=scim\".  TO must be\n"
     "empty; it is a store when all of it is there, not before: what is broken off is begun\n"
     "anew by the same command.  FROM stays as it is.  No server may write to it: stop httpd\n"
     "first, then name TO in SCIMStore and start it.  With --trial httpd may go on; what is\n"
     "written to FROM meanwhile and later is not in TO, which is to try it out.  Ids,\n"
     "versions, tokens and cursors stay as they are.  A store that is damaged is not moved:\n"
     "exit code 5.",
     "migrate /var/lib/apache2/scim \"pgsql:host=db dbname=scim\"", ctl_migrate},
    {"export", NULL, CTL_READ, BIT(CTL_TENANT) | BIT(CTL_TYPE),
     "--tenant T [--type Users|Groups] [FILE|-]", -1,
     "print all users and groups of a tenant, as JSON",
     "Writes all users and then all groups of a tenant, oldest first, one JSON document a\n"
     "line, as GET shows them; without FILE, or with -, to stdout.  Passwords are not among\n"
     "it.  It works while httpd writes: each resource is whole, but what is changed\n"
     "meanwhile may be told or not.  The same store is told in the same bytes.",
     "export --tenant acme > acme.ndjson", ctl_export},
    {"import", NULL, CTL_LOAD,
     BIT(CTL_TENANT) | BIT(CTL_CSV) | BIT(CTL_MAP) | BIT(CTL_DRY_RUN) | BIT(CTL_UPDATE) |
         BIT(CTL_KEEP_IDS) | BIT(CTL_ERRORS),
     "--tenant T [--csv [--map COL=ATTR]...] [--update] [--keep-ids]\n"
     "           [--dry-run] [--errors FILE] FILE|-",
     1, "create the users and groups of a file",
     "Reads one JSON document a line, as export writes them, or with --csv a table of users,\n"
     "whose first row names the columns.  Each is taken by all the rules of a POST.  What is\n"
     "refused is told with its line and the reason, and the rest goes on; exit code 4 then.\n"
     "Who is there already, by userName, displayName of a group, or externalId, is left\n"
     "as it is, or with --update replaced.  Members and managers may be named by the ids of\n"
     "the file, ids of the directory, or userNames.  ids are new unless --keep-ids; meta is.\n"
     "A column that is not known by its name is given a SCIM attribute by --map, and\n"
     "--map \"COL=-\" leaves it out.",
     "import --tenant acme --dry-run acme.ndjson\n"
     "import --tenant acme --csv --map \"Login=userName\" \\\n"
     "    --map 'Mail=emails[type eq \"work\"].value' people.csv",
     ctl_import},
    {"doctor", NULL, CTL_EXAMINE,
     BIT(CTL_TENANT) | BIT(CTL_URL) | BIT(CTL_STDIN) | BIT(CTL_NO_TOKEN),
     "[--tenant T] [--url URL] [-i | --no-token]", 0,
     "find out why it does not work, and say what to do",
     "Looks at the store's files, the store, tenants and tokens, httpd's configuration and\n"
     "modules, the endpoints that httpd has told of, their certificate as an identity\n"
     "provider sees it, and sends requests to them: without a token, and with the one that\n"
     "is read from stdin (-i), or else with one that it makes for a minute and revokes.\n"
     "Each check is ok, a warning or a failure, with the remedy.  In the end it says what\n"
     "is typed in at Microsoft Entra, JumpCloud and Okta.  It starts and stops nothing.\n"
     "Best run as root, who may read all of it.  Exit code 5 where anything fails.",
     "doctor --tenant acme", ctl_doctor},
    {"policy", NULL, CTL_READ, BIT(CTL_TENANT), "[--tenant T]", 0,
     "show what applies to a tenant's groups and users",
     "Prints the policy of a tenant as the directives that make it; without --tenant\n"
     "that of the tenants to come, and of each tenant that has another.  httpd writes\n"
     "it into the store when it starts.",
     "policy --tenant acme", ctl_policy},
    {"tenant", "create", CTL_WRITE, 0, "NAME", 1, "make a tenant, one organisation's directory",
     "NAME is 1 to 64 of A-Z a-z 0-9 . _ - and cannot be changed.", "tenant create acme",
     ctl_tenant_create},
    {"tenant", "list", CTL_READ, 0, "", 0, "show the tenants",
     "Shows the tenants by name, whether they are suspended, and whether their brake on\n"
     "mass deletion is on.",
     "tenant list", ctl_tenant_list},
    {"tenant", "suspend", CTL_WRITE, 0, "NAME", 1, "turn the provisioning of a tenant off",
     "The identity providers of the tenant are answered 403: provisioning is not\n"
     "enabled for this organisation.  Nothing is lost, and those who were provisioned\n"
     "come in as before.",
     "tenant suspend acme", ctl_tenant_suspend},
    {"tenant", "resume", CTL_WRITE, 0, "NAME", 1, "turn it on again",
     "The identity providers of the tenant are answered as before it was suspended.",
     "tenant resume acme", ctl_tenant_resume},
    {"tenant", "release", CTL_WRITE, 0, "NAME", 1, "let go the brake on mass deletion",
     "Where more users were to be deleted or deactivated in an hour than SCIMDeleteLimit\n"
     "allows, all such changes are answered 429 until this: they may go on then, and are\n"
     "counted from zero.",
     "tenant release acme", ctl_tenant_release},
    {"tenant", "delete", CTL_WRITE, BIT(CTL_FORCE), "[--force] NAME", 1,
     "delete a tenant with all that belongs to it",
     "Users, groups, memberships, passwords, tokens: all of it, for good.  On a terminal the\n"
     "name is to be typed once more; elsewhere it takes --force.  From the first moment on "
     "the\n"
     "tenant's tokens are unknown and nobody is let in by it; what is stored goes in small\n"
     "steps, while httpd serves others.  Where that is broken off, the same command goes on,\n"
     "and until it is done the name is taken.  A backup is the only way back.",
     "tenant delete --force acme", ctl_tenant_delete},
    {"token", "create", CTL_WRITE,
     BIT(CTL_TENANT) | BIT(CTL_CONNECTION) | BIT(CTL_SCOPE) | BIT(CTL_EXPIRES) | BIT(CTL_FOR),
     "--tenant T --connection C [--scope read|write|read,write] [--expires TIME] "
     "[--for entra|jumpcloud|okta]",
     0, "make a token for an identity provider's connection",
     "Prints \"Tenant URL: https://...\", a line for each URL that httpd serves the\n"
     "tenant at, and \"Secret Token: mscim_...\", once: the store keeps only the token's\n"
     "hash.  --for says where to type them in.  A connection may have several tokens\n"
     "at a time, see token rotate.",
     "token create --tenant acme --connection entra --for entra", ctl_token_create},
    {"token", "rotate", CTL_WRITE,
     BIT(CTL_TENANT) | BIT(CTL_CONNECTION) | BIT(CTL_GRACE) | BIT(CTL_EXPIRES) | BIT(CTL_FOR),
     "--tenant T --connection C [--grace TIME] [--expires TIME] "
     "[--for entra|jumpcloud|okta]",
     0, "make the next token of a connection",
     "Prints a new token as token create does, with the scope of the connection's newest\n"
     "one.  The older ones stay good, for the time of --grace at most, so that no request\n"
     "fails until the new one is in place; then revoke them.",
     "token rotate --tenant acme --connection entra --grace 7d", ctl_token_rotate},
    {"token", "list", CTL_READ, BIT(CTL_TENANT), "--tenant T", 0, "show the tokens of a tenant",
     "Shows connection, hint (the last four characters), scope, state and times\n"
     "of each token, never the token.",
     "token list --tenant acme", ctl_token_list},
    {"token", "revoke", CTL_WRITE,
     BIT(CTL_TENANT) | BIT(CTL_CONNECTION) | BIT(CTL_HINT) | BIT(CTL_STDIN),
     "--tenant T --connection C [--hint XXXX] | -i", 0,
     "revoke the tokens of a connection, or one token",
     "Revokes all tokens of a connection, the one that ends in XXXX, or, with -i,\n"
     "the one that is read from stdin.  It holds for the next request.",
     "token revoke --tenant acme --connection entra --hint x3Fq", ctl_token_revoke},
    {"token", "check", CTL_READ, BIT(CTL_FORM), "[--form]", 0,
     "say whether a token on stdin would be accepted",
     "Reads a token from stdin and says whose it is, what it may and until when.  Exit\n"
     "code 0 where it would be accepted now, 3 where the store does not know it, 4 where\n"
     "it is no whole token, has expired, or its tenant is suspended.  With --form no store\n"
     "is asked, only whether it was copied whole.",
     "token check < token.txt", ctl_token_check},
    {"group", "list", CTL_READ, BIT(CTL_TENANT), "--tenant T", 0, "show the groups of a tenant",
     "Shows name, number of members, and the role that the group gives by SCIMRole:\n"
     "- where it gives none, unsupported where SCIMCustomGroups ignores it.",
     "group list --tenant acme", ctl_group_list},
    {"group", "show", CTL_READ, BIT(CTL_TENANT) | BIT(CTL_COUNT) | BIT(CTL_RESOURCE),
     "--tenant T [--count N] [--resource] NAME|id:ID", 1, "show a group and its members",
     "Shows the group of that displayName, without case, or of that id: the role that it\n"
     "gives, and its members with their names, at most 100 of them if --count does not say\n"
     "otherwise.  With --resource it is printed as GET shows it, all members too.",
     "group show --tenant acme --count 1000 \"Team North\"", ctl_group_show},
    {"group", "delete", CTL_WRITE, BIT(CTL_TENANT), "--tenant T NAME|id:ID", 1,
     "delete a group as an identity provider does",
     "Deletes the group of that displayName, without case, or of that id.  What becomes of\n"
     "its members is what SCIMOnGroupDelete says (policy); a large group's are seen to before\n"
     "this ends.  SCIMDeleteLimit holds here, too: exit code 4 where its brake is on.",
     "group delete --tenant acme id:01a20074-7ce9-7293-97be-1285721f7a9c", ctl_group_delete},
    {"user", "list", CTL_READ, BIT(CTL_TENANT) | BIT(CTL_FILTER) | BIT(CTL_COUNT),
     "--tenant T [--filter F] [--count N]", 0, "show the users of a tenant",
     "Shows userName, state, id and externalId of the users of a tenant in the order in which\n"
     "they were created: of all, of the first N, or of those that a SCIM filter matches, "
     "which\n"
     "is one as an endpoint takes it.",
     "user list --tenant acme --filter 'active eq false' --count 20\n"
     "user list --tenant acme --filter 'userName ew \"@example.com\"'",
     ctl_user_list},
    {"user", "show", CTL_READ, BIT(CTL_TENANT) | BIT(CTL_RESOURCE),
     "--tenant T [--resource] NAME|id:ID", 1, "show what a user may, as authorization sees it",
     "Shows the user of that userName, without case, or of that id: whether it is active, and\n"
     "the groups and roles that it has, directly or through other groups.  With --resource it\n"
     "is printed as GET shows it.",
     "user show --tenant acme bjensen@example.com", ctl_user_show},
    {"user", "delete", CTL_WRITE, BIT(CTL_TENANT), "--tenant T NAME|id:ID", 1,
     "delete a user as an identity provider does",
     "Deletes the user of that userName, without case, or of that id, with its memberships "
     "and\n"
     "what refers to it; its userName is free again.  An identity provider that still has the\n"
     "user makes it anew.  SCIMDeleteLimit holds here, too: exit code 4 where its brake is on.",
     "user delete --tenant acme bjensen@example.com", ctl_user_delete},
};

const int ctl_commands_count = (int)(sizeof(ctl_commands) / sizeof(ctl_commands[0]));

const ctl_option_def ctl_options[CTL_OPTIONS] = {
    [CTL_STORE] = {"store", 0, "URL", false, "the store: lmdb:PATH, or pgsql:CONNECTION"},
    [CTL_AUDIT_LOG] = {"audit-log", 0, "FILE", false, "where each change adds a line of JSON"},
    [CTL_JSON] = {"json", 0, NULL, false, "print JSON"},
    [CTL_HELP] = {"help", 'h', NULL, false, "print this help"},
    [CTL_VERSION] = {"version", 0, NULL, false, "print the versions that matter"},
    [CTL_OWNER] = {"owner", 0, "USER", false, "who owns a new directory: httpd's User"},
    [CTL_TENANT] = {"tenant", 0, "T", true, "the tenant"},
    [CTL_CONNECTION] = {"connection", 0, "C", true,
                        "the identity provider's connection, such as entra"},
    [CTL_SCOPE] = {"scope", 0, "S", false, "read, write or read,write (read,write)"},
    [CTL_EXPIRES] = {"expires", 0, "TIME", false,
                     "when it ends: never, or a number and d, h, min or s (365d)"},
    [CTL_GRACE] = {"grace", 0, "TIME", false,
                   "how long older tokens stay good, a time as that of --expires"},
    [CTL_FOR] = {"for", 0, "IDP", false, "say where to type it in: entra, jumpcloud or okta"},
    [CTL_HINT] = {"hint", 0, "XXXX", false, "the last four characters of the token"},
    [CTL_STDIN] = {"stdin", 'i', NULL, false, "read the token from stdin"},
    [CTL_FORCE] = {"force", 0, NULL, false,
                   "do not ask; restore what verify finds damage in; reindex what others "
                   "may have open"},
    [CTL_SALVAGE] = {"salvage", 0, NULL, false, "keep what is whole of a damaged data.mdb"},
    [CTL_TRIAL] = {"trial", 0, NULL, false,
                   "copy while servers write; not all of that is in the copy"},
    [CTL_TYPE] = {"type", 0, "TYPE", false, "Users or Groups alone"},
    [CTL_CSV] = {"csv", 0, NULL, false, "the file is CSV, with the names of its columns first"},
    [CTL_MAP] = {"map", 0, "COL=ATTR", false,
                 "what a column of CSV is, such as \"Login=userName\"; may be repeated"},
    [CTL_DRY_RUN] = {"dry-run", 0, NULL, false, "say what would be done, and do nothing"},
    [CTL_UPDATE] = {"update", 0, NULL, false, "replace what is there already"},
    [CTL_KEEP_IDS] = {"keep-ids", 0, NULL, false, "create resources with the ids of the file"},
    [CTL_ERRORS] = {"errors", 0, "FILE", false, "write what is refused there, not to stderr"},
    [CTL_URL] = {"url", 0, "URL", false, "the endpoint, if not as httpd wrote it down"},
    [CTL_NO_TOKEN] = {"no-token", 0, NULL, false,
                      "make no token for a request to the endpoint"},
    [CTL_FILTER] = {"filter", 0, "F", false, "a SCIM filter, such as 'active eq false'"},
    [CTL_COUNT] = {"count", 0, "N", false, "at most so many"},
    [CTL_RESOURCE] = {"resource", 0, NULL, false, "print it as GET shows it, as JSON"},
    [CTL_FORM] = {"form", 0, NULL, false, "check form and checksum only, without a store"},
};

/* The command line */

static void print_version(bool json)
{
    if (json) {
        ctl_print_json(scim_json_pack("{s:s, s:i, s:s}", "version", SCIM_VERSION, "format",
                                      SCIM_STORE_FORMAT, "unicode",
                                      scim_text_unicode_version()));
    } else {
        printf("scimctl of mod_scim %s, store format %d, Unicode %s\n", SCIM_VERSION,
               SCIM_STORE_FORMAT, scim_text_unicode_version());
    }
}

/* A letter, or a number beyond all letters. */
static int code_of(int option)
{
    return ctl_options[option].letter ? ctl_options[option].letter : 256 + option;
}

static void describe_options(apr_getopt_option_t *out)
{
    int i;

    memset(out, 0, sizeof(*out) * (CTL_OPTIONS + 1));
    for (i = 0; i < CTL_OPTIONS; i++) {
        out[i].name = ctl_options[i].name;
        out[i].optch = code_of(i);
        out[i].has_arg = ctl_options[i].value != NULL;
    }
}

static bool take_option(ctl *c, int code, const char *value)
{
    int i = 0;

    while (code_of(i) != code) {
        i++;
    }
    if (ctl_options[i].is_name && !scim_tenant_name_valid(value)) {
        ctl_complain("--%s: \"%s\" is not a name: 1 to %d of A-Z a-z 0-9 . _ -",
                     ctl_options[i].name, value, SCIM_TENANT_NAME_MAX);
        return false;
    }
    c->options[i] = value ? value : "";
    if (i == CTL_MAP) {
        APR_ARRAY_PUSH(c->maps, const char *) = value;
    }
    return true;
}

/* What stands for a lone "-", which apr_getopt takes for a wrong option. */
static const char dash[] = "-";
static const char in_its_place[] = "(-)";

static void hide_dashes(const char **argv, int argc)
{
    int i;

    for (i = 1; i < argc; i++) {
        argv[i] = strcmp(argv[i], dash) ? argv[i] : in_its_place;
    }
}

static void show_dashes(const char **words, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        words[i] = words[i] == in_its_place ? dash : words[i];
    }
}

/* Sorts the command line into options and words. */
static ctl_exit read_line(ctl *c, const char *const **words, int *count, int argc,
                          const char *const *argv)
{
    const char **copy = apr_pmemdup(c->pool, argv, sizeof(*argv) * ((apr_size_t)argc + 1));
    apr_getopt_option_t known[CTL_OPTIONS + 1];
    apr_getopt_t *getopt_state;
    const char *value;
    apr_status_t rv;
    int code;

    describe_options(known);
    hide_dashes(copy, argc);
    apr_getopt_init(&getopt_state, c->pool, argc, copy);
    getopt_state->interleave = 1;
    while ((rv = apr_getopt_long(getopt_state, known, &code, &value)) == APR_SUCCESS) {
        if (!take_option(c, code, value)) {
            return CTL_USAGE;
        }
    }
    if (rv != APR_EOF) {
        const char *meant = ctl_nearest_option(argv, argc, c->pool);

        ctl_complain("%s%s%sscimctl --help shows the options", meant ? "did you mean --" : "",
                     meant ? meant : "", meant ? "? " : "");
        return CTL_USAGE;
    }
    *words = (const char *const *)getopt_state->argv + getopt_state->ind;
    *count = argc - getopt_state->ind;
    show_dashes((const char **)getopt_state->argv + getopt_state->ind, *count);
    return CTL_OK;
}

static const ctl_command *find_command(const char *const *words, int count)
{
    int i;

    for (i = 0; i < ctl_commands_count && count; i++) {
        const ctl_command *command = &ctl_commands[i];

        if (!strcmp(words[0], command->name) &&
            (!command->sub || (count > 1 && !strcmp(words[1], command->sub)))) {
            return command;
        }
    }
    return NULL;
}

static ctl_exit check_line(ctl *c, const char *const *words, int count)
{
    const ctl_command *command = c->command;
    int given = count - (command->sub ? 2 : 1);
    int i;

    for (i = 0; i < CTL_OPTIONS; i++) {
        if (c->options[i] && !((command->options | CTL_OF_EVERY_COMMAND) & BIT(i))) {
            ctl_complain("%s takes no option --%s; usage: %s", ctl_full_name(command, c->pool),
                         ctl_options[i].name, ctl_synopsis(command, c->pool));
            return CTL_USAGE;
        }
    }
    if (command->operands_count < 0 ? given > 1 : given != command->operands_count) {
        ctl_complain("%s; usage: %s",
                     given > abs(command->operands_count) ? "too many words"
                                                          : "a name is missing",
                     ctl_synopsis(command, c->pool));
        return CTL_USAGE;
    }
    c->operand = given ? words[count - 1] : NULL;
    c->operands = words + count - given;
    return CTL_OK;
}

/* Running */

/* A path is taken as in any command, from the current directory on. */
static const char *absolute(const char *path, apr_pool_t *pool)
{
    char *whole;
    size_t len;

    if (apr_filepath_merge(&whole, NULL, path, 0, pool)) {
        return path;
    }
    len = strlen(whole);
    if (len > 1 && whole[len - 1] == '/') {
        whole[len - 1] = '\0';
    }
    return whole;
}

const char *ctl_store_url(const char *word, apr_pool_t *pool)
{
    if (!strncmp(word, "lmdb:", 5) && word[5]) {
        return apr_pstrcat(pool, "lmdb:", absolute(word + 5, pool), NULL);
    }
    /* As httpd's SCIMStore reads it. */
    return *word == '/' ? apr_pstrcat(pool, "lmdb:", absolute(word, pool), NULL) : word;
}

static const char *store_url(const ctl *c)
{
    const char *url = c->options[CTL_STORE];

    if (!url) {
        url = getenv("SCIM_STORE");
    }
    return ctl_store_url(url && *url ? url : CTL_DEFAULT_STORE, c->pool);
}

static const scim_error *open_as(ctl *c, const char *url, scim_store_options how)
{
    how.any_unicode = c->command->needs == CTL_REBUILD;
    SCIM_ERR(scim_registry_make(&how.registry, c->pool));
    return scim_store_open(&c->store, url, &how, c->pool);
}

static ctl_exit complain_of_store(const scim_error *err)
{
    if (err) {
        ctl_complain("%s", err->cause ? err->cause : err->detail);
        return CTL_NO_STORE;
    }
    return CTL_OK;
}

ctl_exit ctl_open_store(ctl *c, const char *url, const scim_store_options *how)
{
    return complain_of_store(open_as(c, url, *how));
}

static ctl_exit open_store(ctl *c)
{
    ctl_need needs = c->command->needs;
    const scim_error *err =
        open_as(c, c->url, (scim_store_options){.kv.read_only = needs == CTL_READ});

    if (err && needs == CTL_CREATE) {
        err = open_as(c, c->url, (scim_store_options){.kv.create = true});
        c->made = !err;
    }
    return complain_of_store(err);
}

static ctl_exit run(ctl *c)
{
    ctl_exit code = CTL_OK;

    c->url = store_url(c);
    c->json = c->options[CTL_JSON] != NULL;
    if (scim_kv_has_secret(c->url, c->pool)) {
        ctl_complain("%s: %s", c->options[CTL_STORE] ? "--store" : "SCIM_STORE",
                     scim_kv_secret_text);
        return CTL_USAGE;
    }
    if (c->command->needs != CTL_NOTHING && !c->options[CTL_FORM]) {
        code = ctl_audit_open(c);
        if (code == CTL_OK && c->command->needs == CTL_RESTORE) {
            code = ctl_open_input(c);
        }
        if (code == CTL_OK && c->command->needs == CTL_LOAD) {
            code = ctl_open_import(c);
        }
        if (code == CTL_OK && c->command->needs != CTL_EXAMINE &&
            c->command->needs != CTL_MOVE) {
            code = ctl_become_owner(c, c->command->needs == CTL_CREATE ||
                                           c->command->needs == CTL_RESTORE);
        }
        if (code == CTL_OK && c->command->needs < CTL_ITSELF) {
            code = open_store(c);
        }
    }
    return code == CTL_OK ? c->command->run(c) : code;
}

static ctl_exit help(const ctl *c, const char *const *words, int count)
{
    if (c->command) {
        ctl_print_help(c->command, c->pool);
    } else if (count && !ctl_is_noun(words[0])) {
        return ctl_no_command(words, count, c->pool);
    } else {
        ctl_print_overview(count ? words[0] : NULL, c->pool);
    }
    return CTL_OK;
}

static ctl_exit scimctl(apr_pool_t *pool, int argc, const char *const *argv)
{
    ctl c = {.pool = pool, .maps = apr_array_make(pool, 4, sizeof(const char *))};
    const char *const *words;
    int count;
    ctl_exit code;

    /* Of no concern to people: conf/completion/scimctl asks so. */
    if (argc == 2 && !strcmp(argv[1], "--complete")) {
        ctl_print_completions(pool);
        return CTL_OK;
    }
    code = read_line(&c, &words, &count, argc, argv);
    if (code != CTL_OK) {
        return code;
    }
    if (count && !strcmp(words[0], "help")) {
        c.options[CTL_HELP] = "";
        words++;
        count--;
    }
    c.command = find_command(words, count);
    if (c.options[CTL_HELP]) {
        return help(&c, words, count);
    }
    if (c.options[CTL_VERSION]) {
        print_version(c.options[CTL_JSON] != NULL);
        return CTL_OK;
    }
    if (!c.command) {
        return ctl_no_command(words, count, pool);
    }
    code = check_line(&c, words, count);
    return code == CTL_OK ? run(&c) : code;
}

/* Where a caller closed one of the standard descriptors, the store's files would
 * take its number, and what is printed would be written into them.  Writing to what stands in
 * their place fails, so that a token that nobody saw is taken back. */
static bool standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return fd > STDERR_FILENO && close(fd) == 0;
}

int main(int argc, const char *const *argv)
{
    apr_pool_t *pool;
    ctl_exit code;

    /* A reader that went away is an error of writing, not the end. */
    signal(SIGPIPE, SIG_IGN);
    if (!standard_descriptors()) {
        return CTL_FAILED;
    }
    if (apr_app_initialize(&argc, &argv, NULL) ||
        apr_pool_create_ex(&pool, NULL, scim_heap_abort, NULL)) {
        fputs("scimctl: cannot start\n", stderr);
        return CTL_FAILED;
    }
    scim_kv_register(&scim_kv_pgsql);
    code = scimctl(pool, argc, argv);
    if (fflush(stdout) && code == CTL_OK) {
        ctl_complain("cannot write to stdout");
        code = CTL_FAILED;
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return (int)code;
}
