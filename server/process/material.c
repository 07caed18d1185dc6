/* material.c - copying certificates and keys.
 * Runs in: master. Trusts: the owner's files to be of any content. Never: reads an octet of a key into its own
 * memory. */
#include "server/process/material.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

/* errno as it was, for the caller to print. */
static void close_quietly(int fd) {
    int error = errno;
    if (fd >= 0) close(fd);
    errno = error;
}

static int fill(int copy, int file) {
    ssize_t n;
    size_t all = 0;
    while ((n = sendfile(copy, file, NULL, FILE_MAX)) > 0) {
        all += (size_t)n;
        if (all <= FILE_MAX) continue;
        errno = EFBIG;
        return -1;
    }
    return n < 0 ? -1 : fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

/* A sealed copy of the file, or -1 with errno. */
static int sealed_copy(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    int copy = memfd_create("material", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy >= 0 && fill(copy, file) != 0) {
        close_quietly(copy);
        copy = -1;
    }
    close_quietly(file);
    return copy;
}

static char *text_copy(const char *text) {
    char *copy = strdup(text);
    if (!copy) abort();
    return copy;
}

static int copy_file(const char *path, int *copy_out, FILE *errors) {
    *copy_out = sealed_copy(path);
    if (*copy_out >= 0) return 0;
    bool others = errno == EACCES && geteuid() != 0;
    fprintf(errors, "gatepost: cannot read %s: %s%s\n", path, strerrordesc_np(errno), others ? CONF_RUN_AS_ROOT : "");
    return -1;
}

int material_read(struct material *out, const struct conf *conf, uint32_t generation, FILE *errors) {
    *out = (struct material){.generation = generation};
    if (conf->n_certificates > MATERIAL_MAX) return -1; /* conf_check has said so */
    for (size_t i = 0; i < conf->n_certificates; i++) {
        const struct conf_certificate *from = &conf->certificates[i];
        struct material_pair *pair = &out->pairs[out->n++];
        *pair = (struct material_pair){.certificate = -1, .key = -1, .file = text_copy(from->certificate_file)};
        pair->names.items = calloc(from->names.n + 1, sizeof *pair->names.items);
        if (!pair->names.items) abort();
        while (pair->names.n < from->names.n) {
            pair->names.items[pair->names.n] = text_copy(from->names.items[pair->names.n]);
            pair->names.n++;
        }
        if (copy_file(from->certificate_file, &pair->certificate, errors) == 0 &&
            copy_file(from->key_file, &pair->key, errors) == 0)
            continue;
        material_close(out);
        return -1;
    }
    return 0;
}

void material_close(struct material *material) {
    for (size_t i = 0; i < material->n; i++) {
        struct material_pair *pair = &material->pairs[i];
        if (pair->certificate >= 0) close(pair->certificate);
        if (pair->key >= 0) close(pair->key);
        for (size_t j = 0; j < pair->names.n; j++) free(pair->names.items[j]);
        free(pair->names.items);
        free(pair->file);
    }
    *material = (struct material){0};
}

struct span material_certificate(const struct material *material, size_t i) {
    struct stat status;
    if (i >= material->n || fstat(material->pairs[i].certificate, &status) != 0) return (struct span){0};
    size_t size = (size_t)status.st_size;
    uint8_t *p = malloc(size + 1);
    if (p && pread(material->pairs[i].certificate, p, size, 0) == (ssize_t)size) return span_of(p, size);
    free(p);
    return (struct span){0};
}
