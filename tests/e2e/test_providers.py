"""The translating providers, each with OpenAI's SDK in front and aimock's endpoints behind: what the
client sees must not tell which API answered."""
import json
import pathlib

import openai as sdk
import pytest

from harness.aimock import Aimock
from harness.gateway import KEY, Gateway, model
from harness.scripted import Upstream, chunked, reply
from harness.signing import Account, TokenEndpoint, aws4
from harness.trickle import Trickle

HERE = pathlib.Path(__file__).parent
AWS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
SECRET = "upstream-secret-of-the-tests"
# name: (base URL behind the port, upstream model, further options, credential)
PROVIDERS = {
    "anthropic": ("/v1", "claude-sonnet-4-5", {}, {"api_key": SECRET}),
    "google": ("/v1beta", "gemini-2.5-flash", {}, {"api_key": SECRET}),
    "cohere": ("/v2", "command-a-03-2025", {}, {"api_key": SECRET}),
    "mistral": ("/v1", "mistral-large-latest", {}, {"api_key": SECRET}),
    "bedrock": ("", "anthropic.claude-sonnet-4-5-20250929-v1:0", {"region": "us-east-1"},
                {"credential": AWS}),
    "vertex": ("/v1", "gemini-2.5-pro", {"project": "p-1", "location": "us-east5"}, {}),
}
# Where the upstream expects its key.
KEY_HEADER = {"anthropic": "x-api-key", "google": "x-goog-api-key", "cohere": "authorization",
              "mistral": "authorization", "bedrock": "authorization", "vertex": "authorization"}
HELLO = "Hello from the other side: grüß, 你好, 🚀."
SENTENCE = "This sentence will never reach its end, whatever anyone does about it."
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
                   "required": ["city"]}}}]


@pytest.fixture(scope="module")
def aimock(tmp):
    with Aimock(tmp, json.loads((HERE / "provider_fixtures.json").read_text())) as a:
        yield a


@pytest.fixture(scope="module")
def google_account():
    """The credential of a service account, and the endpoint that gives tokens for it."""
    account = Account()
    with TokenEndpoint([account]) as endpoint:
        yield {"credential": {"service_account": account.document(endpoint.url)}}, endpoint
        assert endpoint.faults == []


def gateway(port, google_account):
    own = {"vertex": google_account[0]}
    return Gateway(
        providers={name: {"plugin": name, "options": {"base_url": f"http://127.0.0.1:{port}{base}", **options},
                          **credential, **own.get(name, {})}
                   for name, (base, _, options, credential) in PROVIDERS.items()},
        models={name: model((name, upstream), max_output_tokens=8192)
                for name, (_, upstream, _, _) in PROVIDERS.items()})


@pytest.fixture(scope="module")
def gw(aimock, google_account):
    with gateway(aimock.port, google_account) as g:
        yield g


@pytest.fixture(scope="module")
def slow_gw(aimock, google_account):
    with Trickle(aimock.port) as t, gateway(t.port, google_account) as g:
        yield g


@pytest.fixture(scope="module")
def client(gw):
    with sdk.OpenAI(base_url=gw.base_url, api_key=KEY, max_retries=0, timeout=20) as c:
        yield c


@pytest.fixture(scope="module")
def slow_client(slow_gw):
    with sdk.OpenAI(base_url=slow_gw.base_url, api_key=KEY, max_retries=0, timeout=20) as c:
        yield c


@pytest.fixture(params=PROVIDERS)
def name(request):
    return request.param


def user(text):
    return [{"role": "user", "content": text}]


class Summed:
    """A stream as a client sums it up."""

    def __init__(self, stream):
        self.text = self.reasoning = ""
        self.calls, self.finish, self.usage, self.error, self.ids, self.models = {}, None, None, None, set(), set()
        try:
            for chunk in stream:
                self._add(chunk)
        except sdk.APIError as e:
            self.error = e

    def _add(self, chunk):
        self.ids.add(chunk.id)
        self.models.add(chunk.model)
        self.usage = chunk.usage or self.usage
        for c in chunk.choices:
            self.text += c.delta.content or ""
            self.reasoning += getattr(c.delta, "reasoning_content", None) or ""
            self.finish = c.finish_reason or self.finish
            for call in c.delta.tool_calls or []:
                had = self.calls.setdefault(call.index, ["", "", ""])
                had[0] += call.id or ""
                had[1] += call.function.name or ""
                had[2] += call.function.arguments or ""


def ask(client, name, text, **more):
    return client.chat.completions.create(model=name, messages=more.pop("messages", None) or user(text), **more)


def ask_stream(client, name, text, **more):
    return Summed(ask(client, name, text, stream=True, stream_options={"include_usage": True}, **more))


# ---- Text.


