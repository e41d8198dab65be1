"""What Claude models differ in, by their names, from the public reference: which take what."""
import re


def version_of(model):
    """(family, 100 * major + minor) of a model's name, or (None, 0) for a name of another kind."""
    found = re.search(r"claude-(\d)(?:[.-](\d))?-(opus|sonnet|haiku)", model)
    if found:
        return found[3], 100 * int(found[1]) + int(found[2] or 0)
    found = re.search(r"claude-(opus|sonnet|haiku|[a-z]+)-(\d)(?:[.-](\d)(?!\d))?", model)
    if found:
        return found[1], 100 * int(found[2]) + int(found[3] or 0)
    return None, 0


def check_model(rules, body):
    family, version = version_of(body.get("model", ""))
    if not family:
        return
    latest = version >= 500 or family == "opus" and version >= 407
    thinking = (body.get("thinking") or {}).get("type")
    if thinking == "enabled" and version < 307:
        rules.bad("thinking", "is not supported by this model")
    if thinking == "enabled" and latest:
        rules.bad("thinking.type", "'enabled' is not supported for this model; use 'adaptive'")
    if thinking == "adaptive" and version < 406:
        rules.bad("thinking.type", "'adaptive' is not supported for this model")
    config = body.get("output_config") or {}
    structured = version >= 405 or family == "opus" and version >= 401
    if config.get("format") and not structured:
        rules.bad("output_config.format", "is not supported by this model")
    if any(t.get("strict") for t in body.get("tools") or []) and not structured:
        rules.bad("tools", "strict is not supported by this model")
    effort = config.get("effort")
    if effort and not (version >= 406 or family == "opus" and version >= 405):
        rules.bad("output_config.effort", "is not supported by this model")
    if effort == "xhigh" and not latest:
        rules.bad("output_config.effort", "'xhigh' is not supported by this model")
    if latest:
        for name in ("temperature", "top_p", "top_k"):
            if body.get(name, 1) != 1:
                rules.bad(name, "is deprecated for this model")
