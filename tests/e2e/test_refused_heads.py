"""Requests that are refused before anybody knows what they want: in the envelope of the surface that they
were meant for, with the limits of whoever sent them, and with a line in the access log. A-91; R-2, R-6."""
import json
import time

import pytest

from harness.govern import SURFACES, Governed, Limits, openai, priced
from harness.raw import Raw, chunks, eventually, post

LIMIT = 40
SERVER = {"head_timeout_ms": 500, "max_head_bytes": 4096, "max_target_bytes": 300, "max_headers": 20,
          "max_body_bytes": 20_000}
MEMBERS = {"/v1": {"message", "type", "param", "code"}, "/api/v1": {"message", "type", "code"},
           "/api/gateway": {"message", "code"}, "": {"message", "type", "param", "code"}}


def built(mock, limit, **more):
    return Governed(surfaces=SURFACES, server=SERVER, workers=2, providers={"up": openai(mock.url)},
                    models={"m": priced("up", {"prompt": "0.000001"})},
                    admission={"address_requests_per_minute": limit}, **more)


@pytest.fixture(scope="module")
def gw(mock):
    with built(mock, 16_000_000) as g:
        g.team("t", billing="postpaid")
        yield g


def sent(gw, data, pieces=0):
    """The reply to these bytes, which ends the connection."""
    with Raw(gw) as c:
        c.send(data, pieces)
        r = c.read_reply()
        assert r.header("Connection") == "close" and r.header("X-Request-Id"), r
        assert c.ended()
        return r


def lines_of(gw, replies):
    """The lines that the access log has of these replies, one each."""
    ids = [r.header("X-Request-Id") for r in replies]

    def find():
        lines = {}
        for text in gw.access_log.read_text().splitlines():
            line = json.loads(text)
            lines.setdefault(line.get("request_id"), []).append(line)
        return all(id in lines for id in ids) and lines

    found = eventually(find)
    assert all(len(found[id]) == 1 for id in ids), found
    return [found[id][0] for id in ids]


def head(method="GET", path="/models", *lines, version="HTTP/1.1"):
    return "\r\n".join([f"{method} {path} {version}", "Host: t", *lines]) + "\r\n\r\n"


# name: (status, path -> bytes, the path that is known of it)
FAULTS = {
    "a header without a name": (400, lambda b: head("GET", b + "/models", ": x"), "/models"),
    "no host": (400, lambda b: f"GET {b}/models?a=b HTTP/1.1\r\nX: y\r\n\r\n", "/models"),
    "two keys": (400, lambda b: head("GET", b + "/models", "Authorization: Bearer a", "Authorization: Bearer b"), "/models"),
    "NUL": (400, lambda b: head("GET", b + "/models", "Authorization: Bearer a\0b"), "/models"),
    "two lengths": (400, lambda b: head("POST", b + "/models", "Content-Length: 1", "Content-Length: 1"), "/models"),
    "a bare LF": (400, lambda b: f"GET {b}/models HTTP/1.1\nHost: t\n\n", "/models"),
    "an unknown version": (505, lambda b: head("GET", b + "/models", version="HTTP/2.0"), "/models"),
    "an unknown method": (501, lambda b: head("BREW", b + "/models"), "/models"),
    "an unknown coding": (501, lambda b: head("POST", b + "/models", "Transfer-Encoding: gzip"), "/models"),
    "a long target": (414, lambda b: head("GET", b + "/" + "x" * 400), None),
    "a target without end": (414, lambda b: f"GET {b}/" + "x" * 5000, None),
    "a long head": (431, lambda b: head("GET", b + "/models", "X: " + "y" * 5000), "/models"),
    "a long key": (431, lambda b: head("GET", b + "/models", "Authorization: Bearer " + "y" * 10_000), "/models"),
    "many headers": (431, lambda b: head("GET", b + "/models", *["X: y"] * 30), "/models"),
    "an absolute target": (400, lambda b: head("GET", f"http://u{b}/models"), "/models"),
    "a slow head": (408, lambda b: f"GET {b}/models HTTP/1.1\r\nHost: t\r\nX: y", "/models"),
}


@pytest.mark.parametrize("base", MEMBERS)
@pytest.mark.parametrize("pieces", [0, 700])
def test_in_the_manner_of_the_surface(gw, base, pieces):
    asked = [(what, text(base), status, path) for what, (status, text, path) in FAULTS.items()
             if not pieces or status != 408]
    replies = [sent(gw, data, pieces) for _, data, _, _ in asked]
    for (what, _, status, _), r in zip(asked, replies):
        assert r.status == status and set(r.error) == MEMBERS[base] and r.error["message"], (what, r)
        seen = Limits(r)
        assert seen.limit == 16_000_000 and 0 < seen.reset - time.time() <= 61, (what, r.headers)
    for (what, data, status, path), line in zip(asked, lines_of(gw, replies)):
        assert (line["status"], line["outcome"], line["method"]) == (status, "failed", data.split(" ")[0]), what
        assert line["client"].startswith("127.0.0.1:") and line["error"], what
        assert line["path"] == base + path if path else line["path"].startswith(base + "/xxx"), what


