"""What should have happened and did not: daemons, sensors, schedules and monitors that have gone quiet.

Belongs here: finding silence in a Dagster instance, at a given time. Does not belong here: the sensor and the command
that ask (`watchman.py`, `alive.py`), and what did happen (`alerts.py`).

All times are those that Dagster stamps, so they are compared with the system's clock, never with that of a replay.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    ScheduleInstigatorData,
    TickStatus,
)
from dagster._utils.schedules import schedule_execution_time_iterator

from assets.contracts import UseCase
from assets.stages.common import asset_key
from resources.notifier import Severity

HEARTBEAT: Final = timedelta(minutes=10)
"""A daemon thread that was not heard of for so long hangs or is dead. It says something every 30 s, but a single tick
may keep it for minutes."""
INTERVALS: Final = 10
"""A sensor that did not tick for so many of its intervals is silent."""
LEAST: Final = timedelta(minutes=5)
"""No sensor counts as silent sooner: another one's long tick, or code that loads anew, keeps all of them waiting."""
GRACE: Final = timedelta(minutes=15)
"""A schedule may begin so much late."""
DAEMON: Final = "daemon"
"""What the silence of the whole daemon is about; all else follows from it."""
MONITORS: Final = ("drift_report", "performance_report")


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Something that has gone quiet.

    Attributes:
        about: Names it; the same silence keeps its name.
        text: One sentence.
    """

    about: str
    text: str
    severity: Severity = "alarm"


@dataclass(frozen=True, kw_only=True)
class Beat:
    """A sensor or schedule, as its definition wants it.

    Attributes:
        interval: How often a sensor ticks; None: it is a schedule.
        cron: When a schedule ticks; None: it is a sensor.
    """

    name: str
    is_on: bool
    interval: timedelta | None = None
    cron: str | list[str] | None = None
    timezone: str | None = None


def beats_of(repository: dg.RepositoryDefinition) -> list[Beat]:
    """All sensors and schedules of a code location."""
    sensors = [
        Beat(
            name=s.name,
            is_on=s.default_status is dg.DefaultSensorStatus.RUNNING,
            interval=timedelta(seconds=s.minimum_interval_seconds or 30),
        )
        for s in repository.sensor_defs
    ]
    schedules = [
        Beat(
            name=s.name,
            is_on=s.default_status is dg.DefaultScheduleStatus.RUNNING,
            cron=s.cron_schedule if isinstance(s.cron_schedule, str) else list(s.cron_schedule),
            timezone=s.execution_timezone,
        )
        for s in repository.schedule_defs
    ]
    return sensors + schedules


def silent_daemons(instance: dg.DagsterInstance, now: datetime) -> list[Silence]:
    """Threads of Dagster's daemon without a recent heartbeat; all of them at once are one silence."""
    beats, needed = instance.get_daemon_heartbeats(), instance.get_required_daemon_types()
    last = {kind: datetime.fromtimestamp(beats[kind].timestamp, UTC) for kind in needed if kind in beats}
    silent = [kind for kind in needed if kind not in last or now - last[kind] > HEARTBEAT]
    if needed and len(silent) == len(needed):
        heard = f"was last heard of {max(last.values()):%Y-%m-%d %H:%M} UTC" if last else "was never heard of"
        return [Silence(about=DAEMON, text=f"Dagster's daemon {heard}: nothing runs by itself; start it (make up)")]
    return [
        Silence(about=f"{DAEMON}/{kind}", text=f"the part {kind} of Dagster's daemon sends no sign of life; restart it")
        for kind in silent
    ]


def silent_beats(
    instance: dg.DagsterInstance, beats: Iterable[Beat], now: datetime, since: datetime
) -> Iterator[Silence]:
    """Sensors and schedules that are off, failed last, or did not tick when they should have.

    Args:
        instance: Where ticks are on record.
        beats: What should tick.
        now: The system's time.
        since: The daemon has been up without a break since then; nothing was to be expected before.
    """
    states = _newest_states(instance)
    for beat in beats:
        state = states.get(beat.name)
        kind = "sensor" if beat.cron is None else "schedule"
        if not _is_on(beat, state):
            text = f"the {kind} {beat.name} is switched off"
            yield Silence(about=f"off/{beat.name}", text=text, severity="warning")
            continue
        ticks = [] if state is None else instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=3)
        finished = next((tick for tick in ticks if tick.status is not TickStatus.STARTED), None)
        if finished is not None and finished.status is TickStatus.FAILURE:
            why = _innermost(finished)
            yield Silence(about=f"failed/{beat.name}", text=f"the last tick of the {kind} {beat.name} failed: {why}")
        if (quiet := _quiet(beat, state, ticks, now, since)) is not None:
            yield Silence(about=f"silent/{beat.name}", text=f"the {kind} {beat.name} {quiet}")


