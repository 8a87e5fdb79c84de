"""What is due is told in partitions of any length: here weeks, over a real lake, landing zone and Dagster instance."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY, Partitions
from pipelines.backlog import PLAN, Backlog
from pipelines.jobs import job_name
from resources.lake import Commit, Lake
from resources.landing import LandingZone
from tests.support.toy_use_case import TOY

COMMIT = Commit(dagster_run_id="a test", code_version="a test")
WEEKLY = replace(TOY, partitions=Partitions(start=date(2019, 12, 30), every="week"), lookback=timedelta(days=8))
WEEKS = ["2019-12-30", "2020-01-06", "2020-01-13", "2020-01-20", "2020-01-27"]
LANDED_AT = datetime(2020, 3, 1, tzinfo=UTC)


@pytest.fixture
def backlog(tmp_path: Path) -> Iterator[Backlog]:
    """Five weeks that landed and were taken in."""
    lake, zone = Lake(root=str(tmp_path / "lake")), tmp_path / "landing"
    zone.mkdir()
    for week in WEEKS:
        (zone / f"parcels_{week}.csv").touch()
        os.utime(zone / f"parcels_{week}.csv", times=(LANDED_AT.timestamp(),) * 2)
    rows = pl.DataFrame({PARTITION_KEY: WEEKS, "ingested_at": [LANDED_AT] * len(WEEKS)})
    for table in ("raw_parcels", "features"):
        lake.write(f"parcels/{table}", rows, partitions=WEEKS, commit=COMMIT)
    with dg.DagsterInstance.ephemeral() as instance:
        landing = LandingZone(root=str(zone))
        yield Backlog(use_case=WEEKLY, lake=lake, landing=landing, instance=instance, assets=frozenset())


def deliver(backlog: Backlog, week: str) -> None:
    (Path(backlog.landing.root) / f"parcels_{week}.csv").write_text("anew", encoding="utf-8")


def test_weeks_that_were_taken_in_are_not_due(backlog: Backlog) -> None:
    assert backlog.arrived() == set(WEEKS)
    assert backlog.due() == []


def test_a_week_that_is_new_is_due(backlog: Backlog) -> None:
    deliver(backlog, "2020-02-03")
    assert backlog.due() == ["2020-02-03"]


def test_weeks_that_look_back_on_a_changed_one_are_due_with_it_and_later_ones_are_not(backlog: Backlog) -> None:
    deliver(backlog, WEEKS[1])
    assert backlog.due() == WEEKS[1:4]  # 9 days before a Monday lie in the week before the last


def test_weeks_that_a_killed_ingestion_had_planned_are_due(backlog: Backlog) -> None:
    ingested = job_name("parcels", "ingest")
    planned = f"{WEEKS[0]}/{WEEKS[0]} {WEEKS[3]}/{WEEKS[4]}"
    backlog.instance.add_run(dg.DagsterRun(job_name=ingested, tags={PLAN: planned}))
    assert backlog.due() == WEEKS
    for span in planned.split():
        tags = dict(
            zip(
                ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"),
                span.split("/"),
                strict=True,
            )
        )
        done = dg.DagsterRun(job_name=ingested, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
        backlog.instance.add_run(done)
    assert backlog.due() == []


def test_weeks_in_a_row_are_one_run_and_a_gap_begins_another() -> None:
    assert WEEKLY.partitions.ranges([*WEEKS[:2], *WEEKS[3:]]) == [(WEEKS[0], WEEKS[1]), (WEEKS[3], WEEKS[4])]


def test_what_fits_in_memory_is_one_run_but_never_over_a_gap(backlog: Backlog) -> None:
    assert backlog.runs([*WEEKS[:2], *WEEKS[3:]]) == [(WEEKS[0], WEEKS[1]), (WEEKS[3], WEEKS[4])]


def test_a_run_takes_in_no_more_bytes_than_fit_in_memory(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    for week in WEEKS:
        deliver(backlog, week)  # 4 bytes each
    monkeypatch.setattr("pipelines.backlog.RUN_BYTES", 9)
    assert backlog.runs(WEEKS) == [(WEEKS[0], WEEKS[1]), (WEEKS[2], WEEKS[3]), (WEEKS[4], WEEKS[4])]


def test_a_partition_too_large_for_a_run_is_a_run_of_its_own(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    for week in WEEKS:
        deliver(backlog, week)
    monkeypatch.setattr("pipelines.backlog.RUN_BYTES", 1)
    assert backlog.runs(WEEKS) == [(week, week) for week in WEEKS]


def test_a_file_of_a_time_that_is_not_declared_is_not_due(backlog: Backlog) -> None:
    deliver(backlog, "2019-12-23")
    assert "2019-12-23" not in backlog.arrived()
