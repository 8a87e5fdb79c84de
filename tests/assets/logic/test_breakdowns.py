import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss

from assets.logic.breakdowns import by_day, by_slice

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
