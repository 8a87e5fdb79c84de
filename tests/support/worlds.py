"""Rows with a known truth for each task, and models that are off from it by as much as one likes."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.contenders import Contender, UnseenRows
from assets.logic.metrics import task_metrics

DAYS = np.arange("2013-08-01", "2013-09-01", dtype="datetime64[D]")
CLASSES = ("bike", "car", "truck with a long trailer")
PUSHES = np.array([[0.0, 1.0, -1.0, -4.0], [1.0, -0.5, 0.3, 0.0]])
"""Log odds of each class (the last is rare) by a row's truth: an even part and a slope."""
Floats = npt.NDArray[np.float64]


def sigmoid(x: Floats) -> Floats:
    """Log odds to probability."""
    return 1 / (1 + np.exp(-x))


def softmax(x: Floats) -> Floats:
    """Probabilities of classes, shape (n, k)."""
    raised = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@dataclasses.dataclass
class World:
    """Rows with a known truth: the score of a model is the truth plus noise."""

    task: str
    truth: Floats
    rows: UnseenRows
    rng: np.random.Generator

    def model(self, name: str, noise: float = 0.3, **facts: object) -> Contender:
        """A challenger whose score is off by `noise`."""
        return self.says(name, self.truth + self.rng.normal(0, noise, len(self.truth)), **facts)

    def says(self, name: str, score: Floats, **facts: object) -> Contender:
        """A challenger that has this score, shape (n,)."""
        defaults: dict[str, Any] = {
            "fingerprint": name,
            "trained_through": date(2013, 7, 31),
            "version": f"line/{name}",
        }
        return Contender(name=name, prediction=ANSWERS[self.task](score), **{**defaults, **facts})

    def baselines(self) -> list[Contender]:
        """The constant that is best for these rows."""
        like = ANSWERS[self.task](self.truth)
        best = task_metrics(self.task).constants(self.rows.label, like)
        return [Contender(name="base_rate", prediction=best)]


def world(task: str, seed: int = 1, rows: int = 6000, days: int = 31) -> World:
    """Rows whose days differ, with a slice of three places."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.choice(DAYS[:days], rows))
    truth = rng.normal(0, 0.4, days)[np.searchsorted(DAYS, day)] + rng.normal(0, 1.0, rows)
    truth = truth - 1.2 if task == "binary" else truth
    label = LABELS[task](rng, truth)
    slices = pl.DataFrame({"origin": rng.choice(["A", "B", "C"], rows)})
    return World(task=task, truth=truth, rows=UnseenRows(label=label, day=day, slices=slices), rng=rng)


def _class_odds(truth: Floats) -> Floats:
    return np.asarray(PUSHES[0] + truth[:, None] * PUSHES[1], dtype=np.float64)


def _classes(rng: np.random.Generator, truth: Floats) -> npt.NDArray[np.int64]:
    reached = softmax(_class_odds(truth)).cumsum(axis=1)
    return np.asarray((rng.random((len(truth), 1)) > reached).sum(axis=1), dtype=np.int64)


SPREAD = 60.0
"""Standard deviation of a quantity around its truth; the truth itself has one of about 110."""


def _quantity(score: Floats) -> Floats:
    point = 500 + 100 * score
    return np.column_stack([point, point - 1.645 * SPREAD, point + 1.645 * SPREAD])


def _count(score: Floats) -> Floats:
    mean = np.exp(1.5 + 0.5 * score)
    return np.column_stack([mean, np.maximum(mean - 1.645 * np.sqrt(mean) - 0.5, 0), mean + 1.645 * np.sqrt(mean)])


ANSWERS: Mapping[str, Callable[[Floats], Floats]] = {
    "binary": sigmoid,
    "multiclass": lambda score: softmax(_class_odds(score)),
    "regression": _quantity,
    "count": _count,
}
LABELS: Mapping[str, Callable[[np.random.Generator, Floats], npt.NDArray[Any]]] = {
    "binary": lambda rng, truth: (rng.random(len(truth)) < sigmoid(truth)).astype(np.int8),
    "multiclass": _classes,
    "regression": lambda rng, truth: 500 + 100 * truth + rng.normal(0, SPREAD, len(truth)),
    "count": lambda rng, truth: rng.poisson(np.exp(1.5 + 0.5 * truth)).astype(np.float64),
}
