/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done as the user that httpd's children will be, in a process of its own:
 * httpd is root while it reads its configuration, and root opens no file of a store.
 * Nothing that is opened there is open in httpd afterwards, and what kills it does not
 * kill httpd.
 */
#include "mod_scim.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>
#include <unixd.h>

#include "scim/buffer.h"

/* Becomes the user that the children will be, for good. */
static const char *drop_privileges(apr_pool_t *pool)
{
    if (geteuid() != 0) {
        return NULL;
    }
    if (initgroups(ap_unixd_config.user_name, ap_unixd_config.group_id) ||
        setgid(ap_unixd_config.group_id) || setuid(ap_unixd_config.user_id)) {
        return apr_psprintf(pool, "cannot become user %s: %s", ap_unixd_config.user_name,
                            strerror(errno));
    }
    return NULL;
}

/* The process says on its pipe why it fails, or else what the task tells. */
static void run_and_exit(mod_scim_task *task, void *baton, unsigned int seconds, int out,
                         apr_pool_t *pool)
{
    const char *why = drop_privileges(pool), *told = "", *text;

    alarm(seconds);
    if (!why) {
        why = task(&told, baton, pool);
    }
    text = why ? why : told;
    if (write(out, text, strlen(text)) < 0) {
        _exit(2);
    }
    _exit(why ? 1 : 0);
}

static const char *read_all(int in, apr_pool_t *pool)
{
    scim_buffer *text = scim_buffer_make(2048, pool);
    char part[2048];
    ssize_t got;

    while ((got = read(in, part, sizeof(part))) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0) {
            scim_buffer_add(text, part, (apr_size_t)got);
        }
    }
    return text->data;
}

const char *mod_scim_in_process(const char **told, int *status, mod_scim_task *task,
                                void *baton, unsigned int seconds, apr_pool_t *pool)
{
    int pipe_ends[2];
    const char *said;
    pid_t pid;

    *told = "";
    *status = 0;
    if (pipe(pipe_ends)) {
        return apr_pstrcat(pool, "pipe: ", strerror(errno), NULL);
    }
    pid = fork();
    if (pid == 0) {
        close(pipe_ends[0]);
        run_and_exit(task, baton, seconds, pipe_ends[1], pool);
    }
    close(pipe_ends[1]);
    if (pid < 0) {
        close(pipe_ends[0]);
        return apr_pstrcat(pool, "fork: ", strerror(errno), NULL);
    }
    said = read_all(pipe_ends[0], pool);
    close(pipe_ends[0]);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) {
        *told = said;
        return NULL;
    }
    return said;
}
