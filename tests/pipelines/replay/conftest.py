"""Replays in folders of their own: the toy use case with the real sensors, and definitions of a test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipelines.assembly import build_definitions
from pipelines.replay.application import own_endpoint
from pipelines.replay.command import replay
from pipelines.replay.folder import ReplayFolder
from pipelines.replay.outside import Outside
from pipelines.replay.report import Report
from pipelines.replay.world import World, opened_instance, over_own_state, settings_of
from resources.objects import ObjectStore
from tests.support.instance import write_instance_file
from tests.support.landed_toy import FIRST_DAY, LANDED_TOY, land

FIRST = FIRST_DAY + timedelta(days=30)
LAST = FIRST + timedelta(days=2)
"""31 January to 2 February 2020: the month begins on the second day, and that is a Saturday."""

DECLARED_AT = "tests.support.landed_toy:LANDED_TOY"

MakeWorld = Callable[[Path, dg.Definitions], World]


def opened_world(
    stack: ExitStack, root: Path, defs: dg.Definitions, store: ObjectStore, declared_at: str | None = None
) -> World:
    folder = ReplayFolder(root)
    folder.begin(LANDED_TOY.name, FIRST)
    settings = settings_of(folder)
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    write_instance_file(settings.dagster_home)
    with (settings.dagster_home / "dagster.yaml").open("a", encoding="utf-8") as file:
        file.write("run_retries:\n  enabled: true\n  max_retries: 0\n")
    instance = stack.enter_context(opened_instance(settings))
    return World(
        use_case=LANDED_TOY,
        defs=over_own_state(defs, settings, folder, own_endpoint(settings, folder) if declared_at else None),
        instance=instance,
        folder=folder,
        outside=Outside(use_case=LANDED_TOY, store=store, landing=Path(settings.landing_root)),
        declared_at=declared_at,
    )


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """A replay of the toy with definitions of a test's own; nothing lands in it."""
    with ExitStack() as stack:
        yield lambda **parts: opened_world(
            stack, tmp_path / "replay", dg.Definitions(**parts), ObjectStore(str(tmp_path / "outside"))
        )


@dataclass
class Replayed:
    """A replay of three days, with an application, that came to its end; tests only read it."""

    world: World
    report: Report
    told: list[str] = field(default_factory=list)

    def rows(self, table: str) -> pl.DataFrame:
        return self.world.lake.scan(f"{LANDED_TOY.name}/{table}").collect()

    def runs(self, job: str) -> list[dict[str, Any]]:
        return [r for day in self.report.days for r in day.record["runs"] if r["job"] == f"{LANDED_TOY.name}_{job}_job"]


@pytest.fixture(scope="session")
def outside_files(tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    """The files of all days; nobody writes to it."""
    store = ObjectStore(str(tmp_path_factory.mktemp("outside")))
    land(store, FIRST_DAY, LAST + timedelta(days=10))
    return store


@pytest.fixture(scope="session")
def replayed(tmp_path_factory: pytest.TempPathFactory, outside_files: ObjectStore) -> Iterator[Replayed]:
    told: list[str] = []
    root = tmp_path_factory.mktemp("replayed") / "replay"
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # put back at once: other files' tests follow in this session
            patch.setenv("THROUGHLINE_HOME", str(root))  # sensors keep their locks there
            defs = build_definitions(LANDED_TOY, declared_at=DECLARED_AT)
        world = opened_world(stack, root, defs, outside_files, DECLARED_AT)
        yield Replayed(world=world, report=replay(world, LAST, told.append), told=told)


def days_of(run: dict[str, Any]) -> list[date]:
    """The partitions of a run."""
    first, last = (date.fromisoformat(run["tags"][f"dagster/asset_partition_range_{end}"]) for end in ("start", "end"))
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
