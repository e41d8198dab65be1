"""Replies made by hand from the references of the APIs, for what no recording shows: made.json.
Each says provider and name, and either body (a whole reply, or a refusal with its status and
headers) or frames (a stream: documents, or the text itself; for bedrock [event, payload], with "!"
before the name of an exception). gap: the line end of a stream; names: false: no event names."""
import json
from dataclasses import dataclass
from pathlib import Path

import eventstream

MADE = Path(__file__).resolve().parent / "made.json"


@dataclass
class Name:
    name: str


def frame_of(provider, frame, gap, names):
    if provider == "bedrock":
        kind, payload = frame[0], json.dumps(frame[1]).encode()
        if kind.startswith("!"):
            return eventstream.exception(kind[1:], payload)
        return eventstream.event(kind, payload)
    text = frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=False)
    name = ""
    if names and isinstance(frame, dict) and isinstance(frame.get("type"), str):
        name = f"event: {frame['type']}{gap}"
    return f"{name}data: {text}{gap}{gap}".encode()


def made_replies(api, recording_class):
    """Recordings without a request."""
    for case in json.loads(MADE.read_text()):
        if case["provider"] != api.PROVIDER:
            continue
        streaming = "frames" in case
        if streaming:
            reply = b"".join(frame_of(api.PROVIDER, f, case.get("gap", "\n"),
                                      case.get("names", True)) for f in case["frames"])
        else:
            reply = json.dumps(case["body"], ensure_ascii=False).encode()
        kind = "application/json"
        if streaming:
            kind = "application/vnd.amazon.eventstream" if api.PROVIDER == "bedrock" else \
                "text/event-stream"
        meta = {"provider": api.PROVIDER, "api": api.APIS[0], "model": None,
                "status": case.get("status", 200), "streaming": streaming,
                "response_content_type": kind, "response_headers": case.get("headers", {}),
                "response_file": "made"}
        yield recording_class(Name(f"made by hand: {case['name']}"), meta, None, reply)
