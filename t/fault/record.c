/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder of record.h.  The functions stand in the program itself, where the
 * dynamic linker finds them before those of the C library.
 */
#include "record.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define INTERPOSED __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real_function(#name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stat file; /* st_ino 0: none is recorded */
static record_event *events;
static int events_count, events_room;

static void *real_function(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function) {
        abort();
    }
    return function;
}

static bool is_recorded(int fd)
{
    struct stat info;

    return file.st_ino && !fstat(fd, &info) && info.st_ino == file.st_ino &&
           info.st_dev == file.st_dev;
}

static void add(record_event event)
{
    pthread_mutex_lock(&lock);
    if (events_count == events_room) {
        events_room = events_room ? 2 * events_room : 1000;
        events = realloc(events, sizeof(*events) * (size_t)events_room);
    }
    events[events_count++] = event;
    pthread_mutex_unlock(&lock);
}

static void add_write(int fd, const void *bytes, size_t len, off_t offset)
{
    record_event event = {.kind = RECORD_WRITE,
                          .durable = (fcntl(fd, F_GETFL) & O_DSYNC) != 0,
                          .offset = offset,
                          .len = len,
                          .bytes = malloc(len + 1)};

    memcpy(event.bytes, bytes, len);
    add(event);
}

INTERPOSED ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    ssize_t written = REAL(pwrite)(fd, bytes, len, offset);

    if (written > 0 && is_recorded(fd)) {
        add_write(fd, bytes, (size_t)written, offset);
    }
    return written;
}

INTERPOSED ssize_t write(int fd, const void *bytes, size_t len)
{
    off_t offset = is_recorded(fd) ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t written = REAL(write)(fd, bytes, len);

    if (written > 0 && offset >= 0) {
        add_write(fd, bytes, (size_t)written, offset);
    }
    return written;
}

INTERPOSED ssize_t writev(int fd, const struct iovec *parts, int count)
{
    off_t offset = is_recorded(fd) ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t written = REAL(writev)(fd, parts, count), left = written;
    int i;

    for (i = 0; i < count && left > 0 && offset >= 0; i++) {
        size_t len = (ssize_t)parts[i].iov_len < left ? parts[i].iov_len : (size_t)left;

        add_write(fd, parts[i].iov_base, len, offset);
        offset += (off_t)len;
        left -= (ssize_t)len;
    }
    return written;
}

INTERPOSED int ftruncate(int fd, off_t size)
{
    int rc = REAL(ftruncate)(fd, size);

    if (!rc && is_recorded(fd)) {
        add((record_event){.kind = RECORD_TRUNCATE, .offset = size});
    }
    return rc;
}

INTERPOSED int fdatasync(int fd)
{
    int rc = REAL(fdatasync)(fd);

    if (!rc && is_recorded(fd)) {
        add((record_event){.kind = RECORD_SYNC});
    }
    return rc;
}

INTERPOSED int fsync(int fd)
{
    int rc = REAL(fsync)(fd);

    if (!rc && is_recorded(fd)) {
        add((record_event){.kind = RECORD_SYNC});
    }
    return rc;
}

void record_begin(const char *path)
{
    if (stat(path, &file)) {
        abort();
    }
}

void record_note(int note)
{
    add((record_event){.kind = RECORD_NOTE, .note = note});
}

const record_event *record_end(int *count)
{
    file.st_ino = 0;
    *count = events_count;
    return events;
}

void record_free(void)
{
    while (events_count > 0) {
        free(events[--events_count].bytes);
    }
    free(events);
    events = NULL;
    events_room = 0;
}
