"""credentials.py - what users log in with, through the command line: app passwords, separate names, SPA; what is shown of
them, as tables and as JSON; exit codes; with a server and without; and that every change counts at once."""
import contextlib
import hashlib
import json
import os
import re
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attempts import Attempt, connect  # noqa: E402
from harness import Server, case, equal, eventually, expect, main  # noqa: E402

ALICE, BOB = "alice@example.test", "bob@example.test"
# Of "imported password", by openssl passwd -6.
SHA512 = "$6$saltsalt$.rFR2iVs7QZc0gIYOerC2/DBXneRLDlF9UicI1RaQi7nHzU3RvCnaPjzJVC14zMd882FykpHjqF7Z.pavHvek0"
_server = []


def server():
    if not _server:
        _server.append(Server("credentials"))
    return _server[0]


@contextlib.contextmanager
def stand_alone():
    with Server("no-server", start=False) as one:
        yield one


def refused(one, code, *words, says="", stdin=None):
    done = one.command(*words, stdin=stdin, check=False)
    equal(done.returncode, code, "exit code of %s (%s)" % (" ".join(words), done.stderr.strip()))
    expect(says in done.stderr, "%s: %r does not say %r" % (" ".join(words), done.stderr, says))
    return done


def outcome(one, user, password, mechanism="PLAIN"):
    """The code that AUTH is answered with."""
    wire = one.dial("submissions")
    wire.ehlo()
    code = wire.auth(user, password, mechanism).code
    wire.close()
    return code


def ended(wire):
    """Whether the session was ended: 421, and no more."""
    line = wire.line()
    return line is not None and line.startswith("421 ") and wire.closed()


def app_password(one, user, name, *options):
    """A new one: printed once, and nothing else with it."""
    text = one.command("user", "app-password", "add", user, "--name", name, *options).stdout
    expect(re.fullmatch(r"[a-km-np-z2-9]{5}(-[a-km-np-z2-9]{5}){3}\n", text), "an app password is printed as %r" % text)
    return text.strip()


def dovecot(one):
    """What Dovecot reads: login -> password."""
    with contextlib.closing(sqlite3.connect("file:%s/auth/dovecot/dovecot.db?mode=ro" % one.state, uri=True)) as database:
        return dict(database.execute("SELECT username, password FROM users"))


def database(one, statement, *values):
    with contextlib.closing(sqlite3.connect(one.state + "/auth/gatepost.db")) as opened, opened:
        return opened.execute(statement, values).fetchall()


# ---- app passwords

@case("app passwords: one opens the account beside the others, until it is revoked")
def _():
    phone, tablet = app_password(server(), ALICE, "phone"), app_password(server(), ALICE, "tablet")
    for password in (phone, tablet, Server.password):
        for mechanism in ("PLAIN", "LOGIN"):
            equal(outcome(server(), ALICE, password, mechanism), 235, "AUTH " + mechanism)
    equal(outcome(server(), BOB, phone), 535, "AUTH of another user with it")
    equal(outcome(server(), ALICE, phone.replace("-", "")), 535, "AUTH without its hyphens")
    wire = server().login("submissions", ALICE, phone)
    equal(wire.mail(ALICE, BOB, b"Subject: x\r\n\r\n").code, 250, "mail by an app password")
    refused(server(), 4, "user", "app-password", "add", ALICE, "--name", "phone", says="revoke it first")
    other = server().login("submissions", ALICE, tablet)
    server().command("user", "app-password", "revoke", ALICE, "--name", "phone")
    equal(outcome(server(), ALICE, phone), 535, "AUTH with a revoked password")
    expect(ended(wire), "the session that came by the revoked password lives on")
    server().log_has("event=login-revoked .*login=alice@example.test")
    equal(other.ask("NOOP").code, 250, "the session of another device")
    equal(outcome(server(), ALICE, tablet), 235, "AUTH of another device")
    refused(server(), 3, "user", "app-password", "revoke", ALICE, "--name", "phone", says="no app password of this name")
    server().command("user", "app-password", "revoke", ALICE, "--name", "tablet")


