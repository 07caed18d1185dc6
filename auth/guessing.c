/* guessing.c - when the throttle is read and written.
 * Runs in: auth. Trusts: its setup and its database. Never: makes a login wait for a disk. */
#include "auth/guessing.h"

#include "auth/identity.h"
#include "auth/throttle_store.h"
#include "store/clock.h"
#include "store/log.h"

enum {
    SAVE_EVERY_MS = 3000,
    SAVE_AGAIN_MS = 60000, /* after one that failed: it is logged each time */
    SAVE_SLOTS = 512       /* a few milliseconds of work */
};

static struct throttle_time time_now(void) {
    return (struct throttle_time){clock_ms(), clock_wall_ms()};
}

static void changed(void *context, int64_t user_id, int64_t gone) {
    struct auth *auth = context;
    (void)user_id, (void)gone;
    throttle_credentials_changed(auth->throttle, clock_ms());
}

int guessing_open(struct auth *auth) {
    uint8_t key[THROTTLE_KEY_BYTES];
    if (throttle_key(auth->house.db, key) != 0) return -1;
    auth->throttle = throttle_open(&auth->setup.throttle, key);
    if (!auth->throttle || throttle_load(auth->throttle, auth->house.db, time_now()) != 0) {
        log_fault("the counters of failed logins could not be read", 0);
        return -1;
    }
    account_watch(changed, auth);
    return 0;
}

void guessing_limit(struct auth *auth) {
    throttle_limit(auth->throttle, &auth->setup.throttle);
}

int guessing_round(struct auth *auth) {
    uint64_t now = clock_ms();
    if (!throttle_unsaved(auth->throttle)) return -1;
    if (!auth->throttle_save_at) auth->throttle_save_at = now + SAVE_EVERY_MS;
    if (now < auth->throttle_save_at) return (int)(auth->throttle_save_at - now);
    int saved = throttle_save(auth->throttle, auth->house.db, time_now(), SAVE_SLOTS);
    auth->throttle_save_at = saved == 0 ? 0 : now + SAVE_AGAIN_MS;
    return saved == 0 ? SAVE_EVERY_MS : SAVE_AGAIN_MS;
}

void guessing_close(struct auth *auth) {
    if (!auth->throttle) return;
    while (throttle_unsaved(auth->throttle))
        if (throttle_save(auth->throttle, auth->house.db, time_now(), SAVE_SLOTS) != 0) break;
    throttle_close(auth->throttle);
    auth->throttle = NULL;
}

uint64_t guessing_login(const struct auth *auth, struct span name) {
    uint8_t storage[ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    return throttle_account_key(auth->throttle, identity_login_name(name, &b) ? buf_span(&b) : name);
}

uint64_t guessing_account(const struct auth *auth, struct span name) {
    struct key key;
    if (facts_login_name(&auth->house, name, &key)) return throttle_account_key(auth->throttle, key_span(&key));
    return guessing_login(auth, name);
}
