/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket between a store and its PostgreSQL server, of a thread of the test's own:
 * it counts how often somebody waited for an answer, says nothing any more, lets nobody
 * in, or breaks a connection off around a COMMIT.
 *
 * What the client says is passed on in batches, each up to where the client wants an
 * answer (Sync), so that it is known what a batch holds before any of it is passed on.
 */
#ifndef PGSQL_PROXY_H
#define PGSQL_PROXY_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* What becomes of the next batch with a COMMIT, and of its connection. */
typedef enum proxy_cut {
    CUT_NOTHING,
    CUT_BEFORE,  /* none of it reaches the server */
    CUT_WITHIN,  /* what stands before COMMIT does */
    CUT_AT_ONCE, /* all does, and nobody waits for what comes of it */
    CUT_AFTER,   /* all does, and the server has done it */
    CUT_LATE,    /* all does, but long after the client was cut off */
    CUT_HALF     /* COMMIT does so, and what stands before it at once */
} proxy_cut;

#define PROXY_LATE 150 /* ms */
#define PROXY_QUIET 3  /* ms in which who does not wait would go on */
#define PROXY_LINKS 64
#define PROXY_NAME 32

typedef struct proxy_bytes {
    char *data;
    size_t len, room;
} proxy_bytes;

typedef struct proxy_link {
    int client, server;      /* -1: gone */
    bool begun;              /* what comes first has another form */
    char commit[PROXY_NAME]; /* the statement that is COMMIT */
    proxy_bytes heard;       /* of the client, no whole batch yet */
    proxy_bytes answered;    /* held back, while trips are counted */
    proxy_bytes late;        /* passed on at the time due */
    int64_t due, spoke;
} proxy_link;

typedef struct proxy {
    char directory[40], path[80], real[108];
    pthread_t thread;
    int listener;
    atomic_int cut;   /* a proxy_cut, for one batch */
    atomic_int cuts;  /* so many were made */
    atomic_int trips; /* times that a client waited, while they are counted */
    atomic_bool counts, silent, refuses, stop;
    proxy_link links[PROXY_LINKS];
} proxy;

static inline int64_t proxy_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void proxy_append(proxy_bytes *to, const char *data, size_t len)
{
    if (to->len + len > to->room) {
        to->room = 2 * (to->len + len);
        to->data = realloc(to->data, to->room);
        if (!to->data) {
            abort();
        }
    }
    memcpy(to->data + to->len, data, len);
    to->len += len;
}

static inline void proxy_drop(proxy_bytes *from, size_t len)
{
    from->len -= len;
    memmove(from->data, from->data + len, from->len);
}

