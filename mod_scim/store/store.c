/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a store: its format, its numbers for resource types and indexes,
 * views, and the table from engine results to errors.
 */
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/text.h"

#include "internal.h"

#define CURSOR_KEY_LEN sizeof(((scim_store *)0)->cursor_key)

/* Indexes that every store has, besides those of attributes that are unique
 * and of references; each random index key dirties a page per write, so the
 * list is short. */
static const struct {
    const char *type;
    const char *attribute;
    index_kind kind;
    bool unique_by_policy;
} default_indexes[] = {
    {"User", "externalId", INDEX_ORDERED, false},
    {"User", "emails.value", INDEX_ORDERED, false},
    {"Group", "displayName", INDEX_ORDERED, true},
    {"Group", "externalId", INDEX_ORDERED, false},
};

void store_system_key(scim_key *key, const char *name)
{
    scim_key_begin(key, SCIM_TABLE_SYSTEM);
    scim_key_bytes(key, name, strlen(name));
}

scim_kv_rc store_put_new(scim_kv_txn *txn, const scim_key *key, const void *data,
                         apr_size_t len)
{
    unsigned char value[STORE_SEAL + STORE_SMALL];

    memcpy(value + STORE_SEAL, data, len);
    store_seal(scim_key_slice(key), value, STORE_SEAL + len);
    return scim_kv_put(txn, scim_key_slice(key), (scim_slice){value, STORE_SEAL + len}, true);
}

const scim_error *scim_store_error(apr_pool_t *result_pool, scim_kv_rc rc, const char *what)
{
    switch (rc) {
    case SCIM_KV_OK:
        return NULL;
    case SCIM_KV_BUSY:
    case SCIM_KV_CONFLICT:
    case SCIM_KV_STALE:
        return scim_error_system(result_pool, SCIM_E_UNAVAILABLE, APR_SUCCESS,
                                 "The directory is busy; try again", "%s: %s", what,
                                 scim_kv_strerror(rc));
    case SCIM_KV_READONLY:
        return scim_error_system(
            result_pool, SCIM_E_UNAVAILABLE, APR_SUCCESS,
            "The directory takes no changes at the moment; try again later", "%s: %s", what,
            scim_kv_strerror(rc));
    case SCIM_KV_FULL:
    case SCIM_KV_DISK_FULL:
        return scim_error_system(result_pool, SCIM_E_STORAGE_FULL, APR_SUCCESS,
                                 "The directory has no space left; nothing was changed",
                                 "%s: %s", what, scim_kv_strerror(rc));
    default:
        return scim_error_system(result_pool, SCIM_E_INTERNAL, APR_SUCCESS,
                                 "The directory could not be read or written; "
                                 "the server's error log says why",
                                 "%s: %s", what, scim_kv_strerror(rc));
    }
}

/* Which index the schema itself asks for; false where it asks for none. */
static bool asks_for_index(index_kind *kind, const scim_attribute *attribute)
{
    *kind = attribute->role == SCIM_ROLE_REFERENCE ? INDEX_REFERENCE : INDEX_UNIQUE;
    return *kind == INDEX_REFERENCE || attribute->uniqueness != SCIM_UNIQUE_NONE;
}

/* The indexes of a schema; how many they are. */
static int collect_schema(index_def *out, index_kind wanted, const scim_resource_type *type,
                          const scim_schema *schema, const scim_schema *extension)
{
    int i, count = 0;

    for (i = 0; i < schema->attributes_count; i++) {
        const scim_attribute *attribute = &schema->attributes[i];
        index_kind kind;

        if (!asks_for_index(&kind, attribute) || kind != wanted) {
            continue;
        }
        if (out) {
            out[count].type = type;
            out[count].kind = kind;
            out[count].path.extension = extension;
            out[count].path.attribute = attribute;
            if (kind == INDEX_REFERENCE) {
                out[count].path.sub = scim_attribute_sub(attribute, "value", 5);
            }
            out[count].name = attribute->path;
        }
        count++;
    }
    return count;
}

