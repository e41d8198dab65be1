"""Plugins come and go by snippet: dropped into conf.d beside the snippet that names them, switched off
by "enabled": false, removed by deleting it. Each time the client sees the difference."""
import json
import shutil

import pytest

from harness.gateway import Gateway, model
from harness.paths import BUILD
from harness.raw import Raw, chat, eventually, get, post
from harness.scripted import Upstream, reply

TINY = BUILD / "tests" / "plugins"
SHIPPED = BUILD / "plugins"


@pytest.fixture
def gw():
    with Gateway(models={"two": model({"provider": "echo", "model": "first", "id": "a"},
                                      {"provider": "echo", "model": "last", "id": "b"})}) as g:
        yield g


def drop(gw, built, name):
    """Puts a plugin beside the snippets, under a name of its own."""
    if not built.exists():
        pytest.skip(f"{built.name} is not built")
    shutil.copy(built, gw.conf_d / f"{name}.so")


def ask(gw, path="/v1/chat/completions", **body):
    with Raw(gw) as c:
        return c.send(post(body, path=path)).read_reply()


def model_list(gw):
    with Raw(gw) as c:
        return {m["id"] for m in c.send(get("/v1/models")).read_reply().json()["data"]}


def becomes(gw, check, want):
    """The state after a reload, as soon as every worker has it."""
    gw.reload()
    eventually(lambda: check() == want, 5)


@pytest.mark.parametrize("how", ["plugin", "provider"])
def test_provider(gw, how):
    drop(gw, SHIPPED / "echo.so", "acme")
    def status():
        return ask(gw, **chat(model="acme-1")).status
    snippet = {"providers": {"acme": {"options": {"text": "from acme"}}}, "models": {"acme-1": model("acme")}}
    assert status() == 404
    gw.snippet("acme.json", snippet)
    becomes(gw, status, 200)
    r = ask(gw, **chat(model="acme-1"))
    assert "from acme" in r.json()["choices"][0]["message"]["content"] and r.header("x-turnpike-provider") == "acme"
    assert "acme-1" in model_list(gw)
    if how == "plugin":
        snippet["plugins"] = {"acme": {"enabled": False}}
    else:
        snippet["providers"]["acme"]["enabled"] = False
    gw.snippet("acme.json", snippet)
    becomes(gw, status, 404)
    assert "acme-1" not in model_list(gw)
    snippet.pop("plugins", None)
    snippet["providers"]["acme"].pop("enabled", None)
    gw.snippet("acme.json", snippet)
    becomes(gw, status, 200)
    gw.snippet("acme.json", None)
    becomes(gw, status, 404)
    assert ask(gw, **chat()).status == 200


@pytest.mark.parametrize("how", ["plugin", "endpoint"])
def test_endpoint(gw, how):
    drop(gw, TINY / "area_endpoint.so", "say")
    body = {"say": "aloud", "model": "echo"}
    def answer():
        r = ask(gw, path="/v1/say", **body)
        return r.status, r.body if r.status == 201 else None
    snippet = {"endpoints": {"say": {"path": "/say"}}}
    assert answer() == (404, None)
    gw.snippet("say.json", snippet)
    becomes(gw, answer, (201, b"aloud"))
    if how == "plugin":
        snippet["plugins"] = {"say": {"enabled": False}}
    else:
        snippet["endpoints"]["say"]["enabled"] = False
    gw.snippet("say.json", snippet)
    becomes(gw, answer, (404, None))
    gw.snippet("say.json", {"endpoints": {"say": {"path": "/say/it"}}})
    def moved():
        return ask(gw, path="/v1/say/it", **body).status, answer()[0]
    becomes(gw, moved, (201, 404))
    gw.snippet("say.json", None)
    becomes(gw, moved, (404, 404))
    assert ask(gw, **chat()).status == 200


