/* test_agent_mailbox.c - mailbox agents as processes: what a session can get, and what a hostile one cannot. */
#include "tests/unit/fake_queue.h"
#include "tests/unit/mailbox_session.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mailbox_world world;
static uint8_t text[1 << 20];

static void start(void) {
    mailbox_world_start(&world, 4);
}

static void stop(void) {
    mailbox_world_stop(&world);
}

static bool there(const char *path) {
    char place[512];
    (void)snprintf(place, sizeof place, "%s/example.test/%s", world.root, path);
    return access(place, F_OK) == 0;
}

static void three(void) {
    mailbox_put(&world, "alice", "cur/1.a:2,S", SPAN("Subject: a\n\none\n"));
    mailbox_put(&world, "alice", "new/2.b", SPAN("Subject: b\r\n\r\n.\r\n"));
    mailbox_put(&world, "alice", "new/3.c", SPAN("Subject: c\n\nno end"));
}

static int open_alice(void) {
    struct mailbox_opened opened;
    int session = mailbox_session(&world, "alice@example.test", &opened);
    cr_assert_eq(opened.answer, MAILBOX_READY);
    return session;
}

/* Once more: the agent before may still be on its way out. */
static int open_again(const char *user, struct mailbox_opened *opened_out) {
    for (;;) {
        int session = mailbox_session(&world, user, opened_out);
        if (opened_out->answer != MAILBOX_IN_USE) return session;
        close(session);
    }
}

Test(agent_mailbox, list_read_remove, .init = start, .fini = stop) {
    struct mailbox_session_entry entries[SESSION_IDS_MAX];
    struct mailbox_opened opened;
    uint32_t removed, failed;
    three();
    int session = mailbox_session(&world, "alice@example.test", &opened);
    cr_expect(opened.answer == MAILBOX_READY && opened.messages == 3 && opened.bytes == 19 + 17 + 22, "%llu",
              (unsigned long long)opened.bytes);
    cr_assert_eq(mailbox_session_list(session, 0, 0, entries), 3);
    cr_expect(entries[0].bytes == 19 && entries[1].bytes == 17 && entries[2].bytes == 22);
    cr_expect_str_eq(entries[1].id, "2.b");
    cr_expect_eq(mailbox_session_list(session, 1, 1, entries), 1);
    cr_expect_str_eq(entries[0].id, "2.b");
    cr_expect_eq(mailbox_session_list(session, 3, 0, entries), 0);
    cr_expect_eq(mailbox_session_list(session, UINT32_MAX, UINT16_MAX, entries), 0);
    cr_expect_eq(mailbox_session_read(session, 0, MAILBOX_WHOLE, text, sizeof text), 19);
    cr_expect(memcmp(text, "Subject: a\r\n\r\none\r\n", 19) == 0);
    cr_expect_eq(mailbox_session_read(session, 2, 0, text, sizeof text), 14);
    cr_expect(memcmp(text, "Subject: c\r\n\r\n", 14) == 0);
    cr_assert(mailbox_session_quit(session, 5) && mailbox_session_done(session, &removed, &failed));
    cr_expect(removed == 2 && failed == 0);
    cr_expect(mailbox_session_ended(session));
    cr_expect(!there("alice/cur/1.a:2,S") && there("alice/new/2.b") && !there("alice/new/3.c"));
    close(session);
}

/* A message as large as any: it does not fit the channel, and comes all the same. */
Test(agent_mailbox, large_message, .init = start, .fini = stop) {
    static uint8_t file[700000];
    memset(file, 'x', sizeof file);
    for (size_t i = 76; i < sizeof file; i += 77) file[i] = '\n';
    mailbox_put(&world, "alice", "new/1.a", span_of(file, sizeof file));
    int session = open_alice();
    ssize_t n = mailbox_session_read(session, 0, MAILBOX_WHOLE, text, sizeof text);
    cr_assert_eq(n, (ssize_t)(sizeof file + sizeof file / 77 + 2));
    for (size_t i = 0, at = 0; i < sizeof file; i++) {
        if (file[i] == '\n') cr_assert_eq(text[at++], '\r');
        cr_assert_eq(text[at++], file[i], "octet %zu", i);
    }
    close(session);
}