static int collect_types(index_def *out, index_kind wanted, const scim_registry *registry)
{
    int count = 0, t, e;

    for (t = 0; t < registry->types_count; t++) {
        const scim_resource_type *type = &registry->types[t];

        count += collect_schema(out ? out + count : NULL, wanted, type, type->schema, NULL);
        for (e = 0; e < type->extensions_count; e++) {
            const scim_schema *schema = type->extensions[e].schema;

            count += collect_schema(out ? out + count : NULL, wanted, type, schema, schema);
        }
    }
    return count;
}

static int collect_defaults(index_def *out, const scim_registry *registry)
{
    int count = 0;
    apr_size_t d;

    for (d = 0; d < sizeof(default_indexes) / sizeof(default_indexes[0]); d++) {
        const scim_resource_type *type = scim_registry_type(registry, default_indexes[d].type);
        scim_path path;

        if (!type ||
            scim_path_attribute(&path, default_indexes[d].attribute, type) != SCIM_PATH_OK) {
            continue;
        }
        if (out) {
            out[count].type = type;
            out[count].kind = default_indexes[d].kind;
            out[count].path = path;
            out[count].name = default_indexes[d].attribute;
            out[count].unique_by_policy = default_indexes[d].unique_by_policy;
        }
        count++;
    }
    return count;
}

static int collect_indexes(index_def *out, const scim_registry *registry)
{
    int count = collect_types(out, INDEX_UNIQUE, registry);

    count += collect_defaults(out ? out + count : NULL, registry);
    return count + collect_types(out ? out + count : NULL, INDEX_REFERENCE, registry);
}

static void make_defs(scim_store *store, apr_pool_t *pool)
{
    const scim_registry *registry = store->registry;
    int i;

    store->types_count = registry->types_count;
    store->types = apr_pcalloc(pool, sizeof(type_def) * (apr_size_t)store->types_count);
    for (i = 0; i < store->types_count; i++) {
        store->types[i].type = &registry->types[i];
    }
    store->indexes_count = collect_indexes(NULL, registry);
    store->indexes = apr_pcalloc(pool, sizeof(index_def) * (apr_size_t)store->indexes_count);
    collect_indexes(store->indexes, registry);
    subject_define(store);
}

/* Names of numbers, in the order in which they are given out. */
static void number_key(scim_key *key, const scim_store *store, int i)
{
    if (i < store->types_count) {
        store_system_key(key, "type/");
        scim_key_bytes(key, store->types[i].type->name, strlen(store->types[i].type->name));
    } else {
        const index_def *def = &store->indexes[i - store->types_count];
        static const char *const kinds[] = {"index/u/", "index/i/", "index/f/"};

        store_system_key(key, kinds[def->kind]);
        scim_key_bytes(key, def->type->name, strlen(def->type->name));
        scim_key_bytes(key, "/", 1);
        scim_key_bytes(key, def->name, strlen(def->name));
    }
}

static void set_number(scim_store *store, int i, apr_uint16_t number)
{
    if (i < store->types_count) {
        store->types[i].number = number;
    } else {
        store->indexes[i - store->types_count].number = number;
    }
}

/* The highest number that was given out to types (prefix "type/") or indexes
 * ("index/"). */
