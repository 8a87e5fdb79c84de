"""`endpoint`: what is live, and the proof that it answers as the model did offline.

Belongs here: handing the exact champion to the server and the smoke test. Does not belong here: the server
(`resources/serving`).
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from assets.code_version import code_version
from assets.contracts import UseCase
from assets.logic.splits import TrainingManifest
from assets.stages.cleaned import cleaned_frames, cleaned_partitions
from assets.stages.common import asset_facts, asset_key, days_before, table_name
from assets.stages.features import look_back_days
from assets.stages.training_set import labelled_rows
from assets.trainers.families import load_model
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry
from resources.serving.client import Endpoint

SMOKE_ROWS = 200
TOLERANCE = 1e-6
"""Largest accepted difference between an answer of the server and the same row scored offline, in probability."""
ONLINE_DAYS = 31
"""Days of entities the online history can answer for, beyond the look-back of the first of them."""


@dataclass(frozen=True, kw_only=True)
class LiveEndpoint:
    """What answers, and where."""

    url: str
    model_version: str
    median_latency_ms: float
    p99_latency_ms: float


def build_endpoint(use_case: UseCase, declared_at: str) -> dg.AssetsDefinition:
    """The asset that makes the champion answer requests, and checks that it does.

    Args:
        use_case: The declaration.
        declared_at: Where the serving process finds it, as `package.module:NAME`.
    """
    key = asset_key(use_case, "endpoint")

    @dg.asset(
        key=key,
        ins={
            "champion": dg.AssetIn(key=asset_key(use_case, "champion")),
            "training_set": dg.AssetIn(key=asset_key(use_case, "training_set")),
        },
        **asset_facts(use_case, "endpoint", "fastapi"),
        description="The live server: exact version, address, measured latency. It needs neither Dagster, nor MLflow, "
        "nor the lake to go on answering.",
        code_version=code_version(__name__, "resources.serving.server"),
        check_specs=[dg.AssetCheckSpec("live_answers_equal_offline_scores", asset=key, blocking=True)],
    )
    def endpoint(
        context: dg.AssetExecutionContext,
        champion: ModelVersion,
        training_set: TrainingManifest,
        lake: Lake,
        registry: MlflowModelRegistry,
        endpoint_server: Endpoint,
    ) -> Iterator[dg.MaterializeResult[LiveEndpoint]]:
        rows = _smoke_rows(use_case, lake, training_set)
        endpoint_server.ensure_running(use_case.name, declared_at)
        with tempfile.TemporaryDirectory() as room:
            folder = registry.download(champion, Path(room))
            offline = load_model(folder).predict(rows)
            endpoint_server.deploy(use_case.name, champion.number, folder, online_tables(use_case, lake))
        context.log.info(
            f"{champion} is live at {endpoint_server.url(use_case.name)}; now comparing {len(rows)} answers"
        )
        difference = float(np.max(np.abs(endpoint_server.predict(use_case.name, rows) - offline)))
        latency = endpoint_server.latency(use_case.name, rows)
        live = LiveEndpoint(
            url=f"{endpoint_server.url(use_case.name)}/infer",
            model_version=str(champion),
            median_latency_ms=latency.median_ms,
            p99_latency_ms=latency.p99_ms,
        )
        yield dg.MaterializeResult(
            value=live,
            data_version=dg.DataVersion(str(champion)),
            metadata={
                "url": dg.MetadataValue.url(live.url),
                "docs": dg.MetadataValue.url(f"http://{endpoint_server.host}:{endpoint_server.port}/docs"),
                "model_version": live.model_version,
                "median_latency_ms": round(live.median_latency_ms, 2),
                "p99_latency_ms": round(live.p99_latency_ms, 2),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="live_answers_equal_offline_scores",
                    passed=difference <= TOLERANCE,
                    metadata={"largest_difference": difference, "limit": TOLERANCE, "rows": len(rows)},
                )
            ],
        )

    return endpoint


def online_tables(use_case: UseCase, lake: Lake) -> dict[str, pl.DataFrame]:
    """The cleaned tables of the last days, as far back as features look: the history a serving process starts with."""
    last = max(lake.partitions(table_name(use_case, f"cleaned_{use_case.entity_table}")))
    first = days_before(last, look_back_days(use_case) + ONLINE_DAYS)
    return cleaned_frames(lake, use_case, [p for p in cleaned_partitions(lake, use_case) if p >= first])


def _smoke_rows(use_case: UseCase, lake: Lake, manifest: TrainingManifest) -> pl.DataFrame:
    """Feature rows of the test window, spread over its days: inputs that no model was fitted on."""
    rows = labelled_rows(use_case, lake, manifest, "test")
    return rows.gather_every(max(1, len(rows) // SMOKE_ROWS)).head(SMOKE_ROWS).select(use_case.feature_names)
