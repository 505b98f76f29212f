/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: the rows of one state as a stream, and back (mod_scim/store/FORMAT).
 */
#include "scim/backup.h"

#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"
#include "scim/text.h"
#include "scim/time.h"

#include "internal.h"

#define MAGIC "mod_scim backup "
#define LINE_MAX_LEN 1024
#define ROW_HEAD (2 + 4)
#define SUM_LEN 32 /* SHA-256 */

#define BUFFER_LEN (64 * 1024)
#define GROWTH_MIN ((apr_uint64_t)1 << 30)
#define LOOK_EVERY 1024 /* rows */

/* Whether a row is of a known table and its value as that table has it: sealed,
 * empty, or the 8 bytes of a counter. */
bool store_row_whole(scim_slice key, scim_slice value)
{
    const char *at = key.data;

    switch (at[0]) {
    case SCIM_TABLE_SYSTEM:
        if (key.len == 8 && !memcmp(at, "stenants", 8)) {
            return value.len == 8;
        }
        return store_sealed(key, value);
    case SCIM_TABLE_TENANT:
    case SCIM_TABLE_TOKEN:
    case SCIM_TABLE_RESOURCE:
    case SCIM_TABLE_SECRET:
    case SCIM_TABLE_MEMBER:
    case SCIM_TABLE_PENDING:
        return store_sealed(key, value);
    case SCIM_TABLE_INDEX:
        return !value.len || store_sealed(key, value);
    case SCIM_TABLE_MEMBER_OF:
    case SCIM_TABLE_REFERS:
        return !value.len;
    case SCIM_TABLE_COUNTER:
        return key.len == 6 && at[5] == 'D' ? store_sealed(key, value) : value.len == 8;
    case SCIM_TABLE_ANCHOR:
        return value.len == 8;
    default:
        return false;
    }
}

/* What is kept for a reader who takes long */

typedef struct growth {
    scim_kv *kv;
    apr_uint64_t extent; /* when it began */
    apr_uint64_t limit;
    apr_uint64_t grown;
    bool over;
} growth;

/* limit 0: the store's own size, and GROWTH_MIN at least.  What may be of any size is not
 * looked at again: to ask a database takes a while. */
static scim_kv_rc growth_begin(growth *g, scim_kv *kv, apr_uint64_t limit)
{
    scim_kv_stat stat;
    scim_kv_rc rc = scim_kv_statistics(kv, &stat);

    *g = (growth){.kv = kv, .extent = stat.extent, .limit = limit};
    if (!limit) {
        g->limit = stat.extent > GROWTH_MIN ? stat.extent : GROWTH_MIN;
    }
    if (!stat.size) {
        g->limit = APR_UINT64_MAX;
    }
    return rc;
}

/* Whether it costs too much. */
static bool growth_is_over(growth *g)
{
    scim_kv_stat stat;

    if (g->limit < APR_UINT64_MAX && scim_kv_statistics(g->kv, &stat) == SCIM_KV_OK &&
        stat.extent > g->extent) {
        g->grown = stat.extent - g->extent;
        g->over = g->grown > g->limit;
    }
    return g->over;
}

/* Writing */

typedef struct writing {
    scim_backup *out;
    const scim_backup_sink *sink;
    const scim_backup_watcher *watcher;
    EVP_MD_CTX *digest;
    unsigned char buffer[BUFFER_LEN];
    apr_size_t filled;
    int err; /* of the sink */
    growth growth;
    apr_uint64_t looked; /* bytes that were written when that was looked at */
    bool altered;        /* a row was not whole */
    const char *fault;   /* the first damage of the engine's structure */
    apr_pool_t *pool;
} writing;

static bool flush(writing *w)
{
    EVP_DigestUpdate(w->digest, w->buffer, w->filled);
    w->err = w->err ? w->err : w->sink->write(w->buffer, w->filled, w->sink->baton);
    w->out->bytes += w->filled;
    w->filled = 0;
    return !w->err;
}

static bool put(writing *w, const void *data, apr_size_t len)
{
    const unsigned char *at = data;

    while (len) {
        apr_size_t part = sizeof(w->buffer) - w->filled;

        part = part < len ? part : len;
        memcpy(w->buffer + w->filled, at, part);
        w->filled += part;
        at += part;
        len -= part;
        if (w->filled == sizeof(w->buffer) && !flush(w)) {
            return false;
        }
    }
    return true;
}

