#!/usr/bin/env python3
"""Minutes of mixed load with every request paid for: memory must reach a plateau, what is to be stored
must not pile up, and the books must be right at the end.

    TURNPIKE_BUILD=build tests/e2e/soak_ledger.py --minutes 10

Whole and streamed requests, streams that their clients break off, requests on a second team's key with
a limit on what it may spend, grants and keys made and revoked beside it. Prints a line every few
seconds; ends with 1 when something is not right.
"""
import argparse
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness.bank import TEAM, Bank, Books
from harness.load import Load, bodies
from harness.mock import Mock
from harness.paths import SANITIZED
from harness.raw import rss_kb

GROWTH_KB = 65_536 if SANITIZED else 6_144  # of a warm gateway, for what allocators round up


class Sampler:
    """Resident memory over time, and the journal's fill."""

    def __init__(self, bank):
        self.bank, self.rss, self.journal = bank, [], []

    def take(self):
        m = self.bank.metrics()
        self.rss.append(rss_kb(self.bank.pid))
        self.journal.append(m["turnpike_journal_bytes"] / m["turnpike_journal_capacity_bytes"])
        return self.rss[-1], self.journal[-1]

    def growth(self):
        """From the end of the first third to the last third, the lowest of each: what stays."""
        third = max(len(self.rss) // 3, 1)
        return min(self.rss[-third:]) - min(self.rss[third:2 * third] or self.rss[:third])


def beside(bank, n):
    """What an operator does meanwhile."""
    status, doc = bank.grant("1.5", f"soak-{n}")
    assert status == 201, doc
    made = bank.api("POST", "/admin/keys", {"team": TEAM, "name": f"of moment {n}"}, 201)
    assert bank.pay(key=made["key"]).status == 200
    bank.api("DELETE", f"/admin/keys/{made['id']}")
    assert bank.pay(key=made["key"]).status == 401


def soak(seconds, workers=2, connections=24, say=lambda text: None):
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="turnpike-soak-"))
    with Mock(tmp, "--no-last") as mock, Bank(mock, workers=workers) as bank:
        requests = bodies() + 12 * bodies(["paced"])
        load = Load(bank.port, bank.key, requests, connections, abort=0.2, retry=True).start()
        sampler = Sampler(bank)
        end = time.monotonic() + seconds
        n = paid = 0
        while time.monotonic() < end:
            time.sleep(min(max(seconds / 40, 0.2), 5))
            n += 1
            beside(bank, n)
            paid += 1
            rss, fill = sampler.take()
            say(f"{seconds - (end - time.monotonic()):7.1f} s  {len(load.whole):8} replies  "
                f"{len(load.aborted):6} broken off  {rss:7} KB  journal {fill:.1%}")
        load.stop()
        strange = [s for s in load.statuses if s != (200, None)]
        assert not strange, load.statuses
        bank.verify()
        books = Books(bank)
        books.check_settles(load.whole, load.cut + paid)
        unsettled = load.aborted - books.settled.keys()
        assert not unsettled, f"{len(unsettled)} streams that were broken off are not settled"
        books.check_generations(load.whole)
        books.check_balance()
        assert books.granted - sum(map(sum, books.settled.values())) == bank.credits()["available"]
        assert max(sampler.journal) < 0.5, f"the journal filled up to {max(sampler.journal):.0%}"
        assert bank.metric("records_lost_total") == 0
        grown = sampler.growth()
        assert grown < GROWTH_KB, f"memory grew by {grown} KB: {sampler.rss}"
        return {"seconds": seconds, "replies": len(load.whole), "aborted": len(load.aborted),
                "entries": len(books.entries), "rss_kb_first": sampler.rss[0],
                "rss_kb_last": sampler.rss[-1], "rss_kb_most": max(sampler.rss),
                "grown_kb": grown, "journal_most": f"{max(sampler.journal):.1%}"}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--minutes", type=float, default=5)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--connections", type=int, default=24)
    a = p.parse_args()
    try:
        figures = soak(a.minutes * 60, a.workers, a.connections,
                       say=lambda text: print(text, flush=True))
    except AssertionError as e:
        print(f"NOT right: {e}", file=sys.stderr)
        return 1
    for name, value in figures.items():
        print(f"{name:16} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