def test_whole(client, aimock, name):
    r = ask(client, name, "say hello")
    assert r.choices[0].message.content == HELLO
    assert r.choices[0].message.role == "assistant" and r.choices[0].finish_reason == "stop"
    assert r.id.startswith("chatcmpl-") and r.object == "chat.completion" and r.model
    assert (r.usage.prompt_tokens, r.usage.completion_tokens, r.usage.total_tokens) == (11, 23, 34)
    # aimock hides the values of headers that carry keys, but shows that they came.
    assert KEY_HEADER[name] in {k.lower() for k in aimock.journal()[-1]["headers"]}


@pytest.mark.parametrize("which", ["client", "slow_client"])
def test_stream(request, which, name):
    s = ask_stream(request.getfixturevalue(which), name, "say hello")
    assert s.error is None and s.text == HELLO and s.finish == "stop" and len(s.ids) == 1 and all(s.models)
    if name != "mistral":  # it always tells; aimock waits to be asked, as OpenAI does
        assert (s.usage.prompt_tokens, s.usage.completion_tokens, s.usage.total_tokens) == (11, 23, 34)


def test_length(client, name):
    r = ask(client, name, "too much", max_tokens=5)
    assert r.choices[0].finish_reason == "length" and r.choices[0].message.content == "cut sho"


def test_system_and_turns(client, aimock, name):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"},
                {"role": "assistant", "content": "two"}, {"role": "user", "content": "say hello"}]
    r = ask(client, name, "", messages=messages)
    assert r.choices[0].message.content == HELLO
    sent = [(m["role"], m["content"]) for m in aimock.last()["messages"]]  # aimock's own reading
    text = [(role, c if isinstance(c, str) else "".join(p.get("text", "") for p in c)) for role, c in sent]
    assert text == [("system", "Be brief."), ("user", "one"), ("assistant", "two"), ("user", "say hello")]


# ---- Reasoning.


@pytest.mark.parametrize("which", ["client", "slow_client"])
def test_reasoning(request, which, name):
    if name in ("cohere", "mistral"):
        pytest.skip("aimock has no thoughts for this API")
    c = request.getfixturevalue(which)
    r = ask(c, name, "think first", reasoning_effort="low")
    assert r.choices[0].message.content == "Then I answer."
    assert r.choices[0].message.reasoning_content == "First I think about it."
    s = ask_stream(c, name, "think first", reasoning_effort="low")
    assert (s.reasoning, s.text, s.finish) == ("First I think about it.", "Then I answer.", "stop")


# ---- Tools.


def check_calls(calls, name):
    assert [c[1] for c in calls] == ["get_weather", "get_weather"]
    assert [json.loads(c[2]) for c in calls] == [{"city": "Paris"}, {"city": "Rome", "unit": "°C"}]
    assert all(c[0] for c in calls) and calls[0][0] != calls[1][0], name


@pytest.mark.parametrize("which", ["client", "slow_client"])
def test_parallel_tools_and_their_results(request, which, aimock, name):
    c = request.getfixturevalue(which)
    r = ask(c, name, "weather in two cities", tools=TOOLS)
    said = r.choices[0].message
    calls = [[t.id, t.function.name, t.function.arguments] for t in said.tool_calls]
    check_calls(calls, name)
    assert r.choices[0].finish_reason == "tool_calls" and not said.content
    s = ask_stream(c, name, "weather in two cities", tools=TOOLS)
    check_calls([s.calls[i] for i in sorted(s.calls)], name)
    assert s.finish == "tool_calls" and s.text == ""
    messages = user("weather in two cities") + [
        {"role": "assistant", "content": None, "tool_calls": [t.model_dump() for t in said.tool_calls]},
        {"role": "tool", "tool_call_id": calls[0][0], "content": "18 degrees"},
        {"role": "tool", "tool_call_id": calls[1][0], "content": "25 degrees"}]
    r = ask(c, name, "", messages=messages, tools=TOOLS)
    assert r.choices[0].message.content == "Paris 18, Rome 25."
    sent = json.dumps(aimock.last())
    assert sent.index("18 degrees") < sent.index("25 degrees")


@pytest.mark.parametrize("which", ["client", "slow_client"])
def test_text_and_a_tool(request, which, name):
    if name == "cohere":
        pytest.skip("aimock's Cohere endpoint gives one or the other")
    s = ask_stream(request.getfixturevalue(which), name, "text, then a tool", tools=TOOLS)
    assert s.text == "Let me look." and s.finish == "tool_calls"
    assert [(c[1], json.loads(c[2])) for c in s.calls.values()] == [("get_weather", {"city": "Oslo"})]


# ---- Vision, structured output.


def test_vision(client, aimock, name):
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "what is on it"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + DOT}}]}]
    assert ask(client, name, "", messages=messages).choices[0].message.content == "A red dot."


def test_structured_output(client, name):
    r = ask(client, name, "an event", response_format={"type": "json_schema", "json_schema": {
        "name": "event", "strict": True, "schema": {
            "type": "object", "additionalProperties": False, "required": ["name", "date"],
            "properties": {"name": {"type": "string"}, "date": {"type": "string"}}}}})
    assert json.loads(r.choices[0].message.content) == {"name": "Fair", "date": "Friday"}
    assert r.choices[0].finish_reason == "stop"


