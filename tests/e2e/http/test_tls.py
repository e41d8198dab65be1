"""HTTPS in front and behind."""
import json
import socket
import ssl
import subprocess
import threading

import pytest

from harness.client import Client
from harness.gateway import Gateway, KEY, model, openai
from harness.mock import Mock
from harness.raw import chat, get, post


def certificate(where, name, *hosts):
    """A self-signed certificate for those hosts: (certificate file, key file)."""
    cert, key = where / f"{name}.pem", where / f"{name}.key"
    san = ",".join(("IP:" if h[0].isdigit() else "DNS:") + h for h in hosts)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def certs(tmp):
    return {"front": certificate(tmp, "front", "127.0.0.1", "localhost"),
            "back": certificate(tmp, "back", "127.0.0.1"),
            "renewed": certificate(tmp, "renewed", "127.0.0.1", "localhost")}


def listen(pair):
    return {"listen": {"address": "127.0.0.1:0", "cert_file": str(pair[0]), "key_file": str(pair[1])}}


@pytest.fixture(scope="module")
def gw(mock, certs):
    with Gateway(server=listen(certs["front"]), providers={"up": openai(mock.url)},
                 models={"m": model(("up", "m")), "drip": model(("up", "m?chunks=30&pace_ms=5")),
                         "huge": model(("up", "m?fail=huge&chunk_bytes=8000"))}) as g:
        yield g


def trusting(pair, **more):
    ctx = ssl.create_default_context(cafile=str(pair[0]))
    for name, value in more.items():
        setattr(ctx, name, value)
    return ctx


class Https(Client):
    def __init__(self, gw, ctx, timeout=20):
        super().__init__("127.0.0.1", gw.port, key=KEY, timeout=timeout)
        plain = socket.create_connection((self.host, self.port), timeout)
        self.sock = ctx.wrap_socket(plain, server_hostname="127.0.0.1")


def test_https(gw, certs):
    with Https(gw, trusting(certs["front"])) as c:
        assert c.sock.version() in ("TLSv1.2", "TLSv1.3")
        for i in range(5):
            assert c.chat(chat(f"n{i}")).json()["choices"][0]["message"]["content"] == f"n{i}"
        assert c.chat(chat(model="m")).status == 200
        r = c.chat(chat(model="drip", stream=True))
        assert r.complete and r.events()[-1] == b"[DONE]"
        text = "x" * 2_000_000
        assert c.chat(chat(text)).json()["choices"][0]["message"]["content"] == text


def test_pipelined_over_tls(gw, certs):
    with Https(gw, trusting(certs["front"])) as c:
        c.sock.sendall(get() * 200 + post(chat("after")))
        for _ in range(200):
            assert c.read_reply().status == 200
        assert c.read_reply().json()["choices"][0]["message"]["content"] == "after"


def test_https_bytewise(gw, certs):
    with Https(gw, trusting(certs["front"])) as c:
        for b in post(chat("in records of a byte")):
            c.sock.sendall(bytes([b]))
        assert c.read_reply().status == 200


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_versions(gw, certs, version):
    v = getattr(ssl.TLSVersion, version)
    with Https(gw, trusting(certs["front"], minimum_version=v, maximum_version=v)) as c:
        assert c.get("/healthz").status == 200


def test_tls_1_1_is_refused(gw, certs):
    ctx = trusting(certs["front"])
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ctx.minimum_version = ssl.TLSVersion.TLSv1
        ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)) as e:
        Https(gw, ctx)
    assert "version" in str(e.value).lower() or "alert" in str(e.value).lower(), e.value


def test_alpn(gw, certs):
    ctx = trusting(certs["front"])
    ctx.set_alpn_protocols(["h2", "http/1.1"])
    with Https(gw, ctx) as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        assert c.get("/healthz").status == 200


def test_plain_http_on_the_tls_port(gw, certs):
    with Client("127.0.0.1", gw.port) as c:
        c.connect().sendall(get())
        try:
            while c._more():
                pass
        except ConnectionError:
            pass
        assert b"HTTP/1.1 200" not in c.rest
    with Https(gw, trusting(certs["front"])) as c:
        assert c.get("/healthz").status == 200


