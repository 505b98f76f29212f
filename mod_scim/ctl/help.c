/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scimctl says of itself: help, made of the table of commands; what shells complete
 * by; and what somebody who mistyped a command may have meant.
 */
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/text.h"

#include "ctl.h"

#define WIDTH 79
#define HELP "help"

/* The overview in chapters: the commands of each stand in the order of the table. */
static const struct {
    const char *title;
    const char *names; /* between spaces */
} chapters[] = {
    {"The store", " init stat verify reindex sweep compact "},
    {"Backups, and data from elsewhere", " backup restore migrate export import "},
    {"Tenants, their policy, and the tokens of their identity providers",
     " tenant policy token "},
    {"Users and groups", " user group "},
    {"When something does not work", " doctor "},
};

const char *ctl_full_name(const ctl_command *command, apr_pool_t *pool)
{
    return command->sub ? apr_pstrcat(pool, command->name, " ", command->sub, NULL)
                        : command->name;
}

/* What the table has in several lines. */
static const char *one_line(const char *text, apr_pool_t *pool)
{
    char *line = apr_palloc(pool, strlen(text) + 1), *to = line;

    while (*text) {
        size_t gap = strspn(text, " \n");

        if (gap) {
            *to++ = ' ';
            text += gap;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
    return line;
}

const char *ctl_synopsis(const ctl_command *command, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "scimctl ", ctl_full_name(command, pool),
                       *command->operands ? " " : "", one_line(command->operands, pool), NULL);
}

/* Text in lines: words are not divided, nor is what stands in brackets; a blank line is
 * one. */

/* Up to where a line may end next. */
static size_t piece_of(const char *text)
{
    size_t len = 0;
    int depth = 0;

    while (text[len] && (depth > 0 || !strchr(" \n", text[len]))) {
        depth += (text[len] == '[') - (text[len] == ']');
        len++;
    }
    return len;
}

static bool ends_sentence(const char *text, size_t len)
{
    return len > 1 && strchr(".!?", text[len - 1]) && text[len - 2] != '.';
}

/* column: where the first line begins; the others begin at indent. */
static void print_wrapped(const char *text, int column, int indent)
{
    int at = column, gap = 0;

    while (*text) {
        size_t len = piece_of(text);

        if (gap && at + gap + (int)len > WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
            gap = 0;
        }
        printf("%*s%.*s", gap, "", (int)len, text);
        at += gap + (int)len;
        gap = ends_sentence(text, len) ? 2 : 1;
        text += len;
        if (text[0] == '\n' && text[1] == '\n') {
            printf("\n\n%*s", indent, "");
            at = indent;
            gap = 0;
        }
        text += strspn(text, " \n");
    }
    putchar('\n');
}

static const char *show_option(int i, apr_pool_t *pool)
{
    const ctl_option_def *option = &ctl_options[i];

    return apr_psprintf(
        pool, "%s--%s%s%s", option->letter ? apr_psprintf(pool, "-%c, ", option->letter) : "",
        option->name, option->value ? " " : "", option->value ? option->value : "");
}

static void print_row(const char *label, int width, const char *text)
{
    printf("  %-*s  ", width, label);
    print_wrapped(text, width + 4, width + 4);
}

static void print_options(apr_uint64_t which, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < CTL_OPTIONS; i++) {
        if (which & CTL_BIT(i)) {
            print_row(show_option(i, pool), 16, ctl_options[i].text);
        }
    }
}

static void print_examples(const char *examples)
{
    while (*examples) {
        size_t len = strcspn(examples, "\n");

        printf("  scimctl %.*s\n", (int)len, examples);
        examples += len + (examples[len] == '\n');
    }
}

static void print_codes(void)
{
    printf("\nExit codes:\n"
           "  0  done\n"
           "  1  the command line is wrong\n"
           "  2  the store cannot be opened\n"
           "  3  what was named is not there\n"
           "  4  refused: it exists already, is not acceptable, or a server has the\n"
           "     store open\n"
           "  5  the store is busy, full or damaged, or another error\n");
}

void ctl_print_help(const ctl_command *command, apr_pool_t *pool)
{
    printf("Usage: ");
    print_wrapped(ctl_synopsis(command, pool), 7, 11);
    putchar('\n');
    print_wrapped(command->text, 0, 0);
    printf("\nOptions:\n");
    print_options(command->options, pool);
    print_options(CTL_OF_EVERY_COMMAND, pool);
    printf("\nExample:\n");
    print_examples(command->example);
    print_codes();
}

/* Those whose first word is among names, which stand between spaces. */
static void print_commands(const char *names, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < ctl_commands_count; i++) {
        const ctl_command *command = &ctl_commands[i];

        if (strstr(names, apr_pstrcat(pool, " ", command->name, " ", NULL))) {
            print_row(ctl_full_name(command, pool), 14, command->summary);
        }
    }
}

static void print_chapters(apr_pool_t *pool)
{
    size_t i;

    for (i = 0; i < sizeof(chapters) / sizeof(chapters[0]); i++) {
        printf("\n%s:\n", chapters[i].title);
        print_commands(chapters[i].names, pool);
    }
}

