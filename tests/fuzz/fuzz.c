/* fuzz.c - silence and a directory.
 * Runs in: the fuzzers. Trusts: nothing. Never: touches anything outside its directory. */
#include "tests/fuzz/fuzz.h"

#include "store/log.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static char path[64];

static int remove_entry(const char *name, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(name);
}

static void leave(void) {
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void fuzz_quiet(void) {
    log_use(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

void fuzz_directory(void) {
    (void)snprintf(path, sizeof path, "/tmp/gatepost-fuzz-XXXXXX");
    HOLDS(mkdtemp(path) && chdir(path) == 0 && atexit(leave) == 0);
}
