"""A replay of three days of the toy: real sensors, schedules, runs, lake, MLflow and Dagster instance."""

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.assembly import build_definitions
from pipelines.replay import days, page
from pipelines.replay.application import served
from pipelines.replay.command import refuse_outside, replay
from pipelines.replay.days import happen
from pipelines.replay.folder import ReplayError, ReplayFolder
from pipelines.replay.outside import delivered_at
from pipelines.replay.ticking import running_schedules, running_sensors
from pipelines.replay.world import World
from resources import processes
from resources.objects import ObjectStore
from resources.serving.ports import process_name
from tests.pipelines.replay.conftest import FIRST, LAST, Replayed, days_of, opened_world
from tests.support.landed_toy import FIRST_DAY, LANDED_TOY

DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def test_nothing_goes_wrong(replayed: Replayed) -> None:
    assert replayed.report.faults == []


def test_each_arrival_is_taken_in_exactly_once(replayed: Replayed) -> None:
    taken = Counter(day for run in replayed.runs("ingest") for day in days_of(run))
    assert taken == dict.fromkeys(DAYS, 1)


def test_each_day_is_scored_once(replayed: Replayed) -> None:
    scored = Counter(day for run in replayed.runs("score") for day in days_of(run) if day >= FIRST)
    assert scored == dict.fromkeys(DAYS, 1)


def test_every_run_was_asked_for_by_a_sensor_or_schedule_of_the_line(replayed: Replayed) -> None:
    world = replayed.world
    known = {s.name for s in running_sensors(world)} | {s.name for s in running_schedules(world)}
    asked = {run["by"] for day in replayed.report.days for run in day.record["runs"]}
    assert f"{LANDED_TOY.name}_new_data_sensor" in asked
    assert asked <= known


def test_the_clock_is_set_back_nowhere(replayed: Replayed) -> None:
    begun = [datetime.fromisoformat(r["at"]) for day in replayed.report.days for r in day.record["runs"]]
    assert begun == sorted(begun)


def test_what_a_day_brings_happens_between_its_delivery_and_the_next(replayed: Replayed) -> None:
    for day, on in zip(replayed.report.days, DAYS, strict=True):
        begin, end = (delivered_at(LANDED_TOY.partitions, on + timedelta(days=n)) for n in (0, 1))
        assert all(begin <= datetime.fromisoformat(run["at"]) < end for run in day.record["runs"])


def test_no_file_lands_before_its_day(replayed: Replayed) -> None:
    landed = {o.path for o in ObjectStore(str(replayed.world.outside.landing)).list()}
    assert len(landed) == (LAST - FIRST_DAY).days + 1
    assert max(landed) == f"parcels_{LAST}.csv"


def test_every_row_is_asked_about_and_answers_land_in_the_day_of_their_question(replayed: Replayed) -> None:
    asked = pl.col("prediction_time").dt.date().clip(FIRST, LAST).cast(pl.String)
    log = replayed.rows("prediction_log").with_columns(pl.col("inputs").str.json_path_match("$.parcel").cast(pl.Int32))
    wanted = replayed.rows("features").filter(pl.col("partition_key").is_in([str(day) for day in DAYS]))
    assert sorted(log["inputs"]) == sorted(wanted["parcel"])
    assert log.select(asked).to_series().to_list() == log["partition_key"].to_list()


def test_answers_are_stamped_with_the_hour_of_their_question(replayed: Replayed) -> None:
    same_day = pl.col("prediction_time").dt.date() == pl.col("answered_at").dt.date()
    log = replayed.rows("prediction_log").filter(same_day)
    assert len(log) > 100
    assert (log["answered_at"] - log["prediction_time"]).is_between(timedelta(0), timedelta(hours=1)).all()


def test_parity_is_measured_on_every_day(replayed: Replayed) -> None:
    days = replayed.rows("prediction_log_days").sort("partition_key")
    assert days["partition_key"].to_list() == [str(day) for day in DAYS]
    assert (days["rows_compared"] > 0).all()
    assert days["rows_waiting"].sum() == 0


def test_answers_know_what_happened_in_the_hours_before(replayed: Replayed) -> None:
    days = replayed.rows("prediction_log_days")
    assert days["rows_differing"].sum() <= 0.01 * days["rows_compared"].sum()


def test_outcomes_are_told_on_their_day_and_are_those_of_the_feed(replayed: Replayed) -> None:
    told = replayed.rows("feedback").with_columns(pl.col("entity").str.json_path_match("$.parcel").cast(pl.Int32))
    both = told.join(replayed.rows("features"), left_on="entity", right_on="parcel")
    assert 100 < len(both) == len(told)
    assert (both["label"] == both["is_late"]).all()
    assert {*told["received_at"].dt.date()} == {*DAYS}


def test_the_server_ends_with_the_replay(replayed: Replayed) -> None:
    home = Path(replayed.world.endpoint.home)
    assert not processes.status(process_name(LANDED_TOY.name), home=home).is_running


