"""Provider keys of the customer's own. Ki-48."""
import pytest

from harness.acme import COST, PRICE, acme
from harness.govern import Governed, openai, priced


@pytest.fixture(scope="module")
def gw(mock, upstreams):
    with acme(mock, upstreams) as g:
        yield g


def sent_keys(upstreams):
    out = [r.header("authorization") for r in upstreams.requests]
    upstreams.requests.clear()
    return out


def test_byok(gw, upstreams):
    gw.team("owner", credits="1")
    boss, key = gw.key(team="owner", role="management"), gw.key(team="owner")["key"]
    upstreams.requests.clear()
    assert gw.chat(key, "byok").status == 200
    assert sent_keys(upstreams) == ["Bearer sk-upstream-secret"]
    assert gw.balance("owner") == 1_000_000_000 - COST

    def put(body, **more):
        return gw.ask("PUT", "/admin/teams/owner/byok/own", body, boss["key"])

    r = put({"key": "sk-customer-own-4711"})
    assert r.status == 200, r
    assert r.json()["hint"] == "4711" and r.json()["type"] == "api_key" and r.json()["provider"] == "own"
    assert "customer" not in r.body.decode()
    reply_id = gw.chat(key, "byok").json()["id"]
    assert sent_keys(upstreams) == ["Bearer sk-customer-own-4711"]  # at once, and instead of the gateway's
    assert gw.balance("owner") == 1_000_000_000 - COST  # not charged
    doc = gw.api("GET", f"/v1/generation?id={reply_id}", key=key)
    assert doc["byok"] is True and doc["charged"] == 0 and round(doc["total_cost"] * 1e9) == COST
    # The codestral key is another one: for fill-in-the-middle requests, not for these.
    assert put({"key": "sk-codestral-0815", "type": "codestral"}).status == 200
    assert gw.chat(key, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-customer-own-4711"]
    listed = gw.ask("GET", "/admin/teams/owner/byok", key=boss["key"])
    assert {(k["provider"], k["type"], k["hint"]) for k in listed.json()["data"]} == {
        ("own", "api_key", "4711"), ("own", "codestral", "0815")}
    assert "customer" not in listed.body.decode()
    other = gw.key(team="acme")["key"]  # another team is none of it
    assert gw.chat(other, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-upstream-secret"]
    # A team without credits may use its own key.
    gw.team("poor")
    poor = gw.key(team="poor")["key"]
    assert gw.chat(poor, "byok").status == 402
    gw.api("PUT", "teams/poor/byok/own", {"key": "sk-poor-0000"})
    assert gw.chat(poor, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-poor-0000"]
    assert gw.balance("poor") == 0

    r = gw.ask("DELETE", "/admin/teams/owner/byok/own", key=boss["key"])
    assert r.status == 200 and r.json()["deleted"] is True
    assert gw.chat(key, "byok").status == 200 and sent_keys(upstreams) == ["Bearer sk-upstream-secret"]
    for bad in ({}, {"key": ""}, {"key": "two words"}, {"key": "x" * 4097}, {"key": "x", "type": "oauth"}, {"key": 5}):
        assert put(bad).status == 400, bad
    r = gw.ask("PUT", "/admin/teams/owner/byok/onw", {"key": "x"}, boss["key"])
    assert r.status == 400 and "did you mean 'own'" in r.error["message"], r
    assert gw.ask("PUT", "/admin/teams/acme/byok/own", {"key": "x"}, boss["key"]).status == 404


def test_byok_fee(upstreams):
    """Where a fee is configured, it is held and charged, and no more."""
    with Governed(providers={"own": openai(upstreams.url)}, models={"byok": priced("own", {"request": "0.01"})},
                  sections={"billing": {"byok_fee_permille": 50}}) as gw:
        gw.team("owner", credits="0.0005")
        gw.api("PUT", "teams/owner/byok/own", {"key": "sk-customer"})
        key = gw.key(team="owner")["key"]
        r = gw.chat(key, "byok")
        assert r.status == 200 and gw.balance("owner") == 0
        doc = gw.api("GET", f"/v1/generation?id={r.json()['id']}", key=key)
        assert doc["byok"] is True and doc["charged"] == 0.0005 and doc["total_cost"] == 0.01
        assert gw.chat(key, "byok").status == 402
        gw.verify()


def test_byok_where_the_gateway_has_no_key(upstreams):
    """A provider that is dormant for want of a key serves those who bring one, and nobody else."""
    dormant = openai(upstreams.url, api_key={"env": "NOBODY_HAS_SET_THIS"})
    with Governed(providers={"own": dormant}, models={"byok": priced("own", PRICE)}) as gw:
        gw.team("owner")
        gw.api("PUT", "teams/owner/byok/own", {"key": "sk-customer-0001"})
        key, other = gw.key(team="owner")["key"], gw.key()["key"]
        upstreams.requests.clear()
        assert gw.chat(key, "byok").status == 200
        assert sent_keys(upstreams) == ["Bearer sk-customer-0001"]
        assert gw.chat(other, "byok").status == 404 and not upstreams.requests

        def listed(k):
            return {m["id"] for m in gw.ask("GET", "/v1/models", key=k).json()["data"]}
        assert "byok" in listed(key) and "byok" not in listed(other)
        gw.api("DELETE", "teams/owner/byok/own")
        assert gw.chat(key, "byok").status == 404 and not upstreams.requests
