/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of an LMDB file, read without trusting any of them.
 *
 * LMDB believes what its pages say: an altered one may end the process, or lead
 * to another state than the one that was committed.  Here every page is read
 * with pread, every number in it is held against its limits, no page is entered
 * twice, and what does not agree is told.  So this serves to verify a store
 * before anything trusts it, to copy one while others write, and to save what is
 * whole of one that is damaged.
 *
 * The layout is that of LMDB 0.9 (version 1 of its data), unchanged since 2013:
 * struct MDB_page, MDB_node, MDB_db and MDB_meta of mdb.c.  Numbers are of the
 * machine's byte order.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "scim/heap.h"

#include "engine.h"

#define PAGE_HEADER 16
#define NODE_HEADER 8
#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1
#define META_PAGES 2
#define DEPTH_MAX 32
#define NO_PAGE (~(apr_uint64_t)0)

/* Flags of a page, of a node, and of the tree of free pages. */
#define PAGE_BRANCH 0x01
#define PAGE_LEAF 0x02
#define PAGE_OVERFLOW 0x04
#define PAGE_META 0x08
#define NODE_BIG 0x01
#define TREE_OF_NUMBERS 0x08

typedef struct tree {
    apr_uint16_t flags;
    apr_uint16_t depth;
    apr_uint64_t branches;
    apr_uint64_t leaves;
    apr_uint64_t overflows;
    apr_uint64_t entries;
    apr_uint64_t root;
} tree;

typedef struct meta {
    apr_uint64_t last; /* the last page that was ever used */
    apr_uint64_t txn;
    tree free;
    tree rows;
} meta;

typedef struct examination {
    int fd;
    const scim_kv_examiner *to;
    bool salvage;
    apr_size_t page_size;
    apr_uint64_t count;  /* of pages, the two meta pages among them */
    unsigned char *used; /* a bit for each page that was led to */
    unsigned char *idle; /* and that is listed as free */
    apr_uint64_t read;   /* pages so far */
    bool damaged;
    scim_kv_rc rc; /* of the first row that was not taken */
} examination;

/* One tree, as it is walked. */
typedef struct walk {
    examination *x;
    bool of_free;    /* keys are numbers, values lists of free pages */
    scim_slice only; /* rows whose keys begin so; empty: all */
    tree said;
    tree met;
} walk;

typedef struct node {
    scim_slice key;
    apr_uint64_t child;        /* of a branch */
    unsigned int flags;        /* of a leaf: this and the next two */
    apr_size_t size;           /* of the value */
    const unsigned char *data; /* the value; of a big one, the number of its page */
    apr_size_t room;           /* that it takes in the page */
} node;

/* Numbers */

static unsigned int get16(const unsigned char *at)
{
    apr_uint16_t number;

    memcpy(&number, at, sizeof(number));
    return number;
}

static apr_uint32_t get32(const unsigned char *at)
{
    apr_uint32_t number;

    memcpy(&number, at, sizeof(number));
    return number;
}

static apr_uint64_t get64(const unsigned char *at)
{
    apr_uint64_t number;

    memcpy(&number, at, sizeof(number));
    return number;
}

static bool has_bit(const unsigned char *bits, apr_uint64_t n)
{
    return bits[n / 8] & (1u << n % 8);
}

static void set_bit(unsigned char *bits, apr_uint64_t n)
{
    bits[n / 8] |= (unsigned char)(1u << n % 8);
}

/* Telling */

__attribute__((format(printf, 2, 3))) static void tell(examination *x, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    apr_vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    x->damaged = true;
    if (x->to->damage) {
        x->to->damage(text, x->to->baton);
    }
}

static void tell_page(examination *x, apr_uint64_t page, const char *what)
{
    tell(x, "page %" APR_UINT64_T_FMT ": %s", page, what);
}

/* Reading */

/* False where the file ends before that, or cannot be read there. */
static bool read_at(int fd, unsigned char *out, apr_size_t len, apr_uint64_t at)
{
    apr_size_t got = 0;

    while (got < len) {
        ssize_t n = pread(fd, out + got, len - got, (off_t)(at + got));

        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        got += n > 0 ? (apr_size_t)n : 0;
    }
    return true;
}

