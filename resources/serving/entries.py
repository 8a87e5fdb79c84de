"""What the log keeps of an answer.

Belongs here: the record of each answered row. Does not belong here: where and how safely it is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from resources.serving.answers import Answer, logged
from resources.serving.rows import Question, Row
from resources.serving.service import Signature, names


class Columns:
    """Names of the values of a row, by its kind."""

    def __init__(self, signature: Signature) -> None:
        self.inputs, self.features = names(signature.inputs), names(signature.features)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One answered request.

    Attributes:
        answered_at: Seconds since 1970.
        question: What was asked.
        features: What the model saw, one row per row of the question.
        modes: Why each row was answered by its version: it was live, a canary, one side of an A/B test, or a shadow,
            whose answer nobody got.
        latency_s: From the request's arrival to its answer.
        worker: Name of the process.
    """

    columns: Columns
    answered_at: float
    request_id: str
    question: Question
    features: Sequence[Row]
    answer: Answer
    modes: Sequence[str]
    latency_s: float
    worker: str

    @property
    def rows(self) -> int:
        """How many records this becomes."""
        return len(self.features)

    def encode(self) -> list[bytes]:
        """One JSON object per row; `score` holds all outputs of the model."""
        answer, times = self.answer, self.answer.prediction_times
        shared = {
            "answered_at": datetime.fromtimestamp(self.answered_at, UTC),
            "prediction_id": answer.id,
            "request_id": self.request_id,
            "purpose": self.question.purpose,
            "latency_ms": round(self.latency_s * 1e3, 3),
            "worker": self.worker,
        }
        inputs = self.question.rows if self.question.kind == "inputs" else None
        return [
            orjson.dumps(
                shared
                | {
                    "row": row,
                    "version": answer.versions[row],
                    "mode": self.modes[row],
                    "prediction_time": None if times is None else times[row],
                    "inputs": None if inputs is None else self._named(self.columns.inputs, inputs[row]),
                    "features": self._named(self.columns.features, features),
                    "score": score,
                }
            )
            for row, (features, score) in enumerate(zip(self.features, logged(answer), strict=True))
        ]

    @staticmethod
    def _named(columns: Sequence[str], row: Row) -> dict[str, Any]:
        return dict(zip(columns, row, strict=True))
