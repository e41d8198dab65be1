"""Requests that two servers could read differently are refused, and their connection is closed: what
follows them is never taken for a request."""
import pytest

from harness.gateway import Gateway, KEY
from harness.raw import CHAT, Raw, chat, get, post

HOST = f"Host: t\r\nAuthorization: Bearer {KEY}\r\n"
JSON = "Content-Type: application/json\r\n"
POST = f"POST {CHAT} HTTP/1.1\r\n{HOST}{JSON}"
GET = f"GET /healthz HTTP/1.1\r\n{HOST}"
BODY = "5\r\nhello\r\n0\r\n\r\n"

REFUSED = {
    "length and coding": POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
    "coding and length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + BODY,
    "length twice": POST + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length twice, different": POST + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length list": POST + "Content-Length: 5, 5\r\n\r\nhello",
    "length signed": POST + "Content-Length: +5\r\n\r\nhello",
    "length negative": POST + "Content-Length: -5\r\n\r\nhello",
    "length hexadecimal": POST + "Content-Length: 0x5\r\n\r\nhello",
    "length with a space within": POST + "Content-Length: 5 5\r\n\r\nhello",
    "length empty": POST + "Content-Length:\r\n\r\nhello",
    "length beyond 64 bits": POST + "Content-Length: 99999999999999999999\r\n\r\nhello",
    "coding twice": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
    "coding unknown": POST + "Transfer-Encoding: gzip\r\n\r\n" + BODY,
    "coding list": POST + "Transfer-Encoding: gzip, chunked\r\n\r\n" + BODY,
    "coding identity": POST + "Transfer-Encoding: identity\r\n\r\n" + BODY,
    "coding with a tab": POST + "Transfer-Encoding: \x0bchunked\r\n\r\n" + BODY,
    "coding in HTTP/1.0": POST.replace("HTTP/1.1", "HTTP/1.0") + "Transfer-Encoding: chunked\r\n\r\n" + BODY,
    "line folded": GET + "X-One: a\r\n b\r\n\r\n",
    "line folded by a tab": GET + "X-One: a\r\n\tb\r\n\r\n",
    "first line folded": f"GET /healthz HTTP/1.1\r\n X: y\r\n{HOST}\r\n",
    "bare LF after the request line": GET.replace("HTTP/1.1\r\n", "HTTP/1.1\n") + "\r\n",
    "bare LF after a header": GET + "X-One: a\nX-Two: b\r\n\r\n",
    "bare LF at the end": GET + "X-One: a\r\n\n",
    "bare CR in a value": GET + "X-One: a\rX-Two: b\r\n\r\n",
    "bare CR in a name": GET + "X-One\rX: a\r\n\r\n",
    "NUL in a value": GET + "X-One: a\0b\r\n\r\n",
    "NUL in a name": GET + "X\0One: a\r\n\r\n",
    "space before the colon": GET + "X-One : a\r\n\r\n",
    "tab before the colon": GET + "X-One\t: a\r\n\r\n",
    "no colon": GET + "X-One a\r\n\r\n",
    "empty name": GET + ": a\r\n\r\n",
    "name in quotes": GET + '"X-One": a\r\n\r\n',
    "host twice": f"GET /healthz HTTP/1.1\r\nHost: other\r\n{HOST}\r\n",
    "no host": "GET /healthz HTTP/1.1\r\n\r\n",
    "host with a path": "GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": "GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "authorization twice": GET + "Authorization: Bearer other\r\n\r\n",
    "target and host differ": f"GET http://other/healthz HTTP/1.1\r\n{HOST}\r\n",
    "space in the target": f"GET /health z HTTP/1.1\r\n{HOST}\r\n",
    "control in the target": f"GET /health\x01 HTTP/1.1\r\n{HOST}\r\n",
    "space before the method": " " + GET + "\r\n",
    "protocol with a tail": f"GET /healthz HTTP/1.1x\r\n{HOST}\r\n",
    "chunk size not hexadecimal": POST + "Transfer-Encoding: chunked\r\n\r\n5x\r\nhello\r\n0\r\n\r\n",
    "chunk size signed": POST + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size prefixed": POST + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": POST + "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": POST + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk too long": POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    "chunk line ended by LF": POST + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "chunk ended by LF": POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
    "chunk extension without end": POST + "Transfer-Encoding: chunked\r\n\r\n5;" + "x" * 1500 + "\r\nhello\r\n",
    "chunk size of zeros without end": POST + "Transfer-Encoding: chunked\r\n\r\n" + "0" * 1500 + "5\r\nhello\r\n",
    "trailer folded": POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    "trailer with bare LF": POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\n\r\n",
}


@pytest.fixture(scope="module")
def gw():
    with Gateway() as g:
        yield g


@pytest.mark.parametrize("pieces", [0, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_closed(gw, name, pieces):
    with Raw(gw) as c:
        data = REFUSED[name].encode("latin-1") + (get() if not pieces else b"")
        try:
            c.send(data, pieces)
        except ConnectionError:
            pass  # it has its answer already
        r = c.read_reply()
        # 501 is for codings that are not known: the request is not understood, and not read on.
        assert r.status in ((400, 501, 505) if name.startswith(("coding", "protocol")) else (400, 501)
                            if "method" in name else (400,)), r
        assert r.header("connection") == "close"
        assert r.error["type"] and r.error["message"]
        assert c.ended(), "what follows was taken for a request"


def test_fault_in_a_later_request(gw):
    """What came before the fault is answered in full; what comes after it is not."""
    with Raw(gw) as c:
        c.send(get() + post(chat("before")) + (GET + "X : y\r\n\r\n").encode() + get())
        assert [c.read_reply().status for _ in range(3)] == [200, 200, 400]
        assert c.ended()


def test_refusals_are_counted(gw):
    before = gw.metrics().get("turnpike_http_faults_total", 0)
    with Raw(gw) as c:
        assert c.send("GET\r\n\r\n").read_reply().status in (400, 501, 505)
    import time
    end = time.monotonic() + 10
    while gw.metrics()["turnpike_http_faults_total"] <= before:
        assert time.monotonic() < end
        time.sleep(0.1)
