/* pop3_reply.h - every sentence that a POP3 session says. Codes in brackets: RFC 2449 8, RFC 3206. */
#ifndef SERVER_INBOUND_POP3_REPLY_H
#define SERVER_INBOUND_POP3_REPLY_H

#include "auth/reason.h"
#include "store/buf.h"

enum { POP3_REPLY_LINE_MAX = 512 }; /* RFC 2449 4 */

/* name, it is +OK, text */
#define POP3_REPLIES(ROW)                                                                                            \
    ROW(FAULT, false, "[SYS/TEMP] Something failed on our side, please try again later")                             \
    ROW(OK, true, "Fine")                                                                                            \
    ROW(GOODBYE, true, "Goodbye")                                                                                    \
    ROW(NOT_REMOVED, false, "[SYS/TEMP] Not all messages could be removed")                                          \
    ROW(UNKNOWN_COMMAND, false, "No such command")                                                                   \
    ROW(LINE_TOO_LONG, false, "The line is too long")                                                                \
    ROW(BAD_LINE, false, "A line ends in CRLF and holds no other control octet")                                     \
    ROW(NO_ARGUMENT, false, "This command takes no argument")                                                        \
    ROW(BAD_ARGUMENT, false, "This command needs another argument")                                                  \
    ROW(LOGIN_FIRST, false, "Log in first")                                                                          \
    ROW(LOGIN_TWICE, false, "You are logged in already")                                                             \
    ROW(NEEDS_TLS, false, "Switch on encryption (STLS) in your mail program, then log in")                           \
    ROW(USER, true, "Now the password")                                                                              \
    ROW(USER_FIRST, false, "Say USER first")                                                                         \
    ROW(AUTH_REJECTED, false, "[AUTH] User name or password is wrong")                                               \
    ROW(AUTH_LATER, false, "[SYS/TEMP] Logging in is not possible just now, please try again later")                 \
    ROW(AUTH_HELD, false, "[SYS/TEMP] Too many failed logins from your network, please try again later")             \
    ROW(AUTH_MALFORMED, false, "The login data is malformed")                                                        \
    ROW(AUTH_CANCELLED, false, "Login cancelled")                                                                    \
    ROW(AUTH_MECHANISM, false,                                                                                       \
        "This way to log in is not offered: choose a normal password, and clear the Secure Password "                \
        "Authentication (SPA) box in your mail program")                                                             \
    ROW(AUTH_TOO_MANY, false, "[AUTH] Too many failed logins, closing")                                              \
    ROW(TOO_MANY, false, "Too many failures, closing")                                                               \
    ROW(IN_USE, false, "[IN-USE] Another program is logged in to this mailbox; try again when it is done")           \
    ROW(NO_MAILBOX, false, "[SYS/PERM] Your mailbox cannot be opened here; ask your postmaster")                     \
    ROW(NO_MESSAGE, false, "There is no such message")                                                               \
    ROW(REMOVED, false, "This message is marked to be removed")                                                      \
    ROW(MARKED, true, "Marked, to be removed at QUIT")                                                               \
    ROW(TLS_READY, true, "Go on with TLS")                                                                           \
    ROW(TLS_UNAVAILABLE, false, "[SYS/TEMP] TLS is not available just now")                                          \
    ROW(TLS_ALREADY, false, "TLS is in use already")                                                                 \
    ROW(TLS_NOT_HERE, false, "STLS is not offered here")                                                             \
    ROW(PROXY, false, "[SYS/PERM] No usable PROXY header came, closing")                                             \
    ROW(SHUTDOWN, false, "[SYS/TEMP] The server has ended this session, please try again")

enum pop3_reply {
    POP3_REPLY_NONE = 0,
#define ROW(name, ok, text) POP3_REPLY_##name,
    POP3_REPLIES(ROW)
#undef ROW
        POP3_REPLY_COUNT
};

/* Appends one whole line, with its CRLF: "+OK text", "-ERR [CODE] text". */
void pop3_reply_put(struct buf *out, enum pop3_reply reply);

/* The refusal of a newcomer, by auth's reason: "-ERR [SYS/TEMP] text (server-busy)". */
void pop3_reply_put_reason(struct buf *out, enum reason reason);

/* "+OK host POP3 gatepost": no timestamp, so no APOP (RFC 1939 7). */
void pop3_reply_put_banner(struct buf *out, struct span hostname);

/* "+ " and the challenge in base64, RFC 5034 4 */
void pop3_reply_put_challenge(struct buf *out, struct span challenge);

#endif
