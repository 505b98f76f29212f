/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is written as a whole: it appears under its name when all of it
 * is on the disk, or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "ctl.h"

/* For the handler of signals; what is broken off leaves nothing. */
static char *volatile unfinished;

static void remove_unfinished(int signal_number)
{
    if (unfinished) {
        unlink(unfinished);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGXFSZ};

/* mkostemp makes a file of mode 0600 that was not there before, so no one else
 * has it open, and none is written through a link.  No signal comes between its
 * name and the handler that removes it. */
static int make_temporary(char *name)
{
    sigset_t those, before;
    size_t i;
    int fd;

    sigemptyset(&those);
    for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        sigaddset(&those, endings[i]);
    }
    sigprocmask(SIG_BLOCK, &those, &before);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) {
        unfinished = name;
        for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
            signal(endings[i], remove_unfinished);
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return fd;
}

static ctl_exit cannot_write(const char *path, const ctl *c, int err)
{
    const char *remedy =
        err == EACCES || err == EPERM
            ? apr_psprintf(c->pool,
                           "; scimctl writes as the owner of the store: name a directory of "
                           "that user, or let the shell write (scimctl %s - > FILE)",
                           c->command->name)
            : "";

    ctl_complain("cannot write %s: %s%s", path, strerror(err), remedy);
    return CTL_FAILED;
}

ctl_exit ctl_file_make(ctl_file *out, const char *path, const ctl *c)
{
    struct stat info;

    *out = (ctl_file){.fd = STDOUT_FILENO};
    if (!strcmp(path, "-")) {
        return CTL_OK;
    }
    out->path = path;
    if (!stat(path, &info) && !S_ISREG(info.st_mode)) {
        ctl_complain("%s is there already and no plain file", path);
        return CTL_REFUSED;
    }
    out->temporary = apr_pstrcat(c->pool, path, ".XXXXXX", NULL);
    out->fd = make_temporary(out->temporary);
    return out->fd < 0 ? cannot_write(path, c, errno) : CTL_OK;
}

int ctl_file_write(const void *data, apr_size_t len, void *file)
{
    const ctl_file *out = file;
    const char *at = data;

    while (len) {
        ssize_t n = write(out->fd, at, len);

        if (n < 0 && errno != EINTR) {
            return errno;
        }
        at += n > 0 ? n : 0;
        len -= n > 0 ? (apr_size_t)n : 0;
    }
    return 0;
}

ctl_exit ctl_file_failed(const ctl_file *file, const ctl *c, int err)
{
    return cannot_write(file->path ? file->path : "to stdout", c, err);
}

static int sync_parent(const char *path, apr_pool_t *pool)
{
    const char *slash = strrchr(path, '/');
    const char *parent = !slash ? "."
                         : slash == path
                             ? "/"
                             : apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 || fsync(fd) ? errno : 0;

    if (fd >= 0) {
        close(fd);
    }
    return err;
}

ctl_exit ctl_file_finish(const ctl_file *file, const ctl *c)
{
    int err;

    if (!file->path) {
        return CTL_OK;
    }
    err = fsync(file->fd) || close(file->fd) || rename(file->temporary, file->path) ? errno : 0;
    if (!err) {
        unfinished = NULL;
        err = sync_parent(file->path, c->pool);
    }
    return err ? cannot_write(file->path, c, err) : CTL_OK;
}

void ctl_file_drop(const ctl_file *file)
{
    if (unfinished) {
        unlink(unfinished);
        unfinished = NULL;
    }
}
