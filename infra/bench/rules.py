"""How often the monitors' rules alarm without a fault, and how soon with one; started by `children.measured`.

Belongs here: which rules are tried on what, how often. Does not belong here: trying one (`alarms.py`), and the faults
(`watched_days.py`).
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from infra.bench.alarms import Found, chart_delays, drift_delays, quiet_chart_alarms, quiet_drift_alarms
from infra.bench.children import spent, tell
from infra.bench.subject import SUBJECTS
from infra.bench.watched_days import FAULTS, SEED, WatchedDays
from resources.environments import resources_for
from resources.settings import Settings

QUIET_WINDOWS: Final = 1000
"""Each takes some 0.1 s."""
CHARTED_WORLDS: Final = 40
FAULTY_WORLDS: Final = 100


def main(started: str, result: str, subject: str, windows: str = str(QUIET_WINDOWS)) -> None:
    """Try the rules on the days of the champion of a finished home, and tell alarms and delays.

    Args:
        started: When this process was started, seconds since 1970.
        result: File to tell it in.
        subject: One of `SUBJECTS`.
        windows: Quiet windows that the drift rule is tried on.
    """
    use_case, resources = SUBJECTS[subject].use_case, resources_for(Settings())
    watched = WatchedDays(use_case=use_case, lake=resources["lake"], registry=resources["registry"])
    drift, performance = use_case.automation.drift, use_case.automation.performance
    quiet, charted = watched.drift_days(), watched.chart_days()
    window, length = performance.window.days, performance.run_length
    charts = watched.in_control.charts(window=window, run_length=length, seed=use_case.seed)
    alarms = quiet_drift_alarms(quiet, drift, np.random.default_rng(SEED), int(windows))
    days, began = quiet_chart_alarms(charted, window, length, np.random.default_rng(SEED), CHARTED_WORLDS)
    found: list[dict[str, Any]] = []
    for fault, plant in FAULTS.items():
        by_drift = drift_delays(quiet, watched.drift_days(plant), drift, np.random.default_rng(SEED), FAULTY_WORLDS)
        by_charts = chart_delays(charts, charted, watched.chart_days(plant), np.random.default_rng(SEED), FAULTY_WORLDS)
        found += [_told(fault, "drift", by_drift), _told(fault, "control charts", by_charts)]
    facts = {
        "drift": {
            "windows": int(windows),
            "alarms": alarms,
            "side_by_side": len(quiet) // drift.window.days,
            "chosen": drift.false_alarms,
        },
        "charts": {"days": days, "alarms": began, "known_days": len(charted), "run_length": length},
        "faults": found,
    }
    tell(Path(result), spent(float(started)), facts=facts)


def _told(fault: str, rule: str, found: Found) -> dict[str, Any]:
    return {"fault": fault, "rule": rule, **asdict(found)}


if __name__ == "__main__":
    main(*sys.argv[1:])
