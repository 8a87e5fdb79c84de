"""What lands is taken in as it is, or refused by name and nothing is written."""

import gzip
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assets.contracts import PARTITION_KEY
from pipelines.flight_delays.source import FLIGHT_COLUMNS
from resources.lake import Commit
from tests.support.few_days import Home, checks, failures, flights_file, steps_run, weather_file

DAY, NEXT, THIRD = "2013-01-01", "2013-01-02", "2013-01-03"


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)


def rewrite(path: Path, text: list[str]) -> None:
    path.write_bytes(gzip.compress("".join(text).encode(), mtime=0))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4_000])


def cut_off_before_packing(path: Path) -> None:
    text = lines(path)
    rewrite(path, [*text[:400], text[400][:20]])


def without_rows(path: Path) -> None:
    rewrite(path, lines(path)[:1])


def renamed_column(path: Path) -> None:
    header, *rows = lines(path)
    rewrite(path, [header.replace("arr_delay", "arrival_delay"), *rows])


def wrongly_typed(path: Path) -> None:
    header, *rows = lines(path)
    fields = rows[4].split(",")
    fields[list(FLIGHT_COLUMNS).index("flight")] = "eleven"
    rewrite(path, [header, *rows[:4], ",".join(fields), *rows[5:]])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (emptied, ["empty (0 bytes)", "deliver it again"]),
        (truncated, ["truncated"]),
        (cut_off_before_packing, ["ragged", "row 400"]),
        (without_rows, ["no rows"]),
        (renamed_column, ["missing: ['arr_delay']", "not declared: ['arrival_delay']"]),
        (wrongly_typed, ["'flight'", "row 5: 'eleven'"]),
    ],
)
def test_a_bad_file_fails_the_run_by_name_and_nothing_is_written(
    empty: Home, damage: Callable[[Path], None], says: list[str]
) -> None:
    damage(empty.landing / flights_file(NEXT))
    result = empty.run("ingest", first=DAY, last=THIRD)
    told = failures(result)
    assert flights_file(NEXT) in told
    assert all(part in told for part in says), told
    assert empty.lake.version(empty.table("raw_flights")) is None
    assert not {"cleaned_flights", "features"} & steps_run(result)
    assert not any(e.event_type_value == "STEP_UP_FOR_RETRY" for e in result.all_events)


def test_a_bad_file_leaves_what_was_taken_in_before(empty: Home) -> None:
    assert empty.run("ingest", "raw_flights", first=DAY, last=THIRD).success
    before, rows = empty.lake.version(empty.table("raw_flights")), empty.rows("raw_flights")
    truncated(empty.landing / flights_file(NEXT))
    assert not empty.run("ingest", "raw_flights", first=DAY, last=THIRD).success
    assert empty.lake.version(empty.table("raw_flights")) == before
    assert empty.rows("raw_flights").equals(rows)


def test_all_bad_files_of_a_run_are_named_in_one_error(empty: Home) -> None:
    emptied(empty.landing / flights_file(DAY))
    renamed_column(empty.landing / flights_file(THIRD))
    told = failures(empty.run("ingest", "raw_flights", first=DAY, last=THIRD))
    assert "2 landed file(s) refused" in told
    assert flights_file(DAY) in told
    assert flights_file(THIRD) in told
    assert flights_file(NEXT) not in told


def test_every_row_says_which_bytes_it_came_from_and_when_they_landed(empty: Home) -> None:
    assert empty.run("ingest", "raw_flights", first=DAY, last=THIRD).success
    for day in (DAY, NEXT, THIRD):
        file = empty.landing / flights_file(day)
        rows = empty.rows("raw_flights", day)
        assert len(rows) == len(lines(file)) - 1
        assert rows["source_uri"].unique().to_list() == [str(file)]
        assert rows["source_sha256"].unique().to_list() == [hashlib.sha256(file.read_bytes()).hexdigest()]
        landed_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        assert abs(rows["ingested_at"].unique().item() - landed_at).total_seconds() < 1e-3


