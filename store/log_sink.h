/* log_sink.h - where lines go: standard error in whole batches, or syslog's datagram socket line by line. */
#ifndef STORE_LOG_SINK_H
#define STORE_LOG_SINK_H

#include "store/log_format.h"

enum { LOG_BATCH_BYTES = 256 << 10 };

struct log_sink {
    struct buf batch; /* whole lines for descriptor 2 */
    uint8_t storage[LOG_BATCH_BYTES];
    bool syslog;
    char name[108];
    int socket; /* -1: not connected */
    uint64_t retry_ms;
    uint64_t lost;
};

/* `name`: of syslog's socket in the working directory. */
void log_sink_open(struct log_sink *sink, bool syslog, struct span name);

/* Takes one line (with its line feed) of `pid`. */
void log_sink_line(struct log_sink *sink, struct span line, enum log_level level, uint32_t pid);

/* Writes what was collected; what cannot be written is dropped and counted. */
void log_sink_flush(struct log_sink *sink);

#endif
