"""Blocks that take over the latest record known: its values (the weather as known, a register), and its age.

Belongs here: the as-of join as features. Does not belong here: values at an exact distance (`past_values.py`).
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.feature_blocks.base import clock, grouped_name, numeric, of_group, require_lengths, spoken
from assets.logic.point_in_time import History
from assets.policies import DeclarationError


@dataclass(frozen=True, kw_only=True)
class Latest:
    """Values of the latest record of a group known at prediction time; of a register without time, its record.

    Attributes:
        table: Where the records stand.
        numbers: Its columns of numbers or Booleans to take over.
        categories: Its columns of text to take over.
        by: Group columns, in the table and among the inputs.
        within: An older record is none; it has to be given for a table with time and left out for a register.
        at: Input with the time asked about, only for a table whose rows are known in advance (a timetable): the
            record is the last one dated before it.
    """

    table: str
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    within: timedelta | None = None
    at: str | None = None

    def __post_init__(self) -> None:
        if not self.numbers and not self.categories:
            raise DeclarationError(
                "features, Latest: fields numbers and categories are empty; name at least one column"
            )
        if self.within is not None:
            require_lengths(self, (self.within,), "within")

    @property
    def lookback(self) -> timedelta:
        """As far as `within`."""
        return self.within or timedelta(0)

    @property
    def tables(self) -> tuple[str, ...]:
        """The table of the records."""
        return (self.table,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The groups, and the time asked about if it is needed."""
        return (*self.by, *([self.at] if self.at else []))

    def features(self) -> tuple[Feature, ...]:
        """One per column: `weather_temp_latest`."""
        kinds = (("numeric", self.numbers), ("categorical", self.categories))
        return tuple(
            Feature(
                name=self._name(column),
                kind="numeric" if kind == "numeric" else "categorical",
                group=self.table,
                description=f"{column} of the latest record in {self.table} {of_group(self.by)}, as known",
            )
            for kind, columns in kinds
            for column in columns
        )

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """Numbers as Float64, categories as text; null where there is no such record.

        Raises:
            DeclarationError: If `within` is missing for a table with time, or given for a register.
        """
        has_time = clock(history, self.table).event_time is not None
        if has_time != (self.within is not None):
            needs = "has time, so it needs" if has_time else "is a register without time, so it has no"
            raise DeclarationError(f"features, Latest: table {self.table!r} {needs} a field within")
        columns = [*self.numbers, *self.categories]
        found = history.latest(
            spine, table=self.table, by=self.by, columns=columns, before=self.at, tolerance=self.within
        )
        numbers = {self._name(column): found[column].cast(pl.Float64) for column in self.numbers}
        return numbers | {self._name(column): found[column].cast(pl.String) for column in self.categories}

    def _name(self, column: str) -> str:
        return f"{self.table}_{column}_latest"


@dataclass(frozen=True, kw_only=True)
class SinceLast:
    """Hours since the latest event of a group that was known at prediction time.

    Attributes:
        table: Whose rows are the events.
        by: Group columns, in the table and among the inputs.
        within: An event longer ago counts as none.
        at: Input with the time to measure up to. None: prediction time. A table whose rows are known in advance needs
            it, and then the last event dated before it counts, whether it lies before prediction time or not.
    """

    table: str
    by: tuple[str, ...] = ()
    within: timedelta
    at: str | None = None

    def __post_init__(self) -> None:
        require_lengths(self, (self.within,), "within")

    @property
    def lookback(self) -> timedelta:
        """As far as `within`."""
        return self.within

    @property
    def tables(self) -> tuple[str, ...]:
        """The table of the events."""
        return (self.table,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The groups, and the time to measure up to."""
        return (*self.by, *([self.at] if self.at else []))

    def features(self) -> tuple[Feature, ...]:
        """One: `hours_since_last_orders_by_shop`."""
        description = (
            f"Hours from the latest row of {self.table} {of_group(self.by)}, as known, to "
            f"{self.at or 'prediction time'}, if at most {spoken(self.within)}"
        )
        return (numeric(self._name, "history", description),)

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """Float64; null where there is no such event.

        Raises:
            DeclarationError: If the table has no event time.
        """
        clocks = clock(history, self.table)
        if clocks.event_time is None:
            raise DeclarationError(f"features, SinceLast: table {self.table!r} has no event time")
        before = self.at if clocks.known_at is None else None
        found = history.latest(
            spine, table=self.table, by=self.by, columns=[clocks.event_time], before=before, tolerance=self.within
        )
        passed = spine[self.at or PREDICTION_TIME] - found[clocks.event_time]
        return {self._name: passed.dt.total_microseconds() / timedelta(hours=1).total_seconds() / 1e6}

    @property
    def _name(self) -> str:
        return grouped_name(f"hours_since_last_{self.table}", self.by)
