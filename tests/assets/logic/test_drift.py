"""Quiet windows raise no more alarms than were chosen, shifts raise one, and odd columns are findings."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from assets.automation import DriftPolicy
from assets.logic.drift import Judgement, WindowCounts, findings_of, judge
from assets.logic.drift_bins import Counts, fit_bins
from assets.logic.drift_histograms import DayCounts, day_counts
from assets.logic.drift_limits import LEAST_LIMIT, stretched, unstretched, weights
from assets.logic.drift_reference import DriftReference, make_reference
from tests.support.quiet_worlds import BINS, GROUPS, bins, counted, quiet_days

WINDOW, YEAR, LATER = 14, 365, 20
FIRST = date(2024, 1, 1)
END = FIRST + timedelta(days=YEAR)
POLICY = DriftPolicy(window=timedelta(days=WINDOW))
COLUMNS = sum(GROUPS.values())


def reference_of(days: Counts, policy: DriftPolicy = POLICY, **usage: float) -> DriftReference:
    return make_reference(counted(days), bins(), usage, policy)


def judged(reference: DriftReference, days: Counts, policy: DriftPolicy = POLICY) -> Judgement:
    """The verdict on all the days as one window."""
    new = counted(days)
    names = [name for c in new.values() for name in c.counts]
    seen = WindowCounts(
        days={group: np.array([np.count_nonzero(c.rows)]) for group, c in new.items()},
        counts={name: days.sum(axis=0)[i][None] for i, name in enumerate(names)},
        findings={name: [None] for name in names},
    )
    return judge(reference, seen, policy)[0]


def drifted(judgement: Judgement) -> list[str]:
    return [g.name for g in judgement.groups if g.is_drifted]


# Both are measured on windows that begin three weeks after the reference ends, and that it has never seen.
@pytest.mark.parametrize(("chance", "worlds"), [(1 / 200, 500), (1 / 20, 200)])
def test_a_quiet_window_raises_an_alarm_no_more_often_than_was_chosen(chance: float, worlds: int) -> None:
    rng, policy, alarms = np.random.default_rng(20130901), DriftPolicy(window=POLICY.window, false_alarms=chance), 0
    for _ in range(worlds):
        days = quiet_days(rng, YEAR + LATER + WINDOW, COLUMNS, memory=0.8, season=1.0)
        alarms += bool(drifted(judged(reference_of(days[:YEAR], policy), days[YEAR + LATER :], policy)))
    assert alarms <= binom.ppf(0.99, worlds, chance)


@pytest.fixture(scope="module")
def year() -> Counts:
    return quiet_days(np.random.default_rng(4), YEAR + WINDOW, COLUMNS, memory=0.5)


def moved(days: Counts, column: int, change: Callable[[Counts], Counts]) -> Counts:
    changed = days.copy()
    changed[:, column] = change(days[:, column])
    return changed


def in_another_unit(counts: Counts) -> Counts:
    """Every value half as large again: its rows move up the bins."""
    target = np.minimum(np.arange(BINS) * 3 // 2 + 1, BINS - 1)
    return np.stack([np.bincount(target, weights=day, minlength=BINS) for day in counts]).astype(np.int64)


def with_two_swapped(counts: Counts) -> Counts:
    """The rows of two categories, the most frequent and a rare one, have each other's name."""
    return counts[:, [0, 9, 2, 3, 4, 5, 6, 7, 8, 1]]


def half_of_the_upper(counts: Counts) -> Counts:
    """Half of the rows of the upper bins are in the lowest."""
    less = counts.copy()
    less[:, 5:] //= 2
    less[:, 0] += (counts - less).sum(axis=1)
    return less


def test_a_sensor_in_another_unit_is_found_and_named(year: Counts) -> None:
    found = judged(reference_of(year[:YEAR]), moved(year[YEAR:], 2, in_another_unit))
    weather = next(g for g in found.groups if g.name == "weather")
    assert (drifted(found), weather.worst) == (["weather"], "weather_2")


def test_a_swapped_category_is_found(year: Counts) -> None:
    uneven = year.copy()
    uneven[:, 6, 1] //= 50
    uneven[:, 6, 9] += uneven[:, 6, 6:9].sum(axis=1)
    uneven[:, 6, 6:9] = 0
    found = judged(reference_of(uneven[:YEAR]), moved(uneven[YEAR:], 6, with_two_swapped))
    assert drifted(found) == ["schedule"]


def labelled_days(days: int, *, halved: int = 0) -> pl.DataFrame:
    """200 predictions a day that follow a season, are now and then a tenth too high or low, and their labels.

    The rate of the last `halved` days is half of what was predicted.
    """
    rng = np.random.default_rng(7)
    day = np.repeat(np.arange(days), 200)
    predicted = np.clip(rng.beta(2, 6, len(day)) * (1 + 0.5 * np.sin(2 * np.pi * day / 365)), 0, 1)
    rate = np.clip(predicted * np.exp(0.1 * rng.standard_normal(days))[day], 0, 1)
    label = (rng.random(len(day)) < rate * np.where(day < days - halved, 1, 0.5)).astype(float)
    dates = pl.Series([FIRST + timedelta(days=d) for d in range(days)])
    return pl.DataFrame({"day": dates[day], "label": label, "residual": label - predicted})


