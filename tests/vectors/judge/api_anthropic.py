"""Anthropic's Messages API: recorded exchanges turned into canonical ones and judged. The rules of
a request are in rules_anthropic.py."""
import json
from datetime import datetime

from driver import NOW_MS
from rules_anthropic import check, check_sent  # noqa: F401 (part of the interface)
from streams import event_ends
from summary import (Choice, ErrorSummary, Summary, Unsupported, differences, parse_arguments,
                     sse_frames)

PROVIDER, PLUGIN, APIS, OPTIONS = "anthropic", "anthropic", ("messages",), {}
MODELS = ("claude-sonnet-4-20250514", "claude-sonnet-4-5-20250929", "claude-opus-4-7",
          "claude-3-haiku-20240307")
FORMAT = "chat/anthropic"

ERROR_CODES = {
    "invalid_request_error": ("invalid",), "authentication_error": ("auth",),
    "billing_error": ("quota",), "permission_error": ("forbidden",),
    "not_found_error": ("not_found",), "request_too_large": ("too_long", "invalid"),
    "rate_limit_error": ("rate",), "timeout_error": ("timeout",), "api_error": ("upstream",),
    "overloaded_error": ("overloaded",),
}
FINISH = {"end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop",
          "tool_use": "tool_calls", "max_tokens": "length",
          "model_context_window_exceeded": "length",
          "refusal": "content_filter"}


# ---- A native request as a canonical one.

def with_mark(part, block):
    if block.get("cache_control"):
        part["cache_control"] = block["cache_control"]
    return part


def data_url(source):
    return f"data:{source['media_type']};base64,{source['data']}"


def canonical_part(block):
    """A content block as a part. What OpenAI's format has no word for stays as it stands."""
    kind = block["type"]
    if kind == "text" and not block.get("citations"):
        return with_mark({"type": "text", "text": block["text"]}, block)
    source = block.get("source") if isinstance(block.get("source"), dict) else {}
    if kind == "image" and source.get("type") in ("base64", "url"):
        url = data_url(source) if source["type"] == "base64" else source["url"]
        return with_mark({"type": "image_url", "image_url": {"url": url}}, block)
    plain = not any(block.get(k) for k in ("citations", "context"))
    if kind == "document" and plain and source.get("type") == "base64":
        part = {"file_data": data_url(source)}
        if block.get("title"):
            part["filename"] = block["title"]
        return with_mark({"type": "file", "file": part}, block)
    if kind == "document" and plain and source.get("type") == "url" and not block.get("title"):
        return with_mark({"type": "document_url", "document_url": source["url"]}, block)
    return block


def canonical_content(content):
    if isinstance(content, str):
        return content
    parts = [canonical_part(b) for b in content]
    if len(parts) == 1 and parts[0] == {"type": "text", "text": parts[0].get("text")}:
        return parts[0]["text"]
    return parts


def canonical_result(block):
    message = {"role": "tool", "tool_call_id": block["tool_use_id"]}
    content = block.get("content", "")
    if block.get("is_error"):
        raise Unsupported("a tool result marked as an error")
    if block.get("cache_control"):
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else \
            [canonical_part(b) for b in content]
        parts[-1] = dict(parts[-1], cache_control=block["cache_control"])
        message["content"] = parts
    else:
        message["content"] = canonical_content(content)
    return message


def canonical_user(content):
    """A user's turn: its tool results are messages of their own, before the rest."""
    if isinstance(content, str):
        return [{"role": "user", "content": content}]
    results = [b for b in content if b["type"] == "tool_result"]
    rest = [b for b in content if b["type"] != "tool_result"]
    messages = [canonical_result(b) for b in results]
    if rest:
        messages.append({"role": "user", "content": canonical_content(rest)})
    return messages


def canonical_assistant(content):
    message = {"role": "assistant"}
    if isinstance(content, str):
        return dict(message, content=content)
    details, parts, calls, begun = [], [], [], False
    for block in content:
        kind = block["type"]
        if kind in ("thinking", "redacted_thinking"):
            if begun:
                raise Unsupported("a thought after other content")
            if kind == "thinking":
                details.append({"type": "reasoning.text", "text": block["thinking"],
                                "signature": block["signature"], "format": "anthropic-claude-v1",
                                "index": len(details)})
            else:
                details.append({"type": "reasoning.encrypted", "data": block["data"],
                                "format": "anthropic-claude-v1", "index": len(details)})
            continue
        begun = True
        if kind == "tool_use":
            calls.append({"id": block["id"], "type": "function", "function": {
                "name": block["name"], "arguments": json.dumps(block["input"])}})
            if block.get("cache_control"):
                if block is not content[-1]:
                    raise Unsupported("a cache mark on a call before the last")
                message["cache_control"] = block["cache_control"]
        elif calls:
            raise Unsupported("content after a tool call")
        else:
            parts.append(block)
    if details:
        message["reasoning_details"] = details
        message["reasoning_content"] = "".join(d.get("text", "") for d in details)
    message["content"] = canonical_content(parts) if parts else None
    if calls:
        message["tool_calls"] = calls
    return message


