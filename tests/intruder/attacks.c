/* attacks.c - what a session that was taken over may try.
 * Runs in: the intruder, in the place of gatepost-session. Trusts: nothing. Never: asserts on itself; the server must
 * hold. */
#include "tests/intruder/intruder.h"

#include "store/log_names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY SPAN("Subject: from inside\r\n\r\nbody\r\n")

static const char *second_announcement(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (cell_announce(cell, RELAY_ROLE_SUBMISSION, "192.0.2.9")) return "a second client address was taken";
    return cell_ended(cell->auth) ? NULL : "the channel is still open";
}

/* Only the listener says who came by the local socket, with the uid of the kernel's. */
static const char *local_announcement(struct cell *cell) {
    if (cell_announce(cell, RELAY_ROLE_LOCAL, "127.0.0.1")) return "it passes for a system user";
    return cell_ended(cell->auth) ? NULL : "the channel is still open";
}

static const char *before_announcement(struct cell *cell) {
    if (cell_mail(cell, "x", "<a@elsewhere.example>") != REASON_COUNT) return "MAIL was answered";
    return cell_ended(cell->auth) ? NULL : "the channel is still open";
}

static const char *recipient_before_sender(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (cell_rcpt(cell, "<alice@example.test>") != REASON_COUNT) return "RCPT before MAIL was answered";
    return cell_ended(cell->auth) ? NULL : "the channel is still open";
}

static const char *foreign_recipient(struct cell *cell) {
    static const char *const forms[] = {"<victim@elsewhere.example>", "<@example.test:victim@elsewhere.example>",
                                        "<\"victim@elsewhere.example\"@example.test>",
                                        "<victim%elsewhere.example@example.test>"};
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (cell_mail(cell, "x", "<a@elsewhere.example>") != REASON_SENDER_ACCEPTED) return "MAIL was refused";
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        enum reason reason = cell_rcpt(cell, forms[i]);
        if (reason == REASON_COUNT || reason_reply(reason)->accepts) return forms[i];
    }
    return cell->queue < 0 ? NULL : "a channel to the queue was handed out";
}

static const char *submission_without_login(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "127.0.0.1")) return "no welcome";
    return cell_mail(cell, "x", "<alice@example.test>") == REASON_AUTH_REQUIRED ? NULL : "MAIL was not refused";
}

static const char *unknown_transaction(struct cell *cell) {
    uint8_t other[TRANSACTION_BYTES] = {1, 2, 3};
    const char *why = cell_open(cell, "unknown-transaction@intruder.example");
    if (why) return why;
    if (!cell_body(cell, other, BODY)) return "channel gone";
    return cell_commit(cell, other, 1) == BODY_DURABLE ? "an unknown transaction was committed" : NULL;
}

static const char *wrong_count(struct cell *cell) {
    const char *why = cell_open(cell, "wrong-count@intruder.example");
    if (why) return why;
    if (!cell_body(cell, cell->transaction, BODY)) return "channel gone";
    return cell_commit(cell, cell->transaction, 2) == BODY_DURABLE ? "another number of recipients was taken" : NULL;
}

static const char *second_commit(struct cell *cell) {
    const char *why = cell_open(cell, "once@intruder.example");
    if (why) return why;
    if (!cell_body(cell, cell->transaction, BODY)) return "channel gone";
    if (cell_commit(cell, cell->transaction, 1) != BODY_DURABLE) return "an honest commit was refused";
    if (cell_commit(cell, cell->transaction, 1) == BODY_DURABLE) return "a used transaction was committed";
    return NULL;
}

static const char *after_reset(struct cell *cell) {
    struct buf empty = {0};
    const char *why = cell_open(cell, "after-reset@intruder.example");
    if (why) return why;
    uint8_t dead[TRANSACTION_BYTES];
    memcpy(dead, cell->transaction, sizeof dead);
    if (!cell_body(cell, dead, BODY) || !cell_send(cell->auth, SESSION_RESET, &empty)) return "channel gone";
    /* RESET has no answer; that to MAIL says that it was heard. A commit before that is one before RSET. */
    if (cell_mail(cell, "x", "<after-reset@intruder.example>") != REASON_SENDER_ACCEPTED) return "no MAIL after RSET";
    return cell_commit(cell, dead, 1) == BODY_DURABLE ? "a transaction outlived RSET" : NULL;
}

