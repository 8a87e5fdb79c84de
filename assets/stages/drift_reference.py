"""`drift_reference`: what the champion learned from and was judged on, kept with it for comparison.

Belongs here: making the reference of one exact version, keeping it and finding it again. Does not belong here: how it
is calibrated (`assets/logic/drift_reference.py`), and comparing windows with it (`drift_report.py`).
"""

import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
import numpy as np
import polars as pl
from pydantic import TypeAdapter

from assets.code_version import code_version
from assets.contracts import UseCase
from assets.logic.drift_histograms import day_counts
from assets.logic.drift_reference import DriftReference, make_reference
from assets.logic.sampling import spread_out
from assets.logic.splits import TrainingManifest
from assets.reports import markdown
from assets.stages.common import asset_facts, asset_key, day_of, frozen_rows, table_name
from assets.stages.monitored import (
    DAY,
    MonitoredColumn,
    bins_of,
    late_days,
    monitored_columns,
    monitored_rows,
    rows_of_group,
)
from assets.stages.predictions import said_columns
from assets.trainers.base import Model
from assets.trainers.families import load_model
from resources.errors import RegistryError
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry

KEPT_AS: Final = "monitoring/drift.json"
SAMPLE_KEPT_AS: Final = "monitoring/reference.parquet"
"""Files of the MLflow run that made the version."""
LAST_DAYS: Final = timedelta(days=365)
"""A year holds every season once; more would only dull the comparison."""
REFERENCE_ROWS: Final = 50_000
"""Rows that are counted at most, evenly over the days. 30 days of a year are then 4,000 rows, whose chance alone is a
distance of .02, less than the days of any column differ; a network predicts them in 2 s."""
SAMPLED_ROWS: Final = 3_000
"""Rows kept as they are, for Evidently's plots."""
EXPLAINED_ROWS: Final = 1_000
"""Rows on which use is measured; twice as many change no share by more than a tenth."""


@dataclass(frozen=True, kw_only=True)
class KeptReference:
    """The reference of one version, as it is kept.

    Attributes:
        made_by: Code version and policy; a reference made by others is made anew.
        rows: Rows that were counted.
    """

    model_version: str
    run_id: str
    made_by: str
    first: date
    last: date
    rows: int
    reference: DriftReference


@dataclass(frozen=True, kw_only=True)
class ReferenceVersion:
    """Which version has a reference now, and by what code: what the asset hands on."""

    model_version: str
    run_id: str
    made_by: str


