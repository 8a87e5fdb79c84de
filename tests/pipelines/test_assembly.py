"""The names people and schedules rely on, and what the user interface shows: a change here concerns everybody."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import dagster as dg
import pytest
from dagster import AssetKey

from assets.policies import TrainerSpec
from pipelines.assembly import build_definitions
from pipelines.flight_delays.definitions import defs
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from resources.lake import Lake

TABLES = ["airports", "planes", "weather", "flights"]
STAGES = {
    "raw": [f"raw_{t}" for t in TABLES],
    "cleaned": [f"{s}_{t}" for t in TABLES for s in ("cleaned", "quarantined")],
    "exploration": ["exploration_report"],
    "features": ["features"],
    "training_set": ["training_set"],
    "candidate": ["logistic_regression", "catboost", "neural_network"],
    "evaluation_report": ["evaluation_report"],
    "champion": ["champion"],
    "drift_reference": ["drift_reference"],
    "endpoint": ["endpoint"],
    "online_history": ["online_history"],
    "rollout_history": ["rollout_history"],
    "predictions": ["predictions"],
    "prediction_log": ["prediction_log"],
    "feedback": ["feedback"],
    "drift_report": ["drift_report"],
    "performance_report": ["performance_report"],
    "retraining_decisions": ["retraining_decisions"],
}
DAILY = {f"{s}_{t}" for s in ("raw", "cleaned", "quarantined") for t in ("weather", "flights")}
DAILY |= {"features", "predictions", "prediction_log", "feedback", "drift_report", "performance_report"}
JOBS = {
    "ingest": ["raw", "cleaned", "features"],
    "explore": ["exploration"],
    "train": ["training_set", "candidate", "evaluation_report", "champion", "drift_reference", "endpoint"],
    "score": ["predictions"],
    "monitor": ["drift_report", "performance_report"],
    "answers": ["prediction_log", "feedback"],
    "rollout": ["rollout_history"],
    "refresh": ["online_history"],
}
WITHOUT_ASSETS = {"deliver", "maintain", "rollback"}
SENSORS = {"new_data", "code_change", "monitoring", "alert", "silence", "rollout", "refresh"}
SCHEDULES = {"delivery", "monitoring", "answers", "retraining", "exploration", "maintenance"}
BLOCKING = {
    "cleaned_airports": {
        "every_row_is_accounted_for",
        "airports_are_registered",
        "airport_codes_are_unique",
        "time_zones_are_reported",
        "origins_are_registered",
    },
    "cleaned_planes": {
        "every_row_is_accounted_for",
        "planes_are_registered",
        "tail_numbers_are_unique",
        "seats_are_those_of_airliners",
    },
    "cleaned_weather": {
        "every_row_is_accounted_for",
        "weather_was_observed",
        "observations_are_unique",
        "temperatures_are_plausible",
        "wind_speeds_are_plausible",
        "temperatures_are_reported",
    },
    "cleaned_flights": {
        "every_row_is_accounted_for",
        "flights_were_scheduled",
        "flights_are_unique",
        "carriers_are_iata_codes",
        "destinations_have_a_time_zone",
        "arrivals_follow_departures",
        "departure_delays_are_plausible",
    },
    "features": {"features_do_not_know_the_future", "no_answer_is_known_when_asked", "rows_are_unique"},
    "training_set": {"windows_do_not_overlap", "every_window_has_labels_to_tell_apart"},
    "endpoint": {"live_answers_equal_offline_scores"},
    "predictions": {"every_feature_row_is_scored"},
}
TELLING = {
    **{f"raw_{t}": {"has_rows", "every_partition_has_arrived"} for t in TABLES},
    "cleaned_planes": {"years_of_manufacture_are_reported"},
    "cleaned_weather": {"pressures_are_reported", "every_airport_reports"},
    "cleaned_flights": {"few_flights_are_cancelled"},
    "features": {"labels_are_known", "no_feature_is_empty"},
    "prediction_log": {"online_features_equal_offline", "every_line_of_the_log_is_whole"},
    "feedback": {"every_line_of_the_journal_is_whole", "labels_are_about_known_answers"},
    "rollout_history": {"no_version_was_taken_back", "the_endpoint_serves_what_is_asked_for"},
    "drift_report": {"nothing_has_drifted"},
    "performance_report": {"performance_is_in_control", "labels_arrive"},
    "evaluation_report": {
        "enough_rows",
        "unseen_rows",
        "beats_base_rate",
        "beats_group_rate",
        "not_worse_than_champion",
        "no_slice_collapses",
        "is_calibrated",
        "no_sign_of_leakage",
        "differs_from_champion",
    },
}

GRAPH = defs.resolve_asset_graph()
KEYS = sorted(GRAPH.get_all_asset_keys())


def name_of(key: AssetKey) -> str:
    return key.path[-1]


def test_every_key_is_the_use_case_and_a_noun() -> None:
    expected = {AssetKey(["flight_delays", name]) for names in STAGES.values() for name in names}
    assert set(KEYS) == expected


def test_the_checks_are_these_and_these_of_them_stop_what_comes_after() -> None:
    blocking: dict[str, set[str]] = {}
    telling: dict[str, set[str]] = {}
    for key in GRAPH.asset_check_keys:
        spec = GRAPH.get_check_spec(key)
        (blocking if spec.blocking else telling).setdefault(name_of(key.asset_key), set()).add(key.name)
    assert blocking == BLOCKING
    assert telling == TELLING


@pytest.mark.parametrize("purpose", JOBS)
def test_a_job_materialises_its_stages_and_says_what_it_is_for(purpose: str) -> None:
    job = defs.resolve_job_def(f"flight_delays_{purpose}_job")
    names = {name for stage in JOBS[purpose] for name in STAGES[stage]}
    assert {name_of(key) for key in job.asset_layer.selected_asset_keys} == names
    assert job.description
    assert (job.partitions_def is not None) == bool(names & DAILY)


def test_there_are_no_other_jobs() -> None:
    named = {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    assert named == {f"flight_delays_{purpose}_job" for purpose in {*JOBS, *WITHOUT_ASSETS}}


def test_the_sensors_and_schedules_are_these_and_on_by_default() -> None:
    repository = defs.get_repository_def()
    sensors = {s.name: s.default_status is dg.DefaultSensorStatus.RUNNING for s in repository.sensor_defs}
    schedules = {s.name: s.default_status is dg.DefaultScheduleStatus.RUNNING for s in repository.schedule_defs}
    assert sensors == {f"flight_delays_{name}_sensor": True for name in SENSORS}
    assert schedules == {f"flight_delays_{name}_schedule": True for name in SCHEDULES}


@pytest.mark.parametrize("key", KEYS, ids=name_of)
def test_an_asset_says_what_it_is_whose_it_is_and_which_code_makes_it(key: AssetKey) -> None:
    asset = GRAPH.get(key)
    assert asset.group_name == "flight_delays"
    assert asset.owners == ["team:operations"]
    assert asset.kinds
    assert len(asset.description or "") > 20
    assert len(asset.code_version or "") == 12 or not asset.is_materializable  # the ledger is written by sensors
    assert name_of(key) in STAGES[asset.tags["stage"]]


@pytest.mark.parametrize("key", KEYS, ids=name_of)
def test_days_are_local_service_dates_of_2013_and_a_range_of_them_is_one_run(key: AssetKey) -> None:
    asset = GRAPH.get(key)
    if name_of(key) not in DAILY:
        assert asset.partitions_def is None
        return
    assert isinstance(asset.partitions_def, dg.DailyPartitionsDefinition)
    days = asset.partitions_def.get_partition_keys()
    assert (len(days), days[0], days[-1]) == (365, "2013-01-01", "2013-12-31")
    assert str(asset.partitions_def.timezone) == "America/New_York"
    assert asset.backfill_policy == dg.BackfillPolicy.single_run()


@pytest.mark.parametrize("name", [*(f"raw_{t}" for t in TABLES), *(f"cleaned_{t}" for t in TABLES), "features"])
def test_a_table_shows_its_columns_with_types_and_meaning(name: str) -> None:
    schema = GRAPH.get(AssetKey(["flight_delays", name])).metadata["dagster/column_schema"]
    columns = (schema.value if isinstance(schema, dg.MetadataValue) else schema).columns
    assert columns
    assert all(column.type and column.description for column in columns)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("raw_flights", set()),
        ("cleaned_flights", {"raw_flights", "cleaned_airports"}),
        ("quarantined_flights", {"raw_flights"}),
        ("features", {f"cleaned_{t}" for t in TABLES}),
        ("training_set", {"features"}),
        ("catboost", {"training_set"}),
        ("evaluation_report", {"training_set", "logistic_regression", "catboost", "neural_network"}),
        ("champion", {"evaluation_report"}),
        ("endpoint", {"champion", "training_set"}),
        ("rollout_history", {"endpoint"}),
        ("online_history", {"endpoint", *(f"cleaned_{t}" for t in TABLES)}),
        ("predictions", {"features", "champion"}),
        ("prediction_log", {"endpoint", *(f"cleaned_{t}" for t in TABLES)}),
        ("drift_reference", {"champion"}),
        ("drift_report", {"features", "predictions", "drift_reference"}),
        ("feedback", {"prediction_log"}),
        ("performance_report", {"features", "predictions", "feedback"}),
    ],
)
def test_data_flows_down_the_line(name: str, after: set[str]) -> None:
    assert {name_of(key) for key in GRAPH.get(AssetKey(["flight_delays", name])).parent_keys} == after


def test_a_day_of_features_depends_on_the_days_it_looks_back_on() -> None:
    features, flights = (GRAPH.get(AssetKey(["flight_delays", n])) for n in ("features", "cleaned_flights"))
    mapping = features.partition_mappings[flights.key]
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    assert (mapping.start_offset, mapping.end_offset) == (-31, 0)


def test_steps_run_in_one_process() -> None:
    assert defs.executor is dg.in_process_executor


def test_a_use_case_with_other_families_has_other_candidates() -> None:
    one = replace(FLIGHT_DELAYS, trainers=(TrainerSpec(family="catboost"),))
    graph = build_definitions(one).resolve_asset_graph()
    report = graph.get(AssetKey(["flight_delays", "evaluation_report"]))
    assert {name_of(key) for key in report.parent_keys} == {"training_set", "catboost"}


def test_a_use_case_without_groups_has_no_rule_about_them() -> None:
    graph = build_definitions(replace(FLIGHT_DELAYS, baseline_by=())).resolve_asset_graph()
    assert "beats_group_rate" not in {key.name for key in graph.asset_check_keys}


def test_a_resource_given_by_name_takes_the_place_of_the_usual_one() -> None:
    other = Lake(root="elsewhere")
    made = build_definitions(FLIGHT_DELAYS, {"lake": other})
    assert made.resources is not None
    assert made.resources["lake"] == other
    assert made.resources.keys() == (defs.resources or {}).keys()


def test_code_versions_are_the_same_in_every_process() -> None:
    """Else every process would find that the code has changed, and make everything anew."""
    code = (
        "import json\n"
        "from pipelines.flight_delays.definitions import defs\n"
        "graph = defs.resolve_asset_graph()\n"
        "print(json.dumps({k.path[-1]: graph.get(k).code_version for k in graph.get_all_asset_keys()}))\n"
    )
    started = [  # at the same time, so that a file that is edited meanwhile makes no difference
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "7")
    ]
    first, second = (json.loads(process.communicate()[0]) for process in started)
    assert first.keys() == {name_of(key) for key in KEYS}
    assert first == second
