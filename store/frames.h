/* frames.h - every frame that passes between our processes, and its fields in order. This is the contract of
 * the walls: who may say what to whom. Notation: u8 u16 u32 u64, T = 16 octets (a transaction's name),
 * netaddr (wire_put_netaddr), network (wire_put_network), text/span = length and octets, [..]* = repeated to the end,
 * +fd = with a descriptor. */
#ifndef STORE_FRAMES_H
#define STORE_FRAMES_H

enum {
    TRANSACTION_BYTES = 16,
    SESSION_NAME_MAX = 16,
    SESSION_USER_MAX = 320,
    SESSION_LOCAL_PLACES = 16, /* besides limits.connections: this host's own mail is taken while the net is busy */
    MESSAGE_NAME_MAX = 24,
    KEY_NAME_BYTES = 16,
    RCPT_GROUP_MAX = 64,
    FROM_ADDRESSES_MAX = 16 /* of a message's From field */
};

/* clang-format off */
enum frame_type {
    /* ---- where a channel's title says so: several frames without descriptors, in their order, as one */
    FRAME_BUNDLE = 0x0001, /* [u16 type, span body]*; no bundle is in it */

    /* ---- master to a child over descriptor 3, and back */
    MASTER_SETUP = 0x0101,  /* +fd: memfd with the role's setup (store/role.h); at start and at reload */
    MASTER_CHANNEL,         /* u8 role of the peer, u8 index; +fd: channel to it (new, or in place of a broken one) */
    MASTER_DESCRIPTOR,      /* u8 enum role_descriptor, u8 index; +fd */
    MASTER_START,           /* empty: all is there; confine yourself and run */
    MASTER_DRAIN,           /* empty: take no new work, finish what runs, exit with 0; to a listener a second time:
                               within shutdown_ms */
    MASTER_FORGET,          /* u32 generation: keys of that generation are no longer used */
    MASTER_LOG_NEW,         /* empty; auth: the log writer was started again and knows no session: name them again */
    MASTER_ACCEPT,          /* empty; listener: its certificates are good, it may take connections; once */
    MASTER_DIALED,          /* outbound: u32 request, u32 errno (0: connected); +fd when connected */
    CHILD_READY = 0x0181,   /* u32 bits of enum role_missing: hardening that could not be had */
    CHILD_RENEW,            /* empty; listener: replace me (a child crashed, or enough connections) */
    CHILD_STATUS,           /* listener: u32 sessions, u64 accepted since start, u64 crashed */
    CHILD_KEYS,             /* keys: u32 generation of the setup it read last, then of all keys that it holds: u32
                               generation, KEY_NAME_BYTES of name; at start before CHILD_READY, after each setup */
    CHILD_CERTIFICATES,     /* listener: [KEY_NAME_BYTES]* of its certificates' keys, in the setup's order; once,
                               before CHILD_READY */
    CHILD_VERDICTS,         /* keys, when it was started as a judge: for each pair u8 enum verdict of the certificate,
                               u8 of the key, u64 not before, u64 not after (seconds since 1970), u8 self-signed,
                               VERDICT_SPKI_BYTES of SHA-256 of the public key, text its DNS names (at most
                               VERDICT_NAMES_BYTES, blanks between); once, then it exits with 0 */
    CHILD_FINDING,          /* resolver, when it was started to check the DNS: u8 enum zone_level, text what, text
                               name, text in words, text line of the zone (may be empty); any number */
    CHILD_CHECKED,          /* empty: that was all; then it exits with 0 */
    CHILD_DIAL,             /* outbound: u32 request, text path: a connection to the Unix socket there, which the
                               configuration names for mail; answered by MASTER_DIALED */

