"""Which keys pass, and until when: wrong ones, expiry, disabling, allow-lists, spending limits, revocation."""
import json
import time

import pytest

from harness.acme import COST, WRONG, acme, assert_shape
from harness.govern import together, user


@pytest.fixture(scope="module")
def gw(mock, upstreams):
    with acme(mock, upstreams) as g:
        yield g


# ---- Who is refused, and how. A-7, C-2, K-20, Ki-50.

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
    assert r.status == 401 and r.error["code"] == "expired_api_key"
    assert r.error["message"] == "Unauthorized - Invalid or missing API key"  # KairosRoute's for all of them
    r = gw.chat(other["key"])
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
