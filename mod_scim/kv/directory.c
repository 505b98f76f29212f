/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a directory, with the files that are in it, can hold a store.  LMDB
 * shares memory maps and mutexes between processes; a network file system keeps
 * neither promise, and says so only by losing data.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <apr_errno.h>
#include <apr_strings.h>
#include <apr_user.h>

#include "engine.h"

/* Of linux/magic.h and, where that lacks them, of the file systems' own
 * sources: it is no file of the C library and differs between kernels. */
static const struct {
    unsigned int magic;
    const char *name;
} remote[] = {
    {0x00006969, "NFS"},    {0x0000517b, "SMB"},    {0xfe534d42, "SMB2"},
    {0xff534d42, "CIFS"},   {0x01021997, "9p"},     {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},    {0x73757245, "Coda"},   {0x0000564c, "NCP"},
    {0x00c36400, "Ceph"},   {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},
    {0x786f4256, "vboxsf"}, {0x01161970, "GFS2"},   {0x7461636f, "OCFS2"},
    {0x19830326, "BeeGFS"},
};

static const char *remote_name(unsigned int magic)
{
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        if (remote[i].magic == magic) {
            return remote[i].name;
        }
    }
    return NULL;
}

const char *scim_kv_user(apr_pool_t *pool)
{
    uid_t uid = geteuid();
    char *name = NULL;

    if (apr_uid_name_get(&name, uid, pool)) {
        name = NULL;
    }
    return apr_psprintf(pool, "%s (uid %lu)", name ? name : "without a name",
                        (unsigned long)uid);
}

static scim_kv_rc absent(const char *path, const char **why, apr_pool_t *pool)
{
    *why = apr_psprintf(pool,
                        "there is no directory %s for the store; create it, owned by user %s "
                        "and with mode 0700",
                        path, scim_kv_user(pool));
    return SCIM_KV_NOTFOUND;
}

static scim_kv_rc unreachable(const char *path, int err, const char **why, apr_pool_t *pool)
{
    char text[128];

    *why = apr_psprintf(pool,
                        "user %s cannot reach the store's directory %s: %s; every directory on "
                        "the way must be searchable (x) for that user",
                        scim_kv_user(pool), path, apr_strerror(err, text, sizeof(text)));
    return SCIM_KV_IO;
}

/* How many names in the directory a file has. */
static nlink_t names_in(const char *path, const struct stat *file)
{
    DIR *dir = opendir(path);
    int at = dir ? dirfd(dir) : -1;
    const struct dirent *entry;
    nlink_t count = 0;

    while (at >= 0 && (entry = readdir(dir))) {
        struct stat info;

        count += !fstatat(at, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) &&
                 info.st_ino == file->st_ino && info.st_dev == file->st_dev;
    }
    if (dir) {
        closedir(dir);
    }
    return count;
}

/* A file that is replaced may have a second name in the directory for a moment, and
 * for good where the power went in that moment.  One that goes between being counted
 * and being looked for is looked for again. */
static bool is_elsewhere(const char *path, const char *file, struct stat *info)
{
    int tries;

    for (tries = 0; tries < 3; tries++) {
        if (info->st_nlink <= 1 || info->st_nlink <= names_in(path, info)) {
            return false;
        }
        if (lstat(file, info)) {
            return errno != ENOENT;
        }
    }
    return true;
}

/* LMDB opens whatever stands there.  A link would have it write to a file
 * elsewhere, or make one; and by a name in another directory others can come to it
 * whom this one's mode keeps out. */
static scim_kv_rc check_file(const char *path, const char *name, const char **why,
                             apr_pool_t *pool)
{
    const char *file = apr_pstrcat(pool, path, "/", name, NULL);
    const char *what = NULL;
    struct stat info;

    /* What cannot be looked at is left to the open, which says why. */
    if (lstat(file, &info)) {
        return SCIM_KV_OK;
    }
    if (S_ISLNK(info.st_mode)) {
        what = "is a symbolic link; put the file itself there";
    } else if (!S_ISREG(info.st_mode)) {
        what = "is no file; move it away";
    } else if (is_elsewhere(path, file, &info)) {
        what = "has another name elsewhere, a hard link; remove that (find -samefile)";
    }
    if (!what) {
        return SCIM_KV_OK;
    }
    *why = apr_psprintf(pool, "%s %s: a store's files are its directory's alone", file, what);
    return SCIM_KV_IO;
}

scim_kv_rc scim_kv_directory(const char *path, struct stat *info, const char **why,
                             apr_pool_t *pool)
{
    struct statfs fs;
    const char *name;
    scim_kv_rc rc;

    if (stat(path, info)) {
        return errno == ENOENT ? absent(path, why, pool) : unreachable(path, errno, why, pool);
    }
    if (!S_ISDIR(info->st_mode)) {
        *why = apr_psprintf(pool,
                            "%s is not a directory; name the directory that holds the store's "
                            "files data.mdb and lock.mdb",
                            path);
        return SCIM_KV_NOTFOUND;
    }
    if (info->st_mode & (S_IWGRP | S_IWOTH)) {
        *why = apr_psprintf(pool,
                            "others may write to %s, so that they could put a store of their "
                            "own there; chmod 700 %s",
                            path, path);
        return SCIM_KV_IO;
    }
    if (statfs(path, &fs)) {
        return unreachable(path, errno, why, pool);
    }
    name = remote_name((unsigned int)fs.f_type);
    if (name) {
        *why =
            apr_psprintf(pool,
                         "%s is on a network file system (%s), where a store loses data; use "
                         "a directory on a local disk",
                         path, name);
        return SCIM_KV_IO;
    }
    rc = check_file(path, "data.mdb", why, pool);
    return rc == SCIM_KV_OK ? check_file(path, "lock.mdb", why, pool) : rc;
}