# ---- What cannot be carried is said.


def test_dropped_is_said_and_strict_refuses(client, name):
    more = {"extra_body": {"logit_bias": {"50256": -100}}}
    raw = client.chat.completions.with_raw_response.create(model=name, messages=user("say hello"), **more)
    assert "logit_bias" in raw.headers["x-turnpike-dropped"]
    assert raw.parse().choices[0].message.content == HELLO
    with pytest.raises(sdk.BadRequestError) as e:
        client.chat.completions.create(model=name, messages=user("say hello"),
                                       extra_headers={"x-turnpike-strict": "true"}, **more)
    assert "logit_bias" in str(e.value)


# ---- Errors.


# What the upstream answers, and what the client sees of it: the gateway's key and its models are no
# fault of the client's.
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status, seen, said", [
    (400, 400, "that is not valid"), (401, 502, None), (403, 502, None), (404, 502, None),
    (429, 429, "slow down"), (500, 502, None), (503, 503, None)])
def test_refusals(client, name, status, seen, said, stream):
    with pytest.raises(sdk.APIStatusError) as e:
        ask(client, name, f"refused {status}", stream=stream)
    assert e.value.status_code == seen, e.value
    assert not said or said in e.value.message
    if status == 429:
        assert e.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how, statuses", [("drop", (502, 503)), ("malformed", (502,)),
                                           ("disconnect", (502, 503)), ("limit", (429,))])
def test_chaos(client, name, how, statuses, stream):
    with pytest.raises(sdk.APIStatusError) as e:
        ask(client, name, "chaos " + how, stream=stream)
    assert e.value.status_code in statuses
    if how == "limit":
        assert int(e.value.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("how", ["chaos truncate", "chaos cut"])
def test_chaos_in_the_middle_of_a_stream(client, name, how):
    s = ask_stream(client, name, how)
    assert s.error is not None and not isinstance(s.error, sdk.APIConnectionError)
    assert SENTENCE.startswith(s.text) and len(s.text) < len(SENTENCE) and s.finish is None


# ---- Signatures and tokens, as the upstream sees them.


def test_bedrock_signs_what_it_sends():
    keys = {AWS["access_key_id"]: AWS["secret_access_key"]}
    seen = []

    def answer(request):
        seen.append((request.path, aws4(request, keys)))
        return reply(body={"output": {"message": {"role": "assistant", "content": [{"text": "signed"}]}},
                           "stopReason": "end_turn", "metrics": {"latencyMs": 1},
                           "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}})

    with Upstream(answer) as up:
        provider = {"plugin": "bedrock", "credential": AWS,
                    "options": {"base_url": f"http://127.0.0.1:{up.port}", "region": "eu-west-1"}}
        with Gateway(providers={"aws": provider},
                     models={"m": model(("aws", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x:0"))}) as g, \
                sdk.OpenAI(base_url=g.base_url, api_key=KEY, max_retries=0, timeout=20) as c:
            assert ask(c, "m", "grüß 你好").choices[0].message.content == "signed"
    path, signed = seen[0]
    assert path == "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x%3A0/converse"
    assert (signed["service"], signed["region"]) == ("bedrock", "eu-west-1")


CLAUDE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}


def claude_stream():
    events = [{"type": "message_start", "message": {**CLAUDE, "content": [], "stop_reason": None,
                                                    "usage": {"input_tokens": 3, "output_tokens": 1}}},
              {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
              {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "from Vertex"}},
              {"type": "content_block_stop", "index": 0},
              {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
               "usage": {"output_tokens": 4}},
              {"type": "message_stop"}]
    return chunked([f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events])


def test_claude_on_vertex(google_account):
    credential, endpoint = google_account

    def answer(request):
        if ":streamRawPredict" in request.path:
            return claude_stream()
        return reply(body={**CLAUDE, "content": [{"type": "text", "text": "from Vertex"}],
                           "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 4}})

    with Upstream(answer) as up:
        provider = {"plugin": "vertex", "options": {"base_url": up.url, "project": "p-1"}, **credential}
        with Gateway(providers={"vertex": provider},
                     models={"m": model(("vertex", "claude-sonnet-4-5@20250929"), max_output_tokens=64000)}) as g, \
                sdk.OpenAI(base_url=g.base_url, api_key=KEY, max_retries=0, timeout=20) as c:
            assert ask(c, "m", "hi").choices[0].message.content == "from Vertex"
            s = ask_stream(c, "m", "hi")
            assert (s.text, s.finish, s.usage.total_tokens) == ("from Vertex", "stop", 7)
        place = "/v1/projects/p-1/locations/global/publishers/anthropic/models/claude-sonnet-4-5@20250929"
        assert [r.path for r in up.requests] == [place + ":rawPredict", place + ":streamRawPredict"]
        for r in up.requests:
            assert r.header("Authorization") == f"Bearer {endpoint.given[-1]}"
            assert r.json()["anthropic_version"] == "vertex-2023-10-16" and "model" not in r.json()
