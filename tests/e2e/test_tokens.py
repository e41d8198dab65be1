"""The token service: Google's credential documents are exchanged for tokens, each once a worker, renewed
before their end, kept over reloads; and a token endpoint that fails, lies or is silent costs a clean error."""
import json
import ssl
import subprocess
import time

import pytest

from harness.gateway import Gateway, model
from harness.govern import Governed, together, user
from harness.paths import BUILD, PATIENCE, TRANSPORT
from harness.proc import Thread
from harness.raw import eventually
from harness.scripted import Upstream, reply
from harness.signing import PLUGIN_SIGN, SCOPE, Account, TokenEndpoint

GOOGLE = {"scheme": "google-oauth", "params": {"scope": SCOPE}}


@pytest.fixture(scope="module")
def account():
    return Account()


@pytest.fixture(scope="module")
def other():
    return Account("other")


class Api:
    """An upstream that answers with the token that it got, and 401 to those in `revoked`."""

    def __init__(self):
        self.revoked, self.seen = set(), []
        self._server = Upstream(self._answer)
        self.url = f"http://127.0.0.1:{self._server.port}"

    def _answer(self, request):
        kind, _, token = (request.header("Authorization") or "").partition(" ")
        self.seen.append(token)
        if kind != "Bearer" or token in self.revoked or "all" in self.revoked:
            return reply(401, {"error": {"code": 401, "message": "no"}})
        return reply(200, token.encode(), "text/plain")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.stop()


@pytest.fixture
def api():
    with Api() as a:
        yield a


def provider(url, document, **more):
    transport = {"proxy": "environment"} if TRANSPORT == "curl" else {}
    return {"plugin": "sign", "options": {"base_url": url}, "credential": {"service_account": document},
            **transport, **more}


def token_model(*names, scope=SCOPE):
    return model(*({"provider": n, "model": "m", "options": {**GOOGLE, "params": {"scope": scope}}} for n in names))


def gateway(api, document, kind=Gateway, models=None, providers=None, timeouts=None, **more):
    providers = providers or {"vertex": provider(api.url, document, **({"timeouts": timeouts} if timeouts else {}))}
    return kind(providers=providers, models=models or {"m": token_model("vertex")},
                sections={"plugins": {"sign": {"path": str(BUILD / PLUGIN_SIGN)}}}, **more)


def ask(g, name="m"):
    with g.client() as c:
        return c.chat({"model": name, "messages": user()})


def token_of(r):
    assert r.status == 200, r
    return r.json()["choices"][0]["message"]["content"]


def refused(r, *words, status=502):
    assert r.status == status and all(w in r.error["message"] for w in words), r
    return r


# ---- As it should be.

def test_a_token_for_the_document(account, api):
    with TokenEndpoint([account]) as t, gateway(api, account.document(t.url)) as g:
        assert [token_of(ask(g)) for _ in range(3)] == ["ya29.token-1"] * 3
        assert t.scopes == [SCOPE]  # verified there: key, issuer, audience, times
        for name, data in {p.name: p.read_bytes() for p in g.dir.rglob("*")
                           if p.is_file() and g.conf_d not in p.parents}.items():
            assert b"ya29." not in data and b"PRIVATE KEY" not in data, name


def test_a_users_login(api):
    document = {"type": "authorized_user", "client_id": "id.apps", "client_secret": "GOCSPX+&x",
                "refresh_token": "1//0e=x"}
    with TokenEndpoint(users={"1//0e=x": ("id.apps", "GOCSPX+&x")}) as t:
        document["token_uri"] = t.url
        with gateway(api, json.dumps(document)) as g:
            assert token_of(ask(g)) == "ya29.token-1"
            assert t.scopes == [None]  # they were chosen at the login


def test_a_token_for_each_scope_and_document(account, other, api):
    with TokenEndpoint([account, other]) as t:
        providers = {"a": provider(api.url, account.document(t.url)), "b": provider(api.url, other.document(t.url)),
                     "a-too": provider(api.url, account.document(t.url))}
        models = {"m": token_model("a"), "read": token_model("a", scope="read only"), "b": token_model("b"),
                  "too": token_model("a-too")}
        with gateway(api, None, providers=providers, models=models) as g:
            got = {n: token_of(ask(g, n)) for n in models}
            assert got == {n: token_of(ask(g, n)) for n in models}
            assert len({got["m"], got["read"], got["b"]}) == 3 and got["too"] == got["m"]
            assert t.scopes == [SCOPE, "read only", SCOPE]


