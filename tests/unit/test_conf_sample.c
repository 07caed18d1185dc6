/* test_conf_sample.c - the sample and the manual page say what the table of keys says; mutations of the sample.
 * Runs in: the test runner. Trusts: nothing. Never: reads the machine's own configuration. */
#include "conf/conf_reader.h"
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(conf_sample, .init = fixture_begin, .fini = fixture_end);

/* The sample with certificate files that exist. */
static char *sample_text(void) {
    char *sample = fixture_source("conf/gatepost.conf");
    char *certificate = fixture_replace(sample, "/etc/gatepost/tls/certificate.pem", "%D/certificate.pem");
    char *key = fixture_replace(certificate, "/etc/gatepost/tls/key.pem", "%D/key.pem");
    free(sample), free(certificate);
    return key;
}

static char *effective(const char *text) {
    char *messages;
    fixture_write("t.conf", text, strlen(text));
    struct conf *conf = fixture_read(&messages);
    cr_assert(conf, "%s", messages);
    char *printed = fixture_print(conf, false);
    conf_free(conf);
    free(messages);
    return printed;
}

Test(conf_sample, is_safe_as_it_stands) {
    char *text = sample_text(), *messages;
    fixture_write("t.conf", text, strlen(text));
    struct conf *conf = fixture_read(&messages);
    cr_assert(conf, "%s", messages);
    cr_expect_eq(conf->delivery.foreign, CONF_FOREIGN_REFUSE);
    cr_expect_eq(conf->trusted_networks.n + conf->local_sender_hosts.n + conf->proxy_from.n + conf->n_relay_domains,
                 0);
    for (size_t i = 0; i < conf->n_listeners; i++)
        cr_expect_eq(conf->listeners[i].auth, conf->listeners[i].role != CONF_LISTENER_MX);
    conf_free(conf);
    free(text), free(messages);
}

/* "#key = value" at the start of a line becomes "key = value". */
static char *uncommented(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    char *out = conf_alloc(strlen(text) + 1, 1), *to = out;
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n') + 1, *from = line + strspn(line, " ");
        size_t word = *from == '#' ? strspn(from + 1, letters) : 0;
        bool key = word && strncmp(from + 1 + word, " = ", 3) == 0;
        size_t skip = (size_t)(from - line) + key;
        memcpy(to, line + skip, (size_t)(end - line) - skip);
        to += (size_t)(end - line) - skip;
        line = end;
    }
    return out;
}

Test(conf_sample, what_is_commented_is_the_default) {
    char *text = sample_text(), *all = uncommented(text);
    char *plain = effective(text), *set = effective(all);
    cr_expect_str_eq(plain, set, "%s", set);
    cr_expect(strlen(text) - strlen(all) > 40, "nothing was commented");
    free(text), free(all), free(plain), free(set);
}

static void for_each_key(void (*visit)(const struct conf_key *key, const char *text), const char *text) {
    for (size_t i = 0; i < conf_keys_n; i++) {
        visit(&conf_keys[i], text);
        for (size_t j = 0; conf_keys[i].elements && j < conf_keys[i].elements->n; j++)
            visit(&conf_keys[i].elements->keys[j], text);
    }
}

static void expect_explained(const struct conf_key *key, const char *sample) {
    const char *name = conf_key_name(key);
    size_t n = strlen(name);
    for (const char *found = sample; (found = strstr(found, name)); found += n)
        if (strncmp(found + n, " = ", 3) == 0 || found[n] == ':') return;
    cr_expect(false, "%s is not in the sample", key->path);
}

Test(conf_sample, holds_every_key) {
    char *sample = fixture_source("conf/gatepost.conf");
    for_each_key(expect_explained, sample);
    free(sample);
}

static const char *kind_words(const struct conf_key *key) {
    switch (key->kind) {
    case CONF_KIND_COUNT:
        return "Whole number";
    case CONF_KIND_BYTES:
        return "Size";
    case CONF_KIND_TIME:
        return key->many ? "List of times" : "Time";
    case CONF_KIND_SWITCH:
        return "True or false";
    case CONF_KIND_DOMAIN:
        return key->many ? "List of domains" : "Domain";
    case CONF_KIND_HOST:
        return "Domain or address";
    case CONF_KIND_PATH:
        return "Absolute path";
    case CONF_KIND_USER:
        return "System user";
    case CONF_KIND_MAILBOX:
        return key->many ? "List of mail addresses" : "Mail address";
    case CONF_KIND_LOGIN:
        return key->many ? "List of texts" : "Text";
    case CONF_KIND_DELIMITER:
        return "One character or none";
    case CONF_KIND_DELIVERY:
        return "maildir, or an LMTP server";
    case CONF_KIND_NETWORK:
        return "List of networks";
    case CONF_KIND_LISTEN:
        return "Address and port, or a list of them";
    case CONF_KIND_GROUPS:
        return key->elements->plain ? "List of texts or groups" : "List of groups";
    default:
        return "One of";
    }
}

