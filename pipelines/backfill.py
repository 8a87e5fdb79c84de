"""Making partitions of one asset anew: a method changed, and its history is to follow.

Belongs here: which partitions in which runs, and running them. Does not belong here: what is due by itself
(`backlog.py`), and what an asset does.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import dagster as dg

from assets.contracts import UseCase
from assets.stages.common import asset_key, table_name
from pipelines import catalogue
from pipelines.backlog import RANGE, Backlog
from pipelines.jobs import ingested_assets
from pipelines.killed import LAUNCHED_BY, LINE, OPEN, end_killed_runs, wait_for_others
from pipelines.line import LineError, why_failed
from pipelines.progress import Echo, Progress
from resources.errors import ThroughlineError
from resources.lake import Lake
from resources.landing import LandingZone
from resources.locks import alone, line_lock
from resources.registry import MlflowModelRegistry
from resources.settings import Settings

if TYPE_CHECKING:
    # Dagster names this type nowhere public.
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

PARTITIONS_PER_RUN: Final = 100
"""Of assets that read what has been taken in already: 100 days with 900 rows of 112 features are 80 MB in memory."""
BACKFILL: Final = "throughline/backfill"
"""Tag of a run with the asset that was asked for, and the whole range."""


class BackfillError(ThroughlineError):
    """What is to be made anew does not exist; the message says what does."""


def backfill(
    settings: Settings,
    name: str,
    asset: str,
    since: date,
    until: date,
    echo: Echo,
    *,
    upstream: bool = False,
    replace_scores: bool = False,
) -> None:
    """Make all partitions of an asset from `since` to `until` anew, in a state folder in which no line runs.

    Args:
        settings: The state folder.
        name: The use case.
        asset: The last part of its key, such as `features`.
        since: First local day.
        until: Last local day, included.
        echo: Told of the progress.
        upstream: Make what it is made from anew as well, over the same partitions; but never scores.
        replace_scores: Let today's champion say anew what another version may have said before.

    Raises:
        BusyError: If a line, or another backfill, runs in this state folder.
        BackfillError: If there is no such asset, no partition to make, or scores would be replaced unasked.
        LineError: If a run fails, saying from which day to go on.
    """
    use_case, defs = catalogue.use_case(name), catalogue.definitions(name)
    Path(settings.dagster_home).mkdir(parents=True, exist_ok=True)
    with alone(line_lock(settings.home), "The line or a backfill"), dg.DagsterInstance.get() as instance:
        work = Backfill(use_case=use_case, defs=defs, instance=instance, echo=echo, replaces_scores=replace_scores)
        work.plan(asset, since, until, upstream=upstream)  # refused before anything is waited for
        end_killed_runs(instance, cast(MlflowModelRegistry, (defs.resources or {})["registry"]), name)
        work.end_killed()
        wait_for_others(instance, name, echo)
        work.run(asset, since, until, upstream=upstream)


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """One use case, its definitions, and the Dagster instance its runs are recorded in.

    Attributes:
        replaces_scores: Whether scores that were given may be replaced: they are a record of what was said.
    """

    use_case: UseCase
    defs: dg.Definitions
    instance: dg.DagsterInstance
    echo: Echo
    replaces_scores: bool = False

    def run(self, asset: str, since: date, until: date, *, upstream: bool = False) -> None:
        """Make the partitions anew, telling the progress; those without anything to be made from are left out.

        Raises:
            BackfillError, LineError: As for `backfill`.
        """
        keys = self.chosen(asset, upstream=upstream)
        asked, found = self._asked(since, until), self._found(asset, keys, since, until)
        if missing := len(asked) - len(found):
            self.echo(f"{missing} of {len(asked)} partitions have nothing to be made from, and are left out")
        planned = self._cut(keys, found)
        for number, (first, last) in enumerate(planned, start=1):
            self.echo(f"[{number}/{len(planned)}] {self.use_case.name}: {asset} from {first} to {last}")
            try:
                self._materialise(keys, first, last, f"{asset} {since}/{until}")
            except LineError as error:
                done = f"what came before {first} is done; " if number > 1 else ""
                raise LineError(f"{error} ({done}go on with --since {first})") from error

    def plan(self, asset: str, since: date, until: date, *, upstream: bool = False) -> list[tuple[str, str]]:
        """First and last partition of each run, in order.

        Raises:
            BackfillError: If there is no such asset, no partition to make, or scores would be replaced unasked.
        """
        keys = self.chosen(asset, upstream=upstream)
        return self._cut(keys, self._found(asset, keys, since, until))

    def chosen(self, asset: str, *, upstream: bool = False) -> frozenset[dg.AssetKey]:
        """The asset, those that are made in one go with it, and with `upstream` the partitioned ones before them.

        Scores are upstream of nothing: who watches them anew wants to know of what was said, not to have it said anew.

        Raises:
            BackfillError: If it does not exist or has no partitions, naming those that do.
        """
        key, partitioned = asset_key(self.use_case, asset), self._partitioned()
        if key not in partitioned:
            raise BackfillError(
                f"{self.use_case.name} has no asset {asset!r} with partitions; those with partitions are "
                f"{', '.join(sorted(k.path[-1] for k in partitioned))}"
            )
        found = {key}
        while True:
            more = set().union(*(self._graph.get(k).execution_set_asset_keys for k in found))
            if upstream:
                more |= {p for k in found for p in self._graph.get(k).parent_keys if p in partitioned - {self._scores}}
            if more <= found:
                return frozenset(found)
            found |= more

    def end_killed(self) -> None:
        """End on record the runs of a backfill whose process was killed; to be called where no other can be running."""
        for run in self.instance.get_runs(filters=dg.RunsFilter(statuses=list(OPEN))):
            if BACKFILL in run.tags and any(key.path[0] == self.use_case.name for key in run.asset_selection or ()):
                self.instance.report_run_failed(run, "The process of this run was killed.")

    def _partitioned(self) -> set[dg.AssetKey]:
        keys = self._graph.get_all_asset_keys()
        return {k for k in keys if k.path[0] == self.use_case.name and self._graph.get(k).partitions_def is not None}

    def _asked(self, since: date, until: date) -> list[str]:
        """Declared partitions from one day to another."""
        partitions = self.use_case.partitions
        declared = f"from {partitions.start} " + ("on" if partitions.end is None else f"to {partitions.end}")
        if since > until:
            raise BackfillError(f"--since {since} lies after --until {until}")
        asked = [k for k in partitions.between(partitions.key(since), partitions.key(until)) if partitions.holds(k)]
        if not asked:
            raise BackfillError(
                f"no partition lies between {since} and {until}; {self.use_case.name} has partitions {declared}"
            )
        return asked

    def _found(self, asset: str, keys: frozenset[dg.AssetKey], since: date, until: date) -> list[str]:
        """Those of them that there is something to be made from."""
        there = self._made_from(keys)
        found = [key for key in self._asked(since, until) if there is None or key in there]
        if not found:
            held = f"from {min(there)} to {max(there)}" if there else "nowhere"
            raise BackfillError(f"{asset} of {since} to {until} has nothing to be made from; that is there {held}")
        if self._scores in keys and not self.replaces_scores:
            self._refuse_scored(found)
        return found

    def _refuse_scored(self, keys: Sequence[str]) -> None:
        table = table_name(self.use_case, self._scores.path[-1])
        if not (scored := sorted(self._lake.partitions(table).intersection(keys))):
            return
        rows = self._lake.scan(table, partitions=scored).select("model_version").unique().collect()
        by = ", ".join(rows["model_version"].sort())
        raise BackfillError(
            f"{len(scored)} partitions, {scored[0]} to {scored[-1]}, have scores by {by}: today's champion would say "
            "them anew, and the record of what was said then would be lost; leave them out, or give --replace-scores"
        )

    def _made_from(self, keys: frozenset[dg.AssetKey]) -> set[str] | None:
        """Partitions of which there is all that these assets are made from; None if that is not kept in the lake."""
        parents = {p for k in keys for p in self._graph.get(k).parent_keys} & self._partitioned() - keys
        if not parents:
            return self._backlog().arrived()
        # Of the others, weather for instance, a day may be missing without a day of features missing.
        entities = {asset_key(self.use_case, f"cleaned_{self.use_case.entity_table}")} & parents
        tables = [table_name(self.use_case, parent.path[-1]) for parent in entities or parents]
        held = [self._lake.partitions(table) for table in tables if self._lake.version(table) is not None]
        return set.intersection(*held) if held else None

    def _cut(self, keys: frozenset[dg.AssetKey], found: Sequence[str]) -> list[tuple[str, str]]:
        """Ranges that fit in memory: by landed bytes where files are read, else by their number."""
        if keys & ingested_assets(self.use_case):
            return self._backlog().runs(found)
        policies = [self._graph.get(key).backfill_policy for key in keys]
        most = min(p.max_partitions_per_run or PARTITIONS_PER_RUN if p is not None else 1 for p in policies)
        ranges: list[tuple[str, str]] = []
        for first, last in self.use_case.partitions.ranges(found):
            span = self.use_case.partitions.between(first, last)
            parts = [span[start : start + most] for start in range(0, len(span), most)]
            ranges += [(part[0], part[-1]) for part in parts]
        return ranges

    def _materialise(self, keys: frozenset[dg.AssetKey], first: str, last: str, asked: str) -> None:
        # Not by the job of the asset: an ingestion of some assets only would pass for one that was cut short.
        job = self.defs.resolve_implicit_global_asset_job_def()
        run_id, steps = str(uuid.uuid4()), len(job.get_subset(asset_selection=set(keys)).all_node_defs)
        self.instance.add_event_listener(run_id, Progress(echo=self.echo, steps=steps))
        result = job.execute_in_process(
            instance=self.instance,
            run_id=run_id,
            tags={LAUNCHED_BY: LINE, BACKFILL: asked, **dict(zip(RANGE, (first, last), strict=True))},
            raise_on_error=False,
            asset_selection=sorted(keys),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # Progress tells what matters
        )
        if not result.success:
            raise LineError(why_failed(f"the backfill of {first} to {last}", run_id, result))

    def _backlog(self) -> Backlog:
        landing = cast(LandingZone, (self.defs.resources or {})["landing"])
        assets = ingested_assets(self.use_case)
        return Backlog(use_case=self.use_case, lake=self._lake, landing=landing, instance=self.instance, assets=assets)

    @property
    def _scores(self) -> dg.AssetKey:
        return asset_key(self.use_case, "predictions")

    @property
    def _lake(self) -> Lake:
        return cast(Lake, (self.defs.resources or {})["lake"])

    @cached_property
    def _graph(self) -> "AssetGraph":
        return self.defs.resolve_asset_graph()
