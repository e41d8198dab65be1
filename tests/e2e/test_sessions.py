"""Sessions of the admin API: a management key gives a cookie that stands in for it. R-8, A-69, K-34, C-5."""
import re
import time

import pytest

from harness.govern import ADMIN, SURFACES, Governed

COOKIE = re.compile(r"turnpike_session=([^;]+); HttpOnly; SameSite=Strict; Path=/; Max-Age=(\d+)")


@pytest.fixture(scope="module")
def gw():
    with Governed(surfaces=SURFACES, workers=2, admission={"session_minutes": 10}) as g:
        g.team("acme", credits="5")
        g.team("rival")
        yield g


class Session:
    def __init__(self, gw, key):
        r = gw.ask("POST", "/admin/session", key=key)
        assert r.status == 201, r
        found = COOKIE.fullmatch(r.header("Set-Cookie"))  # over plain HTTP not Secure
        self.gw, self.cookie, self.csrf = gw, found.group(1), r.json()["csrf_token"]
        self.doc, self.seconds = r.json(), int(found.group(2))

    def ask(self, method, path, body=None, csrf=None, key=None):
        """csrf None: the right one; "": none."""
        csrf = self.csrf if csrf is None else csrf
        headers = [("Cookie", f"theme=dark; turnpike_session={self.cookie}; x=y")]
        return self.gw.ask(method, path, body, key, headers + ([("X-CSRF-Token", csrf)] if csrf else []))


@pytest.fixture
def boss(gw):
    return gw.key(team="acme", role="management")


def test_login(gw, boss):
    s = Session(gw, boss["key"])
    assert s.seconds == 600 and len(s.cookie) > 43 and len(s.csrf) >= 43 and s.csrf != s.cookie
    assert s.doc["role"] == "management" and s.doc["team"] == "acme" and s.doc["key"] == boss["id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", s.doc["expires_at"])
    again = Session(gw, boss["key"])
    assert again.cookie != s.cookie and again.csrf != s.csrf
    r = s.ask("GET", "/admin/session")
    assert r.status == 200 and r.json()["csrf_token"] == s.csrf and r.json()["key"] == boss["id"]
    assert Session(gw, ADMIN).doc["role"] == "admin"


def test_only_managers_may(gw):
    plain = gw.key(team="acme")
    r = gw.ask("POST", "/admin/session", key=plain["key"])
    assert r.status == 403 and not r.header("Set-Cookie"), r
    for wrong in (None, "tp_live_" + "x" * 43, plain["key"][:-1] + "!"):
        r = gw.ask("POST", "/admin/session", key=wrong)
        assert r.status == 401 and not r.header("Set-Cookie"), r


def test_keys_in_a_session(gw, boss):
    """A-69: the key endpoints take a session instead of a key."""
    s = Session(gw, boss["key"])
    for base, path, prefix in (("/api/v1", "/keys", "air_live_"), ("/v1", "/keys", "tp_live_"), ("/api", "/auth", "kr_live_"),
                               ("/admin", "/keys", "tp_live_")):
        r = s.ask("POST", base + path, {"name": "from a browser"})
        assert r.status == 201 and r.json()["key"].startswith(prefix) and r.json()["team"] == "acme", r
        id, key = r.json()["id"], r.json()["key"]
        assert id in {k["id"] for k in s.ask("GET", base + path).json()["data"]}
        assert gw.chat(key, "echo").status == 200
        r = s.ask("DELETE", f"{base}{path}/{id}")
        assert r.status == 200 and r.json() == {"id": id, "deleted": True}
        assert gw.chat(key, "echo").status == 401
    assert s.ask("GET", "/api/v1/credits").json()["data"]["remaining"] == 5
    assert s.ask("GET", "/admin/teams/acme").json()["id"] == "acme"
    assert s.ask("GET", "/admin/teams/rival").status == 404 and s.ask("GET", "/admin/teams").status == 403


def test_csrf(gw, boss):
    """Every change needs the session's own token; looking needs none."""
    s, other = Session(gw, boss["key"]), Session(gw, boss["key"])
    id = s.ask("POST", "/v1/keys", {"name": "k"}).json()["id"]
    for wrong in ("", "x", other.csrf, s.csrf[:-1], s.csrf + "A", s.csrf.swapcase(), s.cookie):
        for method, path, body in (("POST", "/v1/keys", {"name": "x"}), ("PATCH", f"/v1/keys/{id}", {"name": "x"}),
                                   ("DELETE", f"/v1/keys/{id}", None), ("POST", "/api/auth", {"name": "x"}),
                                   ("PUT", "/admin/teams/acme/byok/echo", {"key": "x"}), ("DELETE", "/admin/session", None)):
            r = s.ask(method, path, body, csrf=wrong)
            assert r.status == 403, (wrong, method, path, r)
    assert s.ask("GET", f"/v1/keys/{id}", csrf="").json()["name"] == "k"
    assert s.ask("DELETE", f"/v1/keys/{id}").status == 200


