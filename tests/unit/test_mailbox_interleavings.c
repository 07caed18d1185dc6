/* test_mailbox_interleavings.c - two sessions on one mailbox, agents killed and sessions gone at any point,
 * deliveries and other programs' moves meanwhile: nothing is lost, nothing is removed without QUIT. What happens when
 * is drawn by number; $GATEPOST_SEED and $GATEPOST_ROUNDS choose other runs, of a thousand rounds, say: each forks
 * some forty processes, which is dear on some machines. */
#include "tests/unit/fake_queue.h"
#include "tests/unit/mailbox_session.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS = 250, SLOW_ROUNDS = 20, STEPS = 24, MAIL_MAX = 60, KILL_US_MAX = 3000 };

/* What is known of one message, by the number in its name. */
enum fate {
    FATE_NONE = 0,
    FATE_THERE,  /* must be there, once, whole */
    FATE_DOOMED, /* QUIT was sent for it, and no answer came: there or not */
    FATE_REMOVED /* must not be there */
};

static struct {
    struct mailbox_world world;
    uint64_t random;
    enum fate mail[MAIL_MAX];
    int n_mail;
    char user[32];
    struct session {
        int fd; /* -1: none */
        int n;
        int mail[SESSION_IDS_MAX]; /* message of each index */
        bool broken;               /* its agent was killed */
    } sessions[2];
    int deliverer;
    uint64_t jobs, removed, doomed, kills, moves; /* how much was tried */
} room;

static uint32_t draw(uint32_t below) {
    room.random = room.random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(room.random >> 33) % below;
}

/* ---- mail */

/* The text of message i: as many lines as tell it from others, and sometimes many. */
static size_t text_of(int i, char *out, size_t room_bytes, const char *end) {
    int n = snprintf(out, room_bytes, "Subject: %d%s%s", i, end, end);
    for (int line = 0; line < (i % 7 == 0 ? 3000 : i % 5); line++)
        n += snprintf(out + n, room_bytes - (size_t)n, "line %d of %d%s", line, i, end);
    return (size_t)n;
}

static void path_of(char out[128], const char *place, int i, const char *flags) {
    (void)snprintf(out, 128, "%s/17000000%02d.foreign%d.host%s", place, i, i, flags);
}

static int by_name(const char *name) {
    const char *at = strstr(name, "foreign");
    if (!at && (at = strstr(name, ".MSG"))) at -= 3; /* ".MSG" and "foreign" before the number */
    return at ? atoi(at + 7) : -1;
}

/* By another program, which writes the file at once. */
static void deliver_foreign(void) {
    static char text[100000];
    char path[128];
    if (room.n_mail == MAIL_MAX) return;
    int i = room.n_mail++;
    size_t n = text_of(i, text, sizeof text, i % 2 ? "\r\n" : "\n");
    path_of(path, i % 3 ? "new" : "cur", i, i % 3 ? "" : ":2,S");
    mailbox_put(&room.world, room.user, "tmp/foreign", span_of(text, n));
    char from[256], to[256];
    (void)snprintf(from, sizeof from, "%s/example.test/%s/tmp/foreign", room.world.root, room.user);
    (void)snprintf(to, sizeof to, "%s/example.test/%s/%s", room.world.root, room.user, path);
    mailbox_put(&room.world, room.user, i % 3 ? "new/.made" : "cur/.made", span_of("", 0)); /* the directory */
    cr_assert_eq(rename(from, to), 0);
    room.mail[i] = FATE_THERE;
}

/* By the queue, through an agent of its own. */
static void deliver(void) {
    static char text[100000];
    char name[16], address[64];
    struct fake_answer answer;
    if (room.n_mail == MAIL_MAX) return;
    int i = room.n_mail++;
    size_t n = text_of(i, text, sizeof text, "\r\n");
    (void)snprintf(name, sizeof name, "MSG%dR", i);
    (void)snprintf(address, sizeof address, "%s@example.test", room.user);
    struct fake_job job = {.number = ++room.jobs,
                           .name = name,
                           .sender = "a@b.example",
                           .body = span_of(text, n),
                           .n = 1,
                           .recipients = {{.address = address}}};
    fake_queue_send(room.deliverer, &job);
    do cr_assert(fake_queue_answer(room.deliverer, &answer));
    while (answer.index >= 0);
    room.mail[i] = FATE_THERE;
}

