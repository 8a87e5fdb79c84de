"""The monitor judges scored days by what their version was like in its test window, day by day or all at once."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import deltalake
import polars as pl
import pytest
from mlflow import MlflowClient
from polars.testing import assert_frame_equal

from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY
from assets.logic.performance_tables import UNDER_WAY
from assets.logic.retraining import Missing, decide
from assets.stages.evidence_monitors import performance_evidence
from assets.stages.performance_reference import DOCUMENT, in_control_of
from assets.stages.performance_report import DAYS, WINDOWS, build_performance_report, moment_of
from resources.clock import Clock
from resources.lake import Commit
from resources.reports import Reports
from tests.support import few_days
from tests.support.few_days import FEW_DAYS, LAST, QUIET, Home, checks, days_between, failures

SCORED = days_between("2013-02-03", LAST)
"""The test window of the champion."""
COMMIT = Commit(dagster_run_id="a test", code_version="a test")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The days of the test window with their scores, and what the champion is like in control; nobody writes to it."""
    trained = few_days.trained(tmp_path_factory.getbasetemp())
    home = trained.home.copy(tmp_path_factory.mktemp("scored") / "home")
    result = home.run("score", first=SCORED[0], last=LAST)
    assert result.success, failures(result)
    return home


@pytest.fixture
def home(scored: Home, tmp_path: Path) -> Home:
    return scored.copy(tmp_path / "home")


def watch(home: Home, first: str, last: str | None = None) -> dg.ExecuteInProcessResult:
    """Run the monitor over days `first` to `last`."""
    monitor = build_performance_report(home.use_case)
    resources = {
        "lake": home.lake,
        "registry": home.registry,
        "reports": Reports(root=str(home.folder / "reports")),
        "clock": Clock(),
    }
    job = dg.Definitions(
        assets=[monitor], jobs=[dg.define_asset_job("watch", [monitor])], resources=resources
    ).resolve_job_def("watch")
    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, tags=span, run_config=QUIET, raise_on_error=False)
    assert result.success, failures(result)
    return result