def test_cookies_that_are_none(gw, boss):
    s = Session(gw, boss["key"])
    for cookie in ("turnpike_session=", "turnpike_session=x", f"turnpike_session={s.cookie[:-1]}", f"turnpike_session={s.cookie}A",
                   f"xturnpike_session={s.cookie}", f"turnpike_session={s.cookie[::-1]}", "turnpike_session=" + "A" * 5000):
        for path in ("/admin/session", "/v1/keys", "/api/auth", "/api/v1/credits"):
            r = gw.ask("GET", path, key=None, headers=[("Cookie", cookie)])
            assert r.status == 401, (cookie, path, r)
    # A session manages; it calls no models, and where a key is shown, the key counts.
    r = s.ask("POST", "/v1/chat/completions", {"model": "echo", "messages": [{"role": "user", "content": "x"}]})
    assert r.status == 401, r
    plain = gw.key(team="acme")
    assert s.ask("GET", "/v1/keys", key=plain["key"]).status == 403
    assert s.ask("GET", "/v1/keys", key="tp_live_" + "x" * 43).status == 401


def test_logout(gw, boss):
    s, other = Session(gw, boss["key"]), Session(gw, boss["key"])
    assert s.ask("GET", "/v1/keys").status == 200
    r = s.ask("DELETE", "/admin/session")
    assert r.status == 200 and r.json() == {"deleted": True}
    assert COOKIE.fullmatch(r.header("Set-Cookie").replace("session=;", "session=-;")).group(2) == "0"
    assert s.ask("GET", "/v1/keys").status == 401 and s.ask("GET", "/admin/session").status == 401
    assert other.ask("GET", "/v1/keys").status == 200  # its own affair


@pytest.mark.parametrize("how", ["revoked", "disabled", "expired", "demoted team"])
def test_a_session_ends_with_its_key(gw, how):
    key = gw.key(team="acme", role="management")
    s = Session(gw, key["key"])
    assert s.ask("GET", "/v1/keys").status == 200
    if how == "revoked":
        assert gw.ask("DELETE", f"/admin/keys/{key['id']}").status == 200
    elif how == "disabled":
        gw.api("PATCH", f"keys/{key['id']}", {"disabled": True})
    elif how == "expired":
        gw.api("PATCH", f"keys/{key['id']}", {"expires_in": 1})
        time.sleep(1.1)
    else:
        gw.api("PATCH", "teams/acme", {"active": False})
    try:
        for method, path, body in (("GET", "/v1/keys", None), ("POST", "/v1/keys", {"name": "x"}), ("GET", "/api/auth", None),
                                   ("GET", "/admin/session", None)):
            assert s.ask(method, path, body).status == (403 if how == "demoted team" else 401), (method, path)
    finally:
        gw.api("PATCH", "teams/acme", {"active": True})
    if how == "disabled":  # it has ended, and does not come back with the key
        gw.api("PATCH", f"keys/{key['id']}", {"disabled": False})
        assert s.ask("GET", "/v1/keys").status == 401
        assert gw.ask("GET", "/v1/keys", key=key["key"]).status == 200


def test_reload_and_restart(gw, boss):
    """A session lives as long as the process."""
    s = Session(gw, boss["key"])
    gw.reload()
    assert s.ask("GET", "/v1/keys").status == 200
    gw.again()
    assert s.ask("GET", "/v1/keys").status == 401
    assert Session(gw, boss["key"]).ask("GET", "/v1/keys").status == 200


def test_no_more_than_there_is_room_for(gw, boss):
    """Sessions are bounded: the one unused for longest makes room, not the one in use."""
    used = Session(gw, boss["key"])
    unused = Session(gw, boss["key"])
    with gw.client(key=boss["key"]) as c:
        for i in range(1100):
            assert c.request("POST", "/admin/session").status == 201
            if i % 100 == 0:
                assert used.ask("GET", "/admin/session").status == 200
    assert used.ask("GET", "/v1/keys").status == 200 and unused.ask("GET", "/v1/keys").status == 401
