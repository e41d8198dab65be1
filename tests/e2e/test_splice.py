"""Every byte of a request that is not in the documented list of edits reaches the upstream as it was
sent: the requests here are bytes, and what the upstream got is compared as bytes."""
import json
import random

import pytest

from harness.gateway import Gateway, model, openai


@pytest.fixture(scope="module")
def gw(mock):
    capped = {"provider": "up", "model": "real", "max_output_tokens": 100}
    with Gateway(
        providers={
            "up": openai(mock.url),
            "plain": openai(mock.url, options={"stream_usage": False, "drop": ["logit_bias"],
                                               "rename": {"max_completion_tokens": "max_tokens"}}),
        },
        models={
            "m": model(("up", "real")),
            "quoted": model(("up", 'real "quoted"/\\ \u00e9')),
            "capped": model(capped),
            "plain": model(("plain", "real")),
        },
    ) as g:
        yield g


def sent_and_got(gw, mock, body, headers=()):
    mock.reset()
    with gw.client() as c:
        r = c.chat(body if isinstance(body, bytes) else body.encode(), headers)
    assert r.status == 200, r
    return mock.last(), r


MESSAGES = '"messages":[{"role":"user","content":"hi"}]'

# Everything here but the model must arrive untouched.
UNTOUCHED = [
    # 64-bit and larger numbers, and every spelling of a number
    '{"model":"m","seed":9223372036854775807,' + MESSAGES + "}",
    '{"model":"m","seed":-9223372036854775808,' + MESSAGES + "}",
    '{"model":"m","x":[1E2,1e+2,0.30000000000000004,1.0,-0,-0.0,1e400,123456789012345678901234567890],' + MESSAGES + "}",
    '{"temperature":1.0,"top_p":1E-1,"model":"m",' + MESSAGES + "}",
    # the order of keys, and model last
    '{"zebra":1,' + MESSAGES + ',"apple":2,"model":"m"}',
    # whitespace of every kind
    '  {\n\t"model" :\r\n "m" ,\n "stop" : [ "a" , "b" ] , ' + MESSAGES + "  }  \n",
    # escapes stay spelled as they are
    '{"model":"m","messages":[{"role":"user","content":"\\u0041\\/\\ud83d\\ude80 \u00fc \U0001f680 \\"q\\" \\\\"}]}',
    # unknown fields at every depth
    '{"model":"m","future":{"deep":[{"a":null}]},"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],"name":"n","extra":true}]}',
    # names that look like those that are edited, deeper down
    '{"metadata":{"model":"keep","stream":"keep","turnpike":"keep","max_tokens":"keep"},"model":"m",' + MESSAGES + "}",
    # tools with a schema in an order of its own
    '{"tools":[{"function":{"parameters":{"properties":{"b":{"type":"string"},"a":{"enum":[1,1.0,1e0]}},"type":"object"},"name":"f"},"type":"function"}],"tool_choice":"auto","model":"m",' + MESSAGES + "}",
    # an empty object among the members, and empty strings
    '{"model":"m","user":"","logit_bias":{},"metadata":{},' + MESSAGES + "}",
]


@pytest.mark.parametrize("body", UNTOUCHED, ids=range(len(UNTOUCHED)))
def test_only_the_model_is_replaced(gw, mock, body):
    got, _ = sent_and_got(gw, mock, body)
    at = body.rindex('"m"') if body.count('"m"') == 1 else body.index('"m"')
    assert got.decode() == body[:at] + '"real"' + body[at + 3:]


def test_model_spelled_with_escapes(gw, mock):
    got, _ = sent_and_got(gw, mock, '{"\\u006dodel":"\\u006d",' + MESSAGES + "}")
    assert got.decode() == '{"\\u006dodel":"real",' + MESSAGES + "}"


def test_model_name_is_quoted(gw, mock):
    got, _ = sent_and_got(gw, mock, '{"model":"quoted",' + MESSAGES + "}")
    assert json.loads(got)["model"] == 'real "quoted"/\\ \u00e9'
    assert got.endswith(b"," + MESSAGES.encode() + b"}")


@pytest.mark.parametrize("name", ["m", "up/real"])
def test_model_by_provider(gw, mock, name):
    got, r = sent_and_got(gw, mock, '{"model":"%s",%s}' % (name, MESSAGES))
    assert json.loads(got)["model"] == "real" and r.json()["model"] == "real"


@pytest.mark.parametrize("before, after", [
    # hints are the gateway's: cut out with their comma, wherever they stand
    ('{"turnpike":{"a":1},"model":"m",%s}', '{"model":"real",%s}'),
    ('{"model":"m","cailos":{"optimise":"speed"},%s}', '{"model":"real",%s}'),
    ('{"model":"m",%s,"turnpike":{}}', '{"model":"real",%s}'),
    ('{"model":"m", "turnpike" : {} , %s}', None),
    ('{"turnpike":{},"cailos":{},"model":"m",%s}', '{"model":"real",%s}'),
])
def test_hints_are_cut(gw, mock, before, after):
    got, _ = sent_and_got(gw, mock, before % MESSAGES)
    if after:
        assert got.decode() == after % MESSAGES
    else:
        assert json.loads(got) == {"model": "real", **json.loads("{" + MESSAGES + "}")}


