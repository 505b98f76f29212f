/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second pass of an import: members of groups, and managers who came later than
 * those whom they manage.
 *
 * While the file is read these wait in two files that have no name: members, as they
 * are read, and their owners, as they are written.  Both are in the order of the file's
 * lines, so that one walk over both brings them together.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/member.h"
#include "scim/text.h"
#include "scim/validate.h"

#include "import.h"

/* What one transaction takes, for which all other writers wait. */
#define BATCH_JOBS 400
#define BATCH_MEMBERS 1000
#define BATCH_CHANGED (16 << 20)

#define SLICE 2000 /* members of a group that are read in one view */

/* Managers */

#define MANAGER "manager"

json_t *ctl_import_manager(const json_t *user)
{
    return json_object_get(json_object_get(user, SCIM_URN_ENTERPRISE), MANAGER);
}

const scim_error *ctl_import_set_manager(json_t *user, const char *id,
                                         const scim_resource_type *type, apr_pool_t *pool)
{
    json_t *extension = json_object_get(user, SCIM_URN_ENTERPRISE);

    if (!id) {
        json_object_del(extension, MANAGER);
    } else {
        if (!extension) {
            extension = scim_json_object();
            scim_json_set(user, SCIM_URN_ENTERPRISE, extension);
        }
        scim_json_set(extension, MANAGER, scim_json_pack("{s:s}", "value", id));
    }
    return extension ? scim_validate_whole(user, type, pool) : NULL;
}

/* What waits */

typedef struct member_head {
    apr_uint64_t line;
    apr_uint32_t len, display_len, type_len; /* of the texts that follow */
    apr_uint32_t padding;
} member_head;

static bool cannot_keep(import *im)
{
    im->fatal = scim_error_system(
        im->c->pool, SCIM_E_INTERNAL, errno, "what waits for the second pass cannot be kept",
        "a temporary file: %s; TMPDIR names another place for it", strerror(errno));
    return false;
}

/* Of mode 0600, and gone whatever happens. */
static FILE *open_nameless(apr_pool_t *pool)
{
    const char *dir;
    char *name;
    FILE *file;
    int fd;

    if (apr_temp_dir_get(&dir, pool)) {
        dir = "/tmp";
    }
    name = apr_pstrcat(pool, dir, "/scimctl.XXXXXX", NULL);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    unlink(name);
    file = fdopen(fd, "w+");
    if (!file) {
        close(fd);
    }
    return file;
}

static bool is_open(FILE **file, import *im)
{
    *file = *file ? *file : open_nameless(im->c->pool);
    return *file || cannot_keep(im);
}

static bool put(FILE *file, const void *data, size_t len)
{
    return !len || fwrite(data, len, 1, file) == 1;
}

static apr_uint32_t length(const char *text)
{
    return text ? (apr_uint32_t)strlen(text) : 0;
}

bool ctl_import_note_member(import *im, apr_uint64_t line, const scim_member_op *member)
{
    member_head head = {.line = line,
                        .len = length(member->value),
                        .display_len = length(member->display),
                        .type_len = length(member->type)};

    if (!is_open(&im->members, im)) {
        return false;
    }
    return (put(im->members, &head, sizeof(head)) &&
            put(im->members, member->value, head.len) &&
            put(im->members, member->display, head.display_len) &&
            put(im->members, member->type, head.type_len)) ||
           cannot_keep(im);
}

bool ctl_import_note_owner(import *im, const import_owner *owner, const char *reference)
{
    if (!is_open(&im->owners, im)) {
        return false;
    }
    return (put(im->owners, owner, sizeof(*owner)) && put(im->owners, reference, owner->len)) ||
           cannot_keep(im);
}

static bool take(FILE *file, void *data, size_t len)
{
    return !len || fread(data, len, 1, file) == 1;
}

/* NULL for none; on failure the next read fails as well. */
static const char *take_text(FILE *file, apr_uint32_t len, apr_pool_t *pool)
{
    char *text = len ? apr_palloc(pool, len + 1) : NULL;

    if (text) {
        text[take(file, text, len) ? len : 0] = '\0';
    }
    return text;
}

