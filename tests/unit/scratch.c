/* scratch.c - directories named after the process that runs the tests, so that it finds and removes them at the end.
 * Runs in: tests. Trusts: that Criterion forks each test from the runner. Never: removes another program's. */
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void scratch_make(char path_out[SCRATCH_BYTES]) {
    (void)snprintf(path_out, SCRATCH_BYTES, "/tmp/gatepost-unit-%d-XXXXXX", (int)getppid());
    cr_assert(mkdtemp(path_out));
}

void scratch_enter(void) {
    char path[SCRATCH_BYTES];
    scratch_make(path);
    cr_assert_eq(chdir(path), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats) {
    (void)stats;
    char pattern[SCRATCH_BYTES];
    glob_t found;
    (void)snprintf(pattern, sizeof pattern, "/tmp/gatepost-unit-%d-*", (int)getpid());
    if (glob(pattern, 0, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++) (void)nftw(found.gl_pathv[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
    globfree(&found);
}
