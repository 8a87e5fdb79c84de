"""What changed code asks for: nothing for words, a rebuild for features, a retraining for a trainer; each once."""

import importlib
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets import code_version as told
from assets.contracts import UseCase
from assets.logic.retraining import Evidence
from assets.policies import TrainerSpec
from assets.stages.common import asset_key, table_name
from pipelines.code_changes import (
    code_change_evidence,
    path_versions,
    reload_reason,
    stale_assets,
    stale_partitions,
)
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from resources.lake import Commit, Lake
from tests.support.code import edit, forget, write_package

NOW = datetime(2024, 5, 1, tzinfo=UTC)
DAYS = [f"2024-01-0{n}" for n in range(1, 8)]
INGESTED = ["raw_parcels", "raw_shops", "cleaned_parcels", "cleaned_shops", "features"]
AFTER = ["training_set", "forest"]
CLEANING = '''"""Cleans."""

LONGEST = 60


def clean(frame, lookups):
    return frame.filter(frame["late_min"] < LONGEST)


def clean_shops(frame, lookups):
    return frame
'''
FEATURES = '''"""Features."""

from assets.contracts import Feature

FEATURES = (Feature(name="hour", kind="numeric", group="time", description="Hour"),)


def build_features(spine, history):
    return spine.with_columns(hour=hour_of(spine))


def hour_of(spine):
    return spine["due_at"].dt.hour()


def unused():
    return 1
'''
MODEL = '''"""A family."""


def forest(task, seed):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=10, random_state=seed)
'''
USE_CASE = '''"""A use case."""

from datetime import date, timedelta

import polars as pl

from assets.contracts import Column, Partitions, SourceTable, Target, UseCase
from assets.policies import TimeSplit, TrainerSpec
from corner.cleaning import clean, clean_shops
from corner.features import FEATURES, build_features
from resources.sources import FileSource

DUE = Column(dtype=pl.Datetime("us", "UTC"), description="When it is due.", nullable=False)
LATE = Column(dtype=pl.Int32(), description="How late it came.", known_at="due_at")
PARCELS = SourceTable(
    name="parcels",
    description="Parcels.",
    source=FileSource(pattern="parcels_{partition}.csv"),
    columns={"due_at": DUE, "late_min": LATE},
    cleaned_columns={"due_at": DUE, "late_min": LATE},
    key=(),
    clean=clean,
    event_time="due_at",
)
SHOPS = SourceTable(
    name="shops",
    description="Shops.",
    source=FileSource(pattern="shops.csv"),
    columns={"shop": Column(dtype=pl.String(), description="Which.")},
    cleaned_columns={"shop": Column(dtype=pl.String(), description="Which.")},
    key=(),
    clean=clean_shops,
    is_partitioned=False,
)
CORNER = UseCase(
    name="corner",
    description="Late?",
    owner="team:corner",
    task="binary",
    tables=(PARCELS, SHOPS),
    partitions=Partitions(start=date(2024, 1, 1)),
    entity_table="parcels",
    entity=("due_at",),
    inputs=("due_at",),
    prediction_lead=timedelta(hours=1),
    lookback=timedelta(days=1),
    target=Target(name="is_late", definition="15 minutes", label=pl.col("late_min") >= 15, known_at="due_at"),
    features=FEATURES,
    build_features=build_features,
    split=TimeSplit(validation=timedelta(days=2), test=timedelta(days=2)),
    trainers=(TrainerSpec(family="corner.model:forest"),),
)
'''


