"""Keys that only Argon2id can check, for the pepper is gone: while one is looked into, what its client sends
waits and is not lost."""
import json

import pytest

from harness.govern import Governed, openai, priced
from harness.raw import Raw, chat, chunks, eventually, post


@pytest.mark.parametrize("workers", [1, 4])
def test_bodies_behind_a_slow_key(mock, workers):
    """Without its pepper a key costs an Argon2id; what comes meanwhile is not lost."""
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", {"prompt": "0.000001"})},
                  workers=workers) as gw:
        gw.team("t", billing="postpaid")
        keys = [gw.key(team="t")["key"] for _ in range(8)]
        gw.stop()
        (gw.dir / "run" / "pepper").unlink()
        gw.start()
        body = chat(model="m")
        with Raw(gw) as c:  # in one piece
            assert c.send(post(body, key=keys[0])).read_reply().status == 200
        with Raw(gw) as c:  # several requests at once, one of them refused
            c.send(post(body, key=keys[1]) + post(body, key=keys[1]) + post(body, key=keys[2])
                   + post(body, key=keys[3][:-1] + ("A" if keys[3][-1] != "A" else "B")) + post(body, key=keys[3]))
            assert [c.read_reply().status for _ in range(5)] == [200, 200, 200, 401, 200]
        with Raw(gw) as c:  # byte by byte
            assert c.send(post(body, key=keys[4]), pieces=1).read_reply().status == 200
        with Raw(gw) as c:
            c.send(post(b"", "Transfer-Encoding: chunked", length=False, key=keys[5]) + chunks(json.dumps(body).encode(), 7))
            assert c.read_reply().status == 200
        with Raw(gw) as c:  # an empty one, and nothing behind it: it is all there
            assert c.send(post(b"", key=keys[7])).read_reply().status == 400
            assert c.send(post(body, key=keys[7])).read_reply().status == 200
        with Raw(gw) as c:  # a body that is none
            c.send(post(b"", "Transfer-Encoding: chunked", length=False, key=keys[6]) + b"nothing\r\n")
            assert c.read_reply().status == 400


def test_clients_who_leave_a_slow_key(mock):
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", {"prompt": "0.000001"})}) as gw:
        gw.team("t", billing="postpaid")
        key = gw.key(team="t", concurrency=1)["key"]
        gw.stop()
        (gw.dir / "run" / "pepper").unlink()
        gw.start()
        for _ in range(8):
            with Raw(gw) as c:
                c.send(post(chat(model="m"), key=key))
                c.vanish()
        eventually(lambda: gw.chat(key).status == 200)
