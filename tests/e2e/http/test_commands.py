"""The commands beside the gateway, and how a start that cannot be says so: one clear line and exit 1."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

from harness.gateway import Gateway, model, openai
from harness.paths import BUILD, PATIENCE, SHIPPED, TURNPIKE
from harness.proc import clean_env
from harness.raw import Raw, chat, eventually, get, post


def run(*argv, **more):
    return subprocess.run([TURNPIKE, *map(str, argv)], capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, env=clean_env(), **more)


@pytest.fixture(scope="module")
def gw(mock):
    price = {"prompt": "0.000001", "completion": "0.000002"}
    with Gateway(providers={"up": openai(mock.url)},
                 models={"m": model({"provider": "up", "model": "m?prompt_tokens=11&completion_tokens=7", "price": price}),
                         "bad": model(("up", "m?status=500")), "stall": model(("up", "m?fail=stall"))}) as g:
        yield g


def test_check(gw, tmp_path):
    r = gw.command("check", check=False)
    assert r.returncode == 0 and "is right" in r.stdout and not r.stderr, r
    r = run("check", SHIPPED.parent)
    assert r.returncode == 0 and "is right" in r.stdout
    assert "dormant" in r.stdout  # providers without their key are said, and are no error
    where = tmp_path / "conf.d"
    where.mkdir()
    for text, place, word in [('{\n"models": {"x": {}}}', "2:17", "deployments"), ('{"modelz": {}}', "1:2", "models"),
                              ('{\n "server": {"workers": "two"}}', "2:24", "integer"),
                              ('{"providers": {"p": {"plugin": "echo",\n "options": {"txt": ""}}}}', "2:", "text")]:
        (where / "a.json").write_text(text)
        r = run("check", tmp_path)
        assert r.returncode == 1 and not r.stdout, r
        assert re.search(rf"a\.json:{place}", r.stderr) and word in r.stderr, r.stderr
    assert run("check", tmp_path / "absent").returncode == 1
    assert run("check", "--bogus").returncode == 2


def test_schema():
    r = run("schema")
    doc = json.loads(r.stdout)
    assert r.returncode == 0 and doc["$schema"].startswith("http") and doc["type"] == "object"
    assert {"server", "providers", "models", "endpoints", "strategies"} <= set(doc["properties"])


def test_plugins_runs_no_plugin_code(gw, tmp_path):
    r = run("plugins", SHIPPED.parent)
    lines = r.stdout.splitlines()
    assert r.returncode == 0 and lines[0].split()[:2] == ["NAME", "STATE"]
    rows = {l.split()[0]: l for l in lines[1:]}
    assert {"echo", "openai", "chat", "ordered"} <= set(rows)
    assert "provider" in rows["openai"] and "endpoint" in rows["chat"] and "strategy" in rows["ordered"]
    where = tmp_path / "conf.d"
    where.mkdir()
    trap = tmp_path / "trap.c"
    trap.write_text('#include <stdlib.h>\n__attribute__((constructor)) static void gone(void) { abort(); }\n'
                    'const void *tp_plugin_entry_v1(const void *host) { (void)host; abort(); }\n'
                    '__attribute__((section(".tp_manifest"), used)) static const char m[] = '
                    '"{\\"id\\":\\"test.trap\\",\\"version\\":\\"1.0.0\\",\\"license\\":\\"none\\",\\"sdk\\":\\"1.0\\",'
                    '\\"kinds\\":[\\"provider\\"]}";\n')
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", where / "trap.so", trap], check=True)
    (where / "a.json").write_text('{"plugins": {"trap": {}, "off": {"enabled": false}}}')
    for command in (("plugins", "--json"), ("plugins",), ("check",)):
        r = run(*command, tmp_path)
        assert r.returncode == 0 and ("trap" in r.stdout or command == ("check",)), r
    doc = {p["name"]: p for p in json.loads(run("plugins", "--json", tmp_path).stdout)}
    assert doc["trap"]["enabled"] is True and doc["trap"]["manifest"]["id"] == "test.trap"
    assert doc["off"]["enabled"] is False and "nowhere" in doc["off"]["error"]


def test_status(gw):
    with Raw(gw) as a, Raw(gw) as b:
        a.send(get()).read_reply()
        b.send(post(chat(model="stall", stream=True)))
        s = eventually(lambda: (lambda s: s if s["connections"] == 2 and s["exchanges"] == 1 else None)(gw.status()))
        assert s["pid"] == gw.pid and s["world"] >= 1 and s["workers"] == 1 and s["draining"] is False
    eventually(lambda: gw.status()["connections"] == 0)


LINE = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="([^"\\\n]|\\.)*",?)*\})? [-+0-9.eEIinfNa]+$')


def test_metrics(gw):
    with Raw(gw) as c:
        c.send(get()).read_reply()
    text = gw.command("metrics")
    kinds, helps = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram", "summary") and name not in kinds
            kinds[name] = kind
        elif line.startswith("# HELP "):
            helps.add(line.split(" ")[2])
        elif line and not line.startswith("#"):
            assert LINE.match(line), line
            base = re.match(r"[\w:]+", line).group()
            assert base in kinds or re.sub(r"_(bucket|sum|count)$", "", base) in kinds, line
    assert kinds and helps == set(kinds) and text.endswith("\n")
    m = gw.metrics()
    assert sum(v for k, v in m.items() if k.startswith("turnpike_requests_total")) >= 1


def usage_of(gw):
    rows = {}
    for r in json.loads(gw.command("usage", "--json")):
        rows[r["model"]] = r
    return rows


def test_usage(gw):
    before = usage_of(gw).get("m", {"requests": 0, "usage": {}, "cost": "0"})
    with Raw(gw) as c:
        for i in range(5):
            assert c.send(post(chat(model="m", stream=i % 2 == 0))).read_reply().status == 200
        assert c.send(post(chat(model="bad"))).read_reply().status >= 500
    rows = eventually(lambda: (lambda r: r if r.get("m", {}).get("requests", 0) >= before["requests"] + 5
                               and r.get("bad") else None)(usage_of(gw)), 20, 0.2)
    m = rows["m"]
    assert m["requests"] - before["requests"] == 5 and m["failures"] == 0 and m["key"] == "e2e"
    assert m["usage"]["prompt"] - before["usage"].get("prompt", 0) == 55
    assert m["usage"]["completion"] - before["usage"].get("completion", 0) == 35
    assert round(float(m["cost"]) - float(before["cost"]), 9) == round(5 * (11e-6 + 14e-6), 9)
    assert rows["bad"]["failures"] == 1 and not rows["bad"]["usage"]
    table = gw.command("usage").splitlines()
    assert table[0].split()[:2] == ["DAY", "KEY"] and any(" m " in l for l in table[1:])
    assert json.loads(gw.command("usage", "--json", "--from", "2999-01-01")) == []
    assert json.loads(gw.command("usage", "--json", "--to", "2000-01-01")) == []


def test_usage_survives_a_restart(mock):
    gw = Gateway(providers={"up": openai(mock.url)}, models={"m": model(("up", "m"))})
    try:
        for n in (1, 2):
            (gw.dir / "log").unlink(missing_ok=True)
            gw.start()
            with Raw(gw) as c:
                assert c.send(post(chat(model="m"))).read_reply().status == 200
            gw.stop()
            assert usage_of(gw)["m"]["requests"] == n  # also what came in just before the end
    finally:
        gw.remove()


def test_stop(mock):
    with Gateway() as gw:
        assert '"ok":true' in gw.command("stop")
        assert gw.child.proc.wait(10) == 0
        for command in ("status", "stop", "reload", "metrics"):
            r = gw.command(command, check=False)
            assert r.returncode == 1 and "no gateway answers" in r.stderr and not r.stdout


def test_a_broken_directory_keeps_nobody_from_stopping_it():
    with Gateway() as gw:
        gw.snippet("60-bad.json", "{")
        assert gw.status()["pid"] == gw.pid
        assert '"ok":true' in gw.command("stop")
        assert gw.child.proc.wait(10) == 0


def test_wrong_command_lines(gw):
    assert run().returncode == 2 and run("dance").returncode == 2
    for c in ("serve", "status", "schema", "usage", "plugins"):
        r = run(c, "--nonsense")
        assert r.returncode == 2 and "--nonsense" in r.stderr, r
    assert run("help").returncode == 0 and "serve" in run("help").stdout
    assert re.fullmatch(r"turnpike \d+\.\d+\.\d+\n", run("version").stdout)


# ---- Starts that cannot be.

def refused(gw, *words):
    """It ends with 1 and one error line, which has those words."""
    with pytest.raises(AssertionError) as e:
        gw.start()
    assert "ended with 1 " in str(e.value), e.value
    lines = [l for l in gw.log().splitlines() if " info " not in l]
    assert len(lines) == 1 and " error " in lines[0], gw.log()
    for w in words:
        assert str(w) in lines[0], lines[0]
    gw._say_sanitizer()


@pytest.fixture
def fresh():
    made = []

    def make(**more):
        made.append(Gateway(**more))
        return made[-1]
    yield make
    for g in made:
        g.remove()


def test_port_taken(gw, fresh):
    refused(fresh(listen=f"127.0.0.1:{gw.port}"), f"127.0.0.1:{gw.port}", "in use", "--listen")


def test_second_listener_taken(gw, fresh):
    g = fresh(server={"listen": ["127.0.0.1:0", f"127.0.0.1:{gw.port}"]})
    g.listen = None
    from harness.proc import Child
    g.child = Child([TURNPIKE, "serve", "--config", g.dir], g.dir / "log", env=g._sanitizers(g.env))
    assert g.child.proc.wait(PATIENCE) == 1
    assert "in use" in g.log()
    g._say_sanitizer()


def test_address_of_another_machine(fresh):
    refused(fresh(listen="192.0.2.1:0"), "192.0.2.1", "--listen")
    refused(fresh(listen="no.such.host.invalid:80"), "no.such.host.invalid")
    refused(fresh(listen="nonsense"), "--listen", "HOST:PORT")


def test_run_dir(fresh, tmp_path):
    taken = tmp_path / "file"
    taken.write_text("")
    refused(fresh(server={"run_dir": str(taken)}), taken)
    refused(fresh(server={"run_dir": str(tmp_path / "no" / "such")}), "run_dir", tmp_path / "no" / "such")
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        refused(fresh(server={"run_dir": str(closed)}), closed)
    else:
        refused(fresh(server={"run_dir": "/proc/turnpike"}), "/proc/turnpike")


def test_admin_socket(gw, fresh, tmp_path):
    refused(fresh(server={"admin_socket": str(gw.dir / "run" / "admin.sock")}), "admin.sock", "another gateway")
    assert gw.status()["pid"] == gw.pid
    refused(fresh(server={"admin_socket": str(tmp_path / ("x" * 120))}), "107")
    mine = tmp_path / "precious"
    mine.write_text("not a socket")
    refused(fresh(server={"admin_socket": str(mine)}), mine)
    assert mine.read_text() == "not a socket"
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(stale))
    with fresh(server={"admin_socket": str(stale)}) as g:
        assert g.status()["pid"] == g.pid
        assert stale.stat().st_mode & 0o777 == 0o600


def test_store(fresh, tmp_path):
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"this is no database, but long enough to look at: " * 200)
    refused(fresh(sections={"store": {"path": str(bad)}}), bad)
    assert bad.read_bytes().startswith(b"this is no database")
    refused(fresh(sections={"store": {"path": str(tmp_path)}}), tmp_path)


def test_access_log_and_log(fresh, tmp_path):
    refused(fresh(server={"access_log": str(tmp_path / "no" / "log")}), tmp_path / "no" / "log")
    g = fresh(sections={"log": {"file": str(tmp_path / "no" / "log")}})
    refused(g, tmp_path / "no" / "log")


def test_no_directory():
    r = run("serve", "--config", "/nowhere/at/all")
    assert r.returncode == 1 and "/nowhere/at/all" in r.stderr and len(r.stderr.splitlines()) == 1


@pytest.mark.parametrize("n", [8, 20, 63])
def test_too_few_descriptors(fresh, n):
    refused(fresh(nofile=n), str(n), "ulimit -n")


def test_few_descriptors(fresh):
    with fresh(nofile=64) as g:
        cs = [Raw(g) for _ in range(40)]
        for c in cs:
            try:
                c.send(post(chat()))
            except ConnectionError:
                pass
        assert {c.read_reply().status for c in cs} == {200, 503}
        for c in cs:
            c.close()
        eventually(lambda: g.status()["connections"] == 0)
        with Raw(g) as c:
            assert c.send(post(chat())).read_reply().status == 200
