"""Claude on Vertex AI: the recordings of anthropic, through plugin vertex. The body is Anthropic's
without `model`, which stands in the path, and with `anthropic_version`."""
import json

import api_anthropic
import rules_anthropic
from api_anthropic import *  # noqa: F401,F403 (the same API but for what follows)
from api_vertex import PLACE, check_credential
from models_anthropic import check_model
from rules import Rules
from summary import Unsupported

PLUGIN, FORMAT = "vertex", None
REFUSES_AS = ("anthropic", "vertex_claude")
OPTIONS = {"project": "my-project", "location": "us-east5", "publisher": "anthropic"}
MODELS = ("claude-sonnet-4@20250514", "claude-sonnet-4-5@20250929", "claude-opus-4-7")
VERSION = "vertex-2023-10-16"


def has_address(value):
    """Vertex fetches nothing: "URL sources are not supported"."""
    if isinstance(value, list):
        return any(map(has_address, value))
    return isinstance(value, dict) and (
        (value.get("type") == "url" and "url" in value) or any(map(has_address, value.values())))


def to_canonical(request, meta):
    if has_address(request["messages"]):
        raise Unsupported("content at an address")
    return api_anthropic.to_canonical(request, meta)


def check(request):
    """Of what we send; a recorded request is Anthropic's own."""
    if "model" in request:
        return rules_anthropic.check(request) if "anthropic_version" not in request else \
            ["model: stands in the path"]
    bad = []
    if request.get("anthropic_version") != VERSION:
        bad.append(f"anthropic_version: {request.get('anthropic_version')!r}, expected {VERSION}")
    if has_address(request.get("messages")):
        bad.append("messages: URL sources are not supported")
    body = {k: v for k, v in request.items() if k != "anthropic_version"}
    return bad + rules_anthropic.check(dict(body, model="some-model"))


def check_sent(sent, meta):
    rules = Rules()
    method = "streamRawPredict" if meta.get("streaming") else "rawPredict"
    model = meta.get("model") or "some-model"
    path = f"{PLACE}/anthropic/models/{model}:{method}"
    if sent["method"] != "POST" or sent["path"] != path:
        rules.bad("path", f"{sent['method']} {sent['path']}, expected POST {path}")
    check_credential(rules, sent)
    check_model(rules, dict(json.loads(sent["body"]), model=model))
    return rules.complaints


def same(sent, native, meta):
    sent = {k: v for k, v in sent.items() if k != "anthropic_version"}
    return api_anthropic.same(dict(sent, model=native["model"]), native, meta)