@pytest.mark.parametrize("workers", [1, 3])
def test_many_at_once_make_one_token_request_a_worker(account, api, workers):
    with TokenEndpoint([account]) as t:
        t.delay = 0.7
        with gateway(api, account.document(t.url), workers=workers) as g:
            got = together(24, lambda i: token_of(ask(g)))
            assert len(t.given) == workers and set(got) == set(t.given)
            assert len(api.seen) == 24


# ---- The end of a token.

def test_renewed_while_the_old_one_serves(account, api):
    with TokenEndpoint([account]) as t:
        t.lifetime = 8  # renewed from the last quarter on
        with gateway(api, account.document(t.url)) as g:
            assert token_of(ask(g)) == "ya29.token-1"
            t.delay = 1.5
            slowest, seen, end = 0, [], time.monotonic() + PATIENCE
            while len(set(seen)) < 2 and time.monotonic() < end:
                before = time.monotonic()
                seen.append(token_of(ask(g)))
                slowest = max(slowest, time.monotonic() - before)
                time.sleep(0.05)
            assert seen[0] == "ya29.token-1" and seen[-1] == "ya29.token-2"
            assert slowest < 1.2, "a request waited for the renewal"
            assert len(t.given) == 2


def test_one_that_has_run_out_is_waited_for(account, api):
    with TokenEndpoint([account]) as t:
        t.lifetime = 2
        with gateway(api, account.document(t.url)) as g:
            assert token_of(ask(g)) == "ya29.token-1"
            time.sleep(2.5)
            assert len(t.given) == 1  # nobody asked: nothing is fetched
            t.delay = 0.3
            assert set(together(6, lambda i: token_of(ask(g)))) == {"ya29.token-2"}


def test_a_renewal_that_fails_leaves_the_old_one(account, api):
    with TokenEndpoint([account]) as t:
        t.lifetime = 6
        with gateway(api, account.document(t.url)) as g:
            assert token_of(ask(g)) == "ya29.token-1"
            time.sleep(4.7)
            t.say = reply(503, {"error": "unavailable"})
            assert token_of(ask(g)) == "ya29.token-1"
            eventually(lambda: "503 unavailable" in g.log())
            assert len(t.requests) == 2 and token_of(ask(g)) == "ya29.token-1"


def test_a_refused_token_is_dropped(account, api):
    """After a 401 the next request has another token; but not a new one for each request."""
    with TokenEndpoint([account]) as t, gateway(api, account.document(t.url)) as g:
        assert token_of(ask(g)) == "ya29.token-1"
        api.revoked.add("ya29.token-1")
        assert ask(g).status == 502
        assert token_of(ask(g)) == "ya29.token-2"
        api.revoked.add("all")
        for _ in range(5):
            assert ask(g).status == 502
        assert len(t.given) == 2


# ---- The token endpoint fails.

@pytest.mark.parametrize("say, words", [
    (reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}),
     ["400 invalid_grant: Invalid JWT Signature"]),
    (reply(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "disabled"}}),
     ["403 PERMISSION_DENIED: disabled"]),
    (reply(500, b"<html>oops</html>", "text/html"), ["answered 500"]),
    (reply(302, b"", headers=[("Location", "http://127.0.0.1:1/")]), ["answered 302"]),
    (reply(200, b"access_token=x", "text/plain"), ["no JSON object"]),
    (reply(200, {"token_type": "Bearer"}), ["access_token is missing"]),
    (reply(200, {"access_token": "a\r\nX-Evil: 1", "expires_in": 3600}), ["no token"]),
    (reply(200, {"access_token": "abc", "expires_in": -1}), ["expires_in"]),
    (reply(200, {"access_token": "abc", "token_type": "mac", "expires_in": 3600}), ["not Bearer"]),
    (reply(200, b"{" + b" " * 70000 + b"}"), ["over 64 KiB"]),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ["the token endpoint"]),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", None)])
def test_clean_errors(account, api, say, words):
    """All who wait are told; for a moment nobody asks again."""
    with TokenEndpoint([account]) as t:
        t.say = say
        t._server.close_after = True
        with gateway(api, account.document(t.url), log_level="debug") as g:
            first = together(4, lambda i: ask(g))
            for r in first + [ask(g)]:
                refused(r, "'vertex'", "no token for its credential", *(words or ["token endpoint"]))
                assert "assertion" not in r.body.decode() and "PRIVATE" not in r.body.decode()
            assert len(t.requests) == 1 and not api.seen
            t.say = None
            time.sleep(1.1)
            assert token_of(ask(g)) == "ya29.token-1"


