/* child.h - one role's process as the master sees it: starting it, handing it what it needs, joining it to its
 * peers. */
#ifndef SERVER_PROCESS_CHILD_H
#define SERVER_PROCESS_CHILD_H

#include "server/process/setup.h"
#include "server/process/sockets.h"
#include "store/loop.h"

enum { CHILDREN_MAX = 192, CHILD_DEATHS = 3, FAMILY_KEYS_MAX = 256 };

struct child {
    enum role role;               /* ROLE_NONE: the slot is free */
    uint8_t index;                /* verifier number; listener: its number of start, modulo 60 */
    pid_t pid;                    /* 0: waits to be started (again) */
    struct loop_watch watch;      /* its control channel */
    bool said_ready, ready;       /* a listener is ready when its certificates' keys are held, too */
    bool draining, removed;       /* removed: is not started again */
    bool begun;                   /* was told to run */
    uint32_t missing, generation; /* generation of certificates or keys that it was told last */
    uint32_t restarts;
    uint64_t started_wall_ms, restart_at_ms;
    uint64_t deaths_ms[CHILD_DEATHS]; /* the latest first */
    uint32_t busy;                    /* listener: sessions */
    uint64_t accepted, crashed;
    uint8_t certificates[MATERIAL_MAX][KEY_NAME_BYTES]; /* listener: names of their keys */
    size_t n_certificates;
    struct family *family;
};

enum { FAMILY_PLANS = 2 };

/* All children and what is needed to start one. */
struct family {
    struct child children[CHILDREN_MAX];
    const struct conf *conf;
    struct setup_facts facts;
    const struct sockets *sockets; /* NULL when stand-alone */
    int log_fds[2];                /* [0] is what the log writer reads; our own processes write to [1] */
    int crowd_fds[2];              /* the same for those who meet strangers: what fills it leaves room in the other */
    int auth_control, queue_control; /* listening control sockets, or -1 */
    int submit;                      /* where system users connect, or -1 */
    int login;                       /* where logins at other servers are reported, or -1 */
    struct sockets policy;           /* where Dovecot reports failed ones */
    int faults;                      /* struct fault_shared (server/lab/fault.h), or -1 */
    struct loop *loop;               /* NULL: control channels are not watched */
    void (*heard)(struct child *child, const struct frame *frame);
    uint8_t next_listener;
    struct material good, fresh; /* certificates in service; those of the last reload, while they are being judged */
    uint32_t generation;         /* of the last material that was read */
    struct family_plan {         /* a new listener: for SMTP, for POP3 */
        bool wanted;             /* is due at at_ms */
        bool late;               /* it could not be had, which was logged */
        uint64_t at_ms;
    } plans[FAMILY_PLANS];
    struct { /* what the keys process holds, each of the last generation that brought it */
        uint32_t generation;
        uint8_t name[KEY_NAME_BYTES];
    } keys[FAMILY_KEYS_MAX];
    size_t n_keys;
    uint32_t keys_generation; /* it has read the keys of this generation; 0: has not said */
};

/* Takes a free slot; NULL when there is none. */
struct child *child_add(struct family *family, enum role role, uint8_t index);

struct child *child_find(struct family *family, enum role role, int index);

/* Forks and executes the role's program and tells it setup and descriptors, but not yet its channels. 0, or -1
 * (logged): where there is a process all the same (child->pid), it was killed and will be waited for. */
int child_spawn(struct child *child) MUST_USE;

/* Makes a new channel between the child and each living peer that it speaks with, and hands each its end. */
void child_link(struct child *child);

/* All is there: run. Where new certificates are being judged, a new keys process gets their keys behind those in
 * service. */
void child_begin(struct child *child);

/* Sends one frame; a child that does not take it is killed and will be restarted. */
void child_tell(struct child *child, enum frame_type type, struct span body, int passed);

/* At start and after a reload: the files that the role reads, and its setup. -1: the setup could not be made. */
int child_setup(struct child *child) MUST_USE;

/* The process has gone: forgets it (the slot stays). */
void child_gone(struct child *child);

/* Where the programs of the roles lie: beside the executable (build/) or in libexec. "" when they are not found. */
const char *child_programs(void);

#endif
