/* judge.c - one keys process for one question.
 * Runs in: master, command line. Trusts: its own program for the verdicts, nothing in the files. Never: reads a
 * certificate or a key itself, waits longer than JUDGE_MS. */
#include "server/process/judge.h"

#include "server/process/child.h"
#include "store/clock.h"
#include "store/log.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JUDGE_MS = 10000, TEXT_MAX = 8192 };

/* The frame with the verdicts; false when the process ended without, or took too long. */
static bool hear(int channel, uint8_t *storage, struct frame *frame) {
    uint64_t end_ms = clock_ms() + JUDGE_MS;
    for (uint64_t now; (now = clock_ms()) < end_ms;) {
        struct pollfd wait = {channel, POLLIN, 0};
        if (poll(&wait, 1, (int)(end_ms - now)) <= 0) continue;
        enum frame_status status = frame_receive(channel, storage, false, frame);
        if (status == FRAME_NONE) continue;
        return status == FRAME_RECEIVED && frame->type == CHILD_VERDICTS;
    }
    return false;
}

/* Its log has no reader: what matters is said here. */
static bool ask(const struct conf *conf, const struct material *material, uint8_t *storage, struct frame *frame) {
    uint32_t uid, gid;
    const char *name;
    bool heard = false;
    struct family *family = calloc(1, sizeof *family);
    if (!family) abort();
    family->conf = conf;
    family->fresh = *material;
    family->auth_control = family->queue_control = family->submit = family->faults = -1;
    family->facts.judge = true;
    /* Before installation there are no users; its other walls stand all the same. */
    family->facts.as_root = geteuid() == 0 && setup_user(conf, ROLE_KEYS, &uid, &gid, &name) == 0;
    if (frame_pair(family->log_fds, true) == 0) {
        int log = log_use(family->log_fds[1]);
        struct child *child = child_add(family, ROLE_KEYS, 0);
        if (child && child_spawn(child) == 0) {
            child_begin(child);
            heard = hear(child->watch.fd, storage, frame);
        }
        if (child && child->pid) {
            kill(child->pid, SIGKILL);
            (void)waitpid(child->pid, NULL, 0);
            child_gone(child);
        }
        log_use(log);
        for (int i = 0; i < 2; i++) close(family->log_fds[i]);
    }
    free(family);
    return heard;
}

static const char *words(unsigned verdict) {
    switch ((enum verdict)verdict) {
    case VERDICT_EMPTY:
        return "is empty";
    case VERDICT_KIND:
        return "is of a kind that cannot be used: RSA from 2048 bits, P-256 or P-384 can";
    case VERDICT_WEAK:
        return "holds a certificate that is signed by SHA-1 or older, or whose key is too short; get a new one";
    case VERDICT_ENCRYPTED:
        return "is encrypted, and nobody is there to give the passphrase; store it without";
    case VERDICT_MISFIT:
        return "is not the key of the certificate beside it";
    case VERDICT_NOT_PEM:
    case VERDICT_NONE:
    case VERDICT_GOOD:
        break;
    }
    return NULL;
}

static void say(const struct conf *conf, const char *path, char *const *field, const char *name, const char *what,
                FILE *out) {
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "tls.certificates.%s: %s %s", name, *field, what);
    conf_say(conf, path, field, text, out);
}

static void say_times(const struct conf *conf, const char *path, char *const *field, uint64_t not_before,
                      uint64_t not_after, FILE *warnings) {
    uint64_t now = clock_wall_ms() / 1000;
    time_t seconds = (time_t)(now < not_before ? not_before : not_after);
    char what[128], day[32] = "";
    struct tm day_of;
    if (now >= not_before && now <= not_after) return;
    if (gmtime_r(&seconds, &day_of)) strftime(day, sizeof day, "%Y-%m-%d", &day_of);
    if (now < not_before)
        snprintf(what, sizeof what, "is not valid before %s", day);
    else
        snprintf(what, sizeof what, "expired on %s", day);
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "warning: tls.certificates.certificate_file: %s %s", *field, what);
    conf_say(conf, path, field, text, warnings);
}

int judge_material(const struct conf *conf, const char *path, const struct material *material, FILE *errors,
                   FILE *warnings) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    int result = 0;
    if (material->n == 0) return 0;
    if (child_programs()[0] == 0 || !ask(conf, material, storage, &frame)) {
        fprintf(warnings, "gatepost: the certificates could not be looked into: gatepost-keys gave no answer\n");
        return 0;
    }
    struct wire w = wire_over(frame.body);
    for (size_t i = 0; i < material->n; i++) {
        const struct conf_certificate *pair = &conf->certificates[i];
        unsigned certificate = wire_get_u8(&w), key = wire_get_u8(&w);
        uint64_t not_before = wire_get_u64(&w), not_after = wire_get_u64(&w);
        if (certificate != VERDICT_GOOD)
            say(conf, path, &pair->certificate_file, "certificate_file",
                words(certificate) ? words(certificate) : "is not a PEM certificate", errors);
        if (key != VERDICT_GOOD)
            say(conf, path, &pair->key_file, "key_file", words(key) ? words(key) : "is not a PEM private key",
                errors);
        if (certificate == VERDICT_GOOD)
            say_times(conf, path, &pair->certificate_file, not_before, not_after, warnings);
        if (certificate != VERDICT_GOOD || key != VERDICT_GOOD) result = -1;
    }
    return result;
}
