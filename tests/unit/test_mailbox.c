/* test_mailbox.c - the list of a Maildir's messages, their text and their sizes, in a temporary directory. */
#include "server/outbound/mailbox_sizes.h"
#include "server/outbound/mailbox_text.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[SCRATCH_BYTES];
static struct maildir maildir;
static struct mailbox mailbox;

static void start(void) {
    scratch_make(root);
    int fd = open(root, O_RDONLY | O_DIRECTORY);
    cr_assert(fd >= 0 && maildir_open(&maildir, fd) == 0);
}

static void stop(void) {
    char command[SCRATCH_BYTES + 16];
    mailbox_free(&mailbox);
    maildir_close(&maildir);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    cr_assert_eq(system(command), 0);
}

static void put(const char *path, struct span octets) {
    int fd = openat(maildir.directory, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, octets.p, octets.n) == (ssize_t)octets.n, "%s", path);
    close(fd);
}

static void move(const char *from, const char *to) {
    cr_assert_eq(renameat(maildir.directory, from, maildir.directory, to), 0, "%s", from);
}

static void list(void) {
    mailbox_free(&mailbox);
    cr_assert_eq(mailbox_list(&mailbox, &maildir), 0);
}

static void expect_base(size_t i, const char *base) {
    cr_expect(i < mailbox.n && span_equal(mailbox_base(&mailbox, i), span_text(base)), "%zu is %.*s, not %s", i,
              (int)mailbox_base(&mailbox, i).n, (const char *)mailbox_base(&mailbox, i).p, base);
}

/* ---- text */

/* All that comes, in pieces of at most `piece`. */
static size_t read_all(int fd, bool lf_only, uint32_t lines, size_t piece, uint8_t *out, size_t room) {
    static struct mailbox_text text;
    size_t n = 0;
    ssize_t got;
    mailbox_text_begin(&text, fd, lf_only, lines);
    while ((got = mailbox_text_read(&text, out + n, piece < room - n ? piece : room - n)) > 0) n += (size_t)got;
    cr_assert_eq(got, 0);
    return n;
}

Test(mailbox, text, .init = start, .fini = stop) {
    static const struct {
        struct span file;
        bool lf_only;
        uint32_t lines;
        struct span text;
    } rows[] = {
        {SPAN(""), false, MAILBOX_WHOLE, SPAN("")},
        {SPAN("a\n"), false, MAILBOX_WHOLE, SPAN("a\r\n")},
        {SPAN("a\r\n"), false, MAILBOX_WHOLE, SPAN("a\r\n")},
        {SPAN("a\r\n"), true, MAILBOX_WHOLE, SPAN("a\r\r\n")},
        {SPAN("a"), false, MAILBOX_WHOLE, SPAN("a\r\n")},
        {SPAN("a\r"), false, MAILBOX_WHOLE, SPAN("a\r\r\n")},
        {SPAN("\n"), false, MAILBOX_WHOLE, SPAN("\r\n")},
        {SPAN("a\rb\r\r\nc\n\n"), false, MAILBOX_WHOLE, SPAN("a\rb\r\r\nc\r\n\r\n")},
        {SPAN("a\0b\n.\n..\n"), false, MAILBOX_WHOLE, SPAN("a\0b\r\n.\r\n..\r\n")},
        {SPAN("h: 1\ni: 2\n\nb1\nb2\n"), false, 0, SPAN("h: 1\r\ni: 2\r\n\r\n")},
        {SPAN("h: 1\ni: 2\n\nb1\nb2\n"), false, 1, SPAN("h: 1\r\ni: 2\r\n\r\nb1\r\n")},
        {SPAN("h: 1\r\n\r\nb1\r\nb2"), false, 2, SPAN("h: 1\r\n\r\nb1\r\nb2\r\n")},
        {SPAN("h: 1\r\n\r\nb1\r\nb2"), false, 900, SPAN("h: 1\r\n\r\nb1\r\nb2\r\n")},
        {SPAN("h\n\r\nb\n"), true, 0, SPAN("h\r\n\r\r\nb\r\n")},
        {SPAN("\nb1\nb2\n"), false, 1, SPAN("\r\nb1\r\n")},
        {SPAN("no body\n"), false, 0, SPAN("no body\r\n")},
    };
    uint8_t out[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 3; piece < sizeof out; piece++) {
            put("x", rows[i].file);
            int fd = openat(maildir.directory, "x", O_RDONLY);
            size_t n = read_all(fd, rows[i].lf_only, rows[i].lines, piece, out, sizeof out);
            cr_expect(span_equal(span_of(out, n), rows[i].text), "row %zu, pieces of %zu: %.*s", i, piece, (int)n,
                      (const char *)out);
            close(fd);
        }
}

