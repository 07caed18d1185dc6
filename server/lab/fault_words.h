/* fault_words.h - the tables of the language of faults, and numbers with units. For fault_script.c. */
#ifndef SERVER_LAB_FAULT_WORDS_H
#define SERVER_LAB_FAULT_WORDS_H

#include "server/lab/fault_script.h"

/* What an action's value is. */
enum fault_value { FAULT_VALUE_NONE = 0, FAULT_VALUE_TIME, FAULT_VALUE_RATE, FAULT_VALUE_CODE, FAULT_VALUE_BYTES };

struct fault_action_row {
    const char *word;
    enum fault_value value;
    bool text;        /* FAULT_SAY needs one, FAULT_REPLY may have one */
    unsigned nowhere; /* bits of FAULT_CONNECT, FAULT_TLS, FAULT_BODY where it makes no sense */
};
extern const struct fault_action_row fault_action_rows[FAULT_ACTION_COUNT];

/* The row of the word, or 0. */
enum fault_action fault_find_action(struct span word);
enum fault_where fault_find_where(struct span word);
uint8_t fault_find_role(struct span word);

/* The value of an action or a condition; false, and *wanted_out says what it should be. "500ms" "3s" "2m"; "100"
 * "8k" "1M"; a size and "/s"; 200 to 599. */
bool fault_value_read(enum fault_value kind, struct span word, uint64_t *out, const char **wanted_out) MUST_USE;

/* The word of the kind ("where", "action", "role", "condition") that was likely meant, or NULL. */
const char *fault_meant(const char *kind, struct span word);

#endif
