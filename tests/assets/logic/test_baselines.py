import numpy as np
import polars as pl
import pytest

from assets.logic.baselines import baseline_names, fit_baselines
from assets.logic.metrics import Floats, Labels, fits, score, task_metrics
from assets.logic.rules_in_words import rules_in_words
from assets.trainers.temperature import Temperature

GROUPS = pl.DataFrame({"carrier": ["A"] * 100 + ["B"] * 2 + [None] * 98, "hour": [6] * 200})
LABEL = np.array([1] * 80 + [0] * 20 + [1] * 2 + [0] * 98, dtype=np.int8)
WEEK_AGO = pl.DataFrame({"week_ago": [10.0, None, 30.0, float("nan")] * 50})


def predicted(name: str, by: list[str], rows: pl.DataFrame = GROUPS, smoothing: float = 50.0) -> Floats:
    return fit_baselines("binary", GROUPS, LABEL, by=by, naive={}, smoothing=smoothing)[name].predict(rows)


def test_the_base_rate_is_the_share_of_training_rows() -> None:
    assert predicted("base_rate", []).tolist() == [0.41] * 200


def test_a_group_is_drawn_towards_the_base_rate_by_its_size() -> None:
    rates = predicted("group_rate", ["carrier"], smoothing=100.0)
    assert rates[0] == pytest.approx((80 + 41) / 200)
    assert rates[100] == pytest.approx((2 + 41) / 102)


def test_a_group_never_seen_gets_the_base_rate() -> None:
    unseen = pl.DataFrame({"carrier": ["Z", "A"], "hour": [6, 23]})
    assert predicted("group_rate", ["carrier", "hour"], unseen).tolist() == [0.41, 0.41]


def test_a_missing_group_value_is_a_group() -> None:
    assert predicted("group_rate", ["carrier"])[-1] < 0.2


def test_predictions_keep_the_order_of_rows() -> None:
    rates = predicted("group_rate", ["carrier"], pl.DataFrame({"carrier": ["B", "A", "B", None, "A"]}))
    assert rates[0] == rates[2]
    assert rates[1] == rates[4]
    assert len(set(rates.tolist())) == 3


def test_a_pure_group_is_never_certain() -> None:
    assert 0 < predicted("group_rate", ["carrier"])[100] < 1


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_training_rows_of_one_class_are_refused(task: str) -> None:
    with pytest.raises(ValueError, match="two classes are needed"):
        fit_baselines(task, GROUPS[:9], np.ones(9), by=(), naive={}, classes=("a", "b"))


@pytest.mark.parametrize(("rows", "smoothing"), [(0, 50.0), (200, 0.0)])
def test_nothing_is_fitted_without_rows_or_smoothing(rows: int, smoothing: float) -> None:
    with pytest.raises(ValueError, match="training rows and a positive smoothing"):
        fit_baselines("binary", GROUPS[:rows], LABEL[:rows], by=(), naive={}, smoothing=smoothing)


def test_a_task_without_naive_predictions_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'ranking' has no naive predictions"):
        baseline_names("ranking", (), {})


def test_a_use_case_without_groups_has_the_base_rate_only() -> None:
    assert list(fit_baselines("binary", GROUPS, LABEL, by=(), naive={})) == ["base_rate"]


def test_the_title_of_a_group_rate_names_its_columns() -> None:
    fitted = fit_baselines("binary", GROUPS, LABEL, by=("carrier", "hour"), naive={})
    assert fitted["group_rate"].title == "rate by carrier and hour"


