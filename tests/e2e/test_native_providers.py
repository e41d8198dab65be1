"""The shipped snippets of the providers that speak OpenAI's format, and of Mistral: where a request goes,
what of it arrives, and what a client learns when the provider refuses."""
import json
import time

import pytest

from harness.gateway import KEY, Gateway, model
from harness.paths import SOURCE
from harness.scripted import Upstream, chunked, reply

SNIPPETS = SOURCE / "conf.d"
LOCAL = ["vllm", "sglang", "llamacpp", "ollama", "lmstudio"]
CHAT = "/v1/chat/completions"

DEVELOPER = {"role": "developer", "content": "be brief", "name": "boss"}
THOUGHT = {"role": "assistant", "content": "hello", "reasoning_content": "so I greet"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
FULL = {
    "messages": [DEVELOPER, {"role": "user", "content": "hi"}, THOUGHT, {"role": "user", "content": "again"}],
    "max_completion_tokens": 50, "temperature": 0.5, "top_p": 0.9, "seed": 7, "n": 2, "stop": ["END"],
    "logprobs": True, "top_logprobs": 2, "logit_bias": {"1": 1}, "presence_penalty": 0.5,
    "frequency_penalty": 0.25, "user": "u", "parallel_tool_calls": False, "service_tier": "flex",
    "store": True, "verbosity": "low", "prompt_cache_key": "k", "reasoning_effort": "high",
    "tools": [TOOL], "tool_choice": "required", "of_its_own": {"a": 1},
}
SYSTEM = {"messages[0].role": "system"}
LIMIT = {"max_completion_tokens": None, "max_tokens": 50}
# name: (dropped and reported, other members that arrive, by place; None: is gone without a word)
ARRIVES = {
    "openai": ("", {}),
    "groq": ("logprobs top_logprobs logit_bias n messages[0].name messages[2].reasoning_content", {}),
    "together": ("", SYSTEM),
    "deepinfra": ("logit_bias", {}),
    "xai": ("logit_bias", {}),
    "openrouter": ("", {}),
    "deepseek": ("logit_bias seed parallel_tool_calls n", {**SYSTEM, **LIMIT}),
    "cerebras": ("frequency_penalty presence_penalty logit_bias store verbosity prompt_cache_key "
                 "messages[2].reasoning_content", SYSTEM),
    "scaleway": ("frequency_penalty top_logprobs logit_bias user n", SYSTEM),
    "sambanova": ("presence_penalty frequency_penalty logit_bias", SYSTEM),
    "novita": ("", SYSTEM),
    "ncompass": ("", SYSTEM),
    "nscale": ("", SYSTEM),
    "inception": ("n", SYSTEM),
    "tinfoil": ("", SYSTEM),
    "perplexity": ("logit_bias logprobs top_logprobs seed parallel_tool_calls service_tier n", {**SYSTEM, **LIMIT}),
    "fireworks": ("", SYSTEM),
    "azure": ("", {}),
    "azure-v1": ("", {}),
    "vllm": ("", SYSTEM),
    "sglang": ("", SYSTEM),
    "llamacpp": ("n", {**SYSTEM, **LIMIT}),
    "ollama": ("logit_bias tool_choice n", {**SYSTEM, **LIMIT}),
    "lmstudio": ("n", {**SYSTEM, **LIMIT}),
}
NAMES = [*ARRIVES, "mistral", "codestral"]
# A wish for thought in another form than reasoning_effort, and what it becomes.
THINKS = {
    "openai": ({"reasoning": {"effort": "high"}}, {"reasoning": {"effort": "high"}}),
    "groq": ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
    "cerebras": ({"reasoning": {"effort": "medium"}}, {"reasoning_effort": "medium"}),
    "xai": ({"reasoning": {"effort": "high"}}, {"reasoning_effort": "high"}),
    "fireworks": ({"reasoning": {"enabled": False}}, {"reasoning_effort": "none"}),
    "inception": ({"reasoning_effort": "none"}, {"reasoning_effort": "instant"}),
    "together": ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
    "openrouter": ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, {"reasoning": {"max_tokens": 3000}}),
    "deepseek": ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    "novita": ({"reasoning": {"enabled": True}}, {"enable_thinking": True}),
    "sambanova": ({"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}),
    "vllm": ({"thinking": {"type": "enabled"}}, {"chat_template_kwargs": {"enable_thinking": True, "thinking": True}}),
    "ollama": ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
    "mistral": ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "high"}),
}


