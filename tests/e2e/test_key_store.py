"""How keys are kept, and what ten thousand of them cost. C-6."""
import contextlib
import hashlib
import hmac
import re
import sqlite3
import time

from harness.acme import PRICE
from harness.govern import ADMIN, KEY, SURFACES, Governed, openai, priced
from harness.paths import SANITIZED
from harness.raw import rss_kb


def test_last_use_outlives_a_restart(mock):
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)}) as gw:
        used, idle = gw.key(), gw.key()
        assert gw.chat(used["key"]).status == 200
        before = gw.api("GET", f"keys/{used['id']}")["last_used_at"]
        assert before and gw.api("GET", f"keys/{idle['id']}")["last_used_at"] is None
        gw.again()
        assert gw.api("GET", f"keys/{used['id']}")["last_used_at"] == before
        assert gw.api("GET", f"keys/{idle['id']}")["last_used_at"] is None


def test_argon2(mock):
    """Without its pepper a key is still good: Argon2id says so, once, also over later starts; wrong ones
    are bounded."""
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)},
                  admission={"address_requests_per_minute": 20}) as gw:
        gw.team("t", billing="postpaid")
        keys = [gw.key(team="t") for _ in range(2)]
        db = b"".join(v for k, v in gw.kept().items() if "turnpike.db" in k)
        assert b"$argon2id$v=19$" in db and all(k["key"].encode() not in db for k in keys)
        gw.stop()
        pepper = gw.dir / "run" / "pepper"
        assert pepper.stat().st_mode & 0o777 == 0o600 and pepper.stat().st_size == 32
        pepper.unlink()
        gw.start()
        good, other = keys[0]["key"], keys[1]["key"]

        def timed(key):
            with gw.client(key=key) as c:
                c.connect()
                begin = time.monotonic()
                status = c.get("/v1/key").status
                return status, time.monotonic() - begin

        status, first = timed(good)
        assert status == 200
        later = [timed(good) for _ in range(20)]
        assert {s for s, _ in later} == {200}
        assert sorted(t for _, t in later)[10] < first / 2, (first, later)  # the HMAC is remembered
        # A guess at a key whose public part is known costs an Argon2id, so few are begun.
        wrong = other[:-43] + other[-43:-31] + "A" * 31
        statuses = [timed(wrong)[0] for _ in range(30)]
        assert statuses == [401] * 20 + [429] * 10
        # At the same address: the key that is known passes; the one that is not has to wait its turn.
        assert timed(good)[0] == 200 and timed(other)[0] == 429
        assert timed(keys[0]["key"][:-1] + "!")[0] == 429
        # What was remembered is stored: after another start that key is known at once.
        gw.again()
        status, soon = timed(good)
        assert status == 200 and soon < first / 2, (first, soon)
        assert timed(other)[0] == 200
        gw.stop()
        fresh = pepper.read_bytes()
        with contextlib.closing(sqlite3.connect(gw.dir / "run" / "turnpike.db")) as db:
            for k in keys:
                row = db.execute("SELECT hmac, pepper_id FROM key WHERE id = ?", [k["id"]]).fetchone()
                assert row == (hmac.digest(fresh, k["key"].encode(), "sha256"), hashlib.sha256(fresh).digest()[:8])


def test_secrets_are_nowhere(mock):
    """Not of keys, of customers, of upstreams, of sessions: in no log, and but for the gateway's own
    provider key, which its operator wrote, in no file."""
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)}, log_level="debug",
                  surfaces=SURFACES, sections={"store": {"prompts": True}}) as gw:
        gw.team("t", credits="1")
        boss = gw.key(team="t", role="management")
        doc = gw.api("POST", "/v1/keys", {"name": "k"}, boss["key"], status=201)
        secrets = [boss["key"], doc["key"], "sk-upstream-secret", "sk-customers-own-secret", ADMIN, KEY]
        gw.api("PUT", "teams/t/byok/up", {"key": "sk-customers-own-secret"})
        r = gw.ask("POST", "/admin/session", key=boss["key"])
        secrets.append(re.search(r"turnpike_session=([^;]+)", r.header("Set-Cookie")).group(1))
        secrets.append(r.json()["csrf_token"])
        gw.chat(doc["key"]), gw.chat(doc["key"], stream=True), gw.chat(doc["key"], "nothing")
        gw.ask("GET", f"/v1/models?key={'x'}", key=doc["key"])
        wrong = doc["key"][:-1] + ("A" if doc["key"][-1] != "A" else "B")
        secrets.append(wrong)  # a mistyped key is nearly a key
        assert gw.chat(wrong).status == 401
        gw.api("PATCH", f"/v1/keys/{doc['id']}", {"name": "renamed"}, boss["key"])
        gw.socket("GET", "/admin/keys")
        gw.command("keys", "list"), gw.command("byok", "list", "t")
        gw.reload()
        gw.flush()
        files = dict(gw.kept())
        gw.again("kill")  # what a crash leaves
        gw.ask("DELETE", f"/v1/keys/{doc['id']}", key=boss["key"])
        gw.stop()
        files.update({k + " after": v for k, v in gw.kept().items()})
        assert any(k.endswith("turnpike.db") for k in files) and any("turnpike.db-wal" in k for k in files), files.keys()
        assert b"/v1/keys/" in files["access.log after"] and len(files) > 10
        for secret in secrets:
            for name, data in files.items():
                assert secret.encode() not in data, (name, secret[:16])
                assert secret[-20:].encode() not in data, (name, secret[:16])


# ---- Ten thousand of them.

def test_ten_thousand_keys(mock):
    many = 10_000
    with Governed(providers={"up": openai(mock.url)}, models={"m": priced("up", PRICE)}) as gw:
        gw.team("t", billing="postpaid")
        gw.key(team="t")
        gw.again()
        one = gw.key(team="t")
        gw.chat(one["key"])
        before = rss_kb(gw.pid)
        gw.stop()
        # Each would cost an Argon2id: these are rows of the same hash, each with its own HMAC.
        pepper = (gw.dir / "run" / "pepper").read_bytes()
        db = sqlite3.connect(gw.dir / "run" / "turnpike.db")
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM key WHERE id = ?", [one["id"]]).fetchone())
        assert row["hmac"] == hmac.digest(pepper, one["key"].encode(), "sha256")
        secrets = [one["key"][:8] + hashlib.sha256(b"%d" % i).hexdigest()[:43] for i in range(many)]
        with db:
            db.executemany(
                f"INSERT INTO key ({','.join(row)}) VALUES ({','.join('?' * len(row))})",
                [list({**row, "id": f"key_{i:020d}", "name": f"k{i}", "lookup": s[:20],
                       "hmac": hmac.digest(pepper, s.encode(), "sha256")}.values())
                 for i, s in enumerate(secrets)])
        db.close()
        begin = time.monotonic()
        gw.start()
        took = time.monotonic() - begin
        for s in (secrets[0], secrets[many // 2], secrets[-1], one["key"]):
            assert gw.chat(s).status == 200
        grown = (rss_kb(gw.pid) - before) * 1024 / many
        print(f"{many} keys: start-up {took:.2f} s, {grown:.0f} bytes a key")
        assert gw.chat(secrets[5][:-1] + "_").status == 401
        assert SANITIZED or took < 2, took
        assert SANITIZED or grown < 1024, grown
        assert len(gw.pages("keys", team="t", limit=1000)) == many + 2
