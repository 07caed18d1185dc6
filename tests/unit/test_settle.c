/* test_settle.c - memory that was settled is what it was, and a child's is its own. */
#include "server/inbound/settle.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 16 };
static _Alignas(PAGE) uint8_t memory[PAGES * PAGE];

static void fill(void) {
    for (size_t i = 0; i < sizeof memory; i++) memory[i] = (uint8_t)(i * 7 + i / PAGE);
}

static size_t differing(void) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof memory; i++) n += memory[i] != (uint8_t)(i * 7 + i / PAGE);
    return n;
}

/* Whether the page at p belongs to a mapping of a file in memory. */
static bool is_settled(const void *p) {
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && (uintptr_t)p >= from && (uintptr_t)p < to)
            found = strstr(line, "memfd:settled") != NULL;
    }
    if (maps) fclose(maps);
    return found;
}

Test(settle, octets_stay_and_only_whole_pages_move) {
    fill();
    settle(memory + 100, memory + 9 * PAGE + 5);
    cr_expect_eq(differing(), 0);
    cr_expect_not(is_settled(memory));
    cr_expect(is_settled(memory + PAGE));
    cr_expect(is_settled(memory + 8 * PAGE));
    cr_expect_not(is_settled(memory + 9 * PAGE));
}

Test(settle, nothing_whole_is_nothing) {
    fill();
    settle(memory + 1, memory + PAGE);
    settle(memory + PAGE, memory + PAGE);
    cr_expect_eq(differing(), 0);
    cr_expect_not(is_settled(memory));
}

Test(settle, a_child_writes_to_a_copy) {
    int status = 0;
    fill();
    settle(memory, memory + sizeof memory);
    pid_t pid = fork();
    if (pid == 0) {
        memset(memory + PAGE, 0, PAGE);
        _exit(memory[PAGE] == 0 && memory[2 * PAGE] == 2 * PAGE % 256 * 7 % 256 + 2 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
    cr_expect_eq(differing(), 0);
    memory[5] ^= 1; /* and the parent may still write */
    cr_expect_eq(differing(), 1);
}

static int (*const relocated[])(const char *, ...) = {printf, printf};

Test(settle, relocations_and_constants_hold) {
    settle_relocations();
    settle_constants();
    cr_expect_eq(relocated[0], relocated[1]);
    cr_expect_eq(relocated[1], printf);
}
