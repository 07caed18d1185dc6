/* fault_smtp.h - faults at what an SMTP session meets. */
#ifndef SERVER_LAB_FAULT_SMTP_H
#define SERVER_LAB_FAULT_SMTP_H

#include "server/inbound/smtp.h"
#include "server/lab/fault.h"

#ifdef GATEPOST_FAULTS
/* A line is to be handled. The answer of the machine's own words where it is over: smtp->why, smtp->exit. */
enum fault_course fault_smtp_line(struct smtp *smtp, struct span line, struct buf *out) MUST_USE;
/* So many octets of a message have come. */
enum fault_course fault_smtp_octets(struct smtp *smtp, uint64_t n) MUST_USE;
/* A message is whole, and not yet committed; what is answered in the commit's place aborts it. */
enum fault_course fault_smtp_end(struct smtp *smtp, struct buf *out) MUST_USE;
#else
static inline enum fault_course fault_smtp_line(struct smtp *smtp, struct span line, struct buf *out) {
    (void)smtp, (void)line, (void)out;
    return FAULT_GO_ON;
}
static inline enum fault_course fault_smtp_octets(struct smtp *smtp, uint64_t n) {
    (void)smtp, (void)n;
    return FAULT_GO_ON;
}
static inline enum fault_course fault_smtp_end(struct smtp *smtp, struct buf *out) {
    (void)smtp, (void)out;
    return FAULT_GO_ON;
}
#endif

#endif
