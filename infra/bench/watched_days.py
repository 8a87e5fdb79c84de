"""The days that the champion's reference is made of, as they were and with a fault planted in them.

Belongs here: reading them, planting faults, and counting them as the monitors do. Does not belong here: trying the
monitors' rules on them (`alarms.py`).
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.logic.drift_bins import Floats
from assets.logic.drift_histograms import DayCounts, day_counts
from assets.logic.in_control import InControl, in_control
from assets.logic.performance_days import NEVER, day_statistics
from assets.logic.splits import TrainingManifest
from assets.stages.common import day_of, table_name
from assets.stages.drift_reference import reference_rows, used
from assets.stages.monitored import DAY, bins_of, monitored_columns, monitored_rows, rows_of_group
from assets.stages.performance_rows import as_scored
from assets.stages.predictions import said_columns
from assets.trainers.base import Model
from assets.trainers.families import load_model
from infra.bench.alarms import DriftDays
from infra.bench.children import BenchError
from pipelines.upkeep import champion_of
from resources.lake import Lake
from resources.registry import MlflowModelRegistry

KM_PER_MILE: Final = 1.609344
AIRPORTS: Final = {"EWR": "LGA", "LGA": "EWR"}
AIRLINES: Final = {"UA": "DL", "DL": "UA"}
MISCODED: Final = {"JFK": "LGA"}
SEED: Final = 20130901


def _humidity_as_a_share(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("humid_pct") / 100)


def _wind_in_km_per_hour(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("wind_speed_mph", "wind_gust_mph") * KM_PER_MILE)


def _miscoded(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("origin").replace(MISCODED))


def _airports_swapped(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("origin").replace(AIRPORTS))


def _airlines_swapped(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("carrier").replace(AIRLINES))


def _half_as_late(rows: pl.DataFrame) -> pl.DataFrame:
    is_kept = np.random.default_rng(SEED).random(len(rows)) < 0.5
    return rows.with_columns(pl.col("is_late") * pl.Series(is_kept).cast(pl.Int8))


FAULTS: Final[Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "a shifted sensor: humidity as a share, not in percent": _humidity_as_a_share,
    "a category lost in another: JFK coded as LGA": _miscoded,
    "two categories swapped: EWR and LGA, much alike": _airports_swapped,
    "two categories swapped: United and Delta": _airlines_swapped,
    "a halved rate of the label": _half_as_late,
    # To show where the rules end: it stays within what seasons did to the wind, and moves no score.
    "slight: wind in km/h, not mph": _wind_in_km_per_hour,
}
"""What is planted in the feature rows of flights: the model is asked again, features made from labels are left."""


@dataclass(frozen=True, kw_only=True)
class WatchedDays:
    """The champion of a finished home, and the rows that it learned from and was tested on."""

    use_case: UseCase
    lake: Lake
    registry: MlflowModelRegistry

    @cached_property
    def version(self) -> str:
        """The champion's name and number."""
        found = champion_of(self.use_case, self.lake)
        if found is None:
            raise BenchError(f"{self.use_case.name} has no champion to watch")
        return found

    @cached_property
    def manifest(self) -> TrainingManifest:
        """What it was trained and tested on."""
        version = self.registry.version(self.use_case.name, int(self.version.rpartition("/")[2]))
        text = self.registry.document(version.run_id, "training_set.json")
        if text is None:
            raise BenchError(f"it is not on record what {self.version} was trained on")
        return TrainingManifest.from_json(text)

    @cached_property
    def model(self) -> Model:
        """The champion, loaded."""
        version = self.registry.version(self.use_case.name, int(self.version.rpartition("/")[2]))
        with tempfile.TemporaryDirectory() as room:
            return load_model(self.registry.download(version, Path(room)))

    @cached_property
    def reference(self) -> pl.DataFrame:
        """The rows that its drift reference counts."""
        return reference_rows(self.use_case, self.manifest, self.lake)

    @cached_property
    def tested(self) -> pl.DataFrame:
        """All rows of its test window."""
        features = self.lake.scan(table_name(self.use_case, "features"), version=self.manifest.tables["features"])
        chosen = features.filter(self.manifest.windows.test.contains(day_of(self.use_case))).collect()
        return chosen.sort(PARTITION_KEY, *self.use_case.row_order, maintain_order=True)

    def drift_days(self, fault: Callable[[pl.DataFrame], pl.DataFrame] | None = None) -> DriftDays:
        """The days of the reference as the drift rule counts them; bins and use are those without a fault."""
        columns = monitored_columns(self.use_case, self.manifest.features, self.reference.schema)
        quiet = monitored_rows(self.use_case, self.reference, self._said(self.reference))
        rows = quiet
        if fault is not None:
            faulty = fault(self.reference)
            rows = monitored_rows(self.use_case, faulty, self._said(faulty))
        counted, bins = {}, {}
        for group in dict.fromkeys(c.group for c in columns):
            now, then = (rows_of_group(self.use_case, some, group) for some in (rows, quiet))
            bins[group] = bins_of(then, [c for c in columns if c.group == group], self._usage)
            counted[group] = day_counts(now, now[DAY], bins[group])
        there = quiet[DAY].to_numpy().astype("datetime64[D]")
        days = np.arange(there.min(), there.max() + np.timedelta64(1, "D"))
        return DriftDays(
            counted={group: _within(c, days) for group, c in counted.items()},
            bins=bins,
            usage=self._usage,
        )

    @cached_property
    def in_control(self) -> InControl:
        """What the champion is like in control."""
        return in_control(
            self.use_case.task, self.version, as_scored(self.use_case, self._scored(self.tested), [self.version])
        )

    def chart_days(self, fault: Callable[[pl.DataFrame], pl.DataFrame] | None = None) -> Floats:
        """The statistics of the days of the test window in units of days without fault, shape (t, 3)."""
        tested = self.tested if fault is None else fault(self.tested)
        rows = as_scored(self.use_case, self._scored(tested), [self.version])
        factor = np.full(len(rows.day), self.in_control.factor)
        days = day_statistics(rows, rows.known_at < NEVER, factor)
        return self.in_control.standardised(days.values, days.variances)

    @cached_property
    def _usage(self) -> dict[str, float]:
        return used(self.model, self.reference, self.manifest)

    def _said(self, rows: pl.DataFrame) -> pl.DataFrame:
        answers = self.model.predict(rows.select(self.manifest.features))
        return pl.DataFrame(said_columns(self.use_case.task, self.model.outputs, answers))

    def _scored(self, rows: pl.DataFrame) -> pl.DataFrame:
        about = [day_of(self.use_case).alias("day"), pl.lit(self.version).alias("model_version")]
        return rows.with_columns(*self._said(rows), *about)


def _within(counted: DayCounts, days: npt.NDArray[np.datetime64]) -> DayCounts:
    """The same over given days: empty where there was no row."""
    begin = int((counted.first - days[0]).astype(int))
    rows = np.zeros(len(days), dtype=np.int64)
    rows[begin : begin + len(counted.rows)] = counted.rows
    around = (begin, len(days) - begin - len(counted.rows))
    counts = {name: np.pad(one, (around, (0, 0))) for name, one in counted.counts.items()}
    return DayCounts(first=days[0], rows=rows, counts=counts)