@case("app passwords: scope, expiry and last use are shown and count")
def _():
    fetch = app_password(server(), BOB, "fetch", "--scope", "pop3", "--expires", "90d")
    send = app_password(server(), BOB, "send", "--scope", "smtp", "--expires", "2999-12-31")
    brief = app_password(server(), BOB, "brief", "--expires", "3s")
    rows = {row["name"]: row for row in server().json("user", "app-password", "list", BOB)}
    equal([rows[name]["scope"] for name in ("fetch", "send", "brief")], ["pop3", "smtp", "all"], "scopes")
    equal(rows["send"]["expires"], "3000-01-01T00:00:00.000Z", "expiry at the end of a day")
    expect(rows["fetch"]["expires"] > rows["fetch"]["created"], "expiry of an age: %r" % rows["fetch"])
    equal([row["last_used"] for row in rows.values()], [None] * 3, "last use before the first")
    equal(outcome(server(), BOB, fetch), 535, "AUTH with one for fetching")
    equal(outcome(server(), BOB, send), 235, "AUTH with one for sending")
    used = eventually(lambda: server().json("user", "app-password", "list", BOB)[2]["last_used"], "a last use is noted")
    expect(used >= rows["send"]["created"][:19], "last used %s, made %s" % (used, rows["send"]["created"]))
    eventually(lambda: outcome(server(), BOB, brief) == 535, "the brief one expires")
    equal(len(server().json("user", "app-password", "list", BOB)), 3, "what has expired is still shown")
    table = server().command("user", "app-password", "list").stdout
    expect(re.search(r"(?m)^LOGIN +NAME +SCOPE +CREATED +LAST_USED +EXPIRES$", table), table)
    expect(re.search(r"(?m)^bob@example\.test +fetch +pop3 +\S+Z +- +\S+Z$", table), table)
    for words, says in ((["--scope", "imap"], "smtp or pop3"), (["--expires", "yesterday"], "90d"),
                        (["--expires", "2001-01-01"], "is over")):
        refused(server(), 2, "user", "app-password", "add", BOB, "--name", "x", *words, says=says)
    refused(server(), 2, "user", "app-password", "add", BOB, says="needs --name NAME")
    refused(server(), 3, "user", "app-password", "add", "carol@example.test", "--name", "x", says="no such user")


@case("app passwords: JSON has the password once")
def _():
    done = server().command("user", "app-password", "add", ALICE, "--name", "für Ölpumpe \"7\"", "--json")
    row, = json.loads(done.stdout)
    equal((row["login"], row["name"], sorted(row)), (ALICE, 'für Ölpumpe "7"', ["login", "name", "password"]), "the answer")
    equal(outcome(server(), ALICE, row["password"]), 235, "AUTH with it")
    shown = server().command("user", "show", ALICE).stdout + server().command("user", "app-password", "list").stdout
    expect(row["password"] not in shown and "$" not in shown, "a secret is shown: " + shown)
    server().command("user", "app-password", "revoke", ALICE, "--name", 'für Ölpumpe "7"')


# ---- separate names

@case("logins: a separate name opens the account by its own password alone")
def _():
    server().command("user", "login", "add", ALICE, "Mailer.7", "--password-stdin", stdin="mailer's own\n")
    server().command("user", "login", "add", ALICE, "alice@elsewhere.example", "--password-stdin", stdin="elsewhere's own\n")
    for name, password, code in (("mailer.7", "mailer's own", 235), ("MAILER.7", "mailer's own", 235),
                                 ("alice@elsewhere.example", "elsewhere's own", 235), ("mailer.7", Server.password, 535),
                                 ("mailer.7", "elsewhere's own", 535), (ALICE, "mailer's own", 535),
                                 ("mailer.7@example.test", "mailer's own", 535)):
        equal(outcome(server(), name, password), code, "AUTH of %s with %s" % (name, password))
    wire = server().login("submissions", "mailer.7", "mailer's own")
    equal(wire.mail(ALICE, "u@foreign.example", b"Subject: x\r\n\r\n").code, 250, "mail as the user")
    equal(wire.ask("MAIL FROM:<%s>" % BOB).code, 550, "mail as another user")
    server().command("user", "login", "passwd", ALICE, "mailer.7", "--password-stdin", stdin="mailer's other\n")
    expect(ended(wire), "the session that came by the old password lives on")
    equal(outcome(server(), "mailer.7", "mailer's own"), 535, "AUTH with the old password")
    equal(outcome(server(), "mailer.7", "mailer's other"), 235, "AUTH with the new password")
    drawn = server().command("user", "login", "passwd", ALICE, "mailer.7", "--generate").stdout.strip()
    equal(outcome(server(), "mailer.7", drawn), 235, "AUTH with one that was drawn")
    rows = server().json("user", "login", "list", ALICE)
    equal([(r["login"], r["name"]) for r in rows], [(ALICE, "alice@elsewhere.example"), (ALICE, "mailer.7")], "names")
    server().command("user", "login", "remove", ALICE, "mailer.7")
    equal(outcome(server(), "mailer.7", drawn), 535, "AUTH by a name that was removed")
    server().command("user", "login", "remove", ALICE, "alice@elsewhere.example")


