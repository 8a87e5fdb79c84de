"""A policy that makes no sense is refused when it is made, by the name of what is wrong; the defaults are safe."""

from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest

from assets.automation import (
    TRIGGERS,
    Automation,
    DriftPolicy,
    PerformancePolicy,
    RetentionPolicy,
    RetrainingPolicy,
)
from assets.policies import DeclarationError

NONE, HOURS = timedelta(0), timedelta(hours=36)


@pytest.mark.parametrize(
    ("policy", "values", "says"),
    [
        (DriftPolicy, {"window": NONE}, "drift: window is whole days, at least one"),
        (DriftPolicy, {"window": HOURS}, "drift: window is whole days, at least one"),
        (DriftPolicy, {"window": -timedelta(days=1)}, "drift: window is whole days, at least one"),
        (DriftPolicy, {"false_alarms": 0.0}, "drift: false_alarms is a chance between 0 and 0.5"),
        (DriftPolicy, {"false_alarms": 0.5}, "drift: false_alarms is a chance between 0 and 0.5"),
        (DriftPolicy, {"false_alarms": float("nan")}, "drift: false_alarms is a chance between 0 and 0.5"),
        (PerformancePolicy, {"window": NONE}, "performance: window is whole days, at least one"),
        (PerformancePolicy, {"window": HOURS}, "performance: window is whole days, at least one"),
        (PerformancePolicy, {"run_length": 19}, "performance: run_length is at least 20 days, got 19"),
        (
            RetrainingPolicy,
            {"triggers": frozenset({"moon"})},
            r"retraining: triggers \['moon'\] do not exist; known are",
        ),
        (RetrainingPolicy, {"new_days": 0}, "retraining: new_days and per_week are at least 1"),
        (RetrainingPolicy, {"per_week": 0}, "retraining: new_days and per_week are at least 1"),
        (RetrainingPolicy, {"retries": -1}, "retries at least 0"),
        (RetrainingPolicy, {"every": timedelta(hours=23)}, "retraining: every is at least a day"),
        (RetrainingPolicy, {"cool_down": -HOURS}, "retraining: cool_down and stale_after cannot be negative"),
        (RetrainingPolicy, {"stale_after": NONE}, "retraining: cool_down and stale_after cannot be negative"),
        (RetrainingPolicy, {"timezone": "Europe/Berln"}, "retraining: timezone 'Europe/Berln' is not known"),
        (RetrainingPolicy, {"timezone": ""}, "retraining: timezone '' is not known"),
        (RetentionPolicy, {"reports": NONE}, "retention: reports is at least a day"),
        (RetentionPolicy, {"model_runs": NONE}, "retention: model_runs is at least a day"),
        (RetentionPolicy, {"events": NONE}, "retention: events is at least a day"),
        (RetentionPolicy, {"table_versions": NONE}, "retention: table_versions is at least a day"),
        (Automation, {"hour": 24}, "automation: hour is 0 to 23, got 24"),
        (Automation, {"hour": -1}, "automation: hour is 0 to 23, got -1"),
    ],
)
def test_nonsense_is_refused_by_name(policy: Any, values: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        policy(**values)


@pytest.mark.parametrize(
    ("policy", "values"),
    [
        (DriftPolicy, {"window": timedelta(days=1)}),
        (PerformancePolicy, {"run_length": 20}),
        (RetrainingPolicy, {"triggers": frozenset()}),
        (RetrainingPolicy, {"every": None}),
        (RetrainingPolicy, {"every": timedelta(days=1), "cool_down": NONE}),
        (RetrainingPolicy, {"retries": 0}),
        (RetentionPolicy, {"reports": timedelta(days=1)}),
        (Automation, {"hour": 0}),
        (Automation, {"hour": 23}),
    ],
)
def test_the_least_that_makes_sense_is_taken(policy: Any, values: dict[str, Any]) -> None:
    made = policy(**values)
    assert {name: getattr(made, name) for name in values} == values


def test_by_default_everything_is_watched_and_every_trigger_counts() -> None:
    automation = Automation()
    assert automation.drift.reported_only == ()
    assert automation.retraining.triggers == {*TRIGGERS} == {"new_data", "code_change", "drift", "performance", "age"}
    assert automation.retraining.every is not None


def test_a_quiet_line_is_disturbed_less_than_twice_a_year() -> None:
    automation = Automation()
    # A window is judged daily, but consecutive ones share all days but one: 12 are apart in a year.
    assert 12 * automation.drift.false_alarms < 1
    assert automation.performance.run_length > 365


def test_a_policy_cannot_be_changed_once_made() -> None:
    with pytest.raises(FrozenInstanceError):
        Automation().hour = 7  # type: ignore[misc]
