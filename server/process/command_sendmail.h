/* command_sendmail.h - the sendmail interface: by that name, or as gatepost sendmail. */
#ifndef SERVER_PROCESS_COMMAND_SENDMAIL_H
#define SERVER_PROCESS_COMMAND_SENDMAIL_H

/* Where the arguments of sendmail begin: 0 when the program was called by that name (or mailq, newaliases), the place
 * of the word sendmail behind gatepost, or -1: this is another command. */
int command_sendmail_at(int argc, char *const *argv);

/* argv[0] is the name; `before`: gatepost's own arguments before it, or NULL. Returns a status of sysexits.h. */
int command_sendmail(int argc, char **argv, char *const *before);

#endif
