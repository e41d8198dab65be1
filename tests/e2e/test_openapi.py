"""The OpenAPI description against the daemon: what it says is answered is answered, what it does not allow
is refused with the member's name, what it allows is taken. And bodies that no description foresees."""
import json
import re
import time

import pytest

from harness.govern import ADMIN, SURFACES, Governed
from harness.paths import PATIENCE
from harness.schema import Schemas
from test_rights import ENDPOINTS, SOCKET, session


@pytest.fixture(scope="module")
def gw():
    with Governed(surfaces=SURFACES, workers=2) as g:
        g.team("acme", credits="5")
        g.boss = g.key(team="acme", role="management")
        g.generation = g.chat(g.key(team="acme")["key"], "echo").json()["id"]
        g.api("PUT", "teams/acme/byok/echo", {"key": "sk-of-acme"})
        g.document = g.api("GET", "openapi.json")
        g.schemas = Schemas(g.document)
        yield g


def operations(document):
    for path, methods in document["paths"].items():
        for method, op in methods.items():
            yield path, method.upper(), op


def described(gw, method, path):
    """The operation of a path as it is asked for."""
    plain = path.split("?")[0]
    for pattern, verb, op in operations(gw.document):
        if verb == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), plain):
            return op
    raise AssertionError((method, path))


def body_of(gw, op):
    return gw.schemas.of(op["requestBody"]["content"]["application/json"]["schema"])


def fits(gw, op, r):
    """The reply is as described: by its status, else by what is said of errors."""
    known = op["responses"].get(str(r.status))
    assert known or r.status >= 400, r
    assert r.header("Content-Type") == "application/json", r.headers
    assert not known or r.header("Cache-Control") == "no-store", r.headers
    schema = (known or op["responses"]["default"])["content"]["application/json"]["schema"]
    assert gw.schemas.fault(schema, r.json()) is None, (gw.schemas.fault(schema, r.json()), r)


# ---- The document itself.

def test_it_is_sound(gw):
    d, ids = gw.document, set()
    assert d["openapi"] == "3.1.0" and d["info"]["version"] and not re.search(rb",\s*[}\]]", json.dumps(d).encode())
    for path, method, op in operations(d):
        assert op["operationId"] not in ids, op
        ids.add(op["operationId"])
        assert set(re.findall(r"\{(\w+)\}", path)) == {p["name"] for p in op["parameters"] if p["in"] == "path"}
        assert {s for way in op["security"] for s in way} <= set(d["components"]["securitySchemes"])
        assert any("csrf" in way for way in op["security"]) == (method != "GET" and op["operationId"] != "beginSession")
        if "requestBody" in op:
            body_of(gw, op)
    for name, s in d["components"]["schemas"].items():
        assert s["type"] == "object" and set(s["required"]) <= set(s["properties"]), name
        for p in s["properties"].values():
            gw.schemas.of(p)
    # No member twice anywhere: a parser would take one of them without a word.
    raw = gw.ask("GET", "/admin/openapi.json").body

    def once(pairs):
        assert len({k for k, _ in pairs}) == len(pairs), [k for k, _ in pairs]
        return dict(pairs)
    json.loads(raw, object_pairs_hook=once)


# ---- What is answered.

@pytest.mark.parametrize("method, path, body, need", ENDPOINTS, ids=[f"{m} {p}" for m, p, _, _ in ENDPOINTS])
def test_replies(gw, method, path, body, need):
    op = described(gw, method, path)
    key, headers = ADMIN if path.startswith("/admin") else gw.boss["key"], []
    if path == "/admin/session" and method != "POST":
        cookie, csrf = session(gw, gw.boss["key"])
        key, headers = None, [("Cookie", f"turnpike_session={cookie}"), ("X-CSRF-Token", csrf)]
    where = path.format(key=gw.key(team="acme")["id"], generation=gw.generation)
    sent = {**body, "id": "made-here"} if body and "id" in body else body
    r = gw.ask(method, where, sent, key, headers)
    assert r.status == 403 if need == SOCKET else r.status < 300, r
    fits(gw, op, r)
    fits(gw, op, gw.ask(method, where, sent, None))


def test_what_was_done_before(gw):
    """The same reference again: 200, as described."""
    op = described(gw, "POST", "/admin/teams/acme/credits")
    for status in (201, 200):
        r = gw.ask("POST", "/admin/teams/acme/credits", {"amount": 1, "reference": "once"})
        assert r.status == status and r.json()["duplicate"] is (status == 200), r
        fits(gw, op, r)


