#!/usr/bin/env python3
"""Tests of mock-upstream and sse-load: test_mock.py MOCK SSE_LOAD. Other tests believe what these two
say, so each failure must look on the wire as it is meant to, and be judged as what it is."""
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

MOCK, LOAD = sys.argv[1:3]
del sys.argv[1:3]


def request(model="m", extra="", stream=False, headers="", path="/v1/chat/completions"):
    body = '{"messages":[{"role":"user","content":"a \\"model\\": \\\\"}],%s"model":"%s"%s}' % (
        '"stream" : true,' if stream else "", model, extra)
    return (f"POST {path} HTTP/1.1\r\nHost: mock\r\n{headers}Content-Length: {len(body.encode())}\r\n\r\n"
            + body).encode()


def dechunk(data):
    """(body, complete)"""
    body = b""
    while True:
        line, sep, rest = data.partition(b"\r\n")
        if not sep:
            return body, False
        n = int(line, 16)
        if n == 0:
            return body, rest == b"\r\n"
        body += rest[:n]
        if len(rest) < n + 2:
            return body, False
        data = rest[n + 2:]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mock = subprocess.Popen([MOCK], stdout=subprocess.PIPE, text=True)
        cls.port = int(cls.mock.stdout.readline().rsplit(":", 1)[1])

    @classmethod
    def tearDownClass(cls):
        cls.mock.send_signal(signal.SIGTERM)
        code = cls.mock.wait(10)
        cls.mock.stdout.close()
        if code != 0:
            raise AssertionError(f"mock-upstream ended with {code} on SIGTERM")

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), 5)
        s.settimeout(5)
        return s

    def until_close(self, raw):
        with self.connect() as s:
            s.sendall(raw)
            data = b""
            try:
                while piece := s.recv(65536):
                    data += piece
            except ConnectionResetError:
                return data, "reset"
            return data, "close"

    def one(self, s, raw=b""):
        """Sends raw and reads one whole reply: (status, head, body)."""
        s.sendall(raw)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = s.recv(65536)
            self.assertTrue(piece, "closed before the head was complete")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        if b"chunked" in head:
            while not dechunk(body)[1]:
                body += s.recv(65536)
            body = dechunk(body)[0]
        else:
            n = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < n:
                body += s.recv(65536)
        return int(head.split()[1]), head, body

    def get(self, path):
        with self.connect() as s:
            return self.one(s, f"GET {path} HTTP/1.1\r\nHost: m\r\n\r\n".encode())[2]

    def stats(self):
        return json.loads(self.get("/mock/stats"))


