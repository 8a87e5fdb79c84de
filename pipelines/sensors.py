"""The sensors of a use case: what starts runs when data lands, code changes, or a monitor alarms.

Belongs here: what each sensor asks, and the run it requests. Does not belong here: what is due (`upkeep.py`), whether
to retrain (`retraining.py`), and what runs at fixed times (`schedules.py`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg

from assets.automation import Trigger
from assets.contracts import UseCase
from assets.logic.retraining import Evidence, Missing
from assets.stages.evidence import gather
from pipelines.backlog import Backlog
from pipelines.code_changes import code_change_evidence, reload_reason, stale_partitions
from pipelines.jobs import Jobs, ingested_assets, sensor_name
from pipelines.retraining import Considered, consider, waiting
from pipelines.upkeep import PURPOSES, Outlook, Upkeep
from resources.clock import Clock
from resources.lake import Lake
from resources.landing import LandingZone
from resources.locks import is_held, line_lock

LANDING_SECONDS: Final = 15
"""Between two looks at the landing zone."""
SECONDS: Final = 30
BUSY: Final = "`throughline line` runs; it takes in what has landed, and trains if there is a reason"


@dataclass(frozen=True, kw_only=True)
class Feeder:
    """A sensor or schedule that brings reasons to retrain before the one decision.

    Attributes:
        name: Of the sensor or schedule.
        triggers: Those whose evidence it brings.
        while_waiting: Those whose evidence it brings as well while the last decision on them is to wait, so that it is
            taken up when it may be: their own feeder comes once a day, perhaps in quiet hours each time.
        home: State folder of this machine, for its locks.
    """

    use_case: UseCase
    name: str
    triggers: tuple[Trigger, ...]
    while_waiting: frozenset[Trigger] = frozenset()
    home: Path

    def ask(
        self,
        instance: dg.DagsterInstance,
        lake: Lake,
        clock: Clock,
        more: Sequence[Evidence | Missing] = (),
    ) -> Considered:
        """Have it decided on what is known of the triggers, and on `more`."""
        known = gather(self.use_case, lake, instance, clock.now()) if self.triggers else []
        waits = waiting(self.use_case, lake) & self.while_waiting if self.while_waiting else ()
        evidence = [*(e for e in known if e.trigger in self.triggers or e.trigger in waits), *more]
        return consider(
            self.use_case,
            evidence,
            feeder=self.name,
            instance=instance,
            lake=lake,
            clock=clock,
            run_home=self.home / "run",
        )


def build_sensors(use_case: UseCase, jobs: Jobs, home: Path) -> list[dg.SensorDefinition]:
    """All sensors of a use case that start runs; on by default."""
    loaded_at = time.time()
    return [
        _new_data(use_case, jobs, home, loaded_at),
        _code_change(use_case, jobs, home, loaded_at),
        _monitoring(use_case, jobs, home),
    ]


def _new_data(use_case: UseCase, jobs: Jobs, home: Path, loaded_at: float) -> dg.SensorDefinition:
    name = sensor_name(use_case.name, "new_data")
    feeder = Feeder(use_case=use_case, name=name, triggers=("new_data",), home=home)

    @dg.sensor(
        name=name,
        jobs=[jobs[purpose] for purpose in (*PURPOSES, "train")],
        minimum_interval_seconds=LANDING_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes in every landed file once, scores what is new, watches what was scored, and asks for a "
        "retraining once enough days have labels. A file that lands anew refreshes its partition and those that look "
        "back on it; scores that were given stay on record.",
    )
    def new_data(
        context: dg.SensorEvaluationContext, landing: LandingZone, lake: Lake, clock: Clock
    ) -> dg.RunRequest | dg.SkipReason:
        if is_held(line_lock(home)):
            return dg.SkipReason(BUSY)
        # Runs read the code from disk, a sensor lives with what its location loaded: both must want the same.
        if (why := reload_reason(use_case, context.instance, loaded_at)) is not None:
            return dg.SkipReason(why)
        outlook = _upkeep(use_case, context.instance, landing, lake, clock).outlook()
        if outlook.work is not None:
            return outlook.work.request(use_case)
        if not outlook.is_idle:
            return dg.SkipReason(_told(outlook))
        considered = feeder.ask(context.instance, lake, clock)
        return considered.run_request or dg.SkipReason(f"{_told(outlook)}; {considered.why}")

    return new_data


def _code_change(use_case: UseCase, jobs: Jobs, home: Path, loaded_at: float) -> dg.SensorDefinition:
    name = sensor_name(use_case.name, "code_change")
    feeder = Feeder(use_case=use_case, name=name, triggers=(), home=home)

    @dg.sensor(
        name=name,
        job=jobs["train"],
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a retraining when code, configuration or a library behind the champion changed in "
        "meaning. Where features are concerned, the new-data sensor makes them anew first.",
    )
    def code_change(
        context: dg.SensorEvaluationContext, landing: LandingZone, lake: Lake, clock: Clock
    ) -> dg.RunRequest | dg.SkipReason:
        if is_held(line_lock(home)):
            return dg.SkipReason(BUSY)
        if (why := reload_reason(use_case, context.instance, loaded_at)) is not None:
            return dg.SkipReason(why)
        # What cannot be made anew must not hold a retraining up for ever.
        upkeep = _upkeep(use_case, context.instance, landing, lake, clock)
        arrived = upkeep.backlog.arrived() - upkeep.given_up("ingest")
        evidence = code_change_evidence(use_case, context.instance, lake, clock.now(), arrived)
        return feeder.ask(context.instance, lake, clock, [evidence]).result

    return code_change


def _monitoring(use_case: UseCase, jobs: Jobs, home: Path) -> dg.SensorDefinition:
    name = sensor_name(use_case.name, "monitoring")
    watched: tuple[Trigger, ...] = ("drift", "performance")
    feeder = Feeder(use_case=use_case, name=name, triggers=watched, while_waiting=frozenset({"age"}), home=home)

    @dg.sensor(
        name=name,
        job=jobs["train"],
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a retraining when the newest report of drift or performance raises an alarm; also for "
        "one that the champion's age asked for and that had to wait, as soon as it may begin.",
    )
    def monitoring(context: dg.SensorEvaluationContext, lake: Lake, clock: Clock) -> dg.RunRequest | dg.SkipReason:
        if is_held(line_lock(home)):
            return dg.SkipReason(BUSY)
        return feeder.ask(context.instance, lake, clock).result

    return monitoring


def _upkeep(use_case: UseCase, instance: dg.DagsterInstance, landing: LandingZone, lake: Lake, clock: Clock) -> Upkeep:
    assets = ingested_assets(use_case)
    backlog = Backlog(use_case=use_case, lake=lake, landing=landing, instance=instance, assets=assets)
    stale = frozenset(stale_partitions(use_case, instance, lake))
    return Upkeep(use_case=use_case, backlog=backlog, now=clock.now(), stale=stale)


def _told(outlook: Outlook) -> str:
    """Why nothing runs, and what was given up."""
    given_up = [
        f"gave up to {purpose} {_some(keys)}: tried in vain, and tried once more each day"
        for purpose, keys in outlook.given_up.items()
    ]
    return "; ".join([outlook.why_not or "everything that has landed is taken in, scored and watched", *given_up])


def _some(keys: Sequence[str], most: int = 5) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
