"""import.py - users who come from another server: their hashes are checked as they are, here and by a real Dovecot, and
replaced at the first login; and what is wrong in a file is told by its line. IMPORT_USERS (10) in the large case."""
import base64
import ctypes
import hashlib
import itertools
import os
import re
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import dovecot  # noqa: E402
from harness import Server, case, equal, eventually, expect, main  # noqa: E402

USERS = int(os.environ.get("IMPORT_USERS", "10"))
AT_ONCE = 8

crypt_library = ctypes.CDLL("libcrypt.so.1")
crypt_library.crypt.restype = ctypes.c_char_p


def crypt(password, setting):
    found = crypt_library.crypt(password.encode(), setting.encode()).decode()
    expect(not found.startswith("*"), "crypt(3) does not know " + setting)
    return found


def salt(n, alphabet="./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"):
    return "".join(alphabet[octet % 64] for octet in os.urandom(n))


def ssha512(password):
    grain = os.urandom(8)
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(password.encode() + grain).digest() + grain).decode()


def pbkdf2(password):
    grain = salt(16)
    key = hashlib.pbkdf2_hmac("sha1", password.encode(), grain.encode(), 5000)
    return "{PBKDF2}$1$%s$5000$%s" % (grain, key.hex())


# What Dovecot, htpasswd and Debian's passwd write, cheap ones of each.
FORMATS = {
    "SSHA512": ssha512,
    "PBKDF2": pbkdf2,
    "BLF-CRYPT": lambda password: "{BLF-CRYPT}" + crypt(password, "$2y$04$" + salt(21) + "u"),
    "SHA512-CRYPT": lambda password: crypt(password, "$6$" + salt(16)),
    "YESCRYPT": lambda password: crypt(password, "$y$j75$" + salt(21) + "."),
}


def imported(server, text, *options, check=True):
    return server.command("user", "import", "-", *options, stdin=text, check=check)


def exported(server):
    """login -> the password field of user export."""
    return dict(line.split(":")[:2] for line in server.command("user", "export").stdout.splitlines())


def accepts(server, login, password):
    wire = server.dial("submissions")
    wire.ehlo()
    code = wire.auth(login, password).code
    wire.quit()
    expect(code in (235, 535), "AUTH was answered with %d" % code)
    return code == 235


def all_at_once(work, items):
    """work(item) for each, in some threads; the first failure is raised."""
    waiting, failures = iter(items), []
    lock = threading.Lock()

    def run():
        while not failures:
            with lock:
                item = next(waiting, None)
            if item is None:
                return
            try:
                work(item)
            except Exception as failure:  # raised below
                failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def replaced(server):
    return all(field.startswith("{ARGON2ID}$argon2id$") for field in exported(server).values())


def people():
    """login, password, hash of USERS users, of each format in turn."""
    formats = itertools.cycle(FORMATS.items())
    found = []
    for number, (_, make) in zip(range(USERS), formats):
        password = "secret of %06d %s" % (number, salt(4))
        found.append(("user%06d@example.test" % number, password, make(password)))
    return found


