"""sendmail.py - `gatepost sendmail` as cron, PHP, git and others call it, as several users of this host, against a
real server: who may send as whom, exit codes, and that a code that is not 0 means that nothing was sent."""
import concurrent.futures
import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (GATEPOST, PATIENCE, SANITIZED, Server, Skipped, body, case, equal, eventually,  # noqa: E402
                     expect, main, marker)

OK, USAGE, DATAERR, NOUSER, UNAVAILABLE, TEMPFAIL, NOPERM = 0, 64, 65, 67, 69, 75, 77
WEB, MAPPED, OFF = "www-data", "games", "news"  # system users of any Debian: as itself, as bob, as who is disabled
_shared = []


def server():
    if not _shared:
        one = Server("sendmail", users=("alice", "bob", "eve"), config={
            "postmaster": "alice@example.test",
            "limits": {"message_size": "8M"},
            "local": {"users": [{"name": MAPPED, "login": "bob@example.test"},
                                {"name": OFF, "login": "eve@example.test"}]}})
        one.command("user", "disable", "eve@example.test")
        one.command("sender", "allow", "bob@example.test", "*@news.example")
        _shared.append(one)
    return _shared[0]


def become(user):
    """For a child; None: who runs the tests. A number is a uid without a name."""
    def drop():
        if user is None:
            return
        uid, gid = (user, user) if isinstance(user, int) else (pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if user is not None and os.geteuid() != 0:
        raise Skipped("only root may become another user")
    return drop


def run(argv, message, user, environment):
    done = subprocess.run(argv, input=message.encode() if isinstance(message, str) else message, capture_output=True,
                          timeout=PATIENCE * 2, preexec_fn=become(user), env=environment)
    done.error = done.stderr.decode("utf-8", "replace")
    return done


def sendmail(arguments, message="", user=WEB, at=None, want=OK):
    """Runs it and checks the exit code."""
    at = at or server()
    done = run([GATEPOST, "--config", at.config_path, "sendmail"] + arguments, message, user, at.environment)
    equal(done.returncode, want, "exit code of sendmail %s as %s (%r)" % (arguments, user, done.error))
    expect(bool(done.error) == (want != OK) or "-v" in arguments, "words on stderr: %r" % done.error)
    return done


def header(message, name):
    """Value of the field, unfolded; None when there is none, fails when there are several."""
    text = re.sub(rb"\r?\n[ \t]+", b" ", message.split(b"\n\n", 1)[0]).decode("utf-8", "replace")
    found = [line.split(":", 1)[1].strip() for line in text.splitlines()
             if line.lower().startswith(name.lower() + ":")]
    expect(len(found) < 2, "%d fields %s in %r" % (len(found), name, text))
    return found[0] if found else None


def arrives(login, mark, at=None):
    return (at or server()).message(login, mark).replace(b"\r\n", b"\n")


def nowhere(mark, at=None):
    """What was refused is with nobody, nor in the queue."""
    at = at or server()
    at.queue_empty()
    for login in ("alice", "bob", "capture"):
        expect(not [m for m in at.messages(login) if mark.encode() in m], "%s was delivered to %s" % (mark, login))


# ---- callers

@case("cron: to root, who has no mailbox, reaches the postmaster")
def cron():
    mark = marker()
    sendmail(["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"], user="root",
             message="From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@h> %s\nAuto-Submitted: auto-generated\n"
                     "X-Cron-Env: <SHELL=/bin/sh>\n\noutput\n.\nmore\r50%%\r100%%\n" % mark)
    got = arrives("alice", mark)
    equal(header(got, "From"), "root@example.test (Cron Daemon)", "From")
    equal(header(got, "To"), "root@example.test", "To")
    equal(header(got, "Return-Path"), "<root@example.test>", "Return-Path")
    expect(header(got, "Date") and header(got, "Message-ID"), "Date and Message-ID are added")
    expect(header(got, "Received").startswith("from root (user of this host) by mx.example.test with local id "),
           header(got, "Received"))
    expect(got.endswith(b"\noutput\n.\nmore\n50%\n100%\n"), "the job's output, with its progress as lines: %r" % got)
    server().log_has(r"connected .* client=local uid=0 role=local login=root@example.test")


@case("cron: of a user who has no mailbox, to itself")
def cron_user():
    mark = marker()
    sendmail(["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t"],
             "From: %s (Cron Daemon)\nTo: %s\nSubject: %s\n\nx\n" % (WEB, WEB, mark))
    equal(header(arrives("alice", mark), "To"), "www-data@example.test", "To")


@case("php: mail() as www-data")
def php():
    mark = marker()
    sendmail(["-t", "-i"], "To: bob@example.test\r\nSubject: %s\r\nFrom: Shop <shop@example.test>\r\n\r\nhello\r\n"
             % mark)
    got = arrives("bob", mark)
    equal(header(got, "Return-Path"), "<www-data@example.test>", "Return-Path")
    equal(header(got, "From"), "Shop <shop@example.test>", "From")


@case("php: -f another's address is refused with the reply, and nothing is sent")
def php_refused():
    for sender in ("other@example.test", "bob@example.test", "www-data@elsewhere.example"):
        mark = marker()
        done = sendmail(["-t", "-i", "-f" + sender], "To: bob@example.test\nSubject: %s\n\nx\n" % mark, want=NOPERM)
        expect(re.match(r"sendmail: sender %s: 550 5\.7\.1 .*\(sender-not-yours\)\n$" % sender, done.error), done.error)
        server().log_has(r"mail-refused .*client=local rule=sender-not-yours from=<%s> login=www-data@example.test"
                         % sender)
        nowhere(mark)


@case("git send-email: -i -f, --, recipients")
def git():
    mark = marker()
    sendmail(["-i", "-f", "bob@example.test", "--", "alice@example.test", "Bob <bob@example.test>"], user=MAPPED,
             message="From: Bob <bob@example.test>\nTo: alice@example.test\nCc: list@elsewhere.example\nSubject: %s\n\n"
                     "---\n.\n..\n" % mark)
    for login in ("alice", "bob"):
        got = arrives(login, mark)
        equal(header(got, "Return-Path"), "<bob@example.test>", "Return-Path")
        expect(header(got, "Received").startswith("from games (user of this host) by "), header(got, "Received"))
        expect(got.endswith(b"\n---\n.\n..\n"), "dots stay: %r" % got)
    expect(not [m for m in server().messages("capture") if mark.encode() in m], "Cc counts without -t")


@case("git send-email itself")
def git_itself():
    if not os.access("/usr/lib/git-core/git-send-email", os.X_OK):
        raise Skipped("git send-email is not installed")
    mark, at = marker(), server()
    script, patch = at.directory + "/sendmail-for-git", at.directory + "/0001-x.patch"
    with open(script, "w") as file:
        file.write("#!/bin/sh\nexec %s --config %s sendmail \"$@\"\n" % (GATEPOST, at.config_path))
    os.chmod(script, 0o755)
    with open(patch, "w") as file:
        file.write("From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Root <root@example.test>\n"
                   "Date: Mon, 23 Nov 2026 00:00:00 +0000\nSubject: [PATCH] %s\n\n---\n a | 1 +\n\n" % mark)
    done = run(["git", "-c", "user.name=Root", "-c", "user.email=root@example.test",
                "-c", "sendemail.sendmailcmd=" + script, "send-email", "--quiet", "--confirm=never",
                "--suppress-cc=all", "--from=root@example.test", "--envelope-sender=root@example.test",
                "--to=alice@example.test", "--cc=bob@example.test", patch], None, "root",
               dict(at.environment, HOME=at.directory))
    if "Compilation failed" in done.error:
        raise Skipped("git send-email lacks a Perl module")
    equal(done.returncode, 0, "git send-email (%s)" % done.error)
    arrives("alice", mark)
    arrives("bob", mark)


@case("by the name sendmail, and mailq")
def by_name():
    at, mark = server(), marker()
    environment = dict(at.environment, GATEPOST_CONFIG=at.config_path)
    for name in ("sendmail", "mailq", "newaliases"):
        with contextlib.suppress(FileExistsError):
            os.symlink(GATEPOST, at.directory + "/" + name)
    done = run([at.directory + "/sendmail", "bob@example.test"], "Subject: %s\n\nx\n" % mark, WEB, environment)
    equal((done.returncode, done.error), (OK, ""), "sendmail")
    arrives("bob", mark)
    at.queue_empty()
    equal(run([at.directory + "/mailq"], None, None, environment).returncode, OK, "mailq")
    equal(run([at.directory + "/newaliases"], None, None, environment).returncode, OK, "newaliases")
    done = run([at.directory + "/mailq"], None, WEB, environment)
    expect(done.returncode != OK and done.error, "mailq is not for everybody")


@case("an SMTP dialogue with -bs")
def dialogue():
    mark = marker()
    lines = ["EHLO client", "MAIL FROM:<alice@example.test>", "MAIL FROM:<www-data@example.test>",
             "RCPT TO:<bob@example.test>", "DATA", "Subject: " + mark, "", "hi", ".", "QUIT"]
    for end in ("\n", "\r\n"):
        mark = marker()
        lines[5] = "Subject: " + mark
        done = sendmail(["-bs"], end.join(lines + [""]))
        replies = [line for line in done.stdout.decode().splitlines() if line[3:4] != "-"]
        equal([line[:3] for line in replies], ["220", "250", "550", "250", "250", "354", "250", "221"], "replies")
        expect("(sender-not-yours)" in replies[2], replies[2])
        arrives("bob", mark)


# ---- whom and as whom

@case("senders: the mapped user's own and allowed ones, root any of ours, nobody another's")
def senders():
    rows = [(MAPPED, None, OK), (MAPPED, "bob", OK), (MAPPED, "Bob <BOB@example.test>", OK), (MAPPED, "x@news.example", OK),
            (MAPPED, "", OK), (MAPPED, "<>", OK), (MAPPED, "games@example.test", NOPERM), (MAPPED, "alice", NOPERM),
            (WEB, "www-data", OK), (WEB, "root", NOPERM), (WEB, "a b <c@@d>", DATAERR), (WEB, "a,b", DATAERR),
            ("root", "anybody@example.test", OK), ("root", "x@elsewhere.example", NOPERM), (OFF, None, NOPERM),
            (54321, None, NOPERM), (54321, "root@example.test", NOPERM)]
    for user, sender, want in rows:
        done = sendmail((["-f", sender] if sender is not None else []) + ["alice"], "x\n", user, want=want)
        if user == OFF:
            expect("(account-suspended)" in done.error, done.error)
        if user == 54321:
            expect("knows no user" in done.error, done.error)


@case("recipients: an alias for root; aliases; unknown; from strangers root alone")
def recipients():
    at, mark = server(), marker()
    at.command("alias", "add", "root@example.test", "bob@example.test")
    try:
        sendmail(["root"], "Subject: %s\n\nx\n" % mark)
        arrives("bob", mark)
    finally:
        at.command("alias", "remove", "root@example.test")
    mark = marker()
    done = sendmail(["alice", "nobody-of-that-name", "bob"], "Subject: %s\n\nx\n" % mark, want=NOUSER)
    expect("nobody-of-that-name@example.test: 550 5.1.1 " in done.error, done.error)
    nowhere(mark)  # all or nothing
    with contextlib.closing(at.dial()) as wire:
        wire.ehlo()
        wire.want("MAIL FROM:<x@client.example>", 250)
        wire.want("RCPT TO:<root@example.test>", 250)
        wire.want("RCPT TO:<www-data@example.test>", 550, "5.1.1")
        wire.want("RSET", 250)
        wire.want("MAIL FROM:<>", 250)  # what comes back to it
        wire.want("RCPT TO:<www-data@example.test>", 250)


@case("-t: recipients of header and command line, Bcc goes, Resent- alone where there is one")
def from_header():
    mark = marker()
    sendmail(["-t", "alice"], "To: bob, x@elsewhere.example\nBcc: y@elsewhere.example\nSubject: %s\n\nx\n" % mark)
    for login in ("alice", "bob"):
        equal(header(arrives(login, mark), "Bcc"), None, "Bcc")
    eventually(lambda: len([m for m in server().messages("capture") if mark.encode() in m]) == 2, "two foreign copies")
    mark = marker()
    sendmail(["-t"], "From: a@b.example\nTo: x@elsewhere.example\nResent-To: bob\nResent-From: www-data\nSubject: %s\n\nx\n"
             % mark)
    equal(header(arrives("bob", mark), "Resent-To"), "bob@example.test", "Resent-To")
    server().queue_empty()
    expect(not [m for m in server().messages("capture") if mark.encode() in m], "To counts beside Resent-To")
    sendmail(["-t"], "Subject: to nobody\n\nx\n", want=DATAERR)


@case("-F: the name in a From that is missing")
def full_name():
    for name, found in (("Cron Daemon", '"Cron Daemon" <www-data@example.test>'),
                        ("J\u00f6rg", "=?UTF-8?B?SsO2cmc=?= <www-data@example.test>")):
        mark = marker()
        sendmail(["-F", name, "bob"], "Subject: %s\n\nx\n" % mark)
        equal(header(arrives("bob", mark), "From"), found, "From")


@case("relay: the rule in log and explain, and without local.relay none")
def relay():
    at, mark = server(), marker()
    sendmail(["x@elsewhere.example"], "Subject: %s\n\nx\n" % mark)
    arrives("capture", mark)
    at.log_has(r"recipient-accepted .*client=local rule=relay-local to=<x@elsewhere.example> login=www-data@")
    words = ["explain", "--role", "local", "--system-user", WEB, "--from", "www-data@example.test", "--to",
             "x@elsewhere.example"]
    rows = at.json(*words)
    equal([r["rule"] for r in rows if r["kind"] == "reply"], ["sender-accepted", "relay-local"], "explain")
    rows = at.json(*(words[:6] + ["alice@example.test"] + words[7:]))
    equal([r["rule"] for r in rows if r["kind"] == "reply"], ["sender-not-yours"], "explain")
    with Server("sendmail-no-relay", config={"local": {"relay": False}}) as closed:
        done = sendmail(["x@elsewhere.example"], "x\n", at=closed, want=NOPERM)
        expect("(relay-denied)" in done.error and "local.relay" in done.error, done.error)
        sendmail(["alice"], "x\n", at=closed)
        equal([r["rule"] for r in closed.json(*words) if r["kind"] == "reply"], ["sender-accepted", "relay-denied"],
              "explain without local.relay")


@case("reload: another mapping counts at once")
def mapping_reloaded():
    with Server("sendmail-reload") as at:
        sendmail(["-f", "alice", "bob"], "x\n", at=at, want=NOPERM)
        at.config["local"] = {"users": [{"name": WEB, "login": "alice@example.test"}]}
        at.write_config()
        expect(at.reload(), "the reload")
        sendmail(["-f", "alice", "bob"], "x\n", at=at)
        sendmail(["-f", WEB, "bob"], "x\n", at=at, want=NOPERM)
        at.config["local"]["submit"] = False
        at.write_config()
        expect(not at.reload(), "submit.sock cannot go while the server runs")


# ---- what is in a message

@case("octets: 8 bit, long lines, dots, line ends, a message without header")
def octets():
    mark = marker()
    text = "\u00e4\u20ac\U0001f600" * 400 + "\n" + "word " * 500 + "\n"
    sendmail(["-i", "bob"], "Subject: %s\n\n%s" % (mark, text))
    got = arrives("bob", mark).split(b"\n\n", 1)[1]
    equal(got.replace(b"\n", b"").decode(), text.replace("\n", ""), "text without line ends")
    expect(max(len(line) for line in got.split(b"\n")) <= 998, "a line is too long")
    mark = marker()
    sendmail(["bob"], "%s\n..x\n.\nnot sent\n" % mark)
    equal(arrives("bob", mark).split(b"\n\n", 1)[1], ("%s\n..x\n" % mark).encode(), "up to the lone dot")


@case("octets: a NUL is refused")
def nul():
    mark = marker()
    done = sendmail(["bob"], "Subject: %s\n\na\0b\n" % mark, want=DATAERR)
    expect("NUL" in done.error, done.error)
    nowhere(mark)


@case("octets: SMTPUTF8, DSN options")
def extensions():
    mark = marker()
    sendmail(["-N", "success,failure", "-R", "hdrs", "-V", "id=1 2", "-f", "", "b\u00fccher@elsewhere.example"],
             "Subject: %s\n\nx\n" % mark, user=MAPPED)
    arrives("capture", mark)


@case("size: megabytes, and too many of them")
def size():
    mark = marker()
    line = "0123456789" * 7 + "\n"
    sendmail(["bob"], "Subject: %s\n\n%s" % (mark, line * 90000))
    equal(len(arrives("bob", mark).split(b"\n\n", 1)[1]), 71 * 90000, "octets")
    done = sendmail(["bob"], line * 130000, want=UNAVAILABLE)
    expect("(message-too-large)" in done.error, done.error)


# ---- when it cannot be

@case("usage: what is not for sendmail")
def usage():
    for arguments in ([], ["-bd"], ["-bv", "bob"], ["-q30m"], ["-Z", "bob"], ["-f"]):
        sendmail(arguments, want=USAGE)
    sendmail(["--", "-f@example.test"], "x\n", want=NOUSER)  # behind -- an address is one


@case("no server: 75, in words, at once or after a crash")
def no_server():
    with Server("sendmail-none") as at:
        mark = marker()
        sendmail(["bob"], "Subject: %s\n\nx\n" % mark, at=at)
        equal(at.stop(), 0, "stop")
        done = sendmail(["bob"], "x\n", at=at, want=TEMPFAIL)
        expect("not running; nothing was sent" in done.error, done.error)
        done = run([GATEPOST, "--config", at.config_path, "sendmail", "-bs"], "QUIT\n", WEB, at.environment)
        equal(done.returncode, TEMPFAIL, "-bs")
        expect(done.stdout.startswith(b"421 4.3.2 "), done.stdout)
        os.unlink(at.run + "/submit.sock")
        sendmail(["bob"], "x\n", at=at, want=TEMPFAIL)
        at.start()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:  # who comes while it is started again waits
            at.stop()
            waiting = pool.submit(sendmail, ["bob"], "Subject: second\n\nx\n", WEB, at)
            at.start()
            waiting.result()
        arrives("bob", "second", at)


@case("a socket that the caller may not use: 77")
def permission():
    with Server("sendmail-closed") as at:
        os.chmod(at.run + "/submit.sock", 0o600)
        done = sendmail(["bob"], "x\n", at=at, want=NOPERM)
        expect("Permission denied" in done.error, done.error)


@case("a full disk: 75")
def full():
    with Server("sendmail-full", config={"queue": {"reserve": "1024G"}}) as at:
        mark = marker()
        done = sendmail(["bob"], "Subject: %s\n\nx\n" % mark, at=at, want=TEMPFAIL)
        expect(" 452 4.3.1 " in done.error, done.error)
        nowhere(mark, at)


@case("auth is killed: 75 or sent, never both lost and 0")
def killed():
    with Server("sendmail-killed") as at:
        sent = []
        for i in range(12):
            mark = marker()
            if i % 4 == 1:
                for pid in at.pids("auth" if i % 8 == 1 else "queue"):
                    os.kill(pid, signal.SIGKILL)
            done = run([GATEPOST, "--config", at.config_path, "sendmail", "bob"], "Subject: %s\n\nx\n" % mark, WEB,
                       at.environment)
            expect(done.returncode in (OK, TEMPFAIL), "exit code %d (%s)" % (done.returncode, done.error))
            if done.returncode == OK:
                sent.append(mark)
        expect(len(sent) >= 6, "only %d of 12 were sent" % len(sent))
        for mark in sent:
            arrives("bob", mark, at)


@case("many at once")
def many():
    marks = [marker() for _ in range(8 if SANITIZED else 40)]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        for one in [pool.submit(sendmail, ["bob"], "Subject: %s\n\nx\n" % mark) for mark in marks]:
            one.result()
    for mark in marks:
        arrives("bob", mark)


@case("the net's connections do not keep cron's mail out")
def busy():
    with Server("sendmail-busy", config={"limits": {"connections": 4}}) as at:
        wires = [at.dial() for _ in range(4)]
        mark = marker()
        sendmail(["bob"], "Subject: %s\n\nx\n" % mark, at=at)
        arrives("bob", mark, at)
        for wire in wires:
            wire.close()


if __name__ == "__main__":
    main(parallel=2)
