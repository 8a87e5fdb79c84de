"""The ledger of decisions only grows, keeps the evidence, and reads back as it was decided."""

import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from assets.automation import RetrainingPolicy
from assets.logic.retraining import Decision, Missing, decide
from assets.stages.retraining_decisions import (
    SCHEMA,
    Circumstances,
    materialisation,
    on_record,
    past_decisions,
    record,
    retraining_decisions_spec,
)
from resources.lake import Lake
from tests.support.retraining import AGE, COMMIT, DRIFT, NOW
from tests.support.toy_use_case import TOY

MISSING = Missing(trigger="performance", id="performance/missing/7", why="There is no report.")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(tmp_path / "lake"))


def decided(*evidence: object) -> Decision:
    decision = decide(evidence, [], RetrainingPolicy(), NOW)  # type: ignore[arg-type]
    assert decision is not None
    return decision


def put(lake: Lake, decision: Decision, *evidence: object, tags: dict[str, str] | None = None) -> None:
    circumstances = Circumstances(decided_at=NOW, champion="parcels/7", feeder="a_sensor", run_tags=tags)
    record(TOY, lake, on_record(TOY, lake), decision, evidence, circumstances)  # type: ignore[arg-type]


def test_nothing_is_on_record_before_the_first_decision(lake: Lake) -> None:
    assert on_record(TOY, lake).is_empty()
    assert past_decisions(on_record(TOY, lake), {}) == []


def test_a_row_tells_what_was_decided_when_why_and_on_what(lake: Lake) -> None:
    put(lake, decided(DRIFT, AGE), DRIFT, AGE, MISSING, tags={"throughline/trigger": "drift,age"})
    row = on_record(TOY, lake).row(0, named=True)
    assert (row["number"], row["answer"], row["triggers"]) == (1, "retrain", ["drift", "age"])
    assert json.loads(row["run_tags"]) == {"throughline/trigger": "drift,age"}
    seen = {e["id"]: e for e in json.loads(row["evidence"])}
    assert seen[DRIFT.id]["observed_at"] == NOW.isoformat()
    assert [e["is_missing"] for e in seen.values()] == [False, False, True]
    assert len(row["code_version"]) == 12


def test_rows_are_counted_and_none_is_touched(lake: Lake) -> None:
    put(lake, decided(DRIFT), DRIFT)
    before = on_record(TOY, lake)
    put(lake, decided(AGE), AGE)
    assert on_record(TOY, lake)["number"].to_list() == [1, 2]
    assert on_record(TOY, lake).head(1).equals(before)
    assert set(on_record(TOY, lake).schema) == set(SCHEMA)


def test_a_ledger_without_todays_columns_grows_all_the_same(lake: Lake) -> None:
    put(lake, decided(DRIFT), DRIFT)
    older = Lake(root=f"{lake.root}_old")
    older.append("parcels/retraining_decisions", on_record(TOY, lake).drop("feeder"), COMMIT)
    put(older, decided(AGE), AGE)
    assert on_record(TOY, older)["feeder"].to_list() == [None, "a_sensor"]


def test_what_was_decided_reads_back_with_what_became_of_its_run(lake: Lake) -> None:
    decision = decided(DRIFT, AGE)
    put(lake, decision, DRIFT, AGE)
    (past,) = past_decisions(on_record(TOY, lake), {decision.id: "failed"})
    assert (past.id, past.answer, past.triggers) == (decision.id, "retrain", ("drift", "age"))
    assert (past.evidence_ids, past.decided_at, past.run_status) == (decision.evidence_ids, NOW, "failed")
    assert past_decisions(on_record(TOY, lake), {})[0].run_status == "none"


def test_the_event_shows_the_decision_its_evidence_and_the_last_ten(lake: Lake) -> None:
    for number in range(12):
        later = replace(DRIFT, id=f"drift/{number}")
        put(lake, decided(later), later, MISSING)
    event = materialisation(TOY, on_record(TOY, lake), 12)
    told = event.metadata
    assert event.asset_key == dg.AssetKey(["parcels", "retraining_decisions"])
    assert (told["number"].value, told["answer"].value, told["triggers"].value) == (12, "retrain", "drift")
    assert "- It drifted." in str(told["reasons"].value)
    assert told["evidence"].value == "- [drift/11](/drift)\n- performance/missing/7"
    assert str(told["ledger"].value).count("\n") == 11


def test_the_event_of_an_earlier_decision_knows_no_later_one(lake: Lake) -> None:
    for evidence in (DRIFT, AGE):
        put(lake, decided(evidence), evidence)
    event = materialisation(TOY, on_record(TOY, lake), 1)
    assert event.metadata["triggers"].value == "drift"
    assert event.metadata["dagster/row_count"].value == 1


def test_the_asset_stands_in_the_group_of_its_use_case_and_no_run_makes_it() -> None:
    graph = dg.Definitions(assets=[retraining_decisions_spec(TOY)]).resolve_asset_graph()
    node = graph.get(dg.AssetKey(["parcels", "retraining_decisions"]))
    assert (node.group_name, node.tags["stage"], node.is_materializable) == ("parcels", "retraining_decisions", False)
    assert node.kinds == {"deltalake"}
