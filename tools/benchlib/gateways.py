"""What is measured: the mock itself, nginx, haproxy and Turnpike. The commands and configurations
stand at the top, so that they are easy to change."""
import json
import os
import subprocess
import time

from . import bodies
from .procs import BenchError, Proc, cpu_ns, free_ports, http, process_tree, rss_kb, wait_answer

KEY = "tp_live_bench0000000000000000000000000000000000"

# {binary} the gateway, {dir} its configuration directory, which says where it must listen.
TURNPIKE_COMMAND = ["{binary}", "serve", "--config", "{dir}"]


def turnpike_conf(workers, run_dir, port, upstream_port, models, tls):
    """The snippet conf.d/00-bench.json: everything on that production has on. tls: (cert, key)."""
    listen = f"127.0.0.1:{port}"
    scheme = "https" if tls else "http"
    return {
        "server": {
            "listen": {"address": listen, "cert_file": tls[0], "key_file": tls[1]} if tls
                      else listen,
            "workers": workers,
            "access_log": f"{run_dir}/access.log",
            "run_dir": f"{run_dir}/run",
        },
        "admission": {"static_keys": [{"name": "bench", "key": KEY}]},
        "providers": {
            "mock": {
                "plugin": "openai",
                "options": {"base_url": f"{scheme}://127.0.0.1:{upstream_port}/v1"},
                "api_key": "mock-upstream-takes-any-key",
                **({"tls": {"ca_file": tls[0]}} if tls else {}),
            }
        },
        "endpoints": {"chat": {"path": "/chat/completions"}},
        "strategies": {"ordered": {}},
        "models": {
            name: {"deployments": [{"provider": "mock", "model": upstream}]}
            for name, upstream in models.items()
        },
        # The other gateways keep no record of a request either; scenario `governed` has all of it.
        "store": {"generations": False},
    }


PRICE = {"prompt": "0.0000025", "completion": "0.00001"}  # dollars a token
LIMITS = ["--rate-limit", "16000000", "--tokens-per-minute", "16000000000",
          "--concurrency", "100000"]


NGINX_CONF = """
{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile {nofile};
pid {dir}/nginx.pid;
error_log {dir}/error.log crit;
events {{ worker_connections {connections}; multi_accept off; }}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    client_body_buffer_size 512k;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 512;
        keepalive_requests 1000000000;
        keepalive_timeout 300s;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_buffers 16 16k;
    proxy_read_timeout 600s;
    {tls}
    server {{
        listen 127.0.0.1:{port} {ssl} backlog=8192;
        location / {{ proxy_pass {scheme}://mock; }}
    }}
    server {{
        listen 127.0.0.1:{stream_port} {ssl} backlog=8192;
        location / {{ proxy_pass {scheme}://mock; proxy_buffering off; }}
    }}
}}
"""

NGINX_TLS = """
    ssl_certificate {cert};
    ssl_certificate_key {key};
    proxy_ssl_trusted_certificate {cert};
    proxy_ssl_verify on;
    proxy_ssl_name 127.0.0.1;
"""

HAPROXY_CONF = """
global
    nbthread {workers}
    maxconn {maxconn}
    tune.bufsize 16384
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 300s
    http-reuse always
    no log
listen bench
    bind 127.0.0.1:{port} {bind_tls} backlog 8192
    server mock 127.0.0.1:{upstream} {server_tls} maxconn {maxconn} pool-max-conn 1024
"""


class Gateway:
    """A way to the mock: port for JSON, stream_port for SSE."""
    name = ""
    key = KEY

    def __init__(self, setup):
        self.setup = setup
        self.proc = None
        self.port = self.stream_port = 0
        self.idle_kb = 0
        self.tls = setup.tls  # (cert, key) for TLS on both sides, or None
        self.scheme = "https" if self.tls else "http"

    def model(self, name):
        """The model string a body needs to get the behaviour `name` of the mock."""
        return self.setup.models[name]

    def start(self, streams=0):
        """Starts it, with room for so many streams, and waits for its first answer; returns the ms
        from start to that answer."""
        raise NotImplementedError

    def stop(self):
        if self.proc:
            self.proc.stop()
            self.proc = None

    def cpu_ns(self):
        return cpu_ns(self.proc.pid) if self.proc else 0

    def rss_kb(self):
        return rss_kb(self.proc.pid) if self.proc else 0

    def pids(self):
        return process_tree(self.proc.pid) if self.proc else []

    def alive(self):
        return self.proc is None or self.proc.alive()

    def _started(self, argv, log_path):
        raw = bodies.raw_request(self.port, bodies.chat("small", self.model("bench")), self.key)
        begin = time.perf_counter()
        with open(log_path, "w", encoding="utf-8") as log:
            self.proc = Proc(argv, cpus=self.setup.gateway_cpus, stdout=log, stderr=log)
        wait_answer(self.proc, self.port, raw, self.name, lambda: _tail(log_path),
                    tls=bool(self.tls))
        first_ms = (time.perf_counter() - begin) * 1000
        time.sleep(0.2)
        self.idle_kb = self.rss_kb()
        return first_ms


