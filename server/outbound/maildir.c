/* maildir.c - files of a Maildir.
 * Runs in: Maildir agents. Trusts: nobody else in tmp under its own names. Never: follows a symbolic link,
 * overwrites a message, reports what is not synced. */
#include "server/outbound/maildir.h"

#include "store/disk.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 << 10, LOCAL_BYTES_MAX = 240, SIZES_BYTES = 48 };

static bool domain_octet(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c >= 0x80;
}

static bool local_octet(uint8_t c, size_t position) {
    if (c <= 0x20 || c == 0x7f || c == '/' || c == '%') return false;
    return c != '.' || position > 0;
}

bool maildir_path(struct span destination, char domain_out[MAILDIR_NAME_SIZE], char local_out[MAILDIR_NAME_SIZE]) {
    static const char digits[] = "0123456789ABCDEF";
    struct buf domain = buf_over(domain_out, MAILDIR_NAME_SIZE), local = buf_over(local_out, LOCAL_BYTES_MAX);
    size_t at = destination.n;
    while (at > 0 && destination.p[at - 1] != '@') at--;
    if (at < 2 || at == destination.n || destination.p[at] == '.') return false;
    for (size_t i = at; i < destination.n; i++) {
        if (!domain_octet(destination.p[i])) return false;
        buf_put_octet(&domain, destination.p[i]);
    }
    for (size_t i = 0; i < at - 1; i++) {
        uint8_t c = destination.p[i];
        if (local_octet(c, i))
            buf_put_octet(&local, c);
        else {
            buf_put_octet(&local, '%');
            buf_put_octet(&local, (uint8_t)digits[c >> 4]);
            buf_put_octet(&local, (uint8_t)digits[c & 15]);
        }
    }
    buf_put_octet(&domain, 0);
    buf_put_octet(&local, 0);
    return buf_ok(&domain) && buf_ok(&local);
}

static void close_one(int *fd) {
    int error = errno;
    if (*fd >= 0) (void)disk_calls()->close(*fd);
    *fd = -1;
    errno = error;
}

/* A directory whose name may not be on the disk yet bears the sticky bit, which means nothing else on a directory of
 * mode 0700: whoever made it may have been killed before the sync. */
int maildir_directory(int parent, const char *name) {
    const struct disk_calls *disk = disk_calls();
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    struct stat status;
    int fd = disk->open(parent, name, flags, 0);
    bool made = fd < 0 && errno == ENOENT;
    if (made) {
        if (disk->mkdir(parent, name, S_ISVTX | 0700) != 0 && errno != EEXIST) return -1;
        fd = disk->open(parent, name, flags, 0);
    }
    if (fd < 0) return -1;
    bool known = disk->status(fd, &status) == 0, marked = known && status.st_mode & S_ISVTX;
    if (known && (!(made || marked) || disk->fsync(parent) == 0) && (!marked || disk->chmod(fd, 0700) == 0))
        return fd;
    close_one(&fd);
    return -1;
}

int maildir_user(int directory, const char *domain, const char *local) {
    int outer = maildir_directory(directory, domain), inner = outer < 0 ? -1 : maildir_directory(outer, local);
    close_one(&outer);
    close_one(&directory);
    return inner;
}

int maildir_open(struct maildir *maildir, int directory) {
    *maildir = (struct maildir){directory, -1, -1, -1};
    if ((maildir->tmp = maildir_directory(directory, "tmp")) >= 0 &&
        (maildir->new = maildir_directory(directory, "new")) >= 0 &&
        (maildir->cur = maildir_directory(directory, "cur")) >= 0)
        return 0;
    int error = errno;
    maildir_close(maildir);
    errno = error;
    return -1;
}

void maildir_close(struct maildir *maildir) {
    close_one(&maildir->tmp);
    close_one(&maildir->new);
    close_one(&maildir->cur);
    close_one(&maildir->directory);
}

/* A host name in a file's name: '/' and ':' as octal, as the Maildir rules have it. */
static void put_hostname(struct buf *b, struct span hostname) {
    for (size_t i = 0; i < hostname.n; i++) {
        uint8_t c = hostname.p[i];
        if (c == '/')
            buf_put_text(b, "\\057");
        else if (c == ':')
            buf_put_text(b, "\\072");
        else if (c > 0x20 && c != 0x7f)
            buf_put_octet(b, c);
    }
}

