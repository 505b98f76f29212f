/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose the store is.  Its files belong to the user that httpd's workers run
 * as; one that root made in between would lock them out.  So root becomes the
 * owner of the store's directory before anything in it is opened.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_user.h>

#include "ctl.h"

typedef struct account {
    uid_t uid;
    gid_t gid;
    const char *name; /* NULL: a number that no user has */
} account;

static bool account_named(account *out, const char *name, apr_pool_t *pool)
{
    out->name = name;
    return apr_uid_get(&out->uid, &out->gid, name, pool) == APR_SUCCESS;
}

static account account_of(const struct stat *info, apr_pool_t *pool)
{
    account owner = {info->st_uid, info->st_gid, NULL};
    char *name;
    gid_t gid;
    uid_t uid;

    if (apr_uid_name_get(&name, info->st_uid, pool) == APR_SUCCESS) {
        owner.name = name;
        if (apr_uid_get(&uid, &gid, name, pool) == APR_SUCCESS) {
            owner.gid = gid;
        }
    }
    return owner;
}

static const char *shown(const account *owner, apr_pool_t *pool)
{
    return owner->name ? owner->name : apr_psprintf(pool, "uid %lu", (unsigned long)owner->uid);
}

static ctl_exit become(const account *owner, const char *path, apr_pool_t *pool)
{
    int failed = owner->name ? initgroups(owner->name, owner->gid) : setgroups(1, &owner->gid);

    if (failed || setgid(owner->gid) || setuid(owner->uid)) {
        ctl_complain("cannot become user %s, who owns %s: %s", shown(owner, pool), path,
                     strerror(errno));
        return CTL_NO_STORE;
    }
    return CTL_OK;
}

/* lchown: the path may have become a link to something else by now. */
static ctl_exit make_directory(const char *path, const account *owner, apr_pool_t *pool)
{
    if (mkdir(path, 0700)) {
        ctl_complain("cannot make the directory %s: %s%s", path, strerror(errno),
                     errno == ENOENT ? "; make the directory that it is to be in first" : "");
        return CTL_NO_STORE;
    }
    if (owner && owner->uid != geteuid() && lchown(path, owner->uid, owner->gid)) {
        ctl_complain("cannot give %s to user %s: %s", path, shown(owner, pool),
                     strerror(errno));
        rmdir(path);
        return CTL_NO_STORE;
    }
    return CTL_OK;
}

/* The owner that the command line names; NULL where it names none. */
static ctl_exit wanted_owner(const account **out, account *named, const ctl *c)
{
    const char *name = c->options[CTL_OWNER];

    *out = NULL;
    if (!name) {
        return CTL_OK;
    }
    if (!account_named(named, name, c->pool)) {
        ctl_complain("--owner %s: there is no such user on this machine", name);
        return CTL_USAGE;
    }
    if (geteuid() != 0 && named->uid != geteuid()) {
        ctl_complain("--owner %s: only root can make a store for another user; run this "
                     "as root, or as that user without --owner",
                     name);
        return CTL_REFUSED;
    }
    *out = named;
    return CTL_OK;
}

static ctl_exit no_owner(const ctl *c, const char *what, const char *path)
{
    ctl_complain("%s %s, and a store that root makes for itself is closed to httpd's workers; "
                 "say who is to own it, as httpd's directive User does: "
                 "scimctl %s --owner www-data",
                 what, path, c->command->name);
    return CTL_USAGE;
}

static ctl_exit make_new(const ctl *c, const char *path, const account *wanted)
{
    if (geteuid() == 0 && !wanted) {
        return no_owner(c, "there is no directory yet:", path);
    }
    return make_directory(path, wanted, c->pool);
}

/* Whether the directory holds a store, and whether anything else. */
static void look_into(bool *store, bool *others, const char *path, apr_pool_t *pool)
{
    apr_finfo_t entry;
    apr_dir_t *dir;

    *store = *others = false;
    if (apr_dir_open(&dir, path, pool)) {
        return;
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        if (!strcmp(entry.name, "data.mdb")) {
            *store = true;
        } else if (strcmp(entry.name, ".") && strcmp(entry.name, "..") &&
                   strcmp(entry.name, "lock.mdb") && strcmp(entry.name, SCIM_KV_PLACE)) {
            *others = true;
        }
    }
    apr_dir_close(dir);
}

/* Whether the store may be made in a directory that is there already. */
static ctl_exit check_place(const ctl *c, const char *path, const account *owner,
                            const account *wanted)
{
    bool store, others;

    look_into(&store, &others, path, c->pool);
    if (store) {
        return CTL_OK;
    }
    if (others) {
        ctl_complain("%s holds other files; a store needs a directory of its own, such as "
                     "%s/scim",
                     path, strcmp(path, "/") ? path : "");
        return CTL_REFUSED;
    }
    if (geteuid() == 0 && owner->uid == 0 && !wanted) {
        return no_owner(c, "root owns the directory", path);
    }
    return CTL_OK;
}

static ctl_exit check_owner(const account *owner, const account *wanted, const char *path,
                            apr_pool_t *pool)
{
    if (wanted && wanted->uid != owner->uid) {
        ctl_complain("%s is there already and belongs to %s; give the directory and the files "
                     "of its store to %s first, or name another one",
                     path, shown(owner, pool), wanted->name);
        return CTL_REFUSED;
    }
    return CTL_OK;
}

static ctl_exit no_directory(const char *path)
{
    ctl_complain("there is no directory %s, hence no store; scimctl init makes one, --store or "
                 "SCIM_STORE names another",
                 path);
    return CTL_NO_STORE;
}

/* A store that is elsewhere is reached as who runs this, or as its url says. */
static ctl_exit no_files(const ctl *c)
{
    if (c->options[CTL_OWNER]) {
        ctl_complain("--owner is for a store in a directory (lmdb:PATH), and %s is none", c->url);
        return CTL_USAGE;
    }
    return CTL_OK;
}

const char *ctl_owner_of(const char *url, apr_pool_t *pool)
{
    struct stat info;

    return strncmp(url, "lmdb:/", 6) || stat(url + 5, &info) ? NULL
                                                             : account_of(&info, pool).name;
}

/* Where the directory cannot be looked at, opening the store says why. */
ctl_exit ctl_become_owner(ctl *c, bool makes)
{
    const char *path = strncmp(c->url, "lmdb:/", 6) ? NULL : c->url + 5;
    const account *wanted;
    account named, owner;
    struct stat info;
    ctl_exit code = path ? wanted_owner(&wanted, &named, c) : no_files(c);

    if (!path || code != CTL_OK) {
        return code;
    }
    if (stat(path, &info) && errno == ENOENT) {
        code = makes ? make_new(c, path, wanted) : no_directory(path);
    }
    if (code != CTL_OK || stat(path, &info)) {
        return code;
    }
    owner = account_of(&info, c->pool);
    if (makes) {
        code = check_place(c, path, &owner, wanted);
    }
    if (code == CTL_OK) {
        code = check_owner(&owner, wanted, path, c->pool);
    }
    if (code == CTL_OK && geteuid() == 0 && owner.uid != 0) {
        code = become(&owner, path, c->pool);
    }
    return code;
}
