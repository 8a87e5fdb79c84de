"""What every model family promises, claim by claim."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.trainers.base import Fit, Rows, TrainingData
from assets.trainers.calibration import Platt
from assets.trainers.encoding import FeatureError
from assets.trainers.families import load_model, trainer
from assets.trainers.fitted import FittedModel

FitOf = Callable[[str], Fit]


def log_loss(probability: np.ndarray, label: np.ndarray) -> float:
    return float(-np.mean(np.where(label == 1, np.log(probability), np.log1p(-probability))))


def fitted(fit: Fit) -> FittedModel:
    assert isinstance(fit.model, FittedModel)
    return fit.model


def test_a_family_beats_the_base_rate_on_days_it_has_not_seen(
    family: str, fit_of: FitOf, data: TrainingData, unseen: Rows
) -> None:
    base_rate = np.full(len(unseen.label), data.train.label.mean())
    loss = log_loss(fit_of(family).model.predict(unseen.features), unseen.label)
    assert loss < log_loss(base_rate, unseen.label) - 0.1


def test_the_same_seed_gives_the_same_model(
    family: str, fit_of: FitOf, data: TrainingData, unseen: Rows, quick: dict[str, dict[str, float]]
) -> None:
    again = trainer(family).fit(data, quick[family], lambda _: None)
    assert np.array_equal(again.model.predict(unseen.features), fit_of(family).model.predict(unseen.features))


def test_probabilities_lie_between_0_and_1_for_every_kind_of_row(family: str, fit_of: FitOf) -> None:
    strange = pl.DataFrame(
        {
            "load": [None, 1e9, -1e9, 0.0],
            "age": [None, 1e9, -1e9, None],
            "colour": [None, "never seen", "", "rare"],
            "site": [None, "never seen", "n", None],
        }
    )
    answered = fit_of(family).model.predict(strange)
    assert answered.shape == (4,)
    assert ((answered >= 0) & (answered <= 1)).all()


def test_a_row_of_nulls_without_types_is_answered(family: str, fit_of: FitOf) -> None:
    nothing = pl.DataFrame({name: [None] for name in ("load", "age", "colour", "site")})
    assert 0 < fit_of(family).model.predict(nothing)[0] < 1


def test_one_unseen_category_is_answered_like_another(family: str, fit_of: FitOf, unseen: Rows) -> None:
    row = unseen.features.head(1)
    colours = [row.with_columns(colour=pl.lit(name)) for name in ("mauve", "ochre")]
    answers = [fit_of(family).model.predict(frame)[0] for frame in colours]
    assert answers[0] == answers[1]


def test_a_row_alone_gets_the_score_it_gets_among_others(family: str, fit_of: FitOf, unseen: Rows) -> None:
    model = fit_of(family).model
    together = model.predict(unseen.features[:50])
    alone = np.concatenate([model.predict(unseen.features[i]) for i in range(50)])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)


def test_rows_of_plain_values_score_as_their_data_frame(family: str, fit_of: FitOf, unseen: Rows) -> None:
    strange = pl.DataFrame(
        {"load": [None, 1e9], "age": [None, 0.0], "colour": [None, "never seen"], "site": ["n", None]}
    )
    model = fitted(fit_of(family))
    frame = pl.concat([unseen.features.select(strange.columns), strange])
    rows = frame.select(f.name for f in model.features).rows()
    np.testing.assert_allclose(model.predict_rows(rows), model.predict(frame), rtol=0, atol=1e-12)


def test_column_order_and_further_columns_change_nothing(family: str, fit_of: FitOf, unseen: Rows) -> None:
    model, columns = fit_of(family).model, unseen.features.columns
    turned = unseen.features.select(*reversed(columns), pl.lit(1).alias("more"))
    assert np.array_equal(model.predict(turned), model.predict(unseen.features))


def test_no_rows_are_answered_with_no_rows(family: str, fit_of: FitOf, unseen: Rows) -> None:
    model = fit_of(family).model
    assert model.predict(unseen.features.head(0)).shape == (0,)
    assert model.explain(unseen.features.head(0)).shape == (0, 4)


def test_an_absent_feature_is_refused_by_name(family: str, fit_of: FitOf, unseen: Rows) -> None:
    with pytest.raises(FeatureError, match="age"):
        fit_of(family).model.predict(unseen.features.drop("age"))


def test_a_feature_of_another_kind_is_refused_by_name(family: str, fit_of: FitOf, unseen: Rows) -> None:
    with pytest.raises(FeatureError, match="colour"):
        fit_of(family).model.predict(unseen.features.with_columns(colour=pl.lit(3)))


def test_contributions_add_up_to_the_score(family: str, fit_of: FitOf, unseen: Rows) -> None:
    model = fitted(fit_of(family))
    contributions = model.explain(unseen.features)
    assert contributions.shape == (len(unseen.label), 4)
    np.testing.assert_allclose(
        contributions.sum(axis=1), (model.raw(unseen.features) - model.reference)[:, 0], atol=1e-3
    )


def test_contributions_stand_in_the_declared_order(family: str, fit_of: FitOf, unseen: Rows) -> None:
    load, colour, age, site = fit_of(family).model.explain(unseen.features).T
    frame = unseen.features
    is_green = (frame["colour"] == "green").fill_null(value=False).to_numpy()
    known = frame["load"].is_not_null().to_numpy()
    assert np.corrcoef(load[known], frame["load"].to_numpy()[known])[0, 1] > 0.8
    assert np.corrcoef(age, frame["age"].to_numpy())[0, 1] < -0.8
    assert colour[is_green].mean() > colour[~is_green].mean() + 0.2
    assert np.abs(site).mean() < 0.2


def test_the_loaded_model_answers_the_same_bits(family: str, fit_of: FitOf, saved: Path, unseen: Rows) -> None:
    loaded, model = load_model(saved), fit_of(family).model
    assert np.array_equal(loaded.predict(unseen.features), model.predict(unseen.features))
    assert np.array_equal(loaded.explain(unseen.features), model.explain(unseen.features))


def test_model_json_names_family_features_calibrator_parameters_and_libraries(family: str, saved: Path) -> None:
    kept = json.loads((saved / "model.json").read_text())
    assert kept["family"] == family
    assert [(f["name"], f["kind"]) for f in kept["features"]][:2] == [("load", "numeric"), ("colour", "categorical")]
    assert set(kept["calibrator"]) == {"slope", "intercept"}
    assert set(kept["parameters"]) == set(trainer(family).defaults)
    assert {"python", "numpy", "polars"} < set(kept["libraries"])


def test_nothing_saved_is_a_pickle(saved: Path) -> None:
    signatures = {".json": b"{", ".skops": b"PK", ".cbm": b"CBM1"}
    for path in saved.iterdir():
        content = path.read_bytes()
        if path.suffix == ".safetensors":
            assert content[8:9] == b"{"  # eight bytes of header length, then JSON
        else:
            assert content.startswith(signatures[path.suffix])
        for name, member in _members(path).items():
            assert name.endswith((".json", ".npy", ".npz"))
            assert not member.startswith(b"\x80")
            assert b"'O'" not in member[:128]  # an object array would be a pickle inside .npy


def _members(path: Path) -> dict[str, bytes]:
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as parts:
        return {name: parts.read(name) for name in parts.namelist()}


def test_validation_labels_reach_nothing_but_stopping_and_calibration(
    family: str, fit_of: FitOf, data: TrainingData, unseen: Rows, quick: dict[str, dict[str, float]]
) -> None:
    """Up to the iteration where either fit stops, both learn exactly the same from the training window."""
    mixed = np.random.default_rng(5).permutation(data.validation.label)
    other = trainer(family).fit(
        replace(data, validation=replace(data.validation, label=mixed)), quick[family], lambda _: None
    )
    fit = fit_of(family)
    if not fit.curves:
        assert np.array_equal(fitted(other).raw(unseen.features), fitted(fit).raw(unseen.features))
    else:
        pairs = zip(fit.curves["train_log_loss"], other.curves["train_log_loss"], strict=False)
        assert all(one == two for one, two in pairs)


def test_early_stopping_keeps_the_best_iteration_of_validation(family: str, fit_of: FitOf) -> None:
    fit = fit_of(family)
    if curve := fit.curves.get("validation_log_loss"):
        assert fit.metrics["best_iteration"] == float(np.argmin(curve))
        assert fit.metrics["validation_log_loss_uncalibrated"] == pytest.approx(min(curve), abs=1e-5)


def test_calibration_does_not_change_the_ranking(family: str, fit_of: FitOf, unseen: Rows) -> None:
    model = fitted(fit_of(family))
    scores, probabilities = model.raw(unseen.features)[:, 0], model.predict(unseen.features)
    assert (np.diff(probabilities[np.argsort(scores, kind="stable")]) >= 0).all()


def test_the_calibrator_is_the_one_fitted_on_validation(family: str, fit_of: FitOf, data: TrainingData) -> None:
    model = fitted(fit_of(family))
    expected = Platt.fit(model.raw(data.validation.features)[:, 0], data.validation.label)
    assert model.description.calibrator == expected


def test_progress_tells_the_family_and_the_rows_or_iterations(
    family: str, data: TrainingData, quick: dict[str, dict[str, float]]
) -> None:
    told: list[str] = []
    trainer(family).fit(data, quick[family], told.append)
    assert len(told) >= 2
    assert all(line.startswith(f"{family}: ") for line in told)


def test_a_parameter_the_family_does_not_have_is_refused(family: str, data: TrainingData) -> None:
    with pytest.raises(ValueError, match="dept"):
        trainer(family).fit(data, {"dept": 3}, lambda _: None)


def test_one_class_in_training_is_refused(family: str, data: TrainingData) -> None:
    one_class = replace(data.train, label=np.zeros_like(data.train.label))
    with pytest.raises(ValueError, match="label 0"):
        trainer(family).fit(replace(data, train=one_class), {}, lambda _: None)


def test_only_numbers_or_only_categories_are_enough(
    family: str, data: TrainingData, quick: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    for kind in ("numeric", "categorical"):
        some = replace(data, features=tuple(f for f in data.features if f.kind == kind))
        model = trainer(family).fit(some, quick[family], lambda _: None).model
        folder = tmp_path / kind
        folder.mkdir()
        model.save(folder)
        assert np.array_equal(
            load_model(folder).explain(some.train.features[:5]), model.explain(some.train.features[:5])
        )


def test_a_feature_that_is_null_throughout_training_is_carried_along(
    family: str, data: TrainingData, unseen: Rows, quick: dict[str, dict[str, float]]
) -> None:
    empty = data.train.features.with_columns(pl.lit(None, pl.Float64).alias("age"))
    model = (
        trainer(family)
        .fit(replace(data, train=replace(data.train, features=empty)), quick[family], lambda _: None)
        .model
    )
    assert np.isfinite(model.predict(unseen.features)).all()
    assert model.explain(unseen.features).shape == (len(unseen.label), 4)


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'forest'.*catboost"):
        trainer("forest")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        load_model(tmp_path)
