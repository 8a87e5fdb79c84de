"""`predictions`: batch scores of the champion, day by day.

Belongs here: scoring feature partitions with one exact version. Does not belong here: judging the scores.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from assets.code_version import code_version
from assets.contracts import PARTITION_KEY, PREDICTION_TIME, Task, UseCase
from assets.stages.common import (
    RETRY_IO,
    asset_facts,
    asset_key,
    commit_of,
    partitions_definition,
    preview,
    table_name,
    table_result,
)
from assets.trainers.families import load_model
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry

SAID = ("probability", "prediction", "lower", "upper")
"""Columns of a score table that hold one number per row."""


def build_predictions(use_case: UseCase) -> dg.AssetsDefinition:
    """The table of the champion's batch scores: one row per row of `features`."""
    key = asset_key(use_case, "predictions")

    @dg.asset(
        key=key,
        deps=[asset_key(use_case, "features")],
        ins={"champion": dg.AssetIn(key=asset_key(use_case, "champion"))},
        **asset_facts(use_case, "predictions", "deltalake", "polars"),
        description="Scores of the champion, with the exact version that made them. Days scored by another version "
        "keep it until they are materialised again.",
        partitions_def=partitions_definition(use_case.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=code_version(f"{__name__}:score_rows"),
        retry_policy=RETRY_IO,
        check_specs=[dg.AssetCheckSpec("every_feature_row_is_scored", asset=key, blocking=True)],
    )
    def predictions(
        context: dg.AssetExecutionContext, champion: ModelVersion, lake: Lake, registry: MlflowModelRegistry
    ) -> Iterator[dg.MaterializeResult[None]]:
        keys = sorted(context.partition_keys)
        features = lake.scan(table_name(use_case, "features"), partitions=keys).collect()
        missing = sorted({*keys} - {*features[PARTITION_KEY]})
        if features.is_empty():
            raise dg.Failure(f"no features of {', '.join(keys[:10])}; materialise features first", allow_retries=False)
        scores = score_rows(use_case, features, champion, registry)
        version = lake.write(
            table_name(use_case, "predictions"), scores, partitions=keys, commit=commit_of(context, key)
        )
        context.log.info(f"{len(scores):,} rows scored by {champion}")
        yield table_result(
            key,
            lake,
            version,
            len(scores),
            keys=keys,
            metadata={
                "preview": preview(scores),
                "model_version": str(champion),
                **_means(scores),
                "partitions_without_features": missing,
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="every_feature_row_is_scored",
                    passed=len(scores) == len(features) and all(scores[n].is_finite().all() for n in _numbers(scores)),
                    metadata={"features": len(features), "predictions": len(scores)},
                )
            ],
        )

    return predictions


def score_rows(
    use_case: UseCase, features: pl.DataFrame, version: ModelVersion, registry: MlflowModelRegistry
) -> pl.DataFrame:
    """Entity, prediction time, what the model says and its exact version for each feature row, in `row_order`.

    Each partition is predicted by itself: sums over a batch depend in their last bits on its size, and a range of
    partitions must give what they give one by one.
    """
    with tempfile.TemporaryDirectory() as room:
        model = load_model(registry.download(version, Path(room)))
    rows = features.sort(PARTITION_KEY, *use_case.row_order, maintain_order=True)
    parts = rows.select(PARTITION_KEY, *use_case.feature_names).partition_by(PARTITION_KEY, maintain_order=True)
    said = np.concatenate([model.predict(part.select(use_case.feature_names)) for part in parts])
    return rows.select(
        *(use_case.entity or [use_case.event_time]),
        PREDICTION_TIME,
        *said_columns(use_case.task, model.outputs, said),
        pl.lit(str(version)).alias("model_version"),
        PARTITION_KEY,
    )


def said_columns(task: Task, outputs: Sequence[str], said: npt.NDArray[np.float64]) -> list[pl.Series]:
    """What a model says of rows, as columns of a table.

    Args:
        task: Kind of task.
        outputs: `Model.outputs`.
        said: What `Model.predict` gave, shape (n,) or (n, outputs).

    Returns:
        Binary: `probability`. Regression and count: `prediction`, `lower`, `upper`. Multiclass: `class`, the most
        likely one, its `probability`, and `probabilities` of all `classes` as lists: the classes differ between
        versions, and the columns of a table must not.
    """
    if task != "multiclass":
        return [pl.Series(name, said.reshape(len(said), -1)[:, i]) for i, name in enumerate(outputs)]
    best = said.argmax(axis=1)
    return [
        pl.Series("class", [outputs[i] for i in best], dtype=pl.String),
        pl.Series("probability", said[np.arange(len(said)), best]),
        pl.Series("probabilities", said.tolist(), dtype=pl.List(pl.Float64)),
        pl.Series("classes", [list(outputs)] * len(said), dtype=pl.List(pl.String)),
    ]


def _numbers(scores: pl.DataFrame) -> list[str]:
    return [name for name in SAID if name in scores.columns]


def _means(scores: pl.DataFrame) -> dict[str, float]:
    """The mean of each thing said: a jump from one day to the next is worth a look."""
    return {f"mean_{name}": float(scores[name].to_numpy().mean()) for name in _numbers(scores)}
