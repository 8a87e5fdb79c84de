"""The use case that `make bench-serving` serves: 30 feature columns, 25 numbers and 5 categories, one binary target.

Belongs here: its declaration and its made-up rows. Does not belong here: the model of it (`model.py`), and how it is
asked (`contenders.py`).

Its features are looked up as of the question from one table, so that the endpoint is a real one, history and all; the
bench asks it with full feature rows, which are what the peers are given.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import Column, Feature, Partitions, SourceTable, Target, UseCase
from assets.logic.point_in_time import History
from assets.policies import TimeSplit, TrainerSpec
from resources.sources import FileSource

PATH: Final = "infra.bench.serving.use_case:ORDERS"
TIME: Final = pl.Datetime("us", "UTC")
FIRST: Final = datetime(2022, 1, 1, tzinfo=UTC)
NUMBERS: Final = tuple(f"number_{n:02}" for n in range(25))
KINDS: Final = {"kind_0": 3, "kind_1": 8, "kind_2": 20, "kind_3": 60, "kind_4": 200}
"""Categories by name, with the number of their values: from a channel of sales to a shop."""
SEED: Final = 20130901


def rows(count: int, seed: int = SEED) -> pl.DataFrame:
    """Feature rows and `is_returned` (0 or 1), shape (count, 31); the same seed gives the same rows.

    No value is null: the peers would have to be taught what a null means, each in its own way.
    """
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, len(NUMBERS))).round(4)
    kinds = {name: random.integers(0, values, count) for name, values in KINDS.items()}
    score = numbers[:, :12] @ np.linspace(0.6, 0.05, 12) + 0.5 * numbers[:, 12] * numbers[:, 13]
    score += 0.6 * np.sin(2.0 * numbers[:, 14]) + 0.4 * numbers[:, 15] ** 2
    score += sum(0.5 * np.sin(code * (place + 1.0)) for place, code in enumerate(kinds.values())) - 1.5
    return pl.DataFrame(
        {
            **{name: numbers[:, place] for place, name in enumerate(NUMBERS)},
            **{name: [f"{name[-1]}-{code}" for code in codes] for name, codes in kinds.items()},
            "is_returned": (random.random(count) < 1 / (1 + np.exp(-score))).astype(np.int8),
        }
    )


def tables(count: int) -> dict[str, pl.DataFrame]:
    """The cleaned tables that the endpoint looks into: an order an hour and, told an hour before it, what it is."""
    made = rows(count).with_columns(order_id=pl.int_range(count, dtype=pl.Int64))
    at = pl.lit(FIRST).cast(TIME) + pl.duration(hours=pl.col("order_id"))
    made = made.with_columns(ordered_at=at, returned_at=at + timedelta(days=3), described_at=at - timedelta(hours=1))
    cleaned = {table.name: list(table.cleaned_columns) for table in (_ORDERS, _DESCRIPTIONS)}
    return {name: made.select(columns) for name, columns in cleaned.items()}


def build_features(spine: pl.DataFrame, history: History) -> pl.DataFrame:
    """What was last told of each order."""
    told = history.latest(spine, table="descriptions", by=["order_id"], columns=[*NUMBERS, *KINDS])
    return spine.with_columns(told.get_columns())


def _clean(frame: pl.LazyFrame, _: object) -> pl.LazyFrame:
    return frame


_ORDER_ID: Final = Column(dtype=pl.Int64(), description="Number.", nullable=False)
_ORDERS: Final = SourceTable(
    name="orders",
    description="Made-up orders, and whether they came back.",
    source=FileSource(pattern="orders_{partition}.csv"),
    columns={"order_id": _ORDER_ID},
    cleaned_columns={
        "order_id": _ORDER_ID,
        "ordered_at": Column(dtype=TIME, description="When it was ordered.", unit="UTC", nullable=False),
        "returned_at": Column(dtype=TIME, description="When it was known.", unit="UTC", known_at="returned_at"),
        "is_returned": Column(dtype=pl.Int8(), description="1 if it came back.", known_at="returned_at"),
    },
    key=("order_id",),
    clean=_clean,
    event_time="ordered_at",
)
_DESCRIPTIONS: Final = SourceTable(
    name="descriptions",
    description="Made-up facts about each order.",
    source=FileSource(pattern="descriptions_{partition}.csv"),
    columns={"order_id": _ORDER_ID},
    cleaned_columns={
        "order_id": _ORDER_ID,
        "described_at": Column(dtype=TIME, description="When it was told.", unit="UTC", nullable=False),
        **{name: Column(dtype=pl.Float64(), description="A number.") for name in NUMBERS},
        **{name: Column(dtype=pl.String(), description="A category.") for name in KINDS},
    },
    key=("order_id",),
    clean=_clean,
    event_time="described_at",
    known_at="described_at",
)
ORDERS: Final = UseCase(
    name="orders",
    description="Probability that a made-up order comes back.",
    owner="team:bench",
    task="binary",
    tables=(_ORDERS, _DESCRIPTIONS),
    partitions=Partitions(start=date(2022, 1, 1)),
    entity_table="orders",
    entity=("order_id",),
    inputs=("order_id", "ordered_at"),
    prediction_lead=timedelta(0),
    lookback=timedelta(days=1),
    target=Target(name="is_returned", definition="came back", label=pl.col("is_returned"), known_at="returned_at"),
    features=(
        *(Feature(name=n, kind="numeric", group="numbers", description="A number") for n in NUMBERS),
        *(Feature(name=n, kind="categorical", group="kinds", description="A category") for n in KINDS),
    ),
    build_features=build_features,
    split=TimeSplit(validation=timedelta(days=5), test=timedelta(days=5)),
    trainers=(TrainerSpec(family="catboost"),),
)
