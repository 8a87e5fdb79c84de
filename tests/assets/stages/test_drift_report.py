"""Trailing windows are compared with the reference of the model that predicted them, as known at their end."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.automation import Automation, DriftPolicy
from assets.contracts import PARTITION_KEY, UseCase
from assets.logic.drift_bins import TOGETHER
from assets.stages.drift_reference import KEPT_AS, find_reference, find_sample
from assets.stages.drift_report import NEWEST
from assets.stages.drift_tables import ALL, COLUMNS_SCHEMA, UNKNOWN, WINDOWS_SCHEMA
from assets.stages.drift_windows import end_of
from assets.stages.monitored import LATE
from resources.evidently_workspace import EvidentlyWorkspace
from resources.lake import Commit
from tests.support import few_days
from tests.support.few_days import FEW_DAYS, LAST, Home, Trained, checks, days_between, failures

COMMIT = Commit(dagster_run_id="a test", code_version="a test")
DAYS = days_between("2013-02-02", LAST)
GROUPS = {"schedule", "weather", "history", "plane", "prediction", "label", "residual"}


def watched(**policy: object) -> UseCase:
    """The few days with windows of two days, of which nine fit into what the model learned from."""
    drift = DriftPolicy(**{"window": timedelta(days=2), **policy})  # type: ignore[arg-type]
    return replace(FEW_DAYS, automation=Automation(drift=drift))


def with_own_artifacts(home: Home, before: Path) -> Home:
    """A copied home whose MLflow keeps its files in it: copied records name the folder they came from."""
    with closing(sqlite3.connect(home.folder / "mlflow.db")) as connection:
        for table, column in (
            ("runs", "artifact_uri"),
            ("experiments", "artifact_location"),
            ("logged_models", "artifact_location"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            changed = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608 - names of this test
            connection.execute(changed, (f"{before}/", f"{home.folder}/"))
        connection.commit()
    return home


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow remembers where the files of a run are, and copies have the same runs. Evidently draws few columns: each
    takes it 70 ms, and what it draws has tests of its own."""
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    _artifact_repos_cache.clear()
    monkeypatch.setattr("assets.reports.drift.SHOWN_COLUMNS", 3)
    yield
    _artifact_repos_cache.clear()


@cache
def reported(room: Path) -> Home:
    """Six days scored and reported in one run; read it, or copy it."""
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    trained = few_days.trained(room)
    home = trained.home.copy(room / "few_days" / "reported", use_case=watched())
    _artifact_repos_cache.clear()
    with_own_artifacts(home, trained.home.folder)
    for result in (
        home.run("train", "drift_reference"),
        home.run("score", first=DAYS[0], last=LAST),
        home.run("monitor", "drift_report", first=DAYS[0], last=LAST),
    ):
        assert result.success, failures(result)
    return home


