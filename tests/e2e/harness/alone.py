"""One of the two gateways whose clients call /v1, served there alone: the shipped snippets with the edits
that their own comments name."""
import json
import re

from .paths import SHIPPED


def _shipped(name):
    text = (SHIPPED / f"40-surface-{name}.json").read_text()
    return json.loads(re.sub(r"(?m)//.*$", "", text))["surfaces"][name]


def cailos():
    """The snippet 40-surface-cailos.json at /v1; `turnpike` is off, for it is not there."""
    surface = {**_shipped("cailos"), "base_path": "/v1"}
    for name in ("endpoints", "models", "manage", "guest_of"):
        del surface[name]
    return {"cailos": surface}


def kairosroute():
    """40-surface-kairosroute.json as it is, and the looks of it in 40-surface-turnpike.json."""
    theirs = _shipped("kairosroute")
    looks = {name: theirs[name] for name in ("header_prefix", "cost_headers", "words")}
    return {"kairosroute": theirs, "turnpike": {**_shipped("turnpike"), **looks}}
