"""The state folder of a replay: what it is of, how far it came, and what its sensors remember.

Belongs here: the files that make a replay resumable, and the refusal to mix two. Does not belong here: lake, landing
zone and models of the replay (`world.py`), and what happens on a day (`days.py`).
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from resources.errors import ThroughlineError
from resources.objects import ObjectStore

ABOUT: Final = "replay.json"
JOURNAL: Final = "days.jsonl"
TODAY: Final = "today.jsonl"
"""What happened so far on the day that is not over; lines of another day are of one that is."""
MEMORY: Final = "memory.json"
ONE_DAY: Final = timedelta(days=1)


class ReplayError(ThroughlineError):
    """A replay cannot begin or go on; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a replay is of.

    Attributes:
        first: First day that is replayed; the line has taken in everything before it.
        initial: Number of the first champion's version; None until the line has come up to the first day.
    """

    use_case: str
    first: date
    initial: int | None = None


@dataclass(frozen=True)
class ReplayFolder:
    """The folder of one replay. Every file in it is written whole or not at all."""

    root: Path

    def begin(self, use_case: str, first: date, *, afresh: bool = False) -> About:
        """Begin a replay here, or go on with the one that began on the same day.

        Args:
            use_case: Its name.
            first: First day that is replayed.
            afresh: Take away a replay that is here already.

        Raises:
            ReplayError: If the folder holds another replay (and `afresh` is not asked for), or no replay at all but
                something else.
        """
        if self.root.is_dir() and any(self.root.iterdir()) and not (self.root / ABOUT).is_file():
            raise ReplayError(f"{self.root} holds something that is no replay; a replay needs a folder of its own")
        if afresh and self.root.is_dir():
            shutil.rmtree(self.root)
        if not (self.root / ABOUT).is_file():
            self.write_about(About(use_case=use_case, first=first))
        about = self.about()
        if (about.use_case, about.first) != (use_case, first):
            raise ReplayError(
                f"{self.root} holds a replay of {about.use_case} from {about.first}, which can only go on as such; "
                "give the same first day, or begin anew with --afresh, which deletes it"
            )
        return about

    def about(self) -> About:
        """What the replay is of."""
        said = json.loads((self.root / ABOUT).read_text(encoding="utf-8"))
        return About(use_case=said["use_case"], first=date.fromisoformat(said["first"]), initial=said["initial"])

    def write_about(self, about: About) -> None:
        """Put on record what the replay is of."""
        self._write(ABOUT, {"use_case": about.use_case, "first": str(about.first), "initial": about.initial})

    def days(self) -> list[dict[str, Any]]:
        """What happened on each day that is over, in their order."""
        path = self.root / JOURNAL
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    def next_day(self) -> date:
        """The first day that is not over."""
        over = self.days()
        return date.fromisoformat(over[-1]["day"]) + ONE_DAY if over else self.about().first

    def add_day(self, day: Mapping[str, Any]) -> None:
        """Put a day that is over on record."""
        lines = [json.dumps(record) for record in (*self.days(), day)]
        ObjectStore(str(self.root)).write(JOURNAL, ("\n".join(lines) + "\n").encode())

    def note(self, kind: Literal["runs", "faults"], happened: Mapping[str, Any]) -> None:
        """Put on record what happened on the day that is not over."""
        lines = [*self._today(), {"day": str(self.next_day()), "kind": kind, "happened": happened}]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        ObjectStore(str(self.root)).write(TODAY, text.encode())

    def noted(self) -> dict[str, list[dict[str, Any]]]:
        """What is on record of the day that is not over, in its order: `runs` and `faults`."""
        return {kind: [n["happened"] for n in self._today() if n["kind"] == kind] for kind in ("runs", "faults")}

    def cursor(self, sensor: str) -> str | None:
        """What a sensor wrote down at its last tick."""
        found: str | None = self._memory().get("cursors", {}).get(sensor)
        return found

    def remember(self, sensor: str, cursor: str | None) -> None:
        """Keep what a sensor wrote down."""
        memory = self._memory()
        self._write(MEMORY, {**memory, "cursors": {**memory.get("cursors", {}), sensor: cursor}})

    def fired_until(self) -> datetime | None:
        """The schedules that fired until then (inclusive) have been carried out; None if none has."""
        found = self._memory().get("fired_until")
        return None if found is None else datetime.fromisoformat(found)

    def fired(self, until: datetime) -> None:
        """Put on record that the schedules up to an instant have been carried out."""
        self._write(MEMORY, {**self._memory(), "fired_until": until.isoformat()})

    def _today(self) -> list[dict[str, Any]]:
        path, day = self.root / TODAY, str(self.next_day())
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [line for line in map(json.loads, lines) if line["day"] == day]

    def _memory(self) -> dict[str, Any]:
        path = self.root / MEMORY
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found

    def _write(self, name: str, content: Mapping[str, object]) -> None:
        ObjectStore(str(self.root)).write(name, json.dumps(content, indent=1).encode())
