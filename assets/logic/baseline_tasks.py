"""How naive predictions are made and called, by task.

Belongs here: all that differs between tasks. Does not belong here: fitting and joining groups (`baselines.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from assets.logic.metrics import Floats, Labels
from assets.logic.metrics_quantities import around, residual_ends

Finish: TypeAlias = Callable[[Floats], Floats]
"""From what a group knows, shape (n, parts), to predictions in the shape of the task."""


@dataclass(frozen=True, kw_only=True)
class Naive:
    """How naive predictions of one task are made and called.

    Attributes:
        parts: What is averaged over groups, shape (n, parts), from labels and the number of classes.
        total: Of one part over a group: its average times the rows.
        finish: From labels and what is known of the same rows, to what makes predictions.
        constant, group: Name of the rule, title, and the sentence of the check; `{by}` stands for the columns.
    """

    parts: Callable[[Labels, int], Floats]
    total: Callable[[pl.Expr], pl.Expr]
    finish: Callable[[Labels, Floats], Finish]
    constant: tuple[str, str, str]
    group: tuple[str, str, str]


def naive_of(task: str) -> Naive:
    """How naive predictions of a task are made.

    Raises:
        ValueError: If there are none, naming the tasks that have some.
    """
    if task not in NAIVE:
        raise ValueError(f"task {task!r} has no naive predictions; known are {sorted(NAIVE)}")
    return NAIVE[task]


def _with_interval(floor: float) -> Callable[[Labels, Floats], Finish]:
    """Every interval is as wide as the residuals of the training rows say, one tail each."""

    def finish(label: Labels, known: Floats) -> Finish:
        ends = residual_ends(label, known[:, 0])
        return lambda points: around(points[:, 0], ends, floor)

    return finish


def _one_hot(label: Labels, classes: int) -> Floats:
    return np.eye(classes)[label.astype(np.int64)]


def _with_reserve(label: Labels, known: Floats) -> Finish:
    """A class without a row in training keeps the probability that models keep for it: 1 / (rows + 2)."""
    unseen, reserve = known.sum(axis=0) == 0, 1 / (len(label) + 2)
    return lambda shares: np.where(unseen, reserve, shares * (1 - reserve * unseen.sum()))


def _column(label: Labels, _: int) -> Floats:
    return label.astype(np.float64)[:, None]


_RATE: Final = ("base_rate", "base rate of the training rows", "Better than the base rate, paired by day.")
_GROUP_RATE: Final = ("group_rate", "rate by {by}", "Better than the rate of its group, paired by day.")
NAIVE: Final[Mapping[str, Naive]] = {
    "binary": Naive(
        parts=_column,
        total=pl.Expr.sum,
        finish=lambda *_: lambda rates: rates[:, 0],
        constant=_RATE,
        group=_GROUP_RATE,
    ),
    "multiclass": Naive(
        parts=_one_hot,
        total=pl.Expr.sum,
        finish=_with_reserve,
        constant=("base_rate", "class shares of the training rows", "Better than the class shares, paired by day."),
        group=("group_rate", "class shares by {by}", "Better than the class shares of its group, paired by day."),
    ),
    "regression": Naive(
        parts=_column,
        total=lambda part: part.median() * pl.len(),
        finish=_with_interval(-np.inf),
        constant=("constant", "median of the training rows", "Better than the median, paired by day."),
        group=("group_median", "median by {by}", "Better than the median of its group, paired by day."),
    ),
    "count": Naive(
        parts=_column,
        total=pl.Expr.sum,
        finish=_with_interval(0.0),
        constant=("constant", "mean of the training rows", "Better than the mean, paired by day."),
        group=("group_mean", "mean by {by}", "Better than the mean of its group, paired by day."),
    ),
}
