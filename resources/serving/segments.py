"""Segments of the prediction log, as they are written: append-only files of checksummed lines on local disk.

Belongs here: the format of a line, names, and what becomes of a segment the disk refused. Does not belong here: one
segment after the other (`segment_writer.py`), and reading (`segment_reading.py`).

    <worker>-<sequence>.open    being written; its writer holds a lock on it, which the system frees when that dies
    <worker>-<sequence>.log     sealed: complete, on disk, never touched again

`<worker>` is `<start, UTC>-<pid>-<random>`, so several processes may write into one folder, each into segments of its
own. A line is `<crc32 of what follows, 8 hex digits> <one JSON object>`; the first is a header with the format version.
"""

import errno
import fcntl
import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from resources.serving.checked_lines import line_of

FORMAT: Final = "prediction-log"
FORMAT_VERSION: Final = 1
OPEN: Final = ".open"
SEALED: Final = ".log"
MODE: Final = 0o600
"""What was asked and answered is for the owner of the endpoint only."""
_flush = getattr(os, "fdatasync", os.fsync)
"""Linux need not bring the time of the last change to disk; elsewhere there is only the whole."""


def worker_name() -> str:
    """A name for this process that no other has or had: start (UTC), process id, something random."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}-{secrets.token_hex(4)}"


class Segment:
    """One segment while it is written. Not for several threads."""

    def __init__(self, folder: Path, worker: str, sequence: int) -> None:
        """Create it, with its header.

        Raises:
            OSError: If the disk refuses; then nothing is left of it.
        """
        self.path = folder / f"{worker}-{sequence:06d}{OPEN}"
        self.opened_at = time.monotonic()
        self.is_new = True
        """Its name may not be on disk yet."""
        hidden = folder / f".{self.path.name}.tmp"
        self._file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, MODE)
        try:
            # Locked before it can be seen under its name: nobody takes it for one whose writer died.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            facts = {"format": FORMAT, "format_version": FORMAT_VERSION, "worker": worker}
            header = line_of(orjson.dumps({**facts, "opened_at": datetime.now(UTC)}))
            self.size = self._header_size = 0
            self.append(header)
            self._header_size = len(header)
            hidden.rename(self.path)
        except OSError:
            os.close(self._file)
            hidden.unlink(missing_ok=True)
            raise

    def append(self, lines: bytes) -> None:
        """Write whole lines; if that fails, `size` still ends with the last line that was whole.

        Raises:
            OSError: If the disk refuses; some of `lines` may be there, up to half a line.
        """
        left = memoryview(lines)
        while left:
            left = left[os.write(self._file, left) :]
        self.size += len(lines)

    def sync(self) -> None:
        """Bring what was written to disk, and the name with it.

        Raises:
            OSError: If that fails. It is not known then what is on disk, and asking again would not tell: the system
                forgets what it could not write. So it is if somebody deleted the file.
        """
        if not os.fstat(self._file).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was deleted while it was written", str(self.path))
        _flush(self._file)
        if self.is_new:
            sync_folder(self.path.parent)
            self.is_new = False

    def seal(self) -> None:
        """Complete it: on disk, under its last name. One without a record is taken away.

        Raises:
            OSError: If it could not be brought to disk, or not be renamed; it is closed all the same.
        """
        try:
            if self.size > self._header_size:
                self.sync()
        finally:
            self._close()

    def abandon(self, size: int) -> None:
        """Give it up after a failure: cut it back to `size` bytes and close it, however far that is possible."""
        try:
            os.ftruncate(self._file, size)
            self.size = size
        finally:
            self._close()

    def _close(self) -> None:
        try:
            if self.size > self._header_size:
                self.path.rename(self.path.with_suffix(SEALED))
            else:
                self.path.unlink()
        finally:
            os.close(self._file)


def seal_left_open(folder: Path) -> list[str]:
    """Seal the segments of writers that died; returns their names.

    A writer that lives holds the lock of its segment, so its process id need not be looked up: that may be another
    program's by now, or be counted otherwise where this is called.
    """
    sealed = []
    for path in sorted(folder.glob(f"[!.]*{OPEN}")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            path.rename(path.with_suffix(SEALED))
        sealed.append(path.stem)
    return sealed


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
