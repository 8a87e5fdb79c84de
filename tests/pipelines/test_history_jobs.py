"""The history of a real endpoint: it follows the cleaned tables without another model, and says when it is old."""

import os
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY
from assets.stages.common import table_name
from assets.stages.endpoint import online_tables
from assets.stages.online_history import build_online_history
from pipelines.attempts import ATTEMPTS
from pipelines.history_jobs import build_refresh
from resources.errors import EndpointError
from resources.lake import Commit, Lake
from resources.serving.client import Endpoint
from resources.serving.states import Plan
from resources.serving.target import StateFolder
from tests.support.serving import call, online, tensors, toy_endpoint
from tests.support.toy_use_case import TOY

COMMIT = Commit(dagster_run_id="a run", code_version="1")
TWO_DAYS_S = 2 * 24 * 3600


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Cleaned tables up to the end of January."""
    lake = Lake(root=str(tmp_path / "lake"))
    arrive(lake, until=date(2020, 1, 31))
    return lake


def arrive(lake: Lake, until: date) -> None:
    """Have the cleaned tables up to a day in the lake."""
    for name, column in (("parcels", "due_at"), ("storms", "seen_at")):
        rows = online()[name].filter(pl.col(column).dt.date() <= until)
        keyed = rows.with_columns(pl.col(column).dt.date().cast(pl.String).alias(PARTITION_KEY))
        keys = keyed[PARTITION_KEY].unique().to_list()
        lake.write(table_name(TOY, f"cleaned_{name}"), keyed, partitions=keys, commit=COMMIT)


def refreshed(server: Endpoint, lake: Lake) -> bool:
    """Materialise the history; whether it was news to the endpoint."""
    made = dg.materialize([build_online_history(TOY)], resources={"lake": lake, "endpoint_server": server})
    told = made.asset_materializations_for_node("parcels__online_history")[0].metadata
    return bool(told["is_news"].value)


def missing(server: Endpoint) -> list[str]:
    """What is not known of a parcel of the middle of February."""
    parameters = call(f"{server.url('parcels')}/infer", tensors()).json["parameters"]
    return list(parameters["missing_inputs"])


def test_an_answer_knows_what_has_come_to_the_lake_since_the_deployment(
    server: Endpoint, lake: Lake, models: list[Path]
) -> None:
    server.deploy("parcels", 1, models[0], online_tables(TOY, lake))
    assert missing(server) == ["shop_late_min_7d"]
    arrive(lake, until=date(2020, 2, 20))
    assert refreshed(server, lake)
    assert missing(server) == []


def test_what_the_endpoint_knows_already_is_no_news(server: Endpoint, lake: Lake, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    refreshed(server, lake)
    changes = len(server.control("parcels").history())
    assert not refreshed(server, lake)
    assert len(server.control("parcels").history()) == changes


def test_versions_side_by_side_are_given_the_same_in_one_change(
    server: Endpoint, lake: Lake, models: list[Path]
) -> None:
    server.deploy("parcels", 1, models[0], online())
    server.deploy("parcels", 2, models[1], online(), rollout=Plan(mode="ab"))
    before = server.control("parcels").state()
    refreshed(server, lake)
    after, event = server.control("parcels").state(), server.control("parcels").history()[-1]
    server.control("parcels").roll_back(by="a test", reason="done")
    assert before is not None
    assert after is not None
    assert after.beside is not None
    assert (after.live.online, after.revision) == (after.beside.target.online, before.revision + 1)
    assert (event.change, event.beside) == ("refreshed", 2)


def test_a_history_that_cannot_be_used_leaves_the_endpoint_with_what_it_knows(
    server: Endpoint, models: list[Path]
) -> None:
    server.deploy("parcels", 1, models[0], online())
    before = server.control("parcels").state()
    with pytest.raises(EndpointError, match="did not follow"):
        server.control("parcels").refresh({"storms": online()["storms"]}, by="a test")
    after = server.control("parcels").state()
    assert before is not None
    assert after is not None
    assert after.live == before.live
    assert missing(server) == []


def asked(
    server: Endpoint, lake: Lake, cursor: str | None, instance: dg.DagsterInstance | None = None
) -> dg.SensorResult | dg.SkipReason:
    _, sensor = build_refresh(TOY)
    resources = {"endpoint_server": server, "lake": lake}
    with (
        dg.DagsterInstance.ephemeral() as fresh,
        dg.build_sensor_context(instance=instance or fresh, cursor=cursor, resources=resources) as context,
    ):
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_the_sensor_asks_for_a_run_whenever_the_lake_has_moved(
    server: Endpoint, lake: Lake, models: list[Path]
) -> None:
    server.deploy("parcels", 1, models[0], online())
    first = asked(server, lake, None)
    assert isinstance(first, dg.SensorResult)
    assert isinstance(asked(server, lake, first.cursor), dg.SkipReason)
    arrive(lake, until=date(2020, 2, 1))
    assert isinstance(asked(server, lake, first.cursor), dg.SensorResult)


def test_a_version_that_was_gone_back_to_is_given_what_has_come_meanwhile(
    server: Endpoint, lake: Lake, models: list[Path]
) -> None:
    server.deploy("parcels", 1, models[0], online_tables(TOY, lake))
    arrive(lake, until=date(2020, 2, 20))
    server.deploy("parcels", 2, models[1], online_tables(TOY, lake))
    before = asked(server, lake, None)
    server.control("parcels").roll_back(by="a test", reason="to see")
    assert isinstance(before, dg.SensorResult)
    assert missing(server) == ["shop_late_min_7d"]
    assert isinstance(asked(server, lake, before.cursor), dg.SensorResult)
    refreshed(server, lake)
    assert missing(server) == []


def run(result: object, server: Endpoint, lake: Lake, instance: dg.DagsterInstance) -> str:
    """Do what the sensor asked for; the key of the run."""
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or ()
    resources = {"lake": lake, "endpoint_server": server}
    dg.materialize(
        [build_online_history(TOY)], resources=resources, tags=request.tags, instance=instance, raise_on_error=False
    )
    return str(request.run_key)


def test_a_refresh_that_failed_is_tried_again_a_few_times(
    server: Endpoint, lake: Lake, models: list[Path], tmp_path: Path
) -> None:
    server.deploy("parcels", 1, models[0], online())
    nobody = Endpoint(port=1, state_root=str(tmp_path / "serving"), home=str(tmp_path))
    keys, cursor = set(), None
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(ATTEMPTS):
            result = asked(server, lake, cursor, instance)
            keys.add(run(result, nobody, lake, instance))
            cursor = result.cursor if isinstance(result, dg.SensorResult) else None
        assert len(keys) == ATTEMPTS
        assert isinstance(asked(server, lake, cursor, instance), dg.SkipReason)


def test_a_refresh_that_succeeded_is_not_tried_again(server: Endpoint, lake: Lake, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    with dg.DagsterInstance.ephemeral() as instance:
        first = asked(server, lake, None, instance)
        run(first, server, lake, instance)
        assert isinstance(first, dg.SensorResult)
        assert isinstance(asked(server, lake, first.cursor, instance), dg.SkipReason)


def test_the_sensor_waits_for_a_first_deployment(lake: Lake, tmp_path: Path) -> None:
    nobody = Endpoint(port=1, state_root=str(tmp_path / "serving"), home=str(tmp_path))
    assert isinstance(asked(nobody, lake, None), dg.SkipReason)


@pytest.mark.parametrize("age_s", [TWO_DAYS_S - 3600, TWO_DAYS_S + 3600])
def test_answers_say_that_their_history_is_old(models: list[Path], tmp_path: Path, age_s: float) -> None:
    with toy_endpoint(tmp_path) as own:
        folder = StateFolder(Path(own.state_root) / "parcels")
        snapshot = folder.root / "online" / folder.add_online(online())
        told_at = snapshot.stat().st_mtime - age_s
        os.utime(snapshot, (told_at, told_at))
        own.deploy("parcels", 1, models[0], online())
        parameters = call(f"{own.url('parcels')}/infer", tensors()).json["parameters"]
    assert ("history_is_stale_since" in parameters) == (age_s > TWO_DAYS_S)
