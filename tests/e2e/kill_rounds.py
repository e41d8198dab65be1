#!/usr/bin/env python3
"""Kills the gateway under load, again and again, and asks each time: is every reply that a client
received whole settled, once, and does nothing else remain of what was cut short?

    TURNPIKE_BUILD=build tests/e2e/kill_rounds.py --rounds 50

A round: load of whole, streamed and broken-off requests and of grants; kill -9 at a random moment;
sometimes a start that is killed within its first moments, or a command on the store without a gateway
(killed, too); another number of workers; a start; then the books are read. Ends with 1 and the
round's finding when something is not right.
"""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness.bank import Bank, Books, nano
from harness.load import Load, bodies
from harness.mock import Mock
from harness.paths import TURNPIKE
from harness.proc import clean_env

LANE_BYTES = 1 << 20  # the smallest that there is


class Granter:
    """Grants beside the load, each with a reference; what was answered must be there after the kill,
    and one that was not answered is asked for again."""

    def __init__(self, bank):
        self.bank = bank
        self.acknowledged, self.doubtful = [], []
        self._stop = threading.Event()
        self._count = 0

    def start(self, round_):
        self._stop.clear()
        self._round = round_
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.02):
            self._count += 1
            reference = f"r{self._round}-{self._count}"
            try:
                status, _ = self.bank.grant("0.25", reference)
            except (OSError, ValueError):  # no answer, or a part of one
                self.doubtful.append(reference)
                return
            if status == 201:
                self.acknowledged.append(reference)
            else:
                self.doubtful.append(reference)

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the granting thread did not end"

    def again(self):
        """Asks for the doubtful ones: how many of them were there already."""
        there = 0
        for reference in self.doubtful:
            status, doc = self.bank.grant("0.25", reference)
            assert status in (200, 201), (status, doc)
            assert doc["duplicate"] == (status == 200), doc
            there += status == 200
            self.acknowledged.append(reference)
        self.doubtful = []
        return there

    def check(self, books):
        for reference in self.acknowledged:
            assert books.references.get(reference) == [nano("0.25")], \
                f"grant {reference}: {books.references.get(reference)}"


class Rounds:
    def __init__(self, bank, seed, seconds, connections, prompt_bytes, grants):
        self.bank, self.seconds, self.connections, self.grants = bank, seconds, connections, grants
        self.random = random.Random(seed)
        self.whole = {}
        self.cut = self.more = 0
        self.granter = Granter(bank)
        self.figures = Counter()
        text = "x" * prompt_bytes
        self.requests = bodies(text=text) + bodies(["paced"], text=text) * 2
        self.slowest_start = self.most_recovered = 0

    # ---- A round.

    def run(self, n):
        began = time.time()
        load = Load(self.bank.port, self.bank.key, self.requests, self.connections,
                    abort=0.2, seed=self.random.random(), retry=True).start()
        if self.grants:
            self.granter.start(n)
        time.sleep(self.random.uniform(0.2, 1.0) * self.seconds)
        self.bank.kill()
        if self.grants:
            self.granter.stop()
        load.retry = False
        load.stop()
        self.take(load)
        self.meddle()
        self.bank.configure(workers=self.random.choice((1, 2, 3, 4)))
        started = time.monotonic()
        self.bank.start()
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)
        self.audit(load, began)

    def take(self, load):
        strange = [s for s in load.statuses if s != (200, None) and s != (503, "store_unavailable")]
        assert not strange, load.statuses
        twice = self.whole.keys() & load.whole.keys()
        assert not twice, f"ids given out again after a kill: {list(twice)[:5]}"
        self.whole.update(load.whole)
        self.cut += load.cut
        self.figures["refused"] += load.statuses[(503, "store_unavailable")]

    def meddle(self):
        """What else may happen before somebody starts it again."""
        while self.random.random() < 0.4:
            argv = [TURNPIKE, "serve", "--config", self.bank.dir, "--listen", "127.0.0.1:0"]
            self.cut_short(argv, 0.05, "starts killed")
        if self.random.random() < 0.2:
            self.cut_short([TURNPIKE, "ledger", "verify", "--config", self.bank.dir], 0.05,
                           "commands killed")
        if self.random.random() < 0.2:
            self.bank.verify()  # without a gateway: the command drains what is left
            self.figures["read without a gateway"] += 1

    def cut_short(self, argv, within, figure):
        with open(self.bank.dir / f"log.{self.bank.starts}-cut", "ab") as log:
            p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, env=clean_env())
        time.sleep(self.random.uniform(0, within))
        p.kill()
        p.wait()
        self.figures[figure] += 1

    def audit(self, load, began):
        self.bank.verify()
        books = Books(self.bank)
        self.more = books.check_settles(self.whole, self.cut)
        books.check_generations(load.whole, int(began * 1000) - 50)  # workers read a coarse clock
        books.check_balance()
        self.granter.check(books)
        self.figures["grants found again"] += self.granter.again()
        for reply in load.aborted & books.settled.keys():
            assert len(books.settled[reply]) == 1
        self.figures["entries"] = len(books.entries)

    def lost(self):
        """What the log says was lost, or could not be read: nothing may be."""
        return [l for l in self.bank.all_logs().splitlines()
                if " error " in l or "lost" in l and "nothing was lost" not in l]


