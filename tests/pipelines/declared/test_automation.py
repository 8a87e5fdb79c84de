"""The automation of a declaration: what is chosen if nothing is said, and what cannot be."""

from datetime import time, timedelta

import pytest

from assets.automation import TRIGGERS, Automation, RetentionPolicy
from pipelines.declared.build import load_use_case
from pipelines.declared.reading import DeclaredError
from pipelines.declared.schema_automation import Automation as DeclaredAutomation
from pipelines.declared.words import hours
from tests.pipelines.declared.conftest import Declare

LOADS = """
source: {uri: hours.csv}
time: {column: at, zone: America/Chicago}
partitions: {every: day, start: 2024-01-01}
key: [at]
target: {column: load, task: regression, known_after: 1h}
predict: {ahead: 24h}
columns:
  temp: {type: number}
"""


def automation(declare: Declare, said: str = "", text: str = LOADS) -> Automation:
    return load_use_case(declare(text + said)).automation


def refused(declare: Declare, said: str, text: str = LOADS) -> str:
    with pytest.raises(DeclaredError) as caught:
        load_use_case(declare(text + said))
    return str(caught.value).partition("use_case.yaml")[2]


def every(period: str) -> str:
    return LOADS.replace("every: day", f"every: {period}")


def test_all_that_an_automation_holds_can_be_said(declare: Declare) -> None:
    said = """
automation:
  hour: 4
  drift: {window: 14d, false_alarms: 0.01, reported_only: [history, prediction]}
  performance: {window: 3w, run_length: 200}
  retraining:
    triggers: [new_data, age]
    new_days: 7
    every: 45d
    cool_down: 12h
    per_week: 3
    quiet_hours: 22:30-06:00
    timezone: Europe/Berlin
    retries: 0
    stale_after: 36h
  retention: {reports: 10d, model_runs: 20d, events: 30d, table_versions: 40d}
"""
    made = automation(declare, said)
    assert made.hour == 4
    assert (made.drift.window, made.drift.false_alarms) == (timedelta(days=14), 0.01)
    assert made.drift.reported_only == ("history", "prediction")
    assert (made.performance.window, made.performance.run_length) == (timedelta(days=21), 200)
    retraining = made.retraining
    assert retraining.triggers == {"new_data", "age"}
    assert (retraining.new_days, retraining.per_week, retraining.retries) == (7, 3, 0)
    assert (retraining.every, retraining.cool_down) == (timedelta(days=45), timedelta(hours=12))
    assert (retraining.quiet_hours, retraining.timezone) == ((time(22, 30), time(6)), "Europe/Berlin")
    assert retraining.stale_after == timedelta(hours=36)
    days = [timedelta(days=n) for n in (10, 20, 30, 40)]
    assert made.retention == RetentionPolicy(
        **dict(zip(DeclaredAutomation().retention.model_dump(), days, strict=True))
    )


def test_what_can_be_said_is_what_an_automation_holds() -> None:
    said, made = DeclaredAutomation(), Automation()
    assert said.model_dump().keys() == vars(made).keys()
    for part in ("drift", "performance", "retraining", "retention"):
        assert getattr(said, part).model_dump().keys() == vars(getattr(made, part)).keys()


def test_what_does_not_depend_on_partitions_has_the_default_of_python(declare: Declare) -> None:
    made, usual = automation(declare), Automation()
    assert made.retention == usual.retention
    assert made.hour == usual.hour
    assert (made.drift.window, made.drift.false_alarms) == (usual.drift.window, usual.drift.false_alarms)
    assert made.performance == usual.performance
    for name in ("triggers", "every", "cool_down", "per_week", "quiet_hours", "retries", "stale_after"):
        assert getattr(made.retraining, name) == getattr(usual.retraining, name)


@pytest.mark.parametrize(
    ("period", "drift", "performance", "stale"), [("day", 14, 30, 2), ("week", 28, 28, 8), ("month", 91, 91, 32)]
)
def test_windows_and_evidence_suit_the_partitions(
    declare: Declare, period: str, drift: int, performance: int, stale: int
) -> None:
    made = automation(declare, text=every(period))
    assert (made.drift.window.days, made.performance.window.days) == (drift, performance)
    assert made.retraining.stale_after.days == stale


@pytest.mark.parametrize(
    ("period", "test", "days"), [("day", 2, 28), ("day", 60, 60), ("week", 273, 91), ("month", 60, 91)]
)
def test_new_days_are_those_of_the_test_within_bounds(declare: Declare, period: str, test: int, days: int) -> None:
    made = automation(declare, f"split: {{test: {test}d}}\n", every(period))
    assert made.retraining.new_days == days


def test_outcomes_that_are_long_under_way_lengthen_the_window_of_performance(declare: Declare) -> None:
    made = automation(declare, text=LOADS.replace("known_after: 1h", "known_after: 45d"))
    assert (made.drift.window.days, made.performance.window.days) == (14, 75)


def test_quiet_hours_are_those_where_the_days_are_cut(declare: Declare) -> None:
    assert automation(declare).retraining.timezone == "America/Chicago"


def test_the_calendar_raises_no_alarm_unless_it_is_asked_to(declare: Declare) -> None:
    assert automation(declare).drift.reported_only == ("calendar",)
    assert automation(declare, "automation: {drift: {reported_only: []}}\n").drift.reported_only == ()


