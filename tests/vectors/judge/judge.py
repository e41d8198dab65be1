"""Judges provider plugins that translate, by recorded traffic, without a gateway.

    judge.py --build DIR [--recordings DIR] [--provider NAME] [--only TEXT] [--quick | --full]
             [--expect NAME,NAME] [--markdown] [--list]

DIR/tests/vectors/drive, DIR/plugins/chat.so and DIR/plugins/<plugin>.so must be built. Recordings
lie in <recordings>/<provider>/<name>/ with meta.json, request.json and response.*. Exit code 0: all
passed; 1: failures, which are printed; 77: nothing could be judged. A provider whose plugin is not
built is left out, and that is said; with --expect it is a failure. --quick cuts streams at a few
places only, --full at every event's end and within every event.

What is judged of each recording:

  checker   the recorded request, if the API took it, passes `check` of its API module: a checker
            that refuses what the API takes is wrong itself
  request   `to_canonical` (an independent translation back) -> endpoint chat -> the plugin's build
            -> `check` has no complaint, `check_sent` neither, and `same` finds it equal in meaning
            to the recorded one
  reply     the recorded reply through the plugin and endpoint chat: what an OpenAI client reads
            equals `expect`, which is computed from the recording alone. Streams are fed whole, by
            event and by byte, and the client's bytes are the same each time; and once more as a
            whole reply made of the stream by `whole_of`
  refusal   one ERROR event of the right class, with the upstream's message and retry-after
  cut       a stream that is cut must not look complete: no END, no [DONE]
  relay     where the plugin takes the provider's own format (FORMAT): the request is sent as it
            stands, and the FRAMEs are the recorded reply

Beside the recordings, made.json has replies made by hand for what none of them shows, judged in
the same way (see made.py), and features.json has canonical requests written by hand, one a feature.
Each is built for each model of MODELS, must pass the checker, and nothing of it may be lost in
silence (see features.py). A provider in its `may_refuse` may fail it with a sentence.

An API module api_<name>.py has:

  PROVIDER, PLUGIN   folder of recordings; plugin's name
  APIS               the values of meta.api that it judges
  OPTIONS            the plugin's options, a dict
  MODELS             models that the features are asked of
  FORMAT             the provider's own format ("chat/anthropic"), or None
  to_canonical(request, meta) -> body of the canonical format; raises Unsupported(reason) for what
                     no canonical request can express
  check(request) -> complaints: hand-written rules of the API's public reference
  check_sent(sent, meta) -> complaints about method, path, headers and secret
  same(sent, native, meta) -> differences in meaning; both are parsed bodies
  expect(reply, meta) -> Summary or ErrorSummary; reply: bytes
  boundaries(reply, meta) -> places in the bytes of a stream where a frame ends
  may_end(prefix, meta) -> may a stream that has come so far count as complete?
  whole_of(reply, meta) -> a whole reply (bytes) that says what the stream says, or None
  native_request(request, meta) -> (model, streaming) of a relayed request
"""
import argparse
import importlib
import json
import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from driver import DriveDied, Driver, bytes_of, reply_of
from features import judge_features
from made import made_replies
from summary import (ErrorSummary, Malformed, Unsupported, check_events, compare, compare_error,
                     differences, read_client, short, usage_total)

HERE = Path(__file__).resolve().parent
MODULES = ("anthropic", "google", "cohere", "mistral", "bedrock", "vertex", "vertex_claude")
NOTHING_JUDGED = 77  # what ctest takes for a skipped test
FEEDS = ("whole", "event", "byte")


@dataclass
class Recording:
    path: Path
    meta: dict
    request: Optional[Any]
    reply: bytes

    @property
    def name(self):
        return f"{self.meta['provider']}/{self.path.name}"

    @property
    def made(self):
        return self.meta["response_file"] == "made"

    @property
    def streaming(self):
        return bool(self.meta.get("streaming"))

    @property
    def refused(self):
        return (self.meta.get("status") or 200) >= 400

    @property
    def content_type(self):
        known = self.meta.get("response_content_type")
        if known:
            return known.split(";")[0].strip()
        return {".sse": "text/event-stream", ".bin": "application/vnd.amazon.eventstream"}.get(
            Path(self.meta["response_file"]).suffix, "application/json")

    @property
    def headers(self):
        return list((self.meta.get("response_headers") or {}).items())