static const char *beyond_size(struct cell *cell) {
    static uint8_t chunk[60000];
    const char *why = cell_open(cell, "beyond-size@intruder.example");
    if (why) return why;
    memset(chunk, 'x', sizeof chunk);
    for (size_t sent = 0; sent < (size_t)40 << 20; sent += sizeof chunk)
        if (!cell_body(cell, cell->transaction, span_of(chunk, sizeof chunk))) return NULL; /* dropped: as good */
    return cell_commit(cell, cell->transaction, 1) == BODY_DURABLE ? "a body beyond the limit was taken" : NULL;
}

static const char *control_octets(struct cell *cell) {
    static const char *const senders[] = {"<a\r\nX-Forged: 1@elsewhere.example>", "<a\x01@elsewhere.example>",
                                          "<a@elsewhere.example> SIZE=1\r\nX-Forged: 1", "<a@b\nX-Forged: 1>",
                                          "<a@elsewhere.example> ENVID=a\r\nX-Forged:"};
    static const char *const recipients[] = {"<alice@example.test\r\nX-Forged: 1>", "<alice\x7f@example.test>",
                                             "<alice@example.test> ORCPT=rfc822;a\r\nX-Forged:1"};
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
        enum reason reason = cell_mail(cell, "x", senders[i]);
        if (reason == REASON_COUNT || reason_reply(reason)->accepts) return senders[i];
    }
    enum reason nul = cell_mail_span(cell, SPAN("x"), SPAN("<a\0b@elsewhere.example>"));
    if (nul == REASON_COUNT || reason_reply(nul)->accepts) return "NUL in a sender";
    if (cell_mail(cell, "x", "<control@intruder.example>") != REASON_SENDER_ACCEPTED) return "MAIL was refused";
    for (size_t i = 0; i < sizeof recipients / sizeof *recipients; i++) {
        enum reason reason = cell_rcpt(cell, recipients[i]);
        if (reason == REASON_COUNT || reason_reply(reason)->accepts) return recipients[i];
    }
    return NULL;
}

/* The claim may be refused or cleaned; the driver looks for X-Forged in every message and log line. */
static const char *forged_helo(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    enum reason reason = cell_mail_span(cell, SPAN("x)\r\nX-Forged: helo\r\nReceived: from y (\x1b[2J"),
                                        SPAN("<helo@intruder.example>"));
    if (reason != REASON_SENDER_ACCEPTED) return NULL;
    if (cell_rcpt(cell, "<alice@example.test>") != REASON_LOCAL_RECIPIENT) return "RCPT was refused";
    if (!cell_body(cell, cell->transaction, BODY)) return "channel gone";
    int outcome = cell_commit(cell, cell->transaction, 1);
    return outcome == BODY_DURABLE || outcome == BODY_REFUSED || outcome == -1 ? NULL : "no verdict";
}

static const char *forged_tls(struct cell *cell) {
    uint8_t octets[256];
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    wire_put_text(&b, "TLS1.3)\r\nX-Forged: tls");
    if (!cell_send(cell->auth, SESSION_TLS, &b)) return "channel gone";
    if (cell_mail(cell, "x", "<tls@intruder.example>") != REASON_SENDER_ACCEPTED) return NULL;
    if (cell_rcpt(cell, "<alice@example.test>") != REASON_LOCAL_RECIPIENT) return "RCPT was refused";
    if (!cell_body(cell, cell->transaction, BODY)) return "channel gone";
    return cell_commit(cell, cell->transaction, 1) == -2 ? "no verdict" : NULL;
}

static const char *half_frame(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (write(cell->auth, "x", 1) != 1) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "half a frame was taken";
}

static const char *cut_frame(struct cell *cell) {
    uint8_t octets[8];
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    wire_put_u8(&b, 1);
    wire_put_u32(&b, 4000); /* a length with nothing behind it */
    if (!cell_send(cell->auth, SESSION_MAIL, &b)) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "a cut frame was taken";
}

static const char *trailing_octets(struct cell *cell) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    wire_put_u8(&b, 1);
    wire_put_text(&b, "x");
    wire_put_text(&b, "<a@elsewhere.example>");
    wire_put_u8(&b, 7);
    if (!cell_send(cell->auth, SESSION_MAIL, &b)) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "octets behind a frame were taken";
}

