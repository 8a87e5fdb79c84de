"""What is measured of the line that runs itself, in which homes, and which figures come of it.

Belongs here: the order of these measurements. Does not belong here: what each does in its process (`ticks.py`,
`alive.py`, `rules.py`), and how figures are shown (`report.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.bench.alive import stop
from infra.bench.bench import ENDPOINT, Bench
from infra.bench.children import Measured, measured
from infra.bench.report import DetectionFigure
from infra.bench.subject import QUICK, YEAR, Subject
from resources import processes

PARTS: Final = {"arrival to scores": "arrival_seconds", "alarm to decision": "alarm_seconds"}
TITLES: Final = {
    "arrival to scores": "a day lands: until it is scored, by the daemon",
    "alarm to decision": "a drift alarm: until the new model is judged, by the daemon",
}
SENSORS: Final = ("new_data", "code_change", "monitoring", "alert", "silence")


@dataclass(frozen=True, kw_only=True)
class AutomationBench:
    """The measurements of automation, over homes beside those of the line."""

    bench: Bench

    def run(self, *, quick: bool) -> list[DetectionFigure]:
        """Measure all of it; the days until faults are found. A quick one has no year, and so nothing to judge."""
        self._alive()
        subject = QUICK if quick else YEAR
        env = self._made(subject) if subject is not QUICK else self._env(QUICK)
        self._watched(subject, env)
        return [] if quick else self._rules(subject, env)

    def _alive(self) -> None:
        env = self._made(QUICK)
        self.bench.echo("\nA daemon, a day that lands, and a drift alarm")
        try:
            run = measured("infra.bench.alive", QUICK.name, env=env)
        finally:  # it does so itself, unless it was interrupted
            stop(QUICK.use_case.name, Path(env["THROUGHLINE_HOME"]))
        for span in run.told.stages:
            self.bench.add(PARTS[span.name], TITLES[span.name], "s", [span.seconds])

    def _watched(self, subject: Subject, env: Mapping[str, str]) -> None:
        self.bench.echo("\nTicks of the sensors, and one evening's monitoring")
        run = measured("infra.bench.ticks", subject.name, env=env)
        known = run.told.facts["partitions"]
        for purpose in SENSORS:
            name = f"{subject.use_case.name}_{purpose}_sensor"
            tick = run.told.facts["ticks"][name]
            title = f"a tick of {name.removeprefix(f'{subject.use_case.name}_')}, {known} partitions known"
            self.bench.add(f"{purpose}_tick_ms", title, "ms", [1000 * s for s in tick["seconds"]])
            cpu = [1000 * s for s in tick["cpu_seconds"]]
            self.bench.add(f"{purpose}_tick_cpu_ms", "the same, processor time", "ms", cpu)
        self._reports(run, subject)

    def _reports(self, run: Measured, subject: Subject) -> None:
        policy = subject.use_case.automation
        windows = {"drift_report": policy.drift.window, "performance_report": policy.performance.window}
        for span in run.told.stages:
            title = f"{span.name} of one day, trailing window of {windows[span.name].days} days"
            self.bench.add(f"{span.name}_seconds", title, "s", [span.seconds])
            if (peak := run.peak_mb(span)) is not None:
                self.bench.add(f"{span.name}_mb", f"{span.name}: memory of its process", "MB", [peak])

    def _rules(self, subject: Subject, env: Mapping[str, str]) -> list[DetectionFigure]:
        self.bench.echo("\nThe monitors' rules on quiet days put together anew, and on days with a fault")
        facts = measured("infra.bench.rules", subject.name, env=env).told.facts
        drift, charts = facts["drift"], facts["charts"]
        alarms, windows = drift["alarms"], drift["windows"]
        allowed, independent = drift["chosen"] * 1000, drift["side_by_side"]
        title = (
            f"drift: false alarms in 1,000 quiet windows, drawn from {independent} side by side ({allowed:g} allowed)"
        )
        self.bench.add("drift_false_alarms", title, "", [1000 * alarms / windows])
        apart = charts["days"] / max(charts["alarms"], 1)
        title = f"charts: days between two false alarms ({charts['run_length']} asked for)"
        self.bench.add("chart_run_length", title, "days", [apart])
        return [
            DetectionFigure(
                fault=one["fault"],
                rule=one["rule"],
                tries=one["tries"],
                days=tuple(one["days"]),
                first=tuple(one["first"]),
            )
            for one in facts["faults"]
        ]

    def _made(self, subject: Subject) -> Mapping[str, str]:
        """A home in which the line of a subject has run."""
        env = self._env(subject)
        self.bench.publish(subject.until, env)
        self.bench.echo(f"\nA line over {subject.name}, to be watched")
        try:
            measured("infra.bench.line", subject.name, env=env)
        finally:
            processes.stop(ENDPOINT, home=Path(env["THROUGHLINE_HOME"]))
        return env

    def _env(self, subject: Subject) -> Mapping[str, str]:
        """A home with a landing zone of its own: more lands in it than in that of the line."""
        home = f"automation-{subject.name}"
        return {**self.bench.env(home), "THROUGHLINE_LANDING": str(self.bench.room / home / "landing")}
