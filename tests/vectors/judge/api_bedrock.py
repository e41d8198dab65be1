"""Bedrock's Converse and ConverseStream: recorded exchanges turned into canonical ones and judged.
The rules of a request are in rules_bedrock.py; the framing of streams in eventstream.py."""
import base64
import json

from eventstream import messages
from rules_bedrock import check, check_sent  # noqa: F401 (part of the interface)
from streams import error_by_status
from summary import Choice, ErrorSummary, Summary, Unsupported, differences, parse_arguments

PROVIDER, PLUGIN, APIS = "bedrock", "bedrock", ("converse",)
OPTIONS = {"region": "us-east-1"}
MODELS = ("anthropic.claude-sonnet-4-20250514-v1:0", "us.amazon.nova-pro-v1:0",
          "meta.llama3-1-70b-instruct-v1:0")
FORMAT = None
WORDS = ("stop", "length", "tool_calls", "content_filter")
FINISH = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls",
          "max_tokens": "length", "model_context_window_exceeded": "length",
          "guardrail_intervened": "content_filter", "content_filtered": "content_filter"}
EXCEPTIONS = {"throttlingException": ("rate",), "validationException": ("invalid",),
              "modelTimeoutException": ("timeout",), "serviceUnavailableException": ("overloaded",),
              "internalServerException": ("upstream",),
              "modelStreamErrorException": ("upstream",), "accessDeniedException": ("forbidden",)}
