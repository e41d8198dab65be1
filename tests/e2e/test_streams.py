"""Streams through the daemon: event by event what the upstream sent, but for what is documented; and
an end that tells the truth, however the upstream ends."""
import json
import re
import signal
import time

import pytest

from harness.client import Client, dechunk, events_of
from harness.gateway import Gateway, model, openai
from harness.mock import Mock
from harness.paths import PATIENCE, SANITIZED, TRANSPORT
from harness.scripted import Upstream, chunked

SHORT = {"connect_ms": 2000, "first_byte_ms": 1000, "idle_ms": 500, "total_ms": 20000}


def name_of(mode):
    """A model id for a way of the mock to answer."""
    return mode.replace("=", "-").replace("&", ".")


def ask(mode, **more):
    return {"model": name_of(mode), "stream": True, "messages": [{"role": "user", "content": "x"}], **more}


def modes(*names):
    return {name_of(n): model(("up", "m?" + n)) for n in names}


FAILURES = ["fail=cut", "fail=cutrst", "fail=drop", "fail=nodone", "fail=error", "fail=freeze"]
FINE = ["chunks=1", "chunks=20&split=1", "chunks=40&split=7", "chunks=300&chunk_bytes=2000", "chunks=3&pace_ms=50"]


@pytest.fixture(scope="module")
def gw(mock):
    with Gateway(providers={"up": openai(mock.url, timeouts=SHORT)},
                 models=modes(*FAILURES, *FINE, "fail=huge", "fail=huge&pace_ms=0", "chunks=100&pace_ms=20",
                              "chunks=100&pace_ms=50", *[f + "&after=3" for f in FAILURES])) as g:
        yield g


def direct(mock, mode, **more):
    with Client("127.0.0.1", mock.port) as c:
        return c.chat({**ask(mode, **more), "model": "m?" + mode}).events()


# ---- What arrives is what was sent.


@pytest.mark.parametrize("name", FINE)
@pytest.mark.parametrize("usage", [False, True])
def test_events_are_the_upstreams(gw, mock, name, usage):
    with gw.client() as c:
        r = c.chat(ask(name, **({"stream_options": {"include_usage": True}} if usage else {})))
    assert r.status == 200 and r.complete
    assert r.header("Content-Type").startswith("text/event-stream")
    got, want = r.events(), direct(mock, name, stream_options={"include_usage": True})
    assert got[-1] == want[-1] == b"[DONE]"
    ids = {re.match(rb'\{"id":"([^"]*)"', e).group(1) for e in got[:-1]}
    assert len(ids) == 1 and ids.pop().startswith(b"chatcmpl-")

    def without_id(e):
        return re.sub(rb'^\{"id":"[^"]*"', b'{"id":""', e)

    want = [without_id(e) for e in want]
    if not usage:  # the frame of usage goes, and the nulls that stand in the others
        want = [e.replace(b',"usage":null', b"") for e in want if b'"choices":[]' not in e]
    assert [without_id(e) for e in got] == want


def scripted(events, usage=True, **chunk):
    """What a client gets of an upstream that sends these events (bytes of the stream)."""
    with Upstream(lambda r: chunked([events] if isinstance(events, bytes) else events, **chunk)) as up:
        with Gateway(providers={"up": openai(up.url, timeouts=SHORT)}, models={"m": model("up")}) as g:
            with g.client() as c:
                return c.chat(ask("m", stream_options={"include_usage": usage}))


def frame(members, delta='{"content":"x"}', finish="null"):
    return ('{"id":"up-1",%s"choices":[{"index":0,"delta":%s,"finish_reason":%s}]}' % (members, delta, finish)).encode()


END = frame("", "{}", '"stop"')


def test_bytes_of_a_frame_are_kept():
    """Key order, spelling of numbers, escapes, unknown members, space within a frame."""
    frames = [frame(' "z" : 1.0 , "a":1E2,"seed":18446744073709551615, "t":"\\u00e9\\/\u00e9",'),
              frame('"provider":"P","x":{"deep":[1,{}]},', '{"content":"","reasoning_content":"hm","new":[]}'), END]
    r = scripted([b"data: " + f + b"\n\n" for f in frames] + [b"data: [DONE]\n\n"])
    own = json.loads(r.events()[0])["id"]
    assert r.events() == [f.replace(b'"up-1"', json.dumps(own).encode()) for f in frames] + [b"[DONE]"]
    assert own != "up-1"