static bool name_file(struct maildir_file *file, const struct maildir_key *key) {
    struct buf prefix = BUF_OVER(file->prefix), tmp = BUF_OVER(file->tmp), name = BUF_OVER(file->name);
    for (size_t i = 0; i < key->message.n; i++)
        if (key->message.p[i] <= 0x20 || key->message.p[i] >= 0x7f || memchr("/:,.", key->message.p[i], 4))
            return false;
    buf_put_number(&prefix, key->arrival);
    buf_put_octet(&prefix, '.');
    buf_put_span(&prefix, key->message);
    buf_put_octet(&prefix, 'R');
    buf_put_number(&prefix, key->index);
    buf_put_octet(&prefix, '.');
    struct span shared = buf_span(&prefix);
    buf_put_octet(&prefix, 0);
    buf_put_span(&name, shared);
    put_hostname(&name, span_part(key->hostname, 0, 128));
    buf_put_octet(&name, 0);
    /* An agent that was forked anew never writes into a file that another one may still hold open. */
    buf_put_span(&tmp, shared);
    buf_put_octet(&tmp, 'P');
    buf_put_number(&tmp, (uint64_t)getpid());
    buf_put_octet(&tmp, 0);
    return key->message.n && buf_ok(&prefix) && buf_ok(&tmp) && buf_ok(&name) &&
           name.n < sizeof file->name - SIZES_BYTES;
}

/* What lies before the last `mark`; *after_out is what lies behind it. Nothing where there is none. */
static struct span cut(struct span s, struct span mark, struct span *after_out) {
    for (size_t n = s.n; n >= mark.n; n--) {
        if (!span_equal(span_part(s, n - mark.n, mark.n), mark)) continue;
        *after_out = span_from(s, n);
        return span_part(s, 0, n - mark.n);
    }
    return *after_out = span_of(NULL, 0);
}

bool maildir_name_read(struct span base, uint64_t *crlf_bytes_out) {
    struct span crlf_bytes, bytes, index;
    uint64_t arrival, number, stored, size;
    struct span rest = cut(cut(base, SPAN(",W="), &crlf_bytes), SPAN(",S="), &bytes);
    size_t dot = span_find(rest, '.');
    struct span unique = span_from(rest, dot + 1);
    unique = span_part(unique, 0, span_find(unique, '.'));
    if (!cut(unique, SPAN("R"), &index).n || !span_number(span_part(rest, 0, dot), UINT64_MAX, &arrival) ||
        !span_number(index, UINT16_MAX, &number) || !span_number(bytes, INT64_MAX, &stored) ||
        !span_number(crlf_bytes, INT64_MAX, &size) || size < stored)
        return false;
    *crlf_bytes_out = size;
    return true;
}

static void remove_tmp(int directory, const char *name) {
    if (disk_calls()->unlink(directory, name) != 0 && errno != ENOENT)
        log_fault("a file in a Maildir's tmp cannot be removed", errno);
}

void maildir_abandon(struct maildir_batch *batch, size_t number, int error) {
    struct maildir_file *file = &batch->files[number];
    if (file->fd >= 0) {
        close_one(&file->fd);
        remove_tmp(batch->maildir->tmp, file->tmp);
    }
    free(file->buffer);
    file->buffer = NULL;
    if (!file->error) file->error = error;
}

size_t maildir_begin(struct maildir_batch *batch, const struct maildir_key *key, bool maybe_delivered) {
    size_t number = batch->n++;
    struct maildir_file *file = &batch->files[number];
    *file = (struct maildir_file){.fd = -1, .maybe_delivered = maybe_delivered};
    if (!name_file(file, key))
        file->error = EINVAL;
    else if (!(file->buffer = malloc(BUFFER_BYTES)))
        file->error = ENOMEM;
    if (file->error) return number;
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    file->fd = disk_calls()->open(batch->maildir->tmp, file->tmp, flags, 0600);
    if (file->fd < 0 && errno == EEXIST && disk_calls()->unlink(batch->maildir->tmp, file->tmp) == 0)
        file->fd = disk_calls()->open(batch->maildir->tmp, file->tmp, flags, 0600);
    if (file->fd < 0) maildir_abandon(batch, number, errno);
    return number;
}

static uint64_t count_lines(struct span s) {
    uint64_t lines = 0;
    for (size_t at; (at = span_find(s, '\n')) < s.n; s = span_from(s, at + 1)) lines++;
    return lines;
}

static void flush(struct maildir_batch *batch, size_t number) {
    struct maildir_file *file = &batch->files[number];
    if (!file->error && file->buffered) { /* what was abandoned has no buffer any more */
        struct span part = span_of(file->buffer, file->buffered);
        file->lines += count_lines(part);
        if (disk_write_span(file->fd, part, file->bytes) != 0) maildir_abandon(batch, number, errno);
    }
    file->bytes += file->buffered;
    file->buffered = 0;
}

