"""Rate limits: requests and tokens a minute, requests at the same time, addresses without a key. Exact over
all workers, told in headers, kept over reload, restart and crash."""
import json
import socket
import time

import pytest

from harness.govern import KEY, NO_LIMIT, SURFACES, Governed, Limits, openai, priced, together, upstream, user
from harness.raw import eventually

PRICE = {"prompt": "0.000001"}
WORKERS = 4


def built(mock, **more):
    return Governed(
        surfaces=SURFACES, workers=WORKERS, providers={"up": openai(mock.url)},
        models={"m": priced("up", PRICE), "slow": priced("up", PRICE, upstream(delay_ms=700)),
                "paced": priced("up", PRICE, upstream(pace_ms=20, chunks=20)),
                "long": priced("up", PRICE, upstream(pace_ms=50, chunks=40)),
                "other": priced("up", PRICE), "gone": priced("up", PRICE, "m?status=500")},
        **more)


@pytest.fixture(scope="module")
def gw(mock):
    with built(mock) as g:
        g.team("t", billing="postpaid")
        # Begins to wait while the other tests run: see the last one.
        g.early = g.key(team="t", rate_limit=2)
        for _ in range(2):
            assert g.chat(g.early["key"]).status == 200
        r = g.chat(g.early["key"])
        assert r.status == 429
        g.early_over = time.monotonic() + int(r.header("Retry-After"))
        yield g


def spend(gw, key, n, path="/v1/models"):
    """n requests that count."""
    with gw.client(key=key) as c:
        for _ in range(n):
            assert c.get(path).status == 200


# ---- Defaults and tiers. A-90, K-43..K-45, A-66, A-89, C-72; R-6.

@pytest.mark.parametrize("fields, limit", [
    ({"surface": "airouter"}, 60), ({"surface": "turnpike"}, 60), ({"surface": "cailos"}, 60),
    ({"surface": "kairosroute"}, 100), ({"surface": "kairosroute", "tier": "pro"}, 1000),
    ({"surface": "kairosroute", "tier": "enterprise"}, None), ({"surface": "kairosroute", "tier": "enterprise", "rate_limit": 5000}, 5000),
    ({"surface": "cailos", "rate_limit": 3}, 3), ({"tier": "free"}, 100),
    ({"tier": "enterprise"}, None), ({"rate_limit": None}, 60)])
def test_defaults(gw, fields, limit):
    doc = gw.key(team="t", **fields)
    assert doc["rate_limit"] == limit
    r = gw.chat(doc["key"])
    seen = Limits(r)
    assert r.status == 200 and seen.limit == limit
    me = gw.api("GET", "/v1/key", key=doc["key"])["data"]["rate_limit"]
    assert me == {"requests": limit or -1, "interval": "60s"}
    if limit is None:
        assert not seen.there
    else:
        assert seen.remaining == limit - 1 and 59 <= seen.reset - time.time() <= 61


@pytest.mark.parametrize("fields, limit", [({"surface": "airouter"}, 60), ({"surface": "kairosroute"}, 100),
                                           ({"tier": "pro"}, 1000), ({"surface": "cailos", "rate_limit": 3}, 3)])
def test_the_next_one_is_refused(gw, fields, limit):
    """K-43, K-44, A-90, C-72: the 101st, the 1,001st, the 61st, the 4th of a minute."""
    key = gw.key(team="t", **fields)["key"]
    spend(gw, key, limit)
    r = gw.ask("GET", "/v1/models", key=key)
    assert r.status == 429 and r.error["code"] == "rate_limit_exceeded" and r.error["type"] == "rate_limit_error"
    assert Limits(r).remaining == 0 and 1 <= int(r.header("Retry-After")) <= 60


