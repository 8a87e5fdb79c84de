"""Schedules, evaluated as Dagster evaluates them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY
from assets.stages.feedback import build_feedback
from pipelines.assembly import build_definitions
from resources.lake import Commit, Lake
from resources.locks import alone, line_lock
from tests.support.landed_toy import FIRST_DAY, LANDED_TOY
from tests.support.logged import DAY, LoggedHome, answers, label, later

SIX = datetime(2020, 1, 3, 6, tzinfo=UTC)


def asked(defs: dg.Definitions, lake: Lake) -> list[tuple[str, str]] | str:
    """Ranges that the monitoring is asked for, or why it is not."""
    schedule = defs.resolve_schedule_def("parcels_monitoring_schedule")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_schedule_context(instance=instance, scheduled_execution_time=SIX, resources={"lake": lake}) as context,
    ):
        ticked = schedule.evaluate_tick(context)
    tags = [run.tags for run in ticked.run_requests or ()]
    first, last = (f"dagster/asset_partition_range_{end}" for end in ("start", "end"))
    spans = [(tag[first], tag[last]) for tag in tags]
    return spans or str(ticked.skip_message)


def test_monitoring_waits_while_a_line_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    defs, lake = build_definitions(LANDED_TOY), Lake(root=str(tmp_path / "lake"))
    days = [str(FIRST_DAY), str(date(2020, 1, 2))]
    commit = Commit(dagster_run_id="a test", code_version="a test")
    lake.write("parcels/predictions", pl.DataFrame({"x": 0, PARTITION_KEY: days}), partitions=days, commit=commit)
    with alone(line_lock(tmp_path), "A test"):
        assert "`throughline line` runs" in asked(defs, lake)
    assert asked(defs, lake) == [(days[0], days[1])]


def due_answers(home: LoggedHome, at: datetime) -> list[str] | str:
    """Partitions that the schedule of the prediction log asks for, or why none."""
    resources = {"lake": home.lake, "endpoint_server": home.endpoint}
    schedule = build_definitions(home.use_case, resources).resolve_schedule_def("parcels_answers_schedule")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources=resources) as context,
    ):
        ticked = schedule.evaluate_tick(context)
    tags = [run.tags for run in ticked.run_requests or ()]
    return [tag["dagster/asset_partition_range_start"] for tag in tags] or str(ticked.skip_message)


def test_answers_are_read_once_their_day_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    home = LoggedHome(tmp_path, LANDED_TOY)
    home.land()
    assert "nothing that the lake lacks" in due_answers(home, datetime(2020, 2, 11, 6, 15, tzinfo=UTC))
    home.answer(answers())
    assert "nothing that the lake lacks" in due_answers(home, datetime(2020, 2, 10, 6, 15, tzinfo=UTC))
    assert due_answers(home, datetime(2020, 2, 11, 6, 15, tzinfo=UTC)) == [DAY]
    with alone(line_lock(tmp_path), "A test"):
        assert "`throughline line` runs" in due_answers(home, datetime(2020, 2, 11, 6, 15, tzinfo=UTC))


def test_labels_are_read_once_their_day_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    home = LoggedHome(tmp_path, LANDED_TOY)
    home.tell([label(1, at=answers(count=1)[0]["answered_at"])])
    assert "nothing that the lake lacks" in due_answers(home, datetime(2020, 2, 10, 6, 15, tzinfo=UTC))
    assert due_answers(home, datetime(2020, 2, 11, 6, 15, tzinfo=UTC)) == [DAY]
    assert home.materialise(build=build_feedback).success
    assert "nothing that the lake lacks" in due_answers(home, datetime(2020, 2, 11, 6, 15, tzinfo=UTC))


def test_answers_of_days_that_are_no_partitions_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    home = LoggedHome(tmp_path, LANDED_TOY)
    home.land()
    home.answer(later(answers(), timedelta(days=365)))
    told = due_answers(home, datetime(2022, 1, 1, 6, 15, tzinfo=UTC))
    assert "1 segments hold records of days that are no partitions" in told
