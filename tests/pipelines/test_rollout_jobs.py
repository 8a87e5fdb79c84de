"""Rollouts in Dagster: what happened at a real endpoint is on record, alarms, is moved on and taken back."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.stages.rollout_history import SCHEMA, build_rollout_history, on_record
from pipelines.rollout_jobs import build_rollouts
from resources.lake import Lake
from resources.serving.client import Endpoint
from resources.serving.guardrails import Guardrails
from resources.serving.states import Plan
from tests.support.serving import (
    call,
    online,
)
from tests.support.toy_use_case import TOY, parcels
from tests.support.waiting import eventually

QUICK = Guardrails(step_rows=20, step_seconds=0.0, slow=1.0, score=1.0, spread=1.0)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(tmp_path / "lake"))


def materialised(server: Endpoint, lake: Lake) -> tuple[dict[str, Any], dict[str, bool]]:
    """Metadata of the history, and which of its checks passed."""
    made = dg.materialize([build_rollout_history(TOY)], resources={"lake": lake, "endpoint_server": server})
    told = made.asset_materializations_for_node("parcels__rollout_history")[0].metadata
    checks = {c.check_name: c.passed for c in made.get_asset_check_evaluations()}
    return {name: value.value for name, value in told.items()}, checks


def test_every_change_is_in_the_table_once(server: Endpoint, lake: Lake, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    server.deploy("parcels", 2, models[1], online())
    materialised(server, lake)
    server.control("parcels").roll_back(by="a test", reason="to see")
    told, _ = materialised(server, lake)
    rows = on_record(TOY, lake).sort("at")
    assert rows["change"].to_list() == [event.change for event in server.control("parcels").history()]
    assert rows.schema == pl.Schema(SCHEMA)
    assert told["live_version"] == 1


def test_a_version_that_was_taken_back_alarms_once(server: Endpoint, lake: Lake, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    server.deploy("parcels", 2, models[1], online(), rollout=Plan(mode="canary"))
    server.control("parcels").roll_back(by="a test", reason="it looks odd")
    passed = [materialised(server, lake)[1] for _ in range(2)]
    assert [p["no_version_was_taken_back"] for p in passed] == [False, True]
    assert all(p["the_endpoint_serves_what_is_asked_for"] for p in passed)


def test_figures_of_a_rollout_come_with_intervals(server: Endpoint, lake: Lake, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    server.deploy("parcels", 2, models[1], online(), rollout=Plan(mode="ab"))
    told, _ = materialised(server, lake)
    server.control("parcels").roll_back(by="a test", reason="done")
    assert (told["on_its_way"], told["mode"], told["share"]) == (2, "ab", 0.5)
    assert told["errors_difference"] == "+0.000 (-1.000 to +1.000, 95 %)"


def asked(server: Endpoint, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    sensor = build_rollouts(TOY).sensor
    with dg.build_sensor_context(cursor=cursor, resources={"endpoint_server": server}) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_the_sensor_asks_for_a_run_once_per_change(server: Endpoint, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    first = asked(server, None)
    assert isinstance(first, dg.SensorResult)
    assert len(first.run_requests or []) == 1
    assert isinstance(asked(server, first.cursor), dg.SkipReason)


def test_dagster_gives_a_canary_its_next_share_when_it_was_seen_long_enough(
    server: Endpoint, lake: Lake, models: list[Path]
) -> None:
    server.deploy("parcels", 1, models[0], online())
    plan = Plan(mode="canary", steps=(0.5, 0.8, 1.0), guardrails=QUICK, advance="orchestrator")
    server.deploy("parcels", 2, models[1], online(), rollout=plan)
    random = np.random.default_rng(3)

    def is_due() -> bool:
        ask(server, parcels().sample(30, seed=int(random.integers(1_000_000))))
        result = asked(server, server_cursor(server))
        return isinstance(result, dg.SensorResult) and str((result.run_requests or [])[0].run_key).startswith("step/")

    assert eventually(is_due, seconds=60)
    materialised(server, lake)
    event = server.control("parcels").history()[-1]
    server.control("parcels").roll_back(by="a test", reason="done")
    assert (event.change, event.share) == ("next step", 0.8)
    assert event.by.startswith("Dagster run ")


def server_cursor(server: Endpoint) -> str:
    event = server.control("parcels").history()[-1]
    return f"{event.at}/{event.revision}"


def ask(server: Endpoint, rows: pl.DataFrame) -> None:
    """One request about many rows, as a caller asks it."""
    told = rows.select(TOY.inputs).with_columns(pl.col("due_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert call(f"{server.root('parcels')}/invocations", {"dataframe_records": told.to_dicts()}).status == 200


def test_the_rollback_job_goes_back_and_says_who_asked(server: Endpoint, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    server.deploy("parcels", 2, models[1], online(), rollout=Plan(mode="shadow"))
    (job,) = (j for j in build_rollouts(TOY).jobs if isinstance(j, dg.JobDefinition))
    config = {"ops": {"roll_back": {"config": {"reason": "a person says so"}}}}
    done = job.execute_in_process(run_config=config, resources={"endpoint_server": server})
    event, state = server.control("parcels").history()[-1], server.control("parcels").state()
    assert done.success
    assert state is not None
    assert (state.live.number, state.beside) == (1, None)
    assert (event.reason, event.by) == ("a person says so", f"Dagster run {done.run_id}")
