/* command_secret.h - where a new password comes from: a terminal without echo, standard input, or the kernel's
 * dice. */
#ifndef SERVER_PROCESS_COMMAND_SECRET_H
#define SERVER_PROCESS_COMMAND_SECRET_H

#include "store/secret.h"

enum { COMMAND_PASSWORD_LEAST = 8 /* characters */ };

/* Brings a password to the form in which a verifier compares it (auth/prepare.h): NULL. Or what is wrong with it, in
 * words, and it stays as it is. */
const char *command_secret_fault(struct secret *password);

/* 20 letters and digits that are hard to confuse, in groups of five: 100 bits. 0 or -1 with errno. */
int command_secret_generate(struct secret *out) MUST_USE;

/* The first line of `fd`. -1 with errno: 0 when there is none, EMSGSIZE when it is too long. */
int command_secret_read(int fd, struct secret *out) MUST_USE;

/* Asks twice on the terminal. -1 after saying why. */
int command_secret_ask(const char *login, struct secret *out) MUST_USE;

#endif
