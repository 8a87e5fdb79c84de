"""A small binary problem with everything awkward in it: gaps, rare and unseen categories, a label that drifts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.contracts import Feature
from assets.trainers.base import Fit, Rows, TrainingData
from assets.trainers.families import trainer

FEATURES = tuple(
    Feature(name=name, kind=kind, group="any", description="")
    for name, kind in (("load", "numeric"), ("colour", "categorical"), ("age", "numeric"), ("site", "categorical"))
)
QUICK = {
    "logistic_regression": {"min_frequency": 20},
    "catboost": {"iterations": 60, "depth": 3, "early_stopping_rounds": 10},
    "neural_network": {"epochs": 5, "width": 16, "batch_size": 256, "learning_rate": 0.01, "minimum_count": 20},
}


def rows(first: str, days: int, seed: int, *, rows_per_day: int = 100) -> Rows:
    """Rows of `days` days from `first`; the base rate falls slowly with the calendar."""
    random = np.random.default_rng(seed)
    n = days * rows_per_day
    day = np.repeat(np.datetime64(first) + np.arange(days), rows_per_day)
    load, age = random.normal(size=n), random.exponential(size=n)
    colour = random.choice(["red", "green", "blue", "rare"], size=n, p=[0.5, 0.3, 0.195, 0.005])
    log_odds = 1.5 * load - 0.7 * age + (colour == "green") * 1.0 - 0.5
    log_odds -= (day - np.datetime64("2021-01-01")).astype(float) / 60
    label = (random.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    frame = pl.DataFrame(
        {"colour": colour, "load": load, "age": age, "site": random.choice(["n", "s"], size=n), "other": "ignored"}
    ).with_columns(
        pl.when(pl.Series(random.random(n) > 0.1)).then("load").alias("load"),
        pl.when(pl.Series(random.random(n) > 0.05)).then("colour").alias("colour"),
    )
    return Rows(features=frame, label=label, day=day)


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
