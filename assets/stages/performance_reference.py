"""What a model version is like in control, made once from its own test window and kept with it in MLflow.

Belongs here: reading and making it. Does not belong here: what it consists of (`assets/logic/in_control.py`).
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from assets.code_version import code_version
from assets.contracts import PARTITION_KEY, UseCase
from assets.logic.chart_limits import TooFewDaysError
from assets.logic.in_control import InControl, in_control
from assets.logic.performance_window import Yardstick
from assets.logic.splits import TrainingManifest
from assets.stages.common import day_of, frozen_rows, table_name
from assets.stages.performance_rows import as_scored
from assets.stages.predictions import said_columns
from assets.trainers.families import load_model
from resources.errors import LakeError, RegistryError
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry

DOCUMENT: Final = "monitoring/performance.json"
"""Where it is kept in the MLflow run that made the model."""
MANIFEST: Final = "training_set.json"


def yardsticks(
    use_case: UseCase, lake: Lake, registry: MlflowModelRegistry, versions: Sequence[str]
) -> list[Yardstick]:
    """How the days of each version are judged, in the order of `versions`, which are such as `churn/3`.

    A version that left the registry, or whose tested rows are gone, has none, and its reason says so: it is no fault of
    the other versions in a window.
    """
    return [_yardstick(use_case, lake, registry, version) for version in versions]


def _yardstick(use_case: UseCase, lake: Lake, registry: MlflowModelRegistry, name: str) -> Yardstick:
    try:
        version = registry.version(use_case.name, int(name.rpartition("/")[2]))
        known = in_control_of(use_case, lake, registry, version)
    except (RegistryError, LakeError) as error:
        reason = f"The days of {name} cannot be judged: {str(error).rstrip('.')}."
        return Yardstick(version=name, in_control=None, charts=None, reason=reason)
    if known is None:
        reason = f"It is not on record what {name} was tested on, so its days cannot be judged."
        return Yardstick(version=name, in_control=None, charts=None, reason=reason)
    policy = use_case.automation.performance
    try:
        charts = known.charts(window=policy.window.days, run_length=policy.run_length, seed=use_case.seed)
    except TooFewDaysError as error:
        reason = f"The test window of {name} gives no control limits: {error}."
        return Yardstick(version=name, in_control=known, charts=None, reason=reason)
    return Yardstick(version=name, in_control=known, charts=charts)


def in_control_of(
    use_case: UseCase, lake: Lake, registry: MlflowModelRegistry, version: ModelVersion
) -> InControl | None:
    """What a version is like in control: as it is on record, else made now and put there.

    None if the version has no record of what it was trained and tested on.

    Raises:
        RegistryError: If its model or record is out of reach.
        LakeError: If the rows that it was tested on are gone.
    """
    made_by = code_version(
        "assets.logic.in_control:in_control", "assets.stages.performance_rows:as_scored", f"{__name__}:tested_rows"
    )
    kept = registry.document(version.run_id, DOCUMENT)
    if kept is not None and (content := json.loads(kept))["made_by"] == made_by:
        return InControl.from_json(content["in_control"])
    manifest = registry.document(version.run_id, MANIFEST)
    if manifest is None:
        return None
    both = tested_rows(use_case, lake, registry, version, TrainingManifest.from_json(manifest))
    known = in_control(use_case.task, str(version), as_scored(use_case, both, [str(version)]))
    content = {"made_by": made_by, "in_control": known.to_json()}
    registry.log(version.run_id, documents={DOCUMENT: content})
    return known


def tested_rows(
    use_case: UseCase, lake: Lake, registry: MlflowModelRegistry, version: ModelVersion, manifest: TrainingManifest
) -> pl.DataFrame:
    """The feature rows of a version's test window, as they were, with what it says of them.

    Raises:
        RegistryError: If its model is out of reach.
        LakeError: If the rows are gone.
    """
    with tempfile.TemporaryDirectory() as room:
        model = load_model(registry.download(version, Path(room)))
    table, number = table_name(use_case, "features"), manifest.tables["features"]
    frozen = lake.scan(table, version=number)
    with frozen_rows(table, number):
        tested = frozen.filter(manifest.windows.test.contains(day_of(use_case))).collect()
    rows = tested.sort(PARTITION_KEY, *use_case.row_order, maintain_order=True)
    said = said_columns(use_case.task, model.outputs, model.predict(rows))
    return rows.with_columns(*said, day_of(use_case).alias("day"), pl.lit(str(version)).alias("model_version"))
