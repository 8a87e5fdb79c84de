"""The whole line on six real weeks: real files, lake, MLflow, Dagster instance, and a real endpoint.

The line runs once; each fixture goes one step further and notes what it found, so that the tests only look.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY
from assets.trainers.families import load_model
from pipelines import services
from pipelines.assembly import build_definitions
from pipelines.line import Line
from resources import processes
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry
from resources.serving.ports import process_name
from resources.settings import Settings
from tests.support.serving import call
from tests.support.small_line import SMALL_FLIGHT_DELAYS, TEST_DAYS, small_home

NAME = SMALL_FLIGHT_DELAYS.name
FAMILIES = {"logistic_regression", "catboost", "neural_network"}
BASELINES = {"base_rate", "group_rate"}
FIRST_FLIGHT_OF_TOMORROW = {
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "destination": "SFO",
    "scheduled_departure": "2013-06-24T10:00:00Z",
}
"""What must be told of a flight, and no more."""


@dataclass(frozen=True)
class World:
    """The line and everything around it."""

    settings: Settings
    instance: dg.DagsterInstance
    line: Line
    lake: Lake
    registry: MlflowModelRegistry
    told: list[str] = field(default_factory=list)

    def note(self) -> "State":
        """What is there now."""
        keys = self.line.defs.resolve_asset_graph().get_all_asset_keys()
        reports = self.settings.reports_home / NAME / "evaluation_report"
        tables = sorted(p.name for p in Path(self.lake.root, NAME).iterdir())
        return State(
            materialised={
                key.path[-1] for key in keys if self.instance.get_latest_materialization_event(key) is not None
            },
            tables={name: self.lake.version(f"{NAME}/{name}") for name in tables},
            versions=registered(self.registry),
            champion=self.registry.champion(NAME),
            ledger=self.lake.scan(f"{NAME}/promotion_ledger").sort("decided_at").collect(),
            jobs=[ran(run) for run in reversed(self.instance.get_runs())],
            report=json.loads(Path(reports, "latest.json").read_text(encoding="utf-8")),
            report_html=Path(reports, "latest.html").read_text(encoding="utf-8"),
        )

    def infer(self, rows: Sequence[dict[str, Any]]) -> npt.NDArray[np.float64]:
        """What the endpoint answers to an application."""
        url = f"http://127.0.0.1:{self.settings.endpoint_port}/v2/models/{NAME}/infer"
        reply = call(url, {"inputs": [tensor(name, [row[name] for row in rows]) for name in rows[0]]})
        assert reply.status == 200, reply.content
        return np.array(reply.json["outputs"][0]["data"])


@dataclass(frozen=True)
class State:
    """What one moment of the world looked like."""

    materialised: set[str]
    tables: dict[str, int | None]
    versions: list[int]
    champion: ModelVersion | None
    ledger: pl.DataFrame
    jobs: list[str]
    report: dict[str, Any]
    report_html: str


@dataclass(frozen=True)
class Answers:
    """What the live endpoint said about some flights of the test days, and what was said of them offline."""

    live_from_inputs: npt.NDArray[np.float64]
    live_from_features: npt.NDArray[np.float64]
    offline: npt.NDArray[np.float64]
    tomorrow: float
    unknown_carrier: float


def ran(run: dg.DagsterRun) -> str:
    """Name of the job, and of the assets if not all of it ran."""
    only = sorted(key.path[-1] for key in run.asset_selection or ())
    return f"{run.job_name}: {', '.join(only)}" if only else run.job_name


def registered(registry: MlflowModelRegistry) -> list[int]:
    client = mlflow.MlflowClient(registry.tracking_uri)
    return sorted(int(found.version) for found in client.search_model_versions(f"name = '{NAME}'"))


def tensor(name: str, values: list[Any]) -> dict[str, Any]:
    """One input of the Open Inference Protocol."""
    present = next((v for v in values if v is not None), 0.0)
    datatype = "BYTES" if isinstance(present, str) else "INT64" if isinstance(present, int) else "FP64"
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values}


def as_json(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: times as text."""
    return [
        {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
        for row in rows.iter_rows(named=True)
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with small_home(tmp_path_factory.mktemp("end_to_end") / "var") as settings:
        defs, told = build_definitions(SMALL_FLIGHT_DELAYS), list[str]()
        resources: Any = defs.resources
        try:
            with dg.DagsterInstance.get() as instance:
                yield World(
                    settings=settings,
                    instance=instance,
                    line=Line(use_case=SMALL_FLIGHT_DELAYS, defs=defs, instance=instance, echo=told.append),
                    lake=resources["lake"],
                    registry=resources["registry"],
                    told=told,
                )
        finally:
            services.stop(settings, told.append)


@pytest.fixture(scope="module")
def first(world: World) -> State:
    """After the line ran for the first time."""
    world.line.run()
    return world.note()


@pytest.fixture(scope="module")
def answers(world: World, first: State) -> Answers:
    features = world.lake.scan(f"{NAME}/features", partitions=TEST_DAYS).collect().gather_every(40)
    assert first.champion is not None
    folder = world.settings.home / "champion"
    offline = load_model(world.registry.download(first.champion, folder)).predict(features)
    names, inputs = SMALL_FLIGHT_DELAYS.feature_names, SMALL_FLIGHT_DELAYS.inputs
    return Answers(
        live_from_inputs=world.infer(as_json(features.select(inputs))),
        live_from_features=world.infer(as_json(features.select(names))),
        offline=offline,
        tomorrow=world.infer([FIRST_FLIGHT_OF_TOMORROW])[0],
        unknown_carrier=world.infer([FIRST_FLIGHT_OF_TOMORROW | {"carrier": "ZZ"}])[0],
    )


@pytest.fixture(scope="module")
def second(world: World, first: State) -> State:
    """After the line ran once more, with nothing new."""
    world.line.run()
    return world.note()


@pytest.fixture(scope="module")
def retrained(world: World, second: State) -> State:
    """After training was asked for, though nothing had changed."""
    world.line.job("train")
    return world.note()


@pytest.fixture(scope="module")
def answered_alone(world: World, retrained: State) -> float:
    """What the endpoint says while the lake, MLflow and Dagster are gone."""
    home = world.settings.home
    needless = [home / name for name in ("lake", "landing", "mlflow", "dagster", "values", "reports")]
    away = home / "away"
    away.mkdir()
    for folder in needless:
        folder.rename(away / folder.name)
    try:
        return float(world.infer([FIRST_FLIGHT_OF_TOMORROW])[0])
    finally:
        for folder in needless:
            (away / folder.name).rename(folder)


@pytest.fixture(scope="module")
def ended(world: World, answered_alone: float) -> tuple[processes.ProcessStatus, processes.ProcessStatus]:
    """The endpoint before and after `throughline stop`."""
    before = processes.status(process_name(NAME), home=world.settings.home)
    services.stop(world.settings, world.told.append)
    return before, processes.status(process_name(NAME), home=world.settings.home)


BY_SENSORS = {"online_history", "rollout_history", "prediction_log", "feedback"}
"""What is done while an endpoint is asked: by sensors and a schedule, and not by the line."""


def test_every_asset_of_the_graph_is_materialised(world: World, first: State) -> None:
    assets = {key.path[-1] for key in world.line.defs.resolve_asset_graph().materializable_asset_keys}
    assert first.materialised == assets - BY_SENSORS
    assert assets >= {"raw_flights", "cleaned_flights", "features", "champion", "endpoint", "predictions"} | FAMILIES


def test_every_check_of_the_gates_has_passed(world: World, first: State) -> None:
    told = [line for line in world.told if "check" in line and "failed (ERROR)" in line]
    assert not told


def test_each_family_registers_one_version(first: State) -> None:
    assert first.versions == [1, 2, 3]


def test_the_report_has_the_promised_keys(first: State) -> None:
    promised = {"use_case", "created_at", "test", "models", "decision"}
    assert first.report.keys() >= promised
    assert first.report["test"].keys() >= {"start", "end", "rows"}
    assert first.report["decision"].keys() >= {"promoted", "model", "reasons"}
    for model in first.report["models"].values():
        assert model.keys() >= {"model_version", "metrics", "intervals"}
        assert model["metrics"].keys() >= {"roc_auc", "average_precision", "log_loss", "brier"}


def test_the_report_judges_all_families_and_baselines_on_the_test_days(first: State) -> None:
    assert first.report["models"].keys() == FAMILIES | BASELINES
    assert (first.report["test"]["start"], first.report["test"]["end"]) == (TEST_DAYS[0], TEST_DAYS[-1])


def test_every_family_beats_both_baselines(first: State) -> None:
    loss = {name: model["metrics"]["log_loss"] for name, model in first.report["models"].items()}
    assert max(loss[f] for f in FAMILIES) < min(loss[b] for b in BASELINES)


def test_the_report_for_people_says_who_goes_live(first: State) -> None:
    assert first.report["decision"]["promoted"]
    assert first.report["decision"]["reasons"][0] in first.report_html


def test_the_best_candidate_is_champion_and_on_the_ledger(first: State) -> None:
    decided = first.report["models"][first.report["decision"]["model"]]["model_version"]
    assert str(first.champion) == decided
    row = first.ledger.row(0, named=True)
    assert len(first.ledger) == 1
    assert (row["decision"], row["model_version"], row["previous_version"]) == ("promoted", decided, None)
    assert row["reasons"] == first.report["decision"]["reasons"]


def test_predictions_cover_every_flight_of_the_test_days(world: World, first: State) -> None:
    wanted = [*SMALL_FLIGHT_DELAYS.entity, PARTITION_KEY]
    features = world.lake.scan(f"{NAME}/features", partitions=TEST_DAYS).select(wanted).collect()
    scored = world.lake.scan(f"{NAME}/predictions").select(*wanted, "model_version").collect()
    assert scored.select(wanted).sort(wanted).equals(features.sort(wanted))
    assert scored["model_version"].unique().to_list() == [str(first.champion)]


def test_a_full_feature_row_gets_the_score_it_has_offline(answers: Answers) -> None:
    np.testing.assert_allclose(answers.live_from_features, answers.offline, rtol=0, atol=1e-6)


def test_a_flight_as_its_caller_knows_it_gets_the_score_it_has_offline(answers: Answers) -> None:
    np.testing.assert_allclose(answers.live_from_inputs, answers.offline, rtol=0, atol=1e-6)


def test_a_flight_of_tomorrow_and_an_unknown_carrier_are_answered(answers: Answers) -> None:
    assert 0 < answers.tomorrow < 1
    assert 0 < answers.unknown_carrier < 1
    assert answers.tomorrow != answers.unknown_carrier


def test_a_second_run_trains_nothing(first: State, second: State) -> None:
    assert second.versions == first.versions
    assert second.jobs[len(first.jobs) :] == ["flight_delays_train_job: endpoint"]


def test_a_second_run_changes_no_table(first: State, second: State) -> None:
    assert second.tables == first.tables
    assert "features" in second.tables


def test_a_second_run_promotes_nothing(first: State, second: State) -> None:
    assert second.champion == first.champion
    assert second.ledger.equals(first.ledger)


def test_training_again_for_nothing_registers_versions_and_keeps_the_champion(first: State, retrained: State) -> None:
    assert retrained.versions == [1, 2, 3, 4, 5, 6]
    assert retrained.champion == first.champion


def test_a_kept_champion_is_on_the_ledger_with_the_reason(first: State, retrained: State) -> None:
    row = retrained.ledger.row(-1, named=True)
    assert retrained.ledger["decision"].to_list() == ["promoted", "kept"]
    assert row["model_version"] == str(first.champion)
    assert any("the champion once more" in reason for reason in row["reasons"])


def test_training_again_touches_no_table_but_the_ledger(second: State, retrained: State) -> None:
    changed = {name for name, version in retrained.tables.items() if version != second.tables[name]}
    assert changed == {"promotion_ledger"}


def test_the_endpoint_needs_neither_lake_nor_mlflow_nor_dagster(answers: Answers, answered_alone: float) -> None:
    assert answered_alone == pytest.approx(answers.tomorrow, abs=1e-12)


def test_stop_ends_the_endpoint(world: World, ended: tuple[processes.ProcessStatus, processes.ProcessStatus]) -> None:
    before, after = ended
    assert before.is_running
    assert not after.is_running
    assert processes.port_is_free(world.settings.endpoint_port)
