"""Blocks that look up single rows of the past: the value a week before, the mean of the same hour, the last event.

Belongs here: values of rows found by their time, as far as they were known at prediction time. Does not belong here:
counts and means over windows (`windows.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import PREDICTION_TIME, Feature, FeatureKind
from assets.logic.feature_blocks.base import clock, grouped_name, numeric, of_group, require_lengths, span, spoken
from assets.logic.point_in_time import History
from assets.logic.times import require_zone
from assets.policies import DeclarationError

CLOCK_CHANGE: Final = timedelta(hours=3)
"""No zone moves its clock further at once, so much an hour of the local past may lie off its distance in UTC."""
TOGETHER: Final = 20_000
"""Up to so many questions are asked at once: for one row a search costs less than the call."""
_AT: Final = "_at"
_JUST_AFTER: Final = "_just_after"


def values_before(
    spine: pl.DataFrame,
    history: History,
    *,
    table: str,
    column: str,
    by: Sequence[str],
    at: str,
    ago: Sequence[timedelta],
    zone: str | None,
) -> list[pl.Series]:
    """The values of the rows whose event time is exactly `ago` before the instant `at` of each row that asks.

    Of rows with equal key and time the one known last is taken (a restatement).

    Args:
        spine: Rows that ask, shape (n, any), with `by`, `at` and `prediction_time`.
        history: Where `table` is known from.
        table: Where the values stand.
        column: Whose values.
        by: Group columns, in the table and in the spine.
        at: Column of `spine` with the instant to count back from (UTC).
        ago: How far to count back, each.
        zone: Count back on the wall clock of this zone, so that a week ago is the same local hour even if the clocks
            changed; None: on the clock of UTC.

    Returns:
        One series per `ago`, shape (n,), in the column's type; null where there is no such row, or it or its value was
        not known at prediction time.

    Raises:
        DeclarationError: If the table has no event time.
    """
    clocks = clock(history, table)
    if clocks.event_time is None:
        raise DeclarationError(f"features: table {table!r} has no event time, so no row of it is a while ago")
    if len(ago) > 1 and len(spine) * len(ago) > TOGETHER:
        ask = partial(values_before, spine, history, table=table, column=column, by=by, at=at, zone=zone)
        return [ask(ago=[length])[0] for length in ago]
    rows = spine.select(PREDICTION_TIME, *by, pl.col(at).alias(_AT))
    asked = pl.concat([rows.with_columns(_target(length, zone).alias(clocks.event_time)) for length in ago])
    before = None
    if clocks.known_at is None:
        before = _JUST_AFTER
        after = pl.col(clocks.event_time).fill_null(pl.col(PREDICTION_TIME)) + timedelta(microseconds=1)
        asked = asked.with_columns(after.alias(before))
    # The event time as a key makes the match exact; the as-of join then only decides what was known of that row.
    key = [*by, clocks.event_time]
    found = history.latest(asked, table=table, by=key, columns=[column], before=before)[column]
    return [found[number * len(spine) : (number + 1) * len(spine)] for number in range(len(ago))]


def _target(ago: timedelta, zone: str | None) -> pl.Expr:
    instant = pl.col(_AT)
    if zone is None:
        return instant - ago
    local = instant.dt.convert_time_zone(zone).dt.replace_time_zone(None) - ago
    return local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


@dataclass(frozen=True, kw_only=True)
class Lag:
    """Values of a column exactly so long before the time asked about, as far as they were known at prediction time.

    Attributes:
        table: Where the values stand; it needs an event time.
        column: Whose values.
        by: Group columns, in the table and among the inputs; empty: one row per instant.
        at: Input with the time asked about (UTC), from which is counted back.
        ago: How long before.
        zone: Wall clock to count on; None: UTC.
        kind: `categorical` for text.
    """

    table: str
    column: str
    by: tuple[str, ...] = ()
    at: str
    ago: tuple[timedelta, ...]
    zone: str | None = None
    kind: FeatureKind = "numeric"

    def __post_init__(self) -> None:
        require_lengths(self, self.ago, "ago")
        if self.zone is not None:
            require_zone(self.zone)

    @property
    def lookback(self) -> timedelta:
        """The longest of `ago`, and a change of clocks."""
        return max(self.ago) + CLOCK_CHANGE

    @property
    def tables(self) -> tuple[str, ...]:
        """The table of the values."""
        return (self.table,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The groups and the time asked about."""
        return (*self.by, self.at)

    def features(self) -> tuple[Feature, ...]:
        """One per length: `price_7d_ago`."""
        return tuple(
            Feature(
                name=self._name(ago),
                kind=self.kind,
                group="history",
                description=f"{self.column} {of_group(self.by)} {spoken(ago)} before {self.at}, if known by then",
            )
            for ago in self.ago
        )

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """Numbers as Float64, categories as text."""
        dtype = pl.Float64() if self.kind == "numeric" else pl.String()
        values = values_before(
            spine,
            history,
            table=self.table,
            column=self.column,
            by=self.by,
            at=self.at,
            ago=self.ago,
            zone=self.zone,
        )
        return {self._name(ago): found.cast(dtype) for ago, found in zip(self.ago, values, strict=True)}

    def _name(self, ago: timedelta) -> str:
        return grouped_name(f"{self.column}_{span(ago)}_ago", self.by)


@dataclass(frozen=True, kw_only=True)
class SameSlot:
    """Mean of a column at the same time of earlier periods, such as the same hour of the last four weeks.

    Attributes:
        every: Length of a period.
        times: Number of periods; those of which nothing was known count for nothing.
        table, column, by, at, zone: As in `Lag`.
    """

    table: str
    column: str
    by: tuple[str, ...] = ()
    at: str
    every: timedelta = timedelta(weeks=1)
    times: int = 4
    zone: str | None = None

    def __post_init__(self) -> None:
        require_lengths(self, (self.every,), "every")
        if self.times < 2:
            raise DeclarationError(f"features, SameSlot, field times: {self.times} is no mean; use Lag")
        if self.zone is not None:
            require_zone(self.zone)

    @property
    def lookback(self) -> timedelta:
        """All periods, and a change of clocks."""
        return self.every * self.times + CLOCK_CHANGE

    @property
    def tables(self) -> tuple[str, ...]:
        """The table of the values."""
        return (self.table,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The groups and the time asked about."""
        return (*self.by, self.at)

    def features(self) -> tuple[Feature, ...]:
        """One: `price_mean_of_4x7d`."""
        description = (
            f"Mean of {self.column} {of_group(self.by)} at the same time of the {self.times} last periods of "
            f"{spoken(self.every)}, as far as known"
        )
        return (numeric(self._name, "history", description),)

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """Float64; null where nothing was known of any period."""
        periods = values_before(
            spine,
            history,
            table=self.table,
            column=self.column,
            by=self.by,
            at=self.at,
            ago=[self.every * number for number in range(1, self.times + 1)],
            zone=self.zone,
        )
        values = np.column_stack([period.cast(pl.Float64).fill_null(float("nan")).to_numpy() for period in periods])
        known = ~np.isnan(values)
        mean = np.full(len(spine), np.nan)
        np.divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1), out=mean, where=known.any(axis=1))
        return {self._name: pl.Series(self._name, mean, nan_to_null=True)}

    @property
    def _name(self) -> str:
        return grouped_name(f"{self.column}_mean_of_{self.times}x{span(self.every)}", self.by)