static inline bool proxy_write(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0) {
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static inline void proxy_hang_up(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static inline void proxy_end(proxy_link *link)
{
    proxy_hang_up(&link->client);
    proxy_hang_up(&link->server);
    free(link->heard.data);
    free(link->answered.data);
    free(link->late.data);
    *link = (proxy_link){.client = -1, .server = -1};
}

/* Messages: a type, and a length that counts itself; the very first have no type. */

static inline size_t proxy_message(const proxy_link *link, size_t at)
{
    size_t type = link->begun, left = link->heard.len - at;
    uint32_t len;

    if (left < type + 4) {
        return 0;
    }
    memcpy(&len, link->heard.data + at + type, 4);
    return ntohl(len) + type <= left ? ntohl(len) + type : 0;
}

/* Remembers the name under which COMMIT is prepared; whether a message is COMMIT. */
static inline bool proxy_is_commit(proxy_link *link, const char *message)
{
    const char *name = message + 5;

    switch (*message) {
    case 'P':
        if (!strcasecmp(name + strlen(name) + 1, "COMMIT")) {
            snprintf(link->commit, sizeof(link->commit), "%s", name);
        }
        return false;
    case 'B':
        return *link->commit && !strcmp(name + strlen(name) + 1, link->commit);
    case 'Q':
        return !strncasecmp(name, "COMMIT", 6);
    default:
        return false;
    }
}

/* The server does what it was told, finds that this was all, and goes. */
static inline void proxy_see_out(proxy_link *link)
{
    char bytes[4096];

    shutdown(link->server, SHUT_WR);
    while (recv(link->server, bytes, sizeof(bytes), 0) > 0) {
    }
}

/* Passes a batch on, or what the cut leaves of it; commit: where COMMIT begins in it. */
static inline void proxy_pass(proxy *p, proxy_link *link, size_t len, size_t commit)
{
    int cut = commit < len ? atomic_exchange(&p->cut, CUT_NOTHING) : CUT_NOTHING;
    size_t now = cut == CUT_BEFORE || cut == CUT_LATE   ? 0
                 : cut == CUT_WITHIN || cut == CUT_HALF ? commit
                                                        : len;

    proxy_write(link->server, link->heard.data, now);
    if (cut == CUT_NOTHING) {
        proxy_drop(&link->heard, len);
        return;
    }
    atomic_fetch_add(&p->cuts, 1);
    if (cut == CUT_AFTER) {
        proxy_see_out(link);
    }
    if (cut == CUT_LATE || cut == CUT_HALF) {
        proxy_append(&link->late, link->heard.data + now, len - now);
        link->due = proxy_now() + PROXY_LATE;
        proxy_hang_up(&link->client);
        return;
    }
    proxy_end(link);
}

/* Whole batches of what the client has said. */
static inline void proxy_hear(proxy *p, proxy_link *link)
{
    size_t at = 0, len, commit = SIZE_MAX;

    while (link->client >= 0 && (len = proxy_message(link, at)) > 0) {
        const char *message = link->heard.data + at;
        /* A password, the end, and what is asked outside of a pipeline are for themselves. */
        bool last = !link->begun || strchr("SHQXp", *message);

        if (link->begun && commit == SIZE_MAX && proxy_is_commit(link, message)) {
            commit = at;
        }
        if (!link->begun && len > 8) {
            link->begun = true; /* no question about encryption, but the beginning */
        }
        at += len;
        if (last) {
            proxy_pass(p, link, at, commit);
            at = 0;
            commit = SIZE_MAX;
        }
    }
}

static inline void proxy_from_client(proxy *p, proxy_link *link)
{
    char bytes[65536];
    ssize_t n = recv(link->client, bytes, sizeof(bytes), 0);

    if (n <= 0) {
        proxy_end(link);
        return;
    }
    link->spoke = proxy_now();
    proxy_append(&link->heard, bytes, (size_t)n);
    proxy_hear(p, link);
}

static inline void proxy_from_server(proxy *p, proxy_link *link)
{
    char bytes[65536];
    ssize_t n = recv(link->server, bytes, sizeof(bytes), 0);

    if (n <= 0) {
        proxy_end(link);
        return;
    }
    if (link->client < 0) {
        return; /* what was late has been done */
    }
    if (atomic_load(&p->counts)) {
        proxy_append(&link->answered, bytes, (size_t)n);
    } else {
        proxy_write(link->client, bytes, (size_t)n);
    }
}

/* Who has said nothing more for a while waits for the answer. */
static inline void proxy_release(proxy *p, proxy_link *link)
{
    if (link->answered.len && proxy_now() - link->spoke >= PROXY_QUIET) {
        atomic_fetch_add(&p->trips, 1);
        proxy_write(link->client, link->answered.data, link->answered.len);
        link->answered.len = 0;
    }
}

static inline void proxy_be_late(proxy_link *link)
{
    if (link->late.len && proxy_now() >= link->due) {
        proxy_write(link->server, link->late.data, link->late.len);
        link->late.len = 0;
        shutdown(link->server, SHUT_WR);
    }
}

static inline int proxy_connect(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void proxy_accept(proxy *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC), i;

    for (i = 0; i < PROXY_LINKS && fd >= 0 && !atomic_load(&p->refuses); i++) {
        proxy_link *link = &p->links[i];

        if (link->server < 0) {
            *link = (proxy_link){.client = fd, .server = proxy_connect(p->real)};
            if (link->server < 0) {
                proxy_end(link);
            }
            return;
        }
    }
    proxy_hang_up(&fd);
}

static inline void *proxy_run(void *baton)
{
    proxy *p = baton;
    int i;

    while (!atomic_load(&p->stop)) {
        struct pollfd fds[1 + 2 * PROXY_LINKS];
        bool silent = atomic_load(&p->silent);

        fds[0] = (struct pollfd){.fd = silent ? -1 : p->listener, .events = POLLIN};
        for (i = 0; i < PROXY_LINKS; i++) {
            fds[1 + 2 * i] =
                (struct pollfd){.fd = silent ? -1 : p->links[i].client, .events = POLLIN};
            fds[2 + 2 * i] =
                (struct pollfd){.fd = silent ? -1 : p->links[i].server, .events = POLLIN};
        }
        poll(fds, 1 + 2 * PROXY_LINKS, 1);
        for (i = 0; i < PROXY_LINKS && !silent; i++) {
            proxy_link *link = &p->links[i];

            if (fds[1 + 2 * i].revents && link->client >= 0) {
                proxy_from_client(p, link);
            }
            if (fds[2 + 2 * i].revents && link->server >= 0) {
                proxy_from_server(p, link);
            }
            proxy_release(p, link);
            proxy_be_late(link);
        }
        if (fds[0].revents) {
            proxy_accept(p);
        }
    }
    return NULL;
}

/* Between whoever connects to the socket in proxy_directory and the one at path. */
static inline void proxy_start(proxy *p, const char *path, const char *port)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int i;

    memset(p, 0, sizeof(*p));
    strcpy(p->directory, "/tmp/scim-test-proxy-XXXXXX");
    if (!mkdtemp(p->directory)) {
        abort();
    }
    snprintf(p->real, sizeof(p->real), "%s", path);
    snprintf(p->path, sizeof(p->path), "%s/.s.PGSQL.%s", p->directory, port);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", p->path);
    for (i = 0; i < PROXY_LINKS; i++) {
        p->links[i] = (proxy_link){.client = -1, .server = -1};
    }
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(p->listener, (struct sockaddr *)&at, sizeof(at)) || listen(p->listener, 64) ||
        pthread_create(&p->thread, NULL, proxy_run, p)) {
        abort();
    }
}

static inline void proxy_stop(proxy *p)
{
    int i;

    atomic_store(&p->stop, true);
    pthread_join(p->thread, NULL);
    for (i = 0; i < PROXY_LINKS; i++) {
        proxy_end(&p->links[i]);
    }
    proxy_hang_up(&p->listener);
    unlink(p->path);
    rmdir(p->directory);
}

/* Waits until nobody is owed an answer, and begins to count. */
static inline void proxy_count(proxy *p)
{
    int last;

    atomic_store(&p->counts, true);
    do {
        last = atomic_exchange(&p->trips, 0);
        usleep(4 * PROXY_QUIET * 1000);
    } while (atomic_load(&p->trips) || last);
}

#endif
