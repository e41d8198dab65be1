"""The surfaces in the words of their documents: envelopes, sentences and statuses of errors, the example of
a generation, the headers that tell what a request cost. Shipped snippets, over four workers."""
import json
import re

import pytest

from harness import alone
from harness.acme import PRICE, assert_shape
from harness.govern import SURFACES, Governed, Limits, model, openai, priced, user
from harness.scripted import Upstream, reply

DOCUMENTED = {"prompt": "0.0000025", "completion": "0.000020"}  # of the document's list of models
BASELINE = {"prompt": "0.00001", "completion": "0.00003"}
BILL = "Your account acct_77 has run out of credits: pay invoice 4711."
MOST = 100_000  # bytes of a body
CASES = [("/api/v1", "airouter"), ("/api/gateway", "kilo"), ("/v1", "turnpike")]


def answer(request):
    name = request.json()["model"]
    if name == "broke":
        return reply(402, {"error": {"message": BILL, "type": "billing_error", "code": "quota"}})
    return reply(200, {"id": "up-1", "object": "chat.completion", "created": 1, "model": name, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 25, "completion_tokens": 150, "total_tokens": 175}})


def built(up, **more):
    dormant = openai(up.url, api_key={"env": "NOBODY_HAS_SET_THIS"})
    models = {"openai/gpt-5.4": priced("openai", DOCUMENTED, "gpt-5.4"), "m": priced("openai", PRICE, "m"),
              "dear": priced("openai", BASELINE, "dear"), "broke": priced("openai", PRICE, "broke"),
              "dormant": model({"provider": "asleep", "model": "m"}, {"provider": "idle", "model": "m"}),
              "saved": model({"provider": "openai", "model": "broke", "price": PRICE},
                             {"provider": "spare", "model": "m", "price": PRICE})}
    return Governed(workers=4, models=models, providers={"openai": openai(up.url), "spare": openai(up.url),
                                                         "asleep": dormant, "idle": dormant},
                    server={"max_body_bytes": MOST}, **{"surfaces": SURFACES, **more})


@pytest.fixture(scope="module")
def up():
    with Upstream(answer) as u:
        yield u


@pytest.fixture(scope="module")
def gw(up):
    with built(up) as g:
        g.team("acme", credits="100")
        yield g


# ---- Errors. A-78..A-81, A-86, Ki-49, Ki-50, Ki-57, C-61, C-63.

@pytest.mark.parametrize("base, surface", CASES)
def test_every_error_has_the_envelope(gw, base, surface):
    key = gw.key(team="acme", models=["m", "nonexistent", "dormant", "broke"])["key"]
    chat, good = base + "/chat/completions", {"model": "m", "messages": user()}
    unknown = 400 if surface == "kilo" else 404
    for method, path, body, headers, status in (
            ("POST", chat, b'{"model": "m", "messages": [', (), 400), ("POST", chat, b"", (), 400),
            ("POST", chat, {"messages": user()}, (), 400), ("POST", chat, {"model": "m"}, (), 400),
            ("POST", chat, {**good, "temperature": 2.1}, (), 400), ("POST", chat, {**good, "n": 0}, (), 400),
            ("POST", chat, {**good, "model": "nonexistent"}, (), unknown),
            ("POST", chat, {**good, "model": "dear"}, (), 403), ("POST", chat, {**good, "model": "dormant"}, (), 404),
            ("POST", chat, {**good, "model": "broke"}, (), 503), ("GET", base + "/models/nonexistent", None, (), 404),
            ("GET", base + "/unknown/endpoint", None, (), 404), ("GET", base, None, (), 404),
            ("GET", chat, None, (), 405), ("DELETE", base + "/models", None, (), 405),
            ("POST", chat, b"model=m", [("Content-Type", "application/x-www-form-urlencoded")], 415)):
        r = gw.ask(method, path, body, key, headers)
        assert r.status == status, (method, path, body, r)
        assert r.header("Content-Type").startswith("application/json") and set(r.json()) == {"error"}
        assert_shape(r.error, surface, status)
        if surface == "turnpike":  # C-61: all four are there, and null where there is nothing to say
            assert isinstance(r.error["type"], str)
            assert all(r.error[k] is None or isinstance(r.error[k], str) for k in ("param", "code"))
        if status == 405:
            assert r.header("Allow")
    with gw.client(key=key) as c:  # a body that grew too large on its way
        large = b"%x\r\n%s\r\n0\r\n\r\n" % (MOST + 1, b" " * (MOST + 1))
        r = c.request("POST", chat, large, [("Transfer-Encoding", "chunked")])
        assert r.status == 413, r
        assert_shape(r.error, surface, 413)
    for status, r in ((401, gw.chat(None, path=chat)), (401, gw.chat("air_live_" + "x" * 43, path=chat))):
        assert r.status == status
        assert_shape(r.error, surface, status)


