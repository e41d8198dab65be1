"""SIGTERM and SIGINT: nothing new comes in, what is under way is finished, and the end is clean."""
import re
import signal
import socket
import threading
import time

import pytest

from harness.gateway import Gateway, model, openai
from harness.raw import Raw, chat, eventually, get, post


def make(mock, **server):
    return Gateway(providers={"up": openai(mock.url)}, server=server, workers=2,
                   models={"drip": model(("up", "m?chunks=10&pace_ms=80")), "stall": model(("up", "m?fail=stall")),
                           "late": model(("up", "m?delay_ms=600"))})


def gone(gw, seconds=20):
    """Waits for the end: its exit code, and how long it took."""
    start = time.monotonic()
    code = gw.child.proc.wait(seconds)
    return code, time.monotonic() - start


def listening(gw):
    try:
        socket.create_connection(("127.0.0.1", gw.port), 2).close()
        return True
    except ConnectionError:
        return False


def signals(gw, n):
    gw.child.proc.send_signal(n)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "stop"])
def test_drain_finishes_what_is_under_way(mock, how):
    with make(mock) as gw:
        stream, late, idle, fresh, slow_head = (Raw(gw) for _ in range(5))
        idle.send(get()).read_reply()
        stream.send(post(chat(model="drip", stream=True)))
        stream.read_head()
        late.send(post(chat(model="late")) + get())  # the second one is refused its turn, not cut
        request = post(chat("half a head"))
        slow_head.send(request[:30])
        time.sleep(0.1)
        if how == "stop":
            assert '"ok":true' in gw.command("stop")
        else:
            signals(gw, how)
        assert idle.ended(), "idle connections end at once"
        eventually(lambda: not listening(gw), 5)
        assert gw.child.proc.poll() is None
        slow_head.send(request[30:])
        r = slow_head.read_reply()
        assert r.status == 200 and r.header("connection") == "close"
        r = late.read_reply()
        assert r.status == 200 and r.header("connection") == "close"
        assert late.ended()
        data, reset = stream.everything()
        assert data.count(b"data: {") >= 10 and b"data: [DONE]" in data and data.endswith(b"0\r\n\r\n")
        assert not reset
        for c in (stream, fresh):
            c.close()
        code, took = gone(gw)
        assert code == 0 and took < 5, (code, took)
        assert "stopped" in gw.log() and not (gw.dir / "run" / "admin.sock").exists()


def test_idle_gateway_stops_at_once(mock):
    with make(mock) as gw:
        with Raw(gw) as c:
            c.send(get()).read_reply()
            signals(gw, signal.SIGTERM)
            code, took = gone(gw)
            assert code == 0 and took < 1.5, took


def test_request_on_its_way_is_still_answered(mock):
    """A request that meets the signal half-way is served, not reset."""
    for _ in range(5):
        with make(mock) as gw:
            cs = [Raw(gw) for _ in range(20)]
            for c in cs:
                c.send(get())
            signals(gw, signal.SIGTERM)
            assert [c.read_reply().status for c in cs] == [200] * 20
            assert gone(gw)[0] == 0


def test_over_the_limit_is_cut_and_still_clean(mock):
    mock.reset()
    with make(mock, drain_timeout_ms=500) as gw:
        a, b = Raw(gw), Raw(gw)
        a.send(post(chat(model="stall", stream=True)))
        b.send(post(chat(model="drip?", stream=True)))
        b.send(post(chat(model="stall")))
        eventually(lambda: mock.stats()["requests"] == 2)
        signals(gw, signal.SIGTERM)
        code, took = gone(gw)
        assert code == 0 and 0.3 < took < 4, (code, took)
        assert "drain_timeout_ms" in gw.log()
        a.everything()
        eventually(lambda: mock.stats()["aborted"] == 2)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_it_at_once(mock, first):
    with make(mock) as gw:
        a = Raw(gw)
        a.send(post(chat(model="drip", stream=True)))
        a.read_head()
        b = Raw(gw)
        b.send(post(chat(model="stall", stream=True)))
        time.sleep(0.1)
        signals(gw, first)
        eventually(lambda: "stopping" in gw.log())
        signals(gw, signal.SIGTERM)
        code, took = gone(gw)
        assert code == 0 and took < 3, (code, took)
        data, _ = a.everything()
        assert b"[DONE]" not in data and not data.endswith(b"0\r\n\r\n"), "a cut stream looks complete"
        log = gw.log()
        assert "twice" in log and not re.search("drain_timeout_ms", log)


def test_drain_under_load(mock):
    """Clients that ask without pause see whole answers, then refused connections: nothing between."""
    with make(mock) as gw:
        stop = threading.Event()
        strange, served = [], [0]

        def ask():
            while not stop.is_set():
                try:
                    c = Raw(gw)
                except ConnectionError:
                    return
                try:
                    while True:
                        c.send(post(chat("x")))
                        r = c.read_reply()
                        if r.status != 200 or not r.complete:
                            strange.append(r)
                        served[0] += 1
                        if r.header("connection") == "close":
                            break
                except (ConnectionError, AssertionError) as e:
                    strange.append(e)
                finally:
                    c.close()

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for t in threads:
            t.start()
        time.sleep(0.5)
        signals(gw, signal.SIGTERM)
        code, _ = gone(gw)
        stop.set()
        for t in threads:
            t.join()
        assert code == 0 and served[0] > 50
        assert not strange, strange[:3]


def test_admin_client_that_hangs_does_not_hold_the_end(mock):
    with make(mock) as gw:
        with socket.socket(socket.AF_UNIX) as s, socket.socket(socket.AF_UNIX) as t:
            s.connect(str(gw.dir / "run" / "admin.sock"))
            t.connect(str(gw.dir / "run" / "admin.sock"))
            t.sendall(b"stat")
            time.sleep(0.1)
            signals(gw, signal.SIGTERM)
            code, took = gone(gw)
            assert code == 0 and took < 3
