"""A gateway with people in it: an admin's key, teams, keys and credits, and what asks about them.

    with Governed(providers=..., models=...) as gw:
        gw.team("acme", credits="5")
        key = gw.key(team="acme", rate_limit=3)
        gw.chat(key["key"], "m")
"""
import json
import re
import shutil
import socket
import subprocess
from decimal import Decimal

from .client import Client
from .gateway import KEY, Gateway, model, openai
from .paths import PATIENCE, SHIPPED
from .proc import Thread

ADMIN = "tp_live_" + "ad" * 20 + "min"
SURFACES = ("airouter", "cailos", "kairosroute", "kilo", "turnpike")
NANO = Decimal(1_000_000_000)
NO_LIMIT = 16_000_000  # requests a minute, the most that can be counted


def upstream(prompt=11, completion=7, name="m", **more):
    """The mock's name of a model with that usage."""
    return name + "?" + "&".join(f"{k}={v}" for k, v in
                                 {"prompt_tokens": prompt, "completion_tokens": completion, **more}.items())


def priced(provider, price, name=None, **more):
    """A model with one deployment at that price."""
    d = {"provider": provider, "model": name or upstream(), "price": price}
    return model(d, **more)


def money(text):
    """A decimal string of dollars -> nano-dollars, an integer."""
    nano = Decimal(str(text)) * NANO
    assert nano == int(nano), text
    return int(nano)


def user(text="hello"):
    return [{"role": "user", "content": text}]


class Limits:
    """The X-RateLimit headers of a reply, all of them or none."""

    def __init__(self, reply):
        found = [reply.header(f"X-RateLimit-{n}") for n in ("Limit", "Remaining", "Reset")]
        assert all(found) or not any(found), reply.headers
        self.there = all(found)
        self.limit, self.remaining, self.reset = (int(v) for v in found) if self.there else (None,) * 3

    def __repr__(self):
        return f"<limit {self.limit} remaining {self.remaining} reset {self.reset}>"


