"""How good the contenders of a replay were: by day, by month and in all, and how sure their differences are.

Belongs here: measuring given answers; pure. Does not belong here: where the answers come from (`contenders.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from assets.logic.bootstrap import DECISION_RESAMPLES, RESAMPLES, DayBlocks, mean_difference
from assets.logic.metrics import Floats, Labels, score, task_metrics
from assets.logic.score_intervals import RESAMPLED, percentiles

CONFIDENCE: Final = 0.95
"""Of the two-sided intervals of differences."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """By how much one contender's score lies above another's, with its interval; None, and a reason, where unknown."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Period:
    """Scores over some days.

    Attributes:
        name: A day or a month as ISO text, or `all`.
        scores: By contender and metric; None where a metric is not defined.
        gaps: By other contender and metric: the first contender's score minus its own.
    """

    name: str
    days: int
    rows: int
    scores: Mapping[str, Mapping[str, float | None]]
    gaps: Mapping[str, Mapping[str, Gap]]


def shown_metrics(task: str) -> tuple[str, str]:
    """What a replay tells of a task: the loss that decides promotions, and the score that ranks (AUC for classes)."""
    metrics = task_metrics(task)
    return metrics.loss, metrics.leakage


def measure(
    task: str, label: Labels, day: npt.NDArray[np.datetime64], predictions: Mapping[str, Floats], *, seed: int
) -> list[Period]:
    """Scores of every day, of every month, and of all days, in this order.

    Args:
        task: Kind of task.
        label: As in `score`, shape (n,).
        day: Of each row, shape (n,).
        predictions: By contender, as in `score`; gaps are those of the first one to the others.
        seed: Of the resamples of days.
    """
    found = [
        _period(task, str(name), label, day, predictions, day == name, None) for name in np.unique(day)
    ]  # a single day has no resamples
    for name, rows in _longer(day):
        found.append(_period(task, name, label, day, predictions, rows, seed))
    return found


def _longer(day: npt.NDArray[np.datetime64]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    month = day.astype("datetime64[M]")
    for name in np.unique(month):
        yield str(name), month == name
    yield "all", np.ones(len(day), dtype=bool)


def _period(
    task: str,
    name: str,
    label: Labels,
    day: npt.NDArray[np.datetime64],
    predictions: Mapping[str, Floats],
    rows: npt.NDArray[np.bool_],
    seed: int | None,
) -> Period:
    said = {who: prediction[rows] for who, prediction in predictions.items()}
    chosen, scores = shown_metrics(task), {}
    for who, prediction in said.items():
        measured = score(task, label[rows], prediction)
        scores[who] = {metric: measured[metric].value for metric in chosen}
    first, *others = said
    gaps = {}
    if seed is not None:
        gaps = {who: _gaps(task, label[rows], day[rows], said[first], said[who], seed) for who in others}
    return Period(name=name, days=len(np.unique(day[rows])), rows=int(rows.sum()), scores=scores, gaps=gaps)


def _gaps(
    task: str, label: Labels, day: npt.NDArray[np.datetime64], one: Floats, other: Floats, seed: int
) -> dict[str, Gap]:
    """The differences between two contenders on the same rows, from the same resamples of whole days."""
    metrics = task_metrics(task)
    loss, rank = shown_metrics(task)
    lost = mean_difference(
        metrics.row_loss(label, one) - metrics.row_loss(label, other),
        DayBlocks(day, seed=seed, resamples=DECISION_RESAMPLES),
        confidence=(1 + CONFIDENCE) / 2,
    )
    return {
        loss: Gap(value=lost.mean, low=_bounded(lost.low), high=_bounded(lost.high), reason=lost.reason),
        rank: _ranked(task, rank, label, one, other, DayBlocks(day, seed=seed, resamples=RESAMPLES)),
    }


def _ranked(task: str, name: str, label: Labels, one: Floats, other: Floats, blocks: DayBlocks) -> Gap:
    """The difference of a score that has to be counted anew in each resample."""
    metrics = task_metrics(task)
    metric = metrics.metrics[name]
    reason = metrics.undefined(label, one) or metric.undefined(label, one)
    if reason:
        return Gap(value=None, low=None, high=None, reason=reason)
    value = float(metric.value(label, one) - metric.value(label, other))
    if blocks.too_few or name not in RESAMPLED:
        return Gap(value=value, low=None, high=None, reason=blocks.too_few or f"{name} is not resampled")
    resampled = RESAMPLED[name](label, one, blocks) - RESAMPLED[name](label, other, blocks)
    interval = percentiles(resampled, len(blocks.days), CONFIDENCE)
    return Gap(value=value, low=interval.low, high=interval.high, reason=interval.reason)


def _bounded(end: float | None) -> float | None:
    """An end that few, uneven days leave at infinity is none."""
    return end if end is not None and np.isfinite(end) else None