static const char *oversized_frame(struct cell *cell) {
    static uint8_t octets[200000];
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    octets[0] = (uint8_t)SESSION_MAIL, octets[1] = SESSION_MAIL >> 8;
    if (write(cell->auth, octets, 150000) < 0) return NULL; /* the kernel would not carry it */
    return cell_ended(cell->auth) ? NULL : "an oversized frame was taken";
}

static const char *trusted_frames(struct cell *cell) {
    static const enum frame_type types[] = {POOL_CHILD,    POOL_EXIT,       TRANSACTION_CLOSED,
                                            ROUTE_REQUEST, QUEUE_SPACE,     VERIFY_RESULT,
                                            MASTER_SETUP,  CONTROL_REQUEST, SESSION_WELCOME};
    static const uint8_t body[40] = {1};
    size_t which = (size_t)cell->out % (sizeof types / sizeof *types);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (frame_send_plain(cell->auth, (uint16_t)types[which], span_of(body, sizeof body)) != 0) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "a frame that is not a session's was taken";
}

static const char *trusted_frames_to_queue(struct cell *cell) {
    static const uint8_t body[40] = {1};
    const char *why = cell_open(cell, "trusted@intruder.example");
    if (why) return why;
    if (frame_send_plain(cell->queue, TRANSACTION_OPEN, span_of(body, sizeof body)) != 0) return "channel gone";
    return cell_ended(cell->queue) ? NULL : "a frame that is auth's was taken by the queue";
}

static const char *descriptor_to_auth(struct cell *cell) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    wire_put_u8(&b, 1);
    wire_put_text(&b, "x");
    wire_put_text(&b, "<a@elsewhere.example>");
    if (frame_send_fd(cell->auth, SESSION_MAIL, buf_span(&b), 0) != 0) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "a descriptor that nobody asked for was taken";
}

static const char *log_forgery(struct cell *cell) {
    uint8_t octets[256];
    unsigned sent = 0;
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    wire_put_u32(&b, (uint32_t)getpid());
    wire_put_u8(&b, ROLE_AUTH);
    sent += frame_send_plain(4, LOG_ROLE, buf_span(&b)) == 0;
    buf_clear(&b);
    wire_put_u32(&b, (uint32_t)getpid());
    wire_put_text(&b, "X-Forged");
    wire_put_bytes(&b, (const uint8_t[18]){0}, 18); /* where an address belongs */
    sent += frame_send_plain(4, LOG_SESSION, buf_span(&b)) == 0;
    buf_clear(&b);
    wire_put_u16(&b, LOG_LOGIN);
    wire_put_u16(&b, KEY_WHAT);
    wire_put_text(&b, "X-Forged login");
    sent += frame_send_plain(4, LOG_LINE, buf_span(&b)) == 0;
    sent += frame_send_plain(4, LOG_FLUSH, (struct span){0}) == 0;
    sent += write(4, "x", 1) == 1;
    return sent ? NULL : "nothing could be sent at all"; /* the driver looks at the log */
}

static bool sign(struct cell *cell, struct span what, uint16_t scheme) {
    uint8_t octets[1024];
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    uint8_t name[KEY_NAME_BYTES] = {0};
    wire_put_u64(&b, 1);
    wire_put_bytes(&b, name, sizeof name);
    wire_put_u16(&b, scheme);
    wire_put_span(&b, what);
    if (!cell_send(cell->keys, SIGN_REQUEST, &b)) return false;
    if (cell_receive(cell->keys, &frame) != FRAME_RECEIVED || frame.type != SIGN_RESULT) return false;
    return frame.body.n > 8 && frame.body.p[8] != 0;
}

static const char *signing_oracle(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1") || !cell_keys(cell)) return "no channel to keys";
    if (sign(cell, SPAN("a certificate request, say"), 0x0403))
        return "something that is no TLS transcript was signed";
    return NULL;
}

static const char *opens_file(struct cell *cell) {
    (void)cell;
    return open("/etc/passwd", O_RDONLY) < 0 && open("/etc/gatepost/gatepost.conf", O_RDONLY) < 0
               ? NULL
               : "a file was opened";
}

static const char *makes_socket(struct cell *cell) {
    (void)cell;
    return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) < 0 ? NULL : "a socket was made";
}