/* What is to be done */

/* A change of one resource. */
typedef struct job {
    apr_uint64_t line;
    scim_id id;
    const scim_resource_type *type;
    const char *manager;         /* of a user, as the file names it */
    apr_array_header_t *members; /* of a group: scim_member_op, as the file names them */
    bool resolved;               /* or by their ids here */

    /* of the last run */
    const scim_error *refusal;
    apr_array_header_t *lost; /* of const scim_error * */
    apr_array_header_t *ops;  /* members with the ids that they have here */
    apr_uint64_t links;
    scim_change change;
} job;

/* A group whose members are to be those of the file and no others. */
typedef struct replaced {
    apr_array_header_t *ids; /* of scim_id: those of the file */
    apr_hash_t *texts;       /* likewise of those that are no resource */
    apr_pool_t *pool;
} replaced;

typedef struct linking {
    import *im;
    member_head next; /* that was read of the members and is not taken yet */
    bool any;         /* there is one */
    apr_array_header_t *jobs;
    int members; /* in them */
    int from, to;
    replaced *whole;  /* of the group at hand, or NULL */
    apr_off_t size;   /* of the owners */
    apr_pool_t *pool; /* of the jobs */
} linking;

/* Whom the file means: a resource of it, or one that is there. */
static const scim_error *resolve(bool *found, scim_id *out, scim_view *view, import *im,
                                 const char *text)
{
    const scim_resource_type *type = NULL;
    apr_size_t len;
    const char *name;

    *found = ctl_import_named(out, im->names, IMPORT_ID, text, strlen(text));
    if (*found) {
        return NULL;
    }
    name = scim_text_prepare(text, strlen(text), false, &len, view->pool);
    *found = ctl_import_named(out, im->names, IMPORT_USER, name, len);
    if (!*found && scim_id_parse(out, text)) {
        SCIM_ERR(ctl_import_find_id(&type, view, im, out));
        *found = type != NULL;
    }
    return *found ? NULL : ctl_import_find_user(found, out, view, im, text);
}

static void lose(job *j, const char *what, const char *text, const char *then, apr_pool_t *pool)
{
    APR_ARRAY_PUSH(j->lost, const scim_error *) =
        scim_error_make(pool, SCIM_E_INVALID_VALUE,
                        "%s: neither this file nor the directory has \"%.64s\", by id or "
                        "userName; %s",
                        what, text, then);
}

static const scim_error *resolve_member(scim_member_op *op, bool *keep, job *j, scim_view *view,
                                        linking *l)
{
    scim_id id;
    bool found;

    SCIM_ERR(resolve(&found, &id, view, l->im, op->value));
    *keep = found || l->im->tenant.policy.dangling_references;
    if (!*keep) {
        lose(j, "members", op->value, "it is left out", view->pool);
        return NULL;
    }
    if (l->whole && !found) {
        apr_hash_set(l->whole->texts, apr_pstrdup(l->whole->pool, op->value),
                     APR_HASH_KEY_STRING, "");
    }
    if (found) {
        op->value = scim_id_format(&id, apr_palloc(view->pool, SCIM_ID_TEXT + 1));
        op->type = NULL; /* what it is here says the store */
        j->links++;
    }
    if (l->whole && found) {
        APR_ARRAY_PUSH(l->whole->ids, scim_id) = id;
    }
    return NULL;
}

static const scim_error *resolve_members(job *j, scim_view *view, linking *l)
{
    int i;

    j->ops = apr_array_make(view->pool, j->members->nelts, sizeof(scim_member_op));
    for (i = 0; i < j->members->nelts; i++) {
        scim_member_op op = APR_ARRAY_IDX(j->members, i, scim_member_op);
        bool keep = true;

        if (!j->resolved) {
            SCIM_ERR(resolve_member(&op, &keep, j, view, l));
        }
        if (keep) {
            APR_ARRAY_PUSH(j->ops, scim_member_op) = op;
        }
    }
    return NULL;
}