/* So many pages into memory that the caller frees; NULL, and told, where they
 * are not to be had. */
static unsigned char *read_pages(examination *x, apr_uint64_t page, apr_size_t pages)
{
    unsigned char *bytes = scim_heap_checked(malloc(x->page_size * pages));

    if (read_at(x->fd, bytes, x->page_size * pages, page * x->page_size)) {
        x->read += pages;
        if (x->to->progress && x->read % 256 < pages) {
            x->to->progress(x->read, x->count, x->to->baton);
        }
        return bytes;
    }
    tell_page(x, page, "it cannot be read: the file ends before it, or its disk fails");
    free(bytes);
    return NULL;
}

/* Takes pages for one that leads to them; false, and told, where they are none,
 * or somebody else's. */
static bool take_pages(examination *x, apr_uint64_t page, apr_uint64_t pages, apr_uint64_t from)
{
    apr_uint64_t i;

    if (page < META_PAGES || page >= x->count || pages > x->count - page) {
        tell(x,
             "page %" APR_UINT64_T_FMT ": it leads to page %" APR_UINT64_T_FMT ", which "
             "is none",
             from, page);
        return false;
    }
    for (i = page; i < page + pages; i++) {
        if (has_bit(x->used, i)) {
            tell(x,
                 "page %" APR_UINT64_T_FMT ": it leads to page %" APR_UINT64_T_FMT
                 ", as another does",
                 from, i);
            return false;
        }
        set_bit(x->used, i);
    }
    return true;
}

/* Nodes */

static unsigned int count_nodes(const unsigned char *page)
{
    return (get16(page + 12) - PAGE_HEADER) / 2;
}

/* False where it does not lie in its page. */
static bool read_node(node *out, const examination *x, const unsigned char *page,
                      unsigned int i, bool leaf)
{
    apr_size_t at = get16(page + PAGE_HEADER + 2 * i), upper = get16(page + 14), len;
    const unsigned char *bytes = page + at;

    if (at < upper || at % 2 || at + NODE_HEADER > x->page_size) {
        return false;
    }
    out->key = (scim_slice){bytes + NODE_HEADER, get16(bytes + 6)};
    out->flags = get16(bytes + 4);
    out->size = get16(bytes) | (apr_size_t)get16(bytes + 2) << 16;
    out->child = out->size | (apr_uint64_t)out->flags << 32;
    out->data = bytes + NODE_HEADER + out->key.len;
    len = NODE_HEADER + out->key.len;
    if (leaf) {
        len += out->flags & NODE_BIG ? sizeof(apr_uint64_t) : out->size;
    }
    out->room = (len + 1) & ~(apr_size_t)1;
    return at + len <= x->page_size && (!leaf || !(out->flags & ~(unsigned int)NODE_BIG));
}

/* What was longer once keeps its pages.  A salvage does not believe their number:
 * they may be another's. */
static bool is_long_value(examination *x, const unsigned char *bytes, apr_uint64_t first,
                          apr_uint64_t pages, apr_uint64_t from)
{
    apr_uint64_t said = get32(bytes + 12);

    return get64(bytes) == first && get16(bytes + 10) == PAGE_OVERFLOW && said >= pages &&
           (said == pages || x->salvage || take_pages(x, first + pages, said - pages, from));
}

/* The value of a big one, in memory that the caller frees; NULL, and told,
 * where it is not to be had. */
static unsigned char *read_big(walk *w, const node *n, apr_uint64_t page)
{
    examination *x = w->x;
    apr_uint64_t first = get64(n->data), pages = (PAGE_HEADER - 1 + n->size) / x->page_size + 1;
    unsigned char *bytes;

    if (n->size > SCIM_KV_MAX_VALUE) {
        tell_page(x, page, "a value is longer than any can be");
        return NULL;
    }
    if (!take_pages(x, first, pages, page) ||
        !(bytes = read_pages(x, first, (apr_size_t)pages))) {
        return NULL;
    }
    if (!is_long_value(x, bytes, first, pages, page)) {
        tell_page(x, first, "it is not the beginning of a long value");
        if (!x->salvage) {
            free(bytes);
            return NULL;
        }
    }
    w->met.overflows += get32(bytes + 12);
    return bytes;
}

