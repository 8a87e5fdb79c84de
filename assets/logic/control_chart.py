"""Control charts of daily statistics: EWMA and CUSUM over trailing days, against limits with a known run length.

Belongs here: the charts and their verdict. Does not belong here: how limits are found (`chart_limits.py`), and which
statistics of a model's days are charted (`performance_days.py`).

Three statistics of each day are charted, in units of their in-control spread around their in-control mean. The residual
is bad news to either side: an EWMA of it to both sides, and a CUSUM for each. The loss beyond what was expected and the
slope that was lost are bad news upwards only: a model that does better than expected needs no alarm, and a limit below
would have to be paid for with a higher one above. So their EWMA and their CUSUM have one side.

Why three: labels that come more or less often move the residual, larger errors of a quantity the loss, and a model that
no longer tells rows apart the slope. It moves the loss as well, but the loss of probabilities varies by day with the
rate of labels: with its predictions shuffled within each day, a model of daily delays went unnoticed for a month.

A chart sees the last `window` days and nothing before, as if it were started fresh with them: what it says of a day
depends on those days alone, never on what a run before it remembered. A CUSUM that looks back at most so far equals the
usual one unless a drift began earlier; an EWMA has forgotten all but 0.1 % of its weight after 30 days.

Sources: Montgomery, "Introduction to statistical quality control", 7th edition, 2013, chapter 9 (both charts, and how
they are chosen). Values beyond `CLIP` count as `CLIP`, so that one wild day is one bad day and no more: Lucas and
Crosier, "Robust CUSUM", 1982.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from assets.logic.metrics import Floats

EWMA_WEIGHT: Final = 0.2
"""Share of the newest day in an EWMA: the usual choice between a memory too short for small shifts and one too long."""
SLACK: Final = 1.0
"""What a CUSUM forgives each day, in in-control spreads: half the shift that it finds soonest. The textbook's 0.5 is
for a mean that is known; a mean of 31 days is off by .2 spreads and more, and at 0.5 the sums of a model without fault
run away, which costs more in the limit than it gains (measured: limit 13 in place of 5, and no shift found sooner)."""
CLIP: Final = 3.0
CHARTS: Final = (
    "residual_ewma",
    "residual_cusum_up",
    "residual_cusum_down",
    "excess_loss_ewma",
    "excess_loss_cusum",
    "lost_slope_ewma",
    "lost_slope_cusum",
)
STATISTICS: Final = ("residual", "excess_loss", "lost_slope")
"""What is charted of each day, in this order; see `DayStatistics`."""
CHARTS_OF: Final[Mapping[str, tuple[str, ...]]] = {s: tuple(c for c in CHARTS if c.startswith(s)) for s in STATISTICS}
"""The charts of each statistic."""


@dataclass(frozen=True, kw_only=True)
class ControlCharts:
    """The charts of one model version.

    Attributes:
        centre: In-control mean of each statistic, shape (3,).
        spread: In-control standard deviation, shape (3,), above 0; infinite where a statistic has no charts.
        limits: By chart, in in-control spreads; a chart above its limit is out of control. A statistic that never
            varies has no charts, and none of them stands here.
        window: Days that a chart looks back at most.
    """

    centre: Floats
    spread: Floats
    limits: Mapping[str, float]
    window: int

    def run(self, days: Floats) -> dict[str, Floats]:
        """Every chart with a limit over days in order, from a fresh start before the first, shape (t,) each.

        Args:
            days: The statistics of each day, shape (t, 3).

        Raises:
            ValueError: If one of them is not finite, see `charted`.
        """
        values = charted(((days - self.centre) / self.spread)[None], self.window)
        return {name: values[0, :, place] for place, name in enumerate(CHARTS) if name in self.limits}

    def alarms(self, days: Floats) -> list[str]:
        """Charts that are out of control on the last of these days, in the order of `CHARTS`; none without a day."""
        if not len(days):
            return []
        newest = self.run(days[-self.window :])
        return [name for name, values in newest.items() if values[-1] > self.limits[name]]


def charted(days: Floats, window: int) -> Floats:
    """The charts of many sequences of days at once, each from a fresh start, shape (sequences, t, charts).

    Args:
        days: The statistics in in-control spreads around their mean, shape (sequences, t, 3).
        window: Days that a chart looks back at most.

    Raises:
        ValueError: If a statistic is not finite, naming the first: a chart would carry it on and exceed no limit again.
    """
    if not np.isfinite(days).all():
        sequence, day, place = np.argwhere(~np.isfinite(days))[0]
        found = f"{STATISTICS[place]} is {days[sequence, day, place]}"
        raise ValueError(f"{found} on day {day} of sequence {sequence}, counted from 0; charts need finite statistics")
    clipped = np.clip(days, -CLIP, CLIP)
    residual, *upwards = (clipped[..., place] for place in range(len(STATISTICS)))
    charts = [np.abs(_ewma(residual, window)), _cusum(residual, window), _cusum(-residual, window)]
    for values in upwards:
        charts += [_ewma(values, window), _cusum(values, window)]
    return np.stack(charts, axis=-1)


def _ewma(days: Floats, window: int) -> Floats:
    """Exponentially weighted mean of the last `window` days; days before the first count as 0."""
    from scipy.signal import lfilter

    kept = 1 - EWMA_WEIGHT
    whole: Floats = lfilter([EWMA_WEIGHT], [1, -kept], days, axis=1)
    whole[:, window:] -= kept**window * whole[:, :-window].copy()
    return whole


def _cusum(days: Floats, window: int) -> Floats:
    """Largest sum, less the slack of each day, over any run of at most `window` days that ends with this one."""
    total = np.cumsum(days - SLACK, axis=1)
    before = np.concatenate([np.full((len(days), window), np.inf), np.zeros((len(days), 1)), total], axis=1)
    lowest = np.lib.stride_tricks.sliding_window_view(before, window + 1, axis=1).min(axis=-1)
    sums: Floats = total - lowest[:, 1:]
    return sums
