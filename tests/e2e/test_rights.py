"""Who may do what: every management endpoint with everybody who could ask, against the tables of
docs/api.md. The list of endpoints is held against the OpenAPI description, so one that is added there and
not here is a failure."""
import re
import time

import pytest

from harness.govern import KEY, SURFACES, Governed, together

# Who an endpoint is for, in the words of the tables.
ANY, MANAGEMENT, TEAM, ADMIN_ONLY, SOCKET = "any key", "management", "management its own", "admin", "socket"

# method, path, body, who. {key}: a key made for this one request, {foreign} in its place asks for another team's.
KEYS = [
    ("GET", "", None, MANAGEMENT), ("POST", "", {"name": "k"}, MANAGEMENT), ("GET", "/{key}", None, MANAGEMENT),
    ("PATCH", "/{key}", {"name": "renamed"}, MANAGEMENT), ("DELETE", "/{key}", None, MANAGEMENT),
]
SURFACE = [*((m, "/keys" + p, b, w) for m, p, b, w in KEYS), ("GET", "/key", None, ANY), ("GET", "/credits", None, ANY),
           ("GET", "/generation?id={generation}", None, ANY)]
ENDPOINTS = [
    *((m, base + p, b, w) for base in ("/v1", "/api/v1") for m, p, b, w in SURFACE),
    ("GET", "/api/auth", None, ANY), ("POST", "/api/auth", {"name": "k"}, ANY), ("DELETE", "/api/auth/{key}", None, ANY),
    *((m, "/admin/keys" + p, b, w) for m, p, b, w in KEYS),
    ("GET", "/admin/openapi.json", None, ANY),
    ("GET", "/admin/teams", None, ADMIN_ONLY), ("POST", "/admin/teams", {"id": "team-{n}"}, ADMIN_ONLY),
    ("GET", "/admin/teams/acme", None, TEAM), ("PATCH", "/admin/teams/acme", {"name": "Acme"}, ADMIN_ONLY),
    ("GET", "/admin/teams/acme/credits", None, TEAM),
    ("POST", "/admin/teams/acme/credits", {"amount": "1"}, ADMIN_ONLY),
    ("GET", "/admin/teams/acme/ledger", None, TEAM), ("GET", "/admin/teams/acme/byok", None, TEAM),
    ("PUT", "/admin/teams/acme/byok/echo", {"key": "sk-of-acme"}, TEAM),
    ("DELETE", "/admin/teams/acme/byok/echo", None, TEAM),
    ("GET", "/admin/generations", None, MANAGEMENT), ("GET", "/admin/generations/{generation}", None, MANAGEMENT),
    ("GET", "/admin/ledger/verify", None, ADMIN_ONLY),
    ("POST", "/admin/backup", {"path": "/nowhere/copy"}, SOCKET), ("POST", "/admin/flush", None, SOCKET),
    ("POST", "/admin/session", None, MANAGEMENT), ("GET", "/admin/session", None, MANAGEMENT),
    ("DELETE", "/admin/session", None, MANAGEMENT),
]
# Where nothing says whose it is, another team's key is answered with what is its own.
OF_THE_ASKER = re.compile(r"/keys$|/key$|v1/credits$|/auth$|openapi|/session$|/admin/generations$")


class Who:
    def __init__(self, role=None, key=None, cookie=None, csrf=None, refused=None, foreign=False):
        """role: inference, management, admin. refused: the status that meets everything it asks."""
        self.role, self.key, self.cookie, self.csrf = role, key, cookie, csrf
        self.refused, self.foreign = refused, foreign

    @property
    def headers(self):
        return [*([("Cookie", f"turnpike_session={self.cookie}")] if self.cookie else []),
                *([("X-CSRF-Token", self.csrf)] if self.csrf else [])]


def session(gw, key):
    r = gw.ask("POST", "/admin/session", key=key)
    assert r.status == 201, r
    return re.search(r"turnpike_session=([^;]+)", r.header("Set-Cookie")).group(1), r.json()["csrf_token"]


@pytest.fixture(scope="module")
def gw():
    with Governed(surfaces=SURFACES, workers=2) as g:
        for team in ("acme", "rival", "asleep"):
            g.team(team, credits="5")
        g.plain = g.key(team="acme")
        g.generation = g.chat(g.plain["key"], "echo").json()["id"]
        g.api("PUT", "teams/acme/byok/echo", {"key": "sk-of-acme"})
        yield g


