"""The commands of governance, each beside a running gateway and without one: the same answers."""
import csv
import io
import json
import re
import shutil
import sqlite3
import stat

import pytest

from harness.installation import gw, resting  # noqa: F401: fixtures

SECRET = re.compile(r"tp_live_[A-Za-z0-9_-]{43}")


# ---- Keys.

def test_a_key_from_beginning_to_end(gw):
    text = gw.say("keys", "create", "--name", "ci", "--rate-limit", "7", "--models", "m,oth*", "--expires-in", "90d",
                  "--limit", "12.50", "--limit-reset", "monthly", "--concurrency", "3", "--tokens-per-minute=90000")
    secret = SECRET.search(text).group()
    assert text.count(secret) == 1 and "only time" in text
    key = re.search(r"key_\w+", text).group()

    row, = gw.rows("keys", "list")
    assert row["ID"] == key and row["NAME"] == "ci" and row["TEAM"] == "default" and row["STATE"] == "active"
    assert row["A MINUTE"] == "7" and row["LIMIT (USD)"] == "12.5" and row["LAST USED"] == "-"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", row["EXPIRES"])
    doc = gw.json("keys", "show", key)
    assert doc["models"] == ["m", "oth*"] and doc["limit_reset"] == "monthly" and doc["concurrency"] == 3
    assert doc["tokens_per_minute"] == 90000 and doc["role"] == "inference"
    assert re.search(r"(?m)^models +m, oth\*$", gw.say("keys", "show", key))

    gw.say("keys", "update", key, "--name", "ci 2", "--rate-limit", "none", "--models", "all", "--expires-in", "never",
           "--limit", "none", "--limit-reset", "never")
    doc = gw.json("keys", "show", key)
    assert doc["name"] == "ci 2" and doc["models"] in (None, []) and doc["expires_at"] is None
    assert doc["limit"] is None and doc["limit_reset"] is None and doc["rate_limit"] != 7
    assert gw.json("keys", "update", key, "--disabled", "true")["disabled"] is True
    assert gw.rows("keys", "list")[0]["STATE"] == "disabled"

    for listing in (gw.say("keys", "list"), gw.say("keys", "list", "--json"), gw.say("keys", "show", key, "--json")):
        assert secret not in listing and "argon2" not in listing
    assert gw.say("keys", "revoke", key) == f"Revoked key {key}.\n"
    assert key in gw.refused("keys", "show", key) and key in gw.refused("keys", "revoke", key)
    assert gw.say("keys", "list").startswith("There are no keys")
    assert gw.json("keys", "list")["data"] == []


def test_a_key_is_shown_once_with_json_too(gw):
    doc = gw.json("keys", "create", "--name", "k", "--team", "fixed", "--role", "management", "--prefix", "zz_")
    assert re.fullmatch(r"zz_[A-Za-z0-9_-]{43}", doc["key"]) and doc["team"] == "fixed" and doc["role"] == "management"
    assert doc["key"] not in gw.say("keys", "list", "--json") and "key" not in gw.json("keys", "show", doc["id"])
    assert [k["id"] for k in gw.json("keys", "list", "--team", "fixed")["data"]] == [doc["id"]]
    assert gw.json("keys", "list", "--team", "default")["data"] == []
    assert "'nobody'" in gw.refused("keys", "list", "--team", "nobody")
    for f in (gw.dir / "run").rglob("*"):  # nor is it anywhere on the disk
        if f.is_file():
            assert doc["key"].encode() not in f.read_bytes(), f


def test_a_name_cannot_command_the_terminal(gw):
    name = 'q" \\ , grün 日本'
    gw.say("keys", "create", "--name", name)
    assert gw.json("keys", "list")["data"][0]["name"] == name
    assert name in gw.say("keys", "list")
    gw.say("teams", "create", "t", "--name", "a\u202eb\u009bc")
    assert "a?b?c" in gw.say("teams", "list")


def test_more_keys_than_a_page_holds(resting):
    one = resting.json("keys", "create", "--name", "k0")
    # Each costs an Argon2id; the other thousand are rows of the same hash.
    db = sqlite3.connect(resting.dir / "run" / "turnpike.db")
    table = next(t for t, in db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name LIKE '%key%'")
                 if "lookup" in [c[1] for c in db.execute(f"PRAGMA table_info({t})")])
    columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})")]
    row = dict(zip(columns, db.execute(f"SELECT * FROM {table}").fetchone()))
    with db:
        for i in range(1, 1003):
            copy = {**row, "id": f"key_{i:020d}", "name": f"k{i}", "lookup": row["lookup"][:-4] + f"{i:04d}"}
            db.execute(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})",
                       [copy[c] for c in columns])
    db.close()
    rows = resting.rows("keys", "list")
    assert len(rows) == 1003 and len({r["ID"] for r in rows}) == 1003 and one["id"] in {r["ID"] for r in rows}
    doc = resting.json("keys", "list")
    assert len({k["id"] for k in doc["data"]}) == 1003 and doc["next"] is None