TASKS: dict[str, tuple[Labels, dict[str, str]]] = {
    "binary": (LABEL, {}),
    "multiclass": (np.arange(200) % 3, {}),
    "regression": (np.arange(200.0), {"weekly": "week_ago"}),
    "count": (np.arange(200.0) % 7, {"weekly": "week_ago"}),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_baseline_predicts_in_the_shape_of_its_task_and_can_be_scored(task: str) -> None:
    label, naive = TASKS[task]
    rows = pl.concat([GROUPS, WEEK_AGO], how="horizontal")
    for baseline in fit_baselines(task, rows, label, by=["carrier"], naive=naive, classes=("a", "b")).values():
        prediction = baseline.predict(rows)
        assert fits(task_metrics(task), prediction, 200)
        assert all(m.value is not None for m in score(task, label, prediction).values())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("by", [(), ("carrier",)])
def test_the_names_that_are_declared_are_those_that_are_fitted(task: str, by: tuple[str, ...]) -> None:
    label, naive = TASKS[task]
    rows = pl.concat([GROUPS, WEEK_AGO], how="horizontal")
    fitted = fit_baselines(task, rows, label, by=by, naive=naive, classes=("a", "b"))
    assert list(baseline_names(task, by, naive)) == list(fitted)


def test_there_is_a_sentence_for_every_baseline_to_beat() -> None:
    sentences = rules_in_words("regression", by=["carrier"], naive={"weekly_naive": "week_ago"})
    assert sentences["beats_weekly_naive"] == "Better than the weekly naive, paired by day."
    assert {"beats_constant", "beats_group_median"} < sentences.keys()


def test_class_shares_are_those_of_the_training_rows() -> None:
    label = np.array([0] * 50 + [1] * 100 + [2] * 50)
    shares = fit_baselines("multiclass", GROUPS, label, by=(), naive={}, classes=("a", "b"))["base_rate"]
    assert shares.predict(GROUPS)[0].tolist() == [0.25, 0.5, 0.25]


def test_class_shares_of_a_group_are_drawn_towards_those_of_all_rows() -> None:
    label = np.array([0] * 100 + [1] * 100)
    fitted = fit_baselines("multiclass", GROUPS, label, by=["carrier"], naive={}, classes=("a",), smoothing=100.0)
    assert fitted["group_rate"].predict(GROUPS)[0] == pytest.approx([(100 + 50) / 200, 50 / 200])


def test_a_class_that_training_never_saw_costs_a_naive_prediction_what_it_costs_a_model() -> None:
    label = np.arange(200) % 2  # OTHER, the third, does not occur
    model = Temperature(classes=3, seen=(0, 1), reserve=1 / (len(label) + 2)).answer(np.zeros((200, 2)))
    fitted = fit_baselines("multiclass", GROUPS, label, by=["carrier"], naive={}, classes=("a", "b"))
    losses = task_metrics("multiclass").row_loss
    unseen = np.full(200, 2)
    for baseline in fitted.values():
        prediction = baseline.predict(GROUPS)
        assert losses(unseen, prediction) == pytest.approx(losses(unseen, model))
        assert prediction.sum(axis=1) == pytest.approx(np.ones(200))


def test_the_constant_of_a_quantity_is_its_median_with_the_quantiles_around_it() -> None:
    label = np.concatenate([np.arange(100.0), np.full(100, 1e6)])[:199]
    (point, low, high) = fit_baselines("regression", GROUPS[:199], label, by=(), naive={})["constant"].predict(
        GROUPS[:1]
    )[0]
    assert point == np.median(label)
    assert (low, high) == pytest.approx(tuple(np.quantile(label, [0.05, 0.95])))


def test_the_constant_of_a_count_is_its_mean_and_its_interval_stays_above_nothing() -> None:
    label = np.array([0.0] * 190 + [50.0] * 10)
    point, low, high = fit_baselines("count", GROUPS, label, by=(), naive={})["constant"].predict(GROUPS)[0]
    assert (point, low) == (2.5, 0.0)
    assert high >= point


def test_the_median_of_a_group_is_not_moved_by_one_extreme_label() -> None:
    label = np.array([10.0] * 99 + [1e9] + [20.0] * 100)
    fitted = fit_baselines("regression", GROUPS, label, by=["carrier"], naive={}, smoothing=1e-9)
    assert fitted["group_median"].predict(GROUPS)[0, 0] == pytest.approx(10.0)


def test_a_feature_that_is_a_prediction_stands_as_it_is_and_the_median_where_it_is_missing() -> None:
    label = np.arange(200.0)
    weekly = fit_baselines("regression", WEEK_AGO, label, by=(), naive={"weekly": "week_ago"})["weekly"]
    assert weekly.predict(WEEK_AGO)[:4, 0].tolist() == [10.0, 99.5, 30.0, 99.5]


def test_the_interval_of_such_a_feature_is_learnt_where_it_is_known() -> None:
    rng = np.random.default_rng(3)
    seen = rng.normal(100, 30, 4000)
    label = seen + rng.normal(0, 2, 4000)
    rows = pl.DataFrame({"week_ago": np.where(np.arange(4000) % 2, seen, np.nan)})
    weekly = fit_baselines("regression", rows, label, by=(), naive={"weekly": "week_ago"})["weekly"].predict(rows)
    inside = ((weekly[:, 1] <= label) & (label <= weekly[:, 2]))[1::2]
    assert inside.mean() == pytest.approx(0.9, abs=0.005)


def test_a_feature_that_is_always_missing_predicts_the_constant() -> None:
    label, rows = np.arange(200.0), pl.DataFrame({"week_ago": pl.Series([None] * 200, dtype=pl.Float64)})
    fitted = fit_baselines("regression", rows, label, by=(), naive={"weekly": "week_ago"})
    assert (fitted["weekly"].predict(rows) == fitted["constant"].predict(rows)).all()
