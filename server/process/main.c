/* main.c - gatepost: the master and the command line.
 * Runs in: master, command line. Trusts: the person who started it. Never: serves by itself. */
#include "server/process/command.h"

int main(int argc, char **argv) {
    return command_main(argc, argv);
}
