"""MLflow as the record of every training and the registry of exact model versions.

Belongs here: runs, models, versions, the champion alias. Does not belong here: what is worth recording and what
deserves the alias (the stages decide), and how a locked database is waited for (`mlflow_store.py`).

Nothing here uses MLflow's active run or global tracking URI: two runs may be open at once, and none can be left open.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import dagster as dg

from resources import mlflow_store
from resources.errors import RegistryError
from resources.mlflow_models import MODEL_ARTIFACT, Dataset, SavedModel, dataset_inputs, pack

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Metric
    from mlflow.models import ModelSignature

T = TypeVar("T")

CHAMPION: Final = "champion"
"""Alias of the version that is live, or should be."""
FAMILY_TAG: Final = "family"
MODEL_ID_TAG: Final = "model_id"
METRICS_PER_CALL: Final = 1000
"""MLflow's own limit for one batch."""


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


class MlflowModelRegistry(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """Tracking and registry in one MLflow store.

    Attributes:
        tracking_uri: `sqlite:///<file>`, another database, or an MLflow server.
        artifact_root: Folder or `s3://` prefix under which each experiment keeps its artifacts.
        ui_url: Address of the MLflow UI, for links.
        lock_patience_s: A locked database is tried again for this long.
    """

    tracking_uri: str
    artifact_root: str
    ui_url: str
    lock_patience_s: float = 120.0

    def initialise(self) -> None:
        """Create the store if there is none. Called by every other method; call it first to have it done early.

        Raises:
            RegistryError: If the store cannot be reached.
        """
        mlflow_store.initialise(self.tracking_uri, self.lock_patience_s)

    @contextmanager
    def run(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
        """A run that is FINISHED when the block ends, FAILED when it raises; yields the run id.

        Args:
            experiment: One per use case; created when it is not there.
            name: How the run is called in the UI.
            tags: Such as `dagster.run_id`, `code_version`, `mlflow.source.git.commit`, `seed`.

        Raises:
            RegistryError: If the run cannot be opened or closed.
        """
        run_id = self._open_run(experiment, name, tags)
        try:
            yield run_id
        except BaseException:  # a cancelled run has failed too
            self._close_run(run_id, "FAILED")
            raise
        self._close_run(run_id, "FINISHED")

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        curves: Mapping[str, Sequence[float]] | None = None,
        figures: Mapping[str, "Figure"] | None = None,
        documents: Mapping[str, Any] | None = None,
        datasets: Sequence[Dataset] = (),
        model_id: str | None = None,
    ) -> None:
        """Record facts of a run; saying the same again changes nothing.

        Args:
            run_id: The run.
            params: Kept as text.
            metrics: Plain numbers.
            curves: One value per step from 0.
            figures: Matplotlib figures by artifact path, such as `plots/roc.png`.
            documents: By artifact path: text as it is, anything else as JSON (`search/trials.json`).
            datasets: Lake tables that went in, with their versions.
            model_id: Tie the metrics to this logged model too, for MLflow's comparison of models.

        Raises:
            RegistryError: If a parameter has another value on record, or the store refuses.
        """
        from mlflow.entities import Metric, Param

        now = time.time_ns() // 1_000_000
        points = [Metric(k, float(v), now, 0, model_id=model_id) for k, v in (metrics or {}).items()]
        points += [Metric(k, float(v), now, step) for k, c in (curves or {}).items() for step, v in enumerate(c)]
        values = [Param(k, str(v)) for k, v in (params or {}).items()]
        if values:
            self._do(f"log parameters of run {run_id}", lambda c: c.log_batch(run_id, params=values))
        for start in range(0, len(points), METRICS_PER_CALL):
            chunk = points[start : start + METRICS_PER_CALL]
            self._do(f"log metrics of run {run_id}", partial(_log_metrics, run_id=run_id, metrics=chunk))
        for path, figure in (figures or {}).items():
            self._do(f"log {path}", partial(_log_figure, run_id=run_id, figure=figure, path=path))
        for path, document in (documents or {}).items():
            text = document if isinstance(document, str) else json.dumps(document, indent=2, default=str)
            self._do(f"log {path}", partial(_log_text, run_id=run_id, text=text, path=path))
        if datasets:
            self._do(f"log datasets of run {run_id}", lambda c: c.log_inputs(run_id, dataset_inputs(datasets)))

    def register(
        self,
        run_id: str,
        name: str,
        folder: Path,
        *,
        python_model: Path,
        example: "pd.DataFrame",
        family: str,
        requirements: Sequence[str],
        tags: Mapping[str, str],
        signature: "ModelSignature | None" = None,
    ) -> ModelVersion:
        """Keep a saved model and make it the next version of `name`. Nothing is pickled.

        Args:
            run_id: The run that made the model.
            name: Registered model; created when it is not there.
            folder: The saved model, as its family wrote it.
            python_model: File that ends with `mlflow.models.set_model(...)` and finds `folder` in
                `context.artifacts["model"]`.
            example: A few rows of features: numbers as float64, text as str or None.
            family: Which family made it, kept as a tag.
            requirements: What it needs, as `name==release`, or `name` for the release that is installed here.
            tags: Of the version, such as the training fingerprint; family and model id are added.
            signature: Columns and their types; None: taken from the example.

        Raises:
            RegistryError: If the folder is empty, a requirement is not installed, or the store refuses.
        """
        saved = SavedModel(
            folder=folder,
            python_model=python_model,
            example=example,
            signature=signature,
            requirements=requirements,
            family=family,
        )
        model = self._keep_model(run_id, name, saved)
        model_id, location = str(model.model_id), model.artifact_location
        self._do(f"create the registered model {name}", lambda c: _ensure_registered(c, name))
        # Not `models:/<model id>`: MLflow's SQL registry would look that up in the process's global store. Nor does it
        # keep the model id of a version, so a tag does.
        tags = {**tags, FAMILY_TAG: family, MODEL_ID_TAG: model_id}
        made = self._do(
            f"register {name}",
            lambda c: c.create_model_version(name, location, run_id, tags=tags, model_id=model_id),
        )
        return ModelVersion(name=name, number=int(made.version), run_id=run_id, model_id=model_id, family=family)

    def version(self, name: str, number: int) -> ModelVersion:
        """The version of that number.

        Raises:
            RegistryError: If there is none, naming it and the store.
        """
        found = self._do(f"find version {name}/{number}", lambda c: c.get_model_version(name, str(number)))
        if missing := {FAMILY_TAG, MODEL_ID_TAG} - found.tags.keys():
            raise RegistryError(
                f"Version {name}/{number} in {self.tracking_uri} lacks the tags {sorted(missing)}: it was not "
                "registered by this line and cannot be served by it"
            )
        return ModelVersion(
            name=name,
            number=number,
            run_id=str(found.run_id),
            model_id=found.tags[MODEL_ID_TAG],
            family=found.tags[FAMILY_TAG],
        )

    def champion(self, name: str) -> ModelVersion | None:
        """The version under the alias `champion`, None if no version was promoted yet."""
        number = self._do(f"find the champion of {name}", lambda c: _champion_number(c, name))
        return None if number is None else self.version(name, number)

    def promote(self, version: ModelVersion) -> None:
        """Move the alias `champion` to this version; repeating it changes nothing."""
        self._do(
            f"promote {version}",
            lambda c: c.set_registered_model_alias(version.name, CHAMPION, str(version.number)),
        )

    def tags(self, version: ModelVersion) -> dict[str, str]:
        """Tags of a version, such as its training fingerprint."""
        found = self._do(f"read tags of {version}", lambda c: c.get_model_version(version.name, str(version.number)))
        return dict(found.tags)

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        number = str(version.number)
        for key, value in tags.items():
            self._do(f"tag {version}", partial(_tag, name=version.name, number=number, key=key, value=value))

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """The saved model of exactly this version, under `folder/<name>/<number>`; whole, or not there.

        A version never changes, so one that is there already is used as it is.

        Raises:
            RegistryError: If the version or its files are gone.
        """
        target = folder / version.name / str(version.number)
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{version.number}-") as room:
            saved = self._do(f"download {version}", lambda c: _fetch(c, self.tracking_uri, version, room))
            try:
                saved.rename(target)
            except OSError:
                # Another process was faster; its copy is whole, for it was renamed into place as well.
                if not target.is_dir():
                    raise
        return target

    def run_url(self, run_id: str) -> str:
        """Address of a run in the MLflow UI."""
        run = self._do(f"find run {run_id}", lambda c: c.get_run(run_id))
        return f"{self.ui_url}/#/experiments/{run.info.experiment_id}/runs/{run_id}"

    def version_url(self, version: ModelVersion) -> str:
        """Address of a model version in the MLflow UI."""
        return f"{self.ui_url}/#/models/{version.name}/versions/{version.number}"

    def _do(self, what: str, action: "Callable[[MlflowClient], T]") -> T:
        self.initialise()
        return mlflow_store.call(
            what,
            self.tracking_uri,
            lambda: action(mlflow_store.client(self.tracking_uri)),
            patience_s=self.lock_patience_s,
        )

    def _open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        location = f"{_as_uri(self.artifact_root)}/{experiment}"
        experiment_id = self._do(
            f"open the experiment {experiment}", lambda c: _ensure_experiment(c, experiment, location)
        )
        run = self._do(f"open run {name}", lambda c: c.create_run(experiment_id, tags=dict(tags), run_name=name))
        return str(run.info.run_id)

    def _close_run(self, run_id: str, status: str) -> None:
        self._do(f"close run {run_id}", lambda c: c.set_terminated(run_id, status))

    def _keep_model(self, run_id: str, name: str, saved: SavedModel) -> "LoggedModel":
        """Upload the model with everything MLflow needs to load it; READY, or FAILED with an error."""
        from mlflow.entities import LoggedModelOutput

        run = self._do(f"find run {run_id}", lambda c: c.get_run(run_id))
        experiment_id, params = run.info.experiment_id, dict(run.data.params)
        model = self._do(
            f"create a model of run {run_id}",
            lambda c: c.create_logged_model(experiment_id, name, run_id, params=params, model_type=saved.family),
        )
        model_id, output = str(model.model_id), LoggedModelOutput(model.model_id, 0)
        try:
            with tempfile.TemporaryDirectory() as room:
                packed = str(pack(saved, Path(room), run_id=run_id, model_id=model_id))
                self._do(f"upload the model of run {run_id}", lambda c: c.log_model_artifacts(model_id, packed))
            self._do(f"link run {run_id} to its model", lambda c: c.log_outputs(run_id, [output]))
        except BaseException:
            self._do(f"mark the model of run {run_id} as failed", lambda c: c.finalize_logged_model(model_id, "FAILED"))
            raise
        return self._do(f"finish the model of run {run_id}", lambda c: c.finalize_logged_model(model_id, "READY"))


def _log_metrics(client: "MlflowClient", *, run_id: str, metrics: Sequence["Metric"]) -> None:
    client.log_batch(run_id, metrics=metrics)


def _log_figure(client: "MlflowClient", *, run_id: str, figure: "Figure", path: str) -> None:
    client.log_figure(run_id, figure, path)


def _log_text(client: "MlflowClient", *, run_id: str, text: str, path: str) -> None:
    client.log_text(run_id, text, path)


def _tag(client: "MlflowClient", *, name: str, number: str, key: str, value: str) -> None:
    client.set_model_version_tag(name, number, key, value)


def _fetch(client: "MlflowClient", tracking_uri: str, version: ModelVersion, room: str) -> Path:
    from mlflow.artifacts import download_artifacts

    location = client.get_logged_model(version.model_id).artifact_location
    uri = f"{location}/artifacts/{MODEL_ARTIFACT}"
    return Path(download_artifacts(artifact_uri=uri, dst_path=room, tracking_uri=tracking_uri))


def _ensure_experiment(client: "MlflowClient", name: str, location: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        # Another process created it since we looked.
        found = client.get_experiment_by_name(name) if error.error_code == "RESOURCE_ALREADY_EXISTS" else None
        if found is None:
            raise
        return str(found.experiment_id)


def _ensure_registered(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _champion_number(client: "MlflowClient", name: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        number = client.get_registered_model(name).aliases.get(CHAMPION)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # nothing was ever registered under this name
            return None
        raise
    return None if number is None else int(number)


def _as_uri(root: str) -> str:
    return root.rstrip("/") if "://" in root else Path(root).resolve().as_uri()
