"""Mistral's chat and fill-in-the-middle: recorded exchanges turned into canonical ones and judged.
The rules of a request are in rules_mistral.py. Of FIM the reply alone is judged: it is chat's."""
import json

from rules_mistral import check, check_sent  # noqa: F401 (part of the interface)
from streams import error_by_status, event_ends
from summary import Choice, ErrorSummary, Summary, differences, parse_arguments, sse_frames

PROVIDER, PLUGIN, APIS, OPTIONS = "mistral", "mistral", ("chat.completions", "fim"), {}
MODELS = ("mistral-large-latest", "magistral-medium-latest")
FORMAT = None
FINISH = {"stop": "stop", "length": "length", "model_length": "length", "tool_calls": "tool_calls"}


# ---- A native request as a canonical one: nearly the same words.

def thought_of(part):
    return "".join(t.get("text", "") for t in part["thinking"])


def canonical_message(message):
    out = {k: v for k, v in message.items() if v is not None}
    content = out.get("content")
    if isinstance(content, list):
        thought = "".join(thought_of(p) for p in content if p["type"] == "thinking")
        if thought and message["role"] == "assistant":
            out["reasoning_content"] = thought
            content = [p for p in content if p["type"] != "thinking"]
        if len(content) == 1 and content[0]["type"] == "text":
            content = content[0]["text"]
        out["content"] = content
    for call in out.get("tool_calls") or []:
        call.pop("index", None)
        call["type"] = "function"
    if message["role"] == "assistant" and not out.get("prefix"):
        out.pop("prefix", None)
    return out


def to_canonical(request, meta):
    body = json.loads(json.dumps(request))
    body["messages"] = [canonical_message(m) for m in body["messages"]]
    for tool in body.get("tools") or []:
        tool.setdefault("type", "function")
    if "random_seed" in body:
        body["seed"] = body.pop("random_seed")
    if body.get("tool_choice") == "any":
        body["tool_choice"] = "required"
    return {k: v for k, v in body.items() if v is not None}


def native_request(request, meta):
    return request["model"], bool(request.get("stream"))


# ---- Equal in meaning.

def plain_part(part):
    part = {k: v for k, v in part.items() if v is not None and k != "closed"}
    if isinstance(part.get("image_url"), str):
        part["image_url"] = {"url": part["image_url"]}
    if part.get("type") == "thinking":
        part["thinking"] = thought_of(part)
    if isinstance(part.get("input_audio"), dict):
        part["input_audio"] = part["input_audio"]["data"]
    return part


def plain_message(message):
    message = {k: v for k, v in message.items() if v not in (None, [], "") and k != "name"}
    content = message.get("content", [])
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    message["content"] = [plain_part(p) for p in content]
    if not message.get("prefix"):
        message.pop("prefix", None)
    calls = [{"id": c["id"], "name": c["function"]["name"],
              "arguments": parse_arguments(c["function"]["arguments"])}
             for c in message.get("tool_calls", [])]
    if calls:
        message["tool_calls"] = calls
    return message


def plain_request(body):
    body = {k: v for k, v in body.items() if v is not None}
    body["messages"] = [plain_message(m) for m in body["messages"]]
    for name, value in (("stream", False), ("n", 1), ("safe_prompt", False),
                        ("tool_choice", "auto"), ("parallel_tool_calls", True)):
        if body.get(name) == value:
            del body[name]
    if body.get("tool_choice") == "required":
        body["tool_choice"] = "any"
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    for tool in body.get("tools", []):
        tool["function"] = {k: v for k, v in tool["function"].items() if v not in (None, "")}
        tool.setdefault("type", "function")
    return body


def same(sent, native, meta):
    native = json.loads(json.dumps(native))
    native["stream"] = bool(meta.get("streaming"))
    return differences(plain_request(sent), plain_request(native))


# ---- The reply.

def expected_usage(usage):
    if not usage:
        return {}
    completion, total = usage["completion_tokens"], usage["total_tokens"]
    details = usage.get("prompt_tokens_details") or {}
    cached, old = details.get("cached_tokens"), usage.get("num_cached_tokens")
    # Sound is in the total, but not in prompt_tokens; a relayed reply says it as the upstream does.
    return {"prompt": (total - completion, usage["prompt_tokens"]), "completion": completion,
            "total": total, "cached": (cached or 0) if old is None else (old, cached or 0)}


def add_content(choice, content):
    if isinstance(content, str):
        choice.text += content
        return
    for part in content or []:
        if part["type"] == "thinking":
            choice.reasoning += thought_of(part)
        elif part["type"] == "text":
            choice.text += part["text"]


def add_document(summary, document, member):
    if document.get("usage"):
        summary.usage = expected_usage(document["usage"])
    for item in document["choices"]:
        choice, message = summary.choice(item["index"]), item[member]
        add_content(choice, message.get("content"))
        for call in message.get("tool_calls") or []:
            choice.calls.append((call["id"], call["function"]["name"],
                                 parse_arguments(call["function"]["arguments"])))
        if item.get("finish_reason") == "error":
            summary.error = ErrorSummary(("upstream",))
        elif item.get("finish_reason"):
            choice.finish = FINISH[item["finish_reason"]]


def message_of(document):
    """The words of a refusal, which comes in several shapes."""
    found = document.get("message", document.get("detail"))
    if isinstance(found, dict):
        found = found.get("detail", found)
    if isinstance(found, list):
        return found[0]["msg"]
    return found if isinstance(found, str) else None


def expect(reply, meta):
    summary = Summary(usage={})
    if meta.get("streaming"):
        for _, data in sse_frames(reply):
            if data != "[DONE]":
                add_document(summary, json.loads(data), "delta")
        return summary
    document = json.loads(reply)
    if (meta.get("status") or 200) >= 400:
        message = message_of(document)
        full = ("rate", "overloaded") if message and "capacity" in message else None
        return error_by_status(message, meta, full)
    add_document(summary, document, "message")
    return summary


def boundaries(reply, meta):
    return event_ends(reply)


def may_end(prefix, meta):
    """Finished choices are an end where [DONE] does not come."""
    for _, data in sse_frames(prefix):
        if data == "[DONE]" or all(c.get("finish_reason") for c in json.loads(data)["choices"]):
            return True
    return False


def whole_of(reply, meta):
    return None


def relayed(got, reply, meta):
    return []
