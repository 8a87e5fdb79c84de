"""What is still to be taken in: days that landed, landed anew, look back on such a day, or were cut short.

Belongs here: reading that off the landing zone, the lake and Dagster's runs. Does not belong here: running anything
(`line.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import dagster as dg
import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.stages.common import days_before, table_name
from assets.stages.features import look_back_days
from pipelines.jobs import job_name
from resources.lake import Lake
from resources.landing import LandingZone

RANGE: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""Tags of a run with its first and last partition."""
PLAN: Final = "throughline/ranges"
"""Tag of an ingestion with its own range and those that were to be made after it."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """The ingestion that is due.

    Attributes:
        assets: All assets of the ingest job; a run of only some of them makes no day complete.
    """

    use_case: UseCase
    lake: Lake
    landing: LandingZone
    instance: dg.DagsterInstance
    assets: frozenset[dg.AssetKey]

    def days(self) -> list[str]:
        """Partitions to take in: landed since, changed since, or within the look-back of a changed one, in order.

        A change counts until a run that takes it in has succeeded: one that was killed has told nobody how far it came.
        """
        arrived = self.arrived()
        if self._registers_changed():
            return sorted(arrived)
        done = self.lake.partitions(table_name(self.use_case, "features"))
        # Weather of a day without flights waits for them; else it would be news at every run.
        changed = arrived & (self._changed() | self._cut_short())
        reach = look_back_days(self.use_case)
        stale = {d for d in done for c in changed if days_before(d, reach) <= c <= d}
        return sorted(arrived & (stale | changed | (arrived - done)))

    def arrived(self) -> set[str]:
        """Days on which every required table has landed."""
        tables = [t for t in self.use_case.tables if t.is_partitioned and not t.is_optional]
        sets = [{str(p) for p in t.source.arrivals(self.landing.store)} for t in tables]
        return set.intersection(*sets)

    def _changed(self) -> set[str]:
        """Days with a file that is not the one that was taken in, by the time it landed."""
        changed: set[str] = set()
        for table in (t for t in self.use_case.tables if t.is_partitioned):
            name = table_name(self.use_case, f"raw_{table.name}")
            taken: dict[str, object] = {}
            if self.lake.version(name) is not None:
                seen = self.lake.scan(name).group_by(PARTITION_KEY).agg(pl.col("ingested_at").first()).collect()
                taken = dict(seen.select(PARTITION_KEY, "ingested_at").iter_rows())
            arrivals = table.source.arrivals(self.landing.store)
            changed |= {str(p) for p, arrival in arrivals.items() if taken.get(str(p)) != arrival.arrived_at}
        return changed

    def _registers_changed(self) -> bool:
        """True if a whole file is not the one that was taken in: it concerns every day."""
        for table in (t for t in self.use_case.tables if not t.is_partitioned):
            name = table_name(self.use_case, f"raw_{table.name}")
            landed = [arrival.arrived_at for arrival in table.source.arrivals(self.landing.store).values()]
            taken: list[object] = []
            if self.lake.version(name) is not None:
                taken = self.lake.scan(name).select(pl.col("ingested_at").unique()).collect()["ingested_at"].to_list()
            if landed and landed != taken:
                return True
        return False

    def _cut_short(self) -> set[str]:
        """Days that an ingestion was to make, and no run has made since: it failed, was killed, or never came to them.

        The lake cannot tell: a killed run may have read a late day and not made the days after it anew.
        """
        name = job_name(self.use_case.name, "ingest")
        made: set[str] = set()
        left: set[str] = set()
        for run in self.instance.get_runs(filters=dg.RunsFilter(job_name=name)):  # the newest comes first
            own = [run.tags.get(tag) or run.tags.get("dagster/partition", "") for tag in RANGE]
            is_whole = not run.asset_selection or run.asset_selection == self.assets
            if run.is_success and is_whole:
                made |= _days(*own)
            planned = [span.split("/") for span in run.tags.get(PLAN, "").split()]
            left |= {day for span in (own, *planned) for day in _days(*span)} - made
        return left


def ranges(days: Iterable[str]) -> list[tuple[str, str]]:
    """Runs of consecutive days, first and last of each, so that a gap in the data is a gap in the runs."""
    found: list[tuple[str, str]] = []
    for day in sorted(days):
        if found and date.fromisoformat(day) - date.fromisoformat(found[-1][1]) == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def _days(first: str, last: str) -> set[str]:
    """The days from `first` to `last`, both included; none if there is no first."""
    if not first:
        return set()
    start = date.fromisoformat(first)
    return {str(start + timedelta(days=n)) for n in range((date.fromisoformat(last) - start).days + 1)}