@dataclass
class Outcome:
    recording: Recording
    request: Optional[bool] = None   # None: not judged
    reply: Optional[bool] = None
    relay: Optional[bool] = None
    unsupported: str = ""
    failures: list = field(default_factory=list)

    def fail(self, part, lines):
        for line in lines:
            self.failures.append(f"{part}: {line}")
        return not lines


def load(path):
    meta = json.loads((path / "meta.json").read_text())
    request = None
    if (path / "request.json").exists():
        request = json.loads((path / "request.json").read_text())
    return Recording(path, meta, request, (path / meta["response_file"]).read_bytes())


def recordings_of(base, api):
    folder = Path(base) / api.PROVIDER
    if not folder.is_dir():
        return []
    found = [load(p) for p in sorted(folder.iterdir()) if (p / "meta.json").exists()]
    return [r for r in found if r.meta["api"] in api.APIS]


# ---- Cases.

def default_request(recording):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    if recording.streaming:
        body["stream"] = True
    return body


def target_of(recording):
    return {"model": recording.meta.get("model") or "some-model", "max_output_tokens": 64000,
            "context_length": 1000000}


def case_of(recording, body, reply):
    return {"request": json.dumps(body), "target": target_of(recording), "reply": reply}


def recorded_reply(recording, feed="whole", body=None, broken=False):
    return reply_of(recording.reply if body is None else body, recording.meta.get("status") or 200,
                    recording.content_type, recording.headers, feed, broken)


def why_failed(result):
    fail = result.get("fail") or {}
    return f"{result['where']} failed with {result['status']}: {fail.get('param', '')} " \
           f"{fail.get('why', '')}".strip()


# ---- The request.

def canonical_of(api, outcome):
    """The canonical body of a recording, or None where there is none."""
    recording = outcome.recording
    if recording.request is None:
        return None
    if recording.refused and api.check(recording.request):
        return None  # refused because it is wrong: no client of ours can say it
    try:
        body = api.to_canonical(recording.request, recording.meta)
    except Unsupported as e:
        outcome.unsupported = str(e)
        return None
    if recording.streaming:
        body["stream"] = True
    return body


def judge_request(api, driver, outcome, body):
    recording = outcome.recording
    if not recording.refused:
        outcome.fail("checker refuses what the API took", api.check(recording.request))
    result = driver.run(case_of(recording, body, None))
    if result["status"] != "ok":
        return outcome.fail("request", [why_failed(result)])
    sent = json.loads(bytes_of(result["sent"]["body"]))
    bad = [f"API would refuse: {c}" for c in api.check(sent)]
    bad += [f"sent: {c}" for c in api.check_sent(result["sent"], recording.meta)]
    bad += [f"not the same: {d}" for d in api.same(sent, recording.request, recording.meta)]
    if bad and result["reports"]:
        bad.append("reported: " + short([[r["what"], r["field"], r["why"]]
                                         for r in result["reports"]]))
    return outcome.fail("request", bad)


# ---- The reply.

def judge_refusal(driver, outcome, body, want):
    result = driver.run(case_of(outcome.recording, body, recorded_reply(outcome.recording)))
    events = result["events"]
    if [e["kind"] for e in events] != ["error"]:
        return outcome.fail("refusal", [f"expected one ERROR event, got "
                                        f"{[e['kind'] for e in events]}; {why_failed(result)}"])
    return outcome.fail("refusal", compare_error(events[0], want))


def compare_total(total, want):
    return total not in (want if isinstance(want, tuple) else (want,))


def judge_result(result, want, streaming, part):
    """Complaints about one run of a reply that was taken."""
    kinds = [e["kind"] for e in result["events"]]
    at_once = want.instead or (want.error if want.says_nothing() else None)
    if at_once and kinds[-1:] == ["error"] and set(kinds) <= {"start", "usage", "error"}:
        return [f"{part}: {c}" for c in compare_error(result["events"][-1], at_once)]
    if result["status"] != "ok":
        events = [e for e in result["events"] if e["kind"] == "error"]
        return [f"{part}: {why_failed(result)} {events[-1].get('text', '') if events else ''}"]
    bad = check_events(result["events"], not streaming)
    try:
        got = read_client(bytes_of(result["client"]["body"]), streaming)
    except (Malformed, ValueError, KeyError) as e:
        return [f"{part}: the client cannot read it: {type(e).__name__} {e}"]
    bad += compare(got, want)
    total = usage_total(result["events"])
    if want.usage and total is not None and want.usage.get("total") is not None and \
            compare_total(total, want.usage["total"]):
        bad.append(f"the units of usage sum up to {total}, expected {want.usage['total']}")
    if want.error:
        event = result["events"][-1]
        bad += compare_error(event, want.error) if event["kind"] == "error" else []
    return [f"{part}: {line}" for line in bad]


