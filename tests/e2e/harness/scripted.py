"""An upstream that sends exactly the bytes it is told to: a function of the request a test."""
import json
import socket
import threading

from .client import dechunk


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    def header(self, name, default=None):
        return next((v for k, v in self.headers if k.lower() == name.lower()), default)

    def json(self):
        return json.loads(self.body)


def reply(status=200, body=b"", content_type="application/json", headers=(), reason="X"):
    """The bytes of a whole reply with Content-Length."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {content_type}",
             f"Content-Length: {len(body)}", *[f"{k}: {v}" for k, v in headers]]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(pieces, status=200, content_type="text/event-stream"):
    """The bytes of a chunked reply, a chunk a piece."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"


class Upstream:
    """answer(request) -> bytes, or a list of bytes and seconds to wait between them; None closes the
    connection. `requests` are those that came. After an answer the connection stays open unless `close` is set. tls: an SSLContext."""

    def __init__(self, answer, close=False, tls=None):
        self.answer, self.close_after, self.tls = answer, close, tls
        self.requests = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._stop = threading.Event()
        self._threads = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self):
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            t = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(t)
            t.start()

    def _read(self, sock, data):
        """(request, rest), or None at the end of the connection."""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [tuple(p.strip() for p in l.split(":", 1)) for l in lines]
        names = {k.lower(): v for k, v in headers}
        if "transfer-encoding" in names:
            body, rest = dechunk(data)
            while rest is None:
                data += sock.recv(65536)
                body, rest = dechunk(data)
        else:
            n = int(names.get("content-length", 0))
            while len(data) < n:
                piece = sock.recv(65536)
                if not piece:
                    return None
                data += piece
            body, rest = data[:n], data[n:]
        method, path, _ = first.split(" ")
        return Request(method, path, headers, body), rest

    def _serve(self, sock):
        rest = b""
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            while not self._stop.is_set():
                got = self._read(sock, rest)
                if not got:
                    return
                request, rest = got
                self.requests.append(request)
                out = self.answer(request)
                for piece in [out] if isinstance(out, bytes) else out:
                    if piece is None:
                        return
                    if isinstance(piece, (int, float)):
                        if self._stop.wait(piece):
                            return
                    else:
                        sock.sendall(piece)
                if self.close_after:
                    return
        except OSError:
            pass
        finally:
            sock.close()

    def stop(self):
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
