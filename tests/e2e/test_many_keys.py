"""Ten thousand stored keys: the start, the first use of each, memory. The rows are made here, by the
published form alone (HMAC-SHA-256 of the whole key under the pepper), not by the gateway."""
import hashlib
import hmac
import os
import secrets
import sqlite3
import string
import time

from harness.govern import Governed
from harness.paths import SANITIZED
from harness.raw import rss_kb

COUNT = 10_000
PUBLIC = len("tp_live_") + 12  # of a key, what it is looked up by
TIMES = 10 if SANITIZED else 1


def many(gw, count):
    """That many keys, straight into the store of a gateway that does not run. Their secrets."""
    pepper = (gw.dir / "run" / "pepper").read_bytes()
    with sqlite3.connect(gw.dir / "run" / "turnpike.db") as db:
        names = [r[1] for r in db.execute("PRAGMA table_info(key)")]
        pattern = dict(zip(names, db.execute("SELECT * FROM key").fetchone()))
        assert pattern["pepper_id"] == hashlib.sha256(pepper).digest()[:8]
        made = []
        for i in range(count):
            secret = "tp_live_" + secrets.token_urlsafe(32)
            made.append(secret)
            row = {**pattern, "name": f"key {i}", "lookup": secret[:PUBLIC],
                   "id": "key_" + "".join(secrets.choice(string.ascii_letters) for _ in range(20)),
                   "hmac": hmac.digest(pepper, secret.encode(), "sha256")}
            db.execute(f"INSERT INTO key VALUES({','.join('?' * len(names))})", [row[n] for n in names])
    db.close()
    return made


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_ten_thousand_keys(capsys):
    with Governed(workers=2) as gw:
        first = gw.key(name="pattern")
        gw.again()
        few_kb, few = rss_kb(gw.pid), gw.metrics()["turnpike_keys"]
        gw.stop()
        keys = many(gw, COUNT)
        begin = time.monotonic()
        gw.start()
        assert gw.chat(keys[-1], "echo").status == 200
        took = time.monotonic() - begin
        grown = (rss_kb(gw.pid) - few_kb) * 1024 / COUNT
        with capsys.disabled():
            print(f"{COUNT} keys: first answer after {took * 1000:.0f} ms, {grown:.0f} bytes of memory a key")
        assert took < 2 * TIMES
        assert SANITIZED or grown < 1024
        assert gw.metrics()["turnpike_keys"] == few + COUNT
        # Each is known by its HMAC at once: a single Argon2id takes tens of milliseconds of CPU.
        some = keys[::20]
        cpu = cpu_seconds(gw.pid)
        with gw.client(key=None) as c:
            for k in some:
                assert c.request("GET", "/v1/models", b"", [("Authorization", f"Bearer {k}")]).status == 200
        assert (cpu_seconds(gw.pid) - cpu) / len(some) < 0.005 * TIMES
        assert gw.chat(first["key"], "echo").status == 200
        wrong = keys[7][:-2] + ("AA" if keys[7][-2:] != "AA" else "BA")
        assert gw.chat(wrong, "echo").status == 401
