"""AWS event streams (application/vnd.amazon.eventstream), taken apart and put together by the
published format: a prelude with its checksum, headers, payload, and the checksum of the message."""
import struct
import zlib


class BadStream(Exception):
    pass


def headers_of(block):
    """String headers, which are all that these APIs send."""
    headers, at = {}, 0
    while at < len(block):
        n = block[at]
        name = block[at + 1:at + 1 + n].decode()
        at += 1 + n
        if block[at] != 7:
            raise BadStream(f"header {name} has type {block[at]}")
        size = struct.unpack(">H", block[at + 1:at + 3])[0]
        headers[name] = block[at + 3:at + 3 + size].decode()
        at += 3 + size
    return headers


def messages(stream):
    """(headers, payload, where it ends) of each whole message; a cut one at the end is left out."""
    at = 0
    while len(stream) - at >= 16:
        total, length, crc = struct.unpack(">III", stream[at:at + 12])
        if zlib.crc32(stream[at:at + 8]) != crc:
            raise BadStream(f"checksum of the prelude at byte {at}")
        if at + total > len(stream):
            return
        if zlib.crc32(stream[at:at + total - 4]) != \
                struct.unpack(">I", stream[at + total - 4:at + total])[0]:
            raise BadStream(f"checksum of the message at byte {at}")
        payload = stream[at + 12 + length:at + total - 4]
        headers = headers_of(stream[at + 12:at + 12 + length])
        at += total
        yield headers, payload, at


def message(headers, payload):
    block = b"".join(bytes([len(n)]) + n.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode()
                     for n, v in headers.items())
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(kind, payload):
    return message({":event-type": kind, ":content-type": "application/json",
                    ":message-type": "event"}, payload)


def exception(kind, payload):
    return message({":exception-type": kind, ":content-type": "application/json",
                    ":message-type": "exception"}, payload)
