"""Golden invoices through the daemon: what an upstream reports, what the ledger makes of it, each amount
worked out by hand beside it in nano-dollars (1 dollar = 1,000,000,000), and what was held for it."""
import json
import re

import pytest

from harness.govern import Governed, model, money, openai
from harness.raw import eventually
from harness.scripted import Upstream, chunked, reply

# In nano-dollars a token: 3,000 in, 300 from the cache, 3,750 to it, 15,000 out, 20,000 thought, sound 40,000 in and
# 80,000 out; a request 1,000,000.
PRICE = {"prompt": "0.000003", "cache_read": "0.0000003", "cache_write": "0.00000375", "completion": "0.000015",
         "reasoning": "0.00002", "audio_prompt": "0.00004", "audio_completion": "0.00008", "request": "0.001"}
DEAR, DEAR_OUT, REQUEST = 3750, 20_000, 1_000_000  # what a prompt and a completion token may cost at most; a request
HUGE = 2 ** 62
TEN = 10_000_000_000  # dollars that teams begin with
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA" * 20, "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def usage(prompt, completion, **details):
    doc = {"prompt_tokens": prompt, "completion_tokens": completion}
    for name, (side, member) in {"cached": ("prompt", "cached_tokens"), "written": ("prompt", "cache_write_tokens"),
                                 "sound": ("prompt", "audio_tokens"), "spoken": ("completion", "audio_tokens"),
                                 "thought": ("completion", "reasoning_tokens")}.items():
        if name in details:
            doc.setdefault(f"{side}_tokens_details", {})[member] = details[name]
    if isinstance(prompt, int) and isinstance(completion, int):
        doc["total_tokens"] = prompt + completion
    return doc


# name: what is asked for beside a text, what the upstream reports, the classes that it comes to, the amount.
INVOICES = {
    # 1,000 x 3,000 = 3,000,000; 500 x 15,000 = 7,500,000; the request 1,000,000.
    "plain": ({}, usage(1000, 500), {"prompt": 1000, "completion": 500}, 11_500_000),
    # 200 x 3,000 = 600,000; 1,000 x 300 = 300,000; 50 x 15,000 = 750,000; 1,000,000.
    "cached": ({}, usage(1200, 50, cached=1000), {"prompt": 200, "cache_read": 1000, "completion": 50}, 2_650_000),
    # 10 x 3,000 = 30,000; 590 x 300 = 177,000; 600 x 3,750 = 2,250,000; 7 x 15,000 = 105,000; 1,000,000.
    "written": ({}, usage(1200, 7, cached=590, written=600),
                {"prompt": 10, "cache_read": 590, "cache_write": 600, "completion": 7}, 3_562_000),
    # 100 x 3,000 = 300,000; 20 x 15,000 = 300,000; 40 x 20,000 = 800,000; 1,000,000.
    "reasoning": ({}, usage(100, 60, thought=40), {"prompt": 100, "completion": 20, "reasoning": 40}, 2_400_000),
    # The prompt is read once: 100 x 3,000 = 300,000; three answers together 90 x 15,000 = 1,350,000; 1,000,000.
    "three": ({"n": 3}, usage(100, 90), {"prompt": 100, "completion": 90}, 2_650_000),
    # 20 x 3,000 = 60,000; 30 x 40,000 = 1,200,000; 5 x 15,000 = 75,000; 15 x 80,000 = 1,200,000; 1,000,000.
    "sound": ({"content": [SOUND], "modalities": ["text", "audio"]}, usage(50, 20, sound=30, spoken=15),
              {"prompt": 20, "audio_prompt": 30, "completion": 5, "audio_completion": 15}, 3_535_000),
    # A picture of 48,169 tokens, which its address does not tell: 48,200 x 3,000 = 144,600,000; 10 x 15,000 = 150,000;
    # 1,000,000.
    "picture": ({"content": [{"type": "text", "text": "what?"}, PICTURE]}, usage(48_200, 10),
                {"prompt": 48_200, "completion": 10}, 145_750_000),
    # What the provider wrote around the tool is read too: 700 x 3,000 = 2,100,000; 5 x 15,000 = 75,000; 1,000,000.
    "tool": ({"tools": [TOOL]}, usage(700, 5), {"prompt": 700, "completion": 5}, 3_175_000),
    # More of a part than of its whole: a part is at most all of it. 10 x 300 = 3,000; 4 x 20,000 = 80,000; 1,000,000.
    "parts": ({}, usage(10, 4, cached=99, written=99, thought=99), {"prompt": 0, "cache_read": 10, "completion": 0,
                                                                   "reasoning": 4}, 1_083_000),
    # Below zero is nothing, a fraction is cut off, words are no numbers: 10 x 3,000 = 30,000; 1,000,000.
    "odd": ({}, {"prompt_tokens": 10.9, "completion_tokens": -5, "total_tokens": "many",
                 "prompt_tokens_details": {"cached_tokens": "7", "audio_tokens": None}},
            {"prompt": 10, "completion": 0}, 1_030_000),
}
# What no upstream means, and how much of it a team of 10 dollars pays: all it has and not more.
LIES = {"lies": usage(HUGE, HUGE, cached=HUGE, thought=HUGE), "below": usage(-HUGE, HUGE)}


