"""Recorded traffic of the providers that translate, for the daemon: what a client asks, what the upstream
answers and in which pieces, and what the client is to read. The judge of tests/vectors says what is right."""
import importlib
import json
import math
import random
import re
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone

from .paths import RECORDINGS, SOURCE
from .signing import aws4

sys.path.append(str(SOURCE / "tests" / "vectors" / "judge"))
judge = importlib.import_module("judge")
summary = importlib.import_module("summary")
made_replies = importlib.import_module("made").made_replies
NOW_MS = importlib.import_module("driver").NOW_MS

SECRET = "upstream-secret-of-the-recordings"
AWS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
# name of the API module: what its base_url ends in. The name is the provider's, too.
BASES = {"anthropic": "/v1", "google": "/v1beta", "cohere": "/v2", "mistral": "/v1", "bedrock": "", "vertex": "/v1",
         "vertex_claude": "/v1"}
APIS = {name: importlib.import_module(f"api_{name}") for name in BASES}
TOKENS = {"vertex", "vertex_claude"}  # signed for by a service account
# What a client sees of a class of errors; the provider's own troubles with us are the gateway's.
STATUS = {"invalid": 400, "too_long": 400, "filter": 400, "rate": 429, "overloaded": 503, "quota": 503,
          "timeout": 504, "auth": 502, "forbidden": 502, "not_found": 502, "upstream": 502}


class Case:
    """One recording, asked of one provider. Its model of the gateway has one deployment."""

    def __init__(self, name, recording):
        self.provider, self.api, self.recording = name, APIS[name], recording
        self.meta, self.reply = recording.meta, recording.reply
        self.streaming, self.refused = recording.streaming, recording.refused
        self.upstream_model = recording.meta.get("model") or "some-model"
        self.model = re.sub(r"[^A-Za-z0-9.-]", "-", f"{name}-{self.upstream_model}")
        self.id = f"{name}:{recording.path.name}"
        outcome = judge.Outcome(recording)
        canonical = judge.canonical_of(self.api, outcome)
        self.expressed = canonical is not None
        self.body = dict(canonical or judge.default_request(recording), model=self.model)

    @property
    def expect(self):
        return self.api.expect(self.reply, self.meta)

    def ask(self, stream=None, usage=True):
        """The canonical request, streamed as it was recorded or as is said."""
        body = {k: v for k, v in self.body.items() if k not in ("stream", "stream_options")}
        if self.streaming if stream is None else stream:
            body["stream"] = True
            if usage:
                body["stream_options"] = {"include_usage": True}
        return body

    def __repr__(self):
        return self.id


def all_cases():
    out = []
    for name, api in APIS.items():
        out += [Case(name, r) for r in judge.recordings_of(RECORDINGS, api)]
        out += [Case(name, r) for r in made_replies(api, judge.Recording)]
    return out


# ---- What the upstream answers.

