"""What the log keeps of an answer.

Belongs here: the record of each answered row. Does not belong here: where and how safely it is written.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from resources.serving.answers import Answer, logged
from resources.serving.privacy import Redaction, key_of
from resources.serving.rows import Question, Row, RowKind
from resources.serving.service import Signature, names

_JSON: Final = msgspec.json.Encoder()
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
"""In a name: what JSON writes otherwise than it stands."""


class Columns:
    """Names of the values of a row, by its kind, and what of them may be kept."""

    def __init__(self, signature: Signature, folder: Path) -> None:
        """Take what may be asked with, and the state folder, which has the key that personal values are hashed with.

        Raises:
            EndpointError: If the key cannot be used.
        """
        self.inputs, self.features = names(signature.inputs), names(signature.features)
        self._named = {"inputs": _named(self.inputs), "features": _named(self.features)}
        treated = {f.name: f.personal for f in signature.inputs if f.personal is not None}
        hashed = frozenset(name for name, treatment in treated.items() if treatment == "hash")
        self._redaction = Redaction(
            hash=hashed, drop=frozenset(treated) - hashed, key=key_of(folder) if hashed else b""
        )

    def kept(self, columns: Sequence[str], row: Row) -> dict[str, Any]:
        """The values of a row by name, as they may be kept."""
        named = dict(zip(columns, row, strict=True))
        return named if self._redaction.is_empty else self._redaction.apply(named)

    def record(self, kind: RowKind, row: Row) -> object:
        """The same of a row of inputs or features, in the form that is quickest to write."""
        if self._redaction.is_empty:
            return self._named[kind](*row)
        return self.kept(self.inputs if kind == "inputs" else self.features, row)


def _named(columns: Sequence[str]) -> Callable[..., object]:
    """Makes values by name: to make and write a structure takes a fourth of the time that a dictionary does."""
    if any(_ESCAPED.search(name) for name in columns):  # of which a structure takes none
        return lambda *row: dict(zip(columns, row, strict=True))
    fields = [f"field_{place}" for place, _ in enumerate(columns)]
    return msgspec.defstruct("Named", fields, rename=dict(zip(fields, columns, strict=True)), gc=False)


class _Record(msgspec.Struct, kw_only=True, gc=False):
    """One answered row as the log has it; `score` holds all outputs of the model."""

    answered_at: datetime
    prediction_id: str
    request_id: str
    purpose: str | None
    latency_ms: float
    worker: str
    row: int
    version: int
    mode: str
    prediction_time: datetime | None
    inputs: object
    features: object
    score: object


class Entry(msgspec.Struct, frozen=True, kw_only=True):
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
        """One JSON object per row."""
        columns, answer, times = self.columns, self.answer, self.answer.prediction_times
        inputs = self.question.rows if self.question.kind == "inputs" else None
        return [
            _JSON.encode(
                _Record(
                    answered_at=datetime.fromtimestamp(self.answered_at, UTC),
                    prediction_id=answer.id,
                    request_id=self.request_id,
                    purpose=self.question.purpose,
                    latency_ms=round(self.latency_s * 1e3, 3),
                    worker=self.worker,
                    row=row,
                    version=answer.versions[row],
                    mode=self.modes[row],
                    prediction_time=None if times is None else times[row],
                    inputs=None if inputs is None else columns.record("inputs", inputs[row]),
                    features=columns.record("features", features),
                    score=score,
                )
            )
            for row, (features, score) in enumerate(zip(self.features, logged(answer), strict=True))
        ]
