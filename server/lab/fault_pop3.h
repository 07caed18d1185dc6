/* fault_pop3.h - faults at what a POP3 session meets. */
#ifndef SERVER_LAB_FAULT_POP3_H
#define SERVER_LAB_FAULT_POP3_H

#include "server/inbound/pop3.h"
#include "server/lab/fault.h"

#ifdef GATEPOST_FAULTS
/* A line is to be handled. */
enum fault_course fault_pop3_line(struct pop3 *pop3, struct span line, struct buf *out) MUST_USE;
/* The last n octets of `out` are of a message; `end`: its last. LEAVE: `out` ends with the octet at which it broke.
 */
enum fault_course fault_pop3_octets(struct pop3 *pop3, uint64_t n, bool end, struct buf *out) MUST_USE;
#else
static inline enum fault_course fault_pop3_line(struct pop3 *pop3, struct span line, struct buf *out) {
    (void)pop3, (void)line, (void)out;
    return FAULT_GO_ON;
}
static inline enum fault_course fault_pop3_octets(struct pop3 *pop3, uint64_t n, bool end, struct buf *out) {
    (void)pop3, (void)n, (void)end, (void)out;
    return FAULT_GO_ON;
}
#endif

#endif
