"""What an upstream says of the gateway's own key, or bill, is for the operator: it stands in the access
log, and the client reads a sentence without it. What it says of the request is the client's alone."""
import json
import time

import pytest

from harness.gateway import model, openai
from harness.govern import Governed
from harness.paths import PATIENCE
from harness.scripted import Upstream, reply

OWN = "sk-proj-gateway-0123456789abcdefXYZ"   # the gateway's
THEIRS = "sk-customer-0123456789abcdefABC"    # the customer's
PROMPT = "a word that nobody else may read"

REFUSALS = {
    "auth": (401, f"Incorrect API key provided: {OWN}. You can find your key in the console."),
    "part": (401, f"The key {OWN[:20]}... of account acct_77 is disabled."),
    "forbidden": (403, "Project proj_42 has no access to this model."),
    "quota": (402, "Your account acct_77 owes 12 dollars."),
    "busy": (503, "The engine is overloaded."),
    "echoed": (503, "No room for: слово, которое никто не прочтёт"),
    "figures": (503, 'No room for: {"name":"Bob","age":5,"town":"Ely"}'),
    "lines": (503, "No room for: bread\nbutter\tmilk\neggs"),
    "twelve": (503, "No room for 'word that no'."),
    "eleven": (503, "No room for 'word that n'."),
    "request": (400, f"Invalid value: '{PROMPT}' is too long."),
}


def answer(request):
    name = request.json()["model"]
    if name == "good":
        return reply(200, {"id": "up-1", "object": "chat.completion", "created": 1, "model": "good",
                           "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"},
                                        "finish_reason": "stop"}],
                           "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
    status, words = REFUSALS[name]
    if name == "auth":  # it says whichever key it was asked with
        words = words.replace(OWN, request.header("Authorization").removeprefix("Bearer "))
    return reply(status, {"error": {"message": words, "type": "some_error", "code": "some_code"}})


@pytest.fixture(scope="module")
def gw():
    with Upstream(answer) as up:
        provider = {**openai(up.url), "api_key": {"env": "THE_GATEWAYS_KEY"}}
        models = {n: model(("up", n)) for n in REFUSALS}
        models["fallback"] = model(("up", "auth"), ("spare", "busy"), ("spare", "good"))
        models["picky"] = model(("picky", "good"))
        picky = {**provider, "options": {**provider["options"], "drop": ["logit_bias"]}}
        with Governed(providers={"up": provider, "spare": provider, "picky": picky}, models=models,
                      env={"THE_GATEWAYS_KEY": OWN}) as g:
            yield g


