/* scenario.h - what is walked: every point of accepting, marking, moving, delivering, bouncing, changing segments,
 * recovering, removing. Each has one or two lives; faults are tried in the last. */
#ifndef TESTS_FAULT_SCENARIO_H
#define TESTS_FAULT_SCENARIO_H

#include "tests/fault/world.h"

struct scenario {
    const char *name;
    uint64_t segment_bytes;
    void (*before)(struct world *world); /* an earlier life, or NULL */
    void (*life)(struct world *world);
};

enum { SCENARIOS = 7 };
extern const struct scenario scenarios[SCENARIOS];

#endif
