/* files.h - the descriptors that auth and queue may need for all sessions, held against what the system allows. */
#ifndef SERVER_PROCESS_FILES_H
#define SERVER_PROCESS_FILES_H

#include "conf/conf.h"

enum { FILES_TEXT_MAX = 300 };

/* For auth, queue and keys: their limit. As much as there may be, for a reload can ask for more sessions. */
uint64_t files_limit(const struct conf *conf);

/* Raises the hard limit of this process where it may, for its children to inherit; else lowers limits.connections to
 * what fits. text_out says what was lowered, or is empty. -1: the limit is too low for any session, text_out says
 * so. */
int files_fit(struct conf *conf, char text_out[FILES_TEXT_MAX]) MUST_USE;

#endif
