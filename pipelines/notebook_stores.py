"""What the functions for notebooks stand on: the resources of the clone, exact model versions, the last training set.

Belongs here: finding them. Does not belong here: what a notebook calls (`notebook.py`, `notebook_trials.py`).
"""

import itertools
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from assets.logic.splits import TrainingManifest
from assets.trainers.base import Model
from pipelines.programs import ROOT
from pipelines.services import prepare_environment
from resources.errors import RegistryError, ThroughlineError
from resources.objects import ObjectStore
from resources.settings import PREFIX, Settings

if TYPE_CHECKING:
    from resources.mlflow_versions import ModelVersion
    from resources.registry import MlflowModelRegistry

HOME: Final = f"{PREFIX}HOME"


class NotebookError(ThroughlineError):
    """There is no such table, partition or version; the message names those that there are."""


def resources_here() -> dict[str, Any]:
    """The resources as the commands have them; without `THROUGHLINE_HOME`, those of the clone, wherever one is.

    Raises:
        SettingsError: If a variable has a value that is not allowed.
    """
    from resources.environments import resources_for

    # MLflow imports a progress bar that misses ipywidgets in every notebook; none is shown here.
    warnings.filterwarnings("ignore", "IProgress not found")
    settings = Settings() if os.environ.get(HOME) else Settings(home=ROOT / "var")
    prepare_environment(settings)
    return resources_for(settings)


def version_of(registry: "MlflowModelRegistry", use_case: str, number: int) -> "ModelVersion":
    """The version of that number.

    Raises:
        NotebookError: If there is none, naming those that there are.
    """
    try:
        return registry.version(use_case, number)
    except RegistryError as error:
        known = list(itertools.takewhile(lambda n: _is_registered(registry, use_case, n), itertools.count(1)))
        there = f"there are 1 to {known[-1]}" if known else "none is registered"
        raise NotebookError(f"{use_case} has no model version {number}; {there} ({error})") from error


def loaded(registry: "MlflowModelRegistry", version: "ModelVersion") -> Model:
    """The model of exactly this version.

    Raises:
        RegistryError: If it or its files are gone.
    """
    from assets.trainers.families import load_model

    with tempfile.TemporaryDirectory() as room:
        return load_model(registry.download(version, Path(room)))


def frozen_manifest(use_case: str) -> TrainingManifest | None:
    """The manifest of the last training set; None if there is none yet."""
    values, path = ObjectStore(resources_here()["io_manager"].root), f"{use_case}/training_set.json"
    return TypeAdapter(TrainingManifest).validate_json(values.read(path)) if values.exists(path) else None


def _is_registered(registry: "MlflowModelRegistry", use_case: str, number: int) -> bool:
    try:
        registry.version(use_case, number)
    except RegistryError:
        return False
    return True
