"""A gateway whose requests are paid for, and its books: what must be true of them at any moment.

    with Bank(mock) as bank:
        load = Load(bank.port, bank.key, bodies()).start()
        ...
        Books(bank).check_settles(load.stop().whole)
"""
import json
import pathlib
import resource
import signal
import socket
import time
from decimal import Decimal

from .client import Client
from .gateway import KEY, Gateway, model, openai

TEAM = "acme"
GRANT = 1_000_000  # dollars, at the beginning
PROMPT_NANO, COMPLETION_NANO = 2_000, 6_000  # a token
# Usages that differ, so that a settle which belongs to another reply shows.
USAGES = {f"paid-{p}-{c}": (p, c) for p, c in ((100, 50), (7, 3), (1234, 999))}
FREE = "free"  # without a price


def nano(text):
    """Nano-dollars of a decimal string or number of dollars."""
    n = Decimal(str(text)) * 1_000_000_000
    assert n == n.to_integral_value(), f"{text}: more than nine decimals"
    return int(n)


def cost(prompt_tokens, completion_tokens):
    return prompt_tokens * PROMPT_NANO + completion_tokens * COMPLETION_NANO


def ask(path, method, target, body=None, timeout=60):
    """The management API over an admin socket: (status, document)."""
    line = f"api {method} {target}" + (f" {json.dumps(body)}" if body is not None else "") + "\n"
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(str(path))
        s.sendall(line.encode())
        out = b""
        while piece := s.recv(1 << 20):
            out += piece
    status, _, text = out.partition(b"\n")
    return int(status), json.loads(text) if text.strip() else None


class Bank(Gateway):
    """One prepaid team with credits and a stored key, priced models on a mock upstream. It may be
    killed and started again on the same directory."""

    def __init__(self, mock, *, workers=1, store=None, sections=None, prompt_tokens_max=4096, **more):
        """store: keys of its section. What else is given goes to Gateway."""
        price = {"prompt": f"{Decimal(PROMPT_NANO) / 10**9:f}",
                 "completion": f"{Decimal(COMPLETION_NANO) / 10**9:f}"}
        models = {name: model(("up", f"m?prompt_tokens={p}&completion_tokens={c}&usage=2"),
                              price=price, context_length=200_000, max_output_tokens=4096)
                  for name, (p, c) in USAGES.items()}
        models["paced"] = model(("up", "m?chunks=20&pace_ms=3&usage=2"), price=price,
                                context_length=200_000, max_output_tokens=4096)
        models["slow"] = model(("up", "m?chunks=40&pace_ms=25&usage=2"), price=price,
                               context_length=200_000, max_output_tokens=4096)
        models[FREE] = model(("up", "m"), context_length=200_000, max_output_tokens=4096)
        super().__init__(providers={"up": openai(mock.url)}, models=models, workers=workers,
                         sections={"store": store or {}, **(sections or {})}, **more)
        self.doc = json.loads((self.conf_d / "50-test.json").read_text())
        self.run_dir = self.dir / "run"
        self.store = pathlib.Path(self.doc["store"].get("path", self.run_dir / "turnpike.db"))
        self.starts = 0
        self.key = self.manager = None

    # ---- Life.

    def configure(self, **server):
        """Changes keys of the section server, for the next start."""
        self.doc["server"].update(server)
        self.snippet("50-test.json", self.doc)

    def start(self):
        """The log of each start is a file of its own."""
        if self.starts:
            (self.dir / "log").rename(self.dir / f"log.{self.starts}")
        self.starts += 1
        super().start()
        if not self.key:
            self.open_account()
        return self

    def open_account(self):
        self.api("POST", "/admin/teams", {"id": TEAM, "billing": "prepaid"}, 201)
        self.api("POST", f"/admin/teams/{TEAM}/credits", {"amount": GRANT, "note": "the first"}, 201)
        self.key = self.make_key("load")
        self.manager = self.make_key("manager", role="management")

    def make_key(self, name, **more):
        return self.api("POST", "/admin/keys", {"team": TEAM, "name": name, "rate_limit": 16_000_000,
                                                **more}, 201)["key"]

    def kill(self):
        """kill -9, and waits for its end."""
        child, self.child = self.child, None
        child.proc.send_signal(signal.SIGKILL)
        child.proc.wait()
        child._log.close()
        self._say_sanitizer()

    def all_logs(self):
        return "".join(p.read_text(errors="replace") for p in sorted(self.dir.glob("log*")))

    def limit_files(self, bytes_or_none):
        """No file of the running daemon may grow beyond so many bytes, which is what a full disk is
        for who writes; None: no limit."""
        soft = resource.RLIM_INFINITY if bytes_or_none is None else bytes_or_none
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    # ---- Use.

    def ask(self, method, target, body=None):
        return ask(self.run_dir / "admin.sock", method, target, body)

    def api(self, method, target, body=None, expect=200):
        status, doc = self.ask(method, target, body)
        assert status == expect, f"{method} {target}: {status} {doc}"
        return doc

    def credits(self):
        """Nano-dollars, as the running gateway has them in memory."""
        c = self.api("GET", f"/admin/teams/{TEAM}/credits")
        return {k: nano(c[k]) for k in ("balance", "available", "held", "credited", "used")}

    def grant(self, dollars, reference):
        """(status, document)"""
        return self.ask("POST", f"/admin/teams/{TEAM}/credits",
                        {"amount": dollars, "reference": reference})

    def pay(self, key=None, name="paid-7-3", text="hello", **more):
        """One paid request on a connection of its own."""
        with self.client(key=key or self.key) as c:
            return c.chat({"model": name, "max_tokens": 64,
                           "messages": [{"role": "user", "content": text}], **more})

    def health(self):
        with Client("127.0.0.1", self.port) as c:
            return c.get("/healthz").json()

    def metric(self, name):
        return self.metrics()[f"turnpike_{name}"]

    def verify(self):
        """`turnpike ledger verify`; raises with what it says when the ledger is not right."""
        return self.command("ledger", "verify")


