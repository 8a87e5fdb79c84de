from datetime import date

import numpy as np
import polars as pl
import pytest

from assets.logic.profiling.columns import profile_column

N = 400


def texts(values: object) -> pl.Series:
    return pl.Series("c", [None if v is None else str(v) for v in values], dtype=pl.String)  # type: ignore[attr-defined]


R = np.random.default_rng(1)
KINDS = {
    "integer": [R.integers(-50, 50, N), [7, "NA"] * 200],
    "number": [R.normal(size=N).round(3), ["3.0", "4.0"] * 200, ["1e3", "2.5"] * 200],
    "boolean": [["Yes", "no"] * 200, ["TRUE", "False", ""] * 100, [0, 1] * 200, ["ja", "Nein"] * 200],
    "category": [["red", "green"] * 200, ["00501", "10001"] * 200, ["12a", "7", "x"] * 130],
    "text": [[f"the parcel {i} came {i % 7} days late" for i in range(N)]],
    "identifier": [range(1_000, 1_000 + N), [f"{i * 7919:09x}" for i in range(N)]],
    "empty": [["", " NA ", "null", "N/A", None] * 80],
}


@pytest.mark.parametrize(("kind", "values"), [(k, v) for k, several in KINDS.items() for v in several])
def test_the_kind_of_a_column_is_found_in_its_texts(kind: str, values: object) -> None:
    assert profile_column(texts(values)).kind == kind


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("integer", [3, 1, 2, 3] * 9),
        ("number", [1.0, 2.0, 4.0] * 9),
        ("boolean", [True, False] * 9),
        ("time", [date(2024, 1, 1), date(2024, 1, 2)] * 9),
        ("empty", [None] * 9),
    ],
)
def test_typed_columns_keep_their_type(kind: str, values: list[object]) -> None:
    assert profile_column(pl.Series("c", values)).kind == kind


def test_a_name_of_an_id_makes_one_where_values_come_back() -> None:
    customers = texts(R.integers(0, 150, N))
    assert profile_column(customers.alias("customer_id")).kind == "identifier"
    assert profile_column(customers.alias("visitors")).kind == "integer"


def test_times_in_text_are_what_the_given_test_says() -> None:
    dates = texts([f"{1 + i % 28}/03/2024 11:05 PM" for i in range(N)])
    assert profile_column(dates, is_time=lambda c: bool(c.str.contains("/").all())).kind == "time"


def test_three_percent_of_texts_among_numbers_are_counted_and_named() -> None:
    mixed = texts(["n.k." if i < 8 else "closed" if i < 12 else i % 37 for i in range(N)])
    found = profile_column(mixed)
    assert (found.kind, found.misfit_rows, dict(found.misfits)) == ("integer", 12, {"n.k.": 8, "closed": 4})
    assert found.notes == [
        "'c' holds numbers, but 3.0% of its values are none ('n.k.', 'closed'); they will count as missing."
    ]


def test_leading_zeros_are_said_and_keep_a_column_text() -> None:
    found = profile_column(texts(["00501", "10001"] * 30))
    assert found.has_leading_zeros
    assert found.minimum is None
    assert found.notes == ["'c' has leading zeros ('00501' and 1 more), so it stays text."]


def test_null_texts_are_counted_as_they_are_written() -> None:
    found = profile_column(texts(["NA", "n/a", "NA", "", " 5 ", None, "6"]))
    assert dict(found.null_texts) == {"": 1, "NA": 2, "n/a": 1}
    assert (found.missing, found.filled, found.distinct) == (5, 2, 2)


def test_numbers_are_described_by_range_and_quantiles() -> None:
    found = profile_column(texts(R.permutation(np.arange(1, 102)) / 2))
    assert (found.minimum, found.maximum, found.quantiles[0.5]) == (0.5, 50.5, 25.5)


def test_a_decimal_comma_is_read_when_it_is_given() -> None:
    prices = texts(["1.234,50", "2,25"] * 30)
    assert profile_column(prices).kind == "category"
    assert profile_column(prices, decimal_comma=True).maximum == 1234.5


def test_infinity_and_not_a_number_are_no_measurements() -> None:
    found = profile_column(pl.Series("c", [1.5, 2.5, 3.5, 4.5, 5.5, float("nan"), float("inf")]))
    assert (found.maximum, found.missing, dict(found.misfits)) == (5.5, 1, {"inf": 1})


def test_a_constant_is_one_only_if_more_than_one_row_says_so() -> None:
    assert profile_column(texts(["x"] * 5)).is_constant
    assert not profile_column(texts(["x"])).is_constant


def test_a_running_number_depends_on_the_order_of_the_rows() -> None:
    assert profile_column(texts(range(N))).is_counter
    assert not profile_column(texts(R.permutation(N))).is_counter


def test_100_000_categories_are_counted_and_not_listed() -> None:
    found = profile_column(texts([f"v{i % 100_000}" for i in range(250_000)]))
    assert (found.kind, found.distinct, found.categories) == ("category", 100_000, {})


def test_nested_columns_are_no_obstacle() -> None:
    assert profile_column(pl.Series("c", [[1], None, [2, 3]])).missing == 1
