/* conf_value.c - one value from text, and back to text: units, ranges, words, networks, addresses.
 * Runs in: master and command line. Trusts: nothing in the text. Never: looks at the file system or a name server. */
#include "conf/conf_reader.h"

#include "store/word.h"

#include <stdlib.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit time_units[] = {{"w", 604800000}, {"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                         {"s", 1000},      {"ms", 1},       {NULL, 0}};
static const struct unit byte_units[] = {
    {"G", UINT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1}, {NULL, 0}};

static const struct unit *units_of(enum conf_kind kind) {
    return kind == CONF_KIND_TIME ? time_units : byte_units;
}

static void put_with_unit(struct buf *out, enum conf_kind kind, uint64_t value) {
    if (kind == CONF_KIND_COUNT) {
        buf_put_number(out, value);
        return;
    }
    const struct unit *unit = units_of(kind);
    /* No week of our own making: "7d" reads easier, and zero has no largest unit. */
    if (kind == CONF_KIND_TIME) unit++;
    while (value % unit->factor != 0 || (value == 0 && unit[1].name)) unit++;
    buf_put_number(out, value / unit->factor);
    buf_put_text(out, unit->name);
}

void conf_value_range(const struct conf_key *key, struct buf *out) {
    put_with_unit(out, key->kind, key->min);
    buf_put_text(out, " to ");
    put_with_unit(out, key->kind, key->max);
}

static size_t refuse_range(const struct conf_key *key, const char *text, char why[CONF_WHY_MAX]) {
    char storage[64];
    struct buf b = BUF_OVER(storage);
    conf_value_range(key, &b);
    snprintf(why, CONF_WHY_MAX, "%.40s is outside %.*s", text, (int)b.n, storage);
    return 0;
}

static void store_number(const struct conf_key *key, uint64_t value, void *out) {
    uint32_t wide = (uint32_t)value;
    uint16_t narrow = (uint16_t)value;
    if (key->size == sizeof value)
        memcpy(out, &value, sizeof value);
    else if (key->size == sizeof wide)
        memcpy(out, &wide, sizeof wide);
    else
        memcpy(out, &narrow, sizeof narrow);
}

static size_t parse_count(const struct conf_key *key, const char *text, void *out, char why[CONF_WHY_MAX]) {
    uint64_t value;
    if (!span_number(span_text(text), key->max, &value) || value < key->min) return refuse_range(key, text, why);
    store_number(key, value, out);
    return 1;
}

static size_t parse_with_unit(const struct conf_key *key, const char *text, void *out, char why[CONF_WHY_MAX]) {
    size_t digits = strspn(text, "0123456789");
    const struct unit *unit = units_of(key->kind);
    while (unit->name && strcmp(unit->name, text + digits) != 0) unit++;
    if (digits == 0 || !unit->name) {
        const char *hint = key->kind == CONF_KIND_TIME ? "a time, like \"15m\" (units ms, s, m, h, d, w)"
                                                       : "a size, like \"25M\" (units B, K, M, G)";
        snprintf(why, CONF_WHY_MAX, "\"%.40s\" is not %s", text, hint);
        return 0;
    }
    uint64_t value;
    if (!span_number(span_of(text, digits), key->max / unit->factor, &value) || value * unit->factor < key->min)
        return refuse_range(key, text, why);
    value *= unit->factor;
    store_number(key, value, out);
    return 1;
}

static size_t parse_choice(const struct conf_key *key, const char *text, void *out, char why[CONF_WHY_MAX]) {
    size_t best = SIZE_MAX, nearest = 0;
    for (unsigned i = 0; key->choices[i]; i++) {
        if (key->choices[i][0] && strcmp(key->choices[i], text) == 0) {
            _Static_assert(sizeof(enum conf_listener_role) == sizeof i && sizeof(enum conf_log) == sizeof i, "enums");
            memcpy(out, &i, sizeof i);
            return 1;
        }
        size_t distance = key->choices[i][0] ? word_distance(text, key->choices[i]) : SIZE_MAX;
        if (strcasecmp(text, key->choices[i]) == 0) distance = 0;
        if (distance < best) best = distance, nearest = i;
    }
    char storage[CONF_WHY_MAX - 100];
    struct buf b = BUF_OVER(storage);
    for (size_t i = 0; key->choices[i]; i++)
        if (key->choices[i][0]) buf_put_format(&b, "%s\"%s\"", b.n ? ", " : "", key->choices[i]);
    int n = snprintf(why, CONF_WHY_MAX, "\"%.40s\" is none of %.*s", text, (int)b.n, storage);
    if (best <= 2 && n > 0 && n < CONF_WHY_MAX)
        snprintf(why + n, (size_t)(CONF_WHY_MAX - n), " (did you mean \"%s\"?)", key->choices[nearest]);
    return 0;
}

