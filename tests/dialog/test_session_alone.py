"""test_session_alone.py - the real session program among fakes: what needs sockets, TLS, processes or time.

GATEPOST_SESSION names the program (default: gatepost-session of the build under test).
"""
import base64, hashlib, io, os, shutil, signal, socket, ssl, struct, sys, tempfile, threading, unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
from harness import BUILD  # noqa: E402
from session_world import *  # noqa: E402,F403

PROGRAM = os.environ.get("GATEPOST_SESSION", os.path.join(BUILD, "gatepost-session"))
LOG_CONNECTION_REFUSED, LOG_TLS_FAILED, LOG_REFUSED, LOG_PROTOCOL = map(
    log_number, ("LOG_CONNECTION_REFUSED", "LOG_TLS_FAILED", "LOG_SESSION_REFUSED", "LOG_PROTOCOL"))
KEY_CLIENT, KEY_RULE = log_number("KEY_CLIENT"), log_number("KEY_RULE")
CRASH, FINE, ABUSE, FAULT = 0, 10, 11, 12
PLAIN = "AUTH PLAIN " + base64.b64encode(b"\0alice\0secret").decode()


class Case(unittest.TestCase):
    def world(self, **settings):
        w = World(PROGRAM, **settings)
        self.addCleanup(w.stop)
        return w

    def begins(self, got, expected):
        self.assertTrue(got.startswith(expected.encode()), "%r is not %s" % (got, expected))

    def open_mail(self, c, recipient="alice@example.test"):
        self.begins(c.say("EHLO client.example"), "250-")
        self.begins(c.say("MAIL FROM:<a@elsewhere.example>"), "250 ")
        self.begins(c.say("RCPT TO:<%s>" % recipient), "250 ")

    def works(self, c):
        self.begins(c.say("NOOP"), "250 2.0.0")


