/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store seen from outside: what could be said against using it, and what a few of its
 * rows are, without LMDB, which makes a lock file and writes to it when it only reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_user.h>

#include "engine.h"

/* NULL where it is none of the engine that has files. */
static const char *directory_of(const char *url)
{
    return strncmp(url, "lmdb:/", 6) ? NULL : url + 5;
}

static const char *owner_of(const char *path, apr_pool_t *pool)
{
    struct stat info;
    char *name = NULL;

    if (stat(path, &info)) {
        return "";
    }
    if (apr_uid_name_get(&name, info.st_uid, pool)) {
        name = NULL;
    }
    return apr_psprintf(pool, " (it belongs to user %s, uid %lu, with mode %04o)",
                        name ? name : "without a name", (unsigned long)info.st_uid,
                        (unsigned int)info.st_mode & 07777u);
}

/* NULL where this user has that access to it, or it is not there. */
static const char *denied(const char *path, int access_to, apr_pool_t *pool)
{
    int err = eaccess(path, access_to) ? errno : 0;

    if (!err || err == ENOENT) {
        return NULL;
    }
    if (err == EROFS) {
        return apr_psprintf(pool,
                            "the file system of %s is mounted read-only; mount it for writing, "
                            "or set SCIMReadOnly On",
                            path);
    }
    return apr_psprintf(pool,
                        "user %s may not %s %s%s: %s; the directory (mode 0700) and its files "
                        "(0600) must belong to that user",
                        scim_kv_user(pool), access_to & W_OK ? "write to" : "read", path,
                        owner_of(path, pool), strerror(err));
}

static const char *denied_file(const char *path, const char *name, int access_to,
                               apr_pool_t *pool)
{
    return denied(apr_pstrcat(pool, path, "/", name, NULL), access_to, pool);
}

static const char *parent_of(const char *path, apr_pool_t *pool)
{
    return dirname(apr_pstrdup(pool, path));
}

/* What speaks against making the directory: its parent must be there, and be a way for this
 * user. */
static const char *against_making(const char *path, apr_pool_t *pool)
{
    const char *parent = parent_of(path, pool);
    struct stat info;

    if (stat(parent, &info) && errno == ENOENT) {
        return apr_psprintf(pool,
                            "there is no directory %s, in which %s is to be made: make it, or "
                            "mount it",
                            parent, path);
    }
    return denied(parent, X_OK, pool);
}

/* Of a store that is in no directory the url is all that can be looked at. */
static const char *outlook_of_url(const char *url, apr_pool_t *pool)
{
    const char *where;
    const scim_kv_engine *engine = scim_kv_find_engine(url, &where);

    if (!engine || scim_kv_has_secret(url, pool)) {
        return scim_kv_no_engine(url, pool);
    }
    return engine->outlook ? engine->outlook(where, pool) : NULL;
}

const char *scim_kv_outlook(bool *made, const char *url, bool read_only, apr_pool_t *pool)
{
    const char *path = directory_of(url), *why = NULL;
    int access_to = read_only ? R_OK : R_OK | W_OK;
    struct stat info;

    *made = true;
    if (!path) {
        return outlook_of_url(url, pool);
    }
    if (stat(path, &info) && errno == ENOENT) {
        *made = false;
        return against_making(path, pool);
    }
    if (scim_kv_directory(path, &info, &why, pool) != SCIM_KV_OK ||
        (why = denied(path, access_to | X_OK, pool)) ||
        (why = denied_file(path, "data.mdb", access_to, pool))) {
        return why;
    }
    return denied_file(path, "lock.mdb", access_to, pool);
}

bool scim_kv_room(apr_uint64_t *room, apr_uint64_t *size, const char *url)
{
    const char *path = directory_of(url);
    struct statvfs fs;

    if (!path || statvfs(path, &fs)) {
        return false;
    }
    *room = (apr_uint64_t)fs.f_bavail * fs.f_frsize;
    *size = (apr_uint64_t)fs.f_blocks * fs.f_frsize;
    return true;
}

/* Who owns a file may look at it without leaving a trace. */
static int open_quietly(const char *path)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = open(path, flags | O_NOATIME);

    if (fd < 0 && errno == EPERM) {
        fd = open(path, flags);
    }
    return fd;
}

scim_kv_rc scim_kv_peek(const char *url, scim_slice prefix, const scim_kv_examiner *to)
{
    const char *path = directory_of(url);
    char file[PATH_MAX];
    struct stat info;
    scim_kv_rc rc;
    int fd;

    if (!path) {
        return scim_kv_networked(url) ? SCIM_KV_IO : SCIM_KV_NOTFOUND;
    }
    apr_snprintf(file, sizeof(file), "%s/data.mdb", path);
    fd = open_quietly(file);
    if (fd < 0) {
        return errno == ENOENT ? SCIM_KV_NOTFOUND : SCIM_KV_IO;
    }
    rc = fstat(fd, &info) || !S_ISREG(info.st_mode) ? SCIM_KV_IO
                                                    : scim_kv_pages_rows(fd, prefix, to);
    close(fd);
    return rc;
}
