"""MLflow as the record of every training and the registry of exact model versions.

Belongs here: runs, models, versions, the champion alias. Does not belong here: what is worth recording and what
deserves the alias (the stages decide), and MLflow's ways of doing it (`mlflow_*.py`).

Nothing here uses MLflow's active run or global tracking URI: two runs may be open at once, and none can be left open.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import dagster as dg

from resources.errors import RegistryError
from resources.mlflow_documents import document_of, file_of
from resources.mlflow_models import Dataset, SavedModel, keep_model
from resources.mlflow_runs import close_open_runs, log_artifacts, log_datasets, log_metrics, log_params, open_run
from resources.mlflow_store import Store, initialise
from resources.mlflow_versions import ModelVersion, aliased_number, ensure_registered, fetch_version, set_tag

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow.models import ModelSignature

MACHINE_LEARNING: Final = "workflowType=machine_learning"
"""Without it the pinned MLflow opens its pages for language models."""
CHAMPION: Final = "champion"
"""Alias of the version that is live, or should be."""
FAMILY_TAG: Final = "family"
MODEL_ID_TAG: Final = "model_id"


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
        initialise(self.tracking_uri, self.lock_patience_s)

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
        run_id = open_run(self._store, experiment, name, tags, self.artifact_root)
        try:
            yield run_id
        except BaseException:  # a cancelled run has failed too
            self._close_run(run_id, "FAILED")
            raise
        self._close_run(run_id, "FINISHED")

    def abandon(self, experiment: str, tag: str, value: str) -> None:
        """Close the open runs of an experiment that carry this tag, as KILLED: their process is gone."""
        close_open_runs(self._store, experiment, tag, value)

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
            documents: By artifact path: text and bytes as they are, anything else as JSON (`search/trials.json`).
            datasets: Lake tables that went in, with their versions.
            model_id: Tie the metrics to this logged model too, for MLflow's comparison of models.

        Raises:
            RegistryError: If a parameter has another value on record, or the store refuses.
        """
        log_params(self._store, run_id, params or {})
        log_metrics(self._store, run_id, metrics or {}, curves or {}, model_id)
        log_artifacts(self._store, run_id, figures or {}, documents or {})
        log_datasets(self._store, run_id, datasets)

    def document(self, run_id: str, path: str) -> str | None:
        """The text of a document that was logged with a run (`training_set.json`); None if it has none of that path."""
        return document_of(self._store, run_id, path)

    def file(self, run_id: str, path: str) -> bytes | None:
        """The bytes of a file that was logged with a run; None if it has none of that path."""
        return file_of(self._store, run_id, path)

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
        model = keep_model(self._store, run_id, name, saved)
        model_id, location = str(model.model_id), model.artifact_location
        self._store.do(f"create the registered model {name}", lambda c: ensure_registered(c, name))
        # Not `models:/<model id>`: MLflow's SQL registry would look that up in the process's global store. Nor does it
        # keep the model id of a version, so a tag does.
        tags = {**tags, FAMILY_TAG: family, MODEL_ID_TAG: model_id}
        made = self._store.do(
            f"register {name}",
            lambda c: c.create_model_version(name, location, run_id, tags=tags, model_id=model_id),
        )
        return ModelVersion(name=name, number=int(made.version), run_id=run_id, model_id=model_id, family=family)

    def version(self, name: str, number: int) -> ModelVersion:
        """The version of that number.

        Raises:
            RegistryError: If there is none, naming it and the store.
        """
        found = self._store.do(f"find version {name}/{number}", lambda c: c.get_model_version(name, str(number)))
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
        number = self._store.do(f"find the champion of {name}", lambda c: aliased_number(c, name, CHAMPION))
        return None if number is None else self.version(name, number)

    def promote(self, version: ModelVersion) -> None:
        """Move the alias `champion` to this version; repeating it changes nothing."""
        number = str(version.number)
        self._store.do(f"promote {version}", lambda c: c.set_registered_model_alias(version.name, CHAMPION, number))

    def tags(self, version: ModelVersion) -> dict[str, str]:
        """Tags of a version, such as its training fingerprint."""
        number = str(version.number)
        found = self._store.do(f"read tags of {version}", lambda c: c.get_model_version(version.name, number))
        return dict(found.tags)

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        number = str(version.number)
        for key, value in tags.items():
            self._store.do(f"tag {version}", partial(set_tag, name=version.name, number=number, key=key, value=value))

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """The saved model of exactly this version, under `folder/<name>/<number>`; whole, or not there.

        A version never changes, so one that is there already is used as it is.

        Raises:
            RegistryError: If the version or its files are gone.
        """
        return fetch_version(self._store, version.name, version.number, version.model_id, folder)

    def run_url(self, run_id: str) -> str:
        """Address of a run in the MLflow UI."""
        run = self._store.do(f"find run {run_id}", lambda c: c.get_run(run_id))
        return f"{self.ui_url}/#/experiments/{run.info.experiment_id}/runs/{run_id}?{MACHINE_LEARNING}"

    def document_url(self, run_id: str, path: str) -> str:
        """Address of a document of a run, such as `evaluation.html`, shown in the MLflow UI."""
        page, _, query = self.run_url(run_id).partition("?")
        return f"{page}/artifacts/{path}?{query}"

    def file_url(self, run_id: str, path: str) -> str:
        """Address of a file of a run as it is, such as a plot; the MLflow server answers it."""
        return f"{self.ui_url}/get-artifact?{urlencode({'path': path, 'run_uuid': run_id})}"

    def version_url(self, version: ModelVersion) -> str:
        """Address of a model version in the MLflow UI."""
        return f"{self.ui_url}/#/models/{version.name}/versions/{version.number}?{MACHINE_LEARNING}"

    @property
    def _store(self) -> Store:
        return Store(self.tracking_uri, self.lock_patience_s)

    def _close_run(self, run_id: str, status: str) -> None:
        self._store.do(f"close run {run_id}", lambda c: c.set_terminated(run_id, status))
