"""A connection whose bytes the test writes itself."""
import socket
import struct
import time

from .client import Client
from .gateway import KEY

CHAT = "/v1/chat/completions"


class Raw(Client):
    """The plain client, with what it takes to misbehave."""

    def __init__(self, gw, timeout=20, rcvbuf=None):
        super().__init__("127.0.0.1", gw.port, key=KEY, timeout=timeout)
        if rcvbuf:  # before connecting: it decides the window that is offered
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            s.settimeout(timeout)
            s.connect((self.host, self.port))
            self.sock = s
        else:
            self.connect()

    def send(self, data, pieces=0):
        """Sends bytes, or with pieces N a packet of N bytes at a time."""
        if isinstance(data, str):
            data = data.encode("latin-1")
        if not pieces:
            self.sock.sendall(data)
            return self
        for i in range(0, len(data), pieces):
            self.sock.sendall(data[i:i + pieces])
            time.sleep(0.0001)
        return self

    def silent(self, seconds):
        """Nothing comes, and the connection stays, for that long."""
        self.sock.settimeout(seconds)
        try:
            got = self.sock.recv(1)
        except socket.timeout:
            return True
        finally:
            self.sock.settimeout(self.timeout)
        self.rest += got
        return False

    def ended(self):
        """Waits for the end of the connection; True: without another byte."""
        if self.sock is None:
            return not self.rest
        try:
            while self._more():
                pass
        except ConnectionError:
            pass
        return not self.rest

    def everything(self):
        """All bytes up to the end of the connection, and whether it was reset."""
        try:
            while self._more():
                pass
            return self.rest, False
        except ConnectionError:
            return self.rest, True

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def vanish(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def get(path="/healthz", *lines, version="1.1"):
    """A request for a built-in path, as bytes."""
    head = [f"GET {path} HTTP/{version}", "Host: t", f"Authorization: Bearer {KEY}", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")


def post(body, *lines, path=CHAT, length=True, key=KEY, version="1.1"):
    """A chat request as bytes. length: False leaves it out, a number lies."""
    if not isinstance(body, bytes):
        import json
        body = json.dumps(body).encode()
    head = [f"POST {path} HTTP/{version}", "Host: t", f"Authorization: Bearer {key}",
            "Content-Type: application/json", *lines]
    if length is not False:
        head.append(f"Content-Length: {len(body) if length is True else length}")
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body


def chat(text="hello", model="echo", **more):
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def chunks(body, size, extension="", trailers=""):
    """body in HTTP chunks of that size."""
    out = b""
    for i in range(0, len(body), size):
        piece = body[i:i + size]
        out += b"%x%s\r\n%s\r\n" % (len(piece), extension.encode(), piece)
    return out + b"0" + extension.encode() + b"\r\n" + trailers.encode() + b"\r\n"


def eventually(check, seconds=10, every=0.02):
    """Waits until check() answers something true, and answers that."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got or time.monotonic() > end:
            assert got, f"not within {seconds} s: {check}"
            return got
        time.sleep(every)


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmRSS"))
