"""Prices that depend on how long a prompt was, and on how long it is kept in the provider's cache: each amount
worked out by hand beside it in nano-dollars (1 dollar = 1,000,000,000), and compared with the ledger's."""
import json
import sqlite3

import pytest

from harness.govern import Governed, model, money, openai
from harness.paths import PATIENCE
from harness.raw import eventually
from harness.scripted import Upstream, chunked, reply

# In nano-dollars a token: 3,000 in, 300 from the cache, 15,000 out; above 200,000 tokens 6,000, 600 and 22,500.
LONG = {"prompt": "0.000003", "prompt@200000": "0.000006", "cache_read": "0.0000003", "cache_read@200000": "0.0000006",
        "completion": "0.000015", "completion@200000": "0.0000225"}
# What savings are told against: 10,000 in and 50,000 out; above 200,000 tokens 20,000 in.
BASE = {"prompt": "0.00001", "prompt@200000": "0.00002", "completion": "0.00005"}
# 3,000 in, 3,750 to the cache for five minutes, 6,000 for an hour, 15,000 out.
KEPT = {"prompt": "0.000003", "cache_write": "0.00000375", "cache_write:1h": "0.000006", "completion": "0.000015"}
HUNDRED = 100_000_000_000
LETTERS = 260_000  # of the prompt: more bytes than it will have tokens, so that all are held


def told(prompt, cached, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached}}


# name: what the upstream reports, what it comes to, and what the baseline would have cost.
CASES = {
    # 150,000 x 3,000 = 450,000,000; 50,000 x 300 = 15,000,000; 500 x 15,000 = 7,500,000. Baseline: 200,000 x 10,000 =
    # 2,000,000,000 (it has no price for cached ones); 500 x 50,000 = 25,000,000.
    "at": (told(200_000, 50_000, 500), 472_500_000, 2_025_000_000),
    # 150,001 x 6,000 = 900,006,000; 50,000 x 600 = 30,000,000; 500 x 22,500 = 11,250,000. Baseline: 200,001 x 20,000 =
    # 4,000,020,000 + 25,000,000.
    "just-above": (told(200_001, 50_000, 500), 941_256_000, 4_025_020_000),
    # 200,000 x 6,000 = 1,200,000,000; 50,000 x 600 = 30,000,000; 11,250,000. Baseline: 250,000 x 20,000 =
    # 5,000,000,000 + 25,000,000.
    "above": (told(250_000, 50_000, 500), 1_241_250_000, 5_025_000_000),
}


def chunk(choices, **more):
    doc = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "u", "choices": choices, **more}
    return b"data: " + json.dumps(doc).encode() + b"\n\n"


def answer(r):
    if r.path.endswith("/messages"):
        return messages(r)
    usage = CASES[r.json()["model"]][0]
    if r.json().get("stream"):
        return chunked([chunk([{"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": None}]),
                        chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]), chunk([], usage=usage),
                        b"data: [DONE]\n\n"])
    return reply(200, {"id": "up-1", "object": "chat.completion", "created": 1, "model": "u", "usage": usage, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]})


# 100 read, 500 written for five minutes and 600 for an hour, 100 answered.
WRITTEN = {"input_tokens": 100, "cache_creation_input_tokens": 1100, "cache_read_input_tokens": 0,
           "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 600}}


def event(kind, **more):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def messages(r):
    doc = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None}
    if not r.json().get("stream"):
        return reply(200, {**doc, "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
                           "usage": {**WRITTEN, "output_tokens": 100}})
    return chunked([
        event("message_start", message={**doc, "content": [], "stop_reason": None, "usage": {**WRITTEN, "output_tokens": 1}}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"}),
        event("content_block_stop", index=0),
        # The last word tells what was written as one sum.
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
              usage={"input_tokens": 100, "cache_creation_input_tokens": 1100, "cache_read_input_tokens": 0,
                     "output_tokens": 100}),
        event("message_stop")])


@pytest.fixture(scope="module")
def upstream():
    with Upstream(answer) as u:
        yield u


@pytest.fixture(scope="module")
def gw(upstream):
    models = {n: model({"provider": "up", "model": n, "price": LONG}) for n in CASES}
    models["base"] = model({"provider": "up", "model": "none", "price": BASE})
    models["claude"] = model({"provider": "claude", "model": "claude", "price": KEPT})
    claude = {"plugin": "anthropic", "options": {"base_url": upstream.url}, "api_key": "sk-ant-secret"}
    with Governed(providers={"up": openai(upstream.url), "claude": claude}, models=models,
                  sections={"billing": {"baseline_model": "base"}}) as g:
        yield g