def test_a_tier_of_ones_own(mock):
    """K-45: enterprise, with a figure of the configuration; a team's tier; a changed tier counts for all its keys."""
    tiers = {"enterprise": {"requests_per_minute": 5}, "batch": {"requests_per_minute": 7, "concurrency": 2}}
    with built(mock, sections={"tiers": tiers}) as gw:
        gw.team("t", billing="postpaid", tier="batch")
        by_tier, by_team = gw.key(team="t", tier="enterprise"), gw.key(team="t", rate_limit=None)
        own = gw.key(team="t", rate_limit=9)
        assert [k["rate_limit"] for k in (by_tier, by_team, own)] == [5, 7, 9]
        assert [k["concurrency"] for k in (by_tier, by_team, own)] == [None, 2, 2]
        spend(gw, by_tier["key"], 5)
        assert gw.chat(by_tier["key"]).status == 429
        gw.snippet("60-tier.json", {"tiers": {"silver": {"requests_per_minute": 11}}})
        doc = json.loads((gw.conf_d / "50-test.json").read_text())
        doc["tiers"]["enterprise"]["requests_per_minute"] = 6
        gw.snippet("50-test.json", doc)
        gw.reload()
        r = gw.chat(by_tier["key"])  # what was taken of the minute stays taken
        assert r.status == 200 and Limits(r).limit == 6 and Limits(r).remaining == 0
        assert gw.chat(by_tier["key"]).status == 429
        gw.api("PATCH", "teams/t", {"tier": "silver"})
        assert Limits(gw.chat(by_team["key"])).limit == 11


# ---- Headers., K-46, C-67, Ki-53; R-6.

def test_headers_on_every_response(gw):
    key = gw.key(team="t", rate_limit=1000, models=["m", "gone", "slow", "paced"])["key"]
    body = {"model": "m", "messages": user()}
    asked = [("POST", "/chat/completions", body, 200), ("POST", "/chat/completions", {**body, "stream": True}, 200),
             ("POST", "/chat/completions", b"{", 400), ("POST", "/chat/completions", {"model": "m"}, 400),
             ("POST", "/chat/completions", {**body, "model": "other"}, 403), ("POST", "/chat/completions", {**body, "model": "gone"}, 502),
             ("GET", "/models", None, 200), ("GET", "/models/none", None, 404), ("GET", "/chat/completions", None, 405),
             ("POST", "/models", body, 405), ("GET", "/nothing", None, 404), ("HEAD", "/models", None, 200)]
    managed = [("GET", "/credits", None, 200), ("GET", "/key", None, 200), ("GET", "/keys", None, 403),
               ("GET", "/generation", None, 400), ("GET", "/generation?id=x", None, 404), ("PUT", "/keys/x", None, 405)]
    left = 1000
    for base in ("/v1", "/api/v1", "/api/gateway"):
        for method, path, sent, status in asked + (managed if base != "/api/gateway" else []):
            r = gw.ask(method, base + path, sent, key)
            assert r.status == status, (base, path, r)
            seen = Limits(r)
            left -= 1
            assert seen.there and seen.limit == 1000 and seen.remaining == left, (method, base, path, r.headers)
            assert 0 < seen.reset - time.time() <= 61
    r = gw.ask("POST", "/v1/chat/completions", b"a=b", key, [("Content-Type", "text/plain")])
    assert r.status == 415 and Limits(r).there


@pytest.mark.parametrize("base, surface, message", [
    ("/v1", "turnpike", "Rate limit exceeded: 1 requests a minute for this key. Retry after "),
    ("/api/v1", "airouter", "Rate limit exceeded: 1 requests a minute for this key. Retry after "),
    ("/api/gateway", "kilo", "Rate limited -- too many requests"),
    ("/api/auth", "kairosroute", "Too Many Requests - Rate limit exceeded")])
def test_429_in_the_words_of_the_surface(gw, base, surface, message):
    """K-21, A-92, Ki-53; R-2."""
    key = gw.key(team="t", rate_limit=1, role="management")["key"]
    path, method = (base, "GET") if surface == "kairosroute" else (base + "/chat/completions", "POST")
    body = None if method == "GET" else {"model": "m", "messages": user()}
    assert gw.ask(method, path, body, key).status == 200
    r = gw.ask(method, path, body, key)
    assert r.status == 429 and r.error["message"].startswith(message), r
    assert int(r.header("Retry-After")) - 1 <= Limits(r).reset - time.time() <= int(r.header("Retry-After")) + 1
    members = {"airouter": {"message", "type", "code"}, "kilo": {"message", "code"}}
    assert set(r.error) == members.get(surface, {"message", "type", "param", "code"})
    if surface in members:
        assert r.error["code"] == 429


