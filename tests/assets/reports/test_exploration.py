"""The exploration of a table: every column described, and nothing that breaks it."""

import random
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from assets.contracts import Column
from assets.reports.exploration import SAMPLED_ROWS, Exploration, explore

PNG = b"\x89PNG\r\n"
START = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = {
    "at": Column(dtype=pl.Datetime("us", "UTC"), description="Instant.", unit="UTC"),
    "day": Column(dtype=pl.Date(), description="Day."),
    "size": Column(dtype=pl.Float64(), description="Size | large.", unit="mm"),
    "count": Column(dtype=pl.Int16(), description="Count."),
    "colour": Column(dtype=pl.String(), description="Colour."),
    "is_new": Column(dtype=pl.Boolean(), description="New."),
    "empty": Column(dtype=pl.Float64(), description="Never measured."),
}
ROWS = 200


def table(rows: int = ROWS) -> pl.DataFrame:
    rng = random.Random(7)  # noqa: S311  # test data
    return pl.DataFrame(
        {
            "at": [START + timedelta(hours=i) for i in range(rows)],
            "day": [date(2024, 1, 1) + timedelta(days=i // 24) for i in range(rows)],
            "size": [None if i % 4 == 0 else rng.gauss(10, 2) for i in range(rows)],
            "count": [i % 5 for i in range(rows)],
            "colour": [rng.choice(["red", "red", "blue"]) for _ in range(rows)],
            "is_new": [i % 2 == 0 for i in range(rows)],
            "empty": [None] * rows,
        },
        schema={name: column.dtype for name, column in COLUMNS.items()},
    )


@pytest.fixture(scope="module")
def described() -> Exploration:
    return explore(table(), COLUMNS)


def line(described: Exploration, column: str) -> list[str]:
    """Cells of a column's row in the Markdown table."""
    (found,) = [row for row in described.markdown.splitlines() if row.startswith(f"| {column} |")]
    return [cell.strip() for cell in found.strip("|").replace("\\|", "/").split("|")]


def test_every_column_has_a_line_with_type_unit_and_meaning(described: Exploration) -> None:
    assert line(described, "size")[1:3] == ["Float64", "mm"]
    assert all(line(described, name)[-1] == COLUMNS[name].description.replace("|", "/") for name in COLUMNS)


def test_missing_values_are_shown_in_per_cent(described: Exploration) -> None:
    assert [line(described, name)[3] for name in ("size", "count", "empty")] == ["25.00", "0.00", "100.00"]


def test_numbers_and_instants_show_their_range(described: Exploration) -> None:
    assert line(described, "count")[4:6] == ["5", "0 / 2 / 4"]
    assert line(described, "at")[5] == "2024-01-01 00:00 / 2024-01-05 04:00 / 2024-01-09 07:00"


def test_categories_show_the_most_frequent_first(described: Exploration) -> None:
    assert line(described, "colour")[5].startswith("red (")
    assert line(described, "is_new")[5] == "false (50.0 %), true (50.0 %)"


def test_a_column_without_values_says_so(described: Exploration) -> None:
    assert line(described, "empty")[4:6] == ["0", "no values"]


def test_the_histograms_are_a_picture(described: Exploration) -> None:
    assert described.histograms.startswith(PNG)


def test_the_page_holds_evidentlys_summary_and_loads_nothing(described: Exploration) -> None:
    assert "colour" in described.html
    assert 'src="http' not in described.html
    assert 'href="http' not in described.html.split("</head>")[0]


def test_the_same_table_gives_the_same_description(described: Exploration) -> None:
    again = explore(table(), COLUMNS)
    assert (again.markdown, again.histograms) == (described.markdown, described.histograms)


def test_a_large_table_is_counted_whole_and_sampled_for_evidently() -> None:
    columns = {"count": COLUMNS["count"]}
    found = explore(pl.DataFrame({"count": pl.Series([1, 2] * SAMPLED_ROWS, dtype=pl.Int16)}), columns)
    assert (found.rows, found.sampled_rows) == (2 * SAMPLED_ROWS, SAMPLED_ROWS)


def test_a_table_without_rows_is_described_as_such() -> None:
    found = explore(table().clear(), COLUMNS)
    assert found.markdown.startswith("0 rows, 7 columns")
    assert found.histograms.startswith(PNG)
    assert "nothing to summarise" in found.html


def test_a_table_without_values_is_described_as_such() -> None:
    found = explore(table().select(pl.all().cast(pl.String()).replace_strict({}, default=None)), COLUMNS)
    assert "nothing to summarise" in found.html


def test_numbers_that_are_none_count_as_missing() -> None:
    columns = {"size": COLUMNS["size"]}
    found = explore(pl.DataFrame({"size": [1.0, 3.0, float("nan"), float("inf")]}), columns)
    assert line(found, "size")[3:6] == ["50.00", "2", "1 / 2 / 3"]


def test_a_constant_column_is_described() -> None:
    columns = {"size": COLUMNS["size"], "count": COLUMNS["count"]}
    frame = pl.DataFrame({"size": [2.0] * 10, "count": pl.Series([3] * 10, dtype=pl.Int16)})
    assert line(explore(frame, columns), "count")[5] == "3 / 3 / 3"
