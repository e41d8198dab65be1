"""The gateway that the tests of keys share: all shipped surfaces, four workers, models with a price, two
teams with credits. What they know of it in common.

    with acme(mock, upstreams) as gw:
        gw.chat(gw.key(team="acme")["key"], "m")
"""
import contextlib
import re

from .govern import KEY, SURFACES, Governed, model, openai, priced, upstream

SECRET = "[A-Za-z0-9_-]{43}"
# 11 prompt and 7 completion tokens come to 0.000025 dollars.
PRICE = {"prompt": "0.000001", "completion": "0.000002"}
COST = 25_000
ID = re.compile(r"key_[A-Za-z0-9]+")
WHOLE = {"id": "up-1", "object": "chat.completion", "created": 1, "model": "own", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}
# What is no key, or none that anybody has.
WRONG = [None, "", "air_live_" + "x" * 43, "tp_live_" + "A" * 43, "kr_live_short", "x" * 2000, "a b", "Bearer " + KEY]


@contextlib.contextmanager
def acme(mock, upstreams):
    """Teams acme and rival with 100 dollars each, and one that conf.d names. upstreams: who answers `byok`."""
    with Governed(
            surfaces=SURFACES, workers=4,
            providers={"up": openai(mock.url, trust_level=1),
                       "house": openai(mock.url, trust_level=3, local=True),
                       "own": openai(upstreams.url)},
            models={"m": priced("up", PRICE, aliases=["m-alias"]),
                    "other": priced("up", PRICE, upstream(name="x")),
                    "local": priced("house", PRICE),
                    "both": model({"provider": "up", "model": upstream(), "price": PRICE},
                                  {"provider": "house", "model": upstream(name="h"), "price": PRICE}),
                    "openai/gpt-5.4": priced("up", PRICE), "anthropic/claude-sonnet-4.5": priced("up", PRICE),
                    "google/gemini-3-pro": priced("up", PRICE), "gpt-4o": priced("up", PRICE),
                    "kr-auto": priced("up", PRICE), "byok": priced("own", PRICE)},
            sections={"teams": {"written": {"billing": "postpaid"}}}) as g:
        g.team("acme", credits="100")
        g.team("rival", credits="100")
        yield g


def assert_shape(error, surface, status):
    """The envelope of the surface, nothing more and nothing less."""
    assert isinstance(error["message"], str) and error["message"]
    members = {"airouter": {"message", "type", "code"}, "kilo": {"message", "code"}}.get(
        surface, {"message", "type", "param", "code"})
    assert set(error) == members, error
    if surface in ("airouter", "kilo"):
        assert error["code"] == status  # an integer