def silent_monitors(
    instance: dg.DagsterInstance, use_case: UseCase, known: Iterable[dg.AssetKey], now: datetime
) -> Iterator[Silence]:
    """Monitors without a result for data that was scored more than two periods ago."""
    predictions, there = asset_key(use_case, "predictions"), set(known)
    monitors = [key for name in MONITORS if (key := asset_key(use_case, name)) in there]
    scored = instance.get_materialized_partitions(predictions) if monitors else set()
    for key in monitors:
        done = max(instance.get_materialized_partitions(key), default="")
        waiting = sorted(partition for partition in scored if partition > done)
        if not waiting:
            continue
        wanted = dg.AssetRecordsFilter(asset_key=predictions, asset_partitions=waiting)
        first = instance.fetch_materializations(wanted, limit=1, ascending=True).records
        since = datetime.fromtimestamp(first[0].timestamp, UTC) if first else now
        if now - since > 2 * use_case.partitions.longest:
            name = key.path[-1]
            text = f"{name} has no result after {done or 'the beginning'}, though data was scored {since:%Y-%m-%d}"
            yield Silence(about=f"monitor/{name}", text=text)


def stale_assets(instance: dg.DagsterInstance, known: Iterable[dg.AssetKey]) -> list[Silence]:
    """Assets whose freshness policy fails, as Dagster's daemon last found it; one silence for all."""
    found = instance.get_freshness_state_records(list(known))
    stale = sorted(key.path[-1] for key, record in found.items() if record.freshness_state.value == "FAIL")
    if not stale:
        return []
    names = ", ".join(stale)
    return [Silence(about=f"stale/{names}", text=f"no new data for longer than agreed: {names}", severity="warning")]


def _newest_states(instance: dg.DagsterInstance) -> dict[str, InstigatorState]:
    """What Dagster remembers of each sensor and schedule by name: of a code location that was renamed, the newest."""
    states = sorted(instance.all_instigator_state(), key=lambda state: _last_sign(instance, state))
    return {state.name: state for state in states}


def _last_sign(instance: dg.DagsterInstance, state: InstigatorState) -> float:
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return ticks[0].timestamp if ticks else 0.0


def _is_on(beat: Beat, state: InstigatorState | None) -> bool:
    if state is None or state.status is InstigatorStatus.DECLARED_IN_CODE:
        return beat.is_on
    return state.status is InstigatorStatus.RUNNING


def _quiet(
    beat: Beat, state: InstigatorState | None, ticks: Iterable[InstigatorTick], now: datetime, since: datetime
) -> str | None:
    """What it did not do, if it did not."""
    last = max((datetime.fromtimestamp(tick.timestamp, UTC) for tick in ticks), default=None)
    if beat.interval is not None:
        if now <= max(last or since, since) + max(INTERVALS * beat.interval, LEAST):
            return None
        return "never ticked" if last is None else f"has not ticked since {last:%Y-%m-%d %H:%M} UTC"
    begun = max(since, _switched_on(state))
    planned = schedule_execution_time_iterator(now.timestamp(), beat.cron or [], beat.timezone, ascending=False)
    due = next(time for time in planned if time <= now - GRACE).astimezone(UTC)
    return f"did not tick at {due:%Y-%m-%d %H:%M} UTC" if due > begun and (last is None or last < due) else None


def _innermost(tick: InstigatorTick) -> str:
    """What our code raised; Dagster's own message only says that it did."""
    error = tick.error
    while error is not None and error.cause is not None:
        error = error.cause
    return "no reason is on record" if error is None else " ".join(error.message.split())


def _switched_on(state: InstigatorState | None) -> datetime:
    """Since when a schedule is on, as far as that is on record."""
    data = None if state is None else state.instigator_data
    started = data.start_timestamp if isinstance(data, ScheduleInstigatorData) else None
    return datetime.fromtimestamp(started or 0.0, UTC)
