"""The door for notebooks: what it loads is what the line made, and the example notebook runs from top to end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.contracts import Task
from assets.logic.splits import TrainingManifest
from assets.policies import DeclarationError
from pipelines import notebook
from pipelines.catalogue import CatalogueError
from pipelines.notebook import NotebookError, assets_of, load, model, training_data, try_family
from pipelines.programs import ROOT
from tests.support import few_days
from tests.support.few_days import FEATURES_FROM, LAST, Home, days_between

NAME = "flight_delays"
EXAMPLE = ROOT / "pipelines" / "flight_delays" / "explore.ipynb"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Nineteen days of features, a training set and one family, whose only version is champion."""
    home = few_days.ingested(tmp_path_factory.getbasetemp()).copy(tmp_path_factory.mktemp("notebook") / "made")
    result = home.run("train", "training_set", "logistic_regression")
    assert result.success, few_days.failures(result)
    home.registry.promote(home.registry.version(NAME, 1))
    return home


@pytest.fixture
def home(trained: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained line in the folders of the laptop form, as `THROUGHLINE_HOME`; the working directory is elsewhere."""
    folder = tmp_path / "home"
    (folder / "mlflow").mkdir(parents=True)
    (folder / "mlflow" / "mlflow.db").symlink_to(trained.folder / "mlflow.db")
    for name in ("lake", "values"):
        (folder / name).symlink_to(trained.folder / name)
    monkeypatch.setenv("THROUGHLINE_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path / "empty"))
    return tmp_path / "empty"


def stump(task: Task, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=3, random_state=seed)


def test_every_table_is_listed_with_its_version_and_partitions(home: Path, trained: Home) -> None:
    listed = {row["asset"]: row for row in assets_of(NAME).iter_rows(named=True)}
    made = {name: number for name, number in trained.versions().items() if number is not None}
    assert {name: row["version"] for name, row in listed.items()} == made
    span = {key: listed["features"][key] for key in ("partitions", "first", "last")}
    assert span == {"partitions": 19, "first": FEATURES_FROM, "last": LAST}
    assert listed["raw_planes"]["partitions"] is None


def test_a_table_loads_whole_as_polars(home: Path, trained: Home) -> None:
    rows = load(NAME, "features")
    assert rows.sort(rows.columns).equals(trained.rows("features"))
    assert rows["partition_key"].is_sorted()


def test_one_partition_loads_alone(home: Path, trained: Home) -> None:
    rows = load(NAME, "features", partition=LAST)
    assert rows.sort(rows.columns).equals(trained.rows("features", LAST))


def test_a_range_of_partitions_holds_both_ends(home: Path) -> None:
    rows = load(NAME, "cleaned_flights", partition=("2013-01-30", "2013-02-02"))
    assert rows["partition_key"].unique().sort().to_list() == days_between("2013-01-30", "2013-02-02")


def test_an_older_version_loads_as_it_was(home: Path, trained: Home) -> None:
    assert load(NAME, "raw_planes", version=0).is_empty()
    assert load(NAME, "raw_planes", version=1).height == trained.rows("raw_planes").height > 0


def test_a_table_without_partitions_loads_and_refuses_one(home: Path) -> None:
    assert "faa" in load(NAME, "cleaned_airports").columns
    with pytest.raises(NotebookError, match=r"cleaned_airports has no partitions; leave out partition='2013-01-01'"):
        load(NAME, "cleaned_airports", partition="2013-01-01")


def test_an_unknown_table_is_answered_with_those_there_are(home: Path) -> None:
    with pytest.raises(NotebookError, match=r"no table 'feature'; there are \['cleaned_airports', .*'features'"):
        load(NAME, "feature")


def test_an_unknown_partition_is_answered_with_the_span(home: Path) -> None:
    with pytest.raises(
        NotebookError, match=rf"nothing from 2014-01-01 to 2014-01-01; it holds {FEATURES_FROM} to {LAST}"
    ):
        load(NAME, "features", partition="2014-01-01")


@pytest.mark.parametrize("number", [-1, 99])
def test_an_unknown_table_version_is_answered_with_the_range(number: int, home: Path) -> None:
    with pytest.raises(NotebookError, match=rf"features has no version {number}; there are 0 to \d+$"):
        load(NAME, "features", version=number)


def test_an_unknown_use_case_is_answered_with_the_near_one(empty: Path) -> None:
    with pytest.raises(CatalogueError, match="did you mean 'flight_delays'"):
        load("flight_delay", "features")


def test_the_champion_is_the_model_without_a_number(home: Path) -> None:
    rows = load(NAME, "features", partition=LAST)
    assert model(NAME).family == "logistic_regression"
    np.testing.assert_array_equal(model(NAME).predict(rows), model(NAME, version=1).predict(rows))


def test_an_unknown_model_version_is_answered_with_those_there_are(home: Path) -> None:
    with pytest.raises(NotebookError, match="no model version 7; there are 1 to 1 "):
        model(NAME, version=7)


def test_before_the_first_line_the_remedy_is_named(empty: Path) -> None:
    assert assets_of(NAME).is_empty()
    with pytest.raises(NotebookError, match=r"no champion yet; run `throughline line flight_delays`"):
        model(NAME)


def test_training_rows_are_those_of_the_last_training_set(home: Path, trained: Home) -> None:
    data = training_data(NAME)
    assert isinstance(data.manifest, TrainingManifest)
    assert data.manifest.tables["features"] == trained.lake.version(trained.table("features"))
    assert len(data.test.label) == data.manifest.rows["test"].labelled
    assert data.training.features == data.use_case.features


def test_test_rows_are_kept_apart_from_all_that_a_family_sees(home: Path) -> None:
    data = training_data(NAME)
    assert data.training.train.day.max() < data.training.validation.day.min()
    assert data.training.validation.day.max() < data.test.day.min()


def test_a_tried_family_stands_beside_the_champion(home: Path) -> None:
    trial = try_family(stump, training_data(NAME))
    assert trial.scores.columns == ["model", "family", "log_loss"]
    named = trial.scores.select("model", "family").rows()
    assert named == [("tried", "stump"), ("champion flight_delays/1", "logistic_regression")]
    assert trial.scores["log_loss"].is_between(0.2, 0.7).all()
    assert trial.remark == ""


def test_the_champions_loss_is_the_one_on_record(home: Path, trained: Home) -> None:
    data = training_data(NAME)
    probability = model(NAME).predict(data.training.validation.features)
    label = data.training.validation.label
    by_hand = -np.mean(np.where(label == 1, np.log(probability), np.log(1 - probability)))
    assert try_family(stump, data).scores["log_loss"][1] == pytest.approx(by_hand)


def test_a_champion_of_another_training_set_is_remarked_on(
    home: Path, trained: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.stages.candidates.MANIFEST_TAG", "a tag that no version has")
    assert "learnt from another training set" in try_family(stump, training_data(NAME)).remark


def test_a_function_that_returns_no_estimator_is_refused(home: Path) -> None:
    with pytest.raises(DeclarationError, match="not an unfitted scikit-learn estimator"):
        try_family(lambda *_: 7, training_data(NAME))


def test_without_a_home_the_state_is_that_of_the_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setenv("THROUGHLINE_HOME", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.notebook_stores.prepare_environment", lambda settings: seen.append(settings.home))
    notebook.resources_here()
    assert seen == [ROOT / "var"]


def test_the_example_is_kept_without_outputs() -> None:
    import nbformat

    example = nbformat.read(EXAMPLE, as_version=4)
    nbformat.validate(example)
    code = [cell for cell in example.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_example_runs_from_top_to_end(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    example = nbformat.read(EXAMPLE, as_version=4)
    NotebookClient(
        example, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = "".join(str(output) for cell in example.cells for output in cell.get("outputs", []))
    assert "champion flight_delays/1" in shown
    assert "random_trees" in shown
    told = [o["text"] for cell in example.cells for o in cell.get("outputs", []) if o["output_type"] == "stream"]
    assert told == []
