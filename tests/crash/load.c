/* load.c - a client that loads a server from many threads: messages from strangers and from users who logged in, or
 * recipients that must be refused. It writes the Message-ID of each message that was answered with 250 to a file; of
 * mixed messages (-M) a line "when id kind name recipient,recipient".
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

/* Of mixed messages. DEAD goes to a mailbox here and to the foreign domain, SUCCESS asks for a report. */
enum kind { KIND_SMALL = 0, KIND_LARGE, KIND_SEVERAL, KIND_DEAD, KIND_SUCCESS };
enum { LARGE_BYTES = 300 << 10, SEVERAL = 5, CODES = 600 };

static struct options {
    long seconds, pause_ms, messages, threads, per_session, users, body_bytes, authenticated_percent,
        authenticated_per_session;
    int mx, submissions;
    const char *acknowledged, *plain, *tag, *foreign;
    bool refusals, mixed;
} options = {.messages = 1000,
             .threads = 20,
             .per_session = 1,
             .users = 1,
             .body_bytes = 1024,
             .authenticated_per_session = 50,
             .tag = "load"};

static atomic_long next_number, taken, failed_sessions, refused, by_users, promised; /* promised to users' sessions */
static atomic_long codes[CODES]; /* how often something was answered so */
static struct timespec started;
static int acknowledged_fd = -1;
static SSL_CTX *tls_context;
static char *filler, *large;

struct client {
    int fd;
    SSL *ssl;
    char buffer[LINE_BYTES];
    size_t used;
    char last[128]; /* the last line, cut where it is longer */
};

static void usage(void) {
    fputs("load -n MESSAGES -t THREADS -m MX_PORT [-s SUBMISSIONS_PORT -p BASE64_PLAIN -a PERCENT -A PER_SESSION]\n"
          "     [-k MESSAGES_PER_SESSION] [-u USERS] [-b BODY_BYTES] [-o FILE] [-g TAG] [-f FOREIGN_DOMAIN] [-r]\n"
          "     [-M] [-d SECONDS] [-w PAUSE_MS]\n",
          stderr);
    exit(2);
}

