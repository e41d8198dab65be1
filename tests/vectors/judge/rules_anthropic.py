"""Rules of a Messages request, from the public reference of the API."""
import re

from models_anthropic import check_model
from rules import Rules

MEMBERS = ("model", "messages", "max_tokens", "system", "metadata", "stop_sequences", "stream",
           "temperature", "top_k", "top_p", "tools", "tool_choice", "thinking", "service_tier",
           "container", "context_management", "mcp_servers", "output_config", "inference_geo",
           "cache_control", "speed")
SERVER_TOOL = re.compile(r"(web_search|web_fetch|code_execution|bash|text_editor|computer|memory|"
                         r"advisor|tool_search_tool_regex|tool_search_tool_bm25)_\d{8}$|"
                         r"mcp_toolset$|tool_search_tool_(regex|bm25)$")
SERVER_RESULT = re.compile(r"(web_search|web_fetch|code_execution|bash_code_execution|"
                           r"text_editor_code_execution|tool_search|advisor)_tool_result$")
TOOL_NAME, TOOL_ID = r"[a-zA-Z0-9_-]{1,128}", r"[a-zA-Z0-9_-]+"
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
# Models that take one of temperature and top_p only.
ONE_SAMPLER = re.compile(r"claude-(opus-4-[1-9]|sonnet-4-[5-9]|haiku-4-[5-9]|[a-z]+-[5-9])")
SCHEMA_WORDS_REFUSED = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
                        "minLength", "maxLength", "maxItems", "uniqueItems", "minProperties",
                        "maxProperties", "patternProperties", "if", "then", "else", "not", "oneOf")


