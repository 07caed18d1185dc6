/* tape.c - counting, failing, cutting and recording file operations.
 * Runs in: tests. Trusts: that one process at a time uses the tape. Never: syncs anything. */
#include "tests/fault/tape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct tape *tape;
static uint32_t inode_of[TAPE_FDS]; /* of this process's descriptors; 0: not known */
static bool writable[TAPE_FDS];
static jmp_buf *agent_place;
static uint32_t late_sync; /* PLANT_MAILDIR_SYNC */

static const char *const call_names[CALLS] = {
    "open",  "close",   "pwritev",   "pread", "fsync",  "fdatasync", "fallocate", "rename",          "unlink",
    "mkdir", "statvfs", "renameat2", "link",  "fchmod", "fstat",     "flock",     "sync_file_range", "readdir"};
static const char *const fault_names[FAULTS] = {
    "none",      "EIO",         "ENOSPC", "short",     "short, then ENOSPC",
    "full disk", "broken disk", "cut",    "agent cut", "cut in the middle"};
static const char *const plant_names[PLANTS] = {"none",
                                                "no fdatasync of the log before 250",
                                                "no sync of the directory of a new segment",
                                                "no fsync of a file below deferred/",
                                                "a name in the Maildir before the fsync",
                                                "no sync of the directory of a body's file",
                                                "marks dropped",
                                                "a failed fdatasync taken for a good one"};

const char *tape_call_name(enum call call) {
    return call_names[call];
}
const char *tape_fault_name(enum fault fault) {
    return fault_names[fault];
}
const char *tape_plant_name(enum plant plant) {
    return plant_names[plant];
}

struct tape *tape_make(void) {
    void *p =
        mmap(NULL, sizeof(struct tape), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) abort();
    tape_clear(p);
    return p;
}

void tape_clear(struct tape *t) {
    t->target = t->calls = 0;
    t->fault = FAULT_NONE;
    t->has_struck = t->healed = false;
    t->n_steps = t->n_entries = t->n_octets = 0;
    t->n_inodes = 3; /* 0: none, and the roots */
    t->is_directory[TAPE_QUEUE] = t->is_directory[TAPE_MAIL] = true;
}

void tape_heal(void) {
    tape->healed = true;
}

/* ---- faults */

static bool takes_space(enum call call, int flags) {
    if (call == CALL_OPEN) return flags & O_CREAT;
    return call == CALL_WRITE || call == CALL_ALLOCATE || call == CALL_MKDIR || call == CALL_LINK ||
           call == CALL_RENAME || call == CALL_RENAME_NEW || call == CALL_FSYNC || call == CALL_FDATASYNC;
}

static bool breaks(enum call call) {
    return call == CALL_WRITE || call == CALL_FSYNC || call == CALL_FDATASYNC;
}

bool tape_fits(const struct tape *counted, enum fault fault, uint32_t n) {
    enum call call = (enum call)(counted->kinds[n] & 127);
    bool agent = counted->kinds[n] & 128;
    switch (fault) {
    case FAULT_ENOSPC:
    case FAULT_FULL:
        return counted->takes[n];
    case FAULT_SHORT:
        return call == CALL_WRITE || call == CALL_READ;
    case FAULT_SHORT_ENOSPC:
    case FAULT_CUT_HALF:
        return call == CALL_WRITE;
    case FAULT_BROKEN:
        return breaks(call);
    case FAULT_CUT_AGENT:
        return agent;
    default:
        return true;
    }
}

enum verdict { GO = 0, FAIL, HALF };

static enum verdict strike(enum call call, const char *name, int flags, int error) {
    tape->struck = call;
    tape->struck_flags = flags;
    tape->struck_agent = agent_place;
    tape->has_struck = true;
    snprintf(tape->struck_name, sizeof tape->struck_name, "%.90s", name);
    errno = error;
    return FAIL;
}

