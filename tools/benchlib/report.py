"""Results as tables, and against what Turnpike must reach."""
import os
import platform
import time


def fmt(v, form="{:.2f}"):
    return "n/a" if v is None else form.format(v)


def table(head, rows):
    """Markdown that also reads well in a terminal."""
    cells = [head] + [[str(c) for c in r] for r in rows]
    width = [max(len(r[i]) for r in cells) for i in range(len(head))]
    lines = []
    for n, r in enumerate(cells):
        lines.append("| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                                       for i, (c, w) in enumerate(zip(r, width))) + " |")
        if n == 0:
            lines.append("|" + "|".join("-" * (w + 1) + (":" if i else "-")
                                        for i, w in enumerate(width)) + "|")
    return "\n".join(lines)


def _mb(kb):
    return "n/a" if not kb else f"{kb / 1024:.1f}"


def _requests(r):
    rows = []
    for name, g in r["gateways"].items():
        rows.append([name, fmt(g["rps"], "{:.0f}"), fmt(g.get("vs_nginx")), fmt(g.get("vs_haproxy")),
                     fmt(g["p50"], "{:.0f}"), fmt(g["p99"], "{:.0f}"),
                     "-" if name == "direct" else fmt(g.get("added_p50"), "{:.0f}"),
                     "-" if name == "direct" else fmt(g["cpu_us"], "{:.1f}"),
                     "-" if name == "direct" else fmt(g.get("syscalls"), "{:.1f}"),
                     "-" if name == "direct" else _mb(g["rss_kb"])])
    return (f"### {r['scenario']}: {r['body_bytes']} bytes, {r['connections']} connection"
            f"{'s' if r['connections'] > 1 else ''}, {r['rounds']} rounds\n\n" +
            table(["", "requests/s", "x nginx", "x haproxy", "p50 us", "p99 us", "added p50 us",
                   "CPU us", "syscalls", "RSS MiB"], rows))


def _governed(r):
    return (f"### governed: {r['connections']} connections, {r['rounds']} rounds\n\n" +
            table(["", "requests/s", "x static", "p50 us", "p99 us", "CPU us", "RSS MiB", "errors"],
                  [[n, fmt(g["rps"], "{:.0f}"), fmt(g["kept"]), fmt(g["p50"], "{:.0f}"),
                    fmt(g["p99"], "{:.0f}"), fmt(g["cpu_us"], "{:.1f}"), _mb(g["rss_kb"]),
                    g["errors"]] for n, g in r["gateways"].items()]))


def _start(r):
    return "### start\n\n" + table(
        ["", "first answer ms", "slowest ms", "idle RSS MiB"],
        [[n, fmt(g["first_answer_ms"], "{:.0f}"), fmt(g["slowest_ms"], "{:.0f}"),
          _mb(g["rss_idle_kb"])] for n, g in r["gateways"].items()])


def _streams(r):
    rows = []
    for n, g in r["gateways"].items():
        kb = g["bytes_per_stream"]
        rows.append([n, f"{g['complete']}/{r['streams']}", g["max_concurrent"],
                     fmt(kb / 1024 if kb is not None else None, "{:.1f}"),
                     fmt(g["first_event_p50"], "{:.1f}"), fmt(g["first_event_p99"], "{:.1f}"),
                     fmt(g["gap_p99"], "{:.0f}"), fmt(g["gap_max"], "{:.0f}"),
                     fmt(g["cpu_us_event"], "{:.1f}")])
    return (f"### {r['scenario']}: {r['streams']} streams, an event each {r['pace_ms']} ms\n\n" +
            table(["", "complete", "at once", "KB RSS a stream", "first event p50 ms", "p99 ms",
                   "gap p99 ms", "gap max ms", "CPU us an event"], rows))


def _beside(r):
    return (f"### beside: {r['streams']} open streams, an event each {r['pace_ms']} ms\n\n" +
            table(["", "requests/s alone", "beside", "kept", "events/s", "gap max ms", "failed"],
                  [[n, fmt(g["rps_alone"], "{:.0f}"), fmt(g["rps_beside"], "{:.0f}"),
                    fmt(g["kept"], "{:.0%}"),
                    fmt(g["events"], "{:.0f}"), fmt(g["gap_max"], "{:.0f}"), g["failed"]]
                   for n, g in r["gateways"].items()]))


def _soak(r):
    return "### soak\n\n" + table(
        ["", "requests", "errors", "idle RSS MiB", "RSS at 20% MiB", "RSS at the end MiB"],
        [[n, g["requests"], g["errors"], _mb(g["rss_idle_kb"]), _mb(g["rss_first_kb"]),
          _mb(g["rss_last_kb"])] for n, g in r["gateways"].items()])


def _scan(r):
    texts = r["gateways"]["turnpike"]["texts"]
    return "### scan: the validating JSON scan with its tape, alone\n\n" + table(
        ["", "bytes", "ns", "GB/s"],
        [[n, t["bytes"], t["ns"], f"{t['bytes'] / t['ns']:.1f}"] for n, t in texts.items()])


def _keys(r):
    g = r["gateways"]["turnpike"]
    return (f"### keys: admission alone; {g['key_bytes']} bytes of memory a key\n\n" +
            table(["", "ns"], [[n, fmt(v, "{:.0f}")] for n, v in g["ns"].items()]))


def section(r):
    special = {"scan": _scan, "keys": _keys, "start": _start, "beside": _beside, "soak": _soak,
               "streams": _streams, "governed": _governed, "many": _streams,
               "tls-streams": _streams}
    return special.get(r["scenario"], _requests)(r)


def _goal(rows, what, value, limit, at_least, form="{:.2f}"):
    if value is None:
        return
    ok = value >= limit if at_least else value <= limit
    rows.append([what, ("at least " if at_least else "at most ") + form.format(limit),
                 form.format(value), "yes" if ok else "no"])


def goals(results):
    """What Turnpike must reach, as far as it was measured."""
    rows = []
    for r in results:
        g = r["gateways"].get("turnpike") or r["gateways"].get("governed")
        if not g:
            continue
        s = r["scenario"]
        if s == "small":
            _goal(rows, "1.5 KB: requests/s x nginx", g.get("vs_nginx"), 1.0, True)
            _goal(rows, "1.5 KB: requests/s x haproxy", g.get("vs_haproxy"), 0.9, True)
            _goal(rows, "1.5 KB: p99 x nginx", g.get("p99_vs_nginx"), 1.15, False)
            _goal(rows, "RSS under load, MiB", g["rss_kb"] / 1024, 24, False, "{:.1f}")
        elif s in ("large-ascii", "large-code"):
            _goal(rows, f"{s}: requests/s x nginx", g.get("vs_nginx"), 0.7, True)
        elif s in ("large-cyrillic", "large-chinese"):
            _goal(rows, f"{s}: requests/s x nginx", g.get("vs_nginx"), 0.5, True)
        elif s == "latency":
            _goal(rows, "one connection: added p50 x nginx", g.get("added_p50_vs_nginx"), 1.1, False)
        elif s == "scan":
            _goal(rows, "scan of a 1.5 KB request, ns", g["texts"]["chat 1.5 KB"]["ns"], 1000, False,
                  "{:.0f}")
            _goal(rows, "scan of an SSE event, ns", g["texts"]["SSE event"]["ns"], 500, False, "{:.0f}")
        elif s == "start":
            _goal(rows, "start to first answer, ms", g["first_answer_ms"], 100, False, "{:.0f}")
            _goal(rows, "idle RSS, MiB", g["rss_idle_kb"] / 1024, 8, False, "{:.1f}")
        elif s in ("streams", "many"):
            _goal(rows, f"{s}: complete", g["complete"], r["streams"], True, "{:.0f}")
            _goal(rows, f"{s}: KB RSS a stream", g["bytes_per_stream"] / 1024, 8, False, "{:.1f}")
        elif s == "beside":
            _goal(rows, "beside: requests/s kept", g["kept"], 0.9, True)
            _goal(rows, "beside: largest gap, ms", g["gap_max"], 2 * r["pace_ms"], False, "{:.0f}")
        elif s == "keys":
            _goal(rows, "verification of a known key, ns",
                  g["ns"]["admit_check, any stored key of 10000"], 5000, False, "{:.0f}")
            _goal(rows, "memory a key, bytes", g["key_bytes"], 1024, False, "{:.0f}")
        elif s == "governed":
            _goal(rows, "governed: requests/s x static", g["kept"], 0.85, True)
        elif s == "soak" and g["rss_first_kb"]:
            _goal(rows, "soak: RSS at the end x at 20%", g["rss_last_kb"] / g["rss_first_kb"], 1.05,
                  False)
    return table(["Turnpike", "goal", "measured", "reached"], rows) if rows else ""


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return (f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, "
            f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20} MiB of memory")


METHOD = """\
The gateway under test has {gateway_cpus} to itself, with {workers} worker{s}; wrk, `sse-load` and
`mock-upstream` share {load_cpus}. Rounds are interleaved (direct, nginx, haproxy, Turnpike,
{seconds} s each, {rounds} rounds after {warmup} to warm up); figures are medians, ratios are
medians of the ratios within each round. `direct` is wrk against the mock itself. nginx is a plain
reverse proxy with upstream keep-alive and its access log off; for streams with `proxy_buffering
off`. haproxy has one thread a worker and `http-reuse always`. In the scenarios `tls` and
`tls-streams` both sides speak TLS, and the upstream's certificate is checked. Turnpike checks the
key, validates the body, routes, counts usage and writes its access log to a file; it keeps no
record of each generation there (`store.generations` is off), as the others keep none. In `governed`
Turnpike runs against itself: `static` as in the other scenarios, and with everything that governs:
a stored key (HMAC), requests and tokens a minute, a hold and a settle against prepaid credits, the
journal, a generation record of each request, the ledger in SQLite, its writer on the same core. CPU is what the
scheduler counted for the gateway's processes, syscalls were {tool},
RSS is `Rss` of `/proc/PID/smaps_rollup`, summed over processes."""


def method(setup):
    return METHOD.format(
        gateway_cpus=_cpus(setup.gateway_cpus), load_cpus=_cpus(setup.load_cpus),
        workers=setup.workers, s="" if setup.workers == 1 else "s", seconds=setup.seconds,
        rounds=setup.rounds, warmup=setup.warmup, tool=f"counted by {setup.syscall_tool} in a run of their own"
        if setup.syscall_tool else "not counted")


def _cpus(cpus):
    return ("core " if len(cpus) == 1 else "cores ") + ", ".join(str(c) for c in sorted(cpus))


def markdown(setup, results):
    parts = ["# Performance",
             "Written by `tools/bench --write`; every figure below comes from one run.",
             f"{time.strftime('%Y-%m-%d', time.gmtime())}, {machine()}.", "## What must be reached",
             goals(results) or "Turnpike was not part of this run.", "## Figures"]
    parts += [section(r) for r in results]
    parts += ["## Method", method(setup)]
    return "\n\n".join(parts) + "\n"
