"""A reload changes what comes after it, and nothing that is under way."""
import re
import signal
import threading
import time

import pytest

from harness.gateway import Gateway, model, openai
from harness.paths import SANITIZED
from harness.raw import Raw, chat, eventually, get, post, rss_kb


@pytest.fixture
def gw(mock):
    with Gateway(workers=2, providers={"up": openai(mock.url)}, env={"ASAN_OPTIONS": "quarantine_size_mb=1"},
                 models={"m": model(("up", "m")), "drip": model(("up", "m?chunks=20&pace_ms=60"))}) as g:
        yield g


def status_of(gw, name):
    with Raw(gw) as c:
        return c.send(post(chat(model=name))).read_reply().status


def models_of(gw):
    with Raw(gw) as c:
        return {m["id"] for m in c.send(get("/v1/models")).read_reply().json()["data"]}


def test_by_command(gw):
    assert status_of(gw, "new") == 404
    world = gw.status()["world"]
    gw.snippet("60-new.json", {"models": {"new": model("echo")}})
    assert status_of(gw, "new") == 404  # not before it is asked for
    assert '"ok":true' in gw.reload()
    assert gw.status()["world"] == world + 1
    eventually(lambda: status_of(gw, "new") == 200, 5)
    assert "new" in models_of(gw)
    gw.snippet("60-new.json", None)
    gw.reload()
    eventually(lambda: status_of(gw, "new") == 404, 5)
    assert "new" not in models_of(gw)


def test_by_signal(gw):
    world = gw.status()["world"]
    gw.snippet("60-new.json", {"models": {"new": model("echo")}})
    gw.child.proc.send_signal(signal.SIGHUP)
    eventually(lambda: gw.status()["world"] == world + 1)
    eventually(lambda: status_of(gw, "new") == 200, 5)


def test_kept_connections_see_the_new_world(gw):
    with Raw(gw) as c:
        assert c.send(post(chat(model="new"))).read_reply().status == 404
        gw.snippet("60-new.json", {"models": {"new": model("echo")}})
        gw.reload()
        eventually(lambda: c.send(post(chat(model="new"))).read_reply().status == 200, 5)


def test_stream_keeps_its_world(mock):
    """Old options to the last byte, also when the provider, its model and its plugin's use are gone."""
    old = {"providers": {"talk": {"plugin": "echo", "options": {"text": "old " * 20, "gap_ms": 40}}},
           "models": {"talk": model("talk")}}
    new = {"providers": {"talk": {"plugin": "echo", "options": {"text": "new " * 3}}},
           "models": {"talk": model("talk")}}
    with Gateway(workers=1) as gw:
        gw.snippet("60-talk.json", old)
        gw.reload()
        with Raw(gw) as a, Raw(gw) as b, Raw(gw) as c:
            for s in (a, b):
                s.send(post(chat(model="talk", stream=True)))
                s.read_head()
                while b"old" not in s.rest:
                    assert s._more()
            gw.snippet("60-talk.json", new)
            gw.reload()
            eventually(lambda: b"new" in c.send(post(chat(model="talk"))).read_reply().body, 5)
            gw.snippet("60-talk.json", None)
            gw.reload()
            eventually(lambda: c.send(post(chat(model="talk"))).read_reply().status == 404, 5)
            for s in (a, b):
                while not s.rest.endswith(b"0\r\n\r\n"):
                    assert s._more()
                text = s.rest
                assert text.count(b"old") == 20 and b"new" not in text and b"[DONE]" in text
                s.rest = b""


BAD = {"syntax": ('{\n  "models": {\n    "x": ]\n', 3, "60-bad.json"),
       "unknown key": ('{\n  "modells": {}\n}', 2, "models"),
       "unknown provider": ('{\n  "models": {"x": {"deployments": [\n  {"provider": "nobody"}]}}\n}', 3, "nobody"),
       "twice": ('{\n\n  "models": {"m": {"deployments": [{"provider": "echo"}]}}\n}', 3, "50-test.json"),
       "plugin option": ('{"providers": {\n  "p": {"plugin": "echo", "options": {\n    "bogus": 1}}}}', 3, "bogus"),
       "no plugin": ('{"providers": {\n  "p": {"plugin": "nowhere"}}}', 2, "nowhere")}


@pytest.mark.parametrize("kind", BAD)
def test_bad_directory_changes_nothing(gw, kind):
    text, line, word = BAD[kind]
    before = gw.status()["world"]
    gw.snippet("60-bad.json", text)
    r = gw.command("reload", check=False)
    assert r.returncode == 1
    assert re.search(rf"60-bad\.json:{line}:\d+: ", r.stderr), r
    assert word in r.stderr and r.stderr.count("\n") == 1, r.stderr
    gw.child.proc.send_signal(signal.SIGHUP)
    found = eventually(lambda: re.search(r"reload refused, the old configuration stays: .*60-bad\.json:\d+:\d+",
                                         gw.log()))
    assert found
    assert gw.status()["world"] == before
    assert status_of(gw, "m") == 200
    gw.snippet("60-bad.json", None)
    gw.reload()
    assert gw.status()["world"] > before


def test_reloads_under_load_lose_nothing(gw):
    stop = threading.Event()
    strange, served = [], [0]

    def ask(name, stream):
        with Raw(gw) as c:
            while not stop.is_set():
                r = c.send(post(chat("x", name, stream=stream))).read_reply()
                served[0] += 1
                if r.status != 200 or not r.complete or (stream and r.events()[-1] != b"[DONE]"):
                    strange.append(r)

    threads = [threading.Thread(target=ask, args=a) for a in
               [("echo", False), ("m", False), ("m", True), ("drip", True), ("drip", True)]]
    for t in threads:
        t.start()
    world = gw.status()["world"]
    for i in range(50):
        gw.snippet("60-turn.json", {"models": {f"turn-{i}": model("echo")}})
        if i % 5:
            gw.child.proc.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        else:
            gw.reload()
    stop.set()
    for t in threads:
        t.join()
    assert not strange, strange[:2]
    assert served[0] > 100 and gw.status()["world"] > world + 10
    eventually(lambda: status_of(gw, "turn-49") == 200, 5)


def test_memory_does_not_grow_with_reloads(gw):
    def turn(n):
        for _ in range(n):
            before = gw.status()["world"]
            gw.child.proc.send_signal(signal.SIGHUP)
            eventually(lambda: gw.status()["world"] > before, every=0.005)
    turn(15)
    status_of(gw, "m")
    warm = rss_kb(gw.pid)
    turn(40)
    status_of(gw, "m")
    grown = rss_kb(gw.pid) - warm
    assert grown < (60_000 if SANITIZED else 1_500), f"{grown} KB by 40 reloads"


def test_limits_shrink_while_a_head_is_on_its_way(mock):
    """A request keeps the limits it began with, whatever a reload does meanwhile."""
    with Gateway() as gw:
        with Raw(gw) as c:
            data = get("/healthz", "X-Long: " + "y" * 30_000)
            c.send(data[:20_000])
            time.sleep(0.05)
            doc = '{"server": {"max_head_bytes": 2048}}'
            gw.snippet("60-limits.json", doc)
            gw.reload()
            time.sleep(0.05)
            c.send(data[20_000:])
            assert c.read_reply().status == 200
            c.send(data)
            assert c.read_reply().status == 431


def test_what_a_reload_cannot_change_is_said(gw):
    path = gw.conf_d / "50-test.json"
    path.write_text(path.read_text().replace('"workers": 2', '"workers": 1'))
    gw.reload()
    assert "workers" in gw.log() and "next start" in gw.log()
