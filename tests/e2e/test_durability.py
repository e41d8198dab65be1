"""What was settled stays settled: kills under load, backups under load, and a soak. The long editions
are commands of their own: kill_rounds.py, soak_ledger.py."""
import shutil
import time

import kill_rounds
import soak_ledger
from harness.bank import Bank, Books, wait_for
from harness.load import Load, bodies
from harness.paths import SANITIZED

SLOWER = 3 if SANITIZED else 1


def test_killed_under_load():
    """The prompts in the records make lanes of a megabyte go round."""
    r = kill_rounds.rounds(4, seconds=0.8 * SLOWER, prompt_bytes=4096, say=print)
    assert r.figures["replies"] > 100 and r.figures["cut off"] > 0, r.figures
    assert r.figures["grants"] > 4, r.figures


def test_killed_with_a_slow_writer():
    """Most of what was received whole lies in the journal alone when the end comes."""
    r = kill_rounds.rounds(2, seconds=0.5 * SLOWER, flush_ms=10_000, grants=False, say=print)
    assert r.figures["replies"] > 50, r.figures


def test_backup_under_load(mock):
    """The copy is of one moment: its books are right, its keys work, and it holds every reply that was
    received whole before it was asked for."""
    with Bank(mock, workers=2) as bank:
        load = Load(bank.port, bank.key, bodies() + bodies(["paced"]), 8, abort=0.1, retry=True).start()
        taken = []
        for n in range(3):
            at = len(load.whole)
            wait_for(lambda: len(load.whole) > at + 200)
            before = dict(load.whole)
            second = bank.make_key(f"made before backup {n}")
            path = bank.dir / f"backup-{n}.db"
            bank.command("backup", str(path))
            assert path.stat().st_mode & 0o777 == 0o600
            taken.append((path, before, second))
        r = bank.command("backup", str(taken[0][0]), check=False)  # never onto a file that is there
        assert r.returncode == 1 and str(taken[0][0]) in r.stderr, r
        load.stop()
        bank.verify()
        bank.stop()
        for path, before, second in taken:
            put_in_place(bank, path)
            bank.verify()  # by the command alone
            books = Books(bank)
            books.check_settles(before, 1 << 30)
            books.check_balance(in_memory=False)
            bank.start()
            assert bank.pay().status == bank.pay(key=second).status == 200
            bank.verify()
            books = Books(bank)
            books.check_generations(before)
            books.check_balance()
            bank.stop()
        bank.start()


def put_in_place(bank, backup):
    """As docs/operations.md says to restore: nothing of the old store stays."""
    for old in bank.run_dir.glob(bank.store.name + "*"):
        old.unlink()
    shutil.rmtree(bank.run_dir / "journal")
    shutil.copy(backup, bank.store)


def test_backup_restored_beside_the_journal(mock):
    """Only the store's file is put back; what the journal still holds of later replies is taken over,
    once, and the numbers of records go on."""
    with Bank(mock) as bank:
        early = [bank.pay().json()["id"] for _ in range(10)]
        path = bank.dir / "backup.db"
        bank.command("backup", str(path))
        late = [bank.pay().json()["id"] for _ in range(10)]
        bank.kill()
        for old in bank.run_dir.glob(bank.store.name + "-*"):
            old.unlink()
        shutil.copy(path, bank.store)
        bank.start()
        after = [bank.pay().json()["id"] for _ in range(10)]
        bank.verify()
        books = Books(bank)
        books.check_settles(dict.fromkeys(early + after), len(late))
        assert set(books.settled) <= set(early + late + after)
        books.check_balance()


def test_backup_restored_beside_the_old_log(mock):
    """The log of the file before would be applied to it: what comes of it is never taken for a store
    that is right, and nothing is lost by having tried."""
    with Bank(mock) as bank:
        path = bank.dir / "backup.db"
        early = [bank.pay().json()["id"] for _ in range(20)]
        bank.command("backup", str(path))
        load = Load(bank.port, bank.key, bodies(), 8, retry=True).start()
        wait_for(lambda: load.served > 500)
        bank.kill()
        load.retry = False
        load.stop()
        shutil.copy(path, bank.store)
        r = bank.command("ledger", "verify", check=False)
        if r.returncode != 0:
            assert "-wal" in r.stderr or "-wal" in r.stdout, r
            for old in bank.run_dir.glob(bank.store.name + "-*"):
                old.unlink()
            shutil.copy(path, bank.store)
        bank.start()
        bank.verify()
        books = Books(bank)
        assert set(early) <= books.settled.keys()
        books.check_settles({}, 1 << 30)
        books.check_balance()


def test_clean_stop_and_start(mock):
    """Everything is in the file itself after a clean end, and the next start has nothing to recover."""
    with Bank(mock, workers=3) as bank:
        load = Load(bank.port, bank.key, bodies(), 8).start()
        time.sleep(0.3)
        load.stop()
        balance = bank.credits()["balance"]
        bank.stop()
        copy = bank.dir / "copy.db"
        shutil.copy(bank.store, copy)
        shutil.rmtree(bank.run_dir / "journal")
        bank.configure(workers=1)
        bank.start()
        assert "former run" not in bank.log()
        assert bank.credits()["balance"] == balance
        books = Books(bank)
        assert books.check_settles(load.whole) == 0
        books.check_balance()


def test_soak_briefly():
    r = soak_ledger.soak(seconds=8, workers=2, say=print)
    assert r["replies"] > 200 and r["aborted"] > 5, r
