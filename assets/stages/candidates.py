"""The candidates: one asset per model family, each an exact model version in MLflow.

Belongs here: search, fit, and putting on record what was made from what. Does not belong here: how a family learns
(`assets/trainers`), and which candidate is good enough (`evaluation_report.py`).
"""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from assets.code_version import code_version, git_commit
from assets.contracts import UseCase
from assets.logic.metrics import score
from assets.logic.splits import TrainingManifest
from assets.logic.wording import capital
from assets.policies import TrainerSpec
from assets.stages.common import asset_facts, asset_key, pictures, table_name
from assets.stages.training_set import training_data, training_set_code_version
from assets.trainers.base import Fit, Progress, Rows, TrainingData
from assets.trainers.families import described, family_code, family_name, trainer
from assets.trainers.mlflow_signature import MODEL_CODE, requirements_of, signature_of, to_mlflow
from assets.trainers.search import search
from resources.lake import Lake
from resources.mlflow_models import Dataset
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINGERPRINT_TAG = "training_fingerprint"
"""Equal for two models that were made from the same data, code and configuration."""
MANIFEST_TAG = "training_set"
TRAINED_THROUGH_TAG = "trained_through"
"""Last day whose labels the model has seen."""


def build_candidate(use_case: UseCase, spec: TrainerSpec) -> dg.AssetsDefinition:
    """The asset that trains one family and hands on the exact version it registered."""
    version, family = family_code_version(spec), described(spec.family)

    @dg.asset(
        key=asset_key(use_case, family_name(spec.family)),
        ins={"training_set": dg.AssetIn(key=asset_key(use_case, "training_set"))},
        **asset_facts(use_case, "candidate", family.kind, "mlflow"),
        description=f"{capital(family.title)}: searched over {spec.search_trials} trials inside the training window, "
        "stopped early and calibrated on the validation window, registered in MLflow.",
        code_version=candidate_code_version(use_case, spec),
    )
    def candidate(
        context: dg.AssetExecutionContext, training_set: TrainingManifest, lake: Lake, registry: MlflowModelRegistry
    ) -> dg.MaterializeResult[ModelVersion]:
        fingerprint = fingerprint_of(training_set, version)
        tags = {
            "dagster.run_id": context.run.run_id,
            "dagster.asset": context.asset_key.to_user_string(),
            "code_version": version,
            "mlflow.source.git.commit": git_commit(),
            "seed": str(training_set.seed),
            MANIFEST_TAG: training_set.id,
            FINGERPRINT_TAG: fingerprint,
        }
        with registry.run(use_case.name, family_name(spec.family), tags) as run_id:
            made = make_candidate(use_case, spec, training_set, lake, registry, run_id, context.log.info)
        context.log.info(f"registered {made.version}")
        return dg.MaterializeResult(
            value=made.version,
            data_version=dg.DataVersion(fingerprint),
            metadata={
                "model_version": str(made.version),
                "mlflow_run": dg.MetadataValue.url(registry.run_url(run_id)),
                "mlflow_version": dg.MetadataValue.url(registry.version_url(made.version)),
                "parameters": dg.MetadataValue.json(dict(made.fit.parameters)),
                "plots": pictures(registry, run_id, made.plots),
                **{name: float(value) for name, value in made.fit.metrics.items()},
            },
        )

    return candidate


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A registered model, how it came to be, and the paths of its plots in the MLflow run."""

    version: ModelVersion
    fit: Fit
    plots: tuple[str, ...]


def make_candidate(
    use_case: UseCase,
    spec: TrainerSpec,
    manifest: TrainingManifest,
    lake: Lake,
    registry: MlflowModelRegistry,
    run_id: str,
    say: Progress,
) -> Candidate:
    """Train one family on the rows of the manifest, put it on record in the MLflow run `run_id`, and register it."""
    data = thinned(training_data(use_case, lake, manifest), spec.training_rows, say)
    fit = train(spec, data, say)
    record = Record(use_case, spec, manifest, data, fit, fingerprint_of(manifest, family_code_version(spec)))
    figures = _figures(record)
    _log(registry, run_id, record, figures, lake)
    return Candidate(version=_register(registry, run_id, record), fit=fit, plots=tuple(figures))


@dataclass(frozen=True)
class Record:
    """All that is worth keeping of one training."""

    use_case: UseCase
    spec: TrainerSpec
    manifest: TrainingManifest
    data: TrainingData
    fit: Fit
    fingerprint: str


def train(spec: TrainerSpec, data: TrainingData, say: Progress) -> Fit:
    """Search inside the training window, then fit with what was found; the search is kept with the fit."""
    family = trainer(spec.family)
    found = search(
        family,
        data,
        trials=spec.search_trials,
        rows=spec.search_rows,
        seed=data.seed,
        progress=say,
        fixed=spec.parameters,
    )
    fit = family.fit(data, found.parameters, say)
    return Fit(model=fit.model, parameters=fit.parameters, metrics=fit.metrics, curves=fit.curves, trials=found.trials)


def thinned(data: TrainingData, most: int, say: Progress) -> TrainingData:
    """At most `most` training rows, evenly spread over their time; validation rows stay, for they calibrate."""
    rows = data.train
    if len(rows.label) <= most:
        return data
    say(f"{most:,} of {len(rows.label):,} training rows are used, evenly spread over time (training_rows)")
    kept = np.linspace(0, len(rows.label) - 1, most).round().astype(np.int64)
    return replace(data, train=Rows(features=rows.features[kept], label=rows.label[kept], day=rows.day[kept]))


def candidate_code_version(use_case: UseCase, spec: TrainerSpec) -> str:
    """Code version of a candidate: that of its family, and of what it is trained on, all the way from the files."""
    return code_version(values=(family_code_version(spec), training_set_code_version(use_case)))


def family_code_version(spec: TrainerSpec) -> str:
    """Code version of a family: its code, what families share, and how it is configured."""
    made = (f"{__name__}:thinned", f"{__name__}:train", "assets.stages.training_set:training_data")
    return code_version(*made, *family_code(spec.family), values=spec)


def fingerprint_of(manifest: TrainingManifest, version: str) -> str:
    """Sixteen hex digits that two trainings share only if data, code and configuration are the same."""
    return hashlib.sha256(f"{manifest.id} {version}".encode()).hexdigest()[:16]


def _log(
    registry: MlflowModelRegistry, run_id: str, record: Record, figures: Mapping[str, "Figure"], lake: Lake
) -> None:
    manifest, name = record.manifest, record.use_case.name
    datasets = [
        Dataset(
            name=table_name(record.use_case, table),
            uri=lake.uri(table_name(record.use_case, table)),
            version=number,
            context="training" if table == "features" else "source",
            rows=manifest.rows["train"].labelled if table == "features" else None,
        )
        for table, number in manifest.tables.items()
    ]
    label = record.data.validation.label
    measured = score(record.use_case.task, label, record.fit.model.predict(record.data.validation.features))
    metrics = {f"validation_{k}": m.value for k, m in measured.items() if m.value is not None}
    registry.log(
        run_id,
        params={"use_case": name, "family": record.spec.family, "seed": manifest.seed, **record.fit.parameters},
        metrics={**metrics, **record.fit.metrics},
        curves=record.fit.curves,
        figures=figures,
        documents={"training_set.json": manifest.to_json(), "search.json": list(record.fit.trials)},
        datasets=datasets,
    )


def _register(registry: MlflowModelRegistry, run_id: str, record: Record) -> ModelVersion:
    example = record.data.validation.features.head(5)
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        record.fit.model.save(folder)
        return registry.register(
            run_id,
            record.use_case.name,
            folder,
            python_model=MODEL_CODE,
            example=to_mlflow(example, record.use_case.features),
            signature=signature_of(record.use_case.features, record.fit.model.outputs),
            family=record.spec.family,
            requirements=requirements_of(folder),
            tags={
                FINGERPRINT_TAG: record.fingerprint,
                MANIFEST_TAG: record.manifest.id,
                TRAINED_THROUGH_TAG: str(record.manifest.windows.validation.end),
            },
        )


def _figures(record: Record) -> dict[str, "Figure"]:
    from assets.reports.plots import calibration_figure, learning_curves_figure

    label = record.data.validation.label
    prediction = record.fit.model.predict(record.data.validation.features)
    figures = {
        "plots/validation_calibration.png": calibration_figure(
            record.use_case.task, label, {record.spec.family: prediction}
        )
    }
    if record.fit.curves:
        figures["plots/learning_curves.png"] = learning_curves_figure(record.fit.curves)
    return figures
