"""A generateContent request as a canonical one: the way back, made without the plugin."""
import json

from rules_google import plain
from summary import Unsupported

# What a sealed proof is called; the plugin reads those that bear this name.
PROOF = "google-gemini-v1"
AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}


def data_part(blob):
    mime = blob["mimeType"]
    if mime.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{blob['data']}"}}
    if mime.startswith("audio/"):
        word = AUDIO.get(mime, mime.split("/")[1])
        return {"type": "input_audio", "input_audio": {"data": blob["data"], "format": word}}
    part = {"file_data": f"data:{mime};base64,{blob['data']}"}
    if blob.get("displayName"):
        part["filename"] = blob["displayName"]
    return {"type": "file", "file": part}


def canonical_part(part):
    if "text" in part:
        return {"type": "text", "text": part["text"]}
    if "inlineData" in part:
        return data_part(part["inlineData"])
    if "fileData" in part:
        uri = part["fileData"]["fileUri"]
        if part["fileData"].get("mimeType", "").startswith("image/"):
            return {"type": "image_url", "image_url": {"url": uri}}
        return {"type": "document_url", "document_url": uri}
    raise Unsupported(f"a part of type {', '.join(part)} in the prompt")


def content_of(parts):
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


class Turns:
    """Contents into messages; calls without an id get one, and their responses the same."""

    def __init__(self):
        self.messages, self.waiting, self.count = [], [], 0

    def call_id(self, call):
        self.count += 1
        name = call.get("id") or f"call_{self.count}"
        self.waiting.append((call["name"], name))
        return name

    def answered(self, response):
        for i, (name, call_id) in enumerate(self.waiting):
            if response.get("id") in (None, call_id) and name == response["name"]:
                del self.waiting[i]
                return call_id
        raise Unsupported("a function response without its call")

    def response(self, part):
        response = part["functionResponse"]
        content = json.dumps(response["response"])
        if response.get("parts"):
            content = [{"type": "text", "text": content}] + \
                [canonical_part(p) for p in response["parts"]]
        self.messages.append({"role": "tool", "tool_call_id": self.answered(response),
                              "content": content})

    def user(self, parts):
        rest = []
        for part in parts:
            if "functionResponse" in part:
                if rest:
                    raise Unsupported("a function response after other parts")
                self.response(part)
            else:
                rest.append(canonical_part(part))
        if rest:
            self.messages.append({"role": "user", "content": content_of(rest)})

    def model(self, parts):
        message, details, content, calls = {"role": "assistant"}, [], [], []
        for part in parts:
            proof = part.get("thoughtSignature")
            if part.get("thought"):
                detail = {"type": "reasoning.text", "text": part["text"], "format": PROOF,
                          "index": len(details)}
                if proof:
                    detail["signature"] = proof
                details.append(detail)
                continue
            detail = {"type": "reasoning.encrypted", "data": proof, "format": PROOF,
                      "index": len(details)}
            if "functionCall" in part:
                call = part["functionCall"]
                calls.append({"id": self.call_id(call), "type": "function", "function": {
                    "name": call["name"], "arguments": json.dumps(call.get("args") or {})}})
                detail["id"] = calls[-1]["id"]
            elif "executableCode" in part or "codeExecutionResult" in part:
                word = "executableCode" if "executableCode" in part else "codeExecutionResult"
                content.append({"type": word, **part})  # in Google's own words
                continue
            elif calls:
                raise Unsupported("content after a function call")
            elif part.get("text") != "":
                content.append(canonical_part(part))
            if proof:
                details.append(detail)
        message["content"] = content_of(content) if content else None
        if calls:
            message["tool_calls"] = calls
        if details:
            message["reasoning_details"] = details
        self.messages.append(message)


# ---- Parameters.

def json_schema(schema):
    """The Schema message as JSON Schema."""
    out = {}
    for key, value in schema.items():
        if key == "type":
            out[key] = value.lower()
        elif key == "properties":
            out[key] = {k: json_schema(v) for k, v in value.items()}
        elif key == "items":
            out[key] = json_schema(value)
        elif key == "anyOf":
            out[key] = [json_schema(v) for v in value]
        elif key not in ("nullable", "propertyOrdering"):
            out[key] = value
    if schema.get("nullable") and "type" in out:
        out["type"] = [out["type"], "null"]
    return out


