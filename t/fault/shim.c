/* SPDX-License-Identifier: Apache-2.0 */
/* What shim.h describes, by system calls of its own. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_FRONT_OF(name) __asm__(name) __attribute__((visibility("default")))

int front_open(const char *, int, ...) IN_FRONT_OF("open");
ssize_t front_pwrite(int, const void *, size_t, off_t) IN_FRONT_OF("pwrite");
ssize_t front_writev(int, const struct iovec *, int) IN_FRONT_OF("writev");
ssize_t front_pread(int, void *, size_t, off_t) IN_FRONT_OF("pread");
int front_fdatasync(int) IN_FRONT_OF("fdatasync");
int front_fsync(int) IN_FRONT_OF("fsync");
int front_ftruncate(int, off_t) IN_FRONT_OF("ftruncate");
void *front_mmap(void *, size_t, int, int, int, off_t) IN_FRONT_OF("mmap");
int front_msync(void *, size_t, int) IN_FRONT_OF("msync");
int front_rename(const char *, const char *) IN_FRONT_OF("rename");
int front_renameat2(int, const char *, int, const char *, unsigned int)
    IN_FRONT_OF("renameat2");
int front_link(const char *, const char *) IN_FRONT_OF("link");

static fault_plan own;
fault_plan *fault_current = &own;

/* As it was named, and as the system names it. */
static char given[PATH_MAX], directory[PATH_MAX];

void fault_directory(const char *path)
{
    *given = *directory = '\0';
    if (path && realpath(path, directory)) {
        snprintf(given, sizeof(given), "%s", path);
    }
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *path = getenv("SCIM_FAULT_PLAN");
    void *plan;
    int fd;

    if (!path) {
        return;
    }
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    plan = fd < 0 ? MAP_FAILED
                  : (void *)syscall(SYS_mmap, NULL, sizeof(fault_plan), PROT_READ | PROT_WRITE,
                                    MAP_SHARED, fd, 0);
    if (plan == MAP_FAILED) {
        fprintf(stderr, "SCIM_FAULT_PLAN %s: %s\n", path, strerror(errno));
        _exit(127);
    }
    syscall(SYS_close, fd);
    fault_current = plan;
    fault_directory(getenv("SCIM_FAULT_DIR"));
}

static bool is_below(const char *path, const char *place)
{
    size_t len = strlen(place);

    return len && !strncmp(path, place, len) && (path[len] == '/' || path[len] == '\0');
}

static bool concerns_path(const char *path)
{
    return is_below(path, given) || is_below(path, directory);
}

static bool concerns_fd(int fd)
{
    char link[32], path[PATH_MAX];
    ssize_t len;

    if (!*directory || fd < 0) {
        return false;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = syscall(SYS_readlink, link, path, sizeof(path) - 1);
    if (len < 0) {
        return false;
    }
    path[len] = '\0';
    return is_below(path, directory);
}

static bool is_due(fault_plan *plan, int call)
{
    atomic_fetch_add(&plan->seen[call], 1);
    return (atomic_load(&plan->calls) & 1 << call) && atomic_fetch_sub(&plan->after, 1) <= 0 &&
           atomic_load(&plan->times) > 0 && atomic_fetch_sub(&plan->times, 1) > 0;
}

/* Which of the acts, or -1: the call goes its way. */
static int judge(int call, bool concerned)
{
    fault_plan *plan = fault_current;
    int saved = errno, act;

    if (!concerned || !is_due(plan, call)) {
        return -1;
    }
    act = atomic_load(&plan->act);
    if (atomic_fetch_add(&plan->met, 1) == 0 && act == FAULT_FAIL_ONCE_LATE) {
        act = FAULT_FAIL_LATE;
    } else if (act == FAULT_FAIL_ONCE_LATE) {
        act = FAULT_FAIL;
    }
    if (act == FAULT_KILL || act == FAULT_STOP) {
        syscall(SYS_kill, getpid(), act == FAULT_KILL ? SIGKILL : SIGSTOP);
    }
    errno = saved;
    return act;
}

static long failed(void)
{
    errno = atomic_load(&fault_current->err);
    return -1;
}

/* What is to be done when the call was made. */
static long after(int act, long result)
{
    if (act == FAULT_KILL_LATE) {
        syscall(SYS_kill, getpid(), SIGKILL);
    }
    return act == FAULT_FAIL_LATE ? failed() : result;
}

int front_open(const char *path, int flags, ...)
{
    bool spared = atomic_load(&fault_current->act) == FAULT_FAIL_WRITING &&
                  (flags & O_ACCMODE) == O_RDONLY;
    int act = judge(FAULT_OPEN, !spared && concerns_path(path));
    mode_t mode = 0;
    va_list args;
    int fd;

    if (act == FAULT_FAIL || act == FAULT_FAIL_WRITING) {
        return (int)failed();
    }
    va_start(args, flags);
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
        mode = va_arg(args, mode_t);
    }
    va_end(args);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (act == FAULT_FAIL_LATE && fd >= 0) {
        syscall(SYS_close, fd);
    }
    return (int)after(act, fd);
}

