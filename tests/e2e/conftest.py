import pathlib

import pytest

from harness.acme import WHOLE
from harness.mock import Mock
from harness.scripted import Upstream, reply


@pytest.fixture(scope="module")
def tmp(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="module")
def mock(tmp):
    with Mock(tmp) as m:
        yield m


@pytest.fixture(scope="module")
def upstreams():
    """Answers everything with harness.acme.WHOLE, and keeps what it was asked."""
    with Upstream(lambda r: reply(200, WHOLE)) as u:
        yield u


@pytest.fixture(scope="module")
def boss(gw):
    """A management key of acme."""
    return gw.key(team="acme", role="management")