@pytest.mark.parametrize("stream", [
    b"data: %s\r\n\r\ndata: %s\r\n\r\ndata: [DONE]\r\n\r\n",              # CRLF
    b"data:%s\rdata:\r\rdata:%s\r\rdata:[DONE]\r\r",                       # CR, no space, empty data
    b"\xef\xbb\xbfdata: %s\n\ndata: %s\n\ndata: [DONE]\n\n",               # BOM
    b": comment\n\ndata: %s\n\n: ping\n\nid: 7\nretry: 10\ndata: %s\n\n: x\ndata: [DONE]\n\n",
    b"event: message\ndata: %s\n\nevent: message\ndata: %s\n\ndata: [DONE]\n\n",
    b"data: %s\n\ndata: %s\n\ndata: [DONE]\n\ndata: after\n\n",            # what follows the end is nobody's
    b"data: %s\n\ndata: %s\n\ndata: [DONE]\n",                              # no last blank line
    b"data: %s\n\ndata: %s\n\ndata: [DONE]",
])
def test_every_way_to_write_a_stream(stream):
    first = frame("")
    r = scripted([bytes([b]) for b in stream % (first, END)])
    got = r.events()
    assert r.complete and got[-1] == b"[DONE]", r
    assert [json.loads(e)["choices"] for e in got[:-1]] == [json.loads(f)["choices"] for f in (first, END)]


def test_finish_without_done_is_complete():
    """Some upstreams never say [DONE]; the reason to finish says that all was said."""
    r = scripted([b"data: " + frame("") + b"\n\n", b"data: " + END + b"\n\n"])
    assert r.events()[-1] == b"[DONE]" and len(r.events()) == 3


def test_whole_reply_to_a_stream_request():
    """An upstream that does not stream is streamed for."""
    body = {"id": "u", "object": "chat.completion", "created": 1, "model": "up", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "all at once"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}}
    r = scripted([json.dumps(body).encode()], content_type="application/json")
    got = r.events()
    assert r.header("Content-Type").startswith("text/event-stream") and got[-1] == b"[DONE]"
    docs = [json.loads(e) for e in got[:-1]]
    assert "".join(c["delta"].get("content") or "" for d in docs for c in d["choices"]) == "all at once"
    assert docs[-1]["usage"]["total_tokens"] == 4


def test_chunks_pass_as_they_come(gw):
    """Nothing is gathered: the first event is there long before the last."""
    with gw.client() as c:
        begin = time.monotonic()
        c.send_request("POST", "/v1/chat/completions", json.dumps(ask("chunks=100&pace_ms=50")).encode())
        assert c.read_head()[0] == 200
        while b"data:" not in c.rest:
            c._more()
        assert time.monotonic() - begin < 2.5  # of the five seconds that the whole takes


# ---- Ends.


def assert_error_end(r, some_content):
    """A stream that began and was not finished: well-formed, an error last, never [DONE]."""
    assert r.status == 200 and r.complete, r
    got = r.events()
    assert b"[DONE]" not in got
    last = json.loads(got[-1])
    assert set(last) == {"error"} and last["error"]["message"] and last["error"]["type"], last
    docs = [json.loads(e) for e in got[:-1]]
    assert not any(c["finish_reason"] for d in docs for c in d["choices"])
    if some_content:
        assert any(c["delta"].get("content") for d in docs for c in d["choices"])
    assert "sk-upstream-secret" not in r.body.decode()


@pytest.mark.parametrize("name", FAILURES + [f + "&after=3" for f in FAILURES])
def test_failure_in_the_middle(gw, name):
    with gw.client() as c:
        r = c.chat(ask(name))
        if TRANSPORT == "curl" and "cutrst" in name and r.status == 502:
            assert r.error  # libcurl gives up bytes that came before a reset
        else:
            assert_error_end(r, True)
        # the connection is good for more
        assert c.chat({"model": "echo", "messages": [{"role": "user", "content": "on"}]}).status == 200


@pytest.mark.parametrize("bad", [b"data: {not json\n\n", b"data: \xff\xfe\n\n", b"data: [1]\n\n", b"data: 5\n\n",
                                 b'data: {"a":1,"a":2}\n\n'])
def test_garbage_in_the_middle(bad):
    r = scripted([b"data: " + frame("") + b"\n\n", bad, b"data: " + END + b"\n\ndata: [DONE]\n\n"])
    assert_error_end(r, True)


