"""All that a use case may declare, as frozen values that refuse nonsense when they are made.

Belongs here: the vocabulary between a use case and the line, and the checks that need nothing but the declaration.
Does not belong here: how a declaration is carried out; that is `assets/stages`, `assets/checks` and `assets/trainers`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

import polars as pl

from assets.logic.point_in_time import Clock, History
from assets.policies import DeclarationError, PromotionPolicy, TimeSplit, TrainerSpec, require_known
from resources.sources import Source

Task = Literal["binary"]
Severity = Literal["critical", "warning"]
FeatureKind = Literal["numeric", "categorical"]
Clean = Callable[[pl.LazyFrame, Mapping[str, pl.LazyFrame]], pl.LazyFrame]
BuildFeatures = Callable[[pl.DataFrame, History], pl.DataFrame]

PARTITION_KEY = "partition_key"
"""Column of every partitioned lake table: the Dagster partition key, text such as `2013-08-31`."""
PREDICTION_TIME = "prediction_time"
"""Column of every feature row: the UTC instant P at which the question is asked."""
LABEL_KNOWN_AT = "label_known_at"
"""Column of every feature row: the UTC instant at which the label can be known, null while it cannot."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a landed file or of a cleaned table.

    `known_at` names the time column (of the same cleaned table) at which this column's value comes into the world,
    when that is later than the row itself: how late an order came is known at its delivery.
    """

    dtype: pl.DataType
    description: str
    unit: str | None = None
    nullable: bool = True
    known_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A named reason to reject a landed row. `rejects` is true for rows that must not pass; null counts as false."""

    name: str
    description: str
    rejects: pl.Expr = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One Great Expectations expectation on a cleaned table, shown as one asset check.

    Attributes:
        check: Name of the asset check, a sentence that is true when it passes (`wind_speeds_are_plausible`).
        type: Great Expectations' own name, such as `expect_column_values_to_be_between`.
        arguments: Its keyword arguments.
        severity: `critical` stops everything downstream of the table, `warning` is shown and stops nothing.
    """

    check: str
    type: str
    arguments: Mapping[str, Any]
    severity: Severity = "critical"


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """One table as it lands, how it is cleaned, and when its records can be known.

    Attributes:
        columns: The landed columns in order. A file with other columns is refused, naming them.
        cleaned_columns: What `clean` returns, in order.
        key: Columns of the landed table that identify a row; empty if there is none, and then nothing is de-duplicated.
        clean: Pure function from valid typed rows and `lookups` (other cleaned tables by name) to cleaned rows.
        event_time: Column of the cleaned table: when the record happened (UTC).
        known_at: Column of the cleaned table: when the row could first be known at its origin (UTC). None: known in
            advance (a schedule, a register).
        available_after: How much later the record reaches us. Training honours it, serving delivers it.
        is_partitioned: False for a whole file that replaces its predecessor.
        is_optional: A partition that has not arrived is recorded as a degradation instead of stopping the run.
    """

    name: str
    description: str
    source: Source
    columns: Mapping[str, Column]
    cleaned_columns: Mapping[str, Column]
    key: tuple[str, ...]
    clean: Clean = field(compare=False)
    lookups: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    event_time: str | None = None
    known_at: str | None = None
    available_after: timedelta = timedelta(0)
    is_partitioned: bool = True
    is_optional: bool = False

    def __post_init__(self) -> None:
        where = f"table {self.name!r}"
        require_known(self.key, self.columns, f"{where}, field key")
        clocks = [c for c in (self.event_time, self.known_at) if c]
        clocks += [c.known_at for c in self.cleaned_columns.values() if c.known_at]
        require_known(clocks, self.cleaned_columns, f"{where}, fields event_time, known_at")
        names = [r.name for r in self.rules] + [e.check for e in self.expectations]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise DeclarationError(f"{where}: rules and expectations need different names, but {twice} stand twice")

    @property
    def clock(self) -> Clock:
        """The clocks of this table as the point-in-time functions need them."""
        by_column = {n: c.known_at for n, c in self.cleaned_columns.items() if c.known_at}
        return Clock(
            event_time=self.event_time,
            known_at=self.known_at,
            known_at_by_column=by_column,
            available_after=self.available_after,
        )


@dataclass(frozen=True, kw_only=True)
class Partitions:
    """Daily partitions by the local date in `timezone`, from `start` to `end` inclusive (None: without end)."""

    start: date
    end: date | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted: `label` over the cleaned entity table; null while it is not known (yet, or ever).

    Attributes:
        name: Column of the feature table that holds the label (Int8 0/1 for a binary task).
        known_at: Column of the cleaned entity table with the instant the label came into the world (UTC).
    """

    name: str
    definition: str
    label: pl.Expr = field(compare=False)
    known_at: str


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column the models see. `group` is the block it is judged with for drift (schedule, weather, history...)."""

    name: str
    kind: FeatureKind
    group: str
    description: str


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """One model line, from where its data lands to what is good enough to go live.

    Attributes:
        entity_table: The table whose rows are asked about.
        entity: Columns of its cleaned table that identify one prediction.
        inputs: Columns of its cleaned table that a caller knows at prediction time; the rest of the row is never
            shown to `build_features`.
        optional_inputs: Those of `inputs` a caller may leave out.
        prediction_lead: The question is asked this long before the entity table's `event_time`.
        lookback: No feature may need records that became known longer ago than this before prediction time.
        build_features: Pure function from a spine (inputs and `prediction_time`, shape (n, inputs + 1)) and the
            point-in-time `History` to the spine plus one column per feature, same rows, same order.
        baseline_by: Columns whose groups have their own rate in the second naive baseline; empty: only the base rate.
        slices: Columns by which scores are reported and guarded.
    """

    name: str
    description: str
    owner: str
    task: Task
    tables: tuple[SourceTable, ...]
    partitions: Partitions
    entity_table: str
    entity: tuple[str, ...]
    inputs: tuple[str, ...]
    optional_inputs: tuple[str, ...] = ()
    prediction_lead: timedelta
    lookback: timedelta
    target: Target
    features: tuple[Feature, ...]
    build_features: BuildFeatures = field(compare=False)
    split: TimeSplit
    trainers: tuple[TrainerSpec, ...]
    promotion: PromotionPolicy = field(default_factory=PromotionPolicy)
    baseline_by: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    seed: int = 20130901

    def __post_init__(self) -> None:
        where = f"use case {self.name!r}"
        if not self.name.isidentifier():
            raise DeclarationError(f"{where}: field name must be a Python identifier, it becomes part of asset keys")
        require_known([self.entity_table], [t.name for t in self.tables], f"{where}, field entity_table")
        table = self.table(self.entity_table)
        if table.event_time is None:
            raise DeclarationError(f"{where}: table {table.name!r} is the entity table and needs an event_time")
        for name in ("entity", "inputs"):
            require_known(getattr(self, name), table.cleaned_columns, f"{where}, field {name}")
        require_known([self.target.known_at], table.cleaned_columns, f"{where}, field target.known_at")
        require_known([*self.entity, table.event_time], self.inputs, f"{where}, fields entity and event_time of inputs")
        require_known(self.optional_inputs, self.inputs, f"{where}, field optional_inputs")
        for name in ("slices", "baseline_by"):
            require_known(getattr(self, name), self.slice_columns, f"{where}, field {name}")
        if not self.trainers:
            raise DeclarationError(f"{where}: field trainers is empty; name at least one family")
        if self.prediction_lead < timedelta(0):
            raise DeclarationError(f"{where}: field prediction_lead is negative, so the outcome would be known")

    def table(self, name: str) -> SourceTable:
        """The declared table of that name.

        Raises:
            DeclarationError: If the use case declares no such table.
        """
        require_known([name], [t.name for t in self.tables], f"use case {self.name!r}, field tables")
        return next(t for t in self.tables if t.name == name)

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns the models see, in the declared order."""
        return [f.name for f in self.features]

    @property
    def categorical(self) -> list[str]:
        """Names of the categorical features, in the declared order."""
        return [f.name for f in self.features if f.kind == "categorical"]

    @property
    def slice_columns(self) -> list[str]:
        """Columns of the feature table that scores can be sliced by."""
        return [*self.inputs, *self.feature_names]

    @property
    def clocks(self) -> dict[str, Clock]:
        """The clocks of every table, by table name."""
        return {t.name: t.clock for t in self.tables}
