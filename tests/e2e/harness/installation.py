"""A gateway's directory for the tests of commands, with a gateway on it or without."""
import json
import re
import subprocess

import pytest

from .client import Client
from .gateway import Gateway, model, openai
from .paths import PATIENCE, TURNPIKE

PRICE = {"prompt": "0.000001", "completion": "0.000002"}
UPSTREAM = "m?prompt_tokens=11&completion_tokens=7"  # costs 0.000025


class Installation(Gateway):
    """A gateway's directory, whether one runs or not; commands that are expected to go well."""

    def start(self):
        (self.dir / "log").unlink(missing_ok=True)  # of the run before: it says "listening" too
        return super().start()

    def run(self, *argv, input=None, env=None, **more):
        return subprocess.run([TURNPIKE, *map(str, argv), "--config", self.dir], text=True, timeout=PATIENCE,
                              env={**self._sanitizers(self.env), **(env or {})}, capture_output=True,
                              **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}), **more)

    def say(self, *argv, **more):
        r = self.run(*argv, **more)
        assert r.returncode == 0, (argv, r)
        assert not r.stderr, (argv, r)
        return r.stdout

    def json(self, *argv, **more):
        return json.loads(self.say(*argv, "--json", **more))

    def refused(self, *argv, code=1, **more):
        r = self.run(*argv, **more)
        assert r.returncode == code and not r.stdout, (argv, r)
        assert r.stderr.startswith(f"turnpike {argv[0]}"), r.stderr
        return r.stderr

    def rows(self, *argv, **more):
        """A table's rows as {head: cell}; cells here have no two spaces in them."""
        head, *lines = self.say(*argv, **more).splitlines()
        places = [(m.start(), m.group()) for m in re.finditer(r"\S+(?: \S+)*", head)]
        out = []
        for line in lines:
            cells = [(m.start(), m.end(), m.group()) for m in re.finditer(r"\S+(?: \S+)*", line)]
            assert len(cells) == len(places), (head, line)
            out.append({name: cell for (_, name), (_, _, cell) in zip(places, cells)})
        return out

    def chat(self, key, name="m"):
        return Client("127.0.0.1", self.port, key=key, timeout=PATIENCE).chat(
            {"model": name, "messages": [{"role": "user", "content": "hello"}]})


def installation(mock):
    return Installation(
        providers={"up": openai(mock.url)},
        models={"m": model({"provider": "up", "model": UPSTREAM, "price": PRICE}, max_output_tokens=100),
                "other": model({"provider": "up", "model": UPSTREAM, "price": PRICE})},
        sections={"teams": {"fixed": {"name": "Of conf.d", "billing": "postpaid"}}})


@pytest.fixture(params=["online", "offline"])
def gw(request, mock):
    g = installation(mock)
    g.online = request.param == "online"
    try:
        if g.online:
            g.start()
        yield g
        g.stop()
    finally:
        g.remove()


@pytest.fixture
def resting(mock):
    """Not started yet."""
    g = installation(mock)
    try:
        yield g
        g.stop()
    finally:
        g.remove()