/* Counts a call and says what becomes of it. */
static enum verdict meet(enum call call, const char *name, int flags) {
    uint32_t n = ++tape->calls;
    if (n >= TAPE_CALLS) abort();
    tape->kinds[n] = (uint8_t)(call | (agent_place ? 128 : 0));
    tape->takes[n] = takes_space(call, flags);
    if (!tape->target || n < tape->target) return GO;
    switch (tape->fault) {
    case FAULT_FULL:
        return tape->healed || !takes_space(call, flags) ? GO : strike(call, name, flags, ENOSPC);
    case FAULT_BROKEN:
        return tape->healed || !breaks(call) ? GO : strike(call, name, flags, EIO);
    case FAULT_SHORT_ENOSPC:
        if (tape->has_struck && !tape->healed && call == CALL_WRITE) {
            tape->healed = true;
            errno = ENOSPC;
            return FAIL;
        }
        break;
    default:
        break;
    }
    if (n != tape->target) return GO;
    switch (tape->fault) {
    case FAULT_EIO:
        return strike(call, name, flags, EIO);
    case FAULT_ENOSPC:
        return takes_space(call, flags) ? strike(call, name, flags, ENOSPC) : GO;
    case FAULT_SHORT:
    case FAULT_SHORT_ENOSPC:
    case FAULT_CUT_HALF:
        (void)strike(call, name, flags, 0);
        return HALF;
    case FAULT_CUT:
        (void)strike(call, name, flags, 0);
        _exit(TAPE_CUT_EXIT);
    case FAULT_CUT_AGENT:
        if (!agent_place) return GO;
        (void)strike(call, name, flags, 0);
        longjmp(*agent_place, 1);
    default:
        return GO;
    }
}

/* ---- the record */

static struct tape_step *step(enum step kind, uint32_t inode) {
    if (!tape->recording) return NULL;
    if (tape->n_steps == TAPE_STEPS) abort();
    struct tape_step *made = &tape->steps[tape->n_steps++];
    *made = (struct tape_step){.kind = (uint8_t)kind, .inode = inode};
    return made;
}

static struct tape_entry *entry(uint32_t directory, const char *name) {
    for (uint32_t i = 0; i < tape->n_entries; i++)
        if (tape->entries[i].directory == directory && strcmp(tape->entries[i].name, name) == 0)
            return &tape->entries[i];
    return NULL;
}

static void set_entry(uint32_t directory, const char *name, uint32_t inode) {
    struct tape_entry *at = entry(directory, name);
    if (!at) {
        for (uint32_t i = 0; i < tape->n_entries && !at; i++)
            if (!tape->entries[i].inode) at = &tape->entries[i];
        if (!at) {
            if (tape->n_entries == TAPE_NODES) abort();
            at = &tape->entries[tape->n_entries++];
        }
        at->directory = directory;
        snprintf(at->name, sizeof at->name, "%s", name);
    }
    at->inode = inode;
}

/* The directory that holds the last part of the name, and that part. */
static uint32_t resolve(int directory, const char **name) {
    uint32_t inode = directory >= 0 && directory < TAPE_FDS ? inode_of[directory] : 0;
    for (const char *slash; inode && (slash = strchr(*name, '/')); *name = slash + 1) {
        char part[TAPE_NAME];
        snprintf(part, sizeof part, "%.*s", (int)(slash - *name), *name);
        const struct tape_entry *at = entry(inode, part);
        inode = at ? at->inode : 0;
    }
    return inode;
}

static void say_entry(enum step kind, uint32_t directory, const char *name, uint32_t inode) {
    struct tape_step *made = step(kind, inode);
    if (!made) return;
    if (strlen(name) >= sizeof made->name) abort();
    made->directory = directory;
    snprintf(made->name, sizeof made->name, "%s", name);
    set_entry(directory, name, kind == STEP_UNLINK ? 0 : inode);
}

static uint32_t new_inode(bool is_directory) {
    if (tape->n_inodes == TAPE_NODES) abort();
    tape->is_directory[tape->n_inodes] = is_directory;
    tape->bytes[tape->n_inodes] = 0;
    return tape->n_inodes++;
}

static void know(int fd, uint32_t inode, int flags) {
    if (fd < 0) return;
    if (fd >= TAPE_FDS) abort();
    inode_of[fd] = inode;
    writable[fd] = (flags & O_ACCMODE) != O_RDONLY;
}