/* Leaves */

/* A list of free pages: their number, then theirs. */
static void take_free(examination *x, scim_slice value, apr_uint64_t page)
{
    const unsigned char *at = value.data;
    apr_uint64_t count = value.len >= 8 ? get64(at) : 0, i;

    if (value.len < 8 || count > value.len / 8 - 1) {
        tell_page(x, page, "its list of free pages is cut short");
        return;
    }
    for (i = 1; i <= count; i++) {
        apr_uint64_t free = get64(at + 8 * i);

        if (free < META_PAGES || free >= x->count || has_bit(x->idle, free) ||
            (i > 1 && free >= get64(at + 8 * (i - 1)))) {
            tell_page(x, page,
                      "its list of free pages names one that is none, or is not in order");
            return;
        }
        set_bit(x->idle, free);
    }
}

static void hand_row(walk *w, scim_slice key, scim_slice value, apr_uint64_t page)
{
    examination *x = w->x;

    w->met.entries++;
    if (w->of_free) {
        take_free(x, value, page);
    } else if (key.len == 0 || key.len > SCIM_KV_MAX_KEY) {
        tell_page(x, page, "a key is empty, or longer than any can be");
    } else if (x->to->row && x->rc == SCIM_KV_OK) {
        x->rc = x->to->row(key, value, x->to->baton);
    }
}

