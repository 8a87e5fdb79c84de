from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.policies import Task
from assets.trainers.base import Fit, Rows, TrainingData
from assets.trainers.families import trainer
from assets.trainers.mlflow_signature import MODEL_ARTIFACT, MODEL_CODE, requirements_of, signature_of, to_mlflow
from tests.assets.trainers.cases import QUICK_OF_ALL, data_of


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow on a SQLite file of its own, with unpickling forbidden as it is in the serving process."""
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("e", artifact_location=(tmp_path / "a").as_uri()))
    yield
    mlflow.set_tracking_uri(before)


@pytest.mark.usefixtures("tracking")
def test_a_logged_model_answers_through_mlflow_what_it_answers_itself(
    fit_of: Callable[[str], Fit], data: TrainingData, unseen: Rows, tmp_path: Path
) -> None:
    import mlflow

    for family in ("logistic_regression", "catboost", "neural_network"):
        folder = tmp_path / family
        folder.mkdir()
        model = fit_of(family).model
        model.save(folder)
        with mlflow.start_run():
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(MODEL_CODE),
                artifacts={MODEL_ARTIFACT: str(folder)},
                signature=signature_of(data.features),
                pip_requirements=requirements_of(folder),
                input_example=to_mlflow(unseen.features[:2], data.features),
            )
        loaded = mlflow.pyfunc.load_model(logged.model_uri)
        answered = loaded.predict(to_mlflow(unseen.features, data.features))
        np.testing.assert_allclose(answered, model.predict(unseen.features), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(("task", "family"), [("multiclass", "catboost"), ("count", "ridge")])
def test_several_outputs_come_through_mlflow_as_columns_by_their_name(task: Task, family: str, tmp_path: Path) -> None:
    import mlflow

    data, folder = data_of(task), tmp_path / "model"
    folder.mkdir()
    model = trainer(family).fit(data, QUICK_OF_ALL[family], lambda _: None).model
    model.save(folder)
    signature = signature_of(data.features, model.outputs)
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(MODEL_CODE),
            artifacts={MODEL_ARTIFACT: str(folder)},
            signature=signature,
            pip_requirements=requirements_of(folder),
            input_example=to_mlflow(data.validation.features[:2], data.features),
        )
    answered = mlflow.pyfunc.load_model(logged.model_uri).predict(to_mlflow(data.validation.features, data.features))
    assert tuple(answered.columns) == model.outputs == tuple(c.name for c in signature.outputs)
    np.testing.assert_allclose(answered.to_numpy(), model.predict(data.validation.features), rtol=0, atol=1e-9)


def test_one_output_has_no_name_in_the_signature(data: TrainingData) -> None:
    assert [c.name for c in signature_of(data.features, ("probability",)).outputs] == [None]
    assert signature_of(data.features) == signature_of(data.features, ("probability",))


def test_the_signature_lets_integers_be_missing(data: TrainingData) -> None:
    kinds = {column.name: column.type.name for column in signature_of(data.features).inputs}
    assert kinds == {"load": "double", "age": "double", "colour": "string", "site": "string"}


def test_the_frame_for_mlflow_has_the_declared_columns_with_none_for_a_missing_category(data: TrainingData) -> None:
    frame = pl.DataFrame({"site": ["n"], "colour": [None], "age": [3], "load": [None]})
    converted = to_mlflow(frame, data.features)
    assert list(converted.columns) == ["load", "colour", "age", "site"]
    assert converted["colour"].tolist() == [None]
    assert converted["age"].tolist() == [3.0]


def test_requirements_name_versions_that_a_package_index_has(fit_of: Callable[[str], Fit], tmp_path: Path) -> None:
    fit_of("neural_network").model.save(tmp_path)
    required = requirements_of(tmp_path)
    assert {line.partition("==")[0] for line in required} == {"numpy", "polars", "safetensors", "torch"}
    assert not any("+" in line for line in required)
