"""Teams that are inactive, and what a team's policy denies. C-65, Ki-52; R-2."""
import hashlib
import json
import re

import pytest

from harness.acme import PRICE, SECRET, acme, assert_shape
from harness.govern import Governed, openai, priced


@pytest.fixture(scope="module")
def gw(mock, upstreams):
    with acme(mock, upstreams) as g:
        yield g


def test_inactive_team(gw):
    gw.team("sleepy", billing="postpaid")
    doc = gw.key(team="sleepy", role="management")
    assert gw.chat(doc["key"]).status == 200
    gw.api("PATCH", "teams/sleepy", {"active": False})
    for path, surface in (("/v1", "turnpike"), ("/api/v1", "airouter"), ("/api/gateway", "kilo")):
        r = gw.chat(doc["key"], path=path + "/chat/completions")
        assert r.status == 403, r
        assert_shape(r.error, surface, 403)
        assert "inactive" in r.error["message"]
    assert gw.ask("GET", "/v1/keys", key=doc["key"]).status == 403  # nor manages it
    assert gw.ask("GET", "/api/v1/models", key=doc["key"]).status == 200  # public
    gw.api("PATCH", "teams/sleepy", {"active": True})
    assert gw.chat(doc["key"]).status == 200
    assert gw.ask("PATCH", "/admin/teams/written", {"active": False}).status == 409  # conf.d says so


DENIED = [
    ({"deny_models": ["m"]}, "m", "other"), ({"deny_models": ["up/m*"]}, "m", "other"),
    ({"deny_models": ["m-alias"]}, "m", "other"), ({"deny_models": ["m"]}, "m-alias", "other"),
    ({"allow_models": ["oth*"]}, "m", "other"), ({"allow_models": ["m", "other"], "deny_models": ["m"]}, "m", "other"),
    ({"deny_providers": ["up"]}, "m", "local"), ({"allow_providers": ["house"]}, "m", "both"),
    ({"min_trust": 3}, "m", "local"), ({"min_trust": 2}, "m", "both"), ({"data_local": True}, "m", "local"),
    ({"data_local": True}, "other", "both")]


@pytest.mark.parametrize("policy, denied, allowed", DENIED)
def test_policies(gw, mock, policy, denied, allowed):
    id = "p" + hashlib.sha256(repr((policy, denied)).encode()).hexdigest()[:8]
    team = gw.team(id, billing="postpaid", policy=policy)
    assert {k: team["policy"][k] for k in policy} == policy
    key = gw.key(team=id)["key"]
    mock.reset()
    for path, surface, words in (
            ("/v1", "turnpike", None), ("/api/v1", "airouter", None),
            ("/api/gateway", "kilo", "Forbidden -- model not allowed by organization policy")):
        r = gw.chat(key, denied, path + "/chat/completions")
        assert r.status == 403, r
        assert_shape(r.error, surface, 403)
        assert words is None or r.error["message"] == words
        if surface == "turnpike":
            assert r.error["type"] == "permission_error" and r.error["code"] == "policy_denied"
            assert next(iter(policy)) in r.error["message"] or len(policy) > 1  # says what denied it
    assert mock.last() is None  # nobody was asked
    for path in ("/v1", "/api/v1", "/api/gateway"):
        r = gw.chat(key, allowed, path + "/chat/completions")
        assert r.status == 200, r
    if allowed == "both":  # what is left of it
        assert json.loads(mock.last())["model"].startswith("h?")
    r = gw.chat(key, "no-such-model")
    assert r.status == 404  # an unknown model stays unknown
    # A policy that is taken back counts at once.
    gw.api("PATCH", f"teams/{id}", {"policy": None})
    assert gw.chat(key, denied).status == 200


def test_cailos_in_its_own_words(mock):
    """C-2, C-65, C-67: where the surface has /v1 to itself."""
    cailos = {"base_path": "/v1", "words": "cailos", "key_prefix": "cai_", "key_limit": 2, "hints_keys": ["cailos"]}
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)},
                  sections={"surfaces": {"cailos": cailos}}) as gw:
        gw.team("t", billing="postpaid")
        boss = gw.key(team="t", role="management")
        doc = gw.api("POST", "/v1/keys", {"name": "x"}, boss["key"], status=201)
        assert re.fullmatch("cai_" + SECRET, doc["key"]) and doc["rate_limit"] == 2
        r = gw.ask("GET", "/v1/models")
        assert gw.ask("GET", "/v1/models", key=None).error["message"] == "Missing or invalid API key."
        gw.api("PATCH", "teams/t", {"active": False})
        r = gw.chat(doc["key"])
        assert r.status == 403 and r.error["message"] == "Key valid but team is inactive.", r
        assert_shape(r.error, "cailos", 403)
        gw.api("PATCH", "teams/t", {"active": True})
        assert [gw.chat(doc["key"]).status for _ in range(3)] == [200, 200, 429]
        r = gw.chat(doc["key"])
        assert r.error["message"] == "Rate limit exceeded." and 1 <= int(r.header("Retry-After")) <= 60
