"""The flights line over a few real days, in a state folder of its own: real lake, real MLflow, real Dagster runs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.contracts import UseCase
from assets.policies import PromotionPolicy, TimeSplit, TrainerSpec
from assets.stages.common import asset_key, table_name
from pipelines.assembly import build_definitions
from pipelines.flight_delays.feed import publish
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from pipelines.jobs import job_name
from pipelines.line import Line
from resources.evidently_workspace import EvidentlyWorkspace
from resources.lake import Lake
from resources.landing import LandingZone
from resources.objects import ObjectStore
from resources.registry import MlflowModelRegistry
from resources.reports import Reports
from resources.values import JsonValues
from tests.support.instance import write_instance_file
from tests.support.rooms import made_once, shared

FEW_DAYS = replace(
    FLIGHT_DELAYS,
    split=TimeSplit(validation=timedelta(days=2), test=timedelta(days=5)),
    trainers=(TrainerSpec(family="logistic_regression", search_trials=0),),
    # Five days of January say little of anything; what is tested here is what follows from a yes.
    promotion=PromotionPolicy(confidence=0.6, leakage_ceiling=0.8, calibration_limit=1.0, slice_margin=1.0),
)
FIRST, LAST = "2013-01-01", "2013-02-07"
"""The days that land: a week more than features look back."""
FEATURES_FROM = "2013-01-20"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


FEWER = {"assets.stages.features.LEAKAGE_SAMPLE": 3, "assets.reports.drift.SHOWN_COLUMNS": 3}
"""The check for leakage and the pictures of drift have tests of their own. Two dozen rows of the one are three quarters
of a day's run, and the other costs 0.1 s for each column."""


@contextmanager
def fewer_details() -> Iterator[None]:
    """Within the block, a run does less of what says nothing about the line."""
    with pytest.MonkeyPatch.context() as patch:
        for name, count in FEWER.items():
            patch.setattr(name, count)
        yield


@dataclass(frozen=True, kw_only=True)
class Home:
    """A state folder, and the landing zone it takes in from."""

    folder: Path
    landing: Path
    use_case: UseCase = FEW_DAYS

    @property
    def lake(self) -> Lake:
        return Lake(root=str(self.folder / "lake"))

    @property
    def registry(self) -> MlflowModelRegistry:
        return MlflowModelRegistry(
            tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}",
            artifact_root=str(self.folder / "artifacts"),
            ui_url="http://127.0.0.1:5000",
        )

    @property
    def values(self) -> JsonValues:
        return JsonValues(root=str(self.folder / "values"))

    def definitions(self, **resources: Any) -> dg.Definitions:
        own = {
            "landing": LandingZone(root=str(self.landing)),
            "lake": self.lake,
            "registry": self.registry,
            "reports": Reports(root=str(self.folder / "reports")),
            "evidently_workspace": EvidentlyWorkspace(root=str(self.folder / "evidently")),
            "io_manager": self.values,
        }
        return build_definitions(self.use_case, {**own, **resources})

    def key(self, name: str) -> dg.AssetKey:
        return asset_key(self.use_case, name)

    def table(self, name: str) -> str:
        return table_name(self.use_case, name)

    def rows(self, name: str, *days: str, version: int | None = None) -> pl.DataFrame:
        """All rows of a table, or of some days, in an order that depends on the rows only."""
        frame = self.lake.scan(self.table(name), partitions=days or None, version=version).collect()
        return frame.sort(frame.columns)

    def versions(self) -> dict[str, int | None]:
        """Version of every table in the lake, by name."""
        folder = self.folder / "lake" / self.use_case.name
        return {p.name: self.lake.version(self.table(p.name)) for p in sorted(folder.iterdir())}

    def run(
        self,
        purpose: str,
        *names: str,
        first: str | None = None,
        last: str | None = None,
        instance: dg.DagsterInstance | None = None,
        **resources: Any,
    ) -> dg.ExecuteInProcessResult:
        """Run a job, or some of its assets, over days `first` to `last` (or `first` alone)."""
        job = self.definitions(**resources).resolve_job_def(job_name(self.use_case.name, purpose))
        span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        with instance or dg.DagsterInstance.ephemeral() as used, fewer_details():
            return job.execute_in_process(
                instance=used,
                raise_on_error=False,
                asset_selection=[self.key(name) for name in names] or None,
                tags={tag: day for tag, day in span.items() if day},
                run_config=QUIET,
            )

    @contextmanager
    def line(self, told: list[str] | None = None, **resources: Any) -> Iterator[Line]:
        """The line over this home, with a Dagster instance that stays in its folder."""
        room = self.folder / "dagster"
        room.mkdir(parents=True, exist_ok=True)
        write_instance_file(room)
        with dg.DagsterInstance.from_config(str(room)) as instance, fewer_details():
            echo = [].append if told is None else told.append
            yield Line(use_case=self.use_case, defs=self.definitions(**resources), instance=instance, echo=echo)

    def copy(self, folder: Path, *, with_landing: bool = False, use_case: UseCase | None = None) -> "Home":
        """The same state to do as one likes with; arrival times of landed files stay."""
        shutil.copytree(self.folder, folder)
        landing = shutil.copytree(self.landing, folder / "landing") if with_landing else self.landing
        return Home(folder=folder, landing=landing, use_case=use_case or self.use_case)