static int compare_keys(const walk *w, scim_slice a, scim_slice b)
{
    apr_size_t shorter = a.len < b.len ? a.len : b.len;
    int order;

    if (w->of_free && a.len == 8 && b.len == 8) {
        apr_uint64_t left = get64(a.data), right = get64(b.data);

        return (left > right) - (left < right);
    }
    order = memcmp(a.data, b.data, shorter);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Whether a key between from and before to (NULL: any) may begin as those that are looked
 * for. */
static bool may_hold(const walk *w, const scim_slice *from, const scim_slice *to)
{
    const scim_slice *only = &w->only;
    apr_size_t shorter = from && from->len < only->len ? from->len : only->len;

    return !only->len || ((!from || memcmp(from->data, only->data, shorter) <= 0) &&
                          (!to || compare_keys(w, *to, *only) > 0));
}

static bool is_wanted(const walk *w, scim_slice key)
{
    return key.len >= w->only.len && !memcmp(key.data, w->only.data, w->only.len);
}

static void visit_leaf(walk *w, const node *n, apr_uint64_t page)
{
    unsigned char *big = NULL;

    if (w->only.len && !is_wanted(w, n->key)) {
        return;
    }
    if (!(n->flags & NODE_BIG)) {
        hand_row(w, n->key, (scim_slice){n->data, n->size}, page);
    } else if ((big = read_big(w, n, page))) {
        hand_row(w, n->key, (scim_slice){big + PAGE_HEADER, n->size}, page);
    }
    free(big);
}

/* Pages */

static bool fits_kind(const unsigned char *page, bool leaf)
{
    return get16(page + 10) == (leaf ? PAGE_LEAF : PAGE_BRANCH);
}

/* Whether its nodes can be looked for. */
static bool has_bounds(const examination *x, const unsigned char *page)
{
    unsigned int lower = get16(page + 12), upper = get16(page + 14);

    return lower >= PAGE_HEADER && lower % 2 == 0 && lower <= upper && upper <= x->page_size;
}

/* Between what the page above says: from, and before to (NULL: any). */
static bool in_order(const walk *w, scim_slice key, const scim_slice *last, bool first,
                     const scim_slice *to)
{
    int order = last ? compare_keys(w, *last, key) : -1;

    return (first ? order <= 0 : order < 0) && (!to || compare_keys(w, key, *to) < 0);
}

static void visit(walk *w, apr_uint64_t page, int level, const scim_slice *from,
                  const scim_slice *to);

/* Whether its entries take just the room that it says. */
static bool is_sound(const examination *x, const unsigned char *bytes, bool leaf)
{
    unsigned int i, count = count_nodes(bytes);
    apr_size_t room = 0;
    node n;

    for (i = 0; i < count; i++) {
        if (!read_node(&n, x, bytes, i, leaf)) {
            return false;
        }
        room += n.room;
    }
    return room == x->page_size - get16(bytes + 14);
}

/* A salvage does not follow a page that is not sound to one that is listed as free:
 * that is of an older state. */
static bool may_follow(const examination *x, const unsigned char *bytes, apr_uint64_t child)
{
    return !x->salvage || child >= x->count || !has_bit(x->idle, child) ||
           is_sound(x, bytes, false);
}

/* The first key of a branch is whatever: it stands for all before the second. */
static void visit_child(walk *w, const unsigned char *bytes, apr_uint64_t page, unsigned int i,
                        const node *n, int level, const scim_slice *from, const scim_slice *to)
{
    node next;
    bool has_next = i + 1 < count_nodes(bytes) && read_node(&next, w->x, bytes, i + 1, false);

    if (!may_hold(w, i ? &n->key : from, has_next ? &next.key : to)) {
        return;
    }
    if (may_follow(w->x, bytes, n->child) && take_pages(w->x, n->child, 1, page)) {
        visit(w, n->child, level + 1, i ? &n->key : from, has_next ? &next.key : to);
    }
}

/* All nodes of a page; from and to are its limits. */
static void visit_nodes(walk *w, const unsigned char *bytes, apr_uint64_t page, int level,
                        bool leaf, const scim_slice *from, const scim_slice *to)
{
    examination *x = w->x;
    unsigned int i, count = count_nodes(bytes);
    const scim_slice *last = from;
    bool ordered = true;
    scim_slice key;
    node n;

    for (i = 0; i < count && x->rc == SCIM_KV_OK; i++) {
        if (!read_node(&n, x, bytes, i, leaf)) {
            continue;
        }
        if (leaf || i) {
            ordered = ordered && in_order(w, n.key, last, last == from, to);
            key = n.key;
            last = &key;
        }
        if (leaf) {
            visit_leaf(w, &n, page);
        } else {
            visit_child(w, bytes, page, i, &n, level, from, to);
        }
    }
    if (!is_sound(x, bytes, leaf)) {
        tell_page(x, page, "its entries do not fit in it");
    } else if (!ordered) {
        tell_page(x, page, "its keys are not in order, or are another page's");
    }
}

/* What a page is: what it says, else what should be at its level. */
static bool is_leaf(const walk *w, const unsigned char *bytes, int level)
{
    return fits_kind(bytes, true) || (!fits_kind(bytes, false) && level == w->said.depth);
}

/* A page of a tree, and all below it.  To save what can be saved, a page whose
 * kind is altered is taken for what it may have been; but one with another's number
 * may have come here from another state. */
static void visit(walk *w, apr_uint64_t page, int level, const scim_slice *from,
                  const scim_slice *to)
{
    examination *x = w->x;
    unsigned char *bytes = level <= DEPTH_MAX ? read_pages(x, page, 1) : NULL;
    bool leaf, own, fits;

    if (!bytes) {
        return;
    }
    leaf = is_leaf(w, bytes, level);
    own = get64(bytes) == page;
    fits = own && fits_kind(bytes, leaf) && leaf == (level == w->said.depth);
    if (!has_bounds(x, bytes)) {
        tell_page(x, page, "it is no page of a store");
    } else if (!fits) {
        tell_page(x, page, "it is not the page that should be here");
    }
    if (has_bounds(x, bytes) && (fits || (own && x->salvage))) {
        w->met.branches += !leaf;
        w->met.leaves += leaf;
        visit_nodes(w, bytes, page, level, leaf, from, to);
    }
    free(bytes);
}

/* Trees */

static bool numbers_agree(const walk *w)
{
    return w->said.branches == w->met.branches && w->said.leaves == w->met.leaves &&
           w->said.overflows == w->met.overflows && w->said.entries == w->met.entries;
}

/* Whether it is whole. */
static bool walk_tree(examination *x, const tree *said, bool of_free)
{
    walk w = {.x = x, .of_free = of_free, .said = *said};
    bool before = x->damaged;

    x->damaged = false;
    if (said->root != NO_PAGE && take_pages(x, said->root, 1, 0)) {
        visit(&w, said->root, 1, NULL, NULL);
    }
    if (!x->damaged && x->rc == SCIM_KV_OK && !numbers_agree(&w)) {
        tell(x, "%s: it has other numbers of pages or entries than its root says",
             of_free ? "the list of free pages" : "the store");
    }
    before |= x->damaged;
    if (!x->damaged) {
        x->damaged = before;
        return true;
    }
    return false;
}

/* Whether no page is both. */
static bool check_free(examination *x)
{
    bool agree = true;
    apr_uint64_t page;

    for (page = META_PAGES; page < x->count; page++) {
        if (has_bit(x->used, page) && has_bit(x->idle, page)) {
            tell_page(x, page, "it is in use, and listed as free");
            agree = false;
        }
    }
    return agree;
}

/* Pages that are neither led to nor free hung from one that is damaged.  What
 * is free is not looked at: it holds rows that were changed or deleted since. */
static void visit_orphans(examination *x)
{
    walk w = {.x = x};
    apr_uint64_t page;
    unsigned char *bytes = scim_heap_checked(malloc(x->page_size));

    for (page = META_PAGES; page < x->count && x->rc == SCIM_KV_OK; page++) {
        if (!has_bit(x->used, page) && !has_bit(x->idle, page) &&
            read_at(x->fd, bytes, x->page_size, page * x->page_size) && get64(bytes) == page &&
            fits_kind(bytes, true) && has_bounds(x, bytes)) {
            set_bit(x->used, page);
            visit_nodes(&w, bytes, page, 1, true, NULL, NULL);
        }
    }
    free(bytes);
}

/* Meta pages */

static void read_tree(tree *out, const unsigned char *at)
{
    out->flags = (apr_uint16_t)get16(at + 4);
    out->depth = (apr_uint16_t)get16(at + 6);
    out->branches = get64(at + 8);
    out->leaves = get64(at + 16);
    out->overflows = get64(at + 24);
    out->entries = get64(at + 32);
    out->root = get64(at + 40);
}

/* The upper flags are of whoever opened the file last. */
static bool tree_reads(const tree *t, unsigned int flags)
{
    return (t->flags & 0xfff) == flags && t->depth <= DEPTH_MAX &&
           (t->root == NO_PAGE) == !t->depth;
}

/* 24 bytes of magic, version, address and size; two trees of 48; the last page
 * and the transaction. */
static bool read_meta(meta *out, int fd, int which, apr_size_t page_size)
{
    enum { TREES = PAGE_HEADER + 24, TREE = 48, END = TREES + 2 * TREE + 16 };
    unsigned char bytes[END];

    if (!read_at(fd, bytes, sizeof(bytes), (apr_uint64_t)which * page_size) ||
        get64(bytes) != (apr_uint64_t)which || get16(bytes + 10) != PAGE_META ||
        get32(bytes + PAGE_HEADER) != META_MAGIC ||
        get32(bytes + PAGE_HEADER + 4) != META_VERSION || get32(bytes + TREES) != page_size) {
        return false;
    }
    read_tree(&out->free, bytes + TREES);
    read_tree(&out->rows, bytes + TREES + TREE);
    out->last = get64(bytes + TREES + 2 * TREE);
    out->txn = get64(bytes + TREES + 2 * TREE + 8);
    return tree_reads(&out->free, TREE_OF_NUMBERS) && tree_reads(&out->rows, 0) &&
           out->last >= META_PAGES - 1 && out->last < (apr_uint64_t)1 << 40 &&
           (out->txn % 2 == (apr_uint64_t)which || out->txn == 0);
}

/* How many of the two can be read; their order is that of the file. */
static int read_metas(meta *metas, bool *good, apr_size_t *page_size, int fd)
{
    static const apr_size_t sizes[] = {4096, 8192, 16384, 32768, 2048, 1024, 512};
    apr_size_t i;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        good[0] = read_meta(&metas[0], fd, 0, sizes[i]);
        good[1] = read_meta(&metas[1], fd, 1, sizes[i]);
        if (good[0] || good[1]) {
            *page_size = sizes[i];
            return good[0] + good[1];
        }
    }
    return 0;
}

