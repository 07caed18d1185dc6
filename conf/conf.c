/* conf.c - reads the configuration file: libconfig makes the tree, the table of keys says what it means.
 * Runs in: master and command line. Trusts: the file's owner, not the file. Never: stops at the first mistake, or
 * returns a configuration that holds one. */
#include "conf/conf.h"

#include "conf/conf_reader.h"
#include "store/word.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdlib.h>
#include <unistd.h>

struct reader {
    struct conf *conf;
    struct conf_mistakes mistakes;
    struct conf_scan scan;
    bool partial; /* the tree ends at a syntax error: absence proves nothing */
};

/* One group of the tree: which keys it may hold, and the struct that they fill. */
struct level {
    const struct conf_key *keys;
    size_t n;
    void *base;
    const char *prefix; /* "limits." */
};

static void read_group(struct reader *reader, const struct level *level, const config_setting_t *group);

/* The place as mistakes show it; its name belongs to the scan. Whoever keeps it copies it. */
static struct conf_place place_of(struct reader *reader, const config_setting_t *setting) {
    const char *file = config_setting_source_file(setting);
    unsigned line = setting->line;
    if (!file) return (struct conf_place){reader->scan.path, line};
    char *name = conf_scan_name(&reader->scan, file);
    const char *kept = reader->scan.path;
    for (size_t i = 0; i < reader->scan.n; i++)
        if (strcmp(reader->scan.files[i].name, name) == 0) kept = reader->scan.files[i].name;
    free(name);
    return (struct conf_place){kept, line};
}

static const char *found_type(const config_setting_t *setting) {
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return "a group";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a whole number";
    case CONFIG_TYPE_FLOAT:
        return "a number with a point";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        return "a list";
    default:
        return "nothing";
    }
}

static const char *wanted_type(const struct conf_key *key) {
    switch (key->kind) {
    case CONF_KIND_COUNT:
        return "a whole number";
    case CONF_KIND_SWITCH:
        return "true or false";
    case CONF_KIND_TIME:
        return key->many ? "a list of times like [ \"5m\", \"1h\" ]" : "a time in quotes, like \"15m\"";
    case CONF_KIND_BYTES:
        return "a size in quotes, like \"25M\"";
    case CONF_KIND_GROUPS:
        return key->elements->plain ? "a list of texts or groups" : "a list of groups";
    default:
        return key->many ? "a text in quotes, or a list of them" : "a text in quotes";
    }
}

static void wrong_type(struct reader *reader, const struct conf_key *key, const config_setting_t *setting) {
    conf_mistake(&reader->mistakes, place_of(reader, setting), "%s: expected %s, found %s", key->path,
                 wanted_type(key), found_type(setting));
}

/* The scalar as the text that conf_value_parse takes; NULL when it has another type than the key. */
static const char *scalar_text(const struct conf_key *key, const config_setting_t *setting, char storage[32]) {
    int type = config_setting_type(setting);
    bool number = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
    if (key->kind == CONF_KIND_COUNT && number) {
        long long value =
            type == CONFIG_TYPE_INT ? config_setting_get_int(setting) : config_setting_get_int64(setting);
        snprintf(storage, 32, "%lld", value);
        return storage;
    }
    if (key->kind == CONF_KIND_SWITCH && type == CONFIG_TYPE_BOOL)
        return config_setting_get_bool(setting) ? "true" : "false";
    if (conf_value_quoted(key->kind) && type == CONFIG_TYPE_STRING) return config_setting_get_string(setting);
    return NULL;
}

/* Makes the item (or items) of one scalar; 0 after a mistake. */
static size_t read_scalar(struct reader *reader, const struct conf_key *key, const config_setting_t *setting,
                          void *out, struct conf_place *place_out) {
    char storage[32], why[CONF_WHY_MAX];
    const char *text = scalar_text(key, setting, storage);
    *place_out = place_of(reader, setting);
    if (!text) {
        wrong_type(reader, key, setting);
        return 0;
    }
    bool in_list = setting->parent && !config_setting_is_group(setting->parent);
    if (in_list) place_out->line = conf_scan_line(&reader->scan, *place_out, text);
    size_t made = conf_value_parse(key, text, out, why);
    if (made == 0) conf_mistake(&reader->mistakes, *place_out, "%s: %s", key->path, why);
    return made;
}

static bool is_list(const config_setting_t *setting) {
    return config_setting_is_array(setting) || config_setting_is_list(setting);
}

static void read_items(struct reader *reader, const struct conf_key *key, const config_setting_t *setting,
                       void *field) {
    size_t n = is_list(setting) ? (size_t)config_setting_length(setting) : 1;
    struct conf_place place;
    struct conf_array array = {conf_alloc(2 * n, key->size), 0}; /* "*:25" makes two of one */
    if (!is_list(setting) && config_setting_type(setting) != CONFIG_TYPE_STRING) {
        wrong_type(reader, key, setting);
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        const config_setting_t *item = is_list(setting) ? config_setting_get_elem(setting, (unsigned)i) : setting;
        uint8_t *out = (uint8_t *)array.items + array.n * key->size;
        size_t made = read_scalar(reader, key, item, out, &place);
        for (size_t j = 0; j < made; j++) conf_origin_add(reader->conf, out + j * key->size, true, place);
        array.n += made;
    }
    conf_items_free(key, conf_array_get(field)); /* the default */
    conf_array_set(field, array);
}

