"""What is due is told in partitions of any length: here weeks, over a real lake, landing zone and Dagster instance."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import dagster as dg
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY, Partitions, SourceTable
from assets.stages import raw
from pipelines.assembly import build_definitions
from pipelines.backfill import Backfill
from pipelines.backlog import PLAN, RANGE, Backlog
from pipelines.jobs import ingested_assets, job_name
from pipelines.line import Line
from resources.lake import Commit, Lake
from resources.landing import LandingZone
from resources.objects import ObjectStore
from resources.sources import Arrival
from tests.support.instance import write_instance_file
from tests.support.landed_toy import FIRST_DAY, LANDED_TOY, land
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
    assert backlog.due() == [WEEKS[0], *WEEKS[3:5]]
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


def restated_by_hand(backlog: Backlog, week: str, *made: str, job: str = "__ASSET_JOB") -> Backlog:
    """A file lands anew, and a person has some of the assets made of it; as a new process would see it."""
    at, path = LANDED_AT + timedelta(hours=1), Path(backlog.landing.root) / f"parcels_{week}.csv"
    os.utime(path, times=(at.timestamp(),) * 2)
    run = by_hand(backlog, week, *made, job=job)
    rows = pl.DataFrame({PARTITION_KEY: [week], "ingested_at": [at]})
    commit = replace(COMMIT, dagster_run_id=run.run_id)
    backlog.lake.write("parcels/raw_parcels", rows, partitions=[week], commit=commit)
    return replace(backlog, assets=ingested_assets(WEEKLY))


def by_hand(backlog: Backlog, week: str, *made: str, job: str = "__ASSET_JOB") -> dg.DagsterRun:
    tags = dict.fromkeys(RANGE, week)
    chosen = frozenset(dg.AssetKey(["parcels", name]) for name in made) or None
    run = dg.DagsterRun(job_name=job, tags=tags, asset_selection=chosen, status=dg.DagsterRunStatus.SUCCESS)
    return backlog.instance.add_run(run)


def test_raw_rows_alone_do_not_make_a_changed_week_complete(backlog: Backlog) -> None:
    assert restated_by_hand(backlog, WEEKS[1], "raw_parcels").due() == WEEKS[1:4]


def test_a_changed_week_made_whole_by_hand_leaves_those_that_look_back_on_it(backlog: Backlog) -> None:
    assert restated_by_hand(backlog, WEEKS[1], job=job_name("parcels", "ingest")).due() == WEEKS[2:4]


def test_what_a_person_makes_by_hand_one_after_the_other_is_not_made_again(backlog: Backlog) -> None:
    seen = restated_by_hand(backlog, WEEKS[4], "raw_parcels")
    by_hand(backlog, WEEKS[4], "cleaned_parcels", "quarantined_parcels")
    assert replace(seen).due() == WEEKS[4:]
    by_hand(backlog, WEEKS[4], "features")
    assert replace(seen).due() == []


def test_raw_rows_made_again_by_hand_that_stay_as_they_were_change_nothing(backlog: Backlog) -> None:
    by_hand(backlog, WEEKS[1], "raw_parcels")
    assert replace(backlog, assets=ingested_assets(WEEKLY)).due() == []


def test_a_line_that_follows_a_change_by_hand_settles_it(backlog: Backlog) -> None:
    seen = restated_by_hand(backlog, WEEKS[1], "raw_parcels")
    tags = {**dict(zip(RANGE, (WEEKS[1], WEEKS[3]), strict=True)), PLAN: f"{WEEKS[1]}/{WEEKS[3]}"}
    ingested = job_name("parcels", "ingest")
    backlog.instance.add_run(dg.DagsterRun(job_name=ingested, tags=tags, status=dg.DagsterRunStatus.SUCCESS))
    assert replace(seen).due() == []


@dataclass(frozen=True, kw_only=True)
class Lined:
    """Four days that landed for the toy, and its line with real runs: the features alone know what was forgotten."""

    line: Line
    landing: LandingZone
    lake: Lake
    day: ClassVar[date] = FIRST_DAY + timedelta(days=1)

    def shorten(self) -> None:
        """The file of the day lands anew, with a row less."""
        path = Path(self.landing.root) / f"parcels_{self.day}.csv"
        path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")

    def rows(self) -> set[int]:
        """How many rows of the day the tables have."""
        names = ("raw_parcels", "cleaned_parcels", "features")
        return {self.lake.scan(f"parcels/{n}", partitions=[str(self.day)]).collect().height for n in names}


@pytest.fixture
def lined(tmp_path: Path) -> Iterator[Lined]:
    landing, lake = LandingZone(root=str(tmp_path / "landing")), Lake(root=str(tmp_path / "lake"))
    land(landing.store, FIRST_DAY, FIRST_DAY + timedelta(days=3))
    write_instance_file(tmp_path)
    defs = build_definitions(LANDED_TOY, {"landing": landing, "lake": lake})
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        line = Line(use_case=LANDED_TOY, defs=defs, instance=instance, echo=[].append)
        yield Lined(line=line, landing=landing, lake=lake)


def test_a_restated_file_of_which_only_raw_was_backfilled_reaches_the_features(lined: Lined) -> None:
    line = lined.line
    line.ingest()
    (before,) = lined.rows()
    lined.shorten()
    fill = Backfill(use_case=LANDED_TOY, defs=line.defs, instance=line.instance, echo=[].append)
    fill.run("raw_parcels", lined.day, lined.day)
    line.ingest()
    assert lined.rows() == {before - 1}
    assert not line.ingest()


@pytest.mark.parametrize("is_read_before", [True, False])
def test_a_file_that_is_replaced_while_it_is_taken_in_is_taken_in_again(
    lined: Lined, is_read_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, replaced = raw._read, []

    def replace_once(table: SourceTable, store: ObjectStore, arrival: Arrival) -> pl.DataFrame:
        before = read(table, store, arrival)
        if arrival.partition != str(lined.day) or replaced:
            return before
        replaced.append(len(before))
        lined.shorten()
        return before if is_read_before else read(table, store, arrival)

    monkeypatch.setattr(raw, "_read", replace_once)
    lined.line.ingest()
    assert lined.line.ingest()
    assert lined.rows() == {replaced[0] - 1}
    assert not lined.line.ingest()