static size_t refuse(char why[CONF_WHY_MAX], const char *text, const char *what) {
    snprintf(why, CONF_WHY_MAX, "\"%.200s\" %s", text, what);
    return 0;
}

static size_t keep(char *value, void *out) {
    memcpy(out, &value, sizeof value);
    return 1;
}

static size_t parse_domain(const struct conf_key *key, const char *text, void *out, char why[CONF_WHY_MAX]) {
    const char *reason = NULL;
    struct netaddr address;
    if (key->kind == CONF_KIND_HOST && (!*text || netaddr_parse(&address, span_text(text))))
        return keep(conf_copy(text, strlen(text)), out);
    if (!*text && !key->many) return keep(conf_copy(text, 0), out); /* one that is required is not empty */
    char *name = conf_domain_normal(text, &reason);
    return name ? keep(name, out) : refuse(why, text, reason);
}

/* The local part is taken as written: a dot-atom (RFC 5321 4.1.2); quoted ones are for clients, not for this file. */
static bool local_part_ok(const char *text, size_t n) {
    static const char atom[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~.";
    if (n == 0 || n > 64 || text[0] == '.' || text[n - 1] == '.') return false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 128 && !strchr(atom, text[i])) return false;
        if (i && text[i] == '.' && text[i - 1] == '.') return false;
    }
    return true;
}

static size_t parse_mailbox(const char *text, void *out, char why[CONF_WHY_MAX]) {
    const char *at = strrchr(text, '@'), *reason = NULL;
    if (!*text) return keep(conf_copy("", 0), out);
    if (!at || !local_part_ok(text, (size_t)(at - text))) return refuse(why, text, "is not a mail address");
    char *domain = conf_domain_normal(at + 1, &reason);
    if (!domain) return refuse(why, at + 1, reason);
    char *value = NULL;
    if (asprintf(&value, "%.*s@%s", (int)(at - text), text, domain) < 0) abort();
    free(domain);
    return keep(value, out);
}

static size_t parse_user(const char *text, void *out, char why[CONF_WHY_MAX]) {
    static const char first[] = "abcdefghijklmnopqrstuvwxyz_", more[] = "abcdefghijklmnopqrstuvwxyz_0123456789-";
    size_t n = strlen(text);
    if (n == 0 || n > 32 || !strchr(first, text[0]) || strspn(text, more) != n)
        return refuse(why, text, "is not the name of a system user");
    if (strcmp(text, "root") == 0) return refuse(why, text, "must not run any part of the server");
    return keep(conf_copy(text, n), out);
}

static size_t parse_delimiter(const char *text, void *out, char why[CONF_WHY_MAX]) {
    if (*text && (text[1] || !strchr("+-_=#&~^", *text)))
        return refuse(why, text, "is not a delimiter; write one of + - _ = # & ~ ^, or nothing");
    return keep(conf_copy(text, strlen(text)), out);
}

static size_t parse_path(const char *text, void *out, char why[CONF_WHY_MAX]) {
    if (*text && *text != '/') return refuse(why, text, "is not an absolute path");
    if (strlen(text) >= 4096) return refuse(why, text, "is too long for a path");
    return keep(conf_copy(text, strlen(text)), out);
}

static size_t parse_network(const char *text, void *out, char why[CONF_WHY_MAX]) {
    struct network network;
    if (network_parse(&network, span_text(text))) {
        memcpy(out, &network, sizeof network);
        return 1;
    }
    struct netaddr address;
    const char *slash = strchr(text, '/');
    uint64_t bits;
    bool address_ok = slash && netaddr_parse(&address, span_of(text, (size_t)(slash - text)));
    if (!address_ok || !span_number(span_text(slash + 1), netaddr_is_ipv4(&address) ? 32 : 128, &bits))
        return refuse(why, text, "is not a network or an address; write it like 192.0.2.0/24 or 2001:db8::/32");
    char host[NETADDR_TEXT_MAX];
    network =
        netaddr_is_ipv4(&address) ? network_of(&address, (unsigned)bits, 0) : network_of(&address, 0, (unsigned)bits);
    memcpy(address.octets, network.octets, sizeof network.octets);
    snprintf(why, CONF_WHY_MAX, "\"%.60s\" has bits set behind its length; did you mean %s/%u?", text,
             netaddr_text(&address, host), (unsigned)bits);
    return 0;
}

