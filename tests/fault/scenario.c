/* scenario.c - the letters, and what happens to them.
 * Runs in: tests. Trusts: world.c. Never: depends on what time it is. */
#include "tests/fault/scenario.h"

const struct letter letters[WORLD_MESSAGES] = {
    [1] = {{ALICE}, "s1", 300},
    [2] = {{ALICE, BOB}, "s1", 2000},
    [3] = {{BOB}, "s2", 700},
    [4] = {{ALICE}, "", 500},
    [5] = {{BOB}, "s1", 3000},
    [6] = {{ALICE, BOB}, "s1", 290000}, /* over 256 KiB: a file of its own */
    [7] = {{ALICE}, "s2", 290000},      /* aborted */
    [8] = {{BOB}, "s2", 400},           /* never committed */
    [9] = {{BOB}, "s1", 600},
    [10] = {{LATER}, "s1", 900},
    [11] = {{LATER}, "s1", 900},
    [12] = {{LATER, ALICE}, "s2", 900},
    [13] = {{LATER}, "s2", 900},
    [14] = {{LATER}, "s1", 900},
    [15] = {{LATER}, "s1", 900},
    [20] = {{LATER}, "s1", 280000},
    [21] = {{NEVER}, "s1", 500},
    [22] = {{NEVER, ALICE}, "s2", 500},
    [23] = {{NEVER}, "", 500},
    [24] = {{NEVER}, "s1", 270000},
    [30] = {{ALICE}, "s1", 5000},
    [31] = {{BOB}, "s1", 1000},
    [32] = {{ALICE}, "s1", 300},
    [33] = {{BOB}, "s1", 300},
    [34] = {{ALICE}, "s1", 4000},
    [35] = {{BOB}, "s1", 2000},
    [36] = {{ALICE}, "s1", 2000},
    [37] = {{BOB, ALICE}, "s1", 6000},
    [WORLD_LAST - 1] = {{BOB}, "s2", 200},
    [WORLD_LAST] = {{ALICE}, "s2", 200},
};

static void batch(struct world *world, unsigned first, unsigned last) {
    for (unsigned id = first; id <= last; id++) {
        world_send(world, id, SIZE_MAX);
        world_commit(world, id);
    }
    world_turn(world);
}

static void each(struct world *world, unsigned first, unsigned last) {
    for (unsigned id = first; id <= last; id++) world_submit(world, id);
}

static void accepting(struct world *world) {
    world_submit(world, 1);
    batch(world, 2, 5);
    world_submit(world, 6);
    world_send(world, 7, 280000);
    world_send(world, 8, SIZE_MAX);
    world_abort(world, 7);
    world_submit(world, 9);
}

static void delivering(struct world *world) {
    world->deliver = true;
    batch(world, 1, 5);
    world_submit(world, 6);
    world_pass(world, 2000);
    batch(world, 30, 33);
    world_pass(world, 2000);
}

/* Segments go to deferred/, are dropped; then it is delivered from there. */
/* Little lives on in the first segment: it moves to deferred/, the segment is dropped, and it is delivered from
 * there. */
static void defer(struct world *world) {
    world->deliver = true;
    world_submit(world, 10);
    world_submit(world, 20);
    world_submit(world, 34);
    world_submit(world, 37);
    world_submit(world, 30);
    world_submit(world, 11);
    world_pass(world, 12000);
}

static void deferring(struct world *world) {
    defer(world);
    world->later_works = true;
    world_pass(world, 3000);
    world_submit(world, 35);
    world_pass(world, 1000);
}

static void bouncing(struct world *world) {
    world->deliver = true;
    batch(world, 21, 23);
    world_submit(world, 24);
    world_pass(world, 2000);
}

static void segments(struct world *world) {
    world->deliver = true;
    batch(world, 30, 33);
    batch(world, 34, 37);
    world_pass(world, 1000);
    each(world, 1, 5);
    world_pass(world, 13000);
}

static void before_recovering(struct world *world) {
    defer(world);
    world->deliver = false;
    batch(world, 1, 3);
    world_submit(world, 6);
    world_submit(world, 21);
    world_send(world, 7, 280000);
}

static void recovering(struct world *world) {
    world->deliver = true;
    world_pass(world, 3000);
    world_submit(world, 31);
    world->later_works = true;
    world_pass(world, 14000);
}

static void copying(struct world *world) {
    batch(world, 10, 11);
    world_submit(world, 6);
    world_submit(world, 1);
    world->later_works = true;
    world_backup(world, true);
    world->deliver = true;
    world_submit(world, 20);
    world_pass(world, 2000);
    world_submit(world, 30);
    world_backup(world, false);
    world_pass(world, 13000);
}

const struct scenario scenarios[SCENARIOS] = {
    {"accepting", 64 << 10, NULL, accepting}, {"delivering", 64 << 10, NULL, delivering},
    {"deferring", 16 << 10, NULL, deferring}, {"bouncing", 64 << 10, NULL, bouncing},
    {"segments", 8 << 10, NULL, segments},    {"recovering", 16 << 10, before_recovering, recovering},
    {"copying", 8 << 10, NULL, copying},
};
