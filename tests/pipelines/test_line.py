"""The line takes in what has arrived, once, whatever is missing, late, or was cut short."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from mlflow import MlflowClient

from assets.contracts import PARTITION_KEY
from assets.stages.features import look_back_days
from assets.trainers.families import load_model
from pipelines.backlog import PLAN
from pipelines.jobs import job_name
from pipelines.killed import LAUNCHED_BY, LINE, end_killed_runs
from pipelines.line import Line, LineError
from resources.lake import Commit
from resources.mlflow_runs import open_run
from resources.serving.client import Endpoint
from tests.support import few_days
from tests.support.few_days import FEW_DAYS, LAST, Home, days_between, feed, flights_file, weather_file
from tests.support.serving import endpoint_in

COMMIT = Commit(dagster_run_id="a test", code_version="a test")
DAYS = days_between("2013-01-01", "2013-01-05")
MIDDLE = DAYS[2]


# Taking in: five days.


@pytest.fixture(scope="module")
def five_days(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Five days as they land, and all that an undisturbed ingestion makes of them; nobody writes to it."""
    room = tmp_path_factory.mktemp("five_days")
    home = Home(folder=room / "home", landing=feed(room / "landing", DAYS[0], DAYS[-1]))
    with home.line() as line:
        assert line.ingest()
    return home


@pytest.fixture
def own(five_days: Home, tmp_path: Path) -> Home:
    """Five days that have been taken in, and their landing zone."""
    return five_days.copy(tmp_path / "home", with_landing=True)


@pytest.fixture
def fresh(five_days: Home, tmp_path: Path) -> Home:
    """The same days as they landed, and nothing taken in."""
    return Home(folder=tmp_path / "home", landing=shutil.copytree(five_days.landing, tmp_path / "landing"))


TABLES = [f"{s}_{t.name}" for t in FEW_DAYS.tables for s in ("raw", "cleaned", "quarantined")] + ["features"]


def contents(home: Home) -> dict[str, pl.DataFrame]:
    """All rows of all tables; where a file lay is no part of its content."""
    found = {name: home.rows(name) for name in TABLES}
    frames = {name: f.drop("source_uri") if "source_uri" in f.columns else f for name, f in found.items()}
    return {name: f.sort(f.columns) for name, f in frames.items()}


def assert_same(home: Home, other: Home) -> None:
    left, right = contents(home), contents(other)
    assert {name for name in TABLES if not left[name].equals(right[name])} == set()


def deliver_again(file: Path) -> None:
    """The same bytes, landed later."""
    data = file.read_bytes()
    file.unlink()
    time.sleep(0.01)
    file.write_bytes(data)


def runs(line: Line) -> list[tuple[str, str | None, str | None]]:
    tags = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    found = line.instance.get_runs(ascending=True)
    return [(r.job_name.split("_")[-2], *(r.tags.get(t) for t in tags)) for r in found]  # type: ignore[misc]


def test_what_was_taken_in_is_not_pending(own: Home) -> None:
    with own.line() as line:
        assert line.pending() == []
        assert not line.ingest()
        assert len(runs(line)) == 1


def test_all_days_are_taken_in_by_one_run(five_days: Home, own: Home) -> None:
    with own.line() as line:
        assert runs(line) == [("ingest", DAYS[0], DAYS[-1])]
    assert five_days.lake.partitions(five_days.table("features")) == set(DAYS)


def test_a_missing_day_in_the_middle_is_left_out_and_the_days_after_it_are_made(fresh: Home) -> None:
    (fresh.landing / flights_file(MIDDLE)).unlink()
    (fresh.landing / weather_file(MIDDLE)).unlink()
    told: list[str] = []
    with fresh.line(told) as line:
        assert line.ingest()
        assert runs(line) == [("ingest", DAYS[0], DAYS[1]), ("ingest", DAYS[3], DAYS[4])]
        assert line.pending() == []
    assert fresh.lake.partitions(fresh.table("features")) == {*DAYS} - {MIDDLE}
    assert [t for t in told if t.startswith("Ingesting")] == [
        f"Ingesting {DAYS[0]} to {DAYS[1]}",
        f"Ingesting {DAYS[3]} to {DAYS[4]}",
    ]


def test_a_run_asked_for_a_missing_day_names_it(own: Home) -> None:
    (own.landing / flights_file(MIDDLE)).unlink()
    with own.line() as line, pytest.raises(LineError, match=rf"no file has landed under .* for {MIDDLE}"):
        line.job("ingest", first=DAYS[0], last=DAYS[-1])


