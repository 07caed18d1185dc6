/* image.c - files and directories after a power cut.
 * Runs in: tests. Trusts: its tape. Never: makes certain what was not synced. */
#include "tests/fault/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VERSIONS = 16, BUILT = 512, PENDING = 1024, WAYS_MAX = 1 << 20 };

struct pending {
    uint32_t step;
    bool tainted; /* a sync of it failed */
};

struct node {
    uint8_t *octets; /* certain */
    uint64_t bytes, cap, mode;
    struct pending *pending;
    uint32_t n, n_cap;
};

struct name {
    uint32_t directory;
    char name[TAPE_NAME];
    uint32_t inode[VERSIONS]; /* [0] certain; 0: not there */
    uint32_t n;
};

struct built {
    uint32_t parent; /* index of its directory among the built, or a root */
    char name[TAPE_NAME];
    bool is_directory;
    uint32_t mode;
    uint8_t *octets;
    uint64_t bytes;
};

struct image {
    const struct tape *tape;
    uint32_t steps;
    struct node nodes[TAPE_NODES];
    struct name *names;
    uint32_t n_names, names_cap;
    struct built built[BUILT];
    uint32_t n_built;
    uint64_t hash;
};

static void *grown(void *p, size_t n, size_t bytes) {
    void *made = realloc(p, n * bytes);
    if (!made) abort();
    return made;
}

struct image *image_make(const struct tape *tape) {
    struct image *image = calloc(1, sizeof *image);
    if (!image) abort();
    image->tape = tape;
    return image;
}

void image_free(struct image *image) {
    for (uint32_t i = 0; i < TAPE_NODES; i++) free(image->nodes[i].octets), free(image->nodes[i].pending);
    for (uint32_t i = 0; i < image->n_built; i++) free(image->built[i].octets);
    free(image->names);
    free(image);
}

static void set_bytes(struct node *node, uint64_t bytes) {
    if (bytes > node->cap) {
        node->octets = grown(node->octets, bytes, 1);
        node->cap = bytes;
    }
    if (bytes > node->bytes) memset(node->octets + node->bytes, 0, bytes - node->bytes);
    node->bytes = bytes;
}

static void add_pending(struct node *node, uint32_t step) {
    if (node->n == node->n_cap) {
        node->n_cap = node->n_cap ? 2 * node->n_cap : 8;
        node->pending = grown(node->pending, node->n_cap, sizeof *node->pending);
    }
    node->pending[node->n++] = (struct pending){step, false};
}

static void add_name(struct image *image, uint32_t directory, const char *name, uint32_t inode) {
    struct name *at = image->names;
    for (; at < image->names + image->n_names; at++)
        if (at->directory == directory && strcmp(at->name, name) == 0) break;
    if (at == image->names + image->n_names) {
        if (image->n_names == image->names_cap) {
            image->names_cap = image->names_cap ? 2 * image->names_cap : 64;
            image->names = grown(image->names, image->names_cap, sizeof *image->names);
        }
        at = &image->names[image->n_names++];
        *at = (struct name){.directory = directory, .n = 1};
        snprintf(at->name, sizeof at->name, "%s", name);
    }
    if (at->n == VERSIONS) { /* the oldest that is not certain is left out */
        memmove(at->inode + 1, at->inode + 2, (VERSIONS - 2) * sizeof at->inode[0]);
        at->n--;
    }
    at->inode[at->n++] = inode;
}

static void make_certain(struct image *image, struct node *node) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < node->n; i++) {
        const struct tape_step *step = &image->tape->steps[node->pending[i].step];
        if (step->kind == STEP_CHMOD) {
            node->mode = step->offset;
        } else if (node->pending[i].tainted) {
            node->pending[kept++] = node->pending[i];
        } else if (step->kind == STEP_EMPTY) {
            set_bytes(node, 0);
            kept = 0; /* what may have been there before is gone */
        } else if (step->kind == STEP_GROW) {
            if (step->offset > node->bytes) set_bytes(node, step->offset);
        } else {
            if (step->offset + step->n > node->bytes) set_bytes(node, step->offset + step->n);
            if (step->n) memcpy(node->octets + step->offset, image->tape->octets + step->at, step->n);
        }
    }
    node->n = kept;
}

static void sync_names(struct image *image, uint32_t directory) {
    for (uint32_t i = 0; i < image->n_names; i++) {
        struct name *at = &image->names[i];
        if (at->directory != directory) continue;
        at->inode[0] = at->inode[at->n - 1];
        at->n = 1;
    }
}

