"""life.py - start, reload, stop; processes that die; limits on connections; PROXY; mistakes in the configuration; what a
client says and what the log makes of it."""
import glob
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (BUILD, GATEPOST, HOSTNAME, PATIENCE, SANITIZED, Case, Failure, Server, Skipped, Wire, alive, body,  # noqa: E402
                     case, equal, eventually, expect, free_port, main, make_certificate, marker,
                     own_environment)


def opened(wire):
    wire.ehlo()
    wire.want("MAIL FROM:<a@b.example>", 250)
    wire.want("RCPT TO:<alice@example.test>", 250)
    return wire


def deliver(server, box="alice", role="mx", **dial):
    """A message of a stranger's from connection to mailbox."""
    mark = marker()
    wire = server.dial(role, **dial)
    wire.ehlo()
    equal(wire.mail("a@b.example", box + "@example.test", body(mark)).code, 250, "DATA")
    wire.quit()
    return server.message(box, mark)


def peer_certificate(server, role="submissions"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.ports[role]), PATIENCE) as plain:
        with context.wrap_socket(plain, server_hostname=HOSTNAME) as wrapped:
            return wrapped.getpeercert(binary_form=True)


# ---- start and stop

@case("life: serve --background returns when it serves, with a pid file")
def _():
    with Server("background", start=False) as server:
        pid_file = server.directory + "/pid"
        with open(server.log_path, "ab") as log:
            done = subprocess.run([GATEPOST, "--config", server.config_path, "serve", "--background", "--pid-file",
                                   pid_file], stdout=log, stderr=log, timeout=PATIENCE * 2)
        equal(done.returncode, 0, "exit code")
        with open(pid_file) as file:
            pid = int(file.read())
        try:
            equal(server.dial("mx").banner.code, 220, "banner")
        finally:
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: not alive(pid), "the end of the server")
        expect(not os.path.exists(pid_file), "the pid file stays")


@case("life: the second start finds mail and users")
def _():
    with Server("again") as server:
        deliver(server)
        before = len(server.messages("alice"))
        equal(server.stop(), 0, "exit code of the first")
        server.start()
        equal(len(server.messages("alice")), before, "messages after the second start")
        deliver(server)
        server.login("submission").quit()


@case("life: mail for postmaster without a user, with one, and with the one that is named")
def _():
    with Server("postmaster", users=()) as server:
        expect("no user yet" in server.command("check", "--quiet").stderr, "check does not warn without a user")
        server.log_has(r"\bpostmaster\b.*no user yet")
        wire = server.dial()
        wire.ehlo()
        wire.want("MAIL FROM:<a@elsewhere.example>", 250)
        wire.want("RCPT TO:<postmaster>", 451, "4.3.0")
        wire.want("RCPT TO:<postmaster@example.test>", 451, "4.3.0")
        server.log_has("recipient-refused.*postmaster.*no user yet")
        wire.quit()
        server.add_user("carol")
        server.add_user("alice")
        server.log_has(r"\bpostmaster\b.*oldest user, carol@example.test")
        expect("carol@example.test" in server.command("check", "--quiet").stderr, "check does not name the stand-in")
        mark = marker()
        wire = server.dial()
        wire.ehlo()
        equal(wire.mail("a@elsewhere.example", "Postmaster", body(mark)).code, 250, "mail for postmaster")
        server.message("carol", mark)
        server.command("alias", "add", "postmaster@example.test", "alice@example.test")
        equal(server.command("check", "--quiet").stderr, "", "warnings of check")
        mark = marker()
        equal(wire.mail("a@elsewhere.example", "postmaster", body(mark)).code, 250, "mail for postmaster")
        server.message("alice", mark)
        wire.quit()
        equal(server.stop(), 0, "exit code")
        equal(server.command("check", "--quiet").stderr, "", "warnings of check with no server")
        server.command("user", "remove", "alice@example.test")
        expect("carol@example.test" in server.command("check", "--quiet").stderr, "check with no server does not warn")


def queued(server):
    return sorted((row["id"], row["sender"], row["bytes"]) for row in server.json("queue", "list"))


@case("life: a backup while mail arrives, and one without a server, restore users and queue")
def _():
    dead = {"delivery": {"foreign": "smarthost", "smarthost": {"host": "127.0.0.1", "port": 9, "tls": "none"}},
            "queue": {"retry": ["1h"], "expire": "5d"}}
    with Server("backed-up", config=dead) as server, Server("restored", config=dead, start=False) as other:
        server.command("alias", "add", "info@example.test", "bob@example.test")
        wire = server.login()
        for size in (10, 400000, 10):
            equal(wire.mail("alice@example.test", "far@elsewhere.example", body(marker(), "x" * 70 + "\r\n" * size)).code,
                  250, "mail for the queue")
        before = queued(server)
        equal(len(before), 3, "messages that wait")
        stop = threading.Event()

        def load():
            while not stop.is_set():
                wire.mail("alice@example.test", "bob@example.test", body(marker(), "y" * 70 + "\r\n" * 300000))
        thread = threading.Thread(target=load)
        thread.start()
        with open(server.config_path) as main:
            text = main.read()
        os.mkdir(os.path.dirname(server.config_path) + "/parts")
        with open(os.path.dirname(server.config_path) + "/parts/log.conf", "w") as part:
            part.write("# nothing to say\n")
        with open(server.config_path, "w") as main:
            main.write('@include "parts/log.conf"\n' + text)
        live = server.directory + "/live"
        try:
            equal(server.command("backup", live).stdout, "", "what backup prints")
        finally:
            stop.set()
            thread.join()
        wire.quit()
        equal(os.stat(live).st_mode & 0o7777, 0o700, "mode of the backup")
        equal(server.command("backup", live, check=False).returncode, 5, "exit code for a directory in use")
        equal(sorted(os.listdir(live)), ["auth", "gatepost.conf", "included", "manifest", "queue"], "what is in it")
        equal(os.listdir(live + "/included"), ["parts%log.conf"], "what the configuration includes")
        other_backup = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        other_backup.connect(server.run + "/auth.sock")
        other_backup.send(struct.pack("<HI", 0x0d01, 6) + b"backup")
        expect(struct.unpack_from("<H", other_backup.recv(65536))[0] == 0x0d81, "a row of the other backup")
        refused = server.command("backup", server.directory + "/second", check=False)
        expect(refused.returncode == 1 and "another backup" in refused.stderr, "two at a time: " + refused.stderr)
        other_backup.close()
        eventually(lambda: len(queued(server)) == 3, "local mail delivered")
        equal(server.stop(), 0, "exit code")
        os.mkdir(server.directory + "/cold")
        server.command("backup", server.directory + "/cold")
        for backup in (live, server.directory + "/cold"):
            other.command("restore", backup, "--force")
            other.start()
            expect(set(before) <= set(queued(other)), "%s of %s are back" % (queued(other), before))
            for one in before:
                expect(len(other.command("queue", "cat", one[0], text=False).stdout) == one[2], "a body is not whole")
            other.login("submission").quit()
            expect("info@example.test" in other.command("alias", "list").stdout, "the alias is gone")
            expect("damaged" not in other.log(), "recovery found damage:\n" + other.log())
            equal(other.stop(), 0, "exit code of the restored server")


