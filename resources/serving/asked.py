"""A request on its way to its answer, whole and in parts.

Belongs here: what is known of it at each step. Does not belong here: the steps (`batching.py`, `scoring.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from resources.serving.answers import Answer, Scores
from resources.serving.rows import Question, Row
from resources.serving.statuses import Live

_NONE: Final = np.empty(0)
NAMED: Final = "named"
"""Mode of an answer by a version that the caller asked for by its number."""


class NotReadyError(Exception):
    """No version is live; the message says why."""


class NoSuchVersionError(Exception):
    """The version that was asked for by its number is neither live nor beside the live one."""


class Part(msgspec.Struct):
    """Rows of one request that one version answers.

    Attributes:
        places: Those of the rows in the request; None if these are all.
        is_counted: Whether it says how a version does with what callers ask.
        scores, features, times: Once they are answered: scores, what the model saw, and as of when; the last is None
            where the caller gave the features.
        error: Why they are not.
    """

    rows: Sequence[Row]
    live: Live
    mode: str
    places: Sequence[int] | None = None
    is_counted: bool = True
    scores: Scores = _NONE
    features: Sequence[Row] = ()
    times: Sequence[Any] | None = None
    error: Exception | None = None

    @property
    def versions(self) -> Sequence[int]:
        """Number of the version of each row."""
        return (self.live.target.number,) * len(self.rows)

    @property
    def modes(self) -> Sequence[str]:
        """Why each row is answered by its version."""
        return (self.mode,) * len(self.rows)


class Asked(msgspec.Struct, kw_only=True):
    """One request.

    Attributes:
        began: `time.perf_counter()` at its arrival.
        finish: Called in the event loop once it has an answer or an error.
        version: Number of the version that is to answer; None: that which each entity meets.
        parts: Its rows by the version that answers them.
        answer, features, modes: What it is answered, what the models saw, why the version of each row was taken.
        error: Why there is no answer.
    """

    question: Question
    request_id: str
    began: float
    finish: "Callable[[Asked], Any]"
    version: int | None = None
    parts: list[Part] = []
    answer: Answer | None = None
    features: Sequence[Row] = ()
    modes: Sequence[str] = ()
    error: Exception | None = None

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return len(self.question.rows)


@dataclass(frozen=True, slots=True)
class Whole:
    """The answered rows of a request in their order."""

    scores: Scores
    features: Sequence[Row]
    times: Sequence[Any] | None
    versions: Sequence[int]
    modes: Sequence[str]


def joined(parts: Sequence[Part], rows: int) -> Whole:
    """Parts that were answered by different versions, put back together.

    Args:
        parts: All parts of a request, answered; their scores have the same columns.
        rows: How many rows there are.
    """
    scores = np.empty((rows, *parts[0].scores.shape[1:]), dtype=np.float64)
    features: list[Row] = [()] * rows
    times: list[Any] = [None] * rows
    versions, modes = [0] * rows, [""] * rows
    for part in parts:
        places = range(rows) if part.places is None else part.places
        scores[list(places)] = part.scores
        for i, place in enumerate(places):
            features[place], versions[place], modes[place] = part.features[i], part.live.target.number, part.mode
            times[place] = None if part.times is None else part.times[i]
    return Whole(scores, features, None if parts[0].times is None else times, versions, modes)
