"""What a client sees when upstreams fail: the status, the words, the next deployment; before the first
byte only, and in time."""
import json
import socket
import time

import pytest

from harness.gateway import Gateway, model, openai
from harness.mock import Mock
from harness.paths import TRANSPORT
from harness.scripted import Upstream, chunked, reply

SHORT = {"connect_ms": 1000, "first_byte_ms": 400, "idle_ms": 400, "total_ms": 5000}


def ask(name, stream=False, **more):
    return {"model": name, "stream": stream, "messages": [{"role": "user", "content": "x"}], **more}


def refused_port():
    """A port that nobody listens to: bound, so that nobody else gets it, but not listening."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s, s.getsockname()[1]


# name: (the mock's model, status of a client whose only deployment this is)
BAD = {
    "s401": ("m?status=401", 502), "s403": ("m?status=403", 502), "s404": ("m?status=404", 502),
    "s402": ("m?status=402", 503), "s408": ("m?status=408", 504), "s429": ("m?status=429&retry_after=7", 429),
    "s500": ("m?status=500", 502), "s502": ("m?status=502", 502), "s503": ("m?status=503", 503),
    "s504": ("m?status=504", 504), "s529": ("m?status=529", 503),
    "close": ("m?fail=close", 502), "reset": ("m?fail=reset", 502), "garbage": ("m?fail=garbage", 502),
    "stall": ("m?fail=stall", 504), "late": ("m?delay_ms=3000", 504), "refused": (None, 503),
}
# These answer something before they fail, so they are failures of a whole reply only.
BAD_WHOLE = {
    "cut": ("m?fail=cut", 502), "cutrst": ("m?fail=cutrst", 502), "freeze": ("m?fail=freeze", 504),
    "cutchunk": ("m?fail=cut&chunked=1&split=50", 502),
}
FINAL = {"s400": ("m?status=400", 400), "s413": ("m?status=413", 400), "s422": ("m?status=422", 400)}


@pytest.fixture(scope="module")
def spare(tmp):
    with Mock(tmp) as m:
        yield m


@pytest.fixture(scope="module")
def gw(mock, spare):
    held, port = refused_port()
    providers = {"up": openai(mock.url, timeouts=SHORT), "spare": openai(spare.url),
                 "gone": openai(f"http://127.0.0.1:{port}/v1", timeouts=SHORT)}
    models = {}
    for name, (upstream, _) in {**BAD, **BAD_WHOLE, **FINAL}.items():
        bad = ("up", upstream) if upstream else ("gone", "m")
        models[name] = model(bad)
        models[name + "-spare"] = model(bad, ("spare", "spare-model"))
    models["all-bad"] = model(*[{"provider": "up", "model": f"m?status=50{i}"} for i in range(5)])
    with held, Gateway(providers=providers, models=models) as g:
        yield g


def assert_error(r, status):
    assert r.status == status, r
    assert r.complete and r.header("Content-Type") == "application/json"
    assert set(r.json()) == {"error"} and set(r.error) >= {"message", "type", "param", "code"}
    assert r.error["message"] and "sk-upstream-secret" not in r.body.decode()
    assert r.header("X-Request-Id")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", [*BAD, *FINAL])
def test_status(gw, name, stream):
    with gw.client() as c:
        begin = time.monotonic()
        r = c.chat(ask(name, stream))
        assert time.monotonic() - begin < 8
        assert_error(r, {**BAD, **FINAL}[name][1])
        assert c.chat(ask("echo")).status == 200  # the connection lives
    if name == "s429":
        assert r.header("Retry-After") == "7"
    if name == "s402":
        assert not any(w in r.body.decode().lower() for w in ("bill", "credit", "payment", "quota", "402"))


@pytest.mark.parametrize("name", BAD_WHOLE)
def test_status_of_half_a_reply(gw, name):
    with gw.client() as c:
        assert_error(c.chat(ask(name)), BAD_WHOLE[name][1])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_fallback(gw, spare, name, stream):
    spare.reset()
    with gw.client() as c:
        r = c.chat(ask(name + "-spare", stream))
    assert r.status == 200, r
    assert r.header("X-Turnpike-Provider") == "spare"
    assert json.loads(spare.last())["model"] == "spare-model"
    if stream:
        assert r.events()[-1] == b"[DONE]" and json.loads(r.events()[0])["model"] == "spare-model"
    else:
        assert r.json()["model"] == "spare-model"


@pytest.mark.parametrize("name", BAD_WHOLE)
def test_fallback_from_half_a_reply(gw, name):
    """Nothing of it went out yet: the next deployment answers."""
    with gw.client() as c:
        r = c.chat(ask(name + "-spare"))
    assert r.status == 200 and r.json()["model"] == "spare-model"


@pytest.mark.parametrize("name", FINAL)
def test_no_fallback_for_what_the_client_did(gw, spare, name):
    spare.reset()
    with gw.client() as c:
        assert_error(c.chat(ask(name + "-spare")), 400)
    assert spare.last() is None


# libcurl gives up bytes that came before a reset, so there it is a failure before the first byte.
AFTER = ["cut", "freeze"] if TRANSPORT == "curl" else ["cut", "cutrst", "freeze"]


@pytest.mark.parametrize("name", AFTER)
def test_no_fallback_after_the_first_byte(gw, spare, name):
    spare.reset()
    with gw.client() as c:
        r = c.chat(ask(name + "-spare", True))
    assert r.status == 200 and r.complete
    assert r.header("X-Turnpike-Provider") == "up"
    assert "error" in json.loads(r.events()[-1]) and b"[DONE]" not in r.events()
    assert spare.last() is None


def test_attempts_are_bounded(gw, mock):
    before = mock.stats()["requests"]
    with gw.client() as c:
        assert_error(c.chat(ask("all-bad")), 502)
    assert mock.stats()["requests"] - before == 3  # routing.max_attempts


# ---- Upstreams that say odd things.


def answers(answer, stream=False, close=False, timeouts=SHORT, **options):
    with Upstream(answer if callable(answer) else lambda r: answer, close=close) as up:
        with Gateway(providers={"up": openai(up.url, timeouts=timeouts, options=options)},
                     models={"m": model("up")}) as g:
            with g.client() as c:
                return c.chat(ask("m", stream))


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'"text"', b"{", b'{"choices":', b"\xff\xfe{}", b"null",
                                  b"<html><title>oops</title></html>"])
@pytest.mark.parametrize("stream", [False, True])
def test_bodies_that_are_no_reply(body, stream):
    assert_error(answers(reply(200, body), stream), 502)


def test_empty_stream():
    assert_error(answers(chunked([]), True), 502)


def test_error_as_first_event_of_a_stream():
    assert_error(answers(chunked([b'data: {"error":{"message":"too busy","type":"rate_limit_error","code":429}}\n\n']),
                         True), 429)


@pytest.mark.parametrize("error, status, words, param", [
    ({"error": {"message": "no such voice", "type": "invalid_request_error", "param": "voice"}}, 400, "no such voice", "voice"),
    ({"error": "plain words"}, 400, "plain words", None),
    ({"detail": "fastapi says no"}, 400, "fastapi says no", None),
    ({"message": "bare", "code": "x"}, 400, "bare", None),
    ([{"error": {"message": "in a list"}}], 400, "in a list", None),
    (b"just text", 400, "just text", None),
])
def test_words_of_a_bad_request_pass(error, status, words, param):
    r = answers(reply(400, error))
    assert_error(r, status)
    assert words in r.error["message"] and r.error["param"] == param


def test_redirects_are_not_followed():
    assert_error(answers(reply(302, b"", headers=[("Location", "http://127.0.0.1:1/")])), 502)


def test_informational_heads_are_passed_over():
    ok = reply(200, {"id": "x", "object": "chat.completion", "created": 1, "model": "u", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]})
    r = answers(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok)
    assert r.status == 200 and r.json()["choices"][0]["message"]["content"] == "hi"


def test_reply_without_length_until_close():
    ok = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "u", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}).encode()
    r = answers(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + ok, close=True)
    assert r.status == 200 and r.json()["choices"][0]["message"]["content"] == "hi"


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
    b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 200000 + b"\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 99 No\r\n\r\n",
])
def test_http_that_is_wrong(head):
    assert_error(answers(head, close=True), 502)


def test_a_kept_connection_that_died_is_replaced():
    """The upstream closes after each reply without saying so: no client notices."""
    ok = reply(200, {"id": "x", "object": "chat.completion", "created": 1, "model": "u", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]})
    with Upstream(lambda r: ok, close=True) as up:
        with Gateway(providers={"up": openai(up.url)}, models={"m": model("up")}) as g, g.client() as c:
            for i in range(30):
                assert c.chat(ask("m")).status == 200, i
                if i % 3 == 0:
                    time.sleep(0.02)
        assert len(up.requests) == 30


def test_total_timeout():
    """A stream that never stops talking still ends."""
    drip = [chunked([])[:-5]] + [b"%x\r\n%s\r\n" % (len(e), e) if not isinstance(e, float) else e
                                for i in range(100)
                                for e in (b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n', 0.1)]
    begin = time.monotonic()
    r = answers(lambda _: drip, True, timeouts={"total_ms": 1000})
    assert 0.9 < time.monotonic() - begin < 6
    assert r.status == 200 and r.complete and "error" in json.loads(r.events()[-1])
    assert b"[DONE]" not in r.events() and len(r.events()) > 3


def test_unresolvable_and_unroutable():
    for url in ("http://no-such-host.invalid/v1",):
        with Gateway(providers={"up": openai(url, timeouts=SHORT)}, models={"m": model("up")}) as g, g.client() as c:
            assert_error(c.chat(ask("m")), 503)
