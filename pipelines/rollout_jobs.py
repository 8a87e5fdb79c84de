"""Rollouts in Dagster: a job that puts what happened on record and moves a canary on, its sensor, and the way back.

Belongs here: when the history is taken over, and the rollback a person starts in the UI. Does not belong here: the
history (`assets/stages/rollout_history.py`), and judging a version, which the server does with Dagster down as well.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dagster as dg

from assets.contracts import UseCase
from assets.stages.common import asset_key
from assets.stages.rollout_history import NAME, may_go_on
from pipelines.attempts import ALONE
from pipelines.jobs import job_name, sensor_name
from resources.serving.client import Endpoint

if TYPE_CHECKING:
    # Dagster names this type nowhere public.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

SECONDS: Final = 15
"""Between two looks at the history; a look reads one small file."""
PURPOSE: Final = "rollout"


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """What a use case has for its rollouts."""

    jobs: "tuple[dg.JobDefinition | UnresolvedAssetJobDefinition, ...]"
    sensor: dg.SensorDefinition


class Rollback(dg.Config):
    """Configuration of the way back.

    Attributes:
        reason: For the history.
    """

    reason: str = "asked for in the Dagster UI"


def build_rollouts(use_case: UseCase) -> Rollouts:
    """The rollout job with its sensor, and the rollback job."""
    job = dg.define_asset_job(
        job_name(use_case.name, PURPOSE),
        selection=dg.AssetSelection.assets(asset_key(use_case, NAME)),
        description="Puts on record what was live when, and gives a canary that Dagster moves on its next share.",
        tags={"purpose": PURPOSE},
    )
    return Rollouts(jobs=(job, _rollback(use_case)), sensor=_sensor(use_case, job))


def _sensor(use_case: UseCase, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    @dg.sensor(
        name=sensor_name(use_case.name, PURPOSE),
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has every change at the endpoint put on record: a step, a version taken back, a new one live.",
    )
    def rollout(context: dg.SensorEvaluationContext, endpoint_server: Endpoint) -> dg.SensorResult | dg.SkipReason:
        control = endpoint_server.control(use_case.name)
        state, history = control.state(), control.history()
        tags = {ALONE: f"{use_case.name}/{PURPOSE}"}
        if state is not None and state.beside is not None and may_go_on(use_case, endpoint_server):
            step = f"step/{state.beside.id}/{state.beside.step}"
            return dg.SensorResult(run_requests=[dg.RunRequest(run_key=step, tags=tags)])
        if not history:
            return dg.SkipReason("Nothing was ever deployed.")
        newest = f"{history[-1].at}/{history[-1].revision}"
        if newest == context.cursor:
            return dg.SkipReason(f"Nothing has changed at the endpoint since {history[-1].at}.")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=newest, tags=tags)], cursor=newest)

    return rollout


def _rollback(use_case: UseCase) -> dg.JobDefinition:
    @dg.op(name="roll_back", out=dg.Out(dg.Nothing))
    def roll_back(context: dg.OpExecutionContext, config: Rollback, endpoint_server: Endpoint) -> None:
        control = endpoint_server.control(use_case.name)
        state = control.roll_back(by=f"Dagster run {context.run_id}", reason=config.reason)
        context.log.info(f"version {state.live.number} answers everybody")

    @dg.job(
        name=job_name(use_case.name, "rollback"),
        description="Takes back the version on its way; without one, goes back to the version that was live before. "
        "`throughline rollback` does the same with Dagster down.",
        tags={"purpose": "rollback"},
        executor_def=dg.in_process_executor,
    )
    def rollback() -> None:
        roll_back()

    return rollback