/* CR and LF, and the empty line, on both sides of where one read ends. */
Test(mailbox, text_across_reads, .init = start, .fini = stop) {
    static uint8_t file[MAILBOX_TEXT_BYTES + 8], out[2 * sizeof file];
    for (size_t at = MAILBOX_TEXT_BYTES - 4; at < MAILBOX_TEXT_BYTES + 2; at++) {
        memset(file, 'a', sizeof file);
        memcpy(file + at, "\r\n\r\nb", 5);
        put("x", span_of(file, at + 5));
        int fd = openat(maildir.directory, "x", O_RDONLY);
        size_t n = read_all(fd, false, MAILBOX_WHOLE, sizeof out, out, sizeof out);
        cr_expect(n == at + 7 && memcmp(out, file, at + 5) == 0 && memcmp(out + at + 5, "\r\n", 2) == 0, "%zu", at);
        cr_expect_eq(read_all(fd, false, 0, sizeof out, out, sizeof out), at + 4, "%zu", at);
        close(fd);
    }
}

/* ---- names */

Test(mailbox, names_of_ours) {
    static const struct {
        struct span base;
        bool ours;
        uint64_t bytes;
    } rows[] = {
        {SPAN("1700000000.ABCR0.host,S=5,W=7"), true, 7},
        {SPAN("1700000000.RRR12.host.test,S=0,W=0"), true, 0},
        {SPAN("1700000000.ABCR0.a,S=1,W=2,S=5,W=9"), true, 9},
        {SPAN("1700000000.ABCR0.host,S=5,W=4"), false, 0},
        {SPAN("1700000000.ABCR0.host,S=5"), false, 0},
        {SPAN("1700000000.ABCR0.host,W=5"), false, 0},
        {SPAN("1700000000.ABCR0.host,S=5,W="), false, 0},
        {SPAN("1700000000.ABCR0.host,S=5,W=7x"), false, 0},
        {SPAN("1700000000.M5P6.host,S=5,W=7"), false, 0},
        {SPAN("1700000000.R0.host,S=5,W=7"), false, 0},
        {SPAN("17x.ABCR0.host,S=5,W=7"), false, 0},
        {SPAN("1700000000,S=5,W=7"), false, 0},
        {SPAN(",S=5,W=7"), false, 0},
        {SPAN(""), false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t bytes = 0;
        cr_expect_eq(maildir_name_read(rows[i].base, &bytes), rows[i].ours, "row %zu", i);
        cr_expect_eq(bytes, rows[i].bytes, "row %zu", i);
    }
}

/* What a delivery writes into the name is what the message turns out to be. */
Test(mailbox, delivered_sizes, .init = start, .fini = stop) {
    static struct maildir_batch batch;
    static const struct span texts[] = {SPAN(""), SPAN("a"), SPAN("a\n"), SPAN("\r\n"), SPAN("a\r\r\nb\n\n.")};
    uint8_t out[64];
    batch.maildir = &maildir;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct maildir_key key = {1700000000 + i, SPAN("MSG"), SPAN("host"), (uint16_t)i};
        size_t file = maildir_begin(&batch, &key, false);
        for (size_t at = 0; at < texts[i].n; at++) maildir_write(&batch, file, texts[i].p + at, 1);
        maildir_end(&batch, file);
    }
    maildir_commit(&batch);
    list();
    cr_assert_eq(mailbox.n, sizeof texts / sizeof *texts);
    for (size_t i = 0; i < mailbox.n; i++) {
        int fd = mailbox_open(&mailbox, i);
        cr_expect(mailbox.messages[i].lf_only);
        cr_expect_eq(read_all(fd, true, MAILBOX_WHOLE, 64, out, 64), mailbox.messages[i].bytes, "message %zu", i);
        close(fd);
    }
}