@pytest.mark.parametrize("base, surface", CASES)
@pytest.mark.parametrize("stream", [False, True])
def test_unknown_model(gw, base, surface, stream):
    """A-81, Ki-49: one sentence, and the status of the surface."""
    key = gw.key(team="acme")["key"]
    r = gw.chat(key, "nonexistent", base + "/chat/completions", stream=stream)
    assert r.error["message"] == "Model 'nonexistent' not found or not active."
    if surface == "kilo":
        assert r.status == 400 and r.json() == {"error": {"message": r.error["message"], "code": 400}}
    else:
        assert r.status == 404 and r.error["type"] == "not_found_error"


# ---- What an upstream has to be paid is nobody's business. Ki-58; R-22.

@pytest.mark.parametrize("base, surface", CASES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_bill(gw, up, base, surface, stream):
    team = f"thrifty{base.replace('/', '-')}-{stream}"
    gw.team(team, credits="1")
    key = gw.key(team=team)["key"]
    r = gw.chat(key, "broke", base + "/chat/completions", stream=stream)
    assert r.status == 503, r
    assert_shape(r.error, surface, 503)
    said = (r.body.decode() + repr(r.headers)).lower()
    for word in ("acct_77", "4711", "invoice", "credit", "billing", "pay", "quota", "402"):
        assert word not in said, word
    assert gw.balance(team) == 1_000_000_000
    # Where there is another one, the client hears nothing of it.
    r = gw.chat(key, "saved", base + "/chat/completions")
    assert r.status == 200 and next(v for k, v in r.headers if k.lower().endswith("-provider")) == "spare"


# ---- The example of a generation. A-53..A-59.

def test_generation_as_documented(gw):
    key = gw.key(team="acme", surface="airouter")["key"]
    begun = gw.credits("acme")["used"]
    r = gw.chat(key, "openai/gpt-5.4", "/api/v1/chat/completions")
    assert r.status == 200 and r.json()["id"].startswith("gen-") and r.json()["model"] == "openai/gpt-5.4"
    got = gw.ask("GET", f"/api/v1/generation?id={r.json()['id']}", key=key)
    doc = json.loads(got.body, parse_float=str)
    assert (doc["model"], doc["tokens_prompt"], doc["tokens_completion"], doc["provider"], doc["status"]) == (
        "openai/gpt-5.4", 25, 150, "openai", "completed")
    # 25 x 0.0000025 + 150 x 0.00002; the document prints 0.003062 of it.
    assert doc["total_cost"] == "0.0030625"
    assert gw.credits("acme")["used"] - begun == 3_062_500
    assert isinstance(doc["latency_ms"], int) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", doc["created_at"])


# ---- Who manages keys. K-40; R-7.

def test_revoked_over_auth_on_every_worker(gw):
    own = gw.key(team="acme", surface="kairosroute")
    doc = gw.api("POST", "/api/auth", {"name": "short-lived"}, own["key"], status=201)
    connections = [gw.client(key=doc["key"]) for _ in range(32)]
    try:
        assert all(c.get("/v1/models").status == 200 for c in connections)
        assert gw.ask("DELETE", f"/api/auth/{doc['id']}", key=own["key"]).json() == {"id": doc["id"], "deleted": True}
        assert [c.get("/v1/models").status for c in connections] == [401] * 32
    finally:
        for c in connections:
            c.close()


# ---- KairosRoute at /v1, which it shares with others or has to itself. K-17..K-21.

BASE = {"billing": {"baseline_model": "dear"}}


@pytest.mark.parametrize("how", ["shared", "alone"])
def test_kairosroute(up, how):
    own = {"surfaces": (), "sections": {"surfaces": alone.kairosroute(), **BASE}}
    with built(up, **(own if how == "alone" else {"sections": BASE})) as gw:
        gw.team("acme", credits="1")
        key = gw.key(team="acme", surface="kairosroute", rate_limit=3)["key"]
        r = gw.chat(key)
        # 25 prompt and 150 completion tokens; the baseline's prices are 10 and 15 times as high.
        assert r.status == 200 and r.header("X-KairosRoute-Provider") == "openai"
        assert r.header("X-KairosRoute-Cost") == "0.000325" and r.header("X-KairosRoute-Savings") == "0.004425"
        assert gw.balance("acme") == 1_000_000_000 - 325_000
        r = gw.chat(key, "dear")
        assert r.header("X-KairosRoute-Cost") == "0.00475" and r.header("X-KairosRoute-Savings") == "0"
        r = gw.chat(key, "nonexistent")
        assert r.status == 404 and not r.header("X-KairosRoute-Cost")
        r = gw.chat(key)
        assert r.status == 429 and r.error["message"] == "Too Many Requests - Rate limit exceeded"
        assert 1 <= int(r.header("Retry-After")) <= 60
        for wrong in (None, "kr_live_" + "x" * 43)[how == "shared":]:
            for r in (gw.chat(wrong), gw.ask("GET", "/v1/models", key=wrong), gw.ask("GET", "/api/auth", key=wrong)):
                assert r.status == 401 and r.error["message"] == "Unauthorized - Invalid or missing API key"


# ---- Cailos at /v1, likewise. C-61..C-67; R-1.

@pytest.mark.parametrize("how", ["shared", "alone"])
def test_cailos(up, how):
    with built(up, **({"surfaces": (), "sections": {"surfaces": alone.cailos()}} if how == "alone" else {})) as gw:
        gw.team("acme", credits="1")
        boss = gw.key(team="acme", role="management", surface="cailos")
        doc = gw.api("POST", "/v1/keys", {"name": "x", "rate_limit": 1000}, boss["key"], status=201)
        key = doc["key"]
        assert key.startswith("cai_") and doc["team"] == "acme"
        r = gw.chat(key, "nonexistent")  # C-62: as it is printed
        assert r.status == 404 and json.loads(r.body) == {"error": {
            "message": "Model 'nonexistent' not found or not active.", "type": "not_found_error", "param": None,
            "code": None}}
        assert list(r.error) == ["message", "type", "param", "code"]
        r = gw.chat(key, "dormant")  # C-66
        assert r.status == 404 and r.error["message"].startswith("Model 'dormant' has no active providers"), r
        assert all(f"{name} is dormant" in r.error["message"] for name in ("asleep", "idle"))
        assert_shape(r.error, "cailos", 404)
        for method, path, body, status in (
                ("POST", "/v1/chat/completions", b"{", 400), ("POST", "/v1/chat/completions", {"model": "m"}, 400),
                ("GET", "/v1/nothing", None, 404), ("PUT", "/v1/models", None, 405)):
            r = gw.ask(method, path, body, key)
            assert r.status == status, r
            assert_shape(r.error, "cailos", status)
        for wrong in (None, "cai_" + "x" * 43)[how == "shared":]:
            for r in (gw.chat(wrong), gw.ask("GET", "/v1/models", key=wrong)):
                assert r.status == 401 and r.error["message"] == "Missing or invalid API key."
        gw.api("PATCH", "teams/acme", {"active": False})
        r = gw.chat(key)
        assert r.status == 403 and r.error["message"] == "Key valid but team is inactive."
        gw.api("PATCH", "teams/acme", {"active": True})
        limited = gw.api("POST", "/v1/keys", {"name": "x", "rate_limit": 3}, boss["key"], status=201)["key"]
        assert [gw.chat(limited).status for _ in range(3)] == [200] * 3  # C-72: as it was set at creation
        r = gw.chat(limited)  # C-67: the rest of the window, where the document says 60
        assert r.status == 429 and r.error["message"] == "Rate limit exceeded."
        assert 1 <= int(r.header("Retry-After")) <= 60 and Limits(r).limit == 3


# ---- Who shares /v1: the key says whose answer it is, and nothing else does. R-1.

def headers_of(r):
    return {k.lower().rsplit("-", 1)[0] for k, v in r.headers if k.lower().endswith("-provider")}


def test_guests_of_a_surface(gw):
    keys = {name: gw.key(team="acme", surface=name)["key"] for name in SURFACES if name != "kilo"}
    whose = {"turnpike": "x-turnpike", "airouter": "x-turnpike", "kairosroute": "x-kairosroute", "cailos": "x-cailos"}
    for name, key in keys.items():
        r = gw.chat(key)
        assert r.status == 200 and headers_of(r) == {whose[name]}, (name, r.headers)
        r = gw.chat(key, path="/api/v1/chat/completions")  # which has no guests
        assert r.status == 200 and headers_of(r) == {"x-airouter"}
        # A path that nobody has is answered by the same one.
        codes = {u: gw.ask("GET", u, key=key) for u in ("/v1/nothing", "/v1/models/nobody")}
        assert all(r.status == 404 for r in codes.values()), codes
    # The hints of both are understood by both, and reach no upstream.
    for name in ("kairosroute", "cailos", "turnpike"):
        for hint in ("cailos", "turnpike"):
            assert gw.chat(keys[name], **{hint: {"optimise": "cost"}}).status == 200


def test_records_of_guests(gw):
    key = gw.key(team="acme", surface="kairosroute")["key"]
    r = gw.chat(key)
    gw.flush()
    doc = gw.generation(r.json()["id"])
    assert doc["surface"] == "kairosroute" and doc["path"] == "/v1/chat/completions"


def test_guests_are_reloaded(up):
    guest = {"base_path": "/theirs", "endpoints": [], "models": False, "manage": [], "key_prefix": "their_",
             "header_prefix": "X-Theirs"}
    host = {"base_path": "/v1", "key_prefix": "tp_live_"}
    with built(up, surfaces=(), sections={"surfaces": {"host": host, "guest": {**guest, "guest_of": "host"}}}) as gw:
        key = gw.key(surface="guest")["key"]
        assert key.startswith("their_") and headers_of(gw.chat(key)) == {"x-theirs"}
        text = (gw.conf_d / "50-test.json").read_text()
        for bad, word in (("hots", "did you mean 'host'?"), ("guest", "this one itself")):
            gw.snippet("50-test.json", text.replace('"guest_of": "host"', f'"guest_of": "{bad}"'))
            r = gw.command("reload", check=False)
            assert r.returncode == 1 and "surfaces.guest.guest_of" in r.stderr and word in r.stderr
            assert headers_of(gw.chat(key)) == {"x-theirs"}
        gw.snippet("50-test.json", text.replace(', \n   "guest_of": "host"', "").replace('"guest_of": "host"', '"enabled": true'))
        gw.reload()
        assert headers_of(gw.chat(key)) == {"x-turnpike"}