class Checker(Rules):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.marks = 0

    # ---- Blocks.

    def mark(self, place, value):
        self.marks += 1
        if self.known(place, value, ("type", "ttl"), ("type",)):
            self.word(f"{place}.type", value["type"], ("ephemeral",))
            if "ttl" in value:
                self.word(f"{place}.ttl", value["ttl"], ("5m", "1h"))

    def base64(self, place, source, types):
        if self.known(place, source, ("type", "media_type", "data"), ("media_type", "data")):
            self.word(f"{place}.media_type", source["media_type"], types)
            if self.string(f"{place}.data", source["data"], empty=False) and \
                    source["data"].startswith("data:"):
                self.bad(f"{place}.data", "is a data URL, expected base64")

    def source(self, place, source, kind):
        if not isinstance(source, dict):
            return self.bad(place, "expected an object")
        form = source.get("type")
        if form == "base64":
            self.base64(place, source, IMAGE_TYPES if kind == "image" else ("application/pdf",))
        elif form == "url":
            if self.known(place, source, ("type", "url"), ("url",)):
                self.string(f"{place}.url", source["url"], pattern=r"https?://\S+")
        elif form == "file":
            if self.known(place, source, ("type", "file_id"), ("file_id",)):
                self.string(f"{place}.file_id", source["file_id"], empty=False)
        elif form == "text" and kind == "document":
            if self.known(place, source, ("type", "media_type", "data"), ("media_type", "data")):
                self.word(f"{place}.media_type", source["media_type"], ("text/plain",))
                self.string(f"{place}.data", source["data"], empty=False)
        elif form == "content" and kind == "document":
            if self.known(place, source, ("type", "content"), ("content",)):
                self.content(f"{place}.content", source["content"], ("text", "image"))
        else:
            self.bad(f"{place}.type", f"{form!r} is no source of a {kind}")
        return True

    def tool_result(self, place, block):
        self.known(place, block, ("type", "tool_use_id", "content", "is_error", "cache_control"),
                   ("tool_use_id",))
        self.optional(block, "tool_use_id", self.string, place, False, TOOL_ID)
        self.optional(block, "is_error", self.boolean, place)
        if "content" in block and block["content"] != "":
            self.content(f"{place}.content", block["content"],
                         ("text", "image", "document", "search_result", "tool_reference"), 0)

    def tool_use(self, place, block):
        keys = ("type", "id", "name", "input", "cache_control", "caller")
        if self.known(place, block, keys, ("id", "name", "input")):
            self.string(f"{place}.id", block["id"], pattern=TOOL_ID)
            self.string(f"{place}.name", block["name"], pattern=TOOL_NAME)
            if not isinstance(block["input"], dict):
                self.bad(f"{place}.input", "expected an object")

    def text_block(self, place, block):
        if self.known(place, block, ("type", "text", "cache_control", "citations"), ("text",)):
            self.string(f"{place}.text", block["text"])
            if not block["text"]:
                self.bad(f"{place}.text", "text content blocks must be non-empty")
            elif not block["text"].strip():
                self.bad(f"{place}.text", "text content blocks must contain non-whitespace text")

    def block(self, place, block, allowed):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return self.bad(place, "expected a content block with a type")
        kind = block["type"]
        if kind not in allowed and not (SERVER_RESULT.match(kind) and "server" in allowed):
            return self.bad(f"{place}.type", f"{kind!r} is not allowed here")
        if block.get("cache_control") is not None:
            if kind in ("thinking", "redacted_thinking"):
                self.bad(f"{place}.cache_control", "a thought cannot be marked")
            self.mark(f"{place}.cache_control", block["cache_control"])
        if kind == "text":
            self.text_block(place, block)
        elif kind in ("image", "document"):
            more = ("title", "context", "citations") if kind == "document" else ()
            if self.known(place, block, ("type", "source", "cache_control") + more, ("source",)):
                self.source(f"{place}.source", block["source"], kind)
        elif kind == "tool_result":
            self.tool_result(place, block)
        elif kind in ("tool_use", "server_tool_use"):
            self.tool_use(place, block)
        elif kind == "thinking":
            if self.known(place, block, ("type", "thinking", "signature"),
                          ("thinking", "signature")):
                self.string(f"{place}.thinking", block["thinking"])
                self.string(f"{place}.signature", block["signature"], empty=False)
        elif kind == "redacted_thinking":
            if self.known(place, block, ("type", "data"), ("data",)):
                self.string(f"{place}.data", block["data"], empty=False)
        elif kind == "search_result":
            self.known(place, block, ("type", "source", "title", "content", "citations",
                                      "cache_control"), ("source", "title", "content"))
        return True

    def content(self, place, content, allowed, least=1):
        if isinstance(content, str):
            if not content:
                self.bad(place, "must be non-empty")
            return []
        if not self.listing(place, content, least):
            return []
        for i, block in enumerate(content):
            self.block(f"{place}[{i}]", block, allowed)
        return [b for b in content if isinstance(b, dict)]

    # ---- Messages.

    def messages(self, messages):
        user = ("text", "image", "document", "tool_result", "search_result", "container_upload",
                "server")
        assistant = ("text", "tool_use", "thinking", "redacted_thinking", "server_tool_use",
                     "mcp_tool_use", "mcp_tool_result", "container_upload", "server")
        if not self.listing("messages", messages, 1):
            return
        turns = []
        for i, message in enumerate(messages):
            place = f"messages[{i}]"
            if not self.known(place, message, ("role", "content"), ("role", "content")):
                continue
            if not self.word(f"{place}.role", message["role"], ("user", "assistant")):
                continue
            last = i == len(messages) - 1 and message["role"] == "assistant"
            blocks = self.content(f"{place}.content", message["content"],
                                  user if message["role"] == "user" else assistant,
                                  0 if last else 1)
            if turns and turns[-1][0] == message["role"]:
                turns[-1][2].extend(blocks)
            else:
                turns.append((message["role"], place, list(blocks)))
        if turns and turns[0][0] != "user":
            self.bad("messages[0].role", "the first message must use the user role")
        self.pairs(turns)
        self.prefill(messages, turns)

    def pairs(self, turns):
        """Every call has its result in the next turn, before anything else; and no other result."""
        seen = set()
        for n, (role, place, blocks) in enumerate(turns):
            calls = [b.get("id") for b in blocks if b.get("type") == "tool_use"]
            results = [b.get("tool_use_id") for b in blocks if b.get("type") == "tool_result"]
            for call in calls:
                if call in seen:
                    self.bad(place, f"tool_use ids must be unique: {call}")
                seen.add(call)
            if role == "assistant" and calls:
                after = turns[n + 1][2] if n + 1 < len(turns) else []
                answered = [b.get("tool_use_id") for b in after if b.get("type") == "tool_result"]
                for call in calls:
                    if call not in answered:
                        self.bad(place, f"tool_use {call} has no tool_result right after it")
            if results:
                before = turns[n - 1][2] if n else []
                asked = [b.get("id") for b in before if b.get("type") == "tool_use"]
                for result in results:
                    if result not in asked:
                        self.bad(place, f"tool_result {result} has no tool_use right before it")
                    if results.count(result) > 1:
                        self.bad(place, f"tool_result {result} comes twice")
                if any(b.get("type") != "tool_result" for b in blocks[:len(results)]):
                    self.bad(place, "tool_result blocks must come before other content")

    def prefill(self, messages, turns):
        last = messages[-1] if isinstance(messages[-1], dict) else {}
        if last.get("role") == "assistant":
            text = last.get("content")
            if isinstance(text, list):
                text = text[-1].get("text", "") if text else ""
            if isinstance(text, str) and text != text.rstrip():
                self.bad("messages", "the final assistant content cannot end with whitespace")
            if self.thinks():
                self.bad("messages", "with thinking, the last message must not be the assistant's")
        if self.body.get("thinking", {}).get("type") == "enabled" and len(turns) > 1:
            role, place, blocks = turns[-2]
            if role == "assistant" and any(b.get("type") == "tool_use" for b in blocks) and \
                    blocks[0].get("type") not in ("thinking", "redacted_thinking"):
                self.bad(place, "with thinking, a final assistant turn with calls must begin with "
                                "its thought")

    def thinks(self):
        return (self.body.get("thinking") or {}).get("type") in ("enabled", "adaptive")

    # ---- Parameters.

    def thinking(self, thinking):
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        if not self.word("thinking.type", kind, ("enabled", "disabled", "adaptive")):
            return
        keys = {"enabled": ("type", "budget_tokens", "display"), "adaptive": ("type", "display"),
                "disabled": ("type",)}[kind]
        self.known("thinking", thinking, keys, ("budget_tokens",) if kind == "enabled" else ())
        if "display" in thinking:
            self.word("thinking.display", thinking["display"], ("summarized", "omitted"))
        if "budget_tokens" in thinking:
            self.integer("thinking.budget_tokens", thinking["budget_tokens"], 1024)
            limit = self.body.get("max_tokens")
            if isinstance(limit, int) and thinking["budget_tokens"] >= limit:
                self.bad("thinking.budget_tokens", f"must be less than max_tokens ({limit})")
        if kind == "disabled":
            return
        if self.body.get("temperature", 1) != 1:
            self.bad("temperature", "may only be set to 1 when thinking is enabled")
        if "top_k" in self.body:
            self.bad("top_k", "must be unset when thinking is enabled")
        if not 0.95 <= self.body.get("top_p", 1) <= 1:
            self.bad("top_p", "must be between 0.95 and 1 when thinking is enabled")
        if (self.body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            self.bad("tool_choice", "thinking may not be enabled when tool_choice forces tool use")

    def sampling(self, body):
        self.optional(body, "temperature", self.number, "", 0, 1)
        self.optional(body, "top_p", self.number, "", 0, 1)
        self.optional(body, "top_k", self.integer, "", 0)
        if "temperature" in body and "top_p" in body and ONE_SAMPLER.search(body.get("model", "")):
            self.bad("top_p", "temperature and top_p cannot both be specified for this model")
        if "stop_sequences" in body and self.strings("stop_sequences", body["stop_sequences"]):
            for i, text in enumerate(body["stop_sequences"]):
                if not text.strip():
                    self.bad(f"stop_sequences[{i}]", "each must contain non-whitespace")

    def tools(self, tools):
        if not self.listing("tools", tools):
            return
        names = [t.get("name") for t in tools if isinstance(t, dict)]
        for name in {n for n in names if n and names.count(n) > 1}:
            self.bad("tools", f"tool names must be unique: {name}")
        for i, tool in enumerate(tools):
            self.tool(f"tools[{i}]", tool)

    def tool(self, place, tool):
        if not isinstance(tool, dict):
            self.bad(place, "expected an object")
            return
        if tool.get("cache_control") is not None:
            self.mark(f"{place}.cache_control", tool["cache_control"])
        kind = tool.get("type", "custom")
        if kind != "custom":
            if not SERVER_TOOL.match(kind):
                self.bad(f"{place}.type", f"{kind!r} is no known tool")
            elif kind != "mcp_toolset":
                self.string(f"{place}.name", tool.get("name"), empty=False)
            return
        keys = ("type", "name", "description", "input_schema", "cache_control", "strict",
                "eager_input_streaming", "defer_loading", "allowed_callers", "input_examples")
        if not self.known(place, tool, keys, ("name", "input_schema")):
            return
        self.string(f"{place}.name", tool["name"], pattern=TOOL_NAME)
        self.optional(tool, "description", self.string, place)
        self.optional(tool, "strict", self.boolean, place)
        schema = tool["input_schema"]
        if not isinstance(schema, dict) or schema.get("type") != "object":
            self.bad(f"{place}.input_schema.type", "field required, and must be 'object'")
        else:
            for word in ("oneOf", "allOf", "anyOf"):
                if word in schema:
                    self.bad(f"{place}.input_schema", f"does not support {word} at the top level")
            if tool.get("strict") is True:
                self.schema(f"{place}.input_schema", schema)

    def schema(self, place, schema):
        """The subset that constrained answers take."""
        if not isinstance(schema, dict):
            return
        for word in SCHEMA_WORDS_REFUSED:
            if word in schema:
                self.bad(place, f"property {word!r} is not supported")
        if schema.get("minItems", 0) not in (0, 1):
            self.bad(place, "minItems may be 0 or 1 only")
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            self.bad(place, "for 'object' type, 'additionalProperties' must be explicitly set to "
                            "false")
        for name, inner in (schema.get("properties") or {}).items():
            self.schema(f"{place}.properties.{name}", inner)
        for name in ("$defs", "definitions"):
            for key, inner in (schema.get(name) or {}).items():
                self.schema(f"{place}.{name}.{key}", inner)
        self.schema(f"{place}.items", schema.get("items"))
        for name in ("anyOf", "allOf"):
            for i, inner in enumerate(schema.get(name) or []):
                self.schema(f"{place}.{name}[{i}]", inner)

    def tool_choice(self, choice):
        kind = choice.get("type") if isinstance(choice, dict) else None
        if not self.word("tool_choice.type", kind, ("auto", "any", "tool", "none")):
            return
        keys = ("type",) + (("name",) if kind == "tool" else ())
        if kind != "none":
            keys += ("disable_parallel_tool_use",)
        self.known("tool_choice", choice, keys, ("name",) if kind == "tool" else ())
        self.optional(choice, "disable_parallel_tool_use", self.boolean, "tool_choice")
        tools = self.body.get("tools") or []
        if not tools:
            self.bad("tool_choice", "may only be specified while providing tools")
        if kind == "tool" and choice.get("name") not in [t.get("name") for t in tools]:
            self.bad("tool_choice", f"tool {choice.get('name')!r} is not among the tools")

    def output_config(self, config):
        if not self.known("output_config", config, ("effort", "format", "task_budget")):
            return
        if "effort" in config:
            self.word("output_config.effort", config["effort"],
                      ("low", "medium", "high", "xhigh", "max"))
        form = config.get("format")
        if form is not None and self.known("output_config.format", form, ("type", "schema"),
                                           ("type", "schema")):
            self.word("output_config.format.type", form["type"], ("json_schema",))
            self.schema("output_config.format.schema", form["schema"])

    def all(self):
        body = self.body
        if not self.known("", body, MEMBERS, ("model", "messages", "max_tokens")):
            return
        self.string("model", body["model"], empty=False)
        self.integer("max_tokens", body["max_tokens"], 1)
        if "system" in body:
            self.content("system", body["system"], ("text",))
        self.messages(body["messages"])
        self.sampling(body)
        self.optional(body, "stream", self.boolean)
        for name in ("thinking", "tools", "tool_choice", "output_config"):
            if name in body:
                getattr(self, name)(body[name])
        if "metadata" in body and self.known("metadata", body["metadata"], ("user_id",)):
            self.optional(body["metadata"], "user_id", self.string, "metadata", True, None, 256)
        if "service_tier" in body:
            self.word("service_tier", body["service_tier"], ("auto", "standard_only"))
        check_model(self, body)
        if self.marks > 4:
            self.bad("cache_control", f"a maximum of 4 marks may be provided, found {self.marks}")


def check(request):
    checker = Checker(request)
    checker.all()
    return checker.complaints


def check_sent(sent, meta):
    rules = Rules()
    headers = {name.lower(): value for name, value in sent["headers"]}
    if sent["method"] != "POST" or not sent["path"].endswith("/messages"):
        rules.bad("path", f"{sent['method']} {sent['path']}, expected POST .../messages")
    if headers.get("anthropic-version") != "2023-06-01":
        rules.bad("header anthropic-version", f"{headers.get('anthropic-version')!r}")
    if headers.get("content-type", "").split(";")[0] != "application/json":
        rules.bad("header content-type", f"{headers.get('content-type')!r}")
    if sent["secret_header"] not in (["x-api-key", ""], ["authorization", "Bearer "]):
        rules.bad("secret header", f"{sent['secret_header']}, expected x-api-key")
    return rules.complaints