/* The meta page of a transaction; of the last one where txn is NO_PAGE. */
static const meta *choose_meta(const meta *metas, const bool *good, apr_uint64_t txn)
{
    const meta *newest = NULL;
    int i;

    for (i = 0; i < META_PAGES; i++) {
        if (good[i] &&
            (txn == NO_PAGE ? !newest || metas[i].txn > newest->txn : metas[i].txn == txn)) {
            newest = &metas[i];
        }
    }
    return newest;
}

static void examine_state(examination *x, const meta *state)
{
    bool whole, free_whole;

    x->count = state->last + 1;
    x->used = scim_heap_checked(calloc(x->count / 8 + 1, 1));
    x->idle = scim_heap_checked(calloc(x->count / 8 + 1, 1));
    free_whole = walk_tree(x, &state->free, true);
    whole = walk_tree(x, &state->rows, false);
    if (x->rc == SCIM_KV_OK) {
        free_whole = check_free(x) && free_whole;
    }
    if (x->salvage && !whole && free_whole) {
        visit_orphans(x);
    } else if (x->salvage && !whole) {
        tell(x, "the list of free pages is damaged too: what hung from damaged pages is not "
                "told from what was deleted, and left");
    }
    free(x->used);
    free(x->idle);
}

/* More pages than the file has may have been used, and given back before they
 * were written: but not many more.  A number that an altered bit made large is
 * not to be counted up to. */
