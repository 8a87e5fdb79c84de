import dataclasses
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from pydantic import TypeAdapter

from assets.logic.splits import (
    CLASS_ROWS,
    RowCounts,
    SplitError,
    TrainingManifest,
    Window,
    Windows,
    count_rows,
    known_classes,
    split_days,
)
from assets.policies import TimeSplit

MONTHS = TimeSplit(validation=timedelta(days=31), test=timedelta(days=31))
WEEKS = TimeSplit(validation=timedelta(days=7), test=timedelta(days=7))


def days(first: date, last: date) -> list[str]:
    return [str(first + timedelta(days=i)) for i in range((last - first).days + 1)]


def manifest() -> TrainingManifest:
    windows = split_days(days(date(2013, 1, 1), date(2013, 8, 31)), MONTHS)
    return TrainingManifest(
        use_case="flights",
        tables={"features": 3, "cleaned_flights": 7},
        windows=windows,
        rows={"train": RowCounts(labelled=10, unlabelled=1, distinct=2, positives=4)},
        features=("hour", "carrier"),
        target="is_late",
        seed=7,
        code_version="abc",
        created_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    )


def test_the_last_days_are_test_and_those_before_them_validation() -> None:
    windows = split_days(days(date(2013, 1, 1), date(2013, 8, 31)), MONTHS)
    assert windows == Windows(
        train=Window(start=date(2013, 1, 1), end=date(2013, 6, 30)),
        validation=Window(start=date(2013, 7, 1), end=date(2013, 7, 31)),
        test=Window(start=date(2013, 8, 1), end=date(2013, 8, 31)),
    )


def test_a_day_missing_in_the_middle_moves_no_window() -> None:
    known = days(date(2013, 1, 1), date(2013, 8, 31))
    holed = [d for d in known if d not in {"2013-05-05", "2013-07-15", "2013-08-20"}]
    assert split_days(reversed(holed), MONTHS) == split_days(known, MONTHS)


def test_a_gap_lies_before_the_test_window_and_belongs_to_none() -> None:
    split = TimeSplit(validation=timedelta(days=31), test=timedelta(days=31), gap=timedelta(days=90))
    assert split_days(days(date(2013, 1, 1), date(2013, 8, 31)), split) == Windows(
        train=Window(start=date(2013, 1, 1), end=date(2013, 4, 1)),
        validation=Window(start=date(2013, 4, 2), end=date(2013, 5, 2)),
        test=Window(start=date(2013, 8, 1), end=date(2013, 8, 31)),
    )


def test_a_gap_counts_among_the_days_that_are_needed() -> None:
    split = TimeSplit(validation=timedelta(days=7), test=timedelta(days=7), gap=timedelta(days=10))
    with pytest.raises(SplitError, match=r"20 days are known .* take 24"):
        split_days(days(date(2013, 1, 1), date(2013, 1, 20)), split)


def test_a_class_too_rare_to_learn_is_not_told_apart() -> None:
    labels = pl.Series("weather", ["sun"] * CLASS_ROWS + ["rain"] * CLASS_ROWS + ["snow"] * (CLASS_ROWS - 1) + [None])
    assert known_classes(labels) == ("rain", "sun")


def test_labels_that_are_all_equal_are_counted_as_one() -> None:
    windows = split_days(days(date(2013, 1, 1), date(2013, 1, 15)), WEEKS)
    rows = pl.DataFrame({"day": days(date(2013, 1, 1), date(2013, 1, 15)), "y": [2.5] * 8 + [1.0] * 7})
    counted = count_rows(rows, windows, day="day", target="y", binary=False)
    assert {name: (c.distinct, c.positives) for name, c in counted.items()} == {
        "train": (1, None),
        "validation": (1, None),
        "test": (1, None),
    }


def test_fifteen_days_are_enough_for_two_weeks_and_one_to_train() -> None:
    assert split_days(days(date(2013, 1, 1), date(2013, 1, 15)), WEEKS).train.days == 1


def test_too_few_days_are_refused_with_both_numbers() -> None:
    with pytest.raises(SplitError, match=r"14 days are known .* take 14"):
        split_days(days(date(2013, 1, 1), date(2013, 1, 14)), WEEKS)


def test_no_day_at_all_is_refused() -> None:
    with pytest.raises(SplitError, match="no day is known"):
        split_days([], WEEKS)


def test_a_window_without_any_known_day_is_refused_by_name() -> None:
    known = days(date(2013, 1, 1), date(2013, 1, 10)) + days(date(2013, 1, 22), date(2013, 1, 28))
    with pytest.raises(SplitError, match="validation window"):
        split_days(known, WEEKS)


def test_windows_that_overlap_are_refused() -> None:
    june, summer = (
        Window(start=date(2013, 6, 1), end=date(2013, 6, 30)),
        Window(start=date(2013, 6, 30), end=date(2013, 7, 5)),
    )
    with pytest.raises(SplitError, match="overlap"):
        Windows(train=june, validation=summer, test=Window(start=date(2013, 8, 1), end=date(2013, 8, 2)))


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(SplitError, match="cannot start"):
        Window(start=date(2013, 6, 2), end=date(2013, 6, 1))


def test_rows_are_counted_by_window_with_and_without_label() -> None:
    windows = split_days(days(date(2013, 1, 1), date(2013, 1, 15)), WEEKS)
    rows = pl.DataFrame(
        {"day": ["2013-01-01", "2013-01-02", "2013-01-08", "2013-01-15", "2013-02-01"], "late": [1, 0, None, 1, 1]}
    )
    assert count_rows(rows, windows, day="day", target="late") == {
        "train": RowCounts(labelled=1, unlabelled=0, distinct=1, positives=1),
        "validation": RowCounts(labelled=1, unlabelled=1, distinct=1, positives=0),
        "test": RowCounts(labelled=1, unlabelled=0, distinct=1, positives=1),
    }


def test_rows_are_counted_the_same_by_date_and_by_partition_key() -> None:
    windows = split_days(days(date(2013, 1, 1), date(2013, 1, 15)), WEEKS)
    rows = pl.DataFrame({"day": ["2013-01-08", "2013-01-09"], "late": [1, 0]})
    dated = rows.with_columns(pl.col("day").str.to_date())
    assert count_rows(rows, windows, day="day", target="late") == count_rows(dated, windows, day="day", target="late")


def test_the_id_of_a_manifest_does_not_depend_on_when_it_was_written() -> None:
    later = dataclasses.replace(manifest(), created_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert later.id == manifest().id


def test_the_id_does_not_depend_on_the_order_of_tables() -> None:
    turned = dataclasses.replace(manifest(), tables={"cleaned_flights": 7, "features": 3})
    assert turned.id == manifest().id


@pytest.mark.parametrize(
    "change",
    [{"seed": 8}, {"tables": {"features": 4, "cleaned_flights": 7}}, {"code_version": "x"}, {"features": ("hour",)}],
)
def test_the_id_changes_with_anything_that_makes_another_model(change: dict[str, object]) -> None:
    assert dataclasses.replace(manifest(), **change).id != manifest().id  # type: ignore[arg-type]


def test_a_manifest_comes_back_from_json_as_it_was() -> None:
    assert TrainingManifest.from_json(manifest().to_json()) == manifest()


def test_a_manifest_travels_between_assets_as_it_was() -> None:
    adapter = TypeAdapter(TrainingManifest)
    assert adapter.validate_json(adapter.dump_json(manifest())) == manifest()


def test_an_altered_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="was altered"):
        TrainingManifest.from_json(manifest().to_json().replace('"seed": 7', '"seed": 8'))
