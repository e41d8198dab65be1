"""Sizes, counts and times that a client may not exceed."""
import json
import time

import pytest

from harness.gateway import Gateway, openai, model
from harness.raw import CHAT, Raw, chat, chunks, eventually, get, post

SERVER = {"max_body_bytes": 20_000, "max_head_bytes": 4096, "max_target_bytes": 300, "max_headers": 20,
          "head_timeout_ms": 600, "body_timeout_ms": 600, "idle_timeout_ms": 900, "write_timeout_ms": 1500}


@pytest.fixture(scope="module")
def gw(mock):
    with Gateway(server=SERVER, providers={"up": openai(mock.url)}, models={"m": model(("up", "real"))}) as g:
        yield g


@pytest.fixture
def c(gw):
    with Raw(gw) as raw:
        yield raw


def refused(c, status):
    r = c.read_reply()
    assert r.status == status, r
    assert r.error["message"] and r.header("x-request-id") and r.header("connection") == "close"
    assert c.ended()
    return r


def fit(size):
    """A chat body of exactly so many bytes."""
    empty = len(json.dumps(chat("")).encode())
    return json.dumps(chat("x" * (size - empty))).encode()


def test_body_at_the_limit(c):
    assert c.send(post(fit(20_000))).read_reply().status == 200


def test_413_declared(c):
    c.send(post(b"", length=20_001)[:-1] + b"\n")
    refused(c, 413)


def test_413_declared_with_the_body_on_its_way(c):
    c.send(post(fit(900_000)))
    refused(c, 413)


def test_413_expect_continue(c):
    c.send(post(b"", "Expect: 100-continue", length=20_001))
    refused(c, 413)


@pytest.mark.parametrize("size", [500, 100_000])
def test_413_chunked(c, size):
    head = post(b"", "Transfer-Encoding: chunked", length=False)
    assert c.send(head + chunks(fit(20_000), size)).read_reply().status == 200
    c.send(head + chunks(fit(60_000), size))
    refused(c, 413)


def test_414(c):
    assert c.send(get("/" + "x" * 299)).read_reply().status == 404
    c.send(get("/" + "x" * 300))
    refused(c, 414)


def test_414_without_end(c):
    c.send("GET /" + "x" * 10_000)
    refused(c, 414)


def test_431_bytes(c):
    room = 4096 - len(get("/healthz", "X: "))
    assert c.send(get("/healthz", "X: " + "y" * (room - 1))).read_reply().status == 200
    c.send(get("/healthz", "X: " + "y" * 4096))
    refused(c, 431)


def test_431_bytewise(gw):
    with Raw(gw) as c:
        c.send(get("/healthz", "X: " + "y" * 5000)[:4096], pieces=64)
        refused(c, 431)


def test_431_count(c):
    given = get().count(b"\r\n") - 2
    more = [f"X-{i}: y" for i in range(20 - given)]
    assert c.send(get("/healthz", *more)).read_reply().status == 200
    c.send(get("/healthz", *more, "One-More: z"))
    refused(c, 431)


def test_431_trailers(c):
    c.send(post(b"", "Transfer-Encoding: chunked", length=False) + b"0\r\n" + b"X: y\r\n" * 1000)
    assert refused(c, 431)


def within(start, low, high):
    took = time.monotonic() - start
    assert low <= took <= high, took


def test_408_slow_head(c):
    start = time.monotonic()
    c.send("GET /healthz HT")
    refused(c, 408)
    within(start, 0.5, 5)


def test_408_head_in_drops(gw):
    """Bytes that keep coming do not move a head's deadline."""
    with Raw(gw) as c:
        start = time.monotonic()
        for b in b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 1000:
            try:
                c.send(bytes([b]))
            except ConnectionError:
                break
            if not c.silent(0.05):
                break
        refused(c, 408)
        within(start, 0.5, 5)


def test_408_slow_body(c):
    start = time.monotonic()
    c.send(post(chat())[:-5])
    r = refused(c, 408)
    assert "body" in r.error["message"]
    within(start, 0.5, 5)


def test_body_in_drops_is_not_late(c):
    """Of a body only silence is limited."""
    data = post(chat())
    c.send(data[:-8])
    for b in data[-8:]:
        time.sleep(0.2)
        c.send(bytes([b]))
    assert c.read_reply().status == 200


def test_408_slow_discarded_body(gw):
    with Raw(gw) as c:
        data = post(b"x" * 5000, key="tp_live_" + "0" * 40)
        c.send(data[:1000])
        assert c.read_reply().status == 401
        start = time.monotonic()
        assert c.ended()
        within(start, 0.4, 5)


