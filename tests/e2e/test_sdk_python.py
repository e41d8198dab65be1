"""OpenAI's own Python SDK against Turnpike, with aimock (and the echo provider) behind it."""
import json
import pathlib
import time

import openai as sdk
import pydantic
import pytest

from harness.aimock import Aimock
from harness.gateway import KEY, Gateway, model, openai

HERE = pathlib.Path(__file__).parent
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]


@pytest.fixture(scope="module")
def aimock(tmp):
    with Aimock(tmp, json.loads((HERE / "sdk_fixtures.json").read_text())) as a:
        yield a


@pytest.fixture(scope="module")
def gw(aimock):
    with Gateway(
        providers={"aimock": openai(aimock.url), "calls": {"plugin": "echo", "options": {"tool_call": {}}}},
        models={"gpt": model(("aimock", "gpt-4o-mini")), "caller": model("calls")},
        keys=[{"name": "e2e", "key": KEY},
              {"name": "narrow", "key": "tp_live_" + "narrow" * 5, "models": ["echo"]}],
    ) as g:
        yield g


@pytest.fixture(scope="module")
def client(gw):
    with sdk.OpenAI(base_url=gw.base_url, api_key=KEY, max_retries=0, timeout=20) as c:
        yield c


def user(text):
    return [{"role": "user", "content": text}]


# ---- Whole replies.


def test_chat(client, aimock):
    r = client.chat.completions.create(model="gpt", messages=user("say hello"), seed=9223372036854775807,
                                       temperature=0.5, user="u-1")
    assert r.choices[0].message.content == "Hello from the other side of the gateway."
    assert r.choices[0].message.role == "assistant"
    assert r.choices[0].finish_reason == "stop"
    assert r.object == "chat.completion" and r.id.startswith("chatcmpl-") and r.model == "gpt-4o-mini"
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens > 0
    got = aimock.journal()[-1]
    assert got["path"] == "/v1/chat/completions"
    assert got["body"]["model"] == "gpt-4o-mini" and got["body"]["temperature"] == 0.5
    assert got["body"]["user"] == "u-1"
    assert "sk-upstream-secret" not in json.dumps(r.model_dump())
    assert KEY not in json.dumps(got)


def test_request_id_reaches_the_client(client):
    r = client.chat.completions.with_raw_response.create(
        model="gpt", messages=user("say hello"), extra_headers={"X-Request-Id": "mine-1234"})
    assert r.headers["x-request-id"] == "mine-1234"
    assert r.parse()._request_id == "mine-1234"


def test_echo(client):
    r = client.chat.completions.create(model="echo", messages=user("say this back"), n=3)
    assert [c.message.content for c in r.choices] == ["say this back"] * 3
    assert [c.index for c in r.choices] == [0, 1, 2]


def test_structured_output(client, aimock):
    class Event(pydantic.BaseModel):
        name: str
        date: str
        people: list[str]

    r = client.chat.completions.parse(model="gpt", messages=user("an event"), response_format=Event)
    assert r.choices[0].message.parsed == Event(name="Fair", date="Friday", people=["Ann", "Bo"])
    sent = aimock.last()["response_format"]
    assert sent["type"] == "json_schema" and sent["json_schema"]["strict"] is True
    assert set(sent["json_schema"]["schema"]["properties"]) == {"name", "date", "people"}


# ---- Streams.

PIECES = "One, two, three. Gruesse: \u00fc\u00df, \u4f60\u597d, \U0001f680."


