"""Load by wrk: so many connections, each asking again as soon as it is answered.

Belongs here: running wrk and reading what it says. Does not belong here: who is asked, and what is made of the figures.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.bench.children import BenchError

SCRIPT: Final = Path(__file__).with_name("load.lua")
PATIENCE_S: Final = 10
"""An answer that takes longer counts as an error."""
GRACE_S: Final = 60.0
"""How much longer than told wrk may take as a whole."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What came of one run of wrk, in which every request was answered with 2xx or 3xx.

    Attributes:
        requests: Answers.
        seconds: By wrk's clock.
        p50_ms: Median time from request to answer.
        p99_ms: Time within which 99 of 100 were answered.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def require_wrk() -> None:
    """Say it before anything is built or started.

    Raises:
        BenchError: If there is no wrk.
    """
    if shutil.which("wrk") is None:
        raise BenchError("wrk asks the servers and was not found on PATH; install it (Debian: apt-get install wrk)")


def loaded(url: str, bodies: Path, *, connections: int, seconds: int) -> Load:
    """Ask a server for some seconds.

    Args:
        url: Where to post.
        bodies: File of JSON bodies, one a line, asked in turn.
        connections: Open at once; one thread of wrk serves them all.
        seconds: How long.

    Raises:
        BenchError: If wrk fails, nothing was answered, or any answer was missing or no success.
    """
    timing = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command = ["wrk", *timing, "--timeout", f"{PATIENCE_S}s", "--script", str(SCRIPT), url, "--", str(bodies)]
    try:
        done = subprocess.run(  # noqa: S603  # our own command
            command, capture_output=True, text=True, timeout=seconds + GRACE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"wrk against {url} has not ended {GRACE_S:.0f} s after its time was up") from error
    if done.returncode != 0:
        raise BenchError(f"wrk against {url} failed: {done.stderr.strip() or done.stdout.strip()}")
    return read(done.stdout, url)


def read(output: str, url: str) -> Load:
    """The figures in wrk's output.

    Raises:
        BenchError: If they are not there, nothing was answered, or any answer was missing or no success.
    """
    line = next((line for line in reversed(output.splitlines()) if line.startswith("{")), None)
    if line is None:
        raise BenchError(f"wrk against {url} told no figures; it said: {output.strip()[-500:]}")
    told = json.loads(line)
    if failed := {kind: count for kind, count in told["errors"].items() if count}:
        raise BenchError(f"{url} failed under load, of {told['requests']} answers: {failed}; nothing is made of that")
    if told["requests"] == 0:
        raise BenchError(f"{url} answered nothing within the time")
    return Load(
        requests=told["requests"],
        seconds=told["microseconds"] / 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
    )
