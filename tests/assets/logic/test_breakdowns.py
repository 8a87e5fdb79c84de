import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss

from assets.logic.breakdowns import by_day, by_slice
from assets.logic.metrics import task_metrics
from tests.support.worlds import ANSWERS, world

RNG = np.random.default_rng(5)
PREDICTION = RNG.beta(1, 3, 4000)
LABEL = (RNG.random(4000) < PREDICTION).astype(np.int8)


def test_days_add_up_to_the_whole() -> None:
    day = np.sort(RNG.choice(np.arange("2013-08-01", "2013-08-08", dtype="datetime64[D]"), len(LABEL)))
    frame = by_day("binary", LABEL, day, {"a": PREDICTION})
    assert frame.height == 7
    mean = (frame["log_loss"] * frame["rows"]).sum() / frame["rows"].sum()
    assert mean == pytest.approx(log_loss(LABEL, PREDICTION))


def test_a_slice_of_one_class_has_a_loss_but_no_auc_and_says_why() -> None:
    slices = pl.DataFrame({"origin": ["A" if label else "B" for label in LABEL]})
    row = by_slice("binary", LABEL, slices, {"m": PREDICTION}).row(0, named=True)
    assert row["log_loss"] > 0
    assert row["roc_auc"] is None
    assert "two classes are needed" in row["reason"]


def test_a_slice_is_shown_beside_a_constant_that_knows_its_own_rate() -> None:
    slices = pl.DataFrame({"origin": ["A"] * len(LABEL)})
    row = by_slice("binary", LABEL, slices, {"m": PREDICTION}).row(0, named=True)
    assert row["reference"] == pytest.approx(log_loss(LABEL, np.full(len(LABEL), LABEL.mean())))


def test_a_missing_slice_value_is_a_slice_of_its_own() -> None:
    slices = pl.DataFrame({"origin": ["A"] * 3990 + [None] * 10})
    frame = by_slice("binary", LABEL, slices, {"m": PREDICTION})
    assert frame.select("value", "rows").rows() == [("(missing)", 10), ("A", 3990)]


def test_a_model_with_unusable_predictions_has_null_scores_beside_the_others() -> None:
    broken = PREDICTION.copy()
    broken[0] = np.nan
    frame = by_slice("binary", LABEL, pl.DataFrame({"o": ["A"] * len(LABEL)}), {"good": PREDICTION, "nan": broken})
    assert frame.select("model", pl.col("log_loss").is_null()).rows() == [("good", False), ("nan", True)]


def test_no_slices_give_an_empty_table() -> None:
    assert by_slice("binary", LABEL, pl.DataFrame(), {"m": PREDICTION}).is_empty()


@pytest.mark.parametrize("task", ["multiclass", "regression", "count"])
def test_days_and_slices_of_every_task_add_up_to_the_whole(task: str) -> None:
    here = world(task, rows=2000, days=7)
    metrics, prediction = task_metrics(task), ANSWERS[task](here.truth)
    whole = metrics.row_loss(here.rows.label, prediction).mean()
    days = by_day(task, here.rows.label, here.rows.day, {"m": prediction})
    parts = by_slice(task, here.rows.label, here.rows.slices, {"m": prediction})
    for frame in (days, parts):
        assert (frame[metrics.loss] * frame["rows"]).sum() / frame["rows"].sum() == pytest.approx(whole)
        assert frame[metrics.loss].is_not_null().all()


def test_quantities_are_shown_as_means_and_classes_as_accuracy_and_confidence() -> None:
    label, prediction = np.array([1.0, 3.0]), np.array([[2.0, 0.0, 9.0], [5.0, 0.0, 9.0]])
    one = pl.DataFrame({"o": ["A", "A"]})
    assert by_slice("regression", label, one, {"m": prediction}).select("observed", "predicted").row(0) == (2.0, 3.5)
    classes = np.array([[0.5, 0.3, 0.2], [0.1, 0.9, 0.0]])
    hits = by_slice("multiclass", np.array([0, 2]), one, {"m": classes}).select("observed", "predicted")
    assert hits.row(0) == (0.5, pytest.approx(0.7))


def test_the_constant_beside_a_slice_of_quantities_is_its_own_median() -> None:
    label, prediction = np.array([1.0, 2.0, 12.0]), np.array([[9.0, 0.0, 19.0]] * 3)
    row = by_slice("regression", label, pl.DataFrame({"o": ["A"] * 3}), {"m": prediction}).row(0, named=True)
    assert row["reference"] == pytest.approx((1 + 0 + 10) / 3)


def test_a_slice_of_equal_quantities_has_a_loss_but_no_r2_and_says_why() -> None:
    prediction = np.array([[9.0, 0.0, 19.0]] * 3)
    row = by_slice("count", np.full(3, 4.0), pl.DataFrame({"o": ["A"] * 3}), {"m": prediction}).row(0, named=True)
    assert row["poisson_deviance"] > 0
    assert row["r2"] is None
    assert "all 3 labels are 4" in row["reason"]
