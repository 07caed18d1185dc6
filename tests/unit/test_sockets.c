/* test_sockets.c - binding, taking over what is bound, and control sockets; all on loopback and in a directory of its
 * own.
 * Runs in: the test runner, and in its children. Trusts: nothing. Never: leaves a socket behind. */
#include "server/process/sockets.h"

#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockets sockets, again;

TestSuite(test_sockets, .init = fixture_begin, .fini = fixture_end);

/* A port that nobody has at this moment: below those that the kernel gives to clients and those of tests/harness.py,
 * and another for each test that runs at the same time. */
static uint16_t free_port(void) {
    static unsigned tried;
    for (;;) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        cr_assert_lt(tried, 1000);
        address.sin_port = htons((uint16_t)(2600 + ((unsigned)getpid() * 37 + tried++) % 7000));
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (free) return ntohs(address.sin_port);
    }
}

static struct conf *conf_for(const uint16_t *ports, size_t n) {
    char text[512];
    struct buf b = BUF_OVER(text);
    buf_put_text(&b, "listen = (");
    for (size_t i = 0; i < n; i++)
        buf_put_format(&b, "%s { role = \"mx\"; address = \"127.0.0.1:%u\"; }", i ? "," : "", ports[i]);
    buf_put_text(&b, ");");
    text[b.n] = 0;
    return fixture_read_good(text, WITHOUT_LISTEN);
}

static bool accepts(uint16_t port) {
    struct sockaddr_storage address;
    struct netaddr at;
    cr_assert(netaddr_parse(&at, SPAN("127.0.0.1")));
    at.port = port;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool yes = connect(fd, (struct sockaddr *)&address, netaddr_to_socket(&at, &address)) == 0;
    close(fd);
    return yes;
}

Test(test_sockets, binds_in_order_and_does_not_block) {
    uint16_t ports[2] = {free_port(), free_port()};
    struct conf *conf = conf_for(ports, 2);
    cr_assert_eq(sockets_open(&sockets, conf, NULL, stderr), 0);
    cr_assert_eq(sockets.n, (size_t)2);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(sockets.addresses[i].port, ports[i]);
        cr_expect(accepts(ports[i]));
        cr_expect(fcntl(sockets.fds[i], F_GETFL) & O_NONBLOCK);
        cr_expect(fcntl(sockets.fds[i], F_GETFD) & FD_CLOEXEC);
    }
    sockets_close(&sockets);
    cr_expect_eq(sockets.n, (size_t)0);
    cr_expect_not(accepts(ports[0]));
    conf_free(conf);
}

Test(test_sockets, takes_over_what_was_open_before) {
    uint16_t ports[2] = {free_port(), free_port()};
    struct conf *first = conf_for(ports, 1), *second = conf_for(ports, 2);
    struct stat a, b;
    cr_assert_eq(sockets_open(&sockets, first, NULL, stderr), 0);
    cr_assert_eq(sockets_open(&again, second, &sockets, stderr), 0, "its own port is not in use");
    cr_assert(fstat(sockets.fds[0], &a) == 0 && fstat(again.fds[0], &b) == 0);
    cr_expect(a.st_ino == b.st_ino && sockets.fds[0] != again.fds[0]);
    sockets_close(&sockets);
    cr_expect(accepts(ports[0]) && accepts(ports[1]), "not a connection is refused meanwhile");
    sockets_close(&again);
    conf_free(first), conf_free(second);
}

Test(test_sockets, one_that_cannot_be_had_leaves_none) {
    uint16_t ports[2] = {free_port(), free_port()}, taken[1] = {ports[1]};
    struct conf *other = conf_for(taken, 1), *conf = conf_for(ports, 2);
    char *text = NULL, wanted[64];
    size_t size;
    FILE *errors = open_memstream(&text, &size);
    cr_assert_eq(sockets_open(&again, other, NULL, stderr), 0);
    cr_expect_eq(sockets_open(&sockets, conf, NULL, errors), -1);
    fclose(errors);
    snprintf(wanted, sizeof wanted, "127.0.0.1:%u: Address already in use", ports[1]);
    cr_expect(strstr(text, wanted), "%s", text);
    cr_expect_eq(sockets.n, (size_t)0);
    cr_expect_not(accepts(ports[0]));
    sockets_close(&again);
    free(text), conf_free(conf), conf_free(other);
}

static int bound_to(uint16_t port, bool listens) {
    struct sockaddr_storage address;
    struct netaddr at;
    int one = 1;
    cr_assert(netaddr_parse(&at, SPAN("127.0.0.1")));
    at.port = port;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) return -1;
    if (bind(fd, (struct sockaddr *)&address, netaddr_to_socket(&at, &address)) != 0) return -1;
    return listens && listen(fd, 5) != 0 ? -1 : fd;
}

