"""What a model version is like in control: its own test window, which it had not seen, day by day.

Belongs here: what is kept of those days, and how other days are told in their terms. Does not belong here: the rows
(`performance_days.py`), and where it is kept (`assets/stages/performance_reference.py`).

Validation days are left out: they stopped the training and fitted the calibration, so that their residuals are 0 by
construction and their losses too small.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np

from assets.logic.chart_limits import calibrated
from assets.logic.control_chart import ControlCharts
from assets.logic.expectations_of_loss import EXPECTATIONS
from assets.logic.metrics import Floats, task_metrics
from assets.logic.performance_days import NEVER, Flags, ScoredRows, day_statistics

USUALLY: Final = 0.995
"""Share of labels that have come when a row counts as due: the last few may be years late."""


@dataclass(frozen=True, kw_only=True)
class InControl:
    """The days of a version's test window, and what follows from them.

    Attributes:
        version: The model version, exactly.
        days: Their dates as ISO text, ascending.
        values, variances: The statistics of each, see `DayStatistics`, and what the predictions imply for them.
        noise: Variance of each statistic between days beyond what the predictions imply: rows of a day share weather
            and congestion.
        factor: Of the expected loss; 1 for probabilities.
        delay_s: Seconds after its question within which the label of a row has usually come, if it ever comes.
        unlabelled_share, worst_unlabelled_share: Rows without a label, of all days and of the day with most of them.
        scores: Of the whole window; see `scores_of`.
    """

    version: str
    days: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    variances: tuple[tuple[float, ...], ...]
    noise: tuple[float, ...]
    factor: float
    delay_s: float
    unlabelled_share: float
    worst_unlabelled_share: float
    scores: Mapping[str, float | None]

    @property
    def delay(self) -> np.timedelta64:
        """The usual delay of a label, in microseconds."""
        return np.timedelta64(round(self.delay_s * 1e6), "us")

    @property
    def days_under_way(self) -> int:
        """Days at the end of a window whose labels may still be under way."""
        return -(-timedelta(seconds=self.delay_s) // timedelta(days=1))

    def standardised(self, values: Floats, variances: Floats) -> Floats:
        """The charted statistics of days, shape (t, 3), in units of what days differ by without fault.

        A unit is what the predictions imply for as many rows as the day has, and what days differ by anyway: a day of
        20 rows is not held to the standard of one with 900.

        Args:
            values: As of `DayStatistics`, shape (t, 3).
            variances: The same.

        Source: Spiegelhalter 2005, "Handling over-dispersion of performance indicators", the additive model.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            units = values / np.sqrt(variances + np.array(self.noise))
        return np.where(values == 0.0, 0.0, units)

    def charts(self, *, window: int, run_length: float, seed: int) -> ControlCharts:
        """The control charts of this version; see `calibrated`.

        Raises:
            TooFewDaysError: If the days do not suffice, saying why.
        """
        reference = self.standardised(np.array(self.values), np.array(self.variances))
        return calibrated(reference, window=window, run_length=run_length, seed=seed)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "InControl":
        """What `to_json` gave, also after it was text.

        Raises:
            ValueError: If fields are missing or malformed.
        """
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(content)


def in_control(task: str, version: str, rows: ScoredRows) -> InControl:
    """What the rows of its test window say of a version.

    Args:
        task: Kind of task.
        version: The model version.
        rows: All rows of the window, those without a label too.

    Raises:
        ValueError: If no row has a label.
    """
    known = rows.known_at < NEVER
    if not known.any():
        raise ValueError(f"no row of the test window of {version} has a label")
    delay_s = _usual_delay(rows.rows(known))
    rows = rows.rows(_is_complete(rows, known, delay_s))
    known = rows.known_at < NEVER
    factor = _factor(task, rows.rows(known))
    days = day_statistics(rows, known, np.full(len(known), factor))
    labelled = days.labelled > 0
    values, variances = days.values[labelled], days.variances[labelled]
    missing = 1 - days.labelled / days.rows
    return InControl(
        version=version,
        days=tuple(str(day) for day in days.day[labelled]),
        values=tuple(tuple(day) for day in values.tolist()),
        variances=tuple(tuple(day) for day in variances.tolist()),
        noise=_beyond(values, variances),
        factor=factor,
        delay_s=delay_s,
        unlabelled_share=float(1 - known.mean()),
        worst_unlabelled_share=float(missing.max()),
        scores=scores_of(task, rows.rows(known)),
    )


def scores_of(task: str, rows: ScoredRows) -> dict[str, float | None]:
    """Loss, that of the best constant, AUC and calibration error of labelled rows; None where not defined."""
    names = ("loss", "baseline_loss", "auc", "calibration_error")
    metrics = task_metrics(task)
    if not len(rows.day):
        return dict.fromkeys(names)
    ranked = metrics.leakage if "auc" in metrics.leakage else None
    wanted = {"auc": ranked, "calibration_error": metrics.calibration}
    reason = metrics.undefined(rows.label, rows.prediction)
    found: dict[str, float | None] = {
        "loss": float(rows.loss.mean()),
        "baseline_loss": float(baseline_rows(task, rows).mean()),
    }
    for name, metric in wanted.items():
        one = None if metric is None else metrics.metrics[metric]
        is_there = one is not None and not reason and not one.undefined(rows.label, rows.prediction)
        found[name] = float(one.value(rows.label, rows.prediction)) if one is not None and is_there else None
    return found


def baseline_rows(task: str, rows: ScoredRows) -> Floats:
    """Loss of each labelled row under the constant that is best for these very rows, shape (n,)."""
    metrics = task_metrics(task)
    return metrics.row_loss(rows.label, metrics.constants(rows.label, rows.prediction))


def _factor(task: str, rows: ScoredRows) -> float:
    """Loss that came by loss that was expected; 1 for probabilities, which mean what they say."""
    expected = float(rows.expected.mean())
    if not EXPECTATIONS[task].is_scaled or expected <= 0:
        return 1.0
    return float(rows.loss.mean()) / expected


def _beyond(found: Floats, implied: Floats) -> tuple[float, ...]:
    """Variance between days beyond the implied one of each statistic, by the method of moments; 0 or more."""
    beyond = found.var(axis=0, ddof=1) - implied.mean(axis=0) if len(found) > 1 else np.zeros(found.shape[1])
    return tuple(np.maximum(beyond, 0.0).tolist())


def _is_complete(rows: ScoredRows, known: Flags, delay_s: float) -> Flags:
    """The days of which all labels could have come when the last one did; all days if there are no such days.

    A model may be trained in the evening of its last test day, when only labels that come early are there.
    """
    days, first = np.unique(rows.day, return_index=True)
    asked = np.maximum.reduceat(rows.asked_at, first)
    complete = asked + np.timedelta64(round(delay_s * 1e6), "us") <= rows.known_at[known].max()
    complete |= not complete.any()
    kept: Flags = complete[np.searchsorted(days, rows.day)]
    return kept


def _usual_delay(rows: ScoredRows) -> float:
    delays = (rows.known_at - rows.asked_at) / np.timedelta64(1, "s")
    return max(0.0, float(np.quantile(delays, USUALLY)))