# ---- Teams.

def test_a_team_from_beginning_to_end(gw):
    doc = gw.json("teams", "create", "acme", "--name", "Acme & Söhne", "--billing", "postpaid", "--allow-models", "m,o*",
                  "--deny-providers", "bad", "--min-trust", "0", "--data-local", "false")
    assert doc["id"] == "acme" and doc["billing"] == "postpaid" and doc["active"] is True
    assert doc["policy"]["allow_models"] == ["m", "o*"] and doc["policy"]["deny_providers"] == ["bad"]
    assert "acme" in gw.refused("teams", "create", "acme")
    gw.say("teams", "update", "acme", "--active", "false", "--allow-models", "all", "--min-trust", "2")
    doc = gw.json("teams", "show", "acme")
    assert doc["active"] is False and doc["policy"]["min_trust"] == 2 and not doc["policy"]["allow_models"]
    assert doc["policy"]["deny_providers"] == ["bad"] and doc["name"] == "Acme & Söhne"
    assert re.search(r"(?m)^policy\.min_trust +2$", gw.say("teams", "show", "acme"))
    rows = {r["ID"]: r for r in gw.rows("teams", "list")}
    assert set(rows) == {"default", "fixed", "acme"}
    assert rows["acme"]["STATE"] == "inactive" and rows["acme"]["BILLING"] == "postpaid"
    assert rows["fixed"]["DEFINED"] == "conf.d" and rows["acme"]["DEFINED"] == "store"
    assert {t["id"] for t in gw.json("teams", "list")["data"]} == set(rows)
    assert "fixed" in gw.refused("teams", "update", "fixed", "--active", "false")
    gw.refused("teams", "show", "nobody")


# ---- Credits and ledger.

def test_credits(gw):
    gw.say("teams", "create", "acme")
    assert "Balance: 10 USD" in gw.say("credits", "grant", "acme", "10", "--note", "first, \"cash\"", "--reference", "inv-1")
    again = gw.say("credits", "grant", "acme", "10", "--reference", "inv-1")
    assert "Nothing was added" in again and "Balance: 10 USD" in again
    assert "Balance: 10.000000001 USD" in gw.say("credits", "refund", "acme", "0.000000001", "--generation", "gen-1")
    assert "Balance: 7.500000001 USD" in gw.say("credits", "adjust", "acme", "-2.5", "--note", "by mistake")
    doc = gw.json("credits", "grant", "acme", "0.5")
    assert doc["balance"] == "8.000000001" and doc["seq"] > 0
    assert gw.json("credits", "show", "acme")["balance"] == "8.000000001"
    assert re.search(r"(?m)^balance +8\.000000001$", gw.say("credits", "show", "acme"))
    assert {r["TEAM"]: r["BALANCE (USD)"] for r in gw.rows("credits", "show")} == {
        "acme": "8.000000001", "default": "0", "fixed": "0"}
    assert "nobody" in gw.refused("credits", "grant", "nobody", "1")

    rows = list(csv.DictReader(io.StringIO(gw.say("ledger", "export"))))
    assert [(r["kind"], r["amount"]) for r in rows] == [
        ("grant", "10"), ("refund", "0.000000001"), ("adjustment", "-2.5"), ("grant", "0.5")]
    assert rows[0]["note"] == "first, \"cash\"" and rows[0]["reference"] == "inv-1" and rows[1]["generation"] == "gen-1"
    assert [int(r["seq"]) for r in rows] == sorted(int(r["seq"]) for r in rows)
    assert all(r["team"] == "acme" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r["at"]) for r in rows)
    lines = [json.loads(line) for line in gw.say("ledger", "export", "--format", "jsonl").splitlines()]
    assert [(str(l["seq"]), l["amount"], l["note"] or "") for l in lines] == [
        (r["seq"], r["amount"], r["note"]) for r in rows]
    assert gw.say("ledger", "export", "--json") == gw.say("ledger", "export", "--format", "jsonl")
    head = gw.say("ledger", "export", "--team", "default")
    assert head == "seq,at,team,kind,amount,generation,key,price_version,note,actor,reference\n"
    day = rows[0]["at"][:10]
    assert len(gw.say("ledger", "export", "--from", day).splitlines()) == 5
    assert gw.say("ledger", "export", "--to", "2026-01-01") == head
    assert len(gw.say("ledger", "export", "--from", "2026-01-01", "--to", rows[-1]["at"][:10]).splitlines()) >= 5

    assert "The ledger is right" in gw.say("ledger", "verify")
    assert gw.json("ledger", "verify")["ok"] is True