/* As the service manager would start us: sockets from descriptor 3 up, in any order. Status 0: that one is used. */
static int started_with(struct conf *conf, uint16_t port, bool for_us, bool listens) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        char text[16];
        struct stat passed, got;
        close_range(3, ~0U, 0);
        if (open("/dev/null", O_RDONLY) != 3 || bound_to(port, listens) != 4) _exit(9);
        snprintf(text, sizeof text, "%d", (int)getpid() + !for_us);
        setenv("LISTEN_PID", text, 1), setenv("LISTEN_FDS", "2", 1);
        FILE *nowhere = fopen("/dev/null", "we");
        if (!nowhere || sockets_open(&sockets, conf, NULL, nowhere) != 0) _exit(1);
        if (fstat(4, &passed) != 0 || fstat(sockets.fds[0], &got) != 0) _exit(8);
        if (!(fcntl(4, F_GETFD) & FD_CLOEXEC) || !(fcntl(sockets.fds[0], F_GETFL) & O_NONBLOCK)) _exit(7);
        _exit(passed.st_ino == got.st_ino ? 0 : 2);
    }
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

Test(test_sockets, sockets_of_the_service_manager) {
    uint16_t port = free_port();
    struct conf *conf = conf_for(&port, 1);
    cr_expect_eq(started_with(conf, port, true, true), 0);
    cr_expect_neq(started_with(conf, port, false, true), 0, "meant for another process");
    cr_expect_neq(started_with(conf, port, true, false), 0, "bound, but nobody would be heard");
    int status = started_with(conf, free_port(), true, true);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "one that nobody serves: %d", WEXITSTATUS(status));
    conf_free(conf);
}

Test(test_sockets, a_control_socket_is_for_its_owner_and_replaces_the_one_before) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    umask(0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/auth.sock", fixture_directory);
    int first = sockets_control(fixture_directory, "auth.sock");
    cr_assert_geq(first, 0);
    cr_assert_eq(stat(address.sun_path, &status), 0);
    cr_expect(S_ISSOCK(status.st_mode) && (status.st_mode & 0777) == 0600, "%o", status.st_mode);
    cr_expect_eq(umask(0), 0u, "the umask is as it was");
    cr_expect(fcntl(first, F_GETFL) & O_NONBLOCK);
    cr_expect(fcntl(first, F_GETFD) & FD_CLOEXEC);
    int second = sockets_control(fixture_directory, "auth.sock"); /* one was left behind */
    cr_assert_geq(second, 0);
    int client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    cr_expect_geq(accept(second, NULL, NULL), 0);
    cr_expect_eq(accept(first, NULL, NULL), -1);
}

/* Every user of this host may connect. */
Test(test_sockets, submit_socket) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    umask(077);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/submit.sock", fixture_directory);
    int fd = sockets_submit(fixture_directory);
    cr_assert_geq(fd, 0);
    cr_assert_eq(stat(address.sun_path, &status), 0);
    cr_expect(S_ISSOCK(status.st_mode) && (status.st_mode & 0777) == 0666, "%o", status.st_mode);
    cr_expect_eq(umask(0), 077u, "the umask is as it was");
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    cr_expect_geq(accept(fd, NULL, NULL), 0);
}

Test(test_sockets, control_sockets_that_cannot_be) {
    char name[200];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    cr_expect_eq(sockets_control(fixture_directory, name), -1);
    cr_expect_eq(errno, ENAMETOOLONG);
    cr_expect_eq(sockets_control("/nonexistent", "auth.sock"), -1);
    cr_expect_eq(errno, ENOENT);
}

Test(test_sockets, without_ipv6_a_star_is_ipv4) {
    struct conf *conf = fixture_read_good("listen = ( { role = \"mx\"; address = [ \"*:25\", \"[::1]:25\" ]; },\n"
                                          "{ role = \"mx\"; address = [ \"[::]:26\", \"0.0.0.0:27\" ]; } );\n",
                                          WITHOUT_LISTEN);
    char text[NETADDR_TEXT_MAX];
    cr_assert_eq(conf->listeners[0].n_addresses, 3u);
    cr_expect_eq(sockets_drop_ipv6(conf), 1u, "what was asked for by name stays, to fail loudly");
    cr_assert(conf->listeners[0].n_addresses == 2 && conf->listeners[1].n_addresses == 2);
    cr_expect_str_eq(netaddr_text_port(&conf->listeners[0].addresses[0], text), "0.0.0.0:25");
    cr_expect_str_eq(netaddr_text_port(&conf->listeners[0].addresses[1], text), "[::1]:25");
    cr_expect_eq(sockets_drop_ipv6(conf), 0u);
    conf_free(conf);
}
