"""Random tables with late records, values known later than their rows, repeated keys, and nulls."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.logic.point_in_time import Clock, History

UTC_TIME = pl.Datetime("us", "UTC")
START = datetime(2020, 3, 1, tzinfo=UTC)  # the clocks of New York and Berlin change within the month
Row = dict[str, Any]

CLOCKS = {
    # Orders are known in advance, what became of them is known when they are done.
    "orders": Clock(
        event_time="due_at",
        known_at_by_column={"minutes": "done_at", "status": "done_at"},
        available_after=timedelta(minutes=5),
    ),
    # Readings are known some time after they were taken, some of them very late, and some are restated.
    "readings": Clock(event_time="taken_at", known_at="known_at", available_after=timedelta(minutes=7)),
    "shops": Clock(),
}
DELAYS = {name: clock.available_after for name, clock in CLOCKS.items()}


def pick(draw: np.random.Generator, values: Sequence[Any], p: Sequence[float] | None = None) -> Any:
    return values[int(draw.choice(len(values), p=p))]


def orders(rows: int, seed: int) -> list[Row]:
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        due = START + timedelta(hours=int(draw.integers(0, 24 * 40)))
        done = None if draw.random() < 0.1 else due + timedelta(minutes=int(draw.integers(-20, 60 * 60)))
        made.append(
            {
                "shop": pick(draw, ["a", "b", "c", None], p=[0.5, 0.3, 0.1, 0.1]),
                "due_at": due,
                "note": pick(draw, ["two words", "", None, "ünïcode  text here"]),
                "pieces": int(draw.integers(0, 4)),
                "weight": None if draw.random() < 0.1 else float(draw.normal(0, 3)),
                "done_at": done,
                "minutes": None if done is None else float(np.round(draw.normal(20, 15), 3)),
                "status": None if done is None else str(pick(draw, ["late", "ok", "lost"])),
            }
        )
    return made


def readings(rows: int, seed: int) -> list[Row]:
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        taken = START + timedelta(hours=int(draw.integers(0, 24 * 40)))
        late = pick(draw, [10, 90, 60 * 24 * 3]) * draw.random()
        value = pick(draw, [float("nan"), None, float(draw.normal(5, 2))], p=[0.05, 0.05, 0.9])
        made.append(
            {
                "shop": pick(draw, ["a", "b", None], p=[0.6, 0.3, 0.1]),
                "taken_at": taken,
                "known_at": None if draw.random() < 0.05 else taken + timedelta(minutes=late),
                "value": value,
            }
        )
    return made


SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "orders": {
        "shop": pl.String(),
        "due_at": UTC_TIME,
        "note": pl.String(),
        "pieces": pl.Int64(),
        "weight": pl.Float64(),
        "done_at": UTC_TIME,
        "minutes": pl.Float64(),
        "status": pl.String(),
    },
    "readings": {"shop": pl.String(), "taken_at": UTC_TIME, "known_at": UTC_TIME, "value": pl.Float64()},
    "shops": {"shop": pl.String(), "size": pl.Int32(), "town": pl.String()},
}


def history_of(order_rows: Sequence[Row], reading_rows: Sequence[Row]) -> History:
    shop_rows = [{"shop": "a", "size": 3, "town": "x"}, {"shop": "b", "size": None, "town": "y"}]
    rows = {"orders": order_rows, "readings": reading_rows, "shops": shop_rows}
    tables = {name: pl.DataFrame(made, schema=SCHEMAS[name], strict=False) for name, made in rows.items()}
    return History(tables, CLOCKS)


class World:
    """The tables of one seed, as rows for slow versions and as a history for blocks."""

    def __init__(self, seed: int, rows: int = 250) -> None:
        self.rows = {"orders": orders(rows, seed), "readings": readings(2 * rows, seed + 1000)}
        self.history = history_of(self.rows["orders"], self.rows["readings"])
        inputs = ["shop", "due_at", "note", "pieces", "weight"]
        asked = self.history.tables["orders"].select(inputs)
        self.spine = asked.with_columns(prediction_time=pl.col("due_at") - timedelta(minutes=50))
        self.asked = self.spine.rows(named=True)


@pytest.fixture(params=[1, 2], scope="session")
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)
