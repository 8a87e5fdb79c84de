"""What promotion owes to classes, quantities and counts, as `test_promotion.py` says for probabilities."""

import dataclasses
from datetime import date

import numpy as np
import polars as pl
import pytest

from assets.logic.baselines import fit_baselines
from assets.logic.contenders import Contender, UnseenRows
from assets.logic.metrics import task_metrics
from assets.logic.promotion import Decision, decide
from assets.policies import PromotionPolicy
from assets.trainers.temperature import Temperature
from tests.support.worlds import DAYS, World, world

TASKS = ("multiclass", "regression", "count")
NEVER_CALIBRATED = PromotionPolicy(calibration_limit=1.0)


def judge(
    here: World,
    challenger: Contender,
    champion: Contender | None = None,
    *,
    policy: PromotionPolicy = NEVER_CALIBRATED,
    baseline: Contender | None = None,
) -> Decision:
    naive = [baseline] if baseline else here.baselines()
    return decide([challenger], champion, naive, here.rows, policy, task=here.task, seed=7)


def failed(decision: Decision) -> list[str]:
    return [r.rule for r in decision.rules if not r.passed]


def reason(decision: Decision, rule: str) -> str:
    return next(r.reason for r in decision.rules if r.rule == rule)


@pytest.mark.parametrize("task", TASKS)
def test_a_better_model_replaces_the_champion(task: str) -> None:
    here = world(task)
    decision = judge(here, here.model("cat", 0.2), here.model("champion", 0.5), policy=PromotionPolicy())
    assert (decision.promoted, failed(decision)) == (True, [])


@pytest.mark.parametrize("task", TASKS)
def test_a_worse_model_is_kept_out_for_that_alone(task: str) -> None:
    here = world(task)
    assert failed(judge(here, here.model("rough", 0.6), here.model("champion", 0.1))) == ["not_worse_than_champion"]


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_answers_as_the_champion_does_is_kept_out_for_that_alone(task: str) -> None:
    here = world(task)
    champion = here.model("champion")
    again = dataclasses.replace(champion, name="cat", fingerprint="by newer code")
    assert failed(judge(here, again, champion)) == ["differs_from_champion"]


@pytest.mark.parametrize("task", TASKS)
def test_a_model_no_better_than_a_constant_is_kept_out(task: str) -> None:
    here = world(task)
    useless = here.says("x", here.rng.normal(0, 0.3, len(here.truth)))
    assert "beats_base_rate" in failed(judge(here, useless))


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_knows_the_outcome_is_too_good_to_be_true(task: str) -> None:
    here = world(task)
    label = here.rows.label
    if task == "multiclass":
        told = np.eye(4)[label.astype(int)] * 0.96 + 0.01
    else:
        told = np.column_stack([label + 0.01, label, label + 0.01]).astype(np.float64)
    decision = judge(here, dataclasses.replace(here.model("leaky"), prediction=told))
    assert failed(decision) == ["no_sign_of_leakage"]
    assert "too good to be true" in reason(decision, "no_sign_of_leakage")


@pytest.mark.parametrize("task", TASKS)
def test_an_honest_model_does_not_look_like_a_leak(task: str) -> None:
    here = world(task)
    assert failed(judge(here, here.model("cat", 0.0))) == []


@pytest.mark.parametrize("task", ["regression", "count"])
def test_intervals_that_hold_too_few_labels_stop_a_model(task: str) -> None:
    here = world(task)
    model = here.model("cat", 0.1)
    assert model.prediction is not None
    point = model.prediction[:, :1]
    narrow = point + (model.prediction - point) / 3
    decision = judge(here, dataclasses.replace(model, prediction=narrow), policy=PromotionPolicy())
    assert failed(decision) == ["is_calibrated"]
    assert "promise what they do not keep" in reason(decision, "is_calibrated")


def test_probabilities_of_classes_that_are_too_sure_stop_a_model() -> None:
    here = world("multiclass")
    model = here.model("cat", 0.1)
    assert model.prediction is not None
    sure = model.prediction**2.5
    sure /= sure.sum(axis=1, keepdims=True)
    decision = judge(here, dataclasses.replace(model, prediction=sure), policy=PromotionPolicy())
    assert "is_calibrated" in failed(decision)


@pytest.mark.parametrize("task", TASKS)
def test_a_slice_where_the_model_fails_stops_it_although_the_whole_is_good(task: str) -> None:
    here = world(task)
    in_c = (here.rows.slices["origin"] == "C").to_numpy()
    decision = judge(here, here.says("cat", np.where(in_c, -0.4 * here.truth, here.truth)))
    assert failed(decision) == ["no_slice_collapses"]
    assert "origin=C" in reason(decision, "no_slice_collapses")