    /* ---- listener to auth */
    POOL_CHILD = 0x0201, /* u32 pid; +fd: auth's end of that child's channel, with SO_PASSCRED. A listed proxy is to
                            say who its client is, and the child will announce it */
    POOL_EXIT,           /* to the end: u32 pid, u8 enum session_exit */
    POOL_LOCAL,          /* u32 pid, u32 uid that the kernel names for who connected to the local socket; +fd: auth's
                            end of that child's channel. The child announces nothing */
    POOL_CLIENT,         /* u32 pid, u8 enum relay_role of the socket, netaddr client, netaddr local, to the end as
                            POOL_EXIT; +fd: the same */
    /* auth to listener */
    POOL_TURN_AWAY = 0x0281, /* network, u8 enum reason, u32 ms: one of it came to log in, and is refused for this
                                reason; who comes within so long again need not have a child forked */

    /* ---- session to auth (states in auth/peer.c) */
    SESSION_ANNOUNCE = 0x0301, /* u8 enum relay_role, netaddr client, netaddr local, u8 came by PROXY; once, and of
                                  a POOL_CHILD only */
    SESSION_KEYS,              /* empty: wants a channel to the keys process */
    SESSION_TLS,               /* text description ("TLS1.3 TLS_AES_256_GCM_SHA384"): a claim for Received; clears all
                                  state */
    SESSION_AUTH,              /* u8 tls (claim), text mechanism, u8 has initial response, span initial response, span
                                  TLS exporter (RFC 9266, 32 octets; behind it, under TLS 1.2, tls-unique of RFC 5929
                                  3, 12 octets; claim), span digest of the certificate (RFC 5929 4, at most
                                  CHANNEL_BINDING_MAX; claim); these two empty where there is none */
    SESSION_AUTH_NEXT,         /* u8 cancelled, span response */
    SESSION_MAIL,              /* u8 esmtp (claim), text HELO name (claim), span argument after "FROM:" */
    SESSION_RCPT,              /* u16 n, at most RCPT_GROUP_MAX, n times: span argument after "TO:" */
    SESSION_RESET,             /* empty: the open transaction is dead (RSET, EHLO, HELO); no answer */
    SESSION_FAILURE,           /* u8 enum session_failure: a fault of the client that auth cannot see; no answer */
    SESSION_FROM,              /* u16 n, at most FROM_ADDRESSES_MAX, n times: span address of the From field; before
                                  the commit where SESSION_MAIL_RESULT asked for it */
    SESSION_MAILBOX = 0x0340,  /* empty: wants a channel to the agent of its user's mailbox; POP3, after the login,
                                  once */
    /* auth to session; each answers the one request that is open */
    SESSION_WELCOME = 0x0381, /* u8 enum reason (REASON_COUNT: welcome; else the refusal), text session name,
                                 text address of the system user (RELAY_ROLE_LOCAL, else empty), u16 reason for a
                                 plain foreign recipient of a foreign sender as long as there is no login
                                 (REASON_NOT_DECIDED: none is known, every MAIL is to be asked about), u8 checking
                                 the mail from there would let the client send */
    SESSION_CHANNEL,          /* u8 ok; +fd when ok: channel to keys */
    SESSION_AUTH_RESULT,      /* u8 enum auth_outcome, span challenge (AUTH_CONTINUE), text login (AUTH_ACCEPTED) */
    SESSION_MAIL_RESULT,      /* u16 reason, u16 reason for a plain foreign recipient, T, u8 the From field is to be
                                 asked about */
    SESSION_RCPT_RESULT,      /* u16 n, n times: u16 reason; +fd with the first accepted one: channel to the queue */
    SESSION_FROM_RESULT,      /* u16 reason: REASON_SENDER_ACCEPTED, or the refusal of the message */
    SESSION_MAILBOX_RESULT = 0x03c0, /* u8 enum mailbox_answer; +fd when MAILBOX_READY: the agent speaks first */

    /* ---- session to queue, over the channel that auth handed out */
    BODY_DATA = 0x0401, /* T, span octets: dot-unstuffed, CRLF line ends */
    BODY_COMMIT,        /* T, u32 number of accepted RCPT commands, to the end: the body's last octets */
    BODY_ABORT,         /* T */
    BODY_RESULT = 0x0481, /* T, u8 enum body_outcome, text message name (BODY_DURABLE only, else empty) */