@pytest.fixture(scope="module")
def everybody(gw):
    def made(role, team="acme", **more):
        return gw.key(team=team, role=role, **more)

    out = {"nobody": Who(refused=401), "wrong key": Who(key="tp_live_" + "x" * 43, refused=401),
           "wrong cookie": Who(cookie="tps_" + "x" * 43, csrf="x" * 43, refused=401)}
    for role in ("inference", "management", "admin"):
        out[role] = Who(role, made(role)["key"])
        out["foreign " + role] = Who(role, made(role, "rival")["key"], foreign=True)
        off, late, gone = made(role), made(role, expires_in=1), made(role)
        gw.api("PATCH", f"keys/{off['id']}", {"disabled": True})
        gw.api("DELETE", f"keys/{gone['id']}")
        for how, doc in (("disabled", off), ("expired", late), ("revoked", gone)):
            out[f"{how} {role}"] = Who(role, doc["key"], refused=401)
        asleep = made(role, "asleep")
        out["inactive team's " + role] = Who(role, asleep["key"], refused=403)
        if role != "inference":
            cookie, csrf = session(gw, made(role)["key"])
            out[f"{role} session"] = Who(role, cookie=cookie, csrf=csrf)
            out[f"{role} session without token"] = Who(role, cookie=cookie)
            cookie, csrf = session(gw, asleep["key"])
            out[f"inactive team's {role} session"] = Who(role, cookie=cookie, csrf=csrf, refused=403)
            cookie, csrf = session(gw, made(role, "rival")["key"])
            out[f"foreign {role} session"] = Who(role, cookie=cookie, csrf=csrf, foreign=True)
            # Where a key is shown, the key counts.
            out[f"inference key beside a {role} session"] = Who("inference", out["inference"].key,
                                                                out[f"{role} session"].cookie,
                                                                out[f"{role} session"].csrf)
    gw.api("PATCH", "teams/asleep", {"active": False})
    time.sleep(1.1)
    return out


def expected(who, need, method, path):
    """The status that docs/api.md promises; 2: done."""
    if who.refused:
        return who.refused
    by_session = who.cookie and not who.key
    if by_session and not who.csrf and method not in ("GET", "HEAD"):
        return 403
    if need == SOCKET:
        return 403
    rank = {"inference": 1, "management": 2, "admin": 3}
    if rank[who.role] < {ANY: 1, MANAGEMENT: 2, TEAM: 2, ADMIN_ONLY: 3}[need]:
        return 403
    if path == "/admin/session":  # begun with a key; looked at and ended with its cookie
        return (403 if by_session else 2) if method == "POST" else (2 if by_session else 404)
    asks_of_another = who.foreign and not OF_THE_ASKER.search(path.split("?")[0])
    if not asks_of_another:
        return 2
    if who.role == "admin" and (path.startswith("/admin") or "/generation" in path):
        return 2
    return 404


def test_the_list_is_whole(gw):
    """Every operation that is described is in the table above, and the other way round."""
    described = {(m.upper(), re.sub(r"\{\w+\}", "*", p)) for p, ms in
                 gw.api("GET", "openapi.json")["paths"].items() for m in ms}
    asked = {(m, re.sub(r"\{\w+\}|(?<=teams/)acme|(?<=byok/)echo", "*", p.split("?")[0])) for m, p, _, _ in ENDPOINTS}
    assert described == asked


