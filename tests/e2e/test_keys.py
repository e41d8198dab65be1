"""Keys: made, listed, changed, revoked, over each surface's endpoints; what they may and may not do; how
they are kept. The rows are those of the reference documents' statements."""
import hashlib
import hmac
import json
import re
import sqlite3
import time

import openai as sdk
import pytest

from harness.govern import (ADMIN, KEY, SURFACES, Governed, model, openai, priced, together, upstream, user)
from harness.paths import SANITIZED
from harness.raw import rss_kb
from harness.scripted import Upstream, reply

SECRET = "[A-Za-z0-9_-]{43}"
# 11 prompt and 7 completion tokens come to 0.000025 dollars.
PRICE = {"prompt": "0.000001", "completion": "0.000002"}
COST = 25_000
ID = re.compile(r"key_[A-Za-z0-9]+")
WHOLE = {"id": "up-1", "object": "chat.completion", "created": 1, "model": "own", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}


@pytest.fixture(scope="module")
def upstreams():
    with Upstream(lambda r: reply(200, WHOLE)) as u:
        yield u


@pytest.fixture(scope="module")
def gw(mock, upstreams):
    with Governed(
            surfaces=SURFACES, workers=4,
            providers={"up": openai(mock.url, trust_level=1),
                       "house": openai(mock.url, trust_level=3, local=True),
                       "own": openai(upstreams.url)},
            models={"m": priced("up", PRICE, aliases=["m-alias"]),
                    "other": priced("up", PRICE, upstream(name="x")),
                    "local": priced("house", PRICE),
                    "both": model({"provider": "up", "model": upstream(), "price": PRICE},
                                  {"provider": "house", "model": upstream(name="h"), "price": PRICE}),
                    "openai/gpt-5.4": priced("up", PRICE), "anthropic/claude-sonnet-4.5": priced("up", PRICE),
                    "google/gemini-3-pro": priced("up", PRICE), "gpt-4o": priced("up", PRICE),
                    "kr-auto": priced("up", PRICE), "byok": priced("own", PRICE)},
            sections={"teams": {"written": {"billing": "postpaid"}}}) as g:
        g.team("acme", credits="100")
        g.team("rival", credits="100")
        yield g


@pytest.fixture(scope="module")
def boss(gw):
    """A management key of acme."""
    return gw.key(team="acme", role="management")


def assert_shape(error, surface, status):
    """The envelope of the surface, nothing more and nothing less."""
    assert isinstance(error["message"], str) and error["message"]
    members = {"airouter": {"message", "type", "code"}, "kilo": {"message", "code"}}.get(
        surface, {"message", "type", "param", "code"})
    assert set(error) == members, error
    if surface in ("airouter", "kilo"):
        assert error["code"] == status  # an integer


# ---- What keys look like. K-2, A-8, A-9, C-3; R-9.

@pytest.mark.parametrize("surface, prefix", [("airouter", "air_live_"), ("kairosroute", "kr_live_"),
                                             ("cailos", "cai_"), ("turnpike", "tp_live_"),
                                             (None, "tp_live_")])
def test_a_key_of_each_surface_works(gw, surface, prefix):
    doc = gw.key(team="acme", **({"surface": surface} if surface else {}))
    assert re.fullmatch(prefix + SECRET, doc["key"]) and ID.fullmatch(doc["id"])
    assert doc["hint"].startswith(prefix) and doc["hint"].rstrip(".") in doc["key"]
    assert len(doc["hint"].rstrip(".")) <= len(prefix) + 12  # most of it is nobody's to see
    for path in ("/v1/chat/completions", "/api/v1/chat/completions", "/api/gateway/chat/completions"):
        r = gw.chat(doc["key"], path=path)
        assert r.status == 200, r
    assert gw.api("GET", f"keys/{doc['id']}")["last_used_at"]


def test_a_prefix_of_ones_own(gw):
    assert re.fullmatch("zz9_" + SECRET, gw.key(prefix="zz9_")["key"])
    for bad in ("x", "tp", "tp-", "TP_", "a" * 24 + "_", "_é_", ""):
        assert gw.ask("POST", "/admin/keys", {"name": "k", "prefix": bad}).error["param"] == "prefix"


# ---- /api/v1/keys and /v1/keys. A-63..A-70, C-4, C-7; R-7.

