"""The application of a replay: it asks the endpoint of each row at its time, and tells what came of it.

Belongs here: the hours of a day as an application lives them. Does not belong here: what lands and when
(`outside.py`), and what the line makes of answers and labels.

A day is played when it is over, before its files land: the server has what it had then. Each hour happens at its last
second, which is what the server's own clock says (`--clock`): what became known in it is told, then its questions are
asked, then labels that became known in it are told. Labels of after midnight are left to the files, which bring them
three hours later. A play that was cut short is played again from its beginning: as of an application that tries again,
its answers stand twice.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from assets.contracts import PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.stages.cleaned import clean_table
from assets.stages.common import table_name
from assets.stages.raw import take_in
from assets.stages.segment_days import bounds
from pipelines.replay.folder import ReplayError, ReplayFolder
from pipelines.replay.world import World
from resources import processes
from resources.clock_file import read_clock, set_clock
from resources.serving.calls import MAX_ROWS, Connection, bodies
from resources.serving.client import Endpoint
from resources.serving.ports import process_name
from resources.settings import Settings

CLOCK: Final = "endpoint_clock"
ROW: Final = "__row"
STEP: Final = "__step"
TOLD_AT: Final = "__told_at"
LABEL: Final = "__label"
READY_S: Final = 120.0
"""Seconds in which a server has loaded what was live."""
ONE_SECOND: Final = timedelta(seconds=1)


def own_endpoint(settings: Settings, folder: ReplayFolder) -> Endpoint:
    """The servers of a replay: on a port that is free, with a clock of their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    home, clock = settings.home, folder.root / CLOCK
    return Endpoint(port=port, state_root=str(settings.serving_home), home=str(home), clock=str(clock))


@contextmanager
def served(world: World) -> Iterator[None]:
    """Within the block the endpoint may be asked; afterwards it is ended.

    Raises:
        ReplayError: If the replay began without an application: nothing was ever deployed.
    """
    if world.declared_at is None:
        yield
        return
    server, name, about = world.endpoint, world.use_case.name, world.folder.about()
    if about.initial is not None and server.control(name).state() is None:
        raise ReplayError("this replay began without an application; begin anew with --afresh, which deletes it")
    _advance(world, bounds(world.use_case, world.use_case.partitions.key(about.first))[0])
    try:
        yield
    finally:
        processes.stop(process_name(name), home=Path(server.home))


@dataclass(kw_only=True)
class Played:
    """What an application did on a day.

    Attributes:
        asked: Rows it asked about.
        observed: Records it told as they happened, restatements included.
        told: Labels it told.
        waiting: Prediction id and row of each answer whose label was not told, by row of the day.
    """

    asked: int = 0
    observed: int = 0
    told: int = 0
    waiting: dict[int, tuple[str, int]] = field(default_factory=dict)


def play(world: World, day: date, played: Played) -> None:
    """Live through a local day with the endpoint; nothing where no partition ends on it, or nobody asks.

    Args:
        world: The replay.
        day: The day.
        played: Where is added what was done.

    Raises:
        EndpointError: If the server does not come up, or refuses something.
    """
    partitions = world.use_case.partitions
    key = partitions.key(day)
    if world.declared_at is None or partitions.last_day(key) != day:
        return
    records = records_of(world, key)
    rows = rows_of(world, records[world.use_case.entity_table], day)
    steps = sorted({*rows[STEP], *rows[TOLD_AT].drop_nulls()})
    _come_up(world, world.declared_at)
    with Connection(world.endpoint.host, world.endpoint.port_of(world.use_case.name)) as connection:
        for step, before in zip(steps, [None, *steps], strict=False):
            _advance(world, step)
            _observe(world, connection, happened(world.use_case, records, step, before), played)
            _ask(world, connection, rows.filter(pl.col(STEP) == step), played)
            _tell(world, connection, rows.filter(pl.col(TOLD_AT) == step), played)


def records_of(world: World, key: str) -> dict[str, pl.DataFrame]:
    """The cleaned rows of a partition that has not landed, by table; those of whole files do not come day by day."""
    found = {}
    for table in world.use_case.tables:
        if table.is_partitioned:
            lookups = {n: world.lake.scan(table_name(world.use_case, f"cleaned_{n}")) for n in table.lookups}
            cleaned = clean_table(table, take_in(table, world.outside.store, [key]).rows, lookups).rows
            found[table.name] = cleaned.drop(PARTITION_KEY)
    return found