static scim_kv_rc write_row(scim_slice key, scim_slice value, void *baton)
{
    writing *w = baton;
    unsigned char head[ROW_HEAD];

    if (!store_row_whole(key, value)) {
        w->altered = true;
        return SCIM_KV_REFUSED;
    }
    store_put_u16(head, (apr_uint16_t)key.len);
    store_put_u32(head + 2, (apr_uint32_t)value.len);
    if (!put(w, head, sizeof(head)) || !put(w, key.data, key.len) ||
        !put(w, value.data, value.len)) {
        return SCIM_KV_REFUSED;
    }
    w->out->rows++;
    if (w->out->bytes == w->looked) {
        return SCIM_KV_OK;
    }
    w->looked = w->out->bytes;
    if (w->watcher && w->watcher->progress) {
        w->watcher->progress(w->out->rows, w->watcher->baton);
    }
    return growth_is_over(&w->growth) ? SCIM_KV_REFUSED : SCIM_KV_OK;
}

static void note_fault(const char *what, void *baton)
{
    writing *w = baton;

    w->fault = w->fault ? w->fault : apr_pstrdup(w->pool, what);
}

static const scim_error *read_instance(scim_view *view, void *baton)
{
    scim_backup *out = baton;
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc;
    apr_size_t i;

    scim_key_begin(&key, SCIM_TABLE_SYSTEM);
    scim_key_bytes(&key, "instance", 8);
    rc = store_get(view->txn, &key, 16, &rest);
    for (i = 0; rc == SCIM_KV_OK && i < 16; i++) {
        apr_snprintf(out->instance + 2 * i, 3, "%02x", ((const unsigned char *)rest.data)[i]);
    }
    return rc == SCIM_KV_NOTFOUND ? NULL : scim_store_error(view->pool, rc, "reading");
}

static bool write_head(writing *w)
{
    char when[SCIM_TIME_LEN + 1];
    const char *head;

    w->out->made = apr_time_now();
    head = apr_psprintf(w->pool,
                        MAGIC "%d\n{\"format\":%d,\"unicode\":\"%s\",\"instance\":\"%s\","
                              "\"made\":\"%s\"}\n",
                        SCIM_BACKUP_VERSION, SCIM_STORE_FORMAT, scim_text_unicode_version(),
                        w->out->instance, scim_time_format(w->out->made, when));
    return put(w, head, strlen(head));
}

/* A key of no bytes, the number of rows, and the digest of all before it. */
static bool write_tail(writing *w)
{
    unsigned char tail[ROW_HEAD + 8] = {0}, digest[SUM_LEN];

    store_put_u64(tail + ROW_HEAD, w->out->rows);
    if (!put(w, tail, sizeof(tail)) || !flush(w) ||
        EVP_DigestFinal_ex(w->digest, digest, NULL) != 1) {
        return false;
    }
    w->err = w->sink->write(digest, sizeof(digest), w->sink->baton);
    w->out->bytes += sizeof(digest);
    return !w->err;
}

static const scim_error *damaged(const char *fault, apr_pool_t *pool)
{
    return scim_error_make(
        pool, SCIM_E_INTERNAL,
        "the store is damaged (%s): keep the backups that there are; scimctl "
        "verify tells what is wrong, scimctl restore --salvage keeps the rest of a data.mdb",
        fault ? fault : "values in it were altered");
}

static const scim_error *write_error(const writing *w, scim_kv_rc rc)
{
    char text[128];

    if (w->fault || w->altered || rc == SCIM_KV_CORRUPT) {
        return damaged(w->fault, w->pool);
    }
    if (w->growth.over) {
        return scim_error_make(
            w->pool, SCIM_E_UNAVAILABLE,
            "the backup took so long that the store grew by %" APR_UINT64_T_FMT
            " MiB, since nothing of what it reads can be overwritten: write it "
            "to a local file, not through a slow pipe",
            w->growth.grown >> 20);
    }
    if (w->err) {
        return scim_error_make(w->pool, SCIM_E_INTERNAL, "the backup cannot be written: %s",
                               apr_strerror(w->err, text, sizeof(text)));
    }
    return scim_store_error(w->pool, rc, "making a backup");
}

