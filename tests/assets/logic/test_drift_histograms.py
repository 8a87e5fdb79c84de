"""Histograms hold every row once, in bins that the reference fixed; distances lie between 0 and 1."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from assets.logic.drift_bins import fit_bins
from assets.logic.drift_histograms import day_counts, jensen_shannon, noise

INF = float("inf")


def test_histograms_with_nothing_in_common_are_1_apart_and_equal_ones_0() -> None:
    assert jensen_shannon([5, 0], [0, 9]) == 1
    assert jensen_shannon([2, 4, 6], [1, 2, 3]) == 0


def test_the_distance_is_the_root_of_the_divergence_in_bits() -> None:
    # Half of the entropy that mixing a sure thing with a coin adds: H(3/4) - H(1/2) / 2 = 0.811 - 0.5.
    assert jensen_shannon([1, 0], [1, 1]) == pytest.approx(np.sqrt(0.31127812))


def test_an_empty_histogram_has_no_distance() -> None:
    assert np.isnan(jensen_shannon([[0, 0], [1, 1]], [1, 1])).tolist() == [True, False]


def test_chance_alone_makes_the_distance_that_is_expected_of_it() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(400, np.full(10, 0.1), size=2000)
    squared = np.mean(jensen_shannon(drawn, np.full(10, 0.1)) ** 2)
    assert squared == pytest.approx(float(noise(400, 10)) ** 2, rel=0.05)


def test_every_row_is_counted_on_its_day() -> None:
    frame = pl.DataFrame({"x": [1.0, 5.0, None, 1.0], "c": ["a", "b", "b", None]})
    day = pl.Series([date(2024, 1, 1), date(2024, 1, 1), date(2024, 1, 3), date(2024, 1, 3)])
    bins = [fit_bins(pl.Series("x", [1.0, 5.0]), "numeric"), fit_bins(pl.Series("c", ["a"]), "categorical")]
    counted = day_counts(frame, day, bins)
    assert counted.rows.tolist() == [2, 0, 2]
    assert counted.counts["x"].tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert counted.counts["c"].tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]


def test_windows_beyond_the_days_hold_what_there_is() -> None:
    frame, day = pl.DataFrame({"x": [1.0, 1.0]}), pl.Series([date(2024, 1, 5), date(2024, 1, 6)])
    counted = day_counts(frame, day, [fit_bins(frame["x"], "numeric")])
    ends = np.array(["2024-01-01", "2024-01-05", "2024-01-09", "2024-02-01"], dtype="datetime64[D]")
    assert counted.sums("x", counted.windows(ends, 4))[:, 0].tolist() == [0, 1, 1, 0]


def test_a_missing_column_and_a_frame_without_rows_are_counted() -> None:
    bins = [fit_bins(pl.Series("x", [1.0, 2.0]), "numeric")]
    there = day_counts(pl.DataFrame({"y": [1]}), pl.Series([date(2024, 1, 1)]), bins)
    empty = day_counts(pl.DataFrame({"x": []}, schema={"x": pl.Float64}), pl.Series([], dtype=pl.Date), bins)
    assert (there.missing, there.counts["x"].tolist()) == ({"x"}, [[0, 0, 1]])
    assert (len(empty.rows), empty.counts["x"].shape) == (0, (0, 3))