def happened(
    use_case: UseCase, records: Mapping[str, pl.DataFrame], step: datetime, before: datetime | None
) -> dict[str, pl.DataFrame]:
    """What is known of records at `step`, of those of which that is more than it was `before`, by table.

    Values that come later are null. What is known in advance, such as a timetable, is news at the first step of a day.
    """
    news = {}
    for name, frame in records.items():
        clock = use_case.clocks[name]
        known = clock.cut(frame, step)
        if before is not None:
            known = known.join(clock.cut(frame, before), on=frame.columns, how="anti", nulls_equal=True)
        news[name] = known
    return news


def rows_of(world: World, cleaned: pl.DataFrame, last: date) -> pl.DataFrame:
    """The rows of a partition: inputs, label, when they are asked about and when it is told.

    Args:
        world: The replay.
        cleaned: Those of the entity table.
        last: The last local day of the partition; labels of later days are not told.
    """
    use_case = world.use_case
    known_at = pl.col(use_case.target.known_at) + use_case.table(use_case.entity_table).available_after
    zone = use_case.partitions.timezone
    told = cleaned.with_columns(use_case.asking.alias(PREDICTION_TIME), use_case.target.label.alias(LABEL))
    told = told.with_columns(_second(pl.col(PREDICTION_TIME)).alias(STEP), _second(known_at).alias(TOLD_AT))
    is_told = pl.col(LABEL).is_not_null() & (pl.col(TOLD_AT).dt.convert_time_zone(zone).dt.date() <= last)
    told = told.with_columns(pl.when(is_told).then(pl.max_horizontal(TOLD_AT, STEP)).alias(TOLD_AT))
    return told.sort(STEP, *use_case.inputs).with_row_index(ROW)


def _second(instant: pl.Expr) -> pl.Expr:
    """The last second of the hour of an instant."""
    return instant.dt.truncate("1h") + timedelta(hours=1) - ONE_SECOND


def _come_up(world: World, declared_at: str) -> None:
    """Have the server answer: of a replay that was stopped it has to start, and to load what was live."""
    name, server = world.use_case.name, world.endpoint
    server.ensure_running(name, declared_at)
    home = Path(server.home)

    def runs() -> bool:
        return processes.status(process_name(name), home=home).is_running

    processes.wait_until_healthy(f"{server.root(name)}/v2/health/ready", timeout=READY_S, is_alive=runs)


def _advance(world: World, step: datetime) -> None:
    """Set the server's clock, never back."""
    file = Path(str(world.endpoint.clock))
    set_clock(file, max(step, read_clock(file)) if file.is_file() else step)


def _observe(world: World, connection: Connection, news: Mapping[str, pl.DataFrame], played: Played) -> None:
    for name, frame in news.items():
        for part in frame.iter_slices(MAX_ROWS):
            body = orjson.dumps({"records": {name: part.to_dicts()}})
            connection.post(f"/v2/models/{world.use_case.name}/observations", body)
            played.observed += len(part)


def _ask(world: World, connection: Connection, rows: pl.DataFrame, played: Played) -> None:
    numbers = iter(rows[ROW].to_list())
    for body in bodies(rows.select(world.use_case.inputs)):
        answer = connection.post(f"/v2/models/{world.use_case.name}/infer", body)
        count, prediction_id = answer["outputs"][0]["shape"][0], answer["parameters"]["prediction_id"]
        for row, number in zip(range(count), numbers, strict=False):
            played.waiting[number] = (prediction_id, row)
        played.asked += count


def _tell(world: World, connection: Connection, rows: pl.DataFrame, played: Played) -> None:
    labels: list[dict[str, Any]] = []
    for number, label in rows.select(ROW, LABEL).iter_rows():
        prediction_id, row = played.waiting.pop(number)
        labels.append({"prediction_id": prediction_id, "row": row, "label": label})
    for first in range(0, len(labels), MAX_ROWS):
        body = orjson.dumps({"labels": labels[first : first + MAX_ROWS]})
        connection.post(f"/v2/models/{world.use_case.name}/feedback", body)
    played.told += len(labels)