def test_a_ledger_that_is_not_right(resting):
    resting.say("credits", "grant", "default", "10")
    db = sqlite3.connect(resting.dir / "run" / "turnpike.db")
    changed = 0
    for table, in db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name LIKE '%ledger%'").fetchall():
        for column in [c[1] for c in db.execute(f"PRAGMA table_info({table})")]:
            if "nano" in column or "amount" in column:
                changed += db.execute(f"UPDATE {table} SET {column} = {column} + 1 WHERE {column} = 10000000000").rowcount
    db.commit()
    db.close()
    assert changed
    r = resting.run("ledger", "verify")
    assert r.returncode == 1 and "NOT right" in r.stdout, r
    r = resting.run("ledger", "verify", "--json")
    assert r.returncode == 1 and json.loads(r.stdout)["ok"] is False


# ---- Provider keys.

def test_provider_keys(gw, tmp_path):
    gw.say("teams", "create", "acme")
    secret = "sk-own-" + "x" * 40
    (tmp_path / "key").write_text(secret + "1111\n")
    text = gw.say("byok", "set", "acme", "up", "--key-file", str(tmp_path / "key"))
    assert "1111" in text and secret not in text
    row, = gw.rows("byok", "list", "acme")
    assert row["PROVIDER"] == "up" and row["TYPE"] == "api_key" and row["ENDS IN"] == "1111"
    gw.say("byok", "set", "acme", "up", "--type", "codestral", "--key-env", "OWN_KEY", env={"OWN_KEY": secret + "2222"})
    gw.say("byok", "set", "acme", "up", input=secret + "3333\n")  # replaces the first
    assert {(k["type"], k["hint"]) for k in gw.json("byok", "list", "acme")["data"]} == {
        ("api_key", "3333"), ("codestral", "2222")}
    assert secret not in gw.say("byok", "list", "acme", "--json") + gw.say("teams", "show", "acme")
    gw.say("byok", "set", "acme", "up", input="k" * 4096)  # the longest there is
    for f in (gw.dir / "run").rglob("*"):
        if f.is_file():
            assert b"sk-own-" not in f.read_bytes(), f
    gw.say("byok", "remove", "acme", "up", "--type", "codestral")
    gw.say("byok", "remove", "acme", "up")
    assert "no provider keys" in gw.say("byok", "list", "acme")
    gw.refused("byok", "remove", "acme", "up")
    assert "up" in gw.refused("byok", "set", "acme", "upp", input=secret)  # did you mean
    for bad in ("", "\n", "two words", "k" * 4097, "grün", "a\nb"):
        assert "provider key" in gw.refused("byok", "set", "acme", "up", input=bad)
    gw.refused("byok", "set", "acme", "up", "--key-env", "NOT_SET")
    gw.refused("byok", "set", "acme", "up", "--key-file", str(tmp_path / "absent"))
    gw.refused("byok", "set", "acme", "up", "--key-env", "A", "--key-file", "b", code=2)


# ---- What was asked and answered.

def test_generations_and_settles(resting):
    gw = resting.start()
    gw.say("teams", "create", "acme")
    gw.say("credits", "grant", "acme", "1")
    key = gw.json("keys", "create", "--name", "worker", "--team", "acme")
    ids = []
    for name in ("m", "m", "other"):
        reply = gw.chat(key["key"], name)
        assert reply.status == 200, reply
        ids.append(reply.json()["id"])
    for online in (True, False):
        if not online:
            gw.stop()
        rows = gw.rows("generations", "list", "--team", "acme")
        assert [r["ID"] for r in rows] == ids[::-1]
        assert all(r["KEY"] == "worker" and r["STATUS"] == "completed" and r["TOKENS IN"] == "11" and r["OUT"] == "7"
                   and r["COST (USD)"] == "0.000025" for r in rows)
        assert [g["id"] for g in gw.json("generations", "list", "--model", "other")["data"]] == ids[2:]
        assert gw.say("generations", "list", "--status", "failed", "--team", "acme").startswith("There are no generations")
        assert len(gw.json("generations", "list", "--key", key["id"])["data"]) == 3
        assert gw.json("generations", "list", "--to", "2026-01-01")["data"] == []
        assert gw.json("generations", "list", "--limit", "0", "--provider", "up")["next"] is None
        r = gw.run("generations", "list", "--limit", "2", "--team", "acme")
        assert len(r.stdout.splitlines()) == 3 and "--limit" in r.stderr
        doc = gw.json("generations", "show", ids[0])
        assert doc["id"] == ids[0] and doc["charged"] == "0.000025" and doc["team"] == "acme" and doc["key"] == key["id"]
        assert re.search(r"(?m)^charged +0\.000025$", gw.say("generations", "show", ids[0]))
        gw.refused("generations", "show", "nothing")
        settles = [r for r in csv.DictReader(io.StringIO(gw.say("ledger", "export", "--team", "acme"))) if r["kind"] == "settle"]
        assert [r["generation"] for r in settles] == ids
        assert all(r["amount"] == "-0.000025" and r["key"] == key["id"] and r["price_version"] for r in settles)
        assert gw.json("credits", "show", "acme")["balance"] == "0.999925"
        assert gw.json("ledger", "verify")["ok"] is True