@case("queue: what is held back with its destination says until when")
def _():
    with Server("held", config={"delivery": {"foreign": "smarthost", "smarthost":
                                             {"host": "127.0.0.1", "port": 9, "tls": "none"}},
                                "queue": {"retry": ["1h"], "expire": "5d"}}) as server:
        wire = server.login()
        for n in (1, 2):
            equal(wire.mail("alice@example.test", "far@elsewhere.example", body(marker())).code, 250, "mail for elsewhere")
            server.log_has("event=deferred")
        wire.quit()
        rows = server.json("queue", "list")
        equal([row["state"] for row in rows], ["deferred"] * 2, "states")
        expect(all(row["next"] for row in rows), "one has no time: %r" % rows)
        shown = server.json("queue", "show", rows[1]["id"])
        expect(shown[-1]["next"], "show has none: %r" % shown)


@case("log: a refused sender and recipient come without their parameters")
def _():
    with Server("parameters") as server:
        wire = server.dial("submission")
        wire.ehlo()
        wire.want("MAIL FROM:<alice@example.test> size=1", 530)
        server.log_has(r'event=mail-refused.* from=<alice@example\.test>(\s|$)')
        wire = server.dial()
        wire.ehlo()
        wire.want("MAIL FROM:<a@b.example>", 250)
        wire.want("RCPT TO:<nobody@example.test> NOTIFY=NEVER", 550)
        wire.want("RCPT TO:<far@elsewhere.example> NOTIFY=NEVER", 550)
        wire.want("RCPT TO:<alice@example.test> NOTIFY=NEVER", 250)
        wire.quit()
        for text in (r"event=recipient-refused.* to=<nobody@example\.test>(\s|$)",
                     r"event=session-refused.* to=<far@elsewhere\.example>(\s|$)",
                     r"event=recipient-accepted.* to=<alice@example\.test>(\s|$)"):
            server.log_has(text)


@case("command line: an ordinary user at another's server is told so")
def _():
    with Server("another", users=("alice",), start=False) as server:
        switch = []
        if os.geteuid() == 0:
            switch = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            if subprocess.run(switch + [GATEPOST, "--version"], capture_output=True).returncode != 0:
                raise Skipped("nobody cannot reach the program")
        else:
            os.chmod(server.state + "/auth", 0)
        try:
            done = subprocess.run(switch + [GATEPOST, "-c", server.config_path, "user", "list"], capture_output=True,
                                  text=True, timeout=PATIENCE)
        finally:
            if not switch:
                os.chmod(server.state + "/auth", 0o711)
        equal(done.returncode, 69, "exit code")
        equal(len(done.stderr.splitlines()), 1, "lines: " + done.stderr)
        expect("run gatepost as root" in done.stderr, "it says %r" % done.stderr)


@case("command line: an alias to nobody is made with a warning")
def _():
    server = config_only()
    server.add_user("real@example.test")
    done = server.command("alias", "add", "info@example.test", "nobody@example.test", "real@example.test")
    equal(done.stdout, "", "standard output")
    expect(re.search(r"warning: .*nobody@example\.test yet", done.stderr) and "real@" not in done.stderr,
           "it says %r" % done.stderr)
    done = server.command("alias", "add", "sales@example.test", "real@example.test", "info@example.test")
    equal(done.stderr, "", "a warning without need")