def test_a_slice_of_nothing_but_zeros_does_not_stop_a_model_that_expects_next_to_nothing_there() -> None:
    here = world("count")
    closed = np.arange(len(here.truth)) % 5 == 0
    rows = dataclasses.replace(
        here.rows,
        label=np.where(closed, 0.0, here.rows.label),
        slices=pl.DataFrame({"open": np.where(closed, "no", "yes")}),
    )
    model = here.model("cat", 0.1)
    assert model.prediction is not None
    nearly = np.where(closed[:, None], [0.005, 0.0, 1.0], model.prediction)
    several = np.where(closed[:, None], [2.0, 0.0, 4.0], model.prediction)
    for prediction, stopped in ((nearly, []), (several, ["no_slice_collapses"])):
        decision = judge(dataclasses.replace(here, rows=rows), dataclasses.replace(model, prediction=prediction))
        assert failed(decision) == stopped


@pytest.mark.parametrize("task", ["regression", "count"])
def test_nothing_is_said_of_probabilities_and_rates_where_there_are_none(task: str) -> None:
    here = world(task)
    good = judge(here, here.model("cat", 0.2), here.model("champion", 0.5))
    bad = judge(here, here.says("cat", -here.truth), here.model("champion", 0.5), policy=PromotionPolicy())
    said = " ".join(r.reason for decision in (good, bad) for r in decision.rules) + " ".join(good.reasons + bad.reasons)
    assert not [word for word in ("probabilit", "plain rate", "rates differ", "AUC", "log loss") if word in said]
    assert task_metrics(task).deciding.name in said


def test_differences_of_quantities_are_told_in_their_own_size() -> None:
    here = world("regression")
    decision = judge(here, here.model("cat", 0.2), here.model("champion", 0.5))
    limit = next(r.limit for r in decision.rules if r.rule == "not_worse_than_champion")
    assert limit is not None
    assert f"up to {limit:.4f} higher is accepted" in reason(decision, "not_worse_than_champion")


def test_the_margin_of_a_quantity_is_a_hundredth_of_the_champions_own_loss() -> None:
    here = world("regression")
    champion = here.model("champion", 0.5)
    assert champion.prediction is not None
    own = np.abs(here.rows.label - champion.prediction[:, 0]).mean()
    decision = judge(here, here.model("cat"), champion)
    limit = next(r.limit for r in decision.rules if r.rule == "not_worse_than_champion")
    assert limit == pytest.approx(0.01 * own)


@pytest.mark.parametrize("task", TASKS)
def test_a_limit_that_a_use_case_declares_stands_in_place_of_the_tasks_own(task: str) -> None:
    here = world(task)
    policy = PromotionPolicy(margin=3.5, leakage_ceiling=0.123, calibration_limit=0.321, slice_margin=4.5)
    decision = judge(here, here.model("cat"), here.model("champion"), policy=policy)
    limits = {r.rule: r.limit for r in decision.rules}
    wanted = {"not_worse_than_champion": 3.5, "no_sign_of_leakage": 0.123, "is_calibrated": 0.321}
    assert wanted.items() <= limits.items()
    assert limits["no_slice_collapses"] == 4.5


def test_models_that_know_other_classes_are_refused_before_they_are_compared() -> None:
    here = world("multiclass")
    champion = dataclasses.replace(here.model("champion"), prediction=np.full((6000, 3), 1 / 3))
    with pytest.raises(ValueError, match="bring them into the same ones first"):
        judge(here, here.model("cat"), champion)


@pytest.mark.parametrize("task", TASKS)
def test_predictions_in_the_shape_of_another_task_are_refused(task: str) -> None:
    here = world(task)
    with pytest.raises(ValueError, match=rf"predicts shape \(6000,\) for 6000 test rows of task '{task}'"):
        judge(here, dataclasses.replace(here.model("cat"), prediction=np.full(6000, 0.5)))


