/* prepare.h - the one form in which names and passwords are compared: RFC 8265, with the classes of RFC 8264. */
#ifndef AUTH_PREPARE_H
#define AUTH_PREPARE_H

#include "store/buf.h"
#include "store/secret.h"

/* A password by the profile OpaqueString (RFC 8265 4.2): spaces of any script become U+0020, then NFC; so it is the
 * same however a keyboard composes its letters. False, and *out empty, for what that profile refuses: nothing at all,
 * octets that are not UTF-8, control characters, what is invisible, private or not assigned (RFC 8264 4.3.3, 4.3.4),
 * a joiner or a middle dot where RFC 5892 A does not allow it; and for a result over SECRET_MAX octets. */
bool prepare_password(struct span typed, struct secret *out) MUST_USE;

/* Appends a name to log on with: wide and narrow letters in their ordinary form, then NFC. It may hold what a
 * password may hold: it is an address, whose local part RFC 6531 3.3 leaves open, and the narrower class of RFC 8265
 * 3.3 would shut users out. Case is left alone: in ASCII an account's key knows none (expand.h), and in other letters
 * it makes another mailbox. False, with nothing appended, for what is refused or does not fit. */
bool prepare_name(struct span typed, struct buf *out) MUST_USE;

#endif