def rounds(count, seconds=1.0, seed=None, connections=16, workers=2, prompt_bytes=0, flush_ms=100,
           grants=True, say=lambda text: None):
    """Runs them; answers the Rounds, whose figures tell what happened. AssertionError otherwise.
    grants: some go on beside the load; each wakes the store's writer."""
    seed = random.randrange(1 << 32) if seed is None else seed
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="turnpike-kill-"))
    store = {"journal_bytes": LANE_BYTES, "flush_ms": flush_ms}
    if prompt_bytes:  # records of some size, so that a lane goes round
        store |= {"prompts": True, "prompt_bytes": prompt_bytes}
    say(f"seed {seed}")
    with Mock(tmp, "--no-last") as mock, Bank(mock, workers=workers, store=store) as bank:
        r = Rounds(bank, seed, seconds, connections, prompt_bytes, grants)
        for n in range(1, count + 1):
            before = len(r.whole)
            r.run(n)
            say(f"round {n}/{count}: {len(r.whole) - before} replies received whole, each settled once; "
                f"{r.cut} cut off so far, {r.more} of them settled; {r.bank.doc['server']['workers']} "
                f"workers")
        books = Books(bank)
        books.check_settles(r.whole, r.cut)
        books.check_generations(r.whole)
        assert not r.lost(), r.lost()[:5]
        r.figures["replies"] = len(r.whole)
        r.figures["cut off"] = r.cut
        r.figures["of these settled"] = r.more
        r.figures["grants"] = len(r.granter.acknowledged)
        r.figures["rounds"] = count
        r.figures["lanes' rings written"] = \
            (len(r.whole) + r.more) * (prompt_bytes + 300) // LANE_BYTES
        return r


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=50)
    p.add_argument("--seconds", type=float, default=1.0, help="longest time of load in a round (1)")
    p.add_argument("--seed", type=int, help="as a run before said it")
    p.add_argument("--connections", type=int, default=16)
    p.add_argument("--prompt-bytes", type=int, default=4096,
                   help="bytes of the request that each record keeps; 0: none (4096)")
    p.add_argument("--flush-ms", type=int, default=100, help="store.flush_ms (100)")
    a = p.parse_args()
    began = time.monotonic()
    try:
        r = rounds(a.rounds, a.seconds, a.seed, a.connections, prompt_bytes=a.prompt_bytes,
                   flush_ms=a.flush_ms, say=lambda text: print(text, flush=True))
    except AssertionError as e:
        print(f"NOT right: {e}", file=sys.stderr)
        return 1
    for name, value in sorted(r.figures.items()):
        print(f"{name:24} {value}")
    print(f"{'slowest start, s':24} {r.slowest_start:.3f}")
    print(f"{'all, s':24} {time.monotonic() - began:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