@case("life: a second server on the same state is refused")
def _():
    with Server("first") as server:
        with open(server.config_path) as file:
            text = file.read()
        for port in server.ports.values():
            text = text.replace(":%d" % port, ":%d" % (port - 1 if port > 20000 else port + 1))
        path = server.directory + "/second.conf"
        with open(path, "w") as file:
            file.write(text.replace(server.run, server.run + "2"))
        done = subprocess.Popen([GATEPOST, "--config", path, "serve"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output = done.communicate(timeout=PATIENCE * 2)[0].decode()
        except subprocess.TimeoutExpired:
            done.terminate()
            done.communicate()
            raise Failure("the second server runs on the state of the first")
        expect(done.returncode != 0, "exit code 0 of the second:\n" + output)
        deliver(server)


@case("life: a second server on the same ports and state is refused at once")
def _():
    with Server("twin") as server:
        done = server.command("serve", check=False)
        expect(done.returncode != 0, "exit code 0")
        expect("another server" in done.stderr, "it says %r" % done.stderr)
        deliver(server)


@case("life: a second server on other ports and the same state leaves the first alone")
def _():
    with Server("second") as server:
        before = server.status()
        with open(server.config_path) as file:
            text = file.read()
        for role in server.ports:
            text = text.replace(":%d" % server.ports[role], ":%d" % free_port())
        path = server.directory + "/other.conf"
        with open(path, "w") as file:
            file.write(text)
        done = subprocess.run([GATEPOST, "-c", path, "serve"], capture_output=True, text=True, timeout=PATIENCE,
                              env=own_environment())
        expect(done.returncode == 1 and "another server" in done.stderr, "%d %r" % (done.returncode, done.stderr))
        equal([row["pid"] for row in server.status()], [row["pid"] for row in before], "processes of the first")


@case("life: SIGTERM lets a session finish")
def _():
    with Server("finish", config={"timeouts": {"shutdown": "60s"}}) as server:
        wire, mark = opened(server.dial()), marker()
        idle = server.dial()
        idle.ehlo()
        equal(wire.ask("DATA").code, 354, "DATA")
        wire.send(b"Subject: " + mark.encode() + b"\r\n")
        server.terminate()
        reply = idle.reply()
        expect(reply.code == 421 or not reply.lines, "the idle session hears %r" % reply.text)
        server.log_has("stopping")
        wire.send(b"\r\nthe end\r\n.\r\n")
        equal(wire.reply().code, 250, "end of data after SIGTERM")
        equal(server.process.wait(PATIENCE * 2), 0, "exit code")
        server.start()
        server.message("alice", mark)


@case("life: SIGTERM twice is as once")
def _():
    with Server("twice", config={"timeouts": {"shutdown": "60s"}}) as server:
        wire, mark = opened(server.dial()), marker()
        equal(wire.ask("DATA").code, 354, "DATA")
        server.terminate()
        server.log_has("stopping")
        server.terminate()
        server.process.send_signal(signal.SIGHUP)  # too late for that
        time.sleep(0.3)
        wire.send(b"Subject: " + mark.encode() + b"\r\n\r\nthe end\r\n.\r\n")
        equal(wire.reply().code, 250, "end of data after the second SIGTERM")
        equal(server.process.wait(PATIENCE * 2), 0, "exit code")


@case("life: signals while it starts")
def _():
    with Server("early", start=False) as server:
        server.start(wait=False)
        eventually(lambda: "event=started" in server.log(), "the first line")
        server.process.send_signal(signal.SIGHUP)
        server.wait_ready()
        server.log_has("event=reloaded")
        deliver(server)
        equal(server.stop(), 0, "exit code")
        start = len(server.log())
        server.start(wait=False)
        eventually(lambda: "event=started" in server.log()[start:], "the first line")
        server.process.send_signal(signal.SIGTERM)
        equal(server.process.wait(PATIENCE * 2), 0, "exit code after SIGTERM while it starts")
        server.start()
        deliver(server)


@case("life: SIGTERM does not wait for ever")
def _():
    with Server("limit", config={"timeouts": {"shutdown": "1s"}}) as server:
        wire = opened(server.dial())
        equal(wire.ask("DATA").code, 354, "DATA")
        server.terminate()
        server.process.wait(PATIENCE * 2)
        equal(server.process.returncode, 0, "exit code")


@case("life: nothing accepts while it stops")
def _():
    with Server("stops", config={"timeouts": {"shutdown": "60s"}}) as server:
        wire = opened(server.dial())
        server.terminate()
        server.log_has("stopping")

        def refused():
            try:
                other = server.dial(greet=False)
                line = other.reply()
                other.close()
                return line.code == 421 or not line.lines
            except (OSError, Failure):
                return True
        eventually(refused, "refused connections")
        wire.close()
        equal(server.process.wait(PATIENCE * 2), 0, "exit code")


# ---- reload

@case("life: reload drops no session")
def _():
    with Server("reload") as server:
        wire, user = opened(server.dial()), server.login("submission")
        expect(server.reload(), "the reload failed:\n" + server.log()[-2000:])
        mark = marker()
        equal(wire.data(body(mark)).code, 250, "DATA of the old session")
        server.message("alice", mark)
        mark = marker()
        equal(user.mail("alice@example.test", "u@foreign.example", body(mark)).code, 250, "DATA of the old login")
        server.message("capture", mark)
        deliver(server)
        for _ in range(3):
            expect(server.reload(), "a reload failed")
        equal(user.ask("NOOP").code, 250, "NOOP")
        deliver(server)


@case("life: reload takes a new certificate")
def _():
    with Server("certificate") as server:
        before = peer_certificate(server)
        user = server.login("submissions")
        make_certificate(server.directory, kind="rsa")
        expect(server.reload(), "the reload failed:\n" + server.log()[-2000:])
        after = peer_certificate(server)
        expect(before != after, "the old certificate is served")
        equal(user.ask("NOOP").code, 250, "NOOP in the old session")
        server.login("submission").quit()
        server.login("submissions").quit()


@case("life: a key that cannot be used, of the certificate in service, leaves the old one in service")
def _():
    with Server("empty-key") as server:
        before = peer_certificate(server)
        with open(server.key, "w"):
            pass
        server.process.send_signal(signal.SIGHUP)
        server.log_has("reload-failed")
        equal(peer_certificate(server), before, "the certificate")
        server.login("submission").quit()


@case("life: an old listener's session can still start TLS after a reload")
def _():
    with Server("old-key") as server:
        wire = server.dial("submission")
        wire.ehlo()
        make_certificate(server.directory)
        expect(server.reload(), "the reload failed")
        wire.starttls()
        wire.ehlo()
        equal(wire.auth("alice@example.test", Server.password).code, 235, "AUTH")


@case("life: a broken new certificate keeps the old one")
def _():
    with Server("broken") as server:
        before = peer_certificate(server)
        for what in ("certificate", "key", "mismatch"):
            make_certificate(server.directory)
            if what == "mismatch":
                make_certificate(server.directory, "other")
                os.replace(server.directory + "/other.key", server.key)
            else:
                with open(server.certificate if what == "certificate" else server.key, "w") as file:
                    file.write("not PEM\n")
            start = len(server.log())
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda: re.search(r"reload-failed.*gatepost\.conf:\d+: .*" +
                                         (server.certificate if what == "certificate" else server.key), server.log()[start:]),
                       "a log line about the broken " + what)
            time.sleep(0.3)
            equal(len(re.findall("reload", server.log()[start:])), 1, "lines about the reload: " + server.log()[start:])
            equal(peer_certificate(server), before, "the certificate after a broken " + what)
            server.login("submission").quit()
        deliver(server)


def break_files(server):
    for path in (server.certificate, server.key):
        with open(path, "w") as file:
            file.write("not PEM\n")


@case("life: what died is started again with the certificate in service, not with the file as it is")
def _():
    with Server("broken-later") as server:
        before = peer_certificate(server)
        break_files(server)
        for role in ("keys", "listener", "keys"):
            old = server.pids(role)
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: set(server.pids(role)) - set(old), "a new " + role)

            def works():
                try:
                    return server.login("submission").quit().code == 221
                except (Failure, OSError):
                    return False
            eventually(works, "a login after the death of " + role)
            equal(peer_certificate(server), before, "the certificate after the death of " + role)
        expect("reload-failed" not in server.log(), "the broken file was looked at")


@case("life: a broken new certificate does not hold up the rest of a reload")
def _():
    with Server("broken-rest") as server:
        before, old = peer_certificate(server), server.pids("listener")
        break_files(server)
        server.config["local_domains"] = ["example.test", "second.test"]
        server.write_config()
        server.process.send_signal(signal.SIGHUP)
        server.log_has("reload-failed")
        eventually(lambda: [r for r in server.status() if r["process"] == "listener" and r["state"] == "serving" and
                            r["pid"] not in old], "a new listener")
        server.add_user("carol@second.test")
        wire = opened(server.dial())
        wire.want("RCPT TO:<carol@second.test>", 250)
        equal(peer_certificate(server), before, "the certificate")
        make_certificate(server.directory)
        expect(server.reload(), "the reload with good files failed")
        eventually(lambda: peer_certificate(server) != before, "the new certificate after a reload with a good one")


@case("life: a new listener takes no connection before its certificates are judged")
def _():
    with Server("judged") as server:
        from harness import children_of
        before, old = peer_certificate(server), server.pids("listener")
        keys = server.pids("keys")
        for pid in keys:
            os.kill(pid, signal.SIGSTOP)
        make_certificate(server.directory)
        server.process.send_signal(signal.SIGHUP)
        new = eventually(lambda: [r["pid"] for r in server.status() if r["process"] == "listener" and
                                  r["pid"] not in old], "a new listener")
        server.log_has("reloaded")
        time.sleep(0.5)
        wires = [server.dial() for _ in range(8)]
        expect(all(wire.banner.code == 220 for wire in wires), "banners")
        equal([children_of(pid) for pid in new], [[] for _ in new], "sessions of the listener that is not judged yet")
        for pid in keys:
            os.kill(pid, signal.SIGCONT)
        eventually(lambda: wires.append(server.dial()) or children_of(new[0]), "a session of the new listener")
        eventually(lambda: peer_certificate(server) != before, "the new certificate")
        server.login("submission").quit()