def test_weather_without_its_flights_waits_and_is_not_news_for_ever(fresh: Home) -> None:
    (fresh.landing / flights_file(MIDDLE)).unlink()
    with fresh.line() as line:
        assert line.ingest()
        assert line.pending() == []


def test_a_day_that_arrives_late_is_taken_in_and_the_days_that_look_back_on_it_are_made_anew(
    five_days: Home, fresh: Home
) -> None:
    file = fresh.landing / flights_file(MIDDLE)
    held_back = file.read_bytes()
    file.unlink()
    with fresh.line() as line:
        assert line.ingest()
        before = fresh.rows("features", DAYS[3])
        file.write_bytes(held_back)
        assert line.pending() == DAYS[2:]
        assert line.ingest()
        assert runs(line)[-1] == ("ingest", MIDDLE, DAYS[-1])
        assert line.pending() == []
    assert not fresh.rows("features", DAYS[3]).equals(before), "the late day must have mattered"
    assert fresh.rows("features").equals(five_days.rows("features"))


def test_weather_that_arrives_late_is_taken_in_too(five_days: Home, fresh: Home) -> None:
    file = fresh.landing / weather_file(MIDDLE)
    held_back = file.read_bytes()
    file.unlink()
    with fresh.line() as line:
        assert line.ingest()
        assert line.pending() == []
        file.write_bytes(held_back)
        assert line.pending() == DAYS[2:]
        assert line.ingest()
    assert fresh.rows("features").equals(five_days.rows("features"))


def test_a_day_delivered_anew_is_pending_with_the_days_that_look_back_on_it(own: Home) -> None:
    deliver_again(own.landing / flights_file(DAYS[3]))
    with own.line() as line:
        assert line.pending() == DAYS[3:]


def test_days_beyond_the_look_back_of_a_late_one_are_left_alone(ingested: Home, tmp_path: Path) -> None:
    use_case, first = ingested.use_case, "2013-01-01"
    home = ingested.copy(tmp_path / "home", with_landing=True)
    with home.line() as line:
        every_day = days_between(first, LAST)
        graph = line.defs.resolve_asset_graph()
        for key in line.defs.resolve_job_def(job_name(use_case.name, "ingest")).asset_layer.selected_asset_keys:
            made_by = {"dagster/code_version": str(graph.get(key).code_version)}  # today's code, then
            line.instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=made_by))
        deliver_again(home.landing / flights_file(first))
        in_reach = {d for d in every_day if use_case.partitions.before(d, look_back_days(use_case)) <= first}
        made = home.lake.partitions(home.table("features"))
        assert set(line.pending()) == in_reach | ({*every_day} - made)
        assert LAST not in in_reach


def test_a_register_delivered_anew_concerns_every_day(own: Home) -> None:
    with own.line() as line:
        deliver_again(own.landing / "planes/planes.csv")
        assert line.pending() == DAYS
        assert line.ingest()
        assert line.pending() == []


def test_a_day_deleted_from_the_lake_comes_back_as_it_was(own: Home, five_days: Home) -> None:
    for name in TABLES:
        if PARTITION_KEY in own.rows(name).columns:
            own.lake.delete_partitions(own.table(name), [MIDDLE], COMMIT)
    with own.line() as line:
        assert MIDDLE in line.pending()
        assert line.ingest()
    assert_same(own, five_days)


def test_other_code_makes_every_day_anew(own: Home) -> None:
    features = tuple(replace(f, description="told otherwise") for f in FEW_DAYS.features)
    with own.line() as line:
        assert not line.outdated("ingest")
    with replace(own, use_case=replace(FEW_DAYS, features=features)).line() as line:
        assert line.outdated("ingest")
        assert line.pending() == DAYS


def test_another_seed_is_no_reason_to_make_features_anew(own: Home) -> None:
    with replace(own, use_case=replace(FEW_DAYS, seed=1)).line() as line:
        assert line.pending() == []


def test_days_planned_by_a_run_that_was_cut_short_are_made_although_no_file_changed(own: Home) -> None:
    """Days are made anew in two ranges around a gap, as after a change of the code, and the second is never begun."""
    first, second = (DAYS[0], DAYS[1]), (DAYS[3], DAYS[4])
    with own.line() as line:
        line.job("ingest", first=first[0], last=first[1], tags={PLAN: " ".join("/".join(r) for r in (first, second))})
        assert line.pending() == [DAYS[3], DAYS[4]]
        assert line.ingest()
        assert line.pending() == []


