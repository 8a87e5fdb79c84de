"""The whole line from the command line: take in what has arrived, train if there is a reason, leave the endpoint live.

Belongs here: which jobs to run, over which days. Does not belong here: what a job does, and the servers around the
line (`services.py`).
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import cast

import dagster as dg
import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.stages.common import asset_key, days_before, table_name
from assets.stages.features import look_back_days
from pipelines.jobs import job_name
from pipelines.progress import Echo, Progress
from resources.errors import ThroughlineError
from resources.lake import Lake
from resources.landing import LandingZone
from resources.settings import Settings


class LineError(ThroughlineError):
    """A job of the line failed; the message says which step, why, and where to read more."""


def run_line(settings: Settings, echo: Echo) -> None:
    """Run the line of the use case that ships with this project.

    Raises:
        ThroughlineError: If it cannot; the message is for a person.
    """
    from pipelines.flight_delays.definitions import defs
    from pipelines.flight_delays.use_case import FLIGHT_DELAYS

    Path(settings.dagster_home).mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.get() as instance:
        Line(use_case=FLIGHT_DELAYS, defs=defs, instance=instance, echo=echo).run()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One use case, its definitions, and the Dagster instance its runs are recorded in."""

    use_case: UseCase
    defs: dg.Definitions
    instance: dg.DagsterInstance
    echo: Echo

    def run(self) -> None:
        """Bring everything up to date with what has landed; a second call right after it runs no job.

        Raises:
            LineError: If a step fails.
        """
        fresh = self.ingest()
        if fresh:
            self.job("explore")
        if fresh or self.outdated("train"):
            self.job("train")
        else:
            self.echo("Nothing new has arrived and no code changed: the model stays as it is.")
            self.job("train", only=[asset_key(self.use_case, "endpoint")])
        self.score()

    def ingest(self) -> bool:
        """Take in every partition that is new, changed, or depends on one that is; True if there were any."""
        days = self.pending()
        for first, last in ranges(days):
            self.echo(f"Ingesting {first} to {last}")
            self.job("ingest", first=first, last=last)
        return bool(days)

    def pending(self) -> list[str]:
        """Partitions to take in: landed since, changed since, or within the look-back of a changed one."""
        lake, landing = self._lake, self._landing
        done = lake.partitions(table_name(self.use_case, "features"))
        arrived, changed = self._arrived(landing), self._changed(lake, landing)
        if not arrived:
            raise LineError(f"Nothing has landed under {landing.root}; run `make feed` or deliver the files there")
        if self.outdated("ingest"):
            return sorted(arrived)
        reach = look_back_days(self.use_case)
        stale = {d for d in done for c in changed if days_before(d, reach) <= c <= d}
        return sorted(arrived & (stale | changed | (arrived - done)))

    def score(self) -> None:
        """Score the days after the training data that the live champion has not scored yet."""
        lake = self._lake
        table = table_name(self.use_case, "predictions")
        scored = lake.partitions(table)
        known = sorted(lake.partitions(table_name(self.use_case, "features")))
        first = days_before(known[-1], self.use_case.split.test // timedelta(days=1) - 1)
        due = [d for d in known if d >= first and (d not in scored or self.outdated("score"))]
        for begin, end in ranges(due):
            self.job("score", first=begin, last=end)

    def outdated(self, purpose: str) -> bool:
        """True if an asset of the job was never materialised, or by other code than today's."""
        assets = self.defs.resolve_asset_graph()
        keys = self.defs.resolve_job_def(job_name(self.use_case.name, purpose)).asset_layer.selected_asset_keys
        made_by = self.instance.get_latest_materialization_code_versions(list(keys))
        return any(made_by.get(k) != assets.get(k).code_version for k in keys)

    def job(
        self,
        purpose: str,
        *,
        first: str | None = None,
        last: str | None = None,
        only: Sequence[dg.AssetKey] | None = None,
    ) -> None:
        """Run one job in this process, over a range of partitions if given, telling its progress.

        Raises:
            LineError: If it fails.
        """
        name = job_name(self.use_case.name, purpose)
        job = self.defs.resolve_job_def(name)
        span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        run_id = str(uuid.uuid4())
        self.instance.add_event_listener(run_id, Progress(echo=self.echo, steps=len(job.all_node_defs)))
        result = job.execute_in_process(
            instance=self.instance,
            run_id=run_id,
            tags={tag: day for tag, day in span.items() if day is not None},
            raise_on_error=False,
            asset_selection=only,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # Progress tells what matters
        )
        if not result.success:
            raise LineError(_why(name, run_id, result))

    def _arrived(self, landing: LandingZone) -> set[str]:
        """Days on which every required table has landed."""
        tables = [t for t in self.use_case.tables if t.is_partitioned and not t.is_optional]
        sets = [{str(p) for p in t.source.arrivals(landing.store)} for t in tables]
        return set.intersection(*sets)

    def _changed(self, lake: Lake, landing: LandingZone) -> set[str]:
        """Days with a file that landed after the one that was taken in, or that was never taken in."""
        changed: set[str] = set()
        for table in (t for t in self.use_case.tables if t.is_partitioned):
            name = table_name(self.use_case, f"raw_{table.name}")
            taken: dict[str, object] = {}
            if lake.version(name) is not None:
                seen = lake.scan(name).group_by(PARTITION_KEY).agg(pl.col("ingested_at").first()).collect()
                taken = dict(seen.select(PARTITION_KEY, "ingested_at").iter_rows())
            arrivals = table.source.arrivals(landing.store)
            changed |= {str(p) for p, arrival in arrivals.items() if taken.get(str(p)) != arrival.arrived_at}
        return changed

    @property
    def _lake(self) -> Lake:
        return cast(Lake, (self.defs.resources or {})["lake"])

    @property
    def _landing(self) -> LandingZone:
        return cast(LandingZone, (self.defs.resources or {})["landing"])


def ranges(days: Iterable[str]) -> list[tuple[str, str]]:
    """Runs of consecutive days, first and last of each, so that a gap in the data is a gap in the runs."""
    found: list[tuple[str, str]] = []
    for day in sorted(days):
        if found and date.fromisoformat(day) - date.fromisoformat(found[-1][1]) == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def _why(name: str, run_id: str, result: dg.ExecuteInProcessResult) -> str:
    failures = [e for e in result.all_events if e.is_step_failure]
    texts = []
    for event in failures:
        error = event.step_failure_data.error
        cause = error.cause if error is not None and error.cause is not None else error
        texts.append(f"{event.step_key}: {cause.message.strip() if cause is not None else 'no message'}")
    return f"{name} failed (Dagster run {run_id}). " + " | ".join(texts)
