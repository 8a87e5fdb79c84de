"""When may a retraining begin? Cool-down, budget and quiet hours as one earliest instant.

Belongs here: instants. Does not belong here: whether there is a reason to retrain (`retraining.py`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from assets.automation import RetrainingPolicy

WEEK: Final = timedelta(days=7)
ONE_DAY: Final = timedelta(days=1)


def latest_possible(recorded: Sequence[datetime], now: datetime) -> list[datetime]:
    """When each of several events happened at the latest, by a clock that may have been wrong meanwhile, either way.

    An instant counts as it was recorded if none before it is later and it is not of the future. Any other was recorded
    while the clock was wrong, or after it had been: it counts as the next one that is in order, or as `now`. So nothing
    ever counts as earlier than it was, and an event that a wrong clock put decades ahead holds nothing back for
    decades. Only a clock that went back by less than the time since the last record leaves no trace.

    Args:
        recorded: Instants in the order in which they were put on record.
        now: The present.
    """
    in_order, newest = [], datetime.min.replace(tzinfo=UTC)
    for instant in recorded:
        in_order.append(newest <= instant <= now)
        newest = instant if in_order[-1] else newest
    latest, bound = [], now
    for instant, is_in_order in zip(reversed(recorded), reversed(in_order), strict=True):
        bound = instant if is_in_order else bound
        latest.append(bound)
    return latest[::-1]


def earliest_begin(begun: Sequence[datetime], policy: RetrainingPolicy, now: datetime) -> tuple[datetime, list[str]]:
    """The first instant, not before `now`, at which a retraining may begin, and a clause for each thing that delays it.

    Args:
        begun: When earlier retrainings began (UTC), any order, none later than `now`.
        policy: The limits.
        now: The present (UTC).
    """
    earliest, delays = now, []
    newest = sorted(begun, reverse=True)
    if newest and newest[0] + policy.cool_down > now:
        earliest = newest[0] + policy.cool_down
        delays.append(f"the last retraining began at {shown(newest[0])} and {spoken(policy.cool_down)} lie between two")
    if len(newest) >= policy.per_week and newest[policy.per_week - 1] + WEEK > now:
        earliest = max(earliest, newest[policy.per_week - 1] + WEEK)
        delays.append(f"no more than {policy.per_week} may begin within seven days")
    if is_quiet(earliest, policy):
        begin, end = policy.quiet_hours or (None, None)
        delays.append(f"none begins between {begin:%H:%M} and {end:%H:%M} ({policy.timezone})")
        earliest = end_of_quiet(earliest, policy)
    return earliest, delays


def is_quiet(instant: datetime, policy: RetrainingPolicy) -> bool:
    """Whether an instant lies in the quiet hours, as clocks on the wall there show it; equal ends mean none."""
    if policy.quiet_hours is None:
        return False
    begin, end = policy.quiet_hours
    at = instant.astimezone(ZoneInfo(policy.timezone)).time()
    return begin <= at < end if begin <= end else at >= begin or at < end


def end_of_quiet(instant: datetime, policy: RetrainingPolicy) -> datetime:
    """The first end of quiet hours (UTC) after an instant within them.

    On the day when clocks are set forward the end may fall into the hour that is left out; when they are set back it
    comes twice. Whatever is returned is not quiet.
    """
    assert policy.quiet_hours is not None  # noqa: S101 - by the caller
    zone = ZoneInfo(policy.timezone)
    today = instant.astimezone(zone).date()
    ends = [
        datetime.combine(today + days * ONE_DAY, policy.quiet_hours[1], zone).replace(fold=fold).astimezone(UTC)
        for days in range(3)
        for fold in (0, 1)
    ]
    return min(end for end in ends if end > instant and not is_quiet(end, policy))


def shown(instant: datetime) -> str:
    """An instant for people."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def spoken(length: timedelta) -> str:
    """A length of time for people: whole days, else hours."""
    if length >= ONE_DAY and not length % ONE_DAY:
        days = length // ONE_DAY
        return f"{days} day{'s' if days > 1 else ''}"
    return f"{length.total_seconds() / 3600:.3g} hours"
