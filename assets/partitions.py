"""How the rows of a use case are cut into partitions: by local day, week or month.

Belongs here: keys of partitions, and steps from one to another. Does not belong here: Dagster's own definition of them
(`assets/stages/common.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import polars as pl

from assets.policies import DeclarationError

Period = Literal["day", "week", "month"]
ONE_DAY: Final = timedelta(days=1)
TRUNCATED_TO: Final = {"day": "1d", "week": "1w", "month": "1mo"}


@dataclass(frozen=True, kw_only=True)
class Partitions:
    """Partitions by the local date in `timezone`, from that of `start` to that of `end` inclusive (None: without end).

    The key of a partition is its first day as ISO text: `2013-08-31`, for a week its Monday, for a month its first.
    """

    start: date
    end: date | None = None
    timezone: str = "UTC"
    every: Period = "day"

    def __post_init__(self) -> None:
        if self.first_day(self.start) != self.start:
            raise DeclarationError(
                f"partitions: start {self.start} is not the first day of a {self.every}; "
                f"write {self.first_day(self.start)}"
            )
        if self.end is not None and self.end < self.start:
            raise DeclarationError(f"partitions: end {self.end} lies before start {self.start}")

    def first_day(self, day: date) -> date:
        """First day of the partition that holds a local day."""
        if self.every == "week":
            return day - day.weekday() * ONE_DAY
        return day.replace(day=1) if self.every == "month" else day

    def key(self, day: date) -> str:
        """Key of the partition that holds a local day."""
        return str(self.first_day(day))

    def holds(self, key: str) -> bool:
        """Whether a key names one of these partitions."""
        return str(self.start) <= key and (self.end is None or key <= self.key(self.end))

    def keys(self, day: pl.Expr) -> pl.Expr:
        """The same for a column of dates: keys as text, null where the date is null."""
        return day.dt.truncate(TRUNCATED_TO[self.every]).cast(pl.Date).cast(pl.String)

    def local_day(self, instant: pl.Expr) -> pl.Expr:
        """Local dates of a column of UTC instants."""
        return instant.dt.convert_time_zone(self.timezone).dt.date()

    def following(self, key: str) -> str:
        """Key of the partition right after `key`."""
        return self.key(self.last_day(key) + ONE_DAY)

    def last_day(self, key: str) -> date:
        """Last day of a partition."""
        first = date.fromisoformat(key)
        if self.every == "month":
            return (first + 31 * ONE_DAY).replace(day=1) - ONE_DAY
        return first + (6 if self.every == "week" else 0) * ONE_DAY

    def before(self, key: str, days: int) -> str:
        """Key of the partition that holds the day `days` before the first day of `key`."""
        return self.key(date.fromisoformat(key) - days * ONE_DAY)

    def reach(self, days: int) -> int:
        """How many partitions before its own a partition needs to see `days` back from its first day, at most."""
        lengths = {"day": 1, "week": 7, "month": 28}
        return -(-days // lengths[self.every])

    def between(self, first: str, last: str) -> list[str]:
        """Keys from `first` to `last`, both included."""
        keys = [first] if first <= last else []
        while keys and keys[-1] < last:
            keys.append(self.following(keys[-1]))
        return keys

    @property
    def longest(self) -> timedelta:
        """How long a partition is at most."""
        lengths = {"day": 1, "week": 7, "month": 31}
        return lengths[self.every] * ONE_DAY

    def ranges(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        """Runs of consecutive partitions, first and last of each: a gap in the data is a gap in the runs."""
        found: list[tuple[str, str]] = []
        for key in sorted(keys):
            if found and self.following(found[-1][1]) == key:
                found[-1] = (found[-1][0], key)
            else:
                found.append((key, key))
        return found
