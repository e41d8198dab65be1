"""A store that cannot be written, or is no longer what it was: requests go on as long as they can be
made durable, then they are refused with 503, never with 401; the trouble shows in health, metrics and
the management API; and when the cause goes away it is over, without a restart and without a loss."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

from harness.bank import FREE, KEY, TEAM, Bank, Books, refused, wait_for
from harness.load import Load, bodies
from harness.paths import TURNPIKE
from harness.raw import chat

BIG = "x" * 50_000  # kept with the record, so that a small journal is soon full
SMALL_JOURNAL = {"journal_bytes": 1 << 20, "prompts": True, "prompt_bytes": 65_536}
AS_ROOT = os.geteuid() == 0


# ---- What must be true in trouble, and after it.

def in_trouble(bank):
    h = bank.health()
    return h["status"] == "degraded" and h["store"]


def is_well(bank):
    return bank.health()["status"] == "ok"


def check_trouble(bank, *words, changes=True):
    """Everything that does not need the store goes on; what needs it says so."""
    why = wait_for(lambda: in_trouble(bank))
    for word in words:
        assert word in why, (word, why)
    assert bank.metric("store_healthy") == 0
    assert bank.metric("store_failed_writes_total") >= 1
    status, doc = bank.ask("POST", f"/admin/teams/{TEAM}/credits", {"amount": "1"})
    assert (status, doc["error"]["code"]) == (503, "store_unavailable"), (status, doc)
    if changes:
        check_changes(bank)
    with bank.client(key=bank.key) as c:  # who may pass is known in memory, and is as it was
        assert c.get("/v1/models").status == 200
    for nobody in (bank.key[:-1] + ("a" if bank.key[-1] != "a" else "b"), "tp_live_" + "q" * 43):
        with bank.client(key=nobody) as c:
            assert c.get("/v1/models").status == 401
    with bank.client(key=KEY) as c:  # nobody pays for these
        assert c.chat(chat(model=FREE)).status == 200


def check_changes(bank):
    with bank.client(key=bank.manager) as c:
        listed = {k["name"]: k["id"] for k in c.get("/v1/keys").json()["data"]}  # of memory
        assert refused(c.request("POST", "/v1/keys", b'{"name":"in trouble"}'))
        assert refused(c.request("DELETE", f"/v1/keys/{listed['load']}"))
        assert refused(c.request("PATCH", f"/v1/keys/{listed['load']}", b'{"disabled":true}'))


def check_recovered(bank):
    """Without a restart, and changes are taken again."""
    wait_for(lambda: is_well(bank))
    assert bank.metric("store_healthy") == 1
    assert bank.pay().status == 200
    status, doc = bank.ask("POST", f"/admin/teams/{TEAM}/credits", {"amount": "2"})
    assert status == 201, doc
    made = bank.api("POST", "/admin/keys", {"team": TEAM, "name": "after it"}, 201)
    assert bank.pay(key=made["key"]).status == 200
    bank.api("DELETE", f"/admin/keys/{made['id']}")
    assert bank.pay(key=made["key"]).status == 401


def check_books(bank, whole):
    """whole: replies received: id -> cost (None: not known); there may be a few others."""
    bank.verify()
    books = Books(bank)
    books.check_settles(whole, 1000)
    books.check_generations(whole)
    books.check_balance()
    return books


def pay_until_refused(bank, most=200, text=BIG):
    """Paid requests one after the other until the journal is full: ids of those that were served."""
    served = {}
    for _ in range(most):
        r = bank.pay(text=text)
        if r.status != 200:
            assert refused(r), r
            assert int(r.header("Retry-After")) > 0
            return served
        served[r.json()["id"]] = None
    raise AssertionError(f"{most} requests were served without a store, in a journal of 1 MiB")


class During:
    """Load that goes on all the time: nobody is turned away with anything but store_unavailable, and
    every reply counts."""

    def __init__(self, bank, connections=4, requests=bodies() + 10 * bodies(["paced"])):
        self.load = Load(bank.port, bank.key, requests, connections).start()

    def __enter__(self):
        return self.load

    def __exit__(self, kind, *_):
        self.load.stop()
        if not kind:
            others = [s for s in self.load.statuses
                      if s not in ((200, None), (503, "store_unavailable"))]
            assert not others, self.load.statuses
            assert self.load.served > 0


# ---- A full disk.

def full_disk(bank, fill, make_room):
    before = {bank.pay().json()["id"]: None for _ in range(5)}
    unused = [bank.make_key(f"first used in trouble {n}") for n in range(5)]
    fill()
    during = {bank.pay(key=k).json()["id"]: None for k in unused}
    during |= pay_until_refused(bank)
    assert during, "nothing was served although the journal had room"
    check_trouble(bank)
    assert refused(bank.pay(text=BIG))
    assert refused(bank.pay(text=BIG, stream=True))
    assert bank.metric('denied_total{by="store"}') >= 3
    make_room()
    check_recovered(bank)
    check_books(bank, before | during)
    assert bank.metric("journal_bytes") == 0


def test_no_file_may_grow(mock):
    """As a full disk is for who writes; any user can set this limit."""
    with Bank(mock, store=SMALL_JOURNAL) as bank:
        full_disk(bank, lambda: bank.limit_files(4096), lambda: bank.limit_files(None))


class SmallDisk:
    """A file system of its own for the gateway's run directory; root only."""

    def __init__(self, where, megabytes):
        self.where = pathlib.Path(where)
        self.where.mkdir(mode=0o700)
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs",
                            self.where], capture_output=True, text=True)
        if r.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {r.stderr.strip()}")

    def fill(self):
        with open(self.where / "filler", "wb", buffering=0) as f:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while f.write(b"\0" * size) == size:
                        pass
                except OSError:
                    pass

    def make_room(self):
        (self.where / "filler").unlink()

    def remove(self):
        subprocess.run(["umount", "-l", self.where], check=True)