def test_idle_closes_silently(gw):
    for first in (b"", get(), post(chat()) + b"\r\n"):
        with Raw(gw) as c:
            if first:
                assert c.send(first).read_reply().status == 200
            start = time.monotonic()
            assert c.ended(), first
            within(start, 0.4, 5)


def test_deadlines_of_earlier_phases_do_not_strike_later(gw):
    """Requests at intervals below every limit keep a connection for longer than any of them."""
    with Raw(gw) as c:
        for _ in range(4):
            time.sleep(0.45)
            assert c.send(get()).read_reply().status == 200


def test_slow_answer_outlives_all_time_outs(mock):
    with Gateway(server=SERVER, providers={"up": openai(mock.url)},
                 models={"late": model(("up", "m?delay_ms=1800")),
                         "drip": model(("up", "m?chunks=4&pace_ms=500"))}) as g:
        with Raw(g) as a, Raw(g) as b:
            a.send(post(chat(model="late")))
            b.send(post(chat(model="drip", stream=True)))
            assert a.read_reply().status == 200
            r = b.read_reply()
            assert r.complete and r.events()[-1] == b"[DONE]"


def test_write_timeout(mock):
    """A client that takes nothing is cut off; one that takes a little now and then is not."""
    with Gateway(server={**SERVER, "idle_timeout_ms": 20000}, providers={"up": openai(mock.url)},
                 models={"flood": model(("up", "m?fail=huge&chunk_bytes=4000"))}) as g:
        mock.reset()
        with Raw(g, rcvbuf=8192) as still, Raw(g, rcvbuf=8192) as slow:
            still.send(post(chat(model="flood", stream=True)))
            slow.send(post(chat(model="flood", stream=True)))
            end = time.monotonic() + 4.5
            while time.monotonic() < end:
                time.sleep(0.2)
                assert slow.sock.recv(3000)
            eventually(lambda: mock.stats()["aborted"] == 1, 5)
            assert slow.sock.recv(3000)
            assert g.status()["connections"] == 1
        eventually(lambda: mock.stats()["aborted"] == 2, 10)


def test_silent_tls_handshake(tmp):
    """Who opens a TLS connection and does not speak TLS within the time of a head is let go."""
    import subprocess
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=t", "-keyout", tmp / "t.key", "-out", tmp / "t.pem"], check=True, capture_output=True)
    tls = {"address": "127.0.0.1:0", "cert_file": str(tmp / "t.pem"), "key_file": str(tmp / "t.key")}
    with Gateway(server={"listen": tls, "head_timeout_ms": 500}) as g:
        for first in (b"", b"\x16\x03\x01\x00\x80"):
            with Raw(g) as c:
                start = time.monotonic()
                c.send(first)
                assert c.ended()
                within(start, 0.3, 5)


def test_connections_limit(mock):
    with Gateway(server={"max_connections": 5}, providers={"up": openai(mock.url)},
                 models={"hang": model(("up", "m?fail=stall"))}) as g:
        held = [Raw(g) for _ in range(5)]
        for h in held:
            assert h.send(get()).read_reply().status == 200
        held[0].send(post(chat(model="hang", stream=True)))
        for _ in range(10):
            with Raw(g) as c:
                r = c.send(post(chat())).read_reply()
                assert r.status == 503 and r.header("retry-after") == "1", r
                assert r.error["type"] == "service_unavailable_error" and r.header("connection") == "close"
        assert g.status()["refused"] == 10
        assert [h.send(get()).read_reply().status for h in held[1:]] == [200] * 4
        for h in held:
            h.close()
        eventually(lambda: g.status()["connections"] == 0)
        with Raw(g) as c:
            assert c.send(post(chat())).read_reply().status == 200


def test_refused_connections_are_bounded(mock):
    """Even those that are told are few: beyond, the answer comes at once and blindly."""
    with Gateway(server={"max_connections": 1}) as g:
        with Raw(g) as held:
            assert held.send(get()).read_reply().status == 200
            many = [Raw(g) for _ in range(160)]
            statuses = [0] * 160
            for i, m in enumerate(many):
                try:
                    m.send(get())
                except ConnectionError:
                    pass
                statuses[i] = m.read_reply().status
                m.close()
            assert statuses == [503] * 160
            assert held.send(get()).read_reply().status == 200
        eventually(lambda: g.status()["connections"] == 0)
        with Raw(g) as c:
            assert c.send(get()).read_reply().status == 200
