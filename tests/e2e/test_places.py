"""What a request takes of its key's limits it gives back, however it ends; and a limit that is changed is in
force, on every worker and under load, before the change is answered."""
import json
import threading
import time

import pytest

from harness.govern import NO_LIMIT, Governed, Limits, openai, priced, together, upstream, user
from harness.raw import Raw, chat, chunks, eventually, post

PRICE = {"prompt": "0.000001"}


@pytest.fixture(scope="module", params=[2, 4])
def gw(request, mock):
    def named(name, **how):
        return priced("up", PRICE, upstream(name=name, **how))

    models = {"m": named("m"), "slow": named("s", delay_ms=400), "paced": named("p", pace_ms=30, chunks=40),
              "gone": priced("up", PRICE, "g?status=500"), "nobody": priced("down", PRICE),
              **{fail: named("f", fail=fail, chunks=4) for fail in ("close", "reset", "cut", "cutrst", "drop")},
              "late": named("l", delay_ms=5000), "dear": priced("up", {"prompt": "1"})}
    with Governed(workers=request.param, server={"body_timeout_ms": 300, "max_body_bytes": 20_000},
                  providers={"up": openai(mock.url, timeouts={"first_byte_ms": 1500}),
                             "down": openai("http://127.0.0.1:1/v1")}, models=models) as g:
        g.team("t", billing="postpaid")
        g.team("poor", credits="0.001")
        yield g


def whole(gw, key, name, status, **more):
    assert gw.chat(key, name, **more).status == status, name


def raw(gw, data, status=None, then=None, wait=0):
    with Raw(gw) as c:
        c.send(data)
        time.sleep(wait)
        if status:
            r = c.read_reply()
            assert r.status == status, r
        if then:
            getattr(c, then)()


def cut_stream(gw, key, name):
    """A stream whose upstream breaks off: the client sees it too, one way or another."""
    with gw.client(key=key) as c:
        try:
            c.request("POST", "/v1/chat/completions",
                      json.dumps({"model": name, "messages": user(), "stream": True}).encode())
        except (ConnectionError, AssertionError, EOFError):
            pass


