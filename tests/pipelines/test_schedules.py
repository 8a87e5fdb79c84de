"""Schedules, evaluated as Dagster evaluates them."""

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY
from pipelines.assembly import build_definitions
from resources.lake import Commit, Lake
from resources.locks import alone, line_lock
from tests.support.landed_toy import FIRST_DAY, LANDED_TOY

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