def test_a_key_made_while_nothing_runs(resting):
    gw = resting
    gw.say("teams", "create", "acme", "--billing", "prepaid")
    secret = gw.json("keys", "create", "--name", "early", "--team", "acme")["key"]
    gw.say("credits", "grant", "acme", "1", "--reference", "offline")
    gw.start()
    assert gw.chat(secret).status == 200
    assert "Balance: 2.999975 USD" in gw.say("credits", "grant", "acme", "2", "--reference", "online")
    assert "Nothing was added" in gw.say("credits", "grant", "acme", "1", "--reference", "offline")
    late = gw.json("keys", "create", "--name", "late", "--team", "acme")
    assert gw.chat(late["key"]).status == 200  # in force at once
    gw.say("keys", "revoke", late["id"])
    assert gw.chat(late["key"]).status == 401
    gw.stop()
    assert gw.json("credits", "show", "acme")["balance"] == "2.99995"
    assert [k["name"] for k in gw.json("keys", "list")["data"]] == ["early"]


def test_what_a_killed_gateway_left_is_there(resting):
    gw = resting.start()
    key = gw.json("keys", "create", "--name", "k")
    ids = [gw.chat(key["key"]).json()["id"] for _ in range(5)]
    gw.child.proc.kill()
    gw.child.proc.wait()
    gw.child = None
    assert [g["id"] for g in gw.json("generations", "list", "--key", key["id"])["data"]] == ids[::-1]
    exported = list(csv.DictReader(io.StringIO(gw.say("ledger", "export"))))
    assert [r["generation"] for r in exported if r["kind"] == "settle"] == ids
    gw.start()
    assert len(gw.json("generations", "list", "--key", key["id"])["data"]) == 5


# ---- Backup.

def test_backup_and_restore(gw, tmp_path):
    gw.say("teams", "create", "acme")
    gw.say("credits", "grant", "acme", "5")
    file = tmp_path / "copy.db"
    text = gw.say("backup", "copy.db", cwd=tmp_path)  # from another directory than the gateway's
    assert str(file) in text and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = file.read_bytes()
    assert "copy.db" in gw.refused("backup", str(file)) and file.read_bytes() == before
    gw.refused("backup", str(tmp_path / "absent" / "x.db"))
    assert gw.json("backup", str(tmp_path / "second.db"))["bytes"] == (tmp_path / "second.db").stat().st_size

    gw.say("credits", "grant", "acme", "100")
    gw.say("keys", "create", "--name", "after")
    gw.stop()
    # As docs/operations.md has it: stop, put the file back, remove what lies beside it, start.
    db = gw.dir / "run" / "turnpike.db"
    for beside in ("-wal", "-shm"):
        (db.parent / (db.name + beside)).unlink(missing_ok=True)
    db.write_bytes(before)
    gw.start()
    assert gw.json("credits", "show", "acme")["balance"] == "5" and gw.json("keys", "list")["data"] == []
    assert gw.json("ledger", "verify")["ok"] is True


@pytest.mark.parametrize("journal", ["kept", "removed"])
def test_what_was_settled_after_a_backup(resting, tmp_path, journal):
    """It comes back from the journal, once; without the journal the moment of the backup does."""
    gw = resting.start()
    key = gw.json("keys", "create", "--name", "k")
    ids = [gw.chat(key["key"]).json()["id"]]
    gw.say("backup", str(tmp_path / "copy.db"))
    ids += [gw.chat(key["key"]).json()["id"] for _ in range(3)]
    gw.stop()
    db = gw.dir / "run" / "turnpike.db"
    for beside in ("-wal", "-shm"):
        (db.parent / (db.name + beside)).unlink(missing_ok=True)
    db.write_bytes((tmp_path / "copy.db").read_bytes())
    if journal == "removed":
        shutil.rmtree(gw.dir / "run" / "journal")
        del ids[1:]
    gw.start()
    assert [g["id"] for g in gw.json("generations", "list")["data"]] == ids[::-1]
    assert gw.json("credits", "show", "default")["used"] == f"{0.000025 * len(ids):f}".rstrip("0")
    assert gw.json("ledger", "verify")["ok"] is True
    assert gw.chat(key["key"]).status == 200