struct found {
    int count[MAIL_MAX];
    char path[MAIL_MAX][512];
};

static void find_all(struct found *found) {
    static const char *const places[] = {"new", "cur"};
    memset(found->count, 0, sizeof found->count);
    for (int p = 0; p < 2; p++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/example.test/%s/%s", room.world.root, room.user, places[p]);
        DIR *stream = opendir(path);
        for (const struct dirent *entry; stream && (entry = readdir(stream));) {
            int i = by_name(entry->d_name);
            if (entry->d_name[0] == '.') continue;
            cr_assert(i >= 0 && i < room.n_mail, "%s", entry->d_name);
            found->count[i]++;
            (void)snprintf(found->path[i], sizeof found->path[i], "%s/%s", path, entry->d_name);
        }
        if (stream) closedir(stream);
    }
}

/* As an IMAP server does: into cur, with other flags. */
static void move_some(void) {
    static const char *const flags[] = {":2,", ":2,S", ":2,RS", ":2,FRST"};
    static struct found found;
    find_all(&found);
    for (int i = 0; i < room.n_mail; i++) {
        char to[600], base[256];
        if (!found.count[i] || draw(2)) continue;
        (void)snprintf(base, sizeof base, "%s", strrchr(found.path[i], '/') + 1);
        base[strcspn(base, ":")] = 0;
        (void)snprintf(to, sizeof to, "%s/example.test/%s/cur/%s%s", room.world.root, room.user, base,
                       flags[draw(4)]);
        if (rename(found.path[i], to) == 0) room.moves++; /* or an agent was faster */
    }
}

/* ---- sessions */

static void leave(struct session *session) {
    if (session->fd >= 0) close(session->fd);
    *session = (struct session){.fd = -1};
}

static bool is_open(int which) {
    return room.sessions[which].fd >= 0;
}

static void kill_soon(void) {
    if (draw(2)) usleep(draw(KILL_US_MAX));
    mailbox_kill_agents(&room.world);
    for (int i = 0; i < 2; i++) room.sessions[i].broken = is_open(i);
    room.kills++;
    if (room.deliverer >= 0) close(room.deliverer);
    room.deliverer = -1;
}

static void enter(int which) {
    static struct mailbox_session_entry entries[SESSION_IDS_MAX];
    struct session *session = &room.sessions[which];
    struct mailbox_opened opened;
    char address[64];
    (void)snprintf(address, sizeof address, "%s@example.test", room.user);
    session->fd = mailbox_session_begin(&room.world, address);
    if (!draw(8)) kill_soon();
    bool said = mailbox_session_opened(session->fd, &opened);
    cr_assert(!said || opened.answer == MAILBOX_READY || opened.answer == MAILBOX_IN_USE);
    if (said && opened.answer == MAILBOX_READY) {
        const struct session *other = &room.sessions[!which];
        cr_assert(other->fd < 0 || other->broken, "two sessions have the mailbox");
        session->n = mailbox_session_list(session->fd, 0, 0, entries);
        cr_assert(session->n == (int)opened.messages || session->broken);
        if (session->n < 0) leave(session);
        for (int i = 0; i < session->n; i++) session->mail[i] = by_name(entries[i].id);
    } else {
        leave(session);
    }
}

/* What comes is the message, all of it, or nothing. */
static void fetch(int which) {
    static uint8_t got[200000];
    static char text[100000];
    struct session *session = &room.sessions[which];
    if (session->fd < 0 || session->n == 0) return;
    uint32_t index = draw((uint32_t)session->n);
    int i = session->mail[index];
    if (!draw(8)) { /* asks, and is gone before the text has come */
        mailbox_session_say(session->fd, MAILBOX_READ, (uint8_t[8]){(uint8_t)index, [4] = 255, 255, 255, 255}, 8);
        leave(session);
        return;
    }
    ssize_t n = mailbox_session_read(session->fd, index, MAILBOX_WHOLE, got, sizeof got);
    if (n == -2) {
        cr_assert(session->broken, "an agent left by itself");
        leave(session);
        return;
    }
    cr_assert(n >= 0 || room.mail[i] != FATE_THERE, "message %d cannot be read", i);
    size_t whole = text_of(i, text, sizeof text, "\r\n");
    cr_assert(n < 0 || ((size_t)n >= whole && memcmp(got + (size_t)n - whole, text, whole) == 0), "message %d", i);
}

