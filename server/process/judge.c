/* judge.c - one keys process for one question.
 * Runs in: master, command line. Trusts: its own program for the verdicts, nothing in the files. Never: reads a
 * certificate or a key itself, waits longer than JUDGE_MS. */
#include "server/process/judge.h"

#include "server/process/oneshot.h"
#include "store/clock.h"

#include <stdlib.h>
#include <time.h>

enum { JUDGE_MS = 10000, TEXT_MAX = 8192 };

struct hearing {
    const struct material *material;
    struct judge_certificate *out;
    bool whole;
};

static bool take(void *context, const struct frame *frame) {
    struct hearing *hearing = context;
    struct wire w = wire_over(frame->body);
    if (frame->type != CHILD_VERDICTS) return false;
    for (size_t i = 0; i < hearing->material->n; i++) {
        struct judge_certificate *one = &hearing->out[i];
        one->certificate = wire_get_u8(&w);
        one->key = wire_get_u8(&w);
        one->not_before = wire_get_u64(&w);
        one->not_after = wire_get_u64(&w);
        one->self_signed = wire_get_u8(&w);
        wire_get_bytes(&w, one->spki, sizeof one->spki);
        wire_get_text(&w, one->names, sizeof one->names);
    }
    hearing->whole = wire_end(&w);
    return false;
}

bool judge_certificates(const struct conf *conf, const struct material *material, struct judge_certificate *out) {
    struct hearing hearing = {material, out, false};
    struct oneshot question = {.role = ROLE_KEYS, .material = material, .ms = JUDGE_MS, .take = take};
    question.context = &hearing;
    return oneshot_run(conf, &question) && hearing.whole;
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
    int result = 0;
    if (material->n == 0) return 0;
    struct judge_certificate *found = calloc(material->n, sizeof *found);
    if (!found) abort();
    bool heard = judge_certificates(conf, material, found);
    if (!heard)
        fprintf(warnings, "gatepost: the certificates could not be looked into: gatepost-keys gave no answer\n");
    for (size_t i = 0; heard && i < material->n; i++) {
        const struct conf_certificate *pair = &conf->certificates[i];
        unsigned certificate = found[i].certificate, key = found[i].key;
        if (certificate != VERDICT_GOOD)
            say(conf, path, &pair->certificate_file, "certificate_file",
                words(certificate) ? words(certificate) : "is not a PEM certificate", errors);
        if (key != VERDICT_GOOD)
            say(conf, path, &pair->key_file, "key_file", words(key) ? words(key) : "is not a PEM private key",
                errors);
        if (certificate == VERDICT_GOOD)
            say_times(conf, path, &pair->certificate_file, found[i].not_before, found[i].not_after, warnings);
        if (certificate != VERDICT_GOOD || key != VERDICT_GOOD) result = -1;
    }
    free(found);
    return result;
}