/* ---- the list */

Test(mailbox, order_and_doubles, .init = start, .fini = stop) {
    put("new/1700000001.b.h", SPAN("x\n"));
    put("cur/999.z.h:2,S", SPAN("x\n"));
    put("new/01700000000.a.h", SPAN("x\n"));
    put("cur/1700000001.a.h:2,", SPAN("x\n"));
    put("new/1700000002.c.h", SPAN("x\n"));
    put("cur/1700000002.c.h:2,RS", SPAN("x\n"));
    put("new/.1700000003.d.h", SPAN("x\n"));
    put("cur/:2,S", SPAN("x\n"));
    put("new/by-hand", SPAN("x\n"));
    put("tmp/1700000004.e.h", SPAN("x\n"));
    list();
    cr_assert_eq(mailbox.n, 6);
    expect_base(0, "by-hand");
    expect_base(1, "999.z.h");
    expect_base(2, "01700000000.a.h");
    expect_base(3, "1700000001.a.h");
    expect_base(4, "1700000001.b.h");
    expect_base(5, "1700000002.c.h");
    cr_expect(mailbox.messages[5].in_cur);
}

static struct span id(size_t i) {
    static uint8_t storage[128];
    struct buf b = BUF_OVER(storage);
    mailbox_id(&mailbox, i, &b);
    return buf_span(&b);
}

Test(mailbox, unique_ids, .init = start, .fini = stop) {
    char path[300] = "new/", first[MAILBOX_UNIQUE_ID_MAX];
    put("new/1700000001.b.h", SPAN("x\n"));
    put("new/1700000002.with blank", SPAN("x\n"));
    memset(path + 4, '3', 71);
    put(path, SPAN("x\n"));
    list();
    cr_expect(span_equal(id(0), SPAN("1700000001.b.h")));
    cr_expect(mailbox_unique_id(id(1)) && id(1).n == 32);
    cr_expect(mailbox_unique_id(id(2)) && id(2).n == 32);
    memcpy(first, id(1).p, 32);
    cr_expect(!span_equal(id(2), span_of(first, 32)));
    move("new/1700000002.with blank", "cur/1700000002.with blank:2,FS");
    list();
    cr_expect(span_equal(id(1), span_of(first, 32)));
    cr_expect_not(mailbox_unique_id(SPAN("")));
    cr_expect_not(mailbox_unique_id(SPAN("a\x7f")));
}

Test(mailbox, files_that_move, .init = start, .fini = stop) {
    char text[2];
    put("new/1.a.h", SPAN("a\n"));
    put("new/2.b.h", SPAN("b\n"));
    put("new/3.c.h", SPAN("c\n"));
    list();
    move("new/2.b.h", "cur/2.b.h:2,");
    put("new/0.first.h", SPAN("0\n"));
    int fd = mailbox_open(&mailbox, 1);
    cr_assert(fd >= 0 && read(fd, text, 2) == 2 && text[0] == 'b');
    close(fd);
    move("cur/2.b.h:2,", "cur/2.b.h:2,FRST");
    fd = mailbox_open(&mailbox, 1);
    cr_assert(fd >= 0 && read(fd, text, 2) == 2 && text[0] == 'b');
    close(fd);
    move("cur/2.b.h:2,FRST", "cur/2.b.h:2,S");
    cr_expect_eq(mailbox_remove(&mailbox, 1), 0);
    cr_expect(faccessat(maildir.cur, "2.b.h:2,S", F_OK, 0) != 0);
    cr_expect_eq(mailbox_remove(&mailbox, 1), 0, "it is gone already");
    cr_expect(mailbox_open(&mailbox, 1) < 0 && errno == ENOENT);
    cr_expect_eq(mailbox.n, 3);
    cr_expect(faccessat(maildir.new, "0.first.h", F_OK, 0) == 0 && faccessat(maildir.new, "1.a.h", F_OK, 0) == 0 &&
              faccessat(maildir.new, "3.c.h", F_OK, 0) == 0);
}

