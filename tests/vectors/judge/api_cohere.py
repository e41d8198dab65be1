"""Cohere's chat, version 2: recorded exchanges turned into canonical ones and judged. The rules of
a request are in rules_cohere.py."""
import json

from rules_cohere import check, check_sent  # noqa: F401 (part of the interface)
from streams import error_by_status, event_ends
from summary import (Choice, ErrorSummary, Summary, Unsupported, differences, parse_arguments,
                     sse_frames)

PROVIDER, PLUGIN, APIS, OPTIONS = "cohere", "cohere", ("chat.v2",), {}
MODELS = ("command-a-03-2025", "command-a-reasoning-08-2025")
FORMAT = None
FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length",
          "TOOL_CALL": "tool_calls"}


# ---- A native request as a canonical one.

def canonical_content(content):
    """Text and images are the same words; documents stay as they stand."""
    if isinstance(content, list) and len(content) == 1 and content[0].get("type") == "text":
        return content[0]["text"]
    return content


def canonical_assistant(message):
    out = {"role": "assistant", "content": None}
    content = message.get("content")
    if isinstance(content, list):
        thought = [b["thinking"] for b in content if b["type"] == "thinking"]
        rest = [b for b in content if b["type"] != "thinking"]
        if thought:
            out["reasoning_content"] = "".join(thought)
        if rest:
            out["content"] = canonical_content(rest)
    elif content:
        out["content"] = content
    if message.get("tool_plan"):
        if "reasoning_content" in out:
            raise Unsupported("a thought and a tool plan in one message")
        out["reasoning_content"] = message["tool_plan"]
    if message.get("tool_calls"):
        out["tool_calls"] = message["tool_calls"]
    return out


def canonical_message(message):
    if message["role"] == "assistant":
        return canonical_assistant(message)
    return dict(message, content=canonical_content(message["content"]))


def canonical_format(value):
    schema = value.get("schema") or value.get("json_schema")
    if value["type"] == "json_object" and schema:
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return value


def canonical_thinking(value):
    if value["type"] == "disabled":
        return {"type": "disabled"}
    if "token_budget" in value:
        return {"type": "enabled", "budget_tokens": value["token_budget"]}
    return {"type": "adaptive"}


def to_canonical(request, meta):
    body = {"model": request["model"],
            "messages": [canonical_message(m) for m in request["messages"]]}
    names = {"temperature": "temperature", "p": "top_p", "k": "top_k", "seed": "seed",
             "max_tokens": "max_tokens", "stop_sequences": "stop", "logprobs": "logprobs",
             "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty",
             "tools": "tools", "documents": "documents", "safety_mode": "safety_mode",
             "citation_options": "citation_options", "priority": "priority",
             "strict_tools": "strict_tools"}
    for key, value in request.items():
        if key in names:
            body[names[key]] = value
        elif key == "tool_choice":
            body["tool_choice"] = value.lower()
        elif key == "response_format":
            body["response_format"] = canonical_format(value)
        elif key == "thinking":
            body["thinking"] = canonical_thinking(value)
        elif key not in ("model", "messages", "stream"):
            raise Unsupported(f"the member {key}")
    return body


def native_request(request, meta):
    return request["model"], bool(request.get("stream"))


# ---- Equal in meaning.

def plain_message(message):
    message = {k: v for k, v in message.items() if v not in (None, [], "")}
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    thought = "".join(b["thinking"] for b in content or [] if b["type"] == "thinking")
    content = [b for b in content or [] if b["type"] != "thinking" and
               (b["type"] != "text" or b["text"] or not message.get("tool_calls"))]
    for block in content:
        if block["type"] == "document" and isinstance(block["document"].get("data"), str):
            block["document"]["data"] = json.loads(block["document"]["data"])
    message["content"] = content
    thought = message.pop("tool_plan", "") or thought
    if thought:  # a plan and a thought are told as one and the same
        message["thought"] = thought
    for call in message.get("tool_calls") or []:
        call["function"]["arguments"] = parse_arguments(call["function"]["arguments"])
    return message