static void read_element(struct reader *reader, const struct conf_key *key, const config_setting_t *item,
                         void *base) {
    const struct conf_elements *elements = key->elements;
    struct conf_place place = place_of(reader, item);
    for (size_t i = 0; i < elements->n; i++) conf_default_set(&elements->keys[i], base);
    if (elements->plain && config_setting_type(item) == CONFIG_TYPE_STRING) {
        void *field = conf_key_field(&elements->keys[0], base);
        if (read_scalar(reader, &elements->keys[0], item, field, &place))
            conf_origin_add(reader->conf, field, false, place);
    } else if (config_setting_is_group(item)) {
        char *prefix = NULL;
        if (asprintf(&prefix, "%s.", key->path) < 0) abort();
        struct level level = {elements->keys, elements->n, base, prefix};
        read_group(reader, &level, item);
        free(prefix);
        for (size_t i = 0; i < elements->n && !reader->partial; i++)
            if (elements->keys[i].required && !config_setting_get_member(item, conf_key_name(&elements->keys[i])))
                conf_mistake(&reader->mistakes, place, "%s: this group needs the key \"%s\"", key->path,
                             conf_key_name(&elements->keys[i]));
    } else {
        wrong_type(reader, key, item);
    }
    conf_origin_add(reader->conf, base, true, place);
}

static void read_elements(struct reader *reader, const struct conf_key *key, const config_setting_t *setting,
                          void *field) {
    bool plain_one = key->elements->plain && config_setting_type(setting) == CONFIG_TYPE_STRING;
    if (!is_list(setting) && !plain_one) {
        wrong_type(reader, key, setting);
        return;
    }
    struct conf_array array = {NULL, plain_one ? 1 : (size_t)config_setting_length(setting)};
    array.items = conf_alloc(array.n, key->size);
    for (size_t i = 0; i < array.n; i++) {
        const config_setting_t *item = plain_one ? setting : config_setting_get_elem(setting, (unsigned)i);
        read_element(reader, key, item, (uint8_t *)array.items + i * key->size);
    }
    conf_array_set(field, array);
}

static void read_key(struct reader *reader, const struct conf_key *key, const config_setting_t *setting, void *base) {
    void *field = conf_key_field(key, base);
    struct conf_place place = place_of(reader, setting);
    size_t mistakes = reader->mistakes.n;
    conf_origin_add(reader->conf, field, false, place);
    if (key->kind == CONF_KIND_GROUPS) {
        read_elements(reader, key, setting, field);
    } else if (key->many) {
        read_items(reader, key, setting, field);
    } else {
        _Alignas(16) uint8_t value[sizeof(struct netaddr) + 16] = {0};
        if (read_scalar(reader, key, setting, value, &place)) {
            if (conf_kind_is_text(key->kind)) conf_text_free(field);
            memcpy(field, value, key->size);
        }
    }
    if (reader->mistakes.n > mistakes) conf_origin_mark_faulty(reader->conf, field);
}

/* Whether `prefix` with `name` is a group that keys live in. */
static bool is_group_name(const struct level *level, const char *path) {
    size_t n = strlen(path);
    for (size_t i = 0; i < level->n; i++)
        if (strncmp(level->keys[i].path, path, n) == 0 && level->keys[i].path[n] == '.') return true;
    return false;
}

struct guess {
    size_t distance;
    char *word;
};

/* Keeps the nearest word; one wrong letter in three is still a typing mistake, and so is a last part left away. */
static void guess_word(struct guess *guess, const char *name, const char *candidate, size_t n, const char *word,
                       size_t n_word) {
    char *copy = conf_copy(candidate, n);
    size_t written = strlen(name);
    bool begun = n > written && copy[written] == '_' && strncmp(name, copy, written) == 0;
    size_t distance = begun ? 1 : word_distance(name, copy);
    if (distance < guess->distance && distance <= (written < 6 ? 1 : written / 3) && distance < n) {
        free(guess->word);
        guess->word = conf_copy(word, n_word);
        guess->distance = distance;
    }
    free(copy);
}

static void unknown_key(struct reader *reader, const struct level *level, const config_setting_t *setting) {
    const char *name = config_setting_name(setting);
    struct guess guess = {SIZE_MAX, NULL};
    size_t skip = strlen(level->prefix);
    for (size_t i = 0; i < level->n; i++) {
        const char *path = level->keys[i].path;
        if (strncmp(path, level->prefix, skip) != 0) continue;
        size_t n = strcspn(path + skip, ".");
        guess_word(&guess, name, path + skip, n, path + skip, n);
    }
    /* The right word in the wrong group? */
    bool here = guess.word;
    for (size_t i = 0; i < conf_keys_n && !here; i++)
        if (strcmp(conf_key_name(&conf_keys[i]), name) == 0)
            guess_word(&guess, name, name, strlen(name), conf_keys[i].path, strlen(conf_keys[i].path));
    conf_mistake(&reader->mistakes, place_of(reader, setting), "unknown key \"%s%s\"%s%s%s", level->prefix, name,
                 guess.word ? " (did you mean \"" : "", guess.word ? guess.word : "", guess.word ? "\"?)" : "");
    free(guess.word);
}

