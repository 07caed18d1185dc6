/* test_maildir.c - names, batches and redelivery in a temporary directory. */
#include "server/outbound/maildir.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

Test(maildir, paths) {
    static const struct {
        struct span destination;
        bool possible;
        const char *domain, *local;
    } rows[] = {
        {SPAN("alice@example.test"), true, "example.test", "alice"},
        {SPAN("a@b@example.test"), true, "example.test", "a@b"},
        {SPAN(".@example.test"), true, "example.test", "%2E"},
        {SPAN("..@example.test"), true, "example.test", "%2E."},
        {SPAN("../../etc@example.test"), true, "example.test", "%2E.%2F..%2Fetc"},
        {SPAN("a%2Fb@example.test"), true, "example.test", "a%252Fb"},
        {SPAN("a\nb\0c@example.test"), true, "example.test", "a%0Ab%00c"},
        {SPAN("\xc3\xa4@example.test"), true, "example.test", "\xc3\xa4"},
        {SPAN("alice"), false, "", ""},
        {SPAN("alice@"), false, "", ""},
        {SPAN("@example.test"), false, "", ""},
        {SPAN("alice@."), false, "", ""},
        {SPAN("alice@.."), false, "", ""},
        {SPAN("alice@a/b"), false, "", ""},
        {SPAN("alice@a\nb"), false, "", ""},
        {SPAN("alice@a\0b"), false, "", ""},
        {SPAN(""), false, "", ""},
    };
    char domain[MAILDIR_NAME_SIZE], local[MAILDIR_NAME_SIZE];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool possible = maildir_path(rows[i].destination, domain, local);
        cr_expect_eq(possible, rows[i].possible, "row %zu", i);
        if (possible) cr_expect(!strcmp(domain, rows[i].domain) && !strcmp(local, rows[i].local), "row %zu", i);
    }
    uint8_t longest[300];
    memset(longest, '/', sizeof longest);
    memcpy(longest + 100, "@example.test", 13);
    cr_expect_not(maildir_path(span_of(longest, 113), domain, local));
}

static char root[SCRATCH_BYTES];
static struct maildir maildir;
static struct maildir_batch batch;

static void open_all(void) {
    scratch_make(root);
    int fd = open(root, O_RDONLY | O_DIRECTORY);
    cr_assert(fd >= 0 && maildir_open(&maildir, fd) == 0);
    batch.maildir = &maildir;
}

static size_t entries(const char *name, char last_out[256]) {
    char path[300];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    DIR *stream = opendir(path);
    cr_assert(stream);
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (entry->d_name[0] != '.') n++, (void)snprintf(last_out, 256, "%s", entry->d_name);
    closedir(stream);
    return n;
}

static void remove_all(void) {
    static const char *const names[] = {"tmp", "new", "cur"};
    for (size_t i = 0; i < 3; i++) {
        char last[256], path[600];
        while (entries(names[i], last)) {
            (void)snprintf(path, sizeof path, "%s/%s/%s", root, names[i], last);
            cr_assert_eq(unlink(path), 0);
        }
        (void)snprintf(path, sizeof path, "%s/%s", root, names[i]);
        (void)rmdir(path);
    }
    (void)rmdir(root);
    maildir_close(&maildir);
}

static void put(uint16_t index, bool maybe_delivered, const char *text) {
    const struct maildir_key key = {1700000000, SPAN("MSG1"), SPAN("host/one:example"), index};
    size_t file = maildir_begin(&batch, &key, maybe_delivered);
    maildir_write(&batch, file, text, strlen(text));
    maildir_end(&batch, file);
}

Test(maildir, batch_and_redelivery, .init = open_all, .fini = remove_all) {
    char last[256], from[600], to[600];
    for (uint16_t i = 0; i < MAILDIR_BATCH; i++) put(i, false, "hello\n");
    cr_expect_eq(entries("tmp", last), MAILDIR_BATCH);
    cr_expect_eq(entries("new", last), 0);
    maildir_commit(&batch);
    for (size_t i = 0; i < batch.n; i++) cr_expect_eq(batch.files[i].error, 0);
    cr_expect_eq(entries("tmp", last), 0);
    cr_expect_eq(entries("new", last), MAILDIR_BATCH);

    /* The same again, unannounced: the name is taken, nothing is replaced. */
    batch.n = 0;
    put(3, false, "hello\n");
    maildir_commit(&batch);
    cr_expect(batch.files[0].error == 0 && batch.files[0].there);
    cr_expect_eq(entries("new", last), MAILDIR_BATCH);

    /* Read and flagged meanwhile: found by a scan, also where size or host differ. */
    (void)snprintf(from, sizeof from, "%s/new/1700000000.MSG1R1.host\\057one\\072example,S=6,W=7", root);
    (void)snprintf(to, sizeof to, "%s/cur/1700000000.MSG1R1.other,S=9:2,S", root);
    cr_assert_eq(rename(from, to), 0);
    (void)snprintf(to, sizeof to, "%s/tmp/1700000000.MSG1R1.P1", root);
    close(open(to, O_CREAT | O_WRONLY, 0600));
    batch.n = 0;
    put(1, true, "hello\n");
    put(100, true, "new one\n");
    maildir_commit(&batch);
    cr_expect(batch.files[0].error == 0 && batch.files[0].there);
    cr_expect(batch.files[1].error == 0 && !batch.files[1].there);
    cr_expect_eq(entries("new", last), MAILDIR_BATCH);
    cr_expect_eq(entries("tmp", last), 0, "a leftover of this message in tmp is removed");
    batch.n = 0;
}

Test(maildir, modes_links_and_errors, .init = open_all, .fini = remove_all) {
    struct stat status;
    char last[256], path[600];
    cr_assert_eq(fstatat(maildir.directory, "new", &status, 0), 0);
    cr_expect_eq(status.st_mode & 07777, 0700);
    put(1, false, "x");
    maildir_commit(&batch);
    cr_assert_eq(entries("new", last), 1);
    (void)snprintf(path, sizeof path, "%s/new/%s", root, last);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0600);
    cr_expect(strstr(last, ",S=1"));

    batch.n = 0;
    put(2, false, "x");
    size_t file = maildir_begin(&batch, &(struct maildir_key){1, SPAN("../x"), SPAN("h"), 0}, false);
    maildir_end(&batch, file);
    put(3, false, "x");
    maildir_abandon(&batch, 2, EIO);
    maildir_commit(&batch);
    cr_expect_eq(batch.files[0].error, 0);
    cr_expect_eq(batch.files[1].error, EINVAL);
    cr_expect_eq(batch.files[2].error, EIO);
    cr_expect_eq(entries("new", last), 2);
    cr_expect_eq(entries("tmp", last), 0);

    cr_assert_eq(symlinkat("/tmp", maildir.directory, "link"), 0);
    cr_expect_eq(maildir_directory(maildir.directory, "link"), -1);
    cr_assert_eq(unlinkat(maildir.directory, "link", 0), 0);
    batch.n = 0;
}
