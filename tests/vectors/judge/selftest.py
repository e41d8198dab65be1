"""Can the judge say no? selftest.py --build DIR [--recordings DIR]

wrong       every change of wrong.json makes a good request one that the rules complain of
request     a member taken out of a recorded request is a difference, unless it means nothing
reply       a frame taken out of a recorded stream is noticed: the plugin's output of the shortened
            stream does not pass for what the whole one says (built plugins only)

A change is a path and the new value; a path alone takes the thing out.
"""
import argparse
import copy
import importlib
import json
import os
import sys
from pathlib import Path

from driver import Driver, reply_of
from judge import (HERE, MODULES, NOTHING_JUDGED, case_of, default_request, judge_result,
                   recordings_of)
from summary import ErrorSummary, Unsupported

# Members whose absence says the same: defaults, what is told in another place, what has no meaning.
MEANINGLESS = {
    "anthropic": ("caller", "ttl", "type"),
    "google": ("role", "includeThoughts", "include_thoughts", "mimeType", "mime_type", "title",
               "type", "mode", "responseModalities", "generationConfig", "toolConfig",
               "functionCallingConfig", "parameters", "parametersJsonSchema",
               "parameters_json_schema"),
    "cohere": ("content",),
    "mistral": ("type", "n", "format"),
    "bedrock": ("status", "type"),
}
AUTO = ("auto", {"type": "auto"}, {"type": "auto", "disable_parallel_tool_use": False})


def change(value, steps):
    """The value with one change; the last step is the new value, unless the path ends there."""
    value = copy.deepcopy(value)
    at, path = value, list(steps)
    while True:
        step = path.pop(0)
        exists = step in at if isinstance(at, dict) else step < len(at)
        if not path:
            del at[step]
            return value
        following = path[0]
        inner = at[step] if exists else None
        goes_on = isinstance(inner, dict) and isinstance(following, str) and \
            (len(path) > 1 or following in inner) or \
            isinstance(inner, list) and isinstance(following, int) and following < len(inner)
        if len(path) == 1 and not goes_on:
            at[step] = following
            return value
        at = inner


def judge_wrong(api, name, cases):
    bad = [f"{name}: the good request is refused: {c}" for c in api.check(cases["base"])]
    for steps in cases["wrong"]:
        if not api.check(change(cases["base"], steps)):
            bad.append(f"{name}: the rules take {json.dumps(steps)}")
    return bad, len(cases["wrong"])


def says_nothing(value):
    if isinstance(value, dict):
        return all(says_nothing(v) for v in value.values())
    return value in (None, [], "", False)


def members(value, path=()):
    """The paths of all members that say something."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if says_nothing(inner) or key == "tool_choice" and inner in AUTO:
                continue
            yield path + (key,)
            yield from members(inner, path + (key,))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from members(inner, path + (i,))


def judge_requests(api, name, recordings):
    bad, count = [], 0
    for recording in recordings:
        if recording.request is None or recording.refused:
            continue
        try:
            api.to_canonical(recording.request, recording.meta)
        except Unsupported:
            continue
        for path in members(recording.request):
            if path[-1] in MEANINGLESS[name] or path[-1] in ("model", "stream"):
                continue
            count += 1
            try:
                differs = api.same(change(recording.request, path), recording.request,
                                   recording.meta)
            except (KeyError, TypeError, AttributeError, ValueError, IndexError):
                continue  # such a body is none: noticed as well
            if not differs:
                bad.append(f"{recording.name}: {'.'.join(map(str, path))} may be missing")
    return bad, count


def frames_of(api, recording):
    ends = [0] + api.boundaries(recording.reply, recording.meta)
    return [recording.reply[a:b] for a, b in zip(ends, ends[1:])]


def judge_replies(api, build, recordings):
    bad, count, driver = [], 0, Driver(build, api.PLUGIN, api.OPTIONS)
    for recording in recordings:
        if not recording.streaming or recording.refused or \
                recording.reply.lstrip()[:1] == b"[":
            continue
        want = api.expect(recording.reply, recording.meta)
        frames = frames_of(api, recording)
        for i in range(0, len(frames), max(1, len(frames) // 12)):
            shorter = b"".join(frames[:i] + frames[i + 1:])
            try:
                other = api.expect(shorter, recording.meta)
            except (KeyError, IndexError, ValueError):
                continue  # no stream of this API: what a plugin makes of it is its own affair
            if isinstance(other, ErrorSummary) or other == want:
                continue
            count += 1
            reply = reply_of(shorter, 200, recording.content_type, recording.headers)
            result = driver.run(case_of(recording, default_request(recording), reply))
            if not judge_result(result, want, True, "shortened"):
                bad.append(f"{recording.name}: frame {i} of {len(frames)} may be missing: "
                           f"{frames[i][:120]!r}")
    driver.close()
    return bad, count


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", required=True)
    p.add_argument("--recordings", default=str(HERE.parent / "recordings"))
    args = p.parse_args()
    wrong = json.loads((Path(HERE) / "wrong.json").read_text())
    failed = done = 0
    for name in MODULES:
        if name not in wrong:
            continue  # the same rules as another's
        api = importlib.import_module(f"api_{name}")
        recordings = recordings_of(args.recordings, api)
        parts = [("wrong", judge_wrong(api, name, wrong[name])),
                 ("request", judge_requests(api, name, recordings))]
        if os.path.exists(f"{args.build}/plugins/{api.PLUGIN}.so"):
            parts.append(("reply", judge_replies(api, args.build, recordings)))
        for part, (bad, count) in parts:
            for line in bad:
                print(f"FAIL {part}: {line}")
            print(f"{name} {part}: {count - len(bad)} of {count} changes noticed")
            failed += len(bad) + (count == 0)
            done += count
    return 1 if failed else 0 if done else NOTHING_JUDGED


if __name__ == "__main__":
    sys.exit(main())