@pytest.mark.parametrize(("halved", "found"), [(0, []), (WINDOW, ["residual"])])
def test_a_halved_rate_of_the_label_is_found_in_the_residual(halved: int, found: list[str]) -> None:
    rows = labelled_days(YEAR + WINDOW, halved=halved)
    is_before = pl.col("day") < END
    before, after = rows.filter(is_before), rows.filter(~is_before)
    kept = {
        "label": [fit_bins(before["label"], "numeric", counts_nulls=False)],
        "residual": [fit_bins(before["residual"], "mean")],
    }
    reference = make_reference({g: day_counts(before, before["day"], b) for g, b in kept.items()}, kept, {}, POLICY)
    seen = WindowCounts(
        days={g: np.array([WINDOW]) for g in kept},
        counts={g: day_counts(after, after["day"], b).counts[g].sum(axis=0)[None] for g, b in kept.items()},
        findings={g: [None] for g in kept},
    )
    assert drifted(judge(reference, seen, POLICY)[0]) == found


def test_the_days_after_the_reference_have_not_drifted_from_it(year: Counts) -> None:
    found = judged(reference_of(year[:YEAR]), year[YEAR:])
    assert drifted(found) == []
    assert all(g.score is not None and 0 < g.score < 1 for g in found.groups)


def test_a_column_that_the_model_does_not_use_is_shown_and_raises_no_alarm(year: Counts) -> None:
    reference = reference_of(year[:YEAR], weather_2=0.0)
    found = judged(reference, moved(year[YEAR:], 2, in_another_unit))
    column = next(c for c in found.columns if c.name == "weather_2")
    assert (drifted(found), column.limit) == ([], None)
    assert column.distance is not None
    assert column.distance > 0.2


def test_a_column_with_a_quarter_of_the_use_must_move_twice_as_far() -> None:
    # The average of the group is .4; what is used more counts no more.
    assert weights(np.array([1.1, 0.4, 0.1, 0.0])).tolist() == [1.0, 1.0, 0.5, 0.0]


def test_the_limit_of_a_column_is_where_it_raises_the_alarm_alone(year: Counts) -> None:
    reference = reference_of(year[:YEAR])
    group = next(g for g in reference.groups if g.name == "prediction")
    column = next(c for c in reference.columns if c.group == "prediction")
    assert column.limit is not None
    assert column.typical is not None
    assert stretched(np.array([column.limit]))[0] / column.typical == pytest.approx(group.limit)
    assert unstretched(float(stretched(np.array([0.3]))[0])) == pytest.approx(0.3)


def test_a_group_that_is_only_reported_is_measured_and_raises_no_alarm(year: Counts) -> None:
    policy = DriftPolicy(window=POLICY.window, reported_only=("weather",))
    found = judged(reference_of(year[:YEAR], policy), moved(year[YEAR:], 2, in_another_unit), policy)
    weather = next(g for g in found.groups if g.name == "weather")
    assert weather.score is not None
    assert (weather.score > 1, drifted(found)) == (True, [])
    assert "reported only" in str(weather.note)


def test_too_short_a_reference_is_not_judged_and_says_so(year: Counts) -> None:
    found = judged(reference_of(year[: 4 * WINDOW - 1]), moved(year[YEAR:], 2, in_another_unit))
    assert [g.score for g in found.groups] == [None] * 3
    assert drifted(found) == []
    assert "4 are needed" in str(found.groups[0].note)


def test_a_group_that_could_never_alarm_is_not_judged_and_says_so(year: Counts) -> None:
    reference = reference_of(year[: 4 * WINDOW])
    silent = [g for g in reference.groups if g.limit is None]
    assert silent
    assert all("nothing in common" in str(g.note) for g in silent)
    for group in reference.groups:
        can_alarm = any(c.limit is not None for c in reference.columns if c.group == group.name)
        assert can_alarm == (group not in silent)


def test_the_chance_of_a_mean_is_taken_off_a_thin_window_as_it_is_put_into_the_limits() -> None:
    rows = labelled_days(YEAR + WINDOW, halved=WINDOW)
    before, after = rows.filter(pl.col("day") < END), rows.filter(pl.col("day") >= END)
    bins = [fit_bins(before["residual"], "mean")]
    reference = make_reference({"residual": day_counts(before, before["day"], bins)}, {"residual": bins}, {}, POLICY)

    whole = day_counts(after, after["day"], bins).counts["residual"].sum(axis=0)
    seen = WindowCounts(
        days={"residual": np.array([WINDOW, WINDOW])},
        counts={"residual": np.stack([whole, whole / 10])},
        findings={"residual": [None, None]},
    )
    full, thin = (one.groups[0].score for one in judge(reference, seen, POLICY))
    assert full is not None
    assert thin == pytest.approx(full, rel=0.05)


