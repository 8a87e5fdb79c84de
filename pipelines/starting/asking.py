"""The clocks of a question: when it is asked, and when its outcome is known.

Belongs here: what was said of them, what the table shows, what a person is asked. Does not belong here: which column is
the time of a row (`findings.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from assets.logic.profiling.profile import Profile
from assets.logic.times import TimeSpec
from pipelines.declared.words import length
from pipelines.starting.questions import Asker
from resources.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Asked:
    """When the question is asked: one of a fixed length, a column of numbers (days), a column of times."""

    ahead: timedelta = timedelta(0)
    lead: str | None = None
    at: str | None = None
    longest: timedelta | None = None


def when_asked(
    frame: pl.DataFrame, ahead: str, times: Mapping[str, TimeSpec], event_time: pl.Series, parts: Sequence[str]
) -> Asked:
    """When the question is asked: a length before the time of a row, or what a column says.

    Args:
        frame: The sampled rows.
        ahead: A length such as `24h`, or the name of a column of times or of days.
        times: How columns of times are written.
        event_time: Instant of each row (UTC).
        parts: Columns that the time of a row is read from.

    Raises:
        InputError: If it is neither, or says nothing.
    """
    if ahead not in frame.columns:
        try:
            return Asked(ahead=length(ahead))
        except ValueError as error:
            raise InputError(f"--ahead: {error}, or the name of a column") from error
    if ahead in parts:
        raise InputError(f"--ahead: {ahead!r} is the time of the row itself; leave --ahead out to ask at that time")
    if ahead in times:
        before = (event_time - frame.select(times[ahead].parse(frame.schema)).to_series()).drop_nulls()
        return Asked(at=ahead, longest=_days(before.quantile(0.999)))
    numbers = frame[ahead].cast(pl.Float64, strict=False).drop_nulls()
    if numbers.is_empty():
        raise InputError(f"--ahead: {ahead!r} holds neither times nor numbers of days")
    return Asked(lead=ahead, longest=_days(timedelta(days=float(numbers.quantile(0.999) or 0))))


def when_known(found: Profile, wished: str | None, asker: Asker) -> timedelta:
    """How long after the time of a row its outcome is known.

    As said; else as long as labels are missing at the end of the table; else as a person knows; else at once, told.

    Raises:
        InputError: If what was said is no length of time.
    """
    if wished is not None:
        try:
            return length(wished)
        except ValueError as error:
            raise InputError(f"--known-after: {error}") from error
    if (delay := found.target.label_delay) is not None:
        return -(-delay // timedelta(hours=1)) * timedelta(hours=1)
    question = f"How long after the time of a row is its {found.target.name!r} known?"
    why = "the table does not show it; too short a time lets features see what nobody knew yet: say --known-after"
    return asker.measure(question, timedelta(0), why)


def asked_at(frame: pl.DataFrame, asked: Asked, parsed: Mapping[str, pl.Series], event_time: pl.Series) -> pl.Series:
    """The instant at which each row is asked (UTC), shape (n,); `parsed` holds the columns of times."""
    if asked.at is not None:
        return parsed[asked.at]
    if asked.lead is None:
        return event_time - asked.ahead
    days = frame[asked.lead].cast(pl.Float64, strict=False)
    return event_time - (days * 86_400_000_000).cast(pl.Int64).cast(pl.Duration("us"))


def _days(longest: object) -> timedelta:
    """Whole days, one at least."""
    span = longest if isinstance(longest, timedelta) else timedelta(0)
    return timedelta(days=max(1, -(-span // timedelta(days=1))))