@case("logins: what SCRAM shows of a separate name does not lead to its user")
def _():
    server().command("user", "login", "add", ALICE, "scanner", "--password-stdin", stdin="scanner's own\n")

    def scram(name, password):
        wire = connect(server())
        found = Attempt(wire, "SCRAM-SHA-256", name, password)
        wire.close()
        return found
    for name, password in ((ALICE, Server.password), ("scanner", "scanner's own"), ("SCANNER", "scanner's own")):
        expect(isinstance(scram(name, password).words[-1], tuple), "%s is not let in by SCRAM" % name)
    expect(scram("scanner", Server.password).words[-1].startswith("535"), "by the mailbox password")
    salts = [scram(name, "x").salt for name in (ALICE, "scanner", "SCANNER", "nobody")]
    expect(salts[1] == salts[2] and len(set(salts)) == 3, "salts: %r" % salts)
    server().command("user", "disable", ALICE)
    equal(scram("scanner", "x").salt, salts[1], "salt while the user is disabled")
    server().command("user", "enable", ALICE)
    server().command("user", "login", "passwd", ALICE, "scanner", "--password-stdin", stdin="scanner's other\n")
    expect(isinstance(scram("scanner", "scanner's other").words[-1], tuple), "the new password")
    server().command("user", "login", "remove", ALICE, "scanner")


@case("logins: no name means two things")
def _():
    server().command("alias", "add", "info@example.test", BOB)
    for name in (BOB, "bob", "info@example.test", "info", "INFO"):
        refused(server(), 4, "user", "login", "add", ALICE, name, "--password-stdin", stdin="long enough\n", says="of this name")
    server().command("user", "login", "add", ALICE, "fax", "--generate")
    refused(server(), 4, "user", "login", "add", BOB, "fax", "--generate", says="another user has")
    refused(server(), 4, "user", "login", "add", ALICE, "fax", "--generate", says="already")
    refused(server(), 4, "user", "add", "fax@example.test", "--generate", says="logs on with this name")
    refused(server(), 4, "alias", "add", "fax@example.test", BOB, says="logs on with this name")
    refused(server(), 3, "user", "login", "passwd", BOB, "fax", "--generate", says="no such name")
    refused(server(), 3, "user", "login", "remove", BOB, "fax", says="no such name")
    refused(server(), 2, "user", "login", "add", ALICE, "two words", "--generate", says="a word of at most 64")
    refused(server(), 5, "user", "login", "add", ALICE, "short", "--password-stdin", stdin="short\n", says="8 characters")
    server().command("user", "login", "remove", ALICE, "fax")
    server().command("alias", "add", "fax@example.test", BOB)


# ---- users as a whole

@case("users: a new password, disabling and removal count at once, in dovecot.db too")
def _():
    one = server()
    login = one.add_user("dora", "first password")
    phone = app_password(one, login, "phone")
    expect(dovecot(one)[login].startswith("{ARGON2ID}$argon2id$"), "dovecot.db has %r" % dovecot(one)[login])
    by_mailbox, by_phone = one.login("submissions", login, "first password"), one.login("submissions", login, phone)
    before = dovecot(one)[login]
    one.command("user", "passwd", login, "--password-stdin", stdin="second password\n")
    expect(dovecot(one)[login] not in (before, None), "dovecot.db has the old password")
    expect(ended(by_mailbox), "the session that came by the old password lives on")
    equal(outcome(one, login, "first password"), 535, "AUTH with the old password")
    equal(outcome(one, login, "second password"), 235, "AUTH with the new password")
    equal(by_phone.ask("NOOP").code, 250, "the session of another credential")
    one.command("user", "disable", login)
    expect(login not in dovecot(one), "dovecot.db has a disabled user")
    equal(by_phone.ask("MAIL FROM:<%s>" % login).code, 550, "MAIL of a disabled user")
    for password in ("second password", phone):
        equal(outcome(one, login, password), 535, "AUTH of a disabled user")
    one.command("user", "enable", login)
    expect(login in dovecot(one), "dovecot.db has not the user who was enabled")
    equal(outcome(one, login, phone), 235, "AUTH of who was enabled")
    by_phone = one.login("submissions", login, phone)
    one.command("user", "remove", login)
    expect(ended(by_phone), "the session of a removed user lives on")
    expect(login not in dovecot(one), "dovecot.db has a removed user")
    equal(outcome(one, login, phone), 535, "AUTH of a removed user")