static const char *connects(struct cell *cell) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(25), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return syscall(SYS_connect, cell->auth, &to, sizeof to) < 0 ? NULL : "a connection was made";
}

static const char *forks(struct cell *cell) {
    (void)cell;
    return fork() < 0 ? NULL : "a process was made";
}

static const char *executes(struct cell *cell) {
    (void)cell;
    char *arguments[] = {(char *)(uintptr_t) "/bin/true", NULL};
    execv(arguments[0], arguments);
    return NULL;
}

static const char *traces(struct cell *cell) {
    return ptrace(PTRACE_ATTACH, cell->listener, 0, 0) < 0 ? NULL : "the parent could be traced";
}

static const char *reads_memory(struct cell *cell) {
    uint8_t octets[8];
    struct iovec here = {octets, sizeof octets}, there = {(void *)(uintptr_t)&attacks, sizeof octets};
    return syscall(SYS_process_vm_readv, cell->listener, &here, 1, &there, 1, 0) < 0 ? NULL
                                                                                     : "another process was read";
}

static const char *kills(struct cell *cell) {
    return kill(cell->listener, 0) < 0 ? NULL : "another process could be signalled";
}

static const char *stops_the_listener(struct cell *cell) {
    return syscall(SYS_tgkill, cell->listener, cell->listener, SIGSTOP) < 0
               ? NULL
               : "the listener, which ends who overstays, was stopped";
}

/* A bug is to end its process as one; the listener and other sessions do not mind that signal. */
static const char *aborts_the_listener(struct cell *cell) {
    if (syscall(SYS_tgkill, cell->listener, cell->listener, SIGABRT) != 0) return "abort() would not end as one";
    return poll(NULL, 0, 200) == 0 ? NULL : "poll"; /* that it goes on is seen by the attacks that follow */
}

static const char *grows_its_stack(struct cell *cell) {
    (void)cell;
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_STACK, &all) != 0 ? NULL : "the limit of its stack was lifted";
}

static const char *makes_namespace(struct cell *cell) {
    (void)cell;
    return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 ? NULL : "a namespace was made";
}

/* The kernel's own names for oneself are negative numbers. */
static const char *signals_by_a_special_number(struct cell *cell) {
    (void)cell;
    return syscall(SYS_pidfd_send_signal, -10000, SIGCONT, NULL, 0) < 0 ? NULL
                                                                        : "a number was taken for a descriptor";
}

static const char *maps_code(struct cell *cell) {
    (void)cell;
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? NULL
               : "code was mapped";
}

static const char *makes_memory_file(struct cell *cell) {
    (void)cell;
    return syscall(SYS_memfd_create, "x", 0) < 0 ? NULL : "a memory file was made";
}

static const char *sends_descriptor(struct cell *cell) {
    struct buf empty = {0};
    return frame_send_fd(cell->auth, SESSION_RESET, buf_span(&empty), 0) < 0 ? NULL : "a descriptor was sent";
}

