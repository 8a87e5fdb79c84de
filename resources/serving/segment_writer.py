"""The segments of one process, one after the other: when a new one begins, and when the disk is asked.

Belongs here: rotation, and going on after the disk refused. Does not belong here: a single segment (`segments.py`), and
who waits for a write (`prediction_log.py`).
"""

import time
from pathlib import Path

from resources.serving.log_policy import LogPolicy
from resources.serving.segments import Segment


class SegmentWriter:
    """The segments of one process, one after the other. Not for several threads."""

    def __init__(self, folder: Path, worker: str, policy: LogPolicy) -> None:
        """Take where to write, under which name, and the limits; nothing is touched before the first write."""
        self._folder, self._worker, self._policy = folder, worker, policy
        self._segment: Segment | None = None
        self._sequence = 0
        self._unsynced_since: float | None = None

    @property
    def due_at(self) -> float | None:
        """When it has to be looked after without any write (`time.monotonic`); None: not before the next one."""
        due = []
        if self._segment is not None:
            due.append(self._segment.opened_at + self._policy.max_segment_age_s)
        if self._unsynced_since is not None:
            due.append(self._unsynced_since + self._policy.fsync_every_s)
        return min(due, default=None)

    def write(self, lines: bytes, *, durably: bool = False) -> None:
        """Append whole lines; on return they can be read, and if `durably`, they outlive a loss of power.

        Raises:
            OSError: If the disk refuses. None of `lines` is there then, unless the disk did not even let go of them,
                and the next write begins a new segment.
        """
        segment = self._segment or self._opened()
        before = segment.size
        try:
            segment.append(lines)
            if durably:
                segment.sync()
        except OSError:
            self._segment = self._unsynced_since = None
            segment.abandon(before)
            raise
        if durably:
            self._unsynced_since = None
        elif self._unsynced_since is None:
            self._unsynced_since = time.monotonic()

    def look_after(self) -> None:
        """Bring to disk what was written long enough ago, and seal the segment if it is full or old.

        Raises:
            OSError: If that fails; the lines stay as they are, and the next write begins a new segment.
        """
        segment, now = self._segment, time.monotonic()
        if segment is None:
            return
        is_old = now >= segment.opened_at + self._policy.max_segment_age_s
        if is_old or segment.size >= self._policy.max_segment_bytes:
            self.close()
        elif self._unsynced_since is not None and now >= self._unsynced_since + self._policy.fsync_every_s:
            self._sync(segment)

    def close(self) -> None:
        """Seal the open segment, if there is one; a later write begins another.

        Raises:
            OSError: If it could not be sealed.
        """
        segment, self._segment, self._unsynced_since = self._segment, None, None
        if segment is not None:
            segment.seal()

    def _sync(self, segment: Segment) -> None:
        self._unsynced_since = None
        try:
            segment.sync()
        except OSError:
            self._segment = None
            segment.abandon(segment.size)
            raise

    def _opened(self) -> Segment:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sequence += 1
        self._segment = Segment(self._folder, self._worker, self._sequence)
        return self._segment
