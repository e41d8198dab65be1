"""The shipped catalog: every model that the documents name is in it, with all that lists show."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from harness.client import Client
from harness.gateway import KEY, Gateway
from harness.paths import PATIENCE, SHIPPED, SOURCE, TURNPIKE
from harness.proc import clean_env

DATA = SOURCE / "tests" / "unit" / "catalog" / "data"


@pytest.fixture(scope="module")
def shipped():
    names = {n for f in SHIPPED.glob("20-provider-*.json") for n in re.findall(r'"env": "(\w+)"', f.read_text())}
    env = {n: "http://127.0.0.1:9" if "URL" in n or "ENDPOINT" in n else "sk-0123456789abcdef" for n in names
           if n.endswith(("_API_KEY", "_BASE_URL", "_URL", "_ENDPOINT"))}
    gw = Gateway(endpoints={}, strategies={}, echo=False, env=env)
    try:
        for f in SHIPPED.glob("*.json"):
            shutil.copy(f, gw.conf_d)
        with gw:
            yield gw
    finally:
        shutil.rmtree(gw.dir, ignore_errors=True)


def documented():
    lines = (pathlib.Path(__file__).parent / "data" / "documented_models.txt").read_text().split("\n")
    return [line for line in lines if line and not line.startswith("#")]


def test_every_documented_model_is_there(shipped):
    models = {m["id"]: m for m in Client("127.0.0.1", shipped.port, key=KEY).get("/v1/models").json()["data"]}
    assert len(models) > 400
    for name in documented():
        m = models[name]
        assert m["name"] and m["owned_by"] and m["created"] > 1500000000, m
        assert m["context_length"] > 0 and m["top_provider"]["max_completion_tokens"] > 0, m
        assert float(m["pricing"]["prompt"]) > 0 and isinstance(m["capabilities"], list), m
        one = Client("127.0.0.1", shipped.port, key=KEY).get(f"/v1/models/{name}").json()
        assert one["id"] == name


def test_no_documented_model_leaves_the_premises_unasked():
    text = re.sub(r"(?m)//.*$", "", (SHIPPED / "61-models-documented.json").read_text())
    models = json.loads(text)["models"]
    local = {m for m in models if m.startswith("airouter-cloud/")}
    assert len(local) == 5
    for m in local:
        for d in models[m]["deployments"]:
            snippet = (SHIPPED / f"20-provider-{d['provider']}.json").read_text()
            assert re.search(r'"local": true', snippet), d


def test_shipped_snippets_are_as_the_importer_wrote_them(tmp_path):
    """An import over them finds none that was edited by hand, and would replace them all."""
    for f in [*SHIPPED.glob("*.json"), *SHIPPED.glob("*.jsonc")]:
        shutil.copy(f, tmp_path)
    r = subprocess.run([str(TURNPIKE), "catalog", "import", "--litellm", str(DATA / "litellm.json"), "--models-dev",
                        str(DATA / "models_dev.json"), "--output", str(tmp_path)], capture_output=True, text=True,
                       timeout=PATIENCE, env=clean_env())
    assert r.returncode == 0, r.stderr
    assert "was edited" not in r.stdout and "not made by the importer" not in r.stdout
    assert len(list(SHIPPED.glob("60-models-*.json"))) > 10
    left = "".join(f.read_text() for f in tmp_path.glob("60-models-*.json"))
    assert '"anthropic/claude-sonnet-4.5": {' in left and "claude-opus-4.8" not in left
