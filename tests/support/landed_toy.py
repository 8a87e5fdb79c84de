"""The toy use case with files that land: the whole line in seconds, real stores, real runs."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl

from assets.contracts import Column, Partitions, UseCase
from assets.policies import PromotionPolicy, TimeSplit
from resources.objects import ObjectStore
from resources.sources import FileSource
from tests.support.toy_use_case import PARCELS, STORMS, TOY, parcels

FIRST_DAY = date(2020, 1, 1)


def landed_columns(columns: dict[str, Column]) -> dict[str, Column]:
    return {name: replace(column, nullable=True, known_at=None) for name, column in columns.items()}


LANDED_TOY: UseCase = replace(
    TOY,
    tables=(
        replace(PARCELS, columns=landed_columns(dict(PARCELS.cleaned_columns))),
        replace(
            STORMS,
            columns=landed_columns(dict(STORMS.cleaned_columns)),
            source=FileSource(pattern="storms/storms.csv"),
        ),
    ),
    partitions=Partitions(start=FIRST_DAY, end=FIRST_DAY + timedelta(days=59)),
    split=TimeSplit(validation=timedelta(days=5), test=timedelta(days=10)),
    # A few hundred parcels say little; what is tested with them is what follows from a yes.
    promotion=PromotionPolicy(
        confidence=0.6, calibration_limit=1.0, slice_margin=1.0, minimum_rows=100, margin=0.5, leakage_ceiling=0.99
    ),
    trainers=tuple(replace(spec, search_trials=0) for spec in TOY.trainers),
)
"""Its parcels land day by day, in UTC; no storm ever does."""


def land(store: ObjectStore, first: date, last: date, rows: int = 3000) -> None:
    """A file for each day on which a parcel was due."""
    frame = parcels(rows).with_columns(pl.col("due_at").dt.date().alias("day"))
    for part in frame.filter(pl.col("day").is_between(first, last)).partition_by("day", maintain_order=True):
        text = part.drop("day").write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ", null_value="NA")
        store.write(f"parcels_{part['day'][0]}.csv", text.encode())
