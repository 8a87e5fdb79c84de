"""The line in a replay: the real definitions over a state folder of its own, under a clock that stands until it is set.

Belongs here: which resources a replay has, and what it leaves out. Does not belong here: what happens on a day
(`days.py`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import dagster as dg

from assets.contracts import UseCase
from pipelines.jobs import job_name
from pipelines.replay.folder import ReplayError, ReplayFolder
from pipelines.replay.outside import Outside
from resources.clock import Clock
from resources.environments import resources_for
from resources.lake import Lake
from resources.notifier import Notifier
from resources.registry import MlflowModelRegistry
from resources.reports import Reports
from resources.settings import Settings

if TYPE_CHECKING:
    from dagster._core.definitions.repository_definition import RepositoryDefinition

LEFT_OUT: Final = frozenset({"endpoint", "prediction_log"})
"""Stages that a replay leaves out: a server answers in real time, and nobody asks it about the past."""


@dataclass(frozen=True, kw_only=True)
class World:
    """One use case in a replay.

    Attributes:
        defs: Its definitions, over the resources of the replay.
        instance: The Dagster instance of the replay.
        outside: What will land.
    """

    use_case: UseCase
    defs: dg.Definitions
    instance: dg.DagsterInstance
    folder: ReplayFolder
    outside: Outside

    @cached_property
    def repository(self) -> "RepositoryDefinition":
        """The definitions as Dagster resolves them."""
        return self.defs.get_repository_def()

    def resource(self, name: str) -> Any:
        """A resource by its name."""
        return (self.defs.resources or {})[name]

    @property
    def lake(self) -> Lake:
        """The tables of the replay."""
        return cast(Lake, self.resource("lake"))

    @property
    def registry(self) -> MlflowModelRegistry:
        """The models of the replay."""
        return cast(MlflowModelRegistry, self.resource("registry"))

    @property
    def clock(self) -> Clock:
        """The clock of the replay."""
        return cast(Clock, self.resource("clock"))

    def advance(self, instant: datetime) -> datetime:
        """Set the clock, never back; returns what it says then."""
        if self.clock.file is not None and Path(self.clock.file).is_file():
            instant = max(instant, self.clock.now())
        self.clock.set(instant)
        return self.clock.now()

    def assets_of(self, purpose: str) -> list[dg.AssetKey]:
        """The assets of a job that a replay makes, in the order of their names."""
        return self.made(self.repository.get_job(job_name(self.use_case.name, purpose)))

    def made(self, job: dg.JobDefinition) -> list[dg.AssetKey]:
        """The assets of a job that a replay makes; a job without assets has none."""
        graph = self.repository.asset_graph
        keys = job.asset_layer.selected_asset_keys
        return sorted(key for key in keys if graph.get(key).tags.get("stage") not in LEFT_OUT)


def over_own_state(defs: dg.Definitions, settings: Settings, folder: ReplayFolder) -> dg.Definitions:
    """The same definitions over the state of a replay.

    Nobody is told of what happens in it but its own log, and the monitors draw no pages.

    Args:
        defs: Of a use case.
        settings: Of the replay.
        folder: Of the replay; the clock is kept in it.
    """
    own = {
        **resources_for(settings),
        "clock": Clock(file=str(folder.root / "clock")),
        "reports": Reports(root=str(settings.reports_home), has_monitor_pages=False),
        "notifier": Notifier(root=str(settings.notices_home), dagster_url=settings.dagster_url),
    }
    return with_resources(defs, own)


def with_resources(defs: dg.Definitions, resources: Mapping[str, Any]) -> dg.Definitions:
    """The same definitions with other resources under these names."""
    return dg.Definitions(
        assets=defs.assets,
        asset_checks=defs.asset_checks,
        jobs=defs.jobs,
        schedules=defs.schedules,
        sensors=defs.sensors,
        resources={**(defs.resources or {}), **resources},
        executor=defs.executor,
        loggers=defs.loggers,
    )


def settings_of(folder: ReplayFolder) -> Settings:
    """The settings of a replay: all state under its folder, whatever the variables say of the user's own."""
    return Settings(home=folder.root, landing=None, lake=None)


@contextmanager
def opened_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a replay.

    Raises:
        ReplayError: If its folder has not been prepared.
    """
    if not (settings.dagster_home / "dagster.yaml").is_file():
        raise ReplayError(f"{settings.dagster_home} holds no dagster.yaml")
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        yield instance
