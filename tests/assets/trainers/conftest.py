"""Families fitted once for all tests; the data is in `cases.py`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assets.trainers.base import Fit, Rows, TrainingData
from assets.trainers.families import trainer
from tests.assets.trainers.cases import CASES, FEATURES, QUICK, QUICK_OF_ALL, Case, data_of, rows, rows_of


@pytest.fixture(scope="session", params=CASES, ids=lambda pair: f"{pair[0]}-{pair[1].rpartition(':')[2]}")
def case(request: pytest.FixtureRequest) -> Case:
    """Each task with each family in turn, made once per test session."""
    task, family = request.param
    data = data_of(task)
    fit = trainer(family).fit(data, QUICK_OF_ALL[family], lambda _: None)
    return Case(task=task, family=family, data=data, unseen=rows_of(task, "2021-02-08", 8, 3), fit=fit)


@pytest.fixture(scope="session")
def data() -> TrainingData:
    """30 days of training, 8 of validation."""
    return TrainingData(
        features=FEATURES, train=rows("2021-01-01", 30, 1), validation=rows("2021-01-31", 8, 2), seed=20210101
    )


@pytest.fixture(scope="session")
def unseen() -> Rows:
    """The 8 days after validation."""
    return rows("2021-02-08", 8, 3)


@pytest.fixture(scope="session")
def quick() -> dict[str, dict[str, float | int | str]]:
    """Parameters that make each family small and fast."""
    return QUICK


@pytest.fixture(scope="session", params=list(QUICK))
def family(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def fit_of(data: TrainingData) -> Callable[[str], Fit]:
    """The quick fit of a family, made once per test session."""
    made: dict[str, Fit] = {}

    def fit(name: str) -> Fit:
        if name not in made:
            made[name] = trainer(name).fit(data, QUICK[name], lambda _: None)
        return made[name]

    return fit


@pytest.fixture
def saved(family: str, fit_of: Callable[[str], Fit], tmp_path: Path) -> Path:
    """The folder of the saved quick model of the family."""
    fit_of(family).model.save(tmp_path)
    return tmp_path
