"""The daemon under test: a configuration of its own in a directory of its own, on a free port.

    with Gateway(providers={"up": openai(mock.url)}, models={"m": model("up")}) as gw:
        reply = gw.client().chat({"model": "m", "messages": [...]})

Leaving the block drains the daemon by SIGTERM and asserts that it ended with 0, that no sanitizer
said anything, and that nothing was left in flight.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from .client import Client
from .paths import PATIENCE, TRANSPORT, TURNPIKE
from .proc import Child, clean_env

KEY = "tp_live_" + "e2e0" * 10 + "key"


def openai(base_url, **more):
    """A provider of plugin openai. Options of the plugin stand in `options`, the rest beside."""
    options = {"base_url": base_url, **more.pop("options", {})}
    # Upstreams that honour proxies go through the curl transport; none is set in these tests.
    transport = {"proxy": "environment"} if TRANSPORT == "curl" else {}
    return {"plugin": "openai", "options": options, "api_key": "sk-upstream-secret", **transport, **more}


def model(*deployments, **more):
    """A model; a deployment is a provider's name, (provider, model) or an object."""
    out = []
    for d in deployments:
        if isinstance(d, str):
            d = {"provider": d}
        elif isinstance(d, tuple):
            d = {"provider": d[0], "model": d[1]}
        out.append(d)
    able = ["tools", "vision", "audio", "documents", "json_schema", "reasoning", "streaming"]
    return {"deployments": out, "capabilities": able, **more}


class Gateway:
    def __init__(self, *, providers=None, models=None, server=None, endpoints=None, strategies=None,
                 keys=None, sections=None, echo=True, env=None, workers=1, nofile=None, listen=None,
                 log_level="info"):
        """sections: further top-level sections, merged last. keys: list of static keys."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="turnpike-e2e-"))
        self.conf_d = self.dir / "conf.d"
        self.conf_d.mkdir()
        self.env = clean_env(**(env or {}))
        self.nofile = nofile
        self.listen = listen or "127.0.0.1:0"
        self.child = None
        self.port = None
        self.access_log = self.dir / "access.log"
        conf = {
            "server": {"workers": workers, "access_log": str(self.access_log),
                       "run_dir": str(self.dir / "run"), **(server or {})},
            "log": {"level": log_level},
            "endpoints": endpoints if endpoints is not None
            else {"chat": {"plugin": "chat", "path": "/chat/completions"}},
            "strategies": strategies if strategies is not None else {"ordered": {"plugin": "ordered"}},
            "providers": dict(providers or {}),
            "models": dict(models or {}),
            "admission": {"static_keys": keys or [{"name": "e2e", "key": KEY}]},
        }
        if echo:
            conf["providers"].setdefault("echo", {"plugin": "echo"})
            conf["models"].setdefault("echo", model("echo"))
        conf.update(sections or {})
        self.snippet("50-test.json", conf)

    # ---- Configuration.

    def snippet(self, name, doc):
        """Writes (or with doc None removes) a file of conf.d; text is written as it is."""
        path = self.conf_d / name
        if doc is None:
            path.unlink()
            return path
        path.write_text(doc if isinstance(doc, str) else json.dumps(doc, indent=1))
        path.chmod(0o600)
        return path

    def command(self, *argv, check=True):
        """Runs a subcommand on this gateway's directory; answers its standard output."""
        r = subprocess.run([TURNPIKE, *argv, "--config", self.dir], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, env=self._sanitizers(self.env), timeout=60)
        if check and r.returncode != 0:
            raise AssertionError(f"turnpike {' '.join(argv)} ended with {r.returncode}:\n{r.stderr}")
        return r.stdout if check else r

    def reload(self):
        return self.command("reload")

    def status(self):
        return json.loads(self.command("status"))

    def metrics(self):
        """{'name{labels}': number}"""
        out = {}
        for line in self.command("metrics").splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    # ---- Life.

    def _sanitizers(self, env):
        where = self.dir / "sanitizer"
        env = dict(env)
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
            own = env.get(name, "")
            # What was freed is kept aside in a bound that lets tests of memory say something.
            bound = "quarantine_size_mb=32" if name == "ASAN_OPTIONS" else ""
            env[name] = ":".join(filter(None, [own, f"log_path={where}", "print_stacktrace=1", bound]))
        return env

    def start(self):
        argv = [TURNPIKE, "serve", "--config", self.dir, "--listen", self.listen]
        before = len(self.log()) if (self.dir / "log").exists() else 0  # of an earlier life
        self.child = Child(argv, self.dir / "log", env=self._sanitizers(self.env), nofile=self.nofile)
        try:
            found = self.child.wait_for(
                lambda t: re.search(r"listening on https?://\S+:(\d+)", t[before:]), PATIENCE, "listening")
            self.port = int(found.group(1))
        except AssertionError:
            self._say_sanitizer()
            raise
        return self

    def _sanitizer_text(self):
        return "".join(p.read_text(errors="replace") for p in sorted(self.dir.glob("sanitizer*")))

    def _say_sanitizer(self):
        text = self._sanitizer_text()
        if text:
            raise AssertionError("a sanitizer spoke:\n" + text[:20000])

    def stop(self, seconds=40):
        """Drains it and asserts a clean end."""
        if not self.child:
            return
        child, self.child = self.child, None
        code = child.stop(seconds)
        self._say_sanitizer()
        if code != 0:
            raise AssertionError(f"turnpike ended with {code}:\n{child.log()}")

    def remove(self):
        if self.child:
            self.child.proc.kill()
            self.child.proc.wait()
            self.child = None
        if not os.environ.get("TURNPIKE_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, kind, value, trace):
        try:
            if kind:
                try:
                    self.stop()
                except AssertionError as e:  # what failed first is what is raised
                    print(e)
                print(f"log of the gateway:\n{self.log()[-8000:]}")
            else:
                self.stop()
        finally:
            self.remove()

    # ---- Use.

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self):
        return self.url + "/v1"

    @property
    def pid(self):
        return self.child.pid

    def client(self, key=KEY, timeout=PATIENCE):
        return Client("127.0.0.1", self.port, key=key, timeout=timeout)

    def log(self):
        return (self.dir / "log").read_text(errors="replace")
