"""What registered models need, and old MLflow runs that go with all that is theirs; in a real store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from resources import mlflow_store, mlflow_upkeep
from resources.errors import RegistryError
from resources.mlflow_models import Dataset
from resources.mlflow_upkeep import OldRun, artifact_bytes, needed_versions, remove_run, runs_before
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry
from tests.resources.test_registry import EXAMPLE, MODEL_CODE, registry_in, saved_model

NAME = "parcels"
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MlflowModelRegistry:
    """One store for all; its making takes longest."""
    return registry_in(tmp_path_factory.mktemp("mlflow_upkeep"))


@pytest.fixture
def registry(store: MlflowModelRegistry) -> Iterator[MlflowModelRegistry]:
    """The store, and nothing of the tests before in it."""
    yield store
    if store.champion(NAME) is not None:
        client_of(store).delete_registered_model_alias(NAME, "champion")
    for run in old(store).values():
        remove_run(store, run)


def client_of(registry: MlflowModelRegistry) -> MlflowClient:
    return mlflow_store.client(registry.tracking_uri)


def trained(registry: MlflowModelRegistry, room: Path, *, features: int | None = 1, by: str = "a-run") -> ModelVersion:
    """A registered model, made from a version of the feature table unless that is None."""
    read = [("features", features), ("cleaned_parcels", 7)] if features is not None else []
    with registry.run(NAME, "constant", {"dagster.run_id": by}) as run_id:
        registry.log(
            run_id,
            metrics={"loss": 0.5},
            documents={"notes.txt": "0123456789"},
            datasets=[Dataset(name=f"{NAME}/{t}", uri="/x", version=v, context="training") for t, v in read],
        )
        return registry.register(
            run_id,
            NAME,
            saved_model(room / f"saved-{features}-{by}"),
            python_model=MODEL_CODE,
            example=EXAMPLE,
            family="constant",
            requirements=["mlflow"],
            tags={},
        )


def old(
    registry: MlflowModelRegistry, *, before: datetime = LATER, champions: tuple[str, ...] = (), by: str = ""
) -> dict[str, OldRun]:
    found = runs_before(registry, NAME, before, champions=champions, dagster_runs=[by])
    return {run.run_id: run for run in found.old}


def files(registry: MlflowModelRegistry) -> int:
    return sum(p.is_file() for p in Path(registry.artifact_root).rglob("*"))


def test_every_registered_version_names_the_tables_it_was_made_from(
    registry: MlflowModelRegistry, tmp_path: Path
) -> None:
    for version in (1, 4):
        trained(registry, tmp_path, features=version)
    assert needed_versions(registry, NAME) == {f"{NAME}/features": {1, 4}, f"{NAME}/cleaned_parcels": {7}}
    assert needed_versions(registry, "letters") == {}


def test_a_version_that_does_not_say_what_it_was_made_from_is_named(
    registry: MlflowModelRegistry, tmp_path: Path
) -> None:
    trained(registry, tmp_path, features=None)
    with pytest.raises(RegistryError, match=r"version parcels/\d+ does not say which table versions"):
        needed_versions(registry, NAME)


def test_old_runs_are_those_that_no_champion_came_from(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    was, never, is_now = (trained(registry, tmp_path, by=by) for by in ("one", "two", "three"))
    registry.promote(is_now)
    with registry.run(NAME, "evaluation", {"dagster.run_id": "two"}):
        pass
    found = old(registry, champions=(str(was),), by="two")
    assert [*found] == [never.run_id], "it lost, in the run that promoted another"
    assert (found[never.run_id].versions, found[never.run_id].models) == ((str(never),), (never.model_id,))
    assert runs_before(registry, NAME, LATER, champions=[str(was)], dagster_runs=["two"]).kept == 3


def test_a_run_that_is_young_or_has_not_ended_is_kept(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    trained(registry, tmp_path)
    assert old(registry, before=datetime.now(UTC) - timedelta(hours=1)) == {}
    with registry.run(NAME, "under way", {}) as run_id:
        assert run_id not in old(registry)


def test_a_removed_run_leaves_nothing_and_its_neighbour_stays_whole(
    registry: MlflowModelRegistry, tmp_path: Path
) -> None:
    stays = trained(registry, tmp_path, by="one")
    kept = files(registry)
    goes = trained(registry, tmp_path, by="two")
    run = old(registry, champions=(str(stays),))[goes.run_id]
    assert artifact_bytes(registry, run) > 10
    remove_run(registry, run)
    client = client_of(registry)
    assert files(registry) == kept
    assert [int(v.version) for v in client.search_model_versions(f"name = '{NAME}'")] == [stays.number]
    for gone in (lambda: client.get_run(goes.run_id), lambda: client.get_logged_model(goes.model_id)):
        with pytest.raises(MlflowException, match="not found"):
            gone()
    assert registry.download(stays, tmp_path / "download").is_dir()


def test_the_number_of_a_removed_version_is_not_given_again(registry: MlflowModelRegistry, tmp_path: Path) -> None:
    goes = trained(registry, tmp_path, by="one")
    remove_run(registry, old(registry)[goes.run_id])
    assert trained(registry, tmp_path, by="two").number == goes.number + 1


@pytest.mark.parametrize("cut_off_after", [1, 2])
def test_a_removal_that_was_cut_off_is_completed_by_the_next(
    registry: MlflowModelRegistry, tmp_path: Path, cut_off_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies as it comes to the files of the model, or of the run."""
    goes = trained(registry, tmp_path)
    found, real = old(registry)[goes.run_id], mlflow_upkeep._artifacts
    calls: list[str] = []

    def dying(registry: MlflowModelRegistry, uri: str) -> object:
        calls.append(uri)
        if len(calls) == cut_off_after:
            raise KeyboardInterrupt
        return real(registry, uri)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_upkeep, "_artifacts", dying)
        with pytest.raises(KeyboardInterrupt):
            remove_run(registry, found)
    remaining = old(registry)
    assert [*remaining] == [goes.run_id], "it is found again"
    remove_run(registry, remaining[goes.run_id])
    assert old(registry) == {}
    assert files(registry) == 0


def test_a_run_in_the_bin_goes_for_good(registry: MlflowModelRegistry) -> None:
    with registry.run(NAME, "an exploration", {}) as run_id:
        registry.log(run_id, documents={"page.html": "<p>"})
    client_of(registry).delete_run(run_id)
    remove_run(registry, old(registry)[run_id])
    assert old(registry) == {}
