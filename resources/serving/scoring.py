"""From a batch of questions to their answers: which version answers which row, and what happens when one fails.

Belongs here: scoring. Does not belong here: what is scored together (`batching.py`), which versions there are
(`deployments.py`), and HTTP.

A question that a version cannot answer is not allowed to spoil those it was scored with: they are scored again without
it. A version on trial that cannot answer is stood in for by the live one, and the failure counts against it.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import numpy as np

from resources.serving.answers import Answer, Scores
from resources.serving.deployments import Live, Status
from resources.serving.rows import Question, Row, RowKind, frame_of
from resources.serving.service import PREDICTION_TIME, ScoringService, names

LOG: Final = logging.getLogger(__name__)


class NotReadyError(Exception):
    """No version is live; the message says why."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request on its way to its answer.

    Attributes:
        began: `time.perf_counter()` at its arrival.
        finish: Called in the event loop once it has an answer or an error.
        answer, features, modes: What it is answered, what the model saw, why the version of each row was taken.
        error: Why there is no answer.
    """

    question: Question
    request_id: str
    began: float
    finish: "Callable[[Asked], Any]"
    answer: Answer | None = None
    features: Sequence[Row] = ()
    modes: Sequence[str] = ()
    error: Exception | None = None

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return len(self.question.rows)


@dataclass(slots=True)
class _Part:
    """Rows of one request that one version answers; `places` are theirs in the request, None for all of it."""

    asked: Asked
    rows: Sequence[Row]
    live: Live
    mode: str
    places: Sequence[int] | None = None
    scores: Scores = field(default_factory=lambda: np.empty(0))
    features: Sequence[Row] = ()
    times: Sequence[Any] | None = None
    error: Exception | None = None


class Scoring:
    """Answers batches of questions of one kind. May be called from several threads at once."""

    def __init__(self, service: ScoringService, status: Callable[[], Status]) -> None:
        """Take what is served, and how to learn which versions are live."""
        self._use_case, self._signature, self._status = service.use_case, service.signature, status
        self._inputs, self._features = service.signature.inputs, names(service.signature.features)
        self._optional = [(place, f.name) for place, f in enumerate(service.signature.inputs) if not f.is_required]
        # Unlike any other process's, at a tenth of the price of a random number for each answer.
        self._ids, self._prefix = count(1), os.urandom(8).hex()

    def score(self, batch: Sequence[Asked]) -> None:
        """Give every question of the batch its answer or its error; all are of one kind. Never raises."""
        status = self._status()
        if status.live is None:
            error = not_ready(self._use_case, status)
            for asked in batch:
                asked.error = error
            return
        parts = [_Part(asked, asked.question.rows, status.live, "live") for asked in batch]
        kind = batch[0].question.kind
        self._score(status.live, kind, parts)
        for part in parts:
            self._finish(part.asked, [part])

    def _score(self, live: Live, kind: RowKind, parts: Sequence[_Part]) -> None:
        rows = parts[0].rows if len(parts) == 1 else [row for part in parts for row in part.rows]
        try:
            scores, features, times = self._scored(live, kind, rows)
        except Exception as error:  # noqa: BLE001 - see below
            # The edge to code of a model: whatever it throws belongs to the questions that made it do so.
            if len(parts) > 1:
                for part in parts:
                    self._score(live, kind, [part])
                return
            parts[0].error = error
            return
        first = 0
        for part in parts:
            last = first + len(part.rows)
            part.scores, part.features = scores[first:last], features[first:last]
            part.times = None if times is None else times[first:last]
            first = last

    def _scored(
        self, live: Live, kind: RowKind, rows: Sequence[Row]
    ) -> tuple[Scores, Sequence[Row], Sequence[Any] | None]:
        features, times = rows, None
        if kind == "inputs":
            built = live.scorer.features(frame_of(rows, self._inputs))
            features, times = built.select(self._features).rows(), built[PREDICTION_TIME].to_list()
        scores = live.scorer.predict(features)
        if len(scores) != len(rows) or not np.isfinite(scores).all():
            raise ArithmeticError(f"version {live.target.number} gave a score that is not a number")
        return scores, features, times

    def _finish(self, asked: Asked, parts: Sequence[_Part]) -> None:
        if (error := next((part.error for part in parts if part.error is not None), None)) is not None:
            asked.error = error
            return
        (part,) = parts
        n = len(part.rows)
        asked.features, asked.modes = part.features, (part.mode,) * n
        asked.answer = Answer(
            id=f"{self._prefix}{next(self._ids):08x}",
            versions=(part.live.target.number,) * n,
            task=self._signature.task,
            outputs=part.live.scorer.outputs,
            scores=part.scores,
            prediction_times=part.times,
            missing_inputs=self._missing(asked),
        )

    def _missing(self, asked: Asked) -> list[str]:
        """Optional inputs and features that are null in at least one row."""
        missing = []
        if asked.question.kind == "inputs":
            missing = [name for place, name in self._optional if any(row[place] is None for row in asked.question.rows)]
        if len(asked.features) == 1:
            row = asked.features[0]
            if None in row:
                missing += [n for n, v in zip(self._features, row, strict=True) if v is None and n not in missing]
            return missing
        columns = zip(self._features, zip(*asked.features, strict=True), strict=True)
        return missing + [n for n, values in columns if None in values and n not in missing]


def not_ready(use_case: str, status: Status) -> NotReadyError:
    """Why nothing is live."""
    why = status.failure.reason if status.state == "failed" and status.failure else f"it is {status.state}"
    return NotReadyError(f"no version of {use_case!r} is live: {why}")
