/* login_cache.c - a table of fixed size by tag, and a list by last use.
 * Runs in: auth. Trusts: the verifiers' tags. Never: holds a password, makes a login of anything by itself. */
#include "auth/login_cache.h"

static bool is_tag(const uint8_t tag[VERIFY_TAG_BYTES]) {
    static const uint8_t none[VERIFY_TAG_BYTES];
    return memcmp(tag, none, VERIFY_TAG_BYTES) != 0;
}

/* A tag is a keyed hash: nobody chooses where it goes. */
static uint16_t *bucket_of(struct login_cache *cache, const uint8_t tag[VERIFY_TAG_BYTES]) {
    return &cache->buckets[(tag[0] | tag[1] << 8) % LOGIN_CACHE_MAX];
}

static uint16_t *find(struct login_cache *cache, const uint8_t tag[VERIFY_TAG_BYTES]) {
    uint16_t *at = bucket_of(cache, tag);
    while (*at && memcmp(cache->entries[*at].tag, tag, VERIFY_TAG_BYTES) != 0) at = &cache->entries[*at].next;
    return at;
}

static void unlink_entry(struct login_cache *cache, uint16_t number) {
    struct login_cache_entry *entries = cache->entries, *entry = &entries[number];
    *(entry->newer ? &entries[entry->newer].older : &cache->newest) = entry->older;
    *(entry->older ? &entries[entry->older].newer : &cache->oldest) = entry->newer;
}

static void put_first(struct login_cache *cache, uint16_t number) {
    struct login_cache_entry *entries = cache->entries;
    entries[number].newer = 0;
    entries[number].older = cache->newest;
    *(cache->newest ? &entries[cache->newest].newer : &cache->oldest) = number;
    cache->newest = number;
}

static void drop(struct login_cache *cache, uint16_t number) {
    struct login_cache_entry *entry = &cache->entries[number];
    uint16_t *at = bucket_of(cache, entry->tag);
    while (*at != number) at = &cache->entries[*at].next;
    *at = entry->next;
    unlink_entry(cache, number);
    explicit_bzero(entry, sizeof *entry);
    entry->next = cache->free;
    cache->free = number;
    cache->n--;
}

static uint16_t take_place(struct login_cache *cache) {
    if (!cache->free && cache->used == LOGIN_CACHE_MAX) drop(cache, cache->oldest);
    uint16_t number = cache->free;
    if (!number) return ++cache->used;
    cache->free = cache->entries[number].next;
    return number;
}

int64_t login_cache_find(struct login_cache *cache, const uint8_t tag[VERIFY_TAG_BYTES], int64_t user_id,
                         uint64_t now_ms) {
    uint16_t number = is_tag(tag) ? *find(cache, tag) : 0;
    struct login_cache_entry *entry = &cache->entries[number];
    if (!number || entry->user_id != user_id) return 0;
    if (entry->until_ms <= now_ms) {
        drop(cache, number);
        return 0;
    }
    unlink_entry(cache, number);
    put_first(cache, number);
    return entry->credential_id;
}

void login_cache_keep(struct login_cache *cache, const uint8_t tag[VERIFY_TAG_BYTES], int64_t user_id,
                      int64_t credential_id, uint64_t until_ms) {
    if (!is_tag(tag)) return;
    uint16_t number = *find(cache, tag);
    if (number) drop(cache, number);
    number = take_place(cache);
    uint16_t *bucket = bucket_of(cache, tag);
    struct login_cache_entry *entry = &cache->entries[number];
    *entry = (struct login_cache_entry){
        .user_id = user_id, .credential_id = credential_id, .until_ms = until_ms, .next = *bucket};
    memcpy(entry->tag, tag, sizeof entry->tag);
    *bucket = number;
    put_first(cache, number);
    cache->n++;
}

void login_cache_forget(struct login_cache *cache, int64_t user_id) {
    for (uint16_t number = cache->newest, next; number; number = next) {
        next = cache->entries[number].older;
        if (!user_id || cache->entries[number].user_id == user_id) drop(cache, number);
    }
}