@pytest.mark.parametrize("method, path, body, need", ENDPOINTS, ids=[f"{m} {p}" for m, p, _, _ in ENDPOINTS])
def test_who_may(gw, everybody, method, path, body, need):
    wrong = []
    for n, (name, who) in enumerate(everybody.items()):
        if path == "/admin/session" and method == "DELETE" and who.cookie and not who.key and not who.refused:
            who = Who(who.role, foreign=who.foreign, cookie=who.cookie, csrf=who.csrf)
            if who.csrf:  # one that is not needed any more
                role_key = gw.key(team="rival" if who.foreign else "acme", role=who.role)["key"]
                who.cookie, who.csrf = session(gw, role_key)
        if method == "DELETE" and "byok" in path:
            gw.api("PUT", "teams/acme/byok/echo", {"key": "sk-of-acme"})
        target = gw.key(team="acme")["id"] if "{key}" in path else ""
        where = path.format(key=target, generation=gw.generation)
        sent = {"id": body["id"].format(n=n)} if body and "id" in body else body
        r = gw.ask(method, where, sent, who.key, who.headers)
        want = expected(who, need, method, path)
        if (r.status // 100 if want == 2 else r.status) != want:
            wrong.append((name, want, r))
        if r.status >= 400:
            assert r.json()["error"]["message"], r
            assert (r.header("WWW-Authenticate") == "Bearer") == (r.status == 401), (name, r)
        if target and r.status // 100 != 2:  # refused: it is as it was
            assert gw.api("GET", f"keys/{target}")["name"] == "test"
        if method == "GET" and want == 2:
            head = gw.ask("HEAD", where, None, who.key, who.headers)
            assert head.status == r.status and not head.body
    assert not wrong, "\n".join(map(str, wrong))


def test_nothing_of_another_team_is_shown(gw, everybody):
    """A list of whoever asks has no row of anybody else's."""
    for name in ("foreign management", "foreign management session", "foreign inference"):
        who = everybody[name]
        for path in ("/v1/keys", "/api/auth", "/admin/keys", "/admin/generations", "/admin/keys?team=rival"):
            r = gw.ask("GET", path, None, who.key, who.headers)
            if r.status == 200:
                assert all(row["team"] == "rival" for row in r.json()["data"]), (name, path, r)
        if who.role == "management":
            for path in ("/admin/keys?team=acme", "/admin/generations?team=acme"):
                assert gw.ask("GET", path, None, who.key, who.headers).status == 404
            r = gw.ask("POST", "/admin/keys", {"name": "k", "team": "acme"}, who.key, who.headers)
            assert r.status == 404, r
            r = gw.ask("GET", f"/admin/generations?key={gw.plain['id']}", None, who.key, who.headers)
            assert r.status == 200 and r.json()["data"] == [], r


def test_nobody_makes_more_than_he_is(gw, everybody):
    for name in ("management", "management session"):
        who = everybody[name]
        for path in ("/v1/keys", "/api/v1/keys", "/api/auth"):  # no surface makes admins
            assert gw.ask("POST", path, {"name": "k", "role": "admin"}, who.key, who.headers).status == 400
        r = gw.ask("POST", "/admin/keys", {"name": "k", "role": "admin"}, who.key, who.headers)
        assert r.status == 403 and r.error["param"] == "role", r
        admin = gw.key(team="acme", role="admin")
        for path in ("/v1/keys/", "/admin/keys/", "/api/auth/"):
            for method, body in (("PATCH", {"disabled": True}), ("DELETE", None)):
                r = gw.ask(method, path + admin["id"], body, who.key, who.headers)
                assert r.status == (405 if (path, method) == ("/api/auth/", "PATCH") else 403), (path, method, r)
        for body in ({"role": "admin"}, {"team": "rival"}, {"id": "key_other"}, {"prefix": "x_"}, {"key": "x" * 43}):
            r = gw.ask("PATCH", f"/admin/keys/{gw.plain['id']}", body, who.key, who.headers)
            assert r.status == 400 and r.error["code"] == "unknown_member", r
    plain = everybody["inference"]
    r = gw.ask("POST", "/api/auth", {"name": "k", "role": "management"}, plain.key)
    assert r.status == 403 and r.error["param"] == "role", r


def test_a_static_key_of_a_team(gw):
    """Its team's managers see it where they see all keys; it is changed in conf.d."""
    with Governed(surfaces=SURFACES, sections={"teams": {"written": {"billing": "postpaid"}}},
                  keys=[{"name": "ci", "key": "tp_live_" + "ci" * 21 + "x", "team": "written"}]) as gw:
        boss = gw.key(team="written", role="management")
        listed = {k["id"]: k for k in gw.api("GET", "keys", key=boss["key"])["data"]}
        assert set(listed) == {"static:ci", boss["id"]} and listed["static:ci"]["configured"] is True
        assert gw.api("GET", "keys/static:ci", key=boss["key"]) == listed["static:ci"]
        for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
            r = gw.ask(method, "/admin/keys/static:ci", body, boss["key"])
            assert r.status == 409 and r.error["code"] == "configured", r
            assert gw.ask(method, "/admin/keys/static:e2e", body, boss["key"]).status == 404  # nobody's
            assert gw.ask(method, "/v1/keys/static:ci", body, boss["key"]).status == 404  # not listed there
        # What it makes is of its team and may no more than it.
        child = gw.api("POST", "/api/auth", {"name": "of ci"}, "tp_live_" + "ci" * 21 + "x", status=201)
        assert child["team"] == "written" and child["role"] == "inference"
        r = gw.ask("POST", "/api/auth", {"name": "k"}, KEY)
        assert r.status == 403 and r.error["code"] == "no_team", r


def test_too_many_at_once(gw):
    """What cannot be begun is refused in the surface's words, with when to try again."""
    boss = gw.key(team="acme", role="management")
    for base, members in (("/api/v1/keys", {"message", "type", "code"}), ("/v1/keys", {"message", "type", "param", "code"})):
        replies = together(160, lambda i: gw.ask("POST", base, {"name": "k"}, boss["key"]))
        busy = [r for r in replies if r.status != 201]
        assert {r.status for r in busy} <= {503}, busy
        for r in busy:
            assert set(r.error) == members and r.header("Retry-After") == "1" and r.header("X-RateLimit-Limit"), r
            assert r.header("Content-Type") == "application/json", r
        if busy:
            break
    assert busy, "nothing was refused"
    assert gw.ask("GET", "/v1/keys", None, boss["key"]).status == 200
