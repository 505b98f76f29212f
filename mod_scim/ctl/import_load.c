/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating and replacing what was read, many in one transaction: all of a POST and a
 * PUT, one after the other, with one commit for them together.
 *
 * What they say of each other is left to the second pass (import_links.c), but for
 * managers who are there already: a file has people and groups in any order.
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/interop.h"
#include "scim/sweep.h"
#include "scim/text.h"
#include "scim/validate.h"

#include "import.h"

/* What one transaction takes, for which all other writers wait. */
#define BATCH_ENTRIES 400
#define BATCH_BYTES (2 << 20)
#define BATCH_CHANGED (16 << 20) /* of what it replaces */

/* Passwords are hashed before a batch is written, which takes much longer than all
 * else of it: such an entry counts as so many. */
#define PASSWORD_WEIGHT 20

typedef enum outcome {
    OUTCOME_REFUSED,
    OUTCOME_SKIPPED,
    OUTCOME_UNCHANGED,
    OUTCOME_UPDATED,
    OUTCOME_CREATED
} outcome;

typedef struct item {
    import_entry entry;
    const scim_resource_type *type;
    json_t *json;       /* normalised, as validation takes it */
    scim_draft draft;   /* of a create */
    const char *old_id; /* as the file names it, or NULL */
    scim_id keep;       /* the same where it is to be kept */
    const char *name;   /* userName or displayName, prepared; or NULL */
    apr_size_t name_len;
    const char *external_id;
    bool has_members;
    bool namesake;            /* of an earlier line's group, which is not meant */
    const char *manager;      /* as the file names it, or NULL */
    const char *manager_name; /* the same, prepared as a userName */
    apr_size_t manager_len;   /* of that */
    const scim_error *error;

    /* of the last run of the batch */
    outcome outcome;
    const scim_error *refusal;
    bool deferred; /* the manager waits for the second pass */
    scim_id id;
    scim_change change;
} item;

struct import_load {
    import *im;
    apr_pool_t *pool;          /* of the entries at hand */
    apr_array_header_t *items; /* of item, in it */
    apr_size_t bytes;
    int weight;
    int from, to; /* of these, those that a transaction takes */
};

bool ctl_import_is_fatal(const scim_error *err)
{
    return err->cause || err->status >= 500;
}

/* Reading an entry */

static const scim_resource_type *type_of(const import *im, const json_t *body)
{
    const json_t *schemas = scim_json_get(body, "schemas", NULL), *element;
    size_t i;

    json_array_foreach (schemas, i, element) {
        const char *urn = json_string_value(element);
        int t;

        for (t = 0; urn && t < im->registry->types_count; t++) {
            const scim_resource_type *type = &im->registry->types[t];

            if (!scim_text_casecmp(urn, type->schema->urn)) {
                return type;
            }
        }
    }
    return NULL;
}

static const scim_error *read_keep(item *it, const import *im, apr_pool_t *pool)
{
    scim_id now, none = {{0}};

    if (!it->old_id) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE,
                               "id: there is none that could be kept; --keep-ids is for what "
                               "scimctl export wrote");
    }
    /* An id says when it was made, and later ones must be later. */
    if (!scim_id_parse(&it->keep, it->old_id) || it->keep.bytes[6] >> 4 != 7 ||
        it->keep.bytes[8] >> 6 != 2 || !scim_id_mint(&now, &none, apr_time_now()) ||
        scim_id_compare(&it->keep, &now) > 0) {
        return scim_error_make(
            pool, SCIM_E_INVALID_VALUE,
            "id: \"%.64s\" cannot be kept: it is none that mod_scim has made", it->old_id);
    }
    return NULL;
}

static void read_names(item *it, apr_pool_t *pool)
{
    const char *attribute = it->type->members ? "displayName" : "userName";
    const json_t *name = json_object_get(it->draft.json, attribute);

    if (json_is_string(name)) {
        it->name = scim_text_prepare(json_string_value(name), json_string_length(name), false,
                                     &it->name_len, pool);
    }
    it->external_id = json_string_value(json_object_get(it->draft.json, "externalId"));
}

static import_name *name_of(const import *im, const item *it)
{
    return it->name ? ctl_import_name(im->names, it->type->members ? IMPORT_GROUP : IMPORT_USER,
                                      it->name, it->name_len)
                    : NULL;
}

static import_name *id_of(const import *im, const item *it)
{
    return it->old_id ? ctl_import_name(im->names, IMPORT_ID, it->old_id, strlen(it->old_id))
                      : NULL;
}