static size_t parse_listen(const char *text, void *out, char why[CONF_WHY_MAX]) {
    static const struct netaddr any[2] = {{.octets = {0}}, {.octets = {[10] = 0xff, [11] = 0xff}}};
    struct netaddr made[2];
    uint64_t port = 0;
    size_t n = 0;
    struct span all = span_text(text);
    if (span_starts_nocase(all, SPAN("*:")) && span_number(span_from(all, 2), 65535, &port)) {
        memcpy(made, any, sizeof any);
        made[0].port = made[1].port = (uint16_t)port;
        n = 2;
    } else if (netaddr_parse_port(&made[0], all)) {
        n = 1;
    }
    if (n == 0)
        return refuse(why, text, "is not an address with a port; write *:25, 192.0.2.1:25 or [2001:db8::1]:25");
    if (made[0].port == 0) return refuse(why, text, "has port 0");
    memcpy(out, made, n * sizeof made[0]);
    return n;
}

static bool controls_free(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == 127) return false;
    return true;
}

size_t conf_value_parse(const struct conf_key *key, const char *text, void *out, char why[CONF_WHY_MAX]) {
    if (!controls_free(text)) return refuse(why, text, "holds a control character");
    if (key->required && !*text) return refuse(why, text, "is empty");
    switch (key->kind) {
    case CONF_KIND_COUNT:
        return parse_count(key, text, out, why);
    case CONF_KIND_BYTES:
    case CONF_KIND_TIME:
        return parse_with_unit(key, text, out, why);
    case CONF_KIND_SWITCH:
        *(bool *)out = strcmp(text, "true") == 0;
        return 1;
    case CONF_KIND_CHOICE:
        return parse_choice(key, text, out, why);
    case CONF_KIND_DOMAIN:
    case CONF_KIND_HOST:
        return parse_domain(key, text, out, why);
    case CONF_KIND_PATH:
        return parse_path(text, out, why);
    case CONF_KIND_USER:
        return parse_user(text, out, why);
    case CONF_KIND_MAILBOX:
        return parse_mailbox(text, out, why);
    case CONF_KIND_LOGIN:
        return keep(conf_copy(text, strlen(text)), out);
    case CONF_KIND_DELIMITER:
        return parse_delimiter(text, out, why);
    case CONF_KIND_DELIVERY: {
        char *value = conf_delivery_normal(text, why);
        return value ? keep(value, out) : 0;
    }
    case CONF_KIND_NETWORK:
        return parse_network(text, out, why);
    case CONF_KIND_LISTEN:
        return parse_listen(text, out, why);
    case CONF_KIND_NONE:
    case CONF_KIND_GROUPS:
        break;
    }
    abort();
}

bool conf_value_quoted(enum conf_kind kind) {
    return kind != CONF_KIND_COUNT && kind != CONF_KIND_SWITCH;
}

static uint64_t load_number(const struct conf_key *key, const void *item) {
    uint64_t value;
    uint32_t wide;
    uint16_t narrow;
    if (key->size == sizeof value) return memcpy(&value, item, sizeof value), value;
    if (key->size == sizeof wide) return memcpy(&wide, item, sizeof wide), wide;
    return memcpy(&narrow, item, sizeof narrow), narrow;
}

static void put_network(struct buf *out, const struct network *network) {
    struct netaddr address = {0};
    char text[NETADDR_TEXT_MAX];
    memcpy(address.octets, network->octets, sizeof network->octets);
    bool ipv4 = netaddr_is_ipv4(&address);
    buf_put_format(out, "%s/%u", netaddr_text(&address, text), network->bits - (ipv4 ? 96U : 0U));
}

void conf_value_text(const struct conf_key *key, const void *item, struct buf *out) {
    char text[NETADDR_TEXT_MAX];
    char *string = NULL;
    unsigned choice;
    switch (key->kind) {
    case CONF_KIND_COUNT:
    case CONF_KIND_BYTES:
    case CONF_KIND_TIME:
        put_with_unit(out, key->kind, load_number(key, item));
        return;
    case CONF_KIND_SWITCH:
        buf_put_text(out, *(const bool *)item ? "true" : "false");
        return;
    case CONF_KIND_CHOICE:
        memcpy(&choice, item, sizeof choice);
        buf_put_text(out, key->choices[choice]);
        return;
    case CONF_KIND_NETWORK:
        put_network(out, item);
        return;
    case CONF_KIND_LISTEN:
        buf_put_text(out, netaddr_text_port(item, text));
        return;
    case CONF_KIND_NONE:
    case CONF_KIND_GROUPS:
        abort();
    case CONF_KIND_DOMAIN:
    case CONF_KIND_HOST:
    case CONF_KIND_PATH:
    case CONF_KIND_USER:
    case CONF_KIND_MAILBOX:
    case CONF_KIND_LOGIN:
    case CONF_KIND_DELIVERY:
    case CONF_KIND_DELIMITER:
        break;
    }
    memcpy(&string, item, sizeof string);
    buf_put_text(out, string ? string : "");
}
