"""A year later: what maintenance takes away, and that every registered model can still be made again, to the row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.logic.splits import TrainingManifest
from assets.stages.feedback import build_feedback
from assets.stages.training_set import labelled_rows
from pipelines.maintenance import build_maintenance_job, champions, needed_tables
from resources.clock import Clock
from resources.errors import RegistryError
from resources.lake import Commit
from resources.mlflow_runs import open_run
from resources.reports import Reports
from resources.serving.client import Endpoint
from tests.support import few_days
from tests.support.few_days import Home, failures
from tests.support.instance import write_instance_file
from tests.support.logged import LoggedHome, answers, label

STAGES = ("training_set", "logistic_regression", "evaluation_report", "champion")
WINDOWS = ("train", "validation", "test")
NOTES = "flight_delays/notes"
COMMIT = Commit(dagster_run_id="a test", code_version="a test")


@dataclass(frozen=True, kw_only=True)
class Before:
    """A home with a champion, whose features were made anew twice since, and what lies about in it."""

    home: Home
    clock: Clock
    manifest: TrainingManifest
    learnt_from: Mapping[str, pl.DataFrame]
    versions: Mapping[str, int | None]
    files: Mapping[Path, int]


@dataclass(frozen=True, kw_only=True)
class After:
    """The same after a dry run, and after maintenance."""

    before: Before
    dry: Mapping[str, Mapping[str, Any]]
    files_after_dry: Mapping[Path, int]
    done: Mapping[str, Mapping[str, Any]]
    files: Mapping[Path, int]


def files(home: Home) -> dict[Path, int]:
    """Sizes of all that maintenance might touch; not of the databases, which any reader may write to."""
    parts = [home.folder / part for part in ("lake", "reports", "artifacts")]
    return {p: p.stat().st_size for part in parts for p in part.rglob("*") if p.is_file()}


def rows_of(home: Home, manifest: TrainingManifest) -> dict[str, pl.DataFrame]:
    return {window: labelled_rows(home.use_case, home.lake, manifest, window) for window in WINDOWS}


def instance_of(home: Home) -> dg.DagsterInstance:
    room = home.folder / "dagster"
    room.mkdir(exist_ok=True)
    write_instance_file(room)
    return dg.DagsterInstance.from_config(str(room))


def maintain(before: Before, *, dry_run: bool) -> dict[str, dict[str, Any]]:
    """Run the job; what each part reported."""
    home = before.home
    resources = {
        "lake": home.lake,
        "registry": home.registry,
        "reports": Reports(root=str(home.folder / "reports")),
        "clock": before.clock,
        "endpoint_server": Endpoint(port=1, state_root=str(home.folder / "serving"), home=str(home.folder)),
    }
    job = build_maintenance_job(home.use_case)
    with instance_of(home) as instance:
        result = job.execute_in_process(instance=instance, resources=resources, run_config={"dry_run": dry_run})
    assert result.success
    outputs = [event for event in result.all_events if event.is_successful_output]
    return {
        str(e.step_key): {name: value.value for name, value in e.step_output_data.metadata.items()} for e in outputs
    }


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    room = tmp_path_factory.mktemp("maintenance")
    home = few_days.ingested(tmp_path_factory.getbasetemp()).copy(room / "home")
    result = home.run("train", *STAGES, instance=instance_of(home))
    assert result.success, failures(result)
    text = next((home.folder / "artifacts").rglob("training_set.json")).read_text(encoding="utf-8")
    manifest = TrainingManifest.from_json(text)
    learnt_from = rows_of(home, manifest)
    for more in (1, 2):
        anew = home.rows("features").with_columns(pl.col("is_late").cast(pl.Int32).sub(more).abs().cast(pl.Int8))
        home.lake.write(
            home.table("features"), anew, partitions=anew["partition_key"].unique().to_list(), commit=COMMIT
        )
        home.lake.append(NOTES, pl.DataFrame({"more": [more]}), COMMIT)
    with home.registry.run(home.use_case.name, "exploration", {}) as run_id:
        home.registry.log(run_id, documents={"flights.html": "<p>"})
    clock = Clock(file=str(room / "now"))
    clock.set(datetime.now(UTC) + timedelta(days=400))
    return Before(
        home=home,
        clock=clock,
        manifest=manifest,
        learnt_from=learnt_from,
        versions=home.versions(),
        files=files(home),
    )


@pytest.fixture(scope="module")
def after(before: Before) -> After:
    dry = maintain(before, dry_run=True)
    files_after_dry = files(before.home)
    done = maintain(before, dry_run=False)
    return After(before=before, dry=dry, files_after_dry=files_after_dry, done=done, files=files(before.home))


def test_a_dry_run_touches_nothing_and_says_what_will_go(after: After) -> None:
    assert after.files_after_dry == after.before.files
    for part in ("model_runs", "report_pages"):
        assert {**after.dry[part], "dry_run": False} == after.done[part]
    # A file that compaction replaces goes in the same run, which a dry run cannot know of.
    told, done = (facts["lake_tables"]["removed_bytes"] for facts in (after.dry, after.done))
    assert 0 < told <= done


def test_every_registered_model_is_read_back_to_the_row(after: After) -> None:
    home, manifest = after.before.home, after.before.manifest
    found = rows_of(home, manifest)
    assert all(found[window].equals(after.before.learnt_from[window]) for window in WINDOWS)
    for name, number in manifest.tables.items():
        assert len(home.rows(name, version=number)) > 0


def test_versions_that_no_model_needs_are_gone_and_their_bytes_free(after: After) -> None:
    home, first = after.before.home, after.before.manifest.tables["features"]
    with pytest.raises(FileNotFoundError):
        home.rows("features", version=first + 1)
    gone = {p: size for p, size in after.before.files.items() if p not in after.files and p.suffix == ".parquet"}
    assert len(gone) == after.done["lake_tables"]["removed_files"]
    assert sum(gone.values()) == after.done["lake_tables"]["removed_bytes"] > 0


def test_tables_of_training_sets_keep_their_versions(after: After) -> None:
    """Else the next line would take them for changed, and train for nothing."""
    now = after.before.home.versions()
    assert {name for name in now if now[name] != after.before.versions[name]} == {"notes"}


def test_small_files_are_put_together(after: After) -> None:
    assert after.done["lake_tables"]["files_put_together"] == 2
    assert sorted(after.before.home.rows("notes")["more"]) == [1, 2]


def test_pages_go_and_their_figures_and_the_newest_page_stay(after: After) -> None:
    folder = after.before.home.folder / "reports" / "flight_delays" / "evaluation_report"
    gone = {p.name for p in after.before.files.keys() - after.files.keys() if p.is_relative_to(folder)}
    assert len(gone) == after.done["report_pages"]["removed_pages"] == 1
    assert all(name.startswith("20") and name.endswith(".html") for name in gone)
    assert {"latest.html", "latest.json"} < {p.name for p in folder.iterdir()}


def test_runs_that_no_champion_came_from_go_and_the_champion_stays(after: After, tmp_path: Path) -> None:
    home = after.before.home
    assert (after.done["model_runs"]["removed_runs"], after.done["model_runs"]["kept_runs"]) == (1, 2)
    champion = home.registry.champion(home.use_case.name)
    assert champion is not None
    assert home.registry.download(champion, tmp_path).is_dir()


def test_logs_of_runs_go_and_what_they_made_stays(after: After) -> None:
    home = after.before.home
    with instance_of(home) as instance:
        runs = instance.get_runs(ascending=True)
        trained = next(run for run in runs if run.job_name == "flight_delays_train_job")
        made = instance.get_latest_materialization_event(home.key("champion"))
        assert instance.all_logs(trained.run_id) == []
    assert after.done["run_logs"]["removed_logs"] == 2, "the training, and the dry run"
    assert made is not None
    assert made.run_id == trained.run_id


def test_what_is_young_stays(before: Before, after: After) -> None:
    before.clock.set(datetime.now(UTC))
    try:
        told = maintain(before, dry_run=True)
    finally:
        before.clock.set(datetime.now(UTC) + timedelta(days=400))
    names = ("removed_files", "removed_runs", "removed_pages", "removed_logs")
    assert [facts[name] for facts in told.values() for name in names if name in facts] == [0, 0, 0, 0]
    assert after.files.keys() <= files(before.home).keys()


def test_the_next_training_set_is_needed_before_a_model_is_registered_from_it(after: After, tmp_path: Path) -> None:
    home = after.before.home.copy(tmp_path / "home")
    with instance_of(home) as instance:
        assert home.run("train", "training_set", instance=instance).success
    with instance_of(home) as instance:
        needed = needed_tables(home.use_case, home.registry, instance)
    newest = home.lake.version(home.table("features"))
    assert needed[home.table("features")] == {after.before.manifest.tables["features"], newest}


def test_a_model_of_unknown_origin_keeps_every_version(tmp_path: Path, after: After) -> None:
    """What it was made from cannot be told, so nothing may go."""
    home = after.before.home.copy(tmp_path / "home")
    registry, name = home.registry, home.use_case.name
    store_run = open_run(registry._store, name, "nameless", {}, registry.artifact_root)
    registry._store.do(
        "register",
        lambda c: c.create_model_version(name, "/nowhere", store_run, tags={"model_id": "m", "family": "constant"}),
    )
    with instance_of(home) as instance, pytest.raises(RegistryError, match="does not say which table versions"):
        needed_tables(home.use_case, registry, instance)


def test_the_ledger_tells_who_was_champion(before: Before, tmp_path: Path) -> None:
    versions, promotions = champions(before.home.use_case, before.home.lake)
    assert versions == {"flight_delays/1"}
    assert len(promotions) == 1
    assert champions(before.home.use_case, Home(folder=tmp_path, landing=tmp_path).lake) == (set(), set())


def removed_segments(home: LoggedHome, folder: Path, *, dry_run: bool = False) -> int:
    """Run that part of the job long after the answers; what it reported."""
    clock = Clock(file=str(folder / "now"))
    clock.set(answers(count=1)[0]["answered_at"] + timedelta(days=30))
    op = next(node.definition for node in build_maintenance_job(home.use_case).nodes if node.name == "answer_segments")

    @dg.job
    def alone() -> None:
        op()

    given = {"ops": {"answer_segments": {"config": {"dry_run": dry_run}}}}
    resources = {"lake": home.lake, "endpoint_server": home.endpoint, "clock": clock}
    with dg.DagsterInstance.ephemeral() as instance:
        result = alone.execute_in_process(instance=instance, resources=resources, run_config=given)
    (output,) = (event for event in result.all_events if event.is_successful_output)
    return int(output.step_output_data.metadata["removed_segments"].value)  # type: ignore[arg-type]


def test_segments_of_labels_go_once_they_are_in_the_lake(tmp_path: Path) -> None:
    home = LoggedHome(tmp_path)
    home.tell([label(1, at=answers(count=1)[0]["answered_at"])])
    assert removed_segments(home, tmp_path) == 0
    assert home.materialise(build=build_feedback).success
    assert (removed_segments(home, tmp_path), len(home.label_segments)) == (1, 0)
    assert home.materialise(build=build_feedback).success
    assert len(home.rows("feedback")) == 1


def test_segments_of_the_endpoint_go_once_their_answers_are_in_the_lake(tmp_path: Path) -> None:
    home = LoggedHome(tmp_path)
    home.land()
    home.answer(answers())
    assert removed_segments(home, tmp_path) == 0
    assert home.materialise().success
    assert (removed_segments(home, tmp_path, dry_run=True), len(home.segments)) == (1, 1)
    assert (removed_segments(home, tmp_path), len(home.segments)) == (1, 0)
    assert home.materialise().success
    assert len(home.rows()) == len(answers())
