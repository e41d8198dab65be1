"""`turnpike catalog import`: snippets from data sets, made anew without touching what people
wrote."""
import json
import re
import subprocess

import pytest

from harness.paths import PATIENCE, SOURCE, TURNPIKE
from harness.proc import clean_env

DATA = SOURCE / "tests" / "unit" / "catalog" / "data"
KNOWN = ("openai anthropic google mistral cohere xai deepseek perplexity inception groq cerebras sambanova together "
         "fireworks deepinfra scaleway nscale tinfoil novita vertex bedrock openrouter").split()


class Place:
    """A configuration directory and the two data sets, which tests may change."""

    def __init__(self, top, providers=KNOWN):
        self.top, self.conf_d = top, top / "conf.d"
        self.conf_d.mkdir()
        self.litellm = json.loads((DATA / "litellm.json").read_text())
        self.models_dev = json.loads((DATA / "models_dev.json").read_text())
        self.write("20-providers.json", json.dumps({"providers": {p: {"plugin": "echo"} for p in providers}}))

    def write(self, name, text):
        (self.conf_d / name).write_text(text)

    def run(self, *more, code=0):
        (self.top / "litellm.json").write_text(json.dumps(self.litellm))
        (self.top / "models_dev.json").write_text(json.dumps(self.models_dev))
        argv = [TURNPIKE, "catalog", "import", "--litellm", self.top / "litellm.json", "--models-dev",
                self.top / "models_dev.json", "--output", self.conf_d, "--date", "2026-08-01", *more]
        r = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=PATIENCE, env=clean_env(),
                           stdin=subprocess.DEVNULL)
        assert r.returncode == code, (r.stdout, r.stderr)
        assert bool(r.stderr) == (code != 0 and not r.stdout), r
        return r.stdout or r.stderr

    def files(self):
        return {f.name: f.read_bytes() for f in self.conf_d.iterdir()}

    def models(self):
        out = {}
        for f in self.conf_d.glob("60-models-*.json"):
            out.update(json.loads(re.sub(r"(?m)^//.*$", "", f.read_text()))["models"])
        return out

    def check(self):
        r = subprocess.run([str(TURNPIKE), "check", str(self.top)], capture_output=True, text=True, timeout=PATIENCE,
                           env=clean_env())
        assert r.returncode == 0, r.stderr
        return r.stdout


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def holder(place, model):
    """The generated file that a model stands in."""
    f, = [f for f in place.conf_d.glob("60-models-*.json") if f'    "{model}": {{' in f.read_text()]
    return f


def test_import_twice_changes_nothing(place):
    said = place.run("--litellm-as-of", "2026-08-01", "--models-dev-as-of", "f3fc692")
    assert "added anthropic/claude-sonnet-4.5\n" in said and re.search(r"(\d+) models with .* \1 added, 0 changed, 0 gone",
                                                                       said)
    before = place.files()
    assert "is right" in place.check()
    for name, text in before.items():
        if name.startswith("60-"):
            first, *rest = text.decode().splitlines()
            assert first.startswith("// turnpike catalog 1 ") and "turnpike catalog import" in first
            head = "\n".join(rest[:5])
            assert "MIT licence" in head and "as of 2026-08-01" in head and "as of f3fc692" in head
    said = place.run("--litellm-as-of", "2026-08-01", "--models-dev-as-of", "f3fc692", "--check")
    assert "0 added, 0 changed, 0 gone" in said and said.endswith("Nothing to write.\n") and "added a" not in said
    place.run("--litellm-as-of", "2026-08-01", "--models-dev-as-of", "f3fc692")
    assert place.files() == before


def test_prices_are_those_of_the_data(place):
    place.run()
    m = place.models()["openai/gpt-4o"]
    price = next(d["price"] for d in m["deployments"] if d["provider"] == "openai")
    assert price == {"prompt": "0.0000025", "completion": "0.00001", "cache_read": "0.00000125"}
    assert m["context_length"] == 128000 and m["created"] == 1715558400 and "gpt-4o" in m["aliases"]


def test_new_data_is_told_and_written(place):
    place.run()
    place.litellm["gpt-4o"]["input_cost_per_token"] = 2e-06
    place.models_dev["openai"]["models"]["gpt-4o"]["cost"]["input"] = 2
    del place.litellm["gpt-4o-2024-05-13"], place.models_dev["openai"]["models"]["gpt-4o-2024-05-13"]
    place.models_dev["xai"] = {"models": {"grok-9": {"name": "Grok 9", "cost": {"input": 3, "output": 15}}}}
    before = place.files()
    for flags, code in (["--dry-run"], 0), (["--check"], 1):
        said = place.run(*flags, code=code)
        assert "changed openai/gpt-4o: openai/gpt-4o prompt 0.0000025 -> 0.000002\n" in said
        assert "gone openai/gpt-4o-2024-05-13\n" in said and "added xai/grok-9\n" in said
        assert "1 added, 1 changed, 1 gone" in said and "Wrote" not in said
        assert place.files() == before
    said = place.run()
    assert "1 added, 1 changed, 1 gone" in said and "Wrote" in said
    models = place.models()
    assert models["openai/gpt-4o"]["deployments"][0]["price"]["prompt"] == "0.000002"
    assert "openai/gpt-4o-2024-05-13" not in models and models["xai/grok-9"]["name"] == "Grok 9"
    place.check()


