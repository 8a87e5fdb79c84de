"""How registered models, their versions, tags and aliases are kept and fetched, in MLflow's own terms.

Belongs here: single dealings with the registry half of the store. Does not belong here: which version deserves what.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.mlflow_models import MODEL_ARTIFACT
from resources.mlflow_store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One registered model version, exactly; never "the latest"."""

    name: str
    number: int
    run_id: str
    model_id: str
    family: str

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


def ensure_registered(client: "MlflowClient", name: str) -> None:
    """Create the registered model, if nobody has yet."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def aliased_number(client: "MlflowClient", name: str, alias: str) -> int | None:
    """Number of the version under an alias, None if nothing is registered or nothing has the alias."""
    from mlflow.exceptions import MlflowException

    try:
        number = client.get_registered_model(name).aliases.get(alias)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return None if number is None else int(number)


def set_tag(client: "MlflowClient", *, name: str, number: str, key: str, value: str) -> None:
    """Set one tag of a version."""
    client.set_model_version_tag(name, number, key, value)


def fetch_version(store: Store, name: str, number: int, model_id: str, folder: Path) -> Path:
    """The saved model of a version under `folder/<name>/<number>`, whole or not there; one that is there is used.

    Raises:
        RegistryError: If the version or its files are gone.
    """
    target = folder / name / str(number)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{number}-") as room:
        saved = store.do(f"download {name}/{number}", lambda c: _fetch(c, store.uri, model_id, room))
        try:
            saved.rename(target)
        except OSError:
            # Another process was faster; its copy is whole, for it was renamed into place as well.
            if not target.is_dir():
                raise
    return target


def _fetch(client: "MlflowClient", tracking_uri: str, model_id: str, room: str) -> Path:
    from mlflow.artifacts import download_artifacts

    location = client.get_logged_model(model_id).artifact_location
    uri = f"{location}/artifacts/{MODEL_ARTIFACT}"
    return Path(download_artifacts(artifact_uri=uri, dst_path=room, tracking_uri=tracking_uri))
