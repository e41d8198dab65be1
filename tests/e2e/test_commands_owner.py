"""Root's commands beside the gateway of another user, who has to open what they made."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from harness.paths import PATIENCE, TURNPIKE
from harness.proc import clean_env

SERVICE = 65534  # nobody: a user that every system has

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


@pytest.fixture
def place():
    """A configuration of root's and a run directory of the service's, as systemd makes it."""
    at = tempfile.mkdtemp(prefix="tp-owner-")
    os.chmod(at, 0o755)
    os.mkdir(f"{at}/conf.d")
    run = f"{at}/state"
    os.mkdir(run, 0o700)
    with open(f"{at}/conf.d/00-server.json", "w") as f:
        json.dump({"server": {"listen": "127.0.0.1:0", "run_dir": run}}, f)
    yield at
    shutil.rmtree(at)


def command(place, *argv):
    r = subprocess.run([TURNPIKE, *argv, "--config", place], env=clean_env(), capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert r.returncode == 0 and not r.stderr, r
    return r.stdout


def owners(place):
    below = [os.path.join(where, name) for where, dirs, files in os.walk(f"{place}/state") for name in dirs + files]
    return {os.stat(path).st_uid for path in below}, {os.path.basename(path) for path in below}


def test_what_root_makes_is_the_services(place):
    if any(not p.stat().st_mode & 0o001 for p in pathlib.Path(place).parents):
        pytest.skip("the service's user does not get to where temporary files are made")
    try:
        os.chown(f"{place}/state", SERVICE, SERVICE)
    except OSError as e:
        pytest.skip(f"files cannot be given to another user here: {e}")
    key = json.loads(command(place, "keys", "create", "--name", "first", "--json"))
    uids, names = owners(place)
    assert uids == {SERVICE} and {"pepper", "master.key"} <= names and any(n.endswith(".db") for n in names), names
    assert key["id"] in command(place, "keys", "list")
    assert owners(place)[0] == {SERVICE}


def test_roots_own_stays_roots(place):
    command(place, "keys", "create", "--name", "first")
    assert owners(place)[0] == {0}
