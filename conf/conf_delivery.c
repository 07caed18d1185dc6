/* conf_delivery.c - where local mail goes: Maildirs, or an LMTP server.
 * Runs in: master and command line. Trusts: nothing in the text. Never: looks whether anybody listens there. */
#include "conf/conf_reader.h"

#include "store/endpoint.h"
#include "store/word.h"

#include <stdlib.h>

static char *refuse(char why[CONF_WHY_MAX], const char *text, const char *what) {
    snprintf(why, CONF_WHY_MAX, "\"%.120s\" %s", text, what);
    return NULL;
}

/* The text is wrong; with this instead it would be right. */
static char *suggest(char why[CONF_WHY_MAX], const char *text, const char *what, const char *before,
                     const char *middle, const char *after) {
    snprintf(why, CONF_WHY_MAX, "\"%.120s\" %s; did you mean \"%s%.120s%s\"?", text, what, before, middle, after);
    return NULL;
}

static char *socket_of(const char *text, const char *path, char why[CONF_WHY_MAX]) {
    struct endpoint endpoint;
    char *value = NULL;
    if (*path != '/') return refuse(why, text, "names a socket by a path that is not absolute");
    if (strlen(path) > ENDPOINT_PATH_MAX) {
        snprintf(why, CONF_WHY_MAX,
                 "\"%.120s\" is too long: the address of a socket has at most %d octets; choose a shorter path", text,
                 ENDPOINT_PATH_MAX);
        return NULL;
    }
    if (!endpoint_parse(&endpoint, span_text(path - strlen("unix:")))) return refuse(why, text, "names no socket");
    if (asprintf(&value, "lmtp:unix:%s", path) < 0) abort();
    return value;
}

/* The host without what is told apart already, in the form that is compared. */
static char *host_of(const char *text, const struct endpoint *endpoint, char why[CONF_WHY_MAX]) {
    char address[NETADDR_TEXT_MAX];
    const char *reason = NULL;
    char *value = NULL;
    if (endpoint->literal) {
        if (asprintf(&value, "lmtp:%s", netaddr_text_port(&endpoint->address, address)) < 0) abort();
        return value;
    }
    char *host = conf_copy((const char *)endpoint->host.p, endpoint->host.n);
    char *name = conf_domain_normal(host, &reason);
    if (!name) snprintf(why, CONF_WHY_MAX, "\"%.120s\": the host \"%.120s\" %s", text, host, reason);
    if (name && asprintf(&value, "lmtp:%s:%u", name, endpoint->port) < 0) abort();
    free(host);
    free(name);
    return value;
}

static char *server_of(const char *text, const char *rest, char why[CONF_WHY_MAX]) {
    struct endpoint endpoint;
    struct netaddr address;
    const char *colon = strrchr(rest, ':');
    bool bare = netaddr_parse(&address, span_text(rest)) && colon; /* an IPv6 address without brackets */
    if (bare) return suggest(why, text, "has no port", "lmtp:[", rest, "]:24");
    if (!colon || rest[strlen(rest) - 1] == ']') return suggest(why, text, "has no port", "lmtp:", rest, ":24");
    if (!endpoint_parse(&endpoint, span_text(rest)))
        return refuse(why, text,
                      "is not a host with a port from 1 to 65535; write lmtp:imap.example.org:24, lmtp:192.0.2.1:24, "
                      "lmtp:[2001:db8::1]:24 or lmtp:unix:/run/dovecot/lmtp");
    if (endpoint.port == 25)
        return refuse(why, text, "has port 25, which is SMTP's (RFC 2033 5); LMTP usually has 24");
    return host_of(text, &endpoint, why);
}

char *conf_delivery_normal(const char *text, char why[CONF_WHY_MAX]) {
    struct endpoint endpoint;
    if (!*text) return conf_copy("", 0);
    if (strcmp(text, "maildir") == 0) return conf_copy(text, strlen(text));
    if (*text == '/') return suggest(why, text, "is neither \"maildir\" nor an LMTP server", "lmtp:unix:", text, "");
    if (strncmp(text, "lmtp:", 5) != 0) {
        if (endpoint_parse(&endpoint, span_text(text)))
            return suggest(why, text, "is neither \"maildir\" nor an LMTP server", "lmtp:", text, "");
        if (word_distance(text, "maildir") <= 2)
            return suggest(why, text, "is neither \"maildir\" nor an LMTP server", "", "maildir", "");
        return refuse(why, text,
                      "is neither \"maildir\" nor an LMTP server like \"lmtp:unix:/run/dovecot/lmtp\" or "
                      "\"lmtp:imap.example.org:24\"");
    }
    const char *rest = text + 5;
    if (strncmp(rest, "unix:", 5) == 0) return socket_of(text, rest + 5, why);
    if (*rest == '/') return suggest(why, text, "does not say what kind of address follows", "lmtp:unix:", rest, "");
    if (strncmp(rest, "inet:", 5) == 0) return suggest(why, text, "has a word too many", "lmtp:", rest + 5, "");
    return server_of(text, rest, why);
}

struct span conf_delivery_server(const char *delivery) {
    struct span text = span_text(delivery);
    return span_starts_nocase(text, SPAN("lmtp:")) ? span_from(text, 5) : SPAN("");
}
