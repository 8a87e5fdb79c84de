"""A server with all its processes: processor time, memory, and standing still.

Belongs here: what is done with all of them. Does not belong here: what is made of it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psutil

from infra.bench.children import MB

T = TypeVar("T")


def cpu_seconds(pid: int) -> dict[tuple[int, float], float]:
    """Processor time so far of a process and its descendants, by pid and start: a pid may be given away."""
    return {(p.pid, p.create_time()): seconds for p, seconds in _each(pid, _cpu)}


def spent(before: dict[tuple[int, float], float], after: dict[tuple[int, float], float]) -> float:
    """Seconds between two looks; what a process used that ended in between is lost, and no server here has any."""
    return sum(seconds - before.get(who, 0.0) for who, seconds in after.items())


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, 10^6 bytes; what they share counts for each."""
    return sum(resident for _, resident in _each(pid, lambda p: p.memory_info().rss / MB))


def suspend(pid: int) -> None:
    """Have a process and its descendants stand still."""
    _each(pid, psutil.Process.suspend)


def resume(pid: int) -> None:
    """Have them go on."""
    _each(pid, psutil.Process.resume)


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _each(pid: int, ask: Callable[[psutil.Process], T]) -> list[tuple[psutil.Process, T]]:
    first = psutil.Process(pid)
    found = []
    for process in [first, *first.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it has just ended
            found.append((process, ask(process)))
    return found
