/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody who mistyped a word may have meant.
 */
#include "scim/text.h"

#include <string.h>

#include <apr_cstr.h>
#include <apr_lib.h>

#define WORD_MAX 64

static int least(int a, int b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return apr_tolower(a) == apr_tolower(b);
}

/* How many letters were added, left out, replaced, or exchanged with the next one (the
 * optimal string alignment); of words that are not longer than WORD_MAX. */
static int distance(const char *a, const char *b)
{
    int rows[3][WORD_MAX + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    int width = (int)strlen(b), i, j;

    for (j = 0; j <= width; j++) {
        last[j] = j;
    }
    for (i = 1; a[i - 1]; i++) {
        int *swap = before;

        now[0] = i;
        for (j = 1; j <= width; j++) {
            now[j] = least(least(last[j] + 1, now[j - 1] + 1),
                           last[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
        before = last;
        last = now;
        now = swap;
    }
    return last[width];
}

const char *scim_text_nearest(const char *word, const char *const *words, int count)
{
    const char *nearest = NULL;
    apr_size_t len = strlen(word);
    int best = len > 4 ? 3 : 2, i;

    for (i = 0; i < count && len <= WORD_MAX; i++) {
        int apart = strlen(words[i]) <= WORD_MAX ? distance(word, words[i]) : best;

        if (apart < best && (apr_size_t)apart < len) {
            best = apart;
            nearest = words[i];
        }
    }
    return nearest;
}
