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
from resources.serving.client import Endpoint
from resources.settings import Settings

if TYPE_CHECKING:
    from dagster._core.definitions.repository_definition import RepositoryDefinition

LEFT_OUT: Final = frozenset({"endpoint", "prediction_log", "feedback"})
"""Stages that a replay without an application leaves out: nobody asks a server, and it says nothing to be read."""


@dataclass(frozen=True, kw_only=True)
class World:
    """One use case in a replay.

    Attributes:
        defs: Its definitions, over the resources of the replay.
        instance: The Dagster instance of the replay.
        outside: What will land.
        declared_at: Where the process of the endpoint finds the use case, if an application plays along; None: nobody
            asks, and no server is started.
    """

    use_case: UseCase
    defs: dg.Definitions
    instance: dg.DagsterInstance
    folder: ReplayFolder
    outside: Outside
    declared_at: str | None = None

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

    @property
    def endpoint(self) -> Endpoint:
        """The servers of the replay."""
        return cast(Endpoint, self.resource("endpoint_server"))

    @property
    def left_out(self) -> frozenset[str]:
        """Stages that this replay leaves out."""
        return LEFT_OUT if self.declared_at is None else frozenset()

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
        return sorted(key for key in keys if graph.get(key).tags.get("stage") not in self.left_out)


def over_own_state(
    defs: dg.Definitions, settings: Settings, folder: ReplayFolder, endpoint: Endpoint | None = None
) -> dg.Definitions:
    """The same definitions over the state of a replay.

    Nobody is told of what happens in it but its own log, and the monitors draw no pages.

    Args:
        defs: Of a use case.
        settings: Of the replay.
        folder: Of the replay; the clock is kept in it.
        endpoint: Its servers, if an application plays along.
    """
    own: dict[str, Any] = {
        **resources_for(settings),
        "clock": Clock(file=str(folder.root / "clock")),
        "reports": Reports(root=str(settings.reports_home), has_monitor_pages=False),
        "notifier": Notifier(root=str(settings.notices_home), dagster_url=settings.dagster_url),
        **({} if endpoint is None else {"endpoint_server": endpoint}),
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
