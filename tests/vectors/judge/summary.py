"""What a reply says, summed up, so that two of them can be compared.

Summary       of a reply as an OpenAI client reads it. Expected ones are made from the raw recording
              by the api_*.py modules; those of the gateway's output by read_client. In an expected
              summary a field that is None is not compared, and a tuple holds what is right.
ErrorSummary  of a refusal.
"""
import json
from dataclasses import dataclass, field
from typing import Any, Optional


@dataclass
class Choice:
    text: Optional[str] = ""
    reasoning: Optional[str] = ""
    refusal: Optional[str] = ""
    calls: list = field(default_factory=list)       # (id or None, name, arguments parsed)
    finish: Optional[str] = None                    # OpenAI's word
    proofs: Optional[list] = None                   # signatures and sealed thoughts, in order
    annotations: Optional[int] = None               # how many, at least
    images: Optional[list] = None                   # media types


@dataclass
class ErrorSummary:
    codes: tuple                 # words of TP_ERR_ that are right ("invalid", "rate"...)
    message: Optional[str] = None
    retry_ms: Any = None         # -1: none is told; a tuple: what is right
    status: Optional[int] = None


@dataclass
class Summary:
    choices: list = field(default_factory=list)
    usage: Optional[dict] = None # prompt, completion, total, cached, reasoning; {}: nobody counted
    error: Optional[ErrorSummary] = None  # in the middle of a stream
    model: Optional[str] = None
    done: bool = True
    instead: Optional[ErrorSummary] = None  # right as well: a refusal before anything

    def says_nothing(self):
        return not any(c.text or c.reasoning or c.refusal or c.calls for c in self.choices)

    def choice(self, index=0):
        while len(self.choices) <= index:
            self.choices.append(Choice())
        return self.choices[index]


class Unsupported(Exception):
    """No canonical request can express this one; the reason in a few words."""


class Malformed(Exception):
    """The client got what no OpenAI client can read."""


def parse_arguments(text):
    """Arguments of a call as a value; what is not JSON stays text."""
    if not isinstance(text, str):
        return text
    if not text:
        return {}
    try:
        return json.loads(text)
    except ValueError:
        return text


def sse_frames(body):
    """(event name, data) of each event of an SSE body, by the standard, not for speed."""
    text = body.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    name, data = "", []
    for line in text.split("\n")[:-1]:
        if line == "":
            if data:
                yield name, "\n".join(data)
            name, data = "", []
        elif not line.startswith(":"):
            key, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if key == "data":
                data.append(value)
            elif key == "event":
                name = value


# ---- The gateway's output, read as an OpenAI client reads it.

def usage_of(usage):
    if not usage:
        return {}
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return {"prompt": usage["prompt_tokens"], "completion": usage["completion_tokens"],
            "total": usage["total_tokens"], "cached": prompt.get("cached_tokens") or 0,
            "reasoning": completion.get("reasoning_tokens") or 0}


def add_message(choice, message, state):
    """A message, or a delta of one. state: the calls of this choice by index."""
    for name in ("content", "reasoning_content", "refusal"):
        value = message.get(name)
        if value is not None and not isinstance(value, str):
            raise Malformed(f"{name} is {json.dumps(value)[:80]}, expected a string")
    choice.text += message.get("content") or ""
    choice.reasoning += message.get("reasoning_content") or ""
    choice.refusal += message.get("refusal") or ""
    for place, call in enumerate(message.get("tool_calls") or []):
        index = call.get("index", place)
        function = call.get("function") or {}
        if index not in state:
            if not call.get("id") or not function.get("name"):
                raise Malformed(f"a tool call begins without id or name: {json.dumps(call)[:120]}")
            if index != len(state):
                raise Malformed(f"tool call {index} comes after {len(state)} others")
            state[index] = {"id": call["id"], "name": function["name"], "arguments": ""}
        elif call.get("id") not in (None, "", state[index]["id"]):
            raise Malformed(f"tool call {index} changes its id to {call['id']}")
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            raise Malformed(f"arguments are {json.dumps(arguments)[:80]}, expected a string")
        state[index]["arguments"] += arguments
    for detail in message.get("reasoning_details") or []:
        proof = detail.get("signature") or detail.get("data")
        if proof:
            choice.proofs = (choice.proofs or []) + [proof]
    if message.get("annotations"):
        choice.annotations = (choice.annotations or 0) + len(message["annotations"])
    for image in message.get("images") or []:
        url = image["image_url"]["url"]
        choice.images = (choice.images or []) + [url[5:].split(";")[0]]