static bool count_is_credible(int fd, const meta *state, apr_size_t page_size)
{
    struct stat info;

    return !fstat(fd, &info) &&
           state->last / 4 < (apr_uint64_t)info.st_size / page_size + 1024 * 1024;
}

/* The one that is being written while it is read is neither the old nor the new. */
static int read_metas_amid_writes(meta *metas, bool *good, apr_size_t *page_size, int fd)
{
    int readable = 0, tries;

    for (tries = 0; tries < 100 && readable < META_PAGES; tries++) {
        readable = read_metas(metas, good, page_size, fd);
    }
    return readable;
}

scim_kv_rc scim_kv_pages_state(int fd, apr_uint64_t txn, const scim_kv_examiner *to)
{
    examination x = {.fd = fd, .to = to};
    meta metas[META_PAGES];
    bool good[META_PAGES];
    int readable = read_metas_amid_writes(metas, good, &x.page_size, fd);
    const meta *state = readable ? choose_meta(metas, good, txn) : NULL;

    if (readable == META_PAGES && !state) {
        return SCIM_KV_STALE;
    }
    if (readable < META_PAGES || !count_is_credible(fd, state, x.page_size)) {
        tell(&x, "the pages that the store begins with are damaged");
        return SCIM_KV_CORRUPT;
    }
    examine_state(&x, state);
    return x.rc != SCIM_KV_OK ? x.rc : x.damaged ? SCIM_KV_CORRUPT : SCIM_KV_OK;
}

/* A page of a state is not written to again before two others were committed. */
static bool is_past(int fd, const meta *state)
{
    meta metas[META_PAGES];
    bool good[META_PAGES];
    apr_size_t page_size;

    return read_metas_amid_writes(metas, good, &page_size, fd) < META_PAGES ||
           choose_meta(metas, good, NO_PAGE)->txn > state->txn + 1;
}

