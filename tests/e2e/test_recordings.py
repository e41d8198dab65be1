"""Recorded traffic of OpenAI-format providers, served again by an upstream: what the client receives
is what was recorded, but for the edits that docs/canonical.md lists."""
import json
import re

import pytest

from harness.client import events_of
from harness.gateway import Gateway, model, openai
from harness.paths import RECORDINGS
from harness.scripted import Upstream, chunked, reply


class Recording:
    def __init__(self, meta_file):
        self.dir = meta_file.parent
        self.meta = json.loads(meta_file.read_text())
        self.name = f"{self.dir.parent.name}/{self.dir.name}"
        self.status, self.stream = self.meta["status"], bool(self.meta["streaming"])
        self.reply = (self.dir / self.meta["response_file"]).read_bytes()
        request = self.dir / "request.json"
        self.request = request.read_bytes() if request.exists() else None

    def ask(self):
        """The request's bytes with this test's model, and what must come to the upstream but for usage."""
        body = self.request
        if body is None:
            body = json.dumps({"model": "x", "messages": [{"role": "user", "content": "x"}],
                               **({"stream": True} if self.stream else {})}).encode()
        doc = json.loads(body)
        if "model" not in doc:  # it stood in the path
            body = b'{"model":"x",' + body.lstrip()[1:]
            doc = json.loads(body)
        spelled = re.search(rb'"model"\s*:\s*(%s)' % re.escape(json.dumps(doc["model"]).encode()), body)
        at, end = spelled.span(1)
        return body[:at] + b'"m"' + body[end:], body[:at] + b'"as/recorded"' + body[end:]


ALL = [r for r in (Recording(f) for f in sorted(RECORDINGS.glob("*/*/meta.json")))
       if r.meta["api"] == "chat.completions"]


class Player:
    """Answers with the recording whose turn it is."""

    def __init__(self):
        self.turn, self.pieces = None, None

    def __call__(self, request):
        r = self.turn
        kind = r.meta["response_content_type"] or ("text/event-stream" if r.stream else "application/json")
        if r.stream:
            n = self.pieces or len(r.reply)
            return chunked([r.reply[i:i + n] for i in range(0, len(r.reply), n)], r.status, kind)
        return reply(r.status, r.reply, kind)


@pytest.fixture(scope="module")
def player():
    return Player()


@pytest.fixture(scope="module")
def upstream(player):
    with Upstream(player) as u:
        yield u


@pytest.fixture(scope="module")
def gw(upstream):
    with Gateway(providers={"up": openai(upstream.url)}, models={"m": model(("up", "as/recorded"))}) as g:
        yield g


def play(gw, player, upstream, recording, pieces=None, body=None):
    player.turn, player.pieces = recording, pieces
    asked = len(upstream.requests)
    with gw.client() as c:
        r = c.chat(body or recording.ask()[0])
    return r, upstream.requests[asked:]


def with_id(body, new):
    """The bytes with another top-level id: the value replaced where it stands, or put first."""
    doc = json.loads(body)
    if "id" not in doc:
        return re.sub(rb"^\s*\{", lambda m: m.group(0) + b'"id":' + json.dumps(new).encode() + (b"," if doc else b""),
                      body, count=1)
    value = json.dumps(doc["id"]).encode()
    found = re.search(rb'"id"\s*:\s*(%s)' % re.escape(value), body)
    return body[:found.start(1)] + json.dumps(new).encode() + body[found.end(1):]


def is_error(event):
    doc = json.loads(event)
    return bool(doc.get("error")) or any(c.get("finish_reason") == "error" for c in doc.get("choices") or [])


def frames_of(recording):
    """(frames before the end, "done", "error" or "cut")"""
    out = []
    for e in events_of(recording.reply + b"\n\n"):
        if e == b"[DONE]":
            return out, "done"
        if is_error(e):
            return out, "error"
        out.append(e)
    finished = any(c.get("finish_reason") for e in out for c in json.loads(e).get("choices") or [])
    return out, "done" if finished else "cut"


def test_there_are_recordings():
    assert len(ALL) >= 15
    assert sum(r.stream for r in ALL) >= 5 and sum(r.status != 200 for r in ALL) >= 1


@pytest.mark.parametrize("recording", ALL, ids=lambda r: r.name)
def test_request(gw, player, upstream, recording):
    body, expected = recording.ask()
    _, got = play(gw, player, upstream, recording)
    assert len(got) == 1
    options = json.loads(body).get("stream_options") or {}
    if not json.loads(body).get("stream") or options.get("include_usage") is True:
        assert got[0].body == expected
    else:
        want = json.loads(expected)
        want["stream_options"] = {**options, "include_usage": True}
        assert got[0].json() == want
        assert list(got[0].json())[:len(json.loads(expected))] == list(json.loads(expected))


@pytest.mark.parametrize("recording", [r for r in ALL if r.status == 200 and not r.stream], ids=lambda r: r.name)
def test_whole(gw, player, upstream, recording):
    r, _ = play(gw, player, upstream, recording)
    assert r.status == 200 and r.header("Content-Type") == "application/json"
    own = r.json()["id"]
    assert own.startswith("chatcmpl-") and own != json.loads(recording.reply).get("id")
    assert r.body == with_id(recording.reply, own)


@pytest.mark.parametrize("pieces", [None, 1, 100])
@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("recording", [r for r in ALL if r.status == 200 and r.stream], ids=lambda r: r.name)
def test_stream(gw, player, upstream, recording, usage, pieces):
    doc = json.loads(recording.ask()[0])
    doc.pop("stream_options", None)
    if usage:
        doc["stream_options"] = {"include_usage": True}
    r, _ = play(gw, player, upstream, recording, pieces, json.dumps({**doc, "stream": True}).encode())
    want, end = frames_of(recording)
    if not want:  # it failed before the first frame
        assert r.status >= 400 and "error" in r.json()
        return
    assert r.status == 200 and r.complete and r.header("Content-Type").startswith("text/event-stream")
    got = r.events()
    if end == "done":
        assert got.pop() == b"[DONE]"
    else:
        assert set(json.loads(got.pop())) == {"error"} and b"[DONE]" not in got
    own = json.loads(got[0])["id"]
    want = [with_id(e.replace(b"\n", b" "), own) for e in want]
    if usage:
        assert got == want
        return
    quiet = []
    for e in want:
        d = json.loads(e)
        if d.get("usage") and not d.get("choices"):
            continue
        if d.get("choices"):
            d.pop("usage", None)
        quiet.append(d)
    assert [json.loads(e) for e in got] == quiet


@pytest.mark.parametrize("recording", [r for r in ALL if r.status != 200], ids=lambda r: r.name)
def test_error(gw, player, upstream, recording):
    r, _ = play(gw, player, upstream, recording)
    assert r.status == {400: 400, 401: 502, 403: 502, 404: 502, 429: 429}.get(recording.status, 502)
    assert r.error["message"]
    if recording.status == 400:
        said = json.loads(recording.reply)
        said = said.get("error", said)
        if isinstance(said, dict) and isinstance(said.get("message"), str):
            assert said["message"] in r.error["message"]
