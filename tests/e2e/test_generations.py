"""Records of requests: what each of them tells, who may see it, and how they are found."""
import json
import re
import time

import pytest

from harness.govern import KEY, SURFACES, Governed, model, money, openai, priced, together, upstream, user
from harness.raw import eventually
from harness.scripted import Upstream, chunked, reply

PRICE = {"prompt": "0.000001", "completion": "0.000002"}
COST = 11 * 1000 + 7 * 2000
BASELINE = {"prompt": "0.00001", "completion": "0.00003"}
DEAR = 11 * 10_000 + 7 * 30_000
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
ID = re.compile(r"(gen-|chatcmpl-)[0-9A-Za-z]{24}")
MARK = "a-word-of-the-prompt"


def built(mock, **sections):
    return Governed(
        surfaces=SURFACES, workers=4, providers={"up": openai(mock.url)},
        models={"m": priced("up", PRICE), "n": priced("up", PRICE, upstream(name="n")),
                "dear": priced("up", BASELINE), "failing": priced("up", PRICE, "m?status=500"),
                "cut": priced("up", PRICE, "m?fail=cut&after=3"), "paced": priced("up", PRICE, upstream(pace_ms=30, chunks=100)),
                "fallback": model({"provider": "up", "model": "x?status=503", "price": PRICE},
                                  {"provider": "up", "model": upstream(), "price": PRICE})},
        sections={"billing": {"baseline_model": "dear"}, **sections})


@pytest.fixture(scope="module")
def gw(mock):
    with built(mock) as g:
        for id in ("acme", "rival"):
            g.team(id, credits="10")
        yield g


@pytest.fixture(scope="module")
def key(gw):
    return gw.key(team="acme", name="worker")


def stream_id(r):
    return json.loads(r.events()[0])["id"]


# ---- GET /generation. A-53..A-60.

