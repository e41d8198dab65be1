"""Every management endpoint while the store takes nothing: what changes something is 503 in the surface's
envelope and changes nothing; what memory knows is answered as before; who may, may; nobody is told 401."""
import resource
import time

import pytest

from harness.govern import ADMIN, SURFACES, Governed
from harness.paths import PATIENCE
from test_rights import ENDPOINTS, SOCKET, session

# What is read from the store itself: it may still be readable, or not.
OF_THE_STORE = ("/generation", "/ledger")


def can_write(gw, may):
    """No file of the daemon may grow beyond 4 KB, which is what a full disk is for who writes; or any may."""
    soft = resource.RLIM_INFINITY if may else 4096
    resource.prlimit(gw.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))


def wait_for(what):
    ends = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.05)


def healthy(gw):
    return gw.ask("GET", "/healthz", None, None).json()["status"] == "ok"


def state(gw):
    keys = [{**k, "last_used_at": None} for k in gw.pages("keys")]
    return keys, gw.pages("teams"), gw.api("GET", "teams/acme/byok")


@pytest.fixture(scope="module")
def gw():
    with Governed(surfaces=SURFACES, workers=2) as g:
        g.team("acme", credits="5")
        g.boss, g.plain, g.target = g.key(team="acme", role="management"), g.key(team="acme"), g.key(team="acme")["id"]
        g.generation = g.chat(g.plain["key"], "echo").json()["id"]
        g.api("PUT", "teams/acme/byok/echo", {"key": "sk-of-acme"})
        g.flush()
        g.before = state(g)
        g.cookies = [session(g, g.boss["key"]) for _ in range(2)]
        can_write(g, False)
        g.ask("POST", "/admin/teams/acme/credits", {"amount": "1"})
        wait_for(lambda: not healthy(g))
        yield g


@pytest.mark.parametrize("method, path, body, need", ENDPOINTS, ids=[f"{m} {p}" for m, p, _, _ in ENDPOINTS])
def test_in_trouble(gw, method, path, body, need):
    key, headers = ADMIN if path.startswith("/admin") else gw.boss["key"], []
    is_session = path == "/admin/session"
    if is_session and method != "POST":
        key, (cookie, csrf) = None, gw.cookies[0]
        headers = [("Cookie", f"turnpike_session={cookie}"), ("X-CSRF-Token", csrf)]
    where = path.format(key=gw.target, generation=gw.generation)
    sent = {**body, "id": "new-one"} if body and "id" in body else body
    r = gw.ask(method, where, sent, key, headers)
    if need == SOCKET:
        assert r.status == 403, r
        status, doc = gw.socket(method, where, {"path": str(gw.dir / "copy")} if body else None)
        assert status == 503 and doc["error"]["code"] == "store_unavailable", (status, doc)
    elif method == "GET" or is_session:
        assert r.status in (200, 201) or (r.status == 503 and any(s in path for s in OF_THE_STORE)), r
    else:
        assert r.status == 503 and r.header("Retry-After"), r
        assert set(r.error) == ({"message", "type", "code"} if path.startswith("/api/v1") else {"message", "type", "param", "code"})
        assert r.error["code"] == (503 if path.startswith("/api/v1") else "store_unavailable"), r
        # By a session it is the same.
        cookie, csrf = gw.cookies[1]
        r = gw.ask(method, where, sent, None, [("Cookie", f"turnpike_session={cookie}"), ("X-CSRF-Token", csrf)])
        assert r.status == (403 if need == "admin" else 503), r
    # Rights are as ever: who may not is told so, and not that the store is ill.
    r = gw.ask(method, where, sent, gw.plain["key"])
    assert r.status == 403 if need != "any key" else r.status != 401, r
    assert gw.ask(method, where, sent, None).status == 401


def test_afterwards(gw):
    """Nothing was changed, and all can be again, without a restart."""
    assert not healthy(gw) and state(gw) == gw.before
    can_write(gw, True)
    wait_for(lambda: healthy(gw))
    assert state(gw) == gw.before
    gw.api("PATCH", f"keys/{gw.target}", {"name": "after it"})
    gw.api("DELETE", f"keys/{gw.target}")
    gw.grant("acme", 1)
    gw.verify()
    gw.again()
    assert gw.target not in {k["id"] for k in gw.pages("keys")} and gw.balance("acme") == 6_000_000_000
