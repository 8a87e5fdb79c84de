"""A candidate is one exact model version, and MLflow knows all that made it."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest
from mlflow.entities import Run

from assets.policies import TrainerSpec
from assets.stages.candidates import FINGERPRINT_TAG, TRAINED_THROUGH_TAG, family_code_version, fingerprint_of
from assets.stages.training_set import labelled_rows, make_manifest
from assets.trainers.base import Model
from assets.trainers.families import load_model
from resources.lake import Commit
from resources.mlflow_versions import ModelVersion
from tests.support.few_days import FEW_DAYS, LAST, Home, Trained, failures

SPEC = FEW_DAYS.trainers[0]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def version_of(home: Home, number: int = 1) -> ModelVersion:
    return home.registry.version("flight_delays", number)


def model_of(home: Home, room: Path, number: int = 1) -> Model:
    return load_model(home.registry.download(version_of(home, number), room))


@pytest.fixture(scope="module")
def client_and_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[mlflow.MlflowClient, Run]:
    from tests.support import few_days

    home = few_days.trained(tmp_path_factory.getbasetemp()).home
    client = mlflow.MlflowClient(home.registry.tracking_uri)
    return client, client.get_run(version_of(home).run_id)


def test_the_run_tells_who_made_it_from_what(client_and_run: tuple[mlflow.MlflowClient, Run], trained: Trained) -> None:
    run = client_and_run[1]
    manifest = make_manifest(trained.home.use_case, trained.home.lake, NOW)
    assert run.info.status == "FINISHED"
    told = {
        "dagster.run_id": trained.result.run_id,
        "dagster.asset": "flight_delays/logistic_regression",
        "code_version": family_code_version(SPEC),
        "seed": str(FEW_DAYS.seed),
        "training_set": manifest.id,
    }
    assert run.data.tags.items() >= told.items()
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|not a git checkout", run.data.tags["mlflow.source.git.commit"])


def test_the_run_holds_parameters_and_metrics(client_and_run: tuple[mlflow.MlflowClient, Run]) -> None:
    run = client_and_run[1]
    assert run.data.params.items() >= {"family": "logistic_regression", "use_case": "flight_delays"}.items()
    assert {"C", "max_iter", "seed"} <= run.data.params.keys()
    assert {"validation_roc_auc", "validation_log_loss", "fit_seconds"} <= run.data.metrics.keys()
    assert 0.5 < run.data.metrics["validation_roc_auc"] < 0.8


def test_the_run_names_every_table_it_read_at_its_version(
    client_and_run: tuple[mlflow.MlflowClient, Run], trained: Trained
) -> None:
    home = trained.home
    manifest = make_manifest(home.use_case, home.lake, NOW)
    found = {}
    for given in client_and_run[1].inputs.dataset_inputs:
        tags = {tag.key: tag.value for tag in given.tags}
        assert json.loads(given.dataset.source)["path"] == home.lake.uri(given.dataset.name)
        found[given.dataset.name] = (int(tags["delta_version"]), tags["mlflow.data.context"])
    assert found == {
        home.table(name): (number, "training" if name == "features" else "source")
        for name, number in manifest.tables.items()
    }


def test_the_run_keeps_the_manifest_the_search_and_a_plot(
    client_and_run: tuple[mlflow.MlflowClient, Run], trained: Trained, tmp_path: Path
) -> None:
    client, run = client_and_run
    paths = {a.path for folder in (None, "plots") for a in client.list_artifacts(run.info.run_id, folder)}
    assert {"training_set.json", "search.json", "plots/validation_calibration.png"} <= paths
    kept = json.loads(Path(client.download_artifacts(run.info.run_id, "training_set.json", str(tmp_path))).read_text())
    assert kept["id"] == make_manifest(trained.home.use_case, trained.home.lake, NOW).id


def test_the_model_takes_its_own_example_and_says_what_it_wants(trained: Trained) -> None:
    client = mlflow.MlflowClient(trained.home.registry.tracking_uri)
    logged = client.get_logged_model(version_of(trained.home).model_id)
    model = mlflow.pyfunc.load_model(logged.artifact_location)
    assert [c.name for c in model.metadata.signature.inputs] == FEW_DAYS.feature_names
    example = model.metadata.load_input_example(logged.artifact_location)
    assert len(example) == 5
    answers = np.asarray(model.predict(example), dtype=float).ravel()
    assert answers.shape == (5,)
    assert ((answers > 0) & (answers < 1)).all()


def test_the_asset_links_to_its_run_and_hands_on_the_exact_version(trained: Trained) -> None:
    version = version_of(trained.home)
    event = next(
        e for e in trained.result.get_asset_materialization_events() if "logistic" in e.asset_key.to_user_string()
    )
    metadata = event.materialization.metadata
    assert metadata["mlflow_run"].value == trained.home.registry.run_url(version.run_id)
    assert "/flight_delays/versions/1?" in metadata["mlflow_version"].value
    picture = trained.home.registry.file_url(version.run_id, "plots/validation_calibration.png")
    assert f"({picture})" in metadata["plots"].value
    assert trained.result.output_for_node("flight_delays__logistic_regression") == version


def test_a_model_says_up_to_which_day_it_has_seen_labels(trained: Trained) -> None:
    assert trained.home.registry.tags(version_of(trained.home))[TRAINED_THROUGH_TAG] == "2013-02-02"


def test_the_same_data_code_and_configuration_make_the_same_model_and_fingerprint(
    trained: Trained, tmp_path: Path
) -> None:
    own = trained.home.copy(tmp_path / "home")
    result = own.run("train", "logistic_regression")
    assert result.success, failures(result)
    first, second = (own.registry.tags(version_of(own, n)) for n in (1, 2))
    assert first[FINGERPRINT_TAG] == second[FINGERPRINT_TAG]
    manifest = make_manifest(own.use_case, own.lake, NOW)
    rows = labelled_rows(own.use_case, own.lake, manifest, "test").select(FEW_DAYS.feature_names)
    scores = [model_of(own, tmp_path / str(n), n).predict(rows) for n in (1, 2)]
    assert np.array_equal(*scores)


def test_other_data_another_configuration_or_another_seed_have_another_fingerprint(
    ingested: Home, tmp_path: Path
) -> None:
    own = ingested.copy(tmp_path / "home")
    before = make_manifest(own.use_case, own.lake, NOW)
    own.lake.delete_partitions(own.table("features"), [LAST], Commit(dagster_run_id="a", code_version="test"))
    manifests = [
        before,
        make_manifest(own.use_case, own.lake, NOW),
        make_manifest(replace(own.use_case, seed=1), own.lake, NOW),
    ]
    specs = [SPEC, replace(SPEC, parameters={"C": 1.0}), replace(SPEC, search_trials=1)]
    found = {fingerprint_of(m, family_code_version(s)) for m in manifests for s in specs}
    assert len(found) == 9


def test_a_family_that_learns_step_by_step_leaves_its_curves(ingested: Home, tmp_path: Path) -> None:
    spec = TrainerSpec(family="catboost", search_trials=0, parameters={"iterations": 15, "depth": 3})
    own = ingested.copy(tmp_path / "home", use_case=replace(FEW_DAYS, trainers=(spec,)))
    result = own.run("train", "training_set", "catboost")
    assert result.success, failures(result)
    client, run_id = mlflow.MlflowClient(own.registry.tracking_uri), version_of(own).run_id
    assert "plots/learning_curves.png" in {a.path for a in client.list_artifacts(run_id, "plots")}
    steps = {
        name: [m.step for m in client.get_metric_history(run_id, name)] for name in client.get_run(run_id).data.metrics
    }
    assert max(map(len, steps.values())) > 1


def test_a_failed_training_leaves_a_failed_run_and_no_version(ingested: Home, tmp_path: Path) -> None:
    spec = TrainerSpec(family="logistic_regression", search_trials=0, parameters={"C": -1.0})
    own = ingested.copy(tmp_path / "home", use_case=replace(FEW_DAYS, trainers=(spec,)))
    assert not own.run("train", "training_set", "logistic_regression").success
    client = mlflow.MlflowClient(own.registry.tracking_uri)
    experiment = client.get_experiment_by_name("flight_delays")
    assert experiment is not None
    assert [r.info.status for r in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert client.search_model_versions("name = 'flight_delays'") == []


def test_a_category_never_seen_in_training_is_predicted(trained: Trained, tmp_path: Path) -> None:
    rows = trained.home.rows("features", LAST).select(FEW_DAYS.feature_names)
    strange = rows.with_columns(pl.lit("never seen").alias(name) for name in FEW_DAYS.categorical)
    scores = model_of(trained.home, tmp_path).predict(strange)
    assert ((scores > 0) & (scores < 1)).all()