static void read_options(int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "n:t:m:s:p:a:A:k:u:b:o:g:f:rMd:w:")) != -1;) {
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
        case 'M':
            options.mixed = true;
            break;
        case 'd':
            options.seconds = strtol(optarg, NULL, 10);
            break;
        case 'w':
            options.pause_ms = strtol(optarg, NULL, 10);
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
            snprintf(client->last, sizeof client->last, "%.*s", (int)strcspn(client->buffer, "\r\n"), client->buffer);
            client->used -= n;
            memmove(client->buffer, end + 1, client->used);
            if (last && code > 0 && code < CODES) atomic_fetch_add(&codes[code], 1);
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

static enum kind draw_kind(long number, bool authenticated) {
    if (authenticated && options.foreign && number % 4 < 2) return number % 4 ? KIND_SUCCESS : KIND_DEAD;
    if (number % 40 < 2) return KIND_LARGE;
    return number % 10 < 3 ? KIND_SEVERAL : KIND_SMALL;
}

/* The recipients of a mixed message, `text` has room for them. */
static int name_recipients(enum kind kind, long number, char text[SEVERAL][128]) {
    int n = kind == KIND_SEVERAL ? SEVERAL : kind == KIND_DEAD ? 2 : 1;
    for (int i = 0; i < n; i++)
        snprintf(text[i], sizeof text[i], "user%ld@%s", (number + i) % options.users,
                 kind == KIND_DEAD && i ? options.foreign : "example.test");
    return n;
}

static void acknowledge_mixed(const struct client *client, const char *id, enum kind kind,
                              char recipients[SEVERAL][128], const bool *accepted, int n) {
    static const char *const names[] = {"small", "large", "several", "dead", "success"};
    char line[1024];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const char *name = strrchr(client->last, ' ');
    int at = snprintf(line, sizeof line, "%ld.%03ld %s %s %s ", (long)now.tv_sec, now.tv_nsec / 1000000, id,
                      names[kind], name ? name + 1 : "?");
    for (int i = 0; i < n; i++)
        if (accepted[i]) at += snprintf(line + at, sizeof line - (size_t)at, "%s,", recipients[i]);
    line[at - 1] = '\n';
    if (acknowledged_fd >= 0 && write(acknowledged_fd, line, (size_t)at) != at) abort();
    atomic_fetch_add(&taken, 1);
}

/* One mixed message; a recipient that is refused is left out. False when the session is of no more use. */
static bool send_mixed(struct client *client, bool authenticated) {
    char text[4096], id[128], recipients[SEVERAL][128];
    bool accepted[SEVERAL] = {false};
    long number = atomic_fetch_add(&next_number, 1);
    enum kind kind = draw_kind(number, authenticated);
    int n_recipients = name_recipients(kind, number, recipients);
    snprintf(id, sizeof id, "%s.%ld@load.example", options.tag, number);
    int n = snprintf(text, sizeof text, "MAIL FROM:<%s>\r\n",
                     authenticated ? "user0@example.test" : "stranger@elsewhere.example");
    for (int i = 0; i < n_recipients; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "RCPT TO:<%s>%s\r\n", recipients[i],
                      kind == KIND_SUCCESS ? " NOTIFY=SUCCESS,FAILURE" : "");
    n += snprintf(text + n, sizeof text - (size_t)n, "DATA\r\n");
    if (!client_send(client, text, (size_t)n) || !client_reply(client)) return false;
    for (int i = 0; i < n_recipients; i++) {
        int code = client_reply(client);
        if (!code) return false;
        accepted[i] = code == 250;
    }
    if (client_reply(client) != 354) return false;
    n = snprintf(text, sizeof text, "From: <a@elsewhere.example>\r\nMessage-ID: <%s>\r\nX-Large: %d\r\n\r\n", id,
                 kind == KIND_LARGE);
    const char *body = kind == KIND_LARGE ? large : filler;
    if (!client_send(client, text, (size_t)n) || !client_send(client, body, strlen(body))) return false;
    n = snprintf(text, sizeof text, "end %s\r\n.\r\n", id);
    if (!client_send(client, text, (size_t)n) || client_reply(client) != 250) return false;
    acknowledge_mixed(client, id, kind, recipients, accepted, n_recipients);
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

static bool goes_on(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return options.seconds ? now.tv_sec - started.tv_sec < options.seconds : atomic_load(&taken) < options.messages;
}

static bool send_one(struct client *client, bool authenticated) {
    if (options.pause_ms) usleep((useconds_t)(options.pause_ms * 1000));
    if (options.refusals) return refuse(client);
    return options.mixed ? send_mixed(client, authenticated) : send_message(client, authenticated);
}

static void session(void) {
    struct client client = {.fd = -1};
    bool authenticated = options.authenticated_percent && turn_of_user();
    long most = authenticated ? options.authenticated_per_session : options.per_session, sent = 0;
    bool good = begin(&client, authenticated);
    if (good && options.refusals) good = client_ask(&client, "MAIL FROM:<stranger@elsewhere.example>") == 250;
    while (good && sent < most && goes_on()) {
        good = send_one(&client, authenticated);
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
    while (goes_on()) session();
    return argument;
}

/* Lines of 70 octets. */
static char *make_filler(size_t n) {
    char *lines = malloc(n + 80);
    if (!lines) abort();
    size_t at = 0;
    while (at < n) {
        memset(lines + at, 'x', 70);
        memcpy(lines + at + 70, "\r\n", 2);
        at += 72;
        if (at + 72 > n) break;
    }
    lines[at] = 0;
    return lines;
}

static void print_codes(void) {
    for (int code = 400; code < CODES; code++)
        if (atomic_load(&codes[code])) printf("answered %d: %ld\n", code, atomic_load(&codes[code]));
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS_MAX];
    struct timespec to;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    read_options(argc, argv);
    filler = make_filler((size_t)options.body_bytes);
    large = make_filler(LARGE_BYTES);
    if (options.acknowledged) {
        acknowledged_fd = open(options.acknowledged, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (acknowledged_fd < 0) abort();
    }
    tls_context = SSL_CTX_new(TLS_client_method());
    if (!tls_context) abort();
    SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
    clock_gettime(CLOCK_MONOTONIC, &started);
    for (long i = 0; i < options.threads; i++)
        if (pthread_create(&threads[i], NULL, run_thread, NULL) != 0) abort();
    for (long i = 0; i < options.threads; i++) pthread_join(threads[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - started.tv_sec) + (double)(to.tv_nsec - started.tv_nsec) / 1e9;
    printf("acknowledged %ld by_users %ld refused %ld failed_sessions %ld seconds %.3f per_second %.1f\n",
           atomic_load(&taken) - atomic_load(&refused), atomic_load(&by_users), atomic_load(&refused),
           atomic_load(&failed_sessions), seconds, (double)atomic_load(&taken) / seconds);
    if (options.mixed) print_codes();
    SSL_CTX_free(tls_context);
    free(filler);
    free(large);
    return 0;
}