def test_a_policy_is_taken_as_it_is_shown(gw):
    """What was read can be changed in one place and sent back."""
    for policy in ({}, {"allow_models": ["echo"], "deny_models": ["x*"], "deny_providers": ["groq"], "min_trust": 1}):
        shown = gw.api("PATCH", "teams/acme", {"policy": policy})["policy"]
        assert shown["allow_providers"] is None and {**shown, **policy} == shown
        assert gw.api("PATCH", "teams/acme", {"policy": shown})["policy"] == shown
    gw.api("PATCH", "teams/acme", {"policy": None})


# ---- What is refused, and what is taken.

BODIES = [  # method, path, a body that is right, what a member needs beside it
    ("POST", "/v1/keys", {"name": "k"}, {"limit_reset": {"limit": 1}}),
    ("POST", "/api/v1/keys", {"name": "k"}, {"limit_reset": {"limit": 1}}),
    ("POST", "/api/auth", {"name": "k"}, {"limit_reset": {"limit": 1}}),
    ("POST", "/admin/keys", {"name": "k", "team": "acme"}, {"limit_reset": {"limit": 1}}),
    ("PATCH", "/v1/keys/{key}", {"name": "k"}, {"limit_reset": {"limit": 1}}),
    ("PATCH", "/admin/keys/{key}", {"name": "k"}, {"limit_reset": {"limit": 1}}),
    ("POST", "/admin/teams", {"id": "new-{n}"}, {}),
    ("PATCH", "/admin/teams/acme", {"name": "k"}, {}),
    ("POST", "/admin/teams/acme/credits", {"amount": 1}, {"generation": {"kind": "refund"}}),
    ("PUT", "/admin/teams/acme/byok/echo", {"key": "sk-of-acme"}, {}),
]
# What only the configuration knows, or the words of the description cannot say.
KNOWN = {"tier": ["free", None], "surface": ["kilo"], "prefix": ["x_"], "team": ["acme"], "id": ["a", "x" * 64],
         "amount": [0.5, 1000, "1000000000", "0.000000001"]}
BYTES = 'x"\\/<b>&amp;\u2028\u202e\U0001f600'


def asks(gw, method, path, body, n=[0]):
    n[0] += 1
    where = path.format(key=gw.target)
    sent = {k: v.format(n=n[0]) if k == "id" and isinstance(v, str) else v for k, v in body.items()}
    return gw.ask(method, where, sent, ADMIN if path.startswith("/admin") else gw.boss["key"])


def everything(gw):
    keys = [{**k, "last_used_at": None} for k in gw.pages("keys")]
    return keys, gw.pages("teams"), gw.ledger("acme")


@pytest.fixture(scope="module", autouse=True)
def target(gw):
    gw.target = gw.key(team="acme")["id"]


@pytest.mark.parametrize("method, path, good, beside", BODIES, ids=[f"{m} {p}" for m, p, _, _ in BODIES])
def test_bodies(gw, method, path, good, beside):
    op = described(gw, method, path.format(key="x"))
    schema = body_of(gw, op)
    before = everything(gw)
    for name, member in schema["properties"].items():
        inner = gw.schemas.of(member).get("oneOf")
        for value in gw.schemas.wrong(member):
            r = asks(gw, method, path, {**good, **beside.get(name, {}), name: value})
            assert r.status == 400, (name, value, r)
            fits(gw, op, r)
            if "param" in r.error and not (inner and isinstance(value, dict)):
                assert r.error["param"] == name and r.error["code"] in ("invalid_value", "missing_value"), (name, r)
        for sub, of in gw.schemas.of(inner[0])["properties"].items() if inner else ():
            for value in gw.schemas.wrong(of):
                r = asks(gw, method, path, {**good, name: {sub: value}})
                assert r.status == 400 and r.error["param"] == sub, (sub, value, r)
    for name in schema["required"]:
        r = asks(gw, method, path, {k: v for k, v in good.items() if k != name})
        assert r.status == 400 and f"'{name}' is missing" in r.error["message"], r
    for name in ("nothing", "", "Name", "name ", "x" * 3000, "a\nb", BYTES):
        r = asks(gw, method, path, {**good, name: 1})
        assert r.status == 400, (name, r)
        fits(gw, op, r)
    assert everything(gw) == before  # nothing was made or changed
    for name, member in schema["properties"].items():
        for value in KNOWN.get(name) or gw.schemas.right(member):
            r = asks(gw, method, path, {**good, **beside.get(name, {}), name: value})
            assert r.status in (200, 201), (name, value, r)
            fits(gw, op, r)
    gw.api("PATCH", "teams/acme", {"active": True, "policy": None, "tier": None})


