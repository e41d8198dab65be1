"""Keys: made, listed and changed over each surface's endpoints, and what they may and may not do. The rows are
those of the reference documents' statements."""
import re
import time

import pytest

from harness.acme import ID, SECRET, acme, assert_shape


@pytest.fixture(scope="module")
def gw(mock, upstreams):
    with acme(mock, upstreams) as g:
        yield g


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
