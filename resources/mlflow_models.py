"""What MLflow is given: a model folder it can load without pickle, and the datasets a run has read.

Belongs here: turning our values into MLflow's, keeping a model. Does not belong here: versions of it
(`mlflow_versions.py`).
"""

import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from resources.errors import RegistryError
from resources.mlflow_store import Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

MODEL_ARTIFACT: Final = "model"
"""Name of the saved model's folder inside an MLflow model: `artifacts/model`."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A lake table that went into a run.

    Attributes:
        name: Table name.
        uri: Where the Delta table lies.
        version: Its Delta version.
        context: What it was used for, such as `training`.
        rows: Rows used, None if they were not counted.
    """

    name: str
    uri: str
    version: int
    context: str
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """A model as its family saved it, and what MLflow needs around it.

    Attributes:
        folder: The saved model.
        python_model: File that ends with `mlflow.models.set_model(...)` and finds `folder` in
            `context.artifacts["model"]`.
        example: A few rows of features, as a caller would send them: numbers as float64, text as str or None.
        signature: Its columns and their types; None: taken from the example.
        requirements: What it needs, as `name==release`, or as `name` for the release that is installed here.
        family: Which family made it.
    """

    folder: Path
    python_model: Path
    example: "pd.DataFrame"
    signature: "ModelSignature | None" = None
    requirements: Sequence[str]
    family: str


def keep_model(store: Store, run_id: str, name: str, saved: SavedModel) -> "LoggedModel":
    """Upload a model with everything MLflow needs to load it; it ends READY, or FAILED with an error.

    Raises:
        RegistryError: If the saved model is absent, a distribution it needs is not installed, or the store refuses.
    """
    from mlflow.entities import LoggedModelOutput

    run = store.do(f"find run {run_id}", lambda c: c.get_run(run_id))
    experiment_id, params = run.info.experiment_id, dict(run.data.params)
    model = store.do(
        f"create a model of run {run_id}",
        lambda c: c.create_logged_model(experiment_id, name, run_id, params=params, model_type=saved.family),
    )
    model_id, output = str(model.model_id), LoggedModelOutput(model.model_id, 0)
    try:
        with tempfile.TemporaryDirectory() as room:
            packed = str(pack(saved, Path(room), run_id=run_id, model_id=model_id))
            store.do(f"upload the model of run {run_id}", lambda c: c.log_model_artifacts(model_id, packed))
        store.do(f"link run {run_id} to its model", lambda c: c.log_outputs(run_id, [output]))
    except BaseException:
        store.do(f"mark the model of run {run_id} as failed", lambda c: c.finalize_logged_model(model_id, "FAILED"))
        raise
    return store.do(f"finish the model of run {run_id}", lambda c: c.finalize_logged_model(model_id, "READY"))


def pack(model: SavedModel, room: Path, *, run_id: str, model_id: str) -> Path:
    """An MLflow model folder around the saved model, inside the empty folder `room`.

    Raises:
        RegistryError: If the saved model is absent, or a distribution it needs is not installed.
    """
    if not model.folder.is_dir() or not any(model.folder.iterdir()):
        raise RegistryError(f"There is no saved model in {model.folder}")
    saved = shutil.copytree(model.folder, room / "saved" / MODEL_ARTIFACT)
    with warnings.catch_warnings():
        # MLflow warns of type hints in its own modules, and asks for some that would make it check rows one by one.
        warnings.filterwarnings("ignore", message=r"(?s).*type hint", category=UserWarning)
        import mlflow.pyfunc
        from mlflow.models import Model

        mlflow.pyfunc.save_model(
            path=str(room / "packed"),
            mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
            python_model=str(model.python_model),
            artifacts={MODEL_ARTIFACT: str(saved)},
            signature=model.signature or signature(model.example),
            input_example=model.example,
            pip_requirements=pins(model.requirements),
        )
    return room / "packed"


def signature(example: "pd.DataFrame") -> "ModelSignature":
    """Every number is a double and every column may be missing: MLflow refuses a NaN in a `long` column."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    columns: list[ColSpec | TensorSpec] = [
        ColSpec("double" if example[name].dtype.kind in "iuf" else "string", name, required=False)
        for name in example.columns
    ]
    return ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec("double")]))


def pins(requirements: Sequence[str]) -> list[str]:
    """`name==release` for each distribution; a release that is named already stays as it is.

    A local build mark such as `+cpu` cannot be installed from an index and is dropped.

    Raises:
        RegistryError: If one is not installed here.
    """
    try:
        return [n if "==" in n else f"{n}=={installed.version(n).partition('+')[0]}" for n in requirements]
    except installed.PackageNotFoundError as error:
        raise RegistryError(f"The model is said to need {error.name}, which is not installed here") from error


def dataset_inputs(datasets: Sequence[Dataset]) -> list[Any]:
    """MLflow's dataset inputs: each names a Delta table and its exact version, and copies no row."""
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.entities import Dataset as Recorded
    from mlflow.entities import DatasetInput, InputTag

    found = []
    for dataset in datasets:
        source = DeltaDatasetSource(path=dataset.uri, delta_table_version=dataset.version)
        recorded = Recorded(
            name=dataset.name,
            digest=f"delta-v{dataset.version}",
            source_type="delta_table",
            source=json.dumps(source.to_dict()),
            profile=None if dataset.rows is None else json.dumps({"num_rows": dataset.rows}),
        )
        tags = [InputTag("mlflow.data.context", dataset.context), InputTag("delta_version", str(dataset.version))]
        found.append(DatasetInput(recorded, tags))
    return found
