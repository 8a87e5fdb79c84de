"""The line of one use case: take in what has arrived, train if there is a reason, leave the endpoint live.

Belongs here: which jobs to run, over which partitions. Does not belong here: what a job does, the lines of several use
cases (`lines.py`), and the servers around the line (`services.py`).
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import dagster as dg

from assets.contracts import UseCase
from assets.stages.champion import LEDGER
from assets.stages.common import asset_key, table_name
from assets.stages.training_set import make_manifest
from assets.trainers.names import family_name
from pipelines.backlog import PLAN, RANGE, Backlog
from pipelines.code_changes import stale_partitions
from pipelines.jobs import ingested_assets, job_name
from pipelines.killed import LAUNCHED_BY, LINE
from pipelines.progress import Echo, Progress
from pipelines.upkeep import monitor_due, score_due
from resources.clock import Clock
from resources.errors import ThroughlineError
from resources.lake import Lake
from resources.landing import LandingZone

if TYPE_CHECKING:
    # Dagster names this type nowhere public.
    from dagster._core.execution.plan.objects import StepFailureData


class LineError(ThroughlineError):
    """A job of the line failed; the message says which step, why, and where to read more."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One use case, its definitions, and the Dagster instance its runs are recorded in."""

    use_case: UseCase
    defs: dg.Definitions
    instance: dg.DagsterInstance
    echo: Echo

    def run(self) -> None:
        """Bring everything up to date with what has landed; a second call right after it only looks at the endpoint.

        Raises:
            LineError: If a step fails.
        """
        if self.ingest() or self.outdated("explore"):
            self.job("explore")
        self.train()
        self.score()
        self.monitor()

    def train(self) -> None:
        """Train if data or what trains changed, judge again if only what judges did, else look at the endpoint."""
        use_case, endpoint = self.use_case, asset_key(self.use_case, "endpoint")
        names = ("training_set", *(family_name(spec.family) for spec in use_case.trainers))
        trained = {asset_key(use_case, name) for name in names}
        judging = self._keys("train") - trained - {endpoint}
        if self.outdated("train", trained) or not self._is_judged():
            self.job("train")
        elif self.outdated("train", judging):
            self.echo("Only code that judges changed since the last training: the candidates are judged again.")
            self.job("train", only=[*judging, endpoint])
        else:
            self.echo("Neither data nor code changed since the last training: the model stays as it is.")
            self.job("train", only=[endpoint])

    def ingest(self) -> bool:
        """Take in every partition that is new, changed, or depends on one that is; True if there were any."""
        backlog = self._backlog()
        planned = backlog.runs(self.pending(backlog))
        for done, (first, last) in enumerate(planned):
            self.echo(f"Ingesting {first} to {last}")
            plan = " ".join(f"{a}/{b}" for a, b in planned[done:])
            self.job("ingest", first=first, last=last, tags={PLAN: plan})
        return bool(planned)

    def pending(self, backlog: Backlog | None = None) -> list[str]:
        """Partitions to take in, in order; all that have arrived if the code changed.

        Raises:
            LineError: If nothing has landed at all.
        """
        backlog = backlog or self._backlog()
        if not backlog.arrived():
            root = self._landing.root
            raise LineError(f"Nothing has landed under {root}; run `make feed` or deliver the files there")
        # The latest materialisation tells of one partition only; those before it may be of other code.
        stale = stale_partitions(self.use_case, self.instance, self._lake) & backlog.arrived()
        return sorted(backlog.arrived()) if self.outdated("ingest") else sorted({*backlog.due(), *stale})

    def _backlog(self) -> Backlog:
        return Backlog(
            use_case=self.use_case,
            lake=self._lake,
            landing=self._landing,
            instance=self.instance,
            assets=ingested_assets(self.use_case),
        )

    def score(self) -> None:
        """Score what has no scores yet, or of other rows; all of the last test window if the code changed."""
        due = set(score_due(self.use_case, self._lake))
        if self.outdated("score"):
            partitions, features = (
                self.use_case.partitions,
                self._lake.partitions(table_name(self.use_case, "features")),
            )
            window = partitions.key(partitions.last_day(max(features)) - self.use_case.split.test + timedelta(days=1))
            due |= {key for key in features if key >= window}
        for begin, end in self.use_case.partitions.ranges(due):
            self.job("score", first=begin, last=end)

    def monitor(self) -> None:
        """Watch every partition that was scored and not watched yet."""
        for begin, end in self.use_case.partitions.ranges(monitor_due(self.use_case, self._lake)):
            self.job("monitor", first=begin, last=end)

    def outdated(self, purpose: str, only: AbstractSet[dg.AssetKey] | None = None) -> bool:
        """True if an asset of the job, or of `only` some, was never materialised, or by other code than today's."""
        assets = self.defs.resolve_asset_graph()
        keys = self._keys(purpose) if only is None else only
        made_by = self.instance.get_latest_materialization_code_versions(list(keys))
        return any(made_by.get(k) != assets.get(k).code_version for k in keys)

    def job(
        self,
        purpose: str,
        *,
        first: str | None = None,
        last: str | None = None,
        only: Sequence[dg.AssetKey] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Run one job in this process, over a range of partitions if given, telling its progress.

        Raises:
            LineError: If it fails.
        """
        name = job_name(self.use_case.name, purpose)
        job = self.defs.resolve_job_def(name)
        chosen = job if only is None else job.get_subset(asset_selection=set(only))
        span = dict(zip(RANGE, (first, last), strict=True))
        run_id = str(uuid.uuid4())
        self.instance.add_event_listener(run_id, Progress(echo=self.echo, steps=len(chosen.all_node_defs)))
        result = job.execute_in_process(
            instance=self.instance,
            run_id=run_id,
            tags={LAUNCHED_BY: LINE, **(tags or {}), **{tag: day for tag, day in span.items() if day is not None}},
            raise_on_error=False,
            asset_selection=only,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # Progress tells what matters
        )
        if not result.success:
            raise LineError(why_failed(name, run_id, result))

    def _is_judged(self) -> bool:
        """True if the last training came to a decision, about exactly the data that the lake holds now."""
        champion = asset_key(self.use_case, "champion")
        runs = self.instance.get_runs(filters=dg.RunsFilter(job_name=job_name(self.use_case.name, "train")))
        last = next((r for r in runs if not r.asset_selection or champion in r.asset_selection), None)
        decided = self.instance.get_latest_materialization_event(champion)
        if last is not None and not last.is_success and (decided is None or decided.run_id != last.run_id):
            return False
        ledger = table_name(self.use_case, LEDGER)
        if self._lake.version(ledger) is None:
            return False
        decisions = self._lake.scan(ledger).select("decided_at", "training_set").collect().sort("decided_at")
        return bool(decisions["training_set"][-1] == make_manifest(self.use_case, self._lake, self._clock.now()).id)

    def _keys(self, purpose: str) -> AbstractSet[dg.AssetKey]:
        return self.defs.resolve_job_def(job_name(self.use_case.name, purpose)).asset_layer.selected_asset_keys

    @property
    def _lake(self) -> Lake:
        return cast(Lake, (self.defs.resources or {})["lake"])

    @property
    def _clock(self) -> Clock:
        return cast(Clock, (self.defs.resources or {})["clock"])

    @property
    def _landing(self) -> LandingZone:
        return cast(LandingZone, (self.defs.resources or {})["landing"])


def why_failed(name: str, run_id: str, result: dg.ExecuteInProcessResult) -> str:
    """What failed in a run, and why, in one line for a person."""
    failures = [e for e in result.all_events if e.is_step_failure]
    texts = [f"{event.step_key}: {_reason(event.step_failure_data)}" for event in failures]
    gates = [c for c in result.get_asset_check_evaluations() if not c.passed and c.description]
    texts += [f"{c.check_name}: {c.description}" for c in gates if c.severity is dg.AssetCheckSeverity.ERROR]
    return f"{name} failed (Dagster run {run_id}). " + " ".join(" | ".join(texts).split())


def _reason(failure: "StepFailureData") -> str:
    """What a stage wrote for people, else the error that Dagster wrapped, without the module of its class."""
    told = failure.user_failure_data
    if told is not None and told.description:
        return told.description
    wrapped = failure.error
    error = wrapped.cause if wrapped is not None and wrapped.cause is not None else wrapped
    return "no message" if error is None else re.sub(r"^(\w+\.)+(?=\w+: )", "", error.message.strip())
