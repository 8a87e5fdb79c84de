"""What tests of several files begin with: homes of the flights line, and models and an endpoint of the toy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.serving.client import Endpoint
from tests.support import few_days
from tests.support.few_days import Home
from tests.support.serving import save_model, toy_endpoint


@pytest.fixture
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """All the days, and features of the last nineteen; made once for the session, and nobody writes to it."""
    return few_days.ingested(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two of the toy use case, unlike one another."""
    home = tmp_path_factory.mktemp("registry")
    return [save_model(home / str(seed), seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server of the toy use case that serves nothing yet."""
    with toy_endpoint(tmp_path_factory.mktemp("home")) as endpoint:
        yield endpoint
