"""Columns that say something of each other are looked at together, and faults that neither shows alone are found."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from assets.automation import DriftPolicy
from assets.logic.drift import Judgement, WindowCounts, judge
from assets.logic.drift_bins import TOGETHER, AnyBins, Bins, Kind, fit_bins
from assets.logic.drift_histograms import day_counts
from assets.logic.drift_pairs import CANDIDATES, PAIRS, dependence, pairs_of
from assets.logic.drift_reference import make_reference

FIRST = date(2024, 1, 1)
WINDOW, BEFORE, ROWS = 14, 365, 60
POLICY = DriftPolicy(window=timedelta(days=WINDOW))
KINDS: dict[str, Kind] = {"airline": "categorical", "airport": "categorical", "warm": "numeric", "damp": "numeric"}
HUBS = {"A": (0.6, 0.2, 0.2), "B": (0.2, 0.6, 0.2), "C": (0.2, 0.2, 0.6)}


def days_of(rng: np.random.Generator, days: int) -> pl.DataFrame:
    """Rows of days: airlines at home at airports, and two readings that follow the same weather and season."""
    day = np.repeat(np.arange(days), ROWS)
    airline = rng.choice(list(HUBS), len(day))
    pick, shares = rng.random(len(day)), np.cumsum([HUBS[a] for a in HUBS], axis=1)
    airport = (pick[:, None] > shares[np.searchsorted(list(HUBS), airline)]).sum(axis=1)
    weather = np.zeros(days)
    for i in range(1, days):
        weather[i] = 0.8 * weather[i - 1] + 0.6 * rng.standard_normal()
    mean = 0.5 * weather + np.sin(2 * np.pi * (np.arange(days) / 365 + rng.random()))
    warm = mean[day] + rng.standard_normal(len(day))
    return pl.DataFrame(
        {
            "day": pl.Series([FIRST + timedelta(days=int(d)) for d in range(days)])[day],
            "airline": airline,
            "airport": np.array(["X", "Y", "Z"])[airport],
            "warm": warm,
            "damp": 0.9 * warm + 0.4 * rng.standard_normal(len(day)),
        }
    )


def bins_of(rows: pl.DataFrame, *, paired: bool) -> list[AnyBins]:
    alone = [fit_bins(rows[n], kind) for n, kind in KINDS.items()]
    return [*alone, *(pairs_of(rows, alone, {}) if paired else [])]


def judged(before: pl.DataFrame, after: pl.DataFrame, *, paired: bool, policy: DriftPolicy = POLICY) -> Judgement:
    """The verdict on one window."""
    kept = {"g": bins_of(before, paired=paired)}
    reference = make_reference({"g": day_counts(before, before["day"], kept["g"])}, kept, {}, policy)
    counts = day_counts(after, after["day"], kept["g"]).counts
    seen = WindowCounts(
        days={"g": np.array([WINDOW])},
        counts={name: of_days.sum(axis=0)[None] for name, of_days in counts.items()},
        findings={name: [None] for name in counts},
    )
    return judge(reference, seen, policy)[0]


def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The reference, and the window three weeks after it."""
    last = FIRST + timedelta(days=BEFORE)
    return rows.filter(pl.col("day") < last), rows.filter(pl.col("day") >= last + timedelta(days=21))


def test_two_airlines_with_codes_exchanged_are_found_by_the_airports_they_fly_from() -> None:
    before, after = split(days_of(np.random.default_rng(1), BEFORE + 21 + WINDOW))
    swapped = after.with_columns(pl.col("airline").replace({"A": "B", "B": "A"}))
    found = judged(before, swapped, paired=True).groups[0]
    assert (found.is_drifted, found.worst) == (True, f"airline{TOGETHER}airport")
    assert not judged(before, swapped, paired=False).groups[0].is_drifted


def test_without_a_fault_nothing_is_found() -> None:
    before, after = split(days_of(np.random.default_rng(1), BEFORE + 21 + WINDOW))
    assert not judged(before, after, paired=True).groups[0].is_drifted


