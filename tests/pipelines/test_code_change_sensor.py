"""Editing a file, and what the real sensors make of it: real files, lake, models and runs of a package of a test."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.contracts import UseCase
from pipelines.assembly import build_definitions
from pipelines.replay.folder import ReplayFolder
from pipelines.replay.outside import Outside
from pipelines.replay.ticking import Happened, settle
from pipelines.replay.world import World, opened_instance, over_own_state, settings_of
from resources.objects import ObjectStore
from resources.settings import Settings
from tests.support.code import edit, forget, write_package
from tests.support.instance import write_instance_file
from tests.support.landed_toy import FIRST_DAY, land

LAST_DAY = FIRST_DAY + timedelta(days=45)
NOW = datetime(2020, 2, 16, 6, tzinfo=UTC)
LATER = timedelta(days=4)
"""Longer than the cool-down."""
FEATURES = '''"""Features."""

import polars as pl

from tests.support import toy_use_case

GRAMS = 1000.0


def build_features(spine, history):
    built = toy_use_case.build_features(spine, history)
    return built.with_columns(weight=pl.col("weight") * GRAMS)
'''
USE_CASE = '''"""A use case."""

from dataclasses import replace

from corner_shop.features import build_features
from tests.support.landed_toy import LANDED_TOY

CORNER_SHOP = replace(LANDED_TOY, name="corner_shop", build_features=build_features)
'''


@dataclass(frozen=True)
class Shop:
    """A use case in a package of its own, with a champion that the sensors alone have led to."""

    package: Path
    folder: ReplayFolder
    settings: Settings
    instance: dg.DagsterInstance
    first: Happened

    def world(self) -> World:
        """The definitions as a code location that was started now has them."""
        use_case = _loaded()
        outside = Outside(use_case=use_case, store=ObjectStore(self.settings.landing_root), landing=Path())
        defs = over_own_state(build_definitions(use_case), self.settings, self.folder)
        return World(use_case=use_case, defs=defs, instance=self.instance, folder=self.folder, outside=outside)

    def settled(self, later: timedelta = LATER) -> list[str]:
        """Jobs of the runs that sensors ask for, some days later, in order."""
        world, happened = self.world(), Happened()
        world.advance(world.clock.now() + later)
        settle(world, happened)
        assert happened.faults == []
        return [run["job"].removeprefix("corner_shop_").removesuffix("_job") for run in happened.runs]


def _loaded() -> UseCase:
    forget()
    for name in [n for n in sys.modules if n.split(".")[0] == "corner_shop"]:
        del sys.modules[name]
    found: UseCase = importlib.import_module("corner_shop.use_case").CORNER_SHOP
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    room = tmp_path_factory.mktemp("code_change")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second must not meet old bytecode
        patch.setenv("THROUGHLINE_HOME", str(room / "home"))
        package = write_package(room, "corner_shop", {"features": FEATURES, "use_case": USE_CASE}, patch)
        folder = ReplayFolder(room / "home")
        folder.begin("corner_shop", FIRST_DAY)
        settings = settings_of(folder)
        settings.dagster_home.mkdir(parents=True, exist_ok=True)
        write_instance_file(settings.dagster_home)
        land(ObjectStore(settings.landing_root), FIRST_DAY, LAST_DAY)
        instance = stack.enter_context(opened_instance(settings))
        shop = Shop(package, folder, settings, instance, Happened())
        world = shop.world()
        world.clock.set(NOW)
        settle(world, shop.first)
        yield shop
    forget()


def test_sensors_alone_lead_from_landed_files_to_a_champion(shop: Shop) -> None:
    assert shop.first.faults == []
    jobs = [run["job"].removeprefix("corner_shop_") for run in shop.first.runs]
    assert jobs == ["ingest_job", "train_job", "score_job", "monitor_job"]


def test_editing_a_comment_triggers_nothing(shop: Shop) -> None:
    edit(shop.package / "features.py", "GRAMS = 1000.0", "GRAMS = 1000.0  # in a kilogram")
    assert shop.settled() == []


def test_editing_a_feature_triggers_one_rebuild_and_one_retraining(shop: Shop) -> None:
    edit(shop.package / "features.py", "GRAMS = 1000.0", "GRAMS = 1.0")
    assert shop.settled() == ["ingest", "train"]
    assert shop.settled() == []
