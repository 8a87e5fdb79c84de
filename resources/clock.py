"""What time it is: the one place from which the line takes the present.

Belongs here: the present instant. Does not belong here: when things happened in the data (`assets/logic/clocks.py`),
and the times Dagster itself stamps on its runs and events.
"""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from resources.errors import ThroughlineError
from resources.objects import ObjectStore


class ClockError(ThroughlineError):
    """The clock of a replay cannot be read; the message names its file."""


class Clock(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """The system's clock, or in a replay the one that stands still until it is set.

    Attributes:
        file: Where the instant of a replay stands as ISO text; None is the system's clock. A file, because Dagster
            copies resources, and the copies of all runs must agree.
    """

    file: str | None = None

    def now(self) -> datetime:
        """The present instant (UTC).

        Raises:
            ClockError: If the file of a replay is absent, or holds no instant with a time zone.
        """
        if self.file is None:
            return datetime.now(UTC)
        path = Path(self.file)
        if not path.is_file():
            raise ClockError(f"the clock of the replay, {path}, has not been set")
        try:
            found = datetime.fromisoformat(path.read_text(encoding="utf-8").strip())
        except ValueError as error:
            raise ClockError(f"the clock of the replay, {path}, holds no instant: {error}") from error
        if found.tzinfo is None:
            raise ClockError(f"the clock of the replay, {path}, holds {found}, which names no time zone")
        return found.astimezone(UTC)

    def set(self, instant: datetime) -> None:
        """Set the clock of a replay.

        Raises:
            ClockError: If this is the system's clock, or the instant names no time zone.
        """
        if self.file is None:
            raise ClockError("the system's clock cannot be set; a replay has a clock with a file of its own")
        if instant.tzinfo is None:
            raise ClockError(f"{instant} names no time zone")
        path = Path(self.file)
        ObjectStore(str(path.parent)).write(path.name, instant.astimezone(UTC).isoformat().encode())