/* One line may not say something else of whom an earlier one was about. */
static const scim_error *check_twice(const item *it, const import_name *name, const char *what,
                                     apr_pool_t *pool)
{
    if (name && name->line) {
        return scim_error_make(pool, SCIM_E_UNIQUENESS, "%s: line %u of this file has the same",
                               what, (unsigned int)name->line);
    }
    return NULL;
}

static bool names_are_unique(const import *im, const item *it)
{
    return !it->type->members || im->tenant.policy.unique_group_names;
}

/* A line number that does not fit stands for itself as the last that does. */
static apr_uint32_t short_line(apr_uint64_t line)
{
    return line < APR_UINT32_MAX ? (apr_uint32_t)line : APR_UINT32_MAX;
}

static const scim_error *note_names(import *im, item *it, apr_pool_t *pool)
{
    import_name *name;

    if (names_are_unique(im, it)) {
        SCIM_ERR(check_twice(it, name_of(im, it),
                             it->type->members ? "displayName" : "userName", pool));
    }
    SCIM_ERR(check_twice(it, id_of(im, it), "id", pool));
    name = name_of(im, it);
    if (name) {
        it->namesake = name->line != 0;
        name->line = short_line(it->entry.line);
    }
    name = id_of(im, it);
    if (name) {
        name->line = short_line(it->entry.line);
    }
    return NULL;
}

/* Members that stand where import_json.c does not see them, such as below their URN. */
static const scim_error *note_members(import *im, item *it)
{
    int i;

    for (i = 0; it->draft.members && i < it->draft.members->nelts; i++) {
        const scim_member_op *op = &APR_ARRAY_IDX(it->draft.members, i, scim_member_op);

        if (op->kind == SCIM_MEMBER_ADD) {
            it->has_members = true;
            if (!ctl_import_note_member(im, it->entry.line, op)) {
                return im->fatal;
            }
        }
    }
    it->draft.members = NULL;
    return NULL;
}

static void drop_password(import *im, item *it)
{
    if (!it->draft.password) {
        return;
    }
    if (!im->tenant.policy.password_sync) {
        im->sums.passwords++;
    }
    if (!im->tenant.policy.password_sync || im->dry_run) {
        it->draft.password = NULL;
    }
}

static const scim_error *read_manager(item *it, apr_pool_t *pool)
{
    const json_t *manager = ctl_import_manager(it->draft.json);
    const char *text = json_string_value(json_object_get(manager, "value"));

    if (text) {
        it->manager = apr_pstrdup(pool, text);
        it->manager_name = scim_text_prepare(text, strlen(text), false, &it->manager_len, pool);
    }
    return manager ? ctl_import_set_manager(it->draft.json, NULL, it->type, pool) : NULL;
}

/* A POST passes over what it does not know; who moves a directory is told, once. */
static void tell_strangers(const import *im, const item *it)
{
    const char *name;
    json_t *value;

    json_object_foreach (it->entry.body, name, value) {
        if (!scim_text_ncasecmp(name, "urn:", 4) &&
            !scim_type_schema(it->type, name, strlen(name)) &&
            !apr_hash_get(im->strangers, name, APR_HASH_KEY_STRING)) {
            apr_hash_set(im->strangers, apr_pstrdup(im->c->pool, name), APR_HASH_KEY_STRING,
                         "");
            ctl_complain("line %" APR_UINT64_T_FMT ": left out is what belongs to %.128s: "
                         "scimctl does not know that schema",
                         it->entry.line,
                         scim_text_has_control(name, strlen(name)) ? "?" : name);
        }
    }
}

static const scim_error *read_item(import *im, item *it, apr_pool_t *pool)
{
    if (it->entry.error) {
        return it->entry.error;
    }
    it->type = type_of(im, it->entry.body);
    if (!it->type) {
        return scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                               "schemas: neither " SCIM_URN_USER " nor " SCIM_URN_GROUP
                               " is named");
    }
    tell_strangers(im, it);
    it->has_members = it->entry.members;
    it->old_id = scim_json_string(it->entry.body, "id");
    if (im->keep_ids) {
        SCIM_ERR(read_keep(it, im, pool));
    }
    SCIM_ERR(scim_interop_resource(&it->json, it->entry.body, it->type, true, pool));
    SCIM_ERR(scim_validate_resource(&it->draft, it->json, NULL, it->type, true, pool));
    drop_password(im, it);
    read_names(it, pool);
    SCIM_ERR(read_manager(it, pool));
    SCIM_ERR(note_members(im, it));
    return note_names(im, it, pool);
}

/* Who is there already */

