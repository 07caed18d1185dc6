/* fault_script.h - the language of faults (gatepost-faults.5): a script's lines, and the magic local parts, as rules.
 * Only in a build with FAULTS=1. The text is the owner's; sizes are bounded all the same. */
#ifndef SERVER_LAB_FAULT_SCRIPT_H
#define SERVER_LAB_FAULT_SCRIPT_H

#include "auth/relay.h"
#include "store/netaddr.h"

#include <stdio.h>

enum {
    FAULT_RULES_MAX = 64,
    FAULT_TEXT_MAX = 16 << 10, /* of a script, in octets */
    FAULT_WORDS_MAX = 24,      /* of a line */
    FAULT_SAY_MAX = 500        /* of what is said in a reply's place */
};

/* name, word */
#define FAULT_COMMANDS(COMMAND)                                                                                      \
    COMMAND(HELO, "helo")                                                                                            \
    COMMAND(EHLO, "ehlo")                                                                                            \
    COMMAND(STARTTLS, "starttls")                                                                                    \
    COMMAND(AUTH, "auth")                                                                                            \
    COMMAND(MAIL, "mail")                                                                                            \
    COMMAND(RCPT, "rcpt")                                                                                            \
    COMMAND(DATA, "data")                                                                                            \
    COMMAND(BDAT, "bdat")                                                                                            \
    COMMAND(RSET, "rset")                                                                                            \
    COMMAND(NOOP, "noop")                                                                                            \
    COMMAND(VRFY, "vrfy")                                                                                            \
    COMMAND(HELP, "help")                                                                                            \
    COMMAND(QUIT, "quit")                                                                                            \
    COMMAND(CAPA, "capa")                                                                                            \
    COMMAND(STLS, "stls")                                                                                            \
    COMMAND(USER, "user")                                                                                            \
    COMMAND(PASS, "pass")                                                                                            \
    COMMAND(STAT, "stat")                                                                                            \
    COMMAND(LIST, "list")                                                                                            \
    COMMAND(UIDL, "uidl")                                                                                            \
    COMMAND(RETR, "retr")                                                                                            \
    COMMAND(TOP, "top")                                                                                              \
    COMMAND(DELE, "dele")

enum fault_where {
    FAULT_NOWHERE = 0,
    FAULT_CONNECT, /* the client is known, nothing was said yet */
    FAULT_TLS,     /* the handshake begins */
    FAULT_BODY,    /* a message's octets: taken by SMTP, sent by POP3 */
    FAULT_COMMAND, /* any of those below, and those that are none */
#define COMMAND(name, word) FAULT_##name,
    FAULT_COMMANDS(COMMAND)
#undef COMMAND
        FAULT_WHERE_COUNT
};

enum fault_action {
    FAULT_NOTHING = 0,
    FAULT_DELAY, /* number: milliseconds */
    FAULT_SLOW,  /* number: octets a second, from there on */
    FAULT_REPLY, /* number: code; text follows it, may be empty */
    FAULT_SAY,   /* text is the line */
    FAULT_CUT,   /* number: octets of the answer that leave */
    FAULT_DROP,
    FAULT_CLOSE,
    FAULT_FAIL, /* the handshake */
    FAULT_ACTION_COUNT
};

enum fault_count { FAULT_ALWAYS = 0, FAULT_NTH, FAULT_FIRST, FAULT_EVERY, FAULT_FROM };

/* Spans are views into the script's text; empty: no such condition. */
struct fault_rule {
    unsigned line; /* of the script; 0: of a local part */
    enum fault_where where;
    uint8_t role;            /* enum relay_role; RELAY_ROLE_UNKNOWN: any */
    struct span match, user; /* globs */
    bool has_client;
    struct network client;
    enum fault_count count;
    uint64_t number_of_count;
    uint32_t percent;     /* 0: no such condition */
    uint64_t after_bytes; /* body: 0: at its end */
    enum fault_action action;
    uint64_t number;
    struct span text;
};

struct fault_script {
    struct fault_rule rules[FAULT_RULES_MAX];
    size_t n;
    uint64_t seed;
    bool magic; /* local parts ask for faults too */
    uint8_t text[FAULT_TEXT_MAX];
};

/* Reads a script; *out lasts as long as its rules are used. Mistakes go to `errors` (NULL: nowhere), a line each,
 * "name:line: what, and the likely meant word"; false when there was one. */
bool fault_script_read(struct fault_script *out, struct span text, const char *name, FILE *errors) MUST_USE;

/* The rule that the local part of an address (or what follows the last + in it) asks for: ACTION, its value, WHERE
 * and for body after how much, with hyphens between them; without WHERE it is `here`. False: it is a plain one. */
bool fault_script_magic(struct span address, enum fault_where here, struct fault_rule *out) MUST_USE;

/* The command that begins so: FAULT_COMMAND when it is none. */
enum fault_where fault_script_command(struct span word);

const char *fault_where_word(enum fault_where where);
const char *fault_action_word(enum fault_action action);

/* Whether a glob, with * and ?, is all of the text, but for ASCII case. */
bool fault_glob(struct span glob, struct span text);

#endif
