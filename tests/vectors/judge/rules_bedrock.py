"""Rules of a Bedrock Converse request, from the public reference of the API."""
import json
from urllib.parse import quote

from rules import Rules
from rules_anthropic import SCHEMA_WORDS_REFUSED

MEMBERS = ("messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig",
           "additionalModelRequestFields", "promptVariables", "additionalModelResponseFieldPaths",
           "requestMetadata", "performanceConfig", "outputConfig", "serviceTier")
BLOCKS = ("text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent",
          "cachePoint", "reasoningContent", "citationsContent", "searchResult")
ASSISTANT = ("text", "toolUse", "cachePoint", "reasoningContent", "citationsContent", "image")
USER = ("text", "image", "document", "video", "audio", "toolResult", "guardContent", "cachePoint",
        "searchResult")
IMAGES = ("png", "jpeg", "gif", "webp")
DOCUMENTS = ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")
TOOL_NAME, TOOL_ID = r"[a-zA-Z0-9_-]{1,64}", r"[a-zA-Z0-9_.:-]{1,256}"
DOCUMENT_NAME = r"(?!.*\s\s)[a-zA-Z0-9\s\-()\[\]]{1,200}"


class Checker(Rules):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.uses_tools = False
        self.marks = 0

    # ---- Blocks.

    def union(self, place, value, names):
        """An object with exactly one of these members: its name, or None."""
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in names:
            self.bad(place, f"expected one of {', '.join(names)}, got "
                            f"{sorted(value) if isinstance(value, dict) else value!r}")
            return None
        return next(iter(value))

    def cache_point(self, place, value):
        self.marks += 1
        if self.marks > 4:
            self.bad(place, "a request has at most four cache points")
        if self.known(place, value, ("type", "ttl"), ("type",)):
            self.word(f"{place}.type", value["type"], ("default",))

    def source(self, place, source, names):
        kind = self.union(place, source, names)
        if kind == "bytes":
            if self.string(f"{place}.bytes", source["bytes"], empty=False) and \
                    source["bytes"].startswith("data:"):
                self.bad(f"{place}.bytes", "is a data URL, expected base64")
        elif kind == "s3Location":
            if self.known(place, source[kind], ("uri", "bucketOwner"), ("uri",)):
                self.string(f"{place}.uri", source[kind]["uri"], pattern=r"s3://\S+")

    def media(self, place, kind, value):
        if kind == "document":
            if self.known(place, value, ("format", "name", "source", "context", "citations"),
                          ("name", "source")):
                self.string(f"{place}.name", value["name"], pattern=DOCUMENT_NAME)
                if "format" in value:
                    self.word(f"{place}.format", value["format"], DOCUMENTS)
                self.source(f"{place}.source", value["source"],
                            ("bytes", "s3Location", "text", "content"))
        elif self.known(place, value, ("format", "source"), ("format", "source")):
            if kind == "image":
                self.word(f"{place}.format", value["format"], IMAGES)
            self.source(f"{place}.source", value["source"], ("bytes", "s3Location"))

    def reasoning(self, place, value):
        kind = self.union(place, value, ("reasoningText", "redactedContent"))
        if kind == "reasoningText" and self.known(f"{place}.{kind}", value[kind],
                                                  ("text", "signature"), ("text",)):
            self.optional(value[kind], "signature", self.string, place, False)
        elif kind == "redactedContent":
            self.string(f"{place}.{kind}", value[kind], empty=False)

    def tool_result(self, place, value):
        self.uses_tools = True
        if not self.known(place, value, ("toolUseId", "content", "status", "type"),
                          ("toolUseId", "content")):
            return
        self.string(f"{place}.toolUseId", value["toolUseId"], pattern=TOOL_ID)
        if "status" in value:
            self.word(f"{place}.status", value["status"], ("success", "error"))
        if not self.listing(f"{place}.content", value["content"]):
            return
        for i, block in enumerate(value["content"]):
            here = f"{place}.content[{i}]"
            kind = self.union(here, block, ("json", "text", "image", "document", "video",
                                            "searchResult"))
            if kind in ("image", "document"):
                self.media(f"{here}.{kind}", kind, block[kind])
            elif kind == "text":
                if self.string(f"{here}.text", block["text"]) and not block["text"].strip():
                    self.bad(f"{here}.text", "text content blocks must be non-empty")
            elif kind == "json" and not isinstance(block["json"], dict):
                self.bad(f"{here}.json", "expected an object")

    def block(self, place, block, allowed):
        kind = self.union(place, block, allowed)
        if kind is None:
            return
        here, value = f"{place}.{kind}", block[kind]
        if kind == "text":
            if self.string(here, value) and not value.strip():
                self.bad(here, "the text field in the ContentBlock object is blank")
        elif kind in ("image", "document"):
            self.media(here, kind, value)
        elif kind == "toolUse":
            self.uses_tools = True
            if self.known(here, value, ("toolUseId", "name", "input", "type"),
                          ("toolUseId", "name", "input")):
                self.string(f"{here}.toolUseId", value["toolUseId"], pattern=TOOL_ID)
                self.string(f"{here}.name", value["name"], pattern=TOOL_NAME)
                if not isinstance(value["input"], dict):
                    self.bad(f"{here}.input", "expected an object")
        elif kind == "toolResult":
            self.tool_result(here, value)
        elif kind == "reasoningContent":
            self.reasoning(here, value)
        elif kind == "cachePoint":
            self.cache_point(here, value)

    # ---- Messages.

    def messages(self, messages):
        if not self.listing("messages", messages, 1):
            return
        before, side = [], "assistant"
        for i, message in enumerate(messages):
            place = f"messages[{i}]"
            if not self.known(place, message, ("role", "content"), ("role", "content")):
                continue
            role, content = message["role"], message["content"]
            self.word(f"{place}.role", role, ("user", "assistant"))
            if role == side:
                self.bad(f"{place}.role", "a conversation must start with a user message" if i == 0
                         else "a conversation must alternate between user and assistant roles")
            side = role
            if not self.listing(f"{place}.content", content, 1):
                continue
            for k, block in enumerate(content):
                self.block(f"{place}.content[{k}]", block, USER if role == "user" else ASSISTANT)
            content = [b for b in content if isinstance(b, dict)]
            for k, block in enumerate(content):
                if "cachePoint" in block and (not k or "reasoningContent" in content[k - 1]):
                    self.bad(f"{place}.content[{k}]", "a cache point stands first, or after a thought")
            results = [b["toolResult"].get("toolUseId") for b in content if "toolResult" in b]
            if sorted(map(str, results)) != sorted(map(str, before)):
                self.bad(place, f"has tool results for {results}, but the turn before asked for "
                                f"{before}")
            if role == "user" and any("document" in b for b in content) and \
                    not any("text" in b for b in content):
                self.bad(place, "a document needs a text block beside it")
            before = [b["toolUse"].get("toolUseId") for b in content if "toolUse" in b]
        if before:
            self.bad("messages", f"tool uses {before} have no result")

    # ---- Parameters.

    def inference(self, config):
        place = "inferenceConfig"
        if not self.known(place, config, ("maxTokens", "temperature", "topP", "stopSequences")):
            return
        self.optional(config, "maxTokens", self.integer, place, 1)
        self.optional(config, "temperature", self.number, place, 0, 1)
        self.optional(config, "topP", self.number, place, 0, 1)
        self.optional(config, "stopSequences", self.strings, place, 2500, False)

    def tool_config(self, config):
        if not self.known("toolConfig", config, ("tools", "toolChoice"), ("tools",)):
            return
        names = []
        if self.listing("toolConfig.tools", config["tools"], 1):
            for i, tool in enumerate(config["tools"]):
                place = f"toolConfig.tools[{i}]"
                kind = self.union(place, tool, ("toolSpec", "systemTool", "cachePoint"))
                if kind == "toolSpec":
                    self.tool_spec(f"{place}.toolSpec", tool[kind])
                    names.append(tool[kind].get("name"))
                elif kind == "cachePoint":
                    self.cache_point(f"{place}.cachePoint", tool[kind])
        if len(set(names)) != len(names):
            self.bad("toolConfig.tools", "names of tools must be unique")
        choice = config.get("toolChoice")
        if choice is not None:
            kind = self.union("toolConfig.toolChoice", choice, ("auto", "any", "tool"))
            if kind == "tool":
                if self.known("toolConfig.toolChoice.tool", choice["tool"], ("name",), ("name",)) \
                        and choice["tool"]["name"] not in names:
                    self.bad("toolConfig.toolChoice.tool", "is not among the tools")
            elif kind:
                self.known(f"toolConfig.toolChoice.{kind}", choice[kind], ())

    def tool_spec(self, place, spec):
        if not self.known(place, spec, ("name", "description", "inputSchema", "strict"),
                          ("name", "inputSchema")):
            return
        self.string(f"{place}.name", spec["name"], pattern=TOOL_NAME)
        self.optional(spec, "description", self.string, place, False)
        self.optional(spec, "strict", self.boolean, place)
        if self.known(f"{place}.inputSchema", spec["inputSchema"], ("json",), ("json",)):
            schema = spec["inputSchema"]["json"]
            if not isinstance(schema, dict) or schema.get("type") != "object":
                self.bad(f"{place}.inputSchema.json.type", "must be 'object'")
            elif spec.get("strict") is True:
                self.closed(f"{place}.inputSchema.json", schema)

    def closed(self, place, schema):
        """Within the subset of JSON Schema that structured output takes."""
        if isinstance(schema, list):
            for i, inner in enumerate(schema):
                self.closed(f"{place}[{i}]", inner)
        if not isinstance(schema, dict):
            return
        for word in SCHEMA_WORDS_REFUSED:
            if word in schema:
                self.bad(f"{place}.{word}", "is not supported")
        kind = schema.get("type")
        if (kind == "object" or isinstance(kind, list) and "object" in kind) and \
                schema.get("additionalProperties") is not False:
            self.bad(place, "additionalProperties must be false")
        for key in ("properties", "$defs", "definitions"):
            for name, inner in (schema.get(key) or {}).items():
                self.closed(f"{place}.{key}.{name}", inner)
        for key in ("anyOf", "allOf", "items"):
            if key in schema:
                self.closed(f"{place}.{key}", schema[key])

    def output_config(self, config):
        if not self.known("outputConfig", config, ("textFormat", "effort")):
            return
        form = config.get("textFormat")
        if form is None or not self.known("outputConfig.textFormat", form, ("type", "structure"),
                                          ("type", "structure")):
            return
        self.word("outputConfig.textFormat.type", form["type"], ("json_schema",))
        place = "outputConfig.textFormat.structure.jsonSchema"
        inner = (form["structure"] or {}).get("jsonSchema")
        if self.known(place, inner, ("schema", "name", "description"), ("schema",)) and \
                self.string(f"{place}.schema", inner["schema"]):
            try:
                self.closed(f"{place}.schema", json.loads(inner["schema"]))
            except ValueError:
                self.bad(f"{place}.schema", "is not the text of a JSON schema")

    def all(self):
        body = self.body
        if not self.known("", body, MEMBERS, ("messages",)):
            return
        self.messages(body["messages"])
        for i, block in enumerate(body.get("system") or []):
            self.block(f"system[{i}]", block, ("text", "guardContent", "cachePoint"))
        for name, rule in (("inferenceConfig", self.inference), ("toolConfig", self.tool_config),
                           ("outputConfig", self.output_config)):
            if name in body:
                rule(body[name])
        if self.uses_tools and "toolConfig" not in body:
            self.bad("toolConfig", "must be defined when using toolUse and toolResult content "
                                   "blocks")
        fields = body.get("additionalModelRequestFields")
        if fields is not None and not isinstance(fields, dict):
            self.bad("additionalModelRequestFields", "expected an object")


def check(request):
    checker = Checker(request)
    checker.all()
    return checker.complaints


def check_sent(sent, meta):
    rules = Rules()
    headers = {name.lower(): value for name, value in sent["headers"]}
    method = "converse-stream" if meta.get("streaming") else "converse"
    model = meta.get("model") or "some-model"
    paths = [f"/model/{quote(model, safe=safe)}/{method}" for safe in ("", ":")]
    if sent["method"] != "POST" or sent["path"] not in paths:
        rules.bad("path", f"{sent['method']} {sent['path']}, expected POST {paths[0]}")
    if headers.get("content-type", "").split(";")[0] != "application/json":
        rules.bad("header content-type", f"{headers.get('content-type')!r}")
    scheme, params = sent["sign"] or (None, "{}")
    if scheme == "aws4":
        params = json.loads(params)
        if params.get("service") != "bedrock" or not params.get("region"):
            rules.bad("sign", f"{params}, expected service bedrock and a region")
    elif sent["secret_header"] != ["authorization", "Bearer "]:
        rules.bad("sign", "expected aws4, or an API key as authorization: Bearer")
    return rules.complaints
