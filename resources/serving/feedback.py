"""The journal of labels that come late: on disk before they are answered.

Belongs here: putting labels on record. Does not belong here: what a label may be (`late_labels.py`), HTTP
(`server.py`), and what becomes of labels in the lake (`assets/stages/feedback.py`).

    feedback/<worker>-<sequence>.log    segments as those of the prediction log, one line per label

Taking a label has no memory: the same one again is answered the same and becomes one more line. What a repetition is,
and which of two different labels holds, is decided where they are read, the same for all workers and restarts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

import orjson
from fastapi.concurrency import run_in_threadpool
from prometheus_client import Counter

from resources.serving.entries import Columns
from resources.serving.late_labels import FOLDER, LateLabel, parse_labels
from resources.serving.log_policy import LogPolicy, NotLoggedError
from resources.serving.prediction_log import PredictionLog
from resources.serving.rows import RequestError
from resources.serving.service import ScoringService
from resources.serving.target import StateFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelBatch:
    """The labels of one request, as the journal takes them; see `log_policy.Loggable`.

    Attributes:
        ids: One per label, never used again.
        columns: What of an entity may be kept.
    """

    labels: Sequence[LateLabel]
    ids: Sequence[str]
    received_at: datetime
    request_id: str
    entity: Sequence[str]
    columns: Columns

    @property
    def rows(self) -> int:
        """How many records this becomes."""
        return len(self.labels)

    def encode(self) -> list[bytes]:
        """One JSON object per label."""
        shared = {"received_at": self.received_at, "request_id": self.request_id}
        return [
            orjson.dumps(
                shared
                | {
                    "label_id": label_id,
                    "prediction_id": label.prediction_id,
                    "row": label.row,
                    "entity": None if label.entity is None else self.columns.kept(self.entity, label.entity),
                    "label": label.label,
                    "known_at": label.known_at,
                }
            )
            for label_id, label in zip(self.ids, self.labels, strict=True)
        ]


class Feedback:
    """Takes labels of one use case."""

    def __init__(
        self, service: ScoringService, folder: StateFolder, taken: Counter, now: Callable[[], datetime]
    ) -> None:
        """Take what is served, where its state is, what counts labels, and the clock; nothing is written yet."""
        self._name, self._signature, self._taken, self._now = service.use_case, service.signature, taken, now
        self._columns, self._numbers = Columns(service.signature, folder.root), count(1)
        self._log = PredictionLog(
            folder.root / FOLDER,
            LogPolicy(durability="durable"),
            on_drop=_told_to_the_caller,
            on_error=_told_to_the_caller,
            name="journal of labels",
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the journal while the app runs."""
        self._log.start()
        yield
        await run_in_threadpool(self._log.stop)

    async def take(self, body: bytes, request_id: str) -> dict[str, Any]:
        """Put the labels of a request on record, all of them; returns the answer once they are on disk.

        Raises:
            RequestError: If one of them is none, and then none is taken; or, with status 503, if the journal cannot be
                written.
        """
        received_at = self._now()
        labels = parse_labels(body, self._signature, received_at)
        batch = LabelBatch(
            labels=labels,
            ids=[f"{self._log.worker}-{next(self._numbers):012}" for _ in labels],
            received_at=received_at,
            request_id=request_id,
            entity=self._signature.entity,
            columns=self._columns,
        )
        try:
            await self._log.commit(batch, asyncio.get_running_loop())
        except NotLoggedError as error:
            raise RequestError("the labels could not be put on record; send them again later", status=503) from error
        self._taken.inc(len(labels))
        return {"model_name": self._name, "labels": len(labels)}


def _told_to_the_caller(*_: int) -> None:
    """Of labels the journal could not take, nothing is lost unnoticed: each caller is answered 503."""
