/* notice.c - notices to the postmaster, one after another.
 * Runs in: auth. Trusts: the queue for what it has. Never: names a recipient. */
#include "auth/notice.h"

#include "auth/auth.h"
#include "store/clock.h"

#include <errno.h>

enum { AGAIN_MS = 60000 };

int notice_put(struct auth *auth, enum notice_kind kind, struct span about, struct span why) {
    struct statement *statement =
        database_statement(auth->house.db, "INSERT INTO notices(kind, about, why, created) VALUES(?1, ?2, ?3, ?4)");
    statement_put_number(statement, 1, kind);
    statement_put_text(statement, 2, span_part(about, 0, NOTICE_ABOUT_MAX));
    statement_put_text(statement, 3, span_part(why, 0, NOTICE_WHY_MAX));
    statement_put_number(statement, 4, (int64_t)(clock_wall_ms() / 1000));
    if (statement_run(statement) != 1) return -1;
    auth->notices.none = false;
    auth->notices.due_ms = 0;
    return 0;
}

static int again(struct auth *auth) {
    auth->notices.sent = 0;
    auth->notices.due_ms = clock_ms() + AGAIN_MS;
    return AGAIN_MS;
}

static int send_first(struct auth *auth, struct auth_link *queue) {
    static uint8_t storage[NOTICE_ABOUT_MAX + NOTICE_WHY_MAX + 64];
    struct buf b = BUF_OVER(storage);
    struct statement *statement =
        database_statement(auth->house.db, "SELECT id, kind, about, why FROM notices ORDER BY id LIMIT 1");
    enum database_step step = statement_step(statement);
    auth->notices.none = step == DATABASE_DONE;
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? -1 : again(auth);
    int64_t id = statement_get_number(statement, 0);
    wire_put_u64(&b, (uint64_t)id);
    wire_put_u8(&b, (uint8_t)statement_get_number(statement, 1));
    wire_put_span(&b, statement_get_text(statement, 2));
    wire_put_span(&b, statement_get_text(statement, 3));
    statement_reset(statement);
    if (!buf_ok(&b) || !auth_tell(queue, NOTICE_WANTED, buf_span(&b), -1)) {
        log_fault("telling the queue of a notice", errno);
        return again(auth);
    }
    auth->notices.sent = id;
    return -1;
}

int notice_round(struct auth *auth) {
    struct notices *notices = &auth->notices;
    struct auth_link *queue = auth_find_link(auth, ROLE_QUEUE, 0);
    if (notices->none || notices->sent || !queue) return -1;
    uint64_t now = clock_ms();
    return now < notices->due_ms ? (int)(notices->due_ms - now) : send_first(auth, queue);
}

int notice_result(struct auth *auth, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    int64_t id = (int64_t)wire_get_u64(&w);
    unsigned queued = wire_get_u8(&w);
    if (!wire_end(&w) || queued > 1) return -1;
    if (id != auth->notices.sent) return 0;
    auth->notices.sent = 0;
    struct statement *statement = database_statement(auth->house.db, "DELETE FROM notices WHERE id = ?1");
    statement_put_number(statement, 1, id);
    /* One that is queued and cannot be crossed out comes again. */
    if (!queued || statement_run(statement) != 1) (void)again(auth);
    return 0;
}

void notice_queue_lost(struct auth *auth) {
    auth->notices.sent = 0;
    auth->notices.due_ms = 0;
}