void maildir_write(struct maildir_batch *batch, size_t number, const void *p, size_t n) {
    struct maildir_file *file = &batch->files[number];
    const uint8_t *octets = p;
    if (n) file->line_open = octets[n - 1] != '\n';
    while (n && !file->error) {
        size_t part = BUFFER_BYTES - file->buffered < n ? BUFFER_BYTES - file->buffered : n;
        memcpy(file->buffer + file->buffered, octets, part);
        file->buffered += part, octets += part, n -= part;
        if (file->buffered == BUFFER_BYTES) flush(batch, number);
    }
}

void maildir_end(struct maildir_batch *batch, size_t number) {
    struct maildir_file *file = &batch->files[number];
    size_t n = strlen(file->name);
    flush(batch, number);
    free(file->buffer);
    file->buffer = NULL;
    if (file->error) return;
    unsigned long long bytes = file->bytes, crlf_bytes = bytes + file->lines + (file->line_open ? 2 : 0);
    (void)snprintf(file->name + n, sizeof file->name - n, ",S=%llu,W=%llu", bytes, crlf_bytes);
    /* What is large begins its way to the disk at once; commit waits for each. */
    if (file->bytes > BUFFER_BYTES) (void)disk_calls()->begin_sync(file->fd);
}

struct scan {
    struct maildir_batch *batch;
    int directory;
    bool is_tmp;
};

static int scan_one(void *context, const char *name) {
    const struct scan *scan = context;
    for (size_t i = 0; i < scan->batch->n; i++) {
        struct maildir_file *file = &scan->batch->files[i];
        if (!file->maybe_delivered || strncmp(name, file->prefix, strlen(file->prefix)) != 0) continue;
        if (!scan->is_tmp)
            file->there = true;
        else if (strcmp(name, file->tmp) != 0)
            remove_tmp(scan->directory, name);
    }
    return 0;
}

/* Marks the files whose names are in the directory, whatever size or flags follow; in tmp, removes them. */
static int scan(struct maildir_batch *batch, int directory, bool is_tmp) {
    return disk_list(directory, scan_one, &(struct scan){batch, directory, is_tmp});
}

/* Looks for redelivered files, where there are any. Mail may move from new to cur meanwhile, never back: new comes
 * first. */
static int find_delivered(struct maildir_batch *batch) {
    bool wanted = false;
    for (size_t i = 0; i < batch->n; i++)
        wanted = wanted || (batch->files[i].maybe_delivered && !batch->files[i].error);
    if (!wanted) return 0;
    if (scan(batch, batch->maildir->tmp, true) != 0 || scan(batch, batch->maildir->new, false) != 0 ||
        scan(batch, batch->maildir->cur, false) != 0)
        return -1;
    return disk_calls()->fsync(batch->maildir->cur);
}

/* Into new without ever replacing a file there. */
static int move_new(const struct maildir *maildir, struct maildir_file *file) {
    const struct disk_calls *disk = disk_calls();
    if (disk->rename_new(maildir->tmp, file->tmp, maildir->new, file->name) == 0) return 0;
    if (errno == EINVAL || errno == ENOSYS) /* a file system without the flag */
        if (disk->link(maildir->tmp, file->tmp, maildir->new, file->name) == 0) errno = EEXIST;
    if (errno != EEXIST) return -1;
    file->there = true;
    return 0;
}

static void sync_files(struct maildir_batch *batch) {
    int fds[MAILDIR_BATCH] = {0}, errors[MAILDIR_BATCH];
    size_t numbers[MAILDIR_BATCH], n = 0;
    for (size_t i = 0; i < batch->n; i++)
        if (!batch->files[i].error && !batch->files[i].there) fds[n] = batch->files[i].fd, numbers[n++] = i;
    disk_sync_all(fds, n, errors);
    for (size_t i = 0; i < n; i++)
        if (errors[i]) maildir_abandon(batch, numbers[i], errors[i]);
}

static void place_one(struct maildir_batch *batch, size_t number) {
    struct maildir_file *file = &batch->files[number];
    if (file->error) return;
    if (!file->there && move_new(batch->maildir, file) != 0) {
        maildir_abandon(batch, number, errno);
        return;
    }
    if (file->there) remove_tmp(batch->maildir->tmp, file->tmp);
    close_one(&file->fd);
}

/* All files are synced, then all names change, and one sync of the directory makes those durable. */
void maildir_commit(struct maildir_batch *batch) {
    int error = find_delivered(batch) != 0 ? errno : 0;
    for (size_t i = 0; error && i < batch->n; i++) maildir_abandon(batch, i, error);
    if (!error) sync_files(batch);
    for (size_t i = 0; !error && i < batch->n; i++) place_one(batch, i);
    if (!error && disk_calls()->fsync(batch->maildir->new) != 0) error = errno;
    for (size_t i = 0; error && i < batch->n; i++)
        if (!batch->files[i].error) batch->files[i].error = error;
}