/* As a POST leaves an unknown manager as it was sent. */
static const scim_error *resolve_manager(const char **out, job *j, scim_view *view, linking *l)
{
    scim_id id;
    bool found;

    SCIM_ERR(resolve(&found, &id, view, l->im, j->manager));
    *out = j->manager;
    if (found) {
        *out = scim_id_format(&id, apr_palloc(view->pool, SCIM_ID_TEXT + 1));
        j->links++;
    } else {
        lose(j, "manager", j->manager, "it is kept as it stands", view->pool);
    }
    return NULL;
}

typedef struct drafting {
    const job *j;
    const char *manager;
} drafting;

static const scim_error *draft_of(scim_draft *draft, const json_t *existing, void *baton,
                                  apr_pool_t *pool)
{
    const drafting *d = baton;

    draft->type = d->j->type;
    draft->json = scim_json_adopt(scim_json_deep_copy(existing), pool);
    draft->members = d->j->ops;
    return d->manager ? ctl_import_set_manager(draft->json, d->manager, d->j->type, pool)
                      : NULL;
}

static const scim_error *resolve_job(drafting *d, job *j, scim_view *view, linking *l)
{
    j->lost = apr_array_make(view->pool, 1, sizeof(const scim_error *));
    j->links = 0;
    j->refusal = NULL;
    j->change.changed = false;
    *d = (drafting){.j = j};
    return j->manager ? resolve_manager(&d->manager, j, view, l) : resolve_members(j, view, l);
}

static const scim_error *run_jobs(scim_batch *batch, void *baton)
{
    linking *l = baton;
    import *im = l->im;

    SCIM_ERR(ctl_find_again(&im->tenant, &batch->view, im->tenant_name));
    for (l->to = l->from; l->to < l->jobs->nelts && batch->bytes < BATCH_CHANGED; l->to++) {
        job *j = &APR_ARRAY_IDX(l->jobs, l->to, job);
        drafting d;

        SCIM_ERR(resolve_job(&d, j, &batch->view, l));
        if (j->manager || j->ops->nelts) {
            j->refusal = scim_batch_change(&j->change, batch, &im->tenant, j->type, &j->id,
                                           NULL, draft_of, &d, true, apr_time_now(), l->pool);
        }
        if (j->refusal && ctl_import_is_fatal(j->refusal)) {
            return j->refusal;
        }
    }
    return NULL;
}

/* Of a dry run: nothing is there that could be changed. */
static const scim_error *try_jobs(scim_view *view, void *baton)
{
    linking *l = baton;

    SCIM_ERR(ctl_find_again(&l->im->tenant, view, l->im->tenant_name));
    for (l->to = l->from; l->to < l->jobs->nelts; l->to++) {
        drafting d;

        SCIM_ERR(resolve_job(&d, &APR_ARRAY_IDX(l->jobs, l->to, job), view, l));
    }
    return NULL;
}

/* What one of many members is refused for is no reason to do without the others. */
static bool halve(linking *l, const job *j)
{
    int i, half = j->members ? j->members->nelts / 2 : 0;

    for (i = 0; i < 2 && half; i++) {
        job part = *j;
        int from = i ? half : 0;

        part.members = apr_array_make(l->pool, half + 1, sizeof(scim_member_op));
        for (; from < (i ? j->members->nelts : half); from++) {
            APR_ARRAY_PUSH(part.members, scim_member_op) =
                APR_ARRAY_IDX(j->members, from, scim_member_op);
        }
        APR_ARRAY_PUSH(l->jobs, job) = part;
    }
    return half > 0;
}

static void settle_job(linking *l, job j)
{
    import *im = l->im;
    int i;

    if (j.refusal && halve(l, &j)) {
        return;
    }
    for (i = 0; i < j.lost->nelts; i++) {
        ctl_import_lose(im, j.line, APR_ARRAY_IDX(j.lost, i, const scim_error *));
    }
    if (j.refusal) {
        ctl_import_lose(im, j.line, j.refusal);
        return;
    }
    im->sums.links += j.links;
    if (j.change.changed) {
        ctl_audit_change(im->c, "patch", im->tenant_name, &j.change);
    }
}

