"""What is done next, over a real lake, landing zone and Dagster instance; runs are put on record without being run."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY, Partitions
from assets.stages.champion import LEDGER, LEDGER_SCHEMA
from pipelines import attempts
from pipelines.attempts import ATTEMPTS
from pipelines.backlog import PLAN, RANGE, Backlog
from pipelines.jobs import ingested_assets, job_name
from pipelines.upkeep import Outlook, Upkeep, Work, champion_of, monitor_due, score_due
from resources.lake import Commit, Lake
from resources.landing import LandingZone
from tests.support.toy_use_case import TOY

COMMIT = Commit(dagster_run_id="a test", code_version="a test")
DAILY = replace(TOY, partitions=Partitions(start=date(2020, 1, 1)), lookback=timedelta(days=1))
DAYS = [f"2020-01-{day:02}" for day in range(1, 9)]
LANDED_AT = datetime(2020, 3, 1, tzinfo=UTC)
NOW = LANDED_AT + timedelta(days=1)


@pytest.fixture
def upkeep(tmp_path: Path) -> Iterator[Upkeep]:
    """Eight days that landed and were taken in; no champion yet."""
    lake, zone = Lake(root=str(tmp_path / "lake")), tmp_path / "landing"
    zone.mkdir()
    for day in DAYS:
        land(zone, day)
    take_in(lake, DAYS)
    with dg.DagsterInstance.ephemeral() as instance:
        landing = LandingZone(root=str(zone))
        backlog = Backlog(use_case=DAILY, lake=lake, landing=landing, instance=instance, assets=ingested_assets(DAILY))
        yield Upkeep(use_case=DAILY, backlog=backlog, now=NOW)


def land(zone: Path, day: str, at: datetime = LANDED_AT) -> None:
    (zone / f"parcels_{day}.csv").touch()
    os.utime(zone / f"parcels_{day}.csv", times=(at.timestamp(),) * 2)


def take_in(lake: Lake, days: list[str]) -> None:
    rows = pl.DataFrame({PARTITION_KEY: days, "ingested_at": [LANDED_AT] * len(days)})
    for table in ("raw_parcels", "features"):
        lake.write(f"parcels/{table}", rows, partitions=days, commit=COMMIT)


def score(lake: Lake, days: list[str], each: int = 1) -> None:
    rows = pl.DataFrame({PARTITION_KEY: [day for day in days for _ in range(each)]})
    lake.write("parcels/predictions", rows.with_columns(n=pl.int_range(pl.len())), partitions=days, commit=COMMIT)


def promote(lake: Lake, version: str, at: datetime = NOW, decision: str = "promoted") -> None:
    row = dict.fromkeys(LEDGER_SCHEMA) | {"decided_at": at, "decision": decision, "model_version": version}
    lake.append(f"parcels/{LEDGER}", pl.DataFrame([row], schema=LEDGER_SCHEMA), COMMIT)


def again(upkeep: Upkeep) -> Outlook:
    """As a new process would see it."""
    return replace(upkeep, backlog=replace(upkeep.backlog)).outlook()


def zone(upkeep: Upkeep) -> Path:
    return Path(upkeep.backlog.landing.root)


def finish(upkeep: Upkeep, work: Work, status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE) -> None:
    """Put a run of the work on record."""
    request = work.request(DAILY)
    assert request.job_name is not None
    upkeep.backlog.instance.add_run(dg.DagsterRun(job_name=request.job_name, tags=request.tags, status=status))


def work_of(upkeep: Upkeep) -> Work:
    work = again(upkeep).work
    assert work is not None
    return work


def test_nothing_is_done_when_everything_is_taken_in(upkeep: Upkeep) -> None:
    assert again(upkeep).is_idle


def test_many_files_at_once_are_one_run(upkeep: Upkeep) -> None:
    for day in ("2020-01-09", "2020-01-10", "2020-01-11"):
        land(zone(upkeep), day)
    work = work_of(upkeep)
    assert (work.purpose, work.first, work.last) == ("ingest", "2020-01-09", "2020-01-11")


def test_a_process_without_memory_asks_for_the_same_run(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    assert work_of(upkeep).key == work_of(upkeep).key


def test_a_file_that_lands_anew_is_other_work(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    before = work_of(upkeep)
    land(zone(upkeep), "2020-01-09", LANDED_AT + timedelta(hours=1))
    assert work_of(upkeep).key != before.key


def test_a_restated_day_refreshes_the_days_that_look_back_on_it_and_no_other(upkeep: Upkeep) -> None:
    land(zone(upkeep), DAYS[2], LANDED_AT + timedelta(hours=1))
    work = work_of(upkeep)
    assert (work.first, work.last) == (DAYS[2], DAYS[4])  # a day of look-back, and an hour of lead before it


def test_what_the_line_asks_for_says_all_that_was_due(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    land(zone(upkeep), "2020-01-11")
    assert work_of(upkeep).request(DAILY).tags[PLAN] == "2020-01-09/2020-01-09 2020-01-11/2020-01-11"


def test_a_change_by_hand_is_new_work_on_the_same_files(upkeep: Upkeep) -> None:
    lake, instance = upkeep.backlog.lake, upkeep.backlog.instance
    works = []
    for hour in (1, 2):
        tags, chosen = dict.fromkeys(RANGE, DAYS[-1]), frozenset([dg.AssetKey(["parcels", "raw_parcels"])])
        done = dg.DagsterRun(
            job_name="__ASSET_JOB", tags=tags, asset_selection=chosen, status=dg.DagsterRunStatus.SUCCESS
        )
        commit = replace(COMMIT, dagster_run_id=instance.add_run(done).run_id)
        at = [LANDED_AT - timedelta(hours=hour), LANDED_AT]
        rows = pl.DataFrame({PARTITION_KEY: [DAYS[-1]] * 2, "ingested_at": at})
        lake.write("parcels/raw_parcels", rows, partitions=DAYS[-1:], commit=commit)
        works.append(work_of(upkeep))
        finish(upkeep, works[-1], dg.DagsterRunStatus.SUCCESS)
    assert [(work.first, work.last, work.key[-2:]) for work in works] == [(DAYS[-1], DAYS[-1], "/1")] * 2
    assert again(upkeep).is_idle


def test_a_file_that_may_still_be_written_waits(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09", NOW - timedelta(seconds=1))
    assert again(upkeep).is_idle


def test_a_file_from_the_future_of_a_clock_that_jumped_does_not_wait(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09", NOW + timedelta(days=400))
    assert work_of(upkeep).first == "2020-01-09"


def test_days_made_by_other_code_are_made_anew(upkeep: Upkeep) -> None:
    work = work_of(replace(upkeep, stale=frozenset(DAYS)))
    assert (work.purpose, work.first, work.last) == ("ingest", DAYS[0], DAYS[-1])


def test_nothing_is_asked_for_while_a_run_makes_the_same_assets(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    finish(upkeep, work_of(upkeep), dg.DagsterRunStatus.STARTED)
    outlook = again(upkeep)
    assert outlook.work is None
    assert "not finished" in outlook.why_not


def test_a_run_of_single_assets_that_a_person_started_is_waited_for(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    chosen = frozenset([dg.AssetKey(["parcels", "features"])])
    by_hand = dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=chosen, status=dg.DagsterRunStatus.STARTED)
    upkeep.backlog.instance.add_run(by_hand)
    assert again(upkeep).work is None


def test_training_does_not_hold_up_ingestion(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    training = dg.DagsterRun(job_name=job_name("parcels", "train"), status=dg.DagsterRunStatus.STARTED)
    upkeep.backlog.instance.add_run(training)
    assert work_of(upkeep).purpose == "ingest"


def test_a_range_that_failed_is_tried_in_halves(upkeep: Upkeep) -> None:
    for day in ("2020-01-09", "2020-01-10", "2020-01-11"):
        land(zone(upkeep), day)
    finish(upkeep, work_of(upkeep))
    half = work_of(upkeep)
    assert (half.first, half.last) == ("2020-01-09", "2020-01-09")


def test_one_bad_day_holds_up_no_other(upkeep: Upkeep) -> None:
    for day in ("2020-01-09", "2020-01-10"):
        land(zone(upkeep), day)
    for _ in range(1 + ATTEMPTS):  # the range, then the first day by itself
        finish(upkeep, work_of(upkeep))
    outlook = again(upkeep)
    assert outlook.given_up == {"ingest": ["2020-01-09"]}
    assert outlook.work is not None
    assert outlook.work.first == "2020-01-10"


def test_a_day_that_cannot_be_taken_in_makes_no_work_of_those_that_look_back_on_it(upkeep: Upkeep) -> None:
    land(zone(upkeep), DAYS[2], LANDED_AT + timedelta(hours=1))
    done = []
    while (work := again(upkeep).work) is not None and len(done) < 9:
        done.append((work.first, work.last))
        is_bad = work.first == DAYS[2]
        finish(upkeep, work, dg.DagsterRunStatus.FAILURE if is_bad else dg.DagsterRunStatus.SUCCESS)
    # Those two were to be made by the run that failed, and nobody knows how far that came.
    assert done == [(DAYS[2], DAYS[4]), *[(DAYS[2], DAYS[2])] * ATTEMPTS, (DAYS[3], DAYS[4])]
    assert again(upkeep).given_up == {"ingest": [DAYS[2]]}
    assert replace(upkeep, backlog=replace(upkeep.backlog)).given_up("ingest") == {DAYS[2]}


def test_days_after_one_that_was_given_up_are_taken_in_once_each(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    for _ in range(ATTEMPTS):
        finish(upkeep, work_of(upkeep))
    for day in ("2020-01-10", "2020-01-11"):
        land(zone(upkeep), day)
        work = work_of(upkeep)
        assert (work.first, work.last) == (day, day)
        take_in(upkeep.backlog.lake, [day])
        finish(upkeep, work, dg.DagsterRunStatus.SUCCESS)
        assert again(upkeep).work is None


def test_what_was_given_up_is_tried_once_more_each_day(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    land(zone(upkeep), "2020-01-09")
    for _ in range(ATTEMPTS):
        finish(upkeep, work_of(upkeep))
    assert again(upkeep).work is None
    tomorrow = time.time() + attempts.AGAIN_AFTER_S + 60
    monkeypatch.setattr("pipelines.attempts.time.time", lambda: tomorrow)
    assert work_of(upkeep).key.endswith(f"/{ATTEMPTS + 1}")


def test_after_many_failures_in_a_row_the_next_run_waits(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [f"2020-01-{day:02}" for day in range(9, 25)]
    for day in days:
        land(zone(upkeep), day)
    for _ in range(attempts.IN_A_ROW):
        finish(upkeep, work_of(upkeep))
    outlook = again(upkeep)
    assert (outlook.work, outlook.is_idle) == (None, False)
    assert "failed in a row" in outlook.why_not
    later = time.time() + attempts.FIRST_PAUSE_S + 5
    monkeypatch.setattr("pipelines.attempts.time.time", lambda: later)
    finish(upkeep, work_of(upkeep), dg.DagsterRunStatus.SUCCESS)
    assert again(upkeep).work is not None


def test_the_same_days_made_by_other_code_again_are_new_work(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = replace(upkeep, stale=frozenset(DAYS))
    found = []
    for code in ("first", "second", "first", "second", "first"):
        monkeypatch.setattr("pipelines.upkeep.path_versions", lambda _, code=code: {"features": code})
        found.append(work_of(edited))
        finish(edited, found[-1], dg.DagsterRunStatus.SUCCESS)
    assert [(work.first, work.last, work.key[-2:]) for work in found] == [(DAYS[0], DAYS[-1], "/1")] * 5
    assert len({work.key for work in found}) == 5  # Dagster starts no second run under a key


def test_a_day_that_is_landing_anew_makes_no_work_of_those_that_look_back_on_it(upkeep: Upkeep) -> None:
    land(zone(upkeep), DAYS[2], NOW - timedelta(seconds=1))
    assert again(upkeep).is_idle


def test_a_register_that_may_still_be_written_asks_for_nothing(upkeep: Upkeep) -> None:
    storms = zone(upkeep) / "storms.csv"
    storms.touch()
    os.utime(storms, times=((NOW - timedelta(seconds=1)).timestamp(),) * 2)
    assert again(upkeep).is_idle
    assert (work_of(replace(upkeep, now=NOW + timedelta(minutes=1))).first) == DAYS[0]


def test_a_day_that_was_given_up_is_tried_again_once_its_file_is_replaced(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    for _ in range(ATTEMPTS):
        finish(upkeep, work_of(upkeep))
    assert again(upkeep).work is None
    land(zone(upkeep), "2020-01-09", LANDED_AT + timedelta(hours=1))
    assert work_of(upkeep).first == "2020-01-09"


def test_a_run_that_succeeded_and_changed_nothing_is_not_repeated_for_ever(upkeep: Upkeep) -> None:
    land(zone(upkeep), "2020-01-09")
    for _ in range(ATTEMPTS):
        finish(upkeep, work_of(upkeep), dg.DagsterRunStatus.SUCCESS)
    assert again(upkeep).given_up == {"ingest": ["2020-01-09"]}


def test_nothing_is_scored_before_the_first_promotion(upkeep: Upkeep) -> None:
    assert score_due(DAILY, upkeep.backlog.lake) == []


def test_the_first_champion_scores_the_last_test_window(upkeep: Upkeep) -> None:
    promote(upkeep.backlog.lake, "parcels/1")
    days = DAILY.split.test // timedelta(days=1)
    assert score_due(DAILY, upkeep.backlog.lake) == DAYS[-days:]


def test_everything_since_the_first_score_is_scored_however_much_lands_at_once(upkeep: Upkeep) -> None:
    promote(upkeep.backlog.lake, "parcels/1")
    score(upkeep.backlog.lake, DAYS[:1])
    assert score_due(DAILY, upkeep.backlog.lake) == DAYS[1:]


def test_scores_that_were_given_stay_when_the_champion_changes(upkeep: Upkeep) -> None:
    score(upkeep.backlog.lake, DAYS)
    promote(upkeep.backlog.lake, "parcels/2")
    assert score_due(DAILY, upkeep.backlog.lake) == []


def test_a_day_with_more_rows_than_scores_is_scored_again(upkeep: Upkeep) -> None:
    promote(upkeep.backlog.lake, "parcels/1")
    score(upkeep.backlog.lake, DAYS)
    score(upkeep.backlog.lake, DAYS[3:4], each=2)
    assert score_due(DAILY, upkeep.backlog.lake) == DAYS[3:4]


def test_what_was_scored_and_not_watched_by_both_monitors_is_due(upkeep: Upkeep) -> None:
    lake = upkeep.backlog.lake
    score(lake, DAYS)
    rows = pl.DataFrame({PARTITION_KEY: DAYS, "rows": 1})
    lake.write("parcels/drift_windows", rows, partitions=DAYS, commit=COMMIT)
    lake.write("parcels/performance_windows", rows.head(6), partitions=DAYS[:6], commit=COMMIT)
    assert monitor_due(DAILY, lake) == DAYS[6:]


def test_taking_in_comes_before_scoring(upkeep: Upkeep) -> None:
    promote(upkeep.backlog.lake, "parcels/1")
    land(zone(upkeep), "2020-01-09")
    assert work_of(upkeep).purpose == "ingest"


def test_a_new_champion_gives_scoring_that_failed_another_try(upkeep: Upkeep) -> None:
    promote(upkeep.backlog.lake, "parcels/1")
    score(upkeep.backlog.lake, DAYS[:-1])
    for _ in range(ATTEMPTS):
        finish(upkeep, work_of(upkeep))
    assert again(upkeep).given_up == {"score": DAYS[-1:]}
    promote(upkeep.backlog.lake, "parcels/2", NOW + timedelta(hours=1))
    assert work_of(upkeep).purpose == "score"


def test_the_champion_is_the_last_one_promoted(upkeep: Upkeep) -> None:
    lake = upkeep.backlog.lake
    assert champion_of(DAILY, lake) is None
    promote(lake, "parcels/1")
    promote(lake, "parcels/2", NOW + timedelta(hours=1))
    promote(lake, "parcels/2", NOW + timedelta(hours=2), decision="kept")
    assert champion_of(DAILY, lake) == "parcels/2"
