/* faults.h - `gatepost serve --faults FILE` (gatepost-faults.5): from the file to what sessions share. In a build
 * without FAULTS=1 there is no such option, and nothing of it is in the program. */
#ifndef SERVER_PROCESS_FAULTS_H
#define SERVER_PROCESS_FAULTS_H

#include "server/process/child.h"

/* A file's name; empty: no script, but local parts ask for faults. */
struct faults_option {
    const char *file; /* NULL: no faults */
};

#ifdef GATEPOST_FAULTS
/* Whether this configuration may have faults: all that it listens on is loopback. Else says so. */
bool faults_allowed(const struct conf *conf, struct faults_option option, FILE *errors) MUST_USE;

/* Reads the script and makes the memory, in place of that before; counting begins anew. 0, or -1 (said to `errors`,
 * and what was before stays). */
int faults_open(struct family *family, struct faults_option option, FILE *errors) MUST_USE;
#else
static inline bool faults_allowed(const struct conf *conf, struct faults_option option, FILE *errors) {
    (void)conf, (void)option, (void)errors;
    return true;
}
static inline int faults_open(struct family *family, struct faults_option option, FILE *errors) {
    (void)family, (void)option, (void)errors;
    return 0;
}
#endif

#endif