def test_error_words_of_the_upstream_pass():
    r = scripted([b"data: " + frame("") + b"\n\n",
                  b'data: {"error":{"message":"model overloaded","type":"overloaded_error","code":503}}\n\n'])
    assert_error_end(r, True)
    assert "overloaded" in json.loads(r.events()[-1])["error"]["message"]


def test_silence_is_noticed_in_time(gw):
    with gw.client() as c:
        begin = time.monotonic()
        assert_error_end(c.chat(ask("fail=freeze")), True)
        assert 0.4 < time.monotonic() - begin < 10


# ---- The client's side.


def wait_until(true, seconds=10, what="it"):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def test_client_that_leaves_cancels_the_upstream(tmp):
    with Mock(tmp) as mock, Gateway(providers={"up": openai(mock.url)},
                                    models=modes("chunks=10000&pace_ms=20")) as gw:
        c = gw.client()
        c.send_request("POST", "/v1/chat/completions", json.dumps(ask("chunks=10000&pace_ms=20")).encode())
        c.read_head()
        assert mock.stats()["streams_open"] == 1
        c.close()
        wait_until(lambda: mock.stats()["aborted"] == 1, what="the upstream's end")
        wait_until(lambda: gw.status()["exchanges"] == 0, what="the exchange's end")
        assert gw.metrics()['turnpike_outcomes_total{outcome="cancelled"}'] == 1


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024


def test_client_that_does_not_read_costs_little(gw, mock):
    """A stream without end is paused at the upstream, not gathered here."""
    clients = [gw.client() for _ in range(8)]
    try:
        before = rss(gw.pid)
        for c in clients:
            c.send_request("POST", "/v1/chat/completions", json.dumps(ask("fail=huge")).encode())
        sent = 0
        end = time.monotonic() + PATIENCE  # until the sockets' own buffers are full
        while (now := mock.stats()["bytes_out"]) - sent > 4096:  # the answers to this count, too
            assert time.monotonic() < end, "the upstream was not paused"
            sent = now
            time.sleep(0.5)
        assert sent > 1 << 20
        assert rss(gw.pid) - before < (200 if SANITIZED else 24) << 20
    finally:
        for c in clients:
            c.close()


def test_pipelined_after_a_stream(gw):
    """The next request on the connection waits for the stream's end, and is then answered."""
    one = json.dumps(ask("chunks=3&pace_ms=50")).encode()
    two = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "second"}]}).encode()
    with gw.client() as c:
        c.send_request("POST", "/v1/chat/completions", one)
        c.send_request("POST", "/v1/chat/completions", two)
        assert c.read_reply().events()[-1] == b"[DONE]"
        assert c.read_reply().json()["choices"][0]["message"]["content"] == "second"


def test_streams_live_through_reload_and_drain(mock):
    """A reload changes nothing for a stream in flight; SIGTERM lets it finish."""
    with Gateway(providers={"up": openai(mock.url)}, models=modes("chunks=100&pace_ms=20")) as gw:
        c = gw.client()
        c.send_request("POST", "/v1/chat/completions", json.dumps(ask("chunks=100&pace_ms=20")).encode())
        assert c.read_head()[0] == 200
        gw.snippet("50-test.json", json.loads((gw.conf_d / "50-test.json").read_text())
                   | {"providers": {"echo": {"plugin": "echo"}}, "models": {"echo": model("echo")}})
        gw.reload()
        with gw.client() as other:
            assert other.chat(ask("chunks=100&pace_ms=20")).status == 404
        gw.child.proc.terminate()
        data, rest = dechunk(c.rest)
        while rest is None and c._more():
            data, rest = dechunk(c.rest)
        assert rest is not None, "the drain cut the stream"
        assert events_of(data)[-1] == b"[DONE]" and len(events_of(data)) > 100
        c.close()


def test_signals_until_the_end_change_nothing(mock):
    """SIGTERM again and again, also while the last things are put away: a clean end, exit code 0."""
    for _ in range(5):
        gw = Gateway(providers={"up": openai(mock.url)}, models=modes("chunks=1")).start()
        child = gw.child
        while child.proc.poll() is None:
            child.proc.send_signal(signal.SIGTERM)
            time.sleep(0.0005)
        gw.stop()  # asserts exit code 0
