"""What a declaration says of its automation: what is watched, what starts a retraining, how long is kept what.

Belongs here: fields, their meaning for the JSON schema, and what one field cannot hold. Does not belong here: what is
chosen if nothing is said, and what the rest of the declaration contradicts (`automation.py`).
"""

from datetime import timedelta
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from assets.automation import ONE_DAY, Trigger
from pipelines.declared.words import Declared, Hours, Length, did_you_mean, written


def _a_day_or_more(time: timedelta) -> timedelta:
    if time < ONE_DAY:
        raise ValueError(f"is {written(time)}, and needs to be at least 1d")
    return time


def _whole_days(time: timedelta) -> timedelta:
    if _a_day_or_more(time) % ONE_DAY:
        raise ValueError(f"is {written(time)}, and needs to be whole days, such as {time // ONE_DAY}d")
    return time


def _some_time(time: timedelta) -> timedelta:
    if not time:
        raise ValueError("is no time at all, so nothing would ever count")
    return time


def _zone(name: str) -> str:
    if name not in (known := available_timezones()):
        raise ValueError(f"there is no time zone {name!r}; {did_you_mean(name, sorted(known))}")
    return name


Days = Annotated[Length, AfterValidator(_whole_days)]
Age = Annotated[Length, AfterValidator(_a_day_or_more)]


class Drift(Declared):
    """When features, predictions or outcomes count as drifted."""

    window: Days | None = None
    """Trailing days that are compared with what the champion learnt from; by default 14d, by week 28d, by month 91d."""
    false_alarms: float = Field(default=1 / 200, gt=0, lt=0.5)
    """Chance that a quiet window raises an alarm, over all groups of features together."""
    reported_only: tuple[str, ...] | None = None
    """Groups that are measured and shown, but raise no alarm; by default calendar, which moves with the date."""


class Performance(Declared):
    """When the scores of the live model count as out of control."""

    window: Days | None = None
    """Trailing days that a report covers; by default that of drift and the days that outcomes are under way."""
    run_length: int = Field(default=370, ge=20)
    """Days between two false alarms of the control charts, on average, while nothing is wrong."""


class Retraining(Declared):
    """What asks for a retraining, and how often one may begin."""

    triggers: tuple[Trigger, ...] = ("new_data", "code_change", "drift", "performance", "age")
    """What may start one; the rest is put on record as a warning."""
    new_days: int | None = Field(default=None, ge=1)
    """Days with outcomes since the champion's last that ask for one; by default as many as the test has, 28 to 91."""
    every: Age | None = Field(default=timedelta(days=90))
    """A champion older than this is retrained; null: age is no reason."""
    cool_down: Length = Field(default=timedelta(days=3))
    """Shortest time between the beginnings of two."""
    per_week: int = Field(default=2, ge=1)
    """As many may begin within seven days."""
    quiet_hours: Hours | None = None
    """None begins within these hours of the day, such as 07:00-09:00."""
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    """Time zone of the quiet hours; that of the time if it is not said."""
    retries: int = Field(default=1, ge=0)
    """How often a failed one is tried again before it is reported."""
    stale_after: Annotated[Length, AfterValidator(_some_time)] | None = None
    """Evidence older than this decides nothing; by default one partition and a day."""


class Retention(Declared):
    """How long is kept what can be made again, or is only read by people. What a registered model needs, stays."""

    reports: Age = Field(default=timedelta(days=90))
    """HTML reports; their figures stay."""
    model_runs: Age = Field(default=timedelta(days=365))
    """MLflow runs whose model was never champion."""
    events: Age = Field(default=timedelta(days=365))
    """Dagster's events of finished runs."""
    table_versions: Age = Field(default=timedelta(days=30))
    """Versions of lake tables that no registered model needs."""


class Automation(Declared):
    """How the use case runs by itself."""

    hour: int = Field(default=6, ge=0, le=23)
    """Local hour, in the time zone of the time, of the daily monitoring."""
    drift: Drift = Drift()
    """What counts as drift."""
    performance: Performance = Performance()
    """What counts as bad performance."""
    retraining: Retraining = Retraining()
    """What asks for a retraining."""
    retention: Retention = Retention()
    """How long is kept what."""