def plain_request(body):
    body = json.loads(json.dumps(body))
    body["messages"] = [plain_message(m) for m in body["messages"]]
    if body.get("stream") is False:
        del body["stream"]
    form = body.get("response_format") or {}
    if "json_schema" in form:
        form["schema"] = form.pop("json_schema")
    return body


def same(sent, native, meta):
    native = dict(native, stream=bool(meta.get("streaming")))
    return differences(plain_request(sent), plain_request(native))


# ---- The reply.

def expected_usage(usage):
    tokens = (usage or {}).get("tokens") or (usage or {}).get("billed_units")
    if not tokens:
        return {}
    prompt, completion = tokens.get("input_tokens", 0), tokens.get("output_tokens", 0)
    out = {"prompt": prompt, "completion": completion, "total": prompt + completion,
           "cached": usage.get("cached_tokens", 0), "reasoning": tokens.get("reasoning_tokens", 0)}
    image = tokens.get("image_tokens", 0)
    if image:  # some models count images among the input, some beside it
        out["prompt"] = (prompt, prompt + image)
        out["total"] = (prompt + completion, prompt + image + completion)
    return out


def expected_of(document):
    message, choice = document.get("message") or {}, Choice()
    for block in message.get("content") or []:
        if block["type"] == "thinking":
            choice.reasoning += block["thinking"]
        else:
            choice.text += block["text"]
    choice.reasoning += message.get("tool_plan") or ""
    for call in message.get("tool_calls") or []:
        choice.calls.append((call["id"], call["function"]["name"],
                             parse_arguments(call["function"]["arguments"])))
    choice.annotations = len(message.get("citations") or [])
    summary = Summary([choice], expected_usage(document.get("usage")))
    reason = document["finish_reason"]
    if reason in FINISH:
        choice.finish = FINISH[reason]
    else:
        codes = ("timeout",) if reason == "TIMEOUT" else ("invalid", "upstream")
        summary.error = ErrorSummary(codes, document.get("error"))
        summary.usage = None
    return summary


def gather(reply):
    """The document that a stream amounts to."""
    message = {"content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    document, blocks = {"message": message}, {}
    for _, data in sse_frames(reply):
        if data == "[DONE]":
            continue
        event = json.loads(data)
        delta = event.get("delta") or {}
        inner = delta.get("message") or {}
        kind = event["type"]
        if kind == "message-start":
            document["id"] = event.get("id")
        elif kind == "content-start":
            blocks[event["index"]] = dict(inner["content"])
            message["content"].append(blocks[event["index"]])
        elif kind == "content-delta":
            for key, text in inner["content"].items():
                blocks[event["index"]][key] = blocks[event["index"]].get(key, "") + text
        elif kind == "tool-plan-delta":
            message["tool_plan"] += inner["tool_plan"]
        elif kind == "tool-call-start":
            message["tool_calls"].append(inner["tool_calls"])
        elif kind == "tool-call-delta":
            message["tool_calls"][-1]["function"]["arguments"] += \
                inner["tool_calls"]["function"]["arguments"]
        elif kind == "citation-start":
            message["citations"].append(inner["citations"])
        elif kind == "message-end":
            document.update(delta)
    return document


def expect(reply, meta):
    if meta.get("streaming"):
        return expected_of(gather(reply))
    document = json.loads(reply)
    if (meta.get("status") or 200) >= 400:
        return error_by_status(document["message"], meta)
    return expected_of(document)


# ---- Streams.

def boundaries(reply, meta):
    return event_ends(reply)


def may_end(prefix, meta):
    return any(data != "[DONE]" and json.loads(data)["type"] == "message-end"
               for _, data in sse_frames(prefix))


def whole_of(reply, meta):
    document = gather(reply)
    message = document["message"]
    document["message"] = {k: v for k, v in message.items() if v}
    document["message"]["role"] = "assistant"
    return json.dumps(document).encode()


def relayed(got, reply, meta):
    return []