/* Mail is made where there was none, and what comes meanwhile is the next session's. */
Test(agent_mailbox, new_user_and_deliveries, .init = start, .fini = stop) {
    struct mailbox_session_entry entries[SESSION_IDS_MAX];
    struct mailbox_opened opened;
    struct fake_answer answer;
    int session = mailbox_session(&world, "bob@example.test", &opened);
    cr_expect(opened.answer == MAILBOX_READY && opened.messages == 0 && opened.bytes == 0);
    int agent = fake_queue_agent(world.queue, 1, DESTINATION_MAILDIR, "bob@example.test");
    struct fake_job job = {.number = 1,
                           .name = "MSG",
                           .sender = "a@b.example",
                           .body = SPAN("a\r\r\n.\r\n"),
                           .n = 1,
                           .recipients = {{.address = "bob@example.test"}}};
    fake_queue_send(agent, &job);
    cr_assert(fake_queue_answer(agent, &answer));
    cr_expect_eq(answer.outcome, JOB_DELIVERED);
    close(agent);
    cr_expect_eq(mailbox_session_list(session, 0, 0, entries), 0);
    close(session);
    session = open_again("bob@example.test", &opened);
    cr_expect_eq(opened.messages, 1);
    ssize_t n = mailbox_session_read(session, 0, MAILBOX_WHOLE, text, sizeof text);
    cr_expect_eq(n, (ssize_t)opened.bytes);
    cr_expect(n > 7 && memcmp(text + n - 7, "a\r\r\n.\r\n", 7) == 0);
    close(session);
}

Test(agent_mailbox, in_use, .init = start, .fini = stop) {
    struct mailbox_opened opened;
    three();
    int first = open_alice(), second = mailbox_session(&world, "alice@example.test", &opened);
    cr_expect(opened.answer == MAILBOX_IN_USE && opened.messages == 0);
    cr_expect(mailbox_session_ended(second));
    close(second);
    second = mailbox_session(&world, "carol@example.test", &opened);
    cr_expect_eq(opened.answer, MAILBOX_READY);
    mailbox_kill_agents(&world);
    cr_expect(mailbox_session_ended(first) && mailbox_session_ended(second));
    close(first), close(second);
    close(open_alice()); /* the lock went with the agent */
}

Test(agent_mailbox, too_many, .init = start, .fini = stop) {
    struct mailbox_opened opened;
    char user[64];
    int sessions[5];
    for (int i = 0; i < 4; i++) {
        (void)snprintf(user, sizeof user, "u%d@example.test", i);
        sessions[i] = mailbox_session(&world, user, &opened);
        cr_expect_eq(opened.answer, MAILBOX_READY);
    }
    sessions[4] = mailbox_session_begin(&world, "last@example.test");
    cr_expect(mailbox_session_ended(sessions[4]));
    int agent = fake_queue_agent(world.queue, 1, DESTINATION_MAILDIR, "u0@example.test");
    cr_expect(agent >= 0, "mail is delivered however many read theirs");
    close(agent);
    for (int i = 0; i < 5; i++) close(sessions[i]);
}

Test(agent_mailbox, no_mailbox, .init = start, .fini = stop) {
    struct mailbox_opened opened;
    int session = mailbox_session(&world, "alice@..", &opened);
    cr_expect_eq(opened.answer, MAILBOX_NONE);
    close(session);
    mailbox_put(&world, "dave", "new", SPAN("no directory"));
    session = mailbox_session(&world, "dave@example.test", &opened);
    cr_expect_eq(opened.answer, MAILBOX_FAULT);
    close(session);
}

/* A size that is wrong in the file of sizes is right again once the message was read. */
Test(agent_mailbox, wrong_size_is_corrected, .init = start, .fini = stop) {
    struct mailbox_session_entry entries[SESSION_IDS_MAX];
    mailbox_put(&world, "alice", "new/1.a", SPAN("a\nb\n"));
    int session = open_alice();
    cr_expect(mailbox_session_list(session, 0, 0, entries) == 1 && entries[0].bytes == 6);
    close(session);
    mailbox_put(&world, "alice", "new/1.a", SPAN("a\nb\nc\n"));
    struct mailbox_opened opened;
    for (int round = 0; round < 2; round++) {
        session = open_again("alice@example.test", &opened);
        cr_expect_eq(opened.bytes, round ? 9 : 6);
        cr_expect_eq(mailbox_session_read(session, 0, MAILBOX_WHOLE, text, sizeof text), 9);
        close(session);
    }
}

/* ---- a session that was taken over */

