"""Many clients on one key, with credit for so many requests and no more. A command that prints its figures;
test_credits.py runs a short edition.

    TURNPIKE_BUILD=build build/venv/bin/python3 tests/e2e/credits_race.py --runs 20

Exact: what a request may cost at most is what it does cost, so exactly as many are served as are paid for,
and the balance ends at 0. Above: requests may cost more than they do, so some are refused although the
credits last in the end; the balance is never below 0, and each refusal is held against the ledger:

    A refusal between two moments is wrong when at no moment between them a hold could have failed. What
    was taken of the credits at any such moment is at most
        the charges of those served whose reply was read before the first moment (settled before the
        last bytes were sent), and
        the holds of those served that overlap (a hold is taken after the request was sent, and is never
        less than the charge).
    So it is certainly wrong when credits - those charges - those holds >= the hold that was refused.
"""
import argparse
import contextlib
import functools
import json
import pathlib
import sys
import tempfile
import threading
import time

from harness.govern import ADMIN, Governed, money, openai, priced, together, upstream, user
from harness.mock import Mock

CLIENTS = 64
EXACT = {"request": "0.01"}
ABOVE = {"prompt": "0.00001", "completion": "0.0001"}
BODY = {"model": "above", "messages": user("x" * 40), "max_tokens": 20}
# 11 prompt and 7 completion tokens; held: a token a byte of the body, and max_tokens.
COST = 11 * 10_000 + 7 * 100_000
HOLD = len(json.dumps(BODY)) * 10_000 + 20 * 100_000


def gateway(mock, workers=4):
    return Governed(workers=workers, providers={"up": openai(mock.url)}, echo=False, models={
        "exact": priced("up", EXACT),
        "above": priced("up", ABOVE, upstream(delay_ms=3))})


class Asked:
    __slots__ = ("sent", "read", "status", "id")

    def __init__(self, client, body):
        self.sent = time.monotonic()
        reply = client.chat(body)
        self.read = time.monotonic()
        self.status = reply.status
        assert reply.status in (200, 402), reply
        first = json.loads(reply.events()[0]) if body.get("stream") and reply.status == 200 else None
        self.id = first["id"] if first else reply.json()["id"] if reply.status == 200 else None


class Watch:
    """Looks at the team's figures as long as the clients are at it."""

    def __init__(self, gw, team):
        self.gw, self.team, self.over, self.looks = gw, team, False, 0

    def look(self, client):
        doc = client.get(f"/admin/teams/{self.team}/credits").json()
        for name in ("balance", "available", "held"):
            assert money(doc[name]) >= 0, doc
        self.looks += 1

    def run(self):
        with self.gw.client(key=ADMIN) as c:
            while not self.over:
                self.look(c)
                time.sleep(0.002)


class Reloads:
    """Reads the configuration anew, time and again; how often is in `count`."""

    def __init__(self, gw):
        self.gw, self.count, self.over = gw, 0, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.over.wait(0.02):
            self.gw.reload()
            self.count += 1

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def load(gw, team, key, work):
    """Runs work(client) on CLIENTS threads, watched; all answers, and how often was looked."""
    watch, left, together_now = Watch(gw, team), [CLIENTS], threading.Barrier(CLIENTS + 1)

    def client(i):
        if i == CLIENTS:
            together_now.wait()
            return watch.run()
        try:
            with gw.client(key=key) as c:
                c.connect()
                together_now.wait()
                return work(c)
        finally:
            left[0] -= 1  # under the interpreter's lock
            watch.over |= left[0] <= 0

    answers = together(CLIENTS + 1, client)
    return sum(answers[:CLIENTS], []), watch.looks


def exact(gw, run, requests, stream=False):
    """One run: exactly `requests` are served. Answers its figures."""
    team = f"exact-{run}-{time.monotonic_ns()}"
    gw.team(team, credits=f"{requests // 100}.{requests % 100:02d}")
    key = gw.key(team=team)["key"]
    body = {"model": "exact", "messages": user(), **({"stream": True} if stream else {})}

    def work(c):
        out = []
        while not out or out[-1].status == 200:
            out.append(Asked(c, body))
        return out

    begin = time.monotonic()
    asked, looks = load(gw, team, key, work)
    seconds = time.monotonic() - begin
    served = [a.id for a in asked if a.status == 200]
    figures = gw.credits(team)
    assert len(served) == len(set(served)) == requests, (len(served), requests)
    assert figures == {"balance": 0, "available": 0, "held": 0, "credited": requests * 10_000_000,
                       "used": requests * 10_000_000}, figures
    settles = [e for e in gw.ledger(team) if e["kind"] == "settle"]
    assert sorted(e["generation"] for e in settles) == sorted(served)
    assert {e["amount"] for e in settles} == {"-0.01"}
    return {"served": len(served), "refused": len(asked) - len(served), "seconds": round(seconds, 2), "looks": looks,
            "balance": figures["balance"]}