def test_without_a_calendar_all_groups_raise_alarms(declare: Declare) -> None:
    assert automation(declare, "features: {as_is: [temp]}\n").drift.reported_only == ()


def test_age_can_be_no_reason(declare: Declare) -> None:
    made = automation(declare, "automation: {retraining: {every: null}}\n").retraining
    assert made.every is None
    assert made.triggers == {*TRIGGERS}


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "{drif: {}}",
            ":9 field automation.drif: there is no such field; did you mean 'drift'? Allowed are drift, hour",
        ),
        ("{hour: 24}", ":9 field automation.hour: is 24; input should be less than or equal to 23"),
        ("{drift: {window: 30}}", ":9 field automation.drift.window: 30 is no length of time; write one such as"),
        ("{drift: {window: 12h}}", ":9 field automation.drift.window: is 12h, and needs to be at least 1d"),
        ("{drift: {window: 36h}}", ":9 field automation.drift.window: is 36h, and needs to be whole days, such as 1d"),
        ("{drift: {false_alarms: 0}}", ":9 field automation.drift.false_alarms: is 0; input should be greater than 0"),
        ("{drift: {reported_only: calendar}}", "reported_only: is 'calendar', and must be a list, such as [calendar]"),
        ("{performance: {run_length: 5}}", ":9 field automation.performance.run_length: is 5; input should be greater"),
        (
            "{retraining: {triggers: [drif]}}",
            ":9 field automation.retraining.triggers[0]: is 'drif'; did you mean 'drift'?",
        ),
        ("{retraining: {new_days: 0}}", ":9 field automation.retraining.new_days: is 0; input should be greater"),
        ("{retraining: {every: 3h}}", ":9 field automation.retraining.every: is 3h, and needs to be at least 1d"),
        ("{retraining: {stale_after: 0h}}", ":9 field automation.retraining.stale_after: is no time at all"),
        ("{retraining: {quiet_hours: '7 to 9'}}", ".quiet_hours: '7 to 9' is no span of the day; write one such as"),
        ("{retraining: {quiet_hours: 07:00-07:00}}", ".quiet_hours: '07:00-07:00' ends when it begins; leave the"),
        (
            "{retraining: {timezone: Europe/Berln}}",
            ".timezone: there is no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
        ),
        ("{retention: {reports: 1h}}", ":9 field automation.retention.reports: is 1h, and needs to be at least 1d"),
    ],
)
def test_a_value_that_cannot_be_is_told_by_line_and_field(declare: Declare, said: str, sentence: str) -> None:
    assert sentence in refused(declare, f"automation: {said}\n")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "{drift: {reported_only: [wether]}}",
            ":9 field automation.drift.reported_only: holds ['wether'], which are no",
        ),
        ("{retraining: {every: 2d}}", ":9 field automation.retraining.every: is 2 days, and cool_down forbids another"),
    ],
)
def test_parts_that_do_not_agree_are_told_where_they_are_mended(declare: Declare, said: str, sentence: str) -> None:
    assert sentence in refused(declare, f"automation: {said}\n")


@pytest.mark.parametrize("part", ["drift", "performance"])
@pytest.mark.parametrize(("period", "fits", "short"), [("week", 7, 6), ("month", 31, 30)])
def test_no_window_is_shorter_than_a_partition(declare: Declare, part: str, period: str, fits: int, short: int) -> None:
    said = f"automation:\n  {part}:\n    window: {{}}d\n"
    assert getattr(automation(declare, said.format(fits), every(period)), part).window.days == fits
    told = refused(declare, said.format(short), every(period))
    assert told == f":11 field automation.{part}.window: is {short} days, and a {period} has up to {fits}; allow for it"


def test_a_window_in_which_no_outcome_can_be_known_is_refused(declare: Declare) -> None:
    text = LOADS.replace("known_after: 1h", "known_after: 10d")
    told = refused(declare, "automation: {performance: {window: 10d}}\n", text)
    assert told == (
        ":9 field automation.performance.window: is 10 days, and outcomes are under way for 10; "
        "such a window would hold none"
    )


def test_the_daily_look_may_lie_in_quiet_hours(declare: Declare) -> None:
    # What waits for their end is taken up by the monitoring sensor.
    said = "automation: {hour: 8, retraining: {quiet_hours: 07:00-09:00}}\n"
    assert automation(declare, said).hour == 8


def test_a_further_table_is_not_called_as_a_group_of_the_drift_report(declare: Declare) -> None:
    said = "tables: {label: {source: {uri: label.csv}, columns: {a: {}}}}\n"
    assert ":9 field tables.label: is a name that the drift report needs" in refused(declare, said)


@pytest.mark.parametrize(
    ("text", "span"), [("7:00 - 9:30", (time(7), time(9, 30))), ("22:00-06:00", (time(22), time(6)))]
)
def test_spans_of_the_day_are_read(text: str, span: tuple[time, time]) -> None:
    assert hours(text) == span


def test_what_is_written_out_reads_back() -> None:
    said = DeclaredAutomation.model_validate({"retraining": {"quiet_hours": "22:00-06:00", "every": "45d"}})
    assert DeclaredAutomation.model_validate(said.model_dump(mode="json")) == said
