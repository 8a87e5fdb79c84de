"""One trailing window of predictions as it was known at the end of a partition.

Belongs here: what is known then, which days are judged, and over which of them charts run. Does not belong here: what
follows (`performance.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np

from assets.logic.control_chart import STATISTICS, ControlCharts
from assets.logic.in_control import InControl
from assets.logic.metrics import Floats
from assets.logic.performance_days import DayStatistics, Flags, ScoredRows, day_statistics

ENOUGH: Final = 0.5
"""A day is judged with at least this share of the labels that days usually have: fewer may be those of one kind."""
FARTHEST: Final = 1e9
"""Units, beyond every clip of a chart."""
NEVER_DUE: Final = np.timedelta64(1_000_000, "D")


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """How the days of one version are judged.

    Attributes:
        version: The model version.
        in_control: What it is like in control; None if that is not known, and then its days are not judged.
        charts: Its control charts; None if there are none.
        reason: Why either is missing, as a full sentence.
    """

    version: str
    in_control: InControl | None
    charts: ControlCharts | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A partition, its last local day, and its end: local midnight after that day, as UTC without a time zone."""

    key: str
    last_day: date
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A window as it is known at a moment, shape (n,) or (days,) each.

    Attributes:
        rows, expected: The rows and the loss each is expected to have.
        known: Which labels are known.
        refused: Which labels came and are no finite numbers.
        days: What the days came to.
        due, judged: Days whose labels should be in, and those of them that have enough.
        settled: The labelled rows of judged days.
        settled_expected: The loss they were expected to have.
    """

    rows: ScoredRows
    expected: Floats
    known: Flags
    refused: Flags
    days: DayStatistics
    due: Flags
    judged: Flags
    settled: ScoredRows
    settled_expected: Floats
    yardsticks: Sequence[Yardstick]

    @property
    def live(self) -> Yardstick | None:
        """That of the newest day; None without any."""
        return self.yardsticks[int(self.days.version[-1])] if len(self.days.version) else None

    @property
    def newest(self) -> Yardstick | None:
        """That of the newest judged day, or if there is none of the newest day."""
        return self.yardsticks[int(self.days.version[self.judged][-1])] if self.judged.any() else self.live

    @property
    def charts(self) -> ControlCharts | None:
        """Those of the newest judged day; None if there is no such day, or its version has none."""
        newest = self.newest
        return newest.charts if newest is not None and self.judged.any() else None

    @property
    def is_compared(self) -> Flags:
        """Which settled rows are those of the version of the newest judged day, the only ones like its test window."""
        return np.asarray(self.settled.version == self.days.version[self.judged][-1:])

    def charted(self, window: int) -> Flags:
        """The judged days that charts run over: at most `window`, and since the version of the newest one is live."""
        places = np.flatnonzero(self.judged)
        others = np.flatnonzero(self.days.version[places] != self.days.version[places[-1:]])
        places = places[others[-1] + 1 if len(others) else 0 :][-window:]
        chosen = np.zeros(len(self.judged), dtype=bool)
        chosen[places] = True
        return chosen

    def statistics(self, window: int) -> Floats:
        """The charted statistics of those days, shape (t, 3); none without charts."""
        newest = self.newest
        if newest is None or newest.in_control is None:
            return np.zeros((0, len(STATISTICS)))
        charted = self.charted(window)
        found = newest.in_control.standardised(self.days.values[charted], self.days.variances[charted])
        # Infinite where predictions said that nothing could differ, and it did: a bad day, and no more than that.
        return np.clip(found, -FARTHEST, FARTHEST)


def seen_at(rows: ScoredRows, moment: Moment, yardsticks: Sequence[Yardstick]) -> Seen:
    """The window of these rows at a moment; `yardsticks` by the index of the version that rows have."""
    end, kept = np.datetime64(moment.end, "us"), [y.in_control for y in yardsticks]
    known = rows.known_at <= end
    factor = np.array([np.nan if one is None else one.factor for one in kept])[rows.version]
    days = day_statistics(rows, known, factor)
    delay = np.array([NEVER_DUE if one is None else one.delay for one in kept], dtype="timedelta64[us]")
    due = days.last_asked + delay[days.version] <= end
    usual = np.array([1.0 if one is None else 1 - one.unlabelled_share for one in kept])[days.version]
    is_judged = due & (days.labelled > 0) & (days.labelled >= ENOUGH * usual * days.rows)
    settled = known & is_judged[np.searchsorted(days.day, rows.day)] if len(rows.day) else known
    return Seen(
        rows=rows,
        expected=factor * rows.expected,
        known=known,
        refused=rows.refused_at <= end,
        days=days,
        due=due,
        judged=is_judged,
        settled=rows.rows(settled),
        settled_expected=(factor * rows.expected)[settled],
        yardsticks=yardsticks,
    )
