"""The clock of a replay, as it stands in a file: read by processes that must not load Dagster as well.

Belongs here: reading and setting that instant. Does not belong here: who goes by it (`clock.py`, the endpoint).
"""

from datetime import UTC, datetime
from pathlib import Path

from resources.errors import ThroughlineError
from resources.objects import ObjectStore


class ClockError(ThroughlineError):
    """The clock of a replay cannot be read or set; the message names its file."""


def read_clock(path: Path) -> datetime:
    """The instant of a replay (UTC).

    Raises:
        ClockError: If the file is absent, or holds no instant with a time zone.
    """
    if not path.is_file():
        raise ClockError(f"the clock of the replay, {path}, has not been set")
    try:
        found = datetime.fromisoformat(path.read_text(encoding="utf-8").strip())
    except ValueError as error:
        raise ClockError(f"the clock of the replay, {path}, holds no instant: {error}") from error
    if found.tzinfo is None:
        raise ClockError(f"the clock of the replay, {path}, holds {found}, which names no time zone")
    return found.astimezone(UTC)


def set_clock(path: Path, instant: datetime) -> None:
    """Set it, whole or not at all.

    Raises:
        ClockError: If the instant names no time zone.
    """
    if instant.tzinfo is None:
        raise ClockError(f"{instant} names no time zone")
    ObjectStore(str(path.parent)).write(path.name, instant.astimezone(UTC).isoformat().encode())
