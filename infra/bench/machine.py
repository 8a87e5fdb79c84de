"""The machine a figure was taken on, without which it means nothing.

Belongs here: what the machine is and how busy. Does not belong here: measuring (`children.py`).
"""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

BUSY_SHARE: Final = 0.25
"""Load per core above which wall-clock figures mean little: the line itself wants all cores while it trains."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a figure depends on.

    Attributes:
        cpu: Model of the processor.
        cores: Cores this process may use.
        memory_gb: Installed memory, 10^9 bytes.
        system: Operating system and its release.
        python: Version of the interpreter.
        load: Mean number of processes that wanted to run in the last minute, before anything was measured.
    """

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    load: float

    @classmethod
    def here(cls) -> "Machine":
        """This one, now."""
        return cls(
            cpu=_cpu(),
            cores=_cores(),
            memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            load=round(psutil.getloadavg()[0], 2),
        )

    @property
    def is_busy(self) -> bool:
        """True if others compete for the cores."""
        return self.load > BUSY_SHARE * self.cores

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_gb:.0f} GB, {self.system}, Python {self.python}; "
            f"load {self.load:.2f} before the start"
        )

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {**asdict(self), "is_busy": self.is_busy}


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
