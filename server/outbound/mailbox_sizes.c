/* mailbox_sizes.c - the file gatepost-sizes of a Maildir.
 * Its format: MAGIC, u64 SipHash of all that follows (against a torn file, not a forged one), then for each message
 * u64 bytes, span base name, in mailbox_order.
 * Runs in: mailbox agent. Trusts: the file as far as its hash; its sizes are corrected when the message is read.
 * Never: is needed. */
#include "server/outbound/mailbox_sizes.h"

#include "auth/siphash.h"
#include "store/disk.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define FILE_NAME "gatepost-sizes"
#define FRESH_NAME FILE_NAME ".new"
static const uint8_t magic[16] = "gatepost sizes 1";
enum { HEAD_BYTES = sizeof magic + 8, ENTRY_BYTES = 8 + 4, FILE_BYTES_MAX = 96 << 20 };

static uint64_t hash_of(struct span rows) {
    static const uint8_t key[SIPHASH_KEY_BYTES] = "gatepost-sizes 1";
    return siphash(key, rows);
}

/* Both lists are in the same order. */
static void take_rows(struct mailbox *mailbox, struct span rows) {
    struct wire w = wire_over(rows);
    for (size_t i = 0; w.rest.n && i < mailbox->n;) {
        uint64_t bytes = wire_get_u64(&w);
        struct span base = wire_get_span(&w, UINT8_MAX);
        int order = 1;
        if (w.bad) return;
        while (i < mailbox->n && (order = mailbox_order(base, mailbox_base(mailbox, i))) > 0) i++;
        if (order != 0) continue;
        struct mailbox_message *message = &mailbox->messages[i++];
        message->bytes = bytes, message->measured = true; /* what was read counts for more than a name */
    }
}

void mailbox_sizes_load(struct mailbox *mailbox) {
    const struct disk_calls *disk = disk_calls();
    struct stat status;
    uint8_t *p = NULL;
    int fd = disk->open(mailbox->maildir->directory, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return;
    if (disk->status(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < HEAD_BYTES ||
        status.st_size > FILE_BYTES_MAX)
        goto out;
    size_t n = (size_t)status.st_size;
    if (!(p = malloc(n)) || disk_read(fd, p, n, 0) != (ssize_t)n) goto out;
    struct wire w = wire_over(span_of(p + sizeof magic, n - sizeof magic));
    uint64_t hash = wire_get_u64(&w);
    if (memcmp(p, magic, sizeof magic) == 0 && hash == hash_of(w.rest)) take_rows(mailbox, w.rest);
out:
    free(p);
    (void)disk->close(fd);
}

/* The whole file; p is malloc'ed, NULL when there is no memory. */
static struct buf make(const struct mailbox *mailbox) {
    size_t n = HEAD_BYTES;
    for (size_t i = 0; i < mailbox->n; i++)
        if (mailbox->messages[i].measured) n += ENTRY_BYTES + mailbox->messages[i].base_n;
    struct buf b = buf_over(n > FILE_BYTES_MAX ? NULL : malloc(n), n);
    if (!b.p) return b;
    b.n = HEAD_BYTES;
    for (size_t i = 0; i < mailbox->n; i++) {
        if (!mailbox->messages[i].measured) continue;
        wire_put_u64(&b, mailbox->messages[i].bytes);
        wire_put_span(&b, mailbox_base(mailbox, i));
    }
    struct buf head = buf_over(b.p, HEAD_BYTES);
    wire_put_bytes(&head, magic, sizeof magic);
    wire_put_u64(&head, hash_of(span_from(buf_span(&b), HEAD_BYTES)));
    return b;
}

static int replace(int directory, struct span octets) {
    const struct disk_calls *disk = disk_calls();
    if (disk->unlink(directory, FRESH_NAME) != 0 && errno != ENOENT) return -1; /* of one that was killed */
    int fd = disk->open(directory, FRESH_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0) return -1;
    int error = disk_write_span(fd, octets, 0) != 0 ? errno : 0;
    if (disk->close(fd) != 0 && !error) error = errno;
    if (!error && disk->rename(directory, FRESH_NAME, directory, FILE_NAME) == 0) return 0;
    if (!error) error = errno;
    (void)disk->unlink(directory, FRESH_NAME);
    errno = error;
    return -1;
}

void mailbox_sizes_save(const struct mailbox *mailbox) {
    struct buf b = make(mailbox);
    if (!b.p) return;
    bool expected = replace(mailbox->maildir->directory, buf_span(&b)) == 0 || errno == ENOSPC || errno == EDQUOT;
    if (!expected) log_fault("remembering the sizes of a Maildir's messages", errno);
    free(b.p);
}