def test_nothing_known(gw):
    """What is no request line is in no log: it may be anything, a prompt or a key."""
    asked = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
             b"a prompt that a wrong length has left behind\r\n", b"WHAT a prompt says\r\n\r\n", b"GET",
             b'"model": "m"}' + b"\r\n\r\n", b"Authorization: Bearer tp_live_abc\r\n\r\n"]
    replies = [sent(gw, data) for data in asked]
    for data, r, line in zip(asked, replies, lines_of(gw, replies)):
        assert r.status in (400, 408, 505) and set(r.error) == MEMBERS[""] and Limits(r).there, (data, r)
        assert not line["method"] and not line["path"] and line["status"] == r.status, (data, line)


def test_a_head_of_which_a_method_is_known(gw):
    """HEAD is answered without a body, however it was refused."""
    with Raw(gw) as c:
        c.send(head("HEAD", "/v1/models", ": x"))
        reply, reset = c.everything()
        assert reply.startswith(b"HTTP/1.1 400 ") and reply.endswith(b"\r\n\r\n") and not reset, reply


def test_nobody_who_only_connected_is_logged(gw):
    before = gw.access_log.read_text().count("\n")
    for data in (b"", b"\r\n", b"GET /v1/mod"):
        with Raw(gw) as c:
            c.send(data)
    r = sent(gw, head("GET", "/v1/models", ": x"))
    lines_of(gw, [r])
    lines = [json.loads(l) for l in gw.access_log.read_text().splitlines()[before:]]
    assert not [l for l in lines if l["path"] == "/v1/mod"], lines


def test_they_count_for_the_address(mock):
    """As requests without a key; beyond the limit the reason is still the one that helps."""
    with built(mock, LIMIT) as gw:
        for left in range(LIMIT - 1, -1, -1):
            text = FAULTS["a header without a name"][1](("/v1", "/api/v1", "")[left % 3])
            r = sent(gw, text)
            assert (r.status, Limits(r).limit, Limits(r).remaining) == (400, LIMIT, left)
        r = sent(gw, FAULTS["a long head"][1]("/v1"))
        assert r.status == 431 and Limits(r).remaining == 0
        r = gw.ask("GET", "/api/v1/models", key=None)
        assert r.status == 429 and Limits(r).remaining == 0
        # Who has a key is not kept out, and his refusals count for him.
        assert gw.ask("GET", "/v1/models").status == 200


def test_unknown_paths_count_for_the_address(mock):
    """Also those that lie below no surface."""
    with built(mock, LIMIT) as gw:
        for left, path in enumerate(["/", "/favicon.ico", "/v1x", "/nothing", "/v1/nothing"]):
            r = gw.ask("GET", path, key=None)
            assert (r.status, Limits(r).remaining) == (404, LIMIT - 1 - left), (path, r)
        with Raw(gw) as c:
            c.send("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n")
            r = c.read_reply()
        assert r.status == 404 and Limits(r).remaining == LIMIT - 6, r


# ---- The head is known, and the request is refused for it.

@pytest.mark.parametrize("base", ["/v1", "/api/v1", "/api/gateway"])
@pytest.mark.parametrize("status, lines", [
    (413, ["Content-Length: 20001"]), (413, ["Content-Length: 20001", "Expect: 100-continue"]),
    (417, ["Content-Length: 2", "Expect: wonders"])])
def test_known_heads(gw, base, status, lines):
    key = gw.key(team="t", rate_limit=9, name="big")
    for left in (8, 7):
        r = sent(gw, head("POST", base + "/chat/completions", f"Authorization: Bearer {key['key']}", *lines))
        assert r.status == status and set(r.error) == MEMBERS[base], r
        assert (Limits(r).limit, Limits(r).remaining) == (9, left)
    line = lines_of(gw, [r])[0]
    assert (line["key"], line["status"], line["outcome"]) == ("big", status, "failed")
    # Who has no key is told that first.
    r = sent(gw, head("POST", base + "/chat/completions", *lines))
    assert r.status == 401 and Limits(r).limit == 16_000_000


def test_413_gives_the_place_back(gw):
    key = gw.key(team="t", concurrency=1)["key"]
    for _ in range(3):
        r = sent(gw, head("POST", "/v1/chat/completions", f"Authorization: Bearer {key}", "Content-Length: 20001"))
        assert r.status == 413, r
        body = post(b"", "Transfer-Encoding: chunked", length=False, key=key) + chunks(b" " * 30_000, 1000)
        assert sent(gw, body).status == 413
        body = post(b"", "Transfer-Encoding: chunked", length=False, key=key) + b"nothing\r\n"
        assert sent(gw, body).status == 400
    assert gw.chat(key).status == 200
