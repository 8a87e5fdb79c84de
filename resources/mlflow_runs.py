"""How a run is opened and how facts get into it, in MLflow's own terms.

Belongs here: experiments, runs, parameters, metrics, artifacts, datasets. Does not belong here: models and versions
(`mlflow_models.py`, `registry.py`).
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from resources.mlflow_models import Dataset, dataset_inputs
from resources.mlflow_store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Metric

METRICS_PER_CALL: Final = 1000
"""MLflow's own limit for one batch."""


def open_run(store: Store, experiment: str, name: str, tags: Mapping[str, str], artifact_root: str) -> str:
    """Open a run, creating its experiment if needed; returns the run id."""
    location = f"{_as_uri(artifact_root)}/{experiment}"
    experiment_id = store.do(
        f"open the experiment {experiment}", partial(_ensure_experiment, name=experiment, location=location)
    )
    run = store.do(f"open run {name}", lambda c: c.create_run(experiment_id, tags=dict(tags), run_name=name))
    return str(run.info.run_id)


def close_open_runs(store: Store, experiment: str, tag: str, value: str) -> None:
    """Close runs that nobody else will close, as KILLED; none if there is no such experiment."""

    def close(client: "MlflowClient") -> None:
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return
        chosen = f"attributes.status = 'RUNNING' AND tags.`{tag}` = '{value}'"
        for run in client.search_runs([found.experiment_id], chosen):
            client.set_terminated(run.info.run_id, "KILLED")

    store.do(f"close open runs of {experiment}", close)


def log_params(store: Store, run_id: str, params: Mapping[str, object]) -> None:
    """Keep parameters as text, all in one write; the same again changes nothing, another value is refused."""
    from mlflow.entities import Param

    values = [Param(k, str(v)) for k, v in params.items()]
    if values:
        store.do(f"log parameters of run {run_id}", lambda c: c.log_batch(run_id, params=values))


def log_metrics(
    store: Store,
    run_id: str,
    metrics: Mapping[str, float],
    curves: Mapping[str, Sequence[float]],
    model_id: str | None,
) -> None:
    """Keep numbers, and curves with one value per step from 0; numbers also with the logged model, if one is named."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    points = [Metric(k, float(v), now, 0, model_id=model_id) for k, v in metrics.items()]
    points += [Metric(k, float(v), now, step) for k, curve in curves.items() for step, v in enumerate(curve)]
    for start in range(0, len(points), METRICS_PER_CALL):
        chunk = points[start : start + METRICS_PER_CALL]
        store.do(f"log metrics of run {run_id}", partial(_log_batch, run_id=run_id, metrics=chunk))


def log_artifacts(store: Store, run_id: str, figures: Mapping[str, "Figure"], documents: Mapping[str, Any]) -> None:
    """Keep pictures and documents under their paths; a document that is neither text nor bytes becomes JSON."""
    for path, figure in figures.items():
        store.do(f"log {path}", partial(_log_figure, run_id=run_id, figure=figure, path=path))
    for path, document in documents.items():
        if isinstance(document, bytes):
            store.do(f"log {path}", partial(_log_bytes, run_id=run_id, data=document, path=path))
            continue
        text = document if isinstance(document, str) else json.dumps(document, indent=2, default=str)
        store.do(f"log {path}", partial(_log_text, run_id=run_id, text=text, path=path))


def log_datasets(store: Store, run_id: str, datasets: Sequence[Dataset]) -> None:
    """Keep the exact versions of the lake tables that went in."""
    if datasets:
        store.do(f"log datasets of run {run_id}", lambda c: c.log_inputs(run_id, dataset_inputs(datasets)))


def _log_batch(client: "MlflowClient", *, run_id: str, metrics: Sequence["Metric"]) -> None:
    client.log_batch(run_id, metrics=metrics)


def _log_figure(client: "MlflowClient", *, run_id: str, figure: "Figure", path: str) -> None:
    client.log_figure(run_id, figure, path)


def _log_text(client: "MlflowClient", *, run_id: str, text: str, path: str) -> None:
    client.log_text(run_id, text, path)


def _log_bytes(client: "MlflowClient", *, run_id: str, data: bytes, path: str) -> None:
    folder, _, name = path.rpartition("/")
    with tempfile.TemporaryDirectory() as room:
        file = Path(room, name)
        file.write_bytes(data)
        client.log_artifact(run_id, str(file), folder or None)


def _ensure_experiment(client: "MlflowClient", *, name: str, location: str) -> str:
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


def _as_uri(root: str) -> str:
    return root.rstrip("/") if "://" in root else Path(root).resolve().as_uri()
