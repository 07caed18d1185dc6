"""session_world.py - the session program with everything around it played: master, auth, queue, keys, log.

The program under test is real; its neighbours are threads here that speak the frames of store/frames.h. Layouts are
written out a second time on purpose: a slip on either side shows.
"""
import array, ipaddress, os, re, shutil, socket, struct, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import TOP, look_for_reports, own_environment  # noqa: E402

# reasons of auth/reason.h, by position
REASONS = """not-decided malformed-sender auth-required account-suspended sender-not-yours over-quota sender-accepted
malformed-recipient postmaster second-routing local-sender-needs-auth local-recipient relay-alias unknown-recipient
foreign-literal relay-authenticated relay-granted relay-domain relay-trusted relay-denied bad-parameter
unknown-parameter utf8-not-declared too-many-recipients too-many-messages too-many-failures too-many-connections
server-busy message-too-large storage-full storage-fault mail-loop relay-local too-many-failed-logins
from-malformed from-not-yours""".split()
WELCOME = len(REASONS)
MX, SUBMISSION, SUBMISSIONS = 1, 2, 3
ROLE_LISTENER, ROLE_AUTH = 2, 3
DIRECTORY, SOCKET = 1, 2
(AUTH_LATER, AUTH_ACCEPTED, AUTH_CONTINUE, AUTH_REJECTED, AUTH_MALFORMED, AUTH_CANCELLED, AUTH_UNKNOWN,
 AUTH_TOO_MANY) = range(8)


def reason(name):
    return REASONS.index(name)


def log_number(name):
    """Of an event or key: its place in the table, which no session sees otherwise."""
    with open(os.path.join(TOP, "store", "log_names.h")) as file:
        return re.findall(r"\b(?:EVENT|KEY)\((%s_\w+)," % name[:3], file.read()).index(name) + 1


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(value)) + value


def take(data, at):
    n, = struct.unpack_from("<I", data, at)
    return data[at + 4:at + 4 + n], at + 4 + n


def send(channel, kind, body=b"", fd=None):
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
    channel.sendmsg([struct.pack("<H", kind) + body], control)


def receive(channel):
    """(type, body, descriptor or None, sender's pid), or None at the end."""
    try:
        data, control, _, _ = channel.recvmsg(65536, 256)
    except OSError:
        return None
    if not data:
        return None
    fd = pid = None
    for level, kind, value in control:
        if kind == socket.SCM_RIGHTS:
            fd = struct.unpack_from("i", value)[0]
        elif kind == socket.SCM_CREDENTIALS:
            pid = struct.unpack_from("i", value)[0]
    return struct.unpack_from("<H", data)[0], data[2:], fd, pid


def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def netaddr(data, at):
    address = ipaddress.IPv6Address(data[at:at + 16])
    return str(address.ipv4_mapped or address), struct.unpack_from("<H", data, at + 16)[0]


def network(text_):
    n = ipaddress.ip_network(text_)
    bits = n.prefixlen + (96 if n.version == 4 else 0)
    address = n.network_address if n.version == 6 else ipaddress.IPv6Address("::ffff:%s" % n.network_address)
    return address.packed + bytes([bits])


class Keys:
    """Signs with openssl(1), key by key name."""
    SCHEMES = {0x0403: ("sha256", []), 0x0503: ("sha384", []), 0x0401: ("sha256", []), 0x0501: ("sha384", []),
               0x0601: ("sha512", []), 0x0603: ("sha512", [])}
    PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]

    def __init__(self, folder):
        self.folder, self.by_name, self.asked = folder, {}, []
        for n, name in enumerate(("sha256", "sha384", "sha512")):
            self.SCHEMES[0x0804 + n] = (name, self.PSS)

    def make(self, name, kind="ec", names=None):
        key, certificate = (os.path.join(self.folder, name + end) for end in (".key", ".pem"))
        how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
        names = ",".join("DNS:" + n for n in (names or [name]))
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=" + name, "-addext",
                        "subjectAltName=" + names, "-keyout", key, "-out", certificate, *how], check=True,
                       stderr=subprocess.DEVNULL)
        der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                             stdout=subprocess.PIPE).stdout
        import hashlib
        self.by_name[hashlib.sha256(der).digest()[:16]] = key
        with open(certificate, "rb") as f:
            return f.read()

    def serve(self, channel):
        while frame := receive(channel):
            kind, body, _, _ = frame
            request, name, scheme = struct.unpack_from("<Q16sH", body)
            octets, _ = take(body, 26)
            digest, options = self.SCHEMES[scheme]
            self.asked.append((scheme, octets))
            done = subprocess.run(["openssl", "dgst", "-" + digest, "-sign", self.by_name[name], *options],
                                  input=octets, stdout=subprocess.PIPE)
            send(channel, 0x0581, struct.pack("<QB", request, done.returncode == 0) + text(done.stdout))