def whole(u):
    doc = {"id": "up-1", "object": "chat.completion", "created": 1, "model": "u", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "0123456789"}, "finish_reason": "stop"}]}
    return reply(200, doc if u is None else {**doc, "usage": u})


def chunk(delta=None, finish=None, usage=None):
    doc = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "u",
           "choices": [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps({**doc, "usage": usage} if usage else doc).encode() + b"\n\n"


FIRST = chunk({"role": "assistant", "content": ""})
TEXT = [FIRST, chunk({"content": "01234"}), chunk({"content": "56789"}), chunk({}, "stop")]
DONE = b"data: [DONE]\n\n"


def answer(r):
    """What is asked for is in the model's name; how, in whether it is streamed."""
    name = r.json()["model"]
    told = INVOICES[name][1] if name in INVOICES else LIES.get(name)
    if name == "partial-whole":  # half of a reply
        return [whole(usage(5000, 5000))[:-40], None]
    if name == "partial-stream":  # the usage was told, then it broke before the first word
        return [chunked([FIRST, chunk(usage=usage(5000, 5000))])[:-5], None]
    if name == "hanging":
        return [chunked(TEXT[:3])[:-5], 30]
    if not r.json().get("stream"):
        return whole(told)
    if name == "twice":  # as it goes, and again at the end: the last word counts
        return chunked([*TEXT[:2], chunk(usage=usage(9000, 1)), *TEXT[2:], chunk(usage=usage(40, 2)),
                        chunk(usage=usage(50, 3)), DONE])
    return chunked([*TEXT, *([chunk(usage=told)] if told else []), DONE])


@pytest.fixture(scope="module")
def upstream():
    with Upstream(answer) as u:
        yield u


@pytest.fixture(scope="module")
def gw(upstream):
    def on(name, price=PRICE):
        return {"provider": "up", "model": name, "price": price}

    models = {n: model(on(n)) for n in (*INVOICES, *LIES, "twice", "untold", "hanging")}
    # The first is dearer than the second by far, has told a usage, and fails.
    models |= {f"fallback-{k}": model(on(f"partial-{k}", {"prompt": "0.001", "completion": "0.001"}), on("plain"))
               for k in ("whole", "stream")}
    models["long"] = model(on("plain"), context_length=8000)
    with Governed(workers=2, providers={"up": openai(upstream.url)}, models=models) as g:
        yield g


def spend(gw, team, name, stream=False, content=None, **more):
    """(reply, its generation's record, the body that was sent)."""
    body = {"model": name, "messages": [{"role": "user", "content": content or "hello"}], "stream": stream, **more}
    if stream:
        body["stream_options"] = {"include_usage": True}
    r = gw.ask("POST", "/v1/chat/completions", body, team[1])
    assert r.status == 200, r
    id = json.loads(r.events()[0])["id"] if stream else r.json()["id"]
    return r, gw.generation(id), json.dumps(body)


@pytest.fixture
def team(gw, request):
    id = re.sub(r"\W", "-", request.node.name)[-40:].strip("-_").lower()
    gw.team(id, credits="10")
    return id, gw.key(team=id)["key"]


def entries(gw, team, id):
    return {e["kind"]: money(e["amount"]) for e in gw.ledger(team[0]) if e["generation"] == id}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", INVOICES)
def test_golden(gw, team, name, stream):
    more, told, classes, cost = INVOICES[name]
    _, doc, body = spend(gw, team, name, stream, max_tokens=600, **more)
    assert {k: v for k, v in doc["usage"].items() if v or k in ("prompt", "completion")} == classes
    assert money(doc["cost"]) == money(doc["charged"]) == cost and doc["estimated"] is False
    hold = money(doc["hold"])
    assert entries(gw, team, doc["id"]) == {"hold": -hold, "settle": -cost, "release": hold}
    assert hold >= cost
    if "sound" not in name:  # a token a byte; a picture, a tool as docs/operations.md says
        prompt = len(body) + 50_000 * (name == "picture") + 1024 * (name == "tool")
        assert hold == prompt * DEAR + 600 * more.get("n", 1) * DEAR_OUT + REQUEST
    assert gw.balance(team[0]) == TEN - cost == sum(money(e["amount"]) for e in gw.ledger(team[0]))


@pytest.mark.parametrize("part, tokens", [
    ({"type": "file", "file": {"file_id": "file-1"}}, 8000), ({"type": "video_url", "video_url": {"url": "http://a/b"}}, 8000)])
def test_what_has_no_end_holds_the_context(gw, team, part, tokens):
    _, doc, _ = spend(gw, team, "long", content=[part], max_tokens=10)
    assert money(doc["hold"]) == tokens * DEAR + 10 * DEAR_OUT + REQUEST


def test_a_search_holds_the_context(gw, team):
    for more in ({"web_search_options": {}}, {"tools": [{"type": "web_search"}]}):
        _, doc, _ = spend(gw, team, "long", max_tokens=10, **more)
        assert money(doc["hold"]) == 8000 * DEAR + 10 * DEAR_OUT + REQUEST


def test_the_last_word_on_usage_counts(gw, team):
    """50 x 3,000 + 3 x 15,000 + 1,000,000."""
    _, doc, _ = spend(gw, team, "twice", stream=True)
    assert doc["usage"] == {"prompt": 50, "completion": 3} and money(doc["charged"]) == 1_195_000
    assert entries(gw, team, doc["id"])["settle"] == -1_195_000


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_a_word_on_usage_is_estimated(gw, team, stream):
    """10 bytes are 3 tokens, 45,000; a token for each four bytes of the request at 3,000; 1,000,000."""
    _, doc, body = spend(gw, team, "untold", stream)
    cost = -(-len(body) // 4) * 3000 + 3 * 15_000 + REQUEST
    assert doc["status"] == "completed" and doc["estimated"] is True
    assert money(doc["cost"]) == cost and entries(gw, team, doc["id"])["settle"] == -cost


@pytest.mark.parametrize("how, stream", [("whole", False), ("stream", True)])
def test_fallback_after_partial_cost(gw, team, how, stream):
    """Whatever the first had told before it broke: 11,500,000 of the second's."""
    _, doc, body = spend(gw, team, f"fallback-{how}", stream, max_tokens=600)
    assert doc["attempts"] == 2 and doc["usage"] == {"prompt": 1000, "completion": 500} and doc["model_served"] == "plain"
    hold = len(body) * 1_000_000 + 600 * 1_000_000  # the dearest of the plan: 0.001 dollars a token
    assert entries(gw, team, doc["id"]) == {"hold": -hold, "settle": -11_500_000, "release": hold}


@pytest.mark.parametrize("picture", [0, 40_000])
def test_aborted(gw, team, picture):
    """10 bytes were relayed: 3 x 15,000 = 45,000. The prompt is estimated by its text, and a picture counts 1,000 whatever
    its bytes."""
    content = "hello" if not picture else [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * picture}}]
    body = json.dumps({"model": "hanging", "messages": [{"role": "user", "content": content}], "stream": True}).encode()
    with gw.client(key=team[1]) as c:
        c.send_request("POST", "/v1/chat/completions", body)
        c.read_head()
        while b"56789" not in c.rest:
            assert c._more()
        id = re.search(rb'"id":\s*"([^"]+)"', c.rest).group(1).decode()
    eventually(lambda: gw.credits(team[0])["held"] == 0)
    prompt = -(-(len(body) - picture) // 4) + 1000 * bool(picture)
    cost = prompt * 3000 + 45_000 + REQUEST
    doc = eventually(lambda: gw.generation(id))
    assert doc["status"] == "cancelled" and doc["estimated"] is True and doc["usage"] == {"prompt": prompt, "completion": 3}
    assert entries(gw, team, id)["settle"] == -cost and gw.balance(team[0]) == TEN - cost


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LIES)
def test_an_upstream_that_lies(gw, team, name, stream):
    """It is paid what there is, and the books stay right."""
    _, doc, _ = spend(gw, team, name, stream, max_tokens=10)
    assert all(0 <= n <= 2 ** 50 for n in doc["usage"].values()), doc["usage"]
    assert entries(gw, team, doc["id"])["settle"] == -TEN and gw.balance(team[0]) == 0
    gw.verify()