@pytest.mark.parametrize("base", ["/api/v1", "/v1"])
@pytest.mark.parametrize("stream", [False, True])
def test_by_the_id_of_the_reply(gw, key, base, stream):
    begin = time.time()
    r = gw.chat(key["key"], "m", base + "/chat/completions", stream=stream)
    id = stream_id(r) if stream else r.json()["id"]
    got = gw.ask("GET", f"{base}/generation?id={id}", key=key["key"])
    assert got.status == 200 and ID.fullmatch(id), got
    doc = got.json()
    assert id.startswith("gen-" if base == "/api/v1" else "chatcmpl-")
    # The document's own members come first, and in its order; there is no wrapper.
    assert list(doc)[:9] == ["id", "model", "created_at", "tokens_prompt", "tokens_completion", "total_cost", "latency_ms",
                             "provider", "status"]
    assert doc["id"] == id and doc["model"] == "m" and doc["provider"] == "up" and doc["status"] == "completed"
    assert TIME.fullmatch(doc["created_at"])
    created = time.mktime(time.strptime(doc["created_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert int(begin - 0.1) <= created <= time.time()
    assert doc["tokens_prompt"] == 11 and doc["tokens_completion"] == 7
    assert json.loads(got.body, parse_float=str)["total_cost"] == "0.000025" and doc["charged"] == 0.000025
    assert isinstance(doc["latency_ms"], int) and 0 <= doc["latency_ms"] <= (time.time() - begin) * 1000 + 1
    assert 0 <= doc["time_to_first_token_ms"] <= doc["latency_ms"]
    assert doc["model_served"] == upstream() and doc["streamed"] is stream and doc["attempts"] == 1
    assert doc["finish_reason"] == "stop" and doc["usage"] == {"prompt": 11, "completion": 7}
    assert doc["tokens_reasoning"] == doc["tokens_cached"] == 0
    assert doc["byok"] is doc["estimated"] is False
    assert round(doc["savings"] * 1e9) == DEAR - COST
    assert doc["upstream_id"] and doc["upstream_id"] != id  # the upstream's own is kept


def test_at_once(gw, key):
    """A-54: right after the last byte, on whatever worker, hundreds of times."""
    def work(i):
        seen = []
        with gw.client(key=key["key"]) as chat, gw.client(key=key["key"]) as look:
            for n in range(25):
                r = chat.chat({"model": "m", "messages": user(), "stream": n % 2 == 1})
                id = stream_id(r) if n % 2 else r.json()["id"]
                got = look.get(f"/api/v1/generation?id={id}")
                assert got.status == 200 and got.json()["id"] == id and got.json()["status"] == "completed", got
                seen.append(id)
        return seen

    ids = sum(together(8, work), [])
    assert len(set(ids)) == 200


def test_savings_and_the_baseline_itself(gw, key):
    r = gw.chat(key["key"], "dear")
    doc = gw.api("GET", f"/v1/generation?id={r.json()['id']}", key=key["key"])
    assert doc["savings"] == 0 and round(doc["total_cost"] * 1e9) == DEAR
    full = gw.generation(doc["id"])
    assert money(full["baseline"]) == money(full["cost"]) == DEAR and full["savings"] == "0"


@pytest.mark.parametrize("base, members", [("/api/v1", {"message", "type", "code"}),
                                           ("/v1", {"message", "type", "param", "code"})])
def test_ids_that_are_none(gw, key, base, members):
    """A-55: 400, 404, and 404 for another team's."""
    theirs = gw.chat(gw.key(team="rival")["key"], "m").json()["id"]
    mine = gw.chat(key["key"], "m").json()["id"]
    for query, status in (("", 400), ("?id=", 400), ("?x=1", 400), ("?id=gen-abc123", 404), (f"?id={theirs}", 404),
                          ("?id=" + "x" * 65, (400, 404)), (f"?id={mine[:-1]}", 404), (f"?id={mine}0", 404), ("?id=%00", (400, 404)),
                          (f"?id={mine.swapcase()}", 404), ("?id='%20OR%201=1--", 404)):
        r = gw.ask("GET", base + "/generation" + query, key=key["key"])
        assert r.status == status or r.status in (status if isinstance(status, tuple) else ()), (query, r)
        assert set(r.error) == members and theirs not in r.header("X-Request-Id"), r
        if status == 400 and base == "/v1" and query != "?x=1":
            assert r.error["param"] == "id"
    assert gw.ask("GET", base + "/generation?id=" + mine.replace("-", "%2D"), key=key["key"]).status == 200
    assert gw.ask("GET", base + "/generation?id=" + mine, key=gw.key(team="acme")["key"]).status == 200  # same team
    assert gw.ask("GET", base + "/generation?id=" + mine, key=KEY).status == 404  # a key without a team
    own = gw.chat(KEY, "m").json()["id"]
    assert gw.ask("GET", base + "/generation?id=" + own, key=KEY).status == 200
    assert gw.ask("GET", base + "/generation?id=" + own, key=key["key"]).status == 404


# ---- How they ended. A-60.

def test_completed_by_another(gw, key):
    r = gw.chat(key["key"], "fallback")
    doc = gw.api("GET", f"/v1/generation?id={r.json()['id']}", key=key["key"])
    assert doc["status"] == "completed" and doc["attempts"] == 2 and doc["model_served"] == upstream()


def test_failed(gw, key):
    """A failed request tells its client no id; the list has it."""
    r = gw.chat(key["key"], "failing")
    assert r.status == 502
    gw.flush()
    row = gw.pages("generations", key=key["id"], model="failing")[0]
    assert row["status"] == "failed" and row["http_status"] == 502 and row["charged"] == row["cost"] == "0"
    assert row["request_id"] == r.header("X-Request-Id")
    r = gw.chat(key["key"], "cut", stream=True)
    id = json.loads(r.body.split(b"\n\n")[0][6:])["id"]
    doc = gw.api("GET", f"/v1/generation?id={id}", key=key["key"])
    assert doc["status"] == "failed" and doc["charged"] == 0 and doc["streamed"] is True


def test_cancelled(gw, key):
    with gw.client(key=key["key"]) as c:
        c.send_request("POST", "/v1/chat/completions", json.dumps({"model": "paced", "messages": user(), "stream": True}).encode())
        c.read_head()
        while b'"content"' not in c.rest:
            assert c._more()
        id = re.search(rb'"id":"([^"]+)"', c.rest).group(1).decode()
        # While it runs there is no record of it.
        assert gw.ask("GET", f"/v1/generation?id={id}", key=key["key"]).status == 404

    def found():
        r = gw.ask("GET", f"/v1/generation?id={id}", key=key["key"])
        return r.status == 200 and r.json()

    doc = eventually(found)
    assert doc["status"] == "cancelled" and doc["streamed"] is True and doc["charged"] > 0 and doc["finish_reason"] is None


# ---- The admin API.

MEMBERS = {"id", "created_at", "team", "key", "key_name", "request_id", "surface", "endpoint", "method", "path", "client", "model",
           "provider", "status", "http_status", "tokens_prompt", "tokens_completion", "latency_ms", "price_version", "hold", "cost",
           "baseline", "model_served", "streamed", "finish_reason", "time_to_first_token_ms", "attempts", "tokens_reasoning",
           "tokens_cached", "usage", "charged", "savings", "upstream_id", "byok", "estimated", "bytes_in", "bytes_out", "prompt"}


def test_all_that_is_known(gw, key):
    body = {"model": "m", "messages": user(MARK), "max_tokens": 9}
    r = gw.ask("POST", "/api/v1/chat/completions", body, key["key"])
    doc = gw.generation(r.json()["id"])
    assert set(doc) == MEMBERS
    assert doc["team"] == "acme" and doc["key"] == key["id"] and doc["key_name"] == "worker" and doc["model"] == "m"
    assert doc["surface"] == "airouter" and doc["endpoint"] == "chat" and doc["method"] == "POST"
    assert doc["path"] == "/api/v1/chat/completions" and doc["client"] == "127.0.0.1" and doc["http_status"] == 200
    assert doc["request_id"] == r.header("X-Request-Id") and re.fullmatch("p-[0-9a-f]{16}", doc["price_version"])
    assert doc["cost"] == doc["charged"] == "0.000025" and money(doc["hold"]) == len(json.dumps(body)) * 1000 + 9 * 2000
    assert doc["bytes_in"] == len(json.dumps(body)) and doc["bytes_out"] >= len(r.body)
    assert doc["prompt"] is None  # by default
    gw.flush()
    assert not any(MARK.encode() in data for data in gw.kept().values())


def test_no_file_has_a_word_of_a_prompt(mock):
    """Nor where an upstream's error quotes it, whole or in the middle of a stream."""
    said = f"cannot read '{MARK} and what follows it'"

    def answer(r):
        status = int(r.json()["model"])
        if status != 200:
            return reply(status, {"error": {"message": said, "type": "server_error", "code": "boom"}})
        first = {"id": "u", "object": "chat.completion.chunk", "created": 1, "model": "u",
                 "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
        return chunked([b"data: " + json.dumps(d).encode() + b"\n\n" for d in (
            first, {"error": {"message": said, "type": "server_error", "code": "boom"}})])

    statuses = (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529)
    with Upstream(answer) as u, Governed(
            providers={"up": openai(u.url)},
            models={f"m{s}": model({"provider": "up", "model": str(s), "price": PRICE}) for s in (*statuses, 200)}) as gw:
        gw.team("acme", credits="10")
        key = gw.key(team="acme")["key"]
        for s in (*statuses, 200):
            for stream in (True,) if s == 200 else (False, True):
                r = gw.ask("POST", "/v1/chat/completions", {"model": f"m{s}", "stream": stream, "messages": user(f"{MARK} and what follows it")}, key)
                assert r.status == 200 if s == 200 else r.status >= 400, (s, r)
        assert gw.ask("POST", "/v1/chat/completions", f'{{"model": "m500", "{MARK}": '.encode(), key).status == 400
        assert gw.ask("POST", "/v1/chat/completions", {"model": "m500", "messages": [{"role": MARK, "content": MARK}]}, key).status == 400
        gw.flush()
        gw.stop()
        assert b"HTTP 502" in gw.access_log.read_bytes() and b"boom" in gw.access_log.read_bytes()
        assert [l for data in gw.kept().values() for l in data.split(b"\n") if MARK.encode() in l] == []
        gw.start()


def test_prompts_where_they_are_kept(mock):
    with built(mock, store={"prompts": True, "prompt_bytes": 300}) as gw:
        gw.team("acme", credits="1")
        key = gw.key(team="acme")["key"]
        for text in (MARK, MARK + "ü" * 400):  # the longer one is cut, at a whole character
            body = json.dumps({"model": "m", "messages": user(text)}, ensure_ascii=False).encode()
            r = gw.ask("POST", "/v1/chat/completions", body, key)
            prompt = gw.generation(r.json()["id"])["prompt"]
            assert body.decode().startswith(prompt) and MARK in prompt and min(len(body), 299) <= len(prompt.encode()) <= 300
            assert MARK not in json.dumps(gw.api("GET", f"/v1/generation?id={r.json()['id']}", key=key))


def test_filters_and_pages(gw):
    gw.team("busy", credits="10")
    one, two = gw.key(team="busy", name="one"), gw.key(team="busy", name="two")
    ids = []
    for n in range(23):
        r = gw.chat((one, two)[n % 2]["key"], ("m", "n", "dear")[n % 3])
        ids.append(r.json()["id"])
        time.sleep(0.02)  # newest first, as far as a clock of some milliseconds tells
        if n == 11:
            middle = int(time.time() * 1000)
            time.sleep(0.02)
    gw.chat(one["key"], "failing")
    gw.flush()

    def found(**query):
        rows = gw.pages("generations", team="busy", **query)
        return [r["id"] for r in rows if r["status"] == "completed"], rows

    newest_first = ids[::-1]
    for limit in (1, 7, 23, 24, 1000):
        got, rows = found(limit=limit)
        assert got == newest_first and len(rows) == 24, limit
    assert found(key=one["id"])[0] == newest_first[0::2] and found(key=two["id"])[0] == newest_first[1::2]
    assert found(key=one["id"], limit=3)[0] == newest_first[0::2]
    assert found(model="n")[0] == [i for n, i in enumerate(ids) if n % 3 == 1][::-1]
    assert found(model="n", key=two["id"])[0] == [i for n, i in enumerate(ids) if n % 3 == 1 and n % 2 == 1][::-1]
    assert found(status="completed")[0] == newest_first and len(found(status="failed")[1]) == 1
    assert found(status="cancelled")[1] == [] and found(provider="echo")[1] == []
    assert found(provider="up")[0] == newest_first
    assert found(to=middle)[0] == ids[:12][::-1]
    assert [i for i in found(**{"from": middle})[0]] == ids[12:][::-1]
    day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(middle / 1000 - 3600))
    assert found(**{"from": day})[0] == newest_first and found(to=day)[1] == []
    for bad in ("limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=1", "cursor=-1.1", "status=done", "from=yesterday", "stauts=failed"):
        r = gw.ask("GET", "/admin/generations?" + bad)
        assert r.status == 400 and r.error["param"] == bad.split("=")[0], (bad, r)
    # New ones do not move the pages that are being read.
    first = gw.api("GET", "generations?team=busy&limit=10")
    gw.chat(one["key"], "m")
    gw.flush()
    second = gw.api("GET", f"generations?team=busy&limit=10&cursor={first['next']}")
    assert not {r["id"] for r in first["data"]} & {r["id"] for r in second["data"]}
    assert [r["id"] for r in second["data"]] == [r["id"] for r in gw.pages("generations", team="busy")][11:21]


def test_whose_they_are(gw, key):
    """A manager sees its team's, an inference key none of the list."""
    boss = gw.key(team="acme", role="management")["key"]
    theirs = gw.chat(gw.key(team="rival")["key"], "m").json()["id"]
    mine = gw.chat(key["key"], "m").json()["id"]
    gw.flush()
    rows = gw.api("GET", "generations?limit=1000", key=boss)["data"]
    assert mine in {r["id"] for r in rows} and {r["team"] for r in rows} == {"acme"}
    assert gw.ask("GET", "/admin/generations?team=rival", key=boss).status == 404
    assert gw.ask("GET", f"/admin/generations/{theirs}", key=boss).status == 404
    assert gw.ask("GET", f"/admin/generations/{mine}", key=boss).status == 200
    assert gw.ask("GET", "/admin/generations", key=key["key"]).status == 403
    assert gw.ask("GET", f"/admin/generations/{mine}", key=key["key"]).status == 403


def test_they_are_there_after_a_crash(mock):
    with built(mock) as gw:
        gw.team("acme", credits="10")
        key = gw.key(team="acme")["key"]
        ids = [gw.chat(key, "m", stream=n % 2 == 1) for n in range(20)]
        ids = [stream_id(r) if n % 2 else r.json()["id"] for n, r in enumerate(ids)]
        gw.again("kill")
        for id in ids:
            assert gw.api("GET", f"/api/v1/generation?id={id}", key=key)["status"] == "completed"
        assert sorted(r["id"] for r in gw.pages("generations", team="acme", limit=7)) == sorted(ids)
        gw.verify()


def test_none_where_they_are_switched_off(mock):
    """The ledger goes on without them."""
    with built(mock, store={"generations": False}) as gw:
        gw.team("acme", credits="10")
        key = gw.key(team="acme")["key"]
        id = gw.chat(key, "m").json()["id"]
        gw.flush()
        assert gw.ask("GET", f"/v1/generation?id={id}", key=key).status == 404
        assert gw.pages("generations") == []
        assert [e["generation"] for e in gw.ledger("acme") if e["kind"] == "settle"] == [id]
        assert gw.balance("acme") == 10_000_000_000 - COST
        gw.verify()
