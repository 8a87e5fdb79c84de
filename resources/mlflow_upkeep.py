"""Upkeep of MLflow: what registered models were made from, and taking away old runs with all that belongs to them.

Belongs here: finding and removing in MLflow's own terms. Does not belong here: how long something is kept, and whose
model was champion (`pipelines/maintenance.py`).
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from resources.errors import RegistryError
from resources.mlflow_store import Store
from resources.registry import MODEL_ID_TAG, MlflowModelRegistry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion as Registered

T = TypeVar("T")

PAGE: Final = 1000
MADE_BY: Final = "dagster.run_id"
"""Tag of an MLflow run with the Dagster run that opened it."""


@dataclass(frozen=True, kw_only=True)
class OldRun:
    """A run, the model versions that were registered from it, and the ids of the models it holds."""

    run_id: str
    name: str
    versions: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of an experiment: those that may go, and how many stay."""

    old: tuple[OldRun, ...]
    kept: int


def needed_versions(registry: MlflowModelRegistry, name: str) -> dict[str, set[int]]:
    """Of each lake table, the versions that registered models of this name were made from.

    Raises:
        RegistryError: If a model that this line registered does not say what it was made from, or the store refuses.
    """

    def find(client: "MlflowClient") -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for version in _registered(client, name):
            if MODEL_ID_TAG not in version.tags:
                continue  # registered by others, and never served by this line
            inputs = client.get_run(str(version.run_id)).inputs
            datasets = inputs.dataset_inputs if inputs else []
            read = [(d.dataset.name, {t.key: t.value for t in d.tags}.get("delta_version")) for d in datasets]
            if not read or any(number is None for _, number in read):
                raise RegistryError(
                    f"version {name}/{version.version} does not say which table versions it was made from, so none can "
                    "be given up; delete that version if nobody needs it"
                )
            for table, number in read:
                found.setdefault(table, set()).add(int(str(number)))
        return found

    return _store(registry).do(f"find the table versions of {name}", find)


def runs_before(
    registry: MlflowModelRegistry,
    experiment: str,
    before: datetime,
    *,
    champions: Collection[str],
    dagster_runs: Collection[str],
) -> Runs:
    """The runs that ended before an instant, but none of a champion's.

    Kept are runs whose model has an alias or is named in `champions`, runs without a model that Dagster runs in
    `dagster_runs` opened, and those that have not ended. Runs somebody put into MLflow's bin count like others.

    Args:
        registry: The store.
        experiment: Its name, which is that of the registered model.
        before: An instant (UTC).
        champions: Versions such as `churn/3`.
        dagster_runs: Such as those that promoted a champion: the evaluations in them are kept, the losers are not.

    Raises:
        RegistryError: If the store refuses.
    """

    def find(client: "MlflowClient") -> Runs:
        versions: dict[str, list[str]] = {}
        for version in _registered(client, experiment):
            versions.setdefault(str(version.run_id), []).append(f"{experiment}/{version.version}")
        aliased = _if_there(lambda: client.get_registered_model(experiment).aliases) or {}  # a search leaves them out
        stay = {*champions, *(f"{experiment}/{number}" for number in aliased.values())}
        kept, old = 0, []
        for run in _runs(client, experiment):
            names = tuple(versions.get(run.info.run_id, []))
            stays = stay & {*names} if names else run.data.tags.get(MADE_BY) in dagster_runs
            if stays or run.info.end_time is None or run.info.end_time >= before.timestamp() * 1000:
                kept += 1
                continue
            models = tuple(str(made.model_id) for made in (run.outputs.model_outputs if run.outputs else []))
            old.append(OldRun(run_id=run.info.run_id, name=str(run.info.run_name), versions=names, models=models))
        return Runs(old=tuple(old), kept=kept)

    return _store(registry).do(f"find old runs of {experiment}", find)


def artifact_bytes(registry: MlflowModelRegistry, run: OldRun) -> int:
    """Bytes of all files of a run and of its models."""

    def measure(client: "MlflowClient") -> int:
        uris = [str(client.get_run(run.run_id).info.artifact_uri), *_models(client, run).values()]
        return sum(_size(_artifacts(registry, uri)) for uri in uris)

    return _store(registry).do(f"measure run {run.run_id}", measure)


def remove_run(registry: MlflowModelRegistry, run: OldRun) -> None:
    """Take a run away for ever: its model versions, its models, its files, itself. Cut off, a repeat completes it.

    A server in front of the store can only be asked to put the run into the bin; its files go all the same.

    Raises:
        RegistryError: If the store refuses.
    """

    def remove(client: "MlflowClient") -> None:
        # MLflow's one public way is its command line: it does just this, and sets a store for the whole process.
        backend: Any = client._tracking_client.store
        is_final = hasattr(backend, "_hard_delete_run")
        # The versions first: none may be on offer whose files are gone. The run last: its record names all the rest.
        for version in run.versions:
            name, _, number = version.rpartition("/")
            _if_there(partial(client.delete_model_version, name, number))
        for model, location in _models(client, run).items():
            _artifacts(registry, location).delete_artifacts()
            (backend._hard_delete_logged_model if is_final else client.delete_logged_model)(model)
        _artifacts(registry, str(client.get_run(run.run_id).info.artifact_uri)).delete_artifacts()
        (backend._hard_delete_run if is_final else client.delete_run)(run.run_id)

    _store(registry).do(f"remove run {run.run_id}", remove)


def _store(registry: MlflowModelRegistry) -> Store:
    return Store(registry.tracking_uri, registry.lock_patience_s)


def _registered(client: "MlflowClient", name: str) -> "Iterator[Registered]":
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _runs(client: "MlflowClient", experiment: str) -> "Iterator[Run]":
    """All runs of an experiment, those in the bin too; none if there is no such experiment."""
    from mlflow.entities import ViewType

    found, token = client.get_experiment_by_name(experiment), None
    while found is not None:
        page = client.search_runs([found.experiment_id], "", ViewType.ALL, PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _models(client: "MlflowClient", run: OldRun) -> dict[str, str]:
    """Where the files of each model of a run are, by its id; those that are gone are left out."""
    found = {model: _if_there(partial(client.get_logged_model, model)) for model in run.models}
    return {model: str(logged.artifact_location) for model, logged in found.items() if logged is not None}


def _if_there(action: Callable[[], T]) -> T | None:
    """What `action` gives; None if MLflow says that the thing is gone."""
    from mlflow.exceptions import MlflowException

    try:
        return action()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    return None


def _artifacts(registry: MlflowModelRegistry, uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=registry.tracking_uri)


def _size(repository: Any, folder: str | None = None) -> int:
    entries = repository.list_artifacts(folder)
    return sum(_size(repository, e.path) if e.is_dir else int(e.file_size or 0) for e in entries)
