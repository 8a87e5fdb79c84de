"""Which sensor or schedule has the run of a decision in hand, so that no two launch it.

Belongs here: that note on disk. Does not belong here: what is handed out (`retraining.py`). To be used in turn only.

Dagster launches a run key once per sensor, so a sensor may be given the same run again. Another one may not: the tick
of a sensor that was interrupted is resumed for a day, with the runs it was given, without asking again. A schedule's
tick is resumed by asking again, so its runs may go to anybody.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from resources.objects import ObjectStore

LAUNCHED_WITHIN: Final = timedelta(minutes=2)
"""A daemon launches what a tick asked for within seconds; by then, whoever has it in hand was killed."""
RESUMED_WITHIN: Final = timedelta(hours=25)
"""Dagster resumes interrupted ticks of sensors for 24 hours."""
SCHEDULE: Final = "_schedule"
"""Ending of the name of a schedule."""


@dataclass(frozen=True)
class Claims:
    """The note about the decision that was handed out last, a file."""

    path: Path

    def take(self, decision: str, feeder: str) -> bool:
        """Whether a feeder may launch the run of a decision now; if so it has it in hand.

        Time is that of the machine: daemons live by it in a replay too. Should that be set back, a note of the future
        counts by its distance.
        """
        now = datetime.now(UTC)
        if self.path.is_file():
            note = json.loads(self.path.read_bytes())
            if note["decision"] == decision:
                may_be_resumed = note["feeder"] != feeder and not note["feeder"].endswith(SCHEDULE)
                limit = RESUMED_WITHIN if may_be_resumed else LAUNCHED_WITHIN
                if abs(now - datetime.fromisoformat(note["at"])) < limit:
                    return False
        note = {"decision": decision, "feeder": feeder, "at": now.isoformat()}
        ObjectStore(str(self.path.parent)).write(self.path.name, json.dumps(note).encode())
        return True