@pytest.fixture
def small_disk(mock):
    if not AS_ROOT:
        pytest.skip("only root can mount a small file system")
    bank = Bank(mock, store=SMALL_JOURNAL)
    disk = SmallDisk(bank.run_dir, 16)
    try:
        with bank:
            yield bank, disk
    finally:
        disk.remove()


def test_full_disk(small_disk):
    bank, disk = small_disk
    full_disk(bank, disk.fill, disk.make_room)


def test_full_disk_at_start(small_disk):
    """Killed while the disk was full: what the journal holds waits there for a start with room."""
    bank, disk = small_disk
    disk.fill()
    whole = pay_until_refused(bank)
    bank.kill()
    r = bank.command("serve", "--listen", "127.0.0.1:0", check=False)
    assert r.returncode == 1, r
    assert str(bank.store) in r.stderr and "full" in r.stderr, r.stderr
    r = bank.command("ledger", "verify", check=False)  # nor does a command lose it
    assert r.returncode == 1 and "full" in r.stderr, r.stderr
    disk.make_room()
    bank.start()
    check_books(bank, whole)


@pytest.mark.skipif(not AS_ROOT, reason="only root can mount a small file system")
def test_backup_to_a_full_disk(mock):
    """Nothing is left of it, the store is none the worse, and the place is told by its name."""
    with Bank(mock) as bank:
        bank.pay()
        disk = SmallDisk(bank.dir / "small", 1)
        try:
            disk.fill()
            path = disk.where / "backup.db"
            r = bank.command("backup", str(path), check=False)
            assert r.returncode == 1 and str(path) in r.stderr and "full" in r.stderr, r
            assert [p.name for p in disk.where.iterdir()] == ["filler"]
            assert is_well(bank)
            disk.make_room()
            bank.command("backup", str(path))
            assert path.stat().st_mode & 0o777 == 0o600
        finally:
            disk.remove()


# ---- The store's file is not what it was.