def days_between(first: str, last: str) -> list[str]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(days=n)) for n in range((end - start).days + 1)]


def succeed(result: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
    """The same result, of a run that went well."""
    assert result.success, failures(result)
    return result


def failures(result: dg.ExecuteInProcessResult) -> str:
    """What the failed steps said, causes included."""
    assert not result.success
    texts = []
    for event in result.all_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        while error is not None:
            texts.append(error.message)
            error = error.cause
    return "\n".join(texts)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Check evaluations of a run by `<asset>/<check>`."""
    return {f"{c.asset_key.path[-1]}/{c.check_name}": c for c in result.get_asset_check_evaluations()}


def steps_run(result: dg.ExecuteInProcessResult) -> set[str]:
    """Assets whose step began."""
    return {e.step_key.rsplit("__", maxsplit=1)[-1] for e in result.all_events if e.is_step_start and e.step_key}


def flights_file(day: str) -> str:
    return f"flights/flights_{day}.csv.gz"


def weather_file(day: str) -> str:
    return f"weather/weather_{day}.csv"


# The following are made once, whichever test asks first: the plain files for all workers of the session, a home with
# MLflow's store once per worker.


def feed(folder: Path, first: str, last: str) -> Path:
    publish(ObjectStore(str(folder)), until=date.fromisoformat(last), since=date.fromisoformat(first))
    return folder


def landed(room: Path) -> Path:
    """A landing zone with all the days; read it, never write."""
    return made_once(shared(room) / "few_days" / "landing", lambda folder: feed(folder, FIRST, LAST))


@cache
def cleaned(room: Path) -> Home:
    """All the days up to their cleaned tables; read it, or copy it."""
    home = Home(folder=shared(room) / "few_days" / "cleaned", landing=landed(room))
    tables = [f"{stage}_{table.name}" for table in home.use_case.tables for stage in ("raw", "cleaned", "quarantined")]
    made_once(home.folder, lambda _: succeed(home.run("ingest", *tables, first=FIRST, last=LAST)))
    return home


@cache
def ingested(room: Path) -> Home:
    """The days and the features of the last nineteen; read it, or copy it."""
    before, folder = cleaned(room), shared(room) / "few_days" / "ingested"

    def make(folder: Path) -> None:
        succeed(before.copy(folder).run("ingest", "features", first=FEATURES_FROM, last=LAST))

    return replace(before, folder=made_once(folder, make))


@dataclass(frozen=True)
class Trained:
    """A home with a judged candidate, which is the champion, and the run that made it."""

    home: Home
    result: dg.ExecuteInProcessResult


@cache
def trained(room: Path) -> Trained:
    """All but the endpoint; read it, or copy it (models stay where they are)."""
    home = ingested(room).copy(room / "few_days" / "trained")
    result = home.run("train", "training_set", "logistic_regression", "evaluation_report", "champion")
    return Trained(home, succeed(result))
