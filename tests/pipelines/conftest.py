"""Homes of the flights line that are made once for the session; tests that write use a copy."""

import pytest

from tests.support import few_days
from tests.support.few_days import Home


@pytest.fixture
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """All the days, and features of the last nineteen; nobody writes to it."""
    return few_days.ingested(tmp_path_factory.getbasetemp())
