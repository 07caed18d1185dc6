/* fuzz.h - what the fuzzers share: their input taken piece by piece, and a claim that must hold. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "store/span.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What does not hold ends the process: the fuzzer keeps the input. */
#define HOLDS(condition)                                                                                             \
    do {                                                                                                             \
        if (!(condition)) abort();                                                                                   \
    } while (0)

static inline uint8_t fuzz_octet(struct span *in) {
    uint8_t octet = in->n ? in->p[0] : 0;
    *in = span_from(*in, 1);
    return octet;
}

/* Up to the next LF, which is taken too. */
static inline struct span fuzz_line(struct span *in) {
    size_t n = span_find(*in, '\n');
    struct span line = span_part(*in, 0, n);
    *in = span_from(*in, n + 1);
    return line;
}

/* Log lines go nowhere; the working directory is a new one that is removed at the end. */
void fuzz_quiet(void);
void fuzz_directory(void);

#endif
