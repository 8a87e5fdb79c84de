"""What a use case will do by itself is said before it runs, chosen values included."""

from dataclasses import replace
from datetime import time

from assets.automation import Automation, DriftPolicy, RetrainingPolicy
from pipelines.starting.automation_told import told
from tests.support.toy_use_case import TOY


def test_defaults_are_told() -> None:
    assert [*told(TOY)] == [
        "watched                  daily at 6:00 UTC",
        "  drift                    over 14d, 0.50% false alarms",
        "  performance              over 30d, a false alarm in 370d",
        "retrained                for 28 new days with outcomes, changed code, drift, performance, an age of 90d",
        "  at most 2 in a week, 3d apart",
    ]


def test_what_was_said_is_told() -> None:
    retraining = RetrainingPolicy(
        triggers=frozenset({"drift", "age"}), every=None, quiet_hours=(time(7), time(9)), timezone="Europe/Berlin"
    )
    automation = Automation(drift=DriftPolicy(reported_only=("history", "label")), retraining=retraining)
    lines = [*told(replace(TOY, automation=automation))]
    assert lines[1].endswith("false alarms, not by history, label")
    assert lines[3:] == [
        "retrained                for drift",
        "  at most 2 in a week, 3d apart, not from 07:00 to 09:00 Europe/Berlin",
    ]


def test_without_triggers_a_person_retrains() -> None:
    automation = Automation(retraining=RetrainingPolicy(triggers=frozenset()))
    assert "retrained                by hand only" in [*told(replace(TOY, automation=automation))]
