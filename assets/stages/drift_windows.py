"""The windows that `drift_report` judges: which model and which days they are about, and what was known of them then.

Belongs here: from partitions to counted windows and verdicts. Does not belong here: how a verdict is reached
(`assets/logic/drift.py`), and what is told of it (`drift_report.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from assets.contracts import PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.logic.drift import Judgement, WindowCounts, findings_of, judge
from assets.logic.drift_bins import Counts, Floats
from assets.logic.drift_histograms import DayCounts, DayWindows, day_counts
from assets.logic.drift_reference import DriftReference, ReferenceColumn
from assets.stages.common import table_name
from assets.stages.drift_reference import KeptReference, find_reference
from assets.stages.monitored import (
    DAY,
    LATE,
    VERSION,
    known_by,
    monitored_rows,
    rows_of_group,
    said_columns_of,
    scores_of,
)
from resources.errors import RegistryError
from resources.lake import Lake
from resources.registry import MlflowModelRegistry

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class JudgedPartition:
    """The window that ends with a partition, as it was known at its end.

    Attributes:
        version: The model it is about; None if nothing was predicted.
        rows: Feature rows in the window, by group of columns those that count.
        judgement: None if there is no reference, and `note` says why.
    """

    key: str
    start: date
    end: date
    version: str | None
    rows: Mapping[str, int]
    judgement: Judgement | None
    note: str | None = None


def judge_partitions(
    use_case: UseCase, keys: Sequence[str], lake: Lake, registry: MlflowModelRegistry
) -> list[JudgedPartition]:
    """Judge the window of each partition, in the order of `keys`. The rows of each model are read and counted once."""
    policy, partitions = use_case.automation.drift, use_case.partitions
    about = versions_of(use_case, keys, lake)
    found: dict[str, JudgedPartition] = {}
    for version in dict.fromkeys(about.values()):
        mine = [key for key in keys if about[key] == version]
        kept, note = _reference(version, registry)
        if kept is None:
            for key in mine:
                end = partitions.last_day(key)
                start = end - policy.window + ONE_DAY
                found[key] = JudgedPartition(
                    key=key, start=start, end=end, version=version, rows={}, judgement=None, note=note
                )
        else:
            found |= {j.key: j for j in _judged(use_case, mine, str(version), kept.reference, lake)}
    return [found[key] for key in keys]


def versions_of(use_case: UseCase, keys: Iterable[str], lake: Lake) -> dict[str, str | None]:
    """The model version each window is about: that of the newest partition in it with predictions; None without any."""
    table, partitions = table_name(use_case, "predictions"), use_case.partitions
    scored: dict[str, str] = {}
    if lake.version(table) is not None:
        rows = lake.scan(table).group_by(PARTITION_KEY).agg(pl.col(VERSION).drop_nulls().last()).collect()
        scored = dict(rows.drop_nulls().iter_rows())
    days = use_case.automation.drift.window.days
    return {
        key: next(
            (scored[k] for k in reversed(partitions.between(_first(use_case, key, days), key)) if k in scored), None
        )
        for key in keys
    }


def window_rows(use_case: UseCase, start: date, end: date, version: str, lake: Lake) -> pl.DataFrame:
    """All monitored columns of the days `start` to `end`; predictions of other versions count as none.

    A window that mixes two models would differ from either.
    """
    keys = use_case.partitions.between(use_case.partitions.key(start), use_case.partitions.key(end))
    features = lake.scan(table_name(use_case, "features"), partitions=keys).collect()
    features = features.sort(PARTITION_KEY, *use_case.row_order, maintain_order=True)
    table = table_name(use_case, "predictions")
    if lake.version(table) is None:
        said = pl.DataFrame(schema=said_columns_of(use_case)).clear(len(features))
    else:
        made = lake.scan(table, partitions=keys).filter(pl.col(VERSION) == version).collect()
        order = [PARTITION_KEY, PREDICTION_TIME, *(use_case.entity or [use_case.event_time])]
        said = scores_of(use_case, features, made.sort(order, maintain_order=True))
    rows = monitored_rows(use_case, features, said)
    return rows.filter(pl.col(DAY).is_between(start, end)).sort(DAY, maintain_order=True)


def end_of(use_case: UseCase, key: str) -> datetime:
    """The instant at which a partition is over: local midnight after its last day (UTC)."""
    day = use_case.partitions.last_day(key) + ONE_DAY
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(use_case.partitions.timezone)).astimezone(UTC)


def _first(use_case: UseCase, key: str, days: int) -> str:
    """Key of the partition that holds the first day of the window that ends with `key`."""
    return use_case.partitions.key(use_case.partitions.last_day(key) - (days - 1) * ONE_DAY)


def _reference(version: str | None, registry: MlflowModelRegistry) -> tuple[KeptReference | None, str | None]:
    if version is None:
        return None, "not judged: no prediction was made in the window, so there is no model to compare with"
    name, _, number = version.rpartition("/")
    try:
        kept = find_reference(registry.version(name, int(number)), registry)
    except RegistryError as error:
        return None, f"not judged: {error}"
    return kept, None if kept else f"not judged: {version} has no reference; materialise drift_reference"


def _judged(
    use_case: UseCase, keys: Sequence[str], version: str, reference: DriftReference, lake: Lake
) -> list[JudgedPartition]:
    days = reference.window_days
    ends = [use_case.partitions.last_day(key) for key in keys]
    starts = [end - (days - 1) * ONE_DAY for end in ends]
    rows = window_rows(use_case, min(starts), max(ends), version, lake)
    seen, counted = _counted(use_case, keys, ends, reference, rows)
    judgements = judge(reference, seen, use_case.automation.drift)
    return [
        JudgedPartition(
            key=key,
            start=starts[i],
            end=ends[i],
            version=version,
            rows={group: int(sums[i]) for group, sums in counted.items()},
            judgement=judgements[i],
        )
        for i, key in enumerate(keys)
    ]


def _counted(
    use_case: UseCase, keys: Sequence[str], ends: Sequence[date], reference: DriftReference, rows: pl.DataFrame
) -> tuple[WindowCounts, dict[str, Counts]]:
    last = np.array(ends, dtype="datetime64[D]")
    days: dict[str, Counts] = {}
    counts: dict[str, Floats] = {}
    findings: dict[str, Sequence[str | None]] = {}
    totals: dict[str, Counts] = {}
    for group in reference.groups:
        columns = [c for c in reference.columns if c.group == group.name]
        there = rows_of_group(use_case, rows, group.name)
        by_day = day_counts(there, there[DAY], [c.bins for c in columns])
        windows = by_day.windows(last, reference.window_days)
        if group.name in LATE:
            known, filled = _as_known(use_case, keys, columns, there, windows, by_day)
            counts |= known
            totals[group.name] = known[columns[0].name].sum(axis=1).astype(np.int64)
        else:
            counts |= {c.name: by_day.sums(c.name, windows) for c in columns}
            totals[group.name], filled = by_day.number(windows, "rows"), by_day.number(windows, "days")
        days[group.name] = filled
        findings |= {c.name: findings_of(c, by_day, counts[c.name], windows) for c in columns}
    return WindowCounts(days=days, counts=counts, findings=findings), totals


def _as_known(
    use_case: UseCase,
    keys: Sequence[str],
    columns: Sequence[ReferenceColumn],
    rows: pl.DataFrame,
    windows: DayWindows,
    by_day: DayCounts,
) -> tuple[dict[str, Floats], Counts]:
    """What was known of the labels of each window at its end: histograms by column, and days with any."""
    position = (rows[DAY].to_numpy().astype("datetime64[D]") - by_day.first).astype(np.int64)
    known = known_by(rows).to_numpy()
    found = {c.name: np.zeros((len(keys), c.bins.size)) for c in columns}
    days = np.zeros(len(keys), dtype=np.int64)
    for i, key in enumerate(keys):
        first, last = np.searchsorted(position, [windows.begin[i], windows.end[i]])
        in_time = known[first:last] <= int(end_of(use_case, key).timestamp() * 1_000_000)
        days[i] = len(np.unique(position[first:last][in_time]))
        there = rows[int(first) : int(last)].filter(pl.Series(in_time))
        for column in columns:
            nothing = np.zeros(len(there), dtype=np.int64)
            found[column.name][i] = column.bins.histograms(there, nothing, 1)[0]
    return found, days