static scim_kv_rc highest_number(scim_kv_txn *txn, const char *prefix, apr_uint16_t *out)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key from;
    scim_slice key, value;
    scim_kv_rc rc;

    *out = 0;
    store_system_key(&from, prefix);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, NULL);
         rc = scim_kv_next(cursor, &key, &value)) {
        apr_uint16_t number;

        if (value.len != STORE_SEAL + 2 || !store_sealed(key, value)) {
            return SCIM_KV_CORRUPT;
        }
        number = store_get_u16((const unsigned char *)value.data + STORE_SEAL);
        if (number > *out) {
            *out = number;
        }
    }
    if (*out == APR_UINT16_MAX) {
        return SCIM_KV_FULL;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Reads the numbers of types and indexes; gives out those that are missing
 * where the transaction may write, and is NOTFOUND where it may not. */
static scim_kv_rc read_numbers(scim_kv_txn *txn, void *baton)
{
    scim_store *store = baton;
    int i, total = store->types_count + store->indexes_count;

    for (i = 0; i < total; i++) {
        scim_key key;
        scim_slice rest;
        scim_kv_rc rc;

        number_key(&key, store, i);
        rc = store_get(txn, &key, 2, &rest);
        if (rc == SCIM_KV_OK) {
            set_number(store, i, store_get_u16(rest.data));
        } else if (rc == SCIM_KV_NOTFOUND && scim_kv_writable(txn)) {
            apr_uint16_t number;
            unsigned char bytes[2];

            rc = highest_number(txn, i < store->types_count ? "type/" : "index/", &number);
            if (rc != SCIM_KV_OK) {
                return rc;
            }
            store_put_u16(bytes, ++number);
            rc = store_put_new(txn, &key, bytes, sizeof(bytes));
            if (rc != SCIM_KV_OK) {
                return rc;
            }
            set_number(store, i, number);
        } else {
            return rc;
        }
    }
    return SCIM_KV_OK;
}

static scim_kv_rc read_format(scim_kv_txn *txn, apr_uint32_t *format)
{
    scim_key key;
    scim_slice rest;
    scim_kv_rc rc;

    store_system_key(&key, "format");
    rc = store_get(txn, &key, 4, &rest);
    if (rc == SCIM_KV_OK) {
        *format = store_get_u32(rest.data);
    }
    return rc;
}

scim_kv_rc store_check_format(scim_kv_txn *txn)
{
    apr_uint32_t format;
    scim_kv_rc rc = read_format(txn, &format);

    if (rc == SCIM_KV_NOTFOUND || (rc == SCIM_KV_OK && format != SCIM_STORE_FORMAT)) {
        return SCIM_KV_READONLY;
    }
    return rc;
}

bool store_is_format(scim_slice key)
{
    scim_key format;

    store_system_key(&format, "format");
    return key.len == format.len && !memcmp(key.data, format.bytes, key.len);
}

scim_kv_rc store_put_format(scim_kv_txn *txn)
{
    unsigned char format[4];
    scim_key key;

    store_put_u32(format, SCIM_STORE_FORMAT);
    store_system_key(&key, "format");
    return store_put_new(txn, &key, format, sizeof(format));
}

static bool is_empty(scim_kv_txn *txn)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;

    return scim_kv_seek(cursor, (scim_slice){"", 0}, &key, NULL) == SCIM_KV_NOTFOUND;
}

typedef struct opening {
    scim_store *store;
    const char *url;
    apr_uint32_t format;
    bool making; /* it is no store yet */
    const char *unicode;
    apr_pool_t *pool;
} opening;

/* REFUSED where the store is another version's. */
static scim_kv_rc check_identity(scim_kv_txn *txn, opening *o)
{
    scim_key key;
    scim_slice rest;
    scim_kv_rc rc = read_format(txn, &o->format);

    if (rc == SCIM_KV_NOTFOUND) {
        rc = store_making_format(txn, &o->format);
        o->making = rc == SCIM_KV_OK;
    }
    if (rc == SCIM_KV_OK && o->making && !o->store->making) {
        return SCIM_KV_REFUSED;
    }
    if (rc != SCIM_KV_OK || o->format != SCIM_STORE_FORMAT) {
        return rc == SCIM_KV_OK ? SCIM_KV_REFUSED : rc;
    }
    store_system_key(&key, "unicode");
    rc = store_get(txn, &key, 1, &rest);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    o->unicode = apr_pstrmemdup(o->pool, rest.data, rest.len);
    o->store->other_unicode = strcmp(o->unicode, scim_text_unicode_version()) != 0;
    return o->store->other_unicode && !o->store->any_unicode ? SCIM_KV_REFUSED : SCIM_KV_OK;
}

static scim_kv_rc write_new(scim_kv_txn *txn)
{
    const char *unicode = scim_text_unicode_version();
    unsigned char random[16 + CURSOR_KEY_LEN];
    scim_key key;
    scim_kv_rc rc;

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        return SCIM_KV_IO;
    }
    rc = store_put_format(txn);
    if (rc == SCIM_KV_OK) {
        store_system_key(&key, "unicode");
        rc = store_put_new(txn, &key, unicode, strlen(unicode));
    }
    if (rc == SCIM_KV_OK) {
        store_system_key(&key, "instance");
        rc = store_put_new(txn, &key, random, 16);
    }
    if (rc == SCIM_KV_OK) {
        store_system_key(&key, "cursor");
        rc = store_put_new(txn, &key, random + 16, CURSOR_KEY_LEN);
    }
    return rc;
}