static uint32_t known(int fd) {
    return fd >= 0 && fd < TAPE_FDS ? inode_of[fd] : 0;
}

static bool is_below(uint32_t inode, const char *directory) {
    for (uint32_t i = 0; i < tape->n_entries; i++) {
        const struct tape_entry *at = &tape->entries[i];
        if (at->inode != inode) continue;
        if (at->directory == TAPE_QUEUE && strcmp(at->name, directory) == 0) return true;
        return at->directory > TAPE_MAIL && is_below(at->directory, directory);
    }
    return false;
}

static bool is_mail(uint32_t inode) {
    for (uint32_t i = 0; i < tape->n_entries; i++)
        if (tape->entries[i].inode == inode)
            return tape->entries[i].directory == TAPE_MAIL || is_mail(tape->entries[i].directory);
    return false;
}

/* A sync as the planted defect has it. */
static void say_sync(enum step kind, uint32_t inode, enum call call) {
    bool directory = tape->is_directory[inode];
    if (!inode || !tape->recording) return;
    switch (tape->plant) {
    case PLANT_LOG_SYNC:
        if (call == CALL_FDATASYNC) return;
        break;
    case PLANT_SEGMENT_SYNC:
        if (directory && is_below(inode, "log")) return;
        break;
    case PLANT_DEFERRED_SYNC:
        if (!directory && is_below(inode, "deferred")) return;
        break;
    case PLANT_BODY_SYNC:
        if (directory && is_below(inode, "body")) return;
        break;
    case PLANT_MAILDIR_SYNC:
        if (!directory && is_mail(inode)) {
            late_sync = inode;
            return;
        }
        break;
    default:
        break;
    }
    (void)step(kind, inode);
    if (directory && late_sync) (void)step(STEP_SYNC, late_sync), late_sync = 0;
}

/* ---- the calls */

static int tape_open(int directory, const char *name, int flags, mode_t mode) {
    if (meet(CALL_OPEN, name, flags) == FAIL) return -1;
    const char *last = name;
    uint32_t where = resolve(directory, &last);
    const struct tape_entry *at = where ? entry(where, last) : NULL;
    uint32_t inode = at ? at->inode : 0;
    int fd = disk_system.open(directory, name, flags, mode);
    if (fd < 0 || !where) return fd;
    if (strcmp(last, ".") == 0) inode = where;
    if (!inode && flags & O_CREAT && tape->recording) {
        inode = new_inode(false);
        say_entry(STEP_CREATE, where, last, inode);
    } else if (inode && flags & O_TRUNC && tape->bytes[inode]) {
        (void)step(STEP_EMPTY, inode);
        tape->bytes[inode] = 0;
    }
    know(fd, inode, flags);
    return fd;
}

static int tape_close(int fd) {
    enum verdict verdict = meet(CALL_CLOSE, writable[fd % TAPE_FDS] ? "writable" : "", 0);
    int error = errno, result = disk_system.close(fd);
    know(fd, 0, 0);
    if (verdict != FAIL) return result;
    errno = error;
    return -1;
}

static void say_write(uint32_t inode, const struct iovec *parts, int n, uint64_t offset, size_t bytes) {
    struct tape_step *made = inode ? step(STEP_WRITE, inode) : NULL;
    if (!made) return;
    if (tape->n_octets + bytes > TAPE_OCTETS) abort();
    made->offset = offset, made->at = tape->n_octets, made->n = (uint32_t)bytes;
    for (int i = 0; i < n && bytes; i++) {
        size_t part = parts[i].iov_len < bytes ? parts[i].iov_len : bytes;
        if (part) memcpy(tape->octets + tape->n_octets, parts[i].iov_base, part);
        tape->n_octets += (uint32_t)part, bytes -= part;
    }
    if (tape->bytes[inode] < offset + made->n) tape->bytes[inode] = offset + made->n;
}

/* The first octets of the parts only. */
static ssize_t write_some(int fd, const struct iovec *parts, int n, off_t offset, size_t bytes) {
    ssize_t done = 0;
    for (int i = 0; i < n && bytes; i++) {
        size_t part = parts[i].iov_len < bytes ? parts[i].iov_len : bytes;
        ssize_t got = pwrite(fd, parts[i].iov_base, part, offset + done);
        if (got != (ssize_t)part) return -1;
        done += got, bytes -= part;
    }
    return done;
}