def test_backoff_doubles(account, api):
    with TokenEndpoint([account]) as t:
        t.say = reply(503, b"")
        with gateway(api, account.document(t.url)) as g:
            begin, times = time.monotonic(), []
            while time.monotonic() - begin < 4.5:
                refused(ask(g), "503")
                if len(t.requests) > len(times):
                    times.append(time.monotonic())
                time.sleep(0.02)
            # at 0 s, after 1 s, after 2 s more
            assert len(times) == 3 and 0.9 < times[1] - times[0] < 1.9 < times[2] - times[1] < 2.9, times


def test_unreachable(account, api):
    with Upstream(lambda r: b"") as gone:
        url = f"http://127.0.0.1:{gone.port}/token"
    with gateway(api, account.document(url)) as g:
        refused(ask(g), "cannot be reached", "127.0.0.1")


def test_silence_ends_after_ten_seconds(account, api):
    with TokenEndpoint([account]) as t:
        t.say = [PATIENCE * 2]
        with gateway(api, account.document(t.url)) as g:
            begin = time.monotonic()
            for r in together(3, lambda i: ask(g)):
                refused(r, "no answer within 10 seconds")
            assert 9 < time.monotonic() - begin < 9 + PATIENCE / 2 and len(t.requests) == 1


def test_a_trickle_ends_after_ten_seconds(account, api):
    with TokenEndpoint([account]) as t:
        t.say = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"] + [0.5, b" "] * 100
        with gateway(api, account.document(t.url)) as g:
            refused(ask(g), "no answer within 10 seconds")


def test_the_attempts_own_deadline_counts(account, other, api):
    """A token that does not come is waited for as long as the provider's first byte, then the next one is
    asked; the fetch goes on for others."""
    with TokenEndpoint([account]) as slow, TokenEndpoint([other]) as quick:
        slow.delay = 3
        limits = {"timeouts": {"first_byte_ms": 800}}
        providers = {"slow": provider(api.url, account.document(slow.url), **limits),
                     "quick": provider(api.url, other.document(quick.url)),
                     "patient": provider(api.url, account.document(slow.url))}
        models = {"m": token_model("slow", "quick"), "slow": token_model("slow"), "patient": token_model("patient")}
        with gateway(api, None, providers=providers, models=models) as g:
            begin = time.monotonic()
            refused(ask(g, "slow"), "'slow'", "first_byte_ms", status=504)
            assert 0.7 < time.monotonic() - begin < 2.5
            assert token_of(ask(g)) == "ya29.token-1" and len(quick.given) == 1  # the next candidate's
            assert token_of(ask(g, "patient")) == "ya29.token-1"
            assert len(slow.requests) == 1 and token_of(ask(g, "slow")) == "ya29.token-1"


def test_total_ms_counts_too(account, api):
    with TokenEndpoint([account]) as t:
        t.delay = 3
        with gateway(api, account.document(t.url), timeouts={"total_ms": 700}) as g:
            refused(ask(g), "total_ms", status=504)


def test_clients_that_leave_while_they_wait(account, api):
    with TokenEndpoint([account]) as t:
        t.delay = 2
        with gateway(api, account.document(t.url)) as g:
            for _ in range(6):
                with g.client(timeout=0.3) as c:
                    with pytest.raises(OSError):
                        c.chat({"model": "m", "messages": user()})
            assert token_of(ask(g)) == "ya29.token-1" and len(t.requests) == 1
            assert len(api.seen) == 1  # the others were given up


@pytest.mark.parametrize("say", [None, "silent"])
def test_the_end_of_the_gateway_while_a_token_is_on_its_way(account, api, say):
    with TokenEndpoint([account]) as t:
        t.delay, t.say = 2, [PATIENCE] if say else None
        with gateway(api, account.document(t.url), server={"drain_timeout_ms": 500}) as g:
            with g.client(timeout=PATIENCE) as c:
                waiting = Thread(lambda: c.chat({"model": "m", "messages": user()}))
                waiting.start()
                time.sleep(0.5)
                g.stop()
                try:
                    waiting.result(PATIENCE)
                except (OSError, AssertionError, EOFError):
                    pass  # it was cut off