@case("users: show tells all about one, list who waits")
def _():
    one = server()
    login = one.add_user("erna", "erna's password")
    one.command("alias", "add", "e1@example.test", login)
    one.command("alias", "add", "e2@example.test", login)
    one.command("sender", "allow", login, "sales@elsewhere.example")
    one.command("user", "login", "add", login, "ernas-box", "--generate")
    app_password(one, login, "phone", "--scope", "smtp")
    user, *credentials = one.json("user", "show", login)
    equal((user["login"], user["enabled"], user["suspended"], user["spa"]), (login, True, None, False), "the user")
    equal((user["alias"], user["sender"]), (["e1@example.test", "e2@example.test"], "sales@elsewhere.example"), "addresses")
    told = [(c["credential"], c["name"], c["scope"], c["hash"], c["scram"], c["spa"]) for c in credentials]
    equal(told, [("mailbox", "", "all", "ARGON2ID", True, False), ("login", "ernas-box", "smtp", "ARGON2ID", True, False),
                 ("app", "phone", "smtp", "app", True, False)], "credentials")
    text = one.command("user", "show", login).stdout
    for pattern in (r"(?m)^suspended +-$", r"(?m)^credential +mailbox$", r"(?m)^name +phone$", r"(?m)^expires +-$"):
        expect(re.search(pattern, text), "%s is not in %s" % (pattern, text))
    row = [r for r in one.json("user", "list") if r["login"] == login][0]
    equal((row["password"], row["imported"], row["suspended"]), (True, False, False), "the row of the list")
    refused(one, 3, "user", "show", "nobody@example.test", says="no such user")
    one.command("user", "remove", login)


@case("users: an imported hash waits for the first login, and is counted until then")
def _():
    with stand_alone() as one:
        path = one.directory + "/htpasswd"
        with open(path, "w") as file:
            file.write("ida@example.test:%s\n" % SHA512)
        one.command("user", "import", path)
        text = one.command("user", "list").stdout
        expect("\n1 of 3 users wait" in text, text)
        equal([r["login"] for r in one.json("user", "list") if r["imported"]], ["ida@example.test"], "who waits")
        equal(one.command("user", "list", "--json").stderr, "", "stderr with --json")
        one.start()
        expect(dovecot(one)["ida@example.test"].startswith("{"), "a scheme in dovecot.db: %r" % dovecot(one))
        equal(outcome(one, "ida@example.test", "imported password"), 235, "AUTH by the imported hash")
        eventually(lambda: "wait" not in one.command("user", "list").stdout, "the hash is replaced")
        eventually(lambda: dovecot(one)["ida@example.test"].startswith("{ARGON2ID}"), "dovecot.db has the new hash")
        equal(outcome(one, "ida@example.test", "imported password"), 235, "AUTH by the new hash")


# ---- SPA

def enrolled(one, user):
    """Whether the user is, and credential -> whether it has an NT hash."""
    first, *rest = one.json("user", "show", user)
    return first["spa"], {(c["credential"], c["name"]): c["spa"] for c in rest}


