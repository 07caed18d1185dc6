/* test_dial.c - the master connects to what the configuration names, and to nothing else. */
#include "server/process/dial.h"

#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

TestSuite(dial, .init = fixture_begin, .fini = fixture_end);

static char *path_of(const char *name) {
    char *path = NULL;
    cr_assert(asprintf(&path, "%s/%s", fixture_directory, name) > 0);
    return path;
}

static int listen_at(const char *path, int backlog) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, backlog) == 0);
    return fd;
}

Test(dial, what_is_named) {
    char *here = path_of("lmtp"), *other = path_of("other"), *gone = path_of("gone");
    int listener = listen_at(here, 0), beside = listen_at(other, 1), fd[8], n = 0;
    struct conf *conf = fixture_read_good("delivery = { local = \"lmtp:unix:%D/lmtp\"; };\n"
                                          "local_domains = ( \"a.example\", { name = \"b.example\"; delivery = "
                                          "\"lmtp:unix:%D/gone\"; },\n { name = \"c.example\"; delivery = "
                                          "\"lmtp:192.0.2.1:24\"; } );",
                                          WITHOUT_DOMAIN);
    while (n < 8 && (fd[n] = dial_local(conf, span_text(here))) >= 0) n++;
    cr_expect(n >= 1 && n < 8 && errno == EAGAIN, "a server that does not take its clients is not waited for: %d", n);
    for (int i = 0; i < n; i++) close(fd[i]);
    cr_expect(dial_local(conf, span_text(gone)) < 0 && errno == ENOENT);
    cr_expect(dial_local(conf, span_text(other)) < 0 && errno == EPERM, "not named");
    cr_expect(dial_local(conf, span_of(here, strlen(here) - 1)) < 0 && errno == EPERM);
    cr_expect(dial_local(conf, SPAN("")) < 0 && errno == EPERM);
    close(listener);
    cr_expect(dial_local(conf, span_text(here)) < 0 && errno == ECONNREFUSED);
    close(beside);
    conf_free(conf);
    free(here), free(other), free(gone);
}
