import dataclasses
from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from pydantic import TypeAdapter

from assets.logic.contenders import Contender, UnseenRows
from assets.logic.promotion import Decision, decide
from assets.policies import PromotionPolicy
from tests.support import worlds
from tests.support.worlds import DAYS, World, sigmoid

POLICY = PromotionPolicy(leakage_ceiling=0.9)


def world(seed: int = 1, rows: int = 6000, days: int = 31) -> World:
    return worlds.world("binary", seed, rows, days)


def judge(
    here: World,
    challengers: Sequence[Contender],
    champion: Contender | None = None,
    policy: PromotionPolicy = POLICY,
    baselines: Sequence[Contender] | None = None,
) -> Decision:
    naive = here.baselines() if baselines is None else baselines
    return decide(challengers, champion, naive, here.rows, policy, task=here.task, seed=7)


def failed(decision: Decision, model: str) -> list[str]:
    return [r.rule for r in decision.rules if r.model == model and not r.passed]


def reason(decision: Decision, rule: str) -> str:
    return next(r.reason for r in decision.rules if r.rule == rule)


def test_a_good_first_challenger_is_promoted() -> None:
    here = world()
    decision = judge(here, [here.model("cat")])
    assert (decision.promoted, decision.model, decision.version) == (True, "cat", "line/cat")


def test_the_one_with_the_lowest_loss_among_those_that_pass_is_promoted() -> None:
    here = world()
    decision = judge(here, [here.model("rough", 0.9), here.model("fine", 0.2), here.model("middle", 0.5)])
    assert decision.model == "fine"


def test_a_challenger_that_fails_a_rule_leaves_the_place_to_the_next_best() -> None:
    here = world()
    leaky = dataclasses.replace(here.model("leaky"), prediction=np.where(here.rows.label == 1, 0.98, 0.02))
    decision = judge(here, [leaky, here.model("honest")])
    assert decision.model == "honest"
    assert failed(decision, "leaky") == ["no_sign_of_leakage"]


def test_a_challenger_no_better_than_the_base_rate_is_kept_out() -> None:
    here = world()
    useless = dataclasses.replace(here.model("x"), prediction=sigmoid(here.rng.normal(-1.2, 0.1, len(here.truth))))
    assert "beats_base_rate" in failed(judge(here, [useless]), "x")


def test_every_baseline_has_to_be_beaten() -> None:
    here = world()
    strong = Contender(name="group_rate", prediction=sigmoid(here.truth))
    decision = judge(here, [here.model("cat")], baselines=[*here.baselines(), strong])
    assert failed(decision, "cat") == ["beats_group_rate"]


def test_a_challenger_that_is_clearly_worse_than_the_champion_is_kept_out() -> None:
    here = world()
    decision = judge(here, [here.model("rough", 0.55)], here.model("champion", 0.1))
    assert failed(decision, "rough") == ["not_worse_than_champion"]
    assert decision.reasons[0] == "Rough is not promoted; the champion stays."


def test_a_challenger_made_from_the_same_things_as_the_champion_is_kept_with_that_reason() -> None:
    here = world()
    champion = here.model("champion", fingerprint="same")
    again = dataclasses.replace(champion, name="cat", version="line/9")
    decision = judge(here, [again], champion)
    assert not decision.promoted
    assert "made from the same data, code and configuration" in " ".join(decision.reasons)


def test_a_challenger_that_answers_every_row_as_the_champion_does_is_kept_with_that_reason() -> None:
    here = world()
    champion = here.model("champion", fingerprint="by older code")
    again = dataclasses.replace(champion, name="cat", version="line/9", fingerprint="by newer code")
    decision = judge(here, [again], champion)
    assert failed(decision, "cat") == ["differs_from_champion"]
    assert "answers every test row the same" in " ".join(decision.reasons)


def test_a_challenger_that_answers_one_row_otherwise_is_not_the_champion() -> None:
    here = world()
    champion = here.model("champion", fingerprint="by older code")
    assert champion.prediction is not None
    prediction = champion.prediction.copy()
    prediction[0] -= 1e-9
    again = dataclasses.replace(champion, name="cat", prediction=prediction, fingerprint="by newer code")
    assert "differs_from_champion" not in failed(judge(here, [again], champion), "cat")


def test_running_the_line_twice_does_not_promote_the_second_best_in_place_of_the_best() -> None:
    here = world()
    best, second = here.model("cat", 0.2), here.model("net", 0.21)
    champion = dataclasses.replace(best, name="champion")
    decision = judge(here, [best, second], champion, PromotionPolicy(leakage_ceiling=0.9, margin=0.05))
    assert failed(decision, "net") == []
    assert not decision.promoted
    assert decision.model == "cat"