@case("SPA: every password given while enrolled has an NT hash, and none is left afterwards")
def _():
    with stand_alone() as one:
        app_password(one, ALICE, "before")
        equal(enrolled(one, ALICE), (False, {("mailbox", ""): False, ("app", "before"): False}), "at first")
        refused(one, 5, "user", "spa", "enable", ALICE, "--password-stdin", stdin="short\n", says="8 characters")
        refused(one, 3, "user", "spa", "enable", "nobody@example.test", "--generate", says="no such user")
        one.command("user", "spa", "enable", ALICE, "--password-stdin", stdin=Server.password + "\n")
        phone = app_password(one, ALICE, "phone")
        one.command("user", "login", "add", ALICE, "mailer", "--generate")
        wanted = {("mailbox", ""): True, ("app", "before"): False, ("app", "phone"): True, ("login", "mailer"): True}
        equal(enrolled(one, ALICE), (True, wanted), "of who is enrolled")
        key = one.state + "/auth/ntlm.key"
        equal((os.stat(key).st_mode & 0o777, os.stat(key).st_size), (0o600, 32), "the key")
        sealed = [row[0] for row in database(one, "SELECT nt FROM credentials WHERE nt IS NOT NULL")]
        equal((len(sealed), {len(nt) for nt in sealed}, len(set(sealed))), (3, {56}, 3), "sealed hashes")
        drawn = one.command("user", "passwd", ALICE, "--generate").stdout.strip()
        equal(enrolled(one, ALICE), (True, wanted), "after another password")
        one.start()
        for password, code in ((drawn, 235), (phone, 235), (Server.password, 535)):
            equal(outcome(one, ALICE, password), code, "AUTH PLAIN")
        one.command("user", "spa", "disable", ALICE)
        equal(enrolled(one, ALICE), (False, dict.fromkeys(wanted, False)), "afterwards")
        equal(outcome(one, ALICE, drawn), 235, "AUTH PLAIN afterwards")
        one.stop()
        equal(database(one, "SELECT count(*) FROM credentials WHERE nt IS NOT NULL"), [(0,)], "NT hashes left")


# ---- without a server

@case("without a server: the same commands, and the server that starts has what they made")
def _():
    with stand_alone() as one:
        phone = app_password(one, ALICE, "phone")
        one.command("user", "login", "add", ALICE, "mailer", "--password-stdin", stdin="mailer's own\n")
        one.command("user", "passwd", BOB, "--password-stdin", stdin="bob's other\n")
        equal([r["name"] for r in one.json("user", "app-password", "list")], ["phone"], "the list")
        refused(one, 3, "user", "passwd", "nobody@example.test", says="no such user")
        refused(one, 3, "user", "app-password", "revoke", BOB, "--name", "phone")
        refused(one, 4, "user", "login", "add", BOB, "mailer", "--generate")
        one.start()
        for user, password, code in ((ALICE, phone, 235), ("mailer", "mailer's own", 235), (BOB, "bob's other", 235),
                                     (BOB, Server.password, 535)):
            equal(outcome(one, user, password), code, "AUTH of " + user)


# ---- what was there before

VERSION_1 = """
CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL DEFAULT 1,
 created INTEGER NOT NULL) STRICT;
CREATE TABLE credentials(id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
 kind TEXT NOT NULL CHECK(kind IN('argon2id','scram-sha-256','nt-sealed')), name TEXT NOT NULL,
 scope TEXT NOT NULL DEFAULT '', secret BLOB NOT NULL, created INTEGER NOT NULL, last_used INTEGER, expires INTEGER,
 UNIQUE(user_id, name, kind)) STRICT;
CREATE TABLE senders(user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, pattern TEXT NOT NULL,
 PRIMARY KEY(user_id, pattern)) STRICT, WITHOUT ROWID;
CREATE TABLE aliases(address TEXT NOT NULL, target TEXT NOT NULL, forward INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL,
 PRIMARY KEY(address, target)) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_target ON aliases(target);
CREATE TABLE grants(user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, address BLOB NOT NULL,
 created INTEGER NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY(address, user_id)) STRICT, WITHOUT ROWID;
CREATE TABLE quotas(user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, kind TEXT NOT NULL,
 begins INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY(user_id, kind)) STRICT, WITHOUT ROWID;
CREATE TABLE failures(bucket BLOB NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL,
 last INTEGER NOT NULL, PRIMARY KEY(bucket, kind)) STRICT, WITHOUT ROWID;
PRAGMA application_id=1735418211; PRAGMA user_version=1;
"""


