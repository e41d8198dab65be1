"""Private copies of plugins in run_dir/plugins: a start removes those of an earlier release, and
neither a start nor a reload disturbs what runs on the same directory."""
import shutil

from harness.gateway import Gateway
from harness.paths import BUILD

OLD = "0123456789abcdef" * 4


def copies(gw):
    return sorted(p.name for p in (gw.dir / "run" / "plugins").iterdir())


def chat(gw):
    r = gw.client().chat({"model": "echo", "messages": [{"role": "user", "content": "x"}]})
    assert r.status == 200, r


def test_a_start_removes_what_nobody_needs():
    gw = Gateway()
    try:
        folder = gw.dir / "run" / "plugins"
        folder.mkdir(parents=True, mode=0o700)
        for d in (gw.dir / "run", folder):
            d.chmod(0o700)
        (folder / f"{OLD}.so").write_bytes(b"of an earlier release")
        (folder / f"{OLD}.so.4711.tmp").write_bytes(b"half")
        (folder / "notes.txt").write_text("somebody's own")
        gw.start()
        chat(gw)
        left = copies(gw)
        assert f"{OLD}.so" not in left and f"{OLD}.so.4711.tmp" not in left
        assert "notes.txt" in left
        assert len([n for n in left if n.endswith(".so")]) == 3  # chat, ordered, echo
        assert "2 old copies of plugins were removed" in gw.log()
        gw.stop()
        gw.start()  # on the same copies
        assert copies(gw) == left
        chat(gw)
        gw.stop()
    finally:
        gw.remove()


def test_a_gateway_whose_copies_are_gone_runs_on():
    gw = Gateway()
    try:
        gw.start()
        before = copies(gw)
        for name in before:
            (gw.dir / "run" / "plugins" / name).unlink()
        chat(gw)
        gw.reload()
        chat(gw)
        assert copies(gw) == []  # they are mapped: nothing is copied without need
        shutil.copy(BUILD / "plugins" / "openai.so", gw.conf_d / "mine.so")
        gw.snippet("60-mine.json", {"providers": {"mine": {
            "plugin": "mine", "options": {"base_url": "http://127.0.0.1:9"}, "api_key": "k"}}})
        gw.reload()
        assert len(copies(gw)) == 1
        gw.stop()
    finally:
        gw.remove()
