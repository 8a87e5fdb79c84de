"""What each version did since a step of a rollout began: gathered in every worker, added up by one of them.

Belongs here: from scored batches to the arms that are judged. Does not belong here: how workers tell one another
(`evidence_files.py`), the verdict (`guardrails.py`), and what follows from it (`deployments.py`).
"""

import json
import uuid
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from resources.serving.evidence_files import EVIDENCE, forget, tell, total
from resources.serving.guardrails import Arm, Guardrails
from resources.serving.service import Task
from resources.serving.states import Beside

WAITING: Final = 200_000
"""Batches that may wait to be counted; of more, the oldest are not counted. They are counted five times a second."""
SCORES: Final = 2_000
"""Recent scores of the live version that its quartiles are taken from."""
ENOUGH_SCORES: Final = 200
"""The median of so few is off by a rank of 0.04 at most, for both versions alike."""
CALLS: Final = 200
ENOUGH_CALLS: Final = 20
"""Recent calls of about the same number of rows that their typical time is taken from, and the fewest that do."""

Scores = npt.NDArray[np.float64]


class Batch(NamedTuple):
    """Rows that were scored in one call of a model."""

    version: int
    rows: int
    errors: int
    seconds: float
    scores: Scores | None


@dataclass(frozen=True, kw_only=True)
class Typical:
    """Median times of calls of about the same number of rows."""

    seconds: float
    seconds_per_row: float


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the live version did, as a measure for both.

    Attributes:
        quartiles: Of its scores: lower quartile, median, upper quartile.
        times: By the size of calls, see `_size`.
    """

    quartiles: tuple[float, float, float]
    times: Mapping[int, Typical]

    def allowed(self, rows: int, rails: Guardrails) -> float:
        """Seconds a call may take before it is slow.

        Calls of other sizes are compared fairly as long as twice the rows take no less, and at most twice the time:
        what fewer rows took at least as many as now would have is `seconds`, for more rows it is `seconds_per_row`.
        """
        size = _size(rows)
        nearest = min((known for known in self.times if known >= size), default=max(self.times))
        typical = self.times[nearest]
        return max(rails.slowness * max(typical.seconds, typical.seconds_per_row * rows), rails.unnoticed_s)


class Evidence:
    """The figures of one process. Batches are recorded by any thread, and counted by one."""

    def __init__(self, folder: Path, task: Task) -> None:
        """Take the state folder, and what kind of scores there are."""
        self._folder, self._task, self._worker = folder / EVIDENCE, task, uuid.uuid4().hex
        self._waiting: deque[Batch] = deque(maxlen=WAITING)
        self._scores: deque[float] = deque(maxlen=SCORES)
        self._calls: defaultdict[int, deque[Batch]] = defaultdict(lambda: deque(maxlen=CALLS))
        self._step: tuple[str, int] | None = None
        self._reference: Reference | None = None
        self._arms = (Arm(), Arm())

    def record(self, version: int, *, rows: int, errors: int, seconds_per_row: float, scores: Scores | None) -> None:
        """Note what a version did with a batch; costs a microsecond, and may be called by any thread.

        Args:
            version: Number of the version that was asked.
            rows: How many it was asked about.
            errors: Of `rows`, those it gave no usable answer for. Where one row fails a whole batch, its rows are to be
                asked one by one: rows that fail together are no independent evidence.
            seconds_per_row: Of the call of the model, without any waiting.
            scores: Of all rows, as `Scorer.predict` gave them; None where any failed.
        """
        self._waiting.append(Batch(version, rows, errors, seconds_per_row * rows, scores))

    def count(self, live: int, beside: Beside | None, *, may_refer: bool) -> None:
        """Count what waits.

        Args:
            live: Number of the live version.
            beside: The rollout under way, if its version is loaded here.
            may_refer: Whether this process is the one that makes the reference.
        """
        batches = [self._waiting.popleft() for _ in range(len(self._waiting))]
        step = None if beside is None else (beside.id, beside.step)
        if step != self._step:
            # What waited was answered before the step began, or while it did.
            self._step, self._arms, self._reference = step, (Arm(), Arm()), None
            if beside is not None and may_refer:
                forget(self._folder, but=beside.id)
        elif beside is not None:
            self._add(batches, live, beside, may_refer=may_refer)
        self._remember([b for b in batches if b.version == live and not b.errors and b.rows])

    def total(self, beside: Beside) -> tuple[Arm, Arm]:
        """The arms of all workers: of this one as it knows them, of the others as they have told."""
        live, new = total(self._folder.parent, beside, without=self._worker)
        return (live + self._arms[0], new + self._arms[1]) if self._step == (beside.id, beside.step) else (live, new)

    def _add(self, batches: Iterable[Batch], live: int, beside: Beside, *, may_refer: bool) -> None:
        if self._reference is None:
            self._reference = self._read_reference(beside, may_refer=may_refer)
        by_version: defaultdict[int, list[Batch]] = defaultdict(list)
        for batch in batches:
            by_version[batch.version].append(batch)
        before, rails = self._arms, beside.plan.guardrails
        self._arms = (
            before[0] + self._arm(by_version[live], rails),
            before[1] + self._arm(by_version[beside.target.number], rails),
        )
        if self._arms != before:
            arms = dict(zip(("live", "beside"), map(asdict, self._arms), strict=True))
            tell(self._folder / beside.id / str(beside.step) / f"{self._worker}.json", arms)

    def _arm(self, batches: list[Batch], rails: Guardrails) -> Arm:
        rows, errors = (sum(values) for values in ([b.rows for b in batches], [b.errors for b in batches]))
        if self._reference is None:
            return Arm(rows=rows, errors=errors)
        timed = [b for b in batches if not b.errors and b.rows]
        scored = [watched(b.scores, self._task) for b in timed if b.scores is not None]
        scores = np.concatenate(scored) if scored else np.empty(0)
        lower, median, upper = self._reference.quartiles
        return Arm(
            rows=rows,
            errors=errors,
            calls=len(timed),
            slow=sum(b.seconds > self._reference.allowed(b.rows, rails) for b in timed),
            scored=len(scores),
            high=int((scores > median).sum()),
            outer=int(((scores < lower) | (scores > upper)).sum()),
        )

    def _remember(self, batches: list[Batch]) -> None:
        for batch in batches[-SCORES:]:
            self._calls[_size(batch.rows)].append(batch._replace(scores=None))
            if batch.scores is not None:
                self._scores.extend(watched(batch.scores, self._task)[-SCORES:].tolist())

    def _read_reference(self, beside: Beside, *, may_refer: bool) -> Reference | None:
        path = self._folder / beside.id / "reference.json"
        if path.is_file():
            told = json.loads(path.read_text(encoding="utf-8"))
            times = {int(size): Typical(**typical) for size, typical in told["times"].items()}
            return Reference(quartiles=tuple(told["quartiles"]), times=times)
        made = self._made_reference() if may_refer else None
        if made is not None:
            tell(path, asdict(made))
        return made

    def _made_reference(self) -> Reference | None:
        """From what the live version did lately; None while that is too little."""
        known = {size: calls for size, calls in self._calls.items() if len(calls) >= ENOUGH_CALLS}
        if len(self._scores) < ENOUGH_SCORES or not known:
            return None
        lower, median, upper = (float(q) for q in np.quantile(self._scores, (0.25, 0.5, 0.75)))
        return Reference(
            quartiles=(lower, median, upper), times={size: _typical(calls) for size, calls in known.items()}
        )


def watched(scores: Scores, task: Task) -> Scores:
    """One number per row that moves when scores do, shape (n,).

    The probability, or the predicted quantity; of several classes their mean place in their order, weighted by their
    probabilities.
    """
    if scores.ndim == 1:
        return scores
    if task == "multiclass":
        return scores @ np.arange(scores.shape[1], dtype=np.float64)
    return scores[:, 0]


def _size(rows: int) -> int:
    """Class of about the same number of rows: 1, 2 to 3, 4 to 7, and so on."""
    return rows.bit_length()


def _typical(calls: Iterable[Batch]) -> Typical:
    seconds, rows = np.array([(batch.seconds, batch.rows) for batch in calls]).T
    return Typical(seconds=float(np.median(seconds)), seconds_per_row=float(np.median(seconds / rows)))