def add_document(summary, states, document, member):
    if document.get("usage"):
        summary.usage = usage_of(document["usage"])
    if document.get("model") is not None:
        summary.model = document["model"]
    for choice in document.get("choices") or []:
        index = choice["index"]
        state = states.setdefault(index, {})
        into = summary.choice(index)
        if into.finish and choice.get(member) and any(choice[member].get(k) for k in
                                                      ("content", "tool_calls")):
            raise Malformed(f"choice {index} goes on after its finish_reason")
        add_message(into, choice.get(member) or {}, state)
        if choice.get("finish_reason"):
            if into.finish:
                raise Malformed(f"choice {index} has two finish reasons")
            into.finish = choice["finish_reason"]


def settle_calls(summary, states):
    for index, state in states.items():
        for call in state.values():
            if call["arguments"]:
                try:
                    json.loads(call["arguments"])
                except ValueError:
                    summary.choice(index).calls.append((call["id"], call["name"],
                                                        call["arguments"]))
                    continue
            summary.choice(index).calls.append((call["id"], call["name"],
                                                parse_arguments(call["arguments"])))


def read_client(body, streaming):
    """Summary of what a client got. Malformed if it cannot be read."""
    summary, states = Summary(usage={}), {}
    if not streaming:
        document = json.loads(body)
        if document.get("object") != "chat.completion":
            raise Malformed(f"object is {document.get('object')!r}, expected chat.completion")
        add_document(summary, states, document, "message")
        settle_calls(summary, states)
        return summary
    summary.done = False
    for _, data in sse_frames(body):
        if summary.done or summary.error:
            raise Malformed(f"the stream goes on after its end: {data[:80]}")
        if data == "[DONE]":
            summary.done = True
            continue
        document = json.loads(data)
        if document.get("error"):
            error = document["error"]
            summary.error = ErrorSummary((), error.get("message"))
            continue
        if document.get("object") != "chat.completion.chunk":
            raise Malformed(f"object is {document.get('object')!r}, expected chat.completion.chunk")
        add_document(summary, states, document, "delta")
    settle_calls(summary, states)
    return summary


# ---- Events, against the rules of the SDK.

def check_events(events, whole_reply):
    """Complaints about a list of events that ended."""
    bad = []
    ends = [i for i, e in enumerate(events) if e["kind"] in ("end", "error")]
    if not events or ends != [len(events) - 1]:
        return [f"END or ERROR must come once, as the last event; kinds: "
                f"{[e['kind'] for e in events][-8:]}"]
    kinds = {}
    for i, event in enumerate(events):
        kind, place = event["kind"], (event.get("choice", 0), event.get("item", 0))
        if kind == "start" and i != 0:
            bad.append(f"START is event {i}, expected the first and only")
        if kind in ("text", "reasoning", "refusal", "arguments") and not event.get("text"):
            bad.append(f"{kind.upper()} event {i} has no text")
        if kind == "call" and not (event.get("id") and event.get("name")):
            bad.append(f"CALL event {i} has no id or no name")
        group = {"text": "text", "reasoning": "reasoning", "refusal": "refusal", "call": "call",
                 "arguments": "call", "media": "media"}.get(kind)
        if kind == "arguments" and kinds.get(place) != "call":
            bad.append(f"ARGUMENTS event {i} belongs to no call")
        if group and kinds.setdefault(place, group) != group:
            bad.append(f"event {i} ({kind}) is of item {place[1]}, which is a {kinds[place]}")
        if kind == "call" and sum(1 for e in events[:i] if e["kind"] == "call" and
                                  (e.get("choice", 0), e.get("item", 0)) == place):
            bad.append(f"CALL event {i} begins item {place[1]} again")
    if events[-1]["kind"] == "end":
        finished = {e.get("choice", 0) for e in events if e["kind"] == "finish"}
        spoke = {e.get("choice", 0) for e in events if e["kind"] in ("text", "reasoning", "call")}
        if not finished >= (spoke or {0}):
            bad.append(f"choices {sorted(spoke or {0})} spoke, only {sorted(finished)} finished")
    seen = [(e["kind"], e.get("choice", 0)) for e in events if e["kind"] == "finish"]
    if len(seen) != len(set(seen)):
        bad.append("a choice has two FINISH events")
    return bad


def usage_total(events):
    """The sum over the units of usage, each as it was told last. What is billed apart from what is
    counted stands beside the count."""
    units = {}
    for event in events:
        if event["kind"] == "usage" and not event.get("name", "").startswith("billed_"):
            units[event.get("name")] = event["number"]
    return sum(units.values()) if units else None


# ---- Comparing.

