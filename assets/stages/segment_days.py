"""What the segments of the endpoint hold of a partition, whatever their records tell.

Belongs here: finding the records of a partition, and what was met on the way. Does not belong here: what a record
means (`logged_answers.py`, `feedback_labels.py`), and which segments are due or done (`logged_segments.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from assets.contracts import UseCase
from assets.reports import markdown
from resources.lake import Lake
from resources.serving.logged import LoggedSegment
from resources.serving.segment_reading import Damage, SegmentReader

SHOWN: Final = 20
"""Damaged lines that are named one by one."""


@dataclass(frozen=True, kw_only=True)
class SegmentShare:
    """What a partition took from a segment.

    Attributes:
        size: Bytes of the segment when it was read.
        lines: Whole lines in it.
        taken: Lines that belong to the partition, those that are left out for what they say included.
        lost: Lines that belong to none: damaged, or of a day that is no partition.
    """

    segment: str
    size: int
    lines: int
    taken: int
    lost: int


@dataclass(kw_only=True)
class Taken:
    """The records of one partition.

    Attributes:
        rows: In no particular order.
        damage: Lines that could not be read, in all segments that were looked into.
        shares: What came from which segment.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    shares: list[SegmentShare] = field(default_factory=list)


def bounds(use_case: UseCase, key: str) -> tuple[datetime, datetime]:
    """The instants [begin, end) of a partition (UTC)."""
    zone = ZoneInfo(use_case.partitions.timezone)
    days = (datetime.fromisoformat(key).date(), use_case.partitions.last_day(key) + timedelta(days=1))
    begin, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in days)
    return begin, end


def taken(
    use_case: UseCase,
    segments: Sequence[LoggedSegment],
    key: str,
    row_of: Callable[[bytes], dict[str, Any] | None],
    *,
    stamp: str,
) -> Taken:
    """All records of a partition that the segments hold.

    Args:
        use_case: The declaration.
        segments: Where to look.
        key: The partition.
        row_of: A record as a row; None if it is none.
        stamp: Field of the rows that says when, and so to which partition they belong.
    """
    begin, end = bounds(use_case, key)
    zone, found = ZoneInfo(use_case.partitions.timezone), Taken()
    for segment in (s for s in segments if s.may_hold(begin, end)):
        reader, before, lost = SegmentReader(segment.path), len(found.rows), 0
        for number, content in enumerate(reader.records(), 2):
            row = row_of(content)
            if row is None:
                found.damage.append(Damage(segment=segment.name, line=number, reason="it is no record of this kind"))
                lost += 1
            elif not begin <= row[stamp] < end:
                local = row[stamp].astimezone(zone).date()
                lost += not use_case.partitions.holds(use_case.partitions.key(local))
            else:
                found.rows.append(row)
        found.damage += reader.damage
        lost += sum(not damage.is_torn and damage.line > 1 for damage in reader.damage)
        count = len(found.rows) - before
        share = SegmentShare(segment=segment.name, size=segment.size, lines=reader.lines, taken=count, lost=lost)
        found.shares.append(share)
    return found


def with_known(lake: Lake, table: str, key: str, rows: pl.DataFrame, identity: Sequence[str]) -> pl.DataFrame:
    """The rows of a partition together with those that the table has from segments that are gone."""
    if lake.version(table) is None:
        return rows
    known = lake.scan(table, partitions=[key]).collect().join(rows, on=identity, how="anti")
    return pl.concat([rows, known], how="diagonal")


def intact_spec(key: dg.AssetKey, name: str) -> dg.AssetCheckSpec:
    """The check that `intact_result` answers."""
    return dg.AssetCheckSpec(name, asset=key, description="No line of the segments read is damaged.")


def intact_result(name: str, damage: Iterable[Damage]) -> dg.AssetCheckResult:
    """Whether all lines were what was written; each is counted once, however many partitions met it."""
    every = {(d.segment, d.line): d for d in damage}
    damaged = [d for d in every.values() if not d.is_torn]
    cells = [[d.segment, str(d.line), d.reason] for d in damaged[:SHOWN]]
    shown: Mapping[str, Any] = {}
    if cells:
        shown = {"damaged": dg.MetadataValue.md(markdown.table(["segment", "line", "why"], cells))}
    return dg.AssetCheckResult(
        check_name=name,
        passed=not damaged,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "damaged_lines": len(damaged),
            "torn_last_lines": len(every) - len(damaged),  # of a writer that died, or that writes at this moment
            **shown,
        },
    )
