/* version.h - which gatepost this is, and which OpenSSL: the one linked into the session, and the one installed. */
#ifndef SERVER_PROCESS_VERSION_H
#define SERVER_PROCESS_VERSION_H

#include "store/span.h"

/* "0.1" */
const char *version_gatepost(void);

/* "3.0.17": the library that the session program was linked with; "unknown" in a build that did not say. */
const char *version_openssl_linked(void);

enum { VERSION_TEXT_MAX = 64 };

/* What the installed openssl(1) says of itself. False when there is none or it says nothing sensible. Starts a
 * program and waits for it, so: not in a process that serves. */
bool version_openssl_installed(char text_out[VERSION_TEXT_MAX]) MUST_USE;

/* Whether version `a` is newer than `b`, number by number ("3.0.17" is newer than "3.0.9"). */
bool version_newer(const char *a, const char *b);

#endif