def _tail(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()[-1500:].strip() or "(no output)"


class Direct(Gateway):
    name = "direct"

    def start(self, streams=0):
        self.port = self.stream_port = self.setup.mock_port
        return 0.0


class Nginx(Gateway):
    name = "nginx"

    def start(self, streams=0):
        s = self.setup
        folder = s.folder("nginx")
        self.port, self.stream_port = free_ports(2)
        # Two connections a stream, and a margin: with few left, nginx closes those it can spare.
        conf = NGINX_CONF.format(
            connections=1024 + 3 * streams, scheme=self.scheme, ssl="ssl" if self.tls else "",
            tls=NGINX_TLS.format(cert=self.tls[0], key=self.tls[1]) if self.tls else "",
            user="user root;" if os.geteuid() == 0 else "", workers=s.workers, nofile=s.nofile,
            dir=folder, upstream=s.mock_port, port=self.port, stream_port=self.stream_port)
        with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as f:
            f.write(conf)
        return self._started([s.nginx, "-p", folder, "-c", f"{folder}/nginx.conf",
                              "-e", f"{folder}/error.log"], f"{folder}/out.log")


class Haproxy(Gateway):
    name = "haproxy"

    def start(self, streams=0):
        s = self.setup
        folder = s.folder("haproxy")
        self.port = self.stream_port = free_ports(1)[0]
        both = ("", "")
        if self.tls:
            pem = f"{folder}/both.pem"
            with open(pem, "w", encoding="ascii") as out:
                for part in self.tls:
                    with open(part, encoding="ascii") as f:
                        out.write(f.read())
            both = (f"ssl crt {pem}", f"ssl verify required ca-file {self.tls[0]}")
        conf = HAPROXY_CONF.format(bind_tls=both[0], server_tls=both[1], workers=s.workers,
                                   upstream=s.mock_port, port=self.port,
                                   maxconn=(s.nofile - 100) // 2)
        with open(f"{folder}/haproxy.cfg", "w", encoding="utf-8") as f:
            f.write(conf)
        return self._started([s.haproxy, "-db", "-f", f"{folder}/haproxy.cfg"],
                             f"{folder}/out.log")


class Turnpike(Gateway):
    name = "turnpike"

    def model(self, name):
        return name

    def start(self, streams=0):
        s = self.setup
        folder = s.folder(self.name)
        self.port = self.stream_port = free_ports(1)[0]
        os.makedirs(f"{folder}/conf.d", exist_ok=True)
        os.makedirs(f"{folder}/run", exist_ok=True)
        conf = turnpike_conf(s.workers, folder, self.port, s.mock_port, s.models, self.tls)
        with open(f"{folder}/conf.d/00-bench.json", "w", encoding="utf-8") as f:
            json.dump(conf, f, indent=2)
        argv = [a.format(binary=s.turnpike, dir=folder) for a in TURNPIKE_COMMAND]
        self._prepare(conf, folder)
        return self._started(argv, f"{folder}/out.log")

    def _prepare(self, conf, folder):
        """What is to be done before it starts."""


class Static(Turnpike):
    """Turnpike with a static key, without credits and records: what `governed` is measured
    against."""
    name = "static"


class Governed(Turnpike):
    """Turnpike with everything that governs: a stored key, its limits, a hold, a settle through the
    journal, a generation of each request, the writer on the gateway's own core."""
    name = "governed"

    def _prepare(self, conf, folder):
        del conf["store"], conf["admission"]
        for m in conf["models"].values():
            m["max_output_tokens"] = 4096
            m["deployments"][0]["price"] = PRICE
        with open(f"{folder}/conf.d/00-bench.json", "w", encoding="utf-8") as f:
            json.dump(conf, f, indent=2)
        self._command(folder, "teams", "create", "bench", "--billing", "prepaid")
        self._command(folder, "credits", "grant", "bench", "1000000")
        made = self._command(folder, "keys", "create", "--team", "bench", "--name", "bench", *LIMITS)
        self.key = made["key"]

    def _command(self, folder, *words):
        r = subprocess.run([self.setup.turnpike, *words, "--config", folder, "--json"],
                           capture_output=True, text=True, timeout=30, check=False)
        if r.returncode != 0:
            raise BenchError(f"turnpike {' '.join(words)}: {r.stderr.strip()}")
        return json.loads(r.stdout)


GATEWAYS = {g.name: g for g in (Direct, Nginx, Haproxy, Turnpike)}
GOVERNED = (Static, Governed)


class Mock:
    """The upstream of them all."""

    def __init__(self, binary, cpus, tls=None):
        flags = ["--tls", *tls] if tls else []
        self.tls = bool(tls)
        self.proc = Proc([binary, *flags], cpus=cpus, stdout=-1)
        line = self.proc.popen.stdout.readline()
        if not line.startswith("listening on "):
            raise BenchError(f"{binary} did not say where it listens: {line!r}")
        self.port = int(line.rsplit(":", 1)[1])

    def stats(self):
        _, body = http(self.port, b"GET /mock/stats HTTP/1.1\r\nHost: mock\r\n\r\n",
                       tls=self.tls)
        return json.loads(body)
