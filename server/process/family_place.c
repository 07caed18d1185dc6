/* family_place.c - what a new configuration cannot change while the server runs.
 * Runs in: master. Trusts: configurations that conf_read accepted. Never: changes one. */
#include "server/process/family.h"

/* Delivery is confined to the directories that it began with. */
static bool same_capture(const struct conf *now, const struct conf *wanted) {
    const char *a = now->delivery.capture_directory, *b = wanted->delivery.capture_directory;
    bool captures = now->delivery.foreign == CONF_FOREIGN_CAPTURE;
    if (captures != (wanted->delivery.foreign == CONF_FOREIGN_CAPTURE)) return false;
    return !captures || (a && b ? strcmp(a, b) == 0 : a == b);
}

static bool same_hooks(const struct conf *now, const struct conf *wanted) {
    if (!now->hooks.users.n != !wanted->hooks.users.n || now->hooks.n_policy != wanted->hooks.n_policy) return false;
    for (size_t i = 0; i < now->hooks.n_policy; i++) {
        const struct netaddr *a = &now->hooks.policy[i], *b = &wanted->hooks.policy[i];
        if (a->port != b->port || memcmp(a->octets, b->octets, sizeof a->octets) != 0) return false;
    }
    return strcmp(now->hooks.group, wanted->hooks.group) == 0;
}

bool family_same_place(const struct conf *now, const struct conf *wanted, FILE *errors) {
    bool same = strcmp(now->state_directory, wanted->state_directory) == 0 &&
                strcmp(now->run_directory, wanted->run_directory) == 0;
    if (!same) fprintf(errors, "state_directory and run_directory cannot change while the server runs");
    if (!same) return false;
    same = same_capture(now, wanted);
    if (!same) fprintf(errors, "capturing cannot begin, end or move while the server runs");
    if (!same) return false;
    same = now->log.to == wanted->log.to && strcmp(now->log.socket, wanted->log.socket) == 0;
    if (!same) fprintf(errors, "log.to and log.socket cannot change while the server runs");
    if (!same) return false;
    same = now->local.submit == wanted->local.submit;
    if (!same) fprintf(errors, "local.submit cannot change while the server runs");
    if (!same) return false;
    same = same_hooks(now, wanted);
    if (!same)
        fprintf(errors, "hooks.group, hooks.policy, and whether hooks.users is empty cannot change while the server "
                        "runs");
    return same;
}