@pytest.mark.parametrize("how", ["plugin", "strategy"])
def test_strategy(gw, how):
    """Which deployment answers first: as listed, or the last one where the dropped-in strategy ranks."""
    drop(gw, TINY / "area_strategy.so", "backwards")
    def served():
        r = ask(gw, **chat(model="two"))
        return r.json()["model"] if r.status == 200 else r.status
    assert served() == "first"
    snippet = {"strategies": {"backwards": {}}, "routing": {"strategy": "backwards"}}
    gw.snippet("backwards.json", snippet)
    becomes(gw, served, "last")
    if how == "plugin":
        snippet["plugins"] = {"backwards": {"enabled": False}}
    else:
        snippet["strategies"]["backwards"]["enabled"] = False
    gw.snippet("backwards.json", snippet)
    becomes(gw, served, "first")
    gw.snippet("backwards.json", {"strategies": {"backwards": {}}, "routing": {"strategy": "backwards"}})
    becomes(gw, served, "last")
    gw.snippet("backwards.json", None)
    becomes(gw, served, "first")


@pytest.mark.parametrize("built,path", [("lang_cpp", "/v1/cpp"), ("lang_rust", "/v1/rust")])
def test_plugins_in_other_languages(gw, built, path):
    """Providers in C++ and Rust: a line of the upstream's text is a piece of the answer."""
    drop(gw, TINY / f"{built}.so", "foreign")
    with Upstream(lambda request: reply(200, b"spoken abroad\n", "text/plain")) as up:
        gw.snippet("foreign.json", {"providers": {"foreign": {"options": {"base_url": up.url}}},
                                    "models": {"foreign": model(("foreign", "far"))}})
        gw.reload()
        r = eventually(lambda: next((r for r in [ask(gw, **chat(model="foreign"))] if r.status == 200), None), 5)
        assert "spoken abroad" in r.json()["choices"][0]["message"]["content"]
        assert up.requests[-1].path == path and up.requests[-1].json()["model"] == "foreign"


def test_replaced_while_it_runs(gw):
    """A new file under the old name is what the next reload loads; running streams keep the old one."""
    drop(gw, SHIPPED / "echo.so", "acme")
    gw.snippet("acme.json", {"providers": {"acme": {"options": {"text": "echoed " * 30, "gap_ms": 30}}},
                             "models": {"acme-1": model("acme")}})
    gw.reload()
    with Raw(gw) as c:
        c.send(post(chat(model="acme-1", stream=True)))
        c.read_head()
        assert c._more()
        # In place, byte by byte over the mapped file's own blocks: the worst way there is.
        (gw.conf_d / "acme.so").write_bytes((TINY / "area_local.so").read_bytes())
        gw.snippet("acme.json", {"providers": {"acme": {}}, "models": {"acme-1": model("acme")}})
        gw.reload()
        eventually(lambda: b"echoed" not in ask(gw, **chat(model="acme-1")).body, 5)
        while not c.rest.endswith(b"0\r\n\r\n"):
            assert c._more()
        assert c.rest.count(b"echoed") == 30 and b"[DONE]" in c.rest


@pytest.mark.parametrize("name,word", [("hostile_major", "2"), ("hostile_no_manifest", "manifest"),
                                       ("hostile_no_entry", "tp_plugin_entry_v1"), ("hostile_create", ""),
                                       ("hostile_manifest_sdk", "1."), ("hostile_small_table", "")])
def test_wrong_plugins_are_refused_with_a_word(gw, name, word):
    drop(gw, TINY / f"{name}.so", "wrong")
    gw.snippet("wrong.json", {"providers": {"wrong": {}}, "models": {"wrong": model("wrong")}})
    r = gw.command("reload", check=False)
    assert r.returncode == 1 and "wrong" in r.stderr and word in r.stderr, r
    assert ask(gw, **chat()).status == 200 and ask(gw, **chat(model="wrong")).status == 404


def test_no_plugin_file(gw):
    (gw.conf_d / "text.so").write_text("this is no library")
    gw.snippet("text.json", {"providers": {"text": {}}, "models": {"t": model("text")}})
    r = gw.command("reload", check=False)
    assert r.returncode == 1 and "text.so" in r.stderr
    assert ask(gw, **chat()).status == 200