@pytest.mark.parametrize("base, prefix", [("/api/v1", "air_live_"), ("/v1", "tp_live_")])
def test_keys_of_a_surface(gw, boss, base, prefix):
    r = gw.ask("POST", base + "/keys", {"name": "production-backend", "rate_limit": 100}, boss["key"])
    assert r.status == 201, r
    doc = r.json()
    assert re.fullmatch(prefix + SECRET, doc["key"]) and ID.fullmatch(doc["id"])
    assert r.header("Location") == f"{base}/keys/{doc['id']}"
    assert doc["name"] == "production-backend" and doc["rate_limit"] == 100
    assert doc["team"] == "acme" and doc["role"] == "inference" and doc["disabled"] is False  # C-4: per team
    assert doc["usage"] == 0 and doc["limit"] is None and doc["models"] is None and doc["expires_at"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", doc["created_at"])
    used = gw.chat(doc["key"], path=base + "/chat/completions")
    assert used.status == 200 and used.header("X-RateLimit-Limit") == "100"

    shown = gw.ask("GET", f"{base}/keys/{doc['id']}", key=boss["key"])
    listed = gw.ask("GET", base + "/keys", key=boss["key"])
    assert set(listed.json()) == {"data"}
    row, = [k for k in listed.json()["data"] if k["id"] == doc["id"]]
    assert row == shown.json() and set(row) == set(doc) - {"key"}  # C-7, A-64: shown once
    for answer in (shown, listed):
        assert doc["key"] not in answer.body.decode() and b"argon2" not in answer.body
    assert all(k["team"] == "acme" for k in listed.json()["data"])

    # what is changed counts for the next request.
    r = gw.ask("PATCH", f"{base}/keys/{doc['id']}", {"name": "renamed", "rate_limit": 7}, boss["key"])
    assert r.status == 200 and r.json()["name"] == "renamed" and r.json()["rate_limit"] == 7
    assert "key" not in r.json()
    assert gw.chat(doc["key"], path=base + "/chat/completions").header("X-RateLimit-Limit") == "7"

    r = gw.ask("DELETE", f"{base}/keys/{doc['id']}", key=boss["key"])
    assert r.status == 200 and r.json() == {"id": doc["id"], "deleted": True}
    assert gw.chat(doc["key"], path=base + "/chat/completions").status == 401
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert gw.ask(method, f"{base}/keys/{doc['id']}", body, boss["key"]).status == 404


@pytest.mark.parametrize("base, surface", [("/api/v1", "airouter"), ("/v1", "turnpike")])
def test_who_may_manage(gw, boss, base, surface):
    """A-69, A-70: a management key may, an inference key may not, and nobody may touch another team's."""
    plain = gw.key(team="acme")
    theirs = gw.key(team="rival")
    for method, path, body in (("GET", "/keys", None), ("POST", "/keys", {"name": "x"}),
                               ("GET", "/keys/" + plain["id"], None), ("DELETE", "/keys/" + plain["id"], None),
                               ("PATCH", "/keys/" + plain["id"], {"name": "x"})):
        r = gw.ask(method, base + path, body, plain["key"])
        assert r.status == 403, r
        assert_shape(r.error, surface, 403)
        r = gw.ask(method, base + path, body, None)
        assert r.status == 401, r
        assert_shape(r.error, surface, 401)
    for id in (theirs["id"], "key_123abc", "static:e2e", "%00"):
        for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            r = gw.ask(method, f"{base}/keys/{id}", body, boss["key"])
            assert r.status == 404, r
            assert_shape(r.error, surface, 404)
    assert gw.chat(plain["key"]).status == gw.chat(theirs["key"]).status == 200  # unharmed
    r = gw.ask("POST", base + "/keys", {"name": "x", "role": "admin"}, boss["key"])
    assert r.status == 400, r  # no surface makes admins
    r = gw.ask("PUT", base + "/keys", {"name": "x"}, boss["key"])
    assert r.status == 405 and r.header("Allow") == "GET, HEAD, POST"
    assert_shape(r.error, surface, 405)


@pytest.mark.parametrize("body, param", [
    ({}, "name"), ({"name": 5}, "name"), ({"name": ""}, "name"), ({"name": "x" * 129}, "name"),
    ({"name": None}, "name"), ({"name": ["a"]}, "name"),
    *[({"name": "k", "rate_limit": v}, "rate_limit") for v in (0, -1, "x", 1.5, True, 16000001, 10 ** 30, "5", [])],
    *[({"name": "k", "expires_in": v}, "expires_in") for v in (0, -1, "x", 3153600001, "90d", 0.5)],
    *[({"name": "k", "limit": v}, "limit") for v in (0, -1, "x", "0.0000000001", 1e300, True)],
    *[({"name": "k", "models": v}, "models") for v in ("m", [], [5], [""], ["a"] * 257)],
    *[({"name": "k", "role": v}, "role") for v in ("root", "admin", 1)],
    ({"name": "k", "limit": 1, "limit_reset": "hourly"}, "limit_reset"), ({"name": "k", "limit_reset": "daily"}, "limit_reset"),
    ({"name": "k", "tier": "gold"}, "tier"), ({"name": "k", "concurrency": 0}, "concurrency"),
    ({"name": "k", "tokens_per_minute": 0}, "tokens_per_minute"),
    ({"name": "k", "rate_limt": 5}, "rate_limt"), ({"name": "k", "team": "rival"}, "team"),
])
def test_bodies_that_are_refused(gw, boss, body, param):
    """K-36, K-37, A-66: what is not understood makes no key."""
    before = len(gw.api("GET", "/v1/keys", key=boss["key"])["data"])
    for path, surface in (("/v1/keys", "turnpike"), ("/api/v1/keys", "airouter"), ("/api/auth", "kairosroute")):
        r = gw.ask("POST", path, body, boss["key"])
        assert r.status == 400, (path, r)
        assert_shape(r.error, surface, 400)
        assert param in r.error["message"], r
        if "param" in r.error:
            assert r.error["param"] == param, r
    if param == "rate_limt":
        assert "did you mean 'rate_limit'" in r.error["message"]
    assert len(gw.api("GET", "/v1/keys", key=boss["key"])["data"]) == before


def test_bodies_that_are_none(gw, boss):
    def post(data, *headers):
        return gw.ask("POST", "/api/v1/keys", data, boss["key"], headers)

    assert post(b'{"name": "x"').status == 400 and post(b"").status == 400 and post(b"[]").status == 400
    assert post(b'{"name":"x","name":"y"}').status == 400
    assert post(b"name=x", ("Content-Type", "application/x-www-form-urlencoded")).status == 415
    assert post(b"\xff\xfe").status == 400


# ---- /api/auth. K-35..K-42; R-7.

def test_auth(gw):
    own = gw.key(team="acme", surface="kairosroute")
    assert own["tier"] == "free" and own["rate_limit"] == 100  # K-43
    r = gw.ask("POST", "/api/auth", {"name": "Production Key", "expires_in": 7776000}, own["key"])
    assert r.status == 201, r  # K-38: a plain key may
    doc = r.json()
    assert re.fullmatch("kr_live_" + SECRET, doc["key"]) and ID.fullmatch(doc["id"])  # K-41
    assert doc["name"] == "Production Key"
    began, ends = (time.mktime(time.strptime(doc[f], "%Y-%m-%dT%H:%M:%SZ")) for f in ("created_at", "expires_at"))
    assert 7776000 - 1 <= ends - began <= 7776000 + 1
    r = gw.chat(doc["key"], "kr-auto")
    assert r.status == 200 and r.header("X-RateLimit-Limit") == "100", r

    listed = gw.ask("GET", "/api/auth", key=own["key"])  # K-39
    assert {own["id"], doc["id"]} <= {k["id"] for k in listed.json()["data"]}
    assert doc["key"] not in listed.body.decode() and own["key"] not in listed.body.decode()
    for id in ("key_123abc", gw.key(team="rival")["id"]):  # K-42
        assert gw.ask("DELETE", f"/api/auth/{id}", key=own["key"]).status == 404
    r = gw.ask("DELETE", f"/api/auth/{doc['id']}", key=own["key"])  # K-40
    assert r.status == 200 and r.json() == {"id": doc["id"], "deleted": True}
    assert gw.chat(doc["key"], "kr-auto").status == 401
    assert gw.ask("DELETE", f"/api/auth/{doc['id']}", key=own["key"]).status == 404


def test_auth_never_grants_more_than_it_has(gw):
    """R-7: what bounds a key bounds those that it makes."""
    own = gw.key(team="acme", surface="kairosroute", models=["m", "other*"], expires_in=3600, rate_limit=50, limit="2",
                 limit_reset="monthly", concurrency=4, tokens_per_minute=90000)

    def make(status, **fields):
        r = gw.ask("POST", "/api/auth", {"name": "x", **fields}, own["key"])
        assert r.status == status, (fields, r)
        return r.json()

    for more in ({"rate_limit": 51}, {"tier": "pro"}, {"tier": "enterprise"}, {"models": ["kr-auto"]}, {"models": ["*"]},
                 {"expires_in": 7200}, {"limit": "2.01"}, {"limit_reset": "daily", "limit": "2"}, {"concurrency": 5},
                 {"tokens_per_minute": 90001}, {"role": "management"}, {"expires_in": None}):
        r = gw.ask("POST", "/api/auth", {"name": "x", **more}, own["key"])
        assert r.status == 403, (more, r)
        assert r.error["param"] in {"rate_limit" if k == "tier" else k for k in more}, (more, r)
    for more in ({"models": None}, {"limit": None}, {"rate_limit": None}):  # the maker's own, which is the default
        doc = make(201, **more)
        assert doc["models"] == ["m", "other*"] and doc["limit"] == 2 and doc["rate_limit"] == 50
    doc = make(201)
    assert doc["models"] == ["m", "other*"] and doc["rate_limit"] == 50 and doc["expires_at"] and doc["limit"] == 2
    assert doc["limit_reset"] == "monthly" and doc["concurrency"] == 4 and doc["tokens_per_minute"] == 90000
    assert doc["role"] == "inference" and doc["team"] == "acme"
    assert gw.chat(doc["key"], "m").status == 200 and gw.chat(doc["key"], "kr-auto").status == 403
    less = make(201, rate_limit=5, models=["m"], expires_in=60, limit="1", limit_reset="monthly")
    assert less["rate_limit"] == 5 and less["models"] == ["m"] and less["limit"] == 1
    r = gw.ask("DELETE", f"/api/auth/{gw.key(team='acme', role='management')['id']}", key=own["key"])
    assert r.status == 403, r  # one with more rights than its own


# ---- Who is refused, and how. A-7, C-2, K-20, Ki-50.

WRONG = [None, "", "air_live_" + "x" * 43, "tp_live_" + "A" * 43, "kr_live_short", "x" * 2000, "a b", "Bearer " + KEY]


@pytest.mark.parametrize("path, surface, message", [
    ("/v1/chat/completions", "turnpike", None), ("/api/v1/chat/completions", "airouter", "Invalid or missing API key"),
    ("/api/gateway/chat/completions", "kilo", "Invalid or missing API key"),
    ("/api/auth", "kairosroute", "Unauthorized - Invalid or missing API key"),
    ("/v1/models", "turnpike", None), ("/api/v1/credits", "airouter", "Invalid or missing API key"),
    ("/api/v1/generation?id=gen-abc123", "airouter", "Invalid or missing API key"), ("/v1/keys", "turnpike", None),
    ("/admin/teams", "turnpike", None), ("/api/v1/key", "airouter", "Invalid or missing API key")])
def test_without_a_valid_key(gw, path, surface, message):
    good = gw.key(team="acme")["key"]
    almost = good[:-1] + ("A" if good[-1] != "A" else "B")  # its public part is known
    method = "POST" if path.endswith("completions") else "GET"
    body = {"model": "m", "messages": user()} if method == "POST" else None
    for wrong in [*WRONG, almost, good + "A", good[:-1], good.upper()]:
        r = gw.ask(method, path, body, wrong)
        assert r.status == 401, (wrong, r)
        assert_shape(r.error, surface, 401)
        assert r.header("WWW-Authenticate") == "Bearer"
        assert message is None or r.error["message"] == message
        assert good not in r.body.decode() and (not wrong or len(wrong) < 20 or wrong not in r.body.decode())
    for authorization in (f"Basic {good}", f"bearer{good}", good, f"Token {good}", "Bearer"):
        r = gw.ask(method, path, body, None, [("Authorization", authorization)])
        assert r.status == 401, (authorization, r)
    assert gw.ask(method, path, body, None, [("Authorization", f"bearer  {good}")]).status != 401


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/gateway/models"])
def test_public_lists(gw, path):
    """A-35, Ki-41: no key is needed, and a wrong one is ignored."""
    for key in WRONG:
        r = gw.ask("GET", path, key=key)
        assert r.status == 200 and "m" in {m["id"] for m in r.json()["data"]}, (key, r)


# ---- Expiry, disabling, allow-lists, spending limits.

def test_expiry(gw, boss):
    """K-37: expires_in 1, then 401."""
    doc = gw.api("POST", "/api/auth", {"name": "short", "expires_in": 1}, boss["key"], status=201)
    other = gw.api("POST", "/v1/keys", {"name": "short", "expires_in": 1}, boss["key"], status=201)
    assert gw.chat(doc["key"]).status == 200
    with gw.client(key=doc["key"]) as c:
        assert c.get("/v1/models").status == 200
        time.sleep(1.1)
        assert c.get("/v1/models").status == 401  # on a connection that was there before
    r = gw.chat(doc["key"])
    assert r.status == 401 and "expired" in r.error["message"] and r.error["code"] == "expired_api_key"
    # A later date, or none, lets it live again.
    assert gw.api("PATCH", f"/v1/keys/{other['id']}", {"expires_in": None}, boss["key"])["expires_at"] is None
    assert gw.chat(other["key"]).status == 200


def test_disabled(gw, boss):
    doc = gw.key(team="acme")
    assert gw.chat(doc["key"]).status == 200
    assert gw.api("PATCH", f"/v1/keys/{doc['id']}", {"disabled": True}, boss["key"])["disabled"] is True
    assert gw.chat(doc["key"]).status == 401
    assert gw.api("PATCH", f"/v1/keys/{doc['id']}", {"disabled": False}, boss["key"])["disabled"] is False
    assert gw.chat(doc["key"]).status == 200


def test_models_of_a_key(gw, boss):
    doc = gw.key(team="acme", models=["m", "open*"])
    assert gw.chat(doc["key"], "m").status == gw.chat(doc["key"], "openai/gpt-5.4").status == 200
    for path, surface in (("/v1", "turnpike"), ("/api/v1", "airouter"), ("/api/gateway", "kilo")):
        r = gw.chat(doc["key"], "other", path + "/chat/completions")
        assert r.status == 403, r
        assert_shape(r.error, surface, 403)
        listed = {m["id"] for m in gw.ask("GET", path + "/models", key=doc["key"]).json()["data"]}
        assert listed == {"m", "openai/gpt-5.4"}, listed
    assert gw.api("PATCH", f"/v1/keys/{doc['id']}", {"models": ["other"]}, boss["key"])["models"] == ["other"]
    assert gw.chat(doc["key"], "other").status == 200 and gw.chat(doc["key"], "m").status == 403
    assert gw.api("PATCH", f"/v1/keys/{doc['id']}", {"models": None}, boss["key"])["models"] is None
    assert gw.chat(doc["key"], "m").status == 200


def test_spending_limit(gw, boss):
    """The most that requests may cost is put aside of the limit; what they did cost stays taken of it."""
    body = {"max_tokens": 7}
    hold = (len(json.dumps({"model": "m", "messages": user(), **body})) * 1000 + 7 * 2000)
    doc = gw.key(team="acme", limit=f"0.{hold + 2 * COST:09d}", limit_reset="daily")
    for served in range(3):
        assert gw.chat(doc["key"], **body).status == 200
        me = gw.api("GET", "/v1/key", key=doc["key"])["data"]
        assert round(me["usage"] * 1e9) == (served + 1) * COST
        assert round((me["limit"] - me["limit_remaining"]) * 1e9) == (served + 1) * COST
    r = gw.chat(doc["key"], **body)  # three are spent, and the hold of a fourth does not fit
    assert r.status == 402 and r.error["code"] == "spending_limit_reached", r
    assert "spending limit of $0." in r.error["message"]
    r = gw.chat(doc["key"], path="/api/v1/chat/completions", **body)
    assert r.status == 402, r
    assert_shape(r.error, "airouter", 402)
    row = gw.api("GET", f"keys/{doc['id']}")
    assert row["usage"] == "0.000075" and row["limit_reset"] == "daily"
    assert gw.api("PATCH", f"/v1/keys/{doc['id']}", {"limit": 1}, boss["key"])["limit"] == 1
    assert gw.chat(doc["key"], **body).status == 200


# ---- Revocation. K-40, A-68; R-7.

def test_revoked_on_every_worker(gw, boss):
    """Connections that were open on all four workers: the next request of each is refused."""
    doc = gw.key(team="acme")
    connections = [gw.client(key=doc["key"]) for _ in range(32)]
    try:
        assert all(c.get("/v1/models").status == 200 for c in connections)
        r = gw.ask("DELETE", f"/v1/keys/{doc['id']}", key=boss["key"])
        assert r.status == 200
        assert [c.get("/v1/models").status for c in connections] == [401] * 32
    finally:
        for c in connections:
            c.close()


def test_revoked_under_load(gw, boss):
    """No request that is sent after DELETE has answered passes; what is under way is finished."""
    for _ in range(3):
        doc = gw.key(team="acme")
        gone = []

        def work(i):
            late = []
            with gw.client(key=doc["key"]) as c:
                while True:
                    before = bool(gone)
                    r = c.get("/v1/models")
                    assert r.status in (200, 401), r
                    if before:
                        late.append(r.status)
                    if len(late) == 3:
                        return late

        def revoke(i):
            time.sleep(0.05)
            assert gw.ask("DELETE", f"/v1/keys/{doc['id']}", key=boss["key"]).status == 200
            gone.append(1)
            return [401] * 3

        answers = together(9, lambda i: revoke(i) if i == 0 else work(i))
        assert answers == [[401] * 3] * 9


def test_last_admin_key_can_revoke_itself(gw):
    doc = gw.key(team="acme", role="admin")
    assert gw.api("GET", "keys", key=doc["key"])["data"]
    assert gw.ask("DELETE", f"/admin/keys/{doc['id']}", key=doc["key"]).status == 200
    assert gw.ask("GET", "/admin/keys", key=doc["key"]).status == 401


# ---- Teams that are inactive, and policies. C-65, Ki-52; R-2.

def test_inactive_team(gw):
    gw.team("sleepy", billing="postpaid")
    doc = gw.key(team="sleepy", role="management")
    assert gw.chat(doc["key"]).status == 200
    gw.api("PATCH", "teams/sleepy", {"active": False})
    for path, surface in (("/v1", "turnpike"), ("/api/v1", "airouter"), ("/api/gateway", "kilo")):
        r = gw.chat(doc["key"], path=path + "/chat/completions")
        assert r.status == 403, r
        assert_shape(r.error, surface, 403)
        assert "inactive" in r.error["message"]
    assert gw.ask("GET", "/v1/keys", key=doc["key"]).status == 403  # nor manages it
    assert gw.ask("GET", "/api/v1/models", key=doc["key"]).status == 200  # public
    gw.api("PATCH", "teams/sleepy", {"active": True})
    assert gw.chat(doc["key"]).status == 200
    assert gw.ask("PATCH", "/admin/teams/written", {"active": False}).status == 409  # conf.d says so


DENIED = [
    ({"deny_models": ["m"]}, "m", "other"), ({"deny_models": ["up/m*"]}, "m", "other"),
    ({"deny_models": ["m-alias"]}, "m", "other"), ({"deny_models": ["m"]}, "m-alias", "other"),
    ({"allow_models": ["oth*"]}, "m", "other"), ({"allow_models": ["m", "other"], "deny_models": ["m"]}, "m", "other"),
    ({"deny_providers": ["up"]}, "m", "local"), ({"allow_providers": ["house"]}, "m", "both"),
    ({"min_trust": 3}, "m", "local"), ({"min_trust": 2}, "m", "both"), ({"data_local": True}, "m", "local"),
    ({"data_local": True}, "other", "both")]


@pytest.mark.parametrize("policy, denied, allowed", DENIED)
def test_policies(gw, mock, policy, denied, allowed):
    id = "p" + hashlib.sha256(repr((policy, denied)).encode()).hexdigest()[:8]
    team = gw.team(id, billing="postpaid", policy=policy)
    assert {k: team["policy"][k] for k in policy} == policy
    key = gw.key(team=id)["key"]
    mock.reset()
    for path, surface, words in (
            ("/v1", "turnpike", None), ("/api/v1", "airouter", None),
            ("/api/gateway", "kilo", "Forbidden -- model not allowed by organization policy")):
        r = gw.chat(key, denied, path + "/chat/completions")
        assert r.status == 403, r
        assert_shape(r.error, surface, 403)
        assert words is None or r.error["message"] == words
        if surface == "turnpike":
            assert r.error["type"] == "permission_error" and r.error["code"] == "policy_denied"
            assert next(iter(policy)) in r.error["message"] or len(policy) > 1  # says what denied it
    assert mock.last() is None  # nobody was asked
    for path in ("/v1", "/api/v1", "/api/gateway"):
        r = gw.chat(key, allowed, path + "/chat/completions")
        assert r.status == 200, r
    if allowed == "both":  # what is left of it
        assert json.loads(mock.last())["model"].startswith("h?")
    r = gw.chat(key, "no-such-model")
    assert r.status == 404  # an unknown model stays unknown
    # A policy that is taken back counts at once.
    gw.api("PATCH", f"teams/{id}", {"policy": None})
    assert gw.chat(key, denied).status == 200


def test_cailos_in_its_own_words(mock):
    """C-2, C-65, C-67: where the surface has /v1 to itself."""
    cailos = {"base_path": "/v1", "words": "cailos", "key_prefix": "cai_", "key_limit": 2, "hints_keys": ["cailos"]}
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)},
                  sections={"surfaces": {"cailos": cailos}}) as gw:
        gw.team("t", billing="postpaid")
        boss = gw.key(team="t", role="management")
        doc = gw.api("POST", "/v1/keys", {"name": "x"}, boss["key"], status=201)
        assert re.fullmatch("cai_" + SECRET, doc["key"]) and doc["rate_limit"] == 2
        r = gw.ask("GET", "/v1/models")
        assert gw.ask("GET", "/v1/models", key=None).error["message"] == "Missing or invalid API key."
        gw.api("PATCH", "teams/t", {"active": False})
        r = gw.chat(doc["key"])
        assert r.status == 403 and r.error["message"] == "Key valid but team is inactive.", r
        assert_shape(r.error, "cailos", 403)
        gw.api("PATCH", "teams/t", {"active": True})
        assert [gw.chat(doc["key"]).status for _ in range(3)] == [200, 200, 429]
        r = gw.chat(doc["key"])
        assert r.error["message"] == "Rate limit exceeded." and 1 <= int(r.header("Retry-After")) <= 60


