"""tools/quickstart as somebody would type it. It builds into build/, so it is tested with that tree."""
import json
import os
import re
import stat
import subprocess

import pytest

from harness.paths import BUILD, SOURCE
from harness.proc import clean_env

pytestmark = pytest.mark.skipif(BUILD.resolve() != SOURCE / "build", reason="another build tree is under test")


def quickstart(home, *argv):
    return subprocess.run([SOURCE / "tools" / "quickstart", *argv], env=clean_env(TURNPIKE_HOME=str(home)),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def home(tmp):
    home = tmp / "home"
    yield home
    quickstart(home, "--stop")


def shell(line):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, env=clean_env())


def test_from_nothing_to_an_answer(home):
    r = quickstart(home, "--listen", "127.0.0.1:0")
    assert r.returncode == 0, r.stdout + r.stderr
    key = re.search(r"^  key   (\S+)$", r.stdout, re.M).group(1)
    assert re.fullmatch(r"tp_live_[A-Za-z0-9_-]{43}", key)
    assert stat.S_IMODE(os.stat(home / "key").st_mode) == 0o600
    assert not any(key in f.read_text() for f in (home / "conf.d").iterdir())
    out = shell(re.search(r"^  try   (curl .*)$", r.stdout, re.M).group(1))
    assert json.loads(out.stdout)["choices"][0]["message"]["content"] == "Hello, Turnpike"
    assert shell(re.search(r"then: (.* reload .*)$", r.stdout, re.M).group(1)).returncode == 0

    again = quickstart(home)
    assert again.returncode == 0 and again.stdout.startswith("Already running.\n")
    assert again.stdout.split("\n", 1)[1] == r.stdout[r.stdout.index("Turnpike is running"):]


def test_a_port_that_is_taken(home, tmp):
    url = re.search(r"running at http://(\S+) ", quickstart(home).stdout).group(1)
    r = quickstart(tmp / "second", "--listen", url)
    assert r.returncode == 1 and "is taken" in r.stderr and "--listen" in r.stderr


def test_stop(home):
    r = quickstart(home, "--stop")
    assert r.returncode == 0 and "has stopped" in r.stdout
    assert "not running" in quickstart(home, "--stop").stdout


@pytest.mark.parametrize("argv", [["--listen"], ["--listen", "nonsense"], ["--listen", "1.2.3.4:70000"], ["--what"]])
def test_wrong_arguments(home, argv):
    r = quickstart(home, *argv)
    assert r.returncode == 1 and r.stderr
