/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a directory can hold a store.  LMDB shares memory maps and mutexes
 * between processes; a network file system keeps neither promise, and says so
 * only by losing data.
 */
#include <errno.h>
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

scim_kv_rc scim_kv_directory(const char *path, struct stat *info, const char **why,
                             apr_pool_t *pool)
{
    struct statfs fs;
    const char *name;

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
    return SCIM_KV_OK;
}
