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
from assets.stages.common import asset_facts, asset_key, table_name
from assets.stages.features import look_back_days
from assets.stages.training_set import labelled_rows
from assets.trainers.families import load_model
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry
from resources.serving.calls import Latency
from resources.serving.client import Endpoint

SMOKE_ROWS = 200
TOLERANCE = 1e-6
"""Largest accepted difference between an answer of the server and the same row scored offline: in probability, and for
quantities and counts relative to the largest of them."""
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
        declared_at: Where the serving process finds it, by its name in the catalogue, or as `package.module:NAME`.
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
        endpoint_server.ensure_running(use_case.name, declared_at)
        proof = go_live(use_case, champion, training_set, lake, registry, endpoint_server)
        live = LiveEndpoint(
            url=f"{endpoint_server.url(use_case.name)}/infer",
            model_version=f"{use_case.name}/{proof.served.number}",
            median_latency_ms=proof.latency.median_ms,
            p99_latency_ms=proof.latency.p99_ms,
        )
        told = _told(champion, proof.served)
        context.log.info(f"{told}, at {live.url}; {proof.rows} answers differ by {proof.difference:.1g} at most")
        yield dg.MaterializeResult(
            value=live,
            data_version=dg.DataVersion(str(champion)),
            metadata={
                "url": dg.MetadataValue.url(live.url),
                "docs": dg.MetadataValue.url(f"{endpoint_server.root(use_case.name)}/docs"),
                "model_version": live.model_version,
                "rollout": told,
                "median_latency_ms": round(live.median_latency_ms, 2),
                "p99_latency_ms": round(live.p99_latency_ms, 2),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="live_answers_equal_offline_scores",
                    passed=proof.passed,
                    metadata={"largest_difference": proof.difference, "limit": TOLERANCE, "rows": proof.rows},
                )
            ],
        )

    return endpoint


@dataclass(frozen=True, kw_only=True)
class Served:
    """The version that was deployed.

    Attributes:
        number: In the registry.
        is_live: False while it is on its way, beside the live one.
        taken_back: Why it is the live version and not the champion: the champion was taken back before; else None.
    """

    number: int
    is_live: bool
    taken_back: str | None = None


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How near the answers of a live version are to its offline scores, and how fast they come.

    Attributes:
        difference: The largest of all rows and outputs, in the terms of `TOLERANCE`.
        rows: How many were compared.
        served: Which version that is.
    """

    difference: float
    rows: int
    latency: Latency
    served: Served

    @property
    def passed(self) -> bool:
        """Whether they are the same, to `TOLERANCE`."""
        return self.difference <= TOLERANCE


def go_live(
    use_case: UseCase,
    version: ModelVersion,
    manifest: TrainingManifest,
    lake: Lake,
    registry: MlflowModelRegistry,
    server: Endpoint,
) -> Proof:
    """Have the running server load exactly this version, and compare its answers on rows of the test window.

    It takes over as the use case's rollout says. A version that was taken back is not tried again by itself: the live
    one gets the newer history then.
    """
    rows = _smoke_rows(use_case, lake, manifest)
    with tempfile.TemporaryDirectory() as room:
        taken_back = server.control(use_case.name).taken_back(version.number)
        if taken_back is None:
            number, folder = version.number, registry.download(version, Path(room))
        else:
            number, folder = server.control(use_case.name).live_model()
        offline = load_model(folder).predict(rows)
        deployed = server.deploy(
            use_case.name,
            number,
            folder,
            online_tables(use_case, lake),
            rollout=use_case.rollout.plan,
            is_replacing=use_case.rollout.is_replacing,
        )
    scale = max(1.0, float(np.max(np.abs(offline))))
    answers = server.predict(use_case.name, rows, number)  # whatever is beside it
    served = Served(
        number=number, is_live=deployed.is_live, taken_back=None if taken_back is None else taken_back.reason
    )
    difference = float(np.max(np.abs(answers - offline))) / scale
    return Proof(difference=difference, rows=len(rows), latency=server.latency(use_case.name, rows), served=served)


def _told(champion: ModelVersion, served: Served) -> str:
    """What became of the champion."""
    if served.taken_back is not None:
        return f"{champion} was taken back and is not tried again; version {served.number} stays live"
    return f"{champion} is live" if served.is_live else f"{champion} is on its way, beside the live version"


def online_tables(use_case: UseCase, lake: Lake) -> dict[str, pl.DataFrame]:
    """The cleaned tables of the last days, as far back as features look: the history a serving process starts with."""
    last = max(lake.partitions(table_name(use_case, f"cleaned_{use_case.entity_table}")))
    first = use_case.partitions.before(last, look_back_days(use_case) + ONLINE_DAYS)
    return cleaned_frames(lake, use_case, [p for p in cleaned_partitions(lake, use_case) if p >= first])


def _smoke_rows(use_case: UseCase, lake: Lake, manifest: TrainingManifest) -> pl.DataFrame:
    """Feature rows of the test window, spread over its days: inputs that no model was fitted on.

    Numbers as numbers: an input that is a feature as well may be a Boolean in the table.
    """
    rows = labelled_rows(use_case, lake, manifest, "test")
    shown = rows.gather_every(max(1, len(rows) // SMOKE_ROWS)).head(SMOKE_ROWS)
    return shown.select(pl.col(f.name).cast(pl.Float64) if f.kind == "numeric" else f.name for f in use_case.features)
