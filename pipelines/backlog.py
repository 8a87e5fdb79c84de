"""What is still to be taken in: partitions that landed, landed anew, look back on such a one, or are made in part.

Belongs here: reading that off the landing zone, the lake and Dagster's runs. Does not belong here: running anything
(`line.py`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Final

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from assets.contracts import SourceTable, UseCase
from assets.stages.common import asset_key, table_name
from assets.stages.features import look_back_days
from pipelines.jobs import job_name
from resources.lake import Lake
from resources.lake_log import as_kept, newest
from resources.landing import LandingZone
from resources.sources import Arrival

RANGE: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""Tags of a run with its first and last partition."""
RUN_BYTES: Final = 192 * 2**20
"""Landed bytes that one run takes in at most, unless a single partition holds more. Packed rows grow about tenfold in
memory, and raw rows, cleaned rows and the history of features are there together."""
REGISTER: Final = "None"
"""In place of a partition, where a file that belongs to all of them is meant."""
SETTLES_AFTER: Final = timedelta(seconds=5)
"""A file untouched for so long is whole. One that is not after all is taken in again when it changes."""
PLAN: Final = "throughline/ranges"
"""Tag of an ingestion of the line with its own range and those that were to be made after it: all that was due. A run
without it was asked for by a person, who need not have thought of all that depends on it."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """The ingestion that is due.

    Attributes:
        assets: All assets of the ingest job; a run of only some of them makes no partition complete.
    """

    use_case: UseCase
    lake: Lake
    landing: LandingZone
    instance: dg.DagsterInstance
    assets: frozenset[dg.AssetKey]

    def due(self, leaving: AbstractSet[str] = frozenset()) -> list[str]:
        """Partitions to take in: landed since, changed since, or within the look-back of a changed one, in order.

        A change counts until a run that takes it in has succeeded: one that was killed has told nobody how far it came.
        So does what a person changed on the way, such as raw rows alone, until all that is made from it was made since.

        Args:
            leaving: What is left as it is for now, with all that is due only for its sake: partitions, and `REGISTER`.
        """
        arrived = self.arrived() - leaving
        if REGISTER not in leaving and self._registers_changed():
            return sorted(arrived)
        done = self.lake.partitions(table_name(self.use_case, "features"))
        # Those that look back on what was cut short were due as well when it began, and so were cut short too.
        stale = _looking_back(arrived & self._changed, self._first_looked_at(done))
        return sorted(arrived & (stale | self.changed() | (arrived - done) | self._left_by_hand.keys()))

    def changed(self) -> set[str]:
        """Partitions that landed anew, or were not made since a run that was to make them."""
        # A file of another table waits for that of the required ones; else it would be news at every run.
        return self.arrived() & (self._changed | self._cut_short())

    def runs(self, keys: Sequence[str]) -> list[tuple[str, str]]:
        """Ranges of consecutive partitions, first and last of each, none with more landed bytes than fit in memory."""
        partitions, sizes = self.use_case.partitions, self._landed_bytes()
        found: list[tuple[str, str]] = []
        for first, last in partitions.ranges(keys):
            held = 0
            for key in partitions.between(first, last):
                held += sizes.get(key, 0)
                if key == first or held > RUN_BYTES:
                    found.append((key, key))
                    held = sizes.get(key, 0)
                found[-1] = (found[-1][0], key)
        return found

    def fingerprints(self, keys: Sequence[str]) -> list[tuple[str, str, str, str]]:
        """Table, partition, fingerprint and time of landing of each file behind some partitions, registers included."""
        wanted = {*keys, REGISTER}
        found = ((name, str(p), a) for name, arrivals in self._landed.items() for p, a in arrivals.items())
        return sorted((name, p, a.fingerprint, a.arrived_at.isoformat()) for name, p, a in found if p in wanted)

    def by_hand(self, keys: Sequence[str]) -> list[str]:
        """Runs by hand after which some of the partitions are due, by their ids."""
        return sorted({run_id for key in keys for run_id in self._left_by_hand.get(key, ())})

    def landing_now(self, now: datetime) -> set[str]:
        """Partitions, and `REGISTER`, with a file so young that it may still be written.

        A time of landing yet to come is no youth.
        """
        arrivals = [(str(p), a) for found in self._landed.values() for p, a in found.items()]
        return {key for key, a in arrivals if timedelta(0) <= now - a.arrived_at < SETTLES_AFTER}

    @cached_property
    def _landed(self) -> Mapping[str, Mapping[str | None, Arrival]]:
        """What has arrived of each table, listed once."""
        return {t.name: t.source.arrivals(self.landing.store) for t in self.use_case.tables}

    def _landed_bytes(self) -> dict[str, int]:
        tables = [t for t in self.use_case.tables if t.is_partitioned]
        sizes: dict[str, int] = {}
        for key, arrival in ((str(p), a) for t in tables for p, a in self._landed[t.name].items()):
            sizes[key] = sizes.get(key, 0) + arrival.size
        return sizes

    def arrived(self) -> set[str]:
        """Declared partitions of which every required table has landed."""
        tables = [t for t in self.use_case.tables if t.is_partitioned and not t.is_optional]
        sets = [{str(p) for p in self._landed[t.name]} for t in tables]
        return {key for key in set.intersection(*sets) if self.use_case.partitions.holds(key)}

    @cached_property
    def _changed(self) -> set[str]:
        """Partitions with a file that is not the one that was taken in, by the time it landed."""
        return {str(p) for table in self.use_case.tables if table.is_partitioned for p in self._news(table)}

    def _registers_changed(self) -> bool:
        """True if a whole file is not the one that was taken in: it concerns every partition."""
        return any(self._news(table) for table in self.use_case.tables if not table.is_partitioned)

    def _news(self, table: SourceTable) -> set[str | None]:
        """Partitions (None: the whole file) that landed at another time than what was taken in."""
        taken = newest(self.lake, table_name(self.use_case, f"raw_{table.name}"), "ingested_at")
        return {p for p, a in self._landed[table.name].items() if taken.get(p) != as_kept(a.arrived_at)}

    def _cut_short(self) -> set[str]:
        """Partitions that an ingestion was to make and no run has made since: it failed, was killed or never got there.

        The lake cannot tell: a killed run may have read a late file and not made the partitions after it anew.
        """
        name = job_name(self.use_case.name, "ingest")
        made: set[str] = set()
        left: set[str] = set()
        for run in self.instance.get_runs(filters=dg.RunsFilter(job_name=name)):  # the newest comes first
            own = _range(run)
            is_whole = not run.asset_selection or run.asset_selection == self.assets
            if run.is_success and is_whole:
                made |= self._between(*own)
            planned = [span.split("/") for span in run.tags.get(PLAN, "").split()]
            left |= {key for span in (own, *planned) for key in self._between(*span)} - made
        return left

    @cached_property
    def _left_by_hand(self) -> Mapping[str, AbstractSet[str]]:
        """Partitions that were not made since a person changed what they are made from, and the runs that did.

        The landing zone cannot tell: raw rows that were read by hand are those that landed, and what is made from them
        is not. A run that found its rows in the lake already has changed nothing.
        """
        done = self.lake.partitions(table_name(self.use_case, "features"))
        first, writers = self._first_looked_at(done), cache(self._writers)
        made: dict[dg.AssetKey, set[str]] = defaultdict(set)
        left: dict[str, set[str]] = defaultdict(set)
        for run in self._runs():
            own = self._between(*_range(run))
            chosen = self.assets & (run.asset_selection or self.assets)
            for key in chosen if run.is_success else ():
                made[key] |= own
            for table in self.use_case.tables if PLAN not in run.tags else ():
                raw, cleaned = (asset_key(self.use_case, f"{stage}_{table.name}") for stage in ("raw", "cleaned"))
                changed = own if table.is_partitioned else done
                due = _looking_back(changed, first) - made[asset_key(self.use_case, "features")]
                if raw in chosen and table.is_partitioned:
                    due |= changed - made[cleaned]
                if due and any(run.run_id in writers(key) for key in {raw, cleaned} & chosen):
                    for partition in due:
                        left[partition].add(run.run_id)
        return left

    def _runs(self) -> list[dg.DagsterRun]:
        """All runs that may have taken something in, the newest first: of the ingest job, and of chosen assets."""
        names = (job_name(self.use_case.name, "ingest"), IMPLICIT_ASSET_JOB_NAME)
        found = [r for n in names for r in self.instance.get_run_records(filters=dg.RunsFilter(job_name=n))]
        return [record.dagster_run for record in sorted(found, key=lambda record: record.storage_id, reverse=True)]

    def _writers(self, key: dg.AssetKey) -> set[str]:
        """Runs that changed rows of the table behind an asset, by their ids."""
        table = table_name(self.use_case, key.path[-1])
        records = [] if self.lake.version(table) is None else self.lake.history(table)
        return {record.commit.dagster_run_id for record in records if record.commit is not None}

    def _first_looked_at(self, keys: AbstractSet[str]) -> dict[str, str]:
        """The first partition that the features of each one look back on."""
        return {key: self.use_case.partitions.before(key, look_back_days(self.use_case)) for key in keys}

    def _between(self, first: str, last: str) -> set[str]:
        """The partitions from `first` to `last`, both included; none if there is no first."""
        return set(self.use_case.partitions.between(first, last)) if first else set()


def _range(run: dg.DagsterRun) -> list[str]:
    """First and last partition of a run; empty texts if it has none."""
    return [run.tags.get(tag) or run.tags.get("dagster/partition", "") for tag in RANGE]


def _looking_back(changed: AbstractSet[str], first: Mapping[str, str]) -> set[str]:
    """Partitions, of those with a known first one they look back on, that look back on a changed one."""
    return {key for key, start in first.items() for c in changed if start <= c <= key}