def judge_reply(api, driver, outcome, body):
    recording = outcome.recording
    want = api.expect(recording.reply, recording.meta)
    if isinstance(want, ErrorSummary):
        return judge_refusal(driver, outcome, body, want)
    if not recording.streaming:
        result = driver.run(case_of(recording, body, recorded_reply(recording)))
        return outcome.fail("reply", judge_result(result, want, False, "whole"))
    bad, first = [], None
    for feed in FEEDS:
        result = driver.run(case_of(recording, body, recorded_reply(recording, feed)))
        got = (result["status"], result["client"])
        if first is None:
            first = got
            bad += judge_result(result, want, True, f"fed {feed}")
        elif got != first:
            bad.append(f"fed by {feed} the client gets other bytes than fed whole: "
                       f"{short(str(got[0]))} {short(bytes_of(got[1]['body']).decode()[-160:])}")
    whole = api.whole_of(recording.reply, recording.meta) if not want.error else None
    if whole is not None and not bad:
        plain = {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
        case = case_of(recording, plain, reply_of(whole, 200))
        bad += judge_result(driver.run(case), want, False, "as a whole reply")
    return outcome.fail("reply", bad)


# ---- Cut streams.

def cuts_of(api, recording, how):
    """Places at which a stream is cut: (bytes that come, is it an event's end)."""
    ends = [b for b in api.boundaries(recording.reply, recording.meta) if b < len(recording.reply)]
    places = [0] + ends
    inside = [(a + b) // 2 for a, b in zip(places, ends + [len(recording.reply)]) if b - a > 2]
    if how == "full":
        return sorted(set(places + inside))
    count = 4 if how == "quick" else 12
    step = max(1, len(places) // count)
    few = places[::step] + places[-3:]
    return sorted(set(few + inside[::step] + inside[-2:]))


def judge_cuts(api, driver, outcome, body, how):
    recording, bad = outcome.recording, []
    for cut in cuts_of(api, recording, how):
        prefix = recording.reply[:cut]
        ended_well = api.may_end(prefix, recording.meta)
        for broken in (False, True):
            result = driver.run(case_of(recording, body, recorded_reply(recording, "whole", prefix,
                                                                        broken)))
            kinds = [e["kind"] for e in result["events"]]
            done = b"[DONE]" in bytes_of(result["client"]["body"])
            if ended_well or not ("end" in kinds or done):
                continue
            bad.append(f"cut after {cut} of {len(recording.reply)} bytes "
                       f"({'broken' if broken else 'closed'}) it looks complete; the last bytes "
                       f"are {short(prefix[-80:].decode('utf-8', 'replace'))!r}")
    return outcome.fail("cut", bad[:4])


# ---- Relaying.

def judge_relay(api, driver, outcome):
    recording = outcome.recording
    if not api.FORMAT or recording.request is None or recording.refused:
        return None
    model, streaming = api.native_request(recording.request, recording.meta)
    case = {"request": json.dumps(recording.request), "format": api.FORMAT, "model": model,
            "stream": streaming, "target": target_of(recording),
            "reply": recorded_reply(recording)}
    result = driver.run(case)
    if result["status"] != "ok":
        return outcome.fail("relay", [why_failed(result)])
    bad = []
    sent = json.loads(bytes_of(result["sent"]["body"]))
    bad += [f"sent {d}" for d in differences(sent, recording.request)]
    bad += api.relayed(bytes_of(result["client"]["body"]), recording.reply, recording.meta)
    bad += check_events([e for e in result["events"] if e["kind"] != "frame"], not streaming)
    return outcome.fail("relay", bad)


# ---- Runs.

def judge_one(api, driver, recording, how):
    outcome = Outcome(recording)
    try:
        body = canonical_of(api, outcome)
        if body is not None:
            outcome.request = judge_request(api, driver, outcome, body)
            if not outcome.request and outcome.failures[-1].startswith("request: parse"):
                body = None
        usable = body if body is not None else default_request(recording)
        outcome.reply = judge_reply(api, driver, outcome, usable)
        if recording.streaming and outcome.reply and not recording.refused:
            outcome.reply = judge_cuts(api, driver, outcome, usable, how)
        outcome.relay = judge_relay(api, driver, outcome)
    except DriveDied as e:
        outcome.fail("crash", [str(e)])
        outcome.reply = False
    except Exception as e:  # a judge that breaks must not pass the rest in silence
        outcome.fail("the judge broke", traceback.format_exception(e)[-2:])
        outcome.reply = False
    return outcome


def judge_provider(name, api, args):
    driver = Driver(args.build, api.PLUGIN, api.OPTIONS)
    outcomes, made = [], list(made_replies(api, Recording))
    for recording in recordings_of(args.recordings, api) + made:
        if args.only and args.only not in recording.name:
            continue
        outcome = judge_one(api, driver, recording, args.how)
        outcomes.append(outcome)
        for line in outcome.failures:
            print(f"FAIL {name}: {recording.name}: {line}")
    features = judge_features(name, api, driver, args.only)
    code = driver.close()
    if code != 0:
        print(f"FAIL {name}: drive ended with {code}: {driver.said()}")
    return outcomes, features, code == 0


def tell(outcomes):
    return f"{sum(1 for o in outcomes if o)} of {len(outcomes)}" if outcomes else "-"


COLUMNS = ("provider", "recordings", "requests", "whole", "streamed", "refused", "relayed",
           "not expressible", "made replies", "features")


def row_of(name, outcomes, features):
    made = [o.reply for o in outcomes if o.recording.made]
    outcomes = [o for o in outcomes if not o.recording.made]

    def some(pick):
        return [o for o in outcomes if pick(o)]
    return (name, str(len(outcomes)),
            tell([o.request for o in some(lambda o: o.request is not None)]),
            tell([o.reply for o in some(lambda o: not o.recording.refused and
                                           not o.recording.streaming)]),
            tell([o.reply for o in some(lambda o: not o.recording.refused and
                                           o.recording.streaming)]),
            tell([o.reply for o in some(lambda o: o.recording.refused)]),
            tell([o.relay for o in some(lambda o: o.relay is not None)]),
            str(len(some(lambda o: o.unsupported))), tell(made), tell(features))


def print_table(rows, markdown):
    if markdown:
        print("| " + " | ".join(COLUMNS) + " |")
        print("|" + " --- |" * len(COLUMNS))
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(r[i]) for r in rows + [COLUMNS]) for i in range(len(COLUMNS))]
    for row in [COLUMNS] + rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", required=True, help="a build folder with drive and the plugins")
    p.add_argument("--recordings", default=str(HERE.parent / "recordings"))
    p.add_argument("--provider", help="one of " + ", ".join(MODULES))
    p.add_argument("--only", default="", help="recordings whose name has this in it")
    p.add_argument("--expect", default="", help="plugins that must be built, with commas")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--list", action="store_true", help="one line a recording")
    p.add_argument("--quick", dest="how", action="store_const", const="quick", default="some")
    p.add_argument("--full", dest="how", action="store_const", const="full")
    return p.parse_args()


def print_each(outcomes):
    word = {None: "-", True: "ok", False: "FAIL"}
    for o in outcomes:
        print(f"  {word[o.request]:5}{word[o.reply]:5}{word[o.relay]:5}{o.recording.name}"
              f"{'  not expressible: ' + o.unsupported if o.unsupported else ''}")


def main():
    args = arguments()
    names = [args.provider] if args.provider else list(MODULES)
    expected = [n for n in args.expect.split(",") if n]
    rows, failed, judged = [], 0, 0
    for name in names:
        if not (HERE / f"api_{name}.py").exists():
            print(f"{name}: there is no api_{name}.py, so it is not judged")
            continue
        api = importlib.import_module(f"api_{name}")
        if not os.path.exists(f"{args.build}/plugins/{api.PLUGIN}.so"):
            print(f"{name}: plugin {api.PLUGIN} is not built, so it is not judged")
            failed += api.PLUGIN in expected
            continue
        outcomes, features, clean = judge_provider(name, api, args)
        failed += sum(1 for o in outcomes if o.failures) + (not clean) + features.count(False)
        judged += len(outcomes)
        if api.PLUGIN in expected and all(o.recording.made for o in outcomes):
            print(f"FAIL {name}: there are no recordings to judge it by")
            failed += 1
        if args.list:
            print_each(outcomes)
        for o in outcomes:
            if o.unsupported and not args.list:
                print(f"{o.recording.name}: not expressible: {o.unsupported}")
        if outcomes:
            rows.append(row_of(name, outcomes, features))
    if rows:
        print_table(rows, args.markdown)
    if not judged and not failed:
        print("nothing was judged")
        return NOTHING_JUDGED
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