class Plain(Case):
    def test_pipelined_group_is_one_question_and_one_segment(self):
        w = self.world()
        c = w.client()
        c.say("EHLO x")
        c.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<x@foreign.example>\r\n"
               b"RCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
        got = c.socket.recv(65536)
        self.assertEqual([line[:3] for line in got.split(b"\r\n")], [b"250", b"250", b"550", b"550", b"250", b"354", b""])
        self.assertEqual(len([f for f in w.frames if f[0] == 0x0307]), 1)
        self.begins(c.say(b"Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"), "250 2.0.0 Queued as M00001")
        self.begins(c.reply(), "221 ")
        self.assertTrue(c.ended())
        self.assertEqual(w.messages, [(b"Subject: x\r\n\r\n.dot\r\n", 2)])
        role, client, local, proxied, credentials = w.announced[0]
        self.assertEqual((role, client[0], local, proxied, credentials), (MX, "127.0.0.1", ("127.0.0.1", w.ports[0]), 0, True))
        self.assertTrue(wait_until(lambda: w.exits))
        self.assertEqual(w.exits[0][1], FINE)

    def test_ipv6(self):
        w = self.world()
        self.begins(w.client(address="::1").say("QUIT"), "221")
        self.assertEqual(w.announced[0][1][0], "::1")

    def test_octet_by_octet(self):
        w = self.world()
        c = w.client()
        c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in (b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
                      b"a\r\n..\r\n.x\r\n.\r\nQUIT\r\n"):
            c.send(bytes([octet]))
        replies = [c.reply()[:3] for _ in range(6)]
        self.assertEqual(replies, [b"250", b"250", b"250", b"354", b"250", b"221"])
        self.assertEqual(w.messages, [(b"a\r\n.\r\nx\r\n", 1)])

    def test_a_line_waits_no_longer_than_the_client(self):
        w = self.world()
        c = w.client()
        c.send(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@foreign.example>\r\n")
        self.assertEqual([c.reply()[:3] for _ in range(3)], [b"250", b"250", b"550"])
        # The client says no more, and stays.
        self.assertTrue(wait_until(lambda: len([e for e in w.log if e[0] == LOG_REFUSED]) == 1))

    def test_lines_too_long_or_odd(self):
        w = self.world(failures=50)
        c = w.client()
        self.begins(c.say(b"NOOP " + b"x" * 505 + b"\r\n"), "250")
        self.begins(c.say(b"NOOP " + b"x" * 506 + b"\r\n"), "500 5.5.2")
        self.begins(c.say(b"NOOP " + b"x" * 100000 + b"\r\n"), "500 5.5.2")
        self.works(c)
        for line in (b"NO\0OP\r\n", b"NO\rOP\r\n", b"NOOP\nNOOP\r\n", b"NOOP\r\r\n", b"NOOP\r\0\n\r\n"):
            self.begins(c.say(line), "500 5.5.2")
            self.works(c)
        self.begins(c.say(b"NOOP\n"), "500 5.5.2")
        self.assertTrue(c.ended(), "an LF that ends nothing, and nothing after it")

    def test_long_mail_and_rcpt_lines(self):
        w = self.world()
        c = w.client()
        c.say("EHLO x")
        self.begins(c.say("MAIL FROM:<a@b.example> AUTH=" + "x" * 490), "250")
        self.begins(c.say("RCPT TO:<alice@example.test> ORCPT=rfc822;" + "x" * 490), "250")
        self.begins(c.say("RCPT TO:<alice@example.test> ORCPT=rfc822;" + "x" * 1500), "500 5.5.2")

    def test_smuggling(self):
        w = self.world(failures=50)
        c = w.client()
        for evil in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\0.\r\n"):
            self.open_mail(c)
            self.begins(c.say("DATA"), "354")
            body = b"x" + evil + b"MAIL FROM:<evil@elsewhere.example>\r\n"
            self.begins(c.say(body + b"\r\n.\r\nNOOP\r\n"), "550 5.6.11")
            self.begins(c.reply(), "250 2.0.0")
        self.assertEqual(w.messages, [])
        self.assertTrue(wait_until(lambda: w.failures.count(3) == 7))
        self.assertTrue(wait_until(lambda: len([e for e in w.log if e[0] == LOG_PROTOCOL]) == 7))

    def test_size_is_enforced_and_never_out_of_step(self):
        w = self.world(bytes=100000)
        c = w.client()
        line = b"y" * 78 + b"\r\n"
        for n, reply in ((1250, "250 2.0.0"), (1251, "552 5.3.4"), (50000, "552 5.3.4")):
            self.open_mail(c)
            self.begins(c.say("DATA"), "354")
            self.begins(c.say(line * n + b".\r\n"), reply)
            self.works(c)
        self.assertEqual([len(m[0]) for m in w.messages], [100000])

    def test_long_lines_and_loops(self):
        w = self.world()
        c = w.client()
        for body, reply in ((b"x" * 998 + b"\r\n", "250"), (b"x" * 999 + b"\r\n", "554 5.6.0"),
                            (b"Received: x\r\n" * 100 + b"\r\n", "250"), (b"Received: x\r\n" * 101, "554 5.4.6")):
            self.open_mail(c)
            self.begins(c.say("DATA"), "354")
            self.begins(c.say(body + b".\r\n"), reply)

    def test_large_body_arrives_whole(self):
        w = self.world(bytes=20 << 20)
        c = w.client()
        body = b"".join(b"%08d " % i + b"z" * 60 + b"\r\n" for i in range(150000))
        self.open_mail(c)
        self.begins(c.say("DATA"), "354")
        self.begins(c.say(body + b".\r\n"), "250")
        self.assertTrue(w.messages[0][0] == body)

    def test_bdat(self):
        w = self.world(bytes=100000)
        c = w.client()
        self.begins(c.say(b"BDAT 10\r\nQUIT\r\nQUIT"), "503")
        self.open_mail(c)
        self.begins(c.say(b"BDAT 9\r\n.\r\n.\r\nxyz"), "250")
        self.begins(c.say("DATA"), "503")
        self.begins(c.say(b"BDAT 5 LAST\r\nabc\r\nNOOP\r\n"), "250 2.0.0 Queued")
        self.begins(c.reply(), "250 2.0.0")
        self.assertEqual(w.messages[0], (b".\r\n.\r\nxyzabc\r\n", 1))
        self.open_mail(c)
        self.begins(c.say(b"BDAT 200000\r\n" + b"y" * 77 + b"\r\n" + b"q" * (200000 - 79)), "55")
        self.begins(c.say(b"BDAT 6 LAST\r\nNOOP\r\n"), "503")
        self.works(c)
        self.open_mail(c)
        self.begins(c.say(b"BDAT 6 LAST\r\na\nbc\r\n"), "550 5.6.11")
        self.open_mail(c)
        self.begins(c.say(b"BDAT x\r\n"), "501")
        self.assertTrue(c.ended())

    def test_refusals_of_the_session_are_logged(self):
        w = self.world()
        c = w.client()
        c.say("EHLO x"), c.say("MAIL FROM:<a@b.example>")
        c.send(b"RCPT TO:<x@foreign.example>\r\nRCPT TO:<y@foreign.example>\r\n")
        c.reply(), self.begins(c.reply(), "550 5.7.1")
        self.assertTrue(wait_until(lambda: any(e[0] == LOG_REFUSED for e in w.log)))
        values = [v for _, v in next(e for e in w.log if e[0] == LOG_REFUSED)[1]]
        self.assertEqual(values[0], b"relay-denied")
        self.assertEqual(w.asked_rcpt, [])

    def test_what_auth_and_queue_refuse(self):
        w = self.world()
        w.on_welcome = lambda: "too-many-connections"
        self.begins(w.client(banner=False).reply(), "421 4.7.0")
        w.on_welcome = lambda: "welcome"
        c = w.client()
        w.on_mail = lambda argument, login: "storage-full"
        c.say("EHLO x")
        self.begins(c.say("MAIL FROM:<a@b.example>"), "452 4.3.1")
        w.on_mail = lambda argument, login: "sender-accepted"
        for outcome, reply in ((0, "451 4.3.0"), (2, "552 5.3.4"), (3, "452 4.3.1"), (1, "250")):
            w.on_commit = lambda body, count: outcome
            self.open_mail(c)
            self.begins(c.say("DATA"), "354")
            self.begins(c.say(b"x\r\n.\r\n"), reply)
        w.on_mail = lambda argument, login: "too-many-messages"
        self.begins(c.say("MAIL FROM:<a@b.example>"), "421 4.7.0")
        self.assertTrue(c.ended())


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="gatepost-keys-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.keys = Keys(cls.folder)
        cls.ec = cls.keys.make("mx.example.test")
        cls.rsa = cls.keys.make("rsa.example.test", "rsa", ["rsa.example.test", "*.wild.example"])
        cls.both = cls.keys.make("both", "rsa", ["mx.example.test"])

    def tls_world(self, **settings):
        return self.world(keys=self.keys, certificates=[(self.ec, []), (self.rsa, [])], **settings)

    def test_versions_and_names(self):
        w = self.tls_world()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for name, certificate in (("mx.example.test", self.ec), ("rsa.example.test", self.rsa),
                                      ("a.wild.example", self.rsa), ("b.a.wild.example", self.ec),
                                      ("unknown.example", self.ec), (None, self.ec)):
                c = w.client(1)
                c.say("EHLO x")
                self.begins(c.say("STARTTLS"), "220 ")
                s = c.start_tls(name, version)
                self.assertEqual(s.getpeercert(True), ssl.PEM_cert_to_DER_cert(certificate.decode()), name)
                self.assertFalse(s.session_reused)
                self.begins(c.say("QUIT"), "221")
        described = [f[1][4:] for f in w.frames if f[0] == 0x0303]
        self.assertEqual(described[0], b"TLS1.2 ECDHE-ECDSA-AES256-GCM-SHA384")
        self.assertEqual(described[-1], b"TLS1.3 TLS_AES_256_GCM_SHA384")

    def test_one_name_with_two_kinds_of_key(self):
        w = self.world(keys=self.keys, certificates=[(self.ec, []), (self.both, ["mx.example.test"])])
        for cipher, certificate in (("ECDHE-ECDSA-AES128-GCM-SHA256", self.ec), ("ECDHE-RSA-AES128-GCM-SHA256", self.both)):
            c = Client(w.ports[2])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(cipher)
            c.socket = context.wrap_socket(c.socket, server_hostname="mx.example.test")
            self.assertEqual(c.socket.getpeercert(True), ssl.PEM_cert_to_DER_cert(certificate.decode()))

    def test_what_came_ahead_of_the_handshake_is_forgotten(self):
        w = self.tls_world()
        c = w.client(0)
        c.say("EHLO x"), c.say("MAIL FROM:<a@b.example>")
        self.begins(c.say("STARTTLS"), "503")
        c.say("RSET")
        c.send(b"STARTTLS\r\nMAIL FROM:<injected@elsewhere.example>\r\nRCPT TO:<alice@example.test>\r\n")
        self.begins(c.reply(), "220")
        c.start_tls()
        self.begins(c.say("MAIL FROM:<a@b.example>"), "503")
        got = c.say("EHLO x")
        self.assertNotIn(b"STARTTLS", got)
        self.begins(c.say("STARTTLS"), "503")
        self.assertFalse(any(b"injected" in f[1] for f in w.frames))

    def test_login(self):
        w = self.tls_world()
        c = Client(w.ports[2])
        c.start_tls()
        self.begins(c.reply(), "220")
        offered = b"SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"
        self.assertIn(b"AUTH " + offered + b"\n250-AUTH=" + offered + b"\n", c.say("EHLO x"))
        self.begins(c.say("AUTH NTLM TlRMTVNTUAABAAAA"), "504 5.5.4")
        self.begins(c.say("AUTH PLAIN " + base64.b64encode(b"\0alice\0wrong").decode()), "535 5.7.8")
        self.assertEqual(c.say("auth login"), b"334 VXNlcm5hbWU6")
        self.assertEqual(c.say(base64.b64encode(b"alice").decode()), b"334 UGFzc3dvcmQ6")
        self.begins(c.say("*"), "501 5.7.0")
        self.assertEqual(c.say("AUTH LOGIN " + base64.b64encode(b"alice").decode()), b"334 UGFzc3dvcmQ6")
        self.begins(c.say("=="), "501 5.5.2")
        self.begins(c.say("AUTH PLAIN " + "x" * 12300), "500 5.5.6")
        self.begins(c.say("AUTH PLAIN " + "A" * (12288 - 16 - 11 + 1) + "\x00"), "500 5.5.2")
        self.assertEqual(c.say("AUTH PLAIN"), b"334 ")
        self.begins(c.say("x" * 20000), "500 5.5.6")
        self.assertEqual(c.say("AUTH PLAIN"), b"334 ")
        self.begins(c.say(base64.b64encode(b"\0alice\0secret").decode()), "235 2.7.0")
        self.begins(c.say(PLAIN), "503")
        self.begins(c.say("MAIL FROM:<alice@example.test>"), "250")
        self.begins(c.say("RCPT TO:<x@foreign.example>"), "250")
        self.begins(c.say("DATA"), "354")
        self.begins(c.say(b"big\r\n" * 40000 + b".\r\n"), "250")
        self.assertEqual(len(w.messages[0][0]), 200000)
        self.assertFalse(any(b"secret" in v for e in w.log for _, v in e[1]))

    def test_what_a_login_is_bound_to(self):
        """Auth hears of the connection what SCRAM and NTLM have a use for, and for PLAIN nothing."""
        w = self.tls_world(ntlm=1)
        w.on_auth = lambda mechanism, has, response, state: (AUTH_REJECTED, b"")
        exporters, words = set(), ("SCRAM-SHA-256", "scram-sha-256-plus", "NTLM", "PLAIN", "LOGIN")
        for version, unique in ((ssl.TLSVersion.TLSv1_2, 12), (ssl.TLSVersion.TLSv1_3, 0)):
            c = Client(w.ports[2])
            tls = c.start_tls(versions=version)
            c.reply()
            self.assertIn(b"SCRAM-SHA-256-PLUS", c.say("EHLO x"))
            for word in words:
                self.begins(c.say("AUTH %s Zm9v" % word), "535 5.7.8")
            for word, (kind, body) in zip(words, [f for f in w.frames if f[0] == 0x0304][-5:]):
                mechanism, at = take(body, 1)
                response, at = take(body, at + 1)
                exporter, at = take(body, at)
                end_point, at = take(body, at)
                self.assertEqual((mechanism, response, at), (word.upper().encode(), b"foo", len(body)))
                if word in ("PLAIN", "LOGIN"):
                    self.assertEqual((exporter, end_point), (b"", b""))
                    continue
                self.assertEqual(end_point, hashlib.sha256(tls.getpeercert(binary_form=True)).digest())
                self.assertEqual(len(exporter), 32 + unique)
                if unique:
                    self.assertEqual(exporter[32:], tls.get_channel_binding("tls-unique"))
                exporters.add(exporter[:32])
        self.assertEqual(len(exporters), 2, "each connection has its own")

    def test_no_login_without_tls(self):
        w = self.tls_world()
        c = w.client(1)
        self.assertNotIn(b"AUTH", c.say("EHLO x"))
        self.begins(c.say(PLAIN), "538 5.7.11")
        self.assertFalse(any(f[0] == 0x0304 for f in w.frames))

    def test_what_is_signed_is_a_transcript(self):
        w = self.tls_world()
        del self.keys.asked[:]
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            Client(w.ports[2]).start_tls(versions=version)
        (old, params), (new, transcript) = self.keys.asked
        self.assertEqual((old, new), (0x0403, 0x0403))
        self.assertEqual(params[64], 3, "named curve after the two randoms")
        self.assertTrue(transcript.startswith(b" " * 64 + b"TLS 1.3, server CertificateVerify\0"))

    def test_bad_handshakes(self):
        w = self.tls_world()
        c = Client(w.ports[2])
        c.send(b"EHLO this is no TLS\r\n")
        while not c.ended():
            pass
        c = w.client()
        c.say("EHLO x"), c.say("STARTTLS")
        c.socket.close()
        self.assertTrue(wait_until(lambda: len([e for e in w.log if e[0] == LOG_TLS_FAILED]) == 2))
        self.assertTrue(wait_until(lambda: w.failures.count(2) == 2))
        self.begins(w.client().say("QUIT"), "221")

    def test_without_the_keys_process(self):
        w = self.world(certificates=[(self.ec, [])])
        c = w.client()
        c.say("EHLO x")
        self.begins(c.say("STARTTLS"), "454 4.7.0")
        self.works(c)
        self.assertTrue(Client(w.ports[2]).ended())

    def test_without_certificates(self):
        w = self.world()
        c = w.client()
        self.assertNotIn(b"STARTTLS", c.say("EHLO x"))


class Proxy(Case):
    V2 = b"\r\n\r\n\0\r\nQUIT\n"

    def ask(self, w, header):
        c = Client(w.ports[0])
        c.send(header)
        got = c.reply()
        if got.startswith(b"220"):
            self.begins(c.say("QUIT"), "221")
        return got

    def test_headers(self):
        w = self.world(proxy_from=["127.0.0.0/8"])
        self.begins(self.ask(w, b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n"), "220")
        self.begins(self.ask(w, b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 25\r\n"), "220")
        four = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.2") + struct.pack(">HH", 99, 25)
        self.begins(self.ask(w, self.V2 + b"\x21\x11\0\x0c" + four), "220")
        self.begins(self.ask(w, self.V2 + b"\x21\x11\0\x11" + four + b"\x04\0\x02hi"), "220")
        self.assertEqual([(a[1], a[3]) for a in w.announced],
                         [(("192.0.2.1", 1234), 1), (("2001:db8::1", 1234), 1), (("192.0.2.7", 99), 1), (("192.0.2.7", 99), 1)])

    def test_no_header_no_session(self):
        w = self.world(proxy_from=["127.0.0.1/32"])
        four = b"\0" * 12
        for header in (b"PROXY UNKNOWN\r\n", self.V2 + b"\x20\x11\0\x0c" + four, self.V2 + b"\x20\0\0\0", b"EHLO client.example\r\n",
                       b"PROXY TCP4 " + b"1" * 200, self.V2 + b"\x21\x11\xff\xff" + b"x" * 2000, b""):
            self.begins(self.ask(w, header), "421 ")
        # The log can name who it was, and nobody is believed to be somebody else.
        self.assertTrue(wait_until(lambda: [(a[1][0], a[3]) for a in w.announced] == [("127.0.0.1", 0)] * 7))

    def test_a_header_from_anybody_else_is_a_bad_command(self):
        w = self.world(proxy_from=["192.0.2.0/24"])
        c = w.client()
        self.begins(c.say("PROXY TCP4 192.0.2.1 198.51.100.2 1234 25"), "500")


class Life(Case):
    def test_timeouts(self):
        c = self.world(command=1000).client()
        self.begins(c.reply(), "421 4.4.2")
        c = self.world(data=1000).client()
        self.open_mail(c)
        c.say("DATA")
        self.begins(c.reply(), "421 4.4.2")
        w = self.world(login=1000)
        self.begins(w.client(1).reply(), "421 4.7.0")
        w = self.world(session=1000)
        c = w.client()
        self.begins(c.reply(), "421 4.4.2")
        self.assertTrue(c.ended())

    def test_a_session_that_forgets_its_deadline_is_ended(self):
        w = self.world(session=1000)
        never = threading.Event()
        w.on_welcome = lambda: never.wait(60) and sys.exit()
        c = w.client(banner=False)
        self.assertTrue(c.ended())
        self.assertTrue(wait_until(lambda: CRASH in [e[1] for e in w.exits]))
        never.set()

    def test_at_most_so_many_connections(self):
        w = self.world(connections=2)
        a, b = w.client(), w.client()
        full = "421 4.3.2 The server is busy, please try again later (server-busy)"
        for _ in range(50):
            c = Client(w.ports[0])
            self.assertEqual(c.reply(), full.encode())
            self.assertTrue(c.ended())
        self.assertTrue(Client(w.ports[2]).ended(), "with TLS from the first octet on nothing can be said")
        self.begins(Client(w.ports[1], "::1").reply(), full)
        hasty = Client(w.ports[0])
        hasty.send(b"EHLO x\r\n")
        self.begins(hasty.reply(), full)
        self.works(a), self.works(b)
        self.begins(a.say("QUIT"), "221")
        self.assertTrue(wait_until(lambda: len(w.exits) == 1))
        found = []
        self.assertTrue(wait_until(lambda: found.append(Client(w.ports[0])) or found[-1].reply()[:3] == b"220"))
        self.works(b), self.works(found[-1])
        told = [dict(e[1]) for e in w.log if e[0] == LOG_CONNECTION_REFUSED]
        self.assertEqual(len(told), 1, "one line for a flood")
        self.assertEqual((told[0][KEY_CLIENT], told[0][KEY_RULE]), (b"127.0.0.1", b"server-busy"))
        self.assertEqual(len(w.announced), 3)

    def test_many_at_once(self):
        w = self.world()
        clients = [w.client() for _ in range(12)]
        for c in clients:
            self.works(c)
        self.assertTrue(wait_until(lambda: w.statuses and w.statuses[-1][:2] == (12, 12)))
        for c in clients:
            c.say("QUIT")
        self.assertTrue(wait_until(lambda: len(w.exits) == 12))
        self.assertEqual({e[1] for e in w.exits}, {FINE})

    def test_auth_goes_and_comes_back(self):
        w = self.world()
        c = w.client()
        w.break_auth()
        self.begins(c.reply(), "421 4.3.2")
        self.assertTrue(c.ended())
        waiting = Client(w.ports[0])
        w.new_auth()
        self.begins(waiting.reply(), "220")
        self.assertEqual(waiting.say("QUIT")[:3], b"221")

    def test_a_crash_is_told(self):
        w = self.world()
        c = w.client()
        victim = self.busy_child(w)
        os.kill(victim, signal.SIGKILL)
        self.assertTrue(c.ended())
        self.assertTrue(wait_until(lambda: (victim, 0) in w.exits and w.renew == 1))
        self.begins(w.client().say("QUIT"), "221")

    @staticmethod
    def sockets(pid):
        try:
            links = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
        except OSError:
            return []
        return [link for link in links if link.startswith("socket:")]

    def busy_child(self, w):
        """A child that has come to rest: it has no listening socket left, but log, auth and the client."""
        found = []
        wait_until(lambda: found or found.extend(p for p in list(w.children) if len(self.sockets(p)) == 3))
        return found[0]

    def test_drain_lets_sessions_finish(self):
        w = self.world()
        c = w.client()
        self.open_mail(c)
        w.drain()
        self.assertTrue(wait_until(lambda: self.refuses(w.ports[0])), "nobody else comes in")
        self.begins(c.say("DATA"), "354")
        self.begins(c.say(b"x\r\n.\r\n"), "250")
        self.works(c)
        self.begins(c.say("QUIT"), "221")
        self.assertEqual(w.process.wait(20), 0)

    @staticmethod
    def refuses(port):
        with socket.socket() as s:
            s.settimeout(0.2)
            try:
                s.connect(("127.0.0.1", port))
                return not s.recv(1)
            except TimeoutError:
                return True  # it waits in the kernel's queue, for the next listener
            except OSError:
                return True

    def test_drain_twice_has_a_limit(self):
        w = self.world(shutdown=1500)
        idle, transaction = w.client(), w.client()
        self.open_mail(transaction)
        w.drain(), w.drain()
        self.begins(idle.reply(), "421 4.3.2")
        self.begins(transaction.reply(), "421 4.3.2")
        self.assertEqual(w.process.wait(20), 0)

    def test_the_master_goes(self):
        w = self.world()
        c = w.client()
        w.master.shutdown(socket.SHUT_RDWR)
        self.assertEqual(w.process.wait(20), 0)
        self.begins(c.reply(), "421 4.3.2")

    def test_nothing_of_the_listeners_is_left_in_a_session(self):
        w = self.world()
        c = w.client()
        self.works(c)
        pid = self.busy_child(w)
        fds = {fd: os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)}
        # 0 1 2, log, auth's channel, the client, the stop pipe
        self.assertEqual(len(fds), 7, fds)

    def free_descriptors(self, w, c):
        self.works(c)
        pid = self.busy_child(w)
        with open("/proc/%d/limits" % pid) as f:
            soft, hard = next(line for line in f if line.startswith("Max open files")).split()[3:5]
        self.assertEqual(soft, hard)
        return int(soft) - len([fd for fd in os.listdir("/proc/%d/fd" % pid) if int(fd) < int(soft)])

    def test_a_session_has_room_for_the_channels_that_it_may_get_and_no_more(self):
        w = self.world()
        self.assertEqual(self.free_descriptors(w, w.client()), 1, "the queue's")
        folder = tempfile.mkdtemp(prefix="gatepost-keys-")
        self.addCleanup(shutil.rmtree, folder)
        keys = Keys(folder)
        w = self.world(keys=keys, certificates=[(keys.make("mx.example.test"), [])])
        c = w.client()
        self.assertEqual(self.free_descriptors(w, c), 2, "the queue's, and the keys' for a handshake")
        self.open_mail(c)
        c.say("RSET")
        self.begins(c.say("STARTTLS"), "220")
        c.start_tls()
        self.open_mail(c)
        self.begins(c.say("DATA"), "354")
        self.begins(c.say(b"x\r\n.\r\n"), "250")


if __name__ == "__main__":
    told = io.StringIO()
    runner = unittest.TextTestRunner(told, warnings="ignore")
    result = unittest.main(exit=False, testRunner=runner).result
    failed = len(result.failures) + len(result.errors)
    if failed or not result.testsRun:
        print(told.getvalue())
    print("%d passed, %d failed" % (result.testsRun - failed, failed))
    sys.exit(1 if failed or not result.testsRun else 0)