MARK = {"type": "ephemeral"}
MIME = {"pdf": "application/pdf", "csv": "text/csv", "html": "text/html", "txt": "text/plain",
        "md": "text/markdown", "doc": "application/msword", "xls": "application/vnd.ms-excel",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


# ---- Sealed thoughts: a blob in this API; what Claude seals is text, the same on every platform.

def is_claude(meta):
    return any(word in (meta.get("model") or "") for word in ("anthropic", "claude"))


def sealed(blob, meta):
    """(format, data) of a sealed thought in canonical form."""
    try:
        text = base64.b64decode(blob, validate=True).decode("ascii")
    except ValueError:
        text = ""
    if is_claude(meta) and text and text.isprintable():
        return "anthropic-claude-v1", text
    return "bedrock", blob


# ---- A native request as a canonical one.

def canonical_part(block):
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    if "json" in block:
        return {"type": "text", "text": json.dumps(block["json"])}
    if "image" in block and "bytes" in block["image"]["source"]:
        image = block["image"]
        url = f"data:image/{image['format']};base64,{image['source']['bytes']}"
        return {"type": "image_url", "image_url": {"url": url}}
    if "document" in block and "bytes" in block["document"]["source"]:
        document = block["document"]
        return {"type": "file", "file": {
            "filename": f"{document['name']}.{document['format']}",
            "file_data": f"data:{MIME[document['format']]};base64,{document['source']['bytes']}"}}
    raise Unsupported(f"a block of type {', '.join(block)}")


def canonical_parts(blocks):
    """Parts; a cache point marks the part before it."""
    parts = []
    for block in blocks:
        if "cachePoint" in block:
            if not parts:
                raise Unsupported("a cache point before everything else")
            parts[-1]["cache_control"] = MARK
        else:
            parts.append(canonical_part(block))
    if len(parts) == 1 and set(parts[0]) == {"type", "text"}:
        return parts[0]["text"]
    return parts


def canonical_user(blocks):
    out, rest = [], []
    for block in blocks:
        if "toolResult" in block:
            result = block["toolResult"]
            if result.get("status") == "error":
                raise Unsupported("a tool result marked as an error")
            out.append({"role": "tool", "tool_call_id": result["toolUseId"],
                        "content": canonical_parts(result["content"])})
        else:
            rest.append(block)
    if rest:
        out.append({"role": "user", "content": canonical_parts(rest)})
    return out


def canonical_assistant(blocks, meta):
    message, parts, calls, details = {"role": "assistant", "content": None}, [], [], []
    for block in blocks:
        if "reasoningContent" in block:
            value = block["reasoningContent"]
            if "reasoningText" in value:
                inner = value["reasoningText"]
                detail = {"type": "reasoning.text", "text": inner["text"], "format":
                          "anthropic-claude-v1" if is_claude(meta) else "bedrock"}
                if inner.get("signature"):
                    detail["signature"] = inner["signature"]
            else:
                form, data = sealed(value["redactedContent"], meta)
                detail = {"type": "reasoning.encrypted", "data": data, "format": form}
            details.append(dict(detail, index=len(details)))
        elif "toolUse" in block:
            use = block["toolUse"]
            calls.append({"id": use["toolUseId"], "type": "function", "function": {
                "name": use["name"], "arguments": json.dumps(use["input"])}})
        elif calls and "cachePoint" not in block:
            raise Unsupported("content after a tool call")
        else:
            parts.append(block)
    if parts:
        message["content"] = canonical_parts(parts)
    if calls:
        message["tool_calls"] = calls
    if details:
        message["reasoning_details"] = details
    return message


def canonical_tools(config, body):
    body["tools"] = []
    for tool in config["tools"]:
        if "cachePoint" in tool:
            body["tools"][-1]["cache_control"] = MARK
            continue
        spec = tool["toolSpec"]
        function = {"name": spec["name"], "parameters": spec["inputSchema"]["json"]}
        function.update({k: spec[k] for k in ("description", "strict") if k in spec})
        body["tools"].append({"type": "function", "function": function})
    choice = config.get("toolChoice")
    if choice:
        kind = next(iter(choice))
        body["tool_choice"] = {"auto": "auto", "any": "required"}.get(kind) or {
            "type": "function", "function": {"name": choice["tool"]["name"]}}


def to_canonical(request, meta):
    body = {"model": meta.get("model") or "some-model", "messages": []}
    if request.get("system"):
        body["messages"].append({"role": "system",
                                 "content": canonical_parts(request["system"])})
    for message in request["messages"]:
        if message["role"] == "user":
            body["messages"] += canonical_user(message["content"])
        else:
            body["messages"].append(canonical_assistant(message["content"], meta))
    names = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p",
             "stopSequences": "stop"}
    for key, value in (request.get("inferenceConfig") or {}).items():
        if value != []:
            body[names[key]] = value
    if request.get("toolConfig"):
        canonical_tools(request["toolConfig"], body)
    form = (request.get("outputConfig") or {}).get("textFormat")
    if form:
        inner = dict(form["structure"]["jsonSchema"])
        inner["schema"] = json.loads(inner["schema"])
        body["response_format"] = {"type": "json_schema", "json_schema": inner}
    for key, value in (request.get("additionalModelRequestFields") or {}).items():
        body[key] = value
    for key in request:
        if key not in ("messages", "system", "inferenceConfig", "toolConfig", "outputConfig",
                       "additionalModelRequestFields"):
            raise Unsupported(f"the member {key}")
    return body


def native_request(request, meta):
    return meta["model"], bool(meta.get("streaming"))


# ---- Equal in meaning.

def plain_block(block):
    block = json.loads(json.dumps(block))
    if "toolResult" in block:
        block["toolResult"].pop("status", None)
        for inner in block["toolResult"]["content"]:
            if "text" in inner:  # an object may be told as JSON or as its text
                inner["text"] = parse_arguments(inner["text"])
            elif "json" in inner:
                inner["text"] = inner.pop("json")
    return block


def plain_request(body):
    out = {k: v for k, v in body.items() if v not in (None, [], {})}
    out["messages"] = [{"role": m["role"], "content": [plain_block(b) for b in m["content"]]}
                       for m in body["messages"]]
    config = {k: v for k, v in (body.get("inferenceConfig") or {}).items() if v != []}
    out.pop("inferenceConfig", None)
    if config:
        out["inferenceConfig"] = config
    tools = dict(body.get("toolConfig") or {})
    if tools.get("toolChoice") == {"auto": {}}:
        del tools["toolChoice"]
    if tools:
        out["toolConfig"] = tools
    form = (body.get("outputConfig") or {}).get("textFormat")
    if form:
        inner = dict(form["structure"]["jsonSchema"])
        inner["schema"] = json.loads(inner["schema"])
        out["outputConfig"] = inner
    return out


