import pathlib

import pytest

from harness.mock import Mock


@pytest.fixture(scope="module")
def tmp(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="module")
def mock(tmp):
    with Mock(tmp) as m:
        yield m
