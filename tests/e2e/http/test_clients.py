"""Clients that leave, stop reading, or end their side: nothing is kept for them, and what was being
made for them upstream is cancelled."""
import socket
import time

import pytest

from harness.gateway import Gateway, model, openai
from harness.paths import SANITIZED
from harness.raw import Raw, chat, eventually, get, post, rss_kb


@pytest.fixture(scope="module")
def gw(mock):
    models = {"stall": model(("up", "m?fail=stall")),              # head, then silence
              "never": model(("up", "m?delay_ms=600000")),         # not even a head
              "freeze": model(("up", "m?fail=freeze&after=3")),    # a few events, then silence
              "drip": model(("up", "m?chunks=10000&pace_ms=20")),
              "huge": model(("up", "m?fail=huge&chunk_bytes=8000")),
              "big": model(("up", "m?size=6000000")),
              "m": model(("up", "m"))}
    with Gateway(providers={"up": openai(mock.url)}, models=models, server={"write_timeout_ms": 120_000},
                 env={"ASAN_OPTIONS": "quarantine_size_mb=1"}) as g:
        yield g


def settled(gw):
    s = gw.status()
    return s["connections"] == 0 and s["exchanges"] == 0


def cancelled(mock, before, n=1):
    """The upstream streams were given up: the mock counts connections that ended within a reply."""
    eventually(lambda: mock.stats()["aborted"] >= before + n)


LEAVE = {"FIN": lambda c: c.close(), "RST": lambda c: c.vanish(), "half": lambda c: c.half_close()}


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("name,stream", [("never", True), ("never", False), ("stall", True), ("freeze", True),
                                         ("drip", True), ("stall", False)])
def test_leaves_while_the_upstream_works(gw, mock, name, stream, how):
    mock.reset()
    c = Raw(gw)
    c.send(post(chat(model=name, stream=stream)))
    if name in ("freeze", "drip"):
        c.read_head()
        while c.rest.count(b"data:") < 2:
            assert c._more()
    else:
        eventually(lambda: mock.stats()["requests"] == 1)
        time.sleep(0.05)
    LEAVE[how](c)
    cancelled(mock, 0)
    eventually(lambda: settled(gw))
    if how == "half":
        c.everything()
        c.close()


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_leaves_in_each_phase_of_its_request(gw, mock, how):
    mock.reset()
    whole = post(chat(model="m"))
    body = whole.index(b"\r\n\r\n") + 4
    chunked = post(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\nab"
    for part in (b"", whole[:1], whole[:40], whole[:body - 1], whole[:body], whole[:body + 10], whole[:-1],
                 chunked, chunked[:-1], get() + whole[:30], whole[:body].replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")):
        c = Raw(gw)
        c.send(part)
        if part:
            time.sleep(0.01)
        LEAVE[how](c)
    eventually(lambda: settled(gw))
    assert mock.stats()["requests"] == 0


def test_leaves_with_requests_ahead(gw, mock):
    mock.reset()
    c = Raw(gw)
    c.send(post(chat(model="stall", stream=True)) + post(chat(model="m")) * 50)
    eventually(lambda: mock.stats()["requests"] == 1)
    time.sleep(0.05)
    c.close()
    cancelled(mock, 0)
    eventually(lambda: settled(gw))
    assert mock.stats()["requests"] == 1  # those behind it were never begun


def test_half_closed_gets_what_is_ready(gw):
    with Raw(gw) as c:
        c.send(get() + post(chat("at once")) + get()).half_close()
        assert [c.read_reply().status for _ in range(3)] == [200] * 3
        assert c.ended()


def test_record_of_a_cancelled_stream(gw, mock):
    """The access log says that it was cancelled, and whose it was."""
    c = Raw(gw)
    c.send(post(chat(model="drip", stream=True), "X-Request-Id: cancelled-one"))
    c.read_head()
    name = "%s:%d" % c.sock.getsockname()
    c.close()
    line = eventually(lambda: next((l for l in gw.access_log.read_text().splitlines()
                                    if "cancelled-one" in l), None))
    assert '"cancelled"' in line and name in line, line


def test_churn(gw, mock):
    """Many clients that come and go leave nothing behind."""
    mock.reset()
    for _ in range(10):
        cs = [Raw(gw) for _ in range(30)]
        for i, c in enumerate(cs):
            c.send(post(chat(model=("drip", "m", "echo", "stall")[i % 4], stream=i % 2 == 0)))
        for i, c in enumerate(cs):
            (c.vanish if i % 3 else c.close)()
    eventually(lambda: settled(gw))
    with Raw(gw) as c:
        assert c.send(post(chat(model="m"))).read_reply().status == 200


def in_memory(gw):
    return rss_kb(gw.pid)


def test_slow_reader_of_an_endless_stream(gw, mock):
    """The upstream is paused: neither memory nor the mock's output grows while the client sleeps."""
    with Raw(gw) as c:
        c.send(post(chat("warm", stream=True))).read_reply()
    before = in_memory(gw)
    mock.reset()
    readers = [Raw(gw, rcvbuf=16384) for _ in range(8)]
    for r in readers:
        r.send(post(chat(model="huge", stream=True)))

    last, still = -1, 0
    end = time.monotonic() + 15
    while still < 4 and time.monotonic() < end:
        now = mock.stats()["events"]
        still = still + 1 if now == last else 0
        last = now
        time.sleep(0.15)
    assert still >= 4, "the upstream was never paused"
    grown = in_memory(gw) - before
    assert grown < (40_000 if SANITIZED else 10_000), f"{grown} KB for 8 readers that sleep"
    # They wake up, and bytes flow again, in order.
    for r in readers:
        r.read_head()
        while len(r.rest) < 3_000_000:
            assert r._more()
        r.vanish()
    cancelled(mock, 0, 8)
    eventually(lambda: settled(gw))


def test_slow_reader_of_pipelined_answers(gw):
    """Answers that nobody takes stop the reading of requests."""
    with Raw(gw) as c:
        c.send(post(chat("x" * 60_000))).read_reply()
    before = in_memory(gw)
    with Raw(gw, rcvbuf=8192) as c:
        c.sock.settimeout(0.5)
        sent = 0
        with pytest.raises(socket.timeout):
            while sent < 600:
                c.sock.sendall(post(chat(f"{sent} " + "x" * 60_000)))
                sent += 1
        grown = in_memory(gw) - before
        assert grown < (40_000 if SANITIZED else 6_000), f"{grown} KB after {sent} requests"
        c.sock.settimeout(20)
        for i in range(sent):
            assert c.read_reply().json()["choices"][0]["message"]["content"].startswith(f"{i} ")
    eventually(lambda: settled(gw))


def test_slow_reader_of_a_closing_connection(gw):
    """Connection: close, and the answer is larger than the buffers between: it arrives whole, however
    long the client takes to begin."""
    with Raw(gw, rcvbuf=8192) as c:
        c.send(post(chat(model="big"), "Connection: close"))
        time.sleep(2.3)
        r = c.read_reply()
        assert r.complete and len(r.body) > 5_500_000 and r.header("connection") == "close"
    with Raw(gw, rcvbuf=8192) as c:
        c.send(post(chat(model="big"), version="1.0"))
        time.sleep(0.5)
        assert len(c.read_reply().body) > 5_500_000


def test_memory_is_given_back(gw):
    """After all that, the gateway is not much larger than a fresh one that has worked a little."""
    assert in_memory(gw) < (400_000 if SANITIZED else 60_000)