def test_a_gate_that_closes_is_named_in_one_sentence(own: Home) -> None:
    flights = own.rows("cleaned_flights", MIDDLE)
    twice = pl.concat([flights, flights.head(1)])
    own.lake.write(own.table("cleaned_flights"), twice, partitions=[MIDDLE], commit=COMMIT)
    told: list[str] = []
    with own.line(told) as line, pytest.raises(LineError, match=r"flight_delays__features: .*rows_are_unique"):
        line.job("ingest", first=MIDDLE, last=MIDDLE, only=[own.key("features")])
    assert any("features: check rows_are_unique failed (ERROR)" in t for t in told)


def test_a_training_set_that_does_not_do_says_why_in_the_same_sentence(ingested: Home, tmp_path: Path) -> None:
    own = ingested.copy(tmp_path / "home")
    one_class = own.rows("features").with_columns(pl.lit(1, dtype=pl.Int8).alias("is_late"))
    own.lake.write(own.table("features"), one_class, partitions=one_class[PARTITION_KEY].unique(), commit=COMMIT)
    with own.line() as line, pytest.raises(LineError) as failure:
        line.job("train", only=[own.key("training_set"), own.key("logistic_regression")])
    assert "Nothing to learn from in: train (all labels equal)" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_nothing_landed_is_one_sentence(tmp_path: Path) -> None:
    home = Home(folder=tmp_path / "home", landing=tmp_path / "nothing")
    with home.line() as line, pytest.raises(LineError, match=rf"Nothing has landed under {tmp_path}/nothing"):
        line.run()


def test_a_failed_job_says_which_step_why_and_where_to_read_more(fresh: Home) -> None:
    (fresh.landing / flights_file(MIDDLE)).write_bytes(b"")
    with fresh.line() as line:
        with pytest.raises(LineError) as failure:
            line.ingest()
        told, run = str(failure.value), line.instance.get_runs()[0]
    assert told.startswith(f"flight_delays_ingest_job failed (Dagster run {run.run_id}).")
    assert "flight_delays__raw_flights: flights: 1 landed file(s) refused" in told
    assert f"{flights_file(MIDDLE)} is empty (0 bytes); deliver it again" in told
    assert "\n" not in told


def test_a_repaired_file_lets_the_line_go_on_as_if_nothing_had_happened(fresh: Home, five_days: Home) -> None:
    file = fresh.landing / flights_file(MIDDLE)
    good = file.read_bytes()
    file.write_bytes(good[:-2_000])
    with fresh.line() as line:
        with pytest.raises(LineError, match="truncated"):
            line.ingest()
        shutil.copy2(five_days.landing / flights_file(MIDDLE), file)
        assert line.ingest()
    assert_same(fresh, five_days)


KILLED = """
import sys
from pathlib import Path
from tests.support.few_days import Home

with Home(folder=Path(sys.argv[1]), landing=Path(sys.argv[2])).line() as line:
    line.ingest()
"""


def kill_when(home: Home, sign: Path) -> None:
    """Take the landed days in, in a process of its own that is killed as soon as there is `sign`."""
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", KILLED, str(home.folder), str(home.landing)], cwd=root) as process:
        while process.poll() is None and not sign.exists():
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL


def test_a_run_killed_in_the_middle_and_run_again_has_the_rows_of_an_undisturbed_one(
    fresh: Home, five_days: Home
) -> None:
    kill_when(fresh, fresh.folder / "lake" / "flight_delays" / "features" / "_delta_log" / f"{0:020}.json")
    assert len(fresh.rows("raw_flights")) > 0, "it was killed before it had begun"
    assert not fresh.lake.partitions(fresh.table("features")), "it was killed after it had ended"
    with fresh.line() as line:
        assert line.ingest()
        assert line.pending() == []
    assert_same(fresh, five_days)


