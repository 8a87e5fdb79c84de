"""The jobs of a use case: what is materialised together.

Belongs here: which assets make a job. Does not belong here: when it runs.
"""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final

import dagster as dg

from assets.contracts import UseCase

if TYPE_CHECKING:
    # Dagster names this type nowhere public.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


PURPOSES: Final = ("ingest", "explore", "train", "score")


def job_name(use_case: str, purpose: str) -> str:
    """Name of a job: `<use_case>_<purpose>_job`."""
    return f"{use_case}_{purpose}_job"


def build_jobs(use_case: UseCase) -> "list[UnresolvedAssetJobDefinition]":
    """Ingest, explore, train and score, each a job a person can start in the UI."""

    def stages(*names: str) -> dg.AssetSelection:
        group = dg.AssetSelection.groups(use_case.name)
        return group & reduce(or_, (dg.AssetSelection.tag("stage", name) for name in names))

    return [
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
            selection=stages("training_set", "candidate", "evaluation_report", "champion", "endpoint"),
            description="From features to a judged model, and to the endpoint if it is promoted.",
            tags={"purpose": "train"},
        ),
        dg.define_asset_job(
            job_name(use_case.name, "score"),
            selection=stages("predictions"),
            description="Batch scores of the champion, for one partition or a range of them.",
            tags={"purpose": "score"},
        ),
    ]
