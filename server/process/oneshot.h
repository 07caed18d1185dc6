/* oneshot.h - a role's process for one question, whether a server runs or not. */
#ifndef SERVER_PROCESS_ONESHOT_H
#define SERVER_PROCESS_ONESHOT_H

#include "server/process/setup.h"

struct oneshot {
    enum role role;
    const struct material *material; /* keys: to be judged */
    const struct zone_setup *zone;   /* resolver: to be checked */
    unsigned ms;                     /* how long it may take */
    /* Each frame that it says; false: that was the last. */
    bool (*take)(void *context, const struct frame *frame);
    void *context;
};

/* Starts the process with its usual walls, hears it, and ends it. True when `take` has had the last frame. */
bool oneshot_run(const struct conf *conf, const struct oneshot *question) MUST_USE;

#endif
