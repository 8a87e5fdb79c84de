"""A small line around retraining: a lake with a promotion ledger, a Dagster instance on disk, and a clock."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.automation import Automation, RetrainingPolicy
from assets.contracts import UseCase
from assets.logic.retraining import Evidence, Missing
from assets.stages.champion import LEDGER, LEDGER_SCHEMA
from assets.stages.common import table_name
from pipelines.jobs import job_name
from pipelines.retraining import Considered, consider
from resources.clock import Clock
from resources.lake import Commit, Lake
from tests.support.instance import write_instance_file
from tests.support.toy_use_case import TOY

COMMIT = Commit(dagster_run_id="a test", code_version="a test")
NOW = datetime(2020, 3, 14, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHAMPION = "parcels/7"
DRIFT = Evidence(
    trigger="drift", id="drift/2020-03-14/parcels/7", fired=True, why="It drifted.", observed_at=NOW, link="/drift"
)
AGE = Evidence(trigger="age", id="age/2020-01-01/1", fired=True, why="It is old.", observed_at=NOW)


def with_policy(**policy: Any) -> UseCase:
    return replace(TOY, automation=Automation(retraining=RetrainingPolicy(**policy)))


def judged(lake: Lake, at: datetime, **changes: Any) -> None:
    """A row of the promotion ledger."""
    row = {
        "evaluation_id": str(at),
        "decided_at": at,
        "decision": "promoted",
        "model_version": CHAMPION,
        "reasons": ["It is better."],
        "tested_through": date(2020, 2, 14),
    }
    frame = pl.DataFrame([row | changes], schema=LEDGER_SCHEMA)
    lake.append(table_name(TOY, LEDGER), frame, COMMIT)


@dataclass(frozen=True, kw_only=True)
class Feeders:
    """What sensors and schedules have in common."""

    folder: Path
    instance: dg.DagsterInstance
    use_case: UseCase = TOY

    @property
    def lake(self) -> Lake:
        return Lake(root=str(self.folder / "lake"))

    @property
    def clock(self) -> Clock:
        return Clock(file=str(self.folder / "clock" / "now"))

    def ask(self, *evidence: Evidence | Missing, feeder: str = "a_sensor", at: datetime = NOW) -> Considered:
        """A tick."""
        self.clock.set(at)
        given = [replace(e, observed_at=at) if isinstance(e, Evidence) else e for e in evidence]
        return consider(
            self.use_case,
            given,
            feeder=feeder,
            instance=self.instance,
            lake=self.lake,
            clock=self.clock,
            run_home=self.folder / "run",
        )

    def ledger(self) -> pl.DataFrame:
        return self.lake.scan(table_name(TOY, "retraining_decisions")).collect().sort("number")

    def answers(self) -> list[str]:
        return self.ledger()["answer"].to_list()

    def started(self, tags: Mapping[str, str] | None = None, **changes: Any) -> dg.DagsterRun:
        """A training that runs in another process and tells nothing."""
        run = dg.DagsterRun(job_name=job_name("parcels", "train"), tags=dict(tags or {}), status=OPEN)
        run = run._replace(**changes)
        self.instance.add_run(run)
        return run

    def trained(self, request: dg.RunRequest | None, *, succeeds: bool = True) -> dg.ExecuteInProcessResult:
        """The training that was asked for, as a run from its beginning to its end."""
        assert request is not None

        @dg.op
        def train() -> None:
            if not succeeds:
                raise ValueError("no luck")

        @dg.job(name=job_name("parcels", "train"))
        def training() -> None:
            train()

        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return training.execute_in_process(
            run_config=quiet, instance=self.instance, tags=dict(request.tags), raise_on_error=False
        )


OPEN = dg.DagsterRunStatus.STARTED


@contextmanager
def feeders(
    folder: Path, use_case: UseCase = TOY, *, on_disk: bool = False, retries: bool = False
) -> Iterator[Feeders]:
    """A line with a champion of a month ago.

    `on_disk`: other processes see its instance. `retries`: it counts on a daemon that runs failed runs again.
    """
    with _instance(folder / "dagster", on_disk, retries) as instance:
        made = Feeders(folder=folder, instance=instance, use_case=use_case)
        if made.lake.version(table_name(TOY, LEDGER)) is None:
            judged(made.lake, NOW - 30 * DAY)
        yield made


def _instance(room: Path, on_disk: bool, retries: bool) -> dg.DagsterInstance:
    if not on_disk:
        return dg.DagsterInstance.ephemeral(settings={"run_retries": {"enabled": retries, "max_retries": 0}})
    room.mkdir(parents=True, exist_ok=True)
    write_instance_file(room)
    return dg.DagsterInstance.from_config(str(room))