def test_public_lists_of_a_limited_key(gw):
    """A public list counts for the key that comes with it."""
    key = gw.key(team="t", rate_limit=2)["key"]
    spend(gw, key, 2, "/api/v1/models")
    assert gw.ask("GET", "/api/v1/models", key=key).status == 429


def test_keys_have_windows_of_their_own(gw):
    """A-88: two keys of one team."""
    one, two = (gw.key(team="t", rate_limit=3)["key"] for _ in range(2))
    spend(gw, one, 3)
    assert gw.chat(one).status == 429
    assert Limits(gw.chat(two)).remaining == 2


def test_changed_at_once(gw):
    """A-67, A-89."""
    doc = gw.key(team="t", rate_limit=2)
    spend(gw, doc["key"], 2)
    assert gw.chat(doc["key"]).status == 429
    assert gw.api("PATCH", f"keys/{doc['id']}", {"rate_limit": 4})["rate_limit"] == 4
    assert Limits(gw.chat(doc["key"])).remaining == 1
    gw.api("PATCH", f"keys/{doc['id']}", {"rate_limit": 1})
    assert gw.chat(doc["key"]).status == 429
    gw.api("PATCH", f"keys/{doc['id']}", {"rate_limit": None})
    assert Limits(gw.chat(doc["key"])).limit == 60
    gw.api("PATCH", f"keys/{doc['id']}", {"rate_limit": 1, "tier": "enterprise"})
    assert gw.chat(doc["key"]).status == 429  # its own counts before its tier's
    gw.api("PATCH", f"keys/{doc['id']}", {"rate_limit": None})
    r = gw.chat(doc["key"])
    assert r.status == 200 and not Limits(r).there


# ---- Exact, over four workers.

@pytest.mark.parametrize("limit", [1, 200])
def test_exactly_as_many_pass(gw, limit):
    threads, each = 16, 25
    key = gw.key(team="t", rate_limit=limit)["key"]

    def work(i):
        with gw.client(key=key) as c:
            return [(r.status, Limits(r).remaining) for r in (c.get("/v1/models") for _ in range(each))]

    answers = sum(together(threads, work), [])
    assert len(answers) == threads * each and {s for s, _ in answers} <= {200, 429}
    # Each of those that passed was told another remainder: none was counted twice or not at all.
    assert sorted(left for s, left in answers if s == 200) == list(range(limit))
    assert all(left == 0 for s, left in answers if s == 429)


def test_exactly_as_many_over_reload_restart_and_crash(mock):
    """R-6: what was taken of a minute stays taken."""
    with built(mock) as gw:
        gw.team("t", billing="postpaid")
        key, passed = gw.key(team="t", rate_limit=40)["key"], 0
        tokens = gw.key(team="t", tokens_per_minute=100)["key"]
        body = {"max_tokens": 10}
        assert gw.chat(tokens, **body).status == 200  # 18 of 100, at least

        def work(i):
            with gw.client(key=key) as c:
                return [c.get("/v1/models").status for _ in range(2)]

        for how in (None, gw.reload, lambda: gw.again("stop"), lambda: gw.again("kill"), lambda: gw.again("kill")):
            if how:
                how()
            statuses = sum(together(4, work), [])
            assert statuses == [200] * 8, statuses
            passed += len(statuses)
            r = gw.ask("GET", "/v1/models", key=key) if passed == 40 else None
        assert r.status == 429 and Limits(r).remaining == 0, r
        gw.again("kill")
        assert gw.ask("GET", "/v1/models", key=key).status == 429
        # The tokens of a minute too: 18 are taken, and more than 82 are wanted.
        assert gw.chat(tokens, **{"max_tokens": 81}).status == 429
        assert gw.chat(gw.key(team="t", tokens_per_minute=100)["key"], **{"max_tokens": 1}).status == 200


# ---- Tokens a minute.

