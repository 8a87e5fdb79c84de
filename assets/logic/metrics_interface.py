"""What a task has to say about itself before its predictions can be measured, judged and reported.

Belongs here: the values that one task fills in, in `metrics_binary.py` and its like, and nothing that is true of one
task only. Does not belong here: which tasks there are and measuring with them; that is `metrics.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.wording import Unit

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.integer] | npt.NDArray[np.float64]

BINS: Final = 15
"""Quantile bins of calibration curves and errors; the number behind the 0.7 % that an honest model reaches (DATA.md
1.2)."""
SMALLEST_PROBABILITY: Final = 1e-7
"""A certain but wrong prediction costs 16 nats instead of infinity, so that one row cannot decide everything."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measurement, or the reason why there is none."""

    value: float | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number about predictions.

    Attributes:
        title: In the head of a table.
        value: From labels, shape (n,), and predictions.
        rows: Value of each row, shape (n,), if the metric is a mean over rows; such a mean has an interval.
        higher_is_better: None if neither is: a bias is best at 0.
        unit: How it is written.
        undefined: Reason why this one number does not exist although others do, or None.
        spoken: In a sentence; by default the title in small letters.
    """

    title: str
    value: Callable[[Labels, Floats], float]
    rows: Callable[[Labels, Floats], Floats] | None = None
    higher_is_better: bool | None = False
    unit: Unit = "score"
    undefined: Callable[[Labels, Floats], str | None] = lambda *_: None
    spoken: str = ""

    @property
    def name(self) -> str:
        """In a sentence."""
        return self.spoken or self.title.lower()


def mean_of(
    rows: Callable[[Labels, Floats], Floats],
    title: str,
    *,
    higher_is_better: bool | None = False,
    unit: Unit = "score",
    spoken: str = "",
) -> Metric:
    """The metric that is the mean of a value per row."""
    return Metric(
        title=title,
        value=lambda label, prediction: float(rows(label, prediction).mean()),
        rows=rows,
        higher_is_better=higher_is_better,
        unit=unit,
        spoken=spoken,
    )


@dataclass(frozen=True, kw_only=True)
class Margin:
    """How much worse than something else is accepted where a policy does not say.

    Attributes:
        value: In the unit of the loss; with `is_relative` a share of the other's loss.
        least: With `is_relative`: a share of the loss of the best constant on all rows, below which nobody notices. It
            keeps a slice whose labels are all but equal, where a constant is all but perfect, from refusing a model.
    """

    value: float
    is_relative: bool = False
    least: float = 0.0

    def over(self, other: float | None, overall: float) -> float | None:
        """The margin over a mean loss; None if it depends on one that is not known.

        Args:
            other: Mean loss of what is compared with.
            overall: Mean loss of the best constant on all rows.
        """
        if not self.is_relative:
            return self.value
        return None if other is None else max(self.value * other, self.least * overall)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a promotion asks where the policy of a use case does not say."""

    margin: Margin
    slice_margin: Margin
    leakage_ceiling: float
    calibration_limit: float


@dataclass(frozen=True, kw_only=True)
class Words:
    """What reasons and reports call things.

    Attributes:
        constant: The best constant prediction, as in "a plain rate predicts better".
        own: The constant that a slice has of its own, as the head of a column.
        meaning: What calibration means here, as a sentence that is true when it is good.
        trusted, untrusted: The verdicts about calibration.
        calibration: The measurement behind it, with the fields `value` and `limit`.
        leakage: The measurement behind the verdict about leakage, with the same fields.
        observed, predicted: Heads of the two columns beside the scores of a day or a slice.
        axes: Of a calibration curve: what was predicted, what was observed.
        contribution: The unit of a feature's contribution.
        raised: What a contribution to the right did.
        labels: What the labelled rows are like, from the facts of `TaskMetrics.labels`.
    """

    constant: str
    own: str
    meaning: str
    trusted: str
    untrusted: str
    calibration: str
    leakage: str
    observed: str
    predicted: str
    axes: tuple[str, str]
    contribution: str
    raised: str
    labels: Callable[[Mapping[str, float]], str]


@dataclass(frozen=True, kw_only=True)
class TaskMetrics:
    """What counts for one kind of task. Predictions have shape (n,) or (n, width); `width` is 1 for shape (n,).

    Attributes:
        metrics: By name, in the order of tables.
        row_loss: Loss of each row, shape (n,); its mean is the metric `loss`.
        loss: The metric that decides promotions; lower is better.
        leakage: The metric that is too good to be true above a ceiling.
        calibration: The metric that tells whether predictions mean what they say; lower is better.
        width: Columns of a prediction; None if classes decide it.
        undefined: Reason why nothing can be measured on these labels and predictions, or None.
        constant: The constant of least loss on these labels, shape () or (width,), from labels and width.
        labels: Facts about the labels of a test window.
        seen: Observed and predicted value of each row, shape (n,) each, whose means are shown beside scores.
        seen_unit: How these are written.
        calibration_curve: Columns predicted, observed and rows over bins of the prediction.
        calibration_noise: What `calibration` is at most, 19 times in 20, for a model without fault on these rows.
        curves: Further tables for pictures, by name; only for labels and predictions that can be measured.
    """

    metrics: Mapping[str, Metric]
    row_loss: Callable[[Labels, Floats], Floats]
    loss: str
    leakage: str
    calibration: str
    width: int | None
    undefined: Callable[[Labels, Floats], str | None]
    constant: Callable[[Labels, int], Floats]
    labels: Callable[[Labels], dict[str, float | None]]
    seen: Callable[[Labels, Floats], tuple[Floats, Floats]]
    seen_unit: Unit
    calibration_curve: Callable[[Labels, Floats], pl.DataFrame]
    calibration_noise: Callable[[Labels, Floats], float]
    curves: Callable[[Labels, Floats], dict[str, pl.DataFrame]]
    limits: Limits
    words: Words

    @property
    def deciding(self) -> Metric:
        """The metric that decides promotions."""
        return self.metrics[self.loss]

    def constants(self, label: Labels, like: Floats) -> Floats:
        """The constant of least loss on these labels for as many rows as `like` has, shape of `like`."""
        found = self.constant(label, 1 if like.ndim == 1 else like.shape[1])
        return np.broadcast_to(found, like.shape)


def binned(predicted: Floats, observed: Floats, bins: int = BINS, **also: Floats) -> pl.DataFrame:
    """Means in bins of equally many rows by `predicted`. Equal predictions always share a bin.

    Args:
        predicted: Shape (n,).
        observed: Shape (n,).
        bins: At most so many.
        **also: Further values whose means are wanted, shape (n,) each.

    Returns:
        Columns predicted, observed, rows and those of `also`, ordered by predicted, shape (<= bins, 3 and more).
    """
    edges = np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1])
    bin_of = np.searchsorted(edges, predicted, side="right")
    frame = pl.DataFrame({"bin": bin_of, "predicted": predicted, "observed": observed, **also})
    return (
        frame.group_by("bin")
        .agg(
            pl.col("predicted").mean(),
            pl.col("observed").cast(pl.Float64).mean(),
            pl.len().cast(pl.Int64).alias("rows"),
            *(pl.col(name).cast(pl.Float64).mean() for name in also),
        )
        .sort("bin")
        .drop("bin")
    )


def binned_distance(curve: pl.DataFrame) -> float:
    """Mean distance between the columns predicted and observed of a curve, weighted by rows."""
    distance = np.abs(curve["predicted"].to_numpy() - curve["observed"].to_numpy())
    return float(np.average(distance, weights=curve["rows"].to_numpy()))
