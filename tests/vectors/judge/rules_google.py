"""Rules of a generateContent request, from the public reference of the API. proto3's JSON takes
both spellings of a member (camelCase and snake_case) and null for absence, and so does plain()."""
import json
import re

from rules import Rules

DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode",
        "codeExecutionResult", "toolCall", "toolResponse")
PART = DATA + ("thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata")
TOOLS = ("functionDeclarations", "googleSearch", "googleSearchRetrieval", "codeExecution",
         "urlContext", "fileSearch", "computerUse", "googleMaps", "enterpriseWebSearch",
         "retrieval")
CONFIG = ("stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema",
          "responseModalities", "candidateCount", "maxOutputTokens", "temperature", "topP", "topK",
          "seed", "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs",
          "enableEnhancedCivicAnswers", "speechConfig", "thinkingConfig", "mediaResolution",
          "imageConfig", "audioTimestamp")
SCHEMA = ("type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems",
          "properties", "required", "minProperties", "maxProperties", "minLength", "maxLength",
          "pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum",
          "maximum")
TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
CATEGORY = r"HARM_CATEGORY_(HARASSMENT|HATE_SPEECH|SEXUALLY_EXPLICIT|DANGEROUS_CONTENT|" \
           r"CIVIC_INTEGRITY|JAILBREAK|IMAGE_(HATE|DANGEROUS_CONTENT|HARASSMENT|SEXUALLY_EXPLICIT))"
THRESHOLDS = ("BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE",
              "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED")
NAME = r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}"
VALUES = ("args", "response", "parametersJsonSchema", "responseJsonSchema", "default", "example",
          "properties", "input", "labels")


def camel(name):
    return re.sub(r"_([a-z])", lambda m: m.group(1).upper(), name)


