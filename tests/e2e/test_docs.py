"""What the pages show is true: their snippets are accepted, their commands exist, their links lead
somewhere."""
import json
import pathlib
import re
import subprocess

import pytest

from harness.gateway import Gateway
from harness.paths import SHIPPED, SOURCE, TURNPIKE
from harness.proc import clean_env

PAGES = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]


def json_of(page):
    """Snippets: fenced as json, and indented blocks that are one object."""
    text = page.read_text()
    out = re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)
    return [json.loads(b) for b in out]


def test_snippets_of_the_readme_together_with_the_shipped_ones(tmp_path):
    conf_d = tmp_path / "conf.d"
    conf_d.mkdir()
    for f in SHIPPED.glob("*.json"):
        (conf_d / f.name).write_text(f.read_text())
    snippets = json_of(SOURCE / "README.md")
    assert len(snippets) == 3
    for i, s in enumerate(snippets):
        (conf_d / f"90-{i}.json").write_text(json.dumps(s))
    r = subprocess.run([TURNPIKE, "check", tmp_path], capture_output=True, text=True, timeout=30,
                       env=clean_env(ACME_API_KEY="sk-x", WEBSITE_KEY="tp_live_0123456789abcdef"))
    assert r.returncode == 0, r.stderr
    assert "acme" not in r.stdout  # no notice: nothing of it is dormant


def test_the_tls_listener_of_operations():
    text = (SOURCE / "docs" / "operations.md").read_text()
    block = re.search(r"^    (\{ \"server\": \{ \"listen\".*?)\n\n", text, re.M | re.S).group(1)
    listen = json.loads(block)["server"]["listen"]
    assert set(listen) == {"address", "cert_file", "key_file"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_commands(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link
    known = subprocess.run([TURNPIKE, "help"], capture_output=True, text=True, timeout=30).stdout
    for command in set(re.findall(r"(?:^    |`)turnpike ([a-z]+)", text, re.M)):
        assert re.search(rf"\b{command}\b", known), f"turnpike {command}"
    for tool in set(re.findall(r"\btools/([a-z-]+)", text)):
        assert (SOURCE / "tools" / tool).exists(), tool


# The statements of the four documents that docs/compatibility.md has to speak of.
STATEMENTS = {"K": [1, 2, *range(18, 22), *range(34, 47)],
              "A": [*range(7, 11), *range(53, 71), *range(78, 83), *range(86, 93)],
              "Ki": [*range(48, 54), 57, 58], "C": [*range(2, 8), *range(61, 68), 72]}


def test_compatibility():
    """Each statement stands there once, in order, and the tests that it names exist."""
    here = pathlib.Path(__file__).parent
    rows = re.findall(r"^\| ((?:K|A|Ki|C)-\d+) \|(.*)\|$", (SOURCE / "docs" / "compatibility.md").read_text(), re.M)
    assert [id for id, _ in rows] == [f"{name}-{n}" for name, all in STATEMENTS.items() for n in all]
    for id, row in rows:
        cells = [c.strip() for c in row.split(" | ")]
        assert len(cells) == 4 and all(cells), id
        named = cells[3].split(", ")
        for test in named:
            found = re.fullmatch(r"`((?:http/)?test_\w+\.py)::(test_\w+)`", test)
            assert found, (id, test)
            text = (here / found[1]).read_text()
            assert re.search(rf"^def {found[2]}\(", text, re.M), (id, test)


def test_commands_answer():
    with Gateway() as gw:
        assert json.loads(gw.command("status"))["workers"] == 1
        assert "chat" in gw.command("plugins") and "ordered" in gw.command("plugins")
        assert gw.command("usage") is not None
        with gw.client(key=None) as c:
            assert c.get("/healthz").status == 200
