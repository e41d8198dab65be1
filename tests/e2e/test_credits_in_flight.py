"""Credits while requests fly: what is changed in the meantime (credits, billing, keys, teams, the configuration),
and clients that go at every point. Each is settled once, and the books agree."""
import contextlib
import json
import re
import socket
import threading

import pytest

from harness.govern import Governed, model, money, openai
from harness.paths import PATIENCE
from harness.proc import Thread
from harness.raw import eventually
from harness.scripted import Upstream, chunked, reply

PRICE = {"prompt": "0.000001", "completion": "0.000002"}
COST = 100 * 1000 + 50 * 2000
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
MOST = 60  # max_tokens of each request
TEN = 10_000_000_000
STATIC = "tp_live_" + "st" * 21 + "x"


class Gate:
    """An upstream whose answers wait until they are let go."""

    def __init__(self):
        self.open, self.came = threading.Event(), threading.Semaphore(0)

    def answer(self, r):
        self.came.release()
        if not self.open.wait(PATIENCE):
            return [None]
        if not r.json().get("stream"):
            return reply(200, {"id": "u", "object": "chat.completion", "created": 1, "model": "u", "usage": USAGE, "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]})
        return chunked([b"data: " + json.dumps({"id": "u", "object": "chat.completion.chunk", "created": 1, "model": "u",
                                                 "choices": c, **more}).encode() + b"\n\n" for c, more in
                        [([{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}], {}),
                         ([{"index": 0, "delta": {}, "finish_reason": "stop"}], {}), ([], {"usage": USAGE})]] + [b"data: [DONE]\n\n"])


@pytest.fixture(scope="module")
def gate():
    return Gate()


@pytest.fixture(scope="module")
def gw(gate):
    with Upstream(gate.answer) as u:
        with Governed(workers=2, providers={"up": openai(u.url)}, models={
                "m": model({"provider": "up", "model": "m", "price": PRICE})}, keys=(
                {"name": "fixed", "key": STATIC, "team": "written"},)) as g:
            g.snippet("50-team.json", {"teams": {"written": {"name": "Written", "billing": "prepaid"}}})
            g.reload()
            g.grant("written", "10")
            yield g


@pytest.fixture
def team(gw, request):
    id = re.sub(r"\W", "-", request.node.name)[-40:].strip("-_").lower()
    gw.team(id, credits="10")
    return id, gw.key(team=id)


def fly(gw, gate, key, count=4):
    """Requests that wait at their upstream, half of them streams; answers what lands them: their replies."""
    gate.open.clear()
    while gate.came.acquire(blocking=False):
        pass  # requests that came while it was open
    flying = [Thread(lambda i: gw.chat(key, stream=i % 2 == 1, max_tokens=MOST), i) for i in range(count)]
    for t in flying:
        t.start()
    for _ in flying:
        assert gate.came.acquire(timeout=PATIENCE)

    def land():
        gate.open.set()
        return [t.result(PATIENCE) for t in flying]

    return land


def assert_landed(gw, team, replies, credited, charged=COST):
    """All came whole, each was settled once as it was charged, and nothing is held any more."""
    for r in replies:
        assert r.status == 200 and (b"[DONE]" in r.body or r.json()["usage"] == USAGE), r
    used = len(replies) * charged
    figures = gw.credits(team)
    assert figures == {"credited": credited, "used": used, "held": 0, "balance": credited - used, "available": credited - used}
    rows = gw.ledger(team)
    settles = [e for e in rows if e["kind"] == "settle"]
    assert len({e["generation"] for e in settles}) == len(settles) == len(replies)
    assert sum(money(e["amount"]) for e in rows) == credited - used
    gw.verify()


def test_credits_that_go_while_requests_fly(gw, gate, team):
    """They had enough when they began, and pay what they cost; no other begins."""
    id, key = team
    land = fly(gw, gate, key["key"])
    assert gw.credits(id)["held"] > 0
    gw.grant(id, "-10", kind="adjustment")
    figures = gw.credits(id)
    assert figures["balance"] == 0 and figures["available"] == -figures["held"] < 0
    assert gw.chat(key["key"], max_tokens=MOST).status == 402
    assert_landed(gw, id, land(), 0)
    assert gw.chat(key["key"], max_tokens=MOST).status == 402
    gw.grant(id, "1")
    assert gw.chat(key["key"], max_tokens=MOST).status == 200


@pytest.mark.parametrize("first, then", [("prepaid", "postpaid"), ("postpaid", "prepaid")])
def test_billing_that_changes_while_requests_fly(gw, gate, team, first, then):
    id, key = team
    gw.api("PATCH", f"teams/{id}", {"billing": first})
    land = fly(gw, gate, key["key"])
    gw.api("PATCH", f"teams/{id}", {"billing": then})
    assert_landed(gw, id, land(), TEN)


def test_billing_that_changes_without_credits(gw, gate):
    """A postpaid team that owes becomes prepaid: what flies is paid out of what is held."""
    gw.team("owing", billing="postpaid")
    key = gw.key(team="owing")["key"]
    land = fly(gw, gate, key)
    gw.api("PATCH", "teams/owing", {"billing": "prepaid"})
    assert_landed(gw, "owing", land(), 0)
    assert gw.chat(key, max_tokens=MOST).status == 402


def test_a_key_that_is_revoked_while_requests_fly(gw, gate, team):
    id, key = team
    land = fly(gw, gate, key["key"])
    assert gw.ask("DELETE", f"/admin/keys/{key['id']}").status in (200, 204)
    assert gw.chat(key["key"]).status == 401
    assert_landed(gw, id, land(), TEN)
    assert {e["key"] for e in gw.ledger(id) if e["kind"] == "settle"} == {key["id"]}


def test_a_team_that_is_shut_while_requests_fly(gw, gate, team):
    id, key = team
    land = fly(gw, gate, key["key"])
    gw.api("PATCH", f"teams/{id}", {"active": False})
    assert gw.chat(key["key"]).status == 403
    assert_landed(gw, id, land(), TEN)


def test_a_team_that_its_snippet_takes_away_while_requests_fly(gw, gate):
    """Its static key and its place in the configuration go; what it owes stays, and is there when it comes back."""
    land = fly(gw, gate, STATIC)
    text = (gw.conf_d / "50-team.json").read_text()
    main = next(p for p in gw.conf_d.glob("*.json") if STATIC in p.read_text())
    whole = main.read_text()
    doc = json.loads(whole)
    doc["admission"]["static_keys"] = [k for k in doc["admission"]["static_keys"] if k["key"] != STATIC]
    main.write_text(json.dumps(doc))
    (gw.conf_d / "50-team.json").unlink()
    gw.reload()
    assert gw.chat(STATIC).status == 401
    replies = land()
    assert all(r.status == 200 for r in replies)
    gw.verify()
    main.write_text(whole)
    (gw.conf_d / "50-team.json").write_text(text)
    gw.reload()
    assert_landed(gw, "written", replies, TEN)


# ---- Clients that go.

def test_a_client_that_goes_within_its_body(gw, team):
    """Nothing was begun: nothing is held, nothing is recorded against the team."""
    id, key = team
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 1000}]}).encode()
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key['key']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    for cut in (0, 1, 500, len(body) - 1):
        with socket.create_connection(("127.0.0.1", gw.port)) as s:
            s.sendall(head + body[:cut])
    gw.flush()
    assert gw.credits(id) == {"credited": TEN, "used": 0, "held": 0, "balance": TEN, "available": TEN}
    assert [e["kind"] for e in gw.ledger(id)] == ["grant"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_client_that_goes_while_its_upstream_thinks(gw, gate, team, how, stream):
    """Closed, also in one direction only, or reset: it is gone, and pays nothing."""
    id, key = team
    gate.open.clear()
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", gw.port), timeout=PATIENCE) as s:
        s.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key['key']}\r\n"
                   f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
        assert gate.came.acquire(timeout=PATIENCE)
        if how == "half":
            s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert s.recv(65536) == b""
        elif how == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    eventually(lambda: gw.credits(id)["held"] == 0)
    gate.open.set()  # not before the gateway has noticed
    gw.flush()
    row, = gw.pages("generations", team=id)
    settle, = [e for e in gw.ledger(id) if e["kind"] == "settle"]
    assert money(settle["amount"]) == -money(row["charged"]) == gw.balance(id) - TEN
    assert row["status"] == "cancelled" and row["charged"] == row["cost"] == "0"
    assert row["time_to_first_token_ms"] is None and row["finish_reason"] is None and row["attempts"] == 1


