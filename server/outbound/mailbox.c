/* mailbox.c - listing a Maildir, and finding a message again after others have moved its file.
 * Runs in: mailbox agent. Trusts: nobody else's file names. Never: follows a symbolic link, removes what is not on
 * the list, changes what an index means. */
#include "server/outbound/mailbox.h"

#include "auth/siphash.h"
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAMES_BYTES_MAX = 64 << 20, LIST_TRIES = 3, FIND_TRIES = 3, SETTLED_SEC = 2 };

static int directory_of(const struct mailbox *mailbox, bool in_cur) {
    return in_cur ? mailbox->maildir->cur : mailbox->maildir->new;
}

static const char *name_of(const struct mailbox *mailbox, size_t i) {
    return mailbox->names + mailbox->messages[i].name;
}

struct span mailbox_base(const struct mailbox *mailbox, size_t i) {
    return span_of(name_of(mailbox, i), mailbox->messages[i].base_n);
}

/* ---- order */

/* Base names begin with the second of their arrival. */
static struct span number_of(struct span base) {
    size_t from = 0, to;
    while (from < base.n && base.p[from] == '0') from++;
    for (to = from; to < base.n && base.p[to] >= '0' && base.p[to] <= '9';) to++;
    return span_part(base, from, to - from);
}

static int compare(struct span a, struct span b) {
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

int mailbox_order(struct span base, struct span other) {
    struct span a = number_of(base), b = number_of(other);
    if (a.n != b.n) return a.n < b.n ? -1 : 1;
    int order = compare(a, b);
    return order ? order : compare(base, other);
}

static int by_age(const void *a, const void *b, void *names) {
    const struct mailbox_message *one = a, *two = b;
    int order = mailbox_order(span_of((char *)names + one->name, one->base_n),
                              span_of((char *)names + two->name, two->base_n));
    return order ? order : (one->in_cur > two->in_cur) - (one->in_cur < two->in_cur);
}

/* ---- listing */

static void *grow(void *array, size_t *room, size_t wanted, size_t most, size_t size) {
    size_t next = *room ? *room : 64;
    while (next < wanted) next *= 2;
    if (next > most) next = most;
    void *bigger = wanted > most ? NULL : realloc(array, next * size);
    if (wanted > most) errno = EOVERFLOW;
    if (bigger) *room = next;
    return bigger;
}

/* Where a copy of the name lies; false with errno. */
static bool keep_name(struct mailbox *mailbox, struct span name, uint32_t *at_out) {
    if (mailbox->names_room - mailbox->names_n <= name.n) {
        char *names = grow(mailbox->names, &mailbox->names_room, mailbox->names_n + name.n + 1, NAMES_BYTES_MAX, 1);
        if (!names) return false;
        mailbox->names = names;
    }
    *at_out = (uint32_t)mailbox->names_n;
    memcpy(mailbox->names + mailbox->names_n, name.p, name.n);
    mailbox->names_n += name.n;
    mailbox->names[mailbox->names_n++] = 0;
    return true;
}

struct visit {
    struct mailbox *mailbox;
    bool in_cur;
};

/* A name as a message's, or none: what begins with a dot is no message's. */
static bool read_name(struct span name, struct mailbox_message *out) {
    size_t base_n = span_find(name, ':');
    if (base_n == 0 || name.p[0] == '.' || name.n > UINT8_MAX) return false;
    *out =
        (struct mailbox_message){.bytes = MAILBOX_UNMEASURED, .name_n = (uint8_t)name.n, .base_n = (uint8_t)base_n};
    out->lf_only = maildir_name_read(span_part(name, 0, base_n), &out->bytes);
    return true;
}

/* Ends the listing (1) when there is no room for more: the rest is served when some of these are gone. */
static int add(void *context, const char *name) {
    const struct visit *visit = context;
    struct mailbox *mailbox = visit->mailbox;
    struct mailbox_message made;
    if (!read_name(span_text(name), &made)) return 0;
    if (mailbox->n == mailbox->room) {
        struct mailbox_message *messages =
            grow(mailbox->messages, &mailbox->room, mailbox->n + 1, MAILBOX_MESSAGES_MAX, sizeof *messages);
        if (!messages) return errno == EOVERFLOW ? 1 : -1;
        mailbox->messages = messages;
    }
    if (!keep_name(mailbox, span_text(name), &made.name)) return errno == EOVERFLOW ? 1 : -1;
    made.in_cur = visit->in_cur;
    mailbox->messages[mailbox->n++] = made;
    return 0;
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int read_times(const struct mailbox *mailbox, struct timespec times_out[2]) {
    struct stat status;
    for (int i = 0; i < 2; i++) {
        if (disk_calls()->status(directory_of(mailbox, i == 1), &status) != 0) return -1;
        times_out[i] = status.st_mtim;
    }
    return 0;
}

/* Mail moves from new to cur, never back: new comes first. */
static int visit_all(struct mailbox *mailbox, int (*each)(void *context, const char *name)) {
    for (int i = 0; i < 2; i++) {
        if (clock_gettime(CLOCK_REALTIME, &mailbox->listed[i]) != 0) return -1;
        int result = disk_list(directory_of(mailbox, i == 1), each, &(struct visit){mailbox, i == 1});
        if (result != 0) return result;
    }
    return 0;
}

/* Of two files of one base name, which a move in two steps leaves for a moment, the one in cur stays on the list. */
static void sort(struct mailbox *mailbox) {
    size_t n = 0;
    if (mailbox->n) qsort_r(mailbox->messages, mailbox->n, sizeof *mailbox->messages, by_age, mailbox->names);
    for (size_t i = 0; i < mailbox->n; i++) {
        if (n && span_equal(mailbox_base(mailbox, n - 1), mailbox_base(mailbox, i))) n--;
        mailbox->messages[n++] = mailbox->messages[i];
    }
    mailbox->n = n;
}

/* A file that is renamed while its directory is read may be missed: what has changed meanwhile is read again. */
int mailbox_list(struct mailbox *mailbox, const struct maildir *maildir) {
    struct timespec times[2];
    *mailbox = (struct mailbox){.maildir = maildir};
    for (int tries = 0; tries < LIST_TRIES; tries++) {
        mailbox->n = mailbox->names_n = 0;
        if (read_times(mailbox, mailbox->changed) != 0 || visit_all(mailbox, add) < 0 ||
            read_times(mailbox, times) != 0)
            return -1;
        if (same_time(times[0], mailbox->changed[0]) && same_time(times[1], mailbox->changed[1])) break;
    }
    sort(mailbox);
    return 0;
}

void mailbox_free(struct mailbox *mailbox) {
    free(mailbox->messages);
    free(mailbox->names);
    *mailbox = (struct mailbox){0};
}

void mailbox_drop_unmeasured(struct mailbox *mailbox) {
    size_t n = 0;
    for (size_t i = 0; i < mailbox->n; i++)
        if (mailbox->messages[i].bytes != MAILBOX_UNMEASURED) mailbox->messages[n++] = mailbox->messages[i];
    mailbox->n = n;
}

void mailbox_id(const struct mailbox *mailbox, size_t i, struct buf *out) {
    static const uint8_t keys[2][SIPHASH_KEY_BYTES] = {"gatepost mailbox", "unique ids, RFC "};
    struct span base = mailbox_base(mailbox, i);
    if (mailbox_unique_id(base)) {
        buf_put_span(out, base);
        return;
    }
    for (int half = 0; half < 2; half++)
        buf_put_format(out, "%016llx", (unsigned long long)siphash(keys[half], base));
}

/* ---- finding again */

static size_t find(const struct mailbox *mailbox, struct span base) {
    size_t from = 0, to = mailbox->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = mailbox_order(base, mailbox_base(mailbox, middle));
        if (order == 0) return middle;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return mailbox->n;
}

/* What is on the list gets its present name. */
static int renew(void *context, const char *name) {
    const struct visit *visit = context;
    struct mailbox *mailbox = visit->mailbox;
    struct mailbox_message now;
    struct span whole = span_text(name);
    size_t i = read_name(whole, &now) ? find(mailbox, span_part(whole, 0, now.base_n)) : mailbox->n;
    if (i == mailbox->n) return 0;
    struct mailbox_message *message = &mailbox->messages[i];
    if (whole.n <= message->name_n)
        memcpy(mailbox->names + message->name, name, whole.n + 1);
    else if (!keep_name(mailbox, whole, &message->name))
        return -1;
    message->name_n = now.name_n;
    message->in_cur = visit->in_cur;
    return 0;
}

/* Whether something may have moved since the directories were read. Their time is coarse: one that was young then
 * tells nothing. */
static bool may_have_moved(const struct mailbox *mailbox) {
    struct timespec times[2];
    if (read_times(mailbox, times) != 0) return true;
    for (int i = 0; i < 2; i++)
        if (!same_time(times[i], mailbox->changed[i]) || mailbox->listed[i].tv_sec - times[i].tv_sec < SETTLED_SEC)
            return true;
    return false;
}

static int find_again(struct mailbox *mailbox) {
    if (!may_have_moved(mailbox)) {
        errno = ENOENT;
        return -1;
    }
    if (read_times(mailbox, mailbox->changed) != 0) return -1;
    return visit_all(mailbox, renew) != 0 ? -1 : 0;
}

static int open_now(const struct mailbox *mailbox, size_t i) {
    const struct disk_calls *disk = disk_calls();
    struct stat status;
    int fd = disk->open(directory_of(mailbox, mailbox->messages[i].in_cur), name_of(mailbox, i),
                        O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return -1;
    int error = disk->status(fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
    if (!error) return fd;
    (void)disk->close(fd);
    errno = error;
    return -1;
}

int mailbox_open(struct mailbox *mailbox, size_t i) {
    int fd = open_now(mailbox, i);
    for (int tries = 0; fd < 0 && errno == ENOENT && tries < FIND_TRIES; tries++) {
        if (find_again(mailbox) != 0) return -1;
        fd = open_now(mailbox, i);
    }
    return fd;
}

static int remove_now(const struct mailbox *mailbox, size_t i) {
    return disk_calls()->unlink(directory_of(mailbox, mailbox->messages[i].in_cur), name_of(mailbox, i));
}

int mailbox_remove(struct mailbox *mailbox, size_t i) {
    int result = remove_now(mailbox, i);
    for (int tries = 0; result != 0 && errno == ENOENT && tries < FIND_TRIES; tries++) {
        if (find_again(mailbox) != 0) return errno == ENOENT ? 0 : -1;
        result = remove_now(mailbox, i);
    }
    return result != 0 && errno != ENOENT ? -1 : 0;
}

int mailbox_sync(const struct mailbox *mailbox) {
    int new = disk_calls()->fsync(mailbox->maildir->new), cur = disk_calls()->fsync(mailbox->maildir->cur);
    return new != 0 || cur != 0 ? -1 : 0;
}