/* Sends QUIT, and sometimes the agent or the session is gone before it has done. */
static void quit(int which) {
    struct session *session = &room.sessions[which];
    uint64_t marks = 0;
    uint32_t removed = 0, failed = 0;
    if (session->fd < 0) return;
    for (int i = 0; i < session->n; i++)
        if (!draw(3)) marks |= 1ULL << i;
    bool sent = mailbox_session_quit(session->fd, marks);
    for (int i = 0; i < session->n && sent; i++)
        if (marks >> i & 1) room.mail[session->mail[i]] = FATE_DOOMED;
    uint32_t how = draw(4);
    if (how == 0) kill_soon();
    bool done = how != 1 && mailbox_session_done(session->fd, &removed, &failed);
    cr_assert(!done || (failed == 0 && removed == (uint32_t)__builtin_popcountll(marks)));
    for (int i = 0; i < session->n; i++)
        if (marks >> i & 1 && room.mail[session->mail[i]] == FATE_DOOMED) {
            if (done) room.mail[session->mail[i]] = FATE_REMOVED, room.removed++;
            if (!done) room.doomed++;
        }
    leave(session);
}

/* ---- a round */

static void check(const char *when) {
    static struct found found;
    find_all(&found);
    for (int i = 0; i < room.n_mail; i++) {
        if (room.mail[i] == FATE_THERE) cr_assert_eq(found.count[i], 1, "message %d is lost %s", i, when);
        if (room.mail[i] == FATE_REMOVED) cr_assert_eq(found.count[i], 0, "message %d is back %s", i, when);
    }
}

static void step(void) {
    int which = (int)draw(2);
    char address[64];
    if (room.deliverer < 0) {
        (void)snprintf(address, sizeof address, "%s@example.test", room.user);
        room.deliverer = fake_queue_agent(room.world.queue, 1, DESTINATION_MAILDIR, address);
        cr_assert(room.deliverer >= 0);
    }
    switch (draw(12)) {
    case 0:
        deliver();
        break;
    case 1:
    case 2:
        deliver_foreign();
        break;
    case 3:
        move_some();
        break;
    case 4:
        if (!draw(4)) kill_soon();
        break;
    case 5:
        leave(&room.sessions[which]);
        break;
    case 6:
        if (!draw(2)) quit(which);
        break;
    case 7:
    case 8:
        fetch(which);
        break;
    default:
        if (!is_open(which)) enter(which);
        break;
    }
}

static uint64_t number(const char *name, uint64_t otherwise) {
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 10) : otherwise;
}

Test(mailbox_interleavings, nothing_is_lost, .timeout = 600) {
    uint64_t seed = number("GATEPOST_SEED", 1),
             rounds = number("GATEPOST_ROUNDS", driver_stride() > 1 ? SLOW_ROUNDS : ROUNDS);
    mailbox_world_start(&room.world, 64);
    for (uint64_t round = 0; round < rounds; round++) {
        room.random = seed * 1000003 + round;
        room.n_mail = 0;
        memset(room.mail, 0, sizeof room.mail);
        (void)snprintf(room.user, sizeof room.user, "u%llu", (unsigned long long)round);
        room.sessions[0].fd = room.sessions[1].fd = room.deliverer = -1;
        for (int i = 0; i < STEPS; i++) {
            step();
            char when[64];
            (void)snprintf(when, sizeof when, "in round %llu after step %d", (unsigned long long)round, i);
            check(when);
        }
        for (int i = 0; i < 2; i++) quit(i);
        if (room.deliverer >= 0) close(room.deliverer);
        check("at the end");
    }
    cr_expect(room.removed && room.doomed && room.kills && room.moves && room.jobs, "the runs tried too little");
    (void)fprintf(stderr, "%llu delivered, %llu removed, %llu doomed, %llu kills, %llu moves\n",
                  (unsigned long long)room.jobs, (unsigned long long)room.removed, (unsigned long long)room.doomed,
                  (unsigned long long)room.kills, (unsigned long long)room.moves);
    mailbox_world_stop(&room.world);
}
