"""Who competes for going live, on which rows, and how one is compared with another.

Belongs here: the values a promotion is decided on, and paired comparisons of them. Does not belong here: limits and
verdicts (`promotion_rules.py`, `promotion.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.bootstrap import DayBlocks, Difference, mean_difference
from assets.logic.metrics import Floats, Labels, Measured, TaskMetrics, score, task_metrics
from assets.logic.metrics_interface import Margin
from assets.logic.wording import number
from assets.policies import PromotionPolicy

NO_REASON = "no reason was recorded"
MISSING_VALUE = "(missing)"


@dataclass(frozen=True, kw_only=True)
class UnseenRows:
    """The labelled rows all contenders are judged on.

    Attributes:
        label: Shape (n,).
        day: Partition day of each row, shape (n,), `datetime64[D]`.
        slices: Columns scores are guarded by, shape (n, n_slices).
    """

    label: Labels
    day: npt.NDArray[np.datetime64]
    slices: pl.DataFrame

    def __post_init__(self) -> None:
        count = len(self.label)
        if len(self.day) != count or (self.slices.width and len(self.slices) != count):
            raise ValueError(
                f"{count} labels, {len(self.day)} days and {len(self.slices)} slice rows do not belong together"
            )

    def slice_rows(self, rows: int, days: int) -> dict[str, npt.NDArray[np.bool_]]:
        """Members of each slice with at least so many rows and days, by `column=value`; missing is a value too."""
        found = {}
        for column in self.slices.columns:
            values = self.slices[column].cast(pl.String).fill_null(MISSING_VALUE)
            for value, count in values.value_counts().sort(column).iter_rows():
                members = (values == value).to_numpy()
                if count >= rows and len(np.unique(self.day[members])) >= days:
                    found[f"{column}={value}"] = members
        return found


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A challenger, the champion or a baseline, and what it says about the unseen rows.

    Attributes:
        prediction: In the shape of the task, see `score`; None if it could not be made, and then `problem` says why.
        version: Exact model version for people (`line/7`); None for a baseline.
        fingerprint: Equal for models made from the same data, code and configuration; None if it is not on record.
        trained_through: Last day whose labels it has seen; None if it is not on record.
        title: How a report calls it; by default its name without underscores.
    """

    name: str
    prediction: Floats | None
    version: str | None = None
    fingerprint: str | None = None
    trained_through: date | None = None
    problem: str | None = None
    title: str | None = None

    @property
    def shown(self) -> str:
        """The name in a sentence."""
        return self.title or self.name.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One challenger before the rules: all that a rule may look at."""

    challenger: Contender
    champion: Contender | None
    baselines: Sequence[Contender]
    rows: UnseenRows
    policy: PromotionPolicy
    metrics: TaskMetrics
    scores: Mapping[str, Measured]
    blocks: DayBlocks

    @classmethod
    def of(
        cls,
        challenger: Contender,
        champion: Contender | None,
        baselines: Sequence[Contender],
        rows: UnseenRows,
        *,
        policy: PromotionPolicy,
        task: str,
        blocks: DayBlocks,
    ) -> "Trial":
        """The trial of a challenger, with its scores."""
        made = challenger.prediction
        return cls(
            challenger=challenger,
            champion=champion,
            baselines=baselines,
            rows=rows,
            policy=policy,
            metrics=task_metrics(task),
            scores={} if made is None else score(task, rows.label, made),
            blocks=blocks,
        )

    @cached_property
    def problem(self) -> str | None:
        """Why the challenger has no scores, or None."""
        return self._problem_of(self.challenger)

    @property
    def loss(self) -> float:
        """Mean loss per row, infinite where it could not be measured."""
        measured = self.scores.get(self.metrics.loss)
        return float("inf") if measured is None or measured.value is None else measured.value

    @property
    def loss_name(self) -> str:
        """The deciding metric in words."""
        return self.metrics.deciding.name

    def shown(self, loss: float) -> str:
        """A loss, or a difference of losses, in words."""
        return number(loss, self.metrics.deciding.unit)

    @property
    def leakage_ceiling(self) -> float:
        """The policy's, or that of the task."""
        declared = self.policy.leakage_ceiling
        return self.metrics.limits.leakage_ceiling if declared is None else declared

    @property
    def calibration_limit(self) -> float:
        """The policy's, or that of the task; on few rows, as much as a model without fault is off by chance."""
        declared, made = self.policy.calibration_limit, self.challenger.prediction
        limit = self.metrics.limits.calibration_limit if declared is None else declared
        noise = 0.0 if made is None or self.problem else self.metrics.calibration_noise(self.rows.label, made)
        return max(limit, noise)

    @property
    def margin(self) -> float | None:
        """How much worse than the champion is accepted, in loss per row; None if that depends on one without scores."""
        loss = None
        if self.champion is not None and self.champion.prediction is not None and not self._problem_of(self.champion):
            loss = float(self.metrics.row_loss(self.rows.label, self.champion.prediction).mean())
        return self._margin(self.policy.margin, self.metrics.limits.margin, loss)

    def against(self, other: Contender) -> Difference:
        """Challenger minus other in loss per row, paired, bounds at the policy's confidence."""
        ours, theirs = self.challenger.prediction, other.prediction
        problem = self.problem or self._problem_of(other)
        if ours is None or theirs is None or problem:
            return Difference(mean=None, low=None, high=None, reason=problem)
        difference = self.metrics.row_loss(self.rows.label, ours) - self.metrics.row_loss(self.rows.label, theirs)
        return mean_difference(difference, self.blocks, confidence=self.policy.confidence)

    def against_own_constant(self, rows: npt.NDArray[np.bool_], confidence: float) -> tuple[Difference, float | None]:
        """Challenger minus the constant that is best for exactly these rows, in loss per row, and what is accepted."""
        made, label = self.challenger.prediction, self.rows.label
        if made is None or self.problem:
            return Difference(mean=None, low=None, high=None, reason=self.problem), None
        own = self.metrics.row_loss(label, self.metrics.constants(label[rows], made))
        difference = mean_difference(
            self.metrics.row_loss(label, made) - own, self.blocks, confidence=confidence, rows=rows
        )
        return difference, self.slice_margin(float(own[rows].mean()))

    def slice_margin(self, own: float | None) -> float | None:
        """How much worse than a slice's own constant is accepted; None if that depends on its mean loss `own`."""
        return self._margin(self.policy.slice_margin, self.metrics.limits.slice_margin, own)

    def _margin(self, declared: float | None, default: Margin, other: float | None) -> float | None:
        return default.over(other, self._constant_loss) if declared is None else declared

    @cached_property
    def _constant_loss(self) -> float:
        """Mean loss of the constant that is best for all rows."""
        made, label = self.challenger.prediction, self.rows.label
        if made is None or self.problem:
            return 0.0
        return float(self.metrics.row_loss(label, self.metrics.constants(label, made)).mean())

    def _problem_of(self, contender: Contender) -> str | None:
        if contender.prediction is None:
            return f"{contender.shown} has no predictions ({contender.problem or NO_REASON})"
        return self.metrics.undefined(self.rows.label, contender.prediction)