/* What the manual page must say of a key: name, type, range, default. */
static void describe(const struct conf_key *key, struct buf *out) {
    buf_put_format(out, ".It Ic %s\n%s", key->path, kind_words(key));
    const char *between = " ";
    for (size_t i = 0; key->choices && key->choices[i]; i++) {
        if (!key->choices[i][0]) continue;
        buf_put_format(out, "%s%s", between, key->choices[i]);
        between = ", ";
    }
    if (key->max) {
        buf_put_text(out, ", ");
        conf_value_range(key, out);
    }
    if (key->required)
        buf_put_text(out, "; required.\n");
    else if (key->kind == CONF_KIND_GROUPS)
        buf_put_text(out, ".\n");
    else
        buf_put_format(out, "; default %s.\n", key->standard && *key->standard ? key->standard : "empty");
}

static void expect_in_manual(const struct conf_key *key, const char *manual) {
    char storage[400];
    struct buf b = BUF_OVER(storage);
    describe(key, &b);
    buf_put_octet(&b, 0);
    cr_assert(buf_ok(&b));
    cr_expect(strstr(manual, storage), "the manual page does not say:\n%s", storage);
}

Test(conf_sample, the_manual_page_describes_every_key) {
    char *manual = fixture_source("conf/gatepost.conf.5");
    for_each_key(expect_in_manual, manual);
    free(manual);
}

enum { SEEDS = 600 };

/* xorshift64: the same mutations everywhere. */
static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t mutate(char *text, size_t n, uint64_t *state) {
    static const char *const tokens[] = {"{",   "}",        "(",           ")",           "[",      "]",
                                         "\"",  ";",        "=",           "/*",          "#",      "\n@include",
                                         ",",   "-1",       "99999999999", "0x1FFFFFFFF", "true",   "\\\"",
                                         "\\x", "\"::/0\"", "1.",          "\"\xc3\"",    "listen", "hostname"};
    size_t at = next_random(state) % n, token = next_random(state) % (sizeof tokens / sizeof tokens[0]), length;
    switch (next_random(state) % 4) {
    case 0:
        text[at] = (char)next_random(state);
        return n;
    case 1: /* take a stretch away */
        length = next_random(state) % 40;
        if (length > n - at - 1) length = n - at - 1;
        memmove(text + at, text + at + length, n - at - length);
        return n - length;
    case 2: /* repeat what stands elsewhere */
        length = next_random(state) % 60;
        if (length > n - at) length = n - at;
        memmove(text + at + length, text + at, n - at);
        return n + length;
    default:
        length = strlen(tokens[token]);
        memmove(text + at + length, text + at, n - at);
        memcpy(text + at, tokens[token], length);
        return n + length;
    }
}

/* Either a configuration that can be printed and read again, or at least one mistake that names the file. */
static bool read_mutation(void) {
    char *messages;
    struct conf *conf = fixture_read(&messages);
    cr_expect(conf ? !*messages : strncmp(messages, "t.conf:", 7) == 0, "%s", messages);
    /* Ours comes first, and says what is missing. */
    cr_expect_null(strstr(messages, "syntax error, here"), "libconfig refused what our grammar took: %s", messages);
    if (conf) {
        char *printed = fixture_print(conf, false);
        char *again = effective(printed);
        cr_expect_str_eq(printed, again);
        free(printed), free(again);
    }
    free(messages);
    conf_free(conf);
    return conf != NULL;
}

Test(conf_sample, mutations_do_no_harm) {
    char *sample = sample_text(), *bare = uncommented(sample);
    char *filled = fixture_replace(bare, "%D", fixture_directory);
    size_t accepted = 0, n_filled = strlen(filled);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t state = seed * UINT64_C(0x9E3779B97F4A7C15);
        char *text = conf_alloc(n_filled + 1000, 1);
        size_t n = n_filled, times = 1 + seed % 8;
        memcpy(text, filled, n);
        for (size_t i = 0; i < times; i++) n = mutate(text, n, &state);
        fixture_write("t.conf", text, n);
        accepted += read_mutation();
        free(text);
    }
    /* Most of the sample is comment, so some pass; that all pass would mean nothing was mutated. */
    cr_expect(accepted > 20 && accepted < SEEDS - 20, "%zu accepted", accepted);
    free(sample), free(bare), free(filled);
}
