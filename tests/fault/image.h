/* image.h - what a disk may hold after a power cut. It is told the steps of a tape one after another; at any point it
 * knows what is on the disk for certain (synced: files by their own sync, names by their directory's) and what may or
 * may not be: each unsynced sector of 512 octets, each size, each name on its own, in any of the states since.
 * Whoever builds an image picks. After a sync that failed nothing of what it covered is ever certain. */
#ifndef TESTS_FAULT_IMAGE_H
#define TESTS_FAULT_IMAGE_H

#include "tests/fault/tape.h"

enum cell { CELL_NAME = 0, CELL_SIZE, CELL_MODE, CELL_SECTOR };
enum { SECTOR_BYTES = 512, PAGE_SECTORS = 8 };

/* Which of the n states it is on the disk: 0 the one that is certain, n - 1 the last. `id` names the cell: of a
 * sector, the inode in the upper half and its number in the file. */
typedef uint32_t image_pick(void *context, enum cell kind, uint64_t id, uint32_t n);

struct image;
struct image *image_make(const struct tape *tape);
void image_free(struct image *image);
/* The next step of the tape has happened. */
void image_step(struct image *image);
/* How many cells are open, and in how many ways they can be picked (capped). Names first: image_pick's ids of names
 * count from 0 to *names_out. */
size_t image_open(const struct image *image, size_t *names_out, uint64_t *ways_out);
/* Builds the tree in memory; its hash. */
uint64_t image_build(struct image *image, image_pick *pick, void *context);
/* Writes it into two empty directories. */
void image_write(const struct image *image, int queue, int mail);

#endif
