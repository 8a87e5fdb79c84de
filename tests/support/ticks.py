"""The real sensors and schedules of the toy, over a lake with the ledgers and tables that a test writes into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
import pytest

from assets.automation import Automation, RetrainingPolicy
from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY
from assets.stages.common import table_name
from pipelines.assembly import build_definitions
from resources.landing import LandingZone
from tests.support.landed_toy import LANDED_TOY
from tests.support.retraining import CHAMPION, COMMIT, DAY, NOW, Feeders, feeders

if TYPE_CHECKING:
    from dagster._core.definitions.repository_definition import RepositoryDefinition

NEW_DATA, MONITORING = "parcels_new_data_sensor", "parcels_monitoring_sensor"
RETRAINING = "parcels_retraining_schedule"
UTC_TYPE = pl.Datetime("us", "UTC")


@dataclass(frozen=True, kw_only=True)
class Ticks(Feeders):
    """A line where nothing lands, so that its sensors ask for trainings only."""

    @cached_property
    def defs(self) -> dg.Definitions:
        """The definitions over the state folder of the test."""
        landing = LandingZone(root=str(self.folder / "landing"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("THROUGHLINE_HOME", str(self.folder))
            return build_definitions(self.use_case, {"lake": self.lake, "clock": self.clock, "landing": landing})

    @cached_property
    def repository(self) -> "RepositoryDefinition":
        """The same as a code location has them."""
        return self.defs.get_repository_def()

    def tick(self, sensor_name: str, at: datetime) -> dg.RunRequest | str | None:
        """What a sensor asks for at an instant, or why it asks for nothing."""
        self.clock.set(at)
        sensor = self.repository.get_sensor_def(sensor_name)
        with dg.build_sensor_context(
            self.instance,
            repository_def=self.repository,
            sensor_name=sensor_name,
            resources=self._resources(sensor.required_resource_keys),
        ) as context:
            data = sensor.evaluate_tick(context)
        return data.run_requests[0] if data.run_requests else data.skip_message

    def fire(self, at: datetime) -> dg.RunRequest | str | None:
        """The same of the schedule that asks about age."""
        self.clock.set(at)
        schedule = self.repository.get_schedule_def(RETRAINING)
        with dg.build_schedule_context(
            self.instance,
            scheduled_execution_time=at,
            repository_def=self.repository,
            resources=self._resources(schedule.required_resource_keys),
        ) as context:
            data = schedule.evaluate_tick(context)
        return data.run_requests[0] if data.run_requests else data.skip_message

    def about(self, trigger: str) -> list[tuple[str, datetime]]:
        """Answers on a trigger, and when each was given."""
        rows = self.ledger().filter(pl.col("triggers").list.contains(trigger))
        return list(rows.select("answer", "decided_at").iter_rows())

    def labelled(self, first: date, days: int) -> None:
        """Features of which all labels are known."""
        keys = [str(first + n * DAY) for n in range(days)]
        frame = pl.DataFrame(
            {PARTITION_KEY: keys, "is_late": [1] * days, LABEL_KNOWN_AT: [NOW] * days, "due_at": [NOW] * days},
            schema_overrides={"is_late": pl.Int8, LABEL_KNOWN_AT: UTC_TYPE, "due_at": UTC_TYPE},
        )
        self.lake.write(table_name(self.use_case, "features"), frame, partitions=keys, commit=COMMIT)

    def drifted(self, at: datetime) -> None:
        """The alarm of one window, judged at an instant."""
        day = str(NOW.date() - DAY)
        row = {PARTITION_KEY: day, "window_end": day, "reference": CHAMPION, "model_version": CHAMPION}
        row |= {"group": "parcel", "score": 1.5, "is_drifted": True, "worst_column": "weight", "note": None}
        frame = pl.DataFrame([row], schema_overrides={"note": pl.String})
        self.lake.write(table_name(self.use_case, "drift_windows"), frame, partitions=[day], commit=COMMIT)
        key = dg.AssetKey([self.use_case.name, "drift_report"])
        told = {"judged_at": at.isoformat()}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day, metadata=told))

    def _resources(self, names: set[str]) -> dict[str, Any]:
        return {name: (self.defs.resources or {})[name] for name in names}


@contextmanager
def ticks(folder: Path, **policy: Any) -> Iterator[Ticks]:
    """A line on disk with a champion of a month ago, and a policy of retraining."""
    use_case = replace(LANDED_TOY, automation=Automation(retraining=RetrainingPolicy(**policy)))
    with feeders(folder, use_case, on_disk=True) as made:
        yield Ticks(folder=made.folder, instance=made.instance, use_case=use_case)
