/* scratch.h - directories of a test's own, removed when its program has run all tests, also those that crashed. */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

enum { SCRATCH_BYTES = 64 };

/* Makes a new directory and writes its path. For tests and their fixtures (not for processes that they fork). */
void scratch_make(char path_out[SCRATCH_BYTES]);

/* The same, and goes there. */
void scratch_enter(void);

#endif