def test_stream_without_usage(client, aimock):
    chunks = list(client.chat.completions.create(model="gpt", messages=user("in pieces"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == PIECES
    assert len(chunks) > 8
    assert all(c.usage is None and c.choices for c in chunks)
    assert len({c.id for c in chunks}) == 1 and chunks[0].id.startswith("chatcmpl-")
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert aimock.last()["stream_options"] == {"include_usage": True}  # asked for all the same


def test_stream_with_usage(client):
    chunks = list(client.chat.completions.create(model="gpt", messages=user("in pieces"), stream=True,
                                                 stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 34
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == PIECES


def test_stream_helper(client):
    with client.chat.completions.stream(model="gpt", messages=user("in pieces"),
                                        stream_options={"include_usage": True}) as s:
        seen = [e.type for e in s]
        final = s.get_final_completion()
    assert "content.delta" in seen and "content.done" in seen
    assert final.choices[0].message.content == PIECES and final.usage.completion_tokens == 23


def test_stream_of_echo(client):
    chunks = list(client.chat.completions.create(model="echo", messages=user("a b c d"), stream=True, n=2))
    text = {0: "", 1: ""}
    for c in chunks:
        for choice in c.choices:
            text[choice.index] += choice.delta.content or ""
    assert text == {0: "a b c d", 1: "a b c d"}


def test_stream_left_early(client, gw):
    """A client that goes away in the middle harms nobody; the upstream is cancelled."""
    s = client.chat.completions.create(model="gpt", messages=user("in pieces"), stream=True)
    next(iter(s))
    s.close()
    assert client.chat.completions.create(model="gpt", messages=user("say hello")).id


# ---- Tools.


def test_tools_round_trip(client, aimock):
    messages = user("weather")
    r = client.chat.completions.create(model="gpt", messages=messages, tools=TOOLS, tool_choice="auto")
    call = r.choices[0].message.tool_calls[0]
    assert r.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "SF"}
    messages.append(r.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'})
    r = client.chat.completions.create(model="gpt", messages=messages, tools=TOOLS)
    assert r.choices[0].message.content == "It is 21 degrees in SF."
    sent = aimock.last()
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool"]
    assert sent["messages"][1]["tool_calls"][0]["id"] == "call_sf" and sent["tools"] == TOOLS


def collect_calls(chunks):
    calls = {}
    for chunk in chunks:
        for part in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            call = calls.setdefault(part.index, {"id": None, "name": "", "arguments": ""})
            call["id"] = part.id or call["id"]
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""
    return [calls[i] for i in sorted(calls)]


def test_parallel_tools_streamed(client):
    messages = user("weather in two cities")
    calls = collect_calls(client.chat.completions.create(model="gpt", messages=messages, tools=TOOLS,
                                                         stream=True, parallel_tool_calls=True))
    assert [(c["id"], c["name"], json.loads(c["arguments"])) for c in calls] == [
        ("call_paris", "get_weather", {"city": "Paris"}),
        ("call_rome", "get_weather", {"city": "Rome", "unit": "\u00b0C"})]
    messages.append({"role": "assistant", "content": None, "tool_calls": [
        {"id": c["id"], "type": "function",
         "function": {"name": c["name"], "arguments": c["arguments"]}} for c in calls]})
    messages += [{"role": "tool", "tool_call_id": c["id"], "content": "18"} for c in calls]
    r = client.chat.completions.create(model="gpt", messages=messages, tools=TOOLS)
    assert r.choices[0].message.content == "Paris 18, Rome 25."


def test_tools_of_echo(client):
    for stream in (False, True):
        messages = user("call it")
        r = client.chat.completions.create(model="caller", messages=messages, tools=TOOLS, stream=stream)
        if stream:
            call, = collect_calls(r)
            assert call["name"] == "get_weather" and json.loads(call["arguments"]) == {}
        else:
            call = r.choices[0].message.tool_calls[0]
            assert call.function.name == "get_weather"
            messages += [r.choices[0].message.model_dump(exclude_none=True),
                         {"role": "tool", "tool_call_id": call.id, "content": "the result"}]
            r = client.chat.completions.create(model="caller", messages=messages, tools=TOOLS)
            assert r.choices[0].message.content == "the result"


# ---- Errors in the SDK's own classes.


def test_wrong_key(gw):
    for key in ("tp_live_" + "x" * 43, "nonsense"):
        with sdk.OpenAI(base_url=gw.base_url, api_key=key, max_retries=0) as c:
            with pytest.raises(sdk.AuthenticationError) as e:
                c.chat.completions.create(model="echo", messages=user("hi"))
            assert e.value.status_code == 401 and key not in str(e.value)
            with pytest.raises(sdk.AuthenticationError):
                c.models.list()


def test_model_that_this_key_may_not_use(gw):
    with sdk.OpenAI(base_url=gw.base_url, api_key="tp_live_" + "narrow" * 5, max_retries=0) as c:
        assert c.chat.completions.create(model="echo", messages=user("hi")).choices
        with pytest.raises((sdk.PermissionDeniedError, sdk.NotFoundError)):
            c.chat.completions.create(model="gpt", messages=user("say hello"))
        assert [m.id for m in c.models.list()] == ["echo"]


def test_unknown_model(client):
    with pytest.raises(sdk.NotFoundError) as e:
        client.chat.completions.create(model="gtp", messages=user("hi"))
    assert e.value.code == "model_not_found" and "gtp" in e.value.message


@pytest.mark.parametrize("extra, param", [
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"n": 0}, "n"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": 7}]}, "messages[1].content"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"stream": "yes"}, "stream"),
])
def test_bad_parameters_are_named(client, extra, param):
    body = {"model": "gpt", "messages": user("say hello"), **extra}
    with pytest.raises(sdk.BadRequestError) as e:
        client.post("/chat/completions", body=body, cast_to=object)
    assert e.value.param == param and e.value.type == "invalid_request_error"


def test_what_the_upstream_finds_wrong(client):
    with pytest.raises(sdk.BadRequestError) as e:
        client.chat.completions.create(model="gpt", messages=user("bad temperature"))
    assert (e.value.param, e.value.code) == ("temperature", "unsupported_value")
    assert "temperature is not for this model" in e.value.message


def test_rate_limit(client):
    with pytest.raises(sdk.RateLimitError) as e:
        client.chat.completions.create(model="gpt", messages=user("chaos limit"))
    assert e.value.response.headers["retry-after"] == "1"


def test_sdk_retries_by_retry_after(gw):
    with sdk.OpenAI(base_url=gw.base_url, api_key=KEY, max_retries=1) as c:
        begin = time.monotonic()
        r = c.chat.completions.create(model="gpt", messages=user("first limited"))
        assert r.choices[0].message.content == "Now." and time.monotonic() - begin >= 0.9


def test_upstream_failure(client):
    for stream in (False, True):
        with pytest.raises(sdk.InternalServerError) as e:
            client.chat.completions.create(model="gpt", messages=user("chaos drop"), stream=stream)
        assert e.value.status_code == 502


def test_upstream_billing_stays_ours(client):
    with pytest.raises(sdk.InternalServerError) as e:
        client.chat.completions.create(model="gpt", messages=user("no money"))
    assert e.value.status_code == 503
    assert not any(w in str(e.value.body).lower() for w in ("billing", "credit", "quota"))


def test_client_timeout(client, gw):
    before = gw.metrics()['turnpike_outcomes_total{outcome="cancelled"}']
    with pytest.raises(sdk.APITimeoutError):
        client.with_options(timeout=0.4).chat.completions.create(model="gpt", messages=user("slow"))
    end = time.monotonic() + 5
    while gw.metrics()['turnpike_outcomes_total{outcome="cancelled"}'] == before:
        assert time.monotonic() < end, "the gateway did not notice that the client left"
        time.sleep(0.05)


# ---- aimock's chaos.


def test_chaos_malformed(client):
    for stream in (False, True):
        with pytest.raises(sdk.InternalServerError) as e:
            client.chat.completions.create(model="gpt", messages=user("chaos malformed"), stream=stream)
        assert e.value.status_code == 502


def test_chaos_disconnect(client):
    for stream in (False, True):
        with pytest.raises(sdk.InternalServerError) as e:
            client.chat.completions.create(model="gpt", messages=user("chaos disconnect"), stream=stream)
        assert e.value.status_code in (502, 503)


@pytest.mark.parametrize("how", ["chaos truncate", "chaos cut"])
def test_chaos_in_the_middle_of_a_stream(client, how):
    """The client gets what came, then an error; never an end that looks complete."""
    chunks = []
    with pytest.raises(sdk.APIError) as e:
        for c in client.chat.completions.create(model="gpt", messages=user(how), stream=True):
            chunks.append(c)
    assert not isinstance(e.value, sdk.APIConnectionError)  # an event, not a broken connection
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text and "This sentence".startswith(text[:13]) and not text.endswith("about it.")
    assert not any(c.choices[0].finish_reason for c in chunks if c.choices)


# ---- Models.


def test_models(client):
    ids = [m.id for m in client.models.list()]
    assert sorted(ids) == ["caller", "echo", "gpt"]
    assert client.models.retrieve("gpt").id == "gpt" and client.models.retrieve("gpt").object == "model"
    with pytest.raises(sdk.NotFoundError):
        client.models.retrieve("gtp")


async def stream_many(base_url, n):
    import asyncio
    async with sdk.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as c:
        async def one(i):
            s = await c.chat.completions.create(model="gpt" if i % 2 else "echo", stream=True,
                                                messages=user("in pieces"))
            return "".join([p.choices[0].delta.content or "" async for p in s])
        return await asyncio.gather(*[one(i) for i in range(n)])


def test_async_client_with_many_streams(gw):
    import asyncio
    got = asyncio.run(stream_many(gw.base_url, 40))
    assert got == ["in pieces", PIECES] * 20