def test_a_postpaid_team_and_an_upstream_that_lies(gw):
    """One exchange is charged at most 2^60 nano-dollars, a team owes at most 4,000,000,000 dollars, and no sum overflows."""
    gw.team("trusting", billing="postpaid")
    team = "trusting", gw.key(team="trusting")["key"]
    charged = [money(spend(gw, team, "lies", max_tokens=10)[1]["charged"]) for _ in range(4)]
    assert charged == [2 ** 60] * 3 + [4 * 10 ** 18 - 3 * 2 ** 60]
    assert gw.chat(team[1], "plain").status == 402
    gw.verify()
    gw.again()  # the sums are read, and held against one another
    assert gw.balance("trusting") == -4 * 10 ** 18 == sum(money(e["amount"]) for e in gw.ledger("trusting"))
    gw.grant("trusting", "1")
    assert gw.chat(team[1], "plain", max_tokens=1).status == 200
    gw.verify()


def test_a_postpaid_team_that_asks_for_the_longest_answer(gw):
    """Its hold would be more than the ledger can count; what it is charged is what it comes to."""
    gw.team("greedy", billing="postpaid")
    team = "greedy", gw.key(team="greedy")["key"]
    for most in (10 ** 15, 2 ** 63 - 1):
        _, doc, _ = spend(gw, team, "plain", max_tokens=most)
        assert money(doc["hold"]) == 2 ** 60 and money(doc["charged"]) == 11_500_000
    assert gw.credits("greedy") == {"credited": 0, "used": 23_000_000, "held": 0, "balance": -23_000_000, "available": -23_000_000}
    gw.verify()