def test_with_pairs_a_quiet_window_raises_an_alarm_no_more_often_than_was_chosen() -> None:
    rng, worlds, policy = np.random.default_rng(20130901), 100, DriftPolicy(window=POLICY.window, false_alarms=1 / 20)
    alarms = 0
    for _ in range(worlds):
        before, after = split(days_of(rng, BEFORE + 21 + WINDOW))
        alarms += judged(before, after, paired=True, policy=policy).groups[0].is_drifted
    assert alarms <= binom.ppf(0.99, worlds, policy.false_alarms)


def test_the_partner_of_a_column_is_the_one_that_depends_on_it_most() -> None:
    rows = days_of(np.random.default_rng(3), 100)
    pairs = [set(p.columns) for p in bins_of(rows, paired=True) if not isinstance(p, Bins)]
    assert pairs == [{"airline", "airport"}, {"warm", "damp"}]


def test_columns_that_say_nothing_of_each_other_are_no_pair() -> None:
    rng = np.random.default_rng(5)
    rows = pl.DataFrame({"x": rng.random(5000), "y": rng.random(5000), "same": np.ones(5000)})
    assert pairs_of(rows, [fit_bins(rows[n], "numeric") for n in rows.columns], {}) == []


def test_of_many_columns_the_most_used_have_partners() -> None:
    rng, number = np.random.default_rng(6), PAIRS + 3
    values = {f"x{i}": rng.random(2000) for i in range(number)}
    rows = pl.DataFrame({**values, **{f"y{i}": values[f"x{i}"] for i in range(number)}})
    usage = {name: 0.001 if name in ("x0", "y0") else 0.1 for name in rows.columns}
    found = {n for p in pairs_of(rows, [fit_bins(rows[n], "numeric") for n in rows.columns], usage) for n in p.columns}
    assert (len(found), found & {"x0", "y0"}) == (2 * PAIRS, set())


def test_a_column_that_the_model_does_not_use_has_no_partner() -> None:
    rows = days_of(np.random.default_rng(3), 100)
    alone = [fit_bins(rows[n], kind) for n, kind in KINDS.items()]
    assert [set(p.columns) for p in pairs_of(rows, alone, {"airport": 0.0})] == [{"warm", "damp"}]


def test_of_thousands_of_columns_only_the_most_used_are_looked_at() -> None:
    rng, number = np.random.default_rng(8), CANDIDATES + 2
    rows = pl.DataFrame({f"x{i}": rng.random(500) for i in range(number)}).with_columns(y=pl.col("x0"))
    usage = {name: 0.001 if name in ("x0", "y") else 0.1 for name in rows.columns}
    bins = [fit_bins(rows[n], "numeric") for n in rows.columns]
    assert pairs_of(rows, bins, usage) == []
    assert [p.columns for p in pairs_of(rows, bins, {**usage, "x0": 0.2, "y": 0.2})] == [("x0", "y")]


@pytest.mark.parametrize(
    ("other", "expected"),
    [([0, 1, 2, 3], 1.0), ([0, 0, 1, 1], 1.0), ([0, 1, 0, 1], 1.0), ([0, 0, 0, 0], 0.0)],
    ids=["itself", "a part", "another part", "constant"],
)
def test_dependence_is_the_share_of_the_smaller_entropy(other: list[int], expected: float) -> None:
    assert dependence(np.array([0, 1, 2, 3]), np.array(other)) == pytest.approx(expected)


def test_columns_that_are_null_together_do_not_depend_on_each_other_for_that() -> None:
    one, other = (codes.ravel() for codes in np.meshgrid(np.arange(4), np.arange(3)))
    nothing = np.full(12, -1)
    assert dependence(np.append(one, nothing), np.append(other, nothing)) == pytest.approx(0.0, abs=1e-12)
    assert dependence(nothing, nothing) == 0


def test_independent_columns_have_no_dependence() -> None:
    one, other = (codes.ravel() for codes in np.meshgrid(np.arange(4), np.arange(3)))
    assert dependence(one, other) == pytest.approx(0.0, abs=1e-12)
