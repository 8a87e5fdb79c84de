"""What a use case asks of its automation: what counts as drift, as bad performance, and as a reason to retrain.

Belongs here: policies, plain values with safe defaults. Does not belong here: how they are applied (`assets/logic`),
and what a model must show to go live (`policies.py`).
"""

from dataclasses import dataclass, field
from datetime import time, timedelta
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assets.policies import DeclarationError

Trigger = Literal["new_data", "code_change", "drift", "performance", "age"]
"""What can ask for a retraining."""
TRIGGERS: Final[tuple[Trigger, ...]] = get_args(Trigger)
ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class DriftPolicy:
    """When features, predictions or labels count as drifted.

    Attributes:
        window: Trailing days that are compared with the champion's reference. The longer, the fewer quiet windows the
            reference holds to measure their spread on: with 8 months and 30 days the limits are so wide that a halved
            label rate is never found, with 14 days it is in four windows of five.
        false_alarms: Chance that a quiet window raises an alarm, over all groups of columns together.
        reported_only: Groups that are measured and shown, but raise no alarm.
    """

    window: timedelta = timedelta(days=14)
    false_alarms: float = 1 / 200
    reported_only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.window < ONE_DAY or self.window % ONE_DAY:
            raise DeclarationError(f"drift: window is whole days, at least one, got {self.window}")
        if not 0 < self.false_alarms < 0.5:
            raise DeclarationError(f"drift: false_alarms is a chance between 0 and 0.5, got {self.false_alarms}")


@dataclass(frozen=True, kw_only=True)
class PerformancePolicy:
    """When the scores of the live model count as out of control.

    Attributes:
        window: Trailing days that a report covers.
        run_length: Days between two false alarms of the control charts, on average, while nothing is wrong.
    """

    window: timedelta = timedelta(days=30)
    run_length: int = 370

    def __post_init__(self) -> None:
        if self.window < ONE_DAY or self.window % ONE_DAY:
            raise DeclarationError(f"performance: window is whole days, at least one, got {self.window}")
        if self.run_length < 20:
            raise DeclarationError(f"performance: run_length is at least 20 days, got {self.run_length}")


@dataclass(frozen=True, kw_only=True)
class RetrainingPolicy:
    """What asks for a retraining, and how often one may begin.

    Attributes:
        triggers: What may start one; the rest is put on record as a warning and starts nothing.
        new_days: Days with labels since the champion's last one that ask for a retraining.
        every: A champion older than this is retrained; None: age is no reason.
        cool_down: Shortest time between the beginnings of two retrainings.
        per_week: Retrainings that may begin within seven days.
        quiet_hours: Local times from and until which none begins, such as 7:00 to 9:00; may span midnight.
        timezone: Of the quiet hours.
        retries: How often a failed retraining is tried again before it is reported.
        stale_after: Evidence older than this decides nothing.
    """

    triggers: frozenset[Trigger] = field(default_factory=lambda: frozenset(TRIGGERS))
    new_days: int = 28
    every: timedelta | None = timedelta(days=90)
    cool_down: timedelta = timedelta(days=3)
    per_week: int = 2
    quiet_hours: tuple[time, time] | None = None
    timezone: str = "UTC"
    retries: int = 1
    stale_after: timedelta = timedelta(days=2)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.triggers) - set(TRIGGERS)):
            raise DeclarationError(f"retraining: triggers {unknown} do not exist; known are {list(TRIGGERS)}")
        if self.new_days < 1 or self.per_week < 1 or self.retries < 0:
            raise DeclarationError(f"retraining: new_days and per_week are at least 1, retries at least 0, got {self}")
        if self.every is not None and self.every < ONE_DAY:
            raise DeclarationError(f"retraining: every is at least a day, got {self.every}")
        if self.cool_down < timedelta(0) or self.stale_after <= timedelta(0):
            raise DeclarationError(f"retraining: cool_down and stale_after cannot be negative, got {self}")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise DeclarationError(f"retraining: timezone {self.timezone!r} is not known") from error


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy:
    """How long is kept what can be made again, or is only read by people.

    No table version that a registered model was made from is ever taken away.

    Attributes:
        reports: HTML reports; their figures stay.
        model_runs: MLflow runs whose model was never champion.
        events: Dagster's events of finished runs.
        table_versions: Versions of lake tables that no registered model needs.
    """

    reports: timedelta = timedelta(days=90)
    model_runs: timedelta = timedelta(days=365)
    events: timedelta = timedelta(days=365)
    table_versions: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        for name in ("reports", "model_runs", "events", "table_versions"):
            if getattr(self, name) < ONE_DAY:
                raise DeclarationError(f"retention: {name} is at least a day, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Automation:
    """How a use case runs by itself.

    Attributes:
        hour: Local hour (in the time zone of the partitions) of the daily monitoring.
    """

    drift: DriftPolicy = field(default_factory=DriftPolicy)
    performance: PerformancePolicy = field(default_factory=PerformancePolicy)
    retraining: RetrainingPolicy = field(default_factory=RetrainingPolicy)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    hour: int = 6

    def __post_init__(self) -> None:
        if not 0 <= self.hour <= 23:
            raise DeclarationError(f"automation: hour is 0 to 23, got {self.hour}")