def test_the_rows_of_one_day_are_counted_as_those_of_its_partition(empty: Home) -> None:
    result = empty.run("ingest", "raw_flights", first=NEXT, last=NEXT)
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["dagster/partition_row_count"].value == len(empty.rows("raw_flights", NEXT))


@pytest.mark.parametrize(
    ("asset", "last", "count"),
    [
        ("raw_flights", THIRD, "rows_of_the_run"),
        ("raw_flights", DAY, "dagster/partition_row_count"),
        ("raw_planes", DAY, "dagster/row_count"),
    ],
)
def test_the_materialisation_tells_rows_and_table_version_and_the_commit_tells_the_run(
    asset: str, last: str, count: str, empty: Home
) -> None:
    result = empty.run("ingest", asset, first=DAY, last=last)
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    counts = {name: value.value for name, value in metadata.items() if "row" in name}
    assert counts == {count: len(empty.rows(asset))}
    assert metadata["lake/version"].value == empty.lake.version(empty.table(asset))
    node = empty.definitions().resolve_asset_graph().get(empty.key(asset))
    written_by = empty.lake.history(empty.table(asset))[0].commit
    assert written_by == Commit(dagster_run_id=result.run_id, code_version=str(node.code_version))


def test_taking_in_the_same_files_again_commits_nothing(empty: Home) -> None:
    names = ["raw_flights", "raw_weather", "raw_planes", "raw_airports"]
    assert empty.run("ingest", *names, first=DAY, last=THIRD).success
    before = empty.versions()
    assert set(names) == before.keys()
    assert empty.run("ingest", *names, first=DAY, last=THIRD).success
    assert empty.versions() == before


def test_a_required_day_that_has_not_arrived_is_named(empty: Home) -> None:
    (empty.landing / flights_file(NEXT)).unlink()
    told = failures(empty.run("ingest", "raw_flights", first=DAY, last=THIRD))
    assert f"no file has landed under {empty.landing} for {NEXT}" in told
    assert empty.lake.version(empty.table("raw_flights")) is None


def test_an_absent_register_is_named(empty: Home) -> None:
    (empty.landing / "airports/airports.csv").unlink()
    told = failures(empty.run("ingest", "raw_airports", first=DAY))
    assert "airports/airports.csv" in told


def test_a_register_that_is_optional_may_be_absent(empty: Home) -> None:
    (empty.landing / "planes/planes.csv").unlink()
    result = empty.run("ingest", "raw_planes", first=DAY)
    assert result.success
    assert not checks(result)["raw_planes/has_rows"].passed


def test_an_optional_day_that_has_not_arrived_is_a_warning(empty: Home) -> None:
    (empty.landing / weather_file(NEXT)).unlink()
    result = empty.run("ingest", "raw_weather", first=DAY, last=THIRD)
    assert result.success
    gap = checks(result)["raw_weather/every_partition_has_arrived"]
    assert (gap.passed, gap.severity.value) == (False, "WARN")
    assert gap.metadata["not_arrived"].value == [NEXT]
    assert empty.lake.partitions(empty.table("raw_weather")) == {DAY, THIRD}


def test_an_absent_file_does_not_empty_what_the_lake_has(empty: Home) -> None:
    assert empty.run("ingest", "raw_weather", first=DAY, last=THIRD).success
    rows = empty.rows("raw_weather")
    (empty.landing / weather_file(NEXT)).unlink()
    assert empty.run("ingest", "raw_weather", first=DAY, last=THIRD).success
    assert empty.rows("raw_weather").equals(rows)


def test_a_day_delivered_anew_replaces_its_rows_and_no_others(empty: Home) -> None:
    assert empty.run("ingest", "raw_flights", first=DAY, last=THIRD).success
    before = empty.rows("raw_flights")
    file = empty.landing / flights_file(NEXT)
    rewrite(file, lines(file)[:101])
    assert empty.run("ingest", "raw_flights", first=DAY, last=THIRD).success
    assert len(empty.rows("raw_flights", NEXT)) == 100
    other = pl.col(PARTITION_KEY) != NEXT
    assert empty.rows("raw_flights").filter(other).equals(before.filter(other))
