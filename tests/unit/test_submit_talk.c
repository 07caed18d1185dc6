/* test_submit_talk.c - replies, and what they come to for who called.
 * Runs in: the test runner. Trusts: nothing. Never: connects to a server that is not the test's. */
#include "server/submit/submit_talk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static bool hear(const char *octets, struct submit_talk *talk) {
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    cr_assert_eq(write(ends[1], octets, strlen(octets)), (ssize_t)strlen(octets));
    close(ends[1]);
    *talk = (struct submit_talk){.fd = ends[0]};
    bool heard = submit_talk_hear(talk);
    close(ends[0]);
    return heard;
}

Test(submit_talk, replies) {
    static const struct {
        const char *octets;
        bool heard;
        int status;
    } rows[] = {
        {"250 2.0.0 Queued\r\n", true, EX_OK},
        {"354 Go on\r\n", true, EX_OK},
        {"250\r\n", true, EX_OK},
        {"421 4.3.2 busy\r\n", true, EX_TEMPFAIL},
        {"451 4.3.0 later\r\n", true, EX_TEMPFAIL},
        {"452 4.3.1 full\r\n", true, EX_TEMPFAIL},
        {"501 5.1.3 malformed\r\n", true, EX_DATAERR},
        {"501 5.1.7 malformed\r\n", true, EX_DATAERR},
        {"530 5.7.0 log in\r\n", true, EX_NOPERM},
        {"550 5.7.1 not yours\r\n", true, EX_NOPERM},
        {"550 5.1.1 nobody\r\n", true, EX_NOUSER},
        {"550 5.1.2 literal\r\n", true, EX_NOHOST},
        {"550-5.1.1 no\r\n550 5.1.1 body\r\n", true, EX_NOUSER},
        {"552 5.3.4 large\r\n", true, EX_UNAVAILABLE},
        {"553 5.6.7 utf8\r\n", true, EX_DATAERR},
        {"554 5.6.0 bad\r\n", true, EX_DATAERR},
        {"555 5.5.4 parameter\r\n", true, EX_SOFTWARE},
        {"554 no status\r\n", true, EX_UNAVAILABLE},
        {"", false, EX_TEMPFAIL},
        {"250 not ended", false, EX_TEMPFAIL},
        {"250-more\r\n", false, EX_TEMPFAIL},
        {"25\r\n", false, EX_TEMPFAIL},
        {"abc def\r\n", false, EX_TEMPFAIL},
        {"999 9.9.9\r\n", false, EX_TEMPFAIL},
        {"150 preliminary\r\n", false, EX_TEMPFAIL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct submit_talk talk;
        cr_expect_eq(hear(rows[i].octets, &talk), rows[i].heard, "%s", rows[i].octets);
        cr_expect_eq(submit_talk_status(&talk), rows[i].status, "%s: %d", rows[i].octets, submit_talk_status(&talk));
    }
}

Test(submit_talk, keywords) {
    struct submit_talk talk;
    cr_assert(
        hear("250-mx.example.test\r\n250-SIZE 1000\r\n250-XUSERS no\r\n250-XUSER root@example.test\r\n250 HELP\r\n",
             &talk));
    cr_expect(span_equal(submit_talk_keyword(&talk, "XUSER"), SPAN("root@example.test")));
    cr_expect(span_equal(submit_talk_keyword(&talk, "SIZE"), SPAN("1000")));
    cr_expect_eq(submit_talk_keyword(&talk, "HELP").n, (size_t)0);
    cr_expect_eq(submit_talk_keyword(&talk, "DSN").n, (size_t)0);
}

Test(submit_talk, long_replies_and_control_octets) {
    struct submit_talk talk;
    char text[4000] = "550-";
    memset(text + 4, 'x', 3000);
    memcpy(text + 3004, "\r\n550 5.1.1 end\r\n", sizeof "\r\n550 5.1.1 end\r\n");
    cr_expect(hear(text, &talk) && talk.code == 550);
    cr_expect(hear("550 5.1.1 a\x1b[2Jb\r\n", &talk));
    cr_expect_str_eq(talk.reply, "550 5.1.1 a?[2Jb\n");
}

/* -bs: lines may end with LF; the octets of a chunk stay as they are. */
Test(submit_talk, pipe) {
    int server[2], in[2], out[2];
    char got[256];
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, server) == 0 && pipe(in) == 0 && pipe(out) == 0);
    static const char said[] = "EHLO x\nMAIL FROM:<>\r\nBDAT 3 LAST\na\nb";
    static const char heard[] = "EHLO x\r\nMAIL FROM:<>\r\nBDAT 3 LAST\r\na\nb";
    cr_assert_eq(write(in[1], said, sizeof said - 1), (ssize_t)sizeof said - 1);
    close(in[1]);
    pid_t pid = fork();
    if (pid == 0) {
        size_t n = 0;
        for (ssize_t more; (more = read(server[1], got + n, sizeof got - n)) > 0;) n += (size_t)more;
        bool good = n == sizeof heard - 1 && memcmp(got, heard, n) == 0;
        _exit(write(server[1], "221 bye\r\n", 9) == 9 && good ? 0 : 1);
    }
    close(server[1]);
    struct submit_talk talk = {.fd = server[0]};
    cr_expect(submit_talk_pipe(&talk, in[0], out[1]));
    cr_expect(read(out[0], got, sizeof got) == 9 && memcmp(got, "221 bye\r\n", 9) == 0);
    int status = -1;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
}

Test(submit_talk, nobody_listens) {
    cr_expect_eq(submit_talk_connect("/nonexistent/submit.sock"), -1);
    cr_expect_eq(errno, ENOENT);
}
