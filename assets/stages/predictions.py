"""`predictions`: batch scores of the champion, day by day.

Belongs here: scoring feature partitions with one exact version. Does not belong here: judging the scores.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from assets.code_version import code_version
from assets.contracts import PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.stages.common import (
    RETRY_IO,
    asset_facts,
    asset_key,
    commit_of,
    daily,
    preview,
    table_name,
    table_result,
)
from assets.trainers.families import load_model
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry


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
        partitions_def=daily(use_case.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=code_version(__name__),
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
                "mean_probability": float(scores["probability"].to_numpy().mean()),
                "days_without_features": missing,
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="every_feature_row_is_scored",
                    passed=len(scores) == len(features) and scores["probability"].is_finite().all(),
                    metadata={"features": len(features), "predictions": len(scores)},
                )
            ],
        )

    return predictions


def score_rows(
    use_case: UseCase, features: pl.DataFrame, version: ModelVersion, registry: MlflowModelRegistry
) -> pl.DataFrame:
    """Entity, prediction time, probability and exact model version for each feature row, by day, time and entity.

    Each day is predicted by itself: sums over a batch depend in their last bits on its size, and a range of days must
    give what the days give one by one.
    """
    with tempfile.TemporaryDirectory() as room:
        model = load_model(registry.download(version, Path(room)))
    rows = features.sort(PARTITION_KEY, PREDICTION_TIME, *use_case.entity)
    days = rows.select(PARTITION_KEY, *use_case.feature_names).partition_by(PARTITION_KEY, maintain_order=True)
    probability = np.concatenate([model.predict(day.select(use_case.feature_names)) for day in days])
    return rows.select(
        *use_case.entity,
        PREDICTION_TIME,
        pl.Series("probability", probability, dtype=pl.Float64),
        pl.lit(str(version)).alias("model_version"),
        PARTITION_KEY,
    )
