"""Whether the columns of a window have drifted from the reference of a model, group by group.

Belongs here: the verdict on windows. Does not belong here: the reference (`drift_reference.py`), counting
(`drift_histograms.py`) and where the limits come from (`drift_limits.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assets.automation import DriftPolicy
from assets.logic.drift_bins import Bins, Counts, Floats
from assets.logic.drift_histograms import DayCounts, DayWindows, jensen_shannon
from assets.logic.drift_limits import FULL_ENOUGH, chance_distance, statistic, stretched
from assets.logic.drift_reference import DriftReference, ReferenceColumn, ReferenceGroup


@dataclass(frozen=True, kw_only=True)
class WindowCounts:
    """What is to be known of windows.

    Attributes:
        days: Days with rows of each window and group, shape (windows,) by group.
        counts: Histograms by column, shape (windows, bins).
        findings: What is odd about a column in a window, by column one text or None per window.
    """

    days: Mapping[str, Counts]
    counts: Mapping[str, Floats]
    findings: Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, kw_only=True)
class JudgedColumn:
    """One column, or two together, in one window; the distance is None where there is nothing to compare."""

    name: str
    group: str
    distance: float | None
    limit: float | None
    usage: float
    finding: str | None


@dataclass(frozen=True, kw_only=True)
class JudgedGroup:
    """One group in one window.

    Attributes:
        score: Statistic over its limit, so that 1 or more is an alarm; None if it was not judged, and `note` says why.
        worst: The column, or the two, that the statistic is of.
    """

    name: str
    score: float | None
    is_drifted: bool
    worst: str | None
    note: str | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One window."""

    groups: tuple[JudgedGroup, ...]
    columns: tuple[JudgedColumn, ...]


def judge(reference: DriftReference, seen: WindowCounts, policy: DriftPolicy) -> list[Judgement]:
    """The verdict on each window, in the order in which they were counted.

    A distance is freed of the chance that comes from fewer rows than quiet windows have: a thin window is not a
    drifted one.
    """
    apart = {c.name: _distances(c, seen.counts[c.name]) for c in reference.columns}
    number = len(next(iter(seen.days.values())))
    parts = [_judged_group(g, reference, seen, apart, policy, number) for g in reference.groups]
    return [
        Judgement(
            groups=tuple(groups[i] for groups in parts),
            columns=tuple(_judged_column(c, apart[c.name][i], seen.findings[c.name][i]) for c in reference.columns),
        )
        for i in range(number)
    ]


def _distances(column: ReferenceColumn, counts: Floats) -> Floats:
    total = np.asarray(column.counts)
    apart = jensen_shannon(counts, total)
    here, usual = (chance_distance(n, total, is_mean=column.is_mean) for n in (counts.sum(axis=1), column.window_rows))
    excess = here**2 - usual**2
    return np.asarray(np.sqrt(np.maximum(apart**2 - np.maximum(excess, 0), 0)), dtype=np.float64)


def _judged_group(
    group: ReferenceGroup,
    reference: DriftReference,
    seen: WindowCounts,
    apart: Mapping[str, Floats],
    policy: DriftPolicy,
    number: int,
) -> list[JudgedGroup]:
    columns = [c for c in reference.columns if c.group == group.name]
    if group.limit is None:
        return [_unjudged(group.name, group.note)] * number
    typical = np.array([c.typical if c.typical else np.nan for c in columns])
    ratios = stretched(np.stack([apart[c.name] for c in columns], axis=1)) / typical
    weighted = np.nan_to_num(ratios) * np.array([c.weight for c in columns])
    scores = statistic(ratios, np.array([c.weight for c in columns])) / group.limit
    found = []
    for i, days in enumerate(seen.days[group.name]):
        if days < FULL_ENOUGH * reference.window_days:
            note = f"not judged: {days} of the {reference.window_days} days of the window have rows"
            found.append(_unjudged(group.name, note))
            continue
        alarms = group.name not in policy.reported_only
        found.append(
            JudgedGroup(
                name=group.name,
                score=float(scores[i]),
                is_drifted=bool(scores[i] >= 1) and alarms,
                worst=columns[int(np.argmax(weighted[i]))].name,
                note=None if alarms else "reported only: it raises no alarm",
            )
        )
    return found


def _unjudged(group: str, note: str | None) -> JudgedGroup:
    return JudgedGroup(name=group, score=None, is_drifted=False, worst=None, note=note)


def _judged_column(column: ReferenceColumn, distance: float, finding: str | None) -> JudgedColumn:
    return JudgedColumn(
        name=column.name,
        group=column.group,
        distance=None if np.isnan(distance) else float(distance),
        limit=column.limit,
        usage=column.usage,
        finding=finding,
    )


def findings_of(column: ReferenceColumn, counted: DayCounts, counts: Floats, windows: DayWindows) -> list[str | None]:
    """What is odd about a column in each window: the first that holds of a list, or None.

    Args:
        column: As the reference has it.
        counted: The days that the windows were cut from.
        counts: Histograms of the windows, shape (windows, bins).
        windows: Where they lie.
    """
    if not isinstance(column.bins, Bins):  # what is odd about one of two columns is said of it alone
        return [None] * len(windows.begin)
    return [
        _finding(column.bins, np.asarray(column.counts), counted, counts[i], slice(first, last))
        for i, (first, last) in enumerate(zip(windows.begin, windows.end, strict=True))
    ]


def _finding(bins: Bins, reference: Floats, counted: DayCounts, counts: Floats, days: slice) -> str | None:
    name = bins.column
    if not counted.rows[days].sum():
        return "empty"
    if name in counted.missing:
        return "missing"
    if name in counted.mistyped:
        return "text where numbers were"
    filled = counts[:-1] if bins.counts_nulls else counts
    infinite = int(counted.infinite[name][days].sum()) if name in counted.infinite else 0
    if infinite:
        return f"{infinite} infinite values"
    if not filled.sum():
        return "all null"
    return "constant" if _is_constant(bins, reference, counted, filled, days) else None


def _is_constant(bins: Bins, reference: Floats, counted: DayCounts, filled: Floats, days: slice) -> bool:
    """One value in the window, where the reference had more."""
    before = reference[:-1] if bins.counts_nulls else reference
    if bins.kind == "mean" or np.count_nonzero(before) < 2 or np.count_nonzero(filled) > 1:
        return False
    if bins.kind == "categorical":
        return bool(filled[-1] == 0)  # of the bin for all others it is not known
    extremes = counted.extremes[bins.column][days]
    return bool(np.nanmin(extremes[:, 0]) == np.nanmax(extremes[:, 1]))
