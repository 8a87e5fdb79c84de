"""What a person sees while jobs run from the command line: what runs, how far, how long.

Belongs here: turning Dagster's events into lines of text. Does not belong here: starting anything (`line.py`).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg
from dagster import DagsterEventType, EventLogEntry

Echo = Callable[[str], None]


@dataclass(kw_only=True)
class Progress:
    """Prints one line when a step starts, when it says something, when a check fails, and when it ends.

    Attributes:
        echo: Where lines go.
        steps: How many steps the run has.
    """

    echo: Echo
    steps: int
    started: float = field(default_factory=time.monotonic)
    _done: int = 0
    _since: dict[str, float] = field(default_factory=dict)

    def __call__(self, entry: EventLogEntry) -> None:
        """Receive one event of the run."""
        step = entry.step_key or ""
        event = entry.dagster_event
        if event is None:
            if step and int(entry.level) >= logging.INFO:  # what a stage says of itself
                name = _short(step)
                self._say(f"{name}: {entry.user_message.removeprefix(f'{name}: ')}")
        elif event.event_type is DagsterEventType.STEP_START:
            self._since[step] = time.monotonic()
            self._say(f"[{self._done + 1}/{self.steps}] {_short(step)} ...")
        elif event.event_type is DagsterEventType.STEP_SUCCESS:
            self._done += 1
            self._say(
                f"[{self._done}/{self.steps}] {_short(step)} done in {time.monotonic() - self._since[step]:.1f} s"
            )
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            self._checked(event.asset_check_evaluation_data)

    def _checked(self, check: dg.AssetCheckEvaluation) -> None:
        if not check.passed:
            asset = check.asset_key.path[-1]
            self._say(f"{asset}: check {check.check_name} failed ({check.severity.value}) {check.description or ''}")

    def _say(self, text: str) -> None:
        self.echo(f"{time.monotonic() - self.started:7.1f} s  {text.rstrip()}")


def _short(step: str) -> str:
    """Last part of a step key such as `flight_delays__features`."""
    return step.rsplit("__", maxsplit=1)[-1]
