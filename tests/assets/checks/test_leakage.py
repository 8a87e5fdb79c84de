"""The leakage check finds what knows the future, and nothing else."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from assets.checks.leakage import BuildFeatures, Difference, differing_features
from assets.logic.point_in_time import Clock, History

START = datetime(2020, 3, 1, tzinfo=UTC)
ORDERS = pl.DataFrame(
    [
        {
            "item": i % 3,
            "due_at": START + timedelta(hours=i),
            "done_at": START + timedelta(hours=i + 2),
            "minutes": i % 7,
        }
        for i in range(200)
    ],
    schema_overrides={"due_at": pl.Datetime("us", "UTC"), "done_at": pl.Datetime("us", "UTC")},
)
CLOCK = Clock(event_time="due_at", known_at_by_column={"minutes": "done_at"}, available_after=timedelta(minutes=5))
FORGOTTEN = Clock(event_time="due_at", available_after=timedelta(minutes=5))
SPINE = ORDERS.select("item", "due_at", prediction_time=pl.col("due_at") - timedelta(minutes=30))
DAY = timedelta(days=1)


def honest(spine: pl.DataFrame, history: History) -> pl.DataFrame:
    """A mean over a day, null and NaN included."""
    past = history.window(
        spine, table="orders", clock="done_at", by=["item"], since=DAY, sums={"minutes": pl.col("minutes")}
    )
    return spine.with_columns(mean=past["minutes"] / past["count"], empty=pl.lit(None), constant=pl.lit("same"))


def differences(build: BuildFeatures, names: list[str], clock: Clock = CLOCK, sample: int = 20) -> list[Difference]:
    history = History({"orders": ORDERS}, {"orders": clock})
    features = build(SPINE, history)
    return differing_features(SPINE, features, history, build, names, lookback=2 * DAY, sample=sample, seed=3)


def named(found: list[Difference]) -> set[str]:
    return {difference["feature"] for difference in found}


def test_honest_features_do_not_differ() -> None:
    assert differences(honest, ["mean", "empty", "constant"], sample=200) == []


def test_the_outcome_of_the_row_itself_is_named() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        outcome = history.tables["orders"].select("item", "due_at", dep_delay=pl.col("minutes"))
        return honest(spine, history).join(outcome, on=["item", "due_at"], how="left", maintain_order="left")

    found = differences(build, ["mean", "dep_delay"])
    assert named(found) == {"dep_delay"}
    assert found[0]["offline"] == ORDERS["minutes"][found[0]["row"]]
    assert found[0]["rebuilt"] is None
    assert found[0]["prediction_time"] == SPINE["prediction_time"][found[0]["row"]]


def test_a_sum_of_outcomes_of_the_whole_table_is_named() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        return honest(spine, history).with_columns(total=pl.lit(history.tables["orders"]["minutes"].sum()))

    assert named(differences(build, ["mean", "total"])) == {"total"}


def test_a_feature_that_looks_at_other_rows_of_the_spine_is_named() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        return honest(spine, history).with_columns(position=pl.int_range(pl.len()))

    assert named(differences(build, ["mean", "position"])) == {"position"}


def test_a_feature_that_looks_back_further_than_declared_is_named() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        long = history.window(spine, table="orders", clock="done_at", by=[], since=5 * DAY)
        return honest(spine, history).with_columns(long=long["count"])

    assert named(differences(build, ["mean", "long"])) == {"long"}


def test_a_feature_that_looks_days_ahead_in_the_schedule_is_named() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        ahead = history.window(spine, table="orders", clock="due_at", by=[], since=DAY, until=3 * DAY)
        return honest(spine, history).with_columns(ahead=ahead["count"])

    assert named(differences(build, ["mean", "ahead"])) == {"ahead"}


def test_a_window_over_an_outcome_whose_clock_is_not_declared_is_not_mistaken_for_honest() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        sums = {"minutes": pl.col("minutes")}
        due = history.window(
            spine, table="orders", clock="due_at", by=[], since=DAY, until=timedelta(hours=1), sums=sums
        )
        return spine.with_columns(due=due["minutes"])

    # With the clock declared the window itself refuses; without it nobody could tell, so the declaration is the guard.
    with pytest.raises(ValueError, match="'minutes' is known at 'done_at'"):
        differences(build, ["due"])
    assert differences(build, ["due"], clock=FORGOTTEN) == []


def test_the_same_seed_draws_the_same_rows() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        return spine.with_columns(position=pl.int_range(10, pl.len() + 10))

    first, second = differences(build, ["position"], sample=5), differences(build, ["position"], sample=5)
    assert first == second
    assert len(first) == 5


def test_nan_equals_nan_but_not_null() -> None:
    def build(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        alone = len(spine) == 1
        return spine.with_columns(nan=pl.lit(float("nan")), lost=pl.lit(None if alone else float("nan"), pl.Float64))

    assert named(differences(build, ["nan", "lost"])) == {"lost"}


def test_a_feature_that_is_not_in_the_table_is_refused() -> None:
    history = History({"orders": ORDERS}, {"orders": CLOCK})
    with pytest.raises(ValueError, match=r"not in the table to check: \['absent'\]"):
        differing_features(SPINE, SPINE, history, honest, ["absent"], lookback=DAY, sample=1, seed=1)


def test_features_of_other_rows_are_refused() -> None:
    history = History({"orders": ORDERS}, {"orders": CLOCK})
    with pytest.raises(ValueError, match="199 rows of features cannot belong to 200 rows"):
        differing_features(SPINE, SPINE[1:], history, honest, ["item"], lookback=DAY, sample=1, seed=1)
