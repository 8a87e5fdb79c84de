"""What the prediction log promises, and what it takes.

Belongs here: the two ways of keeping answers, and the form in which they come. Does not belong here: carrying it out
(`prediction_log.py`).
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from resources.errors import EndpointError


class NotLoggedError(EndpointError):
    """An answer that is not on record, though it has to be; it must not be given."""


class Loggable(Protocol):
    """An answer as the log takes it."""

    @property
    def rows(self) -> int:
        """How many records it holds."""
        ...

    def encode(self) -> list[bytes]:
        """One JSON object per row, without line ends.

        Called by who hands it over, or, where it holds many rows or could not be encoded then, by the writer.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LogPolicy:
    """How safe the log is, and how much it may hold.

    Attributes:
        durability: `fast`: answers are handed over and nobody waits; what the disk refuses is lost and counted, and
            what was written within the last `fsync_every_s` does not outlive a loss of power. A killed process loses
            what waits, some milliseconds. `durable`: an answer is given once it is on disk.
        fsync_every_s: Of the fast way: seconds after which what was written is brought to disk.
        max_segment_bytes: Size that seals a segment.
        max_segment_age_s: Age that seals a segment.
        max_waiting_rows: More are not taken; 20,000 are about 40 MB at 100 features a row.
    """

    durability: Literal["fast", "durable"] = "fast"
    fsync_every_s: float = 1.0
    max_segment_bytes: int = 64 * 1024 * 1024
    max_segment_age_s: float = 3600.0
    max_waiting_rows: int = 20_000

    def __post_init__(self) -> None:
        numbers = (self.fsync_every_s, self.max_segment_bytes, self.max_segment_age_s, self.max_waiting_rows)
        if self.durability not in ("fast", "durable") or min(numbers) <= 0:
            raise EndpointError(f"the prediction log is fast or durable, and its limits are positive; got {self}")

    @property
    def is_durable(self) -> bool:
        """Whether answers wait for their record."""
        return self.durability == "durable"