def env_name(name):
    return name.upper().replace("-", "_")


def base_of(port, name):
    return f"http://127.0.0.1:{port}/{name}" + ("" if name == "azure" else "/v1")


def environment(port, names, keys=True):
    env = {f"{env_name(n)}_BASE_URL": base_of(port, n) for n in names}
    if keys:
        env.update({f"{env_name(n)}_API_KEY": f"key-of-{n}" for n in names})
        env["AZURE_API_KEY"] = "key-of-azure"
    return env


def shipped(gw):
    """The snippets as they are shipped, but for echo, which the tests' own has."""
    for file in sorted(SNIPPETS.glob("20-provider-*.json")):
        if file.stem != "20-provider-echo":
            gw.snippet(file.name, file.read_text())
    return gw


def whole(content="fine"):
    return reply(200, {"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})


def event(doc):
    return b"data: " + json.dumps(doc).encode() + b"\n\n"


def piece(delta, finish=None, **more):
    return event({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                  "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
STREAM = [piece({"role": "assistant", "content": "fi"}), piece({"content": "ne"}), piece({}, "stop"),
          event({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                 "usage": USAGE}), b"data: [DONE]\n\n"]


class Script:
    """What the upstream answers: as by default, or what a test says for an upstream's model."""

    def __init__(self):
        self.by_model = {}

    def __call__(self, request):
        body = request.json()
        said = self.by_model.get(body.get("model"))
        if said:
            return said
        return chunked(STREAM) if body.get("stream") else whole()


def ask(name, **more):
    return {"model": name, "messages": [{"role": "user", "content": "hi"}], **more}


# ---- What providers answer when they refuse, as their references document it.
class Refusal:
    def __init__(self, provider, status, body, wanted, kind, says, headers=(), retry=None, code=None, param=None):
        self.provider, self.status, self.body, self.headers = provider, status, body, headers
        self.wanted, self.kind, self.says, self.retry, self.code, self.param = wanted, kind, says, retry, code, param


def openai_error(message, kind, code=None, param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


RATE, INVALID, LONG = "rate_limit_error", "invalid_request_error", "context_length_exceeded"
REFUSALS = [
    Refusal("openai", 429, openai_error("Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, "
            "Requested 1. Please try again in 20s.", "requests", "rate_limit_exceeded"), 429, RATE, "Rate limit", retry=20),
    Refusal("openai", 429, openai_error("Rate limit reached on tokens per min (TPM).", "tokens", "rate_limit_exceeded"),
            429, RATE, "Rate limit", [("x-ratelimit-remaining-requests", "10"), ("x-ratelimit-reset-requests", "1s"),
                                      ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m6.2s")], 67),
    Refusal("openai", 429, openai_error("Slow down.", "tokens"), 429, RATE, "Slow", [("retry-after-ms", "1500")], 2),
    Refusal("openai", 400, openai_error("Unsupported parameter: 'max_tokens' is not supported with this model.", INVALID,
            "unsupported_parameter", "max_tokens"), 400, INVALID, "max_tokens", param="max_tokens"),
    Refusal("openai", 400, openai_error("This model's maximum context length is 8192 tokens.", INVALID, LONG, "messages"),
            400, INVALID, "maximum context", code=LONG),
    Refusal("groq", 429, openai_error("Rate limit reached for model `m`. Please try again in 7.66s.", "tokens",
            "rate_limit_exceeded"), 429, RATE, "Rate limit", [("retry-after", "2")], 2),
    Refusal("groq", 413, openai_error("Request too large for model `m` on tokens per minute (TPM): Limit 6000, "
            "Requested 7000, please reduce your message size and try again.", "tokens", "rate_limit_exceeded"),
            400, "tokens", "too large"),
    Refusal("groq", 400, openai_error("property 'x' is unsupported", INVALID), 400, INVALID, "unsupported"),
    Refusal("together", 429, openai_error("You have reached the rate limit specific to this model.", "model_rate_limit",
            None), 429, RATE, "reached the rate limit", [("x-ratelimit-reset", "3")], 3),
    Refusal("together", 422, openai_error("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. "
            "Given: 9000 `inputs` tokens and 512 `max_new_tokens`", INVALID), 400, INVALID, "Input validation"),
    Refusal("deepinfra", 429, {"detail": {"error": "Model busy, retry later"}}, 429, RATE, "Model busy"),
    Refusal("deepinfra", 422, {"detail": [{"loc": ["body", "messages", 0, "content"], "msg": "field required",
            "type": "value_error.missing"}]}, 400, INVALID, "field required"),
    Refusal("xai", 400, {"code": "Client specified an invalid argument", "error": "Model grok-4 does not support parameter "
            "presencePenalty."}, 400, INVALID, "presencePenalty"),
    Refusal("xai", 429, {"code": "Some resource has been exhausted", "error": "Too many requests for team."}, 429, RATE,
            "Too many requests"),
    Refusal("openrouter", 429, {"error": {"message": "Provider returned error", "code": 429, "metadata": {
            "raw": "m is temporarily rate-limited upstream.", "provider_name": "Chutes"}}, "user_id": "u"}, 429, RATE,
            "Provider returned error", [("Retry-After", "11")], 11),
    Refusal("deepseek", 422, openai_error("Failed to deserialize the JSON body into the target type: "
            "temperature: invalid type", INVALID, INVALID), 400, INVALID, "temperature"),
    Refusal("deepseek", 503, openai_error("Service is too busy.", "service_unavailable_error"), 503, None, ""),
    Refusal("cerebras", 429, {"message": "Requests per minute limit exceeded - too many requests sent.",
            "type": "too_many_requests_error", "param": "quota", "code": "request_quota_exceeded"}, 429, RATE,
            "per minute limit", [("x-ratelimit-remaining-requests-day", "900"), ("x-ratelimit-reset-requests-day", "33011.38"),
                                 ("x-ratelimit-remaining-tokens-minute", "0"), ("x-ratelimit-reset-tokens-minute", "11.38")],
            12),
    Refusal("cerebras", 400, {"message": "body.store: property 'body.store' is unsupported", "type": INVALID,
            "param": "validation_error", "code": "wrong_api_format"}, 400, INVALID, "is unsupported"),
    Refusal("cerebras", 400, {"message": "Please reduce the length of the messages or completion. Current length is 9000 "
            "while limit is 8192", "type": INVALID, "param": "messages", "code": LONG}, 400, INVALID, "reduce the length",
            code=LONG),
    Refusal("scaleway", 429, openai_error("Too many requests", "rate_limit"), 429, RATE, "Too many"),
    Refusal("sambanova", 429, openai_error("Rate limit exceeded", "rate_limit_exceeded"), 429, RATE, "Rate limit",
            [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "@+30")], 30),
    Refusal("novita", 429, {"code": 429, "reason": "RATE_LIMIT_EXCEEDED", "message": "your request is too frequent",
            "metadata": {}}, 429, RATE, "too frequent"),
    Refusal("novita", 400, {"code": 400, "reason": "INVALID_REQUEST_BODY", "message": "max_tokens is too large",
            "metadata": {"reason": "x"}}, 400, INVALID, "max_tokens is too large"),
    Refusal("inception", 429, openai_error("Rate limit exceeded.", "rate_limit_error"), 429, RATE, "Rate limit"),
    Refusal("perplexity", 400, openai_error("Last message must have role `user` or `tool`.", "invalid_message", 400), 400,
            "invalid_message", "Last message"),
    Refusal("perplexity", 429, b"<html><h1>429 Too Many Requests</h1></html>", 429, RATE, "429"),
    Refusal("fireworks", 429, openai_error("Rate limit exceeded, please try again later.", None), 429, RATE, "Rate limit",
            [("x-ratelimit-over-limit", "yes")]),
    Refusal("azure", 429, {"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation under Azure "
            "OpenAI API version 2024-10-21 have exceeded call rate limit of your current tier. Please retry after 26 "
            "seconds."}}, 429, RATE, "exceeded call rate limit", retry=26),
    Refusal("azure", 400, {"error": {"message": "The response was filtered due to the prompt triggering the content "
            "management policy.", "type": None, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, 400, None, "filtered"),
    Refusal("azure-v1", 429, {"error": {"code": "too_many_requests", "message": "Too Many Requests"}}, 429, RATE,
            "Too Many Requests", [("retry-after", "5"), ("retry-after-ms", "5000")], 5),
    Refusal("vllm", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you "
            "requested 5000 tokens.", "type": "BadRequestError", "param": None, "code": 400}, 400, "BadRequestError",
            "maximum context", code=LONG),
    Refusal("vllm", 400, {"error": {"message": "top_p must be in (0, 1], got 2.0.", "type": "BadRequestError",
            "param": "top_p", "code": 400}}, 400, "BadRequestError", "top_p", param="top_p"),
    Refusal("sglang", 400, {"object": "error", "message": "The input (9000 tokens) is longer than the model's context "
            "length (8192 tokens).", "type": "BadRequestError", "param": None, "code": 400}, 400, "BadRequestError", "longer than",
            code=LONG),
    Refusal("llamacpp", 400, {"error": {"code": 400, "message": "the request exceeds the available context size, try "
            "increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096}}, 400,
            "exceed_context_size_error",
            "available context size", code=LONG),
    Refusal("llamacpp", 503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, 503, None,
            ""),
    Refusal("ollama", 400, openai_error("registry.ollama.ai/library/m does not support tools", "api_error"), 400, "api_error",
            "does not support tools"),
    Refusal("lmstudio", 400, {"error": "Trying to keep the first 5000 tokens when context the overflows."}, 400, INVALID,
            "first 5000 tokens"),
    Refusal("mistral", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 0, "user", "name"],
            "msg": "Extra inputs are not permitted", "input": "x"}]}, 400, INVALID, "Extra inputs"),
    Refusal("mistral", 429, {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "param": None,
            "code": "1300"}, 429, RATE, "Rate limit", [("retry-after", "4")], 4),
    Refusal("mistral", 429, {"object": "error", "message": "Service tier capacity exceeded for this model.",
            "type": "service_tier_capacity_exceeded", "param": None, "code": "3505"}, 503, None, ""),
]
# Trouble of the gateway's own with the provider: of keys a 502, of money a 503 that says nothing of it.
HIDDEN = [
    ("openai", 401, openai_error("Incorrect API key provided: sk-x.", INVALID, "invalid_api_key")),
    ("openai", 429, openai_error("You exceeded your current quota, please check your plan.", "insufficient_quota",
                                 "insufficient_quota")),
    ("deepseek", 402, openai_error("Insufficient Balance", "unknown_error", INVALID)),
    ("openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits. Add more on the site."}}),
    ("xai", 403, {"code": "The caller does not have permission", "error": "Your newly created teams doesn't have any "
                  "credits yet. You can purchase credits on the console."}),
    ("cerebras", 401, {"message": "Wrong API Key", "type": INVALID, "param": "api_key", "code": "wrong_api_key"}),
    ("azure", 401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}}),
    ("novita", 403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance", "metadata": {}}),
    ("mistral", 401, {"detail": "Unauthorized"}),
    ("tinfoil", 401, b"Unauthorized"),
]


def refusing(i):
    return f"refuses-{i}"


def hiding(i):
    return f"hides-{i}"


@pytest.fixture(scope="module")
def script():
    return Script()


@pytest.fixture(scope="module")
def up(script):
    with Upstream(script) as u:
        yield u


@pytest.fixture(scope="module")
def gw(up):
    models = {n: model((n, f"up-{n}")) for n in NAMES}
    models.update({refusing(i): model((r.provider, refusing(i))) for i, r in enumerate(REFUSALS)})
    models.update({hiding(i): model((h[0], hiding(i))) for i, h in enumerate(HIDDEN)})
    models["defaults"] = model({"provider": "xai", "model": "up-defaults",
                                "options": {"drop": ["stop"], "search_parameters": {"mode": "off"}, "top_p": 0.1}})
    with shipped(Gateway(models=models, env=environment(up.port, NAMES))) as g:
        yield g


def one(gw, up, body):
    """(reply, the one request that came for it)"""
    before = len(up.requests)
    with gw.client() as c:
        r = c.chat(body)
    assert len(up.requests) == before + 1, r
    return r, up.requests[-1]


def listed(r):
    return sorted(filter(None, (p.strip() for p in (r.header("X-Turnpike-Dropped") or "").split(","))))


# ---- Where it goes.
@pytest.mark.parametrize("name", NAMES)
def test_address_and_key(gw, up, name):
    r, got = one(gw, up, ask(name))
    assert r.status == 200 and r.json()["choices"][0]["message"]["content"] == "fine"
    path = f"/{name}{CHAT}"
    if name == "azure":
        path = "/azure/openai/deployments/up-azure/chat/completions?api-version=2024-10-21"
    assert (got.method, got.path) == ("POST", path)
    if name.startswith("azure"):
        assert got.header("api-key") == "key-of-azure" and got.header("authorization") is None
    else:
        assert got.header("authorization") == f"Bearer key-of-{name}" and got.header("api-key") is None
    assert got.header("content-type") == "application/json"
    assert KEY not in str(got.headers)
    assert got.json() == ask(f"up-{name}")  # what needs no change is not changed
    assert listed(r) == []


@pytest.mark.parametrize("name", ARRIVES)
def test_what_arrives(gw, up, name):
    dropped, other = ARRIVES[name]
    r, got = one(gw, up, {"model": name, **FULL})
    assert r.status == 200, r
    want = json.loads(json.dumps({"model": f"up-{name}", **FULL}))
    for place in dropped.split():
        if place.startswith("messages["):
            del want["messages"][int(place[9])][place.partition(".")[2]]
        else:
            del want[place]
    for place, value in other.items():
        if place.startswith("messages["):
            want["messages"][int(place[9])][place.partition(".")[2]] = value
        elif value is None:
            del want[place]
        else:
            want[place] = value
    assert got.json() == want
    assert listed(r) == sorted(dropped.split())


def test_what_arrives_at_mistral(gw, up):
    r, got = one(gw, up, {"model": "mistral", **FULL})
    sent = got.json()
    assert sent["max_tokens"] == 50 and sent["random_seed"] == 7 and sent["tool_choice"] == "any"
    assert sent["messages"][0] == {"role": "system", "content": "be brief"}
    assert sent["messages"][2]["content"][0] == {"type": "thinking", "thinking": [{"type": "text", "text": "so I greet"}]}
    assert not {"max_completion_tokens", "seed", "logit_bias", "store", "user", "of_its_own"} & set(sent)
    assert {"logit_bias", "logprobs", "top_logprobs", "store", "user", "verbosity", "service_tier", "of_its_own",
            "messages[0].name"} <= set(listed(r)), listed(r)
    assert not {"seed", "max_completion_tokens", "n", "stop", "tools"} & set(listed(r))


@pytest.mark.parametrize("name", THINKS)
def test_thought(gw, up, name):
    said, want = THINKS[name]
    _, got = one(gw, up, ask(name, **said))
    sent = got.json()
    del sent["model"], sent["messages"]
    assert sent == want


def test_what_says_nothing_is_left_out_without_a_word(gw, up):
    r, got = one(gw, up, ask("groq", n=1, logprobs=False, logit_bias={}, top_logprobs=0, tool_choice="auto"))
    assert listed(r) == [] and set(got.json()) == {"model", "messages", "tool_choice"}
    r, got = one(gw, up, ask("ollama", tool_choice="auto", n=1, logit_bias=None))
    assert listed(r) == [] and set(got.json()) == {"model", "messages"}


def test_a_strict_client_is_told(gw, up):
    before = len(up.requests)
    with gw.client() as c:
        r = c.chat(ask("groq", logit_bias={"1": 5}), headers=[("X-Turnpike-Strict", "true")])
    assert r.status == 400 and "logit_bias" in r.body.decode() and len(up.requests) == before


def test_a_deployment_has_its_own(gw, up):
    r, got = one(gw, up, ask("defaults", stop=["x"], top_p=0.7))
    assert got.json() == ask("up-defaults", top_p=0.7, search_parameters={"mode": "off"})
    assert listed(r) == ["stop"]


# ---- Streams.
@pytest.mark.parametrize("name", NAMES)
def test_stream(gw, up, name):
    r, got = one(gw, up, ask(name, stream=True))
    events = r.events()
    assert events.pop() == b"[DONE]"
    text = "".join(c["delta"].get("content") or "" for e in events for c in json.loads(e)["choices"])
    assert r.status == 200 and text == "fine"
    asked = got.json().get("stream_options")
    assert asked == (None if name in ("perplexity", "mistral", "codestral") else {"include_usage": True})
    assert b'"usage"' not in r.body  # nobody asked for it


def test_citations_of_a_search_pass(gw, up, script):
    found = {"citations": ["https://a.example"], "search_results": [{"title": "A", "url": "https://a.example"}]}
    script.by_model["up-perplexity"] = chunked(
        [piece({"role": "assistant", "content": "fi"}, usage=USAGE, **found),
         piece({"content": "ne"}, "stop", usage=USAGE, **found), b"data: [DONE]\n\n"])
    try:
        r, _ = one(gw, up, ask("perplexity", stream=True, stream_options={"include_usage": True}))
    finally:
        del script.by_model["up-perplexity"]
    docs = [json.loads(e) for e in r.events() if e != b"[DONE]"]
    assert docs[0]["citations"] == found["citations"] and docs[0]["search_results"] == found["search_results"]
    assert docs[-1]["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("name,body,says", [
    ("groq", b'event: error\ndata: {"error":{"message":"Failed to call a function.","type":"invalid_request_error",'
             b'"code":"tool_use_failed","failed_generation":"x"}}\n\n', "Failed to call"),
    ("openrouter", event({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                          "error": {"code": 502, "message": "Provider disconnected"},
                          "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}), "disconnected"),
    ("vllm", event({"object": "error", "message": "engine died", "type": "InternalServerError", "code": 500}), "engine"),
    ("mistral", event({"object": "error", "message": "Internal error", "type": "internal", "code": "3000"}), "Internal"),
])
def test_an_error_in_mid_stream(gw, up, script, name, body, says):
    script.by_model[f"up-{name}"] = chunked([piece({"role": "assistant", "content": "be"}), body])
    try:
        r, _ = one(gw, up, ask(name, stream=True))
    finally:
        del script.by_model[f"up-{name}"]
    events = r.events()
    assert r.status == 200 and b"[DONE]" not in events
    assert says in json.loads(events[-1])["error"]["message"]


# ---- When they refuse.
@pytest.mark.parametrize("i", range(len(REFUSALS)), ids=lambda i: f"{REFUSALS[i].provider}-{REFUSALS[i].status}-{i}")
def test_refusal(gw, script, i):
    e = REFUSALS[i]
    headers = [(k, str(int(time.time()) + int(v[2:])) if v.startswith("@+") else v) for k, v in e.headers]
    script.by_model[refusing(i)] = reply(e.status, e.body, headers=headers,
                                         content_type="text/html" if isinstance(e.body, bytes) else "application/json")
    with gw.client() as c:
        r = c.chat(ask(refusing(i)))
    assert r.status == e.wanted, r
    assert e.says in r.error["message"], r.error
    if e.kind:
        assert r.error["type"] == e.kind, r.error
    if e.code:
        assert r.error["code"] == e.code, r.error
    if e.param:
        assert r.error["param"] == e.param, r.error
    wait = r.header("Retry-After")
    if e.retry:
        assert wait and e.retry - 1 <= int(wait) <= e.retry + 1, r
    elif e.wanted == 429:
        assert wait is None or int(wait) > 0


@pytest.mark.parametrize("i", range(len(HIDDEN)), ids=lambda i: f"{HIDDEN[i][0]}-{HIDDEN[i][1]}")
def test_what_concerns_the_gateway_alone(gw, script, i):
    name, status, body = HIDDEN[i]
    script.by_model[hiding(i)] = reply(status, body)
    with gw.client() as c:
        r = c.chat(ask(hiding(i)))
    assert r.status == (502 if status == 401 else 503), r
    text = r.body.decode().lower()
    assert r.status == 502 or not any(w in text for w in ("quota", "balance", "credit", "permission", "plan")), r


# ---- Servers of one's own.
def test_servers_of_ones_own_need_no_key(up):
    models = {n: model((n, f"up-{n}")) for n in LOCAL}
    with shipped(Gateway(models=models, env=environment(up.port, LOCAL, keys=False))) as g:
        for n in LOCAL:
            r, got = one(g, up, ask(n))
            assert r.status == 200 and got.header("authorization") is None and got.path == f"/{n}{CHAT}"


def test_without_an_address_they_sleep(up):
    models = {n: model((n, f"up-{n}")) for n in LOCAL + ["azure", "groq"]}
    env = {**environment(up.port, ["groq"], keys=False), "OLLAMA_API_KEY": "k", "AZURE_API_KEY": "k"}
    gw = shipped(Gateway(models=models, env=env))
    said = gw.command("check")
    for n in LOCAL:
        assert f"provider {n} is dormant: environment variable {n.upper()}_BASE_URL is not set" in said
    assert "provider azure is dormant: environment variable AZURE_BASE_URL is not set" in said
    assert "provider groq is dormant: environment variable GROQ_API_KEY is not set" in said
    before = len(up.requests)
    with gw, gw.client() as c:
        assert c.chat(ask("echo")).status == 200
        for n in LOCAL + ["azure", "groq"]:
            assert c.chat(ask(n)).status in (404, 503)
    assert len(up.requests) == before