# ---- Provider keys of the customer's own. Ki-48.

def sent_keys(upstreams):
    out = [r.header("authorization") for r in upstreams.requests]
    upstreams.requests.clear()
    return out


def test_byok(gw, upstreams):
    gw.team("owner", credits="1")
    boss, key = gw.key(team="owner", role="management"), gw.key(team="owner")["key"]
    upstreams.requests.clear()
    assert gw.chat(key, "byok").status == 200
    assert sent_keys(upstreams) == ["Bearer sk-upstream-secret"]
    assert gw.balance("owner") == 1_000_000_000 - COST

    def put(body, **more):
        return gw.ask("PUT", "/admin/teams/owner/byok/own", body, boss["key"])

    r = put({"key": "sk-customer-own-4711"})
    assert r.status == 200, r
    assert r.json()["hint"] == "4711" and r.json()["type"] == "api_key" and r.json()["provider"] == "own"
    assert "customer" not in r.body.decode()
    reply_id = gw.chat(key, "byok").json()["id"]
    assert sent_keys(upstreams) == ["Bearer sk-customer-own-4711"]  # at once, and instead of the gateway's
    assert gw.balance("owner") == 1_000_000_000 - COST  # not charged
    doc = gw.api("GET", f"/v1/generation?id={reply_id}", key=key)
    assert doc["byok"] is True and doc["charged"] == 0 and round(doc["total_cost"] * 1e9) == COST
    # The codestral key is another one: for fill-in-the-middle requests, not for these.
    assert put({"key": "sk-codestral-0815", "type": "codestral"}).status == 200
    assert gw.chat(key, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-customer-own-4711"]
    listed = gw.ask("GET", "/admin/teams/owner/byok", key=boss["key"])
    assert {(k["provider"], k["type"], k["hint"]) for k in listed.json()["data"]} == {
        ("own", "api_key", "4711"), ("own", "codestral", "0815")}
    assert "customer" not in listed.body.decode()
    other = gw.key(team="acme")["key"]  # another team is none of it
    assert gw.chat(other, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-upstream-secret"]
    # A team without credits may use its own key.
    gw.team("poor")
    poor = gw.key(team="poor")["key"]
    assert gw.chat(poor, "byok").status == 402
    gw.api("PUT", "teams/poor/byok/own", {"key": "sk-poor-0000"})
    assert gw.chat(poor, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-poor-0000"]
    assert gw.balance("poor") == 0

    r = gw.ask("DELETE", "/admin/teams/owner/byok/own", key=boss["key"])
    assert r.status == 200 and r.json()["deleted"] is True
    assert gw.chat(key, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-upstream-secret"]
    for bad in ({}, {"key": ""}, {"key": "two words"}, {"key": "x" * 4097}, {"key": "x", "type": "oauth"}, {"key": 5}):
        assert put(bad).status == 400, bad
    r = gw.ask("PUT", "/admin/teams/owner/byok/onw", {"key": "x"}, boss["key"])
    assert r.status == 400 and "did you mean 'own'" in r.error["message"], r
    assert gw.ask("PUT", "/admin/teams/acme/byok/own", {"key": "x"}, boss["key"]).status == 404


def test_byok_fee(upstreams):
    """Where a fee is configured, it is held and charged, and no more."""
    with Governed(providers={"own": openai(upstreams.url)}, models={"byok": priced("own", {"request": "0.01"})},
                  sections={"billing": {"byok_fee_permille": 50}}) as gw:
        gw.team("owner", credits="0.0005")
        gw.api("PUT", "teams/owner/byok/own", {"key": "sk-customer"})
        key = gw.key(team="owner")["key"]
        r = gw.chat(key, "byok")
        assert r.status == 200 and gw.balance("owner") == 0
        doc = gw.api("GET", f"/v1/generation?id={r.json()['id']}", key=key)
        assert doc["byok"] is True and doc["charged"] == 0.0005 and doc["total_cost"] == 0.01
        assert gw.chat(key, "byok").status == 402
        gw.verify()


def test_byok_where_the_gateway_has_no_key(upstreams):
    """A provider that is dormant for want of a key serves those who bring one, and nobody else."""
    dormant = openai(upstreams.url, api_key={"env": "NOBODY_HAS_SET_THIS"})
    with Governed(providers={"own": dormant}, models={"byok": priced("own", PRICE)}) as gw:
        gw.team("owner")
        gw.api("PUT", "teams/owner/byok/own", {"key": "sk-customer-0001"})
        key, other = gw.key(team="owner")["key"], gw.key()["key"]
        upstreams.requests.clear()
        assert gw.chat(key, "byok").status == 200
        assert sent_keys(upstreams) == ["Bearer sk-customer-0001"]
        assert gw.chat(other, "byok").status == 404 and not upstreams.requests

        def listed(k):
            return {m["id"] for m in gw.ask("GET", "/v1/models", key=k).json()["data"]}
        assert "byok" in listed(key) and "byok" not in listed(other)
        gw.api("DELETE", "teams/owner/byok/own")
        assert gw.chat(key, "byok").status == 404 and not upstreams.requests


# ---- The documents' own examples, pasted.

AIROUTER = {
    "chat": '''curl https://api.airouter.kz/api/v1/chat/completions \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer air_live_your_key_here" \\
-d '{
"model": "google/gemini-3-pro",
"messages": [
{"role": "user", "content": "Summarize the OpenAI Chat Completions schema in one sentence."}
]
}\'''',
    "models": "curl https://api.airouter.kz/api/v1/models",
    "generation": '''curl "https://api.airouter.kz/api/v1/generation?id=gen-abc123" \
-H "Authorization: Bearer air_live_your_key_here"''',
    "credits": '''curl https://api.airouter.kz/api/v1/credits \
-H "Authorization: Bearer air_live_your_key_here"''',
    "make": '''curl -X POST https://api.airouter.kz/api/v1/keys \\
-H "Authorization: Bearer air_live_your_key_here" \\
-H "Content-Type: application/json" \\
-d '{
"name": "production-backend",
"rate_limit": 100
}\'''',
    "list": '''curl https://api.airouter.kz/api/v1/keys \
-H "Authorization: Bearer air_live_your_key_here"''',
    "delete": '''curl -X DELETE https://api.airouter.kz/api/v1/keys/key_id_here \
-H "Authorization: Bearer air_live_your_key_here"''',
}


def test_examples_of_airouter(gw):
    """A-4, A-53, A-61..A-66, A-68."""
    key = gw.key(team="acme", surface="airouter", role="management")["key"]
    status, body = gw.bash(AIROUTER["chat"], key)
    assert status == 200 and json.loads(body)["id"].startswith("gen-"), body
    id = json.loads(body)["id"]
    status, body = gw.bash(AIROUTER["generation"], key, [("gen-abc123", id)])
    assert status == 200 and json.loads(body)["id"] == id and json.loads(body)["status"] == "completed"
    assert gw.bash(AIROUTER["generation"], key)[0] == 404
    status, body = gw.bash(AIROUTER["credits"], key)
    assert status == 200 and set(json.loads(body)["data"]) == {"total_credits", "total_usage", "remaining"}
    status, body = gw.bash(AIROUTER["make"], key)
    doc = json.loads(body)
    assert status == 201 and doc["name"] == "production-backend" and doc["rate_limit"] == 100
    assert gw.bash(AIROUTER["chat"], doc["key"])[0] == 200 and "X-RateLimit-Limit: 100" in gw.curl_head
    status, body = gw.bash(AIROUTER["list"], key)
    assert status == 200 and doc["id"] in {k["id"] for k in json.loads(body)["data"]}
    assert gw.bash(AIROUTER["delete"], key, [("key_id_here", doc["id"])])[0] == 200
    assert gw.bash(AIROUTER["chat"], doc["key"])[0] == 401
    assert gw.bash(AIROUTER["delete"], key)[0] == 404
    assert gw.bash(AIROUTER["models"], key)[0] == 200


KAIROSROUTE = {
    "make": '''curl -X POST https://kairosroute.com/api/auth \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer kr_live_..." \\
-d '{
"name": "Production Key",
"expires_in": 7776000
}\'''',
    "list": '''curl https://kairosroute.com/api/auth \\
-H "Authorization: Bearer kr_live_..."''',
    "delete": '''curl -X DELETE https://kairosroute.com/api/auth/key_123abc \\
-H "Authorization: Bearer kr_live_..."''',
    "chat": '''curl https://kairosroute.com/v1/chat/completions \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer kr_live_..." \\
-d '{
"model": "kr-auto",
"messages": [
{
"role": "system",
"content": "You are a helpful assistant."
},
{
"role": "user",
"content": "Explain quantum computing in simple terms."
}
],
"temperature": 0.7,
"max_tokens": 500
}\'''',
    "models": '''curl https://kairosroute.com/v1/models \\
-H "Authorization: Bearer kr_live_..."''',
}


def test_examples_of_kairosroute(gw):
    """K-10, K-35..K-42."""
    key = gw.key(team="acme", surface="kairosroute")["key"]
    status, body = gw.bash(KAIROSROUTE["make"], key)
    doc = json.loads(body)
    assert status == 201 and doc["name"] == "Production Key" and doc["key"].startswith("kr_live_")
    status, body = gw.bash(KAIROSROUTE["chat"], doc["key"])
    assert status == 200 and json.loads(body)["id"].startswith("chatcmpl-"), body
    assert gw.bash(KAIROSROUTE["models"], doc["key"])[0] == 200
    status, body = gw.bash(KAIROSROUTE["list"], key)
    assert status == 200 and doc["id"] in {k["id"] for k in json.loads(body)["data"]}
    assert gw.bash(KAIROSROUTE["delete"], key)[0] == 404
    assert gw.bash(KAIROSROUTE["delete"], key, [("key_123abc", doc["id"])])[0] == 200
    assert gw.bash(KAIROSROUTE["chat"], doc["key"])[0] == 401


def test_example_of_kilo(gw):
    """Ki-27."""
    status, body = gw.bash('''curl -X POST "https://api.kilo.ai/api/gateway/chat/completions" \\
  -H "Authorization: Bearer $KILO_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "anthropic/claude-sonnet-4.5",
    "messages": [
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "What is quantum computing?"}
    ],
    "max_tokens": 500,
    "temperature": 0.7
  }\'''', gw.key(team="acme")["key"])
    assert status == 200 and json.loads(body)["model"] == "anthropic/claude-sonnet-4.5", body


def test_examples_of_cailos(gw):
    """C-9, C-10: the document's base URL is blank; it is put in front of the paths."""
    key = gw.key(team="acme", surface="cailos")["key"]
    assert key.startswith("cai_")
    status, body = gw.bash('''curl /chat/completions \\
  -H "Authorization: Bearer cai_your_key_here" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Hello"}]
  }\'''', key, [("curl /", f"curl {gw.url}/v1/")])
    assert status == 200 and json.loads(body)["object"] == "chat.completion"
    status, body = gw.bash('''curl /models \\
  -H "Authorization: Bearer cai_your_key_here"''', key, [("curl /", f"curl {gw.url}/v1/")])
    assert status == 200 and "gpt-4o" in {m["id"] for m in json.loads(body)["data"]}


# ---- OpenAI's own SDK, with a key that was made.

def test_sdk(gw):
    gw.team("broke")
    gw.team("strict", billing="postpaid", policy={"deny_models": ["m"]})
    limited = gw.key(team="acme", rate_limit=1)["key"]

    def client(key, **more):
        return sdk.OpenAI(base_url=gw.base_url, api_key=key, timeout=20, **{"max_retries": 0, **more})

    def raised(kind, key, status, code):
        with client(key) as c, pytest.raises(kind) as e:
            c.chat.completions.create(model="m", messages=user())
        assert e.value.status_code == status and e.value.code == code and e.value.type
        return e.value

    with client(limited) as c:
        assert c.chat.completions.create(model="m", messages=user()).usage.total_tokens == 18
    error = raised(sdk.RateLimitError, limited, 429, "rate_limit_exceeded")
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    raised(sdk.AuthenticationError, "tp_live_" + "z" * 43, 401, "invalid_api_key")
    raised(sdk.PermissionDeniedError, gw.key(team="strict")["key"], 403, "policy_denied")
    raised(sdk.PermissionDeniedError, gw.key(models=["other"])["key"], 403, "model_not_allowed")
    error = raised(sdk.APIStatusError, gw.key(team="broke")["key"], 402, "insufficient_credits")
    assert error.body["message"] == "Insufficient credits. Please add funds to your account."


def test_sdk_waits_as_it_is_told(gw, mock):
    """The 429 of a limit on requests at the same time says to come again in a second; the SDK does."""
    key = gw.key(team="acme", concurrency=1)["key"]
    slow = {"model": "slow", "messages": user()}
    gw.snippet("60-slow.json", {"models": {"slow": priced("up", PRICE, upstream(delay_ms=600))}})
    gw.reload()

    def work(i):
        if i == 0:
            assert gw.ask("POST", "/v1/chat/completions", slow, key).status == 200
            return
        time.sleep(0.2)  # the other one is under way
        with sdk.OpenAI(base_url=gw.base_url, api_key=key, timeout=20, max_retries=2) as c:
            begin = time.monotonic()
            assert c.chat.completions.create(model="m", messages=user()).choices
            return time.monotonic() - begin

    took = together(2, work)[1]
    assert 0.9 < took < 5, took  # not at once, and not its own half a second


# ---- How keys are kept. C-6.

def test_last_use_outlives_a_restart(mock):
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)}) as gw:
        used, idle = gw.key(), gw.key()
        assert gw.chat(used["key"]).status == 200
        before = gw.api("GET", f"keys/{used['id']}")["last_used_at"]
        assert before and gw.api("GET", f"keys/{idle['id']}")["last_used_at"] is None
        gw.again()
        assert gw.api("GET", f"keys/{used['id']}")["last_used_at"] == before
        assert gw.api("GET", f"keys/{idle['id']}")["last_used_at"] is None


def test_argon2(mock):
    """Without its pepper a key is still good: Argon2id says so, once; wrong ones are bounded."""
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)},
                  admission={"address_requests_per_minute": 20}) as gw:
        gw.team("t", billing="postpaid")
        keys = [gw.key(team="t") for _ in range(2)]
        db = b"".join(v for k, v in gw.kept().items() if "turnpike.db" in k)
        assert b"$argon2id$v=19$" in db and all(k["key"].encode() not in db for k in keys)
        gw.stop()
        pepper = gw.dir / "run" / "pepper"
        assert pepper.stat().st_mode & 0o777 == 0o600 and pepper.stat().st_size == 32
        pepper.unlink()
        gw.start()
        good, other = keys[0]["key"], keys[1]["key"]

        def timed(key):
            with gw.client(key=key) as c:
                c.connect()
                begin = time.monotonic()
                status = c.get("/v1/key").status
                return status, time.monotonic() - begin

        status, first = timed(good)
        assert status == 200
        later = [timed(good) for _ in range(20)]
        assert {s for s, _ in later} == {200}
        assert sorted(t for _, t in later)[10] < first / 2, (first, later)  # the HMAC is remembered
        # A guess at a key whose public part is known costs an Argon2id, so few are begun.
        wrong = other[:-43] + other[-43:-31] + "A" * 31
        statuses = [timed(wrong)[0] for _ in range(30)]
        assert statuses == [401] * 20 + [429] * 10
        # At the same address: the key that is known passes; the one that is not has to wait its turn.
        assert timed(good)[0] == 200 and timed(other)[0] == 429
        assert timed(keys[0]["key"][:-1] + "!")[0] == 429
        # After another start the remembered HMACs are gone, or they are stored; either way it is good.
        gw.again()
        assert timed(other)[0] == 200 and timed(good)[0] == 200


