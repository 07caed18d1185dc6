/* version.c - versions of this program and of the OpenSSL that it carries.
 * Runs in: master and command line. Trusts: the build. Never: links OpenSSL, searches PATH. */
#include "server/process/version.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef GATEPOST_VERSION
#define GATEPOST_VERSION "0.1"
#endif
#ifndef GATEPOST_OPENSSL_LINKED
#define GATEPOST_OPENSSL_LINKED "unknown" /* the build passes what pkg-config says of the library it links */
#endif

const char *version_gatepost(void) {
    return GATEPOST_VERSION;
}
const char *version_openssl_linked(void) {
    return GATEPOST_OPENSSL_LINKED;
}

/* "OpenSSL 3.0.17 1 Jul 2025 ...": the second word, when it begins with a digit. */
static bool second_word(const char *line, char text_out[VERSION_TEXT_MAX]) {
    const char *word = strchr(line, ' ');
    if (!word || word[1] < '0' || word[1] > '9') return false;
    size_t n = strcspn(word + 1, " \n");
    if (n >= VERSION_TEXT_MAX) return false;
    memcpy(text_out, word + 1, n);
    text_out[n] = 0;
    return true;
}

bool version_openssl_installed(char text_out[VERSION_TEXT_MAX]) {
    char program[] = "/usr/bin/openssl", verb[] = "version", line[256] = "";
    char *arguments[] = {program, verb, NULL}, *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    bool started = false;
    if (posix_spawn_file_actions_init(&actions) == 0) {
        started = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0 &&
                  posix_spawn(&pid, program, &actions, NULL, arguments, environment) == 0;
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    ssize_t n = started ? read(ends[0], line, sizeof line - 1) : -1;
    close(ends[0]);
    if (started) waitpid(pid, NULL, 0);
    return n > 0 && second_word(line, text_out);
}

bool version_newer(const char *a, const char *b) {
    while (*a && *b) {
        char *rest_a, *rest_b;
        unsigned long number_a = strtoul(a, &rest_a, 10), number_b = strtoul(b, &rest_b, 10);
        if (rest_a == a || rest_b == b) return false; /* no number: cannot be told */
        if (number_a != number_b) return number_a > number_b;
        a = rest_a + (*rest_a == '.');
        b = rest_b + (*rest_b == '.');
    }
    return *a != 0;
}