@case("life: reload takes new domains")
def _():
    with Server("domains") as server:
        wire = server.dial()
        wire.ehlo()
        wire.want("MAIL FROM:<a@b.example>", 250)
        wire.want("RCPT TO:<carol@second.test>", 550, "5.7.1", "relay-denied")
        server.config["local_domains"] = ["example.test", "second.test"]
        server.write_config()
        expect(server.reload(), "the reload failed")
        server.add_user("carol@second.test")
        wire = server.dial()
        wire.ehlo()
        wire.want("MAIL FROM:<a@b.example>", 250)
        wire.want("RCPT TO:<carol@second.test>", 250)
        wire.want("RCPT TO:<nobody@second.test>", 550, "5.1.1")
        server.config["local_domains"] = ["example.test"]
        server.write_config()
        expect(server.reload(), "the second reload failed")
        wire = server.dial()
        wire.ehlo()
        wire.want("MAIL FROM:<a@b.example>", 250)
        wire.want("RCPT TO:<carol@second.test>", 550, "5.7.1", "relay-denied")


@case("life: reload with a mistake keeps the old configuration")
def _():
    with Server("mistake") as server:
        with open(server.config_path) as file:
            text = file.read()
        server.write_config(text + "\nhostnam = \"x\";\n")
        expect(not server.reload(), "a configuration with a mistake was taken")
        server.log_has(r"reload-failed.*hostnam")
        expect(not re.search(r"reload-failed.*\\x0a\"$", server.log(), re.M), "the log line ends in an escaped line end")
        deliver(server)
        server.write_config(text)
        expect(server.reload(), "the reload failed")


@case("life: reload adds and removes a port")
def _():
    with Server("ports") as server:
        from harness import free_port
        port = free_port()
        server.config["listen"].append({"role": "mx", "address": ["127.0.0.1:%d" % port]})
        server.write_config()
        expect(server.reload(), "the reload failed")
        equal(Wire(port).banner.code, 220, "banner at the new port")
        server.config["listen"].pop()
        server.write_config()
        expect(server.reload(), "the reload failed")

        def closed():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return False
            except OSError:
                return True
        eventually(closed, "a closed port")


# ---- processes that die

@case("life: the master's death ends all children")
def _():
    with Server("orphans") as server:
        wire = opened(server.dial())
        server.kill()
        expect(wire.closed() or True, "")
        for port in server.ports.values():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        server.start()
        deliver(server)
        server.login("submission").quit()


def killed(role):
    def check():
        with Server("killed " + role) as server:
            deliver(server)
            wire = server.login("submission")
            for turn in range(2):
                old = eventually(lambda: server.pids(role), "a process for " + role)
                for pid in old if role != "verifier" else old[:1]:
                    os.kill(pid, signal.SIGKILL)
                eventually(lambda: not any(alive(pid) for pid in (old if role != "verifier" else old[:1])), "the end")
                if role == "session":
                    wire = server.login("submission")
                else:
                    eventually(lambda: set(server.pids(role)) - set(old), "a new " + role)
                    server.log_has(r"child-restarted.*of=" + role)

                def works():
                    try:
                        return server.login("submission").quit().code == 221
                    except (Failure, OSError):
                        return False
                eventually(works, "a login after the death of " + role)
                eventually(lambda: delivers(server), "a delivery after the death of " + role)
                if turn == 0 and role in ("auth", "queue"):
                    reply = wire.reply()
                    equal(reply.code, 421, "what a live session hears when %s died" % role)
                    expect(wire.closed(), "the session goes on")
                elif turn == 0 and role not in ("listener", "session"):
                    equal(wire.ask("NOOP").code, 250, "NOOP in a session that goes on")
                    wire.quit()
            equal(server.process.poll(), None, "the master")
    return check


def delivers(server):
    try:
        deliver(server)
        return True
    except (Failure, OSError):
        return False


for one in ("listener", "session", "auth", "verifier", "keys", "queue", "delivery", "log"):
    Case.add("life: %s is killed and comes back" % one, killed(one))


@case("life: a new log writer knows every process and every session")
def _():
    with Server("log-again") as server:
        before = server.dial("submission")
        before.ehlo()
        eventually(lambda: "event=connected" in server.log(), "the session's first line")
        name = re.search(r"event=connected.* session=(\w+)", server.log())[1]
        for pid in server.pids("log"):
            os.kill(pid, signal.SIGKILL)
        server.log_has(r"child-restarted.*of=log")
        start = len(server.log())
        before.starttls()
        before.ehlo()
        equal(before.auth("alice@example.test", Server.password).code, 235, "AUTH")
        before.quit()
        deliver(server)
        server.log_has(r"process=session event=session-ended session=%s" % name)
        server.log_has(r"process=queue event=delivered")
        expect("bad-frame" not in server.log()[start:], "lines were refused:\n" + server.log()[start:])


@case("life: mail accepted before a kill is delivered after it")
def _():
    with Server("accepted") as server:
        marks = []
        wire = server.dial()
        wire.ehlo()
        for pid in server.pids("delivery"):
            os.kill(pid, signal.SIGSTOP)
        for _ in range(5):
            marks.append(marker())
            equal(wire.mail("a@b.example", "alice@example.test", body(marks[-1])).code, 250, "DATA")
        server.kill()
        server.start()
        for mark in marks:
            server.message("alice", mark)
        server.queue_empty()
        equal(len(server.messages("alice")), len(marks), "messages")


@case("life: a message under way when the queue or auth dies is never accepted")
def _():
    with Server("under way") as server:
        for role in ("queue", "auth"):
            wire, mark = opened(server.dial()), marker()
            equal(wire.ask("DATA").code, 354, "DATA")
            wire.send(body(mark))
            old = server.pids(role)
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: not any(alive(pid) for pid in old), "the end")
            try:
                wire.send(b".\r\n")
                code = wire.reply().code
            except OSError:  # closed, and what was said is lost
                code = 0
            expect(code in (0, 421, 451), "%s dead, the end of data is answered %d" % (role, code))
            eventually(lambda: delivers(server), "a delivery after the death of " + role)
            equal([m for m in server.messages("alice") if mark.encode() in m], [], "copies of it")


# ---- limits on connections

def refusal(reply, code, rule):
    equal((reply.code, reply.rule), (code, rule), "the refusal")


