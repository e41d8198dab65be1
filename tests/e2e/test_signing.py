"""Providers that sign: AWS Signature Version 4 from the configuration to the wire, verified by an
implementation of its own; what cannot be signed is said."""
import json

import pytest

from harness.gateway import Gateway, model
from harness.govern import Governed, together, user
from harness.paths import BUILD, TRANSPORT
from harness.scripted import Upstream, reply
from harness.signing import PLUGIN_SIGN, Account, aws4

ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
OWN_ID, OWN_SECRET, OWN_TOKEN = "ASIAOWNKEY", "own/secret+value", "FwoGZXIvYXdzEBYa//token=="
KEYS = {ID: SECRET, OWN_ID: (OWN_SECRET, OWN_TOKEN)}
AWS = {"scheme": "aws4", "params": {"service": "bedrock", "region": "eu-central-1"}}


def provider(url, **more):
    transport = {"proxy": "environment"} if TRANSPORT == "curl" else {}
    return {"plugin": "sign", "options": {"base_url": url}, **transport, **more}


def signed(name, **options):
    return model({"provider": name, "model": "m", "options": {**AWS, **options}})


def plugins():
    return {"plugins": {"sign": {"path": str(BUILD / PLUGIN_SIGN)}}}


@pytest.fixture(scope="module")
def aws():
    """An upstream that answers with who signed, and 403 when nobody did."""
    def answer(request):
        try:
            found = aws4(request, KEYS)
        except Exception as e:
            return reply(403, repr(e).encode(), "text/plain")
        return reply(200, json.dumps(found, sort_keys=True).encode(), "text/plain")
    with Upstream(answer) as u:
        yield u


@pytest.fixture(scope="module")
def gw(aws):
    bare = f"http://127.0.0.1:{aws.port}"
    key = {"access_key_id": ID, "secret_access_key": {"env": "AWS_SECRET"}}
    temporary = {"access_key_id": {"env": "TEMP_ID"}, "secret_access_key": OWN_SECRET, "session_token": OWN_TOKEN}
    with Governed(
            env={"AWS_SECRET": SECRET, "TEMP_ID": OWN_ID}, workers=2,
            providers={"aws": provider(bare, credential=key, headers={"X-Amz-Extra": "a   b"}),
                       "based": provider(bare + "/base/path/", credential=key),
                       "temporary": provider(bare, credential=temporary),
                       "one-line": provider(bare, api_key=f"{ID}:{SECRET}"),
                       "plain": provider(bare, api_key="sk-not-an-aws-key"),
                       "dormant": provider(bare, credential={"access_key_id": {"env": "NOWHERE"},
                                                             "secret_access_key": "x"})},
            models={"m": signed("aws"), "based": signed("based", path="/say?b=2&a=%2F1"),
                    "arn": signed("aws", path="/model/arn%3Aaws%3Abedrock%2Fmodel%20x/converse"),
                    "query": signed("aws", path="/x?B=1&a=%c3%a9&a=A&empty&k=a%20b%26c"),
                    "header": signed("aws", header="x-amz-custom"),
                    "temporary": signed("temporary"), "one-line": signed("one-line"), "plain": signed("plain"),
                    "dormant": signed("dormant"),
                    "unknown": model({"provider": "aws", "options": {"scheme": "hawk"}}),
                    "no-region": model({"provider": "aws", "options": {"scheme": "aws4",
                                                                      "params": {"service": "bedrock"}}}),
                    "no-json": model({"provider": "aws", "options": {"scheme": "aws4", "params": ["x"]}}),
                    "bad-region": model({"provider": "aws", "options": {
                        "scheme": "aws4", "params": {"service": "bedrock", "region": "eu central"}}}),
                    "both": signed("aws", secret_header="x-key"),
                    "taken": signed("aws", header="x-amz-date"),
                    "next": model({"provider": "plain", "model": "m", "options": AWS},
                                  {"provider": "aws", "model": "m", "options": AWS})},
            sections=plugins()) as g:
        yield g


