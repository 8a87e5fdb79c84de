"""Whether two frames hold the same rows."""

import polars as pl
import pytest

from resources.lake_content import is_same

FRAME = pl.DataFrame({"a": [1, None, 3, 3], "b": ["x", "y", None, None], "c": [0.5, float("nan"), None, None]})


def test_the_order_of_rows_makes_no_difference() -> None:
    assert is_same(FRAME, FRAME.reverse())


@pytest.mark.parametrize(
    "other",
    [
        FRAME.head(3),
        FRAME.rename({"a": "A"}),
        FRAME.with_columns(pl.col("a").cast(pl.Int32)),
        FRAME.with_columns(a=pl.Series([1, None, 3, None])),
        FRAME.with_columns(c=pl.Series([0.5, None, None, None])),
        FRAME.with_columns(b=pl.Series(["y", "x", None, None])),
    ],
    ids=["fewer rows", "name", "type", "null", "nan", "values swapped between rows"],
)
def test_any_other_difference_counts(other: pl.DataFrame) -> None:
    assert not is_same(FRAME, other)


def test_rows_are_compared_by_value_and_not_by_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.DataFrame, "hash_rows", lambda frame: pl.repeat(0, len(frame), eager=True))
    assert not is_same(FRAME, FRAME.with_columns(b=pl.lit("z")))
