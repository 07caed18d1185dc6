/* command_dns.h - check --dns. */
#ifndef SERVER_PROCESS_COMMAND_DNS_H
#define SERVER_PROCESS_COMMAND_DNS_H

#include "conf/conf.h"
#include "server/process/command_line.h"
#include "server/process/material.h"

/* Asks the DNS and the certificates whether they fit the configuration, and prints what it finds to stdout. The exit
 * code: CONTROL_FAILED when something is wrong, CONTROL_UNAVAILABLE when nothing is but some could not be found out.
 * With --server it changes delivery.resolv_file of the configuration. */
int command_check_dns(const struct command_line *line, struct conf *conf, const struct material *material);

#endif
