/* command_queue.c - queue commands that need more than a question and a table.
 * Runs in: the command line. Trusts: the queue process for the shape of its rows. Never: touches all messages unless
 * told so, writes over a file. */
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "store/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_selection(const struct command_line *line) {
    static const char *const names[] = {"id", "from", "to", "destination", "older-than", "younger-than", "state"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (command_value(line, names[i])) return true;
    return false;
}

/* Either some or all. */
static bool chooses(const struct command_line *line) {
    bool all = command_value(line, "all");
    if (all != has_selection(line)) return true;
    fprintf(stderr, "gatepost: '%s' needs a message's id, or options that choose messages; or else --all\n",
            line->command->name);
    return false;
}

int command_run_selected(const struct command_line *line) {
    return chooses(line) ? command_run_ask(line) : CONTROL_USAGE;
}

int command_run_cat(const struct command_line *line) {
    return command_ask(line, isatty(STDOUT_FILENO) ? PRINT_SHOWN : PRINT_OCTETS);
}

/* ---- queue export */

/* The two files of one message, while its rows come in. */
struct export {
    struct command_print print;
    int directory;
    const char *path;
    char name[MESSAGE_NAME_SIZE];
    FILE *mail, *facts;
    uint64_t bytes, written;
    int code;
};

static void stop(struct export *export, const char *extension, int code) {
    fprintf(stderr, "gatepost: %s/%s%s: %s\n", export->path, export->name, extension, strerrordesc_np(errno));
    export->code = code;
    export->print.stop = true;
}

static void file_name(const struct export *export, const char *extension, char out[32]) {
    snprintf(out, 32, "%s%s", export->name, extension);
}

static FILE *make_file(struct export *export, const char *extension) {
    char name[32];
    file_name(export, extension, name);
    int fd = openat(export->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) stop(export, extension, errno == EEXIST ? CONTROL_EXISTS : CONTROL_FAILED);
    if (!file && fd >= 0) close(fd);
    return file;
}

static void remove_file(struct export *export, const char *extension) {
    char name[32];
    file_name(export, extension, name);
    (void)unlinkat(export->directory, name, 0);
}

static bool close_file(FILE **file) {
    bool sound = !*file || !ferror(*file);
    if (*file && fclose(*file) != 0) sound = false;
    *file = NULL;
    return sound;
}

/* Files that are not whole go again. */
static void end_message(struct export *export) {
    if (!export->mail && !export->facts) return;
    bool sound = close_file(&export->mail);
    sound = close_file(&export->facts) && sound;
    if (!sound) stop(export, "", CONTROL_FAILED);
    if (sound && export->written == export->bytes) return;
    remove_file(export, ".eml");
    remove_file(export, ".json");
}

static void begin_message(struct export *export, struct span name) {
    uint64_t number;
    if (!message_number(name, &number)) {
        fputs("gatepost: the server's answer is malformed\n", stderr);
        export->print.stop = true;
        export->code = CONTROL_FAILED;
        return;
    }
    message_name(number, export->name);
    export->written = 0;
    if (!(export->mail = make_file(export, ".eml"))) return;
    if (!(export->facts = make_file(export, ".json"))) remove_file(export, ".eml");
}

static uint64_t bytes_of(struct span row) {
    struct wire w = wire_over(row);
    while (w.rest.n && !w.bad) {
        char name[32];
        wire_get_text(&w, name, sizeof name);
        uint8_t kind = wire_get_u8(&w);
        bool text = kind == CONTROL_TEXT || kind == CONTROL_LINE;
        uint64_t value = text ? wire_get_span(&w, FRAME_BODY_MAX).n : wire_get_u64(&w);
        if (strcmp(name, "bytes") == 0 && !w.bad) return value;
    }
    return UINT64_MAX;
}

/* A message's row, its recipients' and its octets are for the files; what else comes is to be printed. */
static bool take(void *context, struct span row) {
    struct export *export = context;
    struct wire w = wire_over(row);
    char name[32];
    wire_get_text(&w, name, sizeof name);
    bool begins = strcmp(name, "id") == 0, octets = strcmp(name, "line") == 0;
    if (!begins && !octets && strcmp(name, "recipient") != 0) {
        end_message(export);
        return false;
    }
    (void)wire_get_u8(&w);
    struct span value = wire_get_span(&w, FRAME_BODY_MAX);
    if (begins) {
        end_message(export);
        if (!export->print.stop) begin_message(export, value);
        export->bytes = bytes_of(row);
    }
    if (!octets && export->facts) {
        (void)!command_print_row_json(row, export->facts);
        fputc('\n', export->facts);
    } else if (octets && export->mail) {
        export->written += fwrite(value.p, 1, value.n, export->mail);
    }
    return true;
}

static int export_into(const struct command_line *line, const struct conf *conf, struct export *export) {
    export->path = command_value(line, "directory");
    (void)mkdir(export->path, 0700); /* that it is there shows below */
    export->directory = open(export->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (export->directory < 0) {
        fprintf(stderr, "gatepost: %s: %s\n", export->path, strerrordesc_np(errno));
        return CONTROL_FAILED;
    }
    command_print_open(&export->print, stdout, line->json ? PRINT_LINES : PRINT_TABLE);
    export->print.take = take, export->print.context = export;
    struct command_value values[COMMAND_VALUES];
    size_t n = 0;
    for (size_t i = 0; i < line->n; i++)
        if (strcmp(line->values[i].name, "directory") != 0) values[n++] = line->values[i];
    int code = command_ask_print(line, conf, values, n, &export->print);
    end_message(export); /* one that broke off */
    close(export->directory);
    return export->code ? export->code : code;
}

int command_run_export(const struct command_line *line) {
    struct export export = {0};
    if (!chooses(line)) return CONTROL_USAGE;
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int code = export_into(line, conf, &export);
    conf_free(conf);
    return code;
}
