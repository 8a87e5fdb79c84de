"""The monitor judges scored days by what their version was like in its test window, day by day or all at once."""

import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY
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
    assert verdict.passed
    assert verdict.metadata["is_judged"].value is False


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
