/* load.c - a client that loads a server from many threads: messages from strangers and from users who logged in, or
 * recipients that must be refused. It writes the Message-ID of each message that was answered with 250 to a file.
 * Runs in: tests. Trusts: nothing the server says but the code. Never: counts a message that was not acknowledged. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048, BODY_BYTES_MAX = 1 << 20, WAIT_SECONDS = 60, THREADS_MAX = 200 };

static struct options {
    long messages, threads, per_session, users, body_bytes, authenticated_percent, authenticated_per_session;
    int mx, submissions;
    const char *acknowledged, *plain, *tag, *foreign;
    bool refusals;
} options = {.messages = 1000,
             .threads = 20,
             .per_session = 1,
             .users = 1,
             .body_bytes = 1024,
             .authenticated_per_session = 50,
             .tag = "load"};

static atomic_long next_number, taken, failed_sessions, refused, by_users, promised; /* promised to users' sessions */
static int acknowledged_fd = -1;
static SSL_CTX *tls_context;
static char *filler;

struct client {
    int fd;
    SSL *ssl;
    char buffer[LINE_BYTES];
    size_t used;
};

static void usage(void) {
    fputs("load -n MESSAGES -t THREADS -m MX_PORT [-s SUBMISSIONS_PORT -p BASE64_PLAIN -a PERCENT -A PER_SESSION]\n"
          "     [-k MESSAGES_PER_SESSION] [-u USERS] [-b BODY_BYTES] [-o FILE] [-g TAG] [-f FOREIGN_DOMAIN] [-r]\n",
          stderr);
    exit(2);
}

static void read_options(int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "n:t:m:s:p:a:A:k:u:b:o:g:f:r")) != -1;) {
        switch (c) {
        case 'n':
            options.messages = strtol(optarg, NULL, 10);
            break;
        case 't':
            options.threads = strtol(optarg, NULL, 10);
            break;
        case 'm':
            options.mx = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            options.submissions = (int)strtol(optarg, NULL, 10);
            break;
        case 'p':
            options.plain = optarg;
            break;
        case 'a':
            options.authenticated_percent = strtol(optarg, NULL, 10);
            break;
        case 'A':
            options.authenticated_per_session = strtol(optarg, NULL, 10);
            break;
        case 'k':
            options.per_session = strtol(optarg, NULL, 10);
            break;
        case 'u':
            options.users = strtol(optarg, NULL, 10);
            break;
        case 'b':
            options.body_bytes = strtol(optarg, NULL, 10);
            break;
        case 'o':
            options.acknowledged = optarg;
            break;
        case 'g':
            options.tag = optarg;
            break;
        case 'f':
            options.foreign = optarg;
            break;
        case 'r':
            options.refusals = true;
            break;
        default:
            usage();
        }
    }
    if (!options.mx || options.threads < 1 || options.threads > THREADS_MAX || options.body_bytes > BODY_BYTES_MAX)
        usage();
}

static bool client_open(struct client *client, int port, bool tls) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->ssl = NULL;
    client->used = 0;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) return false;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0) return false;
    if (!tls) return true;
    client->ssl = SSL_new(tls_context);
    return client->ssl && SSL_set_fd(client->ssl, client->fd) == 1 && SSL_connect(client->ssl) == 1;
}

static void client_close(struct client *client) {
    if (client->ssl) SSL_free(client->ssl);
    if (client->fd >= 0) close(client->fd);
    client->ssl = NULL;
    client->fd = -1;
}