@case("limits: connections per address")
def _():
    with Server("per-address", config={"limits": {"connections_per_address": 3}}) as server:
        wires = [server.dial() for _ in range(3)]
        late = server.dial()
        refusal(late.banner, 421, "too-many-connections")
        expect(late.closed(), "the fourth connection goes on")
        equal(server.dial(source="127.0.9.1").banner.code, 220, "banner for another address")
        wires[0].quit()
        eventually(lambda: server.dial().banner.code == 220, "a place that is free again")


@case("limits: connections per network")
def _():
    with Server("per-network", config={"limits": {"connections_per_network": 3}}) as server:
        wires = [server.dial(source="127.0.8.%d" % i) for i in range(1, 4)]
        expect(all(wire.banner.code == 220 for wire in wires), "banners")
        refusal(server.dial(source="127.0.8.9").banner, 421, "too-many-connections")
        equal(server.dial(source="127.0.9.1").banner.code, 220, "banner for another network")


@case("limits: connections in all")
def _():
    with Server("in-all", config={"limits": {"connections": 4}}) as server:
        wires = [server.dial(source="127.0.8.%d" % i) for i in range(1, 5)]
        expect(all(wire.banner.code == 220 for wire in wires), "banners")
        late = server.dial(source="127.0.8.9")
        refusal(late.banner, 421, "server-busy")
        expect(late.closed(), "it goes on")
        expect(server.dial("submissions", tls=False, greet=False).closed(), "a word before TLS")
        server.log_has(r"connection-refused client=127\.0\.8\.9 port=\d+ rule=server-busy")
        for wire in wires:
            equal(wire.ask("NOOP").code, 250, "NOOP of one that was there before")
        wires[1].quit()
        eventually(lambda: server.dial().banner.code == 220, "a banner once a place is free")


@case("limits: more connections than open files allow are lowered, with both numbers")
def _():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    low = 1024

    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, low))
    with Server("files", start=False) as server:
        with open(server.log_path, "ab") as log:
            done = subprocess.Popen([GATEPOST, "--config", server.config_path, "serve"], stdout=log, stderr=log,
                                    preexec_fn=lower if hard > low else None)
        server.process = done
        server.log_has("event=ready")
        told = re.search(r"limit-lowered what=\"limits\.connections is lowered from 500 to (\d+).* is (\d+)", server.log())
        limits = {}
        for role in ("auth", "queue"):
            with open("/proc/%d/limits" % server.pids(role)[0]) as file:
                limits[role] = int(re.search(r"Max open files +(\d+)", file.read())[1])
        most = int(told[1]) if told else 500  # root may have raised the limit
        expect(all(n >= 4 * most for n in limits.values()), "%s for %d connections" % (limits, most))
        expect(not told or told[2] == str(low), "it says %r" % told)
        deliver(server)


@case("limits: sessions that wait for AUTH")
def _():
    with Server("waiting", config={"limits": {"waiting_for_auth": 2}}) as server:
        first, second = server.dial("submission"), server.dial("submission")
        equal((first.banner.code, second.banner.code), (220, 220), "banners")
        refusal(server.dial("submission").banner, 421, "server-busy")
        equal(server.dial("mx").banner.code, 220, "banner on mx")
        first.ehlo()
        first.starttls()
        first.ehlo()
        equal(first.auth("alice@example.test", Server.password).code, 235, "AUTH")
        equal(server.dial("submission").banner.code, 220, "banner after a login")


@case("limits: many at once are all served")
def _():
    with Server("many") as server:
        wires = [server.dial(greet=False) for _ in range(100)]
        for wire in wires:
            equal(wire.reply().code, 220, "banner")
        for wire in wires:
            equal(wire.quit().code, 221, "QUIT")


# ---- PROXY and IPv6

def proxy_v1(client="203.0.113.9", kind="TCP4", local="192.0.2.1"):
    return ("PROXY %s %s %s 4711 25\r\n" % (kind, client, local)).encode()


def proxy_v2(client="203.0.113.9", command=1, family=socket.AF_INET, more=b""):
    local = "192.0.2.1" if family == socket.AF_INET else "2001:db8::25"
    addresses = socket.inet_pton(family, client) + socket.inet_pton(family, local) + struct.pack("!HH", 4711, 25) + more
    return (b"\r\n\r\n\0\r\nQUIT\n" +
            struct.pack("!BBH", 0x20 | command, 0x11 if family == socket.AF_INET else 0x21, len(addresses)) + addresses)


PROXY = {"proxy_from": ["127.0.5.1"], "trusted_networks": ["203.0.113.7", "2001:db8:7::/48"]}


def relays(wire):
    wire.ehlo()
    wire.want("MAIL FROM:<a@b.example>", 250)
    return wire.ask("RCPT TO:<u@foreign.example>").code


@case("PROXY: listed peers are believed, version 1 and 2")
def _():
    with Server("proxy", config=PROXY) as server:
        def through(header):
            return server.dial(source="127.0.5.1", before=header)
        equal(relays(through(proxy_v1("203.0.113.7"))), 250, "a trusted client, version 1")
        equal(relays(through(proxy_v1("203.0.113.8"))), 550, "another client, version 1")
        equal(relays(through(proxy_v2("203.0.113.7"))), 250, "a trusted client, version 2")
        equal(relays(through(proxy_v2("203.0.113.8"))), 550, "another client, version 2")
        equal(relays(through(proxy_v2("2001:db8:7::1", family=socket.AF_INET6))), 250, "IPv6, version 2")
        equal(relays(through(proxy_v1("2001:db8:7::1", "TCP6", "2001:db8::25"))), 250, "IPv6, version 1")
        equal(relays(through(proxy_v2("203.0.113.7", more=b"\x04\x00\x03abc"))), 250, "with further fields")
        mark = marker()
        wire = through(proxy_v1("203.0.113.8"))
        wire.ehlo()
        wire.mail("a@b.example", "alice@example.test", body(mark))
        expect(b"[203.0.113.8]" in server.message("alice", mark), "Received names another client")


@case("PROXY: what a listed peer must not send")
def _():
    with Server("proxy-bad", config=PROXY) as server:
        for what, octets in (("no header", b"EHLO a.example\r\n"), ("UNKNOWN", b"PROXY UNKNOWN\r\n"),
                             ("LOCAL", proxy_v2(command=0)), ("half a header", proxy_v2()[:20]),
                             ("garbage", b"PROXY TCP4 x y 1 2\r\n"), ("too long", b"PROXY TCP4 " + b"1" * 200 + b"\r\n"),
                             ("nothing", b"")):
            wire = server.dial(source="127.0.5.1", greet=False)
            wire.send(octets)
            reply = wire.reply()
            expect(reply.code == 421 or not reply.lines, "%s is answered %r" % (what, reply.text))
            wire.close()


@case("PROXY: nobody else is believed")
def _():
    with Server("proxy-unlisted", config=PROXY) as server:
        wire = server.dial(source="127.0.6.1")
        equal(wire.banner.code, 220, "banner without a header")
        wire.send(proxy_v1("203.0.113.7"))
        equal(wire.reply().code, 500, "the header as a command")
        equal(relays(wire), 550, "relaying after a header of an unlisted peer")


