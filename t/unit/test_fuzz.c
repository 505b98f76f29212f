/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzz targets of t/fuzz, over the inputs that are kept in t/fuzz/corpus, one
 * test for each target: what was found once is not found again.
 */
#include <dirent.h>
#include <stdio.h>

#include "../fuzz/fuzz.h"

fuzz_target *fuzz_targets;

static apr_pool_t *root_pool;

static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    char *bytes;
    long size;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    rewind(file);
    bytes = malloc((size_t)size + 1);
    *len = fread(bytes, 1, (size_t)size, file);
    assert_int_equal(*len, size);
    fclose(file);
    return bytes;
}

static void run_file(const fuzz_target *target, const char *directory, const char *name)
{
    char path[500], *bytes;
    size_t len;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    print_message("# %s\n", path);
    bytes = read_file(path, &len);
    target->run((uint8_t *)bytes, len);
    free(bytes);
}

static void replay(void **state)
{
    const fuzz_target *target = *state;
    const char *root = getenv("SCIM_CORPUS");
    struct dirent *entry;
    char path[200];
    int files = 0;
    DIR *directory;

    snprintf(path, sizeof(path), "%s/%s", root ? root : "t/fuzz/corpus", target->name);
    directory = opendir(path);
    if (!directory) {
        fail_msg("%s cannot be read", path);
    }
    target->run((const uint8_t *)"", 0);
    while ((entry = readdir(directory))) {
        if (*entry->d_name != '.') {
            run_file(target, path, entry->d_name);
            files++;
        }
    }
    closedir(directory);
    assert_true(files > 0);
}

int main(void)
{
    struct CMUnitTest tests[30];
    fuzz_target *target;
    size_t count = 0;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&root_pool, NULL);
    memset(tests, 0, sizeof(tests));
    for (target = fuzz_targets; target; target = target->next) {
        tests[count++] =
            (struct CMUnitTest){apr_pstrcat(root_pool, "corpus of ", target->name, NULL),
                                replay, NULL, NULL, target};
    }
    return _cmocka_run_group_tests("fuzz", tests, count, NULL, NULL);
}