class Books:
    """The ledger and the generations, read as an operator reads them."""

    def __init__(self, bank):
        self.bank = bank
        text = bank.command("ledger", "export", "--format", "jsonl")
        self.entries = [json.loads(line) for line in text.splitlines()]
        self.settled = {}    # generation id -> [nano charged]
        self.references = {}  # reference of a grant -> [nano]
        by_generation = {}
        self.sum = 0
        self.granted = 0
        for e in self.entries:
            amount = nano(e["amount"])
            self.sum += amount
            if e["kind"] == "settle":
                self.settled.setdefault(e["generation"], []).append(-amount)
                assert e["price_version"] or amount == 0, f"a settle without its price: {e}"
            if e["kind"] in ("hold", "release", "settle"):
                by_generation.setdefault(e["generation"], []).append((e["kind"], amount))
            else:
                self.granted += amount
                if e["reference"]:
                    self.references.setdefault(e["reference"], []).append(amount)
        seqs = [e["seq"] for e in self.entries]
        assert seqs == list(range(1, len(seqs) + 1)), "numbers of entries are missing or doubled"
        for generation, kinds in by_generation.items():
            names = [k for k, _ in kinds]
            assert names in (["hold", "settle", "release"], ["settle"]), f"{generation}: {kinds}"
            held = dict(kinds)
            assert held.get("hold", 0) + held.get("release", 0) == 0, \
                f"{generation}: what was held was not released: {kinds}"

    def check_settles(self, whole, at_most_more=0):
        """whole: reply id -> cost in nano-dollars (None: not known) of each reply that a client
        received whole. Each is settled once and for its cost; of others, those that were cut off,
        there are at most so many, each at most once."""
        missing = [i for i in whole if i not in self.settled]
        assert not missing, f"{len(missing)} of {len(whole)} replies have no settle: {missing[:5]}"
        twice = {i: n for i, n in self.settled.items() if len(n) != 1}
        assert not twice, f"{len(twice)} are settled more than once: {list(twice.items())[:5]}"
        wrong = [(i, c, self.settled[i]) for i, c in whole.items()
                 if c is not None and self.settled[i] != [c]]
        assert not wrong, f"{len(wrong)} are settled with a wrong amount: {wrong[:5]}"
        more = len(self.settled) - len(whole)
        assert more <= at_most_more, f"{more} settles without a reply, of {at_most_more} cut off"
        return more

    def check_generations(self, whole, from_ms=0):
        """Each reply has its record, with what was settled; records are there once."""
        found = {}
        for g in generations(self.bank, from_ms):
            assert g["id"] not in found, f"generation {g['id']} is told twice"
            found[g["id"]] = g
        for i in whole:
            assert i in found, f"reply {i} has no record"
            g = found[i]
            assert g["status"] == "completed" and g["team"] == TEAM, g
            assert [nano(g["charged"])] == self.settled[i], (g, self.settled[i])
        return found

    def check_balance(self, in_memory=True):
        """The balance is what was granted less what was settled; nothing is held when nothing runs."""
        spent = sum(sum(n) for n in self.settled.values())
        assert self.sum == self.granted - spent, "hold, settle and release do not come to the settles"
        if in_memory:
            c = self.bank.credits()
            assert c["held"] == 0, f"a hold survives: {c}"
            assert c["balance"] == self.sum and c["available"] == self.sum, (c, self.sum)
            assert c["credited"] == self.granted and c["used"] == spent, (c, self.granted, spent)
        return self.sum


def generations(bank, from_ms=0, page=1000):
    """All records, newest first."""
    cursor = ""
    while True:
        doc = bank.api("GET", f"/admin/generations?limit={page}"
                       + (f"&from={from_ms}" if from_ms else "")
                       + (f"&cursor={cursor}" if cursor else ""))
        yield from doc["data"]
        cursor = doc["next"]
        if not cursor:
            return


def refused(reply):
    """Is it the refusal of a gateway whose store cannot take what must be durable?"""
    return reply.status == 503 and reply.error["code"] == "store_unavailable"


def wait_for(check, seconds=30, every=0.05):
    """As raw.eventually, with room for a slow machine."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(every)


__all__ = ["Bank", "Books", "FREE", "GRANT", "KEY", "TEAM", "USAGES", "ask", "cost",
           "generations", "nano", "refused", "wait_for"]
