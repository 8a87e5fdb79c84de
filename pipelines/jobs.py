"""The jobs of a use case: what is materialised together.

Belongs here: which assets make a job. Does not belong here: when it runs.
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final, TypeAlias

import dagster as dg

from assets.contracts import UseCase
from assets.stages.common import asset_key

if TYPE_CHECKING:
    # Dagster names this type nowhere public.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

PURPOSES: Final = ("ingest", "explore", "train", "score", "monitor", "answers")


Jobs: TypeAlias = "Mapping[str, UnresolvedAssetJobDefinition]"
"""The jobs of a use case by purpose."""


def job_name(use_case: str, purpose: str) -> str:
    """Name of a job: `<use_case>_<purpose>_job`."""
    return f"{use_case}_{purpose}_job"


def sensor_name(use_case: str, purpose: str) -> str:
    """Name of a sensor: `<use_case>_<purpose>_sensor`."""
    return f"{use_case}_{purpose}_sensor"


def schedule_name(use_case: str, purpose: str) -> str:
    """Name of a schedule: `<use_case>_<purpose>_schedule`."""
    return f"{use_case}_{purpose}_schedule"


def ingested_assets(use_case: UseCase) -> frozenset[dg.AssetKey]:
    """All assets of the ingest job; a run of only some of them makes no partition complete."""
    stages = ("raw", "cleaned", "quarantined")
    names = [f"{stage}_{table.name}" for table in use_case.tables for stage in stages]
    return frozenset(asset_key(use_case, name) for name in (*names, "features"))


def build_jobs(use_case: UseCase) -> Jobs:
    """Ingest, explore, train, score, monitor and answers by purpose, each a job a person can start in the UI."""

    def stages(*names: str) -> dg.AssetSelection:
        group = dg.AssetSelection.groups(use_case.name)
        return group & reduce(or_, (dg.AssetSelection.tag("stage", name) for name in names))

    made = [
        dg.define_asset_job(
            job_name(use_case.name, "ingest"),
            selection=stages("raw", "cleaned", "features"),
            description="From landed files to features, for one partition or a range of them.",
            tags={"purpose": "ingest"},
        ),
        dg.define_asset_job(
            job_name(use_case.name, "explore"),
            selection=stages("exploration"),
            description="Distributions and missing values of the cleaned tables.",
            tags={"purpose": "explore"},
        ),
        dg.define_asset_job(
            job_name(use_case.name, "train"),
            selection=stages(
                "training_set", "candidate", "evaluation_report", "champion", "drift_reference", "endpoint"
            ),
            description="From features to a judged model, and to the endpoint if it is promoted.",
            tags={"purpose": "train"},
        ),
        dg.define_asset_job(
            job_name(use_case.name, "score"),
            selection=stages("predictions"),
            description="Batch scores of the champion, for one partition or a range of them.",
            tags={"purpose": "score"},
        ),
        dg.define_asset_job(
            job_name(use_case.name, "monitor"),
            selection=stages("drift_report", "performance_report"),
            description="Drift and performance of what was scored, for one partition or a range of them.",
            tags={"purpose": "monitor"},
        ),
        dg.define_asset_job(
            job_name(use_case.name, "answers"),
            selection=stages("prediction_log", "feedback"),
            description="What the endpoint answered and was told, for one partition or a range, and its parity with "
            "the lake.",
            tags={"purpose": "answers"},
        ),
    ]
    return dict(zip(PURPOSES, made, strict=True))
