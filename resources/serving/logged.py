"""What an endpoint put on record, found again: by time, without the endpoint.

Belongs here: where the segments of a use case are, and which of them can hold an instant. Does not belong here: the
format (`segments.py`, `segment_reading.py`), and what becomes of the records.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from resources.serving.client import Endpoint
from resources.serving.late_labels import FOLDER
from resources.serving.segment_reading import SegmentReader, segments
from resources.serving.segments import SEALED
from resources.serving.target import StateFolder

SLACK: Final = timedelta(hours=1)
"""How far the records of a segment may be out of order: how long an answer waits for the log, at the very most, or how
far a clock is set back."""


@dataclass(frozen=True, kw_only=True)
class LoggedSegment:
    """A segment.

    Attributes:
        path: Where it is.
        size: Bytes now.
        first: When its first record came (UTC): the answer was given, the label was told; None if no whole record says.
        last: The same of its last record.
    """

    path: Path
    size: int
    first: datetime | None
    last: datetime | None

    @property
    def name(self) -> str:
        """Its name, whether or not it is sealed."""
        return self.path.stem

    @property
    def is_sealed(self) -> bool:
        """Whether nothing is added any more."""
        return self.path.suffix == SEALED

    def may_hold(self, begin: datetime, end: datetime) -> bool:
        """Whether an answer of [begin, end) can be in it; of one that does not say, whoever reads learns why."""
        if self.first is None or self.last is None:
            return True
        earliest, latest = min(self.first, self.last) - SLACK, max(self.first, self.last) + SLACK
        return earliest < end and begin <= latest


def log_folder(endpoint: Endpoint, use_case: str) -> Path:
    """Where the endpoint of a use case writes its segments."""
    return StateFolder(Path(endpoint.state_root) / use_case).log


def feedback_folder(endpoint: Endpoint, use_case: str) -> Path:
    """Where the endpoint of a use case keeps the labels it was told."""
    return StateFolder(Path(endpoint.state_root) / use_case).root / FOLDER


def logged_segments(folder: Path, stamp: str = "answered_at") -> list[LoggedSegment]:
    """The segments of a folder, by name; `stamp` is the field of their records that says when."""
    found = []
    for path in segments(folder):
        reader = SegmentReader(path)
        size = path.stat().st_size if path.is_file() else path.with_suffix(SEALED).stat().st_size
        first, last = _instant(reader.first(), stamp), _instant(reader.last(), stamp)
        found.append(LoggedSegment(path=path, size=size, first=first, last=last))
    return found


def label_segments(endpoint: Endpoint, use_case: str) -> list[LoggedSegment]:
    """The segments of the labels that the endpoint of a use case was told."""
    return logged_segments(feedback_folder(endpoint, use_case), "received_at")


def _instant(content: bytes | None, stamp: str) -> datetime | None:
    return None if content is None else instant_of(orjson.loads(content).get(stamp))


def instant_of(value: Any) -> datetime | None:
    """An ISO-8601 time with a zone, in UTC; None if it is none."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return None if found.tzinfo is None else found.astimezone(UTC)
