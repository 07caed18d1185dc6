"""guessing.py - a user logs in again and again, while a thousand connections guess passwords without a pause.

Prints the median of the user's login (connection to 235) while it is quiet and under the attack, how many of the user's
logins were refused, what the guessers were answered, and the most memory that a verifier had. Against a server of its own, or
with --connect against one that runs already, where the user must exist:

    python3 tests/bench/guessing.py --connections 1000 --networks 50 --warm-up 30 --seconds 60
    python3 tests/bench/guessing.py --connect 127.0.0.1:587 --user alice@example.test --password secret

A network is one address of 127.0.0.0/8, so the server must listen on loopback. The guessers run at a lower priority: they
share the machine with what is measured.
"""
import argparse
import asyncio
import collections
import multiprocessing
import os
import resource
import ssl
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Server, b64  # noqa: E402

PATIENCE = 60


def read_arguments():
    parser = argparse.ArgumentParser(description="a user's logins while passwords are guessed")
    parser.add_argument("--connections", type=int, default=1000, help="of guessers, at the same time")
    parser.add_argument("--networks", type=int, default=50, help="that these come from")
    parser.add_argument("--accounts", type=int, default=100, help="that they guess at, the user's among them")
    parser.add_argument("--warm-up", type=float, default=30, help="seconds of the attack before anything is measured")
    parser.add_argument("--seconds", type=float, default=60, help="of measuring under the attack")
    parser.add_argument("--quiet", type=float, default=20, help="seconds of measuring before it")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two logins of the user")
    parser.add_argument("--connect", help="HOST:PORT of a server that runs; STARTTLS unless --implicit")
    parser.add_argument("--implicit", action="store_true", help="TLS from the first octet")
    parser.add_argument("--user", default="alice@example.test")
    parser.add_argument("--password", default=Server.password)
    parser.add_argument("--argon2-memory", default="64M", help="of the own server")
    parser.add_argument("--network-failures", type=int, default=20, help="of the own server: fewer, and all are held soon")
    parser.add_argument("--default-limits", action="store_true", help="the own server has no more places than usual")
    parser.add_argument("--no-cache", action="store_true", help="the own server remembers no successes")
    parser.add_argument("--no-throttle", action="store_true", help="the own server holds nobody")
    return parser.parse_args()


def own_server(arguments):
    # As many places as there are guessers: that a server is full is another measurement.
    places = arguments.connections + 200
    config = {"auth": {"argon2_memory": arguments.argon2_memory},
              "throttle": {"account_failures": 40, "enabled": not arguments.no_throttle, "network_failures": arguments.network_failures},
              "limits": {"connections": places, "connections_per_address": places, "connections_per_network": places,
                         "waiting_for_auth": places}}
    if arguments.default_limits:
        config["limits"] = {"connections": 500, "connections_per_address": 50, "connections_per_network": 100}
    if arguments.no_cache:
        config["auth"]["cache"] = "0s"
    return Server("guessing", config=config, users=("alice",))


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Client:
    """One SMTP connection over TLS."""

    def __init__(self, target, implicit, source, context):
        self.target, self.implicit, self.source, self.context = target, implicit, source, context

    async def reply(self):
        while True:
            line = await self.reader.readline()
            if len(line) < 4 or not line.endswith(b"\n"):
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return int(line[:3])

    async def ask(self, line):
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()
        return await self.reply()

    async def open(self):
        """The reply that is not as it should be, or 0 when the client may log in."""
        self.reader, self.writer = await asyncio.open_connection(
            *self.target, local_addr=(self.source, 0), ssl=self.context if self.implicit else None)
        code = await self.reply()
        if code != 220:
            return code
        if not self.implicit:
            await self.ask("EHLO client.example")
            code = await self.ask("STARTTLS")
            if code != 220:
                return code
            # StreamWriter.start_tls came with Python 3.11; Debian 12 has that.
            await self.writer.start_tls(self.context)
        return 0 if await self.ask("EHLO client.example") == 250 else 1

    async def login(self, user, password):
        return await self.ask("AUTH PLAIN " + b64("\0%s\0%s" % (user, password)))

    def close(self):
        writer = getattr(self, "writer", None)
        if writer:
            writer.transport.abort()


# ---- the guessers, in a process of their own