void image_step(struct image *image) {
    uint32_t number = image->steps++;
    const struct tape_step *step = &image->tape->steps[number];
    struct node *node = &image->nodes[step->inode];
    switch (step->kind) {
    case STEP_MKDIR:
        node->mode = step->offset;
        add_name(image, step->directory, step->name, step->inode);
        break;
    case STEP_CREATE:
    case STEP_LINK:
        add_name(image, step->directory, step->name, step->inode);
        break;
    case STEP_UNLINK:
        add_name(image, step->directory, step->name, 0);
        break;
    case STEP_EMPTY:
    case STEP_WRITE:
    case STEP_GROW:
    case STEP_CHMOD:
        add_pending(node, number);
        break;
    case STEP_SYNC:
        make_certain(image, node);
        if (image->tape->is_directory[step->inode]) sync_names(image, step->inode);
        break;
    case STEP_SYNC_FAILED: /* what the kernel could not write it forgets; names it keeps */
        for (uint32_t i = 0; i < node->n; i++)
            if (image->tape->steps[node->pending[i].step].kind == STEP_WRITE) node->pending[i].tainted = true;
        break;
    default:
        abort();
    }
}

/* ---- building */

/* Sizes that the file may have, 0 first. */
static uint32_t sizes(const struct image *image, const struct node *node, uint64_t out[PENDING]) {
    uint32_t n = 0;
    out[n++] = node->bytes;
    for (uint32_t i = 0; i < node->n && n < PENDING; i++) {
        const struct tape_step *step = &image->tape->steps[node->pending[i].step];
        uint64_t last = out[n - 1], end = step->offset + (step->kind == STEP_WRITE ? step->n : 0);
        if (step->kind == STEP_CHMOD) continue;
        if (step->kind == STEP_EMPTY)
            end = 0;
        else if (end < last)
            end = last;
        if (end != last) out[n++] = end;
    }
    return n;
}

/* The states of one sector: steps that wrote it, in order. An emptied file had zeros there. */
static uint32_t states(const struct image *image, const struct node *node, uint64_t sector, uint32_t out[VERSIONS]) {
    uint64_t from = sector * SECTOR_BYTES, to = from + SECTOR_BYTES;
    uint32_t n = 1;
    for (uint32_t i = 0; i < node->n; i++) {
        const struct tape_step *step = &image->tape->steps[node->pending[i].step];
        bool covers = step->kind == STEP_WRITE ? step->offset < to && step->offset + step->n > from
                                               : step->kind == STEP_EMPTY && from < node->bytes;
        if (!covers) continue;
        if (n == VERSIONS) memmove(out + 1, out + 2, (VERSIONS - 2) * sizeof out[0]), n--;
        out[n++] = node->pending[i].step;
    }
    return n;
}

static void put_sector(const struct image *image, uint8_t *octets, uint64_t bytes, uint64_t sector,
                       const uint32_t *list, uint32_t picked) {
    uint64_t from = sector * SECTOR_BYTES, to = from + SECTOR_BYTES < bytes ? from + SECTOR_BYTES : bytes;
    /* A later state holds the earlier ones: each wrote its part of the sector. */
    for (uint32_t i = 1; i <= picked; i++) {
        const struct tape_step *step = &image->tape->steps[list[i]];
        if (step->kind == STEP_EMPTY) {
            memset(octets + from, 0, to - from);
            continue;
        }
        uint64_t begin = step->offset > from ? step->offset : from;
        uint64_t end = step->offset + step->n < to ? step->offset + step->n : to;
        if (begin < end) memcpy(octets + begin, image->tape->octets + step->at + (begin - step->offset), end - begin);
    }
}

static void hash_octets(struct image *image, const void *p, size_t n) {
    const uint8_t *octets = p;
    uint64_t h = image->hash ^ n * 0x9e3779b97f4a7c15U;
    for (; n >= 8; n -= 8, octets += 8) {
        uint64_t word;
        memcpy(&word, octets, 8);
        if (word)
            h = (h ^ word) * 0x9fb21c651e98df25U, h ^= h >> 29;
        else
            h += 0x2545f4914f6cdd1dU, h = h << 7 | h >> 57;
    }
    while (n--) h = (h ^ *octets++) * 0x100000001b3U;
    image->hash = h ^ h >> 32;
}

static void build_file(struct image *image, uint32_t inode, struct built *built, image_pick *pick, void *context) {
    static uint64_t list[PENDING];
    const struct node *node = &image->nodes[inode];
    uint32_t n = sizes(image, node, list), steps[VERSIONS];
    built->bytes = list[n > 1 ? pick(context, CELL_SIZE, inode, n) : 0];
    built->octets = calloc(1, built->bytes + 1);
    if (!built->octets) abort();
    size_t certain = node->bytes < built->bytes ? node->bytes : built->bytes;
    if (certain) memcpy(built->octets, node->octets, certain);
    for (uint64_t sector = 0; node->n && sector * SECTOR_BYTES < built->bytes; sector++) {
        uint32_t versions = states(image, node, sector, steps);
        if (versions == 1) continue;
        uint32_t picked = pick(context, CELL_SECTOR, (uint64_t)inode << 32 | sector, versions);
        put_sector(image, built->octets, built->bytes, sector, steps, picked);
    }
    hash_octets(image, built->octets, built->bytes);
}