def build_drift_reference(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that sees to it that the champion has a reference."""
    made_by = reference_code_version(use_case)

    @dg.asset(
        key=asset_key(use_case, "drift_reference"),
        ins={"champion": dg.AssetIn(key=asset_key(use_case, "champion"))},
        **asset_facts(use_case, "drift_reference", "mlflow"),
        description="What the champion learned from and was judged on: histograms, how much it uses each column, and "
        "how far quiet windows stray. Kept with the version in MLflow; drift is judged against it.",
        code_version=made_by,
    )
    def drift_reference(
        context: dg.AssetExecutionContext, champion: ModelVersion, lake: Lake, registry: MlflowModelRegistry
    ) -> dg.MaterializeResult[ReferenceVersion]:
        kept = reference_of(use_case, champion, lake, registry)
        context.log.info(f"the reference of {champion}: {kept.rows:,} rows of {kept.first} to {kept.last}")
        return dg.MaterializeResult(
            value=ReferenceVersion(model_version=str(champion), run_id=champion.run_id, made_by=made_by),
            data_version=dg.DataVersion(f"{champion}-{made_by}"),
            metadata={
                "model_version": str(champion),
                "days": f"{kept.first} to {kept.last}",
                "rows": kept.rows,
                "groups": dg.MetadataValue.md(_as_table(kept.reference)),
                "kept_at": dg.MetadataValue.url(registry.document_url(champion.run_id, KEPT_AS)),
                **{f"limit/{g.name}": g.limit for g in kept.reference.groups if g.limit is not None},
            },
        )

    return drift_reference


def reference_code_version(use_case: UseCase) -> str:
    """Code version of a reference: how it is counted and calibrated, and what the policy asks."""
    made = [f"{__name__}:{name}" for name in ("reference_rows", "calibrated", "used")]
    declared = (use_case.automation.drift, [(f.name, f.group) for f in use_case.features])
    return code_version(*made, "assets.stages.monitored:monitored_rows", values=declared)


def reference_of(use_case: UseCase, version: ModelVersion, lake: Lake, registry: MlflowModelRegistry) -> KeptReference:
    """The reference of exactly this version, by today's code and policy: as it is kept, else made and kept now.

    Raises:
        RegistryError, LakeError: As for `keep_reference`.
    """
    kept = find_reference(version, registry)
    if kept is not None and kept.made_by == reference_code_version(use_case):
        return kept
    return keep_reference(use_case, version, lake, registry)


def find_reference(version: ModelVersion, registry: MlflowModelRegistry) -> KeptReference | None:
    """The reference of exactly this version; None if it has none that today's code can read."""
    text = registry.document(version.run_id, KEPT_AS)
    if text is None:
        return None
    try:
        return TypeAdapter(KeptReference).validate_json(text)
    except ValueError:  # written by code of another day: it is made anew
        return None


def find_sample(version: ModelVersion, registry: MlflowModelRegistry) -> pl.DataFrame | None:
    """Some rows of the reference of this version, for pictures."""
    data = registry.file(version.run_id, SAMPLE_KEPT_AS)
    return None if data is None else pl.read_parquet(io.BytesIO(data))


def keep_reference(
    use_case: UseCase, version: ModelVersion, lake: Lake, registry: MlflowModelRegistry
) -> KeptReference:
    """Make the reference of a version and keep it with it.

    Predictions of rows that the model learned from are nearer to their labels than those to come will be. That is
    left as it is: where training is much longer than a window, as it must be to be judged at all, it is a small part
    of how windows differ (measured on the data that ships: a log loss of .448 on rows of training and .467 on the test
    month, while later months lay between .34 and .55).

    Raises:
        RegistryError: If the run that made the version has no manifest.
        LakeError: If the rows that it learned from are gone.
    """
    text = registry.document(version.run_id, "training_set.json")
    if text is None:
        raise RegistryError(f"run {version.run_id}, which made {version}, has no training_set.json")
    manifest = TrainingManifest.from_json(text)
    with tempfile.TemporaryDirectory() as room:
        model = load_model(registry.download(version, Path(room)))
    rows = reference_rows(use_case, manifest, lake)
    said = pl.DataFrame(said_columns(use_case.task, model.outputs, model.predict(rows.select(manifest.features))))
    columns = monitored_columns(use_case, manifest.features, rows.schema)
    seen = monitored_rows(use_case, rows, said)
    kept = KeptReference(
        model_version=str(version),
        run_id=version.run_id,
        made_by=reference_code_version(use_case),
        first=seen[DAY].min(),  # type: ignore[arg-type]  # a column of dates has a least date
        last=seen[DAY].max(),  # type: ignore[arg-type]
        rows=len(seen),
        reference=calibrated(use_case, seen, columns, used(model, rows, manifest)),
    )
    sample = seen.select(c.name for c in columns)[spread_out(len(seen), SAMPLED_ROWS, use_case.seed)]
    data = io.BytesIO()
    sample.write_parquet(data)
    registry.log(
        version.run_id,
        documents={
            SAMPLE_KEPT_AS: data.getvalue(),
            KEPT_AS: TypeAdapter(KeptReference).dump_json(kept, indent=1).decode(),
        },
    )
    return kept


def reference_rows(use_case: UseCase, manifest: TrainingManifest, lake: Lake) -> pl.DataFrame:
    """The rows of all days from training to test, with labels or without, as the manifest froze the table.

    Of more than `REFERENCE_ROWS`, as many, spread over time.

    Raises:
        LakeError: If they are gone.
    """
    last = manifest.windows.test.end
    first = max(manifest.windows.train.start, last - LAST_DAYS + timedelta(days=1))
    table, number = table_name(use_case, "features"), manifest.tables["features"]
    chosen = lake.scan(table, version=number).filter(day_of(use_case).is_between(first, last))
    order = [day_of(use_case), *use_case.row_order]
    with frozen_rows(table, number):
        places = spread_out(chosen.select(pl.len()).collect().item(), REFERENCE_ROWS, use_case.seed)
        return chosen.sort(order, maintain_order=True).select(pl.all().gather(places)).collect()


def calibrated(
    use_case: UseCase, rows: pl.DataFrame, columns: list[MonitoredColumn], usage: Mapping[str, float]
) -> DriftReference:
    """Count the rows group by group, and set the limits."""
    groups = dict.fromkeys(c.group for c in columns)
    bins, counted = {}, {}
    for group in groups:
        there = rows_of_group(use_case, rows, group)
        bins[group] = bins_of(there, [c for c in columns if c.group == group], usage)
        counted[group] = day_counts(there, there[DAY], bins[group])
    return make_reference(counted, bins, usage, use_case.automation.drift, late_days=late_days(use_case, rows))


def used(model: Model, rows: pl.DataFrame, manifest: TrainingManifest) -> dict[str, float]:
    """Share of the model's use by feature: the mean size of its contributions to predictions. They add up to 1."""
    sample = rows.select(manifest.features)[spread_out(len(rows), EXPLAINED_ROWS, manifest.seed)]
    size = np.abs(model.explain(sample)).mean(axis=0)
    names = [f.name for f in getattr(model, "features", ())] or list(manifest.features)
    return dict(zip(names, (size / max(size.sum(), np.finfo(float).tiny)).tolist(), strict=True))


def _as_table(reference: DriftReference) -> str:
    def shown(number: float | None, form: Callable[[float], str]) -> str:
        return "" if number is None else form(number)

    cells = []
    for group in reference.groups:
        columns = [c for c in reference.columns if c.group == group.name and not c.is_pair]
        most = max(columns, key=lambda c: c.usage)
        limit = group.note or shown(group.limit, lambda n: f"{n:.1f} times a typical distance")
        cells.append([group.name, str(len(columns)), f"{sum(c.usage for c in columns):.0%}", most.name, limit])
    return markdown.table(["group", "columns", "share of use", "most used", "limit"], cells)