def line_of(gw, r):
    """The access log's line of that reply; lines are written once a second."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for text in gw.access_log.read_text().splitlines():
            doc = json.loads(text)
            if doc["request_id"] == r.header("X-Request-Id"):
                return doc
        time.sleep(0.05)
    raise AssertionError("no line")


def ask(gw, name, key, stream=False):
    r = gw.chat(key, name, stream=stream, messages=[{"role": "user", "content": PROMPT}])
    return r, r.body.decode(), line_of(gw, r)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name,status,said", [
    ("auth", 502, "Provider 'up' did not accept the gateway's key."),
    ("part", 502, "Provider 'up' did not accept the gateway's key."),
    ("forbidden", 502, "Provider 'up' does not allow the gateway this request."),
    ("quota", 503, "The provider is temporarily unavailable."),
])
def test_words_for_the_operator(gw, name, status, said, stream):
    key = gw.key(team="default")["key"]
    r, body, line = ask(gw, name, key, stream)
    assert (r.status, r.error["message"]) == (status, said)
    for secret in (OWN, OWN[:12], "acct_77", "proj_42", "some_code", "console"):
        assert secret not in body
    upstream_status, words = REFUSALS[name]
    assert line["outcome"] == "failed" and line["status"] == status and line["attempts"] == 1
    assert line["error"].startswith(f"up: HTTP {upstream_status}: ")
    assert OWN[:12] not in line["error"]
    assert line["error"].endswith(words.replace(OWN, "[...]").replace(OWN[:20], "[...]"))


def test_words_for_both(gw):
    r, body, line = ask(gw, "busy", gw.key(team="default")["key"])
    assert r.status == 503 and "The engine is overloaded." in r.error["message"]
    assert line["error"] == "up: HTTP 503: The engine is overloaded."


def test_words_for_the_client(gw):
    """They may quote the request, so no log has them."""
    r, body, line = ask(gw, "request", gw.key(team="default")["key"])
    assert r.status == 400 and r.error["message"] == REFUSALS["request"][1]
    assert line["error"] == "up: HTTP 400: some_code"
    assert PROMPT not in gw.access_log.read_text() and PROMPT not in gw.log()


def test_words_that_a_request_spells_in_escapes(gw):
    """The upstream quotes other bytes than the request's own, where JSON has escapes: for what is not ASCII
    (Python's json.dumps), for quotes, for ends of lines."""
    key = gw.key(team="default")["key"]
    for name in ("echoed", "figures", "lines"):
        said = REFUSALS[name][1].partition(": ")[2]
        r = gw.chat(key, name, messages=[{"role": "user", "content": said}])
        assert (r.status, line_of(gw, r)["error"]) == (503, "up: HTTP 503: some_code")
        assert said not in gw.access_log.read_text()
    # In a request without a word of it, an upstream's words are told as they are.
    line = line_of(gw, gw.chat(key, "figures", messages=[{"role": "user", "content": "\"\n\\"}]))
    assert line["error"] == "up: HTTP 503: " + REFUSALS["figures"][1]


def test_twelve_bytes_in_a_row_are_a_quotation(gw):
    """Wherever they stand in the request; fewer are chance."""
    key = gw.key(team="default")["key"]
    said = {"twelve": "some_code", "eleven": REFUSALS["eleven"][1]}
    asked = [(name, before + PROMPT + behind) for name in said
             for before, behind in (("", ""), ("x" * 11, ""), ("", "y" * 100_000), ("z" * 100_000, ""))]
    replies = [gw.chat(key, name, messages=[{"role": "user", "content": text}]) for name, text in asked]
    for (name, text), r in zip(asked, replies):
        assert line_of(gw, r)["error"] == "up: HTTP 503: " + said[name], (name, len(text))


def test_earlier_attempts_are_told(gw):
    r, body, line = ask(gw, "fallback", gw.key(team="default")["key"])
    assert r.status == 200 and r.header("X-Turnpike-Provider") == "spare"
    assert line["outcome"] == "completed" and line["attempts"] == 3
    assert line["error"].split("; ") == [
        "up: HTTP 401: " + REFUSALS["auth"][1].replace(OWN, "[...]"),
        "spare: HTTP 503: The engine is overloaded."]


def test_a_customer_reads_of_the_own_key(gw):
    """The key is theirs, so the words are; but for the key itself."""
    gw.team("owner")
    key = gw.key(team="owner")["key"]
    gw.api("PUT", "teams/owner/byok/up", {"key": THEIRS})
    for name in ("auth", "forbidden"):
        r, body, line = ask(gw, name, key)
        assert r.status == 502
        assert r.error["message"].endswith(REFUSALS[name][1].replace(OWN, "[...]"))
        assert THEIRS not in body and THEIRS not in line["error"]


def test_no_error_where_all_went_well_and_the_code_where_we_refused(gw):
    good, refused = gw.chat(gw.key(team="default")["key"], "echo"), gw.chat("tp_live_" + "x" * 43, "echo")
    missing = gw.chat(gw.key(team="default")["key"], "nobody")
    assert (good.status, refused.status, missing.status) == (200, 401, 404)
    assert line_of(gw, good)["error"] is None
    assert line_of(gw, refused)["error"] == "invalid_api_key"
    assert line_of(gw, missing)["error"] == missing.error["code"] == "model_not_found"


def test_counters(gw):
    def figures():
        return gw.metrics()

    before, key = figures(), gw.key(team="default")["key"]
    gw.chat(key, "fallback")  # three attempts, two of them fail
    gw.chat(key, "request")   # the request's own fault is no failure of the upstream
    gw.chat(key, "busy")
    # Nor is what was never sent.
    assert gw.chat(key, "picky", headers=[("X-Turnpike-Strict", "true")], logit_bias={"1": 5}).status == 400
    after = figures()

    def grown(name):
        return after["turnpike_" + name] - before["turnpike_" + name]

    assert grown("upstream_attempts_total") == 5
    assert grown("upstream_failures_total") == 3
    assert grown("fallbacks_total") == 2
    end = time.monotonic() + PATIENCE  # workers tell of their connections once a second
    while time.monotonic() < end and grown("upstream_reuses_total") + grown("upstream_connects_total") < 5:
        time.sleep(0.1)
        after = figures()
    assert grown("upstream_reuses_total") + grown("upstream_connects_total") == 5
    assert after["turnpike_connections_refused_total"] == 0
