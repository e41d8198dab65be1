"""mock-upstream as a process: answers, and fails in every way that a test asks for."""
import json
import re

from .client import Client
from .paths import MOCK, PATIENCE
from .proc import Child, clean_env


class Mock:
    def __init__(self, tmp, *flags):
        """tmp: a directory for its log. flags: as of `mock-upstream --help`."""
        self.child = Child([MOCK, *flags], tmp / f"mock-{id(self)}.log", env=clean_env())
        found = self.child.wait_for(lambda t: re.search(r"listening on \S+:(\d+)", t), PATIENCE,
                                    "listening")
        self.port = int(found.group(1))
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def _get(self, path):
        with Client("127.0.0.1", self.port) as c:
            r = c.get(path)
            return r.body if r.status == 200 else None

    def last(self):
        """The last request's body, byte for byte; None: there was none since reset()."""
        return self._get("/mock/last")

    def last_head(self):
        return self._get("/mock/last-head").decode("latin-1")

    def stats(self):
        return json.loads(self._get("/mock/stats"))

    def reset(self):
        self._get("/mock/reset")

    def stop(self):
        code = self.child.stop()
        if code != 0:
            raise AssertionError(f"mock-upstream ended with {code}:\n{self.child.log()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
