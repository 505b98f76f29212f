/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets do not lie around in memory that httpd uses again.  What is ours is wiped
 * where it is made; here is what httpd reads and keeps: the line of an Authorization
 * header, the field that it becomes, and the body of a request to an endpoint, over
 * TLS too.
 *
 * Out of reach, and left: the headers of HTTP/2 in libnghttp2 and mod_http2, and
 * what these hold of a body before a stream reads it; copies that other modules make;
 * and what httpd throws away of a body while it closes the connection of a request
 * that was refused.
 */
#include "mod_scim.h"

#include <stddef.h>
#include <stdlib.h>

#include <apr_optional_hooks.h>
#include <http_connection.h>
#include <http_protocol.h>
#include <openssl/ssl.h>
#include <util_filter.h>

#include "scim/heap.h"

#define LINE_FILTER "SCIM_WIPE_LINE"
#define BODY_FILTER "SCIM_WIPE_BODY"

static bool wanted; /* there is a store, and so there are secrets */

/* Texts in pools */

typedef struct region {
    char *at;
    apr_size_t len;
} region;

static apr_status_t wipe_region(void *baton)
{
    const region *part = baton;

    explicit_bzero(part->at, part->len);
    return APR_SUCCESS;
}

void mod_scim_wipe_later(const char *text, apr_pool_t *pool)
{
    region *part = apr_palloc(pool, sizeof(*part));

    *part = (region){(char *)text, strlen(text)};
    apr_pool_cleanup_register(pool, part, wipe_region, apr_pool_cleanup_null);
}

/* What is read.  The memory that it was read into stays as long as the connection,
 * and is then used for something else; so it is moved to memory that is wiped when
 * it is freed. */

typedef struct copied {
    apr_size_t len;
    char bytes[];
} copied;

static void free_copy(void *bytes)
{
    copied *copy = (copied *)((char *)bytes - offsetof(copied, bytes));

    explicit_bzero(copy->bytes, copy->len);
    free(copy);
}

/* Of the other kinds the memory may not be the bucket's, or not writable. */
static bool is_own_memory(const apr_bucket *b)
{
    return APR_BUCKET_IS_HEAP(b) || APR_BUCKET_IS_TRANSIENT(b);
}

/* Returns what stands in its place now. */
static apr_bucket *move_bucket(apr_bucket *b, apr_bucket_alloc_t *alloc)
{
    const char *data;
    apr_bucket *moved;
    apr_size_t len;
    copied *copy;

    if (!is_own_memory(b) || apr_bucket_read(b, &data, &len, APR_BLOCK_READ) != APR_SUCCESS ||
        !len) {
        return b;
    }
    copy = scim_heap_checked(malloc(sizeof(*copy) + len));
    copy->len = len;
    memcpy(copy->bytes, data, len);
    explicit_bzero((char *)data, len);
    moved = apr_bucket_heap_create(copy->bytes, len, free_copy, alloc);
    APR_BUCKET_INSERT_BEFORE(b, moved);
    apr_bucket_delete(b);
    return moved;
}

static void move_brigade(apr_bucket_brigade *bb)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        b = move_bucket(b, bb->bucket_alloc);
    }
}

/* Every line of every request comes here: most are told by their first byte. */
static bool may_be_credentials(apr_bucket_brigade *bb)
{
    apr_bucket *first = APR_BRIGADE_FIRST(bb);
    const char *data;
    apr_size_t len;

    return first != APR_BRIGADE_SENTINEL(bb) && is_own_memory(first) &&
           apr_bucket_read(first, &data, &len, APR_NONBLOCK_READ) == APR_SUCCESS &&
           (!len || *data == 'A' || *data == 'a');
}

static bool is_credentials(apr_bucket_brigade *bb)
{
    static const char name[] = "Authorization:";
    char begins[sizeof(name) - 1];
    apr_size_t len = sizeof(begins);

    return may_be_credentials(bb) && apr_brigade_flatten(bb, begins, &len) == APR_SUCCESS &&
           len == sizeof(begins) && !ap_cstr_casecmpn(begins, name, sizeof(begins));
}