def test_a_run_whose_process_was_killed_is_ended_on_record_and_others_are_left_alone(fresh: Home) -> None:
    kill_when(fresh, fresh.folder / "lake" / "flight_delays" / "features" / "_delta_log" / f"{0:020}.json")
    registry = fresh.registry
    with fresh.line() as line:
        (killed,) = line.instance.get_runs()
        assert killed.status is dg.DagsterRunStatus.STARTED
        job = line.defs.resolve_job_def(job_name("flight_delays", "score"))
        launched_in_the_ui = line.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        of_another = dg.DagsterRun(
            job_name=job_name("churn", "train"), tags={LAUNCHED_BY: LINE}, status=dg.DagsterRunStatus.STARTED
        )
        line.instance.add_run(of_another)
        mlflow_runs = {}
        for run_id in (killed.run_id, launched_in_the_ui.run_id):
            tags = {"dagster.run_id": run_id}
            mlflow_runs[run_id] = open_run(registry._store, "flight_delays", "catboost", tags, registry.artifact_root)
        assert end_killed_runs(line.instance, registry, "flight_delays") == [killed.run_id]
        statuses = {run.run_id: run.status for run in line.instance.get_runs()}
    assert statuses == {
        killed.run_id: dg.DagsterRunStatus.FAILURE,
        launched_in_the_ui.run_id: dg.DagsterRunStatus.STARTED,
        of_another.run_id: dg.DagsterRunStatus.STARTED,
    }
    client = MlflowClient(registry.tracking_uri)
    recorded = {run_id: client.get_run(mlflow_run).info.status for run_id, mlflow_run in mlflow_runs.items()}
    assert recorded == {killed.run_id: "KILLED", launched_in_the_ui.run_id: "RUNNING"}


def test_a_run_killed_after_a_late_day_was_read_still_has_the_days_after_it_made_anew(
    fresh: Home, five_days: Home
) -> None:
    file = fresh.landing / flights_file(MIDDLE)
    file.unlink()
    with fresh.line() as line:
        assert line.ingest()
    version = fresh.lake.version(fresh.table("cleaned_flights"))
    assert version is not None
    shutil.copy2(five_days.landing / flights_file(MIDDLE), file)
    kill_when(fresh, fresh.folder / f"lake/flight_delays/cleaned_flights/_delta_log/{version + 1:020}.json")
    assert MIDDLE in fresh.lake.partitions(fresh.table("raw_flights"))
    assert MIDDLE not in fresh.lake.partitions(fresh.table("features"))
    with fresh.line() as line:
        assert line.pending() == DAYS[2:]
        assert line.ingest()
        assert line.pending() == []
    assert_same(fresh, five_days)


# The whole line: nineteen days, one quick family, a real server.


@contextmanager
def whole_line(home: Home, server: Endpoint, told: list[str] | None = None) -> Iterator[Line]:
    with home.line(told, endpoint_server=server) as line:
        yield line


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint_in(tmp_path_factory.mktemp("server")) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, server: Endpoint) -> Home:
    """Nineteen days all the way to the endpoint; nobody writes to it."""
    room = tmp_path_factory.mktemp("whole_line")
    home = Home(folder=room / "home", landing=feed(room / "landing", few_days.FEATURES_FROM, LAST))
    told: list[str] = []
    with whole_line(home, server, told) as line:
        line.run()
    (room / "told.txt").write_text("\n".join(told), encoding="utf-8")
    return home


@pytest.fixture
def done(finished: Home, tmp_path: Path) -> Home:
    return finished.copy(tmp_path / "home", with_landing=True)


def jobs_since(line: Line, before: int) -> list[str]:
    return [name for name, *_ in runs(line)[before:]]


def test_the_line_goes_from_files_to_watched_scores_in_five_jobs(done: Home, server: Endpoint) -> None:
    with whole_line(done, server) as line:
        assert jobs_since(line, 0) == ["ingest", "explore", "train", "score", "monitor"]
    days = days_between("2013-02-03", LAST)
    assert done.lake.partitions(done.table("predictions")) == set(days)
    assert len(done.rows("predictions")) == len(done.rows("features", *days))


