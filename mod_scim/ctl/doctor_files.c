/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor: the directory of the store and its files, looked at from outside.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_user.h>

#include "doctor.h"

#define FILES "store files"

/* Less room than this is little: LMDB takes new pages before it gives back old ones. */
#define ROOM_LITTLE ((apr_uint64_t)256 << 20)
#define ROOM_NONE ((apr_uint64_t)16 << 20)

static const char *user_name(uid_t uid, apr_pool_t *pool)
{
    char *name;

    return apr_uid_name_get(&name, uid, pool) == APR_SUCCESS
               ? name
               : apr_psprintf(pool, "uid %lu", (unsigned long)uid);
}

/* Whoever is httpd's User, where that is known. */
static const char *likely_user(const doctor *d)
{
    return d->httpd_user ? d->httpd_user : "www-data";
}

static void look_at_owner(doctor *d, const char *path, const struct stat *info)
{
    apr_pool_t *pool = d->c->pool;
    const char *owner = user_name(info->st_uid, pool);
    const char *remedy = apr_psprintf(pool, "chown -R %s: %s", likely_user(d), path);

    if (info->st_uid == 0) {
        ctl_doctor_say(d, DOCTOR_FAIL, FILES, remedy,
                       "%s belongs to root, and httpd's workers cannot use it", path);
    } else if (d->httpd_user && strcmp(owner, d->httpd_user)) {
        ctl_doctor_say(d, DOCTOR_FAIL, FILES, remedy,
                       "%s belongs to %s, and httpd's User is %s", path, owner, d->httpd_user);
    } else {
        ctl_doctor_say(d, DOCTOR_OK, FILES, NULL, "%s belongs to %s", path, owner);
    }
}

static void look_at_mode(doctor *d, const char *path, const struct stat *info, mode_t wanted)
{
    mode_t mode = info->st_mode & 07777;

    if (mode & 077) {
        ctl_doctor_say(d, mode & 07 ? DOCTOR_FAIL : DOCTOR_WARN, FILES,
                       apr_psprintf(d->c->pool, "chmod %o %s", wanted, path),
                       "%s has mode %04o: others may look into it, and it holds personal data",
                       path, mode);
    }
}

/* True where it is there and may be a store's. */
static bool look_at_file(doctor *d, const char *dir, const char *name, uid_t owner)
{
    const char *path = apr_pstrcat(d->c->pool, dir, "/", name, NULL);
    struct stat info;

    if (lstat(path, &info)) {
        return false;
    }
    if (!S_ISREG(info.st_mode) || info.st_nlink > 1) {
        ctl_doctor_say(d, DOCTOR_FAIL, FILES, "put the file itself there, under one name",
                       "%s is %s: httpd refuses to start with it", path,
                       S_ISLNK(info.st_mode)   ? "a symbolic link"
                       : S_ISREG(info.st_mode) ? "a file that has another name, too"
                                               : "no plain file");
        return false;
    }
    if (info.st_uid != owner) {
        ctl_doctor_say(
            d, DOCTOR_FAIL, FILES,
            apr_psprintf(d->c->pool, "chown %s: %s", user_name(owner, d->c->pool), path),
            "%s belongs to %s, its directory to %s", path, user_name(info.st_uid, d->c->pool),
            user_name(owner, d->c->pool));
    }
    look_at_mode(d, path, &info, 0600);
    return true;
}

static void look_for_leftover(doctor *d, const char *dir, const char *name, const char *what)
{
    const char *path = apr_pstrcat(d->c->pool, dir, "/", name, NULL);
    struct stat info;

    if (!lstat(path, &info)) {
        ctl_doctor_say(d, DOCTOR_WARN, FILES, "remove it when nobody needs it any more",
                       "%s is there: %s", path, what);
    }
}

static void look_at_system(doctor *d, const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs)) {
        return;
    }
    switch ((unsigned int)fs.f_type) {
    case 0x01021994:
    case 0x858458f6:
        ctl_doctor_say(d, DOCTOR_WARN, FILES, "give the store a directory on a disk",
                       "%s is in memory, and empty after the next boot", path);
        break;
    case 0x794c7630:
        ctl_doctor_say(d, DOCTOR_WARN, FILES, "mount a volume there",
                       "%s is in a container's own layer, and goes with the container", path);
        break;
    default:
        break;
    }
}

static void look_at_room(doctor *d)
{
    apr_uint64_t room, size;
    const char *shown;

    if (!scim_kv_room(&room, &size, d->c->url)) {
        return;
    }
    shown = apr_psprintf(d->c->pool, "%s of %s are free on its disk",
                         ctl_show_size(room, d->c->pool), ctl_show_size(size, d->c->pool));
    if (room < ROOM_LITTLE) {
        ctl_doctor_say(d, room < ROOM_NONE ? DOCTOR_FAIL : DOCTOR_WARN, "disk",
                       "make room: where there is none, changes are answered 507", "%s", shown);
    } else {
        ctl_doctor_say(d, DOCTOR_OK, "disk", NULL, "%s", shown);
    }
}

static bool no_directory(doctor *d, const char *path)
{
    if (d->c->options[CTL_URL] && errno == ENOENT) {
        ctl_doctor_say(d, DOCTOR_WARN, FILES,
                       "run this where httpd runs, to have that looked at",
                       "there is no %s on this machine: only the URL is looked at", path);
        return false;
    }
    ctl_doctor_say(d, DOCTOR_FAIL, FILES,
                   apr_psprintf(d->c->pool,
                                "scimctl init --owner %s makes it; or name the right one: "
                                "--store lmdb:PATH, as SCIMStore has it",
                                likely_user(d)),
                   "%s: %s", path, strerror(errno));
    return false;
}

bool ctl_doctor_files(doctor *d)
{
    const char *path = strncmp(d->c->url, "lmdb:/", 6) ? NULL : d->c->url + 5;
    struct stat info;

    if (!path) {
        return true; /* it has none here; opening it says what is wrong */
    }
    if (stat(path, &info)) {
        return no_directory(d, path);
    }
    if (!S_ISDIR(info.st_mode)) {
        errno = ENOTDIR;
        return no_directory(d, path);
    }
    look_at_owner(d, path, &info);
    look_at_mode(d, path, &info, 0700);
    look_at_system(d, path);
    look_at_room(d);
    look_for_leftover(d, path, "data.mdb.old", "what the store was before a restore");
    if (!look_at_file(d, path, "data.mdb", info.st_uid)) {
        ctl_doctor_say(d, DOCTOR_FAIL, FILES,
                       "scimctl init, or start httpd, makes a store; a disk that is to be "
                       "there may not be mounted",
                       "%s holds no store", path);
        return false;
    }
    look_at_file(d, path, "lock.mdb", info.st_uid);
    return true;
}
