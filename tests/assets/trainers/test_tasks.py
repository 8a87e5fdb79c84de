"""What every family promises for the tasks it can do, claim by claim. More on the binary task: `test_families.py`."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.policies import INTERVAL, OTHER
from assets.trainers.base import TrainingData
from assets.trainers.families import load_model, trainer
from assets.trainers.search import search
from assets.trainers.tasks import HEADS
from tests.assets.trainers.cases import QUICK_OF_ALL, Case, data_of


def quiet(_: str) -> None: ...


def constant_loss(case: Case) -> float:
    """Of the answer that is best for the training rows without looking at any feature."""
    train, label = case.data.train.label, case.unseen.label
    if case.task in ("binary", "multiclass"):
        shares = np.bincount(train.astype(np.int64)) / len(train)
        return float(-np.log(shares[label.astype(np.int64)]).mean())
    if case.task == "regression":
        return float(np.abs(label - np.median(train)).mean())
    return loss_of(case, np.full(len(label), train.mean()))


def loss_of(case: Case, answered: np.ndarray) -> float:
    label = case.unseen.label
    if case.task == "binary":
        return float(-np.log(np.where(label == 1, answered, 1 - answered)).mean())
    if case.task == "multiclass":
        return float(-np.log(answered[np.arange(len(label)), label.astype(np.int64)]).mean())
    point = answered if answered.ndim == 1 else answered[:, 0]
    if case.task == "regression":
        return float(np.abs(label - point).mean())
    return float(2 * (label * np.log(np.where(label > 0, label / point, 1.0)) - label + point).mean())


def test_a_family_beats_the_best_constant_on_days_it_has_not_seen(case: Case) -> None:
    assert loss_of(case, case.model.predict(case.unseen.features)) < 0.85 * constant_loss(case)


def test_outputs_name_the_columns_of_what_is_answered(case: Case) -> None:
    expected = {"binary": ("probability",), "multiclass": ("blue", "green", "red", OTHER)}
    assert case.model.outputs == expected.get(case.task, ("prediction", "lower", "upper"))
    answered = case.model.predict(case.unseen.features)
    n, k = len(case.unseen.label), len(case.model.outputs)
    assert answered.shape == ((n,) if k == 1 else (n, k))
    assert case.model.predict(case.unseen.features.head(0)).shape == ((0,) if k == 1 else (0, k))
    assert case.model.explain(case.unseen.features.head(0)).shape == (0, 4)


def test_every_kind_of_row_gets_a_possible_answer(case: Case) -> None:
    strange = pl.DataFrame(
        {
            "load": [None, 1e6, -1e6, 0.0],
            "age": [None, 1e6, -1e6, None],
            "colour": [None, "never seen", "", "rare"],
            "site": [None, "never seen", "n", None],
        }
    )
    nothing = pl.DataFrame({name: [None] for name in strange.columns})
    for frame in (strange, nothing):
        answered = case.model.predict(frame)
        assert np.isfinite(answered).all()
        if case.task in ("binary", "multiclass"):
            assert ((answered >= 0) & (answered <= 1)).all()
        else:
            point, lower, upper = answered.T
            assert ((lower <= point) & (point <= upper)).all()
        if case.task == "multiclass":
            assert (answered > 0).all()
            np.testing.assert_allclose(answered.sum(axis=1), 1, rtol=0, atol=1e-12)
        if case.task == "count":
            assert (answered >= 0).all()


def test_intervals_hold_about_the_promised_share_of_unseen_labels(case: Case) -> None:
    """Of 800 labels, with ends from 800 others: the share has a standard deviation of 1.5 points."""
    if case.model.outputs == ("prediction", "lower", "upper"):
        _, lower, upper = case.model.predict(case.unseen.features).T
        share = ((lower <= case.unseen.label) & (case.unseen.label <= upper)).mean()
        # Whole numbers may be above the promise by what falls on the ends themselves.
        assert INTERVAL - 0.05 < share < INTERVAL + (0.05 if case.task == "regression" else 0.08)


def test_probabilities_of_classes_add_up_to_how_often_they_come(case: Case) -> None:
    # Without probabilities there is one score per class against the rest; one temperature cannot bring them in line.
    if case.task == "multiclass" and not case.family.endswith(":scaled"):
        answered = case.model.predict(case.unseen.features).mean(axis=0)
        assert answered == pytest.approx(np.bincount(case.unseen.label.astype(int), minlength=4) / 800, abs=0.06)


def test_the_same_seed_gives_the_same_model(case: Case) -> None:
    again = trainer(case.family).fit(case.data, QUICK_OF_ALL[case.family], quiet)
    assert np.array_equal(again.model.predict(case.unseen.features), case.model.predict(case.unseen.features))


def test_a_row_alone_gets_the_answer_it_gets_among_others(case: Case) -> None:
    together = case.model.predict(case.unseen.features[:20])
    alone = np.concatenate([case.model.predict(case.unseen.features[i]) for i in range(20)])
    np.testing.assert_allclose(alone, together, rtol=1e-9, atol=1e-9)


def test_contributions_add_up_to_the_score_they_explain(case: Case) -> None:
    model, frame = case.model, case.unseen.features[:200]
    raw = model.raw(frame)
    explained = (raw - model.reference)[np.arange(200), raw.argmax(axis=1)]
    spread = max(1.0, float(np.abs(explained).max()))
    np.testing.assert_allclose(model.explain(frame).sum(axis=1), explained, atol=2e-3 * spread)


def test_contributions_stand_in_the_declared_order_and_in_the_unit_of_the_score(case: Case) -> None:
    contributions = case.model.explain(case.unseen.features[:400])
    weight = np.abs(contributions).mean(axis=0)
    assert weight.shape == (4,)
    assert weight[0] > 4 * weight[3]
    if case.task == "regression":
        load = case.unseen.features["load"].fill_null(0).to_numpy()[:400]
        assert np.polyfit(load, contributions[:, 0], 1)[0] == pytest.approx(45, rel=0.35)


def test_the_loaded_model_answers_the_same_bits(case: Case, tmp_path: Path) -> None:
    case.model.save(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.outputs == case.model.outputs
    assert np.array_equal(loaded.predict(case.unseen.features), case.model.predict(case.unseen.features))
    few = case.unseen.features[:50]
    assert np.array_equal(loaded.explain(few), case.model.explain(few))
    assert json.loads((tmp_path / "model.json").read_text())["task"] == case.task


def test_a_loaded_model_says_nothing_beside_its_answers(
    case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    case.model.save(tmp_path)
    loaded = load_model(tmp_path)
    capfd.readouterr()
    loaded.predict(case.unseen.features)
    loaded.explain(case.unseen.features[:5])
    assert capfd.readouterr() == ("", "")


def test_nothing_saved_is_a_pickle(case: Case, tmp_path: Path) -> None:
    case.model.save(tmp_path)
    for path in tmp_path.iterdir():
        assert path.suffix in (".json", ".skops", ".cbm", ".safetensors")
        if path.suffix == ".skops":
            with zipfile.ZipFile(path) as parts:
                members = {name: parts.read(name) for name in parts.namelist()}
            assert all(name.endswith((".json", ".npy", ".npz")) for name in members)
            assert not any(content.startswith(b"\x80") for content in members.values())


def test_metrics_and_curves_are_named_by_the_loss_of_the_task(case: Case) -> None:
    loss = HEADS[case.task].loss
    measured = case.fit.metrics[f"validation_{loss}_uncalibrated"]
    assert case.fit.metrics[f"validation_{loss}"] == pytest.approx(measured, rel=0.2)
    if case.fit.curves:
        assert set(case.fit.curves) == {f"train_{loss}", f"validation_{loss}"}
        assert measured == pytest.approx(min(case.fit.curves[f"validation_{loss}"]), rel=2e-3)


def test_validation_reaches_nothing_but_stopping_and_calibration(case: Case) -> None:
    mixed = np.random.default_rng(5).permutation(case.data.validation.label)
    other = trainer(case.family).fit(
        replace(case.data, validation=replace(case.data.validation, label=mixed)), QUICK_OF_ALL[case.family], quiet
    )
    if not case.fit.curves:
        one, two = (fit.model.raw(case.unseen.features) for fit in (case.fit, other))  # type: ignore[attr-defined]
        assert np.array_equal(one, two)
    else:
        name = f"train_{HEADS[case.task].loss}"
        assert all(one == two for one, two in zip(case.fit.curves[name], other.curves[name], strict=False))


def test_the_search_is_decided_by_the_loss_of_the_task(case: Case) -> None:
    found = search(trainer(case.family), case.data, trials=2, rows=400, seed=1, progress=quiet)
    if trainer(case.family).defaults:
        assert all(HEADS[case.task].loss in trial for trial in found.trials)
        assert HEADS[case.task].loss not in found.parameters
        assert set(found.parameters) == set(trainer(case.family).defaults)
    else:
        assert (found.trials, found.parameters) == ((), {})


FAMILIES_OF_CLASSES = ("logistic_regression", "catboost", "neural_network")


def without(data: TrainingData, *labels: int) -> TrainingData:
    """The data without the training rows of these classes."""
    keep = ~np.isin(data.train.label, labels)
    train = replace(
        data.train, features=data.train.features.filter(keep), label=data.train.label[keep], day=data.train.day[keep]
    )
    return replace(data, train=train)


@pytest.mark.parametrize("family", FAMILIES_OF_CLASSES)
def test_a_class_that_appears_after_training_is_possible_and_small(family: str) -> None:
    data = without(data_of("multiclass"), 1, 3)
    answered = trainer(family).fit(data, QUICK_OF_ALL[family], quiet).model.predict(data.validation.features)
    reserve = 1 / (len(data.train.label) + 2)
    np.testing.assert_allclose(answered[:, [1, 3]], reserve, rtol=1e-6)
    np.testing.assert_allclose(answered.sum(axis=1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES_OF_CLASSES)
def test_a_model_of_two_of_many_classes_is_explained_and_kept(family: str, tmp_path: Path) -> None:
    data = without(data_of("multiclass"), 1, 3)
    model = trainer(family).fit(data, QUICK_OF_ALL[family], quiet).model
    model.save(tmp_path)
    few = data.validation.features[:30]
    assert np.array_equal(load_model(tmp_path).explain(few), model.explain(few))
    assert np.abs(model.explain(few)).sum() > 0


@pytest.mark.parametrize("family", FAMILIES_OF_CLASSES)
def test_a_class_with_one_row_is_learnt_without_complaint(family: str) -> None:
    data = data_of("multiclass")
    label = np.where(data.train.label == 3, 0, data.train.label)
    label[7] = 3
    fit = trainer(family).fit(replace(data, train=replace(data.train, label=label)), QUICK_OF_ALL[family], quiet)
    answered = fit.model.predict(data.validation.features)
    assert (answered > 0).all()
    assert answered[:, 3].mean() < 0.05


@pytest.mark.parametrize("family", FAMILIES_OF_CLASSES)
def test_calibration_takes_no_class_from_being_the_most_likely(family: str) -> None:
    data = data_of("multiclass")
    model = trainer(family).fit(data, QUICK_OF_ALL[family], quiet).model
    raw = model.raw(data.validation.features)  # type: ignore[attr-defined]
    assert np.array_equal(raw.argmax(axis=1), model.predict(data.validation.features).argmax(axis=1))
