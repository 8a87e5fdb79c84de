import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.models import Model

from resources import mlflow_store
from resources.errors import RegistryError
from resources.mlflow_models import Dataset
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry

MODEL_CODE = Path(__file__).parents[1] / "support" / "constant_mlflow_model.py"
EXAMPLE = pd.DataFrame({"hour": [6.0, np.nan], "carrier": ["AA", None]})


def registry_in(folder: Path, patience_s: float = 60.0) -> MlflowModelRegistry:
    return MlflowModelRegistry(
        tracking_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
        artifact_root=str(folder / "mlflow" / "artifacts"),
        ui_url="http://127.0.0.1:5000",
        lock_patience_s=patience_s,
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> MlflowModelRegistry:
    """One store for the tests that do not mind neighbours; each uses names of its own."""
    return registry_in(tmp_path_factory.mktemp("registry"))


def client_of(registry: MlflowModelRegistry) -> MlflowClient:
    return mlflow_store.client(registry.tracking_uri)


def saved_model(folder: Path, answer: float = 0.25) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"family": "constant", "answer": answer}))
    return folder


def register(
    registry: MlflowModelRegistry, name: str, folder: Path, answer: float = 0.25, tags: dict[str, str] | None = None
) -> ModelVersion:
    with registry.run(name, "constant", {}) as run_id:
        return registry.register(
            run_id,
            name,
            saved_model(folder, answer),
            python_model=MODEL_CODE,
            example=EXAMPLE,
            family="constant",
            requirements=["mlflow"],
            tags=tags or {},
        )


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


def test_a_run_that_ends_well_is_finished_and_keeps_its_tags(registry: MlflowModelRegistry) -> None:
    with registry.run("ends_well", "one", {"dagster.run_id": "abc", "seed": "7"}) as run_id:
        pass
    run = client_of(registry).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert (run.data.tags["dagster.run_id"], run.data.tags["seed"]) == ("abc", "7")


def test_an_exception_inside_a_run_marks_it_failed_and_goes_on(registry: MlflowModelRegistry) -> None:
    with pytest.raises(ZeroDivisionError), registry.run("breaks", "one", {}) as run_id:
        _ = 1 / 0
    assert client_of(registry).get_run(run_id).info.status == "FAILED"


def test_no_run_becomes_active_in_the_process(registry: MlflowModelRegistry) -> None:
    before = mlflow.get_tracking_uri()
    with registry.run("inactive", "one", {}):
        assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before


def test_two_runs_may_be_open_at_once(registry: MlflowModelRegistry) -> None:
    with registry.run("nested", "outer", {}) as outer, registry.run("nested", "inner", {}) as inner:
        registry.log(outer, params={"depth": 1})
        registry.log(inner, params={"depth": 2})
    depths = [client_of(registry).get_run(run_id).data.params["depth"] for run_id in (outer, inner)]
    assert depths == ["1", "2"]


def test_each_use_case_has_its_experiment_under_the_artifact_root(registry: MlflowModelRegistry) -> None:
    with registry.run("located", "one", {}) as run_id:
        uri = client_of(registry).get_run(run_id).info.artifact_uri
    assert uri is not None
    assert uri.startswith(Path(registry.artifact_root).as_uri() + "/located/")


def test_parameters_metrics_and_curves_are_on_record(registry: MlflowModelRegistry) -> None:
    with registry.run("facts", "one", {}) as run_id:
        registry.log(run_id, params={"depth": 6, "rate": 0.1}, metrics={"auc": 0.75}, curves={"loss": [3.0, 2.0, 1.0]})
    client = client_of(registry)
    run = client.get_run(run_id)
    assert run.data.params == {"depth": "6", "rate": "0.1"}
    assert run.data.metrics["auc"] == 0.75
    assert [(m.step, m.value) for m in client.get_metric_history(run_id, "loss")] == [(0, 3.0), (1, 2.0), (2, 1.0)]


def test_a_curve_longer_than_one_batch_is_kept_whole(registry: MlflowModelRegistry) -> None:
    with registry.run("long", "one", {}) as run_id:
        registry.log(run_id, curves={"loss": list(range(2300))})
    assert len(client_of(registry).get_metric_history(run_id, "loss")) == 2300


def test_the_same_parameters_again_change_nothing_and_others_are_refused(registry: MlflowModelRegistry) -> None:
    with registry.run("again", "one", {}) as run_id:
        registry.log(run_id, params={"depth": 6})
        registry.log(run_id, params={"depth": 6})
        with pytest.raises(RegistryError, match="log parameters of run"):
            registry.log(run_id, params={"depth": 7})


