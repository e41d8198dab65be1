"""Are two generateContent requests equal in meaning? Both are brought into one spelling."""
from rules_google import plain
from summary import differences

# Words of a schema that constrain little, and that Google's subset may not have.
LOOSE = ("additionalProperties", "title", "$schema", "propertyOrdering", "default", "format",
         "strict", "examples", "example")


def plain_schema(schema):
    """Either kind of schema in one spelling; what the subset has no word for left out."""
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key in LOOSE:
            continue
        if key == "type":
            kinds = [v.lower() for v in (value if isinstance(value, list) else [value])]
            out["nullable"] = out.get("nullable", False) or "null" in kinds
            kinds = [k for k in kinds if k != "null"]
            out[key] = kinds[0] if len(kinds) == 1 else kinds
        elif key == "nullable":
            out["nullable"] = bool(value)
        elif key == "properties":
            if value:
                out[key] = {k: plain_schema(v) for k, v in value.items()}
        elif key == "items":
            out[key] = plain_schema(value)
        elif key in ("anyOf", "oneOf"):
            out["anyOf"] = [plain_schema(v) for v in value]
        elif key == "required":
            if value:
                out[key] = sorted(value)
        else:
            out[key] = value
    if not out.get("nullable"):
        out.pop("nullable", None)
    return out


def inlined(schema, definitions=None):
    """References put in place: the subset has none."""
    if isinstance(schema, list):
        return [inlined(s, definitions) for s in schema]
    if not isinstance(schema, dict):
        return schema
    definitions = definitions or schema.get("$defs") or {}
    if "$ref" in schema:
        found = definitions.get(schema["$ref"].split("/")[-1], {})
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        return inlined({**found, **rest}, definitions)
    return {k: inlined(v, definitions) for k, v in schema.items() if k != "$defs"}


def plain_part(part, ids):
    part = dict(part)
    for name in ("functionCall", "functionResponse"):
        if name in part:
            inner = {k: v for k, v in part[name].items() if k != "id" or ids}
            if name == "functionCall":
                inner.setdefault("args", {})
            part[name] = inner
    if "fileData" in part:
        part["fileData"] = {"fileUri": part["fileData"]["fileUri"]}
    if "inlineData" in part:
        mime = part["inlineData"]["mimeType"]
        part["inlineData"] = dict(part["inlineData"], mimeType={
            "audio/mpeg": "audio/mp3", "audio/x-wav": "audio/wav"}.get(mime, mime))
    if part.get("thought") is False:
        del part["thought"]
    return part


def plain_contents(contents, ids):
    """Turns with their parts; proofs of what is no call stand together, for they may lie on the
    text or on an empty one beside it."""
    turns = []
    for content in contents:
        side = "model" if content.get("role") == "model" else "user"
        if not turns or turns[-1]["role"] != side:
            turns.append({"role": side, "parts": [], "proofs": []})
        for part in content["parts"]:
            part = plain_part(part, ids)
            if "functionCall" not in part and "thoughtSignature" in part:
                turns[-1]["proofs"].append(part.pop("thoughtSignature"))
                if part.get("text") == "":
                    continue
            turns[-1]["parts"].append(part)
    return turns


def plain_tools(tools):
    functions, others = [], []
    for tool in tools:
        for function in tool.get("functionDeclarations") or []:
            out = {k: function[k] for k in ("name", "description") if function.get(k)}
            schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
            schema = plain_schema(inlined(schema))
            if schema.get("properties"):
                out["schema"] = schema
            functions.append(out)
        others += [{k: v} for k, v in tool.items() if k != "functionDeclarations"]
    return {"functions": functions, "others": others}


def plain_config(config):
    config = dict(config)
    if [m.upper() for m in config.get("responseModalities") or ["TEXT"]] == ["TEXT"]:
        config.pop("responseModalities", None)
    schema = config.pop("responseJsonSchema", None) or config.pop("responseSchema", None)
    if schema:
        config["schema"] = plain_schema(inlined(schema))
    if config.get("responseMimeType") == "text/plain":
        del config["responseMimeType"]
    if config.get("candidateCount") == 1:
        del config["candidateCount"]
    thinking = dict(config.pop("thinkingConfig", None) or {})
    if "thinkingLevel" in thinking:
        thinking["thinkingLevel"] = thinking["thinkingLevel"].upper()
    if len(thinking) > 1 or not thinking.get("includeThoughts"):
        thinking.pop("includeThoughts", None)  # no canonical word says it by itself
    if thinking and thinking != {"thinkingBudget": -1}:
        config["thinkingConfig"] = thinking
    elif thinking:
        config["thinkingConfig"] = {"includeThoughts": True}
    return config


def plain_request(body, ids):
    body = plain(body)
    out = {"contents": plain_contents(body["contents"], ids)}
    system = body.get("systemInstruction")
    if system:
        parts = system["parts"] if isinstance(system["parts"], list) else [system["parts"]]
        text = "\n\n".join(p["text"] for p in parts)
        if text:
            out["system"] = text
    if body.get("tools"):
        out["tools"] = plain_tools(body["tools"])
    config = plain_config(body.get("generationConfig") or {})
    if config:
        out["config"] = config
    choice = {k: v for k, v in (body.get("toolConfig") or {}).items() if v}
    if choice.get("functionCallingConfig") == {"mode": "AUTO"}:
        del choice["functionCallingConfig"]
    if choice:
        out["toolConfig"] = choice
    if body.get("safetySettings"):
        out["safetySettings"] = body["safetySettings"]
    return out


def has_ids(body):
    return any("id" in p.get("functionCall", {}) for c in plain(body)["contents"]
               for p in c["parts"])


def same(sent, native, meta):
    ids = has_ids(native)
    return differences(plain_request(sent, ids), plain_request(native, ids))