def test_what_people_wrote_stays(place):
    place.write("30-mine.json", '// by hand\n{"models": {"gpt-4o": {"deployments": [{"provider": "openai"}]},'
                                '"mistralai/codestral-2508": {"deployments": [{"provider": "openai"}]},}}')
    (place.conf_d / "60-models-zzz.json").write_text('{"models": {"z": {"deployments": [{"provider": "openai"}]}}}')
    mine = {n: t for n, t in place.files().items()}
    place.run()
    assert {n: t for n, t in place.files().items() if n in mine} == mine
    assert "gpt-4o" not in place.models()["openai/gpt-4o"].get("aliases", [])  # taken: check would refuse it
    place.check()


def test_an_edited_snippet_is_left_alone(place):
    place.run()
    f = holder(place, "anthropic/claude-sonnet-4.5")
    edited = f.read_text().replace('"0.000015"', '"0.00002"')
    assert edited != f.read_text()
    f.write_text(edited)
    place.litellm["claude-sonnet-4-5"]["output_cost_per_token"] = 1e-05
    place.models_dev["openai"]["models"]["gpt-4o-2024-05-13"]["name"] = "GPT-4o, the first"
    said = place.run()
    assert f"{f.name} was edited since it was made" in said and "--force" in said
    assert f.read_text() == edited
    place.check()
    place.run("--force")
    assert f.read_text() != edited and place.models()["openai/gpt-4o-2024-05-13"]["name"] == "GPT-4o, the first"
    assert '"0.00001"' in f.read_text()
    place.check()


def test_only_providers_that_are_there(tmp_path):
    place = Place(tmp_path, ["openrouter", "groq"])
    place.run()
    used = {d["provider"] for m in place.models().values() for d in m["deployments"]}
    assert used == {"openrouter", "groq"}
    place.check()
    place.run("--providers", "groq")
    assert {d["provider"] for m in place.models().values() for d in m["deployments"]} == {"groq"}
    assert "'grok'" in place.run("--providers", "grok", code=2)


def test_rules_beside_the_snippets(place):
    place.write("catalog-rules.jsonc", '{"exclude": ["openai/gpt-4o-2*"], // old\n "codenames": {"best": "openai/gpt-4o"},'
                                       '"include": ["groq/nothing"]}')
    said = place.run()
    models = place.models()
    assert "openai/gpt-4o-2024-05-13" not in models and models["best"]["deployments"][0]["model"] == "gpt-4o"
    assert "include: groq/nothing applies to nothing" in said
    place.check()
    place.write("catalog-rules.jsonc", '{"exclude": [1]}')
    before = place.files()
    assert "catalog-rules.jsonc:1:14: expected" in place.run(code=1)
    assert place.files() == before


def test_bad_data_writes_nothing(place):
    place.run()
    before = place.files()
    good = json.loads(json.dumps(place.models_dev))
    place.models_dev["openai"]["models"]["gpt-4o"]["cost"]["input"] = "2.5"
    assert re.search(r"models_dev\.json:1:\d+: input: expected a price.*\"2\.5\"", place.run(code=1))
    place.models_dev, place.litellm = {}, {}
    assert "the right files?" in place.run(code=1)
    place.models_dev = good
    assert "No such file" in place.run("--rules", place.top / "absent", code=1)
    assert place.files() == before


def test_a_directory_that_cannot_be_written_stays_as_it_was(place):
    place.run()
    place.litellm["gpt-4o"]["input_cost_per_token"] = 2e-06
    place.models_dev["xai"] = {"models": {f"grok-{i}": {"cost": {"input": 3, "output": 15}} for i in range(5)}}
    before = place.files()
    (place.conf_d / "60-models-xai.json").mkdir()  # the last of the files cannot be put into its place
    assert "60-models-xai.json" in place.run(code=1)
    (place.conf_d / "60-models-xai.json").rmdir()
    assert place.files() == before


def test_help():
    r = subprocess.run([str(TURNPIKE), "catalog", "help"], capture_output=True, text=True, timeout=PATIENCE)
    assert r.returncode == 0
    for option in "litellm models-dev rules providers output dry-run check force verbose date".split():
        assert f"--{option}" in r.stdout
    assert "--json" not in r.stdout
