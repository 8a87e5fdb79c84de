"""Limits of control charts from a few in-control days, such that the time between false alarms is the one asked for.

Belongs here: finding limits. Does not belong here: the charts (`control_chart.py`).

What is known of a model in control are some dozen days: heavy-tailed, one like the next, and too few to know their mean
and spread. Limits from tables of independent normal days with known parameters would be crossed several times as often
as they promise: Jensen, Jones-Farmer, Champ and Woodall, "Effects of parameter estimation on control chart properties",
2006. So the whole procedure is repeated many times on made-up days that are like the known ones: estimate mean and
spread from as many days as there are, then watch the days after. Source: Gandy and Kvaloy, "Guaranteed conditional
performance of control charts via bootstrap methods", 2013.

- Made-up days follow an autoregression of the first order, whose shocks are drawn from those of the known days, the
  statistics of a day together, blurred a little because few values leave gaps (sieve bootstrap: Buhlmann 1997). Blocks
  of days would need more than there are: of 31, blocks of five lose a third of the correlation.
- Each repetition has a correlation of its own, as far from the estimate as estimates from so few days are. It is one
  for all statistics, which share the weather of a day: the estimate of each by itself is too poor.
- A false alarm is a day out of control after a day in control. Limits are equally likely to be crossed by each chart,
  and such that false alarms of all charts and repetitions together come once in `run_length` days: what a person meets
  who operates many models, or one for many retrainings. A mean over run lengths would be ruled by the few repetitions
  that were lucky with their estimates and never alarm.

Measured on simulated models (`test_chart_limits.py` holds it): see `calibrated`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from assets.logic.control_chart import CHARTS, CHARTS_OF, STATISTICS, ControlCharts, charted
from assets.logic.metrics import Floats

MINIMUM_DAYS: Final = 14
"""Fewer days say nothing of how one day is like the next."""
REPETITIONS: Final = 600
WATCHED_DAYS: Final = 240
"""Days watched in each repetition: together 390 false alarms at a run length of 370, which leaves 5 % of noise."""
SETTLING_DAYS: Final = 20
"""Days before the first of a repetition, so that it does not matter how it began."""
STRONGEST: Final = 0.85
"""Correlation of a day with the one before is taken to be at most this; beyond, some dozen days tell nothing."""
DOUBT: Final = 0.8
"""Standard errors of one correlation, times this, by which repetitions differ: three statistics know it better than
one. Measured at 31 days: with 0.5, false alarms of correlated days come every 180 days in place of 370; with 0.8 every
230; with more, shifts are found too late."""
BLUR: Final = 0.3
"""Standard deviation of what is added to a drawn shock, in standard deviations of shocks."""
HALVINGS: Final = 14


class TooFewDaysError(ValueError):
    """Limits cannot be told from these days; the message says why."""


def calibrated(reference: Floats, *, window: int, run_length: float, seed: int) -> ControlCharts:
    """Charts whose false alarms are `run_length` days apart, averaged over models.

    A statistic that never varies has no charts, and the others share its alarms: the slope of days with one row each is
    always 1, which says nothing of their residuals.

    Promised is the order of magnitude, not the digit: some dozen days do not say more. On 80 simulated models, asked
    for 370 days, false alarms came (standard error 20 %) with 31 days of reference every 830 days if days were
    independent and normal, 440 if heavy-tailed (Student's t with 4 degrees), 240 and 220 if correlated by 0.3 and 0.5;
    with 60 days every 430, 280 and 320 (correlated by 0.3). With 31 days a lasting shift of the residual by two spreads
    was found after 6 days (9 if correlated by 0.3), one by a single spread after a month.

    Args:
        reference: The statistics of the in-control days, in order of time, shape (days, 3).
        window: Days that a chart looks back at most.
        run_length: Days between two false alarms, all charts together.
        seed: Of the made-up days; equal arguments give equal limits.

    Raises:
        TooFewDaysError: If there are fewer than `MINIMUM_DAYS`, or no statistic varies.
    """
    days = len(reference)
    if days < MINIMUM_DAYS:
        raise TooFewDaysError(f"{days} days in control are too few for control limits, {MINIMUM_DAYS} are needed")
    varies, centre, spread = _varying(reference)
    if not varies.any():
        raise TooFewDaysError("no statistic of the days in control ever varies, and so none has control limits")
    made_up = _made_up(reference[:, varies], days + WATCHED_DAYS, np.random.default_rng(seed))
    known, after = made_up[:, :days], made_up[:, days:]
    watched = np.zeros((REPETITIONS, WATCHED_DAYS, len(STATISTICS)))  # a statistic that is always 0 crosses no limit
    watched[..., varies] = (after - known.mean(axis=1, keepdims=True)) / known.std(axis=1, ddof=1, keepdims=True)
    found = _limits(charted(watched, window), run_length)
    limited = [
        chart for name, is_there in zip(STATISTICS, varies, strict=True) if is_there for chart in CHARTS_OF[name]
    ]
    return ControlCharts(centre=centre, spread=spread, limits={name: found[name] for name in limited}, window=window)


def _varying(reference: Floats) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Which statistics vary, and their mean and spread, shape (3,) each; 0 and infinite for those that do not.

    What is not finite does not vary either: nothing that was predicted or seen says in which units to tell it.
    """
    is_finite = np.isfinite(reference).all(axis=0)
    there = np.where(is_finite, reference, 0.0)
    centre, spread = there.mean(axis=0), there.std(axis=0, ddof=1)
    varies = spread > 1e-12 * np.maximum(1.0, np.abs(centre))
    return varies, np.where(varies, centre, 0.0), np.where(varies, spread, np.inf)


def _made_up(reference: Floats, days: int, random: np.random.Generator) -> Floats:
    """Sequences of days like those of the reference, up to mean and spread, shape (repetitions, days, statistics)."""
    count = len(reference)
    away = reference - reference.mean(axis=0)
    found = (away[1:] * away[:-1]).sum(axis=0) / (away**2).sum(axis=0)
    # The estimate is too low by (1 + 4 correlation) / days: Marriott and Pope 1954.
    correlation = float(np.clip(found.mean() + (1 + 4 * found.mean()) / count, 0.0, STRONGEST))
    shocks = away[1:] - correlation * away[:-1]
    shocks = (shocks - shocks.mean(axis=0)) / shocks.std(axis=0)
    doubt = DOUBT * np.sqrt((1 - correlation**2) / count)
    own = np.clip(correlation + doubt * random.normal(size=(REPETITIONS, 1)), 0.0, STRONGEST)
    total = days + SETTLING_DAYS
    drawn = shocks[random.integers(0, len(shocks), size=(total, REPETITIONS))]
    drawn = (drawn + BLUR * random.normal(size=drawn.shape)) / np.sqrt(1 + BLUR**2)
    drawn[1:] *= np.sqrt(1 - own**2)
    for day in range(1, total):
        drawn[day] += own * drawn[day - 1]
    return np.ascontiguousarray(drawn[SETTLING_DAYS:].transpose(1, 0, 2))


def _limits(charts: Floats, run_length: float) -> dict[str, float]:
    """The limits that all charts exceed equally often, so that alarms begin once in `run_length` days."""
    ordered = np.sort(charts.reshape(-1, len(CHARTS)), axis=0)
    days = len(ordered)
    # Of each chart by itself, days out of control per day: alarms last for days, and charts alarm together.
    low, high = np.log(0.1 / (run_length * len(CHARTS))), np.log(0.5)
    limits = ordered[-1]
    for _ in range(HALVINGS):
        share = np.exp((low + high) / 2)
        tried = ordered[min(int((1 - share) * days), days - 1)]
        if _beginnings(charts > tried) * run_length > days:
            high = (low + high) / 2
        else:
            low, limits = (low + high) / 2, tried
    return {name: float(limit) for name, limit in zip(CHARTS, limits, strict=True)}


def _beginnings(beyond: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int:
    """Days on which some chart is out of control after a day on which none was."""
    out = np.asarray(beyond.any(axis=-1))
    return int((out[:, 1:] & ~out[:, :-1]).sum() + out[:, 0].sum())
