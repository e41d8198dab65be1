"""Rules of a Cohere chat request (version 2), from the public reference of the API."""
from rules import Rules

MEMBERS = ("stream", "model", "messages", "tools", "strict_tools", "documents", "citation_options",
           "response_format", "safety_mode", "max_tokens", "stop_sequences", "temperature", "seed",
           "frequency_penalty", "presence_penalty", "k", "p", "logprobs", "tool_choice", "thinking",
           "priority", "raw_prompting")


class Checker(Rules):
    def __init__(self, body):
        super().__init__()
        self.body = body

    # ---- Messages.

    def part(self, place, part, allowed):
        kind = part.get("type") if isinstance(part, dict) else None
        if not self.word(f"{place}.type", kind, allowed):
            return
        if kind == "text":
            if self.known(place, part, ("type", "text"), ("text",)):
                self.string(f"{place}.text", part["text"])
        elif kind == "thinking":
            if self.known(place, part, ("type", "thinking"), ("thinking",)):
                self.string(f"{place}.thinking", part["thinking"])
        elif kind == "image_url":
            if self.known(place, part, ("type", "image_url"), ("image_url",)) and \
                    self.known(f"{place}.image_url", part["image_url"], ("url", "detail"),
                               ("url",)):
                self.string(f"{place}.image_url.url", part["image_url"]["url"],
                            pattern=r"(https?://\S+|data:image/[\w.+-]+;base64,[A-Za-z0-9+/=]+)")
                if "detail" in part["image_url"]:
                    self.word(f"{place}.image_url.detail", part["image_url"]["detail"],
                              ("auto", "low", "high"))
        elif kind == "document":
            if self.known(place, part, ("type", "document"), ("document",)):
                self.document(f"{place}.document", part["document"])

    def content(self, place, content, allowed, empty=False):
        if isinstance(content, str):
            if not content and not empty:
                self.bad(place, "must not be empty")
            return
        if self.listing(place, content, 1):
            for i, part in enumerate(content):
                self.part(f"{place}[{i}]", part, allowed)

    def document(self, place, document):
        if isinstance(document, str):
            return
        if self.known(place, document, ("data", "id"), ("data",)):
            if not isinstance(document["data"], (str, dict)):
                self.bad(f"{place}.data", "expected an object or a string")
            self.optional(document, "id", self.string, place)

    def assistant(self, place, message):
        self.known(place, message, ("role", "content", "tool_calls", "tool_plan", "citations"))
        if message.get("content") is not None:
            self.content(f"{place}.content", message["content"], ("text", "thinking"), True)
        elif not message.get("tool_calls"):
            self.bad(place, "needs content or tool_calls")
        if message.get("tool_plan") is not None:
            self.string(f"{place}.tool_plan", message["tool_plan"])
        for i, call in enumerate(message.get("tool_calls") or []):
            self.call(f"{place}.tool_calls[{i}]", call)

    def call(self, place, call):
        if self.known(place, call, ("id", "type", "function"), ("id", "type", "function")) and \
                self.known(f"{place}.function", call["function"], ("name", "arguments"),
                           ("name", "arguments")):
            self.string(f"{place}.id", call["id"], empty=False)
            self.word(f"{place}.type", call["type"], ("function",))
            self.string(f"{place}.function.name", call["function"]["name"], empty=False)
            self.string(f"{place}.function.arguments", call["function"]["arguments"])

    def messages(self, messages):
        if not self.listing("messages", messages, 1):
            return
        waiting = []
        for i, message in enumerate(messages):
            place = f"messages[{i}]"
            role = message.get("role") if isinstance(message, dict) else None
            if not self.word(f"{place}.role", role, ("user", "assistant", "system", "tool")):
                continue
            if role == "tool":
                self.known(place, message, ("role", "tool_call_id", "content"),
                           ("tool_call_id", "content"))
                self.content(f"{place}.content", message.get("content", ""), ("text", "document"),
                             True)
                if message.get("tool_call_id") not in waiting:
                    self.bad(f"{place}.tool_call_id", "belongs to no call right before it")
                else:
                    waiting.remove(message["tool_call_id"])
                continue
            if waiting:
                self.bad(place, f"the calls {waiting} have no result before it")
            waiting = []
            if role == "assistant":
                self.assistant(place, message)
                waiting = [c.get("id") for c in message.get("tool_calls") or []]
                if len(set(waiting)) != len(waiting):
                    self.bad(place, "ids of calls must be unique")
            elif self.known(place, message, ("role", "content"), ("content",)):
                self.content(f"{place}.content", message["content"],
                             ("text", "image_url") if role == "user" else ("text",),
                             role == "system")
        if waiting:
            self.bad("messages", f"the calls {waiting} have no result")

    # ---- Parameters.

    def tools(self, tools):
        if not self.listing("tools", tools):
            return
        for i, tool in enumerate(tools):
            place = f"tools[{i}]"
            if not self.known(place, tool, ("type", "function"), ("type", "function")):
                continue
            self.word(f"{place}.type", tool["type"], ("function",))
            function = tool["function"]
            if self.known(f"{place}.function", function, ("name", "description", "parameters"),
                          ("name", "parameters")):
                self.string(f"{place}.function.name", function["name"], empty=False)
                self.optional(function, "description", self.string, f"{place}.function")
                if not isinstance(function["parameters"], dict):
                    self.bad(f"{place}.function.parameters", "expected an object")

    def response_format(self, value):
        kind = value.get("type") if isinstance(value, dict) else None
        if not self.word("response_format.type", kind, ("text", "json_object")):
            return
        self.known("response_format", value,
                   ("type", "schema", "json_schema") if kind == "json_object" else ("type",))
        if kind == "json_object" and (self.body.get("tools") or self.body.get("documents")):
            self.bad("response_format", "is not supported together with tools or documents")

    def thinking(self, value):
        if self.known("thinking", value, ("type", "token_budget"), ("type",)):
            self.word("thinking.type", value["type"], ("enabled", "disabled"))
            self.optional(value, "token_budget", self.integer, "thinking", 1)

    def all(self):
        body = self.body
        if not self.known("", body, MEMBERS, ("model", "messages", "stream")):
            return
        self.string("model", body["model"], empty=False)
        self.boolean("stream", body["stream"])
        self.messages(body["messages"])
        self.optional(body, "temperature", self.number, "", 0)
        self.optional(body, "p", self.number, "", 0.01, 0.99)
        self.optional(body, "k", self.integer, "", 0, 500)
        self.optional(body, "seed", self.integer, "", 0, 2**64 - 1)
        self.optional(body, "max_tokens", self.integer, "", 1)
        self.optional(body, "frequency_penalty", self.number, "", 0, 1)
        self.optional(body, "presence_penalty", self.number, "", 0, 1)
        self.optional(body, "stop_sequences", self.strings, "", 5, False)
        for name in ("logprobs", "strict_tools", "raw_prompting"):
            self.optional(body, name, self.boolean)
        for name in ("tools", "response_format", "thinking"):
            if name in body:
                getattr(self, name)(body[name])
        if "safety_mode" in body:
            self.word("safety_mode", body["safety_mode"], ("CONTEXTUAL", "STRICT", "OFF"))
        if "tool_choice" in body:
            self.word("tool_choice", body["tool_choice"], ("REQUIRED", "NONE"))
            if not body.get("tools"):
                self.bad("tool_choice", "needs tools")
        for i, document in enumerate(body.get("documents") or []):
            self.document(f"documents[{i}]", document)
        if "citation_options" in body and \
                self.known("citation_options", body["citation_options"], ("mode",)):
            self.optional(body["citation_options"], "mode", self.word, "citation_options",
                          ("FAST", "ACCURATE", "OFF", "ENABLED", "DISABLED", "fast", "accurate",
                           "off"))


def check(request):
    checker = Checker(request)
    checker.all()
    return checker.complaints


def check_sent(sent, meta):
    rules = Rules()
    headers = {name.lower(): value for name, value in sent["headers"]}
    if sent["method"] != "POST" or sent["path"] != "/chat":  # below a base_url that ends in /v2
        rules.bad("path", f"{sent['method']} {sent['path']}, expected POST /chat")
    if headers.get("content-type", "").split(";")[0] != "application/json":
        rules.bad("header content-type", f"{headers.get('content-type')!r}")
    if sent["secret_header"] != ["authorization", "Bearer "]:
        rules.bad("secret header", f"{sent['secret_header']}, expected authorization: Bearer")
    return rules.complaints