def write_version_1(path, hashes):
    with contextlib.closing(sqlite3.connect(path)) as old, old:
        old.executescript(VERSION_1)
        for n, login in enumerate(sorted(hashes), 5):
            old.execute("INSERT INTO users(id, login, created) VALUES(?, ?, 1700000000)", (n, login))
            old.execute("INSERT INTO credentials(user_id, kind, name, secret, created) VALUES(?, 'argon2id', 'mailbox', ?,"
                        " 1700000000)", (n, hashes[login].encode()))
    os.chmod(path, 0o600)


def hashes_of(one):
    return dict(database(one, "SELECT u.login, hash FROM users u JOIN credentials c ON user_id = u.id AND kind = 'mailbox'"))


def check_version_1(one):
    """What version 1 knew is there; its users log in, and get keys for SCRAM."""
    user, mailbox = one.json("user", "show", ALICE)
    equal((user["created"], mailbox["scram"]), ("2023-11-14T22:13:20.000Z", False), "what version 1 knew")
    equal(database(one, "PRAGMA user_version"), [(3,)], "the version")
    one.start()
    equal(outcome(one, ALICE, Server.password), 235, "AUTH")
    eventually(lambda: one.json("user", "show", ALICE)[1]["scram"], "keys for SCRAM")
    equal(outcome(one, ALICE, Server.password), 235, "AUTH, once more")
    equal(outcome(one, BOB, "wrong"), 535, "AUTH with a wrong password")
    app_password(one, BOB, "phone")


@case("version 1: its users log in as before, and SCRAM keys come with the first login")
def _():
    with stand_alone() as one:
        hashes, path = hashes_of(one), one.state + "/auth/gatepost.db"
        status = os.stat(path)
        for name in (path, path + "-wal", path + "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        write_version_1(path, hashes)
        os.chown(path, status.st_uid, status.st_gid)
        check_version_1(one)


def rewrite_manifest(backup, path):
    """As if the file at `path` had been backed up as it is now."""
    with open(backup + "/" + path, "rb") as file:
        octets = file.read()
    with open(backup + "/manifest") as file:
        lines = file.read().splitlines()[:-1]
    sums = len(lines[-1].split(" ")[0]) // 2
    lines = ["%s %d %s" % (hashlib.blake2b(octets, digest_size=sums).hexdigest(), len(octets), path)
             if line.endswith(" " + path) else line for line in lines]
    text = "".join(line + "\n" for line in lines)
    with open(backup + "/manifest", "w") as file:
        file.write(text + "end %s\n" % hashlib.blake2b(text.encode(), digest_size=sums).hexdigest())


@case("version 1: a backup of its time is restored")
def _():
    with stand_alone() as one, Server("restored", users=(), start=False) as other:
        backup = one.directory + "/backup"
        one.command("backup", backup)
        os.unlink(backup + "/auth/gatepost.db")
        write_version_1(backup + "/auth/gatepost.db", hashes_of(one))
        rewrite_manifest(backup, "auth/gatepost.db")
        other.command("restore", "--force", backup)
        check_version_1(other)


@case("backup: credentials of every kind open the restored account, and no other does")
def _():
    with stand_alone() as one, Server("restored", users=(), start=False) as other:
        one.command("user", "spa", "enable", ALICE, "--password-stdin", stdin="her own word\n")
        phone, gone = app_password(one, ALICE, "phone"), app_password(one, ALICE, "gone")
        one.command("user", "login", "add", ALICE, "mailer", "--password-stdin", stdin="mailer's own\n")
        one.command("user", "app-password", "revoke", ALICE, "--name", "gone")
        one.command("backup", one.directory + "/backup")
        other.command("restore", "--force", one.directory + "/backup")
        equal(other.json("user", "show", ALICE), one.json("user", "show", ALICE), "what is shown of the user")
        with open(one.state + "/auth/ntlm.key", "rb") as old, open(other.state + "/auth/ntlm.key", "rb") as new:
            equal(new.read(), old.read(), "the key of NT hashes")
        other.start()
        for user, password, code in ((ALICE, phone, 235), (ALICE, "her own word", 235), ("mailer", "mailer's own", 235),
                                     (ALICE, gone, 535)):
            equal(outcome(other, user, password), code, "AUTH of " + user)
        other.command("user", "passwd", ALICE, "--generate")  # which needs the key


if __name__ == "__main__":
    main()