class Replies(Case):
    def test_json(self):
        with self.connect() as s:
            for size in (600, 5000, 300000):
                status, _, body = self.one(s, request(f"m?size={size}"))
                self.assertEqual((status, len(body)), (200, size))
                doc = json.loads(body)
                self.assertEqual(doc["model"], "m")
                self.assertEqual(doc["usage"]["total_tokens"], 150)

    def test_ids_differ(self):
        with self.connect() as s:
            ids = {json.loads(self.one(s, request())[2])["id"] for _ in range(3)}
        self.assertEqual(len(ids), 3)

    def test_stream(self):
        for include in (False, True):
            extra = ',"stream_options" : { "include_usage" : true }' if include else ""
            with self.connect() as s:
                _, head, body = self.one(s, request("m?chunks=4", extra, stream=True))
                self.one(s, request())  # the connection goes on
            self.assertIn(b"text/event-stream", head)
            events = body.decode().split("\n\n")
            self.assertEqual(events[-2:], ["data: [DONE]", ""])
            docs = [json.loads(e[6:]) for e in events[:-2]]
            texts = [c["delta"].get("content", "") for d in docs for c in d["choices"]]
            self.assertEqual([t.split(" ")[0] for t in texts if t], ["w0", "w1", "w2", "w3"])
            self.assertEqual(len(events[2]) + 2, 220)
            self.assertEqual("usage" in docs[0], include)
            self.assertEqual(docs[-1].get("usage", {}).get("total_tokens"), 150 if include else None)

    def test_split(self):
        with self.connect() as s:
            whole = self.one(s, request("m?chunks=2", stream=True))[2]
            split = self.one(s, request("m?chunks=2&split=1", stream=True))[2]
        self.assertEqual(len(whole), len(split))

    def test_nested_keys_do_not_count(self):
        body = b'{"tools":[{"stream":true,"model":"no?status=500"}],"n":1,"model":"yes"}'
        with self.connect() as s:
            status, head, reply = self.one(
                s, b"POST /chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.assertEqual((status, json.loads(reply)["model"]), (200, "yes"))
        self.assertNotIn(b"event-stream", head)

    def test_escaped_model(self):
        with self.connect() as s:
            self.assertEqual(self.one(s, request("m?status=418\\u0026retry_after=7"))[0], 418)

    def test_status_and_retry_after(self):
        with self.connect() as s:
            status, head, body = self.one(s, request("m?status=429&retry_after=2", stream=True))
            self.assertEqual(status, 429)
            self.assertIn(b"Retry-After: 2", head)
            self.assertEqual(json.loads(body)["error"]["code"], "mock_429")
            self.assertEqual(self.one(s, request(headers="x-mock-status: 503\r\n"))[0], 503)
            self.assertEqual(self.one(s, request())[0], 200)

    def test_delay_and_pace(self):
        with self.connect() as s:
            begin = time.monotonic()
            self.one(s, request("m?delay_ms=60"))
            self.assertGreaterEqual(time.monotonic() - begin, 0.059)
            begin = time.monotonic()
            self.one(s, request("m?chunks=4&pace_ms=30", stream=True))
            self.assertGreaterEqual(time.monotonic() - begin, 0.089)

    def test_pipelining_keeps_order(self):
        with self.connect() as s:
            raw = request("a?delay_ms=30") + request("b?chunks=2&pace_ms=10", stream=True) + request(
                "c") + b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n"
            s.sendall(raw)
            data = b""
            while piece := s.recv(65536):
                data += piece
        at = [data.index(x) for x in (b'"model":"a"', b'"model":"b"', b'"model":"c"', b"mock-small")]
        self.assertEqual(at, sorted(at))
        self.assertEqual(data.count(b"HTTP/1.1 200"), 4)

    def test_last(self):
        raw = request("größe")
        with self.connect() as s:
            self.one(s, raw)
        head, _, body = raw.partition(b"\r\n\r\n")
        self.assertEqual(self.get("/mock/last"), body)
        self.assertEqual(self.get("/mock/last-head"), head + b"\r\n\r\n")

    def test_chunked_body_in_single_bytes(self):
        body = request().partition(b"\r\n\r\n")[2] + b" " * 20
        raw = b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        step = 0
        for at in range(0, len(body), 7):
            piece = body[at:at + 7]
            raw += b"%x;x=y\r\n%s\r\n" % (len(piece), piece)
        raw += b"0\r\nTrailer: x\r\n\r\n"
        with self.connect() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for step in range(len(raw) - 1):
                s.send(raw[step:step + 1])
            self.assertEqual(self.one(s, raw[-1:])[0], 200)
        self.assertEqual(self.get("/mock/last"), body)

    def test_large_body_whole_and_chunked(self):
        body = b'{"model":"m","x":"' + b"y" * 3_000_000 + b'"}'
        with self.connect() as s:
            head = b"POST /v1/chat/completions HTTP/1.1\r\n"
            self.one(s, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self.assertEqual(self.get("/mock/last"), body)
            self.one(s, head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
                len(body), body))
            self.assertEqual(self.get("/mock/last"), body)

    def test_expect_continue(self):
        raw = request(headers="Expect: 100-continue\r\n")
        head, _, body = raw.partition(b"\r\n\r\n")
        with self.connect() as s:
            s.sendall(head + b"\r\n\r\n")
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            self.assertEqual(self.one(s, body)[0], 200)

    def test_http10(self):
        raw = request("m?chunks=2", stream=True).replace(b"HTTP/1.1", b"HTTP/1.0")
        data, how = self.until_close(raw)
        self.assertEqual(how, "close")
        self.assertTrue(data.endswith(b"data: [DONE]\n\n"))
        self.assertNotIn(b"chunked", data)


class Failures(Case):
    def test_json(self):
        data, how = self.until_close(request("m?fail=close"))
        self.assertEqual((data, how), (b"", "close"))
        self.assertEqual(self.until_close(request("m?fail=reset")), (b"", "reset"))
        data, how = self.until_close(request("m?fail=cut"))
        self.assertEqual((len(data.partition(b"\r\n\r\n")[2]), how), (300, "close"))
        self.assertIn(b"Content-Length: 600", data)
        self.assertFalse(self.until_close(request("m?fail=garbage"))[0].startswith(b"HTTP"))

    def test_streams(self):
        for fail, ends, has_done in (("cut", False, False), ("drop", False, False),
                                     ("nodone", True, False), ("error", True, False),
                                     ("none", True, True)):
            raw = request(f"m?chunks=6&after=3&fail={fail}", stream=True,
                          headers="Connection: close\r\n")
            data, _ = self.until_close(raw)
            body, complete = dechunk(data.partition(b"\r\n\r\n")[2])
            self.assertEqual((complete, b"[DONE]" in body), (ends, has_done), fail)
            self.assertEqual(body.count(b'"content":"w'), 6 if fail == "none" else 3, fail)
            self.assertEqual(b'data: {"error"' in body, fail == "error")
        self.assertEqual(self.until_close(request("m?chunks=4&fail=cutrst", stream=True))[1], "reset")

    def test_silence(self):
        for fail, stream in (("stall", False), ("stall", True), ("freeze", False), ("freeze", True)):
            with self.connect() as s:
                s.settimeout(0.2)
                s.sendall(request(f"m?fail={fail}", stream=stream))
                data = b""
                with self.assertRaises(TimeoutError):
                    while piece := s.recv(65536):
                        data += piece
                self.assertTrue(data.startswith(b"HTTP/1.1 200"))
                self.assertEqual(fail == "stall", data.endswith(b"\r\n\r\n") and b"w0" not in data)

    def test_slow(self):
        with self.connect() as s:
            s.settimeout(0.5)
            s.sendall(request("m?fail=slow"))
            begin = time.monotonic()
            data = b""
            while len(data) < 12:
                data += s.recv(1)
            self.assertGreater(time.monotonic() - begin, 0.1)

    def test_huge_ends_with_the_client(self):
        for stream in (False, True):
            with self.connect() as s:
                s.sendall(request("m?fail=huge", stream=stream))
                got = 0
                while got < 5_000_000:
                    got += len(s.recv(1 << 20))
        self.assert_no_streams()

    def assert_no_streams(self):
        for _ in range(100):
            if self.stats()["streams_open"] == 0:
                return
            time.sleep(0.02)
        self.fail(f"streams stay open: {self.stats()}")

    def test_aborted_is_counted(self):
        before = self.stats()["aborted"]
        s = self.connect()
        s.sendall(request("m?chunks=1000&pace_ms=20", stream=True))
        s.recv(100)
        self.assertEqual(self.stats()["streams_open"], 1)
        s.close()
        self.assert_no_streams()
        self.assertEqual(self.stats()["aborted"], before + 1)


class Hostile(Case):
    def test_refused(self):
        for raw, status in (
                (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
                (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
                (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
                (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
                (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
                (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 413),
                (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
                (b"GET / HTTP/1.1\r\nA: " + b"x" * 70000 + b"\r\n\r\n", 431),
                (b"GET /\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nx\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nx-mock-fail: perhaps\r\n\r\n", 400)):
            data, _ = self.until_close(raw)
            self.assertIn(b" %d " % status, data.split(b"\r\n")[0], raw[:80])

    def test_unfinished_json(self):
        for body in (b"", b"{", b'{"', b'{"model', b'{"model":', b'{"model":"', b'{"model":"x\\',
                     b'{"model":"x\\u00', b"[1]", b'{"a":[', b'{"stream_options":{', b'{"a" 1}'):
            with self.connect() as s:
                status = self.one(s, b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
                                  % len(body) + body)[0]
                self.assertEqual(status, 400, body)

    def test_mutations(self):
        rnd = random.Random(20)
        base = [request(), request("m?chunks=3", stream=True),
                b"POST /chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n"]
        for _ in range(400):
            raw = bytearray(rnd.choice(base) + rnd.choice(base))
            for _ in range(rnd.randrange(1, 6)):
                raw[rnd.randrange(len(raw))] = rnd.randrange(256)
            with self.connect() as s:
                cut = rnd.randrange(len(raw))
                s.sendall(raw[:cut])
                try:
                    s.sendall(raw[cut:])
                    if rnd.random() < 0.3:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    else:
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536):
                            pass
                except OSError:
                    pass
        self.assertIsNone(self.mock.poll())
        with self.connect() as s:
            self.assertEqual(self.one(s, request())[0], 200)
        for _ in range(100):
            if self.stats()["connections_open"] == 1:
                break
            time.sleep(0.02)
        self.assertEqual(self.stats()["connections_open"], 1)


class Load(Case):
    def load(self, model, *args, **kw):
        r = subprocess.run([LOAD, "--model", model, *args,
                            f"http://127.0.0.1:{self.port}/v1/chat/completions"],
                           capture_output=True, text=True, timeout=60, check=False, **kw)
        return r.returncode, json.loads(r.stdout.splitlines()[-1])

    def test_complete(self):
        code, s = self.load("m?chunks=5&pace_ms=100&usage=2", "--streams", "300", "--ramp", "3000")
        self.assertEqual((code, s["complete"], s["max_concurrent"]), (0, 300, 300))
        self.assertEqual(s["events"], 300 * 9)
        self.assertGreaterEqual(s["gap_ms"]["p50"], 95)

    def test_verdicts(self):
        for model, verdict in (("m?fail=cut", "cut"), ("m?fail=drop", "cut"), ("m?fail=cutrst", "cut"),
                               ("m?fail=nodone", "no_done"), ("m?fail=error", "error_event"),
                               ("m?status=503", "status"), ("m?fail=close", "connect"),
                               ("m?fail=reset", "connect"), ("m?fail=garbage", "bad_http")):
            code, s = self.load(model, "--streams", "3")
            self.assertEqual((code, s["failures"], s["complete"]), (1, {verdict: 3}, 0), model)
        code, s = self.load("m?fail=freeze", "--streams", "3", "--timeout", "1")
        self.assertEqual((code, s["failures"]), (1, {"timeout": 3}))

    def test_split_anywhere(self):
        for split in (1, 2, 3, 7, 100):
            code, s = self.load(f"m?chunks=5&split={split}", "--streams", "2")
            self.assertEqual((code, s["events"]), (0, 2 * 8))

    def test_hold(self):
        p = subprocess.Popen([LOAD, "--hold", "--streams", "50", "--model",
                              "m?chunks=100000&pace_ms=50",
                              f"http://127.0.0.1:{self.port}/v1/chat/completions"],
                             stdout=subprocess.PIPE, text=True)
        self.assertEqual(p.stdout.readline(), "ready\n")
        self.assertEqual(self.stats()["streams_open"], 50)
        p.send_signal(signal.SIGTERM)
        out, _ = p.communicate(timeout=10)
        s = json.loads(out)
        self.assertEqual((p.returncode, s["open_at_end"], s["failed"]), (0, 50, 0))


class Flags(unittest.TestCase):
    def test_threads_port_file_and_defaults(self):
        with tempfile.TemporaryDirectory() as d:
            f = os.path.join(d, "port")
            p = subprocess.Popen([MOCK, "--threads", "2", "--port-file", f, "--status", "404"],
                                 stdout=subprocess.PIPE, text=True)
            line = p.stdout.readline()
            with open(f, encoding="ascii") as port_file:
                self.assertEqual(line, f"listening on 127.0.0.1:{port_file.read().strip()}\n")
            port = int(line.rsplit(":", 1)[1])
            for _ in range(8):
                with socket.create_connection(("127.0.0.1", port), 5) as s:
                    s.sendall(request())
                    self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 404"))
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.sendall(b"GET /mock/stats HTTP/1.1\r\n\r\n")
                self.assertIn(b'"requests":8,', s.recv(1000))
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(10), 0)
            p.stdout.close()

    def test_bad_flags(self):
        for args in (["--port", "x"], ["--nonsense", "1"], ["--status"], ["--fail", "never"]):
            r = subprocess.run([MOCK, *args], capture_output=True, text=True, check=False, timeout=10)
            self.assertEqual(r.returncode, 2)
            self.assertIn(args[0], r.stderr)


class Tls(unittest.TestCase):
    def test_tls(self):
        import ssl
        with tempfile.TemporaryDirectory() as d:
            cert, key = os.path.join(d, "c.pem"), os.path.join(d, "k.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days",
                            "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                           check=True, capture_output=True)
            p = subprocess.Popen([MOCK, "--tls", cert, key], stdout=subprocess.PIPE, text=True)
            port = int(p.stdout.readline().rsplit(":", 1)[1])
            ctx = ssl.create_default_context(cafile=cert)
            with socket.create_connection(("127.0.0.1", port), 5) as raw:
                with ctx.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                    for model, size in (("m", 600), ("m?size=2000000", 2000000)):
                        s.sendall(request(model))
                        data = b""
                        while len(data.partition(b"\r\n\r\n")[2]) < size:
                            data += s.recv(65536)
                    s.sendall(request("m?chunks=3&pace_ms=10", stream=True))
                    data = b""
                    while not data.endswith(b"0\r\n\r\n"):
                        data += s.recv(65536)
                    self.assertIn(b"[DONE]", data)
            r = subprocess.run([LOAD, "--streams", "40", "--model", "m?chunks=3&pace_ms=20",
                                f"https://127.0.0.1:{port}/v1/chat/completions"],
                               capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual((r.returncode, json.loads(r.stdout)["events"]), (0, 40 * 6), r.stdout)
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(10), 0)
            p.stdout.close()


if __name__ == "__main__":
    unittest.main()