/* What a store keeps for itself in the system table. */
static scim_kv_rc read_known(scim_kv_txn *txn, scim_store *store)
{
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc;

    store_system_key(&key, "cursor");
    rc = store_get(txn, &key, CURSOR_KEY_LEN, &rest);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    memcpy(store->cursor_key, rest.data, CURSOR_KEY_LEN);
    return read_numbers(txn, store);
}

/* Runs exclusively: the error of a store that is not ours must be told before
 * anything is written. */
static scim_kv_rc open_create(scim_kv_txn *txn, void *baton)
{
    opening *o = baton;
    scim_kv_rc rc = check_identity(txn, o);

    if (rc == SCIM_KV_NOTFOUND && is_empty(txn)) {
        rc = write_new(txn);
    }
    return rc == SCIM_KV_OK ? read_known(txn, o->store) : rc;
}

static scim_kv_rc open_read(scim_kv_txn *txn, void *baton)
{
    opening *o = baton;
    scim_kv_rc rc = check_identity(txn, o);

    return rc == SCIM_KV_OK ? read_known(txn, o->store) : rc;
}

static const scim_error *unavailable(apr_pool_t *pool, const char *cause)
{
    return scim_error_system(pool, SCIM_E_UNAVAILABLE, APR_SUCCESS,
                             "The directory is not available", "%s", cause);
}

static const char *explain_refusal(const opening *o)
{
    if (o->making && !o->store->making) {
        return apr_psprintf(
            o->pool,
            "%s is being filled by scimctl migrate or restore, or was when that "
            "was broken off: wait until it is done, or do the same again",
            o->url);
    }
    if (o->format < SCIM_STORE_FORMAT) {
        return apr_psprintf(o->pool,
                            "%s has store format %u, of a mod_scim before its first release: "
                            "move it away and have the identity providers fill a new one",
                            o->url, o->format);
    }
    if (o->format != SCIM_STORE_FORMAT) {
        return apr_psprintf(o->pool,
                            "%s has store format %u, this mod_scim reads format %d: "
                            "install the version that wrote it",
                            o->url, o->format, SCIM_STORE_FORMAT);
    }
    return apr_psprintf(o->pool,
                        "%s was written with the tables of Unicode %s, this server has "
                        "those of %s: have its indexes made anew, with httpd stopped, by "
                        "\"scimctl --store %s reindex\"",
                        o->url, o->unicode, scim_text_unicode_version(), o->url);
}

static const char *explain_open(const opening *o, scim_kv_rc rc)
{
    switch (rc) {
    case SCIM_KV_REFUSED:
        return explain_refusal(o);
    case SCIM_KV_NOTFOUND:
        return apr_psprintf(o->pool,
                            "%s is no mod_scim store, or one that was never initialised: "
                            "run \"scimctl --store %s init\", or name another path",
                            o->url, o->url);
    case SCIM_KV_CORRUPT:
        return apr_psprintf(o->pool, "%s is damaged: restore a backup", o->url);
    default:
        return apr_psprintf(o->pool, "%s: %s", o->url, scim_kv_strerror(rc));
    }
}

static apr_status_t free_digest(void *data)
{
    EVP_MD_free(data);
    return APR_SUCCESS;
}

static const scim_error *check_open(scim_store *store, const char *url,
                                    const scim_store_options *options, apr_pool_t *pool)
{
    opening o = {.store = store, .url = url, .pool = pool};
    scim_kv_rc rc = scim_kv_view(store->kv, open_read, &o);

    /* A store that is complete is only read, so that a second writer's start
     * does not wait for the first. */
    if (rc == SCIM_KV_NOTFOUND && options->kv.create && !options->kv.read_only) {
        rc = scim_kv_update_exclusive(store->kv, open_create, &o);
    }
    return rc == SCIM_KV_OK ? NULL : unavailable(pool, explain_open(&o, rc));
}

