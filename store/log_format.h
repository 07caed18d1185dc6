/* log_format.h - a log frame as one line of text: the only place where a value from outside becomes log text. */
#ifndef STORE_LOG_FORMAT_H
#define STORE_LOG_FORMAT_H

#include "store/log_names.h"
#include "store/netaddr.h"

enum { LOG_TEXT_MAX = 8000 }; /* of one line with its line end; a longer one is cut and says so */

enum log_who { LOG_WHO_NOBODY = 0, LOG_WHO_SERVER, LOG_WHO_SESSION, LOG_WHO_AGENT };

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6
}; /* as syslog */

/* Who sent a frame, as the kernel and the registrations say. */
struct log_speaker {
    enum log_who who;
    const char *process;          /* our own word */
    struct span session;          /* of a session: its name */
    const struct netaddr *client; /* of a session, else NULL */
};

/* Appends the line of a LOG_LINE frame's body with its line feed. False, with nothing appended, when the frame is
 * malformed, or when this speaker may not say the event or a key of it. */
bool log_format(struct buf *out, const struct log_speaker *speaker, struct span body, uint64_t wall_ms, bool json,
                enum log_level *level_out) MUST_USE;

/* Appends the line that stands in place of one that log_format refused, or of those that are not wanted any more. */
void log_format_refused(struct buf *out, const struct log_speaker *speaker, const char *what, uint32_t pid,
                        uint64_t wall_ms, bool json);

/* Appends a value: bare where every octet is harmless, else quoted, with quotes, backslashes, control characters,
 * characters that change the direction or the line, and octets that are not UTF-8 as \xHH (in JSON as JSON has
 * it). */
void log_format_value(struct buf *out, struct span value, bool json);

#endif
