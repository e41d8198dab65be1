"""The same exchanges over every way to an upstream: direct, HTTP/2 by libcurl, and through a forward
proxy, with and without TLS."""
import json
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness.client import Client
from harness.gateway import Gateway, model, openai
from harness.mock import Mock
from harness.paths import PATIENCE
from harness.proc import Child, clean_env
from harness.raw import Raw, chat, eventually, post

CURL = [p for p in [os.environ.get("TURNPIKE_BUILD", "build") + "/core/turnpike-curl.so"] if os.path.exists(p)]


class Proxy:
    """A forward proxy: CONNECT, and requests in absolute form. `seen` are the first lines."""

    def __init__(self, auth=None):
        self.seen, self.auth, self.open = [], auth, 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, client):
        self.open += 1
        up = None
        try:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = client.recv(65536)
                if not piece:
                    return
                data += piece
            first = data.split(b"\r\n", 1)[0].decode()
            self.seen.append(first)
            method, target, _ = first.split(" ")
            if method == "CONNECT":
                host, port = target.rsplit(":", 1)
                up = socket.create_connection((host, int(port)))
                client.sendall(b"HTTP/1.1 200 Go ahead\r\n\r\n")
            else:
                m = re.match(r"http://([^/:]+):(\d+)(/.*)", target)
                up = socket.create_connection((m.group(1), int(m.group(2))))
                up.sendall(data.replace(target.encode(), m.group(3).encode(), 1))
            for s in (client, up):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                ready, _, _ = select.select([client, up], [], [], PATIENCE)
                if not ready:
                    return
                for s in ready:
                    piece = s.recv(65536)
                    if not piece:
                        return
                    (up if s is client else client).sendall(piece)
        except OSError:
            pass
        finally:
            self.open -= 1
            client.close()
            if up:
                up.close()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class SecureMock(Mock):
    def _get(self, path):
        with Client("127.0.0.1", self.port) as c:
            c.sock = self.context.wrap_socket(c.connect(), server_hostname="127.0.0.1")
            return c.get(path).body


def certificate(where):
    cert, key = where / "up.pem", where / "up.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", "/CN=up", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def cert(tmp):
    return certificate(tmp)


@pytest.fixture(scope="module")
def secure_mock(tmp, cert):
    with SecureMock(tmp, "--tls", *cert) as m:
        m.context = ssl.create_default_context(cafile=str(cert[0]))
        yield m


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