def headers_of(case):
    """Headers of the recorded reply. Resets that were told by the clock of the recording are told by ours."""
    out = []
    for name, value in case.recording.headers:
        if name.lower() in ("content-type", "content-length", "transfer-encoding", "content-encoding", "connection"):
            continue
        if name.lower().endswith("-reset") and re.match(r"\d{4}-\d\d-\d\dT", value):
            ahead = datetime.fromisoformat(value).timestamp() - NOW_MS / 1000
            value = datetime.fromtimestamp(time.time() + ahead, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        out.append((name, value))
    return out


def pieces_of(case, body, how):
    """body cut into the pieces that are sent."""
    if how == "byte":
        return [body[i:i + 1] for i in range(len(body))]
    if how == "event" and case.streaming:
        ends = [b for b in case.api.boundaries(body, case.meta) if b < len(body)]
    elif how == "random":
        draw = random.Random(len(body))
        ends = sorted({draw.randrange(1, len(body)) for _ in range(min(40, len(body) // 3))}) if len(body) > 3 else []
    else:
        return [body]
    return [body[a:b] for a, b in zip([0] + ends, ends + [len(body)])]


class Player:
    """Answers with the case whose turn it is. framing: "length", "chunked" or "close"; how: in which pieces;
    cut: "broken" ends the connection without the end that the framing asks for, "closed" with it."""

    def __init__(self):
        self.upstream = self.case = None
        self.turn(None)

    def turn(self, case, how="whole", framing="length", body=None, kind=None, status=None, cut=None):
        self.case, self.how, self.framing, self.cut = case, how, framing, cut
        self.body = body if body is not None or case is None else case.reply
        self.kind, self.status = kind, status

    def __call__(self, request):
        case, body = self.case, self.body
        kind = self.kind or case.meta.get("response_content_type") or case.recording.content_type
        lines = [f"HTTP/1.1 {self.status or case.meta.get('status') or 200} X", f"Content-Type: {kind}",
                 *[f"{k}: {v}" for k, v in headers_of(case)]]
        missing = 1000 if self.cut == "broken" else 0
        if self.framing == "length":
            lines.append(f"Content-Length: {len(body) + missing}")
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append("Connection: close")
        self.upstream.close_after = self.framing == "close" or self.cut == "broken"
        yield ("\r\n".join(lines) + "\r\n\r\n").encode()
        for piece in pieces_of(case, body, self.how):
            if piece:
                yield b"%x\r\n%s\r\n" % (len(piece), piece) if self.framing == "chunked" else piece
        if self.framing == "chunked" and not missing:
            yield b"0\r\n\r\n"


# ---- What the upstream got.

def sent_of(case, request, endpoint):
    """A request as the judge's check_sent reads it, after its credential was verified."""
    base = BASES[case.provider]
    assert request.path.startswith(base), request.path
    with_secret = [(k.lower(), v) for k, v in request.headers if SECRET in v]
    assert SECRET not in request.path and SECRET.encode() not in request.body
    sent = {"method": request.method, "path": request.path[len(base):], "headers": request.headers,
            "body": request.body.decode(), "secret_header": None, "sign": None}
    if case.provider == "bedrock":
        signed = aws4(request, {AWS["access_key_id"]: AWS["secret_access_key"]})
        sent["sign"] = ["aws4", json.dumps({"service": signed["service"], "region": signed["region"]})]
    elif case.provider in TOKENS:
        assert request.header("Authorization") == f"Bearer {endpoint.given[-1]}"
        sent["sign"] = ["google-oauth", json.dumps({"scope": endpoint.scopes[-1]})]
    else:
        assert len(with_secret) == 1, with_secret
        sent["secret_header"] = [with_secret[0][0], with_secret[0][1].removesuffix(SECRET)]
        with_secret = []
    assert not with_secret
    return sent


# ---- What the client got.

def statuses(want):
    return {STATUS[code] for code in want.codes}


def words(status, want):
    """How the upstream's message may reach the client: as it stands where the client can do something about
    it, not at all where it is about the gateway's key."""
    ours = {"auth": "did not accept the gateway's key.", "forbidden": "does not allow the gateway this request."}
    hidden = tuple(ours[c] for c in want.codes if c in ours)
    if status in (400, 429):
        return (want.message, *hidden)
    if len(hidden) == len(want.codes):
        return hidden
    return (f"returned an error: {want.message}", *hidden)


def refusal_faults(r, want):
    """Complaints about a refusal as the client sees it."""
    bad = []
    if r.status not in statuses(want):
        bad.append(f"status {r.status}, expected one of {sorted(statuses(want))}")
    if not r.complete or r.header("Content-Type") != "application/json":
        return bad + [f"content type {r.header('Content-Type')}, complete {r.complete}"]
    if set(r.json()) != {"error"} or set(r.error) != {"message", "type", "param", "code"}:
        bad.append(f"the envelope is {r.json()}")
    if not isinstance(r.error["message"], str) or not r.error["message"] or not r.error["type"]:
        bad.append(f"the envelope says nothing: {r.error}")
    if want.message is not None and "quota" not in want.codes and \
            not r.error["message"].endswith(words(r.status, want)):
        bad.append(f"message {r.error['message']!r}, expected {words(r.status, want)!r}")
    told = r.header("Retry-After")
    right = want.retry_ms if isinstance(want.retry_ms, tuple) else (want.retry_ms,)
    seconds = {None if ms is None or ms <= 0 else str(math.ceil(ms / 1000)) for ms in right}
    if told not in seconds:
        bad.append(f"Retry-After {told}, expected {seconds}")
    return bad


def stream_faults(r):
    """Complaints about a stream as such: one id and one model, and the truth about its end."""
    events = r.events()
    if not r.complete or not r.header("Content-Type").startswith("text/event-stream"):
        return [f"content type {r.header('Content-Type')}, complete {r.complete}"]
    documents = [json.loads(e) for e in events if e != b"[DONE]"]
    errors = [d for d in documents if "error" in d]
    bad = []
    if (events[-1] == b"[DONE]") == bool(errors) or events.count(b"[DONE]") > 1:
        bad.append(f"{len(errors)} errors, and it ends with {events[-1][:200]!r}")
    if errors and (len(errors) > 1 or documents[-1] is not errors[0] or set(errors[0]) != {"error"} or
                   set(errors[0]["error"]) != {"message", "type", "param", "code"}):
        bad.append(f"errors {errors}")
    chunks = [d for d in documents if "error" not in d]
    for key in ("id", "model", "created"):
        if len({d[key] for d in chunks}) > 1:
            bad.append(f"the chunks have several of {key}: { {d[key] for d in chunks} }")
    return bad


def reply_faults(r, want, streaming):
    """Complaints about an answer that is no refusal."""
    at_once = want.instead or want.error  # nothing of the answer was sent, so that it could still be refused
    if at_once and r.status != 200:
        return refusal_faults(r, at_once)
    if r.status != 200:
        return [f"status {r.status}: {r.body[:300]!r}"]
    bad = stream_faults(r) if streaming else []
    if not streaming and (not r.complete or r.header("Content-Type") != "application/json"):
        bad.append(f"content type {r.header('Content-Type')}, complete {r.complete}")
    try:
        got = summary.read_client(r.body, streaming)
    except (summary.Malformed, ValueError, KeyError) as e:
        return bad + [f"the client cannot read it: {type(e).__name__} {e}"]
    if want.error and want.error.message and got.error:
        if not got.error.message.endswith(want.error.message):
            bad.append(f"message {got.error.message!r}, expected {want.error.message!r}")
        want = replace(want, error=replace(want.error, message=None))
    return bad + summary.compare(got, want)


def id_of(r, streaming):
    return json.loads(r.events()[0])["id"] if streaming else r.json()["id"]