static uint32_t mode_of(struct image *image, uint32_t inode, image_pick *pick, void *context) {
    const struct node *node = &image->nodes[inode];
    uint32_t modes[VERSIONS], n = 0;
    modes[n++] = (uint32_t)node->mode;
    for (uint32_t i = 0; i < node->n && n < VERSIONS; i++) {
        const struct tape_step *step = &image->tape->steps[node->pending[i].step];
        if (step->kind == STEP_CHMOD) modes[n++] = (uint32_t)step->offset;
    }
    return modes[n > 1 ? pick(context, CELL_MODE, inode, n) : 0];
}

static void build_directory(struct image *image, uint32_t inode, uint32_t parent, image_pick *pick, void *context) {
    for (uint32_t i = 0; i < image->n_names; i++) {
        const struct name *name = &image->names[i];
        if (name->directory != inode) continue;
        uint32_t child = name->inode[name->n > 1 ? pick(context, CELL_NAME, i, name->n) : 0];
        if (!child) continue;
        if (image->n_built == BUILT) abort();
        struct built *built = &image->built[image->n_built++];
        *built = (struct built){.parent = parent, .is_directory = image->tape->is_directory[child]};
        snprintf(built->name, sizeof built->name, "%s", name->name);
        hash_octets(image, built->name, strlen(built->name));
        hash_octets(image, &parent, sizeof parent);
        if (!built->is_directory) {
            build_file(image, child, built, pick, context);
            continue;
        }
        built->mode = mode_of(image, child, pick, context);
        hash_octets(image, &built->mode, sizeof built->mode);
        build_directory(image, child, image->n_built - 1, pick, context);
    }
}

enum { QUEUE_ROOT = UINT32_MAX - 1, MAIL_ROOT = UINT32_MAX };

uint64_t image_build(struct image *image, image_pick *pick, void *context) {
    for (uint32_t i = 0; i < image->n_built; i++) free(image->built[i].octets);
    image->n_built = 0;
    image->hash = 0x243f6a8885a308d3U;
    build_directory(image, TAPE_QUEUE, (uint32_t)QUEUE_ROOT, pick, context);
    build_directory(image, TAPE_MAIL, (uint32_t)MAIL_ROOT, pick, context);
    return image->hash;
}

static uint64_t multiplied(uint64_t ways, uint32_t n) {
    return ways * n > WAYS_MAX ? WAYS_MAX : ways * n;
}

size_t image_open(const struct image *image, size_t *names_out, uint64_t *ways_out) {
    static uint64_t list[PENDING];
    uint32_t steps[VERSIONS];
    size_t n = 0;
    *ways_out = 1;
    for (uint32_t i = 0; i < image->n_names; i++)
        if (image->names[i].n > 1) n++, *ways_out = multiplied(*ways_out, image->names[i].n);
    *names_out = image->n_names;
    for (uint32_t inode = 3; inode < image->tape->n_inodes; inode++) {
        const struct node *node = &image->nodes[inode];
        if (!node->n || image->tape->is_directory[inode]) continue;
        uint32_t n_sizes = sizes(image, node, list);
        if (n_sizes > 1) n++, *ways_out = multiplied(*ways_out, n_sizes);
        for (uint64_t sector = 0; sector * SECTOR_BYTES < list[n_sizes - 1]; sector++) {
            uint32_t versions = states(image, node, sector, steps);
            if (versions > 1) n++, *ways_out = multiplied(*ways_out, versions);
        }
    }
    return n;
}

/* Holes are not written. */
static void write_octets(int fd, const uint8_t *octets, uint64_t bytes) {
    while (bytes && !octets[bytes - 1]) bytes--;
    for (uint64_t at = 0; at < bytes;) {
        ssize_t done = pwrite(fd, octets + at, bytes - at, (off_t)at);
        if (done <= 0) abort();
        at += (uint64_t)done;
    }
}

void image_write(const struct image *image, int queue, int mail) {
    int fds[BUILT];
    for (uint32_t i = 0; i < image->n_built; i++) {
        const struct built *built = &image->built[i];
        int parent = built->parent == (uint32_t)QUEUE_ROOT  ? queue
                     : built->parent == (uint32_t)MAIL_ROOT ? mail
                                                            : fds[built->parent];
        fds[i] = -1;
        if (built->is_directory) {
            if (mkdirat(parent, built->name, 0700) != 0) abort();
            fds[i] = openat(parent, built->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (fds[i] < 0 || fchmod(fds[i], built->mode) != 0) abort();
            continue;
        }
        int fd = openat(parent, built->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, (off_t)built->bytes) != 0) abort();
        write_octets(fd, built->octets, built->bytes);
        close(fd);
    }
    for (uint32_t i = 0; i < image->n_built; i++)
        if (fds[i] >= 0) close(fds[i]);
}