static const struct attack {
    const char *name;
    struct {
        uint16_t type;
        struct span body;
    } frames[3];
} attacks[] = {
    {"read behind the end", {{MAILBOX_READ, SPAN("\3\0\0\0\0\0\0\0")}}},
    {"read far behind the end", {{MAILBOX_READ, SPAN("\377\377\377\377\0\0\0\0")}}},
    {"read cut", {{MAILBOX_READ, SPAN("\0\0\0\0\0\0\0")}}},
    {"read with more", {{MAILBOX_READ, SPAN("\0\0\0\0\0\0\0\0x")}}},
    {"list cut", {{MAILBOX_LIST, SPAN("\0\0\0\0\0")}}},
    {"list of nothing", {{MAILBOX_LIST, SPAN("")}}},
    {"mark behind the end", {{MAILBOX_MARK, SPAN("\0\0\0\0\10")}}},
    {"mark in the next octet", {{MAILBOX_MARK, SPAN("\0\0\0\0\1\1")}}},
    {"mark from behind the end", {{MAILBOX_MARK, SPAN("\10\0\0\0\1")}}},
    {"mark from far behind", {{MAILBOX_MARK, SPAN("\370\377\377\377\1")}}},
    {"mark between octets", {{MAILBOX_MARK, SPAN("\1\0\0\0\1")}}},
    {"mark cut", {{MAILBOX_MARK, SPAN("\0\0\0")}}},
    {"quit by another number", {{MAILBOX_MARK, SPAN("\0\0\0\0\7")}, {MAILBOX_QUIT, SPAN("\2\0\0\0")}}},
    {"quit with nothing marked", {{MAILBOX_QUIT, SPAN("\3\0\0\0")}}},
    {"quit cut", {{MAILBOX_MARK, SPAN("\0\0\0\0\7")}, {MAILBOX_QUIT, SPAN("\3\0\0")}}},
    {"quit with more", {{MAILBOX_MARK, SPAN("\0\0\0\0\7")}, {MAILBOX_QUIT, SPAN("\3\0\0\0\0")}}},
    {"read after a mark", {{MAILBOX_MARK, SPAN("\0\0\0\0\1")}, {MAILBOX_READ, SPAN("\0\0\0\0\0\0\0\0")}}},
    {"list after a mark", {{MAILBOX_MARK, SPAN("\0\0\0\0\1")}, {MAILBOX_LIST, SPAN("\0\0\0\0\0\0")}}},
    {"an answer", {{MAILBOX_OPENED, SPAN("\1\0\0\0\0\0\0\0\0\0\0\0\0")}}},
    {"an answer that says done", {{MAILBOX_MARK, SPAN("\0\0\0\0\7")}, {MAILBOX_DONE, SPAN("\3\0\0\0\0\0\0\0")}}},
    {"auth's frame", {{MAILBOX_WANTED, SPAN("\1\0\0\0s\17\0\0\0bob@example.test")}}},
    {"a job of the queue's", {{JOB_OPEN, SPAN("\0\0\0\0\0\0\0\0")}}},
    {"a bundle", {{FRAME_BUNDLE, SPAN("\4\21\4\0\0\0\0\0\0\0")}}},
    {"type zero", {{0, SPAN("")}}},
};

Test(agent_mailbox, bad_frames_end_it, .init = start, .fini = stop) {
    three();
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        struct mailbox_opened opened;
        int session = open_again("alice@example.test", &opened);
        cr_assert_eq(opened.messages, 3, "after %s", i ? attacks[i - 1].name : "nothing");
        for (size_t j = 0; j < 3 && (attacks[i].frames[j].type || j == 0); j++)
            mailbox_session_say(session, attacks[i].frames[j].type, attacks[i].frames[j].body.p,
                                attacks[i].frames[j].body.n);
        cr_expect(mailbox_session_ended(session), "%s", attacks[i].name);
        close(session);
    }
    cr_expect(there("alice/cur/1.a:2,S") && there("alice/new/2.b") && there("alice/new/3.c"));
}

/* Descriptors are nobody's to hand to an agent. */
Test(agent_mailbox, descriptor_ends_it, .init = start, .fini = stop) {
    three();
    int session = open_alice(), fd = open("/dev/null", O_RDONLY);
    cr_assert_eq(frame_send_fd(session, MAILBOX_LIST, SPAN("\0\0\0\0\0\0"), fd), 0);
    cr_expect(mailbox_session_ended(session));
    close(fd), close(session);
}

/* Marks are nothing without QUIT, whatever ends the session; one that reads nothing holds up nobody else. */
Test(agent_mailbox, marks_without_quit, .init = start, .fini = stop) {
    static uint8_t file[500000];
    three();
    memset(file, '\n', sizeof file);
    mailbox_put(&world, "alice", "new/4.d", span_of(file, sizeof file));
    int session = open_alice();
    mailbox_session_say(session, MAILBOX_MARK, "\0\0\0\0\17", 5);
    close(session);
    struct mailbox_opened opened;
    session = open_again("alice@example.test", &opened);
    cr_expect_eq(opened.messages, 4);
    mailbox_session_say(session, MAILBOX_READ, "\3\0\0\0\377\377\377\377", 8); /* and takes no answer */
    int other = mailbox_session(&world, "bob@example.test", &opened);
    cr_expect_eq(opened.answer, MAILBOX_READY);
    close(other), close(session);
    close(open_again("alice@example.test", &opened));
    cr_expect_eq(opened.messages, 4);
}