def test_tokens_a_minute(gw):
    """What a request may take at most is put aside, and what it did take stays taken."""
    body = {"max_tokens": 7}  # 18 tokens each, and for a moment a byte of the body each, and 7
    hold = len(json.dumps({"model": "m", "messages": user(), **body})) + 7
    limit = hold + 3 * 18
    doc = gw.key(team="t", tokens_per_minute=limit)
    assert doc["tokens_per_minute"] == limit
    statuses = [gw.chat(doc["key"], **body).status for _ in range(6)]
    assert statuses == [200] * 4 + [429] * 2
    r = gw.chat(doc["key"], **body)
    assert f"{limit} tokens a minute" in r.error["message"] and 1 <= int(r.header("Retry-After")) <= 60
    assert gw.ask("GET", "/v1/models", key=doc["key"]).status == 200  # costs none
    # A failed request took none.
    other = gw.key(team="t", tokens_per_minute=hold)
    assert gw.chat(other["key"], "gone", **body).status == 502
    assert gw.chat(other["key"], **body).status == 200


def test_tokens_of_streams(gw):
    key = gw.key(team="t", tokens_per_minute=200)["key"]
    r = gw.chat(key, stream=True, max_tokens=7)
    assert r.status == 200 and r.events()[-1] == b"[DONE]"
    assert gw.chat(key, max_tokens=7).status == 200  # 18 + 18 of 200
    r = gw.chat(key, max_tokens=150)
    assert r.status == 429, r


def test_without_a_cap_what_is_left_is_put_aside(gw):
    """Most clients send no max_tokens. The model's own limit, more than such a key may use in a minute, does not
    keep the second request from following the first."""
    key = gw.key(team="t", tokens_per_minute=300)["key"]
    statuses = [gw.chat(key).status for _ in range(20)]
    body = len(json.dumps({"model": "m", "messages": user()}))
    passed = statuses.count(200)  # 18 each, as long as a byte of the body each and one more are left
    assert statuses == [200] * passed + [429] * (20 - passed)
    assert (passed - 1) * 18 + body + 1 <= 300 < passed * 18 + body + 1


def test_without_a_cap_nothing_goes_twice(gw):
    """While one has put all aside, another waits for it; what it did not take is there for the next."""
    key = gw.key(team="t", tokens_per_minute=300)["key"]
    with gw.client(key=key) as c:
        c.send_request("POST", "/v1/chat/completions",
                       json.dumps({"model": "long", "messages": user(), "stream": True}).encode())
        assert c.read_head()[0] == 200
        assert gw.chat(key).status == 429
        while b"data: [DONE]" not in c.rest:
            assert c._more()
    assert gw.chat(key).status == 200


def test_a_request_larger_than_the_limit_passes_alone(gw):
    key = gw.key(team="t", tokens_per_minute=10)["key"]
    assert gw.chat(key, max_tokens=100).status == 200
    assert gw.chat(key, max_tokens=1).status == 429


# ---- Requests at the same time.

def test_concurrency(gw):
    key = gw.key(team="t", concurrency=3, rate_limit=100)["key"]

    def work(i):
        return gw.chat(key, "slow")

    replies = together(8, work)
    assert sorted(r.status for r in replies) == [200] * 3 + [429] * 5
    for r in replies:
        if r.status == 429:
            assert "3 requests at the same time" in r.error["message"] and r.header("Retry-After") == "1"
    # Those that were refused count neither as under way nor in the minute.
    r = gw.chat(key)
    assert r.status == 200 and Limits(r).remaining == 96


@pytest.mark.parametrize("end", ["whole", "cut", "aborted"])
def test_concurrency_of_streams(gw, end):
    """A stream counts until its end, however it ends."""
    key = gw.key(team="t", concurrency=1)["key"]
    with gw.client(key=key) as c:
        c.send_request("POST", "/v1/chat/completions",
                       json.dumps({"model": "paced", "messages": user(), "stream": True}).encode())
        assert c.read_head()[0] == 200
        assert gw.chat(key).status == 429
        if end == "whole":
            while b"data: [DONE]" not in c.rest:
                assert c._more()
        elif end == "cut":
            c.sock.shutdown(socket.SHUT_RDWR)
    if end == "whole":
        assert gw.chat(key).status == 200
    else:
        eventually(lambda: gw.chat(key).status == 200)