async def guess(number, arguments, target, end, answers):
    context, n = tls_context(), 0
    source = "127.1.%d.1" % (number % arguments.networks)
    while time.monotonic() < end.value:
        client = Client(target, arguments.implicit, source, context)
        try:
            code = await asyncio.wait_for(client.open(), PATIENCE)
            answers["connection %d" % code if code else "connection"] += 1
            while code == 0 and time.monotonic() < end.value:
                n += 1
                guessed = (number + n) % arguments.accounts
                user = arguments.user if guessed == 0 else "user%d@%s" % (guessed, arguments.user.split("@")[1])
                answer = await asyncio.wait_for(client.login(user, "guess %d %d" % (number, n)), PATIENCE)
                answers["AUTH %d" % answer] += 1
                if answer in (421, 235):
                    break
        except (OSError, ssl.SSLError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            answers[type(error).__name__] += 1
            await asyncio.sleep(0.01)
        finally:
            client.close()


def attack(arguments, target, end, measured, queue):
    os.nice(10)
    answers, before = collections.Counter(), collections.Counter()

    async def watch():
        while not measured.value and time.monotonic() < end.value:
            await asyncio.sleep(0.1)
        before.update(answers)

    async def run():
        await asyncio.gather(watch(), *(guess(i, arguments, target, end, answers) for i in range(arguments.connections)))

    asyncio.run(run())
    answers.subtract(before)
    queue.put({key: n for key, n in answers.items() if n})


# ---- the user

async def log_in_again(arguments, target, seconds):
    """Times of the logins that went well, in seconds, and the answers of those that did not."""
    context, times, refused = tls_context(), [], collections.Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client = Client(target, arguments.implicit, "127.200.0.1", context)
        begin = time.monotonic()
        try:
            code = await asyncio.wait_for(client.open(), PATIENCE)
            code = code or await asyncio.wait_for(client.login(arguments.user, arguments.password), PATIENCE)
        except (OSError, ssl.SSLError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            code = type(error).__name__
        if code == 235:
            times.append(time.monotonic() - begin)
        else:
            refused[code] += 1
        client.close()
        await asyncio.sleep(arguments.pause)
    return times, refused


def say(what, times, refused):
    ordered = sorted(times) or [float("nan")]
    print("%-22s median %7.1f ms, 95%% %7.1f ms, most %7.1f ms, %d logins, %d refused %s" %
          (what, statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.95)] * 1e3, ordered[-1] * 1e3,
           len(times), sum(refused.values()), dict(refused) if refused else ""), flush=True)
    return statistics.median(ordered)


def most_memory(pids):
    """KiB, as the kernel has the most that each ever had."""
    found = []
    for pid in pids:
        with open("/proc/%d/status" % pid) as file:
            found += [int(line.split()[1]) for line in file if line.startswith("VmHWM:")]
    return found


def measure(arguments, target, server):
    asyncio.run(log_in_again(arguments, target, 1))  # so that the network is known, and caches are warm
    quiet = say("quiet:", *asyncio.run(log_in_again(arguments, target, arguments.quiet)))
    begin = time.monotonic()
    end = multiprocessing.Value("d", begin + arguments.warm_up + arguments.seconds)
    measured, queue = multiprocessing.Value("b", 0), multiprocessing.Queue()
    attacker = multiprocessing.Process(target=attack, args=(arguments, target, end, measured, queue))
    attacker.start()
    asyncio.run(log_in_again(arguments, target, arguments.warm_up))
    measured.value = 1
    under = say("under attack:", *asyncio.run(log_in_again(arguments, target, arguments.seconds)))
    print("%-22s %.2f" % ("attack / quiet:", under / quiet))
    answers = queue.get(timeout=PATIENCE * 2)
    attacker.join(PATIENCE)
    for what, n in sorted(answers.items()):
        print("  guessers: %-20s %9d, %8.0f a second" % (what, n, n / arguments.seconds))
    if server:
        print("verifiers, most KiB:   %s" % " ".join(str(n) for n in most_memory(server.pids("verifier"))))
        print("auth, most KiB:        %s" % " ".join(str(n) for n in most_memory(server.pids("auth"))))
        print("held:                  %d networks and accounts" % sum(row["held"] for row in server.json("throttle", "list")))


def main():
    arguments = read_arguments()
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], arguments.connections * 4 + 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if arguments.connect:
        host, port = arguments.connect.rsplit(":", 1)
        measure(arguments, (host, int(port)), None)
        return
    with own_server(arguments) as server:
        role = "submissions" if arguments.implicit else "submission"
        measure(arguments, ("127.0.0.1", server.ports[role]), server)


if __name__ == "__main__":
    main()
