"""A small problem of each task with everything awkward in it: gaps, rare and unseen categories, a label that drifts."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from assets.contracts import Feature
from assets.policies import Task
from assets.trainers.base import Fit, Rows, TrainingData
from assets.trainers.families import FAMILIES
from assets.trainers.fitted import FittedModel

FEATURES = tuple(
    Feature(name=name, kind=kind, group="any", description="")
    for name, kind in (("load", "numeric"), ("colour", "categorical"), ("age", "numeric"), ("site", "categorical"))
)
QUICK = {
    "logistic_regression": {"min_frequency": 20},
    "catboost": {"iterations": 60, "depth": 3, "early_stopping_rounds": 10},
    "neural_network": {"epochs": 5, "width": 16, "batch_size": 256, "learning_rate": 0.01, "minimum_count": 20},
}
OWN = "tests.assets.trainers.own_families"
QUICK_OF_ALL = {
    **QUICK,
    "neural_network": QUICK["neural_network"] | {"epochs": 12},
    "ridge": {"min_frequency": 20},
    f"{OWN}:forest": {},
    f"{OWN}:scaled": {},
}
CLASSES = ("blue", "green", "red")
OTHERS: tuple[Task, ...] = ("multiclass", "regression", "count")
CASES: list[tuple[Task, str]] = [
    *((task, name) for task in OTHERS for name in FAMILIES if task in FAMILIES[name].tasks),
    *((task, f"{OWN}:{name}") for task in ("binary", *OTHERS) for name in ("forest", "scaled")),
]
"""Every task with every family that can do it, but for the binary task with our own families: `test_families.py`."""


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


def rows_of(task: Task, first: str, days: int, seed: int) -> Rows:
    """The same rows with a label of the task. One in fifty is of a class that has no name."""
    made, random = rows(first, days, seed), np.random.default_rng(seed + 100)
    frame = made.features
    score = 1.5 * frame["load"].fill_null(0).to_numpy() - 0.7 * frame["age"].to_numpy()
    score += (frame["colour"] == "green").fill_null(value=False).to_numpy() * 1.0
    noise = random.normal(size=frame.height)
    if task == "regression":
        return Rows(features=frame, label=200 + 30 * score + 20 * noise, day=made.day)
    if task == "count":
        return Rows(features=frame, label=random.poisson(3 * np.exp(0.5 * score)).astype(np.float64), day=made.day)
    if task == "multiclass":
        label = np.digitize(score + 0.7 * noise, [-0.7, 0.7]).astype(np.int64)
        return Rows(features=frame, label=np.where(random.random(frame.height) < 0.02, 3, label), day=made.day)
    return made


def data_of(task: Task) -> TrainingData:
    """30 days of training, 8 of validation."""
    return TrainingData(
        task=task,
        classes=CLASSES if task == "multiclass" else (),
        features=FEATURES,
        train=rows_of(task, "2021-01-01", 30, 1),
        validation=rows_of(task, "2021-01-31", 8, 2),
        seed=20210101,
    )


@dataclass(frozen=True)
class Case:
    """A family fitted for a task."""

    task: Task
    family: str
    data: TrainingData
    unseen: Rows
    fit: Fit

    @property
    def model(self) -> FittedModel:
        assert isinstance(self.fit.model, FittedModel)
        return self.fit.model
