"""Canonical requests written by hand, one a feature, against the rules of each API."""
import json
from pathlib import Path

from driver import DriveDied, bytes_of
from summary import short

FEATURES = Path(__file__).resolve().parent / "features.json"
# Members that ask for what is so anyway: leaving them out loses nothing.
DEFAULTS = {"tool_choice": ("auto", "none"), "parallel_tool_calls": (True,), "stream": (False,),
            "response_format": ({"type": "text"},), "thinking": ({"type": "disabled"},),
            "reasoning_effort": ("none",), "modalities": (["text"],), "store": (False,),
            "function_call": ("auto", "none"), "temperature": (1,), "top_p": (1,),
            "service_tier": ("auto",), "n": (1,)}
# Members below the top that a provider has to carry or to report.
INNER = ("name", "refusal", "reasoning_details", "cache_control", "detail", "description", "strict",
         "required", "enum")
NEVER = ("model", "messages", "stream", "stream_options", "functions", "tools")


def load_features():
    return json.loads(FEATURES.read_text())


def request_of(feature):
    """The body; of one without messages the model is the deployment's, for nothing else says it."""
    return dict({"model": "some-model"}, **feature["request"])


def target_of(model):
    return {"model": model, "max_output_tokens": 16384, "context_length": 200000}


def build(driver, body, model):
    """A chat request, or with `prompt` one to fill in the middle."""
    form = "fim/openai" if "prompt" in body else "chat/openai"
    return driver.run({"request": json.dumps(body), "target": target_of(model), "format": form,
                       "reply": None})


def is_default(key, value):
    return value in DEFAULTS.get(key, ())


def without_each(value, path=()):
    """(path, value without what stands there) for each member that may not be lost in silence. What
    names a thing (a function, a call's function) is not left out: the request would be another."""
    if isinstance(value, dict):
        for key, inner in value.items():
            here = path + (key,)
            top = len(path) == 0
            named = key == "name" and not (len(path) == 2 and path[0] == "messages" and
                                           value.get("role") in ("user", "assistant", "system"))
            if key not in NEVER and not named and not is_default(key, inner) and \
                    (top or key in INNER) and "properties" not in path and \
                    not (key == "reasoning_details" and "reasoning_content" in value):
                yield here, {k: v for k, v in value.items() if k != key}
            if not top or key in ("messages", "tools"):
                for place, changed in without_each(inner, here):
                    yield place, dict(value, **{key: changed})
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            for place, changed in without_each(inner, path + (i,)):
                yield place, value[:i] + [changed] + value[i + 1:]


def tools_unsent(body, sent):
    """{place: name} of the tools that are not sent at all."""
    names = {i: t["function"]["name"] for i, t in enumerate(body.get("tools") or [])
             if "function" in t}
    return {i: name for i, name in names.items() if json.dumps(name).encode() not in sent}


def chooses(body):
    """Does the request say that some tools are not to be called? Then they need not be sent."""
    choice = body.get("tool_choice")
    return choice == "none" or isinstance(choice, dict)


def lost_in_silence(driver, body, model, result):
    """Members whose leaving out changes nothing in what is sent, and that no report names."""
    sent, bad = bytes_of(result["sent"]["body"]), []
    reported = [r["field"] for r in result["reports"]]
    unsent = tools_unsent(body, sent)
    if unsent and not chooses(body):
        bad += [f"tool {name} is lost" for name in unsent.values() if not reported]
    for path, changed in without_each(body):
        if path[0] == "tools" and path[1] in unsent:
            continue
        other = build(driver, changed, model)
        key = str(path[-1])
        if other["status"] == "ok" and bytes_of(other["sent"]["body"]) == sent and \
                other["sent"]["path"] == result["sent"]["path"] and \
                other["sent"]["headers"] == result["sent"]["headers"] and \
                not any(key in field or (len(path) > 1 and str(path[-2]) in field.split(".")[-1:])
                        for field in reported):
            place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
            bad.append(f"{place} is lost, and no report says so; reported: {short(reported)}")
    return bad


def meta_of(model, feature):
    return {"model": model, "streaming": bool(feature["request"].get("stream")), "status": 200}


def judge_feature(api, driver, feature, model):
    """Complaints, or None when the plugin refused what it may refuse."""
    body = request_of(feature)
    result = build(driver, body, model)
    if result["status"] != "ok":
        fail = result.get("fail")
        who = getattr(api, "REFUSES_AS", ()) or (api.PROVIDER,)
        if set(who) & set(feature.get("may_refuse", ())) and fail and \
                result["status"] in ("unsupported", "input"):
            return None
        return [f"{result['where']} failed with {result['status']}: {short(fail or '')}"]
    try:
        sent = json.loads(bytes_of(result["sent"]["body"]))
    except ValueError as e:
        return [f"what is sent is not JSON: {e}"]
    bad = [f"API would refuse: {c}" for c in api.check(sent)]
    bad += [f"sent: {c}" for c in api.check_sent(result["sent"], meta_of(model, feature))]
    return bad + lost_in_silence(driver, body, model, result)


def judge_features(name, api, driver, only=""):
    """One answer a feature and model: True or False. What fails is printed."""
    answers = []
    for feature in load_features():
        if only not in feature["name"] or api.PLUGIN not in feature.get("only", (api.PLUGIN,)):
            continue
        for model in api.MODELS:
            try:
                bad = judge_feature(api, driver, feature, model)
            except DriveDied as e:
                bad = [str(e)]
            for line in (bad or [])[:4]:
                print(f"FAIL {name}: feature {feature['name']} for {model}: {line}")
            answers.append(not bad)
    return answers