def same(sent, native, meta):
    return differences(plain_request(sent), plain_request(native))


# ---- The reply.

def expected_usage(usage):
    if not usage:
        return {}
    cached = usage.get("cacheReadInputTokens") or 0
    prompt = usage["inputTokens"] + cached + (usage.get("cacheWriteInputTokens") or 0)
    completion = usage["outputTokens"]
    return {"prompt": prompt, "completion": completion,
            "total": (prompt + completion, usage["totalTokens"]), "cached": cached}


def expected_of(blocks, reason, usage, meta):
    choice = Choice(proofs=[])
    for block in blocks:
        if "text" in block:
            choice.text += block["text"]
        elif "toolUse" in block:
            use = block["toolUse"]
            choice.calls.append((use["toolUseId"], use["name"], use["input"]))
        elif "reasoningContent" in block:
            value = block["reasoningContent"]
            inner = value.get("reasoningText") or {}
            choice.reasoning += inner.get("text", "")
            proof = inner.get("signature") or (
                "redactedContent" in value and sealed(value["redactedContent"], meta)[1])
            if proof:
                choice.proofs.append(proof)
    choice.finish = FINISH.get(reason, WORDS)
    return Summary([choice], expected_usage(usage))


def add_delta(blocks, event):
    delta = event["delta"]
    block = blocks.setdefault(event["contentBlockIndex"], {})
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        value = block.setdefault("reasoningContent", {})
        for key, text in delta["reasoningContent"].items():
            if key == "redactedContent":
                value[key] = value.get(key, "") + text
            else:
                inner = value.setdefault("reasoningText", {})
                inner[key] = inner.get(key, "") + text


def gather(reply):
    blocks, out = {}, {"error": None, "usage": None, "stopReason": None}
    for headers, payload, _ in messages(reply):
        event = json.loads(payload)
        if headers[":message-type"] == "exception":
            kind = headers[":exception-type"]
            out["error"] = ErrorSummary(EXCEPTIONS.get(kind, ("upstream",)), event.get("message"))
            continue
        kind = headers[":event-type"]
        if kind == "contentBlockStart" and "toolUse" in (event.get("start") or {}):
            blocks[event["contentBlockIndex"]] = {"toolUse": dict(event["start"]["toolUse"],
                                                                  input="")}
        elif kind == "contentBlockDelta":
            add_delta(blocks, event)
        elif kind == "messageStop":
            out["stopReason"] = event["stopReason"]
        elif kind == "metadata":
            out["usage"] = event["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = parse_arguments(block["toolUse"]["input"])
    out["content"] = [blocks[i] for i in sorted(blocks)]
    return out


def expect(reply, meta):
    if meta.get("streaming"):
        found = gather(reply)
        summary = expected_of(found["content"], found["stopReason"], found["usage"], meta)
        if found["error"]:
            summary.error, summary.usage = found["error"], None
            summary.choices[0].finish = None
        return summary
    document = json.loads(reply)
    if (meta.get("status") or 200) >= 400:
        codes = {400: ("invalid", "not_found", "too_long"), 403: ("auth", "forbidden"),
                 429: ("rate",)}.get(meta["status"])
        return error_by_status(document.get("message", document.get("Message")), meta, codes)
    return expected_of(document["output"]["message"]["content"], document["stopReason"],
                       document["usage"], meta)


def boundaries(reply, meta):
    return [at for _, _, at in messages(reply)]


def may_end(prefix, meta):
    return any(h.get(":event-type") == "messageStop" for h, _, _ in messages(prefix))


def whole_of(reply, meta):
    found = gather(reply)
    return json.dumps({"output": {"message": {"role": "assistant", "content": found["content"]}},
                       "stopReason": found["stopReason"], "usage": found["usage"],
                       "metrics": {"latencyMs": 1}}).encode()


def relayed(got, reply, meta):
    return []
