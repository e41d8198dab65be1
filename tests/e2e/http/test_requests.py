"""What a well-behaved client may do: keep-alive, pipelining, bodies of every shape, and the statuses
that it is answered with."""
import json
import re
import time

import pytest

from harness.gateway import Gateway, KEY, model, openai
from harness.raw import CHAT, Raw, chat, chunks, get, post


@pytest.fixture(scope="module")
def gw(mock):
    with Gateway(providers={"up": openai(mock.url),
                            "late": {"plugin": "echo", "options": {"delay_ms": 150}}},
                 models={"m": model(("up", "real")), "slow": model(("up", "real?delay_ms=120")),
                         "late": model("late")}) as g:
        yield g


@pytest.fixture
def c(gw):
    with Raw(gw) as raw:
        yield raw


def content(reply):
    assert reply.status == 200, reply
    return reply.json()["choices"][0]["message"]["content"]


def test_keep_alive(c):
    for i in range(20):
        assert content(c.send(post(chat(f"turn {i}"))).read_reply()) == f"turn {i}"
        assert c.send(get()).read_reply().json()["status"] == "ok"


def test_connection_close_is_kept(c):
    r = c.send(get("/healthz", "Connection: close")).read_reply()
    assert r.status == 200 and r.header("connection") == "close"
    assert c.ended()


def test_http_1_0(gw):
    with Raw(gw) as c:
        r = c.send(get(version="1.0")).read_reply()
        assert r.status == 200 and r.header("connection") == "close" and r.header("content-length")
        assert c.ended()
    with Raw(gw) as c:
        for _ in range(3):
            r = c.send(get("/healthz", "Connection: keep-alive", version="1.0")).read_reply()
            assert r.header("connection") == "keep-alive"
    with Raw(gw) as c:  # a stream: no chunks, the end is the end of the connection
        r = c.send(post(chat(stream=True), version="1.0")).read_reply()
        assert r.header("transfer-encoding") is None and r.header("connection") == "close"
        assert r.events()[-1] == b"[DONE]"


def test_pipelined_in_order(c):
    c.send(b"".join(post(chat(f"n{i}")) for i in range(50)))
    assert [content(c.read_reply()) for _ in range(50)] == [f"n{i}" for i in range(50)]


def test_pipelined_slow_ones_hold_their_place(c):
    wish = []
    for i in range(12):
        wish.append((b"m", chat(model="m"))[1] if i % 4 == 0 else
                    chat(model="slow") if i % 4 == 1 else chat(f"n{i}", "late") if i % 4 == 2 else
                    chat(f"n{i}"))
    c.send(b"".join(post(w) for w in wish))
    for w in wish:
        got = c.read_reply()
        assert got.status == 200, got
        if w["model"] in ("echo", "late"):
            assert content(got) == w["messages"][0]["content"]
        else:
            assert got.json()["model"].startswith("real")


def test_pipelined_thousand(c):
    c.send(get() * 1000)
    for _ in range(1000):
        assert c.read_reply().status == 200


def test_pipelined_thousand_behind_a_slow_one(c):
    c.send(post(chat(model="slow")) + get() * 1000)
    assert c.read_reply().status == 200
    for _ in range(1000):
        assert c.read_reply().status == 200


def test_pipelined_more_than_is_kept_ahead(c):
    """Requests beyond what the gateway reads ahead wait in the socket and lose nothing."""
    n = 120
    big = [chat(f"{i} " + "x" * 4000, "late" if i % 40 == 0 else "echo") for i in range(n)]
    import threading
    t = threading.Thread(target=lambda: c.send(b"".join(post(b) for b in big)))
    t.start()
    for i in range(n):
        assert content(c.read_reply()).startswith(f"{i} ")
    t.join()


def test_pipelined_bytewise(c):
    c.send(get() + post(chat("one")) + get(), pieces=1)
    assert c.read_reply().status == 200
    assert content(c.read_reply()) == "one"
    assert c.read_reply().status == 200


def test_pipelined_refusals_do_not_lose_their_place(c):
    wrong = post(chat("x"), key="tp_live_" + "0" * 40)
    c.send(wrong + post(b"{no json") + get("/nowhere") + post(chat("last")))
    assert [c.read_reply().status for _ in range(4)] == [401, 400, 404, 200]


def test_stray_line_ends_between_requests(c):
    c.send(post(chat("a")) + b"\r\n" + post(chat("b")))
    assert [content(c.read_reply()) for _ in range(2)] == ["a", "b"]


@pytest.mark.parametrize("size", [1, 2, 7, 100, 100000])
def test_chunked_bodies(c, size):
    body = json.dumps(chat("in chunks")).encode()
    head = post(b"", "Transfer-Encoding: chunked", length=False)
    for _ in range(2):  # and the connection is good for another one
        assert content(c.send(head + chunks(body, size)).read_reply()) == "in chunks"