ssize_t front_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int act = judge(size < 4096 ? FAULT_META : FAULT_PAGES, concerns_fd(fd));

    if (act == FAULT_FAIL) {
        return failed();
    }
    size = act == FAULT_SHORT ? size / 2 : size;
    return after(act, syscall(SYS_pwrite64, fd, data, size, offset));
}

ssize_t front_writev(int fd, const struct iovec *parts, int count)
{
    int act = judge(FAULT_PAGES, concerns_fd(fd));

    if (act == FAULT_FAIL) {
        return failed();
    }
    count = act == FAULT_SHORT ? (count + 1) / 2 : count;
    return after(act, syscall(SYS_writev, fd, parts, count));
}

ssize_t front_pread(int fd, void *data, size_t size, off_t offset)
{
    int act = judge(FAULT_READ, concerns_fd(fd));

    return act == FAULT_FAIL ? failed()
                             : after(act, syscall(SYS_pread64, fd, data, size, offset));
}

int front_fdatasync(int fd)
{
    int act = judge(FAULT_SYNC, concerns_fd(fd));

    return (int)(act == FAULT_FAIL ? failed() : after(act, syscall(SYS_fdatasync, fd)));
}

int front_fsync(int fd)
{
    int act = judge(FAULT_SYNC, concerns_fd(fd));

    return (int)(act == FAULT_FAIL ? failed() : after(act, syscall(SYS_fsync, fd)));
}

int front_ftruncate(int fd, off_t size)
{
    int act = judge(FAULT_TRUNCATE, concerns_fd(fd));

    return (int)(act == FAULT_FAIL ? failed() : after(act, syscall(SYS_ftruncate, fd, size)));
}

void *front_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    int act = judge(FAULT_MAP, flags & MAP_ANONYMOUS ? false : concerns_fd(fd));

    return (void *)(act == FAULT_FAIL ? failed()
                                      : after(act, syscall(SYS_mmap, at, size, protection,
                                                           flags, fd, offset)));
}

int front_msync(void *at, size_t size, int flags)
{
    int act = judge(FAULT_MSYNC, *directory != '\0');

    return (int)(act == FAULT_FAIL ? failed()
                                   : after(act, syscall(SYS_msync, at, size, flags)));
}

int front_rename(const char *from, const char *to)
{
    int act = judge(FAULT_RENAME, concerns_path(to));

    return (int)(act == FAULT_FAIL ? failed() : after(act, syscall(SYS_rename, from, to)));
}

int front_renameat2(int from_fd, const char *from, int to_fd, const char *to,
                    unsigned int flags)
{
    int act = judge(FAULT_RENAME, concerns_path(to));

    return (int)(act == FAULT_FAIL
                     ? failed()
                     : after(act, syscall(SYS_renameat2, from_fd, from, to_fd, to, flags)));
}

int front_link(const char *from, const char *to)
{
    int act = judge(FAULT_RENAME, concerns_path(to));

    return (int)(act == FAULT_FAIL ? failed() : after(act, syscall(SYS_link, from, to)));
}