/* What mod_ssl has read of a record and nobody asked for so far waits behind the last
 * line, in the buffer that it hands out of; a body is moved from there to the
 * beginning of that buffer, and what was moved is left where it was.  It is known by
 * its bytes.  Where they overlap, the beginning is overwritten already. */
static void wipe_moved(const char **behind, const char *data, apr_size_t len)
{
    apr_size_t gap = (apr_size_t)(*behind - data), over;

    if (data >= *behind || gap + len > AP_IOBUFSIZE) {
        *behind = NULL;
        return;
    }
    over = gap < len ? len - gap : 0;
    if (memcmp(*behind + over, data + over, len - over)) {
        *behind = NULL;
        return;
    }
    explicit_bzero((char *)*behind + over, len - over);
    *behind += len;
}

/* behind is where the last line ended: NULL where that is not in such a buffer. */
static void follow_buffer(const char **behind, apr_bucket_brigade *bb, ap_input_mode_t mode)
{
    apr_bucket *b = APR_BRIGADE_FIRST(bb);
    const char *data;
    apr_size_t len;

    if (b == APR_BRIGADE_SENTINEL(bb) || !APR_BUCKET_IS_TRANSIENT(b) ||
        apr_bucket_read(b, &data, &len, APR_NONBLOCK_READ) != APR_SUCCESS) {
        *behind = NULL;
    } else if (mode == AP_MODE_GETLINE) {
        *behind = data + len;
    } else if (*behind && mode == AP_MODE_READBYTES) {
        wipe_moved(behind, data, len);
    } else {
        *behind = NULL;
    }
}

static apr_status_t line_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                apr_read_type_e block, apr_off_t wants)
{
    apr_status_t rv = ap_get_brigade(f->next, bb, mode, block, wants);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    follow_buffer(f->ctx, bb, mode);
    if (mode == AP_MODE_GETLINE && is_credentials(bb)) {
        move_brigade(bb);
    }
    return rv;
}

static apr_status_t body_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                apr_read_type_e block, apr_off_t wants)
{
    apr_status_t rv = ap_get_brigade(f->next, bb, mode, block, wants);

    if (mode == AP_MODE_READBYTES) {
        move_brigade(bb);
    }
    return rv;
}

static int watch_connection(conn_rec *c, void *socket)
{
    /* A stream of HTTP/2 has no lines. */
    if (wanted && !c->master) {
        ap_add_input_filter(LINE_FILTER, apr_pcalloc(c->pool, sizeof(char *)), NULL, c);
    }
    return OK;
}

/* The field is what httpd made of the line, before anybody may have put another
 * in its place. */
static int watch_request(request_rec *r)
{
    const char *field = wanted ? apr_table_get(r->headers_in, "Authorization") : NULL;

    if (field) {
        mod_scim_wipe_later(field, r->pool);
    }
    return DECLINED;
}

void mod_scim_wipe_body(request_rec *r)
{
    if (!r->main && !r->prev && ap_request_has_body(r)) {
        ap_add_input_filter(BODY_FILTER, NULL, r, r->connection);
    }
}

/* A hook of mod_ssl's, where that is there; its header, mod_ssl_openssl.h, is not
 * everywhere. */
typedef int ssl_HOOK_init_server_t(server_rec *s, apr_pool_t *p, int is_proxy, SSL_CTX *ctx);

/* OpenSSL keeps what it has decrypted in a buffer that it frees as it is. */
static int keep_no_plaintext(server_rec *s, apr_pool_t *p, int is_proxy, SSL_CTX *ctx)
{
#ifdef SSL_OP_CLEANSE_PLAINTEXT
    if (mod_scim_server(s)->store_url) {
        SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
    }
#endif
    return OK;
}

static void look_for_stores(apr_pool_t *pchild, server_rec *s)
{
    for (wanted = false; s && !wanted; s = s->next) {
        wanted = mod_scim_server(s)->store_url != NULL;
    }
}

void mod_scim_register_wipe(void)
{
    ap_hook_child_init(look_for_stores, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ssl, init_server, keep_no_plaintext, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_connection(watch_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_read_request(watch_request, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_register_input_filter(LINE_FILTER, line_filter, NULL, AP_FTYPE_CONNECTION);
    ap_register_input_filter(BODY_FILTER, body_filter, NULL, AP_FTYPE_CONTENT_SET);
}
