"""The drift rule and the control charts on days put together anew: false alarms, and days until a fault is found.

Belongs here: trying the rules on arrays of days. Does not belong here: where the days come from (`watched_days.py`),
and what is told of them (`report.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from assets.automation import DriftPolicy
from assets.logic.chart_limits import calibrated
from assets.logic.control_chart import ControlCharts
from assets.logic.drift import Judgement, WindowCounts, judge
from assets.logic.drift_bins import AnyBins, Counts, Floats
from assets.logic.drift_histograms import DayCounts, window_sums
from assets.logic.drift_reference import DriftReference, make_reference
from infra.bench.resampled import Days, drawn, shuffled

WEEK: Final = 7
CHART_BLOCK: Final = 5
"""Days; charts look for runs of bad days, and 31 days give few longer blocks."""


@dataclass(frozen=True, kw_only=True)
class DriftDays:
    """Days of a reference, as the drift rule counts them; all groups have the same days.

    Attributes:
        counted: By group.
        bins: By group.
        usage: Share of the model's use by column.
    """

    counted: Mapping[str, DayCounts]
    bins: Mapping[str, Sequence[AnyBins]]
    usage: Mapping[str, float]

    def __len__(self) -> int:
        return len(next(iter(self.counted.values())).rows)

    def at(self, days: Days) -> "DriftDays":
        """These days in this order, as if they had followed each other."""
        return replace(
            self,
            counted={
                group: DayCounts(
                    first=c.first, rows=c.rows[days], counts={name: one[days] for name, one in c.counts.items()}
                )
                for group, c in self.counted.items()
            },
        )

    def reference(self, policy: DriftPolicy) -> DriftReference:
        """What windows are compared with."""
        return make_reference(self.counted, self.bins, self.usage, policy)

    def windows(self, reference: DriftReference, policy: DriftPolicy, begin: Counts, end: Counts) -> list[Judgement]:
        """The verdict on ranges of these days, by positions of their first and of the one after their last."""
        seen = WindowCounts(
            days={g: _filled(c.rows, begin, end) for g, c in self.counted.items()},
            counts={n: window_sums(one, begin, end) for c in self.counted.values() for n, one in c.counts.items()},
            findings={name: [None] * len(begin) for c in self.counted.values() for name in c.counts},
        )
        return judge(reference, seen, policy)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of a fault.

    Attributes:
        tries: Made-up worlds that were quiet until the fault began.
        days: Days from its beginning to the first alarm, 1 for the same day, of each world in which there was one.
        first: What raised the first alarms, the most frequent first.
    """

    tries: int
    days: tuple[int, ...]
    first: tuple[str, ...]


def quiet_drift_alarms(days: DriftDays, policy: DriftPolicy, random: np.random.Generator, worlds: int) -> int:
    """How many of `worlds` quiet windows raise an alarm against a reference of other days of the same kind."""
    window, alarms = policy.window.days, 0
    for _ in range(worlds):
        order = shuffled(random, len(days), _block(window))
        reference = days.at(order[:-window]).reference(policy)
        now = days.at(order[-window:])
        verdict = now.windows(reference, policy, np.array([0]), np.array([window]))[0]
        alarms += any(group.is_drifted for group in verdict.groups)
    return alarms


def drift_delays(
    days: DriftDays, shifted: DriftDays, policy: DriftPolicy, random: np.random.Generator, worlds: int
) -> Found:
    """When the trailing window, day by day, first shows that the days are no longer as they were; a window at most.

    The reference is that of all days, as the line keeps it with its champion.
    """
    window = policy.window.days
    reference = days.reference(policy)
    end = np.arange(window, 2 * window + 1)
    tries, found, names = 0, [], []
    for _ in range(worlds):
        order = drawn(random, len(days), _block(window), 2 * window, step=WEEK)
        both = _joined(days.at(order[:window]), shifted.at(order[window:]))
        verdicts = both.windows(reference, policy, end - window, end)
        loud = [[g.name for g in v.groups if g.is_drifted] for v in verdicts]
        if loud[0]:
            continue
        tries += 1
        at = next((day for day, groups in enumerate(loud) if groups), None)
        if at is not None:
            found.append(at)
            names += loud[at]
    return Found(tries=tries, days=tuple(found), first=_frequent(names))


def quiet_chart_alarms(
    days: Floats, window: int, run_length: float, random: np.random.Generator, worlds: int
) -> tuple[int, int]:
    """Days watched without a fault, and how often an alarm began in them.

    In each world the limits are found anew, from as many days as there are, and as many more as lie between two false
    alarms are watched.

    Args:
        days: The statistics of days in control, shape (t, 3).
        window: Days that a chart looks back at most.
        run_length: Days between two false alarms that are asked for.
        random: Source of chance.
        worlds: How many.
    """
    watched, began = 0, 0
    for seed in range(worlds):
        known = days[drawn(random, len(days), CHART_BLOCK, len(days))]
        charts = calibrated(known, window=window, run_length=run_length, seed=seed)
        out = np.asarray(_out(charts, days[drawn(random, len(days), CHART_BLOCK, round(run_length))]).any(axis=1))
        watched += len(out)
        began += int((out[1:] & ~out[:-1]).sum() + out[0])
    return watched, began


def chart_delays(
    charts: ControlCharts, days: Floats, shifted: Floats, random: np.random.Generator, worlds: int
) -> Found:
    """When the charts first show that the days are no longer as they were; a window at most."""
    window = charts.window
    names, tries, found, first = list(charts.limits), 0, [], []
    for _ in range(worlds):
        before, after = (drawn(random, len(days), CHART_BLOCK, window) for _ in range(2))
        out = _out(charts, np.concatenate([days[before], shifted[after]]))[window - 1 :]
        if out[0].any():
            continue
        tries += 1
        if out.any():
            at = int(np.argmax(out.any(axis=1)))
            found.append(at)
            first += [name for name, is_out in zip(names, out[at], strict=True) if is_out]
    return Found(tries=tries, days=tuple(found), first=_frequent(first))


def _out(charts: ControlCharts, days: Floats) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Which charts are out of control on each day, shape (t, charts)."""
    return np.stack([values > charts.limits[name] for name, values in charts.run(days).items()], axis=1)


def _block(window: int) -> int:
    """Days of the blocks that windows are put together from: whole weeks, and no less than a window.

    Shorter ones would mix weeks of winter and summer in one window, which no window that is judged does, and weekdays
    must follow each other as they do.
    """
    return -(-window // WEEK) * WEEK


def _filled(rows: Counts, begin: Counts, end: Counts) -> Counts:
    """Days with rows in each range, shape (ranges,)."""
    running = np.concatenate([[0], np.cumsum(rows > 0)])
    return np.asarray(running[end] - running[begin], dtype=np.int64)


def _joined(one: DriftDays, other: DriftDays) -> DriftDays:
    return replace(
        one,
        counted={
            group: DayCounts(
                first=c.first,
                rows=np.concatenate([c.rows, other.counted[group].rows]),
                counts={n: np.concatenate([v, other.counted[group].counts[n]]) for n, v in c.counts.items()},
            )
            for group, c in one.counted.items()
        },
    )


def _frequent(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=lambda name: (-names.count(name), name)))
