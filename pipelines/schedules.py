"""The schedules of a use case: what runs at fixed times, whether or not anything landed.

Belongs here: when, and over which partitions. Does not belong here: what starts by itself (`sensors.py`), and the
delivery from an origin (`delivery.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg

from assets.contracts import UseCase
from assets.stages.common import table_name
from assets.stages.logged_segments import LABEL_SEGMENTS, due, outside, unread
from pipelines.attempts import ALONE
from pipelines.backlog import RANGE
from pipelines.jobs import Jobs, job_name, schedule_name
from pipelines.maintenance import build_maintenance_job
from pipelines.sensors import BUSY, Feeder
from pipelines.upkeep import monitor_due
from resources.clock import Clock
from resources.lake import Lake
from resources.locks import is_held, line_lock
from resources.serving.client import Endpoint
from resources.serving.logged import label_segments, log_folder, logged_segments

if TYPE_CHECKING:
    # Dagster names this type nowhere public.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    Job = dg.JobDefinition | UnresolvedAssetJobDefinition

SUNDAY: Final = 0


def build_schedules(use_case: UseCase, jobs: Jobs, home: Path) -> list[dg.ScheduleDefinition]:
    """All schedules of a use case, in the time zone of its partitions; on by default."""
    return [
        _monitoring(use_case, jobs, home),
        _answers(use_case, jobs, home),
        _retraining(use_case, jobs, home),
        _weekly(use_case, "exploration", jobs["explore"], "What the cleaned tables hold.", hour=1),
    ]


def _monitoring(use_case: UseCase, jobs: Jobs, home: Path) -> dg.ScheduleDefinition:
    """Daily: the newest partition, so that evidence is never older than a day, and all that were not watched yet."""

    @dg.schedule(
        name=schedule_name(use_case.name, "monitoring"),
        job=jobs["monitor"],
        cron_schedule=f"0 {use_case.automation.hour} * * *",
        execution_timezone=use_case.partitions.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Drift and performance of the newest scored partition, and of those that were not watched yet.",
    )
    def monitoring(context: dg.ScheduleEvaluationContext, lake: Lake) -> Sequence[dg.RunRequest] | dg.SkipReason:
        if is_held(line_lock(home)):
            return dg.SkipReason(BUSY)
        scored = lake.partitions(table_name(use_case, "predictions"))
        if not scored:
            return dg.SkipReason("nothing has been scored yet")
        when = context.scheduled_execution_time.isoformat()
        keys = {*monitor_due(use_case, lake), max(scored)}
        return [_over(use_case, "monitor", first, last, when) for first, last in use_case.partitions.ranges(keys)]

    return monitoring


def _answers(use_case: UseCase, jobs: Jobs, home: Path) -> dg.ScheduleDefinition:
    """Daily: the partitions that ended and of which the endpoint has answers, or late labels, that the lake lacks."""

    @dg.schedule(
        name=schedule_name(use_case.name, "answers"),
        job=jobs["answers"],
        cron_schedule=f"15 {use_case.automation.hour} * * *",
        execution_timezone=use_case.partitions.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads answers and late labels into the lake, and compares answers whose data has landed since.",
    )
    def answers(
        context: dg.ScheduleEvaluationContext, lake: Lake, endpoint_server: Endpoint
    ) -> Sequence[dg.RunRequest] | dg.SkipReason:
        if is_held(line_lock(home)):
            return dg.SkipReason(BUSY)
        segments, at = logged_segments(log_folder(endpoint_server, use_case.name)), context.scheduled_execution_time
        labels = label_segments(endpoint_server, use_case.name)
        keys = {*due(use_case, lake, segments, at), *unread(use_case, lake, labels, at, LABEL_SEGMENTS)}
        if not keys:
            strange = outside(use_case, [*segments, *labels])
            more = f"; {strange} segments hold records of days that are no partitions" if strange else ""
            return dg.SkipReason(
                f"the endpoint gave and was told nothing that the lake lacks, on days that are over{more}"
            )
        when = at.isoformat()
        return [_over(use_case, "answers", first, last, when) for first, last in use_case.partitions.ranges(keys)]

    return answers


def _retraining(use_case: UseCase, jobs: Jobs, home: Path) -> dg.ScheduleDefinition:
    """Daily: the one reason that no event brings, the champion's age."""
    name = schedule_name(use_case.name, "retraining")
    feeder = Feeder(use_case=use_case, name=name, triggers=("age",), home=home)

    @dg.schedule(
        name=name,
        job=jobs["train"],
        cron_schedule=f"30 {use_case.automation.hour} * * *",
        execution_timezone=use_case.partitions.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Asks for a retraining when the champion is older than its use case allows.",
    )
    def retraining(context: dg.ScheduleEvaluationContext, lake: Lake, clock: Clock) -> dg.RunRequest | dg.SkipReason:
        if is_held(line_lock(home)):
            return dg.SkipReason(BUSY)
        return feeder.ask(context.instance, lake, clock).result

    return retraining


def build_maintenance(use_case: UseCase) -> dg.ScheduleDefinition:
    """Weekly: small files put together, and what the use case keeps no longer taken away; holds its job."""
    return _weekly(use_case, "maintenance", build_maintenance_job(use_case), "Old versions and small files.", hour=2)


def _weekly(use_case: UseCase, name: str, job: "Job", description: str, *, hour: int) -> dg.ScheduleDefinition:
    """A job on Sundays, so many hours after the daily monitoring."""
    return dg.ScheduleDefinition(
        name=schedule_name(use_case.name, name),
        job=job,
        cron_schedule=f"0 {(use_case.automation.hour + hour) % 24} * * {SUNDAY}",
        execution_timezone=use_case.partitions.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{description} Every Sunday.",
    )


def _over(use_case: UseCase, purpose: str, first: str, last: str, when: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{purpose}/{first}/{last}/{when}",
        job_name=job_name(use_case.name, purpose),
        tags={**dict(zip(RANGE, (first, last), strict=True)), ALONE: f"{use_case.name}/{purpose}"},
    )
