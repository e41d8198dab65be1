"""Load: wrk for requests, sse-load for streams, perf or strace for counting syscalls."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from .gateways import KEY
from .procs import BenchError, Proc

WRK_SCRIPT = r"""
local f = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = f:read("*a")
f:close()
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
function done(s, latency)
  local e = s.errors
  io.write(string.format(
    "\nJSON{\"requests\":%d,\"us\":%d,\"errors\":%d,\"bad\":%d,\"mean\":%.3f,\"p50\":%d,\"p99\":%d}\n",
    s.requests, s.duration, e.connect + e.read + e.write + e.timeout, e.status,
    latency.mean, latency:percentile(50), latency:percentile(99)))
end
"""


class Wrk:
    """One run of wrk, begun at once."""

    def __init__(self, setup, gateway, body_file, connections, seconds):
        script = os.path.join(setup.dir, "wrk.lua")
        if not os.path.exists(script):
            with open(script, "w", encoding="ascii") as f:
                f.write(WRK_SCRIPT)
        self.limit = seconds + 30
        self.proc = Proc([setup.wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                          "-s", script,
                          f"{gateway.scheme}://127.0.0.1:{gateway.port}/v1/chat/completions"],
                         cpus=setup.load_cpus, stdout=subprocess.PIPE,
                         env={"BENCH_BODY": body_file, "BENCH_KEY": gateway.key})

    def result(self):
        out = self.proc.wait(self.limit)
        m = re.search(r"^JSON(\{.*\})$", out or "", re.M)
        if not m:
            raise BenchError(f"wrk gave no result: {(out or '')[-400:]}")
        r = json.loads(m.group(1))
        r["rps"] = r["requests"] / (r["us"] / 1e6)
        return r


def measure(setup, gateway, body_file, connections, seconds):
    """One round of one gateway."""
    cpu = gateway.cpu_ns()
    r = Wrk(setup, gateway, body_file, connections, seconds).result()
    n = max(1, r["requests"])
    r["cpu_us"] = (gateway.cpu_ns() - cpu) / 1000 / n
    r["rss_kb"] = gateway.rss_kb()
    if not gateway.alive():
        raise BenchError(f"{gateway.name} ended under load")
    return r


def _perf_works():
    if not shutil.which("perf"):
        return False
    r = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"],
                       capture_output=True, text=True, check=False)
    return r.returncode == 0 and "not supported" not in r.stderr and re.search(r"^\d+,", r.stderr,
                                                                               re.M) is not None


def syscall_tool():
    """perf where it may count (it does not slow the gateway down), else strace, else None."""
    if _perf_works():
        return "perf"
    return "strace" if shutil.which("strace") else None


def syscalls_per_request(setup, gateway, body_file, connections):
    """Counted while wrk runs for a second; None where no tool can."""
    if not setup.syscall_tool or not gateway.proc:
        return None
    out = os.path.join(setup.dir, "syscalls.txt")
    pids = gateway.pids()
    if setup.syscall_tool == "perf":
        argv = ["perf", "stat", "-x,", "-o", out, "-e", "raw_syscalls:sys_enter",
                "-p", ",".join(map(str, pids))]
    else:
        argv = ["strace", "-c", "-f", "-o", out] + [a for p in pids for a in ("-p", str(p))]
    counter = Proc(argv, cpus=setup.load_cpus, stderr=subprocess.DEVNULL)
    time.sleep(0.4)
    try:
        r = Wrk(setup, gateway, body_file, connections, 1).result()
    finally:
        counter.stop(signal.SIGINT)
    try:
        with open(out, encoding="utf-8") as f:
            text = f.read()
    except OSError:
        return None
    m = (re.search(r"^(\d+),", text, re.M) if setup.syscall_tool == "perf"
         else re.search(r"^\s*100\.00\s+\S+\s+\S+\s+(\d+).*total$", text, re.M))
    return int(m.group(1)) / max(1, r["requests"]) if m else None


class Streams:
    """A run of sse-load. With hold, ready() waits until all streams flow."""

    def __init__(self, setup, gateway, body_file, count, ramp, hold=True, timeout=300):
        argv = [setup.sse_load, "--streams", count, "--ramp", ramp, "--auth", KEY,
                "--body", body_file, "--timeout", timeout]
        if hold:
            argv.append("--hold")
        argv.append(f"{gateway.scheme}://127.0.0.1:{gateway.stream_port}/v1/chat/completions")
        self.timeout = timeout
        self.summary = None
        self.proc = Proc(argv, cpus=setup.load_cpus, stdout=subprocess.PIPE)

    def ready(self):
        line = self.proc.popen.stdout.readline()
        if line.strip() != "ready":
            self.summary = json.loads(line) if line.startswith("{") else None
            raise BenchError(f"not all streams opened: {line.strip()}")

    def restart_gaps(self):
        self.proc.send_signal(signal.SIGUSR1)

    def finish(self):
        """Waits for all streams to end by themselves."""
        return self._parse(self.proc.wait(self.timeout + 30))

    def end(self):
        """Ends them now."""
        self.proc.send_signal(signal.SIGTERM)
        return self._parse(self.proc.wait(30))

    def _parse(self, out):
        for line in (out or "").splitlines():
            if line.startswith("{"):
                return json.loads(line)
        raise BenchError(f"sse-load gave no summary: {(out or '')[-300:]}")