class Governed(Gateway):
    def __init__(self, *, surfaces=(), admission=None, sections=None, keys=(), **more):
        """surfaces: names of shipped snippets. keys: static keys beside the admin's and KEY."""
        fixed = [{"name": "e2e", "key": KEY}, {"name": "root", "key": ADMIN, "role": "admin"}, *keys]
        sections = {"admission": {"static_keys": fixed, "address_requests_per_minute": NO_LIMIT,
                                  **(admission or {})},
                    **(sections or {})}
        super().__init__(sections=sections, **more)
        for name in surfaces:
            shutil.copy(SHIPPED / f"40-surface-{name}.json", self.conf_d)

    # ---- Asking.

    def ask(self, method, path, body=None, key=ADMIN, headers=()):
        """One request on a connection of its own. body: an object, bytes, or None."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        with self.client(key=key) as c:
            return c.request(method, path, data, headers)

    def api(self, method, path, body=None, key=ADMIN, status=None):
        """The document that a request to the admin API, or to any other path, is answered with."""
        r = self.ask(method, path if path.startswith("/") else f"/admin/{path}", body, key)
        wanted = (status,) if status else (200, 201)
        assert r.status in wanted, (method, path, body, r)
        return r.json()

    def socket(self, method, path, body=None):
        """(status, document) over the admin socket."""
        line = f"api {method} {path}" + (f" {json.dumps(body)}" if body is not None else "")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(self.dir / "run" / "admin.sock"))
            s.sendall(line.encode() + b"\n")
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        status, _, text = answer.partition(b"\n")
        return int(status), json.loads(text)

    def flush(self):
        """All that was settled is in the store."""
        assert self.socket("POST", "/admin/flush") == (200, {"flushed": True})

    def chat(self, key, name="m", path="/v1/chat/completions", headers=(), **more):
        return self.ask("POST", path, {"model": name, "messages": user(), **more}, key, headers)

    # ---- People.

    def team(self, id, credits=None, **fields):
        doc = self.api("POST", "teams", {"id": id, **fields}, status=201)
        if credits:
            self.grant(id, credits)
        return doc

    def grant(self, team, amount, **more):
        return self.api("POST", f"teams/{team}/credits", {"amount": str(amount), **more})

    def key(self, **fields):
        """A new key, with its secret under "key"; without a limit in the way unless one is named
        (rate_limit=None: the default)."""
        if not fields.keys() & {"rate_limit", "tier", "surface"}:
            fields["rate_limit"] = NO_LIMIT
        return self.api("POST", "keys", {"name": "test", **fields}, status=201)

    def credits(self, team):
        """{"balance", "available", "held", "credited", "used"}, nano-dollars."""
        doc = self.api("GET", f"teams/{team}/credits")
        return {k: money(v) for k, v in doc.items() if k != "team"}

    def balance(self, team):
        return self.credits(team)["balance"]

    def pages(self, path, **query):
        """All rows of a list of the admin API, in its order."""
        rows, cursor = [], None
        while True:
            q = {**query, **({"cursor": cursor} if cursor else {})}
            doc = self.api("GET", path + "?" + "&".join(f"{k}={v}" for k, v in q.items()))
            rows += doc["data"]
            cursor = doc["next"]
            if not cursor:
                return rows

    def ledger(self, team):
        """All entries of a team, oldest first."""
        self.flush()
        return self.pages(f"teams/{team}/ledger", limit=1000)[::-1]

    def verify(self):
        self.flush()
        doc = self.api("GET", "ledger/verify")
        assert doc["ok"] is True and doc["faults"] == 0, doc
        return doc

    def generation(self, id):
        return self.api("GET", f"generations/{id}")

    # ---- Life.

    def kill(self):
        """As a crash would: nothing is drained, nobody is told."""
        self.child.proc.kill()
        self.child.stop()
        self.child = None

    def again(self, how="stop"):
        """Ends it by stop or kill, and starts it anew."""
        getattr(self, how)()
        return self.start()

    # ---- What is kept.

    def kept(self):
        """{name: bytes} of every file that the gateway writes: logs, store, journal, windows."""
        files = [p for p in self.dir.rglob("*") if p.is_file() and self.conf_d not in p.parents]
        return {str(p.relative_to(self.dir)): p.read_bytes() for p in files}

    # ---- Documents.

    def bash(self, text, key, replace=()):
        """Runs an example of a document with curl, its host and its key replaced: (status, body).
        The header lines of the answer lie in self.curl_head."""
        for old, new in [("https://api.airouter.kz", self.url), ("https://api.kilo.ai", self.url),
                         ("https://kairosroute.com", self.url), *replace]:
            text = text.replace(old, new)
        text = text.replace(" \\ -", " \\\n-")  # printed without the end of the line
        text = re.sub(r"(?:air_live_your_key_here|kr_live_\.\.\.|kr_live_x+\.\.\.|cai_your_key_here|"
                      r"\$KILO_API_KEY)", key, text)
        head = self.dir / "curl-head"
        script = f'curl() {{ command curl -s --noproxy "*" -m {PATIENCE} -D "{head}" "$@"; }}\n{text}'
        r = subprocess.run(["bash", "-c", script], capture_output=True, timeout=PATIENCE, env=self.env,
                           cwd=self.dir)
        assert r.returncode == 0, (text, r)
        self.curl_head = head.read_text()
        return int(self.curl_head.split()[1]), r.stdout


def together(count, work, *args):
    """Runs work(i, *args) on that many threads that begin at once; their answers in order."""
    threads = [Thread(work, i, *args) for i in range(count)]
    for t in threads:
        t.start()
    return [t.result(PATIENCE * 2) for t in threads]


__all__ = ["ADMIN", "KEY", "Client", "Governed", "Limits", "NANO", "NO_LIMIT", "SURFACES", "model", "money",
           "openai", "priced", "together", "upstream", "user"]