def plain(value):
    """Members in camelCase; values that are the user's own (arguments, schemas) as they stand."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, inner in value.items():
        name = camel(key)
        if inner is None:
            continue
        if name == "properties" and isinstance(inner, dict):
            out[name] = {k: plain(v) for k, v in inner.items()}
        else:
            out[name] = inner if name in VALUES else plain(inner)
    return out


class Checker(Rules):
    def __init__(self, body):
        super().__init__()
        self.body = body

    # ---- Schemas.

    def schema(self, place, schema):
        """The Schema message: what `parameters` and `responseSchema` take."""
        if not self.known(place, schema, SCHEMA):
            return
        kind = schema.get("type")
        if kind is None:
            if "anyOf" not in schema:
                self.bad(f"{place}.type", "field required")
        elif not isinstance(kind, str) or kind.upper() not in TYPES:
            self.bad(f"{place}.type", f"{kind!r} is no type")
            return
        kind = (kind or "").upper()
        if kind == "ARRAY" and "items" not in schema:
            self.bad(f"{place}.items", "missing field")
        if "enum" in schema:
            if kind not in ("STRING", ""):
                self.bad(f"{place}.enum", "only allowed for STRING type")
            self.strings(f"{place}.enum", schema["enum"], None, False)
        if kind == "STRING" and schema.get("format") not in (None, "enum", "date-time"):
            self.bad(f"{place}.format", "only 'enum' and 'date-time' are supported for STRING type")
        properties = schema.get("properties")
        if properties is not None and not isinstance(properties, dict):
            self.bad(f"{place}.properties", "expected an object")
            properties = {}
        for name in schema.get("required") or []:
            if name not in (properties or {}):
                self.bad(f"{place}.required", f"property is not defined: {name}")
        for name, inner in (properties or {}).items():
            self.schema(f"{place}.properties[{name}]", inner)
        if "items" in schema:
            self.schema(f"{place}.items", schema["items"])
        for i, inner in enumerate(schema.get("anyOf") or []):
            self.schema(f"{place}.anyOf[{i}]", inner)

    # ---- Contents.

    def blob(self, place, blob):
        if self.known(place, blob, ("mimeType", "data", "displayName"), ("mimeType", "data")):
            self.string(f"{place}.mimeType", blob["mimeType"], pattern=r"[\w.+-]+/[\w.+-]+")
            if self.string(f"{place}.data", blob["data"], empty=False) and \
                    blob["data"].startswith("data:"):
                self.bad(f"{place}.data", "is a data URL, expected base64")

    def part(self, place, part, role):
        if not self.known(place, part, PART):
            return
        data = [k for k in DATA if k in part]
        if len(data) != 1:
            self.bad(place, f"a part needs exactly one of {', '.join(DATA)}; it has {data}")
            return
        kind, value = data[0], part[data[0]]
        self.optional(part, "thought", self.boolean, place)
        self.optional(part, "thoughtSignature", self.string, place, False)
        if kind == "text":
            if self.string(f"{place}.text", value) and not value and \
                    "thoughtSignature" not in part:
                self.bad(f"{place}.text", "is empty")
        elif kind == "inlineData":
            self.blob(f"{place}.inlineData", value)
        elif kind == "fileData":
            if self.known(f"{place}.fileData", value, ("mimeType", "fileUri", "displayName"),
                          ("fileUri",)):
                self.string(f"{place}.fileData.fileUri", value["fileUri"], pattern=r"\w+://\S+")
        elif kind == "functionCall":
            self.function_call(f"{place}.functionCall", value, role)
        elif kind == "functionResponse":
            self.function_response(f"{place}.functionResponse", value, role)

    def function_call(self, place, call, role):
        if role != "model":
            self.bad(place, "a call belongs to the model's turn")
        if self.known(place, call, ("name", "args", "id"), ("name",)):
            self.string(f"{place}.name", call["name"], pattern=NAME)
            if not isinstance(call.get("args", {}), dict):
                self.bad(f"{place}.args", "expected an object")

    def function_response(self, place, response, role):
        if role == "model":
            self.bad(place, "a response belongs to the user's turn")
        keys = ("name", "response", "id", "parts", "willContinue", "scheduling")
        if self.known(place, response, keys, ("name", "response")):
            self.string(f"{place}.name", response["name"], pattern=NAME)
            if not isinstance(response["response"], dict):
                self.bad(f"{place}.response", "expected an object")

    def contents(self, contents):
        if not self.listing("contents", contents, 1):
            return
        turns = []
        for i, content in enumerate(contents):
            place = f"contents[{i}]"
            if not self.known(place, content, ("role", "parts"), ("parts",)):
                continue
            role = content.get("role", "user")
            self.word(f"{place}.role", role, ("user", "model", "function", "tool"))
            if not self.listing(f"{place}.parts", content["parts"], 1):
                continue
            for k, part in enumerate(content["parts"]):
                self.part(f"{place}.parts[{k}]", part, role)
            parts = [p for p in content["parts"] if isinstance(p, dict)]
            side = "model" if role == "model" else "user"
            if turns and turns[-1][0] == side:
                turns[-1][2].extend(parts)
            else:
                turns.append((side, place, list(parts)))
        self.pairs(turns)

    def pairs(self, turns):
        for n, (side, place, parts) in enumerate(turns):
            calls = [p["functionCall"] for p in parts if isinstance(p.get("functionCall"), dict)]
            if side == "model" and calls and n == 0:
                self.bad(place, "a function call turn comes immediately after a user turn or a "
                                "function response turn")
            responses = [p["functionResponse"] for p in parts
                         if isinstance(p.get("functionResponse"), dict)]
            if side == "user":
                before = turns[n - 1][2] if n else []
                asked = [p["functionCall"] for p in before if "functionCall" in p]
                if len(asked) != len(responses):
                    self.bad(place, f"{len(responses)} function response parts for {len(asked)} "
                                    "function call parts of the turn before")
                elif sorted(a.get("name", "") for a in asked) != \
                        sorted(r.get("name", "") for r in responses):
                    self.bad(place, "the names of responses and calls differ")
                ids = {a.get("id") for a in asked}
                for response in responses:
                    if "id" in response and response["id"] not in ids:
                        self.bad(place, f"response id {response['id']!r} belongs to no call")

    # ---- Parameters.

    def tools(self, tools):
        if not self.listing("tools", tools):
            return
        names = []
        for i, tool in enumerate(tools):
            place = f"tools[{i}]"
            if not self.known(place, tool, TOOLS):
                continue
            if not tool:
                self.bad(place, "is empty")
            for k, function in enumerate(tool.get("functionDeclarations") or []):
                self.function(f"{place}.functionDeclarations[{k}]", function)
                names.append(function.get("name"))
        for name in {n for n in names if names.count(n) > 1}:
            self.bad("tools", f"duplicate function declaration: {name}")

    def function(self, place, function):
        keys = ("name", "description", "parameters", "parametersJsonSchema", "response",
                "responseJsonSchema", "behavior")
        if not self.known(place, function, keys, ("name",)):
            return
        self.string(f"{place}.name", function["name"], pattern=NAME)
        self.optional(function, "description", self.string, place)
        if "parameters" in function and "parametersJsonSchema" in function:
            self.bad(place, "parameters and parametersJsonSchema are mutually exclusive")
        if "parameters" in function:
            self.schema(f"{place}.parameters", function["parameters"])
            if str(function["parameters"].get("type")).upper() != "OBJECT":
                self.bad(f"{place}.parameters", "schema should be of OBJECT type")
        if "parametersJsonSchema" in function and \
                not isinstance(function["parametersJsonSchema"], dict):
            self.bad(f"{place}.parametersJsonSchema", "expected an object")

    def tool_config(self, config):
        if not self.known("toolConfig", config, ("functionCallingConfig", "retrievalConfig",
                                                 "includeServerSideToolInvocations")):
            return
        calling = config.get("functionCallingConfig")
        if calling is None or not self.known("toolConfig.functionCallingConfig", calling,
                                             ("mode", "allowedFunctionNames")):
            return
        mode, place = calling.get("mode", "AUTO"), "toolConfig.functionCallingConfig"
        self.word(f"{place}.mode", mode, ("AUTO", "ANY", "NONE", "VALIDATED"))
        names = [f.get("name") for t in self.body.get("tools") or []
                 for f in t.get("functionDeclarations") or []]
        if calling.get("allowedFunctionNames"):
            if mode not in ("ANY", "VALIDATED"):
                self.bad(f"{place}.allowedFunctionNames", "should be set for mode ANY only")
            for name in calling["allowedFunctionNames"]:
                if name not in names:
                    self.bad(f"{place}.allowedFunctionNames", f"{name!r} is not declared")
        if mode == "ANY" and not names:
            self.bad(f"{place}.mode", "function calling ANY without function declarations")

    def config(self, config):
        place = "generationConfig"
        if not self.known(place, config, CONFIG):
            return
        self.optional(config, "stopSequences", self.strings, place, 5, False)
        self.optional(config, "candidateCount", self.integer, place, 1, 8)
        self.optional(config, "maxOutputTokens", self.integer, place, 1)
        self.optional(config, "temperature", self.number, place, 0, 2)
        self.optional(config, "topP", self.number, place, 0, 1)
        self.optional(config, "topK", self.integer, place, 1)
        self.optional(config, "seed", self.integer, place, -2**31, 2**31 - 1)
        self.optional(config, "presencePenalty", self.number, place, -2, 2)
        self.optional(config, "frequencyPenalty", self.number, place, -2, 2)
        self.optional(config, "responseLogprobs", self.boolean, place)
        self.optional(config, "logprobs", self.integer, place, 0, 20)
        if "logprobs" in config and not config.get("responseLogprobs"):
            self.bad(f"{place}.logprobs", "needs responseLogprobs")
        mime = config.get("responseMimeType", "text/plain")
        self.word(f"{place}.responseMimeType", mime,
                  ("text/plain", "application/json", "text/x.enum"))
        if "responseSchema" in config and "responseJsonSchema" in config:
            self.bad(place, "responseSchema and responseJsonSchema are mutually exclusive")
        if ("responseSchema" in config or "responseJsonSchema" in config) and mime == "text/plain":
            self.bad(f"{place}.responseMimeType", "a schema needs application/json")
        if "responseSchema" in config:
            self.schema(f"{place}.responseSchema", config["responseSchema"])
        for i, word in enumerate(config.get("responseModalities") or []):
            self.word(f"{place}.responseModalities[{i}]", word.upper(), ("TEXT", "IMAGE", "AUDIO"))
        if "thinkingConfig" in config:
            self.thinking(f"{place}.thinkingConfig", config["thinkingConfig"])

    def thinking(self, place, thinking):
        if not self.known(place, thinking, ("includeThoughts", "thinkingBudget", "thinkingLevel")):
            return
        self.optional(thinking, "includeThoughts", self.boolean, place)
        self.optional(thinking, "thinkingBudget", self.integer, place, -1, 32768)
        if "thinkingLevel" in thinking:
            self.word(f"{place}.thinkingLevel", str(thinking["thinkingLevel"]).upper(),
                      ("MINIMAL", "LOW", "MEDIUM", "HIGH"))
            if "thinkingBudget" in thinking:
                self.bad(place, "thinkingBudget and thinkingLevel cannot both be set")
        if thinking.get("includeThoughts") and thinking.get("thinkingBudget") == 0:
            self.bad(place, "includeThoughts is only enabled when thinking is enabled")

    def safety(self, settings):
        if not self.listing("safetySettings", settings):
            return
        seen = []
        for i, setting in enumerate(settings):
            place = f"safetySettings[{i}]"
            if self.known(place, setting, ("category", "threshold", "method"),
                          ("category", "threshold")):
                self.string(f"{place}.category", setting["category"], pattern=CATEGORY)
                self.word(f"{place}.threshold", setting["threshold"], THRESHOLDS)
                if setting["category"] in seen:
                    self.bad(place, "there should not be more than one setting a category")
                seen.append(setting["category"])

    def all(self):
        body = self.body
        if not self.known("", body, ("contents", "systemInstruction", "tools", "toolConfig",
                                     "safetySettings", "generationConfig", "cachedContent",
                                     "labels", "modelArmorConfig", "serviceTier"), ("contents",)):
            return
        self.contents(body["contents"])
        system = body.get("systemInstruction")
        if system is not None and self.known("systemInstruction", system, ("role", "parts"),
                                             ("parts",)):
            parts = system["parts"] if isinstance(system["parts"], list) else [system["parts"]]
            for i, part in enumerate(parts):
                if self.known(f"systemInstruction.parts[{i}]", part, ("text",), ("text",)):
                    self.string(f"systemInstruction.parts[{i}].text", part["text"])
        for name, rule in (("tools", self.tools), ("toolConfig", self.tool_config),
                           ("generationConfig", self.config), ("safetySettings", self.safety)):
            if name in body:
                rule(body[name])


def check(request):
    checker = Checker(plain(request))
    checker.all()
    return checker.complaints


def check_signatures(rules, body):
    """Gemini 3 refuses a call of the current turn (after the last user's text) without proof."""
    contents = body["contents"]
    start = max([i for i, c in enumerate(contents) if c.get("role", "user") == "user" and
                 any("functionResponse" not in p for p in c["parts"])] or [0])
    for i in range(start, len(contents)):
        calls = [p for p in contents[i]["parts"] if "functionCall" in p]
        if calls and "thoughtSignature" not in calls[0]:
            rules.bad(f"contents[{i}]", "function call is missing a thought_signature")


def check_sent(sent, meta):
    rules = Rules()
    headers = {name.lower(): value for name, value in sent["headers"]}
    method = "streamGenerateContent?alt=sse" if meta.get("streaming") else "generateContent"
    model = (meta.get("model") or "some-model").removeprefix("models/")
    if sent["method"] != "POST" or not sent["path"].endswith(f"/models/{model}:{method}"):
        rules.bad("path", f"{sent['method']} {sent['path']}, expected POST .../models/{model}:"
                          f"{method}")
    if headers.get("content-type", "").split(";")[0] != "application/json":
        rules.bad("header content-type", f"{headers.get('content-type')!r}")
    if sent["secret_header"] != ["x-goog-api-key", ""]:
        rules.bad("secret header", f"{sent['secret_header']}, expected x-goog-api-key")
    check_model(rules, model, json.loads(sent["body"]))
    return rules.complaints


def check_model(rules, model, body):
    """What models differ in, by their names."""
    functions = any("functionDeclarations" in t for t in body.get("tools") or [])
    config = body.get("generationConfig") or {}
    if model.startswith("gemini-3"):
        check_signatures(rules, body)
    elif re.match(r"gemini-[12]", model):
        if functions and config.get("responseMimeType") == "application/json":
            rules.bad("generationConfig.responseMimeType", "function calling with a response mime "
                                                           "type of JSON is unsupported")
        if "thinkingLevel" in (config.get("thinkingConfig") or {}):
            rules.bad("generationConfig.thinkingConfig", "thinking level is not supported for this "
                                                         "model")