def test_a_class_that_only_the_test_window_has_costs_every_contender_the_same_and_decides_nothing() -> None:
    """Models and naive predictions keep the same for it, so who wins is settled by the other rows."""
    rng = np.random.default_rng(4)
    known, rows = world("multiclass", seed=4), 6000
    label = np.where(known.rows.label == 3, 2, known.rows.label)
    training = rng.choice(3, rows, p=[0.3, 0.6, 0.1])  # the fourth, OTHER, does not occur
    with_new = np.where(np.arange(rows) % 40 == 0, 3, label)
    reserve, score = 1 / (rows + 2), np.column_stack([known.truth, np.full(rows, 1.0), -0.5 * known.truth - 0.7])
    model = Temperature(classes=4, seen=(0, 1, 2), reserve=reserve)
    contenders = {
        name: Contender(
            name=name,
            prediction=model.answer(score + rng.normal(0, noise, (rows, 1)) * [1, 0, -0.5]),
            fingerprint=name,
            trained_through=date(2013, 7, 31),
        )
        for name, noise in (("cat", 0.1), ("champion", 0.8))
    }
    fitted = fit_baselines(
        "multiclass", pl.DataFrame({"x": training}), training, by=(), naive={}, classes=("a", "b", "c")
    )
    naive = Contender(name="base_rate", prediction=fitted["base_rate"].predict(pl.DataFrame({"x": training})))
    losses = task_metrics("multiclass").row_loss
    new = with_new == 3
    costs = {np.unique(losses(with_new, c.prediction)[new].round(9)).item() for c in (*contenders.values(), naive)}  # type: ignore[arg-type]
    assert costs == {round(float(-np.log(reserve)), 9)}
    unseen = UnseenRows(label=with_new, day=known.rows.day, slices=known.rows.slices)
    here = dataclasses.replace(known, rows=unseen)
    decision = judge(here, contenders["cat"], contenders["champion"], baseline=naive)
    assert {"beats_base_rate", "not_worse_than_champion"}.isdisjoint(failed(decision))
    swapped = [dataclasses.replace(contenders[a], name=b) for a, b in (("champion", "cat"), ("cat", "champion"))]
    worse = judge(here, *swapped, baseline=naive)
    assert "not_worse_than_champion" in failed(worse)


def equal_models(task: str, seed: int) -> list[list[str]]:
    """Rules that a challenger exactly as good as champion and baseline fails, and with the roles changed.

    Errors are alike within a day.
    """
    here = world(task, seed, rows=800, days=20)
    shared = here.rng.normal(0, 0.25, (2, 20))[:, np.searchsorted(DAYS, here.rows.day)]
    scores = [here.truth + s + here.rng.normal(0, 0.2, 800) for s in shared]
    policy = PromotionPolicy(margin=0.0, slice_rows=10_000, minimum_rows=500, calibration_limit=1.0)
    found = []
    for one, other in (scores, scores[::-1]):
        champion = here.says("champion", other)
        baseline = dataclasses.replace(champion, name="base_rate")
        found.append(failed(judge(here, here.says("cat", one), champion, policy=policy, baseline=baseline)))
    return found


@pytest.mark.parametrize("task", TASKS)
def test_equal_models_win_or_pass_at_the_margin_in_at_most_one_of_ten_tests(task: str) -> None:
    outcomes = [rules for seed in range(200) for rules in equal_models(task, seed)]
    beaten = sum("beats_base_rate" not in rules for rules in outcomes) / len(outcomes)
    at_margin = sum("not_worse_than_champion" not in rules for rules in outcomes) / len(outcomes)
    # A confidence of 95 % promises 5 %; over 1,200 outcomes of 20 days it is 6 to 8 %: days differ in skewed ways.
    assert 0.02 <= beaten <= 0.10
    assert 0.02 <= at_margin <= 0.10


def at_the_relative_margin(seed: int, worse: float) -> bool:
    """Whether a model of a quantity passes whose errors are `worse` times those of the champion."""
    here = world("regression", seed, rows=800, days=20)
    label = here.rows.label
    first, second = (here.model("cat", 0.4).prediction for _ in range(2))
    assert first is not None
    assert second is not None
    challenger = dataclasses.replace(here.model("cat"), prediction=label[:, None] + worse * (first - label[:, None]))
    champion = dataclasses.replace(here.model("champion"), prediction=second)
    policy = PromotionPolicy(slice_rows=10_000, minimum_rows=500, calibration_limit=1.0)
    return "not_worse_than_champion" not in failed(judge(here, challenger, champion, policy=policy))


def test_a_model_worse_by_all_of_the_relative_margin_passes_in_at_most_one_of_ten_tests() -> None:
    passed = sum(at_the_relative_margin(seed, worse=1.01) for seed in range(300)) / 300
    assert 0.02 <= passed <= 0.10


def test_a_model_much_better_than_the_relative_margin_asks_passes_nearly_always() -> None:
    assert sum(at_the_relative_margin(seed, worse=0.85) for seed in range(60)) >= 57
