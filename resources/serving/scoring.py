"""From a batch of questions to their answers: which version answers which row, and what happens when one fails.

Belongs here: scoring. Does not belong here: what is scored together (`batching.py`), which versions there are
(`deployments.py`), and HTTP.

A question that a version cannot answer is not allowed to spoil those it was scored with: they are scored again without
it. A version on trial that cannot answer is stood in for by the live one, and the failure counts against it.
"""

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np

from resources.serving.answers import Answer, Scores
from resources.serving.asked import NAMED, Asked, NoSuchVersionError, NotReadyError, Part, joined
from resources.serving.deployments import Deployments
from resources.serving.routing import entity_key
from resources.serving.rows import Row, RowKind, frame_of
from resources.serving.service import PREDICTION_TIME, ScoringService, names
from resources.serving.shadow import Shadow
from resources.serving.statuses import Live, Status


class _Scored(NamedTuple):
    """Scores of rows, what the model saw of them, and as of when."""

    scores: Scores
    features: Sequence[Row]
    times: Sequence[Any] | None


class Scoring:
    """Answers batches of questions of one kind. May be called from several threads at once."""

    def __init__(
        self, service: ScoringService, deployments: Deployments, shadow: Shadow, now: Callable[[], float] = time.time
    ) -> None:
        """Take what is served, which versions are live, who asks a version that nobody hears, and the clock."""
        self._service, self._now = service, now
        self._use_case, self._signature, self._deployments = service.use_case, service.signature, deployments
        self._inputs, self._features = service.signature.inputs, names(service.signature.features)
        self._optional = [(place, f.name) for place, f in enumerate(service.signature.inputs) if not f.is_required]
        self._ranged = [(place, f.name, f.range) for place, f in enumerate(self._inputs) if f.range is not None]
        self._entity = {"inputs": self._places(names(self._inputs)), "features": self._places(self._features)}
        self._shadow = shadow
        # Unlike any other process's, at a tenth of the price of a random number for each answer.
        self._ids, self._prefix = count(1), os.urandom(8).hex()

    def score(self, batch: Sequence[Asked]) -> None:
        """Give every question of the batch its answer or its error; all are of one kind. Never raises."""
        try:
            self._score_all(batch)
        except Exception as error:  # noqa: BLE001 - a question without either would leave its caller waiting for ever
            for asked in batch:
                asked.error = asked.error or (None if asked.answer else error)

    def _score_all(self, batch: Sequence[Asked]) -> None:
        status, kind = self._deployments.status, batch[0].question.kind
        if status.live is None:
            raise not_ready(self._use_case, status)
        for asked in batch:
            asked.parts = self._parts(asked, status)
        parts = [part for asked in batch for part in asked.parts]
        trial = None if status.beside is None else status.beside.live
        groups: dict[tuple[int, bool], list[Part]] = {}
        for part in parts:
            groups.setdefault((id(part.live), part.is_counted), []).append(part)
        for group in groups.values():
            self._score(group[0].live, kind, group)
        if failed := [part for part in parts if part.error is not None and part.live is trial and part.mode != NAMED]:
            for part in failed:
                part.live, part.mode, part.error = status.live, "live", None
            self._score(status.live, kind, failed)
        for asked in batch:
            self._finish(asked)
            if status.shadow is not None and asked.answer is not None and asked.parts[0].is_counted:
                self._mirror(asked, status)

    def _parts(self, asked: Asked, status: Status) -> list[Part]:
        """The rows of a question by the version that answers them."""
        live, beside, rows = cast("Live", status.live), status.beside, asked.question.rows
        is_real = asked.question.purpose is None  # rows of a smoke test are nobody's
        if asked.version is not None:
            named = status.numbered(asked.version)
            if named is not None:
                return [Part(rows, named, NAMED, is_counted=False)]  # they are not split by chance
            what = f"version {asked.version} of {self._use_case!r}"
            asked.error = NoSuchVersionError(f"{what} is neither live nor beside the live one")
            return []
        if beside is None or beside.mode == "shadow":
            return [Part(rows, live, "live", is_counted=is_real)]
        # Of versions that tell other classes apart one request cannot have both: its first row decides for all.
        is_one = beside.live.scorer.outputs != live.scorer.outputs
        picks = [status.pick(self._key(asked.question.kind, row)) for row in (rows[:1] if is_one else rows)]
        if all(pick is picks[0] for pick in picks):
            return [Part(rows, picks[0].live, picks[0].mode, is_counted=is_real)]
        parts = []
        for chosen in {id(pick): pick for pick in picks}.values():
            places = [place for place, pick in enumerate(picks) if pick is chosen]
            parts.append(Part([rows[p] for p in places], chosen.live, chosen.mode, places, is_real))
        return parts

    def _places(self, columns: Sequence[str]) -> list[int]:
        """Where the entity stands in a row; all values where it is not told."""
        entity = self._signature.entity
        return [columns.index(n) for n in entity] if entity and set(entity) <= set(columns) else [*range(len(columns))]

    def _key(self, kind: RowKind, row: Row) -> bytes:
        return entity_key([row[place] for place in self._entity[kind]])

    def _score(self, live: Live, kind: RowKind, parts: Sequence[Part]) -> None:
        rows = parts[0].rows if len(parts) == 1 else [row for part in parts for row in part.rows]
        try:
            scored = self._scored(live, kind, rows, is_counted=parts[0].is_counted, is_last_try=len(parts) == 1)
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
            part.scores, part.features = scored.scores[first:last], scored.features[first:last]
            part.times = None if scored.times is None else scored.times[first:last]
            first = last

    def _scored(
        self, live: Live, kind: RowKind, rows: Sequence[Row], *, is_counted: bool, is_last_try: bool
    ) -> "_Scored":
        """Rows as one version sees and scores them, noted for its rollout if they count."""
        record = partial(self._deployments.evidence.record, live.target.number, rows=len(rows))
        began = time.perf_counter()
        try:
            features, times = self._features_of(live, kind, rows)
            began = time.perf_counter()  # the history is shared: making features says nothing of the model's pace
            scores = live.scorer.predict(features)
            _require_numbers(scores, len(rows), live.target.number)
        except Exception:
            if is_counted and is_last_try:  # rows that fail together are no evidence against each of them
                record(errors=len(rows), seconds_per_row=(time.perf_counter() - began) / len(rows), scores=None)
            raise
        if is_counted:
            record(errors=0, seconds_per_row=(time.perf_counter() - began) / len(rows), scores=scores)
        return _Scored(scores, features, times)

    def _features_of(
        self, live: Live, kind: RowKind, rows: Sequence[Row]
    ) -> tuple[Sequence[Row], Sequence[Any] | None]:
        if kind == "features":
            return rows, None
        built = live.scorer.features(frame_of(rows, self._inputs))
        return built.select(self._features).rows(), built[PREDICTION_TIME].to_list()

    def _finish(self, asked: Asked) -> None:
        """Put the parts of a question together."""
        parts = asked.parts
        asked.error = next((part.error for part in parts if part.error is not None), asked.error)
        if asked.error is not None:
            return
        whole = parts[0] if len(parts) == 1 else joined(parts, asked.rows)
        asked.features, asked.modes = whole.features, whole.modes
        asked.answer = Answer(
            id=f"{self._prefix}{next(self._ids):08x}",
            versions=whole.versions,
            task=self._signature.task,
            outputs=parts[0].live.scorer.outputs,
            scores=whole.scores,
            prediction_times=whole.times,
            missing_inputs=self._missing(asked),
            unusual_inputs=self._unusual(asked),
            stale_since=None if whole.times is None else self._stale_since(),
        )

    def _stale_since(self) -> datetime | None:
        as_of = self._service.history_as_of()
        is_stale = as_of is not None and self._now() - as_of.timestamp() > self._service.stale_after.total_seconds()
        return as_of if is_stale else None

    def ask_shadow(self, asked: Asked) -> Asked | None:
        """What the shadow says to a question that the live version has answered; None if there is no shadow any more.

        Its answer has an id of its own, that of the answer given and `-shadow`: callers' labels are about the latter.

        Raises:
            Exception: Whatever the version throws.
        """
        if (shadow := self._deployments.status.shadow) is None:
            return None
        rows, kind = asked.question.rows, asked.question.kind
        scored = self._scored(shadow, kind, rows, is_counted=True, is_last_try=True)
        answer = Answer(
            id=f"{cast('Answer', asked.answer).id}-shadow",
            versions=(shadow.target.number,) * len(rows),
            task=self._signature.task,
            outputs=shadow.scorer.outputs,
            scores=scored.scores,
            prediction_times=scored.times,
            missing_inputs=(),
        )
        return msgspec.structs.replace(asked, answer=answer, features=scored.features, modes=("shadow",) * len(rows))

    def _mirror(self, asked: Asked, status: Status) -> None:
        kind = asked.question.kind
        if any(status.is_shadowed(self._key(kind, row)) for row in asked.question.rows):
            self._shadow.ask(asked)

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

    def _unusual(self, asked: Asked) -> Sequence[str]:
        """Inputs that are out of their range in at least one row."""
        if not self._ranged or asked.question.kind != "inputs":
            return ()
        rows = asked.question.rows
        return [name for place, name, usual in self._ranged if not all(usual.holds(row[place]) for row in rows)]


def _require_numbers(scores: Scores, rows: int, version: int) -> None:
    if len(scores) != rows or not np.isfinite(scores).all():
        raise ArithmeticError(f"version {version} gave a score that is not a number")


def not_ready(use_case: str, status: Status) -> NotReadyError:
    """Why nothing is live."""
    why = status.failure.reason if status.state == "failed" and status.failure else f"it is {status.state}"
    return NotReadyError(f"no version of {use_case!r} is live: {why}")
