"""A range of partitions made anew, however it was asked for, is what its days give one by one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.contracts import PARTITION_KEY
from assets.partitions import Partitions
from assets.stages.common import RETRY_IO, partitions_definition
from pipelines import backfill as module
from pipelines.backfill import BACKFILL, Backfill, BackfillError, backfill
from pipelines.backlog import RANGE
from pipelines.killed import LAUNCHED_BY
from pipelines.line import LineError
from pipelines.services import INSTANCE
from resources import processes
from resources.lake import Commit, Lake
from resources.landing import LandingZone
from resources.locks import BusyError, alone
from resources.settings import Settings
from tests.support import few_days
from tests.support.few_days import Home, days_between
from tests.support.instance import write_instance_file
from tests.support.serving import call, free_port
from tests.support.toy_use_case import TOY
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
COMMIT = Commit(dagster_run_id="a test", code_version="a test")


# Any asset: one that notes which partitions it is asked for, and in which run.

JANUARY = replace(TOY, partitions=Partitions(start=date(2020, 1, 1), end=date(2020, 1, 31)))
DAYS = partitions_definition(JANUARY.partitions)


@dataclass(kw_only=True)
class Toy:
    """Three assets over January, and what they were asked for."""

    lake: Lake
    instance: dg.DagsterInstance
    told: list[str] = field(default_factory=list)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    @property
    def work(self) -> Backfill:
        resources = {"lake": self.lake, "landing": LandingZone(root=f"{self.lake.root}-landing")}
        defs = dg.Definitions(assets=self._assets(), resources=resources, executor=dg.in_process_executor)
        return Backfill(use_case=JANUARY, defs=defs, instance=self.instance, echo=self.told.append)

    def run(self, asset: str, first: int, last: int, *, upstream: bool = False) -> list[tuple[str, list[str]]]:
        self.work.run(asset, date(2020, 1, first), date(2020, 1, last), upstream=upstream)
        return self.asked

    def _assets(self) -> list[dg.AssetsDefinition]:
        def note(name: str, context: dg.AssetExecutionContext) -> None:
            keys = sorted(context.partition_keys)
            self.asked.append((name, keys))
            if self.broken & {*keys}:
                raise dg.Failure("the method has a defect", allow_retries=False)
            frame = pl.DataFrame({"x": [len(k) for k in keys], PARTITION_KEY: keys})
            self.lake.write(f"parcels/{name}", frame, partitions=keys, commit=COMMIT, schema_evolution=True)

        whole = dg.BackfillPolicy.single_run()

        @dg.asset(key=["parcels", "mean"], partitions_def=DAYS, backfill_policy=whole, retry_policy=RETRY_IO)
        def mean(context: dg.AssetExecutionContext) -> None:
            note("mean", context)

        @dg.asset(key=["parcels", "chart"], deps=[mean], partitions_def=DAYS, backfill_policy=whole)
        def chart(context: dg.AssetExecutionContext) -> None:
            note("chart", context)

        @dg.asset(key=["parcels", "daily"], deps=[mean], partitions_def=DAYS)
        def daily(context: dg.AssetExecutionContext) -> None:
            note("daily", context)

        @dg.multi_asset(
            outs={n: dg.AssetOut(key=["parcels", n], dagster_type=dg.Nothing) for n in ("good", "bad")},
            deps=[mean],
            partitions_def=DAYS,
            backfill_policy=whole,
        )
        def parted(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
            note("good", context)
            yield dg.Output(None, "good")
            yield dg.Output(None, "bad")

        @dg.asset(key=["parcels", "summary"], deps=[chart])
        def summary() -> None:
            pass

        @dg.asset(key=["parcels", "predictions"], deps=[mean], partitions_def=DAYS, backfill_policy=whole)
        def predictions(context: dg.AssetExecutionContext) -> None:
            note("predictions", context)

        @dg.asset(key=["parcels", "drift_report"], deps=[mean, predictions], partitions_def=DAYS, backfill_policy=whole)
        def drift_report(context: dg.AssetExecutionContext) -> None:
            note("drift_report", context)

        return [mean, chart, daily, parted, summary, predictions, drift_report]


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    """All of January has landed, and its mean is there."""
    room = tmp_path / "dagster"
    room.mkdir()
    write_instance_file(room)
    lake, keys = Lake(root=str(tmp_path / "lake")), [str(date(2020, 1, n)) for n in range(1, 32)]
    frame = pl.DataFrame({"x": [0] * 31, PARTITION_KEY: keys})
    lake.write("parcels/mean", frame, partitions=keys, commit=COMMIT)
    for key in keys:
        LandingZone(root=f"{lake.root}-landing").store.write(f"parcels_{key}.csv", b"x")
    with dg.DagsterInstance.from_config(str(room)) as instance:
        yield Toy(lake=lake, instance=instance)


def days(first: int, last: int) -> list[str]:
    return [str(date(2020, 1, n)) for n in range(first, last + 1)]


def test_a_range_is_one_run_of_the_asset_alone(toy: Toy) -> None:
    assert toy.run("chart", 3, 9) == [("chart", days(3, 9))]
    (run,) = toy.instance.get_runs()
    assert [run.tags[tag] for tag in RANGE] == [days(3, 3)[0], days(9, 9)[0]]
    assert (run.tags[LAUNCHED_BY], run.tags[BACKFILL]) == ("line", "chart 2020-01-03/2020-01-09")
    assert toy.instance.get_materialized_partitions(dg.AssetKey(["parcels", "chart"])) == {*days(3, 9)}


def test_a_long_range_is_cut_into_runs_and_each_is_told(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTITIONS_PER_RUN", 4)
    assert toy.run("chart", 1, 10) == [("chart", days(1, 4)), ("chart", days(5, 8)), ("chart", days(9, 10))]
    assert [line for line in toy.told if line.startswith("[")] == [
        "[1/3] parcels: chart from 2020-01-01 to 2020-01-04",
        "[2/3] parcels: chart from 2020-01-05 to 2020-01-08",
        "[3/3] parcels: chart from 2020-01-09 to 2020-01-10",
    ]
    assert any("chart done in" in line for line in toy.told)


def test_an_asset_that_takes_one_partition_at_a_time_gets_one(toy: Toy) -> None:
    assert toy.run("daily", 1, 3) == [("daily", [day]) for day in days(1, 3)]


def test_what_is_made_in_one_go_is_made_together(toy: Toy) -> None:
    assert toy.run("bad", 1, 2) == [("good", days(1, 2))]


def test_upstream_is_made_first_if_asked_for(toy: Toy) -> None:
    assert toy.run("chart", 1, 2, upstream=True) == [("mean", days(1, 2)), ("chart", days(1, 2))]


def score(toy: Toy, first: int, last: int, version: str) -> None:
    keys = days(first, last)
    scores = pl.DataFrame({"model_version": [version] * len(keys), PARTITION_KEY: keys})
    toy.lake.write("parcels/predictions", scores, partitions=keys, commit=COMMIT)


def test_what_was_said_is_not_said_anew_to_watch_it_anew(toy: Toy) -> None:
    score(toy, 1, 2, "parcels/1")
    assert toy.run("drift_report", 1, 2, upstream=True) == [("mean", days(1, 2)), ("drift_report", days(1, 2))]


def test_scores_that_were_given_are_not_replaced_unasked(toy: Toy) -> None:
    score(toy, 2, 3, "parcels/1")
    score(toy, 4, 4, "parcels/2")
    with pytest.raises(
        BackfillError,
        match=r"3 partitions, 2020-01-02 to 2020-01-04, have scores by parcels/1, parcels/2: today's champion .*"
        "the record of what was said then would be lost; .*--replace-scores",
    ):
        toy.run("predictions", 1, 5)
    assert toy.asked == []


def test_days_without_scores_are_scored(toy: Toy) -> None:
    score(toy, 2, 3, "parcels/1")
    assert toy.run("predictions", 4, 5) == [("predictions", days(4, 5))]


def test_scores_are_replaced_if_asked_for(toy: Toy) -> None:
    score(toy, 2, 3, "parcels/1")
    work = replace(toy.work, replaces_scores=True)
    work.run("predictions", date(2020, 1, 2), date(2020, 1, 3))
    assert toy.asked == [("predictions", days(2, 3))]


def test_days_with_nothing_to_be_made_from_are_left_out_and_told(toy: Toy) -> None:
    toy.lake.delete_partitions("parcels/mean", days(3, 4), COMMIT)
    assert toy.run("chart", 1, 6) == [("chart", days(1, 2)), ("chart", days(5, 6))]
    assert [line for line in toy.told if "left out" in line] == [
        "2 of 6 partitions have nothing to be made from, and are left out"
    ]


def test_what_landed_is_what_the_first_asset_is_made_from(toy: Toy) -> None:
    LandingZone(root=f"{toy.lake.root}-landing").store.delete("parcels_2020-01-02.csv")
    assert toy.run("mean", 1, 3) == [("mean", days(1, 1)), ("mean", days(3, 3))]


def test_a_failure_says_what_is_done_and_where_to_go_on(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTITIONS_PER_RUN", 2)
    toy.broken = {"2020-01-04"}
    with pytest.raises(
        LineError,
        match=r"the method has a defect.*what came before 2020-01-03 is done; go on with --since 2020-01-03",
    ):
        toy.run("chart", 1, 6)
    assert toy.lake.partitions("parcels/chart") == {*days(1, 2)}
    assert len(toy.asked) == 2, "nothing comes after a failure"


@pytest.mark.parametrize(
    ("asset", "since", "until", "said"),
    [
        (
            "charts",
            "2020-01-01",
            "2020-01-02",
            "no asset 'charts' with partitions; those .* bad, chart, daily, drift_report, good, mean, ",
        ),
        ("summary", "2020-01-01", "2020-01-02", "no asset 'summary' with partitions"),
        ("chart", "2020-01-05", "2020-01-02", "--since 2020-01-05 lies after --until 2020-01-02"),
        (
            "chart",
            "2021-01-01",
            "2021-01-02",
            "no partition lies between .*; parcels has partitions from 2020-01-01 to",
        ),
    ],
)
def test_what_does_not_exist_is_refused_and_what_does_is_named(
    toy: Toy, asset: str, since: str, until: str, said: str
) -> None:
    with pytest.raises(BackfillError, match=said):
        toy.work.run(asset, date.fromisoformat(since), date.fromisoformat(until))
    assert toy.asked == []


def test_a_range_without_anything_to_be_made_from_is_refused(toy: Toy) -> None:
    toy.lake.delete_partitions("parcels/mean", days(1, 10), COMMIT)
    with pytest.raises(BackfillError, match="has nothing to be made from; that is there from 2020-01-11 to 2020-01-31"):
        toy.run("chart", 1, 10)


def test_a_killed_backfill_is_ended_on_record_and_no_other_run(toy: Toy) -> None:
    job = toy.work.defs.resolve_implicit_global_asset_job_def()
    chosen = frozenset({dg.AssetKey(["parcels", "chart"])})
    started = dg.DagsterRunStatus.STARTED
    tags: list[dict[str, str]] = [{BACKFILL: "chart"}, {}]
    killed, other = (toy.instance.create_run_for_job(job, status=started, tags=t, asset_selection=chosen) for t in tags)
    toy.work.end_killed()
    status = {run.run_id: run.status for run in toy.instance.get_runs()}
    assert status == {killed.run_id: dg.DagsterRunStatus.FAILURE, other.run_id: started}


def test_no_backfill_begins_while_a_line_runs(home: Path) -> None:
    with (
        alone(home / "run" / "line.lock", "The line"),
        pytest.raises(BusyError, match=rf"The line or a backfill runs already, in process {os.getpid()}"),
    ):
        backfill(Settings(home=home), "flight_delays", "features", date(2013, 1, 1), date(2013, 1, 2), print)


# Flights, whose features look back 28 days.

FLIGHTS = days_between("2013-02-05", "2013-02-07")
COMMAND = """
import sys
from datetime import date
from pipelines.backfill import backfill
from resources.settings import Settings
asset, since, until = sys.argv[1:]
backfill(Settings(), "flight_delays", asset, date.fromisoformat(since), date.fromisoformat(until), print)
"""


def files(home: Home, table: str) -> dict[str, bytes]:
    """The bytes of each day's file."""
    root = home.folder / "lake" / "flight_delays" / table
    return {day: next((root / f"partition_key={day}").glob("*.parquet")).read_bytes() for day in FLIGHTS}