static void read_member(struct reader *reader, const struct level *level, const config_setting_t *setting) {
    char *path = NULL;
    const struct conf_key *key = NULL;
    if (config_setting_type(setting) == CONFIG_TYPE_NONE) return; /* cut off by a syntax error */
    if (asprintf(&path, "%s%s", level->prefix, config_setting_name(setting)) < 0) abort();
    for (size_t i = 0; i < level->n && !key; i++)
        if (strcmp(level->keys[i].path, path) == 0) key = &level->keys[i];
    if (key) {
        read_key(reader, key, setting, level->base);
    } else if (!is_group_name(level, path)) {
        unknown_key(reader, level, setting);
    } else if (!config_setting_is_group(setting)) {
        conf_mistake(&reader->mistakes, place_of(reader, setting), "%s: expected a group { ... }, found %s", path,
                     found_type(setting));
    } else {
        char *prefix = NULL;
        if (asprintf(&prefix, "%s.", path) < 0) abort();
        struct level inner = {level->keys, level->n, level->base, prefix};
        read_group(reader, &inner, setting);
        free(prefix);
    }
    free(path);
}

static void read_group(struct reader *reader, const struct level *level, const config_setting_t *group) {
    for (int i = 0; i < config_setting_length(group); i++)
        read_member(reader, level, config_setting_get_elem(group, (unsigned)i));
}

/* libconfig takes relative @include names from the working directory; ours count from the file's own. */
static bool parse(struct reader *reader, config_t *tree) {
    const char *path = reader->scan.path, *slash = strrchr(path, '/');
    bool parsed = false;
    int here = -1;
    FILE *file = fopen(path, "re");
    if (!file) {
        conf_mistake(&reader->mistakes, (struct conf_place){path, 0}, "cannot be read: %s", strerror(errno));
        return false;
    }
    if (slash) {
        char *directory = conf_copy(path, (size_t)(slash - path) + 1);
        here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (here < 0 || chdir(directory) < 0)
            conf_mistake(&reader->mistakes, (struct conf_place){path, 0}, "cannot enter %s: %s", directory,
                         strerror(errno));
        free(directory);
    }
    parsed = config_read(tree, file) == CONFIG_TRUE;
    if (here >= 0) {
        if (fchdir(here) < 0)
            conf_mistake(&reader->mistakes, (struct conf_place){path, 0}, "cannot return: %s", strerror(errno));
        close(here);
    }
    fclose(file);
    return parsed;
}

static void syntax_error(struct reader *reader, const config_t *tree) {
    char *name = config_error_file(tree) ? conf_scan_name(&reader->scan, config_error_file(tree)) : NULL;
    struct conf_place place = {name ? name : reader->scan.path, (unsigned)config_error_line(tree)};
    const char *text = config_error_text(tree);
    /* Told already, with both places. */
    if (!(text && strcmp(text, "duplicate setting name") == 0 && reader->mistakes.n))
        conf_mistake(&reader->mistakes, place, "%s, here or just before", text ? text : "syntax error");
    free(name);
}

static void read_tree(struct reader *reader) {
    config_t tree;
    config_init(&tree);
    struct level top = {conf_keys, conf_keys_n, reader->conf, ""};
    reader->partial = !parse(reader, &tree);
    if (reader->partial) syntax_error(reader, &tree);
    read_group(reader, &top, config_root_setting(&tree));
    config_destroy(&tree);
    if (reader->partial) return;
    conf_default_derive(reader->conf);
    conf_check(reader->conf, reader->scan.path, &reader->mistakes);
}

static void keep_includes(struct conf *conf, const struct conf_scan *scan) {
    for (size_t i = 1; i < scan->n; i++) {
        const char *name = scan->files[i].name;
        size_t same = 0;
        while (same < conf->n_includes && strcmp(conf->includes[same], name) != 0) same++;
        if (same < conf->n_includes) continue;
        conf->includes = conf_grow(conf->includes, conf->n_includes, sizeof *conf->includes);
        conf->includes[conf->n_includes++] = conf_copy(name, strlen(name));
    }
}

struct conf *conf_read(const char *path, FILE *errors) {
    struct reader reader = {.conf = conf_alloc(1, sizeof(struct conf)), .scan = {.path = path}};
    reader.scan.mistakes = &reader.mistakes;
    for (size_t i = 0; i < conf_keys_n; i++) conf_default_set(&conf_keys[i], reader.conf);
    if (conf_scan_read(&reader.scan)) read_tree(&reader);
    keep_includes(reader.conf, &reader.scan);
    if (reader.mistakes.n) {
        conf_mistakes_print(&reader.mistakes, errors);
        conf_free(reader.conf);
        reader.conf = NULL;
    }
    conf_mistakes_free(&reader.mistakes);
    conf_scan_free(&reader.scan);
    return reader.conf;
}
