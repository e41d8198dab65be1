"""The reference documents' own examples, pasted: only host and key are replaced. And OpenAI's own SDK, with a
key that was made."""
import json
import time

import openai as sdk
import pytest

from harness.acme import PRICE, acme
from harness.govern import priced, together, upstream, user


@pytest.fixture(scope="module")
def gw(mock, upstreams):
    with acme(mock, upstreams) as g:
        yield g


AIROUTER = {
    "chat": '''curl https://api.airouter.kz/api/v1/chat/completions \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer air_live_your_key_here" \\
-d '{
"model": "google/gemini-3-pro",
"messages": [
{"role": "user", "content": "Summarize the OpenAI Chat Completions schema in one sentence."}
]
}\'''',
    "models": "curl https://api.airouter.kz/api/v1/models",
    "generation": '''curl "https://api.airouter.kz/api/v1/generation?id=gen-abc123" \
-H "Authorization: Bearer air_live_your_key_here"''',
    "credits": '''curl https://api.airouter.kz/api/v1/credits \
-H "Authorization: Bearer air_live_your_key_here"''',
    "make": '''curl -X POST https://api.airouter.kz/api/v1/keys \\
-H "Authorization: Bearer air_live_your_key_here" \\
-H "Content-Type: application/json" \\
-d '{
"name": "production-backend",
"rate_limit": 100
}\'''',
    "list": '''curl https://api.airouter.kz/api/v1/keys \
-H "Authorization: Bearer air_live_your_key_here"''',
    "delete": '''curl -X DELETE https://api.airouter.kz/api/v1/keys/key_id_here \
-H "Authorization: Bearer air_live_your_key_here"''',
}


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


KAIROSROUTE = {
    "make": '''curl -X POST https://kairosroute.com/api/auth \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer kr_live_..." \\
-d '{
"name": "Production Key",
"expires_in": 7776000
}\'''',
    "list": '''curl https://kairosroute.com/api/auth \\
-H "Authorization: Bearer kr_live_..."''',
    "delete": '''curl -X DELETE https://kairosroute.com/api/auth/key_123abc \\
-H "Authorization: Bearer kr_live_..."''',
    "chat": '''curl https://kairosroute.com/v1/chat/completions \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer kr_live_..." \\
-d '{
"model": "kr-auto",
"messages": [
{
"role": "system",
"content": "You are a helpful assistant."
},
{
"role": "user",
"content": "Explain quantum computing in simple terms."
}
],
"temperature": 0.7,
"max_tokens": 500
}\'''',
    "models": '''curl https://kairosroute.com/v1/models \\
-H "Authorization: Bearer kr_live_..."''',
}


def test_examples_of_kairosroute(gw):
    """K-10, K-35..K-42."""
    key = gw.key(team="acme", surface="kairosroute")["key"]
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
    status, body = gw.bash('''curl -X POST "https://api.kilo.ai/api/gateway/chat/completions" \\
  -H "Authorization: Bearer $KILO_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "anthropic/claude-sonnet-4.5",
    "messages": [
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "What is quantum computing?"}
    ],
    "max_tokens": 500,
    "temperature": 0.7
  }\'''', gw.key(team="acme")["key"])
    assert status == 200 and json.loads(body)["model"] == "anthropic/claude-sonnet-4.5", body


def test_examples_of_cailos(gw):
    """C-9, C-10: the document's base URL is blank; it is put in front of the paths."""
    key = gw.key(team="acme", surface="cailos")["key"]
    assert key.startswith("cai_")
    status, body = gw.bash('''curl /chat/completions \\
  -H "Authorization: Bearer cai_your_key_here" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Hello"}]
  }\'''', key, [("curl /", f"curl {gw.url}/v1/")])
    assert status == 200 and json.loads(body)["object"] == "chat.completion"
    status, body = gw.bash('''curl /models \\
  -H "Authorization: Bearer cai_your_key_here"''', key, [("curl /", f"curl {gw.url}/v1/")])
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
    slow = {"model": "slow", "messages": user()}
    gw.snippet("60-slow.json", {"models": {"slow": priced("up", PRICE, upstream(delay_ms=600))}})
    gw.reload()

    def work(i):
        if i == 0:
            assert gw.ask("POST", "/v1/chat/completions", slow, key).status == 200
            return
        time.sleep(0.2)  # the other one is under way
        with sdk.OpenAI(base_url=gw.base_url, api_key=key, timeout=20, max_retries=2) as c:
            begin = time.monotonic()
            assert c.chat.completions.create(model="m", messages=user()).choices
            return time.monotonic() - begin

    took = together(2, work)[1]
    assert 0.9 < took < 5, took  # not at once, and not its own half a second
