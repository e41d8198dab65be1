"""Clients by the dozen on one event loop, which note what they received whole."""
import asyncio
import json
import random
import re
import threading
from collections import Counter

from .bank import USAGES, cost

REPLY_ID = re.compile(rb'"id":"(chatcmpl-[^"]+)"')
TOKENS = re.compile(rb'"prompt_tokens":(\d+),"completion_tokens":(\d+)')


def bodies(names=tuple(USAGES), text="hello", streams=True):
    """Request bodies: whole and streamed ones of each model."""
    out = []
    for name in names:
        doc = {"model": name, "max_tokens": 64, "messages": [{"role": "user", "content": text}]}
        out.append(json.dumps(doc).encode())
        if streams:
            doc |= {"stream": True, "stream_options": {"include_usage": True}}
            out.append(json.dumps(doc).encode())
    return out


class Load:
    """Connections that send one request after the other until stop().

    whole: reply id -> its cost at the prices (nano-dollars) of what was received whole: the whole
    body, or [DONE]. cut: how many requests were sent and not answered whole; aborted: ids of streams
    that the client itself broke off (they are in cut too); statuses: of replies that were whole, by
    (status, code)."""

    def __init__(self, port, key, requests, connections=16, abort=0.0, seed=None, retry=False):
        """abort: the share of streams to break off. retry: connections that fail are made anew (the
        gateway goes on); else they end (it was killed)."""
        self.port, self.key, self.requests = port, key, requests
        self.connections, self.abort, self.retry = connections, abort, retry
        self.random = random.Random(seed)
        self.whole, self.aborted = {}, set()
        self.cut = 0
        self.statuses = Counter()
        self.errors = []
        self._stop = False
        self._thread = None

    # ---- Running.

    def start(self):
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()
        return self

    def stop(self, seconds=60):
        """Lets each connection end its request, and answers this."""
        self._stop = True
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "clients did not end"
        assert not self.errors, self.errors[:5]
        return self

    async def _all(self):
        await asyncio.gather(*(self._connection() for _ in range(self.connections)))

    async def _connection(self):
        while not self._stop:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
            except OSError:
                if not self.retry:
                    return
                await asyncio.sleep(0.02)
                continue
            try:
                while not self._stop:
                    if not await self._exchange(reader, writer):
                        break
                continue
            except BrokenOff:
                self.cut += 1
                continue
            except (OSError, asyncio.IncompleteReadError):
                self.cut += 1
            except Exception as e:  # of the test itself: told by stop()
                self.errors.append(repr(e))
                return
            finally:
                writer.transport.abort()
            if not self.retry:
                return

    # ---- One request.

    async def _exchange(self, reader, writer):
        """True: the connection may be used again."""
        body = self.random.choice(self.requests)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                     b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
                     % (self.key.encode(), len(body), body))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            return await self._stream(reader, status)
        n = int(re.search(rb"content-length: *(\d+)", head).group(1))
        self._note(status, await reader.readexactly(n))
        return b"connection: close" not in head

    async def _stream(self, reader, status):
        text = b""
        events = 0
        until = self.random.randrange(1, 18) if self.random.random() < self.abort else None
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            piece = await reader.readexactly(size + 2)
            if size == 0:
                if b"[DONE]" not in text:  # a whole error, or a stream that ended with one
                    self._note(status, text)
                return True
            text += piece[:-2]
            events += 1
            if b"data: [DONE]" in piece:
                self._note(status, text)
            elif until is not None and events >= until:
                self.aborted.update(m.decode() for m in REPLY_ID.findall(text)[:1])
                raise BrokenOff

    def _note(self, status, text):
        found = REPLY_ID.search(text)
        if status != 200 or not found or b'"error"' in text[:40]:
            try:
                code = json.loads(text)["error"]["code"]
            except (ValueError, KeyError, TypeError):
                code = text[:80]
            self.statuses[(status, code)] += 1
            return
        self.statuses[(200, None)] += 1
        reply = found.group(1).decode()
        if reply in self.whole:
            self.errors.append(f"reply id {reply} came twice")
        usage = TOKENS.findall(text)
        self.whole[reply] = cost(*map(int, usage[-1])) if usage else None

    @property
    def served(self):
        return self.statuses[(200, None)]


class BrokenOff(Exception):
    """The client's own doing."""
