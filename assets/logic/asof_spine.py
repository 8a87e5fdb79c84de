"""The rows that ask: a frame, and what has been looked up for it, once however many questions it asks.

Belongs here: columns of the asking rows as arrays and keys, kept. Does not belong here: the answers.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

import polars as pl

from assets.logic.clocks import Instants, instants

ASKED_AT: Final = "prediction_time"
"""Column of every spine: the UTC instant P at which the question is asked."""


class Numbering(Protocol):
    """What finds the group of a row."""

    def find(self, spine: "Spine") -> Instants:
        """Group of every row, shape (n,); -1 for none."""
        ...


class Spine:
    """Rows that ask. Features that ask many questions wrap theirs once: of one row, looking up costs the most.

    Attributes:
        frame: The rows, shape (n, any); not to be changed in place.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        """Take the rows; nothing is looked up before it is asked for."""
        self.frame = frame
        self._types = dict(zip(frame.columns, frame.dtypes, strict=True))
        self._instants: dict[str, Instants] = {}
        self._values: dict[str, list[Any]] = {}
        self._codes: dict[Numbering, Instants] = {}

    @staticmethod
    def of(rows: "Rows") -> "Spine":
        """The rows as a spine; a spine as it is."""
        return rows if isinstance(rows, Spine) else Spine(rows)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.frame)

    def dtype(self, column: str) -> pl.DataType | None:
        """Type of a column; None if there is none of that name."""
        return self._types.get(column)

    def instants(self, column: str) -> Instants:
        """A UTC column in microseconds, shape (n,).

        Raises:
            ValueError: If it is absent, of another type, or holds a null.
        """
        if column not in self._instants:
            if column not in self._types or self.frame[column].null_count():
                raise ValueError(f"the rows that ask need a column {column!r} without nulls, got {self.frame.columns}")
            self._instants[column] = instants(self.frame[column])
        return self._instants[column]

    def asked(self, at: str, *, in_advance: bool) -> Instants:
        """The instants asked about, microseconds; an outcome may not be asked for later than at prediction time.

        Raises:
            ValueError: If it is, or a column is absent or holds a null.
        """
        asked = self.instants(at)
        if not in_advance and at != ASKED_AT and (asked > self.instants(ASKED_AT)).any():
            raise ValueError(f"at={at!r} is later than {ASKED_AT!r}, and what is asked for is not known in advance")
        return asked

    def keys(self, by: Sequence[str]) -> list[tuple[Any, ...]]:
        """The values of the columns `by`, a tuple per row."""
        for column in by:
            if column not in self._values:
                self._values[column] = self.frame[column].to_list()
        return list(zip(*(self._values[column] for column in by), strict=True))

    def codes(self, groups: Numbering) -> Instants:
        """Group of every row, shape (n,); -1 for none."""
        if groups not in self._codes:
            self._codes[groups] = groups.find(self)
        return self._codes[groups]


Rows: TypeAlias = pl.DataFrame | Spine