@case("users of five formats log in, and have our own hash afterwards; Dovecot agrees before and after")
def _():
    everybody = people()
    text = "".join("%s:%s:::::\n" % (login, field) for login, _, field in everybody)
    pairs = [(login, password) for login, password, _ in everybody]
    wrong = [(login, password[:-1]) for login, password in pairs]
    why = dovecot.missing()
    if why:
        print("    without Dovecot: " + why)
    with Server("import", users=()) as server:
        began = time.monotonic()
        table = imported(server, text).stdout
        took = time.monotonic() - began
        for name in FORMATS:
            expect(re.search(r"^ *%d +imported +%s$" % (USERS // len(FORMATS), name), table, re.M), table)
        equal(len(exported(server)), USERS, "users")
        first = pairs[:len(FORMATS)]
        for login, password in wrong[:len(FORMATS)]:
            expect(not accepts(server, login, password), "a wrong password was accepted before: " + login)
        reader = dovecot.Reader(server.state + "/auth/dovecot/dovecot.db") if not why else None
        try:
            if reader:
                equal(reader.check(pairs), [], "whom Dovecot refuses before")
                equal(sorted(reader.check(wrong)), [login for login, _ in wrong], "whom Dovecot refuses with a wrong password")
            entered = time.monotonic()
            all_at_once(lambda pair: expect(accepts(server, *pair), "refused: " + pair[0]), pairs)
            entered = time.monotonic() - entered
            eventually(lambda: replaced(server), "our own hash of everybody")
            for login, password in wrong[:len(FORMATS)]:
                expect(not accepts(server, login, password), "a wrong password is accepted afterwards: " + login)
            for login, password in first:
                expect(accepts(server, login, password), "refused the second time: " + login)
            if reader:
                slices = [pairs[i::AT_ONCE] for i in range(AT_ONCE)]
                refused = []
                all_at_once(lambda some: refused.extend(reader.check(some)), slices)
                equal(refused, [], "whom Dovecot refuses afterwards")
                login, old = pairs[-1]
                expect(reader.accepts(login, old) and not reader.accepts(login, "another one"), "Dovecot, the last user")
                server.command("user", "passwd", login, "--password-stdin", stdin="another one\n")
                expect(reader.accepts(login, "another one"), "Dovecot does not know the new password")
                expect(not reader.accepts(login, old), "Dovecot takes the old password")
                server.command("user", "disable", login)
                expect(not reader.accepts(login, "another one"), "Dovecot takes a user who is disabled")
        finally:
            if reader:
                reader.__exit__(*sys.exc_info())
        if USERS > 10:
            print("    %d users: imported in %.1f s, logged in within %.0f s" % (USERS, took, entered))


@case("dear hashes, and those of other libraries, are checked by the confined verifier")
def _():
    # 64 MiB of yescrypt; and what crypt(3) does not make
    fields = {
        "yescrypt": crypt("the password", "$y$jBT$" + salt(21) + "."),
        "bcrypt": crypt("the password", "$2b$12$" + salt(21) + "u"),
        "rounds": crypt("the password", "$6$rounds=100000$" + salt(16)),
        "apr1": "$apr1$Qz.pTweM$R/l61otOFqw49IGbl/Oj30",
        "lanes": "$argon2id$v=19$m=19456,t=2,p=4$c29tZXNhbHRzb21lc2FsdA$qlEcnBD/yELbohXjw8u5Pj+v65UYbi2GsI1p2s41VK8",
    }
    words = dict.fromkeys(fields, "the password")
    words["apr1"] = words["lanes"] = "correct horse battery"
    with Server("dearest", users=()) as server:
        imported(server, "".join("%s:%s\n" % pair for pair in fields.items()), "--domain", "example.test")
        for name in fields:
            expect(not accepts(server, name + "@example.test", "the passworD"), "wrong and accepted: " + name)
            expect(accepts(server, name + "@example.test", words[name]), "refused: " + name)
        found = [line for line in server.log().splitlines() if "signal=" in line]
        expect(not found, "a process was ended by a signal: %s" % found)


@case("what is wrong is told by line, and nothing is imported")
def _():
    good = FORMATS["SSHA512"]("x")
    rows = [
        ("a:%s\nb\n" % good, "2: it is no line of a password file"),
        ("a:%s\nb@elsewhere.test:%s\n" % (good, good), "2: b@elsewhere.test: its domain is not in local_domains"),
        ("a:%s\n\n# no\nA@example.test:%s\n" % (good, good), "4: a@example.test is on line 1 already"),
        ("a:%s\nb:$2y$17$%s\n" % (good, "." * 53), "2: b: the hash is bcrypt of a cost over 14"),
        ("a:%s\nalice:%s\n" % (good, good), "2: alice@example.test: there is a user of this name; --replace"),
        ("a:%s\ninfo:%s\n" % (good, good), "2: info@example.test: there is an alias of this name"),
        ("a:%s\nb:dzVogfhxVg1bY\n" % good, "2: b: the hash is of the old DES crypt"),
        ("a:%s\nb:{CRAM-MD5}00\n" % good, "2: b: the hash is of a scheme that is not checked here"),
        ("a:%s\nb:secret\n" % good, "2: b: the hash is none of crypt(3)"),
    ]
    with Server("wrong", users=("alice",), start=False) as server:
        server.command("alias", "add", "info@example.test", "alice@example.test")
        for text, wanted in rows:
            done = imported(server, text, check=False)
            equal(done.returncode, 5, "the exit code of %r" % text)
            expect("standard input:" + wanted in done.stderr, done.stderr)
            expect("nothing was imported" in done.stderr, done.stderr)
        equal(list(exported(server)), ["alice@example.test"], "users")
        done = imported(server, "".join(text for text, _ in rows), check=False)
        for wanted in ("2: it is no line", "b@elsewhere.test: its domain", "alias of this name", "over 14"):
            expect(wanted in done.stderr, "not all at once: " + done.stderr)
        for options, code in ((("--format", "passwd"), 2), (("--scheme", "SSHA3"), 2)):
            equal(imported(server, "a:" + good, *options, check=False).returncode, code, "the exit code of %r" % (options,))
        equal(server.command("user", "import", server.directory + "/none", check=False).returncode, 1, "without a file")


@case("formats are guessed; the locked are disabled, those without a password skipped")
def _():
    shadow = "".join([
        "root:%s:19000:0:99999:7:::\n" % crypt("x", "$6$" + salt(16)),
        "daemon:*:19000:0:99999:7:::\n",
        "ann:%s:19000:0:99999:7:::\n" % crypt("of ann", "$y$j75$" + salt(21) + "."),
        "bob:!%s:19000:0:99999:7:::\n" % crypt("of bob", "$6$" + salt(16)),
        "zoe:!:19000:0:99999:7:::\n"])
    with Server("guess", users=(), start=False) as server:
        table = imported(server, shadow, "--dry-run").stdout
        expect("nothing was changed" in table and exported(server) == {}, table)
        table = imported(server, shadow).stdout
        for wanted in (r"1 +imported +YESCRYPT", r"1 +imported, disabled +SHA512-CRYPT", r"1 +skipped +.*administrator",
                       r"1 +skipped +has no password, but a \*", r"1 +skipped +is locked, without", "2 new, 0 replaced"):
            expect(re.search(wanted, table), "no %r in:\n%s" % (wanted, table))
        users = exported(server)
        equal(sorted(users), ["ann@example.test", "bob@example.test"], "users")
        expect(users["bob@example.test"].startswith("!{CRYPT}$6$"), users["bob@example.test"])
        htpasswd = "cat:{SHA}%s\n" % base64.b64encode(hashlib.sha1(b"of cat").digest()).decode()
        imported(server, htpasswd)
        imported(server, "dog:%s\n" % hashlib.sha1(b"of dog").hexdigest(), "--scheme", "SHA1", "--format", "dovecot")
        imported(server, "eve:{PLAIN}of eve\n")
        expect(exported(server)["eve@example.test"].startswith("{ARGON2ID}"), "a password is stored as it is")
        server.start()
        for name in ("ann", "cat", "dog", "eve"):
            expect(accepts(server, name + "@example.test", "of " + name), "refused: " + name)
        expect(not accepts(server, "bob@example.test", "of bob"), "a locked user logs in")
        imported(server, "bob:%s\n" % ssha512("new of bob"), "--replace")
        expect(not accepts(server, "bob@example.test", "new of bob"), "an import enables whom it disabled")
        server.command("user", "enable", "bob@example.test")
        expect(accepts(server, "bob@example.test", "new of bob"), "refused: bob")


@case("a dear hash makes refusals slow: the log says so, and it ends when the hash is replaced")
def _():
    grain = salt(16)
    dear = hashlib.pbkdf2_hmac("sha1", b"dear", grain.encode(), 1500000).hex()

    def refusal(server):
        began = time.monotonic()
        expect(not accepts(server, "nobody@example.test", "%s" % began), "nobody logs in")
        return time.monotonic() - began
    with Server("dear", config={"throttle": {"enabled": False}}) as server:
        expect("event=failures-slow" not in server.log(), "there is none yet")
        imported(server, "dear@example.test:{PBKDF2}$1$%s$1500000$%s\n" % (grain, dear))
        ms = int(server.log_has(r"level=warning process=auth event=failures-slow ms=(\d+)")[1])
        slow = refusal(server)
        expect(slow * 1000 >= ms - 100, "a refusal took %.2f s, and %d ms were told" % (slow, ms))
        expect(accepts(server, "dear@example.test", "dear"), "the user's login")
        eventually(lambda: refusal(server) < slow / 2, "refusals are as fast as before", 90)
        equal(server.log().count("event=failures-slow"), 1, "lines")


@case("what one server exports another one imports, and Dovecot reads")
def _():
    with Server("from", users=("alice", "bob"), start=False) as one, Server("to", users=(), start=False) as other:
        imported(one, "".join("%s:%s\n" % (name.lower(), make("of all")) for name, make in FORMATS.items()))
        one.command("user", "disable", "ssha512@example.test")
        path = one.directory + "/export"
        one.command("user", "export", path)
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "the mode of the file")
        equal(one.command("user", "export", path, check=False).returncode, 4, "over a file that is there")
        other.command("user", "import", path)
        equal(exported(other), exported(one), "what was exported")
        why = dovecot.missing()
        if why:
            print("    without Dovecot: " + why)
            return
        with open(path) as file, dovecot.PasswdFile(file.read()) as reader:
            for name in FORMATS:
                equal(reader.accepts(name.lower() + "@example.test", "of all"), name != "SSHA512", "Dovecot, " + name)
            expect(reader.accepts("alice@example.test", one.password), "Dovecot refuses alice")


if __name__ == "__main__":
    main()
