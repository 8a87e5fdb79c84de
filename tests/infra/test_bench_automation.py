"""The bench of automation: days put together anew, alarms without a fault, and days until a fault is found."""

from dataclasses import replace
from datetime import timedelta

import numpy as np

from assets.automation import DriftPolicy
from assets.logic.chart_limits import calibrated
from infra.bench import alarms
from infra.bench.alarms import DriftDays
from infra.bench.report import DetectionFigure
from infra.bench.resampled import drawn, shuffled
from tests.support.quiet_worlds import GROUPS, bins, counted, quiet_days

POLICY = DriftPolicy(window=timedelta(days=15))
DAYS = quiet_days(np.random.default_rng(5), 240, sum(GROUPS.values()), memory=0.5)
QUIET = DriftDays(counted=counted(DAYS), bins=bins(), usage={})
CHARTED = np.random.default_rng(6).standard_normal((31, 3))
FOUND = DetectionFigure(fault="a fault", rule="a rule", tries=4, days=(7, 3, 5), first=("weather",))


def test_shuffled_days_are_whole_blocks_and_none_is_there_twice() -> None:
    days = shuffled(np.random.default_rng(1), 100, 10)
    assert len(set(days.tolist())) == len(days) >= 90
    assert (np.diff(days.reshape(-1, 10), axis=1) == 1).all()
    assert days.tolist() != sorted(days.tolist())


def test_drawn_days_are_as_many_as_wanted_in_blocks() -> None:
    days = drawn(np.random.default_rng(1), 31, 5, 33)
    assert (len(days), days.min() >= 0, days.max() < 31) == (33, True, True)
    assert (np.diff(days[:30].reshape(-1, 5), axis=1) == 1).all()


def test_drawn_weeks_begin_on_the_same_weekday_and_not_always_on_the_same_one() -> None:
    starts = [drawn(np.random.default_rng(seed), 100, 7, 70, step=7)[::7] % 7 for seed in range(20)]
    assert all(len(set(weekday)) == 1 for weekday in starts)
    assert len({weekday[0] for weekday in starts}) > 1


def test_quiet_windows_of_the_same_world_raise_few_alarms() -> None:
    assert alarms.quiet_drift_alarms(QUIET, POLICY, np.random.default_rng(2), 60) <= 2


def test_a_rule_that_alarms_at_once_is_told_from_one_that_does_not() -> None:
    nervous = replace(POLICY, false_alarms=0.45)
    assert alarms.quiet_drift_alarms(QUIET, nervous, np.random.default_rng(2), 60) > 5


def test_a_fault_in_the_columns_is_found_after_some_days_and_named() -> None:
    moved = DAYS.copy()
    moved[:, 0] = 0
    moved[:, 0, -1] = 300
    faulty = replace(QUIET, counted=counted(moved))
    found = alarms.drift_delays(QUIET, faulty, POLICY, np.random.default_rng(3), 20)
    assert len(found.days) == found.tries
    assert 1 <= min(found.days) <= max(found.days) < POLICY.window.days
    assert found.first == ("weather",)


def test_no_fault_is_found_where_there_is_none() -> None:
    found = alarms.drift_delays(QUIET, QUIET, POLICY, np.random.default_rng(3), 20)
    assert (found.tries, found.days) == (20, ())


def test_charts_are_watched_as_long_as_false_alarms_are_to_be_apart() -> None:
    days, began = alarms.quiet_chart_alarms(CHARTED, 30, 100, np.random.default_rng(4), 3)
    assert days == 300
    assert began <= 12


def test_a_residual_that_is_off_is_found_by_the_charts_and_named() -> None:
    charts = calibrated(CHARTED, window=30, run_length=370, seed=1)
    shifted = CHARTED + np.array([3.0, 0.0, 0.0])
    found = alarms.chart_delays(charts, CHARTED, shifted, np.random.default_rng(5), 30)
    assert len(found.days) == found.tries > 20
    assert max(found.days) < 15
    assert found.first[0].startswith("residual")


def test_days_until_a_fault_is_found_count_all_worlds() -> None:
    assert [FOUND.days_for(share) for share in (0.25, 0.5, 0.75, 0.9)] == [3, 5, 7, None]
    assert FOUND.share == 0.75
