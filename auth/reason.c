/* reason.c - the replies that belong to the reasons, in one table.
 * Runs in: session, auth, command line. Trusts: nothing. Never: decides, allocates, writes. */
#include "auth/reason.h"

/* Codes: RFC 5321 4.2.3 and 6409; statuses: RFC 3463, 5248, 6531 3.6. Mail clients show the text to their user. */
#define REASONS(ROW)                                                                                                 \
    ROW(NOT_DECIDED, "not-decided", 451, "4.3.0", "This cannot be decided just now, please try again later")         \
    ROW(MALFORMED_SENDER, "malformed-sender", 501, "5.1.7", "The sender's address is malformed")                     \
    ROW(AUTH_REQUIRED, "auth-required", 530, "5.7.0",                                                                \
        "Please log in first: switch on 'My outgoing server requires authentication' in your mail program")          \
    ROW(ACCOUNT_SUSPENDED, "account-suspended", 550, "5.7.1",                                                        \
        "Sending is suspended for this account, please ask your administrator")                                      \
    ROW(SENDER_NOT_YOURS, "sender-not-yours", 550, "5.7.1",                                                          \
        "This sender's address does not belong to your account: choose one that does as 'From', or ask your "        \
        "administrator to allow it")                                                                                 \
    ROW(OVER_QUOTA, "over-quota", 450, "4.7.1", "You have reached your sending limit, please try again later")       \
    ROW(SENDER_ACCEPTED, "sender-accepted", 250, "2.1.0", "Sender accepted")                                         \
    ROW(MALFORMED_RECIPIENT, "malformed-recipient", 501, "5.1.3", "The recipient's address is malformed")            \
    ROW(POSTMASTER, "postmaster", 250, "2.1.5", "Recipient accepted")                                                \
    ROW(SECOND_ROUTING, "second-routing", 550, "5.7.1",                                                              \
        "An address that routes on to another one (with % ! or a second @) is not accepted")                         \
    ROW(LOCAL_SENDER_NEEDS_AUTH, "local-sender-needs-auth", 550, "5.7.1",                                            \
        "Mail from this sender's domain needs a login: use the submission port and switch on 'My outgoing server "   \
        "requires authentication'")                                                                                  \
    ROW(LOCAL_RECIPIENT, "local-recipient", 250, "2.1.5", "Recipient accepted")                                      \
    ROW(RELAY_ALIAS, "relay-alias", 250, "2.1.5", "Recipient accepted, will be forwarded")                           \
    ROW(UNKNOWN_RECIPIENT, "unknown-recipient", 550, "5.1.1", "There is no mailbox of this name here")               \
    ROW(FOREIGN_LITERAL, "foreign-literal", 550, "5.1.2", "Mail for an address in brackets is not relayed")          \
    ROW(RELAY_AUTHENTICATED, "relay-authenticated", 250, "2.1.5", "Recipient accepted, will be relayed")             \
    ROW(RELAY_GRANTED, "relay-granted", 250, "2.1.5", "Recipient accepted, will be relayed")                         \
    ROW(RELAY_DOMAIN, "relay-domain", 250, "2.1.5", "Recipient accepted, will be relayed")                           \
    ROW(RELAY_TRUSTED, "relay-trusted", 250, "2.1.5", "Recipient accepted, will be relayed")                         \
    ROW(RELAY_DENIED, "relay-denied", 550, "5.7.1",                                                                  \
        "This server relays to other domains only for its users: switch on 'My outgoing server requires "            \
        "authentication' in your mail program")                                                                      \
    ROW(BAD_PARAMETER, "bad-parameter", 501, "5.5.4", "A parameter of this command is malformed")                    \
    ROW(UNKNOWN_PARAMETER, "unknown-parameter", 555, "5.5.4", "A parameter of this command is not known here")       \
    ROW(UTF8_NOT_DECLARED, "utf8-not-declared", 553, "5.6.7",                                                        \
        "An address with non-ASCII letters needs the SMTPUTF8 parameter with MAIL")                                  \
    ROW(TOO_MANY_RECIPIENTS, "too-many-recipients", 452, "4.5.3",                                                    \
        "Too many recipients, please send to the others in a further message")                                       \
    ROW(TOO_MANY_MESSAGES, "too-many-messages", 421, "4.7.0", "Too many messages in one session, please reconnect")  \
    ROW(TOO_MANY_FAILURES, "too-many-failures", 421, "4.7.0", "Too many failures in one session, closing")           \
    ROW(TOO_MANY_CONNECTIONS, "too-many-connections", 421, "4.7.0",                                                  \
        "Too many connections from your network, please try again later")                                            \
    ROW(SERVER_BUSY, "server-busy", 421, "4.3.2", "The server is busy, please try again later")                      \
    ROW(MESSAGE_TOO_LARGE, "message-too-large", 552, "5.3.4", "The message is larger than this server accepts")      \
    ROW(STORAGE_FULL, "storage-full", 452, "4.3.1",                                                                  \
        "The server has no room for mail just now, please try again later")                                          \
    ROW(STORAGE_FAULT, "storage-fault", 451, "4.3.0", "The message could not be stored, please try again later")     \
    ROW(MAIL_LOOP, "mail-loop", 554, "5.4.6",                                                                        \
        "The message has been through too many servers, it seems to be in a loop")                                   \
    ROW(RELAY_LOCAL, "relay-local", 250, "2.1.5", "Recipient accepted, will be relayed")                             \
    ROW(TOO_MANY_FAILED_LOGINS, "too-many-failed-logins", 421, "4.7.0",                                              \
        "Too many failed logins from your network, please try again later")                                          \
    ROW(FROM_MALFORMED, "from-malformed", 550, "5.7.1",                                                              \
        "The message must have one From line in its header, with addresses as mail programs write them and no "      \
        "other")                                                                                                     \
    ROW(FROM_NOT_YOURS, "from-not-yours", 550, "5.7.1",                                                              \
        "The From address in the message does not belong to your account: choose one that does, or ask your "        \
        "administrator to allow it")

#define REPLY(id, name, code, enhanced, text) [REASON_##id] = {name, code, enhanced, text, (code) / 100 == 2},
#define ONE(id, name, code, enhanced, text) +1
/* As many different bits as rows: together with the count, each reason has exactly one row. */
#define BIT(id, name, code, enhanced, text) +(1ULL << REASON_##id)

static const struct reason_reply replies[] = {REASONS(REPLY)};

_Static_assert(REASON_COUNT < 64 && 0 REASONS(ONE) == REASON_COUNT, "each reason has one row");
_Static_assert(0ULL REASONS(BIT) == (1ULL << REASON_COUNT) - 1, "no reason has two rows");

const struct reason_reply *reason_reply(enum reason reason) {
    unsigned number = (unsigned)reason;
    return &replies[number < REASON_COUNT ? number : REASON_NOT_DECIDED];
}