typedef struct found {
    scim_id id;
    int count;
    const char *json; /* of the last, in the view's pool */
    apr_size_t json_len;
} found;

static const scim_error *take_found(scim_view *view, const scim_record *record, void *baton)
{
    found *f = baton;

    f->id = record->id;
    f->json = apr_pstrmemdup(view->pool, record->json, record->json_len);
    f->json_len = record->json_len;
    f->count++;
    return NULL;
}

static const scim_error *find_by(found *out, scim_view *view, const import *im,
                                 const scim_resource_type *type, const char *attribute,
                                 const char *text, apr_size_t len)
{
    scim_filter filter = {.kind = SCIM_FILTER_COMPARE, .op = SCIM_OP_EQ};
    scim_query_part part = {.type = type, .filter = &filter};
    scim_query query = {
        .parts = &part, .parts_count = 1, .start = 1, .count = 2, .by_cursor = true};
    scim_page page;

    filter.path.attribute = scim_type_attribute(type, attribute, strlen(attribute));
    filter.value.kind = SCIM_LITERAL_STRING;
    filter.value.text = text;
    filter.value.text_len = len;
    filter.value.prepared = scim_text_prepare(text, len, filter.path.attribute->case_exact,
                                              &filter.value.prepared_len, view->pool);
    out->count = 0;
    return scim_resource_query(&page, view, &im->tenant, &query, take_found, out);
}

static const scim_error *ambiguous(const item *it, const char *what, apr_pool_t *pool)
{
    return scim_error_make(
        pool, SCIM_E_UNIQUENESS,
        "%s: more than one %s of this directory has it, so which one is meant "
        "is not known",
        what, it->type->name);
}

/* Whether a line of the file, up to now, has the name of what was found: that is about
 * it then, and not one that has another name. */
static bool has_own_line(const found *f, const import *im, const item *it, apr_pool_t *pool)
{
    const json_t *json = scim_json_read_own(f->json, f->json_len, pool);
    const json_t *name = json_object_get(json, it->type->members ? "displayName" : "userName");
    item other = {.type = it->type};

    if (!json_is_string(name)) {
        return false;
    }
    other.name = scim_text_prepare(json_string_value(name), json_string_length(name), false,
                                   &other.name_len, pool);
    return name_of(im, &other)->line != 0;
}

/* By its name, and where none has that, by its externalId: it was renamed. */
static const scim_error *find_existing(found *out, scim_view *view, const import *im,
                                       const item *it)
{
    const char *attribute = it->type->members ? "displayName" : "userName";
    const char *name = json_string_value(json_object_get(it->draft.json, attribute));

    out->count = 0;
    if (name && !it->namesake) {
        SCIM_ERR(find_by(out, view, im, it->type, attribute, name, strlen(name)));
        if (out->count > 1) {
            return ambiguous(it, attribute, view->pool);
        }
    }
    if (!out->count && it->external_id) {
        SCIM_ERR(find_by(out, view, im, it->type, "externalId", it->external_id,
                         strlen(it->external_id)));
        if (out->count > 1) {
            return ambiguous(it, "externalId", view->pool);
        }
        if (out->count && has_own_line(out, im, it, view->pool)) {
            out->count = 0;
        }
    }
    return NULL;
}

const scim_error *ctl_import_find_user(bool *there, scim_id *out, scim_view *view,
                                       const import *im, const char *name)
{
    found f;

    SCIM_ERR(find_by(&f, view, im, scim_registry_type(im->registry, "User"), "userName", name,
                     strlen(name)));
    *there = f.count == 1;
    *out = f.id;
    return NULL;
}

/* An id is there once. */
const scim_error *ctl_import_find_id(const scim_resource_type **out, scim_view *view,
                                     const import *im, const scim_id *id)
{
    int t;

    *out = NULL;
    for (t = 0; t < im->registry->types_count && !*out; t++) {
        const scim_resource_type *type = &im->registry->types[t];
        scim_record record;
        const scim_error *err = scim_resource_get(&record, view, &im->tenant, type, id);

        if (!err) {
            *out = type;
        } else if (err->code != SCIM_E_NOT_FOUND) {
            return err;
        }
    }
    return NULL;
}

