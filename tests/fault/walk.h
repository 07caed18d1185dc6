/* walk.h - one point: a life with a fault, or a disk after a power cut; then lives without faults, and the verdict.
 */
#ifndef TESTS_FAULT_WALK_H
#define TESTS_FAULT_WALK_H

#include "tests/fault/image.h"
#include "tests/fault/scenario.h"

#include <stdatomic.h>

enum { WALK_WORDS = 400, WALK_SEEN = 1 << 18 };

/* What a walk has come to; shared by its workers. */
struct tally {
    atomic_uint next;                         /* item */
    atomic_uint failed_calls, cut, cut_agent; /* points in which the fault was met */
    atomic_uint power, power_after,
        recovery; /* disks after a power cut; after a fault too; faults in recovery of one */
    atomic_uint bad;
    atomic_uint n_words;
    char words[40][WALK_WORDS];
    atomic_ullong seen[WALK_SEEN]; /* hashes of images */
};

struct walk {
    const struct scenario *scenario;
    struct tape *tape;    /* the life that is walked */
    struct tape *counted; /* the same without a fault */
    struct tape *plain;   /* lives without faults */
    struct report *report, *counted_report;
    struct tally *tally;
    struct image *image; /* of counted */
    uint32_t at;         /* its step */
    const char *place;   /* a directory of the worker's own */
    uint64_t seed;
    bool quick;
};

/* 32 bits that look random, from 64. */
uint32_t walk_hash(uint64_t x);

/* Memory of one worker; counts the scenario's calls. False, with words on stderr: it does not pass without a fault.
 */
bool walk_make(struct walk *walk, const struct scenario *scenario, struct tally *tally, const char *place,
               uint64_t seed, bool quick, enum plant plant);
void walk_free(struct walk *walk);

void walk_fault(struct walk *walk, uint32_t call, enum fault fault);
void walk_power(struct walk *walk, uint32_t step);
/* Faults while a disk of that step is recovered. */
void walk_recovery(struct walk *walk, uint32_t step);

#endif