ENDS = {
    "400": lambda g, k: whole(g, k, "m", 400, messages=1),
    "404": lambda g, k: whole(g, k, "unknown", 404),
    "502": lambda g, k: whole(g, k, "gone", 502),
    "503": lambda g, k: whole(g, k, "nobody", 503),
    "504": lambda g, k: whole(g, k, "late", 504),
    "closed": lambda g, k: whole(g, k, "close", 502),
    "reset": lambda g, k: whole(g, k, "reset", 502),
    "no JSON": lambda g, k: raw(g, post(b"{", key=k), 400),
    "415": lambda g, k: raw(g, post(b"{}", "Content-Encoding: gzip", key=k), 415),
    "405": lambda g, k: raw(g, post(b"{}", path="/v1/models", key=k), 405),
    "413": lambda g, k: raw(g, post(b"", key=k, length=30_000), 413),
    "413 chunked": lambda g, k: raw(g, post(b"", "Transfer-Encoding: chunked", key=k, length=False)
                                    + chunks(b" " * 30_000, 999), 413),
    "408": lambda g, k: raw(g, post(b"{", key=k, length=500), 408),
    "gone before the body": lambda g, k: raw(g, post(b"", key=k, length=500), then="vanish", wait=.05),
    "gone before 100": lambda g, k: raw(g, post(b"", "Expect: 100-continue", key=k, length=500), then="vanish", wait=.05),
    "gone in the body": lambda g, k: raw(g, post(b"{", key=k, length=500), then="half_close", wait=.05),
    "gone at once": lambda g, k: raw(g, post(chat(model="slow"), key=k), then="vanish"),
    "gone while it waits": lambda g, k: raw(g, post(chat(model="slow"), key=k), then="vanish", wait=.1),
    "gone in the stream": lambda g, k: raw(g, post(chat(model="paced", stream=True), key=k), then="vanish", wait=.2),
    "pipelined and gone": lambda g, k: raw(g, post(chat(model="slow"), key=k) * 3, then="vanish", wait=.1),
    "cut": lambda g, k: cut_stream(g, k, "cut"),
    "cut by reset": lambda g, k: cut_stream(g, k, "cutrst"),
    "dropped": lambda g, k: cut_stream(g, k, "drop"),
    "reload": lambda g, k: together(2, lambda i: g.reload() if i else whole(g, k, "slow", 200)),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_place_is_given_back(gw, end):
    key = gw.key(team="t", concurrency=1)["key"]
    for _ in range(2):
        ENDS[end](gw, key)
        eventually(lambda: gw.chat(key).status == 200)
    # And only once: there is one place, not two.
    replies = together(6, lambda i: gw.chat(key, "slow").status)
    assert sorted(replies) == [200] + [429] * 5, replies


FREE = [e for e in ENDS if e not in ("gone in the stream", "cut", "cut by reset", "dropped", "reload")]


@pytest.mark.parametrize("end", FREE)
def test_the_tokens_are_given_back(gw, end):
    """What was not answered took none of the minute's tokens."""
    hold = len(json.dumps(chat(model="m"))) + 7
    key = gw.key(team="t", tokens_per_minute=300)["key"]
    assert hold < 300
    for _ in range(4):
        ENDS[end](gw, key)
    # All of the minute is there, but for one byte a token of the prompt.
    eventually(lambda: gw.chat(key, max_tokens=300 - hold).status == 200)


def test_402_gives_all_back(gw):
    key = gw.key(team="poor", concurrency=1, tokens_per_minute=300)["key"]
    for _ in range(4):
        assert gw.chat(key, "dear", max_tokens=100).status == 402
    assert gw.chat(key, max_tokens=100).status == 200


# ---- 64 connections.

@pytest.mark.parametrize("limit", [3, 300])
def test_exactly_as_many_over_64_connections(gw, limit):
    key = gw.key(team="t", rate_limit=limit)["key"]

    def work(i):
        with gw.client(key=key) as c:
            return [(r.status, Limits(r).remaining) for r in (c.get("/v1/models") for _ in range(8))]

    answers = sum(together(64, work), [])
    assert sorted(left for s, left in answers if s == 200) == list(range(limit))
    assert [left for s, left in answers if s != 200] == [0] * (512 - limit)


# ---- Changes under load.

class Load:
    """Threads that ask on connections of their own, so on all workers; (begun, status, limit) each."""

    def __init__(self, gw, key, count=8):
        self.over, self.seen = threading.Event(), [[] for _ in range(count)]

        def work(i):
            with gw.client(key=key) as c:
                while not self.over.is_set():
                    begun = time.monotonic()
                    r = c.get("/v1/models")
                    self.seen[i].append((begun, r.status, Limits(r).limit))

        self.threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        eventually(lambda: all(len(s) > 3 for s in self.seen))
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join()

    def after(self, since):
        """What those saw that began later, until each thread has."""
        eventually(lambda: all(s and s[-1][0] > since for s in self.seen))
        return [x for s in self.seen for x in s if x[0] > since]


CHANGES = {
    "rate limit": (lambda id: ("PATCH", f"keys/{id}", {"rate_limit": 12_345_678}), (200, 12_345_678)),
    "tier": (lambda id: ("PATCH", f"keys/{id}", {"rate_limit": None, "tier": "enterprise"}), (200, None)),
    "disabled": (lambda id: ("PATCH", f"keys/{id}", {"disabled": True}), (401, NO_LIMIT)),
    "revoked": (lambda id: ("DELETE", f"keys/{id}", None), (401, NO_LIMIT)),
    "team": (lambda id: ("PATCH", "teams/{team}", {"active": False}), (403, NO_LIMIT - 1)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_in_force_before_the_answer(gw, what):
    ask, (status, limit) = CHANGES[what]
    team = "x" + what.replace(" ", "")
    gw.api("POST", "teams", {"id": team, "billing": "postpaid"}, status=201)
    doc = gw.key(team=team, rate_limit=NO_LIMIT - 1)
    method, path, body = ask(doc["id"])
    with Load(gw, doc["key"]) as load:
        gw.api(method, path.format(team=team), body)
        since = time.monotonic()
        late = load.after(since)
        assert {x[1:] for x in late} == {(status, limit)}, {x[1:] for x in late}
    early = [x for s in load.seen for x in s[:3]]
    assert {x[1:] for x in early} == {(200, NO_LIMIT - 1)}