scim_kv_rc scim_kv_pages_rows(int fd, scim_slice prefix, const scim_kv_examiner *to)
{
    examination x = {.fd = fd, .to = to};
    walk w = {.x = &x, .only = prefix};
    bool good[META_PAGES];
    meta metas[META_PAGES];
    const meta *state;

    if (read_metas_amid_writes(metas, good, &x.page_size, fd) < META_PAGES) {
        return SCIM_KV_CORRUPT;
    }
    state = choose_meta(metas, good, NO_PAGE);
    if (!count_is_credible(fd, state, x.page_size)) {
        return SCIM_KV_CORRUPT;
    }
    x.count = state->last + 1;
    x.used = scim_heap_checked(calloc(x.count / 8 + 1, 1));
    w.said = state->rows;
    if (w.said.root != NO_PAGE && take_pages(&x, w.said.root, 1, 0)) {
        visit(&w, w.said.root, 1, NULL, NULL);
    }
    free(x.used);
    if (is_past(fd, state)) {
        return SCIM_KV_STALE;
    }
    return x.rc != SCIM_KV_OK ? x.rc : x.damaged ? SCIM_KV_CORRUPT : SCIM_KV_OK;
}

scim_kv_rc scim_kv_salvage(int fd, const scim_kv_examiner *to)
{
    examination x = {.fd = fd, .to = to, .salvage = true};
    meta metas[META_PAGES];
    bool good[META_PAGES];
    const meta *state;
    int i;

    if (!read_metas(metas, good, &x.page_size, fd)) {
        return SCIM_KV_INVALID;
    }
    for (i = 0; i < META_PAGES; i++) {
        good[i] = good[i] && count_is_credible(fd, &metas[i], x.page_size);
        if (!good[i]) {
            tell(&x, "one of the two pages that the store begins with is damaged: its last "
                     "change may be lost");
        }
    }
    state = choose_meta(metas, good, NO_PAGE);
    if (!state) {
        return SCIM_KV_INVALID;
    }
    examine_state(&x, state);
    return x.rc != SCIM_KV_OK ? x.rc : x.damaged ? SCIM_KV_CORRUPT : SCIM_KV_OK;
}

/* The root of the rows, and nothing below it. */
static bool has_root(examination *x, const tree *said)
{
    unsigned char *bytes;
    bool sound;

    if (said->root == NO_PAGE) {
        return true;
    }
    if (said->root < META_PAGES || said->root >= x->count ||
        !(bytes = read_pages(x, said->root, 1))) {
        return false;
    }
    sound = get64(bytes) == said->root && fits_kind(bytes, said->depth == 1) &&
            has_bounds(x, bytes);
    free(bytes);
    return sound;
}

/* Pages at the end that were used and given back in one transaction have never been
 * written: those, which are listed as free, a file need not have. */
static bool has_all_pages(const examination *x, apr_uint64_t there)
{
    apr_uint64_t page;

    for (page = there; page < x->count && has_bit(x->idle, page); page++) {
    }
    return page >= x->count;
}

static bool is_behind(const tree *said, apr_uint64_t there)
{
    return said->root != NO_PAGE && said->root >= there;
}

scim_kv_rc scim_kv_pages_open(bool *cut, int fd, apr_uint64_t txn)
{
    static const scim_kv_examiner nobody;
    examination x = {.fd = fd, .to = &nobody};
    bool good[META_PAGES], free_whole, whole;
    meta metas[META_PAGES];
    const meta *state;
    apr_uint64_t there;
    struct stat info;

    *cut = false;
    if (read_metas_amid_writes(metas, good, &x.page_size, fd) < META_PAGES ||
        fstat(fd, &info)) {
        return SCIM_KV_CORRUPT;
    }
    state = choose_meta(metas, good, txn);
    if (!state) {
        return SCIM_KV_STALE;
    }
    there = (apr_uint64_t)info.st_size / x.page_size;
    if (!count_is_credible(fd, state, x.page_size)) {
        *cut = true;
        return SCIM_KV_CORRUPT;
    }
    x.count = state->last + 1;
    x.used = scim_heap_checked(calloc(x.count / 8 + 1, 1));
    x.idle = scim_heap_checked(calloc(x.count / 8 + 1, 1));
    free_whole = walk_tree(&x, &state->free, true);
    whole = free_whole && has_root(&x, &state->rows);
    *cut = is_behind(&state->free, there) || is_behind(&state->rows, there) ||
           (free_whole && !has_all_pages(&x, there));
    free(x.used);
    free(x.idle);
    return whole && !*cut ? SCIM_KV_OK : SCIM_KV_CORRUPT;
}
