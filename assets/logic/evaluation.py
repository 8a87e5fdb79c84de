"""The whole evaluation as one value: scores of all contenders on the same unseen rows, and the decision.

Belongs here: measuring everything once. Does not belong here: how it looks (`assets/reports`), and what decides
(`promotion.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import polars as pl

from assets.logic.bootstrap import RESAMPLES, DayBlocks
from assets.logic.breakdowns import by_day, by_slice
from assets.logic.contenders import Contender, UnseenRows
from assets.logic.metrics import Floats, Measured, TaskMetrics, score, task_metrics
from assets.logic.promotion import Decision, decide
from assets.logic.score_intervals import Interval, intervals
from assets.logic.splits import Window
from assets.policies import PromotionPolicy

Role: TypeAlias = Literal["challenger", "champion", "baseline"]


@dataclass(frozen=True, kw_only=True)
class ModelScores:
    """What one contender reached on the unseen rows.

    Attributes:
        metrics: Every metric of the task; None with its reason where it is not defined.
        intervals: Of those that can be resampled by day, two-sided.
        calibration: Columns predicted, observed, rows; empty if nothing could be measured.
        curves: Further tables for pictures by name, those of the task; empty if nothing could be measured.
        problem: Why there are no scores, or None.
    """

    name: str
    title: str
    role: Role
    version: str | None
    metrics: Mapping[str, Measured]
    intervals: Mapping[str, Interval]
    calibration: pl.DataFrame
    curves: Mapping[str, pl.DataFrame]
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What moved the predictions of one model.

    Attributes:
        model: Name of the contender.
        contributions: Shape (n, n_features), one column per column of `features`, in the unit that the task's words
            name.
        features: The explained rows, shape (n, n_features).
    """

    model: str
    contributions: Floats
    features: pl.DataFrame

    def __post_init__(self) -> None:
        if self.contributions.shape != self.features.shape:
            raise ValueError(
                f"{self.model}: contributions have shape {self.contributions.shape}, features {self.features.shape}"
            )


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an evaluation is about.

    Attributes:
        question: What is predicted, in a sentence.
        task: Kind of task, such as `binary`.
        test: The test window, days.
        created_at: UTC.
        basis: Facts the evaluation rests on (table versions, code, seed, run), in the order to show them.
        classes: Of a multiclass task, what the columns of a prediction stand for, `OTHER` included.
    """

    use_case: str
    question: str
    task: str
    test: Window
    created_at: datetime
    basis: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that a report shows.

    Attributes:
        rows: Labelled rows in the test window.
        labels: Facts about their labels, by name, such as `positive_share`; None where there are no rows.
        models: Challengers first, best first; then the champion, then the baselines.
        by_day: See `breakdowns.by_day`.
        slices: See `breakdowns.by_slice`.
    """

    header: Header
    rows: int
    labels: Mapping[str, float | None]
    models: tuple[ModelScores, ...]
    by_day: pl.DataFrame
    slices: pl.DataFrame
    decision: Decision
    policy: PromotionPolicy
    explanation: Explanation | None = None

    @property
    def metrics(self) -> TaskMetrics:
        """What counts for the task."""
        return task_metrics(self.header.task)

    def model(self, name: str) -> ModelScores:
        """The scores of a contender.

        Raises:
            KeyError: If it did not take part, naming those who did.
        """
        for scores in self.models:
            if scores.name == name:
                return scores
        raise KeyError(f"{name!r} did not take part in the evaluation; {[m.name for m in self.models]} did")


def evaluate(
    challengers: Sequence[Contender],
    champion: Contender | None,
    baselines: Sequence[Contender],
    rows: UnseenRows,
    *,
    header: Header,
    policy: PromotionPolicy,
    seed: int,
    explanation: Explanation | None = None,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Score every contender on the same rows and decide.

    Args:
        challengers: New models.
        champion: The live model, None if there is none.
        baselines: Naive predictions.
        rows: Labelled rows of the test window that no model has learnt from.
        header: What the evaluation is about.
        policy: What is good enough.
        seed: Of the resamples.
        explanation: Contributions of the features, if they were made.
        resamples: Of days, for the intervals.

    Raises:
        ValueError: If contenders, rows and task do not fit together.
    """
    task, metrics = header.task, task_metrics(header.task)
    decision = decide(challengers, champion, baselines, rows, policy, task=task, seed=seed)
    blocks = DayBlocks(rows.day, seed=seed, resamples=resamples)
    scored: list[tuple[Role, Contender]] = [("challenger", c) for c in challengers]
    scored += [("champion", champion)] if champion else []
    scored += [("baseline", b) for b in baselines]
    models = [_scores(contender, role, rows, task=task, blocks=blocks) for role, contender in scored]
    predictions = {c.name: c.prediction for _, c in scored if c.prediction is not None}
    return Evaluation(
        header=header,
        rows=len(rows.label),
        labels=metrics.labels(rows.label),
        models=tuple(sorted(models, key=lambda m: (ORDER.index(m.role), _or_last(m.metrics[metrics.loss])))),
        by_day=by_day(task, rows.label, rows.day, predictions),
        slices=by_slice(task, rows.label, rows.slices, predictions),
        decision=decision,
        policy=policy,
        explanation=explanation,
    )


ORDER: tuple[Role, ...] = ("challenger", "champion", "baseline")


def _scores(contender: Contender, role: Role, rows: UnseenRows, *, task: str, blocks: DayBlocks) -> ModelScores:
    metrics, made = task_metrics(task), contender.prediction
    problem = contender.problem or "it made no predictions" if made is None else metrics.undefined(rows.label, made)
    if made is None or problem:
        measured = {name: Measured(value=None, reason=problem) for name in metrics.metrics}
        bounds, calibration, curves = {}, pl.DataFrame(), {}
    else:
        measured = score(task, rows.label, made)
        bounds = intervals(task, rows.label, made, blocks)
        calibration, curves = metrics.calibration_curve(rows.label, made), metrics.curves(rows.label, made)
    return ModelScores(
        name=contender.name,
        title=contender.shown,
        role=role,
        version=contender.version,
        metrics=measured,
        intervals=bounds,
        calibration=calibration,
        curves=curves,
        problem=problem,
    )


def _or_last(measured: Measured) -> float:
    return float("inf") if measured.value is None else measured.value
