/* backup.h - the form of a backup: files below a directory, and beside them the manifest, which is written last. It
 * names every file with its length and its BLAKE2b sum, so a backup that was not finished or has changed is known. */
#ifndef SERVER_PROCESS_BACKUP_H
#define SERVER_PROCESS_BACKUP_H

#include "store/span.h"

#include <stdio.h>

enum { BACKUP_VERSION = 1, BACKUP_SUM_BYTES = 32, BACKUP_WORD_MAX = 256, BACKUP_PATH_MAX = 1024 };

#define BACKUP_MANIFEST "manifest"

struct backup_file {
    char *path; /* from the backup's directory: "queue/log/0000000000000001.log" */
    uint64_t bytes;
    uint8_t sum[BACKUP_SUM_BYTES];
};

struct backup {
    char made[BACKUP_WORD_MAX];     /* when: "2026-11-23T19:10:00.123Z" */
    char host[BACKUP_WORD_MAX];     /* of which server: its hostname */
    char gatepost[BACKUP_WORD_MAX]; /* by which version */
    struct backup_file *files;
    size_t n, cap;
};

/* Copies up to `limit` octets from the start of `in` to `out` (-1: nowhere) and sums them. What is zero stays a hole;
 * nothing is synced. 0, or -1 with errno. */
int backup_copy(int in, int out, uint64_t limit, uint64_t *bytes_out, uint8_t sum_out[BACKUP_SUM_BYTES]) MUST_USE;

/* Notes a file. -1 with errno: a path that no manifest can hold, or no memory. */
int backup_add(struct backup *backup, const char *path, uint64_t bytes, const uint8_t sum[BACKUP_SUM_BYTES]) MUST_USE;

/* Writes the manifest into the directory, whose files are synced: under its own name once it is whole and synced. -1
 * with errno. */
int backup_write(const struct backup *backup, int directory) MUST_USE;

/* Reads the manifest of `directory`, which `name` is for messages. -1 after saying to `errors` why it is not one, or
 * not one that this version can read. */
int backup_read(struct backup *backup, int directory, const char *name, FILE *errors) MUST_USE;

void backup_free(struct backup *backup);

#endif
