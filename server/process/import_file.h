/* import_file.h - a password file of another server, read whole and checked line by line before anything is done. */
#ifndef SERVER_PROCESS_IMPORT_FILE_H
#define SERVER_PROCESS_IMPORT_FILE_H

#include "auth/import_line.h"
#include "auth/password_import.h"

#include <stdio.h>

struct import_user {
    uint32_t line;
    enum password_scheme scheme; /* NONE: `hash` is the password itself */
    bool locked;
    struct span login, hash; /* views into `storage` of the file */
};

struct import_skip { /* why users of the file are none here, and how many */
    const char *why;
    size_t n;
};

enum { IMPORT_SKIPS = 8, IMPORT_SAID_MAX = 100, IMPORT_BYTES_MAX = 256 << 20 };

struct import_file {
    const char *name;          /* for messages */
    enum import_format format; /* NONE: is guessed, and set */
    struct span scheme;        /* of hashes that name none */
    const char *domain;        /* of names without one; NULL: none */
    uint64_t today;            /* days since 1970 */
    FILE *errors;

    struct import_user *users; /* in the order of their logins */
    size_t n, faults;
    struct import_skip skips[IMPORT_SKIPS];
    uint8_t *text, *storage;
    size_t text_n, storage_n;
};

/* Reads all of `fd` and checks it; the fields above the gap are set. What is wrong in it is said by line, at most
 * IMPORT_SAID_MAX times, and counted: those lines are no users. 0, or -1 after saying why it cannot be read. */
int import_file_read(struct import_file *file, int fd) MUST_USE;

/* "FILE:LINE: ", and counts a fault; false when enough has been said. */
bool import_file_fault(struct import_file *file, uint64_t line);

/* Wipes and frees what was read. */
void import_file_free(struct import_file *file);

#endif