const scim_error *scim_store_open(scim_store **out, const char *url,
                                  const scim_store_options *options, apr_pool_t *pool)
{
    scim_store *store = apr_pcalloc(pool, sizeof(*store));
    const char *why = NULL;
    const scim_error *err;
    scim_kv_rc rc;

    store->registry = options->registry;
    store->scan_limit = options->scan_limit;
    store->any_unicode = options->any_unicode;
    store->making = options->making;
    store->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!store->sha256) {
        return unavailable(pool, "the OpenSSL of this system offers no SHA-256");
    }
    apr_pool_cleanup_register(pool, store->sha256, free_digest, apr_pool_cleanup_null);
    make_defs(store, pool);
    pthread_mutex_init(&store->hints_lock, NULL);
    rc = scim_kv_open(&store->kv, url, &options->kv, &why, pool);
    if (rc != SCIM_KV_OK) {
        return unavailable(pool, why ? why : scim_kv_strerror(rc));
    }
    err = check_open(store, url, options, pool);
    if (err) {
        scim_kv_close(store->kv);
        return err;
    }
    *out = store;
    return NULL;
}

void scim_store_close(scim_store *store)
{
    scim_kv_close(store->kv);
}

typedef struct viewing {
    scim_view view;
    scim_view_fn fn;
    void *baton;
    const scim_error *error;
} viewing;

static scim_kv_rc run_view(scim_kv_txn *txn, void *baton)
{
    viewing *v = baton;

    v->view.txn = txn;
    v->error = v->fn(&v->view, v->baton);
    return SCIM_KV_OK;
}

const scim_error *scim_store_view(scim_store *store, scim_view_fn fn, void *baton,
                                  apr_pool_t *result_pool)
{
    viewing v = {.view = {.store = store, .pool = result_pool}, .fn = fn, .baton = baton};
    scim_kv_rc rc = scim_kv_view(store->kv, run_view, &v);

    return rc == SCIM_KV_OK ? v.error : scim_store_error(result_pool, rc, "reading");
}

bool scim_store_other_unicode(const scim_store *store)
{
    return store->other_unicode;
}

static scim_kv_rc adopt_unicode(scim_kv_txn *txn, void *baton)
{
    const char *unicode = scim_text_unicode_version();
    scim_kv_rc rc = store_check_format(txn);
    scim_key key;

    store_system_key(&key, "unicode");
    if (rc == SCIM_KV_OK) {
        rc = scim_kv_del(txn, scim_key_slice(&key));
    }
    return rc == SCIM_KV_OK ? store_put_new(txn, &key, unicode, strlen(unicode)) : rc;
}

const scim_error *scim_store_adopt_unicode(scim_store *store, apr_pool_t *result_pool)
{
    SCIM_ERR(scim_store_error(result_pool,
                              scim_kv_update_exclusive(store->kv, adopt_unicode, NULL),
                              "noting the Unicode version"));
    store->other_unicode = false;
    return NULL;
}

static scim_kv_rc count_names(int *count, scim_kv_txn *txn, const char *prefix)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_key from;
    scim_kv_rc rc;

    store_system_key(&from, prefix);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, NULL);
         rc = scim_kv_next(cursor, &key, NULL)) {
        ++*count;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Those of the registry are all there: else the store had not opened. */
const scim_error *scim_store_complete(bool *out, scim_view *view)
{
    int count = 0;
    scim_kv_rc rc = count_names(&count, view->txn, "type/");

    if (rc == SCIM_KV_OK) {
        rc = count_names(&count, view->txn, "index/");
    }
    *out = count == view->store->types_count + view->store->indexes_count;
    return scim_store_error(view->pool, rc, "reading types and indexes");
}

const scim_registry *scim_store_registry(const scim_store *store)
{
    return store->registry;
}

const char *scim_store_fault(scim_store *store, apr_pool_t *result_pool)
{
    return scim_kv_fault(store->kv, result_pool);
}

scim_kv *scim_store_kv(scim_store *store)
{
    return store->kv;
}

const type_def *store_type(const scim_store *store, const scim_resource_type *type)
{
    int i;

    for (i = 0; i < store->types_count; i++) {
        if (store->types[i].type == type) {
            return &store->types[i];
        }
    }
    return NULL;
}

const type_def *store_type_number(const scim_store *store, apr_uint16_t number)
{
    int i;

    for (i = 0; i < store->types_count; i++) {
        if (store->types[i].number == number) {
            return &store->types[i];
        }
    }
    return NULL;
}
