"""Evidence that two shares differ: bounded where there is nothing to find, at every look."""

from math import exp, inf

import numpy as np
import pytest

from resources.serving.shares import Count, Prior, evidence, interval

FLAT = Prior(hits=0.5, others=0.5)


def test_the_chance_of_much_evidence_where_there_is_none_is_bounded_at_every_look() -> None:
    rng, prior, alarms = np.random.default_rng(4), Prior(hits=10.0, others=10.0), 0
    for _ in range(500):
        hits = np.cumsum(rng.random((2, 300)) < 0.3, axis=1)
        looks = [
            evidence(Count(of=n + 1, hits=int(hits[0, n])), Count(of=n + 1, hits=int(hits[1, n])), 0.0, prior)
            for n in range(0, 300, 5)
        ]
        alarms += max(looks) >= 2.0
    assert alarms / 500 <= exp(-2.0)


def test_no_difference_beyond_the_tolerated_is_no_evidence() -> None:
    assert evidence(Count(of=100, hits=10), Count(of=100, hits=15), 0.05, FLAT) == -inf


def test_without_rows_of_a_version_there_is_no_evidence() -> None:
    assert evidence(Count(of=0, hits=0), Count(of=100, hits=100), 0.0, FLAT) == -inf


def test_errors_of_all_rows_are_evidence_against_a_live_version_that_never_fails() -> None:
    assert evidence(Count(of=100, hits=0), Count(of=20, hits=20), 0.01, FLAT) > 20


def test_an_interval_of_a_difference_holds_at_every_look() -> None:
    rng, missed = np.random.default_rng(5), 0
    for _ in range(60):
        one, two = np.cumsum(rng.random(400) < 0.2), np.cumsum(rng.random(400) < 0.3)
        for n in range(49, 400, 50):
            low, high = interval(Count(of=n + 1, hits=int(one[n])), Count(of=n + 1, hits=int(two[n])), 0.8)
            if not low <= 0.1 <= high:
                missed += 1
                break
    assert missed / 60 <= 0.2


def test_an_interval_of_nothing_is_everything() -> None:
    assert interval(Count(of=0, hits=0), Count(of=10, hits=5)) == pytest.approx((-1.0, 1.0))