static bool flush(linking *l)
{
    import *im = l->im;

    for (l->from = 0; l->from < l->jobs->nelts; l->from = l->to) {
        const scim_error *err = im->dry_run
                                    ? scim_store_view(im->c->store, try_jobs, l, l->pool)
                                    : scim_store_batch(im->c->store, run_jobs, l, l->pool);
        int i;

        if (err) {
            im->fatal = scim_error_at(im->c->pool, err, "");
            return false;
        }
        for (i = l->from; i < l->to; i++) {
            settle_job(l, APR_ARRAY_IDX(l->jobs, i, job));
        }
    }
    apr_pool_clear(l->pool);
    l->jobs = apr_array_make(l->pool, 16, sizeof(job));
    l->members = 0;
    ctl_show_progress(&im->progress, (apr_uint64_t)ftello(im->owners), (apr_uint64_t)l->size);
    return true;
}

static bool flush_full(linking *l)
{
    return (l->jobs->nelts < BATCH_JOBS && l->members < BATCH_MEMBERS) || flush(l);
}

/* Members */

static void read_next(linking *l)
{
    l->any = l->im->members && take(l->im->members, &l->next, sizeof(l->next));
}

/* The texts of the next member. */
static scim_member_op read_member(linking *l, apr_pool_t *pool)
{
    FILE *file = l->im->members;
    scim_member_op op = {.kind = SCIM_MEMBER_ADD, .where = "members"};

    op.value = take_text(file, l->next.len, pool);
    op.display = take_text(file, l->next.display_len, pool);
    op.type = take_text(file, l->next.type_len, pool);
    read_next(l);
    return op;
}

/* To the members of a line; those of lines that were refused are passed by. */
static void go_to(linking *l, apr_uint64_t line)
{
    while (l->any && l->next.line < line) {
        off_t rest = (off_t)l->next.len + l->next.display_len + l->next.type_len;

        if (fseeko(l->im->members, rest, SEEK_CUR)) {
            l->any = false;
            return;
        }
        read_next(l);
    }
}

static job *add_job(linking *l, const import_owner *owner, const scim_resource_type *type)
{
    job *j = apr_array_push(l->jobs);

    *j = (job){.line = owner->line, .id = owner->id, .type = type};
    return j;
}

/* As many of a group's members as one job takes; false where there are no more. */
static bool add_members(linking *l, const import_owner *owner, const scim_resource_type *type)
{
    job *j;

    if (!l->any || l->next.line != owner->line) {
        return false;
    }
    j = add_job(l, owner, type);
    j->members = apr_array_make(l->pool, 8, sizeof(scim_member_op));
    while (l->any && l->next.line == owner->line && j->members->nelts < BATCH_MEMBERS) {
        APR_ARRAY_PUSH(j->members, scim_member_op) = read_member(l, l->pool);
    }
    l->members += j->members->nelts;
    return true;
}

static bool link_group(linking *l, const import_owner *owner, const scim_resource_type *type)
{
    go_to(l, owner->line);
    while (add_members(l, owner, type)) {
        if (!flush_full(l)) {
            return false;
        }
    }
    return true;
}

/* Replacing members: first those are added that are new, then those go that the file
 * does not have, so that nobody is out who stays. */

typedef struct leaving {
    linking *l;
    job *j;
    scim_id group, last;
    bool begun, more;
} leaving;

static int by_id(const void *a, const void *b)
{
    return scim_id_compare(a, b);
}

static const scim_error *take_edge(const scim_edge *edge, void *baton)
{
    leaving *x = baton;
    replaced *whole = x->l->whole;
    scim_member_op op = {.kind = SCIM_MEMBER_REMOVE, .where = "members"};
    bool stays;

    if (edge->text) {
        op.value = apr_pstrmemdup(x->l->pool, edge->text, edge->text_len);
        stays = apr_hash_get(whole->texts, op.value, APR_HASH_KEY_STRING) != NULL;
    } else {
        op.value = scim_id_format(&edge->id, apr_palloc(x->l->pool, SCIM_ID_TEXT + 1));
        stays = whole->ids->nelts && bsearch(&edge->id, whole->ids->elts,
                                             (size_t)whole->ids->nelts, sizeof(scim_id), by_id);
        stays = stays || apr_hash_get(whole->texts, op.value, APR_HASH_KEY_STRING);
    }
    if (!stays) {
        APR_ARRAY_PUSH(x->j->members, scim_member_op) = op;
    }
    return NULL;
}

