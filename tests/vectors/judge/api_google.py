"""Google's generateContent and streamGenerateContent: recorded exchanges turned into canonical ones
and judged. The rules of a request are in rules_google.py; the way back in canonical_google.py."""
import json
import re

from canonical_google import to_canonical  # noqa: F401 (part of the interface)
from rules_google import check, check_sent, plain  # noqa: F401
from same_google import same  # noqa: F401
from streams import event_ends
from summary import Choice, ErrorSummary, Summary, differences, sse_frames

PROVIDER, PLUGIN, APIS, OPTIONS = "google", "google", ("generateContent",), {}
MODELS = ("gemini-2.5-flash", "gemini-3-pro-preview")
FORMAT = None

WORDS = ("stop", "length", "tool_calls", "content_filter")
FILTERED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR")
ERROR_CODES = {
    "INVALID_ARGUMENT": ("invalid",), "FAILED_PRECONDITION": ("invalid", "forbidden"),
    "OUT_OF_RANGE": ("invalid",), "UNAUTHENTICATED": ("auth",), "PERMISSION_DENIED": ("forbidden",),
    "NOT_FOUND": ("not_found",), "RESOURCE_EXHAUSTED": ("rate", "quota"), "INTERNAL": ("upstream",),
    "UNAVAILABLE": ("overloaded",), "DEADLINE_EXCEEDED": ("timeout",),
    "CANCELLED": ("timeout", "upstream"), "UNIMPLEMENTED": ("invalid", "upstream"),
}


def native_request(request, meta):
    return meta["model"], bool(meta.get("streaming"))


# ---- The reply.

def documents(reply, meta):
    """The documents of a reply: of an SSE stream, of a JSON array, or the one there is."""
    if not meta.get("streaming"):
        document = json.loads(reply)
        return document if isinstance(document, list) else [document]
    if reply.lstrip()[:1] == b"[":
        return json.loads(reply)
    return [json.loads(data) for _, data in sse_frames(reply.rstrip() + b"\n\n\n")]


def error_of(error, meta):
    message = error.get("message", "")
    codes = ERROR_CODES.get(error.get("status"), ("invalid", "upstream"))
    if "API key not valid" in message or "API Key not found" in message:
        codes = ("auth",)
    elif "exceeds the maximum number of tokens" in message:
        codes = ("too_long",)
    retry = -1
    for detail in error.get("details") or []:
        if detail.get("@type", "").endswith("RetryInfo"):
            retry = round(float(detail["retryDelay"].rstrip("s")) * 1000)
    told = re.search(r"retry in ([\d.]+)s", message)
    if told:  # the message says it more exactly
        retry = (retry, int(float(told[1]) * 1000), round(float(told[1]) * 1000))
    return ErrorSummary(codes, message, retry, meta.get("status"))


def expected_usage(usage):
    if not usage or not any(k.endswith("TokenCount") for k in usage):
        return {}
    prompt = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
    thought = usage.get("thoughtsTokenCount", 0)
    completion = usage.get("candidatesTokenCount", 0) + thought
    return {"prompt": prompt, "completion": completion,
            "total": usage.get("totalTokenCount", prompt + completion),
            "cached": usage.get("cachedContentTokenCount", 0), "reasoning": thought}


def add_part(choice, part):
    if part.get("thoughtSignature") and not ("executableCode" in part or
                                             "codeExecutionResult" in part):
        choice.proofs.append(part["thoughtSignature"])
    if "text" in part:
        if part.get("thought"):
            choice.reasoning += part["text"]
        else:
            choice.text += part["text"]
    elif "functionCall" in part:
        call = part["functionCall"]
        choice.calls.append((call.get("id"), call["name"], call.get("args") or {}))
    elif part.get("inlineData", {}).get("mimeType", "").startswith("image/") and \
            not part.get("thought"):
        choice.images.append(part["inlineData"]["mimeType"])


def finish_of(reason, choice):
    if choice.calls:
        return "tool_calls" if reason == "STOP" else WORDS
    if reason in FILTERED:
        return "content_filter"
    return {"STOP": "stop", "MAX_TOKENS": "length"}.get(reason, WORDS)


def expect(reply, meta):
    summary, usage, reasons, blocked = Summary(), {}, {}, None
    for document in documents(reply, meta):
        if "error" in document:
            error = error_of(document["error"], meta)
            if not meta.get("streaming"):
                return error
            summary.error = error
            continue
        usage.update(document.get("usageMetadata") or {})
        feedback = document.get("promptFeedback") or {}
        blocked = feedback.get("blockReason") or blocked
        for candidate in document.get("candidates") or []:
            choice = summary.choice(candidate.get("index", 0))
            choice.proofs = choice.proofs if choice.proofs is not None else []
            choice.images = choice.images if choice.images is not None else []
            for part in (candidate.get("content") or {}).get("parts") or []:
                add_part(choice, part)
            if candidate.get("finishReason"):
                reasons[candidate.get("index", 0)] = candidate["finishReason"]
    for index, reason in reasons.items():
        summary.choice(index).finish = finish_of(reason, summary.choice(index))
    summary.usage = expected_usage(usage)
    if blocked and not summary.choices:
        summary.choices = [Choice(finish="content_filter")]
        summary.instead = ErrorSummary(("filter",))
    return summary


# ---- Streams.

def boundaries(reply, meta):
    if reply.lstrip()[:1] == b"[":
        return array_boundaries(reply)
    return event_ends(reply)


def elements(text):
    """(document, where it ends) of each whole element of an array that may be cut."""
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    while True:
        while at < len(text) and text[at] in " \r\n\t,":
            at += 1
        try:
            document, at = decoder.raw_decode(text, at)
        except ValueError:
            return
        yield document, at


def array_boundaries(reply):
    text = reply.decode()
    return [len(text[:at].encode()) for _, at in elements(text)]


def may_end(prefix, meta):
    """A finish reason or a blocked prompt has come: there is no other mark of the end."""
    if prefix.lstrip()[:1] == b"[":
        return any(finished(d) for d, _ in elements(prefix.decode("utf-8", "ignore")))
    return any(finished(json.loads(data)) for data in whole_lines(prefix))


def whole_lines(prefix):
    """Data of the lines that are whole JSON, blank line or not: no API cuts a document there."""
    for line in prefix.split(b"\n"):
        if line.startswith(b"data:"):
            try:
                json.loads(line[5:])
            except ValueError:
                continue
            yield line[5:]


def finished(document):
    if (document.get("promptFeedback") or {}).get("blockReason"):
        return True
    return any(c.get("finishReason") for c in document.get("candidates") or [])


def whole_of(reply, meta):
    """One document with the parts of all, as generateContent would have said it."""
    whole, candidates = {}, {}
    for document in documents(reply, meta):
        for key, value in document.items():
            if key == "usageMetadata":
                whole.setdefault(key, {}).update(value)
            elif key != "candidates":
                whole[key] = value
        for candidate in document.get("candidates") or []:
            into = candidates.setdefault(candidate.get("index", 0), {"content": {"role": "model",
                                                                                 "parts": []}})
            into["content"]["parts"] += (candidate.get("content") or {}).get("parts") or []
            into.update({k: v for k, v in candidate.items() if k != "content"})
    if candidates:
        whole["candidates"] = [candidates[i] for i in sorted(candidates)]
    return json.dumps(whole).encode()


def relayed(got, reply, meta):
    return [f"relayed {d}" for d in differences(documents(got, meta), documents(reply, meta))]
