"""What time it is: the one place from which the line takes the present.

Belongs here: the present instant. Does not belong here: when things happened in the data (`assets/logic/clocks.py`),
and the times Dagster itself stamps on its runs and events.
"""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from resources.clock_file import ClockError, read_clock, set_clock

__all__ = ["Clock", "ClockError"]


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
        return read_clock(Path(self.file))

    def set(self, instant: datetime) -> None:
        """Set the clock of a replay.

        Raises:
            ClockError: If this is the system's clock, or the instant names no time zone.
        """
        if self.file is None:
            raise ClockError("the system's clock cannot be set; a replay has a clock with a file of its own")
        set_clock(Path(self.file), instant)