static const scim_error *read_edges(scim_view *view, void *baton)
{
    leaving *x = baton;
    import *im = x->l->im;
    scim_id behind = x->last;

    SCIM_ERR(ctl_find_again(&im->tenant, view, im->tenant_name));
    return scim_member_some(view, &im->tenant, &x->group, x->begun ? &behind : NULL, SLICE,
                            &x->last, &x->more, take_edge, x);
}

static bool remove_others(linking *l, const import_owner *owner, const scim_resource_type *type)
{
    leaving x = {.l = l, .group = owner->id};

    qsort(l->whole->ids->elts, (size_t)l->whole->ids->nelts, sizeof(scim_id), by_id);
    do {
        const scim_error *err;

        x.j = add_job(l, owner, type);
        x.j->members = apr_array_make(l->pool, 8, sizeof(scim_member_op));
        x.j->resolved = true;
        err = scim_store_view(l->im->c->store, read_edges, &x, l->pool);
        if (err) {
            l->im->fatal = scim_error_at(l->im->c->pool, err, "");
            return false;
        }
        x.begun = true;
        if (!flush(l)) {
            return false;
        }
    } while (x.more);
    return true;
}

static bool replace_members(linking *l, const import_owner *owner,
                            const scim_resource_type *type)
{
    replaced whole = {0};
    bool ok = flush(l);

    apr_pool_create(&whole.pool, l->im->c->pool);
    whole.ids = apr_array_make(whole.pool, 16, sizeof(scim_id));
    whole.texts = apr_hash_make(whole.pool);
    l->whole = &whole;
    ok = ok && link_group(l, owner, type) && flush(l) && remove_others(l, owner, type);
    l->whole = NULL;
    apr_pool_destroy(whole.pool);
    return ok;
}

/* All of it */

static bool link_owner(linking *l, const import_owner *owner)
{
    const scim_registry *registry = l->im->registry;

    if (owner->user) {
        job *j = add_job(l, owner, scim_registry_type(registry, "User"));

        j->manager = take_text(l->im->owners, owner->len, l->pool);
        return flush_full(l);
    }
    return owner->replace && !l->im->dry_run
               ? replace_members(l, owner, scim_registry_type(registry, "Group"))
               : link_group(l, owner, scim_registry_type(registry, "Group"));
}

static bool to_begin(FILE *file)
{
    return !file || !fseeko(file, 0, SEEK_SET);
}

static bool link_all(linking *l)
{
    import_owner owner;

    if (!to_begin(l->im->owners) || !to_begin(l->im->members)) {
        return cannot_keep(l->im);
    }
    read_next(l);
    while (take(l->im->owners, &owner, sizeof(owner))) {
        if (!link_owner(l, &owner)) {
            return false;
        }
    }
    return flush(l);
}

static bool is_written(FILE *file)
{
    return !file || (!fflush(file) && !ferror(file));
}

bool ctl_import_link(import *im)
{
    linking l = {.im = im};
    bool ok;

    if (!im->owners) {
        return true;
    }
    if (!is_written(im->owners) || !is_written(im->members)) {
        return cannot_keep(im);
    }
    l.size = ftello(im->owners);
    if (l.size < 0) {
        return cannot_keep(im);
    }
    apr_pool_create(&l.pool, im->c->pool);
    l.jobs = apr_array_make(l.pool, 16, sizeof(job));
    ok = link_all(&l);
    if (ok && (ferror(im->owners) || (im->members && ferror(im->members)))) {
        ok = cannot_keep(im);
    }
    return ok;
}