def test_a_reference_with_rows_on_few_days_is_not_judged(year: Counts) -> None:
    weekly = np.where((np.arange(YEAR) % 5 == 0)[:, None, None], year[:YEAR], 0)
    found = judged(reference_of(weekly), year[YEAR:])
    assert [g.score for g in found.groups] == [None] * 3
    assert "half of their days" in str(found.groups[0].note)


def test_a_window_with_rows_on_few_days_is_not_judged(year: Counts) -> None:
    few = np.where((np.arange(WINDOW) < WINDOW / 2 - 1)[:, None, None], year[YEAR:], 0)
    found = judged(reference_of(year[:YEAR]), few)
    assert found.groups[0].note == "not judged: 6 of the 14 days of the window have rows"


def test_a_thin_window_is_not_a_drifted_one(year: Counts) -> None:
    rng, shares = np.random.default_rng(9), year[YEAR:] / year[YEAR:].sum(axis=2, keepdims=True)
    assert drifted(judged(reference_of(year[:YEAR]), rng.multinomial(3, shares))) == []


def test_a_column_that_never_moved_has_a_limit_beyond_the_chance_of_its_rows() -> None:
    still = np.tile(np.full(BINS, 30), (YEAR, COLUMNS, 1))
    reference = reference_of(still)
    assert [g.limit for g in reference.groups] == [LEAST_LIMIT] * 3
    assert drifted(judged(reference, still[:WINDOW])) == []


def test_a_reference_of_no_rows_at_all_is_not_judged() -> None:
    nothing = np.zeros((YEAR, COLUMNS, BINS), dtype=np.int64)
    found = judged(reference_of(nothing), nothing[:WINDOW])
    assert [g.score for g in found.groups] == [None] * 3


DAYS = pl.Series([date(2024, 1, 1 + i // 10) for i in range(100)])
BEFORE = pl.DataFrame({"i": np.arange(100), "x": np.arange(100.0) % 10, "c": ["a", "b"] * 50})
TWO_DAYS = DriftPolicy(window=timedelta(days=2))


@pytest.mark.parametrize(
    ("frame", "column", "finding"),
    [
        (BEFORE, "x", None),
        (BEFORE.drop("x"), "x", "missing"),
        (BEFORE.head(0), "x", "empty"),
        (BEFORE.with_columns(x=pl.lit(None, dtype=pl.Float64)), "x", "all null"),
        (BEFORE.with_columns(x=pl.lit(3.0)), "x", "constant"),
        (BEFORE.with_columns(x=pl.lit("3")), "x", "text where numbers were"),
        (BEFORE.with_columns(x=pl.when(pl.col("i") > 97).then(np.inf).otherwise("x")), "x", "2 infinite values"),
        (BEFORE.with_columns(c=pl.lit("a")), "c", "constant"),
        (BEFORE.with_columns(c=pl.lit(None, dtype=pl.String)), "c", "all null"),
        (BEFORE.with_columns(extra=pl.lit(1)), "x", None),
    ],
    ids=["as before", "missing", "empty", "null", "constant", "text", "infinite", "one class", "no class", "extra"],
)  # fmt: skip
def test_an_odd_column_is_a_finding(frame: pl.DataFrame, column: str, finding: str | None) -> None:
    kept = {"g": [fit_bins(BEFORE["x"], "numeric"), fit_bins(BEFORE["c"], "categorical")]}
    reference = make_reference({"g": day_counts(BEFORE, DAYS, kept["g"])}, kept, {}, TWO_DAYS)
    seen = day_counts(frame, DAYS.head(len(frame)), kept["g"])
    about = next(c for c in reference.columns if c.name == column)
    windows = seen.windows(np.array(["2024-01-10"], dtype="datetime64[D]"), 2)
    assert findings_of(about, seen, seen.sums(column, windows), windows) == [finding]


def test_a_column_that_has_gone_missing_is_as_far_as_can_be() -> None:
    kept = {"g": [fit_bins(BEFORE["x"], "numeric")]}
    reference = make_reference({"g": day_counts(BEFORE, DAYS, kept["g"])}, kept, {}, TWO_DAYS)
    seen: DayCounts = day_counts(BEFORE.drop("x"), DAYS, kept["g"])
    found = judge(
        reference,
        WindowCounts(
            days={"g": np.array([2])}, counts={"x": seen.counts["x"].sum(axis=0)[None]}, findings={"x": ["missing"]}
        ),
        TWO_DAYS,
    )[0]
    assert (found.columns[0].distance, found.groups[0].is_drifted) == (1.0, True)