@dataclass(frozen=True)
class Corner:
    """A use case in a package of its own, seven days of which have been taken in and learnt from by its code."""

    package: Path
    lake: Lake
    instance: dg.DagsterInstance

    @property
    def use_case(self) -> UseCase:
        """The declaration as a new process reads it."""
        for name in [n for n in sys.modules if n.split(".")[0] == "corner"]:
            del sys.modules[name]
        found: UseCase = importlib.import_module("corner.use_case").CORNER
        return found

    def edit(self, module: str, old: str, new: str) -> None:
        edit(self.package / f"{module}.py", old, new)

    def made(self, names: Iterable[str], days: Iterable[str] = DAYS) -> None:
        """Put on record that assets were made by today's code."""
        versions = {**path_versions(self.use_case), "champion": "any"}
        for name in names:
            is_partitioned = name in INGESTED and not name.endswith("_shops")
            for day in days if is_partitioned else [None]:
                tags = {"dagster/code_version": versions[name]}
                event = dg.AssetMaterialization(dg.AssetKey(["corner", name]), partition=day, tags=tags)
                self.instance.report_runless_asset_event(event)

    def trained(self) -> None:
        self.made([*AFTER, "champion"])

    @property
    def stale(self) -> list[str]:
        return stale_assets(self.use_case, self.instance, self.lake)

    @property
    def due(self) -> list[str]:
        return sorted(stale_partitions(self.use_case, self.instance, self.lake))

    def evidence(self, arrived: set[str] | None = None) -> Evidence:
        return code_change_evidence(self.use_case, self.instance, self.lake, NOW, arrived)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Corner]:
    modules = {"cleaning": CLEANING, "features": FEATURES, "model": MODEL, "use_case": USE_CASE}
    package = write_package(tmp_path, "corner", modules, monkeypatch)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second must not meet old bytecode
    lake = Lake(root=str(tmp_path / "lake"))
    rows = pl.DataFrame({"hour": [1.0] * len(DAYS), "partition_key": DAYS})
    lake.write("corner/features", rows, partitions=DAYS, commit=Commit(dagster_run_id="a test", code_version="a test"))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Corner(package, lake, instance)
    forget()


@pytest.fixture
def corner(empty: Corner) -> Corner:
    empty.made(INGESTED)
    empty.trained()
    return empty


def test_where_nothing_changed_nothing_is_asked_for(corner: Corner) -> None:
    assert (corner.stale, corner.due) == ([], [])
    assert not corner.evidence().fired


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("features", "    return spine[", "    # By the clock.\n    return spine["),
        ("features", '"""Features."""', '"""Features of a parcel."""'),
        ("features", 'spine["due_at"].dt.hour()', 'spine[ "due_at" ].dt.hour( )'),
        ("features", "return 1", "return 2"),
        ("cleaning", "LONGEST = 60", "LONGEST = 60  # minutes"),
        ("model", '"""A family."""', '"""My family."""'),
    ],
)
def test_words_layout_and_what_is_not_called_ask_for_nothing(module: str, old: str, new: str, corner: Corner) -> None:
    corner.edit(module, old, new)
    assert (corner.stale, corner.due) == ([], [])
    assert not corner.evidence().fired


def test_another_feature_rebuilds_the_features_of_all_partitions_and_everything_after(corner: Corner) -> None:
    corner.edit("features", "dt.hour()", "dt.hour() + 1")
    assert corner.stale == ["features", *AFTER]
    assert corner.due == DAYS


def test_another_cleaning_rebuilds_what_is_made_from_it(corner: Corner) -> None:
    corner.edit("cleaning", "LONGEST = 60", "LONGEST = 90")
    assert corner.stale == ["cleaned_parcels", "features", *AFTER]
    assert corner.due == DAYS


def test_another_way_of_reading_rebuilds_all_from_there(corner: Corner) -> None:
    corner.edit("use_case", "parcels_{partition}.csv", "p_{partition}.csv")
    assert corner.stale == ["raw_parcels", "cleaned_parcels", "features", *AFTER]


def test_a_whole_file_read_otherwise_concerns_every_partition(corner: Corner) -> None:
    corner.edit("cleaning", "    return frame\n", "    return frame.unique()\n")
    assert corner.stale == ["cleaned_shops", "features", *AFTER]
    assert corner.due == DAYS


def test_another_trainer_retrains_only(corner: Corner) -> None:
    corner.edit("model", "n_estimators=10", "n_estimators=20")
    assert (corner.stale, corner.due) == (["forest"], [])
    evidence = corner.evidence()
    assert evidence.fired
    assert evidence.facts == {"stale": "forest"}


def test_another_split_retrains_only(corner: Corner) -> None:
    corner.edit("use_case", "test=timedelta(days=2)", "test=timedelta(days=3)")
    assert (corner.stale, corner.due) == (AFTER, [])


def test_a_family_that_was_never_trained_is_trained(corner: Corner) -> None:
    two = replace(corner.use_case, trainers=(*corner.use_case.trainers, TrainerSpec(family="catboost")))
    assert stale_assets(two, corner.instance, corner.lake) == ["catboost"]