static const scim_error *find_kept(found *out, scim_view *view, const import *im,
                                   const item *it)
{
    const scim_resource_type *type;
    found other;

    SCIM_ERR(ctl_import_find_id(&type, view, im, &it->keep));
    out->count = type != NULL;
    out->id = it->keep;
    if (type && type != it->type) {
        return scim_error_make(view->pool, SCIM_E_UNIQUENESS,
                               "id: a %s of this directory has it", type->name);
    }
    SCIM_ERR(find_existing(&other, view, im, it));
    if (other.count && scim_id_compare(&other.id, &it->keep)) {
        char text[SCIM_ID_TEXT + 1];

        return scim_error_make(view->pool, SCIM_E_UNIQUENESS,
                               "id: the %s is there already with the id %s, so this one cannot "
                               "be kept",
                               it->type->name, scim_id_format(&other.id, text));
    }
    return NULL;
}

/* What is left of a group that was deleted would be this one's. */
static const scim_error *check_pending(scim_view *view, const import *im, const item *it)
{
    bool pending;

    SCIM_ERR(scim_sweep_has(&pending, view, &im->tenant, &it->keep));
    if (pending) {
        return scim_error_make(view->pool, SCIM_E_UNIQUENESS,
                               "id: a group of this id is being deleted: scimctl sweep ends "
                               "that");
    }
    return NULL;
}

/* Writing */

/* Puts the manager there where he is known by now; else that waits. */
static const scim_error *put_manager(json_t *json, const import *im, item *it,
                                     const json_t *existing, apr_pool_t *pool)
{
    const json_t *before = ctl_import_manager(existing);
    char text[SCIM_ID_TEXT + 1];
    scim_id id;

    it->deferred = false;
    if (!it->manager) {
        return ctl_import_set_manager(json, NULL, it->type, pool);
    }
    if (ctl_import_named(&id, im->names, IMPORT_ID, it->manager, strlen(it->manager)) ||
        ctl_import_named(&id, im->names, IMPORT_USER, it->manager_name, it->manager_len)) {
        return ctl_import_set_manager(json, scim_id_format(&id, text), it->type, pool);
    }
    it->deferred = true;
    return ctl_import_set_manager(json, json_string_value(json_object_get(before, "value")),
                                  it->type, pool);
}

typedef struct replacing {
    const import *im;
    item *it;
} replacing;

/* What PUT makes of it; but members are not touched yet. */
static const scim_error *draft_of(scim_draft *draft, const json_t *existing, void *baton,
                                  apr_pool_t *pool)
{
    const replacing *r = baton;

    SCIM_ERR(scim_validate_resource(draft, r->it->json, existing, r->it->type, true, pool));
    draft->members = NULL;
    draft->password = r->it->draft.password;
    return r->it->type->groups ? put_manager(draft->json, r->im, r->it, existing, pool) : NULL;
}

static const scim_error *replace_item(import_load *load, scim_batch *batch, item *it,
                                      const scim_id *id)
{
    import *im = load->im;
    replacing r = {im, it};

    SCIM_ERR(scim_batch_change(&it->change, batch, &im->tenant, it->type, id, NULL, draft_of,
                               &r, true, apr_time_now(), load->pool));
    it->outcome = it->change.changed ? OUTCOME_UPDATED : OUTCOME_UNCHANGED;
    return NULL;
}

static const scim_error *create_item(import_load *load, scim_batch *batch, item *it)
{
    import *im = load->im;
    scim_draft draft = it->draft;

    if (it->manager) {
        draft.json = scim_json_adopt(scim_json_deep_copy(draft.json), load->pool);
        SCIM_ERR(put_manager(draft.json, im, it, NULL, load->pool));
    }
    SCIM_ERR(scim_batch_create(&it->change, batch, &im->tenant, &draft,
                               im->keep_ids ? &it->keep : NULL, true, apr_time_now(),
                               load->pool));
    it->id = it->change.record.id;
    it->outcome = OUTCOME_CREATED;
    return NULL;
}

static const scim_error *write_item(import_load *load, scim_batch *batch, item *it)
{
    const import *im = load->im;
    found there;

    if (im->keep_ids) {
        SCIM_ERR(find_kept(&there, &batch->view, im, it));
    } else {
        SCIM_ERR(find_existing(&there, &batch->view, im, it));
    }
    it->deferred = false;
    it->id = there.id;
    if (there.count && !im->update) {
        it->outcome = OUTCOME_SKIPPED;
        return NULL;
    }
    if (there.count) {
        return replace_item(load, batch, it, &there.id);
    }
    if (im->keep_ids) {
        SCIM_ERR(check_pending(&batch->view, im, it));
    }
    return create_item(load, batch, it);
}

/* Of a dry run: what the transaction did is taken back. */
static const scim_error undo = {.code = SCIM_E_BAD_REQUEST, .status = 400};

