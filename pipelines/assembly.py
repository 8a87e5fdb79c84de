"""The line's table of contents: the one place where the parts of a use case meet.

Belongs here: the order of the stages and the resources they get. Does not belong here: anything that decides.
"""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.contracts import UseCase
from assets.stages.candidates import build_candidate
from assets.stages.champion import build_champion
from assets.stages.cleaned import build_cleaned
from assets.stages.drift_reference import build_drift_reference
from assets.stages.drift_report import build_drift_report
from assets.stages.endpoint import build_endpoint
from assets.stages.evaluation_report import build_evaluation_report
from assets.stages.exploration import build_exploration_report
from assets.stages.features import build_features_asset
from assets.stages.feedback import build_feedback
from assets.stages.online_history import build_online_history
from assets.stages.performance_report import build_performance_report
from assets.stages.prediction_log import build_prediction_log
from assets.stages.predictions import build_predictions
from assets.stages.raw import build_raw
from assets.stages.retraining_decisions import retraining_decisions_spec
from assets.stages.rollout_history import build_rollout_history
from assets.stages.training_set import build_training_set
from pipelines.alerts import build_alert_sensors
from pipelines.delivery import build_delivery
from pipelines.history_jobs import build_refresh
from pipelines.jobs import build_jobs
from pipelines.rollout_jobs import build_rollouts
from pipelines.schedules import build_maintenance, build_schedules
from pipelines.sensors import build_sensors
from pipelines.watchman import build_silence_sensor
from resources.environments import resources_for
from resources.settings import Settings

if TYPE_CHECKING:
    from pipelines.catalogue import Deliver


def build_definitions(
    use_case: UseCase,
    resources: Mapping[str, Any] | None = None,
    declared_at: str | None = None,
    deliver: "Deliver | None" = None,
) -> dg.Definitions:
    """Everything Dagster needs to know of one use case.

    Args:
        use_case: The declaration.
        resources: Overrides by name, for tests and other environments; the rest comes from the settings.
        deliver: Brings the data into the landing zone; None if it lands by itself.
        declared_at: Where the serving process finds the declaration, as `package.module:NAME`; None: in the catalogue.
    """
    settings = Settings()
    with warnings.catch_warnings():
        # Partition ranges in one run are beta in the pinned Dagster; tests hold what we rely on.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = _assets(use_case, declared_at or use_case.name)
        jobs = build_jobs(use_case)
        sensors = [*build_sensors(use_case, jobs, settings.home), *build_alert_sensors(use_case)]
        rollouts, (refresh, refresh_sensor) = build_rollouts(use_case), build_refresh(use_case)
        sensors += [build_silence_sensor(use_case), rollouts.sensor, refresh_sensor]
        schedules = build_schedules(use_case, jobs, settings.home)
        schedules += [build_maintenance(use_case)]
        schedules += [build_delivery(use_case, deliver)] if deliver is not None else []
    return dg.Definitions(
        assets=[*assets, retraining_decisions_spec(use_case)],
        jobs=[*jobs.values(), *rollouts.jobs, refresh],
        schedules=schedules,
        sensors=sensors,
        resources={**resources_for(settings), **(resources or {})},
        # A step costs 25 ms in process, 0.6 s with a forked server and 1.3 s spawned. In processes of their own the
        # three families train in 73 s instead of 90 on 2 cores, for three times the memory: not taken.
        executor=dg.in_process_executor,
    )


def _assets(use_case: UseCase, declared_at: str) -> list[dg.AssetsDefinition]:
    return [
        *(build_raw(use_case, table) for table in use_case.tables),
        *(build_cleaned(use_case, table) for table in use_case.tables),
        build_exploration_report(use_case),
        build_features_asset(use_case),
        build_training_set(use_case),
        *(build_candidate(use_case, spec) for spec in use_case.trainers),
        build_evaluation_report(use_case),
        build_champion(use_case),
        build_drift_reference(use_case),
        build_endpoint(use_case, declared_at),
        build_online_history(use_case),
        build_rollout_history(use_case),
        build_predictions(use_case),
        build_prediction_log(use_case),
        build_feedback(use_case),
        build_drift_report(use_case),
        build_performance_report(use_case),
    ]
