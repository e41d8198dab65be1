"""Recorded traffic of the providers that translate, through the real daemon: requests of a client of
OpenAI's format, checked by the rules of each API as they come to its upstream; and the recorded replies,
in every framing and in pieces, as that client reads them. tests/vectors/judge says what is right."""
import json
import re
from dataclasses import replace

import pytest

from harness.gateway import model
from harness.govern import KEY, Governed
from harness.paths import TRANSPORT
from harness.recorded import (APIS, AWS, BASES, SECRET, TOKENS, Player, all_cases, id_of, judge, refusal_faults,
                              reply_faults, sent_of, statuses, stream_faults, summary)
from harness.raw import eventually
from harness.scripted import Upstream
from harness.signing import Account, TokenEndpoint

ALL = all_cases()
WELL = [c for c in ALL if not c.refused and not isinstance(c.expect, summary.ErrorSummary)]
STREAMS = [c for c in WELL if c.streaming]
WHOLE = [c for c in WELL if not c.streaming]
REFUSED = [c for c in ALL if c.refused]
SHORT = 12000  # bytes: streams up to this are sent byte by byte


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=repr)


@pytest.fixture(scope="module")
def endpoint():
    account = Account()
    with TokenEndpoint([account]) as e:
        e.document = account.document(e.url)
        yield e


@pytest.fixture(scope="module")
def player():
    return Player()


@pytest.fixture(scope="module")
def upstream(player):
    with Upstream(player) as u:
        player.upstream = u
        yield u


def provider(name, port, endpoint):
    options = {"base_url": f"http://127.0.0.1:{port}{BASES[name]}", **APIS[name].OPTIONS}
    credential = {"credential": AWS} if name == "bedrock" else \
        {"credential": {"service_account": endpoint.document}} if name in TOKENS else {"api_key": SECRET}
    transport = {"proxy": "environment"} if TRANSPORT == "curl" else {}
    return {"plugin": APIS[name].PLUGIN, "options": options, **credential, **transport}


@pytest.fixture(scope="module")
def gw(upstream, endpoint):
    models = {c.model: model((c.provider, c.upstream_model), max_output_tokens=64000, context_length=1000000)
              for c in ALL}
    with Governed(providers={name: provider(name, upstream.port, endpoint) for name in APIS}, models=models) as g:
        yield g


@pytest.fixture(scope="module")
def play(gw, player, upstream):
    """play(case, ask, headers, how...) -> (reply, what the upstream got)"""
    def run(case, ask, headers=(), **how):
        player.turn(case, **how)
        before = len(upstream.requests)
        with gw.client() as c:
            r = c.chat(ask, headers)
        got = upstream.requests[before:]
        assert len(got) == 1, (got, r)
        return r, got[0]
    return run


@pytest.fixture(scope="module")
def recorded():
    """id: (record, case) of the requests whose records were looked at."""
    return {}


def test_there_are_recordings():
    recorded = [c for c in ALL if not c.recording.made]
    for name in APIS:
        mine = [c for c in recorded if c.provider == name]
        assert any(c.streaming for c in mine) and any(not c.streaming and not c.refused for c in mine), name
    assert len(recorded) >= 100 and sum(c.expressed for c in recorded) >= 60


# ---- The request.

@named(ALL)
def test_request(play, endpoint, case):
    r, request = play(case, case.ask())
    sent = request.json()
    bad = case.api.check(sent) + case.api.check_sent(sent_of(case, request, endpoint), case.meta)
    if case.expressed:
        bad += case.api.same(sent, case.recording.request, case.meta)
    assert not bad, (bad, r.header("X-Turnpike-Dropped"), request.body[:2000])
    assert r.header("X-Turnpike-Dropped") is None
    assert not any("tp_live_" in v for _, v in request.headers)
    assert "text/event-stream" not in (request.header("Accept") or "") or case.streaming


@named([c for c in WELL if c.expressed])
def test_what_is_dropped_is_said(play, case):
    more = {"logit_bias": {"50256": -100}, "a_word_of_nobody": {"x": 1}}
    r, request = play(case, {**case.ask(), **more})
    assert r.status == 200
    assert {n.strip() for n in r.header("X-Turnpike-Dropped").split(",")} == set(more)
    assert b"logit_bias" not in request.body and b"a_word_of_nobody" not in request.body
    r, _ = play(case, case.ask(), [("X-Turnpike-Strict", "true")])  # nothing is lost: strictness takes it
    assert r.status == 200


# ---- The reply.

def check_well(r, case, streaming):
    bad = reply_faults(r, case.expect, streaming)
    assert not bad, (bad, r)
    if r.status == 200:
        assert r.header("X-Turnpike-Provider") == case.provider
        got = summary.read_client(r.body, streaming)
        assert got.model in served(case), (got.model, served(case))