const struct attack attacks[] = {
    {"second announcement", second_announcement, false, 0},
    {"announced as a system user's", local_announcement, false, 0},
    {"MAIL before the announcement", before_announcement, false, 0},
    {"RCPT before MAIL", recipient_before_sender, false, 0},
    {"foreign recipient", foreign_recipient, false, 0},
    {"submission without login", submission_without_login, false, 0},
    {"unknown transaction", unknown_transaction, false, 0},
    {"other number of recipients", wrong_count, false, 0},
    {"second commit", second_commit, false, 0},
    {"commit after RSET", after_reset, false, 0},
    {"body beyond SIZE", beyond_size, false, 0},
    {"control octets in the envelope", control_octets, false, 0},
    {"forged HELO", forged_helo, false, 0},
    {"forged TLS claim", forged_tls, false, 0},
    {"half a frame", half_frame, false, 0},
    {"cut frame", cut_frame, false, 0},
    {"octets behind a frame", trailing_octets, false, 0},
    {"oversized frame", oversized_frame, false, 0},
    {"frames of trusted peers, 1", trusted_frames, false, 0},
    {"frames of trusted peers, 2", trusted_frames, false, 0},
    {"frames of trusted peers, 3", trusted_frames, false, 0},
    {"frames of trusted peers, 4", trusted_frames, false, 0},
    {"frames of trusted peers, 5", trusted_frames, false, 0},
    {"frames of trusted peers, 6", trusted_frames, false, 0},
    {"frames of trusted peers, 7", trusted_frames, false, 0},
    {"frames of trusted peers, 8", trusted_frames, false, 0},
    {"frames of trusted peers, 9", trusted_frames, false, 0},
    {"auth's frames to the queue", trusted_frames_to_queue, false, 0},
    {"descriptor to auth", descriptor_to_auth, true, 0},
    {"forged log lines", log_forgery, false, 0},
    {"log lines without end", flood_of_lines, false, 0},
    {"refused recipients without end", flood_of_recipients, false, 0},
    {"refused senders without end", flood_of_senders, false, 0},
    {"claims about a login", login_claims, false, 0},
    {"an answer without a challenge", login_out_of_turn, false, 0},
    {"two logins at once", login_twice, false, 0},
    {"a binding that is too long", login_bindings_too_long, false, 0},
    {"SCRAM from its end", login_final_first, false, 0},
    {"refused logins without end", flood_of_logins, false, 0},
    {"stray commits without end", flood_of_commits, false, 0},
    {"a group of too many recipients", group_too_large, false, 0},
    {"never reading an answer", never_reads, false, 0},
    {"signing what is no TLS transcript", signing_oracle, false, 0},
    {"a mailbox by SMTP", mailbox_by_smtp, false, 0},
    {"a mailbox by SMTP's port in POP3's name", mailbox_by_pop3s_name, false, 0},
};
const size_t attacks_n = sizeof attacks / sizeof *attacks;

const struct attack escapes[] = {
    {"opening a file", opens_file, false, 0},
    {"making a socket", makes_socket, false, SIGSYS},
    {"connecting", connects, false, SIGSYS},
    {"forking", forks, false, SIGSYS},
    {"executing", executes, false, SIGSYS},
    {"tracing", traces, false, SIGSYS},
    {"reading another process", reads_memory, false, SIGSYS},
    {"signalling", kills, false, SIGSYS},
    {"stopping the listener", stops_the_listener, false, SIGSYS},
    {"aborting the listener", aborts_the_listener, false, 0},
    {"lifting a limit", grows_its_stack, false, SIGSYS},
    {"making a namespace", makes_namespace, false, SIGSYS},
    {"signalling by a special number", signals_by_a_special_number, false, SIGSYS},
    {"mapping code", maps_code, false, SIGSYS},
    {"making a memory file", makes_memory_file, false, SIGSYS},
    {"sending a descriptor", sends_descriptor, false, SIGSYS},
};
const size_t escapes_n = sizeof escapes / sizeof *escapes;

/* The first cell opens T and tells it; the second, with a transaction of its own, tries to commit it. */
static const char *gives_transaction(struct cell *cell) {
    uint8_t verdict;
    const char *why = cell_open(cell, "owner@intruder.example");
    if (why) return why;
    if (!cell_body(cell, cell->transaction, BODY)) return "channel gone";
    if (write(cell->out, cell->transaction, TRANSACTION_BYTES) != TRANSACTION_BYTES) return "pipe";
    if (read(cell->in, &verdict, 1) != 1) return "pipe";
    return cell_commit(cell, cell->transaction, 1) == BODY_DURABLE ? NULL : "its owner could not commit it any more";
}

static const char *takes_transaction(struct cell *cell) {
    uint8_t other[TRANSACTION_BYTES], verdict = 1;
    const char *why = cell_open(cell, "thief@intruder.example");
    if (why) return why;
    if (read(cell->in, other, sizeof other) != sizeof other) return "pipe";
    bool sent = cell_body(cell, other, SPAN("Subject: X-Forged\r\n\r\nstolen\r\n"));
    int outcome = sent ? cell_commit(cell, other, 1) : -1;
    if (write(cell->out, &verdict, 1) != 1) return "pipe";
    return outcome == BODY_DURABLE ? "another session's transaction was committed" : NULL;
}

const struct attack pairs[] = {{"another session's transaction: owner", gives_transaction, false, 0},
                               {"another session's transaction: thief", takes_transaction, false, 0}};
const size_t pairs_n = sizeof pairs / sizeof *pairs;