def test_chunked_bytewise_with_extensions_and_trailers(c):
    body = json.dumps(chat("bit by bit")).encode()
    data = post(b"", "Transfer-Encoding: chunked", length=False) + chunks(
        body, 11, extension=';name="value";x', trailers="X-Sum: 12\r\nX-More: y\r\n")
    assert content(c.send(data, pieces=1).read_reply()) == "bit by bit"
    assert content(c.send(data + get()).read_reply()) == "bit by bit"
    assert c.read_reply().status == 200


def test_chunked_large(c):
    text = "long " * 100_000
    body = json.dumps(chat(text)).encode()
    c.send(post(b"", "Transfer-Encoding: chunked", length=False) + chunks(body, 30_001))
    assert content(c.read_reply()) == text


def interim(c):
    while b"\r\n\r\n" not in c.rest:
        assert c._more()
    head, _, c.rest = c.rest.partition(b"\r\n\r\n")
    return head


def test_expect_continue(c):
    request = post(chat("asked first"), "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    c.send(head + b"\r\n\r\n")
    assert interim(c) == b"HTTP/1.1 100 Continue"
    assert c.silent(0.1)
    assert content(c.send(body).read_reply()) == "asked first"
    assert content(c.send(post(chat("next"))).read_reply()) == "next"


def test_expect_continue_after_admission_only(gw):
    for lines, path, key, status in [((), CHAT, "tp_live_" + "0" * 40, 401), ((), "/v1/nowhere", KEY, 404),
                                     (("Content-Type: text/plain",), CHAT, KEY, 415)]:
        with Raw(gw) as c:
            text = f"POST {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n"
            text += "".join(l + "\r\n" for l in lines)
            c.send(text + "Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n")
            assert interim(c).startswith(f"HTTP/1.1 {status} ".encode())
            assert c.everything()[1] is False


def test_expectation_unknown(c):
    c.send(post(chat(), "Expect: a-miracle"))
    r = c.read_reply()
    assert r.status == 417 and r.error["message"]
    assert c.ended()


def test_head(c):
    want = c.send(get()).read_reply()
    for _ in range(3):
        r = c.send(get().replace(b"GET", b"HEAD")).read_reply(is_head=True)
        assert r.status == 200 and abs(int(r.header("content-length")) - len(want.body)) <= 2
    r = c.send(get("/v1/models").replace(b"GET", b"HEAD")).read_reply(is_head=True)
    assert int(r.header("content-length")) == len(c.send(get("/v1/models")).read_reply().body)
    r = c.send(get("/v1/nowhere").replace(b"GET", b"HEAD")).read_reply(is_head=True)
    assert r.status == 404 and c.send(get()).read_reply().status == 200


def test_head_of_a_post_only_path(c):
    r = c.send(get(CHAT).replace(b"GET", b"HEAD")).read_reply(is_head=True)
    assert r.status == 405 and r.header("allow") == "POST" and int(r.header("content-length")) > 10
    assert c.send(get()).read_reply().status == 200


def test_forms_of_a_target(c):
    """Absolute form is what a proxy may send; the path is what counts. Queries are no part of it."""
    assert c.send(get("http://t/healthz")).read_reply().status == 200
    assert c.send(get("/healthz?a=b&c")).read_reply().status == 200
    assert c.send(get("/healthz?")).read_reply().status == 200
    assert c.send(get("*").replace(b"GET", b"OPTIONS")).read_reply().status in (404, 405)
    assert c.send(get("/v1/%6dodels")).read_reply().status == 404  # paths are not decoded behind one's back
    assert c.send(get("/v1/../healthz")).read_reply().status == 404


def assert_envelope(r):
    e = r.error
    assert set(e) == {"message", "type", "param", "code"} and e["message"] and e["type"], r
    assert r.header("content-type") == "application/json" and r.header("x-request-id")
    assert int(r.header("content-length")) == len(r.body) or r.header("connection") == "close"


def raw_reply(c, data):
    r = c.send(data).read_reply()
    assert_envelope(r)
    return r


def test_404(c):
    for path in ["/", "/v1", "/v1/", "/v1/chat", CHAT + "/", "/v2/chat/completions", "/V1/models", "/v1x"]:
        assert raw_reply(c, get(path)).status == 404, path


def test_405_with_allow(c):
    r = raw_reply(c, get(CHAT))
    assert r.status == 405 and r.header("allow") == "POST"
    r = raw_reply(c, post(chat(), path="/v1/models"))
    assert r.status == 405 and r.header("allow") == "GET, HEAD"
    r = raw_reply(c, get(CHAT).replace(b"GET", b"DELETE"))
    assert r.status == 405 and r.header("allow") == "POST"


def test_411(c):
    r = raw_reply(c, post(b"", length=False))
    assert r.status == 411


def test_415(c):
    for type_, status in [("text/plain", 415), ("application/x-www-form-urlencoded", 415),
                          ("application/json; charset=utf-8", 200), ("application/ld+json", 200),
                          ("APPLICATION/JSON", 200)]:
        r = c.send(post(chat()).replace(b"application/json", type_.encode())).read_reply()
        assert r.status == status, type_
    assert raw_reply(c, post(chat(), "Content-Encoding: gzip")).status == 415
    assert c.send(post(chat(), "Content-Encoding: identity")).read_reply().status == 200


def test_method_and_version_unknown(gw):
    for data, status in [(b"FETCH / HTTP/1.1\r\nHost: t\r\n\r\n", 501), (b"GET / HTTP/2.0\r\nHost: t\r\n\r\n", 505),
                         (b"GET / HTTP/1.1\r\n\r\n", 400), (b"nonsense\r\n\r\n", (400, 501)),
                         (b"GET /\r\n\r\n", (400, 505)), (b"\x16\x03\x01\x02\x00\x01\x00", (400, 501))]:
        with Raw(gw) as c:
            r = c.send(data).read_reply()
            assert_envelope(r)
            assert r.status in (status if isinstance(status, tuple) else (status,)), data
            assert r.header("connection") == "close" and c.ended()


def test_request_id(c):
    r = c.send(get("/healthz", "X-Request-Id: my-own/id:7")).read_reply()
    assert r.header("x-request-id") == "my-own/id:7"
    r = c.send(post(chat(), "X-Request-Id: of-a-chat")).read_reply()
    assert r.header("x-request-id") == "of-a-chat"
    seen = set()
    for line in [None, "X-Request-Id: two words", "X-Request-Id: " + "x" * 129, 'X-Request-Id: quo"te',
                 "X-Request-Id: caf\xe9", "X-Request-Id:"]:
        r = c.send(get("/healthz", *([line] if line else []))).read_reply()
        assert re.fullmatch(r"req-[0-9a-f]{16,}", r.header("x-request-id")), line
        seen.add(r.header("x-request-id"))
    assert len(seen) == 6


def test_early_answer_arrives_while_the_body_is_on_its_way(gw):
    for size in (100_000, 900_000, 8_000_000):
        with Raw(gw) as c:
            data = post(b"x" * size, key="tp_live_" + "0" * 40)
            c.send(data)
            r = c.read_reply()
            assert r.status == 401 and r.error["message"]
            if r.header("connection") != "close":  # small enough to be read away
                assert content(c.send(post(chat("after"))).read_reply()) == "after"
            else:
                assert size > 1_000_000


def test_early_answer_slow_body(gw):
    """The rest of a refused body trickles in after the answer; the next request is still found."""
    with Raw(gw) as c:
        data = post(b"x" * 5000, key="tp_live_" + "0" * 40)
        c.send(data[:1000])
        assert c.read_reply().status == 401
        c.send(data[1000:], pieces=777)
        assert content(c.send(post(chat("found"))).read_reply()) == "found"


def test_body_of_a_get_is_no_request(c):
    smuggled = get("/v1/nowhere")
    c.send(get("/healthz", f"Content-Length: {len(smuggled)}") + smuggled + post(chat("own")))
    assert c.read_reply().status == 200
    assert content(c.read_reply()) == "own"


def test_header_injection_is_impossible(c):
    for evil in ["a%0d%0aX-Evil:%201", "a\u0000b"]:
        r = c.send(get("/v1/models/" + evil.replace("\u0000", "%00"))).read_reply()
        assert r.status == 404 and r.header("x-evil") is None
    for text in ["x\r\nX-Evil: 1", "x\nX-Evil: 1", "\u0000"]:
        r = c.send(post(chat(model=text))).read_reply()
        assert r.status in (400, 404) and r.header("x-evil") is None
        r = c.send(post({**chat(), text: 1})).read_reply()
        assert r.header("x-evil") is None


def test_large_bodies_and_replies(gw):
    with Raw(gw, timeout=60) as c:
        text = "y" * 1_000_000
        assert content(c.send(post(chat(text))).read_reply()) == text
    with Raw(gw, timeout=60) as c:
        body = json.dumps(chat("z" * (32 * 1024 * 1024 - 200), "m")).encode()
        assert len(body) < 32 * 1024 * 1024
        r = c.send(post(body)).read_reply()
        assert r.status == 200, r
        assert c.send(get()).read_reply().status == 200


def test_large_reply_from_upstream(mock):
    with Gateway(providers={"up": openai(mock.url)},
                 models={"big": model(("up", "m?size=1048576")),
                         "parts": model(("up", "m?size=1048576&chunked=1"))}) as g:
        for name in ("big", "parts"):
            with Raw(g) as c:
                for _ in range(3):
                    r = c.send(post(chat(model=name))).read_reply()
                    assert r.status == 200 and len(r.body) >= 1_000_000 and r.json()["model"]


def test_access_log_has_every_request(gw):
    before = gw.access_log.read_text().count("\n")
    with Raw(gw) as c:
        c.send(get() * 3 + post(b"no json") + get("/nowhere"))
        for _ in range(5):
            c.read_reply()
    end = time.monotonic() + 10
    while time.monotonic() < end and gw.access_log.read_text().count("\n") < before + 5:
        time.sleep(0.05)
    assert gw.access_log.read_text().count("\n") >= before + 5
