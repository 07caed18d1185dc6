/* reply.h - every code and sentence that a session says and that is not a reason (auth/reason.h). */
#ifndef SERVER_INBOUND_REPLY_H
#define SERVER_INBOUND_REPLY_H

#include "auth/reason.h"
#include "store/buf.h"

enum { REPLY_LINE_MAX = 512 }; /* RFC 5321 4.5.3.1.5 */

/* name, code, enhanced status ("": none, RFC 2034 4), text */
#define REPLIES(ROW)                                                                                                 \
    ROW(FAULT, 451, "4.3.0", "Something failed on our side, please try again later")                                 \
    ROW(GOODBYE, 221, "2.0.0", "Goodbye")                                                                            \
    ROW(OK, 250, "2.0.0", "Fine")                                                                                    \
    ROW(RESET, 250, "2.0.0", "Forgotten")                                                                            \
    ROW(HELP, 214, "2.0.0", "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT")                  \
    ROW(CANNOT_VERIFY, 252, "2.5.0", "Not telling who is here; send the mail and it will be tried")                  \
    ROW(NOT_IMPLEMENTED, 502, "5.5.1", "This command is not available here")                                         \
    ROW(UNKNOWN_COMMAND, 500, "5.5.1", "No such command")                                                            \
    ROW(LINE_TOO_LONG, 500, "5.5.2", "The line is too long")                                                         \
    ROW(AUTH_LINE_TOO_LONG, 500, "5.5.6", "The AUTH line is too long")                                               \
    ROW(BAD_LINE, 500, "5.5.2", "A line ends in CRLF and holds no NUL, no other CR and no other LF")                 \
    ROW(NO_ARGUMENT, 501, "5.5.4", "This command takes no argument")                                                 \
    ROW(NEEDS_ARGUMENT, 501, "5.5.4", "This command needs an argument")                                              \
    ROW(BAD_HELO, 501, "5.5.4", "The name is no host name")                                                          \
    ROW(BAD_MAIL, 501, "5.5.4", "Write MAIL FROM:<address>")                                                         \
    ROW(BAD_RCPT, 501, "5.5.4", "Write RCPT TO:<address>")                                                           \
    ROW(BAD_BDAT, 501, "5.5.4", "Write BDAT and a number of octets, and perhaps LAST")                               \
    ROW(BAD_AUTH, 501, "5.5.4", "Write AUTH, a mechanism, and perhaps an initial response")                          \
    ROW(HELLO_FIRST, 503, "5.5.1", "Say EHLO first")                                                                 \
    ROW(MAIL_FIRST, 503, "5.5.1", "Say MAIL first")                                                                  \
    ROW(MAIL_OPEN, 503, "5.5.1", "A message is under way already")                                                   \
    ROW(RCPT_FIRST, 503, "5.5.1", "Name a recipient first")                                                          \
    ROW(NO_RECIPIENTS, 554, "5.5.1", "No recipient was accepted")                                                    \
    ROW(BDAT_OPEN, 503, "5.5.1", "Go on with BDAT, or say RSET")                                                     \
    ROW(BDAT_CLOSED, 503, "5.5.1", "No message is under way; the chunk was dropped")                                 \
    ROW(START_DATA, 354, "", "Go on, and end with a dot on a line of its own")                                       \
    ROW(CHUNK, 250, "2.0.0", "Chunk taken")                                                                          \
    ROW(BARE_CR, 550, "5.6.11", "The message holds a CR that ends no line")                                          \
    ROW(BARE_LF, 550, "5.6.11", "The message holds an LF without CR; lines end in CRLF")                             \
    ROW(NUL, 550, "5.6.11", "The message holds a NUL")                                                               \
    ROW(LONG_LINE, 554, "5.6.0", "The message holds a line of more than 998 octets")                                 \
    ROW(TLS_READY, 220, "2.0.0", "Go on with TLS")                                                                   \
    ROW(TLS_UNAVAILABLE, 454, "4.7.0", "TLS is not available just now")                                              \
    ROW(TLS_ALREADY, 503, "5.5.1", "TLS is in use already")                                                          \
    ROW(TLS_NOT_HERE, 502, "5.5.1", "STARTTLS is not offered here")                                                  \
    ROW(AUTH_NOT_HERE, 503, "5.5.1", "AUTH is not offered here")                                                     \
    ROW(AUTH_NEEDS_TLS, 538, "5.7.11", "Switch on encryption (STARTTLS) in your mail program, then log in")          \
    ROW(AUTH_NEEDS_EHLO, 503, "5.5.1", "Say EHLO before AUTH")                                                       \
    ROW(AUTH_TWICE, 503, "5.5.1", "You are logged in already")                                                       \
    ROW(AUTH_IN_MAIL, 503, "5.5.1", "AUTH cannot be used while a message is under way")                              \
    ROW(AUTH_MECHANISM, 504, "5.5.4",                                                                                \
        "This way to log in is not offered: choose a normal password, and clear the Secure Password "                \
        "Authentication (SPA) box in your mail program")                                                             \
    ROW(AUTH_ACCEPTED, 235, "2.7.0", "Welcome")                                                                      \
    ROW(AUTH_REJECTED, 535, "5.7.8", "User name or password is wrong")                                               \
    ROW(AUTH_LATER, 454, "4.7.0", "Logging in is not possible just now, please try again later")                     \
    ROW(AUTH_HELD, 454, "4.7.0", "Too many failed logins from your network, please try again later")                 \
    ROW(AUTH_MALFORMED, 501, "5.5.2", "The login data is malformed")                                                 \
    ROW(AUTH_CANCELLED, 501, "5.7.0", "Login cancelled")                                                             \
    ROW(AUTH_TOO_MANY, 421, "4.7.0", "Too many failed logins, closing")                                              \
    ROW(JUNK, 421, "4.7.0", "Too many commands without mail, closing")                                               \
    ROW(TIMEOUT, 421, "4.4.2", "Nothing came for too long, closing")                                                 \
    ROW(LOGIN_TIMEOUT, 421, "4.7.0", "You did not log in in time, closing")                                          \
    ROW(SESSION_TIMEOUT, 421, "4.4.2", "This session lasted too long, closing")                                      \
    ROW(SHUTDOWN, 421, "4.3.2", "The server has ended this session, please try again")                               \
    ROW(PROXY, 421, "4.3.5", "No usable PROXY header came, closing")                                                 \
    ROW(UNSTEADY, 421, "4.3.0", "Something failed on our side, closing")

enum reply {
    REPLY_NONE = 0,
#define ROW(name, code, enhanced, text) REPLY_##name,
    REPLIES(ROW)
#undef ROW
        REPLY_COUNT
};

/* Appends one whole reply line, with its CRLF. */
void reply_put(struct buf *out, enum reply reply);

/* Appends the reply of a reason; a refusal ends in the rule's name: "550 5.7.1 text (relay-denied)". */
void reply_put_reason(struct buf *out, enum reason reason);

/* The same where checking the mail first would let the client send: refusals of strangers say so. */
void reply_put_reason_mail_first(struct buf *out, enum reason reason);

/* "220 host ESMTP gatepost", RFC 5321 4.2 */
void reply_put_banner(struct buf *out, struct span hostname);

/* "250 2.0.0 Queued as NAME" */
void reply_put_queued(struct buf *out, struct span message_name);

/* "334 " and the challenge in base64, RFC 4954 4 */
void reply_put_challenge(struct buf *out, struct span challenge);

#endif
