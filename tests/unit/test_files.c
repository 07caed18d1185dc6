/* test_files.c - the number of sessions against the limit on open files. */
#include "server/process/files.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static struct conf conf;
static char text[FILES_TEXT_MAX];

static void begin(rlim_t hard, bool as_root, uint32_t connections) {
    conf = (struct conf){.limits.connections = connections, .delivery.agents = 20};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){200, hard}), 0);
    if (!as_root && geteuid() == 0) cr_assert_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
}

Test(test_files, enough) {
    begin(256 + 4 * 500 + 4 * 20, false, 500);
    cr_expect_eq(files_fit(&conf, text), 0);
    cr_expect(*text == '\0' && conf.limits.connections == 500);
    cr_expect_eq(files_limit(&conf), 256 + 4 * 500 + 4 * 20);
}

Test(test_files, one_less_lowers_and_says_both_numbers) {
    begin(256 + 4 * 500 + 4 * 20 - 1, false, 500);
    cr_expect_eq(files_fit(&conf, text), 0);
    cr_expect_eq(conf.limits.connections, 499u);
    cr_expect(strstr(text, "from 500 to 499") && strstr(text, "2336") && strstr(text, "2335"), "%s", text);
}

Test(test_files, what_a_bare_shell_has) {
    begin(1024, false, 500);
    cr_expect_eq(files_fit(&conf, text), 0);
    cr_expect_eq(conf.limits.connections, 172u);
    cr_expect_eq(files_limit(&conf), 1024u);
}

Test(test_files, too_low_for_one) {
    begin(256 + 4 * 20 + 3, false, 500);
    cr_expect_eq(files_fit(&conf, text), -1);
    cr_expect(strstr(text, "339") && strstr(text, "340"), "%s", text);
}

Test(test_files, root_raises_it) {
    struct rlimit now;
    begin(1023, true, 500);
    if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){200, 1024}) != 0)
        return; /* not root, or a root without that right */
    cr_expect_eq(files_fit(&conf, text), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
    cr_expect(*text == '\0' && conf.limits.connections == 500 && now.rlim_max == 2336 && now.rlim_cur == 200);
}