def test_a_retraining_is_asked_for_once_all_partitions_are_made_again(corner: Corner) -> None:
    corner.edit("features", "dt.hour()", "dt.hour() + 1")
    waiting = corner.evidence()
    assert not waiting.fired
    assert waiting.facts == {"rebuild": "features", "stale": "features, training_set, forest", "partitions": 7}
    assert "7 partitions are to be made again first" in waiting.why
    corner.made(INGESTED, DAYS[:-1])
    assert (corner.due, corner.evidence().fired) == (DAYS[-1:], False)
    corner.made(INGESTED, DAYS[-1:])
    asked = corner.evidence()
    assert asked.fired
    assert (corner.due, asked.facts) == ([], {"stale": "training_set, forest"})
    corner.trained()
    assert not corner.evidence().fired


def test_a_day_made_by_the_new_code_does_not_hide_those_before_it(corner: Corner) -> None:
    """As the daily ingestion after a change makes one: the latest materialisation of every asset is by today's code."""
    corner.edit("features", "dt.hour()", "dt.hour() + 1")
    corner.made(INGESTED, DAYS[-1:])
    assert corner.due == DAYS[:-1]
    assert "features" in corner.stale


def test_features_that_look_back_on_a_partition_made_again_are_made_again(corner: Corner) -> None:
    corner.edit("cleaning", "LONGEST = 60", "LONGEST = 90")
    corner.made(INGESTED, [DAYS[0], *DAYS[2:]])
    assert corner.due == DAYS[1:4]  # one day of lookback, the lead, and a day for records under way


def test_partitions_that_cannot_be_made_again_are_not_waited_for(corner: Corner) -> None:
    corner.edit("features", "dt.hour()", "dt.hour() + 1")
    corner.made(INGESTED, DAYS[1:])
    assert not corner.evidence({*DAYS}).fired
    evidence = corner.evidence({*DAYS[1:]})
    assert evidence.fired
    assert "1 partitions cannot be made again" in evidence.why


def test_a_change_keeps_its_name_until_a_training_has_come_to_its_end(corner: Corner) -> None:
    corner.edit("features", "dt.hour()", "dt.hour() + 1")
    first = corner.evidence().id
    corner.made(INGESTED)
    assert corner.evidence().id == first
    corner.made(["training_set"])  # and the rest of the run failed
    assert (corner.evidence().id, corner.evidence().fired) == (first, True)


def test_other_code_has_another_name_and_so_has_the_same_code_after_a_training(corner: Corner) -> None:
    names = set()
    for old, new in ((10, 20), (20, 10), (10, 20)):
        corner.edit("model", f"n_estimators={old}", f"n_estimators={new}")
        evidence = corner.evidence()
        assert evidence.fired
        names.add(evidence.id)
        corner.trained()
    assert len(names) == 3


def test_before_the_first_training_no_code_behind_a_model_can_have_changed(empty: Corner) -> None:
    empty.made(INGESTED)
    assert not empty.evidence().fired
    empty.edit("features", "dt.hour()", "dt.hour() + 1")
    assert (empty.due, empty.evidence().fired) == (DAYS, False)


def test_partitions_of_which_nothing_is_on_record_count_as_the_asset_last_did(empty: Corner) -> None:
    assert empty.due == DAYS, "nothing is on record at all"
    empty.made(INGESTED, DAYS[-1:])
    assert empty.due == []


@pytest.mark.parametrize(("library", "stale"), [("catboost", {"catboost"}), ("torch", {"neural_network"})])
def test_another_release_of_a_library_concerns_what_uses_it(
    library: str, stale: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path_versions(FLIGHT_DELAYS)
    monkeypatch.setattr(told, "version", lambda name: "99" if name == library else metadata.version(name))
    forget()
    after = path_versions(FLIGHT_DELAYS)
    forget()
    assert {name for name in before if before[name] != after[name]} == stale


def test_a_process_that_lives_with_old_code_says_so_instead_of_asking_again_and_again(corner: Corner) -> None:
    @dg.asset(key=asset_key(corner.use_case, "forest"), code_version="edited since")
    def forest() -> None: ...

    before = time.time()
    assert dg.materialize([forest], instance=corner.instance).success
    assert reload_reason(corner.use_case, corner.instance, loaded_at=time.time()) is None
    why = reload_reason(corner.use_case, corner.instance, loaded_at=before - 1)
    assert why is not None
    assert "forest was made by code that was edited after this code location was loaded" in why


def test_the_table_of_features_decides_which_partitions_there_are(corner: Corner) -> None:
    commit = Commit(dagster_run_id="a test", code_version="a test")
    corner.lake.delete_partitions(table_name(corner.use_case, "features"), DAYS[:2], commit)
    corner.edit("features", "dt.hour()", "dt.hour() + 1")
    assert corner.due == DAYS[2:]
