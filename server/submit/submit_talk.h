/* submit_talk.h - the client's side of SMTP with our own server, over the local socket. */
#ifndef SERVER_SUBMIT_SUBMIT_TALK_H
#define SERVER_SUBMIT_SUBMIT_TALK_H

#include "server/submit/submit_text.h"

#include <stdio.h>

struct submit_talk {
    int fd;
    FILE *trace; /* NULL, or where -v shows the dialogue */
    uint8_t buffer[4096];
    size_t from, to;  /* of the buffer: not read yet */
    unsigned code;    /* of the last reply; 0: none came */
    char reply[1024]; /* its lines, ended by LF each; what does not fit is left out */
};

/* Connects to the socket; a server that is just being started again is waited for, for some seconds. -1 with errno.
 */
int submit_talk_connect(const char *path) MUST_USE;

/* Reads one reply, of all its lines. False: the connection ended, or no answer came in time. */
bool submit_talk_hear(struct submit_talk *talk) MUST_USE;

/* Sends a line (without its CRLF) and hears the reply. */
bool submit_talk_say(struct submit_talk *talk, struct span line) MUST_USE;

/* Sends octets; the reply is for submit_talk_hear. */
bool submit_talk_send(struct submit_talk *talk, struct span octets) MUST_USE;

/* What follows a keyword in the reply to EHLO: "SIZE" and the like; empty where there is no such line. */
struct span submit_talk_keyword(const struct submit_talk *talk, const char *word);

/* The exit status of sysexits.h that the last reply comes to. */
int submit_talk_status(const struct submit_talk *talk);

/* -bs: octets both ways until the server ends; a line from `in` may end with LF alone. False: it broke off. */
bool submit_talk_pipe(struct submit_talk *talk, int in, int out) MUST_USE;

#endif
