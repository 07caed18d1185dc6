/* log_names.h - every event and key of the log, by number. A session can say only the events marked SESSION, so that
 * no line of another process can be forged; names in a line never come from outside. */
#ifndef STORE_LOG_NAMES_H
#define STORE_LOG_NAMES_H

/* clang-format off */
/* event number, name in the log, level, who may say it */
#define LOG_EVENTS(EVENT)                                                                                            \
    EVENT(LOG_STARTED, "started", INFO, SERVER)                                                                      \
    EVENT(LOG_READY, "ready", INFO, SERVER)                                                                          \
    EVENT(LOG_RELOADED, "reloaded", INFO, SERVER)                                                                    \
    EVENT(LOG_RELOAD_FAILED, "reload-failed", ERROR, SERVER)                                                         \
    EVENT(LOG_STOPPING, "stopping", INFO, SERVER)                                                                    \
    EVENT(LOG_STOPPED, "stopped", INFO, SERVER)                                                                      \
    EVENT(LOG_CHILD_EXITED, "child-exited", ERROR, SERVER)                                                           \
    EVENT(LOG_CHILD_RESTARTED, "child-restarted", WARNING, SERVER)                                                   \
    EVENT(LOG_HARDENING_MISSING, "hardening-missing", WARNING, SERVER)                                               \
    EVENT(LOG_FAULT, "fault", ERROR, SERVER)                                                                         \
    EVENT(LOG_BUG, "bug", ERROR, SERVER)                                                                             \
    EVENT(LOG_BAD_FRAME, "bad-frame", WARNING, SERVER)                                                               \
    EVENT(LOG_CONNECTED, "connected", INFO, SERVER)                                                                  \
    EVENT(LOG_CONNECTION_REFUSED, "connection-refused", NOTICE, SERVER)                                              \
    EVENT(LOG_DISCONNECTED, "disconnected", INFO, SERVER)                                                            \
    EVENT(LOG_SESSION_CRASHED, "session-crashed", ERROR, SERVER)                                                     \
    EVENT(LOG_LOGIN, "login", INFO, SERVER)                                                                          \
    EVENT(LOG_LOGIN_FAILED, "login-failed", NOTICE, SERVER)                                                          \
    EVENT(LOG_LOGIN_PUT_OFF, "login-put-off", WARNING, SERVER)                                                       \
    EVENT(LOG_MAIL_REFUSED, "mail-refused", NOTICE, SERVER)                                                          \
    EVENT(LOG_RECIPIENT_REFUSED, "recipient-refused", NOTICE, SERVER)                                                \
    EVENT(LOG_RECIPIENT_ACCEPTED, "recipient-accepted", INFO, SERVER)                                                \
    EVENT(LOG_ACCOUNT_CHANGED, "account-changed", NOTICE, SERVER)                                                    \
    EVENT(LOG_LOGIN_REVOKED, "login-revoked", NOTICE, SERVER)                                                        \
    EVENT(LOG_QUEUED, "queued", INFO, SERVER)                                                                        \
    EVENT(LOG_QUEUE_REFUSED, "queue-refused", WARNING, SERVER)                                                       \
    EVENT(LOG_DELIVERED, "delivered", INFO, SERVER)                                                                  \
    EVENT(LOG_DEFERRED, "deferred", NOTICE, SERVER)                                                                  \
    EVENT(LOG_FAILED, "failed", NOTICE, SERVER)                                                                      \
    EVENT(LOG_BOUNCED, "bounced", NOTICE, SERVER)                                                                    \
    EVENT(LOG_DELAYED, "delay-told", NOTICE, SERVER)                                                                 \
    EVENT(LOG_DROPPED, "dropped", WARNING, SERVER)                                                                   \
    EVENT(LOG_RECOVERED, "recovered", INFO, SERVER)                                                                  \
    EVENT(LOG_DAMAGED, "damaged", ERROR, SERVER)                                                                     \
    EVENT(LOG_STORAGE_FULL, "storage-full", ERROR, SERVER)                                                           \
    EVENT(LOG_STORAGE_BACK, "storage-back", NOTICE, SERVER)                                                          \
    EVENT(LOG_TLS, "tls", INFO, SESSION)                                                                             \
    EVENT(LOG_TLS_FAILED, "tls-failed", NOTICE, SESSION)                                                             \
    EVENT(LOG_SESSION_REFUSED, "session-refused", NOTICE, SESSION)                                                   \
    EVENT(LOG_PROTOCOL, "protocol", NOTICE, SESSION)                                                                 \
    EVENT(LOG_SESSION_ENDED, "session-ended", INFO, SESSION)                                                         \
    EVENT(LOG_AGENT, "agent", INFO, AGENT)                                                                           \
    EVENT(LOG_POSTMASTER, "postmaster", WARNING, SERVER)                                                             \
    EVENT(LOG_LIMIT_LOWERED, "limit-lowered", WARNING, SERVER)                                                       \
    EVENT(LOG_CERTIFICATE, "certificate", WARNING, SERVER)                                                           \
    EVENT(LOG_QUEUE_CHANGED, "queue-changed", NOTICE, SERVER)                                                        \
    EVENT(LOG_QUOTA_NEAR, "quota-near", WARNING, SERVER)                                                             \
    EVENT(LOG_FAILURES_SLOW, "failures-slow", WARNING, SERVER)                                                       \
    EVENT(LOG_SUSPENDED, "suspended", ERROR, SERVER)                                                                 \
    EVENT(LOG_NOTICE, "notice", NOTICE, SERVER)                                                                      \
    EVENT(LOG_LOGIN_REPORTED, "login-reported", INFO, SERVER)                                                        \
    EVENT(LOG_FAILURE_REPORTED, "failure-reported", NOTICE, SERVER)                                                  \
    EVENT(LOG_REPORT_REFUSED, "report-refused", WARNING, SERVER)                                                     \
    EVENT(LOG_POLICY, "policy", WARNING, AGENT)                                                                      \
    EVENT(LOG_GRANTED, "granted", INFO, SERVER)                                                                      \
    EVENT(LOG_GRANT_REFUSED, "grant-refused", NOTICE, SERVER)                                                        \
    EVENT(LOG_GRANT_ENDED, "grant-ended", NOTICE, SERVER)                                                            \
    EVENT(LOG_MAILBOX, "mailbox", INFO, AGENT)                                                                       \
    EVENT(LOG_MAILBOX_BAD_FRAME, "mailbox-bad-frame", WARNING, AGENT)