static const scim_error *write_all(writing *w, scim_kv *kv, apr_uint64_t limit)
{
    scim_kv_examiner to = {.row = write_row, .damage = note_fault, .baton = w};
    scim_kv_rc rc = growth_begin(&w->growth, kv, limit);

    if (rc == SCIM_KV_OK) {
        rc = write_head(w) ? scim_kv_examine(kv, &to) : SCIM_KV_REFUSED;
    }
    if (rc == SCIM_KV_OK) {
        growth_is_over(&w->growth); /* what it came to; it is done */
        w->growth.over = false;
        w->out->grown = w->growth.grown;
        rc = write_tail(w) ? SCIM_KV_OK : SCIM_KV_REFUSED;
    }
    return rc == SCIM_KV_OK ? NULL : write_error(w, rc);
}

const scim_error *scim_backup_write(scim_backup *out, scim_store *store,
                                    const scim_backup_sink *sink, apr_uint64_t limit,
                                    const scim_backup_watcher *watcher, apr_pool_t *result_pool)
{
    writing *w = apr_pcalloc(result_pool, sizeof(*w));
    const scim_error *err;

    memset(out, 0, sizeof(*out));
    *w = (writing){.out = out, .sink = sink, .watcher = watcher, .pool = result_pool};
    SCIM_ERR(scim_store_view(store, read_instance, out, result_pool));
    w->digest = EVP_MD_CTX_new();
    if (!w->digest || EVP_DigestInit_ex2(w->digest, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(w->digest);
        return scim_store_error(result_pool, SCIM_KV_IO, "SHA-256");
    }
    err = write_all(w, store->kv, limit);
    EVP_MD_CTX_free(w->digest);
    return err;
}

/* Loading: rows are collected, so that one commit takes many of them. */

#define BATCH_BYTES (4 * 1024 * 1024)
#define BATCH_ROWS 20000

struct store_loader {
    scim_kv *into;
    bool ordered; /* rows come in the order of their keys, each once */
    const scim_making *making;
    apr_array_header_t *rows; /* of loaded_row */
    apr_size_t bytes;
    apr_uint64_t kept;
    apr_pool_t *pool; /* of the rows that wait */
};

typedef struct loaded_row {
    scim_slice key;
    scim_slice value;
} loaded_row;

store_loader *store_loader_make(scim_kv *into, bool ordered, const scim_making *making,
                                apr_pool_t *pool)
{
    store_loader *loader = apr_pcalloc(pool, sizeof(*loader));

    loader->into = into;
    loader->ordered = ordered;
    loader->making = making;
    loader->rows = apr_array_make(pool, BATCH_ROWS, sizeof(loaded_row));
    apr_pool_create(&loader->pool, pool);
    return loader;
}

static scim_kv_rc load_rows(scim_kv_txn *txn, void *baton)
{
    store_loader *loader = baton;
    scim_kv_rc rc = loader->making ? store_making_check(txn, loader->making) : SCIM_KV_OK;
    int i;

    for (i = 0; i < loader->rows->nelts && rc == SCIM_KV_OK; i++) {
        const loaded_row *r = &APR_ARRAY_IDX(loader->rows, i, loaded_row);

        rc = loader->ordered ? scim_kv_append(txn, r->key, r->value)
                             : scim_kv_put(txn, r->key, r->value, true);
        loader->kept += rc == SCIM_KV_OK;
        rc = rc == SCIM_KV_EXISTS ? SCIM_KV_OK : rc;
    }
    return rc;
}

scim_kv_rc store_loader_flush(store_loader *loader)
{
    scim_kv_rc rc = SCIM_KV_OK;

    if (loader->rows->nelts) {
        rc = scim_kv_update_exclusive(loader->into, load_rows, loader);
    }
    loader->rows->nelts = 0;
    loader->bytes = 0;
    apr_pool_clear(loader->pool);
    return rc;
}

scim_kv_rc store_loader_add(store_loader *loader, scim_slice key, scim_slice value)
{
    loaded_row *r;

    /* It makes the place a store: scim_making_end puts it. */
    if (loader->making && store_is_format(key)) {
        return SCIM_KV_OK;
    }
    r = &APR_ARRAY_PUSH(loader->rows, loaded_row);
    r->key = (scim_slice){apr_pmemdup(loader->pool, key.data, key.len), key.len};
    r->value = (scim_slice){value.len ? apr_pmemdup(loader->pool, value.data, value.len) : "",
                            value.len};
    loader->bytes += key.len + value.len;
    return loader->rows->nelts >= BATCH_ROWS || loader->bytes >= BATCH_BYTES
               ? store_loader_flush(loader)
               : SCIM_KV_OK;
}

apr_uint64_t store_loader_kept(const store_loader *loader)
{
    return loader->kept;
}

const scim_error *store_load_error(apr_pool_t *pool, scim_kv_rc rc)
{
    if (rc == SCIM_KV_FULL || rc == SCIM_KV_DISK_FULL) {
        return scim_error_make(pool, SCIM_E_STORAGE_FULL, "there is no room for the new store");
    }
    if (rc == SCIM_KV_REFUSED) {
        return scim_error_make(pool, SCIM_E_UNIQUENESS,
                               "somebody else has begun to make a store in the same place "
                               "meanwhile: what was begun here is gone");
    }
    return scim_store_error(pool, rc, "filling the new store");
}

/* Reading */

typedef struct reading {
    scim_backup *out;
    const scim_backup_source *source;
    const scim_backup_watcher *watcher;
    EVP_MD_CTX *digest;
    store_loader *loader;
    unsigned char buffer[BUFFER_LEN];
    apr_size_t at, end; /* what of it was not taken */
    bool over;
    int err;
    apr_pool_t *pool;
} reading;

static bool fill(reading *r)
{
    apr_size_t len = sizeof(r->buffer);

    r->at = r->end = 0;
    if (!r->over && !r->err) {
        r->err = r->source->read(r->buffer, &len, r->source->baton);
        r->end = r->err ? 0 : len;
        r->over = !r->end;
    }
    if (r->end && r->watcher && r->watcher->progress) {
        r->watcher->progress(r->out->bytes + r->end, r->watcher->baton);
    }
    return r->end > 0;
}

/* False where there are no more so many. */
static bool take(reading *r, void *out, apr_size_t len, bool digested)
{
    unsigned char *to = out;

    while (len) {
        apr_size_t part;

        if (r->at == r->end && !fill(r)) {
            return false;
        }
        part = r->end - r->at < len ? r->end - r->at : len;
        memcpy(to, r->buffer + r->at, part);
        if (digested) {
            EVP_DigestUpdate(r->digest, to, part);
        }
        r->at += part;
        r->out->bytes += part;
        to += part;
        len -= part;
    }
    return true;
}

static bool take_line(reading *r, char *line)
{
    int i;

    for (i = 0; i < LINE_MAX_LEN && take(r, line + i, 1, true); i++) {
        if (line[i] == '\n') {
            line[i] = '\0';
            return true;
        }
    }
    return false;
}

static const scim_error *unacceptable(const reading *r, const char *what)
{
    char text[128];

    if (r->err) {
        return scim_error_make(r->pool, SCIM_E_INTERNAL, "the backup cannot be read: %s",
                               apr_strerror(r->err, text, sizeof(text)));
    }
    return scim_error_make(r->pool, SCIM_E_INVALID_VALUE, "%s", what);
}

static const scim_error *cut(const reading *r)
{
    return unacceptable(r, "the backup is cut short or altered: take another one");
}

static const scim_error *check_format(const reading *r, const json_t *head)
{
    int format = (int)json_integer_value(json_object_get(head, "format"));
    const char *unicode = json_string_value(json_object_get(head, "unicode"));

    if (format != SCIM_STORE_FORMAT) {
        return scim_error_make(
            r->pool, SCIM_E_INVALID_VALUE,
            "the backup is of a store of format %d, this scimctl writes format "
            "%d: install the version that made it",
            format, SCIM_STORE_FORMAT);
    }
    if (!unicode || strcmp(unicode, scim_text_unicode_version())) {
        return scim_error_make(r->pool, SCIM_E_INVALID_VALUE,
                               "the backup was made with the tables of Unicode %s, this system "
                               "has those of %s: its indexes would not be right",
                               unicode ? unicode : "?", scim_text_unicode_version());
    }
    return NULL;
}

static const scim_error *read_head(reading *r)
{
    char line[LINE_MAX_LEN];
    const char *text;
    const scim_error *err;
    json_t *head;

    if (!take_line(r, line) || strncmp(line, MAGIC, sizeof(MAGIC) - 1)) {
        return unacceptable(
            r, "this is no backup of mod_scim (of a data.mdb, --salvage keeps what "
               "is whole)");
    }
    if (strcmp(line + sizeof(MAGIC) - 1, APR_STRINGIFY(SCIM_BACKUP_VERSION))) {
        return unacceptable(
            r, apr_psprintf(r->pool,
                            "the backup is of version %.20s, which this scimctl does "
                            "not know: install the version that made it",
                            line + sizeof(MAGIC) - 1));
    }
    if (!take_line(r, line) || !(head = scim_json_read_own(line, strlen(line), r->pool))) {
        return cut(r);
    }
    err = check_format(r, head);
    text = json_string_value(json_object_get(head, "instance"));
    apr_cpystrn(r->out->instance, text ? text : "", sizeof(r->out->instance));
    text = json_string_value(json_object_get(head, "made"));
    if (text) {
        scim_time_parse(text, &r->out->made);
    }
    return err;
}

static const scim_error *read_tail(reading *r)
{
    unsigned char count[8], said[SUM_LEN], digest[SUM_LEN], more;

    if (!take(r, count, sizeof(count), true) || !take(r, said, sizeof(said), false) ||
        EVP_DigestFinal_ex(r->digest, digest, NULL) != 1 ||
        memcmp(said, digest, sizeof(said)) || store_get_u64(count) != r->out->rows) {
        return cut(r);
    }
    if (take(r, &more, 1, false)) {
        return unacceptable(r,
                            "the backup goes on behind its end: it is none of ours as it is");
    }
    return r->err ? cut(r) : NULL;
}

/* The length of a value is believed only as far as bytes are there. */
static const scim_error *read_row(reading *r, apr_size_t key_len, apr_size_t len,
                                  unsigned char *key, unsigned char **value, apr_size_t *room)
{
    scim_kv_rc rc;

    if (key_len > SCIM_KV_MAX_KEY || len > SCIM_KV_MAX_VALUE || !take(r, key, key_len, true)) {
        return cut(r);
    }
    while (len > *room) {
        *room = *room ? 2 * *room : BUFFER_LEN;
        *value = len > *room ? NULL : apr_palloc(r->pool, *room);
    }
    if (!take(r, *value, len, true) ||
        !store_row_whole((scim_slice){key, key_len}, (scim_slice){*value, len})) {
        return cut(r);
    }
    r->out->rows++;
    rc = store_loader_add(r->loader, (scim_slice){key, key_len}, (scim_slice){*value, len});
    return rc == SCIM_KV_INVALID ? cut(r) : store_load_error(r->pool, rc);
}

static const scim_error *read_rows(reading *r)
{
    unsigned char head[ROW_HEAD], key[SCIM_KV_MAX_KEY], *value = NULL;
    apr_size_t room = 0;
    scim_kv_rc rc;

    for (;;) {
        if (!take(r, head, sizeof(head), true)) {
            return cut(r);
        }
        if (!store_get_u16(head)) {
            break;
        }
        SCIM_ERR(read_row(r, store_get_u16(head), store_get_u32(head + 2), key, &value, &room));
    }
    if (store_get_u32(head + 2)) {
        return cut(r);
    }
    rc = store_loader_flush(r->loader);
    return rc == SCIM_KV_INVALID ? cut(r) : store_load_error(r->pool, rc);
}

const scim_error *scim_backup_read(scim_backup *out, scim_kv *into, const scim_making *making,
                                   const scim_backup_source *source,
                                   const scim_backup_watcher *watcher, apr_pool_t *result_pool)
{
    reading *r = apr_pcalloc(result_pool, sizeof(*r));
    const scim_error *err;

    memset(out, 0, sizeof(*out));
    r->out = out;
    r->source = source;
    r->watcher = watcher;
    r->loader = store_loader_make(into, true, making, result_pool);
    r->pool = result_pool;
    r->digest = EVP_MD_CTX_new();
    if (!r->digest || EVP_DigestInit_ex2(r->digest, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(r->digest);
        return scim_store_error(result_pool, SCIM_KV_IO, "SHA-256");
    }
    err = read_head(r);
    err = err ? err : read_rows(r);
    err = err ? err : read_tail(r);
    EVP_MD_CTX_free(r->digest);
    return err;
}

/* Copying, and adding up */

typedef struct copying {
    scim_backup *out;
    store_loader *loader; /* NULL: the rows are only added up */
    store_sum *sum;
    const scim_backup_watcher *watcher;
    growth growth;
    scim_kv_rc failed; /* of the loader */
    bool altered;
    const char *fault;
    apr_pool_t *pool;
} copying;

static scim_kv_rc copy_row(scim_slice key, scim_slice value, void *baton)
{
    copying *c = baton;

    if (store_is_making(key)) {
        return SCIM_KV_OK;
    }
    if (!store_row_whole(key, value)) {
        c->altered = true;
        return SCIM_KV_REFUSED;
    }
    store_sum_add(c->sum, key, value);
    c->out->rows++;
    c->out->bytes += key.len + value.len;
    if (c->out->rows % LOOK_EVERY == 0) {
        if (c->watcher && c->watcher->progress) {
            c->watcher->progress(c->out->rows, c->watcher->baton);
        }
        if (growth_is_over(&c->growth)) {
            return SCIM_KV_REFUSED;
        }
    }
    c->failed = c->loader ? store_loader_add(c->loader, key, value) : SCIM_KV_OK;
    return c->failed == SCIM_KV_OK ? SCIM_KV_OK : SCIM_KV_REFUSED;
}

static void note_fault_of_copy(const char *what, void *baton)
{
    copying *c = baton;

    c->fault = c->fault ? c->fault : apr_pstrdup(c->pool, what);
}

static const scim_error *copy_error(const copying *c, scim_kv_rc rc)
{
    if (c->altered || c->fault || rc == SCIM_KV_CORRUPT) {
        return damaged(c->fault, c->pool);
    }
    if (c->growth.over) {
        return scim_error_make(
            c->pool, SCIM_E_UNAVAILABLE,
            "the copy took so long that the store grew by %" APR_UINT64_T_FMT
            " MiB, since nothing of what it reads can be overwritten: copy it while nobody "
            "writes",
            c->growth.grown >> 20);
    }
    if (c->failed != SCIM_KV_OK) {
        return store_load_error(c->pool, c->failed);
    }
    return scim_store_error(c->pool, rc, "reading all of the store");
}

static const scim_error *go_over(copying *c, scim_kv *from)
{
    scim_kv_examiner to = {.row = copy_row, .damage = note_fault_of_copy, .baton = c};
    scim_kv_rc rc = growth_begin(&c->growth, from, 0);

    memset(c->out, 0, sizeof(*c->out));
    c->sum = store_sum_make(c->pool);
    if (rc == SCIM_KV_OK) {
        rc = scim_kv_examine(from, &to);
    }
    if (rc != SCIM_KV_OK || c->fault) {
        return copy_error(c, rc);
    }
    store_sum_end(c->out->sum, c->sum);
    return c->loader ? store_load_error(c->pool, store_loader_flush(c->loader)) : NULL;
}

const scim_error *scim_backup_copy(scim_backup *out, scim_kv *into, const scim_making *making,
                                   scim_kv *from, const scim_backup_watcher *watcher,
                                   apr_pool_t *result_pool)
{
    copying c = {.out = out,
                 .loader = store_loader_make(into, true, making, result_pool),
                 .watcher = watcher,
                 .pool = result_pool};

    return go_over(&c, from);
}

const scim_error *scim_backup_sum(scim_backup *out, scim_kv *kv,
                                  const scim_backup_watcher *watcher, apr_pool_t *result_pool)
{
    copying c = {.out = out, .watcher = watcher, .pool = result_pool};

    return go_over(&c, kv);
}