static bool client_send(struct client *client, const char *octets, size_t n) {
    while (n > 0) {
        ssize_t sent =
            client->ssl ? SSL_write(client->ssl, octets, (int)n) : send(client->fd, octets, n, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        octets += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* The code of one whole reply; 0 when the connection is gone. */
static int client_reply(struct client *client) {
    for (;;) {
        char *end = memchr(client->buffer, '\n', client->used);
        if (end) {
            size_t n = (size_t)(end + 1 - client->buffer);
            int code = n >= 4 ? (int)strtol(client->buffer, NULL, 10) : 0;
            bool last = n < 4 || client->buffer[3] != '-';
            client->used -= n;
            memmove(client->buffer, end + 1, client->used);
            if (last) return code;
            continue;
        }
        size_t room = sizeof client->buffer - client->used;
        if (room == 0) return 0;
        char *at = client->buffer + client->used;
        ssize_t n = client->ssl ? SSL_read(client->ssl, at, (int)room) : recv(client->fd, at, room, 0);
        if (n <= 0) return 0;
        client->used += (size_t)n;
    }
}

static int client_ask(struct client *client, const char *line) {
    char text[LINE_BYTES];
    int n = snprintf(text, sizeof text, "%s\r\n", line);
    return client_send(client, text, (size_t)n) ? client_reply(client) : 0;
}

static bool begin(struct client *client, bool authenticated) {
    char line[LINE_BYTES];
    if (!client_open(client, authenticated ? options.submissions : options.mx, authenticated)) return false;
    if (client_reply(client) != 220 || client_ask(client, "EHLO client.example") != 250) return false;
    if (!authenticated) return true;
    snprintf(line, sizeof line, "AUTH PLAIN %s", options.plain);
    return client_ask(client, line) == 235;
}

static void acknowledge(const char *id) {
    char line[256];
    int n = snprintf(line, sizeof line, "%s\n", id);
    if (acknowledged_fd >= 0 && write(acknowledged_fd, line, (size_t)n) != n) abort();
}

/* One message, its commands in one group (RFC 2920). False when the session is of no more use. */
static bool send_message(struct client *client, bool authenticated) {
    char text[4096], id[128];
    long number = atomic_fetch_add(&next_number, 1);
    bool abroad = authenticated && options.foreign && number % 2;
    snprintf(id, sizeof id, "%s.%ld@load.example", options.tag, number);
    int n = snprintf(text, sizeof text, "MAIL FROM:<%s>\r\nRCPT TO:<user%ld@%s>\r\nDATA\r\n",
                     authenticated ? "user0@example.test" : "stranger@elsewhere.example", number % options.users,
                     abroad ? options.foreign : "example.test");
    if (!client_send(client, text, (size_t)n)) return false;
    int mail = client_reply(client), rcpt = mail == 0 ? 0 : client_reply(client);
    int data = rcpt == 0 ? 0 : client_reply(client);
    if (data != 354) return false;
    n = snprintf(text, sizeof text, "From: <a@elsewhere.example>\r\nMessage-ID: <%s>\r\nSubject: load\r\n\r\n", id);
    if (!client_send(client, text, (size_t)n) || !client_send(client, filler, strlen(filler)) ||
        !client_send(client, ".\r\n", 3) || client_reply(client) != 250)
        return false;
    acknowledge(id);
    atomic_fetch_add(&taken, 1);
    return true;
}

static bool refuse(struct client *client) {
    char line[256];
    int n = snprintf(line, sizeof line, "RCPT TO:<user%ld@foreign.example>", atomic_fetch_add(&next_number, 1));
    if (n < 0 || client_ask(client, line) != 550) return false;
    atomic_fetch_add(&refused, 1);
    atomic_fetch_add(&taken, 1);
    return true;
}

/* Whether the next session is a user's: as long as their share of the messages is not reached. */
static bool turn_of_user(void) {
    long most = options.authenticated_per_session;
    long before = atomic_fetch_add(&promised, most);
    if ((before + most) * 100 <= options.authenticated_percent * (atomic_load(&taken) + most)) return true;
    atomic_fetch_sub(&promised, most);
    return false;
}

static void session(void) {
    struct client client = {.fd = -1};
    bool authenticated = options.authenticated_percent && turn_of_user();
    long most = authenticated ? options.authenticated_per_session : options.per_session, sent = 0;
    bool good = begin(&client, authenticated);
    if (good && options.refusals) good = client_ask(&client, "MAIL FROM:<stranger@elsewhere.example>") == 250;
    while (good && sent < most && atomic_load(&taken) < options.messages) {
        good = options.refusals ? refuse(&client) : send_message(&client, authenticated);
        if (good) sent++;
    }
    if (authenticated) {
        atomic_fetch_sub(&promised, most - sent);
        atomic_fetch_add(&by_users, sent);
    }
    if (good) {
        client_send(&client, "QUIT\r\n", 6);
        client_reply(&client);
    } else {
        atomic_fetch_add(&failed_sessions, 1);
        usleep(20000);
    }
    client_close(&client);
}

static void *run_thread(void *argument) {
    while (atomic_load(&taken) < options.messages) session();
    return argument;
}

/* Lines of 70 octets. */
static void make_filler(void) {
    size_t n = (size_t)options.body_bytes;
    filler = malloc(n + 80);
    if (!filler) abort();
    size_t at = 0;
    while (at < n) {
        memset(filler + at, 'x', 70);
        memcpy(filler + at + 70, "\r\n", 2);
        at += 72;
        if (at + 72 > n) break;
    }
    filler[at] = 0;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS_MAX];
    struct timespec from, to;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    read_options(argc, argv);
    make_filler();
    if (options.acknowledged) {
        acknowledged_fd = open(options.acknowledged, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (acknowledged_fd < 0) abort();
    }
    tls_context = SSL_CTX_new(TLS_client_method());
    if (!tls_context) abort();
    SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < options.threads; i++)
        if (pthread_create(&threads[i], NULL, run_thread, NULL) != 0) abort();
    for (long i = 0; i < options.threads; i++) pthread_join(threads[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("acknowledged %ld by_users %ld refused %ld failed_sessions %ld seconds %.3f per_second %.1f\n",
           atomic_load(&taken) - atomic_load(&refused), atomic_load(&by_users), atomic_load(&refused),
           atomic_load(&failed_sessions), seconds, (double)atomic_load(&taken) / seconds);
    SSL_CTX_free(tls_context);
    free(filler);
    return 0;
}
