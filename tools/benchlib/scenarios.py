"""What is measured, scenario by scenario. Each returns a dict that report.py can print."""
import os
import re
import signal
import subprocess
import statistics
import sys
import time

from . import bodies
from .gateways import GATEWAYS, GOVERNED
from .load import Streams, Wrk, measure, syscalls_per_request
from .procs import BenchError

REQUESTS = {  # name: (body, connections)
    "small": ("small", 64),
    "large-ascii": ("large-ascii", 64),
    "large-code": ("large-code", 64),
    "large-cyrillic": ("large-cyrillic", 64),
    "large-chinese": ("large-chinese", 64),
    "latency": ("small", 1),
    "tls": ("small", 64),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def body_file(setup, gateway, kind, model, stream=False):
    path = os.path.join(setup.dir, f"{gateway.name}-{kind}-{model}.json")
    with open(path, "wb") as f:
        f.write(bodies.chat(kind, gateway.model(model), stream))
    return path


def started(setup, names):
    gateways = [GATEWAYS[n](setup) for n in names]
    for g in gateways:
        g.start()
    return gateways


def stop(gateways):
    for g in gateways:
        g.stop()


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def paired(rounds, name, base, key):
    """The median of the ratios within each round."""
    pairs = [r[name][key] / r[base][key] for r in rounds
             if name in r and base in r and r[base][key]]
    return median(pairs)


def requests(setup, gateways, scenario):
    """Interleaved rounds of wrk over all gateways."""
    kind, connections = REQUESTS[scenario]
    files = {g.name: body_file(setup, g, kind, "bench") for g in gateways}
    rounds = []
    for n in range(setup.warmup + setup.rounds):
        one = {}
        for g in gateways:
            one[g.name] = measure(setup, g, files[g.name], connections, setup.seconds)
        if n >= setup.warmup:
            rounds.append(one)
            say(f"  {scenario} {n - setup.warmup + 1}/{setup.rounds}: " + "  ".join(
                f"{k} {v['rps']:.0f}/s" for k, v in one.items()))
    result = {"scenario": scenario, "connections": connections,
              "body_bytes": os.path.getsize(files[gateways[0].name]),
              "rounds": len(rounds), "gateways": {}}
    for g in gateways:
        mine = [r[g.name] for r in rounds]
        row = {k: median(m[k] for m in mine) for k in ("rps", "p50", "p99", "mean", "cpu_us")}
        row["errors"] = sum(m["errors"] + m["bad"] for m in mine)
        row["rss_idle_kb"], row["rss_kb"] = g.idle_kb, max(m["rss_kb"] for m in mine)
        for base in ("direct", "nginx", "haproxy"):
            if any(base in r for r in rounds):
                row[f"vs_{base}"] = paired(rounds, g.name, base, "rps")
                row[f"p99_vs_{base}"] = paired(rounds, g.name, base, "p99")
        if "direct" in rounds[0]:
            row["added_p50"] = median(r[g.name]["p50"] - r["direct"]["p50"] for r in rounds)
            row["added_p99"] = median(r[g.name]["p99"] - r["direct"]["p99"] for r in rounds)
            if "nginx" in rounds[0] and g.name not in ("direct", "nginx"):
                row["added_p50_vs_nginx"] = median(
                    (r[g.name]["p50"] - r["direct"]["p50"]) /
                    max(1, r["nginx"]["p50"] - r["direct"]["p50"]) for r in rounds)
        if g.name != "direct":
            row["syscalls"] = syscalls_per_request(setup, g, files[g.name], connections)
        result["gateways"][g.name] = row
    return result


def governed(setup):
    """What governing costs: requests with a stored key, limits, holds and settles, against a static
    key and none of it, in pairs."""
    gateways = [g(setup) for g in GOVERNED]
    for g in gateways:
        g.start()
    try:
        files = {g.name: body_file(setup, g, "small", "bench") for g in gateways}
        rounds = []
        for n in range(setup.warmup + setup.rounds):
            one = {g.name: measure(setup, g, files[g.name], 64, setup.seconds) for g in gateways}
            if n >= setup.warmup:
                rounds.append(one)
                say(f"  governed {n - setup.warmup + 1}/{setup.rounds}: " + "  ".join(
                    f"{k} {v['rps']:.0f}/s" for k, v in one.items()))
        result = {"scenario": "governed", "connections": 64, "rounds": len(rounds), "gateways": {}}
        for g in gateways:
            mine = [r[g.name] for r in rounds]
            row = {k: median(m[k] for m in mine) for k in ("rps", "p50", "p99", "cpu_us")}
            row["errors"] = sum(m["errors"] + m["bad"] for m in mine)
            row["rss_kb"] = max(m["rss_kb"] for m in mine)
            row["kept"] = paired(rounds, g.name, "static", "rps")
            result["gateways"][g.name] = row
        return result
    finally:
        stop(gateways)


def start(setup, names):
    """Start to first answer, and RSS then."""
    result = {"scenario": "start", "gateways": {}}
    for name in names:
        if name == "direct":
            continue
        times, idle = [], []
        for _ in range(setup.starts):
            g = GATEWAYS[name](setup)
            times.append(g.start())
            idle.append(g.idle_kb)
            g.stop()
        result["gateways"][name] = {"first_answer_ms": median(times), "slowest_ms": max(times),
                                    "rss_idle_kb": median(idle)}
    return result


def streams(setup, names, scenario, count, ramp):
    """Many streams through a freshly started gateway, all of which must complete."""
    result = {"scenario": scenario, "streams": count, "pace_ms": setup.pace_ms, "gateways": {}}
    for name in names:
        g = GATEWAYS[name](setup)
        g.start(count)
        try:
            before = g.rss_kb() if g.proc else 0
            cpu = g.cpu_ns()
            load = Streams(setup, g, body_file(setup, g, "small", "bench-stream", True), count, ramp)
            load.ready()
            rss = g.rss_kb()
            s = load.finish()
            row = {"complete": s["complete"], "failures": s["failures"], "events": s["events"],
                   "max_concurrent": s["max_concurrent"],
                   "first_event_p50": s["first_event_ms"]["p50"],
                   "first_event_p99": s["first_event_ms"]["p99"],
                   "gap_p99": s["gap_ms"]["p99"], "gap_max": s["gap_ms"]["max"],
                   "bytes_per_stream": (rss - before) * 1024 / count if g.proc else None,
                   "cpu_us_event": (g.cpu_ns() - cpu) / 1000 / max(1, s["events"])
                   if g.proc else None}
            result["gateways"][name] = row
            say(f"  {scenario}: {name} {row['complete']}/{count} complete, largest gap "
                f"{row['gap_max']:.0f} ms" + (f", {row['bytes_per_stream'] / 1024:.1f} KB a stream"
                                              if g.proc else ""))
        finally:
            g.stop()
    return result


def beside(setup, names, count, ramp):
    """Requests with and without open streams beside them, in pairs."""
    result = {"scenario": "beside", "streams": count, "pace_ms": setup.pace_ms, "gateways": {}}
    for name in names:
        g = GATEWAYS[name](setup)
        g.start(count)
        try:
            small = body_file(setup, g, "small", "bench")
            open_body = body_file(setup, g, "small", "bench-open", True)
            measure(setup, g, small, 64, 1)
            ratios, alone, busy, gaps, events, failed = [], [], [], [], [], 0
            for _ in range(setup.beside_rounds):
                a = measure(setup, g, small, 64, setup.seconds)
                load = Streams(setup, g, open_body, count, ramp)
                load.ready()
                time.sleep(0.3)
                load.restart_gaps()
                b = measure(setup, g, small, 64, setup.seconds)
                s = load.end()
                time.sleep(0.3)
                failed += s["failed"] + a["errors"] + a["bad"] + b["errors"] + b["bad"]
                alone.append(a["rps"])
                busy.append(b["rps"])
                ratios.append(b["rps"] / a["rps"])
                gaps.append(s["gap_ms"]["max"])
                events.append(s["events"] / s["seconds"])
            result["gateways"][name] = {"rps_alone": median(alone), "rps_beside": median(busy),
                                        "kept": median(ratios), "gap_max": max(gaps),
                                        "events": median(events),
                                        "failed": failed}
            say(f"  beside: {name} keeps {median(ratios):.0%} beside {count} streams, largest gap "
                f"{max(gaps):.0f} ms")
        finally:
            g.stop()
    return result


def soak(setup, name, millions):
    """Millions of requests through one gateway; RSS every 100,000."""
    g = GATEWAYS[name](setup)
    g.start()
    want = int(millions * 1_000_000)
    marks = []
    try:
        base = setup.mock.stats()["requests"]
        load = Wrk(setup, g, body_file(setup, g, "small", "bench"), 64, 86400)
        done = 0
        while done < want:
            time.sleep(0.05)
            if not g.alive() or not load.proc.alive():
                raise BenchError(f"{name} or wrk ended after {done} requests of the soak")
            now = setup.mock.stats()["requests"] - base
            if now // 100_000 > done // 100_000:
                marks.append({"requests": now, "rss_kb": g.rss_kb()})
                say(f"  soak: {name} {now} requests, RSS {marks[-1]['rss_kb']} KB")
            done = now
        load.proc.send_signal(signal.SIGINT)
        r = load.result()
    finally:
        g.stop()
    warm = [m for m in marks if m["requests"] >= want * 0.2] or marks
    return {"scenario": "soak", "gateways": {name: {
        "requests": r["requests"], "errors": r["errors"] + r["bad"], "rss_idle_kb": g.idle_kb,
        "rss_first_kb": warm[0]["rss_kb"] if warm else None,
        "rss_last_kb": warm[-1]["rss_kb"] if warm else None, "marks": marks}}}


def scan(binary):
    """The validating scan by itself: nanoseconds a text, as the microbenchmark prints them."""
    say("scan:")
    out = subprocess.run([binary], check=True, capture_output=True, text=True, timeout=120).stdout
    rows = {}
    for line in out.splitlines()[1:]:
        name, figures = line[:19].strip(), line[19:].split()
        if len(figures) == 6: # bytes, then a column a kernel; the last is the one in use
            rows[name] = {"bytes": int(figures[0]), "ns": int(figures[-1])}
    if "SSE event" not in rows:
        raise BenchError(f"{binary} printed no figures")
    return {"scenario": "scan", "gateways": {"turnpike": {"texts": rows}}}


def keys(binary):
    """Keys, windows and holds by themselves, and what a key takes, as the microbenchmark says."""
    say("keys:")
    out = subprocess.run([binary], check=True, capture_output=True, text=True, timeout=120).stdout
    rows = {}
    for line in out.splitlines():
        m = re.match(r"(.*): (\d+(?:\.\d+)?) ns$", line)
        if m:
            rows[m.group(1)] = float(m.group(2))
    size = re.search(r"(\d+) bytes a key and (\d+) of its window", out)
    if "admit_check, any stored key of 10000" not in rows or not size:
        raise BenchError(f"{binary} printed no figures")
    return {"scenario": "keys", "gateways": {"turnpike": {
        "ns": rows, "key_bytes": int(size.group(1)) + int(size.group(2))}}}


def check_clean(results):
    """Sentences about everything that did not complete without errors."""
    bad = []
    for r in results:
        for name, row in r["gateways"].items():
            where = f"{r['scenario']}, {name}"
            if row.get("errors"):
                bad.append(f"{where}: {row['errors']} requests failed")
            if row.get("failed"):
                bad.append(f"{where}: {row['failed']} streams or requests failed")
            if "complete" in row and row["complete"] != r["streams"]:
                bad.append(f"{where}: {row['complete']} of {r['streams']} streams complete "
                           f"({row['failures']})")
    return bad
