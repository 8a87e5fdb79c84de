"""What only one family promises."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assets.trainers import linear
from assets.trainers.base import Fit, Rows, TrainingData
from assets.trainers.families import load_model, trainer
from assets.trainers.fitted import FittedModel

FitOf = Callable[[str], Fit]


def test_a_logistic_regression_that_did_not_converge_says_so(data: TrainingData) -> None:
    told: list[str] = []
    fit = trainer("logistic_regression").fit(data, {"max_iter": 2, "tol": 1e-9}, told.append)
    assert fit.metrics["converged"] == 0
    assert any("NOT converged" in line for line in told)


def test_a_pipeline_with_an_untrusted_type_is_not_loaded(
    fit_of: FitOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_of("logistic_regression").model.save(tmp_path)
    monkeypatch.setattr(linear, "TRUSTED_TYPES", ())
    with pytest.raises(Exception, match=r"numpy\.dtype"):
        load_model(tmp_path)


def test_trees_that_are_not_those_that_were_saved_are_not_loaded(fit_of: FitOf, tmp_path: Path) -> None:
    fit_of("catboost").model.save(tmp_path)
    content = bytearray((tmp_path / "model.cbm").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.cbm").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        load_model(tmp_path)


def test_loaded_trees_say_what_they_said_without_the_parameters_of_their_fit(
    fit_of: FitOf, unseen: Rows, tmp_path: Path
) -> None:
    """Those are parsed anew in every call: without them, a row is answered in half of the time."""
    fitted = fit_of("catboost").model
    fitted.save(tmp_path)
    loaded = load_model(tmp_path)
    assert len(loaded._trees.get_metadata()["params"]) < 200
    assert np.array_equal(loaded.explain(unseen.features), fitted.explain(unseen.features))


def test_the_seed_decides_the_network(data: TrainingData, unseen: Rows, fit_of: FitOf, quick: dict[str, dict]) -> None:
    other = trainer("neural_network").fit(replace(data, seed=data.seed + 1), quick["neural_network"], lambda _: None)
    assert not np.array_equal(
        other.model.predict(unseen.features), fit_of("neural_network").model.predict(unseen.features)
    )


def test_training_a_network_leaves_the_random_state_and_the_threads_of_torch_alone(
    data: TrainingData, quick: dict[str, dict]
) -> None:
    import torch

    before, threads = torch.get_rng_state(), torch.get_num_threads()
    trainer("neural_network").fit(data, quick["neural_network"] | {"epochs": 1}, lambda _: None)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_network_is_not_carried_away_by_a_value_beyond_all_training(unseen: Rows, fit_of: FitOf) -> None:
    model = fit_of("neural_network").model
    assert isinstance(model, FittedModel)
    far, farther = (unseen.features.head(1).with_columns(load=value) for value in (1e3, 1e6))
    assert model.raw(far)[0] == model.raw(farther)[0]


def test_a_network_keeps_the_weights_of_its_best_epoch_not_of_its_last(
    data: TrainingData, quick: dict[str, dict]
) -> None:
    overfitting = quick["neural_network"] | {"learning_rate": 0.05, "dropout": 0.0, "epochs": 8, "patience": 2}
    fit = trainer("neural_network").fit(data, overfitting, lambda _: None)
    curve = fit.curves["validation_log_loss"]
    assert min(curve) < curve[-1] - 1e-3
    assert fit.metrics["validation_log_loss_uncalibrated"] == pytest.approx(min(curve), abs=1e-5)


def test_catboost_stops_before_all_its_trees_when_validation_gets_worse(data: TrainingData) -> None:
    fit = trainer("catboost").fit(data, {"learning_rate": 0.5, "early_stopping_rounds": 5}, lambda _: None)
    assert len(fit.curves["validation_log_loss"]) < trainer("catboost").defaults["iterations"]


def test_the_reference_is_the_score_of_the_average_training_row(fit_of: FitOf, data: TrainingData, family: str) -> None:
    model = fit_of(family).model
    assert isinstance(model, FittedModel)
    mean = model.raw(data.train.features).mean()
    # Equal for a sum over columns (and trees); a network bends between the rows that are averaged.
    assert model.reference[0] == pytest.approx(mean, abs=0.5 if family == "neural_network" else 0.05)
