"""The whole evaluation as one value: scores of all contenders on the same unseen rows, and the decision.

Belongs here: measuring everything once. Does not belong here: how it looks (`assets/reports`), and what decides
(`promotion.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import polars as pl

from assets.logic.bootstrap import RESAMPLES, DayBlocks, Interval, intervals
from assets.logic.breakdowns import by_day, by_slice
from assets.logic.contenders import Contender, UnseenRows
from assets.logic.metrics import Floats, Measured, calibration_curve, score, task_metrics
from assets.logic.promotion import Decision, decide
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
        curves: Curves of the task, columns x and y; empty if nothing could be measured.
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
        contributions: Shape (n, n_features), in log odds, one column per column of `features`.
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
class Evaluation:
    """All that a report shows.

    Attributes:
        question: What is predicted, in a sentence.
        created_at: UTC.
        test: The test window, partition days.
        rows: Labelled rows in it.
        models: Challengers first, best first; then the champion, then the baselines.
        by_day: See `breakdowns.by_day`.
        slices: See `breakdowns.by_slice`.
        basis: Facts the evaluation rests on (table versions, code, seed, run), in the order to show them.
    """

    use_case: str
    question: str
    task: str
    created_at: datetime
    test: Window
    rows: int
    positive_share: float | None
    models: tuple[ModelScores, ...]
    by_day: pl.DataFrame
    slices: pl.DataFrame
    decision: Decision
    policy: PromotionPolicy
    basis: Mapping[str, str] = field(default_factory=dict)
    explanation: Explanation | None = None

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
    use_case: str,
    question: str,
    task: str,
    test: Window,
    policy: PromotionPolicy,
    seed: int,
    created_at: datetime,
    basis: Mapping[str, str],
    explanation: Explanation | None = None,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Score every contender on the same rows and decide.

    Args:
        challengers: New models.
        champion: The live model, None if there is none.
        baselines: Naive predictions.
        rows: Labelled rows of the test window that no model has learnt from.
        use_case: Its name.
        question: What is predicted, in a sentence.
        task: Kind of task, such as `binary`.
        test: The test window.
        policy: What is good enough.
        seed: Of the resamples.
        created_at: Now, UTC.
        basis: Facts to show: table versions, code version, run.
        explanation: Contributions of the features, if they were made.
        resamples: Of days, for the intervals.

    Raises:
        ValueError: If contenders and rows do not fit together.
    """
    decision = decide(challengers, champion, baselines, rows, policy, task=task, seed=seed)
    blocks = DayBlocks(rows.day, seed=seed, resamples=resamples)
    scored: list[tuple[Role, Contender]] = [("challenger", c) for c in challengers]
    scored += [("champion", champion)] if champion else []
    scored += [("baseline", b) for b in baselines]
    loss = task_metrics(task).loss
    models = [_scores(contender, role, rows, task=task, blocks=blocks) for role, contender in scored]
    predictions = {c.name: c.prediction for _, c in scored if c.prediction is not None}
    return Evaluation(
        use_case=use_case,
        question=question,
        task=task,
        created_at=created_at,
        test=test,
        rows=len(rows.label),
        positive_share=float(rows.label.mean()) if task == "binary" and len(rows.label) else None,
        models=tuple(sorted(models, key=lambda m: (ORDER.index(m.role), _or_last(m.metrics[loss])))),
        by_day=by_day(task, rows.label, rows.day, predictions),
        slices=by_slice(task, rows.label, rows.slices, predictions),
        decision=decision,
        policy=policy,
        basis=basis,
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
        calibration, curves = calibration_curve(rows.label, made), metrics.curves(rows.label, made)
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