void ctl_print_overview(const char *noun, apr_pool_t *pool)
{
    printf("Usage: scimctl [--store URL] [--json] COMMAND ...\n"
           "       scimctl help [COMMAND]\n\n"
           "Keeps the store of mod_scim, while httpd runs and while it does not.\n");
    if (noun) {
        putchar('\n');
        print_commands(apr_pstrcat(pool, " ", noun, " ", NULL), pool);
    } else {
        print_chapters(pool);
    }
    printf("\nOptions of every command, before or behind it:\n");
    print_options(CTL_OF_EVERY_COMMAND, pool);
    putchar('\n');
    print_wrapped(
        "The store is that of --store, else of the environment's SCIM_STORE, else "
        "" CTL_DEFAULT_STORE ".  Run by root, scimctl becomes the owner of the store's "
        "directory first.  The audit log is that of --audit-log, else of SCIM_AUDIT_LOG, "
        "else there is none; it is opened before that.",
        0, 0);
    print_codes();
}

/* For shells */

static void print_completion(const char *name, apr_uint64_t which, const char *operands)
{
    int i;

    printf("%s\t", name);
    for (i = 0; i < CTL_OPTIONS; i++) {
        if (which & CTL_BIT(i)) {
            printf("--%s%s ", ctl_options[i].name, ctl_options[i].value ? "=" : "");
        }
    }
    printf("\t%s\n", operands);
}

void ctl_print_completions(apr_pool_t *pool)
{
    int i;

    print_completion("", CTL_OF_EVERY_COMMAND, "");
    for (i = 0; i < ctl_commands_count; i++) {
        const ctl_command *command = &ctl_commands[i];

        print_completion(ctl_full_name(command, pool), command->options,
                         one_line(command->operands, pool));
    }
}

/* What there is not */

bool ctl_is_noun(const char *word)
{
    int i;

    for (i = 0; i < ctl_commands_count; i++) {
        if (ctl_commands[i].sub && !strcmp(word, ctl_commands[i].name)) {
            return true;
        }
    }
    return false;
}

/* First words, or those that follow a noun; one may come more than once. */
static const char *nearest(const char *word, const char *noun, apr_pool_t *pool)
{
    apr_array_header_t *words = apr_array_make(pool, 32, sizeof(const char *));
    int i;

    if (!noun) {
        APR_ARRAY_PUSH(words, const char *) = HELP;
    }
    for (i = 0; i < ctl_commands_count; i++) {
        const ctl_command *command = &ctl_commands[i];

        if (!noun || !strcmp(noun, command->name)) {
            APR_ARRAY_PUSH(words, const char *) = noun ? command->sub : command->name;
        }
    }
    return scim_text_nearest(word, (const char *const *)words->elts, words->nelts);
}

const char *ctl_nearest_option(const char *const *argv, int argc, apr_pool_t *pool)
{
    const char *names[CTL_OPTIONS];
    int i, known;

    for (i = 0; i < CTL_OPTIONS; i++) {
        names[i] = ctl_options[i].name;
    }
    for (i = 1; i < argc; i++) {
        const char *word = apr_pstrmemdup(pool, argv[i], strcspn(argv[i], "="));

        if (strncmp(word, "--", 2)) {
            continue;
        }
        for (known = 0; known < CTL_OPTIONS && strcmp(word + 2, names[known]); known++) {
        }
        if (known == CTL_OPTIONS) {
            return scim_text_nearest(word + 2, names, CTL_OPTIONS);
        }
    }
    return NULL;
}

/* The noun that has a command of that name, for who left it out: "create" has two. */
static const char *owner_of(const char *word)
{
    const char *noun = NULL;
    int i;

    for (i = 0; i < ctl_commands_count; i++) {
        const ctl_command *command = &ctl_commands[i];

        if (command->sub && !strcmp(word, command->sub)) {
            if (noun) {
                return NULL;
            }
            noun = command->name;
        }
    }
    return noun;
}

static const char *suggestion(const char *const *words, apr_pool_t *pool)
{
    const char *noun = ctl_is_noun(words[0]) ? words[0] : NULL;
    const char *meant = nearest(noun ? words[1] : words[0], noun, pool);

    if (!meant && !noun) {
        noun = owner_of(words[0]);
        meant = noun ? words[0] : NULL;
    }
    return meant ? apr_pstrcat(pool, "; did you mean ", noun ? noun : "", noun ? " " : "",
                               meant, "?", NULL)
                 : "";
}

ctl_exit ctl_no_command(const char *const *words, int count, apr_pool_t *pool)
{
    if (!count) {
        ctl_complain("which command? scimctl --help shows them");
    } else if (!ctl_is_noun(words[0])) {
        ctl_complain("there is no command %s%s (scimctl --help shows them)", words[0],
                     suggestion(words, pool));
    } else if (count == 1) {
        ctl_complain("%s what? scimctl %s --help shows the commands", words[0], words[0]);
    } else {
        ctl_complain("there is no command %s %s%s (scimctl %s --help shows them)", words[0],
                     words[1], suggestion(words, pool), words[0]);
    }
    return CTL_USAGE;
}