def spend(gw, team, name, messages, stream):
    """(what the client reads of usage, the generation's record, the bytes that were sent)."""
    body = {"model": name, "messages": messages, "max_tokens": 600, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    gw.team(team, credits="100")
    r = gw.ask("POST", "/v1/chat/completions", body, gw.key(team=team)["key"])
    assert r.status == 200, r
    docs = [json.loads(e) for e in r.events() if e not in ("[DONE]", b"[DONE]")] if stream else [r.json()]
    usage = [d["usage"] for d in docs if d.get("usage")]
    return usage[-1], gw.generation(docs[0]["id"]), len(json.dumps(body))


def settled(gw, team, doc, hold, cost):
    assert money(doc["hold"]) == hold >= cost
    assert money(doc["cost"]) == money(doc["charged"]) == cost
    entries = [e for e in gw.ledger(team) if e["generation"] == doc["id"]]
    assert {e["kind"]: money(e["amount"]) for e in entries} == {"hold": -hold, "settle": -cost, "release": hold}
    assert gw.balance(team) == HUNDRED - cost


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_long_prompt_is_charged_by_its_threshold(gw, name, stream):
    usage, cost, baseline = CASES[name]
    team = f"{name}-{'stream' if stream else 'whole'}"
    _, doc, sent = spend(gw, team, name, [{"role": "user", "content": "a" * LETTERS}], stream)
    assert doc["usage"] == {"cache_read": 50_000, "prompt": usage["prompt_tokens"] - 50_000, "completion": 500}
    settled(gw, team, doc, sent * 6000 + 600 * 22_500, cost)
    assert money(doc["savings"]) == baseline - cost


def test_a_short_prompt_holds_no_more_than_before(gw):
    """What came back is long all the same: it is taken from the credits, beyond what was held."""
    _, doc, sent = spend(gw, "short", "above", [{"role": "user", "content": "a"}], False)
    assert money(doc["hold"]) == sent * 3000 + 600 * 15_000
    assert money(doc["charged"]) == 1_241_250_000 and gw.balance("short") == HUNDRED - 1_241_250_000


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ttl", ["1h", "5m"])
def test_what_is_kept_for_an_hour_costs_more(gw, ttl, stream):
    """100 x 3,000 = 300,000; 500 x 3,750 = 1,875,000; 600 x 6,000 = 3,600,000; 100 x 15,000 = 1,500,000. Held is the
    hour's price where the request asks for an hour."""
    team = f"kept-{ttl}-{'stream' if stream else 'whole'}"
    part = {"type": "text", "text": "a" * 3000, "cache_control": {"type": "ephemeral", "ttl": ttl}}
    usage, doc, sent = spend(gw, team, "claude", [{"role": "user", "content": [part]}], stream)
    assert doc["usage"] == {"cache_write": 500, "cache_write:1h": 600, "prompt": 100, "completion": 100}
    assert doc["tokens_prompt"] == 1200
    settled(gw, team, doc, sent * (6000 if ttl == "1h" else 3750) + 600 * 15_000, 7_275_000)
    assert usage["prompt_tokens"] == 1200 and usage["prompt_tokens_details"]["cache_write_tokens"] == 1100


def test_the_table_of_usage_counts_the_whole_prompt(gw):
    """Of each request 1,200 in and 100 out."""
    spend(gw, "table", "claude", [{"role": "user", "content": "a"}], False)

    def row():
        lines = [line.split() for line in gw.command("usage").splitlines()]
        return next((line for line in lines if "claude" in line), None)
    cells = eventually(row, PATIENCE, 0.2)
    requests, failed, read, written = (int(cell) for cell in cells[-5:-1])
    assert requests > 0 and (failed, read, written) == (0, requests * 1200, requests * 100)


def test_the_store_keeps_each_list_of_prices(gw):
    """What a settle's price version stands for, thresholds and variants included; another threshold is another
    version."""
    gw.flush()
    with sqlite3.connect(f"file:{gw.dir / 'run' / 'turnpike.db'}?mode=ro", uri=True) as db:
        kept = {json.dumps(json.loads(p), sort_keys=True): v for v, p in db.execute("SELECT version, json FROM price")}
    versions = {json.dumps(p, sort_keys=True) for p in (LONG, BASE, KEPT)}
    assert versions <= set(kept) and len({kept[p] for p in versions}) == 3
    _, doc, _ = spend(gw, "version", "at", [{"role": "user", "content": "a"}], False)
    assert doc["price_version"] == kept[json.dumps(LONG, sort_keys=True)]
    gw.snippet("70-moved.json", {"models": {"moved": model({"provider": "up", "model": "at", "price": {
        **{k: v for k, v in LONG.items() if k != "prompt@200000"}, "prompt@200001": LONG["prompt@200000"]}})}})
    gw.reload()
    _, doc, _ = spend(gw, "moved", "moved", [{"role": "user", "content": "a"}], False)
    assert doc["price_version"] not in kept.values()
