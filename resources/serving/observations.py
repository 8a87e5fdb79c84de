"""Observed records on local disk: what was accepted outlives the process, and every worker learns of it.

Belongs here: the journal of one use case's endpoint, in its state folder. Does not belong here: what a record means,
and whether it is valid; a batch is any JSON object.

    observations/<worker>-<number>.journal

Each worker appends to files of its own and reads those of all others; nobody waits for anybody. A line
(`checked_lines.py`) counts once it is whole. A killed worker may leave a part
of one at the end of its file, and starts again with a new one, so that the part stays last. A damaged line is passed
over and counted.

Observing is idempotent: at the start everything on disk is read, also what the tables hold already. A file goes once
its last line is old enough (`prune`), but never while another worker has it open, which the system's lock on it tells.
"""

import fcntl
import logging
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final

import orjson

from resources.errors import EndpointError
from resources.serving.checked_lines import content_of, line_of

LOG: Final = logging.getLogger(__name__)
FOLDER: Final = "observations"
ROTATE_BYTES: Final = 16 * 2**20
"""A longer file is ended, so that old ones can go."""
_NAME: Final = re.compile(r"([0-9a-f]{32})-(\d{6,})\.journal")

Batch = dict[str, Any]


@dataclass
class _Tail:
    """How far a file of another worker was read: whole lines up to `position`, all that there was up to `size`."""

    position: int = 0
    size: int = 0


class Journal:
    """The journal of one worker, and its view of the others'. Many threads may append, one reads."""

    def __init__(self, state: Path, *, is_durable: bool = False, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Take the place; nothing is written before the first batch.

        Args:
            state: State folder of the endpoint.
            is_durable: Whether `append` waits for the disk. Otherwise an accepted batch outlives the process, not a
                failure of power.
            rotate_bytes: A file that has grown beyond it is ended.
        """
        self.folder = state / FOLDER
        self.damaged_lines = 0
        self._is_durable, self._rotate_bytes = is_durable, rotate_bytes
        self._worker, self._number, self._size = uuid.uuid4().hex, 0, 0
        self._file: int | None = None
        self._tails: dict[str, _Tail] = {}
        self._lock = Lock()

    def append(self, batch: Batch) -> None:
        """Write one accepted batch, whole; when this returns it outlives the process.

        Raises:
            EndpointError: If it cannot be written, such as on a full disk. It does not count then, also not later.
        """
        line = line_of(orjson.dumps(batch))
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                self._abandon()
                raise EndpointError(f"observations cannot be written to {self.folder}: {error.strerror}") from error

    def new(self) -> Iterator[Batch]:
        """The batches that other workers, living or dead, have written since the last look, each once.

        Cheap when there are none: one listing of the folder, and the size of each file.
        """
        for path in self._others():
            tail = self._tails.setdefault(path.name, _Tail())
            yield from self._read(path, tail)

    def prune(self, before: datetime) -> int:
        """Delete files whose last line was written before an instant (aware); returns how many.

        Whoever calls it knows that the tables served by every worker hold what was observed until then.
        """
        old = [path for path in self._files() if path.stat().st_mtime < before.timestamp()]
        with self._lock:
            if self._file is not None and self.folder / self._name in old:
                self._end()
        return sum(self._delete(path) for path in old)

    def close(self) -> None:
        """End the file of this worker."""
        with self._lock:
            self._end()

    @property
    def _name(self) -> str:
        return f"{self._worker}-{self._number:06}.journal"

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _others(self) -> list[Path]:
        return [path for path in self._files() if not path.name.startswith(self._worker)]

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._file = os.open(self.folder / self._name, flags, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_SH)
            if self._is_durable:
                self._sync_folder()
        written = os.write(self._file, line)
        while written < len(line):  # a full disk takes a part, and refuses the next call
            written += os.write(self._file, line[written:])
        if self._is_durable:
            os.fsync(self._file)
        self._size += len(line)
        if self._size > self._rotate_bytes:
            self._end()

    def _abandon(self) -> None:
        """Cut off what was written of a line that does not count, and go on in a new file."""
        if self._file is not None:
            try:
                os.ftruncate(self._file, self._size)
            finally:
                self._end()

    def _end(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file, self._size = None, 0
            self._number += 1

    def _sync_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _delete(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except (BlockingIOError, FileNotFoundError):  # its worker lives, or another worker was first
            return False
        self._tails.pop(path.name, None)
        return True

    def _read(self, path: Path, tail: _Tail) -> Iterator[Batch]:
        try:
            size = path.stat().st_size
            if size == tail.size:
                return
            file = path.open("rb")
        except FileNotFoundError:  # pruned by another worker
            return
        with file:
            file.seek(tail.position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                batch = parsed(line)
                if batch is None:
                    self.damaged_lines += 1
                    LOG.error("a line of %s is damaged; what it told is lost to this worker", path.name)
                else:
                    yield batch
                # Only now: a batch that its reader failed at comes again.
                tail.position += len(line)
        tail.size = size


def parsed(line: bytes) -> Batch | None:
    """The batch of a whole line; None if it is damaged."""
    content = content_of(line)
    batch = None if content is None else orjson.loads(content)
    return batch if isinstance(batch, dict) else None
