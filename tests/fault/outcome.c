/* outcome.c - reading Maildirs, and comparing.
 * Runs in: tests. Trusts: letter_body. Never: writes. */
#include "tests/fault/outcome.h"

#include "store/frames.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    struct outcome *out;
    unsigned copies[WORLD_MESSAGES][5]; /* by enum who */
    unsigned reports[WORLD_MESSAGES];
} seen;

__attribute__((format(printf, 2, 3))) static void wrong(unsigned *count, const char *format, ...) {
    va_list list;
    ++*count;
    if (seen.out->words[0]) return;
    va_start(list, format);
    vsnprintf(seen.out->words, sizeof seen.out->words, format, list);
    va_end(list);
}

static char *find_letter(char *text, size_t n) {
    return memmem(text, n, "X-Letter: ", 10);
}

static void take_file(const char *user, const char *name, char *text, size_t n) {
    static uint8_t expected[LETTER_MAX];
    char *at = find_letter(text, n);
    char *end_of_text = text + n;
    unsigned id = at ? (unsigned)atoi(at + 10) : 0;
    if (id == 0 || id >= WORLD_MESSAGES || !letters[id].to[0]) {
        wrong(&seen.out->broken, "%s has %s, %zu octets, which is no letter", user, name, n);
        return;
    }
    if (memmem(text, (size_t)(at - text), "Auto-Submitted: auto-replied", 28)) {
        if (!letters[id].sender[0] || strcmp(letters[id].sender, user) != 0)
            wrong(&seen.out->invented, "%s has a report on letter %u", user, id);
        seen.reports[id]++;
        if (!memmem(at, (size_t)(end_of_text - at), "--=_", 4))
            wrong(&seen.out->broken, "a report on letter %u is cut", id);
        return;
    }
    size_t whole = letter_body(id, false, expected, sizeof expected);
    if ((size_t)(end_of_text - at) != whole || memcmp(at, expected, whole) != 0)
        wrong(&seen.out->broken, "%s has letter %u with %zu octets for %zu, or other ones", user, id,
              (size_t)(end_of_text - at), whole);
    if (strncmp(text, "Return-Path: <", 14) != 0 || !memmem(text, (size_t)(at - text), "Received: ", 10))
        wrong(&seen.out->broken, "%s has letter %u without its head", user, id);
    for (int who = ALICE; who <= LATER; who++) {
        if (strcmp(who_names[who], user) != 0) continue;
        for (int i = 0; i < WORLD_RECIPIENTS; i++)
            if ((int)letters[id].to[i] == who) {
                seen.copies[id][who]++;
                return;
            }
    }
    wrong(&seen.out->invented, "%s has letter %u, which is not for him", user, id);
}

static void read_file(const char *user, int directory, const char *name) {
    static char text[LETTER_MAX + 4096];
    int fd = openat(directory, name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0) abort();
    close(fd);
    take_file(user, name, text, (size_t)n);
}

static void read_directory(const char *path, void (*each)(const char *path, const char *name)) {
    DIR *stream = opendir(path);
    if (!stream) return;
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (entry->d_name[0] != '.') each(path, entry->d_name);
    closedir(stream);
}

static void read_user(const char *path, const char *user) {
    static const char *const parts[] = {"new", "cur"};
    for (int i = 0; i < 2; i++) {
        char name[800];
        snprintf(name, sizeof name, "%s/%s/%s", path, user, parts[i]);
        DIR *stream = opendir(name);
        if (!stream) continue;
        for (const struct dirent *entry; (entry = readdir(stream));)
            if (entry->d_name[0] != '.') read_file(user, dirfd(stream), entry->d_name);
        closedir(stream);
    }
}

static void judge(unsigned id, const struct told *told, uint32_t step) {
    bool whole = told->whole && told->whole_step <= step;
    bool known = told->outcome && told->told_step <= step;
    bool kept = known && told->outcome == BODY_DURABLE + 1;
    const struct letter *letter = &letters[id];
    for (int i = 0; i < WORLD_RECIPIENTS && letter->to[i]; i++) {
        unsigned copies = seen.copies[id][letter->to[i]];
        const char *who = who_names[letter->to[i]];
        if (letter->to[i] == NEVER) {
            copies = seen.reports[id];
            who = "its sender";
            if (!letter->sender[0]) continue;
        }
        if (kept && !copies) wrong(&seen.out->lost, "letter %u was accepted, and %s has nothing", id, who);
        if (!whole && copies) wrong(&seen.out->invented, "letter %u was not sent whole, and %s has it", id, who);
        if (copies > 1) wrong(&seen.out->twice, "letter %u, or a report on it, came %u times to %s", id, copies, who);
    }
    bool fails = false;
    for (int i = 0; i < WORLD_RECIPIENTS; i++) fails |= letter->to[i] == NEVER;
    if (seen.reports[id] && !fails)
        wrong(&seen.out->invented, "letter %u was delivered, and its sender got a report", id);
}

void outcome_read(const char *mail, const struct report *report, uint32_t step, struct outcome *out) {
    char path[512];
    memset(&seen, 0, sizeof seen);
    *out = (struct outcome){0};
    seen.out = out;
    snprintf(path, sizeof path, "%s/example.test", mail);
    read_directory(path, read_user);
    for (unsigned id = 1; id < WORLD_MESSAGES; id++) judge(id, &report->told[id], step);
}