    /* ---- session to keys, over the channel that auth handed out */
    SIGN_REQUEST = 0x0501, /* u64 request, KEY_NAME_BYTES of key name, u16 TLS signature scheme, span what is to be
                              signed */
    SIGN_RESULT = 0x0581,  /* u64 request, u8 ok, span signature */

    /* ---- auth to queue */
    TRANSACTION_OPEN = 0x0601, /* T, then struct envelope's head: see store/envelope.h; in a FRAME_BUNDLE with the
                                  first TRANSACTION_RCPT and TRANSACTION_CHANNEL */
    TRANSACTION_RCPT,          /* T, u32 index of the RCPT command, then recipients: see store/envelope.h */
    TRANSACTION_CHANNEL,       /* u64 session number; +fd: queue's end of the session's channel */
    TRANSACTION_CLOSE,         /* T: dead */
    ROUTE_RESULT,              /* u64 request, u8 enum route_outcome, then recipients */
    NOTICE_WANTED,             /* u64 notice, u8 enum notice_kind, text whom it is about, text why: the postmaster is
                                  to be told, in the queue's words */
    /* queue to auth; also in bundles */
    TRANSACTION_CLOSED = 0x0681, /* T, u8 1 committed 0 not, u32 recipients queued; in answer to TRANSACTION_CLOSE
                                    too, so that each T that was opened is closed */
    ROUTE_REQUEST,               /* u64 request, u8 enum route_purpose, text address (empty for notices) */
    QUEUE_SPACE,                 /* u8 1 enough, 0: MAIL gets 452 4.3.1 */
    NOTICE_RESULT,               /* u64 notice, u8 1 it is queued, 0 try again later */

    /* ---- auth to keys */
    KEYS_CLIENT = 0x0701, /* +fd: keys' end of a session's channel */

    /* ---- auth to verifier and back. What is no span has its size always, filled up with NUL; a challenge is u16 n,
     * then VERIFY_CHALLENGE_BYTES of which n count; state is sealed */
    VERIFY_SETUP = 0x0801, /* VERIFY_KEY_BYTES: the key of the salts that nobody has; first on each channel */
    VERIFY_STEP,           /* u64 exchange, u8 enum mechanism, u8 step, span TLS exporter, span digest of the
                              certificate, VERIFY_STATE_BYTES of state, span message (at most VERIFY_MESSAGE_MAX) */
    VERIFY_CREDENTIALS,    /* u64 exchange, u8 1: real user 0: nobody, text login in its normal form, u64 user,
                              VERIFY_SALT_BYTES of salt (zero: none is stored), u16 n, n times: u64 credential, text
                              hash, span SCRAM keys, span sealed NT hash (these three empty: none) */
    VERIFY_FORGET,         /* u64 exchange: no credentials will come, and no result is awaited */
    VERIFY_IDENTITY = 0x0881, /* u64 exchange, u8 enum verify_outcome, u8 enum verify_why, VERIFY_NAME_BYTES of name,
                                 VERIFY_NAME_BYTES of authorization, VERIFY_TAG_BYTES of tag, VERIFY_FINGERPRINT_BYTES
                                 of fingerprint, challenge, VERIFY_STATE_BYTES of state */
    VERIFY_RESULT,            /* u64 exchange, u8 enum verify_verdict, u8 enum verify_why, u64 credential, challenge,
                                 VERIFY_STATE_BYTES of state, VERIFY_HASH_BYTES of new hash (zero: none wanted),
                                 VERIFY_SCRAM_BYTES of new SCRAM keys (likewise) */
    VERIFY_MEASURED,          /* u32 ms of work for one hash of the configured cost; once, at start and setup */

    /* ---- queue to delivery and outbound, and back */
    AGENT_WANTED = 0x0901, /* u32 agent, u8 enum destination_kind, text destination */
    AGENT_READY = 0x0981,  /* u32 agent; +fd: the queue's end of its channel */
    AGENT_FAILED,          /* u32 agent, text why */

