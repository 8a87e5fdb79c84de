"""The reference of a model: what its windows are compared with, column by column and group by group.

Belongs here: what is kept of a reference, and making it from histograms. Does not belong here: the verdict on a window
(`drift.py`), and reading rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from assets.automation import DriftPolicy
from assets.logic.drift_bins import AnyBins, Bins, Floats
from assets.logic.drift_histograms import DayCounts
from assets.logic.drift_limits import (
    FARTHEST,
    FEWEST_STARTS,
    FEWEST_WINDOWS,
    Limit,
    limit_of,
    quiet_distances,
    quiet_windows,
    stretched,
    unstretched,
    weights,
)

PREDICTION: Final = "prediction"
LABEL: Final = "label"
RESIDUAL: Final = "residual"
"""Groups of what the model said, of what came true, and of how far the two are apart. The last is judged by itself:
labels and predictions move with the season, and beside them its limit would be half as high again."""


@dataclass(frozen=True, kw_only=True)
class ReferenceColumn:
    """One column of a reference, or two together.

    Attributes:
        usage: Share of the model's use, 0 to 1; 1 for predictions and labels. Of two columns, that of the more used.
        weight: In its group.
        counts: Histogram over the bins.
        window_rows: Rows of a quiet window that the bins count, the median.
        typical: Stretched distance of quiet windows (`drift_limits.stretched`); None where none could be measured.
        limit: The distance from which this column alone raises an alarm; None if it cannot.
    """

    bins: AnyBins
    group: str
    usage: float
    weight: float
    counts: tuple[float, ...]
    window_rows: float
    typical: float | None
    limit: float | None

    @property
    def name(self) -> str:
        """The column it is about."""
        return self.bins.column

    @property
    def is_mean(self) -> bool:
        """Whether it is compared by its mean alone."""
        return _is_mean(self.bins)

    @property
    def is_pair(self) -> bool:
        """Whether it is two columns together."""
        return not isinstance(self.bins, Bins)


@dataclass(frozen=True, kw_only=True)
class ReferenceGroup:
    """One group of a reference.

    Attributes:
        windows: Quiet windows that fit side by side.
        limit: The statistic from which a window counts as drifted; None if the group cannot be judged.
        note: Why it cannot.
    """

    name: str
    windows: float
    limit: float | None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class DriftReference:
    """What windows are compared with.

    Attributes:
        window_days: Length of the windows it can judge.
        late_days: Days after the last of a window until its labels are known, but for a few.
        false_alarms: Chance that a quiet window raises an alarm in any group.
    """

    window_days: int
    late_days: int
    false_alarms: float
    columns: tuple[ReferenceColumn, ...]
    groups: tuple[ReferenceGroup, ...]


def make_reference(
    counted: Mapping[str, DayCounts],
    bins: Mapping[str, Sequence[AnyBins]],
    usage: Mapping[str, float],
    policy: DriftPolicy,
    *,
    late_days: int = 0,
) -> DriftReference:
    """Measure the spread of every group, and set its limit.

    Args:
        counted: Histograms of the reference by group; their days may differ between groups.
        bins: Of the columns of each group.
        usage: Share of the model's use by column, 0 to 1; columns that are not named count as used fully.
        policy: Length of the windows, and how many false alarms there may be.
        late_days: As of `DriftReference`.
    """
    days = policy.window.days
    enough = {name: np.count_nonzero(c.rows) / days for name, c in counted.items()}
    judged = [n for n, windows in enough.items() if windows >= FEWEST_WINDOWS and n not in policy.reported_only]
    chance = policy.false_alarms / max(len(judged), 1)
    parts = [_group(n, c, bins[n], usage, days, chance) for n, c in counted.items()]
    return DriftReference(
        window_days=days,
        late_days=late_days,
        false_alarms=policy.false_alarms,
        columns=tuple(column for _, columns in parts for column in columns),
        groups=tuple(group for group, _ in parts),
    )


def _group(
    name: str, counted: DayCounts, bins: Sequence[AnyBins], usage: Mapping[str, float], days: int, chance: float
) -> tuple[ReferenceGroup, list[ReferenceColumn]]:
    used, weight = _used(bins, usage)
    windows = np.count_nonzero(counted.rows) / days
    first = quiet_windows(counted.rows, days)
    limit, note = None, _why_not(windows, len(first), weight, days)
    if note is None:
        apart = [quiet_distances(counted.counts[b.column], first, days, is_mean=_is_mean(b)) for b in bins]
        distances = np.stack(apart, axis=1)
        limit = limit_of(distances, weight, first, days=days, windows=windows, chance=chance)
        if not any(_can_alarm(own, typical, limit) for own, typical in zip(weight, limit.typical, strict=True)):
            limit, note = None, _too_few(windows, days, "not even a column with nothing in common would alarm")
    columns = [_column(b, name, i, counted, used, weight, limit, windows) for i, b in enumerate(bins)]
    return ReferenceGroup(name=name, windows=windows, limit=limit.limit if limit else None, note=note), columns


def _can_alarm(weight: float, typical: float, limit: Limit) -> bool:
    """Whether a column that is as far away as can be is an alarm."""
    return bool(weight * stretched(np.array(FARTHEST)) >= limit.limit * typical)


def _used(bins: Sequence[AnyBins], usage: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Share of use and weight of columns and pairs, shape (bins,): two together count like the one that is used more.

    Either of them may be the one that is wrong.
    """
    alone = {b.column: usage.get(b.column, 1.0) for b in bins if isinstance(b, Bins)}
    weight = dict(zip(alone, weights(np.array(list(alone.values()))).tolist(), strict=True))
    return (
        np.array([max(alone[name] for name in b.columns) for b in bins]),
        np.array([max(weight[name] for name in b.columns) for b in bins]),
    )


def _is_mean(bins: AnyBins) -> bool:
    return isinstance(bins, Bins) and bins.kind == "mean"


def _why_not(windows: float, starts: int, weight: Floats, days: int) -> str | None:
    if windows < FEWEST_WINDOWS:
        return _too_few(windows, days, f"{FEWEST_WINDOWS:g} are needed to know how quiet windows differ")
    if starts < FEWEST_STARTS:
        return f"not judged: fewer than {FEWEST_STARTS} windows of {days} days have rows on half of their days"
    return None if weight.any() else "not judged: the model uses no column of the group"


def _too_few(windows: float, days: int, why: str) -> str:
    return (
        f"not judged: the reference holds {windows:.1f} windows of {days} days side by side, and {why}; shorten the "
        "window or train on more days"
    )


def _column(
    bins: AnyBins,
    group: str,
    position: int,
    counted: DayCounts,
    usage: Floats,
    weight: Floats,
    limit: Limit | None,
    windows: float,
) -> ReferenceColumn:
    counts, own = counted.counts[bins.column].sum(axis=0), float(weight[position])
    typical = None if limit is None else float(limit.typical[position])
    alone = limit is not None and typical is not None and typical > 0 and _can_alarm(own, typical, limit)
    return ReferenceColumn(
        bins=bins,
        group=group,
        usage=float(usage[position]),
        weight=own,
        counts=tuple(counts.tolist()),
        window_rows=float(counts.sum() / max(windows, 1.0)),
        typical=typical,
        limit=unstretched(limit.limit * typical / own) if limit and typical and alone else None,
    )
