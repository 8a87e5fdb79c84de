"""Every row has its bin, whatever is in it, and two columns have one for each pair of theirs."""

import numpy as np
import polars as pl
import pytest

from assets.logic.drift_bins import CATEGORIES, PairBins, fit_bins
from assets.logic.drift_histograms import jensen_shannon

INF = float("inf")


def test_the_bins_of_a_number_hold_equal_rows_and_both_ends_are_open() -> None:
    bins = fit_bins(pl.Series("x", np.arange(1000.0)), "numeric")
    codes = bins.codes(pl.Series("x", np.arange(1000.0)))
    assert np.bincount(codes).tolist() == [20, 80, *[100] * 8, 80, 20]
    assert bins.codes(pl.Series("x", [-1e9, 1e9])).tolist() == [0, 11]


def test_what_is_not_a_number_has_the_last_bin() -> None:
    bins = fit_bins(pl.Series("x", [1.0, 2.0, None, INF]), "numeric")
    assert set(bins.codes(pl.Series("x", [None, float("nan"), INF, -INF]))) == {bins.size - 1}


def test_where_nulls_do_not_count_they_have_no_bin() -> None:
    bins = fit_bins(pl.Series("x", [0, 1, 1, None]), "numeric", counts_nulls=False)
    assert (bins.size, bins.codes(pl.Series("x", [0, 1, None])).tolist()) == (2, [0, 1, -1])


@pytest.mark.parametrize("values", [[], [None, None], [INF, None]])
def test_a_number_without_values_has_bins_all_the_same(values: list[float | None]) -> None:
    bins = fit_bins(pl.Series("x", values, dtype=pl.Float64), "numeric")
    assert bins.codes(pl.Series("x", [3.0, None])).tolist() == [0, 1]


def test_histograms_of_a_mean_are_as_far_apart_as_the_means() -> None:
    values = np.random.default_rng(2).normal(size=5000)
    bins, nobody = fit_bins(pl.Series("x", values), "mean"), np.zeros(5000, dtype=np.int64)
    low, high = bins.edges
    before, wider, higher = (
        bins.histograms(pl.DataFrame({"x": v}), nobody, 1)[0]
        for v in (values, 0.5 * values, values + 0.2 * (high - low))
    )
    assert jensen_shannon(before, wider) < 0.01
    assert jensen_shannon(before, higher) > 0.15


def test_a_mean_counts_no_nulls_and_cuts_values_far_out() -> None:
    bins = fit_bins(pl.Series("x", np.arange(101.0)), "mean")
    counted = bins.histograms(pl.DataFrame({"x": [50.0, None, INF, 1e9]}), np.array([0, 0, 0, 1]), 2)
    assert counted.tolist() == [[0.5, 0.5], [0.0, 1.0]]


def test_a_category_that_is_rare_or_new_is_one_of_the_others() -> None:
    values = [f"common {i}" for i in range(CATEGORIES)] * 2 + ["rare"]
    bins = fit_bins(pl.Series("x", values), "categorical")
    assert bins.codes(pl.Series("x", ["rare", "never seen", None])).tolist() == [30, 30, 31]


def test_equally_frequent_categories_have_the_same_bins_in_any_order_of_rows() -> None:
    values = [str(i) for i in range(50)]
    assert fit_bins(pl.Series("x", values), "categorical") == fit_bins(pl.Series("x", values[::-1]), "categorical")


@pytest.mark.parametrize("name", ["count", "rows", "word"])
def test_a_column_may_be_called_like_any_word(name: str) -> None:
    assert fit_bins(pl.Series(name, ["a", "b", "a"]), "categorical").categories == ("a", "b")


PAIR = PairBins(
    first=fit_bins(pl.Series("x", [1.0, 5.0]), "numeric"), second=fit_bins(pl.Series("c", ["a", "b"]), "categorical")
)


def test_a_row_is_in_the_bin_of_both_of_its_values() -> None:
    frame = pl.DataFrame({"x": [0.0, 9.0, 9.0, None], "c": ["a", "b", "new", None]})
    counted = PAIR.histograms(frame, np.zeros(4, dtype=np.int64), 1)
    assert counted.reshape(PAIR.first.size, PAIR.second.size).tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]


def test_pairs_of_each_group_of_rows_are_counted_by_themselves() -> None:
    frame = pl.DataFrame({"x": [0.0, 0.0, 9.0], "c": ["a", "a", "b"]})
    counted = PAIR.histograms(frame, np.array([0, 1, 1]), 2)
    assert [row.nonzero()[0].tolist() for row in counted] == [[0], [0, 5]]


def test_of_a_pair_rows_are_left_out_where_nulls_do_not_count() -> None:
    bins = [fit_bins(pl.Series(n, [1.0, 5.0]), "numeric", counts_nulls=False) for n in ("x", "y")]
    rows = pl.DataFrame({"x": [0.0, None, 9.0], "y": [9.0, 9.0, None]})
    counted = PairBins(first=bins[0], second=bins[1]).histograms(rows, np.zeros(3, dtype=np.int64), 1)
    assert counted.tolist() == [[0, 1, 0, 0]]


def test_of_a_pair_a_missing_column_counts_as_null() -> None:
    counted = PAIR.histograms(pl.DataFrame({"x": [9.0]}), np.zeros(1, dtype=np.int64), 1)
    assert counted[0].nonzero()[0].tolist() == [1 * PAIR.second.size + 3]