    /* ---- queue to agent and back; also in bundles */
    JOB_OPEN = 0x0a01, /* u64 job, u8 may have been delivered before (look for it), u64 arrival (seconds since 1970),
                          text message name, u8 flags (JOB_8BIT, JOB_UTF8), u8 dsn_return, text envid, text sender,
                          u64 body bytes, u16 n, n times: u16 index, text address, text original, u8 notify, text
                          orcpt; +fd when the body is a file of its own (read from offset 0) */
    JOB_BODY,          /* u64 job, span octets; until body bytes are there (not with a file) */
    JOB_RESULT = 0x0a81, /* u64 job, u16 index, u8 enum job_outcome, u16 reply code (0: none), text status ("4.4.1"),
                            text diagnostic (at most 400, printable), text remote name */
    JOB_DONE,            /* u64 job: no more results for it */
    JOB_SENDING,         /* u64 job: its text goes out from here on; only a result can tell what came of it */

    /* ---- outbound to resolver and back */
    RESOLVE_REQUEST = 0x0b01, /* u64 request, text host name */
    RESOLVE_RESULT = 0x0b81,  /* u64 request, u8 enum resolve_outcome, u16 n, n times: netaddr (port 0) */

    /* ---- every process to the log writer, over descriptor 4; all but LOG_FLUSH also in bundles */
    LOG_ROLE = 0x0c01, /* from master: u32 pid, u8 role (ROLE_NONE: that process has ended) */
    LOG_SESSION,       /* from auth: u32 pid, text session name (empty: that session has ended), netaddr client */
    LOG_LINE,          /* u16 enum log_event, [u16 enum log_key, span value]* */
    LOG_FLUSH,         /* from master: write what waits, then exit with 0 */

    /* ---- command line over a control socket (store/control.h) */
    CONTROL_REQUEST = 0x0d01, /* text verb, [text name, span value]* */
    CONTROL_ROW = 0x0d81,     /* [text name, u8 enum control_kind, span or u64 value]* */
    CONTROL_END,              /* u8 exit code, text message (empty: fine) */

    /* ---- agent to outbound and back, where the destination is a Unix socket */
    DIAL_WANTED = 0x0e01, /* u32 request */
    DIAL_RESULT = 0x0e81, /* u32 request, u32 errno (0: connected); +fd when connected */

    /* ---- policy to auth */
    POLICY_FAILURE = 0x0f01, /* u8 enum policy_failure, netaddr client, text login, text that stands for the password
                               (at most POLICY_HASH_MAX, may be empty), text service (at most POLICY_SERVICE_MAX) */

    /* ---- auth to delivery */
    MAILBOX_WANTED = 0x1001, /* text session name, text destination as in AGENT_WANTED for a Maildir; +fd: the agent's
                                end of the session's channel */

    /* ---- session to mailbox agent, over the channel that auth handed out: one question at a time. Messages are
     * known by their index, from 0, the oldest first; what an index means does not change while the channel lasts */
    MAILBOX_LIST = 0x1101, /* u32 first, u16 most (0: as many as fit into the answer) */
    MAILBOX_READ,          /* u32 index, u32 lines of the body (MAILBOX_WHOLE: all of the message) */
    MAILBOX_MARK,          /* u32 first (a multiple of 8), to the end: bitmap, bit 0 of its first octet is `first`:
                              these are to be removed. Any number of frames; no answer */
    MAILBOX_QUIT,          /* u32 how many are marked in all: removes them. The last question */
    /* agent to session */
    MAILBOX_OPENED = 0x1181, /* u8 enum mailbox_answer, u32 messages, u64 bytes of them all; once, unasked, first.
                                When sizes are to be found out first it may take minutes. Not MAILBOX_READY: the last
                                frame */
    MAILBOX_ENTRIES,         /* u32 first, u16 n (0 only behind the last message), n times: u64 bytes, span unique id
                                (RFC 1939 7: 1 to MAILBOX_UNIQUE_ID_MAX octets 0x21 to 0x7e) */
    MAILBOX_BODY,            /* octets to the end, at least one; lines end with CRLF, dots are not stuffed. As many
                                frames as it takes */
    MAILBOX_END,             /* u8 1: that was all, and it ended with CRLF unless it was empty; 0: it cannot be read
                                (to its end, where a MAILBOX_BODY came before) */
    MAILBOX_DONE             /* u32 removed, u32 failed: still there; the last frame */
};
/* clang-format on */