static ssize_t tape_pwritev(int fd, const struct iovec *parts, int n, off_t offset) {
    enum verdict verdict = meet(CALL_WRITE, "", 0);
    size_t bytes = 0;
    if (verdict == FAIL) return -1;
    for (int i = 0; i < n; i++) bytes += parts[i].iov_len;
    if (verdict == HALF && bytes > 1) bytes /= 2;
    ssize_t done =
        verdict == HALF ? write_some(fd, parts, n, offset, bytes) : disk_system.pwritev(fd, parts, n, offset);
    if (done > 0) say_write(known(fd), parts, n, (uint64_t)offset, (size_t)done);
    if (tape->fault == FAULT_CUT_HALF && verdict == HALF) _exit(TAPE_CUT_EXIT);
    return done;
}

static ssize_t tape_pread(int fd, void *p, size_t n, off_t offset) {
    enum verdict verdict = meet(CALL_READ, "", 0);
    if (verdict == FAIL) return -1;
    return disk_system.pread(fd, p, verdict == HALF && n > 1 ? n / 2 : n, offset);
}

static int sync_as(int fd, enum call call) {
    enum verdict verdict = meet(call, tape->is_directory[known(fd)] ? "directory" : "file", 0);
    if (verdict == FAIL && tape->plant == PLANT_TWICE && call == CALL_FDATASYNC) {
        say_sync(STEP_SYNC_FAILED, known(fd), call);
        return 0;
    }
    say_sync(verdict == FAIL ? STEP_SYNC_FAILED : STEP_SYNC, known(fd), call);
    return verdict == FAIL ? -1 : 0;
}

static int tape_fsync(int fd) {
    return sync_as(fd, CALL_FSYNC);
}
static int tape_fdatasync(int fd) {
    return sync_as(fd, CALL_FDATASYNC);
}

static int tape_fallocate(int fd, int mode, off_t offset, off_t n) {
    if (meet(CALL_ALLOCATE, "", 0) == FAIL) return -1;
    /* A hole is as good here, and cheap. */
    int result = ftruncate(fd, offset + n);
    uint32_t inode = known(fd);
    struct tape_step *made = result == 0 && inode && !mode ? step(STEP_GROW, inode) : NULL;
    if (made) made->offset = tape->bytes[inode] = (uint64_t)(offset + n);
    return result;
}

static int rename_as(enum call call, int from, const char *name, int to, const char *new_name) {
    if (meet(call, name, 0) == FAIL) return -1;
    int result = call == CALL_RENAME ? disk_system.rename(from, name, to, new_name)
                                     : disk_system.rename_new(from, name, to, new_name);
    if (result != 0) return result;
    uint32_t old_directory = resolve(from, &name), new_directory = resolve(to, &new_name);
    const struct tape_entry *at = old_directory ? entry(old_directory, name) : NULL;
    if (!at || !new_directory) return 0;
    say_entry(STEP_LINK, new_directory, new_name, at->inode);
    say_entry(STEP_UNLINK, old_directory, name, 0);
    return 0;
}

static int tape_rename(int from, const char *name, int to, const char *new_name) {
    return rename_as(CALL_RENAME, from, name, to, new_name);
}
static int tape_rename_new(int from, const char *name, int to, const char *new_name) {
    return rename_as(CALL_RENAME_NEW, from, name, to, new_name);
}

static int tape_link(int from, const char *name, int to, const char *new_name) {
    if (meet(CALL_LINK, name, 0) == FAIL) return -1;
    if (disk_system.link(from, name, to, new_name) != 0) return -1;
    uint32_t old_directory = resolve(from, &name), new_directory = resolve(to, &new_name);
    const struct tape_entry *at = old_directory ? entry(old_directory, name) : NULL;
    if (at && new_directory) say_entry(STEP_LINK, new_directory, new_name, at->inode);
    return 0;
}

