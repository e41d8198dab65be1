"""The reference documents' own examples, pasted: only host and key are replaced. And OpenAI's own SDK, with a
key that was made."""
import json
import threading
import time

import openai as sdk
import pytest

from harness.acme import PRICE, acme
from harness.govern import priced, together, upstream, user
from harness.printed import AIROUTER, CAILOS, KAIROSROUTE, KILO


@pytest.fixture(scope="module")
def gw(mock, upstreams):
    with acme(mock, upstreams) as g:
        yield g


def test_examples_of_airouter(gw):
    """A-4, A-53, A-61..A-66, A-68."""
    key = gw.key(team="acme", surface="airouter", role="management")["key"]
    status, body = gw.bash(AIROUTER["chat"], key)
    assert status == 200 and json.loads(body)["id"].startswith("gen-"), body
    id = json.loads(body)["id"]
    status, body = gw.bash(AIROUTER["generation"], key, [("gen-abc123", id)])
    assert status == 200 and json.loads(body)["id"] == id and json.loads(body)["status"] == "completed"
    assert gw.bash(AIROUTER["generation"], key)[0] == 404
    status, body = gw.bash(AIROUTER["credits"], key)
    assert status == 200 and set(json.loads(body)["data"]) == {"total_credits", "total_usage", "remaining"}
    status, body = gw.bash(AIROUTER["make"], key)
    doc = json.loads(body)
    assert status == 201 and doc["name"] == "production-backend" and doc["rate_limit"] == 100
    assert gw.bash(AIROUTER["chat"], doc["key"])[0] == 200 and "X-RateLimit-Limit: 100" in gw.curl_head
    status, body = gw.bash(AIROUTER["list"], key)
    assert status == 200 and doc["id"] in {k["id"] for k in json.loads(body)["data"]}
    assert gw.bash(AIROUTER["delete"], key, [("key_id_here", doc["id"])])[0] == 200
    assert gw.bash(AIROUTER["chat"], doc["key"])[0] == 401
    assert gw.bash(AIROUTER["delete"], key)[0] == 404
    assert gw.bash(AIROUTER["models"], key)[0] == 200


def test_examples_of_kairosroute(gw):
    """K-1, K-10, K-35..K-42."""
    key = gw.key(team="acme", surface="kairosroute")["key"]
    # The first example has no body, so it is a GET: the key passes, the method does not.
    assert gw.bash(KAIROSROUTE["authenticate"], key)[0] == 405
    assert gw.bash(KAIROSROUTE["authenticate"], "kr_live_" + "x" * 43)[0] == 401
    status, body = gw.bash(KAIROSROUTE["make"], key)
    doc = json.loads(body)
    assert status == 201 and doc["name"] == "Production Key" and doc["key"].startswith("kr_live_")
    status, body = gw.bash(KAIROSROUTE["chat"], doc["key"])
    assert status == 200 and json.loads(body)["id"].startswith("chatcmpl-"), body
    assert gw.bash(KAIROSROUTE["models"], doc["key"])[0] == 200
    status, body = gw.bash(KAIROSROUTE["list"], key)
    assert status == 200 and doc["id"] in {k["id"] for k in json.loads(body)["data"]}
    assert gw.bash(KAIROSROUTE["delete"], key)[0] == 404
    assert gw.bash(KAIROSROUTE["delete"], key, [("key_123abc", doc["id"])])[0] == 200
    assert gw.bash(KAIROSROUTE["chat"], doc["key"])[0] == 401


def test_example_of_kilo(gw):
    """Ki-27."""
    status, body = gw.bash(KILO["chat"], gw.key(team="acme")["key"])
    assert status == 200 and json.loads(body)["model"] == "anthropic/claude-sonnet-4.5", body


def test_examples_of_cailos(gw):
    """C-9, C-10: the document's base URL is blank; it is put in front of the paths."""
    key = gw.key(team="acme", surface="cailos")["key"]
    assert key.startswith("cai_")
    here = [("curl /", f"curl {gw.url}/v1/")]
    status, body = gw.bash(CAILOS["chat"], key, here)
    assert status == 200 and json.loads(body)["object"] == "chat.completion"
    status, body = gw.bash(CAILOS["models"], key, here)
    assert status == 200 and "gpt-4o" in {m["id"] for m in json.loads(body)["data"]}


# ---- OpenAI's own SDK, with a key that was made.

def test_sdk(gw):
    gw.team("broke")
    gw.team("strict", billing="postpaid", policy={"deny_models": ["m"]})
    limited = gw.key(team="acme", rate_limit=1)["key"]

    def client(key, **more):
        return sdk.OpenAI(base_url=gw.base_url, api_key=key, timeout=20, **{"max_retries": 0, **more})

    def raised(kind, key, status, code):
        with client(key) as c, pytest.raises(kind) as e:
            c.chat.completions.create(model="m", messages=user())
        assert e.value.status_code == status and e.value.code == code and e.value.type
        return e.value

    with client(limited) as c:
        assert c.chat.completions.create(model="m", messages=user()).usage.total_tokens == 18
    error = raised(sdk.RateLimitError, limited, 429, "rate_limit_exceeded")
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    raised(sdk.AuthenticationError, "tp_live_" + "z" * 43, 401, "invalid_api_key")
    raised(sdk.PermissionDeniedError, gw.key(team="strict")["key"], 403, "policy_denied")
    raised(sdk.PermissionDeniedError, gw.key(models=["other"])["key"], 403, "model_not_allowed")
    error = raised(sdk.APIStatusError, gw.key(team="broke")["key"], 402, "insufficient_credits")
    assert error.body["message"] == "Insufficient credits. Please add funds to your account."


def test_sdk_waits_as_it_is_told(gw, mock):
    """The 429 of a limit on requests at the same time says to come again in a second; the SDK does."""
    key = gw.key(team="acme", concurrency=1)["key"]
    slow = {"model": "slow", "messages": user(), "stream": True}
    gw.snippet("60-slow.json", {"models": {"slow": priced("up", PRICE, upstream(pace_ms=50, chunks=20))}})
    gw.reload()
    begun = threading.Event()

    def work(i):
        if i == 0:
            with gw.client(key=key) as c:
                c.send_request("POST", "/v1/chat/completions", json.dumps(slow).encode())
                assert c.read_head()[0] == 200
                begun.set()
                while b"data: [DONE]" not in c.rest:
                    assert c._more()
            return
        with sdk.OpenAI(base_url=gw.base_url, api_key=key, timeout=20, max_retries=2) as c:
            assert begun.wait(20)  # the other one is under way
            begin = time.monotonic()
            assert c.chat.completions.create(model="m", messages=user()).choices
            return time.monotonic() - begin

    took = together(2, work)[1]
    assert 0.9 < took < 5, took  # not at once, and not its own half a second