def short(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 160 else text[:100] + " ... " + text[-50:]


def first_difference(got, want):
    n = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    start = max(0, n - 20)
    return f"from byte {n}: got {short(got[start:start + 80])!r}, " \
           f"expected {short(want[start:start + 80])!r}"


def compare_value(what, got, want, bad):
    if want is None or got == want or isinstance(want, tuple) and got in want:
        return
    if isinstance(got, str) and isinstance(want, str) and len(want) > 60:
        bad.append(f"{what} differs {first_difference(got, want)}")
    else:
        bad.append(f"{what} is {short(got)!r}, expected {short(want)!r}")


def compare_calls(what, got, want, bad):
    if len(got) != len(want):
        bad.append(f"{what}: {len(got)} tool calls, expected {len(want)}: "
                   f"{short([c[:2] for c in got])} against {short([c[:2] for c in want])}")
        return
    for i, (g, w) in enumerate(zip(got, want)):
        compare_value(f"{what} call {i} id", g[0], w[0], bad)
        compare_value(f"{what} call {i} name", g[1], w[1], bad)
        compare_value(f"{what} call {i} arguments", g[2], w[2], bad)


def compare(got, want):
    """Differences of a client's summary from the expected one."""
    bad = []
    if len(got.choices) != len(want.choices):
        bad.append(f"{len(got.choices)} choices, expected {len(want.choices)}")
    for i, (g, w) in enumerate(zip(got.choices, want.choices)):
        what = f"choice {i}"
        for name in ("text", "reasoning", "refusal", "finish"):
            compare_value(f"{what} {name}", getattr(g, name), getattr(w, name), bad)
        if w.proofs is not None:
            compare_value(f"{what} signatures", g.proofs or [], w.proofs, bad)
        if w.images is not None:
            compare_value(f"{what} images", g.images or [], w.images, bad)
        if w.annotations is not None and (g.annotations or 0) < w.annotations:
            bad.append(f"{what}: {g.annotations or 0} annotations, expected {w.annotations}")
        compare_calls(what, g.calls, w.calls, bad)
    if want.usage is not None:
        for name, count in want.usage.items():
            compare_value(f"usage {name}", got.usage.get(name), count, bad)
        if not want.usage and got.usage and got.usage["total"]:
            bad.append(f"usage is {got.usage}, but the upstream counted nothing")
    if want.error and not got.error:
        bad.append("the upstream's error in mid-stream is not told")
    if got.error and not want.error:
        bad.append(f"an error that the upstream did not send: {got.error.message}")
    if want.error and got.error:
        compare_value("error message", got.error.message, want.error.message, bad)
    if got.done == bool(want.error):
        bad.append("[DONE] after an error" if got.done else "the stream lacks its [DONE]")
    return bad


def compare_error(event, want):
    """An ERROR event against what the refusal says."""
    bad = []
    if event["code"] not in want.codes:
        bad.append(f"the error is of class {event['code']}, expected {' or '.join(want.codes)}")
    if want.message is not None and want.message not in event.get("text", ""):
        bad.append(f"the upstream's message was lost: got {short(event.get('text', ''))!r}, "
                   f"expected {short(want.message)!r}")
    right = want.retry_ms if isinstance(want.retry_ms, tuple) else (want.retry_ms,)
    if want.retry_ms is not None and event["number"] not in right:
        bad.append(f"retry after {event['number']} ms, expected {want.retry_ms}")
    return bad


# ---- Values.

def differences(got, want, path="", limit=12):
    """Where two JSON values differ. Numbers are equal by value."""
    if type(got) is not type(want) and not (isinstance(got, (int, float)) and
                                            isinstance(want, (int, float)) and
                                            not isinstance(got, bool) and
                                            not isinstance(want, bool)):
        return [f"{path or 'body'} is {short(got)}, expected {short(want)}"]
    bad: list[Any] = []
    if isinstance(want, dict):
        for key in want:
            if key not in got:
                bad.append(f"{path}.{key} is missing, expected {short(want[key])}")
            else:
                bad += differences(got[key], want[key], f"{path}.{key}")
        for key in got:
            if key not in want:
                bad.append(f"{path}.{key} is {short(got[key])}, expected nothing")
    elif isinstance(want, list):
        if len(got) != len(want):
            bad.append(f"{path} has {len(got)} elements, expected {len(want)}: {short(got)} "
                       f"against {short(want)}")
        for i, (g, w) in enumerate(zip(got, want)):
            bad += differences(g, w, f"{path}[{i}]")
    elif got != want:
        bad.append(f"{path} is {short(got)}, expected {short(want)}")
    return bad[:limit]
