"""Credits: who pays how much for what, to the nano-dollar; what is refused, and when. Amounts are worked out
beside the tests."""
import json
import re

import pytest

import credits_race
from harness.govern import KEY, SURFACES, Governed, model, money, openai, priced, together, upstream, user
from harness.raw import eventually
from harness.scripted import Upstream, chunked, reply

PRICE = {"prompt": "0.000001", "completion": "0.000002"}
COST = 11 * 1000 + 7 * 2000  # nano-dollars
CLASSES = {"prompt": "0.000001", "cache_read": "0.0000001", "completion": "0.000002", "reasoning": "0.000003",
           "request": "0.0005"}
WORDS = b"12345678"  # bytes of each piece of a stream: two tokens, where nobody counts


def chunk(delta, finish=None, **more):
    doc = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "u",
           "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(doc).encode() + b"\n\n"


def usage_chunk(prompt, completion):
    return b"data: " + json.dumps({"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "u", "choices": [],
                                   "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                                             "total_tokens": prompt + completion}}).encode() + b"\n\n"


def whole(usage, **more):
    return reply(200, {"id": "up-1", "object": "chat.completion", "created": 1, "model": "u", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}], "usage": usage, **more})


# Streams by the name of their model: what comes, and then silence until the client has gone.
PIECES = [chunk({"role": "assistant", "content": ""})] + [chunk({"content": WORDS.decode()})] * 10
STREAMS = {
    "untold": PIECES,
    "told": [*PIECES, chunk({}, "stop"), usage_chunk(100, 20)],
    "halfway": [chunk({"role": "assistant", "content": ""}), *PIECES[1:6], usage_chunk(50, 9), *PIECES[6:]],
    "finished": [*PIECES, chunk({}, "stop")],
    "mute": [chunk({"role": "assistant", "content": ""})],
}
USAGES = {
    # 100 - 60 prompt, 60 cached, 50 - 30 completion, 30 reasoning:
    #   40 x 1000 + 60 x 100 + 20 x 2000 + 30 x 3000 + 500000 = 676,000 nano-dollars
    "classes": ({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
                 "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 30}}, 676_000),
    # 1 x 1000 + 500000
    "tiny": ({"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}, 501_000),
    # more than was held: 3 x 1000 + 100000 x 2000 + 500000
    "beyond": ({"prompt_tokens": 3, "completion_tokens": 100_000, "total_tokens": 100_003}, 200_503_000),
}


def answer(r):
    name = r.json()["model"]
    if name in USAGES:
        return whole(USAGES[name][0])
    head = chunked([]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return [head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in STREAMS[name]), 30]


@pytest.fixture(scope="module")
def scripted():
    with Upstream(answer) as u:
        yield u


@pytest.fixture(scope="module")
def gw(mock, scripted):
    def up(name, price=PRICE, provider="up"):
        return {"provider": provider, "model": name, "price": price}

    models = {"m": priced("up", PRICE), "free": model({"provider": "up", "model": upstream()}),
              "cheap": priced("up", {"request": "0.000000001"}), "flat": priced("up", {"request": "0.01"}),
              "third": priced("up", {"prompt": "0.0000000001"}),  # a tenth of a nano-dollar a token
              "failing": priced("up", PRICE, "m?status=500"), "cut": priced("up", PRICE, "m?fail=cut&after=5"),
              "drop": priced("up", PRICE, "m?fail=drop&after=5"), "error": priced("up", PRICE, "m?fail=error&after=5"),
              "slow": priced("up", PRICE, "m?delay_ms=20000"),
              # The first is dearer than the second, and fails.
              **{f"fallback-{how}": model(up(bad, {"prompt": "1", "completion": "1"}), up(upstream()))
                 for how, bad in (("status", "m?status=503"), ("cut", "m?fail=cut"), ("close", "m?fail=close"))},
              **{n: priced("own", CLASSES, n) for n in (*STREAMS, *USAGES)}}
    with Governed(surfaces=SURFACES, workers=4, providers={"up": openai(mock.url), "own": openai(scripted.url)},
                  models=models) as g:
        yield g


@pytest.fixture
def team(gw, request):
    """A prepaid team of its own, with 10 dollars, and a key."""
    id = re.sub(r"\W", "-", request.node.name)[-40:].strip("-_")
    gw.team(id, credits="10")
    return id, gw.key(team=id)["key"]


def assert_books(gw, team, used, credited=10_000_000_000):
    """The figures in memory, the ledger's sum, and what /credits says are one."""
    figures = gw.credits(team)
    assert figures == {"credited": credited, "used": used, "held": 0, "balance": credited - used,
                       "available": credited - used}, figures
    assert sum(money(e["amount"]) for e in gw.ledger(team)) == credited - used


# ---- /credits..

@pytest.mark.parametrize("base", ["/api/v1", "/v1"])
def test_credits_move_by_what_a_request_costs(gw, team, base):
    id, key = team

    def data():
        r = gw.ask("GET", base + "/credits", key=key)
        assert r.status == 200 and set(r.json()) == {"data"}, r
        text = json.loads(r.body, parse_float=str)["data"]  # the figures as they are written
        assert all(re.fullmatch(r"\d+\.\d{2,9}", v) for v in text.values()), r
        doc = {k: money(v) for k, v in text.items()}
        assert set(doc) == {"total_credits", "total_usage", "remaining"}
        assert doc["remaining"] == doc["total_credits"] - doc["total_usage"]
        return doc

    assert gw.ask("GET", base + "/credits", key=key).body == (
        b'{"data":{"total_credits":10.00,"total_usage":0.00,"remaining":10.00}}')
    for n, (name, stream) in enumerate([("m", False), ("m", True), ("m", False)], 1):
        before = data()
        assert gw.chat(key, name, base + "/chat/completions", stream=stream).status == 200
        after = data()
        assert after["total_usage"] - before["total_usage"] == COST and after["total_credits"] == 10_000_000_000
    assert data()["total_usage"] == 3 * COST
    gw.grant(id, "2.5")
    assert data()["total_credits"] == 12_500_000_000
    assert_books(gw, id, 3 * COST, 12_500_000_000)


def test_credits_of_whoever_asks(gw, team):
    """Any key of the team sees its team's; one without a team has none."""
    id, key = team
    boss = gw.key(team=id, role="management")["key"]
    assert gw.ask("GET", "/v1/credits", key=boss).json() == gw.ask("GET", "/v1/credits", key=key).json()
    assert gw.ask("GET", "/v1/credits", key=KEY).json()["data"] == {"total_credits": 0, "total_usage": 0, "remaining": 0}
    assert gw.ask("POST", "/v1/credits", {}, key).status == 405


@pytest.mark.parametrize("name, usage, cost", [(n, *u) for n, u in USAGES.items()])
def test_classes_of_usage(gw, team, name, usage, cost):
    """Each class at its price, once."""
    id, key = team
    r = gw.chat(key, name)
    assert r.status == 200, r
    assert_books(gw, id, cost)
    doc = gw.api("GET", f"/v1/generation?id={r.json()['id']}", key=key)
    assert round(doc["total_cost"] * 1e9) == round(doc["charged"] * 1e9) == cost
    assert doc["tokens_prompt"] == usage["prompt_tokens"] and doc["tokens_completion"] == usage["completion_tokens"]


def test_rounded_once_half_up(gw, team):
    """11 x 0.1 nano-dollar is 1.1: 1; and the least there is."""
    id, key = team
    assert gw.chat(key, "third").status == 200
    assert_books(gw, id, 1)
    assert gw.chat(key, "cheap").status == 200
    assert_books(gw, id, 2)


def test_without_a_price(gw, team):
    id, key = team
    r = gw.chat(key, "free")
    assert r.status == 200
    assert_books(gw, id, 0)
    settle, = [e for e in gw.ledger(id) if e["kind"] == "settle"]
    assert settle["generation"] == r.json()["id"] and money(settle["amount"]) == 0


# ---- 402., Ki-51; R-2.

@pytest.mark.parametrize("base, message, members", [
    ("/api/v1", "Insufficient credits. Please add funds to your account.", {"message", "type", "code"}),
    ("/api/gateway", "Insufficient balance -- add credits to continue", {"message", "code"}),
    ("/v1", "Insufficient credits. Please add funds to your account.", {"message", "type", "param", "code"})])
def test_nothing_left(gw, mock, base, message, members):
    id = f"poor{base.replace('/', '-')}"
    gw.team(id)
    key = gw.key(team=id)["key"]
    mock.reset()
    for stream in (False, True):
        r = gw.chat(key, "m", base + "/chat/completions", stream=stream)
        assert r.status == 402 and r.error["message"] == message and set(r.error) == members, r
        assert r.error["code"] == (402 if base != "/v1" else "insufficient_credits")
        assert r.error.get("type", "insufficient_credits") == "insufficient_credits"
    assert mock.last() is None  # nobody was asked
    if base == "/api/v1":  # the document's example, to the byte
        assert r.json() == {"error": {"message": message, "type": "insufficient_credits", "code": 402}}
    assert gw.chat(key, "free").status == 200  # costs nothing
    assert gw.ask("GET", "/v1/models", key=key).status == 200
    gw.grant(id, "1")
    assert gw.chat(key, "m", base + "/chat/completions").status == 200  # at once
    assert_books(gw, id, COST, 1_000_000_000)


def test_the_hold_decides(gw):
    """One nano-dollar less than a request may cost is not enough; the cap on the answer bounds the hold."""
    body = {"max_tokens": 7}
    hold = len(json.dumps({"model": "m", "messages": user(), **body})) * 1000 + 7 * 2000
    gw.team("edge", credits=f"0.{hold - 1:09d}")
    key = gw.key(team="edge")["key"]
    assert gw.chat(key, **body).status == 402
    gw.grant("edge", "0.000000001")
    assert gw.chat(key, max_tokens=8).status == 402
    assert gw.chat(key, n=2, **body).status == 402  # two answers may cost twice as much
    r = gw.chat(key, **body)
    assert r.status == 200
    assert_books(gw, "edge", COST, hold)
    # The ledger tells all of it.
    grants, entries = gw.ledger("edge")[:2], gw.ledger("edge")[2:]
    assert [e["kind"] for e in grants] == ["grant"] * 2
    assert [(e["kind"], money(e["amount"])) for e in entries] == [("hold", -hold), ("settle", -COST), ("release", hold)]
    assert {e["generation"] for e in entries} == {r.json()["id"]}
    assert all(re.fullmatch("p-[0-9a-f]{16}", e["price_version"] or "") for e in entries if e["kind"] == "settle")
    assert [e["seq"] for e in grants + entries] == sorted({e["seq"] for e in grants + entries})


def test_beyond_the_hold(gw):
    """A provider that writes more than it was allowed to is paid by the team as far as its credits go."""
    cost = USAGES["beyond"][1]
    gw.team("short", credits="0.1")
    key = gw.key(team="short")["key"]
    r = gw.chat(key, "beyond", max_tokens=10)
    assert r.status == 200
    doc = gw.api("GET", f"/v1/generation?id={r.json()['id']}", key=key)
    assert round(doc["total_cost"] * 1e9) == cost and round(doc["charged"] * 1e9) == 100_000_000
    assert_books(gw, "short", 100_000_000, 100_000_000)  # 0, and not below


def test_postpaid(gw):
    gw.team("later", billing="postpaid")
    key = gw.key(team="later")["key"]
    assert gw.chat(key, "flat").status == gw.chat(key, "beyond", max_tokens=1).status == 200
    assert_books(gw, "later", 10_000_000 + USAGES["beyond"][1], 0)
    assert gw.ask("GET", "/v1/credits", key=key).json()["data"]["remaining"] == -0.210503
    gw.api("PATCH", "teams/later", {"billing": "prepaid"})
    assert gw.chat(key, "flat").status == 402
    gw.api("PATCH", "teams/later", {"billing": "postpaid"})
    assert gw.chat(key, "flat").status == 200


# ---- Entries by hand.

def test_grants_refunds_adjustments(gw, team):
    id, key = team
    r = gw.chat(key, "flat")
    docs = [gw.grant(id, "1.5", note="a gift"), gw.grant(id, "0.01", kind="refund", generation=r.json()["id"]),
            gw.grant(id, "-2", kind="adjustment", note="by mistake")]
    assert [d["balance"] for d in docs] == ["11.49", "11.5", "9.5"]
    assert_books(gw, id, 10_000_000, 9_510_000_000)
    again = [gw.ask("POST", f"/admin/teams/{id}/credits", {"amount": 3, "reference": "inv-7"}) for _ in range(3)]
    assert [r.status for r in again] == [201, 200, 200] and [r.json()["duplicate"] for r in again] == [False, True, True]
    assert {r.json()["seq"] for r in again} == {again[0].json()["seq"]} and gw.balance(id) == 12_500_000_000
    kinds = [(e["kind"], e["note"], e["reference"], e["actor"]) for e in gw.ledger(id) if e["kind"] in ("refund", "adjustment")]
    assert kinds == [("refund", None, None, "static:root"), ("adjustment", "by mistake", None, "static:root")]
    for body in ({}, {"amount": 0}, {"amount": "-1"}, {"amount": "1e"}, {"amount": "0.0000000001"}, {"amount": True},
                 {"amount": 1, "kind": "gift"}, {"amount": 0, "kind": "adjustment"}, {"amount": 1, "generation": "g"},
                 {"amount": "NaN"}, {"amount": 1e40}, {"amount": 1, "amuont": 2}):
        assert gw.ask("POST", f"/admin/teams/{id}/credits", body).status == 400, body
    assert gw.balance(id) == 12_500_000_000
    assert gw.ask("POST", "/admin/teams/nobody/credits", {"amount": 1}).status == 404
    # Who may: an admin grants; a manager looks at its own; an inference key does neither.
    boss = gw.key(team=id, role="management")["key"]
    assert gw.ask("POST", f"/admin/teams/{id}/credits", {"amount": 1}, boss).status == 403
    assert gw.ask("GET", f"/admin/teams/{id}/credits", None, boss).json()["balance"] == "12.5"
    assert gw.ask("GET", f"/admin/teams/{id}/ledger", None, boss).status == 200
    assert gw.ask("GET", "/admin/teams/default/ledger", None, boss).status == 404
    assert gw.ask("GET", f"/admin/teams/{id}/credits", None, key).status == 403


def test_pages_of_the_ledger(gw, team):
    id, key = team
    for _ in range(5):
        assert gw.chat(key).status == 200
    gw.grant(id, "1")
    whole = gw.ledger(id)
    assert [e["kind"] for e in whole] == ["grant"] + ["hold", "settle", "release"] * 5 + ["grant"]
    for limit in (1, 2, 3, 17, 1000):
        assert gw.pages(f"teams/{id}/ledger", limit=limit)[::-1] == whole
    for kind in ("grant", "hold", "settle", "release"):
        rows = gw.pages(f"teams/{id}/ledger", limit=2, kind=kind)[::-1]
        assert rows == [e for e in whole if e["kind"] == kind]
    assert gw.pages(f"teams/{id}/ledger", kind="refund") == []
    for bad in ("limit=0", "kind=loan", "cursor=x", "cursor=-1", "x=1"):
        r = gw.ask("GET", f"/admin/teams/{id}/ledger?{bad}")
        assert r.status == 400 and r.error["param"] == bad.split("=")[0], (bad, r)


def test_the_same_reference_at_once(gw, team):
    """Sixteen at a time: one is made."""
    id, _ = team
    replies = together(16, lambda i: gw.ask("POST", f"/admin/teams/{id}/credits", {"amount": 1, "reference": "once"}))
    assert sorted(r.status for r in replies) == [200] * 15 + [201]
    assert gw.balance(id) == 11_000_000_000


# ---- What failed, what was broken off.

@pytest.mark.parametrize("name, stream, status", [
    ("failing", False, 502), ("failing", True, 502), ("cut", False, 502), ("no-such-model", False, 404)])
def test_a_failure_costs_nothing(gw, team, name, stream, status):
    id, key = team
    assert gw.chat(key, name, stream=stream).status == status
    assert_books(gw, id, 0)


@pytest.mark.parametrize("name", ["cut", "drop", "error"])
def test_a_stream_that_its_upstream_ends_costs_nothing(gw, team, name):
    """Whatever was relayed before: the client did not get its answer."""
    id, key = team
    r = gw.chat(key, name, stream=True)
    assert r.status == 200 and b"chunk" in r.body and b"[DONE]" not in r.body
    first = json.loads(r.events()[0])["id"] if r.complete else json.loads(r.body.split(b"\n\n")[0][6:])["id"]
    eventually(lambda: gw.credits(id)["held"] == 0)
    doc = gw.api("GET", f"/v1/generation?id={first}", key=key)
    assert doc["status"] == "failed" and doc["charged"] == doc["total_cost"] == 0
    assert_books(gw, id, 0)


@pytest.mark.parametrize("how", ["status", "cut", "close"])
def test_only_who_answers_is_paid(gw, team, how):
    id, key = team
    gw.grant(id, "1000000")  # the first may cost that much, and does not
    for stream in (False, True) if how == "status" else (False,):
        before = gw.balance(id)
        r = gw.chat(key, f"fallback-{how}", stream=stream, max_tokens=10)
        assert r.status == 200, r
        assert before - gw.balance(id) == COST
        reply_id = r.json()["id"] if not stream else json.loads(r.events()[0])["id"]
        doc = gw.api("GET", f"/v1/generation?id={reply_id}", key=key)
        assert doc["attempts"] == 2 and doc["status"] == "completed" and round(doc["total_cost"] * 1e9) == COST


def abort(gw, key, name, events, body):
    """Reads that many events of a stream and goes away; the reply's id."""
    with gw.client(key=key) as c:
        c.send_request("POST", "/v1/chat/completions", body)
        assert c.read_head()[0] == 200
        while c.rest.count(b"data: ") < events:
            assert c._more(), c.rest
        return re.search(rb'"id":\s*"([^"]+)"', c.rest).group(1).decode()


@pytest.mark.parametrize("name, events, usage, estimated", [
    # The upstream has said nothing: a token for each four bytes of the request's body and of the 80 that came.
    ("untold", 11, lambda body: (-(-len(body) // 4), 20), True),
    # It has said everything, and then the client went: exactly that.
    ("told", 13, lambda body: (100, 20), False),
    # The answer was at its end, and the count that was to follow had not come: as one that was not.
    ("finished", 12, lambda body: (-(-len(body) // 4), 21), True),
    # It has said so much by then; 40 bytes have come since.
    ("halfway", 12, lambda body: (50, 9 + 10), True)])
def test_a_stream_that_its_client_breaks_off(gw, team, name, events, usage, estimated):
    """It is paid for as far as it was relayed, by the upstream's count, or else by an estimate."""
    id, key = team
    body = json.dumps({"model": name, "messages": user(), "stream": True, "stream_options": {"include_usage": True}}).encode()
    reply_id = abort(gw, key, name, events, body)
    eventually(lambda: gw.credits(id)["held"] == 0)
    prompt, completion = usage(body)
    cost = prompt * 1000 + completion * 2000 + 500_000
    doc = eventually(lambda: gw.api("GET", f"/v1/generation?id={reply_id}", key=key))
    assert doc["status"] == "cancelled" and doc["estimated"] is estimated and doc["streamed"] is True, doc
    assert (doc["tokens_prompt"], doc["tokens_completion"]) == (prompt, completion)
    assert round(doc["charged"] * 1e9) == cost
    assert_books(gw, id, cost)


@pytest.mark.parametrize("name, stream", [("slow", False), ("slow", True), ("mute", True)])
def test_a_client_that_goes_before_the_answer(gw, team, name, stream):
    """Nothing was relayed, so nothing is paid."""
    id, key = team
    with gw.client(key=key) as c:
        c.send_request("POST", "/v1/chat/completions", json.dumps({"model": name, "messages": user(), "stream": stream}).encode())
        eventually(lambda: gw.credits(id)["held"] > 0)
    eventually(lambda: gw.credits(id)["held"] == 0)
    gw.flush()
    row, = gw.pages("generations", team=id)
    assert row["status"] == "cancelled" and row["charged"] == row["cost"] == "0" and row["tokens_completion"] == 0
    assert_books(gw, id, 0)


# ---- Over restarts.

def test_what_a_crash_leaves(gw, team):
    """What was answered is settled; what was under way is not, and its hold is gone."""
    id, key = team
    assert [gw.chat(key).status for _ in range(5)] == [200] * 5
    with gw.client(key=key) as c:
        c.send_request("POST", "/v1/chat/completions", json.dumps({"model": "slow", "messages": user()}).encode())
        eventually(lambda: gw.credits(id)["held"] > 0)
        gw.again("kill")
    assert_books(gw, id, 5 * COST)
    assert gw.chat(key).status == 200
    gw.again("stop")
    assert_books(gw, id, 6 * COST)
    gw.verify()


# ---- Many at once. The full edition is credits_race.py.

def test_race(mock):
    with credits_race.gateway(mock) as gw:
        for run in range(2):
            print(credits_race.exact(gw, run, 640))
        again = 0
        for run in range(2):
            figures = credits_race.above(gw, run, 640)
            print(figures)
            again += figures["refused and served again"]
        assert again > 0  # refusals were those of the moment
        gw.verify()


@pytest.mark.parametrize("workers", [2, 4])
def test_race_of_streams_and_reloads(mock, workers):
    """The configuration is read anew all the while."""
    with credits_race.gateway(mock, workers) as gw, credits_race.Reloads(gw) as reloads:
        print(credits_race.exact(gw, 0, 320, stream=True))
        print(credits_race.exact(gw, 1, 320))
        assert reloads.count > 1
    assert not reloads.thread.is_alive()


def test_the_books_after_all_that(gw):
    assert gw.verify()["generations"] > 40