/* The queue's answer to a commit. */
enum body_outcome {
    BODY_REFUSED = 0, /* 451 4.3.0: a fault of ours, or a commit that is not in order */
    BODY_DURABLE,     /* 250 */
    BODY_TOO_LARGE,   /* 552 5.3.4: over the limit_bytes of the envelope */
    BODY_NO_SPACE     /* 452 4.3.1 */
};

/* How a session ended: its exit status, and what the source is priced for. */
enum session_exit { SESSION_EXIT_CRASH = 0, SESSION_EXIT_FINE = 10, SESSION_EXIT_ABUSE, SESSION_EXIT_FAULT };

enum session_failure {
    SESSION_FAILURE_NONE = 0,
    SESSION_FAILURE_JUNK,
    SESSION_FAILURE_TLS,
    SESSION_FAILURE_SMUGGLING,
    SESSION_FAILURE_LOGIN, /* a mechanism that is not offered, no base64 */
    SESSION_FAILURE_COUNT
};

enum auth_outcome {
    AUTH_FAILED_TEMPORARILY = 0, /* 454 4.7.0 */
    AUTH_ACCEPTED,               /* 235 2.7.0 */
    AUTH_CONTINUE,               /* 334 and the challenge */
    AUTH_REJECTED,               /* 535 5.7.8 */
    AUTH_MALFORMED,              /* 501 5.5.2 */
    AUTH_CANCELLED,              /* 501 5.7.0 */
    AUTH_UNKNOWN_MECHANISM,      /* 504 5.5.4 */
    AUTH_TOO_MANY,               /* 421 4.7.0, then the connection is closed */
    AUTH_HELD                    /* 454 4.7.0: too many failures from the network */
};

/* Of what is said of a certificate. */
enum { VERDICT_SPKI_BYTES = 32, VERDICT_NAMES_BYTES = 1024 };

/* What a certificate or a key is found to be. */
enum verdict {
    VERDICT_NONE = 0, /* not judged */
    VERDICT_GOOD,
    VERDICT_EMPTY,
    VERDICT_NOT_PEM,   /* no certificate, or no private key, in PEM is in it */
    VERDICT_KIND,      /* neither RSA from 2048 bits nor P-256 nor P-384 */
    VERDICT_WEAK,      /* the certificate, or one of its chain: signed by SHA-1 or older, or with too short a key */
    VERDICT_ENCRYPTED, /* the key */
    VERDICT_MISFIT     /* the key is not the certificate's */
};

enum { CHANNEL_BINDING_MAX = 64 };

enum mechanism {
    MECHANISM_NONE = 0,
    MECHANISM_PLAIN,
    MECHANISM_LOGIN,
    MECHANISM_SCRAM,
    MECHANISM_SCRAM_PLUS,
    MECHANISM_NTLM,
    MECHANISM_COUNT
};
enum {
    VERIFY_STATE_BYTES = 1024,
    VERIFY_NAME_BYTES = 256,
    VERIFY_HASH_BYTES = 160,
    VERIFY_MESSAGE_MAX = 2048,
    VERIFY_CHALLENGE_BYTES = 512,
    VERIFY_TAG_BYTES = 32,
    VERIFY_FINGERPRINT_BYTES = 8,
    VERIFY_KEY_BYTES = 32,
    VERIFY_SALT_BYTES = 16,
    VERIFY_SCRAM_BYTES = 64,    /* StoredKey, ServerKey (RFC 5802 3) */
    VERIFY_NT_MAX = 96,         /* a sealed NT hash */
    VERIFY_CREDENTIALS_MAX = 33 /* of one login */
};