def test_a_slice_where_the_model_fails_stops_it_although_the_whole_is_good() -> None:
    here = world()
    model = here.model("cat", 0.1)
    assert model.prediction is not None
    in_c = (here.rows.slices["origin"] == "C").to_numpy()
    upside_down = np.where(in_c, sigmoid(-here.truth - 2.4), model.prediction)
    decision = judge(
        here, [dataclasses.replace(model, prediction=upside_down)], policy=PromotionPolicy(calibration_limit=1.0)
    )
    assert "no_slice_collapses" in failed(decision, "cat")
    assert "origin=C" in reason(decision, "no_slice_collapses")


def with_a_bad_slice(members: npt.NDArray[np.bool_]) -> Decision:
    """A good model that is upside down on `members`, which are a slice of their own."""
    here = world()
    model = here.model("cat", 0.1)
    assert model.prediction is not None
    turned = dataclasses.replace(model, prediction=np.where(members, 1 - model.prediction, model.prediction))
    rows = dataclasses.replace(here.rows, slices=pl.DataFrame({"origin": np.where(members, "bad", "good")}))
    return judge(dataclasses.replace(here, rows=rows), [turned])


@pytest.mark.parametrize(("every", "is_judged"), [(30, False), (10, True)])  # 200 and 600 of 6,000 rows
def test_a_slice_is_judged_from_the_number_of_rows_the_policy_names(every: int, is_judged: bool) -> None:
    decision = with_a_bad_slice(np.arange(6000) % every == 0)
    assert ("no_slice_collapses" in failed(decision, "cat")) == is_judged


def test_a_slice_of_few_days_is_not_judged_because_nothing_sure_can_be_said() -> None:
    decision = with_a_bad_slice(np.arange(6000) < 600)  # the first three days
    assert "no_slice_collapses" not in failed(decision, "cat")


def test_probabilities_that_are_off_stop_a_model_that_ranks_well() -> None:
    here = world()
    shouting = dataclasses.replace(here.model("cat"), prediction=sigmoid(here.truth * 0.6 + 0.2))
    assert "is_calibrated" in failed(judge(here, [shouting]), "cat")


def test_a_score_above_the_leakage_ceiling_is_too_good_to_be_true() -> None:
    here = world()
    decision = judge(here, [here.model("cat", 0.1)], policy=PromotionPolicy(leakage_ceiling=0.70))
    assert failed(decision, "cat") == ["no_sign_of_leakage"]
    assert "too good to be true" in reason(decision, "no_sign_of_leakage")


def test_few_rows_decide_nothing() -> None:
    here = world(rows=900)
    assert "enough_rows" in failed(judge(here, [here.model("cat")]), "cat")


def test_a_test_window_of_one_class_decides_nothing_and_says_so() -> None:
    here = world()
    one = dataclasses.replace(here, rows=dataclasses.replace(here.rows, label=np.zeros(6000, dtype=np.int8)))
    decision = judge(one, [here.model("cat")])
    assert not decision.promoted
    assert "all 6000 labels are 0" in reason(decision, "enough_rows")


def test_without_any_test_row_nothing_is_promoted() -> None:
    rows = UnseenRows(label=np.array([], dtype=np.int8), day=np.array([], dtype="datetime64[D]"), slices=pl.DataFrame())
    empty = Contender(name="cat", prediction=np.array([]), fingerprint="f", trained_through=date(2013, 7, 31))
    naive = [Contender(name="base_rate", prediction=np.array([]))]
    assert not decide([empty], None, naive, rows, POLICY, task="binary", seed=1).promoted


def test_a_test_window_of_three_days_decides_nothing() -> None:
    here = world(days=3)
    assert "beats_base_rate" in failed(judge(here, [here.model("cat")]), "cat")


def test_a_challenger_that_could_not_predict_fails_every_measured_rule_with_the_reason() -> None:
    here = world()
    broken = Contender(name="cat", prediction=None, problem="the model file is gone", trained_through=date(2013, 7, 31))
    decision = judge(here, [broken])
    assert decision.model is None
    assert {"enough_rows", "beats_base_rate", "no_slice_collapses", "is_calibrated", "no_sign_of_leakage"} <= set(
        failed(decision, "cat")
    )
    assert "the model file is gone" in " ".join(decision.reasons)


