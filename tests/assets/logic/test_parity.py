"""Two sides of the same features: equal where they should be, and counted where they are not."""

import math

import polars as pl
import pytest

from assets.logic.parity import FeatureParity, compare


def test_the_same_values_do_not_differ() -> None:
    side = pl.DataFrame({"a": [1.0, None, math.inf], "b": ["x", None, "y"]})
    found = compare(side, side, ["a", "b"])
    assert (found.rows, found.differing, found.share, found.worst) == (3, 0, 0.0, {})


def test_features_that_differ_in_most_rows_come_first_with_their_largest_difference() -> None:
    online = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 3.0, 4.0], "c": ["x", "x", "x", "x"]})
    offline = pl.DataFrame({"a": [1.0, 2.0, 3.0, 5.0], "b": [1.5, 2.0, 9.0, 4.0], "c": ["x", "x", "x", "x"]})
    found = compare(online, offline, ["a", "b", "c"])
    assert (found.rows, found.differing, found.share) == (4, 3, 0.75)
    assert [*found.features] == ["b", "a", "c"]
    assert found.worst == {
        "b": FeatureParity(differing=2, one_sided=0, largest=6.0),
        "a": FeatureParity(differing=1, one_sided=0, largest=1.0),
    }


def test_a_value_on_one_side_only_differs_and_has_no_size() -> None:
    found = compare(pl.DataFrame({"a": [1.0, None]}), pl.DataFrame({"a": [None, 2.0]}), ["a"])
    assert found.features["a"] == FeatureParity(differing=2, one_sided=2, largest=None)


def test_text_that_differs_is_counted() -> None:
    found = compare(pl.DataFrame({"a": ["x", "y"]}), pl.DataFrame({"a": ["x", "z"]}), ["a"])
    assert found.features["a"] == FeatureParity(differing=1, one_sided=0, largest=None)


def test_sums_in_another_order_are_the_same_and_a_thousandth_more_is_not() -> None:
    online, offline = pl.DataFrame({"a": [0.1 + 0.2, 1e9]}), pl.DataFrame({"a": [0.3, 1e9 + 1e6]})
    assert compare(online, offline, ["a"]).features["a"].differing == 1


def test_nan_is_null_and_an_infinity_is_not_the_other() -> None:
    online, offline = pl.DataFrame({"a": [None, math.inf]}), pl.DataFrame({"a": [math.nan, -math.inf]})
    assert compare(online, offline, ["a"]).features["a"].differing == 1


def test_truth_values_and_whole_numbers_are_numbers() -> None:
    online, offline = pl.DataFrame({"a": [1.0, 0.0], "b": [3.0, 4.0]}), pl.DataFrame({"a": [True, False], "b": [3, 4]})
    assert compare(online, offline, ["a", "b"]).differing == 0


def test_no_rows_have_no_share() -> None:
    empty = pl.DataFrame(schema={"a": pl.Float64})
    assert compare(empty, empty, ["a"]).share is None


def test_sides_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 rows of the endpoint"):
        compare(pl.DataFrame({"a": [1.0]}), pl.DataFrame({"a": [1.0, 2.0]}), ["a"])
