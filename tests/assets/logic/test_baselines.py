import numpy as np
import polars as pl
import pytest

from assets.logic.baselines import base_rate, fit_baselines, group_rate

GROUPS = pl.DataFrame({"carrier": ["A"] * 100 + ["B"] * 2 + [None] * 98, "hour": [6] * 200})
LABEL = np.array([1] * 80 + [0] * 20 + [1] * 2 + [0] * 98, dtype=np.int8)


def test_the_base_rate_is_the_share_of_training_rows() -> None:
    assert base_rate(LABEL).predict(GROUPS).tolist() == [0.41] * 200


def test_a_group_is_drawn_towards_the_base_rate_by_its_size() -> None:
    rates = group_rate(GROUPS, LABEL, by=["carrier"], smoothing=100.0).predict(GROUPS)
    assert rates[0] == pytest.approx((80 + 41) / 200)
    assert rates[100] == pytest.approx((2 + 41) / 102)


def test_a_group_never_seen_gets_the_base_rate() -> None:
    fitted = group_rate(GROUPS, LABEL, by=["carrier", "hour"])
    assert fitted.predict(pl.DataFrame({"carrier": ["Z", "A"], "hour": [6, 23]})).tolist() == [0.41, 0.41]


def test_a_missing_group_value_is_a_group() -> None:
    assert group_rate(GROUPS, LABEL, by=["carrier"]).predict(GROUPS)[-1] < 0.2


def test_predictions_keep_the_order_of_rows() -> None:
    fitted = group_rate(GROUPS, LABEL, by=["carrier"])
    shuffled = pl.DataFrame({"carrier": ["B", "A", "B", None, "A"]})
    rates = fitted.predict(shuffled)
    assert rates[0] == rates[2]
    assert rates[1] == rates[4]
    assert len(set(rates.tolist())) == 3


def test_a_pure_group_is_never_certain() -> None:
    assert 0 < group_rate(GROUPS, LABEL, by=["carrier"]).predict(GROUPS)[100] < 1


def test_training_rows_of_one_class_are_refused() -> None:
    with pytest.raises(ValueError, match="both classes are needed"):
        base_rate(np.ones(9))


def test_a_group_rate_without_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="columns to group by"):
        group_rate(GROUPS, LABEL, by=[])


def test_a_use_case_without_groups_has_the_base_rate_only() -> None:
    assert list(fit_baselines(GROUPS, LABEL, by=())) == ["base_rate"]


def test_the_title_of_a_group_rate_names_its_columns() -> None:
    assert fit_baselines(GROUPS, LABEL, by=("carrier", "hour"))["group_rate"].title == "rate by carrier and hour"
