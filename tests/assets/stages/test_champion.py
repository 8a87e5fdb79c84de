"""A decision is carried out once, whole, and stands in the ledger whatever it was."""

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import polars as pl
import pytest
from pydantic import TypeAdapter

from assets.stages.champion import LEDGER, LEDGER_SCHEMA
from assets.stages.contest import Verdict
from assets.stages.evidence import last_training
from pipelines.upkeep import champion_of
from resources.clock import Clock
from resources.errors import RegistryError
from resources.lake import Commit
from resources.mlflow_versions import ModelVersion
from resources.registry import FAMILY_TAG, MODEL_ID_TAG, MlflowModelRegistry
from tests.support.few_days import Home, Trained, failures


@pytest.fixture
def home(trained: Trained, tmp_path: Path) -> Home:
    """Version 1 is champion, by one row of the ledger; version 2 waits."""
    own = trained.home.copy(tmp_path / "home")
    one = own.registry.version("flight_delays", 1)
    client = mlflow.MlflowClient(own.registry.tracking_uri)
    tags = {FAMILY_TAG: one.family, MODEL_ID_TAG: one.model_id}
    client.create_model_version("flight_delays", "file:///of/version/1", one.run_id, tags=tags)
    return own


def version(home: Home, number: int) -> ModelVersion:
    return home.registry.version("flight_delays", number)


def give(home: Home, **changes: Any) -> Verdict:
    """Have the evaluation say that version 2 beats version 1, changed as told."""
    winner = version(home, 2)
    verdict = Verdict(
        evaluation_id="an-evaluation",
        winner=winner,
        champion=version(home, 1),
        best=winner,
        reasons=("It is better.", "Surely."),
        training_set="a-training-set",
        tested_through=date(2013, 2, 7),
    )
    verdict = replace(verdict, **changes)
    path = home.folder / "values" / "flight_delays" / "evaluation_report.json"
    path.write_bytes(TypeAdapter(Verdict).dump_json(verdict))
    return verdict


def decide(home: Home, **resources: Any) -> dg.ExecuteInProcessResult:
    return home.run("train", "champion", **resources)


def ledger(home: Home) -> pl.DataFrame:
    return home.lake.scan(home.table(LEDGER)).sort("decided_at").collect()


def test_the_first_model_that_passes_is_promoted_and_put_on_record(trained: Trained) -> None:
    row = ledger(trained.home).row(0, named=True)
    assert trained.home.registry.champion("flight_delays") == version(trained.home, 1)
    assert row["decision"] == "promoted"
    assert row["model_version"] == "flight_delays/1"
    assert row["previous_version"] is None
    assert row["dagster_run_id"] == trained.result.run_id
    assert row["reasons"]


def test_a_winner_takes_the_alias_and_the_ledger_says_what_when_why_and_from_which_run(home: Home) -> None:
    verdict = give(home)
    result = decide(home)
    assert result.success, failures(result)
    assert home.registry.champion("flight_delays") == verdict.winner
    row = ledger(home).row(-1, named=True)
    assert row.pop("decided_at").tzinfo is not None
    assert row == {
        "evaluation_id": "an-evaluation",
        "decision": "promoted",
        "model_version": "flight_delays/2",
        "family": "logistic_regression",
        "previous_version": "flight_delays/1",
        "reasons": ["It is better.", "Surely."],
        "training_set": "a-training-set",
        "dagster_run_id": result.run_id,
        "tested_through": date(2013, 2, 7),
    }


def test_a_refused_promotion_is_a_successful_run_that_says_kept(home: Home) -> None:
    give(home, winner=None)
    result = decide(home)
    assert result.success, failures(result)
    assert home.registry.champion("flight_delays") == version(home, 1)
    row = ledger(home).row(-1, named=True)
    assert (row["decision"], row["model_version"]) == ("kept", "flight_delays/1")
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["decision"].value == "kept"
    assert result.output_for_node("flight_delays__champion") == version(home, 1)


def test_a_run_killed_between_ledger_and_alias_is_completed_without_a_second_row(home: Home) -> None:
    class Killed(MlflowModelRegistry):
        def promote(self, version: ModelVersion) -> None:
            raise RegistryError(f"killed before {version} was promoted")

    verdict = give(home)
    told = failures(decide(home, registry=Killed(**home.registry.model_dump())))
    assert "killed before" in told
    assert home.registry.champion("flight_delays") == version(home, 1)
    assert len(ledger(home)) == 2
    assert decide(home).success
    assert home.registry.champion("flight_delays") == verdict.winner
    assert len(ledger(home)) == 2


def test_carrying_out_a_decision_twice_changes_nothing(home: Home) -> None:
    verdict = give(home)
    assert decide(home).success
    before = ledger(home)
    assert decide(home).success
    assert ledger(home).equals(before)
    assert home.registry.champion("flight_delays") == verdict.winner


def test_a_champion_that_moved_since_the_evaluation_stops_the_run(home: Home) -> None:
    give(home, winner=None)
    home.registry.promote(version(home, 2))
    before = ledger(home)
    told = failures(decide(home))
    assert "compared with flight_delays/1, but flight_delays/2 is champion now" in told
    assert "materialise evaluation_report again" in told
    assert ledger(home).equals(before)
    assert home.registry.champion("flight_delays") == version(home, 2)


def test_no_champion_at_all_fails_and_says_why_and_is_on_record(home: Home) -> None:
    mlflow.MlflowClient(home.registry.tracking_uri).delete_registered_model_alias("flight_delays", "champion")
    give(home, winner=None, champion=None, reasons=("It is no better than the base rate.",))
    told = failures(decide(home))
    assert "no model of flight_delays has ever been good enough: It is no better than the base rate." in told
    row = ledger(home).row(-1, named=True)
    assert (row["decision"], row["model_version"]) == ("refused", None)


def test_a_ledger_from_before_the_tested_days_were_kept_grows_all_the_same(home: Home) -> None:
    old = ledger(home).drop("tested_through")
    shutil.rmtree(home.folder / "lake" / home.table(LEDGER))
    home.lake.append(home.table(LEDGER), old, Commit(dagster_run_id="old", code_version="old"))
    give(home)
    assert decide(home).success
    assert ledger(home)["tested_through"].to_list() == [None, date(2013, 2, 7)]
    assert ledger(home).head(1).drop("tested_through").equals(old)


def test_the_ledger_only_grows(home: Home) -> None:
    before = ledger(home)
    for number in range(2):
        give(home, winner=None, evaluation_id=f"evaluation {number}")
        assert decide(home).success
    after = ledger(home)
    assert after.schema == pl.Schema(LEDGER_SCHEMA)
    assert after.head(len(before)).equals(before)
    assert after["evaluation_id"].to_list()[len(before) :] == ["evaluation 0", "evaluation 1"]


def test_a_promotion_under_a_clock_that_was_ahead_hides_no_later_one(home: Home, tmp_path: Path) -> None:
    ahead = Clock(file=str(tmp_path / "clock"))
    ahead.set(datetime.now(UTC) + timedelta(days=300))
    give(home)
    assert decide(home, clock=ahead).success
    one, two = version(home, 1), version(home, 2)
    give(home, evaluation_id="the next", winner=one, champion=two)
    assert decide(home).success
    assert champion_of(home.use_case, home.lake) == str(one)
    last = last_training(home.use_case, home.lake)
    assert last is not None
    assert last.champion == str(one)
