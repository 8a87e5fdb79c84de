"""Doing something in one process at a time, on one machine.

Belongs here: locks on files. Does not belong here: what is done under them. The system frees the lock of a process that
dies, so nothing is ever left locked.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from resources.errors import ThroughlineError

TRIES: Final = 20
PAUSE_SECONDS: Final = 0.025
"""Between two tries to be alone: whoever looks with `is_held` is in the way for microseconds."""


def line_lock(home: Path) -> Path:
    """The file that a line from the command line holds while it runs in a state folder."""
    return home / "run" / "line.lock"


class BusyError(ThroughlineError):
    """Another process does what only one may do at a time; the message names it."""


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Run the block when no other process is in a block under the same file; wait for that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Run the block if no other process is in a block under the same file.

    Args:
        path: The file.
        what: What is done, as the beginning of a sentence, such as `The line`.

    Raises:
        BusyError: If another process is, naming it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        if not _take(lock):
            lock.seek(0)
            raise BusyError(f"{what} runs already, in process {lock.read() or 'unknown'}; wait for its end, or end it")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_held(path: Path) -> bool:
    """Whether a process is in a block under this file right now; who only looks is not seen by others who look."""
    if not path.is_file():
        return False
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _take(lock: TextIO) -> bool:
    """Take a lock for oneself, if not at once then a moment later; False if another keeps it."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


class Seat:
    """A place that one process at a time holds for as long as it lives, such as that of who judges for all."""

    def __init__(self, path: Path) -> None:
        """Take the file that stands for it; nothing is held before `is_mine` is asked."""
        self._path = path
        self._held: TextIO | None = None

    def is_mine(self) -> bool:
        """Whether this process holds it; takes it if nobody does."""
        if self._held is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as closing:
                file = closing.enter_context(self._path.open("a"))
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    closing.pop_all()  # closing the file would give the place away
                    self._held = file
        return self._held is not None

    def leave(self) -> None:
        """Let another process have it."""
        if self._held is not None:
            self._held.close()
            self._held = None