def served(case):
    """The names of the model that the client may read: what the upstream says, or what it was asked for."""
    told = re.findall(rb'"(?:model|modelVersion|model_version)"\s*:\s*("[^"]*")', case.reply)
    return {json.loads(t) for t in told} or {case.upstream_model}


@named(WHOLE)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_whole(play, case, framing):
    how = "whole" if framing == "length" else "random"
    r, _ = play(case, case.ask(), framing=framing, how=how)
    check_well(r, case, False)


WAYS = {"whole": ("whole", "length"), "event": ("event", "chunked"), "random": ("random", "chunked"),
        "close": ("random", "close"), "byte": ("byte", "chunked"), "byte-close": ("byte", "close")}


@named(STREAMS)
@pytest.mark.parametrize("way", WAYS)
def test_stream(play, case, way):
    how, framing = WAYS[way]
    if how == "byte" and len(case.reply) > SHORT:
        pytest.skip("too long for that")
    r, _ = play(case, case.ask(), how=how, framing=framing)
    check_well(r, case, True)


@named([c for c in STREAMS if c.provider != "bedrock"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_stream_without_its_last_blank_line(play, case, framing):
    body = case.reply.rstrip(b"\r\n")
    r, _ = play(case, case.ask(), body=body, framing=framing)
    check_well(r, case, True)


@named(REFUSED)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_refused(play, case, stream, framing):
    r, _ = play(case, case.ask(stream=stream), framing=framing)
    bad = refusal_faults(r, case.expect)
    assert not bad, (bad, r)


# ---- Usage that nobody asked for; what the gateway writes down.

def same_choices(a, b):
    """But for the ids of calls, which the gateway makes where the upstream has none."""
    plain = [[replace(c, calls=[call[1:] for call in c.calls]) for c in s.choices] for s in (a, b)]
    return plain[0] == plain[1]


@named(STREAMS)
def test_usage_is_shown_to_those_who_ask(play, case):
    asked, _ = play(case, case.ask())
    for options in ({}, {"stream_options": {"include_usage": False}}, {"stream_options": {}}):
        r, request = play(case, {**case.ask(usage=False), **options})
        assert r.status == asked.status
        if r.status != 200:
            continue
        documents = [json.loads(e) for e in r.events() if e != b"[DONE]"]
        assert not any(d.get("usage") for d in documents) and all(d.get("choices") or "error" in d for d in documents)
        assert stream_faults(r) == []
        a, b = summary.read_client(asked.body, True), summary.read_client(r.body, True)
        assert same_choices(a, b) and a.done == b.done and not b.usage
        assert not case.api.check(request.json())


def counted(want):
    """{member of the record: what may stand there}; what the judge does not say is not compared."""
    u = want.usage or {}
    found = {"tokens_prompt": u.get("prompt"), "tokens_completion": u.get("completion"),
             "tokens_cached": u.get("cached"), "tokens_reasoning": u.get("reasoning")}
    return {k: v if isinstance(v, tuple) else (v,) for k, v in found.items() if v is not None}


@named([c for c in WELL if not c.expect.error and not c.expect.instead])
@pytest.mark.parametrize("usage", [True, False])
def test_record(gw, play, recorded, case, usage):
    if not case.streaming and not usage:
        pytest.skip("asks for streams only")
    r, _ = play(case, case.ask(usage=usage))
    id = id_of(r, case.streaming)
    doc = gw.api("GET", f"/v1/generation?id={id}", key=KEY)
    for name, right in counted(case.expect).items():
        assert doc[name] in right, (name, doc)
    assert doc["status"] == "completed" and doc["streamed"] is case.streaming and doc["attempts"] == 1
    assert doc["provider"] == case.provider and doc["model"] == case.model
    finish = summary.read_client(r.body, case.streaming).choices[0].finish
    assert doc["finish_reason"] in {"stop": ("stop", "pause"), "content_filter": ("content_filter", "refusal")}.get(
        finish, (finish,))
    assert doc["estimated"] is not bool(counted(case.expect)), doc  # nothing is served for nothing
    assert not doc["estimated"] or doc["tokens_prompt"] > 0
    units = {k: v for k, v in doc["usage"].items() if not k.startswith("billed_")}
    assert sum(units.values()) == doc["tokens_prompt"] + doc["tokens_completion"]
    recorded[id] = (doc, case)


def test_access_log(gw, recorded):
    """What was said of each of these requests in the access log is what the store has of it."""
    assert recorded

    def lines():
        found = [json.loads(l) for l in gw.access_log.read_text().splitlines()]
        found = {l["generation"]: l for l in found if l["generation"] in recorded}
        return found if len(found) == len(recorded) else None

    for id, line in eventually(lines).items():
        doc, case = recorded[id]
        assert line["tokens"] == doc["usage"] and line["outcome"] == "completed" and line["status"] == 200
        assert line["served"] == doc["model_served"] and line["provider"] == case.provider


@named([c for c in WHOLE if "can-understand-audio" in c.id])
def test_sound_counts_among_the_tokens_of_a_minute(gw, player, case):
    player.turn(case)
    total = case.expect.usage["total"]
    gw.team("hears", billing="postpaid")
    for limit, status in ((total + 400, 200), (total, 429)):  # a request asks for its bytes and max_tokens
        key = gw.key(team="hears", tokens_per_minute=limit)["key"]
        assert gw.ask("POST", "/v1/chat/completions", case.ask(), key).status == 200  # alone, whatever it asks for
        assert gw.chat(key, case.model, max_tokens=5).status == status


@named(REFUSED)
def test_record_of_a_refusal(gw, play, case):
    r, _ = play(case, case.ask())
    id = r.header("X-Request-Id")
    gw.flush()
    row = gw.api("GET", "generations?limit=1")["data"][0]
    assert row["request_id"] == id and row["status"] == "failed" and row["http_status"] == r.status
    assert row["provider"] == case.provider and row["charged"] == "0" and row["usage"] == {}


# ---- In another framing than the one that was asked for.

@named(STREAMS)
def test_a_stream_in_answer_to_a_whole_request(play, case):
    r, _ = play(case, case.ask(stream=False), framing="chunked", how="random")
    want = case.expect
    if want.error:
        assert r.status in statuses(want.error) | {502}, r
        assert set(r.json()) == {"error"}
        return
    check_well(r, case, False)


@named(WHOLE)
def test_a_document_in_answer_to_a_stream(play, case):
    r, _ = play(case, case.ask(stream=True), framing="length")
    check_well(r, case, True)


# ---- Cut streams.

CUTS = {"closed": ("chunked", "closed"), "broken": ("chunked", "broken"), "short": ("length", "broken"),
        "ended": ("close", None)}


def begins(got, want):
    """Is it the beginning of what the whole stream says?"""
    for g, w in zip(got.choices, want.choices):
        if not (w.text.startswith(g.text) and w.reasoning.startswith(g.reasoning)):
            return False
        if len(g.calls) > len(w.calls) or g.calls[:-1] != w.calls[:len(g.calls[:-1])] and all(c[0] for c in w.calls):
            return False
    return len(got.choices) <= len(want.choices)


@named(STREAMS)
@pytest.mark.parametrize("way", CUTS)
def test_cut(play, case, way):
    """It never looks complete, and what came is the beginning of what was said."""
    framing, cut = CUTS[way]
    for at in judge.cuts_of(case.api, case.recording, "quick" if len(case.reply) > 20000 else "some"):
        prefix = case.reply[:at]
        r, _ = play(case, case.ask(), body=prefix, framing=framing, cut=cut)
        if r.status != 200:
            assert r.status in (400, 429, 502, 503, 504), (at, r)
            assert set(r.error) == {"message", "type", "param", "code"}, (at, r)
            continue
        assert stream_faults(r) == [], (at, r)
        got = summary.read_client(r.body, True)
        assert begins(got, case.expect), (at, r)
        if not case.api.may_end(prefix, case.meta):
            assert got.error and not got.done, (at, prefix[-200:], r)


@named(STREAMS)
def test_record_of_a_cut_stream(gw, play, case):
    ends = [0] + case.api.boundaries(case.reply, case.meta)
    prefix = case.reply[:ends[len(ends) // 2]]
    if case.api.may_end(prefix, case.meta):
        pytest.skip("may end in its middle")
    r, _ = play(case, case.ask(usage=False), body=prefix, framing="chunked", cut="broken")
    gw.flush()
    row = gw.api("GET", "generations?limit=1")["data"][0]
    assert row["request_id"] == r.header("X-Request-Id") and row["status"] == "failed", row
    assert row["http_status"] == r.status and row["charged"] == "0" and row["provider"] == case.provider
    if r.status == 200:
        assert row["id"] == id_of(r, True)


@named(STREAMS)
def test_cut_when_the_client_wants_it_whole(play, case):
    """A document made of half a stream would look complete."""
    for at in judge.cuts_of(case.api, case.recording, "quick")[:8]:
        prefix = case.reply[:at]
        if not case.api.may_end(prefix, case.meta):
            r, _ = play(case, case.ask(stream=False), body=prefix, framing="chunked", cut="broken")
            assert r.status in (400, 429, 502, 503, 504) and set(r.json()) == {"error"}, (at, r)


@named(WHOLE)
@pytest.mark.parametrize("way", CUTS)
def test_half_a_document(play, case, way):
    framing, cut = CUTS[way]
    for at in (0, 1, len(case.reply) // 3, len(case.reply.rstrip()) - 1):
        r, _ = play(case, case.ask(), body=case.reply[:at], framing=framing, cut=cut)
        assert r.status in (502, 503) and set(r.error) == {"message", "type", "param", "code"}, (at, r)
