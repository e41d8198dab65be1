"""OpenAI's own Node SDK against Turnpike; what it does stands in sdk_node.mjs."""
import json
import pathlib
import re
import subprocess

from harness.aimock import Aimock, node
from harness.gateway import KEY, Gateway, model, openai
from harness.paths import DEPS
from harness.proc import clean_env

HERE = pathlib.Path(__file__).parent


def test_node_sdk(tmp):
    with Aimock(tmp, json.loads((HERE / "sdk_fixtures.json").read_text())) as aimock:
        with Gateway(providers={"aimock": openai(aimock.url)},
                     models={"gpt": model(("aimock", "gpt-4o-mini"))}) as gw:
            r = subprocess.run(
                [node(), "--test", "--test-reporter=tap", HERE / "sdk_node.mjs"],
                env=clean_env(BASE_URL=gw.base_url, KEY=KEY, NODE_DEPS=str(DEPS / "node")),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200)
            assert r.returncode == 0, r.stdout[-8000:] + r.stderr[-4000:]
            passed = int(re.search(r"^# pass (\d+)$", r.stdout, re.M).group(1))
            assert passed == (HERE / "sdk_node.mjs").read_text().count("\ntest("), r.stdout[-2000:]
