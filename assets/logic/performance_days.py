"""What each day of predictions came to: loss, expected loss and residual, and the two statistics that are charted.

Belongs here: from rows to days. Does not belong here: what is kept of a version's days in control (`in_control.py`),
and trailing windows (`performance.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from assets.logic.expectations_of_loss import EXPECTATIONS
from assets.logic.metrics import Floats, task_metrics

Days = npt.NDArray[np.datetime64]
Flags = npt.NDArray[np.bool_]
NEVER: Final = np.datetime64("9999-01-01", "us")
"""When a label is known that has not come."""
TINY: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Predictions beside their labels, ordered by day.

    Attributes:
        day: Local day of each row, `datetime64[D]`, shape (n,), ascending.
        asked_at: UTC instant of each question, `datetime64[us]`.
        known_at: UTC instant at which the label is known, `NEVER` without one.
        refused_at: UTC instant at which a label came that is not a finite number, and so is not known; else `NEVER`.
        label: As in `score`; anything where there is none.
        prediction: As in `score`, shape (n,) or (n, width).
        version: Index of the model version that made it.
        is_classes: Whether the columns of a prediction are classes.
        loss, residual: NaN where there is no label.
        expected, expected_variance, variance: What the prediction says of itself; see `Expected`.
    """

    day: Days
    asked_at: Days
    known_at: Days
    refused_at: Days
    label: Floats
    prediction: Floats
    version: npt.NDArray[np.int64]
    is_classes: bool
    loss: Floats
    residual: Floats
    expected: Floats
    expected_variance: Floats
    variance: Floats

    def rows(self, chosen: slice | Flags) -> "ScoredRows":
        """Some of the rows, in the same order."""
        columns = {name: value[chosen] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return replace(self, **columns)  # type: ignore[arg-type]  # arrays again, each of its kind

    def between(self, first: np.datetime64, last: np.datetime64) -> "ScoredRows":
        """The rows of the days from `first` to `last`, both included; no row is copied."""
        found = np.searchsorted(self.day, [first, last + np.timedelta64(1, "D")])
        return self.rows(slice(int(found[0]), int(found[1])))


def scored_rows(
    task: str,
    *,
    day: Days,
    asked_at: Days,
    known_at: Days,
    label: Floats,
    prediction: Floats,
    version: npt.NDArray[np.int64],
) -> ScoredRows:
    """Rows with what they came to and what they said of themselves; see `ScoredRows` for the arguments.

    A label that is not a finite number is as good as none: one of them would be the loss of its whole window.
    """
    expects, metrics = EXPECTATIONS[task], task_metrics(task)
    is_finite = np.isfinite(label)
    refused_at, known_at = np.where(is_finite, NEVER, known_at), np.where(is_finite, known_at, NEVER)
    labelled = known_at < NEVER
    loss, residual = np.full(len(day), np.nan), np.full(len(day), np.nan)
    loss[labelled] = metrics.row_loss(label[labelled], prediction[labelled])
    residual[labelled] = expects.residual(label[labelled], prediction[labelled])
    expected = expects.expected(prediction)
    return ScoredRows(
        day=day,
        asked_at=asked_at,
        known_at=known_at,
        refused_at=refused_at,
        label=label,
        prediction=prediction,
        version=version,
        is_classes=task == "multiclass",
        loss=loss,
        residual=residual,
        expected=expected.loss,
        expected_variance=expected.loss_variance,
        variance=expected.variance,
    )


@dataclass(frozen=True, kw_only=True)
class DayStatistics:
    """Days and what they came to, shape (days,) each; of all rows, unless it says: of labelled ones.

    Attributes:
        day: The days, ascending.
        rows, labelled: Counts.
        loss: Mean over labelled rows; NaN without any.
        expected: Mean expected loss.
        values: The charted statistics in the order of `STATISTICS`, of labelled rows, shape (days, 3): mean residual,
            mean of loss less expected loss, and 1 less the slope of labels over predictions within the day. The slope
            is 1 for predictions that mean what they say, and 0 for those that tell nothing about the rows of a day;
            that all of a day came out higher or lower than predicted does not touch it.
        variances: Of these, as the predictions imply them for independent rows, shape (days, 3).
        last_asked: When the last question of the day was asked.
        version: Index of the model version.
    """

    day: Days
    rows: Floats
    labelled: Floats
    loss: Floats
    expected: Floats
    values: Floats
    variances: Floats
    last_asked: Days
    version: npt.NDArray[np.int64]


def day_statistics(rows: ScoredRows, known: Flags, factor: Floats) -> DayStatistics:
    """What days came to by what is known of them.

    Args:
        rows: Of whole days.
        known: Which labels are known, shape (n,).
        factor: Of the expected loss of each row, shape (n,).
    """
    days, first, codes = np.unique(rows.day, return_index=True, return_inverse=True)
    count, labelled = np.bincount(codes).astype(np.float64), np.bincount(codes, weights=known).astype(np.float64)

    def total(values: Floats) -> Floats:
        return np.bincount(codes, weights=np.where(known, values, 0.0), minlength=len(days)).astype(np.float64)

    expected = factor * rows.expected
    lost, lost_variance = _lost_slope(rows, known, codes, len(days))
    with np.errstate(invalid="ignore", divide="ignore"):  # a day without labels has no mean: NaN
        return DayStatistics(
            day=days,
            rows=count,
            labelled=labelled,
            loss=total(rows.loss) / labelled,
            expected=np.bincount(codes, weights=expected) / count,
            values=np.column_stack([total(rows.residual) / labelled, total(rows.loss - expected) / labelled, lost]),
            variances=np.column_stack(
                [
                    total(rows.variance) / labelled**2,
                    total(factor**2 * rows.expected_variance) / labelled**2,
                    lost_variance,
                ]
            ),
            last_asked=np.maximum.reduceat(rows.asked_at, first) if len(first) else rows.asked_at,
            version=rows.version[first],
        )


def _lost_slope(rows: ScoredRows, known: Flags, codes: npt.NDArray[np.int64], days: int) -> tuple[Floats, Floats]:
    """1 less the slope of labels over predictions within each day, and its implied variance, shape (days,) each.

    The slope is that of the least squares line. Several classes are taken together, each with its own mean. A day whose
    predictions are all equal has none: nothing was lost, and nothing is known of it.
    """
    labelled = np.bincount(codes, weights=known, minlength=days)
    square, product = np.zeros(days), np.zeros(days)
    noise, mean = np.zeros(len(codes)), np.zeros(len(codes))

    def centred(values: Floats) -> Floats:
        sums = np.bincount(codes, weights=np.where(known, values, 0.0), minlength=days)
        return np.where(known, values - (sums / np.maximum(labelled, 1))[codes], 0.0)

    for said, came in _sloped(rows):
        away = centred(said)
        square += np.bincount(codes, weights=away**2, minlength=days)
        product += np.bincount(codes, weights=away * centred(came), minlength=days)
        # Of a row exactly one class comes, so the variance is that of one draw over the classes.
        noise += away**2 * (said if rows.is_classes else rows.variance)
        mean += away * said if rows.is_classes else 0.0
    has = square > TINY * np.maximum(1.0, np.abs(product))
    slope = np.divide(product, square, out=np.ones(days), where=has)
    spread = np.bincount(codes, weights=noise - mean**2, minlength=days)
    return 1 - slope, np.divide(spread, square**2, out=np.zeros(days), where=has)


def _sloped(rows: ScoredRows) -> Iterator[tuple[Floats, Floats]]:
    """Predictions and labels, shape (n,) each; once per class."""
    if rows.prediction.ndim == 1:
        yield rows.prediction, rows.label
    elif rows.is_classes:
        for place in range(rows.prediction.shape[1]):
            yield rows.prediction[:, place], (rows.label == place).astype(np.float64)
    else:
        yield rows.prediction[:, 0], rows.label