def test_secrets_are_nowhere(mock):
    """Not of keys, of customers, of upstreams, of sessions: in no log, and but for the gateway's own
    provider key, which its operator wrote, in no file."""
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)}, log_level="debug",
                  surfaces=SURFACES, sections={"store": {"prompts": True}}) as gw:
        gw.team("t", credits="1")
        boss = gw.key(team="t", role="management")
        doc = gw.api("POST", "/v1/keys", {"name": "k"}, boss["key"], status=201)
        secrets = [boss["key"], doc["key"], "sk-upstream-secret", "sk-customers-own-secret", ADMIN, KEY]
        gw.api("PUT", "teams/t/byok/up", {"key": "sk-customers-own-secret"})
        r = gw.ask("POST", "/admin/session", key=boss["key"])
        secrets.append(re.search(r"turnpike_session=([^;]+)", r.header("Set-Cookie")).group(1))
        secrets.append(r.json()["csrf_token"])
        gw.chat(doc["key"]), gw.chat(doc["key"], stream=True), gw.chat(doc["key"], "nothing")
        gw.ask("GET", f"/v1/models?key={'x'}", key=doc["key"])
        wrong = doc["key"][:-1] + ("A" if doc["key"][-1] != "A" else "B")
        secrets.append(wrong)  # a mistyped key is nearly a key
        assert gw.chat(wrong).status == 401
        gw.api("PATCH", f"/v1/keys/{doc['id']}", {"name": "renamed"}, boss["key"])
        gw.socket("GET", "/admin/keys")
        gw.command("keys", "list"), gw.command("byok", "list", "t")
        gw.reload()
        gw.flush()
        files = dict(gw.kept())
        gw.again("kill")  # what a crash leaves
        gw.ask("DELETE", f"/v1/keys/{doc['id']}", key=boss["key"])
        gw.stop()
        files.update({k + " after": v for k, v in gw.kept().items()})
        assert any(k.endswith("turnpike.db") for k in files) and any("turnpike.db-wal" in k for k in files), files.keys()
        assert b"/v1/keys/" in files["access.log after"] and len(files) > 10
        for secret in secrets:
            for name, data in files.items():
                assert secret.encode() not in data, (name, secret[:16])
                assert secret[-20:].encode() not in data, (name, secret[:16])


