"""Where things lie. TURNPIKE_BUILD names the build tree under test (default: build/ of this source)."""
import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("TURNPIKE_BUILD") or SOURCE / "build")
TURNPIKE = BUILD / "core" / "turnpike"
MOCK = BUILD / "tools" / "mock-upstream"
SHIPPED = SOURCE / "conf.d"
# Recorded traffic: DIR/<provider>/<name>/ with meta.json. A larger collection may be named instead.
RECORDINGS = pathlib.Path(os.environ.get("TURNPIKE_RECORDINGS") or SOURCE / "tests" / "vectors" / "recordings")
# Where tools/test puts what it gets for the tests: a Python environment and Node packages.
DEPS = pathlib.Path(os.environ.get("TURNPIKE_TEST_DEPS") or SOURCE / "build")
# Upstreams through libcurl instead of the client of our own ("curl").
TRANSPORT = os.environ.get("TURNPIKE_TRANSPORT") or "direct"
SANITIZED = os.environ.get("TURNPIKE_SANITIZED", "") != ""
# Sanitized and shared machines are slow: no test waits for less than this where it hopes for more.
PATIENCE = 60 if SANITIZED else 30