@case("PROXY: with implicit TLS the header comes first")
def _():
    with Server("proxy-tls", config=PROXY) as server:
        wire = Wire(server.ports["submissions"], tls=True, source="127.0.5.1", before=proxy_v1())
        equal(wire.banner.code, 220, "banner")


@case("IPv6: every port")
def _():
    with Server("ipv6", config={"trusted_networks": ["::1"]}) as server:
        for role in ("mx", "submission", "submissions"):
            equal(server.dial(role, host="::1").banner.code, 220, "banner on " + role)
        equal(relays(server.dial(host="::1")), 250, "a trusted IPv6 client")
        equal(relays(server.dial()), 550, "an IPv4 client")
        message = deliver(server, host="::1")
        expect(b"[IPv6:::1]" in message, "Received does not name the client: %r" % message[:300])


# ---- the configuration

MISTAKES = [  # what is appended or replaced, a pattern of what must be said
    (lambda t: t + "hostnam = \"x\";\n", r"gatepost\.conf:\d+: .*hostnam.*hostname"),
    (lambda t: t.replace("limits = {", "limits = {\n    conections = 5;"), r":\d+: .*conections.*connections"),
    (lambda t: t.replace("limits = {", "limits = {\n    failures_per_session = \"many\";"), r":\d+: .*failures_per_session"),
    (lambda t: t.replace("limits = {", "limits = {\n    failures_per_session = 100000;"), r":\d+: .*failures_per_session.*1000"),
    (lambda t: t.replace("limits = {", "limits = {\n    message_size = \"25X\";"), r":\d+: .*message_size"),
    (lambda t: t + "timeouts = { command = \"5 parsecs\"; };\n", r":\d+: .*command"),
    (lambda t: t.replace('role = "mx"', 'role = "mxx"'), r":\d+: .*mxx.*mx"),
    (lambda t: t.replace('hostname = "', '#hostname = "'), r"hostname"),
    (lambda t: t.replace("certificate.pem", "nothing.pem"), r":\d+: .*nothing\.pem"),
    (lambda t: t + "trusted_networks = [ \"0.0.0.0/0\" ];\n", r":\d+: .*0\.0\.0\.0/0"),
    (lambda t: t + "trusted_networks = [ \"300.1.1.1\" ];\n", r":\d+: .*300\.1\.1\.1"),
    (lambda t: t + "local_domains = [ \"again.test\" ];\n", r":\d+: "),
    (lambda t: t + "users = { auth = \"_gatepost-queue\"; queue = \"_gatepost-queue\"; };\n", r":\d+: .*_gatepost-queue"),
    (lambda t: t.replace('foreign = "capture"', 'foreign = "smarthost"'), r":\d+: .*smarthost"),
    (lambda t: t + "{\n", r":\d+: "),
]


def mistake(number):
    def check():
        change, pattern = MISTAKES[number]
        server = config_only()
        path = server.directory + "/mistake%d.conf" % number
        with open(server.config_path) as file:
            text = change(file.read())
        with open(path, "w") as file:
            file.write(text.replace("gatepost.conf", path))
        for words in (["check"], ["serve"]):
            done = subprocess.run([GATEPOST, "--config", path] + words, capture_output=True, text=True, timeout=PATIENCE)
            expect(done.returncode == 1, "%s: exit code %d, %s" % (words[0], done.returncode, done.stderr))
            expect(re.search(pattern.replace(r"gatepost\.conf", r"mistake\d+\.conf"), done.stderr),
                   "%s says %r, not %s" % (words[0], done.stderr, pattern))
    return check


_config_only, _config_lock = [], threading.Lock()


def config_only():
    with _config_lock:
        if not _config_only:
            _config_only.append(Server("configuration", users=(), start=False))
        return _config_only[0]


for one in range(len(MISTAKES)):
    Case.add("configuration: mistake %d" % (one + 1), mistake(one))


@case("configuration: check prints every value and its origin")
def _():
    done = config_only().command("check")
    for word in (r"hostname = \"mx\.example\.test\";.*gatepost\.conf:1", r"connections = 500;.*default", r"listen"):
        expect(re.search(word, done.stdout), "no %s in\n%s" % (word, done.stdout))


def pem(what, server):
    """Breaks the certificate or the key of a server; what is said of it."""
    def write(path, *command):
        done = subprocess.run(["openssl"] + list(command), check=True, capture_output=True)
        with open(path, "wb") as file:
            file.write(done.stdout)
    if what == "garbage":
        with open(server.certificate, "w") as file:
            file.write("not PEM\n")
        return server.certificate + " is not a PEM certificate"
    if what == "empty":
        with open(server.key, "w"):
            return server.key + " is empty"
    if what == "encrypted":
        write(server.key, "ec", "-in", server.key, "-aes128", "-passout", "pass:word")
        return server.key + " is encrypted"
    if what == "mismatch":
        os.replace(make_certificate(server.directory, "other")[1], server.key)
        return server.key + " is not the key"
    request, settings = server.directory + "/request", server.directory + "/ca.conf"
    write(request, "req", "-new", "-key", server.key, "-subj", "/CN=mx.example.test")
    with open(settings, "w") as file:
        file.write("[ca]\ndefault_ca = own\n[own]\ndatabase = %s/index\nrand_serial = yes\ndefault_md = sha256\n"
                   "policy = any\nnew_certs_dir = %s\n[any]\ncommonName = supplied\n" % ((server.directory,) * 2))
    with open(server.directory + "/index", "w"):
        pass
    write(server.certificate, "ca", "-config", settings, "-batch", "-notext", "-selfsign", "-keyfile", server.key, "-in",
          request, "-startdate", "20200101000000Z", "-enddate", "20200301000000Z")
    return server.certificate + " expired on 20"


def judged(what):
    def check():
        with Server("judged-" + what, users=(), start=False) as server:
            words = pem(what, server)
            refused = what != "expired"
            for command in ["check", "serve"] if refused else ["check"]:
                done = server.command(command, check=False)
                equal(done.returncode, 1 if refused else 0, "exit code of %s (%s)" % (command, done.stderr))
                expect(re.search(r"gatepost\.conf:\d+: .*" + re.escape(words), done.stderr), "%s says %r" %
                       (command, done.stderr))
            expect(not refused or not os.path.exists(server.run + "/status.sock"), "serve had begun")
    return check


for one in ("garbage", "empty", "encrypted", "mismatch", "expired"):
    Case.add("configuration: check and serve judge a certificate: " + one, judged(one))


@case("configuration: a key that others can read is refused")
def _():
    server = config_only()
    os.chmod(server.key, 0o644)
    try:
        done = server.command("check", check=False)
        expect(done.returncode == 1 and server.key in done.stderr, "%d %r" % (done.returncode, done.stderr))
    finally:
        os.chmod(server.key, 0o600)


