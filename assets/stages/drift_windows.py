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
from assets.logic.drift_histograms import day_counts
from assets.logic.drift_reference import DriftReference, ReferenceColumn
from assets.stages.common import table_name
from assets.stages.drift_reference import KeptReference, reference_of
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
from resources.errors import LakeError, RegistryError
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
        late: How much earlier the window of labels and residuals ends: as long as labels usually take.
    """

    key: str
    start: date
    end: date
    version: str | None
    rows: Mapping[str, int]
    judgement: Judgement | None
    note: str | None = None
    late: timedelta = timedelta(0)

    def days_of(self, group: str) -> tuple[date, date]:
        """First and last day of the window of a group."""
        late = self.late if group in LATE else timedelta(0)
        return self.start - late, self.end - late


def judge_partitions(
    use_case: UseCase, keys: Sequence[str], lake: Lake, registry: MlflowModelRegistry
) -> list[JudgedPartition]:
    """Judge the window of each partition, in the order of `keys`. The rows of each model are read and counted once."""
    policy, partitions = use_case.automation.drift, use_case.partitions
    about = versions_of(use_case, keys, lake)
    found: dict[str, JudgedPartition] = {}
    for version in dict.fromkeys(about.values()):
        mine = [key for key in keys if about[key] == version]
        kept, note = _reference(use_case, version, lake, registry)
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


def _reference(
    use_case: UseCase, version: str | None, lake: Lake, registry: MlflowModelRegistry
) -> tuple[KeptReference | None, str | None]:
    """That of the version, by today's method, so that a history that is judged anew is judged alike."""
    if version is None:
        return None, "not judged: no prediction was made in the window, so there is no model to compare with"
    name, _, number = version.rpartition("/")
    try:
        return reference_of(use_case, registry.version(name, int(number)), lake, registry), None
    except (RegistryError, LakeError) as error:
        return None, f"not judged: {error}"


def _judged(
    use_case: UseCase, keys: Sequence[str], version: str, reference: DriftReference, lake: Lake
) -> list[JudgedPartition]:
    days, late = reference.window_days * ONE_DAY, reference.late_days * ONE_DAY
    ends = [use_case.partitions.last_day(key) for key in keys]
    rows = window_rows(use_case, min(ends) - late - days + ONE_DAY, max(ends), version, lake)
    counted = {group.name: _counted(use_case, keys, ends, group.name, reference, rows) for group in reference.groups}
    seen = WindowCounts(
        days={group: one.days for group, one in counted.items()},
        counts={name: sums for one in counted.values() for name, sums in one.counts.items()},
        findings={name: found for one in counted.values() for name, found in one.findings.items()},
    )
    judgements = judge(reference, seen, use_case.automation.drift)
    return [
        JudgedPartition(
            key=key,
            start=ends[i] - days + ONE_DAY,
            end=ends[i],
            version=version,
            rows={group: int(one.rows[i]) for group, one in counted.items()},
            judgement=judgements[i],
            late=late,
        )
        for i, key in enumerate(keys)
    ]


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """One group of columns in windows: rows and days with rows, shape (windows,); histograms and findings by column."""

    rows: Counts
    days: Counts
    counts: Mapping[str, Floats]
    findings: Mapping[str, Sequence[str | None]]


def _counted(
    use_case: UseCase,
    keys: Sequence[str],
    ends: Sequence[date],
    group: str,
    reference: DriftReference,
    rows: pl.DataFrame,
) -> _Counted:
    columns = [c for c in reference.columns if c.group == group]
    there = rows_of_group(use_case, rows, group)
    if group not in LATE:
        return _in_windows(columns, there, ends, reference.window_days)
    # Each window as it was known at its own end, and no further than labels had come by then.
    due = [end - reference.late_days * ONE_DAY for end in ends]
    known = known_by(there)
    parts = []
    for key, last in zip(keys, due, strict=True):
        in_window = pl.col(DAY).is_between(last - (reference.window_days - 1) * ONE_DAY, last)
        in_time = known <= int(end_of(use_case, key).timestamp() * 1_000_000)
        parts.append(_in_windows(columns, there.filter(in_time & in_window), [last], reference.window_days))
    return _Counted(
        rows=np.concatenate([p.rows for p in parts]),
        days=np.concatenate([p.days for p in parts]),
        counts={c.name: np.concatenate([p.counts[c.name] for p in parts]) for c in columns},
        findings={c.name: [found for p in parts for found in p.findings[c.name]] for c in columns},
    )


def _in_windows(columns: Sequence[ReferenceColumn], rows: pl.DataFrame, ends: Sequence[date], days: int) -> _Counted:
    by_day = day_counts(rows, rows[DAY], [c.bins for c in columns])
    windows = by_day.windows(np.array(ends, dtype="datetime64[D]"), days)
    counts = {c.name: by_day.sums(c.name, windows) for c in columns}
    return _Counted(
        rows=by_day.number(windows, "rows"),
        days=by_day.number(windows, "days"),
        counts=counts,
        findings={c.name: findings_of(c, by_day, counts[c.name], windows) for c in columns},
    )