def test_a_client_that_goes_with_requests_in_its_pipe(gw, gate, team):
    """Three in one write: the first is asked for when the client goes; the others are never begun, or end as it did."""
    id, key = team
    gate.open.clear()
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    one = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key['key']}\r\n"
           f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
    with socket.create_connection(("127.0.0.1", gw.port), timeout=PATIENCE) as s:
        s.sendall(one * 3)
        assert gate.came.acquire(timeout=PATIENCE)
    gate.open.set()
    eventually(lambda: gw.credits(id)["held"] == 0)
    gw.flush()
    rows = gw.pages("generations", team=id)
    assert {r["status"] for r in rows} == {"cancelled"} and {r["charged"] for r in rows} == {"0"} and len(rows) <= 3
    assert len([e for e in gw.ledger(id) if e["kind"] == "settle"]) == len(rows)
    assert gw.balance(id) == TEN
    gw.verify()


def test_requests_in_one_pipe_are_settled_one_by_one(gw, gate, team):
    id, key = team
    gate.open.set()
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    one = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key['key']}\r\n"
           f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
    with socket.create_connection(("127.0.0.1", gw.port), timeout=PATIENCE) as s:
        s.sendall(one * 3)
        answer = b""
        while answer.count(b'"usage"') < 3:
            piece = s.recv(65536)
            assert piece, answer
            answer += piece
    ids = re.findall(rb'"id":\s*"(chatcmpl-[^"]+)"', answer)
    assert len(set(ids)) == 3
    settles = [e for e in gw.ledger(id) if e["kind"] == "settle"]
    assert [e["generation"].encode() for e in settles] == ids
    assert gw.balance(id) == TEN - 3 * COST


def test_the_books_after_all_that(gw):
    """Also when the figures are read anew from the ledger."""
    before = {t["id"]: gw.credits(t["id"]) for t in gw.pages("teams")}
    gw.verify()
    gw.again()
    assert {t: gw.credits(t) for t in before} == before
    gw.verify()