#define LOG_KEYS(KEY)                                                                                                \
    KEY(KEY_WHAT, "what") KEY(KEY_WHY, "why") KEY(KEY_ERROR, "error") KEY(KEY_FILE, "file")                          \
    KEY(KEY_PROCESS, "of") KEY(KEY_PID, "pid") KEY(KEY_STATUS, "status") KEY(KEY_SIGNAL, "signal")                   \
    KEY(KEY_ROLE, "role") KEY(KEY_VERSION, "version") KEY(KEY_COUNT, "count") KEY(KEY_MS, "ms")                      \
    KEY(KEY_SESSION, "session") KEY(KEY_CLIENT, "client") KEY(KEY_TLS, "tls") KEY(KEY_LOGIN, "login")                \
    KEY(KEY_MECHANISM, "mechanism") KEY(KEY_RULE, "rule") KEY(KEY_FROM, "from") KEY(KEY_TO, "to")                    \
    KEY(KEY_MESSAGE, "message") KEY(KEY_BYTES, "bytes") KEY(KEY_RECIPIENTS, "recipients")                            \
    KEY(KEY_DESTINATION, "destination") KEY(KEY_REMOTE, "remote") KEY(KEY_ATTEMPTS, "attempts")                      \
    KEY(KEY_STATE, "state") KEY(KEY_OFFSET, "offset") KEY(KEY_PORT, "port") KEY(KEY_DELAY, "delay")                  \
    KEY(KEY_SEGMENT, "segment") KEY(KEY_USER, "user") KEY(KEY_UID, "uid") KEY(KEY_LIMIT, "limit")                    \
    KEY(KEY_CREDENTIAL, "credential") KEY(KEY_SERVICE, "service") KEY(KEY_SOURCE, "source")                          \
    KEY(KEY_UNTIL, "until")

enum log_event {
    LOG_NOTHING = 0,
#define EVENT(number, name, level, who) number,
    LOG_EVENTS(EVENT)
#undef EVENT
    LOG_EVENT_COUNT
};

enum log_key {
    KEY_NONE = 0,
#define KEY(number, name) number,
    LOG_KEYS(KEY)
#undef KEY
    LOG_KEY_COUNT
};
/* clang-format on */

#endif
