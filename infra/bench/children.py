"""One measurement is one fresh process: nothing is warm, nothing is left over, and its memory is its own.

Belongs here: starting such a process, watching its memory, and what it tells of itself. Does not belong here: what it
runs (`line.py`, `plain.py`, `rates.py`).
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from resources.errors import ThroughlineError

ROOT: Final = Path(__file__).parents[2]
SAMPLE_S: Final = 0.05
"""Time between two looks at the memory: a peak that lasts less is missed, and looking costs 0.1 % of a core."""
MB: Final = 1e6


class BenchError(ThroughlineError):
    """A measurement that could not be taken; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of work by the wall clock, in seconds since 1970."""

    name: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a process tells of itself when its work is done.

    Attributes:
        seconds: From before it was started to the end of its work, interpreter and imports included.
        cpu_seconds: Processor time it used for that, all its threads.
        stages: Its stages, in order.
        jobs: Its Dagster runs, from their creation to their end; none without Dagster.
        facts: Whatever else there is to tell.
    """

    seconds: float
    cpu_seconds: float
    stages: tuple[Span, ...] = ()
    jobs: tuple[Span, ...] = ()
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A finished process: what it told, and its resident memory over time, as pairs of seconds since 1970 and MB."""

    told: Told
    memory: Sequence[tuple[float, float]]

    def peak_mb(self, span: Span | None = None) -> float | None:
        """Largest resident memory, within a span if given; None if the span was too short to be looked at."""
        return max((mb for at, mb in self.memory if span is None or span.start <= at <= span.end), default=None)


def measured(module: str, *arguments: str, env: Mapping[str, str]) -> Measured:
    """Run `python -m <module>` to its end, watching it. Its output goes where ours goes.

    The module is given when it was started, a file to tell its result in (`tell`), and `arguments`.

    Raises:
        BenchError: If it fails.
    """
    result = Path(env["THROUGHLINE_HOME"], "bench-result.json")
    result.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, str(time.time()), str(result), *arguments]
    memory = watched(subprocess.Popen(command, cwd=ROOT, env=dict(env)), " ".join(command[2:3]))  # noqa: S603  # ours
    told = json.loads(result.read_text(encoding="utf-8"))
    stages, jobs = (tuple(Span(**span) for span in told.pop(name)) for name in ("stages", "jobs"))
    return Measured(told=Told(stages=stages, jobs=jobs, **told), memory=memory)


def watched(process: "subprocess.Popen[bytes]", what: str) -> list[tuple[float, float]]:
    """Wait for a process; its resident memory over time.

    Raises:
        BenchError: If it ends with anything but 0.
    """
    memory: list[tuple[float, float]] = []
    try:
        while process.poll() is None:
            if (mb := _resident_mb(process.pid)) is not None:
                memory.append((time.time(), mb))
            time.sleep(SAMPLE_S)
    finally:
        if process.poll() is None:  # we were interrupted
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise BenchError(f"{what} failed with exit code {process.returncode}; the lines above say why")
    return memory


def _resident_mb(pid: int) -> float | None:
    try:
        resident: int = psutil.Process(pid).memory_info().rss
    except (psutil.NoSuchProcess, psutil.ZombieProcess):  # it has just ended
        return None
    return resident / MB


def spent(started: float) -> dict[str, float]:
    """Seconds since `started`, and processor seconds of this process so far: what `Told` begins with."""
    used = psutil.Process().cpu_times()
    return {"seconds": time.time() - started, "cpu_seconds": used.user + used.system}


def tell(
    result: Path,
    spent: Mapping[str, float],
    *,
    stages: Sequence[Span] = (),
    jobs: Sequence[Span] = (),
    facts: Mapping[str, object],
) -> None:
    """Write, from within a measured process, what `measured` reads."""
    spans = {"stages": [vars(span) for span in stages], "jobs": [vars(span) for span in jobs]}
    result.write_text(json.dumps({**spent, **spans, "facts": facts}), encoding="utf-8")
