/* role.h - the roles of our processes, and a child's side of its channel to the master: how it gets its setup, its
 * channels to other roles and its descriptors, at start, at reload, and when a peer was restarted. */
#ifndef STORE_ROLE_H
#define STORE_ROLE_H

#include "store/frame.h"
#include "store/frames.h"

enum role {
    ROLE_NONE = 0,
    ROLE_MASTER,
    ROLE_LISTENER, /* for SMTP, and its sessions */
    ROLE_AUTH,
    ROLE_VERIFIER,
    ROLE_KEYS,
    ROLE_QUEUE,
    ROLE_DELIVERY, /* local: Maildir, capture */
    ROLE_OUTBOUND, /* to other hosts by SMTP, to mailboxes by LMTP */
    ROLE_RESOLVER,
    ROLE_LOG,
    ROLE_POLICY,  /* hears another server's reports of failed logins */
    ROLE_POP3,    /* the listener for POP3, and its sessions */
    ROLE_COMMAND, /* the command line, in the master's place when no server runs */
    ROLE_COUNT
};

const char *role_name(enum role role);

/* Whether it accepts connections and forks sessions: ROLE_LISTENER, ROLE_POP3. */
static inline bool role_listens(enum role role) {
    return role == ROLE_LISTENER || role == ROLE_POP3;
}

enum role_descriptor {
    DESCRIPTOR_NONE = 0,
    DESCRIPTOR_DIRECTORY,   /* index 0: the role's own, its root and working directory; 1..: dovecot, capture */
    DESCRIPTOR_SOCKET,      /* listener: a listening socket, by index of the setup's list; policy: the same */
    DESCRIPTOR_CONTROL,     /* auth, queue: listening control socket; index 0 */
    DESCRIPTOR_KEY,         /* keys: PEM private key, by index of the setup's list */
    DESCRIPTOR_CA,          /* outbound: PEM bundle */
    DESCRIPTOR_RESOLV,      /* resolver: resolv.conf */
    DESCRIPTOR_HOSTS,       /* resolver: hosts */
    DESCRIPTOR_CERTIFICATE, /* keys, as a judge: PEM certificate, by index of the setup's list */
    DESCRIPTOR_SUBMIT,      /* listener: the listening local socket, where there is one; index 0 */
    DESCRIPTOR_LOGIN,       /* auth: the listening socket for reports of logins, where there is one; index 0 */
    DESCRIPTOR_FAULTS       /* listener: struct fault_shared, in builds with FAULTS=1 alone; index 0 */
};

/* Hardening that could not be had; CHILD_READY tells the master. */
enum role_missing { MISSING_USER = 1, MISSING_ROOT = 2, MISSING_LANDLOCK = 4, MISSING_SECCOMP = 8 };

/* Channels of auth: 64 verifiers, the listeners of the last 60 starts for SMTP and for POP3, keys, queue, delivery.
 */
enum { ROLE_CONTROL_FD = 3, ROLE_CHANNELS = 200, ROLE_DESCRIPTORS = 80 };
#define ROLE_LIMIT_NONE UINT64_MAX

/* A listener's own descriptors lie from here on, where its sessions can have none: so its filter, which they inherit,
 * tells it from them. A power of two; and the end that the filter knows. */
enum { ROLE_OWN_FD = 16, ROLE_OWN_FD_END = 4096 };

struct role_link {
    uint8_t kind, index; /* enum role of the peer, or enum role_descriptor */
    int fd;
};

/* What came from the master. `common` is the same for every role, `payload` is the room's own (*_setup.h). */
struct role_start {
    struct span memory; /* the setup, mapped read-only; replaced at reload */
    struct {
        uint8_t role;
        uint8_t as_root; /* drop to uid, gid and the empty root */
        /* DESCRIPTOR_DIRECTORY 0 is only a root to be in, with no right to anything below. */
        uint8_t directory_is_empty;
        uint8_t dumpable; /* sanitizer builds only: their leak check needs it */
        uint32_t uid, gid;
        uint64_t files_max, file_bytes_max, memory_bytes_max; /* rlimits; ROLE_LIMIT_NONE: leave as it is */
        struct span filter;                                   /* struct sock_filter array for the process */
        struct span child_filter; /* added by a process that it forks (session, agent); may be empty */
    } common;
    struct span payload;
    struct role_link channels[ROLE_CHANNELS];
    struct role_link descriptors[ROLE_DESCRIPTORS];
    size_t n_channels, n_descriptors;
};

/* Writes the setup (for the master); read back by role_receive. */
void role_setup_put(struct buf *b, const struct role_start *start);

/* Reads frames until MASTER_START. 0, or -1 when the channel ends or says something else. */
int role_receive(struct role_start *start) MUST_USE;

enum role_event {
    ROLE_EVENT_GONE = 0,   /* the master is gone: leave at once */
    ROLE_EVENT_NONE,       /* nothing there */
    ROLE_EVENT_SETUP,      /* start->payload is new (reload); views into the old one are void after this call */
    ROLE_EVENT_CHANNEL,    /* *link_out is new or replaced; the one before is closed by the caller's bookkeeping */
    ROLE_EVENT_DESCRIPTOR, /* *link_out likewise */
    ROLE_EVENT_DRAIN,
    ROLE_EVENT_FORGET,  /* *number_out: generation */
    ROLE_EVENT_LOG_NEW, /* auth */
    ROLE_EVENT_ACCEPT,  /* listener */
    ROLE_EVENT_DIALED   /* outbound: link_out->fd is connected (the caller's own), or -1 and *old_out the errno;
                         *number_out: request */
};

/* Handles one frame of the master's on ROLE_CONTROL_FD (non-blocking). A channel or descriptor of the same kind and
 * index is replaced and the old one closed; *old_out is its number (already closed), or -1, so that a loop can forget
 * it. */
enum role_event role_listen(struct role_start *start, struct role_link *link_out, int *old_out,
                            uint32_t *number_out) MUST_USE;

/* The descriptor, or -1. */
int role_channel(const struct role_start *start, enum role peer, unsigned index);
int role_descriptor(const struct role_start *start, enum role_descriptor kind, unsigned index);

/* Tells the master; a master that is gone is noticed elsewhere. */
void role_say(enum frame_type type, struct span body);
void role_ready(uint32_t missing);

#endif