@pytest.fixture
def whole(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The reported days; nobody writes to it."""
    return reported(tmp_path_factory.getbasetemp())


@pytest.fixture
def home(whole: Home, tmp_path: Path) -> Home:
    """The reported days to do as one likes with."""
    return with_own_artifacts(whole.copy(tmp_path / "home", use_case=watched()), whole.folder)


def report(home: Home, first: str = LAST, last: str = LAST) -> dg.ExecuteInProcessResult:
    result = home.run("monitor", "drift_report", first=first, last=last)
    assert result.success, failures(result)
    return result


def change(home: Home, day: str, how: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Rewrite the features of the window that ends with a day."""
    for key in days_between(str(pl.Series([day]).str.to_date().dt.offset_by("-1d")[0]), day):
        changed = how(home.rows("features", key))
        home.lake.write(home.table("features"), changed, partitions=[key], commit=COMMIT, schema_evolution=True)


def test_every_group_of_every_partition_is_judged(whole: Home) -> None:
    windows = whole.rows("drift_windows")
    assert dict(windows.schema) == dict(WINDOWS_SCHEMA)
    assert windows.group_by(PARTITION_KEY).agg(pl.col("group")).height == len(DAYS)
    assert all(set(g) == GROUPS for g in windows.group_by(PARTITION_KEY).agg("group")["group"])
    last = windows.filter(pl.col(PARTITION_KEY) == LAST)
    assert last["score"].null_count() == 0
    first = dict(last.select("group", pl.col("window_start").cast(pl.String)).iter_rows())
    assert first == {group: DAYS[-3] if group in LATE else DAYS[-2] for group in GROUPS}
    assert set(last["model_version"]) == set(last["reference"]) == {"flight_delays/1"}


def test_every_column_has_its_distance_and_its_share_of_use(whole: Home) -> None:
    columns = whole.rows("drift_columns", LAST)
    assert dict(columns.schema) == dict(COLUMNS_SCHEMA)
    features = columns.filter(~pl.col("group").is_in(["prediction", "label", "residual"]))
    alone, pairs = features.filter(~pl.col("column").str.contains(TOGETHER)), features["column"].str.split(TOGETHER)
    assert set(alone["column"]) == set(FEW_DAYS.feature_names)
    assert set(pairs.explode()) == set(FEW_DAYS.feature_names)
    assert alone["usage"].sum() == pytest.approx(1)
    assert columns["distance"].is_between(0, 1).all()


def test_columns_that_depend_on_each_other_are_judged_together_too(whole: Home) -> None:
    rows = whole.rows("drift_columns", LAST).filter(pl.col("column") == f"carrier{TOGETHER}origin")
    assert (rows["group"].to_list(), rows["finding"].to_list()) == (["schedule"], [None])


def test_a_window_that_begins_before_the_first_score_has_no_predictions_to_judge(whole: Home) -> None:
    first = whole.rows("drift_windows", DAYS[0]).filter(pl.col("group") == "prediction")
    assert first["rows"].to_list() == [len(whole.rows("predictions", DAYS[0]))]


def test_labels_count_up_to_the_last_day_that_has_them_all(whole: Home) -> None:
    rows = whole.rows("features", *DAYS[-3:-1]).filter(pl.col("is_late").is_not_null())
    found = whole.rows("drift_windows", LAST).filter(pl.col("group") == "label")
    assert found["rows"].to_list() == [len(rows)]


def test_labels_count_only_if_they_were_known_at_the_end_of_the_partition(home: Home) -> None:
    years_late = pl.col("label_known_at").dt.offset_by("1y")
    before = len(home.rows("features", *DAYS[-3:-1]).filter(pl.col("is_late").is_not_null()))
    is_first = pl.int_range(pl.len()).over(PARTITION_KEY) < 5
    change(
        home, DAYS[-2], lambda rows: rows.with_columns(pl.when(is_first).then(years_late).otherwise("label_known_at"))
    )
    late = len(home.rows("features", *DAYS[-3:-1]).filter(is_first & pl.col("is_late").is_not_null()))
    report(home)
    found = home.rows("drift_windows", LAST).filter(pl.col("group") == "label")
    assert found["rows"].to_list() == [before - late]


def test_what_became_known_later_changes_nothing_that_was_found(home: Home) -> None:
    at_once = home.rows("drift_windows", LAST), home.rows("drift_columns", LAST)
    end = pl.lit(end_of(FEW_DAYS, LAST))

    def as_known_then(rows: pl.DataFrame) -> pl.DataFrame:
        unknown = pl.col("label_known_at") > end
        names = ("is_late", "label_known_at")
        return rows.with_columns(pl.when(unknown).then(None).otherwise(pl.col(n)).alias(n) for n in names)

    missing = home.rows("features", LAST)["is_late"].null_count()
    change(home, LAST, as_known_then)
    assert home.rows("features", LAST)["is_late"].null_count() > missing
    report(home)
    for before, name in zip(at_once, ("drift_windows", "drift_columns"), strict=True):
        assert home.rows(name, LAST).equals(before)


def test_day_by_day_the_same_is_found_as_in_one_run(home: Home) -> None:
    at_once = home.rows("drift_windows"), home.rows("drift_columns")
    for name in ("drift_windows", "drift_columns"):
        home.lake.delete_partitions(home.table(name), DAYS, COMMIT)
    for day in DAYS[-2:]:
        report(home, day, day)
    for before, name in zip(at_once, ("drift_windows", "drift_columns"), strict=True):
        assert home.rows(name).equals(before.filter(pl.col(PARTITION_KEY).is_in(DAYS[-2:])))


def test_reporting_again_commits_nothing_and_adds_no_run_to_the_dashboard(home: Home) -> None:
    workspace = EvidentlyWorkspace(root=str(home.folder / "evidently"))
    versions, runs = home.versions(), workspace.runs("flight_delays")
    report(home, DAYS[0])
    assert (home.versions(), workspace.runs("flight_delays").keys()) == (versions, runs.keys())


def test_every_partition_has_a_run_in_the_dashboard_and_the_newest_its_columns(whole: Home) -> None:
    runs = EvidentlyWorkspace(root=str(whole.folder / "evidently")).runs("flight_delays")
    names = [run["name"] for run in runs.values()]
    assert set(DAYS) <= set(names)
    assert len(names) == len(DAYS) + 1
    assert NEWEST not in names  # it is called by its window


def test_the_newest_window_has_a_page_and_its_figures(whole: Home) -> None:
    folder = whole.folder / "reports" / "flight_delays" / "drift_report"
    assert {path.name for path in folder.iterdir()} == {f"{n}.{e}" for n in (LAST, "latest") for e in ("html", "json")}
    figures = json.loads((folder / f"{LAST}.json").read_text(encoding="utf-8"))
    shown = {m["config"]["column"]: m["value"] for m in figures["evidently"]["metrics"]}
    judged = {row["column"]: row["distance"] for row in whole.rows("drift_columns", LAST).to_dicts()}
    assert shown == pytest.approx({name: judged[name] for name in shown})
    assert len(shown) == 3


def test_categories_written_in_another_way_are_an_alarm_that_stops_nothing(home: Home) -> None:
    change(home, LAST, lambda rows: rows.with_columns(pl.col("plane_model", "plane_manufacturer").str.to_lowercase()))
    check = checks(report(home))["drift_report/nothing_has_drifted"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    windows = home.rows("drift_windows", LAST).filter("is_drifted")
    assert windows["group"].to_list() == ["plane"]
    assert windows["worst_column"][0] in ("plane_model", "plane_manufacturer")


def test_odd_columns_are_findings(home: Home) -> None:
    def odd(rows: pl.DataFrame) -> pl.DataFrame:
        empty, constant, infinite = "temp_f", "dewp_f", "humid_pct"
        return rows.with_columns(
            pl.lit(None, dtype=pl.Float64).alias(empty),
            pl.lit(1.0).alias(constant),
            pl.lit(float("inf")).alias(infinite),
        ).drop("pressure_mb")

    change(home, LAST, odd)
    report(home)
    found = dict(home.rows("drift_columns", LAST).select("column", "finding").drop_nulls().iter_rows())
    assert found["temp_f"] == "all null"
    assert found["dewp_f"] == "constant"
    assert found["humid_pct"].endswith("infinite values")
    assert found["pressure_mb"] == "all null"  # the table has it for other days


def test_a_feature_that_the_model_never_saw_is_a_finding(home: Home) -> None:
    extra = replace(FEW_DAYS.features[-1], name="flight_number", kind="numeric", description="Number.")
    use_case = replace(watched(), features=(*FEW_DAYS.features, extra))
    report(replace(home, use_case=use_case))
    found = home.rows("drift_columns", LAST).filter(pl.col("column") == "flight_number")
    assert found["finding"].to_list() == [UNKNOWN]


@pytest.mark.parametrize("day", ["2013-01-25", "2013-03-01"])
def test_a_window_without_predictions_is_a_row_that_says_so(home: Home, day: str) -> None:
    report(home, day, day)
    row = home.rows("drift_windows", day).to_dicts()
    assert [(r["group"], r["score"], r["is_drifted"]) for r in row] == [(ALL, None, False)]
    assert "no prediction was made" in row[0]["note"]


def test_a_newest_window_that_could_not_be_judged_does_not_pass(home: Home) -> None:
    assert not checks(report(home, "2013-03-01", "2013-03-01"))["drift_report/nothing_has_drifted"].passed


def test_a_window_of_a_model_without_a_reference_is_judged_by_one_that_is_made_for_it(
    trained: Trained, tmp_path: Path
) -> None:
    home = with_own_artifacts(trained.home.copy(tmp_path / "home", use_case=watched()), trained.home.folder)
    assert home.run("score", first=LAST).success
    report(home)
    assert set(home.rows("drift_windows")["reference"]) == {"flight_delays/1"}


def test_a_history_that_is_judged_anew_is_judged_by_the_method_and_policy_of_today(home: Home) -> None:
    report(replace(home, use_case=watched(window=timedelta(days=3))), DAYS[-2], DAYS[-2])
    found = home.rows("drift_windows", DAYS[-2]).filter(pl.col("group") == "schedule")
    assert found["window_start"].cast(pl.String).to_list() == [DAYS[-4]]


def test_a_window_of_a_model_that_is_gone_is_not_judged_and_says_why(home: Home) -> None:
    gone = home.rows("predictions", LAST).with_columns(pl.lit("flight_delays/7").alias("model_version"))
    home.lake.write(home.table("predictions"), gone, partitions=[LAST], commit=COMMIT)
    report(home)
    (note,) = home.rows("drift_windows", LAST)["note"]
    assert note.startswith("not judged: ")
    assert "7" in note


def test_after_a_backfill_of_the_past_the_newest_window_is_still_what_is_told(home: Home) -> None:
    folder = home.folder / "reports" / "flight_delays" / "drift_report"
    newest = (folder / "latest.json").read_bytes()
    change(home, DAYS[1], lambda rows: rows.with_columns(pl.col("plane_model").str.to_lowercase()))
    check = checks(report(home, DAYS[1], DAYS[1]))["drift_report/nothing_has_drifted"]
    assert home.rows("drift_windows", DAYS[1])["is_drifted"].any()
    assert (check.passed, check.metadata["partition"].value) == (True, LAST)
    assert (folder / "latest.json").read_bytes() == newest
    assert (folder / f"{DAYS[1]}.json").is_file()


def test_predictions_of_another_version_are_not_mixed_in(home: Home) -> None:
    before = home.rows("predictions", DAYS[-2])
    other = before.with_columns(pl.lit("flight_delays/7").alias("model_version"))
    home.lake.write(home.table("predictions"), other, partitions=[DAYS[-2]], commit=COMMIT)
    report(home)
    found = home.rows("drift_windows", LAST).filter(pl.col("group") == "prediction")
    assert found["rows"].to_list() == [len(home.rows("predictions", LAST))]


def test_a_reference_is_made_once_per_version_code_and_policy(home: Home) -> None:
    champion = home.registry.champion("flight_delays")
    assert champion is not None
    file = next((home.folder / "artifacts").rglob(KEPT_AS))
    written = file.stat().st_mtime_ns
    assert home.run("train", "drift_reference").success
    assert file.stat().st_mtime_ns == written
    other = replace(home, use_case=watched(false_alarms=0.02))
    assert other.run("train", "drift_reference").success
    assert file.stat().st_mtime_ns > written


def test_the_reference_of_an_exact_version_can_be_asked_for(whole: Home) -> None:
    champion = whole.registry.champion("flight_delays")
    assert champion is not None
    kept, sample = find_reference(champion, whole.registry), find_sample(champion, whole.registry)
    assert kept is not None
    assert sample is not None
    assert (str(kept.first), str(kept.last), kept.rows) == (few_days.FEATURES_FROM, LAST, len(whole.rows("features")))
    assert set(sample.columns) == {c.name for c in kept.reference.columns if not c.is_pair}
    assert find_reference(replace(champion, run_id=champion.run_id), whole.registry) == kept


def test_the_materialisation_tells_the_limits(home: Home) -> None:
    result = home.run("train", "drift_reference")
    told = result.asset_materializations_for_node("flight_delays__drift_reference")[0].metadata
    assert {f"limit/{group}" for group in GROUPS} <= told.keys()
    assert "share of use" in str(told["groups"].value)