NGINX = """daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 200; }}
http {{
    log_format ways "$server_protocol $request_method"; access_log {dir}/h2.access ways;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    client_max_body_size 64m; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 900;
    ssl_certificate {cert}; ssl_certificate_key {key};
    server {{
        listen 127.0.0.1:{plain} http2; listen 127.0.0.1:{tls} ssl http2;
        location / {{ proxy_pass http://127.0.0.1:{mock}; proxy_http_version 1.1; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def h2(mock, tmp, cert):
    """nginx before the mock: (plain HTTP/2 port, the same with TLS, its access log)."""
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not nginx:
        pytest.skip("no HTTP/2 server here: install nginx-light")
    plain, tls = free_port(), free_port()
    conf = tmp / "nginx.conf"
    conf.write_text(NGINX.format(dir=tmp, cert=cert[0], key=cert[1], plain=plain, tls=tls, mock=mock.port))
    child = Child([nginx, "-c", conf, "-p", tmp], tmp / "nginx.log", env=clean_env())

    def up():
        assert child.proc.poll() is None, child.log()
        for port in (plain, tls):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                return False
        return True
    eventually(up, PATIENCE)
    yield plain, tls, tmp / "h2.access"
    child.stop()


WAYS = ["direct", "direct-tls", "proxy", "proxy-tls", "h2", "h2-tls"]


@pytest.fixture(scope="module", params=WAYS)
def way(request, mock, secure_mock, tmp, cert):
    """(gateway, the mock behind it, what to assert of the way that was taken)"""
    name = request.param
    more, check, proxy, at = {}, lambda: None, None, mock
    ca = {"tls": {"ca_file": str(cert[0])}}
    if name != "direct" and not name.startswith("direct") and not CURL:
        pytest.skip("the curl transport is not built")
    if name == "direct":
        url = mock.url
    elif name == "direct-tls":
        at, url, more = secure_mock, f"https://127.0.0.1:{secure_mock.port}/v1", ca
    elif name.startswith("proxy"):
        proxy = Proxy()
        more = {"proxy": proxy.url}
        if name == "proxy":
            url = mock.url

            def check():
                assert proxy.seen and all(l.startswith(f"POST {mock.url}/chat/completions") for l in proxy.seen)
        else:
            at, url, more = secure_mock, f"https://127.0.0.1:{secure_mock.port}/v1", {**more, **ca}

            def check():
                assert proxy.seen and all(l == f"CONNECT 127.0.0.1:{secure_mock.port} HTTP/1.1" for l in proxy.seen)
    else:
        plain, tls, log = request.getfixturevalue("h2")
        url = f"http://127.0.0.1:{plain}/v1" if name == "h2" else f"https://127.0.0.1:{tls}/v1"
        more = {"http": "2", **(ca if name == "h2-tls" else {})}

        def check():
            lines = log.read_text().splitlines()
            assert lines and all(l == "HTTP/2.0 POST" for l in lines), lines[:3]
    names = {"m": "m", "drip": "m?chunks=30&pace_ms=10", "long": "m?chunks=3000&pace_ms=10", "big": "m?size=1048576", "cut": "m?fail=cut&after=5&pace_ms=20", "never": "m?delay_ms=600000",
             "stall": "m?fail=stall", "refuse": "m?status=429&retry_after=7", "huge": "m?fail=huge&chunk_bytes=8000"}
    with Gateway(providers={"up": openai(url, **more)}, models={k: model(("up", v)) for k, v in names.items()},
                 env={"ASAN_OPTIONS": "quarantine_size_mb=1"}) as g:
        yield g, at, check
    if proxy:
        proxy.stop()


def ask(gw, **body):
    with Raw(gw) as c:
        return c.send(post(body)).read_reply()


def test_replies(way):
    gw, mock, check = way
    with Raw(gw) as c:
        for _ in range(5):
            r = c.send(post(chat(model="m"))).read_reply()
            assert r.status == 200 and r.json()["choices"][0]["message"]["content"]
        r = c.send(post(chat(model="big"))).read_reply()
        assert r.status == 200 and len(r.body) > 1_000_000 and r.json()
        assert json.loads(mock.last())["messages"][0]["content"] == "hello"
    check()


def test_bodies(way):
    gw, mock, _ = way
    text = "ü" * 700_000
    assert ask(gw, **chat(text, "m")).status == 200
    assert json.loads(mock.last())["messages"][0]["content"] == text
    assert "bearer sk-upstream-secret" in mock.last_head().lower()


def test_streams(way):
    gw, _, check = way
    conns = [Raw(gw) for _ in range(10)]
    start = time.monotonic()
    for c in conns:
        c.send(post(chat(model="drip", stream=True)))
    first = conns[0]
    first.read_head()
    while b"data:" not in first.rest:
        assert first._more()
    assert time.monotonic() - start < 5 and b"[DONE]" not in first.rest  # relayed as it comes
    for c in conns[1:]:
        r = c.read_reply()
        assert r.complete and r.events()[-1] == b"[DONE]" and len(r.events()) >= 30
    for c in conns:
        c.close()
    check()


def test_failures(way):
    gw, _, _ = way
    r = ask(gw, **chat(model="refuse"))
    assert r.status == 429 and r.header("retry-after") == "7", r
    r = ask(gw, **chat(model="cut", stream=True))
    assert r.status == 200 and b"[DONE]" not in r.body and b'"error"' in r.events()[-1]
    r = ask(gw, **chat(model="cut"))
    assert r.status in (502, 503) and r.error["message"], r


def test_cancelled(way):
    gw, mock, _ = way
    mock.reset()
    for name, stream in (("never", False), ("stall", True), ("long", True)):
        c = Raw(gw)
        c.send(post(chat(model=name, stream=stream)))
        if name == "long":
            c.read_head()
        else:
            time.sleep(0.2)
        c.close()
    eventually(lambda: mock.stats()["aborted"] >= 3, 10)
    eventually(lambda: gw.status()["exchanges"] == 0)


def test_back_pressure(way):
    """A client that sleeps pauses the upstream, whatever lies between."""
    gw, mock, _ = way
    mock.reset()
    c = Raw(gw, rcvbuf=16384)
    c.send(post(chat(model="huge", stream=True)))
    last, still = -1, 0
    end = time.monotonic() + 20
    while still < 4 and time.monotonic() < end:
        now = mock.stats()["events"]
        still = still + 1 if now == last and now else 0
        last = now
        time.sleep(0.15)
    assert still >= 4, "the upstream was never paused"
    c.read_head()
    while len(c.rest) < 2_000_000:
        assert c._more()
    c.vanish()
    eventually(lambda: gw.status()["exchanges"] == 0)


def test_proxy_that_is_not_there(mock):
    if not CURL:
        pytest.skip("the curl transport is not built")
    with Gateway(providers={"up": openai(mock.url, proxy=f"http://127.0.0.1:{free_port()}")},
                 models={"m": model(("up", "m"))}) as g:
        r = ask(g, **chat(model="m"))
        assert r.status == 503 and r.error["message"], r


def test_proxy_of_the_environment(mock):
    if not CURL:
        pytest.skip("the curl transport is not built")
    proxy = Proxy()
    try:
        with Gateway(providers={"up": openai(mock.url, proxy="environment"), "own": openai(mock.url)},
                     models={"m": model(("up", "m")), "d": model(("own", "m"))},
                     env={"http_proxy": proxy.url}) as g:
            assert ask(g, **chat(model="d")).status == 200 and not proxy.seen
            assert ask(g, **chat(model="m")).status == 200 and len(proxy.seen) == 1
    finally:
        proxy.stop()
