"""More clients than there are descriptors for: those beyond get a clean 503, and everything else goes
on working."""
import json
import os
import resource

import pytest

from harness.gateway import Gateway, model, openai
from harness.mock import Mock
from harness.raw import Raw, chat, eventually, get, post


@pytest.fixture(scope="module")
def gw(mock):
    with Gateway(nofile=1000, workers=2, providers={"up": openai(mock.url), "again": openai(mock.url.replace("/v1", "/v2"))},
                 models={"drip": model(("up", "m?chunks=100000&pace_ms=100")), "m": model(("again", "m"))}) as g:
        yield g


def open_fds(gw):
    return len(os.listdir(f"/proc/{gw.pid}/fd"))


def outcome(c):
    """The status that a connection got, and whether it is a well-formed answer."""
    try:
        status, _, headers = c.read_head()
    except (AssertionError, ConnectionError) as e:
        return 0, e
    return status, {k.lower(): v for k, v in headers}


@pytest.mark.parametrize("round", [1, 2])
def test_streams_beyond_the_limit(gw, mock, round):
    mock.reset()
    clients, got = [], {200: 0, 503: 0}
    for i in range(600):
        c = Raw(gw)
        clients.append(c)
        try:
            c.send(post(chat(model="drip", stream=True)))
        except ConnectionError:
            pass  # turned away already: its answer can still be read
    served = []
    for c in clients:
        status, headers = outcome(c)
        assert status in got, (status, headers)
        got[status] += 1
        if status == 200:
            served.append(c)
            continue
        assert headers["content-type"] == "application/json" and headers["connection"] == "close"
        while len(c.rest) < int(headers["content-length"]):
            assert c._more()
        e = json.loads(c.rest)["error"]
        assert e["type"] == "service_unavailable_error" and "connections" in e["message"]
        c.close()
    assert got[200] >= 250 and got[503] >= 100, got
    # The admin socket, the log and a reload work meanwhile, and the streams flow.
    s = gw.status()
    assert s["refused"] >= got[503] and s["connections"] >= got[200]
    assert '"ok":true' in gw.reload()
    assert "connections are turned away" in gw.log()
    assert open_fds(gw) < 1000
    for c in served[::20]:
        before = len(c.rest)
        while len(c.rest) == before:
            assert c._more()
    for c in served:
        c.close()
    eventually(lambda: gw.status()["connections"] == 0)
    eventually(lambda: mock.stats()["aborted"] >= got[200])
    with Raw(gw) as c:
        for name in ("echo", "m"):
            assert c.send(post(chat(model=name))).read_reply().status == 200
        eventually(lambda: gw.access_log.read_text().count('"cancelled"') >= got[200] * round)


def test_usage_after_all_that(gw):
    rows = eventually(lambda: json.loads(gw.command("usage", "--json")), 10, 0.2)
    assert any(r["cancelled"] >= 250 for r in rows), rows


def test_idle_upstream_connections_make_room(mock, tmp):
    """Connections kept to one upstream must not starve another one."""
    with Mock(tmp) as other, Gateway(nofile=400, providers={"a": openai(mock.url), "b": openai(other.url)},
                                     models={"a": model(("a", "m?delay_ms=300")), "b": model(("b", "m?delay_ms=300"))}) as g:
        def wave(name):
            cs = [Raw(g) for _ in range(90)]
            for c in cs:
                c.send(post(chat(model=name)))
            out = [c.read_reply().status for c in cs]
            for c in cs:
                c.close()
            eventually(lambda: g.status()["connections"] == 0)
            return out
        for _ in range(2):
            assert wave("a") == [200] * 90
            assert wave("b") == [200] * 90


def test_connections_without_requests(gw):
    """Silent connections up to the limit and over it."""
    cs = [Raw(gw) for _ in range(500)]
    assert gw.status()["workers"] == 2
    with Raw(gw) as c:
        try:
            c.send(get())
        except ConnectionError:
            pass
        assert outcome(c)[0] == 503
    for c in cs:
        c.close()
    eventually(lambda: gw.status()["connections"] == 0)
    with Raw(gw) as c:
        assert c.send(get()).read_reply().status == 200


def cpu_s(gw):
    with open(f"/proc/{gw.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_none_left_at_all(mock):
    """When not even one can be had (other limits than ours struck): no busy loop, no crash, and it
    serves as soon as there are some again."""
    with Gateway(providers={"up": openai(mock.url)}, models={"m": model(("up", "m"))}) as g:
        with Raw(g) as held:
            assert held.send(get()).read_reply().status == 200
            soft, hard = resource.prlimit(g.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(g.pid, resource.RLIMIT_NOFILE, (open_fds(g), hard))
            r = held.send(post(chat(model="m"))).read_reply()
            assert r.status == 503 and r.error["message"], r
            waiting = [Raw(g) for _ in range(5)]
            for w in waiting:
                w.send(post(chat(model="m")))
            before = cpu_s(g)
            assert waiting[0].silent(1.5)
            assert cpu_s(g) - before < 0.5, "it spins"
            assert held.send(get()).read_reply().status == 200
            resource.prlimit(g.pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert [w.read_reply().status for w in waiting] == [200] * 5
            assert held.send(post(chat(model="m"))).read_reply().status == 200
            for w in waiting:
                w.close()