# ---- Addresses without a valid key.

@pytest.fixture(scope="module")
def guarded(mock):
    with built(mock, admission={"address_requests_per_minute": 30}) as g:
        g.team("t", billing="postpaid")
        yield g


def from_address(gw, source, method, path, key=None):
    """As Client, from another address of this machine."""
    with gw.client(key=key) as c:
        c.sock = socket.create_connection((c.host, c.port), c.timeout, (source, 0))
        return c.request(method, path, b"" if method == "GET" else json.dumps({"model": "m", "messages": user()}).encode())


def test_addresses(guarded):
    """Guessing at keys and reading public lists is bounded by address; who has a key is not kept out."""
    gw = guarded
    good = gw.key(team="t", rate_limit=NO_LIMIT)["key"]

    def work(i):
        out = []
        for n in range(5):
            wrong = (None, "tp_live_" + "w" * 43, good[:-1] + ("A" if good[-1] != "A" else "B"))[n % 3]
            out.append(from_address(gw, "127.0.0.2", "GET", "/api/v1/models" if n % 2 else "/v1/models", wrong))
        return out

    replies = sum(together(16, work), [])
    passed = [r for r in replies if r.status in (200, 401)]
    refused = [r for r in replies if r.status == 429]
    assert len(passed) == 30 and len(refused) == 50
    assert sorted(Limits(r).remaining for r in passed) == list(range(30))  # on 401 and public lists too
    assert {Limits(r).limit for r in replies} == {30}
    for r in refused:
        assert 1 <= int(r.header("Retry-After")) <= 60 and r.error["message"]
    # A valid key at that address passes, as often as its own limit says.
    for _ in range(40):
        r = from_address(gw, "127.0.0.2", "POST", "/v1/chat/completions", good)
        assert r.status == 200 and Limits(r).limit == NO_LIMIT, r
    assert from_address(gw, "127.0.0.2", "GET", "/v1/models", KEY).status == 200
    # The next client is another one, and health is for everybody.
    assert from_address(gw, "127.0.0.3", "GET", "/api/v1/models").status == 200
    assert from_address(gw, "127.0.0.2", "GET", "/healthz").status == 200
    for path in ("/admin/keys", "/v1/nothing", "/api/v1/keys"):
        r = from_address(gw, "127.0.0.2", "GET", path)
        assert r.status == 429, r


def test_cookies_count_too(guarded):
    """Guessing at sessions is guessing; who has one is not kept out."""
    gw = guarded
    r = gw.ask("POST", "/admin/session")
    good = r.header("Set-Cookie").split(";")[0]

    def ask(cookie):
        with gw.client(key=None) as c:
            c.sock = socket.create_connection((c.host, c.port), c.timeout, ("127.0.0.5", 0))
            return c.request("GET", "/admin/session", headers=[("Cookie", cookie)])

    replies = [ask("turnpike_session=tps_" + "x" * 43) for _ in range(33)]
    assert [r.status for r in replies] == [401] * 30 + [429] * 3
    assert [Limits(r).remaining for r in replies] == list(range(29, -1, -1)) + [0] * 3
    assert int(replies[-1].header("Retry-After")) >= 1
    assert ask(good).status == 200


def test_public_list_with_headers(guarded):
    """A-91: /models without a key."""
    first = Limits(from_address(guarded, "127.0.0.4", "GET", "/api/v1/models"))
    second = Limits(from_address(guarded, "127.0.0.4", "GET", "/api/gateway/models"))
    assert (first.limit, first.remaining, second.remaining) == (30, 29, 28) and first.reset == second.reset


# ---- And after the minute. K-46: after waiting that long, the request passes.

def test_after_the_wait_it_passes(gw):
    left = gw.early_over - time.monotonic()
    if left > 2:
        time.sleep(left - 2)
        r = gw.chat(gw.early["key"])
        assert r.status == 429 and int(r.header("Retry-After")) <= 3  # it is still the same minute
    time.sleep(max(0, gw.early_over - time.monotonic()) + 0.02)
    r = gw.chat(gw.early["key"])
    assert r.status == 200 and Limits(r).remaining == 1, r