static int tape_unlink(int directory, const char *name) {
    if (meet(CALL_UNLINK, name, 0) == FAIL) return -1;
    if (disk_system.unlink(directory, name) != 0) return -1;
    uint32_t where = resolve(directory, &name);
    if (where) say_entry(STEP_UNLINK, where, name, 0);
    return 0;
}

static int tape_mkdir(int directory, const char *name, mode_t mode) {
    if (meet(CALL_MKDIR, name, 0) == FAIL) return -1;
    if (disk_system.mkdir(directory, name, mode) != 0) return -1;
    uint32_t where = resolve(directory, &name);
    if (!where || !tape->recording) return 0;
    uint32_t inode = new_inode(true);
    say_entry(STEP_MKDIR, where, name, inode);
    tape->steps[tape->n_steps - 1].offset = mode;
    return 0;
}

static int tape_free_bytes(int directory, uint64_t *bytes_out, uint64_t *inodes_out) {
    (void)directory;
    if (meet(CALL_FREE, "", 0) == FAIL) return -1;
    *bytes_out = *inodes_out = UINT64_MAX / 2;
    return 0;
}

static int tape_chmod(int fd, mode_t mode) {
    if (meet(CALL_CHMOD, "", 0) == FAIL) return -1;
    if (disk_system.chmod(fd, mode) != 0) return -1;
    struct tape_step *made = known(fd) ? step(STEP_CHMOD, known(fd)) : NULL;
    if (made) made->offset = mode;
    return 0;
}

static int tape_status(int fd, struct stat *out) {
    return meet(CALL_STATUS, "", 0) == FAIL ? -1 : disk_system.status(fd, out);
}
static int tape_lock(int fd) {
    return meet(CALL_LOCK, "", 0) == FAIL ? -1 : disk_system.lock(fd);
}
static int tape_begin_sync(int fd) {
    (void)fd;
    return meet(CALL_BEGIN_SYNC, "", 0) == FAIL ? -1 : 0;
}

/* In an order of its own, whatever the file system's is: runs are to be alike. */
enum { LIST_MAX = 1024 };
struct listing {
    char (*names)[TAPE_NAME];
    size_t n;
};

static int list_one(void *context, const char *name) {
    struct listing *listing = context;
    if (listing->n == LIST_MAX) abort();
    snprintf(listing->names[listing->n++], TAPE_NAME, "%.95s", name);
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

static int tape_list(int directory, int (*each)(void *context, const char *name), void *context) {
    if (meet(CALL_LIST, "", 0) == FAIL) return -1;
    struct listing listing = {calloc(LIST_MAX, TAPE_NAME), 0};
    if (!listing.names) abort();
    int result = disk_system.list(directory, list_one, &listing);
    if (listing.n) qsort(listing.names, listing.n, TAPE_NAME, by_name);
    for (size_t i = 0; i < listing.n && result == 0; i++) result = each(context, listing.names[i]);
    int saved = errno;
    free(listing.names);
    errno = saved;
    return result;
}

int tape_root(uint32_t inode) {
    int fd = -1;
    for (int i = 0; i < TAPE_FDS && fd < 0; i++)
        if (inode_of[i] == inode) fd = fcntl(i, F_DUPFD_CLOEXEC, 20);
    know(fd, inode, 0);
    return fd;
}

void tape_agent(jmp_buf *place) {
    agent_place = place;
}

void tape_use(struct tape *t, int queue, int mail) {
    static const struct disk_calls calls = {
        .open = tape_open,
        .close = tape_close,
        .pwritev = tape_pwritev,
        .pread = tape_pread,
        .fsync = tape_fsync,
        .fdatasync = tape_fdatasync,
        .fallocate = tape_fallocate,
        .rename = tape_rename,
        .unlink = tape_unlink,
        .mkdir = tape_mkdir,
        .free_bytes = tape_free_bytes,
        .rename_new = tape_rename_new,
        .link = tape_link,
        .chmod = tape_chmod,
        .status = tape_status,
        .lock = tape_lock,
        .begin_sync = tape_begin_sync,
        .list = tape_list,
    };
    tape = t;
    memset(inode_of, 0, sizeof inode_of);
    know(queue, TAPE_QUEUE, 0);
    know(mail, TAPE_MAIL, 0);
    disk_use(&calls);
}