def test_early_answer_over_tls(gw, certs):
    with Https(gw, trusting(certs["front"])) as c:
        c.sock.sendall(post(b"x" * 3_000_000, key="tp_live_" + "0" * 40))
        assert c.read_reply().status == 401


def test_clients_that_leave_over_tls(gw, mock, certs):
    from harness.raw import eventually
    mock.reset()
    for how in ("close", "unwrap"):
        c = Https(gw, trusting(certs["front"]))
        c.send_request("POST", "/v1/chat/completions", json.dumps(chat(model="huge", stream=True)).encode())
        c.read_head()
        assert c._more()
        if how == "unwrap":
            c.sock.settimeout(1)
            try:
                c.sock.unwrap()
            except (ssl.SSLError, OSError):
                pass
        c.close()
    for _ in range(3):  # in the handshake
        s = socket.create_connection(("127.0.0.1", gw.port))
        s.sendall(b"\x16\x03\x01")
        s.close()
    eventually(lambda: mock.stats()["aborted"] == 2)
    eventually(lambda: gw.status()["connections"] == 0)


def test_renewed_certificate_after_reload(mock, certs, tmp):
    cert, key = tmp / "live.pem", tmp / "live.key"

    def install(pair):
        cert.write_bytes(pair[0].read_bytes())
        key.write_bytes(pair[1].read_bytes())

    install(certs["front"])
    with Gateway(server=listen((cert, key))) as g:
        with Https(g, trusting(certs["front"])) as old:
            assert old.get("/healthz").status == 200
            install(certs["renewed"])
            g.reload()
            with Https(g, trusting(certs["renewed"])) as c:
                assert c.get("/healthz").status == 200
            with pytest.raises(ssl.SSLCertVerificationError):
                Https(g, trusting(certs["front"]))
            assert old.get("/healthz").status == 200  # connections stay as they are
            key.write_text("broken")
            r = g.command("reload", check=False)
            assert r.returncode == 1 and "live.key" in r.stderr + r.stdout
            with Https(g, trusting(certs["renewed"])) as c:
                assert c.get("/healthz").status == 200


@pytest.mark.parametrize("which", ["cert_file", "key_file"])
@pytest.mark.parametrize("wrong", ["absent", "garbage", "another"])
def test_start_error_names_the_file(mock, certs, tmp, which, wrong):
    path = tmp / f"{wrong}.pem"
    if wrong == "garbage":
        path.write_text("no PEM")
    if wrong == "another":
        path = certs["back"][0 if which == "cert_file" else 1]
    server = listen(certs["front"])
    server["listen"][which] = str(path)
    gw = Gateway(server=server)
    try:
        with pytest.raises(AssertionError) as e:
            gw.start()
        assert "ended with 1" in str(e.value)
        lines = [l for l in gw.log().splitlines() if " error " in l]
        assert len(lines) == 1 and str(server["listen"][which]) in lines[0] or str(certs["front"][1]) in lines[0]
    finally:
        gw.remove()


def test_tls_upstream(certs, tmp):
    with Mock(tmp, "--tls", certs["back"][0], certs["back"][1]) as m:
        url = f"https://127.0.0.1:{m.port}/v1"
        providers = {"known": openai(url, tls={"ca_file": str(certs["back"][0])}),
                     "unknown": openai(url), "other": openai(url, tls={"ca_file": str(certs["front"][0])})}
        with Gateway(providers=providers, models={n: model((n, "m")) for n in providers}) as g:
            with g.client() as c:
                for _ in range(3):
                    assert c.chat(chat(model="known")).status == 200
                r = c.chat(chat(model="known", stream=True))
                assert r.complete and r.events()[-1] == b"[DONE]"
                for name in ("unknown", "other"):
                    r = c.chat(chat(model=name))
                    assert r.status == 503, r
                    assert "certificate" in r.error["message"] and "trust" in r.error["message"], r
                assert c.chat(chat(model="known")).status == 200
