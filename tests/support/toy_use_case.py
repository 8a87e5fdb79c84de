"""A small use case for tests of serving: will a parcel of a shop come late?"""

from datetime import date, timedelta

import numpy as np
import polars as pl

from assets.contracts import Column, Feature, Partitions, SourceTable, Target, UseCase
from assets.logic.point_in_time import History
from assets.policies import TimeSplit, TrainerSpec
from resources.serving.ranges import Range
from resources.sources import FileSource

UTC = pl.Datetime("us", "UTC")
LEAD = timedelta(hours=1)
CURSED = "cursed"
"""A shop for which the features have a defect."""


def clean(frame: pl.LazyFrame, _: object) -> pl.LazyFrame:
    return frame


PARCELS = SourceTable(
    name="parcels",
    description="Parcels and when they came.",
    source=FileSource(pattern="parcels_{partition}.csv"),
    columns={"parcel": Column(dtype=pl.Int32(), description="Number.")},
    cleaned_columns={
        "shop": Column(dtype=pl.String(), description="Who sends it.", nullable=False),
        "parcel": Column(
            dtype=pl.Int32(), description="Number.", nullable=False, range=Range(lowest=0.0, otherwise="refuse")
        ),
        "due_at": Column(dtype=UTC, description="When it is due.", unit="UTC", nullable=False),
        "weight_kg": Column(
            dtype=pl.Float64(), description="Weight.", unit="kg", range=Range(lowest=0.0, highest=1_000.0)
        ),
        "is_express": Column(dtype=pl.Boolean(), description="Whether it was paid to hurry."),
        "came_at": Column(dtype=UTC, description="When it came.", unit="UTC", known_at="came_at"),
        "late_min": Column(dtype=pl.Int32(), description="How late it came.", unit="min", known_at="came_at"),
    },
    key=("parcel",),
    clean=clean,
    event_time="due_at",
    available_after=timedelta(minutes=5),
)
STORMS = SourceTable(
    name="storms",
    description="Storms as they are reported.",
    source=FileSource(pattern="storms.csv"),
    columns={"place": Column(dtype=pl.String(), description="Where.")},
    cleaned_columns={
        "shop": Column(dtype=pl.String(), description="Where.", nullable=False),
        "seen_at": Column(dtype=UTC, description="When.", unit="UTC", nullable=False),
        "wind_kmh": Column(dtype=pl.Float64(), description="How strong.", unit="km/h"),
    },
    key=(),
    clean=clean,
    event_time="seen_at",
    known_at="seen_at",
    is_partitioned=False,
    is_optional=True,
)
FEATURES = (
    Feature(name="shop", kind="categorical", group="parcel", description="Who sends it"),
    Feature(name="due_hour", kind="numeric", group="parcel", description="Hour at which it is due"),
    Feature(name="weight", kind="numeric", group="parcel", description="Weight in kg"),
    Feature(name="express", kind="numeric", group="parcel", description="1 if it was paid to hurry"),
    Feature(name="shop_late_min_7d", kind="numeric", group="history", description="Mean lateness of the shop, 7 days"),
    Feature(name="wind_kmh", kind="numeric", group="storms", description="Last wind"),
)


def build_features(spine: pl.DataFrame, history: History) -> pl.DataFrame:
    if (spine["shop"] == CURSED).any():
        raise LookupError("a defect in the features, not to be shown to callers")
    came = history.window(
        spine,
        table="parcels",
        clock="came_at",
        by=["shop"],
        since=timedelta(days=7),
        sums={"late": pl.col("late_min")},
        where=pl.col("late_min").is_not_null(),
    )
    wind = history.latest(spine, table="storms", by=["shop"], columns=["wind_kmh"])
    return spine.with_columns(
        due_hour=pl.col("due_at").dt.hour().cast(pl.Float64),
        weight=pl.col("weight_kg"),
        express=pl.col("is_express").cast(pl.Float64),
        shop_late_min_7d=pl.when(came["count"] > 0).then(came["late"] / came["count"]),
        wind_kmh=wind["wind_kmh"],
    )


TOY = UseCase(
    name="parcels",
    description="Probability that a parcel comes late.",
    owner="team:tests",
    task="binary",
    tables=(PARCELS, STORMS),
    partitions=Partitions(start=date(2020, 1, 1)),
    entity_table="parcels",
    entity=("parcel",),
    inputs=("shop", "parcel", "due_at", "weight_kg", "is_express"),
    optional_inputs=("weight_kg", "is_express"),
    prediction_lead=LEAD,
    lookback=timedelta(days=8),
    target=Target(name="is_late", definition="15 minutes or more", label=pl.col("late_min") >= 15, known_at="came_at"),
    features=FEATURES,
    build_features=build_features,
    split=TimeSplit(validation=timedelta(days=5), test=timedelta(days=5)),
    trainers=(TrainerSpec(family="logistic_regression"),),
)


def parcels(rows: int = 3000, seed: int = 7) -> pl.DataFrame:
    """The cleaned table: `rows` parcels of 60 days from 2020-01-01, some of which have not come."""
    random = np.random.default_rng(seed)
    shops = np.array(["north", "south", "east"])[random.integers(0, 3, rows)]
    weight = random.gamma(2.0, 1.5, rows).round(3)
    late = (random.normal(0, 20, rows) + 10 * (shops == "north") + 3 * weight).round().astype(np.int32)
    minutes = np.sort(random.integers(0, 60 * 24 * 60, rows))
    numbers = np.arange(rows, dtype=np.int32)
    frame = pl.DataFrame({"shop": shops, "parcel": numbers, "minute": minutes, "weight_kg": weight})
    due = pl.lit(date(2020, 1, 1)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(minutes="minute")
    came = pl.col("due_at") + pl.duration(minutes="late_min")
    frame = frame.with_columns(
        due_at=due, is_express=pl.Series(random.random(rows) < 0.2), late_min=pl.Series(late, dtype=pl.Int32)
    )
    lost = pl.Series(random.random(rows) < 0.02)
    frame = frame.with_columns(late_min=pl.when(~lost).then("late_min")).with_columns(came_at=came)
    return frame.select(*PARCELS.cleaned_columns)


def storms(seed: int = 8) -> pl.DataFrame:
    """The cleaned table of storms: hourly wind, for two shops only."""
    random = np.random.default_rng(seed)
    hours = pl.DataFrame({"hour": range(60 * 24)}).join(pl.DataFrame({"shop": ["north", "south"]}), how="cross")
    start = pl.lit(date(2020, 1, 1)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frame = hours.with_columns(seen_at=start + pl.duration(hours="hour"), wind_kmh=random.gamma(2.0, 10.0, len(hours)))
    return frame.select(*STORMS.cleaned_columns)
