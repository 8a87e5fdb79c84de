"""The delivery job of a use case: its data from where it is kept into the landing zone, every hour.

Belongs here: the job and its schedule, for use cases whose files do not land by themselves. Does not belong here: how
an origin is read (`resources/origins.py`), and what happens to what landed (`sensors.py`).
"""

from typing import TYPE_CHECKING

import dagster as dg

from assets.contracts import UseCase
from pipelines.jobs import job_name, schedule_name
from resources.landing import LandingZone

if TYPE_CHECKING:
    from pipelines.catalogue import Deliver

RETRY = dg.RetryPolicy(max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
"""An origin that cannot be reached for a minute is asked again within the run, one that is away for longer by the next
hour's run."""


def build_delivery(use_case: UseCase, deliver: "Deliver") -> dg.ScheduleDefinition:
    """The schedule, which holds its job; on by default."""

    @dg.op(name=f"{use_case.name}_deliver", retry_policy=RETRY)
    def bring(context: dg.OpExecutionContext, landing: LandingZone) -> None:
        deliver(landing.store, context.log.info)

    @dg.job(
        name=job_name(use_case.name, "deliver"),
        description="Brings the landing zone up to date with where the data is kept; only what changed is written.",
        tags={"purpose": "deliver"},
        executor_def=dg.in_process_executor,
    )
    def delivery() -> None:
        bring()

    return dg.ScheduleDefinition(
        name=schedule_name(use_case.name, "delivery"),
        job=delivery,
        cron_schedule="5 * * * *",
        execution_timezone=use_case.partitions.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every hour, so that what was changed or added at the origin lands within it.",
    )
