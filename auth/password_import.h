/* password_import.h - password fields of other servers' files, brought into the form that is stored here. */
#ifndef AUTH_PASSWORD_IMPORT_H
#define AUTH_PASSWORD_IMPORT_H

#include "auth/password_format.h"

enum password_import {
    PASSWORD_IMPORT_FAULT = 0,
    PASSWORD_IMPORT_HASH, /* within the caps of auth/password_format.h */
    PASSWORD_IMPORT_PLAIN /* the field held the password itself, and it is what was appended */
};

/* Reads "{SCHEME}..." or, where none is in front, a field of `scheme` (a name as Dovecot's default_pass_scheme has
 * it, also with an encoding behind: "SSHA.HEX"). Appends to *out and sets *cost (HASH); else *why_out to what is
 * wrong, to follow "the hash ". */
enum password_import password_import(struct span field, struct span scheme, struct buf *out,
                                     struct password_cost *cost, const char **why_out) MUST_USE;

/* Whether `scheme` is one that password_import knows. */
bool password_import_scheme(struct span scheme) MUST_USE;

#endif
