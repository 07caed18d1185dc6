/* login_cache.h - logins that were right lately, so that the same name and password again need no hash. What is kept
 * is the verifier's tag of the two (store/frames.h), of which nothing can be told without a key that is not here.
 * Finding one says which credential it was, and nothing more: whoever asks holds that against what the name opens
 * now. */
#ifndef AUTH_LOGIN_CACHE_H
#define AUTH_LOGIN_CACHE_H

#include "store/frames.h"
#include "store/span.h"

enum { LOGIN_CACHE_MAX = 4096 };

/* By number from 1; 0 is none. */
struct login_cache_entry {
    uint8_t tag[VERIFY_TAG_BYTES];
    int64_t user_id, credential_id;
    uint64_t until_ms;
    uint16_t next;         /* in its bucket; or of the free ones */
    uint16_t newer, older; /* by last use */
};

/* Empty when zero. When it is full, what was used longest ago goes. */
struct login_cache {
    struct login_cache_entry entries[LOGIN_CACHE_MAX + 1];
    uint16_t buckets[LOGIN_CACHE_MAX];
    uint16_t newest, oldest, free, used; /* used: so many places were ever taken */
    uint16_t n;
};

/* The credential by which this user's login was right, or 0. Times are clock_ms, handed in. */
int64_t login_cache_find(struct login_cache *cache, const uint8_t tag[VERIFY_TAG_BYTES], int64_t user_id,
                         uint64_t now_ms) MUST_USE;

/* It was right, and counts until then; a tag of zeros (there was no password) is not kept. */
void login_cache_keep(struct login_cache *cache, const uint8_t tag[VERIFY_TAG_BYTES], int64_t user_id,
                      int64_t credential_id, uint64_t until_ms);

/* Something about the user has changed; 0: about everybody. */
void login_cache_forget(struct login_cache *cache, int64_t user_id);

#endif