@case("command line: codes for scripts")
def _():
    server = config_only()
    for code, words in ((2, ["frobnicate"]), (2, ["user", "add"]), (3, ["user", "show", "nobody@example.test"]),
                        (69, ["status"]), (2, ["explain", "--ip", "x"]), (2, ["queue", "remove"])):
        done = server.command(*words, check=False)
        equal(done.returncode, code, "exit code of %s (%s)" % (" ".join(words), done.stderr.strip()))
    server.add_user("dora@example.test")
    done = server.command("user", "add", "dora@example.test", "--password-stdin", stdin="long enough\n", check=False)
    equal(done.returncode, 4, "exit code for a user who exists")
    done = server.command("user", "add", "eva@example.test", "--password-stdin", stdin="short\n", check=False)
    equal(done.returncode, 5, "exit code for a short password")
    done = server.command("user", "add", "eva@example.test", "--password-stdin", stdin="x" * 1025 + "\n", check=False)
    expect(done.returncode == 1 and "longer than 1024" in done.stderr, "for a long one: %r" % done.stderr)
    done = server.command("user", "add", "eva@elsewhere.example", "--password-stdin", stdin="long enough\n", check=False)
    expect(done.returncode in (1, 2, 5), "exit code %d for a foreign user" % done.returncode)
    equal(len(server.command("user", "add", "eva@example.test", "--generate").stdout.split()[-1]), 23, "a password drawn")
    logins = [row["login"] for row in server.json("user", "list")]
    expect("dora@example.test" in logins and "eva@example.test" in logins, "users are %r" % logins)


@case("command line: an ordinary user's server answers that user")
def _():
    with tempfile.TemporaryDirectory(prefix="gatepost-", dir="/var/tmp") as place:
        program, path, log = place + "/gatepost", place + "/gatepost.conf", place + "/log"
        shutil.copy(GATEPOST, program)
        for one in glob.glob(os.path.join(BUILD, "gatepost-*")):
            shutil.copy(one, place)
        with open(path, "w") as file:
            file.write('hostname = "mx.example.test"; local_domains = [ "example.test" ];\n'
                       'state_directory = "%s/state"; run_directory = "%s/run";\n'
                       'listen = ( { role = "mx"; address = "127.0.0.1:%d"; } );\n' % (place, place, free_port()))
        os.chmod(place, 0o755)
        as_user = {}
        if os.geteuid() == 0:
            os.chown(place, 65534, 65534)
            as_user = {"user": 65534, "group": 65534, "extra_groups": []}
        command = [program, "-c", path]
        with open(log, "w") as out:
            server = subprocess.Popen(command + ["serve"], stdout=out, stderr=out, env=own_environment(), **as_user)
        try:
            eventually(lambda: "event=ready" in open(log).read(), "the ordinary user's server serves")
            for words in (["status"], ["user", "list"], ["queue", "list"]):
                done = subprocess.run(command + words, capture_output=True, text=True, env=own_environment(),
                                      timeout=PATIENCE, **as_user)
                expect(done.returncode == 0, "%s: %d %s" % (" ".join(words), done.returncode, done.stderr))
            done = subprocess.run(command + ["serve"], capture_output=True, text=True, env=own_environment(),
                                  timeout=PATIENCE, **as_user)
            expect(done.returncode == 1 and "another server runs" in done.stderr, "a second one: %r" % done.stderr)
        finally:
            server.terminate()
            equal(server.wait(PATIENCE), 0, "its exit code")


@case("command line: a server that does not answer is not waited for")
def _():
    with Server("mute") as server:
        stopped = server.pids("auth")
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            done = server.command("status", "--json", check=False)
            equal(done.returncode, 69, "exit code of status")
            expect("no answer" in done.stderr, done.stderr)
            import json
            answer = json.loads(done.stdout)
            expect(answer["running"] and len(answer["processes"]) > 5, "what the others say: %r" % done.stdout)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        equal(server.command("status").returncode, 0, "exit code")


@case("command line: without a server, warnings reach the terminal, and nothing else does")
def _():
    with Server("alone", start=False) as server:
        equal(server.command("user", "list").stderr, "", "stderr")
        with open(server.state + "/auth/gatepost.db", "r+b") as file:
            file.write(b"this is no database, and was none " * 100)
        done = server.command("user", "list", check=False)
        expect(done.returncode != 0, "exit code 0")
        expect(re.search("level=error process=auth event=fault", done.stderr), done.stderr)


@case("command line: changes while running hold at once")
def _():
    with Server("changes") as server:
        server.add_user("frank@example.test", "first password")
        wire = server.dial("submissions")
        wire.ehlo()
        equal(wire.auth("frank@example.test", "first password").code, 235, "AUTH of a new user")
        server.command("user", "passwd", "frank@example.test", "--password-stdin", stdin="second password\n")
        equal(wire.reply().code, 421, "the session that came by the first password")
        wire = server.login("submissions", "frank@example.test", "second password")
        for password, code in (("first password", 535), ("second password", 235)):
            other = server.dial("submissions")
            other.ehlo()
            equal(other.auth("frank@example.test", password).code, code, "AUTH with the " + password)
        server.command("user", "disable", "frank@example.test")
        wire.want("MAIL FROM:<frank@example.test>", 550, "5.7.1", "account-suspended")
        other = server.dial("submissions")
        other.ehlo()
        equal(other.auth("frank@example.test", "second password").code, 535, "AUTH of a disabled user")
        server.command("user", "remove", "frank@example.test")
        stranger = server.dial()
        stranger.ehlo()
        stranger.want("MAIL FROM:<a@b.example>", 250)
        stranger.want("RCPT TO:<frank@example.test>", 550, "5.1.1", "unknown-recipient")


@case("command line: the queue is shown while delivery stands still")
def _():
    with Server("standing") as server:
        for pid in server.pids("delivery") + server.pids("agent"):
            os.kill(pid, signal.SIGSTOP)
        mark, wire = marker(), server.dial()
        wire.ehlo()
        equal(wire.mail("a@b.example", "alice@example.test", body(mark)).code, 250, "DATA")
        rows = eventually(lambda: server.json("queue", "list"), "a message in the queue")
        expect("a@b.example" in str(rows), "queue list: %r" % rows)
        name = next(str(v) for k, v in rows[0].items() if k in ("id", "message", "name"))
        expect("alice@example.test" in server.command("queue", "show", name).stdout, "queue show")
        expect(mark in server.command("queue", "cat", name).stdout, "queue cat")
        server.command("queue", "remove", name)
        equal(server.json("queue", "list"), [], "the queue after remove")
        for pid in server.pids("delivery") + server.pids("agent"):
            os.kill(pid, signal.SIGCONT)
        deliver(server)
        expect(not [m for m in server.messages("alice") if mark.encode() in m], "a removed message was delivered")


