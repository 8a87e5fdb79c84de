"""Ticks: every sensor in turn until none has anything left to do, and the schedules whose time has come.

Belongs here: evaluating them as Dagster's daemon does, with what they wrote down at their last tick. Does not belong
here: carrying out what they ask for (`launching.py`), and when to tick (`days.py`).
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
from dagster._utils.schedules import schedule_execution_time_iterator

from pipelines.replay.folder import ReplayError
from pipelines.replay.launching import launch
from pipelines.replay.world import World

MOST_ROUNDS: Final = 50
"""Rounds in which some sensor still asks for something; a day needs a handful."""
REAL_TIME_ONLY: Final = {
    "silence": "it looks after daemons that live by the system's clock",
    "delivery": "the days of a replay are delivered one by one",
}
"""Purposes of sensors and schedules that mean nothing in a replay, and why."""


@dataclass(kw_only=True)
class Happened:
    """What ticks led to.

    Attributes:
        runs: Runs in their order, as plain values.
        faults: Ticks that failed: who, when by the clock, and why.
        seconds: Real seconds spent in ticks and in runs, by sensor, schedule and job.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @classmethod
    def so_far(cls, world: World) -> "Happened":
        """What is on record of the day that is not over: it was cut short, or nothing has happened yet."""
        noted, happened = world.folder.noted(), cls()
        happened.faults += noted["faults"]
        for run in noted["runs"]:
            happened.add_run(run)
        return happened

    def add_run(self, run: dict[str, Any]) -> None:
        """Add a run as plain values."""
        self.runs.append(run)
        self.seconds[f"run {run['job']}"] += run["seconds"]


def running_sensors(world: World) -> list[dg.SensorDefinition]:
    """The sensors that a replay evaluates, by name: those that run unless somebody stops them."""
    return sorted((s for s in world.repository.sensor_defs if not _why_not(world, s)), key=lambda sensor: sensor.name)


def running_schedules(world: World) -> list[dg.ScheduleDefinition]:
    """The schedules that a replay evaluates, by name: those that run unless somebody stops them."""
    return sorted((s for s in world.repository.schedule_defs if not _why_not(world, s)), key=lambda s: s.name)


def idle(world: World) -> dict[str, str]:
    """Sensors and schedules that a replay does not evaluate, by name, and why not."""
    declared: list[dg.SensorDefinition | dg.ScheduleDefinition] = [
        *world.repository.sensor_defs,
        *world.repository.schedule_defs,
    ]
    reasons = {one.name: _why_not(world, one) for one in declared}
    return {name: why for name, why in sorted(reasons.items()) if why}


def settle(world: World, happened: Happened) -> None:
    """Tick every sensor in turn until a whole round led to no run.

    Raises:
        ReplayError: If they never come to rest.
    """
    for _ in range(MOST_ROUNDS):
        asked = [sensor.name for sensor in running_sensors(world) if _tick(world, sensor, happened)]
        if not asked:
            return
    raise ReplayError(f"after {MOST_ROUNDS} rounds {asked} still ask for runs at {world.clock.now()}")


def firings(world: World, after: datetime, until: datetime) -> Iterator[tuple[datetime, dg.ScheduleDefinition]]:
    """The schedules that fire after one instant and until another (inclusive), in order of time."""
    due = [(at, s) for s in running_schedules(world) for at in _times(s, after, until)]
    yield from sorted(due, key=lambda firing: (firing[0], firing[1].name))


def fire(world: World, schedule: dg.ScheduleDefinition, at: datetime, happened: Happened) -> bool:
    """Evaluate a schedule for the time at which it was to fire, and run what it asks for; True if anything ran."""
    began = time.monotonic()
    try:
        with dg.build_schedule_context(
            instance=world.instance,
            scheduled_execution_time=at,
            repository_def=world.repository,
            resources=_resources(world, schedule.required_resource_keys),
        ) as context:
            data = schedule.evaluate_tick(context)
    except Exception as error:  # noqa: BLE001  # the edge: a daemon records a tick that fails, and goes on
        return _fault(world, schedule.name, error, happened)
    finally:
        happened.seconds[f"tick {schedule.name}"] += time.monotonic() - began
    # Without a key of its own, a request is known by its time: Dagster carries out each time of a schedule once.
    requests = [r.with_replaced_attrs(run_key=r.run_key or at.isoformat()) for r in data.run_requests or ()]
    return _run_all(world, requests, schedule.name, schedule.job_name, happened)


def _tick(world: World, sensor: dg.SensorDefinition, happened: Happened) -> bool:
    """Evaluate a sensor and run what it asks for; True if anything ran."""
    began = time.monotonic()
    before = world.folder.cursor(sensor.name)
    try:
        with dg.build_sensor_context(
            instance=world.instance,
            cursor=before,
            repository_def=world.repository,
            sensor_name=sensor.name,
            resources=_resources(world, sensor.required_resource_keys),
        ) as context:
            data = sensor.evaluate_tick(context)
    except Exception as error:  # noqa: BLE001  # the edge: a daemon records a tick that fails, and goes on
        return _fault(world, sensor.name, error, happened)
    finally:
        happened.seconds[f"tick {sensor.name}"] += time.monotonic() - began
    for event in data.asset_events:
        world.instance.report_runless_asset_event(event)
    for reaction in data.dagster_run_reactions or ():
        if reaction.error is not None:
            _fault(world, sensor.name, RuntimeError(reaction.error.message), happened)
    target = sensor.job_name if len(sensor.targets) == 1 else None
    ran = _run_all(world, data.run_requests or (), sensor.name, target, happened)
    # After the runs: of a replay that was killed in between, the run keys tell which ones are made already.
    if data.cursor != before:
        world.folder.remember(sensor.name, data.cursor)
    return ran


def _run_all(world: World, requests: Any, by: str, target: str | None, happened: Happened) -> bool:
    has_run = False
    for run in (run for request in requests for run in launch(world, request, by, target)):
        happened.add_run(asdict(run))
        world.folder.note("runs", asdict(run))
        has_run = True
    return has_run


def _fault(world: World, name: str, error: Exception, happened: Happened) -> bool:
    cause = error.__cause__ or error
    why = " ".join(f"{type(cause).__name__}: {cause}".split())
    happened.faults.append({"by": name, "at": world.clock.now().isoformat(), "why": why})
    world.folder.note("faults", happened.faults[-1])
    return False


def _why_not(world: World, one: dg.SensorDefinition | dg.ScheduleDefinition) -> str:
    """Why a replay does not evaluate a sensor or schedule; nothing if it does."""
    for purpose, why in REAL_TIME_ONLY.items():
        if one.name.startswith(f"{world.use_case.name}_{purpose}_"):
            return why
    if one.default_status not in (dg.DefaultSensorStatus.RUNNING, dg.DefaultScheduleStatus.RUNNING):
        return "it is stopped"
    if isinstance(one, dg.SensorDefinition) and one.sensor_type.is_handled_by_asset_daemon:
        return "Dagster evaluates it without ticks"
    return ""


def _times(schedule: dg.ScheduleDefinition, after: datetime, until: datetime) -> Iterator[datetime]:
    zone = schedule.execution_timezone or "UTC"
    for at in schedule_execution_time_iterator(after.timestamp(), schedule.cron_schedule, zone):
        if at > until:
            return
        if at > after:
            yield at.astimezone(UTC)


def _resources(world: World, names: set[str]) -> dict[str, Any]:
    return {name: world.resource(name) for name in names}
