/* command.c - the table of subcommands, and the way from argv to one of them.
 * Runs in: the command line. Trusts: whoever may run it. Never: reads a byte from the network. */
#include "server/process/command.h"

#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/command_sendmail.h"
#include "server/process/version.h"

#include <errno.h>

static const struct command_option serve_options[] = {
    {"json-log", NULL, "log lines as JSON", false},
    {"background", NULL, "return when the server is ready", false},
    {"pid-file", "FILE", "write the master's process id there", false},
    {"announce", "FILE", "print this file when ready", false},
#ifdef GATEPOST_FAULTS
    {"faults", "FILE", "go wrong as this script says; see gatepost-faults(5)", false},
#endif
    {NULL, NULL, NULL, false},
};

static const struct command_option check_options[] = {
    {"quiet", NULL, "only mistakes and warnings", false},
    {"dns", NULL, "look into DNS and certificates instead, and print lines for the zone", false},
    {"server", "ADDRESS:PORT", "with --dns: the name server to ask; else those of delivery.resolv_file", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option autoconfig_options[] = {
    {"thunderbird", NULL, "the file that Thunderbird and others look for, config-v1.1.xml", false},
    {"autodiscover", NULL, "the answer of Autodiscover that Outlook looks for", false},
    {"mobileconfig", NULL, "a profile for Apple's Mail", false},
    {"srv", NULL, "lines of the domain's zone", false},
    {"page", NULL, "a page in HTML for people, with Outlook's dialogs", false},
    {"user", "ADDRESS", "for this user; else for whoever reads it", false},
    {"domain", "DOMAIN", "a local domain; else the user's, or the first", false},
    {"log-on-using", "NAME", "another name for sending: see user login add", false},
    {"pop-first", NULL, "send without login after fetching; needs grant.enabled", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option explain_options[] = {
    {"ip", "ADDRESS", "the client's address; not for the role local", false},
    {"role", "ROLE", "mx, submission, submissions or local", true},
    {"system-user", "NAME", "who on this host sends, for the role local", false},
    {"tls", NULL, "TLS is on", false},
    {"auth", "USER", "the client has logged in as this user", false},
    {"granted", "USER", "this user has a live grant for the address", false},
    {"from", "SENDER", "as in MAIL FROM; '' is the empty sender", true},
    {"to", "RECIPIENT", "as in RCPT TO", true},
    {NULL, NULL, NULL, false},
};

static const struct command_option password_options[] = {
    {"password-stdin", NULL, "read the password from standard input, one line", false},
    {"generate", NULL, "draw one and print it, this once", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option import_options[] = {
    {"format", "FORMAT", "dovecot, htpasswd or shadow; else it is guessed", false},
    {"domain", "DOMAIN", "of names without one; else the only local domain", false},
    {"scheme", "SCHEME", "of hashes without {SCHEME}; else CRYPT", false},
    {"replace", NULL, "give users who exist the file's passwords", false},
    {"dry-run", NULL, "check everything, change nothing", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option user_export_options[] = {
    {"format", "FORMAT", "dovecot, which it is unless told", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option app_options[] = {
    {"name", "NAME", "what the device is called, to revoke it by", true},
    {"scope", "SCOPE", "smtp or pop3: it is good for that alone", false},
    {"expires", "WHEN", "an age from now, or a day, at whose end: 90d, 2027-01-31", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option revoke_options[] = {
    {"name", "NAME", "the device", true},
    {NULL, NULL, NULL, false},
};

static const struct command_option quota_options[] = {
    {"app-password", "NAME", "limits of this app password, which counts for its user all the same", false},
    {"separate-login", "NAME", "of this name to log on with", false},
    {"messages-per-hour", "NUMBER", "in place of quota.messages_per_hour; \"default\": as that says", false},
    {"messages-per-day", "NUMBER", "likewise", false},
    {"recipients-per-hour", "NUMBER", "recipients elsewhere", false},
    {"recipients-per-day", "NUMBER", "likewise", false},
    {"suspend-after", "NUMBER", "refusals over quota in an hour; 0: never", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option alias_options[] = {
    {"forward", NULL, "targets may be elsewhere: their mail leaves this host", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option throttle_list_options[] = {
    {"held", NULL, "only those that are held", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option throttle_forget_options[] = {
    {"all", NULL, "all networks and accounts", false},
    {NULL, NULL, NULL, false},
};

#define FILTERS                                                                                                      \
    {"from", "SENDER", "messages from this sender", false}, {"to", "RECIPIENT", "to this recipient", false},         \
        {"destination", "NAME", "to this destination, or all of a kind: maildir, lmtp, smarthost...", false},        \
        {"older-than", "AGE", "that came longer ago: 90s, 30m, 2h, 3d, 1w", false},                                  \
        {"younger-than", "AGE", "that came since", false}, {                                                         \
        "state", "STATE", "ready, deferred, active, held or reporting", false                                        \
    }

static const struct command_option list_options[] = {
    FILTERS,
    {"limit", "NUMBER", "at most so many", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option stats_options[] = {
    FILTERS,
    {"by", "WHAT", "destination (unless told), sender, domain (of recipients) or age", false},
    {"limit", "NUMBER", "at most so many rows", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option selection_options[] = {
    FILTERS,
    {"all", NULL, "all messages", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option restore_options[] = {
    {"force", NULL, "move users and queue that are there aside", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option remove_options[] = {
    FILTERS,
    {"all", NULL, "all messages", false},
    {"bounce", NULL, "tell their senders, as when delivery fails", false},
    {NULL, NULL, NULL, false},
};

static const struct command_option export_options[] = {
    FILTERS,
    {"all", NULL, "all messages", false},
    {"directory", "DIRECTORY", "where to; it is made with mode 0700 if it is not there", true},
    {NULL, NULL, NULL, false},
};

/* clang-format off */
#define PASSWORD_HELP \
    "A password has at least 8 characters. It is asked for without echo unless an option says otherwise, and\n" \
    "kept only as an Argon2id hash and keys for SCRAM. With --generate the password alone goes to standard output.\n"

#define FILTER_HELP \
    "Options together mean messages that fit all of them. SENDER and RECIPIENT are an address, @domain for all\n" \
    "in a domain, <> for the empty sender, or a pattern with * and ?. Recipients that have the message already do\n" \
    "not count.\n"

static const struct command commands[] = {
    {.name = "serve", .help = "Run the server in the foreground", .options = serve_options, .run = command_run_serve,
     .more = "SIGHUP reads configuration and certificates again, SIGTERM lets sessions finish.\n"},
    {.name = "check", .help = "Validate the configuration and print it as it takes effect", .options = check_options,
     .json = true, .run = command_run_check,
     .more = "With --dns: MX, PTR, SPF, DKIM, DMARC, SRV, certificates. Exit code 1 when one of them is wrong.\n"},
    {.name = "explain", .help = "Say which rule would answer this client, sender and recipient, and why",
     .options = explain_options, .asks = ROLE_AUTH, .json = true, .run = command_run_ask,
     .more = "A running server answers as it would decide now, else stored users and configuration do.\n"},

    {.name = "user add", .help = "Add a user, who is a full address in a local domain",
     .operands = {{.name = "login"}}, .options = password_options, .more = PASSWORD_HELP, .asks = ROLE_AUTH,
     .json = true, .run = command_run_password},
    {.name = "user list", .help = "List users", .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "user show", .help = "Show one user", .operands = {{.name = "login"}}, .asks = ROLE_AUTH, .json = true,
     .tall = true, .run = command_run_ask},
    {.name = "user passwd", .help = "Give a user a new password", .operands = {{.name = "login"}},
     .options = password_options, .more = PASSWORD_HELP, .asks = ROLE_AUTH, .json = true,
     .run = command_run_password},
    {.name = "user app-password add", .help = "Draw a password for one device, and print it, this once",
     .operands = {{.name = "login"}}, .options = app_options, .asks = ROLE_AUTH, .json = true,
     .run = command_run_password,
     .more = "It opens the user's account beside the password of the mailbox. A user may have 32 of them.\n"},
    {.name = "user app-password list", .help = "List app passwords: scope, last use, expiry",
     .operands = {{.name = "login", .optional = true}}, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "user app-password revoke", .help = "Take one away, at once", .operands = {{.name = "login"}},
     .options = revoke_options, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},

    {.name = "user login add", .help = "Give a user a further name to log on with, with a password of its own",
     .operands = {{.name = "login"}, {.name = "name"}}, .options = password_options, .asks = ROLE_AUTH, .json = true,
     .run = command_run_password,
     .more = "NAME is a full address of any domain, or a word of at most 64 letters, digits and . _ - + which is no\n"
             "user's or alias's name before the @. Mail programs call it \"log on using\".\n" PASSWORD_HELP},
    {.name = "user login passwd", .help = "Give it a new password",
     .operands = {{.name = "login"}, {.name = "name"}}, .options = password_options, .more = PASSWORD_HELP,
     .asks = ROLE_AUTH, .json = true, .run = command_run_password},
    {.name = "user login list", .help = "List such names", .operands = {{.name = "login", .optional = true}},
     .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "user login remove", .help = "Take one away, at once", .operands = {{.name = "login"}, {.name = "name"}},
     .asks = ROLE_AUTH, .json = true, .run = command_run_ask},

    {.name = "user spa enable", .help = "Let a user log in by Secure Password Authentication (NTLM)",
     .operands = {{.name = "login"}}, .options = password_options, .asks = ROLE_AUTH, .json = true,
     .run = command_run_password,
     .more = "The user gets a password as by user passwd, and an NT hash of it, which is as good as the password\n"
             "for who gets hold of it and of the key. It takes effect where auth.ntlm is true.\n" PASSWORD_HELP},
    {.name = "user spa disable", .help = "Take the NT hashes away, at once", .operands = {{.name = "login"}},
     .asks = ROLE_AUTH, .json = true, .run = command_run_ask},

    {.name = "user enable", .help = "Let a disabled or suspended user log in and send again",
     .operands = {{.name = "login"}}, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "user disable", .help = "Refuse a user's logins and mail at once; mail to the user still arrives",
     .operands = {{.name = "login"}}, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "user quota", .help = "Give a user, or one app password, limits of its own; without options show them",
     .operands = {{.name = "login"}}, .options = quota_options, .asks = ROLE_AUTH, .json = true,
     .run = command_run_ask},
    {.name = "user remove", .help = "Remove a user; delivered mail stays", .operands = {{.name = "login"}},
     .asks = ROLE_AUTH, .json = true, .run = command_run_ask},

    {.name = "user import", .help = "Add the users of a password file, all or none, with the hashes that it holds",
     .operands = {{.name = "file"}}, .options = import_options, .asks = ROLE_AUTH, .json = true,
     .run = command_run_import,
     .more = "FILE is Dovecot's passwd-file, of htpasswd or like /etc/shadow; - is standard input. Each hash is\n"
             "replaced by one of ours when its user has logged in. Locked users are added disabled; users without a\n"
             "password are skipped.\n"},
    {.name = "user export", .help = "Write all users as lines of Dovecot's passwd-file, hashes included",
     .operands = {{.name = "file", .optional = true}}, .options = user_export_options, .asks = ROLE_AUTH,
     .run = command_run_user_export,
     .more = "To FILE, which may not be there yet, with mode 0600; else to standard output. A ! locks who is\n"
             "disabled.\n"},

    {.name = "alias add", .help = "Deliver mail for an address to others; *@domain catches all",
     .operands = {{.name = "address"}, {.name = "target", .many = true}}, .options = alias_options, .asks = ROLE_AUTH,
     .json = true, .run = command_run_ask},
    {.name = "alias list", .help = "List aliases", .operands = {{.name = "address", .optional = true}},
     .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "alias remove", .help = "Remove an alias, or some of its targets",
     .operands = {{.name = "address"}, {.name = "target", .optional = true, .many = true}}, .asks = ROLE_AUTH,
     .json = true, .run = command_run_ask},

    {.name = "sender allow", .help = "Let a user send as an address that is not the user's own",
     .operands = {{.name = "login"}, {.name = "address"}}, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "sender deny", .help = "Take that back", .operands = {{.name = "login"}, {.name = "address"}},
     .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "sender list", .help = "List such permissions", .operands = {{.name = "login", .optional = true}},
     .asks = ROLE_AUTH, .json = true, .run = command_run_ask},

    {.name = "throttle list", .help = "List networks and accounts where logins failed, and which of them are held",
     .options = throttle_list_options, .asks = ROLE_AUTH, .json = true, .run = command_run_ask,
     .more = "Held: logins from the network are refused; the account opens for networks that it was used from.\n"},
    {.name = "throttle forget", .help = "Let a network or an account off at once",
     .operands = {{.name = "who", .optional = true}}, .options = throttle_forget_options, .asks = ROLE_AUTH,
     .json = true, .run = command_run_ask,
     .more = "WHO is an address, a network as in 192.0.2.0/24, or a login.\n"},
    {.name = "quota list", .help = "List who sent how much, what is left, and when it is free again",
     .operands = {{.name = "login", .optional = true}}, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},

    {.name = "grant list", .help = "List who may send without AUTH, having checked the mail, and for how long",
     .operands = {{.name = "login", .optional = true}}, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "grant add", .help = "Let a user send from an address, as if it had just checked its mail from there",
     .operands = {{.name = "login"}, {.name = "address"}}, .asks = ROLE_AUTH, .json = true, .run = command_run_ask},
    {.name = "grant revoke", .help = "End a user's grants, or the one for an address, at once",
     .operands = {{.name = "login"}, {.name = "address", .optional = true}}, .asks = ROLE_AUTH, .json = true,
     .run = command_run_ask},
    {.name = "grant flush", .help = "End all grants at once", .asks = ROLE_AUTH, .json = true,
     .run = command_run_ask},

    {.name = "queue list", .help = "List messages that wait", .operands = {{.name = "id", .optional = true}},
     .options = list_options, .more = FILTER_HELP, .asks = ROLE_QUEUE, .json = true, .lines = true,
     .run = command_run_ask},
    {.name = "queue stats", .help = "Count messages that wait, by destination, sender, domain or age",
     .options = stats_options, .more = FILTER_HELP, .asks = ROLE_QUEUE, .json = true, .lines = true,
     .run = command_run_ask},
    {.name = "queue show", .help = "Show one message: envelope, attempts, what went wrong",
     .operands = {{.name = "id"}}, .asks = ROLE_QUEUE, .json = true, .tall = true, .lines = true,
     .run = command_run_ask},
    {.name = "queue cat", .help = "Print the octets of one message", .operands = {{.name = "id"}},
     .asks = ROLE_QUEUE, .run = command_run_cat,
     .more = "As they will be delivered, but for Return-Path and Delivered-To. On a terminal control characters\n"
             "show as \\xHH; into a file or a pipe they go as they are.\n"},
    {.name = "queue retry", .help = "Try to deliver now, and not when it is due",
     .operands = {{.name = "id", .optional = true}}, .options = selection_options, .more = FILTER_HELP,
     .asks = ROLE_QUEUE, .json = true, .lines = true, .run = command_run_selected},
    {.name = "queue hold", .help = "Do not try to deliver until released; a held message does not expire",
     .operands = {{.name = "id", .optional = true}}, .options = selection_options, .more = FILTER_HELP,
     .asks = ROLE_QUEUE, .json = true, .lines = true, .run = command_run_selected},
    {.name = "queue release", .help = "Let held messages go on with their schedule",
     .operands = {{.name = "id", .optional = true}}, .options = selection_options, .more = FILTER_HELP,
     .asks = ROLE_QUEUE, .json = true, .lines = true, .run = command_run_selected},
    {.name = "queue remove", .help = "Remove messages; their senders are not told unless --bounce is given",
     .operands = {{.name = "id", .optional = true}}, .options = remove_options, .more = FILTER_HELP,
     .asks = ROLE_QUEUE, .json = true, .lines = true, .run = command_run_selected},
    {.name = "queue export", .help = "Write messages to a directory: ID.eml, and ID.json, what queue show says",
     .operands = {{.name = "id", .optional = true}}, .options = export_options, .more = FILTER_HELP,
     .asks = ROLE_QUEUE, .json = true, .lines = true, .run = command_run_export},

    {.name = "autoconfig", .help = "Print what mail programs are to be set to, in one of five forms",
     .options = autoconfig_options, .run = command_run_autoconfig,
     .more = "One of the first five options says which. See gatepost-autoconfig(8).\n"},

    {.name = "sendmail", .help = "Send the message on standard input, as cron, PHP and scripts call sendmail",
     .run = command_run_sendmail, .more = "Takes the options of sendmail, see gatepost-sendmail(8).\n"},

    {.name = "status", .help = "Show versions, processes, logins and queue", .json = true, .run = command_run_status,
     .more = "Exit code 69 when the server is not running.\n"},
    {.name = "backup", .help = "Write users, queue and configuration to a directory, new or empty",
     .operands = {{.name = "directory"}}, .run = command_run_backup,
     .more = "Works with and without a running server. Keep it as safe as the original: it holds hashes and mail.\n"},
    {.name = "restore", .help = "Put users and queue of a backup into an empty state directory",
     .operands = {{.name = "directory"}}, .options = restore_options, .run = command_run_restore,
     .more = "No server may run. Every file is checked before anything is touched; nothing is ever deleted.\n"},
};
/* clang-format on */

const struct command_table command_table = {commands, sizeof commands / sizeof commands[0]};

int command_run_ask(const struct command_line *line) {
    enum print_form form = line->command->tall ? PRINT_TALL : PRINT_TABLE;
    if (line->json) form = line->command->lines ? PRINT_LINES : PRINT_JSON;
    return command_ask(line, form);
}

int command_main(int argc, char **argv) {
    struct command_line line;
    int own = command_sendmail_at(argc, argv);
    if (own >= 0) return command_sendmail(argc - own, argv + own, own ? argv : NULL);
    int code = command_parse(&command_table, argc, argv, &line, stderr);
    if (code) return code;
    if (line.version)
        printf("gatepost %s (OpenSSL %s)\n", version_gatepost(), version_openssl_linked());
    else if (line.help)
        command_help(&command_table, &line, stdout);
    else
        code = line.command->run(&line);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "gatepost: cannot write the output: %s\n", strerror(errno));
        return CONTROL_FAILED;
    }
    return code;
}