# ---- Reload.

def test_a_reload_keeps_the_tokens_of_what_is_unchanged(account, other, api, tmp_path):
    path = tmp_path / "account.json"
    with TokenEndpoint([account, other]) as t:
        path.write_text(account.document(t.url))
        with gateway(api, {"file": str(path)}) as g:
            assert token_of(ask(g)) == "ya29.token-1"
            g.reload()
            assert token_of(ask(g)) == "ya29.token-1" and len(t.given) == 1
            path.write_text(other.document(t.url))
            g.reload()
            assert token_of(ask(g)) == "ya29.token-2"
            path.write_text(account.document(t.url))
            g.reload()
            assert token_of(ask(g)) == "ya29.token-1" and len(t.given) == 2


def test_a_reload_while_a_token_is_on_its_way(account, api):
    with TokenEndpoint([account]) as t:
        t.delay = 1.5
        with gateway(api, account.document(t.url)) as g:
            waiting = [Thread(lambda: token_of(ask(g))) for _ in range(4)]
            for w in waiting:
                w.start()
            time.sleep(0.4)
            for _ in range(3):
                g.reload()
            assert {w.result(PATIENCE) for w in waiting} == {"ya29.token-1"} and len(t.given) == 1


# ---- Keys of customers' own.

def test_own_documents(account, other, api, tmp_path):
    """They work as the provider's do; but the gateway calls no address that a customer chose."""
    def written(document):
        (tmp_path / "key").write_text(document)
        return str(tmp_path / "key")

    with TokenEndpoint([account, other]) as t, TokenEndpoint([other]) as elsewhere:
        with gateway(api, account.document(t.url), kind=Governed) as g:
            g.team("cloud", credits="1")
            key = g.key(team="cloud")["key"]
            assert token_of(g.chat(key)) == "ya29.token-1"

            def own(document):
                g.command("byok", "set", "cloud", "vertex", "--key-file", written(document))
            own(other.document(t.url))  # the endpoint that the provider has
            assert token_of(g.chat(key)) == "ya29.token-2" and token_of(g.chat(g.key()["key"])) == "ya29.token-1"
            for url in (elsewhere.url, elsewhere.url.replace("127.0.0.1", "localhost"), t.url + "/x", "https://evil/"):
                own(other.document(url))
                refused(g.chat(key), "neither Google's nor the one that the provider is configured with")
            assert not elsewhere.requests
            r = g.ask("PUT", "/admin/teams/cloud/byok/vertex", {"key": '{"type": "x", "y": 1}'})
            assert r.status == 200 and r.json()["hint"] is None, r  # nothing of a document is shown
            refused(g.chat(key), "its 'type' is not one that is known")
            own("sk-plain")
            refused(g.chat(key), "no JSON document")
            own(json.dumps(json.loads(other.document(t.url)) | {"private_key": "none"}))
            refused(g.chat(key), "'private_key' cannot be read")


def test_a_plain_key_cannot_be_exchanged(api):
    providers = {"vertex": {"plugin": "sign", "options": {"base_url": api.url}, "api_key": "AIza-plain"}}
    with gateway(api, None, providers=providers) as g:
        r = refused(ask(g), "'vertex'", "no JSON document as Google gives them out")
        assert "AIza" not in r.body.decode()


def test_a_document_is_no_header(account, api):
    """A document for a provider that puts its key into a header: an error, not a broken head."""
    document = account.document("https://oauth2.googleapis.com/token")
    models = {"m": model({"provider": "vertex", "options": {"secret_header": "x-key"}})}
    with gateway(api, document, models=models) as g:
        refused(ask(g), "several lines")
    assert not api.seen


def test_a_token_endpoint_over_tls(account, api, tmp_path):
    """The provider's CA file is the one on the way to its token, too."""
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", pair[1], "-out", pair[0]], check=True,
                   capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    with TokenEndpoint([account], tls=context) as t:
        document = account.document(t.url)
        providers = {"trusts": provider(api.url, document, tls={"ca_file": str(pair[0])}),
                     "does-not": provider(api.url, document)}
        models = {"m": token_model("trusts"), "n": token_model("does-not")}
        with gateway(api, None, providers=providers, models=models) as g:
            refused(ask(g, "n"), "cannot be reached")
            assert token_of(ask(g)) == "ya29.token-1"
