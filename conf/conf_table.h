/* conf_table.h - every key of the configuration file, one row each: the reader, the printer, the checks of sample
 * and manual all work from these rows. */
#ifndef CONF_CONF_TABLE_H
#define CONF_CONF_TABLE_H

#include "conf/conf.h"

enum conf_kind {
    CONF_KIND_NONE = 0,
    CONF_KIND_COUNT,     /* whole number; uint32_t or uint16_t by `size` */
    CONF_KIND_BYTES,     /* "25M"; uint64_t */
    CONF_KIND_TIME,      /* "15m"; uint64_t of milliseconds */
    CONF_KIND_SWITCH,    /* true or false; bool */
    CONF_KIND_CHOICE,    /* one of `choices`; an enum */
    CONF_KIND_DOMAIN,    /* char *, A-labels in lower case */
    CONF_KIND_HOST,      /* char *, domain or address */
    CONF_KIND_PATH,      /* char *, absolute */
    CONF_KIND_USER,      /* char *, a system user's name */
    CONF_KIND_MAILBOX,   /* char *, local@domain */
    CONF_KIND_LOGIN,     /* char *, any text without control octets */
    CONF_KIND_DELIVERY,  /* char *, "maildir" or "lmtp:" and an endpoint */
    CONF_KIND_DELIMITER, /* char *, one octet or none */
    CONF_KIND_NETWORK,   /* struct network */
    CONF_KIND_LISTEN,    /* struct netaddr; "*:25" makes two */
    CONF_KIND_GROUPS     /* list of groups, see `elements` */
};

struct conf_elements; /* what the groups of a list hold */

struct conf_key {
    const char *path; /* "limits.pool"; within a list of groups "listen.role" */
    enum conf_kind kind;
    bool many;                  /* a list; the field is a pointer, and a size_t follows it */
    bool required;              /* no default; for char * without it an absent value is "" */
    size_t offset, size;        /* of the field in its struct; for `many` the size of one item */
    const char *standard;       /* default in the file's own words, items separated by blanks; NULL: empty */
    uint64_t min, max;          /* for COUNT, BYTES, TIME */
    const char *const *choices; /* position is the value; "" is none; ended by NULL */
    const struct conf_elements *elements;
    const char *doc;
};

struct conf_elements {
    const struct conf_key *keys;
    size_t n;
    bool plain; /* a text in place of a group sets the first key */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_keys_n;

/* Whether the kind is held as a char * that conf_free frees. */
bool conf_kind_is_text(enum conf_kind kind);

/* The name without what stands before its last dot. */
const char *conf_key_name(const struct conf_key *key);

/* The field of `key` in `base` (a struct conf, or an element of a list). */
void *conf_key_field(const struct conf_key *key, void *base);

/* A list field: its items and their number, which always stand side by side. */
struct conf_array {
    void *items;
    size_t n;
};
struct conf_array conf_array_get(const void *field);
void conf_array_set(void *field, struct conf_array array);

#endif