def day_by_day(home: Home, purpose: str, asset: str) -> dict[str, bytes]:
    for day in FLIGHTS:
        assert home.run(purpose, asset, first=day).success
    return files(home, asset)


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return few_days.cleaned(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def by_days(cleaned: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The features of three days, made one by one."""
    return day_by_day(cleaned.copy(tmp_path_factory.mktemp("by_days") / "home"), "ingest", "features")


def environment(home: Home) -> dict[str, str]:
    own = {"THROUGHLINE_HOME": str(home.folder), "THROUGHLINE_LANDING": str(home.landing)}
    return {**os.environ, **own, "DAGSTER_HOME": str(home.folder / "dagster")}


def instance_file(home: Home) -> None:
    room = home.folder / "dagster"
    room.mkdir(parents=True, exist_ok=True)
    (room / "dagster.yaml").write_bytes(INSTANCE.read_bytes())


def test_a_range_of_features_from_the_command_line_gives_the_bytes_of_its_days(
    cleaned: Home, by_days: dict[str, bytes], tmp_path: Path
) -> None:
    home = cleaned.copy(tmp_path / "home")
    instance_file(home)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "features", FLIGHTS[0], FLIGHTS[-1]],
        env=environment(home),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"[1/1] flight_delays: features from {FLIGHTS[0]} to {FLIGHTS[-1]}")
    assert files(home, "features") == by_days
    assert home.lake.version(home.table("raw_flights")) == cleaned.lake.version(home.table("raw_flights"))


def test_a_range_of_predictions_gives_the_bytes_of_its_days(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    trained = few_days.trained(tmp_path_factory.getbasetemp()).home
    home = trained.copy(tmp_path / "range")
    with home.line() as line:
        work = Backfill(use_case=home.use_case, defs=line.defs, instance=line.instance, echo=print)
        work.run("predictions", date.fromisoformat(FLIGHTS[0]), date.fromisoformat(FLIGHTS[-1]))
    assert files(home, "predictions") == day_by_day(trained.copy(tmp_path / "days"), "score", "predictions")


WORKSPACE = """
load_from:
  - python_module:
      module_name: tests.support.backfill_location
      location_name: flight_delays
      working_directory: {root}
"""
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on InvalidSubsetError { message }
    ... on PythonError { message }
  }
}
"""
STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@contextmanager
def dagster(home: Home) -> Iterator[Callable[[str, dict[str, object]], dict[str, object]]]:
    """A real webserver and daemon over a home; yields how to ask the webserver."""
    instance_file(home)
    workspace, port, names = home.folder / "workspace.yaml", free_port(), ("webserver", "daemon")
    workspace.write_text(WORKSPACE.format(root=ROOT), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home.folder / "dagster"))
        with dg.DagsterInstance.get():  # its databases, before two processes would make them at once
            pass
    served = ("-m", "dagster_webserver", "--host", "127.0.0.1", "--port", str(port))
    commands = (served, ("-m", "dagster._daemon", "run"))
    url = f"http://127.0.0.1:{port}"

    def ask(query: str, variables: dict[str, object]) -> dict[str, object]:
        answered = call(f"{url}/graphql", {"query": query, "variables": variables}).json
        assert "errors" not in answered, json.dumps(answered)
        found: dict[str, object] = answered["data"]
        return found

    try:
        for name, command in zip(names, commands, strict=True):
            whole = (sys.executable, *command, "--workspace", str(workspace))
            processes.start_detached(whole, name=name, home=home.folder, env=environment(home))
        assert eventually(lambda: answers(url), seconds=120, pause=0.3)
        yield ask
    finally:
        for name in names:
            processes.stop(name, home=home.folder)


def answers(url: str) -> bool:
    try:
        return call(f"{url}/server_info").status == 200
    except OSError:
        return False


def test_a_range_of_features_asked_of_a_running_dagster_gives_the_bytes_of_its_days(
    cleaned: Home, by_days: dict[str, bytes], tmp_path: Path
) -> None:
    """As its pages ask for a range that is to be one run."""
    home = cleaned.copy(tmp_path / "home")
    where = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "flight_delays",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": ["flight_delays", "features"]}],
    }
    span = [{"key": tag, "value": day} for tag, day in zip(RANGE, (FLIGHTS[0], FLIGHTS[-1]), strict=True)]
    params = {"selector": where, "mode": "default", "executionMetadata": {"tags": span}}
    with dagster(home) as ask:
        launched = ask(LAUNCH, {"params": params})["launchPipelineExecution"]
        assert isinstance(launched, dict)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        ended = {"SUCCESS", "FAILURE", "CANCELED"}

        def status() -> str:
            return str(ask(STATUS, {"id": run_id})["runOrError"]["status"])  # type: ignore[index]

        assert eventually(lambda: status() in ended, seconds=180, pause=0.5)
        assert status() == "SUCCESS"
    assert files(home, "features") == by_days


def test_a_month_of_another_length_of_partitions_is_counted_by_them(toy: Toy) -> None:
    weeks = replace(JANUARY, partitions=Partitions(start=date(2019, 12, 30), end=date(2020, 1, 26), every="week"))
    work = replace(toy.work, use_case=weeks)
    toy.lake.delete_partitions("parcels/mean", days(1, 31), COMMIT)
    mondays = [str(date(2019, 12, 30) + timedelta(weeks=n)) for n in range(4)]
    frame = pl.DataFrame({"x": [0] * 4, PARTITION_KEY: mondays})
    toy.lake.write("parcels/mean", frame, partitions=mondays, commit=COMMIT)
    assert work.plan("chart", date(2020, 1, 8), date(2020, 1, 20)) == [("2020-01-06", "2020-01-20")]
