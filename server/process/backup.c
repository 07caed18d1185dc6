/* backup.c - the manifest of a backup, and its files' sums.
 * Runs in: the command line. Trusts: nothing in a manifest that is read back. Never: takes a path that leads out of
 * the backup, gives a manifest its name before it is on the disk. */
#include "server/process/backup.h"

#include "server/process/version.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 64 << 10, HEX = 2 * BACKUP_SUM_BYTES + 1, LINE_BYTES = BACKUP_PATH_MAX + HEX + 64 };

#define HEAD "gatepost-backup"

static bool is_zero(const uint8_t *p, size_t n) {
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int put_block(int out, const uint8_t *p, size_t n, uint64_t at) {
    while (n > 0) {
        ssize_t put = pwrite(out, p, n, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return -1;
        p += put, n -= (size_t)put, at += (uint64_t)put;
    }
    return 0;
}

int backup_copy(int in, int out, uint64_t limit, uint64_t *bytes_out, uint8_t sum_out[BACKUP_SUM_BYTES]) {
    static uint8_t block[BLOCK];
    crypto_generichash_state sum;
    uint64_t at = 0;
    if (sodium_init() < 0 || crypto_generichash_init(&sum, NULL, 0, BACKUP_SUM_BYTES) != 0) {
        errno = ENOSYS;
        return -1;
    }
    while (at < limit) {
        ssize_t n = pread(in, block, limit - at < BLOCK ? (size_t)(limit - at) : BLOCK, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        crypto_generichash_update(&sum, block, (size_t)n);
        if (out >= 0 && !is_zero(block, (size_t)n) && put_block(out, block, (size_t)n, at) != 0) return -1;
        at += (uint64_t)n;
    }
    if (out >= 0 && ftruncate(out, (off_t)at) != 0) return -1;
    crypto_generichash_final(&sum, sum_out, BACKUP_SUM_BYTES);
    *bytes_out = at;
    return 0;
}

/* auth/, queue/, included/ or the configuration, and no step that leads elsewhere. */
static bool path_holds(const char *path) {
    static const char *const below[] = {"auth/", "queue/", "included/"};
    bool known = strcmp(path, "gatepost.conf") == 0;
    for (size_t i = 0; i < sizeof below / sizeof *below; i++)
        known = known || strncmp(path, below[i], strlen(below[i])) == 0;
    if (!known || strlen(path) >= BACKUP_PATH_MAX) return false;
    for (const char *step = path; step; step = strchr(step, '/') ? strchr(step, '/') + 1 : NULL) {
        size_t n = strcspn(step, "/");
        if (n == 0 || (n == 1 && step[0] == '.') || (n == 2 && step[0] == '.' && step[1] == '.')) return false;
    }
    for (const char *p = path; *p; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f) return false;
    return true;
}

int backup_add(struct backup *backup, const char *path, uint64_t bytes, const uint8_t sum[BACKUP_SUM_BYTES]) {
    errno = EINVAL;
    if (!path_holds(path)) return -1;
    if (backup->n == backup->cap) {
        size_t cap = backup->cap ? 2 * backup->cap : 64;
        void *grown = realloc(backup->files, cap * sizeof *backup->files);
        if (!grown) return -1;
        backup->files = grown, backup->cap = cap;
    }
    struct backup_file *file = &backup->files[backup->n];
    if (!(file->path = strdup(path))) return -1;
    file->bytes = bytes;
    memcpy(file->sum, sum, BACKUP_SUM_BYTES);
    backup->n++;
    return 0;
}

void backup_free(struct backup *backup) {
    for (size_t i = 0; i < backup->n; i++) free(backup->files[i].path);
    free(backup->files);
    *backup = (struct backup){0};
}

/* ---- as text: a line of its own sum ends it */

static void sum_text(const char *text, size_t n, char hex_out[HEX]) {
    uint8_t sum[BACKUP_SUM_BYTES];
    crypto_generichash(sum, sizeof sum, (const uint8_t *)text, n, NULL, 0);
    sodium_bin2hex(hex_out, HEX, sum, sizeof sum);
}

static char *text_of(const struct backup *backup, size_t *n_out) {
    char *text = NULL, hex[HEX];
    FILE *out = sodium_init() < 0 ? NULL : open_memstream(&text, n_out);
    if (!out) return NULL;
    fprintf(out, HEAD " %d\nmade %s\nhost %s\ngatepost %s\n", BACKUP_VERSION, backup->made, backup->host,
            backup->gatepost);
    for (size_t i = 0; i < backup->n; i++) {
        sodium_bin2hex(hex, sizeof hex, backup->files[i].sum, BACKUP_SUM_BYTES);
        fprintf(out, "%s %" PRIu64 " %s\n", hex, backup->files[i].bytes, backup->files[i].path);
    }
    if (fflush(out) == 0) {
        sum_text(text, *n_out, hex);
        fprintf(out, "end %s\n", hex);
    }
    bool whole = !ferror(out);
    if (fclose(out) == 0 && whole) return text;
    free(text);
    return NULL;
}

int backup_write(const struct backup *backup, int directory) {
    size_t n = 0;
    char *text = text_of(backup, &n);
    if (!text) return -1;
    int fd = openat(directory, BACKUP_MANIFEST ".new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = fd >= 0 && put_block(fd, (const uint8_t *)text, n, 0) == 0 ? fsync(fd) : -1;
    if (fd >= 0 && close(fd) != 0) result = -1;
    free(text);
    if (result == 0) result = renameat(directory, BACKUP_MANIFEST ".new", directory, BACKUP_MANIFEST);
    return result == 0 ? fsync(directory) : -1;
}

static bool take_word(const char *line, const char *name, char out[BACKUP_WORD_MAX]) {
    size_t n = strlen(name);
    if (strncmp(line, name, n) != 0 || line[n] != ' ' || strlen(line + n + 1) >= BACKUP_WORD_MAX) return false;
    memcpy(out, line + n + 1, strlen(line + n + 1) + 1);
    return true;
}

static bool take_file(struct backup *backup, const char *line) {
    uint8_t sum[BACKUP_SUM_BYTES];
    size_t n = 0;
    const char *end = NULL;
    char *path = NULL;
    if (sodium_hex2bin(sum, sizeof sum, line, strlen(line), NULL, &n, &end) != 0 || n != sizeof sum || *end != ' ')
        return false;
    uint64_t bytes = strtoull(end + 1, &path, 10);
    return path != end + 1 && *path == ' ' && backup_add(backup, path + 1, bytes, sum) == 0;
}

/* The lines of a manifest. What is wrong, or NULL. */
static const char *parse(struct backup *backup, FILE *in) {
    static char line[LINE_BYTES];
    static char hex[HEX], said[BACKUP_WORD_MAX];
    char *text = NULL;
    size_t n = 0;
    int number = 0;
    const char *wrong = "it is cut short";
    FILE *so_far = sodium_init() < 0 ? NULL : open_memstream(&text, &n);
    if (!so_far) return "there is no memory to read it";
    while (fgets(line, sizeof line, in)) {
        size_t length = strcspn(line, "\n");
        if (line[length] != '\n') break;
        if (strncmp(line, "end ", 4) == 0) {
            line[length] = 0;
            (void)fflush(so_far);
            sum_text(text, n, hex);
            wrong = take_word(line, "end", said) && strcmp(said, hex) == 0 && number > 3 ? NULL : "it was altered";
            break;
        }
        fputs(line, so_far);
        line[length] = 0;
        bool good = number == 0   ? take_word(line, HEAD, said) && strtol(said, NULL, 10) == BACKUP_VERSION
                    : number == 1 ? take_word(line, "made", backup->made)
                    : number == 2 ? take_word(line, "host", backup->host)
                    : number == 3 ? take_word(line, "gatepost", backup->gatepost)
                                  : take_file(backup, line);
        if (!good && number == 0 && strncmp(line, HEAD " ", sizeof HEAD) == 0)
            wrong = "it was made by a newer version of gatepost, and only that can restore it";
        else if (!good)
            wrong = number ? "it was altered" : "it is no manifest";
        if (!good) break;
        number++;
    }
    (void)fclose(so_far);
    free(text);
    return wrong;
}

int backup_read(struct backup *backup, int directory, const char *name, FILE *errors) {
    *backup = (struct backup){0};
    int fd = openat(directory, BACKUP_MANIFEST, O_RDONLY | O_CLOEXEC);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    if (!in) {
        if (fd >= 0) close(fd);
        if (errno == ENOENT)
            fprintf(errors, "gatepost: %s is no whole backup: there is no %s in it, which is written last\n", name,
                    BACKUP_MANIFEST);
        else
            fprintf(errors, "gatepost: %s/%s: %s\n", name, BACKUP_MANIFEST, strerrordesc_np(errno));
        return -1;
    }
    const char *wrong = parse(backup, in);
    if (fclose(in) != 0 && !wrong) wrong = "it cannot be read";
    if (!wrong && version_newer(backup->gatepost, version_gatepost()))
        wrong = "it was made by a newer version of gatepost, and only that can restore it";
    if (!wrong) return 0;
    fprintf(errors, "gatepost: %s/%s: %s; nothing was restored\n", name, BACKUP_MANIFEST, wrong);
    backup_free(backup);
    return -1;
}