def with_limits_from_few_days(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("assets.logic.chart_limits.MINIMUM_DAYS", 4)


def test_a_range_of_days_gives_what_the_days_give_one_by_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits_from_few_days(monkeypatch)
    days = SCORED[2:]
    watch(home, days[0], LAST)
    together = {name: home.rows(name) for name in (WINDOWS, DAYS)}
    for name in together:
        home.lake.delete_partitions(home.table(name), days, COMMIT)
    for day in days:
        watch(home, day)
    for name, rows in together.items():
        assert_frame_equal(home.rows(name), rows)
    assert together[WINDOWS]["judged_days"].sort().to_list() == [2, 3, 4]


def test_watching_again_commits_nothing(home: Home) -> None:
    watch(home, SCORED[0], LAST)
    before = {name: home.lake.version(home.table(name)) for name in (WINDOWS, DAYS)}
    watch(home, SCORED[0], LAST)
    assert {name: home.lake.version(home.table(name)) for name in (WINDOWS, DAYS)} == before


def test_each_partition_has_its_own_numbers(home: Home) -> None:
    result = watch(home, SCORED[2], LAST)
    told = {
        m.partition: m.metadata for m in result.asset_materializations_for_node("flight_delays__performance_report")
    }
    windows = home.rows(WINDOWS)
    for partition, loss in windows.select(PARTITION_KEY, "loss").iter_rows():
        assert told[partition]["loss"].value == loss
    assert windows["loss"].n_unique() == len(windows)


def test_the_scores_are_those_of_the_labels_known_at_the_end_of_the_day(home: Home) -> None:
    watch(home, SCORED[3])
    end = moment_of(home.use_case, SCORED[3]).end
    known = pl.col(LABEL_KNOWN_AT).dt.replace_time_zone(None) <= end
    expected = home.rows("features", *SCORED[:4]).filter(known & pl.col("is_late").is_not_null())
    assert home.rows(WINDOWS)["labelled"].to_list() == [len(expected)]


def test_what_a_version_is_like_in_control_is_kept_with_it(home: Home) -> None:
    watch(home, LAST)
    champion = home.registry.champion("flight_delays")
    assert champion is not None
    kept = home.registry.document(champion.run_id, DOCUMENT)
    assert kept is not None
    known = in_control_of(home.use_case, home.lake, home.registry, champion)
    assert known is not None
    assert json.loads(kept)["in_control"] == json.loads(json.dumps(known.to_json()))
    assert known.version == str(champion)
    assert set(known.days) <= set(SCORED)


def test_a_test_window_of_a_few_days_is_measured_and_not_judged(home: Home) -> None:
    result = watch(home, LAST)
    window = home.rows(WINDOWS).row(0, named=True)
    assert window["is_out_of_control"] is None
    assert "days in control are too few for control limits" in window["note"]
    assert window["loss"] > 0
    verdict = checks(result)["performance_report/performance_is_in_control"]
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert window["note"] in str(verdict.description)
    assert verdict.metadata["is_judged"].value is False


def test_after_a_backfill_of_the_past_the_newest_window_is_still_what_is_told(home: Home) -> None:
    newest = checks(watch(home, LAST))["performance_report/performance_is_in_control"]
    folder = home.folder / "reports" / "flight_delays" / "performance_report"
    latest = (folder / "latest.json").read_bytes()
    told = checks(watch(home, SCORED[0]))["performance_report/performance_is_in_control"]
    assert (told.passed, told.description) == (newest.passed, newest.description)
    assert (folder / "latest.json").read_bytes() == latest
    assert (folder / f"{SCORED[0]}.json").is_file()


def test_a_window_whose_labels_are_still_under_way_passes(home: Home) -> None:
    verdict = checks(watch(home, SCORED[0]))["performance_report/performance_is_in_control"]
    assert home.rows(WINDOWS)["note"].to_list() == [UNDER_WAY]
    assert verdict.passed
    assert UNDER_WAY in str(verdict.description)


def test_a_version_that_left_the_registry_is_not_judged_and_said_to_be_gone(home: Home) -> None:
    MlflowClient(home.registry.tracking_uri).delete_model_version("flight_delays", "1")
    verdict = checks(watch(home, SCORED[0], LAST))["performance_report/performance_is_in_control"]
    assert not verdict.passed
    notes = home.rows(WINDOWS)["note"].to_list()
    assert len(notes) == len(SCORED)
    assert all(note.startswith("The days of flight_delays/1 cannot be judged: ") for note in notes)


def test_a_version_whose_tested_rows_are_gone_is_not_judged_and_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.stages.performance_reference.DOCUMENT", "monitoring/not_made_yet.json")
    rows, table = home.rows("features"), home.table("features")
    changed = rows.with_columns(pl.col("is_late").fill_null(0))
    home.lake.write(table, changed, partitions=rows[PARTITION_KEY].unique().to_list(), commit=COMMIT)
    delta = deltalake.DeltaTable(home.lake.uri(table))
    delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    watch(home, LAST)
    (note,) = home.rows(WINDOWS)["note"]
    assert note.startswith("The days of flight_delays/1 cannot be judged: ")


def test_a_table_from_before_a_column_was_added_goes_on(home: Home) -> None:
    added = ["compared_days", "refused_labels", "reference_calibration_error"]
    watch(home, SCORED[2])
    old, table = home.rows(WINDOWS).drop(added), f"{home.table(WINDOWS)}_old"
    home.lake.write(table, old, partitions=[SCORED[2]], commit=COMMIT)
    shutil.rmtree(home.lake.uri(home.table(WINDOWS)))
    shutil.move(home.lake.uri(table), home.lake.uri(home.table(WINDOWS)))
    watch(home, SCORED[3])
    windows = home.lake.scan(home.table(WINDOWS)).collect().sort(PARTITION_KEY)
    assert windows[PARTITION_KEY].to_list() == SCORED[2:4]
    assert windows["loss"].null_count() == 0
    assert windows.select(pl.col(added).is_null()).rows() == [(True,) * 3, (False,) * 3]


def test_no_decision_is_taken_on_a_verdict_after_which_labels_ended(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_limits_from_few_days(monkeypatch)
    silent = SCORED[1:]
    rows = home.rows("features", *silent)
    gone = [pl.lit(None, dtype=rows.schema[name]).alias(name) for name in ("is_late", LABEL_KNOWN_AT)]
    home.lake.write(home.table("features"), rows.with_columns(gone), partitions=silent, commit=COMMIT)
    watch(home, LAST)
    now = datetime(2013, 2, 8, 6, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        told = {"judged_at": now.isoformat()}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(home.key("performance_report"), partition=LAST, metadata=told)
        )
        live_since = now - timedelta(days=9)
        found = performance_evidence(home.use_case, home.lake, instance, "flight_delays/1", live_since, now)
    assert isinstance(found, Missing)
    assert f"{SCORED[0]} is the newest day with enough of them: more than 2 days before" in found.why
    policy = home.use_case.automation.retraining
    decision = decide([found], [], policy, now)
    assert decision is not None
    assert decision.answer == "no"


def test_labels_that_do_not_come_are_warned_of_and_stop_nothing(home: Home) -> None:
    silent = SCORED[-2:]
    rows = home.rows("features", *silent)
    gone = [pl.lit(None, dtype=rows.schema[name]).alias(name) for name in ("is_late", LABEL_KNOWN_AT)]
    home.lake.write(home.table("features"), rows.with_columns(gone), partitions=silent, commit=COMMIT)
    arrive = checks(watch(home, LAST))["performance_report/labels_arrive"]
    assert (arrive.passed, arrive.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert arrive.metadata["overdue_share"].value == 1.0


def test_labels_that_come_as_usual_pass(home: Home) -> None:
    assert checks(watch(home, LAST))["performance_report/labels_arrive"].passed


def test_the_report_of_the_newest_day_is_kept_as_page_and_as_figures(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_limits_from_few_days(monkeypatch)
    result = watch(home, SCORED[0], LAST)
    folder = home.folder / "reports" / "flight_delays" / "performance_report"
    content = json.loads((folder / f"{LAST}.json").read_text(encoding="utf-8"))
    assert content["window"]["partition_key"] == LAST
    assert (folder / "latest.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    metadata = result.asset_materializations_for_node("flight_delays__performance_report")[-1].metadata
    assert "plots/control_charts.png" in str(metadata["charts"].value)
    assert "judged_at" in metadata


def test_days_that_nothing_was_scored_of_say_so(home: Home) -> None:
    watch(home, "2013-06-01")
    assert home.rows(WINDOWS)["note"].to_list() == ["There are no predictions in this window."]


def test_the_end_of_a_partition_is_local_midnight() -> None:
    assert str(moment_of(FEW_DAYS, LAST).end) == "2013-02-08 05:00:00"