def test_a_replay_that_began_without_an_application_goes_on_without(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.folder.write_about(replace(world.folder.about(), initial=1))
    with pytest.raises(ReplayError, match="began without an application"), served(replace(world, declared_at="any")):
        pass


def test_monitors_judge_and_draw_nothing(replayed: Replayed) -> None:
    judged = replayed.world.lake.partitions(f"{LANDED_TOY.name}/drift_windows")
    assert {str(day) for day in DAYS} <= judged
    assert not list((replayed.world.folder.root / "reports" / LANDED_TOY.name).glob("drift_report/*"))


def test_where_nothing_was_promoted_the_live_model_equals_the_one_never_retrained(replayed: Replayed) -> None:
    whole = replayed.report.whole
    assert whole is not None
    assert not any(day.promotions for day in replayed.report.days)
    assert {gap.value for gap in whole.gaps["never"].values()} == {0.0}


def test_the_monthly_model_is_another_from_the_first_of_the_month(replayed: Replayed) -> None:
    january, february = replayed.report.months
    assert january.gaps["monthly"]["log_loss"].value == 0.0
    assert february.gaps["monthly"]["log_loss"].value != 0.0


def test_the_report_has_every_day_in_all_its_forms(replayed: Replayed) -> None:
    folder = replayed.world.folder.root / "report"
    html, data, lines = (folder.joinpath(f"replay.{ending}").read_text("utf-8") for ending in ("html", "json", "csv"))
    names = [str(day) for day in DAYS]
    assert [day["day"] for day in json.loads(data)["days"]] == names
    assert [row["day"] for row in csv.DictReader(io.StringIO(lines))] == names
    assert all(f">{day}<" in html for day in names)


def test_the_report_says_what_the_line_decided(replayed: Replayed) -> None:
    told = page.render(replayed.report)
    decisions = [decision for day in replayed.report.days for decision in day.decisions]
    assert all(f"{decision['decided_at']:%Y-%m-%d %H:%M}" in told for decision in decisions)


def test_a_line_is_told_for_each_day_and_the_scores_at_the_end(replayed: Replayed) -> None:
    assert [line[:10] for line in replayed.told if line.startswith("2020-0") and "live parcels/1" in line] == [
        str(day) for day in DAYS
    ]
    assert any(line.startswith("Against never retraining:") for line in replayed.told)


def test_a_replay_that_is_over_does_nothing_more(replayed: Replayed) -> None:
    before = replayed.world.instance.get_runs_count()
    replay(replayed.world, LAST, [].append)
    assert replayed.world.instance.get_runs_count() == before


def test_a_day_that_was_cut_short_is_taken_up_without_doing_anything_twice(
    replayed: Replayed, outside_files: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(replayed.world.folder.root, tmp_path / "replay")
    monkeypatch.setenv("THROUGHLINE_HOME", str(root))
    journal = root / "days.jsonl"
    journal.write_text("".join(journal.read_text("utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    with ExitStack() as stack:
        world = opened_world(stack, root, build_definitions(LANDED_TOY), outside_files)
        before = world.instance.get_runs_count()
        again = happen(world, LAST)
        assert world.instance.get_runs_count() == before
    assert ReplayFolder(root).next_day() == LAST + timedelta(days=1)
    assert again["runs"] == replayed.report.days[-1].record["runs"]


def test_what_went_wrong_before_a_day_was_cut_short_stays_on_record(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days, "prepare_monthly", lambda *_: None)  # there is nothing to train on
    stops = iter([True])

    @dg.op
    def fail() -> None:
        raise RuntimeError("the ingestion failed")

    @dg.job
    def failing() -> None:
        fail()

    def ask(context: dg.SensorEvaluationContext) -> object:
        if context.cursor is None:
            return dg.SensorResult(run_requests=[dg.RunRequest(run_key="one")], cursor="asked")
        raise LookupError("the source is gone")

    def stop(_: dg.SensorEvaluationContext) -> object:
        if next(stops, False):
            raise KeyboardInterrupt
        return dg.SkipReason("nothing to do")

    sensors = [
        dg.SensorDefinition(name=name, job=failing, evaluation_fn=do, default_status=dg.DefaultSensorStatus.RUNNING)
        for name, do in (("a_sensor", ask), ("b_sensor", stop))
    ]
    world = make_world(sensors=sensors, jobs=[failing])
    with pytest.raises(KeyboardInterrupt):
        happen(world, FIRST)
    again = happen(world, FIRST)
    assert [run["why"] for run in again["runs"]] == ["fail: RuntimeError: the ingestion failed"]
    assert {fault["why"] for fault in again["faults"]} == {"LookupError: the source is gone"}


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        (LAST, FIRST, "cannot end before"),
        (FIRST_DAY, LAST, "nothing lies before"),
        (FIRST, FIRST_DAY + timedelta(days=400), "the data end on"),
    ],
)
def test_days_that_cannot_be_replayed_are_refused(first: date, last: date, why: str) -> None:
    with pytest.raises(ReplayError, match=why):
        refuse_outside(FIRST_DAY, LANDED_TOY.partitions.end, first, last)