# ---- the log

@case("log: control octets never reach it raw, and no line is forged")
def _():
    with Server("log") as server:
        wire = server.dial()
        mark = marker()
        for line in (b"EHLO \x1b[2Jx", b"EHLO a\tb", b"MAIL FROM:<a\x1b@b.example>", b"MAIL FROM:<a@b.example>\x07",
                     b"\x1b]0;x\x07", b"VRFY \x01"):
            wire.ask(line)
        wire.ehlo("name-of-" + mark)
        wire.want("MAIL FROM:<\"a event=login b\"@b.example>", 250)
        wire.ask(b"RCPT TO:<\"x\x1b\"@example.test>")
        wire.ask("RCPT TO:<\"x event=login login=root\"@example.test>")
        wire.ask("RCPT TO:<nobody-%s@example.test>" % mark)
        wire.quit()
        server.log_has("nobody-" + mark)
        log = server.log()
        raw = [c for c in log if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
        expect(not raw, "raw control characters in the log: %r" % raw)
        forged = [line for line in log.splitlines() if re.search(r"(^| )event=login(\s|$)", re.sub(r'"(\\.|[^"\\])*"', "", line))]
        expect(not forged, "forged: %r" % forged)


@case("log: no password in it, in no form")
def _():
    with Server("secrets") as server:
        secret = "Tr0ub4dor-and-3"
        server.add_user("gina@example.test", secret)
        for password in (secret, secret + "x"):
            for mechanism in ("PLAIN", "LOGIN"):
                wire = server.dial("submissions")
                wire.ehlo()
                wire.auth("gina@example.test", password, mechanism)
                wire.quit()
        wire = server.dial("submission")  # without TLS, as a misled client might
        wire.ehlo()
        wire.auth("gina@example.test", secret)
        wire.quit()
        from harness import b64
        server.log_has("login-failed")
        equal(server.stop(), 0, "exit code")
        for form in (secret, b64(secret), b64("\0gina@example.test\0" + secret)):
            expect(form not in server.log(), "the log holds the password as " + form)


@case("log: syslog, behind a link, before and after its daemon was started again")
def _():
    with Server("syslog", start=False) as server:
        place = server.directory + "/daemon"
        os.mkdir(place)
        os.chmod(place, 0o755)
        os.symlink(place + "/dev-log", server.directory + "/log-link")
        server.config["log"] = {"to": "syslog", "socket": server.directory + "/log-link"}
        server.write_config()

        def daemon():
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.bind(place + "/dev-log")
            os.chmod(place + "/dev-log", 0o666)
            listener.settimeout(0.2)
            return listener

        def hears(listener, word):
            def look():
                try:
                    line = listener.recv(65536)
                except socket.timeout:
                    return None
                expect(re.match(rb"<(19|20|21|22)>gatepost\[\d+\]: [^\n]*$", line), "no syslog line: %r" % line)
                return line if word in line else None
            return eventually(look, "a line with %r" % word)

        first = daemon()
        server.start()
        hears(first, b"event=ready")
        deliver(server)
        hears(first, b"event=delivered")
        first.close()
        deliver(server)  # nobody listens, and nothing waits for that
        os.unlink(place + "/dev-log")
        second = daemon()

        def arrives():  # it is looked for once a second
            deliver(server)
            try:
                return second.recv(65536)
            except socket.timeout:
                return None
        eventually(arrives, "lines at the new daemon")
        for pid in server.pids("log"):
            os.kill(pid, signal.SIGKILL)
        hears(second, b"event=child-restarted")
        deliver(server)
        hears(second, b"event=delivered")
        equal(server.stop(), 0, "exit code")
        second.close()


@case("log: JSON lines")
def _():
    import json
    with Server("json", config={"log": {"json": True}}) as server:
        wire = server.dial()
        wire.ehlo()
        wire.want("MAIL FROM:<\"q\\\"uote\"@b.example>", 250)
        wire.ask("RCPT TO:<nobody@example.test>")
        wire.quit()
        server.log_has("unknown-recipient")
        equal(server.stop(), 0, "exit code")
        for line in server.log().splitlines():
            expect(isinstance(json.loads(line), dict), "no object: " + line)


@case("log: every line of a session has its name, and the reply the message's name")
def _():
    with Server("names") as server:
        mark, wire = marker(), server.dial()
        port = wire.socket.getsockname()[1]
        wire.ehlo()
        reply = wire.mail("a@b.example", "alice@example.test", body(mark))
        wire.quit()
        name = reply.lines[0].split()[-1]
        server.message("alice", mark)
        server.log_has(r"delivered.*message=" + name)
        match = server.log_has(r"queued.*session=(\w+).*message=" + name) if re.search(
            r"queued.*session=\w+.*message=" + name, server.log()) else server.log_has(
            r"queued.*message=%s.*session=(\w+)" % name)
        expect(len(re.findall("session=" + match[1], server.log())) >= 3, "lines of session " + match[1])
        server.log_has(r"disconnected.*session=" + match[1])
        equal(set(re.findall(r"client=(\S+)", server.log())), {"127.0.0.1"}, "every client=")
        server.log_has(r"event=connected .*client=127\.0\.0\.1 port=%d " % port)


# ---- walls, as far as they can be seen from outside

@case("walls: processes run as different users, in an empty root, without dumps")
def _():
    if os.geteuid() != 0:
        return
    with Server("walls") as server:
        wire = server.dial()
        users = {}
        for role in ("listener", "auth", "verifier", "keys", "queue", "delivery", "log"):
            for pid in server.pids(role):
                with open("/proc/%d/status" % pid) as file:
                    status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
                uids = set(status["Uid"].split())
                expect(len(uids) == 1 and "0" not in uids, "%s runs as %s" % (role, status["Uid"]))
                users[role] = uids.pop()
                equal(status["CapEff"].strip("\t 0"), "", "capabilities of " + role)
                equal(status["NoNewPrivs"].strip(), "1", "no_new_privs of " + role)
                if not SANITIZED:
                    equal(status["Seccomp"].strip(), "2", "filter of " + role)
                expect(os.readlink("/proc/%d/root" % pid) != "/", "%s has the whole file system" % role)
        equal(len(set(users.values())), len(users), "users of %r" % users)
        wire.quit()


@case("walls: a session has no more descriptors than it needs")
def _():
    with Server("descriptors") as server:
        wire = server.login("submissions")
        wire.want("MAIL FROM:<alice@example.test>", 250)
        wire.want("RCPT TO:<bob@example.test>", 250)
        if os.geteuid() != 0:
            return
        fewest = min(len(os.listdir("/proc/%d/fd" % pid)) for pid in server.pids("session") if alive(pid))
        expect(fewest <= 11, "a session that serves has %d descriptors" % fewest)  # the others still hold the ports


if __name__ == "__main__":
    main(parallel=2)