/* What a message came to. */
enum verify_outcome {
    VERIFY_MALFORMED = 0,
    VERIFY_CONTINUE, /* the challenge goes out; state holds what the next step needs */
    VERIFY_CHECK,    /* name is whose credentials are wanted, authorization who the client wants to act as (empty: as
                        the name); the verifier holds the message until they come. tag stands for login and password,
                        fingerprint for the password, under keys of this start; zero where the mechanism shows none */
    VERIFY_DENIED    /* well formed, and never right: answered as a wrong password */
};

/* What a message and the credentials came to. */
enum verify_verdict {
    VERIFY_REJECTED = 0,
    VERIFY_GOES_ON, /* the challenge goes out, also to who is nobody; state as above */
    VERIFY_LAST,    /* right, by the named credential; the client is told the challenge and answers with an empty
                       message (RFC 4954 4: additional data with success) */
    VERIFY_ACCEPTED /* right, by the named credential */
};

/* For the log: what else than a wrong password it was. */
enum verify_why {
    VERIFY_WHY_NONE = 0,
    VERIFY_WHY_DOWNGRADE,    /* the client was not shown the -PLUS that was offered (RFC 5802 6) */
    VERIFY_WHY_BINDING,      /* the channel binding of another connection, or of a kind that is not ours */
    VERIFY_WHY_OLD_NTLM,     /* LM or NTLMv1 */
    VERIFY_WHY_NO_KEYS,      /* no credential of the user's can be used by this mechanism */
    VERIFY_WHY_NOT_ENROLLED, /* by NTLM: no credential of the user's has an NT hash */
    VERIFY_WHY_COUNT
};

enum notice_kind { NOTICE_NONE = 0, NOTICE_SUSPENDED };
enum { NOTICE_ABOUT_MAX = 512, NOTICE_WHY_MAX = 512 };

enum route_purpose { ROUTE_NONE = 0, ROUTE_BOUNCE, ROUTE_NOTICE };
enum route_outcome { ROUTE_LATER = 0, ROUTE_WHOLE, ROUTE_MORE /* the next frame goes on with the same request */ };
enum destination_kind {
    DESTINATION_NONE = 0,
    DESTINATION_MAILDIR,
    DESTINATION_CAPTURE,
    DESTINATION_SMARTHOST,
    DESTINATION_LMTP
};
enum { JOB_8BIT = 1, JOB_UTF8 = 2 };
enum job_outcome {
    JOB_DEFERRED = 0,
    JOB_DELIVERED,
    JOB_RELAYED,
    JOB_FAILED,
    JOB_REPORTED /* delivered; who took it tells the sender, where that was asked for (RFC 3461 5.2.2) */
};
enum policy_failure { POLICY_FAILURE_PASSWORD = 0, POLICY_FAILURE_OTHER, POLICY_FAILURES };
enum { POLICY_HASH_MAX = 64, POLICY_SERVICE_MAX = 32 };

/* Whether a POP3 session gets its mailbox. */
enum mailbox_answer {
    MAILBOX_FAULT = 0, /* a fault of ours: [SYS/TEMP] */
    MAILBOX_READY,
    MAILBOX_IN_USE, /* by another session: [IN-USE] */
    MAILBOX_NONE    /* the user's mail goes elsewhere, or no directory can have the name: [SYS/PERM] */
};
enum {
    MAILBOX_UNIQUE_ID_MAX = 70,
    MAILBOX_MESSAGES_MAX = 400000 /* of more the rest waits until some are gone; a bitmap of all fits a frame */
};
#define MAILBOX_WHOLE UINT32_MAX

enum resolve_outcome { RESOLVE_TEMPORARY = 0, RESOLVE_FOUND, RESOLVE_NOT_FOUND };

#endif