class World:
    """One listener; auth's answers can be replaced by assigning to the on_* functions."""

    def __init__(self, program, roles=((MX, 0), (SUBMISSION, 1), (SUBMISSIONS, 1)), certificates=(), keys=None,
                 trace=None, **settings):
        self.folder = tempfile.mkdtemp(prefix="gatepost-world-")
        self.messages, self.log, self.exits, self.frames, self.announced = [], [], [], [], []
        self.failures, self.statuses, self.asked_rcpt = [], [], []
        self.children, self.renew, self.ready = {}, 0, None
        self.keys, self.certificates, self.roles = keys, certificates, roles
        self.lock = threading.Lock()
        self.settings = dict(hostname="mx.example.test", proxy_from=[], connections=50, recipients=100,
                             messages=50, failures=20, bytes=1 << 20, command=60000, data=60000, tls=20000,
                             login=60000, session=600000, shutdown=3000, scram=1,
                             ntlm=0, legacy=1)
        self.settings.update(settings)
        self.listening = []
        for _ in roles:
            s = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
            self.listening.append(s)
        self.ports = [s.getsockname()[1] for s in self.listening]
        self.start(program, trace)

    # ---- master

    def payload(self):
        s = self.settings
        out = text(s["hostname"]) + struct.pack("<I", len(self.roles))
        out += b"".join(bytes(r) for r in self.roles)
        out += struct.pack("<I", len(self.certificates))
        for chain, names in self.certificates:
            out += text(chain) + struct.pack("<I", len(names)) + b"".join(map(text, names))
        out += struct.pack("<I", len(s["proxy_from"])) + b"".join(map(network, s["proxy_from"]))
        out += struct.pack("<I", 0)
        out += struct.pack("<I", 1) + text("example.test") + struct.pack("<I", 1) + text("backup.example")
        out += struct.pack("<6I", s["connections"], s["connections"], 24, 64, 32, 64)
        out += struct.pack("<3I", s["recipients"], s["messages"], s["failures"])
        out += struct.pack("<8Q", s["bytes"], s["command"], s["data"], s["tls"], s["login"], s["session"],
                           s["shutdown"], s["command"])
        return out + bytes([s["scram"], s["scram"], s["ntlm"], s["legacy"]])

    def start(self, program, trace):
        no_limit = 2 ** 64 - 1
        setup = bytes([ROLE_LISTENER, 0, 1, 1]) + struct.pack("<IIQQQ", 0, 0, no_limit, no_limit, no_limit)
        # The filters as the master exports them, where a folder with them is named.
        filters = os.environ.get("GATEPOST_FILTERS")
        for name in ("filter.bin", "child_filter.bin"):
            setup += text(open(os.path.join(filters, name), "rb").read() if filters else b"")
        setup += text(self.payload())
        self.master, control = pair()
        control.setblocking(False)
        logs, log_end = pair()
        logs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        command = (["strace", "-f", "-q", "-o", trace] if trace else []) + [program]
        low = [os.dup2(control.fileno(), 103), os.dup2(log_end.fileno(), 104)]

        def settle():
            os.dup2(103, 3), os.dup2(104, 4)
            os.closerange(5, 1024)

        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.errors, preexec_fn=settle, close_fds=False,
                                        env=own_environment())
        for fd in low:
            os.close(fd)
        control.close(), log_end.close()
        memory = os.memfd_create("setup")
        os.write(memory, setup)
        send(self.master, 0x0101, fd=memory)
        os.close(memory)
        root = os.open(self.folder, os.O_RDONLY)
        send(self.master, 0x0103, bytes([DIRECTORY, 0]), root)
        os.close(root)
        for i, s in enumerate(self.listening):
            send(self.master, 0x0103, bytes([SOCKET, i]), s.fileno())
        self.new_auth()
        send(self.master, 0x0104)
        send(self.master, 0x0108)
        threading.Thread(target=self.hear_child, daemon=True).start()
        threading.Thread(target=self.hear_log, args=(logs,), daemon=True).start()

    def new_auth(self):
        mine, theirs = pair()
        self.pool_channel = mine
        theirs.setblocking(False)
        send(self.master, 0x0102, bytes([ROLE_AUTH, 0]), theirs.fileno())
        theirs.close()
        threading.Thread(target=self.hear_pool, args=(mine,), daemon=True).start()

    def break_auth(self):
        self.pool_channel.shutdown(socket.SHUT_RDWR)
        for channel in list(self.children.values()):
            try:
                channel.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.children.clear()

    def drain(self):
        send(self.master, 0x0105)

    def hear_child(self):
        while frame := receive(self.master):
            kind, body, _, _ = frame
            if kind == 0x0181:
                self.ready = struct.unpack("<I", body)[0]
            elif kind == 0x0182:
                self.renew += 1
            elif kind == 0x0183:
                self.statuses.append(struct.unpack("<IQQ", body))

    def hear_log(self, logs):
        while frame := receive(logs):
            kind, body, _, pid = frame
            at = 0
            if kind != 0x0001:
                self.take_line(body, pid)
                continue
            while at < len(body):  # a bundle of lines
                line, at = take(body, at + 2)
                self.take_line(line, pid)

    def take_line(self, body, pid):
        event, values, at = struct.unpack_from("<H", body)[0], [], 2
        while at < len(body):
            key = struct.unpack_from("<H", body, at)[0]
            value, at = take(body, at + 2)
            values.append((key, value))
        self.log.append((event, values, pid))

    # ---- auth

    def hear_pool(self, channel):
        while frame := receive(channel):
            kind, body, fd, _ = frame
            if kind in (0x0201, 0x0204):
                pid, = struct.unpack_from("<I", body)
                session = socket.socket(fileno=fd)
                session.setblocking(True)
                self.children[pid] = session
                client = None
                if kind == 0x0204:
                    client = (body[4], netaddr(body, 5), netaddr(body, 23), 0, True)
                    self.take_exits(body[41:])
                threading.Thread(target=self.serve_session, args=(session, pid, client), daemon=True).start()
            elif kind == 0x0202:
                self.take_exits(body)

    def take_exits(self, body):
        self.exits += struct.iter_unpack("<IB", body)

    on_welcome = staticmethod(lambda: "welcome")
    on_mail = staticmethod(lambda argument, login: "sender-accepted")

    @staticmethod
    def on_rcpt(argument, login):
        address = argument.split(b">")[0].lower()
        if b"@example.test" in address:
            return "unknown-recipient" if b"nobody" in address else "local-recipient"
        return "relay-authenticated" if login else "relay-denied"

    @staticmethod
    def on_auth(mechanism, has, response, state):
        """Returns (outcome, challenge)."""
        if mechanism == b"PLAIN":
            if not has:
                return AUTH_CONTINUE, b""
            return (AUTH_ACCEPTED if response == b"\0alice\0secret" else AUTH_REJECTED), b""
        if not has:
            return AUTH_CONTINUE, b"Password:" if "user" in state else b"Username:"
        if "user" not in state:
            state["user"] = response
            return AUTH_CONTINUE, b"Password:"
        return (AUTH_ACCEPTED if (state["user"], response) == (b"alice", b"secret") else AUTH_REJECTED), b""

    stranger = 0  # the reason that a stranger's foreign recipients get, where the session is told it

    def welcome(self, channel, announced):
        self.announced.append(announced)
        verdict = self.on_welcome()
        send(channel, 0x0381, bytes([WELCOME if verdict == "welcome" else reason(verdict)]) + text("ABCDEFGHIJ") +
             text("") + struct.pack("<HB", self.stranger, 0))

    def serve_session(self, channel, pid, announced):
        login, transaction, queue, exchange = None, None, None, None
        if announced:
            self.welcome(channel, announced)
        while frame := receive(channel):
            kind, body, fd, sender = frame
            self.frames.append((kind, body))
            if kind == 0x0301:
                client, local = netaddr(body, 1), netaddr(body, 19)
                self.welcome(channel, (body[0], client, local, body[37], sender == pid))
            elif kind == 0x0302:
                mine, theirs = pair()
                send(channel, 0x0382, b"\1", theirs.fileno()) if self.keys else send(channel, 0x0382, b"\0")
                theirs.close()
                if self.keys:
                    threading.Thread(target=self.keys.serve, args=(mine,), daemon=True).start()
            elif kind in (0x0304, 0x0305):
                if kind == 0x0304:
                    mechanism, at = take(body, 1)
                    has, (response, _), exchange = body[at], take(body, at + 1), {"m": mechanism}
                else:
                    has, (response, _) = 1, take(body, 1)
                if kind == 0x0305 and body[0]:
                    outcome, challenge = AUTH_CANCELLED, b""
                else:
                    outcome, challenge = self.on_auth(exchange["m"], has, response, exchange)
                login = b"alice" if outcome == AUTH_ACCEPTED else login
                send(channel, 0x0383, bytes([outcome]) + text(challenge) + text(login or b""))
            elif kind == 0x0306:
                helo, at = take(body, 1)
                argument, _ = take(body, at)
                verdict, transaction = self.on_mail(argument, login), os.urandom(16)
                foreign = "relay-authenticated" if login else "relay-denied"
                send(channel, 0x0384, struct.pack("<HH", reason(verdict), reason(foreign)) + transaction + b"\0")
            elif kind == 0x0307:
                verdicts, at = [], 2
                for _ in range(struct.unpack_from("<H", body)[0]):
                    argument, at = take(body, at)
                    self.asked_rcpt.append(argument)
                    verdicts.append(reason(self.on_rcpt(argument, login)))
                out = struct.pack("<H%dH" % len(verdicts), len(verdicts), *verdicts)
                handed = None
                if queue is None and any(v in (8, 11, 15) for v in verdicts):
                    queue, handed = pair()
                    threading.Thread(target=self.serve_queue, args=(queue,), daemon=True).start()
                send(channel, 0x0385, out, handed.fileno() if handed else None)
                if handed:
                    handed.close()
            elif kind == 0x0309:
                self.failures.append(body[0])
        channel.close()

    on_commit = staticmethod(lambda body, count: 1)

    def serve_queue(self, channel):
        bodies = {}
        while frame := receive(channel):
            kind, body, _, _ = frame
            t = body[:16]
            if kind == 0x0401:
                octets, end = take(body, 16)
                assert end == len(body)
                bodies[t] = bodies.get(t, b"") + octets
            elif kind == 0x0402:
                count, = struct.unpack_from("<I", body, 16)
                bodies[t] = bodies.get(t, b"") + body[20:]
                outcome = self.on_commit(bodies.get(t, b""), count)
                if outcome == 1:
                    self.messages.append((bodies.pop(t, b""), count))
                send(channel, 0x0481, t + bytes([outcome]) + text("M%05d" % len(self.messages) if outcome == 1 else b""))
            elif kind == 0x0403:
                bodies.pop(t, None)

    # ---- client

    def client(self, socket_index=0, banner=True, address="127.0.0.1"):
        c = Client(self.ports[socket_index], address)
        if banner:
            got = c.reply()
            assert got.startswith(b"220 "), got
        return c

    def stop(self):
        self.master.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            for s in self.listening:
                s.close()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.errors.seek(0)
        report = look_for_reports(self.errors.read(), "the session program")
        assert not report, report
        return self.process.returncode


class Client:
    def __init__(self, port, address="127.0.0.1"):
        self.socket = socket.create_connection((address, port), timeout=20)
        self.pending = b""

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        while b"\r\n" not in self.pending:
            got = self.socket.recv(65536)
            if not got:
                return b""
            self.pending += got
        line, self.pending = self.pending.split(b"\r\n", 1)
        return line

    def reply(self):
        """One whole reply, lines joined by newlines; empty at the end of the connection."""
        lines = []
        while line := self.line():
            lines.append(line)
            if line[3:4] != b"-":
                break
        return b"\n".join(lines)

    def say(self, line):
        self.send(line.encode("latin-1") + b"\r\n" if isinstance(line, str) else line)
        return self.reply()

    def start_tls(self, name="mx.example.test", versions=None):
        import ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if versions:
            context.minimum_version = context.maximum_version = versions
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self.pending = b""
        return self.socket

    def ended(self):
        try:
            return self.socket.recv(1) == b""
        except OSError:
            return True


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())