def canonical_tool(tool):
    if tool.get("type", "custom") != "custom":
        return tool
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    for name in ("description", "strict"):
        if name in tool:
            function[name] = tool[name]
    return with_mark({"type": "function", "function": function}, tool)


def canonical_choice(choice, body):
    kind = choice["type"]
    if kind == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    else:
        body["tool_choice"] = {"any": "required"}.get(kind, kind)
    if "disable_parallel_tool_use" in choice:
        body["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]


def canonical_output(config, body):
    unknown = set(config) - {"format", "effort"}
    if unknown:
        raise Unsupported(f"output_config.{unknown.pop()}")
    if config.get("effort"):
        body["reasoning_effort"] = config["effort"]
    if config.get("format"):
        body["response_format"] = {"type": "json_schema", "json_schema": {
            "name": "answer", "strict": True, "schema": config["format"]["schema"]}}


def to_canonical(request, meta):
    body = {"model": request["model"], "messages": [], "max_tokens": request["max_tokens"]}
    system = request.get("system")
    if system:
        body["messages"].append({"role": "system", "content": canonical_content(system)})
    for message in request["messages"]:
        if message["role"] == "user":
            body["messages"] += canonical_user(message["content"])
        else:
            body["messages"].append(canonical_assistant(message["content"]))
    for name in ("temperature", "top_p", "top_k", "thinking", "stream"):
        if name in request:
            body[name] = request[name]
    if "stop_sequences" in request:
        body["stop"] = request["stop_sequences"]
    if request.get("tools"):
        body["tools"] = [canonical_tool(t) for t in request["tools"]]
    if request.get("tool_choice"):
        canonical_choice(request["tool_choice"], body)
    if request.get("output_config"):
        canonical_output(request["output_config"], body)
    if request.get("metadata", {}).get("user_id"):
        body["user"] = request["metadata"]["user_id"]
    if request.get("service_tier"):
        body["service_tier"] = request["service_tier"]
    for name in ("container", "context_management", "mcp_servers", "inference_geo",
                 "cache_control", "speed"):
        if request.get(name):
            raise Unsupported(f"the member {name}")
    return body


def native_request(request, meta):
    return request["model"], bool(request.get("stream"))


# ---- Equal in meaning.

def plain_mark(value):
    mark = {"type": "ephemeral"}
    if value.get("ttl", "5m") != "5m":
        mark["ttl"] = value["ttl"]
    return mark


def plain_block(block):
    block = {k: v for k, v in block.items() if v is not None and k != "caller"}
    if "cache_control" in block:
        block["cache_control"] = plain_mark(block["cache_control"])
    if block["type"] == "tool_result":
        content = plain_content(block.get("content", ""))
        if content and "cache_control" in content[-1]:  # the mark means the same on either
            block["cache_control"] = content[-1].pop("cache_control")
        block["content"] = content
        if not block.get("is_error"):
            block.pop("is_error", None)
    return block


def plain_content(content):
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [plain_block(b) for b in content]


def plain_tool(tool):
    tool = {k: v for k, v in tool.items() if v is not None}
    if tool.get("type") == "custom":
        del tool["type"]
    if "cache_control" in tool:
        tool["cache_control"] = plain_mark(tool["cache_control"])
    if tool.get("strict") is False:
        del tool["strict"]
    return tool


def plain_request(body):
    """One spelling for what may be spelled in several ways; defaults left out."""
    body = {k: v for k, v in body.items() if v is not None}
    if "system" in body:
        body["system"] = plain_content(body["system"])
    messages = []
    for message in body["messages"]:
        content = plain_content(message["content"])
        if messages and messages[-1]["role"] == message["role"]:
            messages[-1]["content"] += content
        else:
            messages.append({"role": message["role"], "content": content})
    body["messages"] = messages
    if body.get("stream") is False:
        del body["stream"]
    if body.get("tools") == []:
        del body["tools"]
    if "tools" in body:
        body["tools"] = [plain_tool(t) for t in body["tools"]]
    choice = body.get("tool_choice")
    if choice:
        choice = {k: v for k, v in choice.items() if v is not False}
        body["tool_choice"] = choice
        if choice == {"type": "auto"}:
            del body["tool_choice"]
    if body.get("thinking") == {"type": "disabled"}:
        del body["thinking"]
    return body


def same(sent, native, meta):
    native = dict(native)
    if meta.get("streaming"):
        native["stream"] = True
    return differences(plain_request(sent), plain_request(native))


# ---- What a reply says.

def expected_usage(usage):
    if not usage:
        return {}
    cached = usage.get("cache_read_input_tokens") or 0
    prompt = (usage.get("input_tokens") or 0) + cached + \
        (usage.get("cache_creation_input_tokens") or 0)
    completion = usage.get("output_tokens") or 0
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return {"prompt": prompt, "completion": completion, "total": prompt + completion,
            "cached": cached, "reasoning": thought}


def expected_of(blocks, stop_reason, usage, details=None):
    choice = Choice(proofs=[], annotations=0)
    if stop_reason == "refusal":  # the API's words on it are what the client is told
        choice.refusal = (details or {}).get("explanation") or ""
    for block in blocks:
        kind = block["type"]
        if kind == "text":
            choice.text += block["text"]
            choice.annotations += len(block.get("citations") or [])
        elif kind == "thinking":
            choice.reasoning += block["thinking"]
            if block.get("signature"):
                choice.proofs.append(block["signature"])
        elif kind == "redacted_thinking":
            choice.proofs.append(block["data"])
        elif kind == "tool_use":
            value = block["input"]
            choice.calls.append((block["id"], block["name"],
                                 parse_arguments(value) if isinstance(value, str) else value))
    choice.finish = FINISH[stop_reason] if stop_reason else None
    return Summary([choice], expected_usage(usage), None, None)


def retry_of(headers):
    """Retry-After, else when the limit that is used up begins anew. The driver's clock stands."""
    headers = {k.lower(): v for k, v in headers.items()}
    if "retry-after" in headers:
        return int(headers["retry-after"]) * 1000
    for limit in ("requests", "tokens", "input-tokens", "output-tokens"):
        name = f"anthropic-ratelimit-{limit}"
        if headers.get(f"{name}-remaining") == "0" and f"{name}-reset" in headers:
            reset = datetime.fromisoformat(headers[f"{name}-reset"])
            return round(reset.timestamp() * 1000) - NOW_MS
    return -1


def error_of(error, status, headers):
    kind = error.get("type", "api_error")
    codes = ERROR_CODES.get(kind, ("upstream",))
    message = error.get("message", "")
    if "prompt is too long" in message or "context window" in message:
        codes = ("too_long",)
    elif "credit balance is too low" in message:
        codes = ("quota",)
    return ErrorSummary(codes, message, retry_of(headers or {}), status)


def gather(reply):
    """(message of a stream with its blocks, error or None)."""
    message, blocks, error = {}, [], None
    for _, data in sse_frames(reply):
        event = json.loads(data)
        kind = event["type"]
        if kind == "message_start":
            message = event["message"]
        elif kind == "content_block_start":
            block = dict(event["content_block"])
            if isinstance(block.get("input"), dict):
                block["input"] = json.dumps(block["input"]) if block["input"] else ""
            blocks.append(block)
        elif kind == "content_block_delta":
            add_delta(blocks[event["index"]], event["delta"])
        elif kind == "message_delta":
            message.update({k: v for k, v in event["delta"].items() if v is not None})
            message["usage"] = dict(message.get("usage") or {},
                                    **{k: v for k, v in event["usage"].items() if v is not None})
        elif kind == "error":
            error = event["error"]
    message["content"] = blocks
    return message, error


def add_delta(block, delta):
    kind = delta["type"]
    if kind == "text_delta":
        block["text"] += delta["text"]
    elif kind == "thinking_delta":
        block["thinking"] += delta["thinking"]
    elif kind == "signature_delta":
        block["signature"] = block.get("signature", "") + delta["signature"]
    elif kind == "input_json_delta":
        block["input"] += delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = (block.get("citations") or []) + [delta["citation"]]


def expect(reply, meta):
    if meta.get("streaming"):
        message, error = gather(reply)
        summary = expected_of(message["content"], message.get("stop_reason"),
                              message.get("usage"), message.get("stop_details"))
        if error:
            summary.error = error_of(error, None, {})
            summary.usage = None
        return summary
    document = json.loads(reply)
    if document.get("type") == "error" or (meta.get("status") or 200) >= 400:
        return error_of(document["error"], meta.get("status"), meta.get("response_headers"))
    return expected_of(document["content"], document["stop_reason"], document.get("usage"),
                       document.get("stop_details"))


# ---- Streams.

def boundaries(reply, meta):
    return event_ends(reply)


def may_end(prefix, meta):
    return any(json.loads(data)["type"] == "message_stop" for _, data in sse_frames(prefix))


def whole_of(reply, meta):
    message, _ = gather(reply)
    for block in message["content"]:
        if isinstance(block.get("input"), str):
            block["input"] = json.loads(block["input"] or "{}")
    return json.dumps(message).encode()


def relayed(got, reply, meta):
    """Complaints about the client's bytes of a relayed reply: the frames of a stream one after the
    other, each the data of an event, whose name is its type."""
    if not meta.get("streaming"):
        return [f"relayed {d}" for d in differences(json.loads(got), json.loads(reply))]
    text, at, frames = got.decode(), 0, []
    while at < len(text):
        frame, at = json.JSONDecoder().raw_decode(text, at)
        frames.append(frame)
        at += len(text[at:]) - len(text[at:].lstrip())
    got = [f for f in frames if f["type"] != "ping"]
    want = [(n, json.loads(d)) for n, d in sse_frames(reply) if json.loads(d)["type"] != "ping"]
    if len(got) != len(want):
        return [f"{len(got)} events were relayed, expected {len(want)}"]
    bad = [f"event {i} ({w[0]}) differs: {differences(g, w[1])[:2]}"
           for i, (g, w) in enumerate(zip(got, want)) if g != w[1]]
    bad += [f"event {i} is named {n!r}, and its type is {w['type']!r}"
            for i, (n, w) in enumerate(want) if n != w["type"]]
    return bad[:4]
