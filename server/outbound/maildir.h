/* maildir.h - putting messages into a Maildir so that they are durable, and found again when they are delivered
 * twice: the file's name comes from the message and the recipient. A batch of messages shares one sync of the
 * directory. */
#ifndef SERVER_OUTBOUND_MAILDIR_H
#define SERVER_OUTBOUND_MAILDIR_H

#include "store/buf.h"

#include <sys/types.h>

enum { MAILDIR_BATCH = 32, MAILDIR_NAME_MAX = 200, MAILDIR_NAME_SIZE = 256 };

struct maildir {
    int directory, tmp, new, cur; /* open directories */
};

/* The directory names of a destination "local@domain" below the mail directory: the domain as it is, the local
 * part with what a directory name cannot hold as %XX. False when no directory can have these names. */
bool maildir_path(struct span destination, char domain_out[MAILDIR_NAME_SIZE],
                  char local_out[MAILDIR_NAME_SIZE]) MUST_USE;

/* Opens the directory `name` below `parent`, making it (0700, durably) when it is missing; follows no symbolic link.
 * A descriptor, or -1 with errno. */
int maildir_directory(int parent, const char *name) MUST_USE;

/* Opens the user's directory below `directory`, which is closed, making what is missing. A descriptor, or -1 with
 * errno. */
int maildir_user(int directory, const char *domain, const char *local) MUST_USE;

/* Opens tmp, new and cur in `directory` (which it owns from then on), making what is missing. 0, or -1 with errno. */
int maildir_open(struct maildir *maildir, int directory) MUST_USE;
void maildir_close(struct maildir *maildir);

/* What names a file: arrival.messageRindex.hostname */
struct maildir_key {
    uint64_t arrival;
    struct span message, hostname;
    uint16_t index;
};

struct maildir_file {
    char prefix[MAILDIR_NAME_MAX]; /* up to the hostname, with the dot before it */
    char tmp[MAILDIR_NAME_SIZE], name[MAILDIR_NAME_SIZE];
    int fd;
    uint64_t bytes, lines;
    bool line_open; /* the last octet ends no line */
    bool maybe_delivered;
    int error;       /* errno of what failed, 0: well so far */
    bool there;      /* it had been delivered before */
    uint8_t *buffer; /* output not written yet */
    size_t buffered;
};

struct maildir_batch {
    struct maildir *maildir;
    struct maildir_file files[MAILDIR_BATCH];
    size_t n;
};

/* Begins a file in the batch (which has room); its number. Errors are kept in the file. */
size_t maildir_begin(struct maildir_batch *batch, const struct maildir_key *key, bool maybe_delivered);

void maildir_write(struct maildir_batch *batch, size_t file, const void *p, size_t n);

/* Gives a file up. */
void maildir_abandon(struct maildir_batch *batch, size_t file, int error);

/* The file is written: syncs it, and names it by its size, in octets and as it is with CRLF line ends. */
void maildir_end(struct maildir_batch *batch, size_t file);

/* Whether a file of that base name is a delivery of ours whose name says its size with CRLF line ends: all of its
 * line ends are LF then. */
bool maildir_name_read(struct span base, uint64_t *crlf_bytes_out);

/* Moves all files of the batch into new, syncs the directory once. Then files[].error says for each: 0, it is
 * durable (or was there). The caller reads the errors and sets batch->n to 0. */
void maildir_commit(struct maildir_batch *batch);

#endif
