"""Rules of a Mistral chat request, from the public reference of the API: its messages are models
that take no extra members."""
import json

from rules import Rules

MEMBERS = ("model", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed",
           "messages", "response_format", "tools", "tool_choice", "presence_penalty",
           "frequency_penalty", "n", "prediction", "parallel_tool_calls", "prompt_mode",
           "reasoning_effort", "safe_prompt", "metadata", "guardrails", "prompt_cache_key")
TOOL_ID, TOOL_NAME = r"[a-zA-Z0-9]{9}", r"[a-zA-Z0-9_-]{1,64}"
PARTS = {"text": ("type", "text"), "image_url": ("type", "image_url"),
         "document_url": ("type", "document_url", "document_name"), "reference":
         ("type", "reference_ids"), "file": ("type", "file_id"),
         "input_audio": ("type", "input_audio"), "thinking": ("type", "thinking", "closed",
                                                              "signature")}


class Checker(Rules):
    def __init__(self, body):
        super().__init__()
        self.body = body

    # ---- Messages.

    def part(self, place, part, allowed):
        kind = part.get("type", "text") if isinstance(part, dict) else None
        if not self.word(f"{place}.type", kind, allowed):
            return
        if not self.known(place, part, PARTS[kind], (PARTS[kind][1],)):
            return
        value = part[PARTS[kind][1]]
        if kind in ("text", "document_url", "file"):
            self.string(f"{place}.{kind}", value)
        elif kind == "image_url" and not isinstance(value, str):
            if self.known(f"{place}.image_url", value, ("url", "detail"), ("url",)):
                self.string(f"{place}.image_url.url", value["url"], empty=False)
        elif kind == "input_audio" and not isinstance(value, str):
            self.known(f"{place}.input_audio", value, ("data", "format"), ("data",))
        elif kind == "thinking" and self.listing(f"{place}.thinking", value):
            for i, inner in enumerate(value):
                self.part(f"{place}.thinking[{i}]", inner, ("text", "reference"))

    def content(self, place, content, allowed):
        if isinstance(content, str):
            return
        if self.listing(place, content):
            for i, part in enumerate(content):
                self.part(f"{place}[{i}]", part, allowed)

    def call(self, place, call):
        if not self.known(place, call, ("id", "type", "function", "index"), ("id", "function")):
            return
        self.string(f"{place}.id", call["id"], pattern=TOOL_ID)
        if call.get("type") is not None:
            self.word(f"{place}.type", call["type"], ("function",))
        if self.known(f"{place}.function", call["function"], ("name", "arguments"),
                      ("name", "arguments")):
            self.string(f"{place}.function.name", call["function"]["name"], pattern=TOOL_NAME)
            if not isinstance(call["function"]["arguments"], (str, dict)):
                self.bad(f"{place}.function.arguments", "expected a string or an object")

    def assistant(self, place, message):
        self.known(place, message, ("role", "content", "tool_calls", "prefix"))
        content, calls = message.get("content"), message.get("tool_calls") or []
        if not content and not calls:
            self.bad(place, "assistant message must have either content or tool_calls")
        if content is not None:
            self.content(f"{place}.content", content, ("text", "thinking", "reference"))
        for i, call in enumerate(calls):
            self.call(f"{place}.tool_calls[{i}]", call)
        return [c.get("id") for c in calls]

    def messages(self, messages):
        if not self.listing("messages", messages, 1):
            return
        waiting, last = [], None
        for i, message in enumerate(messages):
            place = f"messages[{i}]"
            role = message.get("role") if isinstance(message, dict) else None
            if not self.word(f"{place}.role", role, ("system", "user", "assistant", "tool")):
                continue
            if role == "tool":
                self.known(place, message, ("role", "content", "tool_call_id", "name"),
                           ("content", "tool_call_id"))
                self.string(f"{place}.tool_call_id", message.get("tool_call_id"), True, TOOL_ID)
                self.content(f"{place}.content", message.get("content") or "", tuple(PARTS))
                if message.get("tool_call_id") not in waiting:
                    self.bad(place, "is the result of no call right before it")
                else:
                    waiting.remove(message["tool_call_id"])
            else:
                if waiting:
                    self.bad(place, "not the same number of function calls and responses")
                waiting = []
            if role == "assistant":
                waiting = self.assistant(place, message)
                if len(set(waiting)) != len(waiting):
                    self.bad(place, "duplicate tool call id")
            elif role in ("user", "system") and \
                    self.known(place, message, ("role", "content"), ("content",)):
                allowed = ("text", "thinking") if role == "system" else \
                    ("text", "image_url", "document_url", "file", "input_audio", "reference")
                self.content(f"{place}.content", message["content"], allowed)
            last = message
        if waiting:
            self.bad("messages", "not the same number of function calls and responses")
        if last and (last["role"] == "system" and len(messages) > 1 or
                     last["role"] == "assistant" and not last.get("prefix")):
            self.bad("messages", f"expected last role user or tool (or assistant with prefix), got "
                                 f"{last['role']}")

    # ---- Parameters.

    def tools(self, tools):
        if not self.listing("tools", tools):
            return
        for i, tool in enumerate(tools):
            place = f"tools[{i}]"
            if not self.known(place, tool, ("type", "function"), ("function",)):
                continue
            self.word(f"{place}.type", tool.get("type", "function"), ("function",))
            function = tool["function"]
            if self.known(f"{place}.function", function, ("name", "description", "parameters",
                                                          "strict"), ("name", "parameters")):
                self.string(f"{place}.function.name", function["name"], pattern=TOOL_NAME)
                self.optional(function, "description", self.string, f"{place}.function")
                if not isinstance(function["parameters"], dict):
                    self.bad(f"{place}.function.parameters", "expected an object")

    def tool_choice(self, choice):
        if isinstance(choice, str):
            self.word("tool_choice", choice, ("auto", "none", "any", "required"))
        elif self.known("tool_choice", choice, ("type", "function"), ("function",)):
            self.known("tool_choice.function", choice["function"], ("name",), ("name",))

    def response_format(self, value):
        if not self.known("response_format", value, ("type", "json_schema"), ("type",)):
            return
        self.word("response_format.type", value["type"], ("text", "json_object", "json_schema"))
        if value["type"] == "json_schema" and \
                self.known("response_format", value, ("type", "json_schema"), ("json_schema",)):
            schema = value["json_schema"]
            self.known("response_format.json_schema", schema,
                       ("name", "description", "schema", "strict"), ("name", "schema"))

    def all(self):
        body = self.body
        if not self.known("", body, MEMBERS, ("model", "messages")):
            return
        self.string("model", body["model"], empty=False)
        self.messages(body["messages"])
        self.optional(body, "temperature", self.number, "", 0, 1.5)
        self.optional(body, "top_p", self.number, "", 0, 1)
        self.optional(body, "max_tokens", self.integer, "", 0)
        self.optional(body, "random_seed", self.integer, "", 0)
        self.optional(body, "presence_penalty", self.number, "", -2, 2)
        self.optional(body, "frequency_penalty", self.number, "", -2, 2)
        self.optional(body, "n", self.integer, "", 1)
        for name in ("stream", "safe_prompt", "parallel_tool_calls"):
            self.optional(body, name, self.boolean)
        if "stop" in body and not isinstance(body["stop"], str):
            self.strings("stop", body["stop"])
        for name in ("tools", "tool_choice", "response_format"):
            if body.get(name) is not None:
                getattr(self, name)(body[name])
        if "reasoning_effort" in body:
            self.word("reasoning_effort", body["reasoning_effort"], ("none", "high"))
        if body.get("prompt_mode") is not None:
            self.word("prompt_mode", body["prompt_mode"], ("reasoning",))


