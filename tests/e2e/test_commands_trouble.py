"""The commands of governance when something is wrong: the command line, what they print to, the gateway, the terminal."""
import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import termios
import threading
import time

import pytest

from harness.installation import gw, resting  # noqa: F401: fixtures
from harness.paths import PATIENCE, TURNPIKE

SECRET = re.compile(r"tp_live_[A-Za-z0-9_-]{43}")


# ---- Wrong usage, and output that cannot be written.

@pytest.mark.parametrize("argv, word", [
    (["keys"], None), (["keys", "mkae"], "create"), (["keys", "create"], "--name NAME is missing"),
    (["keys", "show"], "turnpike keys show ID"), (["keys", "show", "a", "b"], "'b' is not understood"),
    (["keys", "create", "--name", "x", "--rate-limt", "5"], "did you mean --rate-limit?"),
    (["keys", "create", "--name", "x", "--expires-in", "soon"], "90d"),
    (["keys", "create", "--name", "x", "--role", "root"], "inference|management|admin"),
    (["keys", "update", "key_1"], "nothing to change"), (["teams", "update", "default"], "nothing to change"),
    (["teams", "create", "x", "--billing", "free"], "prepaid|postpaid"), (["teams", "create", "x", "--active", "1"], "true or false"),
    (["credits", "grant", "acme"], "TEAM AMOUNT"), (["credits", "grant", "acme", "-1"], "above 0"),
    (["credits", "grant", "acme", "1.0000000001"], "9 decimals"), (["credits", "adjust", "acme", "0"], "not 0"),
    (["ledger", "export", "--format", "xml"], "csv|jsonl"), (["ledger", "export", "--from", "today"], "2026-04-15"),
    (["ledger"], None), (["byok", "set", "acme"], "TEAM PROVIDER"), (["byok", "set", "acme", "up", "sk-123"], "not understood"),
    (["generations", "list", "--limit", "-1"], "whole number"), (["backup"], "FILE is missing"), (["backup", ""], "empty"),
    (["generations", "list", "--limit", "9" * 20], "a smaller number"),
    # What a script's empty variable makes of a command: not one about everything, or about another gateway.
    (["keys", "list", "--team", ""], "not empty"), (["ledger", "export", "--team="], "not empty"),
    (["keys", "list", "--config", ""], "--config '': expected a directory"),
    (["keys", "list", "--json=1"], "--json takes no value"),
    (["credits", "adjust", "acme", "-50000000000"], "from -1000000000"),
    (["keyz", "list"], "did you mean 'keys'?"), (["rleoad"], "did you mean 'reload'?"), (["xyzzy"], "see turnpike help"),
])
def test_wrong_usage(tmp_path, argv, word):
    (tmp_path / "conf.d").mkdir()
    r = subprocess.run([TURNPIKE, *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE,
                       env={**os.environ, "TURNPIKE_CONFIG": str(tmp_path)})
    assert r.returncode == 2, r
    assert (word in r.stderr and not r.stdout) if word else ("--config DIR" in r.stdout or "expected" in r.stderr), r
    assert not (tmp_path / "run").exists()  # nothing was begun


@pytest.mark.parametrize("group", ["keys", "teams", "credits", "ledger", "byok", "generations", "backup"])
def test_help(group):
    texts = [subprocess.run([TURNPIKE, group, word], capture_output=True, text=True, timeout=PATIENCE)
             for word in ("--help", "-h", "help")]
    assert all(r.returncode == 0 and r.stdout == texts[0].stdout and not r.stderr for r in texts)
    assert f"turnpike {group} " in texts[0].stdout and "--json" in texts[0].stdout
    assert subprocess.run([TURNPIKE, "help", group], capture_output=True, text=True).stdout == texts[0].stdout
    assert f"turnpike {group} " in subprocess.run([TURNPIKE, "help"], capture_output=True, text=True).stdout


@pytest.mark.parametrize("argv", [["help"], ["version"], ["schema"], ["check"], ["plugins"], ["keys", "help"]])
def test_texts_that_cannot_be_written(resting, argv):
    where = [resting.dir] if argv[0] in ("check", "plugins") else []
    with open("/dev/full", "w") as full:
        r = subprocess.run([TURNPIKE, *argv, *where], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert r.returncode == 1 and "standard output cannot be written" in r.stderr, r
    if argv[0] not in ("help", "version", "keys"):
        r = subprocess.run([TURNPIKE, argv[0], "--help"], capture_output=True, text=True, timeout=PATIENCE)
        assert r.returncode == 0 and "turnpike serve" in r.stdout and not r.stderr, r


def test_what_was_done_and_not_shown(gw):
    """Who reads only the status would do it again."""
    for command in (["credits", "grant", "default", "1"], ["teams", "create", "t"], ["backup", gw.dir / "copy.db"]):
        with open("/dev/full", "w") as full:
            r = subprocess.run([TURNPIKE, *command, "--config", gw.dir], stdout=full, stderr=subprocess.PIPE, text=True,
                               timeout=PATIENCE, env=gw._sanitizers(gw.env))
        assert r.returncode == 1 and "it was done all the same" in r.stderr, r
    assert gw.json("credits", "show", "default")["balance"] == "1" and (gw.dir / "copy.db").exists()


# ---- A gateway that does not answer.

def test_a_gateway_that_hangs(resting):
    """Not for ever: an error, and nothing is said to be certain. One that only takes long is waited for."""
    gw = resting.start()
    pid = gw.child.proc.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        started = [subprocess.Popen([TURNPIKE, *argv, "--config", gw.dir], stdout=subprocess.PIPE, text=True,
                                    stderr=subprocess.PIPE, env=gw._sanitizers(gw.env))
                   for argv in (["keys", "list"], ["credits", "grant", "default", "1"], ["status"])]
        for p in started:
            out, err = p.communicate(timeout=PATIENCE)
            assert p.returncode == 1 and not out and "does not answer" in err, (out, err)
            assert ("whether the change was made is not known" in err) == ("credits" in err), err
        # More than may wait for a connection.
        crowd = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(40)]
        for s in crowd:
            s.connect_ex(str(gw.dir / "run" / "admin.sock"))
        assert "does not answer" in gw.refused("keys", "list")
        for s in crowd:
            s.close()
        slow = subprocess.Popen([TURNPIKE, "keys", "list", "--config", gw.dir], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            slow.wait(6)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert slow.communicate(timeout=PATIENCE)[0].startswith("There are no keys") and slow.returncode == 0


class FakeGateway:
    """Takes one question after the other on the admin socket and answers with what it is told."""

    def __init__(self, path):
        self.answers, self.lines = [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with s:
                line = s.makefile("rb").readline()
                if line:  # not one that only looks whether somebody is there
                    self.lines.append(line)
                    for part in self.answers.pop(0):
                        time.sleep(part) if isinstance(part, int) else s.sendall(part)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def fake(resting):
    (resting.dir / "run").mkdir(exist_ok=True)
    f = FakeGateway(resting.dir / "run" / "admin.sock")
    yield f
    f.close()


@pytest.mark.parametrize("answer", [
    b"", b"200", b"200\n", b'200\n{"data":[{"id":"key_1"', b'200\n{"data":[],"next":null', b"\n{}", b"99\n{}", b"two\n{}",
    b'200\n{"data":[]}{"data":[]}', b'200\n<html>'])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_gateway_that_dies_within_its_answer(resting, fake, answer, more):
    fake.answers = [[answer], [answer]]
    assert "answer" in resting.refused("keys", "list", *more)
    text = resting.refused("credits", "grant", "default", "1", *more)
    assert "whether the change was made is not known" in text


def test_an_answer_cannot_command_the_terminal(resting, fake):
    fake.answers = [[b'404\n{"error":{"message":"There is no team \\u001b[2J."}}']]
    assert "There is no team ?[2J." in resting.refused("teams", "show", "x")


def test_an_answer_that_takes_long(resting, fake):
    fake.answers = [[b"200\n", 6, b'{"data":[],"next":null}'], [b"{}"]]  # it asks meanwhile; the fake answers one at a time
    assert resting.say("keys", "list").startswith("There are no keys")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_list_of_any_length(resting, fake, more):
    """More than one document may hold: it is read page by page, and with --json printed so."""
    row = {"id": "gen-1", "created_at": "2026-04-15T10:30:00.125Z", **{f"m{i}": i for i in range(40)}}
    page = b"200\n" + json.dumps({"data": [row] * 1000, "next": "a b"}).encode()
    fake.answers = [[page]] * 60 + [[b'200\n{"data":[],"next":null}']]
    text = resting.say("generations", "list", "--limit", "0", *more)
    if more:
        doc = json.loads(text)
        assert len(doc["data"]) == 60000 and doc["data"][-1] == row and doc["next"] is None
    else:
        assert len(text.splitlines()) == 60001
    assert len(fake.lines) == 61 and b"cursor=a%20b" in fake.lines[-1] and b"cursor" not in fake.lines[0]
    # One that ends too early is not taken for whole.
    fake.answers = [[page], [page[:-9]]]
    r = resting.run("generations", "list", "--limit", "0", *more)
    assert r.returncode == 1 and "broke off" in r.stderr
    with pytest.raises(ValueError):
        json.loads(r.stdout)


# ---- A provider key that is typed.

@pytest.mark.parametrize("typed", ["a line", "Ctrl-C", "Ctrl-Z", "Ctrl-D", "SIGTERM"])
def test_a_terminal_is_left_as_it_was(resting, typed):
    """It is typed unseen, and whatever ends that, the terminal shows again what is typed."""
    resting.say("teams", "create", "acme")
    main, side = pty.openpty()
    before = termios.tcgetattr(side)
    p = subprocess.Popen([TURNPIKE, "byok", "set", "acme", "up", "--config", resting.dir], stdin=side, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env=resting._sanitizers(resting.env),
                         preexec_fn=lambda: (os.setsid(), fcntl.ioctl(side, termios.TIOCSCTTY, 0)))

    def wait_until(what):
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end and p.poll() is None
            time.sleep(0.01)

    def unseen():
        return not termios.tcgetattr(side)[3] & termios.ECHO

    wait_until(unseen)
    key = b"sk-typed-" + b"x" * 30 + b"9999\n"
    if typed == "Ctrl-Z":
        os.write(main, b"half\x1a")
        seen = ""
        while seen.count("Provider key") < 2:  # a group without a shell is not stopped; it is asked anew all the same
            seen += os.read(p.stderr.fileno(), 4096).decode()
            assert p.poll() is None
        wait_until(unseen)
        os.write(main, key)
    elif typed == "SIGTERM":
        p.terminate()
    else:
        os.write(main, {"a line": key, "Ctrl-C": b"half\x03", "Ctrl-D": b"\x04"}[typed])
    out, err = p.communicate(timeout=PATIENCE)
    assert termios.tcgetattr(side) == before
    shown = b""
    os.set_blocking(main, False)
    try:
        shown = os.read(main, 4096)
    except BlockingIOError:
        pass
    assert b"typed" not in shown and b"half" not in shown
    if typed in ("a line", "Ctrl-Z"):
        assert p.returncode == 0 and "ending in 9999" in out, (out, err)
    elif typed == "Ctrl-D":
        assert p.returncode == 1 and "empty" in err
    else:
        assert p.returncode == -(signal.SIGINT if typed == "Ctrl-C" else signal.SIGTERM) and not out
        assert resting.json("byok", "list", "acme")["data"] == []
    os.close(main)
    os.close(side)


def test_a_configuration_that_does_not_load(resting):
    resting.say("keys", "create", "--name", "k")
    resting.start()
    resting.snippet("90-bad.json", "{")
    assert resting.json("keys", "list")["data"][0]["name"] == "k"  # the gateway runs on
    resting.stop()
    assert "90-bad.json" in resting.refused("keys", "list")


def test_a_socket_that_may_not_be_used(gw):
    if os.geteuid() == 0:
        pytest.skip("root may use any socket")
    if gw.online:
        (gw.dir / "run" / "admin.sock").chmod(0)
        assert "run this as the user" in gw.refused("keys", "list")


def test_the_store_has_one_writer(resting):
    """A gateway whose socket is elsewhere is not seen: its store is not opened beside it."""
    gw = resting.start()
    (gw.dir / "run" / "admin.sock").rename(gw.dir / "run" / "other.sock")
    try:
        assert "turnpike.db" in gw.refused("keys", "create", "--name", "k")
    finally:
        (gw.dir / "run" / "other.sock").rename(gw.dir / "run" / "admin.sock")
    assert gw.json("keys", "list")["data"] == []


def test_a_gateway_that_starts_meanwhile(resting):
    """Commands and a start at the same time: neither makes the other fail."""
    resting.say("keys", "create", "--name", "k")
    argv = [TURNPIKE, "credits", "grant", "default", "1", "--config", resting.dir]
    some = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=resting._sanitizers(resting.env))
            for _ in range(3)]
    resting.start()
    some += [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for p in some:
        out, err = p.communicate(timeout=PATIENCE)
        assert p.returncode == 0 and "Added 1 USD" in out, (out, err)
    assert resting.json("credits", "show", "default")["balance"] == "5"


def test_a_reader_that_goes_away(gw):
    gw.say("keys", "create", "--name", "k")
    argv = [TURNPIKE, "keys", "list", "--config", gw.dir]
    env = gw._sanitizers(gw.env)
    read_end, write_end = os.pipe()
    os.close(read_end)
    for command in (argv, [TURNPIKE, "ledger", "export", "--config", gw.dir], [TURNPIKE, "keys", "help"]):
        r = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, env=env)
        assert r.returncode == 1 and not r.stderr, r
    os.close(write_end)
    with open("/dev/full", "w") as full:
        r = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, env=env)
    assert r.returncode == 1 and "standard output" in r.stderr
    # Closed descriptors: nothing of the table lands in a file that took their place.
    r = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *map(str, argv)], timeout=PATIENCE, env=env)
    assert r.returncode == 1
    assert gw.json("ledger", "verify")["ok"] is True
    assert gw.json("keys", "list")["data"][0]["name"] == "k"
    # What was made and could not be shown is said.
    with open("/dev/full", "w") as full:
        r = subprocess.run([TURNPIKE, "keys", "create", "--name", "lost", "--config", gw.dir], stdout=full,
                           stderr=subprocess.PIPE, text=True, timeout=PATIENCE, env=env)
    lost = next(k["id"] for k in gw.json("keys", "list")["data"] if k["name"] == "lost")
    assert r.returncode == 1 and lost in r.stderr and not SECRET.search(r.stderr)