def test_queries(gw):
    for path, method, op in list(operations(gw.document)):
        parameters = [p for p in op["parameters"] if p["in"] == "query"]
        where = path.replace("{team}", "acme").replace("{provider}", "echo")
        if "{" in where or not path.startswith("/admin") or "socket" in op["description"]:
            continue
        for p in parameters:
            wrong = {"limit": ["0", "1001", "-1", "+1", "1.0", "1e2", "x", "%20", "99999999999999999999"],
                     "cursor": ["x" * 129, "%00", "%ff", "%zz", "%", "a%0ab"],
                     "from": ["x", "2026-02-30", "-1", "0", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00%2b01:00"]}
            for value in wrong.get(p["name"].replace("to", "from"), ["x" * 300, "%00", "%ff", "a%0ab"]):
                r = gw.ask(method, f"{where}?{p['name']}={value}")
                assert r.status == 400 and r.error["code"] in ("invalid_value", "invalid_query"), (path, p, value, r)
                fits(gw, op, r)
            r = gw.ask(method, f"{where}?{p['name']}=1&{p['name']}=1")
            assert r.status == 400, (path, p, r)
        for q in ("nothing=1", "=1", "Limit=1", "&&x&", "%00=1"):
            assert gw.ask(method, f"{where}?{q}").status == 400, (path, q)
        if method == "GET":
            assert gw.ask(method, where + "?").status == gw.ask(method, where + "?&").status, path


def test_cursors(gw):
    """What is no cursor of that list is refused, or shows nothing that another would not."""
    for team in ("a", "b"):
        gw.ask("POST", "/admin/teams", {"id": team})
    for i in range(3):
        gw.grant("acme", 1)
    for path in ("keys", "teams", "teams/acme/ledger", "generations"):
        first = gw.api("GET", path + "?limit=1")
        good = first["next"] or "1"
        for cursor in (good, good[:-1], good + "0", good[::-1], "0", "-1", "1.", ".", ".x", "9" * 30, "1.9", "%27%20or%201=1",
                       "%c3%a9", "x" * 128, "0x1", "1e3", "00000000000"):
            r = gw.ask("GET", f"/admin/{path}?limit=2&cursor={cursor}")
            assert r.status in (200, 400), (path, cursor, r)
            if r.status == 200:
                assert len(r.json()["data"]) <= 2
            else:
                assert r.error["param"] == "cursor", (path, cursor, r)
        if first["next"]:
            one, seven = [[{**row, "last_used_at": None} for row in gw.pages(path, limit=n)] for n in (1, 7)]
            assert one == seven, path  # but for what asking itself changes


# ---- What no description foresees.

RAW = [b"", b" ", b"\n", b"null", b"[]", b"1", b'"x"', b"{", b'{"name"', b'{"name":', b'{"name":"k"', b'{"name":"k",}', b'{"name":"k"}}',
       b'{"name":"k"} x', b'{"name":"k"}{"name":"k"}', b'{"name":"k","name":"k"}', b'{"name":"k","n\\u0061me":"l"}', b"{name:'k'}",
       b'{"name":"k"/**/}', b'{"name":"k\\u0000"}', b'{"name":"k\0"}', b'{"name":"k\n"}', b'{"name":"\\ud800"}', b'{"name":"\xff"}',
       b'\xef\xbb\xbf{"name":"k"}', '{"name":"k"}'.encode("utf-16"), b'{"name":' + b"[" * 5000, b'{"name":' + b'{"a":' * 9 + b"1" + b"}" * 10,
       b'{"models":[' + b'"a",' * 5000 + b'"a"],"name":"k"}', b'{"name":"' + b"k" * 2_000_000 + b'"}',
       *(b'{"name":"k","rate_limit":' + v + b"}" for v in (b"1e400", b"-0", b"1.0", b"1e2", b"01", b"0x10", b"NaN", b"Infinity", b"+1", b".5",
                                                          b"1.", b"1" * 400, b"-9223372036854775809", b"true1", b"nul")),
       *(b'{"name":"k","limit":' + v + b"}" for v in (b"1e400", b"-0", b"0.0", b"1e-10", b"1e-400", b"0e999999999999999999999", b"1e10",
                                                     b"9223372036854775808", b"0.0000000001", b'"1e--5"', b'"1e"', b'"1e5 "', b'"e5"', b'"-"',
                                                     b'"."', b'"1."', b'".5"', b'"1_000"', b'"\xd9\xa1"', b'"' + b"0" * 70 + b'1"'))]


@pytest.mark.parametrize("path", ["/v1/keys", "/api/v1/keys", "/api/auth", "/admin/keys"])
def test_bodies_that_are_none(gw, path):
    before = len(gw.pages("keys"))
    for data in RAW:
        r = gw.ask("POST", path, data, gw.boss["key"], [("Content-Type", "application/json")])
        assert r.status == 400, (data[:80], r)
        fits(gw, described(gw, "POST", path), r)
        assert len(r.body) < 1000  # what was sent is not sent back
    assert len(gw.pages("keys")) == before


@pytest.mark.parametrize("path, envelope", [("/v1/keys", "openai"), ("/api/v1/keys", "typed"), ("/admin/keys", "openai")])
def test_content_types(gw, path, envelope):
    def post(*headers):
        return gw.ask("POST", path, b'{"name":"k"}', gw.boss["key"], headers)

    for type in ("application/json", "application/json; charset=utf-8", "Application/JSON", "application/json ;x=y", "application/json;"):
        assert post(("Content-Type", type)).status == 201, type
    for type in ("text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx",
                 "application", "", ";application/json", "text/plain; application/json"):
        r = post(("Content-Type", type))
        assert r.status == 415 and set(r.error) == ({"message", "type", "code"} if envelope == "typed" else
                                                    {"message", "type", "param", "code"}), (type, r)
    r = post(("Content-Encoding", "gzip"))
    assert r.status == 415, r
    r = gw.ask("POST", path + "?name=k", b'{"name":"k"}', gw.boss["key"])
    assert r.status == (400 if path.startswith("/admin") else 201), r


def all_rows(gw, key, count):
    """The access log, when it has that many rows of the key; every line is one object."""
    ends = time.monotonic() + PATIENCE
    while True:
        rows = [json.loads(line) for line in gw.access_log.read_bytes().split(b"\n")[:-1]]
        if sum(r["key"] == key for r in rows) >= count or time.monotonic() > ends:
            return rows
        time.sleep(0.05)


def test_what_is_written_stays_in_its_line(gw):
    """Names are shown as they are and end no line of a log."""
    name = 'x"\\/<script>alert(1)</script>%0a%s\u2028\u202e\U0001f600'
    doc = gw.api("POST", "/v1/keys", {"name": name}, gw.boss["key"], status=201)
    assert doc["name"] == name
    r = gw.ask("GET", "/v1/keys/a%0d%0aSet-Cookie:%20x=y%0a{", None, doc["key"], [("User-Agent", 'x"\\ {}')])
    assert r.status == 403 and not r.header("Set-Cookie"), r
    r = gw.chat(doc["key"], "echo\n{}\r\nx: y")
    assert r.status == 404 and not r.header("x"), r
    gw.ask("GET", "/v1/keys", None, doc["key"])
    rows = all_rows(gw, name, 3)
    assert sorted(r["status"] for r in rows if r["key"] == name) == [403, 403, 404]


def test_a_key_where_none_belongs(gw):
    """People put a key in the place of its id, or of a model. The answer may say so; no log has it."""
    boss, secrets = gw.key(team="acme", role="management", name="careless")["key"], []
    for method, path, body in [
            ("DELETE", "/v1/keys/{}", None), ("GET", "/admin/keys/{}", None), ("GET", "/v1/models/{}", None), ("GET", "/v1/{}/x", None),
            ("DELETE", "/admin/teams/acme/byok/{}", None), ("GET", "/v1/keys?key={}", None),
            ("POST", "/v1/chat/completions", {"model": "{}", "messages": []}), ("POST", "/v1/keys", {"{}": 1})]:
        secrets.append(secret := gw.key(team="acme")["key"])
        sent = json.loads(json.dumps(body).replace("{}", secret)) if body else None
        r = gw.ask(method, path.format(secret), sent, boss)
        assert r.status in (200, 400, 404), (path, r)
    gw.socket("GET", "/admin/keys/" + secrets[0])
    assert sum(r["key"] == "careless" for r in all_rows(gw, "careless", len(secrets))) == len(secrets)
    for name, data in gw.kept().items():
        for secret in secrets:
            assert secret.encode() not in data and secret[-20:].encode() not in data, name