Test(mailbox, what_is_no_file, .init = start, .fini = stop) {
    cr_assert(symlinkat("/etc/passwd", maildir.new, "1.link") == 0 &&
              mkdirat(maildir.cur, "2.directory", 0700) == 0 && mkfifoat(maildir.new, "3.pipe", 0600) == 0);
    list();
    cr_assert_eq(mailbox.n, 3);
    for (size_t i = 0; i < 3; i++) cr_expect(mailbox_open(&mailbox, i) < 0 && errno != ENOENT, "%zu", i);
    cr_expect_eq(mailbox_remove(&mailbox, 1), -1);
}

/* ---- sizes */

static void expect_size(size_t i, uint64_t bytes) {
    cr_expect_eq(mailbox.messages[i].bytes, bytes, "message %zu: %llu", i,
                 (unsigned long long)mailbox.messages[i].bytes);
}

static void measured(size_t i, uint64_t bytes) {
    mailbox.messages[i].bytes = bytes;
    mailbox.messages[i].measured = true;
}

static void three(void) {
    put("new/1.a", SPAN("a\n"));
    put("new/2.bR1.h,S=2,W=3", SPAN("b\n"));
    put("new/3.c", SPAN("c\n"));
    list();
    expect_size(0, MAILBOX_UNMEASURED);
    expect_size(1, 3);
    measured(0, 11), measured(2, 13);
    mailbox_sizes_save(&mailbox);
}

Test(mailbox, sizes_are_remembered, .init = start, .fini = stop) {
    three();
    move("new/3.c", "cur/3.c:2,S");
    put("new/0.z", SPAN("z\n"));
    put("new/2.y", SPAN("y\n"));
    cr_assert_eq(unlinkat(maildir.new, "1.a", 0), 0);
    list();
    mailbox_sizes_load(&mailbox);
    cr_assert_eq(mailbox.n, 4);
    expect_size(0, MAILBOX_UNMEASURED);
    expect_size(1, 3);
    expect_size(2, MAILBOX_UNMEASURED);
    expect_size(3, 13);
    mailbox_drop_unmeasured(&mailbox);
    cr_assert_eq(mailbox.n, 2);
    expect_base(1, "3.c");
    measured(0, 4);
    mailbox_sizes_save(&mailbox);
    list();
    mailbox_sizes_load(&mailbox);
    expect_size(1, 4);
}

/* Cut anywhere, or with any octet changed, the file is as if it were not there. */
Test(mailbox, damaged_sizes, .init = start, .fini = stop) {
    uint8_t whole[256];
    three();
    int fd = openat(maildir.directory, "gatepost-sizes", O_RDONLY);
    ssize_t n = read(fd, whole, sizeof whole);
    cr_assert(n > 40 && n < (ssize_t)sizeof whole);
    close(fd);
    for (size_t at = 0; at < (size_t)n; at++)
        for (int cut = 0; cut < 2; cut++) {
            whole[at] ^= 1;
            put("gatepost-sizes", span_of(whole, cut ? at : (size_t)n));
            whole[at] ^= 1;
            list();
            mailbox_sizes_load(&mailbox);
            expect_size(0, MAILBOX_UNMEASURED);
            expect_size(2, MAILBOX_UNMEASURED);
        }
    put("gatepost-sizes", span_of(whole, (size_t)n));
    list();
    mailbox_sizes_load(&mailbox);
    expect_size(0, 11);
}

/* Nothing but its own file: a link in its place leads nowhere, and is replaced. */
Test(mailbox, sizes_behind_a_link, .init = start, .fini = stop) {
    struct stat status;
    put("other", SPAN("precious"));
    cr_assert(symlinkat("other", maildir.directory, "gatepost-sizes") == 0 &&
              symlinkat("other", maildir.directory, "gatepost-sizes.new") == 0);
    put("new/1.a", SPAN("a\n"));
    list();
    measured(0, 3);
    mailbox_sizes_save(&mailbox);
    cr_expect(fstatat(maildir.directory, "other", &status, 0) == 0 && status.st_size == 8);
    list();
    mailbox_sizes_load(&mailbox);
    expect_size(0, 3);
}
