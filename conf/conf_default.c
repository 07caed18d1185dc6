/* conf_default.c - what a key has when the file does not set it, and the end of a configuration.
 * Runs in: master and command line. Trusts: the table of keys. Never: replaces what the file says. */
#include "conf/conf_reader.h"

#include <stdlib.h>

void conf_text_free(void *field) {
    char *text;
    memcpy(&text, field, sizeof text);
    free(text);
}

void conf_items_free(const struct conf_key *key, struct conf_array array) {
    for (size_t i = 0; i < array.n && conf_kind_is_text(key->kind); i++)
        conf_text_free((uint8_t *)array.items + i * key->size);
    free(array.items);
}

void conf_default_set(const struct conf_key *key, void *base) {
    char why[CONF_WHY_MAX];
    void *field = conf_key_field(key, base);
    const char *text = key->standard ? key->standard : "";
    if (key->kind == CONF_KIND_GROUPS || key->required) return;
    if (!key->many) {
        char *copy = conf_copy(text, strlen(text));
        if (!*text && conf_kind_is_text(key->kind))
            memcpy(field, &copy, sizeof copy);
        else {
            if (conf_value_parse(key, text, field, why) != 1) abort();
            free(copy);
        }
        return;
    }
    struct conf_array array = {conf_alloc(strlen(text) + 1, key->size), 0};
    while (*text) {
        size_t n = strcspn(text, " ");
        char *item = conf_copy(text, n);
        if (conf_value_parse(key, item, (uint8_t *)array.items + array.n++ * key->size, why) != 1) abort();
        free(item);
        text += n + (text[n] == ' ');
    }
    conf_array_set(field, array);
}

void conf_default_derive(struct conf *conf) {
    if (!*conf->postmaster && conf->n_local_domains && conf->local_domains[0].name) {
        free(conf->postmaster);
        if (asprintf(&conf->postmaster, "postmaster@%s", conf->local_domains[0].name) < 0) abort();
    }
    if (!*conf->local.domain && conf->n_local_domains && conf->local_domains[0].name) {
        free(conf->local.domain);
        if (asprintf(&conf->local.domain, "%s", conf->local_domains[0].name) < 0) abort();
    }
    if (!*conf->autoconfig.host && conf->hostname) {
        free(conf->autoconfig.host);
        conf->autoconfig.host = conf_copy(conf->hostname, strlen(conf->hostname));
    }
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (conf->listeners[i].role != CONF_LISTENER_MX && !conf_origin_find(conf, &conf->listeners[i].auth, false))
            conf->listeners[i].auth = true;
    if (conf->delivery.local && !*conf->delivery.local) {
        free(conf->delivery.local);
        conf->delivery.local = conf_copy("maildir", 7);
    }
    for (size_t i = 0; i < conf->n_local_domains; i++) {
        struct conf_domain *domain = &conf->local_domains[i];
        if (!domain->delivery || *domain->delivery || !conf->delivery.local) continue;
        free(domain->delivery);
        domain->delivery = conf_copy(conf->delivery.local, strlen(conf->delivery.local));
    }
    if (!*conf->delivery.capture_directory) {
        free(conf->delivery.capture_directory);
        if (asprintf(&conf->delivery.capture_directory, "%s/capture", conf->state_directory) < 0) abort();
    }
}

static void free_keys(const struct conf_key *keys, size_t n, void *base) {
    for (size_t i = 0; i < n; i++) {
        void *field = conf_key_field(&keys[i], base);
        if (keys[i].kind == CONF_KIND_GROUPS) {
            struct conf_array array = conf_array_get(field);
            for (size_t j = 0; j < array.n; j++)
                free_keys(keys[i].elements->keys, keys[i].elements->n, (uint8_t *)array.items + j * keys[i].size);
            free(array.items);
        } else if (keys[i].many) {
            conf_items_free(&keys[i], conf_array_get(field));
        } else if (conf_kind_is_text(keys[i].kind)) {
            conf_text_free(field);
        }
    }
}

void conf_free(struct conf *conf) {
    if (!conf) return;
    free_keys(conf_keys, conf_keys_n, conf);
    conf_origins_free(conf->origins);
    for (size_t i = 0; i < conf->n_includes; i++) free(conf->includes[i]);
    free(conf->includes);
    free(conf);
}
