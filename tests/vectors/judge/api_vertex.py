"""Gemini on Vertex AI: the recordings of google, through plugin vertex. Body and reply are
Gemini's; path and credential are Vertex's own."""
import json

import api_google
from api_google import *  # noqa: F401,F403 (the same API but for what follows)
from rules import Rules
from rules_google import check_model, plain

PLUGIN = "vertex"
OPTIONS = {"project": "my-project", "location": "us-east5", "publisher": "google"}
PLACE = "/projects/my-project/locations/us-east5/publishers"


# Members that the Gemini API does not have; a client says them in Google's own words.
OWN = ("labels", "modelArmorConfig")


def to_canonical(request, meta):
    own = {key: request[key] for key in OWN if key in request}
    rest = {key: value for key, value in request.items() if key not in OWN}
    return {**api_google.to_canonical(rest, meta), **own}


def check_credential(rules, sent):
    scheme, params = sent["sign"] or (None, "{}")
    if scheme != "google-oauth" or not json.loads(params).get("scope", "").startswith("https://"):
        rules.bad("sign", f"{sent['sign']}, expected google-oauth with a scope")
    if sent["secret_header"]:
        rules.bad("secret header", f"{sent['secret_header']} beside a token")


def check_sent(sent, meta):
    rules = Rules()
    method = "streamGenerateContent?alt=sse" if meta.get("streaming") else "generateContent"
    model = (meta.get("model") or "some-model").removeprefix("models/")
    path = f"{PLACE}/google/models/{model}:{method}"
    if sent["method"] != "POST" or sent["path"] != path:
        rules.bad("path", f"{sent['method']} {sent['path']}, expected POST {path}")
    check_credential(rules, sent)
    check_model(rules, model, json.loads(sent["body"]))
    for i, content in enumerate(json.loads(sent["body"])["contents"]):
        if content.get("role") not in ("user", "model"):
            rules.bad(f"contents[{i}].role", "please use a valid role: user, model")
    return rules.complaints


def same(sent, native, meta):
    """Mixing its own tools with functions needs no word of the request on Vertex."""
    native = plain(native)
    native.get("toolConfig", {}).pop("includeServerSideToolInvocations", None)
    own = [f"{key}: {sent.get(key)}, expected {native.get(key)}"
           for key in OWN if plain(sent).get(key) != native.get(key)]
    return own + api_google.same(sent, native, meta)
