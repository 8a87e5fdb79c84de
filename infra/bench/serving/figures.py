"""What a bench of servers found, as tables for people and JSON for programs.

Belongs here: medians, ratios to ours, and what is demanded of them. Does not belong here: how they were taken.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from infra.bench.machine import Machine
from infra.bench.report import busy, table
from infra.bench.serving.contenders import OURS, TITLES
from infra.bench.serving.environments import pins
from infra.bench.serving.limit import DATA, LIST
from infra.bench.serving.model import ASKED, TREES
from infra.bench.serving.running import Sample, Turns
from infra.bench.serving.use_case import KINDS, NUMBERS
from resources.objects import ObjectStore

LOAD: Final = 16
"""Connections at which the demands hold."""
TIMES: Final = {"bare": 1.0, "bentoml": 3.0, "mlflow": 15.0}
"""How many times the answers per second of a peer ours must give at least."""
P99_MS: Final = 10.0
LIBRARIES: Final = {"bare": "fastapi"}
"""What makes a peer, where that is not in its name."""


def conditions(turns: Turns, samples: Sequence[Sample], logged_bytes: float | None) -> list[str]:
    """What a reader must know of how the figures were taken."""
    names = dict.fromkeys(sample.name for sample in samples)
    ours = "" if logged_bytes is None else f"Ours keeps {logged_bytes:,.0f} bytes per answer in its log. "
    return [
        f"Medians of {turns.count} turns of {turns.seconds} s per server and load by wrk in one thread; {ASKED} rows "
        f"in turn, {len(NUMBERS)} numbers and {len(KINDS)} categories each; {TREES} trees of depth 6; no errors.",
        f"{ours}All servers run at once; those that wait stand still.",
        f"Each in an environment of its own: {', '.join(_release(n) for n in names if n != OURS)}.",
    ]


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One thing that must hold, and whether it does."""

    what: str
    measured: float
    needed: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class ServingReport:
    """All figures of one bench of servers.

    Attributes:
        taken_at: When it began (UTC).
        samples: Every server under every load, in the order in which they were taken.
        limits: Microseconds per row of the model itself by form of call, one value per turn.
        logged_bytes: What our endpoint kept per answer on its disk, its log above all; None if it was not measured.
        conditions: What a reader must know of how it was taken.
    """

    taken_at: datetime
    machine: Machine
    samples: Sequence[Sample]
    limits: Mapping[str, Sequence[float]]
    logged_bytes: float | None
    conditions: Sequence[str] = ()

    @property
    def connections(self) -> list[int]:
        """The loads, ascending."""
        return sorted({sample.connections for sample in self.samples})

    def names_at(self, connections: int) -> list[str]:
        """The servers under that load, in the order of `TITLES`."""
        return [name for name in TITLES if self._of(name, connections)]

    def middle(self, name: str, connections: int, figure: Callable[[Sample], float]) -> float:
        """Median over the turns."""
        return median(figure(sample) for sample in self._of(name, connections))

    def ratio(self, name: str, connections: int) -> float:
        """How many times the answers per second of a server ours gave: median of the ratios within the turns."""
        pairs = zip(self._of(OURS, connections), self._of(name, connections), strict=True)
        return median(ours.per_second / theirs.per_second for ours, theirs in pairs)

    def rows_per_second(self, form: str) -> float:
        """What the model itself can do in one thread, given rows in that form."""
        return 1e6 / median(self.limits[form])

    def demands(self) -> list[Demand]:
        """What this project demands of its endpoint, as far as it was measured."""
        names = self.names_at(LOAD)
        if OURS not in names:
            return []
        found = [
            Demand(what=f"ours / {TITLES[n]}", measured=r, needed=f"{t:g} or more", holds=r >= t)
            for n, t in TIMES.items()
            if n in names
            for r in [self.ratio(n, LOAD)]
        ]
        p99 = self.middle(OURS, LOAD, lambda s: s.p99_ms)
        found.append(Demand(what="p99, ms", measured=p99, needed=f"{P99_MS:g} or less", holds=p99 <= P99_MS))
        limit = max(self.rows_per_second(form) for form in (LIST, DATA))
        # Batches grow with the load, so it is the greatest that shows what they are worth.
        rate, most = max((self.middle(OURS, count, lambda s: s.per_second), count) for count in self.connections)
        needed = f"more than {limit:,.0f}, the model row by row"
        what = f"answers/s, {most} connections"
        return [*found, Demand(what=what, measured=rate, needed=needed, holds=rate > limit)]

    def to_markdown(self) -> str:
        """Tables that can be read in a terminal and pasted into a README."""
        lines = [f"{self.taken_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, one row per request, one worker each"]
        lines += [str(self.machine), *([busy(self.machine)] if self.machine.is_busy else []), *self.conditions, ""]
        head = ["server", "connections", "answers/s", "p50 ms", "p99 ms", "ours / it", "CPU µs/answer", "memory MB"]
        lines += table(head, [self._row(name, count) for count in self.connections for name in self.names_at(count)])
        limits = [
            [form, f"{median(took):,.1f}", f"{self.rows_per_second(form):,.0f}"] for form, took in self.limits.items()
        ]
        lines += ["", *table(["CatBoost alone, one thread", "µs/row", "rows/s"], limits)]
        if demands := [[d.what, f"{d.measured:,.2f}", d.needed, _verdict(d)] for d in self.demands()]:
            lines += ["", *table([f"at {LOAD} connections", "measured", "needed", "verdict"], demands)]
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """The same as plain values, every sample included."""
        return {
            "taken_at": self.taken_at.isoformat(),
            "machine": self.machine.to_json(),
            "conditions": list(self.conditions),
            "samples": [asdict(sample) for sample in self.samples],
            "pins": {name: pins(name) for name in dict.fromkeys(s.name for s in self.samples) if name != OURS},
            "ratios": {str(c): self._ratios(c) for c in self.connections},
            "microseconds_per_row": {form: list(took) for form, took in self.limits.items()},
            "logged_bytes_per_answer": self.logged_bytes,
            "demands": [asdict(demand) for demand in self.demands()],
        }

    def write(self, folder: Path) -> Path:
        """Keep it under its time and as `serving-latest.json`; returns the former."""
        store, content = ObjectStore(str(folder)), json.dumps(self.to_json(), indent=2, allow_nan=False).encode()
        name = f"serving-{self.taken_at.astimezone(UTC):%Y-%m-%dT%H-%M-%SZ}.json"
        for path in (name, "serving-latest.json"):
            store.write(path, content)
        return folder / name

    def _of(self, name: str, connections: int) -> list[Sample]:
        found = [sample for sample in self.samples if (sample.name, sample.connections) == (name, connections)]
        return sorted(found, key=lambda sample: sample.turn)

    def _ratios(self, connections: int) -> dict[str, float]:
        names = self.names_at(connections)
        return {name: self.ratio(name, connections) for name in names if name != OURS and OURS in names}

    def _row(self, name: str, connections: int) -> list[str]:
        rate, p50, p99, cpu, memory = (
            self.middle(name, connections, figure)
            for figure in (
                lambda s: s.per_second,
                lambda s: s.p50_ms,
                lambda s: s.p99_ms,
                lambda s: s.cpu_us,
                lambda s: s.resident_mb,
            )
        )
        times = self._ratios(connections).get(name)
        figures = [
            f"{rate:,.0f}",
            f"{p50:.2f}",
            f"{p99:.2f}",
            "" if times is None else f"{times:.2f}",
            f"{cpu:,.0f}",
            f"{memory:,.0f}",
        ]
        return [TITLES[name], str(connections), *figures]


def _release(name: str) -> str:
    library = LIBRARIES.get(name, name)
    return f"{library} {pins(name)[library]}"


def _verdict(demand: Demand) -> str:
    return "holds" if demand.holds else "does not hold"
