/* suspend.c - suspending, and telling of it.
 * Runs in: auth. Trusts: the database. Never: lifts a suspension. */
#include "auth/suspend.h"

#include "auth/account.h"
#include "auth/notice.h"
#include "store/clock.h"

/* "alice@example.test", or "alice@example.test by the credential phone". */
static bool put_about(struct auth *auth, const struct quota_holder *holder, struct buf *b) {
    struct statement *statement = database_statement(
        auth->house.db, "SELECT login, '' FROM users WHERE ?1 = 0 AND id = ?2 UNION ALL SELECT u.login, c.name"
                        " FROM credentials c JOIN users u ON u.id = c.user_id WHERE ?1 = 1 AND c.id = ?2");
    if (holder->kind == QUOTA_SYSTEM) {
        buf_put_span(b, holder->name);
        return buf_ok(b);
    }
    statement_put_number(statement, 1, holder->kind == QUOTA_CREDENTIAL);
    statement_put_number(statement, 2, holder->id);
    if (statement_step(statement) != DATABASE_ROW) return false;
    struct span name = statement_get_text(statement, 1);
    buf_put_span(b, statement_get_text(statement, 0));
    if (name.n) buf_put_text(b, " by the credential "), buf_put_span(b, name);
    statement_reset(statement);
    return buf_ok(b);
}

static void put_why(const struct peer *peer, const struct quota_suspect *suspect, struct buf *b) {
    char text[NETADDR_TEXT_MAX];
    buf_put_number(b, suspect->refused);
    buf_put_text(b, " messages were refused over its quota within an hour, the last one ");
    if (peer_is_local(peer)) {
        buf_put_text(b, "from this host");
    } else {
        buf_put_text(b, "from ");
        buf_put_text(b, netaddr_text_client(&peer->client.address, text));
    }
}

static int write_down(struct auth *auth, const struct quota_holder *holder, struct span about, struct span why) {
    uint64_t now = clock_wall_ms();
    if (database_begin(auth->house.db) != 0) return -1;
    bool done = holder->kind == QUOTA_USER ? account_suspend(auth->house.db, holder->id, now) == ACCOUNT_CHANGED
                                           : quota_suspend(&auth->quota, holder, now / 1000) == 0;
    if (done && notice_put(auth, NOTICE_SUSPENDED, about, why) == 0 && database_commit(auth->house.db) == 0) return 0;
    database_rollback(auth->house.db);
    return -1;
}

void suspend_consider(struct peer *peer, const struct quota_principal *payer, enum quota_what what) {
    uint8_t about_storage[NOTICE_ABOUT_MAX], why_storage[NOTICE_WHY_MAX];
    struct buf about = BUF_OVER(about_storage), why = BUF_OVER(why_storage);
    struct auth *auth = peer->auth;
    struct quota_suspect suspect;
    struct log_line line;
    if (!quota_refused(&auth->quota, payer, what, &suspect)) return;
    put_why(peer, &suspect, &why);
    if (!put_about(auth, &suspect.holder, &about) ||
        write_down(auth, &suspect.holder, buf_span(&about), buf_span(&why)) != 0) {
        log_fault("suspending who is far over the quota", 0);
        return;
    }
    peer_log(&line, LOG_SUSPENDED, peer);
    quota_log_holder(&line, auth->house.db, &suspect.holder);
    log_span(&line, KEY_WHY, buf_span(&why));
    log_number(&line, KEY_COUNT, suspect.refused);
    log_send(&line);
}
