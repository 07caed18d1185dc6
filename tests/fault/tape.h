/* tape.h - a disk that fails, and remembers: in the place of the system's calls (store/disk.h) it counts every
 * operation, lets the chosen one fail or be the process's last, and records what changes files and directories, with
 * contents, so that image.h can tell what a power cut would leave. Nothing is really synced. The tape lies in memory
 * that processes share: it outlives the one that is cut. */
#ifndef TESTS_FAULT_TAPE_H
#define TESTS_FAULT_TAPE_H

#include "store/disk.h"

#include <setjmp.h>

/* One per entry of struct disk_calls. */
enum call {
    CALL_OPEN = 0,
    CALL_CLOSE,
    CALL_WRITE,
    CALL_READ,
    CALL_FSYNC,
    CALL_FDATASYNC,
    CALL_ALLOCATE,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_MKDIR,
    CALL_FREE,
    CALL_RENAME_NEW,
    CALL_LINK,
    CALL_CHMOD,
    CALL_STATUS,
    CALL_LOCK,
    CALL_BEGIN_SYNC,
    CALL_LIST,
    CALLS
};

/* What becomes of the chosen call. */
enum fault {
    FAULT_NONE = 0,
    FAULT_EIO,
    FAULT_ENOSPC,       /* what takes space or an entry */
    FAULT_SHORT,        /* a write or read does half; what follows works */
    FAULT_SHORT_ENOSPC, /* a write does half, the next one nothing */
    FAULT_FULL,         /* everything that takes space, from here until tape_heal */
    FAULT_BROKEN,       /* every write and sync, from here until tape_heal */
    FAULT_CUT,          /* everything dies before it */
    FAULT_CUT_AGENT,    /* the Maildir agent dies before it, the queue goes on */
    FAULT_CUT_HALF,     /* everything dies in the middle of a write */
    FAULTS
};

/* What the planted defects of tests/check.sh leave out. */
enum plant {
    PLANT_NONE = 0,
    PLANT_LOG_SYNC,      /* 250 before the log's fdatasync */
    PLANT_SEGMENT_SYNC,  /* no sync of the log's directory after a new segment */
    PLANT_DEFERRED_SYNC, /* no fsync of a file below deferred/ */
    PLANT_MAILDIR_SYNC,  /* a file is in new/ before it is synced */
    PLANT_BODY_SYNC,     /* no sync of body/ after a body's file */
    PLANT_MARK,          /* every fifth mark is dropped (world.c) */
    PLANT_TWICE,         /* a sync that failed is called again, and believed (fdatasync never fails) */
    PLANTS
};

enum step {                  /* of the record */
            STEP_CREATE = 1, /* a file: directory, name, inode */
            STEP_MKDIR,
            STEP_EMPTY, /* O_TRUNC: inode */
            STEP_WRITE, /* inode, offset, octets */
            STEP_GROW,  /* inode, offset: its new size */
            STEP_SYNC,  /* inode */
            STEP_SYNC_FAILED,
            STEP_LINK,   /* directory, name, inode; a rename is a STEP_LINK and a STEP_UNLINK of the same number */
            STEP_UNLINK, /* directory, name */
            STEP_CHMOD   /* inode, offset: its mode */
};

enum {
    TAPE_STEPS = 20000,
    TAPE_NODES = 4000,
    TAPE_OCTETS = 64 << 20,
    TAPE_NAME = 96,
    TAPE_FDS = 4096,
    TAPE_CALLS = 20000
};

struct tape_step {
    uint8_t kind;
    uint32_t directory, inode;
    uint64_t offset;
    uint32_t at, n; /* octets */
    char name[TAPE_NAME];
};

struct tape_entry {
    uint32_t directory, inode; /* inode 0: unlinked */
    char name[TAPE_NAME];
};

struct tape {
    /* the chosen call, counted from 1, and what becomes of it */
    uint32_t target;
    enum fault fault;
    enum plant plant;
    bool recording;
    /* what has come of it */
    uint32_t calls;
    enum call struck; /* the call that the fault met, when it met one */
    bool has_struck, healed;
    bool struck_agent; /* the Maildir agent made it */
    char struck_name[TAPE_NAME];
    int struck_flags;
    uint8_t kinds[TAPE_CALLS]; /* enum call of each, and 128 when the Maildir agent made it */
    bool takes[TAPE_CALLS];    /* space */
    /* the record */
    uint32_t n_steps, n_entries, n_octets, n_inodes;
    bool is_directory[TAPE_NODES];
    uint64_t bytes[TAPE_NODES]; /* size now */
    struct tape_step steps[TAPE_STEPS];
    struct tape_entry entries[TAPE_NODES];
    uint8_t octets[TAPE_OCTETS];
};

enum { TAPE_QUEUE = 1, TAPE_MAIL = 2, TAPE_CUT_EXIT = 77 }; /* inodes of the two roots; exit code of who was cut */

/* In shared memory, empty. */
struct tape *tape_make(void);
void tape_clear(struct tape *tape);
/* Of this process: the calls go to the tape from now on; descriptors of the roots. */
void tape_use(struct tape *tape, int queue, int mail);
/* Another descriptor of a root. */
int tape_root(uint32_t inode);
/* Where FAULT_CUT_AGENT goes while an agent runs; NULL: the queue runs. */
void tape_agent(jmp_buf *place);
/* The fault is over (FULL, BROKEN). */
void tape_heal(void);
/* Whether the fault can be tried on the n-th call of a run that was counted. */
bool tape_fits(const struct tape *counted, enum fault fault, uint32_t n);
const char *tape_call_name(enum call call);
const char *tape_fault_name(enum fault fault);
const char *tape_plant_name(enum plant plant);

#endif
