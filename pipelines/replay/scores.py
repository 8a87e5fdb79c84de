"""How good the contenders of a replay were: by day, by month and in all, and how sure their differences are.

Belongs here: measuring given answers; pure. Does not belong here: where the answers come from (`contenders.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from assets.logic.bootstrap import DECISION_RESAMPLES, RESAMPLES, DayBlocks, mean_difference
from assets.logic.metrics import Floats, Labels, task_metrics
from assets.logic.score_intervals import RESAMPLED, percentiles

CONFIDENCE: Final = 0.95
"""Of the two-sided intervals of differences."""
WHOLE: Final = "all"
"""Name of the period of all days."""


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
        label: As in `score`, shape (n > 0,).
        day: Of each row, shape (n,).
        predictions: By contender, as in `score`; gaps are those of the first one to the others.
        seed: Of the resamples of days.
    """
    spans: list[tuple[str, npt.NDArray[np.bool_], int | None]] = [(str(d), day == d, None) for d in np.unique(day)]
    month = day.astype("datetime64[M]")
    spans += [(str(m), month == m, seed) for m in np.unique(month)]
    spans.append((WHOLE, np.ones(len(day), dtype=bool), seed))
    return [
        period(
            task, name, label[rows], day[rows], {who: said[rows] for who, said in predictions.items()}, seed=resampled
        )
        for name, rows, resampled in spans
    ]


def period(
    task: str,
    name: str,
    label: Labels,
    day: npt.NDArray[np.datetime64],
    predictions: Mapping[str, Floats],
    *,
    seed: int | None,
) -> Period:
    """Scores of some rows, arguments as for `measure`; without a seed without gaps, as of a single day."""
    first, *others = predictions.values()
    names = list(predictions)[1:]
    gaps = (
        {}
        if seed is None
        else {who: _gaps(task, label, day, first, o, seed) for who, o in zip(names, others, strict=True)}
    )
    return Period(
        name=name,
        days=len(np.unique(day)),
        rows=len(label),
        scores={who: _scores(task, label, prediction) for who, prediction in predictions.items()},
        gaps=gaps,
    )


def _scores(task: str, label: Labels, prediction: Floats) -> dict[str, float | None]:
    """Both shown metrics. A day on which all labels are equal has a loss, and no score that ranks."""
    metrics = task_metrics(task)
    loss, rank = shown_metrics(task)
    metric = metrics.metrics[rank]
    has_none = metrics.undefined(label, prediction) or metric.undefined(label, prediction)
    return {
        loss: float(metrics.row_loss(label, prediction).mean()),
        rank: None if has_none else float(metric.value(label, prediction)),
    }


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
