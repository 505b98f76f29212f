/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows that a transaction of the PostgreSQL engine has read or written: no row is
 * asked for twice, and writes are sent when all are known.  An array in the order of the
 * keys: most transactions know some dozens, and those that know many come to them in
 * order.
 */
#include <string.h>

#include "pgsql.h"

scim_slice pg_copy(scim_kv_txn *txn, scim_slice bytes)
{
    void *copy = scim_kv_scratch(txn, bytes.len);

    if (bytes.len) {
        memcpy(copy, bytes.data, bytes.len);
    }
    return (scim_slice){copy, bytes.len};
}

int pg_rows_place(const pg_rows *rows, scim_slice key)
{
    int low = 0, high = rows->count;

    if (high && scim_kv_compare(rows->rows[high - 1]->key, key) < 0) {
        return high;
    }
    while (low < high) {
        int middle = low + (high - low) / 2;

        if (scim_kv_compare(rows->rows[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

pg_row *pg_rows_find(const pg_rows *rows, scim_slice key)
{
    int place = pg_rows_place(rows, key);

    return place < rows->count && !scim_kv_compare(rows->rows[place]->key, key)
               ? rows->rows[place]
               : NULL;
}

static void grow(pg_rows *rows, scim_kv_txn *txn)
{
    int room = rows->room ? rows->room * 2 : 32;
    pg_row **more = scim_kv_scratch(txn, (apr_size_t)room * sizeof(*more));

    if (rows->count) {
        memcpy(more, rows->rows, (apr_size_t)rows->count * sizeof(*more));
    }
    rows->rows = more;
    rows->room = room;
}

pg_row *pg_rows_make(pg_rows *rows, scim_kv_txn *txn, scim_slice key)
{
    int place = pg_rows_place(rows, key);
    pg_row *row;

    if (place < rows->count && !scim_kv_compare(rows->rows[place]->key, key)) {
        return rows->rows[place];
    }
    if (rows->count == rows->room) {
        grow(rows, txn);
    }
    row = scim_kv_scratch(txn, sizeof(*row));
    *row = (pg_row){.key = pg_copy(txn, key)};
    memmove(rows->rows + place + 1, rows->rows + place,
            (apr_size_t)(rows->count - place) * sizeof(*rows->rows));
    rows->rows[place] = row;
    rows->count++;
    return row;
}

void pg_rows_write(pg_rows *rows, pg_row *row, pg_write write)
{
    rows->writes += row->write == PG_ROW_READ;
    row->write = write;
}
