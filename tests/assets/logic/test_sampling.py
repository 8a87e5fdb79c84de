"""Fewer rows, spread over all of them, and none of them left out for where it stands."""

import numpy as np
import pytest

from assets.logic.sampling import spread_out


@pytest.mark.parametrize(("rows", "most"), [(0, 5), (4, 5), (5, 5)])
def test_as_few_rows_as_may_be_are_all_taken(rows: int, most: int) -> None:
    assert spread_out(rows, most, 1).tolist() == list(range(rows))


@pytest.mark.parametrize(("rows", "most"), [(6, 5), (1001, 10), (99, 98)])
def test_no_more_than_allowed_are_taken_and_none_twice(rows: int, most: int) -> None:
    places = spread_out(rows, most, 1)
    assert most / 2 <= len(places) <= most
    assert (np.diff(places) > 0).all()
    assert 0 <= places[0] <= places[-1] < rows


def test_every_run_of_rows_gives_one() -> None:
    assert (spread_out(1000, 100, 1) // 10).tolist() == list(range(100))


def test_rows_in_a_pattern_are_all_seen_alike() -> None:
    # 200 shops a day in the order of their names: every second row would always be of the same 100.
    shops = np.arange(200 * 365) % 200
    seen = np.bincount(shops[spread_out(len(shops), 50_000, 1)], minlength=200)
    assert seen.min() > 0.7 * seen.mean()


def test_the_same_seed_takes_the_same_rows_and_another_takes_others() -> None:
    assert spread_out(1000, 100, 1).tolist() == spread_out(1000, 100, 1).tolist()
    assert spread_out(1000, 100, 1).tolist() != spread_out(1000, 100, 2).tolist()
