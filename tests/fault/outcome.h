/* outcome.h - whether what lies in the Maildirs at the end is what was answered. */
#ifndef TESTS_FAULT_OUTCOME_H
#define TESTS_FAULT_OUTCOME_H

#include "tests/fault/world.h"

struct outcome {
    unsigned lost, invented, broken;
    unsigned twice;  /* a letter or a report on one */
    char words[200]; /* of the first thing that is wrong; empty: nothing is */
};

/* Of letters whose answer was given before this step happened; later ones may or may not be there when their commit
 * was sent before it. UINT32_MAX: all. */
void outcome_read(const char *mail, const struct report *report, uint32_t step, struct outcome *out);

#endif