# ---- Ten thousand of them.

def test_ten_thousand_keys(mock):
    many = 10_000
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)}) as gw:
        gw.team("t", billing="postpaid")
        gw.key(team="t")
        gw.again()
        one = gw.key(team="t")
        gw.chat(one["key"])
        before = rss_kb(gw.pid)
        gw.stop()
        # Each would cost an Argon2id: these are rows of the same hash, each with its own HMAC.
        pepper = (gw.dir / "run" / "pepper").read_bytes()
        db = sqlite3.connect(gw.dir / "run" / "turnpike.db")
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM key WHERE id = ?", [one["id"]]).fetchone())
        assert row["hmac"] == hmac.digest(pepper, one["key"].encode(), "sha256")
        secrets = [one["key"][:8] + hashlib.sha256(b"%d" % i).hexdigest()[:43] for i in range(many)]
        with db:
            db.executemany(
                f"INSERT INTO key ({','.join(row)}) VALUES ({','.join('?' * len(row))})",
                [list({**row, "id": f"key_{i:020d}", "name": f"k{i}", "lookup": s[:20],
                       "hmac": hmac.digest(pepper, s.encode(), "sha256")}.values())
                 for i, s in enumerate(secrets)])
        db.close()
        begin = time.monotonic()
        gw.start()
        took = time.monotonic() - begin
        for s in (secrets[0], secrets[many // 2], secrets[-1], one["key"]):
            assert gw.chat(s).status == 200
        grown = (rss_kb(gw.pid) - before) * 1024 / many
        print(f"{many} keys: start-up {took:.2f} s, {grown:.0f} bytes a key")
        assert gw.chat(secrets[5][:-1] + "_").status == 401
        assert SANITIZED or took < 2, took
        assert SANITIZED or grown < 1024, grown
        assert len(gw.pages("keys", team="t", limit=1000)) == many + 2