def garbage(size=300_000):
    return os.urandom(1) + b"no database at all\n" * (size // 19)


def test_replaced_by_garbage(mock):
    """By rename. The gateway keeps what it has until the right file is back, which misses nothing."""
    with Bank(mock) as bank, During(bank) as load:
        aside = bank.store.with_suffix(".aside")
        wait_for(lambda: load.served > 20)
        bank.store.rename(aside)
        bank.store.write_bytes(garbage())
        check_trouble(bank)
        wait_for(lambda: load.served > 60)
        aside.rename(bank.store)
        check_recovered(bank)
        load.stop()
        check_books(bank, load.whole)


@pytest.mark.parametrize("how", ["overwritten", "cut to nothing", "head only"])
def test_spoiled_in_place(mock, how):
    """What was drained after the backup went with the file; the journal has what came after it was
    spoiled, and the books of what is left are right."""
    with Bank(mock) as bank:
        before = {bank.pay().json()["id"]: None for _ in range(20)}
        backup = bank.dir / "backup.db"
        bank.command("backup", str(backup))
        with open(bank.store, "r+b") as f:
            if how == "cut to nothing":
                f.truncate(0)
            elif how == "head only":
                f.write(b"\0" * 100)
            else:
                f.write(garbage(bank.store.stat().st_size))
        with During(bank) as load:
            check_trouble(bank)
            wait_for(lambda: load.served > 20)
            # Beside it first, then by rename: a file that is half copied is no store.
            shutil.copy(backup, bank.dir / "copy.db")
            (bank.dir / "copy.db").rename(bank.store)
            check_recovered(bank)
        check_books(bank, before | load.whole)


def test_backup_copied_over_the_spoiled_file(mock):
    """With cp onto the same file, as a person in a hurry does."""
    with Bank(mock) as bank:
        before = {bank.pay().json()["id"]: None for _ in range(20)}
        backup = bank.dir / "backup.db"
        bank.command("backup", str(backup))
        bank.store.write_bytes(garbage())
        during = {bank.pay().json()["id"]: None for _ in range(20)}
        check_trouble(bank)
        bank.store.write_bytes(backup.read_bytes())
        check_recovered(bank)
        check_books(bank, before | during)


def test_file_deleted(mock):
    with Bank(mock) as bank, During(bank) as load:
        wait_for(lambda: load.served > 20)
        saved = bank.store.with_suffix(".saved")
        os.link(bank.store, saved)
        bank.store.unlink()
        check_trouble(bank, "gone")
        assert not bank.store.exists(), "an empty store was made in place of the one that is gone"
        wait_for(lambda: load.served > 60)
        saved.rename(bank.store)
        check_recovered(bank)
        load.stop()
        check_books(bank, load.whole)


def test_file_of_another_store(mock):
    """A valid file, but not this one's: its balances are not taken over."""
    with Bank(mock) as other:
        other.pay()
        other.stop()
        foreign = other.store.read_bytes()
    with Bank(mock) as bank, During(bank) as load:
        wait_for(lambda: load.served > 20)
        aside = bank.store.with_suffix(".aside")
        bank.store.rename(aside)
        bank.store.write_bytes(foreign)
        check_trouble(bank, "another store")
        assert bank.store.read_bytes() == foreign, "another store's file was written to"
        aside.rename(bank.store)
        check_recovered(bank)
        load.stop()
        check_books(bank, load.whole)


def test_replaced_by_an_empty_file(mock):
    """No new store is begun in it, which the next start would take for this one."""
    with Bank(mock) as bank, During(bank) as load:
        wait_for(lambda: load.served > 20)
        aside = bank.store.with_suffix(".aside")
        bank.store.rename(aside)
        bank.store.touch()
        check_trouble(bank, "damaged")
        assert bank.store.stat().st_size == 0
        aside.rename(bank.store)
        check_recovered(bank)
        load.stop()
        check_books(bank, load.whole)


def test_older_backup_put_back(mock):
    """An operator goes back to a backup while the gateway runs: memory follows the file, to the
    nano-dollar, under load."""
    with Bank(mock) as bank, During(bank, 16, bodies()) as load:
        wait_for(lambda: load.served > 20)
        backup = bank.dir / "backup.db"
        early = dict(load.whole)
        bank.command("backup", str(backup))
        wait_for(lambda: load.served > len(early) + 40)
        backup.rename(bank.store)
        wait_for(lambda: "opened anew" in bank.log())
        at = load.served
        wait_for(lambda: load.served > at + 40)
        load.stop()
        bank.verify()
        books = Books(bank)
        books.check_settles({i: c for i, c in load.whole.items() if i in books.settled}, 1000)
        assert early.keys() <= books.settled.keys()
        books.check_balance()


def test_locked_by_another_process(mock):
    with Bank(mock) as bank, During(bank) as load:
        wait_for(lambda: load.served > 20)
        other = sqlite3.connect(bank.store, isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        check_trouble(bank, "locked", changes=False)  # each would wait for the lock, too
        other.execute("ROLLBACK")
        other.close()
        check_recovered(bank)
        load.stop()
        check_books(bank, load.whole)


@pytest.mark.parametrize("what", ["-wal", "-shm", "-lock"])
def test_what_lies_beside_it_is_removed(mock, what):
    """Somebody tidies up. Nothing of what was answered is lost, even by a crash that follows."""
    with Bank(mock, workers=2) as bank, During(bank) as load:
        wait_for(lambda: load.served > 20)
        for n in range(3):
            assert bank.grant(1, f"before {what} {n}")[0] == 201
            at = bank.log().count("was taken away")
            pathlib.Path(f"{bank.store}{what}").unlink()
            wait_for(lambda: bank.log().count("was taken away") > at)
            wait_for(lambda: is_well(bank))
            assert bank.grant(1, f"after {what} {n}")[0] == 201
        load.retry = False
        bank.kill()
        load.stop()
        bank.start()
        bank.verify()
        books = Books(bank)
        books.check_settles(load.whole, 1000)
        assert len(books.references) == 6
        books.check_balance()


def test_journal_of_another_store(mock):
    """The store's path was changed and the journal's was not: what lies in it was charged before."""
    with Bank(mock) as bank:
        for _ in range(10):
            bank.pay()
        bank.stop()
        path = bank.dir / "another.db"
        bank.doc["store"]["path"] = str(path)
        bank.configure()
        for argv in (("serve", "--listen", "127.0.0.1:0"), ("credits", "show")):
            r = bank.command(*argv, check=False)
            assert r.returncode == 1 and "of another store" in r.stderr, (argv, r)
            assert "store.journal_dir" in r.stderr
        del bank.doc["store"]["path"]
        bank.configure()
        bank.start()
        check_books(bank, {})


# ---- Read-only.

def test_immutable_file(mock):
    """Open files of an immutable inode cannot be written either, as when a file system turns
    read-only under a running process."""
    if not AS_ROOT or not shutil.which("chattr"):
        pytest.skip("only root can make a file immutable")
    with Bank(mock) as bank:
        files = [bank.store, pathlib.Path(f"{bank.store}-wal")]
        if subprocess.run(["chattr", "+i", bank.store], capture_output=True).returncode != 0:
            pytest.skip("this file system knows no immutable files")
        try:
            subprocess.run(["chattr", "+i", *files], check=True)
            during = {bank.pay().json()["id"]: None for _ in range(20)}
            check_trouble(bank)
        finally:
            subprocess.run(["chattr", "-i", *files], check=True)
        check_recovered(bank)
        check_books(bank, during)


@pytest.fixture
def plain_user(monkeypatch, tmp):
    """Runs gateways as a user whose rights count; answers what to do with a Bank's directory."""
    if not AS_ROOT:
        return lambda bank: None
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv to give up root's rights with")
    wrapper = tmp / "turnpike"
    wrapper.write_text("#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "
                       f'"{TURNPIKE}" "$@"\n')
    wrapper.chmod(0o755)
    for parent in wrapper.parents:
        if parent.stat().st_uid == 0 and parent != pathlib.Path("/") and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)  # of this test run's own directory
    if subprocess.run([wrapper, "--version"], capture_output=True).returncode != 0:
        pytest.skip("another user cannot run this build")
    monkeypatch.setattr("harness.gateway.TURNPIKE", wrapper)

    def give(bank):
        for path in (bank.dir, *bank.dir.rglob("*")):
            os.chown(path, 65534, 65534)
    return give


def test_put_back_read_only(mock, plain_user):
    """A file that came back with the wrong mode is in use again when the mode is put right."""
    bank = Bank(mock)
    plain_user(bank)
    with bank, During(bank) as load:
        wait_for(lambda: load.served > 20)
        aside = bank.store.with_suffix(".aside")
        bank.store.rename(aside)
        wait_for(lambda: in_trouble(bank))
        aside.chmod(0o400)
        aside.rename(bank.store)
        wait_for(lambda: "readonly" in in_trouble(bank))
        check_trouble(bank, "readonly")
        bank.store.chmod(0o600)
        check_recovered(bank)
        load.stop()
        check_books(bank, load.whole)


# ---- Starts.

@pytest.mark.parametrize("content", [garbage(), b"SQLite format 3\0" + bytes(4000), b"x"],
                         ids=["garbage", "head of a database", "one byte"])
def test_start_with_garbage(mock, content):
    with Bank(mock) as bank:
        bank.pay()
        bank.stop()
        right = bank.store.read_bytes()
        bank.store.write_bytes(content)
        for argv in (("serve", "--listen", "127.0.0.1:0"), ("ledger", "verify"), ("keys", "list")):
            r = bank.command(*argv, check=False)
            assert r.returncode == 1, (argv, r)
            assert str(bank.store) in r.stderr and "backup" in r.stderr, r.stderr
        assert bank.store.read_bytes() == content, "what may still be wanted was overwritten"
        bank.store.write_bytes(right)
        bank.start()
        assert bank.pay().status == 200
        check_books(bank, {})


def test_start_of_a_second_gateway(mock):
    """Two that write one ledger would spend one balance twice."""
    with Bank(mock) as bank:
        other = bank.dir / "other"
        (other / "conf.d").mkdir(parents=True)
        doc = json.loads((bank.conf_d / "50-test.json").read_text())
        doc["server"] |= {"run_dir": str(other / "run"), "admin_socket": str(other / "admin.sock")}
        doc["store"] |= {"path": str(bank.store)}
        (other / "conf.d" / "50.json").write_text(json.dumps(doc))
        r = subprocess.run([TURNPIKE, "serve", "--config", other, "--listen", "127.0.0.1:0"],
                           capture_output=True, text=True, timeout=30)
        assert r.returncode == 1 and str(bank.pid) in r.stderr and str(bank.store) in r.stderr, r
        assert bank.pay().status == 200
