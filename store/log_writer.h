/* log_writer.h - the log writer: takes every process's frames and writes lines, to stderr or to syslog. */
#ifndef STORE_LOG_WRITER_H
#define STORE_LOG_WRITER_H

#include "store/role.h"

/* Serves until the master says LOG_FLUSH or is gone, then writes what waits and returns the exit status. The read end
 * of the
 * log socket (with SO_PASSCRED) is the channel {ROLE_LOG, 0}. */
int log_run(struct role_start *start, uint32_t missing);

#endif
