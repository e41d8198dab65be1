"""A plain HTTP/1.1 client over one socket: nothing is retried, decoded or hidden."""
import json
import socket


class Reply:
    def __init__(self, status, reason, headers, body, complete):
        self.status, self.reason, self.headers = status, reason, headers
        self.body, self.complete = body, complete

    def header(self, name, default=None):
        """The value of a header; the values of repeated ones joined by a comma."""
        found = [v for k, v in self.headers if k.lower() == name.lower()]
        return ", ".join(found) if found else default

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]

    def events(self):
        return events_of(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}{'' if self.complete else ' CUT'}>"


def events_of(data):
    """The data of each SSE event, in order, as bytes. A tail without an empty line is an error."""
    out = []
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    blocks = data.split(b"\n\n")
    if blocks.pop():
        raise AssertionError(f"the stream ends within an event: {data[-200:]!r}")
    for block in blocks:
        lines = [l[5:].removeprefix(b" ") for l in block.split(b"\n") if l.startswith(b"data:")]
        if lines:
            out.append(b"\n".join(lines))
    return out


def dechunk(data):
    """(decoded body, rest behind it or None when it is not complete)"""
    body = bytearray()
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return bytes(body), None
        size = int(data[at:end].split(b";")[0], 16)
        at = end + 2
        if size == 0:
            tail = data.find(b"\r\n", at)
            while tail > at:  # trailers
                at, tail = tail + 2, data.find(b"\r\n", tail + 2)
            return bytes(body), (data[at + 2:] if tail == at else None)
        body += data[at:at + size]
        if len(data) < at + size + 2:
            return bytes(body), None
        at += size + 2


class Client:
    def __init__(self, host, port, key=None, timeout=30):
        self.host, self.port, self.key, self.timeout = host, port, key, timeout
        self.sock = None
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def connect(self):
        if not self.sock:
            self.sock = socket.create_connection((self.host, self.port), self.timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.rest = b""
        return self.sock

    def close(self):
        if self.sock:
            self.sock.close()
            self.sock = None

    def send_request(self, method, path, body=b"", headers=()):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        names = {k.lower() for k, _ in headers}
        if self.key and "authorization" not in names:
            lines.append(f"Authorization: Bearer {self.key}")
        if body and "content-type" not in names:
            lines.append("Content-Type: application/json")
        if (body or method in ("POST", "PUT", "PATCH")) and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{k}: {v}" for k, v in headers]
        self.connect().sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    def _more(self):
        piece = self.sock.recv(65536)
        self.rest += piece
        return bool(piece)

    def read_head(self):
        """(status, reason, headers); informational heads are passed over."""
        while True:
            while b"\r\n\r\n" not in self.rest:
                if not self._more():
                    raise AssertionError(f"closed within the head: {self.rest!r}")
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            _, status, *reason = first.split(" ", 2)
            headers = [tuple(p.strip() for p in l.split(":", 1)) for l in lines]
            if int(status) >= 200:
                return int(status), "".join(reason), headers

    def read_reply(self, is_head=False):
        status, reason, headers = self.read_head()
        names = {k.lower(): v for k, v in headers}
        if is_head or status in (204, 304):
            return Reply(status, reason, headers, b"", True)
        complete = True
        try:
            if "chunked" in names.get("transfer-encoding", ""):
                body, rest = dechunk(self.rest)
                while rest is None:
                    if not self._more():
                        complete = False
                        break
                    body, rest = dechunk(self.rest)
                self.rest = rest or b""
            elif "content-length" in names:
                n = int(names["content-length"])
                while len(self.rest) < n and self._more():
                    pass
                body, self.rest = self.rest[:n], self.rest[n:]
                complete = len(body) == n
            else:
                while self._more():
                    pass
                body, self.rest = self.rest, b""
        except ConnectionResetError:
            body, complete = dechunk(self.rest)[0], False
        if not complete or names.get("connection", "").lower() == "close":
            self.close()
        return Reply(status, reason, headers, body, complete)

    def request(self, method, path, body=b"", headers=()):
        self.send_request(method, path, body, headers)
        return self.read_reply(method == "HEAD")

    def get(self, path, headers=()):
        return self.request("GET", path, headers=headers)

    def chat(self, body, headers=(), path="/v1/chat/completions"):
        """body: an object, or the bytes to send as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, headers)
