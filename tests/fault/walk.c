/* walk.c - lives, one after another, and what is left of them.
 * Runs in: tests. Trusts: that what it makes in its directory is its own. Never: leaves anything there. */
#include "tests/fault/walk.h"

#include "store/frames.h"
#include "tests/fault/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REFUSED_EXIT = 3, LIFE_SECONDS = 60, QUICK_RECOVERY = 8 };

struct disk {
    char path[200], mail[220];
    int queue_fd, mail_fd;
};

uint32_t walk_hash(uint64_t x) {
    x ^= x >> 33, x *= 0xff51afd7ed558ccdU, x ^= x >> 33, x *= 0xc4ceb9fe1a85ec53U;
    return (uint32_t)(x >> 32);
}

static void *shared(size_t n) {
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) abort();
    return p;
}

/* Away from the numbers that a role has by contract. */
static int open_high(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), made = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    if (made < 0) abort();
    close(fd);
    return made;
}

static void disk_make(const struct walk *walk, struct disk *disk) {
    static unsigned number;
    char queue[220];
    snprintf(disk->path, sizeof disk->path, "%s/%u", walk->place, number++);
    snprintf(queue, sizeof queue, "%s/queue", disk->path);
    snprintf(disk->mail, sizeof disk->mail, "%s/mail", disk->path);
    if (mkdir(disk->path, 0700) != 0 || mkdir(queue, 0700) != 0 || mkdir(disk->mail, 0700) != 0) abort();
    disk->queue_fd = open_high(queue);
    disk->mail_fd = open_high(disk->mail);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

static void disk_remove(struct disk *disk) {
    close(disk->queue_fd);
    close(disk->mail_fd);
    if (nftw(disk->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) abort();
}

/* One life in a process of its own; its wait status. */
static int live(const struct walk *walk, struct tape *tape, const struct disk *disk, void (*life)(struct world *)) {
    struct world world = {.report = walk->report, .tape = tape, .segment_bytes = walk->scenario->segment_bytes};
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(LIFE_SECONDS);
        if (!world_begin(&world, disk->queue_fd, disk->mail_fd)) _exit(REFUSED_EXIT);
        life(&world);
        world_end(&world);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return status;
}

/* What is submitted after everything else, in each of two lives. */
static unsigned last_letter(const struct report *report) {
    return report->told[WORLD_LAST].whole ? WORLD_LAST - 1 : WORLD_LAST;
}

static void drain(struct world *world) {
    world_drain(world);
    world_submit(world, last_letter(world->report));
    world_drain(world);
}

static void look(struct world *world) {
    world->deliver = true;
    world_pass(world, 3000);
}

static const char *last_line(const struct report *report) {
    return report->n_lines ? report->lines[(report->n_lines - 1) % WORLD_LINES] : "no line";
}

__attribute__((format(printf, 2, 3))) static bool complain(const struct walk *walk, const char *format, ...) {
    char words[WALK_WORDS - 40];
    va_list list;
    va_start(list, format);
    vsnprintf(words, sizeof words, format, list);
    va_end(list);
    atomic_fetch_add(&walk->tally->bad, 1);
    unsigned n = atomic_fetch_add(&walk->tally->n_words, 1);
    if (n < 40) snprintf(walk->tally->words[n], WALK_WORDS, "%.30s: %s", walk->scenario->name, words);
    return false;
}

/* Starts again on a good disk: everything comes to its end, mail is accepted again, and after one more start nothing
 * is left. `point` is for words. */
static bool verify(const struct walk *walk, struct tape *tape, const struct disk *disk, uint32_t step,
                   const char *point) {
    struct outcome outcome;
    struct report *report = walk->report;
    tape->target = tape->calls = 0, tape->has_struck = false;
    unsigned last = last_letter(report);
    int status = live(walk, tape, disk, drain);
    if (WIFSIGNALED(status)) return complain(walk, "%s: then it dies of signal %d", point, WTERMSIG(status));
    if (status != 0) return complain(walk, "%s: then it does not start again: %s", point, last_line(report));
    outcome_read(disk->mail, report, step, &outcome);
    if (outcome.words[0])
        return complain(walk, "%s: %s (lost %u, invented %u, broken %u, twice %u; %s)", point, outcome.words,
                        outcome.lost, outcome.invented, outcome.broken, outcome.twice, last_line(report));
    if (report->messages)
        return complain(walk, "%s: %u messages never end: %s", point, report->messages, last_line(report));
    if (report->told[last].outcome != BODY_DURABLE + 1)
        return complain(walk, "%s: then no mail is accepted: %s", point, last_line(report));
    status = live(walk, tape, disk, look);
    if (status != 0) return complain(walk, "%s: it does not start a second time", point);
    if (report->jobs || report->messages)
        return complain(walk, "%s: what was done comes back at the second start", point);
    return true;
}

/* ---- picks */

enum style {
    OLD = 0,
    NEW,
    NAMES,
    DATA,
    SIZES,
    ONE_OLD,
    ONE_NEW,
    TORN_PAGE,
    TORN_SECTOR,
    TORN_BACK,
    RANDOM,
    RANDOM_PAGE
};

struct pick {
    enum style style;
    uint64_t one; /* the cell, or where it is torn */
    uint64_t random;
};

static uint32_t pick(void *context, enum cell kind, uint64_t id, uint32_t n) {
    const struct pick *p = context;
    uint64_t sector = id & UINT32_MAX;
    switch (p->style) {
    case OLD:
        return 0;
    case NEW:
        return n - 1;
    case NAMES: /* names and sizes have come, and not what was written */
        return kind == CELL_SECTOR ? 0 : n - 1;
    case DATA:
        return kind == CELL_NAME ? 0 : n - 1;
    case SIZES:
        return kind == CELL_SIZE ? 0 : n - 1;
    case ONE_OLD:
        return kind == CELL_NAME && id == p->one ? 0 : n - 1;
    case ONE_NEW:
        return kind == CELL_NAME && id == p->one ? n - 1 : 0;
    case TORN_PAGE:
        return kind == CELL_SECTOR && walk_hash(p->random ^ id / PAGE_SECTORS) % 2 ? 0 : n - 1;
    case TORN_SECTOR:
        return kind == CELL_SECTOR && sector >= p->one ? 0 : n - 1;
    case TORN_BACK:
        return kind == CELL_SECTOR && sector < p->one ? 0 : n - 1;
    case RANDOM_PAGE:
        if (kind == CELL_SECTOR) id /= PAGE_SECTORS;
        break;
    case RANDOM:
        break;
    }
    return walk_hash(p->random ^ (uint64_t)kind << 60 ^ id * 0x9e3779b97f4a7c15U) % n;
}

static bool is_new(struct tally *tally, uint64_t key) {
    key |= 1;
    for (uint32_t i = walk_hash(key), tries = 0; tries < WALK_SEEN; i++, tries++) {
        unsigned long long none = 0;
        if (atomic_compare_exchange_strong(&tally->seen[i % WALK_SEEN], &none, key)) return true;
        if (none == key) return false;
    }
    return true;
}

/* How many letters had been sent and answered: the same disk is another case when more was promised. */
static uint64_t promised(const struct report *report, uint32_t step) {
    uint64_t n = 0;
    for (unsigned id = 0; id < WORLD_MESSAGES; id++)
        n += (report->told[id].whole && report->told[id].whole_step <= step) +
             1000U * (report->told[id].outcome && report->told[id].told_step <= step);
    return n;
}

/* A disk after a power cut, recovered. */
static void try_image(const struct walk *walk, struct image *image, uint32_t step, struct pick p, atomic_uint *count,
                      const char *point) {
    struct disk disk;
    char words[160];
    uint64_t key = image_build(image, pick, &p);
    if (!is_new(walk->tally, key ^ promised(walk->report, step) * 0x9e3779b97f4a7c15U)) return;
    disk_make(walk, &disk);
    image_write(image, disk.queue_fd, disk.mail_fd);
    snprintf(words, sizeof words, "%s (style %d, %llu, %llx)", point, p.style, (unsigned long long)p.one,
             (unsigned long long)p.random);
    tape_clear(walk->plain);
    walk->plain->recording = false;
    (void)verify(walk, walk->plain, &disk, step, words);
    atomic_fetch_add(count, 1);
    disk_remove(&disk);
}

static uint64_t mix(uint64_t seed, uint64_t a, uint64_t b) {
    return (uint64_t)walk_hash(seed ^ a * 0x9e3779b97f4a7c15U) << 32 | walk_hash(seed + b * 0xff51afd7ed558ccdU + a);
}

static void advance(struct walk *walk, uint32_t step) {
    for (; walk->at < step; walk->at++) image_step(walk->image);
}

void walk_power(struct walk *walk, uint32_t step) {
    struct pick p = {0};
    size_t names;
    uint64_t ways;
    char point[80];
    advance(walk, step);
    snprintf(point, sizeof point, "power cut before step %u of %u", step, walk->counted->n_steps);
    *walk->report = *walk->counted_report;
    const struct report before = *walk->report;
    size_t cells = image_open(walk->image, &names, &ways);
    unsigned randoms = walk->quick ? 1 : ways < 4 ? 4 : ways < 64 ? 16 : 24;
#define TRY() (*walk->report = before, try_image(walk, walk->image, step, p, &walk->tally->power, point))
    for (p.style = OLD; p.style <= SIZES; p.style++) TRY();
    for (p.one = 0; p.one < names && !walk->quick; p.one++) {
        p.style = ONE_OLD, TRY();
        p.style = ONE_NEW, TRY();
    }
    for (unsigned i = 0; i < randoms && cells; i++) {
        p.random = mix(walk->seed, step, i);
        p.one = walk_hash(p.random + 1) % (i % 2 ? 8 : 640);
        for (p.style = TORN_PAGE; p.style <= RANDOM_PAGE; p.style++)
            if (!walk->quick || p.style == TORN_SECTOR || p.style == RANDOM) TRY();
    }
#undef TRY
}

/* ---- faults */

/* Failures that leave nothing to be told: everything was synced before, or it was only a hint. */
static bool needs_line(const struct tape *tape) {
    if (tape->struck == CALL_BEGIN_SYNC || tape->struck == CALL_CLOSE) return false;
    return tape->fault != FAULT_SHORT && tape->fault != FAULT_CUT_AGENT;
}

static void begin_tape(struct tape *tape, enum plant plant) {
    tape_clear(tape);
    tape->plant = plant;
    tape->recording = true;
}

/* The scenario from the beginning; the wait status of its last life. */
static int run(struct walk *walk, struct tape *tape, const struct disk *disk, uint32_t call, enum fault fault) {
    memset(walk->report, 0, sizeof *walk->report);
    if (walk->scenario->before) {
        int status = live(walk, tape, disk, walk->scenario->before);
        if (status != 0) return status;
    }
    tape->calls = 0, tape->target = call, tape->fault = fault;
    return live(walk, tape, disk, walk->scenario->life);
}

/* What a power cut after all of that leaves. */
static void power_after(struct walk *walk, uint32_t steps, const char *point) {
    struct image *image = image_make(walk->tape);
    const struct report before = *walk->report;
    struct pick p = {.random = mix(walk->seed, steps, walk->tape->calls)};
    static const enum style styles[] = {OLD, RANDOM, NAMES, RANDOM, RANDOM, RANDOM};
    for (uint32_t i = 0; i < steps; i++) image_step(image);
    for (size_t i = 0; i < (walk->quick ? 2 : 6); i++) {
        *walk->report = before;
        p.random += i;
        p.style = styles[i];
        try_image(walk, image, UINT32_MAX, p, &walk->tally->power_after, point);
    }
    image_free(image);
}

void walk_fault(struct walk *walk, uint32_t call, enum fault fault) {
    struct tape *tape = walk->tape;
    struct disk disk;
    char point[160];
    disk_make(walk, &disk);
    begin_tape(tape, walk->counted->plant);
    int status = run(walk, tape, &disk, call, fault);
    snprintf(point, sizeof point, "call %u (%s%s %s): %s", call, tape->struck_agent ? "agent's " : "",
             tape_call_name(tape->struck), tape->struck_name, tape_fault_name(fault));
    bool is_cut = fault == FAULT_CUT || fault == FAULT_CUT_HALF;
    if (!tape->has_struck) {
        (void)complain(walk, "call %u was not met, %s", call, tape_fault_name(fault));
    } else if (is_cut) {
        atomic_fetch_add(&walk->tally->cut, 1);
    } else {
        atomic_fetch_add(fault == FAULT_CUT_AGENT ? &walk->tally->cut_agent : &walk->tally->failed_calls, 1);
        if (WIFSIGNALED(status))
            (void)complain(walk, "%s: it dies of signal %d: %s", point, WTERMSIG(status), last_line(walk->report));
        else if (needs_line(tape) && !walk->report->lines_of_trouble)
            (void)complain(walk, "%s: nobody is told", point);
    }
    /* After a cut the next life goes on on the same disk, of which as little is certain as before. */
    uint32_t steps = tape->n_steps;
    tape_clear(walk->plain);
    walk->plain->recording = false;
    const struct report ended = *walk->report;
    if (verify(walk, is_cut ? tape : walk->plain, &disk, UINT32_MAX, point)) {
        char words[200];
        snprintf(words, sizeof words, "%s; then a power cut", point);
        if (!is_cut) *walk->report = ended;
        power_after(walk, is_cut ? tape->n_steps : steps, words);
    }
    disk_remove(&disk);
}

void walk_recovery(struct walk *walk, uint32_t step) {
    static const enum fault faults[] = {FAULT_EIO, FAULT_ENOSPC, FAULT_CUT, FAULT_CUT_HALF, FAULT_SHORT};
    struct pick p = {.style = step % 3 == 0 ? OLD : RANDOM, .random = mix(walk->seed, step, 99)};
    struct disk disk;
    advance(walk, step);
    uint32_t calls = 1;
    for (uint32_t call = 0; call <= calls; call++) {
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
            char point[160];
            if (call && !tape_fits(walk->plain, faults[i], call)) continue;
            if (call && walk->quick && walk_hash(walk->seed ^ (call << 8 | i)) % QUICK_RECOVERY != 0) continue;
            *walk->report = *walk->counted_report;
            (void)image_build(walk->image, pick, &p);
            disk_make(walk, &disk);
            image_write(walk->image, disk.queue_fd, disk.mail_fd);
            begin_tape(walk->tape, PLANT_NONE);
            walk->tape->recording = false;
            walk->tape->target = call, walk->tape->fault = faults[i];
            int status = live(walk, walk->tape, &disk, look);
            snprintf(point, sizeof point, "power cut before step %u, then %s at call %u (%s %s) of recovery", step,
                     tape_fault_name(faults[i]), call, tape_call_name(walk->tape->struck), walk->tape->struck_name);
            if (call == 0) {
                if (status != 0) (void)complain(walk, "%s: no recovery", point);
                calls = walk->tape->calls < 120 ? walk->tape->calls : 120;
                memcpy(walk->plain->kinds, walk->tape->kinds, sizeof walk->plain->kinds);
                memcpy(walk->plain->takes, walk->tape->takes, sizeof walk->plain->takes);
            } else {
                atomic_fetch_add(&walk->tally->recovery, 1);
                bool is_cut = faults[i] == FAULT_CUT || faults[i] == FAULT_CUT_HALF;
                if (WIFSIGNALED(status))
                    (void)complain(walk, "%s: it dies of signal %d", point, WTERMSIG(status));
                else if (!is_cut && needs_line(walk->tape) && !walk->report->lines_of_trouble)
                    (void)complain(walk, "%s: nobody is told", point);
                walk->tape->recording = false;
                (void)verify(walk, walk->tape, &disk, step, point);
            }
            disk_remove(&disk);
            if (!call) break;
        }
    }
}

bool walk_make(struct walk *walk, const struct scenario *scenario, struct tally *tally, const char *place,
               uint64_t seed, bool quick, enum plant plant) {
    struct disk disk;
    *walk = (struct walk){.scenario = scenario, .tally = tally, .place = place, .seed = seed, .quick = quick};
    walk->tape = tape_make(), walk->counted = tape_make(), walk->plain = tape_make();
    walk->report = shared(sizeof *walk->report);
    walk->counted_report = shared(sizeof *walk->report);
    disk_make(walk, &disk);
    begin_tape(walk->counted, plant);
    int status = run(walk, walk->counted, &disk, 0, FAULT_NONE);
    *walk->counted_report = *walk->report;
    walk->counted->target = 0;
    bool good = status == 0;
    /* What ended without trouble is not begun again. */
    if (good && !walk->report->messages && !walk->report->marks &&
        (live(walk, walk->plain, &disk, look) != 0 || walk->report->jobs || walk->report->messages))
        good = complain(walk, "without a fault: what was done comes back");
    *walk->report = *walk->counted_report;
    if (good) {
        walk->plain->recording = false;
        good = verify(walk, walk->plain, &disk, UINT32_MAX, "without a fault");
    } else {
        (void)complain(walk, "without a fault it ends with %x: %s", status, last_line(walk->report));
    }
    walk->image = image_make(walk->counted);
    disk_remove(&disk);
    return good;
}

void walk_free(struct walk *walk) {
    struct tape *const tapes[] = {walk->tape, walk->counted, walk->plain};
    for (size_t i = 0; i < 3; i++) munmap(tapes[i], sizeof(struct tape));
    munmap(walk->report, sizeof *walk->report);
    munmap(walk->counted_report, sizeof *walk->counted_report);
    image_free(walk->image);
}