def wrong_refusals(asked, holds, charges, credit, hold):
    """Those that were certainly wrong (see above), by a sweep over the times."""
    served = [a for a in asked if a.status == 200]
    out = []
    for r in (a for a in asked if a.status == 402):
        taken = 0
        for a in served:
            if a.read < r.sent:
                taken += charges[a.id]
            elif a.sent <= r.read:
                taken += holds[a.id]
        if credit - taken >= hold:
            out.append(r)
    return out


def above(gw, run, requests):
    """One run: credit for `requests`, of which many more are asked for."""
    team = f"above-{run}-{time.monotonic_ns()}"
    # The last one needs its hold, not its cost: asked for one after the other, so many are served.
    credit = (requests - 1) * COST + HOLD
    gw.team(team, credits=f"{credit // 10 ** 9}.{credit % 10 ** 9:09d}")
    key = gw.key(team=team)["key"]
    each = requests * 2 // CLIENTS

    begin = time.monotonic()
    asked, looks = load(gw, team, key, lambda c: [Asked(c, BODY) for _ in range(each)])
    with gw.client(key=key) as c:  # and the rest, one after the other
        asked.append(Asked(c, BODY))
        while asked[-1].status == 200:
            asked.append(Asked(c, BODY))
    seconds = time.monotonic() - begin
    figures, entries = gw.credits(team), gw.ledger(team)
    served = [a.id for a in asked if a.status == 200]

    holds = {e["generation"]: -money(e["amount"]) for e in entries if e["kind"] == "hold"}
    charges = {e["generation"]: -money(e["amount"]) for e in entries if e["kind"] == "settle"}
    assert set(holds) == set(charges) == set(served) and len(served) == requests, (len(served), requests)
    assert set(holds.values()) == {HOLD} and set(charges.values()) == {COST}
    balance = 0
    for e in entries:  # append-only: at no entry that ends an exchange is it below 0
        balance += money(e["amount"])
        assert balance >= 0 or e["kind"] in ("hold", "settle"), e
    assert balance == figures["balance"] == figures["available"] == credit - len(served) * COST >= 0
    assert figures["held"] == 0 and figures["available"] < HOLD
    wrong = wrong_refusals(asked, holds, charges, credit, HOLD)
    assert not wrong, (len(wrong), [(w.sent, w.read) for w in wrong[:3]])
    # The check sees: had there been the room for one request more, the last refusal would be wrong.
    assert wrong_refusals(asked, holds, charges, credit + HOLD, HOLD)
    refused = [a for a in asked if a.status == 402]
    last_served = max(a.read for a in asked if a.status == 200)
    return {"served": len(served), "refused": len(refused), "refused and served again": sum(a.read < last_served for a in refused),
            "seconds": round(seconds, 2), "looks": looks, "balance": balance / 1e9}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=20)
    p.add_argument("--requests", type=int, default=1000, help="that the credits last for")
    p.add_argument("--workers", type=int, default=4)
    p.add_argument("--reloads", action="store_true", help="read the configuration anew all the while")
    o = p.parse_args()
    with contextlib.ExitStack() as all_of, tempfile.TemporaryDirectory() as tmp, Mock(pathlib.Path(tmp)) as mock, \
            gateway(mock, o.workers) as gw:
        reloads = all_of.enter_context(Reloads(gw)) if o.reloads else None
        streams = functools.partial(exact, stream=True)
        for name, work in (("exact", exact), ("streams", streams), ("above", above)):
            for run in range(o.runs):
                print(f"{name} {run + 1}/{o.runs}: {work(gw, run, o.requests)}", flush=True)
        print("ledger:", gw.verify(), f"reloads: {reloads.count}" if reloads else "")
        all_of.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