def test_every_cleaned_table_has_been_explored(done: Home, server: Endpoint) -> None:
    with whole_line(done, server) as line:
        event = line.instance.get_latest_materialization_event(done.key("exploration_report"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    folder = "reports/flight_delays/exploration_report"
    for table in FEW_DAYS.tables:
        assert "data:image/png;base64," in str(metadata[table.name].value)
        assert str(metadata[f"{table.name}/evidently_html"].value).endswith(f"{folder}/{table.name}.html")
        assert f"/artifacts/{table.name}.html?" in str(metadata[f"{table.name}/evidently"].value)
        assert (done.folder / folder / f"{table.name}.html").stat().st_size > 10_000


def test_the_endpoint_answers_as_the_champion_did_offline(done: Home, server: Endpoint, tmp_path: Path) -> None:
    champion = done.registry.champion("flight_delays")
    assert champion is not None
    rows = done.rows("features", LAST).head(20).select(FEW_DAYS.feature_names)
    offline = load_model(done.registry.download(champion, tmp_path / "model")).predict(rows)
    assert server.predict("flight_delays", rows) == pytest.approx(offline, abs=1e-6, rel=0)
    live = json.loads((done.folder / "values" / "flight_delays" / "endpoint.json").read_text())
    assert live["model_version"] == str(champion)
    assert live["url"] == f"http://127.0.0.1:{server.port}/v2/models/flight_delays/infer"
    assert 0 < live["median_latency_ms"] <= live["p99_latency_ms"]


def test_a_second_run_takes_nothing_in_and_trains_nothing(done: Home, server: Endpoint) -> None:
    told: list[str] = []
    before = done.versions()
    with whole_line(done, server, told) as line:
        line.run()
        assert jobs_since(line, 5) == ["train"]
        assert line.instance.get_runs()[0].asset_selection == {done.key("endpoint")}
    assert any("Neither data nor code changed" in t for t in told)
    assert any("[1/1] endpoint ..." in t for t in told)
    assert done.versions() == before


def test_other_training_code_is_a_reason_to_train_and_none_to_take_anything_in(done: Home, server: Endpoint) -> None:
    with whole_line(done, server) as line:
        assert not line.outdated("train")
    spec = replace(FEW_DAYS.trainers[0], parameters={"C": 0.02})
    with whole_line(replace(done, use_case=replace(FEW_DAYS, trainers=(spec,))), server) as line:
        assert line.outdated("train")
        assert line.pending() == []


def test_other_code_that_judges_has_the_candidates_judged_again_and_none_trained(done: Home, server: Endpoint) -> None:
    told: list[str] = []
    promotion = replace(FEW_DAYS.promotion, confidence=0.61)
    models = done.registry.champion("flight_delays")
    with whole_line(replace(done, use_case=replace(FEW_DAYS, promotion=promotion)), server, told) as line:
        before = len(runs(line))
        line.train()
        (judged,) = line.instance.get_runs(limit=len(runs(line)) - before)
        assert {key.path[-1] for key in judged.asset_selection or ()} >= {"evaluation_report", "champion", "endpoint"}
        assert done.key("training_set") not in (judged.asset_selection or ())
        assert done.key("logistic_regression") not in (judged.asset_selection or ())
        line.train()
        assert line.instance.get_runs(limit=1)[0].asset_selection == {done.key("endpoint")}
    assert any("the candidates are judged again" in t for t in told)
    decisions = done.rows("promotion_ledger").sort("decided_at")
    assert len(decisions) == 2
    assert decisions["decision"][-1] == "kept"
    assert done.registry.champion("flight_delays") == models


def test_a_day_made_by_other_code_is_taken_in_again_though_a_later_one_was_made_by_todays(own: Home) -> None:
    with own.line() as line:
        key = own.key("features")
        for day, version in ((MIDDLE, "other"), (DAYS[-1], line.defs.resolve_asset_graph().get(key).code_version)):
            made = dg.AssetMaterialization(key, partition=day, tags={"dagster/code_version": str(version)})
            line.instance.report_runless_asset_event(made)
        assert not line.outdated("ingest")
        assert line.pending() == [MIDDLE]


def test_days_that_were_taken_in_by_a_run_cut_short_are_learnt_from_by_the_next(done: Home, server: Endpoint) -> None:
    next_day = "2013-02-08"
    feed(done.landing, next_day, next_day)
    with whole_line(done, server) as line:
        assert line.ingest()  # and here it was killed
    with whole_line(done, server) as line:
        line.run()
        assert jobs_since(line, 6) == ["train", "score", "monitor"]
    windows = done.lake.scan(done.table("promotion_ledger")).select("training_set").collect()
    assert windows["training_set"].n_unique() == 2
    assert next_day in done.lake.partitions(done.table("predictions"))


def test_a_scored_day_that_gets_other_rows_is_scored_again(done: Home, server: Endpoint) -> None:
    rows = done.rows("features", LAST)
    done.lake.write(done.table("features"), rows.head(len(rows) - 5), partitions=[LAST], commit=COMMIT)
    with whole_line(done, server) as line:
        line.score()
        assert runs(line)[-1] == ("score", LAST, LAST)
    assert len(done.rows("predictions", LAST)) == len(rows) - 5
