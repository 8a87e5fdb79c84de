"""The history of the endpoint kept current: the job that refreshes it, and the sensor that sees the lake move.

Belongs here: when the endpoint is given newer tables. Does not belong here: how (`assets/stages/online_history.py`).
"""

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import dagster as dg

from assets.contracts import UseCase
from assets.stages.common import asset_key
from assets.stages.online_history import NAME, table_versions
from pipelines.attempts import ALONE, WORK, Attempts
from pipelines.jobs import job_name, sensor_name
from resources.lake import Lake
from resources.serving.client import Endpoint

if TYPE_CHECKING:
    # Dagster names this type nowhere public.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

SECONDS: Final = 60
"""Between two looks at the versions of the cleaned tables."""
PURPOSE: Final = "refresh"
WHOLE: Final = ("",)
"""The keys of a run without partitions."""


def build_refresh(use_case: UseCase) -> "tuple[UnresolvedAssetJobDefinition, dg.SensorDefinition]":
    """The job, and the sensor that starts it."""
    job = dg.define_asset_job(
        job_name(use_case.name, PURPOSE),
        selection=dg.AssetSelection.assets(asset_key(use_case, NAME)),
        description="Gives the endpoint what has come to the cleaned tables since it was deployed.",
        tags={"purpose": PURPOSE},
    )

    @dg.sensor(
        name=sensor_name(use_case.name, PURPOSE),
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run when the Delta version of a cleaned table has moved, or another model answers: "
        "features of later questions then know all that the lake knows. A run that failed is tried again.",
    )
    def refresh(
        context: dg.SensorEvaluationContext, lake: Lake, endpoint_server: Endpoint
    ) -> dg.SensorResult | dg.SkipReason:
        if (state := endpoint_server.control(use_case.name).state()) is None:
            return dg.SkipReason("Nothing was ever deployed.")
        # A version that was gone back to has the history of its own time, though no table has moved.
        models = [target.model for target in state.answering]
        newest = json.dumps({"tables": table_versions(use_case, lake), "models": models}, sort_keys=True)
        what = sha256(newest.encode()).hexdigest()[:16]
        attempts = Attempts(context.instance, f"{use_case.name}/{PURPOSE}")
        if newest == context.cursor and not attempts.has_failed(what):
            return dg.SkipReason("No cleaned table has moved since the endpoint was last given them.")
        if newest == context.cursor and not attempts.is_worth_it(what, WHOLE):
            return dg.SkipReason("The endpoint could not be given the cleaned tables; it is tried again once a day.")
        request = dg.RunRequest(run_key=attempts.key(what, WHOLE), tags={ALONE: attempts.alone, WORK: what})
        return dg.SensorResult(run_requests=[request], cursor=newest)

    return job, refresh
