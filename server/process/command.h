/* command.h - the command line of gatepost. */
#ifndef SERVER_PROCESS_COMMAND_H
#define SERVER_PROCESS_COMMAND_H

/* Does what argv says and returns the exit code, one of enum control_exit. */
int command_main(int argc, char **argv);

#endif