@pytest.mark.parametrize("options, expected", [
    (None, '{"include_usage":true}'),
    ("{}", '{"include_usage":true}'),
    ("null", '{"include_usage":true}'),
    ('{"include_usage":false}', '{"include_usage":true}'),
    ('{"include_usage":true}', '{"include_usage":true}'),
    ('{ "include_usage" : true , "later" : 1.0 }', '{ "include_usage" : true , "later" : 1.0 }'),
    ('{"later":1.0}', '{"include_usage":true,"later":1.0}'),
])
def test_usage_is_asked_for(gw, mock, options, expected):
    given = f',"stream_options":{options}' if options is not None else ""
    got, _ = sent_and_got(gw, mock, '{"model":"m","stream":true,"temperature":1.0,' + MESSAGES + given + "}")
    assert got.decode() == ('{"model":"real","stream":true,"temperature":1.0,' + MESSAGES +
                            ',"stream_options":' + expected + "}")


def test_stream_false_asks_for_nothing(gw, mock):
    got, _ = sent_and_got(gw, mock, '{"model":"m","stream":false,' + MESSAGES + "}")
    assert got.decode() == '{"model":"real","stream":false,' + MESSAGES + "}"


@pytest.mark.parametrize("before, after", [
    ('"max_tokens":99', '"max_tokens":99'),
    ('"max_tokens": 100', '"max_tokens": 100'),
    ('"max_tokens": 101', '"max_tokens": 100'),
    ('"max_completion_tokens":5000', '"max_completion_tokens":100'),
    # both: the newer one takes precedence
    ('"max_tokens":7,"max_completion_tokens":8', '"max_completion_tokens":8'),
    ('"max_completion_tokens":800,"max_tokens":700', '"max_completion_tokens":100'),
])
def test_token_limits(gw, mock, before, after):
    got, _ = sent_and_got(gw, mock, '{"model":"capped",' + before + "," + MESSAGES + "}")
    assert got.decode() == '{"model":"real",' + after + "," + MESSAGES + "}"


def test_upstream_of_fewer_parameters(gw, mock):
    got, r = sent_and_got(
        gw, mock, '{"model":"plain","logit_bias":{"5":1},"max_completion_tokens":7,"temperature":1.0,"stream":true,'
        + MESSAGES + "}")
    assert got.decode() == '{"model":"real","max_tokens":7,"temperature":1.0,"stream":true,' + MESSAGES + "}"
    assert r.header("X-Turnpike-Dropped") == "logit_bias"


def test_head_of_the_upstream_request(gw, mock):
    """The client's key and hop-by-hop headers stay here; the provider's key goes there."""
    sent_and_got(gw, mock, '{"model":"m",' + MESSAGES + "}",
                 [("Cookie", "secret=1"), ("X-Custom", "c"), ("Accept-Encoding", "gzip")])
    head = mock.last_head()
    lines = {l.split(":")[0].lower(): l.split(":", 1)[1].strip() for l in head.split("\r\n")[1:] if l}
    assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert lines["authorization"] == "Bearer sk-upstream-secret"
    assert lines["content-type"] == "application/json"
    assert "tp_live_" not in head and "cookie" not in lines and "x-custom" not in lines
    assert "gzip" not in lines.get("accept-encoding", "")
    assert int(lines["content-length"]) == len(mock.last())


def test_large_bodies(gw, mock):
    """Bodies that come in many reads and go out in many writes."""
    rng = random.Random(7)
    for size in (100, 70000, 1 << 20, 5 << 20):
        text = "".join(rng.choices('abc \u00e9\u4f60"\\\n', k=size // 2))
        body = json.dumps({"model": "m", "seed": 9007199254740993,
                           "messages": [{"role": "user", "content": text}]},
                          ensure_ascii=rng.random() < 0.5)
        got, _ = sent_and_got(gw, mock, body)
        assert got.decode() == body.replace('"m"', '"real"', 1)


def test_chunked_request(gw, mock):
    body = ('{"model":"m","temperature":1.0,' + MESSAGES + "}").encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7])
                      for i in range(0, len(body), 7)) + b"0\r\n\r\n"
    mock.reset()
    with gw.client() as c:
        r = c.request("POST", "/v1/chat/completions", pieces, [("Transfer-Encoding", "chunked")])
    assert r.status == 200
    assert mock.last() == body.replace(b'"m"', b'"real"')


def test_many_random_bodies(gw, mock):
    rng = random.Random(20240611)

    def value(depth):
        kind = rng.randrange(7 if depth < 4 else 5)
        if kind == 0:
            return rng.choice(["null", "true", "false"])
        if kind == 1:
            return rng.choice(["0", "-0", "1.50", "1e5", "18446744073709551615", "0.1E-7"])
        if kind < 5:
            return rng.choice(['""', '"x"', '"\\u00e9\\n"', '"\u4f60"', '"a\\\\"', '"model"'])
        members = [value(depth + 1) for _ in range(rng.randrange(4))]
        if kind == 5:
            return "[" + space() + ("," + space()).join(members) + "]"
        return "{" + ",".join(f'{space()}"k{i}"{space()}:{m}' for i, m in enumerate(members)) + space() + "}"

    def space():
        return rng.choice(["", "", " ", "\n  ", "\t"])

    with gw.client() as c:
        for _ in range(150):
            members = [f'"f{i}"{space()}:{space()}{value(0)}' for i in range(rng.randrange(8))]
            members += ['"model":"m"', MESSAGES]
            rng.shuffle(members)
            body = "{" + space() + ("," + space()).join(members) + space() + "}"
            r = c.chat(body.encode())
            assert r.status == 200, (body, r)
            assert mock.last().decode() == body.replace('"model":"m"', '"model":"real"'), body
