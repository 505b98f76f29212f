/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate of a store in one process: transactions pass it in great numbers,
 * and once in a long while somebody wants it empty.
 *
 * Those who pass count themselves in one of many lines, each of a cache line
 * of its own, so that threads that read do not write to the same memory.  Who
 * closes the gate lets nobody in any more and waits until all lines are empty.
 * Sequential consistency makes sure that of one who enters and one who closes
 * at the same time at least one sees the other.
 */
#include <time.h>

#include "engine.h"

#define POLL_NS (100 * 1000)

/* Gates that this thread is inside of: it may enter a closed one once more,
 * since whoever closed it waits for this thread. */
static _Thread_local unsigned int held;

void scim_kv_gate_init(scim_kv_gate *gate)
{
    int i;

    for (i = 0; i < SCIM_KV_GATE_LINES; i++) {
        atomic_init(&gate->lines[i].inside, 0);
    }
    atomic_init(&gate->closed, false);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->opened, NULL);
}

void scim_kv_gate_destroy(scim_kv_gate *gate)
{
    pthread_cond_destroy(&gate->opened);
    pthread_mutex_destroy(&gate->lock);
}

static void await_opening(scim_kv_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (atomic_load(&gate->closed)) {
        pthread_cond_wait(&gate->opened, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}

void scim_kv_gate_enter(scim_kv_gate *gate, unsigned int line)
{
    for (;;) {
        atomic_fetch_add(&gate->lines[line].inside, 1);
        if (held || !atomic_load(&gate->closed)) {
            held++;
            return;
        }
        atomic_fetch_sub(&gate->lines[line].inside, 1);
        await_opening(gate);
    }
}

void scim_kv_gate_leave(scim_kv_gate *gate, unsigned int line)
{
    held--;
    atomic_fetch_sub(&gate->lines[line].inside, 1);
}

bool scim_kv_gate_empty(scim_kv_gate *gate)
{
    int i;

    for (i = 0; i < SCIM_KV_GATE_LINES; i++) {
        if (atomic_load(&gate->lines[i].inside)) {
            return false;
        }
    }
    return true;
}

/* One at a time closes it. */
static bool claim(scim_kv_gate *gate, apr_time_t until)
{
    const struct timespec moment = {.tv_nsec = POLL_NS};
    bool open = false;

    while (!atomic_compare_exchange_strong(&gate->closed, &open, true)) {
        if (apr_time_now() >= until) {
            return false;
        }
        open = false;
        nanosleep(&moment, NULL);
    }
    return true;
}

bool scim_kv_gate_close(scim_kv_gate *gate, apr_time_t until)
{
    const struct timespec moment = {.tv_nsec = POLL_NS};

    if (held || !claim(gate, until)) {
        return false;
    }
    while (!scim_kv_gate_empty(gate)) {
        if (apr_time_now() >= until) {
            scim_kv_gate_open(gate);
            return false;
        }
        nanosleep(&moment, NULL);
    }
    return true;
}

void scim_kv_gate_open(scim_kv_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    atomic_store(&gate->closed, false);
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->lock);
}