def test_figures_and_documents_are_artifacts_of_the_run(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    with registry.run("artifacts", "one", {}) as run_id:
        registry.log(run_id, figures={"plots/roc.png": Figure()}, documents={"search/trials.json": [{"depth": 6}]})
    client = client_of(registry)
    kept = client.download_artifacts(run_id, "search/trials.json", str(tmp_path))
    assert json.loads(Path(kept).read_text()) == [{"depth": 6}]
    assert [a.path for a in client.list_artifacts(run_id, "plots")] == ["plots/roc.png"]


def test_a_document_of_a_run_is_read_back(registry: MlflowModelRegistry) -> None:
    with registry.run("documents", "one", {}) as run_id:
        registry.log(run_id, documents={"monitoring/scores.json": {"loss": 0.5}, "top.txt": "text"})
    assert json.loads(str(registry.document(run_id, "monitoring/scores.json"))) == {"loss": 0.5}
    assert registry.document(run_id, "top.txt") == "text"


def test_a_document_that_a_run_does_not_have_is_none(registry: MlflowModelRegistry) -> None:
    with registry.run("documents", "none", {}) as run_id:
        pass
    assert registry.document(run_id, "monitoring/scores.json") is None


def test_datasets_are_inputs_with_their_exact_delta_version(registry: MlflowModelRegistry) -> None:
    dataset = Dataset(name="line/features", uri="s3://lake/line/features", version=12, context="training", rows=34)
    with registry.run("inputs", "one", {}) as run_id:
        registry.log(run_id, datasets=[dataset])
    recorded = client_of(registry).get_run(run_id).inputs.dataset_inputs[0]
    assert json.loads(recorded.dataset.source) == {"path": "s3://lake/line/features", "delta_table_version": 12}
    assert recorded.dataset.digest == "delta-v12"
    assert {t.key: t.value for t in recorded.tags} == {"mlflow.data.context": "training", "delta_version": "12"}


def test_versions_are_numbered_and_come_back_exactly(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    first = register(registry, "numbered", tmp_path / "a", tags={"training_fingerprint": "f1"})
    second = register(registry, "numbered", tmp_path / "b")
    assert (first.number, second.number) == (1, 2)
    assert registry.version("numbered", 1) == first
    assert registry.tags(first)["training_fingerprint"] == "f1"


def test_a_registered_model_answers_through_mlflow_without_pickle(
    registry: MlflowModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register(registry, "answers", tmp_path / "a", answer=0.125)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    location = client_of(registry).get_logged_model(version.model_id).artifact_location
    model = mlflow.pyfunc.load_model(location)
    assert model.predict(EXAMPLE).tolist() == [0.125, 0.125]
    assert not list(Path(location.removeprefix("file://")).rglob("*.pkl"))


def test_the_signature_allows_missing_values_and_requirements_are_pinned(
    registry: MlflowModelRegistry, tmp_path: Path
) -> None:
    version = register(registry, "signed", tmp_path / "a")
    location = Path(client_of(registry).get_logged_model(version.model_id).artifact_location.removeprefix("file://"))
    info = Model.load(str(location))
    assert info.signature is not None
    assert [(c.name, str(c.type), c.required) for c in info.signature.inputs] == [
        ("hour", "DataType.double", False),
        ("carrier", "DataType.string", False),
    ]
    assert (location / "requirements.txt").read_text() == f"mlflow=={mlflow.__version__}"
    assert info.model_id == version.model_id


def test_an_empty_model_folder_is_refused_and_leaves_no_version(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RegistryError, match="no saved model"), registry.run("empty", "one", {}) as run_id:
        registry.register(
            run_id, "empty", empty, python_model=MODEL_CODE, example=EXAMPLE, family="x", requirements=[], tags={}
        )
    client = client_of(registry)
    assert client.search_model_versions("name='empty'") == []
    assert client.get_run(run_id).info.status == "FAILED"


def test_a_requirement_that_is_not_installed_is_named(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "a")
    with pytest.raises(RegistryError, match="no-such-library"), registry.run("needs", "one", {}) as run_id:
        registry.register(
            run_id,
            "needs",
            folder,
            python_model=MODEL_CODE,
            example=EXAMPLE,
            family="x",
            requirements=["no-such-library"],
            tags={},
        )


def test_nothing_is_champion_before_a_promotion(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    assert registry.champion("never_heard_of") is None
    register(registry, "unpromoted", tmp_path / "a")
    assert registry.champion("unpromoted") is None


def test_the_champion_is_the_version_promoted_last(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    first, second = (register(registry, "promoted", tmp_path / n) for n in "ab")
    registry.promote(second)
    assert registry.champion("promoted") == second
    registry.promote(first)
    registry.promote(first)
    assert registry.champion("promoted") == first


def test_a_version_that_does_not_exist_is_named_with_the_store(registry: MlflowModelRegistry) -> None:
    with pytest.raises(RegistryError, match=r"numbered_not/7.*mlflow\.db"):
        registry.version("numbered_not", 7)


def test_tags_of_a_version_can_be_added(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    version = register(registry, "tagged", tmp_path / "a")
    registry.tag(version, {"validated": "yes"})
    assert registry.tags(version)["validated"] == "yes"


def test_a_download_is_the_saved_model_of_exactly_that_version(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    first, second = (register(registry, "fetched", tmp_path / str(n), answer=n) for n in (1, 2))
    folders = [registry.download(version, tmp_path / "served") for version in (first, second)]
    assert [json.loads((f / "model.json").read_text())["answer"] for f in folders] == [1, 2]


def test_a_download_that_fails_leaves_nothing_behind(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    gone = ModelVersion(
        name="fetched_not", number=1, run_id="r", model_id="m-0123456789abcdef0123456789abcdef", family="x"
    )
    with pytest.raises(RegistryError, match="download fetched_not/1"):
        registry.download(gone, tmp_path / "served")
    assert [p for p in (tmp_path / "served").rglob("*") if p.is_file()] == []
    assert not (tmp_path / "served" / "fetched_not" / "1").exists()


def test_a_version_that_is_there_is_not_fetched_again(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    version = register(registry, "cached", tmp_path / "a")
    folder = registry.download(version, tmp_path / "served")
    (folder / "mark").touch()
    assert (registry.download(version, tmp_path / "served") / "mark").exists()


def test_addresses_lead_to_the_mlflow_ui(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    version = register(registry, "addressed", tmp_path / "a")
    experiment = client_of(registry).get_run(version.run_id).info.experiment_id
    page = f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{version.run_id}"
    assert registry.run_url(version.run_id) == f"{page}?workflowType=machine_learning"
    version_page = "http://127.0.0.1:5000/#/models/addressed/versions/1"
    assert registry.version_url(version) == f"{version_page}?workflowType=machine_learning"
    document = registry.document_url(version.run_id, "evaluation.html")
    assert document == f"{page}/artifacts/evaluation.html?workflowType=machine_learning"


def test_processes_that_start_together_on_a_fresh_store_all_succeed(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    code = f"""
from resources.registry import MlflowModelRegistry

r = MlflowModelRegistry(
    tracking_uri={registry.tracking_uri!r}, artifact_root={registry.artifact_root!r}, ui_url="http://127.0.0.1:5000"
)
with r.run("together", "one", {{}}) as run_id:
    r.log(run_id, metrics={{f"m{{i}}": float(i) for i in range(50)}})
"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate()[1] for process in processes]
    assert [p.returncode for p in processes] == [0, 0, 0], errors
    client = client_of(registry)
    experiment = client.get_experiment_by_name("together")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert [(r.info.status, len(r.data.metrics)) for r in runs] == [("FINISHED", 50)] * 3


def test_a_locked_database_is_tried_again_until_it_is_free(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    tries = []

    def write() -> str:
        tries.append(1)
        if len(tries) == 2:
            holder.rollback()
        with closing(sqlite3.connect(database, timeout=0)) as connection:
            connection.execute("CREATE TABLE t (x)")
        return "written"

    with locked(database) as holder:
        assert mlflow_store.call("write", "a.db", write, patience_s=60) == "written"
    assert len(tries) == 2


def test_a_run_waits_for_a_locked_store(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    registry.initialise()
    with locked(tmp_path / "mlflow" / "mlflow.db") as holder:
        release = threading.Timer(1.0, holder.rollback)
        release.start()
        with registry.run("waits", "one", {}) as run_id:
            pass
        release.join()
    assert client_of(registry).get_run(run_id).info.status == "FINISHED"


def test_a_store_that_stays_locked_is_reported_in_one_clear_sentence(tmp_path: Path) -> None:
    registry = registry_in(tmp_path, patience_s=0.1)
    registry.initialise()
    with (
        locked(tmp_path / "mlflow" / "mlflow.db"),
        pytest.raises(RegistryError, match=r"Cannot .*mlflow\.db stayed locked .* run this step again"),
        registry.run("locked", "one", {}),
    ):
        pass


def test_reading_goes_on_while_somebody_writes(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    with registry.run("readable", "one", {}) as run_id:
        pass
    with locked(tmp_path / "mlflow" / "mlflow.db"):
        assert run_id in registry.run_url(run_id)


def test_other_errors_are_not_tried_again() -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise OSError("no space left on device")

    with pytest.raises(RegistryError, match="Cannot write in there: no space left on device"):
        mlflow_store.call("write", "there", fail, patience_s=60)
    assert len(tries) == 1
