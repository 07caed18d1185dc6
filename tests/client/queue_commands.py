"""queue_commands.py - the operator's side of the queue, against a server whose smarthost is not there."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import BUILD, GATEPOST, Server, body, case, equal, eventually, expect, free_port, main, marker  # noqa: E402

DEAD = {"foreign": "smarthost", "smarthost": {"host": "127.0.0.1", "port": free_port(), "tls": "none"}}


def stuck(name, retry="1h", start=True):
    return Server(name, start=start, config={"delivery": DEAD, "queue": {"retry": [retry], "expire": "5d", "reserve": "1M"}})


def send(server, recipient, mark, sender="alice@example.test"):
    wire = server.login("submissions")
    wire.want("MAIL FROM:<%s>" % sender, 250)
    wire.want("RCPT TO:<%s>" % recipient, 250)
    equal(wire.data(body(mark)).code, 250, "DATA")
    wire.quit()


def filled(server, n, *options):
    """A queue of n messages, before the server starts."""
    state = server.state + "/queue"
    subprocess.run([os.path.join(BUILD, "tests/bench/fill_queue"), "-n", str(n), "-w", "3600", *options, state], check=True)
    subprocess.run(["chown", "-R", "--reference", state, state], check=True)


def ids(server, *words):
    return [row["id"] for row in server.json("queue", "list", *words)]


@case("queue: what waits is chosen, held, tried, exported and removed while the server runs")
def operator():
    with stuck("operator") as server:
        marks = [marker() for _ in range(3)]
        for mark, to in zip(marks, ("friend@far.example", "other@far.example", "friend@near.example")):
            send(server, to, mark)
        rows = eventually(lambda: [r for r in server.json("queue", "list") if r["attempts"] or r["next"]][2:] and
                          server.json("queue", "list"), "attempts that failed")
        first = rows[0]["id"]
        expect(all(r["state"] == "deferred" for r in rows), "states: %r" % rows)
        expect("refused" in rows[0]["why"], "why: %r" % rows[0])
        equal(len(ids(server, "--to", "@far.example")), 2, "to a domain")
        equal(len(ids(server, "--to", "friend@*", "--from", "ALICE@example.test")), 2, "a pattern")
        equal(len(ids(server, "--destination", "smarthost")), 3, "a kind")
        equal(ids(server, "--older-than", "1h"), [], "old ones")
        equal(len(ids(server, "--younger-than", "1h", "--state", "deferred")), 3, "young ones")
        equal([(r["domain"], r["messages"]) for r in server.json("queue", "stats", "--by", "domain")],
              [("far.example", 2), ("near.example", 1)], "by domain")
        # held ones stay, also over a restart and without a server
        equal(server.json("queue", "hold", "--to", "@far.example"), [{"held": 2, "active": 0, "left": 0}], "hold")
        server.stop()
        equal(len(ids(server, "--state", "held")), 2, "held, without a server")
        server.start()
        equal(len(ids(server, "--state", "held")), 2, "held, after it")
        equal(server.json("queue", "retry", "--all")[0]["left"], 2, "those that were held")
        expect(all(r["attempts"] == 0 or r["recipient"] != "friend@far.example" or r["attempts"] == rows[0]["attempts"]
                   for r in server.json("queue", "list")), "a held message was tried")
        equal(server.json("queue", "release", first)[0]["released"], 1, "released")
        # octets, and files
        octets = server.command("queue", "cat", first, text=False).stdout
        expect(marks[0].encode() in octets and octets.startswith(b"Received: "), "the message: %r" % octets[:200])
        directory = server.directory + "/export"
        done = server.command("queue", "export", "--directory", directory, "--to", "@far.example", "--json").stdout
        equal(json.loads(done), {"exported": 2, "unreadable": 0}, "the export")
        with open("%s/%s.eml" % (directory, first), "rb") as file:
            equal(file.read(), octets, "the file")
        with open("%s/%s.json" % (directory, first)) as file:
            facts = [json.loads(line) for line in file]
        equal((facts[0]["sender"], facts[1]["recipient"]), ("alice@example.test", "friend@far.example"), "its envelope")
        equal(len(os.listdir(directory)), 4, "files")
        again = server.command("queue", "export", "--directory", directory, first, check=False)
        equal((again.returncode, "exists" in again.stderr), (4, True), "over files that are there")
        # away
        equal(server.json("queue", "remove", first)[0]["removed"], 1, "removed")
        eventually(lambda: re.search(r"dropped .*message=%s .*uid=%d" % (first, os.getuid()), server.log()), "who did it")
        server.command("queue", "remove", "--to", "friend@near.example", "--bounce")
        eventually(lambda: [m for m in server.messages("alice@example.test") if b"by the administrator" in m], "a bounce")
        eventually(lambda: len(ids(server)) == 1, "the one that is left")


@case("queue: what cannot be meant is refused with the likely word")
def mistakes():
    with stuck("mistakes", start=False) as server:
        for words, code, text in ((["list", "--state", "hold"], 2, "did you mean held"),
                                  (["list", "--destinaton", "x"], 2, "did you mean --destination"),
                                  (["holds", "x"], 2, "did you mean 'queue hold'"),
                                  (["list", "--older-than", "soon"], 2, "90s, 30m, 2h, 3d"),
                                  (["stats", "--by", "size"], 2, "destination, sender, domain or age"),
                                  (["hold"], 2, "--all"), (["remove", "--all", "--from", "x@y.example"], 2, "--all"),
                                  (["cat", "0000000000000"], 3, "no such message"),
                                  (["remove", "nonsense"], 3, "no such message"),
                                  (["export", "--all"], 2, "--directory")):
            done = server.command("queue", *words, check=False)
            equal(done.returncode, code, " ".join(words) + done.stderr)
            expect(text in done.stderr, "%s: %s" % (words, done.stderr))


@case("queue: a long list is read slowly, cut short, and left; mail goes on")
def long_list():
    with stuck("long", start=False) as server:
        filled(server, 30000, "-d", "100", "-s", "100")
        server.start()
        equal(len(ids(server, "--destination", "d7.example")), 300, "of one destination")
        equal(len(ids(server, "--from", "sender7@example.test")), 300, "of one sender")
        words = [GATEPOST, "--config", server.config_path, "queue", "list"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as slow:
            expect(slow.stdout.readline().startswith("ID "), "the head of the table")
            mark = marker()
            wire = server.dial("mx")
            wire.want("HELO client.example", 250)
            wire.want("MAIL FROM:<friend@far.example>", 250)
            wire.want("RCPT TO:<bob@example.test>", 250)
            equal(wire.data(body(mark)).code, 250, "mail while a list waits for its reader")
            server.message("bob@example.test", mark)
            equal(server.json("queue", "remove", "--from", "sender8@example.test")[0]["removed"], 300, "removed meanwhile")
            rows = sum(1 for _ in slow.stdout)
        equal(slow.returncode, 0, "the list's exit code")
        expect(29700 <= rows <= 30001, "%d rows" % rows)
        cut = subprocess.run(" ".join(words) + " --json | head -n 3", shell=True, stdout=subprocess.PIPE, text=True, check=True)
        equal(len([json.loads(line) for line in cut.stdout.splitlines()]), 3, "cut short")
        equal(len(ids(server)), 29700, "all that is left")
        equal(server.json("queue", "hold", "--all")[0]["held"], 29700, "all held")
        equal(ids(server, "--state", "deferred"), [], "none is to be tried")


if __name__ == "__main__":
    main()
