/* faults.c - the script of faults, read and put where all sessions have it.
 * Runs in: master; builds with FAULTS=1 only. Trusts: the owner's file. Never: serves faults to anybody but this
 * host.
 */
#include "server/process/faults.h"

#include "server/lab/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_loopback(const struct netaddr *address) {
    struct network ipv4, ipv6;
    return network_parse(&ipv4, SPAN("127.0.0.0/8")) && network_parse(&ipv6, SPAN("::1/128")) &&
           (network_holds(&ipv4, address) || network_holds(&ipv6, address));
}

bool faults_allowed(const struct conf *conf, struct faults_option option, FILE *errors) {
    char text[NETADDR_TEXT_MAX];
    for (size_t i = 0; option.file && i < conf->n_listeners; i++)
        for (size_t k = 0; k < conf->listeners[i].n_addresses; k++) {
            const struct netaddr *address = &conf->listeners[i].addresses[k];
            if (is_loopback(address)) continue;
            fprintf(errors,
                    "gatepost: --faults is for this host alone, and listen has %s; leave loopback there only\n",
                    netaddr_text(address, text));
            return false;
        }
    return true;
}

/* One octet more than there may be is enough to tell. */
static ssize_t read_file(const char *name, uint8_t *text, size_t size, FILE *errors) {
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size);
    if (n < 0) fprintf(errors, "gatepost: --faults %s: %s\n", name, strerrordesc_np(errno));
    if (fd >= 0) close(fd);
    return n;
}

static int make_memory(struct span text) {
    int fd = memfd_create("faults", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct fault_shared *shared = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof *shared) == 0)
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        if (fd >= 0) close(fd);
        return -1;
    }
    shared->text_bytes = (uint32_t)text.n;
    memcpy(shared->text, text.p, text.n);
    munmap(shared, sizeof *shared);
    return fd;
}

int faults_open(struct family *family, struct faults_option option, FILE *errors) {
    static struct fault_script script;
    static uint8_t storage[FAULT_TEXT_MAX + 1];
    struct span text = SPAN("magic\n");
    if (!option.file) return 0;
    if (*option.file) {
        ssize_t n = read_file(option.file, storage, sizeof storage, errors);
        if (n < 0) return -1;
        text = span_of(storage, (size_t)n);
    }
    if (!fault_script_read(&script, text, option.file, errors)) return -1;
    int fd = make_memory(text);
    if (fd < 0) {
        fprintf(errors, "gatepost: --faults: memory for it cannot be had: %s\n", strerrordesc_np(errno));
        return -1;
    }
    if (family->faults >= 0) close(family->faults);
    family->faults = fd;
    return 0;
}