/* From load->from on, as many as one transaction should take. */
static const scim_error *write_items(scim_batch *batch, void *baton)
{
    import_load *load = baton;

    SCIM_ERR(ctl_find_again(&load->im->tenant, &batch->view, load->im->tenant_name));
    for (load->to = load->from; load->to < load->items->nelts && batch->bytes < BATCH_CHANGED;
         load->to++) {
        item *it = &APR_ARRAY_IDX(load->items, load->to, item);
        const scim_error *err = it->error;

        if (!err) {
            err = write_item(load, batch, it);
        }
        if (err && ctl_import_is_fatal(err)) {
            return err;
        }
        it->outcome = err ? OUTCOME_REFUSED : it->outcome;
        it->refusal = err;
    }
    return load->im->dry_run ? &undo : NULL;
}

/* What has come of it */

static void count_item(import_sums *sums, const item *it)
{
    switch (it->outcome) {
    case OUTCOME_CREATED:
        sums->created++;
        break;
    case OUTCOME_UPDATED:
        sums->updated++;
        break;
    case OUTCOME_UNCHANGED:
        sums->unchanged++;
        break;
    default:
        sums->skipped++;
    }
    *(it->type->members ? &sums->groups : &sums->users) += 1;
}

static void settle_name(import_name *name, const item *it)
{
    if (!name) {
        return;
    }
    if (it->outcome == OUTCOME_REFUSED) {
        name->line = name->line == short_line(it->entry.line) ? 0 : name->line;
    } else {
        name->id = it->id;
    }
}

static bool note_owner(import *im, const item *it)
{
    import_owner owner = {.line = it->entry.line,
                          .id = it->id,
                          .user = it->type->members == NULL,
                          .replace = it->outcome != OUTCOME_CREATED};

    if (it->outcome == OUTCOME_SKIPPED) {
        return true;
    }
    if (owner.user && it->deferred) {
        owner.len = (apr_uint32_t)strlen(it->manager);
        return ctl_import_note_owner(im, &owner, it->manager);
    }
    if (!owner.user && (it->has_members || owner.replace)) {
        return ctl_import_note_owner(im, &owner, NULL);
    }
    return true;
}

static bool settle_item(import *im, item *it)
{
    im->sums.lines++;
    if (it->type) {
        settle_name(name_of(im, it), it);
        settle_name(id_of(im, it), it);
    }
    if (it->outcome == OUTCOME_REFUSED || !it->type) {
        ctl_import_refuse(im, it->entry.line, it->refusal);
        return true;
    }
    count_item(&im->sums, it);
    if (!im->dry_run && it->outcome >= OUTCOME_UPDATED) {
        ctl_audit_change(im->c, it->outcome == OUTCOME_CREATED ? "create" : "replace",
                         im->tenant_name, &it->change);
    }
    return note_owner(im, it);
}

static bool settle(import_load *load)
{
    int i;

    for (i = load->from; i < load->to; i++) {
        if (!settle_item(load->im, &APR_ARRAY_IDX(load->items, i, item))) {
            return false;
        }
    }
    load->from = load->to;
    return true;
}

static bool flush(import_load *load)
{
    import *im = load->im;

    load->from = 0;
    while (load->from < load->items->nelts) {
        const scim_error *err = scim_store_batch(im->c->store, write_items, load, load->pool);

        if (err && err != &undo) {
            im->fatal = scim_error_at(im->c->pool, err, "");
            return false;
        }
        if (!settle(load)) {
            return false;
        }
    }
    apr_pool_clear(load->pool);
    load->items = apr_array_make(load->pool, BATCH_ENTRIES, sizeof(item));
    load->bytes = 0;
    load->weight = 0;
    return true;
}

import_load *ctl_import_load_make(import *im)
{
    import_load *load = apr_pcalloc(im->c->pool, sizeof(*load));

    load->im = im;
    apr_pool_create(&load->pool, im->c->pool);
    load->items = apr_array_make(load->pool, BATCH_ENTRIES, sizeof(item));
    return load;
}

apr_pool_t *ctl_import_load_pool(import_load *load)
{
    return load->pool;
}

bool ctl_import_load(import_load *load, const import_entry *entry)
{
    item *it;

    if (!entry) {
        return flush(load);
    }
    it = apr_array_push(load->items);
    *it = (item){.entry = *entry};
    it->error = read_item(load->im, it, load->pool);
    if (load->im->fatal) {
        return false;
    }
    load->bytes += entry->bytes;
    load->weight += it->draft.password ? PASSWORD_WEIGHT : 1;
    return (load->weight < BATCH_ENTRIES && load->bytes < BATCH_BYTES) || flush(load);
}