def said(r):
    assert r.status == 200, r
    return json.loads(r.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("name", ["m", "based", "arn", "query", "one-line"])
def test_signed(gw, name):
    found = said(gw.chat(gw.key()["key"], name, pad="é" * 300))
    assert (found["id"], found["region"], found["service"]) == (ID, "eu-central-1", "bedrock")
    assert {"content-type", "host", "x-amz-date"} <= set(found["headers"])
    if name in ("m", "query", "arn"):
        assert "x-amz-extra" in found["headers"]  # of the provider's configuration


def test_path_and_host_as_sent(gw, aws):
    said(gw.chat(gw.key()["key"], "based"))
    assert aws.requests[-1].path == "/base/path/say?b=2&a=%2F1"
    assert aws.requests[-1].header("Host") == f"127.0.0.1:{aws.port}"
    said(gw.chat(gw.key()["key"], "arn"))
    assert aws.requests[-1].path == "/model/arn%3Aaws%3Abedrock%2Fmodel%20x/converse"


def test_headers_of_the_plugin(gw):
    assert "x-amz-custom" in said(gw.chat(gw.key()["key"], "header"))["headers"]


def test_session_token(gw, aws):
    found = said(gw.chat(gw.key()["key"], "temporary"))
    assert found["id"] == OWN_ID and "x-amz-security-token" in found["headers"]
    assert aws.requests[-1].header("X-Amz-Security-Token") == OWN_TOKEN


def test_large_bodies(gw):
    """A body of many reads and writes has the hash of all its bytes."""
    for n in (1, 70_000, 3_000_000):
        said(gw.chat(gw.key()["key"], "m", pad="x" * n))


def test_many_at_once(gw):
    key = gw.key()["key"]
    found = together(16, lambda i: [said(gw.chat(key, "temporary" if i % 2 else "m", n=1)) for _ in range(5)])
    assert {f["id"] for i, some in enumerate(found) if i % 2 for f in some} == {OWN_ID}
    assert {f["id"] for i, some in enumerate(found) if not i % 2 for f in some} == {ID}


@pytest.mark.parametrize("name, words", [
    ("plain", ["cannot sign for AWS", "access_key_id"]),
    ("unknown", ["'aws'", "'hawk'", "aws4", "google-oauth"]),
    ("no-region", ["without a service or a region"]), ("no-json", ["without a service or a region"]),
    ("bad-region", ["service and region must be words"]),
    ("both", ["expected one of the two"]), ("taken", ["header already that the signature sets"])])
def test_what_cannot_be_signed_is_said(gw, aws, name, words):
    before = len(aws.requests)
    r = gw.chat(gw.key()["key"], name)
    assert r.status == 502 and all(w in r.error["message"] for w in words), r
    assert SECRET not in r.body.decode() and "sk-not" not in r.body.decode()
    assert len(aws.requests) == before


def test_the_next_candidate(gw):
    assert said(gw.chat(gw.key()["key"], "next"))["id"] == ID


def test_dormant(gw):
    assert "provider dormant is dormant: environment variable NOWHERE is not set" in gw.log()
    assert gw.chat(gw.key()["key"], "dormant").status >= 400


def test_a_customers_own_key(gw, aws):
    gw.team("cloud", credits="1")
    key = gw.key(team="cloud")["key"]
    assert said(gw.chat(key, "m"))["id"] == ID
    for name in ("aws", "dormant"):
        gw.api("PUT", f"teams/cloud/byok/{name}", {"key": f"{OWN_ID}:{OWN_SECRET}:{OWN_TOKEN}"})
    assert said(gw.chat(key, "m"))["id"] == OWN_ID
    assert said(gw.chat(key, "dormant"))["id"] == OWN_ID  # which has none but the customer's
    assert said(gw.chat(gw.key()["key"], "m"))["id"] == ID
    gw.api("PUT", "teams/cloud/byok/aws", {"key": "not-for-aws"})
    r = gw.chat(key, "m")
    assert r.status == 502 and "cannot sign for AWS" in r.error["message"] and "not-for" not in r.body.decode()


def test_secrets_stay_inside(gw):
    gw.chat(gw.key()["key"], "m")
    for name, data in gw.kept().items():
        assert SECRET.encode() not in data and OWN_SECRET.encode() not in data, name


def test_secrets_from_files_are_read_anew(aws, tmp_path):
    """What rotates a session's keys writes the files and reloads."""
    files = {n: tmp_path / n for n in ("id", "secret", "token")}
    for n, v in (("id", ID), ("secret", SECRET)):
        files[n].write_text(v + "\n")
    credential = {"access_key_id": {"file": str(files["id"])}, "secret_access_key": {"file": str(files["secret"])},
                  "session_token": {"file": str(files["token"])}}
    with Gateway(providers={"aws": provider(f"http://127.0.0.1:{aws.port}", credential=credential)},
                 models={"m": signed("aws")}, sections=plugins()) as g:
        def ask():
            with g.client() as c:
                return said(c.chat({"model": "m", "messages": user()}))
        assert ask()["id"] == ID
        files["id"].write_text(OWN_ID)
        files["secret"].write_text(OWN_SECRET)
        files["token"].write_text(OWN_TOKEN)
        assert ask()["id"] == ID
        g.reload()
        assert ask()["id"] == OWN_ID


# ---- turnpike check.

@pytest.fixture(scope="module")
def account():
    return Account()


@pytest.mark.parametrize("document, words", [
    (lambda a: a.document("https://oauth2.googleapis.com/token"), None),
    (lambda a: json.dumps({"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}),
     None),
    (lambda a: json.dumps({"type": "service_account", "client_email": "x@y"}), "it has no 'private_key'"),
    (lambda a: a.document("https://oauth2.googleapis.com/token", private_key="-----BEGIN PRIVATE KEY-----\nAAAA\n"),
     "its 'private_key' cannot be read; expected a PEM"),
    (lambda a: a.document("http://tokens.example/token"), "its 'token_uri' does not begin with https://"),
    (lambda a: json.dumps({"type": "external_account"}), "its 'type' is not one that is known here"),
    (lambda a: '{"type": "service_acc', "no JSON document"), (lambda a: '["x"]', "not a JSON object")])
def test_check_reads_documents(account, tmp_path, document, words):
    path = tmp_path / "account.json"
    path.write_text(document(account))
    g = Gateway(providers={"vertex": provider("http://127.0.0.1:1", credential={
        "service_account": {"file": {"env": "GOOGLE_APPLICATION_CREDENTIALS"}}})},
        env={"GOOGLE_APPLICATION_CREDENTIALS": str(path)}, sections=plugins())
    try:
        r = g.command("check", check=False)
        if words is None:
            assert r.returncode == 0, r
        else:
            assert r.returncode == 1 and words in r.stderr, r
            assert "50-test.json:" in r.stderr and "providers.vertex.credential.service_account" in r.stderr
            assert str(path) in r.stderr and "AAAA" not in r.stderr
    finally:
        g.remove()


def test_a_reload_with_a_bad_document_changes_nothing(account, tmp_path):
    path = tmp_path / "account.json"
    path.write_text(account.document("https://oauth2.googleapis.com/token"))
    with Gateway(providers={"vertex": provider("http://127.0.0.1:1", credential={
            "service_account": {"file": str(path)}})}, sections=plugins()) as g:
        path.write_text("{}")
        r = g.command("reload", check=False)
        assert r.returncode != 0 and "it has no 'type'" in r.stdout + r.stderr, r
        with g.client() as c:
            assert c.chat({"model": "echo", "messages": user()}).status == 200
