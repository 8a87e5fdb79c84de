"""What only one's own families promise; the rest they share with the others (`test_tasks.py`)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.policies import DeclarationError
from assets.trainers.base import Rows
from assets.trainers.encoding import names_of
from assets.trainers.estimator import EstimatorModel, EstimatorTrainer
from assets.trainers.estimator_encoding import MOST_COLUMNS, Encoding
from assets.trainers.families import load_model, trainer
from tests.assets.trainers.cases import FEATURES, OWN, data_of


def quiet(_: str) -> None: ...


def test_what_does_not_return_an_estimator_is_refused() -> None:
    with pytest.raises(DeclarationError, match="returned a str, not an unfitted scikit-learn estimator"):
        trainer(f"{OWN}:nothing").fit(data_of("binary"), {}, quiet)


def test_an_estimator_that_cannot_do_the_task_is_refused() -> None:
    from sklearn.linear_model import LinearRegression

    own = EstimatorTrainer(family="a:line", function=lambda task, seed: LinearRegression())  # noqa: ARG005 (interface)
    with pytest.raises(DeclarationError, match=r"LinearRegression has none of \['predict_proba'"):
        own.fit(data_of("binary"), {}, quiet)


def test_parameters_are_those_of_the_estimator() -> None:
    fit = trainer(f"{OWN}:forest").fit(data_of("count"), {"n_estimators": 3}, quiet)
    assert fit.parameters == {"n_estimators": 3}
    with pytest.raises(ValueError, match="n_trees"):
        trainer(f"{OWN}:forest").fit(data_of("count"), {"n_trees": 3}, quiet)


def test_what_is_not_scikit_learns_own_is_not_kept(tmp_path: Path) -> None:
    model = trainer(f"{OWN}:with_a_function").fit(data_of("binary"), {}, quiet).model
    with pytest.raises(ValueError, match=r"own_families\._doubled"):
        model.save(tmp_path)


def test_a_kept_model_needs_no_function_to_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trainer(f"{OWN}:forest").fit(data_of("regression"), {"n_estimators": 3}, quiet).model
    model.save(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, OWN, None)
    few = data_of("regression").validation.features[:5]
    assert np.array_equal(load_model(tmp_path).predict(few), model.predict(few))


@pytest.mark.parametrize(
    "path",
    [
        "ensemble.HistGradientBoostingRegressor",
        "ensemble.GradientBoostingRegressor",
        "neighbors.KNeighborsRegressor",
        "svm.SVR",
        "gaussian_process.GaussianProcessRegressor",
        "neural_network.MLPRegressor",
    ],
)
def test_usual_estimators_can_be_kept(path: str, tmp_path: Path) -> None:
    import sklearn.utils.discovery

    kind = dict(sklearn.utils.discovery.all_estimators())[path.rpartition(".")[2]]
    own = EstimatorTrainer(family="a:usual", function=lambda task, seed: kind(**small.get(kind.__name__, {})))  # noqa: ARG005
    data = data_of("regression")
    first = Rows(features=data.train.features[:200], label=data.train.label[:200], day=data.train.day[:200])
    model = own.fit(replace(data, train=first), {}, quiet).model
    model.save(tmp_path)
    few = data.validation.features[:5]
    assert np.array_equal(EstimatorModel.load(tmp_path).predict(few), model.predict(few))


small: dict[str, dict[str, Any]] = {
    "MLPRegressor": {"hidden_layer_sizes": (4,), "max_iter": 20, "early_stopping": True, "tol": 10.0},
    "GaussianProcessRegressor": {"alpha": 1.0, "optimizer": None},
    "HistGradientBoostingRegressor": {"max_iter": 5},
    "GradientBoostingRegressor": {"n_estimators": 5},
}


def test_a_sum_is_explained_exactly() -> None:
    from sklearn.linear_model import LinearRegression

    own = EstimatorTrainer(family="a:line", function=lambda task, seed: LinearRegression())  # noqa: ARG005 (interface)
    data = data_of("regression")
    model = own.fit(data, {}, quiet).model
    assert isinstance(model, EstimatorModel)
    frame = data.train.features
    slope = model.predict(pl.DataFrame({"load": [1.0, 0.0], "age": 0.0, "colour": "red", "site": "n"}))[:, 0]
    load = frame["load"].fill_null(frame["load"].median()).to_numpy()
    expected = (slope[0] - slope[1]) * (load - load.mean())
    np.testing.assert_allclose(model.explain(frame)[:, 0], expected, atol=1e-6)


def test_missing_numbers_stay_missing_only_where_the_estimator_takes_them() -> None:
    frame = data_of("regression").train.features
    at = names_of(FEATURES, "numeric").index("load")
    kept, filled = (Encoding.fit(frame, FEATURES, 20, allow_gaps=allowed) for allowed in (True, False))
    missing = frame["load"].is_null().to_numpy()
    assert np.isnan(kept.matrix(frame, FEATURES)[missing, at]).all()
    assert (filled.matrix(frame, FEATURES)[missing, at] == frame["load"].median()).all()


def test_a_category_of_many_values_takes_a_bounded_number_of_columns() -> None:
    frame = data_of("regression").train.features.with_columns(colour=pl.int_range(pl.len()).cast(pl.String))
    frame = frame.with_columns(colour=pl.when(pl.int_range(pl.len()) < 2_000).then(pl.lit("a")).otherwise("colour"))
    assert Encoding.fit(frame, FEATURES, 1, allow_gaps=True).matrix(frame, FEATURES).shape[1] <= 2 * MOST_COLUMNS
