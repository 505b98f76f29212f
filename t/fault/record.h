/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program does to one file: every write with its bytes, every sync.  A
 * program that is linked with record.c calls those functions of the system here.
 */
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <sys/types.h>

typedef enum record_kind {
    RECORD_WRITE,
    RECORD_TRUNCATE, /* offset: the size that the file has then */
    RECORD_SYNC,     /* it returned: all that was written before is on the disk */
    RECORD_NOTE      /* of the program itself */
} record_kind;

typedef struct record_event {
    record_kind kind;
    bool durable; /* a write that returns when it is on the disk (O_DSYNC) */
    off_t offset;
    size_t len;
    unsigned char *bytes;
    int note;
} record_event;

/* Records from now on what is done to the file of that name, which is there. */
void record_begin(const char *path);

void record_note(int note);

/* Ends it: *count events, in their order, until record_free(). */
const record_event *record_end(int *count);
void record_free(void);

#endif