def canonical_tools(tools, body):
    body["tools"] = []
    for tool in tools:
        for key, value in tool.items():
            if key != "functionDeclarations":
                body["tools"].append({"type": key, key: value})
        for function in tool.get("functionDeclarations") or []:
            out = {k: function[k] for k in ("name", "description") if k in function}
            if "parametersJsonSchema" in function:
                out["parameters"] = function["parametersJsonSchema"]
            elif "parameters" in function:
                out["parameters"] = json_schema(function["parameters"])
            body["tools"].append({"type": "function", "function": out})


def canonical_choice(config, body):
    calling = config.get("functionCallingConfig")
    if not calling:
        return
    mode = calling.get("mode", "AUTO")
    names = calling.get("allowedFunctionNames") or []
    if mode == "VALIDATED":
        raise Unsupported("function calling mode VALIDATED")
    if len(names) == 1:
        body["tool_choice"] = {"type": "function", "function": {"name": names[0]}}
    elif names:
        body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {
            "mode": "required", "tools": [{"type": "function", "function": {"name": n}}
                                          for n in names]}}
    else:
        body["tool_choice"] = {"AUTO": "auto", "ANY": "required", "NONE": "none"}[mode]


def canonical_thinking(thinking, body):
    budget = thinking.get("thinkingBudget")
    if "thinkingLevel" in thinking:
        body["reasoning_effort"] = thinking["thinkingLevel"].lower()
    elif budget == 0:
        body["thinking"] = {"type": "disabled"}
    elif budget is not None and budget > 0:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    elif budget == -1 or thinking.get("includeThoughts"):
        body["thinking"] = {"type": "adaptive"}


def canonical_format(config, body):
    schema = config.get("responseJsonSchema")
    if "responseSchema" in config:
        schema = json_schema(config["responseSchema"])
    if schema is not None:
        body["response_format"] = {"type": "json_schema",
                                   "json_schema": {"name": "answer", "schema": schema}}
    elif config.get("responseMimeType") == "application/json":
        body["response_format"] = {"type": "json_object"}


def canonical_config(config, body):
    names = {"temperature": "temperature", "topP": "top_p", "topK": "top_k", "candidateCount": "n",
             "maxOutputTokens": "max_completion_tokens", "stopSequences": "stop", "seed": "seed",
             "presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty",
             "responseLogprobs": "logprobs", "logprobs": "top_logprobs"}
    handled = {"responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig",
               "responseModalities"}
    for key, value in config.items():
        if key in names:
            body[names[key]] = value
        elif key not in handled:
            raise Unsupported(f"generationConfig.{key}")
    canonical_format(config, body)
    canonical_thinking(config.get("thinkingConfig") or {}, body)
    modalities = [m.lower() for m in config.get("responseModalities") or []]
    if modalities and modalities != ["text"]:
        body["modalities"] = modalities


def to_canonical(request, meta):
    request = plain(request)
    body = {"model": meta.get("model") or "some-model", "messages": []}
    for key in request:
        if key not in ("contents", "systemInstruction", "tools", "toolConfig", "safetySettings",
                       "generationConfig"):
            raise Unsupported(f"the member {key}")
    turns = Turns()
    system = request.get("systemInstruction")
    if system:
        parts = system["parts"] if isinstance(system["parts"], list) else [system["parts"]]
        turns.messages.append({"role": "system",
                               "content": content_of([canonical_part(p) for p in parts])})
    for content in request["contents"]:
        if content.get("role") == "model":
            turns.model(content["parts"])
        else:
            turns.user(content["parts"])
    body["messages"] = turns.messages
    if request.get("tools"):
        canonical_tools(request["tools"], body)
    canonical_choice(request.get("toolConfig") or {}, body)
    canonical_config(request.get("generationConfig") or {}, body)
    if request.get("safetySettings"):
        body["safety_settings"] = request["safetySettings"]
    return body
