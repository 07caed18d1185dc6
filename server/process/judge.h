/* judge.h - what certificates and keys are worth, before anybody serves with them. Neither the master nor the command
 * line reads one: a keys process is started to judge, says its verdicts and ends. */
#ifndef SERVER_PROCESS_JUDGE_H
#define SERVER_PROCESS_JUDGE_H

#include "server/process/material.h"

/* Waits for the verdicts, a few seconds at the most. 0, or -1 when the server cannot use what is there: `errors` has
 * a line "file:line: what" for each. An expired certificate, and that nobody could judge, is a line in `warnings`.
 * `path` names the configuration. */
int judge_material(const struct conf *conf, const char *path, const struct material *material, FILE *errors,
                   FILE *warnings) MUST_USE;

#endif
