"""The automation of a declaration: what is said, and where nothing is said, what suits its partitions and split.

Belongs here: choices by the declaration alone, and contradictions told where they are mended. Does not belong here: the
fields (`schema_automation.py`), and how an automation is carried out.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Final

from assets.automation import ONE_DAY, Automation, DriftPolicy, PerformancePolicy, RetentionPolicy, RetrainingPolicy
from assets.automation_fit import contradictions
from assets.partitions import Partitions, Period
from pipelines.declared.reading import Mistake
from pipelines.declared.schema import UseCaseDeclaration

DRIFT_WINDOW: Final[Mapping[Period, int]] = {"day": 14, "week": 28, "month": 91}
"""Days of a window: two weeks of days, four weeks, three months (91 days hold three whole ones or nearly so)."""
PERFORMANCE_WINDOW: Final[Mapping[Period, int]] = {"day": 30, "week": 28, "month": 91}
FEWEST_NEW_DAYS: Final[Mapping[Period, int]] = {"day": 28, "week": 28, "month": 91}
MOST_NEW_DAYS: Final = 91
"""A test as long as a year still leaves a model of last quarter worth replacing."""
CALENDAR: Final = "calendar"
"""Group of the features that follow from the date: they move with it, and say nothing of the data."""


def automation_of(declared: UseCaseDeclaration, partitions: Partitions, groups: Collection[str]) -> Automation:
    """The automation of a use case.

    Args:
        declared: The declaration.
        partitions: Those it declares.
        groups: Groups of its features.
    """
    said, every = declared.automation, partitions.every
    window = said.drift.window or DRIFT_WINDOW[every] * ONE_DAY
    reported_only = said.drift.reported_only
    if reported_only is None:
        reported_only = (CALENDAR,) if CALENDAR in groups else ()
    retraining = said.retraining
    return Automation(
        hour=said.hour,
        drift=DriftPolicy(window=window, false_alarms=said.drift.false_alarms, reported_only=reported_only),
        performance=PerformancePolicy(
            window=said.performance.window or PERFORMANCE_WINDOW[every] * ONE_DAY + under_way(declared),
            run_length=said.performance.run_length,
        ),
        retraining=RetrainingPolicy(
            triggers=frozenset(retraining.triggers),
            new_days=retraining.new_days or _new_days(declared, every),
            every=retraining.every,
            cool_down=retraining.cool_down,
            per_week=retraining.per_week,
            quiet_hours=retraining.quiet_hours,
            timezone=retraining.timezone or partitions.timezone,
            retries=retraining.retries,
            stale_after=retraining.stale_after or partitions.longest + ONE_DAY,
        ),
        retention=RetentionPolicy(**dict(said.retention)),
    )


def automation_mistakes(
    declared: UseCaseDeclaration, automation: Automation, partitions: Partitions, groups: Collection[str]
) -> Iterator[Mistake]:
    """What the automation and the rest of the declaration say against one another."""
    for loc, sentence in contradictions(automation, partitions, groups):
        yield Mistake(loc=("automation", *loc), sentence=sentence)
    window, wait = automation.performance.window, under_way(declared)
    if window <= wait:
        says = f"is {window.days} days, and outcomes are under way for {wait.days}; such a window would hold none"
        yield Mistake(loc=("automation", "performance", "window"), sentence=says)


def under_way(declared: UseCaseDeclaration) -> timedelta:
    """How long outcomes are under way at most, in whole days; those of less than a day count as at once."""
    target = declared.target
    after = target.delay_at_most if target.known_at is not None else target.known_after or timedelta(0)
    return timedelta(days=after.days)


def _new_days(declared: UseCaseDeclaration, every: Period) -> int:
    """As many as the test has, so that a challenger is judged on days that no promotion has seen."""
    return min(max(FEWEST_NEW_DAYS[every], declared.split.test.days), MOST_NEW_DAYS)