def check_fim(request):
    rules = Rules()
    keys = ("model", "prompt", "suffix", "temperature", "top_p", "max_tokens", "min_tokens",
            "stream", "stop", "random_seed", "metadata", "prompt_cache_key")
    if rules.known("", request, keys, ("model", "prompt")):
        rules.string("prompt", request["prompt"])
        rules.optional(request, "suffix", rules.string)
        rules.optional(request, "temperature", rules.number, "", 0, 1.5)
        rules.optional(request, "top_p", rules.number, "", 0, 1)
        rules.optional(request, "max_tokens", rules.integer, "", 0)
        rules.optional(request, "min_tokens", rules.integer, "", 0)
        rules.optional(request, "random_seed", rules.integer, "", 0)
        rules.optional(request, "stream", rules.boolean)
        if "stop" in request and not isinstance(request["stop"], str):
            rules.strings("stop", request["stop"])
    return rules.complaints


def check(request):
    if "prompt" in request:
        return check_fim(request)
    checker = Checker(request)
    checker.all()
    return checker.complaints


def check_sent(sent, meta):
    rules = Rules()
    headers = {name.lower(): value for name, value in sent["headers"]}
    path = "/fim/completions" if "prompt" in json.loads(sent["body"]) else "/chat/completions"
    if sent["method"] != "POST" or not sent["path"].endswith(path):
        rules.bad("path", f"{sent['method']} {sent['path']}, expected POST ...{path}")
    if headers.get("content-type", "").split(";")[0] != "application/json":
        rules.bad("header content-type", f"{headers.get('content-type')!r}")
    if sent["secret_header"] != ["authorization", "Bearer "]:
        rules.bad("secret header", f"{sent['secret_header']}, expected authorization: Bearer")
    return rules.complaints
