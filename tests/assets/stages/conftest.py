"""Homes of the flights line that are made once for the session; tests that write use a copy."""

import shutil
from pathlib import Path

import pytest

from tests.support import few_days
from tests.support.few_days import Home, Trained


@pytest.fixture
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All the days in a landing zone that nobody writes to."""
    return few_days.landed(tmp_path_factory.getbasetemp())


@pytest.fixture
def landing(landed: Path, tmp_path: Path) -> Path:
    """The registers and the first three days in a landing zone of its own."""
    folder = tmp_path / "landing"
    for name in ("planes/planes.csv", "airports/airports.csv", *THREE_FILES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(landed / name, folder / name)
    return folder


THREE_DAYS = few_days.days_between("2013-01-01", "2013-01-03")
THREE_FILES = [name(day) for day in THREE_DAYS for name in (few_days.flights_file, few_days.weather_file)]


@pytest.fixture
def empty(landing: Path, tmp_path: Path) -> Home:
    """Nothing but three landed days."""
    return Home(folder=tmp_path / "home", landing=landing)


@pytest.fixture
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """All the days up to cleaned; nobody writes to it."""
    return few_days.cleaned(tmp_path_factory.getbasetemp())


@pytest.fixture
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """All the days, and features of the last nineteen; nobody writes to it."""
    return few_days.ingested(tmp_path_factory.getbasetemp())


@pytest.fixture
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """All but the endpoint; nobody writes to it."""
    return few_days.trained(tmp_path_factory.getbasetemp())