def test_a_champion_that_could_not_predict_is_not_replaced() -> None:
    here = world()
    champion = here.model("champion", problem="out of reach")
    decision = judge(here, [here.model("cat")], dataclasses.replace(champion, prediction=None))
    assert failed(decision, "cat") == ["not_worse_than_champion"]
    assert "out of reach" in reason(decision, "not_worse_than_champion")


def test_one_prediction_that_is_not_a_number_stops_a_challenger() -> None:
    here = world()
    model = here.model("cat")
    assert model.prediction is not None
    model.prediction[17] = np.nan
    decision = judge(here, [model])
    assert not decision.promoted
    assert "1 of 6000 predictions" in reason(decision, "enough_rows")


def test_without_a_baseline_nothing_is_promoted() -> None:
    here = world()
    assert failed(judge(here, [here.model("cat")], baselines=[]), "cat") == ["beats_baseline"]


def test_without_a_challenger_nothing_is_promoted() -> None:
    here = world()
    assert judge(here, []).reasons == ("No challenger was given; there is no champion yet, so nothing goes live.",)


@pytest.mark.parametrize("side", ["challenger", "champion"])
def test_a_model_that_has_seen_test_days_is_not_compared(side: str) -> None:
    here = world()
    seen = {"trained_through": date(2013, 8, 3)}
    challenger = here.model("cat", **(seen if side == "challenger" else {}))
    champion = here.model("champion", 0.6, **(seen if side == "champion" else {}))
    assert failed(judge(here, [challenger], champion), "cat") == ["unseen_rows"]


def test_unknown_origins_fail_closed() -> None:
    here = world()
    challenger = here.model("cat", fingerprint=None, trained_through=None)
    assert failed(judge(here, [challenger], here.model("champion", 0.6)), "cat") == [
        "unseen_rows",
        "differs_from_champion",
    ]


def test_two_contenders_of_one_name_are_refused() -> None:
    here = world()
    with pytest.raises(ValueError, match="stand twice"):
        judge(here, [here.model("cat"), here.model("cat")])


def test_predictions_of_another_length_are_refused() -> None:
    here = world()
    with pytest.raises(ValueError, match="predicts shape"):
        judge(here, [dataclasses.replace(here.model("cat"), prediction=np.array([0.5]))])


def test_the_same_inputs_and_seed_give_the_same_decision() -> None:
    first, second = (judge(here, [here.model("cat")], here.model("champion", 0.5)) for here in (world(3), world(3)))
    assert first == second


def test_a_decision_travels_between_assets_as_it_was() -> None:
    here, adapter = world(), TypeAdapter(Decision)
    decision = judge(here, [here.model("cat")], here.model("champion", 0.5))
    assert adapter.validate_json(adapter.dump_json(decision)) == decision


def equal_models(seed: int, margin: float) -> list[str]:
    """Rules that a challenger exactly as good as champion and baseline fails; their errors are alike within a day."""
    here = world(seed, rows=1200, days=20)
    shared = here.rng.normal(0, 0.25, (2, 20))[:, np.searchsorted(DAYS, here.rows.day)]
    one, other = (sigmoid(here.truth + s + here.rng.normal(0, 0.2, 1200)) for s in shared)
    facts = {"trained_through": date(2013, 7, 31)}
    challenger = Contender(name="cat", prediction=one, fingerprint="a", **facts)  # type: ignore[arg-type]
    champion = Contender(name="champion", prediction=other, fingerprint="b", **facts)  # type: ignore[arg-type]
    baseline = Contender(name="base_rate", prediction=other)
    policy = PromotionPolicy(margin=margin, slice_rows=10_000, leakage_ceiling=1.0)
    return failed(judge(here, [challenger], champion, policy, [baseline]), "cat")


def test_equal_models_win_or_pass_at_the_margin_as_rarely_as_the_confidence_says() -> None:
    trials = 300
    outcomes = [equal_models(seed, margin=0.0) for seed in range(trials)]
    beaten = sum("beats_base_rate" not in rules for rules in outcomes) / trials
    at_margin = sum("not_worse_than_champion" not in rules for rules in outcomes) / trials
    # Two standard errors around the 5 % that a confidence of 95 % allows.
    assert 0.02 <= beaten <= 0.08
    assert 0.02 <= at_margin <= 0.08


def test_an_equal_challenger_passes_when_the_margin_is_wider_than_the_noise() -> None:
    outcomes = [equal_models(seed, margin=0.05) for seed in range(60)]
    assert sum("not_worse_than_champion" in rules for rules in outcomes) <= 3
