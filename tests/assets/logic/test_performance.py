"""Windows as known at the end of their partition: what is judged, what is an estimate, and what raises an alarm."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets.logic.control_chart import CHARTS
from assets.logic.expectations_of_loss import EXPECTATIONS, expected_auc, poisson_deviance_to_expect
from assets.logic.in_control import InControl, in_control
from assets.logic.metrics import task_metrics
from assets.logic.performance import Performance, judged
from assets.logic.performance_days import NEVER, ScoredRows, day_statistics, scored_rows
from assets.logic.performance_tables import UNDER_WAY
from assets.logic.performance_window import Moment, Yardstick
from tests.support.worlds import ANSWERS, LABELS, sigmoid

TASKS = ["binary", "multiclass", "regression", "count"]
FIRST = date(2013, 6, 1)
START = np.datetime64(FIRST)
TESTED, ROWS, WINDOW = 31, 300, 14
"""Days of the test window, rows of a day, and days of a window."""
DELAY = np.timedelta64(20, "h")
STALE_AFTER = timedelta(days=2)


def rows_of(
    task: str, days: int, *, seed: int = 1, late_labels: float = 0.0, ranked: bool = True, version: int = 0
) -> ScoredRows:
    """Rows of a model that means what it says, on days that differ.

    Args:
        task: Kind of task.
        days: How many, from `START`.
        seed: Of all that is drawn.
        late_labels: Binary: share of the labels 1 that become 0 after the test window.
        ranked: Whether predictions after the test window belong to their rows, or to others of the same day.
        version: Index of the model version.
    """
    random = np.random.default_rng(seed)
    day = np.repeat(START + np.arange(days), ROWS)
    truth = np.repeat(random.normal(0, 0.2, days), ROWS) + random.normal(0, 1.0, days * ROWS)
    label = LABELS[task](random, truth).astype(np.float64)
    after = day >= START + TESTED
    if late_labels:
        label = np.where(after & (random.random(len(label)) < late_labels), 0.0, label)
    prediction = ANSWERS[task](truth)
    if not ranked:
        order = np.concatenate([n * ROWS + random.permutation(ROWS) for n in range(days)])
        prediction = prediction[np.where(after, order, np.arange(len(order)))]
    asked = (day + np.timedelta64(12, "h")).astype("datetime64[us]")
    return scored_rows(
        task,
        day=day,
        asked_at=asked,
        known_at=(asked + DELAY).astype("datetime64[us]"),
        label=label,
        prediction=prediction,
        version=np.full(len(day), version),
    )


def told_anew(task: str, rows: ScoredRows, **changes: Any) -> ScoredRows:
    """The rows with another label or prediction, and what follows from it."""
    names = ("day", "asked_at", "known_at", "label", "prediction", "version")
    return scored_rows(task, **{name: getattr(rows, name) for name in names} | changes)


def moment(number: int) -> Moment:
    last = FIRST + timedelta(days=number)
    return Moment(key=str(last), last_day=last, end=datetime.combine(last, datetime.min.time()) + timedelta(days=1))


@cache
def yardstick(task: str, version: str = "line/1") -> Yardstick:
    rows = rows_of(task, TESTED, seed=2)
    known = in_control(task, version, rows)
    return Yardstick(version=version, in_control=known, charts=known.charts(window=WINDOW, run_length=370, seed=1))


def performance(task: str, rows: ScoredRows, *numbers: int) -> Performance:
    return judged(task, rows, [moment(n) for n in numbers], [yardstick(task)], window=WINDOW, stale_after=STALE_AFTER)


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_goes_on_as_before_is_in_control(task: str) -> None:
    found = performance(task, rows_of(task, 60), *range(35, 60)).windows
    assert found["is_out_of_control"].sum() < 0.2 * len(found)  # a false alarm may come, not stay
    assert found["note"].null_count() == 25


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_tells_rows_no_longer_apart_is_found_within_days(task: str) -> None:
    found = performance(task, rows_of(task, 45, ranked=False), *range(TESTED, 45)).windows
    alarms = found.filter("is_out_of_control")
    assert alarms["judged_day"][0] - FIRST < timedelta(days=TESTED + 5)
    assert any("slope" in name or "loss" in name for name in alarms["chart_alarms"][0])


def test_a_halved_rate_of_labels_is_found_within_days() -> None:
    found = performance("binary", rows_of("binary", 45, late_labels=0.5), *range(TESTED, 45)).windows
    first = found.filter("is_out_of_control").row(0, named=True)
    assert first["judged_day"] - FIRST < timedelta(days=TESTED + 6)
    assert any(name.startswith("residual") for name in first["chart_alarms"])


@pytest.mark.parametrize("task", TASKS)
def test_an_estimate_without_labels_is_close_to_what_comes(task: str) -> None:
    window = performance(task, rows_of(task, 60), 59).windows.row(0, named=True)
    assert abs(window["estimate_error"]) < 0.05 * window["loss"]


@pytest.mark.parametrize("task", TASKS)
def test_a_day_whose_labels_are_under_way_is_an_estimate(task: str) -> None:
    days = performance(task, rows_of(task, 40), 39).days
    newest, before = days.row(-1, named=True), days.row(-2, named=True)
    assert (newest["is_estimate"], newest["labelled"], newest["loss"]) == (True, 0, None)
    assert newest["expected_loss"] > 0
    assert (before["is_estimate"], before["labelled"]) == (False, ROWS)


def test_labels_that_come_later_change_no_earlier_window() -> None:
    rows = rows_of("binary", 45)
    then = np.datetime64(moment(39).end, "us")
    later = replace(rows, label=np.where(rows.known_at > then, 1 - rows.label, rows.label))
    first, second = (performance("binary", one, 39) for one in (rows, later))
    assert_frame_equal(first.windows, second.windows)
    assert_frame_equal(first.days, second.days)


@pytest.mark.parametrize("task", TASKS)
def test_partitions_together_give_what_they_give_one_by_one(task: str) -> None:
    rows = rows_of(task, 50)
    together = performance(task, rows, *range(30, 50))
    alone = [performance(task, rows.between(START + n - 30, START + n), n) for n in range(30, 50)]
    assert_frame_equal(together.windows, pl.concat([one.windows for one in alone]))
    assert_frame_equal(together.days, pl.concat([one.days for one in alone]))


def test_the_window_is_as_long_as_asked_and_the_days_under_way() -> None:
    found = performance("binary", rows_of("binary", 50), 49)
    window = found.windows.row(0, named=True)
    assert window["judged_days"] == WINDOW
    assert len(found.days) == WINDOW + 1
    assert window["window_end"] - window["window_start"] == timedelta(days=WINDOW)


def test_the_loss_of_the_window_is_that_of_its_judged_days() -> None:
    found = performance("binary", rows_of("binary", 50), 49)
    days = found.days.filter(~pl.col("is_estimate"))
    window = found.windows.row(0, named=True)
    for name in ("loss", "baseline_loss", "residual"):
        assert window[name] == pytest.approx(float(np.average(days[name], weights=days["labelled"])))


def test_a_new_version_starts_the_charts_anew_and_is_judged_by_its_own_test_window() -> None:
    rows = rows_of("binary", 50)
    mixed = replace(rows, version=(rows.day >= START + 40).astype(np.int64))
    marks = [yardstick("binary"), yardstick("binary", "line/2")]
    found = judged("binary", mixed, [moment(40), moment(44)], marks, window=WINDOW, stale_after=STALE_AFTER)
    assert found.windows["model_version"].to_list() == ["line/1", "line/2"]
    charted = found.days.filter(pl.col(CHARTS[0]).is_not_null()).group_by("partition_key").len().sort("partition_key")
    assert charted["len"].to_list() == [WINDOW, 4]


def test_a_version_that_cannot_be_judged_says_why() -> None:
    mark = Yardstick(version="line/1", in_control=None, charts=None, reason="It is not on record.")
    found = judged("binary", rows_of("binary", 20), [moment(19)], [mark], window=WINDOW, stale_after=STALE_AFTER)
    window = found.windows.row(0, named=True)
    assert (window["is_out_of_control"], window["note"]) == (None, "It is not on record.")


def test_a_version_without_limits_is_measured_and_says_why_it_is_not_judged() -> None:
    mark = replace(yardstick("binary"), charts=None, reason="Too few days.")
    found = judged("binary", rows_of("binary", 40), [moment(39)], [mark], window=WINDOW, stale_after=STALE_AFTER)
    window = found.windows.row(0, named=True)
    assert (window["is_out_of_control"], window["note"]) == (None, "Too few days.")
    assert window["loss"] > 0


def test_a_window_without_predictions_says_so() -> None:
    window = performance("binary", rows_of("binary", 10), 300).windows.row(0, named=True)
    assert (window["rows"], window["is_out_of_control"]) == (0, None)
    assert window["note"] == "There are no predictions in this window."


def test_labels_that_stop_coming_are_overdue_and_their_days_not_judged() -> None:
    rows = rows_of("binary", 40)
    silent = replace(rows, known_at=np.where(rows.day >= START + 36, NEVER, rows.known_at))
    window = performance("binary", silent, 39).windows.row(0, named=True)
    assert window["judged_day"] == date(2013, 7, 6)
    assert window["overdue_share"] == 1.0 > window["overdue_limit"]


def test_a_day_of_which_most_labels_are_missing_is_not_judged() -> None:
    rows = rows_of("binary", 40)
    scarce = (rows.day == START + 38) & (np.arange(len(rows.day)) % 3 > 0)
    window = performance("binary", replace(rows, known_at=np.where(scarce, NEVER, rows.known_at)), 39).windows
    assert window["judged_day"].to_list() == [FIRST + timedelta(days=37)]


def test_labels_that_come_as_usual_are_not_overdue() -> None:
    window = performance("binary", rows_of("binary", 40), 39).windows.row(0, named=True)
    assert window["overdue_share"] == 0.0 < window["overdue_limit"]


@pytest.mark.parametrize(("silent", "is_judged"), [(3, True), (4, False)])
def test_a_verdict_on_days_that_are_too_long_ago_is_none(silent: int, is_judged: bool) -> None:
    rows = rows_of("binary", 40, late_labels=0.9)
    stopped = replace(rows, known_at=np.where(rows.day > START + 39 - silent, NEVER, rows.known_at))
    window = performance("binary", stopped, 39).windows.row(0, named=True)
    assert window["is_out_of_control"] is (True if is_judged else None)
    assert bool(window["chart_alarms"]) is is_judged
    assert is_judged or window["note"] == (
        "The labels of 2013-07-09 should be in, and 2013-07-06 is the newest day with enough of them: more than 2 days "
        "before."
    )


def test_labels_that_never_came_are_told_from_labels_under_way() -> None:
    rows = rows_of("binary", 40)
    silent = replace(rows, known_at=np.full(len(rows.day), NEVER))
    assert performance("binary", rows.between(START + 39, START + 39), 39).windows["note"].to_list() == [UNDER_WAY]
    (note,) = performance("binary", silent, 39).windows["note"]
    assert note == "The labels of 2013-07-09 should be in, and no day of this window has enough of them."


def test_the_scores_after_a_promotion_are_those_of_the_new_version() -> None:
    rows = rows_of("binary", 41)
    wrong = told_anew("binary", rows, prediction=np.where(rows.day < START + 39, 1 - rows.prediction, rows.prediction))
    mixed = replace(wrong, version=(rows.day >= START + 39).astype(np.int64))
    marks = [yardstick("binary"), yardstick("binary", "line/2")]
    found = judged("binary", mixed, [moment(40)], marks, window=WINDOW, stale_after=STALE_AFTER)
    window = found.windows.row(0, named=True)
    own = found.days.filter(pl.col("day") == FIRST + timedelta(days=39)).row(0, named=True)
    assert (window["judged_days"], window["compared_days"], window["model_version"]) == (WINDOW, 1, "line/2")
    for name in ("loss", "residual"):
        assert window[name] == pytest.approx(own[name])
    assert window["estimate_error"] == pytest.approx(own["expected_loss"] - own["loss"])
    assert window["auc"] > 0.6
    assert window["calibration_error"] < 0.1
    assert found.days["loss"].drop_nulls()[:-1].min() > own["loss"]


def test_a_live_version_that_cannot_be_judged_is_not_covered_by_the_one_before() -> None:
    rows = rows_of("binary", 40)
    mixed = replace(rows, version=(rows.day >= START + 39).astype(np.int64))
    gone = Yardstick(version="line/2", in_control=None, charts=None, reason="It is gone.")
    marks = [yardstick("binary"), gone]
    found = judged("binary", mixed, [moment(38), moment(39)], marks, window=WINDOW, stale_after=STALE_AFTER).windows
    assert found["is_out_of_control"].is_not_null().to_list() == [True, False]
    assert found["note"].to_list() == [None, "It is gone."]


@pytest.mark.parametrize("task", TASKS)
def test_the_calibration_error_of_the_test_window_stands_beside_that_since(task: str) -> None:
    window = performance(task, rows_of(task, 40), 39).windows.row(0, named=True)
    known = yardstick(task).in_control
    assert known is not None
    assert window["reference_calibration_error"] == known.scores["calibration_error"]
    assert window["reference_calibration_error"] is not None


@pytest.mark.parametrize("task", ["binary", "regression", "count"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_label_that_is_not_finite_blinds_no_chart_and_is_counted(task: str, value: float) -> None:
    rows = rows_of(task, 45, ranked=False)
    broken = told_anew(task, rows, label=np.where(np.arange(len(rows.day)) == 38 * ROWS, value, rows.label))
    sound, found = (performance(task, one, 44) for one in (rows, broken))
    assert sound.windows["is_out_of_control"].to_list() == [True]
    assert found.windows["chart_alarms"].to_list() == sound.windows["chart_alarms"].to_list()
    assert found.windows["refused_labels"].to_list() == [1]
    assert found.windows["labelled"][0] == sound.windows["labelled"][0] - 1
    assert found.days["loss"].null_count() == sound.days["loss"].null_count()


def test_a_day_that_differs_where_predictions_say_nothing_can_is_a_bad_day_and_no_crash() -> None:
    mark, rows = yardstick("regression"), rows_of("regression", 45)
    assert mark.in_control is not None
    sure = np.where((rows.day == START + 43)[:, None], rows.prediction[:, :1] - 50.0, rows.prediction)
    certain = replace(mark, in_control=replace(mark.in_control, noise=(0.0, 0.0, 0.0)))
    told = told_anew("regression", rows, prediction=sure)
    found = judged("regression", told, [moment(44)], [certain], window=WINDOW, stale_after=STALE_AFTER)
    assert found.windows["is_out_of_control"].null_count() == 0
    newest = found.days.filter(~pl.col("is_estimate")).row(-1, named=True)
    assert newest["residual_cusum_up"] > 0 == newest["residual_cusum_down"]


def test_a_label_that_is_not_finite_is_counted_from_when_it_came() -> None:
    rows = rows_of("regression", 40)
    broken = told_anew("regression", rows, label=np.where(rows.day == START + 39, np.nan, rows.label))
    found = judged(
        "regression",
        broken,
        [moment(39), moment(40)],
        [yardstick("regression")],
        window=WINDOW,
        stale_after=STALE_AFTER,
    )
    assert found.windows["refused_labels"].to_list() == [0, ROWS]


def judged_by_own_window(rows: ScoredRows) -> Performance:
    """The window of day 44, by what the test window of these very rows is like."""
    known = in_control("binary", "line/1", rows.between(START, START + TESTED - 1))
    mark = Yardstick(version="line/1", in_control=known, charts=known.charts(window=WINDOW, run_length=370, seed=1))
    return judged("binary", rows, [moment(44)], [mark], window=WINDOW, stale_after=STALE_AFTER)


@pytest.mark.parametrize("kind", ["one row a day", "constant", "certain"])
def test_a_model_without_a_slope_of_days_is_judged_by_the_charts_that_it_has(kind: str) -> None:
    rows = rows_of("binary", 45)
    if kind == "one row a day":
        rows = rows.rows(np.arange(len(rows.day)) % ROWS == 0)
    else:
        rows = told_anew("binary", rows, prediction=np.full(len(rows.day), 0.4 if kind == "constant" else 1.0))
    found = judged_by_own_window(rows)
    assert found.windows["is_out_of_control"].null_count() == 0
    charted = {name: found.days[name].count() for name in ("residual_ewma", "excess_loss_ewma", "lost_slope_ewma")}
    assert charted == {"residual_ewma": WINDOW, "excess_loss_ewma": WINDOW, "lost_slope_ewma": 0}


def test_a_rate_of_labels_that_falls_is_found_where_predictions_are_constant() -> None:
    rows = rows_of("binary", 45, late_labels=0.5)
    found = judged_by_own_window(told_anew("binary", rows, prediction=np.full(len(rows.day), 0.4)))
    assert "residual_ewma" in found.windows["chart_alarms"][0]


@pytest.mark.parametrize("task", TASKS)
def test_what_is_kept_of_a_version_survives_json(task: str) -> None:
    import json

    known = yardstick(task).in_control
    assert known is not None
    assert InControl.from_json(json.loads(json.dumps(known.to_json()))) == known


def test_a_test_day_of_which_only_early_labels_are_there_is_left_out() -> None:
    rows = rows_of("binary", TESTED)
    is_last, is_early = rows.day == START + TESTED - 1, np.arange(len(rows.day)) % 2 == 0
    known = np.where(is_last & is_early, rows.asked_at + np.timedelta64(1, "h"), rows.known_at)
    evening = replace(rows, known_at=np.where(is_last & ~is_early, NEVER, known))
    assert in_control("binary", "line/1", evening).days == in_control("binary", "line/1", rows).days[:-1]


@pytest.mark.parametrize("task", TASKS)
def test_expected_loss_and_spread_are_those_of_labels_drawn_from_the_predictions(task: str) -> None:
    random = np.random.default_rng(7)
    prediction = np.repeat(ANSWERS[task](np.array([-0.7])), 200_000, axis=0)
    truth = np.full(200_000, -0.7)
    label = LABELS[task](random, truth)
    said = EXPECTATIONS[task].expected(prediction)
    loss = task_metrics(task).row_loss(label, prediction)
    assert float(said.loss[0]) == pytest.approx(float(loss.mean()), rel=0.02)
    assert float(said.loss_variance[0]) == pytest.approx(float(loss.var()), rel=0.5 if task == "count" else 0.05)
    residual = EXPECTATIONS[task].residual(label, prediction)
    assert float(said.variance[0]) == pytest.approx(float(residual.var()), rel=0.05)


@pytest.mark.parametrize("mean", [0.02, 0.2, 1.0, 7.0, 29.9, 30.1, 400.0])
def test_the_expected_deviance_of_a_count_is_that_of_drawn_counts(mean: float) -> None:
    counts = np.random.default_rng(8).poisson(mean, 400_000).astype(np.float64)
    prediction = np.repeat([[mean, 0.0, 3 * mean]], len(counts), axis=0)
    drawn = float(task_metrics("count").row_loss(counts, prediction).mean())
    assert float(poisson_deviance_to_expect(np.array([mean]))[0]) == pytest.approx(drawn, rel=0.03)


def test_the_expected_auc_is_that_of_labels_drawn_from_the_probabilities() -> None:
    random = np.random.default_rng(9)
    p = np.round(sigmoid(random.normal(-1, 1, 100_000)), 2)
    label = (random.random(len(p)) < p).astype(np.int8)
    auc = task_metrics("binary").metrics["roc_auc"].value(label, p)
    assert expected_auc(p) == pytest.approx(auc, abs=0.004)


def test_rows_that_are_all_certain_have_no_expected_auc() -> None:
    assert expected_auc(np.ones(5)) is None


@pytest.mark.parametrize("task", TASKS)
def test_the_statistics_of_a_day_vary_as_the_predictions_imply(task: str) -> None:
    days = 600
    rows = rows_of(task, days, seed=10)
    found = day_statistics(rows, rows.known_at < NEVER, np.ones(len(rows.day)))
    allowed = 0.5 if task == "count" else 0.15  # the deviance of small counts is not quite chi-square
    assert found.values.var(axis=0) == pytest.approx(found.variances.mean(axis=0), rel=allowed)
    assert abs(found.values[:, 2].mean()) < 0.02
